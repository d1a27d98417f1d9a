"""Losses of pairs of elements: how far each output is from what was wanted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...core import dtypes
from ...core.aval import Size
from ...core.handle import Handle
from ...core.levels import numbers
from ...core.primitive import Primitive, broadcast_shapes
from ...core.provenance import warn
from ...ops import choices, pointwise, shapes
from ...ops.arguments import need_tensor
from ...ops.operators import promoted
from ...primitives import losses as p
from .activations import logsigmoid
from .reduction import reduced, reduction_of, total

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "gaussian_nll_loss", "huber_loss",
    "kl_div", "l1_loss", "mse_loss", "multilabel_soft_margin_loss", "poisson_nll_loss",
    "smooth_l1_loss", "soft_margin_loss",
]

# --- of differences ---------------------------------------------------------------------------


def _two(name: str, input: Any, target: Any) -> tuple[Any, Any]:
    """Both, of one shape."""
    need_tensor(name, input)
    need_tensor(name, target, "target", 2)
    if input.aval.shape == target.aval.shape:
        return input, target
    warn(
        f"Using a target size ({target.size()}) that is different to the input size "
        f"({input.size()}). This will likely lead to incorrect results due to broadcasting. "
        "Please ensure they have the same size.")
    x, y = shapes.broadcast_tensors(input, target)
    return x, y


def _of_differences(primitive: Primitive, how: Any, input: Any, target: Any, reduction: str,
                    weight: Any) -> Any:
    x, y = input, target
    if x.aval.dtype is not y.aval.dtype:
        x, y = promoted((x, y))
    if weight is None:
        return primitive(x, y, how=how, reduction=reduction)
    if weight.aval.shape != x.aval.shape:
        raise ValueError("Weights and input must have the same size.")
    return reduced(weight * primitive(x, y, how=how, reduction="none"), reduction, weight.sum())


def mse_loss(input: Tensor, target: Tensor, size_average: bool | None = None,
             reduce: bool | None = None, reduction: str = "mean",
             weight: Tensor | None = None) -> Tensor:
    """(input - target)**2 of each element.

    Args:
        input: a floating-point tensor.
        target: of its shape.
        size_average: an older word for the reduction; so is `reduce`.
        reduce: see `size_average`.
        reduction: "mean" or "sum" over all elements, or "none".
        weight: what each element counts.

    Raises:
        RuntimeError: if the shapes do not fit.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.mse_loss(torch.tensor([1., 2.]), torch.tensor([1., 4.]))
        tensor(2.)
    """
    x, y = _two("mse_loss", input, target)
    return _of_differences(p.mse_loss, None, x, y, reduction_of(size_average, reduce, reduction),
                           weight)


def l1_loss(input: Tensor, target: Tensor, size_average: bool | None = None,
            reduce: bool | None = None, reduction: str = "mean",
            weight: Tensor | None = None) -> Tensor:
    """|input - target| of each element; arguments as for `mse_loss`."""
    x, y = _two("l1_loss", input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    if x.aval.dtype.is_floating_point is y.aval.dtype.is_floating_point is True:
        return _of_differences(p.l1_loss, None, x, y, reduction, weight)
    losses = (x - y).abs()
    return total(losses, reduction) if weight is None else reduced(
        weight * losses, reduction, weight.sum())


def smooth_l1_loss(input: Tensor, target: Tensor, size_average: bool | None = None,
                   reduce: bool | None = None, reduction: str = "mean",
                   beta: float = 1.0) -> Tensor:
    """The distance d of each element less beta / 2; below beta, d**2 / (2 beta).

    Arguments as for `mse_loss`.

    Raises:
        RuntimeError: if beta is negative.
    """
    x, y = _two("smooth_l1_loss", input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    if beta == 0:
        return l1_loss(x, y, reduction=reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    return _of_differences(p.smooth_l1_loss, float(beta), x, y, reduction, None)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0,
               weight: Tensor | None = None) -> Tensor:
    """d**2 / 2 of each element whose distance d is at most delta, delta (d - delta / 2) beyond.

    Arguments as for `mse_loss`.

    Raises:
        RuntimeError: if delta is not positive.
    """
    x, y = _two("huber_loss", input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    return _of_differences(p.huber_loss, float(delta), x, y, reduction_of(None, None, reduction),
                           weight)


# --- of probabilities -------------------------------------------------------------------------


def binary_cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None,
                         size_average: bool | None = None, reduce: bool | None = None,
                         reduction: str = "mean") -> Tensor:
    """-(y log x + (1 - y) log(1 - x)) of each probability x and truth y; logarithms are >= -100.

    Args:
        input: probabilities.
        target: of the same shape and dtype, between 0 and 1.
        weight: what each element counts; broadcast.
        size_average: an older word for the reduction; so is `reduce`.
        reduce: see `size_average`.
        reduction: "mean" or "sum" over all elements, or "none".

    Raises:
        ValueError: if the shapes differ.
        RuntimeError: if the dtypes differ, or an element is no probability.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1.]))
        tensor(0.6931)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    need_tensor("binary_cross_entropy", input)
    need_tensor("binary_cross_entropy", target, "target", 2)
    x, y = input.aval, target.aval
    if x.shape != y.shape:
        raise ValueError(f"Using a target size ({target.size()}) that is different to the input "
                         f"size ({input.size()}) is deprecated. Please ensure they have the same "
                         "size.")
    if x.dtype is not y.dtype:
        raise RuntimeError(f"Found dtype {y.dtype.words} but expected {x.dtype.words}")
    p.binary_cross_entropy.abstract(x.plain, y.plain, how=None, reduction=reduction)
    values = numbers(input)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise RuntimeError("all elements of input should be between 0 and 1")
    return _weighted(p.binary_cross_entropy, input, target, weight, reduction)


