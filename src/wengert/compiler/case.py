"""Cases: what a compiled function has become for arguments of one kind.

A case holds the runs that were recorded, merged, and the native code of all of them. Running it is:
gather the inputs' arrays, call the code, and leave behind what the ending that it reached says.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core import buffers
from ..core.aval import Aval
from ..core.handle import wrap
from ..core.levels import here
from .ending import Ending
from .executable import Executable, dense
from .failing import can_fail
from .inputs import Given, Inputs
from .outer import Pullback
from .outer_node import Again, CompiledFunctionBackward
from .prepare import prepared
from .program import Line
from .record import MISSED, Recorder, draw
from .schedule import schedule
from .state import State
from .traces import Traces

_Maker = tuple[Any, tuple[int, ...], np.dtype[Any]]


def _makers(avals: Iterable[Aval]) -> list[_Maker]:
    """What makes arrays for outputs: large ones in memory that was used before."""
    return [(np.empty if aval.numel * aval.numpy.itemsize < buffers.SMALLEST else buffers.empty,
             tuple(aval.shape), aval.numpy) for aval in avals]


class _Native(NamedTuple):
    """What a case has been compiled to, all of it at once.

    Attributes:
        executable: the code.
        donated: outputs that may be in an input's memory.
        arity: how many inputs it has.
        makers: what makes its outputs.
        endings: by the number that the code returns.
    """

    executable: Executable
    donated: Mapping[int, int]
    arity: int
    makers: list[_Maker]
    endings: list[_End]


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
        self._native: _Native | None = None
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
        self._native = _Native(Executable(plan), donated, len(plan.inputs),
                               _makers(self.traces.slots),
                               [self.endings[i] for i in self.traces.order()])
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

    # --- running --------------------------------------------------------------------------------

    def run(self, given: Given, again: Any) -> Any:
        """What the function returns in a run that suits; `MISSED` if that isn't known.

        Args:
            given: what `suits` gave.
            again: runs the function itself, recorded on the tape, for second derivatives.
        """
        native = self._native
        if native is None:
            return MISSED
        handles = given.handles[:native.arity]
        inputs = [dense(handle.value) for handle in handles]
        outputs = [make(shape, dtype) for make, shape, dtype in native.makers]
        if native.donated:
            for output, number in native.donated.items():
                if inputs[number] is handles[number].value:  # and no copy
                    outputs[output] = inputs[number]
        states = [g.get_state() for g in self._generators] if self._generators else ()
        try:
            code = native.executable(inputs, outputs)
        except Exception:  # noqa: BLE001 - the function itself will raise it, at the user's line
            code = -1
        if code < 0:
            for generator, state in zip(self._generators, states, strict=True):
                generator.set_state(state)
            return MISSED
        end = native.endings[code]
        if end.single is not None and (end.way is None or not here.grad):
            return wrap(outputs[end.single], end.aval)
        places = self.inputs.places
        if end.way is not None:
            again = Again(again, given.handles, self._generators, states)
        return end.leave(
            lambda source: handles[places[source]],
            lambda place, value: self.state.put(place, given.values, value), outputs, again)


class _End:
    """An ending with what its program's outputs are, and the way back through it.

    Attributes:
        single: the output that is all there is to it, returned as a tensor; None if there is more.
        aval: that tensor's.
        spots: by number of a result with a derivative, its place among these.
        homes: by number of a result that is kept for the way back, its place there.
    """

    def __init__(self, ending: Ending, way: Pullback | None, places: Sequence[int]) -> None:
        self.ending, self.way = ending, way
        self.places = places[:len(ending.values)]
        self.saved = places[len(ending.values):]
        self.single = self.places[0] if ending.simple else None
        self.aval = ending.values[0].aval if ending.simple else None
        ending.tensors = []
        self.spots: dict[int, int] = {}
        self.homes: dict[int, int] = {}
        if way is not None:
            self.spots = {number: place for place, number in enumerate(way.results)}
            self.homes = {home: len(self.saved) + i for i, (_, home) in enumerate(way.there)
                          if isinstance(home, int)}

    def leave(self, find: Any, keep: Any, outputs: Sequence[np.ndarray], again: Any) -> Any:
        """Leaves behind what the ending says; returns what the function returns."""
        way = self.way
        if way is None or not here.grad:
            return self.ending.leave(find, keep, outputs, self.places, None)
        inputs = [find(s) for s in way.sources]
        node = CompiledFunctionBackward.of(way, functools.partial(self._anew, again, inputs),
                                           inputs)
        kept = [*(outputs[i] for i in self.saved),
                *(None if isinstance(home, int) else find(home) for _, home in way.there)]

        def history(number: int, out: Any) -> None:
            if number in self.spots:
                node.attach(self.spots[number], out)
            if number in self.homes:
                kept[self.homes[number]] = out

        result = self.ending.leave(find, keep, outputs, self.places, history)
        node.keep(kept, set(self.homes.values()))
        return result

    def _anew(self, again: Any, inputs: Sequence[Any]) -> tuple[Sequence[Any], list[Any]]:
        if self.ending.written or self.ending.grads or self.ending.kept:
            raise RuntimeError("the derivative of a derivative goes through a compiled function "
                               "that writes to what it reaches from outside; call it uncompiled")
        assert self.way is not None
        return inputs, self.ending.found(again(), self.way.results)
