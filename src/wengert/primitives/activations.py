"""What neurons do to their input, as primitives: one pass each, and PyTorch's slopes at kinks.

`gelu`, `silu`, `relu`, `softplus` and `sigmoid`, which others use too, stand in `elementwise`.

Each is written in primitives. Where that would take many of NumPy's calls, `on_arrays` says the
same in few: they are what small arrays cost.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.formats import dense, joint
from ..core.handle import Handle
from ..core.primitive import Primitive, elementwise, primitive
from .elementwise import (
    ZERO,
    abs_,
    clamp,
    exp,
    expm1,
    log1p,
    minimum,
    sides,
    sigmoid,
    slope,
    where,
)
from .layout import cat, narrow


def _activation(name: str, function: Any, *slopes: Any, on_arrays: Any = None,
                **fields: Any) -> Primitive:
    """An activation, written in primitives; for arrays as for tensors and the compiler."""
    fields.setdefault("refuses", {"bic": f"{name}_cpu"})
    return elementwise(name, on_arrays or function, *slopes, lower=function, **fields)


# --- exponential below 0 ----------------------------------------------------------------------


def _elu(x: Any, alpha: float, scale: float, width: float) -> Any:
    below = expm1(minimum(x, _like(0, x)) * (1 / width)) * (alpha * scale)
    return where(x > 0, x if scale == 1 else x * scale, below)


def _elu_slope(g: Any, x: Any, alpha: float, scale: float, width: float) -> Any:
    below = exp(where(x < 0, x, 0) * (1 / width)) * (alpha * scale / width)  # no slope at 0
    return g * where(x <= 0, below, scale)


def _scaled_below(x: np.ndarray, width: float, least: np.ufunc = np.minimum) -> np.ndarray:
    """min(x, 0) / width, a new array."""
    below = least(x, ZERO[x.dtype], out=...)
    if width != 1:
        below *= 1 / width
    return below


def _elu_array(x: np.ndarray, alpha: float, scale: float, width: float) -> np.ndarray:
    out = _scaled_below(x, width)
    np.expm1(out, out=out)
    if alpha * scale != 1:
        out *= alpha * scale
    np.copyto(out, x if scale == 1 else x * scale, where=x > ZERO[x.dtype])
    return out


def _elu_slope_array(g: np.ndarray, x: np.ndarray, alpha: float, scale: float,
                     width: float) -> np.ndarray:
    out = _scaled_below(x, width, np.fmin)  # of NaN, as above
    np.exp(out, out=out)
    if (factor := alpha * scale / width) != 1:
        out *= factor
    if factor != scale:  # else both sides meet without a kink
        np.copyto(out, scale, where=np.logical_not(x <= ZERO[x.dtype]))
    return g * out


elu_slope = slope("elu_slope", _elu_slope_array, _elu_slope)
elu = _activation("elu", _elu, lambda g, x, alpha, scale, width: elu_slope(
    g, x, alpha=alpha, scale=scale, width=width), on_arrays=_elu_array)
"""scale * x above 0, scale * alpha (e**(x / width) - 1) elsewhere."""
celu = elu.named("CeluBackward0")

# --- pieces -----------------------------------------------------------------------------------


def _like(number: float, x: Any) -> np.ndarray:
    """A number in the dtype of an array or a tensor."""
    return np.asarray(number, x.aval.numpy if isinstance(x, Handle) else x.dtype)


leaky_relu = _activation("leaky_relu", lambda x, slope: where(x > 0, x, x * slope),
                         lambda g, x, slope: where(x > 0, g, g * slope))
prelu = _activation("prelu", lambda x, y: where(x > 0, x, x * y),
                    lambda g, x, y: where(x > 0, g, g * y), lambda g, x: where(x > 0, 0, g * x),
                    node="PreluKernelBackward0")
hardtanh = _activation("hardtanh", lambda x, low, high: clamp(x, low=low, high=high),
                       lambda g, x, low, high: where((x <= low) | (x >= high), 0, g),
                       refuses={"c": "clamp is not supported for complex types"})
hardsigmoid = _activation(
    "hardsigmoid", lambda x: clamp(x + 3, low=0.0, high=6.0) * (1 / 6),
    lambda g, x: where((x > -3) & (x < 3), g * (1 / 6), 0))
hardswish = _activation(
    "hardswish", lambda x: x * (clamp(x + 3, low=0.0, high=6.0) * (1 / 6)),
    lambda g, x: where(x <= -3, 0, where(x < 3, g * (x * (1 / 3) + 0.5), g)))


def _outside(g: Any, x: Any, width: float) -> Any:
    """g where x is not between -width and width."""
    return where(abs_(x) <= width, 0, g)


def _outside_array(g: np.ndarray, x: np.ndarray, width: float) -> np.ndarray:
    return np.where(np.abs(x) <= width, ZERO[x.dtype], g)


outside = slope("outside", _outside_array, _outside)
hardshrink = _activation(
    "hardshrink", lambda x, width: _outside(x, x, width),
    lambda g, x, width: outside(g, x, width=width),
    on_arrays=lambda x, width: _outside_array(x, x, width))
softshrink = _activation(
    "softshrink", lambda x, width: x - clamp(x, low=-width, high=width),
    lambda g, x, width: outside(g, x, width=width))
threshold = _activation(
    "threshold", lambda x, bound, value: where(x <= bound, _like(value, x), x),
    lambda g, x, bound: where(x <= bound, 0, g), refuses={"c": "threshold_cpu"})

# --- by way of logarithms ---------------------------------------------------------------------

log_sigmoid = _activation(
    "log_sigmoid", lambda x: minimum(x, _like(0, x)) - log1p(exp(-abs_(x))),
    lambda g, x: g * sigmoid(-x), node="LogSigmoidBackward0", order=dense)


def _gate(p: Any, q: Any) -> Any:
    """tanh(log(1 + p / q)), without logarithms."""
    above = p * (p + (q + q))
    return above / (above + q * (q + q))


def _gate_slope(p: Any, q: Any) -> Any:
    """p / (p + q) times what is left of 1 by `_gate` squared."""
    twice = q + q
    share = twice / (p * (p + twice) + q * twice)
    return p * (p + q) * (share * share)


def _sides(x: Any) -> tuple[Any, Any]:
    """`sides` in primitives."""
    return exp(minimum(x, _like(0, x))), exp(minimum(-x, _like(0, x)))


mish_gate_slope = elementwise(
    "mish_gate_slope", lambda x: _gate_slope(*sides(x)),
    lambda g, x, out: g * (out * (sigmoid(-x) - 2 * (sigmoid(x) * mish_gate(x)))),
    lower=lambda x: _gate_slope(*_sides(x)), refuses={"bic": "mish_backward_cpu"})
mish_gate = elementwise(
    "mish_gate", lambda x: _gate(*sides(x)), lambda g, x: g * mish_gate_slope(x),
    lower=lambda x: _gate(*_sides(x)), refuses={"bic": "mish_cpu"})
"""tanh(softplus(x)), what `mish` multiplies x by."""
mish = _activation("mish", lambda x: x * mish_gate(x),
                   lambda g, x: g * (mish_gate(x) + x * mish_gate_slope(x)))

# --- one half of a tensor as the gate of the other ----------------------------------------------


def _halves(x: Any, dim: int) -> tuple[Any, Any]:
    n = x.shape[dim] // 2
    return narrow(x, dim, 0, n), narrow(x, dim, n, n)


def _glu(x: Any, dim: int) -> Any:
    passed, gate = _halves(x, dim)
    return passed * sigmoid(gate)


def _glu_pulled(g: Any, x: Any, dim: int) -> Any:
    passed, gate = _halves(x, dim)
    g = g * sigmoid(gate)
    return cat(g, g * passed * sigmoid(-gate), dim=dim)


def _glu_pushed(t: Any, x: Any, dim: int) -> Any:
    (passed, gate), (t_passed, t_gate) = _halves(x, dim), _halves(t, dim)
    return sigmoid(gate) * (t_passed + t_gate * passed * sigmoid(-gate))


glu = primitive(
    "glu", _glu, vjp=(_glu_pulled,), jvp=(_glu_pushed,), decompose=_glu, order=joint,
    abstract=lambda x, dim: x.with_shape((*x.shape[:dim], x.shape[dim] // 2, *x.shape[dim + 1:])))
"""The first half of x along a dimension, times the sigmoid of the second."""
