"""How the work of a nest is shared among threads, and what its rows add up.

A store that adds up (`Store.how`) over rows needs somewhere to add: memory that begins as the
neutral element, in float64 for sums of many small floats, and for each thread its own. So such a
nest becomes up to three:

    parts[...] = neutral
    for rows ...: ...; parts[own piece][...] += value
    result[...] = parts[piece 0][...] + parts[piece 1][...] + ...

always in the same order. A total (one number of all rows) is kept in a register and needs no
memory unless there are threads. Where columns are shared rather than rows, nothing is added across
threads, and all of them add to the same parts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from ..nest import Access, Buffer, Load, Nest, Number, Op, Reduce, Stage, Statement, Store
from .emit_memory import column_stride, slice_bytes
from .emit_nest import CHUNK, is_total
from .emit_reduce import neutral, wide
from .emit_scalar import KINDS
from .emit_sweep import weight

PARALLEL = 100_000
"""The work (statements' weights times elements) from which on it is worth waking threads."""

MANY = 32
"""So many numbers are added in float64, be they float32."""


def work_of(nest: Nest) -> int:
    """How much work a nest is: the weights of its statements times how often they are done."""
    rows = math.prod(nest.rows)
    return sum(sum(map(weight, stage.statements)) * rows * (nest.cols if stage.sweep else 1)
               for stage in nest.stages)


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """A nest, in so many pieces along its rows or columns."""

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
        changed = self._stores(nest) | self._scratch(nest)
        main = _replaced(nest, changed) if changed else nest
        self.tasks = [Task(before, *_whole(before, workers)) for before in self._before]
        self.tasks.append(Task(main, split, self.pieces))
        self.tasks += [Task(after, *_whole(after, workers)) for after in self._after]

    def _allocate(self, size: int) -> int:
        place, self.end = self.end, self.end + -(-size // 64) * 64
        return place

    def _scratch(self, nest: Nest) -> dict[Statement, Statement]:
        """Gives the nest's scratch buffers places, each piece's next to the other's."""
        found = {s.at.buffer for s in _statements(nest)
                 if isinstance(s, (Load, Store)) and s.at.buffer.kind == "scratch"}
        places = {b: dataclasses.replace(b, offset=self._allocate(slice_bytes(b) * self.pieces))
                  for b in found}
        return {s: dataclasses.replace(s, at=dataclasses.replace(s.at, buffer=places[s.at.buffer]))
                for s in _statements(nest)
                if isinstance(s, (Load, Store)) and s.at.buffer in places}

    def _stores(self, nest: Nest) -> dict[Statement, Statement]:
        """What becomes of stores that add up."""
        changed: dict[Statement, Statement] = {}
        for s in _statements(nest):
            if not isinstance(s, Store) or not s.how or s.indirect:
                continue
            total, kind = is_total(nest, s), KINDS[s.at.buffer.dtype]
            small = wide(s.how, kind) is not kind and _Region(nest, s).times > MANY
            if self.split or (small and not total):
                changed[s] = self._parts(nest, s, self.split == "rows" or total)
            elif not total:
                region = _Region(nest, s)
                to = Access(s.at.buffer, region.strides, s.at.offset)
                self._before.append(_fill(region.sizes, to, s.how))
        return changed

    def _parts(self, nest: Nest, s: Store, apart: bool) -> Store:
        """The store to parts instead, which are begun before and added up after."""
        region = _Region(nest, s)
        kind = wide(s.how, KINDS[s.at.buffer.dtype])
        own = Buffer(kind.dtype, math.prod(region.sizes), "scratch" if apart else "parts")
        pieces, length = self.pieces if apart else 1, slice_bytes(own) // kind.size
        own.offset = self._allocate(length * pieces * kind.size)
        everyone = Buffer(kind.dtype, length * pieces, "parts", offset=own.offset)
        dense = _dense(region.sizes)
        if not is_total(nest, s):
            begun = Access(everyone, (length, *dense))
            self._before.append(_fill((pieces, *region.sizes), begun, s.how))
        parts = [Access(everyone, dense, p * length) for p in range(pieces)]
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

    @property
    def times(self) -> int:
        """How many numbers are added in each place."""
        return math.prod(n for n, stride in self._loops if not stride)

    def spread(self, strides: Sequence[int]) -> tuple[int, ...]:
        """Strides along the region's loops as strides along the nest's."""
        left = iter(strides)
        return tuple(next(left) if stride else 0 for _, stride in self._loops)


def _statements(nest: Nest) -> Iterator[Statement]:
    for stage in nest.stages:
        yield from stage.statements


def _split(nest: Nest, workers: int) -> str:
    """What of a nest threads share: its "rows", its "cols" or nothing."""
    rows = math.prod(nest.rows)
    if workers == 1 or work_of(nest) < PARALLEL or any(
            isinstance(s, Store) and s.how and s.indirect for s in _statements(nest)):
        return ""
    adds = any(isinstance(s, Store) and s.how and not is_total(nest, s)
               for s in _statements(nest))
    if nest.cols >= 4 * CHUNK * workers and _columns_apart(nest) and (adds or rows < 2 * workers):
        return "cols"
    return "rows" if rows >= workers else ""


def _columns_apart(nest: Nest) -> bool:
    """Whether columns have nothing to do with each other, but for totals."""
    for stage in nest.stages:
        for s in stage.statements:
            if isinstance(s, Reduce) or (isinstance(s, Store) and not stage.sweep):
                return False
            if isinstance(s, Store) and not (column_stride(s.at.strides, len(nest.rows))
                                             or s.indirect or is_total(nest, s)):
                return False
    return True


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
    """All parts, added in order."""
    dtype = parts[0].buffer.dtype
    statements: list[Statement] = [Load(dtype, part) for part in parts]
    total = statements[0]
    for part in statements[1:]:
        total = Op(dtype, how, (total, part))
        statements.append(total)
    if dtype != to.buffer.dtype:
        total = Op(to.buffer.dtype, "cast", (total,))
    return _nest(sizes, [*statements, total], to)


def _replaced(nest: Nest, changed: dict[Statement, Statement]) -> Nest:
    """A nest with some loads and stores replaced, and what uses them."""
    known: dict[Statement, Statement] = {}

    def new(s: Statement) -> Statement:
        return known.get(s, s)

    def rebuilt(s: Statement) -> Statement:
        s = changed.get(s, s)
        if isinstance(s, Op):
            return dataclasses.replace(s, operands=tuple(map(new, s.operands)))
        if isinstance(s, (Reduce, Store)):
            s = dataclasses.replace(s, operand=new(s.operand))
        if isinstance(s, (Load, Store)) and s.indirect:
            s = dataclasses.replace(s, indirect=tuple((new(i), n, by) for i, n, by in s.indirect))
        return s

    stages = []
    for stage in nest.stages:
        for s in stage.statements:
            known[s] = rebuilt(s)
        stages.append(Stage(stage.sweep, tuple(known[s] for s in stage.statements)))
    return Nest(nest.rows, nest.cols, tuple(stages))
