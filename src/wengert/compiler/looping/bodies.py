"""Bodies: the lines of a loop's first turn, as a program of what differs from turn to turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..ir.program import Constant, Line, Program, Value, straight
from ..ir.regions import Region, dense
from ..ir.views import Regions
from .repeated import Window
from .turns import Above, Made, Moving, Origin, Rolled, Same, Varying, Writes

if TYPE_CHECKING:
    from .rolling import Roller


class Handed(NamedTuple):
    """What a turn hands on: the body's input, what that is in the first turn, and what the body
    gives for the next: the number of a result, or another input."""

    given: Value
    first: Value
    following: int | Value


class Body:
    """A loop's body, and what it is given. Lines that are the same in all turns are written to
    where the loop will be.

    Args:
        roller: writes the lines around the loop.
        loop: where its lines are, and where a turn's operands come from.

    Attributes:
        carried: what turns hand on, by what it is: a result, from how many turns before, and what
            it is in the first turns.
        along: by array and window, the body's input.
        same: by value from outside, the body's input.
        lines: of the body.
        pieces: what turns write to parts of something, and what this one writes.
        following: what the body gives for the next turn, in the order of `carried`.
        finals: by result, its place among those; for results of the turn before alone.
        stacked: the results of which all turns' are kept.
        last: those of which the last turn's is, and that are not among `finals`.
        kept: what the body gives besides: what is stacked, then the pieces, then what is last.
    """

    def __init__(self, roller: Roller, loop: Rolled) -> None:
        self.roller, self.loop, self.traced = roller, loop, roller.traced
        self.carried: dict[tuple[int, int, tuple[Value, ...]], Handed] = {}
        self.along: dict[tuple[Value, Window], Value] = {}
        self.same: dict[Value, Value] = {}
        self.lines: list[Line] = []
        self._made: dict[int, Value] = {}
        self._outer: dict[int, Value] = {}
        self._regions = Regions(self.lines)
        self._slot, self._width = int(self.traced.slots[loop.start]), len(loop.slots)
        self.pieces: list[tuple[Writes, Value]] = []
        writes = {piece.lines[0]: piece for piece in loop.pieces}
        left = {line for piece in loop.pieces for line in piece.lines[1:]}
        for line in range(loop.start, loop.start + loop.period):
            if line in writes:
                self._piece(writes[line])
            elif line not in left:
                self._line(self.traced.lines[line])
            self._slot += int(np.diff(self.traced.slots[line:line + 2])[0])
        self.following = [self._following(carry) for carry in list(self.carried.values())]
        self.finals = {result: i for i, (result, lag, _) in enumerate(self.carried) if lag == 1}
        self.stacked = sorted(loop.stacked)
        self.last = sorted(loop.last - loop.stacked - set(self.finals) - {
            piece.result for piece in loop.pieces})
        self.kept = [*(self._result(result) for result in self.stacked),
                     *(value for _, value in self.pieces),
                     *(self._result(result) for result in self.last)]

    @property
    def operands(self) -> list[Value]:
        """What the loop is given."""
        return [*(carry.first for carry in self.carried.values()),
                *(array for array, _ in self.along), *self.same]

    @property
    def windows(self) -> list[Window]:
        """How the loop goes along what it goes along."""
        return [window for _, window in self.along]

    def program(self) -> Program:
        """The body: from what is carried, gone along and the same to `following` and `kept`."""
        inputs = [*(carry.given for carry in self.carried.values()), *self.along.values(),
                  *self.same.values()]
        return straight(inputs, self.lines, [*self.following, *self.kept])

    # --- lines --------------------------------------------------------------------------------

    def _line(self, line: Line) -> None:
        first = self._slot - int(self.traced.slots[self.loop.start])
        sources = self.loop.slots[first:first + len(line.operands)]
        outer = bool(sources) and all(map(self._is_outer, sources))
        lines, made = (self.roller.lines, self._outer) if outer else (self.lines, self._made)
        operands = [
            self._outside(value, source) if outer else self._operand(value, source, self._slot + i)
            for i, (value, source) in enumerate(zip(line.operands, sources, strict=True))]
        results = [Value(v.aval) for v in line.results]
        made.update((self.traced.number(old) - self.loop.first, new)
                    for old, new in zip(line.results, results, strict=True))
        lines.append(Line(line.primitive, operands, line.params, results))

    def _piece(self, piece: Writes) -> None:
        """Notes what this turn writes to a part of something."""
        first = self._slot - int(self.traced.slots[self.loop.start]) + piece.operand
        value = self.traced.lines[piece.lines[0]].operands[piece.operand]
        self.pieces.append((piece, self._operand(
            value, self.loop.slots[first], self._slot + piece.operand)))

    def before(self, piece: Writes) -> Value:
        """What turns write to, as it is before the first one."""
        first = int(self.traced.slots[self.loop.start]) + piece.first
        return self.roller.root(self._root(first, 0))

    def _result(self, result: int) -> Value:
        """A result of this turn."""
        if result in self._outer:
            return self._given(self._outer[result])
        return self._made[result]

    # --- what comes from outside ----------------------------------------------------------------

    def _is_outer(self, source: Origin) -> bool:
        """Whether an operand is the same in all turns."""
        return isinstance(source, Same) or (
            isinstance(source, Made) and not source.lag and source.result in self._outer)

    def _outside(self, value: Value, source: Origin) -> Value:
        """Such an operand, outside of the loop."""
        if not isinstance(source, Made):
            return self.roller.value(value)
        region = self.traced.place(value)[1]
        root = self._outer[source.result]
        return root if region is None else self.roller.regions.of(root, region)

    def _given(self, outer: Value) -> Value:
        """A value from outside, in the body."""
        if isinstance(outer, Constant):
            return outer
        return self.same.setdefault(outer, Value(outer.aval))

    # --- operands -----------------------------------------------------------------------------

    def _operand(self, value: Value, source: Origin, slot: int) -> Value:
        if self._is_outer(source):
            return self._given(self._outside(value, source))
        root, region = self.traced.place(value)
        if isinstance(source, Made):
            made = self._carried(source, slot) if source.lag else self._made[source.result]
            return made if region is None else self._regions.of(made, region)
        whole = region or dense(tuple(root.aval.shape))
        if isinstance(source, Varying):
            array = np.stack([self._constant(slot, turn) for turn in range(self.loop.count)])
            return self._part(Constant(array), whole, 0, root.aval.numel)
        if isinstance(source, Above):
            size, stack = root.aval.numel, (self.roller.turns.loops[source.loop], source.result)
            return self._part(self.roller.stacks[stack], whole,
                              source.turn * size + source.offset, source.turns * size + source.step)
        assert isinstance(source, Moving)
        return self._part(self.roller.root(root), whole, source.offset, source.step)

    def _part(self, array: Value, region: Region, start: int, step: int) -> Value:
        """A region of an array that moves: of the stretch that it lies in."""
        ways = [(n - 1) * s for n, s in zip(region.shape, region.strides, strict=True)]
        low, high = sum(min(w, 0) for w in ways), sum(max(w, 0) for w in ways)
        window = Window(start + low, step, high - low + 1) if region.size else Window(0, 0, 0)
        flat = self.along.setdefault((array, window),
                                     Value(array.aval.with_shape((window.size,))))
        return self._regions.of(flat, region._replace(offset=-low))

    def _root(self, slot: int, turn: int) -> Value:
        """The root of an operand in a turn."""
        return self.traced.value(int(self.traced.roots[slot + turn * self._width]))

    def _constant(self, slot: int, turn: int) -> np.ndarray:
        root = self._root(slot, turn)
        assert isinstance(root, Constant)
        return root.array

    # --- what is carried ----------------------------------------------------------------------

    def _carried(self, source: Made, slot: int) -> Value:
        """A result of a turn before: what is handed on so many times."""
        firsts = tuple(self.roller.root(self._root(slot, turn)) for turn in range(source.lag))
        following: int | Value = source.result
        for lag in range(1, source.lag + 1):
            key = source.result, lag, firsts[len(firsts) - lag:]
            carry = self.carried.get(key)
            if carry is None:
                first = key[2][0]
                carry = self.carried[key] = Handed(Value(first.aval), first, following)
            following = carry.given
        assert isinstance(following, Value)
        return following

    def _following(self, carry: Handed) -> Value:
        return self._result(carry.following) if isinstance(carry.following, int) else (
            carry.following)
