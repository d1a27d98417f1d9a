"""Backward: cotangents are carried from results to leaves, latest node first.

Nodes wait in a heap by number. When a node's turn comes, everything that used its result is
done, so its cotangent is complete; there is no recursion and no pass over the graph beforehand
(except when only some inputs are asked for). Cotangents are plain arrays, or tensors when the
derivative itself is to be differentiated.

Leaves come last: their sums are delivered when every rule and hook has succeeded, so that an
error leaves no gradient half-accumulated.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from ..core.handle import Handle, wrap
from ..core.levels import here, modes
from .pullback import Several, fill, pull_port, pullback
from .tape import FREED, AccumulateGrad, Node, Port

_delivery = threading.Lock()
"""Held while sums are added to `.grad`, which threads may share."""


def run(roots: Sequence[tuple[Any, Any]], *, retain: bool, create: bool,
        wanted: Sequence[Any] | None = None, accumulate: bool = True) -> dict[Any, Any]:
    """Differentiates: carries cotangents from root nodes back to leaves, or to wanted nodes.

    Args:
        roots: (node, cotangent) pairs; cotangents are arrays, or tensors if `create`.
        retain: keep saved values, so that the graph can be run through again.
        create: record the derivative's own computation.
        wanted: the nodes whose cotangents are asked for; None: those of all leaves.
        accumulate: add to the `.grad` of leaves (only of those wanted, if any are named).

    Returns:
        The cotangents of the wanted nodes that were reached.
    """
    this = _Pass(retain, create, wanted)
    with modes(grad=create) if create != here.grad else np.errstate():
        if create:
            this.carry(roots)
        else:
            with np.errstate(all="ignore"):
                this.carry(roots)
        if accumulate:
            this.deliver()
    return this.captured


class _Pass:
    """One run of backward: what waits, what has arrived."""

    __slots__ = ("arrived", "captured", "create", "heap", "needed", "pending", "retain",
                 "retained", "wanted")

    def __init__(self, retain: bool, create: bool, wanted: Iterable[Any] | None) -> None:
        self.retain, self.create = retain, create
        self.wanted = None if wanted is None else set(wanted)
        self.heap: list[tuple[int, Any]] = []
        self.pending: dict[Any, Any] = {}  # node -> sum of the cotangents that came so far
        self.arrived: dict[AccumulateGrad, Any] = {}
        self.retained: list[tuple[Any, Any]] = []
        self.captured: dict[Any, Any] = {}
        self.needed: set[Any] | None = None

    def carry(self, roots: Sequence[tuple[Any, Any]]) -> None:
        if self.wanted is not None:
            self.needed = _leading_to(self.wanted, [node for node, _ in roots])
        for node, cotangent in roots:
            self._hand(node, cotangent)
        self._walk()
        for leaf, g in self.arrived.items():
            self.arrived[leaf] = g = self._before(leaf, g)
            if self.wanted is not None and leaf in self.wanted:
                self.captured[leaf] = g

    def _walk(self) -> None:
        heap, pending, arrived = self.heap, self.pending, self.arrived
        needed, create, free = self.needed, self.create, not self.retain
        while heap:
            node = heappop(heap)[1]
            g = pending.pop(node)
            if node.extra is not None:
                g = self._before(node, g)
            if needed is not None and not self._goes_on(node, g):
                continue
            cotangents = self._pull(node, g)
            if free and node.saved:
                _free(node)
            g = None  # let the array go before the next one is made
            for edge, cotangent in zip(node.edges, cotangents, strict=False):
                if edge is None or cotangent is None:
                    continue
                waiting = arrived if edge.leaf else pending
                if edge in waiting:
                    waiting[edge] = _sum(waiting[edge], cotangent)
                else:
                    waiting[edge] = cotangent
                    if not edge.leaf:
                        heappush(heap, (edge.order, edge))
            cotangents = cotangent = None

    def _hand(self, edge: Any, cotangent: Any) -> None:
        waiting = self.arrived if edge.leaf else self.pending
        if edge in waiting:
            waiting[edge] = _sum(waiting[edge], cotangent)
            return
        waiting[edge] = cotangent
        if not edge.leaf:
            heappush(self.heap, (edge.order, edge))

    def _goes_on(self, node: Node, g: Any) -> bool:
        """Keeps a cotangent that was asked for; whether anything asked for lies further back."""
        assert self.wanted is not None and self.needed is not None
        if node in self.wanted:
            self.captured[node] = g
        return any(edge in self.needed for edge in node.edges)

    def _pull(self, node: Any, g: Any) -> Sequence[Any]:
        if type(node) is Port:
            return pull_port(node, g)
        extra = node.extra
        if type(g) is Several:
            g = fill(node, g, self.create)
        if extra is None:
            return pullback(node, g, self.create, self.needed)
        try:
            cotangents: Sequence[Any] = pullback(node, g, self.create, self.needed)
            if here.anomaly and here.check_nan:
                _check_nan(node, cotangents)
        except Exception as error:
            if extra.line is not None:
                error.add_note(f"{node.name()} comes from the forward operation at {extra.line}")
            raise
        return self._hook(extra.posthooks, cotangents, g) if extra.posthooks else cotangents

    def _before(self, node: Any, g: Any) -> Any:
        """Runs the hooks on a complete cotangent, and keeps it if it is to be retained."""
        extra = node.extra
        if extra is None:
            return g
        for hook in tuple(extra.hooks.values()):
            found = hook(_tensor(g, self.create))
            if found is not None:
                g = _checked(found, node, self.create)
        if extra.prehooks:
            several = type(g) is Several
            grads = self._hook(extra.prehooks, g if several else (g,))
            g = Several(grads) if several else grads[0]
        if extra.retain is not None:
            self.retained.append((extra.retain, g))
        return g

    def _hook(self, hooks: dict[int, Callable[..., Any]], grads: Sequence[Any],
              *others: Any) -> list[Any]:
        """Node hooks on a tuple of cotangents; what one returns replaces them."""
        found = tuple(_tensor(g, self.create) for g in grads)
        rest = [tuple(_tensor(v, self.create) for v in (o if isinstance(o, list) else (o,)))
                for o in others]
        for hook in tuple(hooks.values()):
            changed = hook(found, *rest)
            if changed is not None:
                found = changed if isinstance(changed, tuple) else (changed,)
        return [g if self.create or g is None else g.value for g in found]

    def deliver(self) -> None:
        """Adds what arrived to the leaves' `.grad`, and keeps what is to be retained."""
        for slot, g in self.retained:
            slot.grad = g if self.create else wrap(np.array(g))
        self.retained.clear()
        self.captured.clear()
        delivered = []
        while self.arrived:
            leaf, g = self.arrived.popitem()
            if self.wanted is None or leaf in self.wanted:
                with _delivery:
                    _accumulate(leaf, g, self.create)
                delivered.append(leaf)
            del g
        for leaf in reversed(delivered):
            if leaf.post_accumulate:
                for hook in tuple(leaf.post_accumulate.values()):
                    hook(leaf.variable)
            if leaf.extra is not None and leaf.extra.posthooks:
                self._hook(leaf.extra.posthooks, (), leaf.grad.value)


