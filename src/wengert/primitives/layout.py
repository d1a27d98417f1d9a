"""Primitives that move elements, or only look at them otherwise; all are linear."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.aval import LARGE, Aval, aval
from ..core.blocks import in_rows
from ..core.buffers import empty
from ..core.formats import FEW, as_made, copied, spatial
from ..core.primitive import linear, primitive
from ..core.remembering import remembered

Index = tuple[Any, ...]
"""A basic index that can be hashed: ints, (start, stop, step) for slices, None, Ellipsis."""
WHOLE = (None, None, None)
"""In such an index, all of a dimension."""


def copied_order(x: np.ndarray) -> Any:
    """How a copy lies in memory: as the array, but repeated dimensions are where they are written.

    NumPy would put them innermost, and PyTorch's programs view such a copy in another shape.
    """
    return "C" if 0 in x.strides else "K"


def strided(x: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """The memory of an array from its first element on, by strides in bytes."""
    if x.flags.c_contiguous and x.size:
        return np.ndarray(shape, x.dtype, x, 0, strides)  # a fifth of as_strided's time
    owner = x.base
    if type(owner) is not np.ndarray or not owner.flags.c_contiguous or not x.size:
        return np.lib.stride_tricks.as_strided(x, shape, strides)
    start = x.ctypes.data - owner.ctypes.data
    found = np.ndarray(shape, x.dtype, owner, start, strides)
    if not x.flags.writeable:
        found.flags.writeable = False
    return found


def _expand(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    lead = len(shape) - x.ndim
    steps = (0,) * lead
    if x.ndim:
        steps += tuple([0 if n == 1 != m else s for n, m, s in zip(
            x.shape, tuple(shape)[lead:], x.strides, strict=True)])
    return strided(np.asarray(x), shape, steps)


_LONG = 256
WIDER = {"e": np.float32, "f": np.float64, "F": np.complex128}


def add_up(x: np.ndarray, dims: tuple[int, ...], keepdim: bool) -> np.ndarray:
    """The sum over dimensions, as an array.

    NumPy adds pairwise only along memory; across it, it adds one by one, which loses digits when
    there are many. There, and for float16 always, the sum is kept in a wider type.
    """
    kind = x.dtype
    if x.size >= _LONG or kind.char == "e":
        wider = WIDER.get(kind.char)
        if wider is not None and (kind.char == "e" or _across(x, dims)):
            return np.add.reduce(x, dims, wider, out=..., keepdims=keepdim).astype(kind)
        if x.size >= LARGE and dims == (x.ndim - 1,) and 1 < x.shape[-1] <= FEW:
            return _add_few(x, keepdim)
    return np.add.reduce(x, dims, kind, out=..., keepdims=keepdim)


def _add_few(x: np.ndarray, keepdim: bool) -> np.ndarray:
    """The sum over a last dimension of few elements: column by column."""
    out = empty(x.shape[:-1], x.dtype)

    def work(part: slice) -> None:
        found, rows = out[part], x[part]
        np.add(rows[..., 0], rows[..., 1], out=found)
        for k in range(2, x.shape[-1]):
            found += rows[..., k]

    in_rows(work, len(x), x.size)
    return out[..., None] if keepdim else out


def _across(x: np.ndarray, dims: tuple[int, ...]) -> bool:
    """Whether many elements are added up that do not follow each other in memory."""
    if len(dims) == x.ndim and (x.flags.c_contiguous or x.flags.f_contiguous):
        return False
    along = [d for d in dims if x.strides[d] == x.itemsize]
    others = [x.shape[d] for d in dims if d not in along]
    return math.prod(others) >= _LONG


def _sum_to(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    lead = x.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        lead + i for i, n in enumerate(shape) if n == 1 != x.shape[lead + i])
    total = add_up(x, axes, True) if axes else x
    return total.reshape(shape)


def _lower_sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    from .reductions import sum_

    lead = len(x.shape) - len(shape)
    dims = tuple(d for d, n in enumerate(x.shape) if d < lead or shape[d - lead] == 1 != n)
    return reshape(sum_(x, dims=dims, keepdim=True) if dims else x, shape=tuple(shape))


def _reshape(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A view where the strides allow one, else a copy."""
    return x.reshape(shape)


