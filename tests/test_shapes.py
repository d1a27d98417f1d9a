"""Shapes, views, joins and copies, held against PyTorch program by program, and what they share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wengert as torch

START = """
a = torch.arange(6.).reshape(2, 3); b = torch.arange(24.).reshape(2, 3, 4)
v = torch.arange(3.); s = torch.tensor(1.5); g = torch.arange(6.).reshape(2, 3).requires_grad_()
"""

VALUES = """
torch.hstack((v, v)), torch.hstack((a, a)), torch.vstack((v, a)), torch.dstack((a, a))
torch.column_stack((v, torch.stack((v, v), 1))), torch.row_stack((v, v))
torch.atleast_1d(s), torch.atleast_2d(s, v), torch.atleast_3d([s, v, a, b])
torch.block_diag(a, v, s), torch.block_diag(), torch.block_diag(torch.ones(0, 2), torch.ones(1, 1))
torch.block_diag(torch.tensor([1]), torch.tensor([[1.5]]))
torch.meshgrid(v, s, torch.arange(2.), indexing="xy")
torch.meshgrid([v, v], indexing="ij"), torch.meshgrid(v)
[x.stride() for x in torch.meshgrid(v, v, s, indexing="xy")]
torch.cartesian_prod(v, torch.arange(2.)), torch.cartesian_prod(v)
torch.combinations(v), torch.combinations(v, 3, True), torch.combinations(v, 0)
torch.combinations(v[:1])
torch.cat((v, torch.empty(0))), torch.cat((torch.tensor([1]), v)), torch.concat((a, a), axis=1)
a.tensor_split(2, 1), a.tensor_split((1, -1, 5), 1), a.tensor_split(torch.tensor([1]))
v.hsplit((1,)), a.hsplit(3), a.vsplit(2), b.dsplit((1, 2))
a.split(2, 1), a.split((1, 2), 1), a.chunk(2, 1), torch.ones(0, 2).chunk(3)
a.split_with_sizes((1, 1))
a.rot90(), a.rot90(2), a.rot90(-1), b.rot90(1, (2, 0)), a.rot90(4)
a.rot90().stride(), a.rot90(3).stride(), a.t().flip(0).stride()
a.fliplr(), a.flipud(), a.flip(0, 1), a.flip((0,)), s.flip(0)
a.roll(1), a.roll((1, -2), (0, 1)), a.roll((1, 1), (1, 1)), s.roll(3), torch.empty(0).roll(1)
a.repeat(2, 1, 2), v.repeat(0), a.tile(2), a.tile((2, 1, 1)), s.repeat(2)
v.repeat_interleave(2), a.repeat_interleave(2, 1), a.repeat_interleave(torch.tensor([0, 2]), 0)
torch.repeat_interleave(torch.tensor([2, 0, 1])), s.repeat_interleave(3)
torch.repeat_interleave(torch.tensor([2, 0, 1], dtype=torch.int32)).dtype
v.diag(), a.diag(1), v.diag_embed(1), a.diag_embed(0, 0, 2), a.diagflat(-1), b.diagonal(1, 0, 2)
a.tril(), a.triu(-1), b.tril(1), torch.tensor([[float("nan")] * 2] * 2).triu(1)
torch.tril_indices(3, 4, 1), torch.triu_indices(3, 2, -1, dtype=torch.int32)
v.unfold(0, 2, 1), a.unfold(1, 2, 2), b.unfold(1, 3, 1).stride(), s.unfold(0, 1, 1)
a.as_strided((2, 2), (1, 2), 1), a.t().as_strided((3,), (1,)), a[1].as_strided((2,), (1,))
v.as_strided((), ())
a[1].as_strided((2, 2), (3, 1), 0), a[:, 1].as_strided((2,), (1,))
torch.as_strided_scatter(a, torch.zeros(2), (2,), (2,), 1)
a.t().as_strided_scatter(torch.zeros(2), (2,), (1,))
a.select_scatter(torch.zeros(2), 1, -1), a.slice_scatter(torch.zeros(2, 2), 1, 0, None, 2)
a.diagonal_scatter(torch.zeros(2), 1), a.slice_scatter(torch.zeros(1, 3).double(), 0, -1).dtype
a.clone().fill_diagonal_(9.), torch.zeros(7, 3).fill_diagonal_(1, wrap=True)
torch.zeros(2, 2, 2).fill_diagonal_(5)
torch.broadcast_shapes((2, 1), 3, (4, 1, 1)), torch.broadcast_shapes()
a.sum_to_size(1, 3), a.sum_to_size(3), a.sum_to_size(2, 3), (a > 1).sum_to_size(2, 1)
a.movedim(0, 1), b.movedim((0, 1), (-1, 0)), b.swapaxes(0, 2), b.moveaxis(0, 1).stride()
a.unflatten(1, (3, 1)), a.unflatten(-1, (-1,)), b.flatten(1), s.flatten(), b.flatten(0, 1).shape
a.T, b.mT, a.H, b.mH, a.adjoint(), s.mT, s.H, torch.adjoint(a)
a.view(torch.int32), a.view(torch.int16).shape, torch.ones(2, 4).view(torch.complex64)
b.squeeze(()).shape, torch.ones(1, 2, 1).squeeze((0, 1)).shape, torch.ones(1, 1).squeeze().shape
a.ravel().data_ptr() == a.data_ptr(), a.t().ravel()
b.contiguous(memory_format=torch.contiguous_format) is b
a.contiguous(memory_format=torch.preserve_format) is a
torch.ones(2, 3, 4, 5).clone(memory_format=torch.channels_last).stride()
torch.ones(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).stride()
torch.zeros_like(a.t()).stride()
torch.ones_like(a.t(), memory_format=torch.contiguous_format).stride()
torch.empty_strided((2, 3), (1, 2)).stride(), torch.empty_permuted((2, 3, 4), (2, 0, 1)).stride()
torch.full((2,), 3), torch.full((2,), 1j).dtype, torch.full_like(a.long(), 2.5)
torch.full((2,), torch.tensor(3))
torch.scalar_tensor(3), torch.scalar_tensor(3, dtype=torch.int64), torch.scalar_tensor(True)
a.new_full((2,), 3), a.new_empty(2).shape, a.new_empty_strided((2, 2), (1, 2)).stride()
a.new_ones((2,), dtype=torch.int64)
torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int16, offset=2, count=2)
torch.asarray(a) is a, torch.asarray(a, copy=True) is a, torch.asarray(bytearray(4))
torch.asarray(3.), torch.asarray([True])
torch.arange(0., -8.000001, -4., dtype=torch.int64), torch.arange(1, 3, 0.5), torch.arange(5, 0, -2)
torch.linspace(4.3, 50, 9, dtype=torch.int64), torch.linspace(s, torch.tensor(3.), 3)
torch.linspace(0, 1j, 3)
torch.logspace(0, 3, 4, 2.), torch.logspace(4.3, 1.2, 2, 2., dtype=torch.int64)
torch.logspace(0, 1, 0)
torch.unravel_index(torch.tensor([[3, 5]]), (2, 3)), torch.unravel_index(torch.tensor(4), 6)
torch.result_type(a, 1), torch.result_type(1, 2.), torch.result_type(a.int(), s)
torch.can_cast(torch.float, torch.int)
[repr(torch.finfo(d)) for d in (torch.float16, torch.float32, torch.float64, torch.complex64)]
[repr(torch.iinfo(d)) for d in (torch.int8, torch.int64, torch.uint8)], torch.finfo().bits
torch.iinfo(torch.int32).max
torch.finfo(torch.float32) == torch.finfo(torch.complex64)
torch.finfo(torch.float32).smallest_normal
x = a.clone(); x.t_(); x.unsqueeze_(0); x.squeeze_(); x.transpose_(0, 1); x, x._version
x = torch.ones(1, 2, 1); x.squeeze_(0), x.squeeze_(()), x.as_strided_((2, 2), (0, 1)); x
x = a.clone(); x.resize_(2, 2); y = x.clone(); x.resize_(2, 4).shape, y, x.flatten()[:6]
x = a.clone(); x.resize_as_(torch.ones(3, 2)); x
x = a.clone(); y = x.as_strided((3,), (2,)); y += 10; x
x = a.clone(); x.unfold(1, 2, 2).mul_(0); x
x = a.clone(); x.tril_(); x.triu_(-1); x
"""

HISTORIES = """
x = g * 1; y = x.view(6); x.t_(); y.mul_(2); (x * a.view(3, 2)).sum().backward(); g.grad
x = g * 1; y = x[0]; x.unsqueeze_(0); y.mul_(2); x.mul_(3); (y * v).sum().backward(); g.grad
x = g * 1; x.t_(); y = x[1]; y.mul_(5); x.swapdims_(0, 1); (x * a).sum().backward(); g.grad
x = g * 1; y = x[1:].t_(); y.mul_(4); x.sum().backward(); g.grad
x = g.clone(); y = x.view(6); y.mul_(2); (x.t() * a.view(3, 2)).sum().backward(); g.grad
x = g.clone(); y = x.as_strided((4,), (1,), 1); y.mul_(3); (x * x.detach()).sum().backward(); g.grad
(g.as_strided((2, 3, 2), (1, 1, 2)) * torch.arange(12.).view(2, 3, 2)).sum().backward(); g.grad
(g.t().as_strided((4,), (1,)) * torch.arange(4.)).sum().backward(); g.grad
(g[:, 1:].as_strided((4,), (1,), 1) * torch.arange(4.)).sum().backward(); g.grad
x = g.clone(); y = x.unfold(1, 2, 1); (y * torch.arange(8.).view(2, 2, 2)).sum().backward(); g.grad
x = g.clone(); p, q = x.tensor_split(2); p.mul_(2); x.sum().backward(); g.grad
x = g.clone(); x.fill_diagonal_(0); (x * x).sum().backward(); g.grad
g.t_()
x = g.clone(); p, q = x.split(1); p.mul_(2)
g.clone().resize_(3)
with torch.no_grad(): g.t_()
with torch.no_grad(): g.t_(); g.requires_grad, g.is_leaf, g
"""

ERRORS = """
torch.hstack([])
torch.vstack(a)
torch.cat([])
torch.block_diag(a, b)
torch.meshgrid(v, v.double(), indexing="ij")
torch.meshgrid(v, indexing="foo")
torch.cartesian_prod(a)
torch.combinations(v, -1)
torch.combinations(s)
a.tensor_split(0)
s.tensor_split(1)
a.tensor_split(torch.tensor([1.]))
a.hsplit(2)
v.vsplit(1)
a.dsplit(1)
a.split_with_sizes((-1, 3))
a.split((1, 3))
a.split(-1)
a.split(0)
s.chunk(1)
a.chunk(0)
s.unbind()
a.rot90(1, (0,))
v.rot90()
a.rot90(1, (0, -2))
v.fliplr()
s.flipud()
a.flip(0, 0)
a.roll(())
a.roll((1, 2))
a.roll((1, 2), (0,))
s.roll(1, 0)
a.repeat(2)
a.repeat(-1, 2)
a.repeat_interleave(-1)
a.repeat_interleave(torch.tensor([1, 2, 3]), 0)
a.repeat_interleave(torch.tensor([1, -2]), 0)
a.repeat_interleave(torch.tensor([1., 2]), 0)
a.repeat_interleave(torch.tensor([1, 2]), 0, output_size=5)
a.repeat_interleave(2, 0, output_size=5)
s.diag()
a.diagonal(0, 1, 1)
v.tril()
s.diag_embed()
torch.tril_indices(-1, 2)
torch.triu_indices(2, 3, dtype=torch.float32)
v.unfold(0, 5, 1)
v.unfold(0, 2, 0)
v.unfold(0, -1, 1)
a.as_strided((3, 3), (3, 1), 0)
a.as_strided((3, 3), (3,))
a.as_strided((2,), (-1,), 1)
a.as_strided((2,), (1,), -1)
a.select_scatter(v, 0, 5)
a.select_scatter(a, 0, 0)
a.slice_scatter(a, 0, 0, 2, 0)
a.diagonal_scatter(v)
v.fill_diagonal_(1)
torch.broadcast_shapes((2, 3), (4,))
torch.broadcast_shapes((-2, 3))
a.sum_to_size(2, 2)
a.movedim((0,), (0, 1))
a.movedim((0, -2), (0, 1))
a.unflatten(0, (3, 1))
a.unflatten(0, ())
a.view(torch.float64)
s.view(torch.int16)
torch.ones(3, 2).t().view(torch.int16)
v.mT
v.mH
v.adjoint()
b.H
a.contiguous(memory_format=torch.channels_last)
torch.ones(2, 3).t_().t_().transpose_(0, 2)
torch.full((2,), None)
torch.arange(0, 5, 0)
torch.arange(5, 0)
torch.linspace(0, 1, -1)
torch.linspace(v, 1, 3)
torch.empty_strided((2, 3), (1,))
torch.empty_permuted((2, 3), (0, 0))
torch.empty_permuted((2, 3), (0, 2))
torch.frombuffer(bytearray(b"abcd"), dtype=torch.int16, offset=1)
torch.frombuffer(bytearray(b"abcd"), dtype=torch.int16, count=3)
torch.frombuffer(bytearray(b""), dtype=torch.int16)
torch.frombuffer(3, dtype=torch.int16)
torch.asarray([1, 2], copy=False)
torch.asarray(a, dtype=torch.int32, copy=False)
torch.unravel_index(torch.tensor([1.]), (2, 3))
torch.unravel_index(torch.tensor(5), (2, -3))
torch.finfo(torch.int32)
torch.iinfo(torch.float32)
torch.iinfo(torch.bool)
"""


def lines(table: str) -> list[str]:
    return table.strip().splitlines()


@pytest.mark.parametrize("program", [*lines(VALUES), *lines(HISTORIES), *lines(ERRORS)])
def test_as_in_pytorch(program: str) -> None:
    oracle = pytest.importorskip("oracle")
    told = oracle.compare(f"{START}{program}")
    assert not told, f"{program}\n{told}"


# --- what needs no PyTorch --------------------------------------------------------------------


def test_a_view_of_a_tensor_is_none_of_a_gradient_in_another_order() -> None:
    """A gradient that lies in memory otherwise than the tensor is written at the same elements."""
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    base = x.clone()
    base.view(6).mul_(2.0)
    weight = torch.arange(6.0).reshape(3, 2)
    (base.t() * weight).sum().backward()
    assert torch.equal(x.grad, 2 * weight.t())


def test_the_gradient_of_what_is_overwritten_by_strides_is_zero() -> None:
    """PyTorch's is not."""
    x, y = torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)
    weight = torch.tensor([1.0, 2.0, 3.0])
    (x.as_strided_scatter(y, (2,), (1,), 0) * weight).sum().backward()
    assert x.grad.tolist() == [0, 0, 3]
    assert y.grad.tolist() == [1, 2]


