"""A nest of loops as a native function.

Rows are counted through, and each row's stages done one after the other: statements once, sweeps
as loops over vectors (`emit_sweep.py`). Memory of the function's own (accumulators, counters) is
left to LLVM to keep in registers.

A function that leaves its numbers `open` (`emit_numbers.py`) serves all nests of its form. The
work of a `shared` one may be split into pieces, for threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..ir.nest import Access, Buffer, Index, Load, Nest, Number, Op, Reduce, Stage, Statement, Store
from .emit_code import KINDS, Code, Kind
from .emit_elementary import Definitions
from .emit_memory import Memory, Place, column_stride, kind_of
from .emit_reduce import AnyAccumulator, accumulator
from .emit_scalar import Ops
from .emit_sweep import Sweep

CHUNK = 64
"""Columns are split between threads at multiples of this: whole cache lines, whole vectors."""

FEW = 64
"""Columns up to which a module's own function of several rows is made for just so many: a row is a
few steps, which are written out."""


def lanes_of(nest: Nest, bits: int) -> int:
    """How many numbers a vector has in a nest's sweeps, on a machine with vectors of `bits`."""
    statements = [s for stage in nest.stages if stage.sweep for s in stage.statements]
    if any(isinstance(s, Store) and s.how and s.indirect for s in statements):
        return 1  # the same place may come twice in a vector
    kinds = [kind_of(s) for s in statements
             if isinstance(s, Load) or (isinstance(s, Op) and s.name != "cast")]
    kinds = kinds or [KINDS[s.at.buffer.dtype] for s in statements if isinstance(s, Store)]
    widths = [max(k.bits, 32) for k in kinds if k.sort == "f"] or [k.bits for k in kinds]
    return bits // max(widths, default=64)


