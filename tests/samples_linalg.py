"""Sample applications of the primitives of linear algebra, with what NumPy says of them.

Some can't be varied freely: factors belong to a matrix, a matrix has to be Hermitian, phases of
vectors are up to LAPACK. These are sampled within a function that sees to it (`Within`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.linalg

from samples import TABLE, Array, S, Sample, c, r
from wengert.core.aval import aval_of
from wengert.primitives.layout import conj, real
from wengert.primitives.linalg.common import is_complex, mul
from wengert.primitives.linalg.solving import constant_factors, symmetrised


class Around:
    """A function of a primitive and its operands, in the primitive's place."""

    linear = multilinear = elementwise = False

    def __init__(self, name: str, function: Callable[..., Any], multiple: bool) -> None:
        self.inner, self.function, self.multiple = TABLE[name], function, multiple
        self.vjp = self.inner.vjp

    def __call__(self, *operands: Any, **params: Any) -> Any:
        return self.function(self.inner, *operands, **params)

    evaluate = __call__

    def abstract(self, *avals: Any, **params: Any) -> Any:
        found = self(*(np.broadcast_to(np.eye(*a.shape[-2:], dtype=a.numpy), a.shape)
                       if a.ndim > 1 else np.zeros(a.shape, a.numpy) for a in avals), **params)
        return tuple(map(aval_of, found)) if self.multiple else aval_of(found)


@dataclass(frozen=True)
class Within(Sample):
    """A sample of a primitive within a function."""

    function: Callable[..., Any] = field(default=lambda p, *xs, **params: p(*xs, **params))
    multiple: bool = False

    @property
    def primitive(self) -> Any:
        return Around(self.name, self.function, self.multiple)


def _matrices(kind: Any, *shape: int) -> Array:
    """Matrices that are far from singular, with eigenvalues apart."""
    *_, m, n = shape
    scale = np.diag(np.arange(2.0, 2 * max(m, n) + 1, 2))[:m, :n]
    return np.asarray(scale + 0.3 * kind(*shape))


def _hermitian(x: Array) -> Array:
    return np.asarray(x + np.conj(x).swapaxes(-1, -2)) / 2


def _real_diagonal(x: Array) -> Array:
    return np.eye(3) * x.real


def _first(p: Any, *xs: Any, **params: Any) -> Any:
    return p(*xs, **params)[0]


def _first_two(p: Any, *xs: Any) -> Any:
    return p(*xs)[:2]


def _factored(p: Any, x: Any, *rest: Any, **params: Any) -> Any:
    return p(x, *rest, *constant_factors(x)[:2], **params)


def _adjoint(x: Array) -> Array:
    return np.conj(x).swapaxes(-1, -2)


def _adjugate(x: Array) -> Array:
    return np.asarray(np.linalg.det(x)[..., None, None] * np.linalg.inv(x))


