"""Shapes and views, in PyTorch's words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.aval import Size
from ..core.formats import contiguous_format, memory_format as Format, preserve_format  # noqa: N812
from ..core.handle import Alias, Handle, storage_of, wrap
from ..core.levels import concrete, here
from ..core.primitive import broadcast_shapes as common_shape
from ..core.provenance import warn
from ..interpreters.inplace import apart, check_history, check_overlap, put, write
from ..primitives import layout as p
from ..primitives.elementwise import copy
from .arguments import (
    LOOKS,
    POSITIONAL,
    also,
    listed,
    need_tensor,
    numpy_words,
    size,
    sizes,
    wrapped_dim,
    wrapped_dims,
)
from .operators import converted, number_array

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "adjoint", "broadcast_shapes", "broadcast_tensors", "broadcast_to", "clone", "flatten",
    "moveaxis", "movedim", "permute", "ravel", "reshape", "squeeze", "swapaxes", "swapdims", "t",
    "transpose", "unflatten", "unsqueeze",
]


def inferred(shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """A shape with its -1 worked out.

    Raises:
        RuntimeError: if the shape does not hold `numel` elements.
    """
    if any(n < -1 for n in shape):
        at = next(i for i, n in enumerate(shape) if n < -1)
        raise RuntimeError(f"invalid shape dimension {shape[at]} at index {at} of shape "
                           f"{list(shape)}")
    if shape.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    known = math.prod(n for n in shape if n != -1)
    if -1 in shape:
        if known == 0:
            raise RuntimeError(f"cannot reshape tensor of 0 elements into shape {list(shape)} "
                               "because the unspecified dimension size -1 can be any value and is "
                               "ambiguous" if numel == 0 else
                               f"shape '{list(shape)}' is invalid for input of size {numel}")
        if numel % known == 0:
            return tuple(numel // known if n == -1 else n for n in shape)
    elif known == numel:
        return shape
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")


@also(shape=POSITIONAL)
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape: a view where strides allow, else a copy.

    Args:
        input: a tensor.
        shape: ints or one sequence of them; one may be -1 and is then worked out.

    Raises:
        RuntimeError: if the shape does not hold as many elements.

    Example:
        >>> import wengert as torch
        >>> torch.arange(4).reshape(2, -1)
        tensor([[0, 1],
                [2, 3]])
    """
    need_tensor("reshape", input)
    target = inferred(sizes(shape), input.aval.numel)
    if not input.aval.numel or is_contiguous(input):
        return p.reshape(input, shape=target)
    if _viewable(input, target):
        return _reshape_alias(input, shape=target)
    return p.unsafe_view(input, shape=target)


_reshape_alias = p.reshape.named("ReshapeAliasBackward0")


def memory(x: Any) -> Any:
    """The array that a tensor lies in (inside `vmap`, one example of it); None if there is none."""
    ndim = x.aval.ndim
    while isinstance(x, Handle):
        x = x.value
    if not isinstance(x, np.ndarray) or not x.size:
        return None
    return x[(0,) * (x.ndim - ndim) + (...,)]


def _viewable(x: Any, shape: tuple[int, ...]) -> bool:
    value = x.value if x.aval.level is None else memory(x)
    if value is None or value.flags.c_contiguous:
        return True
    try:
        value.reshape(shape, copy=False)
    except ValueError:
        return False
    return True


@also(size=POSITIONAL, dtype=POSITIONAL)
def view(input: Tensor, *shape: Any) -> Tensor:
    """The same memory in another shape, or (given a dtype) read as another dtype.

    Raises:
        RuntimeError: if the shape does not hold as many elements, or strides don't allow it.

    Example:
        >>> import wengert as torch
        >>> x = torch.zeros(4); x.view(2, 2)[0, 0] = 1; x
        tensor([1., 0., 0., 0.])
    """
    if len(shape) == 1 and isinstance(shape[0], dtypes.dtype):
        return _view_dtype(input, shape[0])
    target = inferred(sizes(shape), input.aval.numel)
    if input.aval.numel and not _viewable(input, target):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead.")
    return p.reshape(input, shape=target)


