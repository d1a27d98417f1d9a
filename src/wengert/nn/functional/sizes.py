"""Sizes, strides and the like: a number for all dimensions, or one for each."""

from __future__ import annotations

from typing import Any

from ...ops.arguments import long

Ints = tuple[int, ...]


def listed(name: str, argument: str, value: Any) -> Ints:
    """An integer, or several, as a tuple.

    Raises:
        TypeError: for anything else.
    """
    if type(value) is int:
        return (long(value),)
    if not isinstance(value, (tuple, list)):
        if isinstance(value, (str, float, bool)) or not hasattr(value, "__index__"):
            raise TypeError(f"{name}(): argument '{argument}' must be tuple of ints, not "
                            f"{type(value).__name__}")
        return (long(value),)
    for i, n in enumerate(value):
        if isinstance(n, (float, str)) or not hasattr(n, "__index__"):
            raise TypeError(f"{name}(): argument '{argument}' must be tuple of ints, but found "
                            f"element of type {type(n).__name__} at pos {i}")
    return tuple(map(long, value))


def times(sizes: Any) -> str:
    """Sizes as PyTorch's messages have them: "3 x 4"."""
    return " x ".join(map(str, sizes))
