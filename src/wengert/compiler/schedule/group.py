"""Groups: loop nests in the making.

A group has loops of given sizes, not joined yet and in no order of execution: it is the set of
values that are wanted of a turn of the loops, as a graph of nodes. `compute` adds a value's node
and, on the way, those of all values that it is worked out from in the same turn; it stops at what
is in memory. What a group is for are its puts: what is to be stored where.

A group that reduces over its innermost loops (its columns) has the result in each row's turn. So
has every value that is used in the same turns as it is defined in; a value that was computed in
another order, or by turns that are yet to come, must be in memory before the group begins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..ir.nest import Buffer
from ..ir.program import Value
from .access import Ints, MisfitError, dense, indices, joinable, merged, proper, split, through
from .reductions import Reduction


@dataclasses.dataclass(eq=False, slots=True)
class Node:
    """What a turn of a group's loops computes.

    Attributes:
        kind: "number", "index", "load", "op" or "reduce".
        dtype: of the result.
        name: an op's or reduction's.
        operands: what an op or reduction is applied to.
        value: a load's value, or a number.
        strides, offset, indirect: where a load's element lies (see `At`), or an index.
    """

    kind: str
    dtype: np.dtype[Any]
    name: str = ""
    operands: tuple[Node, ...] = ()
    value: Any = None
    strides: Ints = ()
    offset: int = 0
    indirect: tuple[tuple[Node, int, int], ...] = ()

    def parents(self) -> tuple[Node, ...]:
        """The nodes that it needs."""
        return (*self.operands, *(term[0] for term in self.indirect))

    @property
    def own_cost(self) -> int:
        """About how many simple operations it takes."""
        return COSTS.get(self.name, ELEMENTARY) if self.kind == "op" else 0


class At(NamedTuple):
    """Where a turn of the loops finds the element of a value: offset + sum of strides[d] * loop d
    + index * stride for each of `indirect`: (node of the index, bound, stride)."""

    strides: Ints
    offset: int = 0
    indirect: tuple[tuple[Node, int, int], ...] = ()

    def through(self, sizes: Ints, shape: Ints, steps: Ints, start: int = 0) -> At:
        """Places in an array of a shape as places elsewhere; see `access.through`."""
        strides, offset = through(self.strides, self.offset, sizes, shape, steps, start)
        if not self.indirect:
            return At(strides, offset)
        terms = []
        for node, bound, stride in self.indirect:
            d = self.dimension(sizes, shape, bound, stride)
            if steps[d]:
                terms.append((node, bound, steps[d]))
        return At(strides, offset, tuple(terms))

    def dimension(self, sizes: Ints, shape: Ints, bound: int, stride: int) -> int:
        """The dimension that an index alone runs along."""
        found = indices(self.strides, self.offset, sizes, shape)
        for d, (n, step) in enumerate(zip(shape, dense(shape), strict=True)):
            if (n, step) == (bound, stride) and not any(found[d][0]) and not found[d][1]:
                return d
        raise MisfitError


Recipe = Callable[[At, Ints], Generator[tuple[Value, At], Node, Node]]
"""How a value's element at a place is worked out in loops of given sizes: asks for elements of
other values, and returns a node."""


@dataclasses.dataclass(eq=False, slots=True)
class Known:
    """What the scheduler knows of a value.

    Attributes:
        value: the value.
        need: the first step in which it could be worked out.
        recipe: how an element is worked out; None if it can only be loaded.
        cost: how many simple operations that takes, about.
        leaves: what is loaded for it.
        buffer: the memory that it is in, if it is in any.
        step: the step after which it is there.
        home: the group (or run of scalars) that has computed it, element by element.
        reduction: if it is one that no group has done yet: what it reduces by rows.
        settle: has a group do that reduction.
        view: if it is a region of a value: which, by what strides, from where.
    """

    value: Value
    need: int = 0
    recipe: Recipe | None = None
    cost: int = 0
    leaves: frozenset[Value] = frozenset()
    buffer: Buffer | None = None
    step: int = -1
    home: Any = None
    reduction: Reduction | None = None
    settle: Callable[[], None] | None = None
    view: tuple[Value, Ints, int] | None = None


@dataclasses.dataclass(eq=False, slots=True)
class Put:
    """A store at the end of a turn; fields as those of `nest.Store`.

    Attributes:
        rows: whether it is made once per row, whatever the columns.
    """

    node: Node
    buffer: Buffer
    strides: Ints
    offset: int = 0
    how: str = ""
    indirect: tuple[tuple[Node, int, int], ...] = ()
    rows: bool = False


@dataclasses.dataclass(eq=False, slots=True)
class Root:
    """Something that a group is to do.

    Attributes:
        sizes: of the loops that it takes.
        build: adds it to a group: asks for values as a recipe does, given a function that fits
            strides of these loops to those of the group.
        need: the first step in which it can be done.
        cols: how many elements it reduces to one in each row; None if it does not.
        alone: whether nothing else may be in its group.
        full: whether only a group of as many turns will do, and not one of as many rows.
    """

    sizes: Ints
    build: Callable[[Group, Callable[[Ints], Ints]], Generator[tuple[Value, At], Node, None]]
    need: int = 0
    cols: int | None = None
    alone: bool = False
    full: bool = False


class Group:
    """See the text of the module.

    Attributes:
        index: its place among the steps.
        sizes: of its loops, outermost first.
        cols: how many turns make a row; None as long as that is open.
        alone: whether nothing may be added.
        order: the nodes, each after those it needs.
        members: where in that order each is.
        nodes: by value and place, the node that is its element there.
        puts: what is stored.
        fills: buffers that are added up in, with the numbers they begin with.
        pulled: results of reductions that waited for a group.
    """

    def __init__(self, index: int, sizes: Ints, alone: bool = False) -> None:
        self.index, self.sizes, self.alone = index, sizes, alone
        self.size = prod(sizes)
        self.cols: int | None = None
        self.order: list[Node] = []
        self.members: dict[Node, int] = {}
        self.nodes: dict[tuple[Value, At], Node] = {}
        self.puts: list[Put] = []
        self.fills: list[tuple[Buffer, Any]] = []
        self.pulled: list[Value] = []

    @property
    def row_loops(self) -> int:
        """How many of the loops run over rows."""
        inner, count = 1, len(self.sizes)
        while inner < (self.cols or 1):
            count -= 1
            inner *= self.sizes[count]
        return count

    def dense_at(self, numel: int) -> At | None:
        """Where turns or rows meet the elements of a value of that size, one by one."""
        if numel == self.size:
            return At(dense(self.sizes))
        if self.cols and numel * self.cols == self.size:
            rows = self.row_loops
            return At(dense(self.sizes[:rows]) + (0,) * (len(self.sizes) - rows))
        return None

    def rows_of(self, reduction: Reduction, at: At) -> bool:
        """Whether a place is that of this turn's row in what a reduction gives."""
        if self.alone or self.size != reduction.x.aval.numel or at.offset or at.indirect:
            return False
        inner, rows = 1, len(self.sizes)
        while inner < reduction.cols:
            rows -= 1
            inner *= self.sizes[rows]
        return inner == reduction.cols and (
            at.strides == dense(self.sizes[:rows]) + (0,) * (len(self.sizes) - rows))

    # --- loops --------------------------------------------------------------------------------

    def fitted(self, root: Root) -> Callable[[Ints], Ints]:
        """Cuts loops as a root needs them; gives a function from its strides to the group's.

        Raises:
            MisfitError: if the loops are not the same.
        """
        size = prod(root.sizes)
        rows = len(self.sizes) if size == self.size else self.row_loops
        own, cols = self.sizes[:rows], self.sizes[rows:]
        finer = merged(root.sizes, own)
        if finer is None or prod(own) != size or (root.full and size != self.size):
            raise MisfitError
        if finer != own:
            self.recut(finer + cols)
        return lambda strides: split(strides, root.sizes, finer) + (0,) * len(cols)

    def recut(self, finer: Ints) -> None:
        """Cuts loops into finer ones."""
        old, self.sizes = self.sizes, finer
        for each in self.accesses():
            if each.strides:
                each.strides = split(each.strides, old, finer)
        self.nodes = {(value, At(split(at.strides, old, finer), *at[1:])): node
                      for (value, at), node in self.nodes.items()}

    def refine(self, loop: int, inner: int) -> None:
        """Cuts one loop in two."""
        outer = self.sizes[loop] // inner
        self.recut((*self.sizes[:loop], outer, inner, *self.sizes[loop + 1:]))

    def reduce_over(self, cols: int) -> None:
        """Makes the innermost loops, that many turns, the columns.

        Raises:
            MisfitError: if they are not, or if they are no single loop to all accesses.
        """
        if self.cols is not None and self.cols != cols:
            raise MisfitError
        if self.cols is None:
            self.cols = cols
            if not all(self.one_loop(each.strides) for each in self.accesses()):
                self.cols = None
                raise MisfitError

    def accesses(self) -> Iterator[Node | Put]:
        """All that has strides."""
        yield from self.order
        yield from self.puts

    def one_loop(self, strides: Ints) -> bool:
        """Whether the columns are a single loop to an access."""
        if self.cols is None or not strides:
            return True
        return all(joinable(d, self.sizes, (strides,))
                   for d in range(self.row_loops, len(self.sizes) - 1))

    # --- nodes --------------------------------------------------------------------------------

    def add(self, node: Node) -> Node:
        """Enters a node, and first those that it needs, if they aren't yet.

        Raises:
            MisfitError: if to one of them the columns are no single loop.
        """
        if node not in self.members:
            for parent in node.parents():
                self.add(parent)
            if not self.one_loop(node.strides):
                raise MisfitError
            self.members[node] = len(self.order)
            self.order.append(node)
        return node

    def put(self, put: Put) -> None:
        """Enters a store."""
        if not self.one_loop(put.strides):
            raise MisfitError
        self.puts.append(put)


