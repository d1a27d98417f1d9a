"""Float arithmetic rounded as PyTorch's compiled kernels round it, in NumPy.

Random normals repeat PyTorch's to the last bit only if every product and sum is rounded where its
machine code rounds: fused multiply-adds are emulated, and the float32 logarithm, sine and cosine
of its vector kernel are evaluated step by step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_F4, _F8 = np.float32, np.float64


def box_muller(blocks: Array) -> None:
    """Turn uniform numbers of shape (n, 2, 8) into normal ones, in place, pair by pair."""
    if blocks.dtype == _F8:
        radius, angle = np.sqrt(-2.0 * np.log(1.0 - blocks[:, 0])), 2.0 * math.pi * blocks[:, 1]
        cosine, sine = np.cos(angle), np.sin(angle)
    else:
        radius = np.sqrt(_F4(-2.0) * _log32(_F4(1.0) - blocks[:, 0]))
        cosine, sine = _cos_sin32(_F4(2.0 * math.pi) * blocks[:, 1])
    blocks[:, 0], blocks[:, 1] = radius * cosine, radius * sine


# The float32 logarithm, sine and cosine of PyTorch's AVX2 kernel to the last bit: polynomials of
# Moshier's Cephes library (logf.c, sinf.c), in the order of Pommier's sse_mathfun, with the fused
# multiply-adds of the compiled code. Those are formed in float64, where the product is exact; the
# sum is rounded twice, which is harmless for all 2**24 arguments that there are (each was tried).
_LOG: Final[list[float]] = np.array(
    [7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
     -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1], _F4
).tolist()  # fmt: skip
_SIN = np.array([-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1], _F4).tolist()
_COS = np.array([2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2], _F4).tolist()
_LN2_HIGH, _LN2_LOW = _F4(0.693359375), _F4(-2.12194440e-4)
_QUARTER_PI = (_F4(0.78515625), _F4(2.4187564849853515625e-4), float(_F4(3.77489497744594108e-8)))
_SQRT_HALF_BITS: Final = 0x3F3504F3


def _log32(x: Array) -> Array:
    bits = x.view(np.int32)
    exponent = (bits - np.int32(_SQRT_HALF_BITS)) >> 23
    x = (bits - (exponent << 23)).view(_F4) - _F4(1.0)
    power, square = exponent.astype(_F4), x * x
    y = _horner32(_LOG, x) * x
    y = (y.astype(_F8) * square + power * _LN2_LOW).astype(_F4) - _F4(0.5) * square
    log: Array = (x + y) + power * _LN2_HIGH
    return log


def _cos_sin32(x: Array) -> tuple[Array, Array]:
    octant = ((x * _F4(4.0 / math.pi)).astype(np.int32) + 1) & -2
    step = octant.astype(_F4)
    x = x - step * _QUARTER_PI[0] - step * _QUARTER_PI[1]
    x = (x - step.astype(_F8) * _QUARTER_PI[2]).astype(_F4)
    square = x * x
    y = _horner32(_COS, square) * square
    cos = (y.astype(_F8) * square - _F4(0.5) * square).astype(_F4) + _F4(1.0)
    y = _horner32(_SIN, square) * square
    sin = (y.astype(_F8) * x + x).astype(_F4)
    swap = (sin.view(np.int32) ^ cos.view(np.int32)) & -((octant >> 1) & 1)
    return _signed(cos, swap, octant + 2), _signed(sin, swap, octant)


def _horner32(coefficients: Sequence[float], x: Array) -> Array:
    x = x.astype(_F8)
    y, sums = np.empty(x.shape, _F4), np.full(x.shape, coefficients[0])
    for c in coefficients[1:]:
        sums *= x
        sums += c
        y[...] = sums  # rounds to float32
        sums[...] = y
    return y


def _signed(x: Array, swap: Array, octant: Array) -> Array:
    bits: Array = x.view(np.int32) ^ swap ^ ((octant & 4) << 29)
    return bits.view(_F4)


def fused(a: float, b: float, c: float) -> float:
    """Return a * b + c rounded once: a sum of three, once the product's error is known.

    Terms near overflow (from 1e290) or underflow (to 1e-290) may be rounded twice.
    """
    if c == 0 or not (abs(a * b) < 1e290 and abs(b) < 1e290 and abs(c) < 1e290):
        return a * b + c
    return math.fsum((*_two_product(a, b), c))


def fma(a: Array, b: Any, c: Any) -> Array:
    """Return a * b + c rounded once (Boldo & Melquiond, "Emulation of FMA", IEEE TC 57(4), 2008).

    ``a`` is a float32 or float64 array; ``b`` and ``c`` are scalars of its dtype. float64 terms
    near overflow (from 1e300) or underflow (to 1e-290) may be rounded twice.
    """
    plain: Array = a + c if b == 1 else a * b + c
    if c == 0 or (math.frexp(b)[0] == 0.5 and b > _SMALL):  # products by such powers are exact
        return plain
    with np.errstate(over="ignore", invalid="ignore"):
        if a.dtype == _F4:
            wide: Array = a.astype(_F8)
            wide *= b
            twice = wide + c
            if not _halfway(twice):
                return twice.astype(_F4)
            return _odd_sum(wide, _F8(c)).astype(_F4)
        high, low = _two_product(a, b)
        tail, tail_error = _two_sum(low, c)
        total, total_error = _two_sum(high, tail)
        once = total + _odd_sum(tail_error, total_error)
        return np.where(np.isfinite(once), once, plain)


def _halfway(x: Array) -> bool:
    """Whether rounding one of these float64 numbers to float32 may hang on its last bit: it may be
    halfway between two of them, or small enough for that to be at another bit."""
    return bool(((x.view(np.int64) & _BELOW_SINGLE) == _HALF_SINGLE).any()
                or (np.abs(x) < _LEAST_SINGLE).any())


_BELOW_SINGLE, _HALF_SINGLE = np.array((1 << 29) - 1), np.array(1 << 28)
_LEAST_SINGLE: Final = 2.0**-126
_SMALL: Final = 2.0**-64


def _two_sum(a: Array, b: Any) -> tuple[Array, Array]:
    """Return the rounded sum and its error (Knuth, TAOCP vol. 2, 4.2.2)."""
    total = a + b
    rest = total - a
    return total, (a - (total - rest)) + (b - rest)


def _two_product(a: Any, b: Any) -> tuple[Any, Any]:
    """Return the rounded product and its error (Dekker, Numer. Math. 18, 1971)."""
    (a_high, a_low), (b_high, b_low), product = _split(a), _split(b), a * b
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _split(x: Any) -> tuple[Any, Any]:
    scaled = x * 134217729.0
    high = scaled - (scaled - x)
    return high, x - high


def _odd_sum(a: Array, b: Any) -> Array:
    """Return float64 a + b, an inexact result rounded to the neighbour of odd significand."""
    total, error = _two_sum(a, b)
    even = (total.view(np.int64) & 1) == 0
    toward = np.nextafter(total, np.where(error > 0, np.inf, -np.inf))
    odd: Array = np.where(even & (np.abs(error) > 0), toward, total)  # no infinities
    return odd
