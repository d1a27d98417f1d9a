"""NumPy's BLAS, kept to one thread where our own threads each call it.

Its threads wait for each other by spinning: two products at once, on two threads each, take many
times as long as on one thread each.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import blocks
from .aval import LARGE

_NAMES = tuple((f"{prefix}openblas_get_num_threads{suffix}",
                f"{prefix}openblas_set_num_threads{suffix}")
               for prefix in ("scipy_", "") for suffix in ("64_", ""))


@functools.cache
def _functions() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """What tells and sets the number of threads; None if this BLAS has no such thing."""
    try:
        library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None
    for names in _NAMES:
        both = [getattr(library, name, None) for name in names]
        if all(both):
            return both[0], both[1]  # type: ignore[return-value]
    return None


class _State:
    """How many ask for one thread, and how many threads there were before."""

    lock = threading.Lock()
    asking = 0
    before = 1


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keeps NumPy's BLAS to one thread per call, for all who call it meanwhile."""
    functions = _functions()
    if functions is None:
        yield
        return
    get, put = functions
    with _State.lock:
        if not _State.asking:
            _State.before = get()
            put(1)
        _State.asking += 1
    try:
        yield
    finally:
        with _State.lock:
            _State.asking -= 1
            if not _State.asking:
                put(_State.before)


def in_parts(work: Callable[[slice], Any], examples: int, size: int) -> list[Any]:
    """What `work`, which multiplies matrices, gives for parts of the examples: on several threads
    if they have many elements, of which each has `size`."""
    count = min(blocks.get_num_threads(), examples) if examples * size >= LARGE else 1
    if count < 2:
        return [work(slice(0, examples))]
    ends = [examples * i // count for i in range(count + 1)]
    with one_thread():
        return blocks.in_parts(work, list(map(slice, ends, ends[1:])))
