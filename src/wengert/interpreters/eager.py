"""Eager evaluation: a primitive is computed by NumPy at once, and recorded where one asks for it.

This is the ground that every stack of transforms rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import blocks, halves
from ..core.aval import LARGE, Aval, aval_of
from ..core.formats import contiguous, dense
from ..core.handle import Alias, Handle, Storage, as_handle, plain_aval, wrap
from ..core.levels import DeeperError, bare, bind, ground, here, quietly, shared
from ..core.primitive import Primitive, Rule
from .tape import record, record_one
from .views import make_view, refresh


def interpret(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Computes an application of a primitive to plain tensors, and records it if it must."""
    if len(operands) == 1 and not (shared.special or primitive.multiple):
        x = operands[0]
        alias = x.alias
        if ((alias is None or alias.base is None or alias.seen == alias.storage.version)
                and x.aval.level is None and (x.node is None or primitive.vjp is not None)):
            return _simple(primitive, x, params)
    try:
        values, avals, edges = unpack(operands)
    except DeeperError:
        return bind(primitive, operands, params)
    recorded = any(edges) and (not shared.special or here.grad)
    if recorded and primitive.vjp is None:
        if primitive.decompose is not None:
            return primitive.decompose(*operands, **params)
        primitive = underivable(primitive)
    result = primitive.abstract(*avals, **params)
    if primitive.multiple:
        return _several(primitive, operands, values, avals, edges, params, result, recorded)
    out = wrap(evaluate(primitive, values, result, params), result)
    if primitive.view:
        make_view(primitive, operands[0], out, params)
    elif shared.special and here.inference:
        out.alias = Alias(Storage(inference=True))
    if recorded and result.dtype.differentiable:
        record(primitive, out, operands, avals, edges, params)
    if shared.special:
        _watched(primitive, operands, values, params, out)
    return out


def _watched(primitive: Primitive, operands: Sequence[Any], values: Sequence[Any],
             params: dict[str, Any], out: Any) -> None:
    """Tells who watches this thread of an application that has run."""
    if (watch := here.anomaly):
        watch.look(primitive, values, params, out)
    if (recorder := here.recorder) is not None:
        recorder.note(primitive, operands, params, out)


def unpack(operands: Sequence[Any]) -> tuple[list[Any], list[Aval], list[Any]]:
    """The operands' values, avals and nodes.

    Raises:
        DeeperError: if one lives at a transform's level.
    """
    values: list[Any] = []
    avals: list[Aval] = []
    edges: list[Any] = []
    for operand in operands:
        if isinstance(operand, Handle):
            if operand.alias is not None and operand.alias.base is not None:
                refresh(operand)
            aval = operand.aval
            if aval.level is not None:
                raise DeeperError
            values.append(operand.value)
            avals.append(aval)
            edges.append(operand.node)
        else:
            value = operand if type(operand) is np.ndarray else constant(operand, operands)
            values.append(value)
            avals.append(aval_of(value))
            edges.append(None)
    return values, avals, edges


def _simple(primitive: Primitive, x: Any, params: dict[str, Any]) -> Any:
    """`interpret` for the commonest case: one operand, whose history is up to date."""
    aval = x.aval
    result = primitive.abstract(aval, **params)
    if aval.simple and result.simple:
        value = quietly(primitive.evaluate, x.value, **params)
        if type(value) is not np.ndarray or value.dtype is not result.numpy:
            value = fitting(value, result)
        if result.ndim > 1 and primitive.order is not None and not x.value.flags.c_contiguous:
            value = primitive.order(value, (x.value,))
    else:
        value = evaluate(primitive, (x.value,), result, params)
    out = wrap(value, result)
    if primitive.view:
        make_view(primitive, x, out, params)
    if x.node is not None and result.dtype.differentiable:
        record_one(primitive, out, x, params)
    return out


def apply(primitive: Primitive, values: Sequence[Any], params: dict[str, Any]) -> Any:
    """A primitive applied to what lies below a level: arrays give an array.

    Tensors give one too, if nothing hangs on the result: no history, no other tensor's memory.
    """
    if shared.special and here.recorder is not None:
        return primitive(*map(recorded, values), **params)
    arrays, avals = [], []
    for value in values:
        if isinstance(value, Handle):
            if primitive.view or not bare(value):
                found = primitive(*values, **params)
                return tuple(map(settled, found)) if primitive.multiple else settled(found)
            arrays.append(value.value)
            avals.append(value.aval)
            continue
        array = value if type(value) is np.ndarray else constant(value, values)
        arrays.append(array)
        avals.append(aval_of(array))
    result = primitive.abstract(*avals, **params)
    if not primitive.multiple:
        out: Any = evaluate(primitive, arrays, result, params)
    else:
        out = _each(primitive, arrays, result, params)
    if shared.special and (watch := here.anomaly):
        watch.look(primitive, arrays, params, out)
    return out


