"""Primitives between real and complex numbers, beside `real`, `imag` and `conj` (in `layout`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.buffers import empty
from ..core.primitive import Rule, elementwise, linear
from .elementwise import cos, sin
from .layout import cast, conj, imag, real
from .pieces import is_complex, sgn, size, where, zero

conj_physical = conj.named("ConjPhysicalBackward0")


_OF_PARTS: dict[str, np.dtype[Any]] = {"e": np.dtype("F"), "f": np.dtype("F"), "d": np.dtype("D")}


def _complex(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By parts: x + 1j * y would make NaN of infinities."""
    shape = x.shape if x.shape == y.shape else np.broadcast_shapes(x.shape, y.shape)
    out = empty(shape, _OF_PARTS[x.dtype.char])
    out.real, out.imag = x, y
    return out


complex_ = elementwise("complex", _complex, lambda g: real(g), lambda g: imag(g),
                       result="complex", conjugate=False, refuses={"bic": "complex"},
                       jvp=(lambda g, out_aval: cast(g, dtype=out_aval.dtype),
                            lambda g, out_aval: cast(g, dtype=out_aval.dtype) * 1j))
"""x + iy."""


def _polar(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    shape = x.shape if x.shape == y.shape else np.broadcast_shapes(x.shape, y.shape)
    out = empty(shape, _OF_PARTS[x.dtype.char])
    np.multiply(x, np.cos(y), out.real)
    np.multiply(x, np.sin(y), out.imag)
    return out


polar = elementwise(
    "polar", _polar, lambda g, y: real(g) * cos(y) + imag(g) * sin(y),
    lambda g, x, y: x * (imag(g) * cos(y) - real(g) * sin(y)),
    result="complex", conjugate=False, refuses={"bic": "polar"},
    jvp=(lambda g, y: complex_(g * cos(y), g * sin(y)),
         lambda g, x, y: complex_(-g * (x * sin(y)), g * (x * cos(y)))))
"""The complex number of absolute value x and angle y."""

# --- angles -----------------------------------------------------------------------------------


def _angle(x: np.ndarray) -> np.ndarray:
    """Unlike NumPy's, 0 at -0.0 where there is no imaginary part."""
    if x.dtype.kind == "c":
        return np.angle(x)
    return np.arctan2(x.dtype.type(0), x + x.dtype.type(0))


def _round_the_origin(x: Any) -> Any:
    """By how much, and in which direction, x moves when its angle grows; 0 at 0."""
    return where(x == 0, 0, 1j * sgn(x) / size(x))


angle = elementwise(
    "angle", _angle,
    lambda g, x: g * _round_the_origin(x) if is_complex(x) else zero(g),
    jvp=(lambda g, x: real(conj(_round_the_origin(x)) * g) if is_complex(x) else zero(g),),
    result="real", conjugate=False,
    lower=lambda x: where(x != x, x, where(x < 0, math.pi, zero(x))))
_nowhere = Rule(lambda g: zero(g)),
angle_of_real = angle.named("AngleBackward0", vjp=_nowhere, jvp=_nowhere)
"""The angle between a complex number and the positive reals."""

# --- the same memory, seen otherwise ----------------------------------------------------------


def _view_as_real(x: np.ndarray) -> np.ndarray:
    return x[..., None].view(x.real.dtype)


def _view_as_complex(x: np.ndarray) -> np.ndarray:
    if x.itemsize < 4 or (x.strides[-1] != x.itemsize and x.size):
        x = np.ascontiguousarray(x, np.result_type(x.dtype, np.float32))  # else it is no view
    return x.view(np.result_type(x.dtype, np.complex64))[..., 0]


view_as_real = linear(
    "view_as_real", _view_as_real, lambda g: view_as_complex(g),
    abstract=lambda x: x.with_dtype(x.dtype.to_real()).with_shape((*x.shape, 2)), view=True,
    conjugate=False, batch=lambda size, batched, x: view_as_real(x))
view_as_complex = linear(
    "view_as_complex", _view_as_complex, lambda g: view_as_real(g),
    abstract=lambda x: x.with_dtype(x.dtype.to_complex()).with_shape(x.shape[:-1]), view=True,
    conjugate=False, batch=lambda size, batched, x: view_as_complex(x),
    refuses={"bic": "view_as_complex"})
