"""Primitives that read and write by index tensors and masks.

`pattern` says how an index is put together, and can be hashed: an int is the place of the next
index operand, a (start, stop, step) tuple a slice, None a new axis, Ellipsis itself.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.aval import LARGE, Aval, aval, aval_of
from ..core.blocks import by_arrays, in_rows
from ..core.formats import alike, as_made, dense, joint_order
from ..core.handle import plain_aval
from ..core.primitive import Rule, primitive
from ..core.remembering import remembered
from .elementwise import where
from .layout import (
    WHOLE,
    contiguous,
    expand,
    index_view,
    inverse_order,
    permute,
    reshape,
    strided,
    sum_to,
    unindex,
)

Pattern = tuple[Any, ...]
Scatter = Callable[[np.ndarray, np.ndarray, np.ndarray], Any]
"""Combines elements with those of flat memory at places."""
_SMALL = 1 << 12


def _numpy_index(pattern: Pattern, indices: tuple[np.ndarray, ...]) -> tuple[Any, ...]:
    return tuple([indices[p] if type(p) is int else slice(*p) if type(p) is tuple else p
                  for p in pattern])


def _index(x: np.ndarray, *indices: np.ndarray, pattern: Pattern) -> np.ndarray:
    if len(indices) == 1 and pattern[-1] == 0 and x.flags.c_contiguous and (
            set(pattern[:-1]) <= {WHOLE}):
        return _take(x, indices[0], len(pattern) - 1)
    found = np.asarray(x[_numpy_index(pattern, indices)], order="C")  # NumPy's own order varies
    return found if x.flags.c_contiguous else _lying_as(x, found, pattern)


def _lying_as(x: np.ndarray, found: np.ndarray, pattern: Pattern) -> np.ndarray:
    """What was found, its dimensions in the order in memory that PyTorch gives them: those that
    were not indexed as in x, the others staying where they are as far as that allows."""
    if not {p for p in pattern if type(p) is not int} <= {WHOLE}:
        return found
    steps = [s for s, p in zip(x.strides, (*pattern, *(WHOLE,) * x.ndim), strict=False)
             if type(p) is not int]
    place = _together(pattern) or 0
    own = [*steps[:place], *(0,) * (found.ndim - len(steps)), *steps[place:]]
    dims = joint_order(found.shape, (tuple(own),))
    if dims == tuple(range(found.ndim)):
        return found
    return found.transpose(dims).copy().transpose(inverse_order(dims))


def _put(x: np.ndarray, y: np.ndarray, *indices: np.ndarray, pattern: Pattern,
         accumulate: bool) -> np.ndarray:
    out = np.array(x)
    _store(out, y, *indices, pattern=pattern, accumulate=accumulate)
    return out


def _store(x: np.ndarray, y: np.ndarray, *indices: np.ndarray, pattern: Pattern,
           accumulate: bool) -> None:
    at: Any = np.add.at if accumulate else np.ndarray.__setitem__
    place = None if x.size < _SMALL or not x.flags.c_contiguous else _together(pattern)
    if place is None or (not accumulate and not place) or not {
            p for p in pattern if type(p) is not int} <= {WHOLE}:
        at(x, _numpy_index(pattern, indices) if x.ndim > 1 else indices, y)
    else:
        _store_flat(x, y, indices, place, at)


def _store_flat(x: np.ndarray, y: np.ndarray, indices: Sequence[np.ndarray], place: int,
                at: Scatter) -> None:
    """Stores at index arrays for adjacent dimensions, by where they lead in memory: at places of
    one dimension NumPy is many times as fast as at others."""
    before, after = x.shape[:place], x.shape[place + len(indices):]
    row: Any = 0
    for d, i in enumerate(indices, place):
        row = row * x.shape[d] + in_bounds(i, x.shape[d], d)
    outer, inner, block = (math.prod(s) for s in (before, after, x.shape[place:]))
    y = np.broadcast_to(y, (*before, *row.shape, *after)).reshape(outer, row.size, inner)
    starts = row.reshape(-1, 1) * inner
    if outer != 1:
        starts = (starts + np.arange(inner)).reshape(-1)
        x = x.reshape(outer, block)

        def work(part: slice) -> None:
            places = starts + np.arange(0, (part.stop - part.start) * block, block)[:, None]
            at(x[part].reshape(-1), places.reshape(-1), y[part].reshape(-1))

        in_rows(work, outer, y.size)
    elif inner == 1:
        at(x.reshape(-1), starts.reshape(-1), y.reshape(-1))
    else:
        x, steps = x.reshape(-1), np.arange(inner)
        in_rows(lambda part: at(x, (starts[part] + steps).reshape(-1), y[0, part].reshape(-1)),
                row.size, y.size, apart=False)


def in_bounds(index: np.ndarray, n: int, dim: int) -> np.ndarray:
    """Indices into a dimension of n, of which none is negative.

    Raises:
        IndexError: if one is out of range, in the words of an index.
    """
    if within(index, n):
        return index
    wrong = index[(index < -n) | (index >= n)]
    if wrong.size:
        raise IndexError(f"index {wrong.flat[0]} is out of bounds for dimension {dim} with size "
                         f"{n}")
    return np.where(index < 0, index + n, index)


def within(index: np.ndarray, n: int) -> bool:
    """Whether all indices are from 0 up to, and without, n."""
    if index.size <= _FEW:
        found = index.ravel().tolist()
        return not found or (min(found) >= 0 and max(found) < n)
    return bool(index.view(f"u{index.itemsize}").max() < n)  # where less than 0 is far too much


_FEW = 32  # up to here, Python is faster than NumPy


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


def index_parts(pattern: Pattern, ndim: int) -> tuple[Pattern | None, Pattern]:
    """An index in two steps: a basic one (None if it would do nothing), and one of what that
    leaves, which has a place for each of its dimensions: an operand's, or the whole."""
    named = sum(p is not None and p is not Ellipsis for p in pattern)
    rest = (WHOLE,) * (ndim - named)
    at = pattern.index(Ellipsis) if Ellipsis in pattern else len(pattern)
    full = (*pattern[:at], *rest, *pattern[at + 1:])
    view = tuple(WHOLE if type(p) is int else p for p in full)
    left = tuple(p if type(p) is int else WHOLE for p in full)
    return None if set(view) <= {WHOLE} else (*view, Ellipsis), left


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
            self.indices, self.pattern = list(indices), (WHOLE, *shifted)
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
                  batch=_index_examples, lower=_lower_index, order=as_made, halves=True)
