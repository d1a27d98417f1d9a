"""What a function uses up that isn't ours, so that no later run can do the same by itself.

An iterator from outside goes on with each call, and nobody can tell whether it did; random numbers
of Python's and NumPy's own come from generators whose state can be compared.
"""

from __future__ import annotations

import io
import pickle
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from .reach import MADE_BY_PYTHON


class Spent:
    """Notes, before a run, what it may use up.

    Args:
        values: what the function is given and reaches.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self._iterator = next((x for x in values if _is_iterator(x)), None)
        self._generators = [x for x in values if _is_generator(x)]
        self._numpy: Any = sys.modules.get("numpy.random")
        self._drawn = self._states()

    def why(self) -> str:
        """What makes the run that is over one of its own; "" if nothing does."""
        if self._iterator is not None:
            return f"it reaches an iterator from outside, a {type(self._iterator).__name__}"
        if self._states() != self._drawn or (self._numpy is None and _drawn_from_numpy()):
            return "it draws random numbers that are not wengert's"
        return ""

    def _states(self) -> bytes:
        """The states of the generators that are there, and of those that all share."""
        return pickle.dumps((random.getstate(),
                             self._numpy and self._numpy.get_state(legacy=False),
                             self._generators))


def _drawn_from_numpy() -> bool:
    """Whether anything was drawn from NumPy's shared generator since it was made, when NumPy's
    module was first imported: our own generators do that, too, when they are first used."""
    module: Any = sys.modules.get("numpy.random")
    if module is None:
        return False
    bits = module.get_bit_generator()
    seeds = bits.seed_seq
    first = type(bits)(type(seeds)(seeds.entropy, spawn_key=seeds.spawn_key))
    return pickle.dumps(bits.state) != pickle.dumps(first.state)


def _is_iterator(x: Any) -> bool:
    return isinstance(x, Iterator) and not isinstance(x, io.IOBase) and (
        not type(x).__flags__ & MADE_BY_PYTHON)


def _is_generator(x: Any) -> bool:
    return isinstance(x, random.Random) or (
        type(x).__module__.startswith("numpy.random") and hasattr(x, "random"))
