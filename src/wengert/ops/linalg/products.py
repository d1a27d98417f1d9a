"""Products and functions of matrices, in PyTorch's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.dtypes import bool_, c_name
from ...core.primitive import broadcast_shapes
from ...primitives import contractions, layout
from ...primitives.linalg import functions as p
from ...primitives.pieces import zero
from .. import diagonals, shapes
from ..arguments import also, whole, wrapped_dim
from ..products import dot, matmul, vdot
from . import checks
from .solving import inv

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "cross", "diagonal", "householder_product", "matmul", "matrix_exp", "matrix_power", "multi_dot",
    "vander", "vecdot",
]


def matrix_exp(input: Tensor) -> Tensor:
    """The exponential of square matrices: the sum of their powers A**k / k!.

    Computed by scaling and squaring, as SciPy does: A. H. Al-Mohy and N. J. Higham, A new scaling
    and squaring algorithm for the matrix exponential (2009).

    Example:
        >>> import wengert as torch
        >>> torch.linalg.matrix_exp(torch.zeros(2, 2))
        tensor([[1., 0.],
                [0., 1.]])
    """
    checks.floating("linalg.matrix_exp", checks.square("linalg.matrix_exp", input), low=True)
    return p.matrix_exp(input)


def matrix_power(input: Tensor, n: int) -> Tensor:
    """Square matrices multiplied by themselves, n times, by squaring; of the inverse, if n < 0.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.matrix_power(torch.tensor([[1., 1.], [0., 1.]]), 3)
        tensor([[1., 3.],
                [0., 1.]])
    """
    checks.square("linalg.matrix_power", checks.tensor("linalg.matrix_power", input, "input"))
    n = whole("linalg_matrix_power", "n", n, 2)
    if n == 0:
        return zero(input) + np.eye(input.aval.shape[-1], dtype=input.aval.numpy)
    if n < 0:
        input = inv(input)
    if abs(n) == 1:
        return layout.clone(input) if n == 1 else input
    return _power(input, abs(n))


def _power(x: Any, n: int) -> Any:
    """x**n for n > 0."""
    found = None
    while n:
        if n & 1:
            found = x if found is None else matmul(found, x)
        n >>= 1
        x = matmul(x, x) if n else x
    return found


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices, in the order that takes the fewest multiplications.

    Args:
        tensors: two or more; the first and the last may be vectors.

    Raises:
        RuntimeError: if shapes or dtypes do not fit.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.multi_dot([torch.ones(2, 3), torch.ones(3, 4), torch.ones(4)])
        tensor([12., 12.])
    """
    if not isinstance(tensors, (tuple, list)):
        raise TypeError("linalg_multi_dot(): argument 'tensors' (position 1) must be tuple of "
                        f"Tensors, not {type(tensors).__name__}")
    for x in tensors:
        checks.tensor("linalg.multi_dot", x, "tensors")
    found = _check_chain(tensors)
    first, last = tensors[0].aval.ndim, tensors[-1].aval.ndim
    if len(found) == 2:
        return matmul(tensors[0], tensors[1])
    product = chained(found)
    if first == 1:
        product = shapes.squeeze(product, 0)
    return shapes.squeeze(product, -1) if last == 1 else product


def _check_chain(tensors: Sequence[Any]) -> list[Any]:
    """The factors of a product as matrices."""
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    for word, x in (("first", tensors[0]), ("last", tensors[-1])):
        if x.aval.ndim not in (1, 2):
            raise RuntimeError(f"multi_dot(): the {word} tensor must be 1D or 2D but got "
                               f"{x.aval.ndim}D")
    kind = tensors[0].aval.dtype
    for i, x in enumerate(tensors):
        if 0 < i < len(tensors) - 1 and x.aval.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {x.aval.ndim}D")
        if x.aval.dtype is not kind:
            raise RuntimeError("multi_dot(): all tensors must have be the same dtype but tensor 0 "
                               f"is {c_name(kind, alone=True)} and tensor {i} "
                               f"{c_name(x.aval.dtype, alone=True)}")
    found = list(tensors)
    if found[0].aval.ndim == 1:
        found[0] = shapes.unsqueeze(found[0], 0)
    if found[-1].aval.ndim == 1:
        found[-1] = shapes.unsqueeze(found[-1], -1)
    for i in range(len(found) - 1):
        x, y = found[i].aval.shape, found[i + 1].aval.shape
        if x[1] != y[0]:
            raise RuntimeError(f"multi_dot(): tensors {i} and {i + 1} with shapes {list(x)} and "
                               f"{list(y)} cannot be multiplied")
    return found


def chained(tensors: Sequence[Any]) -> Any:
    """The product of matrices in the cheapest order.

    By dynamic programming over where a chain is cut last: T. H. Cormen et al., Introduction to
    Algorithms, section 15.2.
    """
    sizes = [tensors[0].aval.shape[0], *(x.aval.shape[1] for x in tensors)]
    cost: dict[tuple[int, int], int] = {(i, i): 0 for i in range(len(tensors))}
    cut: dict[tuple[int, int], int] = {}
    for length in range(1, len(tensors)):
        for i in range(len(tensors) - length):
            j = i + length
            cost[i, j], cut[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j))

    def product(i: int, j: int) -> Any:
        if i == j:
            return tensors[i]
        return matmul(product(i, cut[i, j]), product(cut[i, j] + 1, j))

    return product(0, len(tensors) - 1)


