"""Primitives that put elements in order, or find the place of one by its rank.

All of them find places alone, which have no derivative: values are then picked there, and
their gradient is put there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.aval import Aval
from ..core.primitive import primitive
from .indexing import gather, scatter_add
from .layout import expand, reshape
from .reductions import Dims, from_ties, rows_of, to_ties

_LONG, _LONGEST = 1 << 10, 1 << 32


def _places_aval(x: Aval, dim: int, **params: Any) -> Aval:
    return x.with_dtype(dtypes.int64)


def _place_aval(x: Aval, dim: int, **params: Any) -> Aval:
    return x.with_shape(1 if d == dim else n for d, n in enumerate(x.shape)).with_dtype(
        dtypes.int64)


# --- order ------------------------------------------------------------------------------------


def _argsort(x: np.ndarray, dim: int, descending: bool, stable: bool) -> np.ndarray:
    if _LONG <= x.shape[dim] < _LONGEST and x.itemsize <= 4:
        return _argsort_keys(np.moveaxis(x, dim, -1), descending, dim)
    if not descending:
        return x.argsort(dim, stable=stable)
    flip = (slice(None),) * dim + (slice(None, None, -1),)
    return x.shape[dim] - 1 - x[flip].argsort(dim, stable=stable)[flip]


def _argsort_keys(x: np.ndarray, descending: bool, dim: int) -> np.ndarray:
    """Sorts integers made of an element and its place: fast, and stable by itself."""
    keys = _ordered(x, descending).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(x.shape[-1], dtype=np.uint64)
    keys.sort(axis=-1)
    keys &= np.uint64(0xFFFFFFFF)
    return np.ascontiguousarray(np.moveaxis(keys.view(np.int64), -1, dim))


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


argsort = primitive("argsort", _argsort, abstract=_places_aval,
                    refuses={"c": RuntimeError(" Sort does not support complex dtypes on CPU")})
sort_values = gather.named("SortBackward0")


def _top_places(x: np.ndarray, dim: int, k: int, largest: bool) -> np.ndarray:
    """Where the k largest (or smallest) elements are, in order."""
    n = x.shape[dim]
    if not k or 8 * k > n:
        return _argsort(x, dim, largest, True)[(slice(None),) * dim + (slice(k),)]
    found = np.argpartition(x, n - k if largest else k - 1, axis=dim)
    found = np.take(found, range(n - k, n) if largest else range(k), axis=dim)
    order = _argsort(np.take_along_axis(x, found, dim), dim, largest, True)
    return np.take_along_axis(found, order, dim)


top_places = primitive(
    "top_places", _top_places, abstract=lambda x, dim, k, largest: x.with_shape(
        k if d == dim else n for d, n in enumerate(x.shape)).with_dtype(dtypes.int64),
    refuses={"c": RuntimeError(" topk does not support complex dtypes on CPU"),
             "b": RuntimeError("topk does not support bool dtypes on CPU")})
top_values = gather.named("TopkBackward0")

# --- one element by its rank ------------------------------------------------------------------


def _pick(x: np.ndarray, y: np.ndarray, dim: int, keepdim: bool) -> np.ndarray:
    found = x[y] if x.ndim == 1 else np.take_along_axis(x, y, dim)
    return found if keepdim else found.reshape(found.shape[:dim] + found.shape[dim + 1:])


def _pick_aval(x: Aval, y: Aval, dim: int, keepdim: bool) -> Aval:
    return x.with_shape(y.shape if keepdim else y.shape[:dim] + y.shape[dim + 1:])


pick = primitive(
    "pick", _pick, abstract=_pick_aval, linear=(0,),
    vjp=(lambda g, y, x_aval, y_aval, dim: scatter_add(
        x_aval.zeros(), y, reshape(g, shape=y_aval.shape), dim=dim), None))
"""The one element along a dimension that an index (of size 1 there) points at."""
pick_max, pick_min = pick.named("MaxBackward0"), pick.named("MinBackward0")
pick_median, pick_nanmedian = pick.named("MedianBackward1"), pick.named("NanmedianBackward1")
pick_kth, pick_mode = pick.named("KthvalueBackward0"), pick.named("ModeBackward0")


def _first(x: np.ndarray, value: np.ndarray, dim: int) -> np.ndarray:
    """Where a value, or a NaN if it is one, is found first along a dimension."""
    hit = x == value
    if value.dtype.kind == "f" and (lost := np.isnan(value)).any():
        hit |= lost & np.isnan(x)
    return np.argmax(hit, dim, keepdims=True)


def _ranked(x: np.ndarray, k: int, axis: int) -> np.ndarray:
    """The element of rank k (from 0) along an axis, which is kept."""
    return np.take(np.partition(x, k, axis), [k], axis)


def _middle(x: np.ndarray, axis: int, ignore_nan: bool) -> np.ndarray:
    """The lower median along an axis, which is kept."""
    n = x.shape[axis]
    lost = np.isnan(x) if x.dtype.kind == "f" else np.zeros((), bool)
    if not lost.any():
        return _ranked(x, (n - 1) // 2, axis)
    if not ignore_nan:
        return np.where(lost.any(axis, keepdims=True), np.nan,
                        _ranked(x, (n - 1) // 2, axis)).astype(x.dtype)
    rank = np.maximum(n - 1 - lost.sum(axis, keepdims=True), 0) // 2
    return np.take_along_axis(np.sort(x, axis), rank, axis)


kth_place = primitive(
    "kth_place", lambda x, dim, k: _first(x, _ranked(x, k - 1, dim), dim), abstract=_place_aval,
    refuses={"bc": "kthvalue_cpu"})
median_place = primitive(
    "median_place", lambda x, dim, ignore_nan: _first(x, _middle(x, dim, ignore_nan), dim),
    abstract=_place_aval, refuses={"bc": "median_cpu"})


def _mode_place(x: np.ndarray, dim: int) -> np.ndarray:
    """The last place of the element met most often, of the smallest one if several are."""
    order = np.moveaxis(_argsort(x, dim, False, True), dim, -1)
    inorder = np.take_along_axis(np.moveaxis(x, dim, -1), order, -1)
    steps = np.arange(x.shape[dim])
    begins = np.zeros(order.shape, np.int64)
    begins[..., 1:] = np.where(inorder[..., 1:] != inorder[..., :-1], steps[1:], 0)
    length = steps - np.maximum.accumulate(begins, -1)
    place = np.argmax(length, -1, keepdims=True)
    return np.moveaxis(np.take_along_axis(order, place, -1), -1, dim)


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
        return np.searchsorted(x, y, "right" if right else "left")
    low, high = np.zeros(y.shape, np.int64), np.full(y.shape, x.shape[-1])
    for _ in range(x.shape[-1].bit_length()):
        middle = (low + high) // 2
        found = np.take_along_axis(x, np.minimum(middle, x.shape[-1] - 1), -1)
        beyond = (low < high) & ~(found > y if right else found >= y)
        low, high = np.where(beyond, middle + 1, low), np.where(beyond, high, middle)
    return low


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
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    first, last = np.asarray(low, x.dtype), np.asarray(high, x.dtype)
    if low == high and x.size:
        first, last = rows.min(1, keepdims=True), rows.max(1, keepdims=True)
    if not (np.isfinite(first) & np.isfinite(last)).all():
        raise RuntimeError(f"torch.histc: range of [{first.flat[0]}, {last.flat[0]}] is not finite")
    first, last = np.where(first == last, (first - 1, last + 1), (first, last))
    inside = (rows >= first) & (rows <= last)
    place = ((rows - first) * bins / (last - first))[inside].astype(np.int64)
    place = np.minimum(place, bins - 1)
    if len(rows) > 1:
        place += bins * np.nonzero(inside)[0]
    counts = np.bincount(place, minlength=len(rows) * bins)
    return counts.reshape(*x.shape[:-1], bins).astype(x.dtype)


histc = primitive("histc", _histc,
                  abstract=lambda x, bins, low, high: x.with_shape((*x.shape[:-1], bins)))
