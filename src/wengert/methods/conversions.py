"""What else a tensor can become: numbers, arrays, lists, other dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.device import check_device, device
from ..core.handle import Handle
from ..core.levels import concrete, here, shared
from ..ops import numpy_protocol, shapes
from ..ops.arguments import LOOKS

if TYPE_CHECKING:
    from .._tensor import Tensor


class Conversions:
    """To Python, to NumPy, to other dtypes and devices."""

    __slots__ = ()

    def item(self: Any) -> Any:
        """The one element, as a Python number.

        Raises:
            RuntimeError: unless there is exactly one.
        """
        if self.aval.numel != 1:
            raise RuntimeError(f"a Tensor with {self.aval.numel} elements cannot be converted to "
                               "Scalar")
        return concrete(self, LOOKS).item()

    def tolist(self: Any) -> Any:
        """The elements as nested lists of Python numbers; a number for a 0-d tensor."""
        return concrete(self, LOOKS).tolist()

    def numpy(self: Any, *, force: bool = False) -> np.ndarray:
        """An array in the same memory.

        Args:
            force: detach first, where a gradient would be lost.

        Raises:
            RuntimeError: if the tensor requires grad, unless nothing is recorded here anyway
                (under `no_grad`, in a `Function`'s forward) or `force` is set.
        """
        array = concrete(self, LOOKS)  # which vmap refuses
        if self.aval.level is not None and not force:
            raise RuntimeError("Can't call numpy() on a Tensor inside "
                               f"{self.aval.level.word}: its derivative would be lost. Use "
                               "tensor.detach().numpy() instead.")
        if self.requires_grad and here.grad and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor."
                               "detach().numpy() instead.")
        return array

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return np.array(array) if copy else array

    __array_ufunc__ = numpy_protocol.array_ufunc
    __array_function__ = numpy_protocol.array_function

    def __bool__(self: Any) -> bool:
        if self.aval.numel != 1:
            if not self.aval.numel:
                raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        plain = self.aval.level is None and not shared.special
        return bool(self.value if plain else concrete(self, LOOKS))

    def __float__(self: Any) -> float:
        return float(self._scalar())

    def __int__(self: Any) -> int:
        return int(self._scalar())

    def __complex__(self: Any) -> complex:
        return complex(self._scalar())

    def _scalar(self: Any) -> Any:
        if self.aval.numel != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return self.item()

    def __index__(self: Any) -> int:
        if self.aval.numel != 1 or self.aval.dtype.differentiable:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __format__(self: Any, spec: str) -> str:
        if self.aval.ndim == 0:
            return format(self.item(), spec)
        return object.__format__(self, spec)

    # --- dtypes and devices -------------------------------------------------------------------

    def to(self: Any, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False,
           non_blocking: bool = False) -> Tensor:
        """The tensor in another dtype (or as another tensor's); itself if nothing changes.

        Raises:
            AssertionError: for device "cuda".
        """
        for arg in args:
            if isinstance(arg, Handle):
                dtype = arg.aval.dtype
            elif _is_device(arg):
                device = arg
            elif not isinstance(arg, bool):
                dtype = arg
        check_device(device)
        kind = self.aval.dtype if dtype is None else dtypes.of(dtype)
        return shapes.astype(self, kind, copy=copy)

    def type(self: Any, dtype: Any = None) -> Any:
        """The tensor's type as PyTorch writes it, or the tensor in another dtype."""
        if dtype is None:
            return f"torch.{self.aval.dtype.words}Tensor"
        if isinstance(dtype, str):
            raise ValueError(f"invalid type: '{dtype}'")
        return shapes.astype(self, dtypes.of(dtype))

    def type_as(self: Any, other: Tensor) -> Tensor:
        """The tensor in another's dtype."""
        return shapes.astype(self, other.aval.dtype)

    def float(self: Any) -> Tensor:
        """The tensor as float32."""
        return shapes.astype(self, dtypes.float32)

    def double(self: Any) -> Tensor:
        """The tensor as float64."""
        return shapes.astype(self, dtypes.float64)

    def half(self: Any) -> Tensor:
        """The tensor as float16."""
        return shapes.astype(self, dtypes.float16)

    def int(self: Any) -> Tensor:
        """The tensor as int32."""
        return shapes.astype(self, dtypes.int32)

    def long(self: Any) -> Tensor:
        """The tensor as int64."""
        return shapes.astype(self, dtypes.int64)

    def short(self: Any) -> Tensor:
        """The tensor as int16."""
        return shapes.astype(self, dtypes.int16)

    def char(self: Any) -> Tensor:
        """The tensor as int8."""
        return shapes.astype(self, dtypes.int8)

    def byte(self: Any) -> Tensor:
        """The tensor as uint8."""
        return shapes.astype(self, dtypes.uint8)

    def bool(self: Any) -> Tensor:
        """The tensor as bool."""
        return shapes.astype(self, dtypes.bool_)

    def cpu(self: Any) -> Tensor:
        """The tensor itself."""
        return self

    def cuda(self: Any, device: Any = None) -> Tensor:
        """Raises AssertionError: there is no CUDA here."""
        check_device("cuda")
        return self


def _is_device(value: Any) -> bool:
    return isinstance(value, (str, device))
