"""In-place operations: the array is written, and the tensor's history becomes the operation's.

Everything that can be refused is refused before anything is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import blocks, dtypes, halves
from ..core.aval import LARGE, Aval, aval_of
from ..core.handle import (
    GradSlot,
    Handle,
    current,
    storage_of,
    without_history,
    wrap,
)
from ..core.levels import DeeperError, deepest, here, numbers, quietly, shared
from ..core.primitive import Primitive
from .eager import underivable, unpack
from .tape import AccumulateGrad, Node, record
from .views import FUNCTIONS, Step, base_of, output_words, rebase, refresh


def write(primitive: Primitive, x: Any, *others: Any, **params: Any) -> Any:
    """Stores primitive(x, *others) into x, in place, and returns x.

    Raises:
        RuntimeError: if x is a leaf that requires grad (or a view of one) and recording is on,
            if the result's shape is not x's or its dtype can't be stored in x's, or if several
            elements of x share one place in memory.
    """
    if unbound(x) and (loose := _loose(primitive, x, others)) is not None:
        values, avals = loose
        result = primitive.abstract(*avals, **params)
        if result is not x.aval:
            check_fits(x.aval, result)
        _store(primitive, x.value, values, result, params)
        written(x)
        return x
    if here.recorder is not None:
        here.recorder.meet(x, to_write=True)
    if type(x.extra) is Lent:
        own(x)
    if x.alias is not None:
        refresh(x)
    operands = (x, *others)
    try:
        values, avals, edges = unpack(operands)
    except DeeperError:
        level = deepest(operands)
        assert level is not None
        return level.write(primitive, x, others, params)
    recorded = any(edges) and here.grad and x.aval.dtype.differentiable
    if here.grad and not (x.node is None and x.alias is None):
        check_history(x, recorded)
    if not primitive.uniform:
        check_memory(x)
    for other in others:
        check_overlap(primitive, x, other)
    result = primitive.abstract(*avals, **params)
    if result is not x.aval:
        check_fits(x.aval, result)
    if x.alias is not None:
        check_inference(x)
    if recorded and primitive.vjp is None:
        primitive = underivable(primitive)
    if recorded:
        operands = (_before(primitive, x, edges), *others)
    watch = here.anomaly if shared.special else None
    before = [np.array(values[0]), *values[1:]] if watch else values
    _store(primitive, x.value, values, result, params)
    written(x)
    if recorded:
        _set_history(primitive, x, operands, avals, edges, params)
    if watch:
        watch.look(primitive, before, params, x)
    if shared.special and here.recorder is not None:
        here.recorder.wrote(primitive, x, others, params)
    return x


def unbound(x: Any) -> bool:
    """Whether a write to x is a matter of its memory alone: that is dense, there is no history to
    go on, and nobody watches. So it mostly is: between training steps, in loops over integers."""
    alias = x.alias
    return (x.aval.level is None and (x.node is None or not here.grad)
            and not (shared.special and here.watched)
            and x.value.flags.carray and type(x.extra) is not Lent
            and (alias is None or (not alias.storage.inference and (
                alias.base is None or without_history(alias.base)))))


def apart(x: Any, y: Any) -> bool:
    """Whether y adds nothing to the history of x, and is x itself or lies elsewhere in memory."""
    if y.aval.level is not None or (y.node is not None and here.grad):
        return False
    alias = y.alias
    return alias is None or y is x or (
        current(y) and (x.alias is None or x.alias.storage is not alias.storage))


def put(x: Any, value: np.ndarray) -> bool:
    """Writes an array into x, if that is a matter of its memory alone, and says whether it was."""
    if not unbound(x):
        return False
    put_array(x.value, value)
    written(x)
    return True


def put_array(target: np.ndarray, value: Any) -> None:
    """Writes an array (or NumPy scalar) into another, converted without a warning."""
    if value.dtype is target.dtype:
        target[...] = value
    else:
        here.run(np.copyto, target, value, "unsafe")


def _loose(primitive: Primitive, x: Any,
           others: Sequence[Any]) -> tuple[list[Any], list[Aval]] | None:
    """The arrays and avals of x and of others, if these are arrays or `apart`; else None."""
    values, avals = [x.value], [x.aval]
    for other in others:
        if type(other) is np.ndarray:
            values.append(other)
            avals.append(aval_of(other))
        elif isinstance(other, Handle) and apart(x, other) and (
                other is not x or primitive.aligned):
            values.append(other.value)
            avals.append(other.aval)
        else:
            return None
    return values, avals


def relaid(x: Any, step: Step, back: Step) -> Any:
    """Has a tensor look at its memory otherwise from now on: as the view that a step gives of it.

    Args:
        x: the tensor, which is returned.
        step: leads from what it was to what it is.
        back: leads back, for those that are views of what it was.

    Raises:
        RuntimeError: if x is a leaf that requires grad (or a view of one) and recording is on.
    """
    if here.recorder is not None:
        here.recorder.fail("it changes a tensor's shape in place")
    if here.grad and not (x.node is None and x.alias is None):
        check_history(x, x.node is not None)
    new = step(x)
    storage_of(x)
    if x.alias.base is not None and new.alias is not None:
        x.alias = new.alias
    else:
        x.alias.chain, x.alias.back = (*x.alias.chain, step), (back, *x.alias.back)
    x.value, x.aval = new.value, new.aval
    if x.aval.level is not None:
        x.node, x.extra = new.node, new.extra
    elif isinstance(x.node, AccumulateGrad):
        x.node.follow(x)
    elif here.grad:
        old, x.node = x.node, new.node
        move_retain(x, old)
    written(x)
    x.alias.seen = x.alias.storage.version
    return x


class Lent(GradSlot):
    """The `extra` of a tensor whose memory is not its own: it gets a copy before it is written."""

    __slots__ = ()


def own(x: Any) -> None:
    """Gives a tensor memory of its own."""
    grad = x.extra.grad
    x.value, x.alias, x.extra = np.array(x.value), None, None if grad is None else GradSlot(grad)


def written(x: Handle) -> None:
    """Counts a write to x's memory, so that whoever saved the old value will notice."""
    storage = storage_of(x) if x.alias is None else x.alias.storage
    storage.version += 1
    if shared.special and here.anomaly:
        here.anomaly.mark_write(storage)


