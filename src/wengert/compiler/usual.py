"""The usual call: a compiled function called as it was called before, told by as little as will do.

The kind of a call's arguments is a key that takes longer to make than a small function to run.
When nothing out of the ordinary is in force, and the arguments are tensors (or the very same
objects as before) one by one, it is enough to look at each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core import dtypes
from ..core.handle import Handle
from ..core.levels import shared


class Usual:
    """How a function was called before.

    Attributes:
        case: what it has become for such arguments.
    """

    __slots__ = ("_default", "_others", "_tensors", "case")

    def __init__(self, args: Sequence[Any], case: Any) -> None:
        self.case = case
        self._default = dtypes.get_default_dtype()
        self._tensors = [(i, x.aval, x.value.strides, x.node is None)
                         for i, x in enumerate(args) if isinstance(x, Handle)]
        self._others = [(i, x) for i, x in enumerate(args) if not isinstance(x, Handle)]

    @classmethod
    def of(cls, args: Sequence[Any], kwargs: Any, leaves: Sequence[Any],
           case: Any) -> Usual | None:
        """How a function is called now, if that can be told; None if not."""
        if kwargs or shared.special or len(args) != len(leaves) or any(
                a is not x for a, x in zip(args, leaves, strict=True)):
            return None  # arguments are in containers
        found = cls(args, case)
        return found if found.tensors(args) is not None else None

    def tensors(self, args: Sequence[Any]) -> list[Any] | None:
        """The arguments that are tensors; None if this isn't the usual call."""
        if shared.special or dtypes.get_default_dtype() is not self._default or (
                len(args) != len(self._tensors) + len(self._others)):
            return None
        found = []
        for i, aval, strides, plain in self._tensors:
            x = args[i]
            if not isinstance(x, Handle) or x.aval is not aval or (
                    (x.node is None) is not plain) or x.value.strides != strides:
                return None
            alias = x.alias
            if alias is not None and (alias.base is not None or alias.storage.inference):
                return None
            found.append(x)
        if self._others and any(args[i] is not x for i, x in self._others):
            return None
        if len(found) > 1 and len(set(map(id, found))) < len(found):
            return None
        return found
