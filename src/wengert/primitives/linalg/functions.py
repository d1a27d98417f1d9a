"""Primitives that are functions of whole matrices: exponential, pseudo-inverse, least squares,
Householder's reflections, and factors of indefinite matrices.

N. J. Higham, The scaling and squaring method for the matrix exponential revisited (2005), and
Functions of Matrices (2008), for the exponential's derivative as a block of that of a larger
matrix; G. H. Golub and V. Pereyra, The differentiation of pseudo-inverses and nonlinear
least squares problems whose variables separate (1973).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core import dtypes
from ...core.aval import Aval, aval
from ...core.handle import plain_aval
from ...core.primitive import broadcast_shapes
from ..layout import cat, conj, tril
from .common import (
    batched_by,
    column,
    columns,
    fitted,
    is_complex,
    mH,
    mul,
    plus,
    primitive,
    row,
    rows,
)
from .decompositions import eigh, svd
from .lapack import Array, each, routine, workspace

# --- the exponential --------------------------------------------------------------------------


_BOUNDS = {"f": ((3, 0.42587), (5, 1.88015), (7, 3.92572)),
           "d": ((3, 0.0149558), (5, 0.253939), (7, 0.950417), (9, 2.09784))}
"""Degrees of Pade's approximant, and up to which norm each is exact to the last bit, by dtype."""


def _expm(x: Array) -> Array:
    """By scaling and squaring: exp(x) = exp(x / 2**k)**(2**k)."""
    if not x.size or x.shape[-1] == 1:
        return np.exp(x)
    norms = np.abs(x).sum(-2).max(-1)
    bounds = _BOUNDS[norms.dtype.char]
    most = norms.max()
    degree, bound = next((pair for pair in bounds if most <= pair[1]), bounds[-1])
    if most <= bound:
        return _pade(x, degree)
    halvings = np.where(np.isfinite(norms), np.frexp(norms / bound)[1].clip(0), 0)[..., None, None]
    found = _pade(x * np.ldexp(norms.dtype.type(1), -halvings), degree)
    for k in range(halvings.max()):
        found = np.where(k < halvings, np.matmul(found, found), found)
    return found


def _pade(x: Array, degree: int) -> Array:
    """Pade's approximant of exp, the quotient of p(x) and p(-x), from its even and odd parts."""
    c = _pade_coefficients(degree)
    identity = np.eye(x.shape[-1], dtype=x.dtype)
    power = square = np.matmul(x, x)
    even, odd = identity + c[2] * square, c[1] * identity + c[3] * square
    for k in range(4, degree, 2):
        power = np.matmul(power, square)
        even += c[k] * power
        odd += c[k + 1] * power
    odd = np.matmul(x, odd)
    return np.linalg.solve(even - odd, even + odd)


@functools.lru_cache(maxsize=8)
def _pade_coefficients(degree: int) -> list[float]:
    """Those of p, the first of which is 1."""
    return [math.comb(degree, k) * math.factorial(2 * degree - k) / math.factorial(2 * degree)
            for k in range(degree + 1)]


def _frechet(x: Any, e: Any) -> Any:
    """The derivative of exp at x in the direction e: a block of exp([[x, e], [0, x]])."""
    n, last = x.shape[-1], len(x.shape) - 1
    zeros = np.zeros(tuple(x.shape), plain_aval(x).numpy)
    block = cat(cat(x, e, dim=last), cat(zeros, x, dim=last), dim=last - 1)
    return rows(columns(matrix_exp(block), n, 2 * n), 0, n)


matrix_exp = primitive(
    "linalg_matrix_exp", _expm, abstract=lambda x: x, conjugate=False,
    refuses={"bi": "linalg_matrix_exp_cpu"},
    vjp=(lambda g, x: _frechet(mH(x), g),), jvp=(lambda t, x: _frechet(x, t),),
    batch=batched_by(lambda: matrix_exp, 2), node="LinalgMatrixExpBackward0")

# --- the pseudo-inverse -----------------------------------------------------------------------


def _kept(sizes: Array, atol: Array, rtol: Array) -> Array:
    """1 / s of what is not taken for zero; 0 of the rest."""
    most = sizes.max(-1, initial=0)
    least = np.maximum(atol, rtol * most)[..., None]
    return np.where(sizes > least, 1 / np.where(sizes > least, sizes, 1), 0).astype(sizes.dtype)


def _pinv(x: Array, y: Array, z: Array, hermitian: bool) -> Array:
    if not x.size:
        batch = np.broadcast_shapes(x.shape[:-2], y.shape, z.shape)
        return np.zeros((*batch, x.shape[-1], x.shape[-2]), x.dtype)
    if hermitian:
        values, v = eigh.evaluate(x, upper=False)
        inverted = np.sign(values) * _kept(np.abs(values), y, z)
        return np.matmul(v * inverted[..., None, :], np.conj(v).swapaxes(-1, -2))
    u, s, vh = svd.evaluate(x, full=False)
    return np.matmul(np.conj(vh).swapaxes(-1, -2) * _kept(s, y, z)[..., None, :],
                     np.conj(u).swapaxes(-1, -2))


