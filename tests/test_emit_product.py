"""Products in native code: cut into parts, by tiles of our own, as loops; windows of arrays."""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import wengert as torch
from programs import program_of
from wengert import func
from wengert.compiler.executable import Executable
from wengert.compiler.ir import plan_text
from wengert.compiler.ir.nest import (
    Access,
    Buffer,
    Contraction,
    Leave,
    Load,
    Matrix,
    Nest,
    Plan,
    PlanBlock,
    Product,
    Stage,
    Step,
    Store,
)
from wengert.compiler.ir.plan_interpreter import run
from wengert.compiler.ir.program import Line, Program, Value, evaluate, straight
from wengert.compiler.ir.views import put_strided, strided, unstrided
from wengert.compiler.native import emit_product, engine
from wengert.compiler.native.emit_contraction import ContractionFunction
from wengert.compiler.native.emit_product import contraction_of, nest_of, nests_of, parts
from wengert.compiler.schedule import schedule
from wengert.compiler.tiling import tiling
from wengert.core.aval import aval_of
from wengert.primitives.elementwise import exp, tanh

Array = np.ndarray
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def numbers(*shape: int, dtype: Any = F32, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(found: Array, want: Array) -> None:
    """As near as sums in another order are; a wrong element is further off."""
    size = max(1.0, float(np.abs(want).max(initial=0)))
    np.testing.assert_allclose(found, want, rtol=0, atol=size * (
        2e-5 if found.dtype == F32 else 1e-12))


def buffer(kind: str, number: int, array: Array) -> Buffer:
    return Buffer(array.dtype, array.size, kind, number, shape=array.shape)


# --- products as matrices ---------------------------------------------------------------------


def a_product(count: int, m: int, k: int, n: int, layout: str = "NN", accumulate: bool = False,
              dtype: Any = F32) -> tuple[Product, list[Array], Array, Array]:
    """A product, its operands, what its result's memory holds before, and after it.

    `layout` says of each operand whether it lies as it is, or transposed.
    """
    a, b, out = (numbers(count, *shape, dtype=dtype, seed=seed)
                 for seed, shape in enumerate(((m, k), (k, n), (m, n))))
    want = np.matmul(a, b, dtype=F64) + (out if accumulate else 0)
    given, matrices = [], []
    for i, (array, turned) in enumerate(zip((a, b), layout, strict=True)):
        rows, cols = array.shape[1:]
        given.append(np.ascontiguousarray(array.swapaxes(1, 2) if turned == "T" else array))
        steps = (1, rows) if turned == "T" else (cols, 1)
        matrices.append(Matrix(buffer("input", i, given[-1]), 0, rows * cols, *steps))
    to = Matrix(buffer("output", 0, out), 0, m * n, n, 1)
    return Product(*matrices, to, count, m, k, n, accumulate), given, out, want


def plan_for(first: Step, steps: Sequence[Step]) -> Plan:
    """A plan of steps that work on the first one's matrices."""
    assert isinstance(first, (Product, Contraction))
    body = PlanBlock(tuple(steps), Leave(0, (0,)))
    return Plan((first.a.buffer, first.b.buffer), (first.out.buffer,), body, 0, {})


SIZES = [(1, 1, 1, 1), (1, 7, 5, 9), (5, 3, 4, 2), (3, 1, 8, 33), (2, 40, 3, 1), (1, 33, 17, 70),
         (2, 64, 300, 50), (1, 8, 32, 32), (26, 32, 3, 3)]


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("size", SIZES)
def test_parts_are_the_whole(size: tuple[int, int, int, int], workers: int,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emit_product, "PARALLEL", 0)
    product, _, _, _ = a_product(*size)
    found = parts(product, workers)
    assert 1 <= len(found) <= workers
    met = [p.out.offset + b * p.out.batch + i * p.out.row + j * p.out.col for p in found
           for b, i, j in itertools.product(range(p.count), range(p.m), range(p.n))]
    assert sorted(met) == list(range(size[0] * size[1] * size[3]))


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT"])
@pytest.mark.parametrize("size", SIZES)
def test_parts_give_the_product(size: tuple[int, int, int, int], layout: str, accumulate: bool,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emit_product, "PARALLEL", 0)
    product, given, out, want = a_product(*size, layout, accumulate)
    _, (found,) = run(_begun(plan_for(product, parts(product, 3))), [*given, out])
    close(found, want)


def _begun(plan: Plan) -> Plan:
    """The plan after a copy of a third input to its output."""
    (out,) = plan.outputs
    source = dataclasses.replace(out, kind="input", number=2)
    load = Load(out.dtype, Access(source, (1,)))
    copy = Nest((), out.size, (Stage(True, (load, Store(Access(out, (1,)), load))),))
    body = dataclasses.replace(plan.body, steps=(copy, *plan.body.steps))
    return dataclasses.replace(plan, inputs=(*plan.inputs, source), body=body)


@pytest.mark.parametrize(("dtype", "accumulate"), [(F32, True), (F64, False)])
@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT"])
@pytest.mark.parametrize("size", SIZES)
def test_native_products(size: tuple[int, int, int, int], layout: str, accumulate: bool,
                         dtype: Any) -> None:
    product, given, out, want = a_product(*size, layout, accumulate, dtype)
    Executable(plan_for(product, [product]))(given, [out])
    close(out, want)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", ["NN", "TT"])
def test_products_as_loops(size: tuple[int, int, int, int], layout: str) -> None:
    product, given, out, want = a_product(*size, layout, True)
    for nests in ([nest_of(product)], nests_of(contraction_of(product))):
        before = out.copy()
        _, (found,) = run(_begun(plan_for(product, nests)), [*given, before])
        close(found, want)


# --- contractions by tiles --------------------------------------------------------------------


def contracted(c: Contraction, a: Array, b: Array, out: Array) -> Array:
    """What a contraction makes of its result's memory."""
    turns = np.indices(c.sizes).reshape(len(c.sizes), -1)
    at = [np.asarray(x.strides) @ turns + x.offset for x in (c.a, c.b, c.out)]
    found = out.astype(F64).reshape(-1)
    if not c.accumulate:
        found[at[2]] = 0
    np.add.at(found, at[2], a.reshape(-1)[at[0]].astype(F64) * b.reshape(-1)[at[1]])
    return found.reshape(out.shape)


def a_contraction(sizes: Sequence[int], terms: Sequence[tuple[Array, Sequence[int]]],
                  accumulate: bool) -> Contraction:
    kinds = (("input", 0), ("input", 1), ("output", 0))
    ways = [Access(buffer(*kind, array), tuple(strides))
            for kind, (array, strides) in zip(kinds, terms, strict=True)]
    return Contraction(tuple(sizes), *ways, accumulate)


def by_tiles(c: Contraction, arrays: Sequence[Array], bits: int, pieces: int) -> str:
    """Does a contraction by tiles for vectors of so many bits; says in what form."""
    how = tiling(c, bits)
    assert how is not None
    function = ContractionFunction(c, how, pieces > 1)
    text = "\n".join([function.text("@contraction"), *function.definitions.texts.values()])
    library = engine.compile_module(text)
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(
        library.address("contraction"))
    words = np.array(function.numbers.words, np.int64)
    context = np.array([0, words.ctypes.data, *(x.ctypes.data for x in arrays)], np.int64)
    for piece in range(pieces):
        call(piece, pieces, context.ctypes.data)
    return how.form


TILED = [(1, 7, 5, 9), (3, 40, 8, 33), (1, 33, 17, 70), (2, 64, 300, 50), (1, 13, 600, 7),
         (1, 128, 259, 40), (1, 6, 520, 3)]


@pytest.mark.parametrize("bits", [128, 512])
@pytest.mark.parametrize(("dtype", "pieces", "accumulate"), [(F32, 1, False), (F64, 3, True)])
@pytest.mark.parametrize("layout", ["NN", "NT", "TN"])
@pytest.mark.parametrize("size", TILED)
def test_products_by_tiles(size: tuple[int, int, int, int], layout: str, dtype: Any, pieces: int,
                           accumulate: bool, bits: int) -> None:
    product, given, out, want = a_product(*size, layout, accumulate, dtype)
    by_tiles(contraction_of(product), [*given, out], bits, pieces)
    close(out, want)


def convolution(way: str, images: int, channels: int, kernels: int, height: int, size: int,
                dtype: Any) -> tuple[Contraction, list[Array]]:
    """A convolution ("out"), its gradient in the kernels ("kernels") or in the images
    ("images")."""
    rows = height - size + 1
    arrays = {"images": numbers(images, channels, height, height, dtype=dtype),
              "kernels": numbers(kernels, channels, size, size, dtype=dtype, seed=1),
              "out": numbers(images, kernels, rows, rows, dtype=dtype, seed=2)}
    area, square = size * size, height * height
    strides = {"images": (channels * square, 0, square, height, 1, height, 1),
               "kernels": (0, channels * area, area, size, 1, 0, 0),
               "out": (kernels * rows * rows, rows * rows, 0, 0, 0, rows, 1)}
    order = [name for name in ("kernels", "out", "images") if name != way] + [way]
    sizes = (images, kernels, channels, size, size, rows, rows)
    c = a_contraction(sizes, [(arrays[x], strides[x]) for x in order], way == "images")
    return c, [arrays[x] for x in order]


@pytest.mark.parametrize("bits", [128, 512])
@pytest.mark.parametrize(("dtype", "pieces"), [(F32, 1), (F64, 3)])
@pytest.mark.parametrize("way", ["out", "kernels", "images"])
@pytest.mark.parametrize("size", [(5, 2, 6, 14, 5), (3, 3, 7, 9, 2), (9, 1, 3, 30, 3)])
def test_convolutions_by_tiles(size: tuple[int, int, int, int, int], way: str, dtype: Any,
                               pieces: int, bits: int) -> None:
    c, (a, b, out) = convolution(way, *size, dtype)
    want = contracted(c, a, b, out)
    by_tiles(c, [a, b, out], bits, pieces)
    close(out, want)


def test_forms() -> None:
    def form(c: Contraction) -> str:
        found = tiling(c, 256)
        return found.form if found else ""

    assert form(contraction_of(a_product(1, 64, 300, 50)[0])) == "spread"
    assert form(contraction_of(a_product(1, 64, 300, 512)[0])) == "packed"
    assert form(contraction_of(a_product(1, 64, 300, 50, "NT")[0])) == "packed"
    assert form(contraction_of(a_product(1, 6, 600, 3, "NT")[0])) == "dots"
    assert form(convolution("out", 5, 2, 6, 14, 5, F32)[0]) == "spread"
    assert form(convolution("kernels", 64, 2, 6, 14, 5, F32)[0]) == "dots"
    assert form(contraction_of(a_product(1, 1, 300, 50)[0])) == ""  # no rows to share b
    assert form(contraction_of(a_product(1, 8, 8, 8, dtype=np.float16)[0])) == ""


def test_what_tiles_cannot_do_is_done_by_loops() -> None:
    a, b, out = numbers(4, 5), numbers(4, 5, seed=1), np.ones(4, F32)
    c = a_contraction((4, 5), [(a, (5, 1)), (b, (5, 1)), (out, (1, 0))], accumulate=False)
    assert tiling(c, 256) is None
    Executable(plan_for(c, [c]))([a, b], [out])
    close(out, (a * b).sum(1))


# --- windows ----------------------------------------------------------------------------------


def convolved(x: Any, kernels: Any) -> Any:
    """Slides kernels over images, window by window."""
    out, _, height, width = kernels.shape
    rows, columns = x.shape[2] - height + 1, x.shape[3] - width + 1
    patches = torch.stack([x[:, :, i:i + rows, j:j + columns]
                           for i in range(height) for j in range(width)], 2)
    found = kernels.reshape(out, -1) @ patches.reshape(x.shape[0], -1, rows * columns)
    return found.reshape(x.shape[0], out, rows, columns)


def loss(x: Any, kernels: Any) -> Any:
    y = convolved(x, kernels)
    return (y * y).sum()


slopes = func.grad(loss, argnums=(0, 1))


def primitives(program: Program) -> list[str]:
    return [line.primitive.name for line in program.body.lines]


def test_a_convolution_and_its_gradients_copy_no_windows() -> None:
    arrays = numbers(8, 3, 12, 12), numbers(5, 3, 4, 4, seed=1)
    program = program_of(slopes, *arrays)
    assert "put_strided" not in primitives(program)
    plan = schedule(program)
    wide = [s for s in plan.body.steps if isinstance(s, Contraction)]
    assert len(wide) == 3
    assert not any(isinstance(step, Product) for step in plan.body.steps)
    largest = max(array.size for array in arrays)
    stored = [s.at.buffer.size for step in plan.body.steps if isinstance(step, Nest)
              for stage in step.stages for s in stage.statements if isinstance(s, Store)]
    assert max(stored) <= max(largest, 8 * 5 * 9 * 9), plan_text.text(plan)
    for found, want in zip(run(plan, arrays)[1], evaluate(program, arrays), strict=True):
        close(found, want)


def test_a_compiled_convolution_agrees_with_eager() -> None:
    arrays = numbers(6, 3, 12, 12), numbers(5, 3, 4, 4, seed=1)
    tensors = [torch.tensor(x) for x in arrays]
    compiled = torch.compile(slopes)
    want = slopes(*tensors)
    for _ in range(2):
        for found, right in zip(compiled(*tensors), want, strict=True):
            close(found.numpy(), right.numpy())


def test_a_stack_of_regular_pieces_is_a_view() -> None:
    def rows(x: Any) -> Any:
        return torch.stack([x[1], x[3], x[5]]) * 2

    assert primitives(program_of(rows, numbers(7, 4))) == ["strided", "mul"]


@pytest.mark.parametrize("fn", [
    lambda x: torch.stack([x[1], x[3], x[4]]),  # not regular
    lambda x: torch.stack([x[1], 2 * x[3], x[5]]),  # not all of one array
    lambda x: torch.cat([x[:1], x[3:5], x[6:]]),  # not of one shape
    lambda x: torch.stack([x[5], x[3], x[1]]),
    lambda x: torch.stack([x[1], x[1], x[1]]),
], ids=["steps", "arrays", "shapes", "backwards", "same"])
def test_pieces_are_put_together_right(fn: Any) -> None:
    x = numbers(7, 4)
    program = program_of(lambda x: fn(x) + 1, x)
    (found,) = run(schedule(program), [x])[1]
    np.testing.assert_array_equal(found, fn(torch.tensor(x)).numpy() + 1)


@pytest.mark.parametrize(("pieces", "joint"), [
    ([0, 1, 2], True), ([0, 2, 4], True),
    ([4, 2, 0], False),  # backwards
    ([0, 1, 3], False),  # not regular
    ([0, 1], False),  # some of the product is left out
])
def test_sums_of_windows(pieces: list[int], joint: bool) -> None:
    def slope(x: Any, a: Any, b: Any) -> Any:
        def seen(x: Any) -> Any:
            return [x[:, i:i + 6] for i in pieces]

        product = a @ b
        _, pull = func.vjp(seen, x)
        return pull([product[4 * i:4 * i + 4] for i in range(len(pieces))])[0]

    arrays = numbers(4, 10), numbers(12, 5, seed=1), numbers(5, 6, seed=2)
    program = program_of(slope, *arrays)
    assert ("unstrided" in primitives(program)) == joint
    (found,) = run(schedule(program), arrays)[1]
    close(found, slope(*map(torch.tensor, arrays)).numpy())


@pytest.mark.parametrize("shape", [(3, 4), (40, 30), (300, 70)])
def test_adding_at_places_that_coincide(shape: tuple[int, int]) -> None:
    x = numbers(*shape)
    value = Value(aval_of(x))
    size = shape[0] + shape[1] + 1
    result = Value(value.aval.with_shape((size,)))
    line = Line(unstrided, (value,), {"shape": (size,), "strides": (1, 1), "offset": 2}, [result])
    program = straight([value], [line], [result])
    want = np.zeros(size)
    for i, j in np.ndindex(*shape):
        want[2 + i + j] += x[i, j]
    for found in (evaluate(program, [x])[0], run(schedule(program), [x])[1][0]):
        close(found, want)
    out = np.empty(size, F32)
    Executable(schedule(program))([x], [out])
    close(out, want)


def test_averages_of_few_and_their_gradients_are_single_nests() -> None:
    def pooled(x: Any) -> Any:
        y = x.reshape(40, 14, 2, 14, 2).mean((2, 4))
        return (y * y).sum(), y

    x = numbers(40, 28, 28)
    program = program_of(func.grad(pooled, has_aux=True), x)
    plan = schedule(program)
    adding = [s for step in plan.body.steps if isinstance(step, Nest) for stage in step.stages
              for s in stage.statements if isinstance(s, Store) and s.how]
    assert not adding, plan_text.text(plan)
    cols = [step.cols for step in plan.body.steps if isinstance(step, Nest)]
    assert min(cols) >= 14, plan_text.text(plan)
    for found, want in zip(run(plan, [x])[1], evaluate(program, [x]), strict=True):
        close(found, want)


# --- writing parts ----------------------------------------------------------------------------


def rewriting(read: int, write: int, more: bool = False) -> tuple[Program, list[Array]]:
    """Three writes of a part of an array, worked out of one of the array as it was: where that is
    read and written, and whether the array is needed once `more`."""
    x = numbers(5000)
    first = Value(aval_of(x))
    last = Value(first.aval)
    lines, outputs = [Line(exp, (first,), {}, [last])], []
    for i in range(3):
        part, new, after = (Value(first.aval.with_shape(shape)) for shape in (
            (1000,), (1000,), (5000,)))
        lines += [
            Line(strided, (last,), {"shape": (1000,), "strides": (1,), "offset": read + i}, [part]),
            Line(tanh, (part,), {}, [new]),
            Line(put_strided, (last, new), {"strides": (1,), "offset": write + i}, [after])]
        outputs = [last] if more else []
        last = after
    return straight([first], lines, [last, *outputs]), [x]


@pytest.mark.parametrize(("read", "write", "more", "copies"), [
    (500, 500, False, 0), (0, 2000, False, 0), (500, 600, False, 3), (500, 500, True, 1)])
def test_what_nothing_else_needs_is_written_in_place(read: int, write: int, more: bool,
                                                     copies: int) -> None:
    program, arrays = rewriting(read, write, more)
    plan = schedule(program)
    whole = [s for step in plan.body.steps if isinstance(step, Nest) and step.cols == 5000
             for stage in step.stages for s in stage.statements if isinstance(s, Store)]
    assert len(whole) == 1 + copies, plan_text.text(plan)
    want = evaluate(program, arrays)
    outputs = [np.empty_like(each) for each in want]
    Executable(plan)(arrays, outputs)
    for found, native, right in zip(run(plan, arrays)[1], outputs, want, strict=True):
        close(found, right)
        close(native, right)
