"""`out=`: every word that takes it, in the call of it that works (tests/working_calls.py).

What is written is what the word gives without. Where PyTorch is installed, its words are asked
whether they take it, too.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import wengert
from wengert.core.out import takes_out
from working_calls import Call, arguments, function, parsed, words, working

WORDS = [word for word, each in words().items() if takes_out(each) and not word.startswith("Ten")]
SAME = {*(f"nn.functional.{name}" for name in ("log_softmax", "sigmoid", "softmax", "tanh",
                                               "threshold")), "special.log_softmax",
        "special.softmax"}
"""Functions of the top namespace, which take it, by other names, under which PyTorch's do not."""
CALLS = {call.word: call for call in map(parsed, (
    "argsort(X, stable=True)", "bernoulli(V / 3)", "median(X, 0)", "nanmedian(X, 0)", "prod(X, 0)",
    "sum(X, 0)"))}
"""Calls of words of which PyTorch has several forms, and one takes it."""


def called(library: Any, call: Call, **more: Any) -> Any:
    """What a call gives, with more keywords; random numbers start from one seed."""
    args, named = arguments(library, call)
    library.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(library, call.word)(*args, **named, **more)


def parts(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, tuple) else (result,)


def places(library: Any, result: Any, *, empty: bool = False) -> Any:
    """Tensors to write results into: of their shapes, or empty."""
    made = tuple(library.zeros((0,) if empty else each.shape, dtype=each.dtype)
                 for each in parts(result))
    return made if isinstance(result, tuple) else made[0]


@pytest.mark.parametrize("word", [word for word in WORDS if word != "empty"])
def test_what_is_written_is_what_the_word_gives(word: str) -> None:
    call: Any = CALLS.get(word) or working(word)
    wanted = called(wengert, call)
    out = places(wengert, wanted, empty=True)
    given = called(wengert, call, out=out)
    assert isinstance(given, type(wanted))
    for place, mine, each in zip(parts(out), parts(given), parts(wanted), strict=True):
        assert mine is place
        assert place.dtype is each.dtype
        assert place._version
        np.testing.assert_array_equal(place.numpy(), each.numpy())


@pytest.mark.parametrize("word", [word for word in WORDS if word not in SAME])
def test_pytorch_takes_it(word: str) -> None:
    torch = pytest.importorskip("torch")
    call: Any = CALLS.get(word) or working(word)
    called(torch, call, out=places(torch, called(torch, call)))


def taken_by_pytorch(word: str) -> bool:
    import torch
    call = working(word)
    try:
        result = called(torch, call)
        called(torch, call, out=places(torch, result))
    except Exception:
        return False
    return True


@pytest.mark.parametrize("space", ["", "linalg", "fft", "special"])
def test_no_word_of_pytorch_is_forgotten(space: str) -> None:
    pytest.importorskip("torch")
    here = [word for word in words() if word.rpartition(".")[0] == space and word not in WORDS]
    assert [word for word in here if taken_by_pytorch(word)] == []


OTHER = {"float32": "float64", "complex64": "complex128", "int64": "int32", "bool": "uint8"}
ALONE = {"clip", "fft.ifft", "fft.ihfft"}
"""Words with which PyTorch does otherwise than with their kin."""


def refused(library: Any, call: Call) -> bool:
    """Whether a call refuses to write its results to tensors of another dtype of their kind."""
    result = called(library, call)
    made = tuple(library.zeros(each.shape, dtype=getattr(library, OTHER.get(kind, kind)))
                 for each in parts(result)
                 for kind in (str(each.dtype).removeprefix("torch."),))
    try:
        called(library, call, out=made if isinstance(result, tuple) else made[0])
    except RuntimeError:
        return True
    return False


@pytest.mark.parametrize("word", [word for word in WORDS if word not in SAME | ALONE])
def test_results_are_converted_where_pytorch_converts_them(word: str) -> None:
    torch = pytest.importorskip("torch")
    call: Any = CALLS.get(word) or working(word)
    assert refused(wengert, call) == refused(torch, call)


# --- what happens to the tensor that is written ------------------------------------------------


