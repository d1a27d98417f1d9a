"""Tensor's methods that write in place: elementwise functions with a last underscore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.handle import Handle
from ..ops import choices, inplace, shapes, updates

if TYPE_CHECKING:
    from .._tensor import Tensor


class InPlace:
    """Functions of each element, stored in the tensor itself."""

    __slots__ = ()

    add_, sub_, mul_, div_ = inplace.add_, inplace.sub_, inplace.mul_, inplace.div_
    addcmul_, addcdiv_, lerp_ = updates.addcmul_, updates.addcdiv_, choices.lerp_
    pow_, remainder_ = inplace.pow_, inplace.remainder_
    floor_divide_ = inplace.floor_divide_
    exp_, exp2_, expm1_ = inplace.exp_, inplace.exp2_, inplace.expm1_
    log_, log2_, log10_, log1p_ = inplace.log_, inplace.log2_, inplace.log10_, inplace.log1p_
    sqrt_, rsqrt_, square_ = inplace.sqrt_, inplace.rsqrt_, inplace.square_
    sin_, cos_, tan_ = inplace.sin_, inplace.cos_, inplace.tan_
    asin_, acos_, atan_, atan2_ = inplace.asin_, inplace.acos_, inplace.atan_, inplace.atan2_
    arcsin_, arccos_, arctan_, arctan2_ = asin_, acos_, atan_, atan2_
    sinh_, cosh_, tanh_ = inplace.sinh_, inplace.cosh_, inplace.tanh_
    asinh_, acosh_, atanh_ = inplace.asinh_, inplace.acosh_, inplace.atanh_
    arcsinh_, arccosh_, arctanh_ = asinh_, acosh_, atanh_
    sigmoid_, relu_, erf_, erfc_ = inplace.sigmoid_, inplace.relu_, inplace.erf_, inplace.erfc_
    neg_ = negative_ = inplace.neg_
    abs_ = absolute_ = inplace.abs_
    floor_, ceil_, round_ = inplace.floor_, inplace.ceil_, inplace.round_
    trunc_ = fix_ = inplace.trunc_
    reciprocal_, sign_, sgn_ = inplace.reciprocal_, inplace.sign_, inplace.sgn_
    hypot_, fmod_ = inplace.hypot_, inplace.fmod_
    eq_, ne_, lt_, le_, gt_, ge_ = (inplace.eq_, inplace.ne_, inplace.lt_, inplace.le_,
                                    inplace.gt_, inplace.ge_)
    logical_and_, logical_or_ = inplace.logical_and_, inplace.logical_or_
    logical_xor_, logical_not_ = inplace.logical_xor_, inplace.logical_not_
    bitwise_and_, bitwise_or_ = inplace.bitwise_and_, inplace.bitwise_or_
    bitwise_xor_, bitwise_not_ = inplace.bitwise_xor_, inplace.bitwise_not_
    subtract_, multiply_, divide_, true_divide_ = sub_, mul_, div_, div_
    clamp_ = clip_ = inplace.clamp_
    zero_, copy_ = inplace.zero_, shapes.copy_

    def fill_(self: Any, value: Any) -> Tensor:
        """Fills the tensor with a number (or 0-d tensor), in place."""
        if isinstance(value, Handle) and value.aval.ndim:
            raise RuntimeError("fill_ only supports 0-dimension value tensor but got tensor with "
                               f"{value.aval.ndim} dimensions.")
        return shapes.fill_(self, value)

    masked_fill_ = choices.masked_fill_
