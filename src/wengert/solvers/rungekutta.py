"""Explicit Runge-Kutta methods, differentiated as the programs they are.

SciPy's step size control chooses the steps; then the trajectory is a fixed composition of steps,
and its derivative is exact for the numbers that were returned, in both modes and to any order
("discretise, then differentiate"; W. W. Hager, Runge-Kutta methods in optimal control and the
transformed adjoint system, Numerische Mathematik 87, 2000). Only steps are kept: derivatives go
through the trajectory again, recorded.

The steps are part of the fractions of the intervals between the times asked for, so that the
result's dependence on these times is differentiated too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..autograd.function import Function
from ..core.handle import wrap
from ..core.levels import modes
from ..func.batching import vmap
from ..func.forward import jvp
from ..func.reverse import vjp
from ..ops.joining import stack
from .arguments import ConvergenceError, bare
from .linear import differentiable, each, plain

EXPLICIT = ("RK4", "RK23", "RK45", "DOP853")
Program = Callable[..., Any]


class Steps(NamedTuple):
    """What step size control decided.

    Attributes:
        ends: per interval, where steps end, as fractions of it; the last is 1.
        values: the trajectory at the times asked for, a row each.
    """

    ends: list[list[float]]
    values: np.ndarray


class Tableau(NamedTuple):
    """A method's coefficients, as J. C. Butcher arranges them."""

    stages: list[list[tuple[int, float]]]
    nodes: list[float]
    weights: list[tuple[int, float]]


def tableau(method: str) -> Tableau:
    """The coefficients of one of the explicit methods."""
    if method == "RK4":
        a = np.diag([0.5, 0.5, 1.0], -1)
        return _sparse(a, np.array([1, 2, 2, 1]) / 6, np.array([0, 0.5, 0.5, 1]))
    from scipy import integrate

    known = getattr(integrate, method)
    return _sparse(known.A, known.B, known.C)


