"""Tiny arrays: a scalar for every element, and no loops.

A run of lines whose arrays all have few elements becomes one long list of scalar statements. An
array is then a list of statements, in dense order. Views and everything else that only moves
elements cost nothing: the primitive is asked to move the elements' numbers instead.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..nest import Access, Buffer, Load, Nest, Number, Op, Stage, Statement, Store
from ..program import Constant, Line, Value
from .access import Ints
from .reductions import HOW, neutral

if TYPE_CHECKING:
    from .placing import Steps

TINY = 64
"""Arrays of more elements are not tiny."""
_MOST = 20_000
"""Above this many statements, only smaller arrays count as tiny."""
_MOVES = frozenset({"strided", "put_strided"})


def work(line: Line, operation: str | None) -> int:
    """About how many statements a line comes to; 0 if there is no way to say it in scalars."""
    name = line.primitive.name
    sizes = [v.aval.numel for v in (*line.operands, *line.results)]
    if not sizes or max(sizes) > TINY or min(sizes) == 0:
        return 0
    if operation is not None or name in _MOVES:
        return max(sizes)
    if name in HOW:
        return max(sizes)
    if name in ("mm", "bmm"):
        count = sizes[-1] * line.operands[0].aval.shape[-1]
        return 2 * count if count <= 8 * TINY else 0
    return 0


def limit(sizes: Sequence[tuple[int, int]]) -> int:
    """The most elements that a tiny array may have, given lines' (largest array, statements)."""
    most = TINY
    while most > 1 and sum(n for size, n in sizes if size <= most) > _MOST:
        most //= 4
    return most


