"""What transforms check of the functions and arguments they are given, in PyTorch's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.handle import Handle, as_handle, wrap
from ..core.levels import Level
from ..core.pytrees import Spec, flatten, tree_map
from ..interpreters.eager import settled
from ..interpreters.views import refresh
from ..ops.creation import tensor

Argnums = int | tuple[int, ...]


def as_tensor(value: Any) -> Any:
    """A leaf to differentiate with respect to: a tensor, a NumPy array, or a float.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, Handle):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return wrap(np.asarray(value))
    if type(value) in (float, complex):
        return tensor(value)
    raise ValueError(f"Thing passed to transform API must be Tensor, got {type(value)}")


def differentiable(value: Any) -> Any:
    """The same, of floating point or complex dtype.

    Raises:
        RuntimeError: for integers.
    """
    x = as_tensor(value)
    if not x.aval.dtype.differentiable:
        raise RuntimeError("only Tensors of floating point dtype can require gradients, got a "
                           f"tensor of dtype {x.aval.dtype} and shape {list(x.aval.shape)}")
    return x


def floating(value: Any, word: str = "primal") -> Any:
    """A primal or tangent of forward mode, a tensor of floating point or complex dtype.

    Raises:
        ValueError: for integers.
    """
    x = as_tensor(value)
    if not x.aval.dtype.differentiable:
        raise ValueError(f"Expected {word} to be floating point or complex, but got: "
                         f"{x.aval.dtype}")
    return x


def chosen(args: Sequence[Any], argnums: Argnums | None) -> Any:
    """The arguments that are differentiated: one, or a tuple; all of them for None.

    Raises:
        RuntimeError: if there is no such argument, or one is named twice.
    """
    if argnums is None:
        return tuple(args)
    if isinstance(argnums, int):
        return args[_place(argnums, len(args))]
    if not isinstance(argnums, tuple) or not all(isinstance(n, int) for n in argnums):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    places = [_place(n, len(args)) for n in argnums]
    if not places:
        raise RuntimeError("argnums must be non-empty")
    if len(set(places)) != len(places):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return tuple(args[i] for i in places)


def replaced(args: Sequence[Any], argnums: Argnums | None, new: Any) -> tuple[Any, ...]:
    """The arguments with those that are differentiated replaced."""
    if argnums is None:
        return tuple(new)
    out = list(args)
    if isinstance(argnums, int):
        out[argnums] = new
    else:
        for i, value in zip(argnums, new, strict=True):
            out[i] = value
    return tuple(out)


def _place(argnum: int, count: int) -> int:
    if not -count <= argnum < count:
        raise RuntimeError(f"Got argnum={argnum}, but only {count} positional inputs")
    return argnum % count


def split_aux(name: str, output: Any, has_aux: bool) -> tuple[Any, Any]:
    """A function's output apart from its auxiliary one.

    Raises:
        RuntimeError: if it should be a pair and is not.
    """
    if not has_aux:
        return output, None
    if not (isinstance(output, tuple) and len(output) == 2):
        raise RuntimeError(f"{name}: output of function f should be a tuple: (output, aux) if "
                           "has_aux is True")
    return output


def outputs(name: str, output: Any, *, floating: bool = False) -> tuple[list[Any], Spec]:
    """A function's output, flattened: tensors; if `floating`, those that have derivatives.

    Raises:
        RuntimeError: if there are none, or something else is among them.
    """
    leaves, spec = flatten(output)
    if not leaves or leaves == [None]:
        raise RuntimeError(f"{name}: Expected f to be a function that has non-empty output (got "
                           f"output = {leaves})")
    for leaf in leaves:
        if not isinstance(leaf, Handle):
            raise RuntimeError(f"{name}: Expected f(*primals) to return only tensors, got "
                               f"unsupported type {type(leaf)}")
        if floating and not leaf.aval.dtype.differentiable:
            raise RuntimeError(f"{name}: All outputs of f must be floating-point or complex "
                               f"Tensors, got Tensor with dtype {leaf.aval.dtype}")
    return leaves, spec


def left(level: Level, tree: Any) -> Any:
    """A tree with the tensors of a level replaced by what they stand for below."""
    return tree_map(lambda leaf: below(level, leaf), tree)


def below(level: Level, x: Any) -> Any:
    """What a tensor of a level stands for, as a tensor; anything else as it is."""
    if not isinstance(x, Handle):
        return x
    up_to_date(x)
    return as_handle(x.value) if x.aval.level is level else x


def up_to_date(x: Any) -> Any:
    """A tensor as a value for a level above, where a later write to it must be noticed."""
    if x.alias is not None:
        refresh(x)
    return x


def lowered(x: Any) -> Any:
    """A tensor as a value for a level above: its array, if there is no more to it."""
    return settled(up_to_date(x))
