"""How the measurements are made: all peers in turn within every round."""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from math import ceil, isnan
from subprocess import SubprocessError
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from rows import ROWS
from weight import First, first, weigh
from workloads import ALONE, COMPILED, CPP, Step, Workload, build

LEAST_SECONDS = 0.02  # of a sample
COMPILERS = (COMPILED, "compile", "jax")
FAILURES = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, MemoryError,
    OSError, RuntimeError, SubprocessError, TypeError, ValueError,
)  # fmt: skip
Samples = Mapping[str, Sequence[float]]


@dataclass
class Result:
    """What was measured of one workload: samples by peer, of which the nth are of one round."""

    name: str
    times: Samples = field(default_factory=dict)
    peaks: Samples = field(default_factory=dict)
    firsts: Mapping[str, First] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def work(self) -> Workload:
        """The work itself."""
        return ROWS[self.name]

    @property
    def judged(self) -> Samples:
        """The samples that the row's ratios are of."""
        return self.times if self.work.timed else self.peaks

    def ratios(self, peer: str) -> list[float]:
        """Ours to the peer's, round by round."""
        pairs = zip(self.judged.get(self.work.ours, ()), self.judged.get(peer, ()), strict=False)
        return [ours / theirs for ours, theirs in pairs]


def timed(step: Step, count: int) -> float:
    """Seconds that `count` steps take."""
    start = perf_counter()
    for _ in repeat(None, count):
        step()
    return perf_counter() - start


def calibrated(step: Step) -> int:
    """Find the number of steps that last as long as a sample should."""
    count = 1
    while (spent := timed(step, count)) < LEAST_SECONDS:
        count = max(2 * count, ceil(1.1 * count * LEAST_SECONDS / spent))
    return count


def sample(step: Step, count: int) -> float:
    """Time a step, with neither the garbage nor the cold caches of the peer before."""
    gc.collect()
    if count > 1:
        step()
    return timed(step, count) / count


def in_turn(rounds: int, per: int, samplers: Mapping[str, Callable[[], float]]) -> Samples:
    """Sample everyone once a round; the order turns, so that nobody is always first."""
    samples: dict[str, list[float]] = {peer: [] for peer in samplers}
    order = list(samplers)
    for _ in range(rounds):
        for peer in order:
            samples[peer].append(samplers[peer]() / per)
        order = order[1:] + order[:1]
    return samples


def arrays(result: Any) -> Iterator[npt.NDArray[Any]]:
    """Give the numbers that a step computed, of whatever library."""
    if isinstance(result, (list, tuple)):
        for each in result:
            yield from arrays(each)
    elif hasattr(result, "detach"):
        yield np.array(result.detach().numpy())
    elif hasattr(result, "__array__"):
        yield np.array(result)


def far(ours: Sequence[npt.NDArray[Any]], theirs: Sequence[npt.NDArray[Any]]) -> bool:
    """Whether two sides computed different things."""
    if [each.shape for each in ours] != [each.shape for each in theirs]:
        return True
    return any(
        np.abs(a - b).max(initial=0) > (1e-8 if b.dtype == "float64" else 1e-3)
        * np.abs(b).max(initial=1e-30) for a, b in zip(ours, theirs, strict=True)
    )  # fmt: skip


def set_up(result: Result, peers: Sequence[str]) -> dict[str, Step]:
    """Build and warm up the work of all peers; note who fails or computes something else."""
    steps: dict[str, Step] = {}
    known: list[npt.NDArray[Any]] = []
    for peer in peers:
        try:
            if step := build(result.work, peer):
                found = [] if peer in ("numpy", ALONE) else list(arrays(step()))
                step()
                steps[peer] = step
                if known and found and far(found, known):
                    result.notes.append(f"{result.name}, {peer}: the numbers differ")
                known = known or found
        except FAILURES as error:  # the others can still be measured
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            result.notes.append(f"{result.name}, {peer}: {reason}")
    return steps


def times(result: Result, peers: Sequence[str], rounds: int) -> Samples:
    """Time the work of all peers."""
    steps = set_up(result, [*peers, ALONE] if result.work.ours in peers else peers)
    samplers = {peer: partial(sample, step, calibrated(step)) for peer, step in steps.items()}
    return in_turn(rounds, result.work.per, samplers)


def peaks(result: Result, peers: Sequence[str], rounds: int) -> Samples:
    """Peak memory of all peers of whom it can be had."""
    able = [peer for peer in (result.times or peers) if peer not in ("numpy", CPP, ALONE)]
    samplers = {peer: partial(weigh, result.name, peer) for peer in able}
    samples = in_turn(rounds, result.work.per, samplers)
    failed = {peer for peer, values in samples.items() if isnan(sum(values))}
    unexpected = sorted(failed - set(result.work.skips))
    result.notes += [f"{result.name}, {peer}: memory not measured" for peer in unexpected]
    return {peer: values for peer, values in samples.items() if peer not in failed}


def measured(name: str, peers: Sequence[str], rounds: int, weigh_all: bool) -> Result:
    """Measure one workload."""
    result = Result(name)
    if result.work.timed:
        result.times = times(result, peers, rounds)
    if result.work.weighed and (weigh_all or not result.work.timed):
        result.peaks = peaks(result, peers, 1 if result.work.timed else 3)
    if result.work.ours == COMPILED and weigh_all:
        result.firsts = {peer: first(name, peer) for peer in COMPILERS if peer in result.times}
    return result
