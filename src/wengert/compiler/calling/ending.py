"""Endings: what a run of a compiled function leaves behind, so that a later one can do the same.

That is what the function returned, what it wrote into tensors that were there before, and what
became of the `.grad` of leaves. The numbers come out of native code; this is about whose they are.
How it is done again is said in `leaving`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.handle import Alias, Handle, version_of
from ...core.pytrees import Spec, flatten
from ...interpreters.tape import AccumulateGrad
from ..ir.program import Value
from ..recording.record import Recorder, Source
from ..recording.state import PLAIN, ChangedError, State, Structure, where

Arrays = Sequence[np.ndarray]


class Fresh(NamedTuple):
    """A new tensor.

    Attributes:
        output: the number of the output that it holds.
        order: its dimensions, as they lie in memory; None for the usual order.
        leaf: whether it is a leaf to be asked for its gradient.
        inference: whether it was made in inference mode.
    """

    output: int
    order: tuple[int, ...] | None
    leaf: bool
    inference: bool


class View(NamedTuple):
    """A tensor in the memory of another result, what leads there, and whether its history is
    recorded."""

    of: int
    chain: tuple[Any, ...]
    recorded: bool


class Sharing(NamedTuple):
    """A tensor without history in the memory of an input, or of another result; `leaf` as above."""

    of: Source | int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    leaf: bool


_ORIGINS = ("", "multiple", "no_grad")
Result = Fresh | View | Sharing | Source


class Written(NamedTuple):
    """An input that was written to: the output with what it holds now (None if it holds what it
    did), and how often it was."""

    source: Source
    output: int | None
    times: int


class Ending:
    """What one way through a function leaves behind.

    Attributes:
        values: the values that leave the program, which outputs are numbers of.
        returned: what was returned.
        kept: places of the function's `State` where it left something else than it had found.
        results: the tensors that come out, each once.
        written: the inputs that were written to.
        grads: leaves, and the result that is their `.grad` now (None for none).
        before: leaves whose `.grad` was used, and the aval that it had (None for none).
        differentiable: the numbers of results that have a derivative.
        tensors: the results as the run made them, until it is all known.
        found_there: what was at the function's places when the run began, until then as well.
    """

    def __init__(self, run: Recorder, returned: Any, leaves: Sequence[Any], state: State,
                 before: Sequence[Any]) -> None:
        """
        Args:
            run: the run that is over.
            returned: what the function returned.
            leaves: the leaves of what it was given.
            state: what it reaches besides.
            before: what was there when the run began.
        """
        self._run = run
        self.values: list[Value] = []
        self.results: list[Result] = []
        self._numbers: dict[int, int] = {}
        self._sources = {id(s.handle): s for s in run.sources}
        self.tensors: list[Any] = []
        self._roots: dict[int, int] = {}
        self._given = {id(x) for x in (*leaves, *before)}
        changed = self._changed(state, before)
        out = [flatten(x) for x in (returned, *changed.values())]
        for x in sorted((x for xs, _ in out for x in xs if isinstance(x, Handle)), key=_size):
            self._number(x)  # those first in whose memory others may lie
        self.before, self.grads = self._leaves()
        self.returned, *kept = [self._structure(*parts) for parts in out]
        self.kept = list(zip(changed, kept, strict=True))
        self.written = self._written()
        self.differentiable = [
            i for i, result in enumerate(self.results) if isinstance(result, Fresh)
            and not result.leaf and self.tensors[i].node is not None]
        self._check()
        for source in run.sources:
            source.place = None if source.argument is not None else where(before, source.handle)
        self._check_strays()
        self.found_there: Sequence[Any] = before
        del self._run, self._sources, self._given

    def _changed(self, state: State, before: Sequence[Any]) -> dict[int, Any]:
        """The places that hold something else than before."""
        try:
            return dict(state.changes(before))
        except ChangedError as error:
            self._run.fail(str(error))
            return {}

    def _structure(self, leaves: Sequence[Any], spec: Spec) -> Structure:
        """A value, with the numbers of the tensors in it."""
        for x in leaves:
            if not isinstance(x, (Handle, *PLAIN)) and id(x) not in self._given:
                self._run.fail("it returns or keeps an object that it makes and that is no "
                               f"tensor: a {type(x).__name__}")
        return Structure(spec, [(True, self._number(x)) if isinstance(x, Handle) else (False, x)
                                for x in leaves])

    def _number(self, x: Any) -> int:
        """The number of a tensor among the results."""
        found = self._numbers.get(id(x))
        if found is None:
            result = self._result(x)
            found = self._numbers[id(x)] = len(self.results)
            self.results.append(result)
            self.tensors.append(x)
        return found

    def _result(self, x: Any) -> Result:
        source = self._sources.get(id(x))
        if source is None and (id(x) in self._given or not self._run.knows(x)):
            source = self._sources[id(x)] = self._run.source(x)
        if source is not None:
            return source
        if x.aval.level is not None:
            self._run.fail("it returns a tensor of a transform that is in force outside")
        alias = x.alias
        if (alias is not None and alias.base is not None and alias.origin in _ORIGINS
                and not _is_leaf(x)):
            base, chain = self._origin(alias)
            if base is not None:
                return View(self._number(base), chain, alias.origin != "no_grad")
        return self._sharing(x) or self._fresh(x)

    def _origin(self, alias: Alias) -> tuple[Any, tuple[Any, ...]]:
        """What a view was taken from, and how: its base, or an input that is a view of it."""
        views = [s.handle for s in self._run.sources if s.handle.alias is not None
                 and s.handle.alias.base is alias.base
                 and s.handle.alias.chain == alias.chain[:len(s.handle.alias.chain)]]
        if views:
            nearest = max(views, key=lambda x: len(x.alias.chain))
            return nearest, alias.chain[len(nearest.alias.chain):]
        base = alias.base
        if id(base) in self._sources or self._run.knows(base):
            return base, alias.chain
        if alias.origin != "no_grad" and base is not None and base.node is not None:
            self._run.fail("it returns a view of a tensor that it doesn't reach")
        return None, ()

    def _fresh(self, x: Any) -> Fresh:
        """A tensor in memory of its own, its dimensions in the order in which they lie there."""
        value, order = self._run.laid_out(x)
        return Fresh(self._output(value), order, _is_leaf(x),
                     x.alias is not None and x.alias.storage.inference)

    def _sharing(self, x: Any) -> Sharing | None:
        """Where in the memory of an input, or of a result before it, a result lies."""
        array = x.value
        source = self._run.shared(array)
        of: Source | int | None = None
        if source is not None:
            of, root = source, source.array
        else:
            root = self._run.root(array)
            of = self._roots.get(id(root))
            if of is None:
                self._roots[id(root)] = len(self.results)
                return None
            root = self.tensors[of].value
        region = self._run.region(array, root)
        if region is None:
            self._run.fail("it returns parts of memory that has gaps")
            return None
        return Sharing(of, array.shape, region["strides"], region["offset"],
                       _is_leaf(x))

    def _output(self, value: Value) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def _leaves(self) -> tuple[list[tuple[Source, Any]], list[tuple[Source, int | None]]]:
        before, grads = [], []
        for x, grad in self._run.leaves.values():
            source = self._sources.get(id(x))
            if source is None:
                if self._run.knows(x):  # it was made on the way
                    if x.extra is not None and x.extra.grad is not None and id(x) in self._numbers:
                        self._run.fail("it returns or keeps a leaf that it makes, and its gradient")
                    continue
                source = self._run.source(x)
                self._sources[id(x)] = source
            before.append((source, None if grad is None else grad.aval))
            if grad is not None and id(grad) in self._sources:
                self._sources[id(grad)].owner = source
            now = None if x.extra is None else x.extra.grad
            if now is not grad:
                grads.append((source, None if now is None else self._number(now)))
        return before, grads

    def _written(self) -> list[Written]:
        found = []
        for source in self._run.sources:
            value = self._run.value(source.handle, (source.handle,))
            times = version_of(source.handle) - source.version
            if value is not source.value:
                found.append(Written(source, self._output(value), times))
            elif times:
                found.append(Written(source, None, times))
        return found

    def _check(self) -> None:
        for source in self._run.sources:
            if source.handle.value is not source.array:
                self._run.fail("a tensor from outside is given other memory")
            if source.handle.node is not source.node:
                self._run.fail("a tensor from outside is given a history, or is asked for its "
                               "gradient, in it")

    def _check_strays(self) -> None:
        """Refuses to leave behind, or to write to, a tensor that no place leads to: it may be one
        that the run made, of a NumPy array, and another run would make another."""
        for x in (*self.results, *[w.source for w in self.written]):
            if isinstance(x, Source) and (x.argument, x.place, x.owner) == (None, None, None):
                self._run.fail("it returns, keeps or writes to a tensor in the memory of a NumPy "
                               "array, or one whose way into it can't be told")

    def found(self, returned: Any, numbers: Sequence[int]) -> list[Any]:
        """The results of these numbers in what another run returned."""
        found: dict[int, Any] = {}
        for x, (tensor, number) in zip(flatten(returned)[0], self.returned.leaves, strict=True):
            if tensor:
                result = self.results[number]
                found[number] = x
                if isinstance(result, View):
                    found.setdefault(result.of, x._base)
        return [found[number] for number in numbers]

    @property
    def simple(self) -> bool:
        """Whether one new tensor is all that is left behind."""
        return self.results == [Fresh(0, None, leaf=False, inference=False)] and not (
            self.written or self.grads or self.kept) and self.returned.leaf


def _is_leaf(x: Any) -> bool:
    return isinstance(x.node, AccumulateGrad)


def _size(x: Any) -> tuple[int, bool]:
    return -int(x.aval.numel), x.node is None
