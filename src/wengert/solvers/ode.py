"""`odeint`: initial value problems, differentiable in start, times and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.handle import wrap
from ..core.levels import here, modes
from ..func.arguments import as_tensor
from .adjoint import IMPLICIT, Continuous, Flow
from .arguments import Form, Params, bare, check_finite, explained, wide
from .implicit import check_constant
from .rungekutta import EXPLICIT, Discrete, Frozen


def odeint(f: Callable[..., Any], y0: Any, t: Any, *params: Any, method: str = "DOP853",
           rtol: float = 1e-7, atol: float = 1e-9, adjoint: bool | None = None,
           max_step: float = np.inf, max_steps: int = 100_000) -> Any:
    """Solves dy/dt = f(t, y, *params) from y(t[0]) = y0; differentiable in y0, t and params.

    With an explicit method the derivative is that of the computed numbers: the steps that were
    chosen are gone again, recorded, in memory proportional to their number (`adjoint=False`). It
    has both modes and any order. With `adjoint=True` reverse mode integrates the adjoint equation
    backwards instead, and forward mode the sensitivity equation: derivatives are as accurate as
    the tolerances, nothing is recorded, and stiff problems can be solved; the reverse sweep can't
    be differentiated again. `vmap` solves for one example after another.

    The work is done in float64; results are of the dtypes of `y0`.

    Args:
        f: f(t, y, *params): from a time (a tensor of no dimensions) and what `y0` is, to the same
            structure and shapes.
        y0: the state at t[0]: a floating point tensor, or a pytree of them.
        t: the times at which the state is wanted, in increasing or decreasing order, in the units
            of f: a tensor of one dimension (or a sequence of numbers).
        params: what f depends on: tensors, or pytrees with tensors among their leaves.
        method: explicit: "DOP853", "RK45", "RK23", or "RK4" (equal steps, one per interval or as
            many as max_step asks for); implicit, for stiff problems: "Radau", "BDF", "LSODA".
        rtol: the error of a step relative to the state.
        atol: the absolute error of a step, in the units of y.
        adjoint: by default only for implicit methods, which have no other derivative.
        max_step: the longest step, in the units of t.
        max_steps: the most steps of an explicit method with adjoint=False.

    Returns:
        The states, of the structure of `y0`, with a dimension more in front: one of the size of t.

    Raises:
        ConvergenceError: (a RuntimeError) if step sizes become too small, or steps too many.
        TypeError: if y0 or t isn't of a real floating point dtype, or f returns no tensors.
        ValueError: if t isn't of one dimension and strictly monotone, f returns another structure
            or shape, something is not finite at the start, or there is no such method.
        RuntimeError: if f uses a tensor that is differentiated by, and is no parameter.

    Example:
        >>> import wengert as torch
        >>> def at_one(rate):  # e ** -rate
        ...     decay = lambda t, y, rate: -rate * y
        ...     return torch.solvers.odeint(decay, torch.tensor(1.), [0., 1.], rate)[-1]
        >>> at_one(torch.tensor(2.)), torch.func.grad(at_one)(torch.tensor(2.))
        (tensor(0.1353), tensor(-0.1353))

    Methods and step size control are those of SciPy: E. Hairer, S. P. Nørsett and G. Wanner,
    Solving Ordinary Differential Equations I, 2nd ed., Springer 1993, and II (with G. Wanner).
    """
    adjoint = _chosen(method, adjoint)
    form, given = Form("odeint", y0, "y0"), Params(params)
    times = _times(t)
    options = {"rtol": rtol, "atol": atol, "max_step": max_step, "max_steps": max_steps}
    problem: Any = (Continuous if adjoint else Discrete)(
        _field(f, form, given), method, options, _check(_field(f, form, given)))
    inputs = form.start(), times, *given.tensors
    if adjoint:
        return _shaped(Flow.apply(problem, *inputs), form)
    return _shaped(Frozen.apply(problem, problem.trajectory, len(inputs), *inputs), form)


def _chosen(method: str, adjoint: bool | None) -> bool:
    """Whether derivatives are continuous."""
    if method not in (*EXPLICIT, *IMPLICIT):
        raise ValueError(f"odeint: method must be one of {(*EXPLICIT, *IMPLICIT)}, got {method!r}")
    if adjoint is False and method in IMPLICIT:
        raise ValueError(f"odeint: {method} is implicit: its derivatives need adjoint=True")
    if adjoint and method == "RK4":
        raise ValueError("odeint: RK4 has derivatives with adjoint=False alone")
    return method in IMPLICIT if adjoint is None else adjoint


def _field(f: Callable[..., Any], form: Form, given: Params) -> Callable[..., Any]:
    """The right side, of vectors."""
    def field(t: Any, y: Any, *operands: Any) -> Any:
        return form.pack(f(t, form.unpack(y), *given.rebuilt(operands)), "f")

    return field


def _times(t: Any) -> Any:
    if isinstance(t, (list, tuple)):
        t = np.asarray(t, np.float64)
    times = as_tensor(t)
    if not times.aval.dtype.is_floating_point:
        raise TypeError(f"odeint: t must be of a real floating point dtype, got "
                        f"{times.aval.dtype} of shape {list(times.aval.shape)}")
    if times.aval.ndim != 1 or not times.aval.numel:
        raise ValueError(f"odeint: t must have one dimension and a time in it, got shape "
                         f"{list(times.aval.shape)}")
    return wide(times)


def _check(field: Callable[..., Any]) -> Callable[..., None]:
    """What is looked at before a problem is solved, where its numbers are known."""
    wanted = here.grad

    def check(t: Any, y0: Any, *operands: Any) -> None:
        steps = np.diff(t.value)
        if not ((steps > 0).all() or (steps < 0).all()):
            raise ValueError("odeint: t must be strictly increasing or decreasing")
        for array, word in ((t.value, "t"), (y0.value, "y0")):
            check_finite(array, "odeint", word)
        with modes(grad=wanted), explained("odeint"):
            slope = field(wrap(np.array(t.value[0])), wrap(np.array(y0.value)), *operands)
            if wanted:
                check_constant(slope, "odeint")
        check_finite(bare(slope, "odeint", "f"), "odeint", "f(t[0], y0)")

    return check


def _shaped(rows: Any, form: Form) -> Any:
    """Rows of numbers as what y0 is, a dimension more in front."""
    if form.spec.kind is None:
        parts = [rows]
    else:
        parts = rows.split(form.sizes, 1)
    return form.spec.unflatten([
        part.reshape((part.aval.shape[0], *aval.shape)).to(aval.dtype)
        for part, aval in zip(parts, form.avals, strict=True)])
