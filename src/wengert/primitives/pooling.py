"""Pools: the largest element, or the mean, of each window of the last dimensions.

How windows lie is said by an object that can be hashed: `Sliding` for windows all alike, `Spans`
for those that have ends of their own. The place of a largest element is its index in the flattened
last dimensions, before any padding; `pooled` and `unpooled` read and add at such places.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..core import blocks, buffers, dtypes
from ..core.aval import LARGE, Aval
from ..core.formats import spatial
from ..core.primitive import linear, primitive
from ..core.remembering import remembered
from .elementwise import trunc_quotient, where
from .indexing import gather, scatter_add
from .layout import expand, index_view, reshape, unindex
from .reductions import amax, sum_
from .windows import Ints, Pairs, inside, padded, places, taps, unwindow, windows, within

Along = tuple[tuple[Any, ...], ...]
"""By dimension, indices: what all windows have in the same place."""


class Sliding(NamedTuple):
    """Windows all alike; padding before and after a dimension as numbers of elements."""

    size: Ints
    stride: Ints
    padding: Pairs
    dilation: Ints

    @property
    def sliding(self) -> dict[str, Ints]:
        """The parameters of `windows`."""
        return {"size": self.size, "stride": self.stride, "dilation": self.dilation}

    def places(self, sizes: Ints) -> Ints:
        """How many windows there are, by dimension."""
        return _counts(self, sizes)

    @property
    def apart(self) -> bool:
        """Whether no two windows have an element in common."""
        return all(d * (k - 1) < s for k, s, d in zip(
            self.size, self.stride, self.dilation, strict=True))

    def filled(self, x: np.ndarray, value: Any) -> np.ndarray:
        """x with its padding."""
        if not any(map(any, self.padding)):
            return x
        lead, sizes = x.shape[:-len(self.size)], x.shape[-len(self.size):]
        out = np.full((*lead, *padded(sizes, self.padding)), value, x.dtype)
        out[within(sizes, self.padding)] = x
        return out

    def along(self, sizes: Ints) -> Along:
        """By dimension, where windows have their elements along it, one after the other."""
        return _along(self, sizes)

    def starts(self, sizes: Ints) -> list[np.ndarray]:
        """By dimension, where windows begin: below 0, in the padding."""
        return [np.arange(n) * s - a for n, s, (a, _) in zip(
            self.places(sizes), self.stride, self.padding, strict=True)]

    def taps(self, sizes: Ints) -> Iterator[np.ndarray]:
        """The places of all elements of windows, one of each after the other; those of padding
        have no meaning."""
        starts = self.starts(sizes)
        for tap in itertools.product(*map(range, self.size)):
            yield _flat([start + k * d for start, k, d in zip(
                starts, tap, self.dilation, strict=True)], sizes)

    def first(self, sizes: Ints) -> np.ndarray:
        """The place of each window's first element that is no padding."""
        return _flat([np.where(start < 0, start % d, start)
                      for start, d in zip(self.starts(sizes), self.dilation, strict=True)], sizes)


@functools.lru_cache(maxsize=256)
def _counts(how: Sliding, sizes: Ints) -> Ints:
    return places(padded(sizes, how.padding), how.size, how.stride, how.dilation)


@functools.lru_cache(maxsize=256)
def _along(how: Sliding, sizes: Ints) -> Along:
    return tuple(tuple((..., slice(i * d, i * d + (n - 1) * s + 1, s), *(slice(None),) * behind)
                       for i in range(k))
                 for n, k, s, d, behind in zip(how.places(sizes), how.size, how.stride,
                                               how.dilation, _behind(sizes), strict=True))


def _behind(sizes: Ints) -> range:
    """By dimension, how many come after it."""
    return range(len(sizes) - 1, -1, -1)


