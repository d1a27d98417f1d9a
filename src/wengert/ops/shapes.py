"""Shapes and views, in PyTorch's words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.handle import Alias, Handle, storage_of, wrap
from ..core.levels import concrete, here
from ..core.primitive import broadcast_shapes
from ..interpreters.inplace import check_history, check_overlap, write
from ..primitives import layout as p
from ..primitives.elementwise import copy, fill, fill_tensor
from .arguments import (
    LOOKS,
    POSITIONAL,
    also,
    need_tensor,
    numpy_words,
    size,
    sizes,
    wrapped_dim,
    wrapped_dims,
)
from .operators import is_number, number_array

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "broadcast_tensors", "broadcast_to", "cat", "chunk", "clone", "concat", "concatenate",
    "diag", "diagonal", "flatten", "flip", "moveaxis", "movedim", "permute", "ravel", "reshape",
    "roll", "split", "squeeze", "stack", "swapaxes", "swapdims", "t", "tile", "transpose",
    "tril", "triu", "unbind", "unflatten", "unsqueeze",
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


def _memory(x: Any) -> Any:
    """The array that a tensor lies in (inside `vmap`, one example of it); None if there is none."""
    ndim = x.aval.ndim
    while isinstance(x, Handle):
        x = x.value
    if not isinstance(x, np.ndarray) or not x.size:
        return None
    return x[(0,) * (x.ndim - ndim) + (...,)]


def _viewable(x: Any, shape: tuple[int, ...]) -> bool:
    value = x.value if x.aval.level is None else _memory(x)
    if value is None or value.flags.c_contiguous:
        return True
    try:
        value.reshape(shape, copy=False)
    except ValueError:
        return False
    return True


@also(size=POSITIONAL)
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
    """The memory read as another dtype; carries no gradient."""
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
    return reshape(input, -1)


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """A dimension made several; the inverse of `flatten`."""
    shape = need_tensor("unflatten", input).aval.shape
    d = wrapped_dim(dim, len(shape))
    return reshape(input, (*shape[:d], *inferred(tuple(sizes), shape[d]), *shape[d + 1:]))


@numpy_words
def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without dimensions of size 1: all of them, or those named if their size is 1.

    Example:
        >>> import wengert as torch
        >>> torch.zeros(1, 3, 1).squeeze(0).shape
        torch.Size([3, 1])
    """
    shape = need_tensor("squeeze", input).aval.shape
    dims = wrapped_dims(dim, len(shape))
    target = tuple(n for d, n in enumerate(shape) if n != 1 or d not in dims)
    apply = p.squeeze_all if dim is None else (
        p.squeeze_dims if isinstance(dim, (tuple, list)) else p.squeeze_dim)
    return apply(input, shape=target)


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
    from_ = [source] if isinstance(source, int) else list(source)
    to = [destination] if isinstance(destination, int) else list(destination)
    if len(from_) != len(to):
        raise RuntimeError("movedim: Invalid source or destination dims: source "
                           f"({from_} dims) should contain the same number of dims as destination "
                           f"({to} dims)")
    from_, to = [wrapped_dim(d, n) for d in from_], [wrapped_dim(d, n) for d in to]
    if len(set(from_)) != len(from_) or len(set(to)) != len(to):
        raise RuntimeError("movedim: repeated dim in `source` or `destination`")
    order = [-1] * n
    for a, b in zip(from_, to, strict=True):
        order[b] = a
    rest = (d for d in range(n) if d not in from_)
    return p.permute(input, dims=tuple(next(rest) if d == -1 else d for d in order))