def test_another_shape() -> None:
    x = wengert.arange(6.).reshape(2, 3)
    out = wengert.empty(0, dtype=wengert.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wengert.add(x, 1, out=out)
    assert out.shape == (2, 3)
    assert out.dtype is wengert.float64
    with pytest.warns(UserWarning, match=r"shape \[2, 3\], which does not match .* \[3\]") as told:
        wengert.sum(x, 0, out=out)
    assert told[0].filename == __file__
    assert out.tolist() == [3, 5, 7]


@pytest.mark.parametrize("word", ["exp", "cumsum", "sum"])
def test_an_operand_and_what_shares_its_memory(word: str) -> None:
    x = wengert.tensor([0., 1., 2., 3.])
    part = x[:2] if word != "sum" else x[0]
    args = (0,) if word != "exp" else ()
    wanted = getattr(wengert, word)(x[:2], *args).tolist()
    assert getattr(wengert, word)(x[:2], *args, out=part) is part
    assert x.tolist() == ([*wanted, 2, 3] if word != "sum" else [wanted, 1, 2, 3])
    assert x._version == 1


def test_backward_refuses_what_was_overwritten() -> None:
    x, w = wengert.ones(2), wengert.ones(2, requires_grad=True)
    y = x * w
    wengert.add(x, 1, out=x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("word", ["add", "mul", "matmul"])
@pytest.mark.parametrize("which", range(3))
def test_nothing_is_recorded(word: str, which: int) -> None:
    x, y, out = (wengert.ones(2, 2, requires_grad=i == which) for i in range(3))
    with pytest.raises(RuntimeError, match=rf"{word}\(\): functions with out=... arguments don't"):
        getattr(wengert, word)(x, y, out=out)
    assert out.tolist() == wengert.ones(2, 2).tolist()
    with wengert.no_grad():
        getattr(wengert, word)(x, y, out=out)
    assert out.grad_fn is None


def test_transforms_refuse_it() -> None:
    x = wengert.ones(2)
    with pytest.raises(RuntimeError, match="don't work inside vmap"):
        wengert.vmap(lambda each: wengert.exp(each, out=wengert.empty(0)))(x)


def test_what_is_told_the_dtype() -> None:
    whole, double = (wengert.empty(0, dtype=kind) for kind in (wengert.int64, wengert.float64))
    assert wengert.arange(3., out=whole).tolist() == [0, 1, 2]
    wengert.manual_seed(0)
    wanted = wengert.rand(3, dtype=wengert.float64).tolist()
    wengert.manual_seed(0)
    assert wengert.rand(3, out=double).tolist() == wanted
    with pytest.raises(RuntimeError, match="dtype Float does not match dtype of out"):
        wengert.zeros(3, dtype=wengert.float32, out=double)
    assert wengert.zeros(3, out=double, requires_grad=True) is double
    assert double.is_leaf
    assert double.requires_grad


X = wengert.ones(2)


@pytest.mark.parametrize(("call", "error", "told"), [
    (lambda: wengert.exp(X, out=wengert.ones(2, dtype=wengert.int64)), RuntimeError,
     "result type Float can't be cast to the desired output type Long"),
    (lambda: wengert.neg(X, out=wengert.ones(2, dtype=wengert.int64)), RuntimeError,
     "Expected out tensor to have dtype float, but got long int instead"),
    (lambda: wengert.max(X, 0, out=(X[0], X[0])), RuntimeError,
     "Expected out tensor to have dtype long int, but got float instead"),
    (lambda: wengert.add(X, 1, out=wengert.ones(1).expand(2)), RuntimeError, "more than one elem"),
    (lambda: wengert.add(X, 1, out=[1.]), TypeError, "'out' must be Tensor, not float"),
    (lambda: wengert.add(X, 1, out=(X, X)), TypeError, "must be Tensor, not tuple of 2"),
    (lambda: wengert.add(X, 1, out=()), TypeError, "'out' must be Tensor, not tuple"),
    (lambda: wengert.max(X, 0, out=X), TypeError, "must be tuple of 2 Tensors, not Tensor"),
    (lambda: wengert.relu(X, out=X), TypeError, "unexpected keyword argument 'out'"),
    (lambda: wengert.isnan(X, out=X), TypeError, "unexpected keyword argument 'out'"),
    (lambda: wengert.reshape(X, (2,), out=X), TypeError, "unexpected keyword argument 'out'"),
    (lambda: wengert.zeros_like(X, out=X), TypeError, "unexpected keyword argument 'out'"),
    (lambda: wengert.exp(X, X), TypeError, "takes 1 positional argument but 2"),
    (lambda: wengert.add("x", 1, out=X), TypeError, "'input'"),
    (lambda: wengert.mm(X, X, out=X), RuntimeError, "matrix"),
])
def test_errors(call: Any, error: Any, told: str) -> None:
    with pytest.raises(error, match=told) as raised:
        call()
    assert raised.value.__context__ is None
    assert X.tolist() == [1, 1]


def test_none_is_none_given() -> None:
    assert wengert.exp(X, out=None).tolist() == wengert.exp(X).tolist()
    assert wengert.sum(X, 0, out=None).item() == 2


def test_compiled() -> None:
    @wengert.compile
    def step(x: Any, out: Any) -> Any:
        wengert.mul(x, 2, out=out)
        return out + 1

    out = wengert.zeros(2)
    for i in range(4):
        assert step(X * i, out).tolist() == [2 * i + 1] * 2
        assert out.tolist() == [2 * i] * 2


def test_a_dtype_by_position() -> None:
    out = wengert.empty(2)
    assert wengert.softmax(wengert.ones(2), 0, wengert.float32, out=out) is out
    with pytest.raises(RuntimeError, match="to have dtype double, but got float instead"):
        wengert.softmax(wengert.ones(2), 0, wengert.float64, out=out)
