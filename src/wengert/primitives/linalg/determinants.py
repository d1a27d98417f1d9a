"""Primitives of determinants: their values, logarithms and adjugate matrices, by LU factors.

A determinant has derivatives of all orders, at a singular matrix too, where its factors do not.
There the spaces of the singular values that are next to none are set apart: with A in the bases of
its singular vectors, [[B, C], [D, E]] with E small, det(A) = det(B) det(E - D B**-1 C), and the
last, of a matrix as small as E, is a polynomial. So only B, which is not singular, is inverted.

N. J. Higham, What is the adjugate of a matrix? (2020); the characteristic polynomial's
coefficients are by D. K. Faddeev and U. Leverrier's recursion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.aval import aval
from ..layout import conj, imag, reshape
from ..reductions import sum_
from .common import (
    batched_by,
    column,
    columns,
    diag,
    diag_matrix,
    eye_like,
    is_complex,
    mH,
    mul,
    plus,
    primitive,
    real_part,
    row,
)
from .lapack import Array, each
from .solving import inverse_of, lu_aval, lu_one, solve_by, solve_one

_SMALL = 3
"""Up to how many singular values are next to none with derivatives of every order. Of a matrix with
more of them, those of orders 1 to 3 are right: they are 0."""


def _grid(x: Any) -> Any:
    """Numbers as matrices of one element: what whole matrices are scaled by."""
    return reshape(x, shape=(*x.shape, 1, 1))


def _traced(x: Any) -> Any:
    x = diag(x)
    return sum_(x, dims=(len(x.shape) - 1,), keepdim=False)


def _factors_product(lu: Array, pivots: Array) -> Array:
    """The determinant: the diagonal's product, with the sign of the permutation."""
    return _signed(np.multiply.reduce(lu.diagonal(0, -2, -1), -1), pivots)


def _signed(x: Array, pivots: Array) -> Array:
    """x times the sign of the permutation that exchanges make."""
    exchanged = pivots != np.arange(1, pivots.shape[-1] + 1)
    return np.where(np.logical_xor.reduce(exchanged, -1), -x, x)


# --- inverses and adjugates by factors --------------------------------------------------------


def _inverse_by_one(lu: Array, pivots: Array) -> tuple[Array]:
    """Of a singular matrix, infinite and not a number, where `getri` would leave what it met."""
    if not lu.diagonal().all():
        return (solve_one(lu, pivots, np.eye(len(lu), dtype=lu.dtype), adjoint=False)[0],)
    return (inverse_of(lu, pivots - 1, overwrite=False) if lu.size else lu.copy(),)


inverse_by = primitive(
    "inverse_by_factors", lambda x, y, z: each(_inverse_by_one, y, z, cores=(2, 1))[0],
    abstract=lambda x, y, z: x, conjugate=False,
    vjp=(lambda g, out: -mul(mul(mH(out), g), mH(out)), None, None),
    jvp=(lambda t, out: -mul(mul(out, t), out), None, None),
    batch=batched_by(lambda: inverse_by, 2, 2, 1), node="LinalgInvExBackward0")
"""The inverse, from a matrix and its factors, which are constants."""


def _adjugate(x: Array, y: Array, z: Array) -> Array:
    """Factors with zeros on the diagonal stand for a regular matrix nearby: its adjugate is as near
    to the one that is asked for."""
    factors = _without_zeros(y)
    return _factors_product(factors, z)[..., None, None] * inverse_by.evaluate(x, factors, z)


def _without_zeros(lu: Array) -> Array:
    """LU factors whose diagonal's zeros are made the least that differs from 1."""
    singular = lu.diagonal(0, -2, -1) == 0
    if not np.logical_or.reduce(singular, None):
        return lu
    return lu + np.eye(lu.shape[-1], dtype=lu.dtype) * np.where(
        singular, np.finfo(lu.dtype).eps, 0).astype(lu.dtype)[..., None, :]


def _bases_one(a: Array, lu: Array) -> tuple[Array, ...]:
    n, eps = len(a), np.finfo(a.dtype).eps
    pivots = np.abs(lu.diagonal())
    if not (n and pivots.min() <= np.sqrt(eps) * pivots.max() < np.inf):
        left = right = np.eye(n, dtype=a.dtype)
        small = np.zeros(n, bool)
    else:
        u, s, vh = np.linalg.svd(a)
        left, right = np.conj(u.T), np.conj(vh.T)
        left[0] /= np.linalg.det(left) * np.linalg.det(right)
        small = s <= s[0] * np.where(np.arange(n) < n - _SMALL, n * eps, np.sqrt(eps))
    return (left, right, small.astype(a.dtype),
            (np.arange(_SMALL + 1) == small.sum()).astype(a.dtype))


