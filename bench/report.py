"""The table, and the page, that are made of the measurements."""

import os
import platform
from collections.abc import Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median, quantiles

from environment import CORES
from measure import LEAST_SECONDS, Result
from workloads import ALONE, COMPILED, CPP, OURS

TITLES = {
    OURS: "wengert",
    COMPILED: "wengert.compile",
    CPP: "C++ by hand",
    "torch": "PyTorch eager",
    "compile": "torch.compile",
    "jax": "jax.jit",
    "numpy": "floor",
}
PAGE = """\
# Benchmarks

Repeat with `make bench`, or `python bench/run.py` and the choices that `--help` names.

{body}

## How to read it

- A cell such as `0.71 of 1.41 µs` reads: our time is 0.71 of the peer's, which is 1.41 µs; below 1
  we are the faster. Times are medians over {rounds} rounds; ratios are medians of the ratios within
  each round. The quartiles are those of the ratios to PyTorch eager, as is the target.
- All peers do the work in turn within every round, in one process, after warm-up. A sample repeats
  the work until it lasts {milliseconds:.0f} ms or more.
- Everyone has {cores} cores. Python's garbage collector is on, as it is for users; it is also run
  between samples, untimed, so that nobody pays for another's garbage.
- "Gradient" stands for the value and its gradient, forward and backward.
- "times f" is what value and gradient cost, in units of the function alone, both by ourselves;
  the theory of the cheap gradient says at most 4 for large arrays.
- In the table of compiled work, the work is the value and its gradients (or as its line says),
  by ourselves in one function given to `wengert.compile`. "aim" is the ratio that we want; a bold
  one misses it. "First call" is the whole first call of a fresh process, all compiling and loading
  of compilers included, with empty caches on disk; in brackets, with ours full. Where the work is a
  loop of many steps, jax has it as `lax.scan`, everyone else as Python's loop. Everyone uses its
  own library's layer norm, gelu, cross entropy and convolution where it has them. C++ by hand is
  `bench/cpp`, built with `-O3 -march=native`, on one thread.
- All sides' results, gradients included, are compared before they are timed.
- jax.jit compiles the work once and then runs it without Python. An empty cell says that the work
  has no such form.
- The floor is numpy alone: copying the 10 million numbers once, or importing numpy.
- Peak MiB is what a few runs of the work add to the resident set after import and set-up, in a
  fresh process for each library, in the order of the columns. Compilation is left out, of time and
  of memory.
- PyTorch's threads wait for one another, which costs it much on a busy machine (see the load), so
  it waits here with `GOMP_SPINCOUNT=10000`, which is as fast on an idle one.
"""


def in_units(value: float, *units: tuple[float, str]) -> str:
    """Write `value` with three digits in the largest unit that it fills."""
    size, unit = next((each for each in units if value >= each[0]), units[-1])
    return f"{value / size:.{max(0, 3 - len(str(int(value / size))))}f} {unit}"


def figure(result: Result, peer: str) -> str:
    """Write a peer's median."""
    value = median(result.judged[peer])
    if not result.work.timed:
        return f"{value:.0f} B"
    return in_units(value, (1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def compared(result: Result, peer: str) -> str:
    """Write our ratio to a peer, and the peer's figure."""
    if peer not in result.judged:
        return ""
    theirs, ratios = figure(result, peer), result.ratios(peer)
    if not ratios:
        return theirs
    ratio, aim = median(ratios), result.work.targets.get(peer)
    digits = f"{ratio:.3g}" if ratio < 1000 else f"{ratio:.0f}"
    if aim is None:
        return f"{digits} of {theirs}"
    return f"{digits if ratio <= aim else f'**{digits}**'} of {theirs}, aim {aim}"


def verdict(result: Result) -> list[str]:
    """Write how the ratios to PyTorch spread, the target, and whether it is reached."""
    ratios, target = result.ratios("torch"), result.work.target
    quarters = quantiles(ratios, n=4, method="inclusive")[::2] if len(ratios) > 1 else []
    spread = "-".join(f"{each:.2f}" for each in quarters)
    if not ratios or not target:
        return [spread, f"{target or ''}", ""]
    return [spread, f"{target}", "yes" if median(ratios) <= target else "**no**"]


def peaks(result: Result, peers: Sequence[str]) -> str:
    """Write the peaks of memory of a row that is judged by its time."""
    if not result.work.timed or not result.peaks:
        return ""
    known = {peer: median(values) / 2**20 for peer, values in result.peaks.items()}
    sizes = {peer: f"{peak:.0f}" if peak >= 1 else "< 1" for peer, peak in known.items()}
    return " / ".join(sizes.get(peer, "none") for peer in peers if peer not in ("numpy", CPP))


def times_function(result: Result) -> str:
    """Write how many times the function's cost the value and its gradient are, for ourselves."""
    ratios = result.ratios(ALONE)
    return f"{median(ratios):.1f}" if ratios else ""


def row(result: Result, peers: Sequence[str]) -> list[str]:
    """Write one line's cells."""
    ours = figure(result, result.work.ours) if result.work.ours in result.judged else ""
    others = [compared(result, peer) for peer in peers if peer != result.work.ours]
    last = [firsts(result)] if result.work.ours == COMPILED else verdict(result)
    return [result.work.title, ours, *others, *last, times_function(result),
            peaks(result, peers)]


def firsts(result: Result) -> str:
    """Write how long first calls took, ours also with what is cached on disk."""
    return ", ".join(
        f"{TITLES[peer]} {first.cold:.2f}" + (f" ({first.warm:.2f})" if peer == COMPILED else "")
        for peer, first in result.firsts.items()
    )


def table(results: Sequence[Result], peers: Sequence[str], ours: str) -> str:
    """Write the lines of one of our sides, aligned, in Markdown."""
    apart = (COMPILED, CPP) if ours == OURS else ()
    peers = [ours, *(peer for peer in peers if peer not in (ours, *apart))]
    others = [TITLES[peer] for peer in peers[1:]]
    last = ["first call, s"] if ours == COMPILED else ["quartiles", "target", "reached"]
    head = ["work", TITLES[ours], *others, *last, "times f", "peak MiB"]
    some = [result for result in results if result.work.ours == ours]
    rows = [head, ["---"] * len(head), *(row(result, peers) for result in some)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (" | ".join(map(str.ljust, cells, widths)) for cells in rows)
    return "\n".join(f"| {line} |" for line in lines)


def processor() -> str:
    """Name the processor, as well as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def versions() -> str:
    """Name the libraries at work."""
    found = []
    for package in (OURS, "numpy", "scipy", "llvmlite", "torch", "jax", "jaxlib"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def machine() -> str:
    """Say where and when this was measured."""
    cores = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.system()}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{date.today()}; {processor()}, {cores}; {python}; {versions()}."


def report(results: Sequence[Result], peers: Sequence[str], notes: Sequence[str]) -> str:
    """Write the tables and the notes."""
    every = [*notes, *(note for result in results for note in result.notes)]
    sides = [ours for ours in (OURS, COMPILED) if any(each.work.ours == ours for each in results)]
    tables = "\n\n".join(table(results, peers, ours) for ours in sides)
    return "\n".join([tables, *[""][: len(every)], *(f"- {each}" for each in every)])


def page(body: str, rounds: int) -> str:
    """Make the report a page of the documents."""
    return PAGE.format(body=body, rounds=rounds, cores=CORES, milliseconds=1e3 * LEAST_SECONDS)