def _pinv_pulled(g: Any, x: Any, found: Any) -> Any:
    a = mul(mH(g), mul(found, mH(found)))
    b = mul(mul(mH(found), found), mH(g))
    return (a - mul(x, mul(found, a))) + (b - mul(mul(b, found), x)) - mul(
        mH(found), mul(g, mH(found)))


def _pinv_pushed(t: Any, x: Any, found: Any) -> Any:
    a = mul(mul(found, mH(found)), mH(t))
    b = mul(mH(t), mul(mH(found), found))
    return (a - mul(mul(a, x), found)) + (b - mul(found, mul(x, b))) - mul(
        found, mul(t, found))


pinv = primitive(
    "linalg_pinv", _pinv, conjugate=False,
    abstract=lambda x, y, z, hermitian: x.with_shape(
        (*broadcast_shapes([x.shape[:-2], y.shape, z.shape]), x.shape[-1], x.shape[-2])),
    vjp=(lambda g, x, out: fitted(_pinv_pulled(g, x, out), x), None, None),
    jvp=(lambda t, x, out: _pinv_pushed(t, x, out), None, None),
    batch=batched_by(lambda: pinv, 2, 0, 0), node="LinalgPinvBackward0")
"""The pseudo-inverse, from a matrix and what singular values are taken for zero: those that are
at most the second operand, or at most the third times the largest."""

# --- least squares ----------------------------------------------------------------------------


def _lstsq(x: Array, y: Array, driver: str, rcond: float) -> tuple[Array, ...]:
    found, *more = each(functools.partial(_lstsq_one, driver=driver, rcond=rcond), x, y)
    return found[..., :x.shape[-1], :], *more


def _lstsq_one(a: Array, b: Array, driver: str, rcond: float) -> tuple[Any, ...]:
    """The solution has the room of LAPACK's, which is that of the right side if it is longer."""
    from scipy.linalg import lstsq

    m, n = a.shape
    solution = np.zeros((max(m, n), b.shape[-1]), a.dtype, "F")
    values = np.zeros(min(m, n), a.dtype.type(0).real.dtype)
    if not a.size or not solution.size:
        return solution, np.int64(0), values
    if driver == "gels":
        solution[:m] = b
        _, x, _ = routine("gels", a.dtype.char)(a, solution, overwrite_b=1)
        return x, np.int64(min(m, n)), values
    solution[:n], _, rank, found = lstsq(a, b, cond=rcond, lapack_driver=driver,
                                         check_finite=False)
    return solution, np.int64(rank), values if found is None else found


def _lstsq_aval(x: Aval, y: Aval, **how: Any) -> tuple[Aval, ...]:
    *batch, m, n = x.shape
    batch = list(broadcast_shapes([tuple(batch), y.shape[:-2]]))
    return (y.with_shape((*batch, n, y.shape[-1])), aval(tuple(batch), dtypes.int64, x.level),
            x.with_dtype(x.dtype.to_real()).with_shape((*batch, min(m, n))))


def _inverse_of(x: Any) -> Any:
    kind = plain_aval(x).dtype.to_real().numpy
    least = np.asarray(max(x.shape[-2:]) * np.finfo(kind).eps, kind)
    return pinv(x, np.zeros((), kind), least, hermitian=False)


def _lstsq_pulled(gs: list[Any], wanted: tuple[bool, ...], x: Any, y: Any, **how: Any) -> list[Any]:
    if gs[0] is None:
        return [None, None]
    found = _inverse_of(x)
    of_x = _pinv_pulled(mul(gs[0], mH(y)), x, found) if wanted[0] else None
    return [None if of_x is None else fitted(of_x, x),
            fitted(mul(mH(found), gs[0]), y) if wanted[1] else None]


def _lstsq_pushed(ts: Sequence[Any], x: Any, y: Any, **how: Any) -> tuple[Any, None, None]:
    found = _inverse_of(x)
    of_x = None if ts[0] is None else mul(_pinv_pushed(ts[0], x, found), y)
    return plus(of_x, None if ts[1] is None else mul(found, ts[1])), None, None


lstsq = primitive(
    "linalg_lstsq", _lstsq, abstract=_lstsq_aval, multiple=True,
    vjp=lambda gs, wanted, x, y: _lstsq_pulled(gs, wanted, x, y),
    jvp=lambda ts, x, y: _lstsq_pushed(ts, x, y), batch=batched_by(lambda: lstsq, 2, 2),
    node="LinalgLstsqBackward0")
"""The X of least norm for which A X is nearest to B, A's rank, and its singular values."""

# --- reflections ------------------------------------------------------------------------------


def _reflect_one(a: Array, tau: Array, c: Array, adjoint: bool) -> tuple[Array]:
    if not c.size or not tau.size:
        return (c.copy("F"),)
    letter = a.dtype.char
    name, step = ("ormqr", "T") if letter in "fd" else ("unmqr", "C")
    apply = functools.partial(routine(name, letter), "L", step if adjoint else "N",
                              a[:, :tau.size], tau, c)
    return (apply(lwork=int(apply(lwork=-1)[1][0].real))[0],)


