"""Convolutions, pools and resampling beyond what the generated tests and PyTorch's samples see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.core.aval import LARGE
from wengert.core.blas import NUMPY, one_thread
from wengert.primitives.columns import CACHED, Geometry, _long
from wengert.primitives.convolution import conv, conv_input, conv_weight

F = torch.nn.functional
Array = np.ndarray


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


# --- convolutions -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", [
    Geometry((1, 2), ((1, 0), (2, 1)), (2, 1), 2), Geometry((1, 1), ((1, 0), (0, 1)), (1, 2), 2)])
def test_blocks_and_threads(how: Geometry) -> None:
    """Many examples, laid out block by block on several threads, give what single ones give."""
    x, w = noise(43, 4, 40, 41), noise(6, 2, 3, 4)
    out = conv(x, w, how=how)
    assert len(x) * 2 * w[0].size * out[0, 0].size > max(4 * CACHED, LARGE)
    assert (_long(x.shape, (3, 4), how) is None) == (how.stride != (1, 1))
    g, sizes = noise(*out.shape, seed=1), x.shape[2:]
    each = [(x[i:i + 1], g[i:i + 1]) for i in range(len(x))]
    np.testing.assert_allclose(out, np.concatenate([conv(a, w, how=how) for a, _ in each]))
    np.testing.assert_allclose(
        conv_input(g, w, sizes=sizes, how=how),
        np.concatenate([conv_input(b, w, sizes=sizes, how=how) for _, b in each]))
    np.testing.assert_allclose(
        conv_weight(x, g, size=(3, 4), how=how),
        sum(conv_weight(a, b, size=(3, 4), how=how) for a, b in each), rtol=1e-10)


def test_blas_gets_its_threads_back() -> None:
    """Also when a caller fails, and only after the last of several."""
    functions = NUMPY.functions
    if functions is None:
        pytest.skip("this NumPy's BLAS can't be told")
    before = functions[0]()
    with pytest.raises(ZeroDivisionError), one_thread():
        with one_thread():
            assert functions[0]() == 1
        assert functions[0]() == 1
        raise ZeroDivisionError
    assert functions[0]() == before


@pytest.mark.parametrize(("stride", "padding", "dilation", "more"), [
    (1, 0, 1, 0), (2, 1, 1, 1), (3, 2, 2, 2), (1, 0, 3, 2), (1, 2, 3, 1), (2, 0, 5, 4)])
def test_transposed_is_the_transpose(stride: int, padding: int, dilation: int, more: int) -> None:
    """<conv(y), x> = <y, conv_transpose(x)>, output padding of any size included."""
    x, w = torch.tensor(noise(2, 3, 5)), torch.tensor(noise(3, 2, 3))
    back = F.conv_transpose1d(x, w, None, stride, padding, more, 1, dilation)
    assert back.shape[-1] == 4 * stride - 2 * padding + 2 * dilation + more + 1
    y = torch.tensor(noise(*back.shape, seed=1))
    there = F.conv1d(y, w, None, stride, padding, dilation)[..., :5]
    assert (there * x).sum().item() == pytest.approx((y * back).sum().item(), rel=1e-12)


def test_same_padding_of_even_kernels() -> None:
    """The odd zero goes behind."""
    found = F.conv1d(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[[1.0, 10.0]]]),
                     padding="same")
    assert found.tolist() == [[21.0, 32.0, 3.0]]


def test_complex_gradients() -> None:
    """Those of |conv(x, w)|**2, against differences."""
    x = torch.tensor(noise(1, 2, 4) + 1j * noise(1, 2, 4, seed=1), requires_grad=True)
    w = torch.tensor(noise(3, 2, 2) + 1j * noise(3, 2, 2, seed=2), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: (F.conv1d(x, w).abs() ** 2).sum(), (x, w))


def test_gradients_per_example() -> None:
    """vmap of a gradient in the kernels: each example has its own."""
    x, w = torch.tensor(noise(4, 2, 5, 5)), torch.tensor(noise(3, 2, 2, 2))

    def loss(w: Any, x: Any) -> Any:
        return (F.conv2d(x, w) ** 2).sum()

    many = torch.vmap(torch.func.grad(loss), (None, 0))(w, x)
    each = torch.stack([torch.func.grad(loss)(w, one) for one in x])
    np.testing.assert_allclose(many.numpy(), each.numpy())


def test_half_is_rounded_once() -> None:
    x, w = noise(1, 8, 9).astype(np.float16), noise(1, 8, 9).astype(np.float16)
    found = F.conv1d(torch.tensor(x), torch.tensor(w))
    exact = (x.astype(np.float64) * w).sum()
    assert found.dtype is torch.float16
    assert found.item() == np.float16(exact)


def test_compiled_makes_loops_and_products() -> None:
    """No convolution is called: value and gradients are native, and eager's numbers."""
    x, w, b = (torch.tensor(noise(*s)) for s in ((3, 2, 6, 6), (4, 2, 3, 3), (4,)))

    def step(x: Any, w: Any, b: Any) -> Any:
        x, w, b = (each.detach().requires_grad_(True) for each in (x, w, b))
        h = F.avg_pool2d(torch.tanh(F.conv2d(x, w, b, padding=1)), 2)
        return torch.autograd.grad(F.max_pool2d(h, 3).sum() + (h * h).sum(), (x, w, b))

    compiled = torch.compile(step)
    expected = step(x, w, b)
    for _ in range(3):
        for found, wanted in zip(compiled(x, w, b), expected, strict=True):
            np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-12, atol=1e-12)
    said = str(compiled.explain())
    assert "product of 3 times 4 x 18 x 36" in said
    assert "call of" not in said


