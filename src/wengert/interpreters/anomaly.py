"""Anomaly detection: which operation made the first NaN or infinity, and where it was called.

While it is on, `here.anomaly` is the thread's `Watch`. Nodes remember the user's line, and the
results of operations are looked at; one that is not finite although all operands are is a fault.
In backward the same is asked of every rule. The texts are made when an error is raised.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..core.handle import Handle, Storage
from ..core.levels import numbers
from ..core.primitive import Primitive
from ..core.provenance import Line, user_line
from .pullback import pullback
from .tape import Node

_SMALL = 4096
_MOST_WRITES = 64


def finite(value: Any) -> bool:
    """Whether an array holds no NaN and no infinity."""
    if value.size <= _SMALL:
        return b"\0" not in np.isfinite(value).tobytes()  # half the time of `all`
    return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())


class Fault:
    """An application that made a NaN or an infinity out of finite operands."""

    __slots__ = ("line", "text")

    def __init__(self, primitive: Primitive, values: Sequence[Any], result: np.ndarray,
                 line: Line) -> None:
        self.line = line
        place, bad = worst(result)
        operands = ", ".join(f"{v.dtype.name} {list(v.shape)}" for v in values)
        if primitive.elementwise:
            numbers = (np.broadcast_to(v, result.shape)[place].item() for v in values)
            what = f"{primitive.name}({', '.join(f'{n:g}' for n in numbers)}) = {bad:g}"
        else:
            what = f"{primitive.name} gave {bad:g}"
        self.text = f"{what} at element {[*map(int, place)]} of its result (operands: {operands})"

    def __str__(self) -> str:
        return f"{self.text}, called at {self.line}"


def worst(value: np.ndarray) -> tuple[tuple[Any, ...], Any]:
    """Where the first element is that is not finite, and what it is."""
    place = np.unravel_index(int(np.argmin(np.isfinite(value))), value.shape)
    return place, value[place].item()


class Watch:
    """Anomaly detection in one thread: what it looks for, what it has found.

    Attributes:
        check_nan: whether a NaN that a rule makes in backward is an error.
        check_inf: whether an infinity is.
        forward: whether a fault in forward is an error at once.
        first: the first fault in forward; None if there was none.
        cause: the node whose rules are running; None in forward.
    """

    __slots__ = ("cause", "check_inf", "check_nan", "first", "forward")

    def __init__(self, check_nan: bool = True, check_inf: bool = False,
                 forward: bool = False) -> None:
        self.check_nan, self.check_inf, self.forward = check_nan, check_inf, forward
        self.first: Fault | None = None
        self.cause: Any = None

    def mark(self, node: Node) -> None:
        """Has a new node remember the user's line."""
        cause = self.cause
        node.line = user_line(None if cause is None else _line(cause))

    def mark_write(self, storage: Storage) -> None:
        """Has memory that was written remember the user's line."""
        writes = getattr(storage, "writes", None)
        if writes is None:
            writes = storage.writes = []
        writes.append((storage.version, user_line()))
        del writes[:-_MOST_WRITES]

    def look(self, primitive: Primitive, values: Sequence[Any], params: dict[str, Any],
             result: Any) -> None:
        """Looks at the result of an operation (or at its results), an array or a plain tensor.

        Raises:
            RuntimeError: if `forward` is set and it is not finite although the operands are.
        """
        if primitive.view:
            return
        if primitive.multiple:
            for out in result:
                if not finite(numbers(out)) and sound(values, params):
                    self.found(primitive, values, out)
        elif not finite(numbers(result)) and sound(values, params):
            self.found(primitive, values, result)

    def found(self, primitive: Primitive, values: Sequence[Any], out: Any) -> None:
        """Notes a fault, with the node that it belongs to."""
        fault = Fault(primitive, values, numbers(out), user_line())
        if self.first is None and self.cause is None:
            self.first = fault
        if isinstance(out, Handle) and out.node is not None and not out.node.leaf:
            getattr(out.node, "node", out.node).more().fault = fault
        if self.forward and self.cause is None:
            raise RuntimeError(f"{fault.text} although all operands are finite; called at "
                               f"{fault.line}")