# --- dtype ------------------------------------------------------------------------------------

def _cast(x: np.ndarray, dtype: dtypes.dtype) -> np.ndarray:
    if x.dtype.kind == "c" and not dtype.is_complex and dtype is not dtypes.bool_:
        x = x.real
    return x.astype(dtype.numpy, copied_order(x))


cast = linear(
    "cast", _cast, lambda g, x_aval: cast(g, dtype=x_aval.dtype),
    abstract=lambda x, dtype: x.with_dtype(dtype), node="ToCopyBackward0", order=as_made,
    halves=True,
    lower=lambda x, dtype: x if x.aval.dtype is dtype else cast(x, dtype=dtype))
conj = linear(
    "conj", np.conj, lambda g: conj(g), abstract=lambda x: x, conjugate=False, order=as_made,
    lower=lambda x: x)
real = linear(
    "real", lambda x: x.real, lambda g, x_aval: cast(g, dtype=x_aval.dtype),
    abstract=lambda x: x.with_dtype(x.dtype.to_real()), view=True, lower=lambda x: x)
imag = linear(
    "imag", lambda x: x.imag, lambda g: g * 1j,
    abstract=lambda x: x.with_dtype(x.dtype.to_real()), view=True)


def _clone(x: np.ndarray, dims: tuple[int, ...] | None = None) -> np.ndarray:
    """A copy, whose dimensions lie in memory in an order, the outermost first, or as they are."""
    if dims is None:
        return np.array(x, order=copied_order(x))
    return x.transpose(dims).copy().transpose(inverse_order(dims))


clone = linear("clone", _clone, lambda g: g, abstract=lambda x, dims=None: x,
               lower=lambda x, dims=None: x, order=as_made, halves=True)
alias = linear("alias", lambda x: x.view(), lambda g: g, abstract=lambda x: x, view=True)
contiguous = linear(
    "contiguous", copied, lambda g: g, abstract=lambda x: x, order=as_made,
    node="CloneBackward0", lower=lambda x: x, halves=True)

# --- shape ------------------------------------------------------------------------------------

reshape = linear(
    "reshape", _reshape, lambda g, x_aval: reshape(g, shape=x_aval.shape),
    abstract=lambda x, shape: x.with_shape(shape), view=True, node="ViewBackward0")
unsafe_view = reshape.named("UnsafeViewBackward0")
squeeze_all = reshape.named("SqueezeBackward0")
squeeze_dim = reshape.named("SqueezeBackward1")
squeeze_dims = reshape.named("SqueezeBackward2")
unsqueeze = reshape.named("UnsqueezeBackward0")

expand = linear(
    "expand", _expand, lambda g, x_aval: sum_to(g, shape=x_aval.shape),
    abstract=lambda x, shape: x.with_shape(shape), view=True,
    batch=lambda size, batched, x, shape: expand(
        _padded(x, len(shape)), shape=(size, *shape)))
sum_to = linear(
    "sum_to", _sum_to, lambda g, x_aval: expand(g, shape=x_aval.shape),
    abstract=lambda x, shape: x.with_shape(shape), node="SumBackward1", lower=_lower_sum_to,
    batch=lambda size, batched, x, shape: reshape(sum_to(
        x, shape=(size,) + (1,) * (len(x.shape) - 1 - len(shape)) + tuple(shape)),
        shape=(size, *shape)))


def _padded(x: Any, ndim: int) -> Any:
    """Examples (the first dimension counts them) with dimensions of size 1 put in front."""
    shape = tuple(x.shape)
    return reshape(x, shape=(shape[0],) + (1,) * (ndim + 1 - len(shape)) + shape[1:])


def inverse_order(dims: Sequence[int]) -> tuple[int, ...]:
    """The order that undoes a permutation of dimensions."""
    inverse = [0] * len(dims)
    for i, dim in enumerate(dims):
        inverse[dim] = i
    return tuple(inverse)


permute = linear(
    "permute", lambda x, dims: x.transpose(dims),
    lambda g, dims: permute(g, dims=inverse_order(dims)),
    abstract=lambda x, dims: x.with_shape([x.shape[d] for d in dims]), view=True,
    batch=lambda size, batched, x, dims: permute(x, dims=(0, *(d + 1 for d in dims))))