def matrix_transpose(input: Tensor) -> Tensor:
    """The last two dimensions swapped (`x.mT`).

    Raises:
        RuntimeError: for fewer than two dimensions.
    """
    if input.aval.ndim < 2:
        raise RuntimeError("tensor.mT is only supported on matrices or batches of matrices. Got "
                           f"{input.aval.ndim}-D tensor.")
    return transpose(input, -2, -1)


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


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors expanded to their common shape."""
    shape = broadcast_shapes([x.aval.shape for x in tensors])
    return tuple(expand(x, *shape) for x in tensors)


def is_contiguous(input: Tensor) -> bool:
    """Whether the elements lie in memory in C order."""
    value = input.value if input.aval.level is None else _memory(input)
    return value is None or bool(value.flags.c_contiguous)


def contiguous(input: Tensor) -> Tensor:
    """The tensor itself if its memory is in C order, else a copy that is."""
    if is_contiguous(input):
        return input
    return p.contiguous(input)


def clone(input: Tensor) -> Tensor:
    """A copy, through which gradients flow.

    Example:
        >>> import wengert as torch
        >>> x = torch.ones(2); y = x.clone(); y += 1; x
        tensor([1., 1.])
    """
    return p.clone(need_tensor("clone", input))


@also(dims=POSITIONAL)
def flip(input: Tensor, *dims: Any) -> Tensor:
    """The order along dimensions reversed; a copy.

    Example:
        >>> import wengert as torch
        >>> torch.arange(3).flip(0)
        tensor([2, 1, 0])
    """
    named = wrapped_dims(list(sizes(dims)), need_tensor("flip", input).aval.ndim)
    return p.flip(input, dims=named if sizes(dims) else ())


def roll(input: Tensor, shifts: int | Sequence[int],
         dims: int | Sequence[int] | None = None) -> Tensor:
    """Elements moved along dimensions, those pushed out coming back at the other end."""
    by = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if dims is None or dims == ():
        return p.roll(input, shifts=by, dims=())
    along = wrapped_dims([dims] if isinstance(dims, int) else list(dims), input.aval.ndim)
    if len(by) != len(along):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(by)}, dims:"
                           f"{len(along)}")
    return p.roll(input, shifts=by, dims=along)


@also(repeats=POSITIONAL)
def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The tensor copied `repeats` times along each dimension.

    Raises:
        RuntimeError: if fewer repeats than dimensions are given.
    """
    counts = sizes(repeats)
    if len(counts) < need_tensor("repeat", input).aval.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of "
                           "dimensions of tensor")
    return p.repeat(input, repeats=counts)


@also(dims=POSITIONAL)
def tile(input: Tensor, *dims: Any) -> Tensor:
    """Like `repeat`, with missing leading counts taken as 1."""
    counts = sizes(dims)
    return repeat(input, (1,) * (input.aval.ndim - len(counts)) + counts)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal with respect to two dimensions, as the last dimension; a view."""
    n = need_tensor("diagonal", input).aval.ndim
    a, b = wrapped_dim(dim1, n), wrapped_dim(dim2, n)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return p.diagonal(input, offset=offset, dim1=a, dim2=b)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix (a copy), or a matrix with a vector on its diagonal.

    Raises:
        RuntimeError: for a tensor of another number of dimensions.
    """
    n = need_tensor("diag", input).aval.ndim
    if n == 2:
        return _diagonal_copy(p.diagonal(input, offset=diagonal, dim1=0, dim2=1))
    if n == 1:
        side = input.aval.shape[0] + abs(diagonal)
        return p.diag_embed(input, shape=(side, side), offset=diagonal, dim1=0, dim2=1)
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {n}D")


_diagonal_copy = p.clone.named("DiagonalBackward0_copy")


def _matrix(name: str, x: Any) -> Any:
    if need_tensor(name, x).aval.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    return x


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices, zeros above the diagonal."""
    return p.tril(_matrix("tril", input), diagonal=diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices, zeros below the diagonal."""
    return p.triu(_matrix("triu", input), diagonal=diagonal)


# --- joining and splitting --------------------------------------------------------------------


def _tensors(name: str, tensors: Any) -> list[Any]:
    if isinstance(tensors, Handle) or not isinstance(tensors, (tuple, list)):
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
                        f"{type(tensors).__name__}")
    if not tensors:
        if name == "cat":
            raise ValueError("torch.cat(): expected a non-empty list of Tensors")
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    for i, x in enumerate(tensors):
        if not isinstance(x, Handle):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got "
                            f"{type(x).__name__}")
    kind = tensors[0].aval.dtype
    for x in tensors[1:]:
        kind = dtypes.promote(kind, x.aval.dtype)
    return [x if x.aval.dtype is kind else p.cast(x, dtype=kind) for x in tensors]


