"""Writes docs/parity.md: what PyTorch's own samples say of each operation, check by check.

    python tests/parity_table.py docs/parity.md

It takes some minutes: all checks of tests/opinfo.py on all operations.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import opinfo
from opinfo_case import Case, difference, missing, name_of, out_of_scope

COLUMNS = {"value": "value", "strides": "memory", "layout": "layout", "grad": "reverse",
           "gradgrad": "again", "forward": "forward", "vmap": "vmap", "compiled": "compiled",
           "inplace": "in place", "method": "method", "errors": "bad input"}
KINDS = {"bool": ("bool",), "int": ("uint8", "int8", "int16", "int32", "int64"),
         "half": ("float16", "bfloat16"), "float": ("float32", "float64"),
         "complex": ("complex64", "complex128")}
PAGE = """\
# Parity with PyTorch

PyTorch {version} holds its operations to samples of its own; here wengert is held to them, with
PyTorch's results. Repeat with `python tests/parity_table.py docs/parity.md`; the tests do it, too
(`tests/test_opinfo.py`).

- A number says how many samples agree in that respect: *value* (with dtype and shape, in all the
  dtypes named), *memory* (what shares memory with what), *layout* (strides, of results of operands
  that lie in each of six ways), *reverse* and *forward* mode, *again* (second derivatives), *vmap*
  against a loop, *compiled* against eager, *in place*, as a *method* and under other names, and
  *bad input* (types and words of errors).
- **differs**: on purpose; the reasons are below. **missing**: wengert has not got it.
- Nothing: PyTorch has no such form, or no samples of it.

{counts}

{table}

## What differs

{reasons}

## Not compared

{out}
"""


def kinds(op: Any) -> str:
    """The dtypes that PyTorch's operation takes, by kind."""
    have = {str(each).removeprefix("torch.") for each in op.dtypes}
    return " ".join(kind for kind, names in KINDS.items() if have & set(names))


def row(place: int) -> tuple[list[str], list[str]]:
    """An operation's cells, and the reasons for its differences."""
    os.environ["WENGERT_STRICT"] = "1"
    op = opinfo.op_db[place]
    name, reasons = name_of(op), []
    if missing(op):
        return [f"`{name}`", kinds(op), "**missing**", *[""] * (len(COLUMNS) - 1)], []
    cells = [f"`{name}`", kinds(op)]
    for check, column in COLUMNS.items():
        report, why = opinfo.run(Case(op), check), difference(op, check)
        if report.failed:
            cells.append("**differs**")
            reasons.append(f"- `{name}`, {column}: {why or report.failed[0].differences[0]}")
        else:
            cells.append(str(report.tried) if report.tried else "")
    return cells, reasons


def excluded() -> Iterable[str]:
    """What is not compared, by reason."""
    why: dict[str, list[str]] = {}
    for op in opinfo.op_db:
        if reason := out_of_scope(op):
            why.setdefault(reason, []).append(f"`{name_of(op)}`")
    return (f"- {reason}: {', '.join(names)}." for reason, names in why.items())


def main(path: Path) -> None:
    """Runs all checks and writes the page."""
    import torch

    torch.set_num_threads(1)
    places = [i for i, op in enumerate(opinfo.op_db) if not out_of_scope(op)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(row, places, chunksize=4))
    rows = sorted((cells for cells, _ in found), key=lambda cells: cells[0].lower())
    differ = sum("**differs**" in cells for cells in rows)
    lack = sum("**missing**" in cells for cells in rows)
    head = ["operation", "dtypes", *COLUMNS.values()]
    lines = [" | ".join(cells) for cells in (head, ["---"] * len(head), *rows)]
    path.write_text(PAGE.format(
        version=torch.__version__.split("+")[0], table="\n".join(f"| {line} |" for line in lines),
        counts=f"{len(rows)} operations: {lack} missing, {differ} with a difference.",
        reasons="\n".join(sorted(reason for _, reasons in found for reason in reasons)) or "None.",
        out="\n".join(excluded())))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
