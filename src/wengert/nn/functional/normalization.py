"""Layers that give their input a mean, a variance or a length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.aval import Size
from ...core.formats import spatial
from ...core.levels import here
from ...ops import choices, shapes
from ...ops.arguments import check_floats, need_tensor, wrapped_dims
from ...primitives import elementwise as e, layout, network

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "normalize",
    "rms_norm",
]


def layer_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
               bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """The input with mean 0 and variance 1 in its last dimensions, then scaled and shifted.

    Args:
        input: a floating-point tensor.
        normalized_shape: the sizes of these dimensions.
        weight: what to multiply by, of that shape; None for 1.
        bias: what to add, of that shape; None for 0.
        eps: added to the variance.

    Raises:
        RuntimeError: if the shapes do not fit.
        NotImplementedError: for a tensor of another kind.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.layer_norm(torch.tensor([[1., 2., 3.]]), (3,))
        tensor([[-1.2247,  0.0000,  1.2247]])
    """
    shape = _normalized(need_tensor("layer_norm", input), normalized_shape)
    kind = input.aval.dtype
    for name, x in (("weight", weight), ("bias", bias)):
        _check_shape(name, x, shape)
        _check_kind(x, kind)
    if weight is None is bias:
        ndim = input.aval.ndim
        dims = tuple(range(ndim - len(shape), ndim))
        return network.plain_layer_norm(input, dims=dims, eps=float(eps))
    return network.layer_norm(
        input, _constant(1, shape, kind) if weight is None else weight,
        _constant(0, shape, kind) if bias is None else bias, eps=float(eps))


def _normalized(x: Any, given: Any, name: str = "layer_norm") -> tuple[int, ...]:
    """The shape to be normalised, checked."""
    words = f"{name}(): argument 'normalized_shape' (position 2) must be tuple of ints, "
    if not isinstance(given, (tuple, list)):
        raise TypeError(f"{words}not {type(given).__name__}")
    for i, n in enumerate(given):
        if not hasattr(n, "__index__"):
            raise TypeError(f"{words}but found element of type {type(n).__name__} at pos {i}")
    shape = tuple(int(n) for n in given)
    if not shape:
        raise RuntimeError("Expected normalized_shape to be at least 1-dimensional, i.e., "
                           "containing at least one element, but got normalized_shape = []")
    if tuple(x.aval.shape[-len(shape):]) != shape:
        sizes = ", ".join(map(str, shape))
        rest = sizes if name == "rms_norm" else f", {sizes}"
        raise RuntimeError(f"Given normalized_shape=[{sizes}], expected input with shape [*"
                           f"{rest}], but got input of size{list(x.aval.shape)}")
    return shape


def _check_shape(name: str, x: Any, shape: tuple[int, ...]) -> None:
    if x is not None and tuple(x.aval.shape) != shape:
        raise RuntimeError(
            f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
            f"{list(x.aval.shape)} and normalized_shape = {list(shape)}")


def _check_kind(x: Any, kind: dtypes.dtype) -> None:
    if x is not None and x.aval.dtype is not kind and (kind, x.aval.dtype) != (
            dtypes.float16, dtypes.float32):
        raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of Float")


def _constant(number: float, shape: tuple[int, ...], kind: dtypes.dtype) -> np.ndarray:
    """A number, as often as the shape says, in the memory of one."""
    return np.broadcast_to(np.asarray(number, kind.numpy), shape)


def rms_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
             eps: float | None = None) -> Tensor:
    """The input divided by the root of the mean square of its last dimensions, times the weight.

    Args:
        input: a floating-point tensor.
        normalized_shape: the sizes of these dimensions.
        weight: of that shape; None for 1.
        eps: added to the mean square; the dtype's machine epsilon, if None.

    Raises:
        RuntimeError: if the shapes do not fit.

    Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
    """
    shape = _normalized(need_tensor("rms_norm", input), normalized_shape, "rms_norm")
    kind = input.aval.dtype
    if not kind.differentiable:
        raise NotImplementedError(f'"rms_norm" not implemented for \'{kind.words}\'')
    _check_shape("weight", weight, shape)
    (x,) = _wide(shapes.contiguous(input))
    if eps is None:
        eps = float(np.finfo(x.aval.dtype.to_real().numpy).eps)
    mean = (x * x).mean(tuple(range(-len(shape), 0)), keepdim=True)
    found = x * (mean + eps).rsqrt()
    if weight is not None:
        found = found * weight
    return found if x is input else found.to(kind)


# --- by channels ------------------------------------------------------------------------------


def _by_channel(v: Any, x: Any) -> Any:
    """A number per channel, shaped to meet the input."""
    behind = x.aval.ndim - 2
    if v.aval.ndim != 1:
        v = v.reshape(-1)
    return layout.reshape(v, shape=(v.aval.numel,) + (1,) * behind) if behind else v


def _affine(x: Any, weight: Any, bias: Any, both: Any = network.affine) -> Any:
    """x scaled and shifted by channel; `both` does so at once."""
    if weight is not None is not bias and weight.aval is bias.aval and weight.aval.ndim == 1 and (
            weight.aval.dtype is x.aval.dtype):
        return both(x, weight, bias)
    if weight is not None:
        x = x * _by_channel(weight, x)
    return x if bias is None else x + _by_channel(bias, x)


def _wide(*tensors: Any) -> tuple[Any, ...]:
    """Tensors of half precision in float32, in which they are worked out."""
    return tuple(x if x is None or x.aval.dtype.itemsize >= 4 else x.float() for x in tensors)


def batch_norm(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
               weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
               momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """Each channel with mean 0 and variance 1 over the batch, then scaled and shifted.

    Args:
        input: of shape (batch, channels, ...).
        running_mean: means by channel, used where not `training`; else moved towards the batch's.
        running_var: likewise, variances.
        weight: what to multiply by, by channel.
        bias: what to add, by channel.
        training: whether the batch's own mean and variance are used.
        momentum: how far running statistics move.
        eps: added to the variance.

    Raises:
        RuntimeError: if sizes do not fit, or running statistics are wanted and missing, or require
            grad.
        ValueError: if a channel has but one value, in training.

    Source: Ioffe and Szegedy, Batch Normalization, 2015.
    """
    running = (running_mean, running_var)
    shape = need_tensor("batch_norm", input).aval.shape
    _check_batch(shape, training, running)
    channels = shape[1] if len(shape) > 1 else 0
    _check_by_channel(channels, *running, weight, bias)
    check_floats("batch_norm", input)
    if not channels:
        return input.clone()
    x, weight, bias = _wide(input, weight, bias)
    found = _by_batch(x, running, momentum, eps) if training else _by_running(x, running, eps)
    found = _affine(found, weight, bias, network.batch_affine)
    return found if x is input else found.to(input.aval.dtype)


def _check_batch(shape: tuple[int, ...], training: bool, running: tuple[Any, Any]) -> None:
    if training and math.prod(shape[:1] + shape[2:]) == 1:
        raise ValueError("Expected more than 1 value per channel when training, got input size "
                         f"{Size(shape)}")
    if not shape or (len(shape) == 1 and shape[0]):
        raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got 1)")
    if not training and running[0] is None:
        raise RuntimeError("running_mean must be defined in evaluation mode")


def _check_by_channel(channels: int, *vectors: Any) -> None:
    given = [(name, v, v.aval.numel) for name, v in zip(_BY_CHANNEL, vectors, strict=True)
             if v is not None]
    if (vectors[0] is None) != (vectors[1] is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    for name, v, count in given:
        if count != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {count}")
        if name.startswith("running") and here.grad and v.requires_grad:
            raise RuntimeError(
                "The function 'native_batch_norm' is not differentiable with respect to argument "
                f"'{name}'. This input cannot have requires_grad True.")


_BY_CHANNEL = ("running_mean", "running_var", "weight", "bias")


def _by_batch(x: Any, running: tuple[Any, Any], momentum: float, eps: float) -> Any:
    """x by the batch's own statistics, towards which running ones move."""
    dims = (0, *range(2, x.aval.ndim))
    if running[0] is not None:
        still = x.detach()
        _move(running[0], still.mean(dims), momentum)
        _move(running[1], still.var(dims), momentum)
    return network.plain_batch_norm(x, dims=dims, eps=float(eps))


