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

from ...core import dtypes
from ...core.aval import aval
from ...core.primitive import Primitive
from ...interpreters.views import take_view, write_view
from ...primitives.elementwise import copy
from ...primitives.layout import index_view, unindex
from ..expand import canonical, params_key
from ..ir.program import Constant, Line, Program, Value
from ..ir.regions import Region, composed, dense, distinct
from ..ir.views import (
    VIEWS,
    chain_region,
    put_strided,
    region_of,
    sees_beyond,
    strided,
    views_of,
    written_region,
)
from ..ir.walk import has_effects
from ..passes.common import constant_key

Place = tuple[Value, Region | None]
"""A root and a region of it; None for all of it."""
Slot = tuple[int, int, Any]
"""What a slot with a value holds: the root's number and the offset; and what the value is of the
root, but for that."""


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
        slot: by value, what a slot with it holds.
        placed: by line that writes to a part of a value, which part. Where that begins is the
            offset of one more slot, after those of its operands.
        constant: by number from -1 downwards, whether it is one.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines: list[Line] = []
        self.places: dict[Value, Place] = {}
        self.placed: dict[int, Region] = {}
        self.values: list[Value] = []
        self.slot: dict[Value, Slot] = {}
        self._elsewhere: list[Value] = [_SOMEWHERE]
        self._constants: dict[Any, int] = {}
        self._signs: dict[Any, tuple[int, int]] = {}
        self._roots: list[int] = []
        self._offsets: list[int] = []
        signs, slots, firsts = [], [0], [0]
        values, known, roots = self.values, self.slot, self._roots
        for line in lines:
            kind = _kind(line.primitive)
            if kind == "view" and self._looks(line):
                continue
            self.lines.append(line)
            signs.append(self._sign(line, kind))
            slots.append(len(roots))
            for value in line.results:
                known[value] = len(values), 0, value.aval
                values.append(value)
            firsts.append(len(values))
        self.signs, self.weights = np.array(signs, np.int64).reshape(-1, 2).T
        self.slots, self.firsts, self.roots, self.offsets = (
            np.array(each, np.int64) for each in (slots, firsts, roots, self._offsets))
        self.constant = np.array([isinstance(v, Constant) for v in self._elsewhere], bool)

    def number(self, value: Value) -> int:
        """The number of a value's root; below 0 for what isn't made in the block."""
        found = self.slot.get(value)
        return -1 if found is None else found[0]

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
        whole, number = dense(tuple(root.aval.shape)), self._slot(root)[0]
        for value, region in zip(line.results, regions, strict=True):
            if region == whole:
                self.places[value], self.slot[value] = (root, None), (number, 0, root.aval)
            else:
                self.places[value] = root, region
                self.slot[value] = number, region.offset, (root.aval, *region[:2])
        return True

    # --- numbers ------------------------------------------------------------------------------

    def _sign(self, line: Line, kind: str) -> tuple[int, int]:
        """A line's sign, and what it weighs; notes its slots."""
        key: list[Any] = [line.primitive]
        known, roots, offsets = self.slot, self._roots, self._offsets
        for value in line.operands:
            number, offset, what = known.get(value) or self._slot(value)
            roots.append(number)
            offsets.append(offset)
            key.append(what)
        written = _written(line) if kind == "placing" else None
        if written is not None:
            self.placed[len(self.lines) - 1] = written
            key.append((line.result.aval, written.shape, written.strides))
            roots.append(-1)
            offsets.append(written.offset)
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

    def _slot(self, value: Value) -> Slot:
        """What is noted of a value; of one from elsewhere, from now on."""
        found = self.slot.get(value)
        if found is not None:
            return found
        number = fresh = -1 - len(self._elsewhere)
        if isinstance(value, Constant):
            key = constant_key(value.array)
            if key is not None:
                number = self._constants.setdefault(key, number)
        if number == fresh:
            self._elsewhere.append(value)
        found = self.slot[value] = number, 0, value.aval
        return found


_TINY = 64
"""More elements than this are worked on by loops, whose code doesn't grow."""


def _weight(line: Line) -> int:
    """About how many scalar statements a line comes to; loops count as a constant number, beside
    what is in them."""
    bodies = [body for body in line.params.values() if isinstance(body, Program)]
    if bodies:
        return _TINY + sum(_weight(each) for body in bodies for each in body.body.lines)
    size = max([v.aval.numel for v in (*line.operands, *line.results)])
    return min(max(size, 1), _TINY)


@functools.lru_cache(maxsize=1024)
def _kind(primitive: Primitive) -> str:
    """Whether a primitive looks at a part of a value ("view"), or writes to one ("placing")."""
    base = canonical(primitive)
    if primitive in (strided, take_view) or base in (copy, *VIEWS):
        return "view"
    return "placing" if primitive is put_strided or base in (unindex, write_view) else ""


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
    if sees_beyond(canonical(primitive), shape, line.params):
        return None
    return views_of(canonical(primitive), shape, line.params)
