"""Control flow, said explicitly: `cond`, `while_loop` and `scan`.

Python's own `if`, `while` and `for` do, too, wherever numbers are known. These three also say what
to do where examples of a batch go different ways (inside `vmap`): each example goes its own, and
nothing is computed for it beside that way. And they say that a loop is one: its body is the same
at each step, with values of the same shapes and dtypes. What they call should not write to its
operands: where examples part, they are copies.

Each function checks its arguments and makes a record of them (`Choice`, `Loop`, `Scan`), whose
`run` is the meaning: plain Python on tensors. That seam is where who records steps in: to it, a
loop or a choice may be one operation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.aval import Aval
from ..core.handle import Handle, plain_aval, wrap
from ..core.levels import here, numbers
from ..core.pytrees import Spec, flatten
from ..interpreters.batching import Batch, batch_of
from ..interpreters.choosing import Chosen, Examples, at_home, batches, rows
from ..ops.creation import as_tensor
from ..ops.random import default_generator
from ..primitives.layout import cat, split_sizes, stack, unbind

__all__ = ["cond", "scan", "while_loop"]


def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any],
         operands: Sequence[Any] = ()) -> Any:
    """`true_fn(*operands)` if the predicate holds, else `false_fn(*operands)`.

    Only the function that is chosen runs. Inside `vmap`, where the predicate may differ between
    examples, each runs on the examples that chose it: the gradient of the other never gets in,
    be it infinite or NaN. For that, give what a branch computes with as operands; an operation
    between tensors that the function closes over alone runs on all examples.

    Args:
        pred: a bool, or a tensor of one element.
        true_fn: from the operands to tensors (or a pytree of them).
        false_fn: likewise, to results of the same structure, shapes and dtypes.
        operands: a tuple of tensors, or pytrees of them.

    Raises:
        TypeError: if the predicate is neither; if results are no tensors; if those of the two
            functions differ in kind, which is noticed where both run.

    Example:
        >>> import wengert as torch
        >>> def root(x):
        ...     return torch.cond(x > 0, torch.sqrt, torch.zeros_like, (x,))
        >>> torch.func.vmap(torch.func.grad(root))(torch.tensor([4., 0., -1.]))
        tensor([0.2500, 0.0000, 0.0000])
    """
    if not (callable(true_fn) and callable(false_fn)):
        raise TypeError("cond: true_fn and false_fn must be functions")
    return Choice(pred, true_fn, false_fn, _tuple("cond", operands)).run()


def while_loop(cond_fn: Callable[..., Any], body_fn: Callable[..., Any],
               operands: Sequence[Any]) -> tuple[Any, ...]:
    """Replaces operands by `body_fn(*operands)` as long as `cond_fn(*operands)` holds.

    Both modes differentiate it, to any order. Reverse mode keeps what each step needs; `scan` can
    be checkpointed, where the number of steps is known. Inside `vmap` each example makes as many
    steps as it would alone: those that are done take no part in the steps of others.

    Args:
        cond_fn: from the operands to a bool, or a tensor of one element.
        body_fn: from the operands to a tuple of new ones, of the same structure, shapes and
            dtypes.
        operands: a tuple of tensors, or pytrees of them.

    Returns:
        The operands for which `cond_fn` does not hold, a tuple.

    Raises:
        TypeError: if the operands change in structure, shape or dtype, or `cond_fn` returns
            anything else.

    Example:
        Newton's method, as long as each example needs it:

        >>> import wengert as torch
        >>> def cube_root(a):
        ...     far = lambda x: abs(x ** 3 - a) > 1e-5 * a
        ...     step = lambda x: (x - (x ** 3 - a) / (3 * x ** 2),)
        ...     return torch.func.while_loop(far, step, (a,))[0]
        >>> torch.func.vmap(cube_root)(torch.tensor([1., 8., 1000.]))
        tensor([ 1.,  2., 10.])
        >>> torch.func.grad(cube_root)(torch.tensor(8.))
        tensor(0.0833)
    """
    carry = Tree("while_loop: operands", _tuple("while_loop", operands))
    return Loop(cond_fn, body_fn, carry).run()


def scan(f: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any = None,
         length: int | None = None, reverse: bool = False) -> tuple[Any, Any]:
    """A loop that takes one x after the other, carries a state along, and gathers results.

        carry, ys = init, []
        for x in xs:
            carry, y = f(carry, x)
            ys.append(y)
        return carry, stack(ys)

    Args:
        f: from a carry and an x to the next carry, of the same structure, shapes and dtypes, and a
            y. Carry, x and y are tensors, or pytrees of them; None stands for nothing.
        init: the first carry.
        xs: what to go along: tensors with a dimension in front over the steps.
        length: the number of steps, where there are no xs.
        reverse: go from the last x to the first; ys stay in the order of xs.

    Returns:
        The last carry, and the ys, with a dimension in front over the steps.

    Raises:
        TypeError: if f returns no pair, or the carry or the ys change in structure, shape or
            dtype.
        ValueError: if the number of steps is unknown, or xs (and `length`) differ in it.

    With no steps at all, f is called once with zeros, to learn the shapes of the ys.

    Example:
        >>> import wengert as torch
        >>> def step(total, x):
        ...     return total + x, total * x
        >>> torch.func.scan(step, torch.tensor(0.), torch.tensor([1., 2., 3.]))
        (tensor(6.), tensor([0., 2., 9.]))

        Memory for one carry per step alone, and the rest computed again in backward:

        >>> from functools import partial
        >>> from wengert.utils.checkpoint import checkpoint
        >>> def f(x):
        ...     return torch.func.scan(partial(checkpoint, step), x, torch.ones(1000))[0]
        >>> torch.func.grad(f)(torch.tensor(2.))
        tensor(1.)
    """
    along = Tree("scan: xs", xs)
    return Scan(f, Tree("scan: init", init), along, _length(along, length), reverse).run()


class Tree:
    """A tree taken apart, its leaves made tensors; None may stay None.

    Attributes:
        name: what it is, for error messages.
        leaves: the tensors, in order.
        kinds: their avals, without levels; those of one example, where leaves are rows of them.
        spec: the tree's structure.

    Raises:
        TypeError: if a leaf is anything else.
    """

    __slots__ = ("kinds", "leaves", "name", "spec")

    def __init__(self, name: str, tree: Any) -> None:
        self.name = name
        self.leaves, self.spec = flatten(tree)
        for i, leaf in enumerate(self.leaves):
            if not isinstance(leaf, Handle) and leaf is not None:
                self.leaves[i] = self._tensor(leaf, i)
        self.kinds: list[Aval | None] = [
            None if leaf is None else leaf.aval.plain for leaf in self.leaves]

    @property
    def tree(self) -> Any:
        return self.spec.unflatten(self.leaves)

    def like(self, other: Tree, noun: str) -> Tree:
        """This tree, if its leaves are of the same kinds as another's, which is called `noun`.

        Raises:
            TypeError: if not; it names the leaf.
        """
        if self.spec != other.spec:
            raise TypeError(f"{self.name} is of structure {self.spec}, but {noun} of {other.spec}")
        for i, (mine, its) in enumerate(zip(self.kinds, other.kinds, strict=True)):
            if mine is not its and repr(mine) != repr(its):
                raise TypeError(f"{self.name}{self.path(i)} is {mine}, but {noun}{self.path(i)} "
                                f"is {its}")
        return self

    def with_leaves(self, leaves: Sequence[Any]) -> Tree:
        """A tree like this one, with other leaves."""
        out = object.__new__(Tree)
        out.name, out.spec, out.kinds, out.leaves = self.name, self.spec, self.kinds, list(leaves)
        return out

    def _tensor(self, leaf: Any, i: int) -> Any:
        if isinstance(leaf, (bool, int, float, complex, np.ndarray, np.generic)):
            return as_tensor(leaf)
        raise TypeError(f"{self.name}{self.path(i)} must be a tensor, not "
                        f"{type(leaf).__name__}")

    def path(self, i: int) -> str:
        """How a leaf is reached, as it is written in Python."""
        return next(path for n, path in enumerate(_paths(self.spec)) if n == i)


def _paths(spec: Spec) -> Iterator[str]:
    if spec.kind is None:
        yield ""
        return
    keys = spec.context if issubclass(spec.kind, dict) else range(len(spec.children))
    if isinstance(keys, tuple):  # a defaultdict's: the factory, and the keys
        keys = keys[1]
    for key, child in zip(keys, spec.children, strict=True):
        for path in _paths(child):
            yield f"[{key!r}]{path}"


def _tuple(name: str, operands: Any) -> tuple[Any, ...]:
    """Operands as a tuple.

    Raises:
        TypeError: if they are none.
    """
    if type(operands) not in (tuple, list):
        raise TypeError(f"{name}: operands must be a tuple, with one operand as well: (x,); got "
                        f"{type(operands).__name__}")
    return tuple(operands)


class Split(NamedTuple):
    """An answer that differs between examples.

    Attributes:
        levels: the batches that they are of, outermost first.
        mask: their answers, in one row.
    """

    levels: tuple[Batch, ...]
    mask: np.ndarray


def answer(name: str, pred: Any) -> bool | Split:
    """What a predicate says; one bool where all examples agree.

    Raises:
        TypeError: if it is no predicate.
    """
    if isinstance(pred, (bool, int, float, np.bool_, np.number)):
        return bool(pred)
    aval = plain_aval(pred) if isinstance(pred, (Handle, np.ndarray)) else None
    if aval is None or aval.numel != 1:
        found = type(pred).__name__ if aval is None else repr(aval)
        raise TypeError(f"{name} must be a bool, or a tensor of one element, not {found}")
    pred = at_home(pred)
    levels = batches(pred)
    if not levels:
        return bool(pred)
    answers = numbers(pred)
    if here.recorder is not None:
        here.recorder.look(answers)
    mask = answers.reshape(-1).astype(np.bool_)
    if mask.all() or not mask.any():
        return bool(mask.any())  # not of no examples: a loop has to end
    return Split(levels, mask)


class Choice:
    """One call of `cond`."""

    def __init__(self, pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any],
                 operands: tuple[Any, ...]) -> None:
        self.pred, self.true_fn, self.false_fn, self.operands = pred, true_fn, false_fn, operands

    def run(self) -> Any:
        if here.recorder is not None:
            found = here.recorder.chosen(self)
            if found is not None:
                return found.tree
        chosen = answer("cond: the predicate", self.pred)
        if isinstance(chosen, Split):
            return self._both(chosen)
        return self.result(chosen, self.operands).tree

    def result(self, which: bool, operands: Sequence[Any]) -> Tree:
        """What a function gives for operands."""
        fn = self.true_fn if which else self.false_fn
        return Tree(f"cond: {_name(which)}'s result", fn(*operands))

    def _both(self, split: Split) -> Any:
        """Each function on the examples that chose it, and the results put together."""
        examples = Examples(split.levels)
        given = Tree("cond: operands", self.operands)
        given = given.with_leaves([None if x is None else examples.row(x) for x in given.leaves])
        parts = Parts(examples)
        yes = self._one(True, split.mask, given, parts)
        no = self._one(False, ~split.mask, given, parts)
        return no.like(yes, "true_fn's result").with_leaves(parts.joined()).tree

    def _one(self, which: bool, mask: np.ndarray, given: Tree, parts: Parts) -> Tree:
        """What a function gives for the examples that chose it, a row of them per leaf."""
        level = Chosen(parts.examples, np.flatnonzero(mask))
        with level.in_force():
            mine = _entered(given.with_leaves(_where(given.leaves, mask)), level)
            found = _left(self.result(which, mine.tree), level)
        parts.add(level.index, found.leaves)
        return found


def _name(which: bool) -> str:
    return "true_fn" if which else "false_fn"


class Parts:
    """Results for some examples and others, to be put together.

    Attributes:
        examples: all of them.
        places: which examples each part is of.
        leaves: each part's results.
    """

    def __init__(self, examples: Examples) -> None:
        self.examples = examples
        self.places: list[np.ndarray] = []
        self.leaves: list[list[Any]] = []

    def add(self, index: np.ndarray, leaves: list[Any]) -> None:
        self.places.append(index)
        self.leaves.append(leaves)

    def joined(self) -> list[Any]:
        """The results for all examples, as the tensors that they are of."""
        order = np.argsort(np.concatenate(self.places))
        return [None if column[0] is None else
                self.examples.tensor(rows(cat(*column, dim=0), order))
                for column in zip(*self.leaves, strict=True)]


class Loop:
    """One call of `while_loop`."""

    def __init__(self, cond_fn: Callable[..., Any], body_fn: Callable[..., Any],
                 carry: Tree) -> None:
        self.cond_fn, self.body_fn, self.carry = cond_fn, body_fn, carry

    def run(self) -> Any:
        if here.recorder is not None:
            found = here.recorder.looped(self)
            if found is not None:
                return self.carry.with_leaves(found).tree
        return self._finished(self.carry).tree

    def holds(self, leaves: Sequence[Any]) -> Any:
        """What the condition gives for tensors like the operands."""
        return self.cond_fn(*self.carry.with_leaves(leaves).tree)

    def following(self, leaves: Sequence[Any]) -> list[Any]:
        """What a step makes of such tensors."""
        return self._step(self.carry.with_leaves(leaves)).leaves

    def _step(self, carry: Tree) -> Tree:
        found = self.body_fn(*carry.tree)
        new = Tree("while_loop: body_fn's result",
                   tuple(found) if type(found) is list else found)
        return new.like(self.carry, "operands")

    def _advanced(self, carry: Tree) -> tuple[Tree, Split | None]:
        """The carry where examples part, and how; or where the loop ends."""
        while True:
            going = answer("while_loop: what cond_fn returned", self.cond_fn(*carry.tree))
            if isinstance(going, Split):
                return carry, going
            if not going:
                return carry, None
            carry = self._step(carry)

    def _finished(self, carry: Tree) -> Tree:
        """The carry at the end of the loop."""
        carry, split = self._advanced(carry)
        return carry if split is None else self._parted(carry, split)

    def _parted(self, carry: Tree, split: Split) -> Tree:
        """The same from where some examples are done and others go on.

        The others form a batch by themselves, and go on together until some of them are done.
        """
        examples = Examples(split.levels)
        parts, index, going = Parts(examples), np.arange(examples.count), split.mask
        leaves = [None if x is None else examples.row(x) for x in carry.leaves]
        while True:
            parts.add(index[~going], _where(leaves, ~going))
            index, leaves = index[going], _where(leaves, going)
            if not len(index):
                return carry.with_leaves(parts.joined())
            leaves, going = self._together(carry, Chosen(examples, index), leaves)

    def _together(self, carry: Tree, level: Chosen,
                  leaves: Sequence[Any]) -> tuple[list[Any], np.ndarray]:
        """A step of these examples, or several, until some are done; and who goes on."""
        with level.in_force():
            mine = _entered(carry.with_leaves(leaves), level)
            mine, split = self._advanced(self._step(mine))
            if split is not None and split.levels != (level,):  # batches that came in by the body
                mine, split = self._parted(mine, split), None
            mine = _left(mine, level)
        return mine.leaves, np.zeros(level.size, np.bool_) if split is None else split.mask


def _entered(tree: Tree, level: Chosen) -> Tree:
    """Rows of examples as tensors of their level."""
    return tree.with_leaves([None if x is None else batch_of(x, level) for x in tree.leaves])


def _left(tree: Tree, level: Chosen) -> Tree:
    """Tensors as rows of a level's examples; nothing else refers to what was made at the level."""
    return tree.with_leaves([None if x is None else level.row(x) for x in tree.leaves])


