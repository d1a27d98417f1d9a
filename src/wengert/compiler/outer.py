"""Gradients that go through a compiled function from outside.

Where a result of a compiled function requires grad, the run that was recorded goes on for a
moment: cotangents of the results are pulled back to what the function was given, and those lines
become a program of their own. A node on the tape runs it. What it needs of the function's values,
the function's program gives out beside its results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..core.handle import Handle, as_handle, wrap
from ..core.levels import modes
from ..interpreters import backward
from ..interpreters.pullback import SECOND_TIME, read
from ..interpreters.tape import FREED, Node, new, number, port_of, versions
from .ending import Ending
from .program import Constant, Line, Program, Value, straight
from .record import Recorder, Source


class Pullback:
    """The way back through one ending.

    Attributes:
        results: the numbers of the results that have a derivative.
        cotangents: what stands for their cotangents.
        sources: the inputs that cotangents are carried to.
        lines: how.
        gradients: the values of the inputs' cotangents; None where none arrives.
        saved: values of the function that the lines read: those that leave its program besides
            the ending's own, and inputs.
        inputs: inputs that the lines read.
        spent: whether the function has gone back through it itself, so that nobody can again.
    """

    def __init__(self, run: Recorder, ending: Ending) -> None:
        self.results = ending.differentiable
        tensors = [ending.tensors[i] for i in self.results]
        ones = [wrap(t.aval.ones()) for t in tensors]
        self.cotangents = [run.given(one) for one in ones]
        self.sources = [s for s in run.sources if s.node is not None]
        self.lines, self.gradients, self.inputs, self.saved = [], [], [], []
        nodes = _reached(tensors)
        self.spent = any(node.saved is FREED for node in nodes)
        if any(node.extra is not None for node in nodes.union(s.node for s in self.sources)):
            run.fail("a tensor of it has hooks, or retains its gradient")
        if self.spent or run.failed:
            return
        try:
            self._trace(run, tensors, ones)
        except RuntimeError as error:
            run.fail(f"its derivative can't be taken: {error}")

    def _trace(self, run: Recorder, tensors: Sequence[Any], ones: Sequence[Any]) -> None:
        start = len(run.notes)
        found = backward.run([(t.node, one) for t, one in zip(tensors, ones, strict=True)],
                             retain=True, create=False, accumulate=False,
                             wanted=[s.node for s in self.sources])
        self.gradients = [None if (g := found.get(s.node)) is None else run.value(g, (g,))
                          for s in self.sources]
        self.lines = run.notes[start:]
        del run.notes[start:]
        if not all(isinstance(line, Line) for line in self.lines):
            run.fail("a derivative of it looks at numbers")
        lines = [line for line in self.lines if isinstance(line, Line)]
        made = {v for line in lines for v in line.results}.union(self.cotangents)
        given = {s.value: s for s in run.sources}
        read = dict.fromkeys(
            v for values in (*(line.operands for line in lines),
                             [g for g in self.gradients if g is not None])
            for v in values if v not in made and not isinstance(v, Constant))
        self.inputs = [given[v] for v in read if v in given]
        self.saved = [v for v in read if v not in given]

    lines: list[Any]
    gradients: list[Value | None]
    inputs: list[Source]
    saved: list[Value]

    def program(self) -> Program:
        """Saved values, inputs and cotangents to gradients."""
        return straight(
            [*self.saved, *(s.value for s in self.inputs), *self.cotangents], self.lines,
            [g for g in self.gradients if g is not None])


def _reached(tensors: Sequence[Any]) -> set[Any]:
    """The nodes behind tensors, but for leaves."""
    found: set[Any] = set()
    todo = [t.node for t in tensors]
    while todo:
        node = todo.pop()
        if node is not None and not node.leaf and node not in found:
            found.add(node)
            todo.extend(node.edges)
    return found


class Kept(tuple[Any, ...]):
    """What the node of a compiled function saved: no plain tuple, by which the pullback knows."""

    __slots__ = ()


class CompiledFunctionBackward(Node):
    """The node of one run of a compiled function.

    Attributes:
        way: the `Pullback`.
        runner: runs its program: arrays to arrays.
        again: runs the function anew, recorded, for derivatives of derivatives; returns the
            results that have a derivative.
    """

    __slots__ = ("again", "runner", "way")
    materializes: ClassVar[bool] = True

    way: Any
    runner: Any
    again: Any

    @classmethod
    def of(cls, way: Pullback, runner: Any, again: Any, kept: Sequence[Any],
           inputs: Sequence[Any], avals: Sequence[Any]) -> CompiledFunctionBackward:
        """The node for saved arrays (`kept`) and the tensors that cotangents are carried to."""
        node: CompiledFunctionBackward = new(cls)
        node.way, node.runner, node.again = way, runner, again
        node.edges, node.ins = tuple(x.node for x in inputs), tuple(x.aval for x in inputs)
        node.saved, node.order = FREED if way.spent else Kept(kept), number()
        node.versions, node.params, node.extra = versions(kept), None, None
        node.out = tuple(avals) if len(avals) > 1 else avals[0]
        return node

    def attach(self, place: int, out: Any) -> None:
        """Makes this the node of the result at a place among those with a derivative."""
        several = type(self.out) is tuple
        out.node = port_of(self, place, out.aval.plain) if several else self

    def pull(self, g: Any, tensors: bool, needed: set[Any] | None) -> list[Any]:
        """The cotangents of the inputs."""
        if self.saved is FREED:
            raise RuntimeError(SECOND_TIME)
        grads = g if type(self.out) is tuple else [g]
        if tensors and any(isinstance(x, Handle) for x in grads):
            return self._recorded(grads)
        arrays = [np.asarray(x) for x in grads]
        kept = [read(self, i) for i in range(len(self.saved))]
        found = iter(self.runner([*kept, *arrays]))
        return [None if v is None else next(found) for v in self.way.gradients]

    def _recorded(self, grads: Sequence[Any]) -> list[Any]:
        """The same by the function itself, whose own derivative can be taken."""
        for i in range(len(self.saved)):
            read(self, i)  # refuses what was overwritten
        with modes(grad=True):
            inputs, outs = self.again()
            roots = [(out.node, as_handle(g)) for out, g in zip(outs, grads, strict=True)]
            found = backward.run(roots, retain=True, create=True, accumulate=False,
                                 wanted=[x.node for x in inputs])
        return [found.get(x.node) for x in inputs]
