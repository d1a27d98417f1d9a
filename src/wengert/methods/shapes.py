"""Tensor's methods that rearrange elements, without a change of memory where it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ops import shapes
from ..primitives import layout

if TYPE_CHECKING:
    from .._tensor import Tensor


class Shapes:
    """Reshaping, transposing, joining, splitting."""

    __slots__ = ()

    reshape, view, view_as, reshape_as = (shapes.reshape, shapes.view, shapes.view_as,
                                          shapes.reshape_as)
    flatten, unflatten, ravel = shapes.flatten, shapes.unflatten, shapes.ravel
    squeeze, unsqueeze = shapes.squeeze, shapes.unsqueeze
    transpose = swapaxes = swapdims = shapes.transpose
    t, permute = shapes.t, shapes.permute
    movedim = moveaxis = shapes.movedim
    expand, expand_as, broadcast_to = shapes.expand, shapes.expand_as, shapes.broadcast_to
    contiguous, clone = shapes.contiguous, shapes.clone
    flip, roll, repeat, tile = shapes.flip, shapes.roll, shapes.repeat, shapes.tile
    diag, diagonal, tril, triu = shapes.diag, shapes.diagonal, shapes.tril, shapes.triu
    split, chunk, unbind = shapes.split, shapes.chunk, shapes.unbind

    # --- by attribute --------------------------------------------------------------------------

    @property
    def T(self: Any) -> Tensor:  # noqa: N802 - PyTorch's name
        """The dimensions in reverse order; a view."""
        return shapes.reversed_dims(self)

    @property
    def mT(self: Any) -> Tensor:  # noqa: N802 - PyTorch's name
        """The last two dimensions swapped; a view.

        Raises:
            RuntimeError: for fewer than two dimensions.
        """
        return shapes.matrix_transpose(self)

    @property
    def H(self: Any) -> Tensor:  # noqa: N802 - PyTorch's name
        """The conjugate transpose of a matrix.

        Raises:
            RuntimeError: unless it has two dimensions (or none).
        """
        if self.aval.ndim not in (0, 2):
            raise RuntimeError("tensor.H is only supported on matrices (2-D tensors). Got "
                               f"{self.aval.ndim}-D tensor."
                               + (" For batches of matrices, consider using tensor.mH"
                                  if self.aval.ndim > 2 else ""))
        return shapes.transpose(self.conj(), 0, 1)

    @property
    def mH(self: Any) -> Tensor:  # noqa: N802 - PyTorch's name
        """The conjugate transpose of matrices."""
        return shapes.matrix_transpose(self.conj())

    @property
    def real(self: Any) -> Tensor:
        """The real part; a view."""
        return layout.real(self) if self.aval.is_complex else self

    @property
    def imag(self: Any) -> Tensor:
        """The imaginary part; a view.

        Raises:
            RuntimeError: for a real tensor.
        """
        if not self.aval.is_complex:
            raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
        return layout.imag(self)

    def conj(self: Any) -> Tensor:
        """The complex conjugate; the tensor itself, if it is real."""
        return layout.conj(self) if self.aval.is_complex else self
