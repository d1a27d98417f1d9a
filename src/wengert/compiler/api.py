"""`compile`: functions of tensors as native code."""

from __future__ import annotations

import collections
import copy
import functools
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from ..core import dtypes
from ..core.handle import Handle
from ..core.levels import here, modes
from ..core.provenance import warn
from ..core.pytrees import Spec, flatten
from ..interpreters.views import refresh
from .calling.usual import UNUSUAL, Usual, extraordinary, usual_way
from .recording.inlets import Inlets
from .recording.pause import without_collection
from .recording.reach import reached
from .recording.record import Missed, Recorder
from .recording.spent import Spent
from .recording.state import equal
from .strict import strict

if TYPE_CHECKING:
    from .calling.case import Case
    from .explain import Explanation

P = ParamSpec("P")
R = TypeVar("R")
_FAULT = "the compiler is at fault"


class Compiled(Generic[P, R]):
    """A function that runs as native code where it has run before; see `compile`.

    Attributes:
        fn: the function itself.
        cases: by kind of arguments, what the function has become for them.
        eager: why it runs as Python from now on; "" if it doesn't.
        refused: why it does for some kinds of arguments, by kind.
        seconds: the time that compiling has taken.
    """

    __slots__ = ("__dict__", "__weakref__", "_failures", "_lock", "_usual", "cases", "eager",
                 "fastmath", "fn", "fullgraph", "refused",
                 "seconds")  # the `__dict__` is the user's

    MOST_FAILURES = 3
    MOST_KINDS = 128  # a new one seldom compiles anything, but is recorded and planned
    MOST_CASES = 32
    MOST_ENDINGS = 64

    def __init__(self, fn: Callable[P, R], *, fastmath: bool = False,
                 fullgraph: bool = False) -> None:
        functools.update_wrapper(self, fn)
        self.fn, self.fastmath, self.fullgraph = fn, fastmath, fullgraph
        self.cases: dict[Any, list[Any]] = {}
        self.refused: dict[Any, str] = {}
        self.eager, self.seconds = "", 0.0
        self._usual: Usual | None = None
        self._failures: collections.Counter[Any] = collections.Counter()
        self._lock = threading.RLock()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        usual = self._usual
        if usual is not None:
            result: R = usual(self, args, kwargs)
            if result is not UNUSUAL:
                return result
        return self._call(args, kwargs)

    def _call(self, args: Any, kwargs: Any) -> Any:
        if self.eager or extraordinary():
            return self.fn(*args, **kwargs)
        leaves, spec = flatten((args, kwargs))
        tensors = [x for x in leaves if isinstance(x, Handle)]
        for x in tensors:
            if x.alias is not None:
                refresh(x)
            if x.aval.level is not None:
                return self.fn(*args, **kwargs)
        key = _key(leaves, spec, tensors)
        if key in self.refused:
            return self.fn(*args, **kwargs)
        for case in self.cases.get(key, ()):
            given = case.suits(tensors)
            if given is not None:
                result = case.run(*given, (self.fn, args, kwargs))
                if type(result) is Missed:
                    return self._learn(key, case, given[1], result, (args, kwargs), leaves, spec)
                self._usual = usual_way(spec, leaves, case)
                return result
        return self._record(key, None, (), (args, kwargs), leaves, spec)

    def learn(self, args: Any, kwargs: Any, case: Case, before: Sequence[Any],
              missed: Missed) -> Any:
        """What the function returns where a case of it missed, which learns it."""
        leaves, spec = flatten((args, kwargs))
        key = _key(leaves, spec, [x for x in leaves if isinstance(x, Handle)])
        return self._learn(key, case, before, missed, (args, kwargs), leaves, spec)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __deepcopy__(self, memo: Any) -> Compiled[P, R]:
        return Compiled(copy.deepcopy(self.fn, memo), fastmath=self.fastmath,
                        fullgraph=self.fullgraph)

    def __reduce__(self) -> Any:
        name = getattr(self, "__qualname__", "")
        found: Any = sys.modules.get(getattr(self, "__module__", ""))
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return name  # it has taken the function's place: pickle finds it there
        return _restored, (self.fn, self.fastmath, self.fullgraph)

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
        from .calling.case import Case  # which needs llvmlite

        if case is None:
            state, before = reached([self.fn, *(x for x in leaves if not isinstance(x, Handle))])
            tensors = [x for x in leaves if isinstance(x, Handle)]
            case = Case(state, tensors, before, self.fastmath)
        inlets = Inlets(arguments, leaves, spec)
        spent = Spent([*inlets.leaves, *before])
        run = Recorder([x for x in inlets.leaves if isinstance(x, Handle)])
        try:
            with modes(recorder=run), without_collection():
                args, kwargs = inlets.arguments
                result = self.fn(*args, **kwargs)
                if why := spent.why():
                    run.fail(why)
                found = self._ending(run, result, inlets, case.state, before)
        finally:
            inlets.give_back(case.state, before)
        result = inlets.restored(result)
        if found is None:
            self._failed(key, run.failed)
            return result
        with self._lock:
            self._add(key, case, run, *found)
        return result

    def _learn(self, key: Any, case: Case, before: Sequence[Any], missed: Missed,
               *call: Any) -> Any:
        """Runs the function itself where a case missed, and has the case know what it does.

        What native code has failed at, the function is to fail at; if it doesn't, the fault is
        ours.
        """
        result = self._record(key, case, before, *call)
        if missed.fault is not None:
            self._at_fault(key, missed.fault, "its native code fails")
        return result

    def _ending(self, run: Recorder, result: Any, inlets: Inlets, state: Any,
                before: Sequence[Any]) -> tuple[Any, Any] | None:
        from .calling.ending import Ending
        from .calling.outer import Pullback

        if inlets.changed:
            run.fail("it changes a container that it is given")
        if run.failed:
            return None
        way = None
        try:
            ending = Ending(run, result, inlets.leaves, state, before)
            if not run.failed and ending.differentiable:
                if here.grad:
                    way = Pullback(run, ending)
                else:
                    run.fail("it returns what has a history though derivatives are off where it "
                             "is called")
        except Exception as error:
            if strict():
                raise
            run.fail(f"{_FAULT}: {_words(error)}")
        return None if run.failed else (ending, way)

    def _add(self, key: Any, case: Any, run: Recorder, ending: Any, way: Any) -> None:
        """Adds a run to a case, and compiles it when it is due."""
        from .recording.traces import DifferentError

        cases = self.cases.setdefault(key, [])
        try:
            case.add(run, ending, way)
        except DifferentError as error:
            self._refuse(key, f"it does different things for the same arguments: {error}")
            return
        except Exception as error:  # noqa: BLE001 - the case may know half of it
            if case in cases:
                cases.remove(case)
            self._usual = None
            self._at_fault(key, error)
            return
        if case not in cases:
            cases.append(case)
        if len(self.cases) > self.MOST_KINDS:
            self._give_up(f"it was called with more than {self.MOST_KINDS} kinds of arguments")
        elif len(cases) > self.MOST_CASES:
            news = case.state.news(other.state for other in cases[:-1])
            self._refuse(key, f"there were more than {self.MOST_CASES} kinds of what it reaches "
                              f"outside{': now ' if news else ''}{', '.join(news)}")
        elif len(case.endings) > self.MOST_ENDINGS:
            self._refuse(key, f"numbers that it looks at gave it more than {self.MOST_ENDINGS} "
                              f"ways to go, at {case.widest}")
        elif case.due:
            self._compile(key, case)

    def _compile(self, key: Any, case: Any) -> None:
        """Makes native code of a case; without it, calls are learnt anew, until it is given up."""
        start = time.perf_counter()
        try:
            with without_collection():
                case.compile()
        except ImportError:
            raise  # there is no llvmlite
        except Exception as error:  # noqa: BLE001 - the function itself has run
            self._at_fault(key, error)
        self.seconds += time.perf_counter() - start

    # --- giving up ------------------------------------------------------------------------------

    def _at_fault(self, key: Any, error: Exception, how: str = _FAULT) -> None:
        """Deals with a fault of the compiler's own.

        Raises:
            Exception: the error, where such faults are to be known (`strict`).
        """
        if strict():
            raise error
        self._failed(key, f"{how}: {_words(error)}")

    def _failed(self, key: Any, why: str) -> None:
        """Gives up if that was not the first time: what is set up in a first call need not happen
        again."""
        self._failures[key] += 1
        if len(self._failures) > self.MOST_CASES:
            self._give_up(f"it can't be compiled for more than {self.MOST_CASES} kinds of "
                          f"arguments: {why}")
        elif self._failures[key] >= self.MOST_FAILURES or self.fullgraph:
            self._refuse(key, why)

    def _refuse(self, key: Any, why: str) -> None:
        """Runs the function as it is from now on for arguments of a kind, and says so once.

        Raises:
            RuntimeError: if it was to be compiled as a whole, `fullgraph`.
        """
        self._check_whole(why)
        with self._lock:
            if self.eager or key in self.refused:
                return
            self.refused[key], self._usual = why, None
            self.cases.pop(key, None)
        self._warn(f"from now on, for arguments like these: {why}")

    def _give_up(self, why: str) -> None:
        """The same for all arguments."""
        self._check_whole(why)
        with self._lock:
            if self.eager:
                return
            self.eager, self._usual = why, None
            self.cases.clear()
        self._warn(f"from now on: {why}")

    def _check_whole(self, why: str) -> None:
        if self.fullgraph:
            raise RuntimeError(f"{self!r} can't be compiled: {why}")

    def _warn(self, words: str) -> None:
        warn(f"{self!r} runs uncompiled {words}")


