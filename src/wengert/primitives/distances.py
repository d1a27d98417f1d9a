"""Distances between the rows of two matrices (or batches of them).

x has shape (..., n, d), y (..., m, d), with the same leading dimensions; the result (..., n, m)
has the p-norms of differences. Euclidean distances of many rows are worked out by a matrix product,
|x|**2 + |y|**2 - 2 x y, which takes no array of all differences, but loses digits where rows are
close to each other (as it does in PyTorch).
"""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np

from ..core.aval import Aval
from ..core.handle import plain_aval
from ..core.primitive import primitive
from .contractions import einsum
from .elementwise import abs_, scalar_power, sgn, where, zero
from .layout import cast, mT, reshape
from .reductions import norm, sum_

MANY = 25
"""Rows from which on PyTorch uses a matrix product."""


def _aval(x: Aval, y: Aval, p: float, product: bool) -> Aval:
    return x.with_shape((*x.shape[:-1], y.shape[-2]))


def _differences(x: Any, y: Any) -> Any:
    *batch, n, d = x.shape
    return reshape(x, shape=(*batch, n, 1, d)) - reshape(y, shape=(*batch, 1, y.shape[-2], d))


def _apart(x: Any, y: Any, p: float, product: bool) -> Any:
    return norm(_differences(x, y), p=p, dims=(len(x.shape),), keepdim=False)


def _evaluate(x: np.ndarray, y: np.ndarray, p: float, product: bool) -> np.ndarray:
    if not product:
        return np.asarray(_apart(x, y, p, product))
    squares = np.matmul(x, np.swapaxes(y, -1, -2))
    squares *= -2
    squares += np.square(x).sum(-1)[..., :, None]
    squares += np.square(y).sum(-1)[..., None, :]
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)


def _share(g: Any, out: Any) -> Any:
    """g / out, and 0 where rows are the same."""
    return where(out == 0, 0, g / where(out == 0, 1, out))


def _pulled(g: Any, x: Any, y: Any, out: Any) -> Any:
    """The cotangent of x of Euclidean distances: the sum over j of w_ij (x_i - y_j)."""
    w = _share(g, out)
    return sum_(w, dims=(len(w.shape) - 1,), keepdim=True) * x - _times(w, y)


def _times(w: Any, y: Any) -> Any:
    batch = string.ascii_uppercase[:len(w.shape) - 2]
    return einsum(w, y, terms=(f"{batch}ij", f"{batch}jk"), result=f"{batch}ik")


def _slopes(x: Any, y: Any, out: Any, p: float) -> Any:
    """The derivative of each distance by its differences; all of those that tie for the largest
    count in full."""
    apart = _differences(x, y)
    if p in (0, 1):
        return zero(apart) if p == 0 else sgn(apart)
    norms = reshape(out, shape=(*out.shape, 1))
    size = abs_(apart)
    if math.isinf(p):
        return sgn(apart) * cast(size == norms, dtype=plain_aval(apart).dtype)
    none = (size == 0) | (norms == 0)
    ratio = where(none, 1, size) / where(none, 1, norms)
    return where(none, 0, sgn(apart) * scalar_power(ratio, exponent=p - 1))


def _pullback(g: Any, x: Any, y: Any, out: Any, p: float) -> Any:
    if p == 2:
        return _pulled(g, x, y, out)
    slopes = _slopes(x, y, out, p) * reshape(g, shape=(*g.shape, 1))
    return sum_(slopes, dims=(len(x.shape) - 1,), keepdim=False)


def _pullback_second(g: Any, x: Any, y: Any, out: Any, p: float) -> Any:
    if p == 2:
        return _pulled(mT(g), y, x, mT(out))
    slopes = _slopes(x, y, out, p) * reshape(g, shape=(*g.shape, 1))
    return -sum_(slopes, dims=(len(x.shape) - 2,), keepdim=False)


cdist = primitive("cdist", _evaluate, abstract=_aval, vjp=(_pullback, _pullback_second),
                  decompose=_apart, refuses={"bic": "cdist"})
