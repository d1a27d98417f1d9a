"""Reading and writing by index, as NumPy and PyTorch have it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core import dtypes
from ..core.handle import Handle, wrap
from ..core.levels import concrete, here, in_charge
from ..core.primitive import Primitive
from ..core.provenance import warn
from ..interpreters.inplace import (
    apart,
    check_memory,
    put,
    put_array,
    unbound,
    write,
    written,
)
from ..primitives import indexing as p, layout
from ..primitives.elementwise import fill, fill_tensor, masked_fill, where
from ..primitives.layout import WHOLE
from . import shapes
from .arguments import LOOKS, need_tensor
from .operators import is_number, stored, to_kind

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["index_put"]

_INTEGERS = (int, np.integer)


def getitem(x: Tensor, index: Any) -> Tensor:
    """x[index]: a view for ints, slices, None and Ellipsis; a copy where tensors index.

    Raises:
        IndexError: if an index is out of range, or there are too many.
        TypeError: for what is no index.
    """
    if type(index) is int:  # the commonest, first
        return _select(x, index)
    if index is Ellipsis or (type(index) is tuple and not index):
        return layout.index_alias(x, index=(Ellipsis,))
    found = _looked_up(x.aval.shape, index)
    if found is not None:
        return _view(x, found)
    if _is_mask(index) and index.aval.shape == x.aval.shape and shapes.is_contiguous(x):
        return where_true(p.take_apart, x, index, _MASK)
    places = _places(x.aval.shape, index)
    if places is not None:
        return _read(x, *places)
    basic, arrays = _parsed(x.aval.shape, index)
    if arrays is None:
        return _viewed(x, basic)
    return _read(_viewed(x, basic) if _does_something(basic) else x, *arrays)


_MASK = "An index that is a mask has a result whose size depends on it."


def where_true(take: Primitive, x: Any, mask: Any, asked: str) -> Any:
    """The elements where a mask of a tensor's shape holds, as a vector."""
    places = np.flatnonzero(concrete(mask, asked))
    return take(x if x.aval.ndim == 1 else layout.reshape(x, shape=(x.aval.numel,)), places, dim=0)


def _select(x: Any, i: int) -> Any:
    shape = x.aval.shape
    if not shape:
        if i:
            raise IndexError(f"index {i} is out of bounds for dimension 0 with size 0")
        raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                         "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number")
    count = shape[0]
    if not -count <= i < count:
        raise IndexError(f"index {i} is out of bounds for dimension 0 with size {count}")
    return layout.select(x, index=(i, Ellipsis))


def setitem(x: Tensor, index: Any, value: Any) -> None:
    """x[index] = value, with the value broadcast and converted.

    Raises:
        IndexError: as for reading.
        RuntimeError: if the value does not broadcast, or x may not be written.
    """
    found = _looked_up(x.aval.shape, index)
    if found is not None:
        if not (unbound(x) and _put_part(x, found, value)):
            _set(x if found.whole else _view(x, found), value)
        return
    if _is_mask(index) and _fits(index, x) and (is_number(value) or (
            isinstance(value, Handle) and not value.aval.ndim)):
        _fill_where(x, index, value)
        return
    target, arrays = x, _places(x.aval.shape, index)
    if arrays is None:
        basic, arrays = _parsed(x.aval.shape, index)
        target = _viewed(x, basic) if _does_something(basic) else x
    if arrays is None:
        _set(target, value)
    else:
        _set_at(target, *arrays, value, alike=not _masks(index))


def _set_at(x: Any, pattern: Any, indices: list[Any], value: Any, alike: bool) -> None:
    """Writes a value, which is broadcast, to where index arrays point in a tensor.

    Args:
        x: the tensor.
        pattern: where the arrays stand among whole dimensions.
        indices: the arrays.
        value: a number, tensor or array.
        alike: whether a tensor without dimensions, too, must be of the same dtype.
    """
    if isinstance(value, np.ndarray):
        value = wrap(value)
    if isinstance(value, Handle):
        if alike or value.aval.ndim:
            _check_alike(x, value)
        value = shapes.astype(_without_leading(value, 0), x.aval.dtype)
    else:
        value = _assigned(value, x.aval.dtype)
    try:
        write(p.index_put, x, value, *indices, pattern=pattern, accumulate=False)
    except IndexError as error:
        raise _in_words(error) from None


