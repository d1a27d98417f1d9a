"""The node that a run of a compiled function leaves on the tape.

It stands for the many that the function would have left, and does as they would; see `outer`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, ClassVar

import numpy as np

from ..core.handle import Handle, as_handle, storage_of, version_of
from ..core.levels import here, modes
from ..interpreters import backward
from ..interpreters.pullback import SECOND_TIME, read
from ..interpreters.tape import FREED, Node, new, number, port_of, saved_output, versions
from .outer import Pullback, Route, either


class Again:
    """A run of a function once more, recorded on the tape: for derivatives of derivatives.

    Args:
        call: calls the function.
        inputs: the tensors that it reads.
        generators: what it draws random numbers from.
        states: theirs, before it ran.
    """

    __slots__ = ("_call", "_generators", "_inputs", "_states", "_versions")

    def __init__(self, call: Callable[[], Any], inputs: Sequence[Any], generators: Sequence[Any],
                 states: Sequence[Any]) -> None:
        self._call, self._inputs = call, inputs
        self._generators, self._states = tuple(generators), states
        self._versions = list(map(version_of, inputs))

    def __call__(self) -> Any:
        """What the function returns.

        Raises:
            RuntimeError: if an input was overwritten since.
        """
        for x, version in zip(self._inputs, self._versions, strict=True):
            if version_of(x) != version:
                raise RuntimeError(
                    "the derivative of a compiled function's derivative runs the function again, "
                    "but a tensor that it reads has been modified by an inplace operation: "
                    f"[torch.{x.aval.dtype.words}Tensor {list(x.aval.shape)}] is at version "
                    f"{version_of(x)}; expected version {version} instead.")
        states = [generator.get_state() for generator in self._generators]
        self._draw_from(self._states)
        try:
            with modes(grad=True):
                return self._call()
        finally:
            self._draw_from(states)

    def _draw_from(self, states: Sequence[Any]) -> None:
        for generator, state in zip(self._generators, states, strict=True):
            generator.set_state(state)


class Kept(Node):
    """What the node of a compiled function keeps, saved as nodes save."""

    __slots__ = ()

    def name(self) -> str:
        return CompiledFunctionBackward.__name__


class _Held(tuple[Any, ...]):
    """No plain tuple: the pullback asks the node itself."""

    __slots__ = ()


HELD: Any = _Held((None,))
"""Stands for the saved values of the node of a compiled function: nothing of them is an operand's
value, or the result's."""


class CompiledFunctionBackward(Node):
    """The node of one run of a compiled function.

    Attributes:
        way: the `Pullback`.
        again: runs the function anew, recorded, for derivatives of derivatives; returns the
            tensors that cotangents are carried to, and the results that have a derivative.
        kept: what the way reads; None where it has been let go.
        freed: the places of the way's parts that were freed, as the bits of a number.
        last: how the last pass went.
    """

    __slots__ = ("again", "freed", "kept", "last", "way")
    materializes: ClassVar[bool] = False

    way: Pullback
    again: Any
    kept: Kept
    freed: int
    last: Route

    @classmethod
    def of(cls, way: Pullback, again: Any, inputs: Sequence[Any]) -> CompiledFunctionBackward:
        """The node that carries cotangents to these tensors; `keep` completes it."""
        node: CompiledFunctionBackward = new(cls)
        node.way, node.again = way, again
        node.freed = either(1 << i for i, part in enumerate(way.parts) if part.spent)
        node.edges, node.ins = tuple(x.node for x in inputs), tuple(x.aval for x in inputs)
        node.order, node.versions, node.params, node.extra = number(), None, None, None
        avals = [v.aval for v in way.cotangents]
        node.out = tuple(avals) if len(avals) > 1 else avals[0]
        return node

    def attach(self, place: int, out: Any) -> None:
        """Makes this the node of the result at a place among those with a derivative."""
        several = type(self.out) is tuple
        out.node = port_of(self, place, out.aval.plain) if several else self

    def keep(self, values: Sequence[Any], results: Container[int]) -> None:
        """Saves arrays, tensors, and (those at the places `results`) results of this run."""
        self.kept = kept = new(Kept)
        for i, value in enumerate(values):
            if i in results:
                storage_of(value)  # so that writes to it are noticed
        kept.saved = tuple(saved_output(value) if i in results else value
                           for i, value in enumerate(values))
        kept.versions = versions(kept.saved)

    @property
    def saved(self) -> Any:
        """`FREED` if no pass can come this way any more."""
        return FREED if self.freed and self.freed == self.way.whole else HELD

    @saved.setter
    def saved(self, value: Any) -> None:
        """Frees what the last pass came along."""
        self.freed |= self.last.parts
        alive = self.way.alive(self.freed)
        self.kept.saved = tuple(
            value if readers & alive else None
            for value, readers in zip(self.kept.saved, self.way.readers, strict=True))
        if not alive:
            self.again = None

    def pull(self, g: Any, tensors: bool, needed: set[Any] | None) -> list[Any]:
        """The cotangents of the inputs."""
        grads = g if type(self.out) is tuple else [g]
        results = either(1 << i for i, x in enumerate(grads) if x is not None)
        inputs = -1 if needed is None else either(
            1 << i for i, edge in enumerate(self.edges) if edge in needed)
        route = self.way.route(results, inputs)
        if self.freed & route.parts:
            raise RuntimeError(SECOND_TIME)
        self.last = route
        kept = [read(self.kept, i) for i in route.kept]
        if tensors and any(isinstance(x, Handle) for x in grads):
            return self._recorded(grads, inputs)
        found: list[Any] = [None] * len(self.edges)
        cotangents = [np.asarray(grads[i]) for i in route.results]
        for i, array in zip(route.inputs, route.run([*kept, *cotangents]), strict=True):
            found[i] = array
        return found

    def _recorded(self, grads: Sequence[Any], inputs: int) -> list[Any]:
        """The same by the function itself, whose own derivative can be taken."""
        given, outs = self.again()
        roots = [(out.node, as_handle(g)) for out, g in zip(outs, grads, strict=True)
                 if g is not None]
        wanted = [x.node if inputs >> i & 1 else None for i, x in enumerate(given)]
        found = backward.run(roots, retain=True, create=here.grad, below=not here.grad,
                             accumulate=False, bare=True,
                             wanted=[node for node in wanted if node is not None])
        return [None if node is None else found.get(node) for node in wanted]
