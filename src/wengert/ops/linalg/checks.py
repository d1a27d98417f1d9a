"""What linear algebra checks of its operands, in PyTorch's words."""

from __future__ import annotations

from typing import Any

from ...core.dtypes import int32
from ...core.handle import Handle
from ...core.primitive import broadcast_shapes
from ..arguments import need_tensor


def tensor(name: str, x: Any, argument: str = "A", position: int = 1) -> Any:
    """The operand of a function of `linalg`, if it is a tensor."""
    return x if isinstance(x, Handle) else need_tensor(
        name.replace(".", "_"), x, argument, position)


def matrices(name: str, x: Any, argument: str = "A", position: int = 1) -> Any:
    """A tensor of at least two dimensions.

    Raises:
        TypeError, RuntimeError: if it is none, or of fewer dimensions.
    """
    if tensor(name, x, argument, position).aval.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")
    return x


def square(name: str, x: Any, argument: str = "A") -> Any:
    """Square matrices.

    Raises:
        TypeError, RuntimeError: if they are none.
    """
    m, n = matrices(name, x, argument).aval.shape[-2:]
    if m != n:
        raise RuntimeError(f"{name}: {argument} must be batches of square matrices, but they are "
                           f"{m} by {n} matrices")
    return x


def floating(name: str, x: Any, *, low: bool = False) -> Any:
    """A tensor of floats or complex numbers, of full precision unless `low`.

    Raises:
        RuntimeError: for another dtype.
    """
    kind = x.aval.dtype
    if not kind.differentiable:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got "
                           f"{kind.words}")
    if kind.is_floating_point and kind.itemsize < 4 and not low:
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {kind.words}")
    return x


def implemented(kernel: str, x: Any) -> Any:
    """A tensor of a dtype that LAPACK works on.

    Raises:
        NotImplementedError: for another.
    """
    kind = x.aval.dtype
    if not kind.differentiable or (kind.is_floating_point and kind.itemsize < 4):
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{kind.words}'")
    return x


def same_dtype(name: str, x: Any, y: Any, one: str = "A", other: str = "B") -> None:
    if x.aval.dtype is not y.aval.dtype:
        raise RuntimeError(f"{name}: Expected {one} and {other} to have the same dtype, but found "
                           f"{one} of type {x.aval.dtype.words} and {other} of type "
                           f"{y.aval.dtype.words} instead")


def system(name: str, a: Any, b: Any, left: bool = True) -> None:
    """Checks that A X = B (or X A = B) can be asked for.

    Raises:
        RuntimeError: if A is not square, or B does not fit.
    """
    square(name, a)
    matrices(name, b, "B", 2)
    x, y = a.aval.shape, b.aval.shape
    if y[-2 if left else -1] != x[-1]:
        raise RuntimeError(f"{name}: Incompatible shapes of A and B for the equation "
                           f"{'AX' if left else 'XA'} = B ({x[-2]}x{x[-1]} and {y[-2]}x{y[-1]})")
    broadcast_shapes([y[:-2], x[:-2]])


def pivot_dtype(name: str, given: Any, lu: Any, b: Any) -> None:
    """Checks the dtypes of LU factors, of their exchanges and of right sides."""
    same_dtype(name, lu, b, "LU")
    if given.aval.dtype is not int32:
        raise RuntimeError(f"{name}: pivots should be a Tensor of scalar type torch.int32")


def pivots(name: str, lu: Any, given: Any) -> None:
    """Checks the shape of the exchanges that belong to LU factors."""
    if lu.aval.shape[-1] != (given.aval.shape[-1] if given.aval.ndim else None):
        raise RuntimeError(f"{name}: Number of pivots per batch should be same as the dimension "
                           "of the matrix")
    if lu.aval.shape[:-1] != given.aval.shape:
        raise RuntimeError(f"{name}: Expected LU.shape[:-1] and pivots.shape to be the same, but "
                           f"got pivots with shape {list(given.aval.shape)} instead")
