"""Loops: a body that is gone through many times, as one line of a program.

    repeated(carried..., along..., same...; body, count, windows, stacked)

The body is a straight program. What it is given in a turn:

    carried     what it gave for them in the turn before; in the first turn, the operands
    along       stretches of arrays: `windows` has for each array where the stretch begins in the
                first turn, how far it moves from turn to turn, and how long it is, in elements;
                the body gets it flat
    same        the other operands, the same in all turns

What it gives is, in order, the next carried values, `stacked` values of which all turns' are kept,
and others of which only the last turn's are. The line's results are the last carried values, the
kept ones (with a dimension in front, over the turns), and the last of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.aval import Aval
from ...core.primitive import Primitive
from ..ir.program import Line, Program, Return, Value, evaluate


class Window(NamedTuple):
    """A stretch of an array that moves, in elements of the array: see the module's text."""

    start: int
    step: int
    size: int

    def fits(self, size: int, count: int) -> bool:
        """Whether it stays inside an array for so many turns."""
        ends = self.start, self.start + self.step * (count - 1)
        return min(ends) >= 0 and max(ends) + self.size <= size


class Parts(NamedTuple):
    """What the operands and results of a `repeated` line are, by kind.

    Attributes:
        carried, along, same: operands, or inputs of the body.
        following, stacked, last: results, or outputs of the body.
    """

    carried: Sequence[Any]
    along: Sequence[Any]
    same: Sequence[Any]
    following: Sequence[Any]
    stacked: Sequence[Any]
    last: Sequence[Any]


def parts(given: Sequence[Any], found: Sequence[Any], params: Any) -> Parts:
    """Operands and results (or the body's inputs and outputs) by kind."""
    body, windows, stacked = params["body"], params["windows"], params["stacked"]
    carried = params["carried"]
    along, end = carried + len(windows), carried + stacked
    assert len(given) == len(body.inputs)
    return Parts(given[:carried], given[carried:along], given[along:],
                 found[:carried], found[carried:end], found[end:])


def outputs_of(body: Program) -> tuple[Value, ...]:
    """What a body gives."""
    assert isinstance(body.body.end, Return)
    return body.body.end.outputs


def _abstract(*avals: Aval, body: Program, count: int, carried: int, windows: tuple[Window, ...],
              stacked: int) -> tuple[Aval, ...]:
    params = {"body": body, "carried": carried, "windows": windows, "stacked": stacked}
    found = [value.aval for value in outputs_of(body)]
    inner = parts([value.aval for value in body.inputs], found, params)
    outer = parts(avals, found, params)
    if not tuple(outer.carried) == tuple(inner.carried) == tuple(inner.following):
        raise TypeError("what a loop carries changes its shape or dtype")
    if tuple(outer.same) != tuple(inner.same):
        raise TypeError("a loop's body is given another shape or dtype than it takes")
    for window, whole, part in zip(windows, outer.along, inner.along, strict=True):
        if part is not whole.with_shape((window.size,)) or not window.fits(whole.numel, count):
            raise TypeError(f"a loop goes along {whole} in {window}, given as {part}")
    return (*inner.following, *(a.with_shape((count, *a.shape)) for a in inner.stacked),
            *inner.last)


def _evaluate(*operands: Any, body: Program, count: int, carried: int,
              windows: tuple[Window, ...], stacked: int) -> tuple[np.ndarray, ...]:
    params = {"body": body, "carried": carried, "windows": windows, "stacked": stacked}
    outs: Sequence[Any] = [v.aval for v in outputs_of(body)]
    given = parts(operands, outs, params)
    flat = [np.ascontiguousarray(array).reshape(-1) for array in given.along]
    kept = [np.empty((count, *aval.shape), aval.numpy) for aval in given.stacked]
    state, last = given.carried, given.last
    for turn in range(count):
        here = [a[w.start + w.step * turn:][:w.size] for a, w in zip(flat, windows, strict=True)]
        made = parts(operands, evaluate(body, [*state, *here, *given.same]), params)
        state, last = made.following, made.last
        for stack, array in zip(kept, made.stacked, strict=True):
            stack[turn] = array
    return (*state, *kept, *last)


repeated = Primitive("repeated", _evaluate, abstract=_abstract, multiple=True)
"""See the text of the module."""


def loop(body: Program, count: int, operands: Sequence[Value], *, carried: int,
         windows: Sequence[Window], stacked: int) -> Line:
    """The line of a loop."""
    params = {"body": body, "count": count, "carried": carried, "windows": tuple(windows),
              "stacked": stacked}
    avals: Any = repeated.abstract(*(v.aval for v in operands), **params)
    return Line(repeated, operands, params, tuple(map(Value, avals)))

