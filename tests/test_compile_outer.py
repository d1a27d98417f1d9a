"""Gradients that go through compiled functions from outside: every program runs on both sides,
uncompiled and compiled, which must see the same.

The first call of a compiled function runs as Python, so programs call it several times.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch
from sides import Compiler, as_it_was, both, counted, rising  # noqa: F401
from wengert.autograd import grad
from wengert.func import grad as grad_of, jvp, vmap
from wengert.utils.checkpoint import checkpoint

TIMES = range(3)


def tried(run: Callable[[], Any]) -> Any:
    """What a call gives, or the error that it raises."""
    try:
        return run()
    except RuntimeError as error:
        return str(error)


def leaf(*shape: int, start: float = -1.0) -> Any:
    return rising(*shape, start=start).requires_grad_()


def native(fn: Callable[..., Any], *args: Any) -> Any:
    """What a compiled function gives when it runs natively."""
    inner, run = counted(fn)
    for _ in range(2):
        run(*args)
    before = inner.runs
    out = run(*args)
    assert inner.runs == before and not run.eager
    return out


# --- several results --------------------------------------------------------------------------


def each_alone(fn: Callable[..., Any], *starts: float) -> Callable[[Compiler], Any]:
    """Backward from each result of a function, one after the other, in every order."""

    def program(compile: Compiler) -> Any:
        run, found = compile(fn), []
        for _ in TIMES:
            for turned in (False, True):
                leaves = [leaf(3, start=start) for start in starts]
                outs = run(*leaves)
                for out in reversed(outs) if turned else outs:
                    error = tried(lambda out=out: out.sum().backward())  # type: ignore[misc]
                    found.append((error, [x.grad for x in leaves]))
        return found

    return program


def test_results_that_share_nothing_go_back_apart():
    found = both(each_alone(lambda x, y: (torch.exp(x), torch.sin(y)), 0.0, 1.0))
    assert "second time" not in str(found)


def test_results_that_share_what_was_saved_go_back_once():
    def f(x: Any) -> Any:
        h = torch.exp(x)
        return h * 2, torch.sin(h)

    assert "second time" in str(both(each_alone(f, 0.0)))


def test_results_that_share_nodes_that_saved_nothing():
    def f(x: Any, y: Any) -> Any:
        h = x + y
        return -h, torch.cumsum(h, 0)

    assert "second time" not in str(both(each_alone(f, 0.0, 1.0)))


def test_a_result_that_saved_nothing_stays_when_all_else_is_freed():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x: (torch.exp(x), -x)), []
        for _ in TIMES:
            x = leaf(3)
            a, b = run(x)
            found.append([*grad(a.sum(), x), *(
                grad(b.sum(), x, create_graph=create)[0].detach() for create in (True, False))])
        return found

    both(program)


def test_a_result_that_takes_no_part_leaves_no_trace():
    """Zeros for its cotangent would give gradients to what it alone depends on, and NaN."""

    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x, y: (x.sum(), (1 / x).sum() + y.sum())), []
        for _ in TIMES:
            x, y = torch.zeros(2, requires_grad=True), leaf(2)
            first, _ = run(x, y)
            first.backward()
            found.append((x.grad, y.grad))
        return found

    assert "nan" not in str(both(program))


def test_a_sum_of_which_a_part_is_missing():
    def f(x: Any) -> Any:
        h = torch.tanh(x)
        return h * 2, h[:2] * 3, (h.unsqueeze(0) + 1).sum()

    def program(compile: Compiler) -> Any:
        run, found = compile(f), []
        for which in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)):
            for _ in TIMES:
                x = leaf(3)
                outs = run(x)
                sum(outs[i].sum() for i in which).backward()
                found.append(x.grad)
        return found

    both(program)


def test_parts_of_a_primitive_with_several_results():
    def f(x: Any) -> Any:
        values, _ = torch.sort(x * x)
        a, b, c = torch.unbind(values)
        return a * 2, b * c

    def program(compile: Compiler) -> Any:
        run, found = compile(f), []
        for _ in TIMES:
            for i in range(2):
                x = leaf(3)
                run(x)[i].backward()
                found.append(x.grad)
        return found

    both(program)


def test_only_some_inputs_are_asked_for():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x, w: torch.exp(x) + torch.sin(w)), []
        for _ in TIMES:
            x, w = leaf(3), leaf(3, start=0.5)
            y = run(x, w).sum()
            found.append([tried(lambda: grad(y, w)), tried(lambda: grad(y, x)),  # noqa: B023
                          tried(lambda: grad(y, x))])  # noqa: B023
        return found

    assert str(both(program)).count("Trying to") == len(TIMES)


def test_inputs_that_are_not_reached():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x, w: (x * 2, w * x.detach())), []
        for _ in TIMES:
            x, w = leaf(3), leaf(3)
            a, b = run(x, w)
            found.append([tried(lambda: grad(a.sum(), w)),  # noqa: B023
                          grad(b.sum(), (x, w), allow_unused=True)])
        return found

    assert "allow_unused" in str(both(program))


def test_a_function_that_went_back_itself():
    def f(x: Any, y: Any) -> Any:
        loss = torch.exp(x).sum()
        loss.backward()
        return loss, torch.sin(y)

    def program(compile: Compiler) -> Any:
        run, found = compile(f), []
        for _ in TIMES:
            x, y = leaf(3), leaf(3)
            loss, other = run(x, y)
            other.sum().backward()
            found.append((tried(loss.backward), x.grad, y.grad))
        return found

    assert "second time" in str(both(program))


# --- hooks ------------------------------------------------------------------------------------


def test_hooks_of_leaves():
    def program(compile: Compiler) -> Any:
        w, seen = leaf(3, start=0.5), []
        run = compile(lambda x: (torch.sin(x * w)).sum())
        w.register_hook(lambda g: (seen.append(g), g * 2)[1])
        w.register_post_accumulate_grad_hook(lambda w: seen.append(w.grad.clone()))
        for n in TIMES:
            x = leaf(3)
            x.register_hook(seen.append)
            run(x * 1).backward()
            run(x).backward()
            seen.append((n, x.grad, w.grad))
        return seen

    both(program)


def test_functions_of_leaves_with_hooks_run_natively():
    w = leaf(3)
    w.register_hook(lambda g: g * 2)
    w.register_post_accumulate_grad_hook(lambda w: None)
    x = leaf(3)
    x.register_hook(lambda g: g * 3)
    native(lambda x: torch.exp(x * w), x).sum().backward()
    assert torch.allclose(x.grad, 3 * w * torch.exp(x * w))
    assert torch.allclose(w.grad, 2 * x * torch.exp(x * w))


def test_hooks_and_gradients_of_arguments_with_a_history():
    def program(compile: Compiler) -> Any:
        run, seen = compile(lambda h: torch.exp(h).sum()), []
        for n in TIMES:
            x = leaf(3)
            h = x * 2
            h.register_hook(lambda g: (seen.append(g), g + 1)[1])
            h.retain_grad()
            h.grad_fn.register_prehook(lambda g: seen.append(g))
            y = run(h)
            seen.append(grad(y, x, create_graph=n == 1, retain_graph=True))
            y.backward()
            seen.append((x.grad, h.grad))
        return seen

    both(program)


def test_hooks_of_results():
    def program(compile: Compiler) -> Any:
        run, seen = compile(lambda x: (torch.exp(x), torch.sin(x))), []
        for _ in TIMES:
            x = leaf(3)
            a, b = run(x)
            a.register_hook(lambda g: g * 2)
            b.retain_grad()
            (a * b).sum().backward()
            seen.append((x.grad, b.grad))
        return seen

    both(program)


def test_hooks_run_once_where_the_gradient_is_recorded():
    def program(compile: Compiler) -> Any:
        run, seen = compile(lambda x: (x ** 3).sum()), []
        for _ in TIMES:
            x = leaf(3)
            x.register_hook(lambda g: (seen.append(g), g * 2)[1])
            (g,) = grad(run(x), x, create_graph=True)
            (h,) = grad(g.sum(), x)
            seen.append((g, h))
        return seen

    both(program)


def test_a_hook_that_comes_later_where_backward_is_inside():
    def program(compile: Compiler) -> Any:
        w, seen = leaf(2), []
        run = compile(lambda x: (w * x).sum().backward())
        for n in range(8):
            if n == 3:
                w.register_hook(lambda g: (seen.append(g), g * 3)[1])
            run(torch.ones(2))
            seen.append(w.grad.clone())
        return seen

    with pytest.warns(UserWarning, match="from outside that has hooks"):
        both(program)


def test_an_argument_with_a_history_where_a_leaf_was():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x: grad((x ** 3).sum(), x)), []
        for n in range(6):
            x = leaf(3)
            found.append((run(x if n < 3 else x * 2), x.grad))
        return found

    both(program)


def test_backward_inside_where_an_argument_has_a_history_and_had_none():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x: (x ** 3).sum().backward()), []
        for n in range(6):
            x = leaf(3)
            run(x if n < 3 else x * 2)
            found.append(x.grad)
        return found

    with pytest.warns(UserWarning, match="into the history of an argument"):
        both(program)


def test_a_hook_on_what_the_function_makes():
    def f(x: Any) -> Any:
        h = x * 2
        h.register_hook(lambda g: g * 3)
        return h.sum()

    def program(compile: Compiler) -> Any:
        run, found = compile(f), []
        for _ in TIMES:
            x = leaf(3)
            run(x).backward()
            found.append(x.grad)
        return found

    with pytest.warns(UserWarning, match="has hooks, or retains its gradient"):
        both(program)


# --- what was overwritten since ---------------------------------------------------------------


def overwriting(fn: Callable[..., Any], which: str) -> Callable[[Compiler], Any]:
    """Writes to the argument, the other argument or the result, then goes back."""

    def program(compile: Compiler) -> Any:
        run, found = compile(fn), []
        for _ in TIMES:
            x, w = leaf(3, start=-1.1), rising(3, start=0.5)
            y = run(x, w)
            with torch.no_grad():
                {"x": x, "w": w, "y": y}[which].add_(1)
            error = tried(lambda y=y: y.sum().backward())  # type: ignore[misc]
            found.append((error and error.partition("[")[0], x.grad))
        return found

    return program


@pytest.mark.parametrize("which", ["x", "w", "y"])
@pytest.mark.parametrize("fn", [
    lambda x, w: x * w, lambda x, w: torch.exp(x + w), lambda x, w: torch.exp(torch.sin(x + w)),
    lambda x, w: torch.tanh(x) * 2 + w, lambda x, w: x.reshape(3, 1) @ w.reshape(1, 3),
    lambda x, w: torch.sigmoid(x.reshape(3, 1)).T], ids=range(6))
def test_what_was_overwritten_is_noticed_where_the_tape_would_have(fn: Any, which: str):
    """Neither more nor less: what the tape doesn't save may be written to."""
    both(overwriting(fn, which))


