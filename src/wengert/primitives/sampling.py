"""Images read at points: between their elements, in two or three dimensions.

Points lie in the last dimension of a grid, the coordinate of the images' last dimension first: -1
is where images begin, and 1 where they end. What a point reads is a sum over the corners of the
cell that it lies in, each times its weights for all directions. On arrays all corners are read at
once; there, what lies beyond an image is a zero that stands behind it.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core import dtypes
from ..core.aval import Aval
from ..core.primitive import primitive
from .elementwise import floor, where
from .layout import cast, expand, index_view, reshape, stack
from .pooling import pooled, unpooled
from .reductions import sum_
from .windows import Ints

Near = Sequence[tuple[Any, Any]]
"""The places next to points along a dimension, each with its weights."""


class Sampling(NamedTuple):
    """How images are read.

    Attributes:
        sizes: theirs, by dimension.
        padding: what lies beyond them: "zeros", "border" for what is next, "reflection".
        aligned: whether 1 is the last element's place, not its end.
    """

    sizes: Ints
    padding: str
    aligned: bool

    def coordinates(self, grid: Any) -> list[Any]:
        """The points' coordinates, by dimension of the images."""
        return [index_view(grid, index=(Ellipsis, d)) for d in reversed(range(len(self.sizes)))]

    def place(self, point: Any, n: int) -> Any:
        """Where a coordinate lies among n elements."""
        return (point + 1) * ((n - 1) / 2) if self.aligned else ((point + 1) * n - 1) / 2

    def inside(self, at: Any, n: int) -> Any:
        """A place that is no further out than what is known, as padding has it."""
        return self._turned(at, n)[0]

    def placed(self, point: Any, n: int) -> tuple[Any, Any]:
        """Where a coordinate lies, as padding has it, and the derivative of that."""
        at, turn = self._turned(self.place(point, n), n)
        return at, turn * ((n - 1) / 2 if self.aligned else n / 2)

    def _turned(self, at: Any, n: int) -> tuple[Any, Any]:
        """A place inside, and the derivative by what it was: 1 or -1, or 0 at a border."""
        if self.padding == "zeros":
            return at, 1.0
        turn: Any = 1.0
        if self.padding == "reflection":
            low, span = (0.0, n - 1.0) if self.aligned else (-0.5, float(n))
            at, turn = _reflected(at, low, span) if span else (at * 0, 0.0)
        turn = where((at > 0) & (at < n - 1), at * 0 + turn, 0)
        at = where(at > 0, at, 0)  # NaN is 0, too
        return where(at < n - 1, at, n - 1), turn

    def read(self, x: Any, places: Sequence[Any]) -> Any:
        """The elements at whole places, 0 beyond."""
        index, known = self._index(x, places)
        return where(known, pooled(x, index, dims=len(self.sizes)), 0)

    def add(self, numbers: Any, places: Sequence[Any]) -> Any:
        """Images of zeros to which numbers are added at whole places, unless they lie beyond."""
        index, known = self._index(numbers, places)
        return unpooled(where(known, numbers, 0), index, sizes=self.sizes, apart=False)

    def _index(self, x: Any, places: Sequence[Any]) -> tuple[Any, Any]:
        """Places in flattened images, for each channel, and whether they are of the images."""
        flat: Any = 0
        known: Any = True
        for place, n in zip(places, self.sizes, strict=True):
            inside = (place >= 0) & (place <= n - 1)
            flat = flat * n + cast(where(inside, place, 0), dtype=dtypes.int64)
            known = inside & known
        shape = (*x.shape[:2], *flat.shape[1:])
        return expand(_per_channel(flat), shape=shape), _per_channel(known)

    def total(self, x: Any, near: Sequence[Near]) -> Any:
        """The sum over neighbours of what is there, times the weights for all directions."""
        out = None
        for places, weights in _corners(near):
            part = self.read(x, places) * _per_channel(_product(weights))
            out = part if out is None else out + part
        return out


