"""Values and derivatives of the special functions, against mpmath over wide ranges.

Errors are measured in units of the type's epsilon, relative to the exact number, or to a scale
where that is larger: oscillating functions and sums that cancel are as exact as what they are made
of. `BOUNDS` of each case say what is promised of value and derivative.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import wengert as torch
from wengert import special
from wengert.core.primitive import TABLE

Array = np.ndarray
Exact = Callable[..., Any]
INF, NAN = math.inf, math.nan
DTYPES = (np.float64, np.float32)


@dataclass(frozen=True)
class Case:
    """A function of one number, and what is promised of it.

    Attributes:
        function: of a tensor.
        value, slope: of mpmath's numbers, exactly.
        points: where.
        bounds: epsilons of error allowed in value and slope.
        scales: what the errors are relative to at least, at a point.
    """

    function: Callable[[Any], Any]
    value: Exact
    slope: Exact
    points: Sequence[float]
    bounds: tuple[float, float] = (4, 6)
    scales: tuple[Callable[[float], float], Callable[[float], float]] = (
        lambda x: 0, lambda x: 0)


def spread(low: float, high: float, count: int = 60) -> list[float]:
    """Numbers evenly spaced in the logarithm."""
    return [10.0**e for e in np.linspace(math.log10(low), math.log10(high), count)]


def even(low: float, high: float, count: int = 60) -> list[float]:
    return [float(x) for x in np.linspace(low, high, count)]


def both(points: Sequence[float]) -> list[float]:
    return [*points, *(-x for x in points)]


def close_to(*places: float) -> list[float]:
    """Points approaching each place from above and below."""
    return [p + s * 4.0**-k for p in places for k in range(1, 9) for s in (1, -1)]


def root_pi() -> Any:
    return mpmath.sqrt(mpmath.pi)


def erfcx(x: Any) -> Any:
    return mpmath.erfc(x) * mpmath.exp(x * x) if x < 1e8 else (
        1 - 1 / (2 * x * x) + 3 / (4 * x**4)) / (x * root_pi())


def erfcx_slope(x: Any) -> Any:
    return 2 * x * erfcx(x) - 2 / root_pi() if x < 1e8 else (
        -1 + 3 / (2 * x * x) - 15 / (4 * x**4)) / (x * x * root_pi())


def ndtri(x: Any) -> Any:
    guess = mpf(float(special.ndtri(torch.tensor(float(x), dtype=torch.float64))))
    for _ in range(4):  # Newton's method
        guess -= (share(guess) - x) / density(guess)
    return guess


def share(x: Any) -> Any:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def density(x: Any) -> Any:
    return mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)


def erfinv(x: Any) -> Any:
    guess = mpf(float(special.erfinv(torch.tensor(float(x), dtype=torch.float64))))
    for _ in range(4):
        guess -= (mpmath.erf(guess) - x) * root_pi() / 2 * mpmath.exp(guess * guess)
    return guess


def j(n: int) -> Exact:
    return lambda x: mpmath.besselj(n, x)


def y(n: int) -> Exact:
    return lambda x: mpmath.bessely(n, x)


def i(n: int, scaled: bool = False) -> Exact:
    return lambda x: mpmath.besseli(n, x) * (mpmath.exp(-abs(x)) if scaled else 1)


def k(n: int, scaled: bool = False) -> Exact:
    return lambda x: mpmath.besselk(n, x) * (mpmath.exp(x) if scaled else 1)


def halves(f: Exact, g: Exact, sign: int, rest: Exact = lambda x: 0) -> Exact:
    """(f + sign g) / 2 + rest."""
    return lambda x: (f(x) + sign * g(x)) / 2 + rest(x)


def wave(x: float) -> float:
    """The size of Bessel's functions, times what their phase magnifies."""
    return math.sqrt(1 + abs(x))


def phase(x: float) -> float:
    """The size of Airy's function far below 0, times what its phase magnifies."""
    return (1 + max(-x, 0)**1.5) if x < 0 else 0


def mvlgamma(x: Any) -> Any:
    return sum(mpmath.loggamma(x - mpf(n) / 2) for n in range(3)) + 1.5 * mpmath.log(mpmath.pi)


def log_gamma(x: Any) -> Any:
    return mpmath.re(mpmath.loggamma(x))


