"""Elements put, added or combined where an index sends them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.formats import alike
from ..core.handle import Handle
from ..core.levels import here, numbers
from ..core.primitive import Primitive
from ..core.provenance import warn
from ..interpreters.inplace import write
from ..primitives import indexing as p, layout, scattering as combining
from ..primitives.elementwise import add, masked_fill, where as choose
from . import shapes
from .arguments import need_tensor, wrapped_dim
from .index import from_the_front, plain_index
from .operators import is_number, number_array, to_kind
from .picking import need_index

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "index_add", "index_copy", "index_fill", "index_reduce", "scatter", "scatter_add",
    "scatter_reduce",
]

Apply = Callable[..., Any]
"""How an operation is applied: `apart`, or in place by `write`."""


def apart(primitive: Primitive, *operands: Any, **params: Any) -> Any:
    """Applies a primitive, its result apart from its operands."""
    return primitive(*operands, **params)


# --- an index for each element ----------------------------------------------------------------


def _sent(name: str, x: Any, dim: int, index: Any, src: Any = None) -> int:
    """The dimension, where an index fits the tensor and the source."""
    shape, named = need_tensor(name, x).aval.shape, need_index("scatter", index).aval.shape
    d = wrapped_dim(dim, len(shape))
    if src is not None and src.aval.dtype is not x.aval.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if not index.aval.numel or (named == shape and (src is None or src.aval.shape == shape)):
        return d
    for word, other in (("self", shape), ("src", None if src is None else src.aval.shape)):
        if other is not None and max(len(other), 1) != max(len(named), 1):
            raise RuntimeError("Index tensor must have the same number of dimensions as "
                               f"{word} tensor")
    within = all(n <= m or i == d for i, (n, m) in enumerate(zip(named, shape, strict=False)))
    if src is None:
        if not within:
            raise RuntimeError(f"Expected index {list(named)} to be no larger than self "
                               f"{list(shape)} apart from dimension {d}")
    elif not within or any(n > m for n, m in zip(named, src.aval.shape, strict=False)):
        raise RuntimeError(
            f"Expected index {list(named)} to be no larger than self {list(shape)} apart from "
            f"dimension {d} and to be no larger size than src {list(src.aval.shape)}")
    return d


def _untouched(apply: Apply, x: Any, src: Any) -> Any:
    """What an empty index leaves as it is; it has the history of src, if no element of it."""
    if getattr(src, "requires_grad", False):
        return apply(add, x, src.reshape(-1)[:0].sum())
    return layout.clone(x) if apply is apart else x


def _scattered(apply: Apply, primitive: Primitive, x: Any, dim: int, index: Any,
               src: Any) -> Any:
    """A scatter, of numbers without dimensions too."""
    if not index.aval.numel:
        return _untouched(apply, x, src)
    index = from_the_front(index, x.aval.shape[dim] if x.aval.ndim else 1)
    ndim = x.aval.ndim
    if not index.aval.ndim:
        index = layout.reshape(index, shape=(1,))
    if isinstance(src, Handle) and not src.aval.ndim:
        src = layout.reshape(src, shape=(1,))
    if ndim:
        return apply(primitive, x, index, src, dim=dim)
    found = primitive(layout.reshape(x, shape=(1,)), index, src, dim=0)
    found = layout.reshape(found, shape=())
    return found if apply is apart else shapes.copy_(x, found)


_scatter_value = p.scatter.named("ScatterBackward1")
_scatter_source = p.scatter.named("ScatterBackward0")


def _scatter(apply: Apply, x: Any, dim: int, index: Any, src: Any, value: Any,
             reduce: str | None) -> Any:
    if value is not None or is_number(src):
        given = src if value is None else value
        if not is_number(given):
            raise TypeError("scatter(): argument 'value' must be Number, not "
                            f"{type(given).__name__}")
        primitive, d = _scatter_value, _sent("scatter", x, dim, index)
        number = number_array(given, x.aval.dtype)
        src = p.repeated(number, index.aval.shape or (1,))
    elif isinstance(src, Handle):
        primitive, d = _scatter_source, _sent("scatter", x, dim, index, src)
        if reduce is not None:
            warn(_DEPRECATED)
    else:
        raise TypeError("scatter() received an invalid combination of arguments - got "
                        f"({type(dim).__name__}, Tensor, {type(src).__name__}), but expected a "
                        "Tensor src or a Number value")
    if reduce is not None:
        if reduce not in _COMBINING:
            raise RuntimeError("reduce argument must be either add or multiply.")
        primitive = _COMBINING[reduce]
    return _scattered(apply, primitive, x, d, index, src)


_DEPRECATED = (
    "The reduce argument of torch.scatter with Tensor src is deprecated and will be removed in a "
    "future PyTorch release. Use torch.scatter_reduce instead for more reduction options.")
_COMBINING = {"add": p.scatter_add, "multiply": combining.scatter_prod}


def scatter(input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None,
            reduce: str | None = None) -> Tensor:
    """The tensor with elements of a source put where an index sends them along a dimension.

    Args:
        input: a tensor.
        dim: the dimension.
        index: where each element goes; of the source's shape, or smaller.
        src: a tensor, or a number for all places.
        value: a number for all places, instead of `src`.
        reduce: "add" or "multiply" has them combined with what is there.

    Raises:
        RuntimeError: if the index does not fit, or is out of range.

    Example:
        >>> import wengert as torch
        >>> torch.zeros(3).scatter(0, torch.tensor([2, 0]), torch.tensor([1., 2.]))
        tensor([2., 0., 1.])
    """
    return _scatter(apart, input, dim, index, src, value, reduce)


def scatter_(self: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None,
             reduce: str | None = None) -> Tensor:
    """`scatter`, in place."""
    return _scatter(write, self, dim, index, src, value, reduce)


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """The tensor with elements of `src` added where an index sends them; undoes `gather`."""
    need_tensor("scatter_add", src, "src", 4)
    d = _sent("scatter_add", input, dim, index, src)
    return _scattered(apart, p.scatter_add, input, d, index, src)


def scatter_add_(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`scatter_add`, in place."""
    need_tensor("scatter_add_", src, "src", 4)
    d = _sent("scatter_add_", self, dim, index, src)
    return _scattered(write, p.scatter_add, self, d, index, src)


