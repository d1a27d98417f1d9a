"""Sums of two floats, the second what the first leaves over: about twice the precision."""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import NamedTuple

from .coefficients import SCALE
from .value import Float, fma


class Pair(NamedTuple):
    """high + low, where low is small beside high."""

    high: Float
    low: Float

    def sum(self) -> Float:
        """Both together, rounded."""
        return self.high + self.low

    def times(self, other: Pair) -> Pair:
        """The product."""
        head = product(self.high, other.high)
        cross = fma(self.high, other.low, fma(self.low, other.high, head.low))
        return ordered(head.high, cross)

    def over(self, other: Pair) -> Pair:
        """The quotient; its parts are not brought in order, but low is small."""
        inverse = 1.0 / other.high
        high = self.high * inverse
        rest = fma(-high, other.high, self.high) + fma(-high, other.low, self.low)
        return Pair(high, rest * inverse)

    def scaled(self, factor: Float | float) -> Pair:
        """Times a power of two."""
        return Pair(self.high * factor, self.low * factor)


def ordered(a: Float, b: Float) -> Pair:
    """a + b and its rounding error, where a is 0 or not the smaller one."""
    high = a + b
    return Pair(high, b - (high - a))


def total(a: Float, b: Float) -> Pair:
    """a + b and its rounding error."""
    high = a + b
    part = high - a
    return Pair(high, (a - (high - part)) + (b - part))


def product(a: Float, b: Float) -> Pair:
    """a * b and its rounding error."""
    high = a * b
    return Pair(high, fma(a, b, -high))


@functools.cache
def parts(number: int, bits: int, count: int, short: int = 0) -> tuple[float, ...]:
    """A number (times 2**SCALE) as the sum of floats, each the best for what is left.

    `short` is how many bits the first lacks, so that its products with small integers are exact.
    """
    rest, result = Fraction(number, 1 << SCALE), []
    precision = {32: 24, 64: 53}[bits] - short
    for _ in range(count):
        unit = Fraction(2) ** (math.frexp(rest)[1] - precision)
        result.append(float(round(rest / unit) * unit))
        rest -= Fraction(result[-1])
        precision += short
        short = 0
    return tuple(result)


def constant(like: Float, number: int) -> Pair:
    """A number (times 2**SCALE) as a constant pair."""
    high, low = parts(number, like.format.bits, 2)
    return Pair(like.like(high), like.like(low))