class Spans(NamedTuple):
    """Windows with ends of their own: by dimension, where each begins, and where it ends."""

    starts: tuple[Ints, ...]
    ends: tuple[Ints, ...]

    @property
    def apart(self) -> bool:
        """Whether no two windows have an element in common."""
        return all(end <= start for starts, ends in zip(self.starts, self.ends, strict=True)
                   for start, end in zip(starts[1:], ends, strict=False))

    def places(self, sizes: Ints) -> Ints:
        """How many windows there are, by dimension."""
        return tuple(map(len, self.starts))

    def filled(self, x: np.ndarray, value: Any) -> np.ndarray:
        """x: there is no padding."""
        return x

    def indices(self) -> list[list[np.ndarray]]:
        """By dimension, an element of each window after the other; shorter windows repeat their
        last one."""
        sides = [(np.array(start, int), np.array(end, int)) for start, end in zip(
            self.starts, self.ends, strict=True)]
        return [[np.minimum(start + k, end - 1) for k in range((end - start).max(initial=1))]
                for start, end in sides]

    def along(self, sizes: Ints) -> Along:
        """By dimension, where windows have their elements along it, one after the other."""
        return _spanned(self, sizes)

    def taps(self, sizes: Ints) -> Iterator[np.ndarray]:
        """The places of all elements of windows, one of each after the other."""
        return (_flat(list(tap), sizes) for tap in itertools.product(*self.indices()))

    def first(self, sizes: Ints) -> np.ndarray:
        """The place of each window's first element."""
        return _flat([np.array(start, int) for start in self.starts], sizes)


@remembered
def _spanned(how: Spans, sizes: Ints) -> Along:
    return tuple(tuple((..., index, *(slice(None),) * behind) for index in indices)
                 for indices, behind in zip(how.indices(), _behind(sizes), strict=True))


def _flat(indices: list[np.ndarray], sizes: Ints) -> np.ndarray:
    """Indices by dimension as places, of all combinations."""
    found = np.zeros((), np.int64)
    for index, n in zip(indices, sizes, strict=True):
        found = found[..., None] * n + index
    return found


def lowest(kind: np.dtype[Any]) -> Any:
    """What is below every other number of a dtype."""
    return np.iinfo(kind).min if kind.kind in "iu" else -math.inf


# --- the largest ------------------------------------------------------------------------------


def _in_blocks(fn: Any, xs: tuple[np.ndarray, ...], dims: int, sizes: Ints,
               kind: np.dtype[Any]) -> np.ndarray:
    """What a function gives of images, which have so many dimensions: of many, a few at a time, as
    fit into the cache, on several threads. `sizes` and `kind` are those of the results."""
    if xs[0].size < LARGE:
        return fn(*xs)
    lead = xs[0].shape[:-dims]
    size = min(math.prod(lead) * math.prod(sizes), xs[0].size)  # as many as there are windows
    if size < LARGE:
        return fn(*xs)
    images = [x.reshape(-1, *x.shape[-dims:]) for x in xs]
    out = buffers.empty((math.prod(lead), *sizes), kind)

    def work(part: slice) -> None:
        out[part] = fn(*[x[part] for x in images])

    blocks.in_rows(work, len(out), size)
    return out.reshape(*lead, *sizes)


def _max_pool(x: np.ndarray, how: Any) -> np.ndarray:
    dims = len(how[0])
    return _in_blocks(functools.partial(_largest, how=how), (x,), dims,
                      how.places(x.shape[-dims:]), x.dtype)


def _max_places(x: np.ndarray, how: Any) -> np.ndarray:
    """The first of the largest elements; the last NaN, if there are any, as PyTorch has it."""
    dims = len(how[0])
    return _in_blocks(functools.partial(_largest_places, how=how), (x,), dims,
                      how.places(x.shape[-dims:]), np.dtype(np.int64))


def _largest(x: np.ndarray, how: Any) -> np.ndarray:
    """The largest along one dimension after the other."""
    sizes = x.shape[-len(how[0]):]
    x = how.filled(x, lowest(x.dtype))
    for first, *rest in reversed(how.along(sizes)):
        best = np.array(x[first], order="C")
        for tap in rest:
            np.maximum(best, x[tap], out=best)
        x = best
    return x


def _largest_places(x: np.ndarray, how: Any) -> np.ndarray:
    """The same, noting the largest element's number within its window, which takes few bytes."""
    sizes = x.shape[-len(how[0]):]
    known, begins, kind = _known(how, sizes)
    images, blank = how.filled(x, lowest(x.dtype)), bool((x != x).any())
    if images is x and not blank and 0 < x.size < _SMALL:
        each = x.reshape(*x.shape[:-len(sizes)], -1).take(known, -1)
        return known.take(each.reshape(*each.shape[:-1], *begins.shape, -1).argmax(-1) + begins)
    x, number, step = images, None, 1
    for first, *rest in reversed(how.along(sizes)):
        best = np.array(x[first], order="C")
        found = np.zeros(best.shape, kind) if number is None else number[first].copy()
        for i, tap in enumerate(rest, 1):
            each = x[tap]
            better = each > best
            if blank:
                better |= each != each
            its = i * step if number is None else number[tap] + i * step
            np.maximum(found, better.astype(kind) * its, out=found)  # later ones are larger
            np.maximum(best, each, out=best)
        x, number, step = best, found, step * (1 + len(rest))
    return known.take(number + begins)


