"""Hooks on saved tensors: what they see, when they are called, what they may do."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.autograd.graph import disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks
from wengert.core.levels import here, shared
from wengert.interpreters.packing import Packed


@pytest.fixture(autouse=True)
def modes_are_restored() -> Iterator[None]:
    yield
    assert (here.hooks, here.no_hooks, here.grad, shared.special) == (None, "", True, 0)


class Shelf:
    """Hooks that put copies on a shelf and note their calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.values: list[Any] = []

    def pack(self, x: Any) -> int:
        self.calls.append("pack")
        assert not torch.is_grad_enabled()
        self.values.append(np.array(x.detach().numpy()))
        return len(self.values) - 1

    def unpack(self, i: int) -> Any:
        self.calls.append("unpack")
        return torch.from_numpy(self.values[i])

    def hooks(self) -> saved_tensors_hooks:
        return saved_tensors_hooks(self.pack, self.unpack)


def leaf(*values: float) -> Any:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def program(x: Any, w: Any) -> Any:
    """Saves operands, results, views, a leaf, indices and a result written in place."""
    y = torch.tanh(x * w) / (w * w + 1.0)
    z = torch.hypot(y[1:], x[:-1]).exp()
    u = z * 2.0
    u.exp_()
    v = torch.stack([u, z]) @ torch.stack([x[1:], w[1:]], 1)
    return (v.sort(0)[0].softmax(1) * v).sum() + x[torch.tensor([0, 2])].prod()


def test_gradients_are_the_same() -> None:
    x, w = leaf(0.3, -0.7, 1.1), leaf(1.5, 0.4, -0.2)
    expected = torch.autograd.grad(program(x, w), (x, w))
    shelf = Shelf()
    with shelf.hooks():
        y = program(x, w)
    packs = len(shelf.calls)
    assert packs > 10
    for _ in range(2):
        found = torch.autograd.grad(y, (x, w), retain_graph=True)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    y.backward()
    assert torch.equal(x.grad, expected[0])
    assert shelf.calls == ["pack"] * packs + ["unpack"] * (3 * packs)  # once in each pass


def test_higher_derivatives_go_through_what_was_unpacked() -> None:
    x, w = leaf(0.3, -0.7, 1.1), leaf(1.5, 0.4, -0.2)

    def second(y: Any) -> Any:
        g, h = torch.autograd.grad(y, (x, w), create_graph=True)
        return torch.autograd.grad((g * h).sum(), (x, w))

    expected = second(program(x, w))
    with Shelf().hooks():
        y = program(x, w)
    assert all(torch.equal(a, b) for a, b in zip(second(y), expected, strict=True))
    with Shelf().hooks():
        found = second(program(x, w))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_an_operand_is_shown_as_it_is_and_a_result_without_history() -> None:
    seen: list[Any] = []

    def pack(x: Any) -> Any:
        seen.append(x)
        return x

    x = leaf(1.0, 2.0)
    with saved_tensors_hooks(pack, lambda x: x):
        y = x * 3.0  # the number is no tensor
        z = (y * y).exp()
    assert seen[0] is y and seen[1] is y
    assert seen[2].grad_fn is None and seen[2].data_ptr() == z.data_ptr()
    z.sum().backward()
    assert torch.allclose(x.grad, 2 * 9.0 * x.detach() * z.detach())


def test_identity_hooks_make_no_cycle() -> None:
    x = leaf(1.0, 2.0)
    gc.collect()
    gc.disable()
    try:
        with saved_tensors_hooks(lambda x: x, lambda x: x):
            y = x.exp().tanh().sqrt()
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_what_was_packed_goes_when_it_is_consumed() -> None:
    x = leaf(1.0, 2.0)
    held: list[Any] = []

    class Token:
        def __init__(self, x: Any) -> None:
            self.x = x.detach()
            held.append(weakref.ref(self))

    with saved_tensors_hooks(Token, lambda token: token.x):
        y = x.exp().sum()
    (y * 1.0).backward()
    assert held[0]() is None
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_the_innermost_pair_is_in_force() -> None:
    outer, inner = Shelf(), Shelf()
    x = leaf(1.0)
    with outer.hooks():
        y = x.exp()
        with inner.hooks():
            z = y.exp()
        w = z.exp()
    assert (len(outer.values), len(inner.values)) == (2, 1)
    w.sum().backward()
    assert outer.calls == ["pack", "pack", "unpack", "unpack"]


def test_hooks_are_restored_after_errors() -> None:
    x = leaf(1.0)

    def fail(x: Any) -> Any:
        raise KeyError("planned")

    with pytest.raises(KeyError):
        with saved_tensors_hooks(fail, fail):
            x.exp()
    with saved_tensors_hooks(lambda x: x, fail):
        y = x.exp().sum()
    with pytest.raises(KeyError):
        y.backward()
    assert x.grad is None


def test_other_threads_are_not_concerned() -> None:
    shelf, found = Shelf(), []

    def work() -> None:
        x = leaf(2.0)
        (x * x).sum().backward()
        found.append(x.grad.item())

    with shelf.hooks():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert found == [4.0]
    assert not shelf.calls


