"""Choosing between elements: `where`, limits and masks, in PyTorch's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..core import dtypes
from ..core.formats import dense
from ..core.handle import Handle
from ..core.primitive import Primitive
from ..interpreters.inplace import put, write
from ..primitives import elementwise as e
from ..primitives.layout import real
from . import operators
from .arguments import need_tensor
from .operators import is_number, promoted
from .picking import nonzero

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "clamp", "clamp_max", "clamp_min", "clip", "fill", "lerp", "masked_fill", "where",
]


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Each element limited to [min, max]; the gradient passes at the bounds.

    Args:
        input: a tensor.
        min: a number or tensor, or None for no lower bound.
        max: a number or tensor (as `min` is), or None for no upper bound.

    Raises:
        RuntimeError: if neither bound is given.

    Example:
        >>> import wengert as torch
        >>> torch.clamp(torch.tensor([-2., 0.5, 2.]), -1, 1)
        tensor([-1.0000,  0.5000,  1.0000])
    """
    primitive, operands, params = limits(need_tensor("clamp", input), min, max)
    return primitive(*operands, **params)


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """Each element, or the bound where that is larger; the gradient passes at the bound."""
    primitive, operands, params = lower_limit(need_tensor("clamp_min", input), min)
    return primitive(*operands, **params)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """Each element, or the bound where that is smaller; the gradient passes at the bound."""
    primitive, operands, params = upper_limit(need_tensor("clamp_max", input), max)
    return primitive(*operands, **params)


Limited = tuple[Primitive, tuple[Any, ...], dict[str, Any]]
"""A primitive, its operands and its parameters."""


def limits(x: Any, min: Any = None, max: Any = None) -> Limited:
    """What limits x to [min, max]."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(max if min is None else min, Handle):
        if min is not None and is_number(max):
            return limits(x, _alone(min, max), max)
        bounds = [b for b in (min, max) if b is not None]
        need_tensor("clamp", bounds[-1], "max", 3)
        apply = e.clamp_up_to if min is None else e.clamp_from if max is None else e.clamp_between
        return apply, _together(x, *bounds), {}
    if isinstance(max, Handle) and is_number(min):
        return limits(x, min, _alone(max, min))
    return e.clamp, _within(x, min, max), {"low": min, "high": max}


def _alone(bound: Any, other: Any) -> Any:
    """The number in a tensor, beside a bound that is a number."""
    if bound.aval.ndim or bound.requires_grad:
        raise TypeError("clamp() received an invalid combination of arguments: bounds must be two "
                        f"tensors or two numbers, not Tensor and {type(other).__name__}")
    return bound.item()


def lower_limit(x: Any, min: Any) -> Limited:
    """What limits x from below."""
    if isinstance(min, Handle):
        return e.clamp_min_tensor, _together(x, min), {}
    return e.clamp_min, _within(x, min), {"low": min, "high": None}


def upper_limit(x: Any, max: Any) -> Limited:
    """What limits x from above."""
    if isinstance(max, Handle):
        return e.clamp_max_tensor, _together(x, max), {}
    return e.clamp_max, _within(x, max), {"low": None, "high": max}


def _together(x: Any, *bounds: Any) -> tuple[Any, ...]:
    """A tensor and its bounds in one dtype."""
    for bound in bounds:
        if not isinstance(bound, Handle) or bound.aval.dtype is not x.aval.dtype:
            return promoted((x, *bounds))
    return (x, *bounds)


def _within(x: Any, *numbers: Any) -> tuple[Any]:
    """x as it is to be limited by numbers (or by None): in a dtype that holds such."""
    kind = x.aval.dtype
    for number in numbers:
        if not ((number is None and len(numbers) > 1) or (
                _holds(kind, type(number)) and (kind.differentiable or _counts(kind, number)))):
            given = [n for n in numbers if n is not None or len(numbers) == 1]
            return (_promoted_within(x, given),)
    return (x,)


def _promoted_within(x: Any, numbers: list[Any]) -> Any:
    """The same where the dtype may have to be another."""
    for number in numbers:
        if not is_number(number):
            raise TypeError("clamp() received an invalid combination of arguments: bounds must be "
                            "two tensors or two numbers (or one of them None), not "
                            f"{type(number).__name__}")
    if not all(_holds(x.aval.dtype, type(number)) for number in numbers):
        x = promoted((x, *numbers))[0]
    if not x.aval.dtype.differentiable:
        for number in numbers:
            operators.exact_array(number, x.aval.dtype)
    return x


def _holds(kind: dtypes.dtype, of_number: type) -> bool:
    """Whether a tensor's dtype stays as it is beside a Python number: what most numbers are."""
    return (of_number is int and kind is not dtypes.bool_) or (
        of_number is float and kind.differentiable)


