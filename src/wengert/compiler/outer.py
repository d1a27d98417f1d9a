"""Gradients that go through a compiled function from outside.

Where a result of a compiled function requires grad, the run that was recorded goes on for a
moment: cotangents of the results are pulled back to what the function was given, and those lines
become a program of their own. A node on the tape runs it. What it needs of the function's values,
the function's program gives out beside its results, unless it is cheaper to work it out again
(see `saving`).

One node stands for the many that the function would have left on the tape, and does as they would:
results that get no cotangent take no part in it, and what is freed by a backward pass is what the
pass went through (`Part`).
"""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..core.handle import Handle, as_handle, storage_of, version_of, wrap
from ..core.levels import here, modes
from ..interpreters import backward
from ..interpreters.pullback import SECOND_TIME, read
from ..interpreters.tape import FREED, Node, new, number, port_of, saved_output, versions
from ..primitives.elementwise import add
from .ending import Ending, Fresh
from .executable import Executable, dense
from .expand import canonical, expand
from .passes import common_subexpressions, dead_code, simplify
from .program import Constant, Line, Program, Value, straight
from .record import Recorder, Source
from .saving import saving
from .schedule import schedule
from .walk import has_effects


class Part(NamedTuple):
    """Nodes of the tape that saved something, and on which the same passes come along.

    Attributes:
        results: the places of the results from which they are reached, as the bits of a number.
        inputs: the places of the inputs that they lead to, likewise.
        spent: whether the function itself has gone back through one of them, and freed it.
    """

    results: int
    inputs: int
    spent: bool

    def runs(self, results: int, inputs: int) -> bool:
        """Whether a pass comes along, from these results to these inputs (all, if negative)."""
        return bool(self.results & results and (inputs < 0 or self.inputs & inputs))


class Route(NamedTuple):
    """A program from cotangents of some results to those of some inputs.

    Attributes:
        run: runs it, arrays to arrays.
        kept: the places of what it reads of what was kept.
        results: the places of the results whose cotangents it is given.
        inputs: the places of the inputs whose cotangents it gives.
    """

    run: Runner
    kept: tuple[int, ...]
    results: tuple[int, ...]
    inputs: tuple[int, ...]


