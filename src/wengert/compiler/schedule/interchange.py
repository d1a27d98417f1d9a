"""Nests turned: another loop becomes the sweep.

    for r < 14:                            for c < 2:
      for c < 2: t = reduce add f(r, c)      for r < 14: out[r] add= f(r, c)
      out[r] add= t

Vectors are filled by a loop that is long enough, and by one along which elements lie side by side.
What was done once per row is done for each column, so only nests are turned in which that makes no
difference: without memory of a row's own, without values that a whole row adds up to, but for those
that are only added to memory.
"""

from __future__ import annotations

import dataclasses

from ..ir.nest import Access, Index, Load, Nest, Op, Reduce, Stage, Statement, Store

FEW = 8
"""Below this many columns a nest is turned, if its last row loop is at least twice as long."""


def turned(nest: Nest) -> Nest:
    """The nest with a row loop as the sweep, where that is better and changes nothing."""
    loop = _best(nest)
    if loop == len(nest.rows) or not _may_turn(nest):
        return nest
    known: dict[Statement, Statement] = {}
    for s in nest.statements():
        known[s] = _turned(s, loop, len(nest.rows), known)
    kept = tuple(x for s, x in known.items() if not isinstance(s, Reduce))
    *rows, cols = _last((*nest.rows, nest.cols), loop)
    return Nest(tuple(rows), cols, (Stage(True, kept),))


def _best(nest: Nest) -> int:
    """The loop that had better be the sweep; that which is, if there is nothing to gain."""
    last = len(nest.rows)
    if last and nest.cols < FEW and nest.rows[-1] >= 2 * nest.cols:
        last -= 1
    apart = [_apart(nest, loop) for loop in range(len(nest.rows) + 1)]
    sizes = (*nest.rows, nest.cols)
    return min((d for d in range(len(sizes)) if d == last or sizes[d] >= FEW),
               key=lambda d: (apart[d], d != last))


def _apart(nest: Nest, loop: int) -> int:
    """How many loads and stores meet elements along a loop that don't lie side by side."""
    found = 0
    for s in nest.statements():
        if isinstance(s, (Load, Store)):
            stride = s.at.strides[loop] if loop < len(s.at.strides) else 0
            found += stride not in (0, 1)
    return found


def _may_turn(nest: Nest) -> bool:
    if not any(stage.sweep for stage in nest.stages):
        return False
    written = {s.at.buffer: s.at for s in nest.statements() if isinstance(s, Store)}
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


def _turned(s: Statement, loop: int, rows: int, known: dict[Statement, Statement]) -> Statement:
    """A statement in the turned nest; a reduction is its operand there."""
    if isinstance(s, Reduce):
        return known[s.operand]
    if isinstance(s, Op):
        return dataclasses.replace(s, operands=tuple(known[x] for x in s.operands))
    if isinstance(s, Index):
        return dataclasses.replace(s, strides=_strides(s.strides, loop, rows))
    if isinstance(s, Load):
        return dataclasses.replace(s, at=_access(s.at, loop, rows))
    if isinstance(s, Store):
        return dataclasses.replace(s, at=_access(s.at, loop, rows), operand=known[s.operand])
    return s


def _access(at: Access, loop: int, rows: int) -> Access:
    return dataclasses.replace(at, strides=_strides(at.strides, loop, rows))


def _strides(strides: tuple[int, ...], loop: int, rows: int) -> tuple[int, ...]:
    return _last((*strides, *(0,) * (rows + 1 - len(strides))), loop)


def _last(loops: tuple[int, ...], loop: int) -> tuple[int, ...]:
    """What is said of loops, of one of them last."""
    return (*loops[:loop], *loops[loop + 1:], *loops[loop:loop + 1])
