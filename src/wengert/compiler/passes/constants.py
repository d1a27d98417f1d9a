"""Constants: what is known before the program runs is computed before it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core import halves
from ...core.levels import quietly
from ..ir.program import Block, Constant, Line, Program, Value
from ..ir.uniform import compact, element, is_uniform
from ..ir.walk import downward, has_effects

MOST = 4096
"""The most elements that a constant may have to be computed here, unless all are the same."""


def constants(program: Program) -> Program:
    """The program with lines whose operands are all constants replaced by their results."""
    values: dict[Value, Value] = {}

    def lines(block: Block) -> list[Line]:
        kept = []
        for line in block.lines:
            for v in line.operands:
                if isinstance(v, Constant) and v not in values:
                    values[v] = compact(v)
            line = line.on(values)
            found = _folded(line)
            if found is None:
                kept.append(line)
            else:
                values.update(zip(line.results, found, strict=True))
        return kept

    return downward(program, lines, values)


def _folded(line: Line) -> Sequence[Value] | None:
    """The results of a line, if they are known and worth keeping."""
    if not line.operands or not all(isinstance(v, Constant) for v in line.operands):
        return None
    if has_effects(line):
        return None
    arrays = [v.array for v in line.operands if isinstance(v, Constant)]
    if line.primitive.elementwise and all(map(is_uniform, arrays)):
        found = quietly(halves.evaluate, line.primitive, list(map(element, arrays)), line.params)
        aval = line.result.aval
        return [Constant(np.broadcast_to(np.asarray(found, aval.numpy), aval.shape))]
    if any(v.aval.numel > MOST for v in (*line.operands, *line.results)):
        return None
    found = quietly(halves.evaluate, line.primitive, arrays, line.params)
    results = found if line.primitive.multiple else (found,)
    return [compact(Constant(np.asarray(array, v.aval.numpy)))
            for v, array in zip(line.results, results, strict=True)]
