"""Complex numbers: their parts, and how they are made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...primitives import complexes as c, layout
from .. import operators
from ..arguments import need_tensor

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["angle", "complex", "conj", "conj_physical", "imag", "is_conj", "is_neg", "polar",
           "real", "resolve_conj", "resolve_neg", "view_as_complex", "view_as_real"]

# --- parts ------------------------------------------------------------------------------------


def real(input: Tensor) -> Tensor:
    """The real part; a view. A real tensor is its own."""
    return layout.real(input) if need_tensor("real", input).aval.is_complex else input


def imag(input: Tensor) -> Tensor:
    """The imaginary part; a view.

    Raises:
        RuntimeError: for a real tensor.

    Example:
        >>> import wengert as torch
        >>> torch.imag(torch.tensor([1 + 2j]))
        tensor([2.])
    """
    if not need_tensor("imag", input).aval.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return layout.imag(input)


def conj(input: Tensor) -> Tensor:
    """The complex conjugate; the tensor itself, if it is real."""
    return layout.conj(input) if need_tensor("conj", input).aval.is_complex else input


def conj_physical(input: Tensor) -> Tensor:
    """The complex conjugate; the tensor itself, if it is real."""
    return c.conj_physical(input) if need_tensor("conj_physical", input).aval.is_complex else input


def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: conjugates are computed at once here, and not marked as in PyTorch."""
    return need_tensor("resolve_conj", input)


def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself, likewise."""
    return need_tensor("resolve_neg", input)


def is_conj(input: Tensor) -> bool:
    """Whether the tensor is marked as to be conjugated: none is here."""
    need_tensor("is_conj", input)
    return False


def is_neg(input: Tensor) -> bool:
    """Whether the tensor is marked as to be negated: none is here."""
    need_tensor("is_neg", input)
    return False


def angle(input: Tensor) -> Tensor:
    """The angle between each element and the positive reals, from -pi to pi.

    Example:
        >>> import wengert as torch
        >>> torch.angle(torch.tensor([1j, -1 + 0j]))
        tensor([1.5708, 3.1416])
    """
    if not need_tensor("angle", input).aval.dtype.differentiable:
        input = operators.promoted((input,), floats=True)[0]
    return (c.angle if input.aval.is_complex else c.angle_of_real)(input)


# --- making them ------------------------------------------------------------------------------


def complex(real: Tensor, imag: Tensor) -> Tensor:
    """The complex numbers with these real and imaginary parts.

    Args:
        real: a tensor of float32 or float64.
        imag: a tensor of the same dtype.

    Raises:
        RuntimeError: for other dtypes.

    Example:
        >>> import wengert as torch
        >>> torch.complex(torch.tensor([1.]), torch.tensor([2.]))
        tensor([1.+2.j])
    """
    _check_parts("complex", real, imag, "real", "imag")
    return c.complex_(real, imag)


def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """The complex numbers with these absolute values and angles (in radians).

    Example:
        >>> import wengert as torch
        >>> torch.polar(torch.tensor([2.]), torch.tensor([0.]))
        tensor([2.+0.j])
    """
    _check_parts("polar", abs, angle, "abs", "angle")
    return c.polar(abs, angle)


def _check_parts(name: str, x: Any, y: Any, *words: str) -> None:
    a = need_tensor(name, x, words[0]).aval.dtype
    b = need_tensor(name, y, words[1], 2).aval.dtype
    if not {a.name, b.name} <= {"float16", "float32", "float64"}:
        raise RuntimeError("Expected both inputs to be Half, Float or Double tensors but got "
                           f"{a.words} and {b.words}")
    if a.is_half:
        raise TypeError(_NO_HALVES)
    if a is not b:
        raise RuntimeError(f"Expected object of scalar type {a.words} but got scalar type "
                           f"{b.words} for second argument")


_NO_HALVES = "Got unsupported ScalarType ComplexHalf: NumPy has no complex numbers of halves"


# --- the same memory, seen otherwise ----------------------------------------------------------


def view_as_real(input: Tensor) -> Tensor:
    """A complex tensor as a real one, with a last dimension for real and imaginary part; a view.

    Raises:
        RuntimeError: for a real tensor.

    Example:
        >>> import wengert as torch
        >>> torch.view_as_real(torch.tensor([1 + 2j]))
        tensor([[1., 2.]])
    """
    if not need_tensor("view_as_real", input).aval.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return c.view_as_real(input)


def view_as_complex(input: Tensor) -> Tensor:
    """A real tensor as a complex one, whose parts its last dimension has; a view.

    Raises:
        RuntimeError: if the last dimension is not of size 2, or the memory not laid out so.

    Example:
        >>> import wengert as torch
        >>> torch.view_as_complex(torch.tensor([[1., 2.]]))
        tensor([1.+2.j])
    """
    aval = need_tensor("view_as_complex", input).aval
    if aval.dtype.name not in ("float32", "float64", "float16"):
        raise RuntimeError("view_as_complex is only supported for half, float and double tensors, "
                           f"but got a tensor of scalar type: {aval.dtype.words}")
    if not aval.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if aval.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if aval.level is None and aval.numel:
        _check_layout(input)
    if aval.dtype.is_half:
        raise TypeError(_NO_HALVES)
    return c.view_as_complex(input)


def _check_layout(x: Any) -> None:
    *others, last = x.stride()
    if last != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(step % 2 for step in others):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    if x.storage_offset() % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
