"""What numbers a dtype holds, and which dtype results have."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import dtypes
from ..core.dtypes import dtype as Dtype  # noqa: N812
from ..core.handle import Handle
from .operators import is_number, ranked

__all__ = ["finfo", "iinfo", "result_type"]


def _checked(name: str, type: Any) -> Dtype:
    if not isinstance(type, dtypes.dtype):
        raise TypeError(f"{name}(): argument 'type' (position 1) must be torch.dtype, not "
                        f"{type.__class__.__name__}")
    return type


class _Info:
    """What is known of a dtype's numbers."""

    __slots__ = ("bits", "dtype", "max", "min")
    bits: int
    dtype: str

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.dtype == self.dtype

    def __hash__(self) -> int:
        return hash((type(self), self.dtype))


class finfo(_Info):  # noqa: N801 - PyTorch's name
    """The limits of a float dtype (of its parts, for a complex one).

    Args:
        type: the dtype; the default one, if None.

    Attributes:
        bits: the bits of a number.
        dtype: the dtype's name.
        eps: from 1 to the next greater number.
        max: the greatest number.
        min: the least.
        tiny: the least positive number of full precision.
        smallest_normal: the same.
        resolution: the decimal resolution.

    Raises:
        TypeError: for another dtype.

    Example:
        >>> import wengert as torch
        >>> torch.finfo(torch.float32).eps
        1.1920928955078125e-07
    """

    __slots__ = ("eps", "resolution", "smallest_normal", "tiny")

    def __init__(self, type: Dtype | None = None) -> None:
        kind = dtypes.get_default_dtype() if type is None else _checked("finfo", type)
        if not kind.differentiable:
            raise TypeError("torch.finfo() requires a floating point input type. Use torch.iinfo "
                            "to handle 'torch.finfo'")
        real = kind.to_real()
        self.dtype, self.bits = real.name, real.itemsize * 8
        self.eps, self.max, self.tiny, self.resolution = _limits(real)
        self.min, self.smallest_normal = -self.max, self.tiny

    def __repr__(self) -> str:
        return (f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
                f"eps={self.eps:g}, smallest_normal={self.tiny:g}, tiny={self.tiny:g}, "
                f"dtype={self.dtype})")


def _limits(kind: Dtype) -> tuple[float, float, float, float]:
    """The relative spacing, the greatest and the least normal number, the resolution."""
    found: Any
    if kind.numpy.kind == "f":
        found = np.finfo(kind.numpy)
    else:  # NumPy does not know of bfloat16
        import ml_dtypes

        limits: Any = ml_dtypes.finfo
        found = limits(kind.numpy)
    return (float(found.eps), float(found.max), float(found.tiny),
            float(f"1e-{found.precision}"))


class iinfo(_Info):  # noqa: N801 - PyTorch's name
    """The limits of an integer dtype.

    Attributes:
        bits: the bits of a number.
        dtype: the dtype's name.
        max: the greatest number.
        min: the least.

    Raises:
        TypeError: for another dtype.

    Example:
        >>> import wengert as torch
        >>> torch.iinfo(torch.int8).max
        127
    """

    __slots__ = ()

    def __init__(self, type: Dtype) -> None:
        kind = _checked("iinfo", type)
        if kind.differentiable:
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to "
                            "handle 'torch.iinfo'")
        if kind is dtypes.bool_:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        found = np.iinfo(kind.numpy)
        self.dtype, self.bits = kind.name, found.bits
        self.min, self.max = int(found.min), int(found.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


def result_type(tensor1: Any, tensor2: Any) -> Dtype:
    """The dtype of what arithmetic on two tensors or numbers gives.

    Example:
        >>> import wengert as torch
        >>> torch.result_type(torch.tensor([1, 2]), 1.0)
        torch.float32
    """
    for value in (tensor1, tensor2):
        if not isinstance(value, Handle) and not is_number(value):
            given = ", ".join(type(v).__name__ for v in (tensor1, tensor2))
            raise TypeError(f"result_type() received an invalid combination of arguments - got "
                            f"({given}), but expected Tensors or Numbers")
    return dtypes.result_type([ranked(tensor1), ranked(tensor2)])