def recorded(value: Any) -> Any:
    """A value as a tensor that the recorder knows: what computes on what it was given are tensors,
    so that an array it has not met was made of nothing."""
    x = as_handle(value)
    if x is not value and not here.recorder.knows(x):
        here.recorder.made(x)
    return x


def settled(x: Any) -> Any:
    """A tensor's array, if there is no more to the tensor."""
    if (isinstance(x, Handle) and x.aval.level is None and x.node is None and x.alias is None
            and here.recorder is None):
        return x.value
    return x


def evaluate(primitive: Primitive, values: Sequence[Any], result: Aval,
             params: dict[str, Any]) -> np.ndarray:
    """The primitive's value, as an array even where NumPy would give a scalar."""
    ordered = result.ndim > 1 and primitive.order is not None and not contiguous(values)
    if result.numel >= LARGE or (not primitive.elementwise and values
                                 and values[0].size >= LARGE):
        if ordered and primitive.order is dense:  # one copy, before: faster than one after
            values = [dense(x, ()) if x.size == result.numel else x for x in values]
        found = blocks.evaluate(primitive, values, result, params)
        if found is not None:
            return _laid(primitive, found, values) if ordered else found
    if halves.Met.yet:
        values = halves.operands(primitive, values)
    call = here.run if primitive.evaluate is primitive.ufunc else quietly
    found = fitting(call(primitive.evaluate, *values, **params), result)
    return _laid(primitive, found, values) if ordered else found


def _laid(primitive: Primitive, found: np.ndarray, values: Sequence[np.ndarray]) -> np.ndarray:
    """A result of operands that are not contiguous, in the primitive's order."""
    return found if primitive.order is None else primitive.order(found, values)


def fitting(value: Any, result: Aval) -> np.ndarray:
    """What NumPy computed, as an array of the dtype that it should have."""
    if type(value) is np.ndarray and value.dtype is result.numpy:
        return value
    return here.run(np.asarray, value, result.numpy)


def constant(operand: Any, operands: Sequence[Any]) -> np.ndarray:
    """An operand that is no tensor, as an array: a number takes the dtype of the tensors."""
    if isinstance(operand, (np.ndarray, np.generic)):
        return np.asarray(operand)
    kinds = [plain_aval(o).dtype for o in operands
             if isinstance(o, (Handle, np.ndarray, np.generic))]
    return np.asarray(operand, max(kinds, key=lambda d: d.category).numpy)


def underivable(primitive: Primitive) -> Primitive:
    """What is recorded for an operation without a derivative: it says so when it is asked for one.

    Where the result can't have a derivative by its nature (a bool, an index), nothing is recorded.
    """
    twin = _UNDERIVABLE.get(primitive)
    if twin is None:
        def rule(g: Any) -> Any:
            raise RuntimeError(f"derivative for aten::{primitive.name} is not implemented")

        twin = _UNDERIVABLE[primitive] = primitive.named("NotImplemented", vjp=Rule(rule))
    return twin


_UNDERIVABLE: dict[Primitive, Primitive] = {}


def _each(primitive: Primitive, values: Sequence[Any], results: Sequence[Aval],
          params: dict[str, Any]) -> tuple[np.ndarray, ...]:
    """The values of a primitive that has several."""
    found = quietly(halves.evaluate, primitive, values, params)
    arrays = [here.run(np.asarray, value, result.numpy)
              for value, result in zip(found, results, strict=True)]
    if primitive.order is None or contiguous(values):
        return tuple(arrays)
    return tuple([_laid(primitive, array, values) for array in arrays])


def _several(primitive: Primitive, operands: Sequence[Any], values: list[Any],
             avals: list[Aval], edges: list[Any], params: dict[str, Any],
             results: tuple[Aval, ...], recorded: bool) -> tuple[Any, ...]:
    outs = tuple(map(wrap, _each(primitive, values, results, params), results))
    if primitive.view:
        for i, out in enumerate(outs):
            make_view(primitive, operands[0], out, params, index=i, origin="multiple")
    elif shared.special and here.inference:
        for out in outs:
            out.alias = Alias(Storage(inference=True))
    if recorded:
        record(primitive, outs, operands, avals, edges, params)
    if shared.special:
        _watched(primitive, operands, values, params, outs)
    return outs


ground.interpret, ground.apply = interpret, apply
