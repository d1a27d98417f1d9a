"""The slope of a product: for each element the product of all others, right where some are zero.

Few elements are multiplied from both ends. Of many, the product of all is divided by each, unless
it is plain that all slopes are 0: zeros are left out and counted, and the product is kept as
m * 2**e, so that none is too large or small.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..core.aval import LARGE
from ..core.blocks import BLOCK, in_parts, in_rows
from ..core.buffers import empty
from ..core.levels import quietly
from ..core.primitive import primitive
from .layout import add_up, flip
from .scans import before, cumprod


def _others(x: np.ndarray, dim: int) -> np.ndarray:
    if x.size < LARGE or x.dtype.kind != "f":
        return _from_both_ends(x, dim)
    if quietly(_all_vanish, x, dim):
        return np.zeros(x.shape, x.dtype)
    lines, out = x.reshape(math.prod(x.shape[:dim]), x.shape[dim], -1), empty(x.shape, x.dtype)
    found = out.reshape(lines.shape)
    if len(lines) == 1:
        _of_one_line(lines, found)
    else:
        in_rows(lambda part: _put_others(lines[part], _product(lines[part]), found[part]),
                len(lines), x.size)
    return out


def _from_both_ends(x: np.ndarray, dim: int) -> np.ndarray:
    """What is before each element times what is after it."""
    lead = (slice(None),) * dim
    but_first, but_last, turned, turned_but_last = (
        (*lead, part) for part in (slice(1, None), slice(-1), slice(None, 0, -1),
                                   slice(-2, None, -1)))
    product, after = np.ones_like(x), np.ones_like(x)
    np.multiply.accumulate(x[but_last], dim, out=product[but_first])
    np.multiply.accumulate(x[turned], dim, out=after[turned_but_last])
    product *= after
    return product


def _all_vanish(x: np.ndarray, dim: int) -> bool:
    """Whether the products of all but one are too small for any number but 0, as they are of many
    small elements: a product of n sizes is at most the n-th power of their mean."""
    others = x.shape[dim] - 1
    mean = add_up(np.abs(x), (dim,), False) / max(others, 1)
    smallest = np.finfo(x.dtype).minexp - np.finfo(x.dtype).nmant
    return bool(np.all(others * np.log2(mean) < smallest - 2))


# --- many: the product of all, divided by each ------------------------------------------------


class _Product(NamedTuple):
    """Along the second of three dimensions, which is kept: m * 2**e is the product of all that is
    not zero, with m in [0.5, 1) but for its sign; how many are zero."""

    m: np.ndarray
    e: np.ndarray
    zeros: np.ndarray


_MOST = 64
"""The numbers that are multiplied at once, at most."""


def _of_one_line(x: np.ndarray, out: np.ndarray) -> None:
    """The line is cut into parts, and their products are multiplied."""
    n = x.shape[1]
    step = max(1, 4 * BLOCK * n // x.size)
    found = in_parts(lambda part: quietly(_product, x[:, part]),
                     [slice(i, i + step) for i in range(0, n, step)])
    whole = None if None in found else _joined(found)
    if whole is None:
        out[...] = quietly(_from_both_ends, x, 1)
    else:
        in_rows(lambda part: _put_others(x[:, part], whole, out[:, part]), n, x.size)


def _joined(products: list[Any]) -> _Product:
    """The product of products."""
    m, e, zeros = (np.concatenate(parts, 1) for parts in zip(*products, strict=True))
    m, more = _scaled(m, 1)
    return _Product(m, e.sum(1, keepdims=True) + more, zeros.sum(1, keepdims=True))


def _product(x: np.ndarray) -> _Product | None:
    """None if there is an infinity or a NaN."""
    zeros, (low, high) = np.zeros((len(x), 1, x.shape[2]), np.int64), _sizes(x)
    if low == 0:
        zeros += (x == 0).sum(1, keepdims=True)
        x = np.where(x == 0, 1, x)
        low, high = _sizes(x)
    if not high < math.inf:
        return None
    turned = (2, 1, 0) if x.shape[2] == 1 else (0, 1, 2)  # lines side by side, for long loops
    m, e = _scaled(x.transpose(turned).astype(np.float64, "C"),
                   max(-math.log2(low), math.log2(high)))
    return _Product(m.transpose(turned), e.transpose(turned), zeros)


def _sizes(x: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest size of an element; NaN if there is one."""
    low, high = float(x.min()), float(x.max())
    return low if low > 0 else float(np.abs(x).min()), max(-low, high)


def _scaled(x: np.ndarray, most: float) -> tuple[np.ndarray, np.ndarray]:
    """m and e of the products of doubles between 2**-most and 2**most.

    As many are multiplied at once as can't leave the range of doubles.
    """
    few = min(max(int(1000 / max(most, 1)), 1), _MOST, x.shape[1])
    rows = x.shape[1] // few
    cut = few * rows
    m = np.multiply.reduce(x[:, :cut].reshape(len(x), few, rows, x.shape[2]), 1)
    if cut < x.shape[1]:
        m = np.concatenate((m, np.multiply.reduce(x[:, cut:], 1, keepdims=True)), 1)
    m, e = np.frexp(m)
    if m.shape[1] == 1:
        return m, e
    m, more = _scaled(m, 1)
    return m, e.sum(1, keepdims=True) + more


def _put_others(x: np.ndarray, product: _Product | None, out: np.ndarray) -> None:
    """Divides the product by each element, and takes all its zeros but the element's own."""
    if product is None:
        out[...] = _from_both_ends(x, 1)
        return
    m, e, zeros = product
    zero = x == 0 if zeros.any() else None
    below = x if zero is None else np.where(zero, 1, x)
    if _fits(e, x.dtype):
        np.divide(np.ldexp(m, e).astype(x.dtype), below, out=out)
    else:
        first = np.clip(e, -500, 500)
        out[...] = np.ldexp(np.ldexp(m, first) / below, e - first)
    if zero is not None:
        np.copyto(out, 0, where=zeros > zero)


def _fits(e: np.ndarray, kind: np.dtype[Any]) -> bool:
    """Whether products are normal numbers of a dtype, or so far from that that no quotient is."""
    most = np.finfo(kind).maxexp
    return bool(((abs(e) < most - 2) | (abs(e) > 4 * most)).all())


def _others_by_scans(x: Any, dim: int) -> Any:
    """The product of all before each element times that of all after it."""
    turned = cumprod(flip(x, dims=(dim,)), dim=dim)
    return before(cumprod(x, dim=dim), dim, 1) * flip(before(turned, dim, 1), dims=(dim,))


others = primitive("product_of_others", _others, abstract=lambda x, dim: x,
                   decompose=_others_by_scans)
