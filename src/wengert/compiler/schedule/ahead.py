"""What a look ahead tells of a block's values: who needs them, and what can therefore be done with
their memory, or instead of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from ..ir.program import Constant, Line, Value
from ..ir.regions import disjoint
from ..ir.uniform import is_uniform
from ..ir.views import put_strided, region_of, strided, unstrided, written_region
from .access import dense
from .operations import operation
from .pieces import permuted
from .products import transposes

_SAME = frozenset({"contiguous", "clone", "positive", "alias", "reshape", "strided"})
_FAR = 64
"""So many lines, at most, lead from what is read to what is written in its place."""


def is_alias(line: Line) -> bool:
    """Whether a line's result has its operand's elements in the same order."""
    name = line.primitive.name
    if len(line.operands) != 1 or name not in _SAME:
        return False
    x, result = line.operands[0].aval, line.result.aval
    return x.numpy == result.numpy and x.numel == result.numel and (
        name != "strided" or (line.params["offset"] == 0 and all(
            n == 1 or s == t for n, s, t in zip(result.shape, line.params["strides"],
                                                dense(tuple(result.shape)), strict=True))))


class Ahead:
    """See the text of the module.

    Args:
        lines: of the block, without aliases.
        later: values that are needed after it.
        root: gives the value that a value is another name of.

    Attributes:
        once: values that are needed once.
        chained: results of `put_strided` that only another one needs, to put more into it, or
            that are pieces of an array which is only needed with its dimensions in another order.
        rewritten: results of `put_strided` that may be written over what they are put into.
        summed: by product that is only needed to be added to something: to what, and the sum.
        turned: by product that is only needed transposed, its transpose.
        folded: by product that is only needed in a sum of its elements, that sum's line.
    """

    def __init__(self, lines: Sequence[Line] = (), later: Iterable[Value] = (),
                 root: Callable[[Value], Value] = lambda value: value) -> None:
        self._root = root
        self._needing: dict[Value, list[Line]] = {}
        for line in lines:
            for v in line.operands:
                self._needing.setdefault(root(v), []).append(line)
        uses = Counter({v: len(needing) for v, needing in self._needing.items()})
        uses.update(later)
        self.once = {value for value, count in uses.items() if count == 1}
        self.chained: set[Value] = set()
        self.rewritten: set[Value] = set()
        self.summed: dict[Value, tuple[Value, Value]] = {}
        self.turned: dict[Value, Value] = {}
        self.folded: dict[Value, Line] = {}
        self._products = self.once.intersection(
            line.result for line in lines if line.primitive.name in ("mm", "bmm"))
        made = {value for line in lines for value in line.results}
        assembled: set[Value] = set()
        for line in lines:
            if line.primitive is put_strided:
                base = root(line.operands[0])
                self._put(line, self._needing[base] if base in made and uses[base] == 2 else ())
                if base in assembled & self.chained or (
                        isinstance(base, Constant) and is_uniform(base.array)):
                    assembled.add(line.result)
            elif line.primitive is strided and line.operands[0] in assembled & self.once and (
                    permuted(line)):
                self.chained.add(line.operands[0])
            else:
                self._of_product(line)

    def _put(self, line: Line, both: Sequence[Line]) -> None:
        """What `both` lines that need x, if there are but two, tell of putting y into it."""
        if line.operands[0] in self.once:
            self.chained.add(line.operands[0])
        elif len(both) == 2 and both[1] is line and both[0].primitive is strided and (
                self._leads(both[0], line)):
            self.rewritten.add(line.result)

    def _leads(self, read: Line, put: Line) -> bool:
        """Whether what is read is of use for what is put alone, element by element, and is read
        where it is put or where nothing is put."""
        written = written_region(put.params, put.operands[1].aval)
        known, value = region_of(read.params), self._root(read.result)
        if known != written and not disjoint(known, written, tuple(put.result.aval.shape)):
            return False
        for _ in range(_FAR):
            if value not in self.once or value.aval.shape != written.shape:
                return False
            (line,) = self._needing[value]
            if line is put:
                return True
            if operation(line) is None:
                return False
            value = self._root(line.result)
        return False

    def _of_product(self, line: Line) -> None:
        """What else than a product's result may be computed at once."""
        if line.primitive is strided and line.operands[0] in self._products:
            if transposes(line):
                self.turned[line.operands[0]] = line.result
                if line.result in self.once:
                    self._products.add(line.result)
        elif operation(line) == "add":
            for p, other in (line.operands, line.operands[::-1]):
                if p in self._products and other.aval is p.aval:
                    self.summed[p] = self._root(other), line.result
        elif len(line.operands) == 1 and adds_up(line):
            product = self._root(line.operands[0])
            if product in self._products:
                self.folded[product] = line


def adds_up(line: Line) -> bool:
    """Whether a line adds elements of its operand up, in places that a product's tiles can be
    added to."""
    (x,), name = line.operands, line.primitive.name
    return line.primitive is unstrided or (
        name == "sum" and x.aval.ndim == 3 and tuple(line.params["dims"]) == (0,)
        and line.result.aval.numpy == x.aval.numpy)
