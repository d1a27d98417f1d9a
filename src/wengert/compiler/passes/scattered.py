"""Sums of scattered pieces: a gradient that comes in pieces is put together in one array.

Taking a vector apart (`x[0]`, `x[1]`, ...) makes a gradient that is a sum of arrays of zeros with
one piece each: n additions of n elements. Where the pieces are put into one array instead, each
addition touches its piece alone:

    a + put_strided(0, v, region)   is   put_strided(a + 0.0, a[region] + v, region)

The `+ 0.0` makes negative zeros positive, as the addition would. A *clean* value has none, nor
has what comes of adding to it; so that only the first of many additions touches all elements.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np

from ...core.primitive import Primitive
from ...primitives.elementwise import add
from ..ir.program import Block, Constant, Line, Program, Value
from ..ir.regions import Ints, Region, dense, disjoint, within
from ..ir.uniform import is_uniform, is_zero, spread
from ..ir.views import put_strided, strided, written_region
from ..ir.walk import downward


def scattered_sums(program: Program) -> Program:
    """The program with sums of scattered pieces put together piece by piece."""
    adder = _Adder()

    def lines(block: Block) -> list[Line]:
        adder.lines = []
        for line in block.lines:
            pair = adder.pair(line) if line.primitive is add else None
            if pair is None:
                adder.note(line)
            else:
                adder.put_in(*pair, line.result)
        return adder.lines

    return downward(program, lines, {})


class Fresh(NamedTuple):
    """A value that is a clean one with a piece put into it, which may not be clean."""

    clean: Value
    piece: Value
    region: Region


@dataclasses.dataclass(eq=False, slots=True)
class Sum:
    """A growing clean value.

    Attributes:
        base: what it began as.
        last: what it is by now.
        cells: the pieces put into it since, by their regions' offset: all on one grid.
        grid: the shape and strides of those regions.
    """

    base: Value
    last: Value
    cells: dict[int, Value] = dataclasses.field(default_factory=dict)
    grid: tuple[Ints, Ints] | None = None

    def on_grid(self, region: Region) -> bool:
        """Whether a region is one of the pieces' or has no place in common with any."""
        return self.grid in (None, region[:2]) and _aligned(region, tuple(self.base.aval.shape))


class _Adder:
    """Writes lines; knows which values are sums of pieces."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.fresh: dict[Value, Fresh] = {}
        self.sums: dict[Value, Sum] = {}

    def note(self, line: Line) -> None:
        """A line that stays; it may be a piece among zeros."""
        self.lines.append(line)
        if line.primitive is put_strided and is_zero(line.operands[0]):
            zeros, piece = line.operands
            self.fresh[line.result] = Fresh(zeros, piece, written_region(line.params, piece.aval))

    def pair(self, line: Line) -> tuple[Value, Fresh] | None:
        """The operands of an addition as anything and a piece among zeros, if it is worth it."""
        aval = line.result.aval
        x, y = line.operands
        if aval.foreign or any(v.aval.shape != aval.shape for v in (x, y)):
            return None
        for rest, other in ((x, y), (y, x)):
            part = self.fresh.get(other)
            if part is not None and is_zero(part.clean) and (
                    rest in self.fresh or rest in self.sums
                    or part.region.size * 2 <= aval.numel):
                return rest, part
        return None

    def put_in(self, rest: Value, part: Fresh, out: Value) -> None:
        """Writes the lines of `out = rest + part`."""
        region, fresh = part.region, self.fresh.get(rest)
        if fresh is None and rest not in self.sums:
            clean, there = self._plus_zero(rest), self._strided(rest, region)
        elif fresh is None or fresh.region == region:
            clean, there = (rest, self._read(rest, region)) if fresh is None else fresh[:2]
        else:
            clean = self._cleaned(fresh)
            apart = disjoint(region, fresh.region, tuple(rest.aval.shape))
            there = self._read(clean, region) if apart else self._strided(rest, region)
            fresh = None if apart else fresh
        piece = self._write(add, (there, part.piece), {}, Value(part.piece.aval))
        self._put(clean, piece, region, out)
        if fresh is None and clean in self.sums:
            self._grow(clean, piece, region, out)
        else:
            self.fresh[out] = Fresh(clean, piece, region)

    def _cleaned(self, fresh: Fresh) -> Value:
        """A fresh value without negative zeros."""
        clean, piece, region = fresh
        whole = self._plus_zero(piece)
        out = self._put(clean, whole, region, Value(clean.aval))
        self._grow(clean, whole, region, out)
        return out

    def _grow(self, clean: Value, piece: Value, region: Region, out: Value) -> None:
        """Notes that a clean value with a clean piece put into it is clean."""
        known = self.sums.get(clean) or Sum(clean, clean)
        if known.last is clean and known.on_grid(region):
            known.cells[region.offset], known.grid, known.last = piece, region[:2], out
        else:
            known = Sum(out, out)
        self.sums[out] = known

    def _read(self, clean: Value, region: Region) -> Value:
        """A region of a clean value."""
        known = self.sums.get(clean) or Sum(clean, clean)
        if known.last is not clean or not known.on_grid(region):
            return self._strided(clean, region)
        return known.cells.get(region.offset) or self._strided(known.base, region)

    def _write(self, primitive: Primitive, operands: tuple[Value, ...], params: dict[str, Any],
               out: Value) -> Value:
        self.lines.append(Line(primitive, operands, params, (out,)))
        return out

    def _plus_zero(self, x: Value) -> Value:
        zero = Constant(np.zeros((), x.aval.numpy))
        return self._write(add, (x, zero), {}, Value(x.aval))

    def _strided(self, x: Value, region: Region) -> Value:
        if isinstance(x, Constant) and is_uniform(x.array):
            return spread(x.array, region.shape)
        return self._write(strided, (x,), region.params, Value(x.aval.with_shape(region.shape)))

    def _put(self, x: Value, piece: Value, region: Region, out: Value) -> Value:
        params = {"strides": region.strides, "offset": region.offset}
        return self._write(put_strided, (x, piece), params, out)


@functools.lru_cache(maxsize=1 << 14)
def _aligned(region: Region, shape: Ints) -> bool:
    """Whether a region fills (or has its corners in) one box of a grid of boxes of its size, so
    that such regions are the same or have no place in common."""
    found = within(region, dense(shape))
    if found is None or any(n < 0 for step in found.steps for n in step):
        return False
    sizes = [1 + sum((n - 1) * step[d] for n, step in zip(region.shape, found.steps, strict=True))
             for d in range(len(shape))]
    return not any(start % size for start, size in zip(found.start, sizes, strict=True))
