"""Runs: lines of small arrays, gathered to be taken together as scalars.

Two runs are gathered at a time: of lines that are done once, and of lines that are done for every
one of many examples. The latter may use what the former compute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from ..ir.nest import Buffer
from ..ir.program import Constant, Line, Value
from .examples import Examples, Way, inner, moved, way
from .group import COSTS, ELEMENTARY, Known
from .operations import is_foreign, operation
from .pieces import Pieces
from .placing import Steps
from .recipes import window
from .straight import Straight

TINY = 64
"""Arrays of more elements are not tiny."""
_SMALL = 32
"""Nor are those of more elements for an example: loops fill vectors with them."""
_FEW = 8
"""Nor are those of more parts, where examples come last."""
_LEAST = 8
"""Fewer examples don't fill a vector."""
WHOLE = Examples(1, False, TINY)
"""A single one."""
_MOST = 20_000
"""Above this many statements, only smaller arrays count as tiny."""
_LONGEST = 400
"""No sweep over examples has many more statements than this."""
_WIDE = 16
"""Elementary functions of more elements fill a vector, where in a straight line each is a call."""
_SHARE = 12
"""Less than one line in so many that moves elements means that loops will do."""
_LONG_RUN = 4
"""Fewer tiny lines than this, among others, are not worth a step of their own."""


class Runs:
    """See the text of the module.

    Args:
        steps: the steps that runs become.
        lines: all lines of the block.
        at_hand: whether a value is in memory, or will be before the next step.
    """

    def __init__(self, steps: Steps, lines: Sequence[Line],
                 at_hand: Callable[[Value], bool]) -> None:
        self.steps, self.at_hand, self.whole = steps, at_hand, len(lines)
        lines = [line for line in lines if not is_foreign(line)]
        self.tiny = _tiny(lines)
        self.picked = _picked(self.tiny, steps.root)
        self.examples, self.alike = _alike(lines)
        self.once: dict[Value, Line] = {}
        self.each: dict[Value, Line] = {}
        self.work = 0

    def take(self, line: Line) -> bool:
        """Has a line in a run, if it can be."""
        found = self.alike.get(line)
        if found is not None and self._fits(line, found) and (
                not self.work or self.work + found.work <= _LONGEST):
            self.each[line.result] = line
            self.work += found.work
        elif line in self.tiny and (self._is_free(line) or self._is_pick(line)):
            self.once[line.result] = line
        else:
            return False
        return True

    def _fits(self, line: Line, found: Way) -> bool:
        """Whether all that an example needs is its own, or at hand."""
        return all(
            self.examples.has(x, step, taken) if (root := self.steps.root(x)) in self.each
            else root in self.once or isinstance(root, Constant) or self.at_hand(root)
            for x, step, taken in zip(line.operands, found.steps, found.taken, strict=True))

    def _is_free(self, line: Line) -> bool:
        """Whether a line's operands are in memory or scalars, and not what a nest is about to
        compute, which it could go on with."""
        return all(root in self.once or isinstance(root, Constant) or (
            root not in self.each and self.at_hand(root))
            for root in map(self.steps.root, line.operands))

    def _is_pick(self, line: Line) -> bool:
        """Whether a line takes some elements of a larger array, of which others do likewise: then
        that has to be in memory."""
        root = self.steps.root(line.operands[0])
        return root in self.picked and root in self.steps.known and root not in self.each

    def end(self) -> Iterator[Line]:
        """Makes steps of what was gathered; gives, one by one, lines for which loops do."""
        for run, ways, examples in ((self.once, self.tiny, WHOLE),
                                    (self.each, self.alike, self.examples)):
            lines = list(run.values())
            run.clear()
            if len(lines) < min(_LONG_RUN, self.whole) or (
                    run is self.once and len(lines) < self.whole and _are_apart(lines)):
                yield from lines
            else:
                self._step(lines, ways, examples)
        self.work = 0

    def _step(self, lines: Sequence[Line], ways: dict[Line, Way], examples: Examples) -> None:
        steps = self.steps
        straight = Straight(steps, len(steps.steps), examples)
        for line in lines:
            straight.take(line, ways[line])
        straight.index = len(steps.steps)
        steps.steps.append(straight)
        first = examples.count > 1 and not examples.last
        for line in lines:
            value = line.result
            if first and value not in steps.outputs:
                self._turn(value, straight)
            else:
                _settle(steps, value, straight)

    def _turn(self, value: Value, straight: Straight) -> None:
        """Has a value be a view of one whose examples come last."""
        steps, shape, count = self.steps, tuple(value.aval.shape), straight.count
        size = value.aval.numel // count
        last = straight.apart(value, Value(value.aval.with_shape((size, count))))
        _settle(steps, last, straight)
        known = steps.known[value] = Known(
            value, straight.index + 1, leaves=frozenset((last,)),
            recipe=window(last, (count, size), (1, count), 0))
        if inner(shape, count) == (0, (1, *shape[1:])):
            known.view = last, moved(shape), 0
        steps.turned[value] = last


