"""`graph`: the dependency graph of a result, explained; and `Drawing`, which it returns."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.handle import Handle
from ..core.levels import modes
from ..interpreters.views import refresh
from . import accumulate, table, words
from .tape_reader import Entry, find_values, read
from .tracing import traced


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """The local partial derivative on one edge of the graph.

    Attributes:
        source: the number of the step that the edge comes from.
        operand: that step's name.
        value: the derivative of this step by that one, of shape (*result, *operand); of the
            result's shape alone, if `diagonal`. None where it was too large to form.
        diagonal: whether `value` is the diagonal of the Jacobian: the operation is elementwise.
    """

    source: int
    operand: str
    value: np.ndarray | None
    diagonal: bool


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step of a Wengert list: a leaf, or a result, with all that the drawing says of it.

    Attributes:
        name: "x", "v1", ..., or as the caller calls it.
        operation: how it was computed, in the names of its operands; "" for a leaf.
        shape: its shape.
        dtype: the name of its dtype.
        value: its value; None where it is unknown.
        partials: the local partials by its operands (constants left out).
        tangents: leaf -> the derivative of this step by that leaf, accumulated forward from the
            leaf, of shape (*step, *leaf); None where it was too large to form.
        adjoint: the derivative of the result by this step, accumulated backward from the
            result, of shape (*result, *step); None where it was too large to form.
    """

    name: str
    operation: str
    shape: tuple[int, ...]
    dtype: str
    value: np.ndarray | None
    partials: tuple[Partial, ...]
    tangents: Mapping[str, np.ndarray | None]
    adjoint: np.ndarray | None


