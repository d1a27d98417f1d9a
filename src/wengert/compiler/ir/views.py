"""Views and layout: all that moves elements, said in two primitives.

`strided` reads a region of an array, `put_strided` replaces one, `unstrided` adds at one; see
`regions` for what a region is. They are the compiler's own and not in the table: users have no
operation that they stand for. Every view primitive becomes a `strided` by asking NumPy; how the
others that place elements (cat, stack, tril ...) come apart is said here, and not in their
records, because it is said in these.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...core import dtypes
from ...core.aval import Aval, aval
from ...core.levels import here
from ...core.primitive import TABLE, Primitive
from ...interpreters.views import Step, follow, take_view, write_view
from ...primitives.elementwise import where
from ...primitives.indexing import index_parts, index_put
from ...primitives.layout import (
    cat,
    diagonal,
    expand,
    index_view,
    reshape,
    stack,
    tril,
    triu,
    undiagonal,
    unindex,
)
from ...primitives.strides import as_strided, reach
from ...primitives.windows import unwindow, windows
from .program import Line, Value, append
from .regions import Ints, Region, composed, dense, distinct, seen

# --- the primitives ---------------------------------------------------------------------------


def _window(x: np.ndarray, shape: Ints, strides: Ints, offset: int) -> np.ndarray:
    """The region of a dense array, as a view."""
    if 0 in shape:
        return np.empty(shape, x.dtype)
    return np.lib.stride_tricks.as_strided(
        x.reshape(-1)[offset:], shape, [s * x.itemsize for s in strides])


def _strided(x: np.ndarray, shape: Ints, strides: Ints, offset: int) -> np.ndarray:
    return _window(np.ascontiguousarray(x), shape, strides, offset).copy()


def _put_strided(x: np.ndarray, y: np.ndarray, strides: Ints, offset: int) -> np.ndarray:
    out = np.array(x, order="C")
    _window(out, y.shape, strides, offset)[...] = y
    return out


def _unstrided(x: np.ndarray, shape: Ints, strides: Ints, offset: int) -> np.ndarray:
    out = np.zeros(shape, x.dtype)
    turns = np.indices(x.shape).reshape(x.ndim, -1)
    np.add.at(out.reshape(-1), offset + np.asarray(strides, int) @ turns, x.reshape(-1))
    return out


def _iota(shape: Ints, dim: int, dtype: dtypes.dtype) -> np.ndarray:
    index = np.arange(shape[dim], dtype=dtype.numpy)
    return np.broadcast_to(index.reshape((-1,) + (1,) * (len(shape) - dim - 1)), shape)


strided = Primitive("strided", _strided, linear=True,
                    abstract=lambda x, shape, strides, offset: x.with_shape(shape))
"""The elements of x, laid out densely, at a region of it."""
put_strided = Primitive("put_strided", _put_strided, linear=True,
                        abstract=lambda x, y, strides, offset: x)
"""x with y at a region of its shape, in which no two elements lie at one place."""
unstrided = Primitive("unstrided", _unstrided, linear=True,
                      abstract=lambda x, shape, strides, offset: x.with_shape(shape))
"""Zeros of a shape, to which x is added at a region of its own shape, where several elements may
lie at one place: what takes the gradient of `strided` back."""
iota = Primitive("iota", _iota, abstract=lambda shape, dim, dtype: aval(tuple(shape), dtype))
"""The index along a dimension."""


def region_of(params: Any) -> Region:
    """The region that a `strided` line reads."""
    return Region(params["shape"], params["strides"], params["offset"])


def written_region(params: Any, y: Aval) -> Region:
    """The region that a `put_strided` line of y writes."""
    return Region(tuple(y.shape), params["strides"], params["offset"])


class Regions:
    """Regions of values in lines that are being written: each is read by one line.

    Args:
        lines: what lines are added to.
    """

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines
        self._known: dict[tuple[Value, Region], Value] = {}

    def of(self, root: Value, region: Region) -> Value:
        """A region of a value."""
        found = self._known.get((root, region))
        if found is None:
            found = self._known[root, region] = append(
                self._lines, strided, (root,), region.params, root.aval.with_shape(region.shape))
        return found


def read(x: Any, region: Region) -> Any:
    """The elements of x at a region of it."""
    return strided(x, **region.params)


def put(x: Any, y: Any, region: Region) -> Any:
    """x with y, broadcast, at a region of it."""
    if y.shape != region.shape:
        y = expand(y, shape=region.shape)
    return put_strided(x, y, strides=region.strides, offset=region.offset)


def index_along(shape: Ints, dim: int) -> Any:
    """The index along a dimension, in what is being evaluated symbolically."""
    return here.levels[-1].interpret(
        iota, (), {"shape": shape, "dim": dim, "dtype": dtypes.int64})


_PARTS = frozenset({"real", "imag", "view_as_real", "view_as_complex"})
"""Views that see numbers of another dtype, which are no regions."""

# --- views ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1 << 14)
def _looked(primitive: Primitive, shape: Ints, params: tuple[tuple[str, Any], ...]
            ) -> tuple[Region, ...]:
    return tuple(seen(lambda x: primitive.evaluate(x, **dict(params)), shape))


def views_of(primitive: Primitive, shape: Ints,
             params: Mapping[str, Any]) -> tuple[Region, ...]:
    """The regions that a view primitive's results are of a dense array."""
    if primitive is index_view and all(type(i) is int for i in params["index"][:-1]):
        return (_row(tuple(shape), params["index"][:-1]),)
    return _looked(primitive, tuple(shape), tuple(params.items()))


