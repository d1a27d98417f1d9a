"""Diagonals and triangles of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.device import check_device
from ..core.handle import wrap
from ..core.levels import made
from ..core.primitive import Primitive
from ..interpreters.inplace import write
from ..primitives import layout as p
from .arguments import long, need_tensor, wrapped_dim

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "diag", "diag_embed", "diagflat", "diagonal", "tril", "tril_indices", "triu", "triu_indices",
]


def two_dims(dim1: int, dim2: int, ndim: int) -> tuple[int, int]:
    a, b = wrapped_dim(dim1, ndim), wrapped_dim(dim2, ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return a, b


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal with respect to two dimensions, as the last dimension; a view."""
    a, b = two_dims(dim1, dim2, need_tensor("diagonal", input).aval.ndim)
    return p.diagonal(input, offset=long(offset), dim1=a, dim2=b)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last dimension on their diagonals, zeros elsewhere.

    Args:
        input: a tensor of at least one dimension.
        offset: how far above the main diagonal.
        dim1: the result's dimension of the matrices' rows.
        dim2: that of their columns.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([1, 2]).diag_embed()
        tensor([[1, 0],
                [0, 2]])
    """
    shape, offset = need_tensor("diag_embed", input).aval.shape, long(offset)
    a, b = two_dims(dim1, dim2, len(shape) + 1)
    side = (shape[-1] if shape else 1) + abs(offset)
    target = list(shape[:-1])
    for d in sorted((a, b)):
        target.insert(d, side)
    return p.diag_embed(input, shape=tuple(target), offset=offset, dim1=a, dim2=b)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix (a copy), or a matrix with a vector on its diagonal.

    Raises:
        RuntimeError: for a tensor of another number of dimensions.
    """
    n = need_tensor("diag", input).aval.ndim
    if n == 2:
        return _diagonal_copy(p.diagonal(input, offset=long(diagonal), dim1=0, dim2=1))
    if n == 1:
        return diag_embed(input, diagonal)
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {n}D")


_diagonal_copy = p.clone.named("DiagonalBackward0_copy")


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with the elements, as one dimension, on its diagonal."""
    flat = p.reshape(need_tensor("diagflat", input), shape=(input.aval.numel,))
    return diag_embed(flat, offset)


# --- triangles --------------------------------------------------------------------------------


def _matrix(name: str, x: Any) -> Any:
    if need_tensor(name, x).aval.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    return x


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices, zeros above the diagonal.

    Example:
        >>> import wengert as torch
        >>> torch.ones(2, 2).tril()
        tensor([[1., 0.],
                [1., 1.]])
    """
    return p.tril(_matrix("tril", input), diagonal=long(diagonal))


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices, zeros below the diagonal."""
    return p.triu(_matrix("triu", input), diagonal=long(diagonal))


def _in_place(primitive: Primitive) -> Callable[..., Tensor]:
    def function(self: Tensor, diagonal: int = 0) -> Tensor:
        return write(primitive, _matrix(primitive.name, self), diagonal=long(diagonal))

    function.__name__ = function.__qualname__ = f"{primitive.name}_"
    function.__doc__ = f"`{primitive.name}`, in place."
    return function


tril_, triu_ = _in_place(p.tril), _in_place(p.triu)


def _triangle_indices(name: str, upper: bool) -> Callable[..., Tensor]:
    def function(row: int, col: int, offset: int = 0, *, dtype: Any = dtypes.int64,
                 device: Any = None, layout: Any = None) -> Tensor:
        check_device(device)
        for word, n in (("row", row), ("col", col)):
            if n < 0:
                raise RuntimeError(f"{word} must be non-negative, got{n}")
        kind = dtypes.int64 if dtype is None else dtypes.of(dtype)
        if kind.category != dtypes.INTEGER:
            raise NotImplementedError(f"\"{name}\" not implemented for '{kind.words}'")
        inside = np.tri(row, col, offset - upper, np.bool_)
        found = np.stack(np.nonzero(~inside if upper else inside))
        return made(wrap(found.astype(kind.numpy, copy=False)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (f"The indices of the {'upper' if upper else 'lower'} triangle of a matrix "
                        "of a size: its rows' in the first row, its columns' in the second.")
    return function


tril_indices = _triangle_indices("tril_indices", False)
triu_indices = _triangle_indices("triu_indices", True)
