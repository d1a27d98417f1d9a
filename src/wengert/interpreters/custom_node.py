"""The node of one application of a function with derivative rules of its own."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..core.aval import Aval
from ..core.handle import Handle, as_handle, storage_of, wrap
from ..core.levels import Level, here, modes, unrecorded
from .custom_ctx import MARKS, FunctionCtx
from .custom_outputs import closed_over
from .eager import settled
from .packing import Packed
from .pullback import SECOND_TIME, fit, read
from .tape import FREED, Node, SavedResult, new, number, port_of, versions
from .views import refresh


class Saved(tuple[Any, ...]):
    """What a custom node saved: no plain tuple, by which the pullback knows it."""

    __slots__ = ()


NOTHING = Saved()


class CustomNode(Node):
    """The node of one application of a function with rules of its own.

    Attributes:
        again: arguments that are no tensors, where the rule is to run again if the gradient
            is recorded; else None.
        custom: the function.
        tensors_at: which arguments are tensors; `edges` and `ins` are those of these.
        count: the number of arguments.
        given: what `saved_tensors` is where a rule runs elsewhere than on the tape; else None.
        ports: weak references to the ports of several results.
    """

    __slots__ = ("__dict__", "again", "count", "custom", "given", "ports", "tensors_at")

    again: Any
    custom: Any
    tensors_at: tuple[int, ...]
    count: int
    given: Any
    ports: dict[int, Any] | None
    materializes: ClassVar[bool] = False  # sees to gradients that did not arrive by itself

    needs_input_grad: tuple[bool, ...]
    to_save: Any = None
    saved_for_forward: Any = None
    dirty_tensors: Any = None
    non_differentiable: Any = None

    def start(self, custom: Any, places: tuple[int, ...], edges: tuple[Any, ...],
              avals: tuple[Aval, ...] | None, needs: tuple[bool, ...]) -> None:
        """As a node is before its function runs."""
        self.custom, self.tensors_at, self.edges, self.ins = custom, places, edges, avals
        self.count, self.saved, self.versions = len(needs), NOTHING, None
        self.params = self.extra = self.given = self.ports = self.again = None
        self.out, self.order = (), number()
        self.__dict__["needs_input_grad"] = needs

    def ctx(self) -> FunctionCtx:
        """What the user's rules are handed."""
        ctx: FunctionCtx = new(FunctionCtx)
        ctx._node = self
        ctx.__dict__ = self.__dict__
        return ctx

    def handed(self, tensors: Sequence[Any]) -> CustomNode:
        """This node for one call of a rule, to which these are what was saved."""
        node: CustomNode = new(type(self))
        node.start(self.custom, self.tensors_at, self.edges, self.ins, self.needs_input_grad)
        node.params, node.again, node.out = self.params, self.again, self.out
        node.given, node.__dict__ = tuple(tensors), self.__dict__
        return node

    def put(self, **noted: Any) -> None:
        self.__dict__.update(noted)

    def clear(self) -> None:
        """Lets go of what was only marked for the time of the application."""
        notes = self.__dict__
        for name in MARKS:
            if name in notes:
                del notes[name]

    @property
    def marked(self) -> bool:
        """Whether results or arguments were marked as special."""
        notes = self.__dict__
        return "dirty_tensors" in notes or "non_differentiable" in notes

    # --- what is saved ----------------------------------------------------------------------

    def save(self, raw: Sequence[Any], outs: Sequence[Any], *, own: bool = True) -> None:
        """Saves what the function asked for; the node's own results (`own`) by value.

        Args:
            raw: the results as the function returned them.
            outs: the same with their history.
            own: whether those are results of this node; else they are values below it.
        """
        tensors = self.__dict__.get("to_save") or ()
        if not tensors:
            return
        places = {id(out): i for i, out in enumerate(raw) if out is outs[i]} if own else {}
        saved = [self._result(t, places[id(t)]) if t is not None and id(t) in places else t
                 for t in tensors]
        self.saved, self.versions = Saved(saved), versions(saved)
        if here.hooks is not None:
            self._pack(saved, outs)

    def _result(self, out: Any, index: int) -> SavedResult:
        saved: SavedResult = new(SavedResult)
        if type(self.out) is tuple:  # a port does not hear of new aliases
            storage_of(out)
        saved.value, saved.aval, saved.alias = out.value, out.aval, out.alias
        saved.index = index
        return saved

    def _pack(self, saved: Sequence[Any], outs: Sequence[Any]) -> None:
        hooks = here.hooks
        with modes(grad=False, hooks=None):
            self.saved = Saved(
                None if v is None else
                (v.index, Packed(v, hooks, outs[v.index])) if type(v) is SavedResult else
                (None, Packed(v, hooks, None)) for v in saved)
        self.versions = None

    def share(self, alias: Any) -> None:
        for value in self.saved:
            if type(value) is SavedResult:
                value.alias = alias

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors that were saved, with their history.

        Raises:
            RuntimeError: if they were freed, or written to since.
        """
        if self.given is not None:
            return tuple(self.given)
        if self.saved is FREED:
            raise RuntimeError(SECOND_TIME)
        return tuple(map(self._saved, range(len(self.saved))))

    def _saved(self, place: int) -> Any:
        value = self.saved[place]
        if value is None:
            return None
        if type(value) is tuple:
            index, packed = value
            return packed.opened(self if index is None else self._history(index), True)
        array = read(self, place)
        if type(value) is not SavedResult:
            return value
        out = wrap(array, value.aval, self._history(value.index))
        out.alias = value.alias
        return out

    def _history(self, index: int) -> Any:
        """The node of a result: this one, or its port, made anew if nobody has it."""
        if type(self.out) is not tuple:
            return self
        ports = self.ports or {}
        if index not in ports:
            return None  # not differentiable
        port = ports[index]()
        return port_of(self, index, self.out[index]) if port is None else port

    # --- backward ---------------------------------------------------------------------------

    def pull(self, g: Any, create: bool, needed: set[Any] | None) -> list[Any]:
        """The cotangents of the tensors among the arguments, by the user's rule.

        Raises:
            RuntimeError: if the rule gave something else.
        """
        if type(self.out) is tuple:
            arrays = any(isinstance(v, (np.ndarray, np.generic)) for v in g)
            grads = tuple(map(self._grad, g, self.out))
        else:
            arrays = not isinstance(g, Handle)
            grads = (wrap(np.asarray(g)) if arrays else g,)
        if create or not here.grad:
            cotangents = self._ruled(grads)
        else:
            cotangents = unrecorded(self._ruled, grads)
        if not create:
            return [v if v is None else _array(v) for v in cotangents]
        # On a transform's tape an array is what has no history.
        return [settled(v) if arrays and v is not None else v for v in cotangents]

    def _ruled(self, grads: Sequence[Any]) -> list[Any]:
        """What the rule gives, as gradients of the tensors among the arguments."""
        assert self.ins is not None
        found = self.custom.backward(self if self.again is None else self.custom.ready(self), grads)
        if self.count == 1 and isinstance(found, Handle) and found.aval is self.ins[0]:
            return [found]
        return [None if value is None or edge is None else fitted(_left(value), aval)
                for value, edge, aval in zip(self.checked(found), self.edges, self.ins,
                                             strict=True)]

    def _grad(self, g: Any, aval: Aval | None) -> Any:
        """A gradient as the rule gets it: zeros if none arrived, unless it wants to know."""
        if g is None:
            if aval is None or not self.__dict__.get("materialize_grads", True):
                return None
            g = aval.zeros()
        return g if isinstance(g, Handle) else wrap(np.asarray(g))

    def checked(self, found: Any) -> list[Any]:
        """The gradients that a rule gave for the tensors among the arguments.

        Raises:
            RuntimeError: if their number, a type or a shape is wrong.
        """
        found = found if isinstance(found, tuple) else (found,)
        name = type(self).__name__
        if len(found) > self.count and all(v is None for v in found[self.count:]):
            found = found[:self.count]
        if len(found) != self.count:
            raise RuntimeError(f"function {name} returned an incorrect number of gradients "
                               f"(expected {self.count}, got {len(found)})")
        taken = dict(zip(self.tensors_at, self.ins or (), strict=True))
        for i, value in enumerate(found):
            if value is None:
                continue
            if i not in taken:
                raise RuntimeError(
                    f"function {name} returned a gradient different than None at position "
                    f"{i + 1}, but the corresponding forward input was not a Variable")
            if not isinstance(value, Handle):
                raise RuntimeError(f"expected Variable or None (got {type(value).__name__})")
            self._check(value.aval, taken[i], self.tensors_at.index(i))
        return [found[i] for i in self.tensors_at]

    def _check(self, given: Aval, aval: Aval, place: int) -> None:
        if given.shape != aval.shape and not _spreads(aval.shape, given.shape):
            raise RuntimeError(
                f"Function {type(self).__name__} returned an invalid gradient at index {place} - "
                f"got {list(given.shape)} but expected shape compatible with {list(aval.shape)}")
        if given.is_complex and not aval.is_complex:
            raise RuntimeError(
                f"Function {type(self).__name__} returned an invalid gradient at index {place} - "
                f"got {given.dtype} for an input of {aval.dtype}, which a complex gradient does "
                "not fit; return its real part")


def _spreads(shape: Sequence[int], wider: Sequence[int]) -> bool:
    """Whether a tensor of one shape can be expanded to another."""
    return len(shape) <= len(wider) and all(
        a in (1, b) for a, b in zip(reversed(shape), reversed(wider), strict=False))


def _left(x: Any) -> Any:
    """A tensor that a level left behind as what it stood for."""
    while (level := x.aval.level) is not None and not (level.alive or level.writes_below):
        x = as_handle(x.value)
    return x


def _array(x: Any) -> Any:
    """A gradient's array, where nothing is recorded."""
    if x.aval.level is not None:
        raise closed_over(x.aval.level.word)
    return x.value


