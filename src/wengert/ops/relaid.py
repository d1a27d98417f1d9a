"""Tensors that look at their memory otherwise from now on, in place: `x.t_()`, `x.resize_(3)`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.aval import aval_of
from ..core.dtypes import c_name
from ..core.formats import contiguous_format
from ..core.handle import wrap
from ..core.levels import here
from ..interpreters.inplace import check_leaf, relaid, written
from ..interpreters.views import Step
from ..primitives import layout, strides as s
from .arguments import POSITIONAL, also, need_tensor, numpy_words, sizes, wrapped_dim
from .interchange import UntypedStorage
from .shapes import squeezed
from .strides import strided_params

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["resize_as_"]


def _reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    """Has x another shape in which its elements have the same order."""
    return relaid(x, Step(layout.reshape, {"shape": shape}, None),
                  Step(layout.reshape, {"shape": tuple(x.aval.shape)}, None))


@numpy_words
def squeeze_(self: Tensor, dim: Any = None) -> Tensor:
    """`squeeze`, in place."""
    shape = need_tensor("squeeze_", self).aval.shape
    dims = squeezed(dim, len(shape))
    return _reshaped(self, tuple(n for d, n in enumerate(shape) if n != 1 or d not in dims))


@numpy_words
def unsqueeze_(self: Tensor, dim: int) -> Tensor:
    """`unsqueeze`, in place."""
    shape = need_tensor("unsqueeze_", self).aval.shape
    d = wrapped_dim(dim, len(shape) + 1)
    return _reshaped(self, (*shape[:d], 1, *shape[d:]))


def transpose_(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """`transpose`, in place."""
    n = need_tensor("transpose_", self).aval.ndim
    dims = list(range(n))
    a, b = wrapped_dim(dim0, n), wrapped_dim(dim1, n)
    if n:
        dims[a], dims[b] = b, a
    swap = Step(layout.permute, {"dims": tuple(dims)}, None)
    return relaid(self, swap, swap)


def t_(self: Tensor) -> Tensor:
    """`t`, in place."""
    n = need_tensor("t_", self).aval.ndim
    if n > 2:
        raise RuntimeError(f"t_() expects a tensor with <= 2 dimensions, but self is {n}D")
    return transpose_(self, 0, 1 if n == 2 else 0)


def as_strided_(self: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """`as_strided`, in place: the tensor becomes the view."""
    params = strided_params(self, size, stride, storage_offset)
    steps, start = params["strides"], params["offset"]
    own, shape = params["layout"], tuple(self.aval.shape)
    before = own or (tuple(math.prod(shape[d + 1:]) for d in range(len(shape))), 0)
    back = {"shape": shape, "strides": before[0], "offset": before[1], "layout": (steps, start)}
    return relaid(self, Step(s.as_strided, params, None), Step(s.as_strided, back, None))


@also(size=POSITIONAL)
def resize_(self: Tensor, *size: Any, memory_format: Any = contiguous_format) -> Tensor:
    """Gives the tensor another shape, in place, with more memory if it must.

    Elements are kept in the order that they lie in memory; new ones are whatever is there.

    Raises:
        RuntimeError: if the tensor requires grad, or for a negative size.
    """
    shape = sizes(size)
    if need_tensor("resize_", self).requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    if any(n < 0 for n in shape):
        raise RuntimeError("numel: integer multiplication overflow")
    if self.aval.level is not None:
        raise RuntimeError("resize_() is not supported inside a transform")
    if here.recorder is not None:
        here.recorder.fail("it resizes a tensor")
    if shape == self.aval.shape:
        return self  # whatever its strides are
    count = math.prod(shape)
    own = s.layout_of(self.value)
    memory = s.memory_of(self.value)[own[1] if own else 0:]
    if count > memory.size:
        memory = np.concatenate((memory, np.zeros(count - memory.size, memory.dtype)))
    self.value = memory[:count].reshape(shape)
    written(self)
    self.aval = aval_of(self.value)
    return self


def set_(self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None,
         stride: Any = None) -> Tensor:
    """Has the tensor be another's memory from now on: its elements are those of `source`.

    Args:
        self: a tensor.
        source: a tensor of its dtype, or an `untyped_storage()`; None for one without elements.
        storage_offset: with `size`, how many elements of the source to leave out at first.
        size: the shape; the source's, if None.
        stride: how many elements apart neighbours lie, for each dimension; dense, if None.

    Raises:
        RuntimeError: for another dtype, if something requires grad while that is recorded, inside
            a transform, or for what lies outside of the memory.
    """
    source = _source(self, source)
    if self.aval.level is not None or source.aval.level is not None:
        raise RuntimeError("set_() is not supported inside a transform")
    if source.aval.dtype is not self.aval.dtype:
        raise RuntimeError(f"Could not set tensor of type {c_name(source.aval.dtype)} to a tensor "
                           f"of type {c_name(self.aval.dtype)}")
    if here.grad and (self.requires_grad or source.requires_grad):
        check_leaf(self)
        raise RuntimeError("derivative for aten::set_ is not implemented")
    if here.recorder is not None:
        here.recorder.fail("it sets a tensor's memory")
    if size is not None:
        shape = sizes((size,))
        steps = stride if stride is not None else tuple(
            math.prod(shape[d + 1:]) for d in range(len(shape)))
        source = s.as_strided(source, **strided_params(
            source, shape, steps, storage_offset + source.storage_offset()))
    self.data = source
    written(self)
    return self


def _source(self: Any, source: Any) -> Any:
    """What `set_` reads, as a tensor without history of the views that it is."""
    if source is None:
        return wrap(np.empty(0, self.aval.numpy))
    if isinstance(source, UntypedStorage):
        return wrap(source._array.ravel("K").view(self.aval.numpy))
    return need_tensor("set_", source, "source")


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether a tensor has the same memory, shape and strides."""
    other = need_tensor("is_set_to", tensor, "tensor")
    return (self.data_ptr() == other.data_ptr() and self.aval.shape == other.aval.shape
            and self.stride() == other.stride())


def dim_order(self: Tensor, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dimensions from that along which neighbours lie farthest apart to the nearest.

    Raises:
        RuntimeError: with `ambiguity_check`, if several orders fit.
    """
    steps = [(-step, d) for d, step in enumerate(self.stride())]
    if ambiguity_check and len({step for step, _ in steps}) < len(steps):
        raise RuntimeError("The tensor does not have unique dim order, or cannot map to exact one "
                           "of the given memory formats.")
    return tuple(d for _, d in sorted(steps))


def swapaxes_(self: Tensor, axis0: int, axis1: int) -> Tensor:
    """`transpose_`, as NumPy calls it."""
    return transpose_(self, axis0, axis1)


def resize_as_(self: Tensor, the_template: Tensor, *,
               memory_format: Any = contiguous_format) -> Tensor:
    """`resize_` to another tensor's shape."""
    return resize_(self, tuple(need_tensor("resize_as_", the_template, "the_template", 1)
                               .aval.shape))
