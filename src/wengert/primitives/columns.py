"""Convolutions of arrays, as products of matrices.

What windows see is laid out as the columns of a matrix (Chellapilla, Puri and Simard: High
performance convolutional neural networks for document processing, 2006), for as many examples at a
time as fit into the cache, on several threads. A matrix has an example's windows.

Adding columns up to images again takes longer than laying them out. Where windows move by single
steps it is done in long pieces: there a matrix has many examples, and a column for every place in
their padded images, of which some are no windows and zeros.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..core import blocks, buffers
from ..core.aval import LARGE
from ..core.blas import in_parts
from .layout import strided
from .windows import Ints, Pairs, padded, places, taps, within

CACHED = 1 << 18
"""Elements of matrices per example that are laid out at a time."""
LONG = 1 << 19
"""Elements of matrices of many examples."""
_SMALL = 1 << 12
"""Elements of images up to which it is not asked whether they are many."""


class Geometry(NamedTuple):
    """How windows lie: numbers by dimension, for padding before and after it.

    Attributes:
        groups: the number of groups of channels that are convolved apart.
    """

    stride: Ints
    padding: Pairs
    dilation: Ints
    groups: int

    def places(self, sizes: Ints, size: Ints) -> Ints:
        """How many windows there are, by dimension, in an array of sizes."""
        return places(padded(sizes, self.padding), size, self.stride, self.dilation)

    def sliding(self, size: Ints) -> dict[str, Ints]:
        """The parameters of `windows`."""
        return {"size": size, "stride": self.stride, "dilation": self.dilation}


# --- a matrix per example ---------------------------------------------------------------------


class Plan(NamedTuple):
    """How windows of images become columns of matrices, one per example and group.

    Attributes:
        padded: the images' shape with their padding; None if there is none.
        inside: the index of the images in it.
        shape: the columns' dimensions: (examples, groups, channels, *in windows, *places).
        strides: what they are in the images' memory, in bytes.
        matrices: groups, and the matrices' rows and columns.
        places: the number of windows, by dimension.
    """

    padded: Ints | None
    inside: tuple[Any, ...]
    shape: Ints
    strides: Ints
    matrices: Ints
    places: Ints

    @property
    def size(self) -> int:
        """The elements of an example's matrices."""
        return math.prod(self.matrices)


@functools.lru_cache(maxsize=512)
def _plan(shape: Ints, itemsize: int, size: Ints, how: Geometry) -> Plan:
    count, channels, *sizes = shape
    larger, places = padded(tuple(sizes), how.padding), how.places(tuple(sizes), size)
    steps = [itemsize * math.prod(larger[d + 1:]) for d in range(len(larger))]
    plane, of_group = itemsize * math.prod(larger), channels // how.groups
    return Plan(
        None if larger == tuple(sizes) else (count, channels, *larger),
        within(tuple(sizes), how.padding),
        (count, how.groups, of_group, *size, *places),
        (plane * channels, plane * of_group, plane,
         *[n * d for n, d in zip(steps, how.dilation, strict=True)],
         *[n * s for n, s in zip(steps, how.stride, strict=True)]),
        (how.groups, of_group * math.prod(size), math.prod(places)), places)


def _padded(x: np.ndarray, plan: Plan) -> np.ndarray:
    """The images with their padding, row by row in memory."""
    if plan.padded is None:
        return np.ascontiguousarray(x)
    out = np.zeros(plan.padded, x.dtype)
    out[plan.inside] = x
    return out


