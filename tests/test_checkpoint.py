"""Checkpointing: the same gradients, less memory, and errors where runs differ."""

from __future__ import annotations

import contextlib
import gc
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.core.levels import here, shared
from wengert.utils.checkpoint import (
    CheckpointError,
    checkpoint,
    checkpoint_sequential,
    noop_context_fn,
)


@pytest.fixture(autouse=True)
def modes_are_restored() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)
    assert (here.hooks, here.no_hooks, here.grad, shared.special) == (None, "", True, 0)


class Counted:
    """A function that counts its calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self.function(*args, **kwargs)


def leaf(*values: float) -> Any:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def dropout(x: Any) -> Any:
    return x * (torch.rand(*x.shape) > 0.5) * 2.0


STEPS: list[Callable[[Any, Any], Any]] = [
    lambda x, w: x * w, lambda x, w: torch.tanh(x) + w, lambda x, w: dropout(x),
    lambda x, w: x / (1.0 + w * w), lambda x, w: x.flip(0), lambda x, w: (x * 0.3).exp(),
    lambda x, w: x.clone().mul_(w), lambda x, w: torch.where(x > w, x, w),
    lambda x, w: x.softmax(0) * w, lambda x, w: x.sort()[0],
    lambda x, w: x[torch.tensor([1, 0, 2])]]


def random_program(seed: int, nest: bool) -> Callable[..., Any]:
    """A function of two vectors, parts of which are checkpointed if `nest`."""
    random = np.random.default_rng(seed)

    def made(depth: int) -> Callable[..., Any]:
        parts: list[Any] = [STEPS[i] for i in random.integers(len(STEPS), size=4)]
        if depth:
            parts += [made(depth - 1) for _ in range(2)]
        random.shuffle(parts)

        def run(x: Any, w: Any) -> Any:
            for part in parts:
                inner = nest and part not in STEPS
                x = checkpoint(part, x, w=w) if inner else part(x, w)
            return x

        return run

    return made(2)


@pytest.mark.parametrize("seed", range(25))
def test_random_programs_have_the_same_gradients(seed: int) -> None:
    found = []
    for nest in (False, True):
        x, w = leaf(0.3, -0.7, 1.1), leaf(1.5, 0.4, -0.2)
        torch.manual_seed(seed)
        function = random_program(seed, nest)
        y = checkpoint(function, x, w) if nest else function(x, w)
        after = torch.rand(3)
        (y * y).sum().backward()
        assert not torch.equal(torch.rand(3), after)
        found.append((y, after, x.grad, w.grad))
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("early_stop", [False, True])
def test_the_function_runs_once_more_in_each_backward(early_stop: bool) -> None:
    f = Counted(lambda x: (x * x).exp())
    x = leaf(0.5, -1.0)
    y = checkpoint(f, x, early_stop=early_stop).sum()
    assert f.calls == 1
    first = torch.autograd.grad(y, x, retain_graph=True)[0]
    assert f.calls == 2
    y.backward()
    assert f.calls == 3
    assert torch.equal(x.grad, first)
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_higher_derivatives() -> None:
    def f(x: Any) -> Any:
        return (x.sin() * x).exp()

    def third(y: Any) -> Any:
        for _ in range(3):
            (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return y

    x = leaf(0.5, -1.0)
    assert torch.allclose(third(checkpoint(f, x)), third(f(x)), rtol=1e-14)


def test_early_stop_leaves_out_the_rest() -> None:
    rest = Counted(lambda x: x + 1.0)
    x = leaf(0.5)
    y = checkpoint(lambda x: rest(x.exp()), x)
    y.backward()
    assert rest.calls == 1
    y = checkpoint(lambda x: rest(x.exp()), x, early_stop=False)
    y.backward()
    assert rest.calls == 3


def test_arguments_of_all_kinds() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)

    def f(a: Any, n: int, b: Any = None, *, c: Any, word: str) -> Any:
        assert (n, word) == (2, "go")
        return a ** n * b[0] * c

    y = checkpoint(f, x, 2, [w], c=w, word="go").sum()
    y.backward()
    assert x.grad.tolist() == [2 * 1.0 * 9.0, 2 * 2.0 * 16.0]
    assert w.grad.tolist() == [2 * 3.0, 4 * 2 * 4.0]


def test_several_results_and_no_tensor_among_the_arguments() -> None:
    x = leaf(1.0, 2.0)
    a, rest = checkpoint(lambda: (x.exp(), {"b": x * x}))
    (a.sum() + rest["b"].sum()).backward()
    assert torch.allclose(x.grad, x.exp() + 2 * x)


def test_nothing_is_done_where_nothing_is_recorded() -> None:
    f = Counted(torch.exp)
    with torch.no_grad():
        assert not checkpoint(f, leaf(1.0)).requires_grad
    assert f.calls == 1


def test_random_numbers_can_be_left_to_chance() -> None:
    x = torch.ones(1000, requires_grad=True)
    y = checkpoint(lambda x: x * torch.rand(1000), x, preserve_rng_state=False)
    y.sum().backward()
    assert not torch.equal(x.grad, y)
    x.grad = None
    y = checkpoint(lambda x: x * torch.rand(1000), x)
    y.sum().backward()
    assert torch.equal(x.grad, y)


def test_contexts() -> None:
    entered = []

    @contextlib.contextmanager
    def context(name: str) -> Iterator[None]:
        entered.append(name)
        yield
        entered.append(f"/{name}")

    x = leaf(1.0)
    y = checkpoint(torch.exp, x, context_fn=lambda: (context("first"), context("second")))
    assert entered == ["first", "/first"]
    y.backward()
    assert entered[:3] == ["first", "/first", "second"]
    assert len(noop_context_fn()) == 2


# --- memory -------------------------------------------------------------------------------------


def peak(run: Callable[[], Any]) -> int:
    """The most bytes that were in use at a time, beyond those before."""
    gc.collect()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_a_long_chain_falls() -> None:
    """1,000 layers in 32 segments keep about 32 + 31 values: measured, a tenth of the memory."""
    layers = [lambda x: torch.tanh(x * 1.01)] * 1000
    x = torch.randn(5000).requires_grad_()
    grads = []

    def step(segments: int) -> None:
        x.grad = None
        checkpoint_sequential(layers, segments, x).sum().backward()
        grads.append(x.grad)

    plain, checkpointed = peak(lambda: step(1)), peak(lambda: step(32))
    assert torch.equal(*grads)
    assert checkpointed < plain / 4
    assert plain > 1000 * x.numel() * 4


def test_nested_checkpoints_keep_still_less() -> None:
    """A tree of checkpoints keeps one segment a level: inner arguments are packed by outer ones."""

    def layer(x: Any) -> Any:
        return torch.tanh(x * 1.01)

    def tree(x: Any, depth: int) -> Any:
        if depth == 0:
            return layer(x)
        return checkpoint(tree, checkpoint(tree, x, depth - 1), depth - 1)

    def chain(x: Any) -> Any:
        for _ in range(64):
            x = layer(x)
        return x

    x = torch.randn(50_000).requires_grad_()
    grads = []

    def step(function: Callable[..., Any]) -> None:
        x.grad = None
        function(x).sum().backward()
        grads.append(x.grad)

    plain, nested = peak(lambda: step(chain)), peak(lambda: step(lambda x: tree(x, 6)))
    assert torch.equal(*grads)
    assert nested < plain / 3


def test_what_is_kept_goes_without_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        f = Counted(lambda x: x.exp().tanh())
        alive = weakref.ref(f)
        y = checkpoint(f, x * 1.0).sum()
        (y * 1.0).backward()
        del f
        assert alive() is None  # backward has freed what referred to it
        g = Counted(torch.exp)
        alive = weakref.ref(g)
        y = checkpoint(g, x * 1.0)
        del g, y
        assert alive() is None
    finally:
        gc.enable()


# --- errors -------------------------------------------------------------------------------------


class Changing:
    """Does something else when it is called again."""

    def __init__(self, *functions: Callable[[Any], Any]) -> None:
        self.functions = list(functions)

    def __call__(self, x: Any) -> Any:
        return self.functions.pop(0)(x)


@pytest.mark.parametrize(("first", "second", "early_stop", "message"), [
    ("x.sin().exp()", "x.sin()", True, "saved 2 tensors .* first run and 1 in the second"),
    ("x.sin()", "x.sin().exp()", False, "more tensors for backward in the second run than the 1"),
    ("x.sin()", "x[:1].sin()", True, r"float64 \[2\] in the first run, torch.float64 \[1\]"),
    ("x.exp()", "x.float().exp()", False, "float64 .* in the first run, torch.float32"),
])
def test_another_second_run_is_an_error(first: str, second: str, early_stop: bool,
                                        message: str) -> None:
    x = leaf(1.0, 2.0)
    f = Changing(eval(f"lambda x: {first}"), eval(f"lambda x: {second}"))
    y = checkpoint(f, x, early_stop=early_stop)
    with pytest.raises(CheckpointError, match=message):
        y.sum().backward()
    assert x.grad is None


def test_the_comparison_can_be_left_out() -> None:
    x = leaf(1.0, 2.0)
    f = Changing(lambda x: (x * 2.0).sin().sum(), lambda x: (x * 2.0)[:1].sin().sum())
    y = checkpoint(f, x, determinism_check="none")
    with pytest.raises(RuntimeError, match="unpack hook returned"):
        y.backward()


def test_an_overwritten_argument_is_an_error() -> None:
    x = leaf(1.0, 2.0)
    a = x * 1.0
    y = checkpoint(torch.sin, a)
    with torch.no_grad():
        a.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_value_that_the_function_overwrites_is_an_error() -> None:
    """As without a checkpoint; PyTorch gives a wrong gradient."""

    def f(x: Any) -> Any:
        y = x.sin()
        z = y * y
        y.add_(1.0)
        return z.exp()

    x = leaf(1.0, 2.0)
    for run in (f, lambda x: checkpoint(f, x)):
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            run(x).sum().backward()


def test_errors_inside_pass_and_leave_nothing() -> None:
    x = leaf(1.0)

    def fail(x: Any) -> Any:
        x.exp()
        raise KeyError("planned")

    with pytest.raises(KeyError):
        checkpoint(fail, x)
    y = checkpoint(Changing(torch.exp, fail), x, early_stop=False)
    state = torch.get_rng_state()
    with pytest.raises(KeyError):
        y.backward()
    assert x.grad is None
    assert torch.equal(torch.get_rng_state(), state)


def test_the_second_run_stops_even_where_errors_are_caught() -> None:
    def f(x: Any) -> Any:
        try:
            y = x.exp()
        except Exception:
            y = x
        return y * 1.0

    x = leaf(1.0)
    y = checkpoint(f, x)
    y.backward()
    assert torch.equal(x.grad, x.exp())


def test_arguments_are_checked() -> None:
    x = leaf(1.0)
    with pytest.raises(ValueError, match="Leave the argument out"):
        checkpoint(torch.exp, x, use_reentrant=True)
    with pytest.raises(ValueError, match=r"should be one of \['default', 'none'\], but got all"):
        checkpoint(torch.exp, x, determinism_check="all")
    with pytest.raises(ValueError, match="2 functions can't be cut into 3 segments"):
        checkpoint_sequential([torch.exp, torch.sin], 3, x)
    with pytest.raises(TypeError):
        checkpoint(torch.exp, x, bogus=1)
    assert checkpoint(torch.exp, x, use_reentrant=None).requires_grad


# --- in company ---------------------------------------------------------------------------------


@pytest.mark.parametrize("early_stop", [False, True])
def test_differentiating_inside(early_stop: bool) -> None:
    def f(x: Any) -> Any:
        y = (x ** 3).sum()
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        return (g * g).sum()

    x = leaf(1.0, 2.0)
    torch.autograd.backward(checkpoint(f, x, early_stop=early_stop))
    assert torch.allclose(x.grad, 36.0 * x ** 3)


def test_hooks_on_tensors_and_retained_gradients() -> None:
    x = leaf(1.0, 2.0)
    seen = []

    def f(x: Any) -> Any:
        y = x.exp()
        y.register_hook(lambda g: seen.append(g.tolist()))
        return y * y

    checkpoint(f, x).sum().backward()
    assert seen == [(2 * x.exp()).tolist()]


def test_threads_go_back_through_one_graph() -> None:
    x = leaf(*np.linspace(-1.0, 1.0, 50))
    y = checkpoint(lambda x: (x.sin() * x).exp().tanh(), x).sum()
    expected = torch.autograd.grad(y, x, retain_graph=True)[0]
    found: list[Any] = []

    def work() -> None:
        for _ in range(20):
            found.append(torch.autograd.grad(y, x, retain_graph=True)[0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert all(torch.equal(g, expected) for g in found)


func = torch.func
TRANSFORMS: dict[str, Callable[..., Any]] = {
    "grad": lambda f, x: func.grad(f)(x),
    "grad of grad": lambda f, x: func.grad(lambda x: (func.grad(f)(x) ** 2).sum())(x),
    "vmap of grad": lambda f, x: func.vmap(func.grad(f))(torch.stack([x, 2 * x])),
    "grad of vmap": lambda f, x: func.grad(
        lambda x: func.vmap(f)(torch.stack([x, 2 * x])).sum())(x),
    "jvp of grad": lambda f, x: func.jvp(func.grad(f), (x,), (x.cos(),))[1],
    "grad of jvp": lambda f, x: func.grad(lambda x: func.jvp(f, (x,), (x.cos(),))[1])(x),
    "hessian": lambda f, x: func.hessian(f)(x),
    "vjp, twice": lambda f, x: [func.vjp(f, x)[1](torch.tensor(g).double())[0] for g in (1, 2)][1],
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("nested", [False, True])
def test_inside_transforms(name: str, nested: bool) -> None:
    """The second run happens under the transforms of the first, though they may have ended."""

    def part(x: Any) -> Any:
        return (x.sin() * x).exp() * x.sum()

    def f(x: Any) -> Any:
        return part(part(x) * 0.1).sum()

    def g(x: Any) -> Any:
        if nested:
            return checkpoint(lambda x: checkpoint(part, checkpoint(part, x) * 0.1), x).sum()
        return checkpoint(part, checkpoint(part, x) * 0.1).sum()

    x = torch.tensor([0.3, 0.5, -0.2], dtype=torch.float64)
    assert torch.allclose(TRANSFORMS[name](g, x), TRANSFORMS[name](f, x), rtol=1e-13)
    assert here.levels == []


HEAD = """
import functools, importlib
module = importlib.import_module(torch.__name__ + ".utils.checkpoint")
checkpoint = functools.partial(module.checkpoint, use_reentrant=False)
x = torch.ones(2, requires_grad=True)
"""

PROGRAMS = ["""
y = checkpoint(lambda a: a.sin().exp(), x)
y.sum().backward()
(y, x.grad)
""", """
checkpoint(torch.sin, x, determinism_check="x")
""", """
checkpoint(torch.sin, x, bogus=1)
""", """
a = x * 1
y = checkpoint(torch.sin, a)
a.detach().add_(1)
y.sum().backward()
""", """
y = module.checkpoint_sequential([torch.sin] * 5, 2, x, use_reentrant=False)
y.sum().backward()
(y, x.grad)
""", """
torch.manual_seed(3)
y = checkpoint(lambda a: a * torch.rand(2), x)
y.sum().backward()
(x.grad, torch.rand(2))
""", """
y = checkpoint(lambda a: (a.sin() * a).exp(), x).sum()
g, = torch.autograd.grad(y, x, create_graph=True)
torch.autograd.grad(g.sum(), x)
"""]


@pytest.mark.parametrize("source", PROGRAMS)
def test_a_program_does_as_in_pytorch(source: str) -> None:
    compare = pytest.importorskip("oracle").compare
    assert not compare(HEAD + source)


@pytest.mark.parametrize(("first", "second"), [
    ("a.sin().exp()", "a.sin()"), ("a.sin()", "a[:1].sin()"), ("a.exp()", "a.double().exp()")])
def test_errors_are_of_pytorchs_kind(first: str, second: str) -> None:
    compare = pytest.importorskip("oracle").compare
    source = (f"runs = [lambda a: {first}, lambda a: {second}]\n"
              "y = checkpoint(lambda a: runs.pop(0)(a), x)\ny.sum().backward()")
    assert not compare(HEAD + source, message=False)
