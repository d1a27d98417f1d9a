"""Results with named parts, as PyTorch's `torch.return_types` has them.

Example:
    >>> import wengert as torch
    >>> torch.tensor([1., 3.]).max(0)
    torch.return_types.max(
    values=tensor(3.),
    indices=tensor(1))
"""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def named(name: str, *fields: str) -> Any:
    """The class of an operation's results: a tuple whose parts have names."""
    def show(self: Any) -> str:
        parts = (f"{field}={part!r}" for field, part in zip(fields, self, strict=True))
        return f"torch.return_types.{name}(\n" + ",\n".join(parts) + ")"

    parts: Any = namedtuple(name, fields)  # type: ignore[misc]  # mypy wants a literal
    return type(name, (parts,), {"__slots__": (), "__module__": __name__, "__repr__": show})


def _pair(name: str) -> Any:
    return named(name, "values", "indices")


max, min, sort, topk = _pair("max"), _pair("min"), _pair("sort"), _pair("topk")
median, nanmedian, mode = _pair("median"), _pair("nanmedian"), _pair("mode")
kthvalue, cummax, cummin = _pair("kthvalue"), _pair("cummax"), _pair("cummin")
aminmax = named("aminmax", "min", "max")
histogram = named("histogram", "hist", "bin_edges")
histogramdd = named("histogramdd", "hist", "bin_edges")
frexp = named("frexp", "mantissa", "exponent")

svd, qr, lu_unpack = named("svd", "U", "S", "V"), named("qr", "Q", "R"), named(
    "lu_unpack", "P", "L", "U")
slogdet, geqrf = named("slogdet", "sign", "logabsdet"), named("geqrf", "a", "tau")
triangular_solve = named("triangular_solve", "solution", "cloned_coefficient")
linalg_slogdet = named("linalg_slogdet", "sign", "logabsdet")
linalg_inv_ex = named("linalg_inv_ex", "inverse", "info")
linalg_solve_ex = named("linalg_solve_ex", "result", "info")
linalg_cholesky_ex = named("linalg_cholesky_ex", "L", "info")
_lu_with_info = named("_lu_with_info", "LU", "pivots", "info")
linalg_lu = named("linalg_lu", "P", "L", "U")
linalg_lu_factor = named("linalg_lu_factor", "LU", "pivots")
linalg_lu_factor_ex = named("linalg_lu_factor_ex", "LU", "pivots", "info")
linalg_ldl_factor = named("linalg_ldl_factor", "LD", "pivots")
linalg_ldl_factor_ex = named("linalg_ldl_factor_ex", "LD", "pivots", "info")
linalg_lstsq = named("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
linalg_qr, linalg_svd = named("linalg_qr", "Q", "R"), named("linalg_svd", "U", "S", "Vh")
linalg_eig = named("linalg_eig", "eigenvalues", "eigenvectors")
linalg_eigh = named("linalg_eigh", "eigenvalues", "eigenvectors")