@also(input="A")
def householder_product(A: Tensor, tau: Tensor) -> Tensor:  # noqa: N803
    """The first columns of a product of reflections I - tau_i v_i v_i**H, as `geqrf` gives them.

    Args:
        A: whose columns are the v_i below the diagonal, on which they are 1.
        tau: the scales.

    Raises:
        RuntimeError: if shapes or dtypes do not fit.
    """
    name = "torch.linalg.householder_product"
    x, y = (checks.tensor("linalg.householder_product", A, "input").aval,
            checks.tensor("linalg.householder_product", tau, "tau", 2).aval)
    if x.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if x.shape[-2] < x.shape[-1]:
        raise RuntimeError(f"{name}: input.shape[-2] must be greater than or equal to "
                           "input.shape[-1]")
    if y.ndim and x.shape[-1] < y.shape[-1]:
        raise RuntimeError(f"{name}: input.shape[-1] must be greater than or equal to "
                           "tau.shape[-1]")
    if x.ndim - y.ndim != 1:
        raise RuntimeError(f"{name}: Expected tau to have one dimension less than input, but got "
                           f"tau.ndim equal to {y.ndim} and input.ndim is equal to {x.ndim}")
    if x.shape[:-2] != y.shape[:-1]:
        raise RuntimeError(f"{name}: Expected batch dimensions of tau to be equal to "
                           f"input.shape[:-2], but got {list(y.shape[:-1])}")
    if x.dtype is not y.dtype:
        raise RuntimeError(f"{name}: tau dtype {y.dtype.words} does not match input dtype "
                           f"{x.dtype.words}")
    checks.implemented("orgqr_cpu", A)
    start = np.eye(*x.shape[-2:], dtype=x.numpy)
    return p.reflected(A, tau, start, adjoint=False)


# --- vectors ----------------------------------------------------------------------------------


def vander(x: Tensor, *, N: int | None = None) -> Tensor:  # noqa: N803
    """The powers 0 to N - 1 of numbers, as rows of Vandermonde's matrix.

    Args:
        x: a tensor of at least one dimension.
        N: how many; as many as there are numbers by default.

    Raises:
        RuntimeError: for less than two powers, or bools.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.vander(torch.tensor([1, 2, 3]))
        tensor([[1, 1, 1],
                [1, 2, 4],
                [1, 3, 9]])
    """
    aval = checks.tensor("linalg.vander", x, "x").aval
    if aval.dtype is bool_:
        raise RuntimeError("linalg.vander supports floating point, complex, and integer tensors, "
                           f"but got {aval.dtype.words}")
    count = (aval.shape[-1] if aval.ndim else 1) if N is None else N
    if count <= 1:
        raise RuntimeError("N must be greater than 1.")
    return powers(x, count)


def powers(x: Any, count: int) -> Any:
    """The powers 0 to count - 1, of which there are two at least, as a dimension more."""
    shape = x.aval.shape or (1,)
    found = shapes.expand(shapes.reshape(x, *shape, 1), *shape, count - 1).cumprod(-1)
    ones = np.ones((*shape, 1), found.aval.numpy)
    return layout.cat(ones, found, dim=len(shape))


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product of vectors of three elements along a dimension; others are broadcast.

    Raises:
        RuntimeError: if the numbers of dimensions differ, or a size is not 3.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.cross(torch.tensor([1., 0., 0.]), torch.tensor([0., 1., 0.]))
        tensor([0., 0., 1.])
    """
    x, y = (checks.tensor("linalg.cross", input, "input").aval,
            checks.tensor("linalg.cross", other, "other", 2).aval)
    if x.ndim != y.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    d = wrapped_dim(dim, x.ndim)
    n, m = (a.shape[d] if a.ndim else 1 for a in (x, y))
    if n != 3 or m != 3:
        raise RuntimeError(f"linalg.cross: inputs dimension {dim} must have length 3. Got {n} and "
                           f"{m}")
    if x.shape != y.shape:
        broadcast_shapes([x.shape, y.shape])
    if x.dtype is not y.dtype:
        raise RuntimeError(f"expected scalar type {x.dtype.words} but found {y.dtype.words}")
    if x.dtype is bool_:
        raise NotImplementedError("\"cross\" not implemented for 'Bool'")
    if x.shape != y.shape:
        input, other = shapes.broadcast_tensors(input, other)
    return contractions.cross(input, other, dim=d)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sums of conj(x) y along a dimension; others are broadcast.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.vecdot(torch.ones(2, 3), torch.arange(3.))
        tensor([3., 3.])
    """
    name = "linalg.vecdot"
    a, b = checks.tensor(name, x, "x").aval, checks.tensor(name, y, "y", 2).aval
    if not a.dtype.differentiable:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got "
                           f"{a.dtype.words}")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"{name}: Expected x and y to have the same dtype, but found x of type "
                           f"{a.dtype.words} and y of type {b.dtype.words} instead")
    if a.ndim == b.ndim == 1:
        wrapped_dim(dim, 1)
        return vdot(x, y) if a.is_complex else dot(x, y)
    return (x.conj() * y).sum(dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:  # noqa: N803
    """The diagonals of matrices, as the last dimension; a view."""
    return diagonals.diagonal(checks.tensor("linalg.diagonal", A), offset, dim1, dim2)
