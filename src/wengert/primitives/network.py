"""Primitives of neural networks that are compositions: layer norm, and losses of class labels.

Each is written once, in smaller primitives; that is its value, its decomposition and what the
compiler makes of it. Its rules are written out, since what they share makes one pass of many.

Losses take rows of scores, a label per row and a weight per class. `ignore` is the label of rows
that do not count, and `reduction` is "none", "sum" or "mean", of rows by their labels' weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.aval import Aval
from ..core.primitive import primitive
from .elementwise import rsqrt, where
from .indexing import index, index_put
from .layout import reshape, sum_to
from .reductions import log_softmax, logsumexp, mean, softmax, sum_

Dims = tuple[int, ...]

# --- layer norm -------------------------------------------------------------------------------


def _last(x: Any, y: Any) -> Dims:
    """The dimensions that y shares with x: the last ones."""
    return tuple(range(len(x.shape) - len(y.shape), len(x.shape)))


def _scaled(x: Any, dims: Dims, eps: float) -> tuple[Any, Any]:
    """x with mean 0 and variance 1 along dims, and what it was divided by, inverted."""
    centred = x - mean(x, dims=dims, keepdim=True)
    scale = rsqrt(mean(centred * centred, dims=dims, keepdim=True) + eps)
    return centred * scale, scale


def _layer_norm(x: Any, y: Any, z: Any, eps: float) -> Any:
    return _scaled(x, _last(x, y), eps)[0] * y + z


def _varied(v: Any, x: Any, dims: Dims, eps: float) -> Any:
    """How a tangent of x, or a cotangent, goes through `_scaled`: what it has in common with a
    shift of the row, and with a stretching of it, has no effect."""
    scaled, scale = _scaled(x, dims, eps)
    along = mean(v * scaled, dims=dims, keepdim=True)
    return scale * (v - mean(v, dims=dims, keepdim=True) - scaled * along)


layer_norm = primitive(
    "layer_norm", _layer_norm, abstract=lambda x, y, z, eps: x, node="NativeLayerNormBackward0",
    vjp=(lambda g, x, y, eps: _varied(g * y, x, _last(x, y), eps),
         lambda g, x, y_aval, eps: sum_to(
             g * _scaled(x, _last(x, y_aval), eps)[0], shape=y_aval.shape),
         lambda g, z_aval: sum_to(g, shape=z_aval.shape)),
    jvp=(lambda t, x, y, eps: y * _varied(t, x, _last(x, y), eps),
         lambda t, x, y_aval, eps: t * _scaled(x, _last(x, y_aval), eps)[0],
         lambda t: t),
    decompose=_layer_norm, refuses={"bic": "LayerNormKernelImpl"})
"""y times x with mean 0 and variance 1 in its last dimensions, which are those of y and z, plus
z."""

# --- squared differences ----------------------------------------------------------------------


def _total(x: Any, reduction: str) -> Any:
    """The sum of all elements, or their mean, or x itself."""
    if reduction == "none":
        return x
    how = {"dims": tuple(range(len(x.shape))), "keepdim": False}
    return mean(x, **how) if reduction == "mean" else sum_(x, **how)


def _mse_loss(x: Any, y: Any, reduction: str) -> Any:
    return _total((x - y) * (x - y), reduction)


def _mse_pullback(g: Any, x: Any, y: Any, x_aval: Aval, i: int, reduction: str) -> Any:
    scale = (-2 if i else 2) / (x_aval.numel if reduction == "mean" and x_aval.numel else 1)
    return g * scale * (x - y)


def _mse_pushforward(t: Any, x: Any, y: Any, i: int, reduction: str) -> Any:
    return _total((-2 if i else 2) * t * (x - y), reduction)


mse_loss = primitive("mse_loss", _mse_loss, decompose=_mse_loss, refuses={"bic": "mse_cpu"},
                     abstract=lambda x, y, reduction: x if reduction == "none" else (
                         x.with_shape(())),
                     vjp=(_mse_pullback,) * 2, jvp=(_mse_pushforward,) * 2)
"""(x - y)**2; both are of one shape."""

# --- losses of class labels -------------------------------------------------------------------


class _Rows:
    """What the labels say of rows.

    Attributes:
        counts: which rows do.
        label: 0 for rows that do not count; a label below 0 is made one that is out of range, too.
        shares: what each row weighs.
        reduction: of the rows' losses.
    """

    def __init__(self, x: Any, y: Any, z: Any, ignore: int, reduction: str) -> None:
        self.counts, self.reduction = y != ignore, reduction
        self.label = where(self.counts, where(y < 0, x.shape[1], y), 0)
        self.shares = where(self.counts, index(z, self.label, pattern=(0,)), 0)
        self._rows = np.arange(x.shape[0])

    def of(self, x: Any) -> Any:
        """x at each row's label."""
        return index(x, self._rows, self.label, pattern=(0, 1))

    def add_to(self, x: Any, numbers: Any) -> Any:
        """x with a number per row added at its label."""
        return index_put(x, numbers, self._rows, self.label, pattern=(0, 1), accumulate=True)

    def reduced(self, losses: Any) -> Any:
        """The loss in all, of one per row."""
        losses = where(self.counts, self.shares * losses, 0)
        if self.reduction == "none":
            return losses
        total = sum_(losses, dims=(0,), keepdim=False)
        return total / self._weight() if self.reduction == "mean" else total

    def cotangents(self, g: Any) -> Any:
        """Those of the rows' losses, before they are weighed; 0, not 0 / 0, if no row counts."""
        g = g / self._weight() if self.reduction == "mean" else g
        return where(self.counts, g * self.shares, 0)

    def _weight(self) -> Any:
        return sum_(self.shares, dims=(0,), keepdim=False)