def _view_dtype(x: Any, kind: dtypes.dtype) -> Any:
    """The memory read as another dtype; carries no gradient.

    Raises:
        RuntimeError: for a dtype of another size, unless the last dimension can take it.
    """
    ratio = kind.itemsize / x.aval.dtype.itemsize
    if ratio != 1:
        words = f"to view {x.aval.dtype.words} as {kind.words} (different element sizes)"
        if not x.aval.ndim:
            raise RuntimeError(f"self.dim() cannot be 0 {words}")
        if ratio > 1 and x.aval.shape[-1] % int(ratio):
            raise RuntimeError(f"self.size(-1) must be divisible by {int(ratio)} {words}, but got "
                               f"{x.aval.shape[-1]}")
        if x.stride(-1) != 1:
            raise RuntimeError(f"self.stride(-1) must be 1 {words}, but got {x.stride(-1)}")
    out = wrap(concrete(x, LOOKS).view(kind.numpy))
    out.alias = Alias(storage_of(x))
    return out


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """`input.view(other.shape)`."""
    return view(input, other.aval.shape)


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """`input.reshape(other.shape)`."""
    return reshape(input, other.aval.shape)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions `start_dim` to `end_dim` made one.

    Example:
        >>> import wengert as torch
        >>> torch.zeros(2, 3, 4).flatten(1).shape
        torch.Size([2, 12])
    """
    shape = need_tensor("flatten", input).aval.shape
    start, end = wrapped_dim(start_dim, len(shape)), wrapped_dim(end_dim, len(shape))
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not shape:
        return reshape(input, 1)
    if start == end:
        return input
    return reshape(input, (*shape[:start], math.prod(shape[start:end + 1]), *shape[end + 1:]))


def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension."""
    return reshape(contiguous(input), -1)


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """A dimension made several; the inverse of `flatten`."""
    shape = need_tensor("unflatten", input).aval.shape
    d, parts = wrapped_dim(dim, len(shape)), tuple(map(size, sizes))
    if not parts:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        parts = inferred(parts, shape[d])
    except RuntimeError:
        raise RuntimeError(f"unflatten: Provided sizes {list(parts)} don't multiply up to the size "
                           f"of dim {d} ({shape[d]}) in the input tensor") from None
    return view(input, (*shape[:d], *parts, *shape[d + 1:]))


@numpy_words
def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without dimensions of size 1: all of them, or those named if their size is 1.

    Example:
        >>> import wengert as torch
        >>> torch.zeros(1, 3, 1).squeeze(0).shape
        torch.Size([3, 1])
    """
    shape = need_tensor("squeeze", input).aval.shape
    dims = squeezed(dim, len(shape))
    target = tuple(n for d, n in enumerate(shape) if n != 1 or d not in dims)
    apply = p.squeeze_all if dim is None else (
        p.squeeze_dims if isinstance(dim, (tuple, list)) else p.squeeze_dim)
    return apply(input, shape=target)


def squeezed(dim: Any, ndim: int) -> tuple[int, ...]:
    """The dimensions that `squeeze` looks at."""
    none = isinstance(dim, (tuple, list)) and not dim
    return () if none else wrapped_dims(dim, ndim)


@numpy_words
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new dimension of size 1 at `dim`.

    Raises:
        IndexError: if `dim` is out of range.
    """
    shape = need_tensor("unsqueeze", input).aval.shape
    d = wrapped_dim(dim, len(shape) + 1)
    return p.unsqueeze(input, shape=(*shape[:d], 1, *shape[d:]))


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions swapped; a view.

    Example:
        >>> import wengert as torch
        >>> torch.zeros(2, 3).transpose(0, 1).shape
        torch.Size([3, 2])
    """
    n = need_tensor("transpose", input).aval.ndim
    dims = list(range(n))
    a, b = wrapped_dim(dim0, n), wrapped_dim(dim1, n)
    if n:
        dims[a], dims[b] = b, a
    return p.transpose(input, dims=tuple(dims))


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and scalars as they are.

    Raises:
        RuntimeError: for more than two dimensions.
    """
    n = need_tensor("t", input).aval.ndim
    if n > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {n}D")
    return p.t(input, dims=tuple(reversed(range(n))))


@also(dims=POSITIONAL)
def permute(input: Tensor, *dims: Any) -> Tensor:
    """Dimensions in another order; a view.

    Raises:
        RuntimeError: if `dims` does not name each dimension once.
    """
    n = need_tensor("permute", input).aval.ndim
    order = sizes(dims)
    if len(order) != n:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {n} is not equal "
            f"to len(dims) = {len(order)}")
    order = tuple(wrapped_dim(d, n) for d in order)
    if len(set(order)) != n:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return p.permute(input, dims=order)


