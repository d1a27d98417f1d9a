"""Einstein's sums, in PyTorch's words."""

from __future__ import annotations

import functools
import string
from collections import Counter
from collections.abc import Sequence
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
    tensors: Sequence[Any] = _tensors(operands)
    terms, result = _parsed(equation, tuple([x.aval.ndim for x in tensors]))
    if any(len(set(term)) < len(term) for term in terms):
        tensors, terms = zip(*map(_without_repeats, tensors, terms), strict=True)
    kind = tensors[0].aval.dtype
    if not kind.differentiable or any(x.aval.dtype is not kind for x in tensors):
        tensors = _alike(tensors, terms, result)
        if tensors[0].aval.dtype is dtypes.bool_ and set("".join(terms)) <= set(result):
            tensors = [to_kind(x, dtypes.uint8) for x in tensors]  # there are no sums of bools
            return to_kind(p.einsum(*tensors, terms=terms, result=result), dtypes.bool_)
    return p.einsum(*tensors, terms=terms, result=result)


def _tensors(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    if not operands:
        raise RuntimeError("einsum(): must provide at least one operand")
    for i, x in enumerate(operands):
        need_tensor("einsum", x, "operands", i + 2)
    return operands


def _alike(tensors: Sequence[Any], terms: tuple[str, ...], result: str) -> list[Any]:
    """Operands in one dtype: sums of integers are 64 bits wide; what is multiplied is promoted,
    unless the products are summed.

    Raises:
        RuntimeError: for products of several dtypes that are summed.
    """
    kind = tensors[0].aval.dtype
    for i, x in enumerate(tensors[1:], 1):
        if (other := x.aval.dtype) is kind:
            continue
        later = result + "".join(terms[i + 1:])
        if any(c in terms[i] and c not in later for c in "".join(terms[:i])):
            raise RuntimeError(f"expected scalar type {kind.words} but found {other.words}")
        kind = dtypes.result_type([(2, kind), (2, other)])
    if not kind.differentiable and _sums_one_alone(terms, result):
        kind = dtypes.int64
    return [to_kind(x, kind) for x in tensors]


def _sums_one_alone(terms: tuple[str, ...], result: str) -> bool:
    """Whether a letter of a single operand is summed over."""
    counts = Counter("".join(terms))
    return any(n == 1 and c not in result for c, n in counts.items())


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
    _check(equation, left + right, terms, ndims)
    spare = [c for c in string.ascii_letters if c not in equation]
    widths = [n - len(t.replace("...", "")) if "..." in t else 0
              for n, t in zip(ndims, terms, strict=True)]
    rest = "".join(spare[:max(widths)])
    full = tuple([_full(i, term, n, rest[len(rest) - w:] if w > 0 else "")
                  for i, (n, term, w) in enumerate(zip(ndims, terms, widths, strict=True))])
    result = right.replace("...", rest) if arrow else rest + _met_once("".join(terms))
    _check_result(result, full)
    return full, result


def _check(equation: str, letters: str, terms: list[str], ndims: tuple[int, ...]) -> None:
    if len(terms) != len(ndims):
        raise RuntimeError(
            f"einsum(): {'more' if len(ndims) > len(terms) else 'fewer'} operands were provided "
            f"than specified in the equation")
    for c in letters.replace("...", "").replace(",", ""):
        if c not in string.ascii_letters:
            raise RuntimeError(f"einsum(): invalid subscript given at index {equation.index(c)} in "
                               "the equation string, subscripts must be in [a-zA-Z]")


def _full(i: int, term: str, ndim: int, rest: str) -> str:
    """A term, with letters for the dimensions that its ellipsis stands for."""
    spelled = term.replace("...", rest)
    if len(spelled) != ndim:
        raise RuntimeError(f"einsum(): the number of subscripts in the equation ({len(term)}) "
                           f"does not match the number of dimensions ({ndim}) for operand {i} "
                           f"{'' if '...' in term else 'and no ellipsis was given'}".rstrip())
    return spelled


def _met_once(letters: str) -> str:
    """The letters that appear once, in alphabetical order."""
    counts = Counter(letters.replace("...", ""))
    return "".join(sorted(c for c, n in counts.items() if n == 1))


def _check_result(result: str, terms: tuple[str, ...]) -> None:
    for c in result:
        if result.count(c) > 1:
            raise RuntimeError(f"einsum(): output subscript {c} appears more than once in the "
                               "output")
        if not any(c in term for term in terms):
            raise RuntimeError(f"einsum(): output subscript {c} does not appear in the equation "
                               "for any input operand")


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
