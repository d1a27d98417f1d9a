"""Elements in another order, or several times, as copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.formats import dense
from ..core.handle import Handle, wrap
from ..core.levels import concrete, made
from ..primitives import indexing, layout as p
from .arguments import LOOKS, POSITIONAL, also, need_tensor, sizes, wrapped_dim, wrapped_dims

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "flip", "fliplr", "flipud", "repeat_interleave", "roll", "rot90", "tile",
]


@also(dims=POSITIONAL)
def flip(input: Tensor, *dims: Any) -> Tensor:
    """The order along dimensions reversed; a copy.

    Example:
        >>> import wengert as torch
        >>> torch.arange(3).flip(0)
        tensor([2, 1, 0])
    """
    n = need_tensor("flip", input).aval.ndim
    if not dims:
        raise TypeError('flip() missing 1 required positional arguments: "dims"')
    along = list(sizes(dims))
    return p.flip(input, dims=wrapped_dims(along, n) if along else ())


def fliplr(input: Tensor) -> Tensor:
    """The second dimension reversed."""
    if need_tensor("fliplr", input).aval.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return p.flip(input, dims=(1,))


def flipud(input: Tensor) -> Tensor:
    """The first dimension reversed."""
    if need_tensor("flipud", input).aval.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return p.flip(input, dims=(0,))


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """k quarter turns in the plane of two dimensions, from the first towards the second.

    Raises:
        RuntimeError: unless two different dimensions are named.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([[0, 1], [2, 3]]).rot90()
        tensor([[1, 3],
                [0, 2]])
    """
    n = need_tensor("rot90", input).aval.ndim
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if n < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {n}")
    a, b = wrapped_dim(dims[0], n), wrapped_dim(dims[1], n)
    if a == b:
        raise RuntimeError("expected rotation dims to be different, but got dim0 = "
                           f"{dims[0]} and dim1 = {dims[1]}")
    turns = k % 4
    if turns == 0:
        return p.contiguous(input)
    if turns == 2:
        return p.flip(input, dims=(a, b))
    swapped = list(range(n))
    swapped[a], swapped[b] = b, a
    return p.transpose(p.flip(input, dims=(b if turns == 1 else a,)), dims=tuple(swapped))


def roll(input: Tensor, shifts: int | Sequence[int],
         dims: int | Sequence[int] | None = None) -> Tensor:
    """Elements moved along dimensions, those pushed out coming back at the other end.

    Without dimensions, all elements are moved as if they were one.

    Example:
        >>> import wengert as torch
        >>> torch.arange(4).roll(1)
        tensor([3, 0, 1, 2])
    """
    need_tensor("roll", input)
    by = sizes((shifts,))
    along = () if dims is None else sizes((dims,))
    if not by:
        raise RuntimeError("`shifts` required")
    if len(by) != len(along) and (along or len(by) > 1):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(by)}, dims:"
                           f"{len(along)}")
    if along and not input.aval.ndim:
        raise IndexError(f"Dimension specified as {along[0]} but tensor has no dimensions")
    return (p.roll if along else _roll_all)(
        input, shifts=by, dims=tuple([wrapped_dim(d, input.aval.ndim) for d in along]))


_roll_all = p.roll.named(p.roll.node_name, order=dense)


@also(repeats=POSITIONAL)
def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The tensor copied `repeats` times along each dimension.

    Raises:
        RuntimeError: if fewer repeats than dimensions are given, or one is negative.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([1, 2]).repeat(2, 2)
        tensor([[1, 2, 1, 2],
                [1, 2, 1, 2]])
    """
    counts = sizes(repeats)
    shape = need_tensor("repeat", input).aval.shape
    if len(counts) < len(shape):
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of "
                           "dimensions of tensor")
    if any(n < 0 for n in counts):
        whole = (1,) * (len(counts) - len(shape)) + tuple(shape)
        target = [n * r for n, r in zip(whole, counts, strict=True)]
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(target)}: "
                           f"{target}")
    return p.repeat(input, repeats=counts)


