"""From a group to a nest: which loops remain, and what is done in which sweep over a row.

A node that is the same in all columns belongs to the row; the others to sweeps. A reduction's
result is there after its sweep; so every node has a first sweep that it can be in, and the puts
and reductions are done in theirs. What other sweeps need as well is worked out again if that is
cheap, and kept in a row of scratch memory (or loaded from where it is stored anyway) if not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from math import prod

from ..ir.nest import (
    Access,
    Buffer,
    Index,
    Load,
    Nest,
    Number,
    Op,
    Reduce,
    Stage,
    Statement,
    Store,
)
from ..ir.program import Value
from .access import Ints, coalesced
from .group import ELEMENTARY, Group, Node, Put

_SCRATCH = 1 << 17
"""The most bytes of a row that are kept for a later sweep."""


def living(group: Group, wanted: Callable[[Buffer], bool]) -> tuple[list[Put], list[Node]]:
    """The puts into memory that is wanted, and the nodes that they need, in order."""
    puts = [put for put in group.puts if wanted(put.buffer)]
    needed = {id(node) for put in puts for node in (put.node, *(t[0] for t in put.indirect))}
    found = []
    for node in reversed(group.order):
        if id(node) in needed:
            found.append(node)
            needed.update(map(id, node.parents()))
    return puts, found[::-1]


@dataclasses.dataclass(slots=True)
class Loops:
    """The loops of a nest: of the group's, the innermost of each that are joined to one.

    Attributes:
        places: which of the group's loops they are.
        sizes: how often they turn, the columns last if there are any.
        swept: whether the last one is a sweep.
    """

    places: list[int]
    sizes: Ints
    swept: bool

    def strides(self, strides: Ints) -> Ints:
        """Strides of the group's loops as the nest's."""
        return tuple(strides[d] for d in self.places)

    def varies(self, strides: Ints) -> bool:
        """Whether an access moves along the columns."""
        return self.swept and bool(strides) and strides[self.places[-1]] != 0


def loops_of(group: Group, puts: Iterable[Put], nodes: Iterable[Node]) -> Loops:
    """The fewest loops that do."""
    accesses = [strides for strides in (*(node.strides for node in nodes),
                                        *(put.strides for put in puts)) if strides]
    barrier = group.row_loops if group.cols else 0
    places = coalesced(group.sizes, accesses, barrier)
    ends = [-1, *places]
    sizes = tuple(prod(group.sizes[a + 1:b + 1]) for a, b in zip(ends, places, strict=False))
    return Loops(places, sizes, bool(sizes))


def nest_of(group: Group, puts: list[Put], nodes: list[Node],
            buffer_of: Callable[[Value], Buffer]) -> Nest:
    """The nest that a group becomes."""
    return _Writer(group, puts, nodes, buffer_of).nest()


class _Writer:
    """Writes the stages of one nest.

    Attributes:
        swept: nodes that differ from column to column.
        phase: by node, the first sweep that it can be in, or that it can be used in.
        cost: by node of a sweep, what it costs to work it out, operands and all.
        sweeps: by node of a sweep, the sweeps in which it is worked out.
        kept: by node, where it is kept for later sweeps.
    """

    def __init__(self, group: Group, puts: list[Put], nodes: list[Node],
                 buffer_of: Callable[[Value], Buffer]) -> None:
        self.puts, self.nodes, self.buffer_of = puts, nodes, buffer_of
        self.loops = loops_of(group, puts, nodes)
        self.swept: set[Node] = set()
        self.cost: dict[Node, int] = {}
        self.phase: dict[Node, int] = {}
        for node in nodes:
            self._place(node)
        self._sum_columns()
        self.sweeps: dict[Node, set[int]] = {node: set() for node in self.swept}
        self.kept: dict[Node, Access] = {}
        self._demand()
        self.row: dict[Node, Statement] = {}

    def _place(self, node: Node) -> None:
        parents = node.parents()
        phase = max((self.phase[p] for p in parents), default=0)
        if node.kind == "reduce":
            phase += 1
        elif self.loops.varies(node.strides) or any(p in self.swept for p in parents):
            self.swept.add(node)
            self.cost[node] = node.own_cost + sum(self.cost.get(p, 0) for p in parents)
        self.phase[node] = phase

    def _sum_columns(self) -> None:
        """Where all columns of a row are put in one place, they are reduced first."""
        rows = len(self.loops.sizes) - self.loops.swept
        for i, put in enumerate(self.puts):
            if put.how and rows and not put.rows and not self.loops.varies(put.strides) and (
                    not put.indirect and self.loops.swept):
                total = Node("reduce", put.node.dtype, put.how, (put.node,))
                self.nodes.append(total)
                self._place(total)
                self.puts[i] = dataclasses.replace(put, node=total, rows=True)

    def _put_swept(self, put: Put) -> bool:
        """Whether a put is made in every column."""
        if not self.loops.swept or put.rows:
            return False
        return bool(put.how or put.node in self.swept or self.loops.varies(put.strides)
                    or any(term[0] in self.swept for term in put.indirect))

    def _put_phase(self, put: Put) -> int:
        return max(self.phase[node] for node in (put.node, *(t[0] for t in put.indirect)))

    # --- what is done when --------------------------------------------------------------------

    def _demand(self) -> None:
        """Decides which nodes each sweep works out."""
        demand = {node: self.sweeps[node] for node in self.swept}
        stored: dict[Node, Access] = {}
        for put in self.puts:
            for node in (put.node, *(t[0] for t in put.indirect)):
                if node in self.swept:
                    demand[node].add(self._put_phase(put))
            if put.node in self.swept and not put.how and not put.indirect:
                stored[put.node] = self._access(put.buffer, put, True)
        for node in reversed(self.nodes):
            if node.kind == "reduce":
                for p in node.operands:
                    if p in self.swept:
                        demand[p].add(self.phase[node] - 1)
            elif node in self.swept:
                if len(demand[node]) > 1:
                    self._keep(node, stored.get(node))
                for p in node.parents():
                    if p in self.swept:
                        demand[p].update(self.sweeps[node])

    def _keep(self, node: Node, stored: Access | None) -> None:
        """Keeps a node's row for later sweeps, unless it is cheaper to work it out again."""
        cols = self.loops.sizes[-1]
        if stored is not None and self.cost[node] > 2:
            self.kept[node] = stored
        elif self.cost[node] >= ELEMENTARY and cols * node.dtype.itemsize <= _SCRATCH:
            scratch = Buffer(node.dtype, cols, "scratch", shape=(cols,))
            self.kept[node] = Access(scratch, (0,) * (len(self.loops.sizes) - 1) + (1,))
        else:
            return
        self.sweeps[node] = {min(self.sweeps[node])}

    # --- writing ------------------------------------------------------------------------------

    def nest(self) -> Nest:
        sizes = self.loops.sizes
        last = max([self.phase[node] for node in self.nodes]
                   + [self._put_phase(put) for put in self.puts])
        stages: list[Stage] = []
        for phase in range(last + 1):
            plain = self._plain(phase)
            if plain:
                stages.append(Stage(False, tuple(plain)))
            sweep = self._sweep(phase) if self.loops.swept else []
            if sweep:
                stages.append(Stage(True, tuple(sweep)))
        return Nest(sizes[:-1], sizes[-1] if sizes else 1, tuple(stages))

    def _plain(self, phase: int) -> list[Statement]:
        """What is done once per row before a sweep."""
        found: list[Statement] = []
        for node in self.nodes:
            if node not in self.swept and node.kind != "reduce" and self.phase[node] == phase:
                self.row[node] = self._statement(node, self.row, False)
                found.append(self.row[node])
        for put in self.puts:
            if not self._put_swept(put) and self._put_phase(put) == phase:
                found.append(self._store(put, self.row, False))
        return found

    def _sweep(self, phase: int) -> list[Statement]:
        """What is done for every column."""
        here = dict(self.row)
        found: list[Statement] = []
        ends: list[Statement] = []
        for node in self.nodes:
            if node.kind == "reduce" and self.phase[node] == phase + 1:
                self.row[node] = Reduce(node.dtype, node.name, here[node.operands[0]])
                ends.append(self.row[node])
            elif node in self.swept and phase in self.sweeps[node]:
                here[node] = self._statement(node, here, True)
                found.append(here[node])
                kept = self.kept.get(node)
                if kept is not None and kept.buffer.kind == "scratch":
                    ends.append(Store(kept, here[node]))
            elif node in self.kept and self.phase[node] <= phase:
                here[node] = Load(node.dtype, self.kept[node])
                found.append(here[node])
        for put in self.puts:
            if self._put_swept(put) and self._put_phase(put) == phase:
                ends.append(self._store(put, here, True))
        return _needed(found, ends)

    def _statement(self, node: Node, known: dict[Node, Statement], swept: bool) -> Statement:
        if node.kind == "number":
            return Number(node.dtype, node.value)
        if node.kind == "op":
            return Op(node.dtype, node.name, tuple(known[p] for p in node.operands))
        if node.kind == "index":
            return Index(node.dtype, self._strides(node.strides, swept), node.offset)
        return Load(node.dtype, self._access(self.buffer_of(node.value), node, swept),
                    tuple((known[p], bound, stride) for p, bound, stride in node.indirect))

    def _store(self, put: Put, known: dict[Node, Statement], swept: bool) -> Store:
        return Store(self._access(put.buffer, put, swept), known[put.node], put.how,
                     tuple((known[p], bound, stride) for p, bound, stride in put.indirect))

    def _access(self, buffer: Buffer, each: Node | Put, swept: bool) -> Access:
        return Access(buffer, self._strides(each.strides, swept), each.offset)

    def _strides(self, strides: Ints, swept: bool) -> Ints:
        found = self.loops.strides(strides)
        return found if swept or not self.loops.swept else found[:-1]


def _needed(found: list[Statement], ends: list[Statement]) -> list[Statement]:
    """A sweep's statements without loads of kept values that nothing in it uses."""
    used = {id(operand) for statement in ends for operand in _operands(statement)}
    kept = []
    for statement in reversed(found):
        if id(statement) in used:
            kept.append(statement)
            used.update(map(id, _operands(statement)))
    return kept[::-1] + ends


def _operands(statement: Statement) -> list[Statement]:
    """What a statement refers to."""
    operands: list[Statement] = [term[0] for term in getattr(statement, "indirect", ())]
    if isinstance(statement, Op):
        operands += statement.operands
    elif isinstance(statement, Reduce | Store):
        operands.append(statement.operand)
    return operands
