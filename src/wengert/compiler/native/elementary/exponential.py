"""e**x and what is made of it.

x = n ln 2 + r with a whole n and |r| <= ln(2)/2; a polynomial for e**r, times 2**n.
"""

from __future__ import annotations

from typing import NamedTuple

from . import coefficients as table
from .pair import Pair, constant, ordered, parts, product, total
from .value import Float, fma, polynomial, power_of_two, where

# Beyond these e**x is infinite, or rounds to 0.
HIGHEST = {32: 89.0, 64: 710.0}
LOWEST = {32: -104.0, 64: -746.0}
# From here on e**-x is nothing beside e**x, nor beside 1 its square.
ALONE = {32: 20.0, 64: 42.0}


class Reduced(NamedTuple):
    """A number as n ln 2 + r + low."""

    n: Float
    r: Float
    low: Float


def reduced(x: Float) -> Reduced:
    """x in these parts; |x| is at most a few thousand."""
    bits = x.format.bits
    log2e = parts(table.LOG2E, bits, 1)[0]
    high, low = parts(table.LN2, bits, 2)
    n = (x * log2e).rint()
    first = fma(n, -high, x)  # exact
    r = fma(n, -low, first)
    return Reduced(n, r, fma(n, -low, first - r))


def minus_one(r: Float, low: Float) -> Float:
    """e**(r + low) - 1 - r for |r| <= ln(2)/2 and low within r's rounding error."""
    return fma(r * r, polynomial(r, table.EXP), low)


def scaled(x: Float, n: Float) -> Float:
    """x * 2**n for x about 1, rounded once: in two steps, as 2**n may be out of range."""
    half = (n * 0.5).rint()
    return x * power_of_two(half) * power_of_two(n - half)


def exp(x: Float) -> Float:
    """e**x."""
    n, r, low = reduced(x.clip(LOWEST[x.format.bits], HIGHEST[x.format.bits]))
    return scaled(1.0 + (r + minus_one(r, low)), n)


def exp2(x: Float) -> Float:
    """2**x."""
    limit = x.format.bias + 1.0
    return power_pair(x.clip(-1.2 * limit, limit), x.like(0.0))


def power_pair(x: Float, low: Float) -> Float:
    """2**(x + low), where it is in range or not far beyond."""
    n = x.rint()
    ln2 = constant(x, table.LN2)
    head = product(x - n, ln2.high)
    r, rest = total(head.high, fma(x - n, ln2.low, fma(low, ln2.high, head.low)))
    return scaled(1.0 + (r + minus_one(r, rest)), n)


def expm1(x: Float) -> Float:
    """e**x - 1."""
    bits = x.format.bits
    n, r, low = reduced(x.clip(-ALONE[bits], HIGHEST[bits]))
    half = power_of_two(n - 1.0)  # 2**n may be out of range
    whole = total(half - 0.5, half * r)
    result = 2.0 * (whole.high + fma(half, minus_one(r, low), whole.low))
    return where(abs(x) < x.format.smallest, x, result).copysign(x)


class Hyperbolic(NamedTuple):
    """sinh and cosh, each in two parts, to be multiplied by scale."""

    sinh: Pair
    cosh: Pair
    scale: Float


def hyperbolic(x: Float) -> Hyperbolic:
    """sinh(x) and cosh(x) for x >= 0: the theorems for the sums n ln 2 + r."""
    kind = x.format
    n, r, low = reduced(x)
    large = n > kind.bias - 20.0
    grown = power_of_two(where(large, n - 32.0, n) - 1.0)
    shrunk = where(n > ALONE[kind.bits] * 2, x.like(0.0), power_of_two(-1.0 - n))
    big, small = ordered(grown, shrunk), ordered(grown, -shrunk)  # cosh and sinh of n ln 2
    square = r * r
    sinh = fma(square * r, polynomial(square, table.SINH), low)  # but for r
    cosh = fma(square, polynomial(square, table.COSH), r * low)  # but for 1
    odd, even = product(big.high, r), product(small.high, r)
    first, second = ordered(small.high, odd.high), ordered(big.high, even.high)
    odd_rest = first.low + odd.low + fma(big.low, r, small.low)
    even_rest = second.low + even.low + fma(small.low, r, big.low)
    return Hyperbolic(
        ordered(first.high, odd_rest + fma(big.high, sinh, small.high * cosh)),
        ordered(second.high, even_rest + fma(big.high, cosh, small.high * sinh)),
        where(large, x.like(2.0**32), 1.0))