_centred = e.sub.named("SubBackward0", order=spatial)


def _by_running(x: Any, running: tuple[Any, Any], eps: float) -> Any:
    mean, var = _wide(*running)
    return _centred(x, _by_channel(mean, x)) * _by_channel((var + eps).rsqrt(), x)


def _move(running: Any, now: Any, momentum: float) -> None:
    """Moves a running statistic towards that of a batch."""
    running.detach().mul_(1 - momentum).add_(now.to(running.aval.dtype) * momentum)


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None,
               bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Each group of channels with mean 0 and variance 1, then scaled and shifted by channel.

    Args:
        input: of shape (batch, channels, ...).
        num_groups: of how many channels each has the same number.
        weight: what to multiply by, by channel.
        bias: what to add, by channel.
        eps: added to the variance.

    Raises:
        RuntimeError: if sizes do not fit.
        ValueError: if a group has but one value.

    Source: Wu and He, Group Normalization, 2018.
    """
    shape = need_tensor("group_norm", input).aval.shape
    if len(shape) < 2:
        raise RuntimeError("Expected at least 2 dimensions for input tensor but received "
                           f"{len(shape)}")
    if shape[0] * shape[1] // num_groups * math.prod(shape[2:]) == 1:
        raise ValueError("Expected more than 1 value per channel when training, got input size "
                         f"{list(shape)}")
    if shape[1] % num_groups:
        raise RuntimeError("Expected number of channels in input to be divisible by num_groups, "
                           f"but got input of shape {list(shape)} and num_groups={num_groups}")
    for name, v in (("weight", weight), ("bias", bias)):
        if v is not None and tuple(v.aval.shape) != (shape[1],):
            raise RuntimeError(f"Expected {name} to be a vector of size equal to the number of "
                               f"channels in input, but got {name} of shape {list(v.aval.shape)} "
                               f"and input of shape {list(shape)}")
    check_floats("GroupNormKernelImpl", input)
    x, weight, bias = _wide(input, weight, bias)
    if num_groups == 1:
        found = network.standardized(x, dims=tuple(range(1, len(shape))), eps=float(eps))
    else:
        groups = x.reshape(shape[0], num_groups, math.prod(shape[1:]) // num_groups)
        found = network.standardized(groups, dims=(2,), eps=float(eps)).reshape(shape)
    return _affine(found, weight, bias).to(input.aval.dtype)


def instance_norm(input: Tensor, running_mean: Tensor | None = None,
                  running_var: Tensor | None = None, weight: Tensor | None = None,
                  bias: Tensor | None = None, use_input_stats: bool = True,
                  momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """Each channel of each example with mean 0 and variance 1; arguments as for `batch_norm`.

    Raises:
        RuntimeError: as `batch_norm`.
        ValueError: if there is but one value.
    """
    shape = need_tensor("instance_norm", input).aval.shape
    if use_input_stats and math.prod(shape[2:]) == 1:
        raise ValueError("Expected more than 1 spatial element when training, got input size "
                         f"{input.size()}")
    if not use_input_stats:
        if running_mean is None and running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when "
                               "use_input_stats is false")
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    _check_by_channel(shape[1], running_mean, running_var, weight, bias)
    check_floats("batch_norm", input)
    dims = tuple(range(2, len(shape)))
    x, weight, bias = _wide(input, weight, bias)
    if running_mean is not None and running_var is not None:
        still = x.detach()
        _move(running_mean, still.mean(dims).mean(0), momentum)
        _move(running_var, still.var(dims).mean(0), momentum)
    found = network.standardized(x, dims=dims, eps=float(eps))
    return _affine(found, weight, bias).to(input.aval.dtype)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75,
                        k: float = 1.0) -> Tensor:
    """The input by (k + alpha * mean of squares of `size` neighbouring channels)**beta.

    Raises:
        ValueError: for fewer than three dimensions.

    Source: Krizhevsky et al., ImageNet classification, 2012.
    """
    if need_tensor("local_response_norm", input).aval.ndim < 3:
        raise ValueError("Expected 3D or higher dimensionality                          input "
                         f"(got {input.aval.ndim} dimensions)")
    if not input.aval.numel:
        return input
    channels, before = input.size(1), size // 2
    squares = (input * input).movedim(1, -1)
    padded = squares.new_zeros(*squares.shape[:-1], channels + size - 1)
    around = padded.slice_scatter(squares, -1, before, before + channels).unfold(-1, size, 1)
    total = around.sum(-1) / size
    return input / ((total * alpha + k) ** beta).movedim(-1, 1)


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """The input by its p-norm along a dimension, or by eps where that is greater.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.normalize(torch.tensor([[3., 4.]]))
        tensor([[0.6000, 0.8000]])
    """
    if not need_tensor("normalize", input).aval.dtype.differentiable:
        raise RuntimeError("linalg.vector_norm: Expected a floating point or complex tensor as "
                           f"input. Got {input.aval.dtype.words}")
    return unit(input, dim, eps) if p == 2 and not input.aval.is_complex else (
        input / choices.clamp(input.norm(p, dim, keepdim=True), min=eps))


def unit(x: Any, dim: Any, eps: float) -> Any:
    """Real numbers by their length along a dimension, or by eps where that is greater."""
    return network.unit(x, dims=wrapped_dims(dim, x.aval.ndim), eps=float(eps))
