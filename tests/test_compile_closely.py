"""Compiled functions, looked at closely: what is easily got wrong."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch
from sides import (
    Compiler,
    as_it_was,  # noqa: F401 - a fixture of every test
    attempts,
    both,
    calls,
    counted,
    rising,
    warned,
)
from wengert.compiler.api import Compiled
from wengert.compiler.calling.runner import Runner
from wengert.compiler.executable import dense
from wengert.compiler.recording.record import Missed


def curve(x: Any) -> Any:
    return torch.exp(x) * x


def flow(a: Any) -> Any:
    b = a * 2
    while b.norm() < 1000:
        b = b * 2
    return b if b.sum() > 0 else 100 * b



def test_zeros_of_both_signs_are_two_values():
    run = torch.compile(lambda x, n: x / n)
    for _ in range(3):
        assert run(torch.ones(1), 0.0).item() == np.inf
        assert run(torch.ones(1), -0.0).item() == -np.inf


def test_the_same_tensor_twice():
    def f(x: Any, y: Any) -> Any:
        x.add_(1)
        return x * y

    def program(compile: Compiler) -> Any:
        run, found = compile(f), []
        for _ in range(3):
            x, y = rising(3), rising(3)
            found += [run(x, x), run(x, y), x, y]
        return found

    both(program)


def test_control_flow_takes_the_same_way():
    rng = np.random.default_rng(0)
    numbers = (rng.normal(size=1000) * 10.0 ** rng.integers(-1, 2, 1000)).tolist()

    def program(compile: Compiler) -> Any:
        run, found = compile(flow), []
        for number in numbers:
            a = torch.tensor(number, requires_grad=True)
            d = run(a)
            d.backward()
            found.append((d.item(), a.grad.item()))
        return found

    both(program)


def test_containers_that_are_changed():
    def program(compile: Compiler) -> Any:
        def f(xs: Any) -> Any:
            xs.append(xs[0] * 2)
            return xs[0] + 1

        run, found = compile(f), []
        for _ in range(3):
            xs = [rising(2)]
            found.append((run(xs), xs))
        return found

    messages = warned(lambda: both(program))
    assert len(messages) == 1 and "container" in messages[0]


def test_hooks_outside():
    def program(compile: Compiler) -> Any:
        run, found = compile(curve), []
        for _ in range(3):
            x = torch.tensor(2.0, requires_grad=True)
            x.register_hook(lambda g: g * 10)
            y = run(x)
            y.register_hook(lambda g: found.append(g) or g * 2)  # noqa: B023 - it is one list
            y.retain_grad()
            (y * 3).backward()
            found += [x.grad, y.grad]
        return found

    both(program)


def test_no_grad_and_inference_mode():
    def f(x: Any) -> Any:
        with torch.no_grad():
            y = x * 2
        return x * y, y

    def program(compile: Compiler) -> Any:
        run, found = compile(f), []
        for _ in range(3):
            x = rising(2).requires_grad_()
            found.append(run(x))
            with torch.no_grad():
                found.append(run(x))
            with torch.inference_mode():
                found += [run(x), run(x)[0].is_inference()]
        return found

    both(program)


def test_arguments_and_results_are_not_kept():
    gc.collect()
    gc.disable()
    try:
        run = torch.compile(lambda x: (torch.exp(x), x[0]))
        for _ in range(3):
            x = rising(3).requires_grad_()
            y = run(x)
            kept = [weakref.ref(x), *map(weakref.ref, y), weakref.ref(x.detach().numpy())]
            y[0].sum().backward()
            del x, y
            assert all(ref() is None for ref in kept)
    finally:
        gc.enable()



def test_two_results_go_back_separately():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x: (x * 2, torch.exp(x))), []
        for _ in range(3):
            x = rising(2).requires_grad_()
            a, b = run(x)
            a.sum().backward()
            found.append(x.grad.clone())
            b.sum().backward()
            found.append(x.grad)
        return found

    both(program)


def test_a_tensor_may_be_detached_before_it_is_used():
    def program(compile: Compiler) -> Any:
        p = torch.ones(2, requires_grad=True)
        run, found = compile(lambda: p.detach() * p), []
        for _ in range(3):
            p.grad = None
            run().sum().backward()
            found.append(p.grad)
        return found

    both(program)


def test_a_result_and_it_detached():
    def f(x: Any, p: Any) -> Any:
        y = x * p
        return y.detach(), y

    calls(f, *((rising(2), torch.ones(2, requires_grad=True)) for _ in range(3)))


def test_hooks_of_a_parameter_run_once():
    def program(compile: Compiler) -> Any:
        w = torch.ones(2, requires_grad=True)
        w.register_hook(lambda g: g * 3)
        run, found = compile(lambda x: (w * x).sum()), []
        for _ in range(3):
            w.grad = None
            run(torch.ones(2)).backward()
            found.append(w.grad)
        return found

    both(program)


def test_hooks_after_accumulation():
    def program(compile: Compiler) -> Any:
        w, runs = torch.ones(2, requires_grad=True), []
        w.register_post_accumulate_grad_hook(lambda p: runs.append(p.grad.clone()))
        run = compile(lambda x: (w * x).sum().backward())
        for _ in range(3):
            run(torch.ones(2))
        return runs

    warned(lambda: both(program))


def test_the_seed_may_be_set_inside():
    def f(x: Any) -> Any:
        torch.manual_seed(3)
        return torch.randn(2) + x

    warned(lambda: calls(f, *((torch.ones(2),) for _ in range(4))))


def test_how_memory_lies_can_be_asked():
    def f(x: Any) -> Any:
        return x.stride(), x.is_contiguous(), (x * 1).stride()

    calls(f, (rising(2, 3),), (rising(3, 2).t(),), (rising(2, 3),), (rising(3, 2).t(),))


def test_reshape_copies_where_it_must():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x: x.reshape(-1)), []
        for x in (rising(2, 3), rising(3, 2).t(), rising(2, 3)):
            y = run(x)
            y[0] = 9.0
            found.append((x, y))
        return found

    both(program)


def test_views_that_memory_does_not_allow():
    both(attempts(lambda x: x.view(-1), (rising(2, 3),), (rising(3, 2).t(),), (rising(2, 3),)))


def test_versions_can_be_read():
    def program(compile: Compiler) -> Any:
        run, x, found = compile(lambda x: x._version), torch.ones(2), []
        for _ in range(3):
            found.append(run(x))
            x.add_(1)
        return found

    warned(lambda: both(program))


class Box:
    def __init__(self, inside: Any) -> None:
        self.inside = inside


@pytest.mark.parametrize("made", [
    lambda x: (x * 2).numpy(), lambda x: Box(x * 2), lambda x: (lambda: x * 2),
    lambda x: (x * n for n in range(2)), lambda x: {x.ndim}])
def test_objects_that_are_made_are_made_anew(made):
    def opened(thing: Any) -> Any:
        thing = thing() if callable(thing) else getattr(thing, "inside", thing)
        if isinstance(thing, set):
            thing.add(len(thing) + 7)
        if isinstance(thing, np.ndarray):
            thing += 1
        return list(thing)

    def program(compile: Compiler) -> Any:
        run = compile(made)
        return [opened(run(torch.ones(2) * n)) for n in (1, 2, 2, 3)]

    warned(lambda: both(program))


def test_tensors_that_are_kept():
    def program(compile: Compiler) -> Any:
        state = Box(torch.zeros(2))

        def f(x: Any) -> Any:
            state.inside = state.inside * 0.5 + x
            return state.inside * 1

        run = compile(f)
        return [run(torch.ones(2)) for _ in range(4)]

    warned(lambda: both(program))


def test_threads_that_see_the_same_for_the_first_time():
    def f(a: Any) -> Any:
        while a.norm() < 1000:
            a = a * 2
        return a

    for _ in range(5):
        run, start, found = torch.compile(f), threading.Barrier(4), []

        def work(run: Any = run, start: Any = start, found: Any = found) -> None:
            start.wait()
            found.extend((run(torch.tensor(v)).item(), f(torch.tensor(v)).item())
                         for v in (0.75, 0.8, 3.0))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 12 and all(a == b for a, b in found) and not run.eager


def test_copies():
    run = copy.deepcopy(torch.compile(lambda x: x + 1))  # with `import copy`
    assert run(torch.ones(1)).item() == 2


def test_inputs_that_come_to_share_memory():
    def program(compile: Compiler) -> Any:
        def f(x: Any, y: Any) -> Any:
            x.add_(1)
            return x * y

        run, found = compile(f), []
        for shared in (False, False, True, True, False):
            x = rising(4)
            y = x[1:] if shared else rising(3)
            found += [run(x[:3], y), x, y]
        return found

    warned(lambda: both(program))


def test_memory_may_be_shared_where_nothing_is_written():
    def program(compile: Compiler) -> Any:
        def f(w: Any, x: Any, y: Any) -> Any:
            w.add_(x * y)
            return w * 2

        run, found = compile(f), []
        for shared in (False, False, True, True, False):
            w, x = rising(3), rising(4)
            found += [run(w, x[:3], x[1:] if shared else rising(3)), w]
        return found

    both(program)


def test_views_of_views_are_views_of_the_argument():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x: (x.reshape(-1), x[0])), []
        for n in range(3):
            whole = rising(4, 3) + n
            x = whole[1:3]
            flat, row = run(x)
            flat[1] = 9.0
            row[0] = -9.0
            found += [whole, x, flat, row, flat._base is whole, x._version == whole._version]
        return found

    both(program)


def test_the_order_of_dimensions_in_memory():
    def f(x: Any) -> Any:
        return x * 2, torch.exp(x).sum(0), x.t() + 1

    def program(compile: Compiler) -> Any:
        run, found = compile(f), []
        for x in (rising(2, 3), rising(3, 2).t(), rising(2, 3), rising(3, 2).t()):
            found.append([(y, y.stride(), y.is_contiguous()) for y in run(x)])
        return found

    both(program)


def test_arguments_with_a_history_come_back_as_they_are():
    def program(compile: Compiler) -> Any:
        def f(xs: Any) -> Any:
            xs.append(xs[0] * 2)
            return xs[0]

        run, found = compile(f), []
        for _ in range(3):
            x = rising(2).requires_grad_()
            xs = [x * 3]
            y = run(xs)
            found += [y is xs[0], len(xs), xs]
            (xs[1] * y).sum().backward()
            found.append(x.grad)
        return found

    warned(lambda: both(program))


def test_the_same_history_twice():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x, y: x * y), []
        for _ in range(3):
            x = rising(2).requires_grad_()
            h = x * 3
            run(h, h).sum().backward()
            found.append(x.grad)
        return found

    both(program)


def test_methods_explain_themselves():
    class Model:
        @torch.compile
        def forward(self, x: Any) -> Any:
            return x + 1

    model = Model()
    model.forward(torch.ones(2))
    assert model.forward(torch.ones(2)).tolist() == [2.0, 2.0]
    assert len(model.forward.explain().kinds) == 1


def scaled(x: Any) -> Any:
    return x * 2


compiled = torch.compile(scaled)


@torch.compile
def decorated(x: Any) -> Any:
    return x * 3


def test_pickles():
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    copied = pickle.loads(pickle.dumps(compiled))
    assert copied is not compiled and copied(torch.ones(1)).item() == 2


def test_switched_off():
    assert torch.compile(scaled, disable=True) is scaled
    assert torch.compile(scaled, mode="max-autotune", dynamic=True)(torch.ones(1)).item() == 2


def test_a_whole_graph_or_an_error():
    run = torch.compile(lambda x: [x.numpy().sum() for _ in range(2)], fullgraph=True)
    with pytest.raises(RuntimeError, match="can't be compiled"):
        run(torch.ones(5000))


def test_memory_that_must_not_be_written():
    def f(x: Any) -> Any:
        x.add_(1)
        return x * 2

    run = torch.compile(f)
    for _ in range(3):
        run(torch.ones(2))
    array = np.ones(2, np.float32)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = torch.from_numpy(array)
    with pytest.raises(RuntimeError):
        run(x)
    assert array.tolist() == [1.0, 1.0]


def test_what_an_exception_leaves_in_containers():
    def program(compile: Compiler) -> Any:
        def f(xs: Any) -> Any:
            xs.append(1)
            raise ValueError

        run, found = compile(f), []
        for _ in range(2):
            xs = [rising(2).requires_grad_() * 2]
            with pytest.raises(ValueError):
                run(xs)
            found.append(len(xs))
        return found

    both(program)


def test_arguments_with_a_history_are_kept_as_they_are():
    def program(compile: Compiler) -> Any:
        kept: dict[str, Any] = {"last": None}

        def f(x: Any) -> Any:
            kept["last"] = x
            return x * 2

        run, found = compile(f), []
        for _ in range(4):
            x = rising(2).requires_grad_() * 3
            run(x)
            found.append(kept["last"] is x)
        return found

    assert both(program)


def test_the_warning_is_at_the_users_line():
    run = torch.compile(lambda x: [x.numpy().sum()])
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(4):
            run(torch.ones(5000))
    assert [w.filename for w in found] == [__file__]


def test_nan_is_a_value_like_others():
    run = torch.compile(lambda x, n: x * n)
    for _ in range(50):
        assert np.isnan(run(torch.ones(1), float("nan")).item())
    assert sum(map(len, run.cases.values())) == 1


def test_kinds_that_fail_leave_others_be():
    def f(x: Any) -> Any:
        return x * 2 if x.numel() < 1000 else torch.tensor(x.numpy().sum())

    run, seen = torch.compile(f), []
    for n in (2, 5000, 2, 5000, 2):
        seen.append(run(torch.ones(n)).sum().item())
    assert seen == [4, 5000, 4, 5000, 4] and not run.eager


def test_kinds_that_fail_for_good_leave_others_be():
    def f(x: Any) -> Any:
        return x * 2 if x.numel() < 1000 else torch.tensor(x.numpy().sum())

    inner, run = counted(f)
    said = warned(lambda: [run(torch.ones(5000)) for _ in range(5)])
    assert len(said) == 1 and "arguments like these" in said[0] and "all numbers" in said[0]
    assert [run(torch.ones(2)).sum().item() for _ in range(3)] == [4, 4, 4]
    assert inner.runs == 6 and not run.eager  # five calls ran as Python, and a first one
    assert "(f32[5000])" in str(run.explain()) and "runs uncompiled" in str(run.explain())


def test_ever_new_kinds_that_fail():
    run = torch.compile(lambda x: [x.numpy().sum()])
    said = warned(lambda: [run(torch.ones(2000 + n)) for n in range(Compiled.MOST_CASES + 3)])
    assert len(said) == 1 and "kinds of arguments" in said[0] and run.eager


def test_calls_that_look_like_the_one_before():
    """Each kind of call is made several times, before and after each other kind."""
    a, b = rising(3), rising(3, start=2.0)
    with torch.inference_mode():
        c = rising(3)
    base, d = rising(2, 3), rising(3, start=5.0)
    many = [(a, b), (a, a), (b, a), (c, b), (base[0], b), (base[0], base[1]), (a, a.t()),
            ([a], b), ((a, b), d), ({"u": a, "v": b}, d), ({"v": a, "u": b}, d), ([a, b], d)]

    def f(x: Any, y: Any) -> Any:
        parts = [x] if torch.is_tensor(x) else [x["u"], x["v"]] if isinstance(x, dict) else x
        return [p * n - 2 * y for n, p in enumerate(parts, 1)]

    for first in many:
        calls(f, *(args for second in many for args in (first, first, second, second)))


def test_one_leaf_where_two_were():
    a, b = rising(3).requires_grad_(), rising(3, start=2.0).requires_grad_()
    calls(lambda x, y: torch.autograd.grad((x * y).sum(), x), *[(a, b)] * 3, *[(a, a)] * 3, (a, b))


def test_views_whose_base_was_written_to():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x: x * x), []
        for _ in range(4):
            w = rising(2, 2).requires_grad_()
            base = w * 1
            view = base[0]
            base.mul_(3)
            run(view).sum().backward()
            found.append(w.grad)
        return found

    both(program)


def test_a_miss_runs_native_code_once():
    run = torch.compile(lambda x: x * 2 if x.sum() > 0 else x * 3)
    for _ in range(3):
        run(torch.ones(1))
    ((case,),) = run.cases.values()
    native, runs = case.run, []
    case.run = lambda *given: runs.append(given) or native(*given)
    assert run(-torch.ones(1)).item() == -3 and len(runs) == 1


def test_memory_that_native_code_cannot_read_as_it_lies():
    place = np.zeros(17, np.uint8)[1:].view(np.float32)
    assert dense(place).flags.aligned and dense(np.array(3.0)).shape == ()
    run = torch.compile(lambda x, y: x.add_(y))
    for _ in range(3):
        x, y = torch.zeros(4, 2), torch.asarray(place)
        place += 1
        run(x.t()[:, :4], y)
        assert y.data_ptr() == place.ctypes.data and (x.t() == y).all()


@pytest.mark.parametrize(("fn", "good", "bad", "words"), [
    (lambda x, y: x[y], 0, 1, "index is out of range"),
    (lambda x, y: x // y, 1, 0, "divided by zero"),
])
def test_programs_say_what_they_fail_at(fn: Any, good: int, bad: int, words: str):
    run = torch.compile(fn)
    run(torch.ones(1, dtype=torch.int64), torch.tensor([good]))
    ((case,),) = run.cases.values()
    program = Runner(case.traces.program())
    assert len(program([np.ones(1, np.int64), np.array([good])])) == 1
    with pytest.raises(RuntimeError, match=words):
        program([np.ones(1, np.int64), np.array([bad])])


# --- faults of the compiler's own ---------------------------------------------------------------


def broken(fn: Callable[..., Any], *args: Any) -> tuple[Any, Any]:
    """A compiled function whose native code fails, and what counts its runs in Python."""
    inner, run = counted(fn)
    run(*args)
    ((case,),) = run.cases.values()
    case.run = lambda *_: Missed(RuntimeError("no such register"))
    case.compile = lambda: None
    return inner, run


def test_faults_of_native_code_are_errors_where_tests_are_strict():
    _, run = broken(lambda x: x + 1, torch.ones(2))
    with pytest.raises(RuntimeError, match="no such register"):
        run(torch.ones(2))


def test_faults_of_native_code_cost_no_more_than_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WENGERT_STRICT")
    inner, run = broken(lambda x: x + 1, torch.ones(2))
    found: list[Any] = []
    said = warned(lambda: found.extend(run(torch.ones(2)).tolist() for _ in range(5)))
    assert found == [[2.0, 2.0]] * 5 and inner.runs == 6
    assert len(said) == 1 and "its native code fails: no such register" in said[0]


STAGES = ["calling.case.schedule", "calling.case.Executable", "recording.traces.Traces.add",
          "calling.ending.Ending.__init__", "calling.outer.Pullback.__init__"]


def trip(monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """Has a stage of the compiler be wrong."""
    def wrong(*_: Any, **__: Any) -> Any:
        raise AssertionError("a value without a place")

    monkeypatch.setattr(f"wengert.compiler.{stage}", wrong)


@pytest.mark.parametrize("stage", STAGES)
def test_faults_in_compiling_are_errors_where_tests_are_strict(
        stage: str, monkeypatch: pytest.MonkeyPatch):
    trip(monkeypatch, stage)
    with pytest.raises(AssertionError, match="without a place"):
        torch.compile(lambda x: x * 2)(rising(2).requires_grad_())


@pytest.mark.parametrize("stage", STAGES)
def test_faults_in_compiling_cost_no_more_than_time(stage: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WENGERT_STRICT")
    inner, run = counted(lambda x: x * 2 if x.sum() > 0 else x * 3)
    x, found = torch.ones(2, requires_grad=True), []

    def calls_of_both_ways() -> None:
        run(-x)
        trip(monkeypatch, stage)
        found.extend(run(x).tolist() for _ in range(5))

    said = warned(calls_of_both_ways)
    assert found == [[2.0, 2.0]] * 5 and inner.runs == 6
    assert len(said) == 1 and "is at fault: AssertionError: a value without a place" in said[0]
    assert run(-x).tolist() == [-3.0, -3.0]
    with pytest.raises(RuntimeError, match="can't be compiled: the compiler is at fault"):
        torch.compile(lambda x: x * 2, fullgraph=True)(x)


def test_a_fault_in_compiling_the_way_back_costs_no_more_than_time(
        monkeypatch: pytest.MonkeyPatch):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    run = torch.compile(lambda x: (x ** 3, x * 2))
    run(x)
    trip(monkeypatch, "calling.runner.schedule")
    with pytest.raises(AssertionError, match="without a place"):
        run(x)[0].sum().backward()
    monkeypatch.delenv("WENGERT_STRICT")

    def three_times() -> None:
        for _ in range(3):
            run(x)[0].sum().backward()
            run(x)[1].sum().backward()

    said = warned(three_times)
    assert x.grad is not None and x.grad.tolist() == [15.0, 42.0]
    assert len(said) == 2 and all("at fault: AssertionError" in words for words in said)


def test_what_native_code_and_python_fail_at_is_the_functions_error():
    run = torch.compile(lambda x, i: x[i])
    x, good, bad = torch.arange(3.0), torch.tensor([2]), torch.tensor([3])
    for _ in range(5):
        assert run(x, good).tolist() == [2.0]
        with pytest.raises(IndexError, match="out of bounds"):
            run(x, bad)
    assert not run.refused
