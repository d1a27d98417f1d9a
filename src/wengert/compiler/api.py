"""`compile`: functions of tensors as native code."""

from __future__ import annotations

import functools
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from ..core import dtypes
from ..core.handle import Handle
from ..core.levels import here, modes
from ..core.pytrees import Spec, flatten
from ..interpreters.views import refresh
from .inlets import Inlets
from .record import MISSED, Recorder
from .state import equal, reached

if TYPE_CHECKING:
    from .explain import Explanation

P = ParamSpec("P")
R = TypeVar("R")


class Compiled:
    """A function that runs as native code where it has run before; see `compile`."""

    MOST_CASES = 32
    MOST_ENDINGS = 64

    def __init__(self, fn: Callable[..., Any], fastmath: bool) -> None:
        functools.update_wrapper(self, fn)
        self.fn, self.fastmath = fn, fastmath
        self.cases: dict[Any, list[Any]] = {}
        self.eager, self.seconds = "", 0.0
        self._lock = threading.RLock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.eager or here.recorder is not None or here.levels or here.anomaly or here.hooks:
            return self.fn(*args, **kwargs)
        leaves, spec = flatten((args, kwargs))
        tensors = [x for x in leaves if isinstance(x, Handle)]
        for x in tensors:
            if x.alias is not None:
                refresh(x)
            if x.aval.level is not None:
                return self.fn(*args, **kwargs)
        key = _key(leaves, spec, tensors)
        for case in self.cases.get(key, ()):
            given = case.suits(tensors)
            if given is not None:
                result = case.run(given, lambda: self.fn(*args, **kwargs))
                if result is not MISSED:
                    return result
                return self._record(key, case, given.values, (args, kwargs), leaves, spec)
        return self._record(key, None, (), (args, kwargs), leaves, spec)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<compiled {getattr(self.fn, '__qualname__', self.fn)!r}>"

    def explain(self) -> Explanation:
        """What became of the function so far: kinds of arguments, branches, native steps.

        Prints as text, and has it as attributes.
        """
        from .explain import explain  # which needs to be read only by those who ask

        return explain(self)

    # --- recording ------------------------------------------------------------------------------

    def _record(self, key: Any, case: Any, before: Sequence[Any], arguments: Any,
                leaves: Sequence[Any], spec: Spec) -> Any:
        """Runs the function itself, and notes what it does.

        Args:
            key: the kind of its arguments.
            case: the case that missed; None for a new one.
            before: what is at the case's places.
            arguments: the function's arguments: args, kwargs.
            leaves: those without their structure, `spec`.
        """
        from .case import Case, Given  # which need llvmlite

        if case is None:
            state, before = reached([self.fn, *(x for x in leaves if not isinstance(x, Handle))])
            tensors = [x for x in leaves if isinstance(x, Handle)]
            case = Case(state, Given(tensors, before), self.fastmath)
        inlets = Inlets(arguments, leaves, spec)
        run = Recorder([x for x in inlets.leaves if isinstance(x, Handle)])
        with modes(recorder=run):
            args, kwargs = inlets.arguments
            result = self.fn(*args, **kwargs)
            found = self._ending(run, result, inlets, case.state, before)
        result = inlets.restored(result)
        if found is None:
            self._give_up(run.failed)
            return result
        with self._lock:
            self._learn(key, case, run, *found)
        return result

    def _ending(self, run: Recorder, result: Any, inlets: Inlets, state: Any,
                before: Sequence[Any]) -> tuple[Any, Any] | None:
        from .ending import Ending
        from .outer import Pullback

        if inlets.changed:
            run.fail("it changes a container that it is given")
        if run.failed:
            return None
        ending = Ending(run, result, inlets.leaves, state, before)
        way = None
        if not run.failed and here.grad and ending.differentiable:
            way = Pullback(run, ending)
        return None if run.failed else (ending, way)

    def _learn(self, key: Any, case: Any, run: Recorder, ending: Any, way: Any) -> None:
        """Adds a run to a case, and compiles it when it is due."""
        from .traces import DifferentError

        cases = self.cases.setdefault(key, [])
        try:
            case.add(run, ending, way)
        except DifferentError as error:
            self._give_up(f"it does different things for the same arguments: {error}")
            return
        if case not in cases:
            cases.append(case)
        if sum(map(len, self.cases.values())) > self.MOST_CASES:
            news = case.state.news(other.state for other in cases[:-1]) if cases[:-1] else ()
            self._give_up(f"it was called with more than {self.MOST_CASES} kinds of arguments, or "
                          f"of what it reaches outside{': now ' if news else ''}"
                          f"{', '.join(news)}")
        elif len(case.endings) > self.MOST_ENDINGS:
            self._give_up(f"numbers that it looks at gave it more than {self.MOST_ENDINGS} ways "
                          f"to go, at {case.widest}")
        elif case.due:
            start = time.perf_counter()
            case.compile()
            self.seconds += time.perf_counter() - start

    def _give_up(self, why: str) -> None:
        """Runs the function as it is from now on, and says so once."""
        with self._lock:
            if self.eager:
                return
            self.eager = why
            self.cases.clear()
        warnings.warn(f"{self!r} runs uncompiled from now on: {why}", UserWarning, stacklevel=4)