@numpy_words
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors joined along an existing dimension.

    Raises:
        RuntimeError: if the other sizes differ, or nothing is given.

    Example:
        >>> import wengert as torch
        >>> torch.cat([torch.ones(2), torch.zeros(1)])
        tensor([1., 1., 0.])
    """
    parts = _tensors("cat", tensors)
    some = [x for x in parts if x.aval.shape != (0,)] or parts[:1]  # empty vectors join anything
    for i, x in enumerate(parts):
        if not x.aval.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    return p.cat(*some, dim=wrapped_dim(dim, some[0].aval.ndim))


@numpy_words
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new dimension.

    Raises:
        RuntimeError: if the shapes differ, or nothing is given.
    """
    parts = _tensors("stack", tensors)
    return p.stack(*parts, dim=wrapped_dim(dim, parts[0].aval.ndim + 1))


@numpy_words
def split(input: Tensor, split_size_or_sections: int | Sequence[int],
          dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts of a given size (the last may be smaller), or of given sizes.

    Raises:
        RuntimeError: if the sizes do not add up.
    """
    if not need_tensor("split", input).aval.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = wrapped_dim(dim, input.aval.ndim)
    n = input.aval.shape[d]
    if isinstance(split_size_or_sections, (tuple, list)):
        parts = tuple(map(size, split_size_or_sections))
        if sum(parts) != n:
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size "
                f"at dimension {dim}), but got split_sizes={list(parts)}")
        return p.split_sizes(input, sizes=parts, dim=d)
    step = size(split_size_or_sections)
    if step < 0 or (step == 0 and n):
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={step}"
                           if step < 0 else "split_size can only be 0 if dimension size is 0, but "
                           f"got dimension size of {n}")
    parts = tuple(min(step, n - i) for i in range(0, n, step)) if n else (0,)
    return p.split(input, sizes=parts, dim=d)


@numpy_words
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal size (the last may be smaller)."""
    if not need_tensor("chunk", input).aval.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks < 1:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input.aval.shape[wrapped_dim(dim, input.aval.ndim)]
    if n:
        return split(input, -(-n // chunks), dim)
    return split(input, [0] * chunks, dim)


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


# --- dtype and copying ------------------------------------------------------------------------


def astype(x: Tensor, kind: dtypes.dtype, *, copy: bool = False) -> Tensor:
    """The tensor in a dtype: itself if it has it already and no copy is asked for."""
    if x.aval.dtype is kind:
        return p.clone(x) if copy else x
    if x.aval.is_complex and not kind.is_complex and kind is not dtypes.bool_:
        import warnings

        warnings.warn("Casting complex values to real discards the imaginary part", UserWarning,
                      stacklevel=3)
    return p.cast(x, dtype=kind)


def fill_(self: Any, value: Any) -> Any:
    """Fills a tensor with a number or 0-d tensor, in place."""
    if isinstance(value, Handle):
        return write(fill_tensor, self, value)
    if not is_number(value):
        raise TypeError(f"can't assign a {type(value).__name__} to a "
                        f"torch.{self.aval.dtype.words}Tensor")
    return write(fill, self, number_array(value, self.aval.dtype))


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Writes a tensor (or number), broadcast and converted, into this one.

    Raises:
        RuntimeError: if it does not broadcast to this shape.
    """
    if here.grad:
        check_history(self, False)
    check_overlap(copy, self, src)
    if not isinstance(src, Handle):
        src = number_array(src, self.aval.dtype)
    elif src.aval.numel and broadcast_shapes([self.aval.shape, src.aval.shape]) != self.aval.shape:
        raise RuntimeError(f"output with shape {list(self.aval.shape)} doesn't match the broadcast "
                           f"shape {list(broadcast_shapes([self.aval.shape, src.aval.shape]))}")
    return write(copy, self, src)


# PyTorch's other names for the same things.
concat = concatenate = cat
moveaxis, swapaxes, swapdims = movedim, transpose, transpose
