"""NumPy's reductions, scans and sorting."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core import dtypes
from .. import choices, joining, norms, pointwise, reduce, scans, shapes, sorting, statistics
from .arguments import (
    Unsupported,
    all_axes,
    as_kind,
    floating,
    one_axis,
    part,
    promote,
    stands_for,
    tensor,
)


def _along(apply: Callable[..., Any], x: Any, axis: Any, keepdims: Any, **more: Any) -> Any:
    """A reduction over NumPy's `axis`, where () is none at all: each element by itself."""
    if axis == ():
        return apply(shapes.unsqueeze(x, 0), (0,), False, **more)
    return apply(x, axis, bool(keepdims), **more)


@stands_for(np.sum)
def sum_(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    return _along(reduce.sum, as_kind(tensor(a), dtype), axis, keepdims)


@stands_for(np.mean)
def mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    return _along(reduce.mean, floating(as_kind(tensor(a), dtype)), axis, keepdims)


@stands_for(np.prod)
def prod(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    x = as_kind(tensor(a), dtype)
    if axis == ():
        return reduce.prod(shapes.unsqueeze(x, 0), 0)
    if axis is None and not keepdims:
        return reduce.prod(x)
    for dim in all_axes(axis, x.aval.ndim):
        x = reduce.prod(x, dim, keepdim=True)
    return x if keepdims else _dropped(x, all_axes(axis, x.aval.ndim))


def _dropped(x: Any, dims: tuple[int, ...]) -> Any:
    """x without dimensions that have been reduced to one."""
    return shapes.squeeze(x, dims) if dims else x


@stands_for(np.max, np.amax)
def amax(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _extreme(reduce.amax, a, axis, keepdims)


@stands_for(np.min, np.amin)
def amin(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _extreme(reduce.amin, a, axis, keepdims)


def _extreme(apply: Any, a: Any, axis: Any, keepdims: Any) -> Any:
    """PyTorch's amax calls all dimensions (), NumPy's None."""
    return _along(lambda x, dims, keep: apply(x, () if dims is None else dims, keep), tensor(a),
                  axis, keepdims)


@stands_for(np.ptp)
def _ptp(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return amax(a, axis, keepdims) - amin(a, axis, keepdims)


@stands_for(np.all)
def all_(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _along(reduce.all, shapes.astype(tensor(a), dtypes.bool_), axis, keepdims)


@stands_for(np.any)
def any_(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _along(reduce.any, shapes.astype(tensor(a), dtypes.bool_), axis, keepdims)


def logsumexp(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _along(reduce.logsumexp, tensor(a), axis, keepdims)


@stands_for(np.count_nonzero)
def _count_nonzero(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return sum_(tensor(a) != 0, axis, keepdims=keepdims)


# --- spread -----------------------------------------------------------------------------------


@stands_for(np.var)
def _var(a: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, keepdims: Any = False,
         correction: Any = None) -> Any:
    correction = ddof if correction is None else correction
    return _spread(statistics.var, a, axis, dtype, correction, keepdims)


@stands_for(np.std)
def _std(a: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, keepdims: Any = False,
         correction: Any = None) -> Any:
    correction = ddof if correction is None else correction
    return _spread(statistics.std, a, axis, dtype, correction, keepdims)


def _spread(apply: Any, a: Any, axis: Any, dtype: Any, ddof: Any, keepdims: Any) -> Any:
    x = floating(as_kind(tensor(a), dtype))
    return _along(lambda x, dims, keep: apply(x, dims, keepdim=keep, correction=ddof), x, axis,
                  keepdims)


@stands_for(np.average)
def _average(a: Any, axis: Any = None, weights: Any = None, keepdims: Any = False) -> Any:
    if weights is None:
        return mean(a, axis, keepdims=keepdims)
    x, w = promote(a, weights, floats=True)
    if w.aval.shape != x.aval.shape:
        if w.aval.ndim != 1 or axis is None or isinstance(axis, tuple):
            raise Unsupported("with weights of another shape")
        dim = all_axes(axis, x.aval.ndim)[0]
        w = shapes.reshape(w, (-1, *(1,) * (x.aval.ndim - dim - 1)))
        return sum_(x * w, axis, keepdims=keepdims) / reduce.sum(w)
    return sum_(x * w, axis, keepdims=keepdims) / sum_(w, axis, keepdims=keepdims)


@stands_for(np.nansum)
def _nansum(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    return sum_(_filled(as_kind(tensor(a), dtype)), axis, keepdims=keepdims)


@stands_for(np.nanmean)
def _nanmean(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    x = floating(as_kind(tensor(a), dtype))
    count = sum_(~pointwise.isnan(x), axis, keepdims=keepdims)
    return sum_(_filled(x), axis, keepdims=keepdims) / count


def _filled(x: Any) -> Any:
    return choices.where(pointwise.isnan(x), 0, x)


# --- places and order -------------------------------------------------------------------------


@stands_for(np.argmax)
def _argmax(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return reduce.argmax(_ordered(a), axis, bool(keepdims))


@stands_for(np.argmin)
def _argmin(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return reduce.argmin(_ordered(a), axis, bool(keepdims))


def _ordered(a: Any) -> Any:
    """A tensor of numbers: bools have no order in PyTorch."""
    x = tensor(a)
    return shapes.astype(x, dtypes.uint8) if x.aval.dtype is dtypes.bool_ else x


# Every sort is stable here, whatever kind is asked for.


@stands_for(np.sort)
def _sort(a: Any, axis: Any = -1, kind: Any = None, stable: Any = None) -> Any:
    return sorting.sort(*one_axis(tensor(a), axis)).values


@stands_for(np.argsort)
def _argsort(a: Any, axis: Any = -1, kind: Any = None, stable: Any = None) -> Any:
    return sorting.argsort(*one_axis(tensor(a), axis))


# --- scans ------------------------------------------------------------------------------------


@stands_for(np.cumsum)
def cumsum(a: Any, axis: Any = None, dtype: Any = None) -> Any:
    return scans.cumsum(*one_axis(as_kind(tensor(a), dtype), axis))


@stands_for(np.cumprod)
def cumprod(a: Any, axis: Any = None, dtype: Any = None) -> Any:
    x = as_kind(tensor(a), dtype)
    if not x.aval.dtype.differentiable:
        x = shapes.astype(x, dtypes.int64)
    return running(pointwise.mul, x, axis)


def running(combine: Callable[[Any, Any], Any], x: Any, axis: Any) -> Any:
    """What elements along an axis combine to from the first up to each one, step by step."""
    x, dim = one_axis(x, axis)
    n = x.aval.shape[dim] if x.aval.ndim else 0
    if not n:
        raise Unsupported("of nothing")
    return joining.stack(list(itertools.accumulate(
        [part(x, dim, i) for i in range(n)], combine)), dim)


@stands_for(np.cumulative_sum)
def _cumulative_sum(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    return cumsum(x, _only_axis(x, axis), dtype)


@stands_for(np.cumulative_prod)
def _cumulative_prod(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    return cumprod(x, _only_axis(x, axis), dtype)


def _only_axis(x: Any, axis: Any) -> Any:
    if axis is None and tensor(x).aval.ndim != 1:
        raise ValueError("For arrays which have more than one dimension ``axis`` argument is "
                         "required.")
    return axis


@stands_for(np.diff)
def _diff(a: Any, n: int = 1, axis: Any = -1, prepend: Any = None, append: Any = None) -> Any:
    x, dim = one_axis(tensor(a), axis)
    if n < 0 or prepend is not None or append is not None:
        raise Unsupported("with prepend or append" if n >= 0 else "of negative order")
    minus = pointwise.ne if x.aval.dtype is dtypes.bool_ else pointwise.sub
    for _ in range(n):
        x = minus(part(x, dim, 1, None), part(x, dim, None, max(x.aval.shape[dim] - 1, 0)))
    return x


@stands_for(np.trapezoid)
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    heights, dim = one_axis(floating(y), axis)
    if x is not None:
        x = tensor(x)
        along = dim if x.aval.ndim == heights.aval.ndim else 0
        if x.aval.ndim == 1:
            x = shapes.reshape(x, (-1, *(1,) * (heights.aval.ndim - dim - 1)))
        dx = _diff(x, 1, along)
    pairs = part(heights, dim, 1, None) + part(heights, dim, None, -1)
    return reduce.sum(pairs * (dx if isinstance(dx, (int, float)) else tensor(dx)) / 2, dim)


# --- norms ------------------------------------------------------------------------------------


@stands_for(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    """Of a vector for one axis, of a matrix for two; of all elements by default."""
    x = floating(x)
    if axis is None and (ord is None or (ord == 2 and x.aval.ndim == 1) or (
            ord in ("f", "fro") and x.aval.ndim == 2)):
        return norms.norm(x, 2, None, bool(keepdims))
    dims = all_axes(axis, x.aval.ndim)
    if len(dims) == 1 and not isinstance(ord, str):
        return _vector_norm(x, 2 if ord is None else ord, dims, keepdims)
    if len(dims) != 2:
        raise ValueError("Improper number of dimensions to norm.")
    return _matrix_norm(x, "fro" if ord is None else ord, dims, keepdims)


def _vector_norm(x: Any, order: Any, dims: Any, keepdims: Any) -> Any:
    return norms.norm(x, order, dims, bool(keepdims))


def _matrix_norm(x: Any, order: Any, dims: tuple[int, ...], keepdims: Any) -> Any:
    if order in ("f", "fro"):
        return norms.norm(x, 2, dims, bool(keepdims))
    if order not in (1, -1, math.inf, -math.inf):
        raise Unsupported(f"with ord={order!r}")
    summed, compared = dims if abs(order) == 1 else dims[::-1]
    sums = reduce.sum(pointwise.abs(x), summed, keepdim=True)
    found = (reduce.amax if order > 0 else reduce.amin)(sums, compared, keepdim=True)
    return found if keepdims else _dropped(found, dims)


@stands_for(np.linalg.vector_norm)
def _linalg_vector_norm(x: Any, axis: Any = None, keepdims: Any = False, ord: Any = 2) -> Any:
    return _vector_norm(floating(x), ord, axis, keepdims)


@stands_for(np.linalg.matrix_norm)
def _linalg_matrix_norm(x: Any, keepdims: Any = False, ord: Any = "fro") -> Any:
    x = floating(x)
    return _matrix_norm(x, ord, all_axes((-2, -1), x.aval.ndim), keepdims)
