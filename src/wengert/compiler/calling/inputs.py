"""Inputs: the tensors that a case's program is given, found anew for every run.

They are arguments, tensors at places of the function's state, `.grad`s of others, and, where
nobody knows how the function reaches them, the very tensors of the first run. What the recorded
runs depend on is asked of them when they are found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.aval import Aval
from ...core.handle import Handle
from ..recording.record import Recorder, Source, owner_of
from ..recording.state import State, where

Given = tuple[Sequence[Any], Sequence[Any]]
"""What a run is given: the tensors that the program's inputs are, and maybe more after them; and
what is at the places that the function reaches."""


class Outside(NamedTuple):
    """What must be as it was of a tensor that is no argument."""

    aval: Aval
    plain: bool
    strides: tuple[int, ...]


class Inputs:
    """See the text of the module.

    Args:
        state: what the function reaches besides its arguments.
        tensors: the arguments that are tensors, in the first run.
        values: what was at the state's places then.

    Attributes:
        sources: where they come from.
        places: by source, of the program's or of any run, its place among them.
        outside: inputs that are no arguments, with what they must be.
        grads: leaves whose `.grad` is used, with the aval that it must have; None for none.
        bare: inputs that must be leaves, and without hooks: gradients arrive there.
        written: places of inputs that are written to, in whose memory no other input may lie.
        beside: by the way to a tensor that lay in an input's memory, so that one may have been
            taken for the other, that input's place and how they lay.
        alone: whether the arguments that are tensors are all there is, and nothing is asked.
    """

    def __init__(self, state: State, tensors: Sequence[Any], values: Sequence[Any]) -> None:
        self.state = state
        self._arguments = list(range(len(tensors)))
        self._same = [(place, i) for i, x in enumerate(tensors)
                      if (place := where(values, x)) is not None]
        self.sources: list[Source] = []
        self.places: dict[Source, int] = {}
        self.outside: dict[Source, Outside] = {}
        self.grads: dict[Source, Aval | None] = {}
        self.bare: set[Source] = set()
        self.written: set[int] = set()
        self.beside: dict[tuple[int, int], tuple[int, Any]] = {}
        self._asked: _Asked | None = None
        self.alone = False

    def add(self, run: Recorder, sources: Sequence[Source], known: Mapping[Source, Source],
            before: Sequence[tuple[Source, Aval | None]], written: Iterable[Source],
            values: Sequence[Any]) -> None:
        """Adds what a run depends on.

        Args:
            run: the run.
            sources: the program's.
            known: by the run's sources, the program's.
            before: leaves whose `.grad` was used, with what it was.
            written: inputs that were written to.
            values: what was at the state's places when the run began.
        """
        self.sources = list(sources)
        self.places.update((s, i) for i, s in enumerate(sources))
        self.places.update((s, self.places[known[s]]) for s in run.sources)
        self.outside.update({known[s]: _outside(s.handle) for s in run.sources
                             if s.argument is None and s.owner is None})
        self.grads.update({known[s]: aval for s, aval in before})
        self.bare.update(known[s] for s in run.sources if s.node in run.arrivals)
        self.written.update(self.places[s] for s in written)
        lying = {id(owner_of(s.array)): s for s in reversed(run.sources)}
        there = [((_PLACE, i), x) for i, x in enumerate(values) if isinstance(x, Handle)]
        there += [((_ARGUMENT, s.argument), s.handle) for s in run.sources
                  if s.argument is not None]
        for way, x in there:
            s = lying.get(id(owner_of(x.value)))
            if s is not None and s.handle is not x:
                self.beside[way] = self.places[s], _beside(x.value, s.array)
        plain = [s.argument for s in sources] == self._arguments and not (
            self.outside or self.grads or self.bare or self.beside or self.written)
        self._asked = _Asked(
            plain, [_way(s) for s in sources],
            [(self.places[s], self.places[s.owner]) for s in sources if s.owner is not None],
            [(self.places[s], *expected) for s, expected in self.outside.items()],
            [(self.places[s], aval) for s, aval in self.grads.items()],
            [self.places[s] for s in self.bare], self.written,
            [(way, *expected) for way, expected in self.beside.items()])
        self.alone = plain and not (self.state.places or self._same)

    def find(self, tensors: Sequence[Any]) -> Given | None:
        """What a run is given; None if something is not as it was when the runs were recorded."""
        values, asked = self.state.read(), self._asked
        if values is None or asked is None:
            return None
        for place, i in self._same:
            if values[place] is not tensors[i]:
                return None
        if asked.plain:
            return tensors, values
        at: Any = (tensors, values)
        handles = [at[kind][key] if kind < _ITSELF else key for kind, key in asked.ways]
        if not _hold(asked, handles, at):
            return None
        if values and len(handles) > 1 and len(set(map(id, handles))) < len(handles):
            return None  # what were two tensors is one
        return handles, values


def _hold(asked: _Asked, handles: list[Any], at: Any) -> bool:
    """Whether inputs are as they were when the runs were recorded; finds those that are `.grad`s
    of others on the way."""
    for place, aval in asked.grads:
        slot = handles[place].extra
        if (None if slot is None or slot.grad is None else slot.grad.aval) is not aval:
            return False
    for place, owner in asked.owned:
        handles[place] = handles[owner].extra.grad
    for place, aval, plain, strides in asked.outside:
        x = handles[place]
        if x.aval is not aval or (x.node is None) is not plain or x.value.strides != strides:
            return False
    for (kind, key), i, lay in asked.beside:
        if _beside(at[kind][key].value, handles[i].value) != lay:
            return False
    for place in asked.bare:
        node = handles[place].node
        if not node.leaf or ((node.extra is not None or node.post_accumulate) and node.hooked):
            return False
    for place in asked.written:
        if not handles[place].value.flags.writeable:
            return False  # the function itself will be refused
    return not (asked.written and len(handles) > 1 and _overlap(handles, asked.written))


def _overlap(handles: Sequence[Any], written: set[int]) -> bool:
    """Whether memory that is written to is shared with another tensor, by way of NumPy perhaps."""
    memories = [id(a if (a := x.value).base is None else owner_of(a)) for x in handles]
    read = {m for i, m in enumerate(memories) if i not in written}
    over = [m for i, m in enumerate(memories) if i in written]
    return len(set(over)) < len(over) or not read.isdisjoint(over)


def _beside(array: np.ndarray, other: np.ndarray) -> Any:
    """How an array lies in the memory of another; None if it does not."""
    if owner_of(array) is not owner_of(other):
        return None
    start, from_ = (x.__array_interface__["data"][0] for x in (array, other))
    return start - from_, array.strides


class _Asked(NamedTuple):
    """What is asked when inputs are found, by their places.

    `plain` says that the arguments are all there is, and nothing is asked.
    """

    plain: bool
    ways: list[tuple[int, Any]]
    owned: list[tuple[int, int]]
    outside: list[tuple[int, Aval, bool, tuple[int, ...]]]
    grads: list[tuple[int, Aval | None]]
    bare: list[int]
    written: set[int]
    beside: list[tuple[tuple[int, int], int, Any]]


_ARGUMENT, _PLACE, _ITSELF = 0, 1, 2


def _way(source: Source) -> tuple[int, Any]:
    """How an input is found; a `.grad` is found later, by way of its owner."""
    if source.argument is not None:
        return _ARGUMENT, source.argument
    return (_ITSELF, source.handle) if source.place is None else (_PLACE, source.place)


def _outside(x: Any) -> Outside:
    return Outside(x.aval, x.node is None, x.value.strides)
