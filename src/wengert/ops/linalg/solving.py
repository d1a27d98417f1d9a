"""Linear systems, inverses, determinants and triangular factors, in PyTorch's words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.handle import Handle, as_handle
from ...core.levels import concrete
from ...primitives import questions as e
from ...primitives.layout import cast, mT, tril, triu
from ...primitives.linalg import determinants, functions, solving as p
from ...primitives.linalg.common import by_columns, column, columns, mH, rows
from .. import results, shapes
from ..arguments import LOOKS, also, wrapped_dims
from . import checks

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "cholesky", "cholesky_ex", "det", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex", "ldl_solve",
    "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve", "slogdet", "solve", "solve_ex",
    "solve_triangular", "tensorinv", "tensorsolve",
]

NO_INVERSE = (": {at}The diagonal element {info} is zero, the inversion could not be completed "
              "because the input matrix is singular.")
NO_SOLUTION = ": {at}The solver failed because the input matrix is singular."
INDEFINITE = (": {at}The factorization could not be completed because the input is not "
              "positive-definite (the leading minor of order {info} is not positive-definite).")
ZERO_PIVOT = (": {at}U[{info},{info}] is zero and using it on lu_solve would result in a division "
              "by zero. If you still want to perform the factorization, consider calling "
              "linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)")
"""What errors say after a function's name, for `complain`."""


def _words(name: str, words: str, check: bool = True) -> str:
    """What an error says; nothing, if there is to be none."""
    return name + words if check else ""


# --- systems ----------------------------------------------------------------------------------


def _solution(name: str, a: Any, b: Any, left: bool, words: str) -> tuple[Any, Any]:
    checks.floating("linalg.solve", checks.tensor(name, a), low=True)
    checks.same_dtype("linalg.solve", a, checks.tensor(name, b, "B", 2))
    vector = b.aval.ndim == 1 or (a.aval.ndim - 1 == b.aval.ndim
                                  and b.aval.shape == a.aval.shape[:-1])
    if vector:
        b = shapes.unsqueeze(b, -1)
    checks.system("linalg.solve", a, b, left)
    if vector and not left:
        raise RuntimeError("linalg.solve: Vector broadcasting of the left hand side is not "
                           "supported for left=False. In this case linalg.solve is equivalent to "
                           "B / A.squeeze(-1)")
    checks.implemented("lu_cpu", a)
    if not left:
        a, b = mT(a), mT(b)
    found, _, _, info = p.solve(a, b, words=words)
    return shapes.squeeze(found, -1) if vector else found if left else mT(found), info


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:  # noqa: N803
    """X with A X = B, or X A = B unless `left`.

    Args:
        A: square matrices.
        B: matrices of right sides, or vectors; batches are broadcast.
        left: whether A stands on the left.

    Raises:
        RuntimeError: if shapes or dtypes do not fit.
        LinAlgError: if a matrix has no inverse.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.solve(torch.tensor([[2., 0.], [1., 1.]]), torch.tensor([2., 3.]))
        tensor([1., 2.])
    """
    return _solution("linalg.solve", A, B, left, "torch.linalg.solve" + NO_SOLUTION)[0]


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True,  # noqa: N803
             check_errors: bool = False) -> results.linalg_solve_ex:
    """`solve`, with an int for each matrix that is not 0 if it has no inverse: (result, info)."""
    return results.linalg_solve_ex(*_solution(
        "linalg.solve_ex", A, B, left, _words("torch.linalg.solve_ex", NO_SOLUTION, check_errors)))