def _systems(kind: Any) -> Iterator[Sample]:
    for shape, right in (((3, 3), (3, 2)), ((2, 2), (2, 1, 2, 1))):
        a, b = _matrices(kind, *shape), kind(*right)
        yield Within("linalg_solve", (a, b), {"words": ""}, np.linalg.solve, _first)
        for adjoint in (False, True):
            yield Within("solve_by_factors", (a, b), {"adjoint": adjoint},
                         lambda x, y, t=adjoint: np.linalg.solve(_adjoint(x) if t else x, y),
                         lambda *xs, **params: _factored(*xs, **params)[0])
            for upper in (False, True):
                yield Within("solve_triangular", (a, b), {
                    "adjoint": adjoint, "upper": upper, "unit": False}, lambda x, y, u=upper,
                    t=adjoint: np.linalg.solve(_adjoint(_part(x, u)) if t else _part(x, u), y),
                    _first)
    yield Within("solve_triangular", (_matrices(kind, 3, 3), kind(3, 2)), {
        "adjoint": False, "upper": True, "unit": True}, lambda x, y: np.linalg.solve(
        np.triu(x, 1) + np.eye(3), y), _first)
    for shape in ((3, 3), (2, 2, 2)) if kind is r else ((2, 2),):
        a = _matrices(kind, *shape)
        yield Within("linalg_inv", (a,), {"words": ""}, np.linalg.inv, _first)
        yield Within("linalg_det", (a,), {}, np.linalg.det, _first)
        yield Within("inverse_by_factors", (a,), {}, np.linalg.inv, _factored)
        yield Within("adjugate", (a,), {}, _adjugate, _factored)
        yield Within("linalg_slogdet", (a,), {}, np.linalg.slogdet, _first_two,
                     multiple=True)
        yield S("lower_half", a, ref=lambda x: np.tril(x) - np.tril(np.triu(x)) / 2)
        yield S("symmetrised", a, ref=_hermitian)
        yield Within("linalg_cholesky", (_hermitian(a),), {"upper": False, "words": ""},
                     np.linalg.cholesky, _lower_of_hermitian)
    yield Within("linalg_cholesky", (_hermitian(a),), {"upper": True, "words": ""},
                 lambda x: _adjoint(np.linalg.cholesky(x)), _lower_of_hermitian)
    for shape in ((2, 2, 2), (2, 3), (3, 2)):
        yield Within("lu_factor", (_matrices(kind, *shape),), {"words": ""}, None, _first)


def _part(x: Array, upper: bool) -> Array:
    return np.triu(x) if upper else np.tril(x)


def _lower_of_hermitian(p: Any, x: Any, **params: Any) -> Any:
    return p(symmetrised(x), **params)[0]


def _sizes(x: Any) -> Any:
    """|x|**2, which no phase changes."""
    return real(x * conj(x)) if is_complex(x) else x * x


def _svd_sizes(p: Any, x: Any, **params: Any) -> Any:
    u, s, vh = p(x, **params)
    return _sizes(u), s, _sizes(vh)


def _eig_sizes(p: Any, x: Any, **params: Any) -> Any:
    values, v = p(x, **params)
    return values, _sizes(v)


def _eigh_sizes(p: Any, x: Any, **params: Any) -> Any:
    return _eig_sizes(p, symmetrised(x), **params)


def _decompositions(kind: Any) -> Iterator[Sample]:
    for shape in ((2, 2, 2), (2, 3), (3, 2)):
        a = _matrices(kind, *shape)
        yield Sample("linalg_qr", (a,), {"mode": "reduced"}, np.linalg.qr)
        yield Within("linalg_svd", (a,), {"full": False}, lambda x: _svd_sizes(
            lambda y: np.linalg.svd(y, full_matrices=False), x), _svd_sizes, multiple=True)
        yield S("singular_values", a, ref=lambda x: np.linalg.svd(x, compute_uv=False))
    yield Sample("linalg_qr", (_matrices(kind, 2, 3),), {"mode": "complete"}, np.linalg.qr)
    a = _matrices(kind, 2, 3, 3)
    yield S("folded", a, ref=lambda x: np.triu(2 * _hermitian(x)) - _real_diagonal(x))
    yield S("mirrored", a, ref=lambda x: 2 * _hermitian(np.triu(x)) - _real_diagonal(x))
    for shape in ((3, 3), (2, 2, 2)) if kind is r else ((2, 2),):
        a = _matrices(kind, *shape)
        for upper, word in ((False, "L"), (True, "U")):
            yield Within("linalg_eigh", (_hermitian(a),), {"upper": upper}, lambda x: _eig_sizes(
                np.linalg.eigh, x), _eigh_sizes, multiple=True)
            yield S("hermitian_eigenvalues", a, upper=upper,
                    ref=lambda x, u=word: np.linalg.eigvalsh(x, u))
        yield Within("linalg_eig", (a,), {}, lambda x: _eig_sizes(
            lambda y: (part.astype(complex) for part in np.linalg.eig(y)), x), _eig_sizes,
            multiple=True)
        yield S("eigenvalues", a, ref=lambda x: np.linalg.eigvals(x).astype(complex))


