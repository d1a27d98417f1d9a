"""Transforms of functions: alone, nested in each other, and with everything else one does.

Where PyTorch is installed its `torch.func` is the oracle; `jvp` is compared with reverse mode's
there, since PyTorch 2.13's forward mode loses factors in some in-place products.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
import random
import re
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import wengert
from wengert.core.levels import here, shared
from wengert.func import (
    grad,
    grad_and_value,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    linearize,
    register_pytree,
    value_and_grad,
    vjp,
    vmap,
)

pytestmark = pytest.mark.filterwarnings(  # PyTorch's own, when it first uses forward mode
    "ignore:`torch.jit.script` is deprecated:DeprecationWarning")
NEAR = {"rtol": 1e-10, "atol": 1e-12}
X = (0.3, -0.7, 0.5)


@pytest.fixture
def oracle() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is the oracle here")


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Whatever a test did, and however it failed, no transform is in force afterwards."""
    before = shared.special
    yield
    assert here.levels == []
    assert here.grad
    assert shared.special == before


def tensor(*data: Any) -> Any:
    return wengert.tensor(data[0] if len(data) == 1 else data, dtype=wengert.float64)


def same(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a.detach().numpy()), np.asarray(
        b.detach().numpy() if hasattr(b, "detach") else b), **NEAR)


# --- nested, against PyTorch --------------------------------------------------------------------


def _hvp(t: Any, f: Any, x: Any, v: Any) -> Any:
    return hvp(f, (x,), (v,)) if t is wengert else t.func.jvp(t.func.grad(f), (x,), (v,))[1]


def _linear(t: Any, f: Any, x: Any) -> Any:
    if t is wengert:
        return linearize(f, x)[1]
    return lambda v: t.func.jvp(f, (x,), (v,))[1]  # PyTorch's own traces, and does not nest


def _product(pair: Any) -> Any:
    return pair[0] * pair[1]


def _pulled(t: Any, f: Any, x: Any) -> Any:
    y, pull = t.func.vjp(f, x)
    return pull(y.sin())[0]


TRANSFORMS: dict[str, Callable[[Any, Any], Any]] = {
    "grad": lambda t, f: t.func.grad(lambda x: f(x).sum()),
    "grad_and_value": lambda t, f: lambda x: _product(
        t.func.grad_and_value(lambda x: f(x).sum())(x)),
    "vjp": lambda t, f: lambda x: _pulled(t, f, x),
    "jvp": lambda t, f: lambda x: _product(t.func.jvp(f, (x,), (x.sin(),))),
    "linearize": lambda t, f: lambda x: _linear(t, f, x)(x.cos()),
    "jacrev": lambda t, f: t.func.jacrev(f),
    "jacfwd": lambda t, f: t.func.jacfwd(f),
    "hessian": lambda t, f: t.func.hessian(f),
    "hvp": lambda t, f: lambda x: _hvp(t, lambda x: f(x).sum(), x, x.cos()),
    "vmap": lambda t, f: lambda x: t.func.vmap(f)(t.stack([x, 2 * x])),
    "vmap at the end": lambda t, f: lambda x: t.func.vmap(f, in_dims=-1, out_dims=-1)(
        t.stack([x, 2 * x], -1)),
}
"""Each makes of a function of a vector another one (to a tensor of any shape)."""


def smooth(t: Any, x: Any) -> Any:
    return x.sin() * x.prod(-1, keepdim=True) + (x * x).cumsum(-1)


def writing(t: Any, x: Any) -> Any:
    b = x * x
    w = b.view(1, -1)
    w[0, 0] = x[1] * 2
    b[1:][0] += b[0]
    v = b[1:]
    v.mul_(x[0])
    w.sin_()
    return (w.T * x) * v[0]


def nested(t: Any, f: Any, names: tuple[str, ...]) -> np.ndarray:
    """A function with transforms applied, the last named innermost, at a point."""
    def function(x: Any) -> Any:
        return f(t, x)

    for name in reversed(names):
        function = TRANSFORMS[name](t, function)
    return function(t.tensor(X, dtype=t.float64)).numpy()


PAIRS = list(itertools.product(TRANSFORMS, repeat=2))
TRIPLES = [*itertools.product(("grad", "jvp", "vmap"), repeat=3),
           ("vmap", "hessian", "grad"), ("vmap", "vmap", "hessian"), ("jacfwd", "jacrev", "vmap"),
           ("vmap", "linearize", "grad"), ("linearize", "vmap", "grad"), ("vmap", "jacfwd", "vjp"),
           ("vmap at the end", "vmap", "vmap at the end"), ("hvp", "vmap", "hvp")]


@pytest.mark.parametrize("names", PAIRS + TRIPLES, ids="-".join)
def test_nested_as_in_pytorch(names: tuple[str, ...], oracle: Any) -> None:
    """Every ordered pair, and triples; of a function of views and writes, too."""
    for f in (smooth, writing) if "hessian" not in names else (writing,):
        np.testing.assert_allclose(nested(wengert, f, names), nested(oracle, f, names), **NEAR)


def test_nested_against_known_derivatives() -> None:
    """The same without an oracle: x**4's derivatives, by every route to the third."""
    steps = (grad, jacrev, jacfwd, lambda f: lambda x: jvp(f, (x,), (tensor(1.0),))[1],
             lambda f: lambda x: vjp(f, x)[1](tensor(1.0))[0],
             lambda f: lambda x: linearize(f, x)[1](tensor(1.0)),
             lambda f: lambda x: vmap(grad(f))(x[None])[0])
    for order in range(1, 4):
        for route in itertools.product(steps, repeat=order):
            f: Any = lambda x: x ** 4  # noqa: E731
            for step in route:
                f = step(f)
            same(f(tensor(1.5)), math.perm(4, order) * 1.5 ** (4 - order))


