"""A sweep over the columns of a row, as loops over vectors.

    begin the accumulators
    for c = 0; c + U*W <= cols; c += U*W:   every statement on U vectors of W lanes
    for the columns that are left:          every statement on lanes under a mask, or one by one
    bring the accumulators together

A vector fills two registers, of which LLVM does by turns what a vector is to do: so two chains of
operations that have nothing to do with each other stand side by side, within a processor's view.
U is small where a column is some work, and vectors are of one register where it is much: there is
enough then for a processor to do at once, and there are only so many registers. So they are where
elements are picked by an index, as that is done one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..ir.nest import Index, Load, Number, Op, Reduce, Stage, Statement, Store
from .emit_code import I64, KINDS, Code
from .emit_memory import Place, column_stride, kind_of
from .emit_reduce import AnyAccumulator, accumulator
from .emit_scalar import Ops

if TYPE_CHECKING:
    from .emit_nest import NestFunction

_CHEAP = {"add", "subtract", "multiply", "where", "cast", "maximum", "minimum", "negative",
          "absolute", "positive", "square", "equal", "not_equal", "less", "less_equal", "greater",
          "greater_equal", "bitwise_and", "bitwise_or", "bitwise_xor", "invert", "logical_and",
          "logical_or", "logical_not", "logical_xor", "isnan", "isfinite", "isinf"}
_MODERATE = {"divide", "sqrt", "reciprocal", "sign", "floor", "ceil", "trunc", "rint", "heaviside",
             "copysign", "signbit", "left_shift", "right_shift", "fmax", "fmin"}
LIGHT, HEAVY = 6, 60
"""The work of a column below which a step takes several vectors, and above which it takes one that
fills no more than one register."""
ELEMENTARY = 12
"""The weight of an elementary function, or of whatever else is not in these lists."""


def weight(statement: Statement) -> int:
    """About how many cycles a vector of a statement takes."""
    if isinstance(statement, Op):
        return 1 if statement.name in _CHEAP else 3 if statement.name in _MODERATE else ELEMENTARY
    if isinstance(statement, (Load, Store)):
        return 8 if statement.indirect else 1
    return 2 if isinstance(statement, Reduce) else 0


def operands_of(statement: Statement) -> Sequence[Statement]:
    """The statements whose values a statement uses."""
    if isinstance(statement, Op):
        return statement.operands
    if isinstance(statement, Load):
        return [index for index, _, _ in statement.indirect]
    if isinstance(statement, Store):
        return [statement.operand, *(index for index, _, _ in statement.indirect)]
    return [statement.operand] if isinstance(statement, Reduce) else []


class Sweep:
    """A stage of a nest that is done for every column.

    Args:
        nest: the function that it is part of.
        stage: its statements.

    Attributes:
        widths: the lanes of each vector that an accumulator has.
    """

    def __init__(self, nest: NestFunction, stage: Stage) -> None:
        self.nest, self.code = nest, nest.code
        self.rows = len(nest.nest.rows)
        self._part(stage)
        self.lanes, self.groups = self._steps()
        self.masked = self.lanes > 1 and nest.bits > 128 and all(
            KINDS[s.at.buffer.dtype].bits >= (32 if nest.bits < 512 else 8)
            for s in self.varying if isinstance(s, (Load, Store)))
        singles = [] if self.masked or self.lanes == 1 else [1]
        self.widths = [self.lanes] * self.groups + singles

    def _steps(self) -> tuple[int, int]:
        """How many lanes a vector has, and how many vectors a step takes."""
        lanes, work = self.nest.lanes, sum(map(weight, self.varying))
        scattered = any(isinstance(s, (Load, Store)) and s.indirect for s in self.varying)
        if lanes == 1 or work > HEAVY or scattered:
            return lanes, 1
        if self.nest.shared or self.nest.nest.cols >= 2 * lanes:
            lanes *= 2
        groups = 2 if work <= LIGHT else 1
        return lanes, groups if self.nest.shared else min(groups, -(-self.nest.nest.cols // lanes))

    def _part(self, stage: Stage) -> None:
        """Statements that are the same in all columns, and others."""
        written = {s.at.buffer for s in stage.statements if isinstance(s, Store)}
        self.varying: list[Statement] = []
        self.uniform: list[Statement] = []
        moving: set[Statement] = set()
        for s in stage.statements:
            if (isinstance(s, (Store, Reduce)) or any(x in moving for x in operands_of(s))
                    or (isinstance(s, Load) and s.at.buffer in written)
                    or column_stride(_strides(s), self.rows)):
                self.varying.append(s)
                moving.add(s)
            else:
                self.uniform.append(s)

    def run(self) -> None:
        """The sweep over one row."""
        nest = self.nest
        for s in self.uniform:
            nest.plain(s)
        self._places: dict[Statement, Place] = {
            s: nest.place(s) for s in self.varying if isinstance(s, (Load, Store))}
        self._bases = {s: nest.memory.linear(s.offset, s.strides[:self.rows], nest.counters)
                       for s in self.varying if isinstance(s, Index)}
        self._accumulators: dict[Statement, AnyAccumulator] = {
            s: self._begin(s) for s in self.varying
            if isinstance(s, Reduce) or (isinstance(s, Store) and self._is_one_number(s))}
        self._columns()
        for s, found in self._accumulators.items():
            if isinstance(s, Reduce):
                nest.values[s] = nest.row.cast(found.result(), found.result_kind, kind_of(s))
            elif isinstance(s, Store) and s not in nest.totals:
                nest.combine(nest.row, self._places[s], found.result(), found.result_kind, s.how)

    def _is_one_number(self, s: Store) -> bool:
        """Whether a store adds up all columns in one place."""
        return s.how != "" and not s.indirect and not column_stride(s.at.strides, self.rows)

    def _begin(self, s: Reduce | Store) -> AnyAccumulator:
        """A statement's accumulator: begun anew, unless it is for all rows."""
        if isinstance(s, Store) and s in self.nest.totals:
            return self.nest.totals[s]
        found = self.accumulator(s)
        found.reset()
        return found

    def accumulator(self, s: Reduce | Store) -> AnyAccumulator:
        """An accumulator for a reduction, or for a store that adds up."""
        kind = kind_of(s.operand)
        if isinstance(s, Store):
            kind = KINDS[s.at.buffer.dtype]
        elif not s.how.startswith("arg"):
            kind = kind_of(s)
        return accumulator(self.code, s.how, kind, self.widths)

    # --- loops --------------------------------------------------------------------------------

    def _columns(self) -> None:
        nest = self.nest
        first, stop = nest.first_column, nest.stop_column
        step = self.lanes * self.groups
        end = self._last(first, stop, step)
        inline = nest.shared  # where it is called, a function need not be compiled all over again
        self._loop(Ops(self.code, self.lanes, inline=inline), self.groups, first, end)
        if end != stop:
            inline = inline and sum(weight(s) == ELEMENTARY for s in self.varying) <= 2
            rest = Ops(self.code, self.lanes if self.masked else 1, inline=inline)
            rest.mask = "" if self.masked else None
            self._loop(rest, 1, end, stop)

    def _last(self, first: str, stop: str, step: int) -> str:
        """Where the last whole step ends."""
        if step == 1:
            return stop
        if first.isdigit() and stop.isdigit():
            return str(int(stop) - (int(stop) - int(first)) % step)
        count = self.code.let(f"sub i64 {stop}, {first}")
        rest = self.code.let(f"urem i64 {count}, {step}")
        return self.code.let(f"sub i64 {stop}, {rest}")

    def _loop(self, o: Ops, groups: int, first: str, stop: str) -> None:
        """The columns of a range; those that exist only, if `o` has a mask."""
        masked = o.mask is not None
        known = {x: self._spread(o, x) for s in self.varying for x in operands_of(s)
                 if x in self.nest.values}

        def body(column: str) -> None:
            columns = [column] + [_plus(self.code, column, g * o.lanes) for g in range(1, groups)]
            if masked:
                there = o.binary("add", I64, o.splat(I64, column), o.steps())
                o.mask = o.compare("slt", I64, there, o.splat(I64, stop))
            values = [dict(known) for _ in columns]
            for s in self.varying:
                for group, (own, at) in enumerate(zip(values, columns, strict=True)):
                    self._statement(o, s, own, at, group)

        self.nest.repeat(first, stop, o.lanes * groups, body)

    def _spread(self, o: Ops, s: Statement) -> str:
        """A row's value, in all lanes."""
        kind, value = kind_of(s), self.nest.values[s]
        if isinstance(s, Number) and not value.startswith("%"):
            return o.number(kind, s.value)
        return o.splat(kind, value)

    def _statement(self, o: Ops, s: Statement, values: dict[Statement, str], column: str,
                   group: int) -> None:
        if isinstance(s, (Reduce, Store)) and s in self._accumulators:
            part = group if o.lanes == self.lanes else len(self.widths) - 1
            self._accumulators[s].update(o, part, values[s.operand], kind_of(s.operand), column)
        elif isinstance(s, Store):
            self.nest.combine(o, self._places[s], values[s.operand], kind_of(s.operand), s.how,
                              column, [values[x] for x, _, _ in self._places[s].varying])
        elif isinstance(s, Load):
            values[s] = self.nest.memory.load(
                o, self._places[s], column, [values[x] for x, _, _ in self._places[s].varying])
        elif isinstance(s, Index):
            values[s] = self._index(o, s, column)
        elif isinstance(s, Op):
            values[s] = o.apply(s.name, kind_of(s), [values[x] for x in s.operands],
                                [kind_of(x) for x in s.operands])

    def _index(self, o: Ops, s: Index, column: str) -> str:
        columns = o.binary("add", I64, o.splat(I64, column), o.steps())
        stride = self.nest.memory.size(column_stride(s.strides, self.rows))
        moved = o.binary("mul", I64, columns, o.splat(I64, stride))
        return o.binary("add", I64, moved, o.splat(I64, self._bases[s]))


def _strides(s: Statement) -> Sequence[int]:
    if isinstance(s, Load):
        return s.at.strides
    return s.strides if isinstance(s, Index) else ()


def _plus(code: Code, column: str, more: int) -> str:
    if column.isdigit():
        return str(int(column) + more)
    return code.let(f"add nsw i64 {column}, {more}")
