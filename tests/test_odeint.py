"""`odeint`: trajectories and their derivatives, against formulas and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as torch
from test_solvers import D, T, close, state_is_restored  # noqa: F401
from wengert import func, solvers
from wengert.autograd import gradcheck, gradgradcheck

pytest.importorskip("scipy.integrate")

KINDS = [("DOP853", False), ("RK45", False), ("RK23", False), ("RK4", False), ("DOP853", True),
         ("Radau", True), ("BDF", True), ("LSODA", True)]
TIMES = T(0., 0.5, 1.3, 2.)
TANGENTS = (T(.2, -.4), T(.3), T(.1, .2, .3, -.4))
WEIGHTS = T([[.3, .1], [.5, .3], [.2, 1.], [.7, .4]])


def swing(kind):
    """y' = -k y cos t, solved, and its exact solution: both of (y0, k, t)."""
    method, adjoint = kind
    tight = 1e-6 if method in ("RK23", "Radau", "BDF") else 1e-9

    def solved(y0, k, t):
        return solvers.odeint(lambda t, y, k: -k * y * torch.cos(t), y0, t, k, method=method,
                              adjoint=adjoint, rtol=tight, atol=tight / 100,
                              max_step=0.02 if method == "RK4" else np.inf)

    def exact(y0, k, t):
        return y0 * torch.exp(-k * (torch.sin(t) - torch.sin(t[0])))[:, None]

    return solved, exact, 100 * tight


def weighted(f):
    return lambda *args: (f(*args) * WEIGHTS).sum()


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("backwards", [False, True])
def test_odeint(kind, backwards):
    solved, exact, tol = swing(kind)
    args = T(1., 2.), T(.7), TIMES.flip(0) if backwards else TIMES
    close(solved(*args), exact(*args), tol)
    for mine, true in zip(func.grad(weighted(solved), (0, 1, 2))(*args),
                          func.grad(weighted(exact), (0, 1, 2))(*args), strict=True):
        close(mine, true, tol)
    close(func.jvp(solved, args, TANGENTS)[1], func.jvp(exact, args, TANGENTS)[1], tol)


TWICE = [kind for kind in KINDS if kind[0] not in ("RK23", "BDF", "Radau")]


@pytest.mark.parametrize("kind", TWICE, ids=str)
def test_odeint_second_derivatives(kind):
    solved, exact, tol = swing(kind)
    args = T(1., 2.), T(.7), TIMES

    def mixed(f):
        return func.grad(lambda *a: func.jvp(weighted(f), a, TANGENTS)[1], (0, 1, 2))(*args)

    for mine, true in zip(mixed(solved), mixed(exact), strict=True):
        close(mine, true, tol)

    def along(f):
        return func.jvp(func.grad(weighted(f), (0, 1, 2)), args, TANGENTS)[1]

    if kind[1]:
        with pytest.raises(NotImplementedError, match="adjoint=False"):
            along(solved)
    else:
        for mine, true in zip(along(solved), along(exact), strict=True):
            close(mine, true, tol)


def test_odeint_derivative_is_that_of_the_steps():
    """Exact for what is computed, however coarse, as long as the steps stay."""
    def coarse(y0, k, t):
        return solvers.odeint(lambda t, y, k: -k * y ** 2, y0, t, k, method="RK4")

    args = (T(1., 2., requires_grad=True), T(.7, requires_grad=True),
            T(0., 1., 2.5, requires_grad=True))
    assert gradcheck(coarse, args)
    assert gradgradcheck(coarse, args)


def test_odeint_backward_and_dtypes():
    k = torch.tensor(2., requires_grad=True)
    start = {"a": torch.ones(2), "b": torch.ones((), dtype=D)}
    states = solvers.odeint(lambda t, y, k: {"a": -k * y["a"], "b": y["b"]}, start, [0., 1.], k)
    assert states["a"].shape == (2, 2)
    assert states["a"].dtype is torch.float32
    close(states["b"], T(1., np.e), 1e-6)
    states["a"][-1].sum().backward()
    close(k.grad, torch.tensor(-2 * np.exp(-2.), dtype=torch.float32), 1e-5)


@pytest.mark.parametrize("adjoint", [False, True])
def test_odeint_transforms(adjoint):
    def decay(k, y0):
        return solvers.odeint(lambda t, y, k: -k * y, y0, T(0., 1., 2.), k, adjoint=adjoint)

    k, y0, t = T(.5, 1.), T(1., 3.), T(0., 1., 2.)
    close(func.vmap(decay, (0, None))(k, y0), torch.stack([
        y0 * torch.exp(-each * t)[:, None] for each in k]), 1e-6)
    expected = -t[:, None] * torch.exp(-t)[:, None] * y0
    close(func.jacrev(decay)(T(1.), y0), expected, 1e-6)
    close(func.jacfwd(decay)(T(1.), y0), expected, 1e-6)
    close(func.vmap(func.jacrev(decay), (0, None))(k, y0)[1], expected, 1e-6)
    close(func.jacfwd(func.jacfwd(decay))(T(1.), y0), -t[:, None] * expected, 1e-6)


def test_odeint_one_time():
    for adjoint in (False, True):
        def still(y, adjoint=adjoint):
            return solvers.odeint(lambda t, y: y, y, T([0.]), adjoint=adjoint)

        close(still(T(3.)), T([3.]))
        close(func.grad(lambda y: still(y).sum())(T(3.)), T(1.))


@pytest.mark.parametrize(("method", "rtol"), [("Radau", 1e-6), ("LSODA", 1e-8)])
def test_stiff(method, rtol):
    """Robertson's reactions: rates from 0.04 to 3e7."""
    def reactions(t, y, k):
        slow, fast, back = k[0] * y[0], k[1] * y[1] ** 2, k[2] * y[1] * y[2]
        return torch.stack([back - slow, slow - back - fast, fast])

    def end(k):
        return solvers.odeint(reactions, T(1., 0., 0.), [0., 40.], k * T(0.04, 3e7, 1e4),
                              method=method, rtol=rtol, atol=1e-4 * rtol)[-1, 0]

    k, h = T(1., 1., 1.), 1e-3
    close(end(k), T(0.7158271), 1e-5)
    numeric = torch.stack([(end(k + h * e) - end(k - h * e)) / (2 * h)
                           for e in torch.eye(3, dtype=D)])
    close(func.grad(end)(k), numeric, 1e-4)
    close(func.jvp(end, (k,), (T(1., -1., 0.5),))[1], numeric.dot(T(1., -1., 0.5)), 1e-4)


def test_second_derivative_by_one_parameter_alone():
    def at_one(a):
        return solvers.odeint(lambda t, y, a: -a * y, T(1.), [0., 1.], a)[-1]

    a = T(1.3)
    close(func.grad(func.grad(at_one))(a), torch.exp(-a), 1e-6)
    close(func.jacrev(func.jacrev(at_one))(a), torch.exp(-a), 1e-6)