def check_fits(x: Aval, result: Aval) -> None:
    """Refuses a result that x has no room for."""
    if result.shape != x.shape:
        raise RuntimeError(f"output with shape {list(x.shape)} doesn't match the broadcast shape "
                           f"{list(result.shape)}")
    check_kind(x, result)


def check_kind(x: Aval, result: Aval) -> None:
    """Refuses a result whose kind of number x does not hold."""
    dtypes.check_cast(result.dtype, x.dtype)


def check_leaf(x: Any) -> None:
    """Refuses to overwrite a leaf that requires grad, or a part of one."""
    base = base_of(x)
    if isinstance(base.node, AccumulateGrad) or isinstance(x.node, AccumulateGrad):
        raise RuntimeError(f"a {'' if x is base else 'view of a '}leaf Variable that requires grad "
                           "is being used in an in-place operation.")


def check_history(x: Any, recorded: bool) -> None:
    """Refuses to overwrite what a leaf's gradient is taken with respect to."""
    base = base_of(x)
    if base is not x and x.alias.origin and (recorded or base.node is not None):
        why = FUNCTIONS.get(x.alias.origin)
        raise RuntimeError(_ORIGINS[x.alias.origin] if why is None else
                           f"{output_words(x)} is being modified inplace. {why}")
    check_leaf(x)


_ORIGINS = {
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
    """Refuses to write where several elements share one place, as in an expanded tensor."""
    if not x.value.flags.writeable and 0 not in x.value.strides:
        raise RuntimeError(
            "unsupported operation: the written-to tensor lies in memory that is read-only. "
            "Please clone() the tensor before performing the operation.")
    if overlaps_itself(x.value):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation.")


def overlaps_itself(value: np.ndarray) -> bool:
    """Whether several elements share one place, or the array may not be written at all."""
    return not value.flags.writeable or (0 in value.strides and value.size > 1 and any(
        n > 1 and s == 0 for n, s in zip(value.shape, value.strides, strict=True)))


def check_inference(x: Any) -> None:
    """Refuses to write to inference tensors outside inference mode."""
    if x.alias is not None and x.alias.storage.inference and not here.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make "
            "a clone to get a normal tensor before doing inplace update.")


