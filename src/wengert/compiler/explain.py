"""What became of a compiled function, in words: `compiled.explain()`.

All of it is worked out from what the function's cases hold: kinds of arguments, what they demand
of tensors from outside, the runs that were recorded, and the steps of the native code.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .ir.nest import (
    Access,
    Branch,
    Buffer,
    Call,
    Choose,
    Contraction,
    Load,
    Nest,
    Op,
    PlanBlock,
    Product,
    Reduce,
    Repeat,
    Stage,
    Statement,
    Step,
    Store,
    Unwind,
)
from .ir.program import aval_text
from .recording.record import Source
from .recording.traces import Fork, Traces

_WIDEST = 60  # letters of a value that is no tensor


@dataclasses.dataclass(frozen=True)
class Native:
    """One step of native code.

    Attributes:
        what: "nest", "loop", "product" or "call".
        words: its sizes, or the name of the primitive that is called.
        read, written: the bytes of memory that it goes over.
    """

    what: str
    words: str
    read: int
    written: int

    def __str__(self) -> str:
        return f"{self.what} {self.words}: reads {_bytes(self.read)}, writes {_bytes(self.written)}"


@dataclasses.dataclass(frozen=True)
class Way:
    """A stretch of a function up to a look at a number, or to the end.

    Attributes:
        lines: how many primitives were recorded on it.
        steps: the native code of it; None if what was recorded is not compiled yet.
        place: the user's line that looked; "" at the end.
        answers: how it goes on, by what was seen there.
    """

    lines: int
    steps: tuple[Native, ...] | None
    place: str
    answers: tuple[tuple[Any, Way], ...]

    @property
    def read(self) -> int:
        """The bytes read from here on, on the way where they are most."""
        return self._most("read")

    @property
    def written(self) -> int:
        """The bytes written from here on, on the way where they are most."""
        return self._most("written")

    def _most(self, which: str) -> int:
        sums: dict[int, int] = {}
        for way in reversed(list(self.ways())):
            here = sum(getattr(step, which) for step in way.steps or ())
            sums[id(way)] = here + max((sums[id(w)] for _, w in way.answers), default=0)
        return sums[id(self)]

    def ways(self) -> Iterator[Way]:
        """This way and all that follow it, each before those that come after it."""
        todo = [self]
        while todo:
            way = todo.pop()
            yield way
            todo.extend(way for _, way in reversed(way.answers))


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a function has become for arguments of one kind.

    Attributes:
        arguments: the arguments: shapes and dtypes of tensors, values of what is no tensor.
        modes: what else was in force: `no_grad`, `inference_mode`, the default dtype.
        guards: what tensors from outside must be.
        reasons: why each run was recorded.
        way: what runs, from the beginning.
        arena: the bytes of the memory that native code keeps between its steps.
    """

    arguments: str
    modes: str
    guards: tuple[str, ...]
    reasons: tuple[str, ...]
    way: Way
    arena: int

    def __str__(self) -> str:
        return "\n".join([
            self.arguments, f"  {self.modes}",
            *(f"  if {guard}" for guard in self.guards),
            *(f"  recorded: {reason}" for reason in self.reasons),
            f"  a run reads {_bytes(self.way.read)} and writes {_bytes(self.way.written)} at most; "
            f"arena {_bytes(self.arena)}",
            *_tree(self.way, "  ")])


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What became of a compiled function; prints as text.

    Attributes:
        name: of the function.
        eager: why it runs uncompiled from now on; "" if it doesn't.
        kinds: by kind of arguments, what it has become.
        seconds: that compiling took, all in all.
        refused: kinds of arguments for which it runs uncompiled, and why.
    """

    name: str
    eager: str
    kinds: tuple[Kind, ...]
    seconds: float
    refused: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if self.eager:
            return f"{self.name} runs uncompiled: {self.eager}"
        if not self.kinds and not self.refused:
            return f"{self.name} was not called yet"
        refused = (f"{arguments}\n  runs uncompiled: {why}" for arguments, why in self.refused)
        kinds = [f"{i}. {self.name}{kind}" for i, kind in enumerate((*self.kinds, *refused), 1)]
        return "\n".join([f"{self.name}: compiled in {self.seconds:.2f} s", *kinds])

    __repr__ = __str__


def explain(compiled: Any) -> Explanation:
    """What became of a compiled function so far."""
    kinds: list[Kind] = []
    for key, cases in compiled.cases.items():
        alike: list[Kind] = []
        for case in cases:
            alike.append(_kind(key, case, _began(case, alike) if alike else
                               "arguments of another kind" if kinds else "the first call"))
        kinds.extend(alike)
    name = getattr(compiled.fn, "__qualname__", repr(compiled.fn))
    refused = [(f"{_arguments(key)}\n  {_modes(key)}", why)
               for key, why in compiled.refused.items()]
    return Explanation(name, compiled.eager, tuple(kinds), compiled.seconds, tuple(refused))


def _began(case: Any, before: Sequence[Kind]) -> str:
    """Why a case was begun though there were others for such arguments."""
    known = {guard for kind in before for guard in kind.guards}
    new = [guard for guard in _guards(case) if guard not in known]
    return f"what it reaches from outside had changed: {'; '.join(new) or 'an object'}"


def _kind(key: Any, case: Any, began: str) -> Kind:
    block = None if case.plan is None else case.plan.body
    return Kind(_arguments(key), _modes(key), tuple(_guards(case)),
                (began, *_reasons(case.traces)), _way(case.traces.root, block),
                0 if case.plan is None else case.plan.arena)


# --- arguments, and what is demanded of others --------------------------------------------------


class _Word:
    """Something that prints as a text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _arguments(key: Any) -> str:
    spec, kinds, *_ = key
    places = [kind[1] for kind in kinds if isinstance(kind, tuple)]
    words = [_Word(_tensor(kind, places) if isinstance(kind, tuple) else _short(kind.value))
             for kind in kinds]
    args, kwargs = spec.unflatten(words)
    named = (f"{name}={word!r}" for name, word in kwargs.items())
    return f"({', '.join([*map(repr, args), *named])})"


