"""Views by strides: any, and windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.levels import here, numbers
from ..primitives import strides as s
from . import shapes
from .arguments import need_tensor, sizes, wrapped_dim

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["as_strided"]

# --- by strides -------------------------------------------------------------------------------


def strided_params(x: Any, size: Any, stride: Any, storage_offset: int | None) -> dict[str, Any]:
    """The parameters of `as_strided`, checked.

    Raises:
        RuntimeError: if what they name lies outside of the memory.
    """
    shape, steps = sizes((size,)), sizes((stride,))
    if len(shape) != len(steps):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(n < 0 for n in steps):
        raise RuntimeError("as_strided: Negative strides are not supported at the moment, got "
                           f"strides: {list(steps)}")
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)} and "
                           f"strides={list(steps)}")
    own, count = _lies(need_tensor("as_strided", x))
    start = storage_offset if storage_offset is not None else own[1] if own else 0
    if start < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {start}")
    reach = s.reach(shape, steps, start)
    if reach > count:
        size_of = x.aval.dtype.itemsize
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(steps)}, storage offset {start}, and "
            f"itemsize {size_of} requiring a storage size of {reach * size_of} are out of bounds "
            f"for storage of size {count * size_of}")
    return {"shape": shape, "strides": steps, "offset": start, "layout": own}


def _lies(x: Any) -> tuple[Any, int]:
    """How a tensor lies in memory, and how many elements that holds."""
    memory = shapes.memory(x)
    if memory is None:
        return None, x.aval.numel
    whole = numbers(x)
    own = s.layout_of(memory)
    if whole.ndim != x.aval.ndim:  # one example of several: its memory begins with it
        steps = tuple(n // memory.itemsize for n in memory.strides)
        own = None if memory.flags.c_contiguous else (steps, 0)
    if own is not None and here.recorder is not None:
        here.recorder.fail("it looks by strides at memory that a tensor is a part of")
    return own, s.memory_of(memory).size


def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """The tensor's memory, seen by strides; a view, several elements of which may be one place.

    Args:
        input: a tensor.
        size: the shape.
        stride: how many elements apart neighbours lie, for each dimension.
        storage_offset: elements of the memory before the first; the tensor's own, if None.

    Raises:
        RuntimeError: if an element would lie outside of the memory.

    Example:
        >>> import wengert as torch
        >>> torch.arange(4).as_strided((3, 2), (1, 1))
        tensor([[0, 1],
                [1, 2],
                [2, 3]])
    """
    return s.as_strided(input, **strided_params(input, size, stride, storage_offset))


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of a dimension, as a new last dimension; a view.

    Args:
        input: a tensor.
        dimension: the dimension.
        size: how many elements a window has.
        step: how far apart windows begin.

    Raises:
        RuntimeError: if the dimension is smaller than a window, or a step not positive.

    Example:
        >>> import wengert as torch
        >>> torch.arange(5).unfold(0, 3, 2)
        tensor([[0, 1, 2],
                [2, 3, 4]])
    """
    shape = need_tensor("unfold", input).aval.shape
    d = wrapped_dim(dimension, len(shape))
    n = shape[d] if shape else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {n} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not shape:
        return s.as_strided(input, shape=(size,), strides=(1,), offset=0, layout=None)
    return s.unfold(input, dim=d, size=size, step=step)
