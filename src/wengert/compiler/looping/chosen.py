"""Choices, as one line of a program.

    choice(which, operands...; yes, no)

        results = yes(operands) if which else no(operands)

Both are straight programs, of which only the one that is chosen runs. So it is in the derivatives:
what gets no cotangent (or tangent) by one of them, but does by the other, gets zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.aval import Aval
from ...core.levels import concrete
from ...core.primitive import Primitive
from ...interpreters.tape import node_class
from ..ir.program import Line, Program, Value, evaluate
from ..ir.uniform import zeros
from .repeated import outputs_of
from .steps import interned, pulled, pushed, run, tensor


def _abstract(which: Aval, *avals: Aval, yes: Program, no: Program) -> tuple[Aval, ...]:
    for branch in (yes, no):
        if avals != tuple(value.aval for value in branch.inputs):
            raise TypeError("what is chosen is given another shape or dtype than it takes")
    found, other = (tuple(value.aval for value in outputs_of(each)) for each in (yes, no))
    if found != other:
        raise TypeError("what is chosen gives other shapes or dtypes than what is not")
    return found


def _evaluate(which: Any, *operands: Any, yes: Program, no: Program) -> tuple[np.ndarray, ...]:
    return tuple(map(np.array, evaluate(yes if which else no, operands)))


def _by_hand(which: Any, *operands: Any, yes: Program, no: Program) -> tuple[Any, ...]:
    holds = concrete(which, "cond() asks whether its predicate holds.")
    return tuple(map(tensor, run(yes if holds else no, operands)))


def _pulled_back(gs: Sequence[Any], wanted: tuple[bool, ...], xs: Sequence[Any], yes: Program,
                 no: Program) -> list[Any]:
    """The operands' cotangents from the results'; None for none."""
    free = [i for i, there in enumerate(wanted[1:]) if there]
    back = [i for i, g in enumerate(gs) if g is not None]
    cotangents = [Value(outputs_of(yes)[i].aval) for i in back]

    def pull(branch: Program) -> tuple[list[Line], list[Any]]:
        lines, found = pulled(branch, free, back, cotangents)
        return lines, [found[i] for i in free]

    places, found = _both(yes, no, pull, cotangents, [yes.inputs[i].aval for i in free], [
        *xs, *(gs[i] for i in back)])
    arrived = {1 + free[k]: g for k, g in zip(places, found, strict=True)}
    return [arrived.get(i) for i in range(len(xs))]


def _pushed(tangents: Sequence[Any], xs: Sequence[Any], yes: Program, no: Program) -> list[Any]:
    """The results' tangents from the operands'; None for zero."""
    moving = {i: Value(yes.inputs[i].aval) for i, t in enumerate(tangents[1:]) if t is not None}
    avals = [value.aval for value in outputs_of(yes)]

    def push(branch: Program) -> tuple[list[Line], list[Any]]:
        lines, found = pushed(branch, moving)
        return lines, found[len(avals):]

    places, found = _both(yes, no, push, list(moving.values()), avals, [
        *xs, *(t for t in tangents if t is not None)])
    arrived = dict(zip(places, found, strict=True))
    return [arrived.get(i) for i in range(len(avals))]


def _both(yes: Program, no: Program, derived: Callable[[Program], tuple[list[Line], list[Any]]],
          more: Sequence[Value], avals: Sequence[Aval], operands: Sequence[Any]
          ) -> tuple[list[int], Sequence[Any]]:
    """The choice between what is derived of two programs.

    Args:
        yes, no: the programs.
        derived: gives lines of their inputs and `more`, and what they come to; None for zeros.
        more: further inputs.
        avals: of what they come to.
        operands: of the choice.

    Returns:
        The places of what isn't zero in both, and what that is.
    """
    both = [derived(branch) for branch in (yes, no)]
    places = [k for k in range(len(avals)) if any(found[k] is not None for _, found in both)]
    if not places:
        return [], ()
    branches = [interned([*branch.inputs, *more], lines,
                         [zeros(avals[k]) if found[k] is None else found[k] for k in places])
                for branch, (lines, found) in zip((yes, no), both, strict=True)]
    return places, choice(*operands, yes=branches[0], no=branches[1])


choice: Primitive = Primitive(
    "choice", _evaluate, abstract=_abstract, multiple=True, vjp=_pulled_back, jvp=_pushed,
    decompose=_by_hand, lower=lambda *operands, **params: choice(*operands, **params),
    node="CondBackward0")
"""See the text of the module."""
node_class(choice).materializes = False
