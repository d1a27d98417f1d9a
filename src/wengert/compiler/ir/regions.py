"""Regions: which places of a dense array a view looks at, and how two of them lie.

A region is a shape with strides and an offset, counted in elements of the array that it lies in,
whose elements follow each other row by row. To relate one region to another, its steps are
written in the other's coordinates (`within`): a step of 7 in a 3 x 5 array goes one row down and
two to the right. That is right for every element if none of the sums leaves the array, since
then there is no carry from one coordinate to the next.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Ints = tuple[int, ...]


class Region(NamedTuple):
    """See the text of the module."""

    shape: Ints
    strides: Ints
    offset: int = 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def params(self) -> dict[str, Any]:
        """As parameters of `strided`."""
        return {"shape": self.shape, "strides": self.strides, "offset": self.offset}


@functools.lru_cache(maxsize=4096)
def dense(shape: Ints) -> Region:
    """All of an array of a shape."""
    strides, step = [0] * len(shape), 1
    for d in reversed(range(len(shape))):
        strides[d] = step
        step *= max(shape[d], 1)
    return Region(tuple(shape), tuple(strides))


def seen(look: Callable[[np.ndarray], Any], shape: Ints) -> list[Region]:
    """The regions that a NumPy function which makes views gives of a dense array.

    NumPy is asked about an array that takes no memory: one byte pretends to be the array. The
    function must not read it, nor copy.
    """
    whole = np.lib.stride_tricks.as_strided(np.empty((), np.bool_), shape, dense(shape).strides)
    found = look(whole)
    start = whole.__array_interface__["data"][0]
    return [Region(v.shape, v.strides if v.size else (0,) * v.ndim,
                   v.__array_interface__["data"][0] - start if v.size else 0)
            for v in (found if isinstance(found, (list, tuple)) else (found,))]


class Coordinates(NamedTuple):
    """A region in the coordinates of another: where it begins, and each dimension's step."""

    start: Ints
    steps: tuple[Ints, ...]


def _digits(distance: int, strides: Ints, order: Ints) -> list[int] | None:
    """A distance as a sum of strides, the largest first."""
    digits, left = [0] * len(strides), abs(distance)
    for d in order:
        digits[d], left = divmod(left, strides[d])
    if left:
        return None
    return digits if distance >= 0 else [-n for n in digits]


@functools.lru_cache(maxsize=1 << 14)
def within(inner: Region, outer: Region) -> Coordinates | None:
    """A region in the coordinates of another; None if it is not inside, or can't be said so."""
    order = [d for d, n in enumerate(outer.shape) if n > 1]
    if any(outer.strides[d] <= 0 for d in order) or not inner.size:
        return None
    ordered = tuple(sorted(order, key=lambda d: -outer.strides[d]))
    if inner.offset < outer.offset:
        return None
    start = _digits(inner.offset - outer.offset, outer.strides, ordered)
    if start is None:
        return None
    steps, low, high = [], list(start), list(start)
    for n, stride in zip(inner.shape, inner.strides, strict=True):
        step = _digits(stride, outer.strides, ordered) if n > 1 else [0] * len(outer.shape)
        if step is None:
            return None
        steps.append(tuple(step))
        for d, digit in enumerate(step):
            low[d] += min(0, (n - 1) * digit)
            high[d] += max(0, (n - 1) * digit)
    if any(lo < 0 or hi >= n for lo, hi, n in zip(low, high, outer.shape, strict=True)):
        return None
    return Coordinates(tuple(start), tuple(steps))


def _at(steps: Coordinates, shape: Ints, strides: Ints, offset: int) -> Region:
    """What lies there in an array with these strides."""
    def far(digits: Ints) -> int:
        return sum(n * s for n, s in zip(digits, strides, strict=True))

    return Region(shape, tuple(map(far, steps.steps)), offset + far(steps.start))


def _merged(region: Region) -> Region:
    """The same places in the same order with as few dimensions as possible."""
    shape: list[int] = []
    strides: list[int] = []
    for n, stride in zip(region.shape, region.strides, strict=True):
        if n == 1:
            continue
        if shape and strides[-1] == n * stride:
            shape[-1], strides[-1] = shape[-1] * n, stride
        else:
            shape.append(n)
            strides.append(stride)
    return Region(tuple(shape), tuple(strides), region.offset)


@functools.lru_cache(maxsize=1 << 14)
def composed(outer: Region, inner: Region) -> Region | None:
    """The region that `outer` is of an array of which `inner` is a dense copy; None if there is
    none, since its elements don't lie regularly."""
    if not outer.size:
        return Region(outer.shape, (0,) * len(outer.shape))
    inner = _merged(inner)
    steps = within(outer, dense(inner.shape))
    return None if steps is None else _at(steps, outer.shape, inner.strides, inner.offset)


@functools.lru_cache(maxsize=1 << 14)
def relative(inner: Region, outer: Region) -> Region | None:
    """The region of a dense copy of `outer` that holds what `inner` looks at; None if that is not
    inside `outer`."""
    if inner == outer:
        return dense(outer.shape)
    steps = within(inner, outer)
    return None if steps is None else _at(steps, inner.shape, dense(outer.shape).strides, 0)


@functools.lru_cache(maxsize=1 << 14)
def disjoint(a: Region, b: Region, shape: Ints) -> bool:
    """Whether two regions of an array of a shape surely have no place in common."""
    if not a.size or not b.size:
        return True
    whole = dense(shape)
    first, second = within(a, whole), within(b, whole)
    if first is None or second is None:
        return False
    return any(_apart(d, (a, first), (b, second)) for d in range(len(shape)))


def _apart(d: int, *both: tuple[Region, Coordinates]) -> bool:
    """Whether two regions differ in a coordinate: one ends before the other, or they interleave."""
    spans, common = [], 0
    for region, (start, steps) in both:
        ways = [(n - 1) * step[d] for n, step in zip(region.shape, steps, strict=True)]
        spans.append((start[d] + sum(min(0, w) for w in ways),
                      start[d] + sum(max(0, w) for w in ways)))
        common = math.gcd(common, *(step[d] for step in steps))
    (low, high), (other_low, other_high) = spans
    distance = both[0][1].start[d] - both[1][1].start[d]
    return high < other_low or other_high < low or bool(
        distance % common if common else distance)


def distinct(region: Region) -> bool:
    """Whether surely no two elements of a region lie at one place."""
    reach = 0
    for stride, n in sorted((abs(s), n) for s, n in zip(
            region.strides, region.shape, strict=True)):
        if n > 1 and stride <= reach:
            return False
        reach += (n - 1) * stride
    return True