def test_what_a_function_writes_itself_and_reads():
    def program(compile: Compiler) -> Any:
        mean = torch.zeros(3)

        def f(x: Any) -> Any:
            mean.mul_(0.5).add_(x.detach())
            return (x * mean).sum()

        run, found = compile(f), []
        for _ in TIMES:
            x, z = leaf(3), leaf(3)
            y = run(x)
            y.backward()
            first = run(x)
            run(z)
            found.append((x.grad, mean.clone(), tried(first.backward) is None))
        return found

    both(program)


# --- once, twice, again -----------------------------------------------------------------------


def test_memory_goes_with_backward():
    x = leaf(1000)
    y = native(lambda x: torch.sort(torch.exp(x))[0] ** 2, x)
    kept = [weakref.ref(v) for v in y.grad_fn.held if isinstance(v, np.ndarray)]
    assert kept
    loss = y.sum()
    loss.backward()
    gc.collect()
    assert all(ref() is None for ref in kept)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_memory_of_what_is_done_goes_first():
    x, z = leaf(1000), leaf(1000)
    a, b = native(lambda x, z: (torch.sort(torch.exp(x))[0] ** 2, torch.sort(z)[0] ** 2), x, z)
    kept = [weakref.ref(v) for v in a.grad_fn.held
            if isinstance(v, np.ndarray)]
    before = len(kept)
    a.sum().backward()
    gc.collect()
    assert 0 < sum(ref() is None for ref in kept) < before
    b.sum().backward()
    assert all(ref() is None for ref in kept)


