"""Losses of pairs of elements, x (what came out) and y (what was wanted), which have one shape.

Each is a value and two slopes per pair, and a reduction of them: one node, and one pass through
memory in compiled code. `how` is the loss's own parameter, if it has one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.aval import Aval
from ..core.formats import Order, joint, joint_from_last
from ..core.handle import plain_aval
from ..core.primitive import Primitive, primitive
from .activations import log_sigmoid
from .elementwise import abs_, clamp, exp, log, log1p, maximum, sgn, sigmoid, where
from .reductions import mean, sum_


def total(x: Any, reduction: str) -> Any:
    """The sum of all elements, or their mean, or x itself."""
    if reduction == "none":
        return x
    how = {"dims": tuple(range(len(x.shape))), "keepdim": False}
    return mean(x, **how) if reduction == "mean" else sum_(x, **how)


def _loss(name: str, value: Callable[..., Any], slope: Callable[..., Any],
          slope_y: Callable[..., Any], *, words: str, order: Order = joint) -> Primitive:
    """A loss by its value and slopes, functions of x, y and `how`."""
    slopes = (slope, slope_y)

    def whole(x: Any, y: Any, how: Any, reduction: str) -> Any:
        return total(value(x, y, how), reduction)

    def pullback(g: Any, x: Any, y: Any, x_aval: Aval, i: int, how: Any, reduction: str) -> Any:
        share = g / x_aval.numel if reduction == "mean" and x_aval.numel else g
        return share * slopes[i](x, y, how)

    def pushforward(t: Any, x: Any, y: Any, i: int, how: Any, reduction: str) -> Any:
        return total(t * slopes[i](x, y, how), reduction)

    return primitive(name, whole, decompose=whole, refuses={"bic": words}, order=order,
                     abstract=lambda x, y, how, reduction: (
                         x if reduction == "none" else x.with_shape(())),
                     vjp=(pullback,) * 2, jvp=(pushforward,) * 2)


def _number(number: float, x: Any) -> Any:
    return plain_aval(x).numpy.type(number)


# --- of differences ---------------------------------------------------------------------------


def _mse(x: Any, y: Any, how: Any) -> Any:
    apart = x - y
    return apart * apart


def _smooth(x: Any, y: Any, beta: float) -> Any:
    apart = abs_(x - y)
    return where(apart < beta, apart * apart * (0.5 / beta), apart - 0.5 * beta)


def _smooth_slope(x: Any, y: Any, beta: float) -> Any:
    return clamp((x - y) * (1 / beta), low=-1.0, high=1.0)


def _huber(x: Any, y: Any, delta: float) -> Any:
    apart = abs_(x - y)
    return where(apart <= delta, 0.5 * apart * apart, delta * (apart - 0.5 * delta))


def _huber_slope(x: Any, y: Any, delta: float) -> Any:
    return clamp(x - y, low=-delta, high=delta)


mse_loss = _loss("mse_loss", _mse, lambda x, y, how: 2 * (x - y), lambda x, y, how: 2 * (y - x),
                 words="mse_cpu")
l1_loss = _loss("l1_loss", lambda x, y, how: abs_(x - y), lambda x, y, how: sgn(x - y),
                lambda x, y, how: sgn(y - x), words="abs_cpu")
smooth_l1_loss = _loss("smooth_l1_loss", _smooth, _smooth_slope,
                       lambda x, y, how: _smooth_slope(y, x, how), words="smooth_l1_cpu")
huber_loss = _loss("huber_loss", _huber, _huber_slope, lambda x, y, how: _huber_slope(y, x, how),
                   words="huber_cpu")

# --- of probabilities -------------------------------------------------------------------------

LEAST_LOG = -100.0
"""What PyTorch takes for the logarithm of 0 in `binary_cross_entropy`."""


def _log(x: Any) -> Any:
    return maximum(log(x), _number(LEAST_LOG, x))


def _log_rest(x: Any) -> Any:
    return maximum(log1p(-x), _number(LEAST_LOG, x))


def _bce(x: Any, y: Any, how: Any) -> Any:
    return (y - 1) * _log_rest(x) - y * _log(x)


def _bce_slope(x: Any, y: Any, how: Any) -> Any:
    return (x - y) / maximum((1 - x) * x, _number(1e-12, x))


binary_cross_entropy = _loss("binary_cross_entropy", _bce, _bce_slope,
                             lambda x, y, how: log1p(-x) - log(x), words="binary_cross_entropy")
binary_cross_entropy_with_logits = _loss(
    "binary_cross_entropy_with_logits", lambda x, y, how: (1 - y) * x - log_sigmoid(x),
    lambda x, y, how: sigmoid(x) - y, lambda x, y, how: -x, words="log_sigmoid_cpu",
    order=joint_from_last)
soft_margin_loss = _loss(
    "soft_margin_loss", lambda x, y, how: log1p(exp(-y * x)),
    lambda x, y, how: -y * sigmoid(-y * x), lambda x, y, how: -x * sigmoid(-y * x),
    words="log_sigmoid_cpu")
