"""Python functions of numbers, applied to each element in place: `x.apply_(f)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.levels import concrete
from . import creation, shapes
from .arguments import LOOKS, need_tensor

if TYPE_CHECKING:
    from .._tensor import Tensor


def apply_(self: Tensor, callable: Callable[[Any], Any], /) -> Tensor:
    """Writes what a Python function gives for each element; slow, and without derivatives.

    Raises:
        RuntimeError: if the tensor requires grad.

    Example:
        >>> import wengert as torch
        >>> torch.arange(3).apply_(lambda number: number ** 2)
        tensor([0, 1, 4])
    """
    return _mapped("apply_", self, {}, callable)


def map_(self: Tensor, other: Tensor, callable: Callable[[Any, Any], Any], /) -> Tensor:
    """`apply_` of a function of two numbers: this tensor's, and another's that is broadcast.

    Raises:
        RuntimeError: if a tensor requires grad, or the other does not fit.
        TypeError: for one of another dtype.
    """
    return _mapped("map_", self, {"other": other}, callable)


def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any],
          /) -> Tensor:
    """`map_` of a function of three numbers."""
    return _mapped("map2_", self, {"x": x, "y": y}, callable)


def _mapped(name: str, self: Any, others: dict[str, Any], function: Any) -> Any:
    tensors = [self, *(need_tensor(name, other, argument, position)
                       for position, (argument, other) in enumerate(others.items(), 1))]
    for argument, other in others.items():
        if other.aval.dtype is not self.aval.dtype:
            which = f"'{argument}'" if len(others) == 1 else f"argument '{argument}'"
            raise TypeError(f"{name}: expected {self.type()} for {which} (got {other.type()})")
    if any(x.requires_grad for x in tensors):
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use "
                           f"var.detach().{name}() instead.")
    if not callable(function):
        raise TypeError(f"'{type(function).__name__}' object is not callable")
    shape = tuple(self.aval.shape)
    given = [concrete(x, LOOKS) for x in (self, *(shapes.expand(x, shape) for x in tensors[1:]))]
    found = [function(*numbers) for numbers in zip(*(x.ravel().tolist() for x in given),
                                                   strict=True)]
    made = np.fromiter(found, self.aval.numpy, len(found)).reshape(shape)
    return shapes.copy_(self, creation.tensor(made))
