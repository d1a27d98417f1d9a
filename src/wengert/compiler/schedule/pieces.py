"""Pieces: what is written into parts of an array, one after the other."""

from __future__ import annotations

import itertools

from ..program import Value
from ..regions import Region, dense, disjoint
from .access import Ints

Pieces = tuple[tuple[Value, Region], ...]
"""Values, and the regions of an array that they are written to."""

_FEW = 32


def separate(pieces: Pieces, shape: Ints) -> bool:
    """Whether pieces surely have no place in common, so that their order doesn't matter."""
    regions = [region for _, region in pieces]
    if len(regions) <= _FEW:
        return all(disjoint(a, b, shape) for a, b in itertools.combinations(regions, 2))
    if any(region.strides != dense(region.shape).strides for region in regions):
        return False
    spans = sorted((region.offset, region.offset + region.size) for region in regions)
    return all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