class Pullback:
    """The way back through one ending.

    Attributes:
        results: the numbers of the results that have a derivative.
        cotangents: what stands for their cotangents.
        sources: the inputs that cotangents are carried to.
        lines: how.
        gradients: the values of the inputs' cotangents; None where none arrives.
        saved: values of the function that the lines read: those that leave its program besides
            the ending's own.
        there: values that they read where they are, and where: an input, or the number of a
            result.
        parts: what of the tape it stands for.
        readers: for all that is kept (`saved`, then `there`), the places of the results on whose
            way it is read, as the bits of a number.
    """

    lines: list[Line]
    gradients: list[Value | None]
    saved: list[Value]
    there: list[tuple[Value, Source | int]]
    readers: list[int]

    def __init__(self, run: Recorder, ending: Ending) -> None:
        self.results = ending.differentiable
        tensors = [ending.tensors[i] for i in self.results]
        self.sources = [s for s in run.sources if s.node is not None]
        self.parts, inner = _parts([t.node for t in tensors], [s.node for s in self.sources])
        self.cotangents = [Value(t.aval.plain) for t in tensors]
        self.lines, self.gradients = [], [None] * len(self.sources)
        self.saved, self.there, self.readers = [], [], []
        self._routes: dict[tuple[int, int], Route] = {}
        self._lock = threading.Lock()
        if any(node.extra is not None for node in inner):
            run.fail("a tensor made in it has hooks, or retains its gradient")
        if run.failed:
            return
        alive = [i for i in range(len(tensors)) if not self._spent(i)]
        lines = self._trace(run, alive, tensors) if alive else []
        if lines and not run.failed:
            self._choose(run, ending, lines)

    def _spent(self, place: int) -> bool:
        return any(part.spent and part.results >> place & 1 for part in self.parts)

    def _trace(self, run: Recorder, places: Sequence[int], tensors: Sequence[Any]) -> list[Line]:
        """The lines that carry cotangents of the results at these places back."""
        ones = [wrap(tensors[i].aval.ones()) for i in places]
        for i, one in zip(places, ones, strict=True):
            self.cotangents[i] = run.given(one)
        start = len(run.notes)
        try:
            found = backward.run(
                [(tensors[i].node, one) for i, one in zip(places, ones, strict=True)],
                retain=True, create=False, accumulate=False, bare=True,
                wanted=[s.node for s in self.sources])
        except RuntimeError as error:
            run.fail(f"its derivative can't be taken: {error}")
            return []
        self.gradients = [None if (g := found.get(s.node)) is None else run.value(g, (g,))
                          for s in self.sources]
        notes = run.notes[start:]
        del run.notes[start:]
        lines = [line for line in notes if isinstance(line, Line)]
        if len(lines) < len(notes):
            run.fail("a derivative of it looks at numbers")
        return lines

    def _choose(self, run: Recorder, ending: Ending, lines: Sequence[Line]) -> None:
        """Finds out what is to be saved, and what is worked out again."""
        before = [note for note in run.notes if isinstance(note, Line)]
        homes = _homes(run, ending, before, _reads(lines, self.gradients))
        given = [*(s.value for s in run.sources), *self.cotangents]
        kept = [g for g in self.gradients if g is not None]
        both = dead_code(common_subexpressions(
            straight(given, [*before, *lines], [*homes, *kept])))
        end: Any = both.body.end
        found = iter(end.outputs)
        there = {next(found): home for home in list(homes.values())}
        self.gradients = [None if g is None else next(found) for g in self.gradients]
        late = {v for line in lines for v in line.results}
        first, self.lines = _split(both.body.lines, self.cotangents, late)
        anyway = {line for line in first if not late.isdisjoint(line.results)}
        read = [v for v in _reads(self.lines, self.gradients) if v not in self.cotangents]
        self.saved, again = saving(first, read, there, anyway)
        run.notes.extend(_leading_to(self.saved, first, anyway))
        self.lines = [*again, *self.lines]
        there_read = set(_reads(self.lines, self.gradients))
        self.there = [(v, home) for v, home in there.items() if v in there_read]
        self.readers = self._readers([*self.saved, *(v for v, _ in self.there)])

    def _readers(self, kept: Sequence[Value]) -> list[int]:
        reach = {c: 1 << i for i, c in enumerate(self.cotangents)}
        for line in self.lines:
            reach.update(dict.fromkeys(line.results, _either(reach, line.operands)))
        for line in reversed(self.lines):
            seen = _either(reach, line.results)
            for v in line.operands:
                reach[v] = reach.get(v, 0) | seen
        return [reach.get(v, 0) for v in kept]

    # --- passes over it -------------------------------------------------------------------------

    def touched(self, results: int, inputs: int) -> int:
        """The places of the parts on which a pass comes along, as the bits of a number."""
        return sum(1 << i for i, part in enumerate(self.parts) if part.runs(results, inputs))

    def alive(self, freed: int) -> int:
        """The places of the results from which a pass may still come, once parts are freed."""
        there = [part.results for i, part in enumerate(self.parts) if not freed >> i & 1]
        return _any(there) | ~_any(part.results for part in self.parts)

    def route(self, results: int, inputs: int) -> Route:
        """The way from some results' cotangents to those of some inputs (all, if negative)."""
        key = results, inputs
        found = self._routes.get(key)
        if found is None:
            with self._lock:
                found = self._routes.setdefault(key, self._route(results, inputs))
        return found

    def _route(self, results: int, inputs: int) -> Route:
        missing = [c for i, c in enumerate(self.cotangents) if not results >> i & 1]
        lines, values = without(self.lines, self.cotangents, missing)
        places, outs = [], []
        for i, g in enumerate(self.gradients):
            out = None if g is None else values.get(g, g)
            if out is not None and inputs >> i & 1:
                places.append(i)
                outs.append(out)
        lines = dead_code(straight((), lines, outs)).body.lines
        read = set(_reads(lines, outs))
        kept = [*self.saved, *(v for v, _ in self.there)]
        needed = tuple(i for i, v in enumerate(kept) if v in read)
        given = tuple(i for i, c in enumerate(self.cotangents) if c in read)
        program = straight([*(kept[i] for i in needed), *(self.cotangents[i] for i in given)],
                           lines, outs)
        return Route(Runner(program), needed, given, tuple(places))


