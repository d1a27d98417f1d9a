"""Loops and choices: a body is planned as a program of its own, and what it is given is found in
memory.

What a turn hands on to the next stays where it was put: the next turn reads it there. That is
the memory of the result itself, if all turns' values are kept or if a turn may write over what it
reads; else it and a spare one, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..ir.nest import Buffer, Carry, Choose, Plan, Repeat, Stretch, Unwind
from ..ir.program import Line, Program, Value, straight
from ..looping.repeated import Parts, outputs_of, parts
from .placing import Steps


class Laid(NamedTuple):
    """A loop with its results.

    Attributes:
        step: the loop.
        memory: the results that have memory of their own.
        parts: the others: of which result they are a part, and from which element on.
    """

    step: Repeat | Unwind | Choose
    memory: dict[Value, Buffer]
    parts: dict[Value, tuple[Value, int]]


Planner = Callable[[Program, Mapping[int, int]], Plan]
"""`schedule`: it is told, as it stands above this."""


def laid(steps: Steps, line: Line, plan_of: Planner) -> Laid:
    """The step that a `repeated` line is; `plan_of` plans its body."""
    params = line.params
    body: Program = params["body"]
    given, made = (parts(line.operands, line.results, params),
                   parts(body.inputs, outputs_of(body), params))
    homes = _homes(given, made)
    plan = _plan(body, made, tuple(homes), plan_of)
    memory = {home: steps.new_buffer(home) for home in homes.values()}
    outputs = tuple(Stretch(memory[home], 0, value.aval.numel * (home in given.stacked))
                    for value, home in homes.items())
    step = Repeat(plan, params["count"], _inputs(steps, given, params["windows"]), outputs,
                  _carried(plan, made, homes, given),
                  _arena(plan))
    return Laid(step, memory, _shared(given, made, homes, params["count"]))


def _homes(given: Parts, made: Parts) -> dict[Value, Value]:
    """By value that the body gives, the result whose memory it is put in."""
    homes: dict[Value, Value] = {}
    for kind in ("stacked", "following", "last"):
        for value, result in zip(getattr(made, kind), getattr(given, kind), strict=True):
            homes.setdefault(value, result)
    return homes


def _shared(given: Parts, made: Parts, homes: dict[Value, Value],
            count: int) -> dict[Value, tuple[Value, int]]:
    """The results that are where others are: the last of those that are kept, and doubles."""
    found = {}
    for kind in ("stacked", "following", "last"):
        for value, result in zip(getattr(made, kind), getattr(given, kind), strict=True):
            home = homes[value]
            if home is not result:
                last = kind != "stacked" and home in given.stacked
                found[result] = home, (count - 1) * value.aval.numel * last
    return found


def _plan(body: Program, made: Parts, outputs: tuple[Value, ...], plan_of: Planner) -> Plan:
    """The plan of a body that gives each value once; what is carried is written over if it can."""
    wished = {outputs.index(value): i for i, value in enumerate(made.following)
              if value not in made.stacked and made.following.count(value) == 1}
    return plan_of(straight(body.inputs, body.body.lines, outputs), wished)


def _inputs(steps: Steps, given: Parts, windows: Any) -> tuple[Stretch, ...]:
    return (*(Stretch(steps.memory(v)) for v in given.carried),
            *(Stretch(steps.memory(v), w.start, w.step)
              for v, w in zip(given.along, windows, strict=True)),
            *(Stretch(steps.memory(v)) for v in given.same))


def _arena(plan: Plan) -> Buffer:
    """Memory for the temporaries of a body."""
    return Buffer(np.dtype(np.uint8), plan.arena, "temporary", shape=(plan.arena,))


def _spare(value: Value) -> Buffer:
    """Memory for what every other turn hands on."""
    aval = value.aval
    return Buffer(aval.numpy, aval.numel, "temporary", shape=tuple(aval.shape))


def _carried(plan: Plan, made: Parts, homes: dict[Value, Value],
             given: Parts) -> tuple[Carry, ...]:
    order = list(homes)
    spare: dict[int, Buffer] = {}
    found = []
    for i, value in enumerate(made.following):
        output = order.index(value)
        apart = homes[value] not in given.stacked and plan.donated.get(output) != i
        if apart and output not in spare:
            spare[output] = _spare(value)
        found.append(Carry(i, output, spare[output] if apart else None))
    return tuple(found)


# --- loops that end when a condition no longer holds, and choices -------------------------------


def laid_open(steps: Steps, line: Line, plan_of: Planner) -> Laid:
    """The step that an `unbounded` line is."""
    inputs = tuple(Stretch(steps.memory(value)) for value in line.operands)
    step, memory = _open(steps, line.params["body"], inputs, 0, line.results, plan_of)
    return Laid(step, memory, {})


def laid_unwound(steps: Steps, line: Line, plan_of: Planner) -> Laid:
    """The step that an `unwound` line is."""
    body, carried = line.params["body"], line.params["carried"]
    inputs, count = [Stretch(steps.memory(value)) for value in line.operands], len(body.inputs)
    kept, record = _record(body.inputs[:carried])
    there = tuple(map(Stretch, kept))
    plan = plan_of(body, {})
    forth = Repeat(plan, None, tuple(inputs[:count]), there,
                   tuple(Carry(i, i) for i in range(carried)), _arena(plan))
    back, memory = _open(steps, line.params["pull"], (*there, *inputs[carried:]), count,
                         line.results, plan_of)
    return Laid(Unwind(forth, back, kept, record), memory, {})


def laid_choice(steps: Steps, line: Line, plan_of: Planner) -> Laid:
    """The step that a `choice` line is."""
    which, *inputs = [steps.memory(value) for value in line.operands]
    plans = plan_of(line.params["yes"], {}), plan_of(line.params["no"], {})
    memory = {value: steps.new_buffer(value) for value in line.results}
    step = Choose(which, plans, tuple(inputs), tuple(memory.values()),
                  _arena(max(plans, key=lambda plan: plan.arena)))
    return Laid(step, memory, {})


def _open(steps: Steps, body: Program, inputs: tuple[Stretch, ...], first: int,
          results: Sequence[Value], plan_of: Planner) -> tuple[Repeat, dict[Value, Buffer]]:
    """A loop that carries as many inputs as it has results, from the first of these on; and where
    the results are."""
    plan = plan_of(body, {i: first + i for i in range(len(results))})
    memory = {value: steps.new_buffer(value) for value in results}
    carried = tuple(Carry(first + i, i, None if plan.donated.get(i) == first + i else
                          _spare(value)) for i, value in enumerate(results))
    return Repeat(plan, None, inputs, tuple(map(Stretch, memory.values())), carried,
                  _arena(plan)), memory


def _record(values: Sequence[Value]) -> tuple[tuple[Buffer, ...], int]:
    """Where in a record values lie, each where a vector may be read, and the record's size."""
    kept, size = [], 0
    for value in values:
        each = Buffer(value.aval.numpy, value.aval.numel, "kept", offset=size,
                      shape=tuple(value.aval.shape))
        kept.append(each)
        size += _room(each.size * each.dtype.itemsize)
    return tuple(kept), _room(size)


def _room(nbytes: int) -> int:
    """The bytes that so many take: whole lines of the cache, or words if they are few."""
    unit = 64 if nbytes >= 64 else 8
    return -(-nbytes // unit) * unit
