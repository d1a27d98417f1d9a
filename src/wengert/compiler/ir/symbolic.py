"""Symbolic evaluation: a function written in primitives, as the list of what it applies.

A tensor of this level stands for a `Value` and has no numbers. Derivative rules, decompositions
and lowerings run on such tensors as they do on arrays; arrays and numbers that they bring along
become constants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ...core.aval import Aval
from ...core.handle import Handle, wrap
from ...core.levels import Level, entered, modes
from ...core.primitive import Primitive
from ...interpreters.eager import constant
from .program import Constant, Line, Value, aval_text


class Symbolic(Level):
    """Checks shapes and dtypes, and notes a line.

    Attributes:
        lines: the applications so far, in order.
    """

    __slots__ = ("lines",)
    word, prints_as = "symbolic evaluation", "SymbolicTensor"
    takes_all: bool | None = False

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []

    def interpret(self, primitive: Primitive, operands: Sequence[Any],
                  params: dict[str, Any]) -> Any:
        values = [self.value(o, operands) for o in operands]
        found: Any = primitive.abstract(*(v.aval for v in values), **params)
        results = tuple(map(Value, found if primitive.multiple else (found,)))
        self.lines.append(Line(primitive, values, params, results))
        return tuple(map(self.tensor, results)) if primitive.multiple else self.tensor(results[0])

    def tensor(self, value: Any) -> Any:
        """A tensor that stands for a value."""
        return wrap(value, value.aval.at(self))

    def value(self, x: Any, operands: Sequence[Any] = ()) -> Value:
        """What a tensor stands for; arrays, numbers and tensors from outside are constants."""
        if isinstance(x, Handle):
            return x.value if x.aval.level is self else Constant(x.value)
        return Constant(constant(x, operands))

    def write(self, primitive: Primitive, x: Any, others: Sequence[Any],
              params: dict[str, Any]) -> Any:
        raise RuntimeError(f"{primitive.name} would write in place, which a rule must not do")

    def concrete(self, x: Any, asked: str) -> np.ndarray:
        raise RuntimeError(f"a rule asks for {asked} of a tensor that stands for any "
                           f"{aval_text(x.aval)}: it may depend on shapes and dtypes alone")

    def detach(self, x: Any) -> Any:
        return x  # no derivative is taken here

    def text(self, x: Any) -> str:
        return f"{self.prints_as}({aval_text(x.aval)})"


def record(fn: Callable[..., Any], given: Iterable[Aval | Value]) -> tuple[list[Line], list[Any]]:
    """What a function of tensors applies, and what it returns.

    Args:
        fn: written in primitives; it gets a tensor for each of `given`.
        given: values; or avals, where nobody needs the values that are made for them.

    Returns:
        The lines in order, and the values returned (None where the function has None).

    Raises:
        RuntimeError: if the function looks at a number.
    """
    with modes(recorder=None), entered(Symbolic()) as level:
        tensors = [level.tensor(v if isinstance(v, Value) else Value(v)) for v in given]
        found = fn(*tensors)
        outs = found if isinstance(found, (tuple, list)) else (found,)
        results = [None if out is None else level.value(out, tensors) for out in outs]
    return level.lines, results
