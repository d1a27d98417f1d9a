"""Tensor's methods that write in place: elementwise functions with a last underscore."""

from __future__ import annotations

from ..ops import choices, inplace, mapping, shapes, updates


class InPlace:
    """Functions of each element, stored in the tensor itself."""

    __slots__ = ()

    add_, sub_, mul_, div_ = inplace.add_, inplace.sub_, inplace.mul_, inplace.div_
    subtract_, multiply_, divide_, true_divide_ = sub_, mul_, div_, inplace.true_divide_
    addcmul_, addcdiv_, lerp_ = updates.addcmul_, updates.addcdiv_, choices.lerp_
    pow_, float_power_, ldexp_ = inplace.pow_, inplace.float_power_, inplace.ldexp_
    remainder_, fmod_, floor_divide_ = inplace.remainder_, inplace.fmod_, inplace.floor_divide_
    exp_, exp2_, expm1_ = inplace.exp_, inplace.exp2_, inplace.expm1_
    log_, log2_, log10_, log1p_ = inplace.log_, inplace.log2_, inplace.log10_, inplace.log1p_
    sqrt_, rsqrt_, square_ = inplace.sqrt_, inplace.rsqrt_, inplace.square_
    sin_, cos_, tan_ = inplace.sin_, inplace.cos_, inplace.tan_
    asin_, acos_, atan_, atan2_ = inplace.asin_, inplace.acos_, inplace.atan_, inplace.atan2_
    arcsin_, arccos_, arctan_, arctan2_ = asin_, acos_, atan_, atan2_
    sinh_, cosh_, tanh_ = inplace.sinh_, inplace.cosh_, inplace.tanh_
    asinh_, acosh_, atanh_ = inplace.asinh_, inplace.acosh_, inplace.atanh_
    arcsinh_, arccosh_, arctanh_ = asinh_, acosh_, atanh_
    sinc_, deg2rad_, rad2deg_ = inplace.sinc_, inplace.deg2rad_, inplace.rad2deg_
    sigmoid_, logit_, relu_ = inplace.sigmoid_, inplace.logit_, inplace.relu_
    erf_, erfc_, xlogy_ = inplace.erf_, inplace.erfc_, inplace.xlogy_
    neg_ = negative_ = inplace.neg_
    abs_ = absolute_ = inplace.abs_
    floor_, ceil_, round_ = inplace.floor_, inplace.ceil_, inplace.round_
    trunc_ = fix_ = inplace.trunc_
    frac_, nextafter_ = inplace.frac_, inplace.nextafter_
    reciprocal_, sign_, sgn_ = inplace.reciprocal_, inplace.sign_, inplace.sgn_
    copysign_, heaviside_, hypot_ = inplace.copysign_, inplace.heaviside_, inplace.hypot_
    conj_physical_ = inplace.conj_physical_
    eq_, ne_, lt_, le_, gt_, ge_ = (inplace.eq_, inplace.ne_, inplace.lt_, inplace.le_,
                                    inplace.gt_, inplace.ge_)
    not_equal_, less_, less_equal_, greater_, greater_equal_ = ne_, lt_, le_, gt_, ge_
    logical_and_, logical_or_ = inplace.logical_and_, inplace.logical_or_
    logical_xor_, logical_not_ = inplace.logical_xor_, inplace.logical_not_
    bitwise_and_, bitwise_or_ = inplace.bitwise_and_, inplace.bitwise_or_
    bitwise_xor_, bitwise_not_ = inplace.bitwise_xor_, inplace.bitwise_not_
    bitwise_left_shift_ = inplace.bitwise_left_shift_
    bitwise_right_shift_ = inplace.bitwise_right_shift_
    gcd_, lcm_ = inplace.gcd_, inplace.lcm_
    clamp_ = clip_ = inplace.clamp_
    clamp_min_, clamp_max_ = inplace.clamp_min_, inplace.clamp_max_
    nan_to_num_ = inplace.nan_to_num_
    zero_, copy_ = inplace.zero_, shapes.copy_
    apply_, map_, map2_ = mapping.apply_, mapping.map_, mapping.map2_
    fill_, masked_fill_ = choices.fill_, choices.masked_fill_