@pytest.mark.parametrize(("how", "expected"), [
    (lambda x, t: grad(lambda x: x * grad(lambda y: x + y)(t))(x), 1.0),
    (lambda x, t: grad(lambda x: x * grad(lambda y: x * y)(t))(x), 6.0),
    (lambda x, t: jvp(lambda x: x * jvp(lambda y: x * y, (t,), (t,))[1], (x,), (t,))[1], 6.0),
    (lambda x, t: grad(lambda x: x * jvp(lambda y: x * y, (t,), (t,))[1])(x), 6.0),
    (lambda x, t: jvp(lambda x: x * grad(lambda y: x * y)(t), (x,), (t,))[1], 6.0),
    (lambda x, t: jvp(lambda x: x * linearize(lambda y: x + y, t)[1](t), (x,), (t,))[1], 1.0),
    (lambda x, t: grad(lambda x: vmap(lambda y: x * y)(t[None]).sum() * x)(x), 6.0),
    (lambda x, t: vmap(lambda y: grad(lambda x: x * y * y)(x))(x[None])[0], 9.0),
    (lambda x, t: grad(lambda x: grad(lambda y: grad(lambda z: x * y * z)(t))(t) * x)(x), 6.0),
])
def test_perturbations_are_kept_apart(how: Callable[..., Any], expected: float) -> None:
    same(how(tensor(3.0), tensor(1.0)), expected)


# --- with the tape around them, and inside ------------------------------------------------------


OUTER = {
    "grad": lambda f, x: grad(f)(x).sum(),
    "vjp": lambda f, x: vjp(f, x)[1](tensor(2.0))[0].sum(),
    "jvp": lambda f, x: jvp(f, (x,), (x.cos(),))[1],
    "linearize": lambda f, x: linearize(f, x)[1](x.cos()),
    "vmap": lambda f, x: vmap(f)(wengert.stack([x, x * 2])).sum(),
    "jacrev": lambda f, x: jacrev(f)(x).sum(), "jacfwd": lambda f, x: jacfwd(f)(x).sum(),
    "hessian": lambda f, x: hessian(f)(x).sum(),
    "hvp": lambda f, x: hvp(f, (x,), (x.cos(),)).sum(),
    "vmap of grad": lambda f, x: vmap(grad(f))(wengert.stack([x, x * 2])).sum(),
}


@pytest.mark.parametrize("name", OUTER)
def test_backward_through_a_transform(name: str) -> None:
    """Leaves outside get gradients, closed over or as arguments, to second order."""
    def total(w: Any, x: Any) -> Any:
        return OUTER[name](lambda x: (x.sin() * w * w * x).sum(), x)

    w0, x0 = np.array([0.5, -1.0, 2.0]), np.array(X)
    w, x = (wengert.tensor(v, requires_grad=True) for v in (w0, x0))
    first = wengert.autograd.grad(total(w, x), (w, x), create_graph=True)
    second = wengert.autograd.grad((first[0] * first[0]).sum() + (first[1] ** 2).sum(), (w, x))
    total(w, x).backward()
    same(w.grad, first[0])
    same(x.grad, first[1])

    def gradients(w: np.ndarray, x: np.ndarray) -> list[Any]:
        return [g.numpy() for g in grad(total, (0, 1))(tensor(w), tensor(x))]

    for i, start in enumerate((w0, x0)):
        for j in range(3):
            step = np.eye(3)[j] * 1e-5
            (up, down) = ([w0, x0], [w0, x0])
            up[i], down[i] = start + step, start - step
            slope = (total(*map(tensor, up)) - total(*map(tensor, down))).item() / 2e-5
            assert first[i][j].item() == pytest.approx(slope, rel=1e-6, abs=1e-6)
            squares = [sum(np.sum(g * g) for g in gradients(*v)) for v in (up, down)]
            assert second[i][j].item() == pytest.approx((squares[0] - squares[1]) / 2e-5,
                                                        rel=1e-6, abs=1e-6)


def test_backward_inside_on_plain_tensors() -> None:
    """What has nothing to do with the transform may be differentiated by the tape inside it."""
    def f(x: Any) -> Any:
        p = wengert.tensor(2.0, dtype=wengert.float64, requires_grad=True)
        (p * p).backward()
        return x * p.grad

    for transformed in (grad(f), lambda x: jvp(f, (x,), (x * 0 + 1,))[1],
                        lambda x: vmap(f)(x[None])[0] / x):
        same(transformed(tensor(3.0)), 4.0)


@pytest.mark.parametrize("name", ["grad", "jvp", "vmap"])
def test_backward_inside_on_transformed_tensors(name: str) -> None:
    with pytest.raises(RuntimeError, match=r"inside .* please use .*func.grad or vjp"):
        OUTER[name](lambda x: x.sum().backward(), tensor(X))


def test_hooks_and_leaves_of_the_ground_stay_apart() -> None:
    """A transform's own derivative leaves `.grad` of the tensors given to it alone."""
    x = wengert.tensor([1.0, 2.0], requires_grad=True)
    g = grad(lambda x: (x ** 2).sum())(x)
    assert x.grad is None and g.requires_grad
    g.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


# --- writes and views inside --------------------------------------------------------------------


def fresh(t: Any, x: Any, *shape: int) -> Any:
    """Ones to be written over; PyTorch refuses to, unless they come from what is transformed."""
    return x.new_ones(shape) if t is wengert else (x.sum() * 0 + 1).expand(shape).clone()


def buffer(t: Any, x: Any) -> Any:
    b = fresh(t, x, 4)
    v = b[1:3]
    b[0] = x[0]
    v += x[1:]
    b[3] = (v.clone() * b[0].clone()).sum()
    v[0] = v[1].clone() * x[0]
    return b


def out_of_order(t: Any, x: Any) -> Any:
    b = fresh(t, x, 2, 3)
    row, column = b[1], b[:, 2]
    column *= x[0]
    row[:2] = x[1:] * row[2].clone()
    b[0] += row
    column.sin_()
    return b + column.sum()


