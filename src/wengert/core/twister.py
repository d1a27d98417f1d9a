"""The words of the Mersenne Twister MT19937, and the uniform and normal numbers made of them.

Matsumoto & Nishimura, ACM TOMACS 8(1), 1998; NumPy computes the words. The twister makes them in
blocks of 624, and what is drawn mostly takes a few. So a block is fetched at once, and so are the
numbers of one kind that its words make, for each word that they could begin at: what is worked out
by a dozen operations on arrays costs hardly more for 624 words than for four.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .blocks import in_rows
from .rounding import box_muller

if TYPE_CHECKING:
    import numpy.typing as npt
    from numpy.random import MT19937

    Array = npt.NDArray[Any]

BLOCK: Final = 624
_PART: Final = 64 * BLOCK  # so many words, and what is made of them, stay in a cache
_SINGLE, _DOUBLE = np.dtype("f4"), np.dtype("f8")
_WORD, _INT, _LONG = np.dtype("u4"), np.dtype("i4"), np.dtype("i8")

# As arrays, which NumPy takes as operands faster than scalars.
_LOW_24, _LOW_53 = np.array((1 << 24) - 1, _WORD), np.array((1 << 53) - 1, np.uint64)
_ULP_24, _HALF_WORD = np.array(2.0**-24, _SINGLE), np.array(32, np.uint64)


class Twister:
    """A stream of words.

    Args:
        seed: where it begins; the low 32 bits count.
        key: the state in its stead: 624 words as the twister keeps them.
        used: how many words have been drawn of that block; none before the first block.
    """

    def __init__(self, seed: int, key: Array | None = None, used: int = 0) -> None:
        self._seed, self._fresh = seed, not used
        self._next, self._block = used or BLOCK, _NONE
        self._made = None if key is None else _engine(key, BLOCK if self._fresh else 0)
        if not self._fresh:
            self._block = _Block(self._engine.random_raw(BLOCK))

    @property
    def _engine(self) -> MT19937:
        if self._made is None:  # at the first draw
            from numpy.random import MT19937, RandomState  # late: they take long to import

            self._made = MT19937(0)
            RandomState(self._made).seed(self._seed & 0xFFFFFFFF)
        return self._made

    def state(self) -> tuple[Array, int]:
        """The block as the twister keeps it, and how many of its words have been drawn."""
        state: Any = self._engine.state["state"]
        return state["key"], 0 if self._fresh else self._next

    # --- numbers: arrays that may be shared with the block, and then refuse to be written ---------

    def words(self, count: int) -> Array:
        """The next words, as uint64."""
        start = self._next
        end = start + count
        if end <= BLOCK:
            self._next = end
            return self._block.words[start:end]
        before = self._block.words[start:]
        more = count - len(before)
        whole = (more - 1) // BLOCK * BLOCK
        between = self._engine.random_raw(whole)
        self._turn()
        self._next = more - whole
        return np.concatenate((before, between, self._block.words[:self._next]))

    def _turn(self) -> None:
        """Goes on to the next block."""
        self._block = _Block(self._engine.random_raw(BLOCK))
        self._next, self._fresh = 0, False

    def made(self, count: int, make: Callable[[Array], Array], kind: np.dtype[Any],
             each: int = 1) -> Array:
        """Numbers that a function makes of words, `each` words a number: a part at a time."""
        if count * each <= _PART:
            return make(self.words(each * count))
        out = np.empty(count, kind)
        for start in range(0, count, _PART // each):
            part = out[start:start + _PART // each]
            part[...] = make(self.words(each * len(part)))
        return out

    def singles(self, count: int) -> Array:
        """Uniform float32 numbers in [0, 1): 24 bits of a word each."""
        start = self._next
        end = start + count
        if end > BLOCK:
            return self.made(count, _singles, _SINGLE)
        self._next = end
        return self._block.singles[start:end]

    def doubles(self, count: int) -> Array:
        """Uniform float64 numbers in [0, 1): 53 bits of two words each."""
        start = self._next
        end = start + 2 * count
        if end > BLOCK:
            return self.made(count, _doubles, _DOUBLE, 2)
        self._next = end
        return self._block.doubles[start:end:2]

    def floats(self, count: int) -> list[float]:
        """`doubles`, as Python's numbers."""
        start = self._next
        end = start + 2 * count
        if end > BLOCK:
            return self.doubles(count).tolist()
        self._next = end
        return self._block.floats[start:end:2]

    def one(self) -> float:
        """The next of `floats`."""
        return self.floats(1)[0]

    def normals(self, count: int) -> Array:
        """Normal float32 numbers by Box & Muller's method, of each 16 words in a row; a multiple
        of 16."""
        start = self._next
        end = start + count
        if end > BLOCK:
            return _normal(self.singles(count))
        self._next = end
        return self._block.normals[start:end:16].reshape(-1)

    def double_normals(self, count: int) -> Array:
        """The same in float64, of each 16 uniform numbers in a row."""
        return _normal(self.doubles(count))


class _Block:
    """Words in a row, and the numbers that begin at each of them."""

    def __init__(self, words: Array) -> None:
        self.words = _kept(words)

    @cached_property
    def singles(self) -> Array:
        return _kept(_singles(self.words))

    @cached_property
    def doubles(self) -> Array:
        pairs = np.stack((self.words[:-1], self.words[1:]), 1).reshape(-1)
        return _kept(_doubles(pairs))

    @cached_property
    def floats(self) -> list[float]:
        return self.doubles.tolist()

    @cached_property
    def normals(self) -> Array:
        """By word, the row of 16 normal numbers that begins there."""
        unit = self.singles  # of which those 8 apart make a pair
        rows = np.stack((unit[:-8].reshape(-1, 8), unit[8:].reshape(-1, 8)), 1)
        box_muller(rows)
        return _kept(np.concatenate([_windows(rows[:, 0]), _windows(rows[:, 1])], 1))


def _windows(x: Array) -> Array:
    """By element but the last 7, that and the next 7."""
    flat = x.reshape(-1)
    return np.ndarray((len(flat) - 7, 8), flat.dtype, flat, 0, flat.strides * 2)


def _kept(array: Array) -> Array:
    """An array of which parts are given out."""
    array.flags.writeable = False
    return array


_NONE: Final = _Block(np.empty(0, np.uint64))


def _singles(words: Array) -> Array:
    bits = words.astype(_WORD)
    bits &= _LOW_24
    unit = bits.view(_INT).astype(_SINGLE)  # signed converts faster
    unit *= _ULP_24
    return unit


def _normal(unit: Array) -> Array:
    """Normal numbers of uniform ones, by rows of 16."""
    out = unit if unit.flags.writeable else unit.copy()
    rows = out.reshape(-1, 2, 8)
    in_rows(lambda part: box_muller(rows[part]), len(rows), out.size)
    return out


def pairs64(words: Array) -> Array:
    """64-bit words, each of two."""
    return (words[0::2] << _HALF_WORD) | words[1::2]


def _doubles(words: Array) -> Array:
    bits = pairs64(words)
    bits &= _LOW_53
    unit: Array = bits.view(_LONG) * 2.0**-53
    return unit


def _engine(key: Array, used: int) -> MT19937:
    from numpy.random import MT19937

    engine = MT19937(0)
    engine.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": used}}
    return engine
