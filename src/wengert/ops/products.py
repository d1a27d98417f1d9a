"""Products of vectors and matrices, in PyTorch's words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.dtypes import c_name
from ..core.handle import Handle
from ..core.levels import numbers
from ..core.primitive import broadcast_shapes
from ..primitives import contractions as p, layout
from . import shapes
from .arguments import listed, need_tensor, wrapped_dims

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "bmm", "dot", "ger", "inner", "matmul", "mm", "mv", "outer", "tensordot", "vdot",
]


def _pair(name: str, x: Any, y: Any, words: str = "tensor") -> None:
    """Checks that both are tensors of one dtype: products do not promote."""
    if not (isinstance(x, Handle) and isinstance(y, Handle)):
        need_tensor(name, x)
        need_tensor(name, y, words, 2)
    if x.aval.dtype is not y.aval.dtype:
        if name != "dot":
            _check_shapes(name, x, y)
        if name == "mv" or (name == "matmul" and y.aval.ndim == 1 < x.aval.ndim):
            raise RuntimeError("addmv input tensors must have the same dtype, but got "
                               f"{y.aval.dtype.words}, {x.aval.dtype.words}, and "
                               f"{y.aval.dtype.words}")
        if name == "dot" or (name == "matmul" and x.aval.ndim == y.aval.ndim == 1):
            raise RuntimeError("dot : expected both vectors to have same dtype, but found "
                               f"{x.aval.dtype.words} and {y.aval.dtype.words}")
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: "
                           f"{c_name(x.aval.dtype, alone=True)} != "
                           f"{c_name(y.aval.dtype, alone=True)}")


def _check_shapes(name: str, x: Any, y: Any) -> None:
    """Refuses operands of unfit shapes, before their dtypes are looked at."""
    if name == "matmul" and not (x.aval.ndim and y.aval.ndim):
        raise RuntimeError("both arguments to matmul need to be at least 1D, but they are "
                           f"{x.aval.ndim}D and {y.aval.ndim}D")
    if name in ("mv", "mm", "bmm"):
        getattr(p, name).abstract(x.aval.plain, y.aval.plain)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of products of two vectors.

    Raises:
        RuntimeError: unless both are 1-d, of one size and one dtype.

    Example:
        >>> import wengert as torch
        >>> x = torch.arange(4.); torch.dot(x, x)
        tensor(14.)
    """
    _pair("dot", input, tensor)
    return p.dot(input, tensor)


