"""Linear algebra: the standard's extension `linalg`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import wengert as torch

from ..core.dtypes import dtype
from .dtypes import Bool, together
from .products import matmul, matrix_transpose, tensordot, vecdot
from .statistical import summed

__all__ = [
    "cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matmul", "matrix_norm",
    "matrix_power", "matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve",
    "svd", "svdvals", "tensordot", "trace", "vecdot", "vector_norm",
]


def _of_matrices(name: str, says: str) -> Callable[[torch.Tensor], Any]:
    """A function of matrices, by PyTorch's word of the same name."""

    def function(x: torch.Tensor, /) -> Any:
        return getattr(torch.linalg, name)(x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{says} of a matrix, or of each of a stack."
    return function


det, inv = _of_matrices("det", "The determinant"), _of_matrices("inv", "The inverse")
eigh = _of_matrices("eigh", "The eigenvalues and eigenvectors, if it is its own adjoint,")
eigvalsh = _of_matrices("eigvalsh", "The eigenvalues, if it is its own adjoint,")
slogdet = _of_matrices("slogdet", "The sign and the logarithm of the size of the determinant")
svdvals = _of_matrices("svdvals", "The singular values")


def cholesky(x: torch.Tensor, /, *, upper: Bool = False) -> torch.Tensor:
    """The triangular matrix that, times its adjoint, gives a positive definite one."""
    return torch.linalg.cholesky(x, upper=upper)


def cross(x1: torch.Tensor, x2: torch.Tensor, /, *, axis: int = -1) -> torch.Tensor:
    """The cross product of vectors of 3 elements."""
    return torch.linalg.cross(*together(x1, x2), dim=axis)


def diagonal(x: torch.Tensor, /, *, offset: int = 0) -> torch.Tensor:
    """The elements on a diagonal of matrices."""
    return torch.diagonal(x, offset, -2, -1)


def matrix_norm(x: torch.Tensor, /, *, keepdims: Bool = False, ord: Any = "fro") -> torch.Tensor:
    """A norm of matrices."""
    return torch.linalg.matrix_norm(x, ord, keepdim=keepdims)


def matrix_power(x: torch.Tensor, n: int, /) -> torch.Tensor:
    """A square matrix times itself, `n` times; its inverse, if `n` is negative."""
    return torch.linalg.matrix_power(x, n)


def matrix_rank(x: torch.Tensor, /, *, rtol: Any = None) -> torch.Tensor:
    """How many singular values of matrices are above `rtol` times the largest."""
    return torch.linalg.matrix_rank(x, rtol=rtol)


def outer(x1: torch.Tensor, x2: torch.Tensor, /) -> torch.Tensor:
    """The products of each element of one vector with each of another."""
    return torch.outer(*together(x1, x2))


def pinv(x: torch.Tensor, /, *, rtol: Any = None) -> torch.Tensor:
    """The pseudoinverse of matrices, without singular values below `rtol` times the largest."""
    return torch.linalg.pinv(x, rtol=rtol)


def qr(x: torch.Tensor, /, *, mode: str = "reduced") -> Any:
    """Matrices as products of a unitary and an upper triangular one."""
    return torch.linalg.qr(x, mode)


def solve(x1: torch.Tensor, x2: torch.Tensor, /) -> torch.Tensor:
    """What, times a matrix `x1`, gives `x2`: a vector if that has one axis, else matrices."""
    a, b = together(x1, x2)
    if b.ndim == 1:
        return torch.linalg.solve(a, b.unsqueeze(-1)).squeeze(-1)
    shape = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return torch.linalg.solve(a, b.expand(*shape, *b.shape[-2:]))


def svd(x: torch.Tensor, /, *, full_matrices: Bool = True) -> Any:
    """Matrices as products of a unitary, a diagonal and a unitary one."""
    return torch.linalg.svd(x, full_matrices)


def trace(x: torch.Tensor, /, *, offset: int = 0, dtype: dtype | None = None) -> torch.Tensor:
    """The sum of the elements on a diagonal of matrices."""
    x = summed(diagonal(x, offset=offset), dtype)
    return x.sum(-1, dtype=x.dtype)


def vector_norm(x: torch.Tensor, /, *, axis: int | tuple[int, ...] | None = None,
                keepdims: Bool = False, ord: float = 2) -> torch.Tensor:
    """A norm of vectors that lie along axes, all by default."""
    if axis == ():
        x, axis, keepdims = x.unsqueeze(-1), -1, False
    return torch.linalg.vector_norm(x, ord, axis, keepdims)
