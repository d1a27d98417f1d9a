"""Distances between vectors, in PyTorch's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.primitive import broadcast_shapes
from ..primitives import distances as d
from . import norms, pointwise, shapes
from .arguments import need_tensor

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["cdist", "dist"]

_MODES = {"use_mm_for_euclid_dist_if_necessary": None, "use_mm_for_euclid_dist": True,
          "donot_use_mm_for_euclid_dist": False}


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0,
          compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """The p-norm distances between each row of one matrix and each of another.

    Args:
        x1: of shape (..., n, d), floats.
        x2: of shape (..., m, d); leading dimensions are broadcast.
        p: which norm, 0 to inf.
        compute_mode: whether Euclidean distances come from a matrix product, which takes less
            memory and loses digits where rows are close: by default for more than 25 rows.

    Returns:
        A tensor of shape (..., n, m). Its gradient is 0 where two rows are the same.

    Raises:
        RuntimeError: if the shapes do not fit, or p is negative.

    Example:
        >>> import wengert as torch
        >>> torch.cdist(torch.tensor([[0., 0.]]), torch.tensor([[3., 4.], [0., 0.]]))
        tensor([[5., 0.]])
    """
    need_tensor("cdist", x1, "x1")
    need_tensor("cdist", x2, "x2", 2)
    if compute_mode not in _MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    a, b = x1.aval, x2.aval
    _check_cdist(a, b, p)
    batch = broadcast_shapes([a.shape[:-2], b.shape[:-2]])
    x, y = (shapes.expand(v, *batch, *v.aval.shape[-2:]) if v.aval.shape[:-2] != batch else v
            for v in (x1, x2))
    product = _MODES[compute_mode]
    if product is None:
        product = max(a.shape[-2], b.shape[-2]) > d.MANY
    found: Any = d.cdist(x, y, p=float(p), product=bool(product and p == 2))
    return found


def _check_cdist(a: Any, b: Any, p: float) -> None:
    """Refuses shapes and dtypes of which there are no distances."""
    both = (("X1", a), ("X2", b))
    for name, each in both:
        if each.ndim < 2:
            raise RuntimeError("cdist only supports at least 2D tensors, "
                               f"{name} got: {each.ndim}D")
    if a.shape[-1] != b.shape[-1]:
        raise RuntimeError("X1 and X2 must have the same number of columns. X1: "
                           f"{a.shape[-1]} X2: {b.shape[-1]}")
    for name, each in both:
        if not each.dtype.is_floating_point:
            raise RuntimeError("cdist only supports floating-point dtypes, "
                               f"{name} got: {each.dtype.words}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"expected scalar type {a.dtype.words} but found {b.dtype.words}")


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of the difference of two tensors, which are broadcast.

    Example:
        >>> import wengert as torch
        >>> torch.dist(torch.tensor([1., 2.]), torch.tensor([4., 6.]))
        tensor(5.)
    """
    need_tensor("dist", input)
    return norms.norm(pointwise.sub(input, need_tensor("dist", other, "other", 2)), p)
