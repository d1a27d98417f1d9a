"""`least_squares`: SciPy's nonlinear least squares with Jacobians computed here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..func.forward import jvp
from ..func.reverse import vjp
from .arguments import Form, check_finite
from .bounds import box
from .minimise import filled, first_point
from .objective import Vector, point

JACOBIANS = ("dense", "sparse", "operator")


def least_squares(fun: Callable[..., Any], x0: Any, *, args: Any = (),
                  jac: str = "dense", bounds: Any = None, **options: Any) -> Any:
    """`scipy.optimize.least_squares` with the Jacobian computed by differentiation.

    It minimises half the sum of squares of the residuals, or of a robust `loss` of them.
    The function is called with float64 tensors; the result comes back in the dtype of `x0`.

    Args:
        fun: fun(x, *args), from what `x0` is to the residuals: a tensor or a pytree of them.
        x0: where to start: a floating point tensor, or a pytree of them.
        args: further arguments of fun: a tuple, or a single one.
        jac: "dense"; "sparse" (as `func.sparse_jacobian` finds it, a matrix of SciPy's, for
            large problems where each residual depends on few numbers); or "operator", which
            never has the matrix, only its products with vectors.
        bounds: a pair (low, high) for all numbers or arrays of the shape of `x0`, a
            `scipy.optimize.Bounds`, or, for a pytree, one of its structure with a pair in place
            of each tensor.
        options: what else SciPy's function takes: `method`, `loss`, `ftol`, `xtol`, `gtol`,
            `max_nfev`, `x_scale`, ... (not with "lm": it takes "dense" and no bounds).

    Returns:
        SciPy's `OptimizeResult`; `x` is what `x0` is, `fun` (the residuals as one array), `jac`
        and the others are SciPy's.

    Raises:
        TypeError: if x0 is not of a real floating point dtype, or fun returns no tensors.
        ValueError: if jac is none of these, or x0 or the residuals there are NaN or infinite.

    Example:
        >>> import wengert as torch
        >>> t = torch.linspace(0, 2, 9, dtype=torch.float64)
        >>> seen = 3 * torch.exp(-0.5 * t)
        >>> fit = torch.solvers.least_squares(
        ...     lambda p: p[0] * torch.exp(-p[1] * t) - seen, torch.tensor([1., 1.]))
        >>> fit.x
        tensor([3.0000, 0.5000])

    Levenberg-Marquardt is by J. J. Moré (1978); the trust region methods are by M. A. Branch,
    T. F. Coleman and Y. Li (1999) and by C. Voglis and I. E. Lagaris (2004).
    """
    from scipy import optimize

    if jac not in JACOBIANS:
        raise ValueError(f"least_squares: jac must be one of {JACOBIANS}, got {jac!r}")
    form = Form("least_squares", x0)
    residuals = Residuals("least_squares", "fun", fun, form, args)
    start = first_point(form)
    check_finite(residuals.start(start), "least_squares", "fun(x0)")
    within = {} if bounds is None else {"bounds": box("least_squares", bounds, form)}
    return filled(optimize.least_squares(residuals.value, start, jac=getattr(residuals, jac),
                                         **within, **options), form)


class Residuals(Vector):
    """The residuals and their Jacobian in each of its forms."""

    def dense(self, x: np.ndarray) -> np.ndarray:
        return self.jacobian(x)

    def sparse(self, x: np.ndarray) -> Any:
        from ..func.sparse import sparse_jacobian

        return self.run(sparse_jacobian(self.of), x)

    def operator(self, x: np.ndarray) -> Any:
        from scipy.sparse.linalg import LinearOperator

        at = np.array(x)
        _, pull = self.run(lambda p: vjp(self.of, p), at)
        return LinearOperator(
            (self.rows, self.form.size), dtype=np.float64,
            matvec=lambda v: self.array(self.run(lambda p: jvp(
                self.of, (p,), (point(np.ravel(v)),))[1], at)),
            rmatvec=lambda v: self.array(self.run(lambda g: pull(g)[0], np.ravel(v))))