@overload
def compile(fn: Callable[P, R], *, fastmath: bool = False) -> Callable[P, R]: ...
@overload
def compile(fn: None = None, *, fastmath: bool = False
            ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def compile(fn: Any = None, *, fastmath: bool = False, **ignored: Any) -> Any:
    """A function of tensors as native code: the same results, sooner.

    The first call runs the function as it is and notes what it does, derivatives, in-place writes
    and steps of an optimiser included; later calls with arguments of the same kind (shapes,
    dtypes, values of what is no tensor) run native code. Where Python looks at a number
    (`if x.sum() > 0`, `while`, `item()`), the code compares with what was seen; what was not seen
    before runs as Python and becomes one more branch. Tensors that the function reaches by closures
    and attributes are read, and written, where they are. What else Python code does besides
    (printing, appending to lists) happens only in the calls that run as Python.

    Args:
        fn: the function; None to use `compile` as a decorator with arguments.
        fastmath: whether identities may be used that hold for real numbers but not for every
            float (0 times infinity, the sign of zero).
        ignored: `torch.compile`'s other arguments (mode, backend, ...).

    Raises:
        ImportError: on the first call, if llvmlite is not installed.

    Example:
        >>> import wengert as torch
        >>> @torch.compile
        ... def f(x):
        ...     while x.norm() < 1000:
        ...         x = x * 2
        ...     return x
        >>> f(torch.tensor([3., 4.]))
        tensor([ 768., 1024.])
    """
    if fn is None:
        return functools.partial(compile, fastmath=fastmath)
    if isinstance(fn, Compiled):
        return fn
    if not callable(fn):
        raise TypeError(f"compile() needs a function, not {type(fn).__name__}")
    return Compiled(fn, fastmath)


def _key(leaves: Sequence[Any], spec: Any, tensors: Sequence[Any]) -> Any:
    """What arguments must have in common to be of one kind."""
    places = {id(x): i for i, x in reversed(list(enumerate(tensors)))}
    kinds = tuple((x.aval, places[id(x)], x.node is not None, x.value.strides)
                  if isinstance(x, Handle)
                  else _Static(x) for x in leaves)
    return (spec, kinds, here.grad, here.inference, dtypes.get_default_dtype())


class _Static:
    """An argument that is no tensor: the same if it is equal and of the same type, or the same
    object."""

    __slots__ = ("hash", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        try:
            self.hash = hash(value)
        except TypeError:
            self.hash = id(value)

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Static):
            return False
        return self.value is other.value or equal(self.value, other.value)
