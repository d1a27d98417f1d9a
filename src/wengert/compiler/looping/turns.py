"""Turns: which stretches of lines are turns of a loop, and where a turn's operands come from.

A stretch with a period (`periods`) is looked at as a table, a row for each turn and a column for
each operand (slot) of a turn's lines. Where a column moves steadily from row to row, it is known
what it is; rows in which a column does not are cut off, from the first or the last turn on.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from ..ir.regions import Region, distinct
from .periods import Run, runs
from .traced import Traced

TURNS = 8
"""The fewest turns that are rolled."""
LEAST = 2000
"""The least that all turns but one must weigh: about how many scalar statements they come to."""
LARGE = 1 << 24
"""Results of which all turns' take more bytes are kept only if many of them are needed."""
_REACH = 4
"""From how many turns before a carried value may be."""
_MOST_PIECES = 8
_MULTIPLES = 4
"""A turn may be up to so many less one periods: lines may be alike, and their operands not."""


class Same(NamedTuple):
    """An operand that is the same in all turns."""


class Made(NamedTuple):
    """A result of the loop: its number in the turn, and how many turns before."""

    result: int
    lag: int


class Moving(NamedTuple):
    """A region of one value, which moves from turn to turn."""

    offset: int
    step: int


class Above(NamedTuple):
    """A result of a loop above: which loop and result; of which turn in the first turn, and how
    far that moves; and where in it the region begins."""

    loop: int
    result: int
    turn: int
    turns: int
    offset: int
    step: int


class Varying(NamedTuple):
    """A constant, another in each turn."""


class Writes(NamedTuple):
    """What all turns write to a value, each to another part of it, or add there to nothing.

    Attributes:
        lines: those of a turn that do so; the first one writes.
        operand: the place of what is written among its operands.
        first: the slot of the value before the first turn.
        result: of the last line.
        region: the part that the first turn writes to.
        step: how far that moves from turn to turn.
    """

    lines: tuple[int, ...]
    operand: int
    first: int
    result: int
    region: Region
    step: int


Origin = Same | Made | Moving | Above | Varying


@dataclasses.dataclass(eq=False, slots=True)
class Rolled:
    """Turns to be rolled.

    Attributes:
        start: the first line of the first turn.
        period: how many lines a turn has.
        count: how many turns there are.
        first: the number of the first result of the first turn.
        results: how many results a turn has.
        slots: by operand of a turn's lines, where it comes from.
        pieces: what is put together after the loop.
        stacked: the results of which all turns' are needed below.
        last: those of which the last turn's is.
    """

    start: int
    period: int
    count: int
    first: int
    results: int
    slots: list[Origin]
    pieces: list[Writes]
    stacked: set[int] = dataclasses.field(default_factory=set)
    last: set[int] = dataclasses.field(default_factory=set)

    @property
    def stop(self) -> int:
        """The number of the first line behind it."""
        return self.start + self.period * self.count

    def turn(self, number: int) -> tuple[int, int]:
        """The turn that a value is made in, and which of its results it is."""
        return divmod(number - self.first, self.results)

    def need(self, numbers: np.ndarray) -> None:
        """Notes that these values of the loop's are needed below."""
        turns, results = np.divmod(numbers - self.first, self.results)
        last = turns == self.count - 1
        self.last.update(results[last].tolist())
        self.stacked.update(results[~last].tolist())


