"""Orthogonal polynomials of x, the degree being the second operand.

Degrees are cut to integers; a polynomial of negative degree is 0, as in PyTorch. Those of
Gegenbauer and the generalised ones of Laguerre are what the others' derivatives, to any order, are
made of. All are worked out in float64, by their recurrences (DLMF 18.9).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.primitive import Primitive, elementwise
from .elementwise import trunc

Array = np.ndarray


def _recurrence(first: Callable[..., Array], step: Callable[..., Array]) -> Callable[..., Array]:
    """The polynomials that a recurrence gives, as a function of x and the degree.

    Args:
        first: the polynomial of degree 1, of x (and of parameters, if there are any).
        step: the one of degree k + 1, of k, x, those of degree k and k - 1 (and parameters).
    """

    def evaluate(x: Array, n: Array, **params: float) -> Array:
        kind, degree = x.dtype, n.astype(np.int64)
        x = x.astype(np.float64)
        found = np.where(degree == 0, 1.0, 0.0) + np.zeros_like(x)
        before, now = np.ones_like(x), first(x, **params)
        for k in range(1, int(degree.max(initial=0)) + 1):
            found = np.where(degree == k, now, found)
            before, now = now, step(k, x, now, before, **params)
        return found.astype(kind, copy=False)

    return evaluate


def _polynomial(name: str, evaluate: Callable[..., Array],
                slope: Callable[[Any, Any], Any]) -> Primitive:
    """A family of polynomials, and the derivative's values as a function of x and the degree."""
    return elementwise(name, evaluate, lambda g, x, y: g * slope(x, trunc(y)), None,
                       refuses={"c": f"{name}_cpu"})


def _chebyshev(k: int, x: Array, now: Array, before: Array) -> Array:
    return 2 * x * now - before


_gegenbauer = _recurrence(
    lambda x, alpha: 2 * alpha * x, lambda k, x, now, before, alpha: (
        2 * (k + alpha) * x * now - (k + 2 * alpha - 1) * before) / (k + 1))
_laguerre = _recurrence(
    lambda x, alpha: 1 + alpha - x, lambda k, x, now, before, alpha: (
        (2 * k + 1 + alpha - x) * now - (k + alpha) * before) / (k + 1))

gegenbauer = elementwise(
    "gegenbauer", _gegenbauer,
    lambda g, x, y, alpha: g * (2 * alpha * gegenbauer(x, trunc(y) - 1, alpha=alpha + 1)), None)
"""C_n^alpha(x), whose derivative is 2 alpha C_(n-1)^(alpha+1)."""
laguerre = elementwise(
    "laguerre", _laguerre,
    lambda g, x, y, alpha: -g * laguerre(x, trunc(y) - 1, alpha=alpha + 1), None)
"""L_n^alpha(x), whose derivative is -L_(n-1)^(alpha+1)."""

chebyshev_polynomial_t = _polynomial(
    "chebyshev_polynomial_t", _recurrence(lambda x: x, _chebyshev),
    lambda x, n: n * chebyshev_polynomial_u(x, n - 1))
chebyshev_polynomial_u = _polynomial(
    "chebyshev_polynomial_u", _recurrence(lambda x: 2 * x, _chebyshev),
    lambda x, n: 2 * gegenbauer(x, n - 1, alpha=2.0))
chebyshev_polynomial_v = _polynomial(
    "chebyshev_polynomial_v", _recurrence(lambda x: 2 * x - 1, _chebyshev),
    lambda x, n: 2 * (gegenbauer(x, n - 1, alpha=2.0) - gegenbauer(x, n - 2, alpha=2.0)))
chebyshev_polynomial_w = _polynomial(
    "chebyshev_polynomial_w", _recurrence(lambda x: 2 * x + 1, _chebyshev),
    lambda x, n: 2 * (gegenbauer(x, n - 1, alpha=2.0) + gegenbauer(x, n - 2, alpha=2.0)))
hermite_polynomial_h = _polynomial(
    "hermite_polynomial_h",
    _recurrence(lambda x: 2 * x, lambda k, x, now, before: 2 * (x * now - k * before)),
    lambda x, n: 2 * n * hermite_polynomial_h(x, n - 1))
hermite_polynomial_he = _polynomial(
    "hermite_polynomial_he",
    _recurrence(lambda x: x, lambda k, x, now, before: x * now - k * before),
    lambda x, n: n * hermite_polynomial_he(x, n - 1))
laguerre_polynomial_l = _polynomial(
    "laguerre_polynomial_l", lambda x, n: _laguerre(x, n, alpha=0.0),
    lambda x, n: -laguerre(x, n - 1, alpha=1.0))
legendre_polynomial_p = _polynomial(
    "legendre_polynomial_p", lambda x, n: _gegenbauer(x, n, alpha=0.5),
    lambda x, n: gegenbauer(x, n - 1, alpha=1.5))
