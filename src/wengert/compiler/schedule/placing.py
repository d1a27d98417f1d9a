"""Which step does what: finds or makes a group for everything that is to be stored or reduced.

`Steps` is the list of a block's steps as it grows. Nothing is computed until it is wanted: a
value of an elementwise line is a recipe, and its element is worked out wherever a group's turn
needs it. What two groups want is worked out in both if that costs less than to write it down.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from math import prod
from typing import Any

import numpy as np

from ...primitives.layout import contiguous
from ..ir.nest import Buffer, Call, Choose, Contraction, Product, Repeat, Unwind
from ..ir.program import Constant, Value
from .access import Ints, MisfitError, RefineError, dense
from .group import At, Group, Known, Mark, Node, Put, Root, loops_over, number
from .reductions import Reduction
from .straight import Straight

Draft = Group | Straight | Call | Choose | Contraction | Product | Repeat | Unwind

_SMALL = 1 << 12
"""Groups of fewer turns take in what has nothing to do with them, to save a loop."""
_MUCH = 24
"""But not if they do so much already that a processor has no registers for more."""
_TRIES = 8
MANY = 12
"""A value that takes more loads than this is stored."""


class UnreadableError(Exception):
    """A value can't be worked out at the places that a group wants: it must be in memory."""

    def __init__(self, value: Value) -> None:
        super().__init__(value)
        self.value = value


