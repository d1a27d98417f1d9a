"""A block's lines by number, so that they can be compared by the thousand.

Lines that only look at a part of a value (views) are left out: what they would give is said as a
region of the value that it lies in, its root. All else is numbered:

    lines       two have the same sign if they apply the same to values of the same kinds
    values      results in order, from 0 on; what comes from elsewhere below 0, equal constants alike
    slots       the operands of all lines, one after the other: the number of the operand's root,
                and where in it the operand begins

So that line i of a turn has its operands where line i of another has them, only further on, if
the one does to its turn what the other does to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .expand import canonical, params_key
from .passes.common import constant_key
from .program import Constant, Line, Value
from .regions import Region, composed, dense
from .views import VIEWS, chain_region, region_of, strided, views_of
from .walk import has_effects

Place = tuple[Value, Region | None]
"""A root and a region of it; None for all of it."""


class Traced:
    """See the text of the module.

    Attributes:
        lines: those that are no views.
        signs: by line.
        slots: by line, its first slot; and, at the end, how many slots there are.
        firsts: by line, the number of its first result; likewise.
        roots, offsets: by slot.
        values: by number, the results.
        places: of values that are no roots.
        constant: by number from -1 downwards, whether it is one.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines: list[Line] = []
        self.places: dict[Value, Place] = {}
        self.numbers: dict[Value, int] = {}
        self.values: list[Value] = []
        self._elsewhere: list[Value] = []
        self._constants: dict[Any, int] = {}
        self._signs: dict[Any, int | None] = {}
        signs: list[int] = []
        slots, firsts = [0], [0]
        self._roots: list[int] = []
        self._offsets: list[int] = []
        for line in lines:
            if not self._looks(line):
                self.lines.append(line)
                signs.append(self._sign(line))
                slots.append(len(self._roots))
                for value in line.results:
                    self.numbers[value] = len(self.values)
                    self.values.append(value)
                firsts.append(len(self.values))
        self.signs, self.slots, self.firsts, self.roots, self.offsets = (
            np.array(each, np.int64) for each in (
                signs, slots, firsts, self._roots, self._offsets))
        self.constant = np.array([isinstance(v, Constant) for v in self._elsewhere], bool)

    def place(self, value: Value) -> Place:
        """Where a value is."""
        return self.places.get(value) or (value, None)

    def value(self, number: int) -> Value:
        """The value of a number."""
        return self.values[number] if number >= 0 else self._elsewhere[-1 - number]

    def constants(self, numbers: np.ndarray) -> np.ndarray:
        """Which of the numbers are constants'."""
        found = numbers < 0
        found[found] = self.constant[-1 - numbers[found]]
        return found

    # --- views --------------------------------------------------------------------------------

    def _looks(self, line: Line) -> bool:
        """Whether a line only looks at a part of a value; notes which."""
        regions = _regions(line)
        if regions is None:
            return False
        root, inner = self.place(line.operands[0])
        if inner is not None:
            regions = tuple(composed(region, inner) for region in regions)
            if None in regions:
                return False
        whole = dense(tuple(root.aval.shape))
        self.places.update(
            (value, (root, None if region == whole else region))
            for value, region in zip(line.results, regions, strict=True))
        return True

    # --- numbers ------------------------------------------------------------------------------

    def _sign(self, line: Line) -> int:
        key: list[Any] = [line.primitive]
        for value in line.operands:
            place = self.places.get(value)
            if place is None:
                root, offset = value, 0
                key.append(value.aval)
            else:
                root, region = place
                offset = 0
                key.append(root.aval)
                if region is not None:
                    offset = region.offset
                    key.append((region.shape, region.strides))
            number = self.numbers.get(root)
            self._roots.append(self._number(root) if number is None else number)
            self._offsets.append(offset)
        if line.params:
            key.append(tuple(map(params_key, line.params.items())))
        return self._signed(tuple(key), line)

    def _signed(self, key: Any, line: Line) -> int:
        try:
            found = self._signs[key]
        except KeyError:
            found = self._signs[key] = None if has_effects(line) else len(self._signs)
        except TypeError:  # a parameter can't be hashed
            found = None
        return -len(self.lines) if found is None else found

    def _number(self, value: Value) -> int:
        """The number of a value from elsewhere."""
        number = -1 - len(self._elsewhere)
        if isinstance(value, Constant):
            key = constant_key(value.array)
            if key is not None:
                number = self._constants.setdefault(key, number)
        if number == -1 - len(self._elsewhere):
            self._elsewhere.append(value)
        self.numbers[value] = number
        return number


def _regions(line: Line) -> tuple[Any, ...] | None:
    """The regions of its operand that a line's results are; None if it is no view."""
    primitive = line.primitive
    if primitive is strided:
        return (region_of(line.params),)
    base = canonical(primitive)
    if base in VIEWS:
        return views_of(base, tuple(line.operands[0].aval.shape), dict(line.params))
    if base.name == "take_view":
        region = chain_region(line.params["chain"], line.operands[0].aval.shape)
        return None if region is None else (region,)
    return None