def index_put(t: Any, x: Any) -> Any:
    b = fresh(t, x, 5)
    b[t.tensor([0, 2])] = x[:2]
    b.index_put_((t.tensor([2, 2]),), x[1:], accumulate=True)
    b[t.tensor([False, True, False, True, False])] = 0.5
    return b * b.sum()


def masked(t: Any, x: Any) -> Any:
    b = x * 2
    b.masked_fill_(b > 0.7, 0.25)
    return t.where(x > 0, b, b * b).clamp_(-0.4, 5)


def reshaped(t: Any, x: Any) -> Any:
    b = t.stack([x, x.sin()])
    b[..., 1] *= x[2]
    b.T[0] *= 3
    b.view(-1)[4] = x[0]
    b.unsqueeze(0).transpose(1, 2)[0, 1].mul_(2)
    first, second = b.flatten()[:3], b.reshape(3, 2)[:, 1]
    first += 1
    second.exp_()
    return b


def broken_off(t: Any, x: Any) -> Any:
    b = x.expand(2, 3).clone()
    alias = b[:]
    b = b + 1
    alias.zero_()
    return b * alias.sum() + b


PROGRAMS = (buffer, out_of_order, index_put, masked, reshaped, broken_off)


class Looping:
    """PyTorch with a `vmap` that is a loop: its own refuses to write batched numbers into a buffer
    that is the same for all examples."""

    def __init__(self, library: Any) -> None:
        self.library, self.func = library, self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.library.func, name, None) or getattr(self.library, name)

    def vmap(self, f: Any, in_dims: int = 0, out_dims: int = 0) -> Any:
        return lambda x: self.stack([f(row) for row in x.unbind(in_dims)], out_dims)


WRITTEN = [(n,) for n in TRANSFORMS] + [
    ("vmap", "grad"), ("grad", "vmap"), ("jvp", "vmap"), ("vmap", "jvp"), ("grad", "jvp"),
    ("jvp", "grad"), ("vmap", "vmap"), ("vmap", "jacrev"), ("jacfwd", "vmap")]


@pytest.mark.parametrize("names", WRITTEN, ids="-".join)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_writes_inside(program: Any, names: tuple[str, ...], oracle: Any) -> None:
    """Buffers, views, masks and index_put, under each transform and under two."""
    np.testing.assert_allclose(nested(wengert, program, names),
                               nested(Looping(oracle), program, names), **NEAR)


def test_a_view_of_an_expanded_view_is_one() -> None:
    """However many views lie between, a write to the base reaches them all."""
    def f(x: Any) -> Any:
        base = x * 1
        first = base.expand(2, *base.shape)
        base.sin_()
        second = first.expand(2, *first.shape)
        base[0] = x[0] * 2
        return second.sum()

    x = tensor(np.arange(12.0).reshape(3, 2, 2))
    expected = 4 * x.cos()
    expected[:, 0] = 8
    same(vmap(grad(f))(x), expected)
    same(grad(lambda x: vmap(f)(x).sum())(x), expected)


def test_inputs_may_not_be_overwritten_where_they_are_differentiated() -> None:
    """As in PyTorch: for reverse mode they are leaves; for others it is allowed."""
    x = tensor(X)
    for f in (lambda x: grad(lambda x: x.mul_(2).sum())(x),
              lambda x: vjp(lambda x: x.mul_(2), x), lambda x: vmap(grad(lambda x: x.mul_(2)))(x),
              lambda x: grad(lambda x: x[0].mul_(2))(x)):
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            f(x)
    same(x, np.array(X))
    same(jvp(lambda x: x.mul_(2) * x, (x.clone(),), (x * 0 + 1,))[1], 8 * np.array(X))
    vmap(lambda x: x.mul_(2))(x)
    same(x, 2 * np.array(X))
    y = wengert.stack([x, x])
    vmap(lambda x: x[0].zero_(), in_dims=1)(y)
    assert y[0].tolist() == [0, 0, 0] != y[1].tolist()