transpose = permute.named("TransposeBackward0")
t = permute.named("TBackward0")


def mT(x: Any) -> Any:  # noqa: N802 - PyTorch's name
    """The matrix transpose of arrays and tensors alike."""
    n = len(x.shape)
    return transpose(x, dims=(*range(n - 2), n - 1, n - 2))


# --- basic indexing ---------------------------------------------------------------------------

def numpy_index(index: Index) -> tuple[Any, ...]:
    """The index as NumPy takes it."""
    return _sliced(index) if tuple in map(type, index) else index


@functools.lru_cache(maxsize=1024)
def _sliced(index: Index) -> tuple[Any, ...]:
    return tuple(slice(*i) if type(i) is tuple else i for i in index)


def _indexed(x: Aval, index: Index) -> Aval:
    if x.ndim and len(index) == 2 and type(index[0]) is int and index[1] is Ellipsis:
        count, *rest = x.shape  # what loops read, at another index every time
        if -count <= index[0] < count:
            return aval(tuple(rest), x.dtype, x.level)
    return x.with_shape(_dummy(x.shape)[numpy_index(index)].shape)


def _dummy(shape: tuple[int, ...]) -> np.ndarray:
    """An array of any shape that takes no memory, to ask NumPy about shapes."""
    return np.broadcast_to(np.empty((), np.bool_), shape)


def _unindex(x: np.ndarray, shape: tuple[int, ...], index: Index) -> np.ndarray:
    out = np.zeros(shape, x.dtype)
    out[numpy_index(index)] = x
    return out


index_view = linear(
    "index_view", lambda x, index: x[numpy_index(index)],
    lambda g, x_aval, index: unindex(g, shape=x_aval.shape, index=index),
    abstract=_indexed, view=True, node="SliceBackward0")
"""x[index] for a basic index (which ends in an Ellipsis, so that NumPy returns an array)."""
select = index_view.named("SelectBackward0")
index_new_axis = index_view.named("UnsqueezeBackward0")
index_alias = index_view.named("AliasBackward0")

unindex = linear(
    "unindex", _unindex, lambda g, index: index_view(g, index=index),
    abstract=lambda x, shape, index: x.with_shape(shape), node="SliceBackward0_backward",
    halves=True)
"""Zeros of a shape, with x at a basic index."""

diagonal = linear(
    "diagonal", lambda x, offset, dim1, dim2: _writeable_diagonal(x, offset, dim1, dim2),
    lambda g, x_aval, offset, dim1, dim2: undiagonal(
        g, shape=x_aval.shape, offset=offset, dim1=dim1, dim2=dim2),
    abstract=lambda x, offset, dim1, dim2: x.with_shape(
        _dummy(x.shape).diagonal(offset, dim1, dim2).shape), view=True)


def _writeable_diagonal(x: np.ndarray, offset: int, dim1: int, dim2: int) -> np.ndarray:
    found = x.diagonal(offset, dim1, dim2)  # NumPy marks it read-only
    found.flags.writeable = x.flags.writeable
    return found


def _undiagonal(x: np.ndarray, shape: tuple[int, ...], offset: int, dim1: int,
                dim2: int) -> np.ndarray:
    out = np.zeros(shape, x.dtype)
    _writeable_diagonal(out, offset, dim1, dim2)[...] = x
    return out


undiagonal = linear(
    "undiagonal", _undiagonal,
    lambda g, offset, dim1, dim2: diagonal(g, offset=offset, dim1=dim1, dim2=dim2),
    abstract=lambda x, shape, offset, dim1, dim2: x.with_shape(shape),
    node="DiagonalBackward0_backward", halves=True)
diag_embed = undiagonal.named("DiagEmbedBackward0")

# --- rearranging ------------------------------------------------------------------------------


