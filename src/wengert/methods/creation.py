"""Tensor's methods that make new tensors of its dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.device import check_device
from ..ops import creation

if TYPE_CHECKING:
    from .._tensor import Tensor


def _new(name: str, says: str) -> Callable[..., Tensor]:
    """A function of `creation` with this tensor's dtype, unless another is given."""
    make = getattr(creation, name)

    def method(self: Any, *args: Any, dtype: Any = None, **how: Any) -> Tensor:
        return make(*args, dtype=self.aval.dtype if dtype is None else dtype, **how)

    method.__name__, method.__qualname__ = f"new_{name}", f"Creation.new_{name}"
    method.__doc__ = f"A tensor {says}, of this one's dtype unless another is given."
    return method


class Creation:
    """New tensors with this one's dtype."""

    __slots__ = ()

    new_zeros, new_ones = _new("zeros", "of zeros"), _new("ones", "of ones")
    new_full, new_empty = _new("full", "of one value"), _new("empty", "that is not initialised")
    new_empty_strided = _new("empty_strided", "that is not initialised, with given strides")

    def new_tensor(self: Any, data: Any, *, dtype: Any = None, device: Any = None,
                   requires_grad: bool = False, layout: Any = None,
                   pin_memory: bool = False) -> Tensor:
        """A tensor of data, with this tensor's dtype unless another is given."""
        check_device(device)
        return creation.new_leaf(creation.array_of_its_own(
            "tensor.new_tensor", data, dtype or self.aval.dtype), requires_grad)
