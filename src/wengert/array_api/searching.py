"""Sorting, searching and sets."""

from __future__ import annotations

from typing import Any, NamedTuple

import wengert as torch

from .dtypes import Bool, together

__all__ = [
    "argmax", "argmin", "argsort", "isin", "nonzero", "searchsorted", "sort", "unique_all",
    "unique_counts", "unique_inverse", "unique_values",
]


def argmax(x: torch.Tensor, /, *, axis: int | None = None, keepdims: Bool = False) -> torch.Tensor:
    """Where the largest element is (the first, if there are several)."""
    return torch.argmax(x, axis, keepdims)


def argmin(x: torch.Tensor, /, *, axis: int | None = None, keepdims: Bool = False) -> torch.Tensor:
    """Where the smallest element is (the first, if there are several)."""
    return torch.argmin(x, axis, keepdims)


def nonzero(x: torch.Tensor, /) -> tuple[torch.Tensor, ...]:
    """Where the elements are that are not 0: indices, an axis each.

    Raises:
        ValueError: for a 0-d tensor.
    """
    if not x.ndim:
        raise ValueError("nonzero() needs a tensor with axes")
    return tuple(torch.nonzero(x, as_tuple=True))


def searchsorted(x1: torch.Tensor, x2: Any, /, *, side: str = "left",
                 sorter: torch.Tensor | None = None) -> torch.Tensor:
    """Where elements would go among sorted ones."""
    sorted_, values = together(x1, x2)
    return torch.searchsorted(sorted_, values, side=side, sorter=sorter)


def sort(x: torch.Tensor, /, *, axis: int = -1, descending: Bool = False, stable: Bool = True
         ) -> torch.Tensor:
    """The elements in order along an axis."""
    return torch.sort(x, dim=axis, descending=descending, stable=stable)[0]


def argsort(x: torch.Tensor, /, *, axis: int = -1, descending: Bool = False, stable: Bool = True
            ) -> torch.Tensor:
    """The places of the elements in order along an axis."""
    return torch.sort(x, dim=axis, descending=descending, stable=stable)[1]


def isin(x1: Any, x2: Any, /, *, invert: Bool = False) -> torch.Tensor:
    """Whether each element of `x1` is one of `x2`, or is none of them."""
    return torch.isin(*together(x1, x2), invert=invert)


class UniqueAll(NamedTuple):
    """Distinct values, where each is first, which of them each element is, how often each is."""

    values: torch.Tensor
    indices: torch.Tensor
    inverse_indices: torch.Tensor
    counts: torch.Tensor


class UniqueCounts(NamedTuple):
    """Distinct values, and how often each is there."""

    values: torch.Tensor
    counts: torch.Tensor


class UniqueInverse(NamedTuple):
    """Distinct values, and which of them each element is."""

    values: torch.Tensor
    inverse_indices: torch.Tensor


def unique_all(x: torch.Tensor, /) -> UniqueAll:
    """The distinct values in order, and all there is to know of them; each NaN is one."""
    values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True)
    order = torch.sort(inverse.flatten(), stable=True)[1]
    return UniqueAll(values, order[torch.cumsum(counts, 0) - counts], inverse, counts)


def unique_counts(x: torch.Tensor, /) -> UniqueCounts:
    """The distinct values in order, and how often each is there; each NaN is one."""
    values, counts = torch.unique(x, return_counts=True)
    return UniqueCounts(values, counts)


def unique_inverse(x: torch.Tensor, /) -> UniqueInverse:
    """The distinct values in order, and which of them each element is; each NaN is one."""
    values, inverse = torch.unique(x, return_inverse=True)
    return UniqueInverse(values, inverse)


def unique_values(x: torch.Tensor, /) -> torch.Tensor:
    """The distinct values in order; each NaN is one."""
    return torch.unique(x)
