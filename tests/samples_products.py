"""Sample applications of products, with what NumPy says of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from samples import Array, S, Sample, c, r


def _added(x: Array, y: Array, z: Array, beta: complex, alpha: complex) -> Array:
    return np.asarray((beta * x if beta else 0) + alpha * (y @ z))


def _with_addend() -> Iterator[Sample]:
    shapes = {"addmm": [((2, 4), (2, 3), (3, 4)), ((4,), (2, 3), (3, 4)), ((), (2, 0), (0, 4))],
              "addmv": [((2,), (2, 3), (3,)), ((1,), (2, 3), (3,))],
              "baddbmm": [((5, 2, 4), (5, 2, 3), (5, 3, 4)), ((2, 1), (5, 2, 3), (5, 3, 4))]}
    for name, each in shapes.items():
        for x, y, z in each:
            for beta, alpha in ((1, 1), (0, 2.0), (0.5, -1.5)):
                yield S(name, r(*x), r(*y), r(*z), beta=beta, alpha=alpha,
                        ref=lambda x, y, z, b=beta, a=alpha: _added(x, y, z, b, a))
            yield S(name, c(*x), c(*y), c(*z), beta=0.5 - 1j, alpha=2j,
                    ref=lambda x, y, z: _added(x, y, z, 0.5 - 1j, 2j))


def _distances(p: float) -> Callable[[Array, Array], Array]:
    return lambda x, y: np.asarray(np.linalg.norm(
        x[..., :, None, :] - y[..., None, :, :], p, axis=-1))


def _off(*shape: int) -> Array:
    """Points no coordinate of which is near that of a sampled one: |d|**p is hardly smooth at 0."""
    return 0.3 * r(*shape) + np.resize([2.5, -2.5], shape)


SAMPLES = [
    *(S("cdist", r(*x), _off(*y), p=p, product=product, ref=_distances(p))
      for p in (1.0, 1.5, 2.0) for product in {False, p == 2.0}
      for x, y in (((2, 3), (4, 3)), ((2, 3, 2), (2, 1, 2)))),
    S("cdist", np.array([[0.0, 1.0, 4.0], [2.0, -3.0, 0.5]]), np.array([[1.0, 1.5, 0.0]]),
      p=math.inf, product=False, ref=_distances(math.inf)),
    *_with_addend(),
    *(S("outer", k(3), k(n), ref=np.outer) for k in (r, c) for n in (2, 0)),
    *(S("cross", k(2, 3), k(2, 3), dim=1, ref=lambda x, y: np.cross(x, y, axis=1)) for k in (r, c)),
    *(S("kron", k(*x), k(*y), ref=np.kron) for k in (r, c)
      for x, y in (((2, 3), (3, 2)), ((2,), (1, 2, 2)), ((2, 1, 2), ()))),
    *(S("vdot", x, y, ref=np.vdot) for x, y in ((r(4), r(4)), (c(4), c(4)), (c(0), c(0)))),
]
