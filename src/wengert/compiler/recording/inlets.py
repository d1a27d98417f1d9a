"""Inlets: a function's arguments as it gets them in the run that is recorded.

The history of an argument ends where the function begins: what the run pulls back stops there, and
goes on outside. So an argument with a history is replaced by an alias of it, a fresh node on the
tape; and afterwards the alias, wherever the function has left it, by the argument.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from ...core.handle import Handle
from ...core.levels import here
from ...core.primitive import Rule
from ...core.pytrees import Spec, flatten, tree_map
from ...primitives.layout import alias
from .state import ChangedError, State


class Inlets:
    """See the text of the module.

    Args:
        arguments: the function's arguments, as the user gave them.
        leaves: their leaves.
        spec: and structure.

    Attributes:
        arguments: what the function is to be called with: the user's own containers, unless an
            argument with a history is in them.
        leaves: the leaves of that.
    """

    def __init__(self, arguments: Any, leaves: Sequence[Any], spec: Spec) -> None:
        arrivals: dict[int, Any] = {}
        self.leaves = [_arrived(x, arrivals) if isinstance(x, Handle) else x for x in leaves]
        self._originals = {id(a): x for a, x in zip(self.leaves, leaves, strict=True)
                           if a is not x}
        self.arguments = spec.unflatten(self.leaves) if arrivals else arguments
        self._copies = list(_mutable(self.arguments, arguments)) if arrivals else []
        self._originals.update((id(copy), original) for copy, original in self._copies)

    @property
    def changed(self) -> bool:
        """Whether a container that the function was given has other items now."""
        after, _ = flatten(self.arguments)
        return len(after) != len(self.leaves) or any(
            a is not b for a, b in zip(after, self.leaves, strict=True))

    def give_back(self, state: State, before: Sequence[Any]) -> None:
        """Has the user's own containers hold what the function left in their copies, and its state
        the arguments themselves."""
        if not self._originals:
            return
        if self.changed:
            for copy, original in self._copies:
                if isinstance(copy, list):
                    original[:] = map(self.restored, copy)
                else:
                    original.clear()
                    original.update((key, self.restored(x)) for key, x in copy.items())
        with contextlib.suppress(ChangedError):
            for place, value in state.changes(before):
                if (original := self.restored(value)) is not value:
                    state.put(place, before, original)

    def restored(self, x: Any) -> Any:
        """What the function returned or kept, with the arguments as they were."""
        if id(x) in self._originals:
            return self._originals[id(x)]
        if any(id(leaf) in self._originals for leaf in flatten(x)[0]):
            return tree_map(self.restored, x)
        return x


def _arrived(x: Any, arrivals: dict[int, Any]) -> Any:
    """An argument without its history; the same for the same argument."""
    if x.node is None or x.node.leaf:
        return x
    if id(x) not in arrivals:
        arrivals[id(x)] = _arrival(x)
    return arrivals[id(x)]


def _mutable(copy: Any, original: Any) -> Iterator[tuple[Any, Any]]:
    """The lists and dicts in a tree, each with the one that it is a copy of."""
    if isinstance(copy, (list, dict)):
        yield copy, original
    if isinstance(copy, dict):
        copy, original = list(copy.values()), list(original.values())
    if isinstance(copy, (list, tuple)):
        for pair in zip(copy, original, strict=True):
            yield from _mutable(*pair)


def _past_the_arrival(g: Any) -> Any:
    if here.recorder is not None:
        here.recorder.fail("its backward goes on into the history of an argument")
    return g


_arrival = alias.named("AliasBackward0", vjp=(Rule(_past_the_arrival),))
