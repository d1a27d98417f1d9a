"""Questions: comparisons, logic, kinds of numbers, closeness, membership."""

from __future__ import annotations

import builtins
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.formats import contiguous, joint
from ...core.handle import Handle, wrap
from ...core.levels import concrete, deepest, here, quietly
from ...core.primitive import broadcast_shapes
from ...primitives import elementwise as e
from .. import operators
from ..arguments import LOOKS, also, need_tensor
from ..operators import is_number, promoted
from .words import binary, documented

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "allclose", "eq", "equal", "ge", "greater", "greater_equal", "gt", "is_nonzero",
    "is_same_size", "isclose", "isfinite", "isin", "isinf", "isnan", "isneginf", "isposinf",
    "isreal", "le", "less", "less_equal", "logical_and", "logical_not", "logical_or",
    "logical_xor", "lt", "ne", "not_equal", "signbit",
]

# --- comparisons and logic --------------------------------------------------------------------

eq_operator, ne_operator = operators.comparison(e.eq), operators.comparison(e.ne)
lt_operator, le_operator = operators.comparison(e.lt), operators.comparison(e.le)
gt_operator, ge_operator = operators.comparison(e.gt), operators.comparison(e.ge)


def _comparison(name: str, apply: Any, says: str, *, tensors: bool = False) -> Any:
    return binary(name, apply, says, tensors=tensors, first=False)


eq = _comparison("eq", eq_operator, "input == other, element by element.")
ne = _comparison("ne", ne_operator, "input != other, element by element.")
lt = _comparison("lt", lt_operator, "input < other, element by element.")
le = _comparison("le", le_operator, "input <= other, element by element.")
gt = _comparison("gt", gt_operator, "input > other, element by element.")
ge = _comparison("ge", ge_operator, "input >= other, element by element.")
logical_and = _comparison("logical_and", operators.comparison(e.logical_and),
                          "Whether both elements are non-zero.", tensors=True)
logical_or = _comparison("logical_or", operators.comparison(e.logical_or),
                         "Whether either element is non-zero.", tensors=True)
logical_xor = _comparison("logical_xor", operators.comparison(e.logical_xor),
                          "Whether exactly one element is non-zero.", tensors=True)

# --- of one operand ---------------------------------------------------------------------------


def _question(name: str, primitive: Any, says: str) -> Any:
    return documented(operators.question(primitive), name, says)


isnan = _question("isnan", e.isnan, "Whether each element is NaN.")
isinf = _question("isinf", e.isinf, "Whether each element is infinite.")
isfinite = _question("isfinite", e.isfinite, "Whether each element is neither infinite nor NaN.")
logical_not = _question("logical_not", e.logical_not, "Whether each element is zero.")
isreal = _question("isreal", e.isreal, "Whether each element has no imaginary part.")
signbit = _question("signbit", e.signbit, "Whether each element has a minus sign, as -0.0 has.")


def isposinf(input: Tensor) -> Tensor:
    """Whether each element is positive infinity."""
    return eq_operator(_real("isposinf", input), math.inf)


def isneginf(input: Tensor) -> Tensor:
    """Whether each element is negative infinity."""
    return eq_operator(_real("isneginf", input), -math.inf)


def _real(name: str, x: Any) -> Any:
    if need_tensor(name, x).aval.is_complex:
        raise RuntimeError(f"{name} does not support complex inputs.")
    return x


def is_nonzero(input: Tensor) -> builtins.bool:
    """Whether a tensor's one element is not zero.

    Raises:
        RuntimeError: unless there is exactly one.
    """
    return builtins.bool(need_tensor("is_nonzero", input))


# --- closeness --------------------------------------------------------------------------------


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08,
            equal_nan: bool = False) -> Tensor:
    """Whether |input - other| <= atol + rtol * |other|, element by element.

    Raises:
        RuntimeError: for a negative tolerance, or two different dtypes.
    """
    _check_closeness("isclose", input, other, rtol, atol)
    if input.aval.dtype is dtypes.bool_:
        input, other = promoted((input, other), floats=True)
    if deepest((input, other)) is None and here.recorder is None:
        values = input.value, other.value
        found = np.asarray(quietly(_close, *values, rtol, atol, equal_nan))
        return wrap(found if contiguous(values) else joint(found, values))
    return _close(input, other, rtol, atol, equal_nan)


def _close(x: Any, y: Any, rtol: float, atol: float, equal_nan: bool) -> Any:
    """`isclose`, of arrays and tensors alike."""
    close = x == y
    if equal_nan:
        close = close | ((x != x) & (y != y))
    if rtol or atol:
        error = abs(x - y)
        close = close | (e.isfinite(error) & (error <= atol + abs(rtol * y)))
    return close


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08,
             equal_nan: bool = False) -> builtins.bool:
    """Whether all elements are close, as `isclose` says."""
    _check_closeness("allclose", input, other, rtol, atol)
    return builtins.bool(concrete(isclose(input, other, rtol, atol, equal_nan), LOOKS).all())


def _check_closeness(name: str, x: Any, y: Any, rtol: float, atol: float) -> None:
    need_tensor(name, x)
    if need_tensor(name, y, "other", 2).aval.dtype is not x.aval.dtype:
        raise RuntimeError(f"{x.aval.dtype.words} did not match {y.aval.dtype.words}")
    broadcast_shapes([x.aval.shape, y.aval.shape])
    for word, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance < 0:
            raise RuntimeError(f"{word} must be greater than or equal to zero, but got {tolerance}")


def equal(input: Tensor, other: Tensor) -> builtins.bool:
    """Whether two tensors have the same size and elements."""
    need_tensor("equal", input)
    need_tensor("equal", other, "other", 2)
    return input.aval.shape == other.aval.shape and builtins.bool(np.logical_and.reduce(
        here.run(np.equal, concrete(input, LOOKS), concrete(other, LOOKS)), None))


def is_same_size(input: Tensor, other: Tensor) -> builtins.bool:
    """Whether two tensors have the same shape."""
    need_tensor("is_same_size", input)
    return bool(input.aval.shape == need_tensor("is_same_size", other, "other", 2).aval.shape)


# --- membership -------------------------------------------------------------------------------


@also(element="elements", test_element="test_elements")
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False,
         invert: bool = False) -> Tensor:
    """Whether each element is among others.

    Args:
        elements: a tensor or number.
        test_elements: a tensor or number (not both numbers).
        assume_unique: taken for PyTorch's sake; nothing depends on it.
        invert: ask whether it is not.

    Raises:
        RuntimeError: for bools and complex numbers.

    Example:
        >>> import wengert as torch
        >>> torch.isin(torch.tensor([1, 2, 3]), torch.tensor([3, 1]))
        tensor([ True, False,  True])
    """
    if not isinstance(elements, Handle) and not isinstance(test_elements, Handle):
        need_tensor("isin", elements, "elements")
    for i, (word, x) in enumerate((("elements", elements), ("test_elements", test_elements)), 1):
        if not is_number(x) and need_tensor("isin", x, word, i).aval.dtype.name not in _SORTABLE:
            raise RuntimeError(
                f"Unsupported input type encountered for isin(): {x.aval.dtype.words}")
    x, y = promoted((elements, test_elements))
    found = e.isin(x, y)
    return e.logical_not(found) if invert else found


_SORTABLE = {"uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
             "float64"}

# PyTorch's other names for the same things.
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
