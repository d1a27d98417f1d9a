"""Primitives of neural networks that are compositions: vectors of length 1, layer norm, and losses
of class labels.

Each is written once, in smaller primitives; that is its decomposition and what the compiler makes
of it. Its rules are written out, since what they share makes one pass of many. On arrays, value
and rule are worked out in as few of NumPy's calls as will do, which is what small arrays cost: a
rule that takes more than a product or two is a primitive, too, whose `decompose` says what it is.

Losses take rows of scores, a label per row and a weight per class. `ignore` is the label of rows
that do not count, and `reduction` is "none", "sum" or "mean", of rows by their labels' weights.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..core.aval import Aval
from ..core.formats import alike, spatial
from ..core.handle import plain_aval
from ..core.primitive import primitive
from .elementwise import clamp, rsqrt, where
from .indexing import index, index_put
from .layout import add_up, expand, reshape, sum_to
from .reductions import log_softmax, logsumexp, mean, norm, softmax, sum_

Dims = tuple[int, ...]


# --- length 1 ---------------------------------------------------------------------------------


def _unit(x: Any, dims: Dims, eps: float) -> Any:
    return x / clamp(norm(x, p=2.0, dims=dims, keepdim=True), low=eps, high=None)


def _unit_map(v: Any, x: Any, dims: Dims, eps: float) -> Any:
    length = norm(x, p=2.0, dims=dims, keepdim=True)
    divisor = clamp(length, low=eps, high=None)
    unit = x / divisor
    along = where(length < eps, 0, sum_(v * unit, dims=dims, keepdim=True))
    return (v - unit * along) / divisor


def _unit_array(x: np.ndarray, dims: Dims, eps: float) -> np.ndarray:
    return x / np.maximum(norm.evaluate(x, 2.0, dims, True), eps)


def _unit_map_array(v: np.ndarray, x: np.ndarray, dims: Dims, eps: float) -> np.ndarray:
    length = norm.evaluate(x, 2.0, dims, True)
    divisor = np.maximum(length, eps)
    unit = np.divide(x, divisor, out=...)
    along = np.asarray(add_up(v * unit, dims, True))
    np.copyto(along, 0, where=length < eps)
    unit *= along
    np.subtract(v, unit, out=unit)
    unit /= divisor
    return unit


_REAL = {"bic": "norm_kernel"}
unit_map = primitive("unit_map", _unit_map_array, decompose=_unit_map,
                     abstract=lambda v, x, dims, eps: x, refuses=_REAL)
"""What `unit` makes of a tangent v of x, and of a cotangent: what lies along x has no effect."""
unit = primitive(
    "unit", _unit_array, abstract=lambda x, dims, eps: x, decompose=_unit,
    vjp=(lambda g, x, dims, eps: unit_map(g, x, dims=dims, eps=eps),),
    jvp=(lambda t, x, dims, eps: unit_map(t, x, dims=dims, eps=eps),), node="DivBackward0",
    refuses=_REAL, order=alike)
"""x, real numbers, by its length along dimensions, or by eps where that is greater."""

# --- layer norm -------------------------------------------------------------------------------


def _last(x: Any, y: Any) -> Dims:
    """The dimensions that y shares with x: the last ones."""
    return tuple(range(len(x.shape) - len(y.shape), len(x.shape)))


def _scaled(x: Any, dims: Dims, eps: float) -> tuple[Any, Any]:
    """x with mean 0 and variance 1 along dims, and what it was divided by, inverted."""
    centred = x - mean(x, dims=dims, keepdim=True)
    scale = rsqrt(mean(centred * centred, dims=dims, keepdim=True) + eps)
    return centred * scale, scale


def _varied(v: Any, x: Any, dims: Dims, eps: float) -> Any:
    """How a tangent of x, or a cotangent, goes through `_scaled`: what it has in common with a
    shift of the row, and with a stretching of it, has no effect."""
    scaled, scale = _scaled(x, dims, eps)
    along = mean(v * scaled, dims=dims, keepdim=True)
    return scale * (v - mean(v, dims=dims, keepdim=True) - scaled * along)


def _scaled_array(x: np.ndarray, dims: Dims, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """`_scaled` of an array."""
    count = _count(x.shape, dims, x.dtype)
    scaled = x - add_up(x, dims, True) / count
    scale = np.reciprocal(np.sqrt(add_up(scaled * scaled, dims, True) / count + eps))
    scaled *= scale
    return scaled, scale  # in the steps that `_scaled` takes, to the last bit


@functools.lru_cache(maxsize=256)
def _count(shape: Dims, dims: Dims, kind: np.dtype[Any]) -> np.ndarray:
    """How many elements there are along dimensions, as an array of a kind."""
    return np.array(math.prod(shape[d] for d in dims), kind)


def _standardized(x: np.ndarray, dims: Dims, eps: float) -> np.ndarray:
    return _scaled_array(x, dims, eps)[0]


def _varied_array(v: np.ndarray, x: np.ndarray, dims: Dims, eps: float) -> np.ndarray:
    scaled, scale = _scaled_array(x, dims, eps)
    count = _count(x.shape, dims, x.dtype)
    result = v - add_up(v, dims, True) / count
    result -= scaled * (add_up(v * scaled, dims, True) / count)
    result *= scale
    return result


_FLOATS = {"bic": "LayerNormKernelImpl"}
standardized_map = primitive("standardized_map", _varied_array, decompose=_varied,
                             abstract=lambda v, x, dims, eps: x, refuses=_FLOATS)
"""What `standardized` makes of a tangent v of x, and of a cotangent."""
standardized = primitive(
    "standardized", _standardized, abstract=lambda x, dims, eps: x,
    vjp=(lambda g, x, dims, eps: standardized_map(g, x, dims=dims, eps=eps),),
    jvp=(lambda t, x, dims, eps: standardized_map(t, x, dims=dims, eps=eps),),
    decompose=lambda x, dims, eps: _scaled(x, dims, eps)[0], refuses=_FLOATS)
"""x with mean 0 and variance 1 along dimensions, which are its last."""


def _layer_norm(x: Any, y: Any, z: Any, eps: float) -> Any:
    return standardized(x, dims=_last(x, y), eps=eps) * y + z


def _layer_norm_array(x: np.ndarray, y: np.ndarray, z: np.ndarray, eps: float) -> np.ndarray:
    result = _standardized(x, _last(x, y), eps)
    result *= y
    result += z
    return result


layer_norm = primitive(
    "layer_norm", _layer_norm_array, abstract=lambda x, y, z, eps: x,
    vjp=(lambda g, x, y, eps: standardized_map(g * y, x, dims=_last(x, y), eps=eps),
         lambda g, x, y_aval, eps: sum_to(
             g * standardized(x, dims=_last(x, y_aval), eps=eps), shape=y_aval.shape),
         lambda g, z_aval: sum_to(g, shape=z_aval.shape)),
    jvp=(lambda t, x, y, eps: y * standardized_map(t, x, dims=_last(x, y), eps=eps),
         lambda t, x, y_aval, eps: t * standardized(x, dims=_last(x, y_aval), eps=eps),
         lambda t: t),
    decompose=_layer_norm, refuses=_FLOATS, node="NativeLayerNormBackward0")
"""y times x with mean 0 and variance 1 in its last dimensions, which are those of y and z, plus
z."""
plain_layer_norm = standardized.named("NativeLayerNormBackward0")
plain_batch_norm = standardized.named("NativeBatchNormBackward0", order=spatial)

# --- a scale and a shift per channel ----------------------------------------------------------


def _channels(v: Any, x: Any) -> Any:
    """A number per channel, which are x's second dimension, shaped to meet x."""
    return reshape(v, shape=(v.shape[0],) + (1,) * (len(x.shape) - 2))


