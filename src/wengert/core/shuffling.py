"""Shuffles that are defined swap by swap, worked out without a loop over the swaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_U8 = np.uint64
_FEW = 256  # up to here, swaps one by one take less time than a dozen operations on arrays


def shuffled(n: int, words: Array) -> Array:
    """Shuffle 0..n-1 from the front: swap entries i and i + words[i] % (n - i), for i in order.

    The words are int64 numbers, n - 1 of them.
    """
    if n < _FEW:
        return _swapped(n, words.tolist())
    place = np.arange(n)
    place[:-1] += words % np.arange(n, 1, -1)
    return _exchange(place)


def _exchange(target: Array) -> Array:
    """Swap entries i and target[i] >= i of 0..n-1, for i in order, without a loop over i.

    Entry j holds, when its turn comes, what the last swap into it put there: the entry of that
    earlier turn, whose own origin is found by following such links to their roots.
    """
    own = np.arange(len(target))
    link, moved = own.copy(), target != own
    link[target[moved]] = own[moved]  # of equal targets the last assignment stays
    before = _last_with_same(target)
    return np.where(before >= 0, _roots(link)[before], target)


def _swapped(n: int, words: list[int]) -> Array:
    """`shuffled`, swap by swap."""
    order = list(range(n))
    for i, word in enumerate(words):
        j = i + word % (n - i)
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
