"""Primitives that reduce dimensions.

`dims` is a tuple of the dimensions to reduce, non-negative; `keepdim` leaves them with size 1.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.aval import Aval
from ..core.primitive import Rule, linear, primitive
from .elementwise import (
    abs_,
    exp,
    is_complex,
    isfinite,
    log,
    scalar_power,
    sgn,
    sqrt,
    where,
    zero,
)
from .layout import WIDER, add_up, cast, conj, expand, permute, real, reshape
from .others import others

Dims = tuple[int, ...]


def _reduced(x: Aval, dims: Dims, keepdim: bool) -> Aval:
    if keepdim:
        return x.with_shape(1 if d in dims else n for d, n in enumerate(x.shape))
    return x.with_shape(n for d, n in enumerate(x.shape) if d not in dims)


def _mean(x: np.ndarray, dims: Dims, keepdim: bool) -> np.ndarray:
    n = math.prod([x.shape[d] for d in dims])
    found: np.ndarray = add_up(x, dims, keepdim) / n
    return found


def kept(v: Any, x: Aval, dims: Dims, keepdim: bool) -> Any:
    """A reduced value with its reduced dimensions put back, of size 1."""
    if keepdim or not x.ndim:
        return v
    return reshape(v, shape=tuple([1 if d in dims else n for d, n in enumerate(x.shape)]))


def spread(v: Any, x: Aval, dims: Dims, keepdim: bool) -> Any:
    """A reduced value, repeated over what was reduced."""
    # One number is repeated as it is.
    return expand(v if len(dims) == x.ndim else kept(v, x, dims, keepdim), shape=x.shape)


def count(x: Aval, dims: Dims) -> int:
    """How many elements each result sums up."""
    return x.numel if len(dims) == x.ndim else math.prod([x.shape[d] for d in dims])


def total(x: Any, dims: Dims, shape: tuple[int, ...]) -> Any:
    """Sums over dims, keeping them; of a number, which has none, itself."""
    return sum_(x, dims=dims, keepdim=True) if shape else x


sum_ = linear(
    "sum", add_up,
    lambda g, x_aval, dims, keepdim: spread(g, x_aval, dims, keepdim), abstract=_reduced)
sum_dims = sum_.named("SumBackward1")
mean = linear(
    "mean", _mean,
    lambda g, x_aval, dims, keepdim: spread(
        g / max(count(x_aval, dims), 1), x_aval, dims, keepdim),
    abstract=_reduced, decompose=lambda x, dims, keepdim: _lower_mean(x, dims, keepdim))
mean_dims = mean.named("MeanBackward1")


def _lower_mean(x: Any, dims: Dims, keepdim: bool) -> Any:
    return sum_(x, dims=dims, keepdim=keepdim) / count(x.aval, dims)


def _count_nonzero(x: np.ndarray, dims: Dims, keepdim: bool) -> np.ndarray:
    if len(dims) == x.ndim and not keepdim:
        return np.asarray(np.count_nonzero(x != 0))
    return np.count_nonzero(x, axis=dims, keepdims=keepdim)


nansum = primitive(
    "nansum", lambda x, dims, keepdim: add_up(np.where(x == x, x, np.zeros((), x.dtype)), dims,
                                              keepdim), abstract=_reduced,
    vjp=(lambda g, x, x_aval, dims, keepdim: where(
        x == x, kept(g, x_aval, dims, keepdim), kept(g * 0, x_aval, dims, keepdim)),),
    jvp=(lambda t, x, dims, keepdim: sum_(where(x == x, t, 0), dims=dims, keepdim=keepdim),),
    lower=lambda x, dims, keepdim: sum_(where(x == x, x, 0), dims=dims, keepdim=keepdim))
"""The sum of what is not NaN."""
count_nonzero = primitive(
    "count_nonzero", _count_nonzero,
    abstract=lambda x, dims, keepdim: _reduced(x, dims, keepdim).with_dtype(dtypes.int64),
    lower=lambda x, dims, keepdim: sum_(
        cast(x != 0, dtype=dtypes.int64), dims=dims, keepdim=keepdim))


def _along(slope: Any, t: Any, dims: Dims, keepdim: bool) -> Any:
    """The tangent of a real reduction: its operand's tangent in the direction of its gradient."""
    return sum_(real(conj(slope) * t) if is_complex(slope) else slope * t, dims=dims,
                keepdim=keepdim)


