"""Saved values that go through the user's hooks: packed when saved, unpacked when read.

A node whose values were packed has them in a `PackedValues`, a tuple of another class, by which
the pullback knows it. Nothing else on the tape asks whether there are hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.handle import Alias, Handle, storage_of, version_of, wrap
from ..core.levels import here, modes


class Hooks(NamedTuple):
    """What saved tensors go through."""

    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


class PackedValues(tuple[Any, ...]):
    """The saved values of a node, those of tensors packed."""

    __slots__ = ()


class Packed:
    """One saved tensor, as a hook packed it.

    Attributes:
        held: what the pack hook returned.
        unpack: the hook that makes a tensor of it again.
        node: the tensor's node; None for the node's own result, whose history is the node.
        own: whether it is the node's own result, or one of several.
        port: of one of several results, which it is and its port, known weakly; else None.
        array: whether an array was saved, not a tensor.
        shape, dtype, level: those that the tensor must have.
    """

    __slots__ = ("array", "dtype", "held", "level", "node", "own", "port", "shape", "unpack")

    def __init__(self, value: Any, hooks: Hooks, out: Any) -> None:
        self.array = type(value) is np.ndarray
        self.own = not self.array and not isinstance(value, Handle)
        self.node = None if self.own or self.array else value.node
        self.port = (value.index, value.port) if self.own and hasattr(value, "port") else None
        tensor = _shown(value, out if self.port is None else out[value.index])
        self.shape, self.dtype, self.level = tensor.aval.shape, tensor.aval.dtype, tensor.aval.level
        self.unpack = hooks.unpack
        before = version_of(tensor)
        self.held = hooks.pack(tensor)
        if version_of(tensor) != before:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. It is given the tensor "
                "itself, which the program goes on using: change a clone instead.")

    def opened(self, node: Any, create: bool) -> Any:
        """The value again, with its history.

        Raises:
            TypeError: if the unpack hook returns no tensor.
            RuntimeError: if it returns one of another shape or dtype.
        """
        found = self.unpack(self.held)
        if not isinstance(found, Handle):
            raise TypeError("Output of saved tensor unpack_hook expected to be a Tensor but got "
                            f"result of type {type(found).__name__}")
        if found.aval.shape != self.shape or found.aval.dtype is not self.dtype:
            raise RuntimeError(
                f"A saved tensor unpack hook returned {found.aval.dtype} "
                f"{list(found.aval.shape)}, but {self.dtype} {list(self.shape)} was saved.")
        if found.aval.level is not self.level:
            raise RuntimeError(
                f"A saved tensor unpack hook returned a tensor of {found.aval.level or 'no level'} "
                f"where one of {self.level} was saved. Inside a transform a tensor stands for more "
                "than its numbers: hooks must give it back as it was.")
        if self.array:
            return found.value
        own = node if self.port is None else node.port(*self.port)
        out = bare(found, own if self.own else self.node)
        if create:  # it may be saved again: writes to it must be noticed
            out.alias = Alias(storage_of(found))
        return out


def _shown(value: Any, out: Any) -> Any:
    """What a pack hook is given: an operand itself, the node's own result without history.

    With history it would refer to the node, which refers to what the hook makes of it.
    """
    if isinstance(value, Handle):
        return value
    if type(value) is np.ndarray:
        return wrap(value)
    tensor = wrap(value.value, value.aval)
    tensor.alias = Alias(storage_of(out))
    return tensor


def bare(x: Any, node: Any = None) -> Any:
    """A tensor's value with another history, and with what a transform's level has it carry."""
    out = wrap(x.value, x.aval, node)
    if x.aval.level is not None:
        out.extra = x.extra
    return out


def packed(values: Sequence[Any], out: Any = None) -> PackedValues:
    """A node's saved values, tensors packed by the hooks in force; numbers stay as they are.

    `out` is the node's result. No hooks are in force while one runs, and nothing is recorded.
    """
    hooks = here.hooks
    with modes(grad=False, hooks=None):
        return PackedValues(
            v if v is None or (type(v) is np.ndarray and v.ndim == 0) else Packed(v, hooks, out)
            for v in values)


def unpacked(node: Any, create: bool) -> tuple[Any, ...]:
    """The saved values of a node, those that were packed unpacked, each once."""
    with modes(grad=create and here.grad):
        return tuple(v.opened(node, create) if type(v) is Packed else v for v in node.saved)