# --- reductions -------------------------------------------------------------------------------

_REDUCE = {"sum": p.scatter_add.named("ScatterReduceBackward0"), "prod": combining.scatter_prod,
           "amax": combining.scatter_amax, "amin": combining.scatter_amin}
_INDEX_REDUCE = {reduce: how.named("IndexReduceBackward0") for reduce, how in _REDUCE.items()}


def _neutral(reduce: str, kind: dtypes.dtype) -> Any:
    """What changes nothing that it is combined with."""
    if reduce in ("sum", "prod", "mean"):
        return number_array(reduce == "prod", kind)
    least = reduce == "amax"
    if kind.category == dtypes.FLOAT:
        return number_array(-np.inf if least else np.inf, kind)
    if kind is dtypes.bool_:
        return number_array(not least, kind)
    bounds = np.iinfo(kind.numpy)
    return number_array(int(bounds.min if least else bounds.max), kind)


def _divided(total: Any, count: Any) -> Any:
    """A mean of floats, or of integers rounded down; sums of nothing stay."""
    count = choose(count == 0, 1, count)
    if total.aval.dtype.differentiable:
        return total / count
    return total // layout.cast(count, dtype=total.aval.dtype)


def scatter_reduce(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *,
                   include_self: bool = True) -> Tensor:
    """The tensor combined with elements of a source where an index sends them along a dimension.

    Args:
        input: a tensor.
        dim: the dimension.
        index: where each element goes; of the source's shape, or smaller.
        src: a tensor.
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: whether the tensor's own elements count where others are sent.

    Raises:
        RuntimeError: if the index does not fit, or is out of range, or `reduce` is another word.

    Example:
        >>> import wengert as torch
        >>> x, i = torch.tensor([1., 2.]), torch.tensor([0, 0])
        >>> torch.zeros(2).scatter_reduce(0, i, x, "mean", include_self=False)
        tensor([1.5000, 0.0000])
    """
    need_tensor("scatter_reduce", src, "src", 4)
    if reduce not in (*_REDUCE, "mean"):
        raise RuntimeError("reduce argument must be either sum, prod, mean, amax or amin, got "
                           f"{reduce}")
    d = _sent("scatter_reduce", input, dim, index, src)
    return _reduced(_REDUCE, input, d, index, src, reduce, include_self)


