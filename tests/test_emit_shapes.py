"""Native code is shared by shapes whose plans have the same form: it isn't compiled anew."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import wengert as torch
import wengert.nn.functional as F  # noqa: N812 - as everybody calls it
from wengert.compiler.native import engine

pytest.importorskip("llvmlite")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that LLVM is given."""
    found: list[str] = []
    generate = engine._generate

    def noting(text: str, level: int) -> Any:
        found.append(text)
        return generate(text, level)

    monkeypatch.setattr(engine, "_generate", noting)
    monkeypatch.setattr(engine, "_libraries", weakref.WeakValueDictionary())
    monkeypatch.setenv("WENGERT_CACHE_DIR", "")
    return found


def given(*shapes: Sequence[int]) -> list[Any]:
    rng = np.random.default_rng(sum(map(sum, shapes)))
    return [torch.tensor(rng.standard_normal(shape).astype(np.float32) / 4) for shape in shapes]


def curve(a: Any, b: Any) -> Any:
    return (torch.tanh(a * b + 1.25) * torch.exp(-a)).mean()


def layers(x: Any, u: Any, a: Any, v: Any) -> Any:
    labels = torch.arange(len(x)) % v.shape[1]
    return F.cross_entropy(torch.tanh(x @ u + a) @ v, labels)


def normal(x: Any, weight: Any) -> Any:
    return (F.layer_norm(x, (x.shape[1],), weight) ** 2).mean()


def attention(q: Any, k: Any, v: Any) -> Any:
    return (torch.softmax(q @ k.mT / 3, -1) @ v).square().sum()


def steps(x: Any, u: Any, w: Any) -> Any:
    h = torch.zeros(x.shape[1], w.shape[0])
    for each in x:
        h = torch.tanh(each @ u + h @ w / 4)
    return h.square().sum()


CASES: dict[str, tuple[Callable[..., Any], list[list[Sequence[int]]]]] = {
    "short": (curve, [[(n,), (n,)] for n in (1000, 99, 1001, 2000)]),
    "long": (curve, [[(n,), (n,)] for n in (200_000, 123_457)]),
    "rows": (curve, [[(n, m), (m,)] for n, m in ((30, 110), (33, 100), (17, 70))]),
    "layers": (layers, [[(n, 200), (200, 128), (128,), (128, 10)] for n in (256, 236, 248)]),
    "odd layers": (layers, [[(n, 200), (200, 128), (128,), (128, 10)] for n in (135, 150, 165)]),
    "widths": (layers, [[(n, m), (m, k), (k,), (k, 10)]
                        for n, m, k in ((256, 200, 128), (240, 232, 160))]),
    "normal": (normal, [[(n, m), (m,)] for n, m in ((40, 300), (100, 171))]),
    "attention": (attention, [[(2, 4, n, 32)] * 3 for n in (144, 160, 208)]),
    "steps": (steps, [[(n, 8, 24), (24, 32), (32, 32)] for n in (57, 90, 64)]),
}


@pytest.mark.parametrize("name", CASES)
def test_new_shapes_compile_nothing(name: str, made: list[str]) -> None:
    fn, shapes = CASES[name]
    wanted = torch.func.grad(fn, argnums=tuple(range(len(shapes[0]))))
    compiled = torch.compile(wanted)
    counts = []
    for each in shapes:
        made.clear()
        arguments = given(*each)
        compiled(*arguments)  # which records, eagerly
        counts.append(len(made))
        for found, want in zip(compiled(*arguments), wanted(*arguments), strict=True):
            np.testing.assert_allclose(found.numpy(), want.numpy(), rtol=1e-5,
                                       atol=1e-5 * float(abs(want).max()))
    assert counts[0] and not any(counts[1:]), counts