def _sparse(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Tableau:
    rows = [[(j, float(w)) for j, w in enumerate(row[:i]) if w] for i, row in enumerate(a)]
    return Tableau(rows[:len(b)], list(map(float, c[:len(b)])),
                   [(j, float(w)) for j, w in enumerate(b) if w])


class Discrete:
    """An initial value problem, and the explicit method that it is solved by.

    Attributes:
        name: the solver's, for error messages.
        field: the right side, field(t, y, *operands), of vectors.
        method: the method's name.
        options: rtol, atol, max_step, max_steps.
    """

    def __init__(self, field: Callable[..., Any], method: str, options: dict[str, Any],
                 check: Callable[..., None]) -> None:
        self.field, self.method, self.options, self.check = field, method, options, check
        self._known: tuple[Any, Steps] | None = None

    def steps(self, y0: Any, t: Any, *operands: Any) -> Steps:
        """The steps from arrays wrapped as tensors; those of the last problem are remembered."""
        key, known = [x.value for x in (y0, t, *operands)], self._known
        if known is None or not all(map(np.array_equal, known[0], key)):
            self.check(t, y0, *operands)
            with modes(grad=False):
                find = self._equal if self.method == "RK4" else self._adaptive
                self._known = known = [np.array(x) for x in key], find(y0, t, *operands)
        return known[1]

    def trajectory(self, steps: Steps) -> Program:
        """The program that goes these steps."""
        step = tableau(self.method)

        def run(y0: Any, t: Any, *operands: Any) -> Any:
            y, ys = y0, [y0]
            for i, ends in enumerate(steps.ends):
                first, length, past = t[i], t[i + 1] - t[i], 0.0
                for end in ends:
                    y = _step(self.field, step, first + length * past, y, length * (end - past),
                              operands)
                    past = end
                ys.append(y)
            return stack(ys)

        return run

    def _equal(self, y0: Any, t: Any, *operands: Any) -> Steps:
        lengths = np.abs(np.diff(t.value))
        counts = [max(1, math.ceil(d / self.options["max_step"])) for d in lengths]
        ends = [[(k + 1) / n for k in range(n)] for n in counts]
        values = self.trajectory(Steps(ends, t.value))(y0, t, *operands).value
        if not np.isfinite(values).all():
            raise ConvergenceError("odeint: RK4 left the finite numbers: make max_step smaller")
        return Steps(ends, values)

    def _adaptive(self, y0: Any, t: Any, *operands: Any) -> Steps:
        times, y, values, ends = t.value, y0.value, [y0.value], []
        step, left = None, self.options["max_steps"]
        for first, last in itertools.pairwise(times):
            y, where, step = self._interval(first, last, y, step, left, operands)
            left -= len(where)
            values.append(y)
            ends.append([float((x - first) / (last - first)) for x in where[:-1]] + [1.0])
        return Steps(ends, np.stack(values))

    def _interval(self, first: float, last: float, y: np.ndarray, step: float | None, left: int,
                  operands: Sequence[Any]) -> tuple[np.ndarray, list[float], float]:
        """From one time to the next: the value, where steps ended, the longest step."""
        from scipy import integrate

        options = {key: self.options[key] for key in ("rtol", "atol", "max_step")}
        solver = getattr(integrate, self.method)(
            numbers(self.field, operands), first, y, last, **options,
            first_step=None if step is None else min(step, abs(last - first)))
        where: list[float] = []
        longest = 0.0 if step is None else step
        while solver.status == "running":
            message = solver.step()
            where.append(solver.t)
            longest = max(solver.step_size or 0.0, 0.5 * longest)
            if solver.status == "failed" or len(where) > left:
                raise ConvergenceError(stopped(solver.t, message, self.options["max_steps"]))
        return solver.y, where, longest


def stopped(t: float, message: str | None, most: int) -> str:
    return f"odeint: stopped at t = {t:.6g}: {message or f'more than {most} steps'}"


def numbers(field: Callable[..., Any], operands: Sequence[Any]) -> Callable[..., np.ndarray]:
    """A field as SciPy wants it: of a number and an array."""
    def of(t: float, y: np.ndarray) -> np.ndarray:
        slope = field(wrap(np.asarray(float(t))), wrap(np.array(y)), *operands)
        return bare(slope, "odeint", "f")

    return of


def _step(field: Callable[..., Any], known: Tableau, t: Any, y: Any, h: Any,
          operands: Sequence[Any]) -> Any:
    slopes: list[Any] = []
    for row, node in zip(known.stages, known.nodes, strict=True):
        at = y + h * _mixed(slopes, row) if row else y
        slopes.append(field(t + h * node, at, *operands))
    return y + h * _mixed(slopes, known.weights)


def _mixed(slopes: Sequence[Any], weights: Sequence[tuple[int, float]]) -> Any:
    """A weighted sum, as one product instead of many."""
    if len(weights) == 1:
        return slopes[weights[0][0]] * weights[0][1]
    return stack([slopes[j] for j, _ in weights], -1) @ wrap(np.array([w for _, w in weights]))


class Frozen(Function):
    """A program that follows from the steps, run on inputs that end with what decides the steps.

    Its derivatives are programs of the same kind, so there are derivatives of any order.
    """

    @staticmethod
    def forward(problem: Discrete, program: Any, deciding: int, *inputs: Any) -> Any:
        given = plain(inputs)
        steps = problem.steps(*given[len(given) - deciding:])
        if program == problem.trajectory:
            return wrap(np.array(steps.values))
        with modes(grad=False):
            return program(steps)(*given)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, _: Any) -> None:
        ctx.problem, ctx.program, ctx.deciding, *given = inputs
        ctx.save_for_backward(*given)
        ctx.save_for_forward(*given)

    @staticmethod
    def backward(ctx: Any, *gs: Any) -> Any:
        inputs, program = ctx.saved_tensors, ctx.program
        places, count = differentiable(inputs, ctx.needs_input_grad[3:]), len(gs)

        def pulled(steps: Steps) -> Program:
            def run(*given: Any) -> Any:
                cotangents, rest = given[:count], list(given[count:])
                out, pull = vjp(_of(program(steps), rest, places), *[rest[i] for i in places])
                return pull(cotangents if isinstance(out, tuple) else cotangents[0])
            return run

        found: list[Any] = [None] * len(inputs)
        for i, g in zip(places, Frozen.apply(ctx.problem, pulled, ctx.deciding, *gs, *inputs),
                        strict=True):
            found[i] = g
        return None, None, None, *found

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        inputs, program, rest = ctx.saved_tensors, ctx.program, tangents[3:]
        places = differentiable(inputs, ctx.needs_input_grad[3:])
        count = len(places)

        def pushed(steps: Steps) -> Program:
            def run(*all_: Any) -> Any:
                ts, rest = all_[:count], list(all_[count:])
                return jvp(_of(program(steps), rest, places), tuple(rest[i] for i in places),
                           ts)[1]
            return run

        return Frozen.apply(ctx.problem, pushed, ctx.deciding, *[rest[i] for i in places],
                            *inputs)

    @staticmethod
    def vmap(info: Any, in_dims: Any, problem: Discrete, program: Any, deciding: int,
             *inputs: Any) -> Any:
        dims = in_dims[3:]
        if any(dim is not None for dim in dims[len(dims) - deciding:]):
            return each(Frozen, info, in_dims, problem, program, deciding, *inputs)

        def batched(steps: Steps) -> Program:
            return vmap(program(steps), in_dims=tuple(dims))

        out = Frozen.apply(problem, batched, deciding, *inputs)
        return out, (0,) * len(out) if isinstance(out, tuple) else 0


def _of(program: Program, inputs: Sequence[Any], places: Sequence[int]) -> Program:
    """A program as a function of some of its inputs."""
    def run(*some: Any) -> Any:
        given = list(inputs)
        for i, x in zip(places, some, strict=True):
            given[i] = x
        return program(*given)

    return run
