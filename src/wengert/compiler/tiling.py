"""How a contraction is cut into tiles, each of which stays in registers while it is summed.

A contraction's loops are of four kinds, by what moves along them:

    batch   a, b and out        rows   a and out
    sums    a and b             cols   b and out

A tile is a few turns of one of the rows' loops by a few of one of the cols'; for each turn of the
sums' loops, so many numbers of a meet so many of b, and each is loaded once for all that it meets:

    spread   a vector of b, along which out is dense, times one number of a after the other
    packed   the same, of a copy of what b needs for these columns, which serves all rows
    dots     vectors along a loop of the sums where a and b are dense, added up in the end

So whatever has strides is multiplied where it lies: windows of images, transposes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from .ir.nest import Contraction
from .ir.records import equal_record
from .ir.regions import Region, distinct

_FAR = 256  # bytes from one turn of a sum to the next, from which on b is packed
_OFTEN = 4  # tiles that a packed copy must serve
_HIGH = 12  # rows that a tile has, at most
_SPARE = 32  # the part of the rows that may be done twice
_LONG = 64  # vectors that a sum must have to be worth adding up their lanes


class Loop(NamedTuple):
    """A loop, and how far a, b and out move with each turn."""

    size: int
    a: int
    b: int
    out: int

    @property
    def turned(self) -> Loop:
        """With the roles of a and b exchanged."""
        return Loop(self.size, self.b, self.a, self.out)


class Cut(NamedTuple):
    """A loop in pieces of `step` turns, of which the last may have fewer."""

    loop: Loop
    step: int

    @property
    def pieces(self) -> int:
        """How many there are."""
        return -(-self.loop.size // self.step)


@equal_record
class Tiling:
    """How a contraction is done.

    Attributes:
        form: "spread", "packed" or "dots".
        turned: whether a and b have exchanged their roles.
        rows, cols: the loops that tiles are cut from.
        sums: the loops of the sums; of "dots", the last one runs along the vectors.
        batch, across, down: the other loops: batch ones, cols, rows.
        lanes: how many numbers a vector has.
    """

    form: str
    turned: bool
    rows: Cut
    cols: Cut
    sums: tuple[Loop, ...]
    batch: tuple[Loop, ...]
    across: tuple[Loop, ...]
    down: tuple[Loop, ...]
    lanes: int

    @property
    def panels(self) -> int:
        """How often a tile has other columns (or another b)."""
        return self.cols.pieces * math.prod(x.size for x in (*self.batch, *self.across))


def loops_of(c: Contraction) -> list[Loop]:
    """The loops of a contraction, joined where that makes no difference."""
    found: list[Loop] = []
    for loop in map(Loop, c.sizes, c.a.strides, c.b.strides, c.out.strides):
        if loop.size == 1:
            continue
        last = found[-1] if found else None
        if last and all(x == loop.size * y for x, y in zip(last[1:], loop[1:], strict=True)):
            found[-1] = Loop(last.size * loop.size, *loop[1:])
        else:
            found.append(loop)
    return found


def tiling(c: Contraction, bits: int) -> Tiling | None:
    """How to do a contraction on a machine with vectors of `bits`; None if not by tiles."""
    dtype = c.out.buffer.dtype
    if dtype.kind != "f" or dtype.itemsize < 4 or not all(c.sizes):
        return None
    loops = loops_of(c)
    dense = max((x for x in loops if x.out == 1 and (x.a == 0) != (x.b == 0)),
                key=lambda x: (1 in x[1:3], x.size), default=None)
    turned = dense is not None and dense.b == 0
    if turned:
        loops, dense = [x.turned for x in loops], dense and dense.turned
    kinds = Kinds(loops)
    if not kinds.proper:
        return None
    lanes, registers = bits // (8 * dtype.itemsize), 32 if bits == 512 else 16
    if kinds.long(lanes) and (dense is None or dense.size < lanes):
        return kinds.dots(lanes, registers, turned)
    if dense is None:
        return None
    return kinds.spread(dense, lanes, registers, dtype.itemsize, turned)


class Kinds:
    """The loops of a contraction by what moves along them: see the text of the module."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        self.batch = [x for x in loops if x.out and x.a and x.b]
        self.rows = [x for x in loops if x.out and x.a and not x.b]
        self.cols = [x for x in loops if x.out and x.b and not x.a]
        self.sums = [x for x in loops if not x.out]
        others = len(loops) - len([*self.batch, *self.rows, *self.cols, *self.sums])
        self.proper = bool(self.rows and self.cols and self.sums and not others)

    def long(self, lanes: int) -> Loop | None:
        """A loop of the sums to run vectors along, if it is worth it."""
        count = math.prod(x.size for x in self.sums)
        return next((x for x in self.sums if x.a == x.b == 1 and count >= _LONG * lanes), None)

    def dots(self, lanes: int, registers: int, turned: bool) -> Tiling | None:
        """Vectors along a loop of the sums."""
        pair = _apart(self.rows, self.cols)
        if pair is None:
            return None
        along = self.long(lanes)
        assert along is not None
        sums = [*(x for x in self.sums if x is not along), along]
        row, col = pair
        height, width = _square(row.size, col.size, registers)
        return self._tiling("dots", turned, Cut(row, height), Cut(col, width), sums, lanes)

    def spread(self, col: Loop, lanes: int, registers: int, size: int,
               turned: bool) -> Tiling | None:
        """Vectors along a loop of the columns, along which out is dense."""
        pair = _apart(self.rows, [col])
        far = col.b != 1
        if pair is None or (far and len(self.sums) > 1):
            return None
        vectors = min(2, -(-col.size // lanes))
        row, height = pair[0], _height(pair[0].size, (registers - 3) // vectors)
        often = row.size >= _OFTEN * height and abs(self.sums[0].b) * size >= _FAR
        form = "packed" if far or (often and len(self.sums) == 1) else "spread"
        return self._tiling(form, turned, Cut(row, height), Cut(col, vectors * lanes), self.sums,
                            lanes)

    def _tiling(self, form: str, turned: bool, rows: Cut, cols: Cut, sums: Sequence[Loop],
                lanes: int) -> Tiling:
        return Tiling(form, turned, rows, cols, tuple(sums), tuple(self.batch),
                      tuple(x for x in self.cols if x != cols.loop),
                      tuple(x for x in self.rows if x != rows.loop), lanes)


def _apart(rows: Sequence[Loop], cols: Sequence[Loop]) -> tuple[Loop, Loop] | None:
    """The largest loops of each kind, turns of which don't meet at the same element."""
    pairs = sorted(itertools.product(rows, cols), key=lambda pair: [-x.size for x in pair])
    return next((pair for pair in pairs if distinct(
        Region(tuple(x.size for x in pair), tuple(x.out for x in pair)))), None)


def _height(size: int, most: int) -> int:
    """How many rows a tile has: as few as keep a processor's multipliers busy, always the same, so
    that products of all sizes share code; more where much of the last tile would be done twice."""
    high = min(most, _HIGH)
    if size < 4 * high:
        return _even(size, high)
    heights = range(2 * high // 3, high + 1)
    return next((n for n in heights if -size % n * _SPARE <= size),
                min(heights, key=lambda n: -size % n))


def _even(size: int, most: int) -> int:
    """The size of pieces, none of them above `most`, that are equal, or all but the last."""
    equal = [n for n in range(most, most // 2, -1) if size % n == 0]
    return equal[0] if equal else -(-size // -(-size // most))


def _square(rows: int, cols: int, registers: int) -> tuple[int, int]:
    """The tile that makes the most of registers: its sums, its rows' vectors and one of b."""
    def wasted(shape: tuple[int, int]) -> tuple[int, int]:
        tiles = math.prod(-(-n // step) for n, step in zip((rows, cols), shape, strict=True))
        height, width = shape
        return tiles * (height * width + height + width), -height * width

    shapes = [((registers - 1) // (width + 1), width) for width in range(1, 7)]
    return min(((_even(rows, h), _even(cols, w)) for h, w in shapes), key=wasted)
