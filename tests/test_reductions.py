"""Reductions, scans, sorting and counting: what the table's samples do not show.

NumPy says what numbers should be; PyTorch's own choices at ties and in words are written out.
`test_opinfo.py` holds all of them against PyTorch itself, where it is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch

Array = np.ndarray
RNG = np.random.default_rng(11)
NAN, INF = float("nan"), float("inf")
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def t(*data: Any, **how: Any) -> Any:
    return torch.tensor(data[0] if len(data) == 1 else list(data), dtype=torch.float64, **how)


def slopes(f: Callable[[Any], Any], x: Array) -> Array:
    """The gradient of f by central differences."""
    out = np.empty_like(x)
    for at in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[at] = 1e-6
        out[at] = (f(x + step) - f(x - step)) / 2e-6
    return out


# --- results with names -----------------------------------------------------------------------


def test_named_results() -> None:
    found = torch.tensor([[1.0, 3.0], [2.0, 0.0]]).max(1)
    values, indices = found
    assert found.values is values is found[0]
    assert found.indices is indices
    assert repr(found) == ("torch.return_types.max(\nvalues=tensor([3., 2.]),\n"
                           "indices=tensor([1, 0]))")
    assert isinstance(found, tuple)
    assert isinstance(found, torch.return_types.max)


def test_named_results_go_through_transforms() -> None:
    found = torch.vmap(lambda x: torch.sort(x))(torch.tensor([[2.0, 1.0], [0.0, 5.0]]))
    assert type(found).__name__ == "sort"
    assert found.values.tolist() == [[1, 2], [0, 5]]


# --- ties and NaN -----------------------------------------------------------------------------

TIED = [2.0, 1.0, 2.0, 1.0, 1.0, 3.0, 2.0]


@pytest.mark.parametrize(("call", "value", "place"), [
    (lambda x: x.median(0), 2, 0), (lambda x: x.kthvalue(2), 1, 1), (lambda x: x.mode(0), 1, 4),
    (lambda x: x.max(0), 3, 5), (lambda x: x.min(0), 1, 1), (lambda x: x.nanmedian(0), 2, 0)])
def test_ties(call: Any, value: float, place: int) -> None:
    x = t(TIED, requires_grad=True)
    found = call(x)
    assert (found.values.item(), found.indices.item()) == (value, place)
    found.values.backward()
    assert x.grad.tolist() == [float(i == place) for i in range(7)]


@pytest.mark.parametrize("call", [torch.max, torch.min, torch.median, torch.nanmedian, torch.amax])
def test_all_elements_share_the_gradient_of_ties(call: Any) -> None:
    x = t([2.0, 2.0, 2.0], requires_grad=True)
    call(x).backward()
    assert x.grad.tolist() == [1 / 3] * 3


def test_running_extremes_take_the_last_of_ties() -> None:
    assert t(TIED).cummax(0).indices.tolist() == [0, 0, 2, 2, 2, 5, 5]
    assert t(TIED).cummin(0).indices.tolist() == [0, 1, 1, 3, 4, 4, 4]
    assert t([1.0, NAN, 5.0, NAN, 7.0]).cummax(0).indices.tolist() == [0, 1, 1, 3, 3]


def test_sorting_puts_nan_last_and_keeps_the_order_of_equals() -> None:
    for n in (1, 400):  # short and long arrays are sorted in different ways
        x = torch.tensor([0.0, NAN, -0.0, 1.0, -INF] * n)
        up, down = x.argsort().numpy(), x.argsort(descending=True).numpy()
        assert x[up[0]] == -INF
        assert np.isnan(x.numpy()[up[-n:]]).all()
        assert np.isnan(x.numpy()[down[:n]]).all()
        for order in (up, down):
            held = x.numpy()[order]
            same = (held[1:] == held[:-1]) | (np.isnan(held[1:]) & np.isnan(held[:-1]))
            assert (np.diff(order)[same] > 0).all()


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int32, torch.int64, torch.bool,
                                  torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("descending", [False, True])
def test_long_arrays_sort_stably_in_every_dtype(kind: Any, descending: bool) -> None:
    numbers = RNG.integers(0, 100, 3000)
    x = torch.from_numpy(numbers).to(kind)
    expected = np.argsort(-numbers if descending else numbers, kind="stable")
    if kind is torch.bool:
        expected = np.argsort((numbers != 0) != descending, kind="stable")
    found = x.sort(descending=descending, stable=True)
    assert found.indices.tolist() == expected.tolist()
    assert found.values.tolist() == x[torch.from_numpy(expected)].tolist()


@pytest.mark.parametrize(("shape", "dim"), [((20_000, 9), 1), ((9, 20_000), 0), ((5, 300, 100), 1)])
@pytest.mark.parametrize("kind", [torch.int16, torch.int64, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("descending", [False, True])
def test_many_rows_sort_stably(shape: tuple[int, ...], dim: int, kind: Any,
                               descending: bool) -> None:
    numbers = RNG.integers(-50, 50, shape)
    expected = np.argsort(-numbers if descending else numbers, dim, kind="stable")
    x = torch.from_numpy(numbers).to(kind)
    assert (x.argsort(dim, descending=descending, stable=True).numpy() == expected).all()
    turned = x.transpose(0, 1).contiguous().transpose(0, 1)
    assert (turned.argsort(dim, descending=descending, stable=True).numpy() == expected).all()


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize(("shape", "dim"), [((200_000,), 0), ((300, 700), 1), ((700, 300), 0)])
@pytest.mark.parametrize("tied", [False, True])
def test_the_best_of_many(shape: tuple[int, ...], dim: int, tied: bool, largest: bool) -> None:
    """Each place once, the best first; where some are equal, and where some rows have a NaN."""
    numbers = RNG.permutation(np.arange(float(np.prod(shape)))).reshape(shape)
    if tied:
        numbers %= 50
        numbers[7:9] = NAN
    expected = np.sort(numbers, dim)
    if largest:
        expected = np.flip(expected, dim)
    values, places = (v.numpy() for v in torch.from_numpy(numbers).topk(11, dim, largest=largest))
    np.testing.assert_array_equal(values, expected.take(range(11), dim))
    np.testing.assert_array_equal(np.take_along_axis(numbers, places, dim), values)
    assert (np.diff(np.sort(places, dim), axis=dim) > 0).all()


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("last", [2.0, NAN])
def test_many_searches_in_rows(right: bool, last: float) -> None:
    x = np.sort(RNG.integers(-9, 2, (3, 150, 20)).astype("f"), -1)
    x[1, 7, -1] = last
    y = RNG.integers(-10, 3, (3, 150, 300)).astype("f")
    y[1, :, :3] = NAN
    beyond = x[..., None, :] > y[..., None] if right else x[..., None, :] >= y[..., None]
    found = torch.searchsorted(torch.from_numpy(x), torch.from_numpy(y), right=right).numpy()
    missed = np.isnan(y) | ~beyond.any(-1)
    np.testing.assert_array_equal(found, np.where(missed, 20, beyond.argmax(-1)))
    nothing = torch.searchsorted(torch.ones(450, 0), torch.from_numpy(y).reshape(450, 300))
    assert not nothing.any()


def test_nan_wins_but_where_it_is_left_out() -> None:
    x = t([1.0, NAN, 2.0])
    for call in (torch.max, torch.min, torch.median, torch.sum):
        assert np.isnan(call(x).item())
    assert x.nansum().item() == 3
    assert x.nanmean().item() == 1.5
    assert x.nanmedian().item() == 1
    assert x.nanquantile(0.5).item() == 1.5
    assert np.isnan(x.quantile(0.5).item())


# --- products and scans where elements are zero -----------------------------------------------


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
@pytest.mark.parametrize("word", ["prod", "cumprod"])
def test_gradients_of_products_with_zeros(word: str, zeros: int) -> None:
    values = np.array([1.5, -2.0, 0.5, 3.0])
    values[[1, 3, 0][:zeros]] = 0
    weights = t([1.0, -0.5, 2.0, 0.7])

    def loss(x: Any) -> Any:
        return x.prod() * 2 if word == "prod" else (x.cumprod(0) * weights).sum()

    def first(v: Any) -> Any:
        x = t(v, requires_grad=True)
        return x, torch.autograd.grad(loss(x), x, create_graph=True)[0]

    x, g = first(values)
    np.testing.assert_allclose(
        g.detach().numpy(), slopes(lambda v: loss(t(v)).item(), values), rtol=1e-6, atol=1e-8)
    (second,) = torch.autograd.grad((g * weights).sum(), x)
    np.testing.assert_allclose(
        second.numpy(), slopes(lambda v: (first(v)[1] * weights).sum().item(), values),
        rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(1000,), (70, 3), (2, 90, 2), (700, 600), (1100, 1000),
                                   (2, 3000, 180), (900, 1200)])
@pytest.mark.parametrize("backward", [False, True])
def test_long_recurrences(shape: tuple[int, ...], backward: bool) -> None:
    """They go in pieces, large ones by a kernel; the steps one by one are the reference."""
    from wengert.primitives.scans import recurrence

    dim = int(np.argmax(shape))
    a, b = RNG.uniform(-1.1, 1.1, shape), RNG.standard_normal(shape)
    rows_a, rows_b = np.moveaxis(a, dim, 0), np.moveaxis(b, dim, 0)
    expected = np.array(rows_b)
    n = len(expected)
    for i in range(n - 2, -1, -1) if backward else range(1, n):
        expected[i] += rows_a[i + 1] * expected[i + 1] if backward else rows_a[i] * expected[i - 1]
    found = recurrence(a, b, dim=dim, backward=backward)
    np.testing.assert_allclose(np.moveaxis(found, dim, 0), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("shape", "dim"), [((1 << 20,), 0), ((1024, 1025), 0), ((1025, 1024), 1),
                                            ((3, 700, 515), 1)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_large_scans(shape: tuple[int, ...], dim: int, kind: Any) -> None:
    """They have kernels of their own."""
    x = RNG.standard_normal(shape).astype(kind)
    close = {"rtol": 1e-11, "atol": 1e-9} if kind is np.float64 else {"rtol": 5e-7, "atol": 1e-6}
    wide = x.astype(np.float64)
    ours = torch.from_numpy(x).requires_grad_()
    for found, expected in (
            (ours.cumsum(dim), np.cumsum(wide, dim)),
            ((1 + ours / 1024).cumprod(dim), np.cumprod((1 + x / kind(1024)).astype("d"), dim))):
        np.testing.assert_allclose(found.detach().numpy(), expected, **close)
    (g,) = torch.autograd.grad((ours.cumsum(dim) * torch.from_numpy(x)).sum(), ours)
    turned = np.flip(np.cumsum(np.flip(wide, dim), dim), dim)
    np.testing.assert_allclose(g.numpy(), turned, rtol=1e-6, atol=1e-4)
    x.flat[::1000] = np.nan
    x.flat[1::1000] = np.inf
    for word, extreme in (("cummax", np.maximum), ("cummin", np.minimum)):
        values, places = getattr(torch.from_numpy(x), word)(dim)
        np.testing.assert_array_equal(values.numpy(), extreme.accumulate(x, dim))
        np.testing.assert_array_equal(np.take_along_axis(x, places.numpy(), dim), values.numpy())


@pytest.mark.parametrize(("shape", "dim"), [((131075,), 0), ((700, 203), 0), ((203, 700), 1),
                                            ((3, 203, 300), 1)])
@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_slopes_of_large_products(shape: tuple[int, ...], dim: int, zeros: int) -> None:
    """A product over what is left is the reference, in logarithms."""
    x = RNG.uniform(0.97, 1.03, shape)
    lines = np.moveaxis(x, dim, 0)
    lines[[5, -1][:zeros]] = 0
    ours = t(x, requires_grad=True)
    (g,) = torch.autograd.grad(ours.prod(dim).sum(), ours)
    size = np.where(lines == 0, 1, lines)
    rest = np.exp(np.log(size).sum(0) - np.log(size))
    others = (lines == 0).sum(0) - (lines == 0)
    np.testing.assert_allclose(np.moveaxis(g.numpy(), dim, 0), np.where(others == 0, rest, 0),
                               rtol=1e-9)


@pytest.mark.parametrize(("kind", "most"), [(np.float32, 120), (np.float64, 1000)])
@pytest.mark.parametrize("total", [0, 70, -150, -1100])
@pytest.mark.parametrize("lines", [1, 2])
def test_slopes_of_products_too_large_or_small_on_the_way(kind: Any, most: int, total: int,
                                                          lines: int) -> None:
    some = RNG.integers(-most, most, 70_000)
    powers = np.concatenate((some, -some, [total // 2, total // 4, total // 4]))
    ours = torch.from_numpy(np.ldexp(np.ones((lines, 1)), powers).astype(kind)).requires_grad_()
    (g,) = torch.autograd.grad(ours.prod(1).sum(), ours)
    with np.errstate(all="ignore"):
        expected = np.ldexp(1.0, powers.sum() - powers).astype(kind)
    np.testing.assert_array_equal(g.numpy(), np.broadcast_to(expected, g.shape))


@pytest.mark.parametrize("shape", [(140_000,), (2, 70_000)])
def test_slopes_of_large_products_of_infinities(shape: tuple[int, ...]) -> None:
    x = np.ones(shape)
    x[..., 7] = -INF
    ours = torch.from_numpy(x).requires_grad_()
    (g,) = torch.autograd.grad(ours.prod(-1).sum(), ours)
    np.testing.assert_array_equal(g.numpy(), np.where(x == 1, -INF, 1))


def test_logcumsumexp_where_nothing_is_there_yet() -> None:
    x = t([-INF, -INF, -1000.0, 2.0, 1000.0, -INF], requires_grad=True)
    found = x.logcumsumexp(0)
    assert found.tolist() == [-INF, -INF, -1000, 2, 1000, 1000]
    found[2:].sum().backward()
    assert x.grad.tolist() == [0, 0, 1, 1, 2, 0]


def test_scans_in_place() -> None:
    x = torch.tensor([1, 2, 3], dtype=torch.int32)
    assert x.cumsum_(0) is x
    assert x.tolist() == [1, 3, 6]
    assert x.cumprod_(0).dtype == torch.int32
    y = t([1.0, 2.0, 3.0], requires_grad=True)
    (y * 1).cumprod_(0).sum().backward()
    assert y.grad.tolist() == [9, 4, 2]
    with pytest.raises(RuntimeError, match="Bad in-place call: input tensor dtype int and output"):
        x.cumsum_(0, dtype=torch.int64)
    with pytest.raises(NotImplementedError, match="\"cumsum_out_cpu\" not implemented for 'Bool'"):
        torch.tensor([True]).cumsum_(0)


# --- against NumPy ----------------------------------------------------------------------------

X = RNG.standard_normal((5, 7))
W = RNG.uniform(0.5, 2, 7)


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantile(method: str) -> None:
    q = [0.0, 0.1, 0.37, 1.0]
    for dim in (None, 0, 1):
        found = t(X).quantile(t(q), dim, interpolation=method)
        np.testing.assert_allclose(found.numpy(), np.quantile(X, q, dim, method=method), **CLOSE)
    lost = np.where(X > 1, np.nan, X)
    np.testing.assert_allclose(
        t(lost).nanquantile(0.3, 1, True, interpolation=method).numpy(),
        np.nanquantile(lost, 0.3, 1, method=method, keepdims=True), **CLOSE)


def test_quantile_has_a_gradient_in_q() -> None:
    q = t(0.3, requires_grad=True)
    t([0.0, 1.0, 4.0]).quantile(q).backward()
    assert q.grad.item() == pytest.approx(2)


def test_covariance() -> None:
    counts = np.array([1, 2, 1, 3, 1, 1, 2])
    for correction in (0, 1):
        np.testing.assert_allclose(
            t(X).cov(correction=correction, fweights=torch.from_numpy(counts),
                     aweights=t(W)).numpy(),
            np.cov(X, ddof=correction, fweights=counts, aweights=W), **CLOSE)
    np.testing.assert_allclose(t(X).corrcoef().numpy(), np.corrcoef(X), **CLOSE)


@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient(edge_order: int) -> None:
    places = np.cumsum(W)
    found = torch.gradient(t(X), spacing=(torch.arange(5.0, dtype=torch.float64), t(places)),
                           edge_order=edge_order)
    for ours, theirs in zip(found, np.gradient(X, np.arange(5.0), places, edge_order=edge_order),
                            strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, **CLOSE)
    (ours,) = torch.gradient(t(X), spacing=0.5, dim=1, edge_order=edge_order)
    np.testing.assert_allclose(ours.numpy(), np.gradient(X, 0.5, axis=1, edge_order=edge_order),
                               **CLOSE)


def test_integrals() -> None:
    places = np.cumsum(W)
    np.testing.assert_allclose(torch.trapezoid(t(X), t(places)).numpy(),
                               np.trapezoid(X, places), **CLOSE)
    np.testing.assert_allclose(torch.trapz(t(X), dx=0.5, dim=0).numpy(),
                               np.trapezoid(X, dx=0.5, axis=0), **CLOSE)
    np.testing.assert_allclose(torch.cumulative_trapezoid(t(X), t(places))[:, -1].numpy(),
                               np.trapezoid(X, places), **CLOSE)
    assert torch.trapezoid(torch.tensor([1.0, torch.inf])).isnan()  # half is taken away again
    assert torch.trapezoid(torch.zeros(0, dtype=torch.int32), dx=0.5).dtype is torch.int32


@pytest.mark.parametrize("few", [1, 2, 3, 8, 9])
@pytest.mark.parametrize("keepdim", [False, True])
def test_sums_of_many_short_rows(few: int, keepdim: bool) -> None:
    x = torch.arange(few * 2**17, dtype=torch.float64).reshape(2, 2**16, few)
    found = x.sum(-1, keepdim)
    assert found.shape == ((2, 2**16, 1) if keepdim else (2, 2**16))
    assert torch.equal(found.reshape(2, -1), (x @ x.new_ones(few)))


def test_differences() -> None:
    x = torch.tensor([[1, 4, 9], [0, 0, 1]])
    assert x.diff(n=2).tolist() == [[2], [1]]
    assert x.diff(prepend=torch.tensor([[0], [7]])).tolist() == [[1, 3, 5], [-7, 0, 1]]
    assert torch.tensor([True, True, False]).diff().tolist() == [False, True]


def test_spread_of_large_numbers() -> None:
    """Squares that single precision can't hold are worked out in double."""
    x = torch.tensor([1e30, -1e30, 3e30])
    assert x.std().item() == pytest.approx(2e30)