def fitted(value: Any, aval: Aval) -> Any:
    """A gradient of its argument's shape and dtype."""
    return fit(value, aval, True)


def begin(custom: Any, args: Sequence[Any], level: Level | None = None) -> CustomNode:
    """A node that knows where the arguments' gradients go, and nothing else yet."""
    node: CustomNode = new(custom.node_class)
    places, edges, avals, needs = [], [], [], []
    for i, arg in enumerate(args):
        edge = None
        if isinstance(arg, Handle):
            if arg.alias is not None:
                refresh(arg)
            edge = arg.node if arg.aval.level is level else None
            places.append(i)
            edges.append(edge)
            avals.append(arg.aval.plain)
        needs.append(edge is not None)
    node.start(custom, tuple(places), tuple(edges), tuple(avals), tuple(needs))
    return node


def attach(node: CustomNode, outs: Sequence[Any],
           carriers: Sequence[tuple[int, Any]]) -> None:
    """Makes a node that of some of the results of its function.

    Args:
        node: the node.
        outs: all results, in order.
        carriers: those that have a derivative, each with its place.
    """
    node.order = number()
    if here.anomaly:
        here.anomaly.mark(node)
    if len(outs) == 1:
        node.out = outs[0].aval.plain if isinstance(outs[0], Handle) else None
        for _, out in carriers:
            out.node = node
        return
    node.out = tuple(o.aval.plain if isinstance(o, Handle) else None for o in outs)
    node.ports = {}
    for i, out in carriers:
        out.node = port_of(node, i, out.aval.plain)
        node.ports[i] = weakref.ref(out.node)
