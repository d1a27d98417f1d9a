"""The smallest case of each bug that was found by reading or by use, so that it stays mended."""

from __future__ import annotations

import copy
import pickle
import signal
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.core.levels import shared

OVERWRITTEN = "modified by an inplace operation"


def leaf(*values: float, dtype: Any = None) -> torch.Tensor:
    return torch.tensor([float(v) for v in values], requires_grad=True, dtype=dtype)


# --- what is overwritten after it was saved is noticed ------------------------------------------


def test_accumulation_is_a_write_to_grad() -> None:
    x, w = leaf(1, 1), leaf(1, 1)
    (x * 2).sum().backward()
    z = (x.grad * w).sum()
    (x * 2).sum().backward()
    with pytest.raises(RuntimeError, match=OVERWRITTEN):
        z.backward()


@pytest.mark.parametrize("read", [
    lambda x, i: x[i], lambda x, i: torch.index_select(x, 0, i),
    lambda x, i: torch.gather(x, 0, i)])
def test_index_tensors_are_saved_with_their_version(read: Callable[..., Any]) -> None:
    x, i = leaf(1, 2, 3), torch.tensor([0, 1])
    y = read(x, i)
    i.add_(1)
    with pytest.raises(RuntimeError, match=OVERWRITTEN):
        y.sum().backward()


@pytest.mark.parametrize("function", [lambda w: w * w, lambda w: w * 2.5 * w, torch.exp, torch.sin])
def test_a_parameter_after_a_step_is_saved_with_its_version(function: Callable[..., Any]) -> None:
    w = leaf(1, 2)
    with torch.no_grad():
        w.sub_(0.5)
    (first,) = torch.autograd.grad(function(w).sum(), w)
    (second,) = torch.autograd.grad(function(w.detach().clone().requires_grad_()).sum(), w,
                                    allow_unused=True)
    assert second is None
    assert torch.isfinite(first).all()
    y = function(w).sum()
    with torch.no_grad():
        w.sub_(0.5)
    if function is torch.exp:  # which saved its result
        y.backward()
    else:
        with pytest.raises(RuntimeError, match=OVERWRITTEN):
            y.backward()


def test_an_operand_that_is_the_target_is_saved_as_it_was() -> None:
    y = leaf(1, 2, 3) * 1
    y.mul_(y)
    with pytest.raises(RuntimeError, match=OVERWRITTEN):
        y.sum().backward()


# --- gradients are nobody else's memory ---------------------------------------------------------


