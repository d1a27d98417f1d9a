"""What operations check of their arguments, in PyTorch's words."""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from ..core.guard import told
from ..core.handle import Handle
from ..core.out import into, lacks_out

F = TypeVar("F", bound=Callable[..., Any])
POSITIONAL = ""


def also(**names: str) -> Callable[[F], F]:
    """Lets a function be called by other keywords, as PyTorch does: `also(axis="dim")`.

    A keyword that stands for POSITIONAL is passed after the positional arguments, and with it the
    first of them, if it is given as `input`.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def called(*args: Any, **given: Any) -> Any:
            if given:
                for name in given.keys() & names.keys():
                    if names[name] == POSITIONAL:
                        first = (given.pop("input"),) if "input" in given else ()
                        args = (*args, *first, given.pop(name))
                    elif names[name] not in given:
                        given[names[name]] = given.pop(name)
            try:
                return function(*args, **given)
            except Exception as error:  # noqa: BLE001 - it is raised again
                if not lacks_out(error, given):
                    raise told(function, args, given, error)  # noqa: B904 - it names its cause
            return into(called, args, given)

        called.guarded = True  # type: ignore[attr-defined]
        return called  # type: ignore[return-value]

    return decorate


numpy_words = also(axis="dim", keepdims="keepdim")
"""NumPy's names for the dimension and for keeping it."""

LOOKS = ("Python looks at the numbers of a Tensor here, and what follows would depend on them; "
         "use torch.where instead of `if` and `while`, and other operations on tensors.")
"""What `concrete` is told that they are wanted for."""

_BEYOND = 1 << 63
ALL_DIMS = tuple(tuple(range(n)) for n in range(8))


def listed(value: Any) -> list[Any]:
    """Several things, or one alone, as a list: an integer may be NumPy's, or in a tensor."""
    return list(value) if isinstance(value, (tuple, list)) else [value]


def need_tensor(name: str, value: Any, argument: str = "input", position: int = 1) -> Any:
    """The value, if it is a tensor.

    Raises:
        TypeError: if it is not.
    """
    if not isinstance(value, Handle):
        raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be Tensor, "
                        f"not {type(value).__name__}")
    return value


def check_floats(kernel: str, x: Any) -> None:
    """Refuses a tensor of anything but floats, in the words of PyTorch's kernel.

    Raises:
        NotImplementedError: for such.
    """
    if not x.aval.dtype.is_floating_point:
        raise NotImplementedError(f'"{kernel}" not implemented for \'{x.aval.dtype.words}\'')


def wrapped_dim(dim: Any, ndim: int) -> int:
    """A dimension counted from the front.

    Raises:
        TypeError: if it is no integer.
        IndexError: if it is out of range.
    """
    d, most = dim if type(dim) is int else _dim(dim), max(ndim, 1)
    if not -most <= d < most:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-most}, "
                         f"{most - 1}], but got {long(d)})")
    return d % most


def _dim(value: Any) -> int:
    if not isinstance(value, (bool, np.bool_)):
        with contextlib.suppress(TypeError):
            return operator.index(value)
    raise TypeError(f"argument 'dim' must be int, not {type(value).__name__}")


def long(value: Any) -> int:
    """An integer, as C can hold it.

    Raises:
        TypeError: if it is none.
        ValueError: if it is beyond 64 bits.
    """
    found = operator.index(value)
    if not -1 << 63 <= found < 1 << 63:
        raise ValueError("Overflow when unpacking long long")
    return found


def whole(name: str, argument: str, value: Any, position: int = 0) -> int:
    """An integer, given at a position if that is told.

    Raises:
        TypeError: for anything else.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        place = f" (position {position})" if position else ""
        raise TypeError(f"{name}(): argument '{argument}'{place} must be int, not "
                        f"{type(value).__name__}")
    return long(value)


def wrapped_dims(dim: Any, ndim: int) -> tuple[int, ...]:
    """The dimensions meant by None (all), an int, or several.

    Raises:
        RuntimeError: if one appears twice.
    """
    if dim is None:
        return ALL_DIMS[ndim] if ndim < len(ALL_DIMS) else tuple(range(ndim))
    if not isinstance(dim, (tuple, list)):
        return (wrapped_dim(dim, ndim),) if ndim else _scalar_dims(dim)
    dims = tuple(wrapped_dim(d, ndim) for d in dim)
    for i, d in enumerate(dims):
        if d in dims[:i]:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return (dims or tuple(range(ndim))) if ndim else ()


def _scalar_dims(dim: Any) -> tuple[int, ...]:
    wrapped_dim(dim, 0)
    return ()


def sizes(args: Sequence[Any]) -> tuple[int, ...]:
    """A shape given as f(2, 3), f((2, 3)) or f(size=(2, 3)).

    Raises:
        TypeError: for what is no integer.
    """
    if len(args) == 1 and type(args[0]) is not int:
        if isinstance(args[0], Iterable) and not isinstance(args[0], str):
            if not isinstance(args[0], Handle) or args[0].aval.ndim:
                args = tuple(args[0])
    return tuple([a if type(a) is int and -_BEYOND < a < _BEYOND else size(a) for a in args])


def size(value: Any) -> int:
    """One size, as an int."""
    if isinstance(value, (float, str)) or not hasattr(value, "__index__"):
        raise TypeError("size(): argument 'size' must be tuple of ints, but found element of type "
                        f"{type(value).__name__} at pos 0")
    try:
        return long(value)
    except ValueError as error:
        raise TypeError(f"argument 'size' failed to unpack {value}: {error}") from None


def created(args: Sequence[Any]) -> tuple[int, ...]:
    """`sizes` of what is to be created, none of which is negative."""
    for n in args:
        if type(n) is not int or not 0 <= n < _BEYOND:
            return nonnegative(sizes(args))
    return tuple(args)


def nonnegative(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape to be created.

    Raises:
        RuntimeError: if a size is negative.
    """
    if shape and min(shape) < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: "
                           f"{list(shape)}")
    return shape