class Turns:
    """The loops in a block.

    Args:
        traced: its lines.
        needed: the numbers of values that are needed after them.

    Attributes:
        loops: in order.
        owners: by number of a result, the loop that makes it; -1 for others.
        within: by line, likewise.
    """

    def __init__(self, traced: Traced, needed: np.ndarray) -> None:
        self.traced, self.needed = traced, needed
        self.loops: list[Rolled] = []
        self.owners = np.full(len(traced.values) + 1, -1, np.int64)  # one more, for number -1
        self.within = np.full(len(traced.lines), -1, np.int64)
        self._search(0, len(traced.lines), 1 << 62)
        self._needs()
        self.need(needed)

    def owner(self, numbers: np.ndarray) -> np.ndarray:
        """The loops that values are made in; -1 for none."""
        return self.owners[np.maximum(numbers, -1)]

    def _search(self, start: int, stop: int, longest: int) -> None:
        """Rolls what there is to roll among lines, with periods no longer than that."""
        for run in runs(self.traced.signs[start:stop], self.traced.weights[start:stop], TURNS,
                        LEAST, longest):
            run = run._replace(start=start + run.start, stop=start + run.stop)
            if not any(self._rolled(run._replace(period=run.period * times))
                       for times in range(1, _MULTIPLES)) and run.period > 1:
                self._search(run.start, run.stop, run.period - 1)

    def _rolled(self, run: Run) -> bool:
        """Rolls a stretch, or as many parts of it as can be; whether there are any."""
        before = len(self.loops)
        todo = [run]
        for _ in range(_MOST_PIECES):
            if not todo:
                break
            run = todo.pop()
            if not self._worth(run):
                continue
            run = _turned(self.traced, run)
            found = _Table(self, run).found()
            if not found:
                continue
            start, count, slots, pieces = found
            if self._worth(first := Run(run.start, start, run.period)) and first.stop < run.stop:
                todo += [run._replace(start=start), first]  # loops above are known first
                continue
            alone = self._alone(start, run.period, count)
            if alone is not None:  # the last turn's result need not be kept with the others
                end = start + run.period * (alone + 1)
                todo += [run._replace(start=end), Run(start, end, run.period)]
                continue
            loop = self._loop(start, run.period, count, slots, pieces)
            todo.append(run._replace(start=loop.stop))
        return len(self.loops) > before

    def outside(self, start: int, stop: int) -> np.ndarray:
        """The values made by some lines that others use, or that are needed after all."""
        slots, firsts = self.traced.slots, self.traced.firsts
        roots = self.traced.roots
        used = np.concatenate((roots[:slots[start]], roots[slots[stop]:], self.needed))
        return used[(used >= firsts[start]) & (used < firsts[stop])]

    def _alone(self, start: int, period: int, count: int) -> int | None:
        """A turn of which a large result is needed below, though few other turns' are."""
        first = self.traced.firsts[start]
        results = self.traced.firsts[start + period] - first
        turns, which = np.divmod(self.outside(start, start + period * count) - first, results)
        early = turns < count - 1
        for result in sorted(set(which[early].tolist())):  # np.unique imports all of np.ma
            found = set(turns[(which == result) & early].tolist())
            aval = self.traced.values[first + result].aval
            if len(found) * 4 < count and count * aval.numel * aval.numpy.itemsize > LARGE:
                return min(found)
        return None

    def _worth(self, run: Run) -> bool:
        return run.turns >= TURNS and int(
            self.traced.weights[run.start + run.period:run.stop].sum()) >= LEAST

    def _loop(self, start: int, period: int, count: int, slots: list[Origin],
              pieces: list[Writes]) -> Rolled:
        firsts = self.traced.firsts
        first, stop = int(firsts[start]), start + period * count
        loop = Rolled(start, period, count, first, int(firsts[start + period]) - first, slots,
                    pieces)
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
                if isinstance(source, Above):
                    self.loops[source.loop].stacked.add(source.result)
                elif isinstance(source, Same | Moving):
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
    period, middle = run.period, run.start + run.period * (run.turns // 2 - 1)
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
        count, start = run.turns, traced.slots[run.start]
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

    def found(self) -> tuple[int, int, list[Origin], list[Writes]] | None:
        """The first line, how many turns, where slots come from, and what is put together; None
        if there is no loop."""
        if not len(self.slope) or (self.made & (self.step != 0)).any():
            return None
        span = self._steady()
        if span is None:
            return None
        start, stop = span
        if stop - start < TURNS or not self._begins(start):
            return None
        sources = [self._source(slot, start, stop) for slot in range(len(self.slope))]
        if any(isinstance(source, Varying) and step for source, step in zip(
                sources, self.step.tolist(), strict=True)):
            return None
        pieces = self._pieces(sources, start, stop)
        if pieces is None:
            return None
        return self.run.start + self.run.period * start, stop - start, sources, pieces

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

    def _source(self, slot: int, start: int, stop: int) -> Origin:
        number, offset = int(self.roots[start, slot]), int(self.offsets[start, slot])
        step, slope = int(self.step[slot]), int(self.slope[slot])
        if self.numbers[slot]:
            if not (self.roots[start:stop, slot] == number).all():
                return Varying()
            slope = 0
        if self.made[slot]:
            return Made(int(self.result[slot]), int(self.lag[slot]))
        if slope == 0:
            return Moving(offset, step) if step else Same()
        owner = int(self.turns.owner(self.roots[start:start + 1, slot])[0])
        loop = self.turns.loops[owner]
        turn, result = loop.turn(number)
        return Above(owner, result, turn, slope // loop.results, offset, step)

    # --- what is put together -------------------------------------------------------------------

    def _pieces(self, sources: list[Origin], start: int, stop: int) -> list[Writes] | None:
        """What turns write to moving parts; None if that can't wait until after the loop."""
        first = self.traced.slots[self.run.start]
        found = []
        for line in range(self.run.start, self.run.start + self.run.period):
            region = self.traced.placed.get(line)
            at = int(self.traced.slots[line + 1] - first) - 1
            source = sources[at]
            if region is None or not isinstance(source, Moving):
                continue
            whole = Region((stop - start, *region.shape), (source.step, *region.strides))
            uses = self._uses(sources, line)
            if len(uses) != 1 or not distinct(whole):
                return None
            piece = self._piece(sources, line, uses[0])
            if piece is None or self._seen(piece, start, stop):
                return None
            lines = tuple(line + self.run.period * start for line in piece.lines)
            found.append(piece._replace(lines=lines, step=source.step,
                                        region=region._replace(offset=source.offset)))
        return found

    def _result(self, line: int) -> int:
        """The result of a line of the first turn, in its turn."""
        return int(self.traced.firsts[line] - self.base)

    def _uses(self, sources: list[Origin], line: int) -> list[int]:
        """The slots that are a line's result."""
        result = self._result(line)
        return [slot for slot, source in enumerate(sources)
                if isinstance(source, Made) and source.result == result]

    def _line_of(self, slot: int) -> int:
        slots = self.traced.slots
        return int(np.searchsorted(slots, slots[self.run.start] + slot, "right")) - 1

    def _piece(self, sources: list[Origin], line: int, use: int) -> Writes | None:
        """A line that writes over what it wrote to the turn before; or whose result is added to
        what that was added to the turn before."""
        operands = self.traced.lines[line].operands
        nothing = Region((), ())
        if len(operands) == 2:
            return Writes((line,), 1, use, self._result(line), nothing, 0) if (
                self._line_of(use) == line and sources[use] == Made(self._result(line), 1)
                and self._plain(line)) else None
        adding = self._line_of(use)
        again = self._uses(sources, adding)
        if self.traced.lines[adding].primitive.name != "add" or len(again) != 1 or (
                self._line_of(again[0]) != adding or again[0] == use) or not (
                self._plain(adding) and isinstance(made := sources[again[0]], Made)
                and made.lag == 1):
            return None
        return Writes((line, adding), 0, again[0], self._result(adding), nothing, 0)

    def _plain(self, line: int) -> bool:
        """Whether a line's operands are no views, and a sum is of its operands' kind."""
        found = self.traced.lines[line]
        kinds = {v.aval for v in (*found.operands, found.result)}
        return self.traced.places.get(found.operands[0], (None, None))[1] is None and (
            len(kinds) == 1 or found.primitive.name != "add")

    def _seen(self, piece: Writes, start: int, stop: int) -> bool:
        """Whether anything outside of the loop needs what is there after some of the turns."""
        run = self.run
        outside = self.turns.outside(run.start + run.period * start, run.start + run.period * stop)
        turns, results = np.divmod(outside - self.base, self.results)
        last = (turns == stop - 1) & (results == piece.result)
        writes = [self._result(line) for line in piece.lines]
        return not set(writes).isdisjoint(results[~last].tolist())
