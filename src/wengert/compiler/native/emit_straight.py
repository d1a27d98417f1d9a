"""Long straight lines, cut into functions of a length that LLVM digests in linear time.

What one part computes and a later one uses goes through memory:

    part 0: a = load x; b = sin(a); values[0] = b
    part 1: b = values[0]; c = b * b; store c
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..nest import Access, Buffer, Load, Nest, Number, Op, Stage, Statement, Store
from .emit_sweep import kind_of, operands_of

LENGTH = 1000
"""Statements in one function."""


def is_long(nest: Nest) -> bool:
    """Whether a nest is a straight line to be cut."""
    return not nest.rows and len(nest.stages) == 1 and not nest.stages[0].sweep and (
        len(nest.stages[0].statements) > LENGTH)


def parts(nest: Nest) -> tuple[list[Nest], Buffer]:
    """A long nest as several, and the memory by which they hand on values."""
    (stage,) = nest.stages
    statements = list(sunk(stage.statements))
    pieces = [statements[i:i + LENGTH] for i in range(0, len(statements), LENGTH)]
    return _Cut(pieces).nests()


def sunk(statements: Sequence[Statement]) -> Iterator[Statement]:
    """Statements with loads where they are first used, but before any store."""
    waiting: dict[Statement, None] = {}
    for s in statements:
        if isinstance(s, Load) and not s.indirect:
            waiting[s] = None
            continue
        first = list(waiting) if isinstance(s, Store) else [
            x for x in dict.fromkeys(operands_of(s)) if x in waiting]
        for load in first:
            del waiting[load]
            yield load
        yield s
