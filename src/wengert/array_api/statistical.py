"""Reductions and scans."""

from __future__ import annotations

from typing import Any

import wengert as torch

from ..core.dtypes import INTEGER, dtype
from .dtypes import Bool, together

__all__ = [
    "all", "any", "count_nonzero", "cumulative_prod", "cumulative_sum", "diff", "max", "mean",
    "min", "prod", "std", "sum", "var",
]

Axes = int | tuple[int, ...] | None


def _reduced(word: str, x: torch.Tensor, axis: Axes, keepdims: bool, **more: Any) -> torch.Tensor:
    """A reduction by PyTorch's word, which takes no axis at all to mean all of them."""
    if axis == ():
        x, axis, keepdims = x.unsqueeze(-1), -1, False
    dims = tuple(range(x.ndim)) if axis is None else axis
    found: torch.Tensor = getattr(torch, word)(x, dims, keepdim=keepdims, **more)
    return found


def all(x: torch.Tensor, /, *, axis: Axes = None, keepdims: Bool = False) -> torch.Tensor:
    """Whether all elements are other than 0."""
    return _reduced("all", x != 0, axis, keepdims)


def any(x: torch.Tensor, /, *, axis: Axes = None, keepdims: Bool = False) -> torch.Tensor:
    """Whether any element is other than 0."""
    return _reduced("any", x != 0, axis, keepdims)


def count_nonzero(x: torch.Tensor, /, *, axis: Axes = None, keepdims: Bool = False
                  ) -> torch.Tensor:
    """How many elements are other than 0."""
    return _reduced("sum", x != 0, axis, keepdims)


def max(x: torch.Tensor, /, *, axis: Axes = None, keepdims: Bool = False) -> torch.Tensor:
    """The largest element."""
    return _reduced("amax", x, axis, keepdims)


def min(x: torch.Tensor, /, *, axis: Axes = None, keepdims: Bool = False) -> torch.Tensor:
    """The smallest element."""
    return _reduced("amin", x, axis, keepdims)


def mean(x: torch.Tensor, /, *, axis: Axes = None, keepdims: Bool = False) -> torch.Tensor:
    """The mean."""
    return _reduced("mean", x, axis, keepdims)


def var(x: torch.Tensor, /, *, axis: Axes = None, correction: float = 0.0,
        keepdims: Bool = False) -> torch.Tensor:
    """The variance: squares summed up, over the number of elements less `correction`."""
    return _reduced("var", x, axis, keepdims, correction=correction)


def std(x: torch.Tensor, /, *, axis: Axes = None, correction: float = 0.0,
        keepdims: Bool = False) -> torch.Tensor:
    """The root of the variance."""
    return _reduced("std", x, axis, keepdims, correction=correction)


def summed(x: torch.Tensor, dtype: dtype | None) -> torch.Tensor:
    """A tensor in the dtype that its elements are added or multiplied in: integers in 64 bits."""
    if dtype is not None:
        return x.to(dtype)
    if x.dtype.category > INTEGER:
        return x
    return x.to(torch.int64 if x.dtype.is_signed or x.dtype is torch.bool else torch.uint64)


def sum(x: torch.Tensor, /, *, axis: Axes = None, dtype: dtype | None = None,
        keepdims: Bool = False) -> torch.Tensor:
    """The sum."""
    x = summed(x, dtype)
    return _reduced("sum", x, axis, keepdims, dtype=x.dtype)


def prod(x: torch.Tensor, /, *, axis: Axes = None, dtype: dtype | None = None,
         keepdims: Bool = False) -> torch.Tensor:
    """The product."""
    x = summed(x, dtype)
    dims = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
    for dim in sorted((d % (x.ndim or 1) for d in dims), reverse=True):
        x = torch.prod(x, dim, keepdims, dtype=x.dtype)
    return x


def _scan(word: str, x: torch.Tensor, axis: int | None, dtype: dtype | None,
          start: int | None) -> torch.Tensor:
    if axis is None and x.ndim > 1:
        raise ValueError("a cumulative function needs an axis for a tensor that has several")
    axis, x = axis or 0, summed(x.reshape(-1) if x.ndim == 0 else x, dtype)
    found: torch.Tensor = getattr(torch, word)(x, axis, dtype=x.dtype)
    if start is None:
        return found
    first = torch.full_like(found.narrow(axis, 0, 0).sum(axis, keepdim=True, dtype=x.dtype), start)
    return torch.cat([first, found], axis)


def cumulative_sum(x: torch.Tensor, /, *, axis: int | None = None, dtype: dtype | None = None,
                   include_initial: Bool = False) -> torch.Tensor:
    """The sum of the elements up to each; of none in front of them, if `include_initial`."""
    return _scan("cumsum", x, axis, dtype, 0 if include_initial else None)


def cumulative_prod(x: torch.Tensor, /, *, axis: int | None = None, dtype: dtype | None = None,
                    include_initial: Bool = False) -> torch.Tensor:
    """The product of the elements up to each; of none in front of them, if `include_initial`."""
    return _scan("cumprod", x, axis, dtype, 1 if include_initial else None)


def diff(x: torch.Tensor, /, *, axis: int = -1, n: int = 1, prepend: torch.Tensor | None = None,
         append: torch.Tensor | None = None) -> torch.Tensor:
    """The differences of neighbours along an axis, `n` times."""
    pieces = [piece for piece in (prepend, x, append) if piece is not None]
    return torch.diff(torch.cat(together(*pieces), axis) if len(pieces) > 1 else x, n, axis)