def test_hooks_may_use_recorded_operations() -> None:
    """A pack hook's own operations are not recorded, and not packed."""
    x = leaf(0.5, 2.0)
    with saved_tensors_hooks(lambda x: (x * x) / x, lambda x: x * 1.0):
        y = (x * x).exp().sum()
    expected = torch.autograd.grad((x * x).exp().sum(), x)[0]
    assert torch.allclose(torch.autograd.grad(y, x)[0], expected)


def test_what_unpack_returns_is_checked() -> None:
    def run(found: Any) -> None:
        x = leaf(1.0, 2.0)
        with saved_tensors_hooks(lambda x: x, lambda x: found):
            y = (x * x).sum()
        y.backward()

    with pytest.raises(TypeError, match="expected to be a Tensor but got result of type int"):
        run(3)
    with pytest.raises(RuntimeError, match=r"float64 \[3\], but torch.float64 \[2\] was saved"):
        run(torch.ones(3, dtype=torch.float64))
    with pytest.raises(RuntimeError, match=r"float32 \[2\], but torch.float64 \[2\] was saved"):
        run(torch.ones(2))


def test_inside_a_transform_tensors_come_back_whole() -> None:
    x = torch.tensor([0.3, 0.5])

    def nested(x: Any) -> Any:
        return torch.func.grad(lambda x: torch.func.grad(lambda x: x.exp().sum())(x).sum())(x)

    with saved_tensors_hooks(lambda x: x, lambda x: x):
        assert torch.equal(nested(x), x.exp())
    with saved_tensors_hooks(lambda x: x.detach().numpy().copy(), torch.from_numpy):
        assert torch.equal(torch.func.grad(lambda x: x.exp().sum())(x), x.exp())
        with pytest.raises(RuntimeError, match="give it back as it was"):
            nested(x)


def test_pack_must_not_write() -> None:
    with pytest.raises(RuntimeError, match="modifying its input in place"):
        with saved_tensors_hooks(lambda x: x.mul_(2), lambda x: x):
            leaf(1.0).exp()


def test_writes_are_the_hooks_affair() -> None:
    """As in PyTorch: what was packed is not compared with the tensor any more."""
    x = leaf(1.0, 1.0)
    y = x * 1.0
    with saved_tensors_hooks(lambda x: x.clone(), lambda x: x):
        z = (y * y).sum()
    with torch.no_grad():
        y.add_(5.0)
    z.backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_save_on_cpu_keeps_tensors_as_they_are() -> None:
    shelf = Shelf()
    x = leaf(1.0, 2.0)
    with shelf.hooks(), save_on_cpu(pin_memory=True):
        y = x * 1.0
        z = (y * y).sum()
    assert not shelf.calls
    with torch.no_grad():
        y.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


def test_hooks_can_be_forbidden() -> None:
    with disable_saved_tensors_hooks("not here"):
        with pytest.raises(RuntimeError, match="not here"):
            Shelf().hooks().__enter__()
        with pytest.raises(RuntimeError, match="not here"):
            save_on_cpu().__enter__()
    with Shelf().hooks(), pytest.raises(RuntimeError, match="not now"):
        disable_saved_tensors_hooks("not now").__enter__()
    with pytest.raises(TypeError, match="pack_hook must be callable, not int"):
        saved_tensors_hooks(1, 2)  # type: ignore[arg-type]


def test_without_hooks_nothing_is_packed() -> None:
    x = leaf(1.0)
    y = x * x
    assert type(y.grad_fn.saved) is tuple
    assert not any(isinstance(v, Packed) for v in y.grad_fn.saved)


HEAD = """
hooks, forbid = [getattr(torch.autograd.graph, n) for n in (
    "saved_tensors_hooks", "disable_saved_tensors_hooks")]
x = torch.ones(2, requires_grad=True)
"""

PROGRAMS = ["""
calls = []
with hooks(lambda a: calls.append((a.requires_grad, tuple(a.shape))) or a,
           lambda a: calls.append("unpack") or a):
    y = x * 2.0
    z = (y * y).sum()
z.backward()
(calls, x.grad)
""", """
with hooks(lambda a: a, lambda a: 3):
    y = (x * x).sum()
y.backward()
""", """
with hooks(lambda a: a, lambda a: None):
    y = x.exp().sum()
y.backward()
""", """
with hooks(lambda a: a * 2, lambda a: a):
    y = (x * x).sum()
y.backward()
x.grad
""", """
y = x * 1
with hooks(lambda a: a, lambda a: a):
    z = (y * y).sum()
y.detach().add_(5)
z.backward()
x.grad
""", """
with hooks(lambda a: a.detach(), lambda a: a):
    y = x.exp().sum()
y.backward()
y.backward()
""", """
with hooks(lambda a: a, lambda a: a):
    y = (x ** 3).sum()
g, = torch.autograd.grad(y, x, create_graph=True)
torch.autograd.grad(g.sum(), x)
""", """
with forbid("no"), hooks(lambda a: a, lambda a: a):
    pass
""", """
with hooks(lambda a: a, lambda a: a), forbid("no"):
    pass
"""]


@pytest.mark.parametrize("source", PROGRAMS)
def test_a_program_does_as_in_pytorch(source: str) -> None:
    compare = pytest.importorskip("oracle").compare
    assert not compare(HEAD + source)
