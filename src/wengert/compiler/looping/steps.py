"""Steps of loops, and their derivatives: programs made from a program.

A step takes what is carried and what is the same in all turns, and gives what is carried on:

    step(carried, same) -> carried

Its pullback also takes the cotangents of what it gives, and sums over the turns so far; its
pushforward carries tangents beside values. Both are recorded symbolically, like the rules that they
consist of. Only what needs a derivative gets one, and only where one arrives: that a cotangent or a
tangent is zero in the first turn does not say that it is in the next.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.handle import Handle, as_handle
from ...core.levels import entered, here, modes
from ...core.primitive import TABLE, Primitive
from ...interpreters import backward
from ...interpreters.eager import recorded
from ...interpreters.forward import Forward
from ...interpreters.reverse import Reverse
from ..expand import params_key
from ..ir.program import Constant, Line, Program, Value, append, straight
from ..ir.symbolic import record
from ..ir.uniform import zeros
from ..passes.dead import dead_code
from .repeated import outputs_of

detached = Primitive("detached", np.array, abstract=lambda x: x, vjp=(None,), jvp=(None,),
                     lower=lambda x: x)
"""x, through which no derivative flows."""


def run(step: Program, given: Sequence[Any]) -> list[Any]:
    """What a program without looks gives for tensors, by applying its primitives to them."""
    known = dict(zip(step.inputs, given, strict=True))

    def read(value: Value) -> Any:
        return value.array if isinstance(value, Constant) else known[value]

    for line in step.body.lines:
        found = line.primitive(*map(read, line.operands), **line.params)
        known.update(zip(line.results, found if line.primitive.multiple else (found,),
                         strict=True))
    return [read(value) for value in outputs_of(step)]


def tensor(x: Any) -> Any:
    """A tensor of what may be an array; who records is told that it was made of nothing."""
    return as_handle(x) if here.recorder is None else recorded(x)


# --- alike is the same ------------------------------------------------------------------------


class _Alike:
    """A program, compared with others by what it consists of."""

    __slots__ = ("key", "program")

    def __init__(self, program: Program) -> None:
        self.program, self.key = program, _key(program)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Alike) and self.key == other.key


def _key(program: Program) -> Any:
    places: dict[Value, int] = {}

    def name(value: Value) -> Any:
        if isinstance(value, Constant):
            return value.aval, value.array.tobytes()
        return places.setdefault(value, len(places))

    given = [(name(value), value.aval) for value in program.inputs]
    lines = [(line.primitive, *map(name, line.operands), *map(params_key, line.params.items()),
              *((name(value), value.aval) for value in line.results))
             for line in program.body.lines]
    return (*given, *lines, *map(name, outputs_of(program)))


@functools.lru_cache(maxsize=4096)
def _first(alike: _Alike) -> Program:
    return alike.program


def interned(inputs: Sequence[Value], lines: Sequence[Line],
             outputs: Sequence[Value]) -> Program:
    """A program without looks, and without lines that nobody needs; the same object for the same
    lines.

    Raises:
        TypeError: if a parameter of a line can't be compared.
    """
    return _first(_Alike(dead_code(straight(inputs, lines, outputs))))


# --- pullbacks --------------------------------------------------------------------------------


class Pull(NamedTuple):
    """The pullback of a step.

    Attributes:
        program: takes what the step takes, the cotangents of some of what it carries on, and sums;
            gives the cotangents and sums of the turn before.
        back: the places of what it carries whose cotangents go back.
        sums: the places of what is the same in all turns whose cotangents are summed.
    """

    program: Program
    back: tuple[int, ...]
    sums: tuple[int, ...]


@functools.lru_cache(maxsize=1024)
def pull_of(step: Program, carried: int, wanted: tuple[bool, ...],
            given: tuple[int, ...]) -> Pull:
    """The pullback of a step.

    Args:
        step: the step.
        carried: how many of its inputs are carried.
        wanted: by input, whether its cotangent is asked for.
        given: the places of what is carried whose cotangents arrive after the last turn.
    """
    moving = varied(step, carried, wanted)
    free = [*sorted(moving), *(i for i in range(carried, len(wanted)) if wanted[i])]
    back = [i for i in given if i in moving]
    while True:
        cotangents = [Value(step.inputs[i].aval) for i in back]
        lines, found = pulled(step, free, back, cotangents)
        more = [i for i in free if i < carried and i not in back and found[i] is not None]
        if not more:
            break
        back = sorted([*back, *more])
    sums = tuple(i for i in free if i >= carried and found[i] is not None)
    totals = [Value(step.inputs[i].aval) for i in sums]
    outputs = [zeros(step.inputs[i].aval) if found[i] is None else found[i] for i in back]
    outputs += [append(lines, TABLE["add"], (total, found[i]), {}, total.aval)
                for i, total in zip(sums, totals, strict=True)]
    return Pull(interned([*step.inputs, *cotangents, *totals], lines, outputs), tuple(back), sums)


def varied(step: Program, carried: int, wanted: Sequence[bool]) -> set[int]:
    """The places of what is carried that may depend on what is wanted, in some turn."""
    found = {i for i in range(carried) if wanted[i]}
    while True:
        known = {value for i, value in enumerate(step.inputs) if i in found or wanted[i]}
        for line in step.body.lines:
            if line.primitive is not detached and not known.isdisjoint(line.operands):
                known.update(v for v in line.results if v.aval.dtype.differentiable)
        more = {i for i, value in enumerate(outputs_of(step)) if value in known}
        if more <= found:
            return found
        found |= more


def pulled(step: Program, free: Collection[int], back: Sequence[int],
            cotangents: Sequence[Value]) -> tuple[list[Line], dict[int, Any]]:
    """The lines of a step and its pullback, and what that gives for the inputs that are free; None
    where nothing arrives."""
    def pullback(*tensors: Any) -> list[Any]:
        given, gs = tensors[:len(step.inputs)], tensors[len(step.inputs):]
        with entered(Reverse()) as level, modes(grad=True):
            inputs = [level.input(x) if i in free else x for i, x in enumerate(given)]
            outs = run(step, inputs)
            nodes = [out.node if isinstance(out, Handle) else None
                     for out in (outs[i] for i in back)]
            leaves = [inputs[i].node for i in free]
            roots = [(node, g) for node, g in zip(nodes, gs, strict=True) if node is not None]
            found = backward.run(roots, retain=False, create=False, wanted=leaves,
                                 accumulate=False, below=True)
        return [found.get(leaf) for leaf in leaves]

    lines, results = record(pullback, [*step.inputs, *cotangents])
    return lines, dict(zip(free, results, strict=True))


# --- pushforwards -----------------------------------------------------------------------------


class Push(NamedTuple):
    """A step with tangents.

    Attributes:
        program: takes what is carried, tangents of some of it, what is the same in all turns, and
            tangents of some of that.
        along: the places of what is carried whose tangents are carried along.
    """

    program: Program
    along: tuple[int, ...]


@functools.lru_cache(maxsize=1024)
def push_of(step: Program, carried: int, moved: tuple[bool, ...]) -> Push:
    """A step with tangents.

    Args:
        step: the step.
        carried: how many of its inputs are carried.
        moved: by input, whether it has a tangent in the first turn.
    """
    along = [i for i in range(carried) if moved[i]]
    same = [i for i in range(carried, len(moved)) if moved[i]]
    while True:
        tangents = {i: Value(step.inputs[i].aval) for i in (*along, *same)}
        lines, found = pushed(step, tangents)
        values, slopes = found[:carried], found[carried:]
        more = [i for i in range(carried) if i not in along and slopes[i] is not None]
        if not more:
            break
        along = sorted([*along, *more])
    inputs = [*step.inputs[:carried], *(tangents[i] for i in along),
              *step.inputs[carried:], *(tangents[i] for i in same)]
    outputs = [*values, *(zeros(step.inputs[i].aval) if slopes[i] is None else slopes[i]
                          for i in along)]
    return Push(interned(inputs, lines, outputs), tuple(along))


def pushed(step: Program, tangents: dict[int, Value]) -> tuple[list[Line], list[Any]]:
    """The lines of a step with tangents; what it gives, and the tangents of that."""
    def pushforward(*tensors: Any) -> list[Any]:
        given = tensors[:len(step.inputs)]
        moving = dict(zip(tangents, tensors[len(step.inputs):], strict=True))
        with entered(Forward()) as level:
            outs = [level.own(x) if isinstance(x, Handle) else level.wrap(x) for x in run(
                step, [level.dual(x, moving[i]) if i in moving else x
                       for i, x in enumerate(given)])]
            return [*(x.value for x in outs), *map(level.tangent, outs)]

    return record(pushforward, [*step.inputs, *tangents.values()])
