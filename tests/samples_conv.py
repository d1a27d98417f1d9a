"""Sample applications of convolutions, pools and resampling, with what their definitions say."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from samples import S, Sample, c, ints, r
from wengert.primitives.convolution import Geometry
from wengert.primitives.pooling import Mean, Sliding, Spans
from wengert.primitives.resampling import Table
from wengert.primitives.sampling import Sampling

Array = np.ndarray
Ints = tuple[int, ...]


# --- windows ----------------------------------------------------------------------------------


def seen(q: Ints, k: Ints, stride: Ints, dilation: Ints, before: Ints) -> Ints:
    """Where element k of window q lies."""
    return tuple(a * s + b * d - p for a, b, s, d, p in zip(
        q, k, stride, dilation, before, strict=True))


def counts(sizes: Ints, how: Any, size: Ints) -> Ints:
    """How many windows there are: one after the other, until one sticks out."""
    found = []
    for n, k, s, d, (before, after) in zip(sizes, size, how.stride, how.dilation, how.padding,
                                           strict=True):
        found.append(len([at for at in range(0, n + before + after, s)
                          if at + (k - 1) * d < n + before + after]))
    return tuple(found)


def visits(sizes: Ints, how: Any, size: Ints) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Windows, elements of them, and where these lie, those of padding aside."""
    before = tuple(a for a, _ in how.padding)
    for q in np.ndindex(counts(sizes, how, size)):
        for k in np.ndindex(size):
            p = seen(q, k, how.stride, how.dilation, before)
            if all(0 <= a < n for a, n in zip(p, sizes, strict=True)):
                yield q, k, p


def _slid(size: Ints, stride: Ints, dilation: Ints) -> Sliding:
    return Sliding(size, stride, ((0, 0),) * len(size), dilation)


def _windows(x: Array, **how: Ints) -> Array:
    slides = _slid(**how)
    n = len(slides.size)
    lead, sizes = x.shape[:-n], x.shape[-n:]
    out = np.zeros((*lead, *slides.size, *counts(sizes, slides, slides.size)), x.dtype)
    for q, k, p in visits(sizes, slides, slides.size):
        out[(..., *k, *q)] = x[(..., *p)]
    return out


def _unwindow(x: Array, sizes: Ints, **how: Ints) -> Array:
    slides = _slid(**how)
    out = np.zeros((*x.shape[:x.ndim - 2 * len(sizes)], *sizes), x.dtype)
    for q, k, p in visits(sizes, slides, slides.size):
        out[(..., *p)] += x[(..., *k, *q)]
    return out


WINDOWS = [
    sample for x, how in (
        (r(2, 7), {"size": (3,), "stride": (2,), "dilation": (1,)}),
        (c(5, 6), {"size": (2, 2), "stride": (1, 2), "dilation": (2, 1)}))
    for sample in (
        S("windows", x, ref=lambda x, how=how: _windows(x, **how), **how),
        S("unwindow", _windows(x, **how), sizes=x.shape[-len(how["size"]):],
          ref=lambda g, how=how, x=x: _unwindow(g, x.shape[-len(how["size"]):], **how), **how))]

# --- convolutions -----------------------------------------------------------------------------


