"""The scheduler: plans against NumPy's evaluation of their programs, and what fuses with what.

Plans are run by `plan_interpreter`. The texts of some plans are kept in `golden/schedule`;
WENGERT_UPDATE_GOLDEN=1 writes them anew.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import wengert as torch
from programs import program_of, random_program, with_looks
from wengert import func
from wengert.compiler.failing import can_fail
from wengert.compiler.ir import plan_text
from wengert.compiler.ir.nest import Call, Load, Nest, Op, Plan, PlanBlock, Product, Store
from wengert.compiler.ir.plan_interpreter import MissError, OutOfRangeError, run
from wengert.compiler.ir.program import (
    Block,
    Constant,
    Line,
    Look,
    Program,
    Return,
    Value,
    answer,
    evaluate,
    straight,
    verify,
)
from wengert.compiler.ir.views import put_strided
from wengert.compiler.schedule import schedule
from wengert.core.aval import aval_of
from wengert.primitives import elementwise as e, reductions as r
from wengert.primitives.indexing import gather, index, index_put, scatter_add

Array = np.ndarray
GOLDEN = Path(__file__).parent / "golden" / "schedule"
F32 = np.float32


def numbers(*shape: int, seed: int = 0) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape, F32))


def check(program: Program, arrays: Sequence[Array],
          donated: Mapping[int, int] | None = None) -> Plan:
    """The plan of a program; it gives what the program gives."""
    plan = schedule(program, donated)
    want = evaluate(program, arrays)
    for donate in (False, True):
        _, found = run(plan, arrays, donate)
        for a, b in zip(found, want, strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)
    return plan


def plan_of(fn: Callable[..., Any], *arrays: Array,
            donated: Mapping[int, int] | None = None) -> Plan:
    return check(program_of(fn, *arrays), arrays, donated)


def nests(plan: Plan) -> list[Nest]:
    return [step for step in plan.body.steps if isinstance(step, Nest)]


def sweeps(nest: Nest) -> int:
    return sum(stage.sweep for stage in nest.stages)


def statements(nest: Nest, kind: type) -> list[Any]:
    return [s for stage in nest.stages for s in stage.statements if isinstance(s, kind)]


# --- everything at once -----------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(choose=st.randoms(use_true_random=False), lines=st.integers(1, 30),
       sizes=st.sampled_from([(1, 2, 3), (1, 5, 9), (2, 3, 40), (0, 1, 3, 7), (1, 30, 100)]),
       donate=st.booleans())
def test_random_programs(choose: random.Random, lines: int, sizes: tuple[int, ...],
                         donate: bool) -> None:
    program, arrays = random_program(choose, sizes, lines)
    check(program, arrays, {0: 0} if donate else None)


@settings(max_examples=60, deadline=None)
@given(choose=st.randoms(use_true_random=False), lines=st.integers(1, 25),
       sizes=st.sampled_from([(1, 2, 3), (1, 5, 9), (0, 3, 40), (1, 30, 100)]))
def test_random_programs_with_looks(choose: random.Random, lines: int,
                                    sizes: tuple[int, ...]) -> None:
    program, arrays = random_program(choose, sizes, lines)
    check(with_looks(program, choose), arrays, {0: 0})


def test_a_plan_does_not_depend_on_addresses() -> None:
    def texts() -> list[str]:
        found = []
        for seed in range(20):
            program, _ = random_program(random.Random(seed), (1, 3, 40), 25)
            found.append(plan_text.text(schedule(program)))
        return found

    keep = [object() for _ in range(1000)]
    assert texts() == texts()
    del keep


# --- what fuses -------------------------------------------------------------------------------


def row(x: Any) -> Any:
    return (torch.tanh(2 * x + 1) * torch.exp(-x)).sum()


def cross_entropy(x: Any, t: Any) -> Any:
    return -gather(torch.log_softmax(x, 1), t[:, None], dim=1).mean()


def norm_gelu(x: Any, w: Any, b: Any) -> Any:
    centred = x - x.mean(-1, keepdim=True)
    y = centred * torch.rsqrt((centred ** 2).mean(-1, keepdim=True) + 1e-5) * w + b
    return (0.5 * y * (1 + torch.erf(y * 0.5 ** 0.5))).sum()


def test_an_elementwise_gradient_is_one_sweep() -> None:
    plan = plan_of(func.grad(row), numbers(20_000))
    (nest,) = nests(plan)
    assert (nest.rows, nest.cols, sweeps(nest), plan.arena) == ((), 20_000, 1, 0)
    assert len(statements(nest, Load)) == len(statements(nest, Store)) == 1


@pytest.mark.parametrize(("fn", "most"), [
    (lambda x: torch.softmax(x, 1), 3), (lambda x: torch.log_softmax(x, 1), 3),
    (lambda x: torch.logsumexp(x, 1), 2), (lambda x: x.var(1), 2),
    (func.grad(lambda x: torch.logsumexp(x, 1).sum()), 3),
    (func.grad(lambda x: (torch.softmax(x, 1) ** 2).sum()), 5)])
def test_what_goes_row_by_row_is_one_nest(fn: Callable[..., Any], most: int) -> None:
    plan = plan_of(fn, numbers(12, 300))
    (nest,) = nests(plan)
    assert (nest.rows, nest.cols) == ((12,), 300)
    assert sweeps(nest) <= most
    assert plan.arena == 0


def test_cross_entropy_is_one_nest() -> None:
    x, t = numbers(70, 100), np.arange(70) % 100
    (nest,) = nests(plan_of(func.grad(cross_entropy), x, t))
    assert sweeps(nest) == 3
    filling, nest, *_ = nests(plan_of(func.grad_and_value(cross_entropy), x, t))
    assert filling.cols == 1
    assert sweeps(nest) == 3


def test_layer_norm_is_one_nest_for_all_gradients() -> None:
    args = numbers(9, 200), numbers(200, seed=1), numbers(200, seed=2)
    filling, nest = nests(plan_of(func.grad(norm_gelu, argnums=(0, 1, 2)), *args))
    assert (nest.rows, nest.cols) == ((9,), 200)
    assert sweeps(nest) <= 5
    assert filling.cols == 200
    added = [s for s in statements(nest, Store) if s.how == "add"]
    assert [s.at.strides for s in added] == [(0, 1), (0, 1)]


def test_the_gradient_of_a_bias_is_summed_where_it_is_computed() -> None:
    def loss(x: Any, w: Any, b: Any) -> Any:
        return torch.tanh(x @ w + b).square().sum()

    plan = plan_of(func.grad(loss, argnums=(1, 2)), numbers(40, 30), numbers(30, 20), numbers(20))
    _, nest = nests(plan)
    assert (nest.rows, nest.cols, sweeps(nest)) == ((40,), 20, 1)
    assert {s.how for s in statements(nest, Store)} == {"", "add"}


def test_sums_of_large_arrays_are_left_to_threads() -> None:
    filling, nest, *_ = nests(plan_of(lambda x: (x * x).sum(), numbers(300, 200)))
    assert (filling.cols, nest.rows, nest.cols) == (1, (), 60_000)
    (store,) = statements(nest, Store)
    assert (store.how, store.at.strides) == ("add", (0,))


def test_small_sums_can_be_used_at_once() -> None:
    (nest,) = nests(plan_of(lambda x: x / x.sum(), numbers(20, 30)))
    assert (nest.rows, nest.cols, sweeps(nest)) == ((), 600, 2)


@pytest.mark.parametrize("dim", [0, 1])
def test_views_are_reduced_as_they_lie_in_memory(dim: int) -> None:
    *_, nest = nests(plan_of(lambda x: x.T.sum(dim), numbers(80, 90)))
    assert (nest.rows, nest.cols) == ((80,), 90)
    (load,) = statements(nest, Load)
    assert load.at.strides == (90, 1)


def test_what_several_sweeps_need_is_kept_if_it_is_dear() -> None:
    (nest,) = nests(plan_of(lambda x: torch.softmax(x, 1), numbers(8, 100)))
    kept = {s.at.buffer for s in statements(nest, Store) if s.at.buffer.kind == "scratch"}
    assert len(kept) == 1
    (cheap,) = nests(plan_of(lambda x: x * 2 - (x * 2).mean(1, keepdim=True), numbers(8, 100)))
    assert not [s for s in statements(cheap, Store) if s.at.buffer.kind == "scratch"]


def test_dear_values_of_few_elements_are_not_worked_out_for_many() -> None:
    plan = plan_of(lambda x, b: x * torch.exp(b), numbers(500, 70), numbers(70))
    first, second = nests(plan)
    assert (first.cols, second.rows, second.cols) == (70, (500,), 70)


def test_pieces_are_written_into_the_whole() -> None:
    def joined(x: Any, y: Any) -> Any:
        return torch.cat([torch.tanh(x), y * 2], 1)

    plan = plan_of(joined, numbers(20, 30), numbers(20, 50, seed=1))
    assert plan.arena == 0
    assert not [s for nest in nests(plan) for s in statements(nest, Load)
                if s.at.buffer.kind != "input"]


def test_writing_into_what_nothing_else_needs_is_done_in_place() -> None:
    def written(x: Any) -> Any:
        y = torch.exp(x)
        return put_strided(y, torch.tanh(y[1]), strides=(1,), offset=0)

    plan = plan_of(lambda x: put_strided(torch.exp(x), x[3] * 2, strides=(1,), offset=80),
                   numbers(10, 80))
    assert plan.arena == 0
    plan_of(written, numbers(10, 80))


def test_sums_of_products_are_summed_by_the_products() -> None:
    def net(w: Any, x: Any) -> Any:
        for _ in range(5):
            x = torch.tanh(x @ w)
        return x.sum()

    plan = plan_of(func.grad(net), numbers(30, 30) * F32(0.1), numbers(20, 30))
    products = [s for s in plan.body.steps if isinstance(s, Product)]
    assert sum(p.accumulate for p in products) == 4
    assert len(products) == 5 + 4 + 5


def test_transposed_operands_are_not_copied() -> None:
    (product,) = plan_of(lambda x, y: x.T @ y.T, numbers(30, 20), numbers(25, 30)).body.steps
    assert isinstance(product, Product)
    assert (product.a.row, product.a.col, product.b.row, product.b.col) == (1, 20, 1, 30)


# --- tiny arrays ------------------------------------------------------------------------------


def test_tiny_programs_have_no_loops() -> None:
    def step(x: Any, w: Any) -> Any:
        return torch.stack([torch.tanh(w @ x), x.flip(0)]).sum(0) / x.norm()

    (nest,) = nests(plan_of(func.jacrev(step), numbers(3), numbers(3, 3)))
    (stage,) = nest.stages
    assert (nest.rows, nest.cols, stage.sweep) == ((), 1, False)


def test_numbers_picked_from_an_array_and_their_gradients_are_two_runs() -> None:
    def cells(a: Any, b: Any) -> Any:
        far = ((a[:, None] - b) ** 2).sum(-1)
        above = [far[0, 0] * 0] * 10
        for i in range(9):
            row = [above[0] + 1]
            for j in range(9):
                row.append(far[i, j] - torch.logsumexp(-torch.stack([above[j], row[j]]), 0))
            above = row
        return above[-1]

    plan = plan_of(func.grad(cells, argnums=(0, 1)), numbers(9, 3), numbers(9, 3))
    found = [nest for nest in nests(plan) if len(statements(nest, Op)) > 50]
    assert len(found) == 2
    assert len(nests(plan)) < 10


@pytest.mark.parametrize("base", [torch.zeros, torch.ones])
def test_numbers_are_put_into_an_array_at_once(base: Any) -> None:
    def filled(x: Any) -> Any:
        out, total = base(10, 10), x[0, 0] * 0
        for i in range(10):
            total = total * 0.9 + x[i, 9 - i]
            out[i, (3 * i) % 10] = total
        return out

    compiled: Any = torch.compile(filled)
    x = torch.as_tensor(numbers(10, 10))
    for each in (x, x + 1):
        assert torch.allclose(compiled(each), filled(each))
    ((case,),) = compiled.cases.values()
    found = nests(case.plan)
    assert len(found) <= 3
    assert max(len(statements(nest, Store)) for nest in found) == 10


def test_what_pieces_are_put_into_may_be_of_a_run_that_is_too_short() -> None:
    def halved(c: Any, t: Any) -> Any:
        return func.while_loop(lambda c, t: c > 1, lambda c, t: (c / 2, t), (c + t, t * 1))[0], c

    def twice(x: Any) -> Any:
        total = torch.sin(func.scan(halved, x[0], x)[1]).sum() + torch.sin(x).sum()
        (slope,) = torch.autograd.grad(total, x, create_graph=True)
        return torch.autograd.grad(torch.sin(slope).sum(), x)[0]

    x = torch.tensor([0.2, -0.6, 1.4], requires_grad=True)
    assert torch.allclose(torch.compile(twice)(x), twice(x))


def test_small_arrays_of_elementary_functions_are_loops() -> None:
    def forward(a: Any, m: Any) -> Any:
        for _ in range(3):
            a = torch.logsumexp(a[:, None] + m, 0) + m[0]
        return a.sum()

    plan = plan_of(func.grad_and_value(forward), numbers(6), numbers(6, 6))
    calls = [s for nest in nests(plan) for s in statements(nest, Op) if s.name == "exp"]
    assert 3 <= len(calls) < 36  # where each element stood for itself, there would be 36 a step


def test_numbers_beside_rows_stay_in_their_nest() -> None:
    (nest,) = nests(plan_of(lambda x: torch.softmax(x, 1).var(1).sqrt(), numbers(4, 300)))
    assert nest.rows == (4,)


def test_scheduling_is_linear() -> None:
    def seconds(n: int, x: Array, all_out: bool) -> float:
        value = given_value = Value(aval_of(x))
        lines = []
        for _ in range(n):
            lines.append(Line(e.sin, (value,), {}, (Value(value.aval),)))
            lines.append(Line(e.add, (lines[-1].result, value), {}, (Value(value.aval),)))
            value = lines[-1].result
        outputs = [line.result for line in lines] if all_out else [value]
        program = straight([given_value], lines, outputs)
        start = time.process_time()
        schedule(program)
        return time.process_time() - start

    for x in (numbers(), numbers(300)):
        for all_out in (False, True):
            short = min(seconds(400, x, all_out) for _ in range(3))
            assert seconds(4000, x, all_out) < 40 * short + 0.3



# --- examples ---------------------------------------------------------------------------------


def crossed(x: Any) -> Any:
    """A small function that takes its vector apart."""
    turned = torch.stack([x[1] * x[2], x[2] * x[0], x[0] * x[1]])
    return turned / (x * x).sum() + x[0] * turned.sum()


def gated(a: Any, c: Any) -> Any:
    gates = torch.sigmoid(a)
    return torch.cat([gates[:16] * torch.tanh(c), gates[16:32] + gates[32:48] * c])


@pytest.mark.parametrize("fn", [crossed, func.jacrev(crossed), func.jacfwd(crossed)])
@pytest.mark.parametrize("count", [30, 100])
def test_what_is_done_for_each_example_is_one_sweep_over_them(fn: Any, count: int) -> None:
    plan = plan_of(func.vmap(fn), numbers(count, 3))
    (nest,) = nests(plan)
    assert (nest.rows, nest.cols, sweeps(nest), plan.arena) == ((), count, 1, 0)
    assert len(statements(nest, Load)) == 3


def test_what_transforms_make_of_nothing_is_no_input() -> None:
    def padded(x: Any) -> Any:
        return torch.stack([x[0].cos(), torch.zeros_like(x[0]), x[1] * x[2]])

    compiled: Any = torch.compile(func.jacfwd(padded))
    compiled(torch.ones(3))
    ((case,),) = compiled.cases.values()
    assert len(case.plan.inputs) == 1


def test_parts_of_vectors_are_examples_of_several_elements() -> None:
    (nest,) = nests(plan_of(gated, numbers(48), numbers(16)))
    assert (nest.rows, nest.cols, sweeps(nest)) == ((), 16, 1)
    assert {s.at.strides for s in statements(nest, Load)} == {(1,)}


def test_examples_that_a_product_needs_are_stored_side_by_side() -> None:
    def spread(x: Any, y: Any) -> Any:
        return y @ func.vmap(lambda x: torch.stack([*crossed(x), x.sum()]))(x).T

    first, *_ = nests(plan_of(spread, numbers(100, 3), numbers(50, 4)))
    stores = statements(first, Store)
    assert [s.at.strides for s in stores] == [(1,)] * 4
    assert sorted(s.at.offset for s in stores) == [0, 100, 200, 300]


def test_long_work_for_examples_is_cut() -> None:
    def long(x: Any) -> Any:
        for i in range(100):
            x = torch.stack([x[1] * 0.5, x[2] - x[0], x.sum() + i])
        return x

    found = nests(plan_of(func.vmap(long), numbers(70, 3)))
    assert len(found) > 1
    assert all((nest.rows, nest.cols) == ((), 70) for nest in found)


def test_what_takes_nothing_apart_is_left_to_loops() -> None:
    (nest,) = nests(plan_of(lambda x: torch.tanh(x * x + x).exp(), numbers(100, 5)))
    assert nest.cols == 500


@pytest.mark.parametrize("shape", [(1000, 3), (6, 1000, 3)])
def test_a_product_of_few_terms_is_elementwise(shape: tuple[int, ...]) -> None:
    plan = plan_of(lambda x, y: torch.tanh(x @ y), numbers(*shape), numbers(*shape[:-2], 3, 40))
    assert not [step for step in plan.body.steps if isinstance(step, Product)]


def test_pieces_are_put_where_a_change_of_dimensions_has_them() -> None:
    plan = plan_of(lambda x, y: torch.stack([x, y.exp()]).permute(1, 2, 0).contiguous(),
                   numbers(70, 80), numbers(70, 80, seed=1))
    assert plan.arena == 0


def test_vectors_are_filled_along_what_lies_side_by_side() -> None:
    def summed(x: Any, y: Any) -> Any:
        return (x.T + y.T).contiguous().T.contiguous()

    plan = plan_of(summed, numbers(300, 200), numbers(300, 200, seed=1))
    (nest,) = nests(plan)
    assert {s.at.strides[-1] for s in (*statements(nest, Load), *statements(nest, Store))} == {1}

# --- edges ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fn", [
    lambda x: x.sum(0), lambda x: x.sum(1), lambda x: x * 2, lambda x: torch.exp(x).T,
    lambda x: (x @ x.T, x.T @ x), lambda x: x.sum() * 2])
def test_empty_arrays(fn: Callable[..., Any]) -> None:
    plan_of(fn, numbers(0, 5))


def test_outputs_that_are_inputs_constants_or_twice_the_same() -> None:
    x = Value(aval_of(numbers(30)))
    doubled = Line(e.add, (x, x), {}, (Value(x.aval),))
    known = Constant(np.arange(3.0))
    outputs = (x, doubled.result, known, doubled.result, x)
    check(verify(straight([x], [doubled], outputs)), [numbers(30)])


def test_complex_numbers_are_called() -> None:
    plan = plan_of(lambda x: (x * x).real + 1, numbers(5, 20) * 1j)
    assert [type(step) for step in plan.body.steps] == [Call, Call, Nest]


@pytest.mark.parametrize("how", [gather, index, scatter_add, index_put, "one hot"])
def test_indices_out_of_range_are_found(how: Any) -> None:
    x, i = numbers(20, 30), np.array([[25] * 30, [3] * 30])

    def fn(x: Any, i: Any) -> Any:
        if how is gather:
            return gather(x, i, dim=0)
        if how is scatter_add:
            return scatter_add(x, i, x[:2], dim=0)
        if how == "one hot":
            return scatter_add(x, i[:1], x[:1], dim=0)
        if how is index:
            return index(x, i[:, 0], pattern=(0, Ellipsis))
        return index_put(x, x[:2], i[:, 0], pattern=(0, Ellipsis), accumulate=True)

    program = program_of(fn, x, i)
    last = -1 if how in (index, index_put) else 19  # what counts from the end, and what does not
    check(program, (x, np.where(i == 25, last, i)))
    with pytest.raises(OutOfRangeError):
        run(schedule(program), (x, i))


@pytest.mark.parametrize("fn", [
    lambda x, i: x.expand(7, 50)[i] * 2, lambda x, i: (x + torch.zeros(7, 1)).exp()[i],
    lambda x, i: torch.ones(7, 50)[i] * x, lambda x, i: (x.expand(7, 50) * 2)[i][:, i].sin()],
    ids=["expanded", "added", "ones", "twice"])
def test_an_index_along_what_is_the_same_everywhere_is_checked(fn: Any) -> None:
    x, i = numbers(1, 50), np.array([0, 6, -7])
    program = program_of(fn, x, i)
    check(program, (x, i))
    for bad in (7, -8):
        with pytest.raises(OutOfRangeError):
            run(schedule(program), (x, np.array([0, bad, 0])))


def test_several_indices() -> None:
    """Elements, and rows of elements, on top of what is there and in place of it."""
    x, i, j = numbers(9, 8, 40), np.arange(-9, 9), np.arange(18) % 8
    plan_of(lambda x, i, j: x[i, j].exp(), x, i, j)
    plan_of(lambda x, i, j: (2 * x[:, :, 0])[i, j], x, i, j)
    plan_of(func.grad(lambda x, i, j: (x[i, j] ** 2).sum() + x.exp().sum()), x, i, j)
    plan_of(lambda x, i, j: index_put(x, x[0, 0], i, j, pattern=(0, 1), accumulate=True), x, i, j)


def test_the_gradient_of_elements_is_added_where_the_rest_is() -> None:
    """No array of zeros but the result itself; what the loops need of the indices comes first."""
    def loss(x: Any, rows: Any, labels: Any) -> Any:
        return -torch.log_softmax(x, 1)[rows, labels].mean()

    x = numbers(200, 100)
    plan = plan_of(func.grad(loss), x, np.arange(200), np.arange(200) % 100)
    large = [nest for nest in nests(plan) if nest.cols == 100]
    assert [sweeps(nest) for nest in large] == [3]
    assert plan.arena < x.nbytes // 10


# --- a few columns, turned --------------------------------------------------------------------


def test_sweeps_over_a_few_columns_are_turned() -> None:
    x = numbers(6, 50, 2)
    _, nest, *_ = nests(plan_of(lambda x: x.exp().sum((0, 2)), x))
    assert (nest.rows, nest.cols, sweeps(nest)) == ((6, 2), 50, 1)
    assert [s.how for s in statements(nest, Store)] == ["add"]


@pytest.mark.parametrize("fn", [
    lambda x: torch.softmax(x, 2).sum((0, 2)), lambda x: x.exp().sum(2).sin().sum(0),
    lambda x: (x.amax(2) - x[:, :, 0]).sum(0)], ids=["softmax", "of the sum", "of the greatest"])
def test_what_takes_whole_rows_is_not_turned(fn: Any) -> None:
    plan = plan_of(fn, numbers(6, 50, 2))
    assert any((nest.rows, nest.cols) == ((6, 50), 2) for nest in nests(plan))


def test_sweeps_over_many_columns_are_not_turned() -> None:
    _, nest, *_ = nests(plan_of(lambda x: x.exp().sum((0, 2)), numbers(6, 50, 8)))
    assert (nest.rows, nest.cols) == ((6, 50), 8)


# --- what may fail ----------------------------------------------------------------------------


@pytest.mark.parametrize(("fn", "fails"), [
    (lambda x, i: x.exp() / 3, False), (lambda x, i: x[i], True), (lambda x, i: i // 3, False),
    (lambda x, i: 3 // i, True), (lambda x, i: i % (i + 1), True), (lambda x, i: x % x, False),
    (lambda x, i: x.sort()[0], True),
    (lambda x, i: index_put(x, x[:3], i, pattern=(0,), accumulate=True), True)],
    ids=["floats", "index", "by a number", "by none", "rest", "rest of floats", "call", "put"])
def test_what_a_plan_may_not_get_through(fn: Any, fails: bool) -> None:
    assert can_fail(plan_of(fn, numbers(70), np.array([1, 2, 5]))) is fails


def test_an_answer_may_be_missing() -> None:
    program, _ = random_program(random.Random(0), (1, 3), 10)
    assert can_fail(schedule(with_looks(program, random.Random(1))))


# --- donation ---------------------------------------------------------------------------------


def donated(fn: Callable[..., Any], *arrays: Array) -> Mapping[int, int]:
    return plan_of(fn, *arrays, donated={0: 0}).donated


def test_updates_may_be_made_in_place() -> None:
    assert donated(lambda p, g: p - 0.1 * torch.tanh(g), numbers(90), numbers(90)) == {0: 0}
    assert donated(lambda x: torch.softmax(x, 1), numbers(9, 90)) == {0: 0}


def test_what_is_read_later_or_elsewhere_is_not_written() -> None:
    assert donated(lambda x: x.T + x, numbers(80, 80)) == {}
    assert donated(lambda x: x.flip(0) * 2, numbers(90)) == {}

    def both(x: Any) -> Any:
        twice = x * 2
        return twice, twice.cumsum(0), x.cumsum(0)

    assert donated(both, numbers(90)) == {}
    assert donated(lambda x: x.sum(0), numbers(20, 30)) == {}


def test_what_can_fail_does_not_write_over_inputs() -> None:
    x, i = numbers(20, 30), np.zeros((20, 30), int)
    assert donated(lambda x, i: (x * 2, gather(x + 1, i, dim=0)), x, i) == {}
    assert donated(lambda x: (x * 2, (x * 2).cumsum(0)), numbers(90)) == {}


# --- looks ------------------------------------------------------------------------------------


def looking(n: int) -> Program:
    """Doubles a row until its sum is above 10; then gives it, and what it was once."""
    x = Value(aval_of(numbers(n)))
    yes, no = answer(np.asarray(True)), answer(np.asarray(False))

    def block(value: Value, before: Value, left: int) -> Block:
        twice = Line(e.add, (value, value), {}, (Value(value.aval),))
        kind: Any = r.sum_.abstract(value.aval, dims=(0,), keepdim=False)
        total = Line(r.sum_, (twice.result,), {"dims": (0,), "keepdim": False}, (Value(kind),))
        above = Line(e.gt, (total.result, Constant(np.asarray(10, F32))), {},
                     (Value(kind.boolean),))
        tanh = Line(e.tanh, (before,), {}, (Value(before.aval),))
        stop = Block((tanh,), Return((twice.result, tanh.result, total.result)))
        cases = {yes: stop}
        if left:
            cases[no] = block(twice.result, value, left - 1)
        return Block((twice, total, above), Look(above.result, cases))

    return verify(Program((x,), block(x, x, 5)))


@pytest.mark.parametrize("n", [3, 100])
@pytest.mark.parametrize("total", [0.4, 3.0, 7.0])
def test_looks(n: int, total: float) -> None:
    x = np.full(n, total / n, F32)
    program = looking(n)
    plan = check(program, [x], {0: 0})
    assert plan.donated == {}
    with pytest.raises(MissError):
        run(plan, [np.full(n, 1e-3 / n, F32)])


def test_a_long_chain_of_looks() -> None:
    x = Value(aval_of(numbers(100)))
    kind: Any = e.gt.abstract(*[aval_of(np.zeros((), F32))] * 2)
    body = Block((), Return((x,)))
    for i in range(2000):
        y = Value(aval_of(np.zeros((), F32)))
        total = Line(r.sum_, (x,), {"dims": (0,), "keepdim": False}, (y,))
        above = Line(e.gt, (y, Constant(np.asarray(i, F32))), {}, (Value(kind),))
        body = Block((total, above), Look(above.result, {answer(np.asarray(False)): body}))
    plan = schedule(Program((x,), body))
    depth, block = 0, plan.body
    while not hasattr(block.end, "outputs"):
        (block,) = block.end.cases.values()  # type: ignore[union-attr]
        depth += 1
    assert depth == 2000
    assert plan.arena < 1000


def test_ends_share_outputs_of_one_kind() -> None:
    plan = schedule(looking(100))
    assert len(plan.outputs) == 3
    ends: list[PlanBlock] = [plan.body]
    while ends:
        block = ends.pop()
        if hasattr(block.end, "cases"):
            ends.extend(block.end.cases.values())
        else:
            assert len(set(block.end.outputs)) == 3


# --- memory -----------------------------------------------------------------------------------


def test_memory_is_used_again() -> None:
    def chain(x: Any, w: Any) -> Any:
        for _ in range(10):
            x = torch.tanh(x @ w)
        return x

    plan = plan_of(chain, numbers(40, 40), numbers(40, 40))
    assert plan.arena <= 2 * 40 * 40 * 4  # a product and the operand of the next


def test_the_last_to_read_memory_may_write_its_result_there() -> None:
    plan = plan_of(lambda x, w: torch.tanh(x @ w) @ w, numbers(40, 40), numbers(40, 40))
    (nest,) = nests(plan)
    (load,), (store,) = statements(nest, Load), statements(nest, Store)
    assert load.at.buffer is not store.at.buffer
    assert load.at.buffer.offset == store.at.buffer.offset


# --- golden files -----------------------------------------------------------------------------

KEPT: dict[str, tuple[Callable[..., Any], tuple[Array, ...]]] = {
    "row": (func.grad(row), (numbers(5000),)),
    "softmax": (lambda x: torch.softmax(x, 1), (numbers(70, 90),)),
    "cross_entropy": (func.grad(cross_entropy), (numbers(70, 90), np.zeros(70, int))),
    "layer_norm_gelu": (func.grad(norm_gelu, argnums=(0, 1, 2)),
                        (numbers(70, 90), numbers(90), numbers(90))),
    "layer": (func.grad(lambda x, w, b: torch.tanh(x @ w + b).sum(), argnums=(1, 2)),
              (numbers(40, 30), numbers(30, 20), numbers(20))),
    "tiny": (func.grad(lambda w, x: torch.tanh(w @ x).sum()), (numbers(2, 2), numbers(2)))}


@pytest.mark.parametrize("name", KEPT)
def test_golden(name: str) -> None:
    fn, arrays = KEPT[name]
    found = plan_text.text(schedule(program_of(fn, *arrays)))
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("WENGERT_UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found)
    assert found == path.read_text()