def _where(leaves: Sequence[Any], mask: np.ndarray) -> list[Any]:
    """The rows of tensors where a mask holds."""
    if mask.all():
        return list(leaves)
    places = np.flatnonzero(mask)
    return [None if x is None else rows(x, places) for x in leaves]


class Scan:
    """One call of `scan`."""

    def __init__(self, f: Callable[[Any, Any], tuple[Any, Any]], init: Tree, xs: Tree,
                 length: int, reverse: bool) -> None:
        self.f, self.init, self.xs = f, init, xs
        self.length, self.reverse = length, reverse

    def run(self) -> tuple[Any, Any]:
        if not self.length:
            return self.init.tree, self._no_ys()
        carry = self.init
        ys: list[Tree] = []
        for x in self._in_order():
            carry, y = self._step(carry, x)
            ys.append(y.like(ys[0], "the first") if ys else y)
        if self.reverse:
            ys.reverse()
        return carry.tree, ys[0].with_leaves(
            [None if column[0] is None else stack(*column, dim=0)
             for column in zip(*(y.leaves for y in ys), strict=True)]).tree

    def _in_order(self) -> Iterator[Any]:
        """The xs of each step."""
        nothing = [None] * self.length
        columns = [nothing if x is None else _slices(x) for x in self.xs.leaves]
        steps = range(self.length)
        for i in reversed(steps) if self.reverse else steps:
            yield self.xs.spec.unflatten([column[i] for column in columns])

    def _step(self, carry: Tree, x: Any) -> tuple[Tree, Tree]:
        pair = self.f(carry.tree, x)
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise TypeError("scan: f must return a pair (carry, y), not "
                            f"{type(pair).__name__}")
        new = Tree("scan: f's carry", pair[0])
        return new.like(self.init, "init"), Tree("scan: f's y", pair[1])

    def _no_ys(self) -> Any:
        """The ys of no steps, with the shapes that one step on zeros shows."""
        zeros = [None if x is None else wrap(x.aval.plain.with_shape(x.aval.shape[1:]).zeros())
                 for x in self.xs.leaves]
        state = default_generator.get_state()
        try:
            _, y = self._step(self.init, self.xs.spec.unflatten(zeros))
        finally:
            default_generator.set_state(state)
        return y.with_leaves([None if kind is None else wrap(kind.with_shape(
            (0, *kind.shape)).zeros()) for kind in y.kinds]).tree


def _slices(x: Any) -> list[Any]:
    """The views along the first dimension.

    They are taken in two stages: in backward, a node costs its number of results for each result.
    """
    n = x.aval.shape[0]
    step = max(1, math.isqrt(n))
    sizes = (*[step] * (n // step), *[n % step] * (n % step > 0))
    return [each for part in split_sizes(x, sizes=sizes, dim=0) for each in unbind(part, dim=0)]


def _length(xs: Tree, length: int | None) -> int:
    """The number of steps.

    Raises:
        ValueError: if it is unknown, or there are several.
    """
    sizes: dict[str, int] = {} if length is None else {"length": length}
    for i, x in enumerate(xs.leaves):
        if x is None:
            continue
        name = f"xs{xs.path(i)}"
        if not x.aval.ndim:
            raise ValueError(f"scan: {name} has no dimension to go along")
        sizes[name] = x.aval.shape[0]
    if not sizes:
        raise ValueError("scan: without xs, say how many steps there are: length=")
    if len(set(sizes.values())) > 1 or min(sizes.values()) < 0:
        raise ValueError("scan: xs (and length) must be of one length, but "
                         + ", ".join(f"{name} has {size}" for name, size in sizes.items()))
    return next(iter(sizes.values()))
