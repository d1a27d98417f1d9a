"""A batching rule for functions with derivative rules of their own, made from those rules.

The batched function is such a function itself, one level down: it and its rules run the inner
ones at a batch level of their own. That level is in force again for every rule, so what the inner
rules left on their `ctx` is still good.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core.handle import Handle, as_handle
from ..core.levels import Level, here, modes
from ..primitives.elementwise import copy
from ..primitives.layout import permute, reshape, sum_to
from .batching import Batch, batch_of, leading
from .custom import Custom, Staged, bind
from .custom_lifted import twin
from .custom_node import CustomNode, begin, fitted
from .custom_outputs import closed_over, listed, structured
from .eager import settled
from .inplace import Lent


def away(level: Level) -> contextlib.AbstractContextManager[None]:
    """Takes a level out of force for a while."""
    return modes(levels=[other for other in here.levels if other is not level])


def values_of(level: Batch, args: Sequence[Any]) -> tuple[list[Any], tuple[bool, ...]]:
    """What the arguments are below, and which of them go over the examples (in front)."""
    return ([arg if not level.holds(arg) else
             arg.value if isinstance(arg.value, Handle) else twin(arg.value) for arg in args],
            tuple(level.holds(arg) for arg in args))


def mapped(custom: Custom, level: Batch, args: Sequence[Any]) -> Any:
    """The outputs at a batch level, by a rule made of the function's other rules.

    Raises:
        RuntimeError: if the function computes with tensors of the level that it closes over.
    """
    values, batched = values_of(level, args)
    kind = MappedStaged if isinstance(custom, Staged) else Mapped
    with away(level):
        output = bind(kind(custom, batched, level), values)
    return structured(output, raised(level, listed(output), values, args))


def raised(level: Batch, outs: Sequence[Any], values: Sequence[Any],
           args: Sequence[Any], dims: Sequence[int | None] | None = None) -> list[Any]:
    """The outputs as tensors of a batch level; arguments that were returned are themselves.

    Those that were written in place hold what was written.

    Raises:
        RuntimeError: if an output is at the level, or a deeper one, without having been raised: it
            comes from tensors that the function closes over.
    """
    same = {id(value): arg for value, arg in zip(values, args, strict=True)}
    found = []
    for out, dim in zip(outs, dims or [0] * len(outs), strict=True):
        at = out.aval.level if isinstance(out, Handle) else None
        if at is not None and at.alive and at.depth >= level.depth:
            raise closed_over(at.word)
        if not isinstance(out, Handle) or (dim is None and id(out) not in same):
            found.append(out)
        elif id(out) not in same:
            found.append(batch_of(settled(movedim(out, dim)), level))
        else:
            arg = same[id(out)]
            if level.holds(arg) and type(arg.value) is np.ndarray and type(out.extra) is not Lent:
                level.write(copy, arg, (batch_of(settled(out), level),), {})
            found.append(arg)
    return found


def movedim(x: Any, dim: int | None) -> Any:
    """A tensor with one dimension in front."""
    if not dim:
        return x
    return permute(x, dims=(dim, *(d for d in range(x.aval.ndim) if d != dim)))


class Recurring(Batch):
    """A batch level that is in force whenever one of its function's rules runs, in any thread.

    So it has no one place on the stack of transforms: it is asked for where it is needed.
    """

    __slots__ = ()

    @property
    def depth(self) -> int:
        found = depth = 0
        for level in here.levels:
            depth = depth + 1 if isinstance(level, Recurring) else level.depth
            if level is self:
                found = depth  # the last one: a rule may run within itself
        return found

    @depth.setter
    def depth(self, value: int) -> None:
        pass

    @property
    def alive(self) -> bool:
        return any(level is self for level in here.levels)

    @alive.setter
    def alive(self, value: bool) -> None:
        pass

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        try:
            with modes(levels=[*here.levels, self]):
                yield
        finally:
            self.avals.clear()  # they refer back to the level


class Mapped(Custom):
    """A function applied to a batch of examples, in front of those arguments that are batched."""

    def __init__(self, custom: Any, batched: Sequence[bool], like: Batch) -> None:
        self.custom, self.batched = custom, tuple(batched)
        self.node_class = custom.node_class
        self.level = Recurring(like.size, like.randomness)

    def lift(self, values: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
        """The values as tensors of the level, those that have an example per place."""
        return [batch_of(v, self.level) if b and isinstance(v, Handle) else v
                for v, b in zip(values, batched, strict=True)]

    def lower(self, x: Any) -> Any:
        """What a tensor of the level stands for, with an example per place."""
        if not isinstance(x, Handle):
            return x
        return as_handle(x.value if self.level.holds(x) else leading(x, False, self.level.size))

    def outputs(self, output: Any, lifted: Sequence[Any], args: Sequence[Any]) -> Any:
        """Outputs below; arguments that were returned as they were given stay what they are."""
        same = {id(x): arg for x, arg in zip(lifted, args, strict=True) if self.level.holds(x)}
        return structured(output, [same[id(out)] if id(out) in same else self.lower(out)
                                   for out in listed(output)])

    def plain(self, args: Sequence[Any]) -> Any:
        with self.level.in_force():
            lifted = self.lift(args, self.batched)
            return self.outputs(self.custom.plain(lifted), lifted, args)

    def run(self, node: CustomNode, args: Sequence[Any]) -> Any:
        with self.level.in_force():
            lifted = self.lift(args, self.batched)
            inner = begin(self.custom, lifted)
            output = self.custom.run(inner, lifted)
            found = self.outputs(output, lifted, args)
        self.keep(node, inner, (lifted, args), (output, found))
        return found

    def push(self, node: CustomNode, args: Sequence[Any], tangents: Sequence[Any]) -> Any:
        with self.level.in_force():
            lifted = self.lift(args, self.batched)
            output, found = self.custom.push(begin(self.custom, lifted), lifted,
                                             self.lift(tangents, self.batched))
            return (self.outputs(output, lifted, args),
                    structured(found, list(map(self.lower, listed(found)))))

    def keep(self, node: CustomNode, inner: CustomNode, *pairs: Any) -> None:
        """Has a node keep, as values below, what the inner node is to keep."""
        below = {id(x): y for above, under in pairs
                 for x, y in zip(listed(_tupled(above)), listed(_tupled(under)), strict=True)}
        node.params = {"inner": inner}
        for name in ("to_save", "saved_for_forward", "dirty_tensors", "non_differentiable"):
            tensors = getattr(inner, name)
            if tensors is not None:
                node.params[name] = [self.level.holds(t) for t in tensors]
                node.put(**{name: tuple(
                    below[id(t)] if id(t) in below and self.level.holds(t)
                    else as_handle(t.value) if self.level.holds(t) else t for t in tensors)})
        node.put(materialize_grads=inner.__dict__.get("materialize_grads", True))
        inner.clear()

    def backward(self, node: CustomNode, grads: Sequence[Any]) -> Any:
        assert node.params is not None
        inner = node.params["inner"]
        batched = node.params.get("to_save", ())
        with self.level.in_force():
            again = inner.handed(self.lift(node.saved_tensors[:len(batched)], batched))
            found = self.custom.backward(again, self.lift(grads, [True] * len(grads)))
            checked = {place: self._gradient(value, aval, place) for value, aval, place in zip(
                again.checked(found), inner.ins, inner.tensors_at, strict=True)}
        return tuple(checked.get(i) for i in range(node.count))

    def _gradient(self, value: Any, aval: Any, place: int) -> Any:
        """A gradient below: one per example, or the sum over them for what they share."""
        if value is None:
            return None
        value = fitted(value, aval)
        if self.batched[place]:
            return self.lower(value)
        if not self.level.holds(value):
            return value
        total = sum_to(as_handle(value.value), shape=(1, *aval.shape))
        return reshape(total, shape=tuple(aval.shape))

    def batch(self, level: Any, args: Sequence[Any]) -> Any:
        return mapped(self, level, args)


def _tupled(items: Any) -> Any:
    return tuple(items) if isinstance(items, list) else items


class MappedStaged(Staged, Mapped):
    """The same of a function that computes first and sets its node up then."""

    def forward(self, args: Sequence[Any]) -> Any:
        with self.level.in_force():
            lifted = self.lift(args, self.batched)
            return self.outputs(self.custom.forward(lifted), lifted, args)

    def setup(self, node: CustomNode, args: Sequence[Any], output: Any) -> None:
        with self.level.in_force():
            lifted = self.lift(args, self.batched)
            same = {id(arg): x for arg, x in zip(args, lifted, strict=True)}
            outs = structured(output, [
                same[id(out)] if id(out) in same else self.lift((out,), (True,))[0]
                for out in listed(output)])
            inner = begin(self.custom, lifted)
            inner.put(needs_input_grad=node.needs_input_grad)
            self.custom.setup(inner, lifted, outs)
        self.keep(node, inner, (lifted, args), (outs, output))

    def jvp(self, node: CustomNode, tangents: Sequence[Any]) -> Any:
        assert node.params is not None
        inner = node.params["inner"]
        name = "saved_for_forward" if "saved_for_forward" in node.params else "to_save"
        with self.level.in_force():
            again = inner.handed(self.lift(node.saved_tensors, node.params.get(name, ())))
            found = self.custom.jvp(again, self.lift(tangents, self.batched))
            return structured(found, list(map(self.lower, listed(found))))