def _reflected(at: Any, low: float, span: float) -> tuple[Any, Any]:
    """Mirrored at low and at low + span, as often as it takes; and the derivative of that."""
    before = at < low
    at = where(before, low - at, at - low)
    turns = floor(at / span)
    rest, back = at - turns * span, turns % 2 != 0
    return where(back, span - rest, rest) + low, where(before != back, at * 0 - 1, 1)


def _per_channel(x: Any) -> Any:
    """(examples, ...) as (examples, 1, ...)."""
    return reshape(x, shape=(x.shape[0], 1, *x.shape[1:]))


def _product(weights: Sequence[Any]) -> Any:
    return functools.reduce(operator.mul, weights)


def _corners(near: Sequence[Near]) -> list[tuple[list[Any], list[Any]]]:
    """Of each combination of neighbours, the places and the weights by dimension."""
    return [([place for place, _ in corner], [weight for _, weight in corner])
            for corner in itertools.product(*near)]


# --- in smaller primitives --------------------------------------------------------------------


def _near(grid: Any, how: Sampling) -> tuple[list[Near], list[Any]]:
    """The two places next to points along each dimension, and what their slope is along it."""
    near: list[Near] = []
    slopes = []
    for point, n in zip(how.coordinates(grid), how.sizes, strict=True):
        at, slope = how.placed(point, n)
        low = floor(at)
        near.append(((low, low + 1 - at), (low + 1, at - low)))
        slopes.append(slope)
    return near, slopes


def _linear(x: Any, grid: Any, how: Sampling) -> Any:
    return how.total(x, _near(grid, how)[0])


def _linear_pulled(g: Any, grid: Any, how: Sampling) -> Any:
    return sum(how.add(g * _per_channel(_product(weights)), places)
               for places, weights in _corners(_near(grid, how)[0]))


def _linear_slope(g: Any, x: Any, grid: Any, how: Sampling) -> Any:
    near, slopes = _near(grid, how)
    found: list[Any] = [0] * len(near)
    for (places, weights), signs in zip(_corners(near), _corners([((-1, 0), (1, 0))] * len(near)),
                                        strict=True):
        along = sum_(g * how.read(x, places), dims=(1,), keepdim=False)
        for d, sign in enumerate(signs[0]):
            found[d] = found[d] + along * (sign * _product(weights[:d] + weights[d + 1:]))
    each = [along * slope for along, slope in zip(found, slopes, strict=True)]
    return stack(*reversed(each), dim=len(grid.shape) - 1)


# --- on arrays --------------------------------------------------------------------------------


class _Read:
    """What points read: corners come before examples and points.

    Attributes:
        index: the places of corners in the flattened images, of which each has a zero behind it;
            with dimensions (examples, channels, corners, points).
        weights: by dimension, those of both neighbours.
        slopes: by dimension, those of places.
    """

    def __init__(self, channels: int, grid: np.ndarray, how: Sampling) -> None:
        count, points, size = grid.shape[0], math.prod(grid.shape[1:-1]), math.prod(how.sizes)
        flat, known = np.zeros((1, count, points), np.int64), np.ones((1, count, points), bool)
        self.weights, self.slopes = [], []
        for point, n in zip(how.coordinates(grid), how.sizes, strict=True):
            at, slope = how.placed(point.reshape(count, points), n)
            place, weight = np.empty((2, 2, count, points), grid.dtype)
            np.floor(at, out=place[0])
            np.add(place[0], 1, out=place[1])
            np.subtract(place[1], at, out=weight[0])
            np.subtract(at, place[0], out=weight[1])
            inside = (place >= 0) & (place <= n - 1)
            flat = _combined(flat * n, np.add, np.where(inside, place, 0).astype(np.int64))
            known = _combined(known, np.logical_and, inside)
            self.weights.append(weight)
            self.slopes.append(slope)
        images = np.arange(count * channels).reshape(count, channels, 1, 1) * (size + 1)
        self.index = np.where(known, flat, size).swapaxes(0, 1)[:, None] + images

    def weight(self, without: int | None = None) -> np.ndarray:
        """The weights of corners for all directions, or for all others than one."""
        each = [w for d, w in enumerate(self.weights) if d != without]
        found = each[0]
        for more in each[1:]:
            found = _combined(found, np.multiply, more)
        return found

    def of(self, x: np.ndarray) -> np.ndarray:
        """The images at the corners."""
        images = np.zeros((x.shape[0] * x.shape[1], math.prod(x.shape[2:]) + 1), x.dtype)
        images[:, :-1] = x.reshape(images.shape[0], -1) if x.size else 0
        return images.reshape(-1).take(self.index)


