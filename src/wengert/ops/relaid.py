"""Tensors that look at their memory otherwise from now on, in place: `x.t_()`, `x.resize_(3)`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.aval import aval_of
from ..core.formats import contiguous_format
from ..core.levels import here
from ..interpreters.inplace import relaid, written
from ..interpreters.views import Step
from ..primitives import layout, strides as s
from .arguments import POSITIONAL, also, need_tensor, numpy_words, sizes, wrapped_dim
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


def resize_as_(self: Tensor, the_template: Tensor, *,
               memory_format: Any = contiguous_format) -> Tensor:
    """`resize_` to another tensor's shape."""
    return resize_(self, tuple(need_tensor("resize_as_", the_template, "the_template", 1)
                               .aval.shape))




# PyTorch's other names for the same things.
swapaxes_: Callable[..., Any] = transpose_
swapdims_: Callable[..., Any] = transpose_
