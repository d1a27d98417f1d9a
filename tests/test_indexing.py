"""Reading and writing by index, held against PyTorch; combining where an index sends elements."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch

START = """
a = torch.arange(6.).reshape(2, 3); v = torch.arange(3.); s = torch.tensor(1.5)
i = torch.tensor([[0, 2, 0], [1, 1, 2]]); k = torch.tensor([1, 0]); z = a + 1
g, h = a.clone().requires_grad_(), (a + 2).requires_grad_(); both = (True, False)
"""

VALUES = """
a.gather(1, i), s.gather(0, torch.tensor([0, 0])), v.gather(0, torch.tensor(1))
a.gather(0, i[:1, :2].int() // 2)
a.scatter(1, i[:, 1:], z), a.scatter(1, i, 7), a.scatter(0, torch.tensor([[1]]), 5.)
s.scatter(0, torch.tensor(0), s)
a.scatter(1, i[:, 1:], 2., reduce="multiply"), a.scatter(1, i, 2., reduce="add")
a.long().scatter(1, i, 1.7)
a.scatter_add(1, i, z), a.scatter_add(0, i[:1, :2] // 2, z)
a.scatter(1, torch.empty(0, dtype=torch.int64), z)
[a.scatter_reduce(1, i, z, how) for how in ("sum", "prod", "mean", "amax", "amin")]
[a.scatter_reduce(1, i, z, how, include_self=False) for how in ("sum", "prod", "mean", "amax")]
[a.long().scatter_reduce(1, i, z.long(), "mean", include_self=c) for c in both]
[a.long().scatter_reduce(1, i, z.long(), "amax", include_self=c) for c in both]
a.index_select(1, k), s.index_select(0, torch.tensor([0])), a.index_select(0, torch.tensor(1))
a.index_add(0, k, z), a.index_add(1, torch.tensor([2, 2, 0]), z, alpha=-2)
v.index_add(0, torch.tensor([1, 1]), v[:2])
a.index_copy(0, k, z), a.index_copy(1, torch.tensor([2]), z[:, :1])
s.index_copy(0, torch.tensor(0), s * 2)
a.index_fill(1, k, 9), a.index_fill(0, torch.tensor([-1, -1]), s)
a.long().index_fill(0, k[:1], 1.5)
[a.index_reduce(1, torch.tensor([0, 2, 0]), z, "mean", include_self=c).tolist() for c in both]
[a.index_reduce(1, torch.tensor([0, 2, 0]), z, "prod", include_self=c).tolist() for c in both]
a.take(torch.tensor([[0, -1], [3, 3]])), a.put(k, v[:2])
a.put(torch.tensor([1, 1]), v[1:], accumulate=True)
torch.take_along_dim(a, torch.tensor([5, 0])), a.take_along_dim(torch.tensor([[-1], [0]]), 1)
a.take_along_dim(k[None, :1], 0)
a.masked_select(a > 2), v.masked_select(a > 2), a.masked_scatter(a > 2, z)
v.masked_scatter(a > 2, z)
a.nonzero(), a.argwhere(), (a > 1).nonzero(as_tuple=True), s.nonzero(), torch.zeros(0, 2).nonzero()
torch.nonzero_static(a, size=3), torch.nonzero_static(a, size=7, fill_value=-2)
torch.nonzero_static(s, size=2)
a.index_put((k,), s), a.index_put((i // 2, i), z, accumulate=True)
a.index_put((a > 2,), s)
a.narrow(1, -2, 2), a.narrow(0, torch.tensor(1), 1), a.narrow_copy(1, 0, 2), a.select(1, -1)
x = a.clone(); x.scatter_(1, i, z).scatter_add_(1, i, z).index_add_(0, k, z); x, x._version
x = a.clone(); x.index_fill_(1, k[:1], 4.).index_fill_(0, k[1:], s); x, x._version
x = a.clone(); x.t().scatter_add_(0, i.t(), z.t()); x.t().index_add_(1, k, z.t()); x
x = a.clone(); x.scatter_reduce_(1, i, z, "amax").index_copy_(1, k, z[:, :2]); x
x = a.clone(); x.masked_scatter_(x > 2, v).tril_(); x
x = a.clone(); x.index_reduce_(0, k, z, "mean").put_(k, v[:2]).index_put_((k,), s, True); x
x = a.clone(); x[x > 2] = -1; x[torch.tensor([True, False])] = s; x
x = a.clone(); x[[0, 1], [2, 0]] = 5; x[..., None, k] = z[:, None, :2]; x[:, 1:][k] = 8; x
a[[0, 1]], a[[True, False]], a[None, k], a[k, ..., None], a[:, [2, 0]][1], a[np.array([1])]
a[k[:, None], k]
v[torch.tensor([1, 0, 1], dtype=torch.uint8)]
a[True], a[torch.tensor(False)], a[()], a[...], a[1, None, ::2], a[torch.tensor(1)], a[k.int()]
s[None], s[...], s[True]
"""

HISTORIES = """
(g.gather(1, i) * z).sum().backward(); g.grad
(g.scatter(0, i[:1] // 2, h[:1]) * z).sum().backward(); g.grad, h.grad
(g.scatter_add(1, i, h) * z).sum().backward(); g.grad, h.grad
(g.scatter_reduce(1, i, h, "prod") * z).sum().backward(); g.grad, h.grad
x = g.scatter_reduce(1, i, h - 2, "prod", include_self=False); (x * z).sum().backward(); h.grad
(g.scatter_reduce(1, i, h.round() // 2 * h, "amax") * z).sum().backward(); g.grad, h.grad
(g.scatter_reduce(1, i, torch.ones(2, 3) * h[:1, :1], "amin") * z).sum().backward(); g.grad, h.grad
(g.scatter_reduce(1, i, h, "mean", include_self=False) * z).sum().backward(); g.grad, h.grad
(g.index_add(0, k, h, alpha=3) * z).sum().backward(); g.grad, h.grad
(g.index_copy(0, k[:1], h[1:]) * z).sum().backward(); g.grad, h.grad
s.requires_grad_(); (g.index_fill(1, k * 0 + 2, s) * z).sum().backward(); g.grad, s.grad
(g.index_select(1, torch.tensor([1, 1, 0])) * z).sum().backward(); g.grad
(g.masked_scatter(g > 2, h) * z).sum().backward(); g.grad, h.grad
(g.masked_select(g > 2) * v).sum().backward(); g.grad
(g.take(torch.tensor([0, 0, 5])) * v).sum().backward(); g.grad
(g.put(k, h[0, :2], accumulate=True) * z).sum().backward(); g.grad, h.grad
(g[k, [2, 2]] * v[1:]).sum().backward(); g.grad
(g.index_put((k,), h[0], True) * z).sum().backward(); g.grad, h.grad
x = g.clone(); x.scatter_reduce_(1, i, h, "prod"); (x * z).sum().backward(); g.grad, h.grad
x = g.clone(); x[x > 2] = s; (x * z).sum().backward(); g.grad
x = g.clone(); x[0].index_add_(0, k, h[0, :2]); (x * z).sum().backward(); g.grad, h.grad
g.scatter_(1, i, h)
"""

ERRORS = """
a.gather(1, i.float())
a.gather(1, torch.tensor([0]))
a.gather(1, torch.tensor([[5]]))
a.gather(1, torch.tensor([[-1]]))
a.gather(1, torch.zeros(3, 1).long())
a.gather(2, i)
a.scatter(1, i.short(), 1.)
a.scatter(1, i, a.double())
a.scatter(1, torch.tensor([[5]]), 1.)
a.scatter(1, torch.tensor([0]), a)
a.scatter(1, torch.zeros(3, 1).long(), torch.ones(3, 3))
a.scatter(1, i, a, reduce="foo")
a.scatter_add(1, i, a.double())
a.scatter_add(1, torch.tensor([[5]]), a)
a.scatter_reduce(1, i, a, "mul")
a.index_add(0, torch.tensor([0, 5]), a)
a.index_add(0, torch.tensor([[0, 1]]), a)
a.index_add(0, torch.tensor([0]), a)
a.index_add(0, k, a.double())
a.index_add(0, k.float(), a)
a.index_add(0, k, torch.ones(2, 4))
a.index_copy(0, torch.tensor([0, 5]), a)
a.index_copy(0, torch.tensor([[0, 1]]), a)
a.index_copy(0, torch.tensor([0]), a)
a.index_copy(0, k, a.double())
a.index_copy(0, k.int(), a)
a.index_copy(0, k, torch.ones(2, 4))
a.index_copy(0, k, v)
a.index_fill(0, torch.tensor([0, 5]), 1.)
a.index_fill(0, torch.tensor([[0]]), 1.)
a.index_fill(0, k.int(), 1.)
a.index_fill(0, k, torch.ones(2))
a.index_fill(0, k, 1j)
a.index_reduce(0, torch.tensor([0, 5]), a, "prod")
a.index_reduce(0, k, a, "sum")
a.index_select(0, torch.tensor([0, 5]))
a.index_select(0, torch.tensor([[0]]))
a.index_select(0, k.short())
s.index_select(0, torch.tensor([0, 0]))
a.take(torch.tensor([7]))
a.take(k.int())
torch.empty(0).take(torch.tensor([0]))
a.put(torch.tensor([7]), v[:1])
a.put(k, v[:1])
a.put(k, v[:2].double())
torch.take_along_dim(a, i.float(), 1)
torch.take_along_dim(a, k, 1)
a.masked_select(i)
a.masked_select(torch.ones(4) > 0)
a.masked_scatter(a > -1, v)
a.masked_scatter(a > 0, a.double())
a.narrow(0, 1, 5)
a.narrow(0, 5, 1)
a.narrow(0, 0, -1)
s.narrow(0, 0, 1)
a.narrow(0, torch.tensor([1]), 1)
a.select(0, 5)
s.select(0, 0)
torch.nonzero_static(a, size=-1)
a[::-1]
a[::0]
a[5]
a[0, 0, 0]
a[torch.tensor([5])]
a[torch.tensor([1.])]
a[torch.tensor([1], dtype=torch.int16)]
a[torch.tensor([True])]
a[k, torch.tensor([0, 1, 2])]
s[0]
"""


def lines(table: str) -> list[str]:
    return table.strip().splitlines()


@pytest.mark.parametrize("program", [*lines(VALUES), *lines(HISTORIES), *lines(ERRORS)])
def test_as_in_pytorch(program: str) -> None:
    oracle = pytest.importorskip("oracle")
    told = oracle.compare(f"{START}{program}", warns="index_reduce" not in program)
    assert not told, f"{program}\n{told}"


# --- any mixture of indices -------------------------------------------------------------------

Item = Callable[[Any], Any]


def _item(rng: random.Random, shape: tuple[int, ...], dim: int) -> Item:
    """One item of an index, as a function of the library."""
    n = shape[dim] if dim < len(shape) else 2
    kind = rng.randrange(12)
    if kind < 4:
        plain = (rng.randrange(-n, n), None, Ellipsis, slice(
            rng.choice((None, 1, -2)), rng.choice((None, 2, -1)), rng.choice((None, 2))))[kind]
        return lambda library: plain
    if kind == 4:
        return lambda library: library.tensor(rng is not None)
    if kind < 7:
        mask = [rng.random() < 0.5 for _ in range(n)]
        return (lambda library: mask) if kind == 5 else lambda library: library.tensor(mask)
    places = np.array([rng.randrange(-n, n) for _ in range(2)]).reshape(rng.choice(((2,), (2, 1))))
    return {7: lambda library: places.tolist(), 8: lambda library: places,
            9: lambda library: library.tensor(int(places.flat[0]))}.get(
                kind, lambda library: library.from_numpy(places.copy()))


def _outcome(library: Any, shape: tuple[int, ...], turned: bool, items: list[Item],
             value: int) -> Any:
    """What an index reads, its strides and gradient, and what is left when it is written."""
    numbers = np.arange(float(np.prod(shape))).reshape(shape)
    leaf = library.from_numpy(numbers).requires_grad_()
    x = leaf.transpose(0, -1) if turned else leaf * 1
    index = tuple(item(library) for item in items)
    try:
        found = x[index]
        y = x.detach().clone()
        y[index] = float(value) if value else library.arange(0., found.numel()).reshape(
            found.shape).to(y.dtype)
    except Exception as error:
        return type(error).__name__
    steps = [n for n, size in zip(found.stride(), found.shape, strict=True) if size > 1]
    (found * library.arange(0., found.numel()).reshape(found.shape)).sum().backward()
    return (found.tolist(), steps if found.numel() and 1 not in found.shape else None,
            leaf.grad.tolist(), y.tolist())


@pytest.mark.parametrize("seed", range(8))
def test_mixtures_of_indices(seed: int) -> None:
    oracle = pytest.importorskip("torch")
    rng = random.Random(seed)
    for _ in range(60):
        shape = rng.choice(((3, 4), (2, 3, 4), (3,), (2, 2, 3, 2)))
        items = [_item(rng, shape, dim) for dim in range(rng.choice((1, 2, 2, 3)))]
        how = shape, rng.random() < 0.3 and len(shape) > 1, items, rng.choice((0, 7))
        ours, theirs = _outcome(torch, *how), _outcome(oracle, *how)
        assert ours == theirs, [item(oracle) for item in items]


# --- what needs no PyTorch --------------------------------------------------------------------


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_large_ones_are_worked_on_in_parts(dim: int) -> None:
    """Beyond the size from which rows are spread over threads, results are those of NumPy."""
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((2, 70, 40, 60))
    index = rng.integers(0, x.shape[dim], x.shape)
    tx, tz, ti = map(torch.from_numpy, (x, z, index))
    grid = list(np.ogrid[tuple(slice(n) for n in x.shape)])
    grid[dim] = index
    assert np.array_equal(tx.gather(dim, ti).numpy(), x[tuple(grid)])
    added = x.copy()
    np.add.at(added, tuple(grid), z)
    np.testing.assert_allclose(tx.scatter_add(dim, ti, tz).numpy(), added)
    least = x.copy()
    np.minimum.at(least, tuple(grid), z)
    assert np.array_equal(tx.scatter_reduce(dim, ti, tz, "amin").numpy(), least)
    row = rng.integers(0, x.shape[dim], x.shape[dim])
    put = x.copy()
    put[(slice(None),) * dim + (row,)] = z
    assert np.array_equal(tx.index_copy(dim, torch.from_numpy(row), tz).numpy(), put)
    summed = x.copy()
    np.add.at(summed, (slice(None),) * dim + (row,), z)
    np.testing.assert_allclose(tx.index_add(dim, torch.from_numpy(row), tz).numpy(), summed)


def test_a_source_may_be_larger_than_its_index() -> None:
    """PyTorch's gradient has the wrong shape, and it says so."""
    index, weight = torch.tensor([[2, 0]]), torch.arange(6.0).reshape(2, 3)
    for name in ("scatter", "scatter_add"):
        x, z = torch.zeros(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
        (getattr(x, name)(1, index, z) * weight).sum().backward()
        assert z.grad.tolist() == [[2, 0, 0], [0, 0, 0]]


def test_gradients_of_products_with_zeros() -> None:
    """The product of the others is right where one of them is 0, and where several are."""
    x = torch.tensor([2.0, 0.0, 3.0], dtype=torch.float64, requires_grad=True)
    z = torch.tensor([0.0, 5.0, 7.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
    index = torch.tensor([0, 0, 1, 2, 2])
    assert torch.autograd.gradcheck(
        lambda x, z: x.scatter_reduce(0, index, z, "prod"), (x, z))


@pytest.mark.parametrize("name", ["scatter_add", "scatter", "index_add", "index_copy"])
def test_an_index_out_of_range_leaves_what_was_to_be_written(name: str) -> None:
    x = torch.zeros(3, 2)
    index = torch.tensor([0, 3])
    args = (index[:, None], torch.ones(2, 1)) if name.startswith("scatter") else (
        index, torch.ones(2, 2))
    with pytest.raises((RuntimeError, IndexError), match="out of bounds"):
        getattr(x, f"{name}_")(0, *args)
    assert not x.any()


def test_an_index_of_nothing_keeps_the_history() -> None:
    """A graph without edges: its sums are differentiable, if no element of them is."""
    x, index = torch.zeros(0, 3, requires_grad=True), torch.zeros(0, 3, dtype=torch.int64)
    for found in (torch.zeros(2, 3).scatter_add(0, index, x),
                  torch.zeros(2, 3).scatter_reduce(0, index, x, "amax"),
                  torch.zeros(2, 3).index_reduce(0, index[:, 0], x, "prod"),
                  torch.zeros(2, 3).scatter_(0, index, x)):
        assert torch.autograd.grad(found.sum(), x)[0].shape == (0, 3)


@pytest.mark.parametrize("index", [slice(1, 3), ..., (slice(None), 1), None])
def test_expanded_elements_are_not_written_by_index(index: Any) -> None:
    x = torch.ones(1, 4).expand(4, 4)
    with pytest.raises(RuntimeError, match="more than one element"):
        x[index] = 7.0
    assert (x == 1).all()
    x[0] = 2.0  # no element twice
    assert (x == 2).all()


def test_an_index_writes_what_broadcasts() -> None:
    """Rows, columns and numbers are broadcast; what does not is refused, and changes nothing."""
    for index, shape in ((slice(1, 3), (3,)), (slice(1, 3), (2, 1)), (..., (1, 1, 3)),
                         ((slice(None), 1), (4,)), ((0, ...), ()), ((None, 2), (1, 3))):
        value, x, expected = torch.rand(shape), torch.zeros(4, 3), np.zeros((4, 3), "f4")
        x[index], expected[index] = value, value.numpy().reshape(shape[-2:])
        assert x.numpy().tobytes() == expected.tobytes() and x._version == 1
        with pytest.raises(RuntimeError):
            x[index] = torch.ones(2, 2)
        assert x.numpy().tobytes() == expected.tobytes()