def test_a_write_inside_vmap_is_noticed_by_the_tape_outside() -> None:
    """What a node saved and `vmap` then overwrote, whether it was given or made inside."""
    w = wengert.ones(2, 3, requires_grad=True)
    x = wengert.ones(2, 3)
    y = w * x
    vmap(lambda a: a.add_(1))(x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()

    def f(a: Any) -> Any:
        a = a * 2
        y = w[0] * a
        a.add_(1)
        return y

    vmap(f)(wengert.ones(2, 3)).sum().backward()
    assert w.grad[0].tolist() == [4.0, 4.0, 4.0]


def test_a_write_to_what_vjp_remembers_is_noticed() -> None:
    for make in (lambda x: vjp(lambda x: x * x, x)[1], lambda x: linearize(lambda x: x * x, x)[1]):
        x = tensor(1.0, 2.0)
        later = make(x)
        x.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            later(x)


def test_a_detached_value_may_not_be_written_behind_a_transform() -> None:
    """It shares memory with what the transform's tape saved as an array."""
    def f(x: Any) -> Any:
        y = x * 2
        z = y * y
        y.detach().mul_(3)
        return z.sum()

    with pytest.raises(RuntimeError, match="clone"):
        grad(f)(tensor(X))
    seen = vmap(lambda x: (d := x * 2).detach().mul_(3) * 0 + d)(tensor(X)[None])
    same(seen[0], 6 * np.array(X))  # inside vmap memory is shared, as outside


def test_results_do_not_share_memory_with_tangents() -> None:
    x, t = tensor(X), tensor(X)
    _, (a, b) = jvp(lambda x: (x + 1, x + 2), (x,), (t,))
    a.add_(1)
    same(b, np.array(X))
    same(t, np.array(X))


def test_views_of_memory_that_lies_otherwise() -> None:
    """`view` and `contiguous` ask about one example's memory, whatever the batch's looks like."""
    x = wengert.arange(24.0).reshape(2, 3, 4)
    for dim in range(3):
        shape = [n for d, n in enumerate((2, 3, 4)) if d != dim]
        found = vmap(lambda r: (r * 2).contiguous().view(-1), in_dims=dim)(x)
        expected = wengert.stack([(r * 2).reshape(-1) for r in x.unbind(dim)])
        assert found.tolist() == expected.tolist(), shape
    y = x[0].T
    for copied in (y[:, [1, 0]], wengert.stack([y, y]), wengert.cat([y, y], 1)):
        assert copied.is_contiguous() and copied.view(-1).tolist() == copied.flatten().tolist()
    found = vmap(lambda r: r[:, [1, 0]].view(-1))(x)
    assert found.tolist() == x[:, :, [1, 0]].reshape(2, -1).tolist()
    for transform in (grad, lambda f: lambda x: jvp(f, (x,), (x,)), lambda f: lambda x: vmap(f)(
            x[None])):
        with pytest.raises(RuntimeError, match="view size is not compatible"):
            transform(lambda x: x.T.view(-1)[1])(x[0])
        assert transform(lambda x: x.T.contiguous().view(-1)[1])(x[0]) is not None

        def kept_apart(x: Any) -> Any:
            y = x * 1
            z = y.T.contiguous()
            z += 1
            return (y - x).sum()

        assert float(vmap(kept_apart)(x[:1])) == 0


# --- modes, detach, looking at numbers ----------------------------------------------------------


def test_no_grad_and_detach_inside() -> None:
    """As in PyTorch: `no_grad` stops reverse mode, at every level; `jvp` goes on."""
    x = tensor(2.0)

    def quiet(x: Any) -> Any:
        with wengert.no_grad():
            c = x * x
        return c * x

    same(grad(quiet)(x), 4.0)
    same(grad(grad(quiet))(x), 0.0)
    same(jvp(quiet, (x,), (x * 0 + 1,))[1], 12.0)
    same(jvp(grad(quiet), (x,), (x * 0 + 1,))[1], 4.0)
    same(grad(lambda x: jvp(quiet, (x,), (x * 0 + 1,))[1])(x), 4.0)
    same(vmap(grad(quiet))(x[None])[0], 4.0)
    for f in (lambda x: x.detach() * x, lambda x: x * x.detach()):
        same(grad(f)(x), 2.0)
        same(jvp(f, (x,), (x * 0 + 1,))[1], 2.0)
        same(grad(grad(f))(x), 0.0)
        same(vmap(grad(f))(x[None])[0], 2.0)

    def overwritten(x: Any) -> Any:
        y = x[None].expand(2).clone()
        with wengert.no_grad():
            y[0] = 5.0
            y.mul_(2)
        return (y * x).sum()

    same(grad(overwritten)(x), 2 * x + 14)  # values changed, history did not
    same(vmap(grad(overwritten))(x[None])[0], 2 * x + 14)
    with wengert.no_grad():
        same(grad(quiet)(x), 4.0)
        same(grad(grad(lambda x: x ** 3))(x), 12.0)


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
def test_numbers_may_be_looked_at_where_there_is_one_array() -> None:
    def f(x: Any) -> Any:
        assert float(x) == x.item() == x.tolist() == x.detach().numpy() == 3.0
        assert "3." in repr(x) and "3." in str(x) and f"{x:.1f}" == "3.0"
        return x * int(x) if x > 2 else -x

    x = tensor(3.0)
    same(grad(f)(x), 3.0)
    same(jvp(f, (x,), (x,))[1], 9.0)
    same(grad(grad(lambda x: x * f(x)))(x), 6.0)


@pytest.mark.parametrize("look", [
    lambda x: x if x > 0 else -x, lambda x: x.item(), float, int, lambda x: x.tolist(),
    bool, lambda x: [0] * x.long(), lambda x: x[None][x[None] > 0],
    lambda x: x[None].nonzero(), lambda x: abs(x) if x in (1.0,) else x])
@pytest.mark.parametrize("around", [vmap, lambda f: vmap(grad(f)), lambda f: grad(
    lambda x: vmap(f)(x).sum())], ids=["vmap", "vmap(grad)", "grad(vmap)"])
def test_numbers_may_not_be_looked_at_where_there_are_several(look: Any, around: Any) -> None:
    """The error names the number of examples, the user's line, and what to use instead."""
    def user(x: Any) -> Any:
        return look(x)  # the line

    line = look.__code__.co_firstlineno if hasattr(look, "__code__") else (
        user.__code__.co_firstlineno + 1)
    with pytest.raises(RuntimeError, match="3 examples") as raised:
        around(user)(tensor(X))
    text = str(raised.value)
    number = int(re.search(r"line (\d+)", text)[1])
    assert __file__ in text and abs(number - line) <= 3
    assert "where" in text or "mask" in text


def test_printing_batches() -> None:
    said = []
    vmap(lambda x: said.append(repr(x)) or x)(tensor(X))
    assert "BatchedTensor(lvl=1" in said[0] and "-0.7" in said[0]


# --- structures ---------------------------------------------------------------------------------

Pair = collections.namedtuple("Pair", "first second")


@dataclasses.dataclass
class Layer:
    weight: Any
    bias: Any


class Line:
    def __init__(self, slope: Any) -> None:
        self.slope = slope


register_pytree(Line, lambda line: ((line.slope,), None), lambda _, parts: Line(*parts))
TREES = [
    (lambda a, b: (a, b), lambda t: t), (lambda a, b: [a, b], lambda t: t),
    (lambda a, b: {"u": a, "v": b}, lambda t: (t["u"], t["v"])),
    (lambda a, b: Pair(a, b), lambda t: (t.first, t.second)),
    (lambda a, b: Layer(a, b), lambda t: (t.weight, t.bias)),
    (lambda a, b: (Line(a), {"v": [b]}), lambda t: (t[0].slope, t[1]["v"][0])),
    (lambda a, b: collections.OrderedDict(u=(a,), v=b), lambda t: (t["u"][0], t["v"])),
]


@pytest.mark.parametrize(("make", "parts"), TREES)
def test_trees(make: Any, parts: Any) -> None:
    """Containers of every kind as arguments and results: their structure is kept."""
    a, b = tensor(X), tensor(2.0)

    def total(tree: Any) -> Any:
        a, b = parts(tree)
        return (a * a * b).sum()

    def swap(tree: Any) -> Any:
        a, b = parts(tree)
        return make(a * b, b * a[0])

    tree, kind = make(a, b), type(make(a, b))
    ga, gb = 2 * a * b, (a * a).sum()
    for found in (grad(total)(tree), grad_and_value(total)(tree)[0], value_and_grad(total)(tree)[1],
                  vjp(total, tree)[1](tensor(1.0))[0]):
        assert type(found) is kind
        same(parts(found)[0], ga)
        same(parts(found)[1], gb)
    product = hvp(total, (tree,), (tree,))
    assert type(product) is kind
    same(parts(product)[0], 4 * a * b)
    same(parts(product)[1], 2 * (a * a).sum())
    value, tangent = jvp(swap, (tree,), (tree,))
    assert type(value) is type(tangent) is kind
    same(parts(tangent)[0], 2 * a * b)
    same(parts(linearize(swap, tree)[1](tree))[1], 2 * a[0] * b)
    jac, back = jacfwd(swap)(tree), jacrev(swap)(tree)
    assert type(jac) is type(back) is kind
    for i, j in itertools.product(range(2), repeat=2):
        same(parts(parts(jac)[i])[j], parts(parts(back)[i])[j])
    batched = vmap(swap)(make(wengert.stack([a, a]), wengert.stack([b, b])))
    assert type(batched) is kind
    same(parts(batched)[0][1], a * b)


def test_arguments_and_results() -> None:
    x, y = tensor(X), tensor(2.0)

    def f(x: Any, y: Any, *, scale: Any = 1) -> Any:
        return (x * x * y * scale).sum()

    gx, gy = grad(f, (0, 1))(x, y, scale=3)
    same(gx, 6 * x * y)
    same(gy, 3 * (x * x).sum())
    same(grad(f, -1)(x, y), (x * x).sum())
    _, (_, aux) = grad_and_value(lambda x: (f(x, y), {"x": x * 2, "n": 3, "none": None}),
                                     has_aux=True)(x)
    same(aux["x"], 2 * x)
    assert aux["n"] == 3 and aux["none"] is None and not hasattr(aux["x"].aval.level, "depth")
    assert grad(f).__name__ == "f" and vmap(f).__name__ == "f"
    h = hessian(f, (0, 1))(x, y)
    same(h[0][0], 2 * y * wengert.eye(3, dtype=wengert.float64))
    same(h[0][1], 2 * x)
    same(h[1][1], 0.0)
    assert jacobian(f)(x, y).shape == (3,)
    found, aux = jacrev(lambda x: (x * x, x.sum()), has_aux=True)(x)
    same(found, jacfwd(lambda x: (x * x, x.sum()), has_aux=True)(x)[0])
    same(aux, x.sum())
    same(jacrev(lambda x: x * x.sum(), chunk_size=2)(x), jacfwd(lambda x: x * x.sum(),
                                                                chunk_size=1)(x))
    assert jacrev(lambda x: x[:0])(x).shape == (0, 3) and jacfwd(lambda x: x[:0])(x).shape == (0, 3)
    assert jacrev(lambda x: x * 2)(x[:0]).shape == jacfwd(lambda x: x * 2)(x[:0]).shape == (0, 0)


# --- vmap's own ---------------------------------------------------------------------------------


def test_dimensions() -> None:
    """Every place of the examples in two arguments and the result."""
    a, b = wengert.arange(24.0).reshape(2, 3, 4), wengert.arange(3.0)
    for dim, out in itertools.product((0, 1, 2, -1, -2, -3), repeat=2):
        n = a.shape[dim]
        b = wengert.arange(float(n))
        found = vmap(lambda x, y: x.sin() * y, in_dims=(dim, 0), out_dims=out)(a, b)
        rows = [a.select(dim, i).sin() * b[i] for i in range(n)]
        same(found, wengert.stack(rows, out))
    found = vmap(lambda d, y: {"s": d["u"] * d["v"][0] + y, "c": wengert.tensor(1.0)},
                 in_dims=({"u": 1, "v": (None,)}, None), out_dims={"s": -1, "c": None})(
                     {"u": a[0], "v": (a[0, :, 0],)}, tensor(1.0))
    assert found["s"].shape == (3, 4) and found["c"].shape == ()
    same(found["s"], a[0] * a[0, :, :1] + 1)


def test_chunks_and_empty_batches() -> None:
    a = wengert.arange(10.0).reshape(5, 2)
    for size in (1, 2, 5, 9):
        x, total = vmap(lambda x: (x, x.sum()), chunk_size=size, out_dims=(1, 0))(a)
        assert x.tolist() == a.T.tolist() and total.tolist() == a.sum(1).tolist()
    for f in (lambda x: x.sum(), lambda x: x * 2, lambda x: x.argmax(), lambda x: x[0] @ x[0]
              if x.ndim > 1 else x[0], grad(lambda x: x.sum()), lambda x: x.sort()[0]):
        assert vmap(f)(a[:0]).shape[0] == 0


def test_randomness() -> None:
    a = wengert.zeros(4, 2)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda x: x + wengert.rand(2))(a)
    for make in (lambda x: wengert.rand(2), lambda x: wengert.rand_like(x),
                 lambda x: wengert.randn(2) + x, lambda x: wengert.randint(0, 10 ** 6, (2,)),
                 lambda x: wengert.randperm(100), lambda x: x.clone().uniform_(),
                 lambda x: wengert.bernoulli(wengert.zeros(2) + 0.5)[0] + wengert.rand(())):
        wengert.manual_seed(0)
        rows = vmap(make, randomness="different")(a).tolist()
        assert len({str(row) for row in rows}) == 4
        rows = vmap(make, randomness="same")(a).tolist()
        assert len({str(row) for row in rows}) == 1
    with pytest.raises(RuntimeError, match="the same random numbers"):
        vmap(lambda x: wengert.bernoulli(x * 0 + 0.5), randomness="same")(a)
    pairs = vmap(vmap(lambda x: wengert.rand(()), randomness="same"), randomness="different")(a)
    assert (pairs[:, 0] == pairs[:, 1]).all() and len(set(pairs[:, 0].tolist())) == 4