# --- products ---------------------------------------------------------------------------------

prod_dim = primitive(
    "prod", lambda x, dims, keepdim: np.multiply.reduce(
        x, axis=dims, keepdims=keepdim, dtype=x.dtype), abstract=_reduced,
    vjp=(lambda g, x, x_aval, dims, keepdim: kept(g, x_aval, dims, keepdim)
         * others(x, dim=dims[0]),),
    jvp=(lambda t, x, dims, keepdim: sum_(t * others(x, dim=dims[0]), dims=dims,
                                          keepdim=keepdim),), node="ProdBackward1")
"""The product along one dimension."""

# --- extremes ---------------------------------------------------------------------------------


def _extremes(x: Any, best: Any) -> Any:
    """Where x is the extreme; NaN is one, too."""
    return (x == best) | ((x != x) & (best != best))


def _extreme_pullback(g: Any, x: Any, out: Any, x_aval: Aval, dims: Dims, keepdim: bool) -> Any:
    """Elements that tie for the extreme share the cotangent evenly, as PyTorch has it;
    none is NaN, and so all get 0 / 0."""
    share = cast(x == kept(out, x_aval, dims, keepdim), dtype=x_aval.dtype)
    return kept(g, x_aval, dims, keepdim) * (share / total(share, dims, x_aval.shape))


def _extreme_pushforward(t: Any, x: Any, out: Any, x_aval: Aval, out_aval: Aval, dims: Dims,
                         keepdim: bool) -> Any:
    slope = _extreme_pullback(out_aval.ones(), x, out, x_aval, dims, keepdim)
    return _along(slope, t, dims, keepdim)


amax = primitive(
    "amax", lambda x, dims, keepdim: np.maximum.reduce(x, axis=dims, keepdims=keepdim),
    abstract=_reduced, vjp=(_extreme_pullback,), jvp=(_extreme_pushforward,))
amin = primitive(
    "amin", lambda x, dims, keepdim: np.minimum.reduce(x, axis=dims, keepdims=keepdim),
    abstract=_reduced, vjp=(_extreme_pullback,), jvp=(_extreme_pushforward,))


def to_ties(g: Any, x: Any, out: Any, x_aval: Aval, dims: Dims) -> Any:
    """As for `amax`, but elements that are not the result get 0 even of an infinite cotangent."""
    mask = _extremes(x, kept(out, x_aval, dims, False))
    ties = total(cast(mask, dtype=x_aval.dtype), dims, x_aval.shape)
    return where(mask, kept(g, x_aval, dims, False) / ties, 0)


def from_ties(t: Any, x: Any, out: Any, x_aval: Aval, out_aval: Aval, dims: Dims) -> Any:
    """The mean of the tangents of the elements that are the result."""
    return sum_(to_ties(out_aval.ones(), x, out, x_aval, dims) * t, dims=dims, keepdim=False)


max_all = amax.named("MaxBackward1", vjp=(Rule(to_ties),))
min_all = amin.named("MinBackward1", vjp=(Rule(to_ties),))


