"""Where a loop nest finds the elements of a value: arithmetic on strides.

A value is thought of as laid out densely, whether or not it ever is in memory. Loops of given
sizes meet its elements at places

    offset + sum of strides[d] * loop variable d

and that is all that is ever said of an access: transposes, slices, reversals and broadcasts
(stride 0) are strides like others. Read through an operation, places are translated: those in
the result become those in the operand (`through`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from math import prod

Ints = tuple[int, ...]


class MisfitError(Exception):
    """An access that strides can't express, or a value that a nest can't have."""


class RefineError(Exception):
    """An access that strides could express if a loop were cut in two.

    Attributes:
        loop: which loop.
        inner: the size that the inner part would have.
    """

    def __init__(self, loop: int, inner: int) -> None:
        super().__init__(loop, inner)
        self.loop, self.inner = loop, inner


@functools.lru_cache(maxsize=4096)
def dense(sizes: Ints) -> Ints:
    """The strides of a dense array of a shape, in elements.

    Example:
        >>> dense((2, 3, 4))
        (12, 4, 1)
    """
    strides, step = [], 1
    for n in reversed(sizes):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def proper(sizes: Iterable[int]) -> Ints:
    """The sizes of the loops that are any: those over more than one element."""
    return tuple(n for n in sizes if n != 1)


@functools.lru_cache(maxsize=4096)
def merged(a: Ints, b: Ints) -> Ints | None:
    """The coarsest loops of which both are made by joining neighbours; None if there are none.

    Example:
        >>> merged((4, 6), (2, 12)), merged((4, 6), (6, 4))
        ((2, 2, 6), None)
    """
    cuts = sorted({*dense(a), *dense(b), prod(a)})
    if any(above % below for below, above in itertools.pairwise(cuts)):
        return None
    return tuple(above // below for below, above in itertools.pairwise(cuts))[::-1]


@functools.lru_cache(maxsize=16384)
def split(strides: Ints, sizes: Ints, finer: Ints) -> Ints:
    """Strides for loops that have been cut into finer ones."""
    found, rest = [], list(finer)
    for stride, n in zip(strides, sizes, strict=True):
        count = 1
        while count < n:
            inner = rest.pop(0)
            count *= inner
            found.append(stride * (n // count))
    return tuple(found)


@functools.lru_cache(maxsize=16384)
def indices(strides: Ints, offset: int, sizes: Ints, shape: Ints) -> tuple[tuple[Ints, int], ...]:
    """The index in each dimension of a shape, as strides and an offset, of places in it.

    Raises:
        RefineError: if a loop runs on from one row to the next.
        MisfitError: if the places are no such index.
    """
    table = [_digits(stride, shape) for stride in strides]
    starts = _digits(offset, shape)
    for d, n in enumerate(shape):
        steps = [digits[d] for digits in table]
        low = starts[d] + sum(c * (m - 1) for c, m in zip(steps, sizes, strict=True) if c < 0)
        high = starts[d] + sum(c * (m - 1) for c, m in zip(steps, sizes, strict=True) if c > 0)
        if low < 0 or high >= n:
            _cut(steps, sizes, n)
    return tuple((tuple(digits[d] for digits in table), starts[d]) for d in range(len(shape)))


def _digits(place: int, shape: Ints) -> list[int]:
    """A place as an index, dimension by dimension; that of a negative one is negative."""
    sign, place = (-1, -place) if place < 0 else (1, place)
    found = []
    for n, step in zip(shape, dense(shape), strict=True):
        digit = place // step if n != 1 else 0
        place -= digit * step
        found.append(sign * digit)
    return found


def _cut(steps: list[int], sizes: Ints, n: int) -> None:
    """Cuts the loop that runs over the end of a dimension of size n."""
    for loop, (step, size) in enumerate(zip(steps, sizes, strict=True)):
        inner = n // abs(step) if step else size
        if 1 < inner < size and n % step == 0 and size % inner == 0:
            raise RefineError(loop, inner)
    raise MisfitError


@functools.lru_cache(maxsize=16384)
def through(strides: Ints, offset: int, sizes: Ints, shape: Ints, steps: Ints,
            start: int = 0) -> tuple[Ints, int]:
    """Places in a shape, translated: index i in dimension d is at start + sum of steps[d] * i.

    Example:
        >>> through((3, 1), 0, (2, 3), (2, 3), (1, 2))  # a transpose
        ((1, 2), 0)
    """
    if offset == 0 and sizes == shape and strides == dense(shape):
        return steps, start
    found = [0] * len(sizes)
    for (coefficients, first), step in zip(indices(strides, offset, sizes, shape), steps,
                                           strict=True):
        start += first * step
        for loop, c in enumerate(coefficients):
            found[loop] += c * step
    return tuple(found), start


@functools.lru_cache(maxsize=4096)
def broadcast_steps(shape: Ints, wide: Ints) -> Ints:
    """The strides of a dense array of a shape, seen in the shape that it is broadcast to."""
    lead = len(wide) - len(shape)
    return (0,) * lead + tuple(0 if n == 1 else s
                               for n, s in zip(shape, dense(shape), strict=True))


def joinable(loop: int, sizes: Sequence[int], accesses: Iterable[Sequence[int]]) -> bool:
    """Whether a loop and the one within it are one to all accesses."""
    inner = sizes[loop + 1]
    return all(strides[loop] == strides[loop + 1] * inner for strides in accesses)


def coalesced(sizes: Ints, accesses: Iterable[Ints], barrier: int = 0) -> list[int]:
    """Which loops remain when neighbours that are one to all accesses are joined: the place of
    the innermost of each. No loops are joined across the barrier (the loop it stands before)."""
    distinct = set(accesses)
    return [d for d in range(len(sizes))
            if d + 1 == len(sizes) or d + 1 == barrier or not joinable(d, sizes, distinct)]
