"""Matrix products: calls of the BLAS, or loops for small ones and for numbers it doesn't take.

The BLAS knows matrices column by column. What lies row by row is the transpose of such a one, so
out = a @ b is computed as out' = b' @ a'; each operand says by its strides whether it is one or
the other.
"""

from __future__ import annotations

import dataclasses

from ..nest import Access, Load, Matrix, Nest, Op, Product, Reduce, Stage, Statement, Store
from .emit_scalar import F32, F64, KINDS

SMALL = 512
"""Multiplications up to which loops are quicker than a call of the BLAS."""


def routine(product: Product) -> str:
    """The BLAS routine for a product; "" if it is done by loops."""
    kind = KINDS[product.out.buffer.dtype]
    if kind not in (F32, F64) or product.m * product.k * product.n <= SMALL:
        return ""
    return "sgemm" if kind is F32 else "dgemm"


def nest_of(product: Product) -> Nest:
    """A small product as loops over its elements."""
    a, b, out = product.a, product.b, product.out
    dtype = out.buffer.dtype
    operands: tuple[Statement, ...] = (
        Load(dtype, Access(a.buffer, (a.batch, a.row, 0, a.col), a.offset)),
        Load(dtype, Access(b.buffer, (b.batch, 0, b.col, b.row), b.offset)))
    term = Op(dtype, "multiply", operands)
    total: Statement = Reduce(dtype, "add", term)
    to = Access(out.buffer, (out.batch, out.row, out.col), out.offset)
    after: list[Statement] = []
    if product.accumulate:
        old = Load(dtype, to)
        after = [old, Op(dtype, "add", (total, old))]
    stored = Store(to, after[-1] if after else total)
    return Nest((product.count, product.m, product.n), product.k,
                (Stage(True, (*operands, term, total)), Stage(False, (*after, stored))))


@dataclasses.dataclass(frozen=True, slots=True)
class Gemm:
    """The numbers of a BLAS call: out = first @ second in the BLAS's own order."""

    flags: str
    first: Matrix
    second: Matrix
    out: Matrix
    m: int
    n: int
    k: int
    leading: tuple[int, int, int]


def gemm(product: Product) -> Gemm:
    """A product as the BLAS wants it."""
    if not _by_rows(product.out, product.m, product.n):
        return gemm(_transposed(product))
    m, k, n = product.m, product.k, product.n
    parts = ((product.b, k, n), (product.a, m, k))
    flags = "".join("N" if _by_rows(*part) else "T" for part in parts)
    first, second, out = (_leading(*part) for part in (*parts, (product.out, m, n)))
    return Gemm(flags, product.b, product.a, product.out, n, m, k, (first, second, out))


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
