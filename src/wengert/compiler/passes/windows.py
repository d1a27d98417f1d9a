"""Windows: pieces that lie regularly are one region.

Convolutions come as windows of an array, cut out one by one and stacked, and their gradients as
sums of zeros with a piece each. A program of such pieces does the work of moving them many times
over; but where both what they are cut from and where they go are regular, one line says it all:

    stack of strided(x, region + i * step)                      is   strided(x, all the regions)
    sum of put_strided(0, strided(y, piece i), region i)        is   unstrided(y, all the regions)

The latter adds in another order, and begins with 0: it is done for the elements of products, which
begin with 0 as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from ...primitives.elementwise import add
from ..ir.program import Block, Constant, Line, Program, Value
from ..ir.regions import Ints, Region, dense
from ..ir.uniform import is_zero
from ..ir.views import put_strided, region_of, strided, unstrided, written_region
from ..ir.walk import downward


class Piece(NamedTuple):
    """A part of what pieces are taken from, and where it is put.

    Attributes:
        before: the pieces that are there already, as the last of them.
        total: the number of elements of all of them.
        base: what they are taken from.
        source: the region of it.
        target: where it goes.
    """

    before: Piece | None
    total: int
    base: Value
    source: Region
    target: Region


def windows(program: Program) -> Program:
    """The program with regular pieces as one region."""
    finder = _Finder()

    def lines(block: Block) -> list[Line]:
        return [new for line in block.lines for new in finder.lines(line)]

    return downward(program, lines, {})


class _Finder:
    """Knows what pieces values consist of.

    Attributes:
        regions: by the result of a `strided`: what it is a region of, and which.
        stacks: values that are nothing but pieces of something.
        sums: values that are zeros to which pieces are added.
        products: results of matrix products.
    """

    def __init__(self) -> None:
        self.regions: dict[Value, tuple[Value, Region]] = {}
        self.stacks: dict[Value, Piece] = {}
        self.sums: dict[Value, Piece] = {}
        self.products: set[Value] = set()

    def lines(self, line: Line) -> Sequence[Line]:
        """What becomes of a line."""
        if line.primitive is strided:
            self.regions[line.result] = line.operands[0], region_of(line.params)
        elif line.primitive is put_strided:
            return self._put(line)
        elif line.primitive is add:
            return self._added(line)
        elif line.primitive.name in ("mm", "bmm"):
            self.products.add(line.result)
        return (line,)

    def _put(self, line: Line) -> Sequence[Line]:
        x, y = line.operands
        base, source = self.regions.get(y) or (y, dense(tuple(y.aval.shape)))
        target = written_region(line.params, y.aval)
        before = self.stacks.get(x)
        if isinstance(x, Constant) and is_zero(x) and base in self.products:
            self.sums[line.result] = Piece(None, target.size, base, source, target)
        if not isinstance(x, Constant) and (before is None or before.base is not base):
            return (line,)
        total = target.size + (before.total if before else 0)
        last = self.stacks[line.result] = Piece(before, total, base, source, target)
        return self._stacked(line, last) or (line,)

    def _stacked(self, line: Line, last: Piece) -> Sequence[Line]:
        """The whole of a stack, if this is its last piece."""
        found = together(last) if last.total == line.result.aval.numel and last.before else None
        if found is None or not _is_dense(found.sizes, found.target):
            return ()
        return _reshaped(last.base, Region(found.sizes, found.source, found.offsets[0]),
                         line.result)

    def _added(self, line: Line) -> Sequence[Line]:
        x, y = (self.sums.get(v) for v in line.operands)
        if x is not None and y is not None and x.before is not None:
            x, y = y, x
        if x is None or y is None or x.before is not None or x.base is not y.base:
            return (line,)
        last = self.sums[line.result] = x._replace(before=y, total=x.total + y.total)
        return self._summed(line, last) or (line,)

    def _summed(self, line: Line, last: Piece) -> Sequence[Line]:
        """The whole of a sum, if all that its pieces are taken from is in it."""
        found = together(last) if last.total == last.base.aval.numel else None
        if found is None:
            return ()
        order = sorted(range(len(found.sizes)), key=lambda d: -found.source[d])
        sizes, source, target = (tuple(each[d] for d in order) for each in found[:3])
        if not _is_dense(sizes, source) or found.offsets[0]:
            return ()
        pieces = Value(last.base.aval.with_shape(sizes))
        params = {"shape": tuple(line.result.aval.shape), "strides": target,
                  "offset": found.offsets[1]}
        return (Line(strided, (last.base,), dense(sizes).params, (pieces,)),
                Line(unstrided, (pieces,), params, line.results))


class Together(NamedTuple):
    """Pieces as one: loops over all their elements, in the order in which they are put; where
    these are taken from and put, and where the first of them is."""

    sizes: Ints
    source: Ints
    target: Ints
    offsets: tuple[int, int]


def together(last: Piece | None) -> Together | None:
    """All pieces as one; None if they are unlike or don't lie regularly."""
    pieces = []
    while last is not None:
        pieces.append(last)
        last = last.before
    first = pieces[0]
    if any(p.source[:2] != first.source[:2] or p.target[:2] != first.target[:2] for p in pieces):
        return None
    points = sorted((p.target.offset, p.source.offset) for p in pieces)
    steps = grid(points)
    if steps is None:
        return None
    loops = [*steps, *zip(first.target.shape, first.target.strides, first.source.strides,
                          strict=True)]
    loops = sorted((loop for loop in loops if loop[0] > 1), key=lambda loop: -loop[1])
    sizes, target, source = zip(*loops, strict=True) if loops else ((), (), ())
    return Together(sizes, source, target, points[0][::-1])


def grid(points: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]] | None:
    """Nested loops (size, step of the first number, of the second) that go through points in
    order; None if there are none.

    Example:
        >>> grid([(0, 0), (1, 1), (2, 5), (3, 6)])
        [(2, 2, 5), (2, 1, 1)]
    """
    found: list[tuple[int, int, int]] = []
    while len(points) > 1:
        steps = [_less(after, before) for before, after in itertools.pairwise(points)]
        step = steps[0]
        run = next((i for i, each in enumerate(steps, 1) if each != step), len(points))
        if len(points) % run or any(
                _less(point, points[i - i % run]) != (i % run * step[0], i % run * step[1])
                for i, point in enumerate(points)):
            return None
        found.insert(0, (run, *step))
        points = points[::run]
    return found


def _less(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return a[0] - b[0], a[1] - b[1]


def _is_dense(sizes: Ints, strides: Ints) -> bool:
    return dense(sizes).strides == strides


def _reshaped(x: Value, region: Region, result: Value) -> Sequence[Line]:
    """A region of x in another shape."""
    whole = Value(result.aval.with_shape(region.shape))
    return (Line(strided, (x,), region.params, (whole,)),
            Line(strided, (whole,), dense(tuple(result.aval.shape)).params, (result,)))
