"""Logarithms, and the inverse functions and powers that are made of them.

x = 2**e m with m from 1/sqrt(2) to sqrt(2); log m = 2 atanh(s) for s = (m - 1) / (m + 1).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from . import coefficients as table
from .exponential import power_pair, vanishing
from .pair import Pair, constant, ordered, parts, product, total
from .value import Float, Mask, fma, polynomial, power_of_two, where

ROOT = {32: 0x3F3504F3, 64: 0x3FE6A09E667F3BCD}  # the bits of 1/sqrt(2)


class Split(NamedTuple):
    """A number as 2**exponent * (1 + fraction)."""

    exponent: Float
    fraction: Float


def split(x: Float, small: bool = True) -> Split:
    """x > 0 in these parts, exactly; `small` if it may be subnormal."""
    kind = x.format
    adjust: Float = x.like(2.0**kind.fraction + kind.bias)
    if small:
        tiny, lift = x < kind.smallest, kind.fraction + 2.0
        x = where(tiny, x * 2.0**lift, x)
        adjust = where(tiny, adjust + lift, adjust)
    biased = (x.bits + (kind.one - ROOT[kind.bits])) >> kind.fraction
    mantissa = (x.bits - ((biased - kind.bias) << kind.fraction)).float
    counted = (biased | x.like(2.0**kind.fraction).bits).float
    return Split(counted - adjust, mantissa - 1.0)


def narrow_log(f: Float, low: Float | None = None) -> Float:
    """log(1 + f + low) - f for 1 + f about 1/sqrt(2) to sqrt(2)."""
    whole = f if low is None else f + low
    s = whole / (2.0 + whole)
    square = s * s
    rest = -s * fma(-square, polynomial(square, table.LOG), whole)
    return rest if low is None else rest + low


def log_pair(e: Float, f: Float, low: Float | None = None) -> Pair:
    """log(2**e * (1 + f + low)) in two parts."""
    bits = f.format.bits
    high, rest = parts(table.LN2, bits, 2, 8 if bits == 32 else 11)
    whole = ordered(e * high, f)
    return Pair(whole.high, whole.low + fma(e, rest, narrow_log(f, low)))


def at_ends(x: Float, result: Float) -> Float:
    """A logarithm's value where x is infinite, 0, negative or NaN; elsewhere the result."""
    result = where(x < math.inf, result, x)
    pole = where(x.equals(0.0), x.like(-math.inf), math.nan)
    return where(x <= 0.0, pole, result)


def log(x: Float) -> Float:
    """The natural logarithm."""
    return at_ends(x, log_pair(*split(x)).sum())


def in_base(x: Float, per_two: int, per_e: int) -> Float:
    """A logarithm, given those of 2 and of e."""
    bits = x.format.bits
    e, f = split(x)
    near = ordered(f, narrow_log(f)).times(constant(x, per_e))
    high, low = parts(per_two, bits, 2, 8 if bits == 32 else 11)
    whole = ordered(e * high, near.high)
    return at_ends(x, whole.high + (whole.low + fma(e, low, near.low)))


def log2(x: Float) -> Float:
    """The logarithm to base 2; whole for powers of two."""
    return in_base(x, 1 << table.SCALE, table.LOG2E)


def log10(x: Float) -> Float:
    """The logarithm to base 10."""
    return in_base(x, table.LOG10_2, table.LOG10E)


def log_near_one(x: Float, low: Float) -> Pair:
    """log(1 + x + low), x > -1, in two parts."""
    whole = total(x.like(1.0), x)
    e, f = split(whole.high, small=False)
    back = power_of_two((-e).clip(1.0 - x.format.bias, None))
    return log_pair(e, f, (whole.low + low) * back)


def log1p(x: Float) -> Float:
    """log(1 + x)."""
    inside = log_near_one(x, x.like(0.0)).sum()
    result = at_ends(x + 1.0, inside)
    return where(abs(x) < x.format.smallest, x, result)