_bases = primitive(
    "null_bases", lambda x, y: each(_bases_one, x, y), multiple=True,
    abstract=lambda x, y: (x, x, x.with_shape(x.shape[:-1]),
                           x.with_shape((*x.shape[:-2], _SMALL + 1))),
    vjp=(None, None), jvp=lambda ts: (None,) * 4, batch=batched_by(lambda: _bases, 2, 2))
"""Constants P and Q with det(P Q) = 1 that make P A Q diagonal, if A is next to singular; where the
diagonal is next to none (1, else 0), and of how many places that is so: a 1 there, from 0 on."""


def _adjugate_in_parts(x: Any, y: Any, z: Any) -> Any:
    """What the adjugate's derivatives are those of: Q adj(P A Q) P, by parts (see above)."""
    left, right, small, count = _bases(x, y)
    apart, kept = column(small), row(1 - small) * column(1 - small)
    turned, eye = mul(mul(left, x), right), eye_like(x)
    regular = turned * kept + diag_matrix(small)
    size, *factors = det(regular)
    inverse = inverse_by(regular, *factors) * kept
    past, before = (eye - mul(turned, inverse)) * apart, (eye - mul(inverse, turned)) * row(small)
    whole, minors = _small_adjugate(mul(mul(past, turned), before), count)
    found = _grid(size) * (whole * inverse + mul(mul(before, minors), past))
    return mul(mul(right, found), left)


def _small_adjugate(x: Any, count: Any) -> tuple[Any, Any]:
    """The determinant, as `_grid` has it, and the adjugate of a block of matrices that are 0 else.

    Args:
        x: the matrices.
        count: the block's size, as `_bases` gives it.
    """
    of_size = [column(columns(count, k, k + 1)) for k in range(_SMALL + 1)]
    eye = power = eye_like(x)
    whole, minors = of_size[0], 0
    for k in range(1, _SMALL + 1):
        minors = minors + of_size[k] * power
        product = mul(x, power)
        coefficient = _grid(_traced(product)) / k
        whole, power = whole + of_size[k] * coefficient, coefficient * eye - product
    return whole, minors


adjugate = primitive(
    "adjugate", _adjugate, abstract=lambda x, y, z: x, decompose=_adjugate_in_parts,
    batch=batched_by(lambda: adjugate, 2, 2, 1))
"""det(A) A**-1, which singular matrices have too, from a matrix and its factors."""

# --- determinants -----------------------------------------------------------------------------


def _det(x: Array) -> tuple[Array, ...]:
    lu, pivots, _ = each(lu_one, x)
    return _factors_product(lu, pivots), lu, pivots


det = primitive(
    "linalg_det", _det, multiple=True,
    abstract=lambda x: (x.with_shape(x.shape[:-2]), *lu_aval(x, "")[:2]),
    vjp=lambda gs, x, out: [_grid(gs[0]) * mH(adjugate(x, *out[1:]))],
    jvp=lambda ts, x, out: (_traced(mul(adjugate(x, *out[1:]), ts[0])), None, None),
    batch=batched_by(lambda: det, 2), node="LinalgDetBackward0")
"""The determinant, and the factors and exchanges that give it, counted as constants."""


def _slogdet(x: Array) -> tuple[Array, ...]:
    lu, pivots, _ = each(lu_one, x)
    values = lu.diagonal(0, -2, -1)
    size = np.abs(values)
    signs = np.sign(values) if x.dtype.kind == "f" else values / np.where(size == 0, 1, size)
    return (_signed(np.multiply.reduce(signs, -1), pivots), np.add.reduce(np.log(size), -1),
            lu, pivots)


def _slogdet_pulled(gs: list[Any], x: Any, out: list[Any]) -> list[Any]:
    """With t = tr(A**-1 dA): the logarithm changes by Re(t), a complex sign by i Im(t) times it."""
    g = gs[1]
    if is_complex(x) and gs[0] is not None:
        g = plus(g, imag(out[0] * conj(gs[0])) * -1j)
    return [None if g is None else _grid(g) * mH(inverse_by(x, *out[2:]))]


def _slogdet_pushed(ts: Sequence[Any], x: Any, out: Sequence[Any]) -> tuple[Any, ...]:
    if ts[0] is None:
        return None, None, None, None
    t = _traced(solve_by(x, ts[0], *out[2:], adjoint=False)[0])
    return (out[0] * (imag(t) * 1j) if is_complex(x) else None), real_part(t), None, None


slogdet = primitive(
    "linalg_slogdet", _slogdet, multiple=True,
    abstract=lambda x: (x.with_shape(x.shape[:-2]), aval(
        x.shape[:-2], x.dtype.to_real(), x.level), *lu_aval(x, "")[:2]),
    vjp=_slogdet_pulled, jvp=_slogdet_pushed, batch=batched_by(lambda: slogdet, 2),
    node="LinalgSlogdetBackward0")
"""The determinant's sign and the logarithm of its size; and factors, as `det` gives them."""
