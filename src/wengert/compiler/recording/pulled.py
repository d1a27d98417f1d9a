"""Pulling back while a recorder watches: rules whose lines are known beforehand.

A recorder sees what rules do because they run on tensors, and that costs several times what they
cost on arrays. But what a rule does depends on shapes, dtypes and parameters alone. So where a
node is like one before it, its rules run on arrays, as in any backward pass, and the lines that
they come to are copied from a template.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...core.aval import Aval
from ...core.handle import Handle, wrap
from ...core.levels import here, quietly
from ...interpreters.pullback import pullback, twin_of
from ...interpreters.tape import SavedOutput, places_of
from ..expand import Template, params_key, template_of
from ..ir.program import Value
from ..ir.symbolic import record

if TYPE_CHECKING:
    from .record import Recorder


class Rules(NamedTuple):
    """What the rules of nodes of one kind read, and what they apply.

    Attributes:
        places: the places among a node's saved values.
        avals: of the cotangent, and of what is saved there.
        template: from these to the cotangents that the rules give.
    """

    places: tuple[int, ...]
    avals: list[Aval]
    template: Template


def pull(run: Recorder, node: Any, g: Any, create: bool, needed: set[Any] | None) -> list[Any]:
    """`pullback` on tensors, of which a recorder is told."""
    rules = None
    if isinstance(g, Handle) and g.aval is node.out and g.aval.simple and (
            type(node.saved) is tuple and not here.grad and not run.failed):
        rules = _like(run, node, needed)
    given = None if rules is None else _given(run, rules, node, g)
    if rules is None or given is None:
        return pullback(node, g, create, needed)
    here.recorder = None
    try:
        arrays = quietly(pullback, node, g.value, False, needed)
    finally:
        here.recorder = run
    values = iter(rules.template.copied(given, run.notes))
    return [None if array is None else _cotangent(run, array, next(values), g)
            for array in arrays]


def _cotangent(run: Recorder, array: Any, value: Value, g: Any) -> Any:
    """The tensor of an array that a rule has given, which may be `g`'s own."""
    if array is g.value:
        return g
    aval = value.aval
    if type(array) is not np.ndarray or array.dtype is not aval.numpy or array.shape != aval.shape:
        array = np.broadcast_to(np.asarray(array, aval.numpy), aval.shape)
    run.bind(array, value)
    return wrap(array, aval)


def _given(run: Recorder, rules: Rules, node: Any, g: Any) -> list[Value] | None:
    """What stands for what a node's rules read; None if that isn't what such rules read."""
    values = [run.value(g, ())]
    for place in rules.places:
        saved = node.saved[place]
        if isinstance(saved, Handle) and saved.aval.level is not None:
            return None
        if type(saved) is not SavedOutput:
            values.append(run.value(saved, ()))
        elif (found := run.find(saved.value)) is not None:
            values.append(found)
    return values if [value.aval for value in values] == rules.avals else None


# --- rules ------------------------------------------------------------------------------------


def _like(run: Recorder, node: Any, needed: set[Any] | None) -> Rules | None:
    """What is known of a node's rules: nothing, where there was no node like it."""
    if needed is None:
        wanted = [edge is not None for edge in node.edges]
    else:
        wanted = list(map(needed.__contains__, node.edges))
    params = map(params_key, node.params.items()) if node.params else ()
    key = (type(node), node.out, node.ins, *wanted, *params)
    try:
        known = run.rules.get(key)
    except TypeError:  # a parameter can't be hashed
        return None
    if known is None:
        run.rules[key] = "met once"  # of most nodes with parameters there is only one
    elif known == "met once":
        known = run.rules[key] = _recorded(node, wanted) or "can't be known"
    return known if type(known) is Rules else None


def _recorded(node: Any, wanted: Sequence[bool]) -> Rules | None:
    """What the rules of the operands whose cotangents are wanted apply; None if they look at
    numbers."""
    edges = [edge if there else None for edge, there in zip(node.edges, wanted, strict=True)]
    places = places_of(node.primitive, tuple(map(bool, edges)))

    def rules(g: Any, *saved: Any) -> list[Any]:
        there = dict(zip(places, saved, strict=True))
        twin = twin_of(node, [there.get(i) for i in (*range(len(edges)), -1)])
        twin.edges = edges
        return [found for found in pullback(twin, g, True, None) if found is not None]

    ins = node.ins or (node.out,) * len(edges)
    avals = [node.out, *(node.out if place < 0 else ins[place] for place in places)]
    given = [Value(aval) for aval in avals]
    try:
        lines, results = record(rules, given)
    except RuntimeError:
        return None
    return Rules(places, avals, template_of(given, lines, results))
