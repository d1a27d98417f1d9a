"""Remainders, exactly; and quotients rounded down."""

from __future__ import annotations

import math

from .value import Float, Mask, fma, where


def rest(x: Float, y: Float) -> Float:
    """x modulo y for x >= 0 and y > 0, by long division: each turn takes off a float's digits.

    A quotient's integer part times y, subtracted, leaves a number that is exact, although the
    quotient is rounded: it may be negative. Mostly one turn does.
    """
    builder, before = x.builder, x.builder.block
    turn, after = (builder.append_basic_block() for _ in range(2))
    builder.branch(turn)
    builder.position_at_end(turn)
    phi = builder.phi(x.ir.type)
    phi.add_incoming(x.ir, before)
    left = Float(builder, phi)
    quotient, divisor = quotient_of(left, y)
    following = fma(-quotient.intrinsic("trunc"), divisor, left)
    phi.add_incoming(following.ir, turn)
    builder.cbranch((abs(following) >= y).any(), turn, after)
    builder.position_at_end(after)
    return where(following < 0.0, following + y, following)


def quotient_of(x: Float, y: Float) -> tuple[Float, Float]:
    """x / d and d, which is y, or y times such a power of two that the quotient is finite."""
    step = 2.0 ** (x.format.bias - 23)
    quotient = x / y
    for _ in range(2):
        y = where(abs(quotient).equals(math.inf), y * step, y)
        quotient = x / y
    return quotient, y


def opposite(x: Float, y: Float) -> Mask:
    """Where one is positive and the other negative."""
    return (x < 0.0) & (y > 0.0) | (x > 0.0) & (y < 0.0)


def fmod(x: Float, y: Float) -> Float:
    """x - n y for the whole n towards 0 from x/y; it has the sign of x."""
    a, b = abs(x), abs(y)
    result = where((a < b) & (b.equals(math.inf)), a, rest(a, b))
    return result.copysign(x)


def remainder(x: Float, y: Float) -> Float:
    """x - n y for the whole n below x/y; it has the sign of y."""
    result = fmod(x, y)
    moved = where(opposite(result, y), result + y, result)
    return where(result.equals(0.0), result.copysign(y), moved)


def floor_divide(x: Float, y: Float) -> Float:
    """The whole number below x/y, step by step as Python has it: (x - fmod(x, y)) / y, nearly."""
    left = fmod(x, y)
    quotient = (x - left) / y
    quotient = where(opposite(left, y), quotient - 1.0, quotient)
    below = quotient.intrinsic("floor")
    quotient = where(quotient - below > 0.5, below + 1.0, below)
    quotient = where(quotient.equals(0.0), quotient.copysign(x / y), quotient)
    return where(y.equals(0.0), x / y, quotient)
