"""Wrong arguments: a generated fuzz of all public functions (see tests/wrong_arguments.py).

A wrong call gives a value, or an error that a line of ours raised; nothing is changed by it. Where
PyTorch is installed, the kind of error is PyTorch's, but for what the ledger counts.
"""

from __future__ import annotations

import collections
import inspect
import zlib
from typing import Any

import numpy as np
import pytest

import wengert
import working_calls
import wrong_arguments
from grouped import grouped
from wengert.core.guard import guarded
from wengert.core.primitive import broadcast_shapes
from wengert.ops import diagonals, shapes
from working_calls import Call, words, working
from wrong_arguments import chosen, fault, outcome, twins

SHARE = 0.04  # of all calls that there are

DIFFERENT = {
    ("RuntimeError", "TypeError"): 47,  # a value is refused before a type, mostly in nn.functional
    ("value", "TypeError"): 43,  # a bool or a 0-d Tensor where an int belongs, and the like
    ("TypeError", "RuntimeError"): 14,  # the type of a flag is refused before its value
    ("RuntimeError", "IndexError"): 9,  # dtypes are looked at before dimensions
    ("value", "RuntimeError"): 8, ("TypeError", "ValueError"): 8, ("RuntimeError", "value"): 6,
    ("RuntimeError", "ValueError"): 4, ("ValueError", "TypeError"): 4, ("TypeError", "value"): 3,
    ("ValueError", "RuntimeError"): 2, ("RuntimeError", "NotImplementedError"): 2,
    ("NotImplementedError", "value"): 1, ("NotImplementedError", "RuntimeError"): 1,
    ("TypeError", "IndexError"): 1, ("NotImplementedError", "TypeError"): 1,
}
"""How many calls are of one kind here and of another in PyTorch, of about 4000 compared."""
LEEWAY = 2  # for words that are new


def room_and_letter(word: str) -> str:
    return word[:word.rfind(".") + 2]


by_letter = grouped(words(), by=room_and_letter)


@by_letter
def test_a_wrong_call_is_told_in_our_words_and_changes_nothing(word: str) -> None:
    wrong = {str(call): told for call in chosen(word, SHARE)
             if (told := fault(call, outcome(wengert, call)))}
    assert not wrong


@by_letter
def test_a_wrong_call_spoils_no_right_one(word: str) -> None:
    for wrong, right in twins(word):
        if zlib.crc32(str(wrong).encode()) % 4 == 0:
            outcome(wengert, wrong)
            assert not fault(right, outcome(wengert, right)), f"{right} after {wrong}"


def test_each_word_has_a_call_that_works() -> None:
    none = [word for word in words() if working(word) is None]
    assert none == ["Tensor.cuda"], "add calls to CALLS in tests/working_calls.py"


def test_errors_are_of_pytorchs_kind() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    for word in words():
        for _, ours, theirs in wrong_arguments.compared(torch, word, SHARE / 2):
            found[ours, theirs] += ours != theirs
    worse = {pair: n for pair, n in found.items() if n > DIFFERENT.get(pair, 0) + LEEWAY}
    better = {pair: n for pair, n in DIFFERENT.items() if found[pair] < 0.7 * n - LEEWAY}
    assert not worse, f"more than the ledger says: {worse}"
    assert not better, f"lower the ledger to {+found}"


# --- the fuzz itself ---------------------------------------------------------------------------

LEAKS = [
    (lambda: shapes.is_contiguous(None), "AttributeError"),  # unguarded, as within wengert
    (lambda: broadcast_shapes([1, 2]), "TypeError"),
    (lambda: np.ones(2) + np.ones(3), "ValueError"),
]


@pytest.mark.parametrize(("leak", "kind"), LEAKS)
def test_the_fuzz_sees_internal_errors(leak: Any, kind: str) -> None:
    with pytest.raises(Exception) as caught:
        leak()
    assert kind in fault(Call("exp", ()), wrong_arguments.Outcome(caught.value, []))


def test_the_fuzz_sees_what_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(x: Any) -> None:
        with wengert.no_grad():
            x.add_(1)
        raise RuntimeError("too late")

    monkeypatch.setattr(wengert, "careless", careless, raising=False)
    found = outcome(wengert, Call("careless", ("X",)))
    assert found.changed
    assert fault(Call("careless", ("X",)), found).startswith("changes")


def test_the_fuzz_lets_raised_errors_pass() -> None:
    call = Call("sum", ("X", "5"))
    found = outcome(wengert, call)
    assert isinstance(found.error, IndexError)
    assert not fault(call, found)


# --- what is told ------------------------------------------------------------------------------

TOLD = {
    "diagonal(X, offset=None)": (
        TypeError, r"diagonal\(\): argument 'offset' \(position 2\) must be int, not NoneType"),
    "nn.functional.layer_norm(X, (3, 3), bias=[1])": (
        TypeError, r"layer_norm\(\): argument 'bias' \(position 4\) must be Tensor, not list"),
    "add(X, X, alpha='2')": (TypeError, r"add\(\): argument 'alpha' .* must be Number, not str"),
    "zeros_like(X, memory_format=3)": (
        TypeError, r"zeros_like\(\) received .* got \(float32 Tensor of shape \[3, 3\], memory"),
    "sum(X, 2**70)": (ValueError, "Overflow when unpacking long long"),
    "linalg.cond(X, 'a')": (RuntimeError, "invalid norm type"),
}


@pytest.mark.parametrize("source", TOLD)
def test_what_is_told(source: str) -> None:
    error = outcome(wengert, working_calls.parsed(source)).error
    kind, message = TOLD[source]
    with pytest.raises(kind, match=message):
        raise error or AssertionError("a value")


def test_errors_of_users_functions_pass_unchanged() -> None:
    def distance(x: Any, y: Any) -> Any:
        return x.nonsense

    x = wengert.ones(2, 3)
    with pytest.raises(AttributeError, match="nonsense"):
        wengert.nn.functional.triplet_margin_with_distance_loss(
            x, x, x, distance_function=distance)


def test_an_internal_error_is_the_cause() -> None:
    with pytest.raises(TypeError) as caught:
        wengert.diagonal(wengert.ones(2, 2), offset=None)
    assert isinstance(caught.value.__cause__, TypeError)


def test_guarded_words_keep_their_faces() -> None:
    assert wengert.diagonal is not diagonals.diagonal
    assert wengert.Tensor.diagonal is wengert.diagonal
    assert guarded(wengert.diagonal) is wengert.diagonal
    for part in ("__name__", "__doc__", "__module__"):
        assert getattr(wengert.diagonal, part) == getattr(diagonals.diagonal, part)
    assert inspect.signature(wengert.diagonal) == inspect.signature(diagonals.diagonal)


def test_the_fast_paths_have_no_guard() -> None:
    for word in (wengert.exp, wengert.Tensor.exp, wengert.Tensor.__add__, wengert.Tensor.__pow__):
        assert not hasattr(word, "guarded")
