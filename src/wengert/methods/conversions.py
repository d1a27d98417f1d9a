"""What else a tensor can become: numbers, arrays, lists, other dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np

from ..core import dtypes
from ..core.device import check_device, device as _Device  # noqa: N812
from ..core.formats import memory_format, preserve_format
from ..core.handle import Handle, without_history
from ..core.levels import concrete, here, shared
from ..core.provenance import HISTORY_IS_LOST, warn_once
from ..ops import numpy_protocol, shapes
from ..ops.arguments import LOOKS, need_tensor

if TYPE_CHECKING:
    from .._tensor import Tensor

Bool: TypeAlias = bool
"""What the class below calls otherwise."""


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
        return _looked_at(self).item()

    def tolist(self: Any) -> Any:
        """The elements as nested lists of Python numbers; a number for a 0-d tensor."""
        return _looked_at(self).tolist()

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
        return np.array(self.numpy(), dtype, copy=copy)

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
        return float(_real(self._scalar(recorded=here.grad and self.requires_grad), "double"))

    def __int__(self: Any) -> int:
        return int(_real(self._scalar(), "int64_t"))

    def __complex__(self: Any) -> complex:
        return complex(self._scalar(recorded=here.grad and self.requires_grad))

    def _scalar(self: Any, *, recorded: Bool = False) -> Any:
        if self.aval.numel != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        if recorded:
            warn_once(HISTORY_IS_LOST)
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

    def to(self: Any, *args: Any, device: Any = None, dtype: Any = None,
           non_blocking: Bool = False, copy: Bool = False,
           memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor in another dtype; itself if nothing changes.

        Args:
            args: a dtype, or a device (and perhaps a dtype), or a tensor whose dtype is meant;
                then perhaps `non_blocking` and `copy`.
            device: "cpu" or None.
            dtype: the dtype; None for the tensor's own.
            non_blocking: ignored.
            copy: whether to copy even if nothing changes.
            memory_format: in which order the result lies in memory.

        Raises:
            AssertionError: for device "cuda".
            TypeError: for arguments that are none of these.
        """
        if args:
            device, dtype, copy = _meant(args, device, dtype, copy)
        check_device(device)
        kind = self.aval.dtype if dtype is None else dtypes.of(dtype)
        return _lying(shapes.astype(self, kind, copy=copy), memory_format)

    @overload
    def type(self: Any, dtype: None = None, non_blocking: Bool = False) -> str: ...
    @overload
    def type(self: Any, dtype: Any, non_blocking: Bool = False) -> Tensor: ...
    def type(self: Any, dtype: Any = None, non_blocking: Bool = False) -> Any:
        """The tensor's type as PyTorch writes it ("torch.FloatTensor"), or the tensor in another.

        Raises:
            ValueError: for a string that names no such type.
        """
        if dtype is None:
            return f"torch.{self.aval.dtype.words}Tensor"
        if isinstance(dtype, str):
            if dtype not in _TYPES:
                raise ValueError(f"invalid type: '{dtype}'")
            return shapes.astype(self, _TYPES[dtype])
        return shapes.astype(self, dtypes.of(dtype))

    def type_as(self: Any, other: Tensor) -> Tensor:
        """The tensor in another's dtype."""
        return shapes.astype(self, need_tensor("type_as", other, "other").aval.dtype)

    def float(self: Any, memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor as float32."""
        return _lying(shapes.astype(self, dtypes.float32), memory_format)

    def double(self: Any, memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor as float64."""
        return _lying(shapes.astype(self, dtypes.float64), memory_format)

    def half(self: Any, memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor as float16."""
        return _lying(shapes.astype(self, dtypes.float16), memory_format)

    def bfloat16(self: Any, memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor as bfloat16."""
        return _lying(shapes.astype(self, dtypes.bfloat16), memory_format)

    def cfloat(self: Any, memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor as complex64."""
        return _lying(shapes.astype(self, dtypes.complex64), memory_format)

    def cdouble(self: Any, memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor as complex128."""
        return _lying(shapes.astype(self, dtypes.complex128), memory_format)

    def int(self: Any, memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor as int32."""
        return _lying(shapes.astype(self, dtypes.int32), memory_format)

    def long(self: Any, memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor as int64."""
        return _lying(shapes.astype(self, dtypes.int64), memory_format)

    def short(self: Any, memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor as int16."""
        return _lying(shapes.astype(self, dtypes.int16), memory_format)

    def char(self: Any, memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor as int8."""
        return _lying(shapes.astype(self, dtypes.int8), memory_format)

    def byte(self: Any, memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor as uint8."""
        return _lying(shapes.astype(self, dtypes.uint8), memory_format)

    def bool(self: Any, memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor as bool."""
        return _lying(shapes.astype(self, dtypes.bool_), memory_format)

    def cpu(self: Any, memory_format: memory_format = preserve_format) -> Tensor:
        """The tensor itself."""
        return _lying(self, memory_format)

    def cuda(self: Any, device: Any = None, non_blocking: Bool = False) -> Tensor:
        """Raises AssertionError: there is no CUDA here."""
        check_device("cuda")
        return self


def _real(number: Any, kind: str) -> Any:
    """A number that has no imaginary part, without it.

    Raises:
        RuntimeError: if it has one.
    """
    if not isinstance(number, complex):
        return number
    if number.imag:
        raise RuntimeError(f"value cannot be converted to type {kind} without overflow")
    return number.real


def _looked_at(x: Any) -> np.ndarray:
    """The numbers of a tensor, which Python looks at."""
    return x.value if not shared.special and without_history(x) else concrete(x, LOOKS)


_TYPES = {f"torch.{kind.words}Tensor": kind for kind in dtypes.ALL}


def _meant(args: Sequence[Any], device: Any, dtype: Any, copy: bool) -> tuple[Any, Any, bool]:
    """The device, dtype and `copy` that positional arguments of `to` stand for, or keywords.

    Raises:
        TypeError: for other arguments than these, and for what is said twice.
    """
    first, *rest = args
    place, kind = None, None
    if isinstance(first, Handle):
        kind = first.aval.dtype
    elif not (first is None or _is_device(first)):
        kind = first
    else:
        place = first
        if rest and not isinstance(rest[0], bool):
            kind, *rest = rest
    twice = (place is not None and device is not None) or (kind is not None and dtype is not None)
    if twice or len(rest) > 2 or not all(isinstance(flag, bool) for flag in rest):
        words = ", ".join(type(arg).__name__ for arg in args)
        raise TypeError(f"to() received an invalid combination of arguments - got ({words}), but "
                        "expected a device and a dtype, a dtype, or a Tensor, and then bool "
                        "non_blocking and bool copy")
    return (device if place is None else place, dtype if kind is None else kind,
            rest[1] if len(rest) > 1 else copy)


def _lying(x: Any, memory_format: memory_format) -> Any:
    """A tensor in the order in memory that a format asks for."""
    if memory_format is preserve_format or memory_format is None:
        return x
    return shapes.contiguous(x, memory_format=memory_format)


def _is_device(value: Any) -> bool:
    return isinstance(value, (str, int, _Device))
