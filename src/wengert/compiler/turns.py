"""Turns: which stretches of lines are turns of a loop, and where a turn's operands come from.

A stretch with a period (`periods`) is looked at as a table, a row for each turn and a column for
each operand (slot) of a turn's lines. Where a column moves steadily from row to row, it is known
what it is; rows in which a column does not are cut off, from the first or the last turn on.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from .periods import Run, runs
from .traced import Traced

TURNS = 8
"""The fewest turns that are rolled."""
LEAST = 2000
"""The least that all turns but one must weigh: about how many scalar statements they come to."""
_REACH = 4
"""From how many turns before a carried value may be."""
_MOST_PIECES = 8


class Same(NamedTuple):
    """An operand that is the same in all turns."""


class Made(NamedTuple):
    """A result of the loop: its number in the turn, and how many turns before."""

    result: int
    lag: int


class Part(NamedTuple):
    """A region of one value, whose offset moves."""

    offset: int
    step: int


class Kept(NamedTuple):
    """A result of a loop above: which loop and result; of which turn in the first turn, and how
    far that moves; and where in it the region begins."""

    loop: int
    result: int
    turn: int
    turns: int
    offset: int
    step: int


class Numbers(NamedTuple):
    """A constant, another in each turn."""


Source = Same | Made | Part | Kept | Numbers


@dataclasses.dataclass(eq=False, slots=True)
class Loop:
    """Turns to be rolled.

    Attributes:
        start: the first line of the first turn.
        period: how many lines a turn has.
        count: how many turns there are.
        first: the number of the first result of the first turn.
        results: how many results a turn has.
        slots: by operand of a turn's lines, where it comes from.
        stacked: the results of which all turns' are needed below.
        last: those of which the last turn's is.
    """

    start: int
    period: int
    count: int
    first: int
    results: int
    slots: list[Source]
    stacked: set[int] = dataclasses.field(default_factory=set)
    last: set[int] = dataclasses.field(default_factory=set)

    @property
    def stop(self) -> int:
        return self.start + self.period * self.count

    def turn(self, number: int) -> tuple[int, int]:
        """The turn that a value is made in, and which of its results it is."""
        return divmod(number - self.first, self.results)

    def need(self, numbers: np.ndarray) -> None:
        """Notes that these values of the loop's are needed below."""
        turns, results = np.divmod(numbers - self.first, self.results)
        last = turns == self.count - 1
        self.last.update(np.unique(results[last]).tolist())
        self.stacked.update(np.unique(results[~last]).tolist())


class Turns:
    """The loops in a block.

    Attributes:
        loops: in order.
        owners: by number of a result, the loop that makes it; -1 for others.
        within: by line, likewise.
    """

    def __init__(self, traced: Traced) -> None:
        self.traced = traced
        self.loops: list[Loop] = []
        self.owners = np.full(len(traced.values) + 1, -1, np.int64)  # one more, for number -1
        self.within = np.full(len(traced.lines), -1, np.int64)
        for run in runs(traced.signs, traced.weights, TURNS, LEAST):
            self._pieces(run)
        self._needs()

    def owner(self, numbers: np.ndarray) -> np.ndarray:
        """The loops that values are made in; -1 for none."""
        return self.owners[np.maximum(numbers, -1)]

    def _pieces(self, run: Run) -> None:
        """Rolls a stretch, or as many parts of it as can be."""
        todo = [_turned(self.traced, run)]
        for _ in range(_MOST_PIECES):
            if not todo:
                return
            run = todo.pop()
            found = self._worth(run) and _Table(self, run).found()
            if not found:
                continue
            start, count, slots = found
            before = Run(run.start, start, run.period)
            if self._worth(before):
                todo += [run._replace(start=start), before]  # loops above are known first
                continue
            loop = self._loop(start, run.period, count, slots)
            todo.append(run._replace(start=loop.stop))

    def _worth(self, run: Run) -> bool:
        return run.count >= TURNS and int(
            self.traced.weights[run.start + run.period:run.stop].sum()) >= LEAST

    def _loop(self, start: int, period: int, count: int, slots: list[Source]) -> Loop:
        firsts = self.traced.firsts
        first, stop = int(firsts[start]), start + period * count
        loop = Loop(start, period, count, first, int(firsts[start + period]) - first, slots)
        self.owners[first:firsts[stop]] = self.within[start:stop] = len(self.loops)
        self.loops.append(loop)
        return loop

    # --- what is needed of loops ----------------------------------------------------------------

    def _needs(self) -> None:
        """Notes what lines outside of loops need of them, and loops of one another."""
        slots = self.traced.slots
        outside = np.repeat(self.within < 0, np.diff(slots))
        self.need(self.traced.roots[:len(outside)][outside])
        for loop in self.loops:
            first = slots[loop.start]
            table = self.traced.roots[first:slots[loop.stop]].reshape(loop.count, -1)
            for column, source in zip(table.T, loop.slots, strict=True):
                if isinstance(source, Kept):
                    self.loops[source.loop].stacked.add(source.result)
                elif isinstance(source, Same | Part):
                    self.need(column[:1])
                elif isinstance(source, Made):
                    self.need(column[:source.lag])

    def need(self, numbers: np.ndarray) -> None:
        """Notes that values are needed outside of the loops that make them."""
        owners = self.owner(numbers)
        for i, loop in enumerate(self.loops):
            if (found := numbers[owners == i]).size:
                loop.need(found)