@functools.lru_cache(maxsize=256)
def _made_one(shape: tuple[int, ...], dims: Dims) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The order of dimensions and the shape by which some of them become one, the last."""
    others = tuple(d for d in range(len(shape)) if d not in dims)
    size = math.prod(shape[d] for d in dims)
    return (*others, *dims), (*(shape[d] for d in others), size)


def rows_of(x: np.ndarray, dims: Dims) -> np.ndarray:
    """An array with some dimensions made one, the last."""
    order, shape = _made_one(x.shape, dims)
    return x.transpose(order).reshape(shape)


def _arg(find: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """Where `find` says, in the one dimension that all of `dims` are taken as."""

    def places(x: np.ndarray, dims: Dims, keepdim: bool) -> np.ndarray:
        if len(dims) == 1:
            return find(x, dims[0], keepdims=keepdim)
        found = find(rows_of(x, dims), -1)
        return found.reshape(tuple(1 if d in dims else n for d, n in enumerate(x.shape))
                             ) if keepdim else found

    return places


def _lower_arg(find: Any) -> Callable[..., Any]:
    def lower(x: Any, dims: Dims, keepdim: bool) -> Any:
        if len(dims) == 1:
            return find()(x, dims=dims, keepdim=keepdim)
        order, shape = _made_one(tuple(x.shape), dims)
        rows = reshape(permute(x, dims=order), shape=shape)
        found = find()(rows, dims=(len(shape) - 1,), keepdim=False)
        return reshape(found, shape=_reduced(x.aval, dims, keepdim).shape)

    return lower


def _index_aval(x: Aval, dims: Dims, keepdim: bool) -> Aval:
    return _reduced(x, dims, keepdim).with_dtype(dtypes.int64)


def _truth_aval(x: Aval, dims: Dims, keepdim: bool) -> Aval:
    return _reduced(x, dims, keepdim).boolean


argmax = primitive("argmax", _arg(np.ndarray.argmax), abstract=_index_aval,
                   lower=_lower_arg(lambda: argmax))
argmin = primitive("argmin", _arg(np.ndarray.argmin), abstract=_index_aval,
                   lower=_lower_arg(lambda: argmin))
all_ = primitive("all", lambda x, dims, keepdim: np.logical_and.reduce(
    x, dims, np.bool_, out=..., keepdims=keepdim), abstract=_truth_aval)
any_ = primitive("any", lambda x, dims, keepdim: np.logical_or.reduce(
    x, dims, np.bool_, out=..., keepdims=keepdim), abstract=_truth_aval)

# --- spread -----------------------------------------------------------------------------------


def _centred(x: Any, dims: Dims) -> Any:
    return x - mean(x, dims=dims, keepdim=True)


def _var(x: np.ndarray, dims: Dims, keepdim: bool, correction: float) -> np.ndarray:
    """The mean is rounded once, so that it is equal elements' own."""
    n = math.prod([x.shape[d] for d in dims])
    total = np.add.reduce(x, dims, WIDER.get(x.dtype.char, x.dtype), out=..., keepdims=True)
    centred = x - (total / max(n, 1)).astype(x.dtype, copy=False)
    squares = (centred * np.conj(centred)).real if x.dtype.kind == "c" else centred * centred
    return add_up(squares, dims, keepdim) / float(max(n - correction, 0))


def _std(x: np.ndarray, dims: Dims, keepdim: bool, correction: float) -> np.ndarray:
    """The root of the variance, in doubles where squares of single floats overflow."""
    found = np.sqrt(_var(x, dims, keepdim, correction))
    if x.dtype.char in "fF" and np.count_nonzero(np.isinf(found)):
        return np.sqrt(_var(x.astype(WIDER[x.dtype.char]), dims, keepdim, correction))
    return found


def _lower_var(x: Any, dims: Dims, keepdim: bool, correction: float) -> Any:
    n = count(x.aval, dims)
    wide = cast(x, dtype=dtypes.float64)
    centred = x - cast(sum_(wide, dims=dims, keepdim=True) / max(n, 1), dtype=x.aval.dtype)
    return sum_(centred * centred, dims=dims, keepdim=keepdim) / max(n - correction, 0)


def _var_pullback(g: Any, x: Any, x_aval: Aval, dims: Dims, keepdim: bool,
                  correction: float) -> Any:
    left = count(x_aval, dims) - correction
    scale = 2 / left if left else math.nan
    return (scale * kept(g, x_aval, dims, keepdim)) * _centred(x, dims)


def _std_pullback(g: Any, x: Any, out: Any, x_aval: Aval, dims: Dims, keepdim: bool,
                  correction: float) -> Any:
    same = out == 0
    flat = where(same, 0, g / (2 * where(same, 1, out)))  # a constant row has slope 0
    return _var_pullback(flat, x, x_aval, dims, keepdim, correction)


def _var_aval(x: Aval, dims: Dims, keepdim: bool, correction: float) -> Aval:
    return _reduced(x, dims, keepdim).with_dtype(x.dtype.to_real())


