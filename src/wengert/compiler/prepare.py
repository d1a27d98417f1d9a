"""From what was recorded to what is scheduled."""

from __future__ import annotations

from .expand import expand
from .ir.program import Program
from .ir.walk import checked
from .looping.lifting import lift
from .looping.repeated import repeated
from .looping.rolling import roll
from .looping.unbounded import unbounded, unwound
from .passes import simplify


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