def test_recorded_gradients_are_tensors_of_their_own() -> None:
    x, y, g = leaf(1, 1), leaf(1, 1), torch.ones(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        (x + y).backward(g, create_graph=True)
    assert x.grad is not y.grad
    g.zero_()
    with torch.no_grad():
        x.grad.zero_()
    assert y.grad.tolist() == [1, 1]
    x.grad = y.grad = None


def test_gradients_share_memory_where_rules_hand_them_on() -> None:
    """As PyTorch's: a sum's operands get the very cotangent, and writes to it are counted."""
    x, y, g, w = leaf(1, 1), leaf(1, 1), torch.ones(2), leaf(3, 4)
    loss = (w * g).sum()
    a, b = torch.autograd.grad(x + y, (x, y), g)
    assert a is b is g
    (c,) = torch.autograd.grad(x.view(2, 1), x, g[:, None])
    c.add_(5)
    assert g.tolist() == [6, 6]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_gradients_of_a_sum_repeat_one_number() -> None:
    x = leaf(1, 2)
    (g,) = torch.autograd.grad(x.sum(), x)
    assert g.stride() == (0,)
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        g.add_(1)
    for own in (torch.autograd.grad(x.mean(), x), torch.autograd.grad(x[:1].sum(), x)):
        assert own[0].add_(1).stride() == (1,)
    x.sum().backward()
    assert x.grad.stride() == (1,)
    x.grad = None


def test_retained_gradients_accumulate() -> None:
    x = leaf(1, 1)
    y = x * 1
    y.retain_grad()
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    assert y.grad.tolist() == [2, 2]


def test_an_expanded_grad_is_not_written_through() -> None:
    x = leaf(1, 1, 1)
    x.grad = torch.ones(1).expand(3)
    (x * torch.tensor([1.0, 2, 3])).sum().backward()
    assert x.grad.tolist() == [2, 3, 4]


# --- views, hooks, modes ------------------------------------------------------------------------


def test_a_view_made_without_grad_does_not_lose_a_gradient_silently() -> None:
    y = leaf(1, 1) * 2
    with torch.no_grad():
        v = y[:1]
    y.mul_(3)
    with pytest.raises(RuntimeError, match="view was created in no_grad mode"):
        v * 1


def test_an_integer_tensor_gets_no_history() -> None:
    counts = torch.zeros(2, dtype=torch.int64)
    counts[0] = leaf(3)[0]
    assert not counts.requires_grad


@pytest.mark.parametrize("changed", [lambda g: g.double(), lambda g: torch.ones(5)])
def test_hooks_may_not_change_shape_or_dtype(changed: Callable[..., Any]) -> None:
    x = leaf(1, 1)
    y = x * 2
    y.register_hook(changed)
    with pytest.raises(RuntimeError, match="has changed the"):
        y.sum().backward()
    y = x * 2
    y.grad_fn.register_hook(lambda ins, outs: (changed(ins[0]), None))
    with pytest.raises(RuntimeError, match="has changed the"):
        y.sum().backward()
    assert x.grad is None


def test_a_step_in_a_post_accumulate_hook() -> None:
    def step(p: torch.Tensor) -> None:
        p.add_(p.grad, alpha=-1)
        p.grad = None

    x = leaf(1, 1)
    x.register_post_accumulate_grad_hook(step)
    (x * 2).sum().backward()
    assert x.tolist() == [-1, -1]
    assert x.grad is None


def test_modes_end_with_their_thread() -> None:
    before = shared.special
    thread = threading.Thread(target=lambda: torch.set_grad_enabled(False))
    thread.start()
    thread.join()
    assert shared.special == before


def test_modes_at_once_can_be_entered_again() -> None:
    mode = torch.autograd.set_detect_anomaly(True)
    for _ in range(2):
        with mode:
            assert torch.autograd.is_anomaly_enabled()
    torch.autograd.set_detect_anomaly(False)
    with torch.no_grad(), torch.inference_mode(False):
        assert torch.is_grad_enabled()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs Unix signals")
def test_tensors_work_in_a_signal_handler() -> None:
    errors: list[BaseException] = []
    calls: list[torch.Tensor] = []

    def handler(*_: Any) -> None:
        try:
            calls.append(torch.ones(2).sigmoid().exp() * 2)
        except BaseException as error:
            errors.append(error)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        x = torch.ones(1000)
        while len(calls) + len(errors) < 100:
            x.sigmoid().std()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not errors


# --- numbers ------------------------------------------------------------------------------------


def test_large_complex_gradients_keep_their_imaginary_part() -> None:
    z = torch.tensor(np.full(1 << 17, 3 + 4j, np.complex64), requires_grad=True)
    z.abs().sum().backward()
    assert z.grad[0].item() == pytest.approx(0.6 + 0.8j)


def test_long_sums_across_memory_keep_their_digits() -> None:
    x = torch.full((10**6, 2), 0.1)
    assert x.sum(0)[0].item() == pytest.approx(1e5, rel=1e-6)
    assert x.std(0)[0].item() < 1e-6
    assert x[:, 0].cumsum(0)[-1].item() == pytest.approx(1e5, rel=1e-6)
    b = torch.zeros(2, requires_grad=True)
    (x + b).mean().backward()
    assert b.grad.tolist() == pytest.approx([0.5, 0.5], rel=1e-6)


def test_half_precision_reductions_are_worked_out_in_single() -> None:
    half = torch.float16
    assert torch.tensor([300.0, 400.0], dtype=half).norm().item() == 500
    assert torch.full((2000,), 100.0, dtype=half).var().item() == 0
    assert torch.ones(4000, dtype=half).cumsum(0)[-1].item() == 4000
    assert torch.full((100_000, 2), 0.1, dtype=half).softmax(0)[0, 0].item() == pytest.approx(
        1e-5, rel=1e-2)


def test_max_passes_an_infinite_cotangent_to_the_largest_alone() -> None:
    x = leaf(1, 2, 3)
    (x.max() * float("inf")).backward()
    assert x.grad.tolist() == [0, 0, float("inf")]


def test_integer_division_is_exact() -> None:
    x = torch.div(torch.tensor([16777217, -7, 7]), torch.tensor([1, 2, -2]), rounding_mode="trunc")
    assert x.tolist() == [16777217, -3, -3]


def test_what_does_not_fit_a_dtype_is_refused() -> None:
    with pytest.raises(RuntimeError, match="without overflow"):
        torch.tensor([300], dtype=torch.uint8)
    x = torch.tensor([1, 5])
    with pytest.raises(RuntimeError, match="can't be cast"):
        x.clamp_(1.5, 3.5)
    assert x.tolist() == [1, 5]


def test_indices_beyond_the_end_are_refused() -> None:
    with pytest.raises(IndexError, match="out of range"):
        torch.index_select(torch.ones(3, 2), 0, torch.tensor([0, -1]))
    with pytest.raises(RuntimeError, match="no larger size than src"):
        torch.scatter_add(torch.zeros(2), 0, torch.tensor([0, 1]), torch.ones(1))


# --- Python's protocols -------------------------------------------------------------------------


def test_a_loss_in_an_f_string() -> None:
    loss = leaf(1.5)[0] * 2
    assert f"{loss} {loss:.2f}" == "3.0 3.00"
    with pytest.raises(TypeError, match="unsupported format string"):
        f"{torch.ones(2):.2f}"


def test_other_keywords() -> None:
    x = torch.arange(6.0).reshape(shape=(2, 3))
    assert x.sum(axis=1, keepdims=True).shape == (2, 1)
    assert torch.cat([x, x], axis=1).shape == (2, 6)
    assert x.view(size=(6,)).pow(exponent=2).shape == (6,)


def test_copies_of_results_are_leaves() -> None:
    x = leaf(1, 2) * 2
    back = pickle.loads(pickle.dumps(x))
    assert back.is_leaf
    assert back.requires_grad
    y = leaf(1, 2)
    y.note = [1]
    copy.deepcopy(y).note.append(2)
    assert y.note == [1]


def test_second_derivative_of_an_empty_product() -> None:
    x = torch.zeros(0, requires_grad=True)
    (g,) = torch.autograd.grad(x.prod(), x, create_graph=True)
    assert torch.autograd.grad(g.sum() + x.sum(), x)[0].shape == (0,)


def test_copies_of_tensors_that_share_memory_keep_their_dtypes() -> None:
    z = torch.tensor([1 + 2j, 3 + 4j])
    whole, real, bits = copy.deepcopy([z, z.real, z.view(torch.int64)])
    whole[0] = 9
    assert real.tolist() == [9, 3] and bits.dtype is torch.int64
    assert bits.tolist() == whole.view(torch.int64).tolist()


def test_hooks_of_a_root_run_for_those_who_ask() -> None:
    x, y, seen = leaf(1, 1), leaf(1, 1), []
    x.register_hook(lambda g: seen.append(g))
    torch.autograd.grad([x, y * 2], [y], [torch.ones(2)] * 2)
    assert not seen
    torch.autograd.grad([x, y * 2], [x], [torch.ones(2)] * 2)
    assert len(seen) == 1


def test_a_list_that_holds_itself() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="too many dimensions"):
        torch.tensor(endless)


