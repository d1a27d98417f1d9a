"""Products of vectors and matrices, in PyTorch's words."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from ..core.handle import Handle
from ..core.primitive import broadcast_shapes
from ..primitives import contractions as p, layout
from . import shapes
from .arguments import need_tensor

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "addmm", "bmm", "dot", "einsum", "ger", "matmul", "mm", "mv", "outer",
]


def _pair(name: str, x: Any, y: Any, words: str = "tensor") -> None:
    """Checks that both are tensors of one dtype: products do not promote."""
    if not (isinstance(x, Handle) and isinstance(y, Handle)):
        need_tensor(name, x)
        need_tensor(name, y, words, 2)
    if x.aval.dtype is not y.aval.dtype:
        _check_shapes(name, x, y)
        if name == "mv" or (name == "matmul" and y.aval.ndim == 1 < x.aval.ndim):
            raise RuntimeError("addmv input tensors must have the same dtype, but got "
                               f"{y.aval.dtype.words}, {x.aval.dtype.words}, and "
                               f"{y.aval.dtype.words}")
        if name == "dot" or (name == "matmul" and x.aval.ndim == y.aval.ndim == 1):
            raise RuntimeError("dot : expected both vectors to have same dtype, but found "
                               f"{x.aval.dtype.words} and {y.aval.dtype.words}")
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: "
                           f"{_c_name(x)} != {_c_name(y)}")


def _check_shapes(name: str, x: Any, y: Any) -> None:
    """Refuses operands of unfit shapes, before their dtypes are looked at."""
    if name == "matmul" and not (x.aval.ndim and y.aval.ndim):
        raise RuntimeError("both arguments to matmul need to be at least 1D, but they are "
                           f"{x.aval.ndim}D and {y.aval.ndim}D")
    if name in ("dot", "mv", "mm", "bmm"):
        getattr(p, name).abstract(x.aval.plain, y.aval.plain)


def _c_name(x: Any) -> str:
    """PyTorch's C++ name of a dtype, which its messages about products use."""
    names = {"Float": "float", "Double": "double", "Half": "c10::Half", "Long": "long long",
             "Int": "int", "Short": "short", "Char": "signed char", "Byte": "unsigned char",
             "Bool": "bool", "ComplexFloat": "c10::complex<float>",
             "ComplexDouble": "c10::complex<double>"}
    return names[x.aval.dtype.words]


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of products of two vectors.

    Raises:
        RuntimeError: unless both are 1-d, of one size and one dtype.

    Example:
        >>> import wengert as torch
        >>> x = torch.arange(4.); torch.dot(x, x)
        tensor(14.)
    """
    _pair("dot", input, tensor)
    return p.dot(input, tensor)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector."""
    _pair("mv", input, vec, "vec")
    return p.mv(input, vec)


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """A matrix times a matrix.

    Raises:
        RuntimeError: if the shapes do not fit, or the dtypes differ.
    """
    _pair("mm", input, mat2, "mat2")
    return p.mm(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Products of matrices in two batches of one size."""
    _pair("bmm", input, mat2, "mat2")
    return p.bmm(input, mat2)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The product that the numbers of dimensions ask for (`x @ y`).

    Vectors: `dot`; matrix and vector: `mv`; matrices: `mm`; more dimensions: a batch of matrices,
    whose leading dimensions are broadcast.

    Raises:
        RuntimeError: if the shapes do not fit, or the dtypes differ.

    Example:
        >>> import wengert as torch
        >>> (torch.ones(5, 2, 3) @ torch.ones(3, 4)).shape
        torch.Size([5, 2, 4])
    """
    _pair("matmul", input, other, "other")
    n, m = input.aval.ndim, other.aval.ndim
    if not n or not m:
        raise RuntimeError("both arguments to matmul need to be at least 1D, but they are "
                           f"{n}D and {m}D")
    if n <= 2 and m <= 2:
        if n == 2:
            return (p.mm if m == 2 else p.mv)(input, other)
        return p.dot(input, other) if m == 1 else _row_times(input, other)
    return _batched(input, other)


def _row_times(x: Any, y: Any) -> Any:
    """A vector times a matrix: the vector as a row, which is dropped again."""
    product = p.mm(shapes.unsqueeze(x, 0), y)
    return layout.squeeze_dim(product, shape=product.aval.shape[1:])


def _batched(x: Any, y: Any) -> Any:
    n, m = x.aval.ndim, y.aval.ndim
    if m <= 2:  # one matrix (or vector) for all: the batch is folded into its rows
        rows = shapes.reshape(x, -1, x.aval.shape[-1]) if x.aval.numel else layout.reshape(
            x, shape=(_rows(x), x.aval.shape[-1]))
        out = (p.mm if m == 2 else p.mv)(rows, y)
        return layout.unsafe_view(out, shape=(*x.aval.shape[:-1], *out.aval.shape[1:]))
    if n == 1:
        product = _batched(shapes.unsqueeze(x, 0), y)
        return shapes.squeeze(product, -2)
    left = shapes.unsqueeze(x, 0) if n == 2 else x
    batch = broadcast_shapes([left.aval.shape[:-2], y.aval.shape[:-2]])
    a, b = _folded(left, batch), _folded(y, batch)
    out = p.bmm(a, b)
    return layout.unsafe_view(out, shape=(*batch, *out.aval.shape[1:]))


def _rows(x: Any) -> int:
    rows = 1
    for n in x.aval.shape[:-1]:
        rows *= n
    return rows


def _folded(x: Any, batch: tuple[int, ...]) -> Any:
    """x broadcast to a batch, with the batch in one dimension."""
    count = 1
    for n in batch:
        count *= n
    full = shapes.expand(x, *batch, -1, -1) if x.aval.shape[:-2] != batch else x
    return layout.reshape(full, shape=(count, *x.aval.shape[-2:]))


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The products of each element of one vector with each of another.

    Raises:
        RuntimeError: unless both are 1-d.
    """
    for name, x in (("self", need_tensor("outer", input)),
                    ("vec2", need_tensor("outer", vec2, "vec2", 2))):
        if x.aval.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {x.aval.ndim}-D")
    return shapes.unsqueeze(input, 1) * vec2


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1,
          alpha: float = 1) -> Tensor:
    """beta * input + alpha * mat1 @ mat2."""
    product = mm(mat1, mat2)
    scaled = product if alpha == 1 else alpha * product
    return scaled + (input if beta == 1 else beta * input)


# --- einsum -----------------------------------------------------------------------------------


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products, written with a letter for each dimension.

    Args:
        equation: as "ij,jk->ik". Letters that the result lacks are summed over; without "->"
            the result has the letters that appear once, in alphabetical order; "..." stands for
            dimensions that are broadcast.
        operands: one tensor per term, or one sequence of them.

    Raises:
        RuntimeError: if equation and operands do not fit.

    Example:
        >>> import wengert as torch
        >>> torch.einsum("ii->", torch.eye(3))
        tensor(3.)
    """
    if not isinstance(equation, str):
        raise TypeError("einsum(): argument 'equation' must be str, not "
                        f"{type(equation).__name__}")
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    if not operands:
        raise RuntimeError("einsum(): must provide at least one operand")
    for i, x in enumerate(operands):
        need_tensor("einsum", x, "operands", i + 2)
    terms, result = _parsed(equation, [x.aval.ndim for x in operands])
    tensors, letters = [], []
    for x, term in zip(operands, terms, strict=True):
        x, term = _without_repeats(x, term)
        tensors.append(x)
        letters.append(term)
    return p.einsum(*tensors, terms=tuple(letters), result=result)


def _parsed(equation: str, ndims: list[int]) -> tuple[list[str], str]:
    """The terms and the result, with the ellipsis spelled out in letters of its own."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise RuntimeError(
            f"einsum(): {'more' if len(ndims) > len(terms) else 'fewer'} operands were provided "
            f"than specified in the equation")
    for c in (left + right).replace("...", "").replace(",", ""):
        if c not in string.ascii_letters:
            raise RuntimeError(f"einsum(): invalid subscript given at index {equation.index(c)} in "
                               "the equation string, subscripts must be in [a-zA-Z]")
    spare = [c for c in string.ascii_letters if c not in equation]
    widths = [n - len(t.replace("...", "")) if "..." in t else 0
              for n, t in zip(ndims, terms, strict=True)]
    width = max(widths)
    full = []
    for i, (n, term, w) in enumerate(zip(ndims, terms, widths, strict=True)):
        spelled = term.replace("...", "".join(spare[width - w:width])) if w >= 0 else term
        if len(spelled) != n:
            raise RuntimeError(f"einsum(): the number of subscripts in the equation ({len(term)}) "
                               f"does not match the number of dimensions ({n}) for operand {i} "
                               f"{'' if '...' in term else 'and no ellipsis was given'}".rstrip())
        full.append(spelled)
    rest = "".join(spare[:width])
    if arrow:
        result = right.replace("...", rest)
    else:
        counts = "".join(terms).replace("...", "")
        result = rest + "".join(sorted(c for c in set(counts) if counts.count(c) == 1))
    for c in result:
        if result.count(c) > 1:
            raise RuntimeError(f"einsum(): output subscript {c} appears more than once in the "
                               "output")
        if not any(c in term for term in full):
            raise RuntimeError(f"einsum(): output subscript {c} does not appear in the equation "
                               "for any input operand")
    return full, result


def _without_repeats(x: Any, term: str) -> tuple[Any, str]:
    """A letter that a term has twice means the diagonal."""
    for c in dict.fromkeys(term):
        while term.count(c) > 1:
            a = term.index(c)
            b = term.index(c, a + 1)
            if x.aval.shape[a] != x.aval.shape[b]:
                raise RuntimeError(
                    f"einsum(): subscript {c} is repeated for operand 0 but the sizes don't match, "
                    f"{x.aval.shape[b]} != {x.aval.shape[a]}")
            x = shapes.diagonal(x, 0, a, b)
            term = "".join(d for i, d in enumerate(term) if i not in (a, b)) + c
    return x, term


# PyTorch's other names for the same things.
ger = outer
