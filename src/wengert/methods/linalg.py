"""Tensor's methods of linear algebra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.later import later

if TYPE_CHECKING:
    from ..ops.linalg import older
else:
    older = later("wengert.ops.linalg.older")


class LinearAlgebra:
    """Determinants, factors and functions of matrices."""

    __slots__ = ()

    det, logdet, slogdet = older.det, older.logdet, older.slogdet
    inverse, pinverse, trace = older.inverse, older.pinverse, older.trace
    cholesky, cholesky_solve, cholesky_inverse = (
        older.cholesky, older.cholesky_solve, older.cholesky_inverse)
    lu, lu_solve, triangular_solve = older.plain_lu, older.lu_solve, older.triangular_solve
    qr, svd, geqrf, orgqr, ormqr = older.qr, older.svd, older.geqrf, older.orgqr, older.ormqr
    matrix_exp, matrix_power = older.matrix_exp, older.matrix_power
    cross, kron = older.cross, older.kron