def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The sum of products of two vectors, the first conjugated.

    Raises:
        RuntimeError: unless both are 1-d, of one size and one dtype.
    """
    need_tensor("vdot", input)
    _pair("dot", input, other)
    return (p.vdot if input.aval.is_complex else p.real_vdot)(input, other)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector."""
    _pair("mv", input, vec, "vec")
    return p.mv(input, vec)


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """A matrix times a matrix.

    Raises:
        RuntimeError: if the shapes do not fit, or the dtypes differ.
    """
    _pair("mm", input, mat2, "mat2")
    return p.mm(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Products of matrices in two batches of one size."""
    _pair("bmm", input, mat2, "mat2")
    return p.bmm(input, mat2)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The product that the numbers of dimensions ask for (`x @ y`).

    Vectors: `dot`; matrix and vector: `mv`; matrices: `mm`; more dimensions: a batch of matrices,
    whose leading dimensions are broadcast.

    Raises:
        RuntimeError: if the shapes do not fit, or the dtypes differ.

    Example:
        >>> import wengert as torch
        >>> (torch.ones(5, 2, 3) @ torch.ones(3, 4)).shape
        torch.Size([5, 2, 4])
    """
    _pair("matmul", input, other, "other")
    n, m = input.aval.ndim, other.aval.ndim
    if not n or not m:
        raise RuntimeError("both arguments to matmul need to be at least 1D, but they are "
                           f"{n}D and {m}D")
    if n <= 2 and m <= 2:
        if n == 2:
            return (p.mm if m == 2 else p.mv)(input, other)
        return p.dot(input, other) if m == 1 else _row_times(input, other)
    return _batched(input, other)


def _row_times(x: Any, y: Any) -> Any:
    """A vector times a matrix: the vector as a row, which is dropped again."""
    product = p.mm(shapes.unsqueeze(x, 0), y)
    return layout.squeeze_dim(product, shape=product.aval.shape[1:])


def _batched(x: Any, y: Any) -> Any:
    n, m = x.aval.ndim, y.aval.ndim
    if m <= 2:  # one matrix (or vector) for all: the batch is folded into its rows
        rows = shapes.reshape(x, -1, x.aval.shape[-1]) if x.aval.numel else layout.reshape(
            x, shape=(_rows(x), x.aval.shape[-1]))
        out = (p.mm if m == 2 else p.mv)(rows, y)
        return layout.unsafe_view(out, shape=(*x.aval.shape[:-1], *out.aval.shape[1:]))
    if n == 1:
        product = _batched(shapes.unsqueeze(x, 0), y)
        return shapes.squeeze(product, -2)
    left = shapes.unsqueeze(x, 0) if n == 2 else x
    batch = broadcast_shapes([left.aval.shape[:-2], y.aval.shape[:-2]])
    a, b = _folded(left, batch), _folded(y, batch)
    out = p.bmm(a, b)
    return layout.unsafe_view(out, shape=(*batch, *out.aval.shape[1:]))


def _rows(x: Any) -> int:
    rows = 1
    for n in x.aval.shape[:-1]:
        rows *= n
    return rows


def _folded(x: Any, batch: tuple[int, ...]) -> Any:
    """x broadcast to a batch, with the batch in one dimension."""
    count = 1
    for n in batch:
        count *= n
    full = shapes.expand(x, *batch, -1, -1) if x.aval.shape[:-2] != batch else x
    return layout.reshape(full, shape=(count, *x.aval.shape[-2:]))


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The products of each element of one vector with each of another.

    Raises:
        RuntimeError: unless both are 1-d.
    """
    x, y = need_tensor("outer", input).aval, need_tensor("outer", vec2, "vec2", 2).aval
    if x.ndim != 1 or y.ndim != 1:
        name, ndim = ("self", x.ndim) if x.ndim != 1 else ("vec2", y.ndim)
        raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {ndim}-D")
    return p.outer(input, vec2) if x.dtype is y.dtype else shapes.unsqueeze(input, 1) * vec2


def inner(input: Tensor, other: Tensor) -> Tensor:
    """The sums of products along the last dimensions; with a 0-d tensor, plain products.

    Raises:
        RuntimeError: if the last dimensions differ, or the dtypes.
    """
    need_tensor("inner", input)
    need_tensor("inner", other, "other", 2)
    if not (input.aval.ndim and other.aval.ndim):
        return input * other
    if input.aval.shape[-1] != other.aval.shape[-1]:
        raise RuntimeError("inner() the last dimension must match on both input tensors but got "
                           f"shapes {list(input.aval.shape)} and {list(other.aval.shape)}")
    if input.aval.ndim == 1 == other.aval.ndim:
        return dot(input, other)
    return tensordot(input, other, ([-1], [-1]))


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sums of products along several dimensions of both.

    Args:
        a: any shape.
        b: any shape.
        dims: how many of the last dimensions of `a` meet the first of `b`; or the lists of those
            of `a` and of those of `b`.

    Raises:
        RuntimeError: if the dimensions do not fit, or the dtypes differ.

    Example:
        >>> import wengert as torch
        >>> torch.tensordot(torch.ones(2, 3, 4), torch.ones(4, 3, 5), dims=([1, 2], [1, 0])).shape
        torch.Size([2, 5])
    """
    need_tensor("tensordot", a, "a")
    need_tensor("tensordot", b, "b", 2)
    mine, others = _met(a, b, numbers(dims).tolist() if isinstance(dims, Handle) else dims)
    if len(mine) != len(others):
        raise RuntimeError("both dimension lists should have same length")
    if a.aval.dtype is not b.aval.dtype:
        raise RuntimeError("both inputs should have same dtype")
    for d, e in zip(mine, others, strict=True):
        n, m = a.aval.shape[d], b.aval.shape[e]
        if n != m and 1 not in (n, m):
            raise RuntimeError("contracted dimensions need to match, but first has size "
                               f"{n} in dim {d} and second has size {m} in dim {e}")
    return _contracted(a, b, wrapped_dims(mine, a.aval.ndim) if mine else (),
                       wrapped_dims(others, b.aval.ndim) if others else ())


def _met(a: Any, b: Any, dims: Any) -> tuple[Sequence[int], Sequence[int]]:
    """The dimensions of a and of b that meet."""
    if isinstance(dims, (tuple, list)):
        first, second = dims
        return listed(first), listed(second)
    if not hasattr(dims, "__index__"):
        raise RuntimeError("tensordot expects dims to be int or tuple[list[int], list[int]] or "
                           f"list[list[int]] containing two lists, but got dims={dims}")
    if dims < 0:
        raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
    if dims > min(a.aval.ndim, b.aval.ndim):
        raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
    return tuple(range(-dims, 0)), tuple(range(dims))


def _contracted(a: Any, b: Any, mine: tuple[int, ...], others: tuple[int, ...]) -> Any:
    """One matrix product: what meets lies last in a, and first in b."""
    for d, e in zip(mine, others, strict=True):
        if (n := a.aval.shape[d]) != b.aval.shape[e]:
            # A dimension of size 1 is summed with all of the other.
            a, b = (a, b.sum(e, keepdim=True)) if n == 1 else (a.sum(d, keepdim=True), b)
    rows = tuple([d for d in range(a.aval.ndim) if d not in mine])
    cols = tuple([d for d in range(b.aval.ndim) if d not in others])
    product = p.mm(_as_matrix(a, rows, mine), _as_matrix(b, others, cols))
    shape = (*_sizes(a, rows), *_sizes(b, cols))
    return product if len(rows) == len(cols) == 1 else layout.reshape(product, shape=shape)


def _sizes(x: Any, dims: Sequence[int]) -> list[int]:
    shape = x.aval.shape
    return [shape[d] for d in dims]


def _as_matrix(x: Any, rows: tuple[int, ...], cols: tuple[int, ...]) -> Any:
    """x with some of its dimensions as the rows of a matrix, and the others as the columns."""
    if len(rows) == len(cols) == 1:
        return x if rows == (0,) else layout.permute(x, dims=(1, 0))
    shape = (math.prod(_sizes(x, rows)), math.prod(_sizes(x, cols)))
    return layout.reshape(layout.permute(x, dims=rows + cols), shape=shape)


# PyTorch's other names for the same things.
ger = outer
