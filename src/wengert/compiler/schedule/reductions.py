"""Reductions: which loops they take, and which of these make a row."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..ir.program import Value
from .access import Ints, dense

HOW = {"sum": "add", "prod": "multiply", "amax": "maximum", "amin": "minimum",
       "all": "logical_and", "any": "logical_or"}
"""By reduction, the ufunc that combines two elements."""
ROW = 1 << 15
"""Up to this many elements are reduced to one within a nest, so that it can go on with it."""
_LONG = 1 << 7
"""From this many terms on, sums across rows are kept in a wider type."""


class Reduction:
    """A reduction of a value over dimensions.

    Attributes:
        x, result: of what, and what comes of it.
        how: the ufunc that combines, "argmax" or "argmin".
        order: x's dimensions in the order of the loops, without those of size 1.
        sizes: of the loops.
        cols: how many elements are reduced to one.
    """

    def __init__(self, x: Value, result: Value, dims: frozenset[int], how: str) -> None:
        self.x, self.result, self.dims, self.how = x, result, dims, how
        self.shape = tuple(x.aval.shape)
        self.order = [d for d, n in enumerate(self.shape) if n != 1]
        self.cols = prod(self.shape[d] for d in dims)

    @property
    def sizes(self) -> Ints:
        return tuple(self.shape[d] for d in self.order)

    @property
    def whole(self) -> bool:
        """Whether everything is reduced to one element."""
        return self.cols == self.x.aval.numel

    @property
    def trailing(self) -> bool:
        """Whether the loops that are reduced over are the innermost ones."""
        reduced = [d in self.dims for d in self.order]
        return sorted(reduced) == reduced

    @property
    def by_row(self) -> bool:
        """Whether rows can be reduced each for itself: not if there is one large row, which
        several threads can only share by adding up in memory."""
        return self.trailing and not (self.whole and self.cols > ROW)

    def make_trailing(self) -> None:
        """Puts the loops that are reduced over innermost."""
        self.order.sort(key=lambda d: d in self.dims)

    def follow(self, strides: Ints) -> bool:
        """Has the loops run as x, a view by these strides, lies in memory, if the result still
        comes in order; whether that changes anything."""
        order = sorted(self.order, key=lambda d: -abs(strides[d]))
        kept = [d for d in order if d not in self.dims]
        if order == self.order or kept != sorted(kept) or not all(strides[d] for d in order):
            return False
        self.order = order
        return True

    @property
    def offsets(self) -> Ints:
        """Where the elements that become one lie, from the first of them on."""
        table = dense(self.shape)
        found: Ints = (0,)
        for d in sorted(self.dims):
            found = tuple(o + i * table[d] for o in found for i in range(self.shape[d]))
        return found

    @property
    def kept(self) -> tuple[Ints, Ints]:
        """The dimensions that stay: their sizes, and the strides of x along them."""
        table = dense(self.shape)
        own = [d for d in range(len(self.shape)) if d not in self.dims]
        return tuple(self.shape[d] for d in own), tuple(table[d] for d in own)

    @property
    def places(self) -> Ints:
        """By loop, the strides of x."""
        table = dense(self.shape)
        return tuple(table[d] for d in self.order)

    @property
    def targets(self) -> Ints:
        """By loop, the strides of the result."""
        kept = tuple(1 if d in self.dims else n for d, n in enumerate(self.shape))
        table = dense(kept)
        return tuple(0 if d in self.dims else table[d] for d in self.order)


def wider(dtype: np.dtype[Any], reduction: Reduction) -> np.dtype[Any]:
    """The type in which to add up across rows, where memory would round every sum."""
    if reduction.how != "add" or dtype.kind != "f" or dtype.itemsize == 8:
        return dtype
    if dtype.itemsize == 2:
        return np.dtype(np.float32)
    return np.dtype(np.float64) if reduction.cols >= _LONG else dtype


def neutral(how: str, dtype: np.dtype[Any]) -> Any:
    """The number that changes nothing when combined with another."""
    if how in ("add", "logical_or"):
        return False if dtype.kind == "b" else 0
    if how in ("multiply", "logical_and"):
        return True if dtype.kind == "b" else 1
    low = how == "maximum"
    if dtype.kind == "b":
        return not low
    if dtype.kind == "f":
        return -np.inf if low else np.inf
    limits = np.iinfo(dtype)
    return limits.min if low else limits.max
