"""A block's lines by number, so that they can be compared by the thousand.

Lines that only look at a part of a value (views) are left out: what they would give is said as a
region of the value that it lies in, its root. All else is numbered:

    lines       two have the same sign if they apply the same to values of the same kinds
    values      results in order, from 0 on; what comes from elsewhere below 0
    slots       the operands of all lines, one after the other: the number of the operand's root,
                and where in it the operand begins

So that line i of a turn has its operands where line i of another has them, only further on, if
the one does to its turn what the other does to the other.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.aval import aval
from ..core.primitive import Primitive
from ..interpreters.views import take_view, write_view
from ..primitives.elementwise import copy
from ..primitives.layout import index_view, unindex
from .expand import canonical, params_key
from .passes.common import constant_key
from .program import Constant, Line, Value
from .regions import Region, composed, dense, distinct
from .views import (
    VIEWS,
    chain_region,
    put_strided,
    region_of,
    strided,
    views_of,
    written_region,
)
from .walk import has_effects

Place = tuple[Value, Region | None]
"""A root and a region of it; None for all of it."""


_SOMEWHERE = Value(aval((), dtypes.int64))
"""The root of the slots that say where lines write."""


class Traced:
    """See the text of the module.

    Attributes:
        lines: those that are no views.
        signs, weights: by line; a weight is about how many scalar statements it comes to.
        slots: by line, its first slot; and, at the end, how many slots there are.
        firsts: by line, the number of its first result; likewise.
        roots, offsets: by slot.
        values: by number, the results.
        places: of values that are no roots.
        placed: by line that writes to a part of a value, which part. Where that begins is the
            offset of one more slot, after those of its operands.
        constant: by number from -1 downwards, whether it is one.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines: list[Line] = []
        self.places: dict[Value, Place] = {}
        self.placed: dict[int, Region] = {}
        self.numbers: dict[Value, int] = {}
        self.values: list[Value] = []
        self._elsewhere: list[Value] = [_SOMEWHERE]
        self._constants: dict[Any, int] = {}
        self._signs: dict[Any, tuple[int, int]] = {}
        signs, slots, firsts = [], [0], [0]
        self._roots: list[int] = []
        self._offsets: list[int] = []
        values, numbers = self.values, self.numbers
        for line in lines:
            if _is_view(line.primitive) and self._looks(line):
                continue
            self.lines.append(line)
            signs.append(self._sign(line))
            slots.append(len(self._roots))
            for value in line.results:
                numbers[value] = len(values)
                values.append(value)
            firsts.append(len(values))
        self.signs, self.weights = np.array(signs, np.int64).reshape(-1, 2).T
        self.slots, self.firsts, self.roots, self.offsets = (
            np.array(each, np.int64) for each in (slots, firsts, self._roots, self._offsets))
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
        x, regions = line.operands[-1], _regions(line)
        if regions is None:
            return False
        root, inner = self.places.get(x, (x, None))
        if inner is not None:
            regions = tuple([composed(region, inner) for region in regions])
            if None in regions:
                return False
        whole = dense(tuple(root.aval.shape))
        for value, region in zip(line.results, regions, strict=True):
            self.places[value] = root, None if region == whole else region
        return True

    # --- numbers ------------------------------------------------------------------------------

    def _sign(self, line: Line) -> tuple[int, int]:
        """A line's sign, and what it weighs; notes its slots."""
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
        written = _written(line) if _is_placing(line.primitive) else None
        if written is not None:
            self.placed[len(self.lines) - 1] = written
            key.append((line.result.aval, written.shape, written.strides))
            self._roots.append(-1)
            self._offsets.append(written.offset)
        elif line.params:
            key.append(tuple(map(params_key, line.params.items())))
        return self._signed(tuple(key), line)

    def _signed(self, key: Any, line: Line) -> tuple[int, int]:
        try:
            return self._signs[key]
        except KeyError:
            if not has_effects(line):
                found = self._signs[key] = len(self._signs), _weight(line)
                return found
        except TypeError:  # a parameter can't be hashed
            pass
        return -len(self.lines), _weight(line)  # like no other

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


_TINY = 64
"""More elements than this are worked on by loops, whose code doesn't grow."""


@functools.lru_cache(maxsize=1024)
def _is_view(primitive: Primitive) -> bool:
    return primitive in (strided, take_view) or canonical(primitive) in (copy, *VIEWS)


def _weight(line: Line) -> int:
    """About how many scalar statements a line comes to; loops count as a constant number."""
    size = max([v.aval.numel for v in (*line.operands, *line.results)])
    return min(max(size, 1), _TINY)


@functools.lru_cache(maxsize=1024)
def _is_placing(primitive: Primitive) -> bool:
    return primitive is put_strided or canonical(primitive) in (unindex, write_view)


def _written(line: Line) -> Region | None:
    """The region that its last operand is put in by a line that does such; None if that is none,
    or if the operand is not of its shape."""
    y, shape = line.operands[-1].aval, tuple(line.result.aval.shape)
    if line.primitive is put_strided:
        return written_region(line.params, y)
    if canonical(line.primitive) is unindex:
        (region,) = views_of(index_view, shape, {"index": line.params["index"]})
        return region
    found = chain_region(line.params["chain"], shape)
    return found if found is not None and found.shape == y.shape and distinct(found) and (
        y.dtype is line.result.aval.dtype) else None


def _regions(line: Line) -> tuple[Any, ...] | None:
    """The regions of its last operand that a line's results are; None if they are none."""
    primitive, shape = line.primitive, tuple(line.operands[0].aval.shape)
    if primitive is strided:
        return (region_of(line.params),)
    if canonical(primitive) is copy:  # of what is of its kind already
        y = line.operands[1]
        return (dense(tuple(y.aval.shape)),) if y.aval is line.result.aval else None
    if primitive is take_view:
        region = chain_region(line.params["chain"], shape)
        return None if region is None else (region,)
    return views_of(canonical(primitive), shape, line.params)
