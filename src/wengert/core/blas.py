"""The BLAS of NumPy and of SciPy, kept to few threads where theirs would meet others.

Their threads wait for each other by spinning: two products at once, on two threads each, take many
times as long as on one thread each.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from . import blocks
from .aval import LARGE

_NAMES = tuple((f"{prefix}openblas_get_num_threads{suffix}",
                f"{prefix}openblas_set_num_threads{suffix}")
               for prefix in ("scipy_", "") for suffix in ("64_", ""))


class Library:
    """The BLAS that an extension module is linked to, and who asks for few threads of it.

    Args:
        module: the module's name.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._asking = 0
        self._before = 1

    @cached_property
    def functions(self) -> tuple[Callable[[], int], Callable[[int], None]] | None:
        """What tells and sets the number of threads; None if this BLAS has no such thing."""
        try:
            file = importlib.import_module(self._module).__file__
            library = ctypes.CDLL(file)
        except (ImportError, AttributeError, OSError):
            return None
        for names in _NAMES:
            both = [getattr(library, name, None) for name in names]
            if all(both):
                return both[0], both[1]  # type: ignore[return-value]
        return None

    @contextlib.contextmanager
    def at_most(self, count: int) -> Iterator[None]:
        """Keeps it to some threads per call, for all who call it meanwhile."""
        if self.functions is None:
            yield
            return
        get, put = self.functions
        with self._lock:
            if not self._asking:
                self._before = get()
                put(min(count, self._before))
            self._asking += 1
        try:
            yield
        finally:
            with self._lock:
                self._asking -= 1
                if not self._asking:
                    put(self._before)


NUMPY = Library("numpy._core._multiarray_umath")
SCIPY = Library("scipy.linalg._flapack")


def one_thread() -> contextlib.AbstractContextManager[None]:
    """Keeps NumPy's BLAS to one thread per call, for all who call it meanwhile."""
    return NUMPY.at_most(1)


def beside_numpy() -> contextlib.AbstractContextManager[None]:
    """Keeps SciPy's BLAS to half the cores: NumPy's threads, which are not the same ones, spin for
    some milliseconds after a product, and a routine that waits for a core takes many times as
    long."""
    return SCIPY.at_most(max(1, blocks.get_num_threads() // 2))


def in_parts(work: Callable[[slice], Any], examples: int, size: int) -> list[Any]:
    """What `work`, which multiplies matrices, gives for parts of the examples: on several threads
    if they have many elements, of which each has `size`."""
    count = min(blocks.get_num_threads(), examples) if examples * size >= LARGE else 1
    if count < 2:
        return [work(slice(0, examples))]
    ends = [examples * i // count for i in range(count + 1)]
    with one_thread():
        return blocks.in_parts(work, list(map(slice, ends, ends[1:])))