# --- counting ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [1, 4, 30])
def test_histograms(bins: int) -> None:
    flat = X.ravel()
    found = t(X).histogram(bins)
    counts, edges = np.histogram(flat, bins)
    assert found.hist.tolist() == counts.tolist()
    np.testing.assert_allclose(found.bin_edges.numpy(), edges, **CLOSE)
    assert t(X).histc(bins).tolist() == counts.tolist()
    weights = np.abs(X)
    dense = t(X).histogram(bins, range=(-1, 1), weight=t(weights), density=True)
    np.testing.assert_allclose(
        dense.hist.numpy(), np.histogram(flat, bins, (-1, 1), True, weights.ravel())[0], **CLOSE)


def test_histogramdd() -> None:
    edges = [np.array([-2, -0.5, 0, 3.0]), np.linspace(-1, 1, 5)]
    found = torch.histogramdd(t(X[:, :2]), [t(e) for e in edges])
    counts, _ = np.histogramdd(X[:, :2], edges)
    assert found.hist.tolist() == counts.tolist()


def test_unique() -> None:
    x = torch.tensor([[3, 1, 3], [1, 1, 2], [3, 1, 3]])
    values, inverse, counts = x.unique(return_inverse=True, return_counts=True)
    assert values[inverse].tolist() == x.tolist()
    assert counts.tolist() == [4, 1, 4]
    rows, where = x.unique(dim=0, return_inverse=True)
    assert rows.tolist() == [[1, 1, 2], [3, 1, 3]]
    assert where.tolist() == [1, 0, 1]
    assert x.unique_consecutive().tolist() == [3, 1, 3, 1, 2, 3, 1, 3]
    assert x.unique_consecutive(dim=1).tolist() == x.tolist()
    assert len(torch.tensor([NAN, 1.0, NAN]).unique()) == 3