"""x at integer index tensors, mixed with slices: a copy."""
index_put = primitive("index_put", _put, abstract=_put_aval, vjp=_put_pullback, store=_store,
                      aligned=False, linear=(0, 1), batch=_put_examples, order=alike)
"""x with y put (or added) at an index."""


# --- slices of one dimension ------------------------------------------------------------------


def whole_but(dim: int) -> Pattern:
    """The pattern of an index for one dimension alone."""
    return (WHOLE,) * dim + (0,)


def _take(x: np.ndarray, y: np.ndarray, dim: int) -> np.ndarray:
    if not x.flags.c_contiguous:
        return _index(x, y, pattern=whole_but(dim))
    shape = (*x.shape[:dim], *y.shape, *x.shape[dim + 1:]) if dim else ()
    if math.prod(shape) < LARGE:
        return x.take(y, dim)
    places, out = in_bounds(y, x.shape[dim], dim), np.empty(shape, x.dtype)
    in_rows(lambda part: x[part].take(places, dim, out=out[part], mode="clip"),
            x.shape[0], out.size)
    return out


def _untake(x: np.ndarray, y: np.ndarray, shape: tuple[int, ...], dim: int,
            apart: bool) -> np.ndarray:
    out = np.zeros(shape, x.dtype)
    if apart and len(shape) == 1:
        out[y] = x
    else:
        _store(out, x, y, pattern=whole_but(dim), accumulate=not apart)
    return out


def _take_aval(x: Aval, y: Aval, dim: int) -> Aval:
    return x.with_shape((*x.shape[:dim], *y.shape, *x.shape[dim + 1:]))


def _take_examples(size: int, batched: tuple[bool, bool], x: Any, y: Any, dim: int) -> Any:
    if batched[1]:
        return _index_examples(size, batched, x, y, pattern=whole_but(dim))
    return take(x, y, dim=dim + 1)


def _untake_examples(size: int, batched: tuple[bool, bool], x: Any, y: Any,
                     shape: tuple[int, ...], dim: int, apart: bool) -> Any:
    if not batched[1]:
        return untake(x, y, shape=(size, *shape), dim=dim + 1, apart=apart)
    return _put_examples(size, (False, *batched), np.zeros(shape, plain_aval(x).numpy), x, y,
                         pattern=whole_but(dim), accumulate=not apart)


def _slices(g: Any, z: Any, y_aval: Aval, pattern: Pattern) -> Any:
    """What was put at an index for one dimension alone."""
    found = take(g, z, dim=len(pattern) - 1)
    return found if tuple(found.shape) == y_aval.shape else sum_to(found, shape=y_aval.shape)


def _lower_untake(x: Any, y: Any, shape: tuple[int, ...], dim: int, apart: bool) -> Any:
    return index_put(np.zeros(shape, plain_aval(x).numpy), x, y, pattern=whole_but(dim),
                     accumulate=not apart)


