"""How a loop's step is recorded: without numbers, so that it stands for every turn. And both ways
of a choice.

    func.while_loop, recorded  ->  one application of `unbounded`
    func.cond                  ->  one of `choice`

The step runs once on symbolic tensors, at a level deeper than all that are in force. Each tensor
from outside that they meet, whatever its level, becomes an operand of the loop. So derivatives,
outer and inner, are no matter of the step's: `unbounded` has rules of its own, and functions that
the step itself differentiates are lines like others.

All that runs meanwhile is recorded there, what runs between tensors from outside alone included:
it is none of the business of who makes no turn, nor is its derivative. And nothing may run that
does more than to compute: whoever would write, draw random numbers, look, or leave Python's state
changed, is refused, and its traces are wiped out. Then the loop is run as it is, each look a fork.

So are choices whose ways leave something else behind, if anybody could tell: in a loop's step
nobody can.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from ...core.generator import Generator
from ...core.handle import Handle
from ...core.levels import entered, here, modes
from ...core.primitive import Primitive
from ...core.pytrees import flatten
from ...interpreters.eager import constant
from ...interpreters.forward import Forward
from ...interpreters.pullback import pullback
from ...interpreters.reverse import Reverse
from ...interpreters.tape import Node
from ...ops.random import default_generator
from ...primitives.elementwise import ne
from ...primitives.layout import clone, reshape
from ..ir.program import Constant, Program, Value, append
from ..ir.symbolic import Symbolic
from ..looping.chosen import choice
from ..looping.repeated import outputs_of
from ..looping.steps import detached, interned, varied
from ..looping.unbounded import unbounded
from ..strict import strict
from .reach import reached
from .spent import Spent
from .state import MISSING, ChangedError

if TYPE_CHECKING:
    from ...func.control import Choice, Loop, Tree
    from .record import Recorder

T = TypeVar("T")
Ends = dict[Node, frozenset[Any]]
"""By node of the tape, the nodes at the ends that lie behind it."""


def looped(recorder: Recorder, loop: Loop) -> list[Any] | None:
    """What a loop's operands become, by one line; None if it can't be said in one."""
    step = _without_numbers(recorder, (loop.cond_fn, loop.body_fn),
                            lambda level: _step(level, loop))
    if step is None:
        return None
    leaves = loop.carry.leaves
    operands = [*(leaves[i] for i in step.moving), *step.same(leaves)]
    found = _applied(lambda: unbounded(_truth(loop.holds(leaves)), *map(clone, operands),
                                       body=step.body, carried=1 + len(step.moving)))
    if found is None:
        return None
    _unlink(found, varied(step.body, len(found), [False, *map(_linked, operands)]))
    changed = dict(zip(step.moving, found[1:], strict=True))
    return [changed.get(i, leaf) for i, leaf in enumerate(leaves)]


def chosen(recorder: Recorder, choice_: Choice) -> Tree | None:
    """What a `cond` gives, by one line; None if it can't be said in one."""
    pred = choice_.pred
    if not isinstance(pred, Handle) or recorder.is_constant(pred):
        return None
    ways = _without_numbers(recorder, (choice_.true_fn, choice_.false_fn),
                            lambda level: _ways(recorder, level, choice_))
    if ways is None or not (ways.alike or any(type(x) is Stepping for x in here.levels)):
        return None
    found = _applied(lambda: choice(_truth(pred), *map(clone, ways.operands), yes=ways.yes,
                                    no=ways.no))
    if found is None:
        return None
    linked = {i for i, x in enumerate(ways.operands) if _linked(x)}
    _unlink(found, [i for i, each in enumerate(_traces(ways.yes) or ()) if each & linked])
    made = iter(found)
    return ways.result.with_leaves([x if x is None else next(made) for x in ways.result.leaves])


