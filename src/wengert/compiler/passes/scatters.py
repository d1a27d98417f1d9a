"""Scatters: what is put among zeros at indices, and then added to an array, needs no zeros.

The gradient of `x[i]` is an array of zeros with the cotangent added at the indices. It is then
added to the rest of the gradient, and summed along dimensions, as by the rule of log-softmax:

    n = index_put(0, v, i, j)     n - x                     is   index_put(0 - x, v, i, j)
                                  sum(n) over j's dim       is   index_put(0, v, i)

Neither reads nor writes the zeros. Where indices pick a place several times, what is added up there
is added in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...primitives.elementwise import add, neg, sub
from ...primitives.indexing import index_put
from ...primitives.reductions import sum_
from ..ir.program import Block, Constant, Line, Program, Value
from ..ir.records import record
from ..ir.regions import dense
from ..ir.uniform import is_zero, spread
from ..ir.views import strided
from ..ir.walk import downward, ends


def scatters(program: Program) -> Program:
    """The program with scatters that are added to something without zeros."""
    puts = _puts(program)
    if not puts:
        return program

    def lines(block: Block) -> list[Line]:
        found: list[Line] = []
        for line in block.lines:
            put = next((puts[v] for v in line.operands if v in puts), None)
            if put is not None:
                found += put.summed(line) if line.primitive is sum_ else put.added(line)
            elif not any(v in puts for v in line.results):
                found.append(line)
        return found

    return downward(program, lines, {})


@record
class _Put:
    """A scatter among zeros.

    Attributes:
        line: what makes it.
        place: the first of the adjacent dimensions that its indices are for.
    """

    line: Line
    place: int

    def does(self, user: Line | None) -> str:
        """What a line does with it: "sum", "add", or "" for anything else."""
        n = self.line.result
        if user is None:
            return ""
        if user.primitive is sum_:
            return "sum" if user.result.aval.dtype is n.aval.dtype and self._kept(user) else ""
        alike = all(v.aval.shape == n.aval.shape and v.aval.dtype is n.aval.dtype
                    for v in (*user.operands, *user.results))
        once = user.operands.count(n) == 1
        return "add" if user.primitive in (add, sub) and alike and once else ""

    def _kept(self, user: Line) -> tuple[int, ...]:
        """Which of the indices a sum keeps; none if it isn't over indices' dimensions alone."""
        dims, count = user.params["dims"], len(self.line.operands) - 2
        if not all(self.place <= d < self.place + count for d in dims):
            return ()
        kept = tuple(k for k in range(count) if self.place + k not in dims)
        adjacent = bool(kept) and kept == tuple(range(kept[0], kept[-1] + 1))
        return kept if adjacent else ()

    def summed(self, user: Line) -> list[Line]:
        """A sum of it."""
        zeros, v, *indices = self.line.operands
        assert isinstance(zeros, Constant)
        kept, result = self._kept(user), user.result
        shape = tuple(n for d, n in enumerate(zeros.aval.shape) if d not in user.params["dims"])
        pattern: list[Any] = [(None, None, None)] * len(shape)
        pattern[self.place:self.place + len(kept)] = range(len(kept))
        small = result if result.aval.shape == shape else Value(zeros.aval.with_shape(shape))
        put = Line(index_put, (spread(zeros.array, shape), v, *(indices[k] for k in kept)),
                   {"pattern": tuple(pattern), "accumulate": True}, (small,))
        whole = dense(tuple(result.aval.shape)).params
        return [put] if small is result else [put, Line(strided, (small,), whole, (result,))]

    def added(self, user: Line) -> list[Line]:
        """A sum or difference of it and something else."""
        zeros, v, *indices = self.line.operands
        first = user.operands[0] is self.line.result
        x = user.operands[1 if first else 0]
        base, lines = x, []
        if user.primitive is add:
            base = Value(x.aval)
            lines.append(Line(add, (x, Constant(np.zeros((), x.aval.numpy))), {}, (base,)))
        elif first:
            base = Value(x.aval)
            lines.append(Line(sub, (zeros, x), {}, (base,)))
        else:
            minus = Value(v.aval)
            lines.append(Line(neg, (v,), {}, (minus,)))
            v = minus
        return [*lines, Line(index_put, (base, v, *indices), self.line.params, (user.result,))]


def _puts(program: Program) -> dict[Value, _Put]:
    """The scatters among zeros that are added to one thing, and at most summed besides."""
    found = {line.result: put for block in program.body.blocks() for line in block.lines
             if (put := _put(line)) is not None}
    users: dict[Value, list[Line | None]] = {value: [] for value in found}
    for block in program.body.blocks() if found else ():
        for line in block.lines:
            for v in dict.fromkeys(line.operands):
                if v in users:
                    users[v].append(line)
        for v in ends(block):
            if v in users:
                users[v].append(None)
    free: dict[Value, _Put] = {}
    taken: set[Line | None] = set()  # of two that are added, one has to be there
    for value, put in found.items():
        adding = _adding(put, users[value])
        if adding is not None and adding not in taken:
            free[value] = put
            taken.add(adding)
    return free


def _adding(put: _Put, users: Sequence[Line | None]) -> Line | None:
    """The line that adds it to something, if nothing needs the zeros; None if something does, or
    if the indices would not be checked once more."""
    done = [put.does(user) for user in users]
    return users[done.index("add")] if "" not in done and done.count("add") == 1 else None


def _put(line: Line) -> _Put | None:
    if line.primitive is not index_put or not line.params["accumulate"]:
        return None
    zeros, _, *indices = line.operands
    pattern, count = line.params["pattern"], len(indices)
    if not is_zero(zeros) or zeros.aval.foreign or any(
            i.aval.numpy.kind != "i" or i.aval.shape != indices[0].aval.shape for i in indices):
        return None
    first = pattern.index(0)
    place = zeros.aval.ndim - len(pattern[first:]) if Ellipsis in pattern[:first] else first
    return _Put(line, place) if pattern[first:first + count] == tuple(range(count)) else None