@also(input="A")
def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True,  # noqa: N803
                     unitriangular: bool = False) -> Tensor:
    """X with A X = B for triangular matrices A, or X A = B unless `left`.

    Args:
        A: square matrices, of which the upper or lower triangle is read.
        B: matrices of right sides; batches are broadcast.
        upper: whether it is the upper triangle.
        left: whether A stands on the left.
        unitriangular: whether the diagonal is taken to be ones.

    Raises:
        RuntimeError: if shapes or dtypes do not fit.
    """
    checks.same_dtype("linalg.solve_triangular", checks.tensor("linalg.solve_triangular", A),
                      checks.tensor("linalg.solve_triangular", B, "B", 2))
    checks.system("linalg.solve_triangular", A, B, left)
    checks.implemented("triangular_solve_cpu", A)
    how = {"unit": bool(unitriangular), "adjoint": False}
    if left:
        return p.triangular(A, B, upper=bool(upper), **how)[0]
    return by_columns(mT(p.triangular(mT(A), mT(B), upper=not upper, **how)[0]))


@also(input="A", b="B")
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *,  # noqa: N803
          driver: str | None = None) -> results.linalg_lstsq:
    """The X for which |A X - B| is least: (solution, residuals, rank, singular_values).

    Args:
        A: matrices, m by n.
        B: matrices of right sides, or vectors.
        rcond: singular values up to this part of the largest count as zero.
        driver: LAPACK's "gelsy" (the default), "gels", "gelsd" or "gelss". Only the last two give
            singular values, and all but "gels" the rank.

    Returns:
        A named tuple. The residuals are sums of squares, if m > n and the rank is n (never with
        "gelsy"); what a driver does not give is empty.

    Raises:
        RuntimeError: if shapes or dtypes do not fit, or for another driver.
    """
    driver = "gelsy" if driver is None else driver
    _check_lstsq(A, B, driver)
    vector = _are_vectors(A.aval, B.aval)
    right = shapes.unsqueeze(B, -1) if vector else B
    m, n = A.aval.shape[-2:]
    kind = A.aval.dtype.to_real().numpy
    least = float(np.finfo(kind).eps) * max(m, n) if rcond is None else float(rcond)
    found, rank, values = functions.lstsq(A, right, driver=driver, rcond=least)
    full = m > n and (driver == "gels" or (driver != "gelsy" and _everywhere(rank, n)))
    residuals = (A @ found - right).abs().square().sum(-2) if full else _nothing(found).real
    return results.linalg_lstsq(
        shapes.squeeze(found, -1) if vector else found, residuals,
        rank if driver != "gels" else _nothing(rank),
        values.detach() if driver in ("gelsd", "gelss") else _nothing(values.detach()))


def _are_vectors(a: Any, b: Any) -> bool:
    """Whether right sides are vectors: others, with fewer dimensions, are broadcast matrices."""
    return b.ndim == 1 or a.shape[:-1] == b.shape


def _check_lstsq(a: Any, b: Any, driver: str) -> None:
    name = "torch.linalg.lstsq"
    x, y = (checks.tensor("linalg.lstsq", a, "input").aval,
            checks.tensor("linalg.lstsq", b, "b", 2).aval)
    if x.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if y.ndim < 1:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    if not 0 <= x.ndim - y.ndim <= 1:
        raise RuntimeError(f"{name}: input.dim() must be greater or equal to other.dim() and "
                           "(input.dim() - other.dim()) <= 1")
    side = -1 if _are_vectors(x, y) else -2
    if x.shape[-2] != y.shape[side]:
        raise RuntimeError(f"{name}: input.size(-2) should match other.size({side})")
    if x.dtype is not y.dtype:
        raise RuntimeError(f"{name}: Expected input and other to have the same dtype, but got "
                           f"input's dtype {x.dtype.words} and other's dtype {y.dtype.words}")
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError("torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, "
                           "gelsd, gelss)")
    if not x.dtype.differentiable or x.dtype.is_half:
        raise RuntimeError("This function doesn't handle types other than float and double")


def _nothing(x: Any) -> Any:
    """An empty tensor of the dtype of another."""
    return shapes.reshape(x, -1)[:0]


def _everywhere(rank: Any, full: int) -> bool:
    """Whether ranks are full, those of all examples if there is a batch of them."""
    while isinstance(rank, Handle) and rank.aval.level is not None:
        rank = rank.value
    return bool((concrete(as_handle(rank), LOOKS) == full).all())


