"""Cases: what a compiled function has become for arguments of one kind.

A case holds the runs that were recorded, merged, and the native code of all of them. Running it is:
gather the inputs' arrays, call the code, and leave behind what the ending that it reached says.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.levels import here
from .ending import Ending
from .executable import Executable
from .expand import expand
from .outer import CompiledFunctionBackward, Pullback
from .passes import simplify
from .program import Line, Program
from .record import MISSED, Recorder, Source, draw
from .schedule import schedule
from .state import State, where
from .traces import Traces


class Given(NamedTuple):
    """What a run is given.

    Attributes:
        tensors: the arguments that are tensors.
        values: what is at the places that the function reaches.
        handles: the tensors that the program's inputs are.
    """

    tensors: Sequence[Any]
    values: Sequence[Any]
    handles: Sequence[Any] = ()


class Case:
    """See the text of the module.

    Args:
        state: what the function reaches besides its arguments.
        given: what the first run was given.
        fastmath: see `compile`.

    Attributes:
        traces: the recorded runs.
        endings: by number, what a run leaves behind.
        plan: of the native code; None before the first compilation.
        fresh: how many runs were recorded since.
        outside: inputs that are no arguments, with what they must be.
        grads: leaves whose `.grad` is used, with what it must be.
    """

    def __init__(self, state: State, given: Given, fastmath: bool) -> None:
        self.state = state
        self._same = [(place, i) for i, x in enumerate(given.tensors)
                      if (place := where(given.values, x)) is not None]
        self.traces = Traces()
        self.endings: list[_End] = []
        self.plan: Any = None
        self.fresh = 0
        self.fastmath = fastmath
        self._executable: Executable | None = None
        self._order: list[int] = []
        self._generators: list[Any] = []
        self.outside: dict[Source, Any] = {}
        self.grads: dict[Source, Any] = {}

    # --- what it knows --------------------------------------------------------------------------

    def add(self, run: Recorder, ending: Ending, way: Pullback | None) -> None:
        """Adds a recorded run.

        Raises:
            DifferentError: if it contradicts those before it.
        """
        saved = [] if way is None else way.saved
        number, names = self.traces.add(run, [*ending.values, *saved])
        self.fresh += 1
        if number < len(self.endings):
            return  # it was recorded before, but not compiled
        self.endings.append(_End(ending, way, self.traces.placed[number]))
        known = {s.value: s for s in self.traces.sources}
        for source in run.sources:
            self._guard(known[names.get(source.value, source.value)], source)
        for source, aval in ending.before:
            known_source = known[names.get(source.value, source.value)]
            self.grads[known_source] = aval
        for note in run.notes:
            if isinstance(note, Line) and note.primitive is draw:
                generator = note.params["generator"]
                if generator not in self._generators:
                    self._generators.append(generator)
        for source in (*self.traces.sources, *run.sources):
            source.release()

    @property
    def widest(self) -> Any:
        """The user's line whose looks gave the most answers."""
        return max(self.traces.forks(), key=lambda fork: len(fork.cases)).place

    def _guard(self, source: Source, seen: Source) -> None:
        if source.argument is None and source.owner is None:
            self.outside[source] = _state(seen.handle)

    def suits(self, tensors: Sequence[Any]) -> Given | None:
        """What a run is given, if all that is reached from outside is what it was when the runs
        were recorded."""
        values = self.state.read()
        if values is None or any(values[place] is not tensors[i] for place, i in self._same):
            return None
        given = Given(tensors, values)
        for source, expected in self.outside.items():
            if _state(self.find(source, given)) != expected:
                return None
        for source, aval in self.grads.items():
            extra = self.find(source, given).extra
            grad = None if extra is None else extra.grad
            if (None if grad is None else grad.aval) is not aval:
                return None
        handles = [self.find(s, given) for s in self.traces.sources]
        if values and len(set(map(id, handles))) < len(handles):
            return None  # what were two tensors is one
        return given._replace(handles=handles)

    @staticmethod
    def find(source: Source, given: Given) -> Any:
        """The tensor that an input is in this run."""
        if source.argument is not None:
            return given.tensors[source.argument]
        if source.place is not None:
            return given.values[source.place]
        if source.owner is not None:
            return Case.find(source.owner, given).extra.grad
        return source.handle

    # --- compiling ------------------------------------------------------------------------------

    @property
    def due(self) -> bool:
        """Whether enough was recorded since the last compilation to make it worthwhile."""
        return self.fresh > len(self.endings) // 4

    def compile(self) -> None:
        """Makes native code of all that was recorded."""
        donated = self._donated()
        plan = schedule(simplify(expand(self.traces.program()), self.fastmath), donated)
        self._executable, self.plan = Executable(plan), plan
        self._order = self.traces.order()
        self.fresh = 0

    def _donated(self) -> dict[int, int]:
        """Outputs that may be computed in an input's memory, which the run overwrites.

        Only where nothing can go wrong once the run has begun: nothing is seen for the first
        time, no index can be out of range.
        """
        if len(self.endings) != 1 or any(f.value is not None for f in self.traces.forks()) or (
                _can_fail(self.traces.root.lines)):
            return {}
        number = {source: i for i, source in enumerate(self.traces.sources)}
        end = self.endings[0]
        return {end.places[w.output]: number[w.source] for w in end.ending.written
                if w.output is not None and w.source in number}

    # --- running --------------------------------------------------------------------------------

    def run(self, given: Given, again: Any) -> Any:
        """What the function returns in a run that suits; `MISSED` if that isn't known.

        Args:
            given: what `suits` gave.
            again: runs the function itself, recorded on the tape, for second derivatives.
        """
        executable = self._executable
        if executable is None:
            return MISSED
        handles = given.handles
        inputs = [_dense(handle.value) for handle in handles]
        outputs = self._outputs(inputs, handles)
        states = [g.get_state() for g in self._generators]
        try:
            code = executable(inputs, outputs)
        except Exception:  # noqa: BLE001 - the function itself will raise it, at the user's line
            code = -1
        if code < 0:
            for generator, state in zip(self._generators, states, strict=True):
                generator.set_state(state)
            return MISSED
        return self.endings[self._order[code]].leave(
            functools.partial(self.find, given=given),
            lambda place, value: self.state.put(place, given.values, value), outputs, again)

    def _outputs(self, inputs: list[np.ndarray], handles: Sequence[Any]) -> list[np.ndarray]:
        found = [np.empty(aval.shape, aval.numpy) for aval in self.traces.slots]
        for output, number in self.plan.donated.items():
            if inputs[number] is handles[number].value:  # and no copy, laid out densely
                found[output] = inputs[number]
        return found


