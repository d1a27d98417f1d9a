"""Periods: where a sequence of numbers repeats itself.

A stretch has period p if every number in it but for the first p is the one p places before. Which
periods to try is found out from how far equal numbers are apart, looked at alone and with what
stands before them: in `a b a c a b a c`, a's are 2 apart, and `b a`s 4. To try one is to compare
the sequence with itself, moved by p.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_CONTEXTS = (1, 4, 16, 64)
"""How many numbers are looked at together."""
_CANDIDATES = 32
_ROUNDS = 4
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class Run(NamedTuple):
    """A stretch that has a period; it may end in the middle of one."""

    start: int
    stop: int
    period: int

    @property
    def turns(self) -> int:
        """How many whole periods there are."""
        return (self.stop - self.start) // self.period


def runs(numbers: np.ndarray, weights: np.ndarray, turns: int, least: int,
         longest: int = 1 << 62) -> list[Run]:
    """Stretches with a period, in order, none of which has a place in common with another.

    Args:
        numbers: the sequence.
        weights: what each place counts.
        turns: how often a period has to come at least.
        least: what all of a stretch but its first period has to weigh.
        longest: how long a period may be.
    """
    total = np.concatenate(([0], np.cumsum(weights)))
    found: list[Run] = []
    todo = [(0, len(numbers))]
    for _ in range(_ROUNDS):
        rest = []
        for start, stop in todo:
            if total[stop] - total[start] < least:
                continue
            chosen = _chosen(numbers[start:stop], total[start:stop + 1], turns, least, longest)
            found += [Run(start + run.start, start + run.stop, run.period) for run in chosen]
            ends = [start, *(start + end for run in chosen for end in (run.start, run.stop)), stop]
            rest += [*zip(ends[::2], ends[1::2], strict=True)] if chosen else []
        todo = rest
    return sorted(found)


def _chosen(numbers: np.ndarray, total: np.ndarray, turns: int, least: int,
            longest: int) -> list[Run]:
    """Of all stretches of a sequence those that cover most, and do not overlap; in order."""
    every = [run for period in _candidates(numbers, turns) if period <= longest
             for run in _tried(numbers, period) if run.turns >= turns
             and total[run.stop] - total[run.start + run.period] >= least]
    taken = np.zeros(len(numbers), bool)
    found = []
    for run in sorted(every, key=lambda run: (-_size(run), run.period, run.start)):
        if not (taken[run.start] or taken[run.stop - 1] or taken[run.start:run.stop].any()):
            taken[run.start:run.stop] = True
            found.append(run)
    return sorted(found)


def _size(run: Run) -> int:
    """How much a run covers, but for small differences."""
    return int(8 * np.log2(run.stop - run.start))


def _candidates(numbers: np.ndarray, turns: int) -> list[int]:
    """The distances that equal numbers in equal contexts often are apart."""
    found: set[int] = set()
    hashed, reach = numbers.astype(np.uint64) * _FACTOR, 1
    for context in _CONTEXTS:
        while reach < context:
            before = np.concatenate((np.zeros(reach, np.uint64), hashed[:-reach]))
            hashed, reach = hashed * _FACTOR + (before ^ (before >> np.uint64(29))), 2 * reach
        order = np.argsort(hashed, kind="stable")
        same = hashed[order[1:]] == hashed[order[:-1]]
        counts = np.bincount((order[1:] - order[:-1])[same])
        votes = np.argsort(-counts, kind="stable")[:_CANDIDATES]
        found.update(int(p) for p in votes if p and counts[p] >= turns - 1)
        if len(numbers) < 2 * reach:
            break
    return sorted(found)


def _tried(numbers: np.ndarray, period: int) -> list[Run]:
    """All stretches with a period."""
    breaks = np.flatnonzero(numbers[period:] != numbers[:-period])
    starts = np.concatenate(([0], breaks + 1))
    stops = np.concatenate((breaks, [len(numbers) - period]))
    long = stops - starts >= period
    return [Run(int(a), int(b) + period, period)
            for a, b in zip(starts[long], stops[long], strict=True)]
