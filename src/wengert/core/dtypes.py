"""Dtypes in PyTorch's words and the rules by which they combine.

A `dtype` is a thin, interned name for a NumPy dtype with the few facts that the system asks for.
Promotion follows PyTorch: categories decide (bool < integer < float < complex), and an operand
of a lower rank of *dimension* (a 0-d tensor beside an n-d one, a Python number beside a tensor)
changes the result only when its category is higher.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

BOOL, INTEGER, FLOAT, COMPLEX = range(4)
_CATEGORY = {"b": BOOL, "i": INTEGER, "u": INTEGER, "f": FLOAT, "c": COMPLEX}

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

    Example:
        >>> import wengert as torch
        >>> torch.float64.itemsize, torch.complex64.is_complex
        (8, True)
    """

    __slots__ = ("category", "differentiable", "is_complex", "is_floating_point", "is_signed",
                 "itemsize", "name", "numpy", "words")

    def __init__(self, name: str, words: str) -> None:
        self.name, self.words = name, words
        self.numpy: np.dtype[Any] = np.dtype(name)
        self.itemsize: int = self.numpy.itemsize
        self.category: int = _CATEGORY[self.numpy.kind]
        self.is_floating_point = self.category == FLOAT
        self.is_complex = self.category == COMPLEX
        self.differentiable = self.category >= FLOAT
        self.is_signed = self.numpy.kind in "ifc"

    def __repr__(self) -> str:
        return f"torch.{self.name}"  # as PyTorch prints it: `import wengert as torch` reads it back

    def __reduce__(self) -> str:
        return self.name

    @property
    def dtype(self) -> np.dtype[Any]:
        """What NumPy looks for when it is given a `dtype` of ours."""
        return self.numpy

    def to_real(self) -> Dtype:
        """The float dtype of a complex one's parts; itself otherwise."""
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    def to_complex(self) -> Dtype:
        """The complex dtype whose parts have this float dtype; itself otherwise."""
        return {"float16": complex64, "float32": complex64, "float64": complex128}.get(
            self.name, self)


# `words` is how PyTorch's error messages call the type.
float16, float32, float64 = (
    dtype("float16", "Half"), dtype("float32", "Float"), dtype("float64", "Double"))
complex64, complex128 = dtype("complex64", "ComplexFloat"), dtype("complex128", "ComplexDouble")
int8, int16, int32, int64 = (
    dtype("int8", "Char"), dtype("int16", "Short"), dtype("int32", "Int"), dtype("int64", "Long"))
uint8, bool_ = dtype("uint8", "Byte"), dtype("bool", "Bool")

ALL = (bool_, uint8, int8, int16, int32, int64, float16, float32, float64, complex64, complex128)
_OF: dict[Any, dtype] = {d: d for d in ALL}
_OF.update({d.numpy: d for d in ALL})
_OF.update({d.numpy.type: d for d in ALL})
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
    if isinstance(kind, np.dtype) and (found := _OF.get(kind.newbyteorder("="))) is not None:
        return found
    raise TypeError(f"dtype must be a torch.dtype, not {kind!r}" if not isinstance(kind, np.dtype)
                    else f"can't convert np.ndarray of type numpy.{kind.type.__name__}. The only "
                         "supported types are: float64, float32, float16, complex64, complex128, "
                         "int64, int32, int16, int8, uint8, and bool.")


def get_default_dtype() -> dtype:
    """The dtype that Python floats become: float32 unless changed.

    Example:
        >>> import wengert as torch
        >>> torch.get_default_dtype()
        torch.float32
    """
    return _Default.float


def set_default_dtype(d: Any) -> None:
    """Sets the dtype that Python floats become (float16, float32 or float64).

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


def _promote(a: dtype, b: dtype) -> dtype:
    low, high = sorted((a, b), key=lambda d: d.category)
    if low.category < FLOAT <= high.category:
        return high  # an integer never widens a float: int64 with float16 is float16
    return _OF[np.promote_types(a.numpy, b.numpy)]


_PROMOTED = {(a, b): _promote(a, b) for a in ALL for b in ALL}


def promote(a: dtype, b: dtype) -> dtype:
    """The smallest dtype that both convert to (`torch.promote_types`).

    Example:
        >>> promote(int64, float16), promote(uint8, int8)
        (torch.float16, torch.int16)
    """
    return _PROMOTED[a, b]


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
    at: list[dtype | None] = [None, None, None]
    for rank, kind in ranked:
        before = at[rank]
        at[rank] = kind if before is None else _PROMOTED[before, kind]
    found = _combine(at[2], _combine(at[1], at[0]))
    assert found is not None, "result_type needs at least one operand"
    return found


def can_cast(source: dtype, target: dtype) -> bool:
    """Whether a result of dtype `source` may be stored as `target` (`torch.can_cast`).

    Example:
        >>> can_cast(float64, float32), can_cast(float32, int64)
        (True, False)
    """
    if source.category != target.category:
        return source.category < target.category
    return True
