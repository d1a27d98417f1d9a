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
VANISHED = {32: 11.0, 64: 28.0}  # from here on e**(-x**2) rounds to 0
# From here on e**-x is nothing beside e**x, nor beside 1 its square.
ALONE = {32: 20.0, 64: 42.0}
# 2**n for the lowest n is in range when multiplied by 2**AHEAD; for the highest, when divided.
AHEAD = {32: 64.0, 64: 512.0}


class Reduced(NamedTuple):
    """A number as n ln 2 + high + low.

    Attributes:
        grown: 2**(n + ahead), where that is in range.
    """

    n: Float
    high: Float
    low: Float
    grown: Float

    @property
    def pair(self) -> Pair:
        """high + low, brought in order."""
        return ordered(self.high, self.low)

    @property
    def growth(self) -> Pair:
        """e**(high + low) - 1; its second part holds what rounding the sum took."""
        return ordered(self.high, minus_one(self.high + self.low, self.low))


def reduced(x: Float, more: Float | None = None, ahead: Float | float = 0.0) -> Reduced:
    """x (+ more, which is within its rounding error) in these parts; |x| is at most some thousand.
    """
    bits = x.format.bits
    log2e = parts(table.LOG2E, bits, 1)[0]
    high, low = parts(table.LN2, bits, 2)
    shift = ahead + (x.format.shifter + x.format.bias)
    shifted = fma(x, log2e, shift)  # its last bits are the exponent of 2**(n + ahead)
    n = shifted - shift
    rest = n * -low if more is None else fma(n, -low, more)
    return Reduced(n, fma(n, -high, x), rest, (shifted.bits << x.format.fraction).float)


def minus_one(r: Float, low: Float) -> Float:
    """e**r - 1 - r + low for |r| <= ln(2)/2."""
    return fma(r * r, polynomial(r, table.EXP), low)


def scaled(x: Float, n: Float) -> Float:
    """x * 2**n for x about 1, rounded once: in two steps, as 2**n may be out of range."""
    half = (n * 0.5).rint()
    return x * power_of_two(half) * power_of_two(n - half)


class Power(NamedTuple):
    """e**x as mantissa * unit * 2**-ahead."""

    mantissa: Float
    unit: Float


def exp_parts(x: Float, ahead: Float | float) -> Power:
    """e**x in these parts, in range if e**x * 2**ahead is."""
    n, high, _, unit = reduced(x, ahead=ahead)
    r = fma(n, -parts(table.LN2, x.format.bits, 2)[1], high)
    return Power(fma(r, fma(r, polynomial(r, table.EXP), 1.0), 1.0), unit)


def exp(x: Float) -> Float:
    """e**x; 2**n in two steps, the first of which leads away from the bound that is near."""
    bits = x.format.bits
    ahead = where(x.negative(), x.like(AHEAD[bits]), -AHEAD[bits])
    back = where(x.negative(), x.like(2.0**-AHEAD[bits]), 2.0**AHEAD[bits])
    mantissa, unit = exp_parts(x.clip(LOWEST[bits], HIGHEST[bits]), ahead)
    return mantissa * unit * back


class Decay(NamedTuple):
    """e**x for x <= 0: mantissa * unit * back, the last two powers of two that are in range."""

    mantissa: Pair
    unit: Float
    back: float

    @property
    def value(self) -> Float:
        """The number."""
        return self.mantissa.high * self.unit * self.back


def decay(x: Float, more: Float | None = None) -> Decay:
    """e**(x + more) for x <= 0 that is not out of range, and more within its rounding error."""
    ahead = AHEAD[x.format.bits]
    parts = reduced(x, more, ahead)
    high, low = ordered(x.like(1.0), parts.growth.high)
    return Decay(Pair(high, low + parts.growth.low), parts.grown, 2.0**-ahead)


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
    parts = reduced(x.clip(-ALONE[bits], HIGHEST[bits]))
    n, (r, low) = parts.n, parts.pair
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
    parts = reduced(x)
    n, (r, low) = parts.n, parts.pair
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


def vanishing(x: Float) -> Float:
    """e**-x for x >= 0."""
    ahead = AHEAD[x.format.bits]
    mantissa, unit = exp_parts((-x).clip(LOWEST[x.format.bits], None), ahead)
    return mantissa * unit * 2.0**-ahead


class Falling(NamedTuple):
    """e = e**(-2 |x|), of which tanh and sech2 are made: where both of the same number are asked
    for in one place, LLVM finds that they share it.

    Attributes:
        large: e times 2**AHEAD, not rounded where e would be.
        half: e / (1 + e), from 0 to 1/2.
    """

    large: Float
    half: Float


def falling(x: Float) -> Falling:
    """e**(-2 |x|), and so on."""
    ahead = AHEAD[x.format.bits]
    mantissa, unit = exp_parts((-2.0 * abs(x)).clip(LOWEST[x.format.bits] - 2.0, None), ahead)
    large = mantissa * unit
    e = large * 2.0**-ahead
    return Falling(large, e / (1.0 + e))


NEAR = 0.625  # up to here tanh is a polynomial: 1 - 2 e / (1 + e) cancels


def near_tanh(x: Float) -> Float:
    """tanh(x) for |x| <= NEAR."""
    square = x * x
    return fma(x * square, polynomial(square, table.TANH), x)


def tanh(x: Float) -> Float:
    """The hyperbolic tangent, 1 - 2 e / (1 + e)."""
    far = fma(falling(x).half, -2.0, 1.0).copysign(x)
    return where(abs(x) < NEAR, near_tanh(x), far)


def sech2(x: Float) -> Float:
    """1 / cosh(x)**2, that is 4 e / (1 + e)**2, or 4 e (1 - h (2 - h)) for h = e / (1 + e); near 0,
    where that cancels, 1 - tanh(x)**2."""
    large, half = falling(x)
    less = fma(-half, half, half + half)
    far = fma(-large, less, large) * (4.0 * 2.0**-AHEAD[x.format.bits])
    near = near_tanh(x)
    return where(abs(x) < NEAR, fma(-near, near, 1.0), far)


def sigmoid(x: Float) -> Float:
    """1 / (1 + e**-x), that is 1 - q, below 0 e (1 - q), for q = e / (1 + e) and e = e**-|x|."""
    e = vanishing(abs(x))
    top = where(x.negative(), e, 1.0)
    return fma(-top, e / (1.0 + e), top)


def gaussian(x: Float) -> Decay:
    """e**(-x**2), where it is not 0; what squaring rounds off counts, as x**2 may be large."""
    square = product(x, x)
    return decay(-square.high, -square.low)


def gauss(x: Float) -> Float:
    """e**(-x**2)."""
    return gaussian(abs(x).clip(None, VANISHED[x.format.bits])).value