def movedim(input: Tensor, source: int | Sequence[int],
            destination: int | Sequence[int]) -> Tensor:
    """Dimensions moved to other places, the rest in their order; a view.

    Raises:
        RuntimeError: if source and destination do not match or repeat.
    """
    n = need_tensor("movedim", input).aval.ndim
    from_, to = listed(source), listed(destination)
    if len(from_) != len(to):
        raise RuntimeError("movedim: Invalid source or destination dims: source "
                           f"({from_} dims) should contain the same number of dims as destination "
                           f"({to} dims)")
    from_, to = [wrapped_dim(d, n) for d in from_], [wrapped_dim(d, n) for d in to]
    for word, dims in (("source", from_), ("destination", to)):
        if len(set(dims)) != len(dims):
            given = list(sizes((source if word == "source" else destination,)))
            raise RuntimeError(f"movedim: repeated dim in `{word}` ({given})")
    order = [-1] * n
    for a, b in zip(from_, to, strict=True):
        order[b] = a
    rest = (d for d in range(n) if d not in from_)
    return p.permute(input, dims=tuple(next(rest) if d == -1 else d for d in order))


def matrix_transpose(input: Tensor, word: str = "mT") -> Tensor:
    """The last two dimensions swapped (`x.mT`); a number as it is.

    Raises:
        RuntimeError: for one dimension.
    """
    n = input.aval.ndim
    if n == 1:
        raise RuntimeError(f"tensor.{word} is only supported on matrices or batches of matrices. "
                           "Got 1-D tensor.")
    if not n:
        deprecated("Tensor.mT" if word == "mT" else word, conj=word != "mT")
        return input
    return transpose(input, -2, -1)


def deprecated(word: str, *, conj: bool) -> None:
    """Warns of a transpose of a number."""
    warn(f"{word} is deprecated on 0-D tensors. " + (
        "Consider using x.conj()." if conj else "This function is the identity in these cases."))


def adjoint(input: Tensor) -> Tensor:
    """The last two dimensions swapped, and the complex conjugate taken; a number as it is.

    Raises:
        RuntimeError: for one dimension.
    """
    found = matrix_transpose(need_tensor("adjoint", input), "adjoint()")
    return p.conj(found) if input.aval.is_complex else found


def reversed_dims(input: Tensor) -> Tensor:
    """All dimensions in reverse order (`x.T`)."""
    return p.permute(input, dims=tuple(reversed(range(input.aval.ndim))))


@also(size=POSITIONAL)
def expand(input: Tensor, *shape: Any) -> Tensor:
    """Dimensions of size 1 repeated without copying; -1 leaves a size as it is.

    Raises:
        RuntimeError: if a size does not fit.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([[1], [2]]).expand(-1, 3)
        tensor([[1, 1, 1],
                [2, 2, 2]])
    """
    return p.expand(input, shape=expanded(need_tensor("expand", input), sizes(shape)))


