"""Losses that want one score above another by a margin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.levels import numbers
from ...ops import choices, pointwise
from ...ops.arguments import need_tensor
from .reduction import reduction_of, total

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss",
    "multilabel_margin_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]


def _above(x: Any) -> Any:
    """x, or 0 where it is negative."""
    return choices.clamp_min(x, 0)


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0,
                         size_average: bool | None = None, reduce: bool | None = None,
                         reduction: str = "mean") -> Tensor:
    """x of each element whose truth is 1, max(0, margin - x) of those whose truth is -1."""
    need_tensor("hinge_embedding_loss", input)
    need_tensor("hinge_embedding_loss", target, "target", 2)
    reduction = reduction_of(size_average, reduce, reduction)
    near = choices.where(target != 1, _above(margin - input), 0)
    return total(near + choices.where(target != -1, input, 0), reduction)


def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0,
                        size_average: bool | None = None, reduce: bool | None = None,
                        reduction: str = "mean") -> Tensor:
    """max(0, margin - y (a - b)): a should be above b where y is 1, below where it is -1.

    Raises:
        RuntimeError: if the numbers of dimensions differ.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if not input1.aval.ndim == input2.aval.ndim == target.aval.ndim:
        raise RuntimeError("margin_ranking_loss : All input tensors should have same dimension but "
                           f"got sizes: input1: {input1.size()}, input2: {input2.size()}, target: "
                           f"{target.size()} ")
    return total(_above(-target * (input1 - input2) + margin), reduction)


def cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0,
                          size_average: bool | None = None, reduce: bool | None = None,
                          reduction: str = "mean") -> Tensor:
    """1 - cos of the angle of vectors that belong together; of others, what cos is above margin.

    Args:
        input1: a vector, or one in each row.
        input2: likewise.
        target: of each pair, 1 if they belong together, -1 if not.
        margin: see above.
        size_average: an older word for the reduction; so is `reduce`.
        reduce: see `size_average`.
        reduction: "mean" or "sum" over all pairs, or "none".

    Raises:
        RuntimeError: if the shapes do not fit.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if target.aval.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    tiny = 1e-12
    product = (input1 * input2).sum(-1)
    squares = ((input1 * input1).sum(-1) + tiny) * ((input2 * input2).sum(-1) + tiny)
    cosine = product / squares.sqrt()
    together = choices.where(target == 1, 1 - cosine, 0)
    return total(together + choices.where(target == -1, _above(cosine - margin), 0), reduction)


def triplet_margin_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0,
                        p: float = 2, eps: float = 1e-6, swap: bool = False,
                        size_average: bool | None = None, reduce: bool | None = None,
                        reduction: str = "mean") -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), distances being p-norms.

    Args:
        anchor: vectors, in the last dimension.
        positive: what should be near to them.
        negative: what should be far.
        margin: by how much.
        p: which norm.
        eps: added to each difference.
        swap: whether negatives near to positives count instead, if they are nearer.
        size_average: an older word for the reduction; so is `reduce`.
        reduce: see `size_average`.
        reduction: "mean" or "sum" over all vectors, or "none".

    Raises:
        ValueError: if the margin is not positive.
        RuntimeError: if the numbers of dimensions differ.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    _check_triplet(anchor, positive, negative)
    return _triplet(anchor, positive, negative, lambda a, b: (a - b + eps).norm(p, -1), margin,
                    swap, reduction)


def triplet_margin_with_distance_loss(
        anchor: Tensor, positive: Tensor, negative: Tensor, *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0,
        swap: bool = False, reduction: str = "mean") -> Tensor:
    """`triplet_margin_loss` with a distance of one's own; the Euclidean one if None is given."""
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    _check_triplet(anchor, positive, negative)
    distance = distance_function or (lambda a, b: (a - b + 1e-6).norm(2, -1))
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def _check_triplet(anchor: Any, positive: Any, negative: Any) -> None:
    n = (anchor.aval.ndim, positive.aval.ndim, negative.aval.ndim)
    if not n[0] == n[1] == n[2]:
        raise RuntimeError("The anchor, positive, and negative tensors are expected to have the "
                           f"same number of dimensions, but got: anchor {n[0]}D, positive "
                           f"{n[1]}D, and negative {n[2]}D inputs")


def _triplet(anchor: Any, positive: Any, negative: Any, distance: Callable[[Any, Any], Any],
             margin: float, swap: bool, reduction: str) -> Any:
    far = distance(anchor, negative)
    if swap:
        far = pointwise.minimum(far, distance(positive, negative))
    return total(_above(margin + distance(anchor, positive) - far), reduction)


# --- of classes -------------------------------------------------------------------------------