def _tensor(kind: Any, places: Sequence[int]) -> str:
    aval, place, history, *_ = kind
    same = f" #{place}" if places.count(place) > 1 else ""  # one tensor, given several times
    return aval_text(aval) + same + " that requires grad" * history


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _WIDEST else text[:_WIDEST - 3] + "..."


def _modes(key: Any) -> str:
    _, _, grad, inference, default = key
    mode = "in inference mode" if inference else "with gradients" if grad else "without gradients"
    return f"{mode}, {default.name} by default"


def _guards(case: Any) -> Iterator[str]:
    """What must hold of what is reached from outside, as `Inputs.find` asks."""
    yield from case.state.demands()
    for source, (aval, plain, _) in case.inputs.outside.items():
        yield (f"{_source(case, source)} is {aval_text(aval)} and "
               f"{'does not require' if plain else 'requires'} grad")
    for source, expected in case.inputs.grads.items():
        found = "None" if expected is None else aval_text(expected)
        yield f"the .grad of {_source(case, source)} is {found}"


def _source(case: Any, source: Source) -> str:
    """An input as a user would call it."""
    if source.argument is not None:
        return f"argument {source.argument}"
    if source.place is not None:
        return str(case.state.name(source.place))
    return "the .grad of a leaf" if source.owner is not None else "a tensor from outside"


# --- what was recorded --------------------------------------------------------------------------


def _reasons(traces: Traces) -> Iterator[str]:
    """Why each run after the first was recorded: what it saw that none before it had seen."""
    for number in range(1, len(traces.endings)):
        fork, answer = _parting(traces, number)
        yield f"{_seen(answer, fork)} was new at {fork.place}"


def _parting(traces: Traces, number: int) -> tuple[Fork, Any]:
    """The fork where a run left those before it, and what it had seen there."""
    first = _first_runs(traces)
    return next((fork, answer) for fork in traces.forks() for answer, case in fork.cases.items()
                if first[id(case)] == number and first[id(fork)] < number)


def _first_runs(traces: Traces) -> dict[int, int]:
    """By fork, the first run that came there."""
    first: dict[int, int] = {}
    for fork in reversed(list(traces.forks())):
        first[id(fork)] = min((first[id(case)] for case in fork.cases.values()),
                              default=-1 if fork.ending is None else fork.ending)
    return first


def _seen(answer: bytes, fork: Fork) -> Any:
    assert fork.value is not None
    seen = np.frombuffer(answer, fork.value.aval.numpy)
    return seen.item() if seen.size == 1 else seen.tolist()


def _way(root: Fork, plan: PlanBlock | None) -> Way:
    """The runs as a tree, with their native code as far as there is any."""
    todo, order = [(root, plan)], []
    ways: dict[int, Way] = {}
    while todo:
        fork, block = todo.pop()
        order.append((fork, block))
        todo.extend((case, _after(block, answer)) for answer, case in fork.cases.items())
    for fork, block in reversed(order):
        steps = None if block is None else tuple(_native(step) for step in block.steps)
        answers = tuple((_seen(answer, fork), ways[id(case)])
                        for answer, case in fork.cases.items())
        ways[id(fork)] = Way(len(fork.lines), steps, str(fork.place or ""), answers)
    return ways[id(root)]


def _after(block: PlanBlock | None, answer: bytes) -> PlanBlock | None:
    return block.end.cases.get(answer) if block and isinstance(block.end, Branch) else None


