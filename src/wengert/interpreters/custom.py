"""Functions with derivative rules of their own, at the ground and under every transform.

A `Custom` is such a function. The deepest level among its arguments takes it over, as it takes
over a primitive: a reverse level computes the values below, where levels further down use the same
rules, and gives the result a node whose pullback is the user's; a forward level asks the user for
the tangent; a batch level for a batching rule (`custom_batching` makes one of the others).
Levels that know none of this see through it: they get the operations that it consists of.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..core.handle import Alias, Handle, plain_aval, storage_of, wrap
from ..core.levels import Level, deepest, here, modes
from ..primitives.layout import cast
from .batching import Batch
from .custom_node import CustomNode, FunctionCtx, attach
from .eager import settled
from .forward import Forward, zeros
from .inplace import BORROWED, check_history, check_leaf, move_retain, written
from .lifted import Lifted, rebind
from .reverse import Reverse
from .tape import AccumulateGrad, new, number
from .views import base_of, rebase, refresh, write_view


class Custom:
    """A function with rules of its own; what it takes and gives are tensors and other things.

    Outputs are a tensor, or a tuple of tensors and other things.

    Attributes:
        node_class: the class of its nodes.
    """

    node_class: type[CustomNode] = CustomNode

    def plain(self, args: Sequence[Any]) -> Any:
        """The function itself, where nobody differentiates it."""
        raise NotImplementedError

    def run(self, node: CustomNode, args: Sequence[Any]) -> Any:
        """The function, and `node` made ready for `backward`; levels below may record."""
        raise NotImplementedError

    def backward(self, node: CustomNode, grads: Sequence[Any]) -> Any:
        """The gradients of the arguments: one (or a tuple); None for a zero."""
        raise NotImplementedError

    def push(self, node: CustomNode, args: Sequence[Any], tangents: Sequence[Any]) -> Any:
        """The outputs and their tangents (alike: one, or a tuple; None for a zero)."""
        raise NotImplementedError

    def batch(self, level: Any, args: Sequence[Any]) -> Any:
        """The outputs at a batch level, which some of the arguments live at."""
        raise NotImplementedError

    def ground(self, args: Sequence[Any]) -> Any:
        """The outputs where no transform is in force; recorded, if they are to be.

        The rule runs on tensors without history: it may call the function, so recording it would
        never end. What is needed to run it again is kept, for when the gradient is recorded.
        """
        if not (here.grad and any(isinstance(a, Handle) and a.node is not None for a in args)):
            return self.plain(args)
        node = begin(self, args)
        bare = [_bare(x) if isinstance(x, Handle) else x for x in args]
        output = self.run(node, bare)
        known = {id(x): arg for x, arg in zip(bare, args, strict=True) if x is not arg}
        output = structured(output, [known.get(id(out), out) for out in listed(output)])
        asked: Sequence[Any] = node.to_save or ()
        saved = [known.get(id(t), t) for t in asked]
        known = {id(x): x for x in (*args, *listed(output))}
        if node.params is not None or any(id(t) not in known for t in saved):
            node.again = [None if isinstance(x, Handle) else (x,) for x in args]
            saved += [x for x in args if isinstance(x, Handle)]
        node.put(to_save=tuple(saved))
        for x, arg in zip(bare, args, strict=True):
            _join(x, arg)
        return finish(node, args, output)

    def ready(self, node: CustomNode) -> CustomNode:
        """The node to take what the rule left from: one of a second, recorded run if need be."""
        if node.again is None or not here.grad:
            return node
        saved = iter(node.saved_tensors[-len(node.tensors_at):])
        args = [next(saved) if x is None else x[0] for x in node.again]
        again = begin(self, args)
        self.run(again, args)
        again.given = again.to_save or ()
        return again


def _bare(x: Any) -> Any:
    """A tensor in the same memory, without history."""
    out = wrap(x.value, x.aval)
    if x.alias is not None:
        out.alias = Alias(x.alias.storage)
    return out


def _join(x: Any, arg: Any) -> None:
    """Has writes to an argument noticed by views of its bare twin."""
    if x is not arg and isinstance(x, Handle) and x.alias is not None and arg.alias is None:
        arg.alias = Alias(x.alias.storage)
        if arg.node is not None:
            arg.node.share(arg.alias)


class Staged(Custom):
    """One that computes first, and then says what its rules need of arguments and outputs.

    So levels can stack: the values come from below, where the rules are in force as well, and
    each level's own arguments and outputs go into its own node.
    """

    def forward(self, args: Sequence[Any]) -> Any:
        """The outputs; nothing is recorded meanwhile."""
        raise NotImplementedError

    def setup(self, node: CustomNode, args: Sequence[Any], output: Any) -> None:
        """Makes `node` ready for `backward` and `jvp`."""
        raise NotImplementedError

    def jvp(self, node: CustomNode, tangents: Sequence[Any]) -> Any:
        """The outputs' tangents."""
        raise NotImplementedError

    def plain(self, args: Sequence[Any]) -> Any:
        return self.forward(args)

    def ground(self, args: Sequence[Any]) -> Any:
        node = begin(self, args)
        before = here.grad
        if before:
            here.put(grad=False)
        try:
            output = self.both(node, args)
        finally:
            if before:
                here.put(grad=True)
        return finish(node, args, output)

    def both(self, node: CustomNode, args: Sequence[Any]) -> Any:
        """`forward` and `setup`."""
        output = self.forward(args)
        self.setup(node, args, output)
        return output

    def run(self, node: CustomNode, args: Sequence[Any]) -> Any:
        output = bind(self, args)
        with recording(False):
            self.setup(node, args, output)
        return output

    def push(self, node: CustomNode, args: Sequence[Any], tangents: Sequence[Any]) -> Any:
        output = self.run(node, args)
        if node.__dict__.get("materialize_grads", True):
            tangents = filled(args, tangents)
        saved = node.saved_for_forward
        node.given = (node.to_save or ()) if saved is None else saved
        try:
            return output, self.jvp(node, tangents)
        finally:
            node.given = None


