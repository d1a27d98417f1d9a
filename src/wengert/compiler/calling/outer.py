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
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...core.handle import wrap
from ...interpreters import backward
from ...interpreters.tape import FREED
from ...primitives.elementwise import add
from ...primitives.layout import stack, unbind
from ..expand import canonical
from ..ir.program import Constant, Line, Value, straight
from ..ir.uniform import zeros
from ..ir.walk import has_effects
from ..passes import common_subexpressions, dead_code
from ..recording.record import Recorder, Source
from .ending import Ending, Fresh
from .runner import Runner
from .saving import saving

_MANY = 8
"""So many values that are saved are handed over as one."""
_SMALL = 1 << 16
"""If they have this many elements at most."""


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
        parts: the places of the parts that it stands for, as the bits of a number.
    """

    run: Runner
    kept: tuple[int, ...]
    results: tuple[int, ...]
    inputs: tuple[int, ...]
    parts: int


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
        there: values that they read where they are, and where: an input, or (after all of those)
            the number of a result.
        parts: what of the tape it stands for.
        whole: their places, as the bits of a number.
        spent: the places of those that the function itself has freed, likewise.
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
        self.whole = (1 << len(self.parts)) - 1
        self.spent = either(1 << i for i, part in enumerate(self.parts) if part.spent)
        self.cotangents = [Value(t.aval.plain) for t in tensors]
        self.lines, self.gradients = [], [None] * len(self.sources)
        self.saved, self.there, self.readers = [], [], []
        self._routes: dict[tuple[int, int], Route] = {}
        self._alive: dict[int, int] = {}
        self._lock = threading.Lock()
        if any(node.extra is not None for node in inner):
            run.fail("a tensor made in it has hooks, or retains its gradient")
        made = {x.node for x in ending.tensors}.difference(s.node for s in self.sources)
        if any(edge is not None and edge.leaf and edge in made
               for node in inner for edge in node.edges):
            run.fail("it returns a leaf that it makes, and what depends on it")
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
        saved, again = saving(first, read, there, anyway)
        self.saved, stacks, parts = _stacked(saved, first)
        run.notes.extend((*_leading_to(saved, first, anyway), *stacks))
        self.lines = [*parts, *again, *self.lines]
        there_read = set(_reads(self.lines, self.gradients))
        self.there = sorted([(v, home) for v, home in there.items() if v in there_read],
                            key=lambda pair: isinstance(pair[1], int))
        self.readers = self._readers([*self.saved, *(v for v, _ in self.there)])

    def _readers(self, kept: Sequence[Value]) -> list[int]:
        reach = {c: 1 << i for i, c in enumerate(self.cotangents)}
        for line in self.lines:
            reach.update(dict.fromkeys(line.results, _reached(reach, line.operands)))
        for line in reversed(self.lines):
            seen = _reached(reach, line.results)
            for v in line.operands:
                reach[v] = reach.get(v, 0) | seen
        return [reach.get(v, 0) for v in kept]

    # --- passes over it -------------------------------------------------------------------------

    def alive(self, freed: int) -> int:
        """The places of the results from which a pass may still come, once parts are freed."""
        found = self._alive.get(freed)
        if found is None:
            there = [part.results for i, part in enumerate(self.parts) if not freed >> i & 1]
            bound = either(part.results for part in self.parts)
            found = self._alive[freed] = (either(there) | ~bound) & (1 << len(self.results)) - 1
        return found

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
        lines = list(dead_code(straight((), lines, outs)).body.lines)
        read = set(_reads(lines, outs))
        kept = [*self.saved, *(v for v, _ in self.there)]
        needed = tuple(i for i, v in enumerate(kept) if v in read)
        given = tuple(i for i, c in enumerate(self.cotangents) if c in read)
        program = straight([*(kept[i] for i in needed), *(self.cotangents[i] for i in given)],
                           lines, outs)
        parts = either(1 << i for i, part in enumerate(self.parts) if part.runs(results, inputs))
        return Route(Runner(program), needed, given, tuple(places), parts)


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


def _stacked(values: Sequence[Value], lines: Sequence[Line]
             ) -> tuple[list[Value], list[Line], list[Line]]:
    """Many small values that one line of a loop made, turn by turn, as one array: loops can go
    along it.

    Returns:
        What there is instead of the values, the lines that stack them, and those that take the
        stacks apart.
    """
    places = {v: (i, line.primitive) for i, line in enumerate(lines) for v in line.results}
    made = [places.get(v, (-1, None)) for v in values]
    groups: dict[Any, list[Value]] = {}
    for k, v in enumerate(values):
        (before, _), (place, primitive), (after, _) = made[max(k - 1, 0)], made[k], (
            made[min(k + 1, len(made) - 1)])
        key = (v.aval, primitive, place - before, after - place)
        groups.setdefault(key if v.aval.numel <= _SMALL else v, []).append(v)
    found, stacks, parts = [], [], []
    for group in groups.values():
        if len(group) < _MANY:
            found.extend(group)
            continue
        avals: Any = [v.aval for v in group]
        whole = Value(stack.abstract(*avals, dim=0))
        found.append(whole)
        stacks.append(Line(stack, group, {"dim": 0}, (whole,)))
        parts.append(Line(unbind, (whole,), {"dim": 0}, group))
    return found, stacks, parts


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
            kept.append(line.on({v: zeros(v.aval) if w is None else w for v in carried
                                 if (w := found.get(v, v)) is not v}))
    return kept, found


def _is_sum_of(line: Line, there: Sequence[Value]) -> bool:
    return canonical(line.primitive) is add and there[0].aval is line.result.aval


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
    above = {node: either(1 << i for i, root in enumerate(roots) if root is node) for node in nodes}
    for node in nodes:
        for edge in node.edges:
            if edge in above:
                above[edge] |= above[node]
    below: dict[Any, int] = {}
    for node in reversed(nodes):
        below[node] = _reached(goals, node.edges) | _reached(below, node.edges)
    parts = {Part(above[n], below[n], n.saved is FREED): None for n in nodes if n.saved}
    return list(parts), nodes


def _reached(bits: Mapping[Any, int], keys: Iterable[Any]) -> int:
    return either(bits.get(key, 0) for key in keys)


def either(bits: Iterable[int]) -> int:
    """The bits that are in any of these numbers."""
    return functools.reduce(operator.or_, bits, 0)
