"""Primitives that read and write by index tensors and masks.

`pattern` says how an index is put together, and can be hashed: an int is the place of the next
index operand, a (start, stop, step) tuple a slice, None a new axis, Ellipsis itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.aval import Aval
from ..core.primitive import primitive
from .layout import contiguous, expand, index_view, permute, reshape, sum_to, unindex

Pattern = tuple[Any, ...]


def _numpy_index(pattern: Pattern, indices: tuple[np.ndarray, ...]) -> tuple[Any, ...]:
    return tuple(indices[p] if type(p) is int else slice(*p) if type(p) is tuple else p
                 for p in pattern)


def _index(x: np.ndarray, *indices: np.ndarray, pattern: Pattern) -> np.ndarray:
    return np.asarray(x[_numpy_index(pattern, indices)], order="C")  # NumPy's own order varies


def _put(x: np.ndarray, y: np.ndarray, *indices: np.ndarray, pattern: Pattern,
         accumulate: bool) -> np.ndarray:
    out = np.array(x)
    _store(out, y, *indices, pattern=pattern, accumulate=accumulate)
    return out


def _store(x: np.ndarray, y: np.ndarray, *indices: np.ndarray, pattern: Pattern,
           accumulate: bool) -> None:
    where = _numpy_index(pattern, indices)
    if accumulate:
        np.add.at(x, where, y)
    else:
        x[where] = y


def _index_aval(x: Aval, *indices: Aval, pattern: Pattern) -> Aval:
    return x.with_shape(_index_shape(x.shape, indices, (False,) * len(indices), pattern))


def _put_aval(x: Aval, y: Aval, *indices: Aval, pattern: Pattern, accumulate: bool) -> Aval:
    shape = _index_aval(x, *indices, pattern=pattern).shape
    fits = y.ndim <= len(shape) and all(
        n in (1, m) for n, m in zip(reversed(y.shape), reversed(shape), strict=False))
    if not fits:
        raise RuntimeError(f"shape mismatch: value tensor of shape {list(y.shape)} cannot be "
                           f"broadcast to indexing result of shape {list(shape)}")
    return x


def _index_pullback(g: Any, from_1: list[Any], x_aval: Aval, i: int, pattern: Pattern) -> Any:
    zeros = x_aval.zeros()
    return index_put(zeros, g, *from_1, pattern=pattern, accumulate=True) if i == 0 else None


def _put_pullback(g: Any, from_2: list[Any], avals: tuple[Aval, ...], i: int, pattern: Pattern,
                  accumulate: bool) -> Any:
    if i == 0:
        return g if accumulate else index_put(g, np.zeros((), avals[0].numpy), *from_2,
                                              pattern=pattern, accumulate=False)
    if i == 1:
        return sum_to(index(g, *from_2, pattern=pattern), shape=avals[1].shape)
    return None


_WHOLE = (None, None, None)


def index_parts(pattern: Pattern, ndim: int) -> tuple[Pattern | None, Pattern]:
    """An index in two steps: a basic one (None if it would do nothing), and one of what that
    leaves, which has a place for each of its dimensions: an operand's, or the whole."""
    named = sum(p is not None and p is not Ellipsis for p in pattern)
    rest = (_WHOLE,) * (ndim - named)
    at = pattern.index(Ellipsis) if Ellipsis in pattern else len(pattern)
    full = (*pattern[:at], *rest, *pattern[at + 1:])
    view = tuple(_WHOLE if type(p) is int else p for p in full)
    left = tuple(p if type(p) is int else _WHOLE for p in full)
    return None if set(view) <= {_WHOLE} else (*view, Ellipsis), left


def _lower_index(x: Any, *indices: Any, pattern: Pattern) -> Any:
    view, rest = index_parts(pattern, len(x.shape))
    return index(x if view is None else index_view(x, index=view), *indices, pattern=rest)


# Under batching the examples' dimension comes first among the operands' dimensions, but NumPy puts
# what index arrays give where they stand if they stand together, and else in front of everything.


def _together(pattern: Pattern) -> int | None:
    """The place of the first index array, if all stand together; None if they do not."""
    places = [i for i, p in enumerate(pattern) if type(p) is int]
    together = places == list(range(places[0], places[0] + len(places)))
    return places[0] if together else None


class _Examples:
    """How to index all examples at once, and how the result's dimensions then lie.

    Attributes:
        pattern, indices: what to index the operand by, where it has the examples' dimension.
        dims: the dimensions of the result in order: the examples', then as for one example.
    """

    def __init__(self, size: int, batched: Sequence[bool], indices: Sequence[Any],
                 pattern: Pattern, ndim: int) -> None:
        shifted = tuple(p + 1 if type(p) is int and any(batched) else p for p in pattern)
        wide = max(len(i.shape) - b for i, b in zip(indices, batched, strict=True))
        place = _together(pattern)
        if any(batched):
            rows = np.arange(size).reshape((size,) + (1,) * wide)
            self.indices = [rows, *(_wide(i, b, wide)
                                    for i, b in zip(indices, batched, strict=True))]
            self.pattern: Pattern = (0, *shifted)
            # In front lie the examples and what the index arrays give, in one block.
            before = 0 if place is None else place
            order = [0, *range(1 + wide, 1 + wide + before), *range(1, 1 + wide)]
            if _together(self.pattern) is not None:
                order = []
        else:
            self.indices, self.pattern = list(indices), ((None, None, None), *shifted)
            order = [wide, *range(wide)] if place is None else []
        self.dims = (*order, *range(len(order), ndim + 1))


