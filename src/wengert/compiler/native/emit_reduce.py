"""Combining many numbers to one: partial results lane by lane, and what they come to in the end.

The order in which numbers are combined depends on how many there are and on the width of the
machine's vectors, on nothing else: results are the same from run to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .emit_code import BOOL, F16, F32, F64, I64, Code, Kind
from .emit_scalar import Ops


def wide(how: str, kind: Kind) -> Kind:
    """The kind in which numbers are combined: sums of small floats are kept in float64."""
    return F64 if kind in (F16, F32) and how in ("add", "multiply") else kind


def neutral(how: str, kind: Kind) -> Any:
    """The number that changes nothing when combined.

    Raises:
        NotImplementedError: for a way of combining that has none.
    """
    if how in ("add", "logical_or", "logical_xor", "bitwise_or", "bitwise_xor"):
        return 0
    if how in ("multiply", "logical_and"):
        return 1
    if how == "bitwise_and":
        return True if kind is BOOL else -1
    lowest = how in ("maximum", "fmax", "argmax")
    if not lowest and how not in ("minimum", "fmin", "argmin"):
        raise NotImplementedError(f"a reduction by {how} in native code")
    if kind is BOOL:
        return not lowest
    if kind.sort == "f":
        return (np.nan if how.startswith("fm") else -np.inf if lowest else np.inf)
    limits = np.iinfo(kind.dtype)
    return limits.min if lowest else limits.max


class Accumulator:
    """Partial results of one reduction, which `update` adds to and `result` brings together.

    Args:
        code: where to.
        how: the ufunc that combines.
        kind: of the result.
        widths: lanes of each partial result.
    """

    def __init__(self, code: Code, how: str, kind: Kind, widths: Sequence[int]) -> None:
        self.code, self.how, self.result_kind = code, how, kind
        self.kind = wide(how, kind)
        self.parts = [(Ops(code, lanes), code.variable(Ops(code, lanes).type(self.kind.text)))
                      for lanes in widths]

    def reset(self) -> None:
        """Begins anew."""
        for o, place in self.parts:
            start = o.number(self.kind, neutral(self.how, self.kind))
            self.code.do(f"store {o.type(self.kind.text)} {start}, ptr {place}")

    def update(self, o: Ops, part: int, value: str, kind: Kind, column: str) -> None:
        """Adds the numbers of a register to a partial result of as many lanes."""
        place = self.parts[part][1]
        value = o.cast(value, kind, self.kind)
        if o.mask is not None:
            value = o.select(self.kind, o.mask, value,
                             o.number(self.kind, neutral(self.how, self.kind)))
        old = self._read(o, place)
        self.code.do(f"store {o.type(self.kind.text)} {self._combine(o, old, value)}, ptr {place}")

    def result(self) -> str:
        """All partial results together, in the result's kind."""
        found = [(o, self._read(o, place)) for o, place in self.parts]
        widest = found[0][0]
        same = [value for o, value in found if o.lanes == widest.lanes]
        while len(same) > 1:
            same = [self._combine(widest, *same[i:i + 2]) if len(same[i:i + 2]) == 2 else same[i]
                    for i in range(0, len(same), 2)]
        total = self._across(widest, same[0])
        one = Ops(self.code)
        for o, value in found:
            if o.lanes != widest.lanes:
                total = self._combine(one, total, self._across(o, value))
        return one.cast(total, self.kind, self.result_kind)

    def _read(self, o: Ops, place: str) -> str:
        return self.code.let(f"load {o.type(self.kind.text)}, ptr {place}")

    def _combine(self, o: Ops, a: str, b: str) -> str:
        return o.apply(self.how, self.kind, [a, b], [self.kind, self.kind])

    def _across(self, o: Ops, value: str) -> str:
        """The lanes of a register combined: one half with the other, until one is left."""
        while o.lanes > 1:
            half = o.lanes // 2
            low, high = (self.code.let(
                f"shufflevector {o.type(self.kind.text)} {value}, {o.type(self.kind.text)} poison, "
                f"<{half} x i32> <{', '.join(f'i32 {i}' for i in range(first, first + half))}>")
                for first in (0, half))
            o = Ops(self.code, half)
            if half == 1:
                low, high = (self.code.let(f"extractelement <1 x {self.kind.text}> {v}, i64 0")
                             for v in (low, high))
            value = self._combine(o, low, high)
        return value


