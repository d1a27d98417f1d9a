"""Results with named parts, as PyTorch's `torch.return_types` has them.

Example:
    >>> import wengert as torch
    >>> torch.tensor([1., 3.]).max(0)
    torch.return_types.max(
    values=tensor(3.),
    indices=tensor(1))
"""
# ruff: noqa: N801 - the classes are named after the functions, as PyTorch's are

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._tensor import Tensor

    Parts = tuple[Tensor, ...]
else:
    Parts = tuple


class Results(Parts):
    """A tuple whose parts have the names that its class declares.

    It does what `typing.NamedTuple` would, which takes ten times as long to make a class.
    """

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        fields = tuple(cls.__annotations__)
        for place, field in enumerate(fields):
            setattr(cls, field, property(itemgetter(place)))
        cls._fields = fields or cls._fields

    def __new__(cls, *parts: Any) -> Any:
        return tuple.__new__(cls, parts)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        parts = (f"{field}={part!r}" for field, part in zip(self._fields, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n" + ",\n".join(parts) + ")"


class Found(Results):
    """Elements that were chosen along a dimension, and where they were."""

    __slots__ = ()
    values: Tensor
    indices: Tensor


class max(Found):
    __slots__ = ()


class min(Found):
    __slots__ = ()


class sort(Found):
    __slots__ = ()


class topk(Found):
    __slots__ = ()


class median(Found):
    __slots__ = ()


class nanmedian(Found):
    __slots__ = ()


class mode(Found):
    __slots__ = ()


class kthvalue(Found):
    __slots__ = ()


class cummax(Found):
    __slots__ = ()


class cummin(Found):
    __slots__ = ()


class aminmax(Results):
    __slots__ = ()
    min: Tensor
    max: Tensor


class histogram(Results):
    __slots__ = ()
    hist: Tensor
    bin_edges: Tensor


class histogramdd(Results):
    __slots__ = ()
    hist: Tensor
    bin_edges: Any


class frexp(Results):
    __slots__ = ()
    mantissa: Tensor
    exponent: Tensor


class svd(Results):
    __slots__ = ()
    U: Tensor
    S: Tensor
    V: Tensor


class qr(Results):
    __slots__ = ()
    Q: Tensor
    R: Tensor


class lu_unpack(Results):
    __slots__ = ()
    P: Tensor
    L: Tensor
    U: Tensor


class slogdet(Results):
    __slots__ = ()
    sign: Tensor
    logabsdet: Tensor


class geqrf(Results):
    __slots__ = ()
    a: Tensor
    tau: Tensor


class triangular_solve(Results):
    __slots__ = ()
    solution: Tensor
    cloned_coefficient: Tensor


class linalg_slogdet(Results):
    __slots__ = ()
    sign: Tensor
    logabsdet: Tensor


class linalg_inv_ex(Results):
    __slots__ = ()
    inverse: Tensor
    info: Tensor


class linalg_solve_ex(Results):
    __slots__ = ()
    result: Tensor
    info: Tensor


class linalg_cholesky_ex(Results):
    __slots__ = ()
    L: Tensor
    info: Tensor


class _lu_with_info(Results):
    __slots__ = ()
    LU: Tensor
    pivots: Tensor
    info: Tensor


class linalg_lu(Results):
    __slots__ = ()
    P: Tensor
    L: Tensor
    U: Tensor


class linalg_lu_factor(Results):
    __slots__ = ()
    LU: Tensor
    pivots: Tensor


class linalg_lu_factor_ex(Results):
    __slots__ = ()
    LU: Tensor
    pivots: Tensor
    info: Tensor


class linalg_ldl_factor(Results):
    __slots__ = ()
    LD: Tensor
    pivots: Tensor


class linalg_ldl_factor_ex(Results):
    __slots__ = ()
    LD: Tensor
    pivots: Tensor
    info: Tensor


class linalg_lstsq(Results):
    __slots__ = ()
    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


class linalg_qr(Results):
    __slots__ = ()
    Q: Tensor
    R: Tensor


class linalg_svd(Results):
    __slots__ = ()
    U: Tensor
    S: Tensor
    Vh: Tensor


class linalg_eig(Results):
    __slots__ = ()
    eigenvalues: Tensor
    eigenvectors: Tensor


class linalg_eigh(Results):
    __slots__ = ()
    eigenvalues: Tensor
    eigenvectors: Tensor
