"""The error function and its complement."""

from __future__ import annotations

from . import coefficients as table
from .exponential import VANISHED, gauss, gaussian
from .pair import Pair, ordered
from .value import Float, fma, polynomial, where

TAIL = {**table.ERF_TAIL, **table.ERF_LONG_TAIL}
MIDDLE = {32: 2.0, 64: 3.5}  # of the range of TAIL


def near(x: Float) -> Float:
    """erf(x) - x for |x| <= 1."""
    return x * polynomial(x * x, table.ERF)


def erfc(x: Float) -> Float:
    """The complement of the error function, 1 - erf(x)."""
    magnitude = abs(x).clip(None, VANISHED[x.format.bits])
    decay = gaussian(magnitude)
    unit = (magnitude - 4.0) / (magnitude + 4.0)
    factor = ordered(x.like(9 / 8), polynomial(unit, table.ERFC))
    below = fma(magnitude, 2.0, 1.0)
    lost = fma(magnitude, 2.0, 1.0 - below)
    mantissa = decay.mantissa.times(factor).over(Pair(below, lost)).sum()
    right = mantissa * decay.unit * decay.back
    far = where(x < 0.0, 2.0 - right, right)
    whole = ordered(x.like(1.0), -x)
    return where(abs(x) < 0.5, whole.high + (whole.low - near(x)), far)


def erf(x: Float) -> Float:
    """The error function; beyond 1, from its complement."""
    bits = x.format.bits
    magnitude = abs(x).clip(None, VANISHED[bits])
    tail = polynomial(magnitude - MIDDLE[bits], TAIL)
    outer = fma(-gauss(x), tail, 1.0)
    return where(magnitude > 1.0, outer, magnitude + near(magnitude)).copysign(x)