def _weighted(primitive: Primitive, input: Any, target: Any, weight: Any, reduction: str) -> Any:
    if weight is None:
        return primitive(input, target, how=None, reduction=reduction)
    if broadcast_shapes([input.aval.shape, weight.aval.shape]) != input.aval.shape:
        raise RuntimeError(f"The size of weight {list(weight.aval.shape)} must be broadcastable "
                           f"to that of the input {list(input.aval.shape)}")
    return total(primitive(input, target, how=None, reduction="none") * weight, reduction)


def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                     size_average: bool | None = None, reduce: bool | None = None,
                                     reduction: str = "mean",
                                     pos_weight: Tensor | None = None) -> Tensor:
    """`binary_cross_entropy` of sigmoid(input), accurate for large inputs.

    Args:
        input: log-odds.
        target: of the same shape, between 0 and 1.
        weight: what each element counts; broadcast.
        size_average: an older word for the reduction; so is `reduce`.
        reduce: see `size_average`.
        reduction: "mean" or "sum" over all elements, or "none".
        pos_weight: what the truth of 1 counts; broadcast.

    Raises:
        ValueError: if the shapes differ.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    need_tensor("binary_cross_entropy_with_logits", input)
    need_tensor("binary_cross_entropy_with_logits", target, "target", 2)
    if input.aval.shape != target.aval.shape:
        raise ValueError(f"Target size ({target.size()}) must be the same as input size "
                         f"({input.size()})")
    if not input.aval.dtype.is_floating_point:
        raise NotImplementedError('"log_sigmoid_cpu" not implemented for '
                                  f"'{input.aval.dtype.words}'")
    if pos_weight is not None:
        lift = 1 + (pos_weight - 1) * target
        losses = (1 - target) * input - lift * logsigmoid(input)
        return total(losses if weight is None else losses * weight, reduction)
    if input.aval.dtype is not target.aval.dtype:
        target = target.to(input.aval.dtype)
    return _weighted(p.binary_cross_entropy_with_logits, input, target, weight, reduction)


def multilabel_soft_margin_loss(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                size_average: bool | None = None, reduce: bool | None = None,
                                reduction: str = "mean") -> Tensor:
    """The mean over classes (the last dimension) of `binary_cross_entropy_with_logits`."""
    reduction = reduction_of(size_average, reduce, reduction)
    losses = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        losses = losses * weight
    return total(losses.sum(-1) / input.size(-1), reduction)


def soft_margin_loss(input: Tensor, target: Tensor, size_average: bool | None = None,
                     reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-y x)) of each element x and truth y, 1 or -1."""
    reduction = reduction_of(size_average, reduce, reduction)
    need_tensor("soft_margin_loss", input)
    need_tensor("soft_margin_loss", target, "target", 2)
    if not input.aval.dtype.differentiable and target.aval.dtype is not dtypes.bool_:
        raise RuntimeError(f"result type Float can't be cast to the desired output type "
                           f"{input.aval.dtype.words}")
    x, y = promoted((input, target))
    if x.aval.shape != y.aval.shape:
        x, y = shapes.broadcast_tensors(x, y)
    if not x.aval.dtype.is_floating_point:
        return total((-y * x).exp().log1p(), reduction)
    return p.soft_margin_loss(x, y, how=None, reduction=reduction)


