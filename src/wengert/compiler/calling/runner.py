"""Runners: programs without looks, as functions from arrays to arrays."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core import buffers
from ...core.aval import Aval
from ..executable import OUT_OF_RANGE, WRONG_ARGUMENTS, ZERO_DIVISION, Executable, dense
from ..ir.program import Program
from ..native.emit_unbounded import NO_MEMORY
from ..prepare import prepared
from ..schedule import schedule

_FAULTS = {OUT_OF_RANGE: "an index is out of range", ZERO_DIVISION: "an integer is divided by zero",
           NO_MEMORY: "there is no memory for the turns of a loop"}


def maker(aval: Aval) -> Callable[[], np.ndarray]:
    """What makes an array for an output: a large one in memory that was used before."""
    large = aval.numel * aval.numpy.itemsize >= buffers.SMALLEST
    return functools.partial(buffers.empty if large else np.empty, tuple(aval.shape), aval.numpy)


def fault(code: int) -> RuntimeError:
    """What went wrong in a run of native code that returned this, below 0, and raised nothing."""
    return RuntimeError(f"{_FAULTS.get(code, f'native code ends with {code}')}, "
                        "in a compiled function")


class Runner:
    """A program without looks, compiled when it is first run."""

    def __init__(self, program: Program) -> None:
        end: Any = program.body.end
        self._program = program
        self._makers = [maker(v.aval) for v in end.outputs]
        self._executable: Executable | None = None
        self._lock = threading.Lock()

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The program's outputs.

        Raises:
            RuntimeError: if an index in it is out of range, or an integer is divided by zero.
            Exception: what a primitive raised that Python evaluates.
        """
        executable = self._executable or self._compiled()
        outputs = [make() for make in self._makers]
        code = executable.run([*arrays, *outputs])
        if code == WRONG_ARGUMENTS:
            code = executable.run([*map(dense, arrays), *outputs])
        if code < 0:
            raise fault(code)
        return outputs

    def _compiled(self) -> Executable:
        with self._lock:
            if self._executable is None:
                self._executable = Executable(schedule(prepared(self._program)))
            return self._executable
