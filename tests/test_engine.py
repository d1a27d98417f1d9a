"""The tape and the levels: depth, memory, threads, hooks, errors, and who interprets what."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.core import levels
from wengert.core.aval import aval
from wengert.core.handle import Handle, wrap
from wengert.core.levels import Level, bind, entered, here, shared
from wengert.core.primitive import Primitive
from wengert.core.remembering import remembered
from wengert.primitives import contractions, elementwise as e, reductions

grad = torch.autograd.grad


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Memory must come back by reference counts alone."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture(autouse=True)
def modes_are_restored() -> Iterator[None]:
    """Every test leaves the modes of its thread, and the count of them, as it found them."""
    assert (here.grad, here.inference, here.anomaly, here.levels, shared.special) == (
        True, False, False, [], 0)
    yield
    assert (here.grad, here.inference, here.anomaly, here.levels, shared.special) == (
        True, False, False, [], 0)


def leaf(*values: float) -> Any:
    data = values if len(values) != 1 else values[0]
    return torch.tensor(data, dtype=torch.float64, requires_grad=True)


# --- depth ------------------------------------------------------------------------------------

MILLION = 1_000_000


@pytest.mark.usefixtures("no_collector")
def test_a_million_operations() -> None:
    """A chain is differentiated, and freed, without recursion: its depth is the heap's, not
    the stack's."""
    x = leaf(1.0)
    before = sys.getallocatedblocks()
    first = y = x * 1.0
    for _ in range(MILLION - 1):
        y = y + 1.0
    nodes = weakref.ref(first.node), weakref.ref(y.node)
    del first
    assert sys.getallocatedblocks() > before + MILLION
    y.backward()
    assert x.grad.item() == 1.0
    del y
    assert [node() for node in nodes] == [None, None]
    assert sys.getallocatedblocks() < before + MILLION / 100


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("run", [True, False])
def test_a_deep_chain_that_saves(run: bool) -> None:
    """Nodes that save their operands are chained by tensors as well; run backward or not."""
    x = leaf(0.5)
    y = x
    for _ in range(100_000):
        y = torch.sin(y)
    node = weakref.ref(y.node)
    if run:
        (g,) = grad(y, x)
        assert 0 < g.item() < 1e-5
    del y
    assert node() is None


def test_recorded_backward_of_a_deep_chain() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y * x
    (g,) = grad(y, x, create_graph=True)
    assert g.item() == 20_001
    (h,) = grad(g, x)
    assert h.item() == 20_001 * 20_000


def test_many_users_of_one_result() -> None:
    """Each of 20 doublings is visited once, not 2**20 times."""
    x = leaf(1.0)
    y = x
    for _ in range(20):
        y = y + y
    y.backward()
    assert x.grad.item() == 2**20


# --- memory -----------------------------------------------------------------------------------

def _written_through(x: Any) -> Any:
    y = x * 2
    y[1:].mul_(y[:2].clone())
    return (y * y).sum()


GRAPHS: dict[str, Callable[[Any], Any]] = {
    "saves operands": lambda x: (x * x * x).sum(),
    "saves results": lambda x: x.exp().tanh().sqrt().sum(),
    "broadcasts": lambda x: (x[:, None] * x).sum(),
    "views": lambda x: x.reshape(3, 1).T[0][1:].sum(),
    "writes": lambda x: x.clone().mul_(x).exp_().sum(),
    "writes through views": _written_through,
    "has several results": lambda x: torch.cat([p * i for i, p in enumerate(x.unbind())
                                                for p in [p[None]]]).sum(),
    "composes": lambda x: torch.softmax(x, 0).var() + torch.logsumexp(x, 0) + x.norm(),
}


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("how", ["dropped", "backward", "recorded"])
def test_graphs_are_freed(name: str, how: str) -> None:
    """No node, tensor or gradient lies on a reference cycle."""
    x = leaf(0.5, 1.0, 1.5)
    y = GRAPHS[name](x)
    watched = [weakref.ref(y), weakref.ref(y.node), weakref.ref(x)]
    if how == "backward":
        y.backward()
        watched.append(weakref.ref(x.grad))
    elif how == "recorded":
        (g,) = grad(y, x, create_graph=True)
        watched.append(weakref.ref(g))
        if g.requires_grad:
            g.sum().backward()
        del g
    del x, y
    assert [w() for w in watched] == [None] * len(watched)


