"""Products with an addend: beta * input + alpha * product, in PyTorch's words.

Where beta is 0, the input counts for nothing, though it be NaN. Factors of integers are made
integers. What is true of each function is true of its in-place form, which writes to the addend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.dtypes import bool_
from ..core.formats import joint
from ..interpreters.inplace import write
from ..primitives import contractions as p
from . import products, shapes
from .arguments import also, need_tensor, wrapped_dim
from .operators import is_number, real_of

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["addbmm", "addmm", "addmv", "addr", "baddbmm"]


def _checked(name: str, operands: dict[str, Any]) -> None:
    """Refuses what is no tensor, by the names of the arguments."""
    for i, (argument, x) in enumerate(operands.items(), 1):
        need_tensor(name, x, argument, i)


def _factors(x: Any, beta: Any, alpha: Any) -> dict[str, Any]:
    """Both factors, as the addend's dtype takes them."""
    return {"beta": _factor(beta, x.aval), "alpha": _factor(alpha, x.aval)}


def _factor(value: Any, aval: Any) -> Any:
    """A factor as the dtype takes it."""
    if type(value) is int and aval.dtype.differentiable:
        return value
    if not is_number(value):
        value = value.item()
    if isinstance(value, complex) and not aval.dtype.is_complex:
        value = real_of(value, aval.dtype)
    kind = aval.dtype
    return value if kind.differentiable else bool(value) if kind is bool_ else int(value)


def _one_dtype(x: Any, y: Any, z: Any) -> None:
    for a, b, words in ((x, z, "self and mat2"), (y, z, "mat1 and mat2")):
        if a.aval.dtype is not b.aval.dtype:
            raise RuntimeError(f"{words} must have the same dtype, but got {a.aval.dtype.words} "
                               f"and {b.aval.dtype.words}")


def _check_addmm(x: Any, y: Any, z: Any) -> tuple[int, ...]:
    """The shape of the product of two matrices."""
    for words, m in (("mat1", y), ("mat2", z)):
        if m.aval.ndim != 2:
            raise RuntimeError(f"{words} must be a matrix, got {m.aval.ndim}-D tensor")
    shape = p.mm.abstract(y.aval.plain, z.aval.plain).shape
    _check_addend(x, shape)
    _one_dtype(x, y, z)
    return shape


def _check_addmv(x: Any, y: Any, z: Any) -> tuple[int, ...]:
    a, b = y.aval, z.aval
    if not (a.ndim == 2 and b.ndim == 1 and x.aval.ndim <= 1):
        raise RuntimeError("vector + matrix @ vector expected, got "
                           f"{x.aval.ndim}, {a.ndim}, {b.ndim}")
    if a.shape[1] != b.shape[0] or x.aval.numel not in (1, a.shape[0]):
        raise RuntimeError(f"size mismatch, got input ({x.aval.numel}), mat "
                           f"({a.shape[0]}x{a.shape[1]}), vec ({b.shape[0]})")
    if not x.aval.dtype is a.dtype is b.dtype:
        raise RuntimeError("addmv input tensors must have the same dtype, but got "
                           f"{x.aval.dtype.words}, {a.dtype.words}, and {b.dtype.words}")
    return tuple(a.shape[:1])


def _check_baddbmm(x: Any, y: Any, z: Any) -> tuple[int, ...]:
    a, b = y.aval, z.aval
    if not x.aval.dtype is a.dtype is b.dtype:
        if x.aval.dtype is not a.dtype:
            raise RuntimeError("Input dtypes must be the same, got: input "
                               f"{x.aval.dtype.words.lower()}, batch1: {a.dtype.words.lower()}, "
                               f"batch2: {b.dtype.words.lower()}")
        raise RuntimeError(f"expected scalar type {a.dtype.words} but found {b.dtype.words}")
    wrapped_dim(2, b.ndim)
    _check_addend(x, (*a.shape[:2], b.shape[2]))
    return tuple(p.bmm.abstract(a.plain, b.plain).shape)


def _check_addbmm(x: Any, y: Any, z: Any) -> tuple[int, ...]:
    a, b = y.aval, z.aval
    wrapped_dim(2, b.ndim)
    shape = (a.shape[1], b.shape[2])
    _check_addend(x, shape)
    if a.ndim != 3 or b.ndim != 3:
        raise RuntimeError(f"batch{1 if a.ndim != 3 else 2} must be a 3D tensor")
    if a.shape[0] != b.shape[0]:
        raise RuntimeError("batch1 and batch2 must have same number of batches, got "
                           f"{a.shape[0]} and {b.shape[0]}")
    if a.shape[2] != b.shape[1]:
        raise RuntimeError(f"Incompatible matrix sizes for bmm ({a.shape[1]}x{a.shape[2]} and "
                           f"{b.shape[1]}x{b.shape[2]})")
    _one_dtype(x, y, z)
    return shape


def _check_addr(x: Any, y: Any, z: Any) -> tuple[int, ...]:
    for name, v in (("vec1", y), ("vec2", z)):
        if v.aval.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument {name}, but got {v.aval.ndim}-D")
    shape = (y.aval.shape[0], z.aval.shape[0])
    _check_addend(x, shape)
    return shape