def _without_numbers(recorder: Recorder, functions: Sequence[Any],
                     run: Callable[[Stepping], T]) -> T | None:
    """What comes of functions at a level without numbers; None if it can't be done without, or if
    they do more than to compute."""
    if recorder.failed or not all(type(level) in _THROUGH for level in here.levels):
        return None
    around = Surroundings(functions)
    if around.unsafe:
        return None
    level = Stepping()
    found = None
    try:
        with modes(recorder=_Watching(recorder, level)), entered(level):
            found = run(level)
    except Exception as error:  # noqa: BLE001 - if numbers aren't why, it comes again
        _check(error, level.refused)
    unchanged = around.restored(drawn=level.drawn)
    return found if unchanged and not level.refused else None


def _applied(line: Callable[[], Any]) -> Any:
    """What a line gives; None if it fails, as Python will at the user's line.

    Such lines get copies of their operands: the tape saves all of them, and what the functions
    would not have saved may be written to later on. Native code has no copies.
    """
    try:
        return line()
    except Exception as error:  # noqa: BLE001
        _check(error, "")
        return None


def _linked(x: Any) -> bool:
    """Whether a tensor has a history, or what a transform makes of it may have one."""
    return x.node is not None or x.aval.level is not None


def _unlink(found: Sequence[Any], related: Container[int]) -> None:
    """Takes from results of a line the history that they have only because others have one."""
    for i, x in enumerate(found):
        if i not in related and x.aval.level is None:
            x.node = None


def _check(error: Exception, known: str) -> None:
    """Raises an error that is likely to be our own fault, if tests want to know."""
    if strict() and not known and isinstance(error, (NameError, AssertionError)):
        raise error


class Step(NamedTuple):
    """What a turn of a loop does.

    Attributes:
        body: a program of whether to go on, what moves, and what is the same in all turns.
        moving: the places of the operands that a turn changes.
        kept: the places of those that it doesn't, but reads.
        captured: what it reads from outside.
    """

    body: Program
    moving: list[int]
    kept: list[int]
    captured: list[Any]

    def same(self, leaves: Sequence[Any]) -> list[Any]:
        """What is the same in all turns."""
        return [*(leaves[i] for i in self.kept), *self.captured]


class RefusedError(Exception):
    """A step does what can't be said without numbers."""


class Ways(NamedTuple):
    """What the functions of a `cond` do.

    Attributes:
        yes, no: programs.
        operands: what both take.
        result: the first one's, without numbers.
        alike: whether they leave the same behind but for numbers: results in memory of their own
            that depend on the same operands.
    """

    yes: Program
    no: Program
    operands: list[Any]
    result: Tree
    alike: bool


def _step(level: Stepping, loop: Loop) -> Step:
    """What a turn does."""
    given = [None if x is None else level.given(x) for x in loop.carry.leaves]
    following = loop.following(given)
    return level.step(given, following, _truth(loop.holds(following)))


def _ways(recorder: Recorder, level: Stepping, choice_: Choice) -> Ways:
    """What either function of a `cond` does."""
    leaves, spec = flatten(choice_.operands)
    given = [level.given(x) if isinstance(x, Handle) else x for x in leaves]
    yes = choice_.result(True, spec.unflatten(given))
    count = len(level.lines)
    no = choice_.result(False, spec.unflatten(given)).like(yes, "true_fn's result")
    parts = level.lines[:count], level.lines[count:]
    outs = [[level.value(x) for x in each.leaves if x is not None] for each in (yes, no)]
    read = {v for line in level.lines for v in line.operands}.union(*outs)
    pairs = [(x, new.value) for x, new in zip(leaves, given, strict=True) if isinstance(x, Handle)]
    pairs = [(x, value) for x, value in (*pairs, *level.captured.values()) if value in read]
    inputs = [value for _, value in pairs]
    one, other = (interned(inputs, lines, values)
                  for lines, values in zip(parts, outs, strict=True))
    operands = [x for x, _ in pairs]
    return Ways(one, other, operands, yes,
                _alike(one, other, operands, recorder.ends))


def _alike(one: Program, other: Program, operands: Sequence[Any], known: Ends) -> bool:
    """Whether two programs leave the same behind, but for numbers: results in memory of their own,
    whose derivatives arrive at the same leaves."""
    first, second = _traces(one), _traces(other)
    if first is None or second is None:
        return False
    if first == second:
        return True
    ends = [_ends(x, known) for x in operands]
    return all(_union(ends[i] for i in a) == _union(ends[i] for i in b)
               for a, b in zip(first, second, strict=True))


