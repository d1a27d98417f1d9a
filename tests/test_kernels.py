"""Kernels of eager work on large arrays, and the memory that its results lie in."""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import wengert as torch
import wengert.nn.functional as F  # noqa: N812 - as everybody calls it
from wengert.compiler import kernels
from wengert.core import blocks, buffers
from wengert.core.aval import aval_of
from wengert.core.blocks import Native
from wengert.core.levels import quietly
from wengert.core.primitive import TABLE
from wengert.interpreters import inplace

pytest.importorskip("llvmlite")
SIZE = blocks.WORTH + 77
EDGES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-40, -1e-40, 1e30, -1e30, 0.5, 90.0]


@pytest.fixture(autouse=True)
def used(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The functions that kernels were used for."""
    seen: list[Any] = []

    def noting(find: Any) -> Any:
        def found(fn: Any, *rest: Any) -> Any:
            kernel = find(fn, *rest)
            if kernel is not None:
                seen.append(fn)
            return kernel

        return staticmethod(found)

    monkeypatch.setattr(Native, "of_elements", noting(kernels.of_elements))
    monkeypatch.setattr(Native, "of_arrays", noting(kernels.of_arrays))
    yield seen
    buffers.clear()


def numbers(seed: int, dtype: Any = np.float32, size: int = SIZE) -> np.ndarray:
    x = (4 * np.random.default_rng(seed).standard_normal(size)).astype(dtype)
    with np.errstate(over="ignore"):
        x[:len(EDGES)] = np.asarray(EDGES, dtype)
    x[-len(EDGES):] = x[:len(EDGES)][::-1]
    return x


def by_numpy(monkeypatch: pytest.MonkeyPatch, fn: Callable[[], Any]) -> Any:
    with monkeypatch.context() as m:
        m.setattr(Native, "of_elements", None)
        m.setattr(Native, "of_arrays", None)
        return fn()


def assert_near(found: np.ndarray, expected: np.ndarray, ulps: Any) -> None:
    """Equal to so many units in the last place of `found`'s type, special values included."""
    with np.errstate(all="ignore"):
        rounded = expected.astype(found.dtype)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(rounded))
        infinite = np.isinf(found) | np.isinf(rounded)
        bound = ulps * np.spacing(np.maximum(np.abs(rounded), np.finfo(found.dtype).tiny))
        bad = ~(np.abs(found - expected) <= bound) & ~np.isnan(found) & ~(
            infinite & (found == rounded))
    assert not bad.any(), (found[bad][:5], expected[bad][:5])


def conditioned(name: str, x: np.ndarray) -> Any:
    """How many times as large errors may be: the normal distribution's exponent x**2 / 2 is
    rounded (docs/elementary.md)."""
    if name not in ("ndtr", "npdf"):
        return 1
    far = np.abs(np.minimum(x, 0) if name == "ndtr" else x).astype(np.float64)
    with np.errstate(all="ignore"):
        return 1 + far + far * far / 2


UNARY = ["exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin",
         "acos", "atan", "sinh", "cosh", "tanh", "sech2", "asinh", "acosh", "atanh", "sigmoid",
         "erf", "erfc", "gauss", "ndtr", "npdf", "relu", "rsqrt"]


@pytest.mark.parametrize("name", UNARY)
def test_a_kernel_is_as_exact_as_promised(name: str, used: list[Any]) -> None:
    primitive, x = TABLE[name], numbers(1)
    found = blocks.evaluate(primitive, [x], aval_of(x), {})
    assert used == [primitive]
    expected = quietly(primitive.evaluate, x.astype(np.float64))
    assert_near(found, expected, 3 if name == "rsqrt" else 2 * conditioned(name, x))


@pytest.mark.parametrize("name", UNARY)
def test_doubles_agree_with_numpy(name: str, used: list[Any]) -> None:
    """With its long doubles, where it has them; its doubles are off by some ulps themselves."""
    primitive, x = TABLE[name], numbers(2, np.float64)
    found = blocks.evaluate(primitive, [x], aval_of(x), {})
    assert used == [primitive]
    try:
        expected = quietly(primitive.evaluate, x.astype(np.longdouble))
    except TypeError:
        expected = quietly(primitive.evaluate, x)
    if expected.dtype.itemsize > 8:
        assert_near(found, expected, 3 if name == "rsqrt" else 2 * conditioned(name, x))
    else:
        assert_near(found, expected, 8 if name == "erfc" else 4 * conditioned(name, x))


