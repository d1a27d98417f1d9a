"""Reading the tape into a Wengert list: the steps that led from the leaves to a result.

A step is one value: a leaf, the result of an operation, or one of its several results. Steps are
in the order in which they ran, so every operand of a step comes before it.

The tape keeps an operand or a result only where a derivative rule reads it. The other values are
computed again from those, by the primitives themselves. What can't be had so (the 3 in `x + 3`
is in no rule) stays unknown, unless a trace or the caller's own variables know it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.aval import Aval
from ..core.handle import Handle
from ..core.levels import modes, quietly
from ..interpreters.eager import evaluate
from ..interpreters.pullback import Several, fill, pullback
from ..interpreters.tape import FREED, AccumulateGrad, Port, SavedOutput


@dataclass(slots=True, eq=False)
class Entry:
    """One line of the Wengert list as it stands on the tape.

    Attributes:
        key: what identifies the value: a leaf's accumulator, a node, or one port of a node.
        node: the node that computed it (a port's is the node that it is a result of).
        aval: its shape and dtype.
        sources: per operand, the entry that it is; None for a constant.
        constants: per operand, the value of a constant; None where it is unknown, or no constant.
        value: its value; None where it is unknown.
        name: what the drawing calls it.
    """

    key: Any
    node: Any
    aval: Aval
    sources: list[Entry | None] = field(default_factory=list)
    constants: list[np.ndarray | None] = field(default_factory=list)
    value: np.ndarray | None = None
    name: str = ""

    @property
    def leaf(self) -> bool:
        return isinstance(self.key, AccumulateGrad)

    def pull(self, cotangent: np.ndarray) -> list[Any]:
        """The cotangents of the operands, by the node's own rules.

        Raises:
            RuntimeError: if a value that a rule reads was overwritten since.
        """
        g: Any = cotangent
        if type(self.key) is Port:
            parts = Several({self.key.index: g})
            g = fill(self.node, parts, False)
        with modes(grad=False), np.errstate(all="ignore"):
            return pullback(self.node, g, False, None)


def read(root: Any, most: int) -> list[Entry]:
    """The entries that a node was computed from, in the order in which they ran; itself last.

    Raises:
        RuntimeError: if backward has freed what the nodes had saved.
        ValueError: if there are more than `most`.
    """
    found: dict[Any, Entry] = {}
    todo = [root]
    while todo:
        key = todo.pop()
        if key in found:
            continue
        node = key.node if type(key) is Port else key
        if node.saved is FREED:
            raise RuntimeError(_FREED)
        found[key] = Entry(key, node, key.out)
        if len(found) > most:
            raise ValueError(f"graph(): the graph has more than {most} nodes, too many to be read; "
                             "draw a part of it, or pass a larger `most`")
        todo.extend(edge for edge in node.edges if edge is not None)
    entries = sorted(found.values(), key=lambda entry: -entry.key.order)
    for entry in entries:
        entry.sources = [None if edge is None else found[edge] for edge in entry.node.edges]
        entry.constants = [_constant(entry.node, i) for i in range(len(entry.sources))]
    return entries


_FREED = ("graph(): backward has freed the values that this graph had saved. Draw the graph before "
          "calling backward(), or call backward(retain_graph=True).")


def _constant(node: Any, place: int) -> np.ndarray | None:
    """An operand without history, where a rule reads it and so it was saved."""
    if node.edges[place] is not None or place >= len(node.saved):
        return None
    return _saved(node, place)


def _saved(node: Any, place: int) -> np.ndarray | None:
    """A saved value; None if there is none, or it was overwritten since."""
    kept = node.saved[place]
    if isinstance(kept, np.ndarray):
        return kept
    if not isinstance(kept, (Handle, SavedOutput)):
        return None
    expected = 0 if node.versions is None else node.versions[place]
    if kept.alias is not None and kept.alias.storage.version != expected:
        return None
    return kept.value if isinstance(kept.value, np.ndarray) else None


def find_values(entries: list[Entry], tensors: Iterable[Any],
                traced: Mapping[Any, Any]) -> None:
    """Fills in the values of entries, as far as they can be known.

    Args:
        entries: the entries, in order.
        tensors: tensors at hand, some of which may be values of entries.
        traced: what a trace recorded: key -> value, and (node, place) -> constant.
    """
    known = _known(entries, tensors, traced)
    for entry in entries:
        for i, source in enumerate(entry.sources):
            if source is None and entry.constants[i] is None:
                entry.constants[i] = traced.get((entry.node, i))
        entry.value = known.get(entry.key)
        if entry.value is None:
            entry.value = _leaf_value(entry) if entry.leaf else _computed(entry)


def _known(entries: list[Entry], tensors: Iterable[Any],
           traced: Mapping[Any, Any]) -> dict[Any, np.ndarray]:
    known: dict[Any, np.ndarray] = {}
    for tensor in tensors:
        alias = tensor.alias
        # The history of a view that was not used since its memory was written to is not in here.
        fresh = alias is None or alias.base is None or alias.seen == alias.storage.version
        if fresh and isinstance(tensor.value, np.ndarray) and tensor.node is not None:
            known[tensor.node] = tensor.value
    for entry in entries:  # what was saved has a version to vouch for it, so it comes later
        node = entry.node
        for place, edge in enumerate(node.edges[:len(node.saved)]):
            if edge is not None and (value := _saved(node, place)) is not None:
                known[edge] = value
        if node is entry.key and node.saved and (value := _saved(node, -1)) is not None:
            known[node] = value
    known.update((entry.key, traced[entry.key]) for entry in entries if entry.key in traced)
    return known


def _leaf_value(entry: Entry) -> np.ndarray | None:
    value = entry.key.variable.value
    return value if isinstance(value, np.ndarray) else None


def _computed(entry: Entry) -> np.ndarray | None:
    """The value computed again from the operands' values; None if one of them is unknown."""
    primitive = getattr(entry.node, "primitive", None)
    if primitive is None:
        return None
    operands = [constant if source is None else source.value
                for source, constant in zip(entry.sources, entry.constants, strict=True)]
    if any(operand is None for operand in operands):
        return None
    params = entry.node.params or {}
    if type(entry.key) is Port:
        results = quietly(primitive.evaluate, *operands, **params)
        return np.asarray(results[entry.key.index])
    return evaluate(primitive, operands, entry.aval, params)
