"""Loops that are found again: what repeats itself is rolled, means the same, and is rolled only
if it is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.compiler import lifting, turns
from wengert.compiler.api import Compiled
from wengert.compiler.executable import Executable
from wengert.compiler.nest import Branch, Call, PlanBlock, Repeat, Step
from wengert.compiler.periods import Run, runs
from wengert.compiler.plan_interpreter import run
from wengert.compiler.prepare import prepared
from wengert.compiler.program import (
    Line,
    NotAProgramError,
    Program,
    Value,
    evaluate,
    straight,
    verify,
)
from wengert.compiler.repeated import Window, loop, repeated
from wengert.compiler.rolling import roll
from wengert.compiler.schedule import schedule
from wengert.compiler.symbolic import record
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


@shape(2, (4,))
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
