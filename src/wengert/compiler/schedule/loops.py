"""Loops: a body is planned as a program of its own, and what it is given is found in memory.

What a turn hands on to the next stays where it was put: the next turn reads it there. That is
the memory of the result itself, if all turns' values are kept or if a turn may write over what it
reads; else it and a spare one, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..nest import Buffer, Carry, Plan, Repeat, Stretch
from ..program import Line, Program, Value, straight
from ..repeated import Parts, outputs_of, parts
from .placing import Steps


class Laid(NamedTuple):
    """A loop with its results.

    Attributes:
        step: the loop.
        memory: the results that have memory of their own.
        parts: the others: of which result they are a part, and from which element on.
    """

    step: Repeat
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
                  Buffer(np.dtype(np.uint8), plan.arena, "temporary", shape=(plan.arena,)))
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
    def memory(value: Value) -> Buffer:
        buffer = steps.stored(value).buffer
        assert buffer is not None
        return buffer

    return (*(Stretch(memory(v)) for v in given.carried),
            *(Stretch(memory(v), w.start, w.step)
              for v, w in zip(given.along, windows, strict=True)),
            *(Stretch(memory(v)) for v in given.same))


def _carried(plan: Plan, made: Parts, homes: dict[Value, Value],
             given: Parts) -> tuple[Carry, ...]:
    order = list(homes)
    spare: dict[int, Buffer] = {}
    found = []
    for i, value in enumerate(made.following):
        output = order.index(value)
        apart = homes[value] not in given.stacked and plan.donated.get(output) != i
        if apart and output not in spare:
            aval = value.aval
            spare[output] = Buffer(aval.numpy, aval.numel, "temporary", shape=tuple(aval.shape))
        found.append(Carry(i, output, spare[output] if apart else None))
    return tuple(found)