def _reads(lines: Iterable[Line], ends: Iterable[Value | None]) -> list[Value]:
    """The values that lines and ends read and that no line makes; constants are none."""
    lines = list(lines)
    made = {v for line in lines for v in line.results}
    values = [*(v for line in lines for v in line.operands), *ends]
    return [v for v in dict.fromkeys(values)
            if v is not None and v not in made and not isinstance(v, Constant)]


def _split(lines: Iterable[Line], cotangents: Iterable[Value],
           late: set[Value]) -> tuple[list[Line], list[Line]]:
    """Lines that do not depend on cotangents, and those that do or that run with them."""
    first: list[Line] = []
    second: list[Line] = []
    known = set(cotangents)
    for line in lines:
        if known.isdisjoint(line.operands) and not (
                has_effects(line) and not late.isdisjoint(line.results)):
            first.append(line)
        else:
            second.append(line)
            known.update(line.results)
    return first, second


def _leading_to(values: Iterable[Value], lines: Sequence[Line],
                some: set[Line]) -> list[Line]:
    """Those of some lines that values are made by, operands and all."""
    needed, found = set(values), []
    for line in reversed(lines):
        if line in some and not needed.isdisjoint(line.results):
            needed.update(line.operands)
            found.append(line)
    return found[::-1]


def without(lines: Iterable[Line], cotangents: Iterable[Value], missing: Iterable[Value]
            ) -> tuple[list[Line], dict[Value, Value | None]]:
    """Lines that are linear in cotangents, where some of these never arrive.

    Where all that a line would carry on is missing, so is its result; of a sum the other part is
    left; anything else gets zeros, as a node with several results does.

    Returns:
        The lines that are left, and what became of values: None if they are missing.
    """
    known = set(cotangents)
    found: dict[Value, Value | None] = dict.fromkeys(missing)
    kept = []
    for line in lines:
        carried = [v for v in line.operands if v in known]
        known.update(line.results if carried else ())
        there = [v for v in carried if found.get(v, v) is not None]
        if carried and not there:
            found.update(dict.fromkeys(line.results))
        elif len(there) < len(carried) and _is_sum_of(line, there):
            found[line.result] = found.get(there[0], there[0])
        else:
            kept.append(line.on({v: _zeros(v) if w is None else w for v in carried
                                 if (w := found.get(v, v)) is not v}))
    return kept, found


def _is_sum_of(line: Line, there: Sequence[Value]) -> bool:
    return canonical(line.primitive) is add and there[0].aval is line.result.aval


def _zeros(value: Value) -> Constant:
    return Constant(np.broadcast_to(value.aval.zero, value.aval.shape))


def _homes(run: Recorder, ending: Ending, lines: Iterable[Line], read: Iterable[Value]
           ) -> dict[Value, Source | int]:
    """What the tape would have saved of tensors that are there after the run, and where.

    It would have noticed that they were written to, so they may be read where they are: inputs,
    and (by their numbers) results. Of others a copy has to be saved.
    """
    homes: dict[Value, Source | int] = {
        ending.values[result.output]: i for i, result in enumerate(ending.results)
        if isinstance(result, Fresh) and result.order is None}
    homes.update((s.value, s) for s in run.sources)
    for written in ending.written:
        if written.output is not None:
            homes.pop(written.source.value, None)
            homes[ending.values[written.output]] = written.source
    makers = {v: line for line in lines for v in line.results}
    found: dict[Value, Source | int] = {}
    for v in read:
        while v not in homes and (line := makers.get(v)) is not None and line.primitive.view:
            v = line.operands[0]
        if v in homes:
            found[v] = homes[v]
    return found