def _reduced(how: dict[str, Primitive], x: Any, dim: int, index: Any, src: Any, reduce: str,
             include_self: bool) -> Any:
    if not index.aval.numel:
        return _untouched(apart, x, src)
    if not x.aval.ndim or not index.aval.ndim:
        one, named, sent = (layout.reshape(each, shape=(each.aval.numel,))
                            for each in (x, index, src))
        found = _reduced(how, one, 0, named, sent, reduce, include_self)
        return layout.reshape(found, shape=x.aval.shape)
    index = from_the_front(index, x.aval.shape[dim])
    if not include_self:
        blank = np.broadcast_to(_neutral(reduce, x.aval.dtype), index.aval.shape)
        x = p.scatter(x, index, blank, dim=dim)
    if reduce != "mean":
        return how[reduce](x, index, src, dim=dim)
    kind = x.aval.dtype if x.aval.dtype.differentiable else dtypes.int64
    own = np.full(x.aval.shape, include_self, kind.numpy)
    one = np.broadcast_to(number_array(1, kind), index.aval.shape)
    count = p.scatter_add(own, index, one, dim=dim)
    total = how["sum"](x, index, src, dim=dim)
    return _divided(total, count)


def scatter_reduce_(self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *,
                    include_self: bool = True) -> Tensor:
    """`scatter_reduce`, in place."""
    return replaced(self, lambda x: scatter_reduce(x, dim, index, src, reduce,
                                                   include_self=include_self))


def replaced(self: Any, function: Callable[[Any], Any]) -> Any:
    """Writes a function of a tensor into it: of a copy, where its gradient may need the old
    values."""
    before = layout.clone(self) if here.grad and self.requires_grad else self
    return shapes.copy_(self, function(before))


# --- an index for each slice ------------------------------------------------------------------


def _vector(name: str, index: Any) -> Any:
    if need_tensor(name, index, "index", 3).aval.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector, but got dim: "
                         f"{index.aval.ndim} with type: {index.aval.dtype.words} and size: "
                         f"{list(index.aval.shape)}")
    if index.aval.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index but got: "
                           f"{index.aval.dtype.words}")
    return index


def _sliced(name: str, x: Any, dim: int, index: Any, source: Any) -> int:
    """The dimension, where a source has a slice for each index."""
    shape, own = need_tensor(name, x).aval.shape, need_tensor(name, source, "source", 4).aval.shape
    d = wrapped_dim(dim, len(shape))
    _vector(name, index)
    if x.aval.dtype is not source.aval.dtype:
        raise RuntimeError(f"{name}(): self ({x.aval.dtype.words}) and source "
                           f"({source.aval.dtype.words}) must have the same scalar type")
    count = own[d] if d < len(own) else 1
    if index.aval.numel == count and own == shape:
        return d
    if index.aval.numel != count:
        raise RuntimeError(f"{name}(): Number of indices ({index.aval.numel}) should be equal to "
                           f"source.size(dim): ({count}), for dim: {d}")
    if len(own) != len(shape) or (*own[:d], *own[d + 1:]) != (*shape[:d], *shape[d + 1:]):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. "
            f"Got self.shape = {list(shape)} source.shape = {list(own)}")
    return d


def _in_range(index: Any, n: int, error: Callable[[int], Exception]) -> None:
    given = numbers(index)
    if not p.within(given, n):
        raise error(int(given[(given < 0) | (given >= n)].flat[0]))


