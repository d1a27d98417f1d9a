"""Algebraic identities: lines whose result is an operand, or a cheaper line's.

A rule is looked up by the primitive's name, and gets the line and what other lines gave. The
exact ones hold to the bit, for NaN (but for its sign and payload), infinities and both zeros:
x + 0.0 is not x, since for -0.0 it is 0.0; x - 0.0 is. `FAST` holds of real numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...primitives.elementwise import add, mul, neg
from ...primitives.layout import cast
from ..ir.program import Block, Constant, Line, Program, Value
from ..ir.uniform import element, is_uniform
from ..ir.walk import downward

Makers = Mapping[Value, Line]
Rule = Callable[[Line, Makers], "Value | Line | None"]


def identities(program: Program) -> Program:
    """The program without lines that an exact identity answers for."""
    return _rewritten(program, EXACT)


def fast_identities(program: Program) -> Program:
    """The same with identities that hold of real numbers, but not of all floats."""
    return _rewritten(program, {**EXACT, **FAST})


def _rewritten(program: Program, rules: Mapping[str, Rule]) -> Program:
    values: dict[Value, Value] = {}
    makers: dict[Value, Line] = {}

    def lines(block: Block) -> list[Line]:
        kept = []
        for line in block.lines:
            line = line.on(values)
            rule = rules.get(line.primitive.name)
            found = rule(line, makers) if rule is not None else None
            if isinstance(found, Value) and _alike(found, line.result):
                values[line.result] = found
                continue
            if isinstance(found, Line):
                line = found
            for result in line.results:
                makers[result] = line
            kept.append(line)
        return kept

    return downward(program, lines, values)


def _alike(a: Value, b: Value) -> bool:
    """Whether two values have one shape and dtype, so that one may stand for the other."""
    return a.aval is b.aval or (a.aval.shape == b.aval.shape and a.aval.dtype is b.aval.dtype)


def _number(value: Value) -> Any:
    """The number that a constant consists of; None if there isn't one."""
    if isinstance(value, Constant) and is_uniform(value.array):
        return element(value.array)
    return None


def _is(value: Value, number: float) -> bool:
    """Whether a value is a number everywhere; the sign of a zero counts."""
    found = _number(value)
    if found is None or found.dtype.kind not in "biuf" or found != number:
        return False
    return number != 0 or found.dtype.kind != "f" or bool(
        np.signbit(found) == np.signbit(number))


# --- kinds of rules ---------------------------------------------------------------------------


def _first_of(*rules: Rule) -> Rule:
    def rule(line: Line, makers: Makers) -> Value | Line | None:
        for each in rules:
            found = each(line, makers)
            if found is not None:
                return found
        return None

    return rule


def _neutral(number: float, *, left: bool = True) -> Rule:
    """x op number is x, and number op x if `left`."""
    def rule(line: Line, makers: Makers) -> Value | None:
        x, y = line.operands
        if _is(y, number):
            return x
        return y if left and _is(x, number) else None

    return rule


def _idempotent(line: Line, makers: Makers) -> Value | None:
    """x op x is x."""
    x, y = line.operands
    return x if x is y else None


def _once(line: Line, makers: Makers) -> Value | None:
    """f(f(x)) is f(x)."""
    inner = makers.get(line.operands[0])
    return line.operands[0] if inner is not None and inner.primitive is line.primitive else None


def _inverse(line: Line, makers: Makers) -> Value | None:
    """f(f(x)) is x."""
    inner = makers.get(line.operands[0])
    return inner.operands[0] if inner is not None and inner.primitive is line.primitive else None


def _over_no_dims(line: Line, makers: Makers) -> Value | None:
    """A reduction over no dimensions is its operand (where the dtype stays)."""
    return None if line.params["dims"] else line.operands[0]


# --- rules of one primitive -------------------------------------------------------------------


def _mul(line: Line, makers: Makers) -> Value | Line | None:
    """x * -1 is -x."""
    x, y = line.operands
    if line.result.aval.dtype.is_floating_point:
        for v, other in ((x, y), (y, x)):
            if _is(other, -1) and _alike(v, line.result):
                return Line(neg, (v,), {}, line.results)
    return None


def _div(line: Line, makers: Makers) -> Line | None:
    """x / c is x * (1/c) for powers of two: both are exact but where they over- or underflow,
    and then alike."""
    x, y = line.operands
    number = _number(y)
    if number is None or number.dtype.kind != "f" or not np.isfinite(number) or number == 0:
        return None
    mantissa, exponent = np.frexp(number)
    small = np.finfo(number.dtype)
    if abs(mantissa) != 0.5 or not small.minexp < 1 - exponent < small.maxexp:
        return None
    turned = Constant(np.broadcast_to(np.asarray(1 / number, number.dtype), y.aval.shape))
    return Line(mul, (x, turned), {}, line.results)


