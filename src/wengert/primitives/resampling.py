"""Sums of a few elements along a dimension: resampling, and padding by what is there.

A `Table` says which elements of the operand make up each element of the result, and with what
weights. The transpose of a table is one as well, so that gradients are gathered, too, and never
scattered; and elements that take no part in a sum have no effect on it, even if they are infinite.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from ..core.formats import spatial
from ..core.primitive import linear
from .elementwise import where
from .indexing import index, whole_but


class Table(NamedTuple):
    """Which elements along a dimension are combined to which.

    Attributes:
        kind: "nearest", "nearest-exact", "linear", "cubic": interpolation; "area": means of parts;
            "linear-antialias", "cubic-antialias", "lanczos-antialias": interpolation by kernels
            that are as wide as the steps between elements of the result; "reflect", "replicate",
            "circular": what padding by the operand's elements takes.
        n: the number of elements.
        m: the number of elements of the result.
        scale: the step between elements of the result; None for n / m.
        corners: whether the first and last elements lie at the same places, rather than the ends.
        single: whether places are worked out in float32, as PyTorch does for all but float64.
        before: of padding: the number of elements before the first.
        whole: whether weights are whole multiples of a power of 2, as PyTorch has them for bytes.
        transposed: whether it is the table's transpose.
    """

    kind: str
    n: int
    m: int
    scale: float | None = None
    corners: bool = False
    single: bool = False
    before: int = 0
    whole: bool = False
    transposed: bool = False

    @property
    def size(self) -> int:
        """The number of elements of the result."""
        return self.n if self.transposed else self.m

    @property
    def T(self) -> Table:  # noqa: N802 - the mathematicians' name
        return self._replace(transposed=not self.transposed)


class Tap(NamedTuple):
    """One term of each sum.

    Attributes:
        rows: the elements of the result that have it; None for all.
        places: for each of these, an element of the operand.
        weights: what it counts; None for 1.
    """

    rows: np.ndarray | None
    places: np.ndarray
    weights: np.ndarray | None


@functools.lru_cache(maxsize=512)
def terms(table: Table) -> tuple[Tap, ...]:
    """The terms of a table's sums."""
    places, weights = _KINDS[table.kind](table)
    rows = np.broadcast_to(np.arange(table.m)[:, None], places.shape)
    rows, places, weights = (each[weights != 0] for each in (rows, places, weights))
    if table.whole:
        weights = _in_fixed_point(weights)
    if table.transposed:
        rows, places = places, rows
    return _taps(rows, places, weights, table.size)


def _in_fixed_point(weights: np.ndarray) -> np.ndarray:
    """The weights with as many bits as 15 can hold of the largest."""
    one = 1
    while one < 1 << 22 and int(0.5 + weights.max() * 2 * one) < 1 << 15:
        one *= 2
    return np.trunc(weights * one + np.copysign(0.5, weights)) / one


def _taps(rows: np.ndarray, places: np.ndarray, weights: np.ndarray, size: int
          ) -> tuple[Tap, ...]:
    """The terms of sums of which the elements are given, in order."""
    order = np.argsort(rows, kind="stable")
    rows, places, weights = rows[order], places[order], weights[order]
    counts = np.bincount(rows, minlength=size)
    turn = np.arange(rows.size) - np.repeat(np.cumsum(counts) - counts, counts)
    found = []
    for i in range(counts.max(initial=0)):
        mine = turn == i
        whole = mine.sum() == size
        found.append(Tap(None if whole else rows[mine], places[mine],
                         None if (weights[mine] == 1).all() else weights[mine]))
    return tuple(found)


# --- the kinds --------------------------------------------------------------------------------
# Each gives, for each element of the result, a row of places and one of weights.

Rows = tuple[np.ndarray, np.ndarray]


def _step(table: Table) -> Any:
    """The step between elements of the result, as PyTorch computes it."""
    real = np.float32 if table.single else np.float64
    if table.corners:
        return real(table.n - 1) / real(table.m - 1) if table.m > 1 else real(0)
    return real(table.n) / real(table.m) if table.scale is None else real(table.scale)


