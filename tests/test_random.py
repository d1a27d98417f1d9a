"""Random tensors against PyTorch's: the same numbers, gradients, strides and refusals."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import wengert

SAME = """
x = T.empty(3, 4).t(); R = x.uniform_(-1, 2, generator=G)
R = T.empty(6, 4)[::2].uniform_(generator=G)
R = T.empty(3, 4, 5).permute(2, 0, 1).random_(generator=G)
R = T.empty(3, 4, 5)[:, ::2].permute(1, 2, 0).normal_(generator=G)
R = T.empty(4, 5).t().normal_(generator=G)
R = T.empty(3, dtype=T.complex128).normal_(1, 2, generator=G)
R = T.randn_like(T.empty(4, 5).t(), generator=G); R = R, R.stride()
R = T.rand_like(T.empty(8, 5)[::2].t(), generator=G); R = R, R.stride()
R = T.rand_like(T.empty(8, 5), dtype=T.float64, generator=G)
R = T.rand(2, 2, dtype=T.complex64, generator=G)
R = T.randint_like(T.empty(8, 5).t(), 3, 9, generator=G)
R = T.randn_like(T.empty(5, 8)[:, :4], generator=G); R = R, R.stride()
R = T.randn_like(T.empty(4, 6, 8).transpose(0, 1)[:1], generator=G)
R = T.randn_like(T.empty(3, 1).expand(3, 7), generator=G); R = R, R.stride()
R = T.randint_like(T.empty(8, 5), 7, generator=G, dtype=T.int8)
R = T.randint(10, (3,), generator=G)
R = T.randint(high=5, size=(20,), generator=G)
R = T.randint(-3, 5, size=(20,), generator=G)
R = T.randint(0, 2**40, (20,), generator=G)
R = T.randint(low=3, high=200, size=(20,), dtype=T.float16, generator=G)
R = T.randint(0, 200, (20,), dtype=T.uint16, generator=G)
R = T.randperm(30, generator=G, dtype=T.float32)
R = T.bernoulli(T.linspace(0, 1, 20).reshape(4, 5).t(), generator=G)
R = T.poisson(T.linspace(0, 30, 20).reshape(4, 5).t(), generator=G); R = R, R.stride()
R = T.poisson(T.linspace(0, 300, 5000), generator=G)
R = T.poisson(T.linspace(0, 9, 5000, dtype=T.float64), generator=G)
R = T.multinomial(T.linspace(0, 1, 20).reshape(4, 5), 3, generator=G)
R = T.multinomial(T.linspace(0, 1, 20).reshape(4, 5), 1, generator=G)
R = T.multinomial(T.linspace(0, 1, 20).reshape(4, 5), 30, True, generator=G)
R = T.multinomial(T.linspace(0, 1, 20, dtype=T.float64), 300, True, generator=G)
R = T.multinomial(T.linspace(0, 1, 20).half(), 30, True, generator=G)
R = T.linspace(0, 1, 20).multinomial(4, generator=G)
R = T.multinomial(T.linspace(0, 1, 20).reshape(4, 5).t(), 3, generator=G)
R = T.multinomial(T.linspace(0, 1, 20).reshape(4, 5).t(), 3, True, generator=G)
R = T.normal(0.3, 1.7, (20,), generator=G)
R = T.normal(T.linspace(0, 1, 20), 1.7, generator=G)
R = T.normal(2.0, T.linspace(0, 1, 20), generator=G)
R = T.normal(T.linspace(0, 1, 5), T.linspace(0, 1, 20).reshape(4, 5), generator=G)
R = T.normal(T.linspace(0, 1, 20), generator=G)
R = T.normal(T.ones(3, dtype=T.half), T.ones(3, dtype=T.float64), generator=G)
R = T.empty(20).exponential_(2.0, generator=G)
R = T.empty(20).cauchy_(sigma=2.0, generator=G)
R = T.empty(20).log_normal_(generator=G)
R = T.empty(20, dtype=T.int64).geometric_(0.1, generator=G)
R = T.empty(20, dtype=T.int64).random_(generator=G)
R = T.empty(20, dtype=T.int64).random_(7, generator=G)
R = T.empty(20, dtype=T.int64).random_(2, 7, generator=G)
R = T.empty(20, dtype=T.int64).random_(2, None, generator=G)
R = T.empty(20, dtype=T.int32).random_(2, None, generator=G)
R = T.empty(20).random_(2, None, generator=G)
R = T.empty(20, dtype=T.int64).random_(-2**63, None, generator=G)
R = T.empty(20, dtype=T.int64).random_(to=7, generator=G)
R = T.empty(20, dtype=T.int64).random_(**{"from": 3, "to": 9, "generator": G})
R = T.empty(20).uniform_(**{"from": 3, "to": 9, "generator": G})
R = T.empty(4, 5).t().bernoulli_(T.linspace(0, 1, 20).reshape(5, 4), generator=G)
R = T.empty(4, 5, dtype=T.int32).bernoulli_(T.linspace(0, 1, 5), generator=G)
R = T.empty(4, 5, dtype=T.bool).bernoulli_(T.linspace(0, 1, 5, dtype=T.float64), generator=G)
y = V * 2; y.uniform_(generator=G); y.sum().backward(); R = y, V.grad, y.grad_fn.name()
y = T.bernoulli(V * 0.5, generator=G); y.sum().backward(); R = y, V.grad, y.grad_fn.name()
y = T.poisson(V * 0.5, generator=G); y.sum().backward(); R = y, V.grad, y.grad_fn.name()
y = T.normal(V, 1.0, generator=G); y.sum().backward(); R = y, V.grad, y.grad_fn.name()
y = T.normal(1.0, V, generator=G); y.sum().backward(); R = y, V.grad, y.grad_fn.name()
y = T.normal(V, V, generator=G); y.sum().backward(); R = y, V.grad, y.grad_fn.name()
R = T.multinomial(V, 2, generator=G)
R = T.rand(40, dtype=T.bfloat16, generator=G).float()
R = T.randn(40, dtype=T.bfloat16, generator=G).float()
R = T.randint(-7, 200, (40,), dtype=T.bfloat16, generator=G).float()
R = T.randperm(40, dtype=T.bfloat16, generator=G).float()
R = T.poisson(T.linspace(0, 40, 40).bfloat16(), generator=G).float()
R = T.empty(40, dtype=T.bfloat16).random_(generator=G).float()
R = T.empty(40, dtype=T.bfloat16).geometric_(0.01, generator=G).float()
H = G.clone_state(); R = T.rand(2, generator=G), T.rand(2, generator=H), H.initial_seed()
"""

REFUSED = """
V.uniform_()
T.multinomial(T.ones(3), 0)
T.multinomial(T.ones(3), 4)
T.multinomial(T.ones(2, 2, 2), 1)
T.multinomial(T.ones(2, dtype=T.int64), 1)
T.multinomial(T.tensor([-1.0, 2]), 1)
T.multinomial(T.tensor([-1.0, 2]), 2, True)
T.multinomial(T.tensor([0.0, 0]), 1)
T.multinomial(T.tensor([0.0, 0]), 2, True)
T.multinomial(T.tensor([float("inf"), 1]), 2, True)
T.multinomial(T.tensor([float("nan"), 1]), 2, True)
T.poisson(T.tensor([-1.0]))
T.poisson(T.tensor([1]))
T.empty(2).geometric_(1.5)
T.empty(2).geometric_(0)
T.empty(2).cauchy_(0, 0)
T.empty(2).log_normal_(0, -1)
T.empty(2).exponential_(-1)
T.empty(2, dtype=T.int64).log_normal_()
T.empty(2, dtype=T.int64).exponential_()
T.empty(2, dtype=T.int64).normal_()
T.empty(2, dtype=T.int64).uniform_()
T.empty(2, dtype=T.bool).geometric_(0.5)
T.empty(2, dtype=T.cfloat).random_()
T.empty(2, dtype=T.cfloat).bernoulli_()
T.empty(2).bernoulli_(1.5)
T.empty(2).bernoulli_(T.ones(3))
T.empty(2).random_(5, 3)
T.bernoulli(T.ones(2, dtype=T.int64))
T.normal(T.ones(2), T.tensor([-1.0, 2]))
T.normal(T.ones(2), -1.0)
T.normal(0.0, -1.0, (2,))
T.normal(T.ones(2, dtype=T.int64), 1.0)
T.normal(T.ones(2), T.ones(3))
T.rand_like(T.ones(2, dtype=T.int64))
T.randperm(5, requires_grad=True)
T.randperm(-1)
T.rand(-1)
T.randint(5, 5, (2,))
T.randint(0, 300, (3,), dtype=T.uint8)
T.empty(2, dtype=T.half).uniform_(0, 1e5)
T.empty(2).uniform_(0, float("inf"))
T.randperm(5, dtype=T.bool)
T.randperm(300, dtype=T.uint8)
"""


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is the oracle here")


def described(library: Any, value: Any) -> Any:
    if isinstance(value, library.Tensor):
        numbers = value.detach().numpy()
        return str(value.dtype), value.requires_grad, numbers.shape, numbers.tolist()
    return [described(library, v) for v in value] if isinstance(value, tuple) else str(value)


def outcome(library: Any, line: str) -> Any:
    """What a line gives, and where the generator is then."""
    generator = library.Generator().manual_seed(11)
    names = {"T": library, "G": generator, "V": library.ones(3, requires_grad=True)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(line, names)
        except Exception as error:
            return type(error).__name__, str(error).split("\n")[0]
    return described(library, names.get("R")), np.asarray(generator.get_state()).tolist()


@pytest.mark.parametrize("line", SAME.strip().split("\n"))
def test_same_numbers(torch: Any, line: str) -> None:
    ours = outcome(wengert, line)
    assert isinstance(ours[1], list), ours
    assert ours == outcome(torch, line)


@pytest.mark.parametrize("line", REFUSED.strip().split("\n"))
def test_same_refusals(torch: Any, line: str) -> None:
    ours = outcome(wengert, line)
    assert isinstance(ours[1], str)
    assert ours == outcome(torch, line)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("p", [0.3, 0.5, 1.0])
def test_dropout_numbers(torch: Any, kind: str, p: float) -> None:
    found, states = [], []
    for library in (wengert, torch):
        library.manual_seed(4)
        drop = library.nn.functional
        x, images = (library.ones(shape, dtype=getattr(library, kind)) for shape in (
            (50,), (3, 5, 4)))
        found.append([described(library, each) for each in (
            drop.dropout(x, p), drop.dropout1d(images, p), drop.dropout(images.mT, p))])
        states.append(np.asarray(library.get_rng_state()))
    if not np.array_equal(*states):
        pytest.skip("PyTorch draws these with MKL on this processor")
    assert found[0] == found[1]


def test_rrelu_numbers(torch: Any) -> None:
    """Elements above 0 take no random number."""
    found = []
    for library in (wengert, torch):
        library.manual_seed(4)
        x = library.linspace(-3, 1, 20, dtype=library.float64).reshape(4, 5).t()
        y = library.nn.functional.rrelu(x, 0.1, 0.3, True)
        found.append([described(library, each) for each in (y, library.rand(2))])
    assert found[0] == found[1]


# --- by itself --------------------------------------------------------------------------------


def test_fork() -> None:
    wengert.manual_seed(5)
    with pytest.raises(KeyError), wengert.random.fork_rng():
        wengert.manual_seed(6)
        raise KeyError
    assert wengert.initial_seed() == 5
    with wengert.random.fork_rng(enabled=False):
        first = wengert.rand(1)
    wengert.manual_seed(5)
    assert wengert.equal(wengert.rand(1), first)




def test_state() -> None:
    state = wengert.get_rng_state()
    first = wengert.rand(3)
    wengert.random.set_rng_state(state)
    assert wengert.equal(wengert.rand(3), first)
    assert wengert.random.seed() == wengert.random.initial_seed()


@pytest.mark.parametrize("draw", [
    lambda x: wengert.bernoulli(x), lambda x: wengert.poisson(4 * x),
    lambda x: wengert.multinomial(x, 2), lambda x: wengert.multinomial(x, 5, True),
    lambda x: wengert.normal(x, 1.0), lambda x: x.clone().uniform_(),
    lambda x: x.clone().bernoulli_(0.4)])
def test_examples_draw_apart(draw: Any) -> None:
    """Under vmap, examples get numbers of their own; or it is refused."""
    x = wengert.full((40, 7), 0.5)
    found = wengert.vmap(draw, randomness="different")(x)
    assert found.shape[0] == 40
    assert not (found == found[:1]).all()
    with pytest.raises(RuntimeError, match="randomness"):
        wengert.vmap(draw)(x)


@pytest.mark.parametrize("draw", [
    wengert.bernoulli, lambda x: wengert.poisson(4 * x), lambda x: wengert.normal(x, 2.0),
    lambda x: wengert.multinomial(x, 5, True), lambda x: wengert.multinomial(x, 3),
    lambda x: (x * 1).exponential_(), lambda x: x.t().contiguous().t().uniform_()])
def test_compiled(draw: Any) -> None:
    """A compiled function draws anew at each call, and what the same seed gives eagerly."""
    x = wengert.full((6, 5), 0.5)
    compiled = wengert.compile(lambda x: draw(x) + 0)
    results = []
    for function in (compiled, compiled, compiled, draw):
        wengert.manual_seed(3)
        results.append([function(x) for _ in range(2)])
    for first, second in results:
        assert wengert.equal(first, results[-1][0])
        assert wengert.equal(second, results[-1][1])
        assert not wengert.equal(first, second)


def test_bad_keywords() -> None:
    with pytest.raises(TypeError, match="foo"):
        wengert.rand(2, foo=1)
    with pytest.raises(TypeError, match="generator"):
        wengert.rand(2, generator=3)
    for arguments in ((3,), (1, 2), (1, 2, (3,), 4)):
        with pytest.raises(TypeError, match="randint"):
            wengert.randint(*arguments)
    with pytest.raises(TypeError, match="no size"):
        wengert.normal(1.0, 2.0)
