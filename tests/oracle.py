"""Runs one program on wengert and on PyTorch, and tells in what the two differ.

A program is source text that calls the library `torch`. Its outcome is the value of its last line
(if it is an expression), or the exception that it raised. Two outcomes agree if they are alike all
the way down: types, dtypes, shapes, numbers, printed text, history, gradients, versions.
"""

from __future__ import annotations

import ast
import copy
import functools
import math
import pickle
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import wengert

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here: pip install torch==2.13.0")
torch.set_warn_always(True)
torch.set_num_threads(1)

TOLERANCE = {"float16": 4e-3, "float32": 2e-5, "float64": 1e-10, "complex64": 2e-5,
             "complex128": 1e-10}


@functools.lru_cache(maxsize=4096)
def _compiled(source: str) -> tuple[Any, Any]:
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else ast.Expr(ast.Constant(None))
    assert isinstance(last, ast.Expr)
    value = ast.fix_missing_locations(ast.Expression(last.value))
    return compile(tree, "<program>", "exec"), compile(value, "<program>", "eval")


class Outcome:
    """What a program did: its value or its exception, and the warnings that it gave."""

    def __init__(self, library: Any, source: str) -> None:
        names = {"torch": library, "np": np, "copy": copy, "pickle": pickle, "math": math}
        body, last = _compiled(source)
        self.value: Any = None
        self.error: Exception | None = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                exec(body, names)
                self.value = described(library, eval(last, names))
            except Exception as error:
                self.error = error
            finally:
                library.set_grad_enabled(True)
                library.autograd.set_detect_anomaly(False)
                library.set_default_dtype(library.float32)
        self.warnings = [(w.category.__name__, first_words(str(w.message))) for w in caught]


def first_words(text: str) -> str:
    """A message without what only PyTorch's C++ sources could say."""
    text = re.sub(r" ?\(Triggered internally at .*", "", text, flags=re.DOTALL)
    text = re.sub(r"\nException raised from .*", "", text, flags=re.DOTALL)
    text = re.sub(r" ?See (https://)?github\.com/\S+ for more \w+\.", "", text)
    return re.sub(r"0x[0-9a-f]+", "0x", text).strip()


def described(library: Any, value: Any) -> Any:
    """A value taken apart into what can be compared."""
    if isinstance(value, library.Tensor):
        return _tensor(library, value)
    if isinstance(value, (tuple, list)):
        return (type(value).__name__, [described(library, v) for v in value])
    if isinstance(value, dict):
        return ("dict", {k: described(library, v) for k, v in value.items()})
    if isinstance(value, np.ndarray):
        return {"array": value.dtype.name, "shape": value.shape, "numbers": value}
    if isinstance(value, (bool, int, float, complex, np.generic)):
        return {"number": type(value).__name__, "numbers": np.asarray(value)}
    if value is None or isinstance(value, (str, bytes)):
        return value
    if isinstance(value, (library.dtype, library.device, slice)):
        return str(value)
    return type(value).__name__


def _tensor(library: Any, x: Any) -> dict[str, Any]:
    leaf = x.is_leaf
    kind = str(x.dtype).removeprefix("torch.")
    found: dict[str, Any] = {
        "dtype": kind, "shape": tuple(x.shape), "numbers": x.numpy(force=True)
        if library is torch else x.detach().numpy(), "requires_grad": x.requires_grad, "leaf": leaf}
    found["made by"] = None if leaf else x.grad_fn.name()
    found["text"] = repr(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found["grad"] = described(library, x.grad)
    found["numbers"] = np.array(found["numbers"])
    return found


def differences(ours: Any, theirs: Any, at: str = "") -> Iterator[str]:
    """In what two descriptions differ."""
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        ours, theirs = list(ours), list(theirs)
    if type(ours) is not type(theirs):
        yield f"{at}: {ours!r} for {theirs!r}"
    elif isinstance(ours, list):
        if len(ours) != len(theirs):
            yield f"{at}: {len(ours)} items for {len(theirs)}"
        for i, (a, b) in enumerate(zip(ours, theirs, strict=False)):
            yield from differences(a, b, f"{at}[{i}]")
    elif isinstance(ours, dict):
        if ours.keys() != theirs.keys():
            yield f"{at}: {list(ours)} for {list(theirs)}"
            return
        for key in ours:
            if key == "numbers":
                if "shape" not in ours or ours["shape"] == theirs["shape"]:
                    yield from _numbers(ours[key], theirs[key], at)
            elif key == "text":
                if not _same_text(ours, theirs):
                    yield f"{at}: printed\n{ours[key]}\nfor\n{theirs[key]}"
            else:
                yield from differences(ours[key], theirs[key], f"{at}.{key}")
    elif ours != theirs:
        yield f"{at}: {ours!r} for {theirs!r}"


def _numbers(ours: np.ndarray, theirs: np.ndarray, at: str) -> Iterator[str]:
    if ours.dtype != theirs.dtype:
        yield f"{at}: {ours.dtype} for {theirs.dtype}"
        return
    if ours.dtype.kind not in "fc":
        same = np.array_equal(ours, theirs)
    else:
        near = TOLERANCE[ours.dtype.name]
        with np.errstate(all="ignore"):
            same = np.allclose(ours, theirs, near, near * 1e-2, equal_nan=True)
    if not same:
        yield f"{at}: {ours.tolist()} for {theirs.tolist()}"


def _same_text(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether both print alike; where a last bit decides how, at least the ends must agree."""
    a, b = ours["text"], theirs["text"]
    if a == b:
        return True
    x, y = ours["numbers"], theirs["numbers"]
    if x.dtype.kind == "c" or (x.dtype.kind == "f" and np.signbit(x[x == 0]).any() != np.signbit(
            y[y == 0]).any()):
        return True  # the signs of zeros, which are the processor's affair
    if x.dtype.kind not in "fc" or np.array_equal(x, y, equal_nan=True):
        return False
    return a[a.rindex("]") if "]" in a else -1:] == b[b.rindex("]") if "]" in b else -1:]


def compare(source: str, *, message: bool = True, warns: bool = True) -> str:
    """How wengert differs from PyTorch on a program; an empty text if it does not."""
    ours, theirs = Outcome(wengert, source), Outcome(torch, source)
    found: list[str] = []
    if ours.error is not None or theirs.error is not None:
        a, b = _told(ours.error), _told(theirs.error)
        if a[0] != b[0] or (message and a[1] != b[1]):
            found.append(f"raised\n  {a[0]}: {a[1]}\nfor\n  {b[0]}: {b[1]}"
                         if None not in (ours.error, theirs.error) else
                         f"{a[0]}: {a[1]} {ours.value or ''}\nfor {b[0]}: {b[1]} "
                         f"{theirs.value or ''}")
    else:
        found += differences(ours.value, theirs.value)
    if warns and not found and ours.warnings != theirs.warnings:
        found.append(f"warned {ours.warnings} for {theirs.warnings}")
    return "\n".join(found)


def _told(error: Exception | None) -> tuple[str, str]:
    return ("nothing raised", "") if error is None else (
        type(error).__name__, first_words(str(error)))
