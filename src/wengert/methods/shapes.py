"""Tensor's methods that rearrange elements, without a change of memory where it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.provenance import warn
from ..ops import diagonals, filling, rearranging, relaid, shapes, splitting, strides
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
    transpose = swapdims = shapes.transpose
    swapaxes = shapes.swapaxes
    t, permute, adjoint = shapes.t, shapes.permute, shapes.adjoint
    movedim = moveaxis = shapes.movedim
    expand, expand_as, broadcast_to = shapes.expand, shapes.expand_as, shapes.broadcast_to
    sum_to_size = shapes.sum_to_size
    contiguous, clone = shapes.contiguous, shapes.clone
    as_strided, unfold = strides.as_strided, strides.unfold

    flip, fliplr, flipud = rearranging.flip, rearranging.fliplr, rearranging.flipud
    rot90, roll = rearranging.rot90, rearranging.roll
    repeat, tile = rearranging.repeat, rearranging.tile
    repeat_interleave = rearranging.repeat_interleave
    diag, diagonal, diag_embed = diagonals.diag, diagonals.diagonal, diagonals.diag_embed
    diagflat, tril, triu = diagonals.diagflat, diagonals.tril, diagonals.triu

    def __reversed__(self: Any) -> Any:
        """The first dimension reversed, for `reversed(x)`."""
        return rearranging.flip(self, 0) if self.aval.ndim else self

    split, split_with_sizes = splitting.split, splitting.split_with_sizes
    chunk, tensor_split, unbind = splitting.chunk, splitting.tensor_split, splitting.unbind
    hsplit, vsplit, dsplit = splitting.hsplit, splitting.vsplit, splitting.dsplit
    unsafe_split, unsafe_chunk = splitting.unsafe_split, splitting.unsafe_chunk
    unsafe_split_with_sizes = splitting.unsafe_split_with_sizes

    select_scatter, slice_scatter = filling.select_scatter, filling.slice_scatter
    diagonal_scatter = filling.diagonal_scatter
    as_strided_scatter = filling.as_strided_scatter
    masked_scatter, put = filling.masked_scatter, filling.put

    # --- in place -----------------------------------------------------------------------------

    squeeze_, unsqueeze_, t_ = relaid.squeeze_, relaid.unsqueeze_, relaid.t_
    transpose_ = swapdims_ = relaid.transpose_
    swapaxes_ = relaid.swapaxes_
    set_, is_set_to, dim_order = relaid.set_, relaid.is_set_to, relaid.dim_order
    as_strided_, resize_, resize_as_ = relaid.as_strided_, relaid.resize_, relaid.resize_as_
    tril_, triu_ = diagonals.tril_, diagonals.triu_
    masked_scatter_, put_ = filling.masked_scatter_, filling.put_
    fill_diagonal_ = filling.fill_diagonal_

    # --- by attribute --------------------------------------------------------------------------

    @property
    def T(self: Any) -> Tensor:  # noqa: N802 - PyTorch's name
        """The dimensions in reverse order; a view."""
        if not self.aval.ndim:
            shapes.deprecated("Tensor.T", conj=False)
        elif self.aval.ndim != 2:
            warn(
                "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is "
                "deprecated and it will throw an error in a future release. Consider `x.mT` to "
                "transpose batches of matrices or `x.permute(*torch.arange(x.ndim - 1, -1, -1))` "
                "to reverse the dimensions of a tensor.")
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
        if not self.aval.ndim:
            shapes.deprecated("Tensor.H", conj=True)
            return self.conj()
        return shapes.transpose(self.conj(), 0, 1)

    @property
    def mH(self: Any) -> Tensor:  # noqa: N802 - PyTorch's name
        """The conjugate transpose of matrices."""
        if not self.aval.ndim:
            shapes.deprecated("Tensor.mH", conj=True)
            return self.conj()
        return shapes.matrix_transpose(self, "mH").conj()

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