def _var_pushforward(t: Any, x: Any, x_aval: Aval, out_aval: Aval, dims: Dims, keepdim: bool,
                     correction: float) -> Any:
    slope = _var_pullback(out_aval.ones(), x, x_aval, dims, keepdim, correction)
    return _along(slope, t, dims, keepdim)


def _std_pushforward(t: Any, x: Any, out: Any, x_aval: Aval, out_aval: Aval, dims: Dims,
                     keepdim: bool, correction: float) -> Any:
    slope = _std_pullback(out_aval.ones(), x, out, x_aval, dims, keepdim, correction)
    return _along(slope, t, dims, keepdim)


var = primitive("var", _var, abstract=_var_aval, vjp=(_var_pullback,), jvp=(_var_pushforward,),
                conjugate=False, lower=_lower_var)
std = primitive(
    "std", _std,
    abstract=_var_aval, vjp=(_std_pullback,), jvp=(_std_pushforward,), conjugate=False,
    lower=lambda x, **params: sqrt(_lower_var(x, **params)))

# --- norms ------------------------------------------------------------------------------------


def _norm(x: np.ndarray, p: float, dims: Dims, keepdim: bool) -> np.ndarray:
    if not x.ndim and p != 0:
        return np.abs(x)
    if p == 2 and x.dtype.kind == "f":
        if x.ndim == len(dims) and not keepdim and x.size < 1 << 12:
            flat = x.reshape(-1)
            squares = np.dot(flat, flat)
            if 1e-20 < squares < 1e20:  # no square over- or underflowed
                return np.sqrt(squares)
        return np.sqrt(add_up(x * x, dims, keepdim))
    size = np.abs(x)
    if math.isinf(p):
        return (np.maximum if p > 0 else np.minimum).reduce(size, dims, None, None, keepdim)
    if p == 0:
        return np.add.reduce(size != 0, dims, size.dtype, None, keepdim)
    if p == 1:
        return add_up(size, dims, keepdim)
    if p == 2:
        return np.sqrt(add_up(size * size, dims, keepdim))
    return np.power(add_up(np.power(size, p), dims, keepdim), 1 / p)


def _lower_norm(x: Any, p: float, dims: Dims, keepdim: bool) -> Any:
    size, how = abs_(x), {"dims": dims, "keepdim": keepdim}
    if not x.shape and p != 0:
        return size
    if math.isinf(p):
        return (amax if p > 0 else amin)(size, **how)
    if p == 0:
        return sum_(cast(size != 0, dtype=x.aval.dtype), **how)
    if p == 2:
        return sqrt(sum_(x * x, **how))
    return scalar_power(sum_(scalar_power(size, exponent=p), **how), exponent=1 / p)


def _norm_pullback(g: Any, x: Any, out: Any, x_aval: Aval, p: float, dims: Dims,
                   keepdim: bool) -> Any:
    """g x |x|**(p-2) / out**(p-1), and 0 where the norm is 0."""
    if p == 0:
        return zero(x)
    if p == 1:
        return kept(g, x_aval, dims, keepdim) * sgn(x)
    out, g = kept(out, x_aval, dims, keepdim), kept(g, x_aval, dims, keepdim)
    if math.isinf(p):
        mask = cast(_extremes(abs_(x), out), dtype=x_aval.dtype.to_real())
        return sgn(x) * (mask * (g / total(mask, dims, x_aval.shape)))
    norm = where(out == 0, 1, out)
    if p == 2:
        return where(out == 0, 0, (g / norm) * x)
    size = abs_(x)
    power = where(size == 0, 0, scalar_power(where(size == 0, 1, size / norm), exponent=p - 1))
    return where(out == 0, 0, g * (sgn(x) * power))


def _norm_pushforward(t: Any, x: Any, out: Any, x_aval: Aval, out_aval: Aval, p: float,
                      dims: Dims, keepdim: bool) -> Any:
    slope = _norm_pullback(out_aval.ones(), x, out, x_aval, p, dims, keepdim)
    return _along(slope, t, dims, keepdim)