take = primitive(
    "take", _take, abstract=_take_aval, linear=(0,), batch=_take_examples, halves=True,
    order=as_made,
    vjp=(lambda g, y, x_aval, dim: untake(g, y, shape=x_aval.shape, dim=dim, apart=False), None),
    lower=lambda x, y, dim: index(x, y, pattern=whole_but(dim)))
"""The slices of a dimension that an index tensor names, whose dimensions are in its place."""
take_apart = take.named("IndexBackward0", order=dense, vjp=(Rule(
    lambda g, y, x_aval, dim: untake(g, y, shape=x_aval.shape, dim=dim, apart=True)), None))
"""The same at indices that all differ."""
_into_slices = Rule(_slices)
index_add = index_put.named("IndexAddBackward0", order=dense, vjp=(
    Rule(lambda g: g), _into_slices, None))
index_copy = index_put.named("IndexCopyBackward0", order=dense, vjp=(
    Rule(lambda g, z, x_aval, pattern: index_put(
        g, x_aval.zero, z, pattern=pattern, accumulate=False)), _into_slices, None))
"""`index_put` at one index, for one dimension alone."""
untake = primitive(
    "untake", _untake, abstract=lambda x, y, shape, dim, apart: x.with_shape(shape), linear=(0,),
    batch=_untake_examples, lower=_lower_untake, node="IndexPutBackward0",
    vjp=(lambda g, y, dim: take(g, y, dim=dim), None))
"""Zeros of a shape, with slices of x added where `take` has them from; `apart` says that no two
are from the same place."""


# --- one index for each element ---------------------------------------------------------------


def _gather_aval(x: Aval, y: Aval, dim: int) -> Aval:
    return x.with_shape(y.shape)


def _check_range(y: np.ndarray, shape: tuple[int, ...], dim: int) -> None:
    if not within(y, shape[dim]):
        wrong = y[(y < 0) | (y >= shape[dim])].flat[0]
        raise RuntimeError(f"index {wrong} is out of bounds for dimension {dim} with size "
                           f"{shape[dim]}")


def _places(y: np.ndarray, shape: tuple[int, ...], dim: int, first: int = 0) -> np.ndarray:
    """Where in the memory of a contiguous array lies what y names along a dimension, at y's own
    places in the others; y's rows are those from `first` on."""
    if y.ndim == 1:
        return y
    others = _starts(y.shape, tuple(shape), dim, first)
    step = math.prod(shape[dim + 1:])
    return y + others if step == 1 else y * step + others


@remembered
def _starts(named: tuple[int, ...], shape: tuple[int, ...], dim: int, first: int) -> np.ndarray:
    """Where in memory an index's places lie in all dimensions but one."""
    found = np.zeros((1,) * len(named), np.int64)
    for d, n in enumerate(named):
        if d != dim:
            along = np.arange(0 if d else first, n if d else first + n) * math.prod(shape[d + 1:])
            found = found + along.reshape((n,) + (1,) * (len(named) - d - 1))
    return found


def _gather(x: np.ndarray, y: np.ndarray, dim: int) -> np.ndarray:
    if not x.ndim:
        return np.broadcast_to(x, y.shape).copy()
    found = None if y.size < LARGE else by_arrays(
        _gather_checked, [x, y], aval(y.shape, aval_of(x).dtype), {"dim": dim})
    if found is not None:
        return found
    _check_range(y, x.shape, dim)
    return gathered(x, y, dim)


def _gather_checked(x: Any, y: Any, dim: int) -> Any:
    """`gather` for native code, which takes indices from the end as well."""
    return gather(x, where(y < 0, x.shape[dim], y), dim=dim)


def gathered(x: np.ndarray, y: np.ndarray, dim: int) -> np.ndarray:
    """`gather` at an index that is known to be in range."""
    if not x.flags.c_contiguous:
        x = _cut(x, y.shape, dim)  # the less is copied; an index may name few of many
    flat = x.reshape(-1)
    if y.size < LARGE:
        return flat.take(_places(y, x.shape, dim))
    out = np.empty(y.shape, x.dtype)
    in_rows(lambda part: flat.take(_places(y[part], x.shape, dim, part.start), out=out[part],
                                   mode="clip"), y.shape[0], y.size)
    return out


def _cut(x: np.ndarray, shape: tuple[int, ...], dim: int) -> np.ndarray:
    """x without what lies beyond an index in the other dimensions."""
    return x[tuple([slice(None) if d == dim else slice(n) for d, n in enumerate(shape)])]


