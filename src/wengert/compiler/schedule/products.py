"""Matrix products: operands as they lie in memory, transposes and windows without a copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

from ..ir.nest import Access, Buffer, Contraction, Matrix, Product
from ..ir.program import Line, Value
from ..tiling import tiling
from .access import Ints, MisfitError, RefineError, dense, merged, split, through
from .placing import Steps

_MODEST = 1 << 14
"""Multiplications below which copies are no loss."""
_LETTERS = ("bmk", "bkn", "bmn")  # the loops of a, b and out


class Spots(NamedTuple):
    """Where elements lie that follow one another in loops of these sizes."""

    buffer: Buffer
    sizes: Ints
    strides: Ints
    offset: int = 0

    def cut(self, sizes: Ints) -> Spots | None:
        """The same in finer loops, neighbours of which make up loops of these sizes."""
        finer = merged(self.sizes, sizes)
        if finer is None:
            return None
        return self._replace(sizes=finer, strides=split(self.strides, self.sizes, finer))

    def through(self, other: Spots) -> Spots | None:
        """The same, if what is said is where it lies among the elements of another."""
        sizes, strides = self.sizes, self.strides
        while True:
            try:
                return Spots(other.buffer, sizes, *through(
                    strides, self.offset, sizes, other.sizes, other.strides, other.offset))
            except RefineError as error:
                n, inner = error.loop, error.inner
                finer = (*sizes[:n], sizes[n] // inner, inner, *sizes[n + 1:])
                turning = tuple(size for size in finer if size != 1)
                sizes, strides = turning, split(strides, sizes, turning)
            except MisfitError:
                return None


def spots(buffer: Buffer, shape: Ints) -> Spots:
    """An array in memory of its own."""
    return Spots(buffer, shape, dense(shape))


def product(steps: Steps, line: Line, out: Spots, accumulate: bool = False
            ) -> Product | Contraction:
    """The step that an `mm` or `bmm` line is; `out` are the places of its result's elements."""
    x, y = line.operands
    places, sizes = (_places(steps, x), _places(steps, y), out), _sizes(line)
    shapes = [tuple(sizes[c] for c in letters) for letters in _LETTERS]
    matrices = [_matrix(each, shape) for each, shape in zip(places, shapes, strict=True)]
    found = contraction(*places, sizes, accumulate) if None in matrices else None
    if found is not None:
        return found
    a, b = (m or Matrix(steps.memory(v), 0, *dense(shape))
            for m, v, shape in zip(matrices, (x, y), shapes, strict=False))
    to = matrices[2]
    assert to is not None
    return Product(a, b, to, sizes["b"], sizes["m"], sizes["k"], sizes["n"], accumulate)


def folded(steps: Steps, line: Line, out: Spots, accumulate: bool = False) -> Contraction | None:
    """The step for an `mm` or `bmm` line of whose result several elements are added up in one
    place; None if it is not to be done by tiles."""
    x, y = line.operands
    return contraction(_places(steps, x), _places(steps, y), out, _sizes(line), accumulate)


def contraction(a: Spots, b: Spots, out: Spots, sizes: Mapping[str, int],
                accumulate: bool = False) -> Contraction | None:
    """A product of what lies anyhow; None if it is not to be done by tiles.

    Args:
        a, b, out: where the elements lie, in the order of a product's.
        sizes: of its loops: b(atch), m, k, n.
        accumulate: whether it is added to what is there.
    """
    if prod(sizes.values()) < _MODEST:
        return None
    loops = []
    for each, letters in zip((a, b, out), _LETTERS, strict=True):
        finer = each.cut(tuple(sizes[c] for c in letters))
        if finer is None:
            return None
        loops.append(_by_letter(finer, letters, sizes))
    found: list[tuple[int, ...]] = []
    for c in "bmkn":
        own = [each[c][0] for each in loops if c in each]
        joint = _finest(own)
        if joint is None:
            return None
        found += zip(joint, *(split(each[c][1], each[c][0], joint) if c in each
                              else (0,) * len(joint) for each in loops), strict=True)
    order, *ways = zip(*found, strict=True)
    x, y, to = (Access(each.buffer, way, each.offset)
                for each, way in zip((a, b, out), ways, strict=True))
    made = Contraction(order, x, y, to, accumulate)
    return made if tiling(made, 256) else None


