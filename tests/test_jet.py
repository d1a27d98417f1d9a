"""Taylor mode: against mpmath to order 10, against nested forward mode, and what it costs.

mpmath works with 50 digits. Coefficients follow from recurrences of positive and negative terms, so
the k-th is known to some units in the last place of the largest term that enters, not of itself.
Errors are therefore measured against the largest coefficient up to the k-th, of the function or its
paths, with a tolerance of 1e-14; and, where cancellation has its say, against the k-th itself with
one of 1e-11. The largest errors seen are 7e-16 and 7e-13.
"""

from __future__ import annotations

import gc
import random
import re
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import wengert as torch
from grouped import by_primitive
from samples import PARAMS, Sample, domains, seeded, some_samples, values
from wengert.core.handle import wrap
from wengert.core.levels import entered, here
from wengert.core.primitive import TABLE
from wengert.func import custom_jvp, custom_vjp, derivatives, grad, jet, jvp, vjp, vmap
from wengert.interpreters.lifted import Lifted

Array = np.ndarray
F64 = torch.float64
ORDER = 10


def t64(x: Any) -> Any:
    return torch.tensor(x, dtype=F64)


# --- against mpmath ---------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y, "neg": lambda x: -x, "positive": lambda x: x,
    "reciprocal": lambda x: 1 / x, "pow": lambda x, y: x ** y, "square": lambda x: x * x,
    "scalar_pow": lambda x, exponent: x ** exponent,
    "sqrt": mp.sqrt, "rsqrt": lambda x: 1 / mp.sqrt(x),
    "hypot": lambda x, y: mp.sqrt(x * x + y * y),
    "exp": mp.exp, "exp2": lambda x: mp.mpf(2) ** x, "expm1": mp.expm1, "log": mp.log,
    "log2": lambda x: mp.log(x, 2), "log10": mp.log10, "log1p": mp.log1p,
    "logaddexp": lambda x, y: mp.log(mp.exp(x) + mp.exp(y)),
    "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "asin": mp.asin, "acos": mp.acos,
    "atan": mp.atan, "atan2": lambda x, y: mp.arg(mp.mpc(y, x)),
    "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh, "sech2": lambda x: mp.sech(x) ** 2,
    "asinh": mp.asinh, "acosh": mp.acosh, "atanh": mp.atanh,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)), "erf": mp.erf, "erfc": mp.erfc,
    "gauss": lambda x: mp.exp(-x * x), "ndtr": mp.ncdf, "npdf": mp.npdf,
    "gelu": lambda x: x * mp.ncdf(x), "silu": lambda x: x / (1 + mp.exp(-x)),
    "gelu_tanh": lambda x: x / (1 + mp.exp(
        -mp.sqrt(8 / mp.pi) * (x + mp.mpf(0.044715) * x ** 3))),
    "softplus": lambda x, beta, threshold: (
        x if beta * x > threshold else mp.log1p(mp.exp(beta * x)) / beta),
    "lerp": lambda x, y, z: x + z * (y - x),
    "logit": lambda x, eps: mp.log(x / (1 - x)), "deg2rad": mp.radians, "rad2deg": mp.degrees,
    "logaddexp2": lambda x, y: mp.log(mp.mpf(2) ** x + mp.mpf(2) ** y, 2),
    "xlogy": lambda x, y: x * mp.log(y), "ldexp": lambda x, y: x * mp.mpf(2) ** y,
    "log_sigmoid": lambda x: -mp.log1p(mp.exp(-x)),
    "mish": lambda x: x * mp.tanh(mp.log1p(mp.exp(x))),
    "mish_gate": lambda x: mp.tanh(mp.log1p(mp.exp(x))),
    "elu": lambda x, alpha, scale, width: scale * (
        x if x > 0 else alpha * mp.expm1(x / width)),
    "entr": lambda x: -x * mp.log(x), "xlog1py": lambda x, y: x * mp.log1p(y),
    "lgamma": mp.loggamma, "digamma": mp.digamma,
    "log_ndtr": lambda x: mp.log(mp.ncdf(x)), "erfcx": lambda x: mp.exp(x * x) * mp.erfc(x),
    "erfinv": mp.erfinv, "ndtri": lambda x: mp.sqrt(2) * mp.erfinv(2 * x - 1),
    "i0": lambda x: mp.besseli(0, x), "i1": lambda x: mp.besseli(1, x),
    "bessel_j0": lambda x: mp.besselj(0, x), "bessel_j1": lambda x: mp.besselj(1, x),
    "sinc": mp.sincpi, "sinc_slope": lambda x: (mp.cospi(x) - mp.sincpi(x)) / x,
}
PIECES = {"remainder", "fmod", "floor_quotient", "trunc_quotient", "relu", "zero", "sign", "floor",
          "ceil", "trunc", "round", "round_decimals", "abs", "sgn", "maximum", "minimum", "clamp",
          "where", "clamp_between", "clamp_from", "clamp_up_to", "masked_fill", "add_scaled",
          "addcmul", "addcdiv", "fmax", "fmin", "nan_to_num", "copysign", "frac", "nextafter",
          "mantissa", "complex", "polar", "angle", "leaky_relu", "prelu", "hardtanh", "hardsigmoid",
          "hardswish", "hardshrink", "softshrink", "threshold"}