def test_retaining_the_graph():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x, w: torch.exp(x @ w).sum()), []
        for n in TIMES:
            x, w = leaf(2, 3), leaf(3)
            y = run(x, w)
            found.append([grad(y, w, retain_graph=True), tried(lambda: y.backward()),  # noqa: B023
                          tried(lambda: grad(y, x)), x.grad, w.grad])  # noqa: B023
            assert n < 5
        return found

    both(program)


def test_derivatives_of_derivatives():
    def f(x: Any, w: Any) -> Any:
        return torch.sin(x) * torch.exp(w * x), (x * w).sum()

    def program(compile: Compiler) -> Any:
        run, found = compile(f), []
        for n in TIMES:
            x, w = (rising(3) + n).requires_grad_(), leaf(3)
            a, b = run(x, w)
            (g,) = grad(a.sum(), x, create_graph=True)
            (h,) = grad(g.sum(), w, create_graph=True)
            found.append((g, h, grad((h * b).sum(), (x, w))))
        return found

    both(program)


def test_arguments_that_come_from_one_another():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x, h, row: (x * h).sum(0) * torch.sin(row)), []
        for n in range(4):
            x = (rising(2, 3) + n).requires_grad_()
            y = run(x, torch.exp(x), x[0])
            (g,) = grad(y.sum(), x, create_graph=n % 2 == 1)
            found.append(g)
            if n % 2 == 1:
                found.append(grad((g ** 2).sum(), x))
        return found

    both(program)