SOME = spread(1e-15, 80, 30)
POSITIVE = spread(1e-30, 1e30) + even(0.1, 40)
CIRCLE = both(spread(1e-20, 1e4) + even(0.1, 40))
BELOW = [-x for x in even(0.05, 29.95, 80) if abs(x - round(x)) > 0.02]
CASES = {
    "erfinv": Case(torch.erfinv, erfinv, lambda x: root_pi() / 2 * mpmath.exp(erfinv(x)**2), both(
        spread(1e-30, 0.9) + [1 - 2.0**-n for n in range(2, 24)])),
    "erfcx": Case(special.erfcx, erfcx, erfcx_slope, both(spread(1e-30, 6)) + spread(6, 1e15)),
    "ndtri": Case(special.ndtri, ndtri, lambda x: 1 / density(ndtri(x)), spread(1e-37, 0.49)
                  + [1 - 2.0**-n for n in range(2, 24)], (8, 8)),
    "log_ndtr": Case(special.log_ndtr, lambda x: mpmath.log(share(x)),
                     lambda x: density(x) / share(x), [-x for x in spread(1e-20, 100)]
                     + even(0, 8, 20), (60, 60)),
    "entr": Case(special.entr, lambda x: -x * mpmath.log(x), lambda x: -mpmath.log(x) - 1,
                 POSITIVE + close_to(1), scales=(lambda x: 0, lambda x: 1)),
    "lgamma": Case(torch.lgamma, log_gamma, mpmath.digamma, POSITIVE + BELOW + close_to(1, 2),
                   (4, 8), (lambda x: 1 + max(-x, 0) * 8, lambda x: 3)),
    "digamma": Case(torch.digamma, mpmath.digamma, lambda x: mpmath.psi(1, x),
                    POSITIVE[5:] + BELOW, (8, 6), (lambda x: 3, lambda x: 0)),
    "polygamma": Case(lambda x: torch.polygamma(2, x), lambda x: mpmath.psi(2, x),
                      lambda x: mpmath.psi(3, x), spread(1e-8, 1e8) + BELOW + close_to(-1, -7),
                      (8, 8), (lambda x: 20, lambda x: 0)),
    "mvlgamma": Case(lambda x: torch.mvlgamma(x, 3), mvlgamma, lambda x: sum(
        mpmath.digamma(x - mpf(n) / 2) for n in range(3)), spread(1.01, 1e20), (8, 8),
        (lambda x: 3, lambda x: 8)),
    "zeta": Case(lambda x: special.zeta(x, 0.75), lambda x: mpmath.zeta(x, 0.75),
                 lambda x: mpmath.zeta(x, 0.75, 1), spread(1.001, 100), (8, 100)),
    "zeta, second": Case(lambda x: special.zeta(2.5, x), lambda x: mpmath.zeta(2.5, x),
                         lambda x: -2.5 * mpmath.zeta(3.5, x), spread(1e-8, 1e8), (8, 8)),
    "bessel_j0": Case(special.bessel_j0, j(0), lambda x: -j(1)(x), CIRCLE, (4, 4), (wave, wave)),
    "bessel_j1": Case(special.bessel_j1, j(1), halves(j(0), j(2), -1), CIRCLE, (4, 4),
                      (wave, wave)),
    "bessel_y0": Case(special.bessel_y0, y(0), lambda x: -y(1)(x), spread(1e-20, 1e4), (4, 4),
                      (wave, wave)),
    "bessel_y1": Case(special.bessel_y1, y(1), halves(y(0), y(2), -1), spread(1e-15, 1e4),
                      (4, 4), (wave, wave)),
    "i0": Case(torch.i0, i(0), i(1), both(spread(1e-20, 80))),
    "i1": Case(special.i1, i(1), halves(i(0), i(2), 1), both(spread(1e-20, 80)), (6, 6)),
    "i0e": Case(special.i0e, i(0, True), lambda x: i(1, True)(x) - mpmath.sign(x) * i(0, True)(x),
                CIRCLE, (6, 8)),
    "i1e": Case(special.i1e, i(1, True), halves(i(0, True), i(2, True), 1, lambda x: (
        -mpmath.sign(x) * i(1, True)(x))), CIRCLE, (6, 8), (lambda x: 0, lambda x: (
            0.3 if 1 < abs(x) < 2 else 0))),
    "modified_bessel_i0": Case(special.modified_bessel_i0, i(0), i(1), both(spread(1e-20, 80))),
    "modified_bessel_i1": Case(special.modified_bessel_i1, i(1), halves(i(0), i(2), 1),
                               both(spread(1e-20, 80)), (6, 6)),
    "modified_bessel_k0": Case(special.modified_bessel_k0, k(0), lambda x: -k(1)(x),
                               SOME),
    "modified_bessel_k1": Case(special.modified_bessel_k1, k(1), lambda x: (
        -(k(0)(x) + k(2)(x)) / 2), SOME),
    "scaled_modified_bessel_k0": Case(special.scaled_modified_bessel_k0, k(0, True),
                                      lambda x: k(0, True)(x) - k(1, True)(x),
                                      [*SOME, *spread(80, 1e4, 8)], (6, 16)),
    "scaled_modified_bessel_k1": Case(
        special.scaled_modified_bessel_k1, k(1, True),
        lambda x: k(1, True)(x) - (k(0, True)(x) + k(2, True)(x)) / 2,
        [*SOME, *spread(80, 1e4, 8)]),
    "spherical_bessel_j0": Case(
        special.spherical_bessel_j0, lambda x: mpmath.sin(x) / x,
        lambda x: (mpmath.cos(x) - mpmath.sin(x) / x) / x, both(spread(1e-9, 1e4) + even(0.1, 40)),
        (4, 60), (lambda x: 1 / (1 + abs(x)), lambda x: min(abs(x), 1) / (1 + abs(x)))),
    "airy_ai": Case(special.airy_ai, mpmath.airyai, lambda x: mpmath.airyai(x, derivative=1),
                    even(-40, 30, 90) + both(spread(1e-9, 5)), (120, 120), (phase, phase)),
}


