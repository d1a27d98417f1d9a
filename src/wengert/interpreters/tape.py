"""The tape: nodes that remember what a derivative will need.

A node is made as its operation runs and numbered in order. It refers to the nodes of its
operands, never to its own result, so a graph has no reference cycles and is freed as soon as the
last tensor that needs it goes. It saves an operand or the result only if a rule reads it.
"""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..core.aval import Aval
from ..core.handle import Alias, GradSlot, Handle, wrap
from ..core.levels import here, shared
from ..core.primitive import Primitive
from ..core.provenance import Line
from .packing import packed

new = object.__new__
number = itertools.count(0, -1).__next__
"""Numbers nodes 0, -1, -2, ...: later is smaller, which is the order a heap hands out."""

_WRITTEN_BY_HAND = frozenset(("AccumulateGrad", "CopyBackwards", "CopySlices"))
"""Nodes whose names PyTorch gives with their C++ namespace."""


class _Freed(tuple[Any, ...]):
    """No tuple of saved values: the pullback looks twice at what is no plain tuple."""


FREED: Any = _Freed(("freed",))
"""Stands for the saved values of a node whose backward has run."""


class RemovableHandle:
    """What `register_hook` returns: `remove()` takes the hook away, as does leaving `with`."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any]) -> None:
        self.id = next(self._ids)
        self._hooks = weakref.ref(_Hooks.of(hooks))

    def remove(self) -> None:
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class _Hooks(dict[int, Any]):
    """A dict of hooks that can be referred to weakly."""

    __slots__ = ("__weakref__",)

    @staticmethod
    def of(hooks: dict[int, Any]) -> _Hooks:
        assert isinstance(hooks, _Hooks)
        return hooks


class Extra:
    """What few nodes have: hooks, metadata, where to retain the gradient.

    Anomaly detection adds the `fault` of what was computed there.
    """

    __slots__ = ("fault", "hooks", "metadata", "posthooks", "prehooks", "retain")

    def __init__(self) -> None:
        self.hooks = _Hooks()  # on the tensor: cotangent -> cotangent
        self.prehooks = _Hooks()  # on the node: grad_outputs -> grad_outputs
        self.posthooks = _Hooks()  # on the node: (grad_inputs, grad_outputs) -> grad_inputs
        self.metadata: dict[str, Any] = {}
        self.retain: GradSlot | None = None
        self.fault: Any = None


class SavedOutput:
    """A node's own result, saved by value: the tensor itself would close a cycle."""

    __slots__ = ("alias", "aval", "value")

    value: np.ndarray
    aval: Aval
    alias: Alias | None


class SavedResult(SavedOutput):
    """One of several results of a node, saved by value: which, and its port, known weakly."""

    __slots__ = ("index", "port")

    index: int
    port: Any


def saved_output(out: Handle) -> SavedOutput:
    """The result of a node as the node saves it."""
    saved: SavedOutput = new(SavedOutput)
    saved.value, saved.aval, saved.alias = out.value, out.aval, out.alias
    return saved


def saved_result(out: Handle, index: int) -> SavedResult:
    """One of several results of a node, which has its port, as the node saves it."""
    saved: SavedResult = new(SavedResult)
    saved.value, saved.aval, saved.alias, saved.index = out.value, out.aval, out.alias, index
    saved.port = None if out.node is None else weakref.ref(out.node)
    return saved


class Node:
    """One recorded operation.

    Attributes:
        edges: per operand, the node that receives its cotangent; None for a constant.
        saved: per operand, the operand if a rule reads it, and last the result (or results)
            likewise; empty if nothing is read.
        versions: the versions of `saved` when they were saved; None if all were 0.
        ins: operand avals; None if each is `out`.
        out: the result's aval.
        order: its number; the later, the smaller.
        params: the primitive's parameters.
        extra: hooks and the like; None for most.
        line: where the user called the operation; set by anomaly detection alone.
    """

    __slots__ = ("__weakref__", "edges", "extra", "ins", "line", "order", "out", "params",
                 "saved", "versions")

    primitive: ClassVar[Primitive]
    rules: ClassVar[Any] = ()  # the primitive's VJP rules
    places: ClassVar[tuple[int, ...] | None] = None  # what they read, if all operands have an edge
    leaf: ClassVar[bool] = False
    pull: ClassVar[Any] = None  # its own pullback, where there are no rules
    materializes: ClassVar[bool] = True  # whether it is handed zeros where no gradient arrived
    single: ClassVar[bool] = False  # whether its primitive has one result

    edges: tuple[Any, ...]
    saved: tuple[Any, ...]
    versions: tuple[int, ...] | None
    ins: tuple[Aval, ...] | None
    out: Any
    order: int
    params: dict[str, Any] | None
    extra: Extra | None
    line: Line

    def share(self, alias: Alias) -> None:
        """Hears that the result's memory may be written from now on."""
        if self.saved and isinstance(self.saved[-1], SavedOutput):
            self.saved[-1].alias = alias

    def port(self, index: int, known: Any) -> Port | None:
        """The port of one of several results, from a weak reference to it: made anew if nobody has
        it; None (as the reference is) if the result has no derivative."""
        return None if known is None else known() or port_of(self, index, self.out[index])

    def name(self) -> str:
        """The node's name, as "MulBackward0"."""
        name = type(self).__name__
        return name if name not in _WRITTEN_BY_HAND else f"torch::autograd::{name}"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """Per operand, the node its cotangent goes to and which result of that node it was."""
        return tuple((edge.node, edge.index) if type(edge) is Port else (edge, 0)
                     for edge in self.edges)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dict for the user's own notes on this node."""
        return self.more().metadata

    def more(self) -> Extra:
        """The node's `extra`, made on first need."""
        if self.extra is None:
            self.extra = Extra()
        return self.extra

    def register_hook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Calls `fn(grad_inputs, grad_outputs)` after this node's backward.

        Both are tuples of tensors or None; a tuple that `fn` returns replaces `grad_inputs`.
        """
        return add_hook(self.more().posthooks, fn)

    def register_prehook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Calls `fn(grad_outputs)` before this node's backward; its result replaces them."""
        return add_hook(self.more().prehooks, fn)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"


