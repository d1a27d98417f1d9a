"""Values and derivatives of the elementary functions over the whole range of their type.

Both are compared with mpmath at magnitudes from the smallest subnormal number to the largest
finite one, near kinks, poles and the edges of domains, in float64 and float32. The error is
measured in units in the last place of the exact result (ulp), and `BOUNDS` states what is
promised. Results below the smallest normal number may lose their last bits, or be flushed to
zero: everywhere an error of one smallest normal number is allowed as well. It never becomes an
infinity or a NaN. A result beyond the largest finite number is to be infinite.

Where the bound depends on the operands (`slack`), the function is ill-conditioned in something
that is rounded on the way, and says what.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import wengert as torch
from wengert.core.primitive import TABLE

mp = mpmath.mp
Array = np.ndarray
Exact = Callable[..., Any]
DTYPES = (np.float64, np.float32)
POINTS = 250
"""Magnitudes per sign, spaced evenly in the logarithm."""


@dataclass(frozen=True)
class Function:
    """A function, its exact value and partial derivatives, and what is promised of it.

    Attributes:
        value: the exact function of mpmath numbers.
        partials: its exact partial derivatives.
        bound: ulp allowed in the value and in each derivative. NumPy keeps its functions under
            4 ulp; the forms of the rules are such that a derivative is hardly worse.
        inside: whether a point lies in the open domain.
        near: points to approach from both sides.
        slack: further ulp in value and derivatives at a point, given what its type can hold.
        params: parameters of the primitive.
    """

    value: Exact
    partials: tuple[Exact, ...]
    bound: tuple[float, float] = (4, 5)
    inside: Callable[..., bool] = lambda *xs: True
    near: tuple[float, ...] = (0.0, 1.0, -1.0)
    slack: Callable[..., tuple[float, float]] = lambda *xs: (0, 0)
    params: dict[str, Any] | None = None


def exp(x: Any) -> Any:
    """exp, without working out numbers of astronomical exponents."""
    return mpf(0) if x < -10**5 else mpf("inf") if x > 10**5 else mpmath.exp(x)


def sech2(x: Any) -> Any:
    e = exp(-2 * abs(x))
    return 4 * e / (1 + e)**2


def logistic(x: Any) -> Any:
    return 1 / (1 + exp(-x)) if x > 0 else exp(x) / (1 + exp(x))


def softplus(x: Any) -> Any:
    return mpmath.log1p(exp(-abs(x))) + max(x, 0)


def sinh(x: Any) -> Any:
    return mpmath.sign(x) * mpf("inf") if abs(x) > 10**5 else mpmath.sinh(x)


def cosh(x: Any) -> Any:
    return mpf("inf") if abs(x) > 10**5 else mpmath.cosh(x)


def erf(x: Any) -> Any:
    return mpmath.erf(x) if abs(x) < 40 else mpmath.sign(x)


def erfc(x: Any) -> Any:
    return mpmath.erfc(x) if abs(x) < 40 else mpf(0 if x > 0 else 2)


def share_below(x: Any) -> Any:
    return erfc(-x / mpmath.sqrt(2)) / 2


def density(x: Any) -> Any:
    return exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)


def power(x: Any, y: Any) -> Any:
    return exp(y * mpmath.log(x))


def scalar_power(exponent: float) -> Function:
    return Function(lambda x: power(x, mpf(exponent)),
                    (lambda x: mpf(exponent) * power(x, mpf(exponent - 1)),), inside=positive,
                    slack=lambda x, info: power_slack(x, exponent, info),
                    params={"exponent": exponent})


def scaled_softplus(beta: float) -> Function:
    """The threshold is where the straight line is right to the last bit.

    beta * x is rounded, which softplus magnifies |beta x| times for large negative numbers.
    """
    return Function(lambda x: softplus(beta * x) / beta, (lambda x: logistic(beta * x),),
                    slack=lambda x, info: (abs(beta * x), abs(beta * x)) if beta % 2 else (0, 0),
                    params={"beta": beta, "threshold": 50.0})


def gate(share: Exact, density: Exact, magnified: Exact) -> Function:
    """x times a share that grows with x.

    Args:
        share: of x.
        density: the share's derivative.
        magnified: how much the share's relative error exceeds that of x, where x is below 0.
    """
    def slack(x: Any, info: Any) -> tuple[float, float]:
        own = magnified(x) if x < 0 else 0
        parts, whole = share(x) + abs(x) * density(x), share(x) + x * density(x)
        cancels = parts / abs(whole) if whole else 1  # the slope is 0 below 0
        return own, (own + 8) * cancels

    return Function(lambda x: x * share(x), (lambda x: share(x) + x * density(x),), slack=slack)


def cubic(x: Any) -> Any:
    return mpmath.sqrt(8 / mpmath.pi) * (x + mpf(0.044715) * mpf(x)**3)


def positive(x: Any) -> bool:
    return bool(x > 0)


def unit(x: Any) -> bool:
    return bool(-1 < x < 1)


def not_origin(x: Any, y: Any) -> bool:
    return bool(x != 0 or y != 0)


# --- what is ill-conditioned ------------------------------------------------------------------


def holds(size: float, info: Any) -> bool:
    """Whether a number of this size is a normal one of the type."""
    return float(info.smallest_normal) <= size <= float(info.max)


def power_slack(x: float, y: float, info: Any) -> tuple[float, float]:
    """The slope y * x**(y - 1): y - 1 is rounded, which its exponential magnifies |log x| times.

    Nothing is said where x**(y - 1) itself over- or underflows and only y brings it back.
    """
    exponent = y - 1 if abs(y) < 1e300 else 0.0
    inside = info.minexp <= exponent * math.log2(x) <= info.maxexp
    exact = float(info.dtype.type(exponent)) == exponent and (exponent + 1) == y
    return 0, math.inf if not inside else 0 if exact else abs(math.log(x)) * max(1, abs(y))


def logaddexp_slack(x: float, y: float, info: Any) -> tuple[float, float]:
    """Near a result of 0 two numbers cancel; the slopes' x - y is rounded, and exp magnifies."""
    high, rest = max(x, y), math.log1p(math.exp(-min(abs(x - y), 700)))
    return (abs(high) + rest) / abs(high + rest) if high + rest else math.inf, abs(x - y)