def check_overlap(primitive: Primitive, x: Any, y: Any) -> None:
    """Refuses an operand that lies across the memory to be written, unless it is all the same."""
    aligned = primitive.aligned
    if not isinstance(y, Handle) or (y is x and aligned) or (y is not x and (
            x.alias is None or y.alias is None or y.alias.storage is not x.alias.storage)):
        return
    a, b = numbers(x), numbers(y)
    same = aligned and a.shape == b.shape and _steps(a) == _steps(b) and (
        a.__array_interface__["data"] == b.__array_interface__["data"])
    if x is y or (not same and _dense(a) and _dense(b) and np.may_share_memory(a, b)):
        raise RuntimeError(
            "unsupported operation: some elements of the input tensor and the written-to tensor "
            "refer to a single memory location. Please clone() the tensor before performing the "
            "operation.")


def _steps(a: np.ndarray) -> list[int]:
    """The strides that matter: those of dimensions with more than one element."""
    return [s for n, s in zip(a.shape, a.strides, strict=True) if n > 1]


def _dense(a: np.ndarray) -> bool:
    """Whether an array fills the memory between its first element and its last."""
    order = sorted(range(a.ndim), key=lambda d: a.strides[d])
    return bool(a.transpose(order[::-1]).flags.c_contiguous)


def _before(primitive: Primitive, x: Any, edges: Sequence[Any]) -> Any:
    """x as the node is to remember it: a copy, if a rule reads the value about to be lost."""
    for i, edge in enumerate(edges):
        rule = None if edge is None else primitive.rule(i)
        if rule is not None and 0 in rule.saved_places(len(edges)):
            before = wrap(np.array(x.value), x.aval, x.node)
            if here.recorder is not None:
                here.recorder.kept(before, x)
            return before
    return wrap(x.value, x.aval, x.node)


def _store(primitive: Primitive, target: np.ndarray, values: Sequence[Any], result: Aval,
           params: dict[str, Any]) -> None:
    if primitive.store is not None and not (primitive.elementwise and result.numel >= LARGE):
        quietly(primitive.store, *values, **params)
    elif result.numel >= LARGE and _store_blocks(primitive, target, values, result, params):
        pass
    elif primitive.ufunc is None or params or result.numpy is not target.dtype:
        if halves.Met.yet:
            values = halves.operands(primitive, values)
        put_array(target, quietly(primitive.evaluate, *values, **params))
    else:
        here.run(primitive.ufunc, *values, out=target)


def _store_blocks(primitive: Primitive, target: np.ndarray, values: Sequence[Any],
                  result: Aval, params: dict[str, Any]) -> bool:
    """Stores the result of a large operation element by element, if that can be."""
    return (result.numpy == target.dtype and not _overlaps(target, values)
            and blocks.evaluate(primitive, values, result, params, target) is not None)


def _overlaps(target: np.ndarray, values: Sequence[Any]) -> bool:
    """Whether an operand lies across the target's memory: only one ufunc call is safe then."""
    return any(v is not target and np.may_share_memory(v, target) for v in values)


def _set_history(primitive: Primitive, x: Any, operands: Sequence[Any], avals: Sequence[Aval],
                 edges: Sequence[Any], params: dict[str, Any]) -> None:
    old = x.node
    node = record(primitive, x, operands, avals, tuple(edges), params)
    _as_before(node, x.alias.storage, len(operands))
    move_retain(x, old)
    if x.alias.base is not None:
        before = x.alias.base.node
        rebase(x)
        move_retain(x.alias.base, before)


def _as_before(node: Node, storage: Any, count: int) -> None:
    """Operands in the memory that was written were saved as they were before: backward is to see
    that they have changed."""
    if node.versions is None:
        return
    changed = [1 <= i < count and isinstance(v, Handle) and v.alias is not None
               and v.alias.storage is storage for i, v in enumerate(node.saved)]
    if any(changed):
        node.versions = tuple(v - c for v, c in zip(node.versions, changed, strict=True))


def move_retain(x: Any, old: Node | None) -> None:
    """A gradient that is retained is that of the tensor as it is now, not as it was."""
    if type(x.extra) is GradSlot and old is not None and old.extra is not None:
        if old.extra.retain is x.extra:
            old.extra.retain, x.node.more().retain = None, x.extra