# --- inverses and determinants ----------------------------------------------------------------


def inverse(name: str, a: Any, words: str) -> tuple[Any, Any]:
    """The inverse and whether there is none, for a function of a name."""
    return p.inverse(checks.floating(
        "linalg.inv", checks.square("linalg.inv", checks.tensor(name, a))), words=words)


def inv(A: Tensor) -> Tensor:  # noqa: N803
    """The inverse of square matrices.

    Raises:
        RuntimeError: if they are not square.
        LinAlgError: if one has no inverse.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.inv(torch.tensor([[2., 1.], [1., 1.]]))
        tensor([[ 1., -1.],
                [-1.,  2.]])
    """
    return inverse("linalg.inv", A, "linalg.inv" + NO_INVERSE)[0]


def inv_ex(A: Tensor, *, check_errors: bool = False) -> results.linalg_inv_ex:  # noqa: N803
    """`inv`, with an int for each matrix that is not 0 if it has none: (inverse, info)."""
    return results.linalg_inv_ex(*inverse(
        "linalg.inv_ex", A, _words("linalg.inv_ex", NO_INVERSE, check_errors)))


def sign_and_log(name: str, a: Any) -> Any:
    """The determinant's sign and the logarithm of its size, for a function of a name."""
    return determinants.slogdet(checks.floating(name, checks.square(name, a)))[:2]


def det(A: Tensor) -> Tensor:  # noqa: N803
    """The determinant of square matrices.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.det(torch.tensor([[1., 2.], [3., 4.]]))
        tensor(-2.0000)
    """
    return determinants.det(checks.floating("linalg.det", checks.square("linalg.det", A)))[0]


def slogdet(A: Tensor) -> results.linalg_slogdet:  # noqa: N803
    """The determinant's sign and the logarithm of its size: (sign, logabsdet)."""
    return results.linalg_slogdet(*sign_and_log("linalg.slogdet", A))


# --- LU factors -------------------------------------------------------------------------------


def factor(name: str, a: Any, pivot: bool, words: str = "") -> tuple[Any, Any, Any]:
    """LU factors, exchanges and whether one is zero, for a function of a name."""
    if a.aval.ndim < 2:
        raise RuntimeError(f"{name}: Expected tensor with 2 or more dimensions. Got size: "
                           f"{list(a.aval.shape)} instead")
    checks.implemented("lu_cpu", a)
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    return p.lu_factor(a, words=words)


def lu_factor(A: Tensor, *, pivot: bool = True) -> results.linalg_lu_factor:  # noqa: N803
    """What `lu_solve` reads, with P A = L U: (LU, pivots), the rows exchanged counted from 1.

    Raises:
        RuntimeError: if U has a zero on its diagonal.
    """
    return results.linalg_lu_factor(*factor(
        "torch.lu_factor", checks.tensor("linalg.lu_factor", A), pivot,
        "torch.linalg.lu_factor" + ZERO_PIVOT)[:2])


def lu_factor_ex(A: Tensor, *, pivot: bool = True,  # noqa: N803
                 check_errors: bool = False) -> results.linalg_lu_factor_ex:
    """`lu_factor`, with where U has its first zero, counted from 1: (LU, pivots, info)."""
    return results.linalg_lu_factor_ex(*factor(
        "torch.lu_factor", checks.tensor("linalg.lu_factor_ex", A), pivot,
        _words("torch.linalg.lu_factor_ex", ZERO_PIVOT, check_errors)))


def unpacked(packed: Any, pivots: Any) -> tuple[Any, Any, Any]:
    """P, L and U of A = P L U from LU factors and exchanges."""
    m, n = packed.aval.shape[-2:]
    k = min(m, n)
    lower = columns(packed, 0, k)
    unit = np.eye(m, k, dtype=packed.aval.numpy)
    order = column(p.pivot_order(pivots, count=m, back=True))
    places = cast(e.eq(order, np.arange(m)), dtype=packed.aval.dtype)
    return places, tril(lower, diagonal=-1) + unit, triu(rows(packed, 0, k), diagonal=0)