def test_integers_inside() -> None:
    """Batched indices, argmax, sort and gather; bools and integers made inside."""
    a = wengert.tensor([[3.0, 1.0, 2.0], [0.5, 4.0, 1.5]])
    i = wengert.tensor([[0, 2], [1, 1]])
    assert vmap(lambda x, i: x[i])(a, i).tolist() == [[3.0, 2.0], [4.0, 4.0]]
    assert vmap(lambda x: x[x.argmax()])(a).tolist() == [3.0, 4.0]
    assert vmap(lambda x: x[x.argsort()])(a).tolist() == a.sort(1)[0].tolist()
    assert vmap(lambda x, i: x.gather(0, i))(a, i).tolist() == [[3.0, 2.0], [4.0, 4.0]]
    assert vmap(lambda i: a[0, i])(i).tolist() == [[3.0, 2.0], [1.0, 1.0]]
    assert vmap(lambda x: (x > 1).long().sum())(a).tolist() == [2, 2]

    def put(x: Any, i: Any) -> Any:
        b = x.new_zeros(3)
        b[i] = x[:2]
        return b

    assert vmap(put)(a, i)[0].tolist() == [3.0, 0.0, 1.0]
    g = vmap(grad(lambda x, i: (x[i] * x.sort()[0][1:]).sum()))(a, i)
    rows = [grad(lambda x, i=i: (x[i] * x.sort()[0][1:]).sum())(x)
            for x, i in zip(a, i, strict=True)]
    assert g.tolist() == [r.tolist() for r in rows]


