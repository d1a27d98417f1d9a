"""What neurons do to their input, element by element or along a dimension."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.primitive import Primitive
from ...core.provenance import warn
from ...interpreters.inplace import write
from ...ops import fills, inplace as in_place, operators, pointwise, random, reduce
from ...ops.arguments import need_tensor, wrapped_dim
from ...primitives import activations as a, elementwise as e

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "silu",
    "softmax",
    "softmin",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
    "threshold_",
]

_gelu, _gelu_tanh, _silu = map(operators.unary, (e.gelu, e.gelu_tanh, e.silu))
_mish, _logsigmoid = operators.unary(a.mish), operators.unary(a.log_sigmoid)
_hardsigmoid, _hardswish = operators.unary(a.hardsigmoid), operators.unary(a.hardswish)


def _applied(primitive: Primitive, name: str, x: Any, inplace: bool, **params: Any) -> Any:
    """A primitive with parameters, of a tensor or in place."""
    need_tensor(name, x)
    return write(primitive, x, **params) if inplace else primitive(x, **params)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0) of each element, written to the input itself if `inplace`."""
    return in_place.relu_(need_tensor("relu_", input)) if inplace else pointwise.relu(input)


def relu_(input: Tensor) -> Tensor:
    """`relu`, in place."""
    return in_place.relu_(need_tensor("relu_", input))


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x times the probability that a standard normal number is below x, of each element.

    Args:
        input: a floating-point tensor.
        approximate: "none"; or "tanh" for the formula
            0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x**3))).

    Raises:
        RuntimeError: for another approximation.
        NotImplementedError: for a tensor of another kind.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.gelu(torch.tensor([-1., 0., 1.]))
        tensor([-0.1587,  0.0000,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return (_gelu if approximate == "none" else _gelu_tanh)(input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x) of each element, written to the input itself if `inplace`.

    Raises:
        NotImplementedError: for integers.
    """
    return write(e.silu, need_tensor("silu_", input)) if inplace else _silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * tanh(log(1 + e**x)) of each element."""
    return _applied(a.mish, "mish_", input, True) if inplace else _mish(input)


def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)) of each element, without underflow."""
    return _logsigmoid(input)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """x / 6 + 1/2 of each element, between 0 and 1."""
    return _applied(a.hardsigmoid, "hardsigmoid_", input, True) if inplace else _hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * hardsigmoid(x) of each element."""
    return _applied(a.hardswish, "hardswish_", input, True) if inplace else _hardswish(input)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x of each element above 0, alpha (e**x - 1) of the others.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.elu(torch.tensor([-1., 1.]))
        tensor([-0.6321,  1.0000])
    """
    return _applied(a.elu, "elu", input, inplace, alpha=float(alpha), scale=1.0, width=1.0)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """1.0507 times `elu` with alpha 1.6733: which keeps mean 0 and variance 1.

    Source: Klambauer et al., Self-Normalizing Neural Networks, 2017.
    """
    return _applied(a.elu, "selu", input, inplace, alpha=1.6732632423543772848170429916717,
                    scale=1.0507009873554804934193349852946, width=1.0)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x of each element above 0, alpha (e**(x / alpha) - 1) of the others: a slope without kink.

    Raises:
        RuntimeError: if alpha is 0.
    """
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _applied(a.celu, "celu", input, inplace, alpha=float(alpha), scale=1.0,
                    width=float(alpha))


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x of each element above 0, negative_slope * x of the others."""
    return _applied(a.leaky_relu, "leaky_relu", input, inplace, slope=float(negative_slope))


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x of each element above 0, weight * x of the others.

    Args:
        input: of shape (batch, channels, ...).
        weight: one number, or one for each channel.

    Raises:
        RuntimeError: if the weights don't fit the channels, or the dtypes differ.
    """
    need_tensor("prelu", input)
    need_tensor("prelu", weight, "weight", 2)
    x, w = input.aval, weight.aval
    if w.ndim > 1:
        raise RuntimeError("prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = "
                           f"{w.ndim}")
    if w.numel != 1:
        if not x.ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = x.shape[1] if x.ndim > 1 else 1
        if channels != w.numel:
            raise RuntimeError("Mismatch of parameter numbers and input channel size. Found "
                               f"parameter numbers = {w.numel} and channel size = {channels}.")
    if x.dtype is not w.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {x.dtype.words} and "
                           f"{w.dtype.words}")
    shape = (-1, *[1] * (x.ndim - 2)) if w.numel != 1 else [1] * x.ndim
    return a.prelu(input, weight.reshape(shape))


