"""Rolling: what a Python loop has left behind as thousands of lines becomes a loop again.

A stretch of lines that repeats itself (`periods`) is rolled if every operand of a line is, in all
turns, one of these:

    the same value
    a result of the same turn, or of one a few turns before     (a carried value)
    a part of one array, its place moving steadily              (x[t], each of `unbind(x)`)
    a constant, another in each turn                            (they become an array)
    a result of a turn of a loop above, turns being gone through steadily, perhaps backwards
                                                                (that loop keeps all of them)

That is found out by number (`traced`): a slot's root and offset must move by the same amount from
turn to turn. First and last turns that differ stay lines; nothing is rolled that isn't the same.

    h1 = tanh(x[0] + h0)
    h2 = tanh(x[1] + h1)        h, hs = repeated(h0, x; 3 turns, h carried, along x, h stacked)
    h3 = tanh(x[2] + h2)            h = tanh(x + h)

What lines below need of a loop, they read from the last turn or from what is stacked. Lines that
are the same in all turns go above the loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.aval import Aval
from ...core.primitive import TABLE, Primitive
from ...primitives.layout import reshape
from ..ir.program import Block, Line, Program, Value, append
from ..ir.regions import Region, dense
from ..ir.uniform import zeros
from ..ir.views import Regions, put_strided
from ..ir.walk import downward, ends, within_params
from .bodies import Body
from .repeated import loop, parts, repeated
from .traced import Traced
from .turns import Rolled, Turns, Writes

_GATHERED = 4
"""So many operands of a `stack` or `cat` in a row are read as one region."""


def roll(program: Program) -> Program:
    """The program with loops for stretches of lines that repeat themselves."""
    values: dict[Value, Value] = {}
    later = _later(program)

    def lines(block: Block) -> Sequence[Line]:
        own = [line.on(values) for line in block.lines] if values else block.lines
        traced = Traced(own)
        needed = [v for v in later[id(block)] if v in traced.slot]
        turns = Turns(traced, np.array([traced.number(v) for v in needed], np.int64))
        rolled = Roller(turns, needed, values).written() if turns.loops else own
        return [line if line.primitive is repeated else within_params(line, roll)
                for line in rolled]

    return downward(program, lines, values)


def _later(program: Program) -> dict[int, dict[Value, None]]:
    """By block, the values that its end uses, or blocks after it."""
    found: dict[int, dict[Value, None]] = {}
    for block in reversed(list(program.body.blocks())):
        after = dict.fromkeys(ends(block))
        for case in getattr(block.end, "cases", {}).values():
            after.update(found[id(case)])
            after.update((v, None) for line in case.lines for v in line.operands)
        found[id(block)] = after
    return found


class Roller:
    """Writes the lines of a block anew.

    Attributes:
        lines: the new ones.
        regions: of values, in them.
        values: what is called otherwise in them.
    """

    def __init__(self, turns: Turns, needed: Sequence[Value], values: dict[Value, Value]) -> None:
        self.turns, self.traced = turns, turns.traced
        self.needed, self.values = needed, values
        self.lines: list[Line] = []
        self.stacks: dict[tuple[Rolled, int], Value] = {}
        self.finals: dict[tuple[Rolled, int], Value] = {}
        self.regions = Regions(self.lines)

    def written(self) -> list[Line]:
        """The new lines."""
        lines, within = self.traced.lines, self.turns.within
        at = 0
        while at < len(lines):
            if within[at] >= 0:
                found = self.turns.loops[within[at]]
                self._loop(found)
                at = found.stop
            else:
                self._line(lines[at])
                at += 1
        for value in self.needed:
            new = self.value(value)
            if new is not value:
                self.values[value] = new
        return self.lines

    # --- values -------------------------------------------------------------------------------

    def value(self, value: Value) -> Value:
        """What a value is in the new lines; it is read from where it is, if need be."""
        root, region = self.traced.place(value)
        root = self.root(root)
        return root if region is None else self.regions.of(root, region)

    def root(self, root: Value) -> Value:
        """The same for one that is no view."""
        number = self.traced.number(root)
        owner = int(self.turns.owners[number]) if number >= 0 else -1
        if owner < 0:
            return root
        found = self.turns.loops[owner]
        turn, result = found.turn(number)
        if turn == found.count - 1 and (found, result) in self.finals:
            return self.finals[found, result]
        aval = root.aval
        whole = dense(tuple(aval.shape))
        return self.regions.of(self.stacks[found, result],
                               whole._replace(offset=turn * aval.numel))

    def add(self, primitive: Primitive, operands: Sequence[Value], params: Any,
            aval: Aval) -> Value:
        """The result of a new line."""
        return append(self.lines, primitive, operands, params, aval)

    # --- lines --------------------------------------------------------------------------------

    def _line(self, line: Line) -> None:
        operands = line.operands
        if len(operands) >= _GATHERED and line.primitive.name in ("stack", "cat"):
            self._gathered(line)
            return
        operands = tuple(map(self.value, operands))
        if operands != line.operands:
            line = Line(line.primitive, operands, line.params, line.results)
        self.lines.append(line)

    def _loop(self, found: Rolled) -> None:
        body = Body(self, found)
        line = loop(roll(body.program()), found.count, body.operands, carried=len(body.carried),
                    windows=body.windows, stacked=len(body.stacked) + len(body.pieces))
        self.lines.append(line)
        made = parts(line.operands, line.results, line.params)
        self.stacks.update(zip(((found, r) for r in body.stacked), made.stacked, strict=False))
        self.finals.update(zip(((found, r) for r in body.last), made.last, strict=True))
        self.finals.update(((found, r), made.following[i]) for r, i in body.finals.items())

        for (piece, _), stack in zip(body.pieces, made.stacked[len(body.stacked):], strict=True):
            self.finals[found, piece.result] = self._together(piece, body.before(piece), stack)

    def _together(self, piece: Writes, first: Value, stack: Value) -> Value:
        """All turns' pieces put where they belong."""
        aval, region = first.aval, _row(piece.region, 0, stack.aval.shape[0], piece.step)
        params = {"strides": region.strides, "offset": region.offset}
        if len(piece.lines) == 1:
            return self.add(put_strided, (first, stack), params, aval)
        total = self.add(put_strided, (zeros(aval), stack), params, aval)
        return self.add(TABLE["add"], (first, total), {}, aval)

    def _gathered(self, line: Line) -> None:
        """A `stack` or `cat`, of operands that follow one another as regions of one value."""
        dim, flat = line.params["dim"], line.primitive.name == "cat"
        pieces = []
        for spot, values in self._rows(line.operands):
            if len(values) < _GATHERED:
                each = [self.value(v) for v in values]
                pieces += each if flat else [self.regions.of(x, _row(
                    dense(tuple(x.aval.shape)), dim, 1, 0)) for x in each]
                continue
            row = _row(spot.region, dim, len(values), spot.step)
            piece = self.regions.of(spot.root, row)
            shape = [*spot.region.shape]
            if flat:
                shape[dim] *= len(values)
                piece = self.add(reshape, (piece,), {"shape": tuple(shape)},
                                 piece.aval.with_shape(shape))
            pieces.append(piece)
        self.lines.append(Line(TABLE["cat"], pieces, {"dim": dim}, line.results))

    def _rows(self, operands: Sequence[Value]) -> Iterator[tuple[_Spot, list[Value]]]:
        """Operands by rows: regions of one value, each as far from the one before as that is from
        the one before it."""
        row: list[Value] = []
        begin = last = None
        for value in operands:
            spot = self._spot(value)
            if begin is not None and last is not None and spot.alike(begin):
                step = spot.region.offset - last.region.offset
                if len(row) == 1 or step == begin.step:
                    begin, last = begin._replace(step=step), spot
                    row.append(value)
                    continue
            if begin is not None:
                yield begin, row
            begin, last, row = spot, spot, [value]
        if begin is not None:
            yield begin, row

    def _spot(self, value: Value) -> _Spot:
        root, region = self.traced.place(value)
        region = region or dense(tuple(root.aval.shape))
        number = self.traced.number(root)
        owner = int(self.turns.owners[number]) if number >= 0 else -1
        if owner >= 0:
            found = self.turns.loops[owner]
            turn, result = found.turn(number)
            stack = self.stacks.get((found, result))
            if stack is not None:
                offset = region.offset + turn * root.aval.numel
                return _Spot(stack, region._replace(offset=offset), 0)
        return _Spot(self.root(root), region, 0)


class _Spot(NamedTuple):
    """Where a value is, and how far from there to the next of a row."""

    root: Value
    region: Region
    step: int

    def alike(self, other: _Spot) -> bool:
        """Whether two are regions of one value that differ in their offsets alone."""
        return self.root is other.root and self.region[:2] == other.region[:2]


def _row(region: Region, dim: int, count: int, step: int) -> Region:
    """Regions in a row as one, with a dimension for them."""
    return Region((*region.shape[:dim], count, *region.shape[dim:]),
                  (*region.strides[:dim], step, *region.strides[dim:]), region.offset)
