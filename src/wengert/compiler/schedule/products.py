"""Matrix products: operands as matrices in memory, transposed ones without a copy."""

from __future__ import annotations

import contextlib
import dataclasses

from ..nest import Buffer, Matrix, Product
from ..program import Line, Value
from .access import Ints, MisfitError, RefineError, dense, through
from .placing import Steps


def product(steps: Steps, line: Line, out: Buffer, turned: bool = False) -> Product:
    """The step that an `mm` or `bmm` line is; if turned, it gives the transpose of the result."""
    x, y = line.operands
    *batch, m, k = x.aval.shape
    n = y.aval.shape[-1]
    a, b, count = _operand(steps, x), _operand(steps, y), batch[0] if batch else 1
    if turned:
        return Product(_turned(b), _turned(a), _matrix(out, (*batch, n, m)), count, n, k, m)
    return Product(a, b, _matrix(out, (*batch, m, n)), count, m, k, n)


def transposes(line: Line) -> bool:
    """Whether a `strided` line is the transpose of its operand's matrices."""
    *batch, m, n = line.operands[0].aval.shape
    if tuple(line.result.aval.shape) != (*batch, n, m) or line.params["offset"]:
        return False
    *steps, row, col = dense((*batch, m, n))
    return tuple(line.params["strides"]) == (*steps, col, row)


def _turned(matrix: Matrix) -> Matrix:
    return dataclasses.replace(matrix, row=matrix.col, col=matrix.row)


def _matrix(buffer: Buffer, shape: Ints, strides: Ints | None = None, offset: int = 0) -> Matrix:
    *batch, row, col = dense(shape) if strides is None else strides
    return Matrix(buffer, offset, batch[0] if batch else 0, row, col)


def _operand(steps: Steps, x: Value) -> Matrix:
    """A value as a matrix in memory: a view of one, or in memory of its own."""
    known, shape = steps.of(x), tuple(x.aval.shape)
    if known.buffer is None and known.view is not None:
        base, strides, offset = known.view
        with contextlib.suppress(MisfitError, RefineError):  # it has a shape that the view hasn't
            strides, offset = through(dense(shape), 0, shape, tuple(known.value.aval.shape),
                                      strides, offset)
            fitting = _fitting(shape, strides)
            if fitting is not None:
                return _matrix(_memory(steps, base), shape, fitting, offset)
    return _matrix(_memory(steps, x), shape)


def _memory(steps: Steps, x: Value) -> Buffer:
    buffer = steps.stored(x).buffer
    assert buffer is not None
    return buffer


def _fitting(shape: Ints, strides: Ints) -> Ints | None:
    """The strides of a region that is a matrix to BLAS, or several; None if it is none."""
    m, n = shape[-2:]
    *step, row, col = strides
    if (col == 1 or n == 1) and (row >= n or m == 1):
        return (*step, max(row, n) if m > 1 else n, 1)
    if (row == 1 or m == 1) and (col >= m or n == 1):
        return (*step, 1, max(col, m) if n > 1 else m)
    return None