class PlaceAccumulator:
    """Partial results of argmax or argmin: lane by lane the extreme and its first column."""

    def __init__(self, code: Code, how: str, kind: Kind, widths: Sequence[int]) -> None:
        self.code, self.how, self.kind, self.result_kind = code, how, kind, I64
        self.parts = []
        for lanes in widths:
            o = Ops(code, lanes)
            self.parts.append((o, code.variable(o.type(kind.text)), code.variable(o.type("i64"))))

    def reset(self) -> None:
        """Begins anew: with a place that any column comes before."""
        for o, best, place in self.parts:
            worst = o.number(self.kind, neutral(self.how, self.kind))
            self.code.do(f"store {o.type(self.kind.text)} {worst}, ptr {best}")
            self.code.do(f"store {o.type('i64')} {o.number(I64, np.iinfo(np.int64).max)}, "
                         f"ptr {place}")

    def update(self, o: Ops, part: int, value: str, kind: Kind, column: str) -> None:
        """Compares the numbers of a register, which begins at a column, with the best so far."""
        _, best, place = self.parts[part]
        columns = o.binary("add", I64, o.splat(I64, column), o.steps())
        self._keep(o, best, place, value, columns)

    def result(self) -> str:
        """The column, an int64."""
        one = Ops(self.code)
        best, place = self.code.variable(self.kind.text), self.code.variable("i64")
        first = True
        for o, bests, places in self.parts:
            values = self.code.let(f"load {o.type(self.kind.text)}, ptr {bests}")
            columns = self.code.let(f"load {o.type('i64')}, ptr {places}")
            for lane in range(o.lanes):
                value, column = o.extract(self.kind, values, lane), o.extract(I64, columns, lane)
                if first:
                    self.code.do(f"store {self.kind.text} {value}, ptr {best}")
                    self.code.do(f"store i64 {column}, ptr {place}")
                    first = False
                else:
                    self._keep(one, best, place, value, column)
        return self.code.let(f"load i64, ptr {place}")

    def _keep(self, o: Ops, best: str, place: str, value: str, column: str) -> None:
        """Keeps the better of two: what is more extreme, NaN above all; among equals the first."""
        type = o.type(self.kind.text)
        old = self.code.let(f"load {type}, ptr {best}")
        where = self.code.let(f"load {o.type('i64')}, ptr {place}")
        relation = "greater" if self.how == "argmax" else "less"
        better = o.apply(relation, BOOL, [value, old], [self.kind] * 2)
        equal = o.apply("equal", BOOL, [value, old], [self.kind] * 2)
        if self.kind.sort == "f":
            new_nan, old_nan = (o.apply("isnan", BOOL, [v], [self.kind]) for v in (value, old))
            neither = o.binary("xor", BOOL, old_nan, o.number(BOOL, True))
            better = o.binary("or", BOOL, better, o.binary("and", BOOL, new_nan, neither))
            equal = o.binary("or", BOOL, equal, o.binary("and", BOOL, new_nan, old_nan))
        earlier = o.compare("slt", I64, column, where)
        better = o.binary("or", BOOL, better, o.binary("and", BOOL, equal, earlier))
        if o.mask is not None:
            better = o.binary("and", BOOL, better, o.mask)
        self.code.do(f"store {type} {o.select(self.kind, better, value, old)}, ptr {best}")
        self.code.do(f"store {o.type('i64')} {o.select(I64, better, column, where)}, ptr {place}")


AnyAccumulator = Accumulator | PlaceAccumulator


def accumulator(code: Code, how: str, kind: Kind, widths: Sequence[int]) -> AnyAccumulator:
    """The accumulator for a way of combining; `kind` is the operands'."""
    return (PlaceAccumulator if how.startswith("arg") else Accumulator)(code, how, kind, widths)
