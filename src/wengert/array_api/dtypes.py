"""Data types, and functions of them."""

from __future__ import annotations

from typing import Any

import wengert as torch

from ..core import dtypes as core
from ..core.dtypes import (
    bool_,
    complex64,
    complex128,
    dtype,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)

__all__ = [
    "astype", "bool", "can_cast", "complex64", "complex128", "finfo", "float32", "float64", "iinfo",
    "int8", "int16", "int32", "int64", "isdtype", "result_type", "uint8", "uint16", "uint32",
    "uint64",
]

Bool = bool
bool = bool_

_SIGNED, _UNSIGNED = (int8, int16, int32, int64), (uint8, uint16, uint32, uint64)
_FLOATS, _COMPLEX = (float32, float64), (complex64, complex128)
KINDS: dict[str, tuple[dtype, ...]] = {
    "bool": (bool_,), "signed integer": _SIGNED, "unsigned integer": _UNSIGNED,
    "integral": _SIGNED + _UNSIGNED, "real floating": _FLOATS, "complex floating": _COMPLEX,
    "numeric": _SIGNED + _UNSIGNED + _FLOATS + _COMPLEX}
"""The standard's names for sets of dtypes."""


def of(value: Any) -> dtype:
    """The dtype of a tensor, or the dtype itself."""
    return core.of(value.dtype if isinstance(value, torch.Tensor) else value)


def astype(x: torch.Tensor, dtype: dtype, /, *, copy: Bool = True, device: Any = None
           ) -> torch.Tensor:
    """The tensor in a dtype: a copy, unless it has that already and none is asked for.

    Raises:
        TypeError: for a complex tensor and a dtype that is not.
    """
    if x.is_complex() and not dtype.is_complex:
        raise TypeError("a complex array can't be made a real one: take its real part")
    return x.to(dtype, device=device, copy=copy)


def can_cast(from_: Any, to: dtype, /) -> Bool:
    """Whether a dtype, or a tensor's, promotes to another."""
    source = of(from_)
    return (source, to) in core.PROMOTED and core.promote(source, to) is to


def result_type(*arrays_and_dtypes: Any) -> dtype:
    """What operands promote to, of tensors, dtypes and numbers; a number takes the others' dtype.

    Raises:
        ValueError: if there is neither a tensor nor a dtype.
        RuntimeError: for uint64 with a signed integer.
    """
    numbers = [v for v in arrays_and_dtypes if isinstance(v, (Bool, int, float, complex))]
    kinds = [of(v) for v in arrays_and_dtypes if not isinstance(v, (Bool, int, float, complex))]
    if not kinds:
        raise ValueError("at least one array or dtype is required")
    found = kinds[0]
    for kind in kinds[1:]:
        found = core.promote(found, kind)
    return core.result_type([(2, found), *[(0, core.of_number(n)) for n in numbers]])


def isdtype(dtype: dtype, kind: Any) -> Bool:
    """Whether a dtype is one, or of a kind ("real floating", "integral" ...), or of several.

    Raises:
        ValueError: for a kind that the standard doesn't name.
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, each) for each in kind)
    if isinstance(kind, str):
        if kind not in KINDS:
            raise ValueError(f"unknown kind of dtype: {kind!r}; there are {', '.join(KINDS)}")
        return dtype in KINDS[kind]
    return dtype is kind


def finfo(type: Any, /) -> Any:
    """What numbers a float dtype, or a tensor's, can hold."""
    return torch.finfo(of(type))


def iinfo(type: Any, /) -> Any:
    """What numbers an integer dtype, or a tensor's, can hold."""
    return torch.iinfo(of(type))


def cast(x: Any, kind: dtype) -> torch.Tensor:
    """A tensor, or a number, in a dtype."""
    if isinstance(x, torch.Tensor):
        return x.to(kind)
    return torch.tensor(x, dtype=kind)


def together(*operands: Any) -> list[torch.Tensor]:
    """Operands, of which one at least is a tensor, in the dtype that they promote to."""
    kind = result_type(*operands)
    return [cast(x, kind) for x in operands]
