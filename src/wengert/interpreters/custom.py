"""Functions with derivative rules of their own, at the ground and under every transform.

A `Custom` is such a function. The deepest level among its arguments takes it over, as it takes
over a primitive: a reverse level computes the values below, where levels further down use the same
rules, and gives the result a node whose pullback is the user's; a forward level asks the user for
the tangent (both in `custom_lifted`); a batch level for a batching rule (`custom_batching` makes
one of the others); Taylor mode and sparsity patterns follow the rule for tangents as well
(`custom_derived`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..core.handle import Handle, wrap
from ..core.levels import here, in_charge, unrecorded
from .custom_ground import bare, finish, join
from .custom_node import CustomNode, begin
from .custom_outputs import closed_over, listed, structured


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

    def pass_on(self, node: CustomNode, args: Sequence[Any]) -> Any:
        """The outputs from levels below, where a level has no derivative to add.

        Only what was marked matters in `node`.
        """
        return bind(self, args)

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
        twins = list(map(bare, args))
        output = self.run(node, twins)
        known = {id(x): arg for x, arg in zip(twins, args, strict=True) if x is not arg}
        _check_closed(out for out in listed(output) if id(out) not in known)
        output = structured(output, [known.get(id(out), out) for out in listed(output)])
        asked: Sequence[Any] = node.to_save or ()
        saved = [known.get(id(t), t) for t in asked]
        known = {id(x): x for x in (*args, *listed(output))}
        if node.params is not None or any(id(t) not in known for t in saved):
            node.again = [None if isinstance(x, Handle) else (x,) for x in args]
            saved += [x for x in args if isinstance(x, Handle)]
        node.put(to_save=tuple(saved))
        for x, arg in zip(twins, args, strict=True):
            join(x, arg)
        return finish(node, args, output)

    def ready(self, node: CustomNode) -> CustomNode:
        """The node to take what the rule left from: one of a second, recorded run if need be."""
        if node.again is None or not here.grad:
            return node
        saved = iter(node.saved_tensors[-len(node.tensors_at):])
        args = [next(saved) if x is None else x[0] for x in node.again]
        again = begin(self, args)
        self.run(again, args)
        return again.handed(again.to_save or ())


def _check_closed(outs: Iterable[Any]) -> None:
    """Refuses outputs that come from more than the arguments, which were bare."""
    for out in outs:
        if isinstance(out, Handle) and (out.node is not None or out.aval.level is not None):
            raise closed_over("backward", "a Tensor that requires grad and")


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
        return finish(node, args, unrecorded(self.both, node, args))

    def both(self, node: CustomNode, args: Sequence[Any]) -> Any:
        """`forward` and `setup`."""
        output = self.forward(args)
        self.setup(node, args, output)
        return output

    def run(self, node: CustomNode, args: Sequence[Any]) -> Any:
        output = bind(self, args)
        unrecorded(self.setup, node, args, output)
        return output

    def pass_on(self, node: CustomNode, args: Sequence[Any]) -> Any:
        return self.run(node, args)

    def push(self, node: CustomNode, args: Sequence[Any], tangents: Sequence[Any]) -> Any:
        output = self.run(node, args)
        if node.__dict__.get("materialize_grads", True):
            tangents = filled(args, tangents)
        saved = node.saved_for_forward
        return output, self.jvp(node.handed((node.to_save or ()) if saved is None else saved),
                                tangents)


def bind(custom: Custom, args: Sequence[Any]) -> Any:
    """The outputs of a function with rules of its own, by the interpreter in charge."""
    level = in_charge(args)
    return custom.ground(args) if level is None else level.apply_custom(custom, args)


def filled(args: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """Tangents with zeros for the tensors that have none."""
    return [wrap(arg.aval.zeros())
            if t is None and isinstance(arg, Handle) else t
            for arg, t in zip(args, tangents, strict=True)]
