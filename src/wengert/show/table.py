"""A Wengert list as a text table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import words

if TYPE_CHECKING:
    from .drawing import Partial, Step


def partial_text(step: Step, partial: Partial, steps: Sequence[Step], digits: int) -> str:
    """The number (or numbers) on an edge."""
    if partial.value is not None and partial.diagonal:
        return words.diagonal_text(partial.value, digits)
    return words.derivative_text(partial.value, math.prod(step.shape),
                                 math.prod(steps[partial.source].shape), digits)


def tangent_text(step: Step, leaf: str, steps: Sequence[Step], digits: int) -> str:
    """The derivative of a step by a leaf."""
    shape = next(s.shape for s in steps if s.name == leaf)
    return words.derivative_text(step.tangents[leaf], math.prod(step.shape), math.prod(shape),
                                 digits)


def adjoint_text(step: Step, steps: Sequence[Step], digits: int) -> str:
    """The derivative of the result by a step."""
    return words.derivative_text(step.adjoint, math.prod(steps[-1].shape), math.prod(step.shape),
                                 digits)


def value_text(step: Step, digits: int) -> str:
    """A step's value; its shape, if it is large."""
    if math.prod(step.shape) > words.MOST_SPELLED:
        return words.shape_text(step.dtype, step.shape)
    return words.UNKNOWN if step.value is None else words.array(step.value, digits)


def d(steps: Sequence[Step]) -> str:
    """The letter of a total derivative: it is partial where there are several leaves."""
    return "d" if sum(not step.operation for step in steps) == 1 else "∂"


def text(steps: Sequence[Step], leaves: Sequence[str], digits: int) -> str:
    """The table, a row per step, and under it what both accumulations arrive at."""
    letter, result = d(steps), steps[-1].name
    rows = [["step", "name", "operation", "value", "local partials",
             *(f"{letter}·/{letter}{leaf}" for leaf in leaves), f"{letter}{result}/{letter}·"]]
    for i, step in enumerate(steps):
        partials = "  ".join(
            f"∂{step.name}/∂{p.operand} = {partial_text(step, p, steps, digits)}"
            for p in step.partials)
        rows.append([str(i), step.name, step.operation, value_text(step, digits), partials,
                     *(tangent_text(step, leaf, steps, digits) for leaf in leaves),
                     adjoint_text(step, steps, digits)])
    return "\n".join([*_aligned(rows), "---", *summary(steps, leaves, digits)])


def summary(steps: Sequence[Step], leaves: Sequence[str], digits: int) -> list[str]:
    """What both accumulations arrive at, and what signs mean where there are any."""
    letter, last = d(steps), steps[-1]
    by_name = {step.name: step for step in steps}
    lines = [f"{letter}{last.name}/{letter}{leaf} = {tangent_text(last, leaf, steps, digits)} "
             f"(forward), {adjoint_text(by_name[leaf], steps, digits)} (reverse)"
             for leaf in leaves]
    if any(step.value is None and math.prod(step.shape) <= words.MOST_SPELLED for step in steps):
        lines.append(f"{words.UNKNOWN}: not kept on the tape; name the tensor, or compute under "
                     "show.trace()")
    if any(words.NOT_FORMED in line for line in lines[:len(leaves)]) or any(
            p.value is None for step in steps for p in step.partials):
        lines.append(f"{words.NOT_FORMED}: a Jacobian too large to form, or of complex numbers")
    return lines


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows]
