"""Choosing between elements: `where`, limits and masks, in PyTorch's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.handle import Handle, wrap
from ..core.levels import concrete, made
from ..core.primitive import Primitive
from ..interpreters.inplace import write
from ..primitives import elementwise as e
from . import operators
from .arguments import LOOKS, need_tensor
from .operators import is_number, promoted

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "clamp", "clip", "lerp", "masked_fill", "where",
]


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Each element limited to [min, max]; the gradient passes at the bounds.

    Args:
        input: a tensor.
        min: a number or tensor, or None for no lower bound.
        max: a number or tensor, or None for no upper bound.

    Raises:
        RuntimeError: if neither bound is given.

    Example:
        >>> import wengert as torch
        >>> torch.clamp(torch.tensor([-2., 0.5, 2.]), -1, 1)
        tensor([-1.0000,  0.5000,  1.0000])
    """
    need_tensor("clamp", input)
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(min, Handle) or isinstance(max, Handle):
        return _clamp_tensors(input, min, max)
    bounds = [b for b in (min, max) if b is not None]
    x = promoted((input, *bounds))[0]
    return e.clamp(x, low=min, high=max)


def _clamp_tensors(x: Any, low: Any, high: Any) -> Any:
    """Bounds that are tensors: they get a gradient where they take effect."""
    if low is None:
        return e.clamp_up_to(*promoted((x, high)))
    if high is None:
        return e.clamp_from(*promoted((x, low)))
    return e.clamp_between(*promoted((x, low, high)))


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
        return tuple(made(wrap(i)) for i in np.nonzero(concrete(condition, LOOKS)))
    if condition.aval.dtype not in (dtypes.bool_, dtypes.uint8):
        raise RuntimeError("where expected condition to be a boolean tensor, but got a tensor with "
                           f"dtype {condition.aval.dtype.words}")
    if condition.aval.dtype is dtypes.uint8:
        condition = condition != 0
    if is_number(input) and is_number(other):
        kind = dtypes.result_type([(0, dtypes.of_number(input)), (0, dtypes.of_number(other))])
        pair = tuple(operators.number_array(v, kind) for v in (input, other))
    else:
        pair = promoted((input, other))
    return e.where(condition, *pair)


def lerp(input: Tensor, end: Any, weight: Any) -> Tensor:
    """input + weight * (end - input), element by element.

    Example:
        >>> import wengert as torch
        >>> torch.lerp(torch.zeros(2), torch.ones(2), 0.5)
        tensor([0.5000, 0.5000])
    """
    apply, end, weight = _lerping(input, end, weight)
    return apply(input, end, weight)


def lerp_(self: Tensor, end: Any, weight: Any) -> Tensor:
    """self + weight * (end - self), in place."""
    apply, end, weight = _lerping(self, end, weight)
    return write(apply, self, end, weight)


def _lerping(x: Any, end: Any, weight: Any) -> tuple[Primitive, Any, Any]:
    """The primitive, the end and the weight, in x's dtype."""
    need_tensor("lerp", x)
    need_tensor("lerp", end, "end", 2)
    if x.aval.dtype is not end.aval.dtype:
        raise RuntimeError(f"expected dtype {_lower(x)} for `end` but got dtype {_lower(end)}")
    if not isinstance(weight, Handle):
        return e.lerp, end, operators.scalar(weight, x.aval)
    if weight.aval.dtype is not x.aval.dtype:
        raise RuntimeError(f"expected dtype {_lower(x)} for `weight` but got dtype "
                           f"{_lower(weight)}")
    return _lerp_tensor, end, weight


_lerp_tensor = e.lerp.named("LerpBackward1")


def _lower(x: Any) -> str:
    return str(x.aval.dtype.words).lower()


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """The tensor with a number where the mask holds.

    Raises:
        RuntimeError: if the mask is not of bools.
    """
    apply, mask, value = _masking(input, mask, value)
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
        return _masked_by_number, mask, operators.number_array(value, x.aval.dtype)
    if value.aval.ndim:
        raise RuntimeError("masked_fill_ only supports a 0-dimensional value tensor, but got "
                           f"tensor with {value.aval.ndim} dimension(s).")
    return _masked_by_tensor, mask, operators.to_kind(value, x.aval.dtype)


def _c_name(x: Any) -> str:
    names = {"float32": "float", "float64": "double", "int64": "long int", "int32": "int",
             "uint8": "unsigned char", "float16": "c10::Half"}
    return names.get(x.aval.dtype.name, x.aval.dtype.name)


_masked_by_number = e.masked_fill.named("MaskedFillBackward0")
_masked_by_tensor = e.masked_fill.named("MaskedFillBackward1")


# PyTorch's other names for the same things.
clip = clamp
