"""Control flow said explicitly: `cond`, `while_loop` and `scan`, against Python's own.

Under `vmap` the oracle is the function of one example, run on one after the other.
"""

from __future__ import annotations

import collections
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.autograd import forward_ad
from wengert.core.levels import here, shared
from wengert.func import (
    cond,
    custom_jvp,
    custom_vjp,
    grad,
    hessian,
    jacfwd,
    jacobian_sparsity,
    jacrev,
    jet,
    jvp,
    scan,
    vmap,
    while_loop,
)
from wengert.utils.checkpoint import checkpoint


@pytest.fixture(autouse=True)
def precise() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
    assert shared.special == 0 and not here.levels


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a.detach()), np.asarray(b.detach()), 1e-12, 1e-12)


def each(f: Callable[..., Any], *args: Any) -> Any:
    """What `vmap` stands for."""
    return torch.stack([f(*(a[i] for a in args)) for i in range(len(args[0]))])


def derivatives(f: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """A function of a scalar with all that transforms make of it."""
    one = torch.tensor(1.0)

    def dual(x: Any) -> Any:
        with forward_ad.dual_level():
            return forward_ad.unpack_dual(f(forward_ad.make_dual(x, one))).tangent

    return {"value": f, "grad": grad(f), "grad of grad": grad(grad(f)), "third": grad(hessian(f)),
            "jvp": lambda x: jvp(f, (x,), (one,))[1], "hessian": hessian(f),
            "jacfwd of jacrev": jacfwd(jacrev(f)), "dual": dual,
            "jet": lambda x: jet(f, (x,), ((one, one),))[1][1]}


# --- the functions that are tried ---------------------------------------------------------------


def branches(x: Any) -> Any:
    return cond(x > 0, lambda x: torch.sqrt(x) * x, lambda x: torch.sin(x) - x ** 3, (x,))


def branches_plainly(x: Any) -> Any:
    return torch.sqrt(x) * x if x > 0 else torch.sin(x) - x ** 3


def grows(x: Any) -> Any:
    """Differs between examples in the number of steps, none among them."""
    return while_loop(lambda y, n: y < 10, lambda y, n: (y * y + x, n + 1),
                      (x * 1.5, torch.tensor(0)))[0]


def grows_plainly(x: Any) -> Any:
    y = x * 1.5
    while y < 10:
        y = y * y + x
    return y


def gathers(x: Any) -> Any:
    steps = torch.tensor([0.5, -1.0, 2.0, 0.3])
    carry, ys = scan(lambda c, s: (c * torch.cos(s * c), {"y": c * s * x}), x, steps)
    return carry + (ys["y"] ** 2).sum()


def gathers_plainly(x: Any) -> Any:
    c, ys = x, []
    for s in torch.tensor([0.5, -1.0, 2.0, 0.3]):
        ys.append(c * s * x)
        c = c * torch.cos(s * c)
    return c + (torch.stack(ys) ** 2).sum()


def nested(x: Any) -> Any:
    """A scan of loops with branches, which close over what differs between examples."""
    def step(c: Any, s: Any) -> Any:
        far = lambda y: y < 4 * s  # noqa: E731
        more = lambda y: (cond(y < x, lambda: y + x * s, lambda: y * 1.5 + x * y),)  # noqa: E731
        return while_loop(far, more, (c,))[0] - 3 * s, cond(c > x, torch.exp, torch.sin, (c / 9,))

    carry, ys = scan(step, x, torch.tensor([1.0, 2.0, 0.5]))
    return carry * ys.sum()


def nested_plainly(x: Any) -> Any:
    c, total = x, 0.0
    for s in (1.0, 2.0, 0.5):
        y = c
        while y < 4 * s:
            y = y + x * s if y < x else y * 1.5 + x * y
        total = total + (torch.exp(c / 9) if c > x else torch.sin(c / 9))
        c = y - 3 * s
    return c * total


PAIRS = [(branches, branches_plainly, [-1.0, 4.0, -2.5, 0.7]),
         (grows, grows_plainly, [1.0, 4.0, 9.0, 2.0, 1.1]),
         (gathers, gathers_plainly, [0.4, -1.0, 2.0]),
         (nested, nested_plainly, [1.0, 0.3, 2.0, 1.4])]
NAMES = [pair[0].__name__ for pair in PAIRS]
WAYS = list(derivatives(torch.sin))


# --- what they compute, and its derivatives -----------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("f", "plainly", "points"), PAIRS, ids=NAMES)
def test_as_python_does(f: Any, plainly: Any, points: list[float], way: str) -> None:
    mine, oracle = derivatives(f)[way], derivatives(plainly)[way]
    for point in points:
        close(mine(torch.tensor(point)), oracle(torch.tensor(point)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("f", "plainly", "points"), PAIRS, ids=NAMES)
def test_examples_as_each_alone(f: Any, plainly: Any, points: list[float], way: str) -> None:
    """A transform of one example, batched."""
    xs = torch.tensor(points)
    close(vmap(derivatives(f)[way])(xs), each(derivatives(plainly)[way], xs))


@pytest.mark.parametrize(("f", "plainly", "points"), PAIRS, ids=NAMES)
def test_derivatives_of_a_batch(f: Any, plainly: Any, points: list[float]) -> None:
    """A transform of the batched function: levels above the batch."""
    xs = torch.tensor(points)
    batched = vmap(f)
    slopes, bends = each(grad(plainly), xs), each(hessian(plainly), xs)
    close(grad(lambda xs: batched(xs).sum())(xs), slopes)
    close(jvp(batched, (xs,), (torch.ones(len(xs)),))[1], slopes)
    close(jacfwd(batched)(xs), torch.diag(slopes))
    close(jacrev(batched)(xs), torch.diag(slopes))
    close(hessian(lambda xs: batched(xs).sum())(xs), torch.diag(bends))
    close(jet(batched, (xs,), ((torch.ones(len(xs)), torch.zeros(len(xs))),))[1][1], bends)
    assert jacobian_sparsity(batched)(xs).toarray().tolist() == np.eye(len(xs)).tolist()


@pytest.mark.parametrize(("f", "plainly", "points"), PAIRS, ids=NAMES)
def test_the_tape_below(f: Any, plainly: Any, points: list[float]) -> None:
    xs = torch.tensor(points, requires_grad=True)
    (slopes,) = torch.autograd.grad(vmap(f)(xs).sum(), xs, create_graph=True)
    (bends,) = torch.autograd.grad(slopes.sum(), xs)
    close(slopes, each(grad(plainly), xs.detach()))
    close(bends, each(hessian(plainly), xs.detach()))
    vmap(f)(xs).sum().backward()
    close(xs.grad, slopes)
    with torch.no_grad():
        assert not vmap(f)(xs).requires_grad and not f(xs[0]).requires_grad


@pytest.mark.parametrize("f", [
    lambda x, y: cond(x > y, lambda x, y: x * y ** 2, lambda x, y: x.exp() - y, (x, y)),
    lambda x, y: cond(x > 1, lambda: x * y ** 2, lambda: x.exp() - y),
    lambda x, y: cond(y > 1, lambda x: x * y ** 2, lambda x: x.exp() - y, (x,)),
    lambda x, y: while_loop(lambda s: s < x, lambda s: (s * 1.5 + y,), (torch.tensor(1.0),))[0],
    lambda x, y: while_loop(lambda s, t: t < 2 * x, lambda s, t: (s * y, t + 1),
                            (x, torch.tensor(0.0)))[0],
    lambda x, y: while_loop(lambda s, t: t < 2 * y, lambda s, t: (s * y, t + x),
                            (x, torch.tensor(0.0)))[0]],
    ids=["both", "the outer's", "the inner's", "first one, then both", "the outer's steps",
         "steps by both"])
def test_batches_in_batches(f: Any) -> None:
    """The predicate differs along either batch, or both, or comes to differ in the loop."""
    xs, ys = torch.tensor([0.5, 3.0, 7.0, 1.0]), torch.tensor([0.6, 1.5, 2.0])

    def table(g: Any) -> Any:
        return torch.stack([torch.stack([g(x, y) for y in ys]) for x in xs])

    def batched(g: Any) -> Any:
        return vmap(vmap(g, (None, 0)), (0, None))(xs, ys)

    close(batched(f), table(f))
    close(vmap(vmap(f, (0, None)), (None, 0))(xs, ys), table(f).T)
    for argnum in (0, 1):
        close(batched(grad(f, argnum)), table(grad(f, argnum)))
    close(batched(hessian(f)), table(hessian(f)))
    row = lambda x: vmap(f, (None, 0))(x, ys).sum()  # noqa: E731
    close(vmap(grad(row))(xs), table(grad(f)).sum(1))
    close(hessian(lambda ys: (vmap(vmap(f, (None, 0)), (0, None))(xs, ys)).sum())(ys),
          torch.diag(table(hessian(f, 1)).sum(0)))


def test_a_batch_inside_a_branch() -> None:
    """Tensors of the inner batch meet chosen examples, and what is closed over."""
    ys = torch.tensor([1.0, 2.0, 3.0])

    def f(x: Any) -> Any:
        def inner(x: Any) -> Any:
            return vmap(lambda y: cond(y * x > 4, lambda y: y * x + v, lambda y: y - x, (y,)))(
                ys).sum()
        v = x * x
        return cond(x > 1, inner, lambda x: 2 * x, (x,))

    xs = torch.tensor([0.5, 1.5, 3.0, 9.0])
    close(vmap(f)(xs), each(f, xs))
    close(vmap(grad(f))(xs), each(grad(f), xs))
    close(vmap(hessian(f))(xs), each(hessian(f), xs))


def test_predicates_that_close_over_all_examples() -> None:
    """Where some were chosen, theirs count: in a branch, a loop, a batch inside either."""
    ys = torch.tensor([1.0, 2.0, 3.0])

    def inner(x: Any) -> Any:
        return lambda y: cond(x > 2, lambda y: y * x, lambda y: cond(
            x > 1, torch.exp, torch.sin, (y,)), (y,))

    def f(x: Any) -> Any:
        twice = x * 2
        return cond(x > 0.7, lambda z: inner(x)(z) + while_loop(
            lambda n: n < x, lambda n: (n + z,), (x * 0,))[0], torch.neg, (twice,))

    def g(x: Any) -> Any:
        table = lambda z: vmap(lambda y: inner(y * x)(y * z))(ys).sum()  # noqa: E731
        return cond(x > 0.7, table, torch.neg, (x * 2,))

    xs = torch.tensor([0.5, 1.5, 3.0, 0.8, -1.0])
    for function in (f, g):
        close(vmap(function)(xs), each(function, xs))
        close(vmap(grad(function))(xs), each(grad(function), xs))
        close(hessian(lambda xs, h=function: vmap(h)(xs).sum())(xs),
              torch.diag(each(hessian(function), xs)))


# --- what must not get in -----------------------------------------------------------------------


def test_the_other_branch_does_not_poison() -> None:
    """By its own operand, by one that examples share, in either mode, at second order."""
    xs, w = torch.tensor([4.0, 0.0, -1.0]), torch.tensor(2.0)

    def f(w: Any, x: Any) -> Any:
        return cond(x > 0, lambda w, x: torch.log(x) / x.sqrt() * w, lambda w, x: w * x, (w, x))

    def closing_over(w: Any, x: Any) -> Any:
        return cond(x > 0, lambda x: torch.log(x) / x.sqrt() * w, lambda x: w * x, (x,))

    slope = math.log(4) / 2 - 1
    for g in (f, closing_over):
        assert grad(lambda w, g=g: vmap(g, (None, 0))(w, xs).sum())(w).item() == pytest.approx(
            slope)
        assert jvp(lambda w, g=g: vmap(g, (None, 0))(w, xs).sum(), (w,), (torch.ones(()),))[
            1].item() == pytest.approx(slope)
        second = vmap(hessian(g, 1), (None, 0))(w, xs)
        assert second[1:].tolist() == [0, 0] and math.isfinite(second[0].item())


def test_examples_that_are_done_are_left_alone() -> None:
    """Each takes steps while it can; one more would be NaN, or have an infinite derivative."""
    def f(w: Any, x: Any) -> Any:
        return while_loop(lambda x: x > 0, lambda x: (torch.sqrt(x * w) * torch.sqrt(x) - 1,),
                          (x,))[0]

    w, xs = torch.tensor(1.0), torch.tensor([0.0, 0.5, 3.0, -2.0, 2.0])
    close(vmap(f, (None, 0))(w, xs), each(functools.partial(f, w), xs))
    slopes = vmap(grad(f, (0, 1)), (None, 0))(w, xs)
    assert all(torch.isfinite(slope).all() for slope in slopes)
    close(slopes[1], each(grad(functools.partial(f, w)), xs))
    total = grad(lambda w: vmap(f, (None, 0))(w, xs).sum())(w)
    close(total, slopes[0].sum())


def test_nothing_is_computed_in_vain() -> None:
    """A branch sees the examples that chose it; a step those that are not done."""
    seen: list[Any] = []

    def noted(x: Any) -> Any:
        seen.append(x.value.shape)
        return x

    cond_of = lambda x: cond(x > 0, noted, lambda x: -x, (x,))  # noqa: E731
    assert vmap(cond_of)(torch.tensor([1.0, -2.0, 3.0, -4.0, -5.0])).tolist() == [1, 2, 3, 4, 5]
    assert seen == [(2,)]
    seen.clear()
    vmap(lambda x: while_loop(lambda x: x > 0, lambda x: (noted(x) - 1,), (x,)))(
        torch.tensor([3.0, 1.0, 0.0, 2.0]))
    assert seen == [(3,), (2,), (1,)]
    seen.clear()
    everywhere = vmap(cond_of)(torch.tensor([1.0, 2.0]))
    assert seen == [(2,)] and everywhere.tolist() == [1, 2]


# --- all sorts of arguments ---------------------------------------------------------------------

Point = collections.namedtuple("Point", "x y")


def test_structures() -> None:
    """Carries, xs and ys of any structure; None stands for nothing; ints and bools go along."""
    def step(carry: Any, x: Any) -> Any:
        point, n = carry["point"], carry["n"]
        return ({"point": Point(point.x + x["a"], point.y * x["b"][0]), "n": n + 1},
                (n, [point.x, None]))

    init = {"point": Point(torch.zeros(2), torch.ones(2)), "n": 0}
    xs = {"a": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b": (torch.tensor([2.0, 3.0]),)}
    carry, (n, (path, nothing)) = scan(step, init, xs)
    assert carry["point"].x.tolist() == [4, 6] and carry["point"].y.tolist() == [6, 6]
    assert carry["n"].item() == 2 and n.tolist() == [0, 1] and n.dtype is torch.int64
    assert path.tolist() == [[0, 0], [1, 2]] and nothing is None

    many = {"a": xs["a"][:, None].expand(2, 3, 2), "b": (torch.ones(2, 3),)}
    out = vmap(lambda xs: scan(step, init, xs)[0]["point"], in_dims=1)(many)
    assert out.x.tolist() == [[4, 6]] * 3

    a, flag, rest = while_loop(
        lambda a, flag, rest: flag, lambda a, flag, rest: [a * 2, (a < 5).all(), rest],
        [np.ones(2), True, {"kept": None}])
    assert a.tolist() == [16, 16] and not flag and rest == {"kept": None}

    def both(x: Any) -> Any:
        return cond(x > 0, lambda x: {"v": x, "n": 1, "none": None},
                    lambda x: {"v": -x, "n": 0, "none": None}, (x,))

    found = both(torch.tensor(-2.0))
    assert found["v"].item() == 2 and found["n"].item() == 0 and found["none"] is None
    batch = vmap(lambda x: {**both(x), "none": x})(torch.tensor([1.0, -2.0]))
    assert batch["v"].tolist() == [1, 2] and batch["n"].tolist() == [1, 0]


def test_backwards_and_by_length() -> None:
    xs = torch.tensor([1.0, 2.0, 4.0])
    carry, ys = scan(lambda c, x: (c / x, c), torch.tensor(8.0), xs, reverse=True)
    assert carry.item() == 1 and ys.tolist() == [1, 2, 8]
    carry, ys = scan(lambda c, x: (c * 2, x), torch.tensor(1.0), length=3)
    assert carry.item() == 8 and ys is None
    carry, ys = scan(lambda c, x: (c * 2, c), 1.0, xs, 3)
    assert carry.item() == 8 and ys.tolist() == [1, 2, 4]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 12])
def test_every_x_has_its_turn(n: int) -> None:
    xs = torch.arange(2.0 * n).reshape(n, 2)
    _, ys = scan(lambda c, x: (c, x * c), torch.tensor(2.0), xs)
    assert ys.tolist() == (2 * xs).tolist()
    slopes = grad(lambda xs: (scan(lambda c, x: (c, x * c), 1.0, xs)[1] * xs).sum())(xs)
    close(slopes, 2 * xs)


def test_no_steps() -> None:
    """Shapes are as they would be; the generator is where it was."""
    state = torch.get_rng_state()
    carry, ys = scan(lambda c, x: (c + x.sum(), {"y": torch.rand(3) * x[:, None] > c}),
                     torch.tensor(1.0), torch.zeros(0, 2))
    assert carry.item() == 1 and ys["y"].shape == (0, 2, 3) and ys["y"].dtype is torch.bool
    assert (torch.get_rng_state() == state).all()
    assert scan(lambda c, x: (c, None), 1.0, length=0)[1] is None
    x = torch.tensor(2.0)
    assert grad(lambda x: scan(lambda c, _: (c * x, c), x * x, length=0)[0])(x).item() == 4
    assert while_loop(lambda x: False, lambda x: 1 / 0, (x,))[0].item() == 2
    assert vmap(lambda x: while_loop(lambda x: x > 0, lambda x: (x,), (x,))[0])(
        torch.zeros(0)).shape == (0,)


@pytest.mark.parametrize("pred", [True, np.True_, np.array([True]), torch.tensor(True), 1,
                                  torch.tensor([[2.0]])])
def test_predicates(pred: Any) -> None:
    assert cond(pred, lambda: 1, lambda: 2).item() == 1


def test_only_the_chosen_function_runs() -> None:
    assert cond(torch.tensor(False), lambda: 1 / 0, lambda: torch.ones(2)).tolist() == [1, 1]
    assert torch.cond(True, lambda x: x, lambda x: 1 / 0, [torch.ones(2)]).tolist() == [1, 1]


# --- with everything else -----------------------------------------------------------------------


def test_many_steps() -> None:
    """No recursion, and backward in time that goes with the steps."""
    n = 10_000
    assert grad(lambda x: while_loop(lambda i, y: i < n, lambda i, y: (i + 1, y * 0.9999),
                                     (0, x))[1])(torch.tensor(1.0)).item() == pytest.approx(
                                         0.9999 ** n)
    xs = torch.zeros(n, requires_grad=True)
    scan(lambda c, x: (c * 0.999 + x, c), 0.0, xs)[1].sum().backward()
    assert xs.grad[0].item() == pytest.approx((1 - 0.999 ** (n - 1)) * 1000)


def test_checkpointed_steps() -> None:
    """A scan's step may be checkpointed, alone, in transforms, and in examples by themselves."""
    runs = []

    def step(c: Any, x: Any) -> Any:
        runs.append(1)
        return torch.sin(c * x), c * c

    def f(step: Any, x: Any) -> Any:
        carry, ys = scan(step, x, torch.tensor([1.0, 2.0, 3.0]))
        return carry + ys.sum()

    kept, again = functools.partial(f, step), functools.partial(f, functools.partial(
        checkpoint, step))
    x = torch.tensor(0.7, requires_grad=True)
    again(x).backward()
    assert len(runs) == 6
    close(x.grad, grad(kept)(x.detach()))
    xs = torch.tensor([0.5, 0.7])
    close(vmap(grad(again))(xs), vmap(grad(kept))(xs))
    close(hessian(again)(xs[0]), hessian(kept)(xs[0]))
    parted = lambda g: lambda x: cond(x > 0.6, g, torch.exp, (x,))  # noqa: E731
    close(vmap(grad(parted(again)))(xs), vmap(grad(parted(kept)))(xs))


def test_rules_of_the_users_own() -> None:
    """They hold inside branches, and branches inside them."""
    @custom_vjp
    def gently(x: Any, y: Any) -> Any:
        return cond(x > 0, lambda x: x * y, lambda x: x - y, (x,))

    gently.defvjp(lambda x, y: (gently(x, y), x), lambda x, g: (
        cond(x > 0, lambda g: 10 * g, lambda g: -g, (g,)), g))

    @custom_jvp
    def cube(x: Any) -> Any:
        return x ** 3

    cube.defjvp(lambda primals, tangents: (cube(*primals), cond(
        primals[0] > 0, torch.neg, torch.exp, tangents)))

    def f(x: Any) -> Any:
        return while_loop(lambda y: y < 20, lambda y: (gently(y, x) + cube(y / 2) + 5,), (x,))[0]

    xs = torch.tensor([-1.0, 2.0, 1.3, 30.0])
    close(vmap(f)(xs), each(f, xs))
    close(vmap(grad(f))(xs), each(grad(f), xs))
    close(grad(lambda xs: vmap(f)(xs).sum())(xs), each(grad(f), xs))
    only = lambda x: cond(x > 1, cube, torch.sin, (x,))  # noqa: E731
    close(vmap(lambda x: jvp(only, (x,), (x,))[1])(xs), each(
        lambda x: jvp(only, (x,), (x,))[1], xs))


def test_writes() -> None:
    """A branch writes to what it makes, and to its operands as to copies."""
    def f(x: Any) -> Any:
        def filled(x: Any) -> Any:
            out = torch.zeros(3)
            out[0] = v  # closed over, first
            out[1:] = x
            return out.mul_(x).mul_(v)
        v = x + 1
        return cond(x > 0, filled, lambda x: torch.ones(3) * x, (x,))

    xs = torch.tensor([2.0, -1.0, 3.0])
    close(vmap(f)(xs), each(f, xs))
    close(vmap(jacrev(f))(xs), each(jacrev(f), xs))
    out = vmap(lambda x: cond(x > 0, lambda x: x.add_(1), torch.neg, (x,)) + 0 * x)(xs)
    assert out.tolist() == [3, 1, 4] and xs.tolist() == [2, -1, 3]

    def steps(x: Any) -> Any:
        def step(y: Any) -> Any:
            out = torch.zeros(2)
            out[0] = x
            out[1] = y.sum() + 1
            return (out,)
        return while_loop(lambda y: y.sum() < 9, step, (torch.stack([x, x]),))[0]

    xs = torch.tensor([2.0, 0.5, 30.0, 4.0])
    close(vmap(steps)(xs), each(steps, xs))
    close(vmap(jacrev(steps))(xs), each(jacrev(steps), xs))
    outside = torch.zeros(())
    with pytest.raises(RuntimeError, match="outside the function was written in place"):
        vmap(lambda x: cond(x > 0, lambda x: outside.add_(x), torch.neg, (x,)))(xs)
    assert outside.item() == 0


@pytest.mark.parametrize("randomness", ["same", "different", "error"])
def test_random_numbers(randomness: str) -> None:
    """Each of the chosen examples has its own, or all have the same, as `vmap` was told."""
    def f(x: Any) -> Any:
        return while_loop(lambda x, y: x > 0, lambda x, y: (x - 1, y + torch.rand(())),
                          (x, torch.tensor(0.0)))[1]

    batched = vmap(f, randomness=randomness)
    if randomness == "error":
        with pytest.raises(RuntimeError, match="randomness error mode"):
            batched(torch.tensor([2.0, 0.0]))
        return
    none, two, again = batched(torch.tensor([0.0, 2.0, 2.0])).tolist()
    assert none == 0 and two > 0 and (two == again) is (randomness == "same")
    after = vmap(lambda x: (f(x), torch.rand(()))[1], randomness=randomness)(
        torch.tensor([0.0, 1.0]))
    assert (after[0] == after[1]).item() is (randomness == "same")


def test_errors_leave_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError):
        vmap(lambda x: cond(x > 0, lambda x: 1 / 0, torch.neg, (x,)))(
            torch.tensor([1.0, -1.0]))
    with pytest.raises(RuntimeError, match="vmap: "):
        vmap(lambda x: cond(x > 0, lambda x: x if x > 1 else -x, torch.neg, (x,)))(
            torch.tensor([1.0, 2.0, -1.0]))