def _nll_loss(x: Any, y: Any, z: Any, **how: Any) -> Any:
    rows = _Rows(x, y, z, **how)
    return rows.reduced(-rows.of(x))


def _nll_pullback(g: Any, y: Any, z: Any, x_aval: Aval, ignore: int, reduction: str) -> Any:
    rows = _Rows(x_aval, y, z, ignore, reduction)
    return rows.add_to(x_aval.zeros(), -rows.cotangents(g))


def _cross_entropy(x: Any, y: Any, z: Any, **how: Any) -> Any:
    rows = _Rows(x, y, z, **how)
    return rows.reduced(logsumexp(x, dims=(1,), keepdim=False) - rows.of(x))


def _lower_cross_entropy(x: Any, y: Any, z: Any, **how: Any) -> Any:
    """By way of what the gradient takes as well: exponentials of x less its rows' maxima."""
    rows = _Rows(x, y, z, **how)
    return rows.reduced(-rows.of(log_softmax(x, dim=1)))


def _cross_entropy_pullback(g: Any, x: Any, y: Any, z: Any, ignore: int, reduction: str) -> Any:
    rows = _Rows(x, y, z, ignore, reduction)
    g = rows.cotangents(g)
    return rows.add_to(softmax(x, dim=1) * reshape(g, shape=(x.shape[0], 1)), -g)


def _cross_entropy_pushforward(t: Any, x: Any, y: Any, z: Any, ignore: int,
                               reduction: str) -> Any:
    rows = _Rows(x, y, z, ignore, reduction)
    return rows.reduced(sum_(softmax(x, dim=1) * t, dims=(1,), keepdim=False) - rows.of(t))


def _loss_aval(x: Aval, y: Aval, z: Aval, ignore: int, reduction: str) -> Aval:
    return x.with_shape(x.shape[:1] if reduction == "none" else ())


def _checked(compose: Any) -> Any:
    """A loss of arrays, whose labels are looked at first."""

    def evaluate(x: np.ndarray, y: np.ndarray, z: np.ndarray, ignore: int,
                 reduction: str) -> np.ndarray:
        bad = y[(y != ignore) & ((y < 0) | (y >= x.shape[1]))]
        if bad.size:
            raise IndexError(f"Target {bad[0]} is out of bounds.")
        found: np.ndarray = compose(x, y, z, ignore=ignore, reduction=reduction)
        return found

    return evaluate


nll_loss = primitive("nll_loss", _checked(_nll_loss), abstract=_loss_aval,
                     vjp=(_nll_pullback, None, None), linear=(0,), decompose=_nll_loss,
                     refuses={"bic": "nll_loss_out_frame"})
"""Minus the scores of rows x at labels y, weighed by the labels' weights z."""
cross_entropy = primitive("cross_entropy", _checked(_cross_entropy), abstract=_loss_aval,
                          vjp=(_cross_entropy_pullback, None, None),
                          jvp=(_cross_entropy_pushforward, None, None), node="NllLossBackward0",
                          lower=_lower_cross_entropy, decompose=_cross_entropy,
                          refuses={"bic": "nll_loss_out_frame"})
"""`nll_loss` of `log_softmax`."""
