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
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .handle import Handle, without_history, wrap

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
        anomaly: what looks for NaN and remembers the user's lines, a `Watch`; False normally.
        hooks: what saved tensors go through, a pair of functions; None normally.
        no_hooks: why no such hooks may be put in force; "" if they may.
        recorder: what notes the primitives that run, for the compiler; None normally.
        worker: whether this is one of the threads that `blocks` spreads work over.
        levels: the transforms in force in this thread, outermost first.
        watched: whether anything of this is in force, recording switched off aside.
        run: calls a function where NumPy's floating-point warnings are off. It enters a context
            that this thread owns, which costs a tenth of `numpy.errstate`. A context can't be
            entered twice, so this is for functions that run no Python code; for others there is
            `quietly`.
    """

    def __init__(self) -> None:
        self.grad = True
        self.inference = False
        self.anomaly: Any = False
        self.hooks: Any = None
        self.no_hooks = ""
        self.recorder: Any = None
        self.worker = False
        self.counted: _Counted | None = None
        self.levels: list[Level] = []
        self.watched = False
        self.run = _quiet_context().run

    def put(self, **modes: Any) -> None:
        """Changes modes of this thread and keeps the count in `shared` right."""
        self.__dict__.update(modes)
        self.watched = bool(self.inference or self.anomaly or self.hooks or self.levels
                            or self.recorder)
        if self.grad and not self.watched:
            self.counted = None
        elif self.counted is None:
            self.counted = _Counted()


L = TypeVar("L", bound="Level")

shared = Shared()
here = Here()


# NumPy keeps what it does about warnings in a context variable, which is all that has been set in
# a context of which nothing else is known.
((_warnings, _OFF),) = _quiet_context().items()


def quietly(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Calls a function where NumPy's floating-point warnings are off.

    Unlike `here.run` it may be called within itself: Python code that runs during such a call (a
    hook, a signal handler, a finaliser) may use tensors.
    """
    before = _warnings.set(_OFF)
    try:
        return function(*args, **kwargs)
    finally:
        _warnings.reset(before)


@contextlib.contextmanager
def modes(**changed: Any) -> Iterator[None]:
    """Modes of this thread for a while, put back however the block is left."""
    before = {name: getattr(here, name) for name in changed}
    here.put(**changed)
    try:
        yield
    finally:
        here.put(**before)


def unrecorded(function: Any, *args: Any) -> Any:
    """Calls a function with recording off: `modes`, at half the cost, for what is called often."""
    if not here.grad:
        return function(*args)
    here.put(grad=False)
    try:
        return function(*args)
    finally:
        here.put(grad=True)


class Level:
    """One application of a transform; an interpreter subclasses it.

    Attributes:
        depth: its place on the stack of transforms, from 1.
        alive: whether the transform still runs. Tensors of one that has ended stand for the
            values they held.
        avals: the avals of its tensors, by plain aval.
        taken: tensors from below that became tensors of this level by a write, and what they were.
    """

    __slots__ = ("__weakref__", "alive", "avals", "depth", "taken")

    word = "a transform"
    prints_as = "TransformedTensor"
    writes_below = False  # whether a write goes to what its tensors stand for
    takes_all: bool | None = None  # whether it interprets what runs on tensors from outside alone,
    # too; None if that is not its affair

    def __init__(self) -> None:
        self.depth, self.alive = 0, False
        self.taken: list[tuple[weakref.ref[Handle], Handle]] = []
        self.avals: dict[Any, Any] = {}

    def interpret(self, primitive: Primitive, operands: Sequence[Any],
                  params: dict[str, Any]) -> Any:
        """The result of a primitive (a tuple, if it has several).

        At least one operand lives at this level, and none at a deeper one.
        """
        raise NotImplementedError

    def write(self, primitive: Primitive, x: Any, others: Sequence[Any],
              params: dict[str, Any]) -> Any:
        """Has x hold primitive(x, *others) from now on, and its aliases see it."""
        raise NotImplementedError

    def apply_custom(self, custom: Any, args: Sequence[Any]) -> Any:
        """The outputs of a function with rules of its own (an `interpreters.custom.Custom`).

        A level that knows none of its rules sees through it, to the operations it consists of.
        """
        return custom.plain(args)

    def concrete(self, x: Any, asked: str) -> np.ndarray:
        """The numbers that a tensor of this level stands for, where it stands for one array.

        `asked` says what they are wanted for, for the error message.
        """
        raise NotImplementedError

    def detach(self, x: Any) -> Any:
        """A tensor of the same numbers from which no derivative flows, at any level."""
        raise NotImplementedError

    def text(self, x: Any) -> str:
        """How a tensor prints: what it stands for, indented."""
        value = x.value if isinstance(x.value, Handle) else wrap(x.value)
        inner = repr(value).replace("\n", "\n    ")
        return f"{self.prints_as}(lvl={self.depth}, value=\n    {inner}\n)"

    def give_back(self, failed: bool) -> None:
        """Makes those of `taken` that are still there what they are outside: the level has ended.

        `failed` says whether an error ended it.
        """
        raise NotImplementedError

    def below(self, primitive: Primitive, values: Sequence[Any], params: dict[str, Any]) -> Any:
        """A primitive applied to what lies below this level."""
        return ground.apply(primitive, values, params)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.depth})"


