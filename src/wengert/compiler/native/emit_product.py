"""Matrix products: by tiles of our own, by calls of the BLAS, or as loops.

Tiles (`emit_contraction.py`) do most, as they know the sizes. The BLAS does vast products and those
with a vector; loops do tiny ones, and numbers that neither takes.

The BLAS knows matrices column by column. What lies row by row is the transpose of such a one, so
out = a @ b is computed as out' = b' @ a'; each operand says by its strides whether it is one or
the other.

A large product is shared among our own threads, each of which has the BLAS do a part of it alone:
threads of the BLAS would contend with ours for the same cores.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools

from ..ir.nest import (
    Access,
    Contraction,
    Load,
    Matrix,
    Nest,
    Number,
    Op,
    Product,
    Reduce,
    Stage,
    Statement,
    Store,
)
from ..ir.records import equal_record
from ..tiling import Tiling, tiling
from .emit_code import F32, F64, KINDS

SMALL = 100
"""Multiplications up to which loops are quicker than a call of the BLAS."""

WRITTEN = 16
"""Multiplications for a row (or column) of the result up to which they are written out."""

PARALLEL = 1 << 18
"""Multiplications from which on it is worth waking threads."""

_MODEST, _VAST = 1 << 13, 1 << 27
"""Multiplications from which on, and up to which, our own tiles are quicker than the BLAS."""

_BAND = 16  # rows or columns of a result that stay together


def routine(product: Product) -> str:
    """The BLAS routine for a product; "" if it is done by loops."""
    kind = KINDS[product.out.buffer.dtype]
    if kind not in (F32, F64) or is_narrow(product) or (
            product.m * product.k * product.n <= SMALL):
        return ""
    return ("s" if kind is F32 else "d") + ("gemv" if _is_vector(product) else "gemm")


def is_narrow(product: Product) -> bool:
    """Whether a row or a column of a product's result is little work, to be written out."""
    m, k, n = product.m, product.k, product.n
    return m * n > 1 and min(m, n) * k <= WRITTEN


def tiled(step: Product | Contraction, bits: int) -> tuple[Contraction, Tiling] | None:
    """How to do a step by tiles of our own; None if others are quicker, or it can't be done so."""
    if isinstance(step, Contraction):
        how = tiling(step, bits)
        return (step, how) if how else None
    work = step.count * step.m * step.k * step.n
    if not _MODEST <= work <= _VAST or is_narrow(step):
        return None
    contraction = contraction_of(step)
    how = tiling(contraction, bits)
    if how is None or (how.form == "packed" and how.panels == 1 and work >= PARALLEL):
        return None  # what is packed for all rows is for one thread
    return contraction, how