FORMATS = [torch.float16, torch.float32, torch.float64, torch.bool]


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("dtype", [*FORMATS, torch.int64])
def test_casts_are_numpy_s_to_the_bit(dtype: Any, to: Any, used: list[Any]) -> None:
    """Of halves those that are subnormal, lie half-way, or are too large as well."""
    x = numbers(3)
    steps = np.random.default_rng(3).integers(-25, 17, x.size - 40)
    x[20:-20] = np.ldexp(1 + np.arange(len(steps)) % 8192 / 4096, steps)
    with np.errstate(all="ignore"):
        before = torch.from_numpy(x.astype(dtype.numpy))
        expected = before.numpy().astype(to.numpy)
    found = before.to(to)
    assert used == [TABLE["cast"]] * (dtype is not to)
    np.testing.assert_array_equal(found.numpy(), expected)
    np.testing.assert_array_equal(np.signbit(found.numpy()), np.signbit(expected))


def test_zeros_are_written_by_a_kernel(used: list[Any]) -> None:
    x = torch.from_numpy(numbers(4)).requires_grad_()
    (g,) = torch.autograd.grad(x.sgn(), x, torch.full_like(x, np.nan))
    assert len(used) == 2
    assert not g.numpy().any()


@pytest.mark.parametrize("shape", [(SIZE,), (1024, 1025)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fn", [
    lambda x, y: torch.tanh(2 * x + 1) * torch.exp(-y), lambda x, y: (x * y).sigmoid(),
    lambda x, y: x.relu() / (1 + y * y), lambda x, y: torch.where(x > y, x.sin(), y.cos()),
    lambda x, y: torch.atan2(x, y), lambda x, y: (x * x + 1) ** 1.5 - y.clamp(-1, 2),
    lambda x, y: F.gelu(x) * F.silu(y), lambda x, y: F.gelu(x, approximate="tanh").addcdiv(x, y)],
    ids=["chain", "sigmoid", "relu", "where", "atan2", "pow", "gates", "update"])
def test_gradients_agree_with_those_of_numpy(fn: Any, dtype: Any, shape: tuple[int, ...],
                                             used: list[Any],
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal(shape).astype(dtype) for _ in range(2)]

    def gradients() -> list[np.ndarray]:
        x, y = (torch.tensor(a, requires_grad=True) for a in arrays)
        out = fn(x, y)
        out.sum().backward()
        return [out.detach().numpy(), x.grad.numpy(), y.grad.numpy()]

    found = gradients()
    assert len(used) >= 2
    eps = np.finfo(dtype).eps
    for a, b in zip(found, by_numpy(monkeypatch, gradients), strict=True):
        np.testing.assert_allclose(a, b, rtol=20 * eps, atol=20 * eps)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2048, 1000), (2048, 1001), (3, 400_001), (64, 32, 700)])
