"""Peak memory of one workload by one peer, measured in a process of its own.

Run as `python weight.py WORKLOAD PEER`, it prints the bytes by which the resident set rose above
what it was after import and set-up.
"""

import subprocess
import sys
from contextlib import suppress
from math import nan
from pathlib import Path

import environment  # noqa: F401 - first, for what it sets
from workloads import WORKLOADS, build

REPEATS = 3  # what one step leaves behind counts on top of the next


def resident(field: str) -> int:
    """Read `VmRSS`, the resident bytes now, or `VmHWM`, the most there ever were."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def peak(name: str, peer: str) -> float:
    """Bytes by which a few steps raise the resident set of this process."""
    step = build(WORKLOADS[name], peer)
    if step is None:
        return nan
    compiles = peer in ("compile", "jax")
    warm_up = step if compiles else WORKLOADS["documents"].make(peer)  # starts threads, late code
    warm_up()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts from now
    before = resident("VmRSS")
    for _ in range(REPEATS):
        step()
    return resident("VmHWM") - before


def weigh(name: str, peer: str) -> float:
    """Return `peak` as measured in a fresh process; not a number where it cannot be had."""
    command = [sys.executable, __file__, name, peer]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(done.stdout) if done.returncode == 0 else nan


if __name__ == "__main__":
    print(peak(*sys.argv[1:3]), flush=True)
