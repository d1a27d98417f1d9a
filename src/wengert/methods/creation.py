"""Tensor's methods that make new tensors like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ops import creation

if TYPE_CHECKING:
    from .._tensor import Tensor


class Creation:
    """New tensors with this one's dtype."""

    __slots__ = ()

    def new_tensor(self: Any, data: Any, *, dtype: Any = None,
                   requires_grad: bool = False) -> Tensor:
        """A tensor of data, with this tensor's dtype unless another is given."""
        return creation.new_leaf(
            creation.array_from(data, dtype or self.aval.dtype, copy=True), requires_grad)

    def new_zeros(self: Any, *size: Any, dtype: Any = None,
                   requires_grad: bool = False) -> Tensor:
        """A tensor of zeros, with this tensor's dtype unless another is given."""
        return creation.zeros(*size, dtype=dtype or self.aval.dtype, requires_grad=requires_grad)

    def new_ones(self: Any, *size: Any, dtype: Any = None,
                  requires_grad: bool = False) -> Tensor:
        """A tensor of ones, with this tensor's dtype unless another is given."""
        return creation.ones(*size, dtype=dtype or self.aval.dtype, requires_grad=requires_grad)

    def new_full(self: Any, size: Any, fill_value: Any, *, dtype: Any = None,
                 requires_grad: bool = False) -> Tensor:
        """A tensor of one value, with this tensor's dtype unless another is given."""
        return creation.full(size, fill_value, dtype=dtype or self.aval.dtype,
                             requires_grad=requires_grad)
