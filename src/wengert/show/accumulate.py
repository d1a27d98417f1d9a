"""Local partial derivatives, and the two ways to accumulate them along a Wengert list.

Forward accumulation goes through the list from the first step to the last and carries tangents,
the derivatives of every value by one leaf. Reverse accumulation goes from the last step to the
first and carries adjoints, the derivatives of the result by every value. Both multiply the same
local partials, in opposite order; so both arrive at the same derivative of the result by the leaf.

Derivatives are matrices here: a row per element of what is differentiated, a column per element
of what it is differentiated by. A local partial of an elementwise step is kept as its diagonal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .tape_reader import Entry

MOST_ROWS = 256
MOST_ELEMENTS = 1 << 16
"""Jacobians beyond this are not formed: they could not be read, and would be slow to compute."""


@dataclass(frozen=True, slots=True)
class Local:
    """The local partial of one step by one operand.

    Attributes:
        array: its diagonal, if `diagonal`; else the matrix.
        diagonal: whether the matrix is diagonal by the nature of the operation.
    """

    array: np.ndarray
    diagonal: bool

    def times(self, tangent: np.ndarray) -> np.ndarray:
        """The local partial times a tangent: a step of forward accumulation."""
        product: np.ndarray = (self.array[:, None] * tangent if self.diagonal
                               else self.array @ tangent)
        return product

    def after(self, adjoint: np.ndarray) -> np.ndarray:
        """An adjoint times the local partial: a step of reverse accumulation."""
        product: np.ndarray = adjoint * self.array if self.diagonal else adjoint @ self.array
        return product


def local_partials(entry: Entry) -> list[Local | None]:
    """The local partial by each operand.

    None for constants, for complex numbers (whose derivative is no single number), and for
    Jacobians that are too large.

    Raises:
        RuntimeError: if a value that a rule reads was overwritten since.
    """
    if entry.aval.is_complex or not any(entry.sources):
        return [None] * len(entry.sources)
    kind = getattr(entry.node, "primitive", None)
    elementwise = kind is not None and kind.elementwise
    same = [s is not None and s.aval.shape == entry.aval.shape for s in entry.sources]
    found: list[Local | None] = [None] * len(entry.sources)
    if elementwise and any(same) and entry.aval.numel > 1:
        ones = entry.aval.ones()
        found = [Local(np.asarray(g).reshape(-1), True) if ok and g is not None else None
                 for ok, g in zip(same, entry.pull(ones), strict=True)]
    if any(s is not None and local is None for s, local in zip(entry.sources, found, strict=True)):
        found = [local or rows for local, rows in zip(found, _by_rows(entry), strict=True)]
    return [None if s is None or s.aval.is_complex else local
            for s, local in zip(entry.sources, found, strict=True)]


def _by_rows(entry: Entry) -> list[Local | None]:
    """Local partials row by row: what the node's rules make of each basis cotangent."""
    rows = entry.aval.numel
    small = [s is not None and rows * s.aval.numel <= MOST_ELEMENTS for s in entry.sources]
    if rows > MOST_ROWS or not any(small):
        return [None] * len(small)
    matrices = [np.zeros((rows, s.aval.numel), s.aval.numpy) if ok and s is not None else None
                for ok, s in zip(small, entry.sources, strict=True)]
    for row, basis in enumerate(np.eye(rows, dtype=entry.aval.numpy)):
        for matrix, g in zip(matrices, entry.pull(basis.reshape(entry.aval.shape)), strict=True):
            if matrix is not None and g is not None:
                matrix[row] = np.asarray(g).reshape(-1)
    return [None if matrix is None else Local(matrix, False) for matrix in matrices]


Locals = list[list[Local | None]]
"""Per entry, the local partial by each operand."""


def forward(entries: list[Entry], partials: Locals, seed: Entry) -> dict[Entry, np.ndarray | None]:
    """Tangents: the derivative of every entry by the seed; None where it was not formed."""
    tangents: dict[Entry, np.ndarray | None] = {}
    for entry, locals_ in zip(entries, partials, strict=True):
        if entry is seed:
            tangents[entry] = _identity(entry)
            continue
        total: np.ndarray | None = _zeros(entry.aval.numel, seed.aval.numel, entry)
        for source, local in zip(entry.sources, locals_, strict=True):
            if source is None or total is None:
                continue
            tangent = tangents[source]
            if tangent is not None and not tangent.any():
                continue  # the seed does not lead here, whatever the local partial is
            total = (None if tangent is None or local is None
                     else total + _quiet(local.times, tangent))
        tangents[entry] = total
    return tangents


def reverse(entries: list[Entry], partials: Locals) -> dict[Entry, np.ndarray | None]:
    """Adjoints: the derivative of the last entry by every entry; None where it was not formed."""
    result = entries[-1]
    adjoints: dict[Entry, np.ndarray | None] = {
        entry: _zeros(result.aval.numel, entry.aval.numel, entry) for entry in entries}
    adjoints[result] = _identity(result)
    for entry, locals_ in zip(reversed(entries), reversed(partials), strict=True):
        adjoint = adjoints[entry]
        for i, (source, local) in enumerate(zip(entry.sources, locals_, strict=True)):
            if source is None:
                continue
            total = adjoints[source]
            adjoints[source] = (None if adjoint is None or total is None
                                else total + _pulled(entry, i, local, adjoint))
    return adjoints


def _pulled(entry: Entry, i: int, local: Local | None, adjoint: np.ndarray) -> np.ndarray:
    """One operand's share; by the rules directly, where the local partial was not formed."""
    if local is not None:
        return _quiet(local.after, adjoint)
    source = entry.sources[i]
    assert source is not None
    rows = np.zeros((len(adjoint), source.aval.numel), source.aval.numpy)
    for row, g in enumerate(adjoint):
        share = entry.pull(np.ascontiguousarray(g.reshape(entry.aval.shape)))[i]
        if share is not None:
            rows[row] = np.asarray(share).reshape(-1)
    return rows


def _identity(entry: Entry) -> np.ndarray | None:
    n = entry.aval.numel
    return np.eye(n, dtype=entry.aval.numpy) if _fits(n, n) else None


def _zeros(rows: int, columns: int, entry: Entry) -> np.ndarray | None:
    return np.zeros((rows, columns), entry.aval.numpy) if _fits(rows, columns) else None


def _fits(rows: int, columns: int) -> bool:
    """Whether a matrix is formed: a single row or column always is, being just a gradient."""
    return rows * columns <= MOST_ELEMENTS or min(rows, columns) == 1


def _quiet(function: Callable[[np.ndarray], np.ndarray], operand: np.ndarray) -> np.ndarray:
    """Infinite partials flow on as IEEE says, without NumPy's warnings."""
    with np.errstate(all="ignore"):
        return function(operand)
