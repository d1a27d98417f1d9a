"""Trajectories differentiated as functions of time: the adjoint and the sensitivity equations.

Reverse mode integrates the adjoint state backwards in time, a' = -a ∂f/∂y, with jumps where the
trajectory was asked for, and adds up a ∂f/∂parameters along it (L. S. Pontryagin et al., The
Mathematical Theory of Optimal Processes, 1962; R. T. Q. Chen et al., Neural ordinary differential
equations, NeurIPS 2018). The trajectory itself is interpolated, not integrated backwards, which
would be unstable for stiff problems (Y. Ma et al., A comparison of automatic differentiation and
continuous sensitivity analysis, IEEE HPEC 2021). Forward mode integrates the tangent beside the
trajectory.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd.function import Function
from ..core.handle import wrap
from ..core.levels import modes
from ..func.batching import vmap
from ..func.forward import jvp
from ..func.reverse import vjp
from ..ops.joining import cat
from .arguments import ConvergenceError
from .linear import differentiable, each, given, keep, matrix, plain, pull_operands
from .rungekutta import numbers, stopped

IMPLICIT = ("Radau", "BDF", "LSODA")
NODES = 4
"""Gauss points per step, for the integrals along the trajectory."""


class Continuous:
    """An initial value problem for any of SciPy's methods.

    Attributes:
        field: the right side, field(t, y, *operands), of vectors.
        method: the method's name.
        options: rtol, atol, max_step, max_steps.
        check: looks at a problem before it is solved.
    """

    def __init__(self, field: Callable[..., Any], method: str, options: dict[str, Any],
                 check: Callable[..., None]) -> None:
        self.field, self.method, self.options, self.check = field, method, options, check
        self._known: tuple[Any, Any] | None = None

    def path(self, y0: Any, t: Any, *operands: Any) -> Any:
        """The trajectory as SciPy's interpolant; that of the last problem is remembered."""
        key, known = [x.value for x in (y0, t, *operands)], self._known
        if known is None or not all(map(np.array_equal, known[0], key)):
            self.check(t, y0, *operands)
            with modes(grad=False):
                found = self.solved(numbers(self.field, operands), self.jacobian(operands),
                                    y0.value, t.value[0], t.value[-1])
                self._known = known = [np.array(x) for x in key], found
        return known[1]

    def solved(self, fun: Callable[..., Any], jac: Callable[..., Any], y0: np.ndarray,
               first: float, last: float) -> Any:
        """An interpolant of the solution from one time to another."""
        from scipy import integrate

        options = {key: self.options[key] for key in ("rtol", "atol", "max_step")}
        if self.method in IMPLICIT:
            options["jac"] = jac
        found = integrate.solve_ivp(fun, (first, last), y0, method=self.method,
                                    dense_output=True, **options)
        if not found.success or not np.isfinite(found.y).all():
            raise ConvergenceError(stopped(found.t[-1], found.message, 0))
        return found.sol

    def jacobian(self, operands: Sequence[Any]) -> Callable[..., np.ndarray]:
        """∂f/∂y as a function of a time and a state, for implicit methods."""
        def jac(t: float, y: np.ndarray) -> np.ndarray:
            time, at = wrap(np.asarray(float(t))), wrap(np.array(y))
            return matrix(lambda v: jvp(lambda x: self.field(time, x, *operands), (at,),
                                        (v,))[1], y.size)

        return jac

    def tangent(self, count: int, places: Sequence[int]) -> Continuous:
        """The problem of a trajectory and its tangent, one vector.

        Operands are this problem's, `count` of them, and tangents of those at some places.
        """
        def field(t: Any, both: Any, *operands: Any) -> Any:
            now, tangents = list(operands[:count]), operands[count:]
            y, dy = both.chunk(2)

            def of(at: Any, *some: Any) -> Any:
                for i, x in zip(places, some, strict=True):
                    now[i] = x
                return self.field(t, at, *now)

            return cat(jvp(of, (y, *[now[i] for i in places]), (dy, *tangents)))

        return Continuous(field, self.method, self.options, lambda *args: None)


