"""Sweeps over a few columns, turned: the innermost row loop becomes the sweep.

    for r < 14:                            for c < 2:
      for c < 2: t = reduce add f(r, c)      for r < 14: out[r] add= f(r, c)
      out[r] add= t

Vectors are filled by a loop that is long enough. What was done once per row is done for each
column, so only nests are turned in which that makes no difference: without memory of a row's own,
without values that a whole row adds up to, but for those that are only added to memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ..nest import Access, Index, Load, Nest, Op, Reduce, Stage, Statement, Store

FEW = 8
"""Below this many columns a nest is turned, if it has a row loop at least twice as long."""


def turned(nest: Nest) -> Nest:
    """The nest with its last row loop as the sweep, where that is better and changes nothing."""
    if not nest.rows or nest.cols >= FEW or nest.rows[-1] < 2 * nest.cols or not _may_turn(nest):
        return nest
    known: dict[Statement, Statement] = {}
    for s in _statements(nest):
        known[s] = _turned(s, len(nest.rows), known)
    kept = tuple(x for s, x in known.items() if not isinstance(s, Reduce))
    return Nest((*nest.rows[:-1], nest.cols), nest.rows[-1], (Stage(True, kept),))


def _statements(nest: Nest) -> Iterator[Statement]:
    for stage in nest.stages:
        yield from stage.statements


def _may_turn(nest: Nest) -> bool:
    if not any(stage.sweep for stage in nest.stages):
        return False
    written = {s.at.buffer: s.at for s in _statements(nest) if isinstance(s, Store)}
    for stage in nest.stages:
        for s in stage.statements:
            if isinstance(s, (Load, Store)) and (s.indirect or s.at.buffer.kind == "scratch"):
                return False
            if isinstance(s, Load) and s.at.buffer in written and not (
                    stage.sweep and s.at == written[s.at.buffer]):
                return False
            if isinstance(s, Store) and not stage.sweep and not _adds_up(s):
                return False
            if isinstance(s, Reduce) and not (
                    isinstance(s.operand, (Op, Load)) and s.operand.dtype == s.dtype):
                return False
            if any(isinstance(x, Reduce) for x in _operands(s)) and not isinstance(s, Store):
                return False
    return True


def _adds_up(s: Store) -> bool:
    """Whether a row's store adds what the row has added up in the same way."""
    return isinstance(s.operand, Reduce) and s.operand.how == s.how


def _operands(s: Statement) -> tuple[Statement, ...]:
    if isinstance(s, Op):
        return s.operands
    return (s.operand,) if isinstance(s, (Reduce, Store)) else ()


def _turned(s: Statement, rows: int, known: dict[Statement, Statement]) -> Statement:
    """A statement in the turned nest; a reduction is its operand there."""
    if isinstance(s, Reduce):
        return known[s.operand]
    if isinstance(s, Op):
        return dataclasses.replace(s, operands=tuple(known[x] for x in s.operands))
    if isinstance(s, Index):
        return dataclasses.replace(s, strides=_swapped(s.strides, rows))
    if isinstance(s, Load):
        return dataclasses.replace(s, at=_access(s.at, rows))
    if isinstance(s, Store):
        return dataclasses.replace(s, at=_access(s.at, rows), operand=known[s.operand])
    return s


def _access(at: Access, rows: int) -> Access:
    return dataclasses.replace(at, strides=_swapped(at.strides, rows))


def _swapped(strides: tuple[int, ...], rows: int) -> tuple[int, ...]:
    """Strides with those of the last row loop and the columns swapped."""
    whole = (*strides, *(0,) * (rows + 1 - len(strides)))
    return (*whole[:rows - 1], whole[rows], whole[rows - 1])