def _combined(a: np.ndarray, ufunc: np.ufunc, b: np.ndarray) -> np.ndarray:
    """Of corners in some dimensions and neighbours in the next, what a function says of each pair.
    """
    return ufunc(a[:, None], b).reshape(len(a) * len(b), *a.shape[1:])


def _flat(g: np.ndarray) -> np.ndarray:
    return g.reshape(*g.shape[:2], math.prod(g.shape[2:]))


def _linear_array(x: np.ndarray, grid: np.ndarray, how: Sampling) -> np.ndarray:
    read = _Read(x.shape[1], grid, how)
    found: np.ndarray = np.einsum("nckp,knp->ncp", read.of(x), read.weight())
    return found.reshape(*x.shape[:2], *grid.shape[1:-1])


def _linear_pulled_array(g: np.ndarray, grid: np.ndarray, how: Sampling) -> np.ndarray:
    read, size = _Read(g.shape[1], grid, how), math.prod(how.sizes)
    parts = np.einsum("ncp,knp->nckp", _flat(g), read.weight())
    count = g.shape[0] * g.shape[1]
    found = np.bincount(read.index.reshape(-1), parts.reshape(-1), count * (size + 1))
    return found.reshape(count, size + 1)[:, :-1].astype(g.dtype).reshape(*g.shape[:2], *how.sizes)


def _linear_slope_array(g: np.ndarray, x: np.ndarray, grid: np.ndarray,
                        how: Sampling) -> np.ndarray:
    read, dims = _Read(x.shape[1], grid, how), len(how.sizes)
    along = np.einsum("ncp,nckp->knp", _flat(g), read.of(x))
    out = np.empty((*along.shape[1:], dims), g.dtype)
    for d, slope in enumerate(read.slopes):
        pairs = along.reshape(2**d, 2, 2**(dims - 1 - d), *along.shape[1:])
        rise = (pairs[:, 1] - pairs[:, 0]).reshape(2**(dims - 1), *along.shape[1:])
        out[..., dims - 1 - d] = np.einsum("knp,knp->np", rise, read.weight(d)) * slope
    return out.reshape(grid.shape)


# --- the primitives ---------------------------------------------------------------------------


def _linear_aval(x: Aval, grid: Aval, how: Sampling) -> Aval:
    return x.with_shape((*x.shape[:2], *grid.shape[1:-1]))


sample_linear_pulled = primitive(
    "sample_linear_pulled", _linear_pulled_array, decompose=_linear_pulled,
    abstract=lambda g, grid, how: g.with_shape((*g.shape[:2], *how.sizes)))
"""What `sample_linear` makes of a cotangent, for its images."""
sample_linear_slope = primitive(
    "sample_linear_slope", _linear_slope_array, decompose=_linear_slope,
    abstract=lambda g, x, grid, how: grid)
"""What it makes of one for its points."""
sample_linear = primitive(
    "sample_linear", _linear_array, abstract=_linear_aval, decompose=_linear,
    vjp=(lambda g, y, how: sample_linear_pulled(g, y, how=how),
         lambda g, x, y, how: sample_linear_slope(g, x, y, how=how)),
    node="GridSampler2DBackward0")
"""Images x between the elements next to each point of a grid."""
sample_linear_volumes = sample_linear.named("GridSampler3DBackward0")
