"""Every program of the four documents runs in wengert and prints what the document shows.

The cells run as they stand, with `import torch` giving wengert. Tests of one document share
their variables, as a notebook's cells do, so a document is one test.
"""

import ast
import contextlib
import io
import math
import re
import sys
import types
import warnings

import pytest

import wengert
import wengert as torch
from seed_cells import DOCUMENTS, Cell

NON_LEAF = "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed."
POSITIVE = 3
"""A seed whose first normal number is positive: then d / a is exact, and equals a.grad."""


@pytest.fixture(autouse=True)
def torch_is_wengert(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", wengert)
    for name in ("matplotlib", "matplotlib.pyplot"):  # imported by a cell that fails before use
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    wengert.manual_seed(POSITIVE)


def run_cell(code, variables):
    """Runs a cell as a notebook does; returns what it prints and shows, and its warnings."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(compile(tree, "<cell>", "exec"), variables)
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), "<cell>", "eval"), variables)
            if shown is not None:
                print(in_notebook(shown))
    return printed.getvalue().rstrip("\n"), [str(w.message) for w in caught]


def in_notebook(shown):
    """A repr as a notebook lays it out: a tuple too wide for a line has an element on each."""
    text = repr(shown)
    if isinstance(shown, tuple) and len(text) > 79:
        return "(" + ",\n ".join(map(repr, shown)) + ")"
    return text


def structure(text):
    """A text with its numbers and the room they take left out."""
    return re.sub(r"\s+", " ", re.sub(r"\s*-?\d+\.\d*", "#", text))


def check(cell: Cell, variables):
    if cell.raises is not None:
        kind, message = cell.raises
        with pytest.raises(kind) as raised:
            run_cell(cell.code, variables)
        assert message in str(raised.value)
        return
    shows, warned = run_cell(cell.code, variables)
    shows, expected = (re.sub(r"0x[0-9a-f]+", "0x", t) for t in (shows, cell.shows))
    if cell.random:
        shows, expected = structure(shows), structure(expected)
    assert shows == expected, f"in the cell\n{cell.code}"
    assert len(warned) == cell.warns, f"in the cell\n{cell.code}"
    assert all(w.startswith(NON_LEAF) for w in warned)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_prints_what_it_shows(document):
    variables = {}
    for cell in DOCUMENTS[document]:
        check(cell, variables)


def test_reading_grad_of_a_result_without_history_does_not_warn():
    y = torch.sin(torch.arange(0, 12, 0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert y.grad is None
        with pytest.raises(TypeError, match="'NoneType' object is not callable"):
            y.grad()


@pytest.mark.parametrize("seed", range(20))
def test_control_flow_gradient_is_the_scale_of_the_piece(seed):
    variables = {}
    torch.manual_seed(seed)
    for cell in DOCUMENTS["textbook"][:1] + DOCUMENTS["textbook"][10:12]:
        check(cell, variables)
    a, d = variables["a"], variables["d"]
    scale = a.grad.item() if a > 0 else a.grad.item() / 100
    assert math.log2(scale).is_integer()
    assert torch.isfinite(d)
    assert abs(a.grad.item() - (d / a).item()) <= 1e-6 * abs(a.grad.item())
    if a > 0:
        assert a.grad == d / a
