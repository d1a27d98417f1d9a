"""What neurons do to their input, element by element or along a dimension."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ...interpreters.inplace import write
from ...ops import inplace as in_place, operators, pointwise, reduce
from ...ops.arguments import need_tensor
from ...primitives import elementwise as e

if TYPE_CHECKING:
    from ..._tensor import Tensor

_gelu, _gelu_tanh, _silu = map(operators.unary, (e.gelu, e.gelu_tanh, e.silu))


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0) of each element, written to the input itself if `inplace`."""
    return in_place.relu_(need_tensor("relu_", input)) if inplace else pointwise.relu(input)


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
    warnings.warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to "
                  "include dim=X as an argument.", UserWarning, stacklevel=3)
    return 0 if need_tensor(name, x).aval.ndim in (0, 1, 3) else 1
