"""Which memory is used when: the arena's plan, and what may share memory.

Temporaries lie in one stretch of memory, the arena. Each takes the smallest gap that it fits in
from the step that first writes it to the one that last reads it.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..failing import step_can_fail
from ..ir.nest import (
    Access,
    Buffer,
    Buffers,
    Load,
    Nest,
    Number,
    Stage,
    Step,
    Store,
    touched,
)

if TYPE_CHECKING:
    from .tree import Draft

_ALIGNED = 64


def filled(fills: Iterable[tuple[Buffer, Any]]) -> list[Nest]:
    """Nests that fill memory with numbers, one for each size."""
    by_size: dict[int, list[tuple[Buffer, Any]]] = {}
    for buffer, value in fills:
        by_size.setdefault(buffer.size, []).append((buffer, value))
    return [_filling(size, each) for size, each in by_size.items()]


def _filling(size: int, fills: Sequence[tuple[Buffer, Any]]) -> Nest:
    numbers = [Number(buffer.dtype, value) for buffer, value in fills]
    stores = [Store(Access(buffer, (1,) if size > 1 else ()), number)
              for (buffer, _), number in zip(fills, numbers, strict=True)]
    if size == 1:
        return Nest((), 1, (Stage(False, (*numbers, *stores)),))
    return Nest((), size, (Stage(False, tuple(numbers)), Stage(True, tuple(stores))))


# --- the arena --------------------------------------------------------------------------------


class Arena:
    """Memory in use, by offset.

    Attributes:
        size: the most that was in use at once, in bytes.
    """

    def __init__(self) -> None:
        self.size = 0
        self.used: list[tuple[int, int]] = []

    def take(self, nbytes: int) -> int:
        """The offset of the smallest gap of that size, now in use."""
        nbytes = _rounded(nbytes)
        best, least, end = -1, 0, 0
        for start, stop in self.used:
            gap = start - end
            if gap >= nbytes and (best < 0 or gap < least):
                best, least = end, gap
            end = stop
        if best < 0:
            best = end
        bisect.insort(self.used, (best, best + nbytes))
        self.size = max(self.size, best + nbytes)
        return best

    def free(self, offset: int) -> None:
        """Gives back what begins at an offset."""
        del self.used[bisect.bisect_left(self.used, (offset, 0))]


def _rounded(nbytes: int) -> int:
    """The bytes that so many take: whole cache lines."""
    return -(-max(nbytes, 1) // _ALIGNED) * _ALIGNED


def arena(drafts: Sequence[Draft]) -> int:
    """Gives every temporary its place in the arena.

    Returns:
        the arena's size in bytes.
    """
    used = Arena()
    entered: dict[Draft, list[Buffer]] = {drafts[0]: []}
    for draft in drafts:
        alive = _allocated(draft, entered.pop(draft), used)
        for case in draft.cases:
            entered[case] = [b for b in alive if b in case.wanted]
    return used.size


def _allocated(draft: Draft, alive: list[Buffer], used: Arena) -> list[Buffer]:
    """Places the temporaries of a block; those that are alive when it ends."""
    used.used = sorted((b.offset, b.offset + _rounded(b.size * b.dtype.itemsize))
                       for b in alive)
    steps = [(reads | writes) for reads, writes in map(touched, draft.planned)]
    last: dict[Buffer, int] = {}
    for i, buffers in enumerate(steps):
        last.update(dict.fromkeys(buffers, i))
    keep = set(draft.results).union(*(case.wanted for case in draft.cases))
    now: Buffers = dict.fromkeys(alive)
    for i, buffers in enumerate(steps):
        fresh = [b for b in buffers if b.kind == "temporary" and b not in now]
        ending = [b for b in buffers if last[b] == i and b not in keep and b in now]
        for b in sorted(fresh, key=lambda b: -b.size):
            heir = next((e for e in ending if _inherits(draft.planned[i], e, b)), None)
            if heir is None:
                b.offset = used.take(b.size * b.dtype.itemsize)
            else:
                b.offset = heir.offset
                ending.remove(heir)
                del now[heir]
            now[b] = None
        for b in buffers:
            if b in now and last[b] == i and b not in keep:
                used.free(b.offset)
                del now[b]
    return list(now)


def _inherits(step: Step, old: Buffer, new: Buffer) -> bool:
    """Whether a buffer may lie where another does that a step is the last to read."""
    return old.size == new.size and old.dtype == new.dtype and _in_turn(step, old, new)


# --- donation ---------------------------------------------------------------------------------


def donations(drafts: Sequence[Draft], inputs: Sequence[Buffer], outputs: Sequence[Buffer],
              wished: Mapping[int, int]) -> dict[int, int]:
    """Of the outputs that are wished to lie in inputs' memory, those for which that is safe.

    Nothing may read the input once the output is written, but for the same element in the same
    turn of a loop; and nothing may fail from then on, or end the plan without effect.
    """
    found: dict[int, int] = {}
    for out, given in wished.items():
        output, source = outputs[out], inputs[given]
        alike = output.size == source.size and output.dtype == source.dtype
        if alike and given not in found.values() and all(
                _safe(draft, source, output) for draft in drafts):
            found[out] = given
    return found


def _safe(draft: Draft, source: Buffer, output: Buffer) -> bool:
    written = False
    for step in draft.planned:
        reads, writes = touched(step)
        if output in writes:
            if draft.cases:
                return False
            if source in reads and (written or not _in_turn(step, source, output)):
                return False
            written = True
        elif written and source in reads:
            return False
        if written and step_can_fail(step):
            return False
    return True


def _in_turn(step: Step, source: Buffer, output: Buffer) -> bool:
    """Whether a nest reads the source's element before it writes the output's, turn by turn."""
    if not isinstance(step, Nest):
        return False
    straight = not step.rows and not any(stage.sweep for stage in step.stages)
    places: set[Any] = set()
    written = False
    for stage in step.stages:
        for s in stage.statements:
            if isinstance(s, Store) and s.at.buffer is output:
                written = True
                places.add((s.at.strides, s.at.offset, bool(s.indirect or s.how)))
            elif isinstance(s, Load) and s.at.buffer is source:
                if written:
                    return False
                places.add((s.at.strides, s.at.offset, bool(s.indirect)))
    if straight:  # what is read, is read before anything is written
        return not any(place[2] for place in places)
    return len(places) == 1 and not next(iter(places))[2]
