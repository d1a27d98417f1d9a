"""Bits and whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...core.primitive import Primitive
from ...primitives import elementwise as e
from ..arguments import need_tensor
from ..operators import general
from .words import binary, swapped

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or",
           "bitwise_right_shift", "bitwise_xor", "gcd", "lcm"]


def _operator(primitive: Primitive) -> Callable[[Any, Any], Tensor]:
    def function(x: Any, y: Any) -> Any:
        return general(primitive, False, x, y)

    return function


and_operator, or_operator, xor_operator = (
    _operator(e.bitwise_and), _operator(e.bitwise_or), _operator(e.bitwise_xor))
lshift_operator, rshift_operator = _operator(e.left_shift), _operator(e.right_shift)
rlshift_operator, rrshift_operator = swapped(lshift_operator), swapped(rshift_operator)
bitwise_and = binary("bitwise_and", and_operator, "input & other, bit by bit.")
bitwise_or = binary("bitwise_or", or_operator, "input | other, bit by bit.")
bitwise_xor = binary("bitwise_xor", xor_operator, "input ^ other, bit by bit.")
bitwise_left_shift = binary("bitwise_left_shift", lshift_operator, "input << other.")
bitwise_right_shift = binary("bitwise_right_shift", rshift_operator, "input >> other.")
gcd = binary("gcd", _operator(e.gcd), "The greatest common divisor of each two integers.",
             ("torch.gcd(torch.tensor([12, 9]), torch.tensor([18, 6]))", "tensor([6, 3])"),
             tensors=True)
lcm = binary("lcm", _operator(e.lcm), "The least common multiple of each two integers.",
             ("torch.lcm(torch.tensor([4, 9]), torch.tensor([6, 6]))", "tensor([12, 18])"),
             tensors=True)


def bitwise_not(input: Tensor) -> Tensor:
    """Every bit flipped; for bools, `not`.

    Raises:
        NotImplementedError: for floats.
    """
    return e.bitwise_not(need_tensor("bitwise_not", input))


def invert_operator(input: Any) -> Any:
    """~input."""
    if input.aval.dtype.differentiable:
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type "
                        "tensors")
    return e.bitwise_not(input)