class Drawing:
    """The dependency graph of a result. Made by `graph`; shows itself in a notebook.

    Printed, it is the table. It does not change when the tensors do.

    Attributes:
        steps: the Wengert list, a `Step` for each value, operands first, the result last.
        leaves: the names of what the tangents are derivatives by.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor(3., requires_grad=True)
        >>> drawing = torch.show.graph(x * x)
        >>> [(step.name, step.operation) for step in drawing.steps]
        [('x', ''), ('f', 'x * x')]
        >>> drawing.steps[0].adjoint
        array(6., dtype=float32)
    """

    def __init__(self, steps: tuple[Step, ...], leaves: tuple[str, ...], digits: int) -> None:
        self.steps, self.leaves = steps, leaves
        self._digits = digits
        self._scene: Any = None

    @property
    def svg(self) -> str:
        """The picture, as the text of an SVG file.

        Raises:
            ImportError: if the library that lays the graph out is missing.
        """
        from .svg import to_svg  # only who draws pays

        return to_svg(self._laid_out())

    def _laid_out(self) -> Any:
        if self._scene is None:
            from .scene import compose

            self._scene = compose(self.steps, self.leaves, self._digits)
        return self._scene

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Writes the picture (or, to a `.txt` file, the table) and returns the path.

        Args:
            path: its ending says what is written: .svg, .txt, or anything that matplotlib
                writes, such as .png and .pdf. Missing folders are made.

        Raises:
            ImportError: if the library that lays the graph out, or matplotlib, is missing.
        """
        path = Path(path)
        if path.suffix == ".svg":
            text: str | None = self.svg
        else:
            text = f"{self.table()}\n" if path.suffix == ".txt" else None
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text, encoding="utf-8")
        else:
            from .raster import write

            write(self._laid_out(), path)
        return path

    def table(self) -> str:
        """The Wengert list as a table: operations, values, partials, tangents and adjoints."""
        return table.text(self.steps, self.leaves, self._digits)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<Drawing of {self.steps[-1].name} in {len(self.steps)} steps>"


def graph(y: Any, *, names: Mapping[str, Any] | None = None, wrt: Any = None, digits: int = 5,
          most: int = 500) -> Drawing:
    """Draws how a result was computed, with every value and derivative on the way.

    Each node shows a value and its two derivatives: the *tangent*, carried forward from the leaf
    that the derivative is taken by, and the *adjoint*, carried backward from the result. Each
    edge shows the local partial derivative of a step by one operand. Both accumulations multiply
    those partials, forward from the leaves and backward from the result, and arrive at the same
    derivative of the result by the leaf.

    All of it is read from the tape, which keeps only what derivatives need; other values are
    computed again. Where that can't be done, the value is drawn as `?`: name its tensor, or run
    the program under `trace()`. Arrays of more than nine elements are shown by their shape. No
    `.grad` is touched, no hook is run, and backward can still be called afterwards. Of complex
    numbers, values and adjoints (PyTorch's gradients) are shown.

    Args:
        y: the result, any tensor that requires grad; need not be a scalar.
        names: what to call tensors, a mapping such as `{"x": x}` or `locals()` (whatever in it
            is no tensor of the graph is passed over). None: the names they have where `graph` is
            called. Others are called v1, v2, ..., the leaves x, and the result f.
        wrt: the tensor, or tensors, that tangents are derivatives by; None for each leaf.
        digits: how many significant digits numbers have.
        most: the number of nodes beyond which a graph is refused.

    Raises:
        TypeError: if y is no tensor.
        RuntimeError: if y does not require grad; if backward has freed the graph; if a value that
            a derivative reads was overwritten.
        ValueError: if the graph has more than `most` nodes, or something in `wrt` is not in it.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor(2., requires_grad=True)
        >>> print(torch.show.graph(torch.exp(-x)))
        step  name  operation  value    local partials    d·/dx     df/d·
        0     x                2                          1         -0.13534
        1     v1    -x         -2       ∂v1/∂x = -1       -1        0.13534
        2     f     exp(v1)    0.13534  ∂f/∂v1 = 0.13534  -0.13534  1
        ---
        df/dx = -0.13534 (forward), -0.13534 (reverse)
    """
    root = _root(y)
    tensors = dict(_tensors_in(_callers_variables() if names is None else names))
    entries = read(root, most)
    find_values(entries, [y, *tensors.values()], traced([e.node for e in entries]))
    seeds = _seeds(entries, wrt)
    _give_names(entries, tensors)
    with modes(grad=False):
        return Drawing(_steps(entries, seeds, digits), tuple(s.name for s in seeds), digits)


def _root(y: Any) -> Any:
    if not isinstance(y, Handle):
        raise TypeError(f"graph(): expected a Tensor, got {type(y).__name__}")
    if not isinstance(y.value, np.ndarray):
        raise RuntimeError("graph(): a tensor inside a transform can't be drawn; draw a result "
                           "outside it")
    if y.alias is not None:
        refresh(y)
    if y.node is None:
        raise RuntimeError("graph(): the tensor does not require grad, so how it was computed was "
                           "not recorded. Give a leaf requires_grad=True before computing.")
    return y.node


def _callers_variables() -> dict[str, Any]:
    frame = sys._getframe(2)
    return {**frame.f_globals, **frame.f_locals}


def _tensors_in(names: Mapping[str, Any]) -> Iterable[tuple[str, Handle]]:
    """The tensors with history among some variables; not a notebook's own `_` and `_12`."""
    for name, value in names.items():
        if isinstance(value, Handle) and not name.startswith("_") and value.node is not None:
            yield name, value


def _seeds(entries: list[Entry], wrt: Any) -> list[Entry]:
    if wrt is None:
        return [entry for entry in entries if entry.leaf]
    by_key = {entry.key: entry for entry in entries}
    seeds = []
    for x in (wrt,) if isinstance(wrt, Handle) else tuple(wrt):
        if x.alias is not None:
            refresh(x)
        if x.node not in by_key:
            raise ValueError("graph(): a tensor of `wrt` is not in the graph of the result")
        seeds.append(by_key[x.node])
    return seeds


def _give_names(entries: list[Entry], tensors: Mapping[str, Any]) -> None:
    by_key = {tensor.node: name for name, tensor in reversed(list(tensors.items()))}
    taken = set(tensors)
    unnamed = [e for e in entries if e.leaf and e.key not in by_key]
    count = 0
    for entry in entries:
        if entry.key in by_key:
            entry.name = by_key[entry.key]
        elif entry.leaf:
            entry.name = _free("x", taken, unnamed.index(entry) + 1 if len(unnamed) > 1 else None)
        elif entry is entries[-1]:
            entry.name = _free("f", taken, None)
        else:
            count += 1
            entry.name = _free("v", taken, count)
        taken.add(entry.name)


def _free(letter: str, taken: set[str], number: int | None) -> str:
    """A name that the caller has not given to something else."""
    name = letter if number is None else f"{letter}{number}"
    while name in taken:
        name += "'"
    return name


def _steps(entries: list[Entry], seeds: list[Entry], digits: int) -> tuple[Step, ...]:
    partials = [accumulate.local_partials(entry) for entry in entries]
    tangents = [accumulate.forward(entries, partials, seed) for seed in seeds]
    adjoints = accumulate.reverse(entries, partials)
    places = {entry: i for i, entry in enumerate(entries)}
    result = entries[-1].aval.shape
    return tuple(Step(
        name=entry.name, operation=words.operation_text(entry, digits),
        shape=tuple(entry.aval.shape), dtype=entry.aval.dtype.name,
        value=None if entry.value is None else np.array(entry.value),
        partials=tuple(_partial(entry, source, local, places[source])
                       for source, local in zip(entry.sources, locals_, strict=True)
                       if source is not None),
        tangents={seed.name: _shaped(found[entry], entry.aval.shape, seed.aval.shape)
                  for seed, found in zip(seeds, tangents, strict=True)},
        adjoint=_shaped(adjoints[entry], result, entry.aval.shape),
    ) for entry, locals_ in zip(entries, partials, strict=True))


def _partial(entry: Entry, source: Entry, local: accumulate.Local | None, place: int) -> Partial:
    if local is None:
        return Partial(place, source.name, None, False)
    columns = () if local.diagonal else source.aval.shape
    return Partial(place, source.name, _shaped(local.array, entry.aval.shape, columns),
                   local.diagonal)


def _shaped(matrix: np.ndarray | None, rows: Iterable[int],
            columns: Iterable[int]) -> np.ndarray | None:
    return None if matrix is None else matrix.reshape((*rows, *columns))
