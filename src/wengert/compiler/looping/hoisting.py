"""Hoisting: what is the same in all turns of a loop is worked out before it, once.

That is for loops whose turns nobody knows: `lifting` does it for others, and more. Nothing goes
that may fail, for there may be no turn; and no views, which cost nothing where they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..ir.program import Constant, Line, Program, Value, straight
from ..ir.views import strided
from ..ir.walk import has_effects
from ..native.emit_scalar import DIVISIONS
from ..schedule.operations import is_foreign, operation
from ..schedule.reductions import HOW
from .repeated import outputs_of
from .unbounded import unbounded, unwound

_PRODUCTS = frozenset(("mm", "bmm"))


def hoisted(line: Line) -> list[Line]:
    """A loop that ends when a condition no longer holds, and before it what need not be in it."""
    if line.primitive not in (unbounded, unwound):
        return [line]
    start, stop = line.params["carried"], len(line.params["body"].inputs)
    same = line.operands[start:stop]
    parts = {name: _parted(line.params[name], start, same)
             for name in ("body", "pull") if name in line.params}
    if not any(part.inner for part in parts.values()):
        return [line]
    params, operands = dict(line.params), list(line.operands[:stop])
    for name, part in parts.items():
        more = [v if other is part else Value(v.aval) for other in parts.values()
                for v in other.inner]
        inputs = part.body.inputs
        params[name] = straight([*inputs[:stop], *more, *inputs[stop:]], part.body.body.lines,
                                outputs_of(part.body))
        operands += part.outer
    operands += line.operands[stop:]
    return [*(each for part in parts.values() for each in part.lines),
            Line(line.primitive, operands, params, line.results)]


class _Parted(NamedTuple):
    """A body apart from what need not be in it.

    Attributes:
        lines: to be done before the loop.
        body: what is left.
        inner, outer: what it has to be given besides, and what that is before the loop.
    """

    lines: list[Line]
    body: Program
    inner: list[Value]
    outer: list[Value]


def _parted(body: Program, start: int, same: Sequence[Value]) -> _Parted:
    """A body apart; `same` are the operands that its inputs from `start` on stand for."""
    known = dict(zip(body.inputs[start:], same, strict=False))
    moved: set[Value] = set()
    lines, kept = [], []
    for line in body.body.lines:
        free = all(isinstance(v, Constant) or v in known for v in line.operands)
        if not (line.operands and free and _may_go(line)):
            kept.append(line)
            continue
        results = [Value(v.aval) for v in line.results]
        lines.append(Line(line.primitive, [known.get(v, v) for v in line.operands],
                          line.params, results))
        known.update(zip(line.results, results, strict=True))
        if line.primitive is strided:
            kept.append(line)
        else:
            moved.update(line.results)
    outputs = outputs_of(body)
    used = dict.fromkeys([*(v for line in kept for v in line.operands), *outputs])
    inner = [v for v in used if v in moved]
    return _Parted(lines, straight(body.inputs, kept, outputs), inner, [known[v] for v in inner])


def _may_go(line: Line) -> bool:
    """Whether a line can't fail, and costs something or looks at what does."""
    if has_effects(line) or is_foreign(line):
        return False
    name = operation(line)
    if name is not None:
        return line.result.aval.numpy.kind == "f" or name not in DIVISIONS
    return line.primitive is strided or line.primitive.name in _PRODUCTS or (
        line.primitive.name in HOW)
