"""Primitives whose answers have no slope: comparisons, logic, bits, whole numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.primitive import Primitive, elementwise, primitive
from .layout import reshape


def _question(name: str, ufunc: Any, **fields: Any) -> Primitive:
    return elementwise(name, ufunc, result="bool", **fields)


eq, ne = _question("eq", np.equal), _question("ne", np.not_equal)
lt = _question("lt", np.less, refuses={"c": "lt_cpu"})
le = _question("le", np.less_equal, refuses={"c": "le_cpu"})
gt = _question("gt", np.greater, refuses={"c": "gt_cpu"})
ge = _question("ge", np.greater_equal, refuses={"c": "ge_cpu"})
logical_and, logical_or = (_question("logical_and", np.logical_and),
                           _question("logical_or", np.logical_or))
logical_xor, logical_not = (_question("logical_xor", np.logical_xor),
                            _question("logical_not", np.logical_not))
isnan, isinf, isfinite = (_question("isnan", np.isnan), _question("isinf", np.isinf),
                          _question("isfinite", np.isfinite))
isreal = _question("isreal", lambda x: x.imag == 0 if x.dtype.kind == "c" else
                   np.ones_like(x, np.bool_))
signbit = _question("signbit", np.signbit,
                    refuses={"c": "signbit is not implemented for complex tensors."})

# --- bits and whole numbers -------------------------------------------------------------------

bitwise_and = elementwise("bitwise_and", np.bitwise_and, refuses={"fc": "bitwise_and_cpu"})
bitwise_or = elementwise("bitwise_or", np.bitwise_or, refuses={"fc": "bitwise_or_cpu"})
bitwise_xor = elementwise("bitwise_xor", np.bitwise_xor, refuses={"fc": "bitwise_xor_cpu"})
bitwise_not = elementwise("bitwise_not", np.invert, refuses={"fc": "bitwise_not_cpu"})
left_shift = elementwise("bitwise_left_shift", np.left_shift, refuses={"bfc": "lshift_cpu"})
right_shift = elementwise("bitwise_right_shift", np.right_shift, refuses={"bfc": "rshift_cpu"})
gcd = elementwise("gcd", lambda x, y: np.gcd(x, y), refuses={"bfc": "gcd_cpu"})
lcm = elementwise("lcm", lambda x, y: np.lcm(x, y), refuses={"bfc": "lcm_cpu"})
"""To the compiler neither is a ufunc, as native loops have none such."""

# --- membership -------------------------------------------------------------------------------


def _isin_examples(size: int, batched: tuple[bool, bool], x: Any, y: Any) -> Any:
    """Each example's elements are looked for among its own, all compared with all."""
    if not batched[1]:
        return isin(x, y)
    x = reshape(x, shape=(*x.shape, 1))
    ones = (1,) * (len(x.shape) - 1 - batched[0])
    return (x == reshape(y, shape=(size, *ones, math.prod(y.shape[1:])))).any(-1)


def _isin(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of few elements all are compared with all; NumPy's function would sort them."""
    if x.size * y.size > _FEW:
        return np.isin(x, y)
    return np.logical_or.reduce(np.equal.outer(x, y.ravel()), -1)


_FEW = 1 << 12
isin = primitive("isin", _isin, abstract=lambda x, y: x.boolean, batch=_isin_examples)
"""Whether each element of x is among those of y."""