def test_searchsorted_in_rows() -> None:
    rows = np.sort(RNG.integers(0, 9, (4, 6)), 1)
    values = RNG.integers(-1, 11, (4, 5))
    for side in ("left", "right"):
        found = torch.searchsorted(torch.from_numpy(rows), torch.from_numpy(values), side=side)
        assert found.tolist() == [np.searchsorted(r, v, side).tolist()
                                  for r, v in zip(rows, values, strict=True)]
        each = torch.vmap(lambda x, y, s=side: torch.searchsorted(x, y, side=s))(
            torch.from_numpy(rows), torch.from_numpy(values))
        assert each.tolist() == found.tolist()
    order = torch.tensor([2, 0, 1])
    assert torch.searchsorted(t([2.0, 3.0, 1.0]), t(2.5), sorter=order).item() == 2


def test_bincount() -> None:
    x = torch.tensor([0, 2, 2], dtype=torch.uint8)
    assert x.bincount(minlength=5).tolist() == [1, 0, 2, 0, 0]
    assert x.bincount(torch.tensor([0.5, 1, 2])).dtype == torch.float32
    assert x.bincount(torch.tensor([1, 1, 2])).dtype == torch.float64
    assert torch.tensor([], dtype=torch.int64).bincount().tolist() == []


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "words", "call"), [
    (IndexError, "median(): Expected reduction dim 1 to have non-zero size.",
     lambda: torch.zeros(2, 0).median(1)),
    (IndexError, "aminmax: Expected reduction dim 1 to have non-zero size.",
     lambda: torch.zeros(2, 0).aminmax(dim=1)),
    (RuntimeError, "max(): Expected reduction dim to be specified for input.numel() == 0. Specify "
     "the reduction dim with the 'dim' argument.", lambda: torch.zeros(0).max()),
    (RuntimeError, "kthvalue(): selected number k out of range for dimension 0",
     lambda: torch.ones(3).kthvalue(4)),
    (RuntimeError, "selected index k out of range", lambda: torch.ones(3).topk(4)),
    (RuntimeError, "topk does not support bool dtypes on CPU",
     lambda: torch.tensor([True]).topk(1)),
    (RuntimeError, "max(): does not support complex input", lambda: torch.tensor([1j]).max(0)),
    (NotImplementedError, "\"median_cpu\" not implemented for 'Bool'",
     lambda: torch.tensor([True]).median()),
    (NotImplementedError, "\"logcumsumexp_out_cpu\" not implemented for 'Long'",
     lambda: torch.tensor([1]).logcumsumexp(0)),
    (RuntimeError, "quantile() q must be in the range [0, 1] but got 2",
     lambda: torch.ones(3).quantile(2)),
    (RuntimeError, "mean(): could not infer output dtype. Optional dtype must be either a floating "
     "point or complex dtype. Got: Long", lambda: torch.ones(3).mean(dtype=torch.int64)),
    (RuntimeError, "nansum on CPU does not support complex inputs",
     lambda: torch.tensor([1j]).nansum()),
    (RuntimeError, "cov(): fweights cannot be negative",
     lambda: torch.ones(2, 2).cov(fweights=torch.tensor([-1, 1]))),
    (RuntimeError, "renorm: input needs at least 2 dimensions, got 1 dimensions",
     lambda: torch.ones(3).renorm(2, 0, 1)),
    (RuntimeError, "bincount only supports 1-d non-negative integral inputs.",
     lambda: torch.tensor([-1]).bincount()),
    (RuntimeError, "torch.searchsorted(): side and right can't be set to opposites, got side of "
     "left while right was True",
     lambda: torch.searchsorted(torch.ones(2), 1.0, side="left", right=True)),
    (RuntimeError, "torch.histc: max must be larger than min",
     lambda: torch.ones(2).histc(2, 3, 1)),
    (RuntimeError, "trapezoid: received a bool input for `y`, but bool is not supported",
     lambda: torch.trapezoid(torch.tensor([True]))),
    (RuntimeError, "torch.gradient expected each dimension size to be at least edge_order+1",
     lambda: torch.gradient(torch.ones(1))),
    (RuntimeError, "linalg.matrix_norm: Order foo not supported.",
     lambda: torch.ones(2, 2).norm("foo")),
])
def test_refusals(error: type[Exception], words: str, call: Any) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == words