def _as_matrices(w: np.ndarray, groups: int) -> np.ndarray:
    """Kernels with dimensions (groups, kernels, elements)."""
    return w.reshape(groups, w.shape[0] // groups, math.prod(w.shape[1:]))


def _rows(x: np.ndarray, groups: int) -> np.ndarray:
    """Results with dimensions (examples, groups, kernels, places)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, math.prod(x.shape[2:]))


def _blocks(part: slice, size: int) -> Iterator[slice]:
    """A part's examples, as many at a time as fit into the cache."""
    step = max(CACHED // max(size, 1), 1)
    for start in range(part.start, part.stop, step):
        yield slice(start, min(start + step, part.stop))


def _laid_out(columns: np.ndarray, plan: Plan, part: slice) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of columns as matrices, (examples, *matrices), in one memory."""
    memory = None
    for block in _blocks(part, plan.size):
        found = columns[block]
        if memory is None:
            memory = np.empty(found.shape, columns.dtype)
        np.copyto(memory[:found.shape[0]], found)
        yield block, memory[:found.shape[0]].reshape(found.shape[0], *plan.matrices)


# --- a matrix for many examples ---------------------------------------------------------------


class Long(NamedTuple):
    """How windows of many examples, side by side in memory, become columns of one matrix.

    Attributes:
        padded: the sizes of images with their padding.
        inside: the index of the images in it.
        windows: the index of the results, each at the place of its window's first element.
        offsets: how far the elements of a window lie behind its first.
        examples: how many there are at a time.
        length: the number of columns.
    """

    padded: Ints
    inside: tuple[Any, ...]
    windows: tuple[Any, ...]
    offsets: Ints
    examples: int
    length: int


@functools.lru_cache(maxsize=512)
def _long(shape: Ints, size: Ints, how: Geometry) -> Long | None:
    """How it is done for images of a shape; None where it is not worth it."""
    count, channels, *rest = shape
    sizes = tuple(rest)
    larger, counts = padded(sizes, how.padding), how.places(sizes, size)
    plane, elements = math.prod(larger), channels * math.prod(size)
    if max(how.stride) > 1 or plane > 2 * math.prod(counts) or (
            count * elements * plane <= CACHED):
        return None
    steps = [math.prod(larger[d + 1:]) for d in range(len(larger))]
    offsets = tuple(sum(k * d * step for k, d, step in zip(tap, how.dilation, steps, strict=True))
                    for tap in np.ndindex(size))
    threads = blocks.get_num_threads() if count * elements * plane >= LARGE else 1
    examples = max(min(LONG // (elements * plane), -(-count // threads)), 1)
    windows = (slice(None), slice(None), *map(slice, counts))
    return Long(larger, within(sizes, how.padding), windows, offsets, examples,
                examples * plane - offsets[-1])


def _long_input(g: np.ndarray, w: np.ndarray, shape: Ints, how: Geometry,
                long: Long) -> np.ndarray:
    """`conv_input` by long pieces."""
    kernels = _as_matrices(w, how.groups).swapaxes(1, 2)
    out = buffers.empty(shape, g.dtype)

    def work(part: slice) -> None:
        results = np.zeros((w.shape[0], long.examples, *long.padded), g.dtype)
        images = np.empty((shape[1], *results.shape[1:]), g.dtype)
        columns = np.empty((shape[1], len(long.offsets), long.length), g.dtype)
        rows = results.reshape(how.groups, w.shape[0] // how.groups, -1)[..., :long.length]
        for start in range(part.start, part.stop, long.examples):
            block = slice(start, min(start + long.examples, part.stop))
            count = block.stop - start
            results[long.windows][:, :count] = g[block].swapaxes(0, 1)
            np.matmul(kernels, rows, out=columns.reshape(how.groups, -1, long.length))
            _add_up(images.reshape(shape[1], -1), columns, long)
            out[block] = images[long.inside][:, :count].swapaxes(0, 1)

    in_parts(work, shape[0], shape[1] * len(long.offsets) * math.prod(long.padded))
    return out


def _add_up(images: np.ndarray, columns: np.ndarray, long: Long) -> None:
    """Columns as images, (channels, places)."""
    images.fill(0)
    for i, offset in enumerate(long.offsets):
        target = images[:, offset:offset + long.length]
        target += columns[:, i]


# --- the three products -----------------------------------------------------------------------


def conv(x: np.ndarray, w: np.ndarray, how: Geometry) -> np.ndarray:
    """The convolution of images by kernels."""
    plan = _plan(x.shape, x.itemsize, w.shape[2:], how)
    columns, kernels = strided(_padded(x, plan), plan.shape, plan.strides), _as_matrices(
        w, how.groups)
    shape = (x.shape[0], w.shape[0], *plan.places)
    if x.shape[0] * plan.size <= CACHED:  # all at once
        return np.matmul(kernels, columns.reshape(x.shape[0], *plan.matrices)).reshape(shape)
    out = buffers.empty(shape, x.dtype)
    rows = _rows(out, how.groups)

    def work(part: slice) -> None:
        for block, matrices in _laid_out(columns, plan, part):
            np.matmul(kernels, matrices, out=rows[block])

    in_parts(work, x.shape[0], plan.size)
    return out


def conv_input(g: np.ndarray, w: np.ndarray, sizes: Ints, how: Geometry) -> np.ndarray:
    """The transposed convolution of results by kernels: images of sizes."""
    size, channels = w.shape[2:], w.shape[1] * how.groups
    shape = (g.shape[0], channels, *sizes)
    if g.size > _SMALL and (long := _long(shape, size, how)):
        return _long_input(g, w, shape, how, long)
    plan = _plan(shape, g.itemsize, size, how)
    out = np.zeros(plan.padded or shape, g.dtype)
    rows, kernels = _rows(g, how.groups), _as_matrices(w, how.groups).swapaxes(1, 2)
    found = taps(plan.places, size, how.stride, how.dilation)

    def add_up(images: np.ndarray, rows: np.ndarray) -> None:
        columns = np.matmul(kernels, rows).reshape(
            images.shape[0], channels, len(found), *plan.places)
        for i, tap in enumerate(found):
            target = images[tap]
            target += columns[:, :, i]

    def work(part: slice) -> None:
        for block in _blocks(part, plan.size):
            add_up(out[block], rows[block])

    if g.shape[0] * plan.size <= CACHED:  # all at once
        add_up(out, rows)
    else:
        in_parts(work, g.shape[0], plan.size)
    return out if plan.padded is None else np.ascontiguousarray(out[plan.inside])


def conv_weight(x: np.ndarray, g: np.ndarray, size: Ints, how: Geometry) -> np.ndarray:
    """What images and results say of kernels of a size."""
    shape = (g.shape[1], x.shape[1] // how.groups, *size)
    plan = _plan(x.shape, x.itemsize, size, how)
    columns, rows = strided(_padded(x, plan), plan.shape, plan.strides), _rows(g, how.groups)

    if x.shape[0] * plan.size <= CACHED:  # all at once
        matrices = columns.reshape(x.shape[0], *plan.matrices).swapaxes(2, 3)
        each = np.matmul(rows, matrices)
        return (each if len(each) == 1 else np.add.reduce(each, 0)).reshape(shape)

    def work(part: slice) -> Any:
        return sum(np.matmul(rows[block], matrices.swapaxes(2, 3)).sum(0)
                   for block, matrices in _laid_out(columns, plan, part))

    return np.reshape(sum(in_parts(work, x.shape[0], plan.size)), shape)
