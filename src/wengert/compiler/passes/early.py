"""Early lines: what is small and needs nothing large comes first.

Loops over a large array can do at once what does not wait for other loops. What is small (a sum of
weights, the cotangents of a few rows) must be there before loops begin that need it: where it is
computed from small things alone, it is.
"""

from __future__ import annotations

from ..ir.program import Block, Line, Program, Value
from ..ir.walk import downward, has_effects

LARGE = 1 << 14
"""Loops over fewer elements are not worth it."""
_FRACTION = 64
"""Small is what has this many times fewer elements than the largest array."""


def early_lines(program: Program) -> Program:
    """The program with small lines that need nothing large before all others of their block."""
    return downward(program, _ordered, {})


def _ordered(block: Block) -> list[Line]:
    largest = max(map(_size, block.lines), default=0)
    if largest < LARGE:
        return list(block.lines)
    early: list[Line] = []
    others: list[Line] = []
    late: set[Value] = set()
    for line in block.lines:
        if has_effects(line) or _size(line) * _FRACTION > largest or not (
                late.isdisjoint(line.operands)):
            others.append(line)
            late.update(line.results)
        else:
            early.append(line)
    return early + others


def _size(line: Line) -> int:
    """The elements of the largest array that a line has to do with."""
    return max((v.aval.numel for v in (*line.operands, *line.results)), default=0)