def test_a_number_beyond_the_dtype_is_chosen_by_nobody() -> None:
    with pytest.raises(RuntimeError, match="int8_t without overflow"):
        torch.where(torch.tensor([True]), torch.tensor([1], dtype=torch.int8), 300)


def test_distances_of_many_dimensions() -> None:
    x = torch.zeros(*(1,) * 9, 2, 3, dtype=torch.float64, requires_grad=True)
    torch.cdist(x, torch.ones(*(1,) * 9, 30, 3, dtype=torch.float64)).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), -30 / 3**0.5)


def test_dtypes_that_do_not_meet_have_one_name() -> None:
    whole, real = torch.ones(2, 2, dtype=torch.int64), torch.ones(2, 2)
    for call in (lambda: torch.mm(whole, real), lambda: torch.lerp(whole, real, 0.5),
                 lambda: torch.linalg.multi_dot([whole, real, real])):
        with pytest.raises(RuntimeError, match="long int"):
            call()
    with pytest.raises(RuntimeError, match="int64_t without"):
        torch.addmm(whole, whole, whole, alpha=1j)
    with pytest.raises(RuntimeError, match=r"unsigned|uint16"):
        torch.mm(whole.to(torch.uint16), real)


def test_a_single_condition_has_a_place_if_it_is_true() -> None:
    for truth in (True, False):
        (places,) = torch.where(torch.tensor(truth))
        assert places.shape == (int(truth),)


