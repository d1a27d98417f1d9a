"""Reverse mode as a transform: a tape of its own at every level.

A tensor of a reverse level stands for a value of the level below and has a node of this level's
tape. Rules run on what lies below, so levels below record them (or batch them, or give them
tangents) like any other computation, and that is all there is to nesting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.handle import Handle, plain_aval
from ..core.levels import here, modes
from ..core.primitive import Primitive
from .custom_lifted import recorded
from .eager import underivable
from .lifted import Lifted
from .tape import leaf_node, record


class Reverse(Lifted):
    """Records what is applied to its tensors.

    Attributes:
        outside: whether levels below record: whether there was recording where the transform was
            called.
    """

    __slots__ = ("outside",)
    word, prints_as = "grad or vjp", "GradTrackingTensor"

    def __init__(self) -> None:
        super().__init__()
        self.outside = here.grad

    def below(self, primitive: Primitive, values: Sequence[Any], params: dict[str, Any]) -> Any:
        if self.outside or not here.grad:
            return super().below(primitive, values, params)
        with modes(grad=False):
            return super().below(primitive, values, params)

    def input(self, value: Any) -> Any:
        """A tensor to differentiate with respect to: a leaf of this level's tape."""
        out = self.wrap(value)
        out.node = leaf_node(out)
        return out

    def lacks(self, primitive: Primitive) -> bool:
        return primitive.vjp is None

    def follow(self, custom: Any, args: Sequence[Any]) -> Any:
        return recorded(self, custom, args)

    def carry(self, primitive: Primitive, operands: Sequence[Any], values: Sequence[Any],
              result: Any, out: Any, params: dict[str, Any]) -> None:
        edges = [o.node if isinstance(o, Handle) and o.aval.level is self else None
                 for o in operands]
        if not (here.grad and any(edges)):
            return
        if primitive.vjp is None:
            primitive = underivable(primitive)
        if primitive.multiple or out.aval.dtype.differentiable:
            avals = [plain_aval(value) for value in values]
            record(primitive, out, values, avals, edges, params, saved=result)