def expanded(input: Any, want: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that a tensor gets by `expand`."""
    have = input.aval.shape
    lead = len(want) - len(have)
    if lead < 0:
        raise RuntimeError(f"expand(torch.{input.aval.dtype.words}Tensor{{{list(have)}}}, "
                           f"size={list(want)}): the number of sizes provided ({len(want)}) must "
                           "be greater or equal to the number of dimensions in the tensor "
                           f"({len(have)})")
    target = []
    for d, n in reversed(tuple(enumerate(want))):
        old = have[d - lead] if d >= lead else None
        if n == -1 and old is None:
            raise RuntimeError("The expanded size of the tensor (-1) isn't allowed in a leading, "
                               f"non-existing dimension {d}")
        if n != -1 and old not in (None, 1, n):
            raise RuntimeError(f"The expanded size of the tensor ({n}) must match the existing "
                               f"size ({old}) at non-singleton dimension {d}.  Target sizes: "
                               f"{list(want)}.  Tensor sizes: {list(have)}")
        target.append(old if n == -1 and old is not None else n)
    return tuple(reversed(target))


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """`input.expand(other.shape)`."""
    return expand(input, other.aval.shape)


@also(size="shape")
def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """`input.expand(shape)`."""
    return expand(input, *shape)


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that all the shapes (or numbers, for one dimension) broadcast to.

    Raises:
        RuntimeError: if there is none.
        ValueError: for a negative size.

    Example:
        >>> import wengert as torch
        >>> torch.broadcast_shapes((2, 1), (3,))
        torch.Size([2, 3])
    """
    given = [sizes((shape,)) for shape in shapes]
    if any(n < 0 for shape in given for n in shape):
        raise ValueError("Attempting to broadcast a dimension with negative length!")
    common: tuple[int, ...] = ()
    for i, shape in enumerate(given):
        try:
            common = common_shape([common, shape])
        except RuntimeError:
            at = next(d for d in range(-1, -len(shape) - 1, -1)
                      if shape[d] != 1 and common[d] not in (1, shape[d]))
            raise RuntimeError(
                f"Attempting to broadcast a dimension of length {shape[at]} at {at}! Mismatching "
                f"argument at index {i} had {shape}; but expected shape should be broadcastable to "
                f"{list(common)}") from None
    return Size(common)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors expanded to their common shape."""
    shape = common_shape([x.aval.shape for x in tensors])
    return tuple(expand(x, *shape) for x in tensors)


@also(size=POSITIONAL)
def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """The tensor summed so that it has a shape from which it could be expanded.

    Raises:
        RuntimeError: if it could not.
    """
    shape, have = sizes(size), need_tensor("sum_to_size", input).aval.shape
    if len(shape) > len(have) or any(n not in (1, m) for n, m in zip(
            reversed(shape), reversed(have), strict=False)):
        raise RuntimeError(f"size {{{list(shape)}}} is not expandable to size {{{list(have)}}}.")
    if shape == have and shape:
        return input
    if input.aval.dtype.category <= dtypes.INTEGER and (not shape or math.prod(shape)
                                                        != input.aval.numel):
        input = p.cast(input, dtype=dtypes.int64)
    return p.sum_to(input, shape=shape) if have else p.clone(input)


# --- order in memory --------------------------------------------------------------------------


def is_contiguous(input: Tensor, memory_format: Any = contiguous_format) -> bool:
    """Whether the elements lie in memory in C order, or another format's."""
    value = input.value if input.aval.level is None else memory(input)
    if value is None or memory_format is contiguous_format:
        return value is None or bool(value.flags.c_contiguous)
    if value.ndim != memory_format.ndim:
        return False
    return bool(value.transpose(memory_format.order(value.ndim)).flags.c_contiguous)


def contiguous(input: Tensor, *, memory_format: Any = contiguous_format) -> Tensor:
    """The tensor itself if its memory is in C order (or a format's), else a copy that is."""
    order = _format("contiguous", memory_format)
    if order is preserve_format or is_contiguous(input, order):
        return input
    return _in_order(input, order)


def clone(input: Tensor, *, memory_format: Any = preserve_format) -> Tensor:
    """A copy, through which gradients flow; its memory in the same order, or a format's.

    Example:
        >>> import wengert as torch
        >>> x = torch.ones(2); y = x.clone(); y += 1; x
        tensor([1., 1.])
    """
    if memory_format is preserve_format:
        return p.clone(need_tensor("clone", input))
    return _in_order(need_tensor("clone", input), _format("clone", memory_format))


def _format(name: str, given: Any) -> Format:
    if not isinstance(given, Format):
        raise TypeError(f"{name}(): argument 'memory_format' must be torch.memory_format, not "
                        f"{type(given).__name__}")
    return given


def _in_order(x: Any, order: Format) -> Any:
    """A copy whose dimensions lie in memory in a format's order."""
    if order is contiguous_format:
        return p.contiguous(x)
    dims = order.order(x.aval.ndim)
    return p.permute(p.contiguous(p.permute(x, dims=dims)), dims=p.inverse_order(dims))


# --- dtype and copying ------------------------------------------------------------------------


def astype(x: Tensor, kind: dtypes.dtype, *, copy: bool = False) -> Tensor:
    """The tensor in a dtype: itself if it has it already and no copy is asked for."""
    if x.aval.dtype is kind:
        return p.clone(x) if copy else x
    if x.aval.is_complex and not kind.is_complex and kind is not dtypes.bool_:
        warn("Casting complex values to real discards the imaginary part")
    return converted(x, kind)


def as_floats(x: Any) -> Any:
    """The tensor; in the default dtype, if it is one of integers or bools."""
    return x if x.aval.dtype.differentiable else astype(x, dtypes.get_default_dtype())


@also(other="src")
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Writes a tensor (or number), broadcast and converted, into this one.

    Raises:
        RuntimeError: if it does not broadcast to this shape.
    """
    if isinstance(src, Handle) and src.aval.shape == self.aval.shape:
        return self if apart(self, src) and put(self, src.value) else write(copy, self, src)
    if here.grad:
        check_history(self, False)
    check_overlap(copy, self, src)
    if not isinstance(src, Handle):
        src = number_array(src, self.aval.dtype)
    elif src.aval.numel and common_shape([self.aval.shape, src.aval.shape]) != self.aval.shape:
        raise RuntimeError(f"output with shape {list(self.aval.shape)} doesn't match the broadcast "
                           f"shape {list(common_shape([self.aval.shape, src.aval.shape]))}")
    return write(copy, self, src)


# PyTorch's other names for the same things.
moveaxis, swapdims = movedim, transpose


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """`transpose`, as NumPy calls it."""
    return transpose(input, axis0, axis1)