@pytest.mark.parametrize("function", [
    lambda x: x.unfold(0, 3, 1), lambda x: x.as_strided((2, 3), (1, 1)), lambda x: x.rot90(),
    lambda x: x.roll(1, 0), lambda x: x.repeat_interleave(2, 1), lambda x: x.diag_embed(),
    lambda x: torch.block_diag(x, x), lambda x: x.select_scatter(x[0] * 2, 0, 1),
    lambda x: x.as_strided_scatter(x[0] * 2, (2,), (3,)), lambda x: torch.combinations(x[:, 0]),
], ids=range(10))
def test_vmap_is_a_loop(function: Any) -> None:
    rng = np.random.default_rng(1)
    xs = torch.tensor(rng.standard_normal((4, 3, 2)))
    assert torch.equal(torch.vmap(function)(xs), torch.stack([function(x) for x in xs]))


def test_writes_through_strides_are_compiled() -> None:
    def twice(x: Any) -> Any:
        y = x.clone()
        y.as_strided((2,), (2,), 1).mul_(2.0)
        return y.sum() + (y * y).unfold(0, 2, 1).sum()

    run = torch.compile(twice)
    for scale in (1.0, 2.0, 3.0):
        x = scale * torch.arange(4.0)
        assert torch.equal(run(x), twice(x))


