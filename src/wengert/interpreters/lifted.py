"""Levels whose tensors stand for one array each, with something carried alongside.

What is carried (a tape node, a tangent, Taylor coefficients, sets of indices) is the interpreter's
own affair; what they have in common is here: the value lies one level below, operations compute
there, and since that value is shared freely, a write rebinds the handle instead of the memory.
Views are kept up to date by their history, as for plain tensors: a write through a view gives the
base a new value too, and other views take theirs from it when they are next used.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.aval import aval_of
from ..core.handle import Alias, Handle, as_handle, storage_of, wrap
from ..core.levels import Level, concrete, here, modes, quietly
from ..core.primitive import Primitive
from ..primitives.elementwise import copy
from ..primitives.layout import cast
from .custom import bind
from .custom_lifted import lowered
from .eager import constant
from .inplace import check_fits, check_leaf, write, written
from .views import Step, base_of, path, refresh, shares, write_view


class Lifted(Level):
    """Computes below, and has `carry` see to the rest."""

    __slots__ = ()

    def interpret(self, primitive: Primitive, operands: Sequence[Any],
                  params: dict[str, Any]) -> Any:
        if primitive.decompose is not None and self.lacks(primitive):
            return primitive.decompose(*operands, **params)
        values = []
        for o in operands:
            if isinstance(o, Handle):
                values.append(o.value if o.aval.level is self else o)
            else:
                values.append(o if type(o) is np.ndarray else constant(o, operands))
        result = self.below(primitive, values, params)
        if not self.alive:
            return result if primitive.multiple or isinstance(result, Handle) else wrap(result)
        out = tuple(map(self.wrap, result)) if primitive.multiple else self.wrap(result)
        if primitive.view:
            note_views(primitive, operands[0], out, params)
        self.carry(primitive, operands, values, result, out, params)
        return out

    def lacks(self, primitive: Primitive) -> bool:
        """Whether a primitive has no rule for this level, so that its decomposition answers."""
        return False

    def apply_custom(self, custom: Any, args: Sequence[Any]) -> Any:
        if not self.alive:  # its tensors stand for what they held
            return bind(custom, lowered(self, args))
        return self.follow(custom, args)

    def follow(self, custom: Any, args: Sequence[Any]) -> Any:
        """The outputs of a function by those of its rules that this level knows."""
        return custom.plain(args)

    def carry(self, primitive: Primitive, operands: Sequence[Any], values: Sequence[Any],
              result: Any, out: Any, params: dict[str, Any]) -> None:
        """Gives a result what it carries.

        Args:
            primitive: what was applied.
            operands: tensors of this level, or anything from below.
            values: what the operands stand for below.
            result: what the primitive gave below.
            out: the tensor (or tensors) of this level that stands for it.
            params: the primitive's parameters.
        """
        raise NotImplementedError

    def value(self, x: Any) -> Any:
        """What a tensor stands for below: an array, or a tensor of a level below."""
        return x.value if x.aval.level is self else x

    def wrap(self, value: Any) -> Any:
        """A tensor of this level that stands for a value and carries nothing."""
        plain = value.aval if isinstance(value, Handle) else aval_of(value)
        return wrap(value, plain.at(self))

    def own(self, x: Any) -> Any:
        """A tensor as one of this level, up to date; what is no tensor, as it is."""
        if not isinstance(x, Handle):
            return x
        if x.alias is not None:
            refresh(x)
        return _as_it_is(x) if x.aval.level is self else self.wrap(x)

    def detach(self, x: Any) -> Any:
        value = self.value(self.own(x))
        if isinstance(value, Handle):
            return detached(value)
        fixed = value.view()  # nodes that saved the array would not notice that it is written
        fixed.flags.writeable = False
        return wrap(fixed)

    def concrete(self, x: Any, asked: str) -> np.ndarray:
        return concrete(x.value, asked)

    def write(self, primitive: Primitive, x: Any, others: Sequence[Any],
              params: dict[str, Any]) -> Any:
        if here.recorder is not None:
            here.recorder.meet(x, to_write=True)
        if here.grad:
            check_leaf(x)
        if primitive is copy and not params:
            others = tuple(cast(o, dtype=x.aval.dtype) for o in others)
        before = x if x.aval.level is self else _as_it_is(x)
        new = primitive(before, *(before if o is x else o for o in others), **params)
        check_fits(x.aval, new.aval)
        if new.aval.dtype is not x.aval.dtype:
            new = cast(new, dtype=x.aval.dtype)
        self.hold(x, new)
        return x

    def hold(self, x: Any, new: Any) -> None:
        """Has x, and what it is a view of, hold what was written: a tensor of this level."""
        self._rebind(x, new)
        base = base_of(x)
        if base is not x:
            self._rebind(base, write_view(base, x, chain=path(x.alias)))
            x.alias.seen = x.alias.storage.version

    def give_back(self, failed: bool) -> None:
        """Tensors from outside keep the values that were written, without what is carried here."""
        taken, self.taken = self.taken, []
        for reference, before in taken:
            x = reference()
            if x is None or x.aval.level is not self:
                continue
            value = as_handle(x.value)
            x.value, x.aval, x.node, x.extra = before.value, before.aval, before.node, before.extra
            if x.alias is not None and x.alias.base is not None:
                x.alias.seen = -1  # it is a view of one that is given back as well
                continue
            with modes(grad=here.grad and not (x.node is not None and x.node.leaf)):
                write(copy, x, value)

    def _rebind(self, x: Any, new: Any) -> None:
        if x.aval.level is not self:
            take(self, x)
        if not here.grad and x.aval.level is self:
            new.node = x.node  # as for plain tensors: what is not recorded leaves history alone
        rebind(x, new)


def detached(x: Any) -> Any:
    """A tensor of the same numbers, without history at any level; of plain ones, in the same
    memory."""
    if x.aval.level is not None:
        return x.aval.level.detach(x)
    if here.recorder is not None:
        here.recorder.meet(x)
    out = wrap(x.value, x.aval)
    out.alias = Alias(storage_of(x))
    return out


def take(level: Level, x: Any) -> None:
    """Notes a tensor from below that is about to become one of a level."""
    level.taken.append((weakref.ref(x), _as_it_is(x)))


def _as_it_is(x: Any) -> Any:
    """Another handle on what a tensor from below holds: x will be rebound."""
    out = wrap(x.value, x.aval, x.node)
    out.extra = x.extra
    return out


def note_views(primitive: Primitive, x: Any, out: Any, params: dict[str, Any]) -> None:
    """Notes which results of a view primitive lie in its operand's memory."""
    if not isinstance(x, Handle):
        return
    outs = out if primitive.multiple else (out,)
    for i, each in enumerate(outs):
        if _share(each.value, x.value):
            step = Step(primitive, params, i if primitive.multiple else None)
            storage = storage_of(x)
            assert x.alias is not None
            each.alias = Alias(storage, base_of(x), (*x.alias.chain, step))


def quietly_on_arrays(rule: Any, *args: Any, **params: Any) -> Any:
    """Calls a rule; where it meets arrays alone, NumPy's floating-point warnings are off.

    Tensors see to that themselves.
    """
    if any(isinstance(arg, Handle) for arg in args):
        return rule(*args, **params)
    return quietly(rule, *args, **params)


def rebind(x: Any, new: Any) -> None:
    """Has a handle hold what another holds; who saved or views the old value will notice."""
    x.value, x.aval, x.node, x.extra = new.value, new.aval, new.node, new.extra
    written(x)
    x.alias.seen = x.alias.storage.version


def _share(value: Any, operand: Any) -> bool:
    """Whether what two tensors stand for lies in the same memory."""
    if isinstance(value, Handle) and isinstance(operand, Handle):
        return (value.alias is not None and operand.alias is not None
                and value.alias.storage is operand.alias.storage)
    if isinstance(value, Handle) or isinstance(operand, Handle):
        return False
    return shares(value, operand)
