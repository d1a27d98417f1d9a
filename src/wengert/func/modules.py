"""Objects that hold their parameters, called with others: a bridge to functions of parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


def functional_call(module: Callable[..., Any],
                    parameter_and_buffer_dicts: Mapping[str, Any] | Sequence[Mapping[str, Any]],
                    args: Any = None, kwargs: Mapping[str, Any] | None = None) -> Any:
    """Calls an object with other tensors in place of its own.

    Args:
        module: any object that is called and keeps tensors in attributes, of its own or of objects
            that these hold.
        parameter_and_buffer_dicts: tensors by name, as "weight" or "first.weight" (lists, tuples
            and dicts are gone into by "layers.0.weight"); or several such mappings.
        args: its arguments: a tuple, or the only one.
        kwargs: its keyword arguments.

    Returns:
        What the object returns. Its attributes are as they were afterwards, after errors too. While
        the call lasts other threads see the change.

    Raises:
        KeyError: for a name that the object does not have, or can't be given another tensor.
        ValueError: for a name that two mappings have.

    Example:
        >>> import wengert as torch
        >>> class Line:
        ...     def __init__(self):
        ...         self.slope, self.offset = torch.tensor(2.), torch.tensor(1.)
        ...     def __call__(self, x):
        ...         return self.slope * x + self.offset
        >>> line, x = Line(), torch.tensor(3.)
        >>> torch.func.grad(lambda p: torch.func.functional_call(line, p, x))(
        ...     {"slope": torch.tensor(5.)})
        {'slope': tensor(3.)}
    """
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with contextlib.ExitStack() as stack:
        for name, value in _merged(parameter_and_buffer_dicts).items():
            stack.enter_context(_replaced(module, name, value))
        return module(*args, **(kwargs or {}))


def _merged(parameters: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for each in (parameters,) if isinstance(parameters, Mapping) else parameters:
        twice = merged.keys() & each.keys()
        if twice:
            raise ValueError(f"{sorted(twice)} appeared in multiple dictionaries; behavior of "
                             "functional call is ambiguous")
        merged.update(each)
    return merged


@contextlib.contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute with another value for a while."""
    *path, last = name.split(".")
    owner = module
    try:
        for part in path:
            owner = _held(owner, part)
        before = _held(owner, last)
        if isinstance(owner, tuple):
            raise LookupError
    except (AttributeError, LookupError, ValueError):
        raise KeyError(f"functional_call: {type(module).__name__} has no tensor "
                       f"{name!r} that can be replaced") from None
    _hold(owner, last, value)
    try:
        yield
    finally:
        _hold(owner, last, before)


def _held(owner: Any, name: str) -> Any:
    if isinstance(owner, (list, tuple)):
        return owner[int(name)]
    return owner[name] if isinstance(owner, dict) else getattr(owner, name)


def _hold(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, list):
        owner[int(name)] = value
    elif isinstance(owner, dict):
        owner[name] = value
    else:
        setattr(owner, name, value)
