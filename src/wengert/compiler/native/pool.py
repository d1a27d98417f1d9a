"""A small pool of threads for native code, written in LLVM IR (`pool.ll`).

    void wengert_parallel(void (*task)(int64 piece, int64 pieces, void *context),
                          void *context, int64 pieces)

runs a task once for each piece, on as many threads, of which its caller is one, and returns when
all are done. Which thread does which piece is open; pieces are independent of each other and must
not wait for one another. If the pool is at work already, for another thread or for the caller
itself, the caller does all the pieces in order: the results are the same.

Threads start when first needed and end with the interpreter; the child of a fork starts its own.
Between two jobs they watch for the next for some tens of microseconds and then sleep. They know
nothing of Python: a task may run with or without the interpreter's lock, and must not take it.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import platform
import re
import signal
import string
from pathlib import Path

from . import engine

SPINS = 1000
"""How often a thread that waits looks, with a pause of 20 to 50 nanoseconds, before it sleeps."""

_PAUSES = {"x86_64": "pause", "AMD64": "pause", "aarch64": "isb", "arm64": "isb"}


@functools.cache
def symbols() -> dict[str, int]:
    """The address of `wengert_parallel`, by name."""
    library = _library()
    reset = ctypes.CFUNCTYPE(None)(library.address("wengert_pool_reset"))
    reset()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=reset)
    atexit.register(ctypes.CFUNCTYPE(None)(library.address("wengert_pool_end")))
    return {"wengert_parallel": library.address("wengert_parallel")}


@functools.cache
def _library() -> engine.Library:
    return engine.compile_module(_text())


def _text() -> str:
    pause = _PAUSES.get(platform.machine(), "")
    template = string.Template(Path(__file__).with_name("pool.ll").read_text(encoding="ascii"))
    text = template.substitute(
        spins=SPINS, pause=f'call void asm sideeffect "{pause}", "~{{memory}}"()',
        setmask=int(getattr(signal, "SIG_SETMASK", 0)))
    if os.name == "posix":
        return text
    # Elsewhere there are no POSIX threads: none can be started, and callers do all the pieces.
    return re.sub(r"declare (i32 @\w+\(.*\))", r"define internal \1 { ret i32 1 }", text)
