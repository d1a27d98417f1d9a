"""Memory for large results, used again when nobody needs it any more.

Fresh memory comes from the system page by page, each a fault and a clearing, which costs more than
most operations. So large arrays are made in leased memory: when the last array in it goes, the
memory returns here and waits for the next result of its size.

No more is kept than was in use at once some time before, so that a program's peak does not rise,
and never more than `LIMIT`.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

SMALLEST = 1 << 20
"""Bytes from which on memory is leased; below, the C library reuses it well by itself."""

LIMIT = 1 << 29
"""The bytes that may wait at most."""

_PAGE, _ALIGNMENT = 1 << 12, 64


class Lease:
    """Memory while arrays lie in it: it is the `base` of the array that `empty` makes."""

    __slots__ = ("__array_interface__", "_back", "_block")

    def __init__(self, memory: Memory, size: int, interface: dict[str, Any]) -> None:
        self._block, self._back = memory.take(size), memory.back
        address = self._block.ctypes.data
        place = address + -address % _ALIGNMENT
        self.__array_interface__ = {**interface, "data": (place, False), "version": 3}

    def __del__(self) -> None:
        self._back(self._block)


class Memory:
    """What waits to be used again, and how much is in use.

    Attributes:
        waiting: blocks by their size in bytes; the size that came back last is last.
        idle: the bytes that wait.
        lent: the bytes in use.
        most: the most bytes that were in use at once.
    """

    def __init__(self) -> None:
        self.waiting: dict[int, list[np.ndarray]] = {}
        self.idle = self.lent = self.most = 0
        self.renew()

    def renew(self) -> None:
        """Makes the lock anew, which a fork may have left held."""
        self.lock = threading.RLock()  # a lease may end within its own thread's `take`

    def take(self, size: int) -> np.ndarray:
        """A block of so many bytes."""
        with self.lock:
            self.lent += size
            self.most = max(self.most, self.lent)
            if size in self.waiting:
                return self._pop(size)
            while self.waiting and self.idle + self.lent > self.most:
                self._pop(next(iter(self.waiting)))
        return np.empty(size, np.uint8)

    def back(self, block: np.ndarray) -> None:
        """Takes a block back."""
        size = block.nbytes
        with self.lock:
            self.lent -= size
            if self.idle + size <= LIMIT:
                blocks = self.waiting.pop(size, [])
                blocks.append(block)
                self.waiting[size] = blocks
                self.idle += size

    def _pop(self, size: int) -> np.ndarray:
        blocks = self.waiting[size]
        block = blocks.pop()
        if not blocks:
            del self.waiting[size]
        self.idle -= size
        return block

    def clear(self) -> None:
        """Gives what waits back to the system."""
        with self.lock:
            self.waiting.clear()
            self.idle, self.most = 0, self.lent


_memory = Memory()
clear = _memory.clear
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_memory.renew)


def empty(shape: Sequence[int], dtype: np.dtype[Any],
          order: Literal["C", "F"] = "C") -> np.ndarray:
    """`numpy.empty`, for large arrays in memory that was used before.

    Example:
        >>> first = empty((1000, 1000), np.dtype("float32"))
        >>> place = first.ctypes.data
        >>> del first
        >>> empty((1000, 1000), np.dtype("float32")).ctypes.data == place
        True
    """
    size = math.prod(shape) * dtype.itemsize
    if size < SMALLEST or dtype.hasobject or dtype.kind == "V":  # bfloat16 has no `str`
        return np.empty(shape, dtype, order)
    strides = None if order == "C" else tuple(
        dtype.itemsize * math.prod(shape[:d]) for d in range(len(shape)))
    return np.asarray(Lease(_memory, -(-(size + _ALIGNMENT) // _PAGE) * _PAGE, {
        "shape": tuple(shape), "typestr": dtype.str, "strides": strides}))


def owns(array: np.ndarray) -> bool:
    """Whether an array is the first in its memory: no view of another one."""
    return array.base is None or isinstance(array.base, Lease)
