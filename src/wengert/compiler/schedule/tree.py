"""A program's blocks, one by one, and what is handed from one to those that follow it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ..ir.nest import (
    Branch,
    Buffer,
    Call,
    Choose,
    Contraction,
    Leave,
    Plan,
    PlanBlock,
    Product,
    Repeat,
    Step,
    Unwind,
    touched,
)
from ..ir.program import Block, Constant, Look, Program, Return, Value
from .ahead import is_alias
from .group import Group, Known, Node, Put
from .interchange import turned
from .lines import Lines
from .memory import arena, donations, filled
from .placing import Steps
from .stages import living, nest_of
from .straight import Straight


@dataclasses.dataclass(eq=False, slots=True)
class Draft:
    """A block on its way.

    Attributes:
        block: the block.
        cases: what follows, by answer.
        steps: what has become of it.
        known: what is known of values when it ends.
        results: the memory of the value looked at, or of the outputs.
        planned: its steps in their last form.
        wanted: the memory that they read, or those of blocks after it.
        number: of the look or end.
    """

    block: Block
    cases: list[Draft] = dataclasses.field(default_factory=list)
    steps: Steps = dataclasses.field(default_factory=lambda: Steps({}, {}, {}))
    results: tuple[Buffer, ...] = ()
    planned: list[Step] = dataclasses.field(default_factory=list)
    wanted: set[Buffer] = dataclasses.field(default_factory=set)
    number: int = 0


def schedule(program: Program, donated: Mapping[int, int] | None = None) -> Plan:
    """The plan of a program.

    Args:
        program: of the primitives that `expand` leaves.
        donated: by number of an output, that of an input whose memory the caller would like to
            give for it.
    """
    drafts = _drafts(program.body)
    inputs = [_input(i, value) for i, value in enumerate(program.inputs)]
    aliases = _aliases(drafts)
    outputs = Outputs(drafts, aliases)
    later = _later(drafts, aliases)
    first = {value: Known(value, buffer=buffer)
             for value, buffer in zip(program.inputs, inputs, strict=True)}
    _run(drafts[0], Steps(first, outputs.direct[drafts[0]], aliases), outputs, later)
    for draft in reversed(drafts):
        _finish(draft)
    size = arena(drafts)
    return Plan(inputs, outputs.buffers, _planned(drafts), size,
                donations(drafts, inputs, outputs.buffers, donated or {}))


def _drafts(body: Block) -> list[Draft]:
    """The blocks in order, each before those that follow it; looks and ends numbered."""
    drafts, todo = [], [Draft(body)]
    looks = ends = 0
    while todo:
        draft = todo.pop()
        drafts.append(draft)
        if isinstance(draft.block.end, Look):
            draft.number, looks = looks, looks + 1
            draft.cases = [Draft(case) for case in draft.block.end.cases.values()]
            todo.extend(reversed(draft.cases))
        else:
            draft.number, ends = ends, ends + 1
    return drafts


def _aliases(drafts: list[Draft]) -> dict[Value, Value]:
    """Values that have the same elements in the same order as others, and which these are."""
    found: dict[Value, Value] = {}
    for draft in drafts:
        for line in draft.block.lines:
            if is_alias(line):
                found[line.result] = found.get(line.operands[0], line.operands[0])
    return found


def _input(number: int, value: Value) -> Buffer:
    return Buffer(value.aval.numpy, value.aval.numel, "input", number,
                  shape=tuple(value.aval.shape))


class Outputs:
    """The caller's arrays for outputs. Ends share them where dtype and shape are the same.

    Attributes:
        buffers: the arrays.
        places: by end, those of its outputs.
        direct: by draft, the outputs that may be computed there in their place.
    """

    def __init__(self, drafts: list[Draft], aliases: Mapping[Value, Value]) -> None:
        self.buffers: list[Buffer] = []
        self.aliases = aliases
        self.places = {draft: self._placed(draft.block.end.outputs) for draft in drafts
                       if isinstance(draft.block.end, Return)}
        self.direct: dict[Draft, dict[Value, Buffer]] = {}
        for draft in reversed(drafts):
            self.direct[draft] = self._agreed(draft)
        for draft in drafts:
            if draft.cases:
                own = {value for line in draft.block.lines for value in line.results}
                self.direct[draft] = {
                    v: b for v, b in self.direct[draft].items() if v in own}

    def _agreed(self, draft: Draft) -> dict[Value, Buffer]:
        """The values that every end below gives, all in the same place."""
        found: dict[Value, Buffer] = {}
        if draft in self.places:
            for value, buffer in zip(self._roots(draft), self.places[draft], strict=True):
                found.setdefault(value, buffer)
            return found
        first, *others = (self.direct[case] for case in draft.cases)
        return {value: buffer for value, buffer in first.items()
                if all(other.get(value) is buffer for other in others)}

    def _roots(self, draft: Draft) -> tuple[Value, ...]:
        """The outputs of an end, by the values that they are other names of."""
        assert isinstance(draft.block.end, Return)
        return tuple(self.aliases.get(v, v) for v in draft.block.end.outputs)

    def _placed(self, outputs: tuple[Value, ...]) -> tuple[Buffer, ...]:
        free = list(self.buffers)
        return tuple(self._take(value, free) for value in outputs)

    def _take(self, value: Value, free: list[Buffer]) -> Buffer:
        aval = value.aval
        for i, buffer in enumerate(free):
            if buffer.shape == tuple(aval.shape) and buffer.dtype == aval.numpy:
                return free.pop(i)
        self.buffers.append(Buffer(aval.numpy, aval.numel, "output", len(self.buffers),
                                   shape=tuple(aval.shape)))
        return self.buffers[-1]


def _later(drafts: list[Draft], aliases: Mapping[Value, Value]) -> dict[Draft, set[Value]]:
    """By block, the values that blocks after it need of it or of those before."""
    needed: dict[Draft, set[Value]] = {}
    later: dict[Draft, set[Value]] = {}
    for draft in reversed(drafts):
        after: set[Value] = set().union(*(needed[case] for case in draft.cases))
        end = draft.block.end
        ends = end.outputs if isinstance(end, Return) else (end.value,)
        own = after.union(aliases.get(v, v) for v in ends)
        for line in draft.block.lines:
            own.update(aliases.get(v, v) for v in line.operands)
        for line in draft.block.lines:
            own.difference_update(line.results)
        later[draft], needed[draft] = after, own
    return later


# --- what each block does ---------------------------------------------------------------------


def _run(first: Draft, steps: Steps, outputs: Outputs,
         later: Mapping[Draft, set[Value]]) -> None:
    """Schedules the blocks, from the first on."""
    todo = [(first, steps)]
    while todo:
        draft, steps = todo.pop()
        draft.steps = steps
        end = draft.block.end
        ends = end.outputs if isinstance(end, Return) else (end.value, *later[draft])
        Lines(steps, schedule).take_all(draft.block.lines, map(steps.root, ends))
        if isinstance(end, Return):
            draft.results = tuple(
                _output(steps, value, buffer)
                for value, buffer in zip(end.outputs, outputs.places[draft], strict=True))
            continue
        draft.results = (steps.memory(end.value),)
        handed = _handed(steps, later[draft])
        for case in reversed(draft.cases):
            own = {value: dataclasses.replace(known) for value, known in handed.items()}
            todo.append((case, Steps(own, outputs.direct[case], steps.aliases)))


def _output(steps: Steps, value: Value, buffer: Buffer) -> Buffer:
    """Has an output in its place."""
    known = steps.of(value)
    if known.buffer is None and steps.outputs.get(known.value) is buffer:
        steps.stored(value)
    elif known.buffer is not buffer:
        steps.moved(value, buffer)
    return buffer


def _handed(steps: Steps, values: set[Value]) -> dict[Value, Known]:
    """Sees to it that values are in memory, for blocks to come."""
    found: dict[Value, Known] = {}
    todo = [value for value in steps.known if value in values]
    while todo:
        value = steps.root(todo.pop())
        known = steps.of(value)
        if isinstance(value, Constant) or value in found:
            continue
        if known.buffer is None and known.view is not None:
            found[value] = Known(value, recipe=known.recipe, view=known.view,
                                 leaves=known.leaves, cost=known.cost)
            todo.append(known.view[0])
        else:
            found[value] = Known(value, buffer=steps.stored(value).buffer,
                                 leaves=frozenset((value,)))
    return found


# --- the last form ----------------------------------------------------------------------------


def _finish(draft: Draft) -> None:
    """Gives the steps of a block their last form, without what nothing needs."""
    steps = draft.steps
    last = LastForm(steps, set(draft.results).union(*(case.wanted for case in draft.cases)))
    planned: list[Step] = []
    for step in reversed(steps.steps):
        planned.extend(reversed(last.of(step)))
    draft.planned, draft.wanted = planned[::-1], last.wanted


class LastForm:
    """Steps in their last form, made from the end of a block on.

    Attributes:
        wanted: memory that is read later on.
        instead: memory that isn't needed, as what it holds may be where it is copied to.
    """

    def __init__(self, steps: Steps, wanted: set[Buffer]) -> None:
        self.known, self.begun, self.pinned = steps.known, steps.begun, steps.pinned
        self.wanted = wanted
        self.instead: dict[Buffer, Buffer] = {}

    def of(self, step: Group | Straight | Step) -> list[Step]:
        """What a step becomes; nothing if it isn't wanted."""
        found = self._made(step)
        for each in found:
            self.wanted.update(touched(each)[0])
        return found

    def _is_wanted(self, buffer: Buffer) -> bool:
        buffer = self._name(buffer)
        return buffer.kind == "output" or buffer in self.wanted

    def _name(self, buffer: Buffer) -> Buffer:
        while buffer in self.instead:
            buffer = self.instead[buffer]
        return buffer

    def _made(self, step: Group | Straight | Step) -> list[Step]:
        if isinstance(step, Group):
            return self._nest(step)
        if isinstance(step, Straight):
            return list(step.nest(self._is_wanted, self._name))
        if isinstance(step, (Product, Contraction)):
            return self._product(step)
        if isinstance(step, Repeat):
            return [self._repeat(step)] if self._does(step, _places(step)) else []
        if isinstance(step, Unwind):
            return [dataclasses.replace(step, forth=self._repeat(step.forth),
                                        back=self._repeat(step.back))
                    ] if self._does(step, _places(step.back)) else []
        if isinstance(step, Choose):
            return [self._choose(step)] if self._does(step, step.outputs) else []
        assert isinstance(step, Call)
        return [dataclasses.replace(step, operands=tuple(map(self._name, step.operands)),
                                    results=tuple(map(self._name, step.results)))]

    def _product(self, step: Product | Contraction) -> list[Step]:
        if not self._is_wanted(step.out.buffer):
            return []
        a, b, out = (dataclasses.replace(m, buffer=self._name(m.buffer))
                     for m in (step.a, step.b, step.out))
        return [dataclasses.replace(step, a=a, b=b, out=out)]  # type: ignore[arg-type]

    def _does(self, step: Repeat | Unwind | Choose, results: Sequence[Buffer]) -> bool:
        """Whether a step's results are wanted, or it does more than to give them."""
        return any(map(self._is_wanted, results)) or any(
            isinstance(each, Call) for each in step.steps)

    def _choose(self, step: Choose) -> Choose:
        inputs, outputs = (tuple(map(self._name, each)) for each in (step.inputs, step.outputs))
        return dataclasses.replace(step, which=self._name(step.which), inputs=inputs,
                                   outputs=outputs)

    def _repeat(self, repeat: Repeat) -> Repeat:
        inputs, outputs = (tuple(
            dataclasses.replace(each, buffer=self._name(each.buffer)) for each in stretches)
            for stretches in (repeat.inputs, repeat.outputs))
        return dataclasses.replace(repeat, inputs=inputs, outputs=outputs)

    def _nest(self, group: Group) -> list[Step]:
        puts, nodes = living(group, self._is_wanted)
        if not puts or (group.alone and self._written_there(group, puts, nodes)):
            return []
        fills = filled((self._name(buffer), value) for buffer, value in group.fills
                       if self._is_wanted(buffer))
        for put in puts:
            put.buffer = self._name(put.buffer)
        nest = nest_of(group, puts, nodes, lambda value: self._name(_loaded(self.known[value])))
        return [*fills, turned(nest)]

    def _written_there(self, group: Group, puts: list[Put], nodes: list[Node]) -> bool:
        """Whether all that a group does is to copy what nothing needs any more, so that it may as
        well be written where it is copied to."""
        if len(puts) != 1 or len(nodes) != 1 or nodes[0].kind != "load" or (
                self.begun.get(puts[0].buffer) != group.index):
            return False
        (put,), (node,) = puts, nodes
        known = self.known[node.value]
        source = _loaded(known)
        whole = (node.strides, node.offset, source.size) == (put.strides, 0, put.buffer.size)
        own = source.kind == "temporary" and known.step >= 0 and source not in self.pinned
        if whole and own and source not in self.instead and source not in self.wanted:
            self.instead[source] = self._name(put.buffer)
            return True
        return False


def _places(repeat: Repeat) -> list[Buffer]:
    """Where a loop's results are."""
    return [each.buffer for each in repeat.outputs]


def _loaded(known: Known) -> Buffer:
    assert known.buffer is not None
    return known.buffer


def _planned(drafts: list[Draft]) -> PlanBlock:
    """The tree of blocks, made from its leaves on."""
    made: dict[Draft, PlanBlock] = {}
    for draft in reversed(drafts):
        end: Leave | Branch
        if isinstance(draft.block.end, Return):
            end = Leave(draft.number, tuple(b.number for b in draft.results))
        else:
            answers = draft.block.end.cases
            end = Branch(draft.results[0], {answer: made[case] for answer, case in zip(
                answers, draft.cases, strict=True)}, draft.number)
        made[draft] = PlanBlock(tuple(draft.planned), end)
    return made[drafts[0]]