def _check_alike(x: Any, value: Any) -> None:
    if value.aval.dtype is not x.aval.dtype:
        raise RuntimeError("Index put requires the source and destination dtypes match, got "
                           f"{x.aval.dtype.words} for the destination and "
                           f"{value.aval.dtype.words} for the source.")


def _assigned(value: Any, kind: dtypes.dtype) -> np.ndarray:
    """A number as an array of a dtype."""
    if not is_number(value):
        raise TypeError(f"can't assign a {type(value).__name__} to a torch.{kind.words}Tensor")
    return stored(value, kind)


def _put_part(x: Any, part: _Step, value: Any) -> bool:
    """Writes a number or a tensor into a part of another, where that is a matter of memory alone:
    what a loop that fills a tensor does. False for what is not that simple."""
    number = type(value) is float or type(value) is int
    if not (number or (isinstance(value, Handle) and apart(x, value)
                       and not value.aval.is_complex)):
        return False
    target = part.primitive.evaluate(x.value, **part.params)
    if number:
        target[...] = stored(value, x.aval.dtype)
    elif _broadcasts(value.aval.shape, target.shape):
        put_array(target, value.value)
    else:
        return False
    written(x)
    return True


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    return shape == to or (len(shape) <= len(to) and all(
        n in (1, m) for n, m in zip(reversed(shape), reversed(to), strict=False)))


def _set(x: Any, value: Any) -> None:
    """Writes a value, which is broadcast, into a tensor."""
    if isinstance(value, np.ndarray):
        value = wrap(value)
    if not isinstance(value, Handle) or not value.aval.ndim:
        if x.aval.level is None:
            check_memory(x)  # which filling does not ask
        _fill(x, value)
        return
    value = _without_leading(value, x.aval.ndim)
    if value.aval.shape != x.aval.shape:
        value = shapes.expand(value, *x.aval.shape)
    shapes.copy_(x, value)


def _fill(x: Any, value: Any) -> None:
    """Writes a number or 0-d tensor throughout."""
    if isinstance(value, Handle):
        write(fill_tensor, x, value)
        return
    number = _assigned(value, x.aval.dtype)
    if not put(x, number):
        write(fill, x, number)


def _is_mask(index: Any) -> bool:
    return isinstance(index, Handle) and index.aval.dtype is dtypes.bool_ and index.aval.ndim > 0


def _fits(mask: Any, x: Any) -> bool:
    return bool(mask.aval.shape == x.aval.shape[:mask.aval.ndim])


_filled = masked_fill.named("IndexPutBackward0")


def _fill_where(x: Any, mask: Any, value: Any) -> None:
    """Writes a number where a mask of leading dimensions holds: nobody need look at the mask."""
    missing = x.aval.ndim - mask.aval.ndim
    if missing:
        mask = layout.reshape(mask, shape=(*mask.aval.shape, *(1,) * missing))
    number = stored(value, x.aval.dtype) if is_number(value) else to_kind(value, x.aval.dtype)
    write(_filled, x, mask, number)


def _masks(index: Any) -> bool:
    """Whether an index has a mask in it."""
    if isinstance(index, tuple):
        return any(map(_masks, index))
    if isinstance(index, Handle):
        return index.aval.dtype in (dtypes.bool_, dtypes.uint8)
    return isinstance(index, bool) or (isinstance(index, list) and bool(index) and all(
        isinstance(i, bool) for i in index))


def _without_leading(value: Any, ndim: int) -> Any:
    """Leading dimensions of size 1 that the target lacks are dropped, as NumPy does."""
    shape = value.aval.shape
    while len(shape) > ndim and shape[0] == 1:
        shape = shape[1:]
    return value if shape is value.aval.shape else layout.reshape(value, shape=shape)


# --- taking an index apart --------------------------------------------------------------------


class _Step(NamedTuple):
    """A view, as a primitive and its parameters; and whether it is all of the tensor, as it is."""

    primitive: Primitive
    params: dict[str, Any]
    whole: bool


_BASIC = {int, type(None), type(Ellipsis)}
_ENDS = {int, type(None)}


def _looked_up(shape: tuple[int, ...], index: Any) -> _Step | None:
    """The view that an index of ints, slices of them, None and Ellipsis asks for; None for any
    other index."""
    if type(index) is int:
        return _basic_step(shape, (index,))
    key = []
    for item in index if type(index) is tuple else (index,):
        if type(item) is slice:
            ends = item.start, item.stop, item.step
            if not _ENDS.issuperset(map(type, ends)):
                return None
            key.append(ends)
        elif type(item) in _BASIC:
            key.append(item)
        else:
            return None
    return _basic_step(shape, tuple(key))