def _ends(x: Any, known: Ends) -> frozenset[Any]:
    """The ends of the tape that a tensor's history goes back to, beneath all transforms."""
    todo, nodes = [x], []
    while todo:
        each = todo.pop()
        if isinstance(each, Handle):
            todo += [each.value, each.extra] if each.aval.level is not None else [each.node]
        elif isinstance(each, Node):
            nodes.append(each)
    path = list(nodes)
    while path:
        node = path[-1]
        edges = [edge for edge in node.edges if edge is not None]
        unknown = [edge for edge in edges if edge not in known]
        path += unknown
        if not unknown:
            known[node] = _union(known[edge] for edge in edges) or frozenset((node,))
            path.pop()
    return _union(known[node] for node in nodes)


def _union(sets: Iterable[frozenset[Any]]) -> frozenset[Any]:
    return frozenset[Any]().union(*sets)


def _traces(program: Program) -> list[frozenset[int]] | None:
    """The inputs that derivatives of each result arrive at; None if a result may lie in the memory
    of an input, or of another result."""
    reached = {value: frozenset((i,)) for i, value in enumerate(program.inputs)}
    roots: dict[Value, Value] = {value: value for value in program.inputs}
    for line in program.body.lines:
        flows = () if line.primitive is detached else line.operands
        found = _union(reached.get(v, frozenset()) for v in flows)
        for value in line.results:
            reached[value] = found if value.aval.dtype.differentiable else frozenset()
            roots[value] = roots.get(line.operands[0], line.operands[0]) if (
                line.primitive.view) else value
    ends = [roots.get(value, value) for value in outputs_of(program)]
    if len(set(ends)) < len(ends) or not set(ends).isdisjoint(program.inputs):
        return None
    return [reached.get(value, frozenset()) for value in outputs_of(program)]


def _truth(pred: Any) -> Any:
    """What a condition gave, as one bool; of any other numbers those that aren't 0 are true."""
    if not isinstance(pred, Handle) or pred.aval.numel != 1:
        raise RefusedError("it is no tensor")
    pred = reshape(pred, shape=()) if pred.aval.ndim else pred
    return pred if pred.aval.numpy == np.bool_ else ne(pred, np.zeros((), pred.aval.numpy))


class Stepping(Symbolic):
    """The level that a loop's step is recorded at.

    Attributes:
        captured: by what it is known by, each tensor from outside, and what stands for it.
        refused: why it can't be; "" if it can.
        drawn: whether random numbers were drawn.
        grad: whether derivatives were recorded when it began.
    """

    __slots__ = ("captured", "drawn", "grad", "refused")
    word = "while_loop"
    takes_all = True

    def __init__(self) -> None:
        super().__init__()
        self.captured: dict[int, tuple[Any, Value]] = {}
        self.refused, self.drawn, self.grad = "", False, here.grad

    def refuse(self, why: str) -> RefusedError:
        """The error that says why; noted, should the step catch it."""
        self.refused = self.refused or why
        return RefusedError(why)

    def given(self, x: Any) -> Any:
        """What a function is given instead of a tensor."""
        return self.tensor(Value(x.aval.plain))

    def interpret(self, primitive: Primitive, operands: Sequence[Any],
                  params: dict[str, Any]) -> Any:
        if here.grad is not self.grad:
            raise self.refuse("it turns derivatives on or off")
        if not self.alive:
            raise RuntimeError("a tensor of one step of a while_loop is used after it")
        return super().interpret(primitive, operands, params)

    def value(self, x: Any, operands: Sequence[Any] = ()) -> Value:
        if not isinstance(x, Handle):
            return Constant(constant(x, operands))
        if x.aval.level is self:
            value: Value = x.value
            return value
        return self.captured.setdefault(id(x), (x, Value(x.aval.plain)))[1]

    def write(self, primitive: Primitive, x: Any, others: Sequence[Any],
              params: dict[str, Any]) -> Any:
        raise self.refuse("it writes in place")

    def apply_custom(self, custom: Any, args: Sequence[Any]) -> Any:
        raise self.refuse("it applies a function with derivatives of its own")

    def concrete(self, x: Any, asked: str) -> np.ndarray:
        raise self.refuse("it looks at numbers")

    def text(self, x: Any) -> str:
        raise self.refuse("it prints numbers")

    def detach(self, x: Any) -> Any:
        if not x.aval.dtype.differentiable:
            return x
        return self.tensor(append(self.lines, detached, (self.value(x),), {}, x.aval.plain))

    def step(self, given: Sequence[Any], following: Sequence[Any], going: Any) -> Step:
        """What was recorded, as a turn."""
        if not isinstance(going, Handle) or going.aval.level is not self:
            raise self.refuse("its end doesn't depend on what is carried")
        outs: list[Any] = [None if x is None else self.value(x) for x in following]
        firsts: list[Any] = [None if x is None else x.value for x in given]
        moving = [i for i, (out, first) in enumerate(zip(outs, firsts, strict=True))
                  if out is not first]
        on = Value(going.aval.plain)
        outputs = [going.value, *(outs[i] for i in moving)]
        read = {v for line in self.lines for v in line.operands}.union(outputs)
        kept = [i for i, first in enumerate(firsts)
                if first is not None and i not in moving and first in read]
        captured = [(x, value) for x, value in self.captured.values() if value in read]
        inputs = [on, *(firsts[i] for i in (*moving, *kept)), *(value for _, value in captured)]
        return Step(interned(inputs, self.lines, outputs), moving, kept, [x for x, _ in captured])