def relative(found: Any, exact: Any, scale: float, kind: Any) -> float:
    """The error in epsilons, beyond what may be flushed to zero."""
    info = np.finfo(kind)
    if abs(exact) > float(info.max) * (1 - 1e-5):
        return 0.0 if abs(found) > float(info.max) * 0.99 else INF
    off = abs(mpf(float(found)) - exact)
    if off <= float(info.smallest_normal):
        return 0.0
    return float(off / max(abs(exact), scale) / float(info.eps)) if np.isfinite(found) else INF


def worst(found: Array, exact: Exact, points: Array, scale: Callable[[float], float]
          ) -> list[tuple[float, float]]:
    """Errors with their points, the largest first."""
    errors = [(relative(f, exact(mpf(float(x))), scale(float(x)), points.dtype), float(x))
              for f, x in zip(found, points, strict=True)]
    return sorted(errors, reverse=True)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_range(name: str, kind: Any) -> None:
    case = CASES[name]
    points = np.unique(np.array(case.points, kind))
    x = torch.from_numpy(points).requires_grad_()
    out = case.function(x)
    out.sum().backward()
    assert out.dtype is x.dtype
    with mpmath.workdps(60):
        for found, exact, bound, scale in zip((out.detach(), x.grad), (case.value, case.slope),
                                              case.bounds, case.scales, strict=True):
            errors = worst(found.numpy(), exact, points, scale)
            assert errors[0][0] <= bound, errors[:5]


# --- in two parameters ------------------------------------------------------------------------

SHAPES = (1e-5, 1e-2, 0.3, 1.0, 1.5, 3.0, 9.9, 10.1, 30.0, 100.0, 1e3, 1e5)
FACTORS = (1e-10, 1e-3, 0.1, 0.5, 0.9, 0.99, 1.0, 1.001, 1.03, 1.3, 2.0, 5.0)


def incomplete_pairs() -> tuple[Array, Array]:
    """Shapes and arguments far from each other and close, where all is no longer 0 or 1."""
    pairs = [(a, a * f if a > 0.1 else 2 * f) for a in SHAPES for f in FACTORS]
    kept = [(a, x) for a, x in pairs if abs((x - a) / math.sqrt(a)) < 25 or a < 20]
    a, x = np.array(kept).T
    return a, x


def lower(a: Any, x: Any) -> Any:
    return mpmath.gammainc(a, 0, x, regularized=True)


def lower_slope(a: Any, x: Any) -> Any:
    """The derivative in a, by a difference of many digits."""
    with mpmath.workdps(80):
        h = mpf(10)**-25 * a
        return (lower(a + h, x) - lower(a - h, x)) / (2 * h)


def lower_density(a: Any, x: Any) -> Any:
    return mpmath.exp((a - 1) * mpmath.log(x) - x - mpmath.loggamma(a))


