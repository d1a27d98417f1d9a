"""float16 and bfloat16: kept in two bytes, computed in float32, rounded once.

So PyTorch works on the CPU: an operation reads halves, works in float32, and rounds its result.
Primitives and derivative rules need not know of it. What NumPy does by one ufunc is rounded once
already, and what moves numbers about does not compute; all else is handed float32 arrays, and its
result is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import dtypes

if TYPE_CHECKING:
    from .aval import Aval


class Met:
    """Whether this process has met a half: until then nothing is asked of operands."""

    yet = False


def is_half(value: Any) -> bool:
    """Whether a value is an array of halves."""
    return isinstance(value, (np.ndarray, np.generic)) and (
        value.dtype.itemsize == 2 and dtypes.of(value.dtype).is_half)


def widened(values: Sequence[Any]) -> Sequence[Any]:
    """The values, with float32 arrays for halves; the same sequence, if there are none.

    Where there is a tensor among them all stay as they are: its operations see to themselves.
    """
    flat = [each for value in values for each in (value if type(value) is list else [value])]
    if not any(map(is_half, flat)) or any(hasattr(each, "aval") for each in flat):
        return values
    return list(map(_wider, values))


def _wider(value: Any) -> Any:
    if type(value) is list:
        return list(map(_wider, value))
    return value.astype(np.float32) if is_half(value) else value


def rounded(value: Any, aval: Aval) -> Any:
    """An array in an aval's dtype, if that is a half; tensors see to that themselves."""
    if aval.dtype.is_half and isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value, aval.numpy)
    return value


def operands(primitive: Any, values: Sequence[Any]) -> Sequence[Any]:
    """What a primitive is evaluated on: halves in float32, unless it is right on halves."""
    if primitive.view or primitive.halves or (
            primitive.elementwise and primitive.ufunc is not None):
        return values
    return widened(values)


def evaluate(primitive: Any, values: Sequence[Any], params: Mapping[str, Any]) -> Any:
    """What a primitive's evaluation gives, to be rounded by who stores it."""
    return primitive.evaluate(*(operands(primitive, values) if Met.yet else values), **params)


def call(rule: Callable[..., Any], aval: Aval, *arguments: Any) -> Any:
    """What a derivative rule gives for an operand (or result) of an aval."""
    wide = widened(arguments)
    found = rule(*wide)
    return found if wide is arguments else rounded(found, aval)


def by_blocks(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A rule for blocks of large arrays, which rounds nothing: what it gives is stored."""
    return lambda *arguments: rule(*widened(arguments))
