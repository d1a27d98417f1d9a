"""How a tensor lies in memory: PyTorch's layouts and memory formats, and in which order primitives
leave their results."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .aval import LARGE
from .blocks import WORTH, get_num_threads, in_parts, in_rows
from .buffers import empty


class layout:  # noqa: N801 - PyTorch's name
    """How a tensor's elements are stored. There is one layout: `strided`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


class memory_format:  # noqa: N801 - PyTorch's name
    """In which order a tensor's dimensions lie in memory.

    Attributes:
        ndim: how many dimensions a tensor of this format must have; None if any number.
    """

    __slots__ = ("name", "ndim")

    def __init__(self, name: str, ndim: int | None = None) -> None:
        self.name, self.ndim = name, ndim

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name

    def order(self, ndim: int) -> tuple[int, ...]:
        """The dimensions as they lie in memory, the outermost first.

        Raises:
            RuntimeError: if the format is for tensors of another number of dimensions.
        """
        if self.ndim is None:
            return tuple(range(ndim))
        if ndim != self.ndim:
            raise RuntimeError(f"required rank {self.ndim} tensor to use {self.name} format")
        return (0, *range(2, ndim), 1)


strided = layout("strided")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last", 4)
channels_last_3d = memory_format("channels_last_3d", 5)


# --- results ----------------------------------------------------------------------------------

Order = Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]
"""Lays out a result, given the operands. It is asked where these are not all contiguous: NumPy
leaves results as they lie, and PyTorch mostly does not."""


def contiguous(values: Sequence[np.ndarray]) -> bool:
    """Whether all arrays are."""
    for value in values:  # noqa: SIM110 - `all` takes twice the time of these few
        if not value.flags.c_contiguous:
            return False
    return True


def dense(result: np.ndarray, operands: Sequence[np.ndarray]) -> np.ndarray:
    """Contiguous, whatever the operands are."""
    return result if result.flags.c_contiguous else copied(result)


def copied(x: np.ndarray) -> np.ndarray:
    """A contiguous copy; of a large array with another dimension innermost by tiles that stay in
    cache, of a very large one on several threads."""
    if x.size < LARGE:
        return x.copy()
    inner = min(range(x.ndim), key=lambda d: abs(x.strides[d]) or math.inf)
    if x.flags.c_contiguous or inner == x.ndim - 1 or not x.strides[-1]:
        return x.copy() if x.size < WORTH else _copied_by_rows(x)
    out = np.empty(x.shape, x.dtype)
    lead: tuple[Any, ...] = (slice(None),) * inner
    for i in range(0, x.shape[inner], _TILE):
        for j in range(0, x.shape[-1], _TILE):
            tile = (*lead, slice(i, i + _TILE), ..., slice(j, j + _TILE))
            out[tile] = x[tile]
    return out


def _copied_by_rows(x: np.ndarray) -> np.ndarray:
    out, share = empty(x.shape, x.dtype), -(-len(x) // get_num_threads())
    if x.ndim > 1 and x.shape[-1] <= FEW and not x.strides[-1]:
        in_rows(lambda part: _repeated(x[part], out[part]), len(x), x.size)
    else:
        in_parts(lambda part: np.copyto(out[part], x[part]),
                 [slice(i, i + share) for i in range(0, len(x), share)])
    return out


def _repeated(x: np.ndarray, out: np.ndarray) -> None:
    """Stores an array that repeats each number a few times: column by column."""
    for k in range(x.shape[-1]):
        out[..., k] = x[..., k]


_TILE = 256
FEW = 8
"""Rows of so few elements take NumPy longer to begin than to go through."""


def as_made(result: np.ndarray, operands: Sequence[np.ndarray]) -> np.ndarray:
    """As the evaluation leaves it."""
    return result


def alike(result: np.ndarray, operands: Sequence[np.ndarray]) -> np.ndarray:
    """As the first operand lies, but for its gaps; contiguous where it repeats elements."""
    first = operands[0]
    if result.strides == first.strides:
        return result
    return _ordered(result, [first] if first.shape == result.shape else [])


def spatial(result: np.ndarray, operands: Sequence[np.ndarray]) -> np.ndarray:
    """Of images, channels last if the first operand's are; contiguous otherwise."""
    first = operands[0]
    if first.ndim < 4 or first.ndim != result.ndim or not _channels_last(first):
        return dense(result, operands)
    return _with_channels_last(result)


@functools.cache
def images(dims: int) -> Order:
    """`spatial` of images of so many dimensions, beside those of examples and channels."""

    def order(result: np.ndarray, operands: Sequence[np.ndarray]) -> np.ndarray:
        first = operands[0]
        if first.ndim != dims + 2 or not _channels_last(first):
            return dense(result, operands)
        return _with_channels_last(result)

    return order


def convolved(result: np.ndarray, operands: Sequence[np.ndarray]) -> np.ndarray:
    """Of images and kernels, channels last if those of either are: of signals the kernels tell, and
    a single volume is contiguous, as PyTorch's kernels for few numbers have it."""
    telling = operands[result.ndim == 3:0 if result.ndim == 5 and len(result) == 1 else 2]
    return _with_channels_last(result) if any(map(_channels_last, telling)) else (
        dense(result, operands))


def _with_channels_last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)