_SMALL = 1 << 12
"""Elements up to which all that windows see is laid out, window by window."""


@remembered
def _known(how: Any, sizes: Ints) -> tuple[np.ndarray, np.ndarray, np.dtype[Any]]:
    """The places of windows' elements, window by window; where each window begins among them; and
    a dtype for numbers of elements.

    Padding is as small as what is smallest: for a first element there stands one that is none.
    """
    known = np.stack([how.first(sizes), *list(how.taps(sizes))[1:]], -1)
    begins = np.arange(0, known.size, known.shape[-1]).reshape(known.shape[:-1])
    return known.reshape(-1), begins, np.min_scalar_type(known.shape[-1])


def _pool_aval(x: Aval, how: Any) -> Aval:
    lead = x.ndim - len(how[0])
    return x.with_shape((*x.shape[:lead], *how.places(x.shape[lead:])))


def _filled(x: Any, how: Sliding) -> Any:
    """x with its padding, which is as small as can be."""
    if not any(map(any, how.padding)):
        return x
    lead = len(x.shape) - len(how.size)
    sizes = tuple(x.shape[lead:])
    border = how.filled(np.zeros(sizes, x.aval.numpy), lowest(x.aval.numpy))
    return border + unindex(x, shape=(*x.shape[:lead], *border.shape),
                            index=inside(sizes, how.padding))


_FEW = 16
"""Elements of windows up to which loops compare one after the other."""


def _compared(x: Any, how: Any) -> Any:
    """`max_places` by comparisons of all windows' elements, one after the other."""
    if isinstance(how, Spans) or math.prod(how.size) > _FEW:
        return max_places(x, how=how)
    sizes, shape = tuple(x.shape[-len(how.size):]), tuple(_pool_aval(x.aval, how).shape)
    x, known = _filled(x, how), iter(how.taps(sizes))
    next(known)
    indices = [(..., *[(part.start, part.stop, part.step) for part in tap[1:]])
               for tap in taps(how.places(sizes), **how.sliding)]
    best, found = index_view(x, index=indices[0]), expand(how.first(sizes), shape=shape)
    for index, place in zip(indices[1:], known, strict=True):
        each = index_view(x, index=index)
        better = (each > best) | (each != each)
        best, found = where(better, each, best), where(better, place, found)
    return found


def _max_by_windows(x: Any, how: Any) -> Any:
    """By way of `windows`, or of the places where these are not all alike."""
    if isinstance(how, Spans):
        return pooled(x, max_places(x, how=how), dims=len(how.starts))
    x, lead = _filled(x, how), len(x.shape) - len(how.size)
    dims = tuple(range(lead, len(x.shape)))
    return amax(windows(x, **how.sliding), dims=dims, keepdim=False)


def _sizes(x: Aval, dims: int) -> Ints:
    return tuple(x.shape[x.ndim - dims:])


_UNPOOLED = {"b": "max_pool2d", "c": "max_pool2d"}
max_places = primitive(
    "max_places", _max_places, refuses=_UNPOOLED, order=spatial,
    abstract=lambda x, how: _pool_aval(x, how).with_dtype(dtypes.int64),
    batch=lambda size, batched, x, how: max_places(x, how=how), lower=_compared)
"""Where the largest element of each window is."""
max_pool = primitive(
    "max_pool", _max_pool, abstract=_pool_aval, refuses=_UNPOOLED, decompose=_max_by_windows,
    order=spatial,
    vjp=(lambda g, x, x_aval, how: unpooled(
        g, max_places(x, how=how), sizes=_sizes(x_aval, len(how[0])), apart=how.apart),),
    jvp=(lambda t, x, how: pooled(t, max_places(x, how=how), dims=len(how[0])),),
    batch=lambda size, batched, x, how: max_pool(x, how=how), node="MaxPoolBackward0")
"""The largest element of each window."""


def _rows(x: Any, dims: int) -> Any:
    """x with its last dimensions as one."""
    shape = tuple(x.shape)
    lead = len(shape) - dims
    return reshape(x, shape=(*shape[:lead], math.prod(shape[lead:])))


