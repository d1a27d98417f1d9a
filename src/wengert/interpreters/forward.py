"""Forward mode: every value travels with its tangent, and no graph is kept.

A tensor of a forward level stands for its primal and carries the tangent (in `extra`; None for a
zero). Both are values of the level below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import halves
from ..core.handle import Handle, plain_aval
from ..core.levels import ground
from ..core.primitive import Primitive
from ..primitives.elementwise import add
from ..primitives.layout import cast, expand, reshape
from .custom_lifted import pushed
from .lifted import Lifted, quietly_on_arrays


class Forward(Lifted):
    """Carries tangents along."""

    __slots__ = ()
    word, prints_as = "jvp", "DualTensor"

    def dual(self, primal: Any, tangent: Any) -> Any:
        """A tensor that stands for a primal and carries a tangent."""
        out = self.wrap(primal)
        out.extra = tangent
        return out

    def tangent(self, x: Any) -> Any:
        """What a tensor carries: the tangent as a value below; None for a zero."""
        if isinstance(x, Handle) and x.aval.level is self:
            return x.extra
        return None

    def lacks(self, primitive: Primitive) -> bool:
        return primitive.jvp is None and not (primitive.linear or primitive.multilinear)

    def follow(self, custom: Any, args: Sequence[Any]) -> Any:
        return pushed(self, custom, args)

    def carry(self, primitive: Primitive, operands: Sequence[Any], values: Sequence[Any],
              result: Any, out: Any, params: dict[str, Any]) -> None:
        tangents = [self.tangent(operand) for operand in operands]
        found = pushforward(primitive, values, tangents, result, params)
        if primitive.multiple:
            for each, tangent in zip(out, found or (), strict=False):
                each.extra = tangent
        else:
            out.extra = found


def pushforward(primitive: Primitive, values: Sequence[Any], tangents: Sequence[Any],
                out: Any, params: dict[str, Any]) -> Any:
    """The tangent of an application's result from those of its operands.

    Args:
        primitive: what was applied.
        values: its operands.
        tangents: theirs; None for a zero.
        out: the result (or results).
        params: its parameters.

    Returns:
        A tangent (a tuple, if there are several results); None for a zero.

    Raises:
        NotImplementedError: if the primitive has no derivative.
    """
    if all(t is None for t in tangents):
        return None
    if not primitive.multiple and not plain_aval(out).dtype.differentiable:
        return None
    if primitive.linear:
        return _by_itself(primitive, values, tangents, params)
    if not primitive.multilinear and primitive.jvp is None:
        raise underivable(primitive)
    if primitive.multiple:
        rule: Any = primitive.jvp
        found = _carried(rule, list(tangents), *rule.arguments(values, out, params, 0))
        return found and tuple(map(_rounded, found, out))
    total: Any = None
    for i, tangent in enumerate(tangents):
        if tangent is None:
            continue
        part = _part(primitive, i, values, tangent, out, params)
        if part is not None:
            total = part if total is None else quietly_on_arrays(add, total, part)
    return None if total is None else _fit(total, out)


def _by_itself(primitive: Primitive, values: Sequence[Any], tangents: Sequence[Any],
               params: dict[str, Any]) -> Any:
    """A linear primitive's tangent: it is applied to tangents instead of values."""
    places = primitive.linear if isinstance(primitive.linear, tuple) else range(len(values))
    operands = [values[i] if i not in places else zeros(values[i]) if t is None else t
                for i, t in enumerate(tangents)]
    if all(tangents[i] is None for i in places):
        return None
    return ground.apply(primitive, operands, params)


def _part(primitive: Primitive, i: int, values: Sequence[Any], tangent: Any, out: Any,
          params: dict[str, Any]) -> Any:
    if primitive.multilinear:
        operands = [tangent if j == i else value for j, value in enumerate(values)]
        return ground.apply(primitive, operands, params)
    rule = primitive.jvp[i] if isinstance(primitive.jvp, tuple) else primitive.jvp
    if rule is None:
        return None
    return _carried(rule, tangent, *rule.arguments(values, out, params, i))


def _carried(rule: Any, *arguments: Any) -> Any:
    """What a rule gives, worked out in float32 for halves."""
    wide = halves.widened(arguments) if halves.Met.yet else arguments
    return quietly_on_arrays(rule.fn, *wide)


def _rounded(tangent: Any, out: Any) -> Any:
    return None if tangent is None else quietly_on_arrays(
        halves.rounded, tangent, plain_aval(out))


def _fit(tangent: Any, out: Any) -> Any:
    """A tangent with the shape and dtype of the result, where an operand was broadcast."""
    aval, found = plain_aval(out), plain_aval(tangent)
    if found.dtype is not aval.dtype:
        tangent = cast(tangent, dtype=aval.dtype)
    if found.shape != aval.shape:
        tangent = expand(reshape(tangent, shape=(1,) * (aval.ndim - found.ndim) + found.shape),
                         shape=aval.shape)
    return tangent


def zeros(value: Any) -> np.ndarray:
    """A zero tangent for a value."""
    aval = plain_aval(value)
    return aval.zeros()


def underivable(primitive: Primitive) -> Exception:
    return NotImplementedError(
        f"Trying to use forward AD with {primitive.name} that does not support it because it has "
        "not been implemented yet.")
