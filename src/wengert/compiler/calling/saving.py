"""What the function hands over to its derivative, and what the derivative works out again.

A derivative that runs apart from its function reads values of it. Each of these is either saved,
which costs its bytes, or worked out again from others, which costs time; and so are those others.
The cheapest way to have all of them is a minimum cut of a graph (the idea of functorch's
min-cut partitioner: Horace He, "Min-cut optimal recomputation with AOTAutograd", 2022): it parts
what only the function knows from what the derivative has,

    source -> line     for what the line's work costs         line -> result  for its bytes
    operand -> line    for more than anything                 what is read -> sink  likewise

so that a result which the derivative has is saved if its line was left on the function's side,
and a line on the derivative's side has all its operands there. Lines that are never worked out
again (products, sorts, scans, reductions of more than a few elements, random numbers) are no part
of the graph: their results hang on the source.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ..expand import template
from ..ir.program import Constant, Line, Value
from ..ir.walk import has_effects
from ..schedule.group import COSTS, ELEMENTARY
from ..schedule.operations import is_foreign, operation

EACH = 256
"""What a saved value costs besides its bytes: memory is asked for, and handed over."""
TINY = 1024
"""How many elements a reduction may have to be worked out again."""
PER_BYTE = 8
"""How many simple operations on a byte take the time in which it is saved and read again."""
_MOVES = frozenset(("strided", "iota"))
_REDUCTIONS = frozenset(("sum", "sum_to", "amax", "amin", "mean", "prod", "all", "any"))


def saving(lines: Sequence[Line], read: Iterable[Value], free: Collection[Value],
           anyway: Collection[Line] = ()) -> tuple[list[Value], list[Line]]:
    """What to save of the values that lines make or are given, so that others can be had.

    Args:
        lines: in order.
        read: the values that will be needed.
        free: values that will be there at no cost.
        anyway: lines that run later, if they don't run now: they cost nothing there.

    Returns:
        The values to save, and the lines that make of them (and of those that are free, and
        constants) all that is read. No other choice costs less: `cost` of what is saved, and
        `work` of the lines.
    """
    makers = {v: line for line in lines for v in line.results}
    wanted = [v for v in dict.fromkeys(read) if not isinstance(v, Constant) and v not in free]
    kept = _cut(makers, wanted, free, anyway)
    saved: list[Value] = []
    again: list[Line] = []
    needed = dict.fromkeys(wanted)  # and no set, so that the order is the same every time
    for line in reversed(lines):
        found = [v for v in line.results if v in needed]
        if found and line in kept:
            saved.extend(found)
        elif found:
            again.append(line)
            needed.update(dict.fromkeys(v for v in line.operands
                                        if not isinstance(v, Constant) and v not in free))
    given = [v for v in needed if v not in makers]
    return [*given, *reversed(saved)], again[::-1]


def cost(value: Value) -> int:
    """What it costs to save a value, in bytes."""
    return value.aval.numel * value.aval.numpy.itemsize + EACH


def work(line: Line) -> int | None:
    """What it costs to work a line out again, in bytes saved in that time; None if it never is."""
    if has_effects(line) or is_foreign(line):
        return None
    found = template(line.primitive, tuple([v.aval for v in line.operands]), line.params)
    if found is None:
        return _work(line)
    total, lines = 0, list[Line]()
    found.copied(line.operands, lines)
    for each in lines:
        part = _work(each)
        if part is None:
            return None
        total += part
    return total


def _work(line: Line) -> int | None:
    name = operation(line)
    if line.primitive.name in _MOVES:
        return 0
    if name is None and line.primitive.name not in _REDUCTIONS:
        return None
    (result,), operands = line.results, line.operands
    largest = max((v.aval for v in (result, *operands)), key=lambda aval: aval.numel)
    if name is None and largest.numel > TINY:
        return None
    each = COSTS.get(name, ELEMENTARY) if name is not None else 1
    return -(-largest.numel * result.aval.numpy.itemsize * each // PER_BYTE)


# --- the cut ----------------------------------------------------------------------------------


def _cut(makers: Mapping[Value, Line], wanted: Iterable[Value], free: Collection[Value],
         anyway: Collection[Line]) -> set[Line]:
    """The lines that are left on the function's side."""
    flow = Flow()
    lines: set[Line] = set()
    fixed: set[Line] = set()
    todo = list(wanted)
    for value in todo:
        flow.edge(value, SINK, None)
    seen = set(todo)
    while todo:
        value = todo.pop()
        line = makers.get(value)
        if line is None:
            flow.edge(SOURCE, value, cost(value))
            continue
        if line not in lines and line not in fixed:
            takes = 0 if line in anyway else work(line)
            if takes is None:
                fixed.add(line)
            else:
                lines.add(line)
                flow.edge(SOURCE, line, takes)
                for v in dict.fromkeys(line.operands):
                    if isinstance(v, Constant) or v in free:
                        continue
                    flow.edge(v, line, None)
                    if v not in seen:
                        seen.add(v)
                        todo.append(v)
        flow.edge(SOURCE if line in fixed else line, value, cost(value))
    side = flow.cut()
    return fixed.union(line for line in lines if line in side)


