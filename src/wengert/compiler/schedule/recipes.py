"""How elements are worked out, primitive by primitive: recipes for `Known`.

A recipe is a generator: given a place (`At`) in loops of given sizes, it asks for elements of
other values by yielding them with their places, is sent nodes, and returns the node of its own.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from ..ir.program import Line, Value
from .access import Ints, broadcast_steps, dense, indices
from .group import At, Node, Recipe, number, op
from .placing import UnreadableError

Steps = Generator[tuple[Value, At], Node, Node]


def numbered(dtype: np.dtype[Any], value: Any) -> Recipe:
    """A number, everywhere."""

    def recipe(at: At, sizes: Ints) -> Steps:
        return number(dtype, value)
        yield

    return recipe


def same(x: Value) -> Recipe:
    """The elements of x in the same order, whatever the shape."""

    def recipe(at: At, sizes: Ints) -> Steps:
        return (yield x, at)

    return recipe


def window(x: Value, shape: Ints, strides: Ints, offset: int) -> Recipe:
    """A region of x."""

    def recipe(at: At, sizes: Ints) -> Steps:
        return (yield x, at.through(sizes, shape, strides, offset))

    return recipe


def _element(x: Value, shape: Ints, at: At, sizes: Ints) -> tuple[Value, At]:
    """The element of x for a place in the shape that it is broadcast to."""
    own = tuple(x.aval.shape)
    if own == shape:
        return x, at
    return x, at.through(sizes, shape, broadcast_steps(own, shape))


def elementwise(name: str, line: Line) -> Recipe:
    """An operation on broadcast elements."""
    shape, dtype = tuple(line.result.aval.shape), line.result.aval.numpy

    def recipe(at: At, sizes: Ints) -> Steps:
        nodes = []
        for x in line.operands:
            nodes.append((yield _element(x, shape, at, sizes)))
        return op(name, dtype, nodes)

    return recipe


def converted(x: Value, dtype: np.dtype[Any]) -> Recipe:
    """The elements of x in another dtype."""

    def recipe(at: At, sizes: Ints) -> Steps:
        node = yield x, at
        return op("cast", dtype, (node,))

    return recipe


def counted(shape: Ints, dim: int, dtype: np.dtype[Any]) -> Recipe:
    """The index along a dimension."""

    def recipe(at: At, sizes: Ints) -> Steps:
        return _along(at, sizes, shape, dim, dtype)
        yield

    return recipe


def _along(at: At, sizes: Ints, shape: Ints, dim: int, dtype: np.dtype[Any]) -> Node:
    strides, offset = indices(at.strides, at.offset, sizes, shape)[dim]
    node = Node("index", np.dtype(np.int64), strides=strides, offset=offset)
    for index, bound, stride in at.indirect:
        if at.dimension(sizes, shape, bound, stride) == dim:
            node = _wrapped(index, bound)
    return node if node.dtype == dtype else op("cast", dtype, (node,))


def _wrapped(index: Node, bound: int) -> Node:
    """An index that, if negative, counts from the end."""
    below = op("less", np.dtype(np.bool_), (index, number(index.dtype, 0)))
    return op("where", index.dtype, (
        below, op("add", index.dtype, (index, number(index.dtype, bound))), index))


def picked(x: Value, indices: Sequence[Value], shape: Ints, index_steps: Ints, steps: Ints,
           dim: int, offset: int = 0) -> Recipe:
    """Elements of x at an index along one of its dimensions, or at several along as many.

    Args:
        x: from where.
        indices: which, by dimension, all of one shape; their elements for element i of the result
            are at sum of index_steps * i.
        shape: of the result.
        index_steps: see above.
        steps: the element of x is at sum of steps * i, moved by the indices.
        dim: the first dimension of x that an index runs along.
        offset: and by this many elements.
    """
    bounds, strides = x.aval.shape[dim:], dense(tuple(x.aval.shape))[dim:]

    def recipe(at: At, sizes: Ints) -> Steps:
        where, found = at.through(sizes, shape, index_steps), []
        for index, bound, stride in zip(indices, bounds, strides, strict=False):
            found.append(((yield index, where), bound, stride))
        there = at.through(sizes, shape, steps, offset)
        node = yield x, At(there.strides, there.offset, (*there.indirect, *found))
        for index, (place, bound, _) in zip(indices, found, strict=True):
            if not _is_checked(place, node):
                again = yield index, _checking(where, place, bound)
                if not _is_checked(place, again):
                    raise UnreadableError(index)
                same = op("equal", np.dtype(np.bool_), (again, again))
                node = op("where", node.dtype, (same, node, node))
        return node

    return recipe


def _checking(where: At, index: Node, bound: int) -> At:
    """The place of an index, loaded once more at the index times 0, which checks that it is in
    bounds."""
    return At(where.strides, where.offset, (*where.indirect, (index, bound, 0)))


def _is_checked(index: Node, node: Node) -> bool:
    """Whether a node takes anything that is loaded at an index: not what is the same for all."""
    todo, seen = [node], {node}
    while todo:
        each = todo.pop()
        if each.kind == "load" and any(term[0] is index for term in each.indirect):
            return True
        todo += [parent for parent in each.parents() if parent not in seen]
        seen.update(each.parents())
    return False


def one_hot(line: Line, dim: int) -> Recipe:
    """`scatter_add` of one element along a dimension: x, and z where the dimension's index is y."""
    x, y, z = line.operands
    shape, dtype = tuple(x.aval.shape), x.aval.numpy
    bound = shape[dim]

    def recipe(at: At, sizes: Ints) -> Steps:
        base = yield x, at
        where = at.through(sizes, shape, broadcast_steps(tuple(y.aval.shape), shape))
        index = yield y, where
        index = yield y, _checking(where, index, bound)
        added = yield z, where
        here = _along(at, sizes, shape, dim, np.dtype(np.int64))
        hit = op("equal", np.dtype(np.bool_), (here, _wrapped(index, bound)))
        chosen = op("where", dtype, (hit, added, number(dtype, 0)))
        if base.kind == "number" and base.value == 0:
            return chosen
        return op("add", dtype, (base, chosen))

    return recipe


