"""Primitives that scan a dimension: each element of the result comes of all before it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.aval import LARGE, aval
from ..core.blocks import by_arrays
from ..core.primitive import TABLE, Primitive, linear, primitive
from .elementwise import exp, where
from .indexing import gather, ungather
from .layout import WIDER, cat, flip, narrow

_FEW, _MANY = 64, 512


def before(x: Any, dim: int, first: float) -> Any:
    """x moved on by one along a dimension, with a number in front."""
    return _moved(x, dim, first, 1)


def _after(x: Any, dim: int) -> Any:
    """x moved back by one along a dimension, with 0 at the end."""
    return _moved(x, dim, 0, -1)


def _moved(x: Any, dim: int, number: float, by: int) -> Any:
    shape = tuple(x.shape)
    if not shape[dim]:
        return x
    edge = np.full((*shape[:dim], 1, *shape[dim + 1:]), number, np.dtype(x.dtype))
    rest = narrow(x, dim, 0 if by > 0 else 1, shape[dim] - 1)
    return cat(edge, rest, dim=dim) if by > 0 else cat(rest, edge, dim=dim)


# --- sums -------------------------------------------------------------------------------------


def _native(name: str, dim: int, *arrays: np.ndarray, **params: Any) -> np.ndarray | None:
    """A scan of large arrays by its kernel; None if there is none."""
    x = arrays[0]
    if x.size < LARGE:
        return None
    kind = np.int64 if name.endswith("places") else x.dtype
    return by_arrays(TABLE[name], arrays, aval(x.shape, dtypes.of(kind)),
                     {"dim": dim, **params})


def _cumsum(x: np.ndarray, dim: int) -> np.ndarray:
    """Added up one by one, and so in a wider type."""
    if not x.ndim:
        return np.array(x)
    if (found := _native("cumsum", dim, x)) is not None:
        return found
    kind = WIDER.get(x.dtype.char, x.dtype)
    return np.add.accumulate(x, axis=dim, dtype=kind).astype(x.dtype, copy=False)


def _turned(x: np.ndarray, dim: int) -> np.ndarray:
    return x[(slice(None),) * dim + (slice(None, None, -1),)] if x.ndim else x


def _cumsum_back(x: np.ndarray, dim: int) -> np.ndarray:
    if (found := _native("cumsum_back", dim, x)) is not None:
        return found
    return _turned(_cumsum(_turned(x, dim), dim), dim)


def _lower_cumsum_back(x: Any, dim: int) -> Any:
    return flip(cumsum(flip(x, dims=(dim,)), dim=dim), dims=(dim,)) if x.shape else x


cumsum = linear("cumsum", _cumsum, lambda g, dim: cumsum_back(g, dim=dim),
                abstract=lambda x, dim: x,
                lower=lambda x, dim: cumsum(x, dim=dim) if x.shape else x)
cumsum_back = linear("cumsum_back", _cumsum_back,
                     lambda g, dim: cumsum(g, dim=dim), abstract=lambda x, dim: x,
                     lower=_lower_cumsum_back)
"""The sums from each element to the last."""

# --- linear recurrences -----------------------------------------------------------------------


def _recurrence(x: np.ndarray, y: np.ndarray, dim: int, backward: bool) -> np.ndarray:
    found = _native("recurrence", dim, x, y, backward=backward)
    if found is not None:
        return found
    a, b = x.swapaxes(dim, 0), y.swapaxes(dim, 0)
    out = np.empty_like(b)
    if backward:  # the same from the other end, where each term's factor is the one before it
        _run(np.concatenate([a[:1], a[:0:-1]]), b[::-1], out[::-1])
    else:
        _run(a, b, out)
    return out.swapaxes(0, dim)


def _run(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out[i] = b[i] + a[i] * out[i - 1], along the first axis."""
    if len(b) > _FEW and 0 < b[0].size < _MANY:
        _run_pieces(a, b, out)
    elif b.size:
        out[0] = b[0]
        for i in range(1, len(b)):
            out[i] = a[i] * out[i - 1] + b[i]


