"""Traces: the runs of a function, merged into one program that forks where they parted.

Two runs are alike up to a look at which they saw different things. A new run is laid beside those
before it, line by line; where it saw what none of them saw, a branch begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...core.aval import Aval
from ...core.provenance import Line as Place
from ..ir.program import Block, Constant, Line, Look, Program, Return, Value
from ..ir.uniform import zeros
from .record import Recorder, Seen, Source


class DifferentError(Exception):
    """A run did something else than one before it that had seen the same."""


class Fork:
    """Lines, and what came after them.

    Attributes:
        lines: up to the next look, or to the end.
        value: what was looked at; None at an end.
        place: the user's line that looked.
        cases: how it went on, by what was seen.
        ending: the number of the end.
    """

    __slots__ = ("cases", "ending", "lines", "place", "value")

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.value: Value | None = None
        self.place: Place | None = None
        self.cases: dict[Any, Fork] = {}
        self.ending: int | None = None


class Traces:
    """The runs of a function for arguments of one kind.

    Attributes:
        sources: the inputs of the program.
        root: where all runs begin.
        endings: per end, the values that leave the program there.
        slots: the shapes and dtypes of the program's outputs, which all ends share.
        placed: per end, the output that each of its values goes to.
    """

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.root = Fork()
        self.endings: list[list[Value]] = []
        self.slots: list[Aval] = []
        self.placed: list[list[int]] = []
        self._started = False

    def add(self, run: Recorder, outputs: Sequence[Value]) -> tuple[int, dict[Value, Value]]:
        """Adds a run; returns the number of its end, and what its values are called here.

        Args:
            run: what was recorded.
            outputs: the values that leave the program.

        Raises:
            DifferentError: if it can't be a run of the same function.
        """
        merge = _Merge(self, run)
        fork = merge.walk(run.notes, new=not self._started)
        self._started = True
        if fork.ending is not None:
            return fork.ending, merge.names
        values = [merge.known(v) for v in outputs]
        fork.ending = len(self.endings)
        self.endings.append(values)
        self.placed.append(self._place([v.aval for v in values]))
        return fork.ending, merge.names

    def _place(self, avals: Sequence[Aval]) -> list[int]:
        """An output for each value, of its shape and dtype; new ones if there are too few."""
        free = list(range(len(self.slots)))
        places = []
        for aval in avals:
            slot = next((i for i in free if self.slots[i] is aval), None)
            if slot is None:
                slot = len(self.slots)
                self.slots.append(aval)
            else:
                free.remove(slot)
            places.append(slot)
        return places

    def program(self) -> Program:
        """All runs as one program; ends are numbered as in `endings`, depth first."""
        return Program(tuple(s.value for s in self.sources), self._block(self.root))

    def order(self) -> list[int]:
        """The ends in the order in which the program has them."""
        return [f.ending for f in self.forks() if f.ending is not None]

    def forks(self) -> Iterator[Fork]:
        """All forks, depth first."""
        todo = [self.root]
        while todo:
            fork = todo.pop()
            yield fork
            todo.extend(reversed(fork.cases.values()))

    def _block(self, fork: Fork) -> Block:
        blocks: dict[int, Block] = {}
        for each in reversed(list(self.forks())):
            if each.ending is not None:
                end: Any = Return(self._returned(each.ending))
            else:
                assert each.value is not None
                end = Look(each.value, {a: blocks[id(f)] for a, f in each.cases.items()})
            blocks[id(each)] = Block(tuple(each.lines), end)
        return blocks[id(fork)]

    def _returned(self, ending: int) -> tuple[Value, ...]:
        found: list[Value | None] = [None] * len(self.slots)
        for slot, value in zip(self.placed[ending], self.endings[ending], strict=True):
            found[slot] = value
        return tuple(zeros(aval) if v is None else v
                     for v, aval in zip(found, self.slots, strict=True))


class _Merge:
    """Lays a run beside those before it."""

    def __init__(self, traces: Traces, run: Recorder) -> None:
        self.traces = traces
        self.names: dict[Value, Value] = {}
        known = {_identity(s): s for s in traces.sources}
        for source in run.sources:
            old = known.get(_identity(source))
            if old is None:
                traces.sources.append(source)
            else:
                self.names[source.value] = old.value

    def known(self, value: Value) -> Value:
        return self.names.get(value, value)

    def walk(self, notes: Sequence[Line | Seen], *, new: bool) -> Fork:
        """The fork at which the run ends."""
        fork, at = self.traces.root, 0
        for note in notes:
            if isinstance(note, Line):
                if new:
                    fork.lines.append(note.on(self.names) if self.names else note)
                elif at < len(fork.lines):
                    self._same(fork.lines[at], note)
                    at += 1
                else:
                    raise DifferentError("it did more than before")
                continue
            value = self.known(note.value)
            if new:
                fork.value, fork.place = value, note.place
            elif at < len(fork.lines) or fork.value is not value:
                raise DifferentError(f"it looked at something else at {note.place}")
            found = fork.cases.get(note.answer)
            new = found is None
            if found is None:
                found = fork.cases[note.answer] = Fork()
            fork, at = found, 0
        if not new and (at < len(fork.lines) or fork.value is not None):
            raise DifferentError("it did less than before")
        return fork

    def _same(self, old: Line, line: Line) -> None:
        """Notes that a line is one that ran before.

        Raises:
            DifferentError: if it is another.
        """
        if old.primitive is not line.primitive or len(old.operands) != len(line.operands):
            raise DifferentError(f"it applied {line.primitive.name}, and {old.primitive.name} "
                                 "before")
        if not _alike(old.params, line.params) or not all(
                self._same_value(a, b) for a, b in zip(old.operands, line.operands, strict=True)):
            raise DifferentError(f"it applied {line.primitive.name} to other things than before")
        self.names.update(zip(line.results, old.results, strict=True))

    def _same_value(self, old: Value, value: Value) -> bool:
        if isinstance(value, Constant):
            if isinstance(old, Constant) and old.aval is value.aval:
                self.names[value] = old
                return old.array.tobytes() == value.array.tobytes()
            return False
        return self.known(value) is old


def _identity(source: Source) -> Any:
    """What makes two sources the same input."""
    if source.argument is not None:
        return source.argument
    if source.owner is not None:
        return _identity(source.owner), "grad"
    return id(source.handle) if source.place is None else ("place", source.place)


def _alike(a: Any, b: Any) -> bool:
    """Whether parameters are equal; what is called for random numbers is taken to be."""
    return a.keys() == b.keys() and all(
        key == "call" or a[key] == b[key] for key in a)
