"""Norms, in PyTorch's older words; `linalg` has the newer ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core import dtypes
from ..primitives import elementwise as e, layout, reductions
from . import shapes
from .arguments import need_tensor, wrapped_dim, wrapped_dims

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["norm", "renorm"]


def norm(input: Tensor, p: Any = "fro", dim: int | Sequence[int] | None = None,
         keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The p-norm of all elements, or along dimensions: (sum |x|**p) ** (1/p).

    Args:
        input: a floating-point or complex tensor.
        p: the order: a number, inf, -inf, "fro" (2), or "nuc" (the sum of a matrix's singular
            values).
        dim: a dimension, several, or None for all.
        keepdim: keep reduced dimensions with size 1.
        dtype: what to convert to first.

    Raises:
        RuntimeError: for integers, and for orders that a shape does not have.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([3., 4.]).norm()
        tensor(5.)
    """
    x = in_dtype("linalg.vector_norm", need_tensor("norm", input), dtype)
    if isinstance(p, str) and p not in ("fro", "nuc"):
        raise RuntimeError(f"linalg.matrix_norm: Order {p} not supported.")
    dims = wrapped_dims(dim, x.aval.ndim)
    some = dim is not None and dim != ()
    if len(dims) != 2 and (p == "nuc" or (p == "fro" and some and len(dims) > 2)):
        raise RuntimeError("linalg.matrix_norm: dim must be a 2-tuple. Got "
                           f"{' '.join(map(str, dims))}")
    if p == "nuc":
        return _nuclear(x, dims, keepdim)
    order = 2.0 if p in ("fro", None) else float(p)
    _check_identity(x, order, dims)
    return reductions.norm(x, p=order, dims=dims, keepdim=bool(keepdim))


def _nuclear(x: Any, dims: Sequence[int], keepdim: bool) -> Any:
    """The sum of matrices' singular values."""
    from .linalg.decompositions import svdvals  # which few programs use

    found = svdvals(shapes.movedim(x, dims, (-2, -1))).sum(-1)
    shape = tuple(1 if d in dims else n for d, n in enumerate(x.aval.shape))
    return layout.reshape(found, shape=shape) if keepdim else found


def in_dtype(name: str, x: Any, dtype: Any, *, narrow: bool = True) -> Any:
    """A tensor of floats in the dtype asked for, which may be a smaller one unless not `narrow`.

    Raises:
        RuntimeError: for dtypes that are none of floats, or do not fit together.
    """
    kind = x.aval.dtype
    if not kind.differentiable:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got "
                           f"{kind.words}")
    if dtype is None:
        return x
    wanted = dtypes.of(dtype)
    if not wanted.differentiable:
        raise RuntimeError(f"{name}: dtype should be floating point or complex, but got "
                           f"{wanted.words}")
    if wanted.is_complex != kind.is_complex:
        word = "complex" if kind.is_complex else "real"
        raise RuntimeError(f"{name}: dtype should be {word} for {word} inputs, but got "
                           f"{wanted.words}")
    if not narrow and dtypes.promote(kind, wanted) is not wanted:
        raise RuntimeError(f"{name}: the dtype of the input ({kind.words}) should be convertible "
                           f"without narrowing to the specified dtype ({wanted.words})")
    return shapes.astype(x, wanted)


def _check_identity(x: Any, order: float, dims: Sequence[int]) -> None:
    """Refuses an extreme of nothing."""
    if x.aval.numel or not (order < 0 or math.isinf(order)):
        return
    shown = f"{order:g}"
    if len(dims) == x.aval.ndim:
        raise RuntimeError(f"linalg.vector_norm cannot compute the {shown} norm on an empty tensor "
                           "because the operation does not have an identity")
    for d in dims:
        if not x.aval.shape[d]:
            raise RuntimeError(f"linalg.vector_norm cannot compute the {shown} norm on the "
                               f"dimension {d}because this dimension is empty and the operation "
                               "does not have an identity")


def _scaled(x: Any, p: Any, dim: Any, maxnorm: Any) -> Any:
    """What each slice is multiplied by, so that its norm is no larger than `maxnorm`."""
    d = wrapped_dim(dim, need_tensor("renorm", x).aval.ndim)
    if isinstance(p, complex):
        raise RuntimeError("renorm: p must be real-valued")
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if x.aval.ndim < 2:
        raise RuntimeError("renorm: input needs at least 2 dimensions, got "
                           f"{x.aval.ndim} dimensions")
    if maxnorm == math.inf:
        return 1  # no norm is larger, and the slope of a quotient that nobody takes is NaN
    dims = tuple(i for i in range(x.aval.ndim) if i != d)
    size = norm(x, p, dims, keepdim=True)
    return e.where(size > maxnorm, maxnorm / (size + 1e-7), 1)


def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Each slice along a dimension, scaled down where its p-norm is larger than `maxnorm`.

    Raises:
        RuntimeError: for fewer than two dimensions, and where p or `maxnorm` is negative.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([[3., 4.], [0.3, 0.4]]).renorm(2, 0, 1)
        tensor([[0.6000, 0.8000],
                [0.3000, 0.4000]])
    """
    x = shapes.contiguous(input)
    return x * _scaled(x, p, dim, maxnorm)


def renorm_(self: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """`renorm`, in place."""
    return shapes.copy_(self, renorm(layout.clone(self), p, dim, maxnorm))  # what backward reads