def test_a_number_written_where_a_mask_holds_compiles_without_a_look() -> None:
    def clipped(x: Any) -> Any:
        y = x * 1
        y[y < 0] = 0.0
        return y

    run = torch.compile(clipped)
    for sign in (1.0, -1.0, 1.0, -1.0):
        x = sign * torch.tensor([1.0, -2.0, 3.0])
        assert torch.equal(run(x), clipped(x))


@pytest.mark.parametrize("copied", [
    torch.clone, torch.zeros_like, lambda x: x.double(), lambda x: x.to(torch.int32),
    lambda x: torch.full_like(x, 2.0), torch.rand_like])
def test_copies_of_expanded_tensors_can_be_viewed(copied: Any) -> None:
    x = torch.arange(24.0).reshape(2, 1, 3, 4).expand(2, 5, 3, 4)
    assert copied(x).stride() == (60, 12, 4, 1)
    assert copied(x[0, 0].t()).stride() == (1, 4)


def test_words_by_keywords() -> None:
    """Every argument has PyTorch's name, those of functions that take a list's parts as well."""
    x, m = torch.tensor([[1., 2.], [3., 5.]]), torch.eye(2)
    for found, expected in (
            (torch.permute(input=x, dims=(1, 0)), x.T), (torch.flip(input=x, dims=(0,)), x[[1, 0]]),
            (torch.reshape(input=x, shape=(4,)), x.ravel()),
            (torch.split(tensor=x, split_size_or_sections=1)[1], x[1:]),
            (torch.arange(end=3), torch.tensor([0, 1, 2])), (x.swapaxes(axis0=0, axis1=1), x.T),
            (m.clone().addmm_(mat1=x, mat2=m), x + m), (m.clone().pow_(exponent=2), m),
            (m.clone().copy_(other=x), x), (m.clone().eq_(other=m), m * 0 + 1),
            (x.view(dtype=torch.int32), x.view(torch.int32)),
            (torch.linalg.cholesky(input=m), m), (torch.matrix_exp(input=0 * m), m),
            (torch.linalg.lstsq(input=m, b=x).solution, x)):
        assert torch.equal(found, expected), found
    assert torch.can_cast(from_=torch.int64, to=torch.float32)
    assert torch.promote_types(type1=torch.int8, type2=torch.uint8) is torch.int16


