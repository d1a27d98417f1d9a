"""QR, singular values and eigenvalues, and what follows from them, in PyTorch's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.handle import Handle
from ...primitives import elementwise as e
from ...primitives.layout import cast
from ...primitives.linalg import decompositions as p, functions
from .. import results, shapes
from ..arguments import also
from . import checks

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "eig", "eigh", "eigvals", "eigvalsh", "matrix_rank", "pinv", "qr", "svd", "svdvals",
]


def qr(A: Tensor, mode: str = "reduced") -> results.linalg_qr:  # noqa: N803
    """A = Q R, with orthonormal columns and an upper triangle: (Q, R).

    Args:
        A: matrices, m by n.
        mode: "reduced" (Q has min(m, n) columns), "complete" (m columns), or "r" (Q is empty, and
            there is no derivative).

    Raises:
        RuntimeError: for another mode; in backward, where Q isn't determined by A ("complete" with
            m > n).

    Example:
        >>> import wengert as torch
        >>> torch.linalg.qr(torch.eye(2)).R.abs()
        tensor([[1., 0.],
                [0., 1.]])
    """
    checks.floating("linalg.qr", checks.matrices("linalg.qr", A))
    if mode not in ("reduced", "r", "complete"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' "
                           "(default), 'r', or 'complete'")
    q, r = p.qr(A, mode=mode)
    return results.linalg_qr(shapes.reshape(q.detach(), -1)[:0] if mode == "r" else q, r)


# --- singular values --------------------------------------------------------------------------


def _no_driver(driver: Any) -> None:
    if driver is not None:
        raise RuntimeError("torch.linalg.svd: keyword argument `driver=` is only supported on CUDA "
                           "inputs with cuSOLVER backend.")


def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> results.linalg_svd:  # noqa: N803
    """A = U diag(S) Vh: (U, S, Vh), the singular values in descending order.

    Args:
        A: matrices, m by n.
        full_matrices: whether U is m by m and Vh n by n; else they have min(m, n) columns or rows.
        driver: must be None.

    Singular vectors are determined up to a phase: backward refuses a loss that depends on it. The
    derivative is infinite where singular values are equal, and in U and Vh where one is zero; see
    `svdvals` for a loss of S alone. The columns that `full_matrices` adds have no derivative.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.svd(torch.tensor([[0., 2.], [1., 0.]])).S
        tensor([2., 1.])
    """
    _no_driver(driver)
    checks.floating("linalg.svd", checks.matrices("linalg.svd", A))
    return results.linalg_svd(*p.svd(A, full=bool(full_matrices)))


def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:  # noqa: N803
    """The singular values of matrices, in descending order."""
    _no_driver(driver)
    checks.floating("linalg.svd", checks.matrices("linalg.svd", checks.tensor(
        "linalg.svdvals", A)))
    return p.singular_values(A)


# --- eigenvalues ------------------------------------------------------------------------------


def _upper(name: str, a: Any, uplo: Any) -> bool:
    """Which triangle of Hermitian matrices is read."""
    checks.tensor(name, a, "input")
    checks.square("linalg.eigh", a)
    if not isinstance(uplo, str) or uplo.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {uplo}")
    checks.implemented("linalg_eigh_cpu", a)
    return uplo.upper() == "U"


@also(input="A")
def eigh(A: Tensor, UPLO: str = "L") -> results.linalg_eigh:  # noqa: N803
    """Eigenvalues, ascending, and eigenvectors of Hermitian matrices: (eigenvalues, eigenvectors).

    Args:
        A: Hermitian (or symmetric) matrices.
        UPLO: the triangle that is read, "L" or "U".

    Eigenvectors are determined up to a phase: backward refuses a loss that depends on it. Their
    derivative is infinite where eigenvalues are equal. Gradients are Hermitian.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.eigh(torch.tensor([[2., 0.], [0., 1.]])).eigenvalues
        tensor([1., 2.])
    """
    return results.linalg_eigh(*p.eigh(A, upper=_upper("linalg.eigh", A, UPLO)))


@also(input="A")
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:  # noqa: N803
    """The eigenvalues of Hermitian matrices, in ascending order."""
    return p.hermitian_eigenvalues(
        A, upper=_upper("linalg.eigvalsh", A, UPLO))


def _general(name: str, a: Any) -> Any:
    checks.square(name, checks.tensor(name, a, "input"))
    if not a.aval.dtype.differentiable:
        raise RuntimeError(f"Unknown Complex ScalarType for {a.aval.dtype.words}")
    return checks.implemented("linalg_eig_out_cpu", a)


@also(input="A")
def eig(A: Tensor) -> results.linalg_eig:  # noqa: N803
    """Eigenvalues and eigenvectors of square matrices, complex: (eigenvalues, eigenvectors).

    Eigenvectors have norm 1 and are determined up to a phase: backward refuses a loss that depends
    on it. The derivative is infinite where eigenvalues are equal.
    """
    return results.linalg_eig(*p.eig(_general("linalg.eig", A)))


@also(input="A")
def eigvals(A: Tensor) -> Tensor:  # noqa: N803
    """The eigenvalues of square matrices; complex."""
    return p.eigenvalues(_general("linalg.eigvals", A))


# --- what counts as zero ----------------------------------------------------------------------


def _tolerances(a: Any, *given: Any) -> tuple[Any, Any]:
    """How small singular values count as zero, absolutely and as a part of the largest.

    By default those up to max(m, n) eps of the largest do; none of that, if `atol` is given.
    """
    atol, rtol = given
    kind = a.aval.dtype.to_real()
    if rtol is None:
        rtol = max(a.aval.shape[-2:]) * float(np.finfo(kind.numpy).eps)
        if isinstance(atol, Handle):
            rtol = e.where(e.gt(atol, 0), 0.0, rtol)
        elif (atol or 0) > 0:
            rtol = 0.0
    return _as_array(atol, kind), _as_array(rtol, kind)


def _as_array(t: Any, kind: dtypes.dtype) -> Any:
    if isinstance(t, Handle):
        return t if t.aval.dtype is kind else cast(t, dtype=kind)
    return np.asarray(t or 0, kind.numpy)


def _check_tolerance(name: str, **given: Any) -> None:
    for word, value in given.items():
        if isinstance(value, Handle) and value.aval.is_complex:
            raise RuntimeError(f"torch.linalg.{name}: {word} tensor of complex type is not "
                               f"supported. Got {value.aval.dtype.words}")


@also(input="A")
def pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *,  # noqa: N803
         atol: Any = None, rtol: Any = None) -> Tensor:
    """The pseudo-inverse of matrices (Moore's and Penrose's).

    Args:
        A: matrices.
        rcond: an older name of `rtol`.
        hermitian: whether they are Hermitian, of which the lower triangle is read.
        atol: singular values up to this count as zero; a number or a tensor.
        rtol: those up to this part of the largest do; by default max(m, n) eps, or 0 with an atol.

    Example:
        >>> import wengert as torch
        >>> torch.linalg.pinv(torch.tensor([[2.], [0.]]))
        tensor([[0.5000, 0.0000]])
    """
    checks.tensor("linalg.pinv", A, "input")
    shape, kind = A.aval.shape, A.aval.dtype
    if len(shape) < 2 or not kind.differentiable:
        raise RuntimeError(f"linalg.pinv({kind.words}{{{list(shape)}}}): expected a tensor with 2 "
                           "or more dimensions of float, double, cfloat or cdouble types")
    _check_tolerance("pinv", rcond=rcond, atol=atol, rtol=rtol)
    if hermitian:
        checks.square("linalg.eigh", A)
    checks.floating("linalg.svd", A)
    return functions.pinv(A, *_tolerances(
        A, atol, rcond if rtol is None else rtol), hermitian=bool(hermitian))


@also(input="A")
def matrix_rank(A: Tensor, tol: Any = None, hermitian: bool = False, *,  # noqa: N803
                atol: Any = None, rtol: Any = None) -> Tensor:
    """How many singular values of matrices do not count as zero; arguments as for `pinv`.

    Args:
        A: matrices.
        tol: an older name of `atol`, beside which `rtol` is 0.
        hermitian, atol, rtol: as for `pinv`.
    """
    checks.tensor("linalg.matrix_rank", A, "input")
    if A.aval.ndim < 2:
        raise RuntimeError("torch.linalg.matrix_rank: The input tensor input must have at least 2 "
                           "dimensions.")
    if not A.aval.dtype.differentiable:
        raise RuntimeError("This function doesn't handle types other than float and double")
    _check_tolerance("matrix_rank", tol=tol, atol=atol, rtol=rtol)
    if tol is not None:
        atol, rtol = tol, 0.0
    x = A.detach()
    sizes = eigvalsh(x).abs() if hermitian else svdvals(x)
    if not sizes.aval.shape[-1]:
        return (sizes > 0).sum(-1)
    least, part = _tolerances(A, atol, rtol)
    limit = e.maximum(part * sizes.amax(-1), least)
    return (sizes > shapes.unsqueeze(limit, -1)).sum(-1)
