"""Where transforms meet the rest: tensors from outside, results, what tensors inside are asked."""

from __future__ import annotations

from typing import Any

import pytest

import wengert as torch
from wengert.core.levels import shared
from wengert.func import grad, hessian, jacfwd, jacobian, jacrev, jvp, linearize, vjp, vmap


def test_tensors_from_outside_keep_what_was_written() -> None:
    """Memory, views and arrays see it; nothing of the transform is left on them."""
    buffer, x = torch.zeros(2), torch.tensor([1.0, 2.0])
    array, part = buffer.numpy(), buffer[0]
    grad(lambda y: (buffer.add_(y) * y).sum())(x)
    assert array.tolist() == buffer.tolist() == [1, 2] and part.item() == 1
    jvp(lambda y: part.mul_(y[0] * 3) * y, (x,), (x,))
    assert array.tolist() == buffer.tolist() == [3, 2] and (part + 1).item() == 4
    with pytest.raises(ZeroDivisionError):
        hessian(lambda y: (buffer.mul_(y), 1 / 0))(x)
    assert array.tolist() == buffer.tolist() == [3, 4] and not buffer.requires_grad
    assert buffer.aval.level is None and shared.special == 0


def test_tensors_from_outside_get_the_history_of_what_lies_outside() -> None:
    w, buffer = torch.ones(2, requires_grad=True), torch.zeros(2)
    grad(lambda y: buffer.add_(y * w).sum())(torch.tensor([1.0, 2.0]))
    buffer.sum().backward()
    assert w.grad is not None and w.grad.tolist() == [1, 2]


def test_running_averages_in_a_transform() -> None:
    mean, x = torch.zeros(2), torch.tensor([1.0, 2.0])

    def loss(y: Any) -> Any:
        with torch.no_grad():
            mean.mul_(0.5).add_(y, alpha=0.5)
        return (y * mean).sum()

    assert grad(loss)(x).tolist() == [0.5, 1] and mean.tolist() == [0.5, 1]


def test_vmap_refuses_writes_to_tensors_from_outside() -> None:
    """Only if they differ between examples, and are still there; then they are as before."""
    buffer, xs = torch.ones(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    part = buffer[1]
    for write in (lambda y: buffer.add_(y), lambda y: part.mul_(y[0])):
        with pytest.raises(RuntimeError, match="outside the function was written in place"):
            vmap(write)(xs)
        assert buffer.tolist() == [1, 1] and (part + 1).item() == 2

    def with_a_cycle(y: Any) -> Any:
        own = torch.zeros(2)
        own.add_(y)
        again = lambda: (own, again)  # noqa: E731
        return own * 2

    assert vmap(with_a_cycle)(xs).tolist() == (2 * xs).tolist()


def test_a_primal_that_is_written_inside_is_noticed() -> None:
    x = torch.tensor([1.0, 2.0])
    for transform in (grad, jacrev):
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            transform(lambda y: (y * y * y, x.mul_(10))[0].sum())(x)


def test_aux_is_up_to_date() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        part = y[0]
        y.add_(100)
        return y.sum(), part

    x = torch.tensor([1.0, 2.0])
    assert grad(f, has_aux=True)(x)[1].item() == 102
    assert jvp(f, (x,), (x,), has_aux=True)[2].item() == 102
    assert jacfwd(f, has_aux=True)(x)[1].item() == 102


def test_results_of_vjp_and_linearize_are_the_users() -> None:
    x = torch.tensor([0.0, 1.0])
    y, push = linearize(torch.exp, x)
    y.zero_()
    assert torch.allclose(push(torch.ones(2)), x.exp())
    y, pull = vjp(torch.exp, x)
    y.zero_()
    assert torch.allclose(pull(torch.ones(2))[0], x.exp())


def test_the_function_runs_once_for_its_jacobian() -> None:
    runs: list[int] = []
    jacobian(lambda x: (runs.append(1), x.sum())[1])(torch.ones(3))
    assert len(runs) == 1


def test_complex_and_integer_scalars_have_no_gradient() -> None:
    for f in (lambda z: (z * z).sum(), lambda z: z.abs().argmax()):
        with pytest.raises(RuntimeError, match="real scalar outputs"):
            grad(f)(torch.tensor([1 + 2j]))


def test_grad_of_a_transformed_tensor() -> None:
    x = torch.tensor(2.0)
    assert jvp(lambda y: y * 2 if y.grad is None else y, (x,), (x,))[0].item() == 4
    with pytest.raises(RuntimeError, match=r"no \.grad"):
        grad(lambda y: setattr(y, "grad", y))(x)


def test_anomalies_inside_transforms() -> None:
    with torch.autograd.detect_anomaly(forward=True):
        with pytest.raises(RuntimeError, match="log"):
            grad(lambda x: x.log().sum())(torch.zeros(2))
