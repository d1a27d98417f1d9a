"""Views by strides, in which several elements may lie at one place: windows, and any other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.aval import Aval
from ..core.levels import numbers
from ..core.primitive import linear
from .layout import expand, strided

Ints = tuple[int, ...]
Layout = tuple[Ints, int]
"""Strides, counted in elements, and how many elements of the memory come before the first."""

# --- memory -----------------------------------------------------------------------------------


def _window(memory: np.ndarray, shape: Ints, strides: Ints, offset: int) -> np.ndarray:
    """Elements of a one-dimensional array by strides, as a view."""
    if 0 in shape:
        return np.empty(shape, memory.dtype)
    size = memory.itemsize
    return np.ndarray(shape, memory.dtype, memory, offset * size, tuple(s * size for s in strides))


def reach(shape: Ints, strides: Ints, offset: int) -> int:
    """How many elements of memory it takes to hold those at strides."""
    if 0 in shape:
        return 0
    return offset + 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))


def owner_of(x: np.ndarray) -> np.ndarray:
    """The array of whose memory x is a part."""
    while (base := getattr(x, "base", None)) is not None and (
            isinstance(base, np.ndarray) or hasattr(base, "base")):
        x = base  # `as_strided` puts objects of its own in between
    return x


def address(x: Any) -> int:
    """Where in memory an array begins."""
    return int(x.__array_interface__["data"][0])


def layout_of(x: np.ndarray) -> Layout | None:
    """How an array lies in the memory that it is a part of; None if it is all of it, in order."""
    owner = owner_of(x)
    if x.flags.c_contiguous and x.nbytes == getattr(owner, "nbytes", 0):
        return None
    steps = tuple(s // x.itemsize for s in x.strides)
    return steps, (address(x) - address(owner)) // x.itemsize


def memory_of(x: np.ndarray) -> np.ndarray:
    """All of the memory that an array is a part of, in one dimension."""
    owner = owner_of(x)
    order = sorted(range(owner.ndim), key=lambda d: -owner.strides[d])
    return owner.transpose(order).reshape(-1).view(x.dtype)


# --- any strides ------------------------------------------------------------------------------
#
# `as_strided` looks at the memory that its operand lies in, of which the operand is a part:
# `layout` says which. What else is in the memory is no operand: it is zero where only the
# operand's numbers are known, as among derivatives.


def _as_strided(x: np.ndarray, shape: Ints, strides: Ints, offset: int,
                layout: Layout | None) -> np.ndarray:
    memory = _memory(x, layout)
    missing = reach(shape, strides, offset) - memory.size
    if missing > 0:
        memory = np.concatenate((memory, np.zeros(missing, x.dtype)))
    return _window(memory, shape, strides, offset)


def _memory(x: np.ndarray, layout: Layout | None) -> np.ndarray:
    """The memory of the operand; where it does not lie as is said, zeros with it among them."""
    if layout is None:
        return x.ravel()
    if layout_of(x) == layout:
        return memory_of(x)
    memory = np.zeros(reach(x.shape, *layout), x.dtype)
    _window(memory, x.shape, *layout)[...] = x
    return memory


def _from_strided(x: np.ndarray, shape: Ints, strides: Ints, offset: int,
                  layout: Layout | None) -> np.ndarray:
    size = math.prod(shape) if layout is None else reach(shape, *layout)
    memory = _added(x, strides, offset, size)
    if layout is None:
        return memory[:size].reshape(shape)
    found = _window(memory, shape, *layout)
    if not _shares_places(shape, layout[0]):
        return found.copy()
    crowd = _added(np.ones(shape, x.dtype), *layout, size)
    return found / _window(crowd, shape, *layout)


def _added(x: np.ndarray, strides: Ints, offset: int, size: int) -> np.ndarray:
    """Memory of at least a size, to which x is added at strides."""
    memory = np.zeros(max(size, reach(x.shape, strides, offset)), x.dtype)
    if not x.size:
        return memory
    if not _shares_places(x.shape, strides):
        _window(memory, x.shape, strides, offset)[...] = x
    else:
        places = _window(np.arange(memory.size), x.shape, strides, offset)
        np.add.at(memory, places.reshape(-1), x.reshape(-1))
    return memory


def _shares_places(shape: Ints, strides: Ints) -> bool:
    """Whether several elements may lie at one place."""
    end = 0
    for stride, n in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n != 1):
        if stride <= end:
            return True
        end += (n - 1) * stride
    return False


def _strided_examples(size: int, batched: tuple[bool, ...], x: Any, shape: Ints, strides: Ints,
                      offset: int, layout: Layout | None) -> Any:
    array = numbers(x)
    array = array[(0,) * (array.ndim - len(x.shape)) + (Ellipsis,)]
    steps = tuple(n // array.itemsize for n in array.strides)
    lies = array[:1].flags.c_contiguous if layout is None else layout == (steps[1:], 0)
    if lies:  # each example sees the memory round it, counted from its own first element
        whole = layout_of(array)
        return as_strided(x, shape=(size, *shape), strides=(steps[0], *strides), layout=whole,
                          offset=offset + (whole[1] if whole else 0))
    each, layout = _apart(tuple(x.shape[1:]), layout, reach(shape, strides, offset))
    return as_strided(x, shape=(size, *shape), strides=(each, *strides), offset=offset,
                      layout=layout)


def _back_examples(size: int, batched: tuple[bool, ...], x: Any, shape: Ints, strides: Ints,
                   offset: int, layout: Layout | None) -> Any:
    each, layout = _apart(shape, layout, reach(tuple(x.shape[1:]), strides, offset))
    return from_strided(x, shape=(size, *shape), strides=(each, *strides), offset=offset,
                        layout=layout)


def _apart(shape: Ints, layout: Layout | None, least: int) -> tuple[int, Layout]:
    """How far apart examples of a shape lie if each has memory of its own, of a least size; and
    the layout of all of them."""
    steps, start = layout or (tuple(math.prod(shape[d + 1:]) for d in range(len(shape))), 0)
    each = max(reach(shape, steps, start), least)
    return each, ((each, *steps), start)


def _reshaped(x: Aval, shape: Ints, **params: Any) -> Aval:
    return x.with_shape(shape)


as_strided = linear(
    "as_strided", _as_strided,
    lambda g, x_aval, strides, offset, layout: from_strided(
        g, shape=x_aval.shape, strides=strides, offset=offset, layout=layout),
    abstract=_reshaped, view=True, batch=_strided_examples)
"""The elements of the memory of x that lie at an offset and multiples of strides."""
from_strided = linear(
    "from_strided", _from_strided,
    lambda g, x_aval, strides, offset, layout: as_strided(
        g, shape=x_aval.shape, strides=strides, offset=offset, layout=layout),
    abstract=_reshaped, node="AsStridedBackward0_backward", batch=_back_examples)
"""An array that lies in memory by `layout`, where x is added at strides: the transpose.