def _tree(way: Way, indent: str) -> Iterator[str]:
    """Ways as lines; where only one answer is known, what follows it is not set in deeper."""
    todo: list[tuple[Way, str, str]] = [(way, indent, "")]
    while todo:
        way, indent, head = todo.pop()
        if head:
            yield head
        if way.steps is None:
            yield f"{indent}{_count(way.lines, 'operation')}, not compiled yet"
        yield from (f"{indent}{step}" for step in way.steps or ())
        if not way.place:
            yield f"{indent}end"
        elif len(way.answers) == 1:
            ((seen, following),) = way.answers
            yield f"{indent}look at {way.place}: {seen}"
            todo.append((following, indent, ""))
        else:
            yield f"{indent}look at {way.place}"
            todo.extend((w, indent + "  ", f"{indent}{seen}:")
                        for seen, w in reversed(way.answers))


# --- native code --------------------------------------------------------------------------------


def _native(step: Step) -> Native:
    if isinstance(step, Nest):
        return _nest(step)
    if isinstance(step, Product):
        return _product(step)
    if isinstance(step, Contraction):
        return _contraction(step)
    if isinstance(step, Choose):
        return _choice(step)
    return _loop(step) if isinstance(step, (Repeat, Unwind)) else _call(step)


def _choice(step: Choose) -> Native:
    ways = [[_native(each) for each in plan.body.steps] for plan in step.plans]
    read, written = (max(sum(getattr(each, which) for each in way) for way in ways)
                     for which in ("read", "written"))
    words = ", or ".join("; ".join(f"{each.what} {each.words}" for each in way) or "nothing"
                         for way in ways)
    return Native("choice", f"of {words}", read, written)


def _loop(loop: Repeat | Unwind) -> Native:
    count = loop.count if isinstance(loop, Repeat) else None
    turn = [_native(step) for step in loop.steps]
    read, written = ((count or 1) * sum(getattr(step, which) for step in turn)
                     for which in ("read", "written"))
    turns = _count(count, "turn") if count is not None else (
        f"as many turns as it takes{', and back' * isinstance(loop, Unwind)}")
    return Native("loop", f"of {turns}: " + "; ".join(
        f"{step.what} {step.words}" for step in turn), read, written)


def _nest(nest: Nest) -> Native:
    read, written = (sum(_extent(each, sizes, indirect) for each, sizes, indirect
                         in _accesses(nest, kind)) for kind in (Load, Store))
    return Native("nest", _sizes(nest), read, written)


def _sizes(nest: Nest) -> str:
    sweeps = sum(stage.sweep for stage in nest.stages)
    if not nest.rows and not sweeps:
        count = sum(isinstance(each, Op | Reduce) for each in nest.statements())
        return f"without loops, {_count(count, 'operation')}"
    rows = " x ".join(map(str, nest.rows)) or "1"
    return f"of {rows} x {nest.cols}, {_count(sweeps, 'sweep')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _accesses(nest: Nest, kind: type) -> Iterator[tuple[Access, tuple[int, ...], Any]]:
    """Where a nest's loads or stores go: places, sizes of the loops around them, indices."""
    for stage in nest.stages:
        sizes = (*nest.rows, nest.cols) if stage.sweep else nest.rows
        for each in _of(stage, kind):
            if each.at.buffer.kind != "scratch":  # a row of it stays in the cache
                yield each.at, sizes, each.indirect


def _of(stage: Stage, kind: type) -> Iterator[Any]:
    each: Statement
    for each in stage.statements:
        if isinstance(each, kind):
            yield each


def _extent(at: Access, sizes: Sequence[int], indirect: Any) -> int:
    """The bytes that an access goes over: each element once, however often loops come back."""
    turns = zip(at.strides, sizes, strict=False)
    count = math.prod(sizes) if indirect else math.prod(n for s, n in turns if s)
    return int(min(count, at.buffer.size) * at.buffer.dtype.itemsize)


def _product(p: Product) -> Native:
    size = p.out.buffer.dtype.itemsize * p.count
    count = f"{p.count} times " if p.count > 1 else ""
    out = size * p.m * p.n
    return Native("product", f"of {count}{p.m} x {p.k} x {p.n}",
                  size * (p.m * p.k + p.k * p.n) + out * p.accumulate, out)


def _contraction(c: Contraction) -> Native:
    a, b, out = (_extent(at, c.sizes, ()) for at in (c.a, c.b, c.out))
    return Native("contraction", f"of {' x '.join(map(str, c.sizes))}",
                  a + b + out * c.accumulate, out)


def _call(call: Call) -> Native:
    def total(buffers: Sequence[Buffer]) -> int:
        return sum(b.size * b.dtype.itemsize for b in buffers)

    return Native("call", f"of {call.primitive.name}", total(call.operands), total(call.results))


def _bytes(count: int) -> str:
    for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return _count(count, "byte")