@functools.lru_cache(maxsize=4096)
def _basic_step(shape: tuple[int, ...], key: tuple[Any, ...]) -> _Step:
    basic, _ = _parsed(shape, tuple(slice(*i) if type(i) is tuple else i for i in key))
    return _step(shape, basic)


_Places = tuple[tuple[Any, ...], list[Any]]
"""Index arrays, and a pattern that says where they stand among whole dimensions."""
_KINDS = (dtypes.int64, dtypes.int32)


def _places(shape: tuple[int, ...], index: Any) -> _Places | None:
    """What an index of tensors of integers alone, or a mask of the shape, asks for; None for any
    other index."""
    items = index if type(index) is tuple else (index,)
    if len(items) == 1 and _is_mask(items[0]) and items[0].aval.shape == shape:
        items = true_places(concrete(items[0], _MASK))
    else:
        for item in items:
            if not (isinstance(item, Handle) and item.aval.ndim and item.aval.dtype in _KINDS):
                return None
    return (tuple(range(len(items))), list(items)) if 0 < len(items) <= len(shape) else None


def _parsed(shape: tuple[int, ...], index: Any) -> tuple[list[Any], _Places | None]:
    """The index of a tensor of a shape as (basic part, advanced part or None).

    The basic part is applied first, as a view, with a whole slice where tensors index; the
    advanced part is a (pattern, index arrays) pair for what that gives.
    """
    items = list(index) if isinstance(index, tuple) or _stands_for_tuple(index) else [index]
    stand_ins = [_stand_in(i) for i in items]
    tensors = {id(s): i for s, i in zip(stand_ins, items, strict=True) if isinstance(i, Handle)}
    items = [_item(i) for i in stand_ins]
    items = _spelled_out(items, len(shape))
    basic: list[Any] = []
    advanced: list[Any] = []
    dim = 0
    for item in items:
        if isinstance(item, np.ndarray):
            used = item.ndim if item.dtype == np.bool_ else 1
            _check_mask(item, shape, dim)
            basic += [None] if used == 0 else [WHOLE] * used
            advanced.append(item)
            dim += used
        elif item is None:
            basic.append(None)
            advanced.append(WHOLE)
        elif isinstance(item, int):
            _check_bounds(item, shape[dim], dim)
            basic.append(item)
            dim += 1
        else:
            basic.append(_slice(item, shape[dim]))
            advanced.append(WHOLE)
            dim += 1
    if not any(isinstance(a, np.ndarray) for a in advanced):
        return basic, None
    pattern, indices = _pattern(advanced)
    # Index tensors stay tensors: overwriting one before backward must be noticed.
    return basic, (pattern, [tensors.get(id(array), array) for array in indices])


def _stands_for_tuple(index: Any) -> bool:
    """Whether a list is a tuple of indices, as it once was in NumPy: one of more than numbers."""
    found = isinstance(index, list) and len(index) < 32 and any(
        i is None or i is Ellipsis or isinstance(i, (slice, list, tuple, Handle, np.ndarray))
        for i in index)
    if found:
        warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated and will be "
            "changed in pytorch 2.9; use x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will "
            "be interpreted as tensor index, x[torch.tensor(seq)], which will result either in an "
            "error or a different result")
    return found


def _stand_in(item: Any) -> Any:
    """An array for an index tensor, of its shape; of its numbers, where these are needed.

    Integers from inside a transform (of which there may be several examples) are left for later.
    """
    if not isinstance(item, Handle):
        return item
    plain = in_charge((item,)) is None
    if plain and here.recorder is not None and item.aval.ndim and (
            item.aval.dtype not in (dtypes.bool_, dtypes.uint8)):
        return item.value  # and not looked at
    if plain or item.aval.dtype in (dtypes.bool_, dtypes.uint8):
        return concrete(item, _MASK)
    return np.zeros((*item.aval.shape, 1), item.aval.numpy)[..., 0] if item.aval.ndim else (
        _Scalar((), item.aval.numpy))


class _Scalar(np.ndarray):
    """Stands for a 0-d index tensor that must not become an int."""