def _pooled(x: Any, i: Any, dims: int) -> Any:
    found = gather(_rows(x, dims), _rows(i, dims), dim=len(x.shape) - dims)
    return reshape(found, shape=tuple(i.shape))


def _by_scatter(g: Any, i: Any, sizes: Ints, apart: bool) -> Any:
    dims = len(sizes)
    lead = tuple(g.shape[:len(g.shape) - dims])
    zeros = g.aval.plain.with_shape((*lead, math.prod(sizes))).zeros()
    found = scatter_add(zeros, _rows(i, dims), _rows(g, dims), dim=len(lead))
    return reshape(found, shape=(*lead, *sizes))


@remembered
def _beginnings(lead: Ints, sizes: Ints) -> np.ndarray:
    """Where the last dimensions, of sizes, begin in the flattened whole."""
    size = math.prod(sizes)
    return np.arange(0, math.prod(lead) * size, max(size, 1)).reshape(*lead, *(1,) * len(sizes))


def _read(x: np.ndarray, i: np.ndarray, dims: int) -> np.ndarray:
    lead = x.ndim - dims
    rows = _beginnings(x.shape[:lead], x.shape[lead:])
    return x.reshape(-1)[rows + i] if i.size else np.empty(i.shape, x.dtype)


def _unpooled(g: np.ndarray, i: np.ndarray, sizes: Ints, apart: bool) -> np.ndarray:
    return _in_blocks(functools.partial(_added, sizes=sizes, apart=apart), (g, i), len(sizes),
                      sizes, g.dtype)


def _added(g: np.ndarray, i: np.ndarray, sizes: Ints, apart: bool) -> np.ndarray:
    lead = g.shape[:g.ndim - len(sizes)]
    rows = _beginnings(lead, sizes)
    out = np.zeros(math.prod(lead) * math.prod(sizes), g.dtype)
    if apart:
        out[rows + i] = g
    else:
        np.add.at(out, (rows + i).reshape(-1), g.reshape(-1))
    return out.reshape(*lead, *sizes)


def _both(size: int, batched: tuple[bool, bool], *xs: Any) -> list[Any]:
    return [x if b else expand(x, shape=(size, *x.shape))
            for x, b in zip(xs, batched, strict=True)]


pooled = primitive(
    "pooled", _read, abstract=lambda x, i, dims: x.with_shape(i.shape), linear=(0,), order=spatial,
    vjp=(lambda g, y, x_aval, dims: unpooled(
        g, y, sizes=_sizes(x_aval, dims), apart=False), None),
    decompose=_pooled, node="MaxPoolWithIndicesBackward0",
    batch=lambda size, batched, x, i, dims: pooled(*_both(size, batched, x, i), dims=dims))
"""The elements of x at places in its last dimensions."""
unpooled = primitive(
    "unpooled", _unpooled, linear=(0,), decompose=_by_scatter, order=spatial,
    abstract=lambda g, i, sizes, apart: g.with_shape((*g.shape[:g.ndim - len(sizes)], *sizes)),
    vjp=(lambda g, y, sizes: pooled(g, y, dims=len(sizes)), None),
    batch=lambda size, batched, g, i, sizes, apart: unpooled(
        *_both(size, batched, g, i), sizes=sizes, apart=apart))
"""Zeros, with sizes in their last dimensions, to which numbers are added at places; `apart` says
that these all differ."""

# --- means ------------------------------------------------------------------------------------


class Mean(NamedTuple):
    """Windows, and what their sums are divided by.

    Attributes:
        divisor: a number; "padded" for the elements of the window as far as padding goes that is
            the same at both ends, "inside" for those that are no padding.
    """

    windows: Sliding
    divisor: int | str

    def divisors(self, sizes: Ints) -> Any:
        """What each window's sum is divided by: a number, or an array."""
        return _divisors(self, sizes)


class Step(NamedTuple):
    """What is done along a dimension.

    Attributes:
        larger: its size with padding.
        taps: for each element of a window along it, the index of what all windows have there.
        tiling: whether windows lie side by side and leave nothing out.
    """

    larger: int
    taps: tuple[Any, ...]
    tiling: bool


@remembered
def _divisors(how: Mean, sizes: Ints) -> Any:
    if isinstance(how.divisor, int):
        return how.divisor
    found = np.ones((), np.int64)
    for start, n, k, (a, _) in zip(how.windows.starts(sizes), sizes, how.windows.size,
                                   how.windows.padding, strict=True):
        low, high = (-a, n + a) if how.divisor == "padded" else (0, n)
        count = np.minimum(start + k, high) - np.maximum(start, low)
        found = found[..., None] * count
    return int(found.flat[0]) if (found == found.flat[0]).all() else found