def _right_aval(x: Aval, y: Aval, z: Aval) -> Aval:
    """That of right sides, from matrices, vectors that belong to them, and right sides."""
    batch = broadcast_shapes([x.shape[:-2], y.shape[:-1], z.shape[:-2]])
    return z.with_shape((*batch, *z.shape[-2:]))


def _reflected(x: Any, y: Any, z: Any, adjoint: bool) -> Any:
    """One reflection after another: c - tau v (v**H c), with the v below the diagonal of x."""
    size, count = x.shape[-2], y.shape[-1]
    if not count:
        none = np.zeros((0, z.shape[-1]), plain_aval(z).numpy)
        return z + mul(columns(x, 0, 0) * row(y), none)
    unit = np.eye(size, x.shape[-1], dtype=plain_aval(x).numpy)
    vectors = tril(x, diagonal=-1) + unit
    for i in range(count) if adjoint else reversed(range(count)):
        v, tau = columns(vectors, i, i + 1), column(columns(y, i, i + 1))
        tau = conj(tau) if adjoint and is_complex(tau) else tau
        z = z - tau * mul(v, mul(mH(v), z))
    return z


reflected = primitive(
    "reflected", lambda x, y, z, adjoint: each(
        functools.partial(_reflect_one, adjoint=adjoint), x, y, z, cores=(2, 1, 2))[0],
    abstract=lambda x, y, z, adjoint: _right_aval(x, y, z),
    decompose=_reflected, batch=batched_by(lambda: reflected, 2, 1, 2),
    node="LinalgHouseholderProductBackward0")
"""Q C, or Q**H C, for a product Q of reflections: vectors below the diagonal, and scales."""


def _geqrf_one(a: Array) -> tuple[Array, Array]:
    if not a.size:
        return a.copy(), np.zeros(min(a.shape), a.dtype)
    kind = a.dtype.char
    return routine("geqrf", kind)(a, lwork=workspace("geqrf", kind, *a.shape))[:2]


geqrf = primitive(
    "geqrf", lambda x: each(_geqrf_one, x), multiple=True, batch=batched_by(lambda: geqrf, 2),
    abstract=lambda x: (x, x.with_shape((*x.shape[:-2], min(x.shape[-2:])))))
"""The reflections that make a matrix an upper triangle, with that, and their scales."""

# --- indefinite matrices ----------------------------------------------------------------------


def _ldl_one(a: Array, hermitian: bool) -> tuple[Any, ...]:
    if not a.size:
        return a.copy(), np.zeros(len(a), np.int32), np.int32(0)
    name = "hetrf" if hermitian and a.dtype.kind == "c" else "sytrf"
    found, pivots, info = routine(name, a.dtype.char)(a, lower=1, lwork=64 * len(a))
    return np.triu(found.T).T, pivots.astype(np.int32), np.int32(info)


ldl_factor = primitive(
    "ldl_factor", lambda x, hermitian: each(functools.partial(_ldl_one, hermitian=hermitian), x),
    abstract=lambda x, hermitian: (x, aval(x.shape[:-1], dtypes.int32, x.level),
                                   aval(x.shape[:-2], dtypes.int32, x.level)),
    multiple=True, batch=batched_by(lambda: ldl_factor, 2))
"""L and D in one matrix with L D L**T (or L D L**H) = A, the exchanges, and where D has a zero."""


def _ldl_solve_one(ld: Array, pivots: Array, b: Array, hermitian: bool) -> tuple[Array]:
    if not b.size:
        return (b.copy(),)
    if not _are_exchanges(pivots.tolist()):
        raise RuntimeError("torch.linalg.ldl_solve: the pivots are not those of a factorization; "
                           "pass what torch.linalg.ldl_factor gives")
    name = "hetrs" if hermitian and ld.dtype.kind == "c" else "sytrs"
    return (routine(name, ld.dtype.char)(ld, pivots, b, lower=1)[0],)


def _are_exchanges(pivots: list[int]) -> bool:
    """Whether LAPACK can follow pivots: places of rows, counted from 1; negative ones in pairs."""
    if not all(0 < abs(p) <= len(pivots) for p in pivots):
        return False
    i = 0
    while i < len(pivots):
        if pivots[i] < 0 and (i + 1 == len(pivots) or pivots[i + 1] > 0):
            return False
        i += 1 if pivots[i] > 0 else 2
    return True


ldl_solve = primitive(
    "ldl_solve", lambda x, y, z, hermitian: each(
        functools.partial(_ldl_solve_one, hermitian=hermitian), x, y, z, cores=(2, 1, 2))[0],
    abstract=lambda x, y, z, hermitian: _right_aval(x, y, z),
    batch=batched_by(lambda: ldl_solve, 2, 1, 2))
"""X with A X = B, from what `ldl_factor` gives."""
