"""`explain()` says what became of a compiled function, and says it truly."""

from __future__ import annotations

from typing import Any

import wengert as torch


def grow(a: Any) -> Any:
    while a.norm() < 1000:
        a = a * 2
    return a if a.sum() > 0 else 100 * a


def test_explain_before_the_first_call():
    run = torch.compile(grow)
    assert run.explain().kinds == () and "not called" in str(run.explain())


def test_explain_tells_arguments_and_steps():
    run = torch.compile(lambda x, y, *, scale: torch.exp(x @ y) * scale)
    run(torch.ones(64, 100), torch.ones(100, 80), scale=2.0)
    found = run.explain()
    (kind,) = found.kinds
    assert kind.arguments == "(f32[64,100], f32[100,80], scale=2.0)"
    assert kind.reasons == ("the first call",) and not kind.guards and found.seconds > 0
    assert "product" in [step.what for step in kind.way.steps]
    product = next(step for step in kind.way.steps if step.what == "product")
    assert product.words == "of 64 x 100 x 80"
    assert product.read == 4 * (64 * 100 + 100 * 80) and product.written == 4 * 64 * 80
    assert kind.way.read >= product.read and kind.way.written >= 4 * 64 * 80
    assert str(kind.way.steps[0]) in str(found) and kind.arguments in repr(found)


def test_explain_counts_what_a_nest_goes_over():
    run = torch.compile(lambda x, y: x + y)
    run(torch.ones(300, 40), torch.ones(40))
    (step,) = run.explain().kinds[0].way.steps
    assert step.what == "nest" and "1 sweep" in step.words
    assert (step.read, step.written) == (4 * (300 * 40 + 40), 4 * 300 * 40)


def test_explain_tells_why_runs_were_recorded():
    def f(x: Any) -> Any:
        return x + 1 if x.sum() > 0 else x - 1

    run = torch.compile(f)
    for x in (torch.ones(2), -torch.ones(2), torch.ones(3)):
        run(x)
    first, second = run.explain().kinds
    line = f.__code__.co_firstlineno + 1
    assert first.reasons[0] == "the first call"
    assert first.reasons[1].startswith("False was new at") and f"line {line}" in first.reasons[1]
    assert second.reasons == ("arguments of another kind",)
    assert [answer for answer, _ in first.way.answers] == [True, False]
    assert f"line {line}" in first.way.place
    assert len(list(first.way.ways())) == 3
    assert "True:" in str(first) and "False:" in str(first)


def test_explain_tells_guards():
    w = torch.ones(3, requires_grad=True)
    run = torch.compile(lambda x: (x * w).sum().backward())
    for _ in range(3):
        run(torch.ones(3))
    first, second = run.explain().kinds
    assert first.guards == ("w is f32[3] and requires grad",
                            "the .grad of w is None")
    assert "the .grad of w is f32[3]" in second.reasons[0]


def test_explain_tells_calls():
    run = torch.compile(lambda x: torch.sort(x)[1])
    run(torch.arange(8.0))
    assert "of argsort" in [s.words for s in run.explain().kinds[0].way.steps]


def test_explain_is_deep_enough_for_long_loops():
    run = torch.compile(grow)
    run(torch.tensor(1e-30))
    (kind,) = run.explain().kinds
    assert len(list(kind.way.ways())) > 100 and str(kind).count("look at") > 100
    assert kind.way.read > 0


def test_explain_tells_what_is_not_compiled_yet():
    run = torch.compile(lambda x: x * x.sum().item())
    for n in range(6):
        run(torch.tensor([float(n)]))
    (kind,) = run.explain().kinds
    steps = [way.steps for _, way in kind.way.answers]
    assert steps[0] is not None and steps[-1] is None and "not compiled yet" in str(kind)


def test_explain_tells_modes_and_tensors_given_twice():
    run, x = torch.compile(lambda x, y: x + y), torch.ones(2, requires_grad=True)
    run(x, x)
    with torch.no_grad():
        run(x, torch.ones(2))
    first, second = run.explain().kinds
    assert first.arguments == "(f32[2] #0 that requires grad, f32[2] #0 that requires grad)"
    assert first.modes.startswith("with gradients") and second.modes.startswith("without")