Interpreter = Callable[[Custom, Any, Sequence[Any]], Any]
INTERPRETERS: dict[type[Level], Interpreter] = {}
"""By kind of level, what applies a `Custom` there; others see through it."""


def bind(custom: Custom, args: Sequence[Any]) -> Any:
    """The outputs of a function with rules of its own, by the interpreter in charge."""
    level = deepest(args)
    if level is None:
        return custom.ground(args)
    if isinstance(level, Lifted) and not level.alive:  # its tensors stand for what they held
        return bind(custom, lowered(level, args))
    for kind in type(level).__mro__:
        if kind in INTERPRETERS and level.alive:
            return INTERPRETERS[kind](custom, level, args)
    return custom.plain(args)


def begin(custom: Custom, args: Sequence[Any], level: Level | None = None) -> CustomNode:
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


def finish(node: CustomNode, args: Sequence[Any], output: Any) -> Any:
    """The outputs at the ground, with their history, after the function has run.

    What was written in place, returned as it was given, or is a view, is seen to.

    Raises:
        RuntimeError: if `mark_dirty` was given something else than the outputs, or a leaf.
    """
    if isinstance(output, Handle) and output.alias is None and not node.marked and not any(
            output is arg for arg in args):
        return _finish_one(node, output)
    outs = listed(output)
    recorded = here.grad and any(edge is not None for edge in node.edges)
    given = {id(arg) for arg in args if isinstance(arg, Handle)}
    dirty = _ids(node.dirty_tensors)
    if dirty:
        _check_dirty(node, args, outs, recorded)
    skip = _ids(node.non_differentiable)
    found, carriers = [], []
    for i, out in enumerate(outs):
        if not isinstance(out, Handle):
            found.append(out)
            continue
        differs = id(out) not in skip and out.aval.dtype.differentiable
        changed = id(out) in dirty and id(out) in given
        after = out if changed else _returned(out) if id(out) in given else out
        if changed:
            written(out)
        elif id(out) not in given and not (differs and recorded):
            out.node = None
        found.append(after)
        if differs:
            carriers.append((i, after, changed))
    if here.grad:
        _forbid_writes(found, carriers)
    if recorded:
        _record(node, outs, found, carriers)
    node.clear()
    return structured(output, found)


def _dirty(node: CustomNode) -> Sequence[Any]:
    return node.dirty_tensors or ()


def _forbid_writes(found: Sequence[Any], carriers: Sequence[tuple[int, Any, bool]]) -> None:
    """Has views that the function made refuse to be written through."""
    changed = {id(out) for _, out, written_to in carriers if written_to}
    for out in found:
        old = out.alias if isinstance(out, Handle) else None
        if old is not None and old.base is not None and id(out) not in changed:
            out.alias = Alias(old.storage, old.base, old.chain,  # others keep theirs
                              "custom" if len(carriers) == 1 else "custom multiple")


def _record(node: CustomNode, outs: Sequence[Any], found: Sequence[Any],
            carriers: Sequence[tuple[int, Any, bool]]) -> None:
    """Gives the outputs their history, and saves what is to be saved."""
    before = [(out, out.node) for _, out, changed in carriers if changed]
    attach(node, found, [(i, out) for i, out, _ in carriers])
    for out, old in before:
        move_retain(out, old)
        if out.alias.base is not None:
            last = out.alias.base.node
            rebase(out)
            move_retain(out.alias.base, last)
    node.save(outs, found)