@pytest.mark.parametrize(("function", "sign"), [(torch.igamma, 1), (torch.igammac, -1)])
def test_incomplete_gamma(function: Any, sign: int) -> None:
    """Both slopes keep their digits, but for those that the exponent's rounding takes."""
    points = incomplete_pairs()
    a, x = (torch.from_numpy(p).requires_grad_() for p in points)
    out = function(a, x)
    out.sum().backward()
    with mpmath.workdps(50):
        for found, exact in ((a.grad, lower_slope), (x.grad, lower_density)):
            for number, *at in zip(found.numpy(), *points, strict=True):
                true = sign * exact(*map(mpf, at))
                slack = 40 + 8 * abs(float(mpmath.log(abs(true))))
                assert relative(number, true, 0, np.dtype(float)) < slack, (at, number, true)


@pytest.mark.parametrize("size", [1e5, 1e7, 1e8, 1e12, 1e15])
def test_incomplete_gamma_of_large_shapes(size: float) -> None:
    """Far from the mean, against Temme's expansion: DLMF 8.12.3, its first two terms."""
    away = np.array([-12.0, -5, -1, 0, 1, 5, 12])
    a, x = np.full(7, size), size + away * math.sqrt(size)
    with mpmath.workdps(60):
        below = [temme(mpf(size), mpf(float(v))) for v in x]
    found = torch.igamma(torch.from_numpy(a), torch.from_numpy(x)).numpy()
    above = torch.igammac(torch.from_numpy(a), torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, [float(p) for p in below], rtol=2e-8)
    np.testing.assert_allclose(above, [float(1 - p) for p in below], rtol=2e-8)


def temme(a: Any, x: Any) -> Any:
    ratio = x / a
    eta = mpmath.sign(ratio - 1) * mpmath.sqrt(2 * (ratio - 1 - mpmath.log(ratio)))
    first = 1 / (ratio - 1) - 1 / eta if ratio != 1 else -mpf(1) / 3
    size = mpmath.exp(-a * eta * eta / 2) / mpmath.sqrt(2 * mpmath.pi * a)
    return mpmath.erfc(-eta * mpmath.sqrt(a / 2)) / 2 - size * first


def test_incomplete_gamma_again() -> None:
    """Second derivatives, by differences of the first."""
    a = torch.tensor([0.4, 2.0, 3.5, 14.0, 60.0], dtype=torch.float64)
    x = torch.tensor([0.7, 1.0, 6.0, 13.0, 70.0], dtype=torch.float64)
    assert torch.autograd.gradgradcheck(torch.igamma, (a.requires_grad_(), x.requires_grad_()))
    assert torch.autograd.gradgradcheck(torch.igammac, (a, x))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_zeta_in_its_exponent(order: int) -> None:
    s, q = np.array([(s, q) for s in (1.001, 1.5, 2, 5.5, 30, 80)
                     for q in (1e-3, 0.5, 1, 5, 30, 1e3)]).T
    found = TABLE["zeta_slope"](s, q, order=order)
    with mpmath.workdps(300):  # as many as mpmath needs
        for number, *at in zip(found, s, q, strict=True):
            exact = mpmath.zeta(*map(mpf, at), order)
            assert relative(number, exact, 0, np.dtype(float)) < 400, (at, number, exact)


# --- polynomials ------------------------------------------------------------------------------


def beside(sign: int) -> Exact:
    return lambda n, x: mpmath.chebyu(n, x) + sign * (mpmath.chebyu(n - 1, x) if n else 0)


POLYNOMIALS: dict[str, Exact] = {
    "chebyshev_polynomial_t": mpmath.chebyt, "chebyshev_polynomial_u": mpmath.chebyu,
    "chebyshev_polynomial_v": beside(-1), "chebyshev_polynomial_w": beside(1),
    "hermite_polynomial_h": mpmath.hermite,
    "hermite_polynomial_he": lambda n, x: mpmath.hermite(n, x / mpmath.sqrt(2)) / mpf(2)**(n / 2),
    "laguerre_polynomial_l": lambda n, x: sum(
        mpmath.binomial(n, k) * (-x)**k / mpmath.factorial(k) for k in range(n + 1)),
    "legendre_polynomial_p": mpmath.legendre,
}