class Steps:
    """See the text of the module.

    Attributes:
        known: what is known of each value.
        outputs: the memory of values that are outputs.
        aliases: values that have the same elements in the same order as another.
        steps: the steps; a group's place doesn't change.
        groups: by number of turns or rows, the groups that have so many.
        begun: memory that begins as a copy of something and is then written in; and the step that
            copies.
        pinned: memory that statements refer to already, so that it can't be replaced by other.
        turned: by value that was computed example by example, one that has its examples last.
    """

    def __init__(self, known: dict[Value, Known], outputs: Mapping[Value, Buffer],
                 aliases: Mapping[Value, Value]) -> None:
        self.known, self.outputs, self.aliases = known, outputs, aliases
        self.steps: list[Draft] = []
        self.groups: dict[int, list[Group]] = {}
        self.begun: dict[Buffer, int] = {}
        self.pinned: set[Buffer] = set()
        self.turned: dict[Value, Value] = {}

    def root(self, value: Value) -> Value:
        """The value that a value is another name (or shape) of."""
        return self.aliases.get(value, value)

    def of(self, value: Value) -> Known:
        """What is known of a value."""
        value = self.aliases.get(value, value)
        found = self.known.get(value)
        if found is None:
            assert isinstance(value, Constant)
            found = self.known[value] = _constant(value)
        return found

    # --- memory -------------------------------------------------------------------------------

    def new_buffer(self, value: Value, shape: Ints | None = None) -> Buffer:
        """Memory for a value: the output's that it is (if it has that shape), or a temporary."""
        found = self.outputs.get(value)
        if found is not None and shape in (None, found.shape):
            return found
        return Buffer(value.aval.numpy, value.aval.numel, "temporary",
                      shape=tuple(value.aval.shape))

    def written(self, value: Value, buffer: Buffer, step: int) -> None:
        """Notes that a value is in memory, once a step is done."""
        self.known[value] = Known(value, step + 1, leaves=frozenset((value,)), buffer=buffer,
                                  step=step)

    def begin(self, value: Value, x: Value) -> tuple[Buffer, int]:
        """New memory for a value, with x in it, and the step that copies it there."""
        buffer, step = self.new_buffer(value), -1
        if x.aval.numel:
            step = self.begun[buffer] = self.copied(x, buffer, alone=self.of(x).buffer is not None)
        return buffer, step

    def stored(self, value: Value) -> Known:
        """Sees to it that a value is in memory, at the latest after the last step."""
        known = self.of(value)
        if known.settle is not None and known.home is None:
            known.settle()
            known = self.of(value)
        value = known.value
        if known.buffer is None:
            buffer = self.new_buffer(value)
            if known.home is not None:
                self._store_at_home(known, buffer)
            elif value.aval.numel:
                known.step = self.copied(value, buffer)
            known.buffer = buffer
        return known

    def memory(self, value: Value) -> Buffer:
        """Where a value is stored, to which it is seen."""
        buffer = self.stored(value).buffer
        assert buffer is not None
        return buffer

    def _store_at_home(self, known: Known, buffer: Buffer) -> None:
        group = known.home
        assert group is not None
        known.step = group.index
        if isinstance(group, Straight):
            group.keep(known.value, buffer)
            return
        at = group.dense_at(known.value.aval.numel)
        assert at is not None
        rows = known.value.aval.numel != group.size
        group.put(Put(group.nodes[known.value, at], buffer, at.strides, rows=rows))

    def copied(self, value: Value, buffer: Buffer, strides: Ints | None = None,
               offset: int = 0, need: int = 0, alone: bool = False) -> int:
        """Stores a value's elements somewhere; strides are by the value's dimensions.

        Returns:
            the step that does it.
        """
        shape = tuple(value.aval.shape)
        sizes = loops_over(shape)
        steps = dense(shape) if strides is None else strides
        steps = tuple(s for s, n in zip(steps, shape, strict=True) if n != 1)

        def build(group: Group, fit: Any) -> Generator[tuple[Value, At], Node, None]:
            node = yield value, At(fit(dense(sizes)))
            group.put(Put(node, buffer, fit(steps), offset, rows=group.size != prod(sizes)))

        need = max(need, self.of(value).need)
        return self.place(Root(sizes, build, need, alone=alone)).index

    def moved(self, value: Value, buffer: Buffer) -> None:
        """Stores a value that is in memory, or anywhere, in other memory as well."""
        if value.aval.foreign:
            source = self.stored(value).buffer
            assert source is not None
            self.steps.append(Call(contiguous, (source,), {}, (buffer,)))
        elif value.aval.numel:
            alone = self.of(value).buffer is not None
            step = self.copied(value, buffer, alone=alone)
            if alone:
                self.begun[buffer] = step

    # --- groups -------------------------------------------------------------------------------

    def place(self, root: Root) -> Group:
        """Has a group do something: one that computes what it needs anyway, or a new one.

        Raises:
            MisfitError: if the group's columns would be no single loop.
        """
        while True:
            group = self.joined(root)
            if group is not None:
                return group
            group = Group(len(self.steps), root.sizes, root.alone)
            self.steps.append(group)
            try:
                walk = self._join(group, root)
            except UnreadableError as error:
                self.steps.pop()
                self.settled(error.value)
            except MisfitError:
                self.steps.pop()
                if not group.pulled:
                    raise
                for value in group.pulled:  # whose columns are not those of the root
                    self.settled(value)
            else:
                self._settle(walk)
                return group

    def joined(self, root: Root) -> Group | None:
        """Has a group that there is do something, if that can be and is any use."""
        if not root.alone:
            for group in self._candidates(root):
                if self._joined(group, root):
                    return group
        return None

    def settled(self, value: Value) -> None:
        """Has a value that was waiting for a group done in one of its own, or stored."""
        known = self.of(value)
        if known.settle is not None and known.home is None:
            known.settle()
        else:
            self.stored(value)

    def _register(self, group: Group, size: int) -> None:
        found = self.groups.setdefault(size, [])
        if group not in found[-_TRIES:]:
            found.append(group)

    def _candidates(self, root: Root) -> Iterable[Group]:
        found = self.groups.get(prod(root.sizes), ())
        return [g for g in found[-_TRIES:][::-1] if g.index >= root.need and not g.alone]

    def _joined(self, group: Group, root: Root) -> bool:
        """Joins a group if that can be and is any use."""
        mark = Mark(group)
        try:
            walk = self._join(group, root)
        except (MisfitError, UnreadableError):
            mark.restore()
            return False
        if not walk.met and (group.size > _SMALL or mark.order > _MUCH):
            mark.restore()
            return False
        self._settle(walk)
        return True

    def _join(self, group: Group, root: Root) -> Walk:
        """Adds a root to a group."""
        walk = Walk(self, group)
        while True:
            try:
                fit = group.fitted(root)
                if root.cols is not None:
                    group.reduce_over(root.cols)
                walk.run(root.build(group, fit))
            except RefineError as error:
                group.refine(error.loop, error.inner)
            else:
                return walk

    def _settle(self, walk: Walk) -> None:
        """Notes what a group computes."""
        group = walk.group
        self._register(group, group.size)
        if group.cols is not None:
            self._register(group, group.size // group.cols)
        for value, node in walk.made:
            known = self.known[value]
            if known.home is None and known.buffer is None and node.kind != "load":
                at = group.dense_at(value.aval.numel)
                if at is not None and group.nodes.get((value, at)) is node:
                    known.home = group

    # --- reading ------------------------------------------------------------------------------

    def loadable(self, known: Known, group: Group) -> bool:
        """Whether a group is to load a value; has it stored where it was computed, if need be."""
        if known.buffer is not None:
            return known.step < group.index
        home = known.home
        if home is None or home.index >= group.index:
            return False
        if known.recipe is not None and self._cheap(known):
            return False
        self.stored(known.value)
        return True

    @staticmethod
    def _cheap(known: Known) -> bool:
        """Whether to work a value out again rather than to write it down and read it."""
        large = known.value.aval.numel * known.value.aval.numpy.itemsize >= 1 << 20
        return known.cost <= (40 if large else 6) and len(known.leaves) <= 2


class Walk:
    """Adds values to a group, with all that they need.

    Attributes:
        made: the values that were worked out, with their nodes.
        met: whether something was needed that the group had already.
    """

    def __init__(self, steps: Steps, group: Group) -> None:
        self.steps, self.group = steps, group
        self.before = len(group.order)
        self.made: list[tuple[Value, Node]] = []
        self.met = False

    def run(self, root: Generator[tuple[Value, At], Node, Any]) -> None:
        """Runs a generator that asks for values, and those of the recipes that answer it."""
        stack: list[tuple[Generator[tuple[Value, At], Node, Any], Value | None, At | None]] = [
            (root, None, None)]
        answer: Any = None
        while stack:
            generator, value, at = stack[-1]
            try:
                wanted, place = generator.send(answer)
            except StopIteration as stop:
                stack.pop()
                answer = stop.value
                if value is not None and at is not None:
                    self._enter(value, at, answer)
                continue
            except MisfitError as error:
                raise self._unreadable(value) from error
            wanted = self.steps.root(wanted)
            found = self._found(wanted, place)
            if isinstance(found, Node):
                answer = found
            else:
                stack.append((found, wanted, place))
                answer = None

    def _unreadable(self, value: Value | None) -> Exception:
        if value is None or self.steps.of(value).buffer is not None:
            return MisfitError()
        return UnreadableError(value)

    def _enter(self, value: Value, at: At, node: Node) -> None:
        self.group.nodes[value, at] = self.group.add(node)
        self.made.append((value, node))

    def _found(self, value: Value, at: At) -> Node | Generator[tuple[Value, At], Node, Node]:
        """A node that is there, a load, or how to work the value out."""
        group = self.group
        node = group.nodes.get((value, at))
        if node is not None:
            self.met = self.met or (group.members[node] < self.before and (
                node.kind in ("op", "reduce") or any(node.strides)))
            return node
        known = self.steps.of(value)
        if self.steps.loadable(known, group):
            node = group.add(Node("load", value.aval.numpy, value=value, strides=at.strides,
                                  offset=at.offset, indirect=at.indirect))
            group.nodes[value, at] = node
            return node
        if known.recipe is not None:
            return known.recipe(at, group.sizes)
        if known.reduction is None:
            raise MisfitError
        if not group.rows_of(known.reduction, at):
            raise UnreadableError(value)
        group.pulled.append(value)
        return reduced(known.reduction, group)


def reduced(reduction: Reduction, group: Group) -> Generator[tuple[Value, At], Node, Node]:
    """The recipe of a reduction in a group that has its rows."""
    group.reduce_over(reduction.cols)
    node = yield reduction.x, At(dense(group.sizes))
    return Node("reduce", reduction.result.aval.numpy, reduction.how, (node,))


def _constant(value: Constant) -> Known:
    """A constant: a number, if all its elements are the same."""
    array = value.array
    known = Known(value)
    if uniform(array):
        first = array[(0,) * array.ndim]
        dtype, found = array.dtype, first.item()

        def recipe(at: At, sizes: Ints) -> Generator[tuple[Value, At], Node, Node]:
            return number(dtype, found)
            yield

        known.recipe = recipe
    else:
        known.buffer = Buffer(array.dtype, array.size, "constant",
                              array=np.ascontiguousarray(array), shape=array.shape)
    return known


def uniform(array: np.ndarray) -> bool:
    """Whether an array is one number over and over."""
    if array.size == 0 or array.dtype.kind not in "biuf":
        return False
    if array.size == 1 or not any(s for s, n in zip(array.strides, array.shape, strict=True)
                                  if n > 1):
        return True
    first = array[(0,) * array.ndim]
    return bool(np.all(array == first)) and not (first == 0 and np.any(np.signbit(array) != (
        np.signbit(first)) if array.dtype.kind == "f" else False))
