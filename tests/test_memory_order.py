"""In which order results lie in memory, where operands are not contiguous.

Each operation is held to PyTorch's strides by the check `layout` of tests/opinfo.py; here are the
rules behind them, and what keeps the order: compiled code, gradients, copies and pickles.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.core import blocks

F = torch.nn.functional
ROUND: list[Callable[[Any], Any]] = [
    lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy]


def turned(*shape: int) -> Any:
    """A tensor of the shape whose dimensions lie in memory in the opposite order."""
    n = len(shape)
    return torch.randn(*shape[::-1]).permute(*range(n)[::-1])


def last(*shape: int) -> Any:
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


# What it is called, the function, the operand, and the strides of the result.
RULES: list[tuple[str, Callable[[Any], Any], Any, tuple[int, ...]]] = [
    ("elements lie as the operand", torch.exp, turned(3, 4), (1, 3)),
    ("of two, as the first", lambda x: x + x[0].clone(), turned(3, 4), (1, 3)),
    ("though the other lies otherwise", lambda x: x * torch.ones(4, 5), turned(3, 4, 5),
     (1, 3, 12)),
    ("of tensors that are no views", lambda x: x.exp() + torch.ones(3, 4), turned(3, 4), (1, 3)),
    ("which are compared", lambda x: x.exp() > torch.ones(3, 4), turned(3, 4), (1, 3)),
    ("powers of a number", lambda x: torch.pow(2.0, x), turned(3, 4), (4, 1)),
    ("matrices of LAPACK's lie by columns", lambda x: torch.linalg.inv(x + 4 * torch.eye(3)),
     torch.rand(2, 3, 3), (9, 1, 3)),
    ("so does a solution", lambda x: torch.linalg.lu_solve(
        *torch.linalg.lu_factor(x + 4 * torch.eye(3)), x, adjoint=True), torch.rand(3, 3), (1, 3)),
    ("and one from the right", lambda x: torch.linalg.solve_triangular(
        x + 4 * torch.eye(3), x, upper=True, left=False), torch.rand(2, 3, 3), (9, 1, 3)),
    ("transformed dimensions are innermost", lambda x: torch.fft.fft(x, dim=0).abs(),
     torch.randn(3, 4), (1, 3)),
    ("half a spectrum's last of all", lambda x: torch.fft.rfft2(x, dim=(2, 0)).abs(),
     torch.randn(4, 5, 6), (1, 18, 3)),
    ("repeated dimensions do not tell", lambda x: torch.ones(1, 4) * x.expand(3, 4),
     torch.ones(4), (4, 1)),
    ("softmax", lambda x: x.softmax(0), turned(3, 4), (4, 1)),
    ("scans", lambda x: x.cumsum(1), turned(3, 4), (4, 1)),
    ("scans of two results", lambda x: x.cummax(0).indices, turned(3, 4), (4, 1)),
    ("reductions", lambda x: x.sum(0), turned(3, 4, 5), (5, 1)),
    ("layer_norm", lambda x: F.layer_norm(x, (4,)), turned(3, 4), (4, 1)),
    ("roll", lambda x: x.roll(1, 0), turned(3, 4), (4, 1)),
    ("masked_fill", lambda x: x.masked_fill(x > 0, 0), turned(3, 4), (4, 1)),
    ("sorting keeps the order", lambda x: x.sort(0).values, turned(3, 4), (1, 3)),
    ("so do copies", torch.clone, turned(3, 4, 5), (1, 3, 12)),
    ("and casts", torch.Tensor.double, turned(3, 4), (1, 3)),
    ("flip", lambda x: x.flip(0), turned(3, 4), (1, 3)),
    ("convolutions have channels last", lambda x: F.conv2d(x, torch.ones(2, 3, 1, 1)),
     last(2, 3, 4, 5), (40, 1, 10, 2)),
    ("of signals, if the kernels have", lambda x: F.conv1d(x, torch.arange(12.0).reshape(
        2, 2, 3).mT), torch.randn(2, 3, 4), (6, 1, 2)),
    ("and pools", lambda x: F.max_pool2d(x, 2), last(2, 3, 4, 4), (12, 1, 6, 3)),
    ("and batch_norm", lambda x: F.batch_norm(x, None, None, training=True), last(2, 3, 4, 4),
     (48, 1, 12, 3)),
    ("of other orders they are contiguous", lambda x: F.avg_pool2d(x, 2), turned(2, 3, 4, 4),
     (12, 4, 2, 1)),
]


@pytest.mark.parametrize(("fn", "x", "strides"), [rule[1:] for rule in RULES],
                         ids=[rule[0] for rule in RULES])
def test_order(fn: Callable[[Any], Any], x: Any, strides: tuple[int, ...]) -> None:
    assert fn(x).stride() == strides
    compiled = torch.compile(fn)
    for _ in range(3):
        assert compiled(x).stride() == strides
    np.testing.assert_allclose(compiled(x), fn(x.contiguous()), rtol=1e-5, atol=1e-6)


def test_results_of_transposed_operands_can_be_viewed() -> None:
    assert turned(3, 4).log_softmax(1).view(12).shape == (12,)


@pytest.mark.parametrize("shape", [(1024, 2, 1024), (2**20, 3), (2, 2**19, 8), (2**20, 9)])
def test_large_copies_of_what_is_repeated(shape: tuple[int, ...]) -> None:
    d = 1 if len(shape) == 2 or shape[1] == 2 else 2
    x = torch.rand(*shape[:d], 1, *shape[d + 1:], requires_grad=True)
    found = x.expand(shape).contiguous()
    assert found.is_contiguous()
    assert all(torch.equal(each, x.squeeze(d)) for each in found.unbind(d))
    found.sum().backward()
    assert (x.grad == shape[d]).all()


def test_large_results_are_made_in_the_order_of_operands_that_repeat_nothing() -> None:
    row, whole = torch.rand(512).expand(512, 512), torch.rand(512, 512)
    found = blocks.apply(np.add, [row.numpy(), whole.numpy()], whole.aval)
    assert found.flags.c_contiguous  # where laid out anew afterwards it would be, at a price


def test_large_results_are_laid_out_as_small_ones() -> None:
    x = torch.randn(1200, 1100).t()
    assert x.softmax(0).stride() == (1200, 1)
    assert (x + torch.ones(1200)).stride() == (1, 1100)
    np.testing.assert_array_equal(x.cumsum(0).numpy(), x.contiguous().cumsum(0).numpy())


@pytest.mark.parametrize("round_trip", ROUND)
@pytest.mark.parametrize("view", [
    lambda x: x.t(), lambda x: x[1:, 2:4], lambda x: x[::2], lambda x: x[:1].expand(3, 6),
    lambda x: x, lambda x: x[0, 0], lambda x: x[:, :0]])
def test_copies_and_pickles_keep_strides(view: Callable[[Any], Any], round_trip: Any) -> None:
    x = view(torch.arange(24.0).reshape(4, 6))
    y = round_trip(x)
    assert y.stride() == x.stride() or not x.numel()
    assert y.tolist() == x.tolist()


def test_deepcopy_keeps_what_shares_memory_together() -> None:
    base = torch.zeros(4, 6)
    both = copy.deepcopy([base, base[1:]])
    both[1].fill_(1)
    assert both[0].sum() == 18
    assert both[0]._version == both[1]._version == 1
    assert base.sum() == 0


def test_a_pickled_slice_has_no_more_memory_than_it_spans() -> None:
    assert len(pickle.dumps(torch.zeros(10_000)[10:20])) < 1000


@pytest.mark.parametrize("word", [torch.from_numpy, torch.as_tensor, torch.asarray])
def test_memory_that_runs_backwards_is_refused(word: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match="stride in the given numpy array is negative"):
        word(np.arange(4.0)[::-1])
    assert torch.tensor(np.arange(4.0)[::-1]).tolist() == [3, 2, 1, 0]


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.parametrize("lies", [
    lambda x: x, lambda x: x.transpose(0, 3), lambda x: x.permute(1, 3, 0, 2),
    lambda x: x.contiguous(memory_format=torch.channels_last)])
def test_gradients_lie_as_leaves_that_fill_their_memory(lies: Callable[[Any], Any]) -> None:
    leaf = lies(torch.randn(2, 3, 2, 4)).detach().requires_grad_()
    step = torch.compile(lambda x: x.exp().contiguous().softmax(0).pow(2).sum().backward())
    for run in (lambda x: (x.contiguous() ** 3).sum().backward(), step, step, step,
                lambda x: x.sin().softmax(0).square().sum().backward(create_graph=True)):
        leaf.grad = None
        run(leaf)
        assert leaf.grad.stride() == leaf.stride()


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.parametrize("part", [lambda x: x.t()[::2], lambda x: x.as_strided((3, 3), (1, 6)),
                                  lambda x: x[:, ::2], lambda x: x[:1].expand(4, 6)])
def test_gradients_of_leaves_with_gaps_are_contiguous(part: Callable[[Any], Any]) -> None:
    for create in (False, True):
        leaf = part(torch.randn(4, 6)).detach().requires_grad_()
        leaf.exp().sum().backward(create_graph=create)
        assert leaf.grad.is_contiguous()