# --- what is left when a transform has ended ----------------------------------------------------


def test_leaked_tensors() -> None:
    """Those of grad and jvp stand for their values; those of vmap say what happened."""
    kept: list[Any] = []

    def leaking(x: Any) -> Any:
        kept[:] = [x * 2, x[:1] if x.ndim else x]
        return (x * x).sum()

    x = tensor(X)
    for run in (lambda: grad(leaking)(x), lambda: jvp(leaking, (x,), (x,)),
                lambda: grad(lambda x: jvp(leaking, (x,), (x,))[1])(x),
                lambda: vjp(leaking, x), lambda: hessian(leaking)(x[:1])):
        run()
        y, view = kept
        assert (y + 1).tolist()[0] == pytest.approx(1.6) and float(view[0] * y[0]) > 0
        assert not (y * 3).requires_grad
        y += 1
        assert y.tolist()[0] == pytest.approx(1.6)
        w = wengert.ones(1, dtype=wengert.float64, requires_grad=True)
        (w * y[:1]).sum().backward()
        assert w.grad.tolist() == pytest.approx([1.6])
        same(grad(lambda x, y=y: (x * y[:1]).sum())(tensor([2.0])), y[:1])
    vmap(leaking)(x[None])
    for use in (lambda y: y + 1, lambda y: y.mul_(2), lambda y: y[0], lambda y: y.tolist(),
                lambda y: grad(lambda x: (x * y).sum())(x)):
        with pytest.raises(RuntimeError, match="vmap"):
            use(kept[0])


class Stopped(Exception):
    pass


@pytest.mark.parametrize("name", TRANSFORMS)
def test_errors_inside_leave_nothing(name: str) -> None:
    """An exception, from anywhere inside, comes out as it is, and all modes are put back."""
    for calls in range(1, 3):
        left = [calls]

        def failing(x: Any, left: Any = left) -> Any:
            left[0] -= 1
            if not left[0]:
                with wengert.no_grad():
                    raise Stopped
            return x.sin()

        before = shared.special
        try:
            TRANSFORMS[name](wengert, failing)(tensor(X))
        except Stopped:
            assert left[0] == 0
        assert here.levels == [] and here.grad and shared.special == before
    with pytest.raises(Stopped):
        TRANSFORMS[name](wengert, TRANSFORMS["vmap"](wengert, lambda x: _raise()))(tensor(X))
    same(TRANSFORMS["grad"](wengert, lambda x: x * x)(tensor(X)), 2 * tensor(X))


def _raise() -> Any:
    raise Stopped


def test_forward_mode_keeps_no_graph() -> None:
    """A long loop under jvp takes no more memory than a short one."""
    def steps(n: int) -> int:
        def f(x: Any) -> Any:
            for _ in range(n):
                x = (x * 1.01).sin() + 0.1
            return x

        x = wengert.ones(2000)
        tracemalloc.start()
        jvp(f, (x,), (x,))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    steps(3)
    assert steps(300) < 1.5 * steps(10)


def test_threads_have_their_own_transforms() -> None:
    barrier = threading.Barrier(4)
    wrong: list[Any] = []

    def work(k: int) -> None:
        try:
            for i in range(20):
                x = tensor([1.0 + k, 2.0 + i])

                def f(x: Any, i: int = i) -> Any:
                    if i == 0:
                        barrier.wait(10)
                    return (x ** 3).sum()

                found = (grad(f)(x), jvp(f, (x,), (x * 0 + 1,))[1], vmap(grad(f))(x[None])[0],
                         hessian(f)(x).sum(0) / 2 * x)[i % 4]
                expected = 3 * x * x
                same(found, expected.sum() if i % 4 == 1 else expected)
                assert len(here.levels) == 0
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


# --- bad input ----------------------------------------------------------------------------------

