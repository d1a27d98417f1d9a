"""Elements picked out of a tensor: slices, by index, by mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from ..core import dtypes
from ..core.formats import dense
from ..core.handle import Handle, wrap
from ..core.levels import concrete, made, numbers
from ..core.primitive import broadcast_shapes
from ..primitives import indexing as p, layout
from ..primitives.elementwise import where as choose
from ..primitives.layout import WHOLE
from ..primitives.sorting import argsort
from .arguments import LOOKS, need_tensor, wrapped_dim
from .index import from_the_front, plain_index, true_places, where_true

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "argwhere", "gather", "index_select", "masked_select", "narrow", "narrow_copy", "nonzero",
    "nonzero_static", "select", "take", "take_along_dim", "unravel_index",
]

# --- slices -----------------------------------------------------------------------------------


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at an index of a dimension; a view.

    Raises:
        IndexError: if the index is out of range, or there are no dimensions.
    """
    return layout.select(input, index=selected(input, dim, index))


def selected(input: Any, dim: int, index: int) -> tuple[Any, ...]:
    """`select` as an index."""
    if not need_tensor("select", input).aval.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = wrapped_dim(dim, input.aval.ndim)
    n = input.aval.shape[d]
    if not -n <= index < n:
        raise IndexError(f"select(): index {index} out of range for tensor of size "
                         f"{list(input.aval.shape)} at dimension {d}")
    return (*(WHOLE,) * d, int(index), Ellipsis)


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`length` elements of a dimension from `start`; a view.

    Args:
        input: a tensor.
        dim: the dimension.
        start: a number, or a tensor of one integer; counted from the end if negative.
        length: a number.

    Raises:
        IndexError: if the start is out of range.
        RuntimeError: if the elements reach beyond the dimension.
    """
    if not need_tensor("narrow", input).aval.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    d = wrapped_dim(dim, input.aval.ndim)
    n = input.aval.shape[d]
    first = _start(start)
    if not -n <= first <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got "
                         f"{first})")
    first += n if first < 0 else 0
    if first + length > n:
        raise RuntimeError(f"start ({first}) + length ({length}) exceeds dimension size ({n}).")
    return layout.narrow(input, d, first, length)


def _start(start: Any) -> int:
    if not isinstance(start, Handle):
        return int(start)
    if start.aval.ndim or start.aval.dtype.category != dtypes.INTEGER:
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    return int(concrete(start, LOOKS))


def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """`narrow`, as a copy."""
    return layout.contiguous(narrow(input, dim, start, length))


# --- by index ---------------------------------------------------------------------------------


def need_index(name: str, index: Any, position: int = 3) -> Any:
    """A tensor of indices, for `gather` and `scatter`.

    Raises:
        TypeError: if it is no tensor.
        RuntimeError: if its dtype is not int32 or int64.
    """
    if need_tensor(name, index, "index", position).aval.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    return index


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """The elements that an index names along a dimension, at the index's other places.

    Raises:
        RuntimeError: if the index has another number of dimensions, or is out of range.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([[1, 2], [3, 4]]).gather(1, torch.tensor([[0, 0], [1, 0]]))
        tensor([[1, 1],
                [4, 3]])
    """
    shape = need_tensor("gather", input).aval.shape
    d = wrapped_dim(dim, len(shape))
    named = need_tensor("gather", index, "index", 3).aval.shape
    if not index.aval.numel:
        flat = layout.reshape(input, shape=(input.aval.numel,))
        return layout.reshape(layout.narrow(flat, 0, 0, 0), shape=tuple(named))
    need_index("gather", index)
    if named != shape:
        _check_gathered(named, shape, d)
    if not shape or not named:
        return _gather_scalars(input, index)
    return p.gather(input, from_the_front(index, shape[d]), dim=d)


def _check_gathered(named: tuple[int, ...], shape: tuple[int, ...], dim: int) -> None:
    if max(len(named), 1) != max(len(shape), 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    for i, (n, m) in enumerate(zip(named, shape, strict=False)):
        if n > m and i != dim:
            raise RuntimeError(f"Size does not match at dimension {i} expected index {list(named)} "
                               f"to be no larger than self {list(shape)} apart from dimension "
                               f"{dim}")


def _gather_scalars(x: Any, index: Any) -> Any:
    """A number, or an index, without dimensions counts as one with one."""
    flat, places = (layout.reshape(v, shape=(v.aval.numel,)) for v in (x, plain_index(index)))
    found = p.gather(flat, from_the_front(places, x.aval.numel), dim=0)
    return layout.reshape(found, shape=index.aval.shape)


_index_select = p.take.named("IndexSelectBackward0", order=dense)


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of a dimension that a vector of indices names, as a copy.

    Raises:
        IndexError: if an index is out of range, or they are no vector.
    """
    shape = need_tensor("index_select", input).aval.shape
    d = wrapped_dim(dim, len(shape))
    if need_tensor("index_select", index, "index", 3).aval.dtype not in (
            dtypes.int64, dtypes.int32):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    if index.aval.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if not shape and index.aval.numel != 1:
        raise RuntimeError("index_select(): Index to scalar can have only 1 value, got "
                           f"{index.aval.numel} value(s)")
    n = shape[d] if shape else 1
    if not p.within(numbers(index), n):
        raise IndexError("index out of range in self")
    flat = from_the_front(index, n)
    if not index.aval.ndim:
        flat = layout.reshape(flat, shape=(1,))
    if shape:
        return _index_select(input, flat, dim=d)
    found = _index_select(layout.reshape(input, shape=(1,)), flat, dim=0)
    return layout.reshape(found, shape=())


