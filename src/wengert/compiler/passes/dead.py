"""Dead code: lines whose results nobody uses."""

from __future__ import annotations

from ..ir.program import Block, Line, Program, Value
from ..ir.walk import ends, has_effects, upward


def dead_code(program: Program) -> Program:
    """The program without lines whose results nobody uses, unless they do more than give them."""
    used: set[Value] = set()

    def lines(block: Block) -> list[Line]:
        used.update(ends(block))
        kept = []
        for line in reversed(block.lines):
            if has_effects(line) or not used.isdisjoint(line.results):
                used.update(line.operands)
                kept.append(line)
        return kept[::-1]

    return upward(program, lines)