SETUP = """
F = torch.func; X = torch.tensor([0.5, -1.0, 2.0]); M = torch.arange(6.).reshape(2, 3) / 7
def s(x): return (x * x).sum()
"""
REFUSED = """
F.grad(lambda x: x * 2)(X)
F.grad(lambda x: 3.0)(X)
F.grad(lambda x: None)(X)
F.grad(lambda x: (x.sum(), x))(X)
F.grad(s)(torch.tensor([1, 2]))
F.grad(s)("a")
F.grad(s, argnums=1)(X)
F.grad(s, argnums=(0, 0))(X)
F.grad(s, argnums="a")(X)
F.grad(s, argnums=())(X)
F.grad(lambda x: x.sum(), has_aux=True)(X)
F.vjp(lambda x: x * 2, X)[1](torch.ones(2))
F.vjp(lambda x: (x * 2, x.sum()), X)[1]([torch.ones(3), torch.tensor(2.0)])
F.vjp(lambda x: {"a": x * 2}, X)[1](torch.ones(3))
F.vjp(lambda x: 3.0, X)
F.vjp(lambda x: None, X)
F.vjp(lambda x: (), X)
F.vjp(lambda x: (x, 3.0), X)
F.vjp(lambda x: x, torch.tensor([1]))
F.vjp(lambda x: x, X, has_aux=True)
F.jvp(lambda x: x * 2, (X,), (torch.ones(2),))
F.jvp(lambda x: x * 2, X, X)
F.jvp(lambda x: x * 2, (X,), (X, X))
F.jvp(lambda x: x * 2, (), ())
F.jvp(lambda x: None, (X,), (X,))
F.jvp(lambda x: 3.0, (X,), (X,))
F.jvp(lambda x: x * 2, (torch.tensor([1]),), (torch.tensor([1]),))
F.jvp(lambda x: x * 2, (X,), (torch.tensor([1, 2, 3]),))
F.jvp(lambda x: torch.ones(2), (X,), (X,), strict=True)
F.jvp(lambda x: x, (X,), (X,), has_aux=True)
F.jacrev(lambda x: x * x, chunk_size=0)(X)
F.jacrev(lambda x: 3.0)(X)
F.jacfwd(lambda x: 3.0)(X)
F.jacfwd(lambda x: x + torch.rand(3))(X)
F.vmap(lambda x: x * 2, out_dims=2)(M)
F.vmap(lambda x: x * 2, in_dims=2)(M)
F.vmap(lambda x: x * 2, in_dims=-3)(M)
F.vmap(lambda x: x * 2)(torch.tensor(1.0))
F.vmap(lambda x: x * 2)(3.0)
F.vmap(lambda x: x * 2)()
F.vmap(lambda x, y: x * y)(M, M[:1])
F.vmap(lambda x, y: x * y, in_dims=(None, None))(M, X)
F.vmap(lambda x, y: x * y, in_dims=None)(M, X)
F.vmap(lambda x, y: x * y, in_dims="a")(M, X)
F.vmap(lambda x, y: x * y, in_dims=(0, "a"))(M, X)
F.vmap(lambda x, y: x * y, in_dims=(0,))(M, X)
F.vmap(lambda x, y: x * y)(M, 3.0)
F.vmap(lambda d: d["a"] * d["b"], in_dims=({"a": 0},))({"a": M, "b": X})
F.vmap(lambda x: (x, x.sum()), out_dims=(1,))(M)
F.vmap(lambda x: x, out_dims=None)(M)
F.vmap(lambda x: 3.0)(M)
F.vmap(lambda x: None)(M)
F.vmap(lambda x: (x, 3.0))(M)
F.vmap(lambda x: "a")(M)
F.vmap(lambda x: x, chunk_size=0)(M)
F.vmap(lambda x: x, randomness="odd")(M)
F.vmap(lambda x: x + torch.rand(3))(M)
F.vmap(lambda x: x.item())(X)
""".strip().splitlines()


@pytest.mark.parametrize("line", REFUSED)
def test_refused_as_in_pytorch(line: str, oracle: Any) -> None:
    """The same type of error, and the same first words."""
    told = []
    for library in (wengert, oracle):
        names: dict[str, Any] = {"torch": library}
        exec(SETUP, names)
        with pytest.raises(Exception) as raised:
            eval(line, names)
        told.append((raised.type.__name__, str(raised.value)[:30].lower()))
    looks = "vmap: python looks"  # the user's line is named there
    assert told[0] == told[1] or (told[0][0] == told[1][0] and looks in told[0][1]), told


@pytest.mark.parametrize(("run", "words"), [
    (lambda: grad(lambda x: x * 2)(tensor(X)), "scalar .* 1 dims"),
    (lambda: grad(lambda x: x.sum())(wengert.tensor([1])), "int64 and shape \\[1\\]"),
    (lambda: vjp(lambda x: x, tensor(X))[1](tensor(1.0)), r"shape of .*\[\]\) and output.*\[3\]"),
    (lambda: jvp(lambda x: x, (tensor(X),), (tensor(1.0),)), r"\[3\] while .* \[\]"),
    (lambda: vmap(lambda x, y: x)(tensor(X), tensor(1.0, 2.0)), r"got sizes \[3, 2\]"),
    (lambda: linearize(lambda x: x, tensor(X))[1](tensor(1.0)), "tangent:0 .* primal"),
    (lambda: grad(lambda x: x.sum(), 2)(tensor(X)), "argnum=2, but only 1"),
    (lambda: vmap(lambda x: x, in_dims=1)(tensor(X)), "dimensionality 1"),
])
def test_errors_say_what_does_not_fit(run: Any, words: str) -> None:
    with pytest.raises((RuntimeError, ValueError), match=words):
        run()


# --- random programs ----------------------------------------------------------------------------

VIEWS = ["[0]", "[-1]", "[1:]", "[:, 0]", "[..., 1:]", "[None]", "[::2]", ".view(-1)",
         ".transpose(-2, -1)", ".reshape(2, -1)", ".squeeze()", ".transpose(0, -1)", "[:]",
         ".expand(2, *{x}.shape)",
         ".diagonal()", ".unbind(0)[1]", ".split(1)[0]", ".contiguous()", ".flatten()"]
