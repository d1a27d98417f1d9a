"""Runs plans with NumPy, slowly: what a plan means, without native code.

Memory is as in native code: temporaries lie in one arena, and what nothing has written holds
garbage. Rows run backwards where their order is free, so that a plan that depends on it fails.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...core import halves
from ...core.levels import quietly
from ...core.primitive import TABLE
from .nest import (
    Access,
    Branch,
    Buffer,
    Call,
    Choose,
    Contraction,
    Index,
    Load,
    Matrix,
    Nest,
    Number,
    Op,
    Plan,
    PlanBlock,
    Product,
    Reduce,
    Repeat,
    Stage,
    Statement,
    Step,
    Store,
    Stretch,
    Unwind,
)

_GARBAGE = 0xC7


class OutOfRangeError(IndexError):
    """An index that is out of bounds."""


class MissError(LookupError):
    """A look that gave an answer for which the plan has no case; `number` is the look's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(plan: Plan, arrays: Sequence[np.ndarray], donate: bool = False
        ) -> tuple[int, list[np.ndarray]]:
    """The number of the end that a plan reaches, and that end's outputs.

    Args:
        plan: the plan.
        arrays: its inputs; they are not written to.
        donate: whether outputs lie in (copies of) the inputs' memory where the plan allows it.

    Raises:
        OutOfRangeError: if an index is out of bounds.
        MissError: if a look gives an answer that the plan has no case for.
    """
    return _Run(plan, arrays, donate).run()