def _state(handle: Any) -> Any:
    """What must be as it was of a tensor from outside."""
    return handle.aval, handle.node is None, handle.value.strides


class _End:
    """An ending with what its program's outputs are, and the way back through it."""

    def __init__(self, ending: Ending, way: Pullback | None, places: Sequence[int]) -> None:
        self.ending, self.way = ending, way
        self.places = places[:len(ending.values)]
        self.saved = places[len(ending.values):]
        self._runner: Runner | None = None
        ending.tensors = []

    def leave(self, find: Any, keep: Any, outputs: Sequence[np.ndarray], again: Any) -> Any:
        """Leaves behind what the ending says; returns what the function returns."""
        if self.way is None or not here.grad:
            return self.ending.leave(find, keep, outputs, self.places, None)
        node = self._node(self.way, find, outputs, again)
        spots = {number: place for place, number in enumerate(self.way.results)}

        def history(number: int, out: Any) -> None:
            if number in spots:
                node.attach(spots[number], out)

        return self.ending.leave(find, keep, outputs, self.places, history)

    def _node(self, way: Pullback, find: Any, outputs: Sequence[np.ndarray],
              again: Any) -> CompiledFunctionBackward:
        if self._runner is None:
            self._runner = Runner(way.program())
        kept = [*(outputs[i] for i in self.saved), *map(find, way.inputs)]
        inputs = [find(s) for s in way.sources]

        def anew() -> Any:
            if self.ending.written or self.ending.grads or self.ending.kept:
                raise RuntimeError("the derivative of a derivative goes through a compiled "
                                   "function that writes to tensors from outside; call it "
                                   "uncompiled")
            return inputs, self.ending.found(again(), way.results)

        return CompiledFunctionBackward.of(
            way, self._runner, anew, kept, inputs, [v.aval for v in way.cotangents])


class Runner:
    """A program without looks, compiled when it is first run."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._executable: Executable | None = None
        self._lock = threading.Lock()

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The program's outputs.

        Raises:
            RuntimeError: if an index in it is out of range.
        """
        with self._lock:
            if self._executable is None:
                self._executable = Executable(schedule(simplify(expand(self._program))))
        end: Any = self._program.body.end
        outputs = [np.empty(v.aval.shape, v.aval.numpy) for v in end.outputs]
        if self._executable([_dense(a) for a in arrays], outputs) < 0:
            raise RuntimeError("index out of range in a compiled function's derivative")
        return outputs


def _dense(array: np.ndarray) -> np.ndarray:
    """The array as native code reads it: itself, or a copy that is laid out densely."""
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else np.ascontiguousarray(array)


def _can_fail(lines: Sequence[Line]) -> bool:
    """Whether native code of the lines may end before it has done everything."""
    return any(line.primitive.name in _FALLIBLE for line in lines)


_FALLIBLE = frozenset(("index", "index_put", "gather", "scatter_add", "pick", "draw",
                       "floor_divide", "floor_quotient", "trunc_quotient", "remainder", "fmod",
                       "argsort", "cumsum", "product_of_others", "einsum"))
"""The primitives that native code may not get through: an index out of range, a division of
integers by zero, a call of Python that raises."""