def _returned(x: Any) -> Any:
    """An argument that was returned as it was given: a view of it."""
    out = wrap(x.value, x.aval)
    storage = storage_of(x)
    out.alias = Alias(storage, base_of(x), x.alias.chain) if here.grad else Alias(storage)
    return out


def _check_dirty(node: CustomNode, args: Sequence[Any], outs: Sequence[Any],
                 recorded: bool) -> None:
    tensors = [out for out in outs if isinstance(out, Handle)]
    _check_marks(node, outs)
    for x in _dirty(node):
        if not any(arg is x for arg in args):
            warnings.warn(_NO_INPUT, UserWarning, stacklevel=5)
        if not recorded or not any(arg is x for arg in args):
            continue
        if isinstance(x.node, AccumulateGrad):
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place "
                               "operation.")
        if base_of(x) is not x and len(tensors) > 1:
            raise RuntimeError(
                "If your Function modifies inplace an input that is a view of another Tensor, "
                "your Function cannot return more than one Tensor. This is not supported by the "
                "current autograd engine. You should either make sure the input is not a view "
                "(using .clone() for example) or make your Function only return one Tensor "
                "(potentially splitting it into two Functions: one doing the inplace that returns "
                "a single Tensor and a second one that does the other operations). You can ask on "
                "the forum https://discuss.pytorch.org/ if you need help to do this change.")
        check_history(x, recorded)


_NO_INPUT = ("ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that "
             "have been mutated should be passed to ctx.mark_dirty().")


def _finish_one(node: CustomNode, out: Any) -> Any:
    """The commonest case: one tensor that the function made, and nothing marked."""
    kind = out.aval
    if here.grad and kind.dtype.differentiable and any(node.needs_input_grad):
        node.order, node.out, out.node = number(), kind, node
        if here.anomaly:
            here.anomaly.mark(node)
        node.save((out,), (out,))
    else:
        out.node = None
    node.clear()
    return out


def _ids(tensors: Sequence[Any] | None) -> set[int]:
    return set(map(id, tensors or ()))


def listed(output: Any) -> list[Any]:
    """The outputs; one that is no tuple is alone."""
    return list(output) if isinstance(output, tuple) else [output]


def structured(output: Any, found: Sequence[Any]) -> Any:
    """Outputs as the function returned them."""
    return tuple(found) if isinstance(output, tuple) else found[0]


# --- levels that lift -----------------------------------------------------------------------------


def lowered(level: Lifted, args: Sequence[Any]) -> list[Any]:
    """What the arguments are below: tensors of their own, which may be written to.

    Below, values are shared freely. So a function that writes in place gets a copy the moment
    that it writes (see `inplace.own`), and its handle can be rebound.
    """
    return [twin(level.value(arg)) if isinstance(arg, Handle) else arg for arg in args]


def twin(value: Any) -> Any:
    """Another tensor for a value of any level, or for an array."""
    if not isinstance(value, Handle):
        out = wrap(_protected(value))
        out.extra = BORROWED
        return out
    if value.alias is not None:
        refresh(value)
    if value.aval.level is not None:  # a batch level writes to what is below
        below = twin(value.value) if isinstance(value.aval.level, Batch) else value.value
        out = wrap(below, value.aval, value.node)
        out.extra = value.extra
        return out
    out = wrap(_protected(value.value), value.aval, value.node)
    out.extra = BORROWED
    if value.alias is not None:
        out.alias = Alias(value.alias.storage)
    return out


def _protected(array: np.ndarray) -> np.ndarray:
    array = array.view()
    array.flags.writeable = False
    return array


@contextlib.contextmanager
def recording(wanted: bool) -> Iterator[None]:
    """Recording as it is, or switched off."""
    if wanted or not here.grad:
        yield
        return
    with modes(grad=False):
        yield


def _reverse(custom: Custom, level: Reverse, args: Sequence[Any]) -> Any:
    node = begin(custom, args, level)
    values = lowered(level, args)
    with recording(level.outside):
        output = custom.run(node, values)
    outs, raised = _raise(level, node, args, values, output)
    if here.grad and any(edge is not None for edge in node.edges):
        skip = _ids(node.non_differentiable)
        attach(node, raised, [
            (i, after) for i, (out, after) in enumerate(zip(outs, raised, strict=True))
            if isinstance(out, Handle) and id(out) not in skip
            and out.aval.dtype.differentiable])
        node.save(outs, outs, own=False)
    return _rebound(level, node, args, values, output, raised)