@pytest.mark.parametrize("name", POLYNOMIALS)
@pytest.mark.parametrize("shifted", [False, True])
def test_polynomials(name: str, shifted: bool) -> None:
    if shifted and "chebyshev" not in name:
        return
    function = getattr(special, f"shifted_{name}" if shifted else name)
    points = [-1.5, -1.0, -0.8, 0.0, 0.3, 0.9, 1.0, 1.0625, 2.5]
    degrees = [0, 1, 2, 3, 7, 20]
    x = torch.tensor(points, dtype=torch.float64).unsqueeze(1).repeat(1, len(degrees))
    out = function(x.requires_grad_(), torch.tensor(degrees))
    out.sum().backward()
    with mpmath.workdps(40):
        for row, slopes, point in zip(out.tolist(), x.grad.tolist(), points, strict=True):
            at = mpf(2 * point - 1) if shifted else mpf(point)
            for value, slope, n in zip(row, slopes, degrees, strict=True):
                exact = POLYNOMIALS[name](n, at)
                steep = mpmath.diff(lambda t, n=n: POLYNOMIALS[name](n, t), at) * (1 + shifted)
                size = 1 + abs(float(steep))
                assert abs(value - exact) < 1e-14 * size, (n, point)
                assert abs(slope - steep) < 1e-13 * (n + 1) * size, (n, point)


def test_degrees() -> None:
    """Degrees are cut to integers, negative ones give 0, and either operand may be a number."""
    x = torch.tensor([0.3, 2.0])
    assert torch.equal(special.legendre_polynomial_p(x, 2.9), special.legendre_polynomial_p(x, 2))
    assert special.hermite_polynomial_h(x, -1).tolist() == [0, 0]
    assert special.laguerre_polynomial_l(2, torch.tensor([0, 1, 2])).tolist() == [1, -1, -1]
    assert special.chebyshev_polynomial_w(torch.tensor([INF]), torch.tensor([0, 1])).tolist() == [
        1, INF]
    with pytest.raises(TypeError):
        special.chebyshev_polynomial_t(0.5, 2)


# --- special values ---------------------------------------------------------------------------

SPECIAL: dict[str, list[tuple[float, float, float]]] = {
    "lgamma": [(0, INF, -INF), (-0.0, INF, INF),
               (-1, INF, NAN), (INF, INF, INF), (-INF, INF, NAN), (NAN, NAN, NAN)],
    "digamma": [(0, -INF, INF), (-0.0, INF, INF), (-2, NAN, INF), (INF, INF, 0), (NAN, NAN, NAN)],
    "erfinv": [(1, INF, INF), (-1, -INF, INF), (1.5, NAN, NAN), (NAN, NAN, NAN)],
    "erfcx": [(INF, 0, 0), (-INF, INF, -INF), (NAN, NAN, NAN)],
    "ndtri": [(0, -INF, INF), (1, INF, INF), (-0.5, NAN, NAN), (NAN, NAN, NAN)],
    "log_ndtr": [(-INF, -INF, INF), (INF, 0, 0), (NAN, NAN, NAN)],
    "entr": [(0, 0, INF), (INF, -INF, -INF), (-1, -INF, NAN), (NAN, NAN, NAN)],
    "i0": [(0, 1, 0), (NAN, NAN, NAN)],
    "i1": [(0, 0, 0.5), (NAN, NAN, NAN)],
    "i0e": [(0, 1, 0), (INF, 0, 0), (-INF, 0, 0), (NAN, NAN, NAN)],
    "i1e": [(0, 0, 0.5), (INF, 0, 0), (NAN, NAN, NAN)],
    "bessel_j0": [(0, 1, 0), (NAN, NAN, NAN)], "bessel_j1": [(0, 0, 0.5), (NAN, NAN, NAN)],
    "bessel_y0": [(0, -INF, INF), (-1, NAN, NAN)], "bessel_y1": [(-1, NAN, NAN)],
    "modified_bessel_k0": [(0, INF, -INF), (INF, 0, 0), (-1, NAN, NAN)],
    "modified_bessel_k1": [(0, INF, -INF), (INF, 0, 0), (-1, NAN, NAN)],
    "scaled_modified_bessel_k0": [(0, INF, -INF), (INF, 0, 0), (-1, NAN, NAN)],
    "spherical_bessel_j0": [(0, 1, 0), (INF, 0, 0), (-INF, 0, 0), (NAN, NAN, NAN)],
    "airy_ai": [(INF, 0, 0), (1e30, 0, 0), (NAN, NAN, NAN)],
}


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str, kind: Any) -> None:
    """At poles, edges of domains and infinities."""
    at, values, slopes = zip(*SPECIAL[name], strict=True)
    x = torch.from_numpy(np.array(at, kind)).requires_grad_()
    out = getattr(special, {"lgamma": "gammaln"}.get(name, name))(x)
    out.sum().backward()
    np.testing.assert_allclose(out.detach().numpy(), np.array(values, kind), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), np.array(slopes, kind), rtol=1e-6)


