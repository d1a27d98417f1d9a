"""The incomplete gamma functions' derivatives, which SciPy lacks, as functions of arrays.

All work in float64 and keep their relative accuracy: sums are of terms of one sign, and what
cancels is expanded. Arguments outside of the domain give NaN.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .quadrature import summed

Array = np.ndarray

_NODES = 64
"""Points of the quadrature: enough for the last bit of integrands that are like exp(-s - s**2)."""
_DECAY = 42.0
"""Where an integrand has fallen to exp(-42), nothing that could be seen is left of it."""
_LARGE = 10.0
"""From here on Stirling's series has 16 digits."""
_VERY_LARGE = 1e6
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
_PSI = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760)


def density(a: Array, x: Array) -> Array:
    """x**(a - 1) e**-x / gamma(a), the slope of gammainc in x."""
    from scipy.special import rgamma

    a, x = (v.astype(np.float64, copy=False) for v in (a, x))
    power = np.where(a >= 1, np.power(x, a - 1), np.power(x, a) / x)
    small = power * np.exp(-x) * rgamma(a)
    large = np.where(x == 0, 0, _large_power(np.maximum(a, _LARGE), x) * (a / x))
    found = np.where(a < _LARGE, small, large)
    edge = np.where(a > 1, 0, np.where(a == 1, 1, np.inf))
    found = np.where(x == 0, edge, found)
    flat = (a == 0) | np.isinf(a) | np.isinf(x)
    return np.where((a < 0) | (x < 0), np.nan, np.where(flat, 0, found))


def _large_power(a: Array, x: Array) -> Array:
    """x**a e**-x / gamma(a + 1) for large a, without the cancellation of its three factors.

    C. Loader, "Fast and Accurate Computation of Binomial Probabilities" (2000).
    """
    return np.exp(-_series(_STIRLING, a) - a * _deviance(a, x)) / np.sqrt(2 * math.pi * a)


def _series(coefficients: tuple[float, ...], a: Array, power: int = 1) -> Array:
    """The sum of coefficients over a**power, a**(power + 2), ..."""
    over = 1 / (a * a)
    total: Any = 0.0
    for c in reversed(coefficients):
        total = total * over + c
    return np.asarray(total / a**power)


def _deviance(a: Array, x: Array) -> Array:
    """u - log(1 + u) with 1 + u = x / a, which is about u**2 / 2."""
    u = (x - a) / a
    near = np.clip(u, -0.3, 0.3)
    v = near / (2 + near)
    total: Any = 0.0
    for k in range(21, 1, -2):
        total = total * (v * v) + 1 / k
    return np.where(near == u, near * v - 2 * v**3 * total, u - np.log(x / a))


def _log_ratio(a: Array, x: Array) -> Array:
    """log(x) - psi(a + 1)."""
    from scipy.special import psi

    large = np.where(x > a / 2, np.log1p((x - a) / a), np.log(x / a)) - (
        0.5 / a + _series(_PSI, a, 2))
    return np.where(a < _LARGE, np.log(x) - psi(a + 1), large)


def share(a: Array, x: Array, *, upper: bool) -> Array:
    """gammaincc, if `upper`, or gammainc. For large a, SciPy's series stop before they should."""
    from scipy.special import gammainc, gammaincc

    found = np.asarray((gammaincc if upper else gammainc)(a, x))
    far = (a > _VERY_LARGE) & np.isfinite(a) & np.isfinite(x) & (x > 0)
    if far.any():
        a, x = (np.broadcast_to(v, found.shape)[far].astype(np.float64) for v in (a, x))
        far_x = _log_ratio(a, x) > 0
        tail = np.abs(np.where(far_x, *(side(a, x, _log_ratio(a, x), 0)
                                        for side in (_above, _below))))
        found = np.array(found)
        found[far] = np.where(far_x == upper, tail, 1 - tail)
    return found


