"""Solvers: what they find, and its derivatives against formulas and finite differences."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import wengert as torch
from wengert import func, solvers
from wengert.autograd import gradcheck, gradgradcheck
from wengert.core.levels import here, shared
from wengert.solvers import ConvergenceError, linear
from wengert.solvers.adjoint import Continuous
from wengert.solvers.rungekutta import Discrete

optimize = pytest.importorskip("scipy.optimize")
D = torch.float64


def T(*values, dtype=D, **kwargs):
    return torch.tensor(values[0] if len(values) == 1 else list(values), dtype=dtype, **kwargs)


def close(a, b, tol=1e-8):
    np.testing.assert_allclose(np.asarray(a.detach()), np.asarray(b.detach()), tol, tol)


@pytest.fixture(autouse=True)
def state_is_restored():
    before = shared.special
    yield
    assert here.levels == []
    assert here.grad
    assert shared.special <= before


def test_loads_on_first_use():
    program = ("import sys, wengert\nassert 'wengert.solvers' not in sys.modules\n"
               "wengert.solvers.root\n"
               "assert not {'scipy.optimize', 'scipy.integrate'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", program], check=True)


# --- minimize -----------------------------------------------------------------------------------


def rosenbrock(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


METHODS = ["BFGS", "L-BFGS-B", "CG", "Newton-CG", "trust-ncg", "trust-krylov", "trust-exact",
           "dogleg", "trust-constr", "SLSQP", "TNC", "Nelder-Mead", "Powell"]


@pytest.mark.parametrize("method", [None, *METHODS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_minimize(method, dtype):
    found = solvers.minimize(rosenbrock, T(1.3, 0.7, dtype=dtype), method=method, tol=1e-9)
    assert found.success
    assert found.x.dtype is dtype
    close(found.x, torch.ones(2, dtype=dtype), 1e-3 if method == "TNC" else 1e-5)


def test_minimize_derivatives_are_exact(monkeypatch):
    seen = {}

    def record(fun, x0, **kwargs):
        seen.update(kwargs, fun=fun)
        return optimize.OptimizeResult(x=x0, success=True)

    monkeypatch.setattr(optimize, "minimize", record)
    solvers.minimize(rosenbrock, T(1.3, 0.7), method="trust-krylov")
    x, v = np.array([-1.2, 1.0]), np.array([0.3, -2.0])
    value, slope = seen["fun"](x)
    assert value == pytest.approx(optimize.rosen(x))
    np.testing.assert_allclose(slope, optimize.rosen_der(x), rtol=1e-13)
    for at in (x, x, x + 1):
        np.testing.assert_allclose(seen["hessp"](at, v), optimize.rosen_hess_prod(at, v))
    solvers.minimize(rosenbrock, T(1.3, 0.7), method="trust-krylov", hess="dense")
    np.testing.assert_allclose(seen["hess"](x), optimize.rosen_hess(x))


def test_minimize_tree_and_args():
    def fun(p, target, power):
        return ((p["a"] - target) ** power).sum() + (p["b"][0] * p["b"][1] - 1) ** power

    start = {"a": torch.zeros(2, 2), "b": (T(2.0), T(3.0))}
    target = torch.tensor([[1., 2.], [3., 4.]], requires_grad=True)
    found = solvers.minimize(fun, start, (target, 2))
    assert found.x["a"].dtype is torch.float32
    assert found.x["b"][0].dtype is D
    close(found.x["a"], target, 1e-5)
    close(found.x["b"][0] * found.x["b"][1], T(1.), 1e-5)
    assert found.jac.shape == (6,)
    assert not found.x["a"].requires_grad


def test_minimize_numpy_function():
    found = solvers.minimize(lambda x: np.sum((np.sin(x) - 0.5) ** 2), T(0.5, 0.1))
    close(found.x, torch.full((2,), np.pi / 6, dtype=D), 1e-5)


def test_minimize_bounds():
    for bounds in ([(None, 0.5), (0, 2)], optimize.Bounds([-np.inf, 0], [0.5, 2]),
                   [(None, T(0.5)), (0, 2)]):
        close(solvers.minimize(rosenbrock, T(-1., 1.), bounds=bounds).x, T(0.5, 0.25), 1e-5)
    start = {"x": T(0.3), "y": T([1., 1.])}
    found = solvers.minimize(lambda p: rosenbrock([p["x"], p["y"].mean()]), start,
                             bounds={"x": (None, 0.5), "y": ([0., 0.2], None)})
    close(found.x["x"], T(0.5), 1e-5)
    with pytest.raises(ValueError, match=r"bounds must be of the structure of x0"):
        solvers.minimize(lambda p: p["x"], start, bounds=[(0, 1)])


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr"])
def test_minimize_constraints(method):
    def inside(p):
        return 1 - p.dot(p)

    new = optimize.NonlinearConstraint(inside, 0, np.inf)
    own = optimize.NonlinearConstraint(inside, T(0.), np.inf, jac=lambda p: -2 * p)
    old = {"type": "ineq", "fun": lambda p, r: r + inside(p) - 1, "args": (1.,)}
    flat = optimize.LinearConstraint([[1, 1]], -np.inf, 10)
    for given in (new, own, [old, flat]):
        found = solvers.minimize(rosenbrock, T(0.5, 0.), method=method, constraints=given)
        close(found.x, T(0.786415, 0.617698), 1e-3)


def test_minimize_constraint_curvature():
    constraint = optimize.NonlinearConstraint(lambda p: torch.stack([p[0] ** 3, p[0] * p[1]]),
                                              -np.inf, 1.)
    found = solvers.minimize(lambda p: ((p - 3) ** 2).sum(), T(0.5, 0.5), method="trust-constr",
                             constraints=constraint, hess=optimize.BFGS())
    close(found.x, T((3 - 5 ** 0.5) / 2, (3 + 5 ** 0.5) / 2), 1e-3)


def test_minimize_callbacks():
    seen = []
    start = {"p": torch.tensor([0.5, 0.])}

    def fun(tree):
        return rosenbrock(tree["p"])

    solvers.minimize(fun, start, callback=lambda x: seen.append(x["p"]))
    solvers.minimize(fun, start, callback=lambda intermediate_result: seen.append(
        intermediate_result.x["p"]))
    solvers.minimize(fun, start, method="trust-constr",
                     callback=lambda x, state: seen.append(x["p"]))
    assert len({id(x) for x in seen}) > 20
    assert all(x.dtype is torch.float32 and x.shape == (2,) for x in seen)

    def stop(intermediate_result):
        raise StopIteration

    assert solvers.minimize(fun, start, callback=stop).nit == 1


def test_minimize_without_derivatives_takes_numbers():
    found = solvers.minimize(lambda x: x.sum() ** 2, T(3.), method="nelder-mead")
    assert abs(found.x.item()) < 1e-3


BAD = [
    (lambda: solvers.minimize(lambda x: x, T(1., 2., 3.)), ValueError,
     r"fun must return one number, got a tensor of shape \[3\] for x0 of shape \[3\]"),
    (lambda: solvers.minimize(torch.sum, torch.arange(3)), TypeError,
     r"x0 must be of a real floating point dtype, got torch.int64 of shape \[3\]"),
    (lambda: solvers.minimize(torch.sum, T(1., float("nan"))), ValueError, "x0 is not finite: 1"),
    (lambda: solvers.minimize(lambda x: (x - 2).log().sum(), T(1.)), ValueError,
     r"fun\(x0\) is not finite"),
    (lambda: solvers.minimize(torch.sqrt, T(0.)), ValueError, "gradient of fun at x0 is not"),
    (lambda: solvers.minimize(lambda x: 3., T(1.)), TypeError, "must return tensors, got float"),
    (lambda: solvers.minimize(torch.sum, "a"), TypeError, "x0 must be a tensor or a structure"),
    (lambda: solvers.minimize(torch.sum, torch.zeros(0)), ValueError, "x0 has no elements"),
    (lambda: solvers.minimize(torch.sum, T(1.), hess="no"), ValueError, "hess must be"),
    (lambda: solvers.minimize(lambda x: x + 1j, T(1.)), TypeError, "must return real tensors"),
    (lambda: solvers.least_squares(lambda x: x, T(1.), jac="no"), ValueError, "jac must be one of"),
    (lambda: solvers.least_squares(torch.log, T(-1.)), ValueError, r"fun\(x0\) is not finite"),
    (lambda: solvers.root(lambda x: x[:1], T(1., 2.)), ValueError, "as many numbers as x0 has, 2"),
    (lambda: solvers.root(lambda x: x, torch.arange(2)), TypeError, "real floating point dtype"),
    (lambda: solvers.root(lambda x: x, T(float("inf"))), ValueError, "x0 is not finite"),
    (lambda: solvers.fixed_point(lambda x: x[:1], T(1., 2.)), ValueError, "the shapes of x0"),
    (lambda: solvers.fixed_point(lambda x: (x,), T(1.)), ValueError, r"x0 is, \*, got \(\*,\)"),
    (lambda: solvers.fixed_point(lambda x: x, T(1.), method="no"), ValueError, "method must be"),
    (lambda: solvers.argmin(torch.sum, T(1.), method="powell"), ValueError, "takes no derivatives"),
    (lambda: solvers.odeint(lambda t, y: y, T(1.), T(0., 1.), method="no"), ValueError, "method"),
    (lambda: solvers.odeint(lambda t, y: y, T(1.), T(0., 1., 1.)), ValueError, "strictly"),
    (lambda: solvers.odeint(lambda t, y: y, T(1.), T(0.)), ValueError, "one dimension"),
    (lambda: solvers.odeint(lambda t, y: y, T(1.), torch.arange(2)), TypeError, "t must be"),
    (lambda: solvers.odeint(lambda t, y: y, 1, T(0., 1.)), TypeError, "y0 must be a tensor"),
    (lambda: solvers.odeint(lambda t, y: y.log(), T(-1.), T(0., 1.)), ValueError, "not finite"),
    (lambda: solvers.odeint(lambda t, y: y[0], T(1., 2.), T(0., 1.)), ValueError, "shapes of y0"),
    (lambda: solvers.odeint(lambda t, y: y, T(1.), T(0., 1.), method="Radau", adjoint=False),
     ValueError, "need adjoint=True"),
]


@pytest.mark.parametrize(("call", "kind", "words"), BAD)
def test_bad_arguments(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_other_dtypes_are_explained():
    matrix = torch.eye(2)
    for call in (lambda: solvers.minimize(lambda x: (matrix @ x).sum(), T(1., 2.)),
                 lambda: solvers.root(lambda x: matrix @ x, T(1., 2.)),
                 lambda: solvers.odeint(lambda t, y: matrix @ y, T(1., 2.), T(0., 1.))):
        with pytest.raises(RuntimeError, match="same dtype") as caught:
            call()
        assert "float64" in caught.value.__notes__[0]


# --- least squares --------------------------------------------------------------------------------


@pytest.mark.parametrize("jac", ["dense", "sparse", "operator"])
@pytest.mark.parametrize("loss", ["linear", "soft_l1"])
def test_least_squares(jac, loss):
    t = torch.linspace(0, 2, 9, dtype=D)
    seen = 3 * torch.exp(-0.5 * t)

    def residuals(p, seen):
        return {"r": p["size"] * torch.exp(-p["rate"] * t) - seen, "ridge": 1e-9 * p["rate"]}

    found = solvers.least_squares(residuals, {"size": torch.tensor(1.), "rate": torch.tensor(1.)},
                                  args=(seen,), jac=jac, loss=loss, bounds={
                                      "size": (0, None), "rate": (0, 2)})
    assert found.success
    close(found.x["size"], torch.tensor(3.), 1e-5)
    close(found.x["rate"], torch.tensor(0.5), 1e-5)
    assert found.fun.shape == (10,)


def test_least_squares_wide_and_bounded():
    found = solvers.least_squares(lambda x: x[:1] * x[1:2] - 2, T(1., 1., 1.),
                                  bounds=(0, [1, 4, 4]))
    close(found.x[0] * found.x[1], T(2.), 1e-6)
    close(solvers.least_squares(lambda x: x ** 2 - 4, T(1., 1.), method="lm").x, T(2., 2.))


def test_least_squares_sparse_is_sparse():
    def residuals(u):
        return (u[2:] - 2 * u[1:-1] + u[:-2]) - 0.01 * torch.exp(u[1:-1])

    found = solvers.least_squares(residuals, torch.zeros(40, dtype=D), jac="sparse")
    assert found.jac.nnz == 3 * 38
    np.testing.assert_allclose(found.jac.toarray(),
                               func.jacrev(residuals)(found.x).numpy(), atol=1e-12)


# --- roots, fixed points, minimisers --------------------------------------------------------------


def square_root(a, **kwargs):
    return solvers.root(lambda x, a: x * x - a, torch.ones_like(a), a, **kwargs)


@pytest.mark.parametrize("method", ["hybr", "lm", "newton", "krylov", "broyden1"])
def test_root(method):
    a = T(4., 9.)
    x = square_root(a, method=method)
    close(x * x, a)
    close(func.jacrev(lambda a: square_root(a, method=method))(a), torch.diag(0.5 / x))


DERIVATIVES = {  # of a ** .5 at 4
    "grad": (lambda f: func.grad(f), 1 / 4),
    "jvp": (lambda f: lambda a: func.jvp(f, (a,), (torch.ones_like(a),))[1], 1 / 4),
    "jacrev": (lambda f: func.jacrev(f), 1 / 4), "jacfwd": (lambda f: func.jacfwd(f), 1 / 4),
    "grad grad": (lambda f: func.grad(func.grad(f)), -1 / 32),
    "hessian": (lambda f: func.hessian(f), -1 / 32),
    "jacrev jacfwd": (lambda f: func.jacrev(func.jacfwd(f)), -1 / 32),
    "jacfwd jacfwd": (lambda f: func.jacfwd(func.jacfwd(f)), -1 / 32),
    "grad grad grad": (lambda f: func.grad(func.grad(func.grad(f))), 3 / 256),
}


@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_root_derivatives(name, dtype):
    transform, expected = DERIVATIVES[name]
    found = transform(square_root)(T(4., dtype=dtype))
    assert found.dtype is dtype
    close(found, T(expected, dtype=dtype), 1e-6 if dtype is torch.float32 else 1e-10)


def test_root_batched():
    a = T(1., 4., 9.)
    close(func.vmap(square_root)(a), a.sqrt())
    close(func.vmap(func.grad(square_root))(a), 0.5 / a.sqrt())
    close(func.grad(lambda a: func.vmap(square_root)(a).sum())(a), 0.5 / a.sqrt())
    close(func.vmap(lambda start, a: solvers.root(lambda x, a: x * x - a, start, a),
                    in_dims=(0, None))(T(1., -1.), T(4.)), T(2., -2.))


def test_backward():
    a = torch.tensor([4., 9.], requires_grad=True)
    x = square_root(a)
    assert x.dtype is torch.float32
    x.sum().backward()
    close(a.grad, torch.tensor([1 / 4, 1 / 6]), 1e-6)
    start = torch.ones(2, requires_grad=True)
    solvers.root(lambda x, a: x * x - a, start, a).sum().backward()
    assert start.grad is None or not start.grad.any()


def layer(x, p, scale):
    return {"u": torch.tanh(p["A"] @ x["u"] + x["v"]) * scale, "v": (p["b"] * x["u"]).sum()}


def equilibrium(a, b, method="anderson"):
    start = {"u": torch.zeros(3, dtype=D), "v": torch.zeros((), dtype=D)}
    x = solvers.fixed_point(layer, start, {"A": a, "b": b}, 0.5, method=method)
    return x["u"], x["v"]


@pytest.fixture
def coupling():
    torch.manual_seed(3)
    return (0.3 * torch.randn(3, 3, dtype=D)).requires_grad_(), T(.3, -.2, .1, requires_grad=True)


@pytest.mark.parametrize("method", ["anderson", "iterate", "newton"])
def test_fixed_point(coupling, method):
    u, v = equilibrium(*coupling, method=method)
    again = layer({"u": u, "v": v}, {"A": coupling[0], "b": coupling[1]}, 0.5)
    close(u, again["u"])
    close(v, again["v"])
    assert gradcheck(lambda *p: equilibrium(*p, method=method), coupling)


@pytest.mark.parametrize("dense", [512, 0])
def test_fixed_point_derivatives(coupling, monkeypatch, dense):
    monkeypatch.setattr(linear, "DENSE", dense)  # 0: products alone, by GMRES
    assert gradcheck(equilibrium, coupling)
    assert gradgradcheck(equilibrium, coupling)
    A, b = (x.detach() for x in coupling)
    for by_rows, by_columns in zip(func.jacrev(equilibrium, (0, 1))(A, b),
                                   func.jacfwd(equilibrium, (0, 1))(A, b), strict=True):
        close(by_rows[0], by_columns[0])
        close(by_rows[1], by_columns[1])


def test_many_unknowns():
    n = 600
    b = torch.linspace(0, 1, n, dtype=D)

    def solve(b):
        return solvers.fixed_point(lambda x, b: torch.cos(x.roll(1)) / 3 + b,
                                   torch.zeros_like(b), b)

    g = func.grad(lambda b: solve(b).sum())(b)
    direction = torch.ones(n, dtype=D)
    moved = func.jvp(solve, (b,), (direction,))[1]
    close(g.dot(direction), moved.sum())
    close(moved, (solve(b + 1e-5) - solve(b - 1e-5)) / 2e-5, 1e-6)


def test_functions_that_look_into_tensors():
    def f(x, a):
        return x * x - a if x > 0 else x - 1

    close(func.grad(lambda a: solvers.root(f, torch.ones_like(a), a))(T(4.)), T(0.25))


def test_argmin():
    X = T([[1., 2.], [0.5, -1.], [2., 0.3]])
    y = T(1., 0., 2.)

    def ridge(weight):
        return solvers.argmin(lambda w, k: ((X @ w - y) ** 2).sum() + k * w.dot(w), T(0., 0.),
                              weight)

    def exact(k):
        gram = X.T @ X
        a, b, d = gram[0, 0] + k, gram[0, 1], gram[1, 1] + k
        r = X.T @ y
        return torch.stack([d * r[0] - b * r[1], a * r[1] - b * r[0]]) / (a * d - b * b)

    k = T(0.7)
    close(ridge(k), exact(k))
    for transform in (func.jacrev, func.jacfwd, lambda f: func.jacfwd(func.jacrev(f))):
        close(transform(ridge)(k), transform(exact)(k))
    for method in ("BFGS", "trust-exact", "Newton-CG"):
        close(solvers.argmin(lambda w, k: torch.cosh(w - k).sum(), T(0., 1.), k, method=method),
              torch.stack([k, k]))


def test_complex_and_integer_parameters():
    def modulus(z, n):
        return solvers.root(lambda x, z, n: x ** n - (z * z.conj()).real, T(1.), z, n)

    z, n = T(3 + 4j, dtype=torch.complex128), torch.tensor(2)
    close(modulus(z, n), T(5.))
    found = z.clone().requires_grad_()
    modulus(found, n).backward()
    expected = z.clone().requires_grad_()
    expected.abs().backward()
    close(found.grad, expected.grad)


# --- what must not be lost ------------------------------------------------------------------------

CLOSED = {
    "root": lambda a: solvers.root(lambda x: x * x - a, torch.tensor(1.)),
    "fixed_point": lambda a: solvers.fixed_point(lambda x: torch.cos(x * a), torch.tensor(1.)),
    "argmin": lambda a: solvers.argmin(lambda x: (x - a) ** 2, torch.tensor(0.)),
    "odeint": lambda a: solvers.odeint(lambda t, y: a * y, torch.tensor(1.), T(0., 1.))[-1],
    "adjoint": lambda a: solvers.odeint(lambda t, y: a * y, torch.tensor(1.), T(0., 1.),
                                        adjoint=True)[-1],
}


@pytest.mark.parametrize("name", CLOSED)
def test_closures_are_refused(name):
    f, a = CLOSED[name], torch.tensor(0.5)
    value = f(a)
    assert not value.requires_grad
    with pytest.raises(RuntimeError, match="requires grad and is none of its parameters"):
        f(a.clone().requires_grad_())
    with torch.no_grad():
        close(f(a.clone().requires_grad_()), value)
    for call in (lambda: func.grad(f)(a), lambda: func.vmap(f)(torch.ones(2)),
                 lambda: func.jvp(f, (a,), (a,))):
        with pytest.raises(RuntimeError, match="Give that tensor as a parameter"):
            call()
    close(func.grad(lambda b: f(a) * b)(a), value)  # constants are no harm


def test_under_no_grad_nothing_is_lost():
    def value(a):
        with torch.no_grad():
            inner = solvers.root(lambda x: x * x - a, T(1.))
            inner = inner + solvers.minimize(lambda x, b: (x - b + 0 * a) ** 2, T(0.), a).x
        return a * inner.detach()

    close(func.grad(value)(T(4.)), T(6.), 1e-5)


def test_residuals_of_any_size():
    for scale in (1e-9, 1., 1e12):
        for method in ("hybr", "lm", "newton"):
            found = solvers.root(lambda x, scale: scale * (x ** 3 - x - 1), T(1.), scale,
                                 method=method)
            close(found, T(1.3247179572))


def test_minimize_refuses_transforms():
    def fun(x, a):
        return ((x - a) ** 2).sum()

    for call in (lambda a: solvers.minimize(fun, T(0.), (a,)).x,
                 lambda a: solvers.minimize(lambda x: fun(x, a), T(0.)).x,
                 lambda a: solvers.minimize(lambda x: fun(x, a), T(0.), method="powell").x,
                 lambda a: solvers.minimize(lambda x: fun(x, 1.), a).x):
        with pytest.raises(RuntimeError, match="would lose its derivative"):
            func.grad(call)(T(2.))


FAIL = {
    "no root": lambda: solvers.root(lambda x: x * x + 1, T(1.)),
    "no minimum of squares": lambda: solvers.root(lambda x: x * x + 1, T(1.), method="lm"),
    "Newton": lambda: solvers.root(lambda x: x * x + 1, T(1.3), method="newton"),
    "evaluations": lambda: solvers.root(lambda x: x.exp() - 9, T(9.), max_iter=3),
    "diverges": lambda: solvers.fixed_point(lambda x: 2 * x + 1, T(1.), method="iterate"),
    "iterations": lambda: solvers.fixed_point(torch.cos, T(1.), max_iter=3),
    "NaN": lambda: solvers.fixed_point(lambda x: (x - 2).log(), T(3.)),
    "unbounded": lambda: solvers.argmin(lambda x: -x * x, T(1.), options={"maxiter": 20}),
    "no derivative": lambda: func.grad(lambda a: solvers.root(
        lambda x, a: (x - a) ** 3, T(1.), a))(T(1.)),
    "blows up": lambda: solvers.odeint(lambda t, y: y * y, T(1.), T(0., 2.)),
    "blows up, stiff": lambda: solvers.odeint(lambda t, y: y * y, T(1.), T(0., 2.), method="Radau"),
    "steps": lambda: solvers.odeint(lambda t, y: -y, T(1.), T(0., 50.), max_steps=5),
    "RK4": lambda: solvers.odeint(lambda t, y: y * y, T(9.), T(0., 1., 2., 3., 4.), method="RK4"),
}


@pytest.mark.parametrize("name", FAIL)
def test_not_converging_is_an_error(name):
    with pytest.raises(ConvergenceError, match=r"^(root|fixed_point|argmin|odeint): "):
        FAIL[name]()


def test_gmres_says_so(monkeypatch):
    monkeypatch.setattr(linear, "DENSE", 0)
    with pytest.raises(ConvergenceError, match="GMRES"):
        func.grad(lambda a: solvers.root(lambda x, a: (x - a) ** 3, T(1., 1.), a).sum())(T(1.))


def test_users_errors_come_through():
    def f(x, *params):
        raise KeyError("mine")

    for call in (lambda: solvers.minimize(f, T(1.)), lambda: solvers.root(f, T(1.)),
                 lambda: func.grad(lambda a: solvers.root(f, T(1.), a))(T(1.)),
                 lambda: solvers.odeint(f, T(1.), T(0., 1.)),
                 lambda: solvers.least_squares(f, T(1.), jac="operator")):
        with pytest.raises(KeyError, match="mine"):
            call()


# --- the same against independent programs --------------------------------------------------------


def test_unrolled_iterations_agree():
    A = T([[.2, -.1], [.3, .1]])

    def unrolled(b):
        x = torch.zeros(2, dtype=D)
        for _ in range(60):
            x = torch.tanh(A @ x + b)
        return x

    def implicit(b):
        return solvers.fixed_point(lambda x, a, b: torch.tanh(a @ x + b), T(0., 0.), A, b)

    b = T(.4, -.7)
    close(implicit(b), unrolled(b))
    close(func.jacrev(implicit)(b), func.jacrev(unrolled)(b))
    close(func.jacfwd(func.jacrev(implicit))(b), func.jacfwd(func.jacrev(unrolled))(b))


def test_solvers_nest():
    """A minimiser of what a root and a trajectory give, differentiated."""
    def cost(x, a):
        y = solvers.root(lambda y, x: y ** 3 + y - x, torch.zeros_like(x), x)
        return (y - a) ** 2

    def best(a):
        return solvers.argmin(cost, torch.tensor(1., dtype=D), a)

    close(best(T(0.8)), T(0.8 ** 3 + 0.8), 1e-6)
    close(func.grad(best)(T(0.8)), T(3 * 0.8 ** 2 + 1), 1e-6)


@pytest.mark.parametrize("cls", [Discrete, Continuous])
def test_what_is_remembered_is_not_read_twice(cls):
    """Another thread that solves another problem meanwhile does not hand over its solution."""
    class Raced(cls):
        _known = property(lambda self: ([np.array(-1.)] * 2, "another"), lambda self, new: None)

    options = {"rtol": 1e-6, "atol": 1e-6, "max_step": np.inf, "max_steps": 100}
    problem = Raced(lambda t, y: -y, "RK45", options, lambda *args: None)
    ask = problem.steps if cls is Discrete else problem.path
    assert ask(torch.ones(1), T(0., 1.)) != "another"


@pytest.mark.parametrize(("bounds", "words"), [
    ((torch.zeros(3), torch.ones(3)), "a pair .* for each of the 3 numbers of x0"),
    ((0, 1), "a pair .* for each of the 3 numbers of x0"), ([(0, 1)], "each of the 3 numbers")])
def test_bounds_of_another_form(bounds, words):
    with pytest.raises(ValueError, match=words):
        solvers.minimize(lambda x: (x * x).sum(), torch.ones(3), bounds=bounds)


@pytest.mark.parametrize("pair", [(0,), 1, ([0, 1], 2), (0, 1, 2)])
def test_bounds_that_are_no_pair(pair):
    with pytest.raises(ValueError, match=r"bounds of a tensor of shape \[3\] must be a pair"):
        solvers.least_squares(lambda x: x, torch.ones(3), bounds=pair)
    with pytest.raises(ValueError, match=r"bounds of a tensor of shape \[3\] must be a pair"):
        solvers.minimize(lambda p: (p["a"] ** 2).sum(), {"a": torch.ones(3)}, bounds={"a": pair})


def test_taylor_mode_and_sparsity_follow_the_implicit_rule():
    def half(a):
        return solvers.root(lambda x, a: x * x - a, torch.ones_like(a), a)

    for mine, true in zip(func.derivatives(half, T(4., 9.), 3),
                          func.derivatives(torch.sqrt, T(4., 9.), 3), strict=True):
        close(mine, true)
    close(torch.tensor(func.sparse_jacobian(half)(T(4., 9.)).toarray()), torch.diag(T(.25, 1 / 6)))