def test_derivatives_of_derivatives_through_what_was_overwritten():
    """The function runs again for them, so it must find what it found."""
    b = rising(3)
    run = torch.compile(lambda x: torch.exp(x + b).sum())
    for _ in TIMES:
        x = leaf(3)
        y = run(x)
    b.add_(1)
    with pytest.raises(RuntimeError, match=r"runs the function again.*modified by an inplace"):
        grad(y, x, create_graph=True)
    y.backward()
    assert torch.allclose(x.grad, torch.exp(x + b - 1))


def test_random_numbers_are_the_same_in_derivatives():
    def f(x: Any) -> Any:
        return (torch.rand_like(x) * x ** 3).sum() + (x * torch.randn(3)).sum()

    def program(compile: Compiler) -> Any:
        run, found = compile(f), []
        for _ in TIMES:
            x = leaf(3)
            y = run(x)
            torch.rand(5)
            (g,) = grad(y, x, create_graph=True)
            (h,) = grad((g ** 2).sum(), x)
            found.append((y, g, h, torch.rand(2)))
        return found

    both(program)


def test_batched_cotangents():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x: torch.sin(x) ** 2), []
        for _ in TIMES:
            x = leaf(3)
            y = run(x)
            found.append(grad(y, x, torch.eye(3), is_grads_batched=True))
        return found

    both(program)


# --- what is saved ----------------------------------------------------------------------------


def kept_by(y: Any) -> list[Any]:
    return [v.shape for v in y.grad_fn.held if isinstance(v, np.ndarray)]


def test_weights_and_their_transposes_are_not_copied():
    x, w = leaf(64, 32), leaf(16, 32)
    assert kept_by(native(lambda x: torch.relu(x @ w.T), x)) in ([], [(64, 16)])


def test_what_is_cheap_is_not_saved():
    x = leaf(64, 32)
    w = leaf(32, 32)

    def f(x: Any) -> Any:
        h = x @ w
        return (h * 2 + 1) ** 2 * torch.relu(-h) * x

    assert kept_by(native(f, x)) == [(64, 32)]


def test_a_result_that_is_saved_is_not_copied():
    x = leaf(64, 32)
    y = native(torch.exp, x)
    assert kept_by(y) == [] and len(y.grad_fn.held) == 1


def test_many_small_values_are_saved_as_one():
    def program(compile: Compiler) -> Any:
        w = leaf(4, 4)

        def f(x: Any) -> Any:
            h = x
            for _ in range(20):
                h = torch.tanh(h @ w + x)
            return h

        run, found = compile(f), []
        for _ in TIMES:
            x = leaf(8, 4)
            y = run(x)
            if type(y.grad_fn).__name__ == "CompiledFunctionBackward":
                kept = kept_by(y)
                assert len(kept) <= 6 and max(kept)[0] >= 18
            y.sum().backward()
            found.append((x.grad, w.grad.clone()))
        return found

    both(program)


# --- where it is called -----------------------------------------------------------------------


def test_with_and_without_gradients():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x: torch.exp(x) * 2), []
        for _ in TIMES:
            x = leaf(3)
            y = run(x)
            with torch.no_grad():
                found.append(run(x))
            with torch.inference_mode():
                found.append(run(x))
            y.sum().backward()
            found.append(x.grad)
        return found

    both(program)


