"""The `ctx` that the rules of a function are handed, the user's side of its node.

Both have the same dict, so that what the user notes on the `ctx` can be read at `grad_fn`, but
whatever name the user chooses (`ctx.out`, `ctx.order`) it is never one of the tape's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.handle import Handle

if TYPE_CHECKING:
    from .custom_node import CustomNode

MARKS = ("to_save", "saved_for_forward", "dirty_tensors", "non_differentiable")
"""What the user marks for the time of the application alone."""


class FunctionCtx:
    """What `forward` leaves for `backward` and `jvp`: saved tensors, marks, and the user's notes.

    Any attribute may be set on it.
    """

    __slots__ = ("__dict__", "_node")
    _node: CustomNode
    needs_input_grad: tuple[bool, ...]
    to_save: Any = None
    saved_for_forward: Any = None
    dirty_tensors: Any = None
    non_differentiable: Any = None

    def __getattr__(self, name: str) -> Any:
        if name in _NODES:
            return getattr(self._node, name)
        raise AttributeError(f"'{type(self._node).__name__}' object has no attribute '{name}'")

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors that were saved, with their history.

        Raises:
            RuntimeError: if they were freed by an earlier backward, or written to since.
        """
        return self._node.saved_tensors

    def save_for_backward(self, *tensors: Any) -> None:
        """Saves tensors (or None) for `backward`, where they are `saved_tensors`.

        Derivatives of the gradient go through those that are inputs or outputs.

        Raises:
            TypeError: for anything else.
        """
        for i, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Handle):
                raise TypeError("save_for_backward can only save variables, but argument "
                                f"{i} is of type {type(tensor).__name__}")
        self.__dict__["to_save"] = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Saves tensors (or None) for `jvp`, where they are `saved_tensors`.

        Raises:
            AssertionError: for anything else.
        """
        if not all(t is None or isinstance(t, Handle) for t in tensors):
            raise AssertionError("save_for_forward expects all arguments to be tensors; you should "
                                 "save non-tensors as attributes on ctx.")
        self.__dict__["saved_for_forward"] = tensors

    def mark_dirty(self, *args: Any) -> None:
        """Says which inputs were written in place; they must be returned, too.

        Raises:
            RuntimeError: for anything but tensors.
        """
        _only_tensors("mark_dirty can only accept variables, but argument", args)
        self.__dict__["dirty_tensors"] = args

    def mark_non_differentiable(self, *args: Any) -> None:
        """Says which outputs have no derivative; their gradients are zeros.

        Raises:
            RuntimeError: for anything but tensors.
        """
        _only_tensors("mark_non_differentiable only accepts variable arguments, but got", args)
        self.__dict__["non_differentiable"] = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` and `jvp` get zeros for what did not arrive, or None."""
        self.__dict__["materialize_grads"] = bool(value)


_NODES = frozenset(("metadata", "name", "next_functions", "register_hook", "register_prehook"))


def _only_tensors(words: str, args: Sequence[Any]) -> None:
    for i, arg in enumerate(args):
        if not isinstance(arg, Handle):
            raise RuntimeError(f"{words} {i} is of type {type(arg).__name__}")
