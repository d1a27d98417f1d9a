"""What the scheduler does about each line: notes how its result is worked out, or adds a step.

Elementwise lines, views and gathers are only noted, as recipes. Reductions, products, calls,
and what writes into parts of an array (`assembling`) become roots of groups or steps of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from math import prod
from typing import Any

import numpy as np

from ...core import dtypes
from ..ir.nest import Buffer, Call
from ..ir.program import Constant, Line, Value
from ..ir.regions import Region
from ..ir.uniform import zeros
from ..ir.views import put_strided, region_of, unstrided
from . import loops, recipes
from .access import Ints, MisfitError, broadcast_steps, dense
from .ahead import Ahead, is_alias
from .assembling import Assembler
from .group import COSTS, ELEMENTARY, At, Group, Known, Node, Put, Recipe, Root, loops_over
from .operations import is_foreign, operation
from .placing import MANY, Steps
from .products import Spots, folded, product, product_spots
from .reductions import HOW, Reduction, neutral, wider
from .runs import Runs
from .straight import Straight

_FEW = 8
"""Up to this many elements are combined, or repeated, without a loop."""
_MANY = 1 << 12
"""From this many elements on it is worth a sweep of its own that others get longer ones."""
_TERMS = 4
"""Products with up to this many terms to a sum are elementwise."""


class Lines:
    """Takes lines, one after the other.

    Attributes:
        steps: what they become.
        plan: plans a loop's body.
        ahead: what a look ahead tells of the lines.
        assembler: puts parts into arrays.
        totals: products, and sums of them, to whose memory a further product may be added.
        done: values of lines that others have taken in.
    """

    def __init__(self, steps: Steps, plan: loops.Planner) -> None:
        self.steps, self.plan = steps, plan
        self.assembler = Assembler(steps, self._at_hand)
        self.ahead = Ahead()
        self.totals: set[Value] = set()
        self.done: set[Value] = set()

    def take_all(self, lines: Sequence[Line], later: Iterable[Value] = ()) -> None:
        """Deals with the lines of a block, of whose results some are needed later."""
        lines = [line for line in lines if not is_alias(line)]
        self.ahead = Ahead(lines, later, self.steps.root)
        runs = Runs(self.steps, lines, self._at_hand)
        for line in lines:
            if line.results[0] in self.done or runs.take(line):
                continue
            if not self._is_noted(line):
                self._end(runs)
                if runs.take(line):
                    continue
            self.take(line)
        self._end(runs)

    def _is_noted(self, line: Line) -> bool:
        """Whether nothing is done about a line but to note a piece of what is put together later,
        so that runs go on. What it is put into must not be of the run: that may yet be noted."""
        if line.primitive is not put_strided or is_foreign(line):
            return False
        result, base = line.result, self.steps.root(line.operands[0])
        return result in self.ahead.chained and result not in self.ahead.rewritten and (
            base in self.assembler.pending or base in self.steps.known
            or isinstance(base, Constant))

    def _end(self, runs: Runs) -> None:
        for line in runs.end():
            self.take(line)

    def _at_hand(self, value: Value) -> bool:
        """Whether a value is in memory or a scalar, and not what a nest is about to compute, which
        it could go on with."""
        if value in self.assembler.pending:
            return False
        known = self.steps.of(value)
        return isinstance(known.home, Straight) or value in self.steps.turned or (
            known.home is None and known.buffer is not None)

    def take(self, line: Line) -> None:
        """Deals with a line on its own."""
        name = line.primitive.name
        if line.results[0] in self.done:
            return
        if is_foreign(line):
            self._call(line)
        elif (found := operation(line)) is not None:
            self._lazy(line.result, line.operands, recipes.elementwise(found, line),
                       COSTS.get(found, ELEMENTARY))
        else:
            special = TAKES.get(name)
            if special is None or special(self, line) is False:
                self._call(line)

    # --- what is only noted -------------------------------------------------------------------

    def _lazy(self, value: Value, operands: Sequence[Value], recipe: Recipe,
              cost: int) -> None:
        """Notes how a value is worked out of others."""
        steps = self.steps
        wide = value.aval.numel
        known = Known(value, recipe=recipe, cost=cost)
        for x in operands:
            other = steps.of(x)
            if x.aval.numel < wide and other.cost >= _FEW and other.recipe is not None:
                steps.stored(x)  # once, not once for each of the elements that need it
            known.need = max(known.need, other.need)
            if other.buffer is None:
                known.cost = min(known.cost + other.cost, 1 << 20)
                known.leaves |= other.leaves
            elif x.aval.numel * _FEW >= wide:
                known.leaves |= {other.value}
        if other_leaves := known.leaves:
            known.leaves = frozenset(v for v in other_leaves if v.aval.numel * _FEW >= wide)
        steps.known[value] = known
        if len(known.leaves) > MANY:
            steps.stored(value)

    def _strided(self, line: Line) -> None:
        (x,), region = line.operands, region_of(line.params)
        if x in self.assembler.pending and self.assembler.turned(line):
            return
        if line.result.aval.numel >= _MANY and (found := repeats(region)) is not None:
            near, region = Value(x.aval.with_shape(found[0].shape)), found[1]
            self._region(near, x, found[0])
            self.steps.stored(near)
            x = near
        self._region(line.result, x, region)

    def _region(self, value: Value, x: Value, region: Region) -> None:
        """Notes that a value is a region of another."""
        self._lazy(value, (x,), recipes.window(x, *region), 0)
        self.steps.known[value].view = x, region.strides, region.offset

    def _put(self, line: Line) -> None:
        self.assembler.put(line, self.ahead)

    def _iota(self, line: Line) -> None:
        p = line.params
        self._lazy(line.result, (), recipes.counted(tuple(p["shape"]), p["dim"],
                                                    p["dtype"].numpy), 1)

    def _number(self, value: Value, found: Any) -> None:
        self.steps.known[value] = Known(value, recipe=recipes.numbered(value.aval.numpy, found))

    # --- reductions ---------------------------------------------------------------------------

    def _reduce(self, line: Line) -> bool | None:
        (x,), how = line.operands, HOW[line.primitive.name]
        shape, dims = tuple(x.aval.shape), line.params["dims"]
        dtype = line.result.aval.numpy
        if not x.aval.numel:
            if how in ("maximum", "minimum") and line.result.aval.numel:
                return False
            self._number(line.result, neutral(how, dtype))
            return None
        if x.aval.numpy != dtype:
            x = self._converted(x, dtype)
        count = prod(shape[d] for d in dims)
        if count == 1:
            self._lazy(line.result, (x,), recipes.same(x), 0)
            return None
        reduction, known = Reduction(x, line.result, frozenset(dims), how), self.steps.of(x)
        if count <= _FEW and not reduction.trailing and x.aval.numel >= _MANY:
            self._combined(reduction)
            return None
        same = known.value.aval.shape == shape
        if known.view is not None and same and reduction.follow(known.view[1]):
            self._new_row(reduction, self._row_root(reduction))
        else:
            self._placed(reduction)
        return None

    def _combined(self, reduction: Reduction) -> None:
        """A few elements that lie apart, combined where the result is needed: stored at once, as
        it is much work to do twice."""
        x, result = reduction.x, reduction.result
        recipe = recipes.combined(reduction.how, x, *reduction.kept, reduction.offsets,
                                  result.aval.numpy)
        self._lazy(result, (x,), recipe, reduction.cols * (1 + self.steps.of(x).cost))

    def _placed(self, reduction: Reduction) -> None:
        """Has a nest that there is reduce; else, if rows can be reduced each for itself, waits for
        one that needs the result."""
        if not reduction.by_row:
            self._accumulated(reduction)
            return
        row = self._row_root(reduction)
        group = self.steps.joined(row)
        if group is not None:
            self._row_reduced(reduction, group)
        elif not (reduction.whole and self._accumulated(reduction, join=True)):
            self.steps.known[reduction.result] = Known(
                reduction.result, row.need, cost=ELEMENTARY,
                leaves=frozenset((reduction.result,)), reduction=reduction,
                settle=lambda: self._new_row(reduction, row))

    def _converted(self, x: Value, dtype: np.dtype[Any]) -> Value:
        """x in another dtype, as a value of its own."""
        value = Value(x.aval.with_dtype(dtypes.of(dtype)))
        self._lazy(value, (x,), recipes.converted(x, dtype), 1)
        return value

    def _row_root(self, reduction: Reduction) -> Root:
        """Reduces each row to one value, which its turn can go on with."""
        x, result = reduction.x, reduction.result

        def build(group: Group, fit: Any) -> Generator[tuple[Value, At], Node, None]:
            node = yield x, At(fit(reduction.places))
            total = group.add(Node("reduce", result.aval.numpy, reduction.how, (node,)))
            at = group.dense_at(result.aval.numel)
            assert at is not None
            group.nodes[result, at] = total

        return Root(reduction.sizes, build, self.steps.of(x).need, reduction.cols, full=True)

    def _row_reduced(self, reduction: Reduction, group: Group) -> None:
        result = reduction.result
        self.steps.known[result] = Known(result, group.index, cost=ELEMENTARY,
                                         leaves=frozenset((result,)), home=group)

    def _new_row(self, reduction: Reduction, row: Root) -> None:
        """Reduces rows, in a nest of their own if need be; adds up in memory if there are none."""
        try:
            group = self.steps.place(row) if reduction.by_row else None
        except MisfitError:
            group = None
        if group is None:
            self._accumulated(reduction)
        else:
            self._row_reduced(reduction, group)

    def _accumulated(self, reduction: Reduction, join: bool = False) -> bool:
        """Adds up over rows, in memory; if so wished, only in a nest that there is."""
        steps, x, result = self.steps, reduction.x, reduction.result
        total, kind = result, wider(result.aval.numpy, reduction)
        if kind != result.aval.numpy:
            total = Value(result.aval.with_dtype(dtypes.of(kind)))
            x = self._converted(x, kind)
        buffer = steps.new_buffer(total)

        def build(group: Group, fit: Any) -> Generator[tuple[Value, At], Node, None]:
            node = yield x, At(fit(reduction.places))
            group.fills.append((buffer, neutral(reduction.how, kind)))
            group.put(Put(node, buffer, fit(reduction.targets), how=reduction.how,
                          rows=group.size != x.aval.numel))

        root = Root(reduction.sizes, build, steps.of(x).need)
        group = steps.joined(root) if join else steps.place(root)
        if group is None:
            return False
        steps.known[total] = Known(total, group.index + 1, leaves=frozenset((total,)),
                                   buffer=buffer, step=group.index)
        if total is not result:
            self._lazy(result, (total,), recipes.converted(total, result.aval.numpy), 1)
        return True

    def _arg(self, line: Line) -> bool | None:
        (x,), (dim,) = line.operands, line.params["dims"]
        shape = tuple(x.aval.shape)
        if not x.aval.numel:
            return False
        if shape == () or shape[dim] == 1:
            self._number(line.result, 0)
            return None
        reduction = Reduction(x, line.result, frozenset((dim,)), line.primitive.name)
        reduction.make_trailing()
        row = self._row_root(reduction)
        try:
            group = self.steps.place(row)
        except MisfitError:
            return False
        self._row_reduced(reduction, group)
        return None

    # --- indexing -----------------------------------------------------------------------------

    def _gather(self, line: Line) -> bool | None:
        x, y = line.operands
        if y.aval.numpy.kind != "i" or not x.aval.ndim:
            return False
        dim, shape = line.params["dim"], tuple(y.aval.shape)
        table = dense(tuple(x.aval.shape))
        steps = tuple(0 if d == dim else s for d, s in enumerate(table))
        self._indexed(line, x, (y,), tuple(line.result.aval.shape), dense(shape), steps, dim)
        return None

    def _pick(self, line: Line) -> bool | None:
        x, y = line.operands
        if y.aval.numpy.kind != "i" or not x.aval.ndim:
            return False
        dim, shape = line.params["dim"], tuple(y.aval.shape)
        table = dense(tuple(x.aval.shape))
        steps = [0 if d == dim else s for d, s in enumerate(table)]
        if len(shape) < len(steps):
            del steps[dim]
        self._indexed(line, x, (y,), shape, dense(shape), tuple(steps), dim)
        return None

    def _indexed(self, line: Line, x: Value, indices: Sequence[Value], shape: Ints, places: Ints,
                 steps: Ints, dim: int, offset: int = 0) -> None:
        if self.steps.of(x).buffer is None and line.result.aval.numel * 2 > x.aval.numel:
            self.steps.stored(x)
        recipe = recipes.picked(x, indices, shape, places, steps, dim, offset)
        self._lazy(line.result, (x, *indices), recipe, 2)

    def _index(self, line: Line) -> bool | None:
        """x at index arrays for adjacent dimensions, with whole ones beside them."""
        x, *indices = line.operands
        place = _indexed_dim(line.params["pattern"], x, indices)
        if place is None:
            return False
        index, after = tuple(indices[0].aval.shape), place + len(indices)
        table, shape = dense(tuple(x.aval.shape)), tuple(line.result.aval.shape)
        steps = (*table[:place], *(0,) * len(index), *table[after:])
        places = (*(0,) * place, *dense(index), *(0,) * (x.aval.ndim - after))
        self._indexed(line, x, indices, shape, places, steps, place)
        return None

    def _index_put(self, line: Line) -> bool | None:
        """Index arrays for adjacent dimensions, with whole ones beside them."""
        x, y, *indices = line.operands
        place = _indexed_dim(line.params["pattern"], x, indices)
        if place is None:
            return False
        index, after = tuple(indices[0].aval.shape), place + len(indices)
        table = dense(tuple(x.aval.shape))
        whole = (*x.aval.shape[:place], *index, *x.aval.shape[after:])
        self._scattered(
            line, whole, (y, broadcast_steps(tuple(y.aval.shape), whole)),
            (indices, (*(0,) * place, *dense(index), *(0,) * (x.aval.ndim - after))),
            (*table[:place], *(0,) * len(index), *table[after:]),
            place, "add" if line.params["accumulate"] else "")
        return None

    def _scatter_add(self, line: Line) -> bool | None:
        x, y, z = line.operands
        dim = line.params["dim"]
        if y.aval.numpy.kind != "i" or not x.aval.ndim:
            return False
        shape = tuple(y.aval.shape)
        if shape[dim] == 1 and shape == tuple(z.aval.shape) and (
                shape == tuple(1 if d == dim else n for d, n in enumerate(x.aval.shape))):
            self.steps.stored(y)
            self._lazy(line.result, line.operands, recipes.one_hot(line, dim), 4)
            return None
        table = dense(tuple(x.aval.shape))
        self._scattered(line, shape, (z, dense(tuple(z.aval.shape))), ((y,), dense(shape)),
                        tuple(0 if d == dim else s for d, s in enumerate(table)), dim, "add")
        return None

    def _scattered(self, line: Line, shape: Ints, source: tuple[Value, Ints],
                   index: tuple[Sequence[Value], Ints], steps: Ints, dim: int, how: str) -> None:
        """Copies x and stores in it at places that indices say, in order."""
        x, steps_ = line.operands[0], self.steps
        buffer, base = steps_.begin(line.result, x)
        bounds, strides = x.aval.shape[dim:], dense(tuple(x.aval.shape))[dim:]
        loops = loops_over(shape)

        def own(strides: Sequence[int]) -> Ints:
            return tuple(s for s, n in zip(strides, shape, strict=True) if n != 1)

        def build(group: Group, fit: Any) -> Generator[tuple[Value, At], Node, None]:
            places = []
            for each, bound, stride in zip(index[0], bounds, strides, strict=False):
                place = yield each, At(fit(own(index[1])))
                places.append((place, bound, stride))
            node = yield source[0], At(fit(own(source[1])))
            group.put(Put(node, buffer, fit(own(steps)), 0, how, tuple(places)))

        need = max(base + 1, *(steps_.of(v).need for v in (source[0], *index[0])))
        step = base
        if prod(shape):
            step = steps_.place(Root(loops, build, need, alone=True)).index
        steps_.written(line.result, buffer, step)

    # --- steps --------------------------------------------------------------------------------

    def _product(self, line: Line) -> bool | None:
        if line.result.aval.numpy.kind != "f" or line.result.aval.numpy.itemsize < 4:
            return False
        if not (line.result.aval.numel and line.operands[0].aval.numel):
            self._number(line.result, 0)
            return None
        steps, given = self.steps, line.result
        if given in self.ahead.folded and self._folded(line, self.ahead.folded[given]):
            return None
        if line.operands[0].aval.shape[-1] <= _TERMS:
            self._dotted(line)
            return None
        result = self.ahead.turned.get(given, given)
        other, total = self.ahead.summed.get(result, (result, result))
        if other in self.totals and total is not result:
            buffer = steps.of(other).buffer
            assert buffer is not None
        else:
            total, buffer = result, steps.new_buffer(result)
        out = product_spots(line, buffer, turned=result is not given)
        steps.steps.append(product(steps, line, out, accumulate=total is not result))
        steps.written(total, buffer, len(steps.steps) - 1)
        self.done.update((result, total))
        if total in self.ahead.once:
            self.totals.add(total)
        return None

    def _dotted(self, line: Line) -> None:
        """A product of so few terms to a sum that it is elementwise."""
        for x in line.operands:
            known = self.steps.of(x)
            if known.cost or known.recipe is None:
                self.steps.stored(x)
        self._lazy(line.result, line.operands, recipes.dotted(line),
                   2 * line.operands[0].aval.shape[-1])

    def _folded(self, line: Line, total: Line) -> bool:
        """A product of which only a sum is needed: added up at once, if that can be done."""
        steps, result, (pieces,) = self.steps, total.result, total.operands
        buffer, several = steps.new_buffer(result), total.primitive is unstrided
        if several:
            out = Spots(buffer, tuple(pieces.aval.shape), total.params["strides"],
                        total.params["offset"])
        else:
            out = product_spots(line, buffer, summed=True)
        made = folded(steps, line, out, accumulate=several)
        if made is None:
            return False
        if several:
            steps.copied(zeros(result.aval), buffer)
        steps.steps.append(made)
        steps.written(result, buffer, len(steps.steps) - 1)
        self.done.update((line.result, result))
        return True

    def _unstrided(self, line: Line) -> None:
        """Zeros, and all elements added in their places."""
        if not line.operands[0].aval.numel:
            self._number(line.result, 0)
            return
        (x,), buffer, p = line.operands, self.steps.new_buffer(line.result), line.params
        shape = tuple(x.aval.shape)
        strides = tuple(s for s, n in zip(p["strides"], shape, strict=True) if n != 1)

        def build(group: Group, fit: Any) -> Generator[tuple[Value, At], Node, None]:
            node = yield x, At(fit(dense(loops_over(shape))))
            group.fills.append((buffer, 0))
            group.put(Put(node, buffer, fit(strides), p["offset"], "add",
                          rows=group.size != x.aval.numel))

        group = self.steps.place(Root(loops_over(shape), build, self.steps.of(x).need))
        self.steps.written(line.result, buffer, group.index)

    def _call(self, line: Line) -> None:
        """Has Python evaluate the line."""
        steps = self.steps
        operands = tuple(map(self._shaped, line.operands))
        results = tuple(steps.new_buffer(v, tuple(v.aval.shape)) for v in line.results)
        shapes = tuple(tuple(v.aval.shape) for v in line.operands)
        steps.steps.append(Call(line.primitive, operands, line.params, results, shapes))
        for value, buffer in zip(line.results, results, strict=True):
            steps.written(value, buffer, len(steps.steps) - 1)

    def _repeated(self, line: Line) -> None:
        """A loop, or a choice: a step that holds the plan of its body."""
        steps = self.steps
        laid = _LOOPS[line.primitive.name](steps, line, self.plan)
        steps.steps.append(laid.step)
        for value, buffer in laid.memory.items():
            steps.written(value, buffer, len(steps.steps) - 1)
        for value, (whole, offset) in laid.parts.items():
            shape = tuple(value.aval.shape)
            self._lazy(value, (whole,), recipes.window(whole, shape, dense(shape), offset), 0)
            steps.known[value].view = whole, dense(shape), offset

    def _shaped(self, x: Value) -> Buffer:
        """Memory that holds a value, and says that it is of its shape."""
        buffer, shape = self.steps.memory(x), tuple(x.aval.shape)
        if buffer.shape == shape:
            return buffer
        copy = Buffer(buffer.dtype, buffer.size, "temporary", shape=shape)
        self.steps.moved(x, copy)
        return copy


def repeats(region: Region) -> tuple[Region, Region] | None:
    """For a region that repeats each element a few times, next to each other, and perhaps all of
    them again: the repeated elements, and the region of these that it is."""
    dims = [d for d, n in enumerate(region.shape) if n != 1]
    if len(dims) < 2 or region.strides[dims[-1]] or region.shape[dims[-1]] > _FEW:
        return None
    own = [d for d in dims if region.strides[d] or d == dims[-1]]
    near = Region(tuple(region.shape[d] for d in own), tuple(region.strides[d] for d in own),
                  region.offset)
    steps = dict(zip(own, dense(near.shape), strict=True))
    return near, Region(region.shape, tuple(steps.get(d, 0) for d in range(len(region.shape))))


def _indexed_dim(pattern: tuple[Any, ...], x: Value, indices: Sequence[Value]) -> int | None:
    """The first of the adjacent dimensions that index arrays of one shape stand for, all others
    being whole."""
    if any(i.aval.numpy.kind != "i" or i.aval.shape != indices[0].aval.shape for i in indices):
        return None
    count = len(indices)
    if 0 not in pattern:
        return None
    place = pattern.index(0)
    before, after = pattern[:place], pattern[place + count:]
    if pattern[place:place + count] != tuple(range(count)) or any(
            p is not Ellipsis and p != (None, None, None) for p in (*before, *after)):
        return None
    return x.aval.ndim - count - len(after) if Ellipsis in before else place


TAKES: dict[str, Callable[[Lines, Line], bool | None]] = {
    **dict.fromkeys(HOW, Lines._reduce), "argmax": Lines._arg, "argmin": Lines._arg,
    "strided": Lines._strided, "put_strided": Lines._put,
    "unstrided": Lines._unstrided, "iota": Lines._iota,
    "gather": Lines._gather, "pick": Lines._pick, "index": Lines._index,
    "index_put": Lines._index_put, "scatter_add": Lines._scatter_add,
    "mm": Lines._product, "bmm": Lines._product,
    **dict.fromkeys(("repeated", "unbounded", "unwound", "choice"), Lines._repeated)}
"""What is done about lines by the primitive's name; False says that the line must be called."""
_LOOPS = {"repeated": loops.laid, "unbounded": loops.laid_open, "unwound": loops.laid_unwound,
          "choice": loops.laid_choice}
"""The steps of loops and choices, by the primitive's name."""