def _centres(table: Table) -> np.ndarray:
    """Where elements of the result lie among the operand's."""
    step = _step(table)
    index = np.arange(table.m).astype(step.dtype)
    half = step.dtype.type(0.5)
    return index * step if table.corners else step * (index + half) - half


def _nearest(table: Table) -> Rows:
    step = _step(table)
    index = np.arange(table.m).astype(step.dtype)
    if table.kind == "nearest-exact":
        index = index + step.dtype.type(0.5)
    places = np.floor((index * step).astype(np.float32)).astype(int)
    return np.minimum(places, table.n - 1)[:, None], np.ones((table.m, 1))


def _linear(table: Table) -> Rows:
    at = np.maximum(_centres(table), 0)
    low = np.minimum(at.astype(int), table.n - 1)
    high = np.minimum(low + 1, table.n - 1)
    share = np.clip(at - low, 0, 1)
    return np.stack([low, high], 1), np.stack([1 - share, share], 1)


CUBIC = -0.75
"""The slope of the cubic kernel at distance 1, but where it is an antialiasing one."""


def cubic_near(t: Any, a: float) -> Any:
    """Keys' kernel (Cubic convolution interpolation for digital image processing, 1981) at
    distances t up to 1; a is its slope there."""
    return ((a + 2) * t - (a + 3)) * t * t + 1


def cubic_far(t: Any, a: float) -> Any:
    """The same at distances from 1 to 2, beyond which it is 0."""
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a


def _cubic_weights(t: np.ndarray, a: float) -> np.ndarray:
    t = abs(t)
    return np.where(t <= 1, cubic_near(t, a), np.where(t < 2, cubic_far(t, a), 0))


def _cubic(table: Table) -> Rows:
    at = _centres(table)
    low = np.floor(at)
    reach = np.arange(-1, 3)
    places = np.clip(low.astype(int)[:, None] + reach, 0, table.n - 1)
    return places, _cubic_weights((at - low)[:, None] - reach, CUBIC)


def _area(table: Table) -> Rows:
    index = np.arange(table.m)
    start, end = index * table.n // table.m, -(-(index + 1) * table.n // table.m)
    reach = np.arange((end - start).max(initial=1))
    places = start[:, None] + reach
    inside = places < end[:, None]
    return np.minimum(places, table.n - 1), inside / (end - start)[:, None]


def _hat(t: np.ndarray) -> np.ndarray:
    return np.maximum(1 - abs(t), 0)


def _lanczos(t: np.ndarray) -> np.ndarray:
    return np.where(abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0)


_KERNELS: dict[str, tuple[Any, int]] = {
    "linear-antialias": (_hat, 1), "lanczos-antialias": (_lanczos, 3),
    "cubic-antialias": (lambda t: _cubic_weights(t, -0.5), 2)}
"""Kernels, and how far they reach."""


def _antialias(table: Table) -> Rows:
    """Kernels stretched by the step, where that is more than 1; weights add up to 1."""
    kernel, reach = _KERNELS[table.kind]
    step = _step(table)
    centre = step * (np.arange(table.m) + 0.5)
    stretch = max(float(step), 1.0)
    low = np.maximum((centre - reach * stretch + 0.5).astype(int), 0)
    high = np.minimum((centre + reach * stretch + 0.5).astype(int), table.n)
    places = low[:, None] + np.arange((high - low).max(initial=1))
    weights = np.where(places < high[:, None],
                       kernel((places - centre[:, None] + 0.5) / stretch), 0)
    return np.minimum(places, table.n - 1), weights / weights.sum(1, keepdims=True)


def _outside(table: Table) -> Rows:
    places = np.arange(table.m) - table.before
    if table.kind == "circular":
        places = places % max(table.n, 1)
    elif table.kind == "replicate":
        places = np.clip(places, 0, table.n - 1)
    else:
        places = table.n - 1 - abs(table.n - 1 - abs(places))
    return places[:, None], np.ones((table.m, 1))


