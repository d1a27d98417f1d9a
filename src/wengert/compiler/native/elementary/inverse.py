"""The inverse trigonometric functions."""

from __future__ import annotations

import math

from . import coefficients as table
from .pair import Pair, constant, ordered, parts, total
from .value import Float, Mask, fma, polynomial, where

TAN_EIGHTH = math.sqrt(2.0) - 1.0  # the tangent of pi/8


def angle(a: Float, b: Float) -> Pair:
    """arctan(a / b) in two parts, where a <= b are not negative, b not 0 nor very large or small.

    Beyond tan(pi/8) it is pi/4 + arctan((a - b) / (a + b)).
    """
    zero = a.like(0.0)
    steep = a > b * TAN_EIGHTH
    above, below = total(a, -b), ordered(b, a)
    above = Pair(where(steep, above.high, a), where(steep, above.low, zero))
    below = Pair(where(steep, below.high, b), where(steep, below.low, zero))
    t, low = above.over(below)
    square = t * t
    rest = fma(square * t, polynomial(square, table.ATAN), low)
    quarter = constant(a, table.HALF_PI).scaled(0.5)
    whole = ordered(where(steep, quarter.high, zero), t)
    return Pair(whole.high, whole.low + where(steep, rest + quarter.low, rest))


def complement(x: Pair, turns: float) -> Pair:
    """Some half turns less an angle that isn't larger."""
    high, low = parts(table.HALF_PI, x.high.format.bits, 2)
    whole = ordered(x.high.like(high * 2 * turns), -x.high)
    return Pair(whole.high, whole.low + (low * 2 * turns - x.low))


def choose(mask: Mask, yes: Pair, no: Pair) -> Pair:
    """One of two pairs, lane by lane."""
    return Pair(where(mask, yes.high, no.high), where(mask, yes.low, no.low))


def arctan(x: Float) -> Float:
    """The inverse tangent; beyond 1, pi/2 - arctan(1/x)."""
    magnitude, one = abs(x), x.like(1.0)
    large = magnitude > 1.0
    near = magnitude.clip(None, 2.0 ** (x.format.fraction * 2 + 10))
    result = angle(where(large, one, near), where(large, near, one))
    result = choose(large, complement(result, 0.5), result)
    return where(magnitude < x.format.smallest, x, result.sum()).copysign(x)


def arctan2(y: Float, x: Float) -> Float:
    """The angle of the point (x, y)."""
    a, b, kind = abs(y), abs(x), x.format
    steep = a > b
    small, large = where(steep, b, a), where(steep, a, b)
    both = large.equals(math.inf)
    small = where(both, where(small.equals(math.inf), x.like(1.0), 0.0), small)
    large = where(both | large.equals(0.0), x.like(1.0), large)
    margin = kind.fraction + 3
    scale = where(large > 2.0 ** (kind.bias - 2), x.like(2.0**-4), 1.0)
    scale = where(large < 2.0 ** (2 * margin - kind.bias), x.like(2.0 ** (2 * margin)), scale)
    result = angle(small * scale, large * scale)
    result = choose(steep, complement(result, 0.5), result)
    result = choose(x.negative(), complement(result, 1.0), result)
    return where(x.is_nan() | y.is_nan(), x + y, result.sum().copysign(y))


def half_angle(x: Float) -> tuple[Pair, Pair]:
    """arcsin(x) for 0 <= x <= 1/2, and else of sqrt((1 - x) / 2); in two parts, and that sine's."""
    zero, large = x.like(0.0), x > 0.5
    square = where(large, fma(x, -0.5, 0.5), x * x)
    root = square.sqrt()
    rest = fma(-root, root, square)
    low = where(root > 0.0, rest / (root + root), zero)
    t = Pair(where(large, root, x), where(large, low, zero))
    return Pair(t.high, fma(t.high * square, polynomial(square, table.ASIN), t.low)), t


def arcsin(x: Float) -> Float:
    """The inverse sine; beyond 1/2, pi/2 - 2 arcsin(sqrt((1 - x) / 2))."""
    magnitude = abs(x)
    inner, _ = half_angle(magnitude)
    outer = complement(inner.scaled(2.0), 0.5)
    result = where(magnitude > 0.5, outer.sum(), inner.sum())
    return where(magnitude < x.format.smallest, x, result).copysign(x)


def arccos(x: Float) -> Float:
    """The inverse cosine."""
    magnitude, negative = abs(x), x < 0.0
    inner, _ = half_angle(magnitude)
    double = inner.scaled(2.0)
    outer = choose(negative, complement(double, 1.0), double)
    signed = choose(negative, Pair(-inner.high, -inner.low), inner)
    return where(magnitude > 0.5, outer.sum(), complement(signed, 0.5).sum())


def hypot(x: Float, y: Float) -> Float:
    """sqrt(x**2 + y**2), where the squares may be out of range."""
    a, b, kind = abs(x), abs(y), x.format
    steep = a > b
    small, large = where(steep, b, a), where(steep, a, b)
    step = 2.0 ** (kind.bias // 2 + kind.fraction)
    margin = 2.0 ** (2 * kind.fraction)
    up, down = large < margin / step, large > step / margin
    scale = where(up, x.like(step), where(down, x.like(1.0 / step), 1.0))
    back = where(up, x.like(1.0 / step), where(down, x.like(step), 1.0))
    small, large = small * scale, large * scale
    square = large * large
    rest = fma(small, small, fma(large, large, -square))
    result = (square + rest).sqrt() * back
    result = where(x.is_nan() | y.is_nan(), x + y, result)
    return where(a.equals(math.inf) | b.equals(math.inf), x.like(math.inf), result)
