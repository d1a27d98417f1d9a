"""Tensors taken apart along a dimension, into views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.handle import Handle
from ..core.levels import concrete
from ..primitives import layout as p
from .arguments import LOOKS, also, need_tensor, numpy_words, size, wrapped_dim

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "chunk", "dsplit", "hsplit", "split", "split_with_sizes", "tensor_split", "unbind",
    "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes", "vsplit",
]


def _split_dim(name: str, x: Any, dim: int) -> int:
    """The dimension counted from the front, of a tensor that has some."""
    if not need_tensor(name, x).aval.ndim:
        raise RuntimeError(f"{name} expects at least a 1-dimensional tensor")
    return wrapped_dim(dim, x.aval.ndim)


def _equal(n: int, step: int) -> tuple[int, ...]:
    """The sizes of parts of one size, of which the last may be smaller."""
    if step < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={step}")
    if step == 0 and n:
        raise RuntimeError("split_size can only be 0 if dimension size is 0, but got dimension "
                           f"size of {n}")
    return tuple(min(step, n - i) for i in range(0, n, step)) if n else (0,)


def _given(n: int, sizes: Sequence[Any], dim: int) -> tuple[int, ...]:
    """Sizes that add up to n."""
    parts = tuple(map(size, sizes))
    if any(part < 0 for part in parts):
        raise RuntimeError("split_with_sizes expects split_sizes have only non-negative entries, "
                           f"but got split_sizes={list(parts)}")
    if sum(parts) != n:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size "
            f"at dimension {dim}), but got split_sizes={list(parts)}")
    return parts


@numpy_words
@also(split_size="split_size_or_sections", split_sizes="split_size_or_sections", tensor="input")
def split(input: Tensor, split_size_or_sections: int | Sequence[int],
          dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts of a given size (the last may be smaller), or of given sizes.

    Raises:
        RuntimeError: if the sizes do not add up.

    Example:
        >>> import wengert as torch
        >>> torch.arange(5).split(2)
        (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    d = _split_dim("split", input, dim)
    n = input.aval.shape[d]
    if isinstance(split_size_or_sections, (tuple, list)):
        return p.split_sizes(input, sizes=_given(n, split_size_or_sections, dim), dim=d)
    if not hasattr(split_size_or_sections, "__index__"):
        raise TypeError("split_with_sizes(): argument 'split_sizes' (position 2) must be tuple of "
                        f"ints, not {type(split_size_or_sections).__name__}")
    return p.split(input, sizes=_equal(n, size(split_size_or_sections)), dim=d)


def split_with_sizes(input: Tensor, split_sizes: Sequence[int],
                     dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts of the given sizes."""
    d = _split_dim("split", input, dim)
    return p.split_sizes(input, sizes=_given(input.aval.shape[d], split_sizes, dim), dim=d)


