"""Halves in programs: worked out in float32 and rounded once, as `core/halves.py` has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.aval import Aval
from ..core.dtypes import float32
from ..primitives.layout import cast


def rounded_once(fn: Callable[..., Any], results: Sequence[Aval]) -> Callable[..., Any]:
    """A function of tensors that takes halves as float32, and rounds what becomes of them.

    Args:
        fn: gives one result or several, of which None may be one.
        results: the avals of what it gives, as they are to be.
    """

    def function(*tensors: Any) -> Any:
        found = fn(*map(_wider, tensors))
        if not isinstance(found, (tuple, list)):
            return _rounded(found, results[0])
        return tuple(map(_rounded, found, results))

    return function


def _wider(x: Any) -> Any:
    return cast(x, dtype=float32) if x.aval.dtype.is_half else x


def _rounded(x: Any, result: Aval) -> Any:
    return x if x is None or not result.dtype.is_half else cast(x, dtype=result.dtype)
