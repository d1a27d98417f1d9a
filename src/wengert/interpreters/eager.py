"""Eager evaluation: a primitive is computed by NumPy at once, and recorded where one asks for it.

This is the ground that every stack of transforms rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import blocks
from ..core.aval import Aval, aval_of
from ..core.handle import Alias, Handle, Storage, wrap
from ..core.levels import ground, here, shared
from ..core.primitive import Primitive
from .tape import record
from .views import make_view, refresh


def interpret(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Computes an application of a primitive to plain tensors, and records it if it must."""
    values, avals, edges = [], [], []
    for operand in operands:
        if isinstance(operand, Handle):
            if operand.alias is not None:
                refresh(operand)
            values.append(operand.value)
            avals.append(operand.aval)
            edges.append(operand.node)
        else:
            value = constant(operand, operands)
            values.append(value)
            avals.append(aval_of(value))
            edges.append(None)
    recorded = here.grad and edges.count(None) < len(edges)
    if recorded and primitive.vjp is None:
        if primitive.decompose is not None:
            return primitive.decompose(*operands, **params)
        recorded = needs_no_rule(primitive, avals, params)
    result = primitive.abstract(*avals, **params)
    if primitive.multiple:
        return _several(primitive, operands, values, avals, edges, params, result, recorded)
    out = wrap(evaluate(primitive, values, result, params), result)
    if primitive.view:
        make_view(primitive, operands[0], out, params)
    elif shared.special and here.inference:
        out.alias = Alias(Storage(inference=True))
    if recorded and result.dtype.differentiable:
        record(primitive, out, operands, avals, tuple(edges), params)
    return out


def evaluate(primitive: Primitive, values: list[Any], result: Aval,
             params: dict[str, Any]) -> np.ndarray:
    """The primitive's value, as an array even where NumPy would give a scalar."""
    if primitive.ufunc is not None and result.numel >= blocks.LARGE and not params:
        return blocks.apply(primitive.ufunc, values, result)
    value = here.run(primitive.evaluate, *values, **params)
    if type(value) is not np.ndarray:
        value = np.asarray(value, result.numpy)
    return value if value.dtype == result.numpy else value.astype(result.numpy)


def constant(operand: Any, operands: Sequence[Any]) -> np.ndarray:
    """An operand that is no tensor, as an array: a number takes the dtype of the tensors."""
    if isinstance(operand, (np.ndarray, np.generic)):
        return np.asarray(operand)
    tensors = [o.aval.dtype for o in operands if isinstance(o, Handle)]
    return np.asarray(operand, max(tensors, key=lambda d: d.category).numpy)


def needs_no_rule(primitive: Primitive, avals: Sequence[Aval], params: dict[str, Any]) -> bool:
    """False for an operation whose result has no derivative by its nature (a bool, an index).

    Raises:
        NotImplementedError: for one that should have a derivative and has none, now rather
            than in backward.
    """
    results = primitive.abstract(*avals, **params)
    for result in results if primitive.multiple else (results,):
        if result.dtype.differentiable:
            raise NotImplementedError(
                f"derivative for {primitive.name} is not implemented; call it on x.detach() if "
                f"no gradient is to flow through it")
    return False


def _several(primitive: Primitive, operands: Sequence[Any], values: list[Any],
             avals: list[Aval], edges: list[Any], params: dict[str, Any],
             results: tuple[Aval, ...], recorded: bool) -> tuple[Any, ...]:
    arrays = here.run(primitive.evaluate, *values, **params)
    outs = tuple(wrap(np.asarray(array), result)
                 for array, result in zip(arrays, results, strict=True))
    if primitive.view:
        for i, out in enumerate(outs):
            make_view(primitive, operands[0], out, params, index=i, origin="multiple")
    if recorded:
        record(primitive, outs, operands, avals, tuple(edges), params)
    return outs


ground.interpret = interpret