def lu(A: Tensor, *, pivot: bool = True) -> results.linalg_lu:  # noqa: N803
    """A = P L U: (P, L, U), a permutation, a lower triangle with ones, and an upper one.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.lu(torch.tensor([[0., 2.], [1., 3.]])).U
        tensor([[1., 3.],
                [0., 2.]])
    """
    found = factor("linalg.lu", checks.tensor("linalg.lu", A), pivot)
    return results.linalg_lu(*unpacked(*found[:2]))


def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True,  # noqa: N803
             adjoint: bool = False) -> Tensor:
    """X with A X = B from what `lu_factor` gives of A.

    Args:
        LU, pivots: the factors.
        B: matrices of right sides; batches are broadcast.
        left: whether A stands on the left; else X A = B.
        adjoint: whether its adjoint stands there.

    Raises:
        RuntimeError: if shapes or dtypes do not fit.
    """
    name = "linalg.lu_solve"
    checks.tensor(name, LU, "LU")
    checks.tensor(name, B, "B", 3)
    checks.pivot_dtype(name, checks.tensor(name, pivots, "pivots", 2),
                       checks.floating(f"torch.{name}", LU, low=True), B)
    checks.square(f"torch.{name}", LU)
    checks.system(name, LU, B, left)
    checks.pivots(name, LU, pivots)
    checks.implemented("linalg.lu_solve_cpu", LU)
    if not left:
        return mH(_substituted(LU, pivots, mH(B), not adjoint))
    return _substituted(LU, pivots, B, bool(adjoint))


def _substituted(packed: Any, pivots: Any, b: Any, adjoint: bool) -> Any:
    size = packed.aval.shape[-1]
    steps = [{"upper": False, "unit": True}, {"upper": True, "unit": False}]
    if not adjoint:
        b = p.permuted(b, pivots, size, back=False)
    for step in reversed(steps) if adjoint else steps:
        (b,) = p.triangular(packed, b, adjoint=adjoint, **step)
    return p.permuted(b, pivots, size, back=True) if adjoint else b


# --- Cholesky's and other symmetric factors ---------------------------------------------------


def cholesky_of(name: str, a: Any, upper: bool, words: str) -> tuple[Any, Any]:
    """Cholesky's factor and where it fails, for a function of a name."""
    checks.floating(name, checks.square(name, a), low=True)
    return p.cholesky(checks.implemented("cholesky_cpu", a), upper=bool(upper), words=words)


@also(input="A")
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:  # noqa: N803
    """L with A = L L**H of Hermitian positive-definite matrices; its adjoint, if `upper`.

    Raises:
        LinAlgError: if a matrix is not positive definite.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.cholesky(torch.tensor([[4., 2.], [2., 5.]]))
        tensor([[2., 0.],
                [1., 2.]])
    """
    return cholesky_of(
        "linalg.cholesky", A, upper, "linalg.cholesky" + INDEFINITE)[0]


@also(input="A")
def cholesky_ex(A: Tensor, *, upper: bool = False,  # noqa: N803
                check_errors: bool = False) -> results.linalg_cholesky_ex:
    """`cholesky`, with the order of the first minor that is not positive: (L, info)."""
    return results.linalg_cholesky_ex(*cholesky_of(
        "linalg.cholesky", A, upper, _words("linalg.cholesky_ex", INDEFINITE, check_errors)))


def _ldl(name: str, a: Any, hermitian: bool) -> Any:
    checks.floating("torch.linalg.ldl_factor_ex", checks.square(
        "torch.linalg.ldl_factor_ex", checks.tensor(name, a, "input")), low=True)
    checks.implemented("ldl_factor_kernel_cpu", a)
    return functions.ldl_factor(a, hermitian=bool(hermitian))


