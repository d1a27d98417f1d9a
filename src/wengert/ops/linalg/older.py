"""Linear algebra in the words that PyTorch had before `linalg`, and still has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.dtypes import bool_, int32, result_type
from ...core.handle import wrap
from ...core.primitive import broadcast_shapes
from ...primitives import contractions, elementwise as e, layout, reductions
from ...primitives.layout import mT
from ...primitives.linalg import functions, solving as p
from ...primitives.linalg.common import by_columns, mH
from .. import rearranging, reduce, results
from ..arguments import need_tensor, whole
from ..operators import to_kind
from . import checks, decompositions, products, solving
from .products import matrix_exp, matrix_power

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "chain_matmul", "cholesky", "cholesky_inverse", "cholesky_solve", "cross", "det", "geqrf",
    "inverse", "kron", "logdet", "lu", "lu_solve", "lu_unpack", "matrix_exp", "matrix_power",
    "orgqr", "ormqr", "pinverse", "qr", "slogdet", "svd", "trace", "triangular_solve",
    "vander",
]

# --- determinants and inverses ----------------------------------------------------------------


def det(input: Tensor) -> Tensor:
    """The determinant of square matrices; `linalg.det`."""
    return solving.det(need_tensor("det", input))


def slogdet(input: Tensor) -> results.slogdet:
    """The determinant's sign and the logarithm of its size; `linalg.slogdet`."""
    return results.slogdet(*solving.slogdet(need_tensor("slogdet", input)))


def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant of square matrices: NaN if it is negative, -inf if it is 0.

    Example:
        >>> import wengert as torch
        >>> torch.logdet(torch.eye(3))
        tensor(0.)
    """
    sign, size = solving.sign_and_log("logdet", need_tensor("logdet", input))
    if input.aval.is_complex:
        return size + e.log(sign)
    return e.where(sign == -1, math.nan, size)


def inverse(input: Tensor) -> Tensor:
    """The inverse of square matrices; `linalg.inv`."""
    return solving.inv(need_tensor("inverse", input))


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverse of matrices; `linalg.pinv`, where singular values up to `rcond` times the
    largest count as zero."""
    return decompositions.pinv(need_tensor("pinverse", input), rcond)


# --- systems ----------------------------------------------------------------------------------


def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """L with L L**H = A of Hermitian positive-definite matrices; its adjoint, if `upper`."""
    checks.implemented("cholesky_cpu", checks.square("cholesky", need_tensor("cholesky", input)))
    return _cholesky(input, upper=bool(upper), words="cholesky" + solving.INDEFINITE)[0]


_cholesky = p.cholesky.named("CholeskyBackward0")


def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False) -> Tensor:  # noqa: N803
    """X with L L**H X = B, given B and Cholesky's factor L (or its adjoint, if `upper`).

    Raises:
        RuntimeError: if shapes or dtypes do not fit.

    Example:
        >>> import wengert as torch
        >>> torch.cholesky_solve(torch.tensor([[8.], [8.]]), torch.tensor([[2., 0.], [0., 1.]]))
        tensor([[2.],
                [8.]])
    """
    need_tensor("cholesky_solve", input)
    need_tensor("cholesky_solve", L, "input2", 2)
    _fitting("cholesky_solve", input, L, "b should have at least 2 dimensions, but has {} "
             "dimensions instead", "u should have at least 2 dimensions, but has {} dimensions "
             "instead")
    if input.aval.dtype is not L.aval.dtype:
        raise RuntimeError(f"Expected b and A to have the same dtype, but found b of type "
                           f"{input.aval.dtype.words} and A of type {L.aval.dtype.words}.")
    checks.implemented("cholesky_solve_cpu", L)
    return _from_cholesky(input, L, bool(upper))


def _from_cholesky(b: Any, factor: Any, upper: bool) -> Any:
    (half,) = p.triangular(factor, b, upper=upper, unit=False, adjoint=upper)
    return p.triangular(factor, half, upper=upper, unit=False, adjoint=not upper)[0]


def _fitting(name: str, b: Any, a: Any, of_b: str, of_a: str) -> None:
    """Checks right sides and matrices of a system, in the older words."""
    for x, words in ((b, of_b), (a, of_a)):
        if x.aval.ndim < 2:
            raise RuntimeError(words.format(x.aval.ndim))
    x, y = a.aval.shape, b.aval.shape
    if x[-1] != x[-2]:
        raise RuntimeError(f"A must be batches of square matrices, but they are {x[-2]} by "
                           f"{x[-1]} matrices")
    if x[-1] != y[-2]:
        raise RuntimeError(f"Incompatible matrix sizes for {name}: each A matrix is {x[-1]} by "
                           f"{x[-1]} but each b matrix is {y[-2]} by {y[-1]}")
    broadcast_shapes([y[:-2], x[:-2]])


def cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    """The inverse of L L**H, from Cholesky's factor L (or its adjoint, if `upper`)."""
    checks.square("cholesky_inverse", need_tensor("cholesky_inverse", input))
    checks.implemented("cholesky_inverse_out_cpu", input)
    identity = np.eye(input.aval.shape[-1], dtype=input.aval.numpy)
    return _from_cholesky(identity, input, bool(upper))


def triangular_solve(input: Tensor, A: Tensor, upper: bool = True,  # noqa: N803
                     transpose: bool = False,
                     unitriangular: bool = False) -> results.triangular_solve:
    """X with A X = b (or A**T X = b), given b and A, triangles: (solution, cloned_coefficient)."""
    name = "torch.triangular_solve"
    need_tensor("triangular_solve", input)
    need_tensor("triangular_solve", A, "A", 2)
    words = "to have at least 2 dimensions, but it has {} dimensions instead"
    _fitting("triangular_solve", input, A, f"{name}: Expected b {words}",
             f"{name}: Expected A {words}")
    checks.same_dtype(name, input, A, "b", "A")
    checks.implemented("triangular_solve_cpu", A)
    matrix, high = (mT(A), not upper) if transpose else (A, bool(upper))
    (found,) = p.triangular(matrix, input, upper=high, unit=bool(unitriangular), adjoint=False)
    return results.triangular_solve(found, by_columns(A))


# --- LU and QR --------------------------------------------------------------------------------


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> tuple[Tensor, ...]:  # noqa: N803
    """LU factors and exchanges, and with `get_infos` where U has its first zero."""
    found = solving.factor("torch.lu_factor", need_tensor("lu", A), pivot,
                           "" if get_infos else "torch.lu" + solving.ZERO_PIVOT)
    return results._lu_with_info(*found) if get_infos else tuple(found[:2])


def plain_lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:  # noqa: N803
    """`lu` as a method, which gives a plain tuple in any case."""
    return tuple(lu(A, pivot, get_infos))


def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:  # noqa: N803
    """X with A X = b, given b and LU factors of A; `linalg.lu_solve`."""
    need_tensor("lu_solve", input)
    need_tensor("lu_solve", LU_data, "LU_data", 2)
    return solving.lu_solve(LU_data, need_tensor("lu_solve", LU_pivots, "LU_pivots", 3), input)


def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True,  # noqa: N803
              unpack_pivots: bool = True) -> results.lu_unpack:
    """P, L and U of A = P L U from LU factors and exchanges; empty what is not asked for.

    Raises:
        RuntimeError: for pivots that are not int32.
    """
    need_tensor("lu_unpack", LU_data, "LU_data")
    need_tensor("lu_unpack", LU_pivots, "LU_pivots", 2)
    if LU_data.aval.ndim < 2:
        raise RuntimeError("torch.lu_unpack: Expected tensor with 2 or more dimensions. Got size: "
                           f"{list(LU_data.aval.shape)} instead")
    if unpack_pivots and LU_pivots.aval.dtype is not int32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 "
            "dtype.\nNote: this function is intended to be used with the output produced by "
            "torch.linalg.lu_factor")
    none = wrap(np.zeros(0, LU_data.aval.numpy))
    order, lower, upper = solving.unpacked(LU_data, LU_pivots)
    return results.lu_unpack(order if unpack_pivots else none,
                             *((lower, upper) if unpack_data else (none, none)))


def qr(input: Tensor, some: bool = True) -> results.qr:
    """A = Q R: (Q, R); `linalg.qr`, in mode "reduced" if `some`, else "complete"."""
    return results.qr(*decompositions.qr(need_tensor("qr", input),
                                         "reduced" if some else "complete"))


def geqrf(input: Tensor) -> results.geqrf:
    """The reflections whose product is Q of a QR decomposition: (a, tau), of which a has R as well.

    There is no derivative.
    """
    if need_tensor("geqrf", input).aval.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    return results.geqrf(*functions.geqrf(checks.implemented("geqrf_cpu", input)))


def orgqr(input: Tensor, tau: Tensor) -> Tensor:
    """The first columns of a product of reflections; `linalg.householder_product`."""
    return products.householder_product(need_tensor("orgqr", input), tau)


def ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool = True,
          transpose: bool = False) -> Tensor:
    """A product of reflections (see `geqrf`), or its adjoint, times other matrices.

    Args:
        input, tau: the reflections.
        other: what is multiplied.
        left: whether the reflections stand on the left.
        transpose: whether their product's adjoint is taken.

    Raises:
        RuntimeError: if the shapes do not fit.
    """
    x, _, z = (need_tensor("ormqr", t, word, i + 1).aval for i, (t, word) in enumerate(
        ((input, "input"), (tau, "tau"), (other, "other"))))
    if x.ndim < 2:
        raise RuntimeError("torch.ormqr: input must have at least 2 dimensions.")
    if z.ndim < 2:
        raise RuntimeError("torch.ormqr: other must have at least 2 dimensions.")
    side = -2 if left else -1
    if z.shape[side] < tau.aval.shape[-1]:
        raise RuntimeError(f"torch.ormqr: other.shape[{side}] must be greater than or equal to "
                           "tau.shape[-1]")
    if z.shape[side] != x.shape[-2]:
        raise RuntimeError(f"torch.ormqr: other.shape[{side}] must be equal to input.shape[-2]")
    if tau.aval.shape[-1] != min(z.shape[side], x.shape[-1]):
        raise RuntimeError(f"torch.ormqr: tau.shape[-1] must be equal to min(other.shape[{side}], "
                           "input.shape[-1])")
    for word, t in (("tau", tau), ("other", other)):
        if t.aval.dtype is not x.dtype:
            raise RuntimeError(f"torch.ormqr: Expected input and {word} to have the same dtype, "
                               f"but input has dtype{x.dtype.words} and {word} has dtype "
                               f"{t.aval.dtype.words}")
    checks.implemented("ormqr_cpu", input)
    if left:
        return functions.reflected(
            input, tau, other, adjoint=bool(transpose))
    return by_columns(mH(functions.reflected(
        input, tau, mH(other), adjoint=not transpose)))


# --- singular values --------------------------------------------------------------------------


def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> results.svd:
    """A = U diag(S) V**H: (U, S, V).

    Args:
        input: matrices.
        some: whether U and V have only as many columns as there are singular values.
        compute_uv: whether they are computed; else they are zeros.
    """
    need_tensor("svd", input)
    if compute_uv:
        u, s, vh = decompositions.svd(input, not some)
        return results.svd(u, s, mH(vh))
    *batch, m, n = input.aval.shape
    u, v = (wrap(np.zeros((*batch, size, size), input.aval.numpy)) for size in (m, n))
    return results.svd(u, decompositions.svdvals(input), mT(v))


# --- products ---------------------------------------------------------------------------------


def chain_matmul(*matrices: Any) -> Tensor:
    """The product of matrices in the order that takes the fewest multiplications."""
    for x in matrices:
        if need_tensor("chain_matmul", x, "matrices").aval.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {x.aval.ndim}, expected 2 instead.")
    if len(matrices) == 1:
        return matrices[0]
    return products.multi_dot(matrices)


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product along a dimension: the first of size 3, if none is named."""
    need_tensor("cross", input)
    need_tensor("cross", other, "other", 2)
    if dim is None:
        found = [d for d, n in enumerate(input.aval.shape) if n == 3]
        if not found:
            raise RuntimeError("no dimension of size 3 in input")
        dim = found[0]
    return products.cross(input, other, dim=dim)


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:  # noqa: N803
    """The powers N - 1 to 0 of numbers, as rows of Vandermonde's matrix; `increasing`: 0 to N - 1.

    Args:
        x: a vector; integers give int64.
        N: how many powers; as many as there are numbers by default.
        increasing: whether the powers go up, as those of `linalg.vander` do.

    Raises:
        RuntimeError: unless x is a vector and N at least 0.

    Example:
        >>> import wengert as torch
        >>> torch.vander(torch.tensor([1, 2, 3]))
        tensor([[1, 1, 1],
                [4, 2, 1],
                [9, 3, 1]])
    """
    shape = need_tensor("vander", x, "x").aval.shape
    if len(shape) != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    count = shape[0] if N is None else whole("vander", "N", N, 2)
    if count < 0:
        raise RuntimeError("N must be non-negative.")
    found = products.powers(x, max(count, 2))
    found = found if count >= 2 else found[:, :count]
    return found if increasing else rearranging.flip(found, (1,))


def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal.

    Raises:
        RuntimeError: unless it is a matrix.

    Example:
        >>> import wengert as torch
        >>> torch.trace(torch.eye(3))
        tensor(3.)
    """
    n = need_tensor("trace", input).aval.ndim
    if n != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {n}")
    if input.aval.dtype is bool_:
        raise NotImplementedError("\"trace\" not implemented for 'Bool'")
    diagonal = layout.diagonal(input, offset=0, dim1=0, dim2=1)
    return _trace(reduce.summed("trace", diagonal, None), dims=(0,), keepdim=False)


_trace = reductions.sum_.named("TraceBackward0")


def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker's product: each element of one times all of the other, in blocks.

    Example:
        >>> import wengert as torch
        >>> torch.kron(torch.eye(2), torch.tensor([[1., 2.]]))
        tensor([[1., 2., 0., 0.],
                [0., 0., 1., 2.]])
    """
    need_tensor("kron", input)
    need_tensor("kron", other, "other", 2)
    if input.aval.dtype is not other.aval.dtype:
        kind = result_type([(2, input.aval.dtype), (2, other.aval.dtype)])
        input, other = to_kind(input, kind), to_kind(other, kind)
    return contractions.kron(input, other)
