"""How the work of a nest is shared among threads, and where what its rows add up goes.

Threads may not add to the same memory at once (`Store.how`): each has parts of its own, in float64
for sums of small floats. So a nest that is shared becomes three:

    parts[...] = neutral
    for rows ...: ...; parts[own piece][...] += value
    result[...] = result[...] + parts[piece 0][...] + parts[piece 1][...] + ...

always in the same order. A total (one number of all rows) is kept in a register, and only stored
in its thread's part. Where columns are shared rather than rows, threads add to different memory,
and only totals have parts; likewise where turns of the outermost loop add to different memory, and
only that loop is shared. Parts and scratch memory lie in the arena, behind the plan's own.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from ..ir.nest import Access, Buffer, Load, Nest, Number, Op, Stage, Statement, Store
from ..ir.records import equal_record
from .emit_code import KINDS
from .emit_memory import slice_bytes
from .emit_nest import CHUNK, columns_apart, is_total
from .emit_reduce import neutral, wide
from .emit_straight import replaced
from .emit_sweep import weight

PARALLEL = 100_000
"""The work (statements' weights times elements) from which on it is worth waking threads."""


def work_of(nest: Nest) -> int:
    """How much work a nest is: the weights of its statements times how often they are done."""
    rows = math.prod(nest.rows)
    return sum(sum(map(weight, stage.statements)) * rows * (nest.cols if stage.sweep else 1)
               for stage in nest.stages)

_EVEN = 8  # how many turns of the outermost loop each thread must have, for even shares


@equal_record
class Task:
    """A nest, in so many pieces along its rows, its outermost loop or its columns."""

    nest: Nest
    split: str
    pieces: int


class Share:
    """The tasks that a nest becomes.

    Args:
        nest: the nest.
        workers: how many threads there are.
        base: where in the arena memory is free.

    Attributes:
        tasks: to be done one after the other.
        end: where in the arena memory is free again.
    """

    def __init__(self, nest: Nest, workers: int, base: int) -> None:
        self.end = base
        split = _split(nest, workers)
        self.pieces = workers if split else 1
        self.split = split
        self._before: list[Nest] = []
        self._after: list[Nest] = []
        changed = self._adding(nest) | self._scratch(nest)
        main = _replaced(nest, changed) if changed else nest
        self.tasks = [Task(before, *_whole(before, workers)) for before in self._before]
        self.tasks.append(Task(main, split, self.pieces))
        self.tasks += [Task(after, *_whole(after, workers)) for after in self._after]

    def _allocate(self, size: int) -> int:
        place, self.end = self.end, self.end + -(-size // 64) * 64
        return place

    def _scratch(self, nest: Nest) -> dict[Statement, Statement]:
        """Gives the nest's scratch buffers places, each piece's next to the other's."""
        found = dict.fromkeys(s.at.buffer for s in nest.statements() if isinstance(
            s, (Load, Store)) and s.at.buffer.kind == "scratch")  # in order, as text must be
        places = {b: dataclasses.replace(b, offset=self._allocate(slice_bytes(b) * self.pieces))
                  for b in found}
        return {s: dataclasses.replace(s, at=dataclasses.replace(s.at, buffer=places[s.at.buffer]))
                for s in nest.statements()
                if isinstance(s, (Load, Store)) and s.at.buffer in places}

    def _adding(self, nest: Nest) -> dict[Statement, Statement]:
        """What becomes of stores that add up."""
        changed: dict[Statement, Statement] = {}
        for s in nest.statements():
            if not isinstance(s, Store) or not s.how or s.indirect:
                continue
            if self.split == "rows" or (self.split and is_total(nest, s)):
                changed[s] = self._parts(nest, s)
        return changed

    def _parts(self, nest: Nest, s: Store) -> Store:
        """The store to parts instead, which are begun before and added up after."""
        region = _Region(nest, s)
        kind = wide(s.how, KINDS[s.at.buffer.dtype])
        own = Buffer(kind.dtype, math.prod(region.sizes), "scratch")
        length = slice_bytes(own) // kind.size
        own.offset = self._allocate(length * self.pieces * kind.size)
        everyone = Buffer(kind.dtype, length * self.pieces, "parts", offset=own.offset)
        dense = _dense(region.sizes)
        begun = Access(everyone, (length, *dense))
        self._before.append(_fill((self.pieces, *region.sizes), begun, s.how))
        parts = [Access(everyone, dense, p * length) for p in range(self.pieces)]
        to = Access(s.at.buffer, region.strides, s.at.offset)
        self._after.append(_sum(region.sizes, s.how, parts, to))
        return Store(Access(own, region.spread(dense)), s.operand, s.how)


class _Region:
    """The places that a store adds to.

    Attributes:
        sizes: of the loops along which it moves.
        strides: along these.
    """

    def __init__(self, nest: Nest, s: Store) -> None:
        strides = (*s.at.strides, *[0] * (len(nest.rows) + 1 - len(s.at.strides)))
        self._loops = list(zip((*nest.rows, nest.cols), strides, strict=True))
        self.sizes = tuple(n for n, stride in self._loops if stride)
        self.strides = tuple(stride for _, stride in self._loops if stride)

    def spread(self, strides: Sequence[int]) -> tuple[int, ...]:
        """Strides along the region's loops as strides along the nest's."""
        left = iter(strides)
        return tuple(next(left) if stride else 0 for _, stride in self._loops)


def _split(nest: Nest, workers: int) -> str:
    """What of a nest threads share: its "rows", their "outer" loop, its "cols" or nothing."""
    rows = math.prod(nest.rows)
    if workers == 1 or work_of(nest) < PARALLEL:
        return ""
    adds = any(not is_total(nest, s) for s in _adding_stores(nest))
    if nest.cols >= 4 * CHUNK * workers and columns_apart(nest) and (adds or rows < 2 * workers):
        return "cols"
    if adds and nest.rows and nest.rows[0] >= _EVEN * workers and all(
            is_total(nest, s) or _is_apart(nest, s) for s in _adding_stores(nest)):
        return "outer"
    anywhere = any(s.indirect for s in _adding_stores(nest))
    return "rows" if rows >= workers and not anywhere else ""


def _adding_stores(nest: Nest) -> Iterator[Store]:
    return (s for s in nest.statements() if isinstance(s, Store) and s.how)


def _is_apart(nest: Nest, s: Store) -> bool:
    """Whether each turn of the outermost loop stores in a place of its own."""
    first, *others = (*s.at.strides, 0)
    reach = [*zip(others, (*nest.rows[1:], nest.cols), strict=False),
             *((stride, bound) for _, bound, stride in s.indirect)]
    return abs(first) > sum(abs(stride) * (size - 1) for stride, size in reach)


def _whole(nest: Nest, workers: int) -> tuple[str, int]:
    """The split and pieces of a nest that is easily shared."""
    split = _split(nest, workers)
    return split, workers if split else 1


def _dense(sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.prod(sizes[d + 1:]) for d in range(len(sizes)))


def _nest(sizes: Sequence[int], statements: Sequence[Statement], to: Access) -> Nest:
    """A sweep that stores the last statement's value."""
    return Nest(tuple(sizes[:-1]), sizes[-1] if sizes else 1,
                (Stage(True, (*statements, Store(to, statements[-1]))),))


def _fill(sizes: Sequence[int], to: Access, how: str) -> Nest:
    """The neutral element everywhere."""
    kind = KINDS[to.buffer.dtype]
    return _nest(sizes, [Number(kind.dtype, neutral(how, kind))], to)


def _sum(sizes: Sequence[int], how: str, parts: Sequence[Access], to: Access) -> Nest:
    """What is there and all parts, added in order."""
    dtype = parts[0].buffer.dtype
    there = Load(to.buffer.dtype, to)
    total: Statement = Op(dtype, "cast", (there,))
    statements = [there, total]
    for part in parts:
        load = Load(dtype, part)
        total = Op(dtype, how, (total, load))
        statements += [load, total]
    statements.append(Op(to.buffer.dtype, "cast", (total,)))
    return _nest(sizes, statements, to)


def _replaced(nest: Nest, changed: dict[Statement, Statement]) -> Nest:
    """A nest with some loads and stores replaced, and what uses them."""
    known: dict[Statement, Statement] = {}

    stages = []
    for stage in nest.stages:
        for s in stage.statements:
            known[s] = replaced(changed.get(s, s), known)
        stages.append(Stage(stage.sweep, tuple(known[s] for s in stage.statements)))
    return Nest(nest.rows, nest.cols, tuple(stages))
