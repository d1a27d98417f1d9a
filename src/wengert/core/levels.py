"""Modes and levels: what is in force when an operation runs.

With nothing out of the ordinary in force (recording on, no transform, no tracing, no anomaly
detection) in any thread, `shared.special` is 0, and that is all that the hot path asks. Otherwise
it takes the general path, which looks at `here`, the state of this thread.

A `Level` is one application of a transform: one row of interpretation. Transforms nest, so levels
have depths; an operation is interpreted by the deepest level among its operands, which unwraps
its own tensors and applies primitives to the values below. A tensor's level stands in its aval.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .primitive import Primitive


class Shared:
    """Facts that hold across threads."""

    __slots__ = ("lock", "special")

    def __init__(self) -> None:
        self.special = 0  # how many threads have something out of the ordinary in force
        self.lock = threading.RLock()  # a finaliser may interrupt its own thread


class _Counted:
    """Counts in `shared.special` while it lives; it goes with its thread, if not before."""

    def __init__(self) -> None:
        with shared.lock:
            shared.special += 1

    def __del__(self) -> None:
        with shared.lock:
            shared.special -= 1


def _quiet_context() -> contextvars.Context:
    """A context in which NumPy's floating-point warnings are off."""
    context = contextvars.Context()
    context.run(np.errstate(all="ignore").__enter__)
    return context


class Here(threading.local):
    """What is in force in this thread.

    Attributes:
        grad: whether operations are recorded.
        inference: whether results are inference tensors.
        anomaly: whether nodes remember the user's line, and backward looks for NaN.
        check_nan: whether anomaly detection stops at a NaN.
        worker: whether this is one of the threads that `blocks` spreads work over.
        levels: the transforms in force, outermost first.
        run: calls a function where NumPy's floating-point warnings are off. It enters a context
            that this thread owns, which costs a tenth of `numpy.errstate`. A context can't be
            entered twice, so this is for functions that run no Python code.
        run_python: the same for others, by another context; called through `quietly`.
    """

    def __init__(self) -> None:
        self.grad = True
        self.inference = False
        self.anomaly = False
        self.check_nan = True
        self.worker = False
        self.counted: _Counted | None = None
        self.levels: list[Level] = []
        self.run, self.run_python = _quiet_context().run, _quiet_context().run

    def _special(self) -> bool:
        return bool(not self.grad or self.inference or self.anomaly or self.levels)

    def put(self, **modes: Any) -> None:
        """Changes modes of this thread and keeps the count in `shared` right."""
        self.__dict__.update(modes)
        if not self._special():
            self.counted = None
        elif self.counted is None:
            self.counted = _Counted()


L = TypeVar("L", bound="Level")

shared = Shared()
here = Here()


def quietly(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Calls a function where NumPy's floating-point warnings are off.

    Unlike `here.run` alone it may be called within itself: Python code that runs during such a
    call (a signal handler, a debugger, a finaliser) may use tensors.
    """
    try:
        return here.run_python(function, *args, **kwargs)
    except RuntimeError as error:
        if "already entered" not in str(error):
            raise
    with np.errstate(all="ignore"):
        return function(*args, **kwargs)


@contextlib.contextmanager
def modes(**changed: Any) -> Iterator[None]:
    """Modes of this thread for a while, put back however the block is left."""
    before = {name: getattr(here, name) for name in changed}
    here.put(**changed)
    try:
        yield
    finally:
        here.put(**before)


class Level:
    """One application of a transform; an interpreter subclasses it.

    `interpret` is given a primitive with operands of which at least one lives at this level and
    none at a deeper one, and returns the result (a tuple, if the primitive has several).
    """

    __slots__ = ("depth",)

    depth: int

    def interpret(self, primitive: Primitive, operands: Sequence[Any],
                  params: dict[str, Any]) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.depth})"


@contextlib.contextmanager
def entered(level: L) -> Iterator[L]:
    """Puts a level on this thread's stack for a while."""
    level.depth = len(here.levels) + 1
    with modes(levels=[*here.levels, level]):
        yield level


def deepest(operands: Sequence[Any]) -> Level | None:
    """The deepest level among the operands; None if all of them are plain."""
    found: Level | None = None
    for operand in operands:
        level = getattr(getattr(operand, "aval", None), "level", None)
        if level is not None and (found is None or level.depth > found.depth):
            found = level
    return found


class _Ground:
    """Where operations end when no transform claims them: eager evaluation, recorded.

    The eager interpreter puts itself here when it is imported; floors below need not know it.
    """

    interpret: Any = None


ground = _Ground()


def bind(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Applies a primitive by the interpreter in charge of these operands."""
    if shared.special and here.levels:
        level = deepest(operands)
        if level is not None:
            return level.interpret(primitive, operands, params)
    return ground.interpret(primitive, operands, params)