def _accumulate(leaf: AccumulateGrad, g: Any, create: bool) -> None:
    grad = leaf.grad
    if create:
        leaf.grad = g if grad is None else grad + g
    elif grad is None:
        # Three names know an array that only this pass holds: here, the caller's, the argument.
        owned = (type(g) is np.ndarray and g.base is None and g.flags.writeable
                 and sys.getrefcount(g) <= _OWNED)
        leaf.grad = wrap(g if owned else np.array(g))
    elif grad.value.flags.writeable:
        here.run(np.add, grad.value, g, grad.value, casting="unsafe")
        if grad.alias is not None:
            grad.alias.storage.version += 1
    else:
        grad.value = grad.value + g


def _owned_references() -> int:
    """What `sys.getrefcount` says in `_accumulate` of an array that nobody else holds."""

    def callee(leaf: Any, g: Any, create: bool) -> int:
        return sys.getrefcount(g)

    arrived = {0: np.empty(1)}
    leaf, g = arrived.popitem()
    return callee(leaf, g, False)


_OWNED = _owned_references()


def _sum(a: Any, b: Any) -> Any:
    """The sum of two cotangents of one node."""
    if type(a) is Several:
        return Several(y if x is None else x if y is None else _sum(x, y)
                       for x, y in zip(a, b, strict=True))
    return a + b


def _free(node: Any) -> None:
    for value in node.saved:
        if value is not None:
            node.saved = FREED
            return


def _leading_to(wanted: set[Any], roots: Iterable[Any]) -> set[Any]:
    """The nodes below the roots from which a wanted node can be reached."""
    oldest = max((node.order for node in wanted), default=1)
    reached, todo = set(), list(roots)
    while todo:
        node = todo.pop()
        if node is not None and node.order <= oldest and node not in reached:
            reached.add(node)
            todo.extend(node.edges)
    needed = wanted & reached
    for node in sorted(reached, key=lambda node: -node.order):  # type: ignore[no-any-return]
        if any(edge in needed for edge in node.edges):
            needed.add(node)
    return needed


def _tensor(g: Any, create: bool) -> Any:
    return g if g is None or isinstance(g, Handle) else wrap(np.asarray(g))


def _checked(found: Any, node: Any, create: bool) -> Any:
    """What a tensor hook returned, as a cotangent.

    Raises:
        TypeError, RuntimeError: if it is no tensor, or not of the gradient's shape.
    """
    if not isinstance(found, Handle):
        raise TypeError(f"expected Variable or None (got {type(found).__name__})")
    if found.aval.shape != node.out.shape:
        raise RuntimeError("hook 'hook' has changed the size of value")
    return found if create else found.value


def _check_nan(node: Any, cotangents: Sequence[Any]) -> None:
    """Raises if a node's rule made a NaN, in PyTorch's words."""
    for i, g in enumerate(cotangents):
        value = g.value if isinstance(g, Handle) else g
        if value is not None and np.isnan(value).any():
            raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")