def _counts(kind: dtypes.dtype, number: int) -> bool:
    """Whether an integer is within an integer dtype."""
    least, most = operators.integer_limits(kind)
    return max(least, -most - 1) <= number <= most


@overload
def where(condition: Tensor) -> tuple[Tensor, ...]: ...
@overload
def where(condition: Tensor, input: Any, other: Any) -> Tensor: ...
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, `other` elsewhere; both are broadcast.

    Given the condition alone, the indices of its non-zero elements, a tensor per dimension.

    Raises:
        RuntimeError: if the condition is not of bools.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor([-1., 2.]); torch.where(x > 0, x, 0)
        tensor([0., 2.])
    """
    need_tensor("where", condition, "condition")
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if condition.aval.dtype is not dtypes.bool_:
        condition = _as_condition(condition)
    if isinstance(input, Handle) and isinstance(other, Handle) and (
            input.aval.dtype is other.aval.dtype):
        return e.where(condition, input, other)
    for one, number in ((input, other), (other, input)):
        if isinstance(one, Handle) and _holds(kind := one.aval.dtype, type(number)):
            if not (kind.differentiable or _counts(kind, number)):
                operators.exact_array(number, kind)  # which refuses it
            number = operators.scalar(number, one.aval)
            return e.where(condition, *((one, number) if one is input else (number, one)))
    for position, (word, x) in enumerate((("input", input), ("other", other)), 2):
        if not operators.acceptable(x):
            need_tensor("where", x, word, position)
    if is_number(input) and is_number(other):
        kind = dtypes.result_type([(0, dtypes.of_number(input)), (0, dtypes.of_number(other))])
        pair = tuple(operators.number_array(v, kind) for v in (input, other))
    else:
        pair = promoted((input, other))
    return e.where(condition, *pair)


def _as_condition(x: Any) -> Any:
    """A tensor of bytes as one of bools: so PyTorch had them once."""
    if x.aval.dtype is not dtypes.uint8:
        raise RuntimeError("where expected condition to be a boolean tensor, but got a tensor with "
                           f"dtype {x.aval.dtype.words}")
    return x != 0


def lerp(input: Tensor, end: Any, weight: Any) -> Tensor:
    """input + weight * (end - input), element by element.

    Example:
        >>> import wengert as torch
        >>> torch.lerp(torch.zeros(2), torch.ones(2), 0.5)
        tensor([0.5000, 0.5000])
    """
    apply, input, end, weight = _lerping(input, end, weight)
    return apply(input, end, weight)


def lerp_(self: Tensor, end: Any, weight: Any) -> Tensor:
    """self + weight * (end - self), in place."""
    apply, x, end, weight = _lerping(self, end, weight)
    dtypes.check_cast(x.aval.dtype, self.aval.dtype)
    return write(apply, self, end, weight)


def _lerping(x: Any, end: Any, weight: Any) -> tuple[Primitive, Any, Any, Any]:
    """The primitive and its operands, in x's dtype; a number or a 0-d tensor as weight may have
    another, with which it is promoted."""
    need_tensor("lerp", x)
    need_tensor("lerp", end, "end", 2)
    if x.aval.dtype is not end.aval.dtype:
        raise RuntimeError(f"expected dtype {_c_name(x)} for `end` but got dtype {_c_name(end)}")
    if is_number(weight):
        return e.lerp, x, end, operators.scalar(weight, x.aval)
    need_tensor("lerp", weight, "weight", 3)
    if weight.aval.dtype is not x.aval.dtype:
        if weight.aval.ndim:
            raise RuntimeError(f"expected dtype {_c_name(x)} for `weight` but got dtype "
                               f"{_c_name(weight)}")
        kind = dtypes.result_type([*((1 + bool(each.aval.ndim), each.aval.dtype)
                                     for each in (x, end, weight))])
        x, end, weight = (operators.to_kind(each, kind) for each in (x, end, weight))
    return _lerp_tensor, x, end, weight


_lerp_tensor = e.lerp.named("LerpBackward1")

# --- writing one value ------------------------------------------------------------------------


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """The tensor with a number where the mask holds.

    Raises:
        RuntimeError: if the mask is not of bools, or the dtype can't hold the number.
    """
    apply, mask, value = _masking(need_tensor("masked_fill", input), mask, value)
    return apply(input, mask, value)


def masked_fill_(self: Tensor, mask: Tensor, value: Any) -> Tensor:
    """Writes a number (or 0-d tensor) where the mask holds, in place."""
    apply, mask, value = _masking(self, mask, value)
    return write(apply, self, mask, value)


def _masking(x: Any, mask: Any, value: Any) -> tuple[Primitive, Any, Any]:
    """The primitive, the mask and the value in x's dtype."""
    if need_tensor("masked_fill", mask, "mask", 2).aval.dtype is not dtypes.bool_:
        raise RuntimeError("masked_fill_ only supports boolean masks, but got mask with dtype "
                           f"{_c_name(mask)}")
    if not isinstance(value, Handle):
        return _masked_by_number, mask, _number("masked_fill", value, x.aval.dtype, 3)
    if value.aval.ndim:
        raise RuntimeError("masked_fill_ only supports a 0-dimensional value tensor, but got "
                           f"tensor with {value.aval.ndim} dimension(s).")
    return _masked_by_tensor, mask, _converted(value, x.aval.dtype)


