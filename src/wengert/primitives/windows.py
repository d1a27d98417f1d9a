"""Windows: what a kernel sees of the last dimensions as it slides over them.

Convolutions and pools read windows, and their gradients add to them. `size`, `stride` and
`dilation` have a number per dimension: the elements of a window, and the steps from a window to
the next one and from an element of it to the next one.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from ..core.aval import Aval
from ..core.primitive import linear
from .layout import strided

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def padded(sizes: Ints, padding: Pairs) -> Ints:
    """Sizes with padding: by dimension, as many elements before and after."""
    return tuple(n + a + b for n, (a, b) in zip(sizes, padding, strict=True))


def inside(sizes: Ints, padding: Pairs) -> tuple[Any, ...]:
    """Where what is of sizes lies in its padding: the index of its last dimensions, as primitives
    have it."""
    return (..., *[(a, a + n, 1) for n, (a, _) in zip(sizes, padding, strict=True)])


def within(sizes: Ints, padding: Pairs) -> tuple[Any, ...]:
    """The same as an index of arrays."""
    return (..., *[slice(a, a + n) for n, (a, _) in zip(sizes, padding, strict=True)])


@functools.lru_cache(maxsize=512)
def places(spatial: Ints, size: Ints, stride: Ints, dilation: Ints) -> Ints:
    """How many windows fit, by dimension."""
    return tuple((n - d * (k - 1) - 1) // s + 1
                 for n, k, s, d in zip(spatial, size, stride, dilation, strict=True))


@functools.lru_cache(maxsize=256)
def taps(out: Ints, size: Ints, stride: Ints, dilation: Ints) -> tuple[tuple[Any, ...], ...]:
    """For each element of a window, in order: the index of what all windows have there."""
    return tuple((..., *[slice(k * d, k * d + (n - 1) * s + 1, s) for k, n, s, d in zip(
        tap, out, stride, dilation, strict=True)]) for tap in itertools.product(*map(range, size)))


def add_windows(out: np.ndarray, x: np.ndarray, size: Ints, stride: Ints, dilation: Ints) -> None:
    """Adds windows to where they lie in `out`."""
    lead = x.ndim - 2 * len(size)
    found = taps(x.shape[lead + len(size):], size, stride, dilation)
    for tap, index in zip(np.ndindex(size), found, strict=True):
        target = out[index]
        target += x[(*(slice(None),) * lead, *tap)]


def _windows(x: np.ndarray, size: Ints, stride: Ints, dilation: Ints) -> np.ndarray:
    lead = x.ndim - len(size)
    out = places(x.shape[lead:], size, stride, dilation)
    steps = x.strides[lead:]
    return strided(x, (*x.shape[:lead], *size, *out), (
        *x.strides[:lead], *[n * d for n, d in zip(steps, dilation, strict=True)],
        *[n * s for n, s in zip(steps, stride, strict=True)]))


def _windows_aval(x: Aval, size: Ints, stride: Ints, dilation: Ints) -> Aval:
    lead = x.ndim - len(size)
    return x.with_shape((*x.shape[:lead], *size, *places(x.shape[lead:], size, stride, dilation)))


def _unwindow(x: np.ndarray, sizes: Ints, size: Ints, stride: Ints, dilation: Ints) -> np.ndarray:
    out = np.zeros((*x.shape[:x.ndim - 2 * len(size)], *sizes), x.dtype)
    add_windows(out, x, size, stride, dilation)
    return out


windows = linear(
    "windows", _windows, lambda g, x_aval, size, stride, dilation: unwindow(
        g, sizes=tuple(x_aval.shape[x_aval.ndim - len(size):]), size=size, stride=stride,
        dilation=dilation),
    abstract=_windows_aval, view=True, node="UnfoldBackward0",
    batch=lambda count, batched, x, **params: windows(x, **params))
"""The windows of x, a view: dimensions inside them, then those of their places, come last."""
unwindow = linear(
    "unwindow", _unwindow, lambda g, size, stride, dilation: windows(
        g, size=size, stride=stride, dilation=dilation),
    abstract=lambda x, sizes, size, stride, dilation: x.with_shape(
        (*x.shape[:x.ndim - 2 * len(size)], *sizes)), node="UnfoldBackward0_backward",
    batch=lambda count, batched, x, **params: unwindow(x, **params))
"""Zeros, with sizes in their last dimensions, to which windows are added where they lie."""
