"""Padding, in PyTorch's words."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.formats import dense, spatial
from ...core.primitive import Primitive
from ...interpreters.views import Step, write_view
from ...ops.arguments import need_tensor
from ...primitives import layout
from ...primitives.resampling import Table, combine
from .sizes import Ints

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["constant_pad_nd", "pad"]

_unindex = layout.unindex.named("ConstantPadNdBackward0", order=spatial)
_write = write_view.named("ConstantPadNdBackward0",
                          order=lambda result, operands: spatial(result, operands[1:]))
_MODES = {"reflect": "reflection_pad", "replicate": "replication_pad", "circular": ""}


def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """The input with elements before and after those that it has; with fewer for numbers below 0.

    Args:
        input: a tensor.
        pad: how many before and after in the last dimension, then in the one before it, ...
        mode: "constant"; or, for the last dimensions of a tensor that has one or two before them:
            "reflect" as in a mirror in the last element, "replicate" for the last element again
            and again, "circular" for what lies at the other end.
        value: the constant; None for 0.

    Raises:
        RuntimeError: if there is not enough to reflect, or nothing left.
        NotImplementedError: for other modes and dimensions.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.pad(torch.tensor([[1., 2., 3.]]), (2, 1), "reflect")
        tensor([[3., 2., 1., 2., 3., 2.]])
    """
    need_tensor("pad", input)
    pads = _pairs(pad)
    _check_length(pads, input.aval.ndim, len(pad))
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    if value:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in _MODES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    _check(input, pads, mode)
    lead = input.aval.ndim - len(pads)
    if mode == "circular" and any(min(pair) < 0 for pair in pads):  # round what is left
        less = [min(n, 0) for pair in reversed(pads) for n in pair]
        input = constant_pad_nd(input, less)
        pads = tuple((max(a, 0), max(b, 0)) for a, b in pads)
    for d, (before, after) in enumerate(pads, lead):
        n = input.aval.shape[d]
        if before or after:
            table = Table(mode, n, n + before + after, before=before)
            input = _named(mode, len(pads))(input, dim=d, table=table)
    return input


@functools.cache
def _named(mode: str, dims: int) -> Primitive:
    """How a dimension is padded, under the name that PyTorch's node has for all of them."""
    if mode == "circular":
        return combine.named(combine.node_name, order=dense)
    name = "".join(map(str.capitalize, _MODES[mode].split("_")))
    return combine.named(f"{name}{dims}DBackward0")


def constant_pad_nd(input: Tensor, pad: Any, value: float = 0) -> Tensor:
    """The input with a constant before and after it in its last dimensions; as `pad`."""
    pads = _pairs(pad)
    shape = need_tensor("constant_pad_nd", input).aval.shape
    _check_length(pads, len(shape), 2 * len(pads))
    lead = len(shape) - len(pads)
    sizes = tuple(n + a + b for n, (a, b) in zip(shape[lead:], pads, strict=True))
    if any(n + min(a, 0) + min(b, 0) < 0 for n, (a, b) in zip(shape[lead:], pads, strict=True)):
        raise RuntimeError("narrow(): length must be non-negative.")
    parts = [_overlap(n, m, a) for n, m, (a, _) in zip(shape[lead:], sizes, pads, strict=True)]
    if any(part[0] != (0, n, 1) for part, n in zip(parts, shape[lead:], strict=True)):
        input = layout.index_view(input, index=(..., *(part[0] for part in parts)))
    index = (..., *(part[1] for part in parts))
    if not value:
        return _unindex(input, shape=(*shape[:lead], *sizes), index=index)
    whole = np.full((*shape[:lead], *sizes), value, input.aval.numpy)
    return _write(whole, input, chain=(Step(layout.index_view, {"index": index}, None),))


def _overlap(n: int, m: int, before: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """What is kept of n elements, and where it lies among the m of the result."""
    start, stop = max(before, 0), max(min(before + n, m), before, 0)
    return (start - before, stop - before, 1), (start, stop, 1)


def _pairs(given: Any) -> tuple[tuple[int, int], ...]:
    """Numbers before and after, by dimension from the first of those that are padded."""
    if not isinstance(given, (tuple, list)):
        raise TypeError("pad(): argument 'pad' (position 2) must be tuple of ints, not "
                        f"{type(given).__name__}")
    for i, n in enumerate(given):
        if isinstance(n, float) or not hasattr(n, "__index__"):
            raise TypeError("pad(): argument 'pad' (position 2) must be tuple of ints, but found "
                            f"element of type {type(n).__name__} at pos {i}")
    if len(given) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    numbers = [int(n.__index__()) for n in given]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))[::-1]


def _check_length(pads: Any, ndim: int, length: int) -> None:
    if len(pads) > ndim:
        raise RuntimeError("Padding length should be less than or equal to two times the input "
                           f"dimension but got padding length {length} and input of dimension "
                           f"{ndim}")


def _check(x: Any, pads: tuple[tuple[int, int], ...], mode: str) -> None:
    shape, dims = x.aval.shape, len(pads)
    if not 1 <= dims <= 3 or not dims + 1 <= len(shape) <= dims + 2:
        raise NotImplementedError(
            f"Padding size {2 * dims} is not supported for {len(shape)}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)")
    if mode != "circular":
        if x.aval.dtype is dtypes.bool_:
            raise NotImplementedError(f'"{_MODES[mode]}{dims}d" not implemented for \'Bool\'')
        if not all(shape[-dims - 1:]):
            raise RuntimeError(f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with "
                               "possibly 0 batch size and other non-zero dimensions for input, "
                               f"but got: {list(shape)}")
    for d, pair in enumerate(pads, len(shape) - dims):
        _check_pair(shape, d, pair, mode)


def _check_pair(shape: Ints, d: int, pair: tuple[int, int], mode: str) -> None:
    n = shape[d]
    if mode == "reflect" and max(pair) >= n:
        raise RuntimeError("Argument #4: Padding size should be less than the corresponding input "
                           f"dimension, but got: padding {pair} at dimension {d} of input "
                           f"{list(shape)}")
    if mode == "circular" and max(pair) > n:
        raise RuntimeError("Padding value causes wrapping around more than once.")
    if n + sum(pair) < (mode != "circular"):
        if mode == "circular":
            raise RuntimeError("Negative padding value is resulting in an empty dimension")
        raise RuntimeError(f"input (size {n}) is too small. Calculated output size: "
                           f"{n + sum(pair)}")
