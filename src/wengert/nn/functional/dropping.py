"""Dropout and its kin: elements, or whole channels, are left out at random."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.handle import Handle
from ...core.provenance import warn
from ...interpreters.inplace import check_kind
from ...ops import inplace as in_place, random
from ...ops.arguments import need_tensor
from ...ops.creation import number_in

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout",
]


def dropout(input: Tensor, p: float = 0.5, training: bool = True,
            inplace: bool = False) -> Tensor:
    """The input with random elements set to 0, and the others divided by 1 - p.

    Args:
        input: a floating-point tensor.
        p: the probability of being dropped.
        training: whether anything is done at all.
        inplace: whether the result is written to the input itself.

    Raises:
        ValueError: if p is no probability.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.dropout(torch.ones(3), training=False)
        tensor([1., 1., 1.])
    """
    p = _probability(p)
    if not training or p == 0 or not need_tensor("dropout", input).aval.numel:
        return need_tensor("dropout", input)
    _check_kind(input, p)
    return _dropped(input, p, inplace)


def _dropped(x: Any, p: float, inplace: bool, channels: bool = False) -> Any:
    """x with random elements, or channels, set to 0, and the others divided by 1 - p."""
    scale = 0 if p == 1 else _drawn(x, p, _share(p, x.aval.dtype), channels)
    return in_place.mul_(x, scale) if inplace else x * scale


def _drawn(x: Any, p: float, kept: Any = 1, channels: bool = False) -> Any:
    """A number for what is kept and 0 for what is dropped, of each element or of each channel."""
    origin, kind = random.default_generator, x.aval.numpy

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        return np.multiply(origin.bernoulli(1 - p, shape, kind), kept, out=...)

    if channels:
        return random.drawn((*x.aval.shape[:2], *(1,) * (x.aval.ndim - 2)), origin, draw)
    return random.drawn_like(x, origin, draw)


@functools.lru_cache
def _share(p: float, kind: dtypes.dtype) -> Any:
    """What elements that are kept are multiplied with, as an array: 1 / (1 - p)."""
    wide = np.promote_types(kind.numpy, np.float32)
    return np.asarray(np.true_divide(1, 1 - p, dtype=wide), kind.numpy)


def _probability(p: Any) -> float:
    """The probability, checked; it may be in a tensor."""
    p = number_in(p)
    if isinstance(p, Handle):
        raise TypeError("dropout(): argument 'p' (position 2) must be float, not Tensor")
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    return p


def _check_kind(x: Any, p: float) -> None:
    """Refuses tensors that can't hold a number of p's kind."""
    check_kind(x.aval, x.aval.with_dtype(dtypes.result_type(
        [(2, x.aval.dtype), (0, dtypes.of_number(p))])))


def _channels(name: str, x: Any, p: float, training: bool, inplace: bool) -> Any:
    p = _probability(p)
    if not training or p == 0 or not need_tensor(name, x).aval.numel:
        return x
    return _dropped(x, p, inplace, channels=True)


def _unbatched(name: str, x: Any, p: float, training: bool, inplace: bool) -> Any:
    if inplace:  # with its history, unless nothing is done
        return x.copy_(_channels(name, x.unsqueeze(0), p, training, False).squeeze(0)) if (
            training and p > 0) else x
    return _channels(name, x.unsqueeze(0), p, training, False).squeeze(0)


def _purpose(dims: int) -> str:
    spatial = f"{dims} spatial dimension{'s' * (dims > 1)}"
    return (f"dropout{dims}d exists to provide channel-wise dropout on inputs with {spatial}, a "
            f"channel dimension, and an optional batch dimension (i.e. {dims + 1}D or {dims + 2}D "
            "inputs).")


def _warn(dims: int, given: int) -> None:
    """Warns of an input with another number of dimensions."""
    name = f"dropout{dims}d"
    warn(
        f"{name}: Received a {given}-D input to {name}, which is deprecated and will result in an "
        "error in a future release. To retain the behavior and silence this warning, please use "
        f"dropout instead. Note that {_purpose(dims)}")


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True,
              inplace: bool = False) -> Tensor:
    """`dropout` of whole channels, of shape (channels, n) or (batch, channels, n)."""
    n = need_tensor("dropout1d", input).aval.ndim
    p = _probability(p)
    if n not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, but received a {n}D input. "
                           f"Note that {_purpose(1)}")
    if n == 2:
        return _unbatched("dropout1d", input, p, training, inplace)
    return _channels("dropout1d", input, p, training, inplace)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True,
              inplace: bool = False) -> Tensor:
    """`dropout` of whole channels, of shape (batch, channels, n, m)."""
    n = need_tensor("dropout2d", input).aval.ndim
    p = _probability(p)
    if n not in (3, 4):
        _warn(2, n)
    if n == 3:
        warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim. This behavior will change in a future release to interpret the input as one "
            "without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise "
            "dropout behavior, please switch to using dropout1d instead.")
    return _channels("dropout2d", input, p, training, inplace)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True,
              inplace: bool = False) -> Tensor:
    """`dropout` of whole channels, of shape (channels, ...) or (batch, channels, n, m, l)."""
    n = need_tensor("dropout3d", input).aval.ndim
    p = _probability(p)
    if n not in (4, 5):
        _warn(3, n)
    if n == 4:
        return _unbatched("dropout3d", input, p, training, inplace)
    return _channels("dropout3d", input, p, training, inplace)


_DROPPED = -1.7580993408473766
"""What dropped elements become, before they are shifted: the least that `selu` gives."""


def _alpha(name: str, x: Any, p: float, training: bool, inplace: bool, channels: bool) -> Any:
    """Dropout that keeps mean and variance of what `selu` gives.

    Source: Klambauer et al., Self-Normalizing Neural Networks, 2017.
    """
    p = _probability(p)
    need_tensor(name, x)
    if not training or p == 0 or not x.aval.numel:
        return x
    _check_kind(x, p)
    if p == 1:
        return in_place.mul_(x, 0) if inplace else x * 0
    kept = _drawn(x, p, channels=channels)
    scale = ((_DROPPED ** 2 * p + 1) * (1 - p)) ** -0.5
    shift = (kept - 1) * (-_DROPPED * scale) - _DROPPED * scale * p
    kept = kept * scale
    return in_place.add_(in_place.mul_(x, kept), shift) if inplace else x * kept + shift


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False,
                  inplace: bool = False) -> Tensor:
    """`dropout` that keeps mean and variance of what `selu` gives."""
    return _alpha("alpha_dropout", input, p, training, inplace, False)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False,
                          inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels."""
    return _alpha("feature_alpha_dropout", input, p, training, inplace, True)


# --- in place, at the top ---------------------------------------------------------------------


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`dropout`, in place."""
    return dropout(input, p, train, inplace=True)


def alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`alpha_dropout`, in place."""
    return alpha_dropout(input, p, train, inplace=True)


def feature_alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`feature_alpha_dropout`, in place."""
    return feature_alpha_dropout(input, p, train, inplace=True)
