"""Parts of a tensor replaced by a source: slices, diagonals, what a mask picks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core import dtypes
from ..core.formats import dense
from ..core.handle import Handle
from ..core.levels import here, numbers
from ..core.primitive import Primitive, broadcast_shapes
from ..interpreters.views import Step, write_view
from ..primitives import indexing as p, layout
from ..primitives.elementwise import where
from ..primitives.layout import WHOLE
from ..primitives.scans import cumsum
from ..primitives.strides import as_strided
from . import shapes
from .arguments import long, need_tensor, wrapped_dim
from .choices import fill_
from .diagonals import two_dims
from .operators import is_number
from .picking import flat_index, need_long, selected
from .strides import strided_params

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "as_strided_scatter", "diagonal_scatter", "masked_scatter", "put", "select_scatter",
    "slice_scatter",
]

# --- views ------------------------------------------------------------------------------------


def _replacing(name: str) -> Callable[..., Any]:
    """What gives a tensor with the part that a view primitive looks at replaced by a source."""
    apply = write_view.named(f"{name}Backward0")

    def replaced(x: Any, src: Any, view: Primitive, **params: Any) -> Any:
        step = Step(view, params, None)
        shape = step.aval(x.aval.plain).shape
        if src.aval.shape != shape:
            raise RuntimeError("expected src to have a size equal to the slice of self. src size "
                               f"= {list(src.aval.shape)}, slice size = {list(shape)}")
        return apply(x, shapes.astype(src, x.aval.dtype), chain=(step,))

    return replaced


_select_scatter, _slice_scatter = _replacing("SelectScatter"), _replacing("SliceScatter")
_diagonal_scatter = _replacing("DiagonalScatter")
_as_strided_scatter = _replacing("AsStridedScatter")


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """The tensor with a source in place of the slice at an index of a dimension.

    Raises:
        RuntimeError: if the source has another shape than the slice.
    """
    need_tensor("select_scatter", src, "src", 2)
    return _select_scatter(input, src, layout.index_view, index=selected(input, dim, index))


def slice_scatter(input: Tensor, src: Tensor, dim: int = 0, start: int | None = None,
                  end: int | None = None, step: int = 1) -> Tensor:
    """The tensor with a source in place of a slice of a dimension.

    Raises:
        RuntimeError: if the source has another shape than the slice, or the step is not positive.

    Example:
        >>> import wengert as torch
        >>> torch.zeros(4).slice_scatter(torch.ones(2), start=1, end=3)
        tensor([0., 1., 1., 0.])
    """
    d = wrapped_dim(dim, need_tensor("slice_scatter", input).aval.ndim)
    need_tensor("slice_scatter", src, "src", 2)
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    part = slice(start, end, step).indices(input.aval.shape[d])
    return _slice_scatter(input, src, layout.index_view, index=(*(WHOLE,) * d, part, Ellipsis))


def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0,
                     dim2: int = 1) -> Tensor:
    """The tensor with a source in place of a diagonal."""
    a, b = two_dims(dim1, dim2, need_tensor("diagonal_scatter", input).aval.ndim)
    need_tensor("diagonal_scatter", src, "src", 2)
    return _diagonal_scatter(input, src, layout.diagonal, offset=long(offset), dim1=a, dim2=b)


def as_strided_scatter(input: Tensor, src: Tensor, size: Any, stride: Any,
                       storage_offset: int | None = None) -> Tensor:
    """The tensor with a source in place of what `as_strided` shows of it."""
    need_tensor("as_strided_scatter", src, "src", 2)
    params = strided_params(input, size, stride, storage_offset)
    return _as_strided_scatter(input, src, as_strided, **params)


def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Writes a number on the main diagonal, in place.

    Args:
        self: a tensor of at least two dimensions, all equal if there are more.
        fill_value: a number.
        wrap: whether the diagonal of a tall matrix begins again below its end.

    Raises:
        RuntimeError: for less than two dimensions, or more that are not equal.
        TypeError: for what is no number.
    """
    shape = need_tensor("fill_diagonal_", self).aval.shape
    single = isinstance(fill_value, Handle) and not fill_value.aval.ndim
    if not (single or is_number(fill_value)):
        raise TypeError("fill_diagonal_(): argument 'fill_value' (position 1) must be Number, not "
                        f"{type(fill_value).__name__}")
    if len(shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    diagonal, again = self, bool(wrap) and len(shape) == 2 and shape[0] > shape[1] + 1
    for _ in range(len(shape) - 1):
        diagonal = layout.diagonal(diagonal, offset=0, dim1=0, dim2=diagonal.aval.ndim - 1)
    fill_(diagonal, fill_value)
    if again:
        below = layout.narrow(self, 0, shape[1] + 1, shape[0] - shape[1] - 1)
        fill_diagonal_(below, fill_value, wrap=True)
    return self


# --- by mask ----------------------------------------------------------------------------------


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The tensor with elements of a source, in order, where a mask holds.

    Args:
        input: a tensor.
        mask: of bools; it and the tensor are broadcast.
        source: of the tensor's dtype, and with at least as many elements as the mask has trues.

    Raises:
        RuntimeError: if one of these does not hold.

    Example:
        >>> import wengert as torch
        >>> torch.zeros(3).masked_scatter(torch.tensor([True, False, True]), torch.tensor([1., 2.]))
        tensor([1., 0., 2.])
    """
    _check_masked(input, mask, source)
    shape = broadcast_shapes([input.aval.shape, mask.aval.shape])
    x, holds = (a if a.aval.shape == shape else layout.expand(a, shape=shape)
                for a in (input, mask))
    flat = layout.reshape(holds, shape=(holds.aval.numel,))
    if not flat.aval.numel or not source.aval.numel:
        if not source.requires_grad:
            return layout.clone(x)
        return _masked(holds, layout.expand(source.sum(), shape=shape), x)  # for its history
    count = cumsum(layout.cast(flat, dtype=dtypes.int64), dim=0)
    places = where(flat, count - 1, 0)
    found = p.index(layout.reshape(source, shape=(source.aval.numel,)), places, pattern=(0,))
    return _masked(holds, layout.reshape(found, shape=shape), x)


_masked = where.named("MaskedScatterBackward0", order=dense)


def _check_masked(x: Any, mask: Any, source: Any) -> None:
    need_tensor("masked_scatter", x)
    need_tensor("masked_scatter", source, "source", 3)
    if need_tensor("masked_scatter", mask, "mask", 2).aval.dtype is not dtypes.bool_:
        raise RuntimeError("masked_scatter_ only supports boolean masks, but got mask with dtype "
                           f"{mask.aval.dtype.words}")
    if source.aval.dtype is not x.aval.dtype:
        raise RuntimeError("masked_scatter: expected self and source to have same dtypes but got"
                           f"{x.aval.dtype.words} and {source.aval.dtype.words}")
    shape = broadcast_shapes([x.aval.shape, mask.aval.shape])
    repeated = 1
    for n in shape:
        repeated *= n
    if here.recorder is None and mask.aval.level is None and (
            source.aval.numel < repeated):
        trues = int(numbers(mask).sum()) * (repeated // max(mask.aval.numel, 1))
        if source.aval.numel < trues:
            raise RuntimeError("Number of elements of source < number of ones in mask")


def masked_scatter_(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """`masked_scatter`, in place."""
    return shapes.copy_(self, masked_scatter(self, mask, source))


# --- at indices into all elements -------------------------------------------------------------

_put = p.index_put.named("PutBackward0")


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """The tensor with elements of a source put (or added) at indices into all elements.

    Raises:
        IndexError: if an index is out of range, or their number is not the source's.
        RuntimeError: if the source has another dtype.

    Example:
        >>> import wengert as torch
        >>> torch.zeros(2, 2).put(torch.tensor([1, 3]), torch.tensor([5., 6.]))
        tensor([[0., 5.],
                [0., 6.]])
    """
    count = need_tensor("put_", input).aval.numel
    need_tensor("put_", source, "source", 3)
    need_long("put_", index)
    if input.aval.dtype is not source.aval.dtype:
        raise RuntimeError("put_(): self and source expected to have the same dtype, but got "
                           f"self.dtype = {input.aval.dtype.words} and source.dtype = "
                           f"{source.aval.dtype.words}")
    if source.aval.numel != index.aval.numel:
        raise IndexError("put_(): Expected source and index to have the same number of elements, "
                         f"but got source.numel() = {source.aval.numel}, index.numel() = "
                         f"{index.aval.numel}")
    places = flat_index(index, count)
    flat = layout.reshape(input, shape=(count,))
    values = layout.reshape(source, shape=tuple(index.aval.shape))
    found = _put(flat, values, places, pattern=(0,), accumulate=accumulate)
    return layout.reshape(found, shape=tuple(input.aval.shape))


def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`put`, in place."""
    return shapes.copy_(self, put(self, index, source, accumulate))