WRONG: list[tuple[Any, str]] = [
    (lambda x, w: F.conv2d(x, w, groups=2), "expected input.* to have 8 channels, but got 4"),
    (lambda x, w: F.conv2d(x, w, stride=0), "non-positive stride is not supported"),
    (lambda x, w: F.conv2d(x, w, padding=-1), "negative padding is not supported"),
    (lambda x, w: F.conv2d(x, w, dilation=3), r"padded input size per channel: \(5 x 6\). Kernel"),
    (lambda x, w: F.conv2d(x, w, torch.ones(5)), "expected bias to be 1-dimensional with 6"),
    (lambda x, w: F.conv2d(x, w.double()), "Input type .* and weight type .* should be the same"),
    (lambda x, w: F.conv2d(x, w, stride=(1, 1, 1)), "a list of 2 values to match the convolution"),
    (lambda x, w: F.conv2d(x, w, padding="some"), "Invalid padding string: 'some'"),
    (lambda x, w: F.conv2d(x, w, padding="same", stride=2), "not supported for strided"),
    (lambda x, w: F.conv1d(x, w), r"Expected 2D \(unbatched\) or 3D \(batched\) input to conv1d"),
    (lambda x, w: F.conv_transpose2d(x, w[:4, :4], output_padding=1), "output padding must be"),
    (lambda x, w: F.max_pool2d(x, 2, padding=2), "pad should be at most half of effective kernel"),
    (lambda x, w: F.avg_pool2d(x, 9), r"Given input size: \(4x5x6\). Calculated output size"),
    (lambda x, w: F.avg_pool2d(x, 2, divisor_override=0), "divisor must be not zero"),
    (lambda x, w: F.adaptive_avg_pool2d(x, (2, -1)), "greater than or equal to 0"),
    (lambda x, w: F.fold(x[0], (9, 9), 2), "divisible by the product of kernel_size"),
    (lambda x, w: F.pad(x, (1, 1, 5, 1), mode="reflect"), "should be less than the corresponding"),
    (lambda x, w: F.pixel_shuffle(x, 3), "input.size\\(-3\\)=4 is not divisible by 9"),
    (lambda x, w: F.interpolate(x, 0), "Input and output sizes should be greater than 0"),
    (lambda x, w: F.grid_sample(x, torch.zeros(2, 1, 1, 3), align_corners=False),
     "expected grid to have size 2 in last dimension"),
]