def need_long(name: str, index: Any) -> Any:
    """A tensor of indices into all elements."""
    if need_tensor(name, index, "index", 2).aval.dtype is not dtypes.int64:
        raise RuntimeError(f"{name}(): Expected a long tensor for index, but got "
                           f"{index.aval.dtype.words}")
    return index


def flat_index(index: Any, count: int) -> Any:
    """Indices into all elements, checked."""
    given = numbers(index)
    if not p.within(given, count) and not p.within(given + count, 2 * count):
        bad = given[(given < -count) | (given >= count)].flat[0]
        raise IndexError(f"out of range: tried to access index {bad} on a tensor of {count} "
                         "elements.")
    return plain_index(index)


_take = p.take.named("TakeBackward0")


def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at indices into all of them as one dimension, in the index's shape.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([[4, 3], [2, 1]]).take(torch.tensor([0, -1]))
        tensor([4, 1])
    """
    count = need_tensor("take", input).aval.numel
    if need_long("take", index).aval.numel and not count:
        raise IndexError("take(): tried to take from an empty tensor")
    flat = input if input.aval.ndim == 1 else layout.reshape(input, shape=(count,))
    return _take(flat, flat_index(index, count), dim=0)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """The elements that indices name along a dimension; both are broadcast in the others.

    Without a dimension, both count as vectors.
    """
    need_tensor("take_along_dim", input)
    if need_tensor("take_along_dim", indices, "indices", 2).aval.dtype is not dtypes.int64:
        raise RuntimeError("torch.take_along_dim(): dtype of indices should be Long but got "
                           f"{indices.aval.dtype.words}")
    if dim is None:
        flat, places = (layout.reshape(x, shape=(x.aval.numel,)) for x in (input, indices))
        return gather(flat, 0, _wrapped(places, input.aval.numel))
    shape, named = input.aval.shape, indices.aval.shape
    if len(shape) != len(named):
        raise RuntimeError("torch.take_along_dim(): input and indices should have the same number "
                           f"of dimensions, but got {len(shape)} dimensions for input, and "
                           f"{len(named)} dimensions for indices")
    d = wrapped_dim(dim, len(shape))
    if not shape:
        return gather(input, 0, indices)

    def broadcast(own: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
        both = broadcast_shapes([(*own[:d], *own[d + 1:]), (*other[:d], *other[d + 1:])])
        return (*both[:d], own[d], *both[d:])

    places = _wrapped(indices, shape[d])
    if shape != named:
        input = layout.expand(input, shape=broadcast(shape, named))
        places = layout.expand(places, shape=broadcast(named, shape))
    return gather(input, d, places)


def _wrapped(index: Any, n: int) -> Any:
    """Indices counted from the front."""
    index = plain_index(index)
    return index if p.within(numbers(index), n) else choose(index < 0, index + n, index)


# --- by mask ----------------------------------------------------------------------------------

_masked_select = p.take_apart.named("MaskedSelectBackward0")


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask holds, as a vector; both are broadcast.

    Raises:
        RuntimeError: if the mask is not of bools.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor([1, -2, 3]); x.masked_select(x > 0)
        tensor([1, 3])
    """
    need_tensor("masked_select", input)
    if need_tensor("masked_select", mask, "mask", 2).aval.dtype is not dtypes.bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes([mask.aval.shape, input.aval.shape])
    input, mask = (x if x.aval.shape == shape else layout.expand(x, shape=shape)
                   for x in (input, mask))
    return where_true(_masked_select, input, mask, "A mask gives a result whose size depends on "
                      "it.")