def _put_slices(apply: Apply, primitive: Primitive, x: Any, dim: int, index: Any, source: Any,
                accumulate: bool) -> Any:
    """Slices put, or added, at a vector of indices; a number counts as a vector of one."""
    index = plain_index(index)
    if not index.aval.ndim:
        index = layout.reshape(index, shape=(1,))
    if x.aval.ndim:
        index = from_the_front(index, x.aval.shape[dim])
        if isinstance(source, Handle) and source.aval.ndim == x.aval.ndim - 1:
            shape = source.aval.shape
            source = layout.reshape(source, shape=(*shape[:dim], 1, *shape[dim:]))
        return apply(primitive, x, source, index, pattern=p.whole_but(dim),
                     accumulate=accumulate)
    found = primitive(layout.reshape(x, shape=(1,)), source, index, pattern=(0,),
                      accumulate=accumulate)
    found = layout.reshape(found, shape=())
    return found if apply is apart else shapes.copy_(x, found)


_fill_number = p.index_copy.named("IndexFillBackward0", order=alike)
_filled_by_tensor = masked_fill.named("IndexFillBackward1")


def _add(apply: Apply, x: Any, dim: int, index: Any, source: Any, alpha: Any) -> Any:
    d = _sliced("index_add_", x, dim, index, source)
    n = x.aval.shape[d] if x.aval.ndim else 1
    if x.aval.ndim < 2:
        _in_range(index, n, lambda i: IndexError("index out of range in self"))
    else:
        _in_range(index, n, lambda i: RuntimeError(
            f"index {i} is out of bounds for dimension {d} with size {n}"))
    if alpha != 1:
        source = source * number_array(alpha, x.aval.dtype)
    return _put_slices(apply, p.index_add, x, d, index, source, True)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *,
              alpha: complex = 1) -> Tensor:
    """The tensor with slices of a source, times alpha, added where a vector of indices says.

    Raises:
        RuntimeError: if the source does not fit, or an index is out of range.
        IndexError: if an index is out of a vector's range.

    Example:
        >>> import wengert as torch
        >>> torch.zeros(3).index_add(0, torch.tensor([0, 2, 0]), torch.tensor([1., 2., 3.]))
        tensor([4., 0., 2.])
    """
    return _add(apart, input, dim, index, source, alpha)


def index_add_(self: Tensor, dim: int, index: Tensor, source: Tensor, *,
               alpha: complex = 1) -> Tensor:
    """`index_add`, in place."""
    return _add(write, self, dim, index, source, alpha)


def _copy(apply: Apply, x: Any, dim: int, index: Any, source: Any) -> Any:
    shape, own = need_tensor("index_copy", x).aval.shape, need_tensor(
        "index_copy", source, "source", 4).aval.shape
    d = wrapped_dim(dim, len(shape))
    if need_tensor("index_copy", index, "index", 3).aval.ndim > 1:
        raise IndexError("index_copy_(): Index should have dimension 1 or 0 (got "
                         f"{index.aval.ndim})")
    if shape and own and len(shape) != len(own):
        raise IndexError("index_copy_(): When source and destination are not scalars, their "
                         f"dimensionality must match. Source dimensionality ({len(own)}), "
                         f"destination dimensionality ({len(shape)})")
    if index.aval.dtype is not dtypes.int64:
        raise RuntimeError("index_copy_(): Expected a long tensor for index, but got "
                           f"{index.aval.dtype.words}")
    if x.aval.dtype is not source.aval.dtype:
        raise RuntimeError("index_copy_(): self and source expected to have the same dtype, but "
                           f"got (self) {x.aval.dtype.words} and (source) "
                           f"{source.aval.dtype.words}")
    _check_slices(shape, own, d)
    count = own[d] if own else 1
    if index.aval.numel != count:
        raise IndexError(f"index_copy_(): Number of indices ({index.aval.numel}) should be equal "
                         f"to source.size(dim) ({count})")
    n = shape[d] if shape else 1
    _in_range(index, n, lambda i: IndexError(
        f"index_copy_(): index {i} is out of bounds for dimension {d} with size {n}"))
    return _put_slices(apply, p.index_copy, x, d, index, source, False)


