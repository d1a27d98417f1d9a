"""Primitives that solve linear systems: by LU and Cholesky factors, triangular ones, and inverses.

What needs LU factors gives them as results beside its own, and its derivative hands them, as
constants, to `solve_by` and its kin: the derivative is that of the solution in the matrix and the
right side, and is a solution again with the same factors. So one factorisation serves derivatives
of every order.

M. B. Giles, Collected matrix derivative results for forward and reverse mode algorithmic
differentiation (2008); I. Murray, Differentiation of the Cholesky decomposition (2016).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core import dtypes
from ...core.aval import Aval, aval
from ...core.formats import as_made
from ...core.primitive import Rule, broadcast_shapes, linear
from ..indexing import gather
from ..layout import (
    cat,
    diagonal,
    expand,
    inverse_order,
    mT,
    reshape,
    tril,
    triu,
)
from .common import (
    batched_by,
    columns,
    eye_like,
    fitted,
    mH,
    mul,
    primitive,
    row,
    rows,
    spread,
)
from .lapack import Array, complain, each, routine, workspace

# --- LU ---------------------------------------------------------------------------------------


def lu_one(a: Array) -> tuple[Any, ...]:
    if not a.size:
        return a.copy(), np.arange(1, min(a.shape) + 1, dtype=np.int32), np.int32(0)
    lu, pivots, info = routine("getrf", a.dtype.char)(a)
    return lu, pivots + 1, np.int32(info)


def lu_aval(x: Aval, words: str) -> tuple[Aval, ...]:
    batch = x.shape[:-2]
    return (x, aval((*batch, min(x.shape[-2:])), dtypes.int32, x.level),
            aval(batch, dtypes.int32, x.level))


def _lu_pulled(gs: list[Any], out: list[Any]) -> Any:
    """With P A = L U: what is left of A behind L and above U is a triangular system's solution."""
    g, (lu, pivots, _) = gs[0], out
    m, n = lu.shape[-2:]
    k = min(m, n)
    square, inner = rows(columns(lu, 0, k), 0, k), rows(columns(g, 0, k), 0, k)
    lower = mul(mH(_unit_lower(square)), tril(inner, diagonal=-1))
    upper = mul(triu(inner, diagonal=0), mH(triu(square, diagonal=0)))
    wide, tall = columns(lu, k, n), rows(lu, k, m)
    if n > k:
        lower = lower - mul(columns(g, k, n), mH(wide))
    if m > k:
        upper = upper - mul(mH(tall), rows(g, k, m))
    middle = tril(lower, diagonal=-1) + triu(upper, diagonal=0)
    found = _behind_lower(square, _before_upper(square, middle))
    if n > k:
        found = cat(found, _behind_lower(square, columns(g, k, n)), dim=len(g.shape) - 1)
    if m > k:
        found = cat(found, _before_upper(square, rows(g, k, m)), dim=len(g.shape) - 2)
    return permuted(found, pivots, m, back=True)


def _unit_lower(lu: Any) -> Any:
    return tril(lu, diagonal=-1) + eye_like(lu)


def _behind_lower(lu: Any, x: Any) -> Any:
    """L**-H x."""
    return triangular(lu, x, upper=False, unit=True, adjoint=True)[0]


def _before_upper(lu: Any, x: Any) -> Any:
    """x U**-H."""
    return mH(triangular(lu, mH(x), upper=True, unit=False, adjoint=False)[0])


def _lu_pushed(ts: Sequence[Any], out: Sequence[Any]) -> tuple[Any, ...]:
    lu, pivots, _ = out
    m, n = lu.shape[-2:]
    k = min(m, n)
    t = permuted(ts[0], pivots, m, back=False)
    square = rows(columns(lu, 0, k), 0, k)
    lower, upper = _unit_lower(square), triu(square, diagonal=0)
    middle = _past_lower(square, past_upper(square, rows(columns(t, 0, k), 0, k)))
    below, above = tril(middle, diagonal=-1), triu(middle, diagonal=0)
    found = mul(lower, below) + mul(above, upper)
    if n > k:
        more = _past_lower(square, columns(t, k, n)) - mul(below, columns(lu, k, n))
        found = cat(found, more, dim=len(t.shape) - 1)
    if m > k:
        more = past_upper(square, rows(t, k, m)) - mul(rows(lu, k, m), above)
        found = cat(found, more, dim=len(t.shape) - 2)
    return found, None, None


def _past_lower(lu: Any, x: Any) -> Any:
    """L**-1 x."""
    return triangular(lu, x, upper=False, unit=True, adjoint=False)[0]


def past_upper(lu: Any, x: Any) -> Any:
    """x U**-1."""
    return mH(triangular(lu, mH(x), upper=True, unit=False, adjoint=True)[0])


