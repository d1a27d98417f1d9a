"""Everyday operations with unusual arguments, as PyTorch has them: see tests/opinfo_mutants.py."""

from __future__ import annotations

from typing import Any

import pytest

ORACLE = "PyTorch 2.13.0 with its tests is the oracle here: pip install torch==2.13.0 expecttest"
torch = pytest.importorskip("torch", reason=ORACLE)
pytest.importorskip("expecttest", reason=ORACLE)
if torch.__version__.split("+")[0] != "2.13.0":
    pytest.skip(ORACLE, allow_module_level=True)

import opinfo  # noqa: E402 - it needs PyTorch
import opinfo_mutants as mutants  # noqa: E402
from opinfo_case import Case  # noqa: E402

CALLS = 20
NAMES = [
    "add", "all", "amax", "argmin", "broadcast_to", "cos", "eq", "exp", "flatten", "flip", "floor",
    "gather", "log1p", "logical_and", "matmul", "maximum", "mean", "mul", "neg", "permute", "pow",
    "reshape", "roll", "sigmoid", "sqrt", "squeeze", "stack", "sum", "t", "tanh", "transpose",
    "tril", "unsqueeze", "nn.functional.relu", "nn.functional.linear",
]


def found(op: Any, **fields: Any) -> list[str]:
    case = Case(op)
    vars(case).update(fields)
    return [f"{call}: {told}" for call, several in mutants.tries(case, CALLS, 0)
            for told in several[:1]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_as_pytorch_has_it(name: str) -> None:
    [op] = [op for op in opinfo.chosen([name]) if not op.variant_test_name]
    assert found(op) == []


@pytest.mark.filterwarnings("ignore")
def test_it_can_fail() -> None:
    [op] = opinfo.chosen(["exp"])
    assert found(op, ours=lambda x: x.detach().exp())
