"""What the rules of linear algebra are written with: products and parts of batches of matrices."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.aval import Aval
from ...core.formats import as_made
from ...core.handle import plain_aval
from ...core.primitive import broadcast_shapes, primitive as any_primitive
from ..layout import (
    conj,
    contiguous,
    diagonal,
    expand,
    index_view,
    mT,
    real,
    reshape,
    sum_to,
    undiagonal,
)

primitive = functools.partial(any_primitive, order=as_made)
"""A primitive whose results lie as LAPACK leaves them."""


def is_complex(x: Any) -> bool:
    return plain_aval(x).is_complex


def mH(x: Any) -> Any:  # noqa: N802 - PyTorch's name
    """The adjoint: the transpose of matrices, conjugated."""
    return conj(mT(x)) if is_complex(x) else mT(x)


def real_part(x: Any) -> Any:
    return real(x) if is_complex(x) else x


def diag(x: Any) -> Any:
    """The diagonals of matrices."""
    n = len(x.shape)
    return diagonal(x, offset=0, dim1=n - 2, dim2=n - 1)


def diag_matrix(x: Any) -> Any:
    """Matrices with given diagonals, and zeros elsewhere."""
    n = len(x.shape)
    return undiagonal(x, shape=(*x.shape, x.shape[-1]), offset=0, dim1=n - 1, dim2=n)


def column(x: Any) -> Any:
    """Vectors as matrices of one column: what matrices' rows are scaled by."""
    return reshape(x, shape=(*x.shape, 1))


def by_columns(x: Any) -> Any:
    """Matrices copied to where their columns lie along memory, as LAPACK leaves its results."""
    return mT(contiguous(mT(x)))


def row(x: Any) -> Any:
    """Vectors as matrices of one row: what matrices' columns are scaled by."""
    return reshape(x, shape=(*x.shape[:-1], 1, x.shape[-1]))


def columns(x: Any, start: int, stop: int) -> Any:
    """Some columns of matrices."""
    return index_view(x, index=(Ellipsis, (start, stop, 1)))


def rows(x: Any, start: int, stop: int) -> Any:
    """Some rows of matrices."""
    return index_view(x, index=(Ellipsis, (start, stop, 1), (None, None, None)))


def eye_like(x: Any) -> Any:
    """The identity matrix, of the size and dtype of square matrices; without batch."""
    return np.eye(x.shape[-1], dtype=plain_aval(x).numpy)


def fitted(x: Any, like: Any) -> Any:
    """The cotangent of an operand (or aval) whose batch was broadcast, with its shape again."""
    shape = tuple(like.shape)
    return x if tuple(x.shape) == shape else sum_to(x, shape=shape)


def spread(x: Any, batch: tuple[int, ...]) -> Any:
    """Matrices broadcast to a batch."""
    shape = (*batch, *x.shape[-2:])
    return x if tuple(x.shape) == shape else expand(x, shape=shape)


def plus(x: Any, y: Any) -> Any:
    """The sum of two terms, either of which may be missing."""
    return y if x is None else x if y is None else x + y


def batched_by(apply: Callable[[], Any], *cores: int) -> Callable[..., Any]:
    """The batching rule of a primitive that works on batches, and broadcasts them.

    Args:
        apply: gives the primitive.
        cores: how many dimensions each operand has that are not of a batch.
    """

    def batch(size: int, batched: Sequence[bool], *values: Any, **params: Any) -> Any:
        spare = [len(v.shape) - b - core
                 for v, b, core in zip(values, batched, cores, strict=True)]
        most = max(spare)
        return apply()(*(
            reshape(v, shape=(v.shape[0], *(1,) * (most - s), *v.shape[1:]))
            if b and s < most else v
            for v, b, s in zip(values, batched, spare, strict=True)), **params)

    return batch


# --- products ---------------------------------------------------------------------------------


def _product_aval(x: Aval, y: Aval) -> Aval:
    batch = broadcast_shapes([x.shape[:-2], y.shape[:-2]])
    return x.with_shape((*batch, x.shape[-2], y.shape[-1]))


mul = primitive(
    "matrix_product", np.matmul, abstract=_product_aval, multilinear=True, node="BmmBackward0",
    vjp=(lambda g, y, x_aval: fitted(mul(g, mT(y)), x_aval),
         lambda g, x, y_aval: fitted(mul(mT(x), g), y_aval)),
    batch=batched_by(lambda: mul, 2, 2))
"""Products of matrices in batches that are broadcast: what rules multiply with, in one node."""
