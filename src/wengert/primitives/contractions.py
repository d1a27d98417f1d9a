"""Primitives that contract dimensions: products of vectors and matrices, and einsum."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.aval import Aval
from ..core.primitive import primitive
from .layout import expand, mT, reshape, sum_to


def _dot_aval(x: Aval, y: Aval) -> Aval:
    if x.ndim != 1 or y.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {x.ndim}D and {y.ndim}D tensors")
    if x.shape != y.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{x.numel}] and src [{y.numel}] to have "
            f"the same number of elements, but got {x.numel} and {y.numel} elements respectively")
    return x.with_shape(())


def _mv_aval(x: Aval, y: Aval) -> Aval:
    if x.ndim != 2 or y.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {x.ndim}, {y.ndim}")
    if x.shape[1] != y.shape[0]:
        raise RuntimeError(f"size mismatch, got input ({x.shape[0]}), mat "
                           f"({x.shape[0]}x{x.shape[1]}), vec ({y.shape[0]})")
    return x.with_shape(x.shape[:1])


def _mm_aval(x: Aval, y: Aval) -> Aval:
    if x.ndim != 2:
        raise RuntimeError("self must be a matrix")
    if y.ndim != 2:
        raise RuntimeError("mat2 must be a matrix")
    if x.shape[1] != y.shape[0]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied "
                           f"({x.shape[0]}x{x.shape[1]} and {y.shape[0]}x{y.shape[1]})")
    return x.with_shape((x.shape[0], y.shape[1]))


def _bmm_aval(x: Aval, y: Aval) -> Aval:
    if x.ndim != 3:
        raise RuntimeError("batch1 must be a 3D tensor")
    if y.ndim != 3:
        raise RuntimeError("batch2 must be a 3D tensor")
    if x.shape[0] != y.shape[0] or x.shape[2] != y.shape[1]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{x.shape[0]}, "
            f"{x.shape[2]}] but got: [{y.shape[0]}, {y.shape[1]}].")
    return x.with_shape((x.shape[0], x.shape[1], y.shape[2]))


def outer(x: Any, y: Any) -> Any:
    """x_i y_j of two vectors, arrays or tensors."""
    return reshape(x, shape=(x.shape[0], 1)) * y


dot = primitive("dot", np.dot, abstract=_dot_aval, vjp=(lambda g, y: g * y, lambda g, x: g * x),
                refuses={"b": "dot"})
mv = primitive("mv", np.dot, abstract=_mv_aval,
               vjp=(lambda g, y: outer(g, y), lambda g, x: mv(mT(x), g)),
               refuses={"b": "addmv_impl_cpu"})
mm = primitive("mm", np.matmul, abstract=_mm_aval,
               vjp=(lambda g, y: mm(g, mT(y)), lambda g, x: mm(mT(x), g)),
               refuses={"b": "addmm_impl_cpu_"})
bmm = primitive("bmm", np.matmul, abstract=_bmm_aval,
                vjp=(lambda g, y: bmm(g, mT(y)), lambda g, x: bmm(mT(x), g)),
                refuses={"b": "bmm"})


# --- einsum -----------------------------------------------------------------------------------
# Letters are hashable parameters: `terms` one string per operand, `result` a string, all without
# ellipses or repeated letters within a term (the face above sees to that).


def _einsum(*xs: np.ndarray, terms: tuple[str, ...], result: str) -> np.ndarray:
    return np.einsum(f"{','.join(terms)}->{result}", *xs, optimize=len(xs) > 1)


def _einsum_aval(*avals: Aval, terms: tuple[str, ...], result: str) -> Aval:
    sizes: dict[str, int] = {}
    for i, (aval, term) in enumerate(zip(avals, terms, strict=True)):
        for letter, n in zip(term, aval.shape, strict=True):
            if sizes.setdefault(letter, n) in (n, 1):
                sizes[letter] = n
            elif n != 1:
                raise RuntimeError(
                    f"einsum(): subscript {letter} has size {n} for operand {i} which does not "
                    f"broadcast with previously seen size {sizes[letter]}")
    return avals[0].with_shape(sizes[letter] for letter in result)


def _einsum_pullback(g: Any, xs: list[Any], avals: tuple[Aval, ...], i: int,
                     terms: tuple[str, ...], result: str) -> Any:
    """Contracts g with the other operands; letters that only operand i has were summed away."""
    rest = [(x, term) for j, (x, term) in enumerate(zip(xs, terms, strict=True)) if j != i]
    seen = set(result).union(*(term for _, term in rest))
    term = "".join(letter for letter in terms[i] if letter in seen)
    found = einsum(g, *(x for x, _ in rest), terms=(result, *(t for _, t in rest)), result=term)
    shape = tuple(found.shape[term.index(c)] if c in term else 1 for c in terms[i])
    found = reshape(found, shape=shape)
    if any(m == 1 < n for n, m in zip(shape, avals[i].shape, strict=True)):
        return sum_to(found, shape=avals[i].shape)  # this operand's 1 was broadcast
    return expand(found, shape=avals[i].shape)


einsum = primitive("einsum", _einsum, abstract=_einsum_aval, vjp=_einsum_pullback,
                   refuses={"b": "bmm"})

