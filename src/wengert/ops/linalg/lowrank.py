"""The largest singular values of large matrices, from products with random ones.

N. Halko, P. G. Martinsson and J. A. Tropp, Finding structure with randomness: probabilistic
algorithms for constructing approximate matrix decompositions (2011), algorithm 4.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...primitives.linalg.common import mH
from .. import random, reduce
from ..arguments import need_tensor
from ..products import matmul
from . import decompositions

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["pca_lowrank", "svd_lowrank"]


def svd_lowrank(A: Tensor, q: int | None = 6, niter: int | None = 2,  # noqa: N803
                M: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:  # noqa: N803
    """An approximation of A - M by its q largest singular values: (U, S, V).

    Args:
        A: matrices, m by n.
        q: how many singular values, a few more than are large.
        niter: how often the random basis is improved.
        M: what is subtracted from A, broadcast to it; None for nothing.
    """
    x: Any = need_tensor("svd_lowrank", A) if M is None else A - M
    wide = x.aval.shape[-2] < x.aval.shape[-1]
    x = mH(x) if wide else x
    basis = _basis(x, 6 if q is None else q, 2 if niter is None else niter)
    u, s, vh = decompositions.svd(matmul(mH(basis), x), full_matrices=False)
    left, right = matmul(basis, u), mH(vh)
    return (right, s, left) if wide else (left, s, right)


def _basis(x: Any, q: int, turns: int) -> Any:
    """Orthonormal columns that nearly span what x maps most to."""
    start = random.randn(x.aval.shape[-1], q, dtype=x.aval.dtype)
    found = decompositions.qr(matmul(x, start)).Q
    for _ in range(turns):
        found = decompositions.qr(matmul(mH(x), found)).Q
        found = decompositions.qr(matmul(x, found)).Q
    return found


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True,  # noqa: N803
                niter: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """The principal components of rows: `svd_lowrank` of A less the mean of its rows: (U, S, V).

    Args:
        A: matrices, m by n.
        q: how many components; min(6, m, n) by default.
        center: whether the mean is subtracted.
        niter: as for `svd_lowrank`.

    Raises:
        ValueError: if q is not between 0 and min(m, n), or niter is negative.
    """
    m, n = need_tensor("pca_lowrank", A).aval.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than "
                         f"min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    mean = reduce.mean(A, -2, keepdim=True) if center else None
    return svd_lowrank(A, q, niter, mean)
