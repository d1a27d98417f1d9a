"""Solutions of equations, differentiated by the implicit function theorem.

Where residual(x, *operands) = 0 defines x, its derivative needs no derivative of the algorithm
that found it: with J the residual's Jacobian by x, dx = -J⁻¹ (∂residual/∂operands) d(operands).
Reverse mode solves with the transpose of J instead (B. Christianson, Reverse accumulation and
attractive fixed points, Optimization Methods and Software 3, 1994; M. Blondel et al., Efficient
and modular implicit differentiation, NeurIPS 2022). Both rules are made of a linear solve that is
differentiable itself, so they can be nested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd.function import Function
from ..core.handle import Handle, wrap
from ..core.levels import here, modes
from ..func.forward import jvp
from ..func.reverse import vjp
from .arguments import ConvergenceError, Form, Params, bare, check_finite, explained
from .linear import Linear, each, given, keep, matrix, plain, pull_operands, push_operands, solved

Residual = Callable[..., Any]


class Equations:
    """A problem: residual(x, *operands) = 0 for a vector x, and how it is solved.

    Attributes:
        name: the solver's, for error messages.
        of: the equations, from a vector and the user's parameters to a vector as long.
        method: from the problem with its operands put in, and a start, to the solution: arrays.
        form: the form of x.
        given: the user's parameters, whose tensors are the operands.
        checked: whether what the user's function closes over is looked at: derivatives are wanted.
    """

    def __init__(self, form: Form, given: Params, residual: Residual,
                 method: Callable[..., np.ndarray]) -> None:
        self.name, self.form, self.given, self.method = form.name, form, given, method
        self.of = residual
        self.checked = here.grad

    def residual(self, x: Any, *operands: Any) -> Any:
        return self.of(x, *self.given.rebuilt(operands))

    def push(self, v: Any, x: Any, *operands: Any) -> Any:
        """The Jacobian by x times a vector."""
        return jvp(lambda at: self.residual(at, *operands), (x,), (v,))[1]

    def pull(self, v: Any, x: Any, *operands: Any) -> Any:
        """The Jacobian's transpose times a vector."""
        return vjp(lambda at: self.residual(at, *operands), x)[1](v)[0]

    def check(self, x: Any, operands: Sequence[Any]) -> None:
        """Looks at what the user's function closes over.

        Raises:
            RuntimeError: if a derivative by that would be lost.
        """
        with modes(grad=True):
            check_constant(self.residual(x, *operands), self.name)


class Numbers:
    """The equations with their operands put in, for algorithms: arrays to arrays."""

    def __init__(self, problem: Equations, operands: Sequence[Any]) -> None:
        self.problem, self.operands, self.name = problem, operands, problem.name
        self.form, self.params = problem.form, problem.given.rebuilt(operands)

    def residual(self, x: np.ndarray) -> np.ndarray:
        r = self.problem.residual(wrap(np.array(x)), *self.operands)
        return bare(r, self.name, "f")

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        return matrix(self._push_at(x), x.size)

    def newton_step(self, x: np.ndarray, r: np.ndarray) -> np.ndarray:
        """What is to be subtracted from x."""
        return solved(self.name, self._push_at(x), r[None])[0]

    def _push_at(self, x: np.ndarray) -> Callable[..., Any]:
        at = wrap(np.array(x))
        return lambda v: self.problem.push(v, at, *self.operands)


class Solution(Function):
    """The x of `Equations`, from a start and operands."""

    @staticmethod
    def forward(problem: Equations, start: Any, *operands: Any) -> Any:
        params = plain(operands)
        x = bare(start, problem.name, "x0")
        check_finite(x, problem.name, "x0")
        with explained(problem.name):
            if problem.checked:
                problem.check(wrap(np.array(x)), params)
            with modes(grad=False):
                return wrap(problem.method(Numbers(problem, params), np.array(x)))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.problem, _, *operands = inputs
        keep(ctx, output, operands)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        problem, (x, *operands) = ctx.problem, ctx.saved_tensors
        w = Linear.apply(problem.name, (problem.pull, problem.push), g, x, *operands)
        pulled = pull_operands(lambda *ps: problem.residual(x, *ps), operands, -w,
                               ctx.needs_input_grad[2:])
        return None, None, *pulled

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        problem, (x, *operands) = ctx.problem, ctx.saved_tensors
        moved = push_operands(lambda *ps: problem.residual(x, *ps), operands,
                              given(tangents, ctx)[2:])
        if moved is None:  # the start alone has one
            return x * 0
        return Linear.apply(problem.name, (problem.push, problem.pull), -moved, x, *operands)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return each(Solution, info, in_dims, *args)


def solution(name: str, x0: Any, params: Sequence[Any], method: Callable[..., np.ndarray],
             residual: Callable[[Form], Residual]) -> Any:
    """Solves, differentiably.

    Args:
        name: the solver's, for error messages.
        x0: where to start, as the user gave it.
        params: the user's parameters.
        method: as in `Equations`.
        residual: from the form of x to residual(vector, *params) as a vector.

    Returns:
        The solution, of the structure and dtypes of `x0`.
    """
    form, given = Form(name, x0), Params(params)
    problem = Equations(form, given, residual(form), method)
    return form.given(Solution.apply(problem, form.start(), *given.tensors))


def check_constant(r: Any, name: str) -> None:
    """Raises RuntimeError if a result, computed from constants, has a derivative nevertheless."""
    bare(r, name, "the function")
    while isinstance(r, Handle):
        if r.aval.level is None and r.node is not None:
            raise RuntimeError(
                f"{name}: the function uses a tensor that requires grad and is none of its "
                "parameters, so its gradient would be lost. Give it as a parameter, detach it, or "
                "solve under no_grad")
        r = r.value


# --- algorithms -------------------------------------------------------------------------------


def newton(equations: Numbers, x: np.ndarray, tol: float, max_iter: int) -> np.ndarray:
    """Newton's method, halving steps that do not make the residual smaller.

    Raises:
        ConvergenceError: if the step is not at most tol (1 + |x|) after so many.
    """
    r = equations.residual(x)
    for _ in range(max_iter):
        step = equations.newton_step(x, r)
        if small(step, x, tol):
            return x - step
        x, r = _damped(equations, x, r, step)
    raise failed(equations.name, max_iter, r)


def _damped(equations: Numbers, x: np.ndarray, r: np.ndarray,
            step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    for halvings in range(30):
        nearer = x - step * 0.5 ** halvings
        found = equations.residual(nearer)
        if np.linalg.norm(found) < np.linalg.norm(r):
            return nearer, found
    raise ConvergenceError(f"{equations.name}: no step along Newton's direction makes the residual "
                           f"smaller than {np.abs(r).max():.3g}")


def polished(equations: Numbers, x: np.ndarray, steps: int = 3) -> np.ndarray:
    """A solution made more exact by Newton steps, as long as they help.

    Derivatives are as exact as the solution that they are taken at.
    """
    r = equations.residual(x)
    for _ in range(steps):
        try:
            nearer = x - equations.newton_step(x, r)
        except ConvergenceError:  # nobody has asked for a derivative yet
            break
        found = equations.residual(nearer)
        if not np.abs(found).max() < np.abs(r).max():
            break
        x, r = nearer, found
    return x


def small(r: np.ndarray, x: np.ndarray, tol: float) -> bool:
    return bool(np.abs(r).max() <= tol * (1 + np.abs(x).max()))


def failed(name: str, steps: int, r: np.ndarray) -> ConvergenceError:
    return ConvergenceError(f"{name}: not converged after {steps} iterations: the largest residual "
                            f"is {np.abs(r).max():.3g}")