@overload
def nonzero(input: Tensor, *, as_tuple: Literal[False] = False) -> Tensor: ...
@overload
def nonzero(input: Tensor, *, as_tuple: Literal[True]) -> tuple[Tensor, ...]: ...
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not zero: one row each, or a tensor per dimension.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([0, 5, 0, 7]).nonzero()
        tensor([[1],
                [3]])
    """
    values = concrete(need_tensor("nonzero", input), LOOKS)
    found = true_places(values if values.ndim else values.reshape(1))
    if as_tuple:
        return tuple([made(wrap(np.ascontiguousarray(i))) for i in found])
    if not values.ndim:
        return made(wrap(np.zeros((len(found[0]), 0), np.int64)))
    rows = np.stack(found) if len(found) > 1 else found[0].reshape(1, -1)
    return made(wrap(rows.T))


def argwhere(input: Tensor) -> Tensor:
    """The indices of the elements that are not zero, one row each."""
    return nonzero(input)


def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The first `size` rows of `nonzero`; rows of a value if there are fewer.

    Raises:
        RuntimeError: for a negative size.
    """
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    shape = need_tensor("nonzero_static", input).aval.shape
    is_zero = layout.reshape(input.detach() == 0, shape=(input.aval.numel,))
    order = argsort(is_zero, dim=0, descending=False, stable=True)
    count = min(size, input.aval.numel)
    columns = [layout.reshape(i, shape=(count, 1))
               for i in unravel_index(layout.narrow(order, 0, 0, count),
                                        tuple(max(n, 1) for n in shape))]
    blank = np.full((size, 1), fill_value)
    found = [layout.cat(i, blank[count:], dim=0) for i in columns]
    if not found:
        return made(wrap(np.zeros((size, 0), np.int64)))
    zeros = layout.cast(is_zero, dtype=dtypes.int64).sum()
    there = np.arange(size)[:, None] < input.aval.numel - zeros
    return choose(there, layout.cat(*found, dim=1), np.asarray(fill_value))


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Indices into all elements of a shape, as an index per dimension.

    Raises:
        TypeError: for indices that are not integers, or a shape that is none.
        ValueError: for a negative size.

    Example:
        >>> import wengert as torch
        >>> torch.unravel_index(torch.tensor([3, 5]), (2, 3))
        (tensor([1, 1]), tensor([0, 2]))
    """
    if need_tensor("unravel_index", indices).aval.dtype.category != dtypes.INTEGER:
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.aval.dtype!r}")
    if not isinstance(shape, (int, tuple, list)):
        raise TypeError("expected 'shape' to be int or sequence of ints, but got "
                        f"{type(shape)}")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    for n in sizes:
        if not hasattr(n, "__index__"):
            raise TypeError("expected 'shape' sequence to only contain ints, but got "
                            f"{type(n)}")
    if any(n < 0 for n in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    steps = np.cumprod([1, *sizes[:0:-1]], dtype=np.int64)[::-1][:len(sizes)]
    rest = layout.cast(indices, dtype=dtypes.int64).unsqueeze(-1) // steps
    return (rest % np.array(sizes, np.int64)).unbind(-1)