def _finest(loops: Sequence[Ints]) -> Ints | None:
    """Loops of which all these are made by joining neighbours; None if there are none."""
    found: Ints | None = loops[0]
    for each in loops[1:]:
        found = None if found is None else merged(found, each)
    return found


def _by_letter(places: Spots, letters: str, sizes: Mapping[str, int]
               ) -> dict[str, tuple[Ints, Ints]]:
    """The loops (sizes and strides) that each of a product's loops consists of."""
    found, left = {}, list(zip(places.sizes, places.strides, strict=True))
    for c in letters:
        own: list[tuple[int, int]] = []
        while prod(n for n, _ in own) < sizes[c]:
            own.append(left.pop(0))
        found[c] = tuple(n for n, _ in own), tuple(s for _, s in own)
    return found


def _sizes(line: Line) -> dict[str, int]:
    x, y = line.operands
    *batch, m, k = x.aval.shape
    return {"b": batch[0] if batch else 1, "m": m, "k": k, "n": y.aval.shape[-1]}


def product_spots(line: Line, buffer: Buffer, turned: bool = False, summed: bool = False) -> Spots:
    """The places of a product's elements in a dense array: its transpose, if it is `turned`; its
    matrices' sum, if they are to be `summed`."""
    sizes = _sizes(line)
    shape = sizes["b"], sizes["m"], sizes["n"]
    step, row, col = dense(shape)
    if turned:
        row, col = 1, sizes["m"]
    return Spots(buffer, shape, (0 if summed else step, row, col))


def transposes(line: Line) -> bool:
    """Whether a `strided` line is the transpose of its operand's matrices."""
    *batch, m, n = line.operands[0].aval.shape
    if tuple(line.result.aval.shape) != (*batch, n, m) or line.params["offset"]:
        return False
    *steps, row, col = dense((*batch, m, n))
    return tuple(line.params["strides"]) == (*steps, col, row)


def _places(steps: Steps, x: Value) -> Spots:
    """Where a value lies: as a view of another, or in memory of its own."""
    known = steps.of(x)
    if known.buffer is not None or known.view is None:
        return spots(steps.memory(x), tuple(x.aval.shape))
    base, strides, offset = known.view
    below = _places(steps, base)
    view = Spots(below.buffer, tuple(known.value.aval.shape), strides, offset)
    return view.through(below) or view._replace(buffer=steps.memory(base))


def _matrix(places: Spots, shape: Ints) -> Matrix | None:
    """Places as matrices that the BLAS knows; None if they are none."""
    found = places.cut(shape)
    if found is None:
        return None
    loops = _by_letter(found, "bmn", dict(zip("bmn", shape, strict=True)))
    joint = [_joined(*loops[c]) for c in "bmn"]
    if None in joint:
        return None
    fitting = _fitting(shape, tuple(s for s in joint if s is not None))
    return None if fitting is None else Matrix(places.buffer, places.offset, *fitting)


def _joined(sizes: Ints, strides: Ints) -> int | None:
    """The stride of loops as a single one; None if they are none."""
    if not sizes:
        return 0
    joint = all(s == n * t for s, n, t in zip(strides, sizes[1:], strides[1:], strict=False))
    return strides[-1] if joint else None


def _fitting(shape: Ints, strides: Ints) -> Ints | None:
    """The strides of a region that is a matrix to BLAS, or several; None if it is none."""
    m, n = shape[-2:]
    *step, row, col = strides
    if (col == 1 or n == 1) and (row >= n or m == 1):
        return (*step, max(row, n) if m > 1 else n, 1)
    if (row == 1 or m == 1) and (col >= m or n == 1):
        return (*step, 1, max(col, m) if n > 1 else m)
    return None
