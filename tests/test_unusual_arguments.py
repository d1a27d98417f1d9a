"""Legal but unusual arguments: what tests/opinfo_mutants.py found to differ from PyTorch."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch

F = torch.nn.functional
INF, NAN = float("inf"), float("nan")
INT, ONE, X = np.int64, torch.tensor(1), torch.arange(6.).reshape(2, 3)
IMAGES = torch.arange(16.).reshape(1, 1, 4, 4)


@pytest.mark.parametrize(("unusual", "usual"), [
    (lambda: F.max_pool2d(IMAGES, INT(2), INT(1)), lambda: F.max_pool2d(IMAGES, 2, 1)),
    (lambda: F.avg_pool2d(IMAGES, 2, np.int32(1), INT(1)), lambda: F.avg_pool2d(IMAGES, 2, 1, 1)),
    (lambda: F.avg_pool2d(IMAGES, 2, divisor_override=INT(2)),
     lambda: F.avg_pool2d(IMAGES, 2) * 2),
    (lambda: torch.histogram(X, INT(2)).bin_edges, lambda: torch.histogram(X, 2).bin_edges),
    (lambda: F.max_pool2d(IMAGES, 2, []), lambda: F.max_pool2d(IMAGES, 2)),
    (lambda: X[:1].squeeze(INT(0)), lambda: X[0]),
    (lambda: torch.amax(X, INT(-1)), lambda: torch.amax(X, -1)),
    (lambda: torch.amin(X, None), lambda: torch.amin(X)),
    (lambda: torch.max(X, ONE, keepdim=True).values, lambda: torch.amax(X, 1, True)),
    (lambda: torch.movedim(X, INT(0), ONE), lambda: X.T),
    (lambda: torch.tensordot(X, X, (ONE, INT(1))), lambda: X @ X.T),
    (lambda: torch.linalg.norm(X, dim=INT(0)), lambda: torch.linalg.norm(X, dim=0)),
    (lambda: torch.unsafe_chunk(X, INT(3), 1)[2], lambda: X[:, 2:]),
    (lambda: torch.fft.fftn(X, dim=INT(0)), lambda: torch.fft.fft(X, dim=0)),
    (lambda: torch.fft.fftshift(X, ONE), lambda: X.roll(1, 1)),
    (lambda: torch.fft.fftfreq(torch.tensor(3)), lambda: torch.fft.fftfreq(3)),
    (lambda: torch.fft.ifft(X[:, :0], 2), lambda: torch.zeros(2, 2, dtype=torch.complex64)),
    (lambda: torch.clamp(X, X[0, 1], 4.), lambda: torch.clamp(X, 1, 4)),
    (lambda: torch.clamp(X, 1, X[1, 1]), lambda: torch.clamp(X, 1, 4)),
    (lambda: F.dropout(X, torch.tensor(0.)), lambda: X),
    (lambda: F.dropout(X, torch.tensor(1.)), lambda: X * 0),
    (lambda: torch.lerp(X, X + 2, torch.tensor(.5, dtype=torch.float64)), lambda: X + 1),
    (lambda: torch.lerp(X, X, torch.tensor(1j)), lambda: X + 0j),
    (lambda: torch.full_like(X, 3 + 0j), lambda: torch.full_like(X, 3)),
    (lambda: torch.addcmul(X, X, X, value=2 + 0j), lambda: X + 2 * X * X),
    (lambda: torch.add(2, 3.), lambda: torch.tensor(5.)),
    (lambda: torch.div(7, 2, rounding_mode="floor"), lambda: torch.tensor(3)),
    (lambda: torch.einsum("i,i->i", X[0] > 0, X[0] < 2), lambda: X[0] == 1),
    (lambda: torch.einsum("i,j->ij", X[0] > 0, X[1] > 4), lambda: (X[0] > 0)[:, None] & (X[1] > 4)),
    (lambda: F.embedding(ONE, torch.eye(2).byte(), scale_grad_by_freq=True),
     lambda: torch.tensor([0, 1], dtype=torch.uint8)),
    (lambda: torch.cat([X[0, :0], X[0, :0]], 1), lambda: X[0, :0]),
    (lambda: torch.arange(3 + 0j), lambda: torch.arange(3.)),
    (lambda: torch.addmm(X, X, torch.eye(3), beta=2 + 0j, alpha=1 + 0j), lambda: X * 3),
    (lambda: X.masked_fill(X > 4, torch.tensor(4 + 0j)), lambda: X.clamp(max=4)),
    (lambda: torch.linalg.vector_norm(X, ONE), lambda: X.sum()),
    (lambda: torch.stack(torch.atleast_2d(()) + torch.atleast_2d([X])), lambda: X[None]),
    (lambda: torch.linalg.lstsq(torch.eye(2)[None], X[:, :2]).solution, lambda: X[None, :, :2]),
    (lambda: torch.linalg.lstsq(torch.eye(2)[None], X[:1, :2]).solution, lambda: X[:1, :2]),
    (lambda: torch.tensor([1, -1]) + 2**63, lambda: torch.tensor([-2**63 + 1, 2**63 - 1])),
])
def test_as_the_usual_call(unusual: Callable[[], Any], usual: Callable[[], Any]) -> None:
    found, wanted = unusual(), usual()
    assert found.dtype is wanted.dtype
    assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize(("call", "error", "told"), [
    (lambda: X.long() + 2**64, OverflowError, "int too big to convert"),
    (lambda: torch.full_like(X, 3j), RuntimeError, "to type float without overflow"),
    (lambda: torch.einsum("i,i->", X[0] > 0, X[0] > 0), NotImplementedError, "'Bool'"),
    (lambda: X[0].index_add(0, ONE * 3, X[0, :1]), IndexError, "index out of range in self"),
    (lambda: X.index_add(1, ONE * 3, X[:, :1]), RuntimeError, "3 is out of bounds for dimension 1"),
    (lambda: X.lerp_(X, torch.tensor(1j)), RuntimeError, "can't be cast"),
    (lambda: torch.clamp(X, 1, X), TypeError, "two tensors or two numbers"),
    (lambda: torch.full((2,), torch.tensor(1., requires_grad=True)), TypeError, "not Tensor"),
    (lambda: F.dropout(X, torch.tensor(.5, requires_grad=True)), TypeError, "not Tensor"),
    (lambda: F.avg_pool2d(IMAGES, 2, divisor_override=2.), TypeError, "must be int, not float"),
    (lambda: torch.arange(3 + 1j), RuntimeError, "to type double without overflow"),
    (lambda: torch.addmm(X, X, torch.eye(3), beta=1j), RuntimeError, "to type float without"),
    (lambda: X.masked_fill(X > 4, torch.tensor(1j)), RuntimeError, "to type float without"),
    (lambda: torch.poisson(X / 0), RuntimeError, "expected rate to be"),
    (lambda: torch.amax(X[:0], []), RuntimeError, "Expected reduction dim"),
    (lambda: torch.fill(X, None), TypeError, "not NoneType"),
    (lambda: torch.fill(X.byte(), 300), RuntimeError, "to type uint8_t without overflow"),
    (lambda: torch.fill(X, X), RuntimeError, "0-dimension value tensor"),
    (lambda: X.clone().fill_diagonal_("a"), TypeError, "must be Number, not str"),
    (lambda: X.map2_(X, 1, max), TypeError, "argument 'y' .position 2. must be Tensor, not int"),
    (lambda: X.map2_(X.long(), X, max), TypeError, "for argument 'x' .got torch.LongTensor."),
])
def test_refused(call: Callable[[], Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        call()


def test_residuals_of_a_vector() -> None:
    found = torch.linalg.lstsq(torch.eye(3)[:, :2], torch.ones(3), driver="gelsd")
    assert found.residuals.tolist() == [1]


def test_gradients_where_the_largest_is_nan() -> None:
    x = torch.tensor([float("nan"), 1.], requires_grad=True)
    for function, wanted in ((torch.amax, [True, True]), (torch.max, [False, False])):
        (g,) = torch.autograd.grad(function(x), x)
        assert g.isnan().tolist() == wanted
    x = torch.ones(3, requires_grad=True)
    assert torch.autograd.grad(torch.special.erfcx(x * 2).sum(), x)[0].dtype is torch.float32


@pytest.mark.parametrize("join", [
    lambda nothing: torch.cat([nothing, torch.ones(2, 2)], -1),
    lambda nothing: torch.cat([torch.ones(0), nothing]),
    lambda nothing: torch.ones(2).masked_scatter(torch.zeros(2) > 0, nothing),
    lambda nothing: torch.ones(0).masked_scatter(torch.zeros(0) > 0, nothing),
])
def test_nothing_has_a_history(join: Callable[[Any], Any]) -> None:
    nothing = torch.ones(0, requires_grad=True)
    join(nothing).sum().backward()
    assert nothing.grad.shape == (0,)


@pytest.mark.parametrize(("function", "at", "wanted"), [
    (lambda x: torch.renorm(x, 2, 0, INF).sum(), [[0., 0.], [1., INF]], [[1, 1], [1, 1]]),
    (lambda x: torch.nanmean(x, 1).sum(), [[NAN, NAN], [1., NAN]], [[NAN, NAN], [1, 0]]),
    (lambda x: _slopes(torch.special.i1e, x), [INF, -INF], [0, 0]),
])
def test_gradients_at_the_edges(function: Callable[[Any], Any], at: Any, wanted: Any) -> None:
    x = torch.tensor(at, requires_grad=True)
    np.testing.assert_array_equal(torch.autograd.grad(function(x), x)[0].numpy(), wanted)


def _slopes(function: Callable[[Any], Any], x: Any) -> Any:
    return torch.autograd.grad(function(x).sum(), x, create_graph=True)[0].sum()


@pytest.mark.parametrize("padding", [0, 1])
def test_compiled_pools_of_no_images(padding: int) -> None:
    pool = torch.compile(lambda x: F.avg_pool2d(x, 3, 1, padding))
    for _ in range(3):
        x = torch.ones(0, 2, 4, 4, requires_grad=True)
        pool(x).sum().backward()
        assert x.grad.shape == x.shape


# --- warnings -----------------------------------------------------------------------------------

LOST = """
import warnings
import wengert as torch
y = torch.tensor(2., requires_grad=True)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    y.item(), int(y), bool(y), y.tolist()
    with torch.no_grad():
        float(y)
    assert not told
    {}
    {}
    [each] = told
    assert "requires_grad=True to a scalar" in str(each.message)
"""


@pytest.mark.parametrize("look", ["float(y)", "complex(y)", "torch.tensor([y, 1.])"])
def test_once_told_that_history_is_lost(look: str) -> None:
    subprocess.run([sys.executable, "-c", LOST.format(look, look)], check=True)


def test_told_how_to_copy() -> None:
    with pytest.warns(UserWarning, match=r"rather than tensor.new_tensor\(sourceTensor\)"):
        X.new_tensor(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        X.new_tensor([1, 2])