class _Run:
    def __init__(self, plan: Plan, arrays: Sequence[np.ndarray], donate: bool) -> None:
        self.plan = plan
        self.arena = np.full(plan.arena, _GARBAGE, np.uint8)
        self.memory: dict[Buffer, np.ndarray] = {}
        for buffer, array in zip(plan.inputs, arrays, strict=True):
            self.memory[buffer] = np.array(array, buffer.dtype).reshape(-1)
        for buffer in plan.outputs:
            self.memory[buffer] = _garbage(buffer)
        for out, given in plan.donated.items() if donate else ():
            self.memory[plan.outputs[out]] = self.memory[plan.inputs[given]]

    def run(self) -> tuple[int, list[np.ndarray]]:
        block: PlanBlock = self.plan.body
        while True:
            for step in block.steps:
                quietly(self._step, step)
            end = block.end
            if not isinstance(end, Branch):
                outputs = [self.plan.outputs[i] for i in end.outputs]
                return end.number, [self.at(b).reshape(b.shape) for b in outputs]
            answer = self.at(end.buffer).tobytes()
            if answer not in end.cases:
                raise MissError(end.number)
            block = end.cases[answer]

    def at(self, buffer: Buffer) -> np.ndarray:
        """A buffer's elements."""
        found = self.memory.get(buffer)
        if found is None:
            if buffer.kind == "temporary":
                stop = buffer.offset + buffer.size * buffer.dtype.itemsize
                found = self.arena[buffer.offset:stop].view(buffer.dtype)
            else:
                found = (np.asarray(buffer.array).reshape(-1) if buffer.kind == "constant"
                         else _garbage(buffer))
            self.memory[buffer] = found
        return found

    def _step(self, step: Step) -> None:
        if isinstance(step, Nest):
            self._nest(step)
        elif isinstance(step, Product):
            self._product(step)
        elif isinstance(step, Contraction):
            self._contraction(step)
        elif isinstance(step, Repeat):
            if step.count is None:
                self._open(step)
            else:
                self._repeat(step, step.count)
        elif isinstance(step, Unwind):
            self._unwind(step)
        elif isinstance(step, Choose):
            own = self.at(step.arena)
            own[...] = _GARBAGE
            _Run.within(step.plans[not self.at(step.which)[0]], own,
                        [*map(self.at, step.inputs), *map(self.at, step.outputs)]).run()
        else:
            self._call(step)

    def _repeat(self, repeat: Repeat, count: int) -> None:
        body = repeat.body
        inputs = [self._stretch(s, own, 0) for s, own in zip(repeat.inputs, body.inputs,
                                                             strict=True)]
        spare = {c.output: c.spare for c in repeat.carried if c.spare is not None}
        for turn in range(count):
            own = self.at(repeat.arena)
            own[...] = _GARBAGE
            for i, stretch in enumerate(repeat.inputs):
                if i not in {c.input for c in repeat.carried}:
                    inputs[i] = self._stretch(stretch, body.inputs[i], turn)
            outputs = [self._stretch(s, b, turn) for s, b in zip(repeat.outputs, body.outputs,
                                                                 strict=True)]
            if (count - turn) % 2 == 0:
                for o, buffer in spare.items():
                    outputs[o] = self.at(buffer)
            inner = _Run.within(body, own, [*inputs, *outputs])
            inner.run()
            for carry in repeat.carried:
                inputs[carry.input] = outputs[carry.output]

    def _open(self, repeat: Repeat) -> None:
        inputs = [self.at(s.buffer) for s in repeat.inputs]
        places = [self.at(s.buffer) for s in repeat.outputs]
        others = [place if c.spare is None else self.at(c.spare)
                  for c, place in zip(repeat.carried, places, strict=True)]
        now, then = places, others
        while inputs[0]:
            self._turn(repeat, [*inputs, *now])
            for carry in repeat.carried:
                inputs[carry.input] = now[carry.output]
            now, then = then, now
        for carry, place in zip(repeat.carried, places, strict=True):
            place[...] = inputs[carry.input].copy()

    def _turn(self, repeat: Repeat, arrays: Sequence[np.ndarray]) -> None:
        own = self.at(repeat.arena)
        own[...] = _GARBAGE
        _Run.within(repeat.body, own, arrays).run()

    def _unwind(self, unwind: Unwind) -> None:
        forth, back, count = unwind.forth, unwind.back, len(unwind.kept)
        same = [self.at(s.buffer) for s in forth.inputs[count:]]
        state = [self.at(s.buffer) for s in forth.inputs[:count]]
        kept = []
        while state[0]:
            kept.append(state)
            state = list(map(_garbage, unwind.kept))
            self._turn(forth, [*kept[-1], *same, *state])
        first = back.carried[0].input
        given = [self.at(s.buffer).copy() for s in back.inputs[first:]]
        for state in reversed(kept):
            found = [g if c.spare is None else _garbage(s.buffer) for c, s, g in zip(
                back.carried, back.outputs, given, strict=True)]
            self._turn(back, [*state, *same, *given, *found])
            given = found
        for stretch, array in zip(back.outputs, given, strict=True):
            self.at(stretch.buffer)[...] = array

    def _stretch(self, stretch: Stretch, own: Buffer, turn: int) -> np.ndarray:
        """The elements of a loop's input or output in a turn."""
        start = stretch.offset + stretch.step * turn
        found = self.at(stretch.buffer)[start:start + own.size]
        if start < 0 or found.size != own.size:
            raise AssertionError(f"{stretch} leaves its memory in turn {turn}")
        return found

    @classmethod
    def within(cls, body: Plan, arena: np.ndarray, arrays: Sequence[np.ndarray]) -> _Run:
        """A turn of a loop, in memory that is given."""
        run = cls.__new__(cls)
        run.plan, run.arena = body, arena
        run.memory = dict(zip((*body.inputs, *body.outputs), arrays, strict=True))
        return run

    def _call(self, call: Call) -> None:
        shapes = call.shapes or [b.shape for b in call.operands]
        operands = [self.at(b).reshape(shape)
                    for b, shape in zip(call.operands, shapes, strict=True)]
        found = halves.evaluate(call.primitive, operands, call.params)
        for buffer, array in zip(call.results, found if call.primitive.multiple else (found,),
                                 strict=True):
            self.at(buffer)[...] = np.asarray(array, buffer.dtype).reshape(-1)

    def _product(self, p: Product) -> None:
        for i in range(p.count):
            a, b = self._matrix(p.a, i, p.m, p.k), self._matrix(p.b, i, p.k, p.n)
            out = self._matrix(p.out, i, p.m, p.n)
            out[...] = a @ b + (out if p.accumulate else 0)

    def _contraction(self, c: Contraction) -> None:
        turns = np.indices(c.sizes).reshape(len(c.sizes), -1)
        a, b, out = (np.asarray(x.strides) @ turns + x.offset for x in (c.a, c.b, c.out))
        if not c.accumulate:
            self.at(c.out.buffer)[out] = 0
        np.add.at(self.at(c.out.buffer), out, self.at(c.a.buffer)[a] * self.at(c.b.buffer)[b])

    def _matrix(self, m: Matrix, i: int, rows: int, cols: int) -> np.ndarray:
        if not ((m.row == 1 or rows == 1) or (m.col == 1 or cols == 1)):
            raise AssertionError(f"{m} is no matrix to BLAS")
        array = self.at(m.buffer)[m.offset + i * m.batch:]
        if (rows - 1) * m.row + (cols - 1) * m.col >= array.size:
            raise AssertionError(f"{m} reaches beyond its memory")
        size = array.itemsize
        return np.lib.stride_tricks.as_strided(array, (rows, cols), (m.row * size, m.col * size))

    # --- nests --------------------------------------------------------------------------------

    def _nest(self, nest: Nest) -> None:
        stores = [s for s in nest.statements() if isinstance(s, Store)]
        for row in _rows(nest, any(s.indirect for s in stores)):
            for buffer in {s.at.buffer for s in stores if s.at.buffer.kind == "scratch"}:
                self.memory[buffer] = _garbage(buffer)
            values: dict[Statement, np.ndarray] = {}
            for stage in nest.stages:
                kept = self._stage(stage, row, nest.cols, dict(values))
                values.update(kept)

    def _stage(self, stage: Stage, row: tuple[int, ...], cols: int,
               values: dict[Statement, np.ndarray]) -> Mapping[Statement, np.ndarray]:
        """Runs a stage; the values that later ones may use."""
        place = (*row, np.arange(cols)) if stage.sweep else row
        own: dict[Statement, np.ndarray] = {}
        for statement in stage.statements:
            values[statement] = found = self._value(statement, place, values, cols)
            if isinstance(statement, Reduce) or not stage.sweep:
                own[statement] = found
        return own

    def _value(self, s: Statement, place: tuple[Any, ...], values: Mapping[Any, Any],
               cols: int) -> Any:
        if isinstance(s, Number):
            return np.asarray(s.value, s.dtype)
        if isinstance(s, Index):
            return np.asarray(s.offset + _dot(s.strides, place), s.dtype)
        if isinstance(s, Load):
            return self.at(s.at.buffer)[self._place(s.at, s.indirect, place, values)]
        if isinstance(s, Op):
            return evaluated(s.name, s.dtype, [values[v] for v in s.operands])
        if isinstance(s, Reduce):
            return _reduced(s, np.broadcast_to(values[s.operand], (cols,)))
        return self._store(s, place, values)

    def _place(self, at: Access, indirect: Sequence[tuple[Statement, int, int]],
               place: tuple[Any, ...], values: Mapping[Any, Any]) -> Any:
        if len(at.strides) != len(place):
            raise AssertionError(f"{at} has not one stride per loop")
        found = at.offset + _dot(at.strides, place)
        for statement, bound, stride in indirect:
            index = values[statement]
            if np.any(index < -bound) or np.any(index >= bound):
                raise OutOfRangeError(f"index out of bounds for size {bound}")
            found = found + np.where(index < 0, index + bound, index) * stride
        if np.any(np.asarray(found) < 0):
            raise AssertionError(f"{at} lies before its memory")
        return found

    def _store(self, s: Store, place: tuple[Any, ...], values: Mapping[Any, Any]) -> None:
        target = self.at(s.at.buffer)
        where = self._place(s.at, s.indirect, place, values)
        shape = np.broadcast_shapes(np.shape(where), np.shape(place[-1]) if place else ())
        where = np.broadcast_to(where, shape)
        operand = np.broadcast_to(values[s.operand], shape)
        if operand.dtype != target.dtype:
            raise AssertionError(f"{operand.dtype} stored as {target.dtype}")
        if s.how:
            getattr(np, s.how).at(target, where, operand)
        elif s.indirect:
            for i, each in zip(where.reshape(-1), operand.reshape(-1), strict=True):
                target[i] = each
        else:
            target[where] = operand