_KINDS: dict[str, Any] = {
    "nearest": _nearest, "nearest-exact": _nearest, "linear": _linear, "cubic": _cubic,
    "area": _area, **dict.fromkeys(_KERNELS, _antialias),
    **dict.fromkeys(("reflect", "replicate", "circular"), _outside)}

# --- the primitive ----------------------------------------------------------------------------


def _combine(x: np.ndarray, dim: int, table: Table) -> np.ndarray:
    if 0 < x.size < _SMALL and (whole := _at_once(table, x.dtype, dim, x.ndim)) is not None:
        places, weights, begins = whole
        part = x.take(places, dim)
        if weights is not None:
            part *= weights
        return np.add.reduceat(part, begins, dim, x.dtype)
    out = None
    for rows, indices, weights in _ready(table, x.dtype, dim, x.ndim):
        part = x.take(indices, dim)
        if weights is not None:
            part *= weights
        if rows is not None:
            out = _zeros(x, dim, table) if out is None else out
            out[rows] += part
        elif out is None:
            out = part
        else:
            out += part
    return _zeros(x, dim, table) if out is None else out


_SMALL = 1 << 9
"""Elements up to which all terms of all sums are laid out at once; and such terms."""


@functools.lru_cache(maxsize=512)
def _at_once(table: Table, kind: np.dtype[Any], dim: int, ndim: int
             ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray] | None:
    """The terms sum by sum: places, weights, and where each sum begins; None if there are many, if
    a sum has none, or if each has just one."""
    taps = terms(table)
    if len(taps) < 2 or taps[0].rows is not None:
        return None
    rows, places, weights = map(np.concatenate, zip(*[
        (np.arange(table.size) if tap.rows is None else tap.rows, tap.places,
         np.ones(tap.places.size) if tap.weights is None else tap.weights)
        for tap in taps], strict=True))
    if rows.size >= _SMALL:
        return None
    order = np.argsort(rows, kind="stable")
    each = weights[order].astype(kind).reshape(-1, *(1,) * (ndim - dim - 1))
    return (places[order], None if (weights == 1).all() else each,
            np.searchsorted(rows[order], np.arange(table.size)))


@functools.lru_cache(maxsize=512)
def _ready(table: Table, kind: np.dtype[Any], dim: int, ndim: int) -> list[tuple[Any, ...]]:
    """The terms for operands of a kind: an index of the result, places, and weights."""
    lead, behind = (slice(None),) * dim, (1,) * (ndim - dim - 1)
    return [(None if tap.rows is None else (*lead, tap.rows), tap.places,
             None if tap.weights is None else tap.weights.astype(kind).reshape(-1, *behind))
            for tap in terms(table)]


def _zeros(x: np.ndarray, dim: int, table: Table) -> np.ndarray:
    return np.zeros((*x.shape[:dim], table.size, *x.shape[dim + 1:]), x.dtype)


def _by_index(x: Any, dim: int, table: Table) -> Any:
    """Each term of the sums read by index."""
    pattern = whole_but(dim)
    behind = (1,) * (len(x.shape) - dim - 1)
    out = 0
    for tap in terms(table):
        places, present = np.zeros(table.size, int), np.zeros(table.size, bool)
        weights = np.ones(table.size)
        rows = slice(None) if tap.rows is None else tap.rows
        places[rows], present[rows] = tap.places, True
        weights[rows] = 1 if tap.weights is None else tap.weights
        part = index(x, places, pattern=pattern)
        if tap.weights is not None:
            part = part * weights.astype(x.aval.dtype.to_real().numpy).reshape(-1, *behind)
        if tap.rows is not None:
            part = where(present.reshape(-1, *behind), part, 0)
        out = part + out
    return out


combine = linear(
    "combine", _combine, lambda g, dim, table: combine(g, dim=dim, table=table.T), order=spatial,
    abstract=lambda x, dim, table: x.with_shape(
        (*x.shape[:dim], table.size, *x.shape[dim + 1:])),
    decompose=_by_index,
    batch=lambda size, batched, x, dim, table: combine(x, dim=dim + 1, table=table))
"""Sums of elements along a dimension, times weights, as a table has them."""