def _row(shape: Ints, index: Ints) -> Region:
    """What a few leading numbers pick, without asking NumPy: loops do that thousands of times."""
    whole, count = dense(shape), len(index)
    offset = sum(i % n * s for i, n, s in zip(index, shape, whole.strides, strict=False))
    return Region(shape[count:], whole.strides[count:], offset)


def sees_beyond(primitive: Primitive, shape: Ints, params: Mapping[str, Any]) -> bool:
    """Whether a view sees memory round its operand, and so is no region of that."""
    return primitive is as_strided and (params["layout"] is not None or reach(
        params["shape"], params["strides"], params["offset"]) > math.prod(shape))


def lower_view(primitive: Primitive, x: Any, **params: Any) -> Any:
    """A view primitive as `strided`, or as it is."""
    if sees_beyond(primitive, tuple(x.shape), params):
        return primitive(x, **params)
    found = tuple(read(x, region) for region in views_of(primitive, x.shape, params))
    return found if primitive.multiple else found[0]


def chain_region(chain: Sequence[Step], shape: Ints) -> Region | None:
    """The region that a chain of views leads to; None if it is none."""
    region: Region | None = dense(tuple(shape))
    for step in chain:
        if (region is None or step.primitive.name in _PARTS
                or sees_beyond(step.primitive, region.shape, step.params)):
            return None
        found = views_of(step.primitive, region.shape, step.params)
        region = composed(found[step.index or 0], region)
    return region


# --- what places elements ---------------------------------------------------------------------


def _nothing(shape: Ints, x: Any) -> np.ndarray:
    """Zeros to put things into, which take no memory."""
    return np.broadcast_to(x.aval.zero, shape)


def _lower_unindex(x: Any, shape: Ints, index: Any) -> Any:
    (region,) = views_of(index_view, shape, {"index": index})
    return put(_nothing(shape, x), x, region)


def _lower_undiagonal(x: Any, shape: Ints, **params: Any) -> Any:
    (region,) = views_of(diagonal, shape, params)
    return put(_nothing(shape, x), x, region)


def _lower_unwindow(x: Any, sizes: Ints, **how: Any) -> Any:
    shape = (*x.shape[:len(x.shape) - 2 * len(sizes)], *sizes)
    (region,) = views_of(windows, shape, how)
    return unstrided(x, shape=shape, strides=region.strides, offset=region.offset)


def _lower_cat(*xs: Any, dim: int) -> Any:
    ends = np.cumsum([x.shape[dim] for x in xs])
    shape = (*xs[0].shape[:dim], int(ends[-1]), *xs[0].shape[dim + 1:])
    whole, out = dense(shape), _nothing(shape, xs[0])
    for x, end in zip(xs, ends, strict=True):
        if x.aval.numel:
            start = (int(end) - x.shape[dim]) * whole.strides[dim]
            out = put(out, x, Region(tuple(x.shape), whole.strides, start))
    return out


def _lower_stack(*xs: Any, dim: int) -> Any:
    shape = tuple(xs[0].shape)
    return _lower_cat(*(reshape(x, shape=(*shape[:dim], 1, *shape[dim:])) for x in xs), dim=dim)


def _below(x: Any, diagonal: int) -> Any:
    """Where x's last two dimensions are on a diagonal or below it."""
    rows, cols = (index_along(tuple(x.shape[-2:]), d) for d in (0, 1))
    return rows >= cols - diagonal


def _lower_tril(x: Any, diagonal: int) -> Any:
    return where(_below(x, diagonal), x, 0)


def _lower_triu(x: Any, diagonal: int) -> Any:
    return where(_below(x, diagonal - 1), 0, x)


def _lower_take_view(x: Any, chain: Any) -> Any:
    region = chain_region(chain, x.shape)
    return follow(chain, x) if region is None else read(x, region)


def _lower_write_view(x: Any, y: Any, chain: Any) -> Any:
    region = chain_region(chain, x.shape)
    if region is not None and distinct(region):
        return put(x, y, region)
    return write_view(x, y, chain=chain)


def _lower_index_put(x: Any, y: Any, *indices: Any, pattern: Any, accumulate: bool) -> Any:
    """Put into the part that the slices leave, and that put back."""
    view, rest = index_parts(pattern, len(x.shape))
    how = {"pattern": rest, "accumulate": accumulate}
    if view is None:
        return index_put(x, y, *indices, **how)
    (region,) = views_of(index_view, x.shape, {"index": view})
    return put(x, index_put(read(x, region), y, *indices, **how), region)


PLACING: dict[Primitive, Callable[..., Any]] = {
    unindex: _lower_unindex, unwindow: _lower_unwindow, undiagonal: _lower_undiagonal,
    cat: _lower_cat, stack: _lower_stack,
    tril: _lower_tril, triu: _lower_triu, take_view: _lower_take_view,
    write_view: _lower_write_view, index_put: _lower_index_put}
"""How what places elements comes apart, by the table's primitive."""

VIEWS = frozenset(p for p in TABLE.values() if p.view and p.name not in _PARTS)
"""The primitives whose results are regions of their operand, whatever the dtype."""
