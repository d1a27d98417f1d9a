"""Every operation beside PyTorch's: forward and backward, on small and on large tensors.

python bench/operations.py                          both sizes, some minutes
python bench/operations.py --size small --only exp  the lines that have "exp" in them
python bench/operations.py --markdown FILE          write the page as well

Each row is one line of `programs.py`, run by both libraries in turn within every round. The table
begins with the worst ratios.
"""

import argparse
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import environment
from measure import FAILURES, calibrated, in_turn, sample
from programs import LARGE, SMALL
from report import machine

PAGE = """\
# Operation by operation

{machine} Repeat with `make bench`, or `python bench/operations.py`.

Every operation forward and backward (where both have a derivative), in float32, beside PyTorch
eager, which runs the same line in turn. The number is our time as a share of PyTorch's; below 1 we
are the faster. Small tensors have 4 elements, large ones 4 million; see `bench/programs.py`.
{body}
"""


@dataclass
class Row:
    """One line, and what was measured of it."""

    line: str
    ratio: float = float("nan")
    ours: float = float("nan")
    theirs: float = float("nan")
    note: str = ""


def tensors(torch: Any, large: bool) -> dict[str, Any]:
    """What the lines name, with the same numbers for every library."""
    rng = np.random.default_rng(1)
    n, rows, side = (4_000_000, 4000, 1000) if large else (4, 2, 2)

    def floats(*shape: int, kind: str = "float32") -> Any:
        return torch.tensor(rng.uniform(0.1, 0.9, shape).astype(kind)).requires_grad_()

    names = {"torch": torch, "F": torch.nn.functional, "x": floats(n), "y": floats(n),
             "z": floats(n), "i": torch.tensor(rng.integers(0, n, n)),
             "m": torch.tensor(rng.random(n) < 0.5), "B": floats(side, side), "v": floats(side)}
    matrix = rng.uniform(0.1, 0.9, (side, side)) + side * np.eye(side)
    names["A"] = torch.tensor(matrix.astype("float32")).requires_grad_()
    if large:
        wide = n // rows
        names |= {"X": floats(rows, wide), "Y": floats(rows, wide),
                  "I": torch.tensor(rng.integers(0, wide, (rows, wide))),
                  "rows": torch.tensor(rng.integers(0, rows, rows)),
                  "labels": torch.tensor(rng.integers(0, wide, rows)),
                  "images": floats(64, 3, 32, 32), "kernels": floats(16, 3, 5, 5)}
    return names


def first_floats(torch: Any, out: Any) -> Any:
    """The result that is differentiated, if there is one."""
    several = out if isinstance(out, (tuple, list)) else (out,)
    return next((each for each in several if isinstance(each, torch.Tensor)
                 and each.requires_grad), None)


def differentiable(torch: Any, line: str, names: dict[str, Any]) -> bool:
    """Whether a line has a derivative (of a few, PyTorch has none)."""
    return first_floats(torch, eval(line, names)) is not None


def stepped(torch: Any, line: str, names: dict[str, Any], *, back: bool) -> Callable[[], Any]:
    """One step of a line: forward, and if asked for backward to all that it reads."""
    code = compile(line, "<line>", "eval")
    leaves = [names[name] for name in ("x", "y", "z", "A", "B", "v", "X", "Y", "images", "kernels")
              if name in names and name in code.co_names]
    run: Callable[[], Any] = eval(f"lambda: {line}", names)
    if not back:
        return run
    found = first_floats(torch, run())
    cotangent, pull = torch.ones_like(found.detach()), torch.autograd.grad

    def step() -> Any:
        return pull(first_floats(torch, run()), leaves, cotangent, allow_unused=True)

    return step


def measured(line: str, sides: dict[Any, dict[str, Any]], rounds: int) -> Row:
    """Time one line on both sides."""
    row = Row(line)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            back = all(differentiable(torch, line, names) for torch, names in sides.items())
            steps = {torch.__name__: stepped(torch, line, names, back=back)
                     for torch, names in sides.items()}
            samplers = {}
            for name, step in steps.items():
                step()
                samplers[name] = partial(sample, step, calibrated(step))
            times = in_turn(rounds, 1, samplers)
    except FAILURES as failure:
        row.note = f"{type(failure).__name__}: {str(failure).splitlines()[0][:60]}"
        return row
    ours, theirs = times["wengert"], times["torch"]
    row.ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
    row.ours, row.theirs = median(ours), median(theirs)
    return row


def table(title: str, rows: list[Row]) -> str:
    """The rows of one size, the worst first."""
    known = sorted((r for r in rows if not r.note), key=lambda r: -r.ratio)
    lines = [f"\n## {title}\n"]
    if known:
        lines.append(f"Median {median(r.ratio for r in known):.2f}; at most 1 in "
                     f"{sum(r.ratio <= 1 for r in known)} of {len(known)}.\n")
    lines += ["| operation | ratio | wengert µs | PyTorch µs |", "|---|---|---|---|"]
    lines += [f"| `{r.line}` | {r.ratio:.2f} | {r.ours * 1e6:.1f} | {r.theirs * 1e6:.1f} |"
              for r in known]
    lines += [f"| `{r.line}` | {r.note} | | |" for r in rows if r.note]
    return "\n".join(lines)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("small", "large"), help="one size alone")
    parser.add_argument("--only", help="the lines with this text in them")
    parser.add_argument("--rounds", type=int, help="rounds of every line (5; 3 for large ones)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write a page")
    asked = parser.parse_args()

    import torch

    import wengert

    torch.set_num_threads(environment.CORES)
    tables = []
    for size, lines, rounds in (("small", SMALL, 5), ("large", LARGE, 3)):
        if asked.size in (None, size):
            sides = {each: tensors(each, size == "large") for each in (wengert, torch)}
            chosen = [line for line in lines if asked.only is None or asked.only in line]
            rows = []
            for line in chosen:
                print(f"{size}: {line}", file=sys.stderr)
                rows.append(measured(line, sides, asked.rounds or rounds))
            tables.append(table(f"{size.capitalize()} tensors", rows))
    body = "\n".join(tables)
    print(body)
    if asked.markdown:
        asked.markdown.write_text(PAGE.format(machine=machine(), body=body))


if __name__ == "__main__":
    main()
