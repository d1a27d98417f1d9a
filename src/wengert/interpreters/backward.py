"""Backward: cotangents are carried from results to leaves, latest node first.

Nodes wait in a heap by number; on a chain, where one waits at a time, the heap stays empty. When a
node's turn comes, everything that used its result is done, so its cotangent is complete; there is
no recursion and no pass over the graph beforehand (except when only some inputs are asked for).
Cotangents are plain arrays, or tensors when the derivative itself is to be differentiated.

Leaves come last: their sums are delivered when every rule and hook has succeeded, so that an
error leaves no gradient half-accumulated.
"""

from __future__ import annotations

import operator
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush, heappushpop
from typing import Any

import numpy as np
from numpy import ndarray

from ..core import blocks, buffers
from ..core.aval import LARGE, Aval, aval_of
from ..core.formats import leaf_order, of_leaf
from ..core.handle import Handle, as_handle, wrap
from ..core.levels import here, made, modes, quietly, shared
from ..primitives.elementwise import add
from ..primitives.layout import clone
from .anomaly import Watched, explain
from .inplace import overlaps_itself, write, written
from .pullback import Several, fill, pull_port, pullback
from .tape import FREED, AccumulateGrad, Node, Port

_delivery = threading.Lock()
"""Held while sums are added to `.grad`, which threads may share."""


def run(roots: Sequence[tuple[Any, Any]], *, retain: bool, create: bool,
        wanted: Sequence[Any] | None = None, accumulate: bool = True,
        below: bool = False, bare: bool = False) -> dict[Any, Any]:
    """Differentiates: carries cotangents from root nodes back to leaves, or to wanted nodes.

    Args:
        roots: (node, cotangent) pairs; cotangents are arrays, or tensors if `create`.
        retain: keep saved values, so that the graph can be run through again.
        create: record the derivative's own computation.
        wanted: the nodes whose cotangents are asked for; None: those of all leaves.
        accumulate: add to the `.grad` of leaves (only of those wanted, if any are named).
        below: the graph is a transform's tape, whose rules work on whatever lies below.
        bare: end at wanted nodes, and leave their hooks to who carries their cotangents on.

    Returns:
        The cotangents of the wanted nodes that were reached.
    """
    watched = shared.special > 0 and here.recorder is not None
    this = _Pass(retain, create, create or below or watched, wanted, bare)
    if watched or (create and not below):
        roots = [(node, g if isinstance(g, Handle) else made(wrap(g))) for node, g in roots]
    if below:
        quietly(this.carry, roots)
    elif create or watched:
        with modes(grad=create):
            this.carry(roots)
            if watched and not bare:
                here.recorder.arrive(this.arrived)
            if accumulate:
                this.deliver()
    else:
        quietly(this.carry, roots)
        if accumulate:
            quietly(this.deliver)
    return this.captured


