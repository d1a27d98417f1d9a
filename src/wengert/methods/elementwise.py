"""Tensor's elementwise methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ops import choices, distances, pointwise, updates

if TYPE_CHECKING:
    from .._tensor import Tensor


class Elementwise:
    """Functions of each element."""

    __slots__ = ()

    add, sub, mul, div = pointwise.add, pointwise.sub, pointwise.mul, pointwise.div
    subtract, multiply, divide = sub, mul, div
    true_divide, floor_divide = pointwise.true_divide, pointwise.floor_divide
    remainder, fmod = pointwise.remainder, pointwise.fmod
    pow, float_power, ldexp = pointwise.pow, pointwise.float_power, pointwise.ldexp
    neg, negative, positive = pointwise.neg, pointwise.neg, pointwise.positive
    exp, exp2, expm1 = pointwise.exp, pointwise.exp2, pointwise.expm1
    log, log2, log10, log1p = pointwise.log, pointwise.log2, pointwise.log10, pointwise.log1p
    sqrt, rsqrt, square = pointwise.sqrt, pointwise.rsqrt, pointwise.square
    sin, cos, tan = pointwise.sin, pointwise.cos, pointwise.tan
    asin, acos, atan, atan2 = pointwise.asin, pointwise.acos, pointwise.atan, pointwise.atan2
    arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
    sinh, cosh, tanh = pointwise.sinh, pointwise.cosh, pointwise.tanh
    asinh, acosh, atanh = pointwise.asinh, pointwise.acosh, pointwise.atanh
    arcsinh, arccosh, arctanh = asinh, acosh, atanh
    sinc, deg2rad, rad2deg = pointwise.sinc, pointwise.deg2rad, pointwise.rad2deg
    sigmoid, logit, relu = pointwise.sigmoid, pointwise.logit, pointwise.relu
    erf, erfc = pointwise.erf, pointwise.erfc
    abs = absolute = pointwise.abs
    reciprocal, sign, sgn = pointwise.reciprocal, pointwise.sign, pointwise.sgn
    signbit, copysign, heaviside = pointwise.signbit, pointwise.copysign, pointwise.heaviside
    floor, ceil, trunc, round = (pointwise.floor, pointwise.ceil, pointwise.trunc,
                                 pointwise.round)
    fix, frac, frexp, nextafter = trunc, pointwise.frac, pointwise.frexp, pointwise.nextafter
    maximum, minimum, hypot = pointwise.maximum, pointwise.minimum, pointwise.hypot
    fmax, fmin = pointwise.fmax, pointwise.fmin
    logaddexp, logaddexp2, xlogy = pointwise.logaddexp, pointwise.logaddexp2, pointwise.xlogy
    lerp, addcmul, addcdiv = choices.lerp, updates.addcmul, updates.addcdiv
    clamp = clip = choices.clamp
    clamp_min, clamp_max, nan_to_num = choices.clamp_min, choices.clamp_max, pointwise.nan_to_num
    masked_fill = choices.masked_fill
    isnan, isinf, isfinite = pointwise.isnan, pointwise.isinf, pointwise.isfinite
    isposinf, isneginf, isreal = pointwise.isposinf, pointwise.isneginf, pointwise.isreal
    eq, ne, lt, le, gt, ge = (pointwise.eq, pointwise.ne, pointwise.lt, pointwise.le,
                              pointwise.gt, pointwise.ge)
    not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
    logical_and, logical_or = pointwise.logical_and, pointwise.logical_or
    logical_xor, logical_not = pointwise.logical_xor, pointwise.logical_not
    bitwise_and, bitwise_or = pointwise.bitwise_and, pointwise.bitwise_or
    bitwise_xor, bitwise_not = pointwise.bitwise_xor, pointwise.bitwise_not
    bitwise_left_shift, bitwise_right_shift = (pointwise.bitwise_left_shift,
                                               pointwise.bitwise_right_shift)
    gcd, lcm = pointwise.gcd, pointwise.lcm
    allclose, isclose, equal = pointwise.allclose, pointwise.isclose, pointwise.equal
    dist = distances.dist
    is_nonzero, is_same_size = pointwise.is_nonzero, pointwise.is_same_size
    angle, conj_physical = pointwise.angle, pointwise.conj_physical
    is_conj, is_neg = pointwise.is_conj, pointwise.is_neg
    resolve_conj, resolve_neg = pointwise.resolve_conj, pointwise.resolve_neg

    def where(self: Any, condition: Tensor, other: Any) -> Tensor:
        """The tensor where the condition holds, `other` elsewhere."""
        return choices.where(condition, self, other)