def _wide(index: Any, batched: bool, ndim: int) -> Any:
    shape = tuple(index.shape)
    if not batched:
        return index
    return reshape(index, shape=(shape[0],) + (1,) * (ndim + 1 - len(shape)) + shape[1:])


def _index_examples(size: int, batched: tuple[bool, ...], x: Any, *indices: Any,
                    pattern: Pattern) -> Any:
    x = x if batched[0] else expand(x, shape=(size, *x.shape))
    ndim = len(_index_shape(tuple(x.shape[1:]), indices, batched[1:], pattern))
    how = _Examples(size, batched[1:], indices, pattern, ndim)
    found = index(x, *how.indices, pattern=how.pattern)
    if how.dims == tuple(range(len(how.dims))):
        return found
    return contiguous(permute(found, dims=how.dims))  # so that it can be viewed, as one example's


def _index_shape(shape: tuple[int, ...], indices: Sequence[Any], batched: Sequence[bool],
                 pattern: Pattern) -> tuple[int, ...]:
    """The shape that one example's index gives."""
    stand_ins = tuple(np.broadcast_to(np.zeros((), np.int64), tuple(i.shape)[b:])
                      for i, b in zip(indices, batched, strict=True))
    return np.broadcast_to(np.empty((), np.bool_), shape)[_numpy_index(pattern, stand_ins)].shape


def _put_examples(size: int, batched: tuple[bool, ...], x: Any, y: Any, *indices: Any,
                  pattern: Pattern, accumulate: bool) -> Any:
    x = x if batched[0] else expand(x, shape=(size, *x.shape))
    ndim = len(_index_shape(tuple(x.shape[1:]), indices, batched[2:], pattern))
    how = _Examples(size, batched[2:], indices, pattern, ndim)
    shape = tuple(y.shape) if batched[1] else (1, *y.shape)
    y = reshape(y, shape=shape[:1] + (1,) * (ndim + 1 - len(shape)) + shape[1:])
    back = tuple(int(d) for d in np.argsort(how.dims))
    return index_put(x, permute(y, dims=back), *how.indices, pattern=how.pattern,
                     accumulate=accumulate)


index = primitive("index", _index, abstract=_index_aval, vjp=_index_pullback, linear=(0,),
                  batch=_index_examples, lower=_lower_index)
"""x at integer index tensors, mixed with slices: a copy."""
index_put = primitive("index_put", _put, abstract=_put_aval, vjp=_put_pullback, store=_store,
                      aligned=False, linear=(0, 1), batch=_put_examples)
"""x with y put (or added) at an index."""


def _gather_aval(x: Aval, y: Aval, dim: int) -> Aval:
    return x.with_shape(y.shape)


def _cut(x: np.ndarray, shape: tuple[int, ...], dim: int) -> np.ndarray:
    """x without what lies beyond an index in the other dimensions."""
    return x[tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(shape))]


def _scatter_add(x: np.ndarray, y: np.ndarray, z: np.ndarray, dim: int) -> np.ndarray:
    out = np.array(x)
    grid = list(np.ogrid[tuple(slice(n) for n in y.shape)])
    grid[dim] = y
    np.add.at(out, tuple(grid), _cut(z, y.shape, -1))
    return out


gather = primitive(
    "gather", lambda x, y, dim: np.take_along_axis(_cut(x, y.shape, dim), y, dim),
    abstract=_gather_aval, linear=(0,),
    vjp=(lambda g, y, x_aval, dim: scatter_add(
        x_aval.zeros(), y, g, dim=dim), None))
scatter_add = primitive(
    "scatter_add", _scatter_add, abstract=lambda x, y, z, dim: x, linear=(0, 2),
    vjp=(lambda g: g, None, lambda g, y, z_aval, dim: _uncut(gather(g, y, dim=dim), z_aval)))


def _uncut(g: Any, z: Aval) -> Any:
    """Zeros beyond the index, for a source that is larger than it."""
    if tuple(g.shape) == z.shape:
        return g
    corner = tuple((0, n, 1) for n in g.shape)
    return unindex(g, shape=z.shape, index=corner)


sort_values = gather.named("SortBackward0")


def _pick(x: np.ndarray, y: np.ndarray, dim: int, keepdim: bool) -> np.ndarray:
    found = np.take_along_axis(x, y, dim)
    return found if keepdim else np.squeeze(found, dim)


def _pick_aval(x: Aval, y: Aval, dim: int, keepdim: bool) -> Aval:
    return x.with_shape(y.shape if keepdim else y.shape[:dim] + y.shape[dim + 1:])


pick = primitive(
    "pick", _pick, abstract=_pick_aval, linear=(0,),
    vjp=(lambda g, y, x_aval, y_aval, dim: scatter_add(
        x_aval.zeros(), y, reshape(g, shape=y_aval.shape), dim=dim), None))
"""The one element along a dimension that an index (of size 1 there) points at."""
pick_max, pick_min = pick.named("MaxBackward0"), pick.named("MinBackward0")
pick_median = pick.named("MedianBackward0")


def _argsort(x: np.ndarray, dim: int, descending: bool, stable: bool) -> np.ndarray:
    if not descending:
        return np.argsort(x, axis=dim, stable=stable)
    backwards = np.flip(np.argsort(np.flip(x, dim), axis=dim, stable=stable), dim)
    return x.shape[dim] - 1 - backwards


argsort = primitive("argsort", _argsort,
                    abstract=lambda x, dim, descending, stable: x.with_dtype(dtypes.int64),
                    refuses={"c": RuntimeError(" Sort does not support complex dtypes on CPU")})
