"""Cases: what a compiled function has become for arguments of one kind.

A case holds the runs that were recorded, merged, and the native code of all of them. Running it is:
gather the inputs' arrays, call the code, and leave behind what the ending that it reached says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..executable import MISS, WRONG_ARGUMENTS, Executable, dense
from ..failing import can_fail
from ..ir.program import Line
from ..prepare import prepared
from ..recording.record import MISSED, Missed, Recorder, draw
from ..recording.state import State
from ..recording.traces import Traces
from ..schedule import schedule
from .ending import Ending
from .inputs import Inputs
from .leaving import Leave, leaving
from .outer import Pullback
from .outer_node import Call
from .runner import fault, maker


class _End(NamedTuple):
    """How a run may end.

    Attributes:
        ending: what it leaves behind.
        way: the way back through it.
        places: which of the outputs holds each of the ending's `values`, and then what is saved.
    """

    ending: Ending
    way: Pullback | None
    places: Sequence[int]


Execute = Callable[[Sequence[np.ndarray]], int]
Run = Callable[[Sequence[Any], Sequence[Any], Call], Any]


def _missed(handles: Sequence[Any], values: Sequence[Any], call: Call) -> Any:
    """Runs what is not compiled yet."""
    return MISSED


def _nothing() -> Any:
    """Makes what an input's array will be in the place of."""


def _native(execute: Execute, makers: Sequence[Callable[[], np.ndarray]],
            donated: Sequence[tuple[int, int]], generators: Sequence[Any],
            leave: Sequence[Leave], arity: int) -> Run:
    """What a case is compiled to: see `Case.run`.

    Args:
        execute: the code, given the arrays of inputs and outputs in one list.
        makers: what makes those of outputs.
        donated: places of outputs in the list that may be in the memory of inputs, and theirs.
        generators: what the code draws random numbers from.
        leave: by the number that the code returns, what is left to be done.
        arity: how many inputs there are.
    """
    given = {output - arity for output, _ in donated}
    fresh = [_nothing if i in given else make for i, make in enumerate(makers)]

    def run(handles: Sequence[Any], values: Sequence[Any], call: Call) -> Any:
        arrays = []
        for x in handles:
            arrays.append(x.value)
        for make in fresh:
            arrays.append(make())
        for output, place in donated:
            arrays[output] = arrays[place]
        states = [g.get_state() for g in generators] if generators else ()
        try:
            code = execute(arrays)
            if code < 0 and code == WRONG_ARGUMENTS:
                arrays = readable(handles)
                code = execute(arrays)
            missed = None if code >= 0 else MISSED if code <= MISS else Missed(fault(code))
        except Exception as error:  # noqa: BLE001 - the function itself will raise it
            missed = Missed(error)
        if missed is None:
            return leave[code](handles, values, arrays, call, states)
        for generator, before in zip(generators, states, strict=True):
            generator.set_state(before)
        return missed

    def readable(handles: Sequence[Any]) -> list[np.ndarray]:
        """The arrays of those inputs that the code knows, or copies that lie as it reads them."""
        arrays = [dense(x.value) for x in handles[:arity]]
        arrays += [make() for make in makers]
        for output, place in donated:
            if arrays[place] is handles[place].value:
                arrays[output] = arrays[place]
        return arrays

    return run


class Case:
    """See the text of the module.

    Args:
        state: what the function reaches besides its arguments.
        tensors: the arguments that are tensors, in the first run.
        values: what was at the state's places then.
        fastmath: see `compile`.

    Attributes:
        traces: the recorded runs.
        endings: by number, what a run leaves behind.
        plan: of the native code; None before the first compilation.
        fresh: how many runs were recorded since.
        inputs: what a run is given.
        suits: `suits(tensors)` gives that; None if something else is asked of it.
        run: `run(handles, values, call)` gives what the function returns in a run that is given
            these; `Missed` if that isn't known.
    """

    def __init__(self, state: State, tensors: Sequence[Any], values: Sequence[Any],
                 fastmath: bool) -> None:
        self.state = state
        self.inputs = Inputs(state, tensors, values)
        self.suits = self.inputs.find
        self.traces = Traces()
        self.endings: list[_End] = []
        self.plan: Any = None
        self.fresh = 0
        self.fastmath = fastmath
        self.run: Run = _missed
        self._generators: list[Any] = []

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
        ending.tensors = []
        self.endings.append(_End(ending, way, self.traces.placed[number]))
        known = {s.value: s for s in self.traces.sources}
        self.inputs.add(run, self.traces.sources,
                        {s: known[names.get(s.value, s.value)] for s in run.sources},
                        ending.before, [w.source for w in ending.written],
                        ending.found_there)
        ending.found_there = ()
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

    # --- compiling ------------------------------------------------------------------------------

    @property
    def due(self) -> bool:
        """Whether enough was recorded since the last compilation to make it worthwhile."""
        return self.fresh > len(self.endings) // 4

    def compile(self) -> None:
        """Makes native code of all that was recorded."""
        plan = schedule(prepared(self.traces.program(), self.fastmath), self._donated())
        donated = {} if can_fail(plan) else plan.donated
        at, arity, generators = (self.inputs.places.__getitem__, len(plan.inputs),
                                 tuple(self._generators))
        leave = [leaving(ending, way, [arity + place for place in places], at, self.state,
                         generators)
                 for ending, way, places in map(self.endings.__getitem__, self.traces.order())]
        self.run = _native(
            Executable(plan).run, [maker(aval) for aval in self.traces.slots],
            [(arity + output, place) for output, place in donated.items()], generators, leave,
            arity)
        self.plan, self.fresh = plan, 0

    def _donated(self) -> dict[int, int]:
        """Outputs that may be computed in an input's memory, which the run overwrites.

        Only where there is one way through the function: at a look, nothing may be written yet.
        """
        if len(self.endings) != 1:
            return {}
        number = {source: i for i, source in enumerate(self.traces.sources)}
        end = self.endings[0]
        return {end.places[w.output]: number[w.source] for w in end.ending.written
                if w.output is not None and w.source in number}
