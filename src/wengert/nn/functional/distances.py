"""Distances and angles between vectors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...core.remembering import remembered
from ...ops import operators, shapes
from ...ops.arguments import need_tensor
from ...ops.distances import cdist
from ...primitives import indexing
from .normalization import unit

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors: their product by their lengths.

    Args:
        x1: any shape; broadcast against the other.
        x2: likewise.
        dim: the dimension along which a vector lies.
        eps: the least length that is divided by.

    Raises:
        RuntimeError: for integers, or if the shapes do not fit.
    """
    need_tensor("cosine_similarity", x1, "x1")
    need_tensor("cosine_similarity", x2, "x2", 2)
    x, y = operators.promoted((x1, x2))
    if not x.aval.dtype.is_floating_point:
        raise RuntimeError("expected common dtype to be floating point, yet common dtype is "
                           f"{x.aval.dtype.words}")
    if x.aval.shape != y.aval.shape:
        x, y = shapes.broadcast_tensors(x, y)
    return (unit(x, dim, eps) * unit(y, dim, eps)).sum(dim)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6,
                      keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last dimension.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor([[3., 4.]])
        >>> torch.nn.functional.pairwise_distance(x, torch.zeros(1, 2))
        tensor([5.0000])
    """
    need_tensor("pairwise_distance", x1, "x1")
    need_tensor("pairwise_distance", x2, "x2", 2)
    dim = max(x1.aval.ndim, x2.aval.ndim) - 1
    return (x1 - x2 + eps).norm(p, dim, keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances between all pairs of rows, those of the first row first.

    Raises:
        RuntimeError: unless it is a matrix of floats, or if p is negative.
    """
    x = need_tensor("pdist", input).aval
    if x.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {x.ndim}D")
    if not x.dtype.is_floating_point:
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    first, second = (indexing.index(input, rows, pattern=(0,)) for rows in _pairs(x.shape[0]))
    if p != math.inf:
        return (first - second).norm(p, 1)
    # Of differences that tie for the largest, each counts in full.
    return cdist(first.unsqueeze(1), second.unsqueeze(1), p).reshape(first.aval.shape[0])


@remembered
def _pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The indices of the first and of the second of all pairs of rows."""
    return np.triu_indices(count, 1)