def _lu(x: Array, words: str) -> tuple[Array, ...]:
    found = each(lu_one, x)
    if words:
        complain(found[2], words)
    return found


lu_factor = primitive(
    "lu_factor", _lu, abstract=lu_aval, multiple=True, vjp=(_lu_pulled,), jvp=_lu_pushed,
    batch=batched_by(lambda: lu_factor, 2), node="LinalgLuFactorExBackward0")
"""L and U in one matrix, the rows that were exchanged (counted from 1) and, for a matrix that has
no inverse, which of U's diagonal is zero first: an error, if there are words for it."""
_constant_factors = lu_factor.named("LinalgLuFactorExBackward0", vjp=(None,),
                                    jvp=Rule(lambda ts: (None, None, None)))


def constant_factors(x: Any, words: str = "") -> tuple[Any, Any, Any]:
    """What `lu_factor` gives, counted as constants."""
    return _constant_factors(x, words=words)


def solved(x: Any, y: Any, *, adjoint: bool) -> Any:
    """X with A X = B, or A**H X = B."""
    return solve_by(x, y, *constant_factors(x)[:2], adjoint=adjoint)[0]


def _order(pivots: Array, count: int, *, back: bool) -> tuple[int, ...]:
    """The order in which exchanges leave rows; `back`: the one that undoes it."""
    order = list(range(count))
    for i, j in enumerate(pivots.tolist()):
        order[i], order[j - 1] = order[j - 1], order[i]
    return inverse_order(order) if back else tuple(order)


def _order_one(pivots: Array, count: int, back: bool) -> tuple[Any, ...]:
    if pivots.size and not (pivots.min() > 0 and pivots.max() <= count):
        raise RuntimeError("pivots passed to lu_unpack must be between 1 and LU.size(-2) "
                           "inclusive. Did you properly pass the result of lu_factor?")
    return (np.array(_order(pivots, count, back=back), np.int64),)


pivot_order = primitive(
    "pivot_order", lambda x, count, back: each(
        functools.partial(_order_one, count=count, back=back), x, cores=(1,))[0],
    abstract=lambda x, count, back: aval((*x.shape[:-1], count), dtypes.int64, x.level),
    batch=batched_by(lambda: pivot_order, 1))
"""The order in which exchanges leave rows; `back`: the one that undoes it."""


def permuted(x: Any, pivots: Any, count: int, *, back: bool) -> Any:
    """Matrices with rows exchanged: P**T x, where P L U is what was factorised; `back`: P x."""
    order = pivot_order(pivots, count=count, back=back)
    batch = broadcast_shapes([tuple(x.shape[:-2]), tuple(order.shape[:-1])])
    turned = spread(mT(x), batch)  # columns lie along memory
    return mT(gather(turned, expand(row(order), shape=tuple(turned.shape)),
                     dim=len(batch) + 1))


# --- systems ----------------------------------------------------------------------------------


def solve_one(lu: Array, pivots: Array, b: Array, adjoint: bool) -> tuple[Array]:
    if not b.size:
        return (b.copy(),)
    kind = lu.dtype.char
    if b.size >= _LARGE:
        return (routine("getrs", kind)(lu, pivots - 1, b, trans=2 * adjoint)[0],)
    solve = routine("trsm", kind)
    if adjoint:
        half = solve(1, lu, solve(1, lu, b, trans_a=2), lower=1, diag=1, trans_a=2, overwrite_b=1)
        return (_exchanged(half, pivots, back=True),)
    half = solve(1, lu, _exchanged(b, pivots, back=False), lower=1, diag=1)
    return (solve(1, lu, half, overwrite_b=1),)


_LARGE = 40_000
"""OpenBLAS's `getrs` and `laswp` wake its threads for systems of any size; these small ones, nobody
does."""


def _exchanged(x: Array, pivots: Array, *, back: bool) -> Array:
    """Rows exchanged; the same array, where none are."""
    order = _order(pivots, len(x), back=back)
    return x if order == tuple(range(len(x))) else x.take(order, 0)


def _solve_by(x: Array, y: Array, z: Array, w: Array, adjoint: bool) -> tuple[Array, ...]:
    return each(functools.partial(solve_one, adjoint=adjoint), z, w, y, cores=(2, 1, 2))


def _solution_aval(x: Aval, y: Aval, *factors: Aval) -> Aval:
    batch = broadcast_shapes([each.shape[:-2] for each in (x, y, *factors)])
    return y.with_shape((*batch, *y.shape[-2:]))


def _solve_by_pulled(gs: list[Any], wanted: tuple[bool, ...], x: Any, z: Any, w: Any, y_aval: Aval,
                  out: list[Any], adjoint: bool) -> list[Any]:
    (g,) = solve_by(x, gs[0], z, w, adjoint=not adjoint)
    of_x = None
    if wanted[0]:
        of_x = fitted(-(mul(out[0], mH(g)) if adjoint else mul(g, mH(out[0]))), x)
    return [of_x, fitted(g, y_aval) if wanted[1] else None, None, None]