def combined(how: str, x: Value, kept: Ints, steps: Ints, offsets: Sequence[int],
             dtype: np.dtype[Any]) -> Recipe:
    """A few elements of x combined: for element i of the shape kept, those at sum of steps * i
    and so much further on."""

    def recipe(at: At, sizes: Ints) -> Steps:
        nodes = []
        for offset in offsets:
            node = yield x, at.through(sizes, kept, steps, offset)
            nodes.append(node)
        while len(nodes) > 1:
            pairs = [op(how, dtype, nodes[i:i + 2]) for i in range(0, len(nodes) - 1, 2)]
            nodes = pairs + nodes[len(nodes) - len(nodes) % 2:]
        return nodes[0]

    return recipe


def dotted(line: Line) -> Recipe:
    """A product of matrices with few terms to a sum."""
    x, y = line.operands
    shape, dtype = tuple(line.result.aval.shape), line.result.aval.numpy
    *x_batch, x_row, x_col = dense(tuple(x.aval.shape))
    *y_batch, y_row, y_col = dense(tuple(y.aval.shape))
    along_x, along_y = (*x_batch, x_row, 0), (*y_batch, 0, y_col)

    def recipe(at: At, sizes: Ints) -> Steps:
        total = None
        for d in range(x.aval.shape[-1]):
            a = yield x, at.through(sizes, shape, along_x, d * x_col)
            b = yield y, at.through(sizes, shape, along_y, d * y_row)
            term = op("multiply", dtype, (a, b))
            total = term if total is None else op("add", dtype, (total, term))
        assert total is not None
        return total

    return recipe