def _item(item: Any) -> Any:
    """One item of an index: an int, slice, None, Ellipsis, or an array of ints or bools."""
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, (bool, np.bool_)):
        return np.asarray(item)
    if isinstance(item, _INTEGERS):
        return int(item)
    if type(item) is np.ndarray and item.dtype.kind in "iu" and item.dtype != np.uint8:
        if item.ndim == 0:
            return int(item)
    if isinstance(item, (list, tuple, range)):
        item = np.asarray([_plain(v) for v in item]) if item else np.empty(0, np.int64)
    if not isinstance(item, np.ndarray):
        if hasattr(item, "__index__") and not isinstance(item, type):
            return item.__index__()
        if isinstance(item, str):
            raise TypeError("new(): invalid data type 'str'")
        raise IndexError("only integers, slices (`:`), ellipsis (`...`), None and long or byte "
                        f"Variables are valid indices (got {type(item).__name__})")
    if item.dtype == np.uint8:
        warn("indexing with dtype torch.uint8 is now deprecated, please use a dtype "
             "torch.bool instead.")
        return np.asarray(item != 0)
    if item.dtype not in _INDEX_KINDS:
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return item


_INDEX_KINDS = (np.int64, np.int32, np.bool_)


def _plain(value: Any) -> Any:
    return concrete(value, LOOKS) if isinstance(value, Handle) else (
        [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value)


def _spelled_out(items: list[Any], ndim: int) -> list[Any]:
    """The items with Ellipsis replaced by whole slices, and those missing added at the end."""
    used = sum(0 if i is None or i is Ellipsis else
               i.ndim if isinstance(i, np.ndarray) and i.dtype == np.bool_ else 1 for i in items)
    if used > ndim:
        if ndim == 0 and len(items) == 1 and isinstance(items[0], slice):
            raise IndexError("slice() cannot be applied to a 0-dim tensor.")
        if ndim == 0 and len(items) == 1 and (
                isinstance(items[0], int) and items[0] == 0):
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number")
        raise IndexError(f"too many indices for tensor of dimension {ndim}")
    fill: list[Any] = [slice(None)] * (ndim - used)
    places = [i for i, item in enumerate(items) if item is Ellipsis]
    if not places:
        return items + fill
    if len(places) > 1:  # as PyTorch has it: only the first stands for several dimensions
        return _spelled_out([item for i, item in enumerate(items) if i not in places[1:]], ndim)
    return items[:places[0]] + fill + items[places[0] + 1:]


def _slice(item: slice, n: int) -> Any:
    """A slice as (start, stop, step), whole ones alike.

    Raises:
        ValueError: for a step that is not positive.
    """
    if item.step is not None and _number(item.step) == 0:
        raise ValueError("slice step cannot be zero")
    if item.step is not None and _number(item.step) <= 0:
        raise ValueError("step must be greater than zero")
    parts = tuple(None if v is None else _number(v) for v in (item.start, item.stop, item.step))
    start, stop, step = slice(*parts).indices(n)
    return WHOLE if start == 0 and stop == n and step == 1 else (start, stop, step)


def _number(value: Any) -> int:
    if isinstance(value, Handle):
        return int(concrete(value, LOOKS))
    if not hasattr(value, "__index__"):
        raise TypeError("slice indices must be integers or None or have an __index__ method")
    return int(value.__index__())


def _check_bounds(i: int, n: int, dim: int) -> None:
    if not -n <= i < n:
        raise IndexError(f"index {i} is out of bounds for dimension {dim} with size {n}")


def _check_mask(mask: np.ndarray, shape: tuple[int, ...], dim: int) -> None:
    if mask.dtype == np.bool_ and mask.shape != shape[dim:dim + mask.ndim]:
        at = next(i for i, (n, m) in enumerate(zip(mask.shape, shape[dim:], strict=False))
                  if n != m)
        raise IndexError(f"The shape of the mask {list(mask.shape)} at index {at} does not match "
                         f"the shape of the indexed tensor {list(shape)} at index {dim + at}")


def _does_something(basic: Sequence[Any]) -> bool:
    return any(item != WHOLE for item in basic)


def _viewed(x: Any, basic: list[Any]) -> Any:
    return _view(x, _step(x.aval.shape, basic))


def _view(x: Any, step: _Step) -> Any:
    return step.primitive(x, **step.params)


def _step(shape: tuple[int, ...], basic: list[Any]) -> _Step:
    """The view of the basic part, under the name of the last step that PyTorch would take."""
    last = next((item for item in reversed(basic) if item != WHOLE), WHOLE)
    if last is None and all(item is None or item == WHOLE for item in basic):
        sizes = iter(shape)
        return _Step(layout.unsqueeze, {"shape": tuple(1 if item is None else next(sizes)
                                                       for item in basic)}, whole=False)
    named = (layout.index_new_axis if last is None else
             layout.select if isinstance(last, int) else
             layout.index_view if basic else layout.index_alias)
    return _Step(named, {"index": (*basic, Ellipsis)}, whole=not _does_something(basic))


def _pattern(advanced: list[Any]) -> tuple[tuple[Any, ...], list[Any]]:
    """Index arrays with masks made indices, and where they stand."""
    pattern: list[Any] = []
    indices: list[np.ndarray] = []
    for item in advanced:
        if not isinstance(item, np.ndarray):
            pattern.append(item)
            continue
        if item.dtype == np.bool_:
            arrays = [np.zeros(int(item), np.int64)] if item.ndim == 0 else list(true_places(item))
        else:
            arrays = [item]
        for array in arrays:
            pattern.append(len(indices))
            indices.append(array)
    while pattern and pattern[-1] == WHOLE:
        pattern.pop()
    return tuple(pattern), indices


def true_places(mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """`np.nonzero`, in half its time where there are several dimensions."""
    if mask.ndim == 1:
        return mask.nonzero()
    return np.unravel_index(np.flatnonzero(mask), mask.shape)


def _read(x: Any, pattern: Any, indices: list[Any]) -> Any:
    dim = len(pattern) - 1
    try:
        if len(indices) == 1 and pattern == p.whole_but(dim):
            return _taken(x, indices[0], dim=dim)
        return p.index(x, *indices, pattern=pattern)
    except IndexError as error:
        raise _in_words(error) from None


_taken = p.take.named("IndexBackward0")


def _in_words(error: IndexError) -> IndexError:
    """Says in PyTorch's words what NumPy finds wrong with an index."""
    text = str(error)
    if "shape mismatch" in text:
        shapes = text.partition("with shapes")[2].replace("(", "[").replace(",)", "]")
        text = ("shape mismatch: indexing tensors could not be broadcast together with shapes"
                + shapes.replace(")", "]").replace("] [", "], [").rstrip())
    return IndexError(text.replace("for axis", "for dimension"))


# --- by function ------------------------------------------------------------------------------


def from_the_front(index: Any, n: int) -> Any:
    """Indices of which none is negative: for a recorder, whose code will meet others, such as
    are become out of range."""
    index = plain_index(index)
    return index if here.recorder is None else where(index < 0, np.asarray(n), index)


def plain_index(index: Any) -> Any:
    """Indices that no transform follows: they have no derivative."""
    return index if index.aval.level is None else index.detach()


def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """The tensor with values put (or added) at index tensors.

    Args:
        input: a tensor.
        indices: a sequence of tensors of integers or bools.
        values: a tensor that broadcasts to what the indices pick.
        accumulate: whether the values are added.

    Example:
        >>> import wengert as torch
        >>> i = torch.tensor([0, 2, 2])
        >>> torch.zeros(3).index_put((i,), torch.tensor(1.), accumulate=True)
        tensor([1., 0., 2.])
    """
    return _put(input, indices, values, lambda x, values, found, pattern: p.index_put(
        x, values, *found, pattern=pattern, accumulate=accumulate))


def index_put_(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """`index_put`, in place."""
    return _put(self, indices, values, lambda x, values, found, pattern: write(
        p.index_put, x, values, *found, pattern=pattern, accumulate=accumulate))


def _put(x: Any, indices: Any, values: Any, apply: Any) -> Any:
    need_tensor("index_put_", x)
    if not isinstance(indices, (tuple, list)):
        raise TypeError("index_put_(): argument 'indices' (position 1) must be tuple of Tensors, "
                        f"not {type(indices).__name__}")
    need_tensor("index_put_", values, "values", 2)
    _check_alike(x, values)
    for n, i in enumerate(indices):
        if not isinstance(i, Handle):
            raise TypeError(f"expected Tensor as element {n} in argument 0, but got "
                            f"{type(i).__name__}")
    items = tuple(indices)
    if len(items) > x.aval.ndim:
        raise IndexError(f"too many indices for tensor of dimension {x.aval.ndim} (got "
                         f"{len(items)})")
    arrays = _places(x.aval.shape, items) or _parsed(x.aval.shape, items)[1]
    pattern, found = arrays if arrays is not None else ((), [])
    try:
        return apply(x, values, found, pattern)
    except IndexError as error:
        raise _in_words(error) from None