"""Elementwise primitives that are put together from polynomials; nested `jvp` is their judge."""


RECURRENT = re.compile("airy|bessel|polynomial_|gegenbauer|laguerre|igamma|gamma_density|gammainc|"
                       "polygamma|mvlgamma|zeta|_slope$|i[01]e")
"""Special functions whose rules name others of their family: tests/test_special.py judges them."""


def test_every_smooth_function_has_a_reference() -> None:
    smooth = {name for name, p in TABLE.items() if p.elementwise and p.vjp is not None
              and (name in FUNCTIONS or not RECURRENT.search(name))}
    assert smooth - PIECES == FUNCTIONS.keys()


def references() -> list[Any]:
    return [pytest.param(name, params, id=f"{name}-{i}") for name in FUNCTIONS
            for i, params in enumerate(PARAMS.get(name, [{}]))]


def path(rng: np.random.Generator, x: float, small: float = 0.3) -> Array:
    """The coefficients of a path: the point, then ones that shrink as those of a function do."""
    return np.array([x, *(small * rng.standard_normal(ORDER) * 0.5 ** np.arange(ORDER))])


def along(coefficients: Sequence[float], t: Any) -> Any:
    total = mp.mpf(0)
    for c in reversed(coefficients):
        total = total * t + mp.mpf(float(c))
    return total


def factorials() -> Array:
    return np.array([float(mp.factorial(k)) for k in range(ORDER + 1)])


def coefficients(function: Callable[..., Any], paths: Sequence[Array]) -> Array:
    """Taylor coefficients of a function along paths, by `jet`."""
    primals = tuple(t64(p[0]) for p in paths)
    series = [[t64(d) for d in (p * factorials())[1:]] for p in paths]
    y, ys = jet(function, primals, series)
    return np.array([v.item() for v in (y, *ys)]) / factorials()


def exact(function: Callable[..., Any], paths: Sequence[Array]) -> Array:
    with mp.workdps(50):
        return np.array(mp.taylor(lambda t: function(*(along(p, t) for p in paths)), 0, ORDER))


def errors(found: Array, right: Array, paths: Sequence[Array]) -> tuple[float, float]:
    """The largest errors against the largest coefficient so far, and against the coefficient."""
    largest = np.maximum.accumulate(np.max(np.abs([right, *paths]).astype(float), 0))
    wrong = np.array([float(abs(mp.mpf(float(a)) - b)) for a, b in zip(found, right, strict=True)])
    own = np.abs(right).astype(float)
    return float(np.max(wrong / largest)), float(np.max(wrong[own > 0] / own[own > 0], initial=0))


@pytest.mark.parametrize(("name", "params"), references())
def test_elementwise_to_order_10(name: str, params: dict[str, Any]) -> None:
    """On a path, at several points of each function's domain."""
    rng = seeded(f"{name} {params}")
    for _ in range(4):
        paths = [path(rng, float(values(rng, d, ()))) for d in domains(name)]
        found = coefficients(lambda *xs: TABLE[name](*xs, **params), paths)
        right = exact(lambda *xs: FUNCTIONS[name](*xs, **params), paths)
        size, itself = errors(found, right, paths)
        assert size < 1e-14 and itself < 1e-11


