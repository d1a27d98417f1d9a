"""Primitives that put elements in order, or find the place of one by its rank.

All of them find places alone, which have no derivative: values are then picked there, and
their gradient is put there.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from ..core import dtypes
from ..core.aval import LARGE, Aval
from ..core.blocks import in_rows
from ..core.buffers import empty
from ..core.formats import alike
from ..core.primitive import primitive
from .indexing import gather_apart, gathered, scatter_add, send_apart
from .layout import expand, reshape
from .reductions import Dims, from_ties, rows_of, to_ties

_SHORT, _LONG, _LONGEST = 1 << 3, 1 << 10, 1 << 32


def _places_aval(x: Aval, dim: int, **params: Any) -> Aval:
    return x.with_dtype(dtypes.int64)


def _place_aval(x: Aval, dim: int, keepdim: bool, **params: Any) -> Aval:
    kept = (1,) if keepdim else ()
    return x.with_shape((*x.shape[:dim], *kept, *x.shape[dim + 1:])).with_dtype(dtypes.int64)


# --- order ------------------------------------------------------------------------------------


def _argsort(x: np.ndarray, dim: int, descending: bool, stable: bool) -> np.ndarray:
    if (x.shape[dim] >= _LONG or (x.size >= LARGE and x.shape[dim] >= _SHORT)) and (
            x.shape[dim] < _LONGEST and x.itemsize <= 4):
        return _argsort_keys(np.moveaxis(x, dim, -1), descending, dim)
    if not descending:
        return x.argsort(dim, stable=stable)
    flip = (slice(None),) * dim + (slice(None, None, -1),)
    return x.shape[dim] - 1 - x[flip].argsort(dim, stable=stable)[flip]


def _argsort_keys(x: np.ndarray, descending: bool, dim: int) -> np.ndarray:
    """Sorts integers made of an element and its place: fast, and stable by itself."""
    found = empty(x.shape, np.dtype(np.int64))
    steps = np.arange(x.shape[-1], dtype=np.uint64)

    def work(part: slice) -> None:
        keys = found[part].view(np.uint64)
        keys[...] = _ordered(x[part], descending)
        keys <<= np.uint64(32)
        keys |= steps
        keys.sort(-1)
        keys &= np.uint64(0xFFFFFFFF)

    _in_rows(work, x)
    return np.ascontiguousarray(np.moveaxis(found, -1, dim))


def _in_rows(work: Callable[[slice], None], x: np.ndarray) -> None:
    """Works on parts of x along its first dimension, if it is not the last."""
    if x.ndim > 1:
        in_rows(work, len(x), x.size)
    else:
        work(slice(None))


def _ordered(x: np.ndarray, descending: bool) -> np.ndarray:
    """Elements of up to four bytes as unsigned integers in the same order (or the opposite):
    both zeros are one, and NaN comes last."""
    if x.dtype.kind == "f":
        x = x.astype(np.float32) + np.float32(0)
        x[np.isnan(x)] = np.nan
        bits = x.view(np.int32)
        bits ^= (bits >> 31) | np.int32(-1 << 31)
        keys = bits.view(np.uint32)
    else:
        keys = (x.astype(np.int64) + (1 << 31)).astype(np.uint32)
    return ~keys if descending else keys


argsort = primitive("argsort", _argsort, abstract=_places_aval, order=alike,
                    refuses={"c": RuntimeError(" Sort does not support complex dtypes on CPU")})
sort_values = gather_apart.named("SortBackward0", order=alike)


def _top_places(x: np.ndarray, dim: int, k: int, largest: bool) -> np.ndarray:
    """Where the k largest (or smallest) elements are, in order."""
    n = x.shape[dim]
    if not k or 8 * k > n:
        return _argsort(x, dim, largest, True)[(*(slice(None),) * dim, slice(k))].copy()
    rows = np.moveaxis(x, dim, -1)
    found = np.empty((*rows.shape[:-1], k), np.int64)

    def work(part: slice) -> None:
        some, into = rows[part].reshape(-1, n), found[part]
        into[...] = _best(some, k, largest).reshape(into.shape)

    _in_rows(work, rows)
    order = _argsort(np.take_along_axis(rows, found, -1), rows.ndim - 1, largest, True)
    return np.moveaxis(np.take_along_axis(found, order, -1), -1, dim)


def _best(x: np.ndarray, k: int, largest: bool) -> np.ndarray:
    """The places of the k best in each row, in any order. To find the last of them by its value
    is quicker than by its place, but leaves open which of equal ones to take, and misses NaN."""
    n = x.shape[1]
    rank = n - k if largest else k - 1
    last = np.partition(x, rank, 1)[:, rank, None]
    places = np.flatnonzero(x >= last if largest else x <= last)
    if len(places) == k * len(x):
        found = places.reshape(-1, k) - np.arange(0, x.size, n)[:, None]
        if ((found >= 0) & (found < n)).all():
            return found
    return x.argpartition(rank, 1)[:, n - k if largest else 0:][:, :k]


top_places = primitive(
    "top_places", _top_places, abstract=lambda x, dim, k, largest: x.with_shape(
        k if d == dim else n for d, n in enumerate(x.shape)).with_dtype(dtypes.int64),
    refuses={"c": RuntimeError(" topk does not support complex dtypes on CPU"),
             "b": RuntimeError("topk does not support bool dtypes on CPU")})
top_values = gather_apart.named("TopkBackward0")

# --- one element by its rank ------------------------------------------------------------------


def _kept(shape: tuple[int, ...], ndim: int, dim: int) -> tuple[int, ...]:
    """A shape with the dimension, of size 1, that it may lack."""
    return shape if len(shape) == ndim else (*shape[:dim], 1, *shape[dim:])


def _pick(x: np.ndarray, y: np.ndarray, dim: int) -> np.ndarray:
    if x.ndim == 1:
        return x[y, ...]
    return gathered(x, y.reshape(_kept(y.shape, x.ndim, dim)), dim).reshape(y.shape)


def _unpick(x: np.ndarray, y: np.ndarray, shape: tuple[int, ...], dim: int) -> np.ndarray:
    out = np.zeros(shape, x.dtype)
    if len(shape) == 1:
        out[y] = x
    else:
        kept = _kept(y.shape, len(shape), dim)
        send_apart(out, y.reshape(kept), x.reshape(kept), dim)
    return out


def _lower_unpick(x: Any, y: Any, shape: tuple[int, ...], dim: int) -> Any:
    x, y = (reshape(v, shape=_kept(tuple(v.shape), len(shape), dim)) for v in (x, y))
    return scatter_add(np.zeros(shape, np.dtype(x.dtype)), y, x, dim=dim)


pick = primitive(
    "pick", _pick, abstract=lambda x, y, dim: x.with_shape(y.shape), linear=(0,), halves=True,
    vjp=(lambda g, y, x_aval, dim: unpick(g, y, shape=x_aval.shape, dim=dim), None))
"""The one element along a dimension that an index points at, which has size 1 there or lacks it."""
unpick = primitive(
    "unpick", _unpick, abstract=lambda x, y, shape, dim: x.with_shape(shape), linear=(0,),
    halves=True, vjp=(lambda g, y, dim: pick(g, y, dim=dim), None), lower=_lower_unpick,
    node="ValueSelectingReductionBackward0")
"""Zeros of a shape, with x where `pick` has it from."""
pick_max, pick_min = pick.named("MaxBackward0"), pick.named("MinBackward0")
pick_median, pick_nanmedian = pick.named("MedianBackward1"), pick.named("NanmedianBackward1")
pick_kth, pick_mode = pick.named("KthvalueBackward0"), pick.named("ModeBackward0")


def _first(x: np.ndarray, value: np.ndarray, dim: int, keepdim: bool) -> np.ndarray:
    """Where a value, or a NaN if it is one, is found first along a dimension."""
    hit = x == value
    if value.dtype.kind == "f" and np.count_nonzero(lost := np.isnan(value)):
        hit |= lost & np.isnan(x)
    return hit.argmax(dim, keepdims=keepdim)


def _ranked(x: np.ndarray, k: int, axis: int) -> np.ndarray:
    """The element of rank k (from 0) along an axis, which is kept."""
    inorder = x.copy()
    inorder.partition(k, axis)
    return inorder[(*(slice(None),) * (axis % x.ndim), slice(k, k + 1))]


def _middle(x: np.ndarray, axis: int, ignore_nan: bool) -> np.ndarray:
    """The lower median along an axis, which is kept."""
    n = x.shape[axis]
    lost = np.isnan(x) if x.dtype.kind == "f" else np.zeros((), bool)
    if not np.count_nonzero(lost):
        return _ranked(x, (n - 1) // 2, axis)
    if not ignore_nan:
        return np.where(lost.any(axis, keepdims=True), np.nan,
                        _ranked(x, (n - 1) // 2, axis)).astype(x.dtype)
    rank = np.maximum(n - 1 - lost.sum(axis, keepdims=True), 0) // 2
    return np.take_along_axis(np.sort(x, axis), rank, axis)


kth_place = primitive(
    "kth_place", lambda x, dim, keepdim, k: _first(x, _ranked(x, k - 1, dim), dim, keepdim),
    abstract=_place_aval, refuses={"bc": "kthvalue_cpu"})
median_place = primitive(
    "median_place", lambda x, dim, keepdim, ignore_nan: _first(
        x, _middle(x, dim, ignore_nan), dim, keepdim),
    abstract=_place_aval, refuses={"bc": "median_cpu"})


def _rank_places(x: np.ndarray, dim: int, ranks: tuple[int, ...]) -> list[np.ndarray]:
    order, lead = _argsort(x, dim, False, True), (slice(None),) * dim
    last = order[(*lead, slice(-1, None))]
    lost = np.isnan(gathered(x, last, dim))
    found = [order[(*lead, slice(rank, rank + 1))] for rank in ranks]
    if np.count_nonzero(lost):
        found = [np.where(lost, last, place) for place in found]
    return [place.squeeze(dim) for place in found]


rank_places = primitive(
    "rank_places", _rank_places, multiple=True, jvp=lambda t, ranks: [None] * len(ranks),
    abstract=lambda x, dim, ranks: (_place_aval(x, dim, False),) * len(ranks),
    batch=lambda size, batched, x, dim, ranks: rank_places(x, dim=dim + 1, ranks=ranks))
"""Where the elements of some ranks (from 0) are, of equal ones in order; where a NaN is, if there
is one."""
pick_ranked = pick.named("GatherBackward0")


def _mode_place(x: np.ndarray, dim: int, keepdim: bool) -> np.ndarray:
    """The last place of the element met most often, of the smallest one if several are."""
    order = np.moveaxis(_argsort(x, dim, False, True), dim, -1)
    inorder = np.take_along_axis(np.moveaxis(x, dim, -1), order, -1)
    steps = np.arange(x.shape[dim])
    begins = np.zeros(order.shape, np.int64)
    begins[..., 1:] = np.where(inorder[..., 1:] != inorder[..., :-1], steps[1:], 0)
    length = steps - np.maximum.accumulate(begins, -1)
    place = np.argmax(length, -1, keepdims=True)
    found = np.moveaxis(np.take_along_axis(order, place, -1), -1, dim)
    return found if keepdim else found.squeeze(dim)


mode_place = primitive("mode_place", _mode_place, abstract=_place_aval, refuses={"c": "mode_cpu"})


def _median(x: np.ndarray, dims: Dims, ignore_nan: bool) -> np.ndarray:
    rows = rows_of(x, dims)
    if rows.shape[-1]:
        return _middle(rows, -1, ignore_nan)[..., 0]
    nothing = np.nan if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return np.full(rows.shape[:-1], nothing, x.dtype)


median = primitive(
    "median", _median, refuses={"bc": "median_cpu"},
    abstract=lambda x, dims, ignore_nan: x.with_shape(
        n for d, n in enumerate(x.shape) if d not in dims),
    vjp=(to_ties,), jvp=(from_ties,))
nanmedian = median.named("NanmedianBackward0")

# --- places in a sorted sequence --------------------------------------------------------------


def _searchsorted(x: np.ndarray, y: np.ndarray, right: bool) -> np.ndarray:
    """Where each y would go into x; into the row of x at its place, if there are several."""
    if x.ndim == 1:
        return x.searchsorted(y, "right" if right else "left")
    if (x.size and y.size >= LARGE and y.shape[-1] >= _WORTH
            and not np.isnan(x[..., -1]).any()):
        return _searched_by_rows(x, y, "right" if right else "left")
    low, high = np.zeros(y.shape, np.int64), np.full(y.shape, x.shape[-1])
    for _ in range(x.shape[-1].bit_length()):
        middle = (low + high) // 2
        found = np.take_along_axis(x, np.minimum(middle, x.shape[-1] - 1), -1)
        beyond = (low < high) & ~(found > y if right else found >= y)
        low, high = np.where(beyond, middle + 1, low), np.where(beyond, high, middle)
    return low


_WORTH = 64
"""The searches in a row that outweigh a call for it."""


def _searched_by_rows(x: np.ndarray, y: np.ndarray, side: Literal["left", "right"]) -> np.ndarray:
    rows, wanted = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    found = np.empty(wanted.shape, np.int64)

    def work(part: slice) -> None:
        for i in range(part.start, part.stop):
            found[i] = rows[i].searchsorted(wanted[i], side)

    in_rows(work, len(rows), y.size)
    return found.reshape(y.shape)


def _searchsorted_examples(size: int, batched: tuple[bool, bool], x: Any, y: Any,
                           right: bool) -> Any:
    if not batched[0] and len(x.shape) == 1:
        return searchsorted(x, y, right=right)
    x, y = (v if b else expand(v, shape=(size, *v.shape))
            for v, b in zip((x, y), batched, strict=True))
    shape = tuple(y.shape)
    y = reshape(y, shape=(*x.shape[:-1], math.prod(shape[len(x.shape) - 1:])))
    return reshape(searchsorted(x, y, right=right), shape=shape)


searchsorted = primitive(
    "searchsorted", _searchsorted, batch=_searchsorted_examples,
    abstract=lambda x, y, right: y.with_dtype(dtypes.int64), refuses={"c": "searchsorted_out_cpu"})

# --- counts -----------------------------------------------------------------------------------


def _histc(x: np.ndarray, bins: int, low: float, high: float) -> np.ndarray:
    """How many elements of each row are in each bin."""
    if x.ndim == 1:
        return _counted(x, bins, *_span(x, low, high)).astype(x.dtype)
    return np.array([_histc(row, bins, low, high) for row in x]).reshape(*x.shape[:-1], bins)


def _span(x: np.ndarray, low: float, high: float) -> tuple[Any, Any]:
    """Where bins begin and end, as numbers of x's dtype."""
    first, last = x.dtype.type(low), x.dtype.type(high)
    if low == high and x.size:
        first, last = np.minimum.reduce(x), np.maximum.reduce(x)
    if not (math.isfinite(first) and math.isfinite(last)):
        raise RuntimeError(f"torch.histc: range of [{first}, {last}] is not finite")
    return (first, last) if first != last else (first - 1, last + 1)


def _counted(x: np.ndarray, bins: int, first: Any, last: Any) -> np.ndarray:
    """How many elements are in each bin; what is in none is counted in one beyond them."""
    counts, lock = np.zeros(bins, np.int64), threading.Lock()

    def work(part: slice) -> None:
        some = x[part]
        place = ((some - first) * bins / (last - first)).astype(np.int64)
        place = np.minimum(place, bins - 1, out=place)
        place[(some < first) | ~(some <= last)] = bins
        own = np.bincount(place, minlength=bins + 1)[:-1]
        with lock:
            counts[...] += own

    in_rows(work, x.size, x.size)
    return counts


histc = primitive("histc", _histc,
                  abstract=lambda x, bins, low, high: x.with_shape((*x.shape[:-1], bins)))