def _check_slices(shape: Sequence[int], own: Sequence[int], dim: int) -> None:
    there, mine = ((*s[:dim], *s[dim + 1:]) for s in (tuple(shape), tuple(own)))
    if there != mine:
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination "
            f"slice shape: {' '.join(map(str, there))} at dimension {dim} and source slice shape: "
            f"{' '.join(map(str, mine))} at dimension {dim if own else 0}.")


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """The tensor with slices of a source in place of those that a vector of indices names.

    Raises:
        IndexError: if an index is out of range, or their number is not the source's.
        RuntimeError: if the slices have another shape or dtype.
    """
    return _copy(apart, input, dim, index, source)


def index_copy_(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`index_copy`, in place."""
    return _copy(write, self, dim, index, source)


def _fill(apply: Apply, x: Any, dim: int, index: Any, value: Any) -> Any:
    d = wrapped_dim(dim, need_tensor("index_fill", x).aval.ndim)
    if need_tensor("index_fill", index, "index", 3).aval.dtype is not dtypes.int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index.aval.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    if isinstance(value, Handle) and value.aval.ndim:
        raise RuntimeError("index_fill_ only supports a 0-dimensional value tensor, but got tensor "
                           f"with {value.aval.ndim} dimension(s).")
    kind = value.aval.dtype if isinstance(value, Handle) else dtypes.of_number(value)
    if kind.is_complex and not x.aval.dtype.is_complex:
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not "
                           "supported")
    n = x.aval.shape[d] if x.aval.ndim else 1
    given = numbers(index)
    if given.size and not (-n <= given.min() and given.max() < n):
        bad = given[(given < -n) | (given >= n)].flat[0]
        raise IndexError(f"index {bad} is out of bounds for dimension {d} with size {n}")
    if isinstance(value, Handle):
        return _fill_by_tensor(apply, x, d, index, to_kind(value, x.aval.dtype))
    return _put_slices(apply, _fill_number, x, d, index, number_array(value, x.aval.dtype), False)


def _fill_by_tensor(apply: Apply, x: Any, dim: int, index: Any, value: Any) -> Any:
    """By a mask, so that an index that is named twice counts once in the value's gradient."""
    n = x.aval.shape[dim] if x.aval.ndim else 1
    index = layout.reshape(from_the_front(index, n), shape=(index.aval.numel,))
    mask = p.index_put(np.zeros(n, np.bool_), np.asarray(True), index, pattern=(0,),
                       accumulate=False)
    shape = tuple(m if d == dim else 1 for d, m in enumerate(x.aval.shape))
    return apply(_filled_by_tensor, x, layout.reshape(mask, shape=shape), value)


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """The tensor with a number (or 0-d tensor) in the slices that a vector of indices names.

    Raises:
        IndexError: if an index is out of range.
        RuntimeError: if the value has dimensions.
    """
    return _fill(apart, input, dim, index, value)


def index_fill_(self: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """`index_fill`, in place."""
    return _fill(write, self, dim, index, value)


def index_reduce(input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *,
                 include_self: bool = True) -> Tensor:
    """The tensor combined with slices of a source where a vector of indices says.

    Args:
        input: a tensor.
        dim: the dimension.
        index: where each slice goes.
        source: a tensor.
        reduce: "prod", "mean", "amax" or "amin".
        include_self: whether the tensor's own elements count where others are sent.

    Raises:
        IndexError: if an index is out of range, or they are no vector.
        RuntimeError: if the source does not fit.
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError("index_reduce(): Expected reduce to be one of prod, mean, amax or amin "
                           f"but got {reduce}.")
    d = _sliced("index_reduce_", input, dim, index, source)
    n = input.aval.shape[d] if input.aval.ndim else 1
    _in_range(index, n, lambda i: IndexError("index out of range in self"))
    shape = source.aval.shape
    places = layout.reshape(plain_index(index), shape=tuple(
        m if i == d else 1 for i, m in enumerate(shape)))
    return _reduced(_INDEX_REDUCE, input, d, layout.expand(places, shape=tuple(shape)), source,
                    reduce, include_self)


def index_reduce_(self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *,
                  include_self: bool = True) -> Tensor:
    """`index_reduce`, in place."""
    return replaced(self, lambda x: index_reduce(x, dim, index, source, reduce,
                                                 include_self=include_self))
