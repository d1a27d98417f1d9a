"""The zeta function's derivatives and the polygamma functions, as functions of arrays."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from ..core.handle import plain_aval
from .elementwise import abs_, round_, sgn, special, tan, where

Array = np.ndarray

_gamma, _zeta = special("gamma"), special("zeta")
_TERMS = 12
"""Terms of the sum before the rest is taken by Euler & Maclaurin's formula."""
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510,
              43867 / 798, -174611 / 330)


def polygamma(x: Array, n: int) -> Array:
    """The n-th derivative of digamma, n >= 1; by reflection below 0."""
    kind = x.dtype
    negative = x < 0
    reflected = np.logical_or.reduce(negative, None)
    right = np.where(negative, 1 - x, x) if reflected else x
    found = np.asarray(_factor(n) * _zeta(n + 1, right))
    if reflected:
        found = np.where(negative, -found, found) if n % 2 else found
        found = np.where(negative, found - math.pi**(n + 1) * _cotangent_slope(x, n), found)
    return found.astype(kind, copy=False)


@functools.lru_cache(maxsize=64)
def _factor(n: int) -> Any:
    """(-1)**(n + 1) n!, infinity where that is beyond float64."""
    return (-1)**(n + 1) * _gamma(n + 1.0)


def lower_polygamma(x: Any, n: int) -> Any:
    """`polygamma` of low order, in primitives that the compiler has loops for."""
    negative = x < 0
    found = float(_factor(n)) * _sum_of_powers(where(negative, 1 - x, x), n + 1)
    mirrored = (-found if n % 2 else found) - math.pi**(n + 1) * _cotangent_slope(x, n)
    return where(negative, mirrored, found)


LOW = 6
"""Up to this order."""


def _sum_of_powers(x: Any, s: int) -> Any:
    """The sum of (x + k)**-s for an integer s, by Euler & Maclaurin's formula."""
    first, count = (6, 3) if plain_aval(x).numpy.itemsize == 4 else (10, 8)
    r = 1 / (x + first)
    corrections = [number * math.prod(range(s, s + 2 * j + 1)) / math.factorial(2 * j + 2)
                   for j, number in enumerate(_BERNOULLI[:count])]
    total: Any = corrections.pop()
    for c in reversed(corrections):
        total = total * (r * r) + c
    total = (r * (r * total + 0.5) + 1 / (s - 1)) * _power(r, s - 1)
    for k in reversed(range(first)):
        total = total + _power(1 / (x + k), s)
    return total


def _power(x: Any, n: int) -> Any:
    """x to a small positive power."""
    return x if n == 1 else functools.reduce(operator.mul, [x] * n)


def _cotangent_slope(x: Any, n: int) -> Any:
    """The n-th derivative of cot, at pi x."""
    off = x - round_(x)
    near = tan(math.pi * off)
    far = sgn(off) * tan(math.pi * (0.5 - abs_(off)))
    cotangent = where(abs_(off) < 0.25, 1 / near, far)
    *lower, total = _cotangent_polynomial(n)
    for c in reversed(lower):
        total = total * cotangent + c
    return total


@functools.lru_cache(maxsize=64)
def _cotangent_polynomial(n: int) -> list[Any]:
    """The n-th derivative of cot, as a polynomial in cot; cot' is -1 - cot**2."""
    p = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(n):
        p = p.deriv() * np.polynomial.Polynomial([-1.0, 0.0, -1.0])
    return list(map(float, p.coef))


def zeta_slope(s: Array, q: Array, order: int) -> Array:
    """A derivative in s of the sum of (q + k)**-s, by Euler & Maclaurin's formula.

    See F. Johansson, "Rigorous high-precision computation of the Hurwitz zeta function and its
    derivatives" (2015). Where the formula's rest diverges, s is so large that nothing is left of
    the sum's.
    """
    s, q = (v.astype(np.float64, copy=False) for v in (s, q))
    total: Any = 0.0
    for k in range(_TERMS):
        total = total + (-np.log(q + k))**order * (q + k)**-s
    w = q + _TERMS
    rest = w**-s * sum(math.comb(order, m) * (-np.log(w))**(order - m) * _rest(s, w, m)
                       for m in range(order + 1))
    total = total + np.where((s < math.pi * w) & (w**-s != 0), rest, 0)
    return np.where((s >= 1) & (q >= 0), total, np.nan)


def _rest(s: Array, w: Array, m: int) -> Array:
    """The m-th derivative in s of the rest of the sum from w on, divided by w**-s."""
    total: Any = (-1)**m * math.factorial(m) * w / (s - 1)**(m + 1) + (0.5 if m == 0 else 0)
    for j, coefficients in enumerate(_corrections(m)):
        total = total + np.polynomial.polynomial.polyval(s, coefficients) * w**-(2 * j + 1)
    return np.asarray(total)


@functools.lru_cache(maxsize=16)
def _corrections(m: int) -> list[Array]:
    """The formula's corrections as polynomials in s, each the m-th derivative of a Bernoulli
    number times s (s + 1) ... (s + 2 j), over (2 j + 2)!."""
    found, rising = [], np.polynomial.Polynomial([0.0, 1.0])
    for j, number in enumerate(_BERNOULLI):
        found.append((rising * (number / math.factorial(2 * j + 2))).deriv(m).coef)
        for k in (2 * j + 1, 2 * j + 2):
            rising = rising * np.polynomial.Polynomial([float(k), 1.0])
    return found
