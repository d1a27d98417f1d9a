"""Pieces: what is written into parts of an array, one after the other."""

from __future__ import annotations

import itertools

from ..ir.program import Line, Value
from ..ir.regions import Region, dense, disjoint
from .access import Ints, MisfitError, RefineError, through

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


def permuted(line: Line) -> Ints | None:
    """Where a `strided` line puts its operand's dimensions, as strides; None if it does more than
    to change their order."""
    shape, result = tuple(line.operands[0].aval.shape), tuple(line.result.aval.shape)
    own = dict(zip(zip(result, line.params["strides"], strict=True), dense(result).strides,
                   strict=True))
    found = [own.get(each, 0) if each[0] > 1 else 1
             for each in zip(shape, dense(shape).strides, strict=True)]
    alike = line.operands[0].aval.numel == line.result.aval.numel and not line.params["offset"]
    return tuple(found) if alike and all(found) else None


def turned(pieces: Pieces, shape: Ints, steps: Ints) -> Pieces | None:
    """Pieces of an array whose dimensions have other strides; None if they can't be said so."""
    try:
        return tuple((y, Region(region.shape, *through(
            region.strides, region.offset, region.shape, shape, steps))) for y, region in pieces)
    except (MisfitError, RefineError):
        return None
