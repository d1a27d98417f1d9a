"""What a plan may not get through: whether a run may end before it has done everything."""

from __future__ import annotations

from .ir.nest import (
    Branch,
    Call,
    Choose,
    Load,
    Nest,
    Number,
    Op,
    Plan,
    PlanBlock,
    Repeat,
    Statement,
    Step,
    Store,
    Unwind,
)
from .native.emit_scalar import DIVISIONS


def can_fail(plan: Plan) -> bool:
    """Whether a run of a plan may end with anything but one of its ends: at an index out of
    range, an integer divided by zero, a primitive that Python evaluates, memory that is not to be
    had, or an answer without a case. What such a run has written by then is not all that it should
    have written."""
    return _block_can_fail(plan.body)


def _block_can_fail(block: PlanBlock) -> bool:
    return isinstance(block.end, Branch) or any(map(step_can_fail, block.steps))


def step_can_fail(step: Step) -> bool:
    """The same of one step."""
    if isinstance(step, Repeat):
        return can_fail(step.body)
    if isinstance(step, Choose):
        return any(map(can_fail, step.plans))
    if isinstance(step, Nest):
        return any(map(_statement_can_fail, step.statements()))
    return isinstance(step, (Call, Unwind))  # which may run out of memory


def _statement_can_fail(s: Statement) -> bool:
    if isinstance(s, (Load, Store)):
        return bool(s.indirect)
    if not isinstance(s, Op) or s.name not in DIVISIONS or s.dtype.kind == "f":
        return False
    divisor = s.operands[-1]
    return not (isinstance(divisor, Number) and divisor.value != 0)
