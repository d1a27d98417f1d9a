"""wengert against PyTorch's own table of operations, `op_db`: see tests/opinfo.py.

One test an operation, with all its checks on some of its samples. What is missing, and what
differs on purpose, is in tests/opinfo_differences.py.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

import pytest

import wengert

ORACLE = "PyTorch 2.13.0 with its tests is the oracle here: pip install torch==2.13.0 expecttest"
torch = pytest.importorskip("torch", reason=ORACLE)
pytest.importorskip("expecttest", reason=ORACLE)
if torch.__version__.split("+")[0] != "2.13.0":
    pytest.skip(ORACLE, allow_module_level=True)

import opinfo  # noqa: E402 - it needs PyTorch
from opinfo_case import Case, difference, missing, name_of, out_of_scope  # noqa: E402
from opinfo_differences import DIFFERENCES, IN_SCOPE, MISSING, OUT_OF_SCOPE  # noqa: E402

IN = [op for op in opinfo.op_db if not out_of_scope(op)]
THERE = {name_of(op): op for op in IN if not missing(op)}


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong in the compiler itself is an error."""
    monkeypatch.setenv("WENGERT_STRICT", "1")


@pytest.mark.parametrize("name", THERE)
def test_operation(name: str) -> None:
    """Each check agrees with PyTorch, or is in the ledger of differences, and only then."""
    op, wrong = THERE[name], []
    for check in opinfo.CHECKS:
        known = difference(op, check)
        all_of_it = (1, opinfo.SECONDS)  # or what differs might not be seen
        scale, seconds = all_of_it if known else (opinfo.QUICK, 1.5)
        report = opinfo.run(Case(op, scale=scale), check, seconds)
        if bool(report.failed) != bool(known):
            wrong.append(f"{check}: remove ({name!r}, {check!r}) from DIFFERENCES, it agrees now"
                         if known else f"{check}: {report}")
    assert not wrong, "\n".join([name, *wrong])


def test_missing() -> None:
    """The list of holes is what is missing: no more, no less."""
    assert {name_of(op) for op in IN if missing(op)} == MISSING


def test_ledger_names_operations() -> None:
    names = {op.name for op in opinfo.op_db}
    assert names >= IN_SCOPE
    for pattern in OUT_OF_SCOPE:
        assert fnmatch.filter(names, pattern), pattern
    assert {name for name, _ in DIFFERENCES} <= set(THERE)
    assert {check for _, check in DIFFERENCES} <= {*opinfo.CHECKS, "*"}


# --- the checks themselves -------------------------------------------------------------------


class Careless(wengert.autograd.Function):
    """The exponential, whose derivative is a constant and has no forward mode."""

    @staticmethod
    def forward(x: Any) -> Any:
        return x.exp()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad * ctx.saved_tensors[0].detach()


class Wrong(Case):
    """An operation for which wengert has a wrong function."""

    wrong: Callable[..., Any]

    def variant(self, theirs: Any, name: str) -> Any:
        return self.wrong


def peeking(x: Any) -> Any:
    return x.exp() if float(x.sum()) < 1e9 else x


def counting(x: Any, seen: list[int] = []) -> Any:  # noqa: B006 - what it is about
    seen.append(1)
    return x.exp() + len(seen)


def writing(x: Any, *args: Any) -> Any:
    with wengert.no_grad():
        x.add_(1)
    raise RuntimeError("Expected")


WRONG = [
    ("exp", "value", lambda x: x.exp() * 1.001), ("exp", "value", lambda x: x.exp().double()),
    ("exp", "value", lambda x: x.exp()[None]),
    ("exp", "value", lambda x: x.exp() * (1.1 if x.dtype.itemsize == 2 else 1)),
    ("sort", "value", lambda *args, **kwargs: tuple(wengert.sort(*args, **kwargs))),
    ("exp", "extremal", lambda x: wengert.where(wengert.isnan(x), 0, x.exp())),
    ("flatten", "strides", lambda x, *args, **kwargs: x.flatten(*args, **kwargs).clone()),
    ("exp", "grad", lambda x: x.exp().detach() + x - x.detach()),
    ("exp", "gradgrad", Careless.apply), ("exp", "forward", Careless.apply),
    ("exp", "vmap", peeking), ("exp", "compiled", counting),
    ("exp", "inplace", lambda x: x.exp()), ("exp", "inplace", lambda x: x.exp_().mul_(1)),
    ("exp", "method", lambda x: -x), ("dot", "errors", lambda *args: None),
    ("dot", "errors", writing),
]


@pytest.mark.parametrize(("name", "check", "wrong"), WRONG)
def test_check_can_fail(name: str, check: str, wrong: Callable[..., Any]) -> None:
    case = Wrong(THERE[name])
    case.wrong = staticmethod(wrong)
    assert opinfo.run(case, check).failed
    assert not opinfo.run(Case(THERE[name], "float64"), check).failed or check == "errors"
