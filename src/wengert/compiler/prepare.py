"""From what was recorded to what is scheduled."""

from __future__ import annotations

from .expand import expand
from .lifting import lift
from .passes import simplify
from .program import Program
from .repeated import repeated
from .rolling import roll
from .walk import checked


def prepared(program: Program, fastmath: bool = False) -> Program:
    """A recorded program in the primitives that loops are made of, its own loops found, and
    simplified; `fastmath` as for `simplify`."""
    program = simplify(expand(checked(roll(program))), fastmath)
    if any(line.primitive is repeated for block in program.body.blocks() for line in block.lines):
        program = simplify(checked(lift(program)), fastmath)
    return program