def _send(at: Scatter, x: np.ndarray, y: np.ndarray, z: np.ndarray, dim: int) -> None:
    """Combines elements of z with those of a contiguous x where y, of z's shape, sends them."""
    if y.ndim == 1:
        at(x, y, z)
        return
    flat = x.reshape(-1)

    def work(part: slice) -> None:
        places = _places(y[part], x.shape, dim, part.start)
        at(flat, places.reshape(-1), z[part].reshape(-1))

    in_rows(work, y.shape[0], y.size, apart=dim != 0)


def scattering(at: Scatter) -> dict[str, Callable[..., Any]]:
    """The fields of a primitive that puts elements of z into x where y says, by a function of
    x's memory, the places there, and the elements."""
    def store(x: np.ndarray, y: np.ndarray, z: np.ndarray, dim: int) -> None:
        if not x.ndim:
            return store(x.reshape(1), y.reshape(1), z.reshape(1), dim)
        _check_range(y, x.shape, dim)
        target = x if x.flags.c_contiguous else np.array(x, order="C")
        _send(at, target, y, z if z.shape == y.shape else _cut(z, y.shape, -1), dim)
        if target is not x:
            x[...] = target
        return None

    def evaluate(x: np.ndarray, y: np.ndarray, z: np.ndarray, dim: int) -> np.ndarray:
        out = np.array(x, order="C")
        store(out, y, z, dim)
        return out

    return {"evaluate": evaluate, "store": store}


def _scatter_aval(x: Aval, y: Aval, z: Aval, dim: int) -> Aval:
    return x


def uncut(g: Any, z: Aval) -> Any:
    """Zeros beyond the index, for a source that is larger than it."""
    if tuple(g.shape) == z.shape:
        return g
    corner = tuple((0, n, 1) for n in g.shape)
    return unindex(g, shape=z.shape, index=corner)


def _ungather(x: np.ndarray, y: np.ndarray, shape: tuple[int, ...], dim: int,
              apart: bool) -> np.ndarray:
    out = np.zeros(shape, x.dtype)
    if not shape:
        out += x.sum()
    elif apart:
        send_apart(out, y, x, dim)
    else:
        _send(np.add.at, out, y, x, dim)
    return out


_put_at: Scatter = np.ndarray.__setitem__
send_apart = functools.partial(_send, _put_at)
"""Puts elements of z into a contiguous x where y, of z's shape, sends them."""


def _ungather_examples(size: int, batched: tuple[bool, bool], x: Any, y: Any,
                       shape: tuple[int, ...], dim: int, apart: bool) -> Any:
    x, y = (v if b else expand(v, shape=(size, *v.shape))
            for v, b in zip((x, y), batched, strict=True))
    return ungather(x, y, shape=(size, *shape), dim=dim + 1, apart=apart)


def _lower_ungather(x: Any, y: Any, shape: tuple[int, ...], dim: int, apart: bool) -> Any:
    return scatter_add(np.zeros(shape, plain_aval(x).numpy), y, x, dim=dim)


gather = primitive(
    "gather", _gather, abstract=_gather_aval, linear=(0,), halves=True,
    vjp=(lambda g, y, x_aval, dim: ungather(
        g, y, shape=x_aval.shape, dim=dim, apart=False), None))
"""The elements that an index names along a dimension, at the index's places in the others."""
gather_apart = gather.named("SortBackward0", vjp=(Rule(lambda g, y, x_aval, dim: ungather(
    g, y, shape=x_aval.shape, dim=dim, apart=True)), None))
"""The same at indices that all differ."""
ungather = primitive(
    "ungather", _ungather, abstract=lambda x, y, shape, dim, apart: x.with_shape(shape),
    linear=(0,), batch=_ungather_examples, lower=_lower_ungather, node="ScatterAddBackward0",
    vjp=(lambda g, y, dim: gather(g, y, dim=dim), None))
"""Zeros of a shape, with elements of x added where `gather` has them from; `apart` says that no
two are from the same place."""
scatter_add = primitive(
    "scatter_add", **scattering(np.add.at), abstract=_scatter_aval, linear=(0, 2), aligned=False,
    vjp=(lambda g: g, None, lambda g, y, z_aval, dim: uncut(gather(g, y, dim=dim), z_aval)))
"""x with elements of z added where an index sends them."""
scatter = primitive(
    "scatter", **scattering(_put_at), abstract=_scatter_aval, linear=(0, 2), aligned=False,
    halves=True,
    vjp=(lambda g, y, dim: scatter(
        g, y, repeated(plain_aval(g).zero, tuple(y.shape)), dim=dim), None,
         lambda g, y, z_aval, dim: uncut(gather(g, y, dim=dim), z_aval)))
"""x with elements of z put where an index sends them."""


def repeated(number: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A 0-d array seen as one of a shape, which takes no memory."""
    return strided(number, shape, (0,) * len(shape))
