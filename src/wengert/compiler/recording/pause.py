"""A pause for Python's collector of garbage that refers to itself."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Has nothing collected meanwhile. A recording is made of very many objects that stay; to look
    through all of them again and again takes longer than to make them. What nothing refers to is
    freed as ever."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
