"""Loops that are found again: what repeats itself is rolled, means the same, and is rolled only
if it is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.compiler.api import Compiled
from wengert.compiler.executable import Executable
from wengert.compiler.ir.nest import Branch, PlanBlock, Repeat, Step
from wengert.compiler.ir.plan_interpreter import run
from wengert.compiler.ir.program import (
    Line,
    NotAProgramError,
    Program,
    Value,
    evaluate,
    straight,
    verify,
)
from wengert.compiler.ir.symbolic import record
from wengert.compiler.looping import lifting, turns
from wengert.compiler.looping.periods import Run, runs
from wengert.compiler.looping.repeated import Window, loop, repeated
from wengert.compiler.looping.rolling import roll
from wengert.compiler.prepare import prepared
from wengert.compiler.schedule import schedule
from wengert.core import dtypes
from wengert.core.aval import aval

TURNS = 20
TOLERANCE = 1e-12

# --- loops of many shapes ----------------------------------------------------------------------

Make = Callable[..., Any]
SHAPES: dict[str, tuple[Make, tuple[tuple[int, ...], ...], int]] = {}


def shape(loops: int, *operands: tuple[int, ...]) -> Callable[[Make], Make]:
    """Enters a function of tensors of these shapes, and how many loops its gradient has."""
    def enter(fn: Make) -> Make:
        SHAPES[fn.__name__] = fn, operands, loops
        return fn

    return enter


@shape(2, (3, 3), (3, 3), (3,), (2, 3), (TURNS, 2, 3))
def recurrent(u: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    for x in torch.unbind(xs):
        h = torch.tanh(x @ u + h @ w + b)
    return h * h


@shape(2, (3, 3), (2, 3), (TURNS, 2, 3))
def stacked(w: Any, h: Any, xs: Any) -> Any:
    found = []
    for x in torch.unbind(xs):
        h = torch.tanh(x + h @ w)
        found.append(h)
    return torch.stack(found, 1) * torch.cat(found).reshape(2, TURNS, 3)


@shape(2, (), ())
def scalars(a: Any, s: Any) -> Any:
    for _ in range(2 * TURNS):
        s = torch.sin(a * s + 0.1) - 0.5 * s * s
    return s


@shape(2, (4,))
def numbers(x: Any) -> Any:
    for i in range(TURNS):
        x = x * (1 - 0.01 * i) + torch.sin(x) / (i + 1)
    return x


@shape(2, (4,), (4,))
def before_last(x: Any, y: Any) -> Any:
    for _ in range(TURNS):
        x, y = y, torch.sin(x) + 0.5 * y
    return x + y


@shape(1, (4,))
def three_before(x: Any) -> Any:
    found = [x, 2 * x, 3 * x]
    for _ in range(TURNS):
        found.append(0.5 * torch.sin(found[-3]) + 0.1 * found[-1] * found[-2])
    return found[-1] + torch.stack(found[5:15]).sum(0) + found[7]


@shape(4, (4,), (TURNS, 4))
def there_and_back(w: Any, xs: Any) -> Any:
    h, found = w, []
    for x in torch.unbind(xs):
        h = torch.tanh(x + h * w)
        found.append(h)
    for y in reversed(found):
        h = torch.tanh(y - h * w)
    return h


@shape(2, (4,), (TURNS, 4))
def losses(w: Any, targets: Any) -> Any:
    total, h = 0, w
    for target in torch.unbind(targets):
        h = torch.tanh(h * w)
        total = total + ((h - target) ** 2).sum()
    return total


@shape(2, (4, 4), (TURNS, 4))
def same_in_all_turns(a: Any, xs: Any) -> Any:
    h = xs[0]
    for x in torch.unbind(xs):
        h = torch.tanh(h @ torch.exp(a).t() + x * a.sum())
    return h


@shape(2, (4,), (6, 4))
def spread_out(a: Any, h: Any) -> Any:
    for _ in range(TURNS):
        h = torch.tanh(h * a.expand(6, 4) + torch.ones(6, 4, dtype=torch.float64))
    return h


@shape(2, (4, 2 * TURNS))
def columns(xs: Any) -> Any:
    h = xs[:, 0]
    for x in reversed(torch.unbind(xs, 1)):
        h = torch.tanh(0.5 * h + x)
    return h


@shape(2, (12, 4), (4,))
def nested(xs: Any, w: Any) -> Any:
    h = w
    for x in torch.unbind(xs):
        for _ in range(10):
            h = torch.sin(h * w + 0.5) * torch.cos(h)
        h = h + x
    return h


@shape(2, (2 * TURNS, 4))
def phases(xs: Any) -> Any:
    h, rows = xs[0], torch.unbind(xs)
    for x in rows[:TURNS]:
        h = torch.tanh(h + x)
    for x in rows[TURNS:]:
        h = torch.sin(h * x)
    return h


@shape(2, (4,), (TURNS, 4), (4,))
def scanned(w: Any, xs: Any, h: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = torch.tanh(h * w + x)
        return h, h * h

    last, found = torch.func.scan(step, h, xs)
    return found.sum(0) + last


@shape(2, (4,), (TURNS, 4), (4,))
def scanned_in_reverse(w: Any, xs: Any, h: Any) -> Any:
    last, found = torch.func.scan(lambda h, x: (torch.tanh(h * w + x), h), h, xs, reverse=True)
    return found.sum(0) * last


@shape(0, (24, 4))
def out_of_order(xs: Any) -> Any:
    h, rows = xs[0], torch.unbind(xs)
    for i in np.random.default_rng(1).permutation(24):
        h = torch.tanh(rows[int(i)] + h)
    return h


def steps(block: PlanBlock) -> Iterator[Step]:
    """All steps, those in loops as well."""
    for step in block.steps:
        yield step
        if isinstance(step, Repeat):
            yield from steps(step.body.body)
    if isinstance(block.end, Branch):
        for case in block.end.cases.values():
            yield from steps(case)


def loops(compiled: Any) -> list[Repeat]:
    """The loops of a compiled function."""
    ((case,),) = compiled.cases.values()
    return [step for step in steps(case.plan.body) if isinstance(step, Repeat)]


def arrays(result: Any) -> list[np.ndarray]:
    found = result if isinstance(result, tuple) else (result,)
    return [np.array(x.detach().numpy()) for x in found]


def tensors(shapes: Sequence[tuple[int, ...]], seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [torch.tensor(0.4 * rng.standard_normal(each), requires_grad=True) for each in shapes]


def both(fn: Callable[..., Any], operands: Sequence[Any], others: Sequence[Any]) -> Any:
    """The compiled function; it is what eager gives, for what it was recorded with and others."""
    compiled: Any = torch.compile(fn)
    for each in (operands, others, operands):
        for mine, its in zip(arrays(compiled(*each)), arrays(fn(*each)), strict=True):
            np.testing.assert_allclose(mine, its, rtol=TOLERANCE, atol=TOLERANCE)
    assert isinstance(compiled, Compiled) and not compiled.eager
    return compiled


@pytest.fixture
def eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rolls what is short, too, and lifts what is small."""
    monkeypatch.setattr(turns, "LEAST", 60)
    monkeypatch.setattr(lifting, "FEW", 1)
    monkeypatch.setenv("WENGERT_VERIFY", "1")


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.usefixtures("eagerly")
def test_a_loop_and_its_gradient(name: str) -> None:
    fn, shapes, count = SHAPES[name]

    def gradients(*operands: Any) -> Any:
        found = fn(*operands)
        return (found.detach(), *torch.autograd.grad((found * found).sum(), operands))

    compiled = both(gradients, tensors(shapes), tensors(shapes, 1))
    assert (len(loops(compiled)) >= count) if count else not loops(compiled)
    assert ("loop of" in str(compiled.explain())) == bool(count)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.usefixtures("eagerly")