class Straight:
    """A run of lines as scalar statements.

    Attributes:
        index: its place among the steps.
        values: the elements of each value.
        statements: all statements, in order.
        puts: what is stored where.
    """

    def __init__(self, steps: Steps, index: int) -> None:
        self.steps, self.index = steps, index
        self.values: dict[Value, list[Statement]] = {}
        self.statements: list[Statement] = []
        self.puts: list[tuple[Buffer, list[Statement]]] = []
        self._same: dict[Any, Statement] = {}

    def take(self, line: Line, operation: str | None) -> None:
        """Adds a line."""
        name = line.primitive.name
        if operation is not None:
            found = self._elementwise(line, operation)
        elif name in _MOVES:
            found = self._moved(line)
        elif name in HOW:
            found = self._reduced(line)
        else:
            found = self._product(line)
        self.values[line.result] = found

    def keep(self, value: Value, buffer: Buffer) -> None:
        """Stores a value."""
        self.puts.append((buffer, self.values[value]))

    def nest(self, wanted: Callable[[Buffer], bool],
             name: Callable[[Buffer], Buffer]) -> list[Nest]:
        """The nest, without what is not wanted; none, if nothing is."""
        stores = [Store(Access(name(buffer), (), i), statement)
                  for buffer, found in self.puts if wanted(buffer)
                  for i, statement in enumerate(found)]
        needed = {id(store.operand) for store in stores}
        kept: list[Statement] = []
        for s in reversed(self.statements):
            if id(s) in needed:
                kept.append(s)
                if isinstance(s, Op):
                    needed.update(map(id, s.operands))
        return [Nest((), 1, (Stage(False, (*kept[::-1], *stores)),))] if stores else []

    # --- statements ---------------------------------------------------------------------------

    def _read(self, value: Value) -> list[Statement]:
        """The elements of a value; loaded, if it isn't of this run."""
        value = self.steps.root(value)
        found = self.values.get(value)
        if found is None:
            if isinstance(value, Constant):
                dtype = value.array.dtype
                found = [self._number(dtype, x) for x in value.array.reshape(-1).tolist()]
            else:
                buffer = self.steps.stored(value).buffer
                assert buffer is not None
                self.steps.pinned.add(buffer)
                found = [Load(buffer.dtype, Access(buffer, (), i)) for i in range(buffer.size)]
                self.statements.extend(found)
            self.values[value] = found
        return found

    def _number(self, dtype: np.dtype[Any], value: Any) -> Statement:
        key = (dtype, repr(value))
        found = self._same.get(key)
        if found is None:
            found = self._same[key] = Number(dtype, value)
            self.statements.append(found)
        return found

    def _op(self, name: str, dtype: np.dtype[Any], operands: tuple[Statement, ...]) -> Statement:
        if name == "positive":
            return operands[0]
        key = (name, dtype, *map(id, operands))
        found = self._same.get(key)
        if found is None:
            found = self._same[key] = Op(dtype, name, operands)
            self.statements.append(found)
        return found

    # --- lines --------------------------------------------------------------------------------

    def _elementwise(self, line: Line, operation: str) -> list[Statement]:
        result = line.result.aval
        operands = []
        for x in line.operands:
            found = self._read(x)
            if len(found) != result.numel:
                found = [found[i] for i in _broadcast(tuple(x.aval.shape), tuple(result.shape))]
            operands.append(found)
        dtype = result.numpy
        return [self._op(operation, dtype, each) for each in zip(*operands, strict=True)]

    def _moved(self, line: Line) -> list[Statement]:
        elements = [e for x in line.operands for e in self._read(x)]
        shapes = tuple(tuple(x.aval.shape) for x in line.operands)
        places = _places(line.primitive, shapes, tuple(line.params.items()))
        return [elements[i] for i in places]

    def _reduced(self, line: Line) -> list[Statement]:
        (x,), dtype, how = line.operands, line.result.aval.numpy, HOW[line.primitive.name]
        elements = self._read(x)
        if x.aval.numpy != dtype:
            elements = [self._op("cast", dtype, (e,)) for e in elements]
        return [self._combined(how, dtype, [elements[i] for i in group])
                for group in _groups(tuple(x.aval.shape), line.params["dims"])]

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

    def _product(self, line: Line) -> list[Statement]:
        x, y = line.operands
        *batch, m, k = x.aval.shape
        n, dtype = y.aval.shape[-1], line.result.aval.numpy
        a, b = self._read(x), self._read(y)
        return [self._dot(dtype, [(a[(c * m + i) * k + d], b[(c * k + d) * n + j])
                                  for d in range(k)])
                for c in range(prod(batch)) for i in range(m) for j in range(n)]

    def _dot(self, dtype: np.dtype[Any], pairs: list[tuple[Statement, Statement]]) -> Statement:
        add, multiply = ("logical_or", "logical_and") if dtype.kind == "b" else (
            "add", "multiply")
        terms = [self._op(multiply, dtype, pair) for pair in pairs]
        return functools.reduce(lambda total, term: self._op(add, dtype, (total, term)), terms)


@functools.lru_cache(maxsize=4096)
def _broadcast(shape: Ints, wide: Ints) -> list[int]:
    """Which element of an array each element of its broadcast form is."""
    return [int(i) for i in np.broadcast_to(_numbers(shape), wide).reshape(-1)]


def _numbers(shape: Ints, start: int = 0) -> np.ndarray:
    return np.arange(start, start + prod(shape)).reshape(shape)


@functools.lru_cache(maxsize=4096)
def _places(primitive: Any, shapes: tuple[Ints, ...], params: tuple[tuple[str, Any], ...]
            ) -> list[int]:
    """Which element of its operands, put one after the other, each element of a result is."""
    operands, start = [], 0
    for shape in shapes:
        operands.append(_numbers(shape, start))
        start += prod(shape)
    return [int(i) for i in primitive.evaluate(*operands, **dict(params)).reshape(-1)]


@functools.lru_cache(maxsize=4096)
def _groups(shape: Ints, dims: Ints) -> list[list[int]]:
    """Which elements each element of a reduction is made of."""
    kept = [d for d in range(len(shape)) if d not in dims]
    count = prod(shape[d] for d in dims)
    table = _numbers(shape).transpose(*kept, *dims).reshape(-1, count)
    found: list[list[int]] = table.tolist()
    return found
