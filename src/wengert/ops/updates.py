"""A tensor and a multiple of a product or quotient of others, as optimisers add them up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.primitive import Primitive
from ..primitives import elementwise as e
from .arguments import need_tensor
from .operators import promoted, scalar, write_promoted

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "addcdiv", "addcmul",
]


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: complex = 1) -> Tensor:
    """input + value * tensor1 * tensor2, element by element.

    Example:
        >>> import wengert as torch
        >>> torch.addcmul(torch.ones(2), torch.ones(2), torch.tensor([1., 2.]), value=3)
        tensor([4., 7.])
    """
    return e.addcmul(*_operands(e.addcmul, input, tensor1, tensor2, value))


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: complex = 1) -> Tensor:
    """input + value * tensor1 / tensor2, element by element.

    Raises:
        RuntimeError: if integers were to be divided by integers.

    Example:
        >>> import wengert as torch
        >>> torch.addcdiv(torch.ones(2), torch.ones(2), torch.tensor([1., 2.]), value=2)
        tensor([3., 2.])
    """
    return e.addcdiv(*_operands(e.addcdiv, input, tensor1, tensor2, value))


def addcmul_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: complex = 1) -> Tensor:
    """`addcmul`, in place."""
    return write_promoted(e.addcmul, self, *_operands(e.addcmul, self, tensor1, tensor2, value))


def addcdiv_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: complex = 1) -> Tensor:
    """`addcdiv`, in place."""
    return write_promoted(e.addcdiv, self, *_operands(e.addcdiv, self, tensor1, tensor2, value))


def _operands(primitive: Primitive, *given: Any) -> tuple[Any, ...]:
    """Three tensors and a number in one dtype."""
    *tensors, value = given
    for i, x in enumerate(tensors):
        need_tensor(primitive.name, x, _NAMES[i], i + 1)
    x, y, z = tensors
    if primitive is e.addcdiv and not (y.aval.dtype.differentiable or z.aval.dtype.differentiable):
        raise RuntimeError(_NO_INTEGER_DIVISION)
    if not (x.aval.dtype is y.aval.dtype is z.aval.dtype):
        x, y, z = promoted(tensors)
    return x, y, z, scalar(value, x.aval)


_NAMES = ("input", "tensor1", "tensor2")
_NO_INTEGER_DIVISION = (
    "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will "
    "perform a true division of tensor1 and tensor2. The historic addcdiv behavior can be "
    "implemented as (input + value * torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer "
    "inputs and as (input + value * tensor1 / tensor2) for float inputs. The future addcdiv "
    "behavior is just the latter implementation: (input + value * tensor1 / tensor2), for all "
    "dtypes.")