def bell_slack(x: float, info: Any) -> tuple[float, float]:
    """The exponent x**2 / 2 is rounded, by up to half a unit of its own."""
    return x * x / 2, x * x / 2


def share_slack(x: float, info: Any) -> tuple[float, float]:
    """Above 0 the share is near 1."""
    return x * x / 2 if x < 0 else 0, x * x / 2


def hypot_slack(x: float, y: float, info: Any) -> tuple[float, float]:
    """The slopes divide by the result, which has few bits, or none, at the range's ends."""
    return 0, 0 if holds(math.hypot(x, y), info) else math.inf


def div_slack(x: float, y: float, info: Any) -> tuple[float, float]:
    """The slope -x / y**2 is made from x / y, which has few bits if it is subnormal."""
    return 0, 0 if x == 0 or abs(x) >= float(info.smallest_normal) * abs(y) else math.inf


SLOPE = 2 / mpmath.sqrt(mpmath.pi)

FUNCTIONS: dict[str, Function] = {
    "exp": Function(exp, (exp,)),
    "exp2": Function(lambda x: exp(x * mpmath.ln2), (lambda x: mpmath.ln2 * exp(x * mpmath.ln2),)),
    "expm1": Function(lambda x: mpmath.expm1(x) if x < 10**5 else mpf("inf"), (exp,)),
    "log": Function(mpmath.log, (lambda x: 1 / x,), inside=positive),
    "log2": Function(lambda x: mpmath.log(x) / mpmath.ln2, (lambda x: 1 / (x * mpmath.ln2),),
                     inside=positive),
    "log10": Function(mpmath.log10, (lambda x: 1 / (x * mpmath.ln10),), inside=positive),
    "log1p": Function(mpmath.log1p, (lambda x: 1 / (1 + x),), inside=lambda x: x > -1),
    "sin": Function(mpmath.sin, (mpmath.cos,), near=(0, math.pi / 2, math.pi, -3 * math.pi)),
    "cos": Function(mpmath.cos, (lambda x: -mpmath.sin(x),), near=(0, math.pi / 2, math.pi, 100)),
    "tan": Function(mpmath.tan, (lambda x: 1 + mpmath.tan(x)**2,), near=(0, math.pi / 2, math.pi)),
    "asin": Function(mpmath.asin, (lambda x: 1 / mpmath.sqrt((1 - x) * (1 + x)),), inside=unit),
    "acos": Function(mpmath.acos, (lambda x: -1 / mpmath.sqrt((1 - x) * (1 + x)),), inside=unit),
    "atan": Function(mpmath.atan, (lambda x: 1 / (1 + x * x),)),
    "sinh": Function(sinh, (cosh,)),
    "cosh": Function(cosh, (sinh,)),
    "tanh": Function(mpmath.tanh, (sech2,)),
    "sech2": Function(sech2, (lambda x: -2 * sech2(x) * mpmath.tanh(x),)),
    "asinh": Function(mpmath.asinh, (lambda x: 1 / mpmath.sqrt(1 + x * x),)),
    "acosh": Function(mpmath.acosh, (lambda x: 1 / mpmath.sqrt((x - 1) * (x + 1)),),
                      inside=lambda x: x > 1),
    "atanh": Function(mpmath.atanh, (lambda x: 1 / ((1 - x) * (1 + x)),), inside=unit),
    "sigmoid": Function(logistic, (lambda x: sech2(x / 2) / 4,)),
    "silu": gate(logistic, lambda x: sech2(x / 2) / 4, abs),
    "gelu": gate(share_below, density, lambda x: x * x / 2),
    "gelu_tanh": gate(
        lambda x: logistic(cubic(x)),
        lambda x: sech2(cubic(x) / 2) / 4 * mpmath.sqrt(8 / mpmath.pi) * (
            1 + 3 * mpf(0.044715) * mpf(x)**2), lambda x: 4 * abs(cubic(x))),
    "softplus": scaled_softplus(1.0), "softplus twice": scaled_softplus(2.0),
    "softplus thrice": scaled_softplus(3.0),
    "erf": Function(erf, (lambda x: SLOPE * exp(-x * x),)),
    "erfc": Function(erfc, (lambda x: -SLOPE * exp(-x * x),)),
    "gauss": Function(lambda x: exp(-x * x), (lambda x: -2 * x * exp(-x * x),)),
    "ndtr": Function(share_below, (density,), slack=share_slack),
    "npdf": Function(density, (lambda x: -x * density(x),), slack=bell_slack),
    "sqrt": Function(mpmath.sqrt, (lambda x: 1 / (2 * mpmath.sqrt(x)),), inside=positive),
    "rsqrt": Function(lambda x: 1 / mpmath.sqrt(x), (lambda x: -1 / (2 * x * mpmath.sqrt(x)),),
                      inside=positive),
    "reciprocal": Function(lambda x: 1 / x, (lambda x: -1 / x**2,), inside=lambda x: x != 0),
    "square": Function(lambda x: x * x, (lambda x: 2 * x,)),
    "hypot": Function(mpmath.hypot, (
        lambda x, y: x / mpmath.hypot(x, y), lambda x, y: y / mpmath.hypot(x, y)),
        inside=not_origin, slack=hypot_slack),
    "atan2": Function(mpmath.atan2, (
        lambda x, y: y / (x * x + y * y), lambda x, y: -x / (x * x + y * y)),
        inside=not_origin),
    "div": Function(lambda x, y: x / y, (lambda x, y: 1 / y, lambda x, y: -x / y**2),
                    inside=lambda x, y: y != 0, slack=div_slack),
    "mul": Function(lambda x, y: x * y, (lambda x, y: y, lambda x, y: x), bound=(0.5, 0)),
    "logaddexp": Function(lambda x, y: max(x, y) + softplus(-abs(x - y)), (
        lambda x, y: logistic(x - y), lambda x, y: logistic(y - x)), slack=logaddexp_slack),
    "pow": Function(power, (lambda x, y: y * power(x, y - 1),
                            lambda x, y: mpmath.log(x) * power(x, y)),
                    inside=lambda x, y: x > 0, slack=power_slack),
    "scalar_pow cube": scalar_power(3.0), "scalar_pow root": scalar_power(0.5),
    "scalar_pow mixed": scalar_power(-1.75), "scalar_pow fifth": scalar_power(-5.0),
}


