"""Primitives that contract dimensions: products of vectors and matrices, and einsum."""

from __future__ import annotations

import functools
import math
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import buffers
from ..core.aval import Aval
from ..core.blas import in_parts
from ..core.formats import as_made, joint
from ..core.primitive import Primitive, primitive
from .layout import conj, expand, mT, permute, reshape, roll, sum_to
from .reductions import sum_


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


def _row_by_row(x: Any, y: Any) -> Any:
    """x_i y_j of two vectors, or of those of each example."""
    return reshape(x, shape=(*x.shape, 1)) * reshape(y, shape=(*y.shape[:-1], 1, y.shape[-1]))


_MUCH = 1 << 20
"""Products of numbers from which on matrices are multiplied on several threads."""


def _bmm(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Each product on one thread: BLAS's would wait for each other after each."""
    if x.size * y.shape[2] < _MUCH:
        return np.matmul(x, y)
    out = buffers.empty((*x.shape[:2], y.shape[2]), x.dtype)

    def work(part: slice) -> None:
        np.matmul(x[part], y[part], out=out[part])

    in_parts(work, x.shape[0], x[0].size + y[0].size + out[0].size)
    return out


def _dot_examples(size: int, batched: tuple[bool, bool], x: Any, y: Any) -> Any:
    if all(batched):
        n = x.shape[1]
        return reshape(bmm(reshape(x, shape=(size, 1, n)), reshape(y, shape=(size, n, 1))),
                       shape=(size,))
    return mv(x, y) if batched[0] else mv(y, x)


def _vdot_examples(size: int, batched: tuple[bool, bool], x: Any, y: Any) -> Any:
    return _dot_examples(size, batched, conj(x), y)


def _mv_examples(size: int, batched: tuple[bool, bool], x: Any, y: Any) -> Any:
    if not batched[0]:
        return mm(y, mT(x))
    n, m = x.shape[1:]
    if not batched[1]:
        return reshape(mv(reshape(x, shape=(size * n, m)), y), shape=(size, n))
    return reshape(bmm(x, reshape(y, shape=(size, m, 1))), shape=(size, n))


def _mm_examples(size: int, batched: tuple[bool, bool], x: Any, y: Any) -> Any:
    if not batched[1]:
        rows = reshape(x, shape=(size * x.shape[1], x.shape[2]))
        return reshape(mm(rows, y), shape=(size, x.shape[1], y.shape[1]))
    return bmm(x if batched[0] else expand(x, shape=(size, *x.shape)), y)


def _bmm_examples(size: int, batched: tuple[bool, bool], x: Any, y: Any) -> Any:
    x, y = (v if b else expand(v, shape=(size, *v.shape))
            for v, b in zip((x, y), batched, strict=True))
    many = size * x.shape[1]
    found = bmm(reshape(x, shape=(many, *x.shape[2:])), reshape(y, shape=(many, *y.shape[2:])))
    return reshape(found, shape=(size, x.shape[1], *found.shape[1:]))


dot = primitive("dot", np.dot, abstract=_dot_aval, vjp=(lambda g, y: g * y, lambda g, x: g * x),
                multilinear=True, batch=_dot_examples, terms=(("i", "i"), ""),
                refuses={"b": "dot"}, lower=lambda x, y: sum_(x * y, dims=(0,), keepdim=False))
vdot = primitive("vdot", np.vdot, abstract=_dot_aval, conjugate=False, batch=_vdot_examples,
                 vjp=(lambda g, y: conj(g) * y, lambda g, x: g * x), refuses={"b": "dot"},
                 jvp=(lambda t, y: dot(conj(t), y), lambda t, x: dot(conj(x), t)))
"""Of complex vectors: the first is conjugated."""
real_vdot = dot.named("VdotBackward0")
outer = primitive("outer", lambda x, y: x.reshape(-1, 1) * y,
                  abstract=lambda x, y: x.with_shape((x.shape[0], y.shape[0])),
                  vjp=(lambda g, y: mv(g, y), lambda g, x: mv(mT(g), x)), multilinear=True,
                  batch=lambda size, batched, x, y: _row_by_row(x, y), node="MulBackward0",
                  terms=(("i", "j"), "ij"), lower=_row_by_row)
"""Of two vectors; a rule of its own spares what is multiplied and then summed."""
mv = primitive("mv", np.dot, abstract=_mv_aval,
               vjp=(lambda g, y: outer(g, y), lambda g, x: mv(mT(x), g)),
               multilinear=True, batch=_mv_examples, terms=(("ij", "j"), "i"),
               refuses={"b": "addmv_impl_cpu"}, lower=lambda x, y: reshape(
                   mm(x, reshape(y, shape=(y.shape[0], 1))), shape=(x.shape[0],)))
mm = primitive("mm", np.dot, abstract=_mm_aval,
               vjp=(lambda g, y: mm(g, mT(y)), lambda g, x: mm(mT(x), g)),
               multilinear=True, batch=_mm_examples, terms=(("ij", "jk"), "ik"),
               refuses={"b": "addmm_impl_cpu_"})
bmm = primitive("bmm", _bmm, abstract=_bmm_aval,
                vjp=(lambda g, y: bmm(g, mT(y)), lambda g, x: bmm(mT(x), g)),
                multilinear=True, batch=_bmm_examples, terms=(("aij", "ajk"), "aik"),
                refuses={"b": "bmm"})


# --- Kronecker's product ----------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def _blocks(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Shapes in which operands meet, that of their product, and that of the result."""
    n = max(len(x), len(y))
    x, y = (1,) * (n - len(x)) + x, (1,) * (n - len(y)) + y
    pairs = tuple(zip(x, y, strict=True))
    return (tuple(m for a in x for m in (a, 1)), tuple(m for b in y for m in (1, b)),
            tuple(m for pair in pairs for m in pair), tuple(a * b for a, b in pairs))


def _kron(x: Any, y: Any) -> Any:
    left, right, _, result = _blocks(tuple(x.shape), tuple(y.shape))
    return reshape(reshape(x, shape=left) * reshape(y, shape=right), shape=result)


def _kron_array(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    left, right, _, result = _blocks(x.shape, y.shape)
    x, y = x.reshape(left), y.reshape(right)
    return joint(x * y, (x, y)).reshape(result)


def _kron_pulled(g: Any, other: Any, avals: tuple[Aval, ...], i: int) -> Any:
    """The blocks of g, each summed up with the other operand's elements."""
    *sides, both, _ = _blocks(avals[0].shape, avals[1].shape)
    found = reshape(g, shape=both) * reshape(other, shape=sides[1 - i])
    return reshape(sum_to(found, shape=sides[i]), shape=avals[i].shape)


def _kron_examples(size: int, batched: tuple[bool, bool], x: Any, y: Any) -> Any:
    left, right, _, result = _blocks(tuple(x.shape[batched[0]:]), tuple(y.shape[batched[1]:]))
    x, y = (reshape(v, shape=(size, *side) if b else side)
            for v, side, b in zip((x, y), (left, right), batched, strict=True))
    return reshape(x * y, shape=(size, *result))


kron = primitive(
    "kron", _kron_array, lower=_kron, order=as_made, batch=_kron_examples, multilinear=True,
    abstract=lambda x, y: x.with_shape(_blocks(x.shape, y.shape)[-1]), node="UnsafeViewBackward0",
    vjp=(lambda g, y, avals: _kron_pulled(g, y, avals, 0),
         lambda g, x, avals: _kron_pulled(g, x, avals, 1)))
"""Each element of one, times all of the other, in blocks."""


_NEXT, _LAST = np.array((1, 2, 0)), np.array((2, 0, 1))


def _cross(x: np.ndarray, y: np.ndarray, dim: int) -> np.ndarray:
    out = x.take(_NEXT, dim) * y.take(_LAST, dim)
    out -= x.take(_LAST, dim) * y.take(_NEXT, dim)
    return out


def _lower_cross(x: Any, y: Any, dim: int) -> Any:
    def at(v: Any, by: int) -> Any:
        return roll(v, shifts=(-by,), dims=(dim,))

    return at(x, 1) * at(y, 2) - at(x, 2) * at(y, 1)


cross = primitive(
    "cross", _cross, lower=_lower_cross, multilinear=True, abstract=lambda x, y, dim: x,
    vjp=(lambda g, y, dim: cross(y, g, dim=dim), lambda g, x, dim: cross(g, x, dim=dim)),
    node="LinalgCrossBackward0")
"""The cross products of vectors of three elements along a dimension, of two operands alike."""

# --- with an addend ---------------------------------------------------------------------------


def _times(factor: Any, x: Any) -> Any:
    return x if factor == 1 else x * factor


def _with_addend(name: str, product: Primitive) -> Primitive:
    """beta * x + alpha * product(y, z), x being broadcast to the product."""
    assert isinstance(product.vjp, tuple)
    left, right = (rule.fn for rule in product.vjp if rule is not None)

    def evaluate(x: np.ndarray, y: np.ndarray, z: np.ndarray, beta: Any, alpha: Any) -> np.ndarray:
        out = product.evaluate(y, z)
        if alpha != 1:
            out *= alpha
        if beta != 0:  # what is multiplied by 0 may be NaN
            out += _times(beta, x)
        return out

    def abstract(x: Aval, y: Aval, z: Aval, beta: Any, alpha: Any) -> Aval:
        return product.abstract(y, z)

    def decompose(x: Any, y: Any, z: Any, beta: Any, alpha: Any) -> Any:
        found = _times(alpha, product(y, z))
        return found if beta == 0 else found + _times(beta, x)

    return primitive(
        name, evaluate, abstract=abstract, decompose=decompose,
        vjp=(lambda g, x_aval, beta: _times(beta.conjugate(), sum_to(g, shape=x_aval.shape)),
             lambda g, z, alpha: left(_times(alpha.conjugate(), g), z),
             lambda g, y, alpha: right(_times(alpha.conjugate(), g), y)),
        jvp=(lambda t, out_aval, beta: expand(_times(beta, t), shape=out_aval.shape),
             lambda t, z, alpha: _times(alpha, product(t, z)),
             lambda t, y, alpha: _times(alpha, product(y, t))))


addmm, addmv, baddbmm = (_with_addend("addmm", mm), _with_addend("addmv", mv),
                         _with_addend("baddbmm", bmm))


# --- einsum -----------------------------------------------------------------------------------
# Letters are hashable parameters: `terms` one string per operand, `result` a string, all without
# ellipses or repeated letters within a term (the face above sees to that).


_FEW_PRODUCTS = 4096


def _einsum(*xs: np.ndarray, terms: tuple[str, ...], result: str) -> np.ndarray:
    # An order of contraction is worth looking for where there is much to multiply.
    if len(xs) > 1 and math.prod([x.size for x in xs]) > _FEW_PRODUCTS:
        # NumPy has the letters of a pair's later operand first in memory.
        order: Any = "K" if len(xs) == 2 else "C"
        return np.einsum(f"{','.join(terms[::-1])}->{result}", *xs[::-1], optimize=True,
                         order=order)
    order = "K" if len(xs) == 1 and len(result) == len(terms[0]) else "C"  # K makes a view
    return np.einsum(f"{','.join(terms)}->{result}", *xs, order=order)


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


Term = tuple[Any, str]
"""An operand and its letters."""


def _lower_einsum(*xs: Any, terms: tuple[str, ...], result: str) -> Any:
    """Two operands at a time, in the order that NumPy finds cheapest."""
    sizes = {c: n for x, term in zip(xs, terms, strict=True)
             for c, n in zip(term, x.shape, strict=True) if n != 1}
    todo = [_unstretched(x, term, sizes) for x, term in zip(xs, terms, strict=True)]
    for places in _einsum_order(todo, result):
        chosen = [todo[i] for i in places]
        todo = [each for i, each in enumerate(todo) if i not in places]
        todo.append(_contracted(chosen, set(result).union(*(term for _, term in todo))))
    ((x, term),) = todo
    return permute(x, dims=tuple(term.index(c) for c in result))


def _unstretched(x: Any, term: str, sizes: dict[str, int]) -> Term:
    """Without the letters along which the operand is repeated."""
    kept = [d for d, c in enumerate(term) if x.shape[d] != 1 or c not in sizes]
    return reshape(x, shape=tuple(x.shape[d] for d in kept)), "".join(term[d] for d in kept)


def _einsum_order(todo: list[Term], result: str) -> Sequence[tuple[int, ...]]:
    stand_ins = [np.broadcast_to(np.empty(()), tuple(x.shape)) for x, _ in todo]
    letters = ",".join(term for _, term in todo)
    return np.einsum_path(f"{letters}->{result}", *stand_ins, optimize="greedy")[0][1:]


def _contracted(chosen: list[Term], kept: set[str]) -> Term:
    """The product of some operands, summed over the letters that nobody else has."""
    while len(chosen) > 1:
        first, second, *rest = chosen
        needed = kept.union(*(term for _, term in rest))
        chosen = [_product(_summed(*first, needed.union(second[1])),
                           _summed(*second, needed.union(first[1])), needed), *rest]
    return _summed(*chosen[0], kept)


def _summed(x: Any, term: str, kept: set[str]) -> Term:
    dims = tuple(d for d, c in enumerate(term) if c not in kept)
    if not dims:
        return x, term
    return sum_(x, dims=dims, keepdim=False), "".join(c for c in term if c in kept)


def _product(first: Term, second: Term, kept: set[str]) -> Term:
    """A matrix product where letters that only one has meet letters that both lose."""
    (x, a), (y, b) = first, second
    inner = "".join(c for c in a if c not in kept)
    shared = "".join(c for c in a if c in b and c in kept)
    rows, cols = ("".join(c for c in mine if c not in other and c in kept)
                  for mine, other in ((a, b), (b, a)))
    if not inner or not (rows or cols):
        letters = shared + rows + cols + inner
        return _summed(_spread_out(x, a, letters) * _spread_out(y, b, letters), letters, kept)
    x, y = _grouped(x, a, shared, rows, inner), _grouped(y, b, shared, inner, cols)
    sizes = dict(zip(a + b, (*first[0].shape, *second[0].shape), strict=True))
    found = bmm(x, y) if shared else mm(x, y)
    letters = shared + rows + cols
    return reshape(found, shape=tuple(sizes[c] for c in letters)), letters


def _spread_out(x: Any, term: str, letters: str) -> Any:
    """With a dimension per letter, of size 1 for those that it doesn't have."""
    x = permute(x, dims=tuple(term.index(c) for c in letters if c in term))
    shape = iter(x.shape)
    return reshape(x, shape=tuple(next(shape) if c in term else 1 for c in letters))


def _grouped(x: Any, term: str, shared: str, *groups: str) -> Any:
    """With a dimension per group of letters, and one for those that both have, if there are any."""
    order = [term.index(c) for c in shared + "".join(groups)]
    sizes = [math.prod(x.shape[term.index(c)] for c in group)
             for group in ((shared, *groups) if shared else groups)]
    return reshape(permute(x, dims=tuple(order)), shape=tuple(sizes))


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


def _einsum_examples(size: int, batched: tuple[bool, ...], *xs: Any, terms: tuple[str, ...],
                     result: str) -> Any:
    """One letter more, for the examples."""
    letter = next(c for c in string.ascii_letters if all(c not in t for t in terms))
    terms = tuple(letter + t if b else t for t, b in zip(terms, batched, strict=True))
    return einsum(*xs, terms=terms, result=letter + result)


einsum = primitive("einsum", _einsum, abstract=_einsum_aval, vjp=_einsum_pullback,
                   multilinear=True, batch=_einsum_examples, refuses={"b": "bmm"},
                   lower=_lower_einsum)