Elements of it at one place share what is added there.
"""


# --- windows ----------------------------------------------------------------------------------


def _unfold(x: np.ndarray, dim: int, size: int, step: int) -> np.ndarray:
    count = (x.shape[dim] - size) // step + 1
    shape = (*x.shape[:dim], count, *x.shape[dim + 1:], size)
    strides = (*x.strides[:dim], x.strides[dim] * step, *x.strides[dim + 1:], x.strides[dim])
    return strided(x, shape, strides)


def _unfold_aval(x: Aval, dim: int, size: int, step: int) -> Aval:
    count = (x.shape[dim] - size) // step + 1
    return x.with_shape((*x.shape[:dim], count, *x.shape[dim + 1:], size))


def _fold(x: np.ndarray, shape: Ints, dim: int, step: int) -> np.ndarray:
    out = np.zeros(shape, x.dtype)
    count, size = x.shape[dim], x.shape[-1]
    windows = _unfold(out, dim, size, step)
    if step >= size:
        windows[...] = x
        return out
    along: tuple[Any, ...] = (slice(None),) * dim
    if size <= count:  # the fewer additions
        for i in range(size):
            windows[..., i] += x[..., i]
    else:
        for i in range(count):
            windows[(*along, i)] += x[(*along, i)]
    return out


unfold = linear(
    "unfold", _unfold,
    lambda g, x_aval, dim, step: fold(g, shape=x_aval.shape, dim=dim, step=step),
    abstract=_unfold_aval, view=True,
    batch=lambda size_, batched, x, dim, size, step: unfold(
        x, dim=dim + 1, size=size, step=step))
"""Windows of a size along a dimension, `step` apart, as a last dimension."""
fold = linear(
    "fold", _fold,
    lambda g, x_aval, dim, step: unfold(g, dim=dim, size=x_aval.shape[-1], step=step),
    abstract=lambda x, shape, dim, step: x.with_shape(shape), node="UnfoldBackward0_backward",
    batch=lambda size, batched, x, shape, dim, step: fold(
        x, shape=(size, *shape), dim=dim + 1, step=step))
"""Zeros of a shape to whose windows x is added: the transpose of `unfold`."""

OVERLAPPING = frozenset((expand.name, as_strided.name, unfold.name))
"""The views in which several elements may lie at one place."""