class _Pass:
    """One run of backward: what waits, what has arrived.

    Attributes:
        create: whether the work is recorded on the tape.
        tensors: whether cotangents are tensors, so that someone sees what is done with them.
    """

    __slots__ = ("arrived", "bare", "captured", "create", "needed", "pull", "retain", "retained",
                 "tensors", "wanted")

    def __init__(self, retain: bool, create: bool, tensors: bool,
                 wanted: Iterable[Any] | None, bare: bool) -> None:
        self.retain, self.create = retain, create
        self.tensors, self.bare = tensors, bare
        self.wanted: Any = None if wanted is None else set(wanted)
        self.captured: dict[Any, Any] = {}
        self.arrived = self.captured  # one, until it is known that more arrives than was asked for
        self.retained: list[tuple[Any, Any]] = []
        self.needed: set[Any] | None = None
        self.pull = _pull_in_force(create) if shared.special else pullback

    def carry(self, roots: Sequence[tuple[Any, Any]]) -> None:
        wanted = self.wanted
        if wanted is not None and (needed := _leading_to(wanted, roots)) is not None:
            self.needed, self.captured = needed, {}
        self._walk(roots)
        arrived = self.arrived
        for leaf in arrived:
            if leaf.extra is not None and (wanted is None or leaf in wanted):
                arrived[leaf] = self._before(leaf, arrived[leaf])
        if wanted is not None and arrived is not self.captured:
            for leaf in wanted & arrived.keys():
                self.captured[leaf] = arrived[leaf]

    def _walk(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Hands cotangents to their nodes, pulls that of the latest node back, hands on ..."""
        heap: list[tuple[int, Any]] = []
        pending: dict[Any, Any] = {}  # node -> sum of the cotangents that came so far
        arrived, needed, tensors, free = self.arrived, self.needed, self.tensors, not self.retain
        pull = self.pull
        node: Any = None
        cotangents: Any
        try:
            while True:
                ahead = None  # the first node to wait from now on: on a chain it is the next one
                for edge, g in pairs:
                    if g is None:
                        continue
                    if edge.leaf:
                        arrived[edge] = _sum(arrived[edge], g) if edge in arrived else g
                    elif edge in pending:
                        pending[edge] = _sum(pending[edge], g)
                    else:
                        pending[edge] = g
                        if ahead is None:
                            ahead = edge
                        else:
                            heappush(heap, (edge.order, edge))
                pairs, g, cotangents = (), None, None  # let arrays go before others are made
                if not heap:
                    if ahead is None:
                        break
                    node = ahead
                elif ahead is None:
                    node = heappop(heap)[1]
                else:
                    node = heappushpop(heap, (ahead.order, ahead))[1]
                g = pending.pop(node)
                if node.extra is not None:
                    g = self._before(node, g)
                if needed is not None and (node not in needed or (
                        node in self.wanted and not self._goes_on(node, g))):
                    continue
                if node.single and node.extra is None:
                    cotangents = pull(node, g, tensors, needed)
                else:
                    cotangents = self._pull(node, g)
                if free and node.saved:
                    node.saved = FREED
                pairs = zip(node.edges, cotangents)  # noqa: B905 - hot
        except Exception as error:
            explain(error, node)
            raise

    def _goes_on(self, node: Node, g: Any) -> bool:
        """Keeps a cotangent that was asked for; whether anything asked for lies further back."""
        assert self.needed is not None
        self.captured[node] = g
        return not (self.bare or self.needed.isdisjoint(node.edges))

    def _pull(self, node: Any, g: Any) -> Sequence[Any]:
        if type(node) is Port:
            return pull_port(node, g)
        extra = node.extra
        if type(g) is Several:
            g = fill(node, g, self.tensors)
        cotangents: Sequence[Any] = self.pull(node, g, self.tensors, self.needed)
        if extra is None or not extra.posthooks:
            return cotangents
        ins = node.ins if node.ins is not None else (node.out,) * len(node.edges)
        return self._hook(extra.posthooks, ins, cotangents, g if isinstance(g, list) else (g,))

    def _before(self, node: Any, g: Any) -> Any:
        """Runs the hooks on a complete cotangent, and keeps it if it is to be retained."""
        extra = node.extra
        if extra is None or (self.bare and self.wanted is not None and node in self.wanted):
            return g
        if extra.hooks:
            with modes(grad=self.create):
                for hook in tuple(extra.hooks.values()):
                    found = hook(_tensor(g))
                    if found is not None:
                        g = _checked(found, node.out, self.tensors, hook)
        if extra.prehooks:
            several = type(g) is Several
            grads = self._hook(extra.prehooks, node.out if several else (node.out,),
                               g.listed(len(node.out)) if several else (g,))
            g = Several(enumerate(grads)) if several else grads[0]
        if extra.retain is not None:
            self.retained.append((extra.retain, g))
        return g

    def _hook(self, hooks: dict[int, Callable[..., Any]], avals: Sequence[Any],
              grads: Sequence[Any], *outputs: Sequence[Any]) -> list[Any]:
        """Node hooks on a tuple of cotangents; what one returns replaces them.

        Args:
            hooks: called with the cotangents, and with `outputs` if they are given.
            avals: of what the cotangents belong to.
            grads: the cotangents.
            outputs: the cotangents of the node's results, for hooks that run after it.
        """
        found = tuple(map(_tensor, grads))
        rest = [tuple(map(_tensor, values)) for values in outputs]
        with modes(grad=self.create):
            for hook in tuple(hooks.values()):
                changed = hook(found, *rest)
                if changed is not None:
                    changed = changed if isinstance(changed, tuple) else (changed,)
                    for g, aval in zip(changed, avals, strict=False):
                        if g is not None:
                            _checked(g, aval, self.tensors, hook)
                    found = changed
        return [g if g is None or self.tensors else g.value for g in found]

    def deliver(self) -> None:
        """Adds what arrived to the leaves' `.grad`, and keeps what is to be retained."""
        for slot, g in self.retained:
            if slot.grad is not None:
                slot.grad = slot.grad + _tensor(g)
            else:
                slot.grad = clone(g) if self.tensors else wrap(np.array(g))
        self.retained.clear()
        self.captured = {}
        delivered: list[tuple[AccumulateGrad, Any]] = []
        while self.arrived:
            leaf, g = self.arrived.popitem()
            if (self.wanted is None or leaf in self.wanted) and leaf.asked:
                posthooks = leaf.extra is not None and leaf.extra.posthooks
                if posthooks or leaf.post_accumulate:
                    delivered.append((leaf, g if posthooks else None))
                with _delivery:
                    _accumulate(leaf, g, self.create)
            del g
        for leaf, g in reversed(delivered):
            if leaf.post_accumulate:
                with modes(grad=self.create):
                    for hook in tuple(leaf.post_accumulate.values()):
                        hook(leaf.variable)
            if g is not None:
                self._hook(leaf.extra.posthooks, (), (), (g,))


def _accumulate(leaf: AccumulateGrad, g: Any, create: bool) -> None:
    if here.recorder is not None:
        here.recorder.leaf(leaf.variable)
    grad = leaf.grad
    if create or (grad is None and isinstance(g, Handle)):
        leaf.grad = _cloned(g, leaf._value) if grad is None else grad + g
    elif isinstance(g, Handle):
        write(add, grad, g)
    elif grad is None:
        kind = leaf.variable.aval.numpy  # rules on half precision may go on in a wider one
        g = g if g.dtype == kind and is_own(sys.getrefcount(g), g) else np.array(g, kind)
        leaf.grad = wrap(g if g.ndim < 2 else of_leaf(g, leaf._value))
    elif overlaps_itself(grad.value):
        grad.value = grad.value + g
    else:
        _add(grad.value, g, grad.value)
        written(grad)


def _cloned(g: Any, own: np.ndarray) -> Any:
    """A copy of a leaf's gradient, which lies in memory as the leaf does."""
    if own.ndim < 2 or type(g.value) is not ndarray or g.value.strides == own.strides:
        return clone(g)
    return clone(g, dims=leaf_order(own))


def _sum(a: Any, b: Any) -> Any:
    """The sum of two cotangents of one node; `a` is written over if this pass alone holds it."""
    if type(a) is ndarray:
        if a.size >= LARGE and a.shape == b.shape and a.dtype == b.dtype:
            return _add(a, b, a if is_own(sys.getrefcount(a), a) else None)
    elif type(a) is Several:
        return a.add(b, _sum)
    return a + b


def _add(a: np.ndarray, b: Any, out: np.ndarray | None) -> np.ndarray:
    if a.size >= LARGE and a.shape == np.shape(b) and a.dtype == b.dtype:
        found = blocks.evaluate(add, [a, b], aval_of(a), {}, out)
        if found is not None:
            return found
    return np.add(a, b, out, casting="unsafe")


def is_own(references: int, g: Any) -> bool:
    """Whether an array is held by this pass alone, so that it may be kept or written over.

    `references` is what `sys.getrefcount` says of it where the question is asked: in a function
    that was given the array out of a dict, or out of a variable that came from one.
    """
    return (references <= _OWN and type(g) is ndarray
            and (g.base is None or buffers.owns(g)) and g.flags.writeable)


def _own_references() -> int:
    """The reference count of an array that nobody else holds, as `is_own` will be told it."""

    def asked(g: Any) -> int:
        return sys.getrefcount(g)

    waiting = {0: np.empty(1)}
    _, g = waiting.popitem()
    return asked(g)


_OWN = _own_references()


def _pull_in_force(create: bool) -> Callable[..., Any]:
    """What pulls cotangents back through a node, given what is in force in this thread."""
    if here.anomaly:
        return Watched(here.anomaly).pull
    return pullback if here.recorder is None or create else here.recorder.pull


_order = operator.attrgetter("order")


def _leading_to(wanted: set[Any], roots: Sequence[tuple[Any, Any]]) -> set[Any] | None:
    """The nodes below the roots from which a wanted node can be reached.

    None if everything leads to wanted leaves and to nothing else, so that no node is to be left
    out.
    """
    oldest = max(map(_order, wanted), default=1)
    todo = list(dict(roots))
    reached, more = set(todo), False
    for node in todo:
        for edge in node.edges:
            if edge is None or edge in reached:
                continue
            if edge.leaf:
                if edge not in wanted:
                    more = True
            elif edge.order > oldest:  # and so is all behind it
                more = True
            else:
                reached.add(edge)
                todo.append(edge)
    if not more and wanted.isdisjoint(reached):
        return None
    needed = set(wanted)
    for node in sorted(reached, key=_order, reverse=True):
        if not needed.isdisjoint(node.edges):
            needed.add(node)
    return needed


def _tensor(g: Any) -> Any:
    return None if g is None else as_handle(g)


def _checked(found: Any, aval: Aval, create: bool, hook: Any) -> Any:
    """What a hook returned, as a cotangent.

    Raises:
        TypeError, RuntimeError: if it is no tensor, or not of the gradient's shape or dtype.
    """
    if not isinstance(found, Handle):
        raise TypeError(f"expected Variable, but hook returned '{type(found).__name__}'")
    name = getattr(hook, "__name__", "hook")
    if found.aval.shape != aval.shape:
        raise RuntimeError(f"hook '{name}' has changed the size of value")
    if found.aval.dtype is not aval.dtype:
        raise RuntimeError(f"hook '{name}' has changed the type of value (was "
                           f"torch.{aval.dtype.words}Tensor got "
                           f"torch.{found.aval.dtype.words}Tensor)")
    return found if create else found.value