def _garbage(buffer: Buffer) -> np.ndarray:
    return np.full(buffer.size * buffer.dtype.itemsize, _GARBAGE, np.uint8).view(buffer.dtype)


def _rows(nest: Nest, in_order: bool) -> Iterator[tuple[int, ...]]:
    ranges = [range(n) if in_order else range(n - 1, -1, -1) for n in nest.rows]
    return itertools.product(*ranges)


def _dot(strides: Sequence[int], place: Sequence[Any]) -> Any:
    return sum(s * i for s, i in zip(strides, place, strict=True))


def evaluated(name: str, dtype: np.dtype[Any], operands: Sequence[np.ndarray]) -> np.ndarray:
    """A scalar operation, by NumPy."""
    if name == "cast":
        return operands[0].astype(dtype)
    function: Any = getattr(np, name, None) or TABLE[name].evaluate
    found = np.asarray(function(*operands))
    if found.dtype != dtype:
        raise AssertionError(f"{name} gives {found.dtype}, not {dtype}")
    return found


def _reduced(s: Reduce, row: np.ndarray) -> np.ndarray:
    if s.how.startswith("arg"):
        return np.asarray(getattr(np, s.how)(row), s.dtype)
    return np.asarray(getattr(np, s.how).reduce(row, dtype=s.dtype))