def sound(values: Iterable[Any], params: dict[str, Any]) -> bool:
    """Whether operands and parameters are finite."""
    return all(map(finite, values)) and all(
        math.isfinite(p) for p in params.values() if isinstance(p, float))


class Watched:
    """Anomaly detection in one run of backward."""

    __slots__ = ("infinity", "watch")

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.infinity = ""  # where the first was made of finite cotangents

    def pull(self, node: Any, g: Any, create: bool, needed: set[Any] | None) -> list[Any]:
        """`pullback`, whose results are looked at and whose errors are explained.

        Raises:
            RuntimeError: for a NaN, or an infinity, if it is looked for.
        """
        watch = self.watch
        before, watch.cause = watch.cause, node
        try:
            cotangents = pullback(node, g, create, needed)
        finally:
            watch.cause = before
        seen: Any = None  # a sum hands the same array to both operands
        for i, found in enumerate(cotangents):
            if found is not seen and found is not None:
                seen, array = found, found if type(found) is np.ndarray else numbers(found)
                if not finite(array):
                    self._look(node, g, i, array)
        return cotangents

    def _look(self, node: Any, g: Any, i: int, found: np.ndarray) -> None:
        """Looks closer at a cotangent that is not finite."""
        given = [numbers(v) for v in (g if isinstance(g, list) else [g]) if v is not None]
        fresh = all(map(finite, given))
        nan = bool(np.isnan(found).any())
        if nan and self.watch.check_nan:
            raise self._error(f"returned nan values in its {i}th output.", node, fresh, found)
        if nan or not np.isinf(found).any():
            return
        if self.watch.check_inf:
            raise self._error(f"returned infinite values in its {i}th output.", node, fresh, found)
        if fresh and not self.infinity:
            place, bad = worst(found)
            self.infinity = (f"{node.name()} made {bad:g} at element {[*map(int, place)]} of its "
                             f"{i}th output{_called(node)}")

    def _error(self, words: str, node: Any, fresh: bool, found: np.ndarray) -> Exception:
        """The error, with what is known of where it began.

        Who raises it gives it no name: that would be a cycle, through the traceback.
        """
        error = RuntimeError(f"Function '{node.name()}' {words}")
        explain(error, node)
        if _line(node) is None:
            error.add_note("Which forward operation that belongs to is not known: anomaly "
                           "detection was not on when it ran.")
        place, bad = worst(found)
        error.add_note(f"It gave {bad:g} at element {[*map(int, place)]}; the gradient that it was "
                       f"given was {'' if fresh else 'not '}finite.")
        if self.infinity:
            error.add_note(f"The first infinity in backward: {self.infinity}")
        fault, first = _oldest_fault(node), self.watch.first
        if fault is not None:
            error.add_note("The first NaN or infinity from finite operands on the way to it in "
                           f"forward: {fault}")
        elif first is not None:
            error.add_note("The first NaN or infinity from finite operands in forward (on no "
                           f"recorded way to it): {first}")
        return error


def explain(error: Exception, node: Any) -> None:
    """Adds to an error in backward where the node's forward operation was called."""
    line = _line(node)
    if line is None:
        return
    note = f"{node.name()} comes from the forward operation at {line}"
    if note in getattr(error, "__notes__", ()):
        return
    error.add_note(note)
    while line.after is not None:
        line = line.after
        error.add_note(f"which was recorded in differentiating the operation at {line}")


def _line(node: Any) -> Line | None:
    return getattr(node, "line", None)


def _called(node: Any) -> str:
    line = _line(node)
    return "" if line is None else f", of the forward operation at {line}"


def _oldest_fault(node: Any) -> Fault | None:
    """The first fault among a node and those that it was computed from."""
    found, seen, todo = None, set(), [node]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        todo.extend(node.edges)
        if node.extra is not None and node.extra.fault is not None:
            if found is None or node.order > found.order:
                found = node
    return None if found is None else found.extra.fault
