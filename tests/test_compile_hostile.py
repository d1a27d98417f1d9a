"""State that is easily missed: what a compiled function reaches in unusual ways, or may mistake."""

from __future__ import annotations

import functools
import itertools
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch


class Holder:
    rate = 1.0

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Inheriting(Holder):
    pass


def both(make: Callable[[Callable[..., Any]], Callable[[int], Any]], calls: int = 6) -> None:
    """Holds a function's calls, uncompiled and compiled, against each other."""
    expected = [_numbers(step(i)) for step in [make(lambda f: f)] for i in range(calls)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [_numbers(step(i)) for step in [make(torch.compile)] for i in range(calls)]
    assert found == expected


def _numbers(x: Any) -> Any:
    return [_numbers(y) for y in x] if isinstance(x, (list, tuple)) else (
        x.tolist() if isinstance(x, torch.Tensor) else x)


# --- places ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Holder, Inheriting])
def test_defaults_of_a_class_are_shadowed(kind, monkeypatch):
    def make(compiled):
        monkeypatch.setattr(Holder, "rate", 1.0)
        if "rate" in vars(Inheriting):
            monkeypatch.delattr(Inheriting, "rate")
        o = kind()
        f = compiled(lambda x: x * o.rate)

        def step(i):
            if i == 2:
                monkeypatch.setattr(kind, "rate", 2.0)
            if i == 4:
                o.rate = 3.0
            return f(torch.ones(2))

        return step

    both(make)


def test_counters_that_begin_as_a_default_of_the_class():
    def make(compiled):
        o = Holder()

        @compiled
        def f(x):
            o.rate = o.rate + 1
            return x * 2 if x.sum() > 4 else x * 3

        return lambda i: (f(torch.ones(2) * i), o.rate)

    both(make)


def test_containers_that_are_defaults_of_arguments():
    def make(compiled):
        table = {"w": torch.ones(2)}

        @compiled
        def f(x, table=table, *, counted=[0.0]):  # noqa: B006
            counted[0] += 1
            return x * table["w"] * (counted[0] % 2)

        def step(i):
            table["w"] = torch.full((2,), float(i))
            return f(torch.ones(2))

        return step

    both(make)


def test_containers_in_partials():
    def make(compiled):
        table = {"k": 1.0}
        f = compiled(functools.partial(lambda x, table: x * table["k"], table=table))

        def step(i):
            table["k"] = float(i)
            return f(torch.ones(2))

        return step

    both(make)


def test_attributes_of_functions():
    def make(compiled):
        def helper(x):
            return x * helper.k

        @compiled
        def f(x):
            f.calls += 1
            return helper(x) + f.calls % 2

        helper.k, f.calls = 1.0, 0

        def step(i):
            helper.k = float(i)
            return f(torch.ones(2)), f.calls

        return step

    both(make)


def test_functions_whose_results_are_kept():
    def make(compiled):
        k = [1.0]

        @functools.lru_cache
        def table():
            return k[0]

        f = compiled(lambda x: x * table())

        def step(i):
            k[0] = float(i)
            table.cache_clear()
            return f(torch.ones(2))

        return step

    both(make)


# --- what is used up ------------------------------------------------------------------------------


@pytest.mark.parametrize("iterator", [
    lambda: iter(range(9)), itertools.count, lambda: (n for n in range(9)),
    lambda: itertools.cycle([1, 2]), lambda: zip(range(9))])
def test_iterators_go_on(iterator):
    def make(compiled):
        it = iterator()
        f = compiled(lambda x: x * np.sum(next(it)))
        return lambda i: f(torch.ones(2))

    both(make)


def test_random_numbers_that_are_not_ours():
    def make(compiled):
        random.seed(0)
        np.random.seed(0)
        own, numpys = random.Random(1), np.random.default_rng(1)
        draws = [random.random, np.random.rand]
        fs = [compiled(lambda x, draw=draw: x * float(draw())) for draw in draws]
        fs += [compiled(lambda x: x * own.random()), compiled(lambda x: x * numpys.random())]
        return lambda i: [f(torch.ones(2)) for f in fs]

    both(make)


# --- tensors that are only passed on, or lie in the memory of others ------------------------------


@pytest.mark.parametrize("left", [
    lambda o: o.a, lambda o: o.a.detach(), lambda o: [o.a, o.b], lambda o: o.b.detach()])
def test_tensors_that_are_only_passed_on(left):
    def make(compiled):
        o = Holder(a=torch.ones(2), b=torch.zeros(2), kept=None)

        @compiled
        def f(x):
            o.kept = left(o)
            return x

        def step(i):
            f(torch.ones(2))
            if i >= 2:
                o.a = o.b = torch.full((2,), float(i)) if i == 4 else o.a
                o.a = torch.full((2,), float(-i))
            return [o.kept]

        return step

    both(make)


def test_a_view_and_its_base_change_places():
    def make(compiled):
        o = Holder(a=torch.arange(2.0), b=None)
        o.b = o.a[:]

        @compiled
        def f(x):
            o.a, o.b = o.b, o.a
            return x * 1

        def step(i):
            f(torch.ones(2))
            if i == 3:
                o.a = torch.full((2,), 5.0)
            return o.a, o.b

        return step

    both(make)


@pytest.mark.parametrize("other", [lambda a: a.detach(), lambda a: a[:], lambda a: a.view(2)])
def test_tensors_that_shared_memory_in_the_first_call(other):
    def make(compiled):
        o = Holder(a=torch.ones(2))
        o.b = other(o.a)
        f = compiled(lambda x: (o.a * 2 + o.b * 3) * x)
        g = compiled(lambda x: x * 2 + o.b * 3)
        h = compiled(lambda x, y: x * 2 + y * 3)

        def step(i):
            if i == 2:
                o.a = torch.full((2,), 10.0)
            if i == 4:
                o.b = torch.full((2,), 20.0)
            return f(torch.ones(2)), g(o.a), h(o.a, o.b)

        return step

    both(make)


# --- gradients share memory where eager ones do ---------------------------------------------------


def _of_mean(x, v):
    return torch.autograd.grad((x + v).mean(), [x])


def _of_given(x, v):
    return torch.autograd.grad(x + 1, [x], v)


def _of_parts(x, v):
    return torch.autograd.grad(x.reshape(2, 3), [x], v.reshape(2, 3))


def _of_two(x, v):
    y = x * 2
    return torch.autograd.grad(x + y, [x, y], v * 2)


def _pulled(x, v):
    return torch.func.vjp(lambda x, y: x + y, x.detach(), v)[1](v)


def _transformed(x, v):
    return torch.func.grad(lambda x, y: (x + y).sum(), (0, 1))(x.detach(), v)


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("gradients", [_of_mean, _of_given, _of_parts, _of_two, _pulled,
                                       _transformed])
def test_gradients_that_are_written_to(gradients, within):
    def f(x, v):
        found = gradients(x, v)
        if within:
            found[0].mul_(2)
        return found

    def make(compiled):
        run = compiled(f)

        def step(i):
            x, v = torch.arange(6.0).requires_grad_(), torch.linspace(0, i, 6)
            found = run(x, v)
            found[0].add_(1)
            return found, v, found[0] is v, found[0] is found[-1]

        return step

    both(make)


@pytest.mark.parametrize("within", [False, True])
def test_a_gradient_that_repeats_one_number_is_not_written_to(within):
    def f(x, v):
        (found,) = torch.autograd.grad((x + v).sum(), [x])
        return found.mul_(2) if within else found

    def make(compiled):
        run = compiled(f)

        def step(i):
            x, v = torch.arange(6.0).requires_grad_(), torch.linspace(0, i, 6)
            with pytest.raises(RuntimeError, match="more than one element of the written-to"):
                run(x, v).add_(1)
            return v

        return step

    both(make)


# --- what requires a gradient ---------------------------------------------------------------------


def _in_shared_memory(x):
    return x.detach().requires_grad_(), x[1:].requires_grad_()


def _used(x):
    y = x.detach().requires_grad_()
    (y * y).sum().backward()
    return y.grad, y


def _depending(x):
    y = x.clone().requires_grad_()
    return y, y * y * x


@pytest.mark.parametrize("f", [_in_shared_memory, _used, _depending])
def test_leaves_that_are_made(f):
    def make(compiled):
        run = compiled(f)

        def step(i):
            x = torch.arange(3.0) + i
            found = run(x)
            leaves = [y for y in found if y.is_leaf]
            before = [y.grad for y in leaves]
            for y in found:
                if y.requires_grad:
                    y.sum().backward()
            x.add_(1)
            return found, before, [y.grad for y in leaves], [y.requires_grad for y in found]

        return step

    both(make)


def test_histories_where_derivatives_are_off():
    def f(x, w):
        y = x * w
        with torch.enable_grad():
            return y, y * w

    def make(compiled):
        run = compiled(f)

        def step(i):
            w = torch.ones(2, requires_grad=True)
            with torch.no_grad():
                y, z = run(torch.full((2,), i), w)
            z.sum().backward()
            return y, z, y.requires_grad, w.grad

        return step

    both(make)