def test_softmax(name: str, dtype: Any, shape: tuple[int, ...], used: list[Any],
                 monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(13)
    a, weights = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    a.reshape(-1, shape[-1])[1, 5] = np.nan
    a.reshape(-1, shape[-1])[2, :] = -np.inf

    def gradients() -> list[np.ndarray]:
        x = torch.tensor(a, requires_grad=True)
        out = getattr(x, name)(-1)
        (out * torch.tensor(weights)).sum().backward()
        return [out.detach().numpy(), x.grad.numpy()]

    found = gradients()
    assert TABLE[name] in used and TABLE[name].rule(0).fn in used
    eps = np.finfo(dtype).eps
    for one, other in zip(found, by_numpy(monkeypatch, gradients), strict=True):
        np.testing.assert_allclose(one, other, rtol=40 * eps, atol=40 * eps)


def test_softmax_of_a_gradient_that_is_one_number(used: list[Any]) -> None:
    x = torch.rand(2048, 1000, requires_grad=True)
    x.log_softmax(1).sum().backward()
    assert TABLE["log_softmax"].rule(0).fn in used
    np.testing.assert_allclose(x.grad.numpy(), 1 - 1000 * x.softmax(1).detach().numpy(), atol=1e-4)


LABELS = np.random.default_rng(14).integers(0, 1000, 2048)
LABELS[[3, 2047]] = -100
OF_ROWS: dict[str, Callable[..., Any]] = {
    "sum": lambda x, w: x.sum(), "logsumexp": lambda x, w: x.logsumexp(1),
    "mean": lambda x, w: x.mean(0), "var": lambda x, w: x.var(1), "norm": lambda x, w: x.norm(),
    "amax": lambda x, w: x.amax(1),
    "layer_norm": lambda x, w: F.layer_norm(x, (1000,), w, w / 2),
    "mse_loss": lambda x, w: F.mse_loss(x, w.expand(2048, 1000).contiguous()),
    "cross_entropy": lambda x, w: F.cross_entropy(x, torch.tensor(LABELS)),
    "cross_entropy, weighed": lambda x, w: F.cross_entropy(
        x, torch.tensor(LABELS), w.detach().abs(), reduction="none"),
}


@pytest.mark.parametrize("name", OF_ROWS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_reduces_rows(name: str, dtype: Any, used: list[Any],
                           monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(15)
    a, b = rng.standard_normal((2048, 1000)).astype(dtype), rng.standard_normal(1000).astype(dtype)

    def results() -> list[np.ndarray]:
        x, w = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
        out = OF_ROWS[name](x, w)
        (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)
         if out.ndim else out).sum().backward()
        return [t.numpy() for t in (out.detach(), x.grad, w.grad) if t is not None]

    found = results()
    assert any(getattr(fn, "name", "") == name.partition(",")[0] for fn in used)
    for one, other in zip(found, by_numpy(monkeypatch, results), strict=True):
        size = max(np.abs(other).max(), np.finfo(dtype).tiny)
        np.testing.assert_allclose(one / size, other / size, rtol=0, atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", ["mul", "div", "atan2", "addcmul"])
def test_one_kernel_computes_all_cotangents_of_a_node(name: str, used: list[Any]) -> None:
    primitive = TABLE[name]
    count = len(primitive.vjp)
    rng = np.random.default_rng(17)
    g, *arrays = (rng.random(SIZE) + 0.5 for _ in range(count + 1))
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    out = primitive(*tensors)
    used.clear()
    out.backward(torch.tensor(g))
    assert len(used) == 1
    for i, tensor in enumerate(tensors):
        rule = primitive.rule(i)
        expected = rule.fn(g, *rule.arguments(arrays, primitive(*arrays), {}, i))
        np.testing.assert_allclose(tensor.grad.numpy(), expected, rtol=1e-14)


IMAGES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "bilinear": ("combine", lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")),
    "avg_pool": ("mean_pool", lambda x: F.avg_pool2d(x, (2, 4))),
    "max_pool": ("max_pool", lambda x: F.max_pool2d(x, 2)),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images(name: str, used: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """How windows lie, and what is summed, are parameters that kernels are made for."""
    primitive, fn = IMAGES[name]
    x = np.random.default_rng(21).standard_normal((4, 4, 256, 256)).astype(np.float32)
    images = torch.tensor(x, requires_grad=True)

    def results() -> list[np.ndarray]:
        y = fn(images)
        (g,) = torch.autograd.grad((y * y).sum() / 2, images)
        return [y.detach().numpy(), g.numpy()]

    found = results()
    assert primitive in [getattr(each, "name", "") for each in used]
    for a, b in zip(found, by_numpy(monkeypatch, results), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_kernel_that_fails_leaves_it_to_numpy_to_say_so(used: list[Any]) -> None:
    x, labels = torch.zeros(2048, 1000, requires_grad=True), torch.zeros(2048, dtype=torch.int64)
    F.cross_entropy(x, labels)
    labels[5] = 1000
    with pytest.raises(IndexError, match="Target 1000 is out of bounds"):
        F.cross_entropy(x, labels)
    labels[5] = -1
    with pytest.raises(IndexError, match="Target -1 is out of bounds"):
        F.cross_entropy(x, labels)
    assert used.count(TABLE["cross_entropy"]) == 3


@pytest.mark.parametrize("layout", [
    lambda x: x.T, lambda x: x[:, ::2], lambda x: x[:, :1].expand(2048, 2048),
    lambda x: x[:1, :1].expand(2048, 2048), lambda x: x.T.contiguous().T],
    ids=["transposed", "strided", "column", "one number", "by columns"])
def test_however_operands_lie(layout: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(4).standard_normal((2048, 2048)).astype(np.float32)

    def results() -> list[np.ndarray]:
        a = layout(torch.tensor(x))
        b = torch.ones(a.shape) / 2
        return [torch.tanh(a).numpy(), torch.atan2(a, b).numpy(), (a + b).numpy()]

    for found, expected in zip(results(), by_numpy(monkeypatch, results), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_a_tensor_of_one_element_counts_as_a_number(used: list[Any]) -> None:
    x = torch.tensor(numbers(5))
    found = torch.atan2(x, torch.tensor([2.0]))
    assert used == [TABLE["atan2"]]
    assert_near(found.numpy(), np.arctan2(x.numpy().astype(np.float64), 2.0), 2)


def test_in_place(used: list[Any]) -> None:
    x = numbers(6)
    t, before = torch.tensor(x), torch.tensor(x)
    address = t.data_ptr()
    t.tanh_().sigmoid_()
    assert used == [TABLE["tanh"], TABLE["sigmoid"]]
    assert t.data_ptr() == address
    np.testing.assert_array_equal(t.numpy(), before.tanh().sigmoid().numpy())


UPDATES: dict[str, Callable[[Any, Any, Any, float], Any]] = {
    "add_scaled": lambda p, g, v, rate: p.add_(g, alpha=-rate),
    "sub_scaled": lambda p, g, v, rate: p.sub_(g, alpha=rate),
    "addcmul": lambda p, g, v, rate: p.addcmul_(g, g, value=rate),
    "addcdiv": lambda p, g, v, rate: p.addcdiv_(g, v, value=-rate),
    "lerp": lambda p, g, v, rate: p.lerp_(g, rate),
    "mul": lambda p, g, v, rate: p.mul_(1 - rate),
    "add": lambda p, g, v, rate: p.add_(g),
}


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_takes_no_memory_and_one_kernel_for_all_rates(name: str, used: list[Any]) -> None:
    rng = np.random.default_rng(16)
    arrays = [rng.standard_normal(SIZE).astype(np.float32) for _ in range(2)]
    p, g = map(torch.tensor, arrays)
    v, view = torch.tensor(np.abs(arrays[1]) + 1), p[5:]
    exact = [a.astype(np.float64) for a in (*arrays, v.numpy())]
    step, before = UPDATES[name], len(kernels._kernels)
    for i, rate in enumerate((0.1, 0.25, 0.3)):
        tracemalloc.start()
        assert step(p, g, v, rate) is p
        assert tracemalloc.get_traced_memory()[1] < SIZE or i == 0
        tracemalloc.stop()
        assert p._version == i + 1
        reference = torch.tensor(exact[0])
        step(reference, torch.tensor(exact[1]), torch.tensor(exact[2]), rate)
        exact[0] = reference.numpy()
    np.testing.assert_allclose(p.numpy(), exact[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(view.numpy(), p.numpy()[5:])
    assert {fn.name for fn in used} == {name.replace("sub", "add")}
    assert len(kernels._kernels) <= before + 2 + 2  # of floats, and of the doubles above


def test_in_place_where_an_operand_lies_across() -> None:
    memory = torch.arange(SIZE + 1, dtype=torch.float32)
    x, y = memory.numpy()[:-1], memory.numpy()[1:]
    expected = np.arctan2(y, x)
    inplace._store(TABLE["atan2"], y, [y, x], aval_of(y), {})
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_do_not_depend_on_threads(count: int) -> None:
    x = numbers(7)
    before = torch.get_num_threads()
    expected = torch.tensor(x).tanh().numpy().copy()
    try:
        torch.set_num_threads(count)
        np.testing.assert_array_equal(torch.tensor(x).tanh().numpy(), expected)
    finally:
        torch.set_num_threads(before)


def test_many_threads_at_once() -> None:
    x = numbers(8)
    expected = torch.tensor(x).sinh().numpy().copy()
    found: dict[int, bool] = {}

    def work(i: int) -> None:
        found[i] = all(np.array_equal(torch.tensor(x).sinh().numpy(), expected, equal_nan=True)
                       for _ in range(5))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), True)


def test_small_work_never_asks_for_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("a kernel for small work")

    monkeypatch.setattr(Native, "of_elements", staticmethod(refuse))
    monkeypatch.setattr(Native, "of_arrays", staticmethod(refuse))
    x = torch.rand(blocks.WORTH - 1, requires_grad=True)
    (x.tanh() * x.softmax(0)).sum().backward()


def test_without_llvmlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    monkeypatch.setattr(kernels, "_kernels", {})
    x = numbers(9)
    np.testing.assert_array_equal(torch.tensor(x).exp().numpy(), quietly(np.exp, x))


def test_a_function_that_looks_at_numbers_has_no_kernel() -> None:
    x = numbers(10)
    for fn in (lambda g: g if g.sum() > 0 else -g), (lambda g: g):
        assert kernels.of_elements(fn, [x], {}, aval_of(x)) is None
        assert kernels.of_arrays(fn, [x], {}, aval_of(x)) is None


# --- memory -----------------------------------------------------------------------------------


def megabytes(count: int) -> np.ndarray:
    return buffers.empty((count, 1 << 18), np.dtype(np.float32))


def test_memory_is_used_again_when_the_last_view_is_gone() -> None:
    buffers.clear()
    a = megabytes(2)
    address, view = a.ctypes.data, a[1:, ::2]
    del a
    other = megabytes(2)
    assert other.ctypes.data != address
    del view
    assert megabytes(2).ctypes.data == address


def test_no_more_is_kept_than_was_in_use_at_once() -> None:
    buffers.clear()
    memory = buffers._memory
    start = memory.lent
    for count in (1, 2, 3, 4, 5, 6, 7, 8):
        megabytes(count)
    assert memory.lent == start
    assert memory.idle <= (8 << 20) + 4096
    kept = [megabytes(3), megabytes(3)]
    assert memory.idle + memory.lent - start <= (8 << 20) + 4096
    del kept


def test_a_bound_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    buffers.clear()
    monkeypatch.setattr(buffers, "LIMIT", 7 << 19)
    several = [megabytes(1) for _ in range(6)]
    several.clear()
    assert buffers._memory.idle == 3 * ((1 << 20) + 4096)
    megabytes(4)
    assert buffers._memory.idle <= 7 << 19


def test_small_results_and_objects_are_numpys() -> None:
    assert buffers.empty((10,), np.dtype(np.float32)).base is None
    assert buffers.empty((1 << 20,), np.dtype(object)).base is None


def test_layout_of_leased_arrays() -> None:
    a = buffers.empty((3, 512, 1024), np.dtype(np.float64), "F")
    assert a.flags.f_contiguous and a.flags.writeable and buffers.owns(a)
    assert not buffers.owns(a[1:])
    assert a.dtype is np.dtype(np.float64)


def test_a_gradient_in_leased_memory_is_handed_over_as_it_is() -> None:
    x = torch.tensor(numbers(11), requires_grad=True)
    y = x.tanh()
    kept = y.detach()
    y.sum().backward()
    before, first = kept.numpy().copy(), x.grad.numpy().copy()
    x.exp().sum().backward()  # writes into x.grad, and into nothing else
    np.testing.assert_array_equal(kept.numpy(), before)
    assert buffers.owns(x.grad.numpy())
    again = torch.tensor(x.detach().numpy(), requires_grad=True)
    again.exp().sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), first + again.grad.numpy())


def test_leases_end_without_the_cycle_collector() -> None:
    buffers.clear()
    start = buffers._memory.lent
    gc.disable()
    try:
        x = torch.tensor(numbers(12), requires_grad=True)
        (x.tanh() * x.exp()).sum().backward()
        del x
        assert buffers._memory.lent == start
    finally:
        gc.enable()


def test_gradients_that_repeat_numbers_take_no_memory():
    x = torch.rand(2000, 1000).requires_grad_()
    for _ in range(2):
        (g,) = torch.autograd.grad(x.sum(1), x, torch.ones(2000))
        assert g.stride() == (1, 0)