def _solve_by_pushed(ts: Sequence[Any], x: Any, z: Any, w: Any, out: Sequence[Any],
                     adjoint: bool) -> tuple[Any]:
    right = ts[1]
    if ts[0] is not None:
        moved = mul(mH(ts[0]) if adjoint else ts[0], out[0])
        right = -moved if right is None else right - moved
    return (None,) if right is None else solve_by(x, right, z, w, adjoint=adjoint)


solve_by = primitive(
    "solve_by_factors", _solve_by, multiple=True, vjp=_solve_by_pulled, jvp=_solve_by_pushed,
    abstract=lambda x, y, z, w, **how: (_solution_aval(x, y, z),),
    batch=batched_by(lambda: solve_by, 2, 2, 2, 1), node="LinalgSolveExBackward0")
"""X with A X = B (or A**H X = B), from A, B and the factors of A, which are constants."""


def _solve(x: Array, y: Array, words: str) -> tuple[Array, ...]:
    lu, pivots, info = _lu(x, words)
    return (*_solve_by(x, y, lu, pivots, adjoint=False), lu, pivots, info)


def _solve_pulled(gs: list[Any], wanted: tuple[bool, ...], x: Any, y_aval: Aval,
                  out: list[Any]) -> list[Any]:
    return _solve_by_pulled(gs, wanted, x, out[1], out[2], y_aval, out, adjoint=False)[:2]


def _solve_pushed(ts: Sequence[Any], x: Any, out: Sequence[Any]) -> tuple[Any, None, None, None]:
    (t,) = _solve_by_pushed(ts, x, out[1], out[2], out, adjoint=False)
    return t, None, None, None


def _solve_examples(size: int, batched: Sequence[bool], x: Any, y: Any, words: str
                    ) -> tuple[Any, ...]:
    """What is said of the matrices has their batch alone, whatever the right sides have."""
    found, *factors = batched_by(lambda: solve, 2, 2)(size, batched, x, y, words=words)
    return found, *(
        reshape(each, shape=(*x.shape[:-2], *each.shape[len(each.shape) - core:])) if batched[0]
        else expand(each, shape=(size, *each.shape))
        for each, core in zip(factors, (2, 1, 0), strict=True))


solve = primitive(
    "linalg_solve", _solve, multiple=True, vjp=_solve_pulled, jvp=_solve_pushed,
    abstract=lambda x, y, words: (_solution_aval(x, y), *lu_aval(x, words)),
    batch=_solve_examples, node="LinalgSolveExBackward0")
"""X with A X = B, and what `lu_factor` gives of A, counted as constants."""


def _triangular_one(a: Array, b: Array, upper: bool, unit: bool, adjoint: bool) -> tuple[Array]:
    if not b.size:
        return (b.copy(),)
    return (routine("trsm", a.dtype.char)(1, a, b, lower=not upper, trans_a=2 * adjoint,
                                          diag=unit),)


def _triangle(x: Any, upper: bool, unit: bool) -> Any:
    """The part of a matrix that a triangular system reads."""
    return triu(x, diagonal=int(unit)) if upper else tril(x, diagonal=-int(unit))


def _triangular_pulled(gs: list[Any], wanted: tuple[bool, ...], x: Any, y_aval: Aval,
                       out: list[Any], upper: bool, unit: bool, adjoint: bool) -> list[Any]:
    (g,) = triangular(x, gs[0], upper=upper, unit=unit, adjoint=not adjoint)
    of_x = None
    if wanted[0]:
        of_x = mul(out[0], mH(g)) if adjoint else mul(g, mH(out[0]))
        of_x = fitted(-_triangle(of_x, upper, unit), x)
    return [of_x, fitted(g, y_aval) if wanted[1] else None]


def _triangular_pushed(ts: Sequence[Any], x: Any, out: Sequence[Any], upper: bool, unit: bool,
                       adjoint: bool) -> tuple[Any]:
    right = ts[1]
    if ts[0] is not None:
        part = _triangle(ts[0], upper, unit)
        moved = mul(mH(part) if adjoint else part, out[0])
        right = -moved if right is None else right - moved
    return (None,) if right is None else triangular(x, right, upper=upper, unit=unit,
                                                    adjoint=adjoint)


triangular = primitive(
    "solve_triangular", lambda x, y, **how: each(functools.partial(_triangular_one, **how), x, y),
    abstract=lambda x, y, **how: (_solution_aval(x, y),),
    multiple=True, vjp=_triangular_pulled, jvp=_triangular_pushed,
    batch=batched_by(lambda: triangular, 2, 2), node="LinalgSolveTriangularBackward0")