def _flip(x: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    turned = x[tuple(slice(None, None, -1 if d in dims else None) for d in range(x.ndim))]
    return copied(turned) if x.flags.c_contiguous else turned.copy(copied_order(x))


flip = linear("flip", _flip,
              lambda g, dims: flip(g, dims=dims), abstract=lambda x, dims: x, order=as_made,
              halves=True,
              lower=lambda x, dims: index_view(x, index=(*(
                  (None, None, -1 if d in dims else None) for d in range(len(x.shape))),
                  Ellipsis)))


def _roll(x: np.ndarray, shifts: tuple[int, ...], dims: tuple[int, ...]) -> np.ndarray:
    if not dims:
        return _roll(x.reshape(-1), (sum(shifts),), (0,)).reshape(x.shape)
    for shift, d in zip(shifts, dims, strict=True):
        cut = -shift % x.shape[d] if x.shape[d] else 0
        front = (slice(None),) * d
        x = np.concatenate((x[(*front, slice(cut, None))], x[(*front, slice(cut))]), d)
    return x


roll = linear(
    "roll", _roll,
    lambda g, shifts, dims: roll(g, shifts=tuple(-s for s in shifts), dims=dims),
    abstract=lambda x, shifts, dims: x, halves=True, order=spatial,
    batch=lambda size, batched, x, shifts, dims: _roll_examples(x, shifts, dims),
    lower=lambda x, shifts, dims: _lower_roll(x, shifts, dims))


def _roll_examples(x: Any, shifts: tuple[int, ...], dims: tuple[int, ...]) -> Any:
    if dims:
        return roll(x, shifts=shifts, dims=tuple(d + 1 for d in dims))
    shape = tuple(x.shape)
    rows = reshape(x, shape=(shape[0], math.prod(shape[1:])))
    return reshape(roll(rows, shifts=(sum(shifts),), dims=(1,)), shape=shape)


def _lower_roll(x: Any, shifts: tuple[int, ...], dims: tuple[int, ...]) -> Any:
    """Each dimension cut in two, and the second piece put first."""
    if not dims:
        rows = reshape(x, shape=(math.prod(x.shape),))
        return reshape(_lower_roll(rows, (sum(shifts),), (0,)), shape=tuple(x.shape))
    for shift, d in zip(shifts, dims, strict=True):
        n = x.shape[d]
        cut = -shift % n if n else 0
        if cut:
            x = cat(narrow(x, d, cut, n - cut), narrow(x, d, 0, cut), dim=d)
    return x


Shape = tuple[int, ...]


def _copies(shape: Shape, repeats: tuple[int, ...]) -> tuple[Shape, Shape, Shape]:
    """Of what is repeated: its shape with a dimension in front of each for the copies, the same
    with the copies, and that with each pair of dimensions made one."""
    full = (1,) * (len(repeats) - len(shape)) + tuple(shape)
    pairs = tuple(zip(repeats, full, strict=True))
    return (tuple(m for n in full for m in (1, n)), tuple(m for pair in pairs for m in pair),
            tuple(r * n for r, n in pairs))


def _repeat(x: np.ndarray, repeats: tuple[int, ...]) -> np.ndarray:
    between, apart, together = _copies(x.shape, repeats)
    out = np.empty(apart, x.dtype)
    out[...] = x.reshape(between)
    return out.reshape(together)


def _lower_repeat(x: Any, repeats: tuple[int, ...]) -> Any:
    between, apart, together = _copies(x.shape, repeats)
    return reshape(expand(reshape(x, shape=between), shape=apart), shape=together)


@remembered
def _below(rows: int, columns: int, diagonal: int) -> np.ndarray:
    """Where a matrix is on a diagonal or below it."""
    return np.tri(rows, columns, diagonal, np.bool_)


def _triangle(x: np.ndarray, diagonal: int) -> np.ndarray:
    rows, columns = x.shape[-2:]
    return _below(rows, columns, diagonal)


tril = linear("tril", lambda x, diagonal: np.where(_triangle(x, diagonal), x, x.dtype.type(0)),
              lambda g, diagonal: tril(g, diagonal=diagonal), abstract=lambda x, diagonal: x,
              halves=True)
triu = linear("triu", lambda x, diagonal: np.where(_triangle(x, diagonal - 1), x.dtype.type(0), x),
              lambda g, diagonal: triu(g, diagonal=diagonal), abstract=lambda x, diagonal: x,
              halves=True)


def _unrepeat(g: Any, x: Aval, repeats: tuple[int, ...]) -> Any:
    """Sums the copies that `repeat` made."""
    shape = (1,) * (len(repeats) - x.ndim) + x.shape
    apart = [n for r, m in zip(repeats, shape, strict=True) for n in (r, m)]
    kept = [n for m in shape for n in (1, m)]
    return reshape(sum_to(reshape(g, shape=tuple(apart)), shape=tuple(kept)), shape=x.shape)


repeat = linear(
    "repeat", _repeat,
    lambda g, x_aval, repeats: _unrepeat(g, x_aval, repeats), halves=True,
    abstract=lambda x, repeats: x.with_shape(
        r * n for r, n in zip(repeats, (1,) * (len(repeats) - x.ndim) + x.shape, strict=True)),
    batch=lambda size, batched, x, repeats: repeat(
        _padded(x, len(repeats)), repeats=(1, *repeats)), lower=_lower_repeat)

# --- joining and splitting --------------------------------------------------------------------


def narrow(x: Any, dim: int, start: int, length: int) -> Any:
    """x[..., start:start + length, ...] in a dimension."""
    index = (WHOLE,) * dim + ((start, start + length, 1), Ellipsis)
    return index_view(x, index=index)


def _cat_aval(*avals: Aval, dim: int) -> Aval:
    first = avals[0]
    for i, other in enumerate(avals[1:], 1):
        if other.ndim != first.ndim:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {first.ndim} "
                               f"and {other.ndim}")
        for d, (n, m) in enumerate(zip(first.shape, other.shape, strict=True)):
            if d != dim and n != m:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {n} "
                    f"but got size {m} for tensor number {i} in the list.")
    total = sum(a.shape[dim] for a in avals)
    return first.with_shape(first.shape[:dim] + (total,) + first.shape[dim + 1:])


