"""How words are made: the Python functions of primitives, with their docstrings."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.handle import Handle, wrap
from ...core.levels import made
from ...core.out import into
from ...core.primitive import Primitive
from .. import operators
from ..arguments import need_tensor
from ..operators import is_number

if TYPE_CHECKING:
    from ..._tensor import Tensor


def documented(function: Any, name: str, says: str, example: Any = "") -> Any:
    """Gives a made function its name, its docstring and the types of its signature."""
    operands = function.__code__.co_varnames[:function.__code__.co_argcount]
    function.__annotations__ = dict.fromkeys(operands, "Any") | {
        operands[0]: "Tensor", "return": "Tensor"}
    function.__name__ = function.__qualname__ = name
    function.__module__ = __package__
    function.word = function  # it checks all that it is given, and goes without a guard
    function.__doc__ = says if not example else (
        f"{says}\n\nExample:\n    >>> import wengert as torch\n    >>> {example[0]}\n"
        f"    {example[1]}\n")
    return function


def settle(names: dict[str, Any]) -> None:
    """Has the words made for a module say that they are of it, where `pickle` looks for them, and
    the site's builder for what they wrap."""
    for name, word in names.items():
        inner = word
        while isinstance(inner, FunctionType) and inner.__qualname__ == name and (
                inner.__module__ in (__package__, "wengert.ops.inplace")):
            inner.__module__ = names["__name__"]
            inner = getattr(inner, "__wrapped__", None)


def unary(name: str, primitive: Primitive, says: str, example: Any = "", *,
          floats: bool = True) -> Callable[[Tensor], Tensor]:
    """The word of a primitive of one operand.

    Args:
        name: PyTorch's.
        primitive: what it does.
        says: the docstring.
        example: a line of an example, and what it shows.
        floats: whether integers are first made floats.
    """
    function: Callable[[Tensor], Tensor] = documented(
        operators.unary(primitive, floats=floats), name, says, example)
    return function


def binary(name: str, apply: Callable[..., Any], says: str, example: Any = "", *,
           tensors: bool = False, first: bool = True) -> Callable[[Any, Any], Tensor]:
    """The word of an operator.

    Args:
        name: PyTorch's.
        apply: the operator: takes a tensor and another operand.
        says: the docstring.
        example: a line of an example, and what it shows.
        tensors: whether both operands must be tensors; else the second may be a number.
        first: whether also the first may be a number, if the second is none.
    """
    first = first and not tensors

    def function(input: Any, other: Any, *, out: Any = None) -> Any:
        if out is not None:
            return into(function, (input, other), {"out": out})
        if isinstance(input, Handle) and (not tensors or isinstance(other, Handle)):
            found = apply(input, other)
        else:
            found = number_first(name, apply, input, other) if first else NotImplemented
        if found is NotImplemented:
            need_tensor(name, input)
            need_tensor(name, other, "other", 2)
        return found

    return documented(function, name, says, example)


def number_first(name: str, apply: Callable[..., Any], x: Any, y: Any) -> Any:
    """The operator of a number (or array) and a tensor; NotImplemented for other operands."""
    if isinstance(x, np.ndarray):
        return apply(operators.as_operand(x), y)
    if not isinstance(y, Handle):
        if not (name in _OF_NUMBERS and is_number(x) and is_number(y)):
            return need_tensor(name, x)
        return apply(made(wrap(operators.number_array(x, dtypes.of_number(x)))), y)
    return apply(number_like(x, y), y) if is_number(x) else NotImplemented


_OF_NUMBERS = {"add", "sub", "mul", "div", "floor_divide"}
"""Words that take two numbers, too."""


def number_like(number: Any, x: Any) -> Any:
    """A number as a tensor, in the dtype of another if that holds such numbers."""
    kind = dtypes.of_number(number)
    kind = x.aval.dtype if kind.category <= x.aval.dtype.category else kind
    return made(wrap(operators.number_array(number, kind)))


def swapped(apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Tensor]:
    """The reflected operator: takes the second operand first."""

    def function(x: Any, y: Any) -> Any:
        if isinstance(y, Handle):
            return apply(y, x)
        if isinstance(y, np.ndarray):
            return apply(operators.as_operand(y), x)
        return apply(number_like(y, x), x) if is_number(y) else NotImplemented

    return function


def by_number(of_tensors: Any, of_number: Any) -> Callable[[Any, Any], Tensor]:
    """An operator with a node of another name where the second operand is a number."""

    def function(x: Any, y: Any) -> Any:
        return (of_tensors if isinstance(y, (Handle, np.ndarray)) else of_number)(x, y)

    return function
