"""wengert against PyTorch, on PyTorch's own table of operations and sample inputs (`op_db`).

    python tests/opinfo.py NAME... [--check value,grad] [--dtype float32] [--verbose] [--list]

A NAME is PyTorch's (`add`, `linalg.inv`, `nn.functional.pad`, `polygamma.polygamma_n_1`) or a
pattern (`linalg.*`). Each check of `CHECKS` goes over some of the operation's samples and tells
in what wengert's results differ. A check that takes too long stops where it is.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import os
import sys
import time
import traceback
import warnings
from typing import Any

import numpy as np
from torch.testing._internal.common_methods_invocations import op_db

from limits import limited
from opinfo_case import Case, Found, Raised, difference, missing, name_of, out_of_scope
from opinfo_checks import CHECKS

SECONDS = 8.0  # of processor time: a check takes no further sample after these
QUICK = 0.34  # the share of samples that the tests take
HARD_SECONDS = 20.0  # and is interrupted after these


class Cut(BaseException):
    """A check took too long."""


@dataclasses.dataclass
class Report:
    """What a check found."""

    tried: int
    failed: list[Found]
    cut: bool = False

    def __str__(self) -> str:
        cut = ", cut" if self.cut else ""
        if not self.failed:
            return f"ok ({self.tried}{cut})"
        # a dtype that wengert lacks says least
        first = min(self.failed, key=lambda each: each.differences[0].startswith("missing dtype"))
        return (f"{len(self.failed)} of {self.tried}{cut}: {first.differences[0]}"
                f"\n      at {first.sample}")


def run(case: Case, name: str, seconds: float = SECONDS) -> Report:
    """One check of one operation."""
    report = Report(0, [])
    start = time.process_time()
    try:
        with limited(HARD_SECONDS, Cut), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for found in CHECKS[name](case):
                report.tried += 1
                if found.differences:
                    report.failed.append(found)
                if time.process_time() - start > seconds:
                    report.cut = True
                    break
    except Cut:
        report.cut = True
        report.failed.append(Found("a sample", ["took too long"]))
    except Exception as error:
        report.failed.append(Found("the check itself: " + _where(error), [repr(Raised(error))]))
    return report


def _where(error: Exception) -> str:
    lines = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{os.path.basename(each.filename)}:{each.lineno}" for each in lines[::-1])


def chosen(patterns: list[str]) -> list[Any]:
    """The operations of these names or patterns."""
    return [op for op in op_db if any(
        fnmatch.fnmatchcase(name, p) for p in patterns for name in (op.name, name_of(op)))]


def _told(op: Any, name: str, options: argparse.Namespace) -> str:
    """Runs a check and prints what it found; returns what counts."""
    report = run(Case(op, options.dtype, QUICK if options.quick else 1), name)
    known = difference(op, name)
    says = f"differs: {known}" if report.failed and known else str(report)
    if report.failed or (report.tried and not options.red):
        print(f"{name_of(op):32s} {name:9s} {says}", flush=True)
    for found in report.failed if options.verbose else []:
        print(f"      {found.sample}", *found.differences, sep="\n          ")
    return "failing" if report.failed and not known else "ok"


def _parsed(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("opinfo.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["*"], metavar="NAME")
    parser.add_argument("--check", default=",".join(CHECKS), help="some of %(default)s")
    parser.add_argument("--dtype")
    parser.add_argument("--verbose", action="store_true", help="all differences")
    parser.add_argument("--quick", action="store_true", help="fewer samples, as in the tests")
    parser.add_argument("--red", action="store_true", help="only what fails")
    parser.add_argument("--list", action="store_true", help="which names are there")
    options = parser.parse_args(argv)
    options.check = options.check.split(",")
    if unknown := {*options.check} - set(CHECKS):
        parser.error(f"no such check: {', '.join(unknown)}")
    return options


def main(argv: list[str]) -> None:
    """The command line: prints a line for each operation and check, and how many of each kind."""
    options = _parsed(argv)
    os.environ["WENGERT_STRICT"] = "1"  # what goes wrong in the compiler itself is an error
    ops = chosen(options.names or ["*"])
    if not ops:
        print("no such operation:", *options.names)
    counts = {"ok": 0, "failing": 0, "missing": 0, "out of scope": 0}
    for op in ops:
        why, lacks = out_of_scope(op), missing(op)
        if why or lacks or options.list:
            status = "out of scope" if why else "missing" if lacks else "ok"
            counts[status] += 1
            if not (options.red and status != "missing"):
                print(f"{name_of(op):40s} {status} {why or lacks or ''}")
            continue
        for name in options.check:
            counts[_told(op, name, options)] += 1
    print(", ".join(f"{n} {status}" for status, n in counts.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
