"""Loops that end when a condition no longer holds, as one line of a program.

    unbounded(carried..., same...; body, carried)

        while carried[0]:
            carried = body(carried, same)

The body is a straight program. The first of what it hands on is a bool, whether to go on; what it
is given of it is always true. The line's results are what was handed on last; where there is no
turn at all, the operands.

The way back through such a loop is a line, too. The loop is gone through again, and what each turn
is given is kept; then the pullback of a turn, `pull`, carries cotangents back from turn to turn,
and adds up those of what is the same in all turns:

    unwound(carried..., same..., back...; body, pull, carried)

        while carried[0]:
            kept.append(carried)
            carried = body(carried, same)
        for carried in reversed(kept):
            back = pull(carried, same, back)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.aval import Aval
from ...core.handle import plain_aval
from ...core.levels import concrete
from ...core.primitive import Primitive
from ...func.forward import jvp
from ...func.reverse import vjp
from ...interpreters.tape import node_class
from ..ir.program import Program, Value, evaluate
from .repeated import outputs_of
from .steps import pull_of, push_of, run, tensor


def _avals(values: Sequence[Value]) -> tuple[Aval, ...]:
    return tuple([value.aval for value in values])


def _abstract(*avals: Aval, body: Program, carried: int) -> tuple[Aval, ...]:
    following = _avals(outputs_of(body))
    if avals != _avals(body.inputs):
        raise TypeError("a loop's body is given another shape or dtype than it takes")
    if following != avals[:carried]:
        raise TypeError("what a loop carries changes its shape or dtype")
    return following


def _evaluate(*operands: Any, body: Program, carried: int) -> tuple[np.ndarray, ...]:
    state, same = operands[:carried], operands[carried:]
    while state[0]:
        state = tuple(evaluate(body, [*state, *same]))
    return tuple(map(np.array, state))  # in memory of their own


# --- derivatives ------------------------------------------------------------------------------


def _pulled_back(gs: Sequence[Any], wanted: tuple[bool, ...], xs: Sequence[Any], body: Program,
                 carried: int) -> list[Any]:
    """The operands' cotangents from the results'; None for none."""
    given = tuple(i for i, g in enumerate(gs) if g is not None)
    pull, back, sums = pull_of(body, carried, wanted, given)
    starts = [_zeros(xs[i]) if i >= carried or gs[i] is None else gs[i] for i in (*back, *sums)]
    found = unwound(*xs, *starts, body=body, pull=pull, carried=carried) if starts else ()
    places = dict(zip((*back, *sums), found, strict=True))
    return [places.get(i) if there else None for i, there in enumerate(wanted)]


def _pushed(tangents: Sequence[Any], xs: Sequence[Any], body: Program,
            carried: int) -> list[Any]:
    """The results' tangents from the operands'; None for zero."""
    moved = tuple(t is not None for t in tangents)
    step, along = push_of(body, carried, moved)
    starts = [_zeros(xs[i]) if tangents[i] is None else tangents[i] for i in along]
    same = [t for t in tangents[carried:] if t is not None]
    found = unbounded(*xs[:carried], *starts, *xs[carried:], *same, body=step,
                      carried=carried + len(along))
    places = dict(zip(along, found[carried:], strict=True))
    return [places.get(i) for i in range(carried)]


def _zeros(x: Any) -> np.ndarray:
    return plain_aval(x).zeros()


def _by_hand(*operands: Any, body: Program, carried: int) -> tuple[Any, ...]:
    """The same in many lines: Python looks whether to go on."""
    state, same = list(operands[:carried]), operands[carried:]
    while _goes_on(state):
        state = run(body, [*state, *same])
    return tuple(map(tensor, state))


def _goes_on(state: Sequence[Any]) -> bool:
    return bool(concrete(state[0], "while_loop() asks whether to go on."))


unbounded: Primitive = Primitive(
    "unbounded", _evaluate, abstract=_abstract, multiple=True, vjp=_pulled_back, jvp=_pushed,
    decompose=_by_hand, lower=lambda *operands, **params: unbounded(*operands, **params),
    node="WhileLoopBackward0")
"""See the text of the module."""
node_class(unbounded).materializes = False


# --- the way back -----------------------------------------------------------------------------


def _unwound_abstract(*avals: Aval, body: Program, pull: Program,
                      carried: int) -> tuple[Aval, ...]:
    count = len(body.inputs)
    _abstract(*avals[:count], body=body, carried=carried)
    if avals != _avals(pull.inputs) or avals[count:] != _avals(outputs_of(pull)):
        raise TypeError("what goes back through a loop changes its shape or dtype")
    return avals[count:]


def _unwound_evaluate(*operands: Any, body: Program, pull: Program,
                      carried: int) -> tuple[np.ndarray, ...]:
    count = len(body.inputs)
    state, same, back = operands[:carried], operands[carried:count], operands[count:]
    kept = []
    while state[0]:
        kept.append(state)
        state = tuple(evaluate(body, [*state, *same]))
    for state in reversed(kept):
        back = tuple(evaluate(pull, [*state, *same, *back]))
    return tuple(map(np.array, back))


def _unwound_by_hand(*operands: Any, body: Program, pull: Program,
                     carried: int) -> tuple[Any, ...]:
    """The same in many lines."""
    count = len(body.inputs)
    state, same, back = list(operands[:carried]), operands[carried:count], list(operands[count:])
    kept = []
    while _goes_on(state):
        kept.append(state)
        state = run(body, [*state, *same])
    for state in reversed(kept):
        back = run(pull, [*state, *same, *back])
    return tuple(map(tensor, back))


def _unwound_pulled_back(gs: Sequence[Any], wanted: tuple[bool, ...], xs: Sequence[Any],
                         **params: Any) -> list[Any]:
    places, fn, given = _function(xs, wanted, params)
    outs, pullback = vjp(fn, *given)
    found = iter(pullback(tuple(tensor(_zeros(out) if g is None else g)
                                for out, g in zip(outs, gs, strict=True))))
    return [next(found) if i in places else None for i in range(len(xs))]


def _unwound_pushed(tangents: Sequence[Any], xs: Sequence[Any], **params: Any) -> list[Any]:
    _, fn, given = _function(xs, [t is not None for t in tangents], params)
    _, found = jvp(fn, tuple(given), tuple(tensor(t) for t in tangents if t is not None))
    return list(found)


def _function(xs: Sequence[Any], free: Sequence[bool], params: Any) -> tuple[set[int], Any, Any]:
    """`unwound`, by hand, as a function of some of its operands; which, and what they are."""
    places = {i for i, there in enumerate(free) if there}

    def fn(*given: Any) -> tuple[Any, ...]:
        mine = iter(given)
        return _unwound_by_hand(*(next(mine) if i in places else x for i, x in enumerate(xs)),
                                **params)

    return places, fn, [tensor(xs[i]) for i in sorted(places)]


unwound: Primitive = Primitive(
    "unwound", _unwound_evaluate, abstract=_unwound_abstract, multiple=True,
    vjp=lambda gs, wanted, xs, body, pull, carried: _unwound_pulled_back(
        gs, wanted, xs, body=body, pull=pull, carried=carried),
    jvp=lambda tangents, xs, body, pull, carried: _unwound_pushed(
        tangents, xs, body=body, pull=pull, carried=carried),
    decompose=_unwound_by_hand, lower=lambda *operands, **params: unwound(*operands, **params),
    node="UnwoundLoopBackward0")
"""See the text of the module."""
node_class(unwound).materializes = False
