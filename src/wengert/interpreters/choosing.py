"""Some of a batch's examples by themselves: what control flow that differs between them runs on.

Where examples disagree on which way to go, each way is gone by those examples alone that take it.
They form a batch of their own, a `Chosen` level, deeper than all others. So nothing is computed
for an example that a program of that example alone would not compute: no NaN from a branch not
taken gets into a gradient, and the work is that of the examples one by one.

Two linear primitives lead there and back, each the other's transpose. `unbatch` gives what a
tensor of a batch level stands for, as a tensor of the levels above and below alone; `rebatch` makes
it a tensor of that level again. Their second operand, an anchor, only tells the level: a tensor
that lives there. Levels that are deeper (the tape of a `grad` inside `vmap`) interpret the two
like any other primitive, so derivatives need no code here.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core.handle import Handle, as_handle
from ..core.levels import deepest, entered, here
from ..core.primitive import Primitive
from ..primitives.indexing import index
from ..primitives.layout import clone, permute, reshape
from .batching import Batch, batch_of, stacked
from .lifted import rebind, take
from .views import base_of, refresh


def _unbatched(x: Any, anchor: Any, size: int) -> Any:
    """`unbatch` at a batch level: the anchor's own, or a deeper one, which keeps its examples."""
    level = deepest((x, anchor))
    assert isinstance(level, Batch)
    if level is anchor.aval.level:
        return level.row(x) if isinstance(level, Chosen) else stacked(x, level)
    return batch_of(_swapped(unbatch(x.value, anchor, size=size)), level)


def _rebatched(x: Any, anchor: Any, size: int) -> Any:
    level = deepest((x, anchor))
    assert isinstance(level, Batch)
    if level is anchor.aval.level:
        return batch_of(x, level)
    return batch_of(rebatch(_swapped(x.value), anchor, size=size), level)


def _swapped(x: Any) -> Any:
    return permute(x, dims=(1, 0, *range(2, len(x.shape))))


def _unbatch_pullback(g: Any, y: Any, size: int) -> Any:
    return rebatch(g, y, size=size)


def _rebatch_pullback(g: Any, y: Any, size: int) -> Any:
    return unbatch(g, y, size=size)


def _never(*arrays: np.ndarray, size: int) -> np.ndarray:
    raise AssertionError("an anchor lives at a batch level")


unbatch = Primitive(
    "unbatch", _never, abstract=lambda x, y, size: x.with_shape((size, *x.shape)), linear=(0,),
    vjp=(_unbatch_pullback, None), decompose=_unbatched)
rebatch = Primitive(
    "rebatch", _never, abstract=lambda x, y, size: x.with_shape(x.shape[1:]), linear=(0,),
    vjp=(_rebatch_pullback, None), decompose=_rebatched)


class Examples:
    """The examples of one batch, or of several nested ones, in one row.

    Attributes:
        levels: the batches, outermost first.
        sizes: how many examples each has.
        count: how many examples there are in all.
        depth: that of the outermost level that these examples are of, or were chosen from.
    """

    def __init__(self, levels: Sequence[Batch]) -> None:
        self.levels = tuple(levels)
        self.sizes = tuple(level.size for level in levels)
        self.count = math.prod(self.sizes)
        self.depth: int = min(level.examples.depth if isinstance(level, Chosen) else level.depth
                              for level in levels)
        self.anchors = [batch_of(np.zeros(level.size, np.bool_), level) for level in levels]

    def row(self, x: Any) -> Any:
        """What a tensor stands for, all examples in front in one dimension."""
        shape = x.shape
        for anchor, size in zip(reversed(self.anchors), reversed(self.sizes), strict=True):
            x = unbatch(x, anchor, size=size)
        return x if len(self.sizes) == 1 else reshape(x, shape=(self.count, *shape))

    def tensor(self, row: Any) -> Any:
        """The tensor that stands for a row of examples."""
        if len(self.sizes) > 1:
            row = reshape(row, shape=(*self.sizes, *row.shape[1:]))
        for anchor, size in zip(self.anchors, self.sizes, strict=True):
            row = rebatch(row, anchor, size=size)
        return row

    def concern(self, x: Any) -> bool:
        """Whether a value may differ between these examples."""
        return isinstance(x, Handle) and x.aval.level is not None and (
            x.aval.level.depth >= self.depth)


class Chosen(Batch):
    """A batch of some of the examples of others.

    Tensors of those others that a function closes over join in where they are met.

    Attributes:
        examples: what they are chosen from.
        index: which they are, places in that row.
        sources: the levels that they are chosen from, directly or by way of others.
    """

    __slots__ = ("examples", "index", "sources")

    def __init__(self, examples: Examples, index: np.ndarray) -> None:
        kinds = {level.randomness for level in examples.levels}
        super().__init__(len(index), next(kind for kind in ("error", "different", "same")
                                          if kind in kinds))
        self.examples, self.index = examples, index
        self.sources: frozenset[Batch] = frozenset(examples.levels).union(
            *(level.sources for level in examples.levels if isinstance(level, Chosen)))

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Enters the level; random numbers differ by its own examples alone meanwhile."""
        before = [level.randomness for level in self.examples.levels]
        with entered(self):
            for level in self.examples.levels:
                level.randomness = self.randomness if self.randomness == "error" else "same"
            try:
                yield
            finally:
                for level, randomness in zip(self.examples.levels, before, strict=True):
                    level.randomness = randomness

    def own(self, x: Any) -> Any:
        """A tensor with the chosen examples of those that it stands for; others as they are."""
        if self.holds(x) or not self.examples.concern(x):
            return x
        if x.alias is not None:
            refresh(x)
        return batch_of(rows(self.examples.row(x), self.index), self)

    def row(self, x: Any) -> Any:
        """What a function left, with the chosen examples in front."""
        return stacked(self.own(as_handle(x)), self)

    def interpret(self, primitive: Primitive, operands: Sequence[Any],
                  params: dict[str, Any]) -> Any:
        if primitive is not unbatch and primitive is not rebatch:  # they know what they are given
            operands = [self.own(o) for o in operands]
        return super().interpret(primitive, operands, params)

    def apply_custom(self, custom: Any, args: Sequence[Any]) -> Any:
        return super().apply_custom(custom, [self.own(a) for a in args])

    def write(self, primitive: Primitive, x: Any, others: Sequence[Any],
              params: dict[str, Any]) -> Any:
        return super().write(primitive, x, [self.own(o) for o in others], params)

    def _make_room(self, x: Any) -> None:
        base = base_of(x)
        if not self.holds(base) and self.examples.concern(base):
            mine = clone(self.own(base))
            take(self, base)
            rebind(base, mine)
            refresh(x)
        super()._make_room(x)


def batches(x: Any) -> tuple[Batch, ...]:
    """The batches that the numbers of a tensor go over, outermost first."""
    found: list[Batch] = []
    while isinstance(x, Handle):
        if x.alias is not None:
            refresh(x)
        if isinstance(x.aval.level, Batch):
            found.append(x.aval.level)
        x = x.value
    return tuple(reversed(found))


def at_home(x: Any) -> Any:
    """A tensor, to be looked at, with the examples that were chosen where we are alone."""
    for level in reversed(here.levels):
        if isinstance(level, Chosen) and not level.sources.isdisjoint(batches(x)):
            x = level.own(x)
    return x


def rows(x: Any, places: np.ndarray) -> Any:
    """Some rows of a tensor."""
    return index(as_handle(x), places, pattern=(0,))
