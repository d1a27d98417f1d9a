"""From what was recorded to what is scheduled."""

from __future__ import annotations

from .expand import expand
from .lifting import lift
from .passes import simplify
from .program import Program
from .repeated import repeated
from .rolling import roll
from .unbounded import unbounded, unwound
from .walk import checked


def prepared(program: Program, fastmath: bool = False) -> Program:
    """A recorded program in the primitives that loops are made of, its own loops found, and
    simplified; `fastmath` as for `simplify`."""
    program = simplify(expand(checked(roll(program))), fastmath)
    if _has_loops(program):
        program = simplify(checked(lift(program)), fastmath)
    return program


def _has_loops(program: Program) -> bool:
    """Whether there are loops in a program, be it in bodies of others."""
    return any(line.primitive in _LOOPS or any(
        _has_loops(body) for body in line.params.values() if isinstance(body, Program))
        for block in program.body.blocks() for line in block.lines)


_LOOPS = frozenset((repeated, unbounded, unwound))