def _channels_last(x: np.ndarray) -> bool:
    """Whether each place's channels lie side by side, and the examples apart from each other."""
    least = 0
    for d in (1, *range(x.ndim - 1, 1, -1), 0):
        if x.strides[1] == 0 or x.strides[d] < least or (d == 0 and least == x.strides[1]):
            return False
        least = x.strides[d] * max(x.shape[d], 1)
    return True


def joint(result: np.ndarray, operands: Sequence[np.ndarray]) -> np.ndarray:
    """Of elements: as the first operand lies that tells dimensions apart.

    Where operands lie in different orders, NumPy's results would be contiguous.
    """
    return result if result.strides == operands[0].strides else _ordered(result, operands)


def joint_from_last(result: np.ndarray, operands: Sequence[np.ndarray]) -> np.ndarray:
    """Of elements: as the last operand lies that tells dimensions apart."""
    return joint(result, operands[::-1])


def of_leaf(g: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    """A leaf's gradient: as the leaf lies if that fills its memory, and contiguous otherwise."""
    return g if g.strides == leaf.strides else _in_order(g, leaf_order(leaf))


def leaf_order(leaf: np.ndarray) -> tuple[int, ...]:
    """The dimensions of a leaf's gradient as they lie, the outermost first."""
    order = joint_order(leaf.shape, (leaf.strides,))
    return order if leaf.transpose(order).flags.c_contiguous else tuple(range(leaf.ndim))


def _ordered(result: np.ndarray, operands: Sequence[np.ndarray]) -> np.ndarray:
    return _in_order(result, joint_order(
        result.shape, tuple([_steps(x, result.shape) for x in operands])))


def _in_order(result: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    if (lying := result.transpose(order)).flags.c_contiguous:
        return result
    return copied(lying).transpose(np.argsort(order))


def _steps(x: np.ndarray, shape: tuple[int, ...]) -> tuple[int, ...]:
    """An operand's strides in a result of a shape, 0 along which it is repeated."""
    lead = len(shape) - x.ndim
    return (0,) * lead + tuple([0 if n == 1 != m else s for n, m, s in zip(
        x.shape, shape[lead:], x.strides, strict=True)])


@functools.lru_cache(maxsize=1024)
def joint_order(shape: tuple[int, ...], steps: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """A result's dimensions as they lie, the outermost first: an insertion sort, as PyTorch's, for
    not all pairs of dimensions are told apart."""
    order = list(range(len(shape)))[::-1]
    for i in range(1, len(order)):
        at = i
        for before in range(i - 1, -1, -1):
            farther = _farther(order[before], order[at], shape, steps)
            if farther < 0:
                break
            if farther > 0:
                order[before], order[at] = order[at], order[before]
                at = before
    return tuple(order[::-1])


def _farther(a: int, b: int, shape: tuple[int, ...], steps: Sequence[tuple[int, ...]]) -> int:
    """1 if dimension a lies outside b, -1 if inside, 0 if no operand tells."""
    for each in steps:
        if each[a] and each[b]:
            if each[a] != each[b]:
                return 1 if each[a] > each[b] else -1
            if shape[a] > shape[b]:
                return 1
    return 0