def kl_div(input: Tensor, target: Tensor, size_average: bool | None = None,
           reduce: bool | None = None, reduction: str = "mean",
           log_target: bool = False) -> Tensor:
    """y (log y - x) of each log-probability x and probability y; 0 where y is 0.

    Args:
        input: log-probabilities.
        target: probabilities, or their logarithms if `log_target`.
        size_average: an older word for the reduction; so is `reduce`.
        reduce: see `size_average`.
        reduction: "batchmean" (the sum by the size of the first dimension, which is the
            divergence), "mean" or "sum" over all elements, or "none".
        log_target: see `target`.

    Raises:
        RuntimeError: for complex numbers or integers.

    Example:
        >>> import wengert as torch
        >>> p, q = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25, 0.75]])
        >>> torch.nn.functional.kl_div(q.log(), p, reduction="batchmean")
        tensor(0.1438)
    """
    need_tensor("kl_div", input)
    need_tensor("kl_div", target, "target", 2)
    batch = reduction == "batchmean"
    reduction = "sum" if batch else reduction_of(size_average, reduce, reduction)
    for x in (input, target):
        if not x.aval.dtype.is_floating_point:
            words = "Complex" if x.aval.dtype.is_complex else "Integral"
            raise RuntimeError(f"kl_div: {words} inputs not supported.")
    losses = (target.exp() * (target - input) if log_target else
              pointwise.xlogy(target, target) - target * input)
    found = total(losses, reduction)
    return found / input.size(0) if batch and input.aval.ndim else found


def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool = True, full: bool = False,
                     size_average: bool | None = None, eps: float = 1e-8,
                     reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """Minus the log-probability of a count y, which is Poisson, up to a constant of y.

    Args:
        input: the logarithm of the expected count; or the count itself, unless `log_input`.
        target: the counts.
        log_input: see `input`.
        full: whether to add Stirling's approximation of log(y!), for y > 1.
        size_average: an older word for the reduction; so is `reduce`.
        eps: added to the expected count before its logarithm is taken.
        reduce: see `size_average`.
        reduction: "mean" or "sum" over all elements, or "none".
    """
    need_tensor("poisson_nll_loss", input)
    need_tensor("poisson_nll_loss", target, "target", 2)
    reduction = reduction_of(size_average, reduce, reduction)
    losses = (input.exp() - target * input if log_input else
              input - target * (input + eps).log())
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        losses = losses + stirling.masked_fill(target <= 1, 0)
    return total(losses, reduction)


def gaussian_nll_loss(input: Tensor, target: Tensor, var: Tensor | float, full: bool = False,
                      eps: float = 1e-6, reduction: str = "mean") -> Tensor:
    """Minus the log-probability of y, which is normal with mean x and variance `var`.

    Args:
        input: the means.
        target: what was seen.
        var: the variances: of the input's shape; or of one dimension less, or of size 1 in the
            last; or one number.
        full: whether to add log(2 pi) / 2.
        eps: the least variance, which gets no gradient.
        reduction: "mean" or "sum" over all elements, or "none".

    Raises:
        ValueError: if a variance is negative, or their shape does not fit.
    """
    variance: Any = var if isinstance(var, Handle) else var * input.new_ones(())
    if not isinstance(var, Handle):
        variance = variance.expand_as(input)
    elif variance.aval.shape != input.aval.shape:
        variance = _fitted(variance, input.aval.shape)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    if (numbers(variance) < 0).any():
        raise ValueError("var has negative entry/entries")
    low = choices.where(variance < eps, eps, variance)
    losses = 0.5 * (low.log() + (input - target) ** 2 / low)
    return total(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def _fitted(variance: Any, shape: Size) -> Any:
    """A variance for each element, or for all of the last dimension."""
    have = tuple(variance.aval.shape)
    if tuple(shape[:-1]) == have:
        return variance.unsqueeze(-1)
    fits = len(have) == len(shape) and (
        (tuple(shape[:-1]) == have[:-1] and have[-1] == 1)
        or all(m in (1, n) for n, m in zip(shape, have, strict=True)))
    if not fits:
        raise ValueError("var is of incorrect size")
    return variance