def _per_channel(x: Any) -> Any:
    """The sums over each channel."""
    return sum_(x, dims=(0, *range(2, len(x.shape))), keepdim=False)


def _affine(x: Any, y: Any, z: Any) -> Any:
    return x * _channels(y, x) + _channels(z, x)


def _affine_examples(size: int, batched: tuple[bool, bool, bool], x: Any, *both: Any) -> Any:
    x = x if batched[0] else reshape(x, shape=(1, *x.shape))
    behind = (1,) * (len(x.shape) - 3)
    y, z = (reshape(v, shape=(size if b else 1, 1, v.shape[-1], *behind))
            for v, b in zip(both, batched[1:], strict=True))
    return x * y + z


affine = primitive(
    "channel_affine", _affine, abstract=lambda x, y, z: x, decompose=_affine,
    batch=_affine_examples,
    vjp=(lambda g, y: g * _channels(y, g), lambda g, x: _per_channel(g * x), _per_channel),
    jvp=(lambda t, y: t * _channels(y, t), lambda t, x: _channels(t, x) * x,
         lambda t, out_aval: expand(_channels(t, out_aval), shape=out_aval.shape)),
    node="NativeGroupNormBackward0")
"""x times y plus z, of which there is a number per channel."""
batch_affine = affine.named("NativeBatchNormBackward0", order=spatial)

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