SOURCE, SINK = "source", "sink"


class Flow:
    """A network between `SOURCE` and `SINK`, and its maximum flow, by Dinic's algorithm.

    Nodes are whatever can be hashed. Edges come in pairs: edge `e` and, for what flows back,
    `e ^ 1`.
    """

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {SOURCE: 0, SINK: 1}
        self._out: list[list[int]] = [[], []]
        self._to: list[int] = []
        self._room: list[int] = []
        self._unlimited: list[int] = []

    def edge(self, start: object, end: object, capacity: int | None) -> None:
        """Adds an edge; None stands for as much as there is."""
        a, b = self._number(start), self._number(end)
        if capacity is None:
            self._unlimited.append(len(self._to))
        self._out[a].append(len(self._to))
        self._out[b].append(len(self._to) + 1)
        self._to += (b, a)
        self._room += (capacity or 0, 0)

    def cut(self) -> set[object]:
        """The nodes on the source's side of a minimum cut: of all such, the fewest."""
        most = sum(self._room) + 1
        for e in self._unlimited:
            self._room[e] = most
        while (levels := self._levels())[1] >= 0:
            self._fill(levels)
        return {node for node, i in self._numbers.items() if levels[i] >= 0}

    def _number(self, node: object) -> int:
        found = self._numbers.get(node)
        if found is None:
            found = self._numbers[node] = len(self._out)
            self._out.append([])
        return found

    def _levels(self) -> list[int]:
        """How far each node is from the source, over edges with room; -1 if it can't be reached."""
        levels = [-1] * len(self._out)
        levels[0], todo = 0, [0]
        for node in todo:
            for e in self._out[node]:
                end = self._to[e]
                if levels[end] < 0 and self._room[e]:
                    levels[end] = levels[node] + 1
                    todo.append(end)
        return levels

    def _fill(self, levels: list[int]) -> None:
        """Sends all that fits over edges that lead one level on."""
        to, room, tried = self._to, self._room, [0] * len(levels)
        path: list[int] = []
        node = 0
        while True:
            out, at = self._out[node], tried[node]
            while at < len(out) and not (room[out[at]] and levels[to[out[at]]] == levels[node] + 1):
                at += 1
            tried[node] = at
            if at < len(out):
                path.append(out[at])
                node = to[out[at]]
                if node == 1:
                    node = self._send(path)
            elif path:
                node = to[path.pop() ^ 1]
                tried[node] += 1
            else:
                return

    def _send(self, path: list[int]) -> int:
        """Fills a path as far as there is room; cuts it, and returns the node, where it is full."""
        room = self._room
        amount = min(room[e] for e in path)
        for e in path:
            room[e] -= amount
            room[e ^ 1] += amount
        full = next(i for i, e in enumerate(path) if not room[e])
        node = self._to[path[full] ^ 1]
        del path[full:]
        return node