def test_lgamma_of_subnormal_numbers() -> None:
    assert torch.lgamma(torch.tensor(1e-310, dtype=torch.float64)).item() == pytest.approx(
        310 * math.log(10), rel=1e-15)


def test_poles_of_polygamma() -> None:
    x = torch.tensor([0.0, -1, -7, -2.0**60], dtype=torch.float64)
    assert torch.polygamma(1, x).tolist() == [INF] * 4
    assert torch.polygamma(3, x).tolist() == [INF] * 4
    assert torch.polygamma(2, x).tolist() == [-INF] * 4


def test_edges_of_incomplete_gamma() -> None:
    a = torch.tensor([0.0, 2, 2, -1, 2, INF, NAN, 1, 0.5], dtype=torch.float64)
    x = torch.tensor([1.0, 0, INF, 1, -1, 1, 1, 0, 0], dtype=torch.float64)
    out = torch.igamma(a.requires_grad_(), x.requires_grad_())
    out.sum().backward()
    np.testing.assert_array_equal(out.detach(), [1, 0, 1, NAN, NAN, 0, NAN, 0, 0])
    np.testing.assert_allclose(a.grad, [-float(mpmath.e1(1)), 0, 0, NAN, NAN, 0, NAN, 0, 0])
    np.testing.assert_allclose(x.grad, [0, 0, 0, NAN, NAN, 0, NAN, 1, INF])


# --- words ------------------------------------------------------------------------------------


def test_namespace() -> None:
    assert torch.special is special
    assert all(hasattr(special, name) for name in special.__all__)
    x = torch.tensor([0.5, 2.5])
    assert torch.equal(special.psi(x), x.digamma())
    assert torch.equal(special.gammainc(x, x), x.igamma(x))
    assert torch.equal(special.multigammaln(x + 2, 2), (x + 2).mvlgamma(2))
    assert special.i0(torch.tensor([1, 2])).dtype is torch.float32
    assert special.zeta(2, torch.tensor([1])).item() == pytest.approx(math.pi**2 / 6)


@pytest.mark.parametrize("word", ["lgamma", "digamma", "erfinv", "i0"])
def test_in_place(word: str) -> None:
    x = torch.tensor([0.25, 0.5], requires_grad=True)
    y = x * 1
    z = getattr(y, f"{word}_")()
    assert z is y
    assert torch.equal(y, getattr(torch, word)(x))
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(slope, torch.autograd.grad(getattr(torch, word)(x).sum(), x)[0])
    with pytest.raises(RuntimeError, match="result type Float can't be cast"):
        getattr(torch.tensor([1]), f"{word}_")()


def test_in_place_with_parameters() -> None:
    x = torch.tensor([2.5, 3.5])
    assert torch.equal(x.clone().polygamma_(2), torch.polygamma(2, x))
    assert torch.equal(x.clone().polygamma_(0), torch.digamma(x))
    assert torch.equal(x.clone().mvlgamma_(3), torch.mvlgamma(x, 3))
    assert torch.equal(x.clone().igamma_(x), torch.igamma(x, x))
    assert torch.equal(x.clone().igammac_(x), torch.igammac(x, x))


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda x: torch.polygamma(-1, x), RuntimeError, "does not support negative n"),
    (lambda x: torch.polygamma(1.5, x), TypeError, "must be int, not float"),
    (lambda x: torch.mvlgamma(x, 0), RuntimeError, "p has to be greater than or equal to 1"),
    (lambda x: torch.igamma(x, 3.0), TypeError, "argument 'other'"),
    (lambda x: torch.igamma(x.long(), x.long()), NotImplementedError, "igamma_cpu"),
    (lambda x: torch.lgamma(x + 0j), NotImplementedError, "lgamma_vml_cpu"),
    (lambda x: special.bessel_j0(x + 0j), NotImplementedError, "bessel_j0_cpu"),
    (lambda x: torch.digamma(3.0), TypeError, "must be Tensor, not float"),
])
def test_refused(call: Callable[[Any], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call(torch.tensor([1.5]))


def test_scipy_is_imported_late() -> None:
    code = ("import sys, wengert; from wengert import special;"
            "sys.exit(any(name.startswith('scipy') for name in sys.modules))")
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run([sys.executable, "-c", code], check=False,
                          env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0
