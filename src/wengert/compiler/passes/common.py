"""Common subexpressions: what is computed twice is computed once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from ..ir.program import Block, Constant, Line, Program, Value
from ..ir.uniform import element, is_uniform
from ..ir.walk import downward, has_effects

SMALL = 64
COMMUTES = frozenset({"add", "mul", "eq", "ne", "logical_and", "logical_or", "logical_xor",
                      "bitwise_and", "bitwise_or", "bitwise_xor"})
"""Primitives for which the order of the two operands makes no difference."""


def common_subexpressions(program: Program) -> Program:
    """The program with one line for all lines that apply a primitive to the same operands, in a
    block and those that follow it."""
    values: dict[Value, Value] = {}
    known: dict[Hashable, tuple[Value, ...]] = {}
    added: list[list[Hashable]] = []
    constants: dict[Hashable, Value] = {}

    def lines(block: Block) -> list[Line]:
        kept: list[Line] = []
        added.append([])
        for line in block.lines:
            _unify(line, constants, values)
            line = line.on(values)
            key = _key(line)
            found = known.get(key) if key is not None else None
            if found is not None:
                values.update(zip(line.results, found, strict=True))
                continue
            kept.append(line)
            if key is not None:
                known[key] = line.results
                added[-1].append(key)
        return kept

    def leave() -> None:
        for key in added.pop():
            del known[key]

    return downward(program, lines, values, leave)


def _unify(line: Line, constants: dict[Hashable, Value], values: dict[Value, Value]) -> None:
    """Has equal constants among a line's operands be one."""
    for v in line.operands:
        if isinstance(v, Constant) and v not in values:
            key = constant_key(v.array)
            values[v] = v if key is None else constants.setdefault(key, v)


def constant_key(array: np.ndarray) -> Hashable:
    """The same for arrays of the same numbers, to the bit; None for large ones."""
    uniform = is_uniform(array)
    if not uniform and array.size > SMALL:
        return None
    return (array.dtype, array.shape, uniform,
            (element(array) if uniform else array).tobytes())


def _key(line: Line) -> Hashable:
    """The same for lines that give the same results; None where no other does."""
    primitive, operands = line.primitive, line.operands
    if has_effects(line):
        return None
    given: Any = operands
    if primitive.name in COMMUTES and operands[0] is not operands[1]:
        given = frozenset(operands)
    key = (primitive, given, *map(_param, line.params.items())) if line.params else (
        primitive, given)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _param(item: tuple[str, Any]) -> tuple[Any, ...]:
    """A parameter so that equal keys mean the same: 0.0 is not -0.0, and 1 is not 1.0."""
    name, value = item
    return (name, repr(value)) if type(value) is float else (name, type(value), value)