_THROUGH = (Forward, Reverse, Stepping)
"""Levels that have rules for loops."""


class _Watching:
    """The recorder, as long as a step runs without numbers: what only computes is noted."""

    def __init__(self, recorder: Recorder, level: Stepping) -> None:
        self._recorder, self._level = recorder, level

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recorder, name)

    def meet(self, x: Any, *, to_write: bool = False) -> None:
        if to_write:
            raise self._level.refuse("it writes in place")
        self._recorder.meet(x)

    def drew(self, *_: Any) -> None:
        self._level.drawn = True
        raise self._level.refuse("it draws random numbers")

    def leaf(self, x: Any) -> None:
        raise self._level.refuse("it uses a gradient")

    def arrive(self, nodes: Iterable[Any]) -> None:
        raise self._level.refuse("it computes gradients of tensors from outside")

    def fail(self, why: str) -> None:
        raise self._level.refuse(why)

    pull: Callable[..., list[Any]] = staticmethod(pullback)


class Surroundings:
    """What functions may leave changed, as it is before they run.

    Attributes:
        unsafe: whether something is there that may be used up, and can't be put back.
    """

    def __init__(self, functions: Sequence[Any]) -> None:
        self._state, self._values = reached(functions)
        self._generators = [(g, Generator.get_state(g)) for g in dict.fromkeys(
            [default_generator, *(x for x in self._values if isinstance(x, Generator))])]
        self._spent = Spent(self._values)
        self.unsafe = bool(self._spent.why())
        self._copies = [(x, type(x)(x)) for x in self._values if type(x) in _CHANGING]

    def restored(self, *, drawn: bool) -> bool:
        """Puts all back as it was; whether there was nothing to do."""
        if drawn:
            for generator, state in self._generators:
                Generator.set_state(generator, state)
        unchanged = self._unchanged()
        if not unchanged:
            for container, copy in self._copies:
                _refill(container, copy)
            for (keeper, key), value in zip(self._state.places, self._values, strict=True):
                if type(keeper) is not int and keeper.get(key, MISSING) is not value:
                    if value is MISSING:
                        del keeper[key]
                    else:
                        keeper[key] = value
        return unchanged and not self._spent.why()

    def _unchanged(self) -> bool:
        try:
            return not any(True for _ in self._state.changes(self._values))
        except ChangedError:
            return False


_CHANGING = (list, dict, set, collections.deque)


def _refill(container: Any, copy: Any) -> None:
    """Gives a container the items of another."""
    container.clear()
    (container.extend if isinstance(container, (list, collections.deque)) else
     container.update)(copy)