@also(input="A")
def ldl_factor(A: Tensor, *, hermitian: bool = False) -> results.linalg_ldl_factor:  # noqa: N803
    """What `ldl_solve` reads, of symmetric (or Hermitian) matrices A = L D L**T: (LD, pivots)."""
    return results.linalg_ldl_factor(*_ldl("linalg.ldl_factor", A, hermitian)[:2])


@also(input="A")
def ldl_factor_ex(A: Tensor, *, hermitian: bool = False,  # noqa: N803
                  check_errors: bool = False) -> results.linalg_ldl_factor_ex:
    """`ldl_factor`, with where D has its first zero, counted from 1: (LD, pivots, info).

    Raises:
        RuntimeError: if there is one and `check_errors`.
    """
    found = _ldl("linalg.ldl_factor_ex", A, hermitian)
    if check_errors and concrete(found[2], LOOKS).any():
        raise RuntimeError("torch.linalg.ldl_factor_ex: the diagonal factor has a zero")
    return results.linalg_ldl_factor_ex(*found)


def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:  # noqa: N803
    """X with A X = B from what `ldl_factor` gives of A."""
    name = "torch.linalg.ldl_solve"
    checks.floating(name, checks.square(name, checks.tensor(name, LD, "LD")), low=True)
    checks.tensor(name, pivots, "pivots", 2)
    if checks.tensor(name, B, "B", 3).aval.ndim < 2:
        raise RuntimeError(f"{name}: Expected B to have at least 2 dimensions, but it has "
                           f"{B.aval.ndim} dimensions instead")
    if pivots.aval.shape != LD.aval.shape[:-1]:
        raise RuntimeError(f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but "
                           f"got pivots with shape {list(pivots.aval.shape)} instead")
    if pivots.aval.dtype.differentiable:
        raise RuntimeError(f"{name}: Expected pivots to be integers. Got "
                           f"{pivots.aval.dtype.words}")
    checks.same_dtype(name, LD, B, "LD")
    checks.system(name, LD, B)
    checks.implemented("ldl_solve_kernel_cpu", LD)
    return functions.ldl_solve(LD, pivots, B, hermitian=bool(hermitian))


# --- tensors as matrices ----------------------------------------------------------------------


@also(input="A")
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:  # noqa: N803
    """The inverse of `tensordot(A, ., A.ndim - ind)`: A as a matrix, cut after `ind` dimensions.

    Raises:
        RuntimeError: unless both parts have as many elements.
    """
    shape = checks.tensor("linalg.tensorinv", A).aval.shape
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    left, right = shape[:ind], shape[ind:]
    if math.prod(left) != math.prod(right):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {math.prod(right)} != {math.prod(left)}")
    square = shapes.reshape(A, math.prod(left), math.prod(left))
    return shapes.reshape(inverse("linalg.tensorinv", square, "inv" + NO_INVERSE)[0],
                          *right, *left)


@also(input="A", other="B")
def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:  # noqa: N803
    """X with `tensordot(A, X, X.ndim) = B`.

    Args:
        A: whose first dimensions are those of B.
        B: the right side.
        dims: dimensions of A to move to its end first.

    Raises:
        RuntimeError: if the shapes do not fit.
    """
    checks.tensor("linalg.tensorsolve", A)
    right = checks.tensor("linalg.tensorsolve", B, "other", 2).aval
    if dims is not None:
        moved = wrapped_dims(tuple(dims), A.aval.ndim)
        A = shapes.movedim(A, moved, tuple(range(A.aval.ndim - len(moved), A.aval.ndim)))  # noqa: N806
    rest = A.aval.shape[right.ndim:]
    count, other = math.prod(rest), math.prod(A.aval.shape[:right.ndim])
    if count != other or count != right.numel:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {count} != {other}")
    found = solve(shapes.reshape(A, count, count), shapes.reshape(B, -1))
    return shapes.reshape(found, *rest)