def test_segments() -> None:
    """Each reduction of each segment, of all dimensions, as a loop over slices has it."""
    x = torch.arange(24.0, dtype=torch.float64).reshape(2, 6, 2).cos().requires_grad_()
    lengths = torch.tensor([[2, 0, 4], [1, 5, 0]])
    loop = {"sum": np.sum, "mean": np.mean, "prod": np.prod, "max": np.max, "min": np.min}
    for reduce, function in loop.items():
        found = torch.segment_reduce(x, reduce, lengths=lengths, axis=1, initial=None)
        for row, counts in enumerate(lengths.tolist()):
            for place, (start, count) in enumerate(
                    zip(np.cumsum([0, *counts[:-1]]), counts, strict=True)):
                if count:
                    part = x[row].detach().numpy()[start:start + count]
                    np.testing.assert_allclose(found[row, place].detach(), function(part, 0))
        (g,) = torch.autograd.grad(found[lengths > 0].sum(), x)
        assert g.isfinite().all() and (reduce != "sum" or (g == 1).all())
    flat = torch.arange(6.0)
    offsets = torch.tensor([1, 3, 3, 5])
    assert torch.segment_reduce(flat, "sum", offsets=offsets).tolist() == [3, 0, 7]
    assert torch.segment_reduce(flat, "max", offsets=offsets, initial=3).tolist() == [3, 3, 4]
    assert torch.segment_reduce(flat, "mean", offsets=offsets)[1].isnan()
    with pytest.raises(RuntimeError, match="Expected all rows of lengths along axis to sum to"):
        torch.segment_reduce(flat, "sum", lengths=torch.tensor([1, 2]))
    with pytest.raises(RuntimeError, match="lies outside of the 6 elements"):
        torch.segment_reduce(flat, "sum", offsets=torch.tensor([0, 9]))


@pytest.mark.parametrize("run", [lambda f: f, torch.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize("shape", [(60, 3), (3000, 100)])
def test_equal_elements_have_no_spread_and_no_slope(run, shape):
    x = torch.full(shape, 0.1, requires_grad=True)
    std = run(lambda x: x.std(0))
    for _ in range(2):
        y = std(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        assert not y.any() and not slope.any()


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("spoil", [None, 0.0, float("nan"), float("inf")])
def test_slopes_of_products_too_small_for_numbers(dim: int, spoil: float | None) -> None:
    x = torch.full((700, 700), 0.7)
    x[3, 5] = torch.tensor(0.7 if spoil is None else spoil)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(x.prod(dim).sum(), x)
    line = slope[:, 5] if dim == 0 else slope[3]
    others = 0.7 ** 699  # 3e-109, of which a float32 has nothing
    with np.errstate(invalid="ignore"):
        expected = np.full(700, np.float32(others if spoil is None else others * spoil))
    expected[3 if dim == 0 else 5] = others
    np.testing.assert_array_equal(line.detach().numpy(), expected)
    assert torch.isnan(slope).sum() == np.isnan(expected).sum()