class Mark:
    """A state of a group, to go back to."""

    def __init__(self, group: Group) -> None:
        self.group, self.order, self.cols = group, len(group.order), group.cols
        self.nodes, self.puts, self.fills = (
            len(group.nodes), len(group.puts), len(group.fills))

    def restore(self) -> None:
        """Forgets what was entered since."""
        group = self.group
        group.cols = self.cols
        for node in group.order[self.order:]:
            del group.members[node]
        del group.order[self.order:], group.puts[self.puts:], group.fills[self.fills:]
        while len(group.nodes) > self.nodes:
            group.nodes.popitem()


COSTS: Mapping[str, int] = {
    **dict.fromkeys(("divide", "sqrt", "reciprocal", "remainder", "fmod", "floor_divide"), 4),
    **dict.fromkeys((
        "add", "subtract", "multiply", "negative", "absolute", "maximum", "minimum", "less",
        "less_equal", "greater", "greater_equal", "equal", "not_equal", "logical_and",
        "logical_or", "logical_not", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor",
        "invert", "where", "cast", "square", "sign", "floor", "ceil", "rint", "trunc", "isnan",
        "isinf", "isfinite", "signbit", "copysign", "fabs", "positive", "left_shift",
        "right_shift"), 1)}
"""What operations cost, in simple ones."""
ELEMENTARY = 16
"""What other operations cost."""


def op(name: str, dtype: np.dtype[Any], operands: Sequence[Node]) -> Node:
    """The node of an operation."""
    return Node("op", dtype, name, tuple(operands))


def number(dtype: np.dtype[Any], value: Any) -> Node:
    """The node of a number."""
    return Node("number", dtype, value=value)


def loops_over(shape: Sequence[int]) -> Ints:
    """The loops over an array of a shape."""
    return proper(shape)