def _check_addend(x: Any, shape: tuple[int, ...]) -> None:
    if x.aval.shape not in (shape, shape[-1:]):
        shapes.expanded(x, shape)


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: complex = 1,
          alpha: complex = 1) -> Tensor:
    """beta * input + alpha * mat1 @ mat2.

    Raises:
        RuntimeError: if the shapes do not fit (the input is broadcast to the product), or the
            dtypes differ.

    Example:
        >>> import wengert as torch
        >>> torch.addmm(torch.ones(2), torch.eye(2), torch.eye(2), alpha=3)
        tensor([[4., 1.],
                [1., 4.]])
    """
    _checked("addmm", {"input": input, "mat1": mat1, "mat2": mat2})
    _check_addmm(input, mat1, mat2)
    return p.addmm(input, mat1, mat2, **_factors(input, beta, alpha))


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: complex = 1,
          alpha: complex = 1) -> Tensor:
    """beta * input + alpha * mat @ vec."""
    _checked("addmv", {"input": input, "mat": mat, "vec": vec})
    _check_addmv(input, mat, vec)
    return p.addmv(input, mat, vec, **_factors(input, beta, alpha))


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: complex = 1,
            alpha: complex = 1) -> Tensor:
    """beta * input + alpha * bmm(batch1, batch2)."""
    _checked("baddbmm", {"input": input, "batch1": batch1, "batch2": batch2})
    _check_baddbmm(input, batch1, batch2)
    return p.baddbmm(input, batch1, batch2, **_factors(input, beta, alpha))


def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: complex = 1,
           alpha: complex = 1) -> Tensor:
    """beta * input + alpha * the sum of all products of `bmm(batch1, batch2)`.

    It is one product: of matrices that have the batch beside what is summed over.
    """
    _checked("addbmm", {"input": input, "batch1": batch1, "batch2": batch2})
    n, m = _check_addbmm(input, batch1, batch2)
    left = shapes.permute(batch1, 1, 0, 2).reshape(n, -1 if batch1.aval.numel else 0)
    right = batch2.reshape(-1 if batch2.aval.numel else 0, m)
    return _addbmm(input, left, right, **_factors(input, beta, alpha))


_addbmm = p.addmm.named("AddbmmBackward0")
_addr = p.addmm.named("AddrBackward0", order=joint)


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: complex = 1,
         alpha: complex = 1) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2)."""
    _checked("addr", {"input": input, "vec1": vec1, "vec2": vec2})
    shape = _check_addr(input, vec1, vec2)
    if vec1.aval.dtype is vec2.aval.dtype is input.aval.dtype and input.aval.dtype.differentiable:
        return _addr(input, shapes.unsqueeze(vec1, 1), shapes.unsqueeze(vec2, 0),
                     **_factors(input, beta, alpha))
    product = products.outer(vec1, vec2)
    kind = (input.aval if beta != 0 else product.aval).dtype
    for name, factor in (("alpha", alpha), ("beta", beta)):
        if isinstance(factor, float) and not (kind.differentiable
                                              or product.aval.dtype.differentiable):
            raise RuntimeError(f"For integral input tensors, argument {name} must not be a "
                               "floating point number.")
    product = product if alpha == 1 else product * _factor(alpha, product.aval)
    if beta == 0:
        return product if product.aval.dtype is input.aval.dtype else product + input.new_zeros(())
    found = product + (input if beta == 1 else input * _factor(beta, input.aval))
    return found if tuple(found.aval.shape) == shape else found.reshape(shape)


# --- in place ---------------------------------------------------------------------------------


def _written(name: str, primitive: Any, check: Callable[..., tuple[int, ...]],
             words: tuple[str, str], out_of_place: Any) -> Callable[..., Tensor]:
    def function(self: Any, first: Any, second: Any, *, beta: complex = 1,
                 alpha: complex = 1) -> Any:
        _checked(name, {"input": self, words[0]: first, words[1]: second})
        shape = check(self, first, second)
        if tuple(self.aval.shape) != shape:
            if primitive is None and first.aval.ndim == 1:
                raise RuntimeError(f"size mismatch, input: {list(self.aval.shape)}, v1: "
                                   f"{list(first.aval.shape)}, v2: {list(second.aval.shape)}")
            raise RuntimeError(f"Bad in-place call: input tensor size {list(self.aval.shape)} and "
                               f"output tensor size {list(shape)} should match")
        if primitive is None:
            return shapes.copy_(self, out_of_place(self, first, second, beta=beta, alpha=alpha))
        return write(primitive, self, first, second, **_factors(self, beta, alpha))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{name[:-1]}`, in place."
    return also(**dict(zip(words, ("first", "second"), strict=True)))(function)


addmm_ = _written("addmm_", p.addmm, _check_addmm, ("mat1", "mat2"), addmm)
addmv_ = _written("addmv_", p.addmv, _check_addmv, ("mat", "vec"), addmv)
baddbmm_ = _written("baddbmm_", p.baddbmm, _check_baddbmm, ("batch1", "batch2"), baddbmm)
addbmm_ = _written("addbmm_", None, _check_addbmm, ("batch1", "batch2"), addbmm)
addr_ = _written("addr_", None, _check_addr, ("vec1", "vec2"), addr)