def _parts(roots: Sequence[Any], inputs: Sequence[Any]) -> tuple[list[Part], list[Any]]:
    """The parts of the tape between results' nodes and inputs' nodes, and the nodes there."""
    goals: dict[Any, int] = {}
    for i, node in enumerate(inputs):
        goals[node] = goals.get(node, 0) | 1 << i
    found, todo = set(), list(roots)
    while todo:
        node = todo.pop()
        if node is not None and not node.leaf and node not in goals and node not in found:
            found.add(node)
            todo.extend(node.edges)
    nodes = sorted(found, key=lambda node: node.order)
    above = {node: _any(1 << i for i, root in enumerate(roots) if root is node) for node in nodes}
    for node in nodes:
        for edge in node.edges:
            if edge in above:
                above[edge] |= above[node]
    below: dict[Any, int] = {}
    for node in reversed(nodes):
        below[node] = _either(goals, node.edges) | _either(below, node.edges)
    parts = {Part(above[n], below[n], n.saved is FREED): None for n in nodes if n.saved}
    return list(parts), nodes


def _either(bits: Mapping[Any, int], keys: Iterable[Any]) -> int:
    return _any(bits.get(key, 0) for key in keys)


def _any(bits: Iterable[int]) -> int:
    return functools.reduce(operator.or_, bits, 0)


# --- running ----------------------------------------------------------------------------------


class Runner:
    """A program without looks, compiled when it is first run."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._executable: Executable | None = None
        self._lock = threading.Lock()

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The program's outputs.

        Raises:
            RuntimeError: if an index in it is out of range.
        """
        with self._lock:
            if self._executable is None:
                self._executable = Executable(schedule(simplify(expand(self.program))))
        end: Any = self.program.body.end
        outputs = [np.empty(v.aval.shape, v.aval.numpy) for v in end.outputs]
        if self._executable([dense(a) for a in arrays], outputs) < 0:
            raise RuntimeError("index out of range in a compiled function's derivative")
        return outputs


class Again:
    """A run of a function once more, recorded on the tape: for derivatives of derivatives.

    Args:
        call: calls the function.
        inputs: the tensors that it reads.
        generators: what it draws random numbers from.
        states: theirs, before it ran.
    """

    __slots__ = ("_call", "_generators", "_inputs", "_states", "_versions")

    def __init__(self, call: Callable[[], Any], inputs: Sequence[Any], generators: Sequence[Any],
                 states: Sequence[Any]) -> None:
        self._call, self._inputs = call, inputs
        self._generators, self._states = tuple(generators), states
        self._versions = list(map(version_of, inputs))

    def __call__(self) -> Any:
        """What the function returns.

        Raises:
            RuntimeError: if an input was overwritten since.
        """
        for x, version in zip(self._inputs, self._versions, strict=True):
            if version_of(x) != version:
                raise RuntimeError(
                    "the derivative of a compiled function's derivative runs the function again, "
                    "but a tensor that it reads has been modified by an inplace operation: "
                    f"[torch.{x.aval.dtype.words}Tensor {list(x.aval.shape)}] is at version "
                    f"{version_of(x)}; expected version {version} instead.")
        states = [generator.get_state() for generator in self._generators]
        self._draw_from(self._states)
        try:
            with modes(grad=True):
                return self._call()
        finally:
            self._draw_from(states)

    def _draw_from(self, states: Sequence[Any]) -> None:
        for generator, state in zip(self._generators, states, strict=True):
            generator.set_state(state)


class Kept(Node):
    """What the node of a compiled function keeps, saved as nodes save."""

    __slots__ = ()

    def name(self) -> str:
        return CompiledFunctionBackward.__name__


class _Held(tuple[Any, ...]):
    """No plain tuple: the pullback asks the node itself."""

    __slots__ = ()


HELD: Any = _Held((None,))
"""Stands for the saved values of the node of a compiled function: nothing of them is an operand's
value, or the result's."""