def add_hook(hooks: dict[int, Any], fn: Callable[..., Any]) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = fn
    return handle


class Port(Node):
    """One result of a node with several: hands its cotangent on to its place there."""

    __slots__ = ("index", "node")
    index: int
    node: Node

    def share(self, alias: Alias) -> None:
        for kept in self.node.saved:
            if isinstance(kept, SavedResult) and kept.index == self.index:
                kept.alias = alias


class AccumulateGrad(Node):
    """Where cotangents of a leaf arrive: owns the leaf's `.grad`, knows the leaf weakly."""

    __slots__ = ("_alias", "_leaf", "_value", "grad", "post_accumulate")
    leaf = True

    def __init__(self, leaf: Handle) -> None:
        self.edges, self.saved, self.versions = (), (), None
        self.ins, self.params, self.extra = None, None, None
        self.out, self.order = leaf.aval.plain, number()
        self.grad: Any = leaf.extra.grad if leaf.extra is not None else None
        self.post_accumulate: _Hooks | None = None
        self.follow(leaf)

    def follow(self, leaf: Handle) -> None:
        """Notes which tensor this is the accumulator of, and what its value is now."""
        self._leaf, self._value, self._alias = weakref.ref(leaf), leaf.value, leaf.alias
        self.out = leaf.aval.plain

    def share(self, alias: Alias) -> None:
        self._alias = alias

    @property
    def hooked(self) -> bool:
        """Whether anything of the user's is to be called when a gradient arrives."""
        extra = self.extra
        return bool(self.post_accumulate or (
            extra is not None and (extra.hooks or extra.prehooks or extra.posthooks)))

    @property
    def asked(self) -> bool:
        """Whether the leaf (if it is still there) still asks for a gradient."""
        leaf = self._leaf()
        return leaf is None or leaf.node is self

    @property
    def variable(self) -> Any:
        """The leaf; another handle on its value, should the user have let the tensor go."""
        leaf = self._leaf()
        if leaf is None:
            leaf = wrap(self._value, self.out, self)
            leaf.alias, leaf.extra = self._alias, self
            self._leaf = weakref.ref(leaf)
        return leaf


def node_class(primitive: Primitive) -> type[Node]:
    """The class of a primitive's nodes, made on first need."""
    if primitive.node_class is None:
        rules = primitive.vjp
        several: Any = rules if isinstance(rules, tuple) else ()
        fixed = several and all(r is None or r.saves_from is None for r in several)
        primitive.node_class = type(primitive.node_name, (Node,), {
            "__slots__": (), "primitive": primitive, "rules": rules,
            "places": places_of(primitive, (True,) * len(several)) if fixed else None,
            "single": not primitive.multiple,
            # One rule for all operands is told which gradients did not arrive.
            "materializes": not primitive.multiple or isinstance(rules, tuple)})
    return primitive.node_class


def leaf_node(leaf: Handle) -> AccumulateGrad:
    """The accumulator of a leaf, made on first need and kept with its `.grad`."""
    if not isinstance(leaf.extra, AccumulateGrad):
        leaf.extra = AccumulateGrad(leaf)
    return leaf.extra