def _number(name: str, value: Any, kind: dtypes.dtype, position: int) -> np.ndarray:
    if not is_number(value):
        need_tensor(name, value, "value", position)
    return operators.exact_array(value, kind)


def _converted(value: Any, kind: dtypes.dtype) -> Any:
    """A 0-d tensor in a dtype."""
    if value.aval.is_complex and not kind.is_complex:
        operators.number_array(value.detach().item(), kind)  # which refuses what is not real
        value = value if kind is dtypes.bool_ else real(value)
    return operators.to_kind(value, kind)


def _c_name(x: Any) -> str:
    return dtypes.c_name(x.aval.dtype, alone=True)


_masked_by_number = e.masked_fill.named("MaskedFillBackward0", order=dense)
_masked_by_tensor = e.masked_fill.named("MaskedFillBackward1", order=dense)


def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like this one, filled with a number (or 0-d tensor)."""
    x, number = need_tensor("fill", input), _filling("fill", input, value, 2)
    return (e.fill if number is not value else e.fill_tensor)(x, number)


def fill_(self: Tensor, value: Any) -> Tensor:
    """Fills the tensor with a number (or 0-d tensor), in place."""
    number = _filling("fill_", self, value, 1)
    if number is value:
        return write(e.fill_tensor, self, value)
    return self if put(self, number) else write(e.fill, self, number)


def _filling(name: str, x: Any, value: Any, position: int) -> Any:
    """A number as an array of x's dtype; a 0-d tensor as it is."""
    if not isinstance(value, Handle):
        if not is_number(value):
            need_tensor(name, value, "value", position)
        as_array = operators.stored if x.aval.numel == 1 else operators.exact_array
        return as_array(value, x.aval.dtype)
    if value.aval.ndim:
        raise RuntimeError("fill_ only supports 0-dimension value tensor but got tensor with "
                           f"{value.aval.ndim} dimensions.")
    return value


# PyTorch's other names for the same things.
clip = clamp