def _forward(custom: Custom, level: Forward, args: Sequence[Any]) -> Any:
    values = lowered(level, args)
    tangents = [level.tangent(arg) for arg in args]
    if all(t is None for t in tangents):
        node, output, found = begin(custom, args), bind(custom, values), None
    else:
        node = begin(custom, args)
        node.put(needs_input_grad=tuple(t is not None for t in tangents))
        output, found = custom.push(node, values, [None if t is None else twin(t)
                                                   for t in tangents])
    outs, raised = _raise(level, node, args, values, output)
    if found is not None:
        skip = _ids(node.non_differentiable)
        for i, (out, t) in enumerate(zip(outs, _tangents(outs, found), strict=True)):
            if t is not None and id(out) not in skip:
                raised[i].extra = t
    return _rebound(level, node, args, values, output, raised)


def _raise(level: Lifted, node: CustomNode, args: Sequence[Any], values: Sequence[Any],
           output: Any) -> tuple[list[Any], list[Any]]:
    """The outputs below, and tensors of this level for them."""
    outs = listed(output)
    _check_marks(node, outs)
    whole = {id(v): level.value(arg) for v, arg in zip(values, args, strict=True)
             if isinstance(v, Handle) and v.extra is BORROWED}  # returned as it was given
    return outs, [level.wrap(whole[id(out)] if id(out) in whole else _free(out))
                  if isinstance(out, Handle) else out for out in outs]


def _check_marks(node: CustomNode, outs: Sequence[Any]) -> None:
    if any(not any(out is x for out in outs) for x in _dirty(node)):
        raise RuntimeError("Some elements marked as dirty during the forward method were not "
                           "returned as output. The inputs that are modified inplace must all "
                           "be outputs of the Function.")


def _free(out: Any) -> Any:
    """An output as a value: the array, if there is no more to it."""
    if out.aval.level is None and out.node is None and not out.value.flags.writeable:
        return np.array(out.value)  # in memory that was lent
    return settled(out)


def _rebound(level: Lifted, node: CustomNode, args: Sequence[Any], values: Sequence[Any],
             output: Any, raised: Sequence[Any]) -> Any:
    """The outputs; arguments that were written to hold what was written, and are returned."""
    found = list(raised)
    dirty = _ids(node.dirty_tensors)
    for i, out in enumerate(listed(output)):
        place = next((k for k, v in enumerate(values) if v is out), None)
        if id(out) in dirty and place is not None:
            x = found[i] = args[place]
            if here.grad:
                check_leaf(x)
            rebound(x, raised[i])
    node.clear()
    return structured(output, found)


def rebound(x: Any, new: Any) -> None:
    """Has a tensor, and what it is a view of, hold what was written."""
    rebind(x, new)
    if base_of(x) is not x:
        rebind(base_of(x), write_view(base_of(x), x, chain=x.alias.chain))
        x.alias.seen = x.alias.storage.version


def _tangents(outs: Sequence[Any], found: Any) -> list[Any]:
    """The tangents that a rule gave, checked and as values.

    Raises:
        RuntimeError: if their number, a type or a shape is wrong.
    """
    found = listed(found)
    if len(found) != len(outs):
        raise RuntimeError("Function's jvp returned an invalid number of forward gradients "
                           f"(expected {len(outs)} but got {len(found)})")
    return [_tangent(out, t, i) for i, (out, t) in enumerate(zip(outs, found, strict=True))]


def _tangent(out: Any, t: Any, i: int) -> Any:
    if t is not None and not isinstance(t, Handle):
        raise RuntimeError(f"expected Variable or None (got {type(t).__name__}) for grad output "
                           f"{i}.")
    if t is None or not isinstance(out, Handle) or not out.aval.dtype.differentiable:
        return None
    aval = plain_aval(out)
    if t.aval.shape != aval.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(aval.shape)} while the given "
            f"forward gradient is of size {list(t.aval.shape)}.")
    return _free(t if t.aval.dtype is aval.dtype else cast(t, dtype=aval.dtype))


def filled(args: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """Tangents with zeros for the tensors that have none."""
    return [wrap(zeros(arg)) if t is None and isinstance(arg, Handle) else t
            for arg, t in zip(args, tangents, strict=True)]


INTERPRETERS[Reverse] = _reverse
INTERPRETERS[Batch] = lambda custom, level, args: custom.batch(level, args)
INTERPRETERS[Forward] = _forward

__all__ = ["INTERPRETERS", "Custom", "FunctionCtx", "Staged", "begin", "bind", "filled",
           "finish", "listed", "lowered", "rebound", "recording", "structured", "twin"]
