"""Bessel's functions, and Airy's, with derivatives by their recurrences.

The functions of order 0 and 1 have names and SciPy's own routines; those of higher order, which
derivatives lead to, take their order as a parameter. Where a recurrence cancels, as it does for
the exponentially scaled functions, the difference is an integral of its own (`_peak`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.primitive import Primitive, elementwise
from . import fits
from .elementwise import sgn, special
from .quadrature import summed

Array = np.ndarray


def _ordered(name: str, scipy_name: str, rule: Callable[..., Any], *, vanishes: bool = False,
             **fields: Any) -> Primitive:
    """A function of a given order, which may vanish at infinity: SciPy says NaN there."""
    def evaluate(x: Array, order: int) -> Array:
        found = np.asarray(special(scipy_name)(order, x), x.dtype)
        return np.where(np.isinf(x), 0, found) if vanishes else found

    return elementwise(name, evaluate, rule, **fields)


def _named(name: str, scipy_name: str, rule: Callable[..., Any], **fields: Any) -> Primitive:
    fields.setdefault("refuses", {"c": f"{name}_cpu"})
    return elementwise(name, special(scipy_name), rule, **fields)


# --- of the first and second kind -------------------------------------------------------------

bessel_j0 = _named("bessel_j0", "j0", lambda g, x: -g * bessel_j1(x),
                   lower=fits.narrow(fits.j0, lambda: bessel_j0))
bessel_j1 = _named("bessel_j1", "j1",
                   lambda g, x: g * (0.5 * (bessel_j0(x) - bessel_j(x, order=2))),
                   lower=fits.narrow(fits.j1, lambda: bessel_j1))
bessel_j = _ordered("bessel_j", "jv", lambda g, x, order: g * (
    0.5 * (bessel_j(x, order=order - 1) - bessel_j(x, order=order + 1))))
bessel_y0 = _named("bessel_y0", "y0", lambda g, x: -g * bessel_y1(x),
                   lower=fits.narrow(fits.y0, lambda: bessel_y0))
bessel_y1 = _named("bessel_y1", "y1",
                   lambda g, x: g * (0.5 * (bessel_y0(x) - bessel_y(x, order=2))),
                   lower=fits.narrow(fits.y1, lambda: bessel_y1))
bessel_y = _ordered("bessel_y", "yn", lambda g, x, order: g * (
    0.5 * (bessel_y(x, order=order - 1) - bessel_y(x, order=order + 1))))

# --- modified ---------------------------------------------------------------------------------

_GRID = (np.arange(1, 26) * 0.25)**2
_GRID_WEIGHTS = 0.5 * np.exp(-_GRID)
"""The trapezoidal rule for exp(-v**2), which is seen up to 25 steps: squares and weights."""
_FALLS = -2 * np.sin(np.pi / 64 * np.arange(1, 33))**2
_FALLS_WEIGHTS = np.where(_FALLS > -2, 1.0, 0.5) / 32
"""That for the circle, of 64 points: cosines, less 1."""


def _peak(x: Array, sign: int, order: int) -> Array:
    """The integral over v > 0 of exp(-v**2) w(c) 2 / sqrt(2 x + sign v**2), c = 1 + sign v**2 / x.

    The weight is w(c) = c - 1 for order 0 and c (c - 1) for order 1. With c = cosh(t) it is the
    integral of exp(x - x cosh(t)) w(cosh(t)) over t > 0; with c = cos(t), nearly that of
    exp(x cos(t) - x) w(cos(t)) from 0 to pi, for large x.
    """
    squares = sign * _GRID

    def terms(x: Array) -> Array:
        rise = squares / x
        return (rise * (1 + rise) if order else rise) / np.sqrt(2 * x + squares)

    return summed(terms, _GRID_WEIGHTS, x)


def _circle(x: Array, order: int) -> Array:
    """The integral of exp(x cos(t) - x) w(cos(t)) from 0 to pi, over pi."""
    weights = _FALLS_WEIGHTS * _FALLS * ((1 + _FALLS) if order else 1)
    return summed(lambda x: np.exp(x * _FALLS), weights, x)


def _ie_slope(x: Array, order: int) -> Array:
    """The slope of exp(-|x|) times I0 or I1."""
    size = np.abs(x)
    found = _circle(np.minimum(size, 30), order)
    if (size > 30).any():
        found = np.where(size > 30, _peak(np.maximum(size, 30), -1, order) / math.pi, found)
    return np.asarray(found if order else found * np.sign(x), x.dtype)


def _ke_slope(x: Array, order: int) -> Array:
    """The slope of exp(x) times K0 or K1."""
    k0, k1 = special("k0e")(x), special("k1e")(x)
    near = k1 - 0.5 * (k0 + special("kve")(2, x)) if order else k0 - k1
    near = np.where(x == 0, -np.inf, near)
    far = -_peak(np.maximum(x, 1), 1, order)
    return np.where(x > 1, far, near).astype(x.dtype, copy=False)


def _ie_bend(g: Any, x: Any, out: Any, order: int) -> Any:
    if not order:
        return g * (bessel_ie_slope(x, order=1) - sgn(x) * out)
    second = 0.5 * (i1e(x) + bessel_ie(x, order=3)) - sgn(x) * bessel_ie(x, order=2)
    return g * (0.5 * (bessel_ie_slope(x, order=0) + second) - sgn(x) * out)


def _ke_bend(g: Any, x: Any, out: Any, order: int) -> Any:
    if not order:
        return g * (out - bessel_ke_slope(x, order=1))
    second = bessel_ke(x, order=2) - 0.5 * (
        scaled_modified_bessel_k1(x) + bessel_ke(x, order=3))
    return g * (out - 0.5 * (bessel_ke_slope(x, order=0) + second))


_slopes = fits.ie_slopes(_ie_slope)


def _lower_i(x: Any, order: int) -> Any:
    apart = functools.partial(bessel_i, order=order)
    return fits.narrow(functools.partial(fits.i, order=2), lambda: apart)(x) if order == 2 else (
        apart(x))


i0 = _named("i0", "i0", lambda g, x: g * i1(x), refuses={"c": "i0_vml_cpu"},
            lower=fits.narrow(functools.partial(fits.i, order=0), lambda: i0))
i1 = _named("i1", "i1", lambda g, x: g * (0.5 * (i0(x) + bessel_i(x, order=2))),
            node="SpecialI1Backward0",
            lower=fits.narrow(functools.partial(fits.i, order=1), lambda: i1))
bessel_i = _ordered("bessel_i", "iv", lambda g, x, order: g * (
    0.5 * (bessel_i(x, order=order - 1) + bessel_i(x, order=order + 1))),
    lower=lambda x, order: _lower_i(x, order))
i0e = _named("i0e", "i0e", lambda g, x: g * bessel_ie_slope(x, order=0),
             node="SpecialI0EBackward0", lower=fits.narrow(fits.ie[0], lambda: i0e))
i1e = _named("i1e", "i1e", lambda g, x: g * bessel_ie_slope(x, order=1),
             node="SpecialI1EBackward0", lower=fits.narrow(fits.ie[1], lambda: i1e))
bessel_ie = _ordered("bessel_ie", "ive", lambda g, x, order: g * (
    0.5 * (bessel_ie(x, order=order - 1) + bessel_ie(x, order=order + 1))
    - sgn(x) * bessel_ie(x, order=order)), vanishes=True)
bessel_ie_slope = elementwise(
    "bessel_ie_slope", _ie_slope, _ie_bend, lower=lambda x, order: fits.narrow(
        _slopes[order], lambda: functools.partial(bessel_ie_slope, order=order))(x))
modified_bessel_i0 = _named("modified_bessel_i0", "i0", lambda g, x: g * i1(x))
modified_bessel_i1 = _named("modified_bessel_i1", "i1",
                            lambda g, x: g * (0.5 * (i0(x) + bessel_i(x, order=2))))
modified_bessel_k0 = _named("modified_bessel_k0", "k0", lambda g, x: -g * modified_bessel_k1(x))
modified_bessel_k1 = _named("modified_bessel_k1", "k1", lambda g, x: g * (
    -0.5 * (modified_bessel_k0(x) + bessel_k(x, order=2))))
bessel_k = _ordered("bessel_k", "kv", lambda g, x, order: g * (
    -0.5 * (bessel_k(x, order=order - 1) + bessel_k(x, order=order + 1))))
scaled_modified_bessel_k0 = _named("scaled_modified_bessel_k0", "k0e",
                                   lambda g, x: g * bessel_ke_slope(x, order=0))
scaled_modified_bessel_k1 = _named("scaled_modified_bessel_k1", "k1e",
                                   lambda g, x: g * bessel_ke_slope(x, order=1))
bessel_ke = _ordered("bessel_ke", "kve", lambda g, x, order: g * (
    bessel_ke(x, order=order)
    - 0.5 * (bessel_ke(x, order=order - 1) + bessel_ke(x, order=order + 1))))
bessel_ke_slope = elementwise("bessel_ke_slope", _ke_slope, _ke_bend)

# --- spherical, and Airy's --------------------------------------------------------------------


def _spherical(x: Array, order: int) -> Array:
    """SciPy's, of order 1 and up; by its first term where that is all that can be seen."""
    with np.errstate(all="ignore"):
        found = special("spherical_jn")(order, x)
    first = x**order / math.prod(range(1, 2 * order + 2, 2))
    return np.where(np.abs(x) < 1e-8, first, found).astype(x.dtype, copy=False)


