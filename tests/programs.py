"""Programs for the tests of the compiler: of functions, and at random, from primitives."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from wengert.compiler.expand import expand
from wengert.compiler.ir.program import (
    Block,
    Constant,
    Line,
    Look,
    Program,
    Return,
    Value,
    answer,
    straight,
    verify,
)
from wengert.compiler.ir.symbolic import record
from wengert.compiler.ir.views import iota, put_strided, strided, unstrided
from wengert.compiler.passes import simplify
from wengert.core import dtypes
from wengert.core.aval import aval_of
from wengert.core.primitive import Primitive
from wengert.primitives import (
    contractions as c,
    elementwise as e,
    indexing as ix,
    layout as lay,
    reductions as r,
    sorting as so,
)

Array = np.ndarray
Shape = tuple[int, ...]


def program_of(fn: Callable[..., Any], *arrays: Array) -> Program:
    """The program that a function of tensors consists of, expanded and simplified."""
    inputs = [Value(aval_of(x)) for x in arrays]
    lines, results = record(fn, inputs)
    return verify(simplify(expand(straight(inputs, lines, results))))


def steps_of(shape: Sequence[int]) -> Shape:
    """The strides of a dense array, in elements."""
    return tuple(prod(shape[i + 1:]) for i in range(len(shape)))


class RandomProgram:
    """A random list of lines, in the primitives that expansion leaves.

    Attributes:
        inputs, arrays: what it is given, and numbers for that.
        lines: the lines.
        values: the float32 results and inputs.
    """

    def __init__(self, choose: random.Random, sizes: Sequence[int]) -> None:
        self.choose, self.sizes = choose, sizes
        self.numbers = np.random.default_rng(choose.randrange(1 << 30))
        self.inputs: list[Value] = []
        self.arrays: list[Array] = []
        self.lines: list[Line] = []
        self.values: list[Value] = []
        for _ in range(choose.randint(1, 3)):
            shape = self.shape()
            self.values.append(self.given(self.numbers.standard_normal(shape, np.float32)))

    def shape(self, ndim: int | None = None) -> Shape:
        ndim = self.choose.choice([0, 1, 2, 2, 3]) if ndim is None else ndim
        return tuple(self.choose.choice(self.sizes) for _ in range(ndim))

    def given(self, array: Any) -> Value:
        self.arrays.append(np.asarray(array))
        self.inputs.append(Value(aval_of(self.arrays[-1])))
        return self.inputs[-1]

    def index(self, shape: Shape, bound: int, *, least: int = 0) -> Value:
        return self.given(self.numbers.integers(least, bound, shape))

    def line(self, primitive: Primitive, *operands: Value, **params: Any) -> Value:
        aval: Any = primitive.abstract(*(x.aval for x in operands), **params)
        self.lines.append(Line(primitive, operands, params, (Value(aval),)))
        return self.lines[-1].result

    def value(self, fits: Callable[[Value], bool] = lambda _: True) -> Value | None:
        """A value, most often one of the last."""
        found = [v for v in self.values if fits(v)]
        if not found:
            return None
        return self.choose.choice(found[-6:] if self.choose.random() < 0.7 else found)

    def add(self) -> None:
        """A line or two more."""
        x = self.value()
        assert x is not None
        made = self.choose.choices(
            (self.unary, self.binary, self.reduced, self.view, self.put, self.product,
             self.indexed, self.chosen, self.counted, self.piled),
            (20, 25, 15, 12, 6, 6, 6, 5, 5, 4))[0](x, tuple(x.aval.shape))
        if made is not None and made.aval.numel < 4000:
            self.values.append(made)

    def tame(self, x: Value) -> Value:
        return self.line(e.tanh, x)

    def unary(self, x: Value, shape: Shape) -> Value:
        p = self.choose.choice([e.neg, e.tanh, e.exp, e.square, e.abs_, e.sin])
        return self.line(p, self.tame(x) if p is e.exp else x)

    def binary(self, x: Value, shape: Shape) -> Value:
        y = self.value(lambda v: _broadcasts(v.aval.shape, shape))
        if y is None or self.choose.random() < 0.1:
            y = Constant(np.asarray(self.choose.choice([0.0, 1.0, 2.5]), np.float32))
        p = self.choose.choice([e.add, e.mul, e.sub, e.maximum])
        made = self.line(p, x, y)
        return self.tame(made) if self.choose.random() < 0.5 else made

    def reduced(self, x: Value, shape: Shape) -> Value | None:
        if not shape:
            return None
        dims = tuple(sorted(self.choose.sample(range(len(shape)),
                                               self.choose.randint(1, len(shape)))))
        p = self.choose.choice([r.sum_, r.sum_, r.amax, r.amin]) if x.aval.numel else r.sum_
        made = self.line(p, x, dims=dims, keepdim=self.choose.random() < 0.6)
        return self.tame(made) if p is r.sum_ else made

    def view(self, x: Value, shape: Shape) -> Value | None:
        """Transposed, expanded, copied, cut, reversed, or of another shape."""
        if not x.aval.numel or not shape:
            return self.line(lay.contiguous, x)
        numbers = np.arange(x.aval.numel).reshape(shape)
        d = self.choose.randrange(len(shape))
        seen = self.choose.choice([
            lambda: numbers.transpose(self.choose.sample(range(len(shape)), len(shape))),
            lambda: np.broadcast_to(numbers, (self.choose.choice(self.sizes) or 1, *shape)),
            lambda: np.flip(numbers, d),
            lambda: np.moveaxis(np.moveaxis(numbers, d, 0)[shape[d] // 2:], 0, d),
            lambda: numbers.reshape(-1)])()
        if self.choose.random() < 0.2:
            return self.line(lay.contiguous, x)
        strides = tuple(s // numbers.itemsize for s in seen.strides)
        return self.line(strided, x, shape=seen.shape, strides=strides,
                         offset=int(seen[(0,) * seen.ndim]))

    def piled(self, x: Value, shape: Shape) -> Value | None:
        """Elements added to zeros, several in one place."""
        if not x.aval.numel or not shape:
            return None
        steps = tuple(self.choose.randint(0, 3) for _ in shape)
        room = 2 + sum(s * (n - 1) for s, n in zip(steps, shape, strict=True))
        found = self.line(unstrided, self.tame(x), shape=(room,), strides=steps, offset=1)
        return self.tame(found)

    def put(self, x: Value, shape: Shape) -> Value | None:
        if not x.aval.numel or not shape:
            return None
        d = self.choose.randrange(len(shape))
        count = self.choose.randint(1, shape[d])
        start = self.choose.randint(0, shape[d] - count)
        part = (*shape[:d], count, *shape[d + 1:])
        y = self.value(lambda v: tuple(v.aval.shape) == part)
        steps = steps_of(shape)
        if y is None:
            y = self.line(strided, x, shape=part, strides=steps, offset=0)
        return self.line(put_strided, x, y, strides=steps, offset=start * steps[d])

    def product(self, x: Value, shape: Shape) -> Value | None:
        found = self.value(lambda v: v.aval.ndim == 2)
        if found is None:
            return None
        k, n = found.aval.shape[1], found.aval.shape[0]
        y = self.value(lambda v: v.aval.ndim == 2 and v.aval.shape[0] == k)
        if y is None:
            y = self.line(strided, found, shape=(k, n), strides=(1, k), offset=0)
        made = self.line(c.mm, found, y)
        if self.choose.random() < 0.4:
            m, n = made.aval.shape
            made = self.line(strided, made, shape=(n, m), strides=(1, n), offset=0)
        other = self.value(lambda v: v.aval is made.aval)
        if other is not None and self.choose.random() < 0.5:
            made = self.line(e.add, other, made)
        return made if self.choose.random() < 0.4 else self.tame(made)

    def indexed(self, x: Value, shape: Shape) -> Value | None:
        if not x.aval.numel or not shape:
            return None
        d = self.choose.randrange(len(shape))
        one = tuple(1 if i == d else n for i, n in enumerate(shape))
        kind = self.choose.choice(["gather", "pick", "hot", "scatter", "index", "put"])
        if kind == "gather":
            place = (*shape[:d], self.choose.choice(self.sizes) or 1, *shape[d + 1:])
            return self.line(ix.gather, x, self.index(place, shape[d]), dim=d)
        if kind == "pick":
            place = one if self.choose.random() < 0.5 else (*shape[:d], *shape[d + 1:])
            return self.line(so.pick, x, self.index(place, shape[d]), dim=d)
        if kind == "hot":
            z = self.tame(self.line(r.sum_, x, dims=(d,), keepdim=True))
            return self.line(ix.scatter_add, x, self.index(one, shape[d]), z, dim=d)
        if kind == "scatter":
            return self.line(ix.scatter_add, x, self.index(shape, shape[d]), self.tame(x), dim=d)
        y = self.index(self.shape(self.choose.choice([1, 2])), shape[0], least=-shape[0])
        found = self.line(ix.index, x, y, pattern=(0, Ellipsis))
        if kind == "index":
            return found
        return self.line(ix.index_put, x, found, y, pattern=(0, Ellipsis), accumulate=True)

    def chosen(self, x: Value, shape: Shape) -> Value | None:
        mask = self.line(e.gt, x, Constant(np.asarray(0, np.float32)))
        if shape and self.choose.random() < 0.4:
            p = self.choose.choice([r.any_, r.all_])
            mask = self.line(p, mask, dims=(len(shape) - 1,), keepdim=True)
        elif shape and x.aval.numel and self.choose.random() < 0.3:
            signs = self.line(e.sign, x)  # what is about the same is so however it is added up
            found = self.line(self.choose.choice([r.argmax, r.argmin]), signs,
                              dims=(self.choose.randrange(len(shape)),), keepdim=True)
            return self.line(e.add, x, self.line(lay.cast, found, dtype=dtypes.float32))
        return self.line(e.where, mask, x, self.line(e.neg, x))

    def counted(self, x: Value, shape: Shape) -> Value | None:
        if not x.aval.numel or not shape:
            return None
        count = self.line(iota, shape=shape, dim=self.choose.randrange(len(shape)),
                          dtype=dtypes.float32)
        return self.line(e.add, x, count)


def _broadcasts(a: Sequence[int], b: Sequence[int]) -> bool:
    return all(n == m or 1 in (n, m)
               for n, m in zip(reversed(a), reversed(b), strict=False))


def random_program(choose: random.Random, sizes: Sequence[int], lines: int
                   ) -> tuple[Program, list[Array]]:
    """A program of at least so many lines, and numbers for its inputs."""
    made = RandomProgram(choose, sizes)
    for _ in range(lines):
        made.add()
    outputs = [choose.choice(made.values[-8:]) for _ in range(choose.randint(1, 4))]
    program = straight(made.inputs, made.lines, [*outputs, made.values[-1]])
    return verify(program), made.arrays


def with_looks(program: Program, choose: random.Random) -> Program:
    """The program with looks between its lines: whatever is seen, it goes on, to outputs that
    depend on it."""
    lines = list(program.body.lines)
    returned = program.body.end
    assert isinstance(returned, Return)

    def block(start: int, looks: int, outputs: tuple[Value, ...]) -> Block:
        stop = choose.randint(start, len(lines)) if looks else len(lines)
        known = [v for line in lines[:stop] for v in line.results] + list(program.inputs)
        fit = [v for v in known if v.aval.numpy == np.float32 and v.aval.numel]
        if not looks or not fit:
            return Block(tuple(lines[start:]), Return(outputs))
        seen = choose.choice(fit)
        number: Any = seen.aval.with_shape(())
        total = Line(r.sum_, (seen,), {"dims": tuple(range(seen.aval.ndim)), "keepdim": False},
                     (Value(number),))
        above = Line(e.gt, (total.result, Constant(np.asarray(0, np.float32))), {},
                     (Value(number.boolean),))
        cases = {answer(np.asarray(found)): block(stop, looks - 1, choose.choice(
            [outputs, outputs[::-1], outputs[:1]])) for found in (False, True)}
        return Block((*lines[start:stop], total, above), Look(above.result, cases))

    return verify(Program(program.inputs, block(0, choose.randint(1, 3), returned.outputs)))