def parts(product: Product, workers: int) -> list[Product]:
    """A product as several, one for each thread: some matrices each, or some of the result's rows
    or columns."""
    if workers == 1 or product.count * product.m * product.k * product.n < PARALLEL:
        return [product]
    if product.count >= workers:
        return [_matrices(product, *cut) for cut in _cuts(product.count, workers)]
    by_row = product.m >= product.n
    bands = -(-(product.m if by_row else product.n) // _BAND)
    cuts = _cuts(bands, min(workers, bands))
    return [(_rows if by_row else _columns)(product, a * _BAND, b * _BAND) for a, b in cuts]


def _cuts(count: int, pieces: int) -> list[tuple[int, int]]:
    """So many things in so many pieces: each one's first, and the next one's."""
    bounds = [count * p // pieces for p in range(pieces + 1)]
    return list(itertools.pairwise(bounds))


def _moved(matrix: Matrix, by: int) -> Matrix:
    return dataclasses.replace(matrix, offset=matrix.offset + by)


def _matrices(p: Product, first: int, stop: int) -> Product:
    a, b, out = (_moved(x, first * x.batch) for x in (p.a, p.b, p.out))
    return dataclasses.replace(p, a=a, b=b, out=out, count=stop - first)


def _rows(p: Product, first: int, stop: int) -> Product:
    a, out = (_moved(x, first * x.row) for x in (p.a, p.out))
    return dataclasses.replace(p, a=a, out=out, m=min(stop, p.m) - first)


def _columns(p: Product, first: int, stop: int) -> Product:
    b, out = (_moved(x, first * x.col) for x in (p.b, p.out))
    return dataclasses.replace(p, b=b, out=out, n=min(stop, p.n) - first)


def contraction_of(product: Product) -> Contraction:
    """A product as the sums of products that it is."""
    a, b, out = product.a, product.b, product.out
    return Contraction(
        (product.count, product.m, product.k, product.n),
        Access(a.buffer, (a.batch, a.row, a.col, 0), a.offset),
        Access(b.buffer, (b.batch, 0, b.row, b.col), b.offset),
        Access(out.buffer, (out.batch, out.row, 0, out.col), out.offset), product.accumulate)


def nests_of(c: Contraction) -> list[Nest]:
    """A contraction as loops over its elements, after those that clear the result."""
    dtype, sizes, to = c.out.buffer.dtype, c.sizes, c.out
    operands = (Load(dtype, c.a), Load(dtype, c.b))
    term = Op(dtype, "multiply", operands)
    found = [Nest(sizes[:-1], sizes[-1], (Stage(True, (*operands, term, Store(to, term, "add"))),))]
    if not c.accumulate:
        kept = [(n, s) for n, s in zip(sizes, to.strides, strict=True) if s]
        zero = Number(dtype, 0)
        store = Store(Access(to.buffer, (*(s for _, s in kept), 0), to.offset), zero)
        found.insert(0, Nest(tuple(n for n, _ in kept), 1, (Stage(True, (zero, store)),)))
    return found


def nest_of(product: Product) -> Nest:
    """A small product as loops over its elements."""
    p = _transposed(product) if product.m < product.n else product
    if 0 < p.n * p.k <= WRITTEN:
        return _written_out(p)
    a, b, out = p.a, p.b, p.out
    dtype = out.buffer.dtype
    operands: tuple[Statement, ...] = (
        Load(dtype, Access(a.buffer, (a.batch, a.row, 0, a.col), a.offset)),
        Load(dtype, Access(b.buffer, (b.batch, 0, b.col, b.row), b.offset)))
    term = Op(dtype, "multiply", operands)
    total: Statement = Reduce(dtype, "add", term)
    to = Access(out.buffer, (out.batch, out.row, out.col), out.offset)
    after: list[Statement] = []
    if p.accumulate:
        old = Load(dtype, to)
        after = [old, Op(dtype, "add", (total, old))]
    stored = Store(to, after[-1] if after else total)
    return Nest((p.count, p.m, p.n), p.k,
                (Stage(True, (*operands, term, total)), Stage(False, (*after, stored))))


def _written_out(p: Product) -> Nest:
    """A row of the result in each turn; as a sweep over the rows where they lie side by side."""
    a, b, out, dtype = p.a, p.b, p.out, p.out.buffer.dtype
    sweep = p.m == 1 or (a.row == 1 and out.row == 1)
    found: list[Statement] = []

    def let(statement: Statement) -> Statement:
        found.append(statement)
        return statement

    row = [let(Load(dtype, Access(a.buffer, (a.batch, a.row), a.offset + i * a.col)))
           for i in range(p.k)]
    for j in range(p.n):
        col = [let(Load(dtype, Access(b.buffer, (b.batch, 0), b.offset + i * b.row + j * b.col)))
               for i in range(p.k)]
        terms = [let(Op(dtype, "multiply", pair)) for pair in zip(row, col, strict=True)]
        to = Access(out.buffer, (out.batch, out.row), out.offset + j * out.col)
        if p.accumulate:
            terms.append(let(Load(dtype, to)))
        let(Store(to, functools.reduce(lambda x, y: let(Op(dtype, "add", (x, y))), terms)))
    if sweep:
        return Nest((p.count,), p.m, (Stage(True, tuple(found)),))
    return Nest((p.count, p.m), 1, (Stage(False, tuple(found)),))


@equal_record
class Arguments:
    """What a BLAS routine is given.

    Attributes:
        flags: "N" for a matrix as it is to the BLAS, "T" for a transposed one.
        sizes: m, n, k; or those of the matrix that a vector is multiplied by.
        first, second, out: the operands in the BLAS's order.
        steps: from one row or column of each to the next; of a vector, from element to element.
    """

    flags: str
    sizes: tuple[int, ...]
    first: Matrix
    second: Matrix
    out: Matrix
    steps: tuple[int, int, int]


def arguments(product: Product) -> Arguments:
    """A product as the BLAS wants it."""
    if _is_vector(product):
        return _gemv(product if product.n == 1 else _transposed(product))
    if not _by_rows(product.out, product.m, product.n):
        product = _transposed(product)
    m, k, n = product.m, product.k, product.n
    parts = ((product.b, k, n), (product.a, m, k))
    flags = "".join("N" if _by_rows(*part) else "T" for part in parts)
    first, second, out = (_leading(*part) for part in (*parts, (product.out, m, n)))
    return Arguments(flags, (n, m, k), product.b, product.a, product.out, (first, second, out))


def _gemv(product: Product) -> Arguments:
    """A matrix times a vector."""
    a, m, k = product.a, product.m, product.k
    turned = _by_rows(a, m, k)
    return Arguments("T" if turned else "N", (k, m) if turned else (m, k), a, product.b,
                     product.out, (_leading(a, m, k), product.b.row, product.out.row))


def _is_vector(product: Product) -> bool:
    """Whether a product is of a matrix and a vector, whose result lies element by element: it is
    to be cleared, as what is there may be NaN, which not every BLAS overwrites."""
    if product.k == 1 or min(product.m, product.n) > 1:
        return False
    step = product.out.row if product.n == 1 else product.out.col
    return product.accumulate or step == 1


def _by_rows(matrix: Matrix, rows: int, cols: int) -> bool:
    """Whether a matrix can be said to lie row by row."""
    return (matrix.col == 1 or cols == 1) and (matrix.row >= cols or rows == 1)


def _leading(matrix: Matrix, rows: int, cols: int) -> int:
    """From one row (or column, if it doesn't lie by rows) to the next."""
    if _by_rows(matrix, rows, cols):
        return matrix.row if rows > 1 else max(cols, 1)
    return matrix.col if cols > 1 else max(rows, 1)


def _transposed(product: Product) -> Product:
    """out' = b' @ a'."""
    a, b, out = (dataclasses.replace(x, row=x.col, col=x.row)
                 for x in (product.a, product.b, product.out))
    return dataclasses.replace(product, a=b, b=a, out=out, m=product.n, n=product.m)