norm = primitive(
    "norm", _norm, conjugate=False, vjp=(_norm_pullback,), jvp=(_norm_pushforward,),
    node="LinalgVectorNormBackward0", lower=_lower_norm,
    abstract=lambda x, p, dims, keepdim: _reduced(x, dims, keepdim).with_dtype(x.dtype.to_real()))

# --- log-sum-exp, softmax ---------------------------------------------------------------------


def _logsumexp(x: np.ndarray, dims: Dims, keepdim: bool) -> np.ndarray:
    if not x.size:
        return np.log(add_up(np.exp(x), dims, keepdim))
    top = np.maximum.reduce(x.real, axis=dims, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    out = np.log(add_up(np.exp(x - top), dims, True)) + top
    return out if keepdim else np.squeeze(out, dims)


def _softmax(x: np.ndarray, dim: int) -> np.ndarray:
    if not x.size or not x.ndim:
        return np.array(x) if not x.size else np.where(np.isfinite(x), 1, x - x).astype(x.dtype)
    e = np.exp(x - np.maximum.reduce(x, axis=dim, keepdims=True))
    e /= add_up(e, (dim,), True)
    return e


def _log_softmax(x: np.ndarray, dim: int) -> np.ndarray:
    if not x.size or not x.ndim:
        return x - x
    shifted = x - np.maximum.reduce(x, axis=dim, keepdims=True)
    shifted -= np.log(add_up(np.exp(shifted), (dim,), True))
    return shifted


def _lower_logsumexp(x: Any, dims: Dims, keepdim: bool) -> Any:
    if not x.aval.numel:
        return log(sum_(exp(x), dims=dims, keepdim=keepdim))
    top = amax(x, dims=dims, keepdim=True)
    top = where(isfinite(top), top, 0)
    out = log(sum_(exp(x - top), dims=dims, keepdim=True)) + top
    return out if keepdim else reshape(out, shape=tuple(_reduced(x.aval, dims, False).shape))


def _lower_softmax(x: Any, dim: int) -> Any:
    if not x.shape:
        return where(isfinite(x), 1, x - x)
    if not x.aval.numel:
        return x
    e = exp(x - amax(x, dims=(dim,), keepdim=True))
    return e / sum_(e, dims=(dim,), keepdim=True)


def _lower_log_softmax(x: Any, dim: int) -> Any:
    if not x.aval.numel or not x.shape:
        return x - x
    shifted = x - amax(x, dims=(dim,), keepdim=True)
    return shifted - log(sum_(exp(shifted), dims=(dim,), keepdim=True))


logsumexp = primitive(
    "logsumexp", _logsumexp, abstract=_reduced, lower=_lower_logsumexp,
    vjp=(lambda g, x, out, x_aval, dims, keepdim: kept(g, x_aval, dims, keepdim)
         * exp(x - _finite(kept(out, x_aval, dims, keepdim))),),
    jvp=(lambda t, x, out, x_aval, dims, keepdim: sum_(
        t * exp(x - _finite(kept(out, x_aval, dims, keepdim))), dims=dims, keepdim=keepdim),))


def _softmax_map(g: Any, out: Any, x_aval: Aval, dim: int) -> Any:
    """Its Jacobian is symmetric, so tangents and cotangents go the same way."""
    return out * (g - total(g * out, (dim,), x_aval.shape))


softmax = primitive(
    "softmax", _softmax, abstract=lambda x, dim: x, vjp=(_softmax_map,), jvp=(_softmax_map,),
    refuses={"bic": "softmax_kernel_impl"}, lower=_lower_softmax)
log_softmax = primitive(
    "log_softmax", _log_softmax, abstract=lambda x, dim: x,
    vjp=(lambda g, out, x_aval, dim: g - exp(out) * total(g, (dim,), x_aval.shape),),
    jvp=(lambda t, out, x_aval, dim: t - total(exp(out) * t, (dim,), x_aval.shape),),
    refuses={"bic": "log_softmax_kernel_impl"}, lower=_lower_log_softmax)


def _finite(v: Any) -> Any:
    """v with 0 in place of minus infinity, where all weights are 0 whatever is subtracted."""
    return where(v == -math.inf, 0, v)
