"""Peak memory, and the first call, of one workload by one peer, measured in a process of its own.

Run as `python weight.py peak WORKLOAD PEER`, it prints the bytes by which the resident set rose
above what it was after import and set-up; as `python weight.py first WORKLOAD PEER`, the seconds
that the first call took.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from math import nan
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import environment  # noqa: F401 - first, for what it sets
from rows import ROWS
from workloads import COMPILED, WORKLOADS, build

REPEATS = 3  # what one step leaves behind counts on top of the next
CACHES = ("WENGERT_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")


class First(NamedTuple):
    """Seconds of the first call of a process: with empty caches on disk, and with full ones."""

    cold: float
    warm: float


def resident(field: str) -> int:
    """Read `VmRSS`, the resident bytes now, or `VmHWM`, the most there ever were."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def peak(name: str, peer: str) -> float:
    """Bytes by which a few steps raise the resident set of this process."""
    step = build(ROWS[name], peer)
    if step is None:
        return nan
    compiles = peer in (COMPILED, "compile", "jax")
    warm_up = step if compiles else WORKLOADS["documents"].make(peer)  # starts threads, late code
    warm_up()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts from now
    before = resident("VmRSS")
    for _ in range(REPEATS):
        step()
    return resident("VmHWM") - before


def first_call(name: str, peer: str) -> float:
    """Seconds of the first call: what is compiled, and whatever is loaded for that."""
    step = build(ROWS[name], peer)
    if step is None:
        return nan
    start = perf_counter()
    step()
    return perf_counter() - start


def apart(what: str, name: str, peer: str, **variables: str) -> float:
    """Return what a fresh process measures; not a number where it cannot be had."""
    done = subprocess.run([sys.executable, __file__, what, name, peer], capture_output=True,
                          text=True, check=False, env=os.environ | variables)  # fmt: skip
    return float(done.stdout) if done.returncode == 0 else nan


def weigh(name: str, peer: str) -> float:
    """Return `peak` as measured in a fresh process."""
    return apart("peak", name, peer)


def first(name: str, peer: str) -> First:
    """Return `first_call` as measured in fresh processes, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        caches = dict.fromkeys(CACHES, folder)
        return First(*(apart("first", name, peer, **caches) for _ in range(2)))


if __name__ == "__main__":
    measure = {"peak": peak, "first": first_call}[sys.argv[1]]
    print(measure(*sys.argv[2:4]), flush=True)
