"""Lifting: what a loop does alike in all turns is done for all of them at once, outside of it.

    the same lines in all turns             before the loop, once
    products along @ same                   before it, one product of all turns' rows
    totals: carried + a @ b,                after it, one product: [a1 a2 ...] @ [b1; b2; ...],
            carried + sum(a)                or one sum; what the loop makes of it is stacked

What is left in the loop is what one turn needs of the one before. A total's terms are added in
another order, as those of any sum may be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...core.aval import Aval
from ...core.primitive import TABLE, Primitive
from ..ir.program import Block, Constant, Line, Program, Value, append, straight
from ..ir.regions import Region, composed, dense
from ..ir.views import region_of, strided
from ..ir.walk import downward, has_effects, within_params
from .hoisting import hoisted
from .repeated import Window, loop, outputs_of, parts, repeated

_MOST_BYTES = 1 << 26
"""Above this, what all turns make is not kept."""
FEW = 512
"""Products of so few multiplications stay where they are: they are no more than a few scalars."""


def lift(program: Program) -> Program:
    """The program with less to do in its loops; of what `expand` leaves."""
    values: dict[Value, Value] = {}
    views: dict[Value, Line] = {}

    def lines(block: Block) -> list[Line]:
        found: list[Line] = []
        for line in block.lines:
            line = line.on(values)
            if line.primitive is strided:
                views[line.result] = line
            if line.primitive is repeated:
                lifting = Lifting(line, views)
                found += lifting.lines
                values.update(lifting.values)
            else:
                found += hoisted(within_params(line, lift))
        return found

    return downward(program, lines, values)


class Rows(NamedTuple):
    """All turns' values of something: regions of an array, one after the other.

    Attributes:
        array: the array.
        region: of the first turn's.
        step: how far it moves from turn to turn.
    """

    array: Value
    region: Region
    step: int


class Lifting:
    """One loop.

    Args:
        line: the loop.
        views: the views above it.

    Attributes:
        lines: what it becomes.
        values: its results that are others now.
        kept: what a turn does.
        carried, along, outer: by input of the body, what it is outside.
        following: by carried input, what is handed on, and the loop's result.
        stacked, last: by result of the loop, the body's.
        rows: by value of the body, where all turns' lie.
        made: by value of the body, its line.
        after: by total that is done after the loop: what it begins with, the loop's result, and
            the line that makes a turn's term.
    """

    def __init__(self, line: Line, views: Mapping[Value, Line]) -> None:
        params, body = line.params, line.params["body"]
        self.count: int = params["count"]
        given = parts(line.operands, line.results, params)
        inner = parts(body.inputs, outputs_of(body), params)
        self.lines: list[Line] = []
        self.values: dict[Value, Value] = {}
        self.kept: list[Line] = []
        self.carried = dict(zip(inner.carried, given.carried, strict=True))
        self.outer = dict(zip(inner.same, given.same, strict=True))
        self.along: dict[Value, tuple[Value, Window]] = {
            value: (array, window) for value, array, window in zip(
                inner.along, given.along, params["windows"], strict=True)}
        self.following = dict(zip(inner.carried, zip(inner.following, given.following,
                                                     strict=True), strict=True))
        self.stacked = dict(zip(given.stacked, inner.stacked, strict=True))
        self.last = dict(zip(given.last, inner.last, strict=True))
        self.rows: dict[Value, Rows] = {}
        for value, (array, window) in self.along.items():
            self.rows[value] = Rows(array, Region((window.size,), (1,), window.start), window.step)
        self.known: dict[Value, Value] = {}
        for value, outer in list(self.outer.items()):
            self._enter(value, outer, views.get(outer))
        for each in body.body.lines:
            self._take(each.on(self.known))
        self.made = {v: each for each in self.kept for v in each.results}
        self.after: list[tuple[Value, Value, Line]] = []
        self._totals()
        self._loop()

    # --- before the loop ------------------------------------------------------------------------

    def _enter(self, value: Value, outer: Value, view: Line | None) -> None:
        """Has the body know a constant, and spread out by itself what is spread out."""
        if isinstance(outer, Constant):
            self.known[value] = outer
        elif view is not None and view.operands[0].aval.numel < outer.aval.numel and not (
                isinstance(view.operands[0], Constant)):
            base = next((v for v, x in self.outer.items() if x is view.operands[0]), None)
            if base is None:
                base = Value(view.operands[0].aval)
                self.outer[base] = view.operands[0]
            self.kept.append(Line(strided, (base,), view.params, (value,)))

    def _take(self, line: Line) -> None:
        if not has_effects(line) and all(self._is_outer(v) for v in line.operands):
            self.lines.append(Line(line.primitive, list(map(self._outside, line.operands)),
                                   line.params, results := [Value(v.aval) for v in line.results]))
            self.outer.update(zip(line.results, results, strict=True))
        elif not self._is_product(line) or not self._batched(line):
            self._note(line)
            self.kept.append(line)

    def _is_outer(self, value: Value) -> bool:
        return isinstance(value, Constant) or value in self.outer

    def _outside(self, value: Value) -> Value:
        return self.outer.get(value, value)

    def _note(self, line: Line) -> None:
        """Notes what is a region of what goes along."""
        if line.primitive is strided and line.operands[0] in self.rows:
            rows = self.rows[line.operands[0]]
            region = composed(region_of(line.params), rows.region)
            if region is not None:
                self.rows[line.result] = rows._replace(region=region)

    def _is_product(self, line: Line) -> bool:
        return line.primitive.name == "mm" and (
            line.operands[0].aval.numel * line.operands[1].aval.shape[1] > FEW)

    def _batched(self, line: Line) -> bool:
        """Multiplies all turns' rows by a matrix that is the same in all of them."""
        x, y = line.operands
        rows = self.rows.get(x)
        m, n = line.result.aval.shape
        if rows is None or not self._is_outer(y) or not self._small(line.result):
            return False
        forth = rows.step >= 0
        rows = self._all(rows if forth else self._reversed(rows))
        whole = self._shaped(self._region(rows.array, rows.region),
                             (self.count * m, x.aval.shape[1]))
        found = self.add(line.primitive, (whole, self._outside(y)), {},
                         line.result.aval.with_shape((self.count * m, n)))
        size = m * n
        window = Window(0, size, size) if forth else Window((self.count - 1) * size, -size, size)
        flat = Value(line.result.aval.with_shape((size,)))
        self.along[flat] = found, window
        self.kept.append(Line(strided, (flat,), dense((m, n)).params, line.results))
        self.rows[line.result] = Rows(found, dense((m, n))._replace(offset=window.start),
                                      window.step)
        return True

    # --- after the loop -------------------------------------------------------------------------

    def _totals(self) -> None:
        """Finds what is only added up, and leaves that to do after the loop."""
        uses = Counter(v for line in self.kept for v in line.operands)
        uses.update((*(v for v, _ in self.following.values()), *self.stacked.values(),
                     *self.last.values()))
        dropped: set[int] = set()
        for carried, (total, result) in list(self.following.items()):
            lines = self._summed(carried, total, uses)
            if lines is not None:
                dropped.update(map(id, lines))
                del self.following[carried]
                self.after.append((self.carried.pop(carried), result, lines[-1]))
        self.kept = [line for line in self.kept if id(line) not in dropped]

    def _summed(self, carried: Value, total: Value, uses: Counter[Value]) -> list[Line] | None:
        """The lines that add something to a carried value, if that is all that is done with it;
        the last of them can be done for all turns at once."""
        line = self.made.get(total)
        if line is None or line.primitive.name != "add" or uses[carried] != 1 or (
                uses[total] != 1 or carried not in line.operands):
            return None
        term = next(v for v in line.operands if v is not carried)
        chain = self._chain(term, uses) if term.aval is carried.aval else None
        return None if chain is None else [line, *chain]

    def _chain(self, term: Value, uses: Counter[Value]) -> list[Line] | None:
        """The lines that make a term of a total, the last of them a product or sum that may be
        done for all turns at once; None if there is none."""
        line = self.made.get(term)
        if line is None or uses[term] != 1 or term.aval.numpy.kind != "f":
            return None
        if line.primitive is strided and line.operands[0].aval.numel == term.aval.numel and (
                region_of(line.params) == dense(tuple(term.aval.shape))):
            rest = self._chain(line.operands[0], uses)
            return None if rest is None or rest[-1].primitive.name != "sum" else [line, *rest]
        some = line.operands[0].aval.numel > FEW // 8 if line.primitive.name == "sum" else (
            self._is_product(line))
        return [line] if some and all(map(self._everywhere, line.operands)) else None

    def _everywhere(self, value: Value) -> bool:
        """Whether all turns' values of something are there, or can be kept."""
        source = self._source(value)
        return source in self.rows or (source in self.made and self._small(source))

    def _source(self, value: Value) -> Value:
        """What a value is a region of, if it is one of what the loop makes."""
        line = self.made.get(value)
        if value not in self.rows and line is not None and line.primitive is strided:
            return line.operands[0]
        return value

    def _small(self, value: Value) -> bool:
        return self.count * value.aval.numel * value.aval.numpy.itemsize <= _MOST_BYTES

    def _loop(self) -> None:
        """Writes the loop, and what comes after it."""
        keep = dict.fromkeys(self.stacked.values())
        sources = (self._source(v) for *_, line in self.after for v in line.operands)
        keep.update((source, None) for source in sources if source not in self.rows)
        results = self._written(keep)
        count = len(self.following)
        self.stacks = dict(zip(keep, results[count:], strict=False))
        self.values.update(zip((r for _, r in self.following.values()), results, strict=False))
        self.values.update((result, self.stacks[v]) for result, v in self.stacked.items())
        self.values.update(zip(self.last, results[count + len(keep):], strict=True))
        for first, result, term in self.after:
            self._total(first, result, term)

    def _written(self, keep: Mapping[Value, None]) -> Sequence[Value]:
        """Writes the loop with what is left in it, if anything is; its results."""
        outputs = [*(v for v, _ in self.following.values()), *keep, *self.last.values()]
        used = _needed(self.kept, outputs)
        lines = [line for line in self.kept
                 if has_effects(line) or not used.isdisjoint(line.results)]
        if not outputs and not any(map(has_effects, lines)):
            return ()
        along = [v for v in self.along if v in used]
        same = [v for v in self.outer if v in used and v not in self.made]
        operands = [*self.carried.values(), *(self.along[v][0] for v in along),
                    *(self.outer[v] for v in same)]
        line = loop(straight([*self.carried, *along, *same], lines, outputs), self.count,
                    operands, carried=len(self.carried), stacked=len(keep),
                    windows=[self.along[v][1] for v in along])
        self.lines.append(line)
        return line.results

    def _total(self, first: Value, result: Value, term: Line) -> None:
        """What is carried into the loop, and all turns' terms."""
        rows = list(map(self._rows_of, term.operands))
        if rows[0].step < 0:  # last turns first, as they lie, so that there is less to copy
            rows = list(map(self._reversed, rows))
        rows = list(map(self._all, rows))
        total = self._product(*rows) if len(rows) == 2 else self._sum(term, *rows)
        total = self._shaped(total, tuple(first.aval.shape))
        self.values[result] = self.add(TABLE["add"], (first, total), {}, first.aval)

    def _product(self, a: Rows, b: Rows) -> Value:
        """The sum of all turns' products, as one."""
        (count, m, k), n = a.region.shape, b.region.shape[2]
        across, row, col = a.region.strides
        turned = Region((m, count, k), (row, across, col), a.region.offset)
        x = self._shaped(self._region(a.array, turned), (m, count * k))
        y = self._shaped(self._region(b.array, b.region), (count * k, n))
        return self.add(TABLE["mm"], (x, y), {}, x.aval.with_shape((m, n)))

    def _sum(self, term: Line, rows: Rows) -> Value:
        """The sum of all turns' sums, as one."""
        params = {"dims": (0, *(d + 1 for d in term.params["dims"])), "keepdim": False}
        whole = self._region(rows.array, rows.region)
        found: Any = term.primitive.abstract(whole.aval, **params)
        return self.add(term.primitive, (whole,), params, found)

    def _rows_of(self, value: Value) -> Rows:
        """All turns' values of something."""
        source = self._source(value)
        if value in self.rows:
            return self.rows[value]
        region = dense(tuple(value.aval.shape)) if source is value else (
            region_of(self.made[value].params))
        return Rows(self.stacks[source], region, source.aval.numel)

    def _all(self, rows: Rows) -> Rows:
        """All turns' regions as one, with a dimension in front."""
        region = rows.region
        return rows._replace(region=Region((self.count, *region.shape),
                                           (rows.step, *region.strides), region.offset))

    def _reversed(self, rows: Rows) -> Rows:
        """The same, from the last turn on."""
        far = rows.step * (self.count - 1)
        return Rows(rows.array, rows.region._replace(offset=rows.region.offset + far), -rows.step)

    # --- lines outside --------------------------------------------------------------------------

    def add(self, primitive: Primitive, operands: Sequence[Value], params: Any,
            aval: Aval) -> Value:
        """The result of a new line outside of the loop."""
        return append(self.lines, primitive, operands, params, aval)

    def _region(self, array: Value, region: Region) -> Value:
        if region == dense(tuple(array.aval.shape)):
            return array
        return self.add(strided, (array,), region.params, array.aval.with_shape(region.shape))

    def _shaped(self, value: Value, shape: tuple[int, ...]) -> Value:
        """The same elements in another shape."""
        return self._region(value, dense(shape))


def _needed(lines: Sequence[Line], outputs: Sequence[Value]) -> set[Value]:
    """The values that outputs are made of, directly or not."""
    used = set(outputs)
    for line in reversed(lines):
        if has_effects(line) or not used.isdisjoint(line.results):
            used.update(line.operands)
    return used