COMPOSED: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
    (lambda x: torch.exp(torch.sin(x) * x), lambda x: mp.exp(mp.sin(x) * x)),
    (lambda x: torch.log(1 + x * x) / torch.sqrt(1 + torch.tanh(x) ** 2),
     lambda x: mp.log(1 + x * x) / mp.sqrt(1 + mp.tanh(x) ** 2)),
    (lambda x: torch.softmax(torch.stack([x, x * x, torch.sin(x)]), 0)[1],
     lambda x: mp.exp(x * x) / (mp.exp(x) + mp.exp(x * x) + mp.exp(mp.sin(x)))),
    (lambda x: torch.logsumexp(torch.stack([x, torch.cos(x)]), 0),
     lambda x: mp.log(mp.exp(x) + mp.exp(mp.cos(x)))),
    (lambda x: torch.stack([x, torch.exp(x), 1 + x]).var(0),
     lambda x: _variance([x, mp.exp(x), 1 + x])),
    (lambda x: torch.stack([x, torch.exp(x), 1 + x]).std(0),
     lambda x: mp.sqrt(_variance([x, mp.exp(x), 1 + x]))),
    (lambda x: torch.norm(torch.stack([x, torch.exp(x)])),
     lambda x: mp.sqrt(x * x + mp.exp(2 * x))),
    (lambda x: torch.norm(torch.stack([x, torch.exp(x)]), 3),
     lambda x: mp.cbrt(abs(x) ** 3 + mp.exp(3 * x))),
    (lambda x: torch.stack([x, torch.exp(x), torch.sin(x), x * x, 2 - x]).prod(0),
     lambda x: x * mp.exp(x) * mp.sin(x) * x * x * (2 - x)),
    (lambda x: grad(lambda v: torch.stack([v, v * v, torch.sin(v)]).prod(0))(x),
     lambda x: 3 * x ** 2 * mp.sin(x) + x ** 3 * mp.cos(x)),
    (lambda x: torch.sigmoid(torch.erf(x) - 0.5) ** (x + 2),
     lambda x: (1 / (1 + mp.exp(0.5 - mp.erf(x)))) ** (x + 2)),
    (lambda x: torch.einsum("i,ij,j->", *_moving(x)),
     lambda x: 2 * x * mp.exp(x) + x * x * x + mp.sin(x) * mp.exp(x)),
    (lambda x: grad(lambda y: torch.sin(y) * torch.exp(x * y))(x),
     lambda x: (mp.cos(x) + x * mp.sin(x)) * mp.exp(x * x)),
    (lambda x: jvp(torch.tanh, (x,), (torch.exp(x),))[1],
     lambda x: mp.exp(x) * mp.sech(x) ** 2),
]


def _variance(values: Sequence[Any]) -> Any:
    mean = sum(values) / len(values)
    return sum((v - mean) ** 2 for v in values) / (len(values) - 1)


def _moving(x: Any) -> Any:
    """x exp(x) 2 + x x x + sin(x) exp(x) as a form: vector, matrix, vector."""
    zero = x * 0
    return (torch.stack([x, torch.sin(x)]),
            torch.stack([torch.stack([2 + zero, x]), torch.stack([1 + zero, zero])]),
            torch.stack([torch.exp(x), x]))


@pytest.mark.parametrize("case", COMPOSED, ids=range(len(COMPOSED)))
def test_composed_to_order_10(case: Any) -> None:
    rng = seeded("composed")
    for x in (-0.6, 0.8):
        curve = path(rng, x)
        size, itself = errors(coefficients(case[0], [curve]), exact(case[1], [curve]), [curve])
        assert size < 1e-14 and itself < 1e-11


def test_derivatives() -> None:
    """sin'''' = sin, for many elements at once; any direction, any tree."""
    x = t64(np.linspace(-3, 3, 7))
    found = derivatives(torch.sin, x, 20)
    assert len(found) == 21
    for k, d in enumerate(found):
        np.testing.assert_allclose(d.numpy(), np.sin(x.numpy() + k * np.pi / 2), atol=1e-14)
    tree, way = {"a": t64(2.0), "b": t64(3.0)}, {"a": t64(1.0), "b": t64(-1.0)}
    found = derivatives(lambda p: (p["a"] * p["b"],), tree, 3, way)
    assert [d[0].item() for d in found] == [6.0, 1.0, -2.0, 0.0]
    assert derivatives(torch.exp, t64(0.0), 0) == (1.0,)


def test_high_order() -> None:
    """Far beyond factorials that float32 holds, and without a tower of calls."""
    d = derivatives(torch.exp, torch.tensor(0.0), 60)
    np.testing.assert_allclose([v.item() for v in d[:34]], 1, rtol=1e-5)
    assert all(np.isfinite(v.item()) for v in derivatives(lambda x: x ** x, t64(0.7), 60))
    c = derivatives(lambda x: 1 / (1 - x), t64(0.0), 170)
    assert c[170].item() == pytest.approx(float(mp.factorial(170)), rel=1e-14)


# --- against nested forward mode --------------------------------------------------------------


