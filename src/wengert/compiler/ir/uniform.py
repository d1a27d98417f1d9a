"""Arrays whose elements are all the same: kept as one element, broadcast, they take no memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.aval import Aval
from .program import Constant, Value


def is_uniform(array: np.ndarray) -> bool:
    """Whether an array is one element, broadcast."""
    return array.size > 0 and all(
        n == 1 or s == 0 for n, s in zip(array.shape, array.strides, strict=True))


def element(array: np.ndarray) -> Any:
    """The element that a uniform array repeats, as a 0-d array."""
    return array[(0,) * array.ndim + (...,)]


def is_zero(value: Value) -> bool:
    """Whether a value is a constant 0 (of positive sign), spread."""
    return isinstance(value, Constant) and is_uniform(value.array) and not any(
        element(value.array).tobytes())


def zeros(aval: Aval) -> Constant:
    """Zeros of a shape and dtype."""
    return Constant(np.broadcast_to(aval.zero, aval.shape))


def spread(array: np.ndarray, shape: tuple[int, ...]) -> Constant:
    """The element of a uniform array in another shape."""
    return Constant(np.broadcast_to(element(array), shape))


def compact(value: Value) -> Value:
    """A constant as one element, broadcast, if its elements are all the same to the bit."""
    if not isinstance(value, Constant) or value.array.size < 2 or is_uniform(value.array):
        return value
    array = value.array
    if array.flat[0] != array.flat[-1]:
        return value
    apart = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(-1, array.itemsize)
    if not (apart == apart[0]).all():
        return value
    return Constant(np.broadcast_to(np.array(array.flat[0]), array.shape))
