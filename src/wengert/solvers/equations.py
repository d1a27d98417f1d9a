"""`root`, `fixed_point` and `argmin`: solutions that are differentiable in the parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..func.reverse import grad
from .arguments import ConvergenceError, Form, vector
from .implicit import Numbers, Residual, failed, newton, polished, small, solution
from .minimise import FREE, optimum
from .objective import Scalar

MEMORY = 5
"""How many earlier iterates Anderson's method looks at."""


def root(f: Callable[..., Any], x0: Any, *params: Any, method: str = "hybr",
         tol: float = 1e-10, max_iter: int | None = None) -> Any:
    """Solves f(x, *params) = 0 for x; the solution is differentiable in the parameters.

    Derivatives are those of the implicit function theorem, in forward and reverse mode, to any
    order, and under `vmap` (which solves for one example after another). They are taken by
    `params` alone: `x0` only says where to start, and has gradient zero. The work is done in
    float64; the result is of the dtype of `x0`.

    Args:
        f: f(x, *params), from what `x0` is to as many numbers.
        x0: where to start: a floating point tensor, or a pytree of them.
        params: what the solution depends on: tensors, or pytrees with tensors among their leaves.
        method: an algorithm of `scipy.optimize.root`, or "newton". "hybr", "lm" and "newton"
            use exact Jacobians; "krylov" and "broyden1" are for many unknowns.
        tol: passed on: for the others, how large the residual may be; for the methods with exact
            Jacobians, how large the last step, relative to x.
        max_iter: the most iterations (for "hybr" and "lm", evaluations).

    Returns:
        The solution, of the structure, shapes and dtypes of `x0`.

    Raises:
        ConvergenceError: (a RuntimeError) if no solution is found, or the Jacobian is singular
            there and a derivative is asked for.
        TypeError: if x0 is not of a real floating point dtype, or f returns no tensors.
        ValueError: if f returns another number of numbers, or x0 is not finite.
        RuntimeError: if f uses a tensor that is differentiated by, and is no parameter.

    Example:
        >>> import wengert as torch
        >>> def half(a):  # the square root of a
        ...     return torch.solvers.root(lambda x, a: x * x - a, torch.tensor(1.), a)
        >>> half(torch.tensor(4.)), torch.func.grad(half)(torch.tensor(4.))
        (tensor(2.), tensor(0.2500))
    """
    def residual(form: Form) -> Residual:
        def of(x: Any, *given: Any) -> Any:
            r = vector(f(form.unpack(x), *given), "root", "f")
            if r.aval.numel != form.size:
                raise ValueError(f"root: f must return as many numbers as x0 has, {form.size} in "
                                 f"shape {form.shapes}, got {r.aval.numel}")
            return r
        return of

    def solve(equations: Numbers, x: np.ndarray) -> np.ndarray:
        if method == "newton":
            return newton(equations, x, tol, max_iter or 100)
        return _by_scipy(equations, x, method, tol, max_iter)

    return solution("root", x0, params, solve, residual)


LIMITS = {"hybr": "maxfev", "lm": "maxiter", "df-sane": "maxfev"}
"""What SciPy calls the limit, where it isn't "maxiter"."""
EXACT = ("hybr", "lm")
"""Methods that take Jacobians; for the others `tol` of SciPy's is of the steps, not of f."""


def _by_scipy(equations: Numbers, x: np.ndarray, method: str, tol: float,
              max_iter: int | None) -> np.ndarray:
    from scipy import optimize

    options: dict[str, Any] = {} if max_iter is None else {LIMITS.get(method, "maxiter"): max_iter}
    how: dict[str, Any] = {"tol": tol, "jac": equations.jacobian}
    if method not in EXACT:
        how, options = {}, {"fatol": tol, **options}
    found = optimize.root(equations.residual, x, method=method, options=options, **how)
    r = equations.residual(found.x)
    if not _accepted(method, found, r, equations.residual(x)):
        raise ConvergenceError(f"root: {' '.join(found.message.split())} The largest residual is "
                               f"{np.abs(r).max():.3g}")
    return np.asarray(found.x, np.float64)


def _accepted(method: str, found: Any, r: np.ndarray, before: np.ndarray) -> bool:
    """Whether SciPy's solution is one: others than "hybr" are content with a least residual."""
    if not found.success or method == "hybr":
        return bool(found.success) or small(r, found.x, 1e-12)
    return small(r, found.x, 1e-6) or bool(np.abs(r).max() < 1e-6 * np.abs(before).max())