def _words(error: Exception) -> str:
    """An error in a line: its kind is told where that is no plain RuntimeError."""
    return str(error) if type(error) is RuntimeError else f"{type(error).__name__}: {error}"


def _restored(fn: Any, fastmath: bool, fullgraph: bool) -> Any:
    return Compiled(fn, fastmath=fastmath, fullgraph=fullgraph)


@overload
def compile(model: Callable[P, R], *, fullgraph: bool = False, dynamic: bool | None = None,
            backend: Any = "inductor", mode: str | None = None,
            options: dict[str, Any] | None = None, disable: bool = False,
            fastmath: bool = False) -> Compiled[P, R]: ...
@overload
def compile(model: None = None, *, fullgraph: bool = False, dynamic: bool | None = None,
            backend: Any = "inductor", mode: str | None = None,
            options: dict[str, Any] | None = None, disable: bool = False,
            fastmath: bool = False) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...


def compile(model: Any = None, *, fullgraph: bool = False, dynamic: bool | None = None,
            backend: Any = "inductor", mode: str | None = None,
            options: dict[str, Any] | None = None, disable: bool = False,
            fastmath: bool = False) -> Any:
    """A function of tensors as native code: the same results, sooner.

    The first call runs the function as it is and notes what it does, derivatives, in-place writes
    and steps of an optimiser included; later calls with arguments of the same kind (shapes,
    dtypes, values of what is no tensor) run native code. Where Python looks at a number
    (`if x.sum() > 0`, `while`, `item()`), the code compares with what was seen; what was not seen
    before runs as Python and becomes one more branch.

    Tensors that the function reaches by closures, globals and attributes are read, and written,
    where they are. Other values that it reaches there are compared with what they were, and what
    the function leaves there it leaves there each time. What else Python code does (printing,
    writing files) happens only in the calls that run as Python.

    Args:
        model: the function; None to use `compile` as a decorator with arguments.
        fullgraph: whether to raise an error where the function would have to run as Python.
        dynamic, backend, mode, options: `torch.compile`'s, which make no difference here.
        disable: whether to give the function back as it is.
        fastmath: whether identities may be used that hold for real numbers but not for every
            float (0 times infinity, the sign of zero).

    Raises:
        ImportError: on the first call, if llvmlite is not installed.
        TypeError: if `model` can't be called.

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
    if model is None:
        return functools.partial(compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend,
                                 mode=mode, options=options, disable=disable, fastmath=fastmath)
    if disable or isinstance(model, Compiled):
        return model
    if not callable(model):
        raise TypeError(f"compile() needs a function, not {type(model).__name__}")
    return Compiled(model, fastmath=fastmath, fullgraph=fullgraph)


def _key(leaves: Sequence[Any], spec: Any, tensors: Sequence[Any]) -> Any:
    """What arguments must have in common to be of one kind."""
    places = {id(x): i for i, x in reversed(list(enumerate(tensors)))}
    kinds = tuple((x.aval, places[id(x)], x.node is not None, x.value.strides,
                   x.alias is not None and x.alias.storage.inference)
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
            self.hash = hash(value) if value == value else 0
        except (TypeError, ValueError):
            self.hash = id(value)

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Static):
            return False
        return self.value is other.value or equal(self.value, other.value)
