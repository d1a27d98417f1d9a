"""Norms of vectors and matrices, and condition numbers, in PyTorch's words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.handle import Handle
from ...primitives import elementwise as e
from ...primitives.linalg import solving
from .. import norms, shapes
from ..arguments import also, listed, wrapped_dim
from ..creation import number_in
from . import checks
from .decompositions import svdvals

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["cond", "matrix_norm", "norm", "vector_norm"]

Dim = int | Sequence[int] | None


def _checked(name: str, x: Any, dtype: Any) -> Any:
    return norms.in_dtype(name, checks.tensor(name, x, "input"), dtype, narrow=False)


@also(axis="dim", keepdims="keepdim", input="x")
def vector_norm(x: Tensor, ord: float = 2, dim: Dim = None, keepdim: bool = False, *,
                dtype: Any = None) -> Tensor:
    """The norm of all elements, or along dimensions: (sum |x|**ord) ** (1/ord).

    Args:
        x: a floating-point or complex tensor.
        ord: the order: a number, inf (the largest), -inf (the smallest), 0 (how many are not 0).
        dim: a dimension, several, or None for all.
        keepdim: keep reduced dimensions with size 1.
        dtype: what to convert to first; of the same kind, and not smaller.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.vector_norm(torch.tensor([3., 4.]))
        tensor(5.)
    """
    if isinstance(ord, Handle) and not ord.aval.ndim:
        ord = number_in(ord)
    if isinstance(ord, str) or not isinstance(ord, (int, float, np.number)):
        raise TypeError("linalg_vector_norm(): argument 'ord' (position 2) must be Number, not "
                        f"{type(ord).__name__}")
    return norms.norm(_checked("linalg.vector_norm", x, dtype), ord, dim, keepdim)


@also(axis="dim", keepdims="keepdim", input="A")
def matrix_norm(A: Tensor, ord: Any = "fro", dim: Sequence[int] = (-2, -1),  # noqa: N803
                keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The norm of matrices.

    Args:
        A: a floating-point or complex tensor.
        ord: "fro" (of all elements), "nuc" (the sum of singular values), 2 or -2 (the largest or
            smallest of them), 1 or -1 (of the columns' sums of sizes), inf or -inf (of the rows').
        dim: the two dimensions that are matrices.
        keepdim: keep them with size 1.
        dtype: what to convert to first; of the same kind, and not smaller.

    Raises:
        RuntimeError: for another order, or dimensions that are not two.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.matrix_norm(torch.tensor([[1., -2.], [3., 4.]]), 1)
        tensor(6.)
    """
    name = "linalg.matrix_norm"
    if isinstance(dim, int):
        raise TypeError("linalg_matrix_norm(): argument 'dim' must be tuple of ints, not int")
    x = checks.matrices(name, _checked(name, A, dtype))
    if len(dim) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {' '.join(map(str, dim))}")
    rows, cols = (wrapped_dim(d, x.aval.ndim) for d in dim)
    if rows == cols:
        raise RuntimeError(f"{name}: dims must be different. Got ({rows}, {cols})")
    if isinstance(ord, str):
        if ord not in ("fro", "nuc"):
            raise RuntimeError(f"{name}: Order {ord} not supported.")
    elif abs(ord) not in (1, 2, math.inf):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    if ord == "fro":
        return norms.norm(x, 2, (rows, cols), keepdim)
    found = (_spectral if ord in ("nuc", 2, -2) else _summed)(
        shapes.movedim(x, (rows, cols), (-2, -1)), ord)
    if keepdim:
        for d in sorted((rows, cols)):
            found = shapes.unsqueeze(found, d)
    return found


def _spectral(x: Any, order: Any) -> Any:
    values = svdvals(x)
    if order == "nuc" or not values.aval.shape[-1]:
        return values.sum(-1)
    return values.amax(-1) if order > 0 else values.amin(-1)


def _summed(x: Any, order: float) -> Any:
    sums = x.abs().sum(-2 if abs(order) == 1 else -1)
    if not x.aval.numel:
        return sums.sum(-1)
    return sums.amax(-1) if order > 0 else sums.amin(-1)


@also(axis="dim", keepdims="keepdim", input="A")
def norm(A: Tensor, ord: Any = None, dim: Dim = None, keepdim: bool = False, *,  # noqa: N803
         dtype: Any = None) -> Tensor:
    """The norm of vectors or matrices: `vector_norm` or `matrix_norm`.

    Args:
        A: a floating-point or complex tensor.
        ord: None for the 2-norm of elements; an order of either function.
        dim: one dimension means vectors, two (with an order) mean matrices; None the tensor's own
            one or two, or with no order all of any number.
        keepdim: keep reduced dimensions with size 1.
        dtype: what to convert to first.

    Raises:
        RuntimeError: for dimensions that are no vectors or matrices.
    """
    n = checks.tensor("linalg.norm", A, "input").aval.ndim
    dims = None if dim is None else tuple(listed(dim))
    if dims is not None and len(dims) not in (1, 2) and ord is not None:
        raise RuntimeError("linalg.norm: If dim is specified, it must be of length 1 or 2. Got "
                           f"{list(dims)}")
    if dims is None and ord is not None and n not in (1, 2):
        raise RuntimeError("linalg.norm: If dim is not specified but ord is, the input must be 1D "
                           f"or 2D. Got {n}D.")
    if isinstance(ord, str) or (ord is not None and (n if dims is None else len(dims)) == 2):
        return matrix_norm(A, ord, (-2, -1) if dims is None else dims, keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord is None else ord, dims, keepdim, dtype=dtype)


@also(input="A")
def cond(A: Tensor, p: Any = None) -> Tensor:  # noqa: N803
    """The condition number of matrices: the norm of A times that of its inverse.

    Args:
        A: matrices; square ones, unless p is None, 2 or -2.
        p: the norm, as for `matrix_norm`; None means 2.

    Returns:
        Numbers; infinity for matrices without an inverse.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.cond(torch.tensor([[4., 0.], [0., 1.]]))
        tensor(4.)
    """
    if checks.tensor("linalg.cond", A, "input").aval.ndim < 2:
        raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
    known = ("fro", "nuc") if isinstance(p, str) else (None, 1, -1, 2, -2, math.inf, -math.inf)
    if p not in known:
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if not A.aval.numel:
        return norms.norm(A, 2, (-2, -1)) * 0
    if p in (None, 2, -2):
        values = svdvals(A)
        largest, smallest = values[..., 0], values[..., -1]
        return smallest / largest if p == -2 else largest / smallest
    checks.square(f"linalg.cond(ord={p})", A)
    inverse, info = solving.inverse(checks.floating("linalg.inv", A), words="")
    found = matrix_norm(A, p) * matrix_norm(inverse, p)
    return e.where(info > 0, math.inf, found)
