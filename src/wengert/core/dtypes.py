"""Dtypes in PyTorch's words and the rules by which they combine.

A `dtype` is a thin, interned name for a NumPy dtype with the few facts that the system asks for.
Promotion follows PyTorch: categories decide (bool < integer < float < complex), and an operand
of a lower rank of *dimension* (a 0-d tensor beside an n-d one, a Python number beside a tensor)
changes the result only when its category is higher.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, TypeAlias

import numpy as np

BOOL, INTEGER, FLOAT, COMPLEX = range(4)
_CATEGORY = {"b": BOOL, "i": INTEGER, "u": INTEGER, "f": FLOAT, "c": COMPLEX}
_BFLOAT16 = "bfloat16"

Dtype: TypeAlias = "dtype"
"""The class below, where one of its own names hides it."""


class dtype:  # noqa: N801 - PyTorch's name
    """The type of a tensor's elements, as `wengert.float32`.

    Attributes:
        name: the plain name, as "float32".
        numpy: the NumPy dtype it stands for.
        itemsize: bytes per element.
        category: BOOL, INTEGER, FLOAT or COMPLEX.
        differentiable: whether tensors of it can require grad.
        is_half: whether it is a float of two bytes, computed in float32 (see `halves.py`).

    Example:
        >>> import wengert as torch
        >>> torch.float64.itemsize, torch.complex64.is_complex
        (8, True)
    """

    __slots__ = ("category", "differentiable", "is_complex", "is_floating_point", "is_half",
                 "is_signed", "itemsize", "name", "numpy", "words")

    numpy: np.dtype[Any]

    def __init__(self, name: str, words: str) -> None:
        self.name, self.words = name, words
        stand_in = np.dtype("float16" if name == _BFLOAT16 else name)
        if name != _BFLOAT16:
            self.numpy = stand_in
        self.itemsize: int = stand_in.itemsize
        self.category: int = _CATEGORY[stand_in.kind]
        self.is_floating_point = self.category == FLOAT
        self.is_complex = self.category == COMPLEX
        self.is_half = self.is_floating_point and self.itemsize == 2
        self.differentiable = self.category >= FLOAT
        self.is_signed = stand_in.kind in "ifc"

    def __getattr__(self, name: str) -> Any:
        """What is not there yet: NumPy has no bfloat16 until `ml_dtypes` is imported."""
        if name != "numpy":
            raise AttributeError(f"'torch.dtype' object has no attribute {name!r}")
        import ml_dtypes  # costs as much as a tenth of NumPy

        self.numpy = np.dtype(ml_dtypes.bfloat16)
        _OF[self.numpy] = _OF[self.numpy.type] = self
        return self.numpy

    def __repr__(self) -> str:
        return f"torch.{self.name}"  # as PyTorch prints it: `import wengert as torch` reads it back

    def __reduce__(self) -> str:
        return "bool_" if self.name == "bool" else self.name

    @property
    def dtype(self) -> np.dtype[Any]:
        """What NumPy looks for when it is given a `dtype` of ours."""
        return self.numpy

    def to_real(self) -> Dtype:
        """The float dtype of a complex one's parts; itself otherwise."""
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    def to_complex(self) -> Dtype:
        """The complex dtype whose parts have this float dtype; itself otherwise."""
        if self.is_half:
            return complex64  # there is no complex32 here
        return {"float32": complex64, "float64": complex128}.get(self.name, self)


# `words` is how PyTorch's error messages call the type.
float16, bfloat16, float32, float64 = (
    dtype("float16", "Half"), dtype(_BFLOAT16, "BFloat16"), dtype("float32", "Float"),
    dtype("float64", "Double"))
complex64, complex128 = dtype("complex64", "ComplexFloat"), dtype("complex128", "ComplexDouble")
int8, int16, int32, int64 = (
    dtype("int8", "Char"), dtype("int16", "Short"), dtype("int32", "Int"), dtype("int64", "Long"))
uint8, uint16, uint32, uint64 = (
    dtype("uint8", "Byte"), dtype("uint16", "UInt16"), dtype("uint32", "UInt32"),
    dtype("uint64", "UInt64"))
bool_ = dtype("bool", "Bool")

ALL = (bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64, float16, bfloat16,
       float32, float64, complex64, complex128)
_OF: dict[Any, dtype] = {d: d for d in ALL}
_OF.update({d.numpy: d for d in ALL if d is not bfloat16})
_OF.update({d.numpy.type: d for d in ALL if d is not bfloat16})
_OF.update({bool: bool_, int: int64, float: float64, complex: complex128})


class _Default:
    """The default float dtype: one for the process, as in PyTorch."""

    float: dtype = float32


