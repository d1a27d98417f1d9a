"""Primitives that decompose matrices: QR, singular values, eigenvalues.

Factors are determined up to a choice: signs, phases, a basis where values are equal. The rules are
those of PyTorch's documentation: each is the derivative of what does not depend on the choice, and
a loss whose gradient says that it does depend on a phase is refused.

J. Townsend, Differentiating the singular value decomposition (2016); S. F. Walter and L. Lehmann,
Algorithmic differentiation of linear algebra functions with application in optimum experimental
design (2010), for QR; M. B. Giles (2008), for eigenvalues.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.aval import Aval
from ...core.formats import as_made
from ...core.handle import Handle, plain_aval
from ...core.primitive import linear
from ..layout import cast, cat, conj, diagonal, imag, tril, triu
from .common import (
    batched_by,
    column,
    columns,
    diag,
    diag_matrix,
    is_complex,
    mH,
    mul,
    plus,
    primitive,
    real_part,
    row,
    rows,
)
from .lapack import Array, complain, each, routine, workspace
from .solving import past_upper, solved, symmetrised, triangular

_NOT_FINITE = ("{at}The algorithm failed to converge because the input matrix contained "
               "non-finite values.")


def _converged(name: str, what: str, function: Callable[[Array], tuple[Any, ...]],
               x: Array) -> list[Array]:
    """What an algorithm that may not converge gives of matrices.

    Args:
        name: of the function that errors tell of.
        what: it finds.
        function: does that for one matrix, and tells in the end whether it failed.
        x: the matrices.

    Raises:
        LinAlgError: if it does not converge.
    """
    *found, failed = each(function, x)
    if failed.any():
        finite = np.isfinite(x).all((-2, -1))
        complain(failed * ~finite, f"{name}: {_NOT_FINITE}")
        complain(failed, f"{name}: {{at}}The algorithm failed to converge because the input matrix "
                 f"is ill-conditioned or has too many repeated {what} (error code: {{info}}).")
    return found


def _turned(x: Any) -> Any:
    """A matrix less its adjoint."""
    return x - mH(x)


def _gaps(x: Any) -> Any:
    """x_j - x_i of vectors, and infinity where i = j: what rotations are divided by."""
    return _without_diagonal(row(x) - column(x))


def _gaps_of_squares(x: Any) -> Any:
    """x_j**2 - x_i**2, exact where they are close."""
    return _without_diagonal((row(x) - column(x)) * (row(x) + column(x)))


def _without_diagonal(x: Any) -> Any:
    kind = plain_aval(x).dtype.to_real().numpy
    return x + np.diag(np.full(x.shape[-1], np.inf, kind))


def _check_phase(x: Any, words: str) -> None:
    """Refuses a loss that depends on the phases of vectors.

    Args:
        x: the derivative in the phases, as the imaginary part of the diagonal.
        words: of the error.
    """
    value = x.value if isinstance(x, Handle) else x
    if isinstance(value, np.ndarray) and not (
            np.abs(np.diagonal(value, 0, -2, -1).imag) <= 1e-2).all():
        raise RuntimeError(words)


# --- QR ---------------------------------------------------------------------------------------


def _qr_one(a: Array, complete: bool) -> tuple[Array, Array]:
    m, n = a.shape
    k = min(m, n)
    size = m if complete else k
    if not k:
        return np.eye(m, size, dtype=a.dtype), np.zeros((size, n), a.dtype)
    kind = a.dtype.char
    packed, tau, _, _ = routine("geqrf", kind)(a, lwork=workspace("geqrf", kind, m, n))
    basis = packed[:, :size]
    if size > n:
        basis = np.zeros((m, size), a.dtype, "F")
        basis[:, :n] = packed
    r = tril.evaluate(packed[:size].T, diagonal=0).T  # along memory
    name = "ungqr" if a.dtype.kind == "c" else "orgqr"
    return routine(name, kind)(basis, tau, lwork=size * 64, overwrite_a=1)[0], r


def _qr(x: Array, mode: str) -> tuple[Array, ...]:
    return each(lambda a: _qr_one(a, mode == "complete"), x)


def _qr_aval(x: Aval, mode: str) -> tuple[Aval, Aval]:
    *batch, m, n = x.shape
    size = m if mode == "complete" else min(m, n)
    return x.with_shape((*batch, m, size)), x.with_shape((*batch, size, n))


def _check_qr(x: Any, mode: str) -> None:
    if mode == "r":
        raise RuntimeError("The derivative of linalg.qr depends on Q, which is not computed when "
                           "mode='r'. Please use linalg.qr(A, mode='reduced') if you are going to "
                           "differentiate through linalg.qr.")
    if mode == "complete" and x.shape[-2] > x.shape[-1]:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and "
                           "nrows > ncols.")


def _upper_of_sum(x: Array) -> Array:
    return _with_real_diagonal(triu.evaluate(x + np.conj(x.swapaxes(-1, -2)), diagonal=0), x)


def _mirrored_upper(x: Array) -> Array:
    upper = triu.evaluate(x, diagonal=0)
    return _with_real_diagonal(upper + np.conj(upper.swapaxes(-1, -2)), x)


def _with_real_diagonal(found: Array, x: Array) -> Array:
    on = diagonal.evaluate(found, offset=0, dim1=-2, dim2=-1)
    on[...] = x.diagonal(0, -2, -1).real
    return found


_folded = linear("folded", _upper_of_sum, lambda g: _mirrored(g), abstract=lambda x: x,
                 order=as_made, batch=batched_by(lambda: _folded, 2))
"""The upper triangle of a matrix and its adjoint's sum; the diagonal's real part."""
_mirrored = linear("mirrored", _mirrored_upper, lambda g: _folded(g), abstract=lambda x: x,
                   order=as_made, batch=batched_by(lambda: _mirrored, 2))
"""The upper triangle of a matrix and its adjoint beside it; the diagonal's real part."""


