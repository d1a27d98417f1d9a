"""The error function and its complement."""

from __future__ import annotations

from . import coefficients as table
from .exponential import VANISHED, gauss, minus_one, reduced, scaled
from .pair import Pair, ordered, product
from .value import Float, fma, polynomial, where

TAIL = {**table.ERF_TAIL, **table.ERF_LONG_TAIL}
MIDDLE = {32: 2.0, 64: 3.5}  # of the range of TAIL


def tail(x: Float) -> tuple[Pair, Float]:
    """erfc(x) for x >= 0: a mantissa and n, which count as mantissa * 2**n."""
    x = x.clip(None, VANISHED[x.format.bits])
    square = product(x, x)
    parts = reduced(-square.high, -square.low)
    n, (r, low) = parts.n, parts.pair
    head = ordered(r.like(1.0), r)
    decay = ordered(head.high, head.low + minus_one(r, low))
    unit = (x - 4.0) / (x + 4.0)
    below = ordered(2.0 * x, x.like(1.0))
    factor = ordered(x.like(9 / 8), polynomial(unit, table.ERFC))
    return factor.times(decay).over(below), n


def near(x: Float) -> Float:
    """erf(x) - x for |x| <= 1."""
    return x * polynomial(x * x, table.ERF)


def erfc(x: Float) -> Float:
    """The complement of the error function, 1 - erf(x)."""
    mantissa, n = tail(abs(x))
    right = scaled(mantissa.sum(), n)
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