def _turned(traced: Traced, run: Run) -> Run:
    """A stretch from where as little as possible is carried from turn to turn."""
    period, middle = run.period, run.start + run.period * (run.count // 2 - 1)
    low, high = traced.firsts[middle], traced.firsts[middle + period]
    far: dict[int, int] = {}
    for line in range(middle, middle + 3 * period):
        for number in traced.roots[traced.slots[line]:traced.slots[line + 1]].tolist():
            if low <= number < high:
                far[number] = line
    crossed = np.zeros(period, np.int64)
    for number, use in far.items():
        made = int(np.searchsorted(traced.firsts, number, "right")) - 1
        size = traced.values[number].aval.numel
        for line in range(made + 1, use + 1):
            crossed[(line - middle) % period] += size
    return run._replace(start=run.start + int(np.argmin(crossed)))


class _Table:
    """A stretch as a table; see the text of the module.

    Attributes:
        roots, offsets: by turn and slot.
        slope, step: by slot, how far they move from turn to turn, as they do in the middle.
        lag: by slot, from how many turns before it is; only where `made`.
        made, numbers: by slot, whether it is `Made`, or a constant.
    """

    def __init__(self, turns: Turns, run: Run) -> None:
        self.turns, self.run, traced = turns, run, turns.traced
        self.traced = traced
        count, start = run.count, traced.slots[run.start]
        width = traced.slots[run.start + run.period] - start
        self.roots, self.offsets = (
            each[start:start + width * count].reshape(count, width)
            for each in (traced.roots, traced.offsets))
        self.base = traced.firsts[run.start]
        self.results = traced.firsts[run.start + run.period] - self.base
        self.middle = middle = (count - 1) // 2
        self.slope, self.step = (each[middle + 1] - each[middle]
                                 for each in (self.roots, self.offsets))
        place = self.roots[middle] - self.base - self.results * middle
        self.lag = np.maximum(-(place // self.results), 0)
        self.made = (self.slope == self.results) & (self.roots[middle] >= 0) & (
            self.lag <= _REACH)
        self.lag[~self.made] = 0
        self.result = place + self.lag * self.results
        self.constant = traced.constants(self.roots.reshape(-1)).reshape(self.roots.shape)
        self.numbers = self.constant[middle]

    def found(self) -> tuple[int, int, list[Source]] | None:
        """The first line, how many turns, and where slots come from; None if there is no loop."""
        if not len(self.slope) or (self.made & (self.step != 0)).any():
            return None
        span = self._steady()
        if span is None:
            return None
        start, stop = span
        if stop - start < TURNS or not self._begins(start):
            return None
        sources = [self._source(slot, start, stop) for slot in range(len(self.slope))]
        return self.run.start + self.run.period * start, stop - start, sources

    # --- which turns ----------------------------------------------------------------------------

    def _steady(self) -> tuple[int, int] | None:
        """The turns around the middle in which all slots move as they do there."""
        moved = np.diff(self.offsets, axis=0) == self.step
        same = np.diff(self.roots, axis=0) == self.slope
        both = self.constant[:-1] & self.constant[1:]
        same[:, self.numbers] = both[:, self.numbers]
        low, high = self._around(same & moved)
        start = max((low - self.lag).max(initial=0), self._around(moved)[0].max(initial=0))
        stop = int(high.min()) + 1
        still = (self.slope == 0) & ~self.numbers  # made before the first turn
        made = (self.roots[self.middle][still] - self.base) // self.results
        start = int(max(start, made.max(initial=-1) + 1))
        for slot in np.flatnonzero((self.slope != 0) & ~self.made & ~self.numbers):
            owners = self.turns.owner(self.roots[:, slot])
            loop = int(owners[self.middle])
            if loop < 0 or self.slope[slot] % self.turns.loops[loop].results:
                return None
            own = (owners == loop)[:, None]
            low, high = self._around(own[:-1] & own[1:])
            start, stop = max(start, int(low[0])), min(stop, int(high[0]) + 1)
        return (start, stop) if start <= self.middle < stop else None

    def _around(self, steady: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """By column, the first and last turn of those around the middle whose steps are steady."""
        middle = self.middle
        below, above = ~steady[:middle][::-1], ~steady[middle:]
        low = np.where(below.any(0), middle - below.argmax(0), 0) if len(below) else (
            np.zeros(steady.shape[1], np.int64))
        high = np.where(above.any(0), middle + above.argmax(0), len(steady))
        return low, high

    def _begins(self, start: int) -> bool:
        """Whether what is carried into the first turns is there before them."""
        made = self.base + self.results * start
        return all((self.roots[start:start + lag, slot] < made).all()
                   for slot, lag in enumerate(self.lag.tolist()) if lag)

    # --- where slots come from ------------------------------------------------------------------

    def _source(self, slot: int, start: int, stop: int) -> Source:
        number, offset = int(self.roots[start, slot]), int(self.offsets[start, slot])
        if self.numbers[slot]:
            alike = (self.roots[start:stop, slot] == number).all()
            return Same() if alike else Numbers()
        if self.made[slot]:
            return Made(int(self.result[slot]), int(self.lag[slot]))
        step, slope = int(self.step[slot]), int(self.slope[slot])
        if slope == 0:
            return Part(offset, step) if step else Same()
        owner = int(self.turns.owner(self.roots[start:start + 1, slot])[0])
        loop = self.turns.loops[owner]
        turn, result = loop.turn(number)
        return Kept(owner, result, turn, slope // loop.results, offset, step)
