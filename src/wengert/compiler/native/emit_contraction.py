"""Contractions by tiles (`tiling.py`) as native functions.

Loops over batches, columns and rows, of which the outermost are shared among threads; in each turn
a tile, whose sums LLVM keeps in registers. Sizes and strides are part of the text: what is an
unlike product is other code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ..nest import Contraction
from ..regions import Region, distinct
from ..tiling import Cut, Loop, Tiling
from .emit_code import KINDS, Code
from .emit_elementary import Definitions

ENOUGH = 64
"""Into so many units, at least, the work of several threads is cut, if it can be."""

_NEAR = 4  # turns of the outermost sum that all tiles of dots have before the next ones
_DEEP = 256  # turns of a sum that a packed copy has, at most
_UNROLLED = 8  # turns of a loop up to which it is written out


class ContractionFunction:
    """A contraction as text: a function for the pool, whose context holds a, b and out.

    Args:
        c: the contraction.
        t: how it is done.
        threads: whether its work is shared.

    Attributes:
        levels: the loops around a tile, from the outermost on.
        shared: how many of these are shared among threads.
        units: the pieces that its work can be cut into.
        panel: memory for a packed copy, if there is one.
    """

    def __init__(self, c: Contraction, t: Tiling, threads: bool) -> None:
        self.t, self.kind = t, KINDS[c.out.buffer.dtype]
        self.definitions = Definitions()
        self.code = Code(self.definitions)
        self.vector = f"<{t.lanes} x {self.kind.text}>"
        self.accumulate = c.accumulate
        self.levels: list[Loop | Cut] = [*t.batch, *t.across, t.cols, *t.down, t.rows]
        self.shared = self._apart() if threads else 0
        self.units = math.prod(_count(level) for level in self.levels[:self.shared])
        self.panel = ""
        if t.form == "packed":
            self.panel = self.code.variable(self.kind.text,
                                            min(_DEEP, t.sums[0].size) * t.cols.step)
        self._run()

    def text(self, name: str) -> str:
        """The function's definition; `name` begins with @."""
        head = f"define void {name}(i64 %piece, i64 %pieces, ptr %context) nounwind {{"
        code = self.code
        return "\n".join([head, "entry:", *code.top, "br label %start", "start:", *code.lines,
                          "ret void", "}", ""])

    def _apart(self) -> int:
        """How many of the outer loops are shared among threads: their turns must be apart, and
        a packed copy is for all that lies within."""
        loops = [level.loop if isinstance(level, Cut) else level for level in self.levels]
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
        let = self.code.let
        places = [let(f"getelementptr i64, ptr %context, i64 {i}") for i in (1, 2, 3)]
        a, b, out = (let(f"load ptr, ptr {place}") for place in places)
        at = Pointers(b, a, out) if self.t.turned else Pointers(a, b, out)
        if self.t.form != "dots" or len(self.t.sums) == 1:
            self._units(at)
            return
        block = Cut(self.t.sums[0], _NEAR)
        for size, turn in self._pieces(block, (), 0):
            start = self._moved(at, block.loop, self._times(turn, block.step))
            more = "" if turn == "0" else let(f"icmp ne i64 {turn}, 0")
            self._units(start._replace(depth=size, more=more))

    def _units(self, at: Pointers) -> None:
        """All units of the work, or those of this piece."""
        if not self.shared:
            self._level(0, at, [])
            return
        let = self.code.let
        following = let("add i64 %piece, 1")
        parts = [let(f"mul i64 {self.units}, {n}") for n in ("%piece", following)]
        first, stop = (let(f"udiv i64 {part}, %pieces") for part in parts)
        with self.code.loop(first, stop) as unit:
            self._level(0, at, self._unravel(unit))

    def _unravel(self, unit: str) -> list[str]:
        """The turns of the shared loops that a unit stands for."""
        found = []
        for level in reversed(self.levels[:self.shared]):
            found.append(self.code.let(f"urem i64 {unit}, {_count(level)}"))
            unit = self.code.let(f"udiv i64 {unit}, {_count(level)}")
        return found[::-1]

    def _level(self, i: int, at: Pointers, turns: Sequence[str], width: int = 0,
               height: int = 0) -> None:
        """The i-th level and all below it; the shared ones' turns are given."""
        if i == len(self.levels):
            self._tile(at, height, width)
        elif self.panel and i and self.levels[i - 1] is self.t.cols:
            self._blocks(i, at, turns, width)
        else:
            self._turns(i, at, turns, width, height)

    def _turns(self, i: int, at: Pointers, turns: Sequence[str], width: int, height: int) -> None:
        level = self.levels[i]
        if isinstance(level, Loop):
            with self._each(level.size, turns, i) as turn:
                self._level(i + 1, self._moved(at, level, turn), turns, width, height)
            return
        for size, turn in self._pieces(level, turns, i):
            sizes = (size, height) if level is self.t.cols else (width, size)
            moved = self._moved(at, level.loop, self._times(turn, level.step))
            self._level(i + 1, moved, turns, *sizes)

    def _each(self, size: int, turns: Sequence[str], i: int) -> Turns:
        return Turns(self.code, size, turns[i] if i < len(turns) else None)

    def _pieces(self, cut: Cut, turns: Sequence[str], i: int) -> Iterator[tuple[int, str]]:
        """The whole pieces in a loop, and then the last one if it is smaller; or the one whose
        number is given."""
        whole, rest = divmod(cut.loop.size, cut.step)
        if i >= len(turns):
            if whole:
                with self._each(whole, (), 0) as turn:
                    yield cut.step, turn
            if rest:
                yield rest, str(whole)
            return
        code, turn = self.code, turns[i]
        if not (whole and rest):
            yield cut.step if whole else rest, turn
            return
        after, small = code.name(), code.let(f"icmp eq i64 {turn}, {whole}")
        labels = code.name(), code.name()
        code.do(f"br i1 {small}, label {labels[1]}, label {labels[0]}")
        for size, label in zip((cut.step, rest), labels, strict=True):
            code.label(label)
            yield size, turn
            code.do(f"br label {after}")
        code.label(after)

    def _times(self, turn: str, step: int) -> str:
        if turn.isdigit():
            return str(int(turn) * step)
        return self.code.let(f"mul i64 {turn}, {step}")

    def _moved(self, at: Pointers, loop: Loop, turn: str) -> Pointers:
        found = [self._at(p, stride, turn) for p, stride in zip(at[:3], loop[1:], strict=True)]
        return at._replace(a=found[0], b=found[1], out=found[2])

    def _at(self, pointer: str, stride: int, turn: str = "1") -> str:
        """Where a number lies so many strides behind another."""
        skip = self._times(turn, stride) if stride else "0"
        if skip == "0":
            return pointer
        return self.code.let(f"getelementptr {self.kind.text}, ptr {pointer}, i64 {skip}")

    # --- packing ------------------------------------------------------------------------------

    def _blocks(self, i: int, at: Pointers, turns: Sequence[str], width: int) -> None:
        """The levels below with a copy of some turns of the sum at a time."""
        (sum_,) = self.t.sums
        blocks = -(-sum_.size // _DEEP)
        deep = -(-sum_.size // blocks // 4) * 4 if blocks > 1 else sum_.size
        for size, turn in self._pieces(Cut(sum_, deep), (), 0):
            start = self._moved(at, sum_, self._times(turn, deep))
            self._pack(start.b, size, width)
            more = "" if blocks == 1 else self.code.let(f"icmp ne i64 {turn}, 0")
            self._turns(i, start._replace(b=self.panel, depth=size, more=more), turns, width, 0)

    def _pack(self, b: str, depth: int, width: int) -> None:
        """Copies b's numbers of a block: the columns' one after the other, turn by turn."""
        (sum_,), cols = self.t.sums, self.t.cols
        if cols.loop.b == 1:
            with Turns(self.code, depth) as k:
                source, target = self._at(b, sum_.b, k), self._at(self.panel, cols.step, k)
                for v, lanes in self._vectors(width):
                    self._put(self._get(self._at(source, v), lanes), self._at(target, v))
        else:
            self._pack_across(b, depth, width)

    def _pack_across(self, b: str, depth: int, width: int) -> None:
        """The same of columns that lie apart: square by square if they are dense."""
        (sum_,), col, (step, n) = self.t.sums, self.t.cols.loop, (self.t.cols.step, self.t.lanes)
        for lanes, turn in self._pieces(Cut(col._replace(size=width), n), (), 0):
            v = self._times(turn, n)
            source, target = self._at(b, col.b, v), self._at(self.panel, 1, v)
            for size, block in self._pieces(Cut(sum_._replace(size=depth), n), (), 0):
                k = self._times(block, n)
                first, to = self._at(source, sum_.b, k), self._at(target, step, k)
                if sum_.b == 1 and size == n:
                    self._transpose(first, to, lanes)
                    continue
                with Turns(self.code, size) as i:
                    self._collect(self._at(first, sum_.b, i), self._at(to, step, i), lanes)

    def _transpose(self, source: str, target: str, lanes: int) -> None:
        """Copies so many rows of a square of numbers as its columns: exchanges what lies off the
        diagonal of squares of two, of four, ... rows."""
        code, col, n = self.code, self.t.cols.loop, self.t.lanes
        rows = [self._get(self._at(source, r * col.b), n) if r < lanes else "zeroinitializer"
                for r in range(n)]
        for half in (1 << i for i in range(n.bit_length() - 1)):
            left = ", ".join(f"i32 {n + i - half if i & half else i}" for i in range(n))
            right = ", ".join(f"i32 {n + i if i & half else i + half}" for i in range(n))
            for r in (r for r in range(n) if not r & half):
                both = f"{self.vector} {rows[r]}, {self.vector} {rows[r + half]}"
                rows[r], rows[r + half] = (
                    code.let(f"shufflevector {both}, <{n} x i32> <{order}>")
                    for order in (left, right))
        for r, row in enumerate(rows):
            self._put(row, self._at(target, r * self.t.cols.step))

    def _collect(self, source: str, target: str, lanes: int) -> None:
        """Copies numbers that lie apart next to each other."""
        found = "zeroinitializer"
        for lane in range(lanes):
            place = self._at(source, lane * self.t.cols.loop.b)
            value = self.code.let(f"load {self.kind.text}, ptr {place}")
            found = self.code.let(f"insertelement {self.vector} {found}, {self.kind.text} {value},"
                                  f" i32 {lane}")
        self._put(found, target)

    # --- tiles --------------------------------------------------------------------------------

    def _tile(self, at: Pointers, height: int, width: int) -> None:
        """One tile: its sums, and what becomes of them."""
        dots = self.t.form == "dots"
        columns = [(j, self.t.lanes) for j in range(width)] if dots else self._vectors(width)
        sums = [[self.code.variable(self.vector) for _ in columns] for _ in range(height)]
        for total in (total for row in sums for total in row):
            self.code.do(f"store {self.vector} zeroinitializer, ptr {total}")
        if dots:
            self._sum_dots(at, sums)
        else:
            self._sum_spread(at, sums, columns)
        out = [self._at(at.out, self.t.rows.loop.out * r) for r in range(height)]
        if self.accumulate or not at.more:
            self._leave(out, sums, columns, more=self.accumulate)
            return
        first, later, after = (self.code.name() for _ in range(3))
        self.code.do(f"br i1 {at.more}, label {later}, label {first}")
        for more, label in enumerate((first, later)):
            self.code.label(label)
            self._leave(out, sums, columns, more=bool(more))
            self.code.do(f"br label {after}")
        self.code.label(after)

    def _sum_spread(self, at: Pointers, sums: Sequence[Sequence[str]],
                    columns: Sequence[tuple[int, int]]) -> None:
        def turn(a: str, b: str, known: list[list[str]]) -> None:
            vectors = [self._get(self._at(b, v), self.t.lanes if self.panel else lanes)
                       for v, lanes in columns]
            for r, row in enumerate(known):
                number = self._spread(self._at(a, self.t.rows.loop.a * r))
                row[:] = [self._add(total, number, vector)
                          for total, vector in zip(row, vectors, strict=True)]

        loops = self.t.sums
        if self.panel:
            loops = (Loop(at.depth, loops[0].a, self.t.cols.step, 0),)
        self._sum(loops, at.a, at.b, sums, turn)

    def _sum_dots(self, at: Pointers, sums: Sequence[Sequence[str]]) -> None:
        *outer, along = self.t.sums
        if outer:
            outer[0] = outer[0]._replace(size=at.depth)
        lanes = self.t.lanes
        whole, rest = divmod(along.size, lanes)

        def turn(a: str, b: str, known: list[list[str]], count: int = lanes) -> None:
            mine = [self._get(self._at(a, self.t.rows.loop.a * r), count)
                    for r in range(len(known))]
            for j in range(len(known[0])):
                other = self._get(self._at(b, self.t.cols.loop.b * j), count)
                for row, vector in zip(known, mine, strict=True):
                    row[j] = self._add(row[j], vector, other)

        def turns(a: str, b: str, known: list[list[str]]) -> None:
            for v, count in self._vectors(along.size):
                turn(self._at(a, v), self._at(b, v), known, count)

        if whole < _UNROLLED:
            self._sum(outer, at.a, at.b, sums, turns)
            return
        self._sum((*outer, Loop(whole, lanes, lanes, 0)), at.a, at.b, sums, turn)
        if rest:
            done = whole * lanes
            self._sum(outer, self._at(at.a, done), self._at(at.b, done), sums,
                      lambda a, b, known: turn(a, b, known, rest))

    def _sum(self, loops: Sequence[Loop], a: str, b: str, sums: Sequence[Sequence[str]],
             turn: Turn) -> None:
        """Turns of the sums' loops, of which the innermost is written out in part."""
        if len(loops) > 1:
            with Turns(self.code, loops[0].size) as i:
                self._sum(loops[1:], self._at(a, loops[0].a, i), self._at(b, loops[0].b, i),
                          sums, turn)
            return
        loop = loops[0] if loops else Loop(1, 0, 0, 0)
        step = _written_out(loop.size)
        with Turns(self.code, loop.size // step) as i:
            i = self._times(i, step)
            a, b = self._at(a, loop.a, i), self._at(b, loop.b, i)
            known = [[self.code.let(f"load {self.vector}, ptr {total}") for total in row]
                     for row in sums]
            for n in range(step):
                turn(self._at(a, n * loop.a), self._at(b, n * loop.b), known)
            for row, found in zip(sums, known, strict=True):
                for total, value in zip(row, found, strict=True):
                    self.code.do(f"store {self.vector} {value}, ptr {total}")

    def _leave(self, out: Sequence[str], sums: Sequence[Sequence[str]],
               columns: Sequence[tuple[int, int]], more: bool) -> None:
        """Stores what a tile has come to; adds what is there if there is `more`."""
        for place, row in zip(out, sums, strict=True):
            for (v, lanes), total in zip(columns, row, strict=True):
                value = self.code.let(f"load {self.vector}, ptr {total}")
                if self.t.form == "dots":
                    self._leave_total(value, self._at(place, v * self.t.cols.loop.out), more)
                else:
                    self._leave_lanes(value, self._at(place, v), lanes, more)

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
            type, at = f"<{size} x {number}>", self._at(place, done)
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


Turn = Callable[[str, str, list[list[str]]], None]
"""What a turn of a sum does: given where a and b are, adds to the sums of a tile."""


class Pointers(NamedTuple):
    """Where the numbers of this turn lie.

    Attributes:
        depth: how many turns of the (outermost) sum there are, if not all.
        more: a register that says whether out has part of the sum already; "" if it hasn't.
    """

    a: str
    b: str
    out: str
    depth: int = 0
    more: str = ""


class Turns:
    """`with Turns(code, size) as turn`: a loop, or its only turn, or the turn that is given."""

    def __init__(self, code: Code, size: int, given: str | None = None) -> None:
        self._given = given if given is not None else "0" if size == 1 else None
        self._loop = code.loop("0", str(size))

    def __enter__(self) -> str:
        return self._given if self._given is not None else self._loop.__enter__()

    def __exit__(self, *error: object) -> None:
        if self._given is None:
            self._loop.__exit__(None, None, None)


def _written_out(size: int) -> int:
    """How many turns of a loop of that size are written out: all, or a divisor."""
    if size <= _UNROLLED:
        return size
    return next(n for n in range(_UNROLLED // 2, 0, -1) if size % n == 0)


def _count(level: Loop | Cut) -> int:
    return level.pieces if isinstance(level, Cut) else level.size
