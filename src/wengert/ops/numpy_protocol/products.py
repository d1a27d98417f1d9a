"""NumPy's products of vectors, matrices and higher."""

from __future__ import annotations

import functools
import string
from typing import Any

import numpy as np

from .. import diagonals, joining, products, rearranging, reduce, shapes
from ..einsum import einsum
from .arguments import Unsupported, all_axes, as_kind, floating, promote, stands_for, tensor


@stands_for(np.dot)
def dot(a: Any, b: Any) -> Any:
    """Over the last dimension of a and the last but one of b, if it has two."""
    x, y = promote(a, b)
    n, m = x.aval.ndim, y.aval.ndim
    if not n or not m:
        return x * y
    if n <= 2 and m <= 2:
        return products.matmul(x, y)
    return tensordot(x, y, (-1, -min(m, 2)))


@stands_for(np.inner)
def _inner(a: Any, b: Any) -> Any:
    x, y = promote(a, b)
    return tensordot(x, y, (-1, -1)) if x.aval.ndim and y.aval.ndim else x * y


@stands_for(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    x, y = promote(a, b)
    return products.dot(shapes.reshape(x, -1).conj(), shapes.reshape(y, -1))


@stands_for(np.outer)
def _outer(a: Any, b: Any) -> Any:
    x, y = promote(a, b)
    return shapes.reshape(x, (-1, 1)) * shapes.reshape(y, -1)


@stands_for(np.linalg.outer)
def _linalg_outer(x1: Any, x2: Any) -> Any:
    return products.outer(*promote(x1, x2))


@stands_for(np.linalg.matmul)
def _matmul(x1: Any, x2: Any) -> Any:
    return products.matmul(*promote(x1, x2))


@stands_for(np.linalg.vecdot)
def _vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    x, y = promote(x1, x2)
    return reduce.sum(x.conj() * y, axis)


@stands_for(np.linalg.multi_dot)
def _multi_dot(arrays: Any) -> Any:
    return functools.reduce(products.matmul, promote(*arrays))


@stands_for(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Over the last `axes` dimensions of a and the first of b, or over those named."""
    x, y = promote(a, b)
    n, m = x.aval.ndim, y.aval.ndim
    if isinstance(axes, int):
        axes = (tuple(range(n - axes, n)), tuple(range(axes)))
    of_x, of_y = (() if ax in ((), []) else all_axes(tuple(ax) if isinstance(ax, list) else ax, k)
                  for ax, k in zip(axes, (n, m), strict=True))
    if [x.aval.shape[d] for d in of_x] != [y.aval.shape[d] for d in of_y]:
        raise ValueError("shape-mismatch for sum")
    left, right = list(string.ascii_letters[:n]), list(string.ascii_letters[n:n + m])
    for i, j in zip(of_x, of_y, strict=True):
        right[j] = left[i]
    rest = [c for d, c in enumerate(left) if d not in of_x]
    rest += [c for d, c in enumerate(right) if d not in of_y]
    return einsum(f"{''.join(left)},{''.join(right)}->{''.join(rest)}", x, y)


@stands_for(np.linalg.tensordot)
def _linalg_tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    return tensordot(x1, x2, axes)


@stands_for(np.einsum)
def _einsum(*operands: Any, optimize: Any = False) -> Any:
    if not isinstance(operands[0], str):
        raise Unsupported("with lists of axes")
    return einsum(operands[0], *promote(*operands[1:]))


@stands_for(np.kron)
def _kron(a: Any, b: Any) -> Any:
    x, y = promote(a, b)
    n = max(x.aval.ndim, y.aval.ndim)
    left, right = ((1,) * (n - len(s)) + tuple(s) for s in (x.aval.shape, y.aval.shape))
    x = shapes.reshape(x, tuple(k for size in left for k in (size, 1)))
    y = shapes.reshape(y, tuple(k for size in right for k in (1, size)))
    return shapes.reshape(x * y, tuple(i * j for i, j in zip(left, right, strict=True)))


@stands_for(np.cross)
def _cross(a: Any, b: Any, axis: Any = -1) -> Any:
    x, y = (shapes.movedim(v, axis, -1) for v in promote(a, b))
    if x.aval.shape[-1] != 3 or y.aval.shape[-1] != 3:
        raise Unsupported("of other than three components")
    found = (rearranging.roll(x, -1, -1) * rearranging.roll(y, -2, -1)
             - rearranging.roll(x, -2, -1) * rearranging.roll(y, -1, -1))
    return shapes.movedim(found, -1, axis)


@stands_for(np.linalg.cross)
def _linalg_cross(x1: Any, x2: Any, axis: Any = -1) -> Any:
    return _cross(x1, x2, axis)


@stands_for(np.trace)
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    return reduce.sum(as_kind(diagonals.diagonal(tensor(a), offset, axis1, axis2), dtype), -1)


@stands_for(np.linalg.trace)
def _linalg_trace(x: Any, offset: int = 0, dtype: Any = None) -> Any:
    return _trace(x, offset, -2, -1, dtype)


@stands_for(np.vander)
def _vander(x: Any, N: Any = None, increasing: bool = False) -> Any:  # noqa: N803 - NumPy's name
    x = floating(x)
    powers = range(x.aval.shape[0] if N is None else N)
    columns = [x ** k for k in (powers if increasing else reversed(powers))]
    return joining.stack(columns, -1)