class Flow(Function):
    """The trajectory at some times, a row each."""

    @staticmethod
    def forward(problem: Continuous, y0: Any, t: Any, *operands: Any) -> Any:
        y0, t, *params = plain((y0, t, *operands))
        if len(t.value) == 1:
            return wrap(np.array(y0.value[None]))
        ys = problem.path(y0, t, *params)(t.value).T
        ys[0] = y0.value
        return wrap(np.ascontiguousarray(ys))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.problem, *rest = inputs
        keep(ctx, output, rest)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        ys, *inputs = ctx.saved_tensors
        places = differentiable(inputs, ctx.needs_input_grad[1:])
        found: list[Any] = [None] * len(inputs)
        pulled = Back.apply(ctx.problem, places, g, ys, *inputs)
        for i, cotangent in zip(places, pulled, strict=True):
            found[i] = cotangent
        return None, *found

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        problem, (ys, y0, t, *operands) = ctx.problem, ctx.saved_tensors
        _, dy0, dt, *rest = given(tangents, ctx)
        places = differentiable(operands, [x is not None for x in rest])
        dy0 = y0 * 0 if dy0 is None else dy0
        if dt is not None:
            dy0 = dy0 - problem.field(t[0], y0, *operands) * dt[0]
        both = Flow.apply(problem.tangent(len(operands), places), cat([y0, dy0]), t, *operands,
                          *[rest[i] for i in places])
        moved = both[:, y0.aval.numel:]
        if dt is None:
            return moved
        slopes = vmap(lambda time, y: problem.field(time, y, *operands))(t, ys)
        return moved + slopes * dt.unsqueeze(-1)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return each(Flow, info, in_dims, *args)


class Back(Function):
    """The cotangents of a problem's inputs (those at some places) from the trajectory's."""

    @staticmethod
    def forward(problem: Continuous, places: Sequence[int], *inputs: Any) -> Any:
        g, ys, y0, t, *operands = plain(inputs)
        wanted = [i + 2 in places for i in range(len(operands))]
        with modes(grad=False):
            path = problem.path(y0, t, *operands) if len(t.value) > 1 else None
            found = Sweep(problem, path, operands, wanted).run(g.value, ys.value, t.value)
        return tuple(wrap(np.asarray(found[i])) for i in places)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gs: Any) -> Any:
        raise NotImplementedError(_ONCE)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise NotImplementedError(_ONCE)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return each(Back, info, in_dims, *args)


_ONCE = ("odeint: the adjoint equation's solution can't be differentiated again. For second "
         "derivatives take an explicit method with adjoint=False, or forward mode inside "
         "(jacrev(jacfwd(f)))")


class Sweep:
    """One integration of the adjoint state, backwards."""

    def __init__(self, problem: Continuous, path: Any, operands: Sequence[Any],
                 wanted: Sequence[bool]) -> None:
        self.problem, self.path, self.operands, self.wanted = problem, path, operands, wanted
        # Newton's iterations in implicit methods come back to the same few times.
        self._matrix = functools.lru_cache(maxsize=16)(self._matrix_at)
        self.found: list[Any] = [None] * len(operands)

    def run(self, gs: np.ndarray, ys: np.ndarray, t: np.ndarray) -> list[Any]:
        """The cotangents of y0, t and the operands."""
        slope = numbers(self.problem.field, self.operands)
        a, times = np.zeros_like(gs[0]), np.zeros_like(t)
        for i in range(len(t) - 1, 0, -1):
            a = a + gs[i]
            times[i] = gs[i] @ slope(t[i], ys[i])
            a = self._interval(a, t[i], t[i - 1])
        if len(t) > 1:
            times[0] = -a @ slope(t[0], ys[0])
        return [a + gs[0], times, *(0.0 * x.value if f is None else f.value for f, x in
                                    zip(self.found, self.operands, strict=True))]

    def _interval(self, a: np.ndarray, last: float, first: float) -> np.ndarray:
        path = self.problem.solved(self._slope, lambda t, _: self._matrix(t), a, last, first)
        self._integrate(path)
        return np.asarray(path(first))

    def _at(self, t: float) -> tuple[Any, Any]:
        return wrap(np.asarray(float(t))), wrap(np.array(self.path(t)))

    def _slope(self, t: float, a: np.ndarray) -> np.ndarray:
        if self.problem.method in IMPLICIT:
            return self._matrix(t) @ a
        time, y = self._at(t)
        _, pull = vjp(lambda x: self.problem.field(time, x, *self.operands), y)
        return -np.asarray(pull(wrap(np.array(a)))[0].value)

    def _matrix_at(self, t: float) -> np.ndarray:
        return -self.problem.jacobian(self.operands)(t, self.path(t)).T

    def _integrate(self, path: Any) -> None:
        """Adds the integrals of a ∂f/∂operands along an interval, by Gauss's quadrature."""
        if not any(self.wanted):
            return
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        for last, first in itertools.pairwise(path.ts):
            half = (last - first) / 2
            for node, weight in zip(nodes, weights, strict=True):
                self._add(first + half * (1 + node), weight * half, path)

    def _add(self, t: float, weight: float, path: Any) -> None:
        time, y = self._at(t)
        parts = pull_operands(lambda *ps: self.problem.field(time, y, *ps), self.operands,
                              wrap(weight * path(t)), self.wanted)
        for i, part in enumerate(parts):
            if part is not None:
                self.found[i] = part if self.found[i] is None else self.found[i] + part
