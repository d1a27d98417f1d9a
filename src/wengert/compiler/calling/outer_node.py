"""The node that a run of a compiled function leaves on the tape.

It stands for the many that the function would have left, and does as they would; see `outer`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ...core.handle import Handle, as_handle, storage_of, version_of
from ...core.levels import here, modes
from ...interpreters import backward
from ...interpreters.pullback import SECOND_TIME, read
from ...interpreters.tape import (
    FREED,
    Node,
    SavedOutput,
    new,
    number,
    port_of,
    saved_output,
    versions,
)
from ..recording.record import Source
from .ending import Ending
from .outer import Pullback, Route, either

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
"""A function, and what it is called with."""
Run = tuple[Call, Sequence[Any], Sequence[int] | None, Sequence[Any]]
"""What a run takes to be run again: the call, the tensors that it read, their versions (None if
nobody else knows their memory), and the states, before it, of what it draws random numbers from."""


class Outlet:
    """What the nodes of all runs that end alike have in common.

    Args:
        way: the way back through the ending.
        ending: what such a run leaves behind.
        saved: the arrays that hold what is saved for the way.
        at: the place of an input among those of a run.
        generators: what the runs draw random numbers from.

    Attributes:
        way: the way back.
        out: the aval of the result that has a derivative; a tuple, if there are several.
        several: whether there are.
        spots: by number of such a result, its place among these.
        holds: whether results are kept for the way.
    """

    __slots__ = ("_ending", "_generators", "_inputs", "_ins", "_own", "_results", "_saved",
                 "_there", "holds", "out", "several", "spots", "way")

    def __init__(self, way: Pullback, ending: Ending, saved: Sequence[int],
                 at: Callable[[Source], int], generators: Sequence[Any]) -> None:
        self.way, self._ending, self._generators = way, ending, generators
        self._saved, self._inputs = picker(saved), [at(s) for s in way.sources]
        self._ins = tuple(s.value.aval for s in way.sources)
        self._there = picker([at(home) for _, home in way.there if not isinstance(home, int)])
        self._results = [home for _, home in way.there if isinstance(home, int)]
        self.holds = bool(self._results)
        self.spots = {number: place for place, number in enumerate(way.results)}
        avals = [v.aval for v in way.cotangents]
        self.several = len(avals) > 1
        self.out: Any = tuple(avals) if self.several else avals[0]
        own = None if self.several or way.results[0] not in self._results else (
            self._results.index(way.results[0]) - len(self._results))
        self._own = own  # where among what is kept the one result is, from the end

    def node(self, handles: Sequence[Any], arrays: Sequence[np.ndarray], call: Call,
             states: Sequence[Any]) -> CompiledFunctionBackward:
        """The node of a run.

        Args:
            handles: the run's inputs.
            arrays: those of its inputs and outputs.
            call: what was called.
            states: of the generators, before the run.
        """
        node: CompiledFunctionBackward = new(CompiledFunctionBackward)
        node.outlet, node.freed = self, self.way.spent
        node.edges, node.order = tuple([handles[i].node for i in self._inputs]), number()
        node.ins, node.out = self._ins, self.out
        node.params = node.extra = node.versions = node.stamps = stamps = None
        node.held = self._saved(arrays) + self._there(handles)
        for x in handles:
            if x.alias is not None:
                node.stamps, stamps = versions(node.held), [version_of(x) for x in handles]
                break
        node.run = call, handles, stamps, states
        return node

    def attach(self, node: CompiledFunctionBackward, number: int, out: Any) -> None:
        """Makes a node that of the result of this number."""
        out.node = port_of(node, self.spots[number], out.aval.plain) if self.several else node

    def hold(self, node: CompiledFunctionBackward, made: Sequence[Any]) -> None:
        """Has a node keep those of its run's results that the way back reads."""
        results = [made[i] for i in self._results]
        for x in results:
            if x.node is not node:  # which hears of writes by itself
                storage_of(x)
        node.held += tuple(map(saved_output, results))
        if node.stamps is not None:
            node.stamps += (0,) * len(results)

    def share(self, held: Sequence[Any], alias: Any) -> None:
        """Notes that the memory of the one result may be written from now on."""
        if self._own is not None and held and isinstance(held[self._own], SavedOutput):
            held[self._own].alias = alias

    def again(self, run: Run) -> tuple[Sequence[Any], list[Any]]:
        """A run once more, recorded on the tape: for derivatives of derivatives.

        Returns:
            The tensors that cotangents are carried to, and the results that have a derivative.

        Raises:
            RuntimeError: if an input was overwritten since, or if the function leaves something
                behind, which it would do a second time.
        """
        (function, args, kwargs), handles, stamps, states = run
        if self._ending.written or self._ending.grads or self._ending.kept:
            raise RuntimeError("the derivative of a derivative goes through a compiled function "
                               "that writes to what it reaches from outside; call it uncompiled")
        for i, x in enumerate(handles):
            _check(x, 0 if stamps is None else stamps[i])
        before = [generator.get_state() for generator in self._generators]
        self._draw_from(states)
        try:
            with modes(grad=True):
                returned = function(*args, **kwargs)
        finally:
            self._draw_from(before)
        return [handles[i] for i in self._inputs], self._ending.found(returned, self.way.results)

    def _draw_from(self, states: Sequence[Any]) -> None:
        for generator, state in zip(self._generators, states, strict=True):
            generator.set_state(state)


