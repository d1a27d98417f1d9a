"""Recording: what a run notes is the same, however it comes to be noted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import wengert as torch
from wengert.compiler.ir.program import Line, Names, line_text
from wengert.compiler.recording import pulled
from wengert.compiler.recording.record import Recorder
from wengert.core.levels import modes


def _gated(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x @ w) * torch.sigmoid(x) + x ** 3 / (1 + x * x)


def _bent(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return torch.softmax(torch.where(x > 0, x, 0.5 * x) @ w, -1) - x.mean(0)


def _viewed(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return torch.cat([x[:2] @ w, (x[1:] * w[0, 0]).exp()])[:3].clamp(-2, 2)


def _noted(fn: Callable[..., torch.Tensor]) -> list[str]:
    torch.manual_seed(0)
    x = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    w = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    run, y = Recorder([x, w]), x
    with modes(recorder=run):
        for _ in range(4):
            y = fn(y, w)
        torch.autograd.grad(y.sum(), [x, w])
    name = Names()
    assert not run.failed
    return [line_text(note, name) for note in run.notes if isinstance(note, Line)]


@pytest.mark.parametrize("fn", [_gated, _bent, _viewed])
def test_rules_met_before_note_what_rules_that_are_watched_do(
        fn: Callable[..., torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    found = _noted(fn)
    copied = []
    monkeypatch.setattr(pulled, "_like", lambda *given: copied.append(given))
    assert found == _noted(fn)
    assert copied


def test_a_gradient_of_what_requires_grad_outside_has_its_history() -> None:
    @torch.compile
    def f(x: torch.Tensor) -> torch.Tensor:
        return torch.func.grad(lambda x: torch.tanh(torch.tanh(torch.tanh(x))).sum())(x)

    x = torch.linspace(-1, 1, 5, dtype=torch.float64, requires_grad=True)
    for _ in range(2):
        assert f(x).requires_grad


def test_what_was_written_over_is_known_to_the_rules_that_read_it() -> None:
    def f(x: torch.Tensor, w: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = x
        for _ in range(3):
            y = y * 2
            y[1] = (x @ w)[0]
            y = y.mul_(w[0]).tanh()
        return torch.autograd.grad(y.sum(), [x, w])

    torch.manual_seed(0)
    x = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    w = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    compiled, want = torch.compile(f, fullgraph=True), f(x, w)
    for _ in range(2):
        for a, b in zip(compiled(x, w), want, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)