def test_backward_under_no_grad():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x: torch.exp(x) * 2), []
        for _ in TIMES:
            x = leaf(3)
            y = run(x).sum()
            with torch.no_grad():
                y.backward()
            found.append(x.grad)
        return found

    both(program)


def test_views_as_results():
    def f(x: Any, z: Any) -> Any:
        h = torch.exp(z)
        return x[1:], x.view(3, 1), h, h[:2], h.T if h.ndim == 2 else h.view(1, 3)

    def program(compile: Compiler) -> Any:
        run, found = compile(f), []
        for _ in TIMES:
            x, z = leaf(3), leaf(3)
            outs = run(x, z)
            sum((out * (i + 1)).sum() for i, out in enumerate(outs)).backward()
            found.append((x.grad, z.grad, [out._is_view() for out in outs]))
        return found

    both(program)


def test_results_that_are_written_to():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x: (x * 3, torch.sin(x) + 1)), []
        for _ in TIMES:
            x = leaf(3)
            a, b = run(x)
            a.mul_(b)
            b.add_(1)
            found.append((tried(lambda: a.sum().backward()) is None, x.grad))  # noqa: B023
        return found

    both(program)


def test_compiled_within_compiled():
    def program(compile: Compiler) -> Any:
        inner = compile(lambda x: torch.exp(x) * 2)
        outer, found = compile(lambda x: inner(torch.sin(x)) + inner(x)), []
        for _ in TIMES:
            x = leaf(3)
            outer(inner(x)).sum().backward()
            found.append(x.grad)
        return found

    both(program)


def test_backward_inside_through_what_a_compiled_function_gave():
    def program(compile: Compiler) -> Any:
        make, found = compile(lambda x: torch.exp(x)), []

        def step(x: Any) -> Any:
            (torch.sin(make(x)).sum()).backward()
            return x.grad.clone()

        run = compile(step)
        for _ in TIMES:
            found.append(run(leaf(3)))
        return found

    both(program)


def test_under_transforms():
    def program(compile: Compiler) -> Any:
        run, x, found = compile(lambda x: torch.sin(x) * x), rising(3), []
        for _ in TIMES:
            leaf_x = leaf(3)
            run(leaf_x).sum().backward()
            found.append([leaf_x.grad, grad_of(lambda x: run(x).sum())(x), vmap(run)(x),
                          jvp(run, (x,), (x,)), vmap(grad_of(run))(leaf_x)])
        return found

    both(program)


def test_checkpoints():
    def program(compile: Compiler) -> Any:
        w = leaf(3)
        run, found = compile(lambda x: torch.exp(torch.sin(x * w)) * torch.rand_like(x)), []
        for _ in TIMES:
            x = leaf(3)
            checkpoint(run, x, use_reentrant=False).sum().backward()
            found.append((x.grad, w.grad.clone()))
        return found

    both(program)


def test_checkpoints_inside():
    def program(compile: Compiler) -> Any:
        w = leaf(3)
        run, found = compile(lambda x: checkpoint(
            lambda x: torch.exp(torch.sin(x * w)), x, use_reentrant=False)), []
        for _ in TIMES:
            x = leaf(3)
            run(x).sum().backward()
            found.append((x.grad, w.grad.clone()))
        return found

    both(program)


def test_threads_with_graphs_of_their_own():
    run = torch.compile(lambda x, w: (torch.exp(torch.sin(x) * w), torch.tanh(x).sum()))
    errors: list[Any] = []

    def work(seed: int) -> None:
        for n in range(40):
            x, w = (rising(4) * (seed + n)).requires_grad_(), leaf(4)
            a, b = run(x, w)
            (a.sum() if n % 3 == 0 else b if n % 3 == 1 else a.sum() + b).backward()
            found = x.grad
            x.grad = None
            c, d = run.fn(x, w)
            (c.sum() if n % 3 == 0 else d if n % 3 == 1 else c.sum() + d).backward()
            if not torch.allclose(found, x.grad):
                errors.append((seed, n))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and not run.eager


def test_threads_that_share_a_graph():
    run = torch.compile(lambda x: torch.exp(torch.sin(x)))
    for _ in TIMES:
        x = leaf(4)
        y = run(x).sum()
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(grad(y, x, retain_graph=True)[0]))
               for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = torch.cos(x) * torch.exp(torch.sin(x))
    assert len(found) == 6 and all(torch.allclose(g, expected) for g in found)
