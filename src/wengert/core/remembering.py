"""What depends on shapes and parameters alone is worked out once, unless it takes much memory."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

_MOST = 256
_MOST_BYTES = 1 << 17


class _Large(Exception):  # noqa: N818 - no error: `lru_cache` does not keep what is raised
    """Brings a result past the cache.

    Attributes:
        found: the result.
    """

    def __init__(self, found: Any) -> None:
        self.found = found


def remembered(function: F) -> F:
    """A function that gives arrays (in tuples and lists, if several), of which it keeps the small.

    Its arguments are positional and can be hashed; nobody may write to its results.
    """

    @functools.lru_cache(maxsize=_MOST)
    def small(*args: Any) -> Any:
        found = function(*args)
        if _bytes(found) > _MOST_BYTES:
            raise _Large(found)
        return found

    @functools.wraps(function)
    def called(*args: Any) -> Any:
        try:
            return small(*args)
        except _Large as large:
            return large.found

    return called  # type: ignore[return-value]


def _bytes(found: Any) -> int:
    """The memory of the arrays in a result."""
    if isinstance(found, (tuple, list)):
        return sum(map(_bytes, found))
    return found.nbytes if isinstance(found, np.ndarray) else 0
