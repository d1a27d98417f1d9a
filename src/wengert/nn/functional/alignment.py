"""The loss of sequences whose alignment is not known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.handle import Handle, wrap
from ...core.levels import concrete
from ...ops import choices, joining
from ...ops.arguments import LOOKS, need_tensor
from .reduction import check_reduction

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["ctc_loss"]

_ASIDE = " (while checking arguments for ctc_loss_allocate_outputs)"


def ctc_loss(log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any,
             blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> Tensor:
    """Minus the log-probability of label sequences, over all their alignments with the input.

    Args:
        log_probs: log-probabilities of shape (T, batch, classes), or (T, classes).
        targets: labels, of shape (batch, S); or all sequences one after the other.
        input_lengths: how many steps of each input count.
        target_lengths: how many labels each target has.
        blank: the class that stands for no label.
        reduction: "mean" (of losses by their targets' lengths), "sum" or "none".
        zero_infinity: whether losses that are infinite, as there is no alignment, count as 0.

    Raises:
        RuntimeError: if lengths do not fit, or there are no log-probabilities.

    Source: Graves et al., Connectionist Temporal Classification, 2006: the forward recursion,
        in logarithms, all examples at once.
    """
    need_tensor("ctc_loss", log_probs, "log_probs")
    need_tensor("ctc_loss", targets, "targets", 2)
    check_reduction(reduction)
    single = log_probs.aval.ndim == 2
    x = log_probs.unsqueeze(1) if single else log_probs
    steps, batch, classes = x.shape
    if not x.aval.numel:
        raise RuntimeError("log_probs tensor must not be empty")
    ins, outs = (_lengths(n, batch, words) for n, words in (
        (input_lengths, "input_lengths"), (target_lengths, "target_lengths")))
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    if ins.max() > steps:
        raise RuntimeError(f"Expected input_lengths to have value at most {steps}, but got value "
                           f"{ins.max()}{_ASIDE}")
    labels = _labels(concrete(targets, LOOKS), outs, batch)
    losses = _losses(x, labels, ins, outs, blank)
    if zero_infinity:
        losses = choices.where(losses == math.inf, 0, losses)
    if reduction == "mean":
        return (losses / wrap(np.maximum(outs, 1).astype(x.aval.numpy))).mean()
    if reduction == "sum":
        return losses.sum()
    return losses.squeeze(0) if single else losses


def _lengths(given: Any, batch: int, words: str) -> np.ndarray:
    found = np.asarray(concrete(given, LOOKS) if isinstance(given, Handle) else given).reshape(-1)
    if found.size != batch:
        raise RuntimeError(f"{words} must be of size batch_size")
    if found.dtype.kind not in "iu":
        raise RuntimeError(f"{words} must be integral")
    if found.min() < 0:
        raise RuntimeError(f"Expected {words} to have value at least 0, but got value "
                           f"{found.min()}{_ASIDE}")
    return found.astype(np.int64)


def _labels(given: np.ndarray, lengths: np.ndarray, batch: int) -> np.ndarray:
    """The labels as rows of one length; what is beyond a row's end counts for nothing."""
    most = int(lengths.max(initial=0))
    given = given.astype(np.int64)
    if given.ndim == 2:
        if len(given) != batch:
            raise RuntimeError(f"Expected tensor to have size {batch} at dimension 0, but got "
                               f"size {len(given)} for argument #2 'targets'{_ASIDE}")
        if given.shape[1] < most:
            raise RuntimeError(f"Expected tensor to have size at least {most} at dimension 1, but "
                               f"got size {given.shape[1]} for argument #2 'targets'{_ASIDE}")
        return given[:, :most]
    if given.ndim != 1:
        raise RuntimeError(f"Expected 1 to 2 dimensions, but got {given.ndim}-dimensional tensor "
                           f"for argument #2 'targets'{_ASIDE}")
    if given.size != lengths.sum():
        raise RuntimeError(f"Expected tensor to have size {lengths.sum()} at dimension 0, but got "
                           f"size {given.size} for argument #2 'targets'{_ASIDE}")
    rows = np.zeros((batch, most), np.int64)
    ends = np.cumsum(lengths)
    for row, n, end in zip(rows, lengths, ends, strict=True):
        row[:n] = given[end - n:end]
    return rows


def _losses(x: Any, labels: np.ndarray, ins: np.ndarray, outs: np.ndarray, blank: int) -> Any:
    """Of each example: alpha_t(s), the log-probability that the first t steps end in state s.

    States are the labels with a blank before, between and behind; a state is reached from itself,
    from the one before, and, past a blank between two different labels, from that before it.
    """
    batch, most = labels.shape
    states = np.full((batch, 2 * most + 1), blank)
    states[:, 1::2] = labels
    skips = np.zeros(states.shape, bool)
    skips[:, 2:] = states[:, 2:] != states[:, :-2]  # blanks are alike
    scores = x.gather(2, wrap(np.broadcast_to(states, (x.size(0), *states.shape)).copy()))
    never = x.new_full((), -math.inf)
    first = np.arange(states.shape[1]) < 2
    alpha = choices.where(wrap(first[None, :]), scores[0], never)
    alphas = [alpha]
    for t in range(1, x.size(0)):
        alpha = scores[t] + _reached(alpha, wrap(skips), never)
        alphas.append(alpha)
    last = joining.stack(alphas)[np.maximum(ins - 1, 0), np.arange(batch)]
    ends = np.stack([2 * outs, np.maximum(2 * outs - 1, 0)], 1)
    final = last.gather(1, wrap(ends))
    counts = np.stack([np.ones(batch, bool), outs > 0], 1)
    losses = -_log_of_sum(choices.where(wrap(counts), final, never), -1)
    if ins.all():
        return losses
    # without a step there is one alignment, of no label
    nothing = wrap(np.where(outs == 0, 0, math.inf).astype(x.aval.numpy))
    return choices.where(wrap(ins == 0), nothing, losses)


def _reached(alpha: Any, skips: Any, never: Any) -> Any:
    batch, states = alpha.shape
    gap = never.expand(batch, 2)
    padded = joining.cat([gap, alpha], 1)
    past = choices.where(skips, padded[:, :states], never)
    return _log_of_sum(joining.stack([alpha, padded[:, 1:states + 1], past]), 0)


def _log_of_sum(x: Any, dim: int) -> Any:
    """`logsumexp` whose slope is 0, not NaN, where all terms are -inf."""
    none = (x == -math.inf).all(dim, keepdim=True)
    found = choices.where(none, 0, x).logsumexp(dim)
    return choices.where(none.squeeze(dim), -math.inf, found)
