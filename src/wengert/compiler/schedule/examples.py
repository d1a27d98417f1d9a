"""Examples: how a line goes that does the same to every part of its arrays.

Under `vmap`, and wherever the first dimension counts examples, a line is one of small arrays, done
for each example:

    strided(a[1000,11]; shape=(1000, 3), strides=(11, 1), offset=3)   takes elements 3, 4 and 5
    sum(b[1000,3]; dims=(1,))                                         adds up elements 0, 1 and 2

What is known of a line is then the same for all examples, but for where the first element lies. A
single example, the whole, is as good as many. Vectors that are cut into parts and put together have
their examples last: gates of 4 times 16 numbers are 16 examples of 4.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..ir.program import Line, Value
from .access import Ints, broadcast_steps, dense
from .operations import operation
from .reductions import HOW


class Way(NamedTuple):
    """How a line goes for one example.

    Attributes:
        work: about how many statements it comes to.
        steps: by operand, how far its elements lie from those of the next example; 0 if they are
            the same for all.
        taken: by operand, which elements an example takes, counted from the first example's.
        places: where they go: for a line that puts something into something, which of all that
            are taken each element of the result is; for a reduction, which it combines.
        sizes: of a product's loops: b(atch), m, k, n.
    """

    work: int
    steps: Ints
    taken: tuple[Sequence[int], ...]
    places: Sequence[Any] = ()
    sizes: Ints = ()


@functools.lru_cache(maxsize=4096)
def inner(shape: Ints, count: int) -> tuple[int, Ints] | None:
    """The shape of an example, where the first dimensions count so many, and the dimension that it
    begins with (or in); None if they don't.

    Example:
        >>> inner((26, 3, 3), 26), inner((78, 3), 26), inner((5, 3), 26)
        ((0, (1, 3, 3)), (0, (3, 3)), None)
    """
    for d, n in enumerate(shape):
        if count % n == 0 and count > n:
            count //= n
        else:
            return None if n % count else (d, (n // count, *shape[d + 1:]))
    return (0, ()) if count == 1 and not shape else None


@functools.lru_cache(maxsize=4096)
def apart(shape: Ints, strides: Ints, count: int) -> tuple[int, Ints, Ints] | None:
    """How far examples lie apart, an example's shape, and its strides; None if they lie otherwise.

    Args:
        shape: of all examples.
        strides: where elements lie.
        count: how many examples there are.
    """
    found = inner(shape, count)
    if found is None:
        return None
    d, own = found
    if not own:
        return 0, (), ()
    step, many = strides[d] * own[0], shape[d] // own[0]
    for n, stride in zip(shape[:d][::-1], strides[:d][::-1], strict=True):
        if n > 1 and stride != step * many:
            return None
        many *= n
    return step if count > 1 else 0, own, strides[d:]


@functools.lru_cache(maxsize=4096)
def apart_last(shape: Ints, strides: Ints, count: int) -> tuple[int, Ints, Ints] | None:
    """What `apart` says, where the last dimensions count the examples."""
    step, many = 0, 1
    for d in reversed(range(len(shape))):
        n, stride = shape[d], strides[d]
        if n == 1:
            continue
        step = step if many > 1 else stride
        part = min(n, count // many)
        if stride != step * many or count % (many * part) or n % part:
            return None
        many *= part
        if many == count:
            return step, (*shape[:d], n // part), (*strides[:d], stride * part)
    return None


@functools.lru_cache(maxsize=4096)
def places(shape: Ints, strides: Ints, offset: int = 0) -> tuple[int, ...]:
    """Where elements lie, in order."""
    found = np.full(shape, offset)
    for d, (n, stride) in enumerate(zip(shape, strides, strict=True)):
        found += (np.arange(n) * stride).reshape(n, *(1,) * (len(shape) - d - 1))
    return tuple(found.reshape(-1).tolist())


@dataclasses.dataclass(frozen=True, slots=True)
class Examples:
    """Which examples lines go by.

    Attributes:
        count: how many there are; 1 for the whole.
        last: whether the last dimensions count them, and not the first ones.
        most: how many elements one may have.
    """

    count: int
    last: bool
    most: int

    def apart(self, shape: Ints, strides: Ints) -> tuple[int, Ints, Ints] | None:
        """How far they lie apart, one's shape, and its strides; None if they lie otherwise."""
        return (apart_last if self.last else apart)(shape, strides, self.count)

    def layout(self, numel: int) -> tuple[int, int]:
        """How far they lie apart in a dense array of so many elements, and one's elements."""
        return (1, self.count) if self.last else (numel // self.count, 1)

    def has(self, x: Value, step: int, taken: Sequence[int]) -> bool:
        """Whether what is taken of a value is each example's own."""
        size = x.aval.numel // self.count
        if self.count == 1:
            return True
        if x.aval.numel % self.count or step != self.layout(x.aval.numel)[0]:
            return False
        if self.last:
            return all(place % self.count == 0 for place in taken)
        return min(taken) >= 0 and max(taken) < size


def way(line: Line, examples: Examples) -> Way | None:
    """How a line goes for each example; None if it does not go by these, or is nothing to be said
    in scalars."""
    values, name = (*line.operands, *line.results), line.primitive.name
    numel = line.results[0].aval.numel
    if not line.operands or any(v.aval.numel == 0 for v in values) or (
            numel % examples.count or numel > examples.most * examples.count):
        return None
    if operation(line) is not None:
        return _elementwise(line, examples)
    how = _reduced if name in HOW else _WAYS.get(name)
    return None if how is None else how(line, examples)


def _elementwise(line: Line, examples: Examples) -> Way | None:
    shape = tuple(line.result.aval.shape)
    found = [examples.apart(shape, broadcast_steps(tuple(x.aval.shape), shape))
             for x in line.operands]
    if None in found:
        return None
    steps, taken = zip(*((each[0], places(*each[1:])) for each in found if each), strict=True)
    return Way(line.result.aval.numel // examples.count, steps, taken)


def _strided(line: Line, examples: Examples) -> Way | None:
    p = line.params
    found = examples.apart(tuple(p["shape"]), tuple(p["strides"]))
    if found is None:
        return None
    step, shape, strides = found
    return Way(0, (step,), (places(shape, strides, p["offset"]),))


def _put(line: Line, examples: Examples) -> Way | None:
    x, y = line.operands
    found = examples.apart(tuple(y.aval.shape), tuple(line.params["strides"]))
    count, many = examples.count, examples.count > 1
    if found is None:
        return None
    (step, unit), (own, other) = map(examples.layout, (x.aval.numel, y.aval.numel))
    taken = places(*found[1:], line.params["offset"])
    if many and (found[0] != step or not examples.has(x, step, taken)):
        return None
    old, new = (range(0, v.aval.numel // count * each, each)
                for v, each in zip((x, y), (unit, other), strict=True))
    order = list(range(len(old)))
    for i, place in enumerate(taken):
        order[place // unit] = len(old) + i
    return Way(0, (step, own) if many else (0, 0), (old, new), order)


def _reduced(line: Line, examples: Examples) -> Way | None:
    (x,), dims, count = line.operands, line.params["dims"], examples.count
    found = None if examples.last else inner(tuple(x.aval.shape), count)
    if found is None or x.aval.numel > examples.most * count:
        return None
    first, shape = found
    if count > 1 and any(d <= first for d in dims):
        return None
    size = prod(shape)
    return Way(size, (size if count > 1 else 0,), (range(size),),
               _groups(shape, tuple(d - first for d in dims)))


@functools.lru_cache(maxsize=4096)
def _groups(shape: Ints, dims: Ints) -> list[list[int]]:
    """Which elements each element of a reduction is made of."""
    kept = [d for d in range(len(shape)) if d not in dims]
    table = np.arange(prod(shape)).reshape(shape).transpose(*kept, *dims)
    found: list[list[int]] = table.reshape(-1, prod(shape[d] for d in dims)).tolist()
    return found


def _product(line: Line, examples: Examples) -> Way | None:
    (x, y), count, most = line.operands, examples.count, examples.most
    *batch, m, k = x.aval.shape
    n, alike = y.aval.shape[-1], bool(batch)
    b = batch[0] if batch else 1
    whole = b if alike else m
    if examples.last or whole % count:
        return None
    b, m = (b // count, m) if alike else (b, m // count)
    work = 2 * b * m * k * n
    if work > 16 * most or max(b * m * k, b * k * n) > most:
        return None
    return Way(work, (b * m * k if count > 1 else 0, b * k * n if count > 1 and alike else 0),
               (range(b * m * k), range(b * k * n)), sizes=(b, m, k, n))


_WAYS: Any = {"strided": _strided, "put_strided": _put, "mm": _product, "bmm": _product}


def moved(shape: Ints) -> Ints:
    """The strides of an array in which examples come last, by the dimensions of one that has them
    first: an example's elements are as far apart as there are examples."""
    count, *rest = shape
    return (1, *(count * s for s in dense(tuple(rest))))