def _nll_map(v: Any, y: Any, z: Any, classes: int, **how: Any) -> Any:
    zeros = plain_aval(v).with_shape((y.shape[0], classes)).zeros()
    rows = _Rows(zeros, y, z, **how)
    return rows.add_to(zeros, -rows.cotangents(v))


def _cross_entropy(x: Any, y: Any, z: Any, **how: Any) -> Any:
    rows = _Rows(x, y, z, **how)
    return rows.reduced(logsumexp(x, dims=(1,), keepdim=False) - rows.of(x))


def _lower_cross_entropy(x: Any, y: Any, z: Any, **how: Any) -> Any:
    """By way of what the gradient takes as well: exponentials of x less its rows' maxima."""
    rows = _Rows(x, y, z, **how)
    return rows.reduced(-rows.of(log_softmax(x, dim=1)))


def _cross_entropy_map(v: Any, x: Any, y: Any, z: Any, **how: Any) -> Any:
    rows = _Rows(x, y, z, **how)
    v = rows.cotangents(v)
    return rows.add_to(softmax(x, dim=1) * reshape(v, shape=(x.shape[0], 1)), -v)


def _cross_entropy_pushforward(t: Any, x: Any, y: Any, z: Any, ignore: int,
                               reduction: str) -> Any:
    rows = _Rows(x, y, z, ignore, reduction)
    return rows.reduced(sum_(softmax(x, dim=1) * t, dims=(1,), keepdim=False) - rows.of(t))


def _loss_aval(x: Aval, y: Aval, z: Aval, ignore: int, reduction: str) -> Aval:
    return x.with_shape(x.shape[:1] if reduction == "none" else ())


class _Labels:
    """What the labels say of rows of arrays; see `_Rows`.

    Attributes:
        places: the index of each row's label.
        counts: which rows count; None for all.
        shares: what each row weighs; None where all weigh 1.

    Raises:
        IndexError: if a label of a row that counts is out of range.
    """

    def __init__(self, y: np.ndarray, z: np.ndarray, ignore: int) -> None:
        classes, self.counts = z.shape[0], None
        unsigned = y.view(np.uint64)  # in which numbers below 0 are large
        if not y.size or np.maximum.reduce(unsigned) >= classes or 0 <= ignore < classes:
            self.counts = y != ignore
            bad = y[self.counts & (unsigned >= classes)]
            if bad.size:
                raise IndexError(f"Target {bad[0]} is out of bounds.")
            y = np.where(self.counts, y, 0)
        self.places = np.arange(y.shape[0]), y
        self.shares = None if _all_one(z) else self._counted(z[y])

    def _counted(self, numbers: np.ndarray) -> np.ndarray:
        """A number per row, 0 for those that don't count."""
        return numbers if self.counts is None else np.where(self.counts, numbers, 0)

    def _weighed(self, numbers: np.ndarray) -> np.ndarray:
        return self._counted(numbers if self.shares is None else numbers * self.shares)

    def _weight(self) -> Any:
        """What all rows weigh."""
        if self.shares is not None:
            return add_up(self.shares, (0,), False)
        return len(self.places[1]) if self.counts is None else np.count_nonzero(self.counts)

    def reduced(self, losses: np.ndarray, reduction: str) -> np.ndarray:
        """The loss in all, of one per row."""
        losses = self._weighed(losses)
        if reduction == "none":
            return losses
        total = add_up(losses, (0,), False)
        return total / self._weight() if reduction == "mean" else total

    def cotangents(self, v: np.ndarray, reduction: str) -> np.ndarray:
        """Those of the rows' losses, before they are weighed; or one for all of them."""
        return self._weighed(v / self._weight() if reduction == "mean" else v)