@pytest.mark.usefixtures("no_collector")
def test_hooks_do_not_close_a_cycle() -> None:
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g: g * 3)
    y.retain_grad()
    y.backward()
    assert (x.grad.item(), y.grad.item()) == (6.0, 3.0)
    watched = [weakref.ref(x), weakref.ref(y), weakref.ref(y.node)]
    del x, y
    assert [w() for w in watched] == [None] * 3


@pytest.mark.usefixtures("no_collector")
def test_saved_values_go_as_they_are_consumed() -> None:
    """Backward frees what a node saved; the tensor that holds the graph keeps only nodes."""
    x = leaf(*np.ones(1000))
    y = x.exp()
    middle, value = weakref.ref(y), weakref.ref(y.value)
    z = (y * y).sum()
    del y
    assert middle() is not None
    assert value() is not None
    z.backward()
    assert middle() is None
    assert value() is None


def test_second_backward_needs_what_was_freed() -> None:
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    assert x.grad.item() == 4.0
    z = x + 1.0  # saves nothing, so nothing is freed
    z.backward()
    z.backward()
    assert x.grad.item() == 6.0


# --- threads ----------------------------------------------------------------------------------


def in_threads(work: Callable[[int], None], count: int = 8) -> None:
    """Runs work(0), ... in threads that start together; raises what one of them raised."""
    errors: list[BaseException] = []
    start = threading.Barrier(count)

    def run(i: int) -> None:
        try:
            start.wait()
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads do interleave
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    if errors:
        raise errors[0]


def test_threads_share_a_leaf() -> None:
    """Each thread's graphs add to one `.grad`; no addition is lost."""
    x = leaf(1.0, 2.0)

    def work(i: int) -> None:
        for _ in range(200):
            (x * float(i + 1)).sum().backward()

    in_threads(work)
    assert x.grad.tolist() == [200.0 * 36] * 2


def test_threads_share_a_graph() -> None:
    """Backward through one graph from several threads at once, its buffers retained."""
    x = leaf(1.0, 2.0)
    y = (x.exp() * x).sum()
    expected = (x.exp() * (1 + x)).detach().numpy()

    def work(i: int) -> None:
        for _ in range(100):
            y.backward(retain_graph=True)
            (g,) = grad(y, x, retain_graph=True)
            np.testing.assert_allclose(g.numpy(), expected, rtol=1e-15)

    in_threads(work)
    np.testing.assert_allclose(x.grad.numpy(), 800 * expected, rtol=1e-12)


def test_threads_take_first_views_of_one_tensor() -> None:
    """All of them share its count of writes: or overwriting it would go unnoticed by some."""
    many = [torch.ones(2, 3) for _ in range(500)]
    views: list[list[Any]] = [[] for _ in range(4)]
    in_threads(lambda i: views[i].extend(w.t() for w in many), len(views))
    for w, *others in zip(many, *views, strict=True):
        w.zero_()
        assert all(view._version == 1 for view in others)


def test_modes_belong_to_a_thread() -> None:
    """One thread's `no_grad` does not keep another from recording."""
    x = leaf(1.0)

    def work(i: int) -> None:
        for _ in range(300):
            if i % 2:
                with torch.no_grad():
                    assert not (x * 2.0).requires_grad
            else:
                assert (x * 2.0).requires_grad

    in_threads(work)


def test_node_numbers_are_unique() -> None:
    numbers: list[list[int]] = [[] for _ in range(8)]
    x = leaf(1.0)

    def work(i: int) -> None:
        numbers[i] = [(x * 2.0).node.order for _ in range(500)]

    in_threads(work)
    assert len({n for some in numbers for n in some}) == 4000


# --- hooks and errors -------------------------------------------------------------------------


