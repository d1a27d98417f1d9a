"""`while_loop` and `cond` in compiled functions: one native loop, whatever the number of its turns,
and one way, whatever is chosen."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.core.pytrees import flatten
from wengert.func import (
    cond,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    scan,
    vjp,
    vmap,
    while_loop,
)

pytest.importorskip("llvmlite")

MANY = (0.5, 3.0, 0.9, 40.0, 1.0, 1e-3, 700.0)
"""Numbers with which loops take turns of any number, or none."""


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def alike(found: Any, expected: Any, rtol: float = 1e-9) -> None:
    got, spec = flatten(found)
    want, other = flatten(expected)
    assert spec == other
    for a, b in zip(got, want, strict=True):
        assert a.dtype is b.dtype
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=1e-12)


def ways(compiled: Any) -> int:
    """How many ways through a compiled function there are."""
    assert not compiled.eager, compiled.eager
    return sum(len(case.endings) for cases in compiled.cases.values() for case in cases)


def same(f: Callable[..., Any], calls: Sequence[Any], most: int | None = 1) -> Any:
    """Compiles a function; all calls give what they give without, in so many ways."""
    compiled = torch.compile(f)
    for args in calls:
        args = args if isinstance(args, tuple) else (args,)
        alike(compiled(*args), f(*args))
    if most is not None:
        assert ways(compiled) <= most
    return compiled


def double(value: Any) -> Any:
    return torch.tensor(value, dtype=torch.float64)


NUMBERS = [double(v) for v in MANY]


def halved(x: Any) -> Any:
    """How often x must be halved to be below 1, and what is left; squared on the way."""
    return while_loop(lambda x, n: x > 1, lambda x, n: (x * x.cos() / 2 + x / 4, n + 1), (x, 0))


def newton(a: Any) -> Any:
    """The cube root; the loop takes `a` from outside."""
    return while_loop(lambda x: abs(x ** 3 - a) > 1e-9 * a,
                      lambda x: (x - (x ** 3 - a) / (3 * x ** 2),), (a,))[0]


DERIVED: dict[str, Callable[[Any], Any]] = {
    "value": halved,
    "grad": grad(lambda x: halved(x)[0].sin()),
    "closure": grad(newton),
    "jvp": lambda x: jvp(newton, (x,), (x.sin(),)),
    "jvp of grad": lambda x: jvp(newton, (x,), (torch.ones_like(x),)),
    "vjp": lambda x: vjp(lambda x: halved(x)[0], x)[1](x),
    "autograd": lambda x: torch.autograd.grad(newton(y := x.clone().requires_grad_()) ** 2, y),
}


@pytest.mark.parametrize("name", DERIVED)
def test_one_loop_for_any_number_of_turns(name: str) -> None:
    compiled = same(DERIVED[name], NUMBERS)
    assert "as many turns as it takes" in str(compiled.explain())


SECOND: dict[str, Callable[[Any], Any]] = {
    "grad of grad": grad(grad(newton)),
    "forward over reverse": lambda x: jvp(grad(newton), (x,), (torch.ones_like(x),)),
    "hessian": hessian(newton),
    "jacrev": jacrev(newton),
    "jacfwd": jacfwd(newton),
    "reverse over forward": grad(lambda x: jvp(newton, (x,), (x,))[1]),
}


@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives_take_the_tree(name: str) -> None:
    numbers = NUMBERS[:4]
    same(SECOND[name], numbers * 2, most=len(numbers) if name != "reverse over forward" else 1)


def test_gradients_from_outside() -> None:
    def f(x: Any, w: Any) -> Any:
        return while_loop(lambda h, n: (h * h).sum() > 1e-2,
                          lambda h, n: (torch.tanh(h @ w), n + 1), (x, torch.tensor(0)))[0]

    compiled = torch.compile(f)
    torch.manual_seed(0)
    for scale in (0.1, 0.3, 0.05, 0.38, 0.2):
        x = torch.rand(3, 5, dtype=torch.float64, requires_grad=True)
        w = (torch.rand(5, 5, dtype=torch.float64) * scale).requires_grad_()
        weights = torch.rand(3, 5, dtype=torch.float64)
        found = torch.autograd.grad((compiled(x, w) * weights).sum(), (x, w))
        alike(found, torch.autograd.grad((f(x, w) * weights).sum(), (x, w)))
        again = torch.autograd.grad((compiled(x, w) ** 2).sum(), w, create_graph=True)[0]
        alike(torch.autograd.grad(again.sum(), (x, w)), torch.autograd.grad(
            torch.autograd.grad((f(x, w) ** 2).sum(), w, create_graph=True)[0].sum(), (x, w)))
    assert ways(compiled) == 1


def test_a_training_step() -> None:
    """Parameters are reached from outside, and written; a loop is in between."""
    def made() -> Any:
        torch.manual_seed(3)
        w, b = (torch.rand(*shape, dtype=torch.float64, requires_grad=True)
                for shape in ((4, 4), (4,)))

        def step(x: Any) -> Any:
            w.grad = b.grad = None
            settled = while_loop(lambda z, n: n < 3 + 10 * (x[0, 0] > 0.5),
                                 lambda z, n: (torch.tanh(z @ w * 0.1 + b + x), n + 1),
                                 (torch.zeros_like(x), 0))[0]
            loss = (settled ** 2).sum()
            loss.backward()
            with torch.no_grad():
                for p in (w, b):
                    p -= 0.05 * p.grad
            return loss

        return step, (w, b)

    (step, mine), (other, twins) = made(), made()
    compiled = torch.compile(step)
    torch.manual_seed(5)
    for _ in range(8):
        x = torch.rand(2, 4, dtype=torch.float64)
        alike(compiled(x), other(x))
        alike(mine, twins)
        alike([p.grad for p in mine], [p.grad for p in twins])
    assert ways(compiled) == 2  # with gradients that are there before, or aren't


def test_values_of_all_kinds() -> None:
    def f(x: Any, n: Any, flag: Any) -> Any:
        def body(tree: Any, n: Any, flag: Any, x: Any) -> Any:
            a, b = tree["a"], tree["b"]
            return {"a": b, "b": a + b[::2].sum() * flag}, n - 1, ~flag, x

        return while_loop(lambda tree, n, flag, x: n > 0, body,
                          ({"a": x, "b": x.flip(0)[:]}, n, flag, x.sum()))

    calls = [(torch.arange(5.0) + k, torch.tensor(k), torch.tensor(k > 2)) for k in (0, 1, 2, 7)]
    same(f, calls)
    same(lambda z, n: while_loop(lambda z, n: n > 0, lambda z, n: (z * z.conj() + 1j, n - 1),
                                 (z, n)),
         [(torch.tensor([1 + 2j, 0.5]), torch.tensor(k)) for k in (0, 3, 1)])
    same(lambda x, n: while_loop(lambda x, n: n, lambda x, n: (x.half().float() + 1, n - 1),
                                 (x, n)),
         [(torch.ones(3), torch.tensor([[float(k)]])) for k in (0, 3, 1)])


def test_what_does_not_change() -> None:
    """A carried value that no turn changes is the operand itself."""
    def f(x: Any, w: Any) -> Any:
        y, v = while_loop(lambda y, w: y.sum() < 10, lambda y, w: (y * 2 + w, w), (x, w))
        return y, v is w, v

    compiled = torch.compile(f)
    w = torch.ones(2)
    for value in (20.0, 1.0, 0.1):
        y, unchanged, v = compiled(torch.tensor([value, 1.0]), w)
        assert unchanged and v is w
        alike(y, f(torch.tensor([value, 1.0]), w)[0], rtol=1e-6)
    assert ways(compiled) == 1


def test_results_are_in_memory_of_their_own() -> None:
    def f(x: Any, n: Any) -> Any:
        y, z, _ = while_loop(lambda a, b, n: n > 0, lambda a, b, n: (b, a, n - 1), (x, x, n))
        y += 1
        return y, z, x

    compiled = torch.compile(f)
    for turns in (3, 0, 1):
        x = torch.zeros(2)
        y, z, same_x = compiled(x, torch.tensor(turns))
        assert same_x is x and x.tolist() == [0, 0] and z.tolist() == [0, 0]
        assert y.tolist() == [1, 1]
    assert ways(compiled) == 1


def test_results_in_inference_mode() -> None:
    f = torch.compile(lambda x, n: while_loop(
        lambda n, a: n > 0, lambda n, a: (n - 1, a * 2), (n, x)))
    g = torch.compile(lambda x: cond(x.sum() > 0, lambda x: x * 2, lambda x: x * 3, (x,)))
    x = torch.ones(2)
    for turns in (1, 2, 0):
        with torch.inference_mode():
            found = [*f(x, torch.tensor(turns)), g(x)]
        assert [y.is_inference() for y in found] == [True] * 3
        assert not any(y.is_inference() for y in (*f(x, torch.tensor(turns)), g(x)))


def test_results_without_a_history() -> None:
    def loop(x: Any, n: Any) -> Any:
        return while_loop(lambda n, a, t, d: n > 0, lambda n, a, t, d: (
            n - 1, a * x, t * 0.5, (a - x).abs().max().detach()),
            (n, x, torch.tensor(1.0), torch.tensor(0.0)))

    def choice(x: Any, n: Any) -> Any:
        t = n * 0.5
        return cond(n > 2, lambda: (x * 2, t * 2, x.detach() + 1),
                    lambda: (x * 3, t * 3, x.detach() + 2), ())

    for f in (loop, choice):
        compiled = torch.compile(f)
        for n in (2, 3, 1):
            x = torch.ones(2, requires_grad=True)
            found, expected = compiled(x, torch.tensor(n)), f(x, torch.tensor(n))
            alike(found, expected)
            assert [y.requires_grad for y in found] == [y.requires_grad for y in expected]
        assert ways(compiled) == 1


def test_nan_ends_a_loop() -> None:
    nan = float("nan")
    same(lambda x: while_loop(lambda x: x < 5, lambda x: (x * x,), (x,)),
         [double(v) for v in (1.5, nan, 7.0, -1.2)])
    c = torch.compile(lambda x, n: while_loop(
        lambda x, n: torch.where(n > 0, x, torch.zeros(())), lambda x, n: (x, n - 1), (x, n)))
    for value in (nan, 0.5, 0.0):  # a number that isn't 0 is true
        assert c(torch.tensor(value), torch.tensor(3))[1].item() == (0 if value else 3)
    assert ways(c) == 1


def test_loops_in_loops() -> None:
    def nested(x: Any) -> Any:
        def outer(x: Any, n: Any) -> Any:
            y, k = while_loop(lambda y, k: y > n, lambda y, k: (y / 2, k + 1), (x, n))
            return x * 0.7 + y / 9, n + 1 + k % 2

        return while_loop(lambda x, n: x > 1, outer, (x, 0))

    same(nested, NUMBERS)
    same(grad(lambda x: nested(x)[0]), NUMBERS)
    same(lambda x: jvp(lambda x: nested(x)[0], (x,), (x,)), NUMBERS)


def scan_in_while(x: Any) -> Any:
    def body(x: Any, n: Any) -> Any:
        last, all_ = scan(lambda c, t: ((c * 0.9 + t).sin(), c * t), x[0], x)
        return x * 0.5 + last + 0.1 * all_, n + 1

    return while_loop(lambda x, n: x.sum() > 70, body, (x, 0))


def while_in_scan(x: Any) -> Any:
    def step(c: Any, t: Any) -> Any:
        y, n = while_loop(lambda y, n: y > 1, lambda y, n: (y * 0.6 + 0.01 * c, n + 1), (t, 0))
        return (c + y).cos(), y * n

    return scan(step, x[0], x)


@pytest.mark.parametrize("loop", [scan_in_while, while_in_scan])
def test_scans_and_loops(loop: Callable[..., Any]) -> None:
    torch.manual_seed(1)
    calls = [torch.rand(700, dtype=torch.float64) * size for size in (3, 0.01, 1, 9)]
    compiled = same(loop, calls)
    assert re.search("loop of (700|699) turns", str(compiled.explain()))
    same(grad(lambda x: sum(each.sum() for each in flatten(loop(x))[0])), calls)


def test_what_is_the_same_in_all_turns() -> None:
    """It is worked out before the loop, but for what may fail."""
    def f(x: Any, w: Any, n: Any) -> Any:
        return while_loop(lambda h, k: k < n, lambda h, k: (
            torch.tanh(h @ (w.T * 0.1) + x.T @ w.exp()) / (x.sum() + 1), k + 1), (x.T * 0, 0))[0]

    torch.manual_seed(6)
    x, w = (torch.rand(30, 30, dtype=torch.float64) for _ in range(2))
    calls = [(x, w, torch.tensor(k)) for k in (2, 0, 5)]
    words = str(same(f, calls).explain())
    assert words.index("product") < words.index("loop of as many turns")
    same(grad(lambda x, w, n: f(x, w, n).sum(), argnums=(0, 1)), calls)
    same(lambda table, i, n: while_loop(lambda s, k: k < n, lambda s, k: (
        s + table[i] // (i - 2), k + 1), (torch.tensor(0), 0)), [
            (torch.arange(5), torch.tensor(i), torch.tensor(n)) for i, n in (
                (1, 3), (2, 0), (7, 0), (4, 2))])


def test_python_around_a_loop() -> None:
    """Loops one after the other in a Python loop are alike, and the rest forks as ever."""
    def f(x: Any) -> Any:
        for k in range(30):
            x = while_loop(lambda x: x > 1, lambda x: (x * 0.5,), (x * 1.7,))[0]
        return x if x > 0.75 else -x

    same(f, NUMBERS, most=2)
    same(grad(f), NUMBERS, most=2)


# --- choices ------------------------------------------------------------------------------------


def chosen(x: Any, y: Any) -> Any:
    return cond(x > y, lambda x, y: {"a": torch.sqrt(x - y), "b": (x, y.exp() + x)},
                lambda x, y: {"a": x * y, "b": (y, x - y)}, (x, y))


PAIRS = [(double(a), double(b)) for a, b in ((3.0, 1.0), (1.0, 3.0), (2.0, 2.0), (0.5, -7.0))]


def test_a_choice_is_one_way() -> None:
    """Of those that leave the same behind, but for numbers."""
    def f(x: Any, y: Any) -> Any:
        for _ in range(8):
            x = cond(x > y, lambda x, y: (x + y).sin(), lambda x, y: x * y.cos(), (x, y))
        return x

    def closed(x: Any, y: Any) -> Any:
        return cond(x > y, lambda: (x + y).sin() / (x - y), lambda: x * y.cos())

    for fn in (f, closed):
        assert "choice" in str(same(fn, PAIRS).explain())
        same(grad(fn, argnums=(0, 1)), PAIRS)
        same(lambda x, y, fn=fn: jvp(fn, (x, y), (y, x)), PAIRS)
        same(grad(grad(fn)), PAIRS)
        same(grad(lambda x, y, fn=fn: jvp(lambda x: fn(x, y), (x,), (y,))[1]), PAIRS)
        same(jacrev(fn, argnums=(0, 1)), PAIRS)


def test_choices_that_leave_something_else_behind() -> None:
    """Another tensor, views, or one that depends on something else: that is a way of its own."""
    for f in (chosen, lambda x, y: cond(x > y, lambda: x, lambda: -x),
              lambda x, y: cond(x > y, torch.sqrt, torch.zeros_like, (x,)),
              lambda x, y: cond(x > y, lambda x: x[None][0], torch.sin, (x,))):
        assert ways(same(f, PAIRS, most=2)) == 2

    def kept(x: Any) -> Any:
        y = cond(x[0] > 0, lambda x: x, lambda x: x * 2, (x,))
        y += 1
        return y

    compiled = torch.compile(kept)
    for value in (1.0, -1.0, 1.0, -1.0):
        x, other = torch.tensor([value]), torch.tensor([value])
        alike(compiled(x), kept(other))
        assert x.tolist() == other.tolist()


def test_operands_that_are_written_to_later_on() -> None:
    def f(x: Any, n: Any) -> Any:
        y = x * 2
        a = while_loop(lambda a, n: n > 0, lambda a, n: (a * 3 + y, n - 1), (y, n))[0]
        b = cond(n > 1, lambda: y + 1, lambda: y - 2)
        y.clamp_(-0.1, 0.1)
        return (a * b * y.exp()).sum()

    x = torch.rand(3, dtype=torch.float64)
    calls = [(x * k, torch.tensor(k)) for k in (1, 2, 0, 4)]
    same(grad(f), calls)
    same(lambda x, n: torch.autograd.grad(f(x := x.clone().requires_grad_(), n), x), calls)


def test_what_is_not_chosen_does_not_get_in() -> None:
    def f(x: Any) -> Any:
        return cond(x > 0, lambda: torch.sqrt(x) * torch.log(x), lambda: x * 2)

    same(grad(f), [double(v) for v in (2.0, 0.0, -1.0)])
    table = torch.arange(3.0)
    same(lambda i: cond(i < 3, lambda: table[i] * 2, lambda: table.sum() * i),
         [torch.tensor(i) for i in (0, 2, 3, 7)])


def test_choices_in_loops() -> None:
    def collatz(n: Any) -> Any:
        return while_loop(lambda n, k: n > 1, lambda n, k: (
            cond(n % 2 == 0, lambda n: n // 2, lambda n: 3 * n + 1, (n,)), k + 1), (n, 0))

    same(collatz, [torch.tensor(n) for n in (7, 1, 27, 9, 2, 97)])

    def f(x: Any) -> Any:
        def body(x: Any, n: Any) -> Any:
            a, b = cond(x > 5, lambda: (x * 0.3, n), lambda: (torch.sqrt(x) * 0.9, n + 1))
            return a, b + cond(n < 3, lambda: n * 0, lambda: n // 3)

        return while_loop(lambda x, n: (x > 0.5) & (n < 40), body, (x, 0))

    same(f, NUMBERS)
    same(grad(lambda x: f(x)[0]), NUMBERS)
    same(lambda x: jvp(lambda x: f(x)[0], (x,), (x,)), NUMBERS)
    same(vmap(lambda x: f(x)[0]), [torch.stack(NUMBERS)] * 3)


def test_choices_and_scans() -> None:
    def f(x: Any) -> Any:
        return scan(lambda c, t: (cond(c > t, lambda: c * 0.9, lambda: (c + t).sin()), c * t),
                    x[0], x)

    torch.manual_seed(2)
    calls = [torch.rand(900, dtype=torch.float64) * size for size in (3, 0.01, 1, 9)]
    assert "choice" in str(same(f, calls).explain())
    same(grad(lambda x: f(x)[0] + f(x)[1].sum()), calls)
    same(lambda x: cond(x.sum() > 1350, lambda: f(x)[0], lambda: f(-x)[0] * 2), calls)


def test_a_choice_that_is_known() -> None:
    same(lambda x: cond(torch.tensor(True), torch.sin, torch.cos, (x,)), NUMBERS)
    same(lambda x: cond(x.ndim == 0, torch.sin, lambda x: 1 / 0, (x,)), NUMBERS)


def test_choices_that_are_different() -> None:
    """Functions that give other shapes, or do more than compute."""
    seen: list[int] = []
    same(lambda x: cond(x > 1, lambda x: x[None], lambda x: x * 2, (x,)), NUMBERS, most=2)
    same(lambda x: cond(x > 1, lambda x: x * x.item(), lambda x: x * 2, (x,)), NUMBERS[:3] * 2,
         most=None)

    def f(x: Any) -> Any:
        return cond(x > 1, lambda x: seen.append(1) or x * 2, lambda x: x * 3, (x,))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(f)
        for k, value in enumerate((0.5, 3.0, 0.5, 0.1, 4.0)):
            compiled(double(value))
            assert len(seen) == (0, 1, 1, 1, 2)[k]


# --- what can't be one line ---------------------------------------------------------------------


def test_a_look_in_the_body() -> None:
    def f(x: Any) -> Any:
        def body(x: Any) -> Any:
            return (x / 2,) if x > 3 else (x / 3,)

        return while_loop(lambda x: x > 1, body, (x,))[0]

    same(f, NUMBERS[:4] * 2, most=None)


def test_random_numbers_in_the_body() -> None:
    def f(x: Any) -> Any:
        return while_loop(lambda x, n: n > 0, lambda x, n: (x + torch.rand(2), n - 1), (x, n))[0]

    own = torch.Generator()

    def g(x: Any, n: Any) -> Any:
        return while_loop(lambda x, n: n > 0, lambda x, n: (
            x + torch.rand(2, generator=own), n - 1), (x, n))[0]

    n = torch.tensor(3)
    for fn, args, generator in ((f, (torch.zeros(2),), torch.default_generator),
                                (g, (torch.zeros(2), n), own)):
        generator.manual_seed(4)
        expected = [fn(*args) for _ in range(3)]
        generator.manual_seed(4)
        compiled = torch.compile(fn)
        alike([compiled(*args) for _ in range(3)], expected)


def test_writes_in_the_body() -> None:
    for write in (lambda total, x: total.add_(x), lambda total, x: total.add_(1.0),
                  lambda total, x: x.clone().mul_(2), lambda total, x: total.copy_(x.detach())):
        total = torch.zeros(())

        def writing(total: Any, write: Any) -> Any:
            def body(x: Any) -> Any:
                write(total, x)
                return (x / 2,)

            return lambda x: (while_loop(lambda x: x > 1, body, (x,))[0], total * 1)

        f = writing(total, write)
        compiled = torch.compile(f)
        for value in (0.5, 3.0, 9.0, 0.5, 3.0):
            total.zero_()
            found = compiled(torch.tensor(value))
            total.zero_()
            alike(found, f(torch.tensor(value)), rtol=1e-6)
        assert not compiled.eager


class Counted:
    """State that a step changes, of several kinds."""

    def __init__(self) -> None:
        self.number, self.items, self.table, self.last = 0, [], {}, None


STATE: dict[str, Callable[[Counted, Any], Any]] = {
    "number": lambda c, x: setattr(c, "number", c.number + 1),
    "list": lambda c, x: c.items.append(1),
    "dict": lambda c, x: c.table.update({len(c.table): 2}),
    "tensor": lambda c, x: setattr(c, "last", x * 2),
    "tensors": lambda c, x: c.items.append(x),
}


@pytest.mark.parametrize("kind", STATE)
@pytest.mark.filterwarnings("ignore:.*runs uncompiled")
def test_state_that_the_body_changes(kind: str) -> None:
    change = STATE[kind]

    def counting(counted: Counted) -> Any:
        def body(x: Any) -> Any:
            change(counted, x)
            return (x / 2,)

        return lambda x: while_loop(lambda x: x > 1, body, (x,))[0]

    mine, other = Counted(), Counted()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled, plain = torch.compile(counting(mine)), counting(other)
        for value in (0.5, 3.0, 0.5, 9.0, 3.0, 9.0):
            alike(compiled(double(value)), plain(double(value)))
            assert (mine.number, mine.table) == (other.number, other.table)
            alike(mine.items, other.items) if kind == "tensors" else None
            assert len(mine.items) == len(other.items)
            alike([] if mine.last is None else [mine.last],
                  [] if other.last is None else [other.last])


def test_a_variable_of_the_function() -> None:
    def f(x: Any) -> Any:
        turns, seen = 0, []

        def body(x: Any) -> Any:
            nonlocal turns
            turns += 1
            seen.append(x)
            return (x / 2,)

        y = while_loop(lambda x: x > 1, body, (x,))[0]
        return y * turns, [*seen]

    same(f, NUMBERS[:4] * 2, most=None)


def test_a_body_that_is_not_run() -> None:
    def f(x: Any) -> Any:
        return while_loop(lambda x: x > 1, lambda x: 1 / 0, (x,))[0]

    compiled = torch.compile(f)
    for _ in range(3):
        assert compiled(double(0.5)).item() == 0.5
        with pytest.raises(ZeroDivisionError):
            compiled(double(3.0))


def test_functions_with_their_own_derivatives() -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 0.4

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 7

    def f(x: Any) -> Any:
        y = x.clone().requires_grad_()
        out = while_loop(lambda y: y > 1, lambda y: (Twice.apply(y),), (y,))[0]
        return torch.autograd.grad(out, y)

    same(f, NUMBERS[1:4] * 2, most=None)


def test_what_derivatives_do_not_flow_through() -> None:
    def f(x: Any, w: Any) -> Any:
        return while_loop(lambda y: y < 50, lambda y: (y * w + y.detach() * x + 1,), (x,))[0]

    def g(x: Any, w: Any) -> Any:
        def body(y: Any) -> Any:
            with torch.no_grad():
                z = y * w
            return (z + y * x + 1,)

        return while_loop(lambda y: y < 50, body, (x,))[0]

    calls = [(double(v), double(v + 0.5)) for v in (1.0, 2.0, 60.0, 1.5)]
    for fn, most in ((f, 1), (g, None)):
        same(grad(fn, argnums=(0, 1)), calls, most)
        same(lambda x, w, fn=fn: jvp(fn, (x, w), (w, x)), calls, most)


def test_derivatives_in_the_body() -> None:
    def f(x: Any) -> Any:
        slope = grad(lambda y: (y - x) ** 4 + y ** 2)
        return while_loop(lambda y: abs(slope(y)) > 1e-3, lambda y: (y - 0.01 * slope(y),),
                          (torch.zeros_like(x),))[0]

    def backwards(x: Any) -> Any:
        def body(y: Any) -> Any:
            y = y.detach().requires_grad_()
            ((y - x) ** 4 + y ** 2).backward()
            return ((y - 0.1 * y.grad).detach(),)

        return while_loop(lambda y: (y - x).abs() > 1, body, (torch.zeros_like(x),))[0]

    calls = [double(v) for v in (0.5, 1.0, 2.0, 0.0)]
    same(f, calls)
    same(grad(f), calls)
    same(backwards, calls, most=None)


def test_infinite_slopes_of_turns_not_made() -> None:
    """A tangent that is zero is none: it meets no infinity."""
    def f(x: Any, y: Any) -> Any:
        return while_loop(lambda a, b, n: n > 0, lambda a, b, n: (a * 2, torch.sqrt(b), n - 1),
                          (x, y, torch.tensor(2)))[0]

    same(lambda x: jvp(lambda x: f(x, double(0.0)), (x,), (x,)), [double(1.0), double(2.0)])
    same(grad(lambda x: f(x, double(0.0))), [double(1.0), double(2.0)])


# --- errors -------------------------------------------------------------------------------------


def test_errors_are_python_s() -> None:
    wrong: list[tuple[Callable[..., Any], type[Exception], str]] = [
        (lambda x: while_loop(lambda x: x > 0, lambda x: -x, (x,)), TypeError, "structure"),
        (lambda x: while_loop(lambda x: x > 0, lambda x: (x.float(),), (x,)), TypeError, "float32"),
        (lambda x: while_loop(lambda x: x > 0, lambda x: (x[None],), (x,)), TypeError, "float64"),
        (lambda x: while_loop(lambda x: "", lambda x: (x,), (x,)), TypeError, "must be a bool"),
        (lambda x: while_loop(lambda x: torch.stack([x, x]) > 0, lambda x: (x,), (x,)), TypeError,
         "must be a bool"),
    ]
    for f, error, words in wrong:
        compiled = torch.compile(f)
        for _ in range(2):
            with pytest.raises(error, match=words):
                compiled(double(2.0))


def test_an_index_out_of_range() -> None:
    def f(table: Any, n: Any) -> Any:
        return while_loop(lambda i, s: i < n, lambda i, s: (i + 1, s + table[i]),
                          (torch.tensor(0), torch.tensor(0.0)))[1]

    compiled = torch.compile(f)
    table = torch.arange(5.0)
    for n in (3, 9, 5, 9, 0):
        if n > 5:
            with pytest.raises(IndexError):
                compiled(table, torch.tensor(n))
        else:
            alike(compiled(table, torch.tensor(n)), f(table, torch.tensor(n)))


# --- examples, size, threads ----------------------------------------------------------------------


def test_examples_of_a_batch() -> None:
    x = torch.tensor([0.5, 3.0, 20.0], dtype=torch.float64)
    same(vmap(lambda x: halved(x)[0]), [x, x * 3, x / 30, x * 0.9, x], most=None)
    same(vmap(lambda x: cond(x > 1, torch.sin, torch.sqrt, (x,))), [x, x / 30, x * 9, x],
         most=None)
    same(vmap(grad(newton)), [x, x], most=None)


def test_many_turns() -> None:
    """Memory for what turns are given grows with them, and is given back."""
    def f(x: Any, n: Any) -> Any:
        return while_loop(lambda y, i: i < n, lambda y, i: (torch.sin(y) + x, i + 1), (x, 0))[0]

    compiled = torch.compile(grad(f))
    for turns in (10, 0, 100_000, 1_000, 1):
        x, n = double(0.3), torch.tensor(turns)
        if turns <= 1_000:
            alike(compiled(x, n), grad(f)(x, n))
        else:
            slope = compiled(x, n).item()  # of the fixed point of sin(y) + x
            y = f(x, torch.tensor(90)).item()
            assert abs(slope - 1 / (1 - np.cos(y))) < 1e-3
    assert ways(compiled) == 1
    slopes = grad(lambda x, n: f(x, n).sum())
    large = torch.compile(slopes)
    for turns in (3, 50, 7):
        x, n = torch.rand(3000, dtype=torch.float64), torch.tensor(turns)
        alike(large(x, n), slopes(x, n))


def test_threads() -> None:
    compiled = torch.compile(grad(newton))
    compiled(NUMBERS[0])
    wrong: list[Any] = []

    def work(k: int) -> None:
        for value in NUMBERS[k:] + NUMBERS[:k]:
            try:
                alike(compiled(value), grad(newton)(value))
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
