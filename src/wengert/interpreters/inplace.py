"""In-place operations: the array is written, and the tensor's history becomes the operation's.

Everything that can be refused is refused before anything is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import blocks, dtypes
from ..core.aval import Aval, aval_of
from ..core.handle import GradSlot, Handle, storage_of, wrap
from ..core.levels import here
from ..core.primitive import Primitive
from .eager import constant, needs_no_rule
from .tape import AccumulateGrad, Node, record
from .views import rebase, refresh


def write(primitive: Primitive, x: Any, *others: Any, **params: Any) -> Any:
    """Stores primitive(x, *others) into x, in place, and returns x.

    Raises:
        RuntimeError: if x is a leaf that requires grad (or a view of one) and recording is on,
            if the result's shape is not x's or its dtype can't be stored in x's, or if several
            elements of x share one place in memory.
    """
    if x.alias is not None:
        refresh(x)
    operands = (x, *others)
    values, avals, edges = _unpack(operands)
    result = primitive.abstract(*avals, **params)
    check_fits(x.aval, result)
    recorded = here.grad and edges.count(None) < len(edges)
    if here.grad:
        check_history(x, recorded)
    check_memory(x)
    if recorded and primitive.vjp is None:
        recorded = needs_no_rule(primitive, avals, params)
    if recorded:
        operands = (_before(primitive, x, edges), *others)
    _store(primitive, x.value, values, result, params)
    written(x)
    if recorded:
        _set_history(primitive, x, operands, avals, edges, params)
    return x


def written(x: Handle) -> None:
    """Counts a write to x's memory, so that whoever saved the old value will notice."""
    storage_of(x).version += 1


def _unpack(operands: Sequence[Any]) -> tuple[list[Any], list[Aval], list[Any]]:
    values, avals, edges = [], [], []
    for operand in operands:
        if isinstance(operand, Handle):
            if operand.alias is not None:
                refresh(operand)
            value, edge = operand.value, operand.node
            avals.append(operand.aval)
        else:
            value, edge = constant(operand, operands), None
            avals.append(aval_of(value))
        values.append(value)
        edges.append(edge)
    return values, avals, edges


def check_fits(x: Aval, result: Aval) -> None:
    """Refuses a result that x has no room for."""
    if result.shape != x.shape:
        raise RuntimeError(f"output with shape {list(x.shape)} doesn't match the broadcast shape "
                           f"{list(result.shape)}")
    if not dtypes.can_cast(result.dtype, x.dtype):
        raise RuntimeError(f"result type {result.dtype.words} can't be cast to the desired output "
                           f"type {x.dtype.words}")


def check_history(x: Any, recorded: bool) -> None:
    """Refuses to overwrite what a leaf's gradient is taken with respect to."""
    base = x if x.alias is None or x.alias.base is None else x.alias.base
    if isinstance(x.node, AccumulateGrad) and x is base:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place "
                           "operation.")
    if base is x or not (recorded or base.node is not None):
        return
    if isinstance(base.node, AccumulateGrad):
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an "
                           "in-place operation.")
    if x.alias.origin:
        raise RuntimeError(_ORIGINS[x.alias.origin].format(
            node=x.node.node.name() if hasattr(x.node, "node") else "a multi-view function"))


_ORIGINS = {
    "multiple": (
        "Output 0 of {node} is a view and is being modified inplace. This view is the output of a "
        "function that returns multiple views. Such functions do not allow the output views to be "
        "modified inplace. You should replace the inplace operation by an out-of-place one."),
    "no_grad": (
        "A view was created in no_grad mode and is being modified inplace with grad mode enabled. "
        "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify "
        "your code by moving both the view and the inplace either both inside the no_grad block "
        "(if you don't want the inplace to be tracked) or both outside (if you want the inplace "
        "to be tracked)."),
    "inference": (
        "A view was created in inference mode and is being modified inplace with grad mode "
        "enabled. Given that this use case is ambiguous and error-prone, it is forbidden."),
}


def check_memory(x: Any) -> None:
    """Refuses to write where several elements share one place, as in an expanded tensor, and
    to inference tensors outside inference mode."""
    if x.alias is not None and x.alias.storage.inference and not here.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make "
            "a clone to get a normal tensor before doing inplace update.")
    value = x.value
    if not value.flags.writeable or 0 in value.strides and any(
            n > 1 and s == 0 for n, s in zip(value.shape, value.strides, strict=True)):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation.")


def _before(primitive: Primitive, x: Any, edges: Sequence[Any]) -> Any:
    """x as the node is to remember it: a copy, if a rule reads the value about to be lost."""
    for i, edge in enumerate(edges):
        rule = None if edge is None else primitive.rule(i)
        if rule is not None and 0 in rule.saved_places(len(edges)):
            return wrap(np.array(x.value), x.aval, x.node)
    return wrap(x.value, x.aval, x.node)


def _store(primitive: Primitive, target: np.ndarray, values: list[Any], result: Aval,
           params: dict[str, Any]) -> None:
    if primitive.store is not None:
        here.run(primitive.store, *values, **params)
    elif primitive.ufunc is None or params or result.numpy != target.dtype:
        value = here.run(primitive.evaluate, *values, **params)
        here.run(np.copyto, target, value, "unsafe")
    elif result.numel >= blocks.LARGE and not _overlaps(target, values):
        blocks.apply(primitive.ufunc, values, result, target)
    else:
        here.run(primitive.ufunc, *values, target)


def _overlaps(target: np.ndarray, values: list[Any]) -> bool:
    """Whether an operand lies across the target's memory: only one ufunc call is safe then."""
    return any(v is not target and np.may_share_memory(v, target) for v in values)


def _set_history(primitive: Primitive, x: Any, operands: Sequence[Any], avals: Sequence[Aval],
                 edges: Sequence[Any], params: dict[str, Any]) -> None:
    old = x.node
    record(primitive, x, operands, avals, tuple(edges), params)
    move_retain(x, old)
    if x.alias.base is not None:
        before = x.alias.base.node
        rebase(x)
        move_retain(x.alias.base, before)


def move_retain(x: Any, old: Node | None) -> None:
    """A gradient that is retained is that of the tensor as it is now, not as it was."""
    if type(x.extra) is GradSlot and old is not None and old.extra is not None:
        if old.extra.retain is x.extra:
            old.extra.retain, x.node.more().retain = None, x.extra


