"""Batching: one application of a primitive serves a whole batch of examples.

A tensor of a batch level looks like one example; what it stands for below has one dimension more,
in front, over the examples. So a rule says how a primitive applies to operands with a leading
dimension. Most follow from the parameters' names alone: `dim` and `dims` move up by one, a `shape`
gets the batch's size in front. Elementwise primitives only need their operands lined up. The few
others carry a rule in their record: `batch(size, batched, *values, **params)`, where `batched`
says which values have the leading dimension.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.aval import aval_of
from ..core.handle import Handle, as_handle, plain_aval, wrap
from ..core.levels import Level
from ..core.primitive import Primitive
from ..core.provenance import user_line
from ..primitives.elementwise import copy
from ..primitives.layout import WHOLE, clone, expand, reshape
from .eager import constant
from .inplace import check_fits, write, written
from .lifted import detached, note_views, quietly_on_arrays, rebind, take
from .views import base_of, follow, path, refresh

_Shift = Callable[[Any, int], Any]
SHIFTS: dict[str, _Shift | None] = {
    "dim": lambda dim, size: dim + 1,
    "dim1": lambda dim, size: dim + 1,
    "dim2": lambda dim, size: dim + 1,
    "dims": lambda dims, size: tuple(d + 1 for d in dims),
    "shape": lambda shape, size: (size, *shape),
    "index": lambda index, size: (WHOLE, *index),
    **dict.fromkeys(("keepdim", "correction", "p", "diagonal", "offset", "dtype", "sizes",
                     "descending", "stable", "shifts", "power", "forward", "points", "backward",
                     "k", "largest", "ignore_nan", "bins", "low", "high")),
}
"""How each parameter changes when a leading dimension is added; None: not at all."""


class Batch(Level):
    """Applies primitives to all examples of a batch at once.

    Attributes:
        size: the number of examples.
        randomness: what random functions do: "error", "same" numbers for all examples, or
            "different" ones.
    """

    __slots__ = ("randomness", "size")
    word, prints_as = "vmap", "BatchedTensor"
    writes_below = True

    def __init__(self, size: int, randomness: str = "error") -> None:
        super().__init__()
        self.size, self.randomness = size, randomness

    def interpret(self, primitive: Primitive, operands: Sequence[Any],
                  params: dict[str, Any]) -> Any:
        self._check_alive(primitive)
        values, batched, avals = self._unpack(operands)
        result = primitive.abstract(*avals, **params)  # refuses what does not fit, per example
        if primitive.batch is None and not primitive.elementwise and any(
                name not in SHIFTS for name in params):
            if primitive.decompose is None:
                raise NotImplementedError(f"vmap: {primitive.name} has no batching rule")
            return primitive.decompose(*operands, **params)
        found = self._apply(primitive, values, batched, avals, params)
        if not primitive.multiple:
            out = wrap(found, result.at(self))
        else:
            out = tuple(wrap(f, r.at(self)) for f, r in zip(found, result, strict=True))
        if primitive.view:
            note_views(primitive, operands[0], out, params)
        return out

    def _unpack(self, operands: Sequence[Any]) -> tuple[list[Any], list[bool], list[Any]]:
        """What the operands stand for, which have examples, and the avals of one example."""
        values: list[Any] = []
        batched: list[bool] = []
        avals: list[Any] = []
        for operand in operands:
            mine = False
            if not isinstance(operand, Handle):
                operand = operand if type(operand) is np.ndarray else constant(operand, operands)
                avals.append(aval_of(operand))
            else:
                avals.append(operand.aval.plain)
                mine = operand.aval.level is self
            values.append(operand.value if mine else operand)
            batched.append(mine)
        return values, batched, avals

    def _apply(self, primitive: Primitive, values: Sequence[Any], batched: Sequence[bool],
               avals: Sequence[Any], params: dict[str, Any]) -> Any:
        if primitive.batch is not None:
            return quietly_on_arrays(primitive.batch, self.size, batched, *values, **params)
        if primitive.elementwise:
            ndim = max(aval.ndim for aval in avals)
            return self.below(primitive, [lined_up(v, b, ndim) for v, b in zip(
                values, batched, strict=True)], params)
        shifted = {name: value if (shift := SHIFTS[name]) is None else shift(value, self.size)
                   for name, value in params.items()}
        values = [leading(v, b, self.size) for v, b in zip(values, batched, strict=True)]
        if "dim" in params and len(values) == 1 and not avals[0].ndim:
            found = self.below(primitive, [reshape(values[0], shape=(self.size, 1))], shifted)
            return reshape(found, shape=(self.size,))  # its one element was its dimension, too
        return self.below(primitive, values, shifted)

    def apply_custom(self, custom: Any, args: Sequence[Any]) -> Any:
        return custom.batch(self, args) if self.alive else custom.plain(args)

    def detach(self, x: Any) -> Any:
        self._make_room(x)
        return wrap(detached(x.value), x.aval)

    def concrete(self, x: Any, asked: str) -> np.ndarray:
        raise RuntimeError(f"vmap: {asked} It stands for {self.size} examples of shape "
                           f"{list(x.aval.shape)}, and they may differ. {_at()}")

    def write(self, primitive: Primitive, x: Any, others: Sequence[Any],
              params: dict[str, Any]) -> Any:
        """Writes below, where views share memory; what is not batched yet is first made so."""
        self._check_alive(primitive)
        self._make_room(x)
        if not (primitive.elementwise or primitive.evaluate is copy.evaluate):
            primitive, others, params = copy, (primitive(x, *others, **params),), {}
        check_fits(x.aval, primitive.abstract(x.aval.plain, *map(plain_aval, others), **params))
        operands = [lined_up(self.value(o), self.holds(o), x.aval.ndim) for o in others]
        write(primitive, as_handle(x.value), *operands, **params)
        written(x)
        x.alias.seen = x.alias.storage.version
        return x

    def holds(self, x: Any) -> bool:
        """Whether a value is a tensor of this level."""
        return isinstance(x, Handle) and x.aval.level is self

    def value(self, x: Any) -> Any:
        return x.value if self.holds(x) else x

    def _make_room(self, x: Any) -> None:
        """Gives a tensor, and what it is a view of, memory to be written: a tensor below.

        What comes from outside gets an example per place. A bare array is copied: a node below may
        have saved it, and would not notice.
        """
        base = base_of(x)
        if not self.holds(base):
            value = clone(leading(base, False, self.size))
            take(self, base)
            rebind(base, wrap(value, base.aval.plain.at(self)))
            refresh(x)
        elif not isinstance(base.value, Handle):
            base.value = clone(wrap(base.value))
            if x is not base:
                x.value = follow(path(x.alias), base).value

    def give_back(self, failed: bool) -> None:
        """Tensors from outside can't keep what differs between examples: they are as before.

        Raises:
            RuntimeError: if there is one, and no other error.
        """
        left = self._restored()
        if left:
            gc.collect()  # it may be garbage in a cycle
        if not failed and any(reference() is not None for reference in left):
            raise RuntimeError(
                "vmap: a Tensor from outside the function was written in place with values that "
                "differ between examples; it holds its old values again. Write to a Tensor that "
                "is made inside, or pass it to the function with an in_dim.")

    def _restored(self) -> list[Any]:
        """Those taken that are still there, made what they were."""
        taken, self.taken = self.taken, []
        found = []
        for reference, before in taken:
            x = reference()
            if x is not None and x.aval.level is self:
                rebind(x, before)
                found.append(reference)
        return found

    def _check_alive(self, primitive: Primitive) -> None:
        if not self.alive:
            raise RuntimeError(
                f"vmap: {primitive.name} was given a Tensor that a function left behind from "
                f"inside vmap, which has ended. Return it from the function instead. {_at()}")


def batch_of(value: Any, level: Batch) -> Any:
    """A tensor of a batch level from what it stands for, examples in front."""
    aval = plain_aval(value)
    return wrap(value, aval.with_shape(aval.shape[1:]).at(level))


def stacked(x: Any, level: Batch) -> Any:
    """A tensor with the examples of a batch level in front; repeated, if it is the same for all."""
    if isinstance(x, Handle):
        if x.alias is not None:
            refresh(x)
        if x.aval.level is level:
            return as_handle(x.value)
    return expand(as_handle(x), shape=(level.size, *x.shape))


def lined_up(value: Any, batched: bool, ndim: int) -> Any:
    """A value whose examples broadcast as if they had `ndim` dimensions."""
    shape = value.shape
    missing = ndim + 1 - len(shape)
    if not batched or missing <= 0:
        return value
    return reshape(value, shape=(shape[0],) + (1,) * missing + tuple(shape[1:]))


def leading(value: Any, batched: bool, size: int) -> Any:
    """A value with the leading dimension, repeated over it if need be."""
    return value if batched else expand(value, shape=(size, *value.shape))


def _at() -> str:
    return f"The call is at {user_line()}."