def picker(places: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """What gives the elements at some places."""
    if len(places) > 1:
        return operator.itemgetter(*places)
    return (lambda xs: (xs[places[0]],)) if places else lambda xs: ()


def _check(x: Any, version: int) -> None:
    if version_of(x) != version:
        raise RuntimeError(
            "the derivative of a compiled function's derivative runs the function again, but a "
            "tensor that it reads has been modified by an inplace operation: "
            f"[torch.{x.aval.dtype.words}Tensor {list(x.aval.shape)}] is at version "
            f"{version_of(x)}; expected version {version} instead.")


class Kept(Node):
    """What the node of a compiled function keeps, as `read` looks at it."""

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
        outlet: what it has in common with others.
        run: how to run the function anew, for derivatives of derivatives; None when no pass can
            come this way any more.
        held: what the way reads; None where it has been let go.
        stamps: the versions of that when it was saved; None if all were 0.
        freed: the places of the way's parts that were freed, as the bits of a number.
        last: how the last pass went.
    """

    __slots__ = ("freed", "held", "last", "outlet", "run", "stamps")
    materializes: ClassVar[bool] = False

    outlet: Outlet
    run: Any
    held: tuple[Any, ...]
    stamps: tuple[int, ...] | None
    freed: int
    last: Route

    def share(self, alias: Any) -> None:
        self.outlet.share(self.held, alias)

    @property
    def saved(self) -> Any:
        """`FREED` if no pass can come this way any more."""
        return FREED if self.freed and self.freed == self.outlet.way.whole else HELD

    @saved.setter
    def saved(self, value: Any) -> None:
        """Frees what the last pass came along."""
        way = self.outlet.way
        self.freed |= self.last.parts
        alive = way.alive(self.freed)
        if not alive:
            self.held, self.run = (), None
            return
        self.held = tuple(value if readers & alive else None
                          for value, readers in zip(self.held, way.readers, strict=True))

    def pull(self, g: Any, tensors: bool, needed: set[Any] | None) -> list[Any]:
        """The cotangents of the inputs."""
        grads = g if self.outlet.several else (g,)
        results = 1 if len(grads) == 1 else either(
            1 << i for i, x in enumerate(grads) if x is not None)
        inputs = -1 if needed is None else either(
            1 << i for i, edge in enumerate(self.edges) if edge in needed)
        route = self.outlet.way.route(results, inputs)
        if self.freed & route.parts:
            raise RuntimeError(SECOND_TIME)
        self.last = route
        arrays = [self._read(i) for i in route.kept]
        if tensors and any(isinstance(x, Handle) for x in grads):
            return self._recorded(grads, inputs)
        arrays += [np.asarray(grads[i]) for i in route.results]
        found: list[Any] = [None] * len(self.edges)
        for i, array in zip(route.inputs, route.run(arrays), strict=True):
            found[i] = array
        return found

    def _read(self, place: int) -> np.ndarray:
        """What is kept at a place, if it was not overwritten."""
        value = self.held[place]
        if type(value) is np.ndarray:
            return value
        if value.alias is None:
            return value.value
        kept: Kept = new(Kept)
        kept.saved, kept.versions = self.held, self.stamps
        return read(kept, place)

    def _recorded(self, grads: Sequence[Any], inputs: int) -> list[Any]:
        """The same by the function itself, whose own derivative can be taken."""
        given, outs = self.outlet.again(self.run)
        roots = [(out.node, as_handle(g)) for out, g in zip(outs, grads, strict=True)
                 if g is not None]
        wanted = [x.node if inputs >> i & 1 else None for i, x in enumerate(given)]
        found = backward.run(roots, retain=True, create=here.grad, below=not here.grad,
                             accumulate=False, bare=True,
                             wanted=[node for node in wanted if node is not None])
        return [None if node is None else found.get(node) for node in wanted]