def _qr_pulled(gs: list[Any], x_aval: Aval, out: list[Any], mode: str) -> list[Any]:
    """Of a wide matrix, the columns R2 = Q**H A2 on the right are told apart: Q depends on the
    others alone."""
    _check_qr(x_aval, mode)
    (gq, gr), (q, r) = gs, out
    k, n = q.shape[-1], r.shape[-1]
    right = None
    if n > k and gr is not None:
        right, rest = mul(q, columns(gr, k, n)), columns(r, k, n)
        gq, gr = plus(gq, mul(mul(q, rest), mH(columns(gr, k, n)))), columns(gr, 0, k)
    square = columns(r, 0, k) if n > k else r
    middle = plus(None if gr is None else mul(gr, mH(square)),
                  None if gq is None else -mul(mH(q), gq))
    found = plus(gq, mul(q, _mirrored(middle)))
    found = mH(triangular(square, mH(found), upper=True, unit=False, adjoint=False)[0])
    if n > k:
        right = _zeros_beside(found, n - k) if right is None else right
        found = cat(found, right, dim=len(found.shape) - 1)
    return [found]


def _zeros_beside(x: Any, count: int) -> Array:
    return np.zeros((*x.shape[:-1], count), plain_aval(x).numpy)


def _qr_pushed(ts: Sequence[Any], x: Any, out: Sequence[Any], mode: str) -> tuple[Any, Any]:
    _check_qr(x, mode)
    (t,), (q, r) = ts, out
    k, n = q.shape[-1], r.shape[-1]
    square, left = (r, t) if n <= k else (columns(r, 0, k), columns(t, 0, k))
    left = past_upper(square, left)
    turn = _folded(mul(mH(q), left))
    dq, dr = left - mul(q, turn), mul(turn, square)
    if n > k:
        rest = mul(mul(mH(dq), q), columns(r, k, n)) + mul(mH(q), columns(t, k, n))
        dr = cat(dr, rest, dim=len(dr.shape) - 1)
    return dq, dr


qr = primitive("linalg_qr", _qr, abstract=_qr_aval, multiple=True, vjp=_qr_pulled, jvp=_qr_pushed,
               batch=batched_by(lambda: qr, 2), node="LinalgQrBackward0")