def _run_pieces(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Cuts a long run into about as many pieces as each has steps, and takes the steps of all
    pieces at once as if each began with 0; then adds what each inherits from those before."""
    count = math.isqrt(len(b))
    end = len(b) // count * count
    factors, terms, pieces = (
        np.swapaxes(v[:end].reshape(count, -1, *v.shape[1:]), 0, 1) for v in (a, b, out[:end]))
    own = np.empty_like(terms)
    _run(factors, terms, own)
    factors = np.multiply.accumulate(factors, 0)
    last = np.empty_like(own[-1])
    _run(factors[-1], own[-1], last)
    own[:, 1:] += np.where(last[:-1] == 0, 0, factors[:, 1:] * last[:-1])  # 0 even of infinity
    pieces[...] = own
    if end < len(b):
        rest = np.array(b[end:])
        rest[0] += a[end] * out[end - 1]
        _run(a[end:], rest, out[end:])


def _recurrence_factors(g: Any, x: Any, out: Any, dim: int, backward: bool) -> Any:
    g = recurrence(x, g, dim=dim, backward=not backward)
    return before(g, dim, 0) * out if backward else g * before(out, dim, 0)


def _recurrence_tangent(t: Any, x: Any, out: Any, dim: int, backward: bool) -> Any:
    terms = _after(t * out, dim) if backward else t * before(out, dim, 0)
    return recurrence(x, terms, dim=dim, backward=backward)


recurrence = primitive(
    "recurrence", _recurrence, abstract=lambda x, y, dim, backward: y,
    vjp=(_recurrence_factors,
         lambda g, x, dim, backward: recurrence(x, g, dim=dim, backward=not backward)),
    jvp=(_recurrence_tangent,
         lambda t, x, dim, backward: recurrence(x, t, dim=dim, backward=backward)))
"""out[i] = y[i] + x[i] out[i-1] along a dimension; `backward` is its transpose in y,
out[i] = y[i] + x[i+1] out[i+1]. x[0] is not read."""

# --- products ---------------------------------------------------------------------------------


def _cumprod(x: np.ndarray, dim: int) -> np.ndarray:
    if not x.ndim:
        return np.array(x)
    if (found := _native("cumprod", dim, x)) is not None:
        return found
    kind = WIDER.get(x.dtype.char, x.dtype)
    return np.multiply.accumulate(x, axis=dim, dtype=kind).astype(x.dtype, copy=False)


def _cumprod_pullback(g: Any, x: Any, out: Any, dim: int) -> Any:
    """What is before an element times what of the cotangent comes back to it: no division, and so
    right where elements are zero."""
    return before(out, dim, 1) * recurrence(x, g, dim=dim, backward=True) if g.shape else g


def _cumprod_tangent(t: Any, x: Any, out: Any, dim: int) -> Any:
    return recurrence(x, t * before(out, dim, 1), dim=dim, backward=False) if t.shape else t


cumprod = primitive("cumprod", _cumprod, abstract=lambda x, dim: x, vjp=(_cumprod_pullback,),
                    jvp=(_cumprod_tangent,))

# --- logarithms of sums -----------------------------------------------------------------------


def _logcumsumexp(x: np.ndarray, dim: int) -> np.ndarray:
    """The sums' terms are scaled by the largest so far, and the sums with each new one."""
    if not x.ndim:
        return np.array(x)
    x = x.swapaxes(dim, 0)
    top = np.maximum.accumulate(x.real, axis=0)
    top[~np.isfinite(top)] = 0
    scale, sums = np.ones_like(x), np.empty_like(x)
    scale[1:] = np.exp(np.minimum(top[:-1] - top[1:], 0))
    _run(scale, np.exp(x - top), sums)
    return (np.log(sums) + top).swapaxes(0, dim)


def _shares(x: Any, out: Any, dim: int) -> tuple[Any, Any]:
    """Each term's share of the sum at its place, and what is left of a share with the next."""
    last = where(out == -math.inf, 0, out)  # there all shares are 0, whatever is subtracted
    return exp(x - last), exp(before(out, dim, -math.inf) - last)


def _logcumsumexp_pullback(g: Any, x: Any, out: Any, dim: int) -> Any:
    if not g.shape:
        return g
    share, left = _shares(x, out, dim)
    return share * recurrence(left, g, dim=dim, backward=True)


def _logcumsumexp_tangent(t: Any, x: Any, out: Any, dim: int) -> Any:
    if not t.shape:
        return t
    share, left = _shares(x, out, dim)
    return recurrence(left, t * share, dim=dim, backward=False)


logcumsumexp = primitive(
    "logcumsumexp", _logcumsumexp, abstract=lambda x, dim: x, vjp=(_logcumsumexp_pullback,),
    jvp=(_logcumsumexp_tangent,), refuses={"bi": "logcumsumexp_out_cpu"})

# --- extremes ---------------------------------------------------------------------------------


def _running(word: str, extreme: np.ufunc) -> tuple[Primitive, Primitive]:
    """Two primitives: where the extreme of all elements so far is (the last of those that tie, or
    are NaN); and the extremes, from the elements and these places, where their gradient goes."""

    def find(x: np.ndarray, dim: int) -> np.ndarray:
        if not x.ndim:
            return np.zeros((), np.int64)
        if (found := _native(f"{word}_places", dim, x)) is not None:
            return found
        best = extreme.accumulate(x, axis=dim)
        own = (x == best) | (x != x)
        steps = np.arange(x.shape[dim]).reshape((-1,) + (1,) * (x.ndim - 1 - dim))
        return np.maximum.accumulate(own * steps, axis=dim)

    def values(x: np.ndarray, y: np.ndarray, dim: int) -> np.ndarray:
        found = _native(f"{word}_values", dim, x)
        return extreme.accumulate(x, axis=dim) if found is None else found

    places = primitive(f"{word}_places", find, refuses={"c": f"{word}_cpu"},
                       abstract=lambda x, dim: x.with_dtype(dtypes.int64))
    return places, primitive(
        f"{word}_values", values, abstract=lambda x, y, dim: x, node=f"{word.title()}Backward0",
        vjp=(lambda g, y, x_aval, dim: ungather(
            g, y, shape=x_aval.shape, dim=dim, apart=False), None),
        jvp=(lambda t, y, dim: gather(t, y, dim=dim), None),
        lower=lambda x, y, dim: gather(x, y, dim=dim))


cummax_places, cummax_values = _running("cummax", np.maximum)
cummin_places, cummin_values = _running("cummin", np.minimum)
