"""What Python's operators mean on tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.handle import Handle
from ..ops import creation, index, inplace, pointwise, products
from ..ops.pointwise import arithmetic, bits, comparisons

if TYPE_CHECKING:
    from .._tensor import Tensor

_matmul: Any = products.matmul


class Operators:
    """`x + y`, `x[i] = y` and their kin."""

    __slots__ = ()

    __add__ = __radd__ = arithmetic.add_operator
    __sub__, __rsub__ = arithmetic.sub_operator, arithmetic.rsub_operator
    __mul__ = __rmul__ = arithmetic.mul_operator
    __truediv__, __rtruediv__ = arithmetic.div_operator, arithmetic.rdiv_operator
    __div__, __rdiv__ = __truediv__, __rtruediv__  # PyTorch's names for them
    __floordiv__ = arithmetic.floor_divide_operator
    __rfloordiv__ = arithmetic.rfloor_divide_operator
    __mod__, __rmod__ = arithmetic.remainder_operator, arithmetic.rremainder_operator
    __pow__, __rpow__ = arithmetic.pow_operator, arithmetic.rpow_operator

    def __matmul__(self: Any, other: Any) -> Tensor:
        if isinstance(other, np.ndarray):
            other = creation.as_tensor(other)
        return _matmul(self, other) if isinstance(other, Handle) else NotImplemented

    def __rmatmul__(self: Any, other: Any) -> Tensor:
        if isinstance(other, np.ndarray):
            other = creation.as_tensor(other)
        return _matmul(other, self) if isinstance(other, Handle) else NotImplemented

    __and__ = __rand__ = bits.and_operator
    __or__ = __ror__ = bits.or_operator
    __xor__ = __rxor__ = bits.xor_operator
    __lshift__, __rshift__ = bits.lshift_operator, bits.rshift_operator
    __rlshift__, __rrshift__ = bits.rlshift_operator, bits.rrshift_operator
    __ilshift__, __irshift__ = inplace.ilshift_operator, inplace.irshift_operator
    __neg__, __pos__, __abs__ = pointwise.neg, pointwise.positive, pointwise.abs
    __invert__ = bits.invert_operator
    __eq__, __ne__ = comparisons.eq_operator, comparisons.ne_operator  # type: ignore[assignment]
    __lt__, __le__ = comparisons.lt_operator, comparisons.le_operator
    __gt__, __ge__ = comparisons.gt_operator, comparisons.ge_operator
    __iadd__, __isub__ = inplace.iadd_operator, inplace.isub_operator
    __imul__, __itruediv__ = inplace.imul_operator, inplace.idiv_operator
    __idiv__ = __itruediv__
    __ifloordiv__, __imod__ = inplace.ifloor_divide_operator, inplace.iremainder_operator
    __ipow__ = inplace.ipow_operator
    __iand__, __ior__ = inplace.iand_operator, inplace.ior_operator
    __ixor__ = inplace.ixor_operator
    __getitem__, __setitem__ = index.getitem, index.setitem