def slope(a: Array, x: Array, order: int) -> Array:
    """A derivative of gammainc in a.

    Below the point where log(x) is psi(a + 1), the first derivative of the integral from 0 is a
    sum of negative terms; above it, that of the integral from x on is one of positive terms. Both
    integrals are taken by Gauss & Legendre's rule.
    """
    a, x = np.broadcast_arrays(a.astype(np.float64, copy=False), x)
    ratio = _log_ratio(a, x)
    found = np.where((a >= 0) & (x >= 0), 0.0, np.nan)
    inner = (found == 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    for side, part in ((_below, inner & (ratio <= 0)), (_above, inner & (ratio > 0))):
        if part.any():
            found[part] = side(np.maximum(a[part], 1e-300), x[part], ratio[part], order)
    return found


def _below(a: Array, x: Array, ratio: Array, order: int) -> Array:
    """With x**a e**-x / gamma(a + 1) = d and t = x e**-s in the integral, gammainc is
    d (1 + x times the integral of exp(x - x e**-s - (a + 1) s))."""
    linear = 2 * (a + 1 - x) - _DECAY
    end = (np.sqrt(linear * linear + 8 * _DECAY * (a + 1)) - linear) / (2 * (a + 1))
    first, *moments = _moments(
        order, end, lambda s, a, x: -x * _bend(-s, x) - (a + 1 - x) * s, a, x)
    moments = [1 + x * first, *((-1)**j * x * m for j, m in enumerate(moments, 1))]
    return _leibniz(order, _whole_power(a, x), moments, bell(_logs(a + 1, ratio, order)))


def _above(a: Array, x: Array, ratio: Array, order: int) -> Array:
    """With t = x e**s, gammaincc is d a times the integral of exp(a s - x (e**s - 1))."""
    end = 2 * _DECAY / (x - a + np.sqrt((x - a)**2 + 2 * _DECAY * x))
    for _ in range(4):
        end = np.minimum(end, np.log1p((_DECAY + a * end) / x))
    moments = _moments(order, end, lambda s, a, x: -x * _bend(s, x) - (x - a) * s, a, x)
    return -_leibniz(order, a * _whole_power(a, x), moments,
                     bell(_logs(a, ratio + 1 / a, order)))


def _bend(s: Array, x: Array) -> Array:
    """e**s - 1 - s, with the digits that it loses near 0 where they are multiplied by a large x."""
    far = np.expm1(s) - s
    if (x < 1e3).all():
        return np.asarray(far)
    near = np.clip(s, -0.5, 0.5)
    total: Any = 0.0
    for k in range(14, 1, -1):
        total = total * near + 1 / math.factorial(k)
    return np.where(near == s, total * near * near, far)


def _whole_power(a: Array, x: Array) -> Array:
    """x**a e**-x / gamma(a + 1)."""
    from scipy.special import rgamma

    small = np.power(x, a) * np.exp(-x) * rgamma(a + 1)
    return np.where(a < _LARGE, small, _large_power(np.maximum(a, _LARGE), x))


def _leibniz(order: int, factor: Array, integrals: list[Array], d: list[Any]) -> Array:
    """A derivative of factor * integral, given the derivatives of the factor, relative to it, and
    those of the integral."""
    return np.asarray(factor * sum(math.comb(order, j) * d[order - j] * integral
                                   for j, integral in enumerate(integrals)))


def _logs(a: Array, first: Array, order: int) -> list[Array]:
    """The derivatives of log(x**a / gamma(a)) in a, the first given."""
    from scipy.special import polygamma

    return [first, *(-polygamma(n, a) for n in range(1, order))]


def bell(logs: list[Any]) -> list[Any]:
    """The derivatives of exp(f) relative to it, from the 0th on, given those of f from the first
    on; the complete Bell polynomials."""
    found: list[Any] = [1.0]
    for i in range(len(logs)):
        found.append(sum(math.comb(i, m) * found[i - m] * logs[m] for m in range(i + 1)))
    return found


@functools.lru_cache(maxsize=1)
def _rule() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1) / 2, weights / 2


def _moments(order: int, end: Array, log: Callable[..., Array], *operands: Array) -> list[Array]:
    """The integrals from 0 to `end` of s**j exp(log(s)), for j from 0 to `order`.

    Args:
        order: as above.
        end: one-dimensional.
        log: the integrand's logarithm, a function of s and of the operands.
        operands: in the shape of `end`.
    """
    nodes, weights = _rule()
    powers = nodes[:, None]**np.arange(order + 1) * weights[:, None]
    sums = summed(lambda end, *xs: np.exp(log(end * nodes, *xs)), powers, end, *operands)
    return [end**(j + 1) * sums[:, j] for j in range(order + 1)]