def test_backward_inside_a_hook() -> None:
    """A hook may differentiate another graph, and this one's leaves get both sums."""
    x, w = leaf(3.0), leaf(5.0)

    def hook(g: Any) -> Any:
        with torch.enable_grad():
            (w * w * x).backward()
        return g * 2

    y = x * 7.0
    y.register_hook(hook)
    y.backward()
    assert (x.grad.item(), w.grad.item()) == (25.0 + 14.0, 30.0)


def test_backward_inside_backward_to_a_depth() -> None:
    """Re-entrant backward nests a hundred deep, as far as hooks call it."""
    x = leaf(1.0)

    def again(depth: int) -> None:
        y = x * 1.0
        if depth:
            def hook(g: Any) -> None:
                with torch.enable_grad():
                    again(depth - 1)
            y.register_hook(hook)
        y.backward()

    again(50)
    assert x.grad.item() == 51.0


class PlannedError(Exception):
    pass


def fail(*args: Any) -> Any:
    raise PlannedError


def fail_on(g: Any) -> Any:
    raise PlannedError


def test_an_error_in_a_hook_changes_no_grad() -> None:
    """The leaf that arrives first has its sum in hand when the other's hook fails: it waits."""
    for where in ("interior", "leaf", "node", "prehook"):
        x, w = leaf(1.0), leaf(2.0)
        w.grad = torch.tensor(10.0, dtype=torch.float64)
        y = x * 3.0
        z = y * w
        handle = {"interior": lambda y=y: y.register_hook(fail),
                  "leaf": lambda x=x: x.register_hook(fail),
                  "node": lambda y=y: y.grad_fn.register_hook(fail),
                  "prehook": lambda y=y: y.grad_fn.register_prehook(fail)}[where]()
        with pytest.raises(PlannedError):
            z.backward(retain_graph=True)
        assert x.grad is None, where
        assert w.grad.item() == 10.0, where
        handle.remove()
        z.backward()
        assert (x.grad.item(), w.grad.item()) == (6.0, 13.0)


@pytest.mark.parametrize("create", [False, True])
def test_an_error_in_a_rule_changes_no_grad(create: bool) -> None:
    x, w = leaf(1.0), leaf(2.0)
    y = failing(x) * w
    with pytest.raises(PlannedError):
        grad(y, [x, w], create_graph=create, retain_graph=True)
    with pytest.raises(PlannedError):
        y.backward(retain_graph=True)
    assert x.grad is None
    assert w.grad is None
    assert here.grad


failing = Primitive("failing", lambda x: x + 0, abstract=lambda x: x,
                    vjp=(fail_on,))


def test_an_error_in_evaluation_leaves_modes() -> None:
    broken = Primitive("broken", fail, abstract=lambda x: x)
    for mode in (torch.no_grad, torch.inference_mode, torch.enable_grad,
                 torch.autograd.detect_anomaly):
        with pytest.raises(PlannedError):
            with mode():
                broken(torch.ones(1))
        assert here.grad
        assert shared.special == 0


def test_an_error_in_forward_touches_nothing() -> None:
    """Operands that do not fit are refused before anything is computed or written."""
    x = torch.ones(3)
    before = x._version
    with pytest.raises(RuntimeError):
        x.add_(torch.ones(2))
    assert x._version == before
    assert x.tolist() == [1.0] * 3


def test_warnings_of_numpy_stay_as_the_user_set_them() -> None:
    """Operations are silent, and the user's own error state is not changed by them."""
    x = leaf(0.0)
    with np.errstate(divide="raise"):
        y = 1.0 / x
        y.backward()
        assert y.item() == np.inf
        with pytest.raises(FloatingPointError):
            np.float64(1.0) / np.float64(0.0)


# --- levels -----------------------------------------------------------------------------------