def _where(line: Line, makers: Makers) -> Value | None:
    condition, x, y = line.operands
    if x is y:
        return x
    known = _number(condition)
    return None if known is None else (x if known else y)


def _cast(line: Line, makers: Makers) -> Value | Line | None:
    """A cast to the same dtype, or by way of one that holds every number of the first."""
    x = line.operands[0]
    if x.aval.dtype is line.result.aval.dtype:
        return x
    inner = makers.get(x)
    if inner is None or inner.primitive is not cast:
        return None
    source = inner.operands[0]
    if not _holds(x.aval.numpy, source.aval.numpy):
        return None
    if source.aval.dtype is line.result.aval.dtype:
        return source
    return Line(cast, (source,), line.params, line.results)


def _holds(wide: np.dtype[Any], narrow: np.dtype[Any]) -> bool:
    return narrow.kind == "b" or (narrow.kind == wide.kind and np.can_cast(narrow, wide))


_NO_NEGATIVE_ZERO = frozenset({"exp", "exp2", "abs", "square", "cosh", "sigmoid", "sech2", "gauss",
                               "ndtr", "npdf"})
"""Primitives that never give -0.0."""


def _plus_zero(line: Line, makers: Makers) -> Value | None:
    """x + 0.0 is x where x can't be -0.0."""
    for x, other in (line.operands, line.operands[::-1]):
        inner = makers.get(x)
        if inner is not None and _is(other, 0.0) and (
                inner.primitive.name in _NO_NEGATIVE_ZERO or (
                    inner.primitive is add and any(_is(v, 0.0) for v in inner.operands))):
            return x
    return None


def _sum(line: Line, makers: Makers) -> Line | None:
    """A sum over no dimensions is x + 0.0: sums begin with 0."""
    if line.params["dims"]:
        return None
    (x,) = line.operands
    return Line(add, (x, Constant(x.aval.zero)), {}, line.results)


def _same_minus(line: Line, makers: Makers) -> Value | None:
    """x - x is 0."""
    x, y = line.operands
    return _filled(line, 0) if x is y else None


def _same_over(line: Line, makers: Makers) -> Value | None:
    """x / x is 1."""
    x, y = line.operands
    return _filled(line, 1) if x is y else None


def _times_zero(line: Line, makers: Makers) -> Value | None:
    """x * 0 is 0."""
    return _filled(line, 0) if any(_number(v) == 0 for v in line.operands) else None


def _by_number(line: Line, makers: Makers) -> Line | None:
    """x / c is x * (1/c)."""
    x, y = line.operands
    number = _number(y)
    if number is None or number.dtype.kind != "f" or number == 0:
        return None
    turned = Constant(np.broadcast_to(np.asarray(1 / number, number.dtype), y.aval.shape))
    return Line(mul, (x, turned), {}, line.results)


def _filled(line: Line, number: float) -> Value:
    aval = line.result.aval
    return Constant(np.broadcast_to(np.asarray(number, aval.numpy), aval.shape))


EXACT: dict[str, Rule] = {
    "add": _first_of(_neutral(-0.0), _plus_zero), "sub": _neutral(0.0, left=False),
    "mul": _first_of(_neutral(1), _mul), "div": _first_of(_neutral(1, left=False), _div),
    "pow": _neutral(1, left=False), "neg": _inverse, "positive": lambda line, _: line.operands[0],
    "where": _where, "cast": _cast, "maximum": _idempotent, "minimum": _idempotent,
    "bitwise_and": _idempotent, "bitwise_or": _idempotent, "bitwise_not": _inverse,
    "abs": _once, "floor": _once, "ceil": _once, "trunc": _once, "round": _once,
    "sum": _sum, **dict.fromkeys(("prod", "amax", "amin", "all", "any"), _over_no_dims),
}
"""Rules that hold to the bit, by primitive."""

FAST: dict[str, Rule] = {
    "add": _first_of(EXACT["add"], _neutral(0.0)),
    "sub": _first_of(EXACT["sub"], _neutral(-0.0, left=False), _same_minus),
    "mul": _first_of(EXACT["mul"], _times_zero),
    "div": _first_of(EXACT["div"], _same_over, _by_number),
}
"""Rules that hold of real numbers beside the exact ones."""
