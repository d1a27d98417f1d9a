"""Compiled functions read, and leave behind, Python's state as eager ones do."""

from __future__ import annotations

import functools
import math
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

import wengert as torch
from sides import (
    Compiler,
    as_it_was,  # noqa: F401 - a fixture of every test
    both,
    counted,
    rising,
    warned,
)

RATE = 0.5


class Box:
    """Something with attributes."""

    def __init__(self, inside: Any = None, **others: Any) -> None:
        self.inside = inside
        self.__dict__.update(others)


class Slotted:
    __slots__ = ("inside",)


def stateful(change: Any, state: Any) -> Any:
    """A program: a function of x and a state that Python code changes between calls."""

    def program(compile: Compiler) -> Any:
        box, found = state(), []
        run = compile(lambda x: change(x, box))
        for _ in range(5):
            found.append((run(torch.ones(2)), run(rising(2)), box.inside))
        return found

    return program


# --- what is read -------------------------------------------------------------------------------


def test_numbers_of_closures_globals_and_attributes():
    def program(compile: Compiler) -> Any:
        global RATE  # noqa: PLW0603 - it is what the test is about
        RATE, factor, box, table = 0.5, 2.0, Box(3.0), {"a": [1.0, 2.0]}
        slotted = Slotted()
        slotted.inside = 1.0

        def f(x: Any) -> Any:
            return x * factor + RATE - box.inside * table["a"][1] + slotted.inside

        run, x = compile(f), torch.ones(2)
        found = [run(x), run(x)]
        factor = 5.0
        found += [run(x)]
        RATE = 7.0
        found += [run(x)]
        box.inside = -1.0
        found += [run(x)]
        table["a"][1] = 9.0
        found += [run(x)]
        slotted.inside = 2.0
        return [*found, run(x)]

    assert len({str(x) for x in both(program)[1]}) == 6


def test_what_called_functions_and_methods_read():
    class Base:
        scale: ClassVar[float] = 2.0

        def __init__(self) -> None:
            self._shift = 1.0

        @property
        def shift(self) -> float:
            return self._shift

    class Layer(Base):
        def __call__(self, x: Any) -> Any:
            return self.scaled(x) + self.shift

        def scaled(self, x: Any) -> Any:
            return x * self.scale

    def program(compile: Compiler) -> Any:
        box = Box(1.0)
        inner = functools.partial(lambda b, x: x + b.inside, box)
        layer, layers = Layer(), []
        layers.append(layer)
        run, x = compile(lambda x: functools.reduce(lambda x, f: f(x), layers, inner(x))), rising(2)
        found = [run(x), run(x)]
        layer._shift = 4.0
        found += [run(x)]
        Base.scale = 3.0
        found += [run(x)]
        Base.scale = 2.0
        box.inside = 9.0
        found += [run(x)]
        layers.append(lambda x: x * 100)
        return [*found, run(x)]

    assert len({str(x) for x in both(program)[1]}) == 5


def test_attributes_by_computed_names():
    def program(compile: Compiler) -> Any:
        box = Box(w0=1.0, w1=2.0)
        run, x = compile(lambda x: sum(getattr(box, f"w{i}") * x for i in range(2))), rising(2)
        found = [run(x), run(x)]
        box.w1 = 5.0
        return [*found, run(x)]

    both(program)


def test_attributes_that_no_code_mentions_may_change():
    class Model:
        def __init__(self) -> None:
            self.weight, self.steps = torch.ones(2), 0

        def forward(self, x: Any) -> Any:
            return x * self.weight

    model = Model()
    inner, run = counted(model.forward)
    for _ in range(50):
        model.steps += 1
        run(torch.ones(2))
    assert inner.runs <= 2


def test_another_tensor_may_be_there():
    model = Box(torch.ones(2, requires_grad=True), others=[torch.ones(2)])
    inner, run = counted(lambda x: x * model.inside + model.others[0])
    for n in range(6):
        model.inside = torch.full((2,), float(n), requires_grad=True)
        model.others = [torch.full((2,), 10.0 * n)]
        y = run(torch.ones(2))
        assert y.tolist() == [11.0 * n] * 2
        y.sum().backward()
        assert model.inside.grad.tolist() == [1.0, 1.0]
    assert inner.runs <= 2


def test_other_tensors_of_another_kind():
    def program(compile: Compiler) -> Any:
        box, found = Box(torch.ones(2)), []
        run = compile(lambda x: x + box.inside if box.inside is not None else x)
        for inside in (torch.ones(2), None, torch.ones(1), torch.ones(2, dtype=torch.int64),
                       torch.ones(2, requires_grad=True), None, rising(2)):
            box.inside = inside
            found += [run(rising(2))]
        return found

    both(program)


