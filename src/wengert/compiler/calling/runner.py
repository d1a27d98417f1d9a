"""Runners: programs without looks, as functions from arrays to arrays."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core import buffers
from ...core.aval import Aval
from ...core.provenance import warn
from ..executable import OUT_OF_RANGE, WRONG_ARGUMENTS, ZERO_DIVISION, Executable, dense
from ..ir.program import Program, evaluate
from ..native.emit_unbounded import NO_MEMORY
from ..prepare import prepared
from ..schedule import schedule
from ..strict import strict

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
    """A program without looks, compiled when it is first run; where the compiler is at fault, NumPy
    runs it."""

    def __init__(self, program: Program) -> None:
        end: Any = program.body.end
        self._program = program
        self._makers = [maker(v.aval) for v in end.outputs]
        self._run: Callable[[Sequence[np.ndarray]], list[np.ndarray]] | None = None
        self._lock = threading.Lock()

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The program's outputs.

        Raises:
            RuntimeError: if an index in it is out of range, or an integer is divided by zero.
            Exception: what a primitive raised that Python evaluates.
        """
        return (self._run or self._chosen())(arrays)

    def _chosen(self) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
        """What runs it from now on."""
        with self._lock:
            if self._run is None:
                try:
                    executable = Executable(schedule(prepared(self._program)))
                    self._run = functools.partial(self._native, executable)
                except Exception as error:
                    if strict():
                        raise
                    warn("the derivative of a compiled function runs uncompiled: the "
                         f"compiler is at fault: {type(error).__name__}: {error}")
                    self._run = self._by_numpy
            return self._run

    def _by_numpy(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        return list(map(np.array, evaluate(self._program, arrays)))  # in memory of their own

    def _native(self, executable: Executable, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        outputs = [make() for make in self._makers]
        code = executable.run([*arrays, *outputs])
        if code == WRONG_ARGUMENTS:
            code = executable.run([*map(dense, arrays), *outputs])
        if code < 0:
            raise fault(code)
        return outputs
