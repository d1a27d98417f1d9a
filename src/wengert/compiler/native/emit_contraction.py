"""Contractions by tiles (`tiling.py`) as native functions.

Loops over batches, columns and rows, of which the outermost are shared among threads; in each turn
a tile, whose sums LLVM keeps in registers. How high and wide a tile is, and how many columns are
left over, is part of the text; sizes and strides are read (`emit_numbers.py`), but for small loops
of the sums, which are written out. So products of one kind share code, whatever their sizes.

Rows that are left over have no code of their own: the last tile begins as many rows earlier, and
leaves alone what the tile before has done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from ..ir.nest import Contraction
from ..ir.regions import Region, distinct
from ..tiling import Cut, Loop, Tiling
from .emit_code import KINDS, Code
from .emit_elementary import Definitions
from .emit_memory import read
from .emit_numbers import Numbers

ENOUGH = 64
"""Into so many units, at least, the work of several threads is cut, if it can be."""

_NEAR = 4  # turns of the outermost sum that all tiles of dots have before the next ones
_DEEP = 256  # turns of a sum that a packed copy has, at most
_UNROLLED = 8  # turns of a sum up to which they are all written out


class ContractionFunction:
    """A contraction as text: a function for the pool, whose context holds a, b and out.

    Args:
        c: the contraction.
        t: how it is done.
        threads: whether its work is shared.

    Attributes:
        numbers: those that it reads.
        levels: the loops around a tile, from the outermost on.
        shared: how many of these are shared among threads.
        units: the pieces that its work can be cut into.
        panel: memory for a packed copy, if there is one.
    """

    def __init__(self, c: Contraction, t: Tiling, threads: bool) -> None:
        self.t, self.kind = t, KINDS[c.out.buffer.dtype]
        self.definitions = Definitions()
        self.code, self.numbers = Code(self.definitions), Numbers()
        self.vector = f"<{t.lanes} x {self.kind.text}>"
        self.accumulate = c.accumulate
        self.levels: list[Loop | Cut] = [*t.batch, *t.across, t.cols, *t.down, t.rows]
        self.shared = self._apart() if threads else 0
        self.units = math.prod(map(_count, self.levels[:self.shared]))
        self.counts = [self.numbers.size(_count(level)) for level in self.levels]
        self.ways = {loop: self._way(loop) for loop in (*map(_loop, self.levels), *t.sums)}
        self.panel = ""
        if t.form == "packed":
            self.panel = self.code.variable(self.kind.text, _DEEP * t.cols.step)
        self._run()

    def text(self, name: str) -> str:
        """The function's definition; `name` begins with @."""
        head = f"define void {name}(i64 %piece, i64 %pieces, ptr %context) nounwind {{"
        given = [line for i, name in enumerate(("%numbers", "%a", "%b", "%out"), 1)
                 for line in read(name, i)]
        code = self.code
        return "\n".join([head, "entry:", *code.top, *given, *self.numbers.prologue,
                          "br label %start", "start:", *code.lines, "ret void", "}", ""])

    def _way(self, loop: Loop) -> Way:
        """A loop as text knows it."""
        few = loop in self.t.sums and loop.size <= _UNROLLED
        size = str(loop.size) if few else self.numbers.size(loop.size)
        return Way(size, *(self.numbers.size(stride) for stride in loop[1:]))

    def _apart(self) -> int:
        """How many of the outer loops are shared among threads: their turns must be apart, and
        a packed copy is for all that lies within."""
        loops = list(map(_loop, self.levels))
        whole = distinct(Region(tuple(x.size for x in loops), tuple(x.out for x in loops)))
        count, units = 0, 1
        for i, level in enumerate(self.levels):
            inner = sum(abs(x.out) * (x.size - 1) for x in loops[i + 1:])
            if units >= ENOUGH or not (whole or (isinstance(level, Loop)
                                                 and abs(level.out) > inner)):
                break
            if self.t.form == "packed" and i and self.levels[i - 1] is self.t.cols:
                break
            count, units = count + 1, units * _count(level)
        return count

    # --- loops --------------------------------------------------------------------------------

    def _run(self) -> None:
        at = Pointers("%b", "%a", "%out") if self.t.turned else Pointers("%a", "%b", "%out")
        if self.t.form != "dots" or len(self.t.sums) == 1:
            self._units(at)
            return
        with self._blocks_of(self.t.sums[0], _NEAR) as (turn, first, depth):
            start = self._moved(at, self.ways[self.t.sums[0]], first)
            self._units(start._replace(depth=depth, more=self._is_later(turn)))

    def _units(self, at: Pointers) -> None:
        """All units of the work, or those of this piece."""
        if not self.shared:
            self._level(0, at, [])
            return
        let = self.code.let
        following, units = let("add i64 %piece, 1"), self.numbers.size(self.units)
        parts = [let(f"mul i64 {units}, {n}") for n in ("%piece", following)]
        first, stop = (let(f"udiv i64 {part}, %pieces") for part in parts)
        with self.code.loop(first, stop) as unit:
            self._level(0, at, self._unravel(unit))

    def _unravel(self, unit: str) -> list[str]:
        """The turns of the shared loops that a unit stands for."""
        found = []
        for count in reversed(self.counts[1:self.shared]):
            if count == "1":
                found.append("0")
                continue
            found.append(self.code.let(f"urem i64 {unit}, {count}"))
            unit = self.code.let(f"udiv i64 {unit}, {count}")
        return [unit, *reversed(found)]

    def _level(self, i: int, at: Pointers, turns: Sequence[str], width: int = 0) -> None:
        """The i-th level and all below it; the shared ones' turns are given."""
        if i == len(self.levels):
            self._tile(at, width)
        elif self.panel and i and self.levels[i - 1] is self.t.cols:
            self._packed(i, at, turns, width)
        else:
            self._turns(i, at, turns, width)

    def _turns(self, i: int, at: Pointers, turns: Sequence[str], width: int) -> None:
        level, way = self.levels[i], self.ways[_loop(self.levels[i])]
        if level is self.t.cols:
            for columns, turn in self._widths(i, turns):
                moved = self._moved(at, way, self._times(turn, str(self.t.cols.step)))
                self._level(i + 1, moved, turns, columns)
            return
        with Turns(self.code, self.counts[i], *turns[i:i + 1]) as turn:
            if level is self.t.rows:
                turn, at = self._row(turn, at)
            self._level(i + 1, self._moved(at, way, turn), turns, width)

    def _row(self, turn: str, at: Pointers) -> tuple[str, Pointers]:
        """The first row of the tile of a turn, and how many of its rows are done already."""
        if turn == "0":
            return turn, at
        let, way = self.code.let, self.ways[self.t.rows.loop]
        row = self._times(turn, str(self.t.rows.step))
        if self.t.rows.loop.size % self.t.rows.step == 0:
            return row, at
        last = let(f"sub i64 {way.size}, {self.t.rows.step}")
        first = let(f"call i64 @llvm.smin.i64(i64 {row}, i64 {last})")
        return first, at._replace(done=let(f"sub i64 {row}, {first}"))

    def _widths(self, i: int, turns: Sequence[str]) -> Iterator[tuple[int, str]]:
        """The whole pieces of the columns, and then the last one if it is smaller; or the one
        whose number is given."""
        cols = self.t.cols
        whole, rest = divmod(cols.loop.size, cols.step)
        before = self.numbers.size(whole)
        if i >= len(turns):
            if whole:
                with Turns(self.code, before) as turn:
                    yield cols.step, turn
            if rest:
                yield rest, before
            return
        code, turn = self.code, turns[i]
        if not (whole and rest):
            yield cols.step if whole else rest, turn
            return
        after, small = code.name(), code.let(f"icmp eq i64 {turn}, {before}")
        labels = code.name(), code.name()
        code.do(f"br i1 {small}, label {labels[1]}, label {labels[0]}")
        for size, label in zip((cols.step, rest), labels, strict=True):
            code.label(label)
            yield size, turn
            code.do(f"br label {after}")
        code.label(after)

    @contextmanager
    def _blocks_of(self, loop: Loop, step: int) -> Iterator[tuple[str, str, str]]:
        """A loop in blocks of some turns: the block's number, its first turn, how many it has."""
        size, let = self.ways[loop].size, self.code.let
        blocks = -(-loop.size // step)
        if blocks == 1:
            yield "0", "0", size
            return
        with Turns(self.code, self.numbers.size(blocks)) as turn:
            length = self.numbers.size(step)
            first = self._times(turn, length)
            left = let(f"sub i64 {size}, {first}")
            yield turn, first, let(f"call i64 @llvm.smin.i64(i64 {left}, i64 {length})")

    def _is_later(self, turn: str) -> str:
        return "" if turn == "0" else self.code.let(f"icmp ne i64 {turn}, 0")

    def _times(self, turn: str, step: str) -> str:
        if "0" in (turn, step):
            return "0"
        if turn.isdigit() and step.isdigit():
            return str(int(turn) * int(step))
        if "1" in (turn, step):
            return step if turn == "1" else turn
        return self.code.let(f"mul i64 {turn}, {step}")

    def _plus(self, x: str, y: str) -> str:
        if "0" in (x, y):
            return y if x == "0" else x
        return self.code.let(f"add i64 {x}, {y}")

    def _moved(self, at: Pointers, way: Way, turn: str) -> Pointers:
        found = [self._at(p, stride, turn) for p, stride in zip(at[:3], way[1:], strict=True)]
        return at._replace(a=found[0], b=found[1], out=found[2])

    def _at(self, pointer: str, stride: str, turn: str | int = "1") -> str:
        """Where a number lies so many strides behind another."""
        skip = self._times(str(turn), stride)
        if skip == "0":
            return pointer
        return self.code.let(f"getelementptr {self.kind.text}, ptr {pointer}, i64 {skip}")

    def _steps(self, pointer: str, stride: str, count: int) -> list[str]:
        """A pointer and those behind it, so many strides each."""
        found = [pointer]
        while len(found) < count:
            found.append(self._at(found[-1], stride))
        return found

    # --- packing ------------------------------------------------------------------------------

    def _packed(self, i: int, at: Pointers, turns: Sequence[str], width: int) -> None:
        """The levels below with a copy of some turns of the sum at a time."""
        (sum_,) = self.t.sums
        deep = -(-sum_.size // -(-sum_.size // _DEEP) // self.t.lanes) * self.t.lanes
        with self._blocks_of(sum_, min(deep, sum_.size)) as (turn, first, depth):
            start = self._moved(at, self.ways[sum_], first)
            self._pack(start.b, depth, width)
            start = start._replace(b=self.panel, depth=depth, more=self._is_later(turn))
            self._turns(i, start, turns, width)

    def _pack(self, b: str, depth: str, width: int) -> None:
        """Copies b's numbers of a block: the columns' one after the other, turn by turn."""
        (sum_,), cols = self.t.sums, self.t.cols
        if cols.loop.b == 1:
            with Turns(self.code, depth) as k:
                source = self._at(b, self.ways[sum_].b, k)
                target = self._at(self.panel, str(cols.step), k)
                for v, lanes in self._vectors(width):
                    self._put(self._get(self._at(source, "1", v), lanes),
                              self._at(target, "1", v))
            return
        whole, rest = divmod(width, self.t.lanes)
        if whole:
            with Turns(self.code, str(whole)) as turn:
                self._pack_across(b, depth, self._times(turn, str(self.t.lanes)), self.t.lanes)
        if rest:
            self._pack_across(b, depth, str(width - rest), rest)

    def _pack_across(self, b: str, depth: str, column: str, lanes: int) -> None:
        """The same of columns that lie apart, as many as a vector has from one on: square by
        square if they are dense."""
        (sum_,), n, step = self.t.sums, str(self.t.lanes), str(self.t.cols.step)
        source = self._at(b, self.ways[self.t.cols.loop].b, column)
        target, first = self._at(self.panel, "1", column), "0"
        if sum_.b == 1:
            squares = self.code.let(f"udiv i64 {depth}, {n}")
            with Turns(self.code, squares) as turn:
                k = self._times(turn, n)
                self._transpose(self._at(source, "1", k), self._at(target, step, k), lanes)
            first = self._times(squares, n)
        with self.code.loop(first, depth) as k:
            self._collect(self._at(source, self.ways[sum_].b, k), self._at(target, step, k), lanes)

    def _transpose(self, source: str, target: str, lanes: int) -> None:
        """Copies so many rows of a square of numbers as its columns: exchanges what lies off the
        diagonal of squares of two, of four, ... rows."""
        code, col, n = self.code, self.ways[self.t.cols.loop], self.t.lanes
        rows = [self._get(place, n) for place in self._steps(source, col.b, lanes)]
        rows += ["zeroinitializer"] * (n - lanes)
        for half in (1 << i for i in range(n.bit_length() - 1)):
            left = ", ".join(f"i32 {n + i - half if i & half else i}" for i in range(n))
            right = ", ".join(f"i32 {n + i if i & half else i + half}" for i in range(n))
            for r in (r for r in range(n) if not r & half):
                both = f"{self.vector} {rows[r]}, {self.vector} {rows[r + half]}"
                rows[r], rows[r + half] = (
                    code.let(f"shufflevector {both}, <{n} x i32> <{order}>")
                    for order in (left, right))
        for r, row in enumerate(rows):
            self._put(row, self._at(target, str(self.t.cols.step), r))

    def _collect(self, source: str, target: str, lanes: int) -> None:
        """Copies numbers that lie apart next to each other."""
        found = "zeroinitializer"
        places = self._steps(source, self.ways[self.t.cols.loop].b, lanes)
        for lane, place in enumerate(places):
            value = self.code.let(f"load {self.kind.text}, ptr {place}")
            found = self.code.let(f"insertelement {self.vector} {found}, {self.kind.text} {value},"
                                  f" i32 {lane}")
        self._put(found, target)

    # --- tiles --------------------------------------------------------------------------------

    def _tile(self, at: Pointers, width: int) -> None:
        """One tile: its sums, and what becomes of them."""
        dots = self.t.form == "dots"
        columns = [(j, self.t.lanes) for j in range(width)] if dots else self._vectors(width)
        sums = [[self.code.variable(self.vector) for _ in columns]
                for _ in range(self.t.rows.step)]
        for total in (total for row in sums for total in row):
            self.code.do(f"store {self.vector} zeroinitializer, ptr {total}")
        row = self.ways[self.t.rows.loop]
        a = self._steps(at.a, row.a, self.t.rows.step)
        if dots:
            self._sum_dots(at, a, sums)
        else:
            self._sum_spread(at, a, sums, columns)
        out = self._steps(at.out, row.out, self.t.rows.step)
        if self.accumulate or not at.more:
            self._leave(out, sums, columns, at.done, more=self.accumulate)
            return
        first, later, after = (self.code.name() for _ in range(3))
        self.code.do(f"br i1 {at.more}, label {later}, label {first}")
        for more, label in enumerate((first, later)):
            self.code.label(label)
            self._leave(out, sums, columns, at.done, more=bool(more))
            self.code.do(f"br label {after}")
        self.code.label(after)

    def _sum_spread(self, at: Pointers, a: Sequence[str], sums: Sequence[Sequence[str]],
                    columns: Sequence[tuple[int, int]]) -> None:
        def turn(x: str, y: str, known: list[list[str]]) -> None:
            b = self._at(at.b, "1", y)
            vectors = [self._get(self._at(b, "1", v), self.t.lanes if self.panel else lanes)
                       for v, lanes in columns]
            for start, row in zip(a, known, strict=True):
                number = self._spread(self._at(start, "1", x))
                row[:] = [self._add(total, number, vector)
                          for total, vector in zip(row, vectors, strict=True)]

        loops = [self.ways[x] for x in self.t.sums]
        if self.panel:
            loops = [Way(at.depth, loops[0].a, str(self.t.cols.step), "0")]
        self._sum(loops, sums, turn)

    def _sum_dots(self, at: Pointers, a: Sequence[str], sums: Sequence[Sequence[str]]) -> None:
        outer = [self.ways[x] for x in self.t.sums[:-1]]
        if outer:
            outer[0] = outer[0]._replace(size=at.depth)
        lanes, col = self.t.lanes, self.ways[self.t.cols.loop]
        whole, rest = divmod(self.t.sums[-1].size, lanes)
        b = self._steps(at.b, col.b, len(sums[0]))

        def turn(x: str, y: str, known: list[list[str]], count: int = lanes) -> None:
            mine = [self._get(self._at(start, "1", x), count) for start in a]
            for j, start in enumerate(b):
                other = self._get(self._at(start, "1", y), count)
                for row, vector in zip(known, mine, strict=True):
                    row[j] = self._add(row[j], vector, other)

        def turns(x: str, y: str, known: list[list[str]]) -> None:
            for v, count in self._vectors(self.t.sums[-1].size):
                turn(self._plus(x, str(v)), self._plus(y, str(v)), known, count)

        if whole < _UNROLLED:
            self._sum(outer, sums, turns)
            return
        count = self.numbers.size(whole)
        self._sum((*outer, Way(count, str(lanes), str(lanes), "0")), sums, turn)
        if rest:
            done = self._times(count, str(lanes))
            self._sum(outer, sums, lambda x, y, known: turn(x, y, known, rest), done, done)

    def _sum(self, loops: Sequence[Way], sums: Sequence[Sequence[str]], turn: Turn,
             a: str = "0", b: str = "0") -> None:
        """Turns of the sums' loops, given how far a and b have moved. A tile is so much work that
        the innermost is not written out, unless it is small."""
        if len(loops) > 1:
            way = loops[0]
            with Turns(self.code, way.size) as i:
                self._sum(loops[1:], sums, turn, self._plus(a, self._times(i, way.a)),
                          self._plus(b, self._times(i, way.b)))
            return
        way = loops[0] if loops else Way("1", "0", "0", "0")
        if way.size.isdigit():
            self._written_out(way, int(way.size), sums, turn, a, b)
            return
        with self.code.loop("0", way.size) as i:
            self._written_out(way, 1, sums, turn, self._plus(a, self._times(i, way.a)),
                              self._plus(b, self._times(i, way.b)))

    def _written_out(self, way: Way, count: int, sums: Sequence[Sequence[str]], turn: Turn,
                     a: str, b: str) -> None:
        """So many turns of a sum, one after the other."""
        known = [[self.code.let(f"load {self.vector}, ptr {total}") for total in row]
                 for row in sums]
        for n in range(count):
            if n:
                a, b = self._plus(a, way.a), self._plus(b, way.b)
            turn(a, b, known)
        for row, found in zip(sums, known, strict=True):
            for total, value in zip(row, found, strict=True):
                self.code.do(f"store {self.vector} {value}, ptr {total}")

    def _leave(self, out: Sequence[str], sums: Sequence[Sequence[str]],
               columns: Sequence[tuple[int, int]], done: str, more: bool) -> None:
        """Stores what a tile has come to, but for rows that are done; adds what is there if there
        is `more`."""
        for r, (place, row) in enumerate(zip(out, sums, strict=True)):
            with self._unless_done(r, done):
                for (v, lanes), total in zip(columns, row, strict=True):
                    value = self.code.let(f"load {self.vector}, ptr {total}")
                    if self.t.form == "dots":
                        to = self._at(place, self.ways[self.t.cols.loop].out, v)
                        self._leave_total(value, to, more)
                    else:
                        self._leave_lanes(value, self._at(place, "1", v), lanes, more)

    @contextmanager
    def _unless_done(self, row: int, done: str) -> Iterator[None]:
        if done == "0" or row == self.t.rows.step - 1:
            yield
            return
        with self.code.when(self.code.let(f"icmp ule i64 {done}, {row}")):
            yield

    def _leave_total(self, value: str, place: str, more: bool) -> None:
        let, kind = self.code.let, self.kind.text
        name = f"llvm.vector.reduce.fadd.v{self.t.lanes}f{self.kind.bits}"
        add = self.definitions.declare(name, kind, f"{kind}, {self.vector}")
        total = let(f"call reassoc {kind} {add}({kind} -0.0, {self.vector} {value})")
        if more:
            there = let(f"load {kind}, ptr {place}")
            total = let(f"fadd {kind} {there}, {total}")
        self.code.do(f"store {kind} {total}, ptr {place}")

    def _leave_lanes(self, value: str, place: str, lanes: int, more: bool) -> None:
        """Stores lanes by the largest vectors that they fill: there is no store that is as quick
        and leaves some out."""
        let, number, done = self.code.let, self.kind.text, 0
        while done < lanes:
            size = 1 << (lanes - done).bit_length() - 1
            picked = ", ".join(f"i32 {i}" for i in range(done, done + size))
            type, at = f"<{size} x {number}>", self._at(place, "1", done)
            part = let(f"shufflevector {self.vector} {value}, {self.vector} poison, "
                       f"<{size} x i32> <{picked}>")
            if more:
                there = let(f"load {type}, ptr {at}, align {self.kind.size}")
                part = let(f"fadd {type} {there}, {part}")
            self.code.do(f"store {type} {part}, ptr {at}, align {self.kind.size}")
            done += size

    # --- vectors ------------------------------------------------------------------------------

    def _vectors(self, width: int) -> list[tuple[int, int]]:
        """The vectors that so many columns take: where each begins, and how many lanes count."""
        lanes = self.t.lanes
        return [(v, min(lanes, width - v)) for v in range(0, width, lanes)]

    def _get(self, place: str, lanes: int) -> str:
        """A vector from memory, whose lanes are 0 beyond those that count."""
        n, size = self.t.lanes, self.kind.size
        if lanes == n:
            return self.code.let(f"load {self.vector}, ptr {place}, align {size}")
        load = self.definitions.declare(f"llvm.masked.load.v{n}f{self.kind.bits}.p0", self.vector,
                                        f"ptr, i32, <{n} x i1>, {self.vector}")
        mask = ", ".join(f"i1 {'true' if i < lanes else 'false'}" for i in range(n))
        return self.code.let(f"call {self.vector} {load}(ptr {place}, i32 {size}, "
                             f"<{n} x i1> <{mask}>, {self.vector} zeroinitializer)")

    def _put(self, value: str, place: str) -> None:
        self.code.do(f"store {self.vector} {value}, ptr {place}, align {self.kind.size}")

    def _spread(self, place: str) -> str:
        """A number from memory in all lanes."""
        let, kind, n = self.code.let, self.kind.text, self.t.lanes
        number = let(f"load {kind}, ptr {place}")
        first = let(f"insertelement {self.vector} poison, {kind} {number}, i32 0")
        return let(f"shufflevector {self.vector} {first}, {self.vector} poison, "
                   f"<{n} x i32> zeroinitializer")

    def _add(self, total: str, x: str, y: str) -> str:
        v = self.vector
        fused = self.definitions.declare(f"llvm.fmuladd.v{self.t.lanes}f{self.kind.bits}", v,
                                         f"{v}, {v}, {v}")
        return self.code.let(f"call {v} {fused}({v} {x}, {v} {y}, {v} {total})")


class Way(NamedTuple):
    """A loop in text: how often it turns, and how far a, b and out move with each turn."""

    size: str
    a: str
    b: str
    out: str


Turn = Callable[[str, str, list[list[str]]], None]
"""What a turn of a sum does: given how far a and b have moved, adds to the sums of a tile."""


class Pointers(NamedTuple):
    """Where the numbers of this turn lie.

    Attributes:
        depth: how many turns of the (outermost) sum there are, if not all.
        more: a register that says whether out has part of the sum already; "" if it hasn't.
        done: how many of the tile's rows have been done by the tile before.
    """

    a: str
    b: str
    out: str
    depth: str = ""
    more: str = ""
    done: str = "0"


class Turns:
    """`with Turns(code, size) as turn`: a loop, or its only turn, or the turn that is given."""

    def __init__(self, code: Code, size: str, given: str = "") -> None:
        self._given = given or ("0" if size == "1" else "")
        self._loop = code.loop("0", size)

    def __enter__(self) -> str:
        return self._given or self._loop.__enter__()

    def __exit__(self, *error: object) -> None:
        if not self._given:
            self._loop.__exit__(None, None, None)


def _loop(level: Loop | Cut) -> Loop:
    return level.loop if isinstance(level, Cut) else level


def _count(level: Loop | Cut) -> int:
    return level.pieces if isinstance(level, Cut) else level.size