class CompiledFunctionBackward(Node):
    """The node of one run of a compiled function.

    Attributes:
        way: the `Pullback`.
        again: runs the function anew, recorded, for derivatives of derivatives; returns the
            tensors that cotangents are carried to, and the results that have a derivative.
        kept: what the way reads; None where it has been let go.
        freed: the places of the way's parts that were freed, as the bits of a number.
        last: from which results to which inputs the last pass went.
    """

    __slots__ = ("again", "freed", "kept", "last", "way")
    materializes: ClassVar[bool] = False

    way: Pullback
    again: Any
    kept: Kept
    freed: int
    last: tuple[int, int]

    @classmethod
    def of(cls, way: Pullback, again: Any, inputs: Sequence[Any]) -> CompiledFunctionBackward:
        """The node that carries cotangents to these tensors; `keep` completes it."""
        node: CompiledFunctionBackward = new(cls)
        node.way, node.again, node.last = way, again, (0, 0)
        node.freed = _any(1 << i for i, part in enumerate(way.parts) if part.spent)
        node.edges, node.ins = tuple(x.node for x in inputs), tuple(x.aval for x in inputs)
        node.order, node.versions, node.params, node.extra = number(), None, None, None
        avals = [v.aval for v in way.cotangents]
        node.out = tuple(avals) if len(avals) > 1 else avals[0]
        return node

    def attach(self, place: int, out: Any) -> None:
        """Makes this the node of the result at a place among those with a derivative."""
        several = type(self.out) is tuple
        out.node = port_of(self, place, out.aval.plain) if several else self

    def keep(self, values: Sequence[Any], results: Container[int]) -> None:
        """Saves arrays, tensors, and (those at the places `results`) results of this run."""
        self.kept = kept = new(Kept)
        for i, value in enumerate(values):
            if i in results:
                storage_of(value)  # so that writes to it are noticed
        kept.saved = tuple(saved_output(value) if i in results else value
                           for i, value in enumerate(values))
        kept.versions = versions(kept.saved)

    @property
    def saved(self) -> Any:
        """`FREED` if no pass can come this way any more."""
        return FREED if self.way.parts and not ~self.freed & (1 << len(self.way.parts)) - 1 else (
            HELD)

    @saved.setter
    def saved(self, value: Any) -> None:
        """Frees what the last pass came along."""
        self.freed |= self.way.touched(*self.last)
        alive = self.way.alive(self.freed)
        self.kept.saved = tuple(
            value if readers & alive else None
            for value, readers in zip(self.kept.saved, self.way.readers, strict=True))
        if self.saved is FREED:
            self.again = None

    def pull(self, g: Any, tensors: bool, needed: set[Any] | None) -> list[Any]:
        """The cotangents of the inputs."""
        grads = g if type(self.out) is tuple else [g]
        results = _any(1 << i for i, x in enumerate(grads) if x is not None)
        inputs = -1 if needed is None else _any(
            1 << i for i, edge in enumerate(self.edges) if edge in needed)
        if self.freed & self.way.touched(results, inputs):
            raise RuntimeError(SECOND_TIME)
        self.last = results, inputs
        route = self.way.route(results, inputs)
        kept = [read(self.kept, i) for i in route.kept]
        if tensors and any(isinstance(x, Handle) for x in grads):
            return self._recorded(grads, inputs)
        found: list[Any] = [None] * len(self.edges)
        cotangents = [np.asarray(grads[i]) for i in route.results]
        for i, array in zip(route.inputs, route.run([*kept, *cotangents]), strict=True):
            found[i] = array
        return found

    def _recorded(self, grads: Sequence[Any], inputs: int) -> list[Any]:
        """The same by the function itself, whose own derivative can be taken."""
        given, outs = self.again()
        roots = [(out.node, as_handle(g)) for out, g in zip(outs, grads, strict=True)
                 if g is not None]
        wanted = [x.node if inputs >> i & 1 else None for i, x in enumerate(given)]
        found = backward.run(roots, retain=True, create=here.grad, below=not here.grad,
                             accumulate=False, bare=True,
                             wanted=[node for node in wanted if node is not None])
        return [None if node is None else found.get(node) for node in wanted]