@contextlib.contextmanager
def entered(level: L) -> Iterator[L]:
    """Puts a level on this thread's stack for a while."""
    before = here.levels
    level.depth, level.alive = before[-1].depth + 1 if before else 1, True
    here.put(levels=[*before, level])
    failed = True
    try:
        yield level
        failed = False
    finally:
        level.alive = False
        here.put(levels=before)
        level.avals.clear()  # they refer back to the level
        if level.taken:
            level.give_back(failed)


def deepest(operands: Sequence[Any]) -> Level | None:
    """The deepest level among the operands; None if all of them are plain."""
    found: Level | None = None
    for operand in operands:
        if isinstance(operand, Handle):
            alias = operand.alias
            if alias is not None and alias.seen != alias.storage.version:
                ground.refresh(operand)  # a write may have brought it to another level
            level = operand.aval.level
            if level is not None and (found is None or level.depth > found.depth):
                found = level
    return found


def in_charge(operands: Sequence[Any]) -> Level | None:
    """The level that interprets an operation on these operands; None if all is plain."""
    level = deepest(operands)
    for top in reversed(here.levels):
        if top.takes_all is not None:
            return top if top.takes_all and (level is None or level.depth < top.depth) else level
    return level


class DeeperError(Exception):
    """An operand lives at a level after all: one that has ended, or another thread's."""


class _Ground:
    """Where operations end when no transform claims them: eager evaluation, recorded.

    The interpreters put themselves here when they are imported; floors below need not know them.

    Attributes:
        interpret: computes an application of a primitive to plain tensors, and records it.
        apply: the same for any mixture of arrays and tensors of any level; arrays give an array.
        refresh: derives a view's history anew, if its memory was written to.
    """

    interpret: Any = None
    apply: Any = None
    refresh: Any = None


ground = _Ground()


def bind(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Applies a primitive by the interpreter in charge of these operands."""
    level = in_charge(operands)
    if level is not None:
        return level.interpret(primitive, operands, params)
    return ground.interpret(primitive, operands, params)


def concrete(x: Any, asked: str) -> np.ndarray:
    """The numbers that a tensor (or an array) stands for.

    Args:
        x: the tensor.
        asked: what they are wanted for, for the error message.

    Raises:
        RuntimeError: for a tensor that stands for several, as inside `vmap`.
    """
    if not isinstance(x, Handle):
        return _seen(np.asarray(x))
    if x.alias is None and x.aval.level is None:
        return _seen(x.value) if shared.special else x.value
    level = deepest((x,))
    return _seen(x.value) if level is None else level.concrete(x, asked)


def _seen(array: np.ndarray) -> np.ndarray:
    """An array that Python looks into, which a recorder must know."""
    if here.recorder is not None:
        here.recorder.look(array)
    return array


def bare(x: Handle) -> bool:
    """Whether a transform may hold a tensor's array in its stead: there is no more to it.

    While a recorder watches, arithmetic must be done on tensors, where it can be seen.
    """
    return here.recorder is None and without_history(x)


def made(x: Any) -> Any:
    """A tensor whose numbers depend on nothing, of which a recorder is told."""
    if here.recorder is not None:
        here.recorder.made(x)
    return x


def numbers(x: Any) -> np.ndarray:
    """All the numbers that a tensor (or an array) holds, of every example if there are several."""
    while isinstance(x, Handle):
        x = x.value
    return np.asarray(x)