def nested(function: Callable[..., Any], primals: Sequence[Any], series: Sequence[Sequence[Any]],
           order: int) -> list[Any]:
    """The derivatives along a path by `jvp` of `jvp` of ... of the function of time."""
    def at(time: Any) -> Any:
        return function(*(sum((term * (time ** k / float(mp.factorial(k)))
                               for k, term in enumerate(terms, 1)), x)
                          for x, terms in zip(primals, series, strict=True)))

    def slope(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda time: jvp(f, (time,), (t64(1.0),))[1]

    found = [at]
    for _ in range(order):
        found.append(slope(found[-1]))
    return [f(t64(0.0)) for f in found]


def close(ours: Any, theirs: Any, label: str = "") -> None:
    a, b = ours.numpy(), theirs.numpy()
    assert a.dtype == b.dtype and a.shape == b.shape, label
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * max(1.0, _largest(b)), err_msg=label)


def _largest(x: Array) -> float:
    return float(np.nanmax(np.abs(x), initial=0))


ACTIVE = [s for s in some_samples() if s.active]


def apply(sample: Sample) -> Callable[..., Any]:
    """A sample as a function of its active operands alone; all its results, in one list."""
    def function(*active: Any) -> Any:
        operands: list[Any] = [wrap(np.array(x)) for x in sample.operands]
        for i, x in zip(sample.active, active, strict=True):
            operands[i] = x
        out = sample.primitive(*operands, **sample.params)
        return list(out) if sample.primitive.multiple else [out]
    return function


def directions(sample: Sample, order: int) -> list[list[Any]]:
    rng = seeded(f"{sample} series")
    return [[wrap(np.asarray(0.3 * rng.standard_normal(x.shape)
                             + (0.3j * rng.standard_normal(x.shape) if x.dtype.kind == "c" else 0),
                             x.dtype)) for _ in range(order)]
            for x in (sample.operands[i] for i in sample.active)]


@by_primitive(ACTIVE)
def test_every_primitive(sample: Sample) -> None:
    """Order 3, as nested `jvp` has it: values, shapes, dtypes, infinities too."""
    primals = tuple(wrap(np.array(sample.operands[i])) for i in sample.active)
    series, function = directions(sample, 3), apply(sample)
    y, ys = jet(function, primals, series)
    for i in range(len(y)):
        right = nested(lambda *xs, i=i: function(*xs)[i], primals, series, 3)
        for k, (a, b) in enumerate(zip((y, *ys), right, strict=True)):
            close(a[i], b, f"order {k}, result {i}")


PURE = ["{x} * {y}", "{x} + {y}", "{x} - {y}", "{x} / ({y} ** 2 + 1)", "torch.sin({x})",
        "torch.exp(0.3 * {x})", "torch.tanh({x}) * {y}", "torch.softmax({x}, 0)",
        "torch.log({x} ** 2 + 1)", "torch.sigmoid({x})", "{x} @ {y}", "{x}.T + {y}",
        "{x}.sum(0) * {y}", "{x}.mean() + {y}", "torch.where({x} > 0, {x} * {y}, {y})",
        "{x}.relu() + {y}", "torch.maximum({x}, {y})", "{x}.cumsum(1)", "{x}[[1, 0]] * {y}",
        "torch.cat([{x}, {y}])[1:3]", "{x}.logsumexp(1, keepdim=True) * {y}", "{x}.abs()",
        "{x}.std() * {y}", "{x}.norm() + {y}", "{x}.prod(0) - {y}", "{x}.amax(0) * {y}",
        "torch.sqrt({x} ** 2 + 0.5)", "(1 + {x} ** 2) ** 1.5 / 3", "{x}.detach() * {y}",
        "torch.atan({x}) * {y}", "vmap(torch.dot)({x}, {y}).unsqueeze(0) * {x}",
        "grad(lambda a: (torch.sin(a) * {y}).sum())({x})", "{x}.clone()"]
WRITES = ["{x}.mul_({y})", "{x}.sin_()", "{x}[0] = {y}[1]", "{x}[:, 0] *= {y}[0]",
          "{x}.add_({y}, alpha=0.5)", "{x}.T.mul_(0.5)", "{x}[0].exp_()", "{x}.view(-1)[1:3] = 0.5",
          "{x}[{x} > 0.5] = 0.25", "v = {x}[1]; {x}.mul_(0.5); {y}[0] += v", "{x} -= {y}.detach()",
          "{x}.unsqueeze(0).tanh_()", "{x}.copy_({y})"]


def program(rng: random.Random) -> str:
    """A function of two matrices: arithmetic, views, writes, transforms within."""
    lines, names = ["def f(a, b):", "    a, b = a.clone(), b.clone()"], ["a", "b"]
    for i in range(rng.randint(2, 8)):
        x, y = rng.choice(names), rng.choice(names)
        if rng.random() < 0.4:
            lines.append("    " + rng.choice(WRITES).format(x=x, y=y))
            continue
        lines.append(f"    t{i} = " + rng.choice(PURE).format(x=x, y=y))
        names.append(f"t{i}")
    return "\n".join([*lines, f"    return {' + 0.5 * '.join(names)}"])