"""Q and R, which with mode "complete" are as many columns and rows as A has rows."""

# --- singular values --------------------------------------------------------------------------

SVD_PHASE = ("svd_backward: The singular vectors in the complex case are specified up to "
             "multiplication by e^{i phi}. The specified loss function depends on this phase "
             "term, making it ill-defined.")


def _svd_one(a: Array, full: bool, vectors: bool = True) -> tuple[Any, ...]:
    (m, n), kind = a.shape, a.dtype.char
    if not a.size:
        sides = (m, n) if full else (0, 0)
        u, s, vh, failed = np.eye(m, sides[0], dtype=kind, order="F"), _no_values(a), np.eye(
            sides[1], n, dtype=kind, order="F"), 0
    else:
        size = workspace("gesdd", kind, m, n, int(vectors), int(full))
        u, s, vh, failed = routine("gesdd", kind)(a, int(vectors), int(full), size)
    return (u, s, vh, np.int32(failed)) if vectors else (s, np.int32(failed))


def _no_values(a: Array) -> Array:
    return np.zeros(0, a.real.dtype)


def _svd(x: Array, full: bool) -> tuple[Array, ...]:
    return tuple(_converged("linalg.svd", "singular values",
                            functools.partial(_svd_one, full=full), x))


def _singular_values(x: Array) -> Array:
    """NaN of matrices that are not finite, as PyTorch has it."""
    finite = np.isfinite(x).all((-2, -1))
    (found,) = _converged(
        "linalg.svd", "singular values", functools.partial(_svd_one, full=False, vectors=False),
        x if finite.all() else np.where(finite[..., None, None], x, 0))
    return np.asarray(found if finite.all() else np.where(finite[..., None], found, np.nan),
                      found.dtype)


def _svd_aval(x: Aval, full: bool) -> tuple[Aval, ...]:
    *batch, m, n = x.shape
    k = min(m, n)
    return (x.with_shape((*batch, m, m if full else k)),
            x.with_dtype(x.dtype.to_real()).with_shape((*batch, k)),
            x.with_shape((*batch, n if full else k, n)))


def _svd_pulled(gs: list[Any], out: list[Any], full: bool) -> list[Any]:
    """U (turns + diag(gS)) V**H, and what gU and gV have outside of the spaces of U and V."""
    (gu, gs_, gvh), (u, s, vh) = gs, out
    k, wide, tall = s.shape[-1], vh.shape[-1], u.shape[-2]
    if full:
        u, vh = columns(u, 0, k), rows(vh, 0, k)
        gu = gu if gu is None else columns(gu, 0, k)
        gvh = gvh if gvh is None else rows(gvh, 0, k)
    if gu is None is gvh:
        return [mul(u * row(gs_), vh)]
    middle = _svd_turns(gu, gvh, u, s, vh)
    if gs_ is not None:
        middle = plus(middle, diag_matrix(gs_))
    found = mul(mul(u, middle), vh)
    if gu is not None and tall > k:
        apart = gu / row(s)
        found = found + mul(apart - mul(u, mul(mH(u), apart)), vh)
    if gvh is not None and wide > k:
        apart = gvh / column(s)
        found = found + mul(u, apart - mul(mul(apart, mH(vh)), vh))
    return [found]


def _svd_turns(gu: Any, gvh: Any, u: Any, s: Any, vh: Any) -> Any:
    of_u = None if gu is None else _turned(mul(mH(u), gu))
    of_v = None if gvh is None else _turned(mul(vh, mH(gvh)))
    apart = _gaps_of_squares(s)
    found = plus(None if of_u is None else of_u / apart * row(s),
                 None if of_v is None else column(s) * (of_v / apart))
    if is_complex(u):
        _check_phase(plus(of_u, of_v) * 0.5, SVD_PHASE)
        if of_u is not None:
            found = found + diag_matrix(diag(of_u) / (s * 2))
    return found


