"""`nn.functional` and the updates of optimisers: as PyTorch has them, and through every transform.

Programs whose last line is an expression are run on both libraries; see `oracle`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch
import wengert.nn.functional as F  # noqa: N812 - as everybody calls it
from wengert.func import grad, hessian, jacfwd, jacrev, jvp, vmap

START = """
F = torch.nn.functional
x = torch.arange(6.).reshape(2, 3)
xr = torch.arange(6.).reshape(2, 3).requires_grad_()
i = torch.tensor([1, 2])
w = torch.tensor([1., 2., 3.])
table = torch.ones(4, 2, requires_grad=True)
images = torch.linspace(-1, 1, 24).reshape(2, 3, 4).requires_grad_()
"""

ACTIVATIONS = """
F.relu(xr)
F.relu(x.clone() - 2, inplace=True)
F.relu(xr, inplace=True)
F.relu(torch.tensor([-1, 1]))
F.gelu(xr)
F.gelu(xr, approximate="tanh")
F.gelu(xr, approximate="foo")
F.gelu(torch.tensor([1, 2]))
F.gelu(torch.tensor([True]))
F.gelu(torch.tensor([1j]))
F.gelu([1.])
F.gelu(torch.tensor([-math.inf, math.inf, math.nan]))
F.gelu(torch.tensor([-math.inf, math.inf, math.nan]), approximate="tanh")
F.gelu(x.half() - 3)
F.silu(xr)
F.silu(x.clone() - 2, inplace=True)
F.silu(torch.tensor([1]))
F.silu(torch.tensor([1j]))
F.silu(torch.tensor([-math.inf, math.inf]))
F.softplus(xr)
F.softplus(torch.tensor([1]))
F.tanh(xr)
F.sigmoid(xr)
F.softmax(x)
F.softmax(torch.ones(2, 2, 2))
F.softmax(torch.tensor(1.))
F.softmax(xr, dim=1)
F.softmax(x, 1, dtype=torch.float64)
F.log_softmax(x)
F.log_softmax(xr, dim=0)
"""

LAYERS = """
F.layer_norm(xr, (3,))
F.layer_norm(xr, [3], w)
F.layer_norm(x, [3], bias=torch.ones(3, requires_grad=True))
F.layer_norm(x, (2, 3), torch.ones(2, 3), torch.ones(2, 3), 0.5)
F.layer_norm(x.half(), (3,), torch.ones(3))
F.layer_norm(torch.ones(0, 3), (3,))
F.layer_norm(torch.ones(3, 0), (0,))
F.layer_norm(xr, 3)
F.layer_norm(x, [3.0])
F.layer_norm(xr, (4,))
F.layer_norm(xr, ())
F.layer_norm(xr, (3,), torch.ones(2))
F.layer_norm(xr, (3,), torch.ones(3), torch.ones(1))
F.layer_norm(xr, (3,), torch.ones(3, dtype=torch.float64))
F.layer_norm(x.long(), (3,))
F.layer_norm(x * 1j, (3,))
F.layer_norm([1.], (1,))
F.linear(xr, torch.ones(2, 3, requires_grad=True))
F.linear(x, torch.ones(2, 3), torch.ones(2))
F.linear(xr[0], torch.ones(3))
F.linear(x[0], torch.ones(2, 3), torch.ones(2))
F.linear(torch.ones(2, 2, 3), torch.ones(2, 3), torch.ones(2))
F.linear(xr, torch.ones(2, 4))
F.linear(x, torch.ones(2, 3).double())
F.linear([1], x)
F.dropout(xr, 0.5, False)
F.dropout(xr, 0.0)
F.dropout(xr, 1.0)
F.dropout(xr, 1.5)
F.dropout(torch.ones(3, dtype=torch.int64))
F.dropout([1.])
F.one_hot(i)
F.one_hot(i, 4)
F.one_hot(i, 2)
F.one_hot(i, 0)
F.one_hot(torch.tensor([-1, 0]))
F.one_hot(torch.tensor([]).long())
F.one_hot(torch.tensor([]).long(), 3)
F.one_hot(i.float())
F.embedding(i, torch.ones(4, 2, requires_grad=True))
F.embedding(torch.tensor([[1, 5]]), torch.ones(4, 2))
F.embedding(torch.tensor([-1]), torch.ones(4, 2))
F.embedding(i.float(), torch.ones(4, 2))
F.embedding(i, torch.ones(4))
F.embedding(i, torch.ones(4, 2), padding_idx=7)
F.embedding([1], torch.ones(4, 2))
F.embedding(torch.tensor([1, 1, 2]), table).sum().backward(); table.grad
F.embedding(i, table, padding_idx=-2).sum().backward(); table.grad
"""

LOSSES = """
F.cross_entropy(xr, i)
F.cross_entropy(xr, i, reduction="sum")
F.cross_entropy(xr, i, reduction="none")
F.cross_entropy(xr, i, reduction="foo")
F.cross_entropy(xr, i, reduction="elementwise_mean")
F.cross_entropy(xr, i, size_average=False)
F.cross_entropy(xr, i, reduce=False)
F.cross_entropy(xr, torch.tensor([1, 3]))
F.cross_entropy(xr, torch.tensor([1, -1]))
F.cross_entropy(xr, torch.tensor([1, -100]))
F.cross_entropy(xr, torch.tensor([-100, -100]))
F.cross_entropy(xr, torch.tensor([-100, -100]), reduction="sum")
F.cross_entropy(xr, i, ignore_index=2)
F.cross_entropy(xr, i, weight=w)
F.cross_entropy(xr, i, weight=w, reduction="none")
F.cross_entropy(xr, i, weight=w[:2])
F.cross_entropy(xr, i, weight=w.double())
F.cross_entropy(xr, i, weight=w.clone().requires_grad_())
F.cross_entropy(xr, i, label_smoothing=0.1)
F.cross_entropy(xr, i, label_smoothing=0.1, weight=w)
F.cross_entropy(xr, i, label_smoothing=0.1, weight=w, reduction="none")
F.cross_entropy(x, torch.tensor([-100, 1]), label_smoothing=0.5, weight=w)
F.cross_entropy(x, torch.tensor([-100, 1]), label_smoothing=0.5, reduction="none")
F.cross_entropy(x, i, label_smoothing=-0.5)
F.cross_entropy(xr, i, label_smoothing=1.5)
F.cross_entropy(xr, x / 15)
F.cross_entropy(xr, x / 15, weight=w)
F.cross_entropy(xr, x / 15, reduction="none")
F.cross_entropy(xr, x / 15, reduction="sum", label_smoothing=0.2)
F.cross_entropy(xr, x / 15, ignore_index=1)
F.cross_entropy(x, x / 15, weight=w[:2])
F.cross_entropy(xr.double(), x)
F.cross_entropy(xr[0], i[0])
F.cross_entropy(xr[0], i[0], reduction="none")
F.cross_entropy(xr[0], x[0])
F.cross_entropy(xr, i[:1])
F.cross_entropy(xr, i.float())
F.cross_entropy(xr, i.int())
F.cross_entropy(xr, i.byte())
F.cross_entropy(x.long(), i)
F.cross_entropy(x.half(), i)
F.cross_entropy(x, w[:2])
F.cross_entropy(x, x[:, :2])
F.cross_entropy(x, [1, 2])
F.cross_entropy(images, torch.ones(2, 4, dtype=torch.int64))
F.cross_entropy(images, torch.ones(2, 4, dtype=torch.int64), label_smoothing=0.3)
F.cross_entropy(images, torch.ones(2, 4, dtype=torch.int64), weight=w, label_smoothing=0.3)
F.cross_entropy(images, torch.ones(2, 3, dtype=torch.int64))
F.cross_entropy(images, images.detach().exp())
F.cross_entropy(torch.ones(0, 3), torch.ones(0, dtype=torch.int64))
F.cross_entropy(torch.ones(()), torch.ones((), dtype=torch.int64))
F.nll_loss(xr, i)
F.nll_loss(xr, i, weight=w, ignore_index=1)
F.nll_loss(xr, i, reduction="none")
F.nll_loss(xr, i, reduction="sum")
F.nll_loss(xr[0], i[0])
F.nll_loss(torch.ones(3), torch.ones(1, dtype=torch.int64))
F.nll_loss(torch.ones(3), torch.ones(2, dtype=torch.int64))
F.nll_loss(xr, torch.tensor([1, 3]))
F.nll_loss(xr, i.float())
F.nll_loss(xr, i[:1])
F.nll_loss(x.long(), i)
F.nll_loss(x * 1j, i)
F.nll_loss(images, torch.ones(2, 4, dtype=torch.int64))
F.nll_loss(images, torch.ones(2, 4, dtype=torch.int64), reduction="none")
F.nll_loss(torch.ones(2, 3, 4, 5), torch.ones(2, 4, 5, dtype=torch.int64))
F.nll_loss(torch.ones(2, 3, 4, 5), torch.ones(2, 4, 3, dtype=torch.int64))
F.nll_loss(torch.ones(2, 3, 4, 5), torch.ones(2, 4, dtype=torch.int64))
F.nll_loss(torch.ones(2, 3, 4, 5, 2), torch.ones(2, 4, 5, 2, dtype=torch.int64))
F.nll_loss(torch.ones(()), torch.ones((), dtype=torch.int64))
F.mse_loss(xr, x + 1)
F.mse_loss(xr, x + 1, reduction="none")
F.mse_loss(xr, x + 1, reduction="sum")
F.mse_loss(xr, x + 1, reduction="foo")
F.mse_loss(xr, x[0])
F.mse_loss(x, x + 1, weight=x)
F.mse_loss(x, x + 1, weight=x, reduction="none")
F.mse_loss(xr, x.double())
F.mse_loss(x, x > 1)
F.mse_loss(x.long(), x.long())
F.mse_loss(xr, torch.ones(4))
F.mse_loss(torch.ones(0), torch.ones(0))
"""

UPDATES = """
torch.addcmul(xr, xr, xr, value=2)
torch.addcmul(x, x[0], x[:, :1])
torch.addcmul(torch.tensor([1]), torch.tensor([2]), torch.tensor([3]), value=2.5)
torch.addcmul(torch.tensor([1]), torch.tensor([2.]), torch.tensor([3]), value=2.5)
torch.addcmul(torch.tensor([True]), torch.tensor([True]), torch.tensor([True]))
torch.addcmul(x, x, 3)
torch.addcdiv(xr, xr, xr + 1, value=2)
torch.addcdiv(torch.tensor([1]), torch.tensor([1]), torch.tensor([1]))
torch.addcdiv(torch.tensor([1]), torch.tensor([1]), torch.tensor([2.]))
y = x.clone(); v = y[0]; y.addcmul_(x, x, value=0.5); (y, v, y._version)
y = x.clone(); y.addcdiv_(x, x + 1, value=-2); y
y = xr * 1; y.addcmul_(xr, xr); y.sum().backward(); (y, xr.grad)
y = xr * 1; y.addcdiv_(xr, xr + 1, value=3); y.sum().backward(); (y, xr.grad)
y = xr * 1; y.lerp_(xr * xr, 0.25); y.sum().backward(); (y, xr.grad)
y = xr * 1; y.add_(xr * xr, alpha=3); y.sum().backward(); (y, xr.grad)
y = xr * 1; y.sub_(xr * xr, alpha=3); y.sum().backward(); (y, xr.grad)
torch.tensor([1]).addcmul_(torch.tensor([2.]), torch.tensor([3]))
torch.ones(2).addcmul_(torch.ones(3, 2), torch.ones(2))
xr.addcmul_(x, x)
torch.ones(2).lerp_(torch.zeros(2), 0.3)
torch.ones(2).lerp_(torch.zeros(2), torch.tensor([.1, .2]))
torch.ones(2).lerp_(torch.zeros(2, dtype=torch.float64), .5)
torch.add(xr, xr, alpha=2)
torch.sub(xr, xr, alpha=2)
torch.add(x, 2, alpha=3)
torch.ones(2).add_(2, alpha=3)
torch.ones(2).add_(torch.ones(2), alpha=1j)
torch.ones(2).sub_(torch.ones(2), alpha=1j)
torch.ones(2, dtype=torch.int64).add_(torch.ones(2, dtype=torch.int64), alpha=1.5)
torch.ones(2, dtype=torch.int64).add_(torch.ones(2, dtype=torch.int64), alpha=3)
torch.ones(2, dtype=torch.uint8).sub(torch.ones(2, dtype=torch.uint8), alpha=3)
torch.ones(2, dtype=torch.float16).add_(torch.ones(2), alpha=1.5)
torch.ones(2, dtype=torch.complex64).add_(torch.ones(2), alpha=1j)
torch.tensor([True]).add(torch.tensor([True]), alpha=2)
torch.tensor([True]).add(torch.tensor([True]), alpha=True)
torch.tensor([True]).sub(torch.tensor([True]), alpha=2)
torch.tensor([1]).add(torch.tensor([True]), alpha=True)
torch.ones(2).expand(3, 2).add_(torch.ones(3, 2), alpha=2)
y = torch.arange(4.); y[1:].add_(y[:-1], alpha=2)
"""

TABLES = {"activations": ACTIVATIONS, "layers": LAYERS, "losses": LOSSES, "updates": UPDATES}


@pytest.mark.parametrize("program", [pytest.param(line, id=f"{name}-{n}")
                                     for name, table in TABLES.items()
                                     for n, line in enumerate(table.strip().splitlines())])
def test_as_in_pytorch(program: str) -> None:
    oracle = pytest.importorskip("oracle")
    told = oracle.compare(f"{START}{program}")
    assert not told, f"{program}\n{told}"


# --- gradients and transforms -----------------------------------------------------------------

rng = np.random.default_rng(0)
ROWS, WEIGHT, BIAS, WANTED = (torch.tensor(rng.standard_normal(s))
                              for s in ((4, 3), (3,), (3,), (4, 3)))
LABELS = torch.tensor([2, -100, 0, 1])
SHARES = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
IMAGES = torch.tensor(rng.standard_normal((2, 3, 4)))
PIXELS = torch.tensor([[0, 1, 2, -100], [2, 2, 1, 0]])

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": F.gelu, "gelu tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu,
    "layer norm": lambda x: F.layer_norm(x, (3,), WEIGHT, BIAS),
    "layer norm alone": lambda x: F.layer_norm(x, (3,)),
    "cross entropy": lambda x: F.cross_entropy(x, LABELS),
    "cross entropy, weighed": lambda x: F.cross_entropy(x, LABELS, SHARES, reduction="sum"),
    "cross entropy, smooth": lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.2),
    "cross entropy, rows": lambda x: F.cross_entropy(x, LABELS, reduction="none"),
    "cross entropy of probabilities": lambda x: F.cross_entropy(x, WANTED.softmax(1)),
    "nll": lambda x: F.nll_loss(x, LABELS, SHARES),
    "mse": lambda x: F.mse_loss(x, WANTED),
    "linear": lambda x: F.linear(x, WANTED, WANTED[:, 0]),
}
every_function = pytest.mark.parametrize("name", FUNCTIONS)
NEAR = {"rtol": 1e-11, "atol": 1e-12}


@every_function
def test_gradients_of_first_and_second_order(name: str) -> None:
    x = ROWS.clone().requires_grad_()
    assert torch.autograd.gradcheck(FUNCTIONS[name], (x,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(FUNCTIONS[name], (x,))


def test_gradients_in_weights_and_targets() -> None:
    x, w, b = (t.clone().requires_grad_() for t in (ROWS, WEIGHT, BIAS))
    assert torch.autograd.gradcheck(lambda *a: F.layer_norm(a[0], (3,), *a[1:]), (x, w, b))
    assert torch.autograd.gradgradcheck(lambda *a: F.layer_norm(a[0], (3,), *a[1:]), (x, w, b))
    assert torch.autograd.gradcheck(F.mse_loss, (x, WANTED.clone().requires_grad_()))
    likely = WANTED.softmax(1).detach().requires_grad_()
    assert torch.autograd.gradcheck(F.cross_entropy, (x, likely))


def test_gradients_of_images() -> None:
    x = IMAGES.clone().requires_grad_()
    for how in ({}, {"label_smoothing": 0.3}, {"weight": SHARES, "reduction": "none"}):
        assert torch.autograd.gradcheck(lambda x, how=how: F.cross_entropy(x, PIXELS, **how), (x,))


@every_function
def test_vmap_is_a_loop(name: str) -> None:
    batch = torch.tensor(rng.standard_normal((5, 4, 3)))
    fn = FUNCTIONS[name]
    for each in (fn, grad(lambda x: (fn(x) ** 2).sum())):
        expected = torch.stack([each(x) for x in batch])
        np.testing.assert_allclose(vmap(each)(batch).numpy(), expected.numpy(), **NEAR)


def test_vmap_over_labels_and_weights() -> None:
    labels = torch.tensor([[0, 1, 2, 0], [2, -100, 1, 1]])
    found = vmap(F.cross_entropy, in_dims=(None, 0))(ROWS, labels)
    expected = [F.cross_entropy(ROWS, y) for y in labels]
    np.testing.assert_allclose(found.numpy(), torch.stack(expected).numpy(), **NEAR)
    scales = torch.tensor(rng.standard_normal((2, 3)))
    found = vmap(lambda w: F.layer_norm(ROWS, (3,), w))(scales)
    expected = [F.layer_norm(ROWS, (3,), w) for w in scales]
    np.testing.assert_allclose(found.numpy(), torch.stack(expected).numpy(), **NEAR)


@every_function
def test_transforms_agree(name: str) -> None:
    def fn(x: Any) -> Any:
        return (FUNCTIONS[name](x) ** 2).sum()

    np.testing.assert_allclose(jacfwd(fn)(ROWS).numpy(), jacrev(fn)(ROWS).numpy(), **NEAR)
    slope = jvp(grad(fn), (ROWS,), (WANTED,))[1]
    whole = (hessian(fn)(ROWS).reshape(12, 12) @ WANTED.reshape(12)).reshape(4, 3)
    np.testing.assert_allclose(slope.numpy(), whole.numpy(), rtol=1e-9, atol=1e-10)


@every_function
def test_compiled(name: str) -> None:
    pytest.importorskip("llvmlite")

    def both(x: Any) -> Any:
        out = FUNCTIONS[name](x)
        return out, torch.autograd.grad((out ** 2).sum(), x)[0]

    run = torch.compile(both)
    for x in (ROWS, ROWS * 2):
        x = x.clone().requires_grad_()
        for found, expected in zip(run(x), both(x), strict=True):
            np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), **NEAR)


@pytest.mark.parametrize("label", [3, -1])
def test_a_compiled_label_that_is_out_of_range(label: int) -> None:
    pytest.importorskip("llvmlite")
    run = torch.compile(lambda x, y: F.cross_entropy(x, y))
    run(ROWS, torch.tensor([0, 1, 2, 2]))
    with pytest.raises(IndexError):
        run(ROWS, torch.tensor([0, 1, 2, label]))


def test_dropout() -> None:
    torch.manual_seed(3)
    x = torch.ones(10_000, requires_grad=True)
    out = F.dropout(x, 0.3)
    assert set(out.tolist()) == {0.0, np.float32(1 / np.float32(0.7))}
    assert abs((out == 0).float().mean().item() - 0.3) < 0.02
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), out.detach().numpy())
    y = torch.ones(10)
    assert F.dropout(y, 0.5, inplace=True) is y and y._version


def test_what_is_imported_when_it_is_used() -> None:
    assert torch.nn.functional is F
    with pytest.raises(AttributeError, match="no attribute 'nnn'"):
        torch.nnn


def test_gradients_keep_half_precision() -> None:
    x = torch.linspace(-2, 2, 5).to(torch.float16).requires_grad_()
    F.gelu(x).sum().backward()
    assert x.grad is not None and x.grad.numpy().dtype == np.float16


@pytest.mark.parametrize(("call", "node"), [
    (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), "UpsampleBilinear2DBackward0"),
    (lambda x: F.interpolate(x, size=3, mode="nearest-exact"), "UpsampleNearestExact2DBackward0"),
    (lambda x: F.interpolate(x, size=3, mode="bicubic", antialias=True),
     "UpsampleBicubic2DAaBackward0"),
    (lambda x: F.pad(x, (1, 1, 1, 1), "reflect"), "ReflectionPad2DBackward0"),
    (lambda x: F.pad(x[0], (1, 1), "replicate"), "ReplicationPad1DBackward0"),
    (lambda x: torch.trace(x[0, 0]), "TraceBackward0"),
    (lambda x: torch.zeros(2).index_reduce(0, torch.tensor([0, 1]), x[0, 0, 0], "amax"),
     "IndexReduceBackward0")])
def test_nodes_are_called_as_pytorch_calls_them(call: Any, node: str) -> None:
    assert type(call(torch.ones(1, 1, 2, 2, requires_grad=True)).grad_fn).__name__ == node


@pytest.mark.parametrize(("mode", "size"), [
    ("bilinear", (4, 6)), ("bilinear", (3, 2)), ("bicubic", (5, 4)), ("nearest", (7, 2))])
def test_small_images_are_resampled_as_parts_of_many(mode: str, size: tuple[int, int]) -> None:
    many = torch.rand(64, 1, 3, 4, requires_grad=True)
    one = many[:1].detach().requires_grad_()
    whole, part = (F.interpolate(x, size, mode=mode) for x in (many, one))
    assert torch.allclose(part, whole[:1])
    weights = torch.rand(whole.shape)
    (whole * weights).sum().backward()
    (part * weights[:1]).sum().backward()
    assert torch.allclose(one.grad, many.grad[:1])


def test_small_images_with_infinite_elements_stay_finite_elsewhere() -> None:
    x = torch.zeros(1, 1, 4)
    x[..., 3] = torch.inf
    found = F.interpolate(x, size=8, mode="linear")
    assert found.isfinite().tolist() == [[[True] * 5 + [False] * 3]]
    assert not found.isnan().any()


@pytest.mark.parametrize("word", ["batch_norm", "instance_norm"])
@pytest.mark.parametrize("wrong", [
    {"running_mean": torch.zeros(3, requires_grad=True)},
    {"running_var": torch.ones(3, requires_grad=True)},
    {"running_var": torch.ones(2)},
    {"running_var": None},
    {"weight": torch.ones(2)},
])
def test_running_statistics_are_refused_before_any_moves(word: str, wrong: dict) -> None:
    mean = torch.zeros(3)
    given = {"running_mean": mean, "running_var": torch.ones(3), **wrong}
    train = {"training": True} if word == "batch_norm" else {}
    with pytest.raises((RuntimeError, ValueError), match=f"{next(iter(wrong))}|running_mean and"):
        getattr(F, word)(torch.randn(4, 3, 2), **given, **train)
    assert mean.tolist() == [0, 0, 0]