@pytest.mark.parametrize(("call", "words"), WRONG, ids=[words[:30] for _, words in WRONG])
def test_errors(call: Any, words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        call(torch.ones(2, 4, 5, 6), torch.ones(6, 4, 3, 3))


# --- pools ------------------------------------------------------------------------------------


def test_ties_and_nan() -> None:
    """The first of equal elements takes the gradient; NaN is the largest, the last of several."""
    x = torch.tensor([[1.0, 1.0, 0.0, 1.0, float("nan"), float("nan")]], requires_grad=True)
    values, places = F.max_pool1d(x, 2, return_indices=True)
    np.testing.assert_array_equal(values.detach().numpy(), [[1, 1, np.nan]])
    assert places.tolist() == [[0, 3, 5]]
    F.max_pool1d(x, 2).backward(torch.tensor([[1.0, 2.0, 3.0]]))
    assert x.grad.tolist() == [[1.0, 0.0, 0.0, 2.0, 0.0, 3.0]]


def test_places_are_never_padding() -> None:
    """Not even where nothing is larger than the padding."""
    x = torch.full((1, 3, 3), float("-inf"))
    _, places = F.max_pool2d(x, 3, 1, 1, return_indices=True)
    assert places.tolist() == [[[0, 0, 1], [0, 0, 1], [3, 3, 4]]]
    _, places = F.max_pool1d(x[0], 2, 1, 1, dilation=2, return_indices=True)
    assert places[0].tolist() == [1, 0, 1]


def test_overlapping_windows_add_up() -> None:
    x = torch.tensor([[0.0, 5.0, 0.0]], requires_grad=True)
    F.max_pool1d(x, 2, 1).sum().backward()
    assert x.grad.tolist() == [[0.0, 2.0, 0.0]]


def test_means_of_integers_go_towards_zero() -> None:
    assert F.avg_pool1d(torch.tensor([[-3, 0, 3, 0]]), 2).tolist() == [[-1, 1]]


def test_adaptive_windows_cover_everything() -> None:
    x = torch.tensor(noise(1, 2, 7, 5))
    found = F.adaptive_max_pool2d(x, (3, 2), return_indices=True)
    rows, columns = ((0, 3), (2, 5), (4, 7)), ((0, 3), (2, 5))
    for i, (a, b) in enumerate(rows):
        for j, (c, d) in enumerate(columns):
            part = x.numpy()[:, :, a:b, c:d]
            np.testing.assert_array_equal(found[0][:, :, i, j].numpy(), part.max((2, 3)))
    flat = x.numpy().reshape(1, 2, -1)
    np.testing.assert_array_equal(
        np.take_along_axis(flat, found[1].numpy().reshape(1, 2, -1), 2), found[0].numpy().reshape(
            1, 2, -1))


# --- resampling and padding -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "area"])
def test_infinities_stay_where_they_are(mode: str) -> None:
    """What takes no part in a sum has no effect on it; nor in the gradient."""
    x = np.zeros((1, 1, 9, 9))
    x[..., 4, 4] = np.inf
    leaf = torch.tensor(x, requires_grad=True)
    out = F.interpolate(leaf, 5, mode=mode)
    assert np.isfinite(out.detach().numpy()[0, 0, 0]).all()
    g = np.zeros((1, 1, 5, 5))
    g[..., 2, 2] = np.inf
    out.backward(torch.tensor(g))
    assert np.isfinite(leaf.grad.numpy()[0, 0, 0]).all()


def test_shuffling_by_one_copies() -> None:
    x = torch.ones(1, 1, 2, 2)
    F.pixel_shuffle(x, 1).mul_(2)
    F.pixel_unshuffle(x, 1).mul_(2)
    assert x.tolist() == torch.ones(1, 1, 2, 2).tolist()


def test_a_constant_beside_negative_zero() -> None:
    found = F.pad(torch.tensor([-0.0]), (1, 0), value=3.0)
    assert found.tolist() == [3.0, 0.0]
    assert np.signbit(found.numpy()[1])


def test_unfold_and_fold_are_transposes() -> None:
    x = torch.tensor(noise(2, 3, 6, 5))
    how = {"kernel_size": (2, 3), "dilation": (2, 1), "padding": (1, 0), "stride": (2, 1)}
    columns = F.unfold(x, **how)
    y = torch.tensor(noise(*columns.shape, seed=1))
    back = F.fold(y, (6, 5), **how)
    assert (columns * y).sum().item() == pytest.approx((x * back).sum().item(), rel=1e-12)


def test_sampling_at_the_grid_of_the_identity() -> None:
    """Reads each element at its own place, whatever is beyond the border."""
    x = torch.tensor(noise(1, 2, 3, 4))
    for aligned in (False, True):
        grid = F.affine_grid(torch.eye(2, 3, dtype=torch.float64)[None], x.shape, aligned)
        for padding in ("zeros", "border", "reflection"):
            found = F.grid_sample(x, grid, "bilinear", padding, aligned)
            np.testing.assert_allclose(found.numpy(), x.numpy(), rtol=1e-12)


def test_top_names_are_the_functions() -> None:
    for name in ("conv2d", "conv_transpose3d", "max_pool1d", "avg_pool1d", "pixel_shuffle"):
        assert getattr(torch, name) is getattr(F, name)
    values, places = torch.adaptive_max_pool1d(torch.tensor([[1.0, 3.0, 2.0]]), 1)
    assert (values.tolist(), places.tolist()) == ([[3.0]], [[1]])


def test_points_that_only_choose_have_a_slope_of_zero() -> None:
    grid = torch.tensor([[[[-2.0, torch.inf], [0.1, torch.nan]]]], requires_grad=True)
    found = F.grid_sample(torch.ones(1, 3, 4, 5), grid, mode="nearest", align_corners=False)
    (slope,) = torch.autograd.grad(found.sum(), grid)
    assert slope.tolist() == torch.zeros(1, 1, 2, 2).tolist()


def test_time_first() -> None:
    """`conv_tbc` is `conv1d` with its dimensions in another order."""
    x, w = torch.rand(5, 2, 3), torch.rand(2, 3, 4)
    found = F.conv_tbc(x, w, torch.ones(4), 1)
    same = F.conv1d(x.permute(1, 2, 0), w.permute(2, 1, 0), torch.ones(4), padding=1)
    assert torch.equal(found, same.permute(2, 0, 1))
    with pytest.raises(RuntimeError, match="Bias must be 1-D"):
        torch.conv_tbc(x, w, torch.ones(4, 1))