def _svd_pushed(ts: Sequence[Any], out: Sequence[Any], full: bool) -> tuple[Any, ...]:
    (t,), (u, s, vh) = ts, out
    k, wide, tall = s.shape[-1], vh.shape[-1], u.shape[-2]
    if full:
        u, vh = columns(u, 0, k), rows(vh, 0, k)
    moved = mul(mul(mH(u), t), mH(vh))
    apart = _gaps_of_squares(s)
    right, left = moved * row(s), column(s) * moved
    turn_u, turn_v = (right + mH(right)) / apart, (left + mH(left)) / apart
    if is_complex(u):
        phase = diag_matrix(imag(diag(moved)) / (s * 2) * 1j)
        turn_u, turn_v = turn_u + phase, turn_v - phase
    du, dvh = mul(u, turn_u), mul(mH(turn_v), vh)
    if tall > k:
        apart = mul(t, mH(vh))
        du = du + (apart - mul(u, moved)) / row(s)
    if wide > k:
        dvh = dvh + (mul(mH(u), t) - mul(moved, vh)) / column(s)
    if full and tall > k:
        du = cat(du, _zeros_beside(du, tall - k), dim=len(du.shape) - 1)
    if full and wide > k:
        dvh = mH(cat(mH(dvh), _zeros_beside(mH(dvh), wide - k), dim=len(dvh.shape) - 1))
    return du, real_part(diag(moved)), dvh


svd = primitive("linalg_svd", _svd, abstract=_svd_aval, multiple=True, vjp=_svd_pulled,
                jvp=_svd_pushed, batch=batched_by(lambda: svd, 2), node="LinalgSvdBackward0")
"""U, S and V**H, with all columns of U and V if `full`; the further ones have no derivative."""
singular_values = primitive(
    "singular_values", _singular_values, abstract=lambda x: _svd_aval(x, full=False)[1],
    batch=batched_by(lambda: singular_values, 2), decompose=lambda x: svd(x, full=False)[1])
"""S alone, where no derivative is asked for."""

# --- eigenvalues of Hermitian matrices --------------------------------------------------------

PHASE = (": The eigenvectors in the complex case are specified up to multiplication by e^{i phi}. "
         "The specified loss function depends on this quantity, so it is ill-defined.")


def _eigh_aval(x: Aval, upper: bool) -> tuple[Aval, Aval]:
    return x.with_dtype(x.dtype.to_real()).with_shape(x.shape[:-1]), x


def _eigh_pulled(gs: list[Any], out: list[Any], upper: bool) -> list[Any]:
    (gl, gv), (values, v) = gs, out
    if gv is None:
        return [mul(v * row(gl), mH(v))]
    turn = mul(mH(v), gv)
    if is_complex(v):
        _check_phase(turn, f"linalg_eigh_backward{PHASE}")
    middle = _turned(turn) * 0.5 / _gaps(values)
    if gl is not None:
        middle = middle + diag_matrix(gl)
    return [mul(mul(v, middle), mH(v))]


def _eigh_pushed(ts: Sequence[Any], out: Sequence[Any], upper: bool) -> tuple[Any, Any]:
    values, v = out
    moved = mul(mul(mH(v), symmetrised(ts[0])), v)
    return real_part(diag(moved)), mul(v, moved / _gaps(values))


def _eigh_one(a: Array, upper: bool, vectors: bool = True) -> tuple[Any, ...]:
    if not a.size:
        return (_no_values(a), a.copy(), np.int32(0)) if vectors else (_no_values(a), np.int32(0))
    name = "heevd" if a.dtype.kind == "c" else "syevd"
    values, v, failed = routine(name, a.dtype.char)(a, int(vectors), int(not upper))
    if failed and not np.isfinite(a).all():
        failed = 0  # they are NaN, which says it all
    return (values, v, np.int32(failed)) if vectors else (values, np.int32(failed))


def _eigh(x: Array, upper: bool) -> tuple[Array, ...]:
    return tuple(_converged("linalg.eigh", "eigenvalues",
                            functools.partial(_eigh_one, upper=upper), x))


def _hermitian_eigenvalues(x: Array, upper: bool) -> Array:
    (found,) = _converged("linalg.eigh", "eigenvalues",
                          functools.partial(_eigh_one, upper=upper, vectors=False), x)
    return np.asarray(found)