def test_bools_are_not_convolved() -> None:
    x = torch.ones(1, 1, 3) > 0
    for word in (torch.conv1d, torch.conv_transpose1d):
        with pytest.raises(NotImplementedError, match=r"slow_conv.*'Bool'"):
            word(x, x)


def test_what_a_tensor_becomes_is_said_once() -> None:
    x, y = torch.ones(2), torch.ones(3, dtype=torch.float64)
    for first, more in ((y, {"dtype": torch.int32}), (torch.float64, {"dtype": torch.int32}),
                        ("cpu", {"device": "cpu"})):
        with pytest.raises(TypeError, match="invalid combination"):
            x.to(first, **more)
    assert x.to("cpu", dtype=torch.float64).dtype is torch.float64
    assert x.to(None, torch.float64).dtype is torch.float64


def test_new_tensors_are_on_the_cpu() -> None:
    with pytest.raises(AssertionError, match="CUDA"):
        torch.ones(2).new_tensor([1.0], device="cuda")


def test_relu_in_place_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = torch.tensor([-1.0, 2.0]).relu_()
    assert x.tolist() == [0, 2]


def test_view_copy_writes_into_what_it_is_given() -> None:
    out = torch.empty(0)
    assert torch.view_copy(torch.ones(2, 3), (3, 2), out=out) is out
    assert out.shape == (3, 2)


def test_ctc_loss_of_no_steps() -> None:
    """Without a step there is one alignment, that of no label; the last step is not read."""
    x = torch.zeros(3, 2, 3).log_softmax(2).requires_grad_()
    labels = torch.tensor([[1, 2], [2, 1]])
    ctc = torch.nn.functional.ctc_loss
    assert ctc(x, labels, (0, 0), (0, 2), reduction="none").tolist() == [0, float("inf")]
    loss = ctc(x, labels, (0, 3), (2, 2), reduction="sum", zero_infinity=True)
    (slope,) = torch.autograd.grad(loss, x)
    assert not slope[:, 0].any()
    assert slope[:, 1].any()
    for wrong in (((-1, 3), (2, 2)), ((3, 3), (-1, 2)), ((3.0, 3.0), (2, 2))):
        with pytest.raises(RuntimeError, match=r"at least 0|integral"):
            ctc(x, labels, *wrong)
    with pytest.raises(RuntimeError, match="size 2 at dimension 0"):
        ctc(x[:, :1], torch.tensor([1]), (3,), (2,))
    with pytest.raises(RuntimeError, match="must not be empty"):
        ctc(x[:0], labels, (0, 0), (2, 2))


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_images_are_read_at_no_points(mode: str) -> None:
    x = torch.ones(1, 2, 3, 3, requires_grad=True)
    grid = torch.zeros(1, 0, 1, 2, requires_grad=True)
    read = torch.nn.functional.grid_sample(x, grid, mode, align_corners=False)
    assert read.shape == (1, 2, 0, 1)
    read.sum().backward()
    assert x.grad is not None
    assert not x.grad.any()
    assert grid.grad is not None
    assert grid.grad.shape == grid.shape
