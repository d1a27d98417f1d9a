"""Losses of class labels: how far a network's outputs are from the right classes."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...ops import choices, reduce as reductions
from ...ops.arguments import need_tensor
from ...primitives import network
from ...primitives.elementwise import div
from .reduction import reduced, reduction_of

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "cross_entropy", "nll_loss",
]


def nll_loss(input: Tensor, target: Tensor, weight: Tensor | None = None,
             size_average: bool | None = None, ignore_index: int = -100,
             reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """Minus the log-probabilities of the right classes.

    Args:
        input: log-probabilities of shape (N, C), (C,) or (N, C, ...).
        target: the right classes, of shape (N,), () or (N, ...).
        weight: what each class counts, of shape (C,).
        size_average: an older word for the reduction; so is `reduce`.
        ignore_index: a class that does not count.
        reduce: see `size_average`.
        reduction: "mean" or "sum" of what counts, or "none".

    Raises:
        ValueError: if there are not as many targets as inputs.
        IndexError: if a target is out of range.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.nll_loss(torch.tensor([[-1., -2.]]), torch.tensor([1]))
        tensor(2.)
    """
    need_tensor("nll_loss_nd", input)
    need_tensor("nll_loss_nd", target, "target", 2)
    return _of_labels("nll_loss", input, target, weight, ignore_index,
                      reduction_of(size_average, reduce, reduction))


def cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None,
                  size_average: bool | None = None, ignore_index: int = -100,
                  reduce: bool | None = None, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Tensor:
    """`nll_loss` of `log_softmax`: the cross entropy of scores and classes.

    Args:
        input: scores of shape (N, C), (C,) or (N, C, ...).
        target: the right classes, of shape (N,), () or (N, ...); or their probabilities, of the
            input's shape.
        weight: what each class counts, of shape (C,).
        size_average: an older word for the reduction; so is `reduce`.
        ignore_index: a class that does not count.
        reduce: see `size_average`.
        reduction: "mean" or "sum" of what counts, or "none".
        label_smoothing: how much of the right class's probability is shared out among all.

    Raises:
        ValueError: if there are not as many targets as inputs.
        IndexError: if a target is out of range.
        RuntimeError: if the shapes or dtypes do not fit.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.cross_entropy(torch.zeros(3, 10), torch.tensor([1, 7, 2]))
        tensor(2.3026)
    """
    need_tensor("cross_entropy_loss", input)
    need_tensor("cross_entropy_loss", target, "target", 2)
    reduction = reduction_of(size_average, reduce, reduction)
    if input.aval.shape == target.aval.shape:
        return _of_probabilities(input, target, weight, ignore_index, reduction, label_smoothing)
    if label_smoothing <= 0.0:
        return _of_labels("cross_entropy", input, target, weight, ignore_index, reduction)
    _check_smoothing(label_smoothing)
    scores = _log_softmax(input)
    right = _of_labels("nll_loss", scores, target, weight, ignore_index, reduction)
    every = _of_every_class(scores, target, weight, ignore_index, reduction)
    share = label_smoothing / input.aval.shape[_classes(input)]
    return every * share + right * (1 - label_smoothing)


# --- of class labels --------------------------------------------------------------------------


def _classes(x: Any) -> int:
    """The dimension of classes."""
    return 0 if x.aval.ndim == 1 else 1


def _log_softmax(x: Any) -> Any:
    return reductions.log_softmax(x, _classes(x))


def _of_labels(name: str, x: Any, y: Any, weight: Any, ignore: int, reduction: str) -> Any:
    """A loss by its name, of any number of dimensions: rows of scores are made of all."""
    _check_labels(x, y)
    _check_kinds(name, x, y)
    shape, ndim, count = y.aval.shape, x.aval.ndim, x.aval.shape[_classes(x)]
    if y.aval.dtype is dtypes.uint8:
        y = y.long()
    z = _ones(count, x.aval.numpy) if weight is None else _checked_weight(weight, x, count)
    how = {"ignore": int(ignore), "reduction": reduction}
    if ndim == 1:
        if reduction == "none":
            how["reduction"] = "sum"
        return _LOSSES[name][0](x.unsqueeze(0), y.reshape(1), z, **how)
    if ndim == 2:
        return _LOSSES[name][0](x, y, z, **how)
    rows = x.movedim(1, -1).reshape(-1, count)
    found = _LOSSES[name][1](rows, y.reshape(-1), z, **how)
    return found.reshape(shape) if reduction == "none" else found


_LOSSES = {loss.name: (loss, loss.named("NllLoss2DBackward0"))
           for loss in (network.nll_loss, network.cross_entropy)}
"""By name: the loss, and how it is called in more dimensions than two."""


@functools.lru_cache(maxsize=64)
def _ones(count: int, kind: np.dtype[Any]) -> np.ndarray:
    """As many weights of 1, in the memory of one."""
    return np.broadcast_to(np.ones((), kind), (count,))


def _check_labels(x: Any, y: Any) -> None:
    """Refuses labels whose shape is not that of the scores without their classes."""
    if x.aval.ndim == 2 and y.aval.shape == x.aval.shape[:1]:
        return
    shape, labels = list(x.aval.shape), list(y.aval.shape)
    if not shape:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if len(shape) == 1:
        if labels not in ([], [1]):
            raise ValueError("For 1D input, 1D target must have size 1, but got target size: "
                             f"{math.prod(labels)}")
    elif labels[:1] != shape[:1]:
        raise ValueError(f"Expected input batch_size ({shape[0]}) to match target batch_size "
                         f"({labels[0] if labels else 0}).")
    elif len(shape) == 2 and len(labels) > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    elif len(shape) == 4 and len(labels) != 3:
        raise RuntimeError("only batches of spatial targets supported (3D tensors) but got targets "
                           f"of dimension: {len(labels)}")
    elif len(shape) == 4 and labels[1:] != shape[2:]:
        raise RuntimeError(f"size mismatch (got input: {shape} , target: {labels}")
    elif labels[1:] != shape[2:]:
        raise RuntimeError(f"Expected target size {[shape[0], *shape[2:]]}, got {labels}")


def _check_kinds(name: str, x: Any, y: Any) -> None:
    if name == "cross_entropy" and not x.aval.dtype.is_floating_point:
        _log_softmax(x)  # which refuses it in its own words
    if y.aval.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError("expected target dtype to be Long or Byte, but got "
                           f"{y.aval.dtype.words}")


def _checked_weight(weight: Any, x: Any, count: int) -> Any:
    if tuple(weight.aval.shape) != (count,):
        raise RuntimeError(_unfit(weight, count))
    if weight.aval.dtype is not x.aval.dtype:
        raise RuntimeError(f"expected scalar type {x.aval.dtype.words} but found "
                           f"{weight.aval.dtype.words}")
    if weight.requires_grad:
        raise RuntimeError("The function 'nll_loss_forward' is not differentiable with respect to "
                           "argument 'weight'. This input cannot have requires_grad True.")
    return weight


def _unfit(weight: Any, count: int) -> str:
    return (f"weight tensor should be defined either for all {count} classes or no classes but got "
            f"weight tensor of shape: {list(weight.aval.shape)}")


# --- of probabilities -------------------------------------------------------------------------


def _of_probabilities(x: Any, y: Any, weight: Any, ignore: int, reduction: str,
                      smoothing: float) -> Any:
    if not y.aval.dtype.is_floating_point:
        raise RuntimeError("Expected floating point type for target with class probabilities, got "
                           f"{y.aval.dtype.words}")
    if ignore >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    dim, scores = _classes(x), _log_softmax(x)
    count = x.aval.shape[dim]
    if smoothing > 0.0:
        _check_smoothing(smoothing)
        y = y * (1 - smoothing) + smoothing / count
    losses = scores * y
    if weight is not None:
        if tuple(weight.aval.shape) != (count,):
            raise RuntimeError("cross_entropy: " + _unfit(weight, count))
        losses = losses * _along(weight, x)
    if reduction == "none":
        return -losses.sum(dim)
    total = -losses.sum()
    rows = np.asarray(x.aval.numel / max(count, 1), total.aval.numpy)
    return total if reduction == "sum" else _per_row(total, rows)


_per_row = div.named("DivBackward1")


def _of_every_class(scores: Any, y: Any, weight: Any, ignore: int, reduction: str) -> Any:
    """The loss if each class were as right as any other, where y counts."""
    dim, counts = _classes(scores), y != ignore
    weighed = scores if weight is None else scores * _along(weight, scores)
    losses = choices.where(counts.reshape(weighed.sum(dim).aval.shape), -weighed.sum(dim), 0)
    if reduction != "mean":
        return reduced(losses, reduction, None)
    shares = counts if weight is None else choices.where(
        counts, weight[choices.where(counts, y, 0).long()], 0)
    return reduced(losses, reduction, shares.sum())


def _along(weight: Any, x: Any) -> Any:
    """A number per class, shaped to be multiplied by scores."""
    return weight.reshape((-1,) + (1,) * (x.aval.ndim - 1 - _classes(x)))


def _check_smoothing(smoothing: float) -> None:
    if smoothing > 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {smoothing:g}")