def fixed_point(f: Callable[..., Any], x0: Any, *params: Any, method: str = "anderson",
                tol: float = 1e-10, max_iter: int = 1000) -> Any:
    """Solves x = f(x, *params) for x; the solution is differentiable in the parameters.

    As for `root`, derivatives are those of the implicit function theorem, in both modes, to any
    order, by `params` alone, and nothing is remembered of the iterations.

    Args:
        f: f(x, *params), from what `x0` is to the same structure and shapes.
        x0: where to start: a floating point tensor, or a pytree of them.
        params: what the solution depends on: tensors, or pytrees with tensors among their leaves.
        method: "anderson" (mixes the last five iterates; D. G. Anderson, J. ACM 12, 1965; H. F.
            Walker and P. Ni, SIAM J. Numer. Anal. 49, 2011); "iterate" (x becomes f(x)), which
            converges only if f contracts; or "newton".
        tol: how large f(x) - x (for "newton", the last step) may be, relative to 1 + |x|.
        max_iter: the most iterations.

    Returns:
        The solution, of the structure, shapes and dtypes of `x0`.

    Raises:
        ConvergenceError: (a RuntimeError) if it doesn't converge, or 1 is an eigenvalue of f's
            Jacobian there and a derivative is asked for.
        TypeError: if x0 is not of a real floating point dtype, or f returns no tensors.
        ValueError: if f returns another structure or shape, method is none of these, or x0 is
            not finite.
        RuntimeError: if f uses a tensor that is differentiated by, and is no parameter.

    Example:
        >>> import wengert as torch
        >>> def solve(a):
        ...     return torch.solvers.fixed_point(lambda x, a: torch.cos(a * x), torch.tensor(1.), a)
        >>> solve(torch.tensor(1.)), torch.func.grad(solve)(torch.tensor(1.))
        (tensor(0.7391), tensor(-0.2975))
    """
    if method not in METHODS:
        raise ValueError(f"fixed_point: method must be one of {tuple(METHODS)}, got {method!r}")

    def residual(form: Form) -> Residual:
        return lambda x, *given: form.pack(f(form.unpack(x), *given), "f") - x

    return solution("fixed_point", x0, params,
                    lambda equations, x: METHODS[method](equations, x, tol, max_iter), residual)


def _iterate(equations: Numbers, x: np.ndarray, tol: float, max_iter: int) -> np.ndarray:
    for k in range(max_iter):
        r = _finite_residual(equations, x, k)
        if small(r, x, tol):
            return x + r
        x = x + r
    raise failed(equations.name, max_iter, r)


def _anderson(equations: Numbers, x: np.ndarray, tol: float, max_iter: int) -> np.ndarray:
    """The next iterate is the mixture of earlier ones whose residual is least."""
    moves: list[np.ndarray] = []  # changes of f(x), and of the residual, from iterate to iterate
    changes: list[np.ndarray] = []
    r = _finite_residual(equations, x, 0)
    for k in range(1, max_iter):
        if small(r, x, tol):
            return x + r
        new = x + r
        if changes:
            new = new - np.stack(moves, 1) @ np.linalg.lstsq(np.stack(changes, 1), r)[0]
        found = _finite_residual(equations, new, k)
        moves, changes = [*moves, new + found - x - r], [*changes, found - r]
        moves, changes = moves[-MEMORY:], changes[-MEMORY:]
        x, r = new, found
    raise failed(equations.name, max_iter, r)


def _finite_residual(equations: Numbers, x: np.ndarray, k: int) -> np.ndarray:
    r = equations.residual(x)
    if not np.isfinite(r).all():
        raise ConvergenceError(f"fixed_point: f(x) is NaN or infinite in iteration {k}")
    return r


METHODS: dict[str, Callable[..., np.ndarray]] = {
    "anderson": _anderson, "iterate": _iterate, "newton": newton}


def argmin(fun: Callable[..., Any], x0: Any, *params: Any, method: str = "trust-ncg",
           tol: float = 1e-8, options: dict[str, Any] | None = None) -> Any:
    """The x that minimises fun(x, *params), differentiable in the parameters.

    At a minimum the gradient is zero, and that equation is differentiated as in `root`. There
    are no bounds or constraints, and the Hessian must not be singular at the minimum.

    Args:
        fun: fun(x, *params), from what `x0` is to a tensor of one element.
        x0: where to start: a floating point tensor, or a pytree of them.
        params: what the minimiser depends on: tensors, or pytrees with tensors among their leaves.
        method: an algorithm of `scipy.optimize.minimize` that uses derivatives. What it finds is
            made exact by Newton steps.
        tol: passed on.
        options: passed on.

    Returns:
        The minimiser, of the structure, shapes and dtypes of `x0`.

    Raises:
        ConvergenceError: (a RuntimeError) if none is found, or the Hessian is singular there.
        TypeError, ValueError, RuntimeError: as `minimize` and `root`.

    Example:
        >>> import wengert as torch
        >>> def ridge(weight):  # the weight's effect on a fitted slope
        ...     t = torch.tensor([1., 2., 3.], dtype=torch.float64)
        ...     loss = lambda slope, w: ((slope * t - 2 * t) ** 2).sum() + w * slope ** 2
        ...     return torch.solvers.argmin(loss, torch.tensor(0.), weight)
        >>> ridge(torch.tensor(14.)), torch.func.grad(ridge)(torch.tensor(14.))
        (tensor(1.), tensor(-0.0357))
    """
    if method.lower() in FREE:
        raise ValueError(f"argmin: {method} takes no derivatives; use a method that does")

    def residual(form: Form) -> Residual:
        scalar = Scalar("argmin", "fun", fun, form)
        return lambda x, *given: grad(lambda at: scalar.at(at, given))(x)

    def solve(equations: Numbers, x: np.ndarray) -> np.ndarray:
        objective = Scalar("argmin", "fun", fun, equations.form, equations.params)
        found = optimum(objective, x, method, tol=tol, options=options)
        if not found.success:
            raise ConvergenceError(f"argmin: {found.message} The largest component of the "
                                   f"gradient is {np.abs(found.jac).max():.3g}")
        return polished(equations, np.asarray(found.x, np.float64))

    return solution("argmin", x0, params, solve, residual)