def _chunks(input: Any, chunks: int, dim: int) -> int | list[int]:
    """What `chunk` splits a dimension into: parts of a size, or of sizes."""
    d = _split_dim("chunk", input, dim)
    if chunks < 1:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input.aval.shape[d]
    return -(-n // chunks) if n else [0] * chunks


@numpy_words
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal size (the last may be smaller)."""
    return split(input, _chunks(input, chunks, dim), dim)


def _pieces(x: Any, sizes: Sequence[int], dim: int) -> tuple[Any, ...]:
    """Parts that are views each by itself, and so may be written."""
    found, start = [], 0
    for n in sizes:
        found.append(p.narrow(x, dim, start, n))
        start += n
    return tuple(found)


def unsafe_split(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`split`, of which parts may be written in place."""
    d = _split_dim("split", input, dim)
    return _pieces(input, _equal(input.aval.shape[d], size(split_size)), d)


def unsafe_split_with_sizes(input: Tensor, split_sizes: Sequence[int],
                            dim: int = 0) -> tuple[Tensor, ...]:
    """`split_with_sizes`, of which parts may be written in place."""
    d = _split_dim("split", input, dim)
    return _pieces(input, _given(input.aval.shape[d], split_sizes, dim), d)


def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`chunk`, of which parts may be written in place."""
    parts = _chunks(input, chunks, dim)
    return (unsafe_split_with_sizes(input, parts, dim) if isinstance(parts, list) else
            unsafe_split(input, parts, dim))


# --- at places --------------------------------------------------------------------------------


@also(indices="indices_or_sections", sections="indices_or_sections",
      tensor_indices_or_sections="indices_or_sections")
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts of a dimension: so many of nearly equal size, or those between indices.

    Args:
        input: a tensor.
        indices_or_sections: a number of parts, or where each but the first begins; either may be
            a tensor.
        dim: the dimension.

    Raises:
        RuntimeError: for less than one part, or a tensor without dimensions.

    Example:
        >>> import wengert as torch
        >>> torch.arange(5).tensor_split(2)
        (tensor([0, 1, 2]), tensor([3, 4]))
        >>> torch.arange(5).tensor_split((1, 3))
        (tensor([0]), tensor([1, 2]), tensor([3, 4]))
    """
    if not need_tensor("tensor_split", input).aval.ndim:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a "
                           "tensor with 0 dims")
    d = wrapped_dim(dim, input.aval.ndim)
    n = input.aval.shape[d]
    places = _places(indices_or_sections)
    if isinstance(places, int):
        if places < 1:
            raise RuntimeError(f"number of sections must be larger than 0, got {places}")
        least, more = divmod(n, places)
        return _pieces(input, [least + (i < more) for i in range(places)], d)
    bounds = [slice(start, stop).indices(n) for start, stop in zip(
        [0, *places], [*places, None], strict=True)]
    return tuple(p.narrow(input, d, start, max(stop - start, 0)) for start, stop, _ in bounds)


def _places(given: Any) -> int | list[int]:
    if isinstance(given, Handle):
        if given.aval.dtype is not dtypes.int64:
            raise RuntimeError("tensor_split expected tensor_indices_or_sections to have dtype of "
                               f"long, but got {given.aval.dtype.words}")
        if given.aval.ndim > 1:
            raise RuntimeError("tensor_split expected tensor_indices_or_sections to be a "
                               "zero-dimensional or one-dimensional tensor, but got a tensor with "
                               f"{given.aval.ndim} dims")
        return concrete(given, LOOKS).tolist()
    if isinstance(given, (tuple, list, np.ndarray)):
        return [size(n) for n in given]
    if not hasattr(given, "__index__"):
        raise TypeError("tensor_split() received an invalid combination of arguments - got "
                        f"({type(given).__name__}), but expected ints")
    return size(given)


def _splitter(name: str, least: int, dim: int, says: str) -> Callable[..., tuple[Tensor, ...]]:
    def function(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        ndim = need_tensor(name, input).aval.ndim
        if ndim < least:
            raise RuntimeError(f"torch.{name} requires a tensor with at least {least} dimension, "
                               f"but got a tensor with {ndim} dimensions!")
        d = min(dim, ndim - 1)
        n, places = input.aval.shape[d], _places(indices_or_sections)
        if isinstance(places, int) and (places == 0 or n % places):
            raise RuntimeError(f"torch.{name} attempted to split along dimension {d}, but the size "
                               f"of the dimension {n} is not divisible by the split_size {places}!")
        return tensor_split(input, indices_or_sections, d)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`tensor_split` along the {says}, into equal parts if a number is given."
    return also(indices="indices_or_sections", sections="indices_or_sections")(function)


hsplit = _splitter("hsplit", 1, 1, "second dimension (the first of a vector)")
vsplit = _splitter("vsplit", 2, 0, "first dimension")
dsplit = _splitter("dsplit", 3, 2, "third dimension")


@numpy_words
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along a dimension, as views.

    Example:
        >>> import wengert as torch
        >>> torch.arange(3).unbind()
        (tensor(0), tensor(1), tensor(2))
    """
    n = need_tensor("unbind", input).aval.ndim
    if n == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return p.unbind(input, dim=wrapped_dim(dim, n))