def test_tensors_that_come_to_be_the_same():
    def program(compile: Compiler) -> Any:
        a, b = Box(torch.ones(2)), Box(torch.ones(2))

        def f(x: Any) -> Any:
            a.inside.add_(x)
            return a.inside * b.inside

        run, found = compile(f), []
        for same in (False, False, True, True, False):
            b.inside = a.inside if same else torch.ones(2)
            found += [run(torch.ones(2)), run(b.inside)]
        return found

    both(program)


# --- what is left behind ------------------------------------------------------------------------


def test_a_tensor_is_kept():
    def change(x: Any, box: Any) -> Any:
        box.inside = box.inside * 0.5 + x
        return box.inside + 1

    both(stateful(change, lambda: Box(torch.zeros(2))))


def test_a_tensor_is_kept_natively():
    box = Box(torch.zeros(2))

    def f(x: Any) -> Any:
        box.inside = torch.tanh(box.inside + x)
        return box.inside

    inner, run = counted(f)
    for _ in range(10):
        before = box.inside
        assert run(torch.ones(2)) is box.inside and box.inside is not before
    assert inner.runs <= 2


def test_several_tensors_are_kept_in_a_tuple():
    def change(x: Any, box: Any) -> Any:
        h, c = box.inside
        box.inside = (torch.tanh(h + x), c + h)
        return h * c

    both(stateful(change, lambda: Box((torch.zeros(2), torch.ones(2)))))


def test_items_are_replaced():
    def change(x: Any, box: Any) -> Any:
        box.inside["a"][0] = box.inside["a"][0] + x
        return box.inside["a"][0] * 2

    both(stateful(change, lambda: Box({"a": [torch.zeros(2), 3]})))


def test_a_view_of_what_is_kept():
    def change(x: Any, box: Any) -> Any:
        box.inside = box.inside + x
        view = box.inside[:1]
        view.mul_(2)
        return view

    both(stateful(change, lambda: Box(torch.zeros(2))))


def test_what_is_there_only_after_the_first_call():
    def change(x: Any, box: Any) -> Any:
        if not hasattr(box, "mean"):
            box.mean = torch.zeros(2)
        box.mean = box.mean * 0.9 + x * 0.1
        box.inside = box.mean.clone()
        return x - box.mean

    both(stateful(change, Box))


def test_counters():
    def program(compile: Compiler) -> Any:
        count, box = 0, Box(0)

        def f(x: Any) -> Any:
            nonlocal count
            count += 1
            box.inside += 2
            return x * count

        run = compile(f)
        return [(run(torch.ones(1)), count, box.inside) for _ in range(6)]

    both(program)


def test_switches():
    def change(x: Any, box: Any) -> Any:
        box.inside = not box.inside
        return x if box.inside else -x

    both(stateful(change, lambda: Box(False)))


def test_globals_are_assigned():
    def program(compile: Compiler) -> Any:
        global RATE  # noqa: PLW0603 - it is what the test is about
        RATE = 0.5

        def f(x: Any) -> Any:
            global RATE  # noqa: PLW0603 - it is what the test is about
            RATE = RATE * 2
            return x * RATE

        run = compile(f)
        return [(run(torch.ones(1)), RATE) for _ in range(5)]

    both(program)


@pytest.mark.parametrize("change", [
    lambda x, box: box.inside.append(x * 2), lambda x, box: box.inside.pop(),
    lambda x, box: setattr(box, "inside", Box(x)), lambda x, box: delattr(box, "other")])
def test_what_cannot_be_done_again_runs_as_python(change):
    def program(compile: Compiler) -> Any:
        box, found = Box([torch.ones(1)] * 9, other=1), []

        def f(x: Any) -> Any:
            change(x, box)
            return x + 1

        run = compile(f)
        for _ in range(4):
            box.other = 1
            found.append(run(torch.ones(1)))
            found.append(box.inside.inside if isinstance(box.inside, Box) else list(box.inside))
        return found

    assert len(warned(lambda: both(program))) == 1


def test_nothing_is_left_behind_by_an_error():
    def program(compile: Compiler) -> Any:
        box, found = Box(torch.zeros(2)), []

        def f(x: Any, i: Any) -> Any:
            box.inside = box.inside + x
            return x[i]

        run = compile(f)
        for i in (0, 1, 1):
            found.append((run(torch.ones(2), torch.tensor([i])), box.inside))
        return found

    both(program)


def test_endless_kinds_are_said_with_their_cause():
    box = Box(0)

    def f(x: Any) -> Any:
        box.inside += 1
        return x * math.sqrt(box.inside)

    run = torch.compile(f)
    messages = warned(lambda: [run(torch.ones(1)) for _ in range(50)])
    assert len(messages) == 1 and "inside" in messages[0]
    assert box.inside == 50


def test_state_is_told():
    box = Box(2.0, xs=[1, 2])
    run = torch.compile(lambda x: x * box.inside + len(box.xs))
    run(torch.ones(1))
    box.inside = 3.0
    run(torch.ones(1))
    first, second = run.explain().kinds
    assert "inside is 2.0" in first.guards and "xs is a list of 2" in first.guards
    assert "inside is 3.0" in second.reasons[0]