def record(primitive: Primitive, out: Any, operands: Sequence[Any], avals: Sequence[Aval],
           edges: Sequence[Any], params: dict[str, Any], saved: Any = None) -> Node:
    """Makes the node of an application that has run; `out` is its result (or results).

    `saved` is what stands for the result among saved values: the result by value, if not given.
    """
    node: Node = new(primitive.node_class or node_class(primitive))
    node.edges, node.order = tuple(edges), number()
    node.ins, node.params, node.extra = tuple(avals), params, None
    if not primitive.multiple:
        node.out = out.aval.plain
    else:
        node.out = tuple([o.aval.plain for o in out])
        for i, o in enumerate(out):
            if o.aval.dtype.differentiable:
                o.node = port_of(node, i, o.aval.plain)
    _save(node, primitive, out, operands, saved)
    if shared.special:
        if here.hooks is not None and node.saved:
            node.saved, node.versions = packed(node.saved, out), None
        if watch := here.anomaly:
            watch.mark(node)
    if not primitive.multiple:
        out.node = node
    return node


def record_one(primitive: Primitive, out: Any, x: Any, params: dict[str, Any]) -> None:
    """`record` for a primitive of one operand and one result, with nothing out of the ordinary in
    force."""
    node: Node = new(primitive.node_class or node_class(primitive))
    places = node.places
    if places is None:
        record(primitive, out, (x,), (x.aval,), (x.node,), params)
        return
    node.edges, node.order, node.out = (x.node,), number(), out.aval
    node.ins, node.params, node.extra = (x.aval,), params, None
    node.saved = (x if 0 in places else None, saved_output(out) if -1 in places else None
                  ) if places else ()
    node.versions = (versions(node.saved) if places and x.alias is not None and _written(x.alias)
                     else None)
    out.node = node


def keep(tensors: Sequence[Handle]) -> Node:
    """A node that does nothing but save tensors as nodes do: through hooks, noticing writes."""
    node: Node = new(Node)
    node.edges, node.order = tuple(t.node for t in tensors), number()
    node.ins = node.out = node.params = node.extra = None
    node.saved, node.versions = tuple(tensors), versions(tensors)
    if here.hooks is not None:
        node.saved, node.versions = packed(node.saved), None
    if here.anomaly:
        here.anomaly.mark(node)
    return node


def port_of(node: Node, index: int, aval: Aval) -> Port:
    """A new port for one of a node's results."""
    port: Port = new(Port)
    port.node, port.index, port.edges, port.order = node, index, (node,), number()
    port.ins = port.params = port.extra = port.versions = None
    port.saved, port.out = (), aval
    return port


def _save(node: Node, primitive: Primitive, out: Any, operands: Sequence[Any],
          result: Any = None) -> None:
    """Saves what the rules of the operands with an edge read (place -1 is the result, or all)."""
    node.saved, node.versions = (), None
    places: Sequence[int] | None = node.places
    if places is None or None in node.edges:
        places = places_of(primitive, tuple(map(bool, node.edges)))
    if not places:
        return
    saved: list[Any] = [None] * (len(operands) + 1)
    written = False
    if primitive.multiple and -1 in places:
        saved[-1:] = map(saved_result, out, range(len(out))) if result is None else result
        written = any(getattr(value, "alias", None) is not None for value in saved)
        places = [place for place in places if place >= 0]
    for place in places:
        value = operands[place] if place >= 0 else (
            saved_output(out) if result is None else result)
        if isinstance(value, (Handle, SavedOutput)):
            if value.alias is not None:
                written = written or _written(value.alias)
        elif type(value) is not np.ndarray:
            value = np.asarray(value)  # a NumPy scalar, out of a rule
        saved[place] = value
    node.saved = tuple(saved)
    if written:
        node.versions = versions(saved)


@functools.lru_cache(maxsize=4096)
def places_of(primitive: Primitive, edges: Sequence[bool]) -> tuple[int, ...]:
    """The places that are read when the operands with an edge get their cotangents."""
    rules = primitive.vjp if isinstance(primitive.vjp, tuple) else (primitive.vjp,) * len(edges)
    found: dict[int, None] = {}
    for edge, rule in zip(edges, rules):  # noqa: B905 - hot
        if edge and rule is not None:
            found.update(dict.fromkeys(rule.saved_places(len(edges))))
    return tuple(found)


def versions(saved: Sequence[Any]) -> tuple[int, ...] | None:
    """The versions of saved values; None if all are 0."""
    found = [0] * len(saved)
    for i, v in enumerate(saved):
        alias = getattr(v, "alias", None)
        if alias is not None:
            found[i] = _saved_version(alias)
    return tuple(found) if any(found) else None


def _written(alias: Alias) -> bool:
    """Whether `versions` has to look at a saved tensor in memory that is shared."""
    return alias.storage.version > 0 or alias.storage.inference


def _saved_version(alias: Alias) -> int:
    if alias.storage.inference:
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in "
            "inference mode in computation tracked by autograd. To work around this, you can make "
            "a clone to get a normal tensor and use it in autograd, or use `torch.no_grad()` "
            "instead of `torch.inference_mode()`.")
    return alias.storage.version