def arcsinh(x: Float) -> Float:
    """log(x + sqrt(x**2 + 1)), as log(1 + (x + x**2 / (1 + sqrt(1 + x**2))))."""
    magnitude = abs(x)
    huge = magnitude > 2.0 ** (x.format.fraction // 2 + 4)
    near = where(huge, x.like(1.0), magnitude)
    square = near * near
    whole = ordered(near, square / (1.0 + (1.0 + square).sqrt()))
    result = of_sum(whole, magnitude, huge)
    return where(magnitude < x.format.smallest, x, result).copysign(x)


def arccosh(x: Float) -> Float:
    """log(x + sqrt(x**2 - 1)), as log(1 + (z + sqrt(2 z + z**2))) for z = x - 1."""
    huge = x > 2.0 ** (x.format.fraction // 2 + 4)
    z = where(huge, x.like(1.0), x) - 1.0
    root = root_of(total(z + z, z * z))
    whole = total(root.high, z)
    result = of_sum(Pair(whole.high, whole.low + root.low), x, huge)
    return where(x < 1.0, x.like(math.nan), where(x.equals(1.0), x.like(0.0), result))


def root_of(x: Pair) -> Pair:
    """The square root of a pair, in two parts; 0 and NaN have no low part to speak of."""
    root = x.high.sqrt()
    rest = fma(-root, root, x.high) + x.low
    return Pair(root, where(root > 0.0, rest / (root + root), 0.0))


def of_sum(whole: Pair, x: Float, huge: Mask) -> Float:
    """log(1 + whole); where x is huge, log(2 x)."""
    one = total(x.like(1.0), whole.high)
    u = where(huge, x, one.high)
    low = where(huge, x.like(0.0), one.low + whole.low)
    e, f = split(u, small=False)
    back = power_of_two((-e).clip(1.0 - x.format.bias, None))
    result = log_pair(e + where(huge, x.like(1.0), 0.0), f, low * back).sum()
    return where(x < math.inf, result, x)


def arctanh(x: Float) -> Float:
    """log((1 + x) / (1 - x)) / 2, as log(1 + 2 x / (1 - x)) / 2."""
    magnitude = abs(x)
    below = total(x.like(1.0), -magnitude)
    inside = Pair(magnitude + magnitude, x.like(0.0)).over(below)
    result = log_near_one(inside.high, inside.low).sum() * 0.5
    result = where(magnitude.equals(1.0), x.like(math.inf), result)
    result = where(magnitude > 1.0, x.like(math.nan), result)
    return where(magnitude < x.format.smallest, x, result).copysign(x)


def logaddexp(x: Float, y: Float) -> Float:
    """log(e**x + e**y): the larger one, and what the other adds; both may cancel."""
    apart = where(x.equals(y), x.like(0.0), abs(x - y))
    larger, e = where(x > y, x, y), vanishing(apart)
    more = log_near_one(e, x.like(0.0))
    whole = total(larger, more.high)
    result = whole.high + (whole.low + more.low)
    return where(abs(larger).equals(math.inf), larger + e, result)


def log1pexp(x: Float) -> Float:
    """log(1 + e**x): x or 0, whichever is larger, and log(1 + e) for e = e**-|x|."""
    e = vanishing(abs(x))
    whole = total(where(x < 0.0, x.like(0.0), x), e)
    near = whole.high + fma(e * e, polynomial(e - 0.5, table.LOG1P), whole.low)
    return where(abs(x) < math.inf, near, whole.high)


def long_log2(x: Float) -> Pair:
    """log2 of x > 0 to about 12 bits more than a double's, for powers."""
    e, f = split(x)
    zero = x.like(0.0)
    s = Pair(f, zero).over(ordered(x.like(2.0), f))
    square = s.times(s)
    tail = square.high * polynomial(square.high, table.LOG_TAIL)
    third = constant(x, 2 * table.THIRD)
    factor = ordered(third.high, tail)
    cubic = Pair(factor.high, factor.low + third.low).times(square).times(s)
    head = ordered(s.high + s.high, cubic.high)
    log = Pair(head.high, head.low + (s.low + s.low) + cubic.low)
    result = log.times(constant(x, table.LOG2E))
    whole = total(e, result.high)
    return ordered(whole.high, whole.low + result.low)


def short_power(x: Float, y: Float) -> Float:
    """x**y of floats x > 0, by way of doubles, which have bits to spare."""
    e, f = split(x.widened(), small=False)
    s = f / (2.0 + f)
    log2 = fma(s, polynomial(s * s, table.LOG2_SHORT), e)
    log2 = extremes(x.widened(), log2)
    exponent = (log2 * y.widened()).clip(-200.0, 200.0)
    n = exponent.rint()
    return (polynomial(exponent - n, table.EXP2_SHORT) * power_of_two(n)).narrowed()


def long_power(x: Float, y: Float) -> Float:
    """x**y of doubles x > 0."""
    log2 = long_log2(x)
    head = product(y, extremes(x, log2.high))
    large = ~(abs(head.high) < 1200.0)
    exponent = head.high.clip(-1200.0, 1200.0)
    return power_pair(exponent, where(large, x.like(0.0), fma(y, log2.low, head.low)))


def extremes(x: Float, log: Float) -> Float:
    """A logarithm's value where x >= 0 is 0 or infinite; elsewhere the one given."""
    log = where(x < math.inf, log, math.inf)
    return where(x.equals(0.0), x.like(-math.inf), log)


def power(x: Float, y: Float) -> Float:
    """x**y, with C99's special cases."""
    magnitude = abs(x)
    general = long_power if x.format.bits == 64 else short_power
    certain = magnitude.equals(1.0) & (~y.is_nan() | x.equals(1.0)) | y.equals(0.0)
    result = where(x.is_nan() | y.is_nan(), x + y, general(magnitude, y))
    result = where(certain, x.like(1.0), result)
    half, whole = y * 0.5, y.rint().equals(y)
    undefined = (x < 0.0) & (magnitude < math.inf) & ~whole & (abs(y) < math.inf)
    odd = whole & ~half.rint().equals(half)
    result = where(odd & x.negative() & ~x.is_nan(), -result, result)
    return where(undefined, x.like(math.nan), result)
