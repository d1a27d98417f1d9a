"""Sums over the points of a quadrature, for every element of some arrays at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray

_AT_ONCE = 256
"""Elements worked on at a time, so that their terms stay in the cache."""


def summed(terms: Callable[..., Array], weights: Array, *operands: Array) -> Array:
    """The sum of the weights times the terms of each element, in float64.

    Args:
        terms: from the operands, with a last dimension of size 1, to one of terms.
        weights: as many as there are terms; or a matrix of several such columns, for which the
            result has a last dimension.
        operands: arrays of one shape.
    """
    shape = operands[0].shape
    flat = [np.asarray(x, np.float64).reshape(-1, 1) for x in operands]
    if flat[0].size <= _AT_ONCE:
        return np.asarray(terms(*flat) @ weights).reshape(shape + weights.shape[1:])
    found = np.empty((flat[0].size, *weights.shape[1:]))
    for start in range(0, len(found), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        found[part] = terms(*(x[part] for x in flat)) @ weights
    return found.reshape(shape + weights.shape[1:])
