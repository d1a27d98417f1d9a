"""Compare wengert with its peers on the same work, and print one table of ratios.

python bench/run.py                                 everything, some minutes
python bench/run.py --quick --only chain            a rough look at one row
python bench/run.py --only c-norm --only y-hand     of the rows of compiled work (c-, y-)
python bench/run.py --peers torch,compile           torch.compile needs a C++ compiler
python bench/run.py --markdown docs/benchmarks.md   write the page as well
"""

import argparse
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import environment  # noqa: F401 - first, for what it sets
from measure import Result, measured
from report import machine, page, report
from rows import ROWS
from workloads import COMPILED, OURS, PACKAGES


def options() -> argparse.Namespace:
    """Read the command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    add = parser.add_argument
    add("--rounds", type=int, help="rounds of every timing (15, or 3 when quick)")
    add("--only", action="append", choices=ROWS, metavar="NAME",
        help=f"one workload; may be repeated: {', '.join(ROWS)}")  # fmt: skip
    add("--peers", default="jax,torch,cpp,numpy",
        help="some of jax,compile,torch,cpp,numpy")  # fmt: skip
    add("--markdown", type=Path, metavar="FILE", help="write a page with the table")
    add("--quick", action="store_true", help="few rounds, hardly any memory")
    return parser.parse_args()


def split(asked: list[str]) -> tuple[list[str], list[str]]:
    """Split the peers asked for into those at hand and notes on the others."""
    if unknown := set(asked) - set(PACKAGES):
        raise SystemExit(f"no such peer: {', '.join(unknown)}")
    present = [peer for peer in asked if at_hand(peer)]
    return present, [f"{peer}: not installed, skipped" for peer in asked if peer not in present]


def at_hand(peer: str) -> bool:
    """Whether a peer can be measured here."""
    if peer == COMPILED:
        return hasattr(import_module(OURS), "compile")
    return find_spec(PACKAGES[peer]) is not None


def announced(name: str, peers: list[str], rounds: int, weigh_all: bool) -> Result:
    """Measure one workload, and say so before."""
    print(f"{name} ...", file=sys.stderr)
    return measured(name, peers, rounds, weigh_all)


def main() -> None:
    """Measure and report."""
    chosen = options()
    rounds = chosen.rounds or (3 if chosen.quick else 15)
    names = chosen.only or list(ROWS)
    peers, notes = split([OURS, COMPILED, *chosen.peers.split(",")])
    where = machine()  # with the load that others make, not we
    results = [announced(name, peers, rounds, not chosen.quick) for name in names]
    body = f"{where}\n\n{report(results, peers, notes)}"
    print(body)
    if chosen.markdown:
        chosen.markdown.write_text(page(body, rounds))


if __name__ == "__main__":
    main()