@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    code, names = program(random.Random(seed)), {"torch": torch, "grad": grad, "vmap": vmap}
    exec(code, names)
    primals = tuple(wrap(rng.standard_normal((2, 2))) for _ in range(2))
    series = [[wrap(0.3 * rng.standard_normal((2, 2))) for _ in range(3)] for _ in range(2)]
    y, ys = jet(names["f"], primals, series)
    for a, b in zip((y, *ys), nested(names["f"], primals, series, 3), strict=True):
        close(a, b, code)


# --- nesting ----------------------------------------------------------------------------------

X = np.array([0.3, -0.8, 1.1])


def third(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The third derivative of a function of elements, by Taylor mode."""
    return lambda x: derivatives(f, x, 3)[3]


def check_nested(found: Any, right: Array) -> None:
    np.testing.assert_allclose(found.numpy(), right, rtol=1e-13, atol=1e-13)


def test_inside_other_transforms() -> None:
    """sin''' = -cos: differentiated, batched, pushed forward and taken again."""
    x, f = t64(X), third(torch.sin)
    check_nested(grad(lambda v: f(v).sum())(x), np.sin(X))
    check_nested(vmap(f)(x), -np.cos(X))
    check_nested(vmap(grad(f))(x), np.sin(X))
    check_nested(jvp(f, (x,), (t64(np.ones(3)),))[1], np.sin(X))
    check_nested(third(f)(x), -np.sin(X))
    check_nested(third(vmap(third(grad(torch.sin))))(x[0:1]), -np.cos(X[:1]))
    _, pull = vjp(f, x)
    check_nested(pull(t64(np.ones(3)))[0], np.sin(X))


def test_other_transforms_inside() -> None:
    x = t64(X)
    check_nested(third(vmap(torch.sin))(x), -np.cos(X))
    check_nested(third(grad(lambda v: torch.sin(v).sum()))(x), np.sin(X))
    check_nested(third(lambda v: jvp(torch.sin, (v,), (v,))[1])(x), X * np.sin(X) - 3 * np.cos(X))


def test_recorded() -> None:
    """Outside of all transforms the coefficients have a history like anything else."""
    x = t64(X).requires_grad_()
    third(torch.sin)(x).sum().backward()
    check_nested(x.grad, np.sin(X))
    w = t64(2.0).requires_grad_()
    derivatives(lambda v: torch.sin(w * v), t64(0.5), 2)[2].backward()
    check_nested(w.grad, np.float64(-4 * np.sin(1.0) - 2 * np.cos(1.0)))


def test_coefficients_that_differ_by_example() -> None:
    def second(x: Any, v: Any, a: Any) -> Any:
        return jet(torch.exp, (x,), ([v, a],))[1][1]

    x, v, a = (np.random.default_rng(k).standard_normal(4) for k in range(3))
    check_nested(vmap(second)(t64(x), t64(v), t64(a)), np.exp(x) * (v * v + a))


# --- cost -------------------------------------------------------------------------------------


class Counter(Lifted):
    """Counts what is applied to its tensors."""

    __slots__ = ("count",)

    def carry(self, *application: Any) -> None:
        self.count += 1


def cost(function: Callable[..., Any], primals: Sequence[Array], order: int) -> int:
    """How many primitives are applied for derivatives along a path, all of it moving."""
    with entered(Counter()) as level:
        level.count = 0
        xs = tuple(level.wrap(np.array(x)) for x in primals)
        series = [[level.wrap(np.full_like(x, 0.1)) for _ in range(order)] for x in primals]
        jet(function, xs, series)
        return level.count


COSTLY = {"scatter_prod", "igamma", "igammac", "gammainc_slope", "zeta", "zeta_slope",
          "linalg_matrix_exp"}
"""What costs more: rules that name a slope of every order, a product of all other elements, or a
matrix of twice the size."""


@pytest.mark.parametrize(
    "sample", {s.name: s for s in ACTIVE if s.name not in COSTLY}.values(), ids=str)
def test_cost_is_polynomial(sample: Sample) -> None:
    """Twice the order costs at most eight times as much, where nested `jvp` squares its cost."""
    primals = [sample.operands[i] for i in sample.active]
    few, more, most = (cost(apply(sample), primals, k) for k in (3, 6, 12))
    assert more <= 8 * few and most <= 8 * more


def test_cost_of_a_program() -> None:
    """Mostly quadratic, and as long as the program: no operation pays for those before it."""
    def f(x: Any, times: int = 1) -> Any:
        for _ in range(times):
            x = torch.exp(torch.sin(x) * x)
        return x

    x = [np.array(0.1)]
    once = [cost(f, x, k) for k in (10, 20, 40)]
    assert once[1] < 4.5 * once[0] and once[2] < 4.5 * once[1]
    assert cost(lambda v: f(v, 8), x, 10) < 8.5 * once[0]


def test_cost_against_nested_jvp() -> None:
    def f(x: Any) -> Any:
        return torch.exp(torch.sin(x) * x)

    def push(g: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: jvp(g, (x,), (t64(1.0),))[1]

    counts, g = [], f
    for order in range(1, 7):
        g = push(g)
        with entered(Counter()) as level:
            level.count = 0
            g(level.wrap(np.array(0.3)))
            counts.append((level.count, cost(f, [np.array(0.3)], order)))
    assert all(nested > taylor for nested, taylor in counts[2:])
    assert counts[5][0] > 7 * counts[5][1]


def test_long_programs() -> None:
    """Ten thousand operations: the tower of calls does not grow with them."""
    def f(x: Any) -> Any:
        for _ in range(5_000):
            x = torch.sin(x) + 0.001
        return x

    assert all(np.isfinite(d.item()) for d in derivatives(f, t64(0.5), 3))


def test_what_rules_made_goes_at_once() -> None:
    """Nothing holds an intermediate result once the user's function has let go of it."""
    def f(x: Any) -> Any:
        y = torch.tanh(x) ** 1.5 / x
        made = weakref.ref(y)
        z = torch.sin(y)
        del y
        assert made() is None
        return z

    gc.disable()
    try:
        derivatives(f, t64(0.5), 4)
    finally:
        gc.enable()


# --- dtypes, constants, kinks, writes ---------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.complex64,
                                   torch.complex128])
def test_dtypes(dtype: Any) -> None:
    x = torch.tensor([0.5, 0.25], dtype=dtype)
    for f in (torch.sin, torch.exp, lambda v: v * v / 3, lambda v: 2 * v ** 3 - 1, torch.tanh):
        found = derivatives(f, x, 9)
        assert {d.dtype for d in found} == {dtype}
        assert all(np.isfinite(d.numpy()).all() for d in found)


def test_complex() -> None:
    """Along a real line a complex function's derivatives are those of its parts."""
    z = torch.tensor(0.5 + 0.25j, dtype=torch.complex128)
    d = derivatives(lambda v: (v.conj() * v).real, z, 3, torch.tensor(1j, dtype=torch.complex128))
    assert [v.item() for v in d] == [0.3125, 0.5, 2.0, 0.0]
    assert d[0].dtype is F64
    for k, v in enumerate(derivatives(torch.exp, z, 8)):
        assert abs(v.item() - np.exp(0.5 + 0.25j)) < 1e-15, k


def test_promotion() -> None:
    """Series take their primal's dtype; results that of the operation."""
    y, ys = jet(lambda x: x * t64([1.0, 2.0]), (torch.tensor([1.0, 2.0]),),
                ([t64([1.0, 1.0]), torch.tensor([2, 3])],))
    assert y.dtype is F64 and [v.dtype for v in ys] == [F64, F64]
    assert ys[1].tolist() == [2.0, 6.0]


def test_constants() -> None:
    """What does not move has zeros, of the output's shape and dtype; integers, too."""
    c = t64([1.0, 2.0])
    y, ys = jet(lambda x: [c, x > 0, x.argmax(), x.detach(), x * 0 + 1, c + 1], (t64([1.0, 2.0]),),
                ([t64([1.0, 1.0])] * 2,))
    for v, *terms in zip(y, *ys, strict=True):
        assert all(t.dtype is v.dtype and t.shape == v.shape and not t.any() for t in terms)


def test_kinks() -> None:
    """As PyTorch has them: the rule's choice of a side, at every order."""
    zero = t64(0.0)
    assert [v.item() for v in derivatives(lambda x: x.relu() * torch.exp(x), zero, 3)] == [0.0] * 4
    assert [v.item() for v in derivatives(torch.abs, zero, 2)] == [0.0] * 3
    found = derivatives(lambda x: torch.maximum(x, x * x), t64([0.0, 1.0]), 2)
    assert [v.tolist() for v in found] == [[0.0, 1.0], [0.5, 1.5], [1.0, 1.0]]
    assert [v.item() for v in derivatives(lambda x: x ** 3, zero, 5)] == [0, 0, 0, 6, 0, 0]
    powers = derivatives(lambda x: x ** t64([0.0, 1.0, 2.0]), zero, 3)
    assert [v.tolist() for v in powers] == [[1, 0, 0], [0, 1, 0], [0, 0, 2], [0, 0, 0]]
    assert [v.item() for v in derivatives(lambda x: torch.stack([x, x, x]).prod(0), zero, 3)
            ] == [0, 0, 0, 6]


def test_writes_and_views() -> None:
    """A write replaces what a tensor carries; its views and its base see it."""
    def f(x: Any) -> Any:
        a = torch.zeros(3, dtype=F64)
        head, view = a[0], a[1:]
        view.copy_(x)
        a *= a
        view += 1
        head.copy_(x[0])
        with torch.no_grad():
            a.mul_(2)
        return a, view

    (a, view), (first, second) = jet(f, (t64([2.0, 3.0]),), ([t64([1.0, 1.0]), t64([0.0, 0.0])],))
    assert a.tolist() == [4.0, 10.0, 20.0] and view.tolist() == [10.0, 20.0]
    assert [first[0].tolist(), first[1].tolist()] == [[2.0, 8.0, 12.0], [8.0, 12.0]]
    assert [second[0].tolist(), second[1].tolist()] == [[0.0, 4.0, 4.0], [4.0, 4.0]]


def test_results_are_apart() -> None:
    """Writing into what came back leaves what was given alone, and the other way round."""
    x, v = t64([1.0]), t64([2.0])
    _, (d, e) = jet(lambda x: x + 1, (x,), ([v, v],))
    d.mul_(5), e.mul_(5)
    assert v.tolist() == [2.0] and d.tolist() == [10.0] == e.tolist()

    def overwrites(x: Any) -> Any:
        v.zero_()
        return x
    assert jet(overwrites, (x,), ([v],))[1][0].tolist() == [2.0]


def test_trees() -> None:
    primals = ({"w": t64(2.0), "b": [t64(1.0)]}, t64(3.0))
    series = ([{"w": t64(1.0), "b": [t64(0.5)]}, {"w": t64(0.0), "b": [t64(0.0)]}],
              (t64(1.0), t64(0.0)))
    y, ys = jet(lambda p, x: {"y": (p["w"] * x, p["b"][0])}, primals, series)
    assert [v["y"][0].item() for v in (y, *ys)] == [6.0, 5.0, 2.0]
    assert [v["y"][1].item() for v in (y, *ys)] == [1.0, 0.5, 0.0]
    assert jet(torch.sin, (t64(0.0),), ([],)) == (0.0, [])


# --- errors -----------------------------------------------------------------------------------

one, two = t64([1.0]), t64([1.0, 2.0])
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: jet(torch.sin, one, ([one],)), ValueError, "primals must be a tuple"),
    (lambda: jet(torch.sin, (one,), one), ValueError, "series must be a tuple"),
    (lambda: jet(torch.sin, (), ()), ValueError, "at least one tensor in primals"),
    (lambda: jet(torch.sin, (one,), ([one], [one])), ValueError, "1 primals and series for 2"),
    (lambda: jet(torch.mul, (one, one), ([one], [one, one])), ValueError, "got 1, 2"),
    (lambda: jet(torch.sin, (one,), (one,)), ValueError, r"series\[0\] must be a list"),
    (lambda: jet(torch.mul, (two, two), ([two, two], [two, one])), ValueError,
     r"series\[1\]\[1\] has shape \[1\], but primals\[1\] has shape \[2\]"),
    (lambda: jet(sum, ([one, two],), ([[one, two], [one]],)), ValueError,
     r"series\[0\]\[1\] has structure \[\*\], but primals\[0\] has structure \[\*, \*\]"),
    (lambda: jet(torch.sin, (one,), ([one + 0j],)), ValueError,
     r"series\[0\]\[0\] is of dtype torch.complex128, but primals\[0\] is of dtype torch.float64"),
    (lambda: jet(torch.sin, (torch.tensor([1]),), ([one],)), ValueError,
     r"floating point or complex, but got: torch.int64, of shape \[1\]"),
    (lambda: jet(torch.sin, ("a",), ([one],)), ValueError, "must be Tensor, got <class 'str'>"),
    (lambda: jet(lambda x: (x, 3), (one,), ([one],)), RuntimeError,
     r"jet\(f, primals, series\): Expected f\(\*primals\) to return only tensors"),
    (lambda: jet(lambda x: None, (one,), ([one],)), RuntimeError, "non-empty output"),
    (lambda: derivatives(torch.sin, one, -1), ValueError, "natural number, got -1"),
    (lambda: derivatives(torch.sin, one, 1.0), ValueError, "natural number, got 1.0"),
    (lambda: derivatives(torch.sin, two, 1, one), ValueError,
     r"direction has shape \[1\], but x has shape \[2\]"),
    (lambda: derivatives(torch.sin, torch.tensor([1]), 1), ValueError, "Expected x to be"),
    (lambda: derivatives(lambda x: TABLE["heaviside"](x, one), one, 2), NotImplementedError,
     "heaviside"),
    (lambda: derivatives(lambda x: 1 / 0, one, 2), ZeroDivisionError, "by zero"),
]


@pytest.mark.parametrize("case", BAD, ids=range(len(BAD)))
def test_errors(case: Any) -> None:
    """At the call, naming argument and shapes; and everything is as it was afterwards."""
    call, kind, words = case
    with pytest.raises(kind, match=words):
        call()
    assert here.levels == []


def test_an_error_in_a_rule_leaves_the_level_usable() -> None:
    def f(x: Any) -> Any:
        with pytest.raises(NotImplementedError):
            TABLE["heaviside"](x, one)
        return torch.sin(x)

    assert derivatives(f, t64([0.0]), 3)[3].tolist() == [-1.0]


def test_a_tensor_left_behind() -> None:
    """It stands for its value once the transform has ended."""
    left: list[Any] = []
    derivatives(lambda x: left.append(x * 2) or x, t64(3.0), 2)
    assert (left[0] + 1).item() == 7.0


def _rounded() -> list[Any]:
    """Functions that round, with the derivative of a square: by both kinds of rules."""
    class Round(torch.autograd.Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return torch.from_numpy(np.rint(x.detach().numpy()))

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_forward(inputs[0])

        @staticmethod
        def jvp(ctx: Any, t: Any) -> Any:
            return 2 * ctx.saved_tensors[0] * t

    rounded = custom_jvp(lambda x: x.round())
    rounded.defjvp(lambda primals, ts: (rounded(primals[0]), 2 * primals[0] * ts[0]))
    return [Round.apply, rounded]


@pytest.mark.parametrize("f", _rounded(), ids=["Function", "custom_jvp"])
def test_custom_rules_are_followed(f: Any) -> None:
    """Not the program inside, whose derivative is another, or unknown."""
    x = t64([0.4, 1.7])
    found = derivatives(lambda x: f(x * x) + x, x, 5)
    expected = derivatives(lambda x: x ** 4 + x, x, 5)
    assert found[0].tolist() == pytest.approx([0.4, 4.7])
    for mine, true in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(mine.numpy(), true.numpy())
    along = grad(lambda x: derivatives(f, x, 2)[2].sum())(x)
    np.testing.assert_allclose(along.numpy(), np.zeros(2))


def test_a_custom_rule_may_ask_for_the_function_itself() -> None:
    exp = custom_jvp(lambda x: torch.from_numpy(np.exp(x.detach().numpy())))

    @exp.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        y = exp(*primals)
        return y, y * tangents[0]

    for mine, true in zip(derivatives(lambda x: exp(torch.sin(x)), t64([0.3]), 6),
                          derivatives(lambda x: torch.exp(torch.sin(x)), t64([0.3]), 6),
                          strict=True):
        np.testing.assert_allclose(mine.numpy(), true.numpy())


def test_custom_rules_that_write_or_have_several_outputs() -> None:
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.mark_dirty(x.mul_(2))
            return x, 3, x > 0

        @staticmethod
        def jvp(ctx: Any, t: Any) -> Any:
            return t.mul_(2), None, None

    def f(x: Any) -> Any:
        y = x * x
        Double.apply(y[:1])
        return y * y

    found = [d.tolist() for d in derivatives(f, t64([2.0, 3.0]), 2)]
    np.testing.assert_allclose(found, [[64, 81], [128, 108], [192, 108]])


def test_custom_rules_without_tangents_and_closures_are_refused() -> None:
    f = custom_vjp(torch.sin)
    f.defvjp(lambda x: (torch.sin(x), x), lambda x, g: (g * torch.cos(x),))
    with pytest.raises(TypeError, match="has a rule for cotangents alone"):
        derivatives(f, t64(1.0), 2)

    def closes(x: Any) -> Any:
        by_x = custom_jvp(lambda y: y * x)
        by_x.defjvp(lambda primals, ts: (primals[0] * x, ts[0] * x))
        return by_x(x)

    with pytest.raises(RuntimeError, match="Make it an argument"):
        derivatives(closes, t64(1.0), 2)


def test_orders_of_numpy() -> None:
    assert len(derivatives(torch.sin, t64(1.0), np.int64(2))) == 3