# --- points -----------------------------------------------------------------------------------


def line(kind: Any, near: Sequence[float], count: int = POINTS) -> Array:
    """Magnitudes over the whole range, both signs, and the approaches to some points."""
    info = np.finfo(kind)
    low, high = np.log10(float(info.smallest_subnormal)), np.log10(float(info.max))
    sizes = np.array([10.0**e for e in np.linspace(low, high, count)[1:-1]])
    sizes = np.concatenate([sizes, np.linspace(0.05, 30, count // 2),
                            [info.smallest_subnormal, info.smallest_normal, info.max]])
    steps = np.array([4.0**-k for k in range(2, 40, 2)])
    close = [p + s * steps for p in near for s in (1, -1)]
    return np.unique(np.concatenate([sizes, -sizes, *close, near]).astype(kind))


def plane(kind: Any, near: Sequence[float]) -> tuple[Array, Array]:
    """Pairs: all of few magnitudes with each other, and pairs that are close together."""
    few = line(kind, (), 16)
    x, y = (a.ravel() for a in np.meshgrid(few, few))
    middle = line(kind, near, 30)
    return np.concatenate([x, middle, middle]), np.concatenate(
        [y, np.nextafter(middle, kind(1)), -middle])


def points(name: str, kind: Any) -> list[Array]:
    f = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        found = [line(kind, f.near)] if len(f.partials) == 1 else list(plane(kind, f.near))
    keep = [f.inside(*map(mpf, map(float, xs))) for xs in zip(*found, strict=True)]
    return [xs[np.array(keep)] for xs in found]


# --- measuring --------------------------------------------------------------------------------


def apply(name: str, xs: Sequence[Array]) -> tuple[Array, list[Array]]:
    """A primitive's values and partial derivatives, by the tape."""
    tensors = [torch.from_numpy(np.array(x)).requires_grad_() for x in xs]
    out = TABLE[name.partition(" ")[0]](*tensors, **(FUNCTIONS[name].params or {}))
    out.sum().backward()
    return out.detach().numpy(), [t.grad.numpy() for t in tensors]


@functools.cache
def ends(kind: Any) -> tuple[Any, float, Any, int]:
    """What may round to infinity, what is large enough for it, the smallest normal number, and
    how many bits come after the first."""
    info = np.finfo(kind)
    largest, normal = mpf(float(info.max)), mpf(float(info.smallest_normal))
    return (largest * (1 - 8 * mpf(float(info.eps))), float(info.max * (1 - 16 * info.eps)),
            normal, info.nmant)


def error(found: Any, exact: Any, kind: Any) -> float:
    """The error in ulp of the exact result, beyond what the range's ends excuse."""
    overflow, large, normal, bits = ends(kind)
    if abs(exact) > overflow:
        return 0.0 if abs(found) >= large and (found > 0) == (exact > 0) else math.inf
    if not math.isfinite(found):
        return math.inf
    off = abs(float(found) - exact)
    if off <= normal:
        return 0.0
    return float(mpmath.ldexp(off, bits + 1 - mpmath.mag(exact)))  # 2**(mag - 1) <= |exact|


def worst(found: Array, exact: Exact, xs: Sequence[Array], f: Function, *,
          order: int) -> Iterator[str]:
    """The points at which an error exceeds its bound, of values (order 0) or slopes (1)."""
    kind, info = found.dtype.type, np.finfo(found.dtype)
    for number, *at in zip(found, *xs, strict=True):
        place = [mpf(float(x)) for x in at]
        off = error(number, exact(*place), kind)
        if not off <= f.bound[order] + f.slack(*map(float, at), info)[order]:
            yield f"at {tuple(map(float, at))}: {number!r} is off by {off:.3g} ulp"


CASES = [(name, kind) for name in FUNCTIONS for kind in DTYPES]


@pytest.fixture(autouse=True)
def precision() -> Iterator[None]:
    with mp.workdps(60):
        yield


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_range(name: str, kind: Any) -> None:
    f, xs = FUNCTIONS[name], points(name, kind)
    assert len(xs[0]) > POINTS / 2
    value, slopes = apply(name, xs)
    assert not np.isnan([value, *slopes]).any()
    bad = list(worst(value, f.value, xs, f, order=0))
    assert not bad, f"{name}: {len(bad)} of {len(value)} values: " + "; ".join(bad[:8])
    for i, (slope, exact) in enumerate(zip(slopes, f.partials, strict=True)):
        bad = list(worst(slope, exact, xs, f, order=1))
        assert not bad, f"{name}: {len(bad)} of {len(slope)} slopes {i}: " + "; ".join(bad[:8])


# --- infinities, NaN, zeros, edges ------------------------------------------------------------

INF, NAN, PI = math.inf, math.nan, math.pi
SPECIAL: dict[str, list[tuple[float, float, float]]] = {  # (x, value, slope)
    "exp": [(INF, INF, INF), (-INF, 0, 0), (0, 1, 1)],
    "exp2": [(INF, INF, INF), (-INF, 0, 0), (0, 1, math.log(2))],
    "expm1": [(INF, INF, INF), (-INF, -1, 0), (0, 0, 1), (-0.0, -0.0, 1)],
    "log": [(INF, INF, 0), (0, -INF, INF), (1, 0, 1)],
    "log2": [(INF, INF, 0), (0, -INF, INF), (1, 0, 1 / math.log(2))],
    "log10": [(INF, INF, 0), (0, -INF, INF), (1, 0, 1 / math.log(10))],
    "log1p": [(INF, INF, 0), (-1, -INF, INF), (0, 0, 1), (-0.0, -0.0, 1)],
    "sin": [(INF, NAN, NAN), (-INF, NAN, NAN), (0, 0, 1), (-0.0, -0.0, 1)],
    "cos": [(INF, NAN, NAN), (-INF, NAN, NAN), (0, 1, 0)],
    "tan": [(INF, NAN, NAN), (-INF, NAN, NAN), (0, 0, 1), (-0.0, -0.0, 1)],
    "asin": [(1, PI / 2, INF), (-1, -PI / 2, INF), (0, 0, 1), (-0.0, -0.0, 1)],
    "acos": [(1, 0, -INF), (-1, PI, -INF), (0, PI / 2, -1)],
    "atan": [(INF, PI / 2, 0), (-INF, -PI / 2, 0), (0, 0, 1), (-0.0, -0.0, 1)],
    "sinh": [(INF, INF, INF), (-INF, -INF, INF), (0, 0, 1), (-0.0, -0.0, 1)],
    "cosh": [(INF, INF, INF), (-INF, INF, -INF), (0, 1, 0)],
    "tanh": [(INF, 1, 0), (-INF, -1, 0), (0, 0, 1), (-0.0, -0.0, 1)],
    "sech2": [(INF, 0, 0), (-INF, 0, 0), (0, 1, 0)],
    "asinh": [(INF, INF, 0), (-INF, -INF, 0), (0, 0, 1), (-0.0, -0.0, 1)],
    "acosh": [(INF, INF, 0), (1, 0, INF)],
    "atanh": [(1, INF, INF), (-1, -INF, INF), (0, 0, 1), (-0.0, -0.0, 1)],
    "sigmoid": [(INF, 1, 0), (-INF, 0, 0), (0, 0.5, 0.25)],
    "silu": [(INF, INF, NAN), (-INF, NAN, NAN), (0, 0, 0.5)],  # as in PyTorch
    "gelu": [(INF, INF, NAN), (-INF, NAN, NAN), (0, 0, 0.5)],
    "gelu_tanh": [(INF, INF, 1), (-INF, NAN, 0), (0, 0, 0.5)],
    "softplus": [(INF, INF, 1), (-INF, 0, 0), (0, math.log(2), 0.5)],
    "erf": [(INF, 1, 0), (-INF, -1, 0), (0, 0, float(SLOPE)), (-0.0, -0.0, float(SLOPE))],
    "erfc": [(INF, 0, 0), (-INF, 2, 0), (0, 1, -float(SLOPE))],
    "gauss": [(INF, 0, 0), (-INF, 0, 0), (0, 1, 0)],
    "ndtr": [(INF, 1, 0), (-INF, 0, 0), (0, 0.5, float(density(0)))],
    "npdf": [(INF, 0, 0), (-INF, 0, 0), (0, float(density(0)), 0)],
    "sqrt": [(INF, INF, 0), (0, 0, INF)],
    "rsqrt": [(INF, 0, 0), (0, INF, -INF)],
    "reciprocal": [(INF, 0, 0), (-INF, -0.0, 0), (0, INF, -INF), (-0.0, -INF, -INF)],
    "square": [(INF, INF, INF), (-INF, INF, -INF), (0, 0, 0)],
}


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items()
                                  if len(f.partials) == 1 and " " not in n])
@pytest.mark.parametrize("kind", DTYPES)
def test_special_values(name: str, kind: Any) -> None:
    """At infinities, zeros and edges of domains; a NaN makes NaN, and stays where it is."""
    xs, values, slopes = zip(*SPECIAL[name], strict=True)
    found, (slope,) = apply(name, [np.array([*xs, math.nan], kind)])
    close = {"rtol": 4 * np.finfo(kind).eps, "atol": 0}
    np.testing.assert_allclose(found[:-1], values, **close)
    numbers = ~np.isnan(values)
    np.testing.assert_array_equal(np.signbit(found[:-1][numbers]), np.signbit(values)[numbers])
    np.testing.assert_allclose(slope[:-1], slopes, **close)
    assert np.isnan([found[-1], slope[-1]]).all()


def test_outside_domains() -> None:
    """A function that has no value at a point says so, in the value."""
    for name, x in (("log", -1), ("log2", -1), ("log10", -1), ("log1p", -2), ("sqrt", -1),
                    ("rsqrt", -1), ("asin", 2), ("acos", -2), ("acosh", 0.5), ("atanh", 2)):
        assert np.isnan(apply(name, [np.array([x], np.float64)])[0]).all(), name