def sinh(x: Float) -> Float:
    """The hyperbolic sine."""
    both = hyperbolic(abs(x).clip(None, HIGHEST[x.format.bits] + 2.0))
    result = both.sinh.sum() * both.scale
    return where(abs(x) < x.format.smallest, x, result).copysign(x)


def cosh(x: Float) -> Float:
    """The hyperbolic cosine."""
    both = hyperbolic(abs(x).clip(None, HIGHEST[x.format.bits] + 2.0))
    return both.cosh.sum() * both.scale


class Falling(NamedTuple):
    """e = e**(-2 |x|) and 1 / (1 + e), of which tanh and sech2 are made: where both of the same
    number are asked for in one place, LLVM finds that they share it.

    Attributes:
        mantissa, unit, left: e is mantissa * unit * 2**left, unit being a power of two that is
            no smaller than what matters beside 1.
        less: 1 - e.
        inverse: 1 / (1 + e).
    """

    mantissa: Pair
    unit: Float
    left: Float
    less: Float
    inverse: Pair


def falling(x: Float) -> Falling:
    """e**(-2 |x|), and so on."""
    n, r, low = reduced((-2.0 * abs(x)).clip(LOWEST[x.format.bits] - 2.0, None))
    near = n.clip(-2.0 * ALONE[x.format.bits], None)
    unit, power = power_of_two(near), r + minus_one(r, low)  # e**r - 1
    mantissa = ordered(x.like(1.0), power)
    below = ordered(x.like(1.0), unit * mantissa.high)
    inverse = 1.0 / below.high
    rest = fma(-below.high, inverse, 1.0) - fma(unit, mantissa.low, below.low) * inverse
    return Falling(mantissa, unit, n - near, fma(-unit, power, 1.0 - unit),
                   Pair(inverse, rest * inverse))


def tanh(x: Float) -> Float:
    """The hyperbolic tangent: (1 - e) / (1 + e) for e = e**(-2 |x|)."""
    parts = falling(x)
    return fma(parts.less, parts.inverse.high, parts.less * parts.inverse.low).copysign(x)


def sech2(x: Float) -> Float:
    """1 / cosh(x)**2, that is 4 e / (1 + e)**2 for e = e**(-2 |x|)."""
    parts = falling(x)
    (high, low), (m, rest) = parts.inverse, parts.mantissa
    once = product(m, high)
    more = fma(rest, high, fma(m, low, once.low))
    both = fma(once.high, high, fma(once.high, low, more * high))
    return both * (4.0 * parts.unit) * power_of_two(parts.left)


class Decay(NamedTuple):
    """e**x for x <= 0: mantissa * 2**n; and value, where that is too small to matter beside 1."""

    mantissa: Pair
    n: Float
    value: Pair


def decay(x: Float) -> Decay:
    """e**x for x <= 0, in parts."""
    n, r, low = reduced(x)
    head = ordered(r.like(1.0), r)
    mantissa = ordered(head.high, head.low + minus_one(r, low))
    return Decay(mantissa, n, mantissa.scaled(power_of_two(n.clip(2.0 - x.format.bias, None))))


def one_plus(x: Pair) -> Pair:
    """1 + x for |x| up to 1."""
    whole = ordered(x.high.like(1.0), x.high)
    return Pair(whole.high, whole.low + x.low)


def sigmoid(x: Float) -> Float:
    """1 / (1 + e**-x); below 0, e**x / (1 + e**x)."""
    parts = decay((-abs(x)).clip(LOWEST[x.format.bits], None))
    above, one = x.negative(), x.like(1.0)
    top = Pair(where(above, parts.mantissa.high, one), where(above, parts.mantissa.low, 0.0))
    result = top.over(one_plus(parts.value)).sum()
    return scaled(result, where(above, parts.n, 0.0))


def gauss(x: Float) -> Float:
    """e**(-x**2); what squaring rounds off counts, as x**2 may be large."""
    near = abs(x).clip(None, {32: 11.0, 64: 28.0}[x.format.bits])
    square = product(near, near)
    n, r, low = reduced(-square.high)
    r, low = ordered(r, low - square.low)
    return scaled(1.0 + (r + minus_one(r, low)), n)
