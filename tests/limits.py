"""A limit of processor time, for what is tried without knowing whether it ends."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def limited(seconds: float, error: type[BaseException]) -> Iterator[None]:
    """Raises an error in what has taken so many seconds of processor time."""
    def stop(*_: Any) -> None:
        raise error

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