def put_together(steps: Steps, pieces: Pieces, buffer: Buffer) -> int:
    """Stores pieces that are in memory, or scalars, in their places, and gives the step."""
    straight = Straight(steps, len(steps.steps), WHOLE)
    for value, region in pieces:
        straight.put(value, buffer, region)
    straight.index = len(steps.steps)
    steps.steps.append(straight)
    return straight.index


def _settle(steps: Steps, value: Value, straight: Straight) -> None:
    steps.known[value] = Known(value, straight.index, leaves=frozenset((value,)), home=straight)


def _tiny(lines: Sequence[Line]) -> dict[Line, Way]:
    """The lines that are done once, in scalars."""
    found = {line: each for line in lines if (each := way(line, WHOLE)) is not None}
    if not _are_mixed([line for line in found if _size(line) > 1]):
        return {line: each for line, each in found.items() if _size(line) == 1}
    most = _WIDE if _are_calls([line for line in found if _size(line) > _WIDE], found) else TINY
    while most > 1 and sum(each.work for line, each in found.items()
                           if _size(line) <= most) > _MOST:
        most //= 4
    return {line: each for line, each in found.items() if _size(line) <= most}


def _are_calls(lines: Sequence[Line], ways: dict[Line, Way]) -> bool:
    """Whether most of the work is elementary functions, of which a straight line calls one for
    each element. A loop does vectors of them, and is compiled sooner."""
    calls = [ways[line].work for line in lines if (name := operation(line)) is not None
             and COSTS.get(name, ELEMENTARY) == ELEMENTARY]
    return sum(calls) * ELEMENTARY > sum(ways[line].work for line in lines)


def _picked(lines: Iterable[Line], root: Callable[[Value], Value]) -> set[Value]:
    """Larger arrays of which several lines each take some elements."""
    found = Counter(root(line.operands[0]) for line in lines
                    if line.operands[0].aval.numel > TINY)
    return {value for value, times in found.items() if times >= _LONG_RUN}


def _size(line: Line) -> int:
    """The size of a line's largest array; of a view, what is taken counts."""
    values = line.results if line.primitive.name == "strided" else (*line.operands, *line.results)
    return max(v.aval.numel for v in values)


def _are_apart(lines: Sequence[Line]) -> bool:
    """Whether lines are of some elements each, which only meet those of the same place."""
    return all(_size(line) >= _LEAST and operation(line) is not None for line in lines)


def _are_mixed(lines: Sequence[Line]) -> bool:
    """Whether small arrays are often taken apart, put together or summed. Where elements only meet
    elements of the same place, loops do as well, in less code."""
    return len(lines) < _SHARE * sum(operation(line) is None for line in lines)


def _alike(lines: Sequence[Line]) -> tuple[Examples, dict[Line, Way]]:
    """Examples, and the lines that do the same for each; none, if they are but a few of those with
    larger arrays."""
    large = [line for line in lines if _size(line) > TINY]
    wide = [line for line in lines if _size(line) > 1]
    for many, last, most in ((large, False, _SMALL), (wide, True, _FEW)):
        sizes = Counter(line.results[0].aval.shape[-1 if last else 0] for line in many
                        if line.results[0].aval.ndim)
        count = max(sizes, key=lambda n: sizes[n], default=0)
        if count < _LEAST:
            continue
        examples = Examples(count, last, most)
        found = {line: each for line in lines if _size(line) >= min(count, TINY + 1)
                 if (each := way(line, examples)) is not None}
        if len(found) * 2 >= len(many) and _are_mixed(list(found)):
            return examples, found
    return WHOLE, {}
