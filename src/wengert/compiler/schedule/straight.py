"""Small arrays: a scalar for every element, and no loop but one over examples.

A run of lines whose arrays all have few elements becomes one long list of scalar statements. An
array is then a list of statements, in dense order. Views and everything else that only moves
elements cost nothing. Where lines do the same for many examples, the list is what is done for one
of them, as a sweep over all: so vectors are filled with as many examples.

What later steps need of the examples lies in memory with examples last, side by side.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir.nest import Access, Buffer, Load, Nest, Number, Op, Stage, Statement, Store
from ..ir.program import Constant, Line, Value
from ..ir.regions import Region
from ..ir.uniform import element, is_uniform
from .access import Ints
from .examples import Examples, Way, places
from .operations import operation
from .reductions import HOW, neutral

if TYPE_CHECKING:
    from .placing import Steps


class Straight:
    """A run of lines as scalar statements.

    Args:
        steps: the steps that it is one of.
        index: its place among them.
        examples: that its lines go by.

    Attributes:
        values: an example's elements of each value.
        statements: all statements, in order.
        puts: what is stored, how far an example's lies from the next one's, and where the first
            one's elements lie.
    """

    def __init__(self, steps: Steps, index: int, examples: Examples) -> None:
        self.steps, self.index, self.examples = steps, index, examples
        self.count = examples.count
        self.values: dict[Value, list[Statement]] = {}
        self.statements: list[Statement] = []
        self.puts: list[tuple[Buffer, list[Statement], int, Sequence[int]]] = []
        self._same: dict[Any, Statement] = {}
        self._apart: set[Value] = set()

    def take(self, line: Line, way: Way) -> None:
        """Adds a line that goes that way."""
        name, dtype = line.primitive.name, line.result.aval.numpy
        given = [self._read(*each) for each in zip(line.operands, way.steps, way.taken,
                                                   strict=True)]
        op = operation(line)
        if op is not None:
            found = [self._op(op, dtype, each) for each in zip(*given, strict=True)]
        elif name in HOW:
            found = self._reduced(HOW[name], dtype, given[0], way)
        elif way.sizes:
            found = self._product(dtype, given[0], given[1], way.sizes)
        else:
            found = [e for each in given for e in each]
            if way.places:
                found = [found[i] for i in way.places]
        self.values[line.result] = found

    def apart(self, value: Value, last: Value) -> Value:
        """Has another value have the same elements, but lie with examples last."""
        self.values[last] = self.values[value]
        self._apart.add(last)
        return last

    def keep(self, value: Value, buffer: Buffer) -> None:
        """Stores a value."""
        step, stride = (1, self.count) if value in self._apart else self.examples.layout(
            value.aval.numel)
        found = self.values[value]
        self.puts.append((buffer, found, step, range(0, len(found) * stride, stride)))

    def put(self, value: Value, buffer: Buffer, region: Region) -> None:
        """Stores a value, of a single example, in a region of something."""
        found = self._read(value, 0, range(value.aval.numel))
        self.puts.append((buffer, found, 0, places(*region)))

    def nest(self, wanted: Callable[[Buffer], bool],
             name: Callable[[Buffer], Buffer]) -> list[Nest]:
        """The nest, without what is not wanted; none, if nothing is."""
        many = self.count > 1
        stores = [Store(Access(name(buffer), (step,) if many else (), place), statement)
                  for buffer, found, step, where in self.puts if wanted(buffer)
                  for place, statement in zip(where, found, strict=True)]
        needed = {id(store.operand) for store in stores}
        kept: list[Statement] = []
        for s in reversed(self.statements):
            if id(s) in needed:
                kept.append(s)
                if isinstance(s, Op):
                    needed.update(map(id, s.operands))
        stage = Stage(many, (*kept[::-1], *stores))
        return [Nest((), self.count, (stage,))] if stores else []

    # --- statements ---------------------------------------------------------------------------

    def _read(self, value: Value, step: int, places: Sequence[int]) -> list[Statement]:
        """Elements of a value; loaded, if it isn't of this run."""
        value = self.steps.root(value)
        found = self.values.get(value)
        if found is not None:
            unit = self.examples.layout(value.aval.numel)[1]
            return [found[i // unit] for i in places]
        if isinstance(value, Constant) and is_uniform(value.array):
            number = self._number(value.array.dtype, element(value.array).item())
            return [number] * len(places)
        if isinstance(value, Constant) and step == 0:
            flat = value.array.reshape(-1)
            return [self._number(flat.dtype, flat[i].item()) for i in places]
        last = self.steps.turned.get(value)
        if last is not None and step % last.aval.shape[0] == 0:
            size, count = last.aval.shape
            return self._loaded(last, step // size, [i % size * count + i // size for i in places])
        return self._loaded(value, step, places)

    def _loaded(self, value: Value, step: int, places: Sequence[int]) -> list[Statement]:
        buffer = self.steps.memory(value)
        self.steps.pinned.add(buffer)
        return [self._load(buffer, step, i) for i in places]

    def _enter(self, key: Any, make: Callable[..., Statement], *given: Any) -> Statement:
        """A statement; the one that is there already, if it says the same."""
        found = self._same.get(key)
        if found is None:
            found = self._same[key] = make(*given)
            self.statements.append(found)
        return found

    def _load(self, buffer: Buffer, step: int, place: int) -> Statement:
        return self._enter((buffer, step, place), Load, buffer.dtype,
                           Access(buffer, (step,) if self.count > 1 else (), place))

    def _number(self, dtype: np.dtype[Any], value: Any) -> Statement:
        return self._enter((dtype, repr(value)), Number, dtype, value)

    def _op(self, name: str, dtype: np.dtype[Any], operands: tuple[Statement, ...]) -> Statement:
        if name == "positive":
            return operands[0]
        return self._enter((name, dtype, *map(id, operands)), Op, dtype, name, operands)

    # --- lines --------------------------------------------------------------------------------

    def _reduced(self, how: str, dtype: np.dtype[Any], elements: list[Statement],
                 way: Way) -> list[Statement]:
        if elements[0].dtype != dtype:  # type: ignore[union-attr]
            elements = [self._op("cast", dtype, (e,)) for e in elements]
        return [self._combined(how, dtype, [elements[i] for i in group]) for group in way.places]

    def _combined(self, how: str, dtype: np.dtype[Any],
                  elements: list[Statement]) -> Statement:
        """Elements combined pairwise, as a balanced tree."""
        if not elements:
            return self._number(dtype, neutral(how, dtype))
        while len(elements) > 1:
            pairs = [self._op(how, dtype, (elements[i], elements[i + 1]))
                     for i in range(0, len(elements) - 1, 2)]
            elements = pairs + elements[2 * len(pairs):]
        return elements[0]

    def _product(self, dtype: np.dtype[Any], x: list[Statement], y: list[Statement],
                 sizes: Ints) -> list[Statement]:
        batch, m, k, n = sizes
        return [self._dot(dtype, [(x[(c * m + i) * k + d], y[(c * k + d) * n + j])
                                  for d in range(k)])
                for c in range(batch) for i in range(m) for j in range(n)]

    def _dot(self, dtype: np.dtype[Any], pairs: list[tuple[Statement, Statement]]) -> Statement:
        add, multiply = ("logical_or", "logical_and") if dtype.kind == "b" else (
            "add", "multiply")
        terms = [self._op(multiply, dtype, pair) for pair in pairs]
        return functools.reduce(lambda total, term: self._op(add, dtype, (total, term)), terms)