def _over(total: np.ndarray, divisors: np.ndarray) -> np.ndarray:
    """Sums, divided; integers towards zero."""
    if total.dtype.kind in "iu":
        return np.sign(total) * np.sign(divisors) * (abs(total) // abs(divisors))
    return np.divide(total, divisors, out=...)


@remembered
def _steps(how: Mean, sizes: Ints, kind: np.dtype[Any]) -> tuple[list[Step], np.ndarray]:
    """A step per dimension, and the divisors as numbers of a kind."""
    slides, found = how.windows, []
    for larger, n, k, s, along in zip(padded(sizes, slides.padding), slides.places(sizes),
                                      slides.size, slides.stride, slides.along(sizes), strict=True):
        found.append(Step(larger, along, s == k and n * k == larger))
    return found, np.asarray(how.divisors(sizes)).astype(kind)


def _mean_pool(x: np.ndarray, how: Mean) -> np.ndarray:
    """Sums along one dimension after the other."""
    sizes = x.shape[-len(how.windows.size):]
    steps, divisors = _steps(how, sizes, x.dtype)
    total = how.windows.filled(x, 0)
    for step in steps:
        first, *rest = [total[tap] for tap in step.taps]
        total = first + rest[0] if rest else first
        for part in rest[1:]:
            total += part
    return _over(total, divisors)


def _unmean_pool(g: np.ndarray, sizes: Ints, how: Mean) -> np.ndarray:
    """The same backwards."""
    steps, divisors = _steps(how, sizes, g.dtype)
    out, d = _over(g, divisors), g.ndim
    for step in reversed(steps):
        d -= 1
        if step.tiling:
            out = out.repeat(len(step.taps), d)
            continue
        shares, out = out, np.zeros((*out.shape[:d], step.larger, *out.shape[d + 1:]), g.dtype)
        for tap in step.taps:
            target = out[tap]
            target += shares
    return out if out.shape[d:] == sizes else out[within(sizes, how.windows.padding)]


def _mean_by_windows(x: Any, how: Mean) -> Any:
    slides = how.windows
    lead = len(x.shape) - len(slides.size)
    sizes = tuple(x.shape[lead:])
    if any(map(any, slides.padding)):
        x = unindex(x, shape=(*x.shape[:lead], *padded(sizes, slides.padding)),
                    index=inside(sizes, slides.padding))
    dims = tuple(range(lead, len(x.shape)))
    total = sum_(windows(x, **slides.sliding), dims=dims, keepdim=False)
    divisors = how.divisors(sizes)
    if total.aval.dtype.is_floating_point:
        return total / divisors
    return trunc_quotient(total, np.asarray(divisors).astype(total.aval.numpy))


def _unmean_by_windows(g: Any, sizes: Ints, how: Mean) -> Any:
    slides, shape = how.windows, tuple(g.shape)
    dims = len(slides.size)
    lead, places = shape[:-dims], shape[-dims:]
    shares = reshape(g / how.divisors(sizes), shape=(*lead, *(1,) * dims, *places))
    out = unwindow(expand(shares, shape=(*lead, *slides.size, *places)),
                   sizes=padded(sizes, slides.padding), **slides.sliding)
    return index_view(out, index=inside(sizes, slides.padding))


_SUMMED = {"b": "avg_pool2d", "c": "avg_pool2d"}
mean_pool = linear(
    "mean_pool", _mean_pool, lambda g, x_aval, how: unmean_pool(
        g, sizes=_sizes(x_aval, len(how.windows.size)), how=how),
    abstract=lambda x, how: _pool_aval(x, how.windows), refuses=_SUMMED, node="AvgPoolBackward0",
    order=spatial,
    decompose=_mean_by_windows, batch=lambda size, batched, x, how: mean_pool(x, how=how))
"""The mean of each window, or its sum over another divisor."""
unmean_pool = linear(
    "unmean_pool", _unmean_pool, lambda g, how: mean_pool(g, how=how),
    abstract=lambda g, sizes, how: g.with_shape(
        (*g.shape[:g.ndim - len(sizes)], *sizes)),
    decompose=_unmean_by_windows,
    batch=lambda size, batched, g, sizes, how: unmean_pool(g, sizes=sizes, how=how))
"""What `mean_pool` takes of a cotangent back."""
