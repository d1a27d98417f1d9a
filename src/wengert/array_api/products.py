"""Products of matrices, vectors and tensors."""

from __future__ import annotations

from collections.abc import Sequence

import wengert as torch

from .dtypes import together

__all__ = ["matmul", "matrix_transpose", "tensordot", "vecdot"]


def matmul(x1: torch.Tensor, x2: torch.Tensor, /) -> torch.Tensor:
    """The product of matrices, or stacks of them, or vectors."""
    return torch.matmul(*together(x1, x2))


def matrix_transpose(x: torch.Tensor, /) -> torch.Tensor:
    """The last two axes exchanged; a view."""
    return x.mT


def tensordot(x1: torch.Tensor, x2: torch.Tensor, /, *,
              axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> torch.Tensor:
    """Products summed over axes of both: the last of one and the first of the other, or others."""
    dims = axes if isinstance(axes, int) else [list(each) for each in axes]
    x1, x2 = together(x1, x2)
    return torch.tensordot(x1, x2, dims)


def vecdot(x1: torch.Tensor, x2: torch.Tensor, /, *, axis: int = -1) -> torch.Tensor:
    """The sum of products along an axis, of the conjugates of `x1` with `x2`."""
    x1, x2 = torch.broadcast_tensors(*together(x1, x2))
    return (torch.conj(x1) * x2).sum(axis, dtype=x1.dtype)