class Counting(Level):
    """A level that counts what it interprets, and computes it a level below."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def interpret(self, primitive: Primitive, operands: Sequence[Any],
                  params: dict[str, Any]) -> Any:
        self.seen.append(primitive.name)
        return lift(self, bind(primitive, [lower(self, x) for x in operands], params))


class Dual(Level):
    """Forward mode: tensors of this level are pairs of a value and a tangent below."""

    __slots__ = ()

    def interpret(self, primitive: Primitive, operands: Sequence[Any],
                  params: dict[str, Any]) -> Any:
        below = [lower(self, x) for x in operands]
        out = primitive(*below, **params)
        tangent = None
        rules = primitive.jvp if isinstance(primitive.jvp, tuple) else (None,) * len(operands)
        for x, rule in zip(operands, rules, strict=True):
            t = tangent_of(self, x)
            if t is None or rule is None:
                continue
            reads = [out if k == -1 else below[k] if isinstance(k, int) else params[k]
                     for k in rule.reads]
            part = rule.fn(t, *reads)
            tangent = part if tangent is None else tangent + part
        result = lift(self, out)
        result.tangent = tangent
        return result


def lift(level: Level, x: Any) -> Any:
    """A tensor of a level round one of the level below."""
    return wrap(x, aval(x.aval.shape, x.aval.dtype, level))


def lower(level: Level, x: Any) -> Any:
    mine = isinstance(x, Handle) and x.aval.level is level
    return x.value if mine else x


def tangent_of(level: Level, x: Any) -> Any:
    mine = isinstance(x, Handle) and x.aval.level is level
    return getattr(x, "tangent", None) if mine else None


def derivative(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """df/dx by dual numbers; nests."""
    def at(x: Any) -> Any:
        with entered(Dual()) as level:
            dual = lift(level, x)
            dual.tangent = torch.ones_like(x) if x.aval.level is None else x * 0.0 + 1.0
            t = tangent_of(level, f(dual))
            return x * 0.0 if t is None else t
    return at


def scalar(x: float) -> Any:
    return torch.tensor(x, dtype=torch.float64)


def test_bind_goes_to_the_deepest_level() -> None:
    x = scalar(2.0)
    with entered(Counting()) as outer, entered(Counting()) as inner:
        assert (outer.depth, inner.depth) == (1, 2)
        a, b = lift(outer, x), lift(inner, lift(outer, x))
        e.mul(x, x)
        assert (outer.seen, inner.seen) == ([], [])
        e.add(a, x)
        assert (outer.seen, inner.seen) == (["add"], [])
        found = e.mul(b, a)  # the inner level interprets it by applying it to outer tensors
        assert (outer.seen, inner.seen) == (["add", "mul"], ["mul"])
        assert found.aval.level is inner
        assert found.value.aval.level is outer
        assert found.value.value.item() == 4.0


def test_operators_and_methods_are_interpreted() -> None:
    """What users write reaches the level too, past every fast path."""
    x = torch.ones(2, 2, dtype=torch.float64)
    with entered(Counting()) as level:
        y = lift(level, x)
        (y * 2 + y).exp().sum()
        torch.tanh(y) @ y
    assert level.seen == ["mul", "add", "exp", "sum", "tanh", "mm"]


def test_levels_nest_without_confusing_perturbations() -> None:
    """d/dx (x * d/dy (x + y)) is 1: the inner tangent is not the outer one."""
    x = scalar(3.0)
    assert derivative(lambda x: x * derivative(lambda y: x + y)(scalar(1.0)))(x).item() == 1.0
    cube = derivative(derivative(derivative(lambda x: x * x * x * x)))
    assert cube(x).item() == 24 * 3.0
    assert derivative(derivative(torch.sin))(x).item() == -np.sin(3.0)


def test_the_tape_lies_below_levels() -> None:
    """Forward over a recorded tensor: the tangent is recorded, and differentiates."""
    x = leaf(0.7)
    t = derivative(lambda x: torch.exp(x) * torch.sin(x))(x)
    (g,) = grad(t, x)
    assert t.item() == pytest.approx(np.exp(0.7) * (np.sin(0.7) + np.cos(0.7)), rel=1e-15)
    assert g.item() == pytest.approx(2 * np.exp(0.7) * np.cos(0.7), rel=1e-15)


def test_levels_are_left_after_errors() -> None:
    with pytest.raises(PlannedError):
        with entered(Counting()):
            with entered(Counting()):
                assert (len(here.levels), shared.special) == (2, 1)
                fail()
    assert here.levels == []
    with entered(Counting()) as level:
        assert level.depth == 1
        with pytest.raises(PlannedError):
            with entered(Counting()):
                fail()
        assert here.levels == [level]


def test_levels_belong_to_a_thread() -> None:
    """A level in one thread interprets nothing in another."""
    x = scalar(1.0)
    with entered(Counting()) as level:
        in_threads(lambda i: (e.mul(x, x), here.levels == [] or fail()), 2)
        assert level.seen == []


def test_an_error_inside_a_level_is_the_users() -> None:
    """An interpreter that fails leaves no trace on the stack of levels."""
    class Failing(Level):
        def interpret(self, *args: Any) -> Any:
            fail()

    with pytest.raises(PlannedError), entered(Failing()) as level:
        e.mul(lift(level, scalar(1.0)), 2.0)
    assert here.levels == []
    assert levels.deepest([scalar(1.0)]) is None


def test_rules_need_no_names() -> None:
    """A toy level that knows no operation differentiates whatever has a JVP."""
    x = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    for f in (torch.tanh, torch.erf, torch.atan, lambda x: torch.clamp(x, 0.3, 0.7),
              lambda x: torch.where(x > 0.5, x * x, x), lambda x: x ** 3 / (1 + x)):
        y = x.clone().requires_grad_()
        (g,) = grad(f(y).sum(), y)
        np.testing.assert_allclose(derivative(f)(x).numpy(), g.numpy(), rtol=1e-14)


# --- what a record lacks ----------------------------------------------------------------------


def test_rules_read_what_there_is() -> None:
    """A rule that names no operand, aval or parameter is refused when the primitive is made."""
    for evaluate in (np.exp, lambda x, dim: x):
        for bad in (lambda g, xx: g, lambda g, x, axis: g):
            with pytest.raises(TypeError, match=r"a rule of the primitive 'new' reads '(xx|axis)'"):
                Primitive("new", evaluate, abstract=lambda x, **_: x, vjp=(bad,))
    made = Primitive("new", lambda x, dim: x, abstract=lambda x, **_: x,
                     vjp=(lambda g, out, x_aval, dim: g,))
    assert made.rule(0).named == ("dim",)


def test_small_arrays_are_remembered() -> None:
    calls = []

    @remembered
    def made(n: int) -> tuple[np.ndarray, list[np.ndarray]]:
        calls.append(n)
        return np.zeros(n), [np.zeros(n)]

    for n in (3, 3, 1 << 13, 1 << 13, 1 << 14, 1 << 14):
        found, (other,) = made(n)
        assert found.shape == other.shape == (n,)
    assert calls == [3, 1 << 13, 1 << 14, 1 << 14]


def test_primitives_without_derivative_say_so() -> None:
    """As PyTorch has it: in backward, and only if backward comes by."""
    x = leaf(1.0, 2.0)
    mute = Primitive("mute", np.sin, abstract=lambda x: x)
    y = mute(x)
    assert y.requires_grad
    with pytest.raises(RuntimeError, match="derivative for aten::mute is not implemented"):
        (x * y).sum().backward()
    assert x.grad is None
    (g,) = grad((x * y.detach()).sum(), x)
    assert g.tolist() == y.tolist()
    with torch.no_grad():
        assert not mute(x).requires_grad
    assert not mute(x.detach()).requires_grad


def test_decompositions_answer_where_a_rule_is_missing() -> None:
    """A composite without a VJP is recorded as the smaller primitives it is made of."""
    whole = Primitive("whole", lambda x: np.sum(x * x), abstract=lambda x: x.with_shape(()),
                      decompose=lambda x: contractions.dot(x, x) if x.aval.ndim else None)
    x = leaf(1.0, 2.0)
    y = whole(x)
    assert y.grad_fn.name() == "DotBackward0"
    assert grad(y, x)[0].tolist() == [2.0, 4.0]
    assert reductions.mean.differentiable


def test_import_needs_numpy_alone() -> None:
    """SciPy is imported by who needs it, when they do."""
    code = ("import sys, wengert; assert 'scipy' not in sys.modules; "
            "wengert.erf(wengert.ones(1)); assert 'scipy.special' in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