def _uncat(g: Any, avals: Sequence[Aval], i: int, dim: int) -> Any:
    return narrow(g, dim, sum(a.shape[dim] for a in avals[:i]), avals[i].shape[dim])


cat = primitive("cat", lambda *xs, dim: np.concatenate(xs, dim),
                abstract=_cat_aval, linear=True, order=spatial, halves=True,
                vjp=lambda g, avals, i, dim: _uncat(g, avals, i, dim))


def _stack_aval(*avals: Aval, dim: int) -> Aval:
    first = avals[0]
    for i, other in enumerate(avals[1:], 1):
        if other.shape != first.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first.shape)} at "
                f"entry 0 and {list(other.shape)} at entry {i}")
    return first.with_shape(first.shape[:dim] + (len(avals),) + first.shape[dim:])


def _stack(*xs: np.ndarray, dim: int) -> np.ndarray:
    shape = xs[0].shape
    slices = [x.reshape((*shape[:dim], 1, *shape[dim:])) for x in xs]
    return np.concatenate(slices, dim)


stack = primitive(
    "stack", _stack, abstract=_stack_aval, linear=True, halves=True,
    vjp=lambda g, i, dim: select(g, index=(WHOLE,) * dim + (i, Ellipsis)))


def _split(x: np.ndarray, sizes: tuple[int, ...], dim: int) -> list[np.ndarray]:
    parts, start = [], 0
    for size in sizes:
        parts.append(x[(slice(None),) * dim + (slice(start, start + size),)])
        start += size
    return parts


split = primitive(
    "split", _split, linear=True, view=True, multiple=True,
    abstract=lambda x, sizes, dim: tuple(
        x.with_shape(x.shape[:dim] + (size,) + x.shape[dim + 1:]) for size in sizes),
    vjp=(lambda g, dim: cat(*g, dim=dim),))
split_sizes = split.named("SplitWithSizesBackward0")
unbind = primitive(
    "unbind", lambda x, dim: [x[(slice(None),) * dim + (i, ...)] for i in range(x.shape[dim])],
    linear=True, view=True, multiple=True,
    abstract=lambda x, dim: (x.with_shape(x.shape[:dim] + x.shape[dim + 1:]),) * x.shape[dim],
    vjp=(lambda g, dim: stack(*g, dim=dim),))
