"""Samples for the primitives that take elements at an index, and put them back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from samples import S, Sample, c, ints, r

Array = np.ndarray


def _added(x: Array, y: Array, shape: tuple[int, int]) -> Array:
    """Elements of x added along the rows of zeros, where y says."""
    out = np.zeros(shape, x.dtype)
    for row, to in np.ndindex(x.shape):
        out[row, y[row, to]] += x[row, to]
    return out


def _slices() -> Iterator[Sample]:
    for x, dim in ((r(3, 2), 0), (c(2, 3), 1), (r(2, 3, 2).T, 1)):
        yield S("take", x, ints([1, 0], [-1, 1]), dim=dim, ref=lambda x, y, d=dim: np.take(x, y, d))
    for i in (1, 2):
        yield S("untake", r(2, 3), ints(2, 0, i), shape=(2, 4), dim=1, apart=i == 1,
                ref=lambda x, y: x @ np.eye(4)[y])
    yield S("untake", c(3), ints(2, 0, 1), shape=(4,), dim=0, apart=True,
            ref=lambda x, y: x @ np.eye(4)[y])


def _elements() -> Iterator[Sample]:
    for x, i, apart in ((r(2, 2), ints([0, 2], [3, 1]), True),
                        (c(3, 2), ints([0, 0], [2, 1], [3, 3]), False)):
        yield S("ungather", x, i, shape=(len(i), 4), dim=1, apart=apart,
                ref=lambda x, y: _added(x, y, (len(x), 4)))
    yield S("ungather", r(3), ints(1, 1, 0), shape=(4,), dim=0, apart=False,
            ref=lambda x, y: x @ np.eye(4)[y])


def _single() -> Iterator[Sample]:
    one = np.array(1)
    yield S("pick", r(3), one, dim=0, ref=lambda x, y: x[1])
    yield S("unpick", r(4), ints(0, 2, 1, 1), shape=(3, 4), dim=0,
            ref=lambda x, y: (np.arange(3)[:, None] == y) * x)
    yield S("unpick", c(2, 1), ints([2], [0]), shape=(2, 3), dim=1,
            ref=lambda x, y: (np.arange(3) == y) * x)
    yield S("unpick", r(), one, shape=(3,), dim=0, ref=lambda x, y: (np.arange(3) == y) * x)
    yield S("rank_places", r(4, 3), dim=0, ranks=(1, 3),
            ref=lambda x: [np.argsort(x, 0)[1], np.argsort(x, 0)[3]])


SAMPLES = [*_slices(), *_elements(), *_single()]
