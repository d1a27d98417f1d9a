"""Compiled functions with results that depend on nothing, and with memory that repeats itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import wengert as torch
from sides import counted
from wengert.func import grad, jacfwd, jvp, vmap

A = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def backward(a: torch.Tensor) -> torch.Tensor:
    leaf = a.detach().requires_grad_()
    (leaf * 2).sum().backward()
    assert leaf.grad is not None
    return leaf.grad


def asked(a: torch.Tensor) -> torch.Tensor:
    leaf = a.detach().requires_grad_()
    (found,) = torch.autograd.grad((leaf * 2).sum(), leaf)
    return found


CONSTANT: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "grad of a sum": grad(lambda a: a.sum()),
    "grad of a multiple": grad(lambda a: (a * 2).sum()),
    "grad of a mean": grad(lambda a: a.mean()),
    "grad of what isn't used": lambda a: grad(lambda b: (a * a).sum())(a),
    "autograd.grad": asked,
    "backward": backward,
    "jvp": lambda a: jvp(lambda b: b * 3, (a,), (torch.ones(2, 3),))[1],
    "jacfwd": jacfwd(lambda a: a * 3),
    "made of nothing": lambda a: torch.full((3,), 4.0),
    "made of a list": lambda a: torch.as_tensor([1.0, 2.0]),
    "indices": lambda a: torch.nonzero(a > 2),
}


@pytest.mark.parametrize("name", CONSTANT)
def test_constant_results_are_new_in_each_call(name: str) -> None:
    """Writing into one changes no other, and nothing runs as Python for it."""
    inner, compiled = counted(CONSTANT[name])
    expected = CONSTANT[name](A).tolist()
    results = [compiled(A) for _ in range(3)]
    assert inner.runs == 1
    assert len({id(r) for r in results}) == len({r.data_ptr() for r in results}) == 3
    for result in results:
        assert result.tolist() == expected
        result.mul_(7)
    assert compiled(A).tolist() == expected


def test_examples_of_a_constant_gradient() -> None:
    slopes = torch.compile(vmap(grad(lambda a: a.sum() * 2)))
    for _ in range(3):
        assert slopes(A).tolist() == [[2.0] * 3] * 2


def test_a_cotangent_that_is_broadcast_is_read_by_its_parts() -> None:
    """The gradient of a sum of sums, where one number's memory is seen in several shapes."""
    def total(a: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        x, out = rows[0] * 0, torch.tensor(0.0)
        for t in range(3):
            error = rows[t] - x
            x = x + a @ error
            out = out + (error * error).sum()
        return out

    rows = torch.linspace(-1, 1, 12).reshape(4, 3)
    a = torch.linspace(-0.3, 0.4, 9).reshape(3, 3)
    inner, compiled = counted(grad(total))
    for scale in (1.0, 2.0, 3.0):
        expected = grad(total)(a, rows * scale)
        assert torch.allclose(compiled(a, rows * scale), expected, rtol=1e-5)
    assert inner.runs == 1


def test_numpy_arrays_from_outside_are_read_in_each_call() -> None:
    known = np.zeros(3)
    scaled = torch.compile(lambda w: (w * torch.from_numpy(known)).sum())
    for n in range(4):
        known[:] = n
        assert scaled(torch.ones(3)).item() == 3 * n


def test_tensors_in_the_memory_of_arrays_made_inside_are_new() -> None:
    def moved(w: torch.Tensor) -> torch.Tensor:
        x = torch.as_tensor(np.ones(3))
        return x.add_(w) * 1

    compiled = torch.compile(moved)
    with pytest.warns(UserWarning, match="memory of a NumPy array"):
        results = [compiled(torch.ones(3)).tolist() for _ in range(4)]
    assert results == [[2.0] * 3] * 4


def test_numbers_worked_out_on_the_way_are_the_same_in_each_run() -> None:
    """Of a line search, whose gradient's rules divide a one by a two: runs are told apart by what
    they look at, and by nothing else."""
    scale = torch.tensor([1.0, 2.0])

    def energy(x: torch.Tensor) -> torch.Tensor:
        return ((x - 1) * scale * (x - 1)).sum() / 2 + (x ** 4).sum() / 10

    def step(x: torch.Tensor) -> torch.Tensor:
        slope, rate = grad(energy)(x), 1.0
        while energy(x - rate * slope) > energy(x) - 1e-4 * rate * (slope * slope).sum():
            rate *= 0.5
        return x - rate * slope

    inner, compiled = counted(step)
    for n in (1, 2, 5, 9, 3, 1, 2, 5, 9, 3):
        start = torch.tensor([1.0, 0.5]) * n
        assert torch.allclose(compiled(start), step(start))
    assert inner.runs <= 5