eigh = primitive("linalg_eigh", _eigh, abstract=_eigh_aval, multiple=True, vjp=_eigh_pulled,
                 jvp=_eigh_pushed, batch=batched_by(lambda: eigh, 2),
                 node="LinalgEighBackward0")
"""Eigenvalues in ascending order and eigenvectors of a Hermitian matrix, from one triangle."""
hermitian_eigenvalues = primitive(
    "hermitian_eigenvalues", _hermitian_eigenvalues,
    abstract=lambda x, upper: _eigh_aval(x, upper)[0],
    batch=batched_by(lambda: hermitian_eigenvalues, 2),
    decompose=lambda x, upper: eigh(x, upper=upper)[0])
"""The eigenvalues alone, where no derivative is asked for."""

# --- eigenvalues ------------------------------------------------------------------------------


def _eig_aval(x: Aval) -> tuple[Aval, Aval]:
    x = x.with_dtype(x.dtype.to_complex())
    return x.with_shape(x.shape[:-1]), x


def _finite(x: Array) -> Array:
    if not np.isfinite(x).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    return x


def _eig_one(a: Array, vectors: bool = True) -> tuple[Any, ...]:
    if not a.size:
        a = a.astype(np.result_type(a.dtype, np.complex64))
        return (a.reshape(0), a, np.int32(0)) if vectors else (a.reshape(0), np.int32(0))
    *values, _, v, failed = routine("geev", a.dtype.char)(a, 0, int(vectors))
    found = values[0] if len(values) == 1 else values[0] + 1j * values[1]
    if not vectors:
        return found, np.int32(failed)
    if len(values) == 2:
        v = _from_pairs(v, values[1])
    return found, v, np.int32(failed)


def _from_pairs(v: Array, heights: Array) -> Array:
    """Complex eigenvectors, from LAPACK's real and imaginary parts of the first of each pair."""
    found = v.astype(np.result_type(v.dtype, np.complex64))
    (first,) = np.nonzero(heights > 0)
    found[:, first] += 1j * v[:, first + 1]
    found[:, first + 1] = np.conj(found[:, first])
    return found


def _eig(x: Array) -> tuple[Array, ...]:
    return tuple(_converged("linalg.eig", "eigenvalues", _eig_one, _finite(x)))


def _eigenvalues(x: Array) -> Array:
    (found,) = _converged("linalg.eig", "eigenvalues",
                          functools.partial(_eig_one, vectors=False), _finite(x))
    return found


def _eig_pulled(gs: list[Any], x_aval: Aval, out: list[Any]) -> list[Any]:
    (gl, gv), (values, v) = gs, out
    middle = None if gl is None else diag_matrix(gl)
    if gv is not None:
        turn = mul(mH(v), gv)
        _check_phase(turn, f"linalg_eig_backward{PHASE}")
        turn = turn - mul(mH(v), v) * row(real_part(diag(turn)))
        middle = plus(turn / _gaps(conj(values)), middle)
    found = solved(v, mul(middle, mH(v)), adjoint=True)
    return [found if x_aval.is_complex else cast(real_part(found), dtype=x_aval.dtype)]


def _eig_pushed(ts: Sequence[Any], out: Sequence[Any]) -> tuple[Any, Any]:
    values, v = out
    t = cast(ts[0], dtype=plain_aval(v).dtype)
    moved = solved(v, mul(t, v), adjoint=False)
    turned = mul(v, moved / _gaps(values))
    return diag(moved), turned - v * row(real_part(diag(mul(mH(v), turned))))


eig = primitive("linalg_eig", _eig, abstract=_eig_aval, multiple=True, vjp=_eig_pulled,
                jvp=_eig_pushed, batch=batched_by(lambda: eig, 2), node="LinalgEigBackward0")
"""Eigenvalues and eigenvectors (of norm 1) of a matrix: complex, whatever it is."""
eigenvalues = primitive(
    "eigenvalues", _eigenvalues, abstract=lambda x: _eig_aval(x)[0],
    batch=batched_by(lambda: eigenvalues, 2), decompose=lambda x: eig(x)[0])
"""The eigenvalues alone, where no derivative is asked for."""