def _functions(kind: Any) -> Iterator[Sample]:
    none, some = np.zeros(()), np.asarray(1e-3)
    for shape in ((3, 3), (2, 2, 2)) if kind is r else ((2, 2),):
        a = kind(*shape)
        yield S("linalg_matrix_exp", a, ref=scipy.linalg.expm)
        yield Within("linalg_pinv", (_hermitian(_matrices(kind, *shape)), none, some), {
            "hermitian": True}, lambda x, *_: np.linalg.pinv(x),
            lambda p, x, *rest, **params: p(symmetrised(x), *rest, **params))
    for shape in ((3, 2), (2, 1, 2)):
        a, b = _matrices(kind, *shape), kind(*shape[:-1], 2)
        yield S("linalg_pinv", a, none, some, hermitian=False, ref=lambda x, *_: np.linalg.pinv(x))
        for driver in ("gelsy", "gels", "gelsd")[:1 + 2 * (kind is r)]:
            yield Within("linalg_lstsq", (a, b), {"driver": driver, "rcond": 1e-3},
                         lambda x, y: np.linalg.pinv(x) @ y, _first)
        yield S("geqrf", a, ref=_reflections if a.ndim == 2 else None)
    for x, y in (((2, 3), (3, 2)), ((2, 2, 3), (3, 1)), ((3, 1, 1, 2), (2, 2, 2))):
        yield S("matrix_product", kind(*x), kind(*y), ref=np.matmul)
    for adjoint in (False, True):
        yield S("reflected", kind(3, 2), kind(2), kind(3, 2), adjoint=adjoint,
                ref=lambda x, y, z, t=adjoint: _reflected(x, y, z, t))
    symmetric = _hermitian(_matrices(kind, 3, 3))
    found = scipy.linalg.lapack.zhetrf if kind is c else scipy.linalg.lapack.dsytrf
    factors, exchanged, _ = found(symmetric, lower=1)
    yield S("ldl_factor", symmetric, hermitian=True,
            ref=lambda x: (np.tril(factors), exchanged, np.int32(0)))
    yield S("ldl_solve", np.tril(factors), exchanged, kind(3, 2), hermitian=True,
            ref=lambda x, y, z: np.linalg.solve(symmetric, z))


def _reflections(x: Array) -> tuple[Array, Array]:
    (packed, scales), _ = scipy.linalg.qr(x, mode="raw")
    return packed, scales


def _reflected(x: Array, scales: Array, z: Array, adjoint: bool) -> Array:
    """By the matrices of the reflections."""
    whole = np.eye(len(x), dtype=x.dtype)
    for i, scale in enumerate(scales):
        v = np.where(np.arange(len(x)) > i, x[:, i], 0)
        v[i] = 1
        whole = whole @ (np.eye(len(x)) - scale * np.outer(v, np.conj(v)))
    return (np.conj(whole).T if adjoint else whole) @ z


def _turned(p: Any, x: Any) -> Any:
    """The matrix in the bases, in absolute squares since signs are up to LAPACK."""
    left, right, *small = p(x, constant_factors(x)[0])
    return _sizes(mul(mul(left, x), right)), *small


_SINGULAR = np.array([[[1., 2.], [2., 4.]], [[1., 0.], [0., 2.]]])

SAMPLES = [
    Within("null_bases", (_SINGULAR,), {}, lambda x: (
        np.array([[[25., 0.], [0., 0.]], [[1., 0.], [0., 4.]]]), np.array([[0., 1.], [0., 0.]]),
        np.eye(4)[[1, 0]]), _turned, multiple=True),
    *(s for kind in (r, c) for family in (_systems, _decompositions, _functions)
      for s in family(kind)),
    S("pivot_order", np.array([3, 3, 3], np.int32), count=4, back=False,
      ref=lambda x: np.array([2, 0, 1, 3])),
    S("pivot_order", np.array([[3, 3, 3], [1, 2, 3]], np.int32), count=3, back=True,
      ref=lambda x: np.array([[1, 2, 0], [0, 1, 2]])),
]