def _spherical_bessel_j0(x: Array) -> Array:
    found = np.asarray(np.sin(x) / x)
    if not np.isfinite(found).all():
        found = np.where(x == 0, 1, np.where(np.isinf(x), 0, found))
    return found.astype(x.dtype, copy=False)


def _airy(x: Array, derivative: int) -> Array:
    """SciPy's Ai or Ai', which are 0 from 200 on, and have no bits left far below 0."""
    found = special("airy")(np.clip(x, -1e4, 200))[derivative]
    if (np.abs(x) > 200).any():
        far = _far_airy(np.maximum(-x, 1e4), derivative)
        found = np.where(x < -1e4, far, np.where(x > 200, 0, found))
    return np.asarray(found, x.dtype)


def _far_airy(x: Array, derivative: int) -> Array:
    """Ai(-x) or Ai'(-x) for large x, by two terms of the asymptotic expansion (DLMF 9.7.9)."""
    x = x.astype(np.float64, copy=False)
    phase = 2 / 3 * x * np.sqrt(x)
    angle, root = phase - math.pi / 4, x**0.25 / math.sqrt(math.pi)
    if derivative:
        return np.asarray(root * (np.sin(angle) + 7 / 72 / phase * np.cos(angle)))
    return np.asarray((np.cos(angle) + 5 / 72 / phase * np.sin(angle)) / (root * math.pi))


spherical_bessel_j0 = elementwise(
    "spherical_bessel_j0", _spherical_bessel_j0, lambda g, x: -g * spherical_bessel(x, order=1),
    refuses={"c": "spherical_bessel_j0_cpu"})


def _spherical_slope(g: Any, x: Any, order: int) -> Any:
    below = spherical_bessel_j0(x) if order == 1 else spherical_bessel(x, order=order - 1)
    return g * ((order * below - (order + 1) * spherical_bessel(x, order=order + 1))
                / (2 * order + 1))


spherical_bessel = elementwise("spherical_bessel", _spherical, _spherical_slope)
"""The spherical Bessel function of the first kind, of an order from 1 on."""
airy_ai = elementwise("airy_ai", functools.partial(_airy, derivative=0),
                      lambda g, x: g * airy_ai_slope(x), refuses={"c": "airy_ai_cpu"})
airy_ai_slope = elementwise("airy_ai_slope", functools.partial(_airy, derivative=1),
                            lambda g, x: g * (x * airy_ai(x)))
"""Ai'; Ai'' is x Ai."""