# --- what is refused ----------------------------------------------------------------------------

X = torch.tensor(1.0, dtype=torch.float64)
PAIR = torch.tensor([1.0, -1.0], dtype=torch.float64)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: cond("yes", torch.sin, torch.cos, (X,)), TypeError,
     "cond: the predicate must be a bool, or a tensor of one element, not str"),
    (lambda: cond(PAIR > 0, torch.sin, torch.cos, (X,)), TypeError, "element, not bool\\[2\\]"),
    (lambda: cond(True, torch.sin, torch.cos, X), TypeError, "operands must be a tuple"),
    (lambda: cond(True, X, torch.cos), TypeError, "must be functions"),
    (lambda: cond(True, lambda: {"a": "b"}, torch.cos), TypeError,
     r"cond: true_fn's result\['a'\] must be a tensor, not str"),
    (lambda: vmap(lambda x: cond(x > 0, lambda x: {"a": x}, lambda x: {"a": x > 0}, (x,)))(PAIR),
     TypeError, r"false_fn's result\['a'\] is bool\[\], but true_fn's result\['a'\] is float64"),
    (lambda: vmap(lambda x: cond(x > 0, lambda x: x, lambda x: (x, None), (x,)))(PAIR),
     TypeError, r"false_fn's result is of structure \(\*, \*\), but true_fn's result of \*"),
    (lambda: while_loop(lambda x: None, lambda x: (x,), (X,)), TypeError,
     "what cond_fn returned must be a bool, or a tensor of one element, not NoneType"),
    (lambda: while_loop(lambda x: x > 0, lambda x: (x,), X), TypeError, "must be a tuple"),
    (lambda: while_loop(lambda x: x > 0, lambda x: -x, (X,)), TypeError,
     r"body_fn's result is of structure \*, but operands of \(\*,\)"),
    (lambda: while_loop(lambda x, y: x > 0, lambda x, y: (x, y[None]), (X, PAIR)), TypeError,
     r"body_fn's result\[1\] is float64\[1,2\], but operands\[1\] is float64\[2\]"),
    (lambda: scan(lambda c, x: ({"h": c["h"].float()}, x), {"h": X}, PAIR), TypeError,
     r"scan: f's carry\['h'\] is float32\[\], but init\['h'\] is float64\[\]"),
    (lambda: scan(lambda c, x: (None, x), X, PAIR), TypeError, "carry is None, but init is float"),
    (lambda: scan(lambda c, x: (c, x), "", PAIR), TypeError, "init must be a tensor, not str"),
    (lambda: scan(lambda c, x: c, X, PAIR), TypeError, r"must return a pair \(carry, y\), not Ten"),
    (lambda: scan(lambda c, x: (c + 1, torch.ones(int(c))), X, PAIR), TypeError,
     r"scan: f's y is float64\[2\], but the first is float64\[1\]"),
    (lambda: scan(lambda c, x: (c, x), X), ValueError, "how many steps there are"),
    (lambda: scan(lambda c, x: (c, x), X, length=-1), ValueError, "length has -1"),
    (lambda: scan(lambda c, x: (c, x), X, {"a": X}), ValueError, r"xs\['a'\] has no dimension"),
    (lambda: scan(lambda c, x: (c, x), X, (PAIR, PAIR[:1])), ValueError,
     r"of one length, but xs\[0\] has 2, xs\[1\] has 1"),
    (lambda: scan(lambda c, x: (c, x), X, PAIR, length=3), ValueError, "length has 3, xs has 2"),
])
def test_refusals(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
