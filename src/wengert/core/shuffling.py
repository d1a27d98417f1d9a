"""Shuffles that are defined swap by swap, worked out without a loop over the swaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_U8 = np.uint64
_FEW = 256  # up to here, swaps one by one take less time than a dozen operations on arrays


def exchange(target: Array) -> Array:
    """Swap entries i and target[i] >= i of 0..n-1, for i in order, without a loop over i.

    Entry j holds, when its turn comes, what the last swap into it put there: the entry of that
    earlier turn, whose own origin is found by following such links to their roots.
    """
    if len(target) < _FEW:
        return _swapped(target.tolist())
    own = np.arange(len(target))
    link, moved = own.copy(), target != own
    link[target[moved]] = own[moved]  # of equal targets the last assignment stays
    before = _last_with_same(target)
    return np.where(before >= 0, _roots(link)[before], target)


def _swapped(target: list[int]) -> Array:
    """`exchange`, swap by swap."""
    order = list(range(len(target)))
    for i, j in enumerate(target):
        order[i], order[j] = order[j], order[i]
    return np.array(order, np.int64)


def inside_out(target: Array) -> Array:
    """Append i to a list, swapping it with entry target[i] <= i, for i in order, without a loop."""
    own = np.arange(len(target))
    before = _last_with_same(target)
    link = np.where((before < 0) & (target != own), target, own)
    last = np.full(len(target), -1)
    last[target] = own
    return np.where(last >= 0, last, before[_roots(link)])


def _last_with_same(values: Array) -> Array:
    """Return, for each index, the greatest smaller index of an equal value, or -1."""
    keys = np.sort((values.astype(_U8) << _U8(32)) | np.arange(len(values), dtype=_U8))
    index = (keys & _U8(0xFFFFFFFF)).astype(np.int64)
    same = values[index[1:]] == values[index[:-1]]
    before = np.full(len(values), -1)
    before[index[1:][same]] = index[:-1][same]
    return before


def _roots(link: Array) -> Array:
    while not np.array_equal(further := link[link], link):
        link = further
    return link
