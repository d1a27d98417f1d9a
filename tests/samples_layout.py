"""Sample applications of what moves and combines elements, with what NumPy says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from samples import S, Sample, c, ints, r

Array = np.ndarray


# --- where an index sends them ----------------------------------------------------------------


def _combined(how: Callable[[Any, Any], Any]) -> Callable[..., Array]:
    """Element after element, by the definition."""
    def reference(x: Array, y: Array, z: Array, dim: int) -> Array:
        out = x.copy()
        for at in np.ndindex(y.shape):
            place = (*at[:dim], y[at], *at[dim + 1:])
            out[place] = how(out[place], z[at])
        return out
    return reference


SINGLE = ints([0, 2], [2, 1])  # no place twice in a row
SEVERAL = ints([0, 2, 0], [1, 1, 1])
ZEROS = np.array([[0.0, 0.7, 0.0], [1.3, 0.0, -0.4]])


def _scattered() -> Iterator[Sample]:
    for k in (r, c):
        yield S("scatter", k(2, 3), SINGLE, k(2, 2), dim=1,
                ref=lambda x, y, z: _combined(lambda a, b: b)(x, y, z, 1))
    yield S("scatter", r(3, 2), ints([0, 2]), r(2, 3), dim=0,
            ref=lambda x, y, z: _combined(lambda a, b: b)(x, y, z, 0))
    for name, how in (("scatter_amax", max), ("scatter_amin", min)):
        for index, source in ((SEVERAL, r(2, 3)), (SINGLE, r(3, 4))):
            yield S(name, r(2, 3), index, source, dim=1,
                    ref=lambda x, y, z, how=how: _combined(how)(x, y, z, 1))
    for x, index, source in ((r(2, 3), SEVERAL, r(2, 3)), (c(2, 3), SEVERAL, c(2, 3)),
                             (r(2, 3), SINGLE, r(2, 4)), (r(2, 3), SINGLE, ZEROS)):
        yield S("scatter_prod", x, index, source, dim=1,
                ref=lambda x, y, z: _combined(lambda a, b: a * b)(x, y, z, 1))


# --- by strides -------------------------------------------------------------------------------


def _window(x: Array, shape: Any, strides: Any, offset: int) -> Array:
    """Element after element of flat memory."""
    return np.array([x.reshape(-1)[offset + int(np.dot(at, strides))] for at in np.ndindex(shape)],
                    x.dtype).reshape(shape)


def _added(x: Array, shape: Any, strides: Any, offset: int) -> Array:
    out = np.zeros(shape, x.dtype)
    for at in np.ndindex(x.shape):
        out.reshape(-1)[offset + int(np.dot(at, strides))] += x[at]
    return out


def _strided() -> Iterator[Sample]:
    for k in (r, c):
        for shape, strides, offset in (((2, 2), (3, 1), 1), ((2, 3, 2), (1, 1, 2), 0), ((), (), 5)):
            how = {"strides": strides, "offset": offset, "layout": None}
            yield S("as_strided", k(2, 4), shape=shape, **how,
                    ref=lambda x, s=shape, t=strides, o=offset: _window(x, s, t, o))
            yield S("from_strided", k(*shape), shape=(2, 4), **how,
                    ref=lambda x, t=strides, o=offset: _added(x, (2, 4), t, o))
    # The operand is every second element, from the second on, of eight.
    part = {"strides": (1,), "offset": 2, "layout": ((2,), 1)}
    yield S("from_strided", r(3), shape=(4,), **part,
            ref=lambda x: np.array([0, x[1], 0, 0]))


def _windows() -> Iterator[Sample]:
    for k in (r, c):
        for size, step in ((3, 1), (2, 2), (2, 3), (0, 2), (5, 1)):
            starts = range(0, 5 - size + 1, step)
            yield S("unfold", k(5, 2), dim=0, size=size, step=step,
                    ref=lambda x, size=size, starts=starts: np.stack(
                        [x[i:i + size].T for i in starts]))
            yield S("fold", k(len(starts), 2, size), shape=(5, 2), dim=0, step=step,
                    ref=lambda x, size=size, starts=starts: sum(
                        np.pad(w.T, ((i, 5 - size - i), (0, 0)))
                        for i, w in zip(starts, x, strict=True)))


SAMPLES = [*_scattered(), *_strided(), *_windows()]
