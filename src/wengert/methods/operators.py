"""What Python's operators mean on tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.handle import Handle
from ..ops import creation, index, inplace, pointwise, products

if TYPE_CHECKING:
    from .._tensor import Tensor

_matmul: Any = products.matmul


class Operators:
    """`x + y`, `x[i] = y` and their kin."""

    __slots__ = ()

    __add__ = __radd__ = pointwise._add
    __sub__, __rsub__ = pointwise.sub_operator, pointwise.rsub_operator
    __mul__ = __rmul__ = pointwise._mul
    __truediv__, __rtruediv__ = pointwise._true_divide, pointwise.rdiv_operator
    __floordiv__ = pointwise.floor_divide_operator
    __rfloordiv__ = pointwise.rfloor_divide_operator
    __mod__, __rmod__ = pointwise.remainder_operator, pointwise.rremainder_operator
    __pow__, __rpow__ = pointwise.pow_operator, pointwise.rpow_operator

    def __matmul__(self: Any, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            other = creation.as_tensor(other)
        return _matmul(self, other) if isinstance(other, Handle) else NotImplemented

    def __rmatmul__(self: Any, other: Any) -> Tensor:
        if isinstance(other, np.ndarray):
            return _matmul(creation.as_tensor(other), self)
        return NotImplemented

    __and__ = __rand__ = pointwise.and_operator
    __or__ = __ror__ = pointwise.or_operator
    __xor__ = __rxor__ = pointwise.xor_operator
    __lshift__, __rshift__ = pointwise.lshift_operator, pointwise.rshift_operator
    __rlshift__, __rrshift__ = pointwise.rlshift_operator, pointwise.rrshift_operator
    __ilshift__, __irshift__ = inplace.ilshift_operator, inplace.irshift_operator
    __neg__, __pos__, __abs__ = pointwise.neg, pointwise.positive, pointwise.abs
    __invert__ = pointwise.invert_operator
    __eq__, __ne__ = pointwise.eq_operator, pointwise.ne_operator  # type: ignore[assignment]
    __lt__, __le__ = pointwise.lt_operator, pointwise.le_operator
    __gt__, __ge__ = pointwise.gt_operator, pointwise.ge_operator
    __iadd__, __isub__ = inplace.iadd_operator, inplace.isub_operator
    __imul__, __itruediv__ = inplace.imul_operator, inplace.idiv_operator
    __ifloordiv__, __imod__ = inplace.ifloor_divide_operator, inplace.iremainder_operator
    __ipow__ = inplace.ipow_operator
    __iand__, __ior__ = inplace.iand_operator, inplace.ior_operator
    __ixor__ = inplace.ixor_operator
    __getitem__, __setitem__ = index.getitem, index.setitem
