"""The error function and its complement; the normal distribution."""

from __future__ import annotations

import math
from typing import NamedTuple

from . import coefficients as table
from .exponential import AHEAD, VANISHED, gauss, gaussian
from .pair import Pair, ordered
from .value import Float, estrin, fma, polynomial, where

TAIL = {**table.ERF_TAIL, **table.ERF_LONG_TAIL}
MIDDLE = {32: 2.0, 64: 3.5}  # of the range of TAIL
BELOW = {**table.NORMAL, **table.NORMAL_LONG}
OUTSIDE = {32: 14.5, 64: 38.6}  # beyond, the normal distribution has nothing


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


class Bell(NamedTuple):
    """e**(-x**2 / 2) as shape * unit * 2**-AHEAD, not rounded where that would be; what rounding
    x**2 / 2 takes counts no more than an error of x. `ndtr` and `npdf` of one number share it.
    """

    distance: Float
    shape: Float
    unit: Float


def bell(x: Float) -> Bell:
    """The parts at a distance of |x|."""
    kind = x.format
    distance = abs(x).clip(None, OUTSIDE[kind.bits])
    square, rate = distance * distance, -0.5 / math.log(2)
    shift = kind.shifter + kind.bias + AHEAD[kind.bits]
    shifted = fma(square, rate, shift)
    rest = fma(square, rate, shift - shifted)
    return Bell(distance, fma(rest, polynomial(rest, table.EXP2), 1.0),
                (shifted.bits << kind.fraction).float)


def ndtr(x: Float) -> Float:
    """The share of the normal distribution that is below x.

    Near 0 the polynomial's terms alternate: its first steps are taken one after the other.
    """
    distance, shape, unit = bell(x)
    back = 2.0**-AHEAD[x.format.bits]
    first, second, *others = [back * each for each in BELOW[x.format.bits]]
    part = distance / (distance + 3.5)
    share = fma(part, fma(part, estrin(part, others), second), first) * shape
    return where(x.negative(), share * unit, fma(-share, unit, 1.0))


def npdf(x: Float) -> Float:
    """The density of the normal distribution, e**(-x**2 / 2) / sqrt(2 pi)."""
    _, shape, unit = bell(x)
    return shape * unit * (2.0**-AHEAD[x.format.bits] / math.sqrt(2 * math.pi))
