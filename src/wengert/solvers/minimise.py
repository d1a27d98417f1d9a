"""`minimize`: SciPy's optimisers with derivatives computed here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arguments import Form, bare, check_finite
from .bounds import limit, limits
from .objective import Flat, Scalar, Vector, point

FREE = frozenset(("nelder-mead", "powell", "cobyla", "cobyqa"))
"""Methods that take no derivatives."""
PRODUCTS = frozenset(("newton-cg", "trust-ncg", "trust-krylov", "trust-constr"))
"""Methods that take Hessian-vector products."""
MATRICES = frozenset(("dogleg", "trust-exact"))
"""Methods that need the Hessian itself."""


def minimize(fun: Callable[..., Any], x0: Any, args: Any = (),
             method: str | None = None, *, hess: Any = None, bounds: Any = None,
             constraints: Any = (), tol: float | None = None,
             callback: Callable[..., Any] | None = None,
             options: dict[str, Any] | None = None) -> Any:
    """`scipy.optimize.minimize` with gradient and Hessian computed by differentiation.

    The function is called with float64 tensors, whatever the dtype of `x0` and of the tensors in
    `args`; the minimiser comes back in the dtype of `x0`. The result is a number like any other:
    it has no derivative. For that see `argmin`.

    Args:
        fun: fun(x, *args), from what `x0` is to a tensor of one element.
        x0: where to start: a floating point tensor, or a pytree of them (a dict of parameters).
        args: further arguments of fun: a tuple, or a single one.
        method: SciPy's name of the algorithm; by default BFGS, L-BFGS-B or SLSQP, according to
            bounds and constraints. Methods without derivatives work too.
        hess: "product" or "dense": how a method that takes second derivatives gets them; by
            default products where it takes them. A quasi-Newton strategy of SciPy's (`BFGS()`,
            for "trust-constr") is passed on.
        bounds: for a tensor, as SciPy takes them: `Bounds`, or a pair (low, high) per number;
            for a pytree, one of its structure with a pair in place of each tensor, either of which
            may be None, a number, or an array of the tensor's shape.
        constraints: as SciPy takes them. Functions in them are called with what `x0` is, and get
            Jacobians unless they bring their own; a `LinearConstraint` is for the vector of all
            numbers of x in order.
        tol: the tolerance, passed on.
        callback: called after each iteration with what `x0` is (or, if its one parameter is named
            `intermediate_result`, with SciPy's result so far).
        options: passed on.

    Returns:
        SciPy's `OptimizeResult`; `x` is what `x0` is, other fields are SciPy's (`jac` an array
        over all numbers of x). Look at `success`: not converging is not an error here.

    Raises:
        TypeError: if x0 is not of a real floating point dtype, or fun returns no tensor.
        ValueError: if fun doesn't return one number, or x0, or the value or gradient there, is
            NaN or infinite.
        RuntimeError: inside a transform that would differentiate through this.

    Example:
        >>> import wengert as torch
        >>> def rosenbrock(p):
        ...     return (1 - p["x"]) ** 2 + 100 * (p["y"] - p["x"] ** 2) ** 2
        >>> start = {"x": torch.tensor(-1.2), "y": torch.tensor(1.)}
        >>> found = torch.solvers.minimize(rosenbrock, start, method="trust-ncg", tol=1e-10)
        >>> found.success, found.x
        (True, {'x': tensor(1.), 'y': tensor(1.)})

    The algorithms are described in J. Nocedal and S. J. Wright, Numerical Optimization, 2nd ed.,
    Springer 2006. Hessian-vector products cost a few evaluations of fun: B. A. Pearlmutter, Fast
    exact multiplication by the Hessian, Neural Computation 6 (1994).
    """
    form = Form("minimize", x0)
    objective = Scalar("minimize", "fun", fun, form, args)
    word = (method or "").lower()
    found = optimum(
        objective, first_point(form), method, hess, tol=tol, options=options,
        bounds=limits("minimize", bounds, form), callback=_callback(callback, form),
        constraints=[_constraint(c, form, word) for c in _several(constraints)])
    return filled(found, form)


def optimum(objective: Scalar, start: np.ndarray, method: str | None, hess: Any = None,
            **others: Any) -> Any:
    """What SciPy finds, of a vector, with the derivatives that the method takes."""
    from scipy import optimize

    word = (method or "").lower()
    return optimize.minimize(_value(objective, start, word), start, method=method,
                             jac=word not in FREE or None, **_second(objective, word, hess),
                             **others)


def first_point(form: Form) -> np.ndarray:
    """The numbers of x0.

    Raises:
        ValueError: if they are not finite.
    """
    start = bare(form.start(), form.name, form.word)
    check_finite(start, form.name, form.word)
    return np.array(start)


def filled(result: Any, form: Form) -> Any:
    """SciPy's result with `x` as the user has it."""
    result = type(result)(result)
    result.x = form.solution(result.x)
    return result


def _value(objective: Scalar, start: np.ndarray, method: str) -> Callable[..., Any]:
    """What SciPy minimises: the value, with the gradient if the method takes it."""
    objective.check(start)
    if method in FREE:
        check_finite(np.asarray(objective.number(start)), objective.name, "fun(x0)")
        return objective.number
    value, slope = objective.with_gradient(start)
    check_finite(np.asarray(value), objective.name, "fun(x0)")
    check_finite(slope, objective.name, "the gradient of fun at x0")
    return objective.with_gradient


def _second(objective: Scalar, method: str, hess: Any) -> dict[str, Any]:
    """What SciPy is told of second derivatives."""
    if hess is not None and not isinstance(hess, str):
        return {"hess": hess}
    if hess not in (None, "product", "dense"):
        raise ValueError(f'minimize: hess must be "product", "dense" or a strategy of SciPy\'s, '
                         f"got {hess!r}")
    if method in MATRICES or (method in PRODUCTS and hess == "dense"):
        return {"hess": objective.hessian}
    return {"hessp": objective.product} if method in PRODUCTS else {}


def _several(constraints: Any) -> list[Any]:
    return list(constraints) if isinstance(constraints, (list, tuple)) else [constraints]


def _constraint(constraint: Any, form: Form, method: str) -> Any:
    """A constraint on vectors, with derivatives."""
    from scipy.optimize import NonlinearConstraint

    if isinstance(constraint, dict):
        return _old_constraint(constraint, form)
    if not isinstance(constraint, NonlinearConstraint):
        return constraint
    flat = Vector("minimize", "a constraint's fun", constraint.fun, form)
    flat.start(first_point(form))
    jac = _own(constraint.jac, form) if callable(constraint.jac) else flat.jacobian
    hess = constraint.hess
    if hess is None and method == "trust-constr":
        hess = _curvature(flat, form)
    return NonlinearConstraint(flat.value, limit(constraint.lb), limit(constraint.ub), jac=jac,
                               keep_feasible=constraint.keep_feasible,
                               **({} if hess is None else {"hess": hess}))


def _old_constraint(constraint: dict[str, Any], form: Form) -> dict[str, Any]:
    """A constraint given as a dict: type, fun, and maybe jac and args."""
    args = constraint.get("args", ())
    flat = Vector("minimize", "a constraint's fun", constraint["fun"], form, args)
    flat.start(first_point(form))
    jac = constraint.get("jac")
    return {"type": constraint["type"], "fun": flat.value,
            "jac": _own(jac, form, args) if callable(jac) else flat.jacobian}


def _own(jac: Callable[..., Any], form: Form, args: Sequence[Any] = ()) -> Callable[..., Any]:
    """A Jacobian of the user's, of a vector."""
    flat = Flat("minimize", "a constraint's jac", jac, form, args)
    return lambda x: flat.array(flat.run(lambda p: jac(form.unpack(p), *flat.args), x))


def _curvature(flat: Vector, form: Form) -> Callable[..., Any]:
    """The Hessian of a constraint's components, weighted, as an operator."""
    from scipy.sparse.linalg import LinearOperator

    def weighted(x: np.ndarray, weights: np.ndarray) -> Any:
        total = Scalar("minimize", "a constraint's fun",
                       lambda tree: flat.of(form.pack(tree, "x")).dot(point(weights)), form)
        return LinearOperator((form.size, form.size), lambda v: total.product(x, np.ravel(v)),
                              dtype=np.float64)

    return weighted


def _callback(callback: Callable[..., Any] | None, form: Form) -> Any:
    """The user's callback, called with x as the user has it; SciPy goes by parameters' names."""
    if callback is None:
        return None
    if list(inspect.signature(callback).parameters) == ["intermediate_result"]:
        return lambda intermediate_result: callback(
            intermediate_result=filled(intermediate_result, form))
    return lambda x, *state: callback(form.solution(x), *state)
