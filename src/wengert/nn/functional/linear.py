"""Linear and bilinear maps, with weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...ops import products
from ...ops.addmm import addmm
from ...ops.arguments import need_tensor
from ...ops.einsum import einsum

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["bilinear", "linear"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias.

    Args:
        input: of shape (..., n).
        weight: of shape (m, n), or (n,).
        bias: of shape (m,), or ().

    Raises:
        RuntimeError: if the shapes do not fit.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.linear(torch.ones(2, 3), torch.ones(1, 3), torch.ones(1))
        tensor([[4.],
                [4.]])
    """
    for i, (name, x) in enumerate((("input", input), ("weight", weight)), 1):
        need_tensor("linear", x, name, i)
    if bias is not None and input.aval.ndim == 2 == weight.aval.ndim:
        return addmm(bias, input, weight.t())
    found = products.matmul(input, weight.t())
    return found if bias is None else found + bias


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """For each matrix of the weights, input1 @ matrix @ input2, plus the bias.

    Args:
        input1: of shape (..., n).
        input2: of shape (..., m), with the same leading dimensions.
        weight: of shape (k, n, m).
        bias: of shape (k,).

    Returns:
        A tensor of shape (..., k).

    Raises:
        RuntimeError: if the shapes do not fit.
    """
    for i, (name, x) in enumerate((("input1", input1), ("input2", input2), ("weight", weight)), 1):
        need_tensor("bilinear", x, name, i)
    a, b, w = input1.aval.shape, input2.aval.shape, weight.aval.shape
    if len(a) != len(b):
        raise RuntimeError("bilinear(): input dimensions do not match: got "
                           f"{len(a)} and {len(b)}")
    for d, (n, m) in enumerate(zip(a[:-1], b[:-1], strict=True)):
        if n != m:
            raise RuntimeError(f"bilinear(): input batch dimensions do not match at dim {d}: got "
                               f"{n} and {m}")
    for name, have, want in (("input1", a[-1], w[1]), ("input2", b[-1], w[-1])):
        if have != want:
            raise RuntimeError(f"bilinear(): {name} size does not match weight size: got {have} "
                               f"but expected {want}")
    if bias is not None and bias.aval.shape[0] != w[0]:
        raise RuntimeError("bilinear(): bias size does not match weight size: got "
                           f"{bias.aval.shape[0]} but expected {w[0]}")
    found = einsum("...i,kij,...j->...k", input1, weight, input2)
    return found if bias is None else found + bias
