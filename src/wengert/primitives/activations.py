"""What neurons do to their input, as primitives: one pass each, and PyTorch's slopes at kinks.

`gelu`, `silu`, `relu`, `softplus` and `sigmoid`, which others use too, stand in `elementwise`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.handle import Handle
from ..core.primitive import Primitive, elementwise
from .elementwise import (
    abs_,
    clamp,
    exp,
    expm1,
    log1p,
    minimum,
    sech2,
    sigmoid,
    softplus,
    tanh,
    where,
)


def _activation(name: str, function: Any, *slopes: Any, **fields: Any) -> Primitive:
    """An activation, written in primitives; for arrays as for tensors and the compiler."""
    fields.setdefault("refuses", {"bic": f"{name}_cpu"})
    return elementwise(name, lambda *xs, **params: np.asarray(function(*xs, **params)), *slopes,
                       lower=function, **fields)


def _elu(x: Any, alpha: float, scale: float, width: float) -> Any:
    below = expm1(minimum(x, _like(0, x)) * (1 / width)) * (alpha * scale)
    return where(x > 0, x if scale == 1 else x * scale, below)


def _elu_slope(g: Any, x: Any, alpha: float, scale: float, width: float) -> Any:
    below = exp(minimum(x, _like(0, x)) * (1 / width)) * (alpha * scale / width)
    return g * where(x > 0, scale, below)


def _like(number: float, x: Any) -> np.ndarray:
    """A number in the dtype of an array or a tensor."""
    return np.asarray(number, x.aval.numpy if isinstance(x, Handle) else x.dtype)


elu = _activation("elu", _elu, _elu_slope)
"""scale * x above 0, scale * alpha (e**(x / width) - 1) elsewhere."""
celu = elu.named("CeluBackward0")
leaky_relu = _activation("leaky_relu", lambda x, slope: where(x > 0, x, x * slope),
                         lambda g, x, slope: where(x > 0, g, g * slope))
prelu = _activation("prelu", lambda x, y: where(x > 0, x, x * y),
                    lambda g, x, y: where(x > 0, g, g * y), lambda g, x: where(x > 0, 0, g * x),
                    node="PreluKernelBackward0")
hardtanh = _activation("hardtanh", lambda x, low, high: clamp(x, low=low, high=high),
                       lambda g, x, low, high: where((x > low) & (x < high), g, 0),
                       refuses={"c": "clamp is not supported for complex types"})
hardsigmoid = _activation(
    "hardsigmoid", lambda x: clamp(x + 3, low=0.0, high=6.0) * (1 / 6),
    lambda g, x: where((x > -3) & (x < 3), g * (1 / 6), 0))
hardswish = _activation(
    "hardswish", lambda x: x * (clamp(x + 3, low=0.0, high=6.0) * (1 / 6)),
    lambda g, x: where(x <= -3, 0, where(x < 3, g * (x * (1 / 3) + 0.5), g)))
hardshrink = _activation(
    "hardshrink", lambda x, width: where((x >= -width) & (x <= width), 0, x),
    lambda g, x, width: where((x >= -width) & (x <= width), 0, g))
softshrink = _activation(
    "softshrink", lambda x, width: where(x > width, x - width, where(x < -width, x + width, x * 0)),
    lambda g, x, width: where((x >= -width) & (x <= width), 0, g))
threshold = _activation(
    "threshold", lambda x, bound, value: where(x <= bound, _like(value, x), x),
    lambda g, x, bound: where(x <= bound, 0, g), refuses={"c": "threshold_cpu"})
log_sigmoid = _activation(
    "log_sigmoid", lambda x: minimum(x, _like(0, x)) - log1p(exp(-abs_(x))),
    lambda g, x: g * sigmoid(-x), node="LogSigmoidBackward0")


def _mish(x: Any) -> Any:
    return x * tanh(softplus(x, beta=1.0, threshold=20.0))


def _mish_slope(g: Any, x: Any) -> Any:
    inner = softplus(x, beta=1.0, threshold=20.0)
    return g * (tanh(inner) + x * (sigmoid(x) * sech2(inner)))


mish = _activation("mish", _mish, _mish_slope)
