"""Keeping the values that the tape does not: `show.trace()`.

While a trace is on, applications of primitives in this thread are noted on their way to the
eager interpreter: results and operands under the nodes that stand for them, constants under
their place. Nothing is watched otherwise, so a program that is not traced pays nothing.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core.handle import Handle
from ..core.levels import ground, shared
from ..core.primitive import Primitive

MOST_ELEMENTS = 4096
"""Larger values are not kept: a drawing shows only their shape."""

_kept: weakref.WeakKeyDictionary[Any, dict[Any, np.ndarray]] = weakref.WeakKeyDictionary()
"""Per node, None -> its value, and place -> a constant operand; gone with the node."""


class _Watch:
    """The threads that trace, and the interpreter that stands behind the watching one."""

    lock = threading.Lock()
    threads: dict[int, int] = {}
    interpret: Any = None


@contextlib.contextmanager
def trace() -> Iterator[None]:
    """Keeps the value of every result and constant in this block, for `graph` to show.

    `graph` needs no trace to draw: the tape keeps what derivatives read, and the rest is computed
    again from that. Only a constant that no derivative reads, such as the 3 in `x + 3`, leaves
    values unknown; they are drawn as `?`. Under a trace nothing is.

    Operations are slower inside, and results of more than a few thousand elements are not kept.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor(2., requires_grad=True)
        >>> with torch.show.trace():
        ...     y = 5 * (x + 3)
        >>> torch.show.graph(y).steps[1].operation
        'x + 3'
    """
    me = threading.get_ident()
    _enter(me)
    try:
        yield
    finally:
        _leave(me)


def _enter(me: int) -> None:
    with _Watch.lock:
        if not _Watch.threads:
            _Watch.interpret, ground.interpret = ground.interpret, _interpret
        _Watch.threads[me] = _Watch.threads.get(me, 0) + 1
    with shared.lock:
        shared.special += 1  # operators leave their fast paths, which end in no interpreter


def _leave(me: int) -> None:
    with shared.lock:
        shared.special -= 1
    with _Watch.lock:
        _Watch.threads[me] -= 1
        if not _Watch.threads[me]:
            del _Watch.threads[me]
        if not _Watch.threads:
            ground.interpret = _Watch.interpret


def _interpret(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    out = _Watch.interpret(primitive, operands, params)
    if threading.get_ident() in _Watch.threads:
        for result in out if isinstance(out, tuple) else (out,):
            _keep(result)
            _keep_operands(getattr(result, "node", None), operands)
    return out


def _keep_operands(node: Any, operands: Sequence[Any]) -> None:
    node = getattr(node, "node", node)  # of a port, the node with the operands
    for place, operand in enumerate(operands):
        if isinstance(operand, Handle) and operand.node is not None:
            _keep(operand)  # also what an operation in place has made of it
        elif node is not None and not node.leaf:
            value = operand.value if isinstance(operand, Handle) else np.asarray(operand)
            _note(node, place, value)


def _keep(tensor: Any) -> None:
    if tensor.node is not None:
        _note(tensor.node, None, tensor.value)


def _note(node: Any, place: int | None, value: Any) -> None:
    if isinstance(value, np.ndarray) and value.size <= MOST_ELEMENTS:
        # A copy, since the memory may be written to. The first value is the one: a write that
        # is recorded makes a new node.
        _kept.setdefault(node, {}).setdefault(place, np.array(value))


def traced(nodes: Sequence[Any]) -> dict[Any, np.ndarray]:
    """What traces kept of nodes: node -> value, and (node, place) -> constant."""
    found: dict[Any, np.ndarray] = {}
    for node in nodes:
        for place, value in _kept.get(node, {}).items():
            found[node if place is None else (node, place)] = value
    return found