def test_memory_that_is_set() -> None:
    x, y = torch.arange(6.0), torch.zeros(2)
    assert y.set_(x, 1, (2, 2)) is y and y.tolist() == [[1, 2], [3, 4]]
    y[0, 0] = 9
    assert x[1] == 9 and not y.is_set_to(x) and y.set_(x).is_set_to(x)
    assert y.set_().shape == (0,) and y.set_(x.untyped_storage()).shape == (6,)
    with pytest.raises(RuntimeError, match="Could not set tensor of type double to a tensor of t"):
        y.set_(x.double())
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        torch.zeros(2, requires_grad=True).set_(x)
    with pytest.raises(RuntimeError, match="out of bounds for storage"):
        y.set_(x, 0, (7,))
    saved = torch.ones(6, requires_grad=True) * y
    y.set_(torch.ones(6))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        saved.sum().backward()


def test_orders_of_dimensions_and_reversed() -> None:
    x = torch.zeros(2, 3, 4)
    assert x.dim_order() == (0, 1, 2) and x.permute(2, 0, 1).dim_order() == (1, 2, 0)
    assert reversed(torch.arange(3)).tolist() == [2, 1, 0]


def test_python_functions_of_elements() -> None:
    x = torch.zeros(2, 3)
    x[:, 1].apply_(lambda number: number + 1.5)
    assert x.tolist() == [[0, 1.5, 0]] * 2
    assert torch.arange(3).map_(torch.tensor(2), lambda a, b: a * b).tolist() == [0, 2, 4]
    assert torch.arange(2).map2_(*[torch.ones(2).long()] * 2, lambda *n: sum(n)).tolist() == [2, 3]
    with pytest.raises(RuntimeError, match="Can't call apply_"):
        torch.zeros(2, requires_grad=True).apply_(abs)
    with pytest.raises(TypeError, match=r"expected torch\.FloatTensor for 'other'"):
        x.map_(torch.zeros(3).double(), max)