def multi_margin_loss(input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0,
                      weight: Tensor | None = None, size_average: bool | None = None,
                      reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """The mean over the other classes of max(0, margin - right score + theirs)**p.

    Args:
        input: scores of shape (N, C) or (C,).
        target: the right classes, of shape (N,) or ().
        p: 1 or 2.
        margin: see above.
        weight: what each class counts, of shape (C,).
        size_average: an older word for the reduction; so is `reduce`.
        reduce: see `size_average`.
        reduction: "mean" or "sum" over all rows, or "none".

    Raises:
        ValueError: for another p.
        RuntimeError: if a class is out of range, or the shapes do not fit.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    need_tensor("multi_margin_loss", input)
    if weight is not None and weight.aval.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    if weight is not None and weight.aval.shape[0] != _rows(input).size(1):
        raise RuntimeError(f"inconsistent weight size, expected {_rows(input).size(1)} but got "
                           f"{list(weight.aval.shape)}")
    scores, right = _rows_and_labels(input, need_tensor("multi_margin_loss", target, "target", 2))
    count = scores.size(1)
    gaps = _above(margin - scores.gather(1, right) + scores)
    losses = gaps if p == 1 else gaps * gaps
    if weight is not None:
        losses = losses * weight[right]
    others = choices.where(right == np.arange(count), 0, losses)
    if reduction == "none":
        return others.mean(1) if input.aval.ndim > 1 else others.mean()
    return others.mean() if reduction == "mean" else others.sum() / count


def _rows(x: Any) -> Any:
    """Scores as rows."""
    if x.aval.ndim > 2 or (x.aval.ndim and not x.aval.shape[-1]):
        raise RuntimeError("Expected non-empty vector or matrix with optional 0-dim batch size, "
                           f"but got: {list(x.aval.shape)}")
    return x if x.aval.ndim == 2 else x.reshape(1, -1)


def _rows_and_labels(x: Any, y: Any) -> tuple[Any, Any]:
    """Scores as rows, and a column of classes."""
    rows = _rows(x)
    if y.aval.numel != rows.size(0) or y.aval.ndim > 1:
        raise RuntimeError("multi_margin_loss: target tensor should be 1-D with size equal to the "
                           "number of input samples (batch size). Expected target size "
                           f"[{rows.size(0)}], but got {list(y.aval.shape)}. Input has shape "
                           f"{list(x.aval.shape)}.")
    if y.aval.dtype is not dtypes.int64:
        raise RuntimeError(f"expected scalar type Long but found {y.aval.dtype.words}")
    values = numbers(y)
    if values.size and not (values.min() >= 0 and values.max() < rows.size(1)):
        raise RuntimeError("target out of range")
    return rows, y.reshape(-1, 1)


def multilabel_margin_loss(input: Tensor, target: Tensor, size_average: bool | None = None,
                           reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """The mean of max(0, 1 - score + other score) over right classes and others of each row.

    Args:
        input: scores of shape (N, C) or (C,).
        target: of the same shape: each row's right classes, ended by a -1 if they are fewer.
        size_average: an older word for the reduction; so is `reduce`.
        reduce: see `size_average`.
        reduction: "mean" or "sum" over all rows, or "none".

    Raises:
        RuntimeError: if the shapes differ, or a class is out of range.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    need_tensor("multilabel_margin_loss", input)
    need_tensor("multilabel_margin_loss", target, "target", 2)
    rows = _rows(input)
    if input.aval.shape != target.aval.shape:
        raise RuntimeError(f"inconsistent target size: {list(target.aval.shape)} for input of "
                           f"size: {list(input.aval.shape)}")
    if target.aval.dtype is not dtypes.int64:
        raise RuntimeError(f"expected scalar type Long but found {target.aval.dtype.words}")
    labels = numbers(target)
    if labels.size and not (labels.min() >= -1 and labels.max() < rows.size(1)):
        raise RuntimeError("argument #2 'target' is out of range")
    targets = target.reshape(rows.aval.shape)
    counts = (targets >= 0).cumprod(1).bool()  # labels before the first -1
    targets = choices.where(counts, targets, -1)
    right = (targets.unsqueeze(2) == np.arange(rows.size(1))).any(1)
    picked = rows.gather(1, choices.where(counts, targets, 0))
    gaps = _above(1 - picked.unsqueeze(2) + rows.unsqueeze(1))
    pairs = counts.unsqueeze(2) & ~right.unsqueeze(1)
    found = choices.where(pairs, gaps, 0).sum((1, 2)) / max(rows.size(1), 1)
    return total(found if input.aval.ndim > 1 else found.squeeze(0), reduction)
