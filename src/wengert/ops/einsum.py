"""Einstein's sums, in PyTorch's words."""

from __future__ import annotations

import functools
import string
from typing import TYPE_CHECKING, Any

from ..core import dtypes
from ..core.handle import Handle
from ..primitives import contractions as p
from . import diagonals
from .arguments import need_tensor
from .operators import to_kind

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["einsum"]

_IN_ORDER = string.ascii_uppercase + string.ascii_lowercase


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products, written with a letter for each dimension.

    Args:
        equation: as "ij,jk->ik". Letters that the result lacks are summed over; without "->"
            the result has the letters that appear once, in alphabetical order; "..." stands for
            dimensions that are broadcast. Instead of it, a list of numbers, from 0 to 51 or
            `...`, may follow each operand, and one for the result the last.
        operands: one tensor per term, or one sequence of them.

    Raises:
        RuntimeError: if equation and operands do not fit.

    Example:
        >>> import wengert as torch
        >>> torch.einsum("ii->", torch.eye(3))
        tensor(3.)
    """
    if isinstance(equation, Handle):
        equation, operands = _spelled(equation, *operands)
    if not isinstance(equation, str):
        raise TypeError("einsum(): argument 'equation' must be str, not "
                        f"{type(equation).__name__}")
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    if not operands:
        raise RuntimeError("einsum(): must provide at least one operand")
    for i, x in enumerate(operands):
        need_tensor("einsum", x, "operands", i + 2)
    terms, result = _parsed(equation, tuple([x.aval.ndim for x in operands]))
    tensors, letters = [], []
    for x, term in zip(operands, terms, strict=True):
        x, term = _without_repeats(x, term)
        tensors.append(x)
        letters.append(term)
    if not tensors[0].aval.dtype.differentiable and any(
            c not in result and sum(c in term for term in letters) == 1 for c in set(
                "".join(letters))):  # sums of integers are 64 bits wide
        tensors = [to_kind(x, dtypes.int64) for x in tensors]
    return p.einsum(*tensors, terms=tuple(letters), result=result)


def _spelled(*given: Any) -> tuple[str, tuple[Any, ...]]:
    """The equation of operands with lists of numbers, and the operands."""
    if len(given) < 2:
        raise ValueError("einsum(): must specify the equation string and at least one operand, or "
                         "at least one operand and its subscripts list")

    def letters(numbers: Any) -> str:
        if any(n is not ... and not 0 <= n < 52 for n in numbers):
            raise ValueError("einsum(): subscript in subscript list is not within the valid range "
                             "[0, 52)")
        return "".join("..." if n is ... else _IN_ORDER[n] for n in numbers)

    arrow = f"->{letters(given[-1])}" if len(given) % 2 else ""
    return ",".join(map(letters, given[1::2])) + arrow, given[:len(given) // 2 * 2:2]


@functools.lru_cache(maxsize=512)
def _parsed(equation: str, ndims: tuple[int, ...]) -> tuple[tuple[str, ...], str]:
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
    return tuple(full), result


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
            x = diagonals.diagonal(x, 0, a, b)
            term = "".join(d for i, d in enumerate(term) if i not in (a, b)) + c
    return x, term
