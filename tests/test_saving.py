"""What is saved for a derivative, and what is worked out again: small graphs whose best choice can
be seen, random ones whose best choice is found by trying all, and flows against SciPy's."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

import wengert as torch
from wengert.compiler.calling.saving import EACH, SINK, SOURCE, Flow, cost, saving, work
from wengert.compiler.ir.program import Constant, Line, Value, evaluate, straight
from wengert.compiler.ir.symbolic import record
from wengert.compiler.recording.record import draw
from wengert.core.aval import aval_of
from wengert.core.primitive import TABLE

BIG = (1000, 100)


def given(*shape: int, dtype: Any = np.float32) -> Value:
    return Value(aval_of(np.zeros(shape, dtype)))


def lines_of(fn: Callable[..., Any], *values: Value) -> tuple[list[Line], list[Value]]:
    """The lines of a function, and the values that it returns, which stand for those read."""
    return record(fn, values)


def names(lines: Sequence[Line]) -> list[str]:
    return [line.primitive.name for line in lines]


# --- graphs whose best choice can be seen -------------------------------------------------------


def test_what_is_cheap_is_worked_out_again_from_what_is_there():
    x = given(*BIG)
    lines, read = lines_of(lambda x: ((y := x * 2) + 1, y, torch.relu(y)), x)
    assert saving(lines, read, {x}) == ([], lines)


def test_what_is_given_is_saved_if_it_is_not_there():
    x = given(*BIG)
    lines, read = lines_of(lambda x: ((y := x * 2) + 1, y), x)
    saved, again = saving(lines, read, ())
    assert len(saved) == 1 and names(again) in (["mul", "add"], ["add"])


def test_products_are_saved_and_what_follows_them_is_not():
    x, w = given(*BIG), given(100, 100)
    lines, read = lines_of(lambda x, w: (h := x @ w, torch.relu(h), h + 1, h * h), x, w)
    saved, again = saving(lines, read, {x, w})
    assert saved == [lines[0].result] and again == lines[1:]


def test_a_mask_is_saved_rather_than_what_it_was_made_of():
    x, w = given(*BIG), given(100, 100)
    lines, read = lines_of(lambda x, w: (x @ w) > 0, x, w)
    saved, again = saving(lines, read, {x, w})
    assert saved == read and not again


def test_a_small_thing_is_saved_rather_than_the_large_one_it_was_made_of():
    x = given(*BIG)
    lines, read = lines_of(lambda x: (x.sum(1), x.exp().amax(1)), x)
    saved, again = saving(lines, read, ())
    assert saved == read and not again


def test_what_leads_to_several_is_saved_once():
    x, w = given(*BIG), given(100, 100)
    lines, read = lines_of(lambda x, w: ((h := x @ w) + 1, h * 2, h.T), x, w)
    saved, again = saving(lines, read, {x, w})
    assert saved == [lines[0].result] and names(again) == ["add", "mul", "permute"]


def test_much_work_is_not_done_again():
    x = given(*BIG)

    def f(x: Any) -> Any:
        for _ in range(20):
            x = x * x
        return x

    lines, read = lines_of(f, x)
    assert saving(lines, read, {x}) == (read, [])
    assert saving(lines[:3], [lines[2].result], {x}) == ([], lines[:3])
    sine, _ = lines_of(torch.sin, x)
    assert saving(sine, [sine[0].result], {x}) == ([sine[0].result], [])


def test_lines_that_run_later_anyway_cost_nothing_there():
    x = given(*BIG)

    def f(x: Any) -> Any:
        for _ in range(6):
            x = torch.sin(x)
        return x

    lines, read = lines_of(f, x)
    assert saving(lines, read, {x}, set(lines)) == ([], lines)
    assert saving(lines, read, {x}, set(lines[3:])) == ([lines[2].result], lines[3:])


def test_lines_that_run_later_may_run_now():
    """Where that leaves less to save."""
    x, w = given(*BIG), given(100, 100)
    lines, read = lines_of(lambda x, w: ((x @ w) * 2).sum(1), x, w)
    assert saving(lines, read, {x, w}, set(lines[1:])) == (read, [])


def test_views_and_casts_are_had_again():
    x = given(*BIG)
    lines, read = lines_of(lambda x: (x.T, x.expand(2, *BIG), x.double(), x.reshape(-1)[5:]), x)
    saved, again = saving(lines, read, {x})
    assert not saved and again == lines


@pytest.mark.parametrize(("n", "saves"), [(4, 0), (100, 1)])
def test_reductions_of_few_elements_alone_are_done_again(n: int, saves: int):
    x = given(n, 100)
    lines, read = lines_of(lambda x: x.sum(), x)
    assert len(saving(lines, read, {x})[0]) == saves


def test_random_numbers_are_saved():
    x, y = given(4), given(4)
    line = Line(draw, (x,), {"call": np.copy, "generator": None, "aval": x.aval}, (y,))
    assert saving([line], [y], {x}) == ([y], [])


def test_what_sorts_or_scans_is_saved():
    x = given(4)
    lines, read = lines_of(lambda x: (torch.cumsum(x, 0), torch.argsort(x)), x)
    saved, again = saving(lines, read, {x})
    assert set(saved) == set(read) and not again


def test_several_results_of_a_line():
    x = given(6, 100, 100)
    lines, read = lines_of(lambda x: torch.unbind((x * 2).exp() @ x)[1:3], x)
    saved, again = saving(lines, read, {x})
    assert set(saved) <= {*read, *lines[-1].operands}
    assert sum(map(cost, saved)) <= sum(map(cost, read))
    assert {v for line in again for v in line.results}.union(saved) >= set(read)


def test_nothing_is_read():
    x = given(3)
    lines, _ = lines_of(lambda x: x * 2, x)
    assert saving(lines, [], ()) == ([], [])
    assert saving(lines, [Constant(np.ones(3))], ()) == ([], [])
    assert saving(lines, [x], ()) == ([x], [])
    assert saving(lines, [x], {x}) == ([], [])


# --- random graphs ------------------------------------------------------------------------------

UNARY = ("exp", "neg", "sqrt", "argsort", "sin")


def random_lines(rng: np.random.Generator, count: int) -> tuple[list[Value], list[Line]]:
    sizes = [(3,), (50,), (400,)]
    inputs = [given(*sizes[rng.integers(3)], dtype=np.float64) for _ in range(2)]
    lines: list[Line] = []
    values = list(inputs)
    for _ in range(count):
        x = values[rng.integers(len(values))]
        name = str(rng.choice(UNARY)) if rng.random() < 0.5 else "add"
        name = "cumsum" if name == "argsort" else name
        operands = [x] if name != "add" else [
            x, rng.choice([v for v in values if v.aval is x.aval])]  # type: ignore[list-item]
        result = Value(x.aval)
        lines.append(Line(TABLE[name], operands, {"dim": 0} if name == "cumsum" else {}, (result,)))
        values.append(result)
    return inputs, lines


def price(saved: Collection[Value], again: Sequence[Line], anyway: Collection[Line]) -> int:
    return sum(map(cost, saved)) + sum(work(line) or 0 for line in again if line not in anyway)


def cheapest(lines: Sequence[Line], read: Sequence[Value], free: Collection[Value],
             anyway: Collection[Line]) -> int:
    """The price of the best choice, by trying all."""
    best = []
    for chosen in itertools.product((False, True), repeat=len(lines)):
        kept = {line for line, keep in zip(lines, chosen, strict=True) if keep}
        needed, saved, again = set(read), [], []
        for line in reversed(lines):
            if line.result in needed and line.result not in free:
                if line in kept:
                    saved.append(line.result)
                elif work(line) is None and line not in anyway:
                    break
                else:
                    again.append(line)
                    needed.update(line.operands)
        else:
            made = {line.result for line in lines}
            saved += [v for v in needed if v not in made and v not in free]
            best.append(price(saved, again, anyway))
    return min(best)


@pytest.mark.parametrize("seed", range(40))
def test_no_other_choice_is_cheaper(seed: int):
    rng = np.random.default_rng(seed)
    inputs, lines = random_lines(rng, 8)
    every = [*inputs, *(line.result for line in lines)]
    read = [v for v in every if rng.random() < 0.4]
    free = {v for v in every if rng.random() < 0.2}
    anyway = {line for line in lines if rng.random() < 0.2}
    saved, again = saving(lines, read, free, anyway)
    assert price(saved, again, anyway) == cheapest(lines, read, free, anyway)


@pytest.mark.parametrize("seed", range(20))
def test_all_that_is_read_can_be_had_from_what_is_saved(seed: int):
    rng = np.random.default_rng(seed)
    inputs, lines = random_lines(rng, 60)
    every = [*inputs, *(line.result for line in lines)]
    read = [v for v in every if rng.random() < 0.3]
    free = [v for v in every if rng.random() < 0.1]
    saved, again = saving(lines, read, set(free))
    assert set(saved).isdisjoint(free) and len(set(saved)) == len(saved)
    assert [line for line in lines if line in again] == again
    assert sum(map(cost, saved)) <= sum(cost(v) for v in read if v not in free)
    arrays = [rng.uniform(1, 2, v.aval.shape) for v in inputs]
    first = evaluate(straight(inputs, lines, [*saved, *free, *read]), arrays)
    kept, expected = first[:len(saved) + len(free)], first[len(saved) + len(free):]
    found = evaluate(straight([*saved, *free], [
        line for line in again if line.result not in free], read), kept)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_time_is_linear_in_lines():
    """Long chains are cut into as many pieces as they have products, and no step is repeated."""
    x, w = given(100, 100), given(100, 100)

    def f(x: Any, w: Any) -> Any:
        found = []
        for _ in range(300):
            x = torch.relu(x @ w + x)
            found.append(x)
        return found

    lines, read = lines_of(lambda x, w: tuple(f(x, w)), x, w)
    saved, again = saving(lines, read, {x, w})
    assert len(saved) == 300 and len(again) <= 600
    assert sum(map(cost, saved)) == 300 * (40000 + EACH)


# --- flows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_is_as_large_as_the_largest_flow(seed: int):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 30))
    room = rng.integers(0, 50, (n, n)) * (rng.random((n, n)) < 0.3)
    np.fill_diagonal(room, 0)
    room[:, 0] = room[1, :] = 0
    flow = Flow()
    nodes = [SOURCE, SINK, *range(2, n)]
    for i, j in zip(*np.nonzero(room), strict=True):
        flow.edge(nodes[i], nodes[j], int(room[i, j]))
    side = flow.cut()
    assert SOURCE in side and SINK not in side
    here = np.array([node in side for node in nodes])
    assert room[here][:, ~here].sum() == maximum_flow(csr_array(room), 0, 1).flow_value


def test_edges_without_limit_are_never_cut():
    flow = Flow()
    flow.edge(SOURCE, "a", 5)
    flow.edge("a", "b", None)
    flow.edge("b", SINK, 7)
    assert flow.cut() == {SOURCE}
