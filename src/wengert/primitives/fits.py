"""Smooth functions as sums of Chebyshev's polynomials, which the compiler makes loops of.

They are for float32: a sum's coefficients are those of the polynomial that has SciPy's values at
Chebyshev's points, as far as they are seen there. In float64 SciPy's own functions stand.
C. W. Clenshaw, A note on the summation of Chebyshev series (1955).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.handle import plain_aval
from .elementwise import abs_, exp, log, sgn, special, sqrt, where

Array = np.ndarray
Function = Callable[[Any], Any]

_DEGREE = 40
_SEEN = 2.0**-27


def fit(function: Callable[[Array], Array], least: float, most: float) -> Function:
    """A function of elements that lie between two numbers, from its values in float64."""
    middle, half = 0.5 * (most + least), 0.5 * (most - least)

    def stretched(t: Any) -> Any:
        return function(middle + half * t)

    @functools.cache
    def coefficients() -> list[float]:
        found = np.polynomial.chebyshev.chebinterpolate(stretched, _DEGREE)
        size = np.abs(found)
        return list(map(float, found[:np.nonzero(size > _SEEN * size.max())[0][-1] + 1]))

    def evaluate(x: Any) -> Any:
        first, *rest = coefficients()
        t = (x - middle) * (1 / half)
        twice, last, before = t + t, 0.0 * t, 0.0
        for c in reversed(rest):
            last, before = twice * last - before + c, last
        return t * last - before + first

    return evaluate


def narrow(function: Function, otherwise: Callable[[], Any]) -> Function:
    """What lowers a primitive to a function of float32, and leaves other dtypes to it."""
    return lambda x: (function if plain_aval(x).numpy == np.float32 else otherwise())(x)


def _joined(near: Function, far: Function, border: float) -> Function:
    """A function of positive elements: by one up to a border, by another from there on."""
    return lambda x: where(x <= border, near(x), far(where(x <= border, border, x)))


# --- Bessel's modified functions, scaled, and their slopes -------------------------------------

_FAR = 8.0


def _falling(function: Callable[[Array], Array], start: float, power: float, *,
             odd: bool) -> Function:
    """A function that falls as x**-power, and is even or odd, by its values for positive x.

    Args:
        function: it.
        start: its value at 0, coming from above.
        power: 0.5 or 1.5.
        odd: whether it is odd.
    """
    def fallen(found: Any, x: Any) -> Any:
        return found / sqrt(x) if power < 1 else found / sqrt(x) / x

    # What is fitted is about 1 everywhere, and exact at 0.
    rise = fit(lambda x: (function(x) * (1 + x)**power - start) / x, 0.0, _FAR)
    tail = fit(lambda u: function(_FAR / u) * (_FAR / u)**power, 0.0, 1.0)
    of_size = _joined(lambda x: fallen(start + x * rise(x), 1 + x),
                      lambda x: fallen(tail(_FAR / x), x), _FAR)
    return (lambda x: sgn(x) * of_size(abs_(x))) if odd else lambda x: of_size(abs_(x))


_i0e = _falling(special("i0e"), 1.0, 0.5, odd=False)
_i1e = _falling(special("i1e"), 0.0, 0.5, odd=True)
_i2e_over_x = _falling(lambda x: special("ive")(2, x) / x, 0.0, 1.5, odd=True)
_i2e = _joined(lambda x: x * _i2e_over_x(x), lambda x: _i0e(x) - 2 * (_i1e(x) / x), _FAR)
ie = (_i0e, _i1e, lambda x: _i2e(abs_(x)))
"""exp(-|x|) times I0(x), I1(x) and I2(x)."""


def i(x: Any, order: int) -> Any:
    """I0, I1 or I2, without an exponential that overflows before they do."""
    half = exp(abs_(x) * 0.5)
    return half * ie[order](x) * half


def ie_slopes(slope: Callable[..., Array]) -> tuple[Function, Function]:
    """The slopes of `ie`, from a function of arrays and the order."""
    return (_falling(functools.partial(slope, order=0), -1.0, 1.5, odd=True),
            _falling(functools.partial(slope, order=1), 0.5, 1.5, odd=False))


# --- the inverse of the error integral --------------------------------------------------------
# With w = -log(1 - x**2), erfinv(x) is x times a smooth function of w, and its slope is another
# one over 1 - x**2; for large w they are smooth in w**-0.5. M. Giles, Approximating the erfinv
# function (2012).

_TAIL = 5.0


def _point(w: Array) -> tuple[Array, Array]:
    """x and erfinv(x)."""
    x = np.sqrt(-np.expm1(-w))
    return x, special("erfcinv")(np.exp(-w) / (1 + x))


def _ratio(w: Array) -> Array:
    x, y = _point(w)
    return y / x


def _steepness(w: Array) -> Array:
    """The slope, which is sqrt(pi) / 2 exp(y**2), times 1 - x**2."""
    x, y = _point(w)
    found: Array = math.sqrt(math.pi) / 2 * special("erfcx")(y) * (1 + x)
    return found


_ratio_tail = fit(lambda v: _ratio(v**-2) * v, 0.09, _TAIL**-0.5)
_steepness_tail = fit(lambda v: _steepness(v**-2) / v, 0.09, _TAIL**-0.5)
_ratio_at = _joined(fit(_ratio, 0.0, _TAIL), lambda w: _ratio_tail(1 / sqrt(w)) * sqrt(w), _TAIL)
_steepness_at = _joined(fit(_steepness, 0.0, _TAIL),
                        lambda w: _steepness_tail(1 / sqrt(w)) / sqrt(w), _TAIL)


def erfinv(x: Any) -> Any:
    return x * _ratio_at(-log((1 - x) * (1 + x)))


def erfinv_slope(x: Any) -> Any:
    rest = (1 - x) * (1 + x)
    return where(rest == 0, math.inf, _steepness_at(-log(rest)) / rest)


def ndtri(x: Any) -> Any:
    """sqrt(2) erfinv(2 x - 1)."""
    return math.sqrt(2) * (2 * x - 1) * _ratio_at(-log(4 * x * (1 - x)))


def ndtri_slope(x: Any) -> Any:
    rest = 4 * x * (1 - x)
    return where(rest == 0, math.inf, math.sqrt(8) * _steepness_at(-log(rest)) / rest)
