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
from .elementwise import abs_, cos, exp, log, log1p, sgn, sin, special, sqrt, where

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

# --- Bessel's functions -----------------------------------------------------------------------
# Near 0 they are sums of their squares, beside a logarithm for the second kind; farther off, waves
# whose size and phase vary slowly (DLMF 10.17). The sine and cosine are those of x itself, so that
# rounding moves no phase.


def _waves(order: int) -> tuple[Function, Function]:
    """J and Y of an order, 0 or 1, for x > 8."""
    def shifted(sine: Any, cosine: Any) -> tuple[Any, Any]:
        """sqrt(2) times the cosine and the sine of the phase at first sight."""
        return (sine - cosine, -sine - cosine) if order else (sine + cosine, sine - cosine)

    def parts(u: Array) -> tuple[Array, Array]:
        x = _FAR / np.sqrt(u)
        a, b = shifted(np.sin(x), np.cos(x))
        j, y, size = special(f"j{order}")(x), special(f"y{order}")(x), 0.5 * np.sqrt(math.pi * x)
        return size * (j * a + y * b), size * (y * a - j * b) * x

    along = fit(lambda u: parts(u)[0], 0.0, 1.0)
    across = fit(lambda u: parts(u)[1], 0.0, 1.0)

    def wave(x: Any, second: bool) -> Any:
        a, b = shifted(sin(x), cos(x))
        near = _FAR / x
        p, q = along(near * near), across(near * near) / x
        found = (p * b + q * a) if second else (p * a - q * b)
        return found / sqrt(x) * math.pi**-0.5

    return functools.partial(wave, second=False), functools.partial(wave, second=True)


def _by_square(function: Callable[[Array], Array]) -> Function:
    """An even function of elements up to 8."""
    of_square = fit(lambda u: function(np.sqrt(u)), 0.0, _FAR**2)
    return lambda x: of_square(x * x)


_SHARE = 2 / math.pi
_j0_near = _by_square(special("j0"))
_j1_over_x = _by_square(lambda x: special("j1")(x) / x)
_y0_rest = _by_square(lambda x: special("y0")(x) - _SHARE * np.log(x) * special("j0")(x))
_y1_rest = _by_square(
    lambda x: (special("y1")(x) - _SHARE * (np.log(x) * special("j1")(x) - 1 / x)) / x)
(_j0_far, _y0_far), (_j1_far, _y1_far) = _waves(0), _waves(1)


def _y1_near(x: Any) -> Any:
    logs = log(x) * (_SHARE * x)
    return where(x == 0, -math.inf, logs * _j1_over_x(x) - _SHARE / x + x * _y1_rest(x))


_j0_of_size = _joined(_j0_near, _j0_far, _FAR)


def j0(x: Any) -> Any:
    return _j0_of_size(abs_(x))


def j1(x: Any) -> Any:
    near = abs_(x) <= _FAR
    return where(near, x * _j1_over_x(x), sgn(x) * _j1_far(where(near, _FAR, abs_(x))))


y0 = _joined(lambda x: _y0_rest(x) + _SHARE * log(x) * _j0_near(x), _y0_far, _FAR)
y1 = _joined(_y1_near, _y1_far, _FAR)

# --- the error integral's logarithm -----------------------------------------------------------

_log_erfcx = fit(lambda v: np.log(special("erfcx")(1 / v - 1) / v), 0.0, 1.0)


def log_ndtr(x: Any) -> Any:
    """By erfcx below 0, and above from what is left to 1."""
    rise = 1 + abs_(x) * math.sqrt(0.5)
    below = _log_erfcx(1 / rise) - log(2 * rise) - 0.5 * x * x
    return where(x <= 0, below, log1p(-exp(below)))