class NestFunction:
    """One nest as text.

    Args:
        nest: the nest.
        definitions: collects what the function calls.
        bits: the width of the machine's vectors.
        shared: whether it is a function for threads, who share its work; else it is the module's
            own.
        open: whether numbers are read at run time; else they are part of the text.
        split: what the pieces divide: "rows", "outer" (their outermost loop), "cols" or ""
            (nothing).

    Attributes:
        memory: the buffers and numbers that the function is to be given.
        code: its text.
    """

    def __init__(self, nest: Nest, definitions: Definitions, bits: int, *, shared: bool = False,
                 open: bool = True, split: str = "") -> None:
        self.nest, self.bits, self.shared, self.split = nest, bits, shared, split
        self.code = Code(definitions)
        self.memory = Memory(self.code, shared, open)
        self.row = self.memory.one
        self.lanes = lanes_of(nest, bits)
        if not shared:
            self.lanes = min(self.lanes, 1 << max(nest.cols - 1, 0).bit_length())
        self.count = math.prod(nest.rows)
        few = not shared and nest.cols <= FEW and self.count > 1
        self.columns = str(nest.cols) if few else self.memory.size(nest.cols)
        self.values: dict[Statement, str] = {}  # a row's
        self.totals: dict[Store, AnyAccumulator] = {}  # all rows'
        self.counters: tuple[str, ...] = ()
        self.first_column, self.stop_column = "0", self.columns
        self.stages = [Sweep(self, stage) if stage.sweep else stage for stage in nest.stages]
        self._run()

    def text(self, name: str, attributes: str = "") -> str:
        """The function's definition; `name` begins with @."""
        code, memory = self.code, self.memory
        if self.shared:
            head = f"define void {name}(i64 %piece, i64 %pieces, ptr %context)"
        else:
            head = f"define internal i64 {name}({memory.parameters()})"
        status = ["%status = alloca i64", "store i64 0, ptr %status"] if code.fails else []
        return "\n".join([f"{head} nounwind {attributes} {{", "entry:", *code.top, *status,
                          *memory.prologue(), "br label %start", "start:", *code.lines,
                          *self._leave(), "}", ""])

    def _leave(self) -> list[str]:
        """The function's last lines: the status is returned, or stored if it isn't 0."""
        read = ["%result = load i64, ptr %status"] if self.code.fails else []
        if not self.shared:
            return [*read, f"ret i64 {'%result' if read else 0}"]
        if not read:
            return ["ret void"]
        return [*read, "%failed = icmp ne i64 %result, 0",
                "br i1 %failed, label %tell, label %leave", "tell:",
                "store atomic i64 %result, ptr %context monotonic, align 8", "br label %leave",
                "leave:", "ret void"]

    # --- loops --------------------------------------------------------------------------------

    def _run(self) -> None:
        """All rows, or the piece's rows or columns; then what they came to in total."""
        first, stop = "0", self.memory.size(self.count)
        if self.split == "rows":
            first, stop = self._share(stop)
        elif self.split == "outer":
            inner = self.memory.size(self.count // self.nest.rows[0])
            turns = self._share(self.memory.size(self.nest.rows[0]))
            first, stop = (self.code.let(f"mul i64 {turn}, {inner}") for turn in turns)
        elif self.split == "cols":
            self.first_column, self.stop_column = self._columns()
        for stage in self.stages:
            self._begin_totals(stage)
        if self.shared and is_tiled(self.nest):
            self._tiles(first, stop)
        else:
            self._rows(first, stop)
        self.counters = ("0",) * len(self.nest.rows)
        for store, total in self.totals.items():
            self._store(store, total.result(), total.result_kind, store.how)

    def _tiles(self, first: str, stop: str) -> None:
        """A few columns of all rows, then the next: memory that is walked across stays near."""
        begin, end = self.first_column, self.stop_column

        def tile(column: str) -> None:
            after = self.code.let(f"add nsw i64 {column}, {CHUNK}")
            self.first_column = column
            self.stop_column = self.code.let(f"call i64 @llvm.smin.i64(i64 {after}, i64 {end})")
            self._rows(first, stop)

        self.repeat(begin, end, CHUNK, tile)

    def _share(self, count: str) -> tuple[str, str]:
        """The piece's part of so many things: from, to."""
        let = self.code.let
        following = let("add i64 %piece, 1")
        parts = [let(f"mul i64 {count}, {number}") for number in ("%piece", following)]
        first, stop = (let(f"udiv i64 {part}, %pieces") for part in parts)
        return first, stop

    def _columns(self) -> tuple[str, str]:
        """The piece's columns: from, to."""
        let = self.code.let
        chunks = let(f"udiv i64 {let(f'add i64 {self.stop_column}, {CHUNK - 1}')}, {CHUNK}")
        first, stop = (let(f"mul i64 {part}, {CHUNK}") for part in self._share(chunks))
        return (let(f"call i64 @llvm.smin.i64(i64 {first}, i64 {self.stop_column})"),
                let(f"call i64 @llvm.smin.i64(i64 {stop}, i64 {self.stop_column})"))

    def repeat(self, first: str, stop: str, step: int, body: Callable[[str], None]) -> None:
        """`body` for every step-th number from first to below stop."""
        if first.isdigit() and stop.isdigit() and int(stop) - int(first) <= step:
            if int(stop) > int(first):
                body(first)
            return
        with self.code.loop(first, stop, step) as i:
            body(i)

    def _rows(self, first: str, stop: str) -> None:
        """The rows of a range: the variables of their loops are counted on, as the miles of a car
        are, which is quicker than to work them out of the row's number."""
        moving = [d for d, size in enumerate(self.nest.rows) if size != 1]
        if len(moving) < 2:
            counters = ["0"] * len(self.nest.rows)

            def row(number: str) -> None:
                for d in moving:
                    counters[d] = number
                self._one_row(counters)

            self.repeat(first, stop, 1, row)
            return
        places = {d: self.code.variable("i64") for d in moving}
        for d, start in zip(moving, self._unravel(first), strict=True):
            self.code.do(f"store i64 {start}, ptr {places[d]}")
        with self.code.loop(first, stop):
            counters = ["0"] * len(self.nest.rows)
            for d in moving:
                counters[d] = self.code.let(f"load i64, ptr {places[d]}")
            self._one_row(counters)
            self._count_on(counters, places)

    def _one_row(self, counters: Sequence[str]) -> None:
        self.counters = tuple(counters)
        for stage in self.stages:
            if isinstance(stage, Sweep):
                stage.run()
            else:
                for statement in stage.statements:
                    self.plain(statement)

    def _unravel(self, number: str) -> list[str]:
        """The variables of the row loops that turn, given how many rows come before."""
        sizes = [size for size in self.nest.rows if size != 1]
        if number == "0":
            return ["0"] * len(sizes)
        found = []
        for size in reversed(sizes[1:]):
            turns = self.memory.size(size, "rows")
            found.append(self.code.let(f"urem i64 {number}, {turns}"))
            number = self.code.let(f"udiv i64 {number}, {turns}")
        return [number, *reversed(found)]

    def _count_on(self, counters: Sequence[str], places: dict[int, str]) -> None:
        """Sets the variables of the row loops to the next row's."""
        let, carry = self.code.let, "true"
        for d, place in reversed(places.items()):
            following = let(f"add nuw nsw i64 {counters[d]}, {let(f'zext i1 {carry} to i64')}")
            size = self.memory.size(self.nest.rows[d], "rows")
            carry = let(f"icmp eq i64 {following}, {size}")
            self.code.do(f"store i64 {let(f'select i1 {carry}, i64 0, i64 {following}')}, "
                         f"ptr {place}")

    # --- statements per row -------------------------------------------------------------------

    def plain(self, s: Statement) -> None:
        """A statement that is evaluated once per row."""
        if isinstance(s, Op):
            self.values[s] = self.row.apply(s.name, KINDS[s.dtype],
                                            [self.values[x] for x in s.operands],
                                            [kind_of(x) for x in s.operands])
        elif isinstance(s, Load):
            self.values[s] = self.memory.load(self.row, self.place(s))
        elif isinstance(s, Number):
            self.values[s] = self.memory.numbers.constant(KINDS[s.dtype], s.value)
        elif isinstance(s, Store):
            self._plain_store(s)
        elif isinstance(s, Index):
            self.values[s] = self.memory.linear(s.offset, s.strides, self.counters)
        else:
            raise AssertionError("a reduction outside of a sweep")

    def _plain_store(self, s: Store) -> None:
        value, kind = self.values[s.operand], kind_of(s.operand)
        if s in self.totals:
            self.totals[s].update(self.row, 0, value, kind, "0")
        else:
            self._store(s, value, kind, s.how)

    def _store(self, s: Store, value: str, kind: Kind, how: str) -> None:
        self.combine(self.row, self.place(s), value, kind, how)

    def place(self, s: Load | Store) -> Place:
        """Where a statement's elements of this row lie."""
        return self.memory.place(s.at, s.indirect, self.counters, self.values)

    def combine(self, o: Ops, place: Place, value: str, kind: Kind, how: str, column: str = "0",
                indices: Sequence[str] = ()) -> None:
        """Stores a register, combined with what is there if `how` says so."""
        value = o.cast(value, kind, place.kind)
        if how:
            there = self.memory.load(o, place, column, indices)
            value = o.apply(how, place.kind, [there, value], [place.kind] * 2)
        self.memory.store(o, place, value, column, indices)

    # --- totals: what all rows add to one number ----------------------------------------------

    def _begin_totals(self, stage: Sweep | Stage) -> None:
        statements = stage.varying if isinstance(stage, Sweep) else stage.statements
        for s in statements:
            if isinstance(s, Store) and s.how and is_total(self.nest, s):
                found = stage.accumulator(s) if isinstance(stage, Sweep) else accumulator(
                    self.code, s.how, KINDS[s.at.buffer.dtype], [1])
                found.reset()
                self.totals[s] = found


def is_total(nest: Nest, s: Store) -> bool:
    """Whether a store adds all that it is given to one number."""
    moving = any(stride for stride, size in zip(s.at.strides, (*nest.rows, 2), strict=False)
                 if size != 1)
    return not (s.indirect or moving)


def is_tiled(nest: Nest) -> bool:
    """Whether a nest walks across its memory, and its columns may be done in any order."""
    rows = len(nest.rows)
    across = any(abs(column_stride(s.at.strides, rows)) > 1 for stage in nest.stages
                 for s in stage.statements if stage.sweep and isinstance(s, (Load, Store)))
    return across and math.prod(nest.rows) > 1 and columns_apart(nest)


def columns_apart(nest: Nest) -> bool:
    """Whether columns have nothing to do with each other, but for totals."""
    written: dict[Buffer, Access] = {}
    for stage in nest.stages:
        for s in stage.statements:
            if isinstance(s, Reduce) or (isinstance(s, Store) and (not stage.sweep or s.indirect)):
                return False
            if isinstance(s, Load) and written.get(s.at.buffer, s.at) != s.at:
                return False
            if isinstance(s, Store):
                written[s.at.buffer] = s.at
                if not (column_stride(s.at.strides, len(nest.rows)) or is_total(nest, s)):
                    return False
    return True