@also(dims=POSITIONAL)
def tile(input: Tensor, *dims: Any) -> Tensor:
    """Like `repeat`, with missing leading counts taken as 1."""
    counts = sizes(dims)
    return repeat(input, (1,) * (need_tensor("tile", input).aval.ndim - len(counts)) + counts)


# --- each element several times ---------------------------------------------------------------


@also(self="input")
def repeat_interleave(input: Tensor, repeats: Any = None, dim: int | None = None, *,
                      output_size: int | None = None) -> Tensor:
    """Each element (or each slice along a dimension) several times in a row.

    Args:
        input: a tensor; the counts themselves, if it is the only argument: then the result has
            each index as often as its count says.
        repeats: how often: a number, or a tensor with one per element.
        dim: the dimension; None for the elements as one dimension.
        output_size: the size that results, if it is known.

    Raises:
        RuntimeError: for negative or unsuitable counts.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([5, 6]).repeat_interleave(2)
        tensor([5, 5, 6, 6])
        >>> torch.tensor([5, 6]).repeat_interleave(torch.tensor([1, 2]))
        tensor([5, 6, 6])
    """
    need_tensor("repeat_interleave", input)
    if repeats is None:
        return made(wrap(_counted(input, output_size)))
    if not isinstance(repeats, Handle) and not hasattr(repeats, "__index__"):
        raise TypeError("repeat_interleave() received an invalid combination of arguments - got "
                        f"a {type(repeats).__name__} where a Tensor or int was expected")
    if dim is None:
        input, dim = p.reshape(input, shape=(input.aval.numel,)), 0
    d = wrapped_dim(dim, input.aval.ndim)
    if not isinstance(repeats, Handle):
        return _each(input, repeats.__index__(), d, output_size)
    if repeats.aval.ndim == 0 or (repeats.aval.ndim == 1 and repeats.aval.numel == 1):
        _integers(repeats)
        return _each(input, int(concrete(repeats, LOOKS).item()), d, output_size)
    if repeats.aval.ndim > 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
    if repeats.aval.numel != input.aval.shape[d]:
        raise RuntimeError("repeats must have the same size as input along dim, but got "
                           f"repeats.size(0) = {repeats.aval.numel} and input.size({d}) = "
                           f"{input.aval.shape[d]}")
    return _select(input, _counted(repeats, output_size),
                   pattern=indexing.whole_but(d))


_select = indexing.index.named("IndexSelectBackward0", order=dense)


def _integers(counts: Any) -> None:
    if counts.aval.dtype not in (dtypes.int64, dtypes.int32):
        raise NotImplementedError('"repeat_interleave_cpu" not implemented for '
                                  f"'{counts.aval.dtype.words}'")


def _counted(counts: Any, output_size: int | None) -> np.ndarray:
    """Each index as often as its count says."""
    _integers(counts)
    if counts.aval.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    given = concrete(counts, LOOKS)
    if (given < 0).any():
        raise RuntimeError("repeats can not be negative")
    if output_size is not None and output_size != given.sum():
        raise RuntimeError("allocated size does not match required size")
    return np.repeat(np.arange(given.size, dtype=given.dtype), given)


def _each(x: Any, repeats: int, dim: int, output_size: int | None) -> Any:
    if repeats < 0:
        raise RuntimeError("Repeats must be non-negative")
    x = x if x.aval.ndim else p.reshape(x, shape=(1,))
    shape = x.aval.shape
    before, n, after = shape[:dim], shape[dim], shape[dim + 1:]
    if output_size is not None and output_size != n * repeats:
        raise RuntimeError(f"repeat_interleave: Invalid output_size, expected {n * repeats} but "
                           f"got {output_size}")
    apart = p.expand(p.unsqueeze(x, shape=(*before, n, 1, *after)),
                     shape=(*before, n, repeats, *after))
    return p.unsafe_view(p.contiguous(apart), shape=(*before, n * repeats, *after))