def _all_one(z: np.ndarray) -> bool:
    """Whether numbers are those that stand where no weights are given: 1, in the memory of one."""
    return bool(z.strides == (0,) and z.size and z[0] == 1)


def _nll_array(x: np.ndarray, y: np.ndarray, z: np.ndarray, ignore: int,
               reduction: str) -> np.ndarray:
    labels = _Labels(y, z, ignore)
    return labels.reduced(-x[labels.places], reduction)


def _nll_map_array(v: np.ndarray, y: np.ndarray, z: np.ndarray, classes: int, ignore: int,
                   reduction: str) -> np.ndarray:
    labels = _Labels(y, z, ignore)
    result = np.zeros((y.shape[0], classes), v.dtype)
    result[labels.places] = -labels.cotangents(v, reduction)
    return result


def _exponentials(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows less their maxima, their exponentials and the sums of these."""
    shifted = x - np.maximum.reduce(x, axis=1, keepdims=True)
    powers = np.exp(shifted)
    return shifted, powers, add_up(powers, (1,), True)


def _cross_entropy_array(x: np.ndarray, y: np.ndarray, z: np.ndarray, ignore: int,
                         reduction: str) -> np.ndarray:
    labels = _Labels(y, z, ignore)
    shifted, _, sums = _exponentials(x)
    return labels.reduced(np.log(sums[:, 0]) - shifted[labels.places], reduction)


def _cross_entropy_map_array(v: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray,
                             ignore: int, reduction: str) -> np.ndarray:
    labels = _Labels(y, z, ignore)
    v = labels.cotangents(v, reduction)
    _, result, sums = _exponentials(x)
    result /= sums
    result *= v[:, None] if v.ndim else v
    result[labels.places] -= v
    return result


nll_loss_map = primitive(
    "nll_loss_map", _nll_map_array, decompose=_nll_map, refuses={"bic": "nll_loss_backward"},
    abstract=lambda v, y, z, classes, ignore, reduction: v.with_shape((y.shape[0], classes)))
"""What `nll_loss` makes of a cotangent v, for its first operand."""
nll_loss = primitive(
    "nll_loss", _nll_array, abstract=_loss_aval, linear=(0,), decompose=_nll_loss,
    vjp=(lambda g, y, z, x_aval, ignore, reduction: nll_loss_map(
        g, y, z, classes=x_aval.shape[1], ignore=ignore, reduction=reduction), None, None),
    refuses={"bic": "nll_loss_out_frame"})
"""Minus the scores of rows x at labels y, weighed by the labels' weights z."""
cross_entropy_map = primitive(
    "cross_entropy_map", _cross_entropy_map_array, decompose=_cross_entropy_map,
    abstract=lambda v, x, y, z, ignore, reduction: x, refuses={"bic": "nll_loss_backward"})
"""What `cross_entropy` makes of a cotangent v, for its first operand."""
cross_entropy = primitive(
    "cross_entropy", _cross_entropy_array, abstract=_loss_aval, node="NllLossBackward0",
    vjp=(lambda g, x, y, z, ignore, reduction: cross_entropy_map(
        g, x, y, z, ignore=ignore, reduction=reduction), None, None),
    jvp=(_cross_entropy_pushforward, None, None), lower=_lower_cross_entropy,
    decompose=_cross_entropy, refuses={"bic": "nll_loss_out_frame"})
"""`nll_loss` of `log_softmax`."""