def test_slots_of_all_kinds():
    class One:
        __slots__ = "inside"  # noqa: PLC0205 - as a text, not in a tuple

    class Two(One):
        __slots__ = ("__hidden",)

        def __init__(self) -> None:
            self.inside, self.__hidden = 1.0, torch.ones(1)

        def __call__(self, x: Any) -> Any:
            self.__hidden = self.__hidden + x * self.inside
            return self.__hidden

    def program(compile: Compiler) -> Any:
        two = Two()
        run, found = compile(two), []
        for n in range(5):
            two.inside = float(n // 2)
            found.append(run(torch.ones(1)))
        return found

    both(program)


def test_state_that_holds_itself():
    def program(compile: Compiler) -> Any:
        ring: list[Any] = [2.0]
        ring.append(ring)
        run = compile(lambda x: x * ring[1][1][0])
        found = [run(torch.ones(1)), run(torch.ones(1))]
        ring[0] = 3.0
        return [*found, run(torch.ones(1))]

    both(program)


def test_a_compiled_function_that_calls_itself():
    def program(compile: Compiler) -> Any:
        depth = 3

        def power(x: Any, n: int) -> Any:
            return x if n == depth else x * run(x, n + 1)

        run: Any = compile(power)
        found = [run(torch.full((1,), 2.0), 0), run(torch.full((1,), 2.0), 0)]
        depth = 2
        return [*found, run(torch.full((1,), 2.0), 0)]

    both(program)


def test_other_keys_of_a_dict():
    def program(compile: Compiler) -> Any:
        table = {"a": 1.0, "b": torch.ones(1)}
        run = compile(lambda x: x * sum(v for v in table.values()))
        found = [run(torch.ones(1)), run(torch.ones(1))]
        del table["a"]
        found.append(run(torch.ones(1)))
        table["c"] = 5.0
        found.append(run(torch.ones(1)))
        return [*found, run(torch.ones(1))]

    both(program)


def test_what_is_set_up_in_the_first_call():
    class Momentum:
        def __init__(self, params: Any) -> None:
            self.params, self.state = params, {}

        def step(self) -> None:
            with torch.no_grad():
                for i, p in enumerate(self.params):
                    if i not in self.state:
                        self.state[i] = {"speed": torch.zeros_like(p)}
                    speed = self.state[i]["speed"]
                    speed.mul_(0.9).add_(p.grad)
                    p.sub_(speed, alpha=0.1)
                    p.grad = None

    w = torch.ones(2, requires_grad=True)
    optimiser = Momentum([w])

    def train(x: Any) -> Any:
        loss = (w * x).sum()
        loss.backward()
        optimiser.step()
        return loss.detach()

    inner, run = counted(train)
    for _ in range(8):
        run(torch.ones(2))
    assert inner.runs <= 3 and not run.eager
    assert torch.allclose(w, torch.full((2,), 1 - 0.1 * sum(
        sum(0.9 ** k for k in range(n + 1)) for n in range(8))))


@pytest.mark.parametrize("made", [
    lambda: SimpleNamespace(inside=torch.zeros(2)), lambda: executed["Odd"]()])
def test_objects_of_all_sorts(made):
    def change(x: Any, box: Any) -> Any:
        box.inside = box.inside * 0.5 + x
        return box.inside + 1

    both(stateful(change, made))


SOURCE = """
class Odd:
    def __init__(self):
        self.inside = torch.zeros(2)
    def change(self, x):
        self.inside = self.inside * RATE + x
        return self.inside + 1
RATE = 0.5
"""
executed: dict[str, Any] = {"torch": torch}
exec(SOURCE, executed)


@pytest.mark.parametrize("names", [{}, {"__name__": "__main__"}])
def test_code_that_was_executed_by_hand(names):
    def program(compile: Compiler) -> Any:
        scope: dict[str, Any] = {"torch": torch, **names}
        exec(SOURCE, scope)
        odd = scope["Odd"]()
        run, found = compile(odd.change), []
        for n in range(5):
            scope["RATE"] = 0.5 + n // 2
            found.append((run(torch.ones(2)), odd.inside))
        return found

    both(program)


class Named(tuple):  # type: ignore[type-arg]
    """A tuple that has a `get` of its own, which means something else."""

    __slots__ = ()

    def get(self, key: Any, default: Any) -> Any:
        raise AssertionError(key)


def test_tuples_with_a_way_of_their_own_to_get():
    pair = Named((torch.ones(2), 3.0))
    inner, run = counted(lambda x: x * pair[0] + pair[1])
    for _ in range(3):
        assert run(torch.ones(2)).tolist() == [4.0, 4.0]
    assert inner.runs == 1