PURE = ["{x} * {y}", "{x} + {y}", "3.0 * {x}", "{x} / ({y} + 4)", "{x}.sin()", "{x} ** 2",
        "{x}.sum()", "{x}.mean(0)", "{x}.clone()", "{x}[[0, 0, 1]]", "torch.cat([{x}, {y}])",
        "torch.stack([{x}, {y}])", "torch.where({x} > 0, {x}, {y})", "{x}.cumsum(0)",
        "{x}.softmax(0)", "{x} @ {y}", "{x}.amax(-1)", "{x}.prod(0)", "{x}.sort(0)[0]",
        "{x}.gather(0, {x}.argsort(0))", "{x}.tril()", "torch.maximum({x}, {y})", "{x}.roll(1, 0)",
        "{x}.index_select(0, torch.tensor([1, 0]))", "{x}.masked_fill({x} > 0.2, 0.1)"]
WRITES = ["{x}.add_({y})", "{x}.mul_({y})", "{x}.mul_(0.5)", "{x}.zero_()", "{x}.copy_({y})",
          "{x}.sin_()", "{x}.clamp_(-1, 1)", "{x}[0] = {y}", "{x}[1:] = 2.0", "{x}[[0, 1]] = {y}",
          "{x}[..., 0] *= 2", "{x} *= {y}", "{x}[0].add_({y})", "{x}.masked_fill_({x} < 0, 0.1)",
          "{x}.transpose(-2, -1).mul_(1.5)",
          "{x}.index_put_((torch.tensor([1]),), {y}, accumulate=True)"]
AT = np.array([[0.5, -1.0], [0.75, 0.25]])
BATCH = np.stack([AT, AT[::-1] * 0.7 + 0.1, AT.T * -0.6])


def random_program(seed: int, library: Any) -> list[str]:
    """Statements that this library runs, on views and copies of an argument x."""
    rng = random.Random(seed)
    names, kept = ["t0", "t1"], ["t0 = x * 1", rng.choice(["t1 = x.sin()", "t1 = x[0] * 2"])]
    known: dict[str, Any] = {"torch": library, "x": library.tensor(AT, requires_grad=True)}
    exec("\n".join(kept), known)
    for _ in range(rng.randint(2, 9)):
        x, y, kind = rng.choice(names), rng.choice(names), rng.choice("vvpww")
        target = f"t{len(names)}"
        line = rng.choice({"v": VIEWS, "p": PURE, "w": WRITES}[kind]).format(x=x, y=y)
        if kind == "v":
            line = x + line
        overlap = kind == "w" and x != y and "{y}" and y in line and (
            known[x].untyped_storage().data_ptr() == known[y].untyped_storage().data_ptr())
        if overlap:  # what that computes depends on the order of the elements
            continue
        line = line if kind == "w" else f"{target} = {line}"
        trial = dict(known)
        try:
            exec(line, trial)
        except (RuntimeError, IndexError, ValueError):
            if kind == "w":
                return kept  # it may have written something before it refused
            continue
        known = trial
        kept.append(line)
        names += [target] if kind != "w" else []
    return kept


def of_program(library: Any, lines: list[str]) -> Callable[[Any], Any]:
    code = compile("\n".join(lines), "<program>", "exec")

    def total(x: Any) -> Any:
        names = {"torch": library, "x": x}
        exec(code, names)
        made = [names[f"t{i}"] for i in range(12) if f"t{i}" in names]
        return sum((t * t.cos()).sum() * (i + 1) for i, t in enumerate(made))

    return total


def gradient_oracle(library: Any, f: Any) -> tuple[np.ndarray, ...] | None:
    """Values, gradients and directional second derivatives of examples by PyTorch's tape.

    None if its backward refuses, as where what it saved was overwritten.
    """
    values, firsts, seconds = [], [], []
    for row in BATCH:
        x = library.tensor(row, requires_grad=True)
        try:
            value = f(x)
            (first,) = library.autograd.grad(value, x, create_graph=True)
            (second,) = library.autograd.grad((first * library.tensor(AT)).sum(), x,
                                              materialize_grads=True) if first.requires_grad else (
                library.zeros_like(x),)
        except RuntimeError:
            return None
        for kept, found in ((values, value), (firsts, first), (seconds, second)):
            kept.append(found.detach().numpy())
    return np.array(values), np.array(firsts), np.array(seconds)


@settings(max_examples=120, deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10 ** 6))
def test_random_programs(seed: int, oracle: Any) -> None:
    """Under vmap, grad, jvp and each in the other, against PyTorch's tape on each example."""
    lines = random_program(seed, oracle)
    expected = gradient_oracle(oracle, of_program(oracle, lines))
    if expected is None or not all(np.isfinite(e).all() for e in expected):
        return
    values, firsts, seconds = expected
    f, batch, v = of_program(wengert, lines), tensor(BATCH), tensor(AT)
    pushed = (firsts * AT).sum((1, 2))
    for found, right in (
            (vmap(f)(batch), values), (grad(f)(batch[0]), firsts[0]),
            (jvp(f, (batch[0],), (v,))[1], pushed[0]), (vmap(grad(f))(batch), firsts),
            (grad(lambda b: vmap(f)(b).sum())(batch), firsts),
            (vmap(lambda x: jvp(f, (x,), (v,))[1])(batch), pushed),
            (jvp(vmap(f), (batch,), (v.expand(3, 2, 2),))[1], pushed),
            (vmap(f, in_dims=2)(batch.permute(1, 2, 0)), values),
            (jvp(grad(f), (batch[0],), (v,))[1], seconds[0]),
            (vmap(lambda x: jvp(grad(f), (x,), (v,))[1])(batch), seconds)):
        np.testing.assert_allclose(found.detach().numpy(), right, rtol=1e-8, atol=1e-8,
                                   err_msg="; ".join(lines))
