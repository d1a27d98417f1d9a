"""Primitives that combine with an array what an index sends to its places: products, extremes.

Sums and plain writes are in `indexing`, where reading by index needs them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.aval import Aval
from ..core.handle import plain_aval
from ..core.primitive import Primitive, primitive
from .elementwise import eq, where
from .indexing import gather, scatter_add, scattering, uncut
from .layout import cast, index_view


def _cut(z: Any, y: Any) -> Any:
    """A source without what lies beyond the index."""
    shape = tuple(y.shape)
    return z if tuple(z.shape) == shape else index_view(z, index=tuple((0, n, 1) for n in shape))


def _number(question: Any, x: Any) -> Any:
    """Truth values as zeros and ones of x's dtype."""
    return cast(question, dtype=plain_aval(x).dtype)


# --- products ---------------------------------------------------------------------------------


def _others(x: Any, y: Any, z: Any, out: Any, dim: int) -> Any:
    """For each element of z, the product of the others that go to the same place, with x's."""
    z = _cut(z, y)
    zeros = eq(z, 0)
    count = gather(scatter_add(plain_aval(x).zeros(), y, _number(zeros, x), dim=dim), y, dim=dim)
    alone = zeros & eq(count, 1)
    without = scatter_prod(x, y, where(alone, 1, z), dim=dim)
    return where(alone, gather(without, y, dim=dim),
                 gather(out, y, dim=dim) / where(zeros, 1, z))


def _sent(x: Any, y: Any, g: Any, dim: int) -> Any:
    """Tangents of z's elements, added up where they go."""
    return scatter_add(plain_aval(x).zeros(), y, g, dim=dim)


scatter_prod = primitive(
    "scatter_prod", **scattering(np.multiply.at), abstract=lambda x, y, z, dim: x,
    aligned=False, node="ScatterReduceBackward0",
    vjp=(lambda g, y, z, x_aval, dim: g * scatter_prod(x_aval.ones(), y, z, dim=dim), None,
         lambda g, x, y, z, out, dim: uncut(
             gather(g, y, dim=dim) * _others(x, y, z, out, dim), plain_aval(z))),
    jvp=(lambda g, y, z, x_aval, dim: g * scatter_prod(x_aval.ones(), y, z, dim=dim), None,
         lambda g, x, y, z, out, dim: _sent(
             x, y, _cut(g, y) * _others(x, y, z, out, dim), dim)))
"""x multiplied by elements of z where an index sends them."""


# --- extremes ---------------------------------------------------------------------------------


def _shares(x: Any, y: Any, z: Any, out: Any, dim: int) -> tuple[Any, Any, Any]:
    """Which elements of x, and of z, are the extreme: ones and zeros; and how many they are."""
    mine = _number(eq(x, out), x)
    theirs = _number(eq(_cut(z, y), gather(out, y, dim=dim)), x)
    return mine, theirs, scatter_add(mine, y, theirs, dim=dim)


def _x_share(g: Any, x: Any, y: Any, z: Any, out: Any, dim: int) -> Any:
    mine, _, count = _shares(x, y, z, out, dim)
    return g / count * mine


def _z_share(g: Any, x: Any, y: Any, z: Any, out: Any, dim: int) -> Any:
    _, theirs, count = _shares(x, y, z, out, dim)
    return uncut(gather(g / count, y, dim=dim) * theirs, plain_aval(z))


def _z_tangent(g: Any, x: Any, y: Any, z: Any, out: Any, dim: int) -> Any:
    _, theirs, count = _shares(x, y, z, out, dim)
    return _sent(x, y, _cut(g, y) * theirs, dim) / count


def _extreme(name: str, ufunc: np.ufunc) -> Primitive:
    return primitive(
        name, **scattering(ufunc.at), abstract=_extreme_aval, aligned=False,
        node="ScatterReduceBackward0", vjp=(_x_share, None, _z_share),
        jvp=(_x_share, None, _z_tangent))


def _extreme_aval(x: Aval, y: Aval, z: Aval, dim: int) -> Aval:
    return x


scatter_amax = _extreme("scatter_amax", np.maximum)
"""The greatest of x and the elements of z that an index sends there; equals share the gradient."""
scatter_amin = _extreme("scatter_amin", np.minimum)