"""X with T X = B (or T**H X = B), for the upper or lower triangle T of a matrix."""

# --- inverse ----------------------------------------------------------------------------------


def _inverse_one(a: Array) -> tuple[Any, ...]:
    if not a.size:
        return a.copy(), np.int32(0)
    lu, pivots, info = routine("getrf", a.dtype.char)(a)
    if info:
        return np.full_like(a, np.nan), np.int32(info)
    return inverse_of(lu, pivots, overwrite=True), np.int32(0)


def inverse_of(lu: Array, places: Array, *, overwrite: bool) -> Array:
    """The inverse, from factors and exchanges as LAPACK counts them, from 0."""
    kind = lu.dtype.char
    found: Array = routine("getri", kind)(
        lu, places, lwork=workspace("getri", kind, len(lu)), overwrite_lu=overwrite)[0]
    return found


def _inverse(x: Array, words: str) -> tuple[Array, ...]:
    found, info = each(_inverse_one, x)
    if words:
        complain(info, words)
    return found, info


def _with_info(x: Aval, **_: Any) -> tuple[Aval, Aval]:
    return x, aval(x.shape[:-2], dtypes.int32, x.level)


inverse = primitive(
    "linalg_inv", _inverse, abstract=_with_info, multiple=True,
    vjp=(lambda gs, out: -mul(mul(adjoint := mH(out[0]), gs[0]), adjoint),),
    jvp=lambda ts, out: (-mul(mul(out[0], ts[0]), out[0]), None),
    batch=batched_by(lambda: inverse, 2), node="LinalgInvExBackward0")
"""The inverse, and whether there is none: an error, if there are words for it."""

# --- Cholesky ---------------------------------------------------------------------------------


def _cholesky_one(a: Array, upper: bool) -> tuple[Any, ...]:
    if not a.size:
        return a.copy(), np.int32(0)
    found, info = routine("potrf", a.dtype.char)(a, lower=not upper, clean=1)
    if found[-1, -1] != found[-1, -1] and not info:  # NaN, which not every LAPACK looks for
        info = np.flatnonzero(np.isnan(found.diagonal()))[0] + 1
    return found, np.int32(info)


def _cholesky(x: Array, upper: bool, words: str) -> tuple[Array, ...]:
    found, info = each(functools.partial(_cholesky_one, upper=upper), x)
    if words:
        complain(info, words)
    return found, info


def _lower_half(x: Array) -> Array:
    found = tril.evaluate(x, diagonal=0)
    on = diagonal.evaluate(found, offset=0, dim1=-2, dim2=-1)
    on *= 0.5
    return found


def _mean_with_adjoint(x: Array) -> Array:
    found = x + np.conj(x.swapaxes(-1, -2))
    found *= 0.5
    return found


_halved = linear("lower_half", _lower_half, lambda g: _halved(g), abstract=lambda x: x,
                 order=as_made, batch=batched_by(lambda: _halved, 2))
"""The lower triangle of matrices, with half the diagonal."""
symmetrised = linear("symmetrised", _mean_with_adjoint, lambda g: symmetrised(g),
                     abstract=lambda x: x, order=as_made,
                     batch=batched_by(lambda: symmetrised, 2))
"""Half of a matrix and its adjoint: the gradient of what is taken to be Hermitian."""


def _cholesky_pulled(gs: list[Any], out: list[Any], upper: bool) -> Any:
    """L**-H phi L**-1, with phi = L**H gL halved; symmetrised, as the operand is."""
    low, g = (mH(out[0]), mH(gs[0])) if upper else (out[0], gs[0])
    (half,) = triangular(low, _halved(mul(mH(low), g)), upper=False, unit=False, adjoint=True)
    (found,) = triangular(low, mH(half), upper=False, unit=False, adjoint=True)
    return symmetrised(found)


def _cholesky_pushed(ts: Sequence[Any], out: Sequence[Any], upper: bool) -> tuple[Any, Any]:
    low = mH(out[0]) if upper else out[0]
    (half,) = triangular(low, symmetrised(ts[0]), upper=False, unit=False, adjoint=False)
    (middle,) = triangular(low, mH(half), upper=False, unit=False, adjoint=False)
    found = mul(low, _halved(middle))
    return (mH(found) if upper else found), None


cholesky = primitive(
    "linalg_cholesky", _cholesky, abstract=_with_info, multiple=True, vjp=(_cholesky_pulled,),
    jvp=_cholesky_pushed, batch=batched_by(lambda: cholesky, 2),
    node="LinalgCholeskyExBackward0")
"""L with L L**H = A (or its adjoint), from one triangle of A, and where A is found not to be
positive definite: an error, if there are words for it."""
