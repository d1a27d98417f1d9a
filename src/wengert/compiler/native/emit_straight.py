"""Long straight lines, cut into functions of a length that LLVM digests in linear time.

What one part computes and a later one uses goes through memory:

    part 0: a = load x; b = sin(a); values[0] = b
    part 1: b = values[0]; c = b * b; store c
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..ir.nest import Access, Buffer, Load, Nest, Number, Op, Reduce, Stage, Statement, Store
from .emit_sweep import operands_of

LENGTH = 1000
"""Statements in one function."""

LEVEL = 1
"""How hard to optimise long lines: LLVM's second level takes more than linear time for them."""


def is_long(nest: Nest) -> bool:
    """Whether a nest is a straight line to be cut."""
    return not nest.rows and not any(stage.sweep for stage in nest.stages) and sum(
        len(stage.statements) for stage in nest.stages) > LENGTH


def cut(nest: Nest, base: int) -> tuple[list[Nest], int]:
    """A long nest as several.

    Args:
        nest: the nest.
        base: where in the arena there is room for values to hand on.

    Returns:
        The nests, to be done in order, and where in the arena that room ends.
    """
    statements = list(sunk(list(nest.statements())))
    pieces = [statements[i:i + LENGTH] for i in range(0, len(statements), LENGTH)]
    places, end = _places(pieces, base)
    return [Nest((), 1, (Stage(False, tuple(_part(piece, places))),)) for piece in pieces], end


def _places(pieces: Sequence[Sequence[Statement]],
            base: int) -> tuple[dict[Statement, Access], int]:
    """Where values lie that one piece computes and another uses, and where that ends."""
    piece_of = {s: i for i, piece in enumerate(pieces) for s in piece}
    needed = {x: None for i, piece in enumerate(pieces) for s in piece for x in operands_of(s)
              if piece_of[x] != i and not isinstance(x, Number)}
    groups: dict[np.dtype[Any], list[Statement]] = {}
    for x in needed:
        groups.setdefault(x.dtype, []).append(x)  # type: ignore[union-attr]
    places = {}
    for dtype, members in groups.items():
        buffer = Buffer(dtype, len(members), "parts", offset=base)
        base += -(-len(members) * dtype.itemsize // 64) * 64
        places.update({x: Access(buffer, (), i) for i, x in enumerate(members)})
    return places, base


def _part(piece: Sequence[Statement], places: dict[Statement, Access]) -> Iterator[Statement]:
    """A piece that loads what it takes over, and stores what it hands on."""
    known: dict[Statement, Statement] = {}
    for s in piece:
        for x in dict.fromkeys(operands_of(s)):
            if x not in known:
                known[x] = x if isinstance(x, Number) else Load(
                    x.dtype, places[x])  # type: ignore[union-attr]
                yield known[x]
        known[s] = replaced(s, known)
        yield known[s]
        if s in places:
            yield Store(places[s], known[s])


def replaced(s: Statement, by: dict[Statement, Statement]) -> Statement:
    """A statement with other operands."""
    if isinstance(s, Op):
        return dataclasses.replace(s, operands=tuple([by.get(x, x) for x in s.operands]))
    if isinstance(s, (Reduce, Store)):
        s = dataclasses.replace(s, operand=by.get(s.operand, s.operand))
    if isinstance(s, (Load, Store)) and s.indirect:
        s = dataclasses.replace(s, indirect=tuple((by.get(i, i), n, k) for i, n, k in s.indirect))
    return s


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
