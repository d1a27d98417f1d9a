"""Sample applications of reductions, scans and sorting, with what NumPy or SciPy says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.special

from samples import Array, S, Sample, c, ints, r

ZEROS = np.array([[0.5, 0.0, -1.5], [0.0, 0.0, 2.0], [1.5, 0.3, 0.7]])
LOST = np.array([[0.5, np.nan, -1.5], [np.nan, np.nan, 2.0], [1.5, 0.3, 0.7]])
TIES = np.array([[2.0, 1.0, 2.0, 1.0, 1.0], [0.0, 3.0, 3.0, -1.0, 0.0]])


def _rows(f: Callable[..., Any], dim: int) -> Callable[..., Array]:
    """A function of 1-d arrays, applied along a dimension."""
    return lambda x: np.apply_along_axis(f, dim, x)


def _only(find: Any) -> Any:
    """The one element of what is found."""
    return lambda x: find(x)[0]


def _recurred(a: Array, b: Array, dim: int, backward: bool) -> Array:
    """The definition, one step after the other."""
    a, b = np.moveaxis(a, dim, 0), np.moveaxis(b, dim, 0)
    out, n = b.copy(), len(b)
    for i in range(n - 2, -1, -1) if backward else range(1, n):
        out[i] += a[i + 1] * out[i + 1] if backward else a[i] * out[i - 1]
    return np.moveaxis(out, 0, dim)


def _logcumsumexp(x: Array) -> Array:
    return np.array([scipy.special.logsumexp(x[:i + 1]) for i in range(len(x))])


def _scans() -> Iterator[Sample]:
    for k in (r, c):
        for dim, shape in ((0, (4, 2)), (1, (2, 3)), (0, (4,))):
            yield S("cumsum_back", k(*shape), dim=dim,
                    ref=lambda x, d=dim: np.flip(np.cumsum(np.flip(x, d), d), d))
            yield S("cumprod", k(*shape), dim=dim, ref=lambda x, d=dim: np.cumprod(x, d))
            for backward in (False, True):
                yield S("recurrence", k(*shape), k(*shape), dim=dim, backward=backward,
                        ref=lambda a, b, d=dim, back=backward: _recurred(a, b, d, back))
    for x in (ZEROS, ZEROS.T.copy()):
        yield S("cumprod", x, dim=1, ref=lambda x: np.cumprod(x, 1))
    yield S("recurrence", r(130), r(130), dim=0, backward=False,  # goes by pieces
            ref=lambda a, b: _recurred(a, b, 0, False))
    for dim, shape in ((0, (4, 2)), (1, (2, 3)), (0, (4,))):
        yield S("logcumsumexp", r(*shape), dim=dim, ref=_rows(_logcumsumexp, dim))
    yield S("logcumsumexp", np.array([-1e3, 2e3, 1.0, 2e3]), dim=0, ref=_logcumsumexp)
    yield S("cumprod", r(), dim=0, ref=np.copy)
    yield S("logcumsumexp", r(), dim=0, ref=np.copy)
    for x in (TIES, r(2, 4)):
        yield S("cummax_places", x, dim=1, ref=_rows(_last_best(np.greater_equal), 1))
        yield S("cummin_places", x, dim=0, ref=_rows(_last_best(np.less_equal), 0))
    for name, ufunc, better in (("cummax_values", np.maximum, np.greater_equal),
                                ("cummin_values", np.minimum, np.less_equal)):
        x = r(3, 4)
        yield S(name, x, _rows(_last_best(better), 1)(x), dim=1,
                ref=lambda x, y, f=ufunc: f.accumulate(x, 1))


def _last_best(better: Any) -> Callable[[Array], Array]:
    def places(x: Array) -> Array:
        found = [0]
        for i in range(1, len(x)):
            found.append(i if better(x[i], x[found[-1]]) else found[-1])
        return np.array(found)
    return places


def _top(k: int, largest: bool) -> Callable[[Array], Array]:
    return lambda x: np.argsort(-x if largest else x, kind="stable")[:k]


def _first_at(rank: int) -> Callable[[Array], Array]:
    return lambda x: np.flatnonzero(x == np.sort(x)[rank])[:1]


def _commonest(x: Array) -> Array:
    counts = {v: int((x == v).sum()) for v in sorted(x)}
    best = max(counts, key=lambda v: counts[v])
    return np.flatnonzero(x == best)[-1:]


def _orders() -> Iterator[Sample]:
    for x in (r(3, 40), r(3, 5)):
        for k in (0, 2, 3):
            for largest in (False, True):
                yield S("top_places", x, dim=1, k=k, largest=largest,
                        ref=_rows(_top(k, largest), 1))
    for x in (TIES, r(3, 5)):
        for keep in (True, False):
            for name, params, find in (("kth_place", {"k": 4}, _first_at(3)),
                                       ("median_place", {"ignore_nan": False}, _first_at(2)),
                                       ("mode_place", {}, _commonest)):
                yield S(name, x, dim=1, keepdim=keep, **params,
                        ref=_rows(find if keep else _only(find), 1))
    yield S("median_place", LOST, dim=1, keepdim=True, ignore_nan=False,
            ref=lambda x: ints([1], [0], [2]))
    yield S("median_place", LOST, dim=1, keepdim=False, ignore_nan=True,
            ref=lambda x: ints(2, 2, 2))
    yield S("rank_places", LOST, dim=1, ranks=(0, 1), ref=lambda x: [ints(1, 1, 1), ints(1, 1, 2)])
    for x, dims in ((r(3, 5), (0, 1)), (r(3, 5), (1,)), (r(3, 2, 5), (0, 2)), (r(), ())):
        yield S("median", x, dims=dims, ignore_nan=False,
                ref=lambda x, d=dims: np.median(x, d) if x.ndim else x)
    long = np.concatenate([np.tile(TIES[0], 300), [np.nan, -0.0, 0.0, -np.inf]])
    yield S("argsort", long, dim=0, descending=False, stable=True,
            ref=lambda x: np.argsort(x, kind="stable"))
    yield S("argsort", long.astype(np.float32), dim=0, descending=False, stable=True,
            ref=lambda x: np.argsort(x, kind="stable"))
    yield S("argsort", long.astype(np.float32), dim=0, descending=True, stable=True,
            ref=lambda x: np.argsort(np.where(np.isnan(x), -np.inf, -x), kind="stable"))
    yield S("argsort", np.tile(np.arange(-7, 8, dtype=np.int8), 90), dim=0, descending=True,
            stable=True, ref=lambda x: np.argsort(-x, kind="stable"))
    for right in (False, True):
        side = "right" if right else "left"
        yield S("searchsorted", TIES[0].cumsum(), np.array([[2.0, 2.5], [9.0, 3.0]]), right=right,
                ref=lambda x, y, s=side: np.searchsorted(x, y, s))
        yield S("searchsorted", TIES.cumsum(1), np.array([[2.0, 2.5], [9.0, 3.0]]), right=right,
                ref=lambda x, y, s=side: np.stack([np.searchsorted(*row, s) for row in
                                                   zip(x, y, strict=True)]))


def _sums() -> Iterator[Sample]:
    for dims, keepdim in (((0, 1), False), ((1,), True)):
        how: dict[str, Any] = {"dims": dims, "keepdim": keepdim}
        yield S("nansum", r(2, 3), **how,
                ref=lambda x, d=dims, k=keepdim: np.nansum(x, d, keepdims=k))
        yield S("count_nonzero", ZEROS, **how,
                ref=lambda x, d=dims, k=keepdim: np.sum(x != 0, d, keepdims=k))
    for low, high in ((0, 0), (-1, 1)):
        yield S("histc", r(40), bins=7, low=low, high=high,
                ref=lambda x, span=(low, high): np.histogram(
                    x, 7, span if span[1] else None)[0])
    for name, ref in (("argmax", np.argmax), ("argmin", np.argmin)):
        yield S(name, r(3, 4), dims=(0, 1), keepdim=False, ref=ref)
        yield S(name, r(2, 3, 4), dims=(0, 2), keepdim=True,
                ref=lambda x, f=ref: f(np.swapaxes(x, 0, 1).reshape(3, 8), 1).reshape(1, 3, 1))


SAMPLES = [*_scans(), *_orders(), *_sums()]