def _triples(x: Ints, w: Ints, how: Geometry) -> Iterator[tuple[Any, Any, Any]]:
    """What is multiplied: places in x, in w and in the result."""
    group, kernels = x[1] // how.groups, w[0] // how.groups
    for q, k, p in visits(x[2:], how, w[2:]):
        for n, o, ch in np.ndindex(x[0], w[0], group):
            yield (n, o // kernels * group + ch, *p), (o, ch, *k), (n, o, *q)


def _conv(x: Array, w: Array, how: Geometry) -> Array:
    out = np.zeros((x.shape[0], w.shape[0], *counts(x.shape[2:], how, w.shape[2:])), x.dtype)
    for at, by, to in _triples(x.shape, w.shape, how):
        out[to] += x[at] * w[by]
    return out


def _conv_input(g: Array, w: Array, sizes: Ints, how: Geometry) -> Array:
    out = np.zeros((g.shape[0], w.shape[1] * how.groups, *sizes), g.dtype)
    for to, by, at in _triples(out.shape, w.shape, how):
        out[to] += g[at] * w[by]
    return out


def _conv_weight(x: Array, g: Array, size: Ints, how: Geometry) -> Array:
    out = np.zeros((g.shape[1], x.shape[1] // how.groups, *size), g.dtype)
    for at, to, by in _triples(x.shape, out.shape, how):
        out[to] += x[at] * g[by]
    return out


def _geometry(dims: int, stride: int = 1, padding: tuple[int, int] = (0, 0), dilation: int = 1,
              groups: int = 1) -> Geometry:
    return Geometry((stride,) * dims, (padding,) * dims, (dilation,) * dims, groups)


def _convolutions() -> Iterator[Sample]:
    for k, x, w, how in (
            (r, (2, 2, 4), (3, 2, 2), _geometry(1)),
            (c, (1, 2, 5), (2, 1, 2), _geometry(1, 2, (1, 1), groups=2)),
            (r, (2, 1, 3, 4), (2, 1, 2, 2), _geometry(2, padding=(0, 1))),
            (r, (1, 2, 5, 5), (2, 2, 2, 2), _geometry(2, 2, (1, 1), 2)),
            (r, (1, 1, 2, 3, 3), (2, 1, 2, 2, 2), _geometry(3)),
            (r, (0, 2, 4), (1, 2, 2), _geometry(1))):
        shape = (x[0], w[0], *counts(x[2:], how, w[2:]))
        sizes, size = x[2:], w[2:]
        yield S("conv", k(*x), k(*w), how=how, ref=lambda x, w, how=how: _conv(x, w, how))
        yield S("conv_input", k(*shape), k(*w), sizes=sizes, how=how,
                ref=lambda g, w, how=how, s=sizes: _conv_input(g, w, s, how))
        yield S("conv_weight", k(*x), k(*shape), size=size, how=how,
                ref=lambda x, g, how=how, s=size: _conv_weight(x, g, s, how))
        yield S("biased_conv", k(*x), k(*w), k(w[0]), how=how,
                ref=lambda x, w, b, how=how: _conv(x, w, how) + b.reshape(
                    -1, *(1,) * len(how.stride)))


# --- pools ------------------------------------------------------------------------------------


def _elements(x: Array, how: Any) -> dict[tuple[Ints, Ints], list[tuple[float, int]]]:
    """By row and window: its elements, and their places."""
    n = len(how[0])
    lead, sizes = x.shape[:-n], x.shape[-n:]
    if isinstance(how, Sliding):
        pairs = [(q, p) for q, _, p in visits(sizes, how, how.size)]
    else:
        spans = [list(zip(*side, strict=True)) for side in zip(*how, strict=True)]
        pairs = [(q, p) for q in np.ndindex(*map(len, spans)) for p in np.ndindex(sizes)
                 if all(s[i][0] <= a < s[i][1] for s, i, a in zip(spans, q, p, strict=True))]
    found: dict[tuple[Ints, Ints], list[tuple[float, int]]] = {}
    for row in np.ndindex(lead):
        for q, p in pairs:
            place = int(np.ravel_multi_index(p, sizes))
            found.setdefault((row, q), []).append((x[(*row, *p)], place))
    return found


def _pooled(x: Array, how: Any, which: int) -> Array:
    found = {key: max(each, key=lambda e: e[0])[which] for key, each in _elements(x, how).items()}
    last = max(found)
    out = np.empty([n + 1 for part in last for n in part], int if which else x.dtype)
    for (row, q), value in found.items():
        out[(*row, *q)] = value
    return out


SLIDES = (
    Sliding((2,), (1,), ((0, 0),), (1,)), Sliding((2, 3), (2, 2), ((1, 0), (1, 2)), (1, 1)),
    Sliding((2, 2), (1, 2), ((1, 1), (0, 0)), (2, 1)))
UNEVEN = Spans(((0, 1), (0, 2, 3)), ((2, 3), (3, 3, 5)))


def _pools() -> Iterator[Sample]:
    for how in (*SLIDES, UNEVEN):
        x = r(2, 6) if len(how[0]) == 1 else r(2, 3, 5) if how is UNEVEN else r(2, 5, 5)
        yield S("max_pool", x, how=how, ref=lambda x, how=how: _pooled(x, how, 0))
        yield S("max_places", x, how=how, ref=lambda x, how=how: _pooled(x, how, 1))


def _divisor(how: Mean, sizes: Ints, q: Ints, inside: int) -> int:
    if isinstance(how.divisor, int):
        return how.divisor
    if how.divisor == "inside":
        return inside
    count = 1
    for at, k, s, (a, _), n in zip(q, how.windows.size, how.windows.stride, how.windows.padding,
                                   sizes, strict=True):
        count *= len([p for p in range(at * s - a, at * s - a + k) if p < n + a])
    return count


def _means(x: Array, how: Mean) -> Array:
    n = len(how.windows.size)
    sizes = x.shape[-n:]
    out = np.zeros((*x.shape[:-n], *counts(sizes, how.windows, how.windows.size)))
    for (row, q), each in _elements(x, how.windows).items():
        out[(*row, *q)] = sum(e[0] for e in each) / _divisor(how, sizes, q, len(each))
    return out


def _unmeans(g: Array, sizes: Ints, how: Mean) -> Array:
    """The transpose, from the means of unit vectors."""
    flat = np.zeros((*g.shape[:-len(sizes)], int(np.prod(sizes))))
    for i, unit in enumerate(np.eye(flat.shape[-1])):
        flat[..., i] = (g * _means(unit.reshape(sizes), how)).sum(
            tuple(range(-len(sizes), 0)))
    return flat.reshape(*g.shape[:-len(sizes)], *sizes)


def _mean_pools() -> Iterator[Sample]:
    for slides in SLIDES[:2]:
        for divisor in ("padded", "inside", 3):
            how, x = Mean(slides, divisor), r(2, 6) if len(slides.size) == 1 else r(2, 5, 4)
            sizes = x.shape[-len(slides.size):]
            yield S("mean_pool", x, how=how, ref=lambda x, how=how: _means(x, how))
            yield S("unmean_pool", _means(x, how), sizes=sizes, how=how,
                    ref=lambda g, how=how, s=sizes: _unmeans(g, s, how))


PLACES = ints([[0, 3], [5, 5]], [[1, 2], [4, 0]])
POOLS = [
    *_pools(), *_mean_pools(),
    S("pooled", r(2, 2, 3), PLACES, dims=2,
      ref=lambda x, i: np.stack([a.ravel()[b] for a, b in zip(x, i, strict=True)])),
    S("unpooled", r(2, 2, 2), PLACES, sizes=(2, 3), apart=False,
      ref=lambda g, i: np.stack([np.bincount(b.ravel(), a.ravel(), 6).reshape(2, 3)
                                 for a, b in zip(g, i, strict=True)])),
]

# --- resampling -------------------------------------------------------------------------------
# The rows of these matrices are worked out by hand from the definitions.

MATRICES = {
    Table("nearest", 2, 4): [[1, 0], [1, 0], [0, 1], [0, 1]],
    Table("linear", 2, 4): [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]],
    Table("linear", 3, 5, corners=True): [
        [1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]],
    Table("area", 5, 2): [[1 / 3, 1 / 3, 1 / 3, 0, 0], [0, 0, 1 / 3, 1 / 3, 1 / 3]],
    Table("linear-antialias", 4, 2): [[3 / 7, 3 / 7, 1 / 7, 0], [0, 1 / 7, 3 / 7, 3 / 7]],
    Table("reflect", 3, 6, before=2): [
        [0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]],
    Table("circular", 3, 5, before=1): [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]],
    Table("replicate", 2, 4, before=1): [[1, 0], [1, 0], [0, 1], [0, 1]],
}


def _resampling() -> Iterator[Sample]:
    for table, rows in MATRICES.items():
        matrix = np.array(rows, float)
        yield S("combine", r(2, table.n, 2), dim=1, table=table,
                ref=lambda x, m=matrix: np.einsum("ij,ajb->aib", m, x))
        yield S("combine", c(2, table.m), dim=1, table=table.T,
                ref=lambda x, m=matrix: x @ m)



# --- images read at points --------------------------------------------------------------------


def _folded(at: float, n: int, how: Sampling) -> float:
    """Where padding has a place among n elements."""
    low, high = (0.0, n - 1.0) if how.aligned else (-0.5, n - 0.5)
    while how.padding == "reflection" and not low <= at <= high:
        at = 2 * low - at if at < low else 2 * high - at
    return at if how.padding == "zeros" else min(max(at, 0.0), n - 1.0)


def _hat(coordinate: float, n: int, how: Sampling) -> Array:
    """What elements weigh along a dimension: 1 less their distance, as far as that goes."""
    place = (coordinate + 1) / 2 * (n - 1) if how.aligned else ((coordinate + 1) * n - 1) / 2
    return np.maximum(1 - abs(_folded(place, n, how) - np.arange(n)), 0)


def _weighing(grid: Array, how: Sampling, along: int | None = None) -> Array:
    """What elements of images weigh for each point, (examples, points, elements); or how that
    changes with one of the points' coordinates."""
    def hat(point: Array, d: int) -> Array:
        at, n, step = point[-1 - d], how.sizes[d], 0.0625
        return _hat(at, n, how) if along != d else (
            _hat(at + step, n, how) - _hat(at - step, n, how)) / (2 * step)

    rows = [functools.reduce(np.multiply.outer, [hat(point, d) for d in range(len(how.sizes))])
            for point in grid.reshape(-1, len(how.sizes))]
    return np.array(rows).reshape(len(grid), -1, math.prod(how.sizes))


def _points(shape: Ints, how: Sampling) -> Array:
    """Points inside and beyond images, none of them next to where the weights have a kink."""
    n = np.array(how.sizes[::-1])
    at = np.arange(math.prod(shape) * len(n)).reshape(*shape, len(n)) * 3 % (n + 4) - 1.7
    return 2 * at / (n - 1) - 1 if how.aligned else (2 * at + 1) / n - 1


def _samplings() -> Iterator[Sample]:
    for sizes, padding, aligned in (((2, 3), "zeros", False), ((3, 2), "border", True),
                                    ((2, 3), "reflection", False), ((2, 2, 3), "zeros", True)):
        how = Sampling(sizes, padding, aligned)
        ahead = (2, *(1,) * (len(sizes) - 2))
        grid, x, g = _points((2, *ahead, 2), how), r(2, 3, *sizes), r(2, 3, *ahead, 2)
        yield S("sample_linear", x, grid, how=how, ref=lambda x, y, how=how: np.einsum(
            "nps,ncs->ncp", _weighing(y, how), x.reshape(2, 3, -1)).reshape(2, 3, *y.shape[1:-1]))
        yield S("sample_linear_pulled", g, grid, how=how, ref=lambda g, y, how=how: np.einsum(
            "nps,ncp->ncs", _weighing(y, how), g.reshape(2, 3, -1)).reshape(2, 3, *how.sizes))
        yield S("sample_linear_slope", g, x, grid, how=how, ref=lambda g, x, y, how=how: np.stack(
            [np.einsum("nps,ncp,ncs->np", _weighing(y, how, d), g.reshape(2, 3, -1),
                       x.reshape(2, 3, -1)) for d in reversed(range(len(how.sizes)))],
            -1).reshape(y.shape))


SAMPLES = [*WINDOWS, *_convolutions(), *POOLS, *_resampling(), *_samplings()]