def rrelu(input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
          inplace: bool = False) -> Tensor:
    """x of each element above 0; of the others, a random part between `lower` and `upper` of it.

    Where it is not `training`, the part is the mean of the two.
    """
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    origin, kind = random.default_generator, need_tensor("rrelu", input).aval.dtype
    if not kind.is_floating_point:
        raise NotImplementedError(
            f"\"rrelu_with_noise_out_cpu\" not implemented for '{kind.words}'")

    def draw(x: np.ndarray) -> np.ndarray:  # float64 numbers, for those elements alone
        parts = np.ones(x.shape, x.dtype)
        places = x <= 0
        unit = origin.uniform((int(np.count_nonzero(places)),), np.float64)
        parts[places] = unit * (upper - lower) + lower
        return parts

    parts = random.drawn_for(input, origin, draw)
    return write(a.prelu, input, parts) if inplace else a.prelu(input, parts)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0,
             inplace: bool = False) -> Tensor:
    """Each element, or the bound that it is beyond; slope 0 at the bounds.

    Raises:
        ValueError: if the lower bound is above the upper.
        RuntimeError: for bools.
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return _hard("hardtanh", input, inplace, min_val, max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Each element between 0 and 6, or the bound that it is beyond."""
    return _hard("relu6", input, inplace, 0, 6)


def _hard(name: str, x: Any, inplace: bool, low: Any, high: Any) -> Any:
    if need_tensor(name, x).aval.dtype is dtypes.bool_:
        raise RuntimeError("Bool inputs not supported for hardtanh")
    return _applied(a.hardtanh, name, x, inplace, low=low, high=high)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """0 in place of each element between -lambd and lambd."""
    return _applied(a.hardshrink, "hardshrink", input, False, width=float(lambd))


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Each element, moved by lambd towards 0, at most to it.

    Raises:
        RuntimeError: if lambd is negative.
    """
    if lambd < 0:
        kind = need_tensor("softshrink", input).aval
        raise RuntimeError("lambda must be in range [0, "
                           f"{np.finfo(kind.numpy).max:g}] for input dtype {kind.dtype.words}, "
                           f"but found {lambd:g}")
    return _applied(a.softshrink, "softshrink", input, False, width=float(lambd))


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`value` in place of each element that is not above the threshold."""
    return _applied(a.threshold, "threshold", input, inplace, bound=threshold, value=value)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x) of each element."""
    return input - input.tanh()


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|) of each element."""
    return input / (input.abs() + 1)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Half of the input along a dimension, times the sigmoid of the other half.

    Raises:
        RuntimeError: if the size of the dimension is odd.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.glu(torch.tensor([2., 4., 0., 0.]))
        tensor([1., 2.])
    """
    if not need_tensor("glu", input).aval.ndim:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    if not input.aval.dtype.is_floating_point:
        raise NotImplementedError(f'"glu_cpu" not implemented for \'{input.aval.dtype.words}\'')
    d = wrapped_dim(dim, input.aval.ndim)
    if (n := input.aval.shape[d]) % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {d} is size {n}")
    return a.glu(input, dim=d)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10,
                   dim: int = -1) -> Tensor:
    """A random draw from the distribution that softmax gives, made differentiable.

    Args:
        logits: log-probabilities, not normalised.
        tau: the temperature: the lower, the nearer to a single 1.
        hard: whether the result is a single 1 among zeros, with the gradient of the soft draw.
        eps: not used.
        dim: along which dimension.

    Source: Jang et al., Categorical Reparameterization with Gumbel-Softmax, 2016.
    """
    gumbels = -fills.exponential_(logits.detach().clone()).log()
    soft = ((logits + gumbels) / tau).softmax(dim)
    if not hard:
        return soft
    ones = soft.detach().argmax(dim, keepdim=True)
    one_hot = logits.detach().clone().zero_().scatter_(dim, ones, 1.0)
    return one_hot - soft.detach() + soft


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3,
            dtype: Any = None) -> Tensor:
    """softmax(-x) along a dimension."""
    return reduce.softmax(-input, _given("softmin", input, dim), dtype=dtype)


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3,
            dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along a dimension, without overflow; see `wengert.softmax`."""
    return reduce.softmax(input, _given("softmax", input, dim), dtype=dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3,
                dtype: Any = None) -> Tensor:
    """log(softmax(x)) along a dimension; see `wengert.log_softmax`."""
    return reduce.log_softmax(input, _given("log_softmax", input, dim), dtype=dtype)


def _given(name: str, x: Any, dim: int | None) -> int:
    """The dimension; PyTorch still guesses one where there is none."""
    if dim is not None:
        return dim
    warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to "
         "include dim=X as an argument.")
    return 0 if need_tensor(name, x).aval.ndim in (0, 1, 3) else 1


def _in_place(name: str, function: Callable[..., Tensor], *names: str) -> Callable[..., Tensor]:
    """The form of a function that writes to its input."""

    def written(input: Tensor, *args: Any, **given: Any) -> Tensor:
        return function(input, **dict(zip(names, args, strict=False)), **given, inplace=True)

    written.__name__ = written.__qualname__ = name
    written.__doc__ = f"`{function.__name__}`, in place."
    return written


selu_ = _in_place("selu_", selu)
elu_, celu_ = _in_place("elu_", elu, "alpha"), _in_place("celu_", celu, "alpha")
leaky_relu_ = _in_place("leaky_relu_", leaky_relu, "negative_slope")
hardtanh_ = _in_place("hardtanh_", hardtanh, "min_val", "max_val")
threshold_ = _in_place("threshold_", threshold, "threshold", "value")
rrelu_ = _in_place("rrelu_", rrelu, "lower", "upper", "training")
