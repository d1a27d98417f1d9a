"""How much work steps of a plan are."""

from __future__ import annotations

import math

from ..ir.nest import Call, Choose, Contraction, Nest, Repeat, Step, Unwind
from .emit_share import work_of

LONG = 200_000
"""The work from which on other threads may run Python meanwhile."""


def work(step: Step) -> int:
    """About how many simple operations a step comes to."""
    if isinstance(step, Nest):
        return work_of(step)
    if isinstance(step, Choose):
        return max(sum(map(work, plan.body.steps)) for plan in step.plans)
    if isinstance(step, (Repeat, Unwind)):
        turns = step.count if isinstance(step, Repeat) else None
        return (LONG if turns is None else turns) * (1 + sum(map(work, step.steps)))
    if isinstance(step, Contraction):
        return math.prod(step.sizes) // 4
    return LONG if isinstance(step, Call) else step.count * step.m * step.k * step.n // 4