def of(kind: Any) -> dtype:
    """The dtype meant by a dtype of ours, a NumPy dtype or scalar type, or a Python type.

    Raises:
        TypeError: for anything that names no supported dtype.

    Example:
        >>> of(float), of(np.dtype("int32"))
        (torch.float64, torch.int32)
    """
    try:
        return _OF[kind]
    except (KeyError, TypeError):
        pass
    if "ml_dtypes" in sys.modules and kind == bfloat16.numpy:  # an array that others made
        return bfloat16
    if isinstance(kind, np.dtype) and (found := _OF.get(kind.newbyteorder("="))) is not None:
        return found
    raise TypeError(f"dtype must be a torch.dtype, not {kind!r}" if not isinstance(kind, np.dtype)
                    else f"can't convert np.ndarray of type numpy.{kind.type.__name__}. The only "
                         "supported types are: float64, float32, float16, complex64, complex128, "
                         "int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool.")


def c_name(kind: dtype, *, alone: bool = False) -> str:
    """What C++, and so some messages of PyTorch's, calls the numbers of a dtype; `alone` says
    which of a type's names."""
    found = _C_ALONE.get(kind.name) if alone else None
    return found or _C_NAMES.get(kind.name, f"{kind.name}_t")


_C_NAMES = {"float32": "float", "float64": "double", "int32": "int", "float16": "c10::Half",
            "bfloat16": "c10::BFloat16", "bool": "bool", "complex64": "c10::complex<float>",
            "complex128": "c10::complex<double>"}
_C_ALONE = {"int64": "long int", "uint8": "unsigned char", "int8": "signed char",
            "int16": "short int"}


def get_default_dtype() -> dtype:
    """The dtype that Python floats become: float32 unless changed.

    Example:
        >>> import wengert as torch
        >>> torch.get_default_dtype()
        torch.float32
    """
    return _Default.float


def set_default_dtype(d: Any) -> None:
    """Sets the dtype that Python floats become: one of the floats.

    Raises:
        TypeError: if `d` is not a floating-point dtype.

    Example:
        >>> import wengert as torch
        >>> torch.set_default_dtype(torch.float64); torch.tensor(1.5).dtype
        torch.float64
        >>> torch.set_default_dtype(torch.float32)
    """
    kind = of(d)
    if not kind.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _Default.float = kind


def of_number(number: Any) -> dtype:
    """The dtype of a Python number that meets no tensor: bool, int64, or the defaults."""
    if isinstance(number, (bool, np.bool_)):
        return bool_
    if isinstance(number, (int, np.integer)):
        return int64
    if isinstance(number, (float, np.floating)):
        return _Default.float
    return _Default.float.to_complex()


def _promote(a: dtype, b: dtype) -> dtype | None:
    """The dtype that two promote to; None where no integer holds all that both hold."""
    low, high = sorted((a, b), key=lambda d: d.category)
    if a is b or low.category < FLOAT <= high.category:
        return high  # an integer never widens a float: int64 with float16 is float16
    if high.category == INTEGER and uint64 in (a, b) and (low.is_signed or high.is_signed):
        return None
    # Beside any other float, bfloat16 counts as float32: neither half holds the other.
    return _OF[np.promote_types(*[np.dtype("f4") if d is bfloat16 else d.numpy for d in (a, b)])]


PROMOTED = {(a, b): found for a in ALL for b in ALL if (found := _promote(a, b)) is not None}


def promote(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that both convert to (`torch.promote_types`).

    PyTorch leaves uint16, uint32 and uint64 out; here they promote as the array API standard says.

    Raises:
        RuntimeError: for uint64 with a signed integer, which no dtype holds.

    Example:
        >>> promote(int64, float16), promote(uint8, int8), promote(float16, bfloat16)
        (torch.float16, torch.int16, torch.float32)
    """
    found = PROMOTED.get((type1, type2))
    if found is None:
        raise RuntimeError("Promotion for uint16, uint32, uint64 types is not supported, attempted "
                           f"to promote {type1.words} and {type2.words}")
    return found


def _combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
    """The result where operands of `lower` rank of dimension matter only by category."""
    if higher is None or lower is None or higher.category >= lower.category:
        return lower if higher is None else higher
    if higher.category == FLOAT:
        return higher.to_complex()
    return promote(higher, lower)


def result_type(ranked: list[tuple[int, dtype]]) -> dtype:
    """The dtype of a result from operands given as (rank, dtype).

    Rank 2 is a tensor with dimensions, 1 a 0-d tensor, 0 a Python number.
    """
    return _result_type(*ranked)


@functools.lru_cache
def _result_type(*ranked: tuple[int, dtype]) -> dtype:
    at: list[dtype | None] = [None, None, None]
    for rank, kind in ranked:
        before = at[rank]
        at[rank] = kind if before is None else promote(before, kind)
    found = _combine(at[2], _combine(at[1], at[0]))
    assert found is not None, "result_type needs at least one operand"
    return found


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether a result of a dtype may be stored as another (`torch.can_cast`).

    Example:
        >>> can_cast(float64, float32), can_cast(float32, int64)
        (True, False)
    """
    return from_.category <= to.category


def check_cast(source: dtype, target: dtype) -> None:
    """Refuses a result whose kind of number its place does not hold."""
    if not can_cast(source, target):
        raise RuntimeError(f"result type {source.words} can't be cast to the desired output type "
                           f"{target.words}")