def test_a_loop_on_plain_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each program on its way, and its plan by the slow interpreter, which writes garbage where
    nothing is yet."""
    fn, shapes, _ = SHAPES[name]
    given = [Value(aval(each, dtypes.float64)) for each in shapes]
    lines, results = record(fn, given)
    program = straight(given, lines, results)
    inputs = arrays(tuple(tensors(shapes)))
    (expected,) = evaluate(program, inputs)
    for made in (roll(program), prepared(program)):
        np.testing.assert_allclose(evaluate(verify(made), inputs)[0], expected, 1e-12, 1e-12)
    _, (found,) = run(schedule(prepared(program)), inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


# --- what is written in place, and what is not numbers ------------------------------------------


def rows_written(xs: Any, h: Any) -> Any:
    out = torch.zeros(TURNS, 4, dtype=torch.float64)
    for i in range(TURNS):
        h = torch.tanh(h + 2 * xs[i])
        out[TURNS - 1 - i] = h
    return out


def added_up(xs: Any, h: Any) -> Any:
    total = torch.zeros(4, dtype=torch.float64)
    for i in range(TURNS):
        total.add_(torch.sin(xs[i])).mul_(h)
    return total


def state_written(xs: Any, h: Any) -> Any:
    state = torch.stack([h, 2 * h])
    for x in xs:
        state[0] = torch.tanh(state[1] + x)
        state[1] = state[0] * h - 0.1 * state[1]
    return state


def some_rows_written(xs: Any, h: Any) -> Any:
    """The first turns write to other places than those that are rolled."""
    out = torch.zeros(TURNS, 4, dtype=torch.float64)
    for i in [5, 9, 3, *range(6, TURNS)]:
        h = torch.tanh(h + 2 * xs[i])
        out[i] = h
    return out


def rows_read_while_written(xs: Any, h: Any) -> Any:
    """Each row is made of the one before, read where it was written."""
    out = torch.zeros(TURNS + 1, 4, dtype=torch.float64)
    out[0] = h
    for i in range(TURNS):
        out[i + 1] = torch.tanh(out[i] + xs[i])
    return out


def overlapping(xs: Any, h: Any) -> Any:
    """Later turns write over what earlier ones wrote."""
    out = torch.zeros(TURNS + 2, dtype=torch.float64)
    for i in range(TURNS):
        out[i:i + 3] = torch.tanh(xs[i] + h)[:3]
    return out


def descent(xs: Any, h: Any) -> Any:
    """Steps of gradient descent, each with a backward pass of its own."""
    h, speed = h.detach(), torch.zeros(4, dtype=torch.float64)
    for _ in range(TURNS):
        h.requires_grad_()
        slope, = torch.autograd.grad(((xs @ h - 1) ** 2).mean(), [h])
        speed = 0.9 * speed + slope
        h = (h - 0.05 * speed).detach()
    return h


def sorted_in_each_turn(xs: Any, h: Any) -> Any:
    for x in xs:
        h = 0.2 * torch.cumsum(torch.sort(h + x)[0], 0)
    return h


@pytest.mark.parametrize(("fn", "count"), [
    (rows_written, 1), (some_rows_written, 1), (added_up, 1), (state_written, 1),
    (rows_read_while_written, 0), (overlapping, 0), (descent, 1), (sorted_in_each_turn, 1)])
@pytest.mark.usefixtures("eagerly")
def test_what_is_written_in_a_loop(fn: Any, count: int) -> None:
    def plain(*operands: Any) -> Any:
        return fn(*(x.detach() for x in operands))

    shapes = ((TURNS, 4), (4,))
    assert len(loops(both(plain, tensors(shapes), tensors(shapes, 1)))) == count


@pytest.mark.usefixtures("eagerly")
def test_an_index_out_of_range_leaves_the_loop() -> None:
    def walk(table: Any, places: Any) -> Any:
        h = table[0]
        for place in torch.split(places, 1):
            h = torch.tanh(h + table[place][0])
        return h

    table = torch.rand(9, 4, dtype=torch.float64)
    good, bad = torch.arange(2 * TURNS).reshape(2, TURNS) % 9
    bad = torch.where(torch.arange(TURNS) == 13, 9, bad)
    compiled = both(walk, (table, good), (table, good))
    assert len(loops(compiled)) == 1
    with pytest.raises(IndexError):
        compiled(table, bad)


@pytest.mark.usefixtures("eagerly")
def test_random_numbers_stay_in_order() -> None:
    """What is different each time is not rolled, and comes as it does in eager mode."""
    def noisy(x: Any) -> Any:
        for _ in range(TURNS):
            x = x * 0.5 + torch.rand(4)
        return x

    compiled: Any = torch.compile(noisy)
    for _ in range(3):
        torch.manual_seed(5)
        expected = noisy(torch.ones(4))
        torch.manual_seed(5)
        assert torch.equal(compiled(torch.ones(4)), expected)
    assert not loops(compiled)


@pytest.mark.usefixtures("eagerly")
def test_values_of_a_loop_that_later_branches_read() -> None:
    def looking(x: Any) -> Any:
        found = []
        for _ in range(TURNS):
            x = torch.tanh(x) + 0.5
            found.append(x)
        if x.sum() > 3:
            return found[7] * found[-1][1:2]
        return torch.stack(found)

    one = torch.ones(1, dtype=torch.float64)
    both(looking, [one.expand(4)], [-9 * one.expand(4)])
    both(looking, [one], [one - 1])


@pytest.mark.usefixtures("eagerly")
def test_large_results_of_few_turns_are_not_kept_with_all_others(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LARGE", 1)

    def remembering(x: Any) -> Any:
        for i in range(3 * TURNS):
            x = torch.tanh(x) + 0.5
            if i == TURNS:
                early = x
        return x * early

    x = torch.rand(7, dtype=torch.float64)
    compiled = both(remembering, [x], [2 * x])
    assert sorted(step.count for step in loops(compiled)) == [TURNS + 1, 2 * TURNS - 1]
    assert all(not stretch.step for step in loops(compiled) for stretch in step.outputs)


def test_parts_of_a_constant_move_along() -> None:
    def added(x: Any) -> Any:
        table = torch.arange(60 * TURNS, dtype=torch.float64).reshape(60, TURNS)
        for t in range(TURNS):
            x = torch.tanh(x.flip(0) + table[:, t] / 1000)
        return x

    compiled = both(added, *([torch.rand(60, dtype=torch.float64)] for _ in range(2)))
    assert loops(compiled)


# --- how much ------------------------------------------------------------------------------------


def test_what_is_short_stays_a_line() -> None:
    def short(x: Any) -> Any:
        for _ in range(100):
            x = torch.sin(x) + 0.1
        return x

    compiled: Any = torch.compile(short)
    compiled(torch.ones(()))
    assert not loops(compiled)


@pytest.mark.parametrize("name", ["recurrent", "scalars", "nested"])
@pytest.mark.usefixtures("eagerly")
def test_what_is_compiled_does_not_grow_with_the_turns(name: str) -> None:
    fn, shapes, _ = SHAPES[name]

    def size(turns: int) -> int:
        given = [Value(aval(each, dtypes.float64)) for each in shapes]
        lines, results = record(lambda *xs: _often(fn, turns, *xs), given)
        return sum(1 for _ in _lines(roll(straight(given, lines, results))))

    assert size(10) == size(20)


def _often(fn: Any, turns: int, *xs: Any) -> Any:
    for _ in range(turns):
        xs = tuple(x * 0.5 + fn(*xs).sum() for x in xs)
    return xs[0]


def _lines(program: Program) -> Iterator[Line]:
    for line in program.body.lines:
        yield line
        if line.primitive is repeated:
            yield from _lines(line.params["body"])


def test_stretches_that_repeat_themselves() -> None:
    def found(*numbers: int) -> list[Run]:
        return runs(np.array(numbers), np.ones(len(numbers), int), 3, 4)

    assert found(7, *[1, 2, 1, 3] * 4, 1, 9) == [Run(1, 18, 4)]
    assert found(*[1] * 8, *[2, 3] * 5) == [Run(0, 8, 1), Run(8, 18, 2)]
    assert found(*[*[1, 2] * 3, 4] * 5) == [Run(0, 35, 7)]  # the outer of two loops
    assert found(1, 2, 3, 1, 2, 3) == found(*range(30)) == found() == []


# --- the line, and the step ---------------------------------------------------------------------


def _sum_of_squares(count: int, window: Window) -> Program:
    total, part, x, first = (Value(aval(each, dtypes.float64)) for each in ((), (2,), (12,), ()))
    lines, results = record(lambda total, part: (
        total + (part * part).sum(), total * 2), [total, part])
    line = loop(straight([total, part], lines, [*results, results[0]]), count, [first, x],
                carried=1, windows=[window], stacked=1)
    return straight([first, x], [line], line.results)


@pytest.mark.parametrize(("count", "window"), [
    (6, Window(0, 2, 2)), (5, Window(10, -2, 2)), (11, Window(0, 1, 2)), (3, Window(4, 0, 2)),
    (1, Window(3, 5, 2))])
def test_a_loop_that_is_said(count: int, window: Window) -> None:
    x, program = np.arange(12.0), verify(_sum_of_squares(count, window))
    parts = [x[window.start + window.step * turn:][:2] for turn in range(count)]
    totals = 3 + np.cumsum([part @ part for part in parts])
    expected = [totals[-1], 2 * np.concatenate(([3], totals[:-1])), totals[-1]]
    plan = schedule(prepared(program))
    outputs = [np.empty(v.aval.shape) for v in program.body.end.outputs]  # type: ignore[union-attr]
    assert Executable(plan)([np.array(3.0), x], outputs) == 0
    for found in (evaluate(program, [np.array(3.0), x]), run(plan, [np.array(3.0), x])[1], outputs):
        for mine, its in zip(found, expected, strict=True):
            np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize(("count", "window"), [
    (7, Window(0, 2, 2)), (6, Window(8, -2, 2)), (2, Window(0, 2, 3))])
def test_a_loop_that_goes_too_far(count: int, window: Window) -> None:
    with pytest.raises(TypeError, match="goes along"):
        _sum_of_squares(count, window)


def test_a_body_is_checked() -> None:
    program = _sum_of_squares(3, Window(0, 2, 2))
    (line,) = program.body.lines
    body = line.params["body"]
    broken = straight(body.inputs, body.body.lines[1:], body.body.end.outputs)
    with pytest.raises(NotAProgramError):
        verify(straight(program.inputs, [Line(repeated, line.operands, {
            **line.params, "body": broken}, line.results)], line.results))


def test_every_result_of_a_node_may_go_back() -> None:
    """A node with many results hands each cotangent on once."""
    x = torch.rand(4000, 2, dtype=torch.float64).requires_grad_()
    rows = torch.unbind(x)
    sum(i * row.sum() for i, row in enumerate(rows[1:], 1)).backward()
    expected = np.broadcast_to(np.arange(4000.0)[:, None], (4000, 2))
    np.testing.assert_array_equal(x.grad.numpy(), expected)
