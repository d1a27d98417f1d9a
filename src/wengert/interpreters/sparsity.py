"""Sparsity: which inputs each number depends on, found in one run of a function.

A tensor of a sparsity level carries, for each element, the number of a set of inputs. Sets are
stored once (`Sets`), so equal patterns share one row, and moving elements about only moves numbers.

How a primitive passes sets on follows from its record. Elementwise: the union over the operands
that have a derivative. Linear: it is a matrix, and applied to the numbers 1 to n it says which
element went where; its transpose says the same of sums (`_Probe`). Contractions say it by their
letters. Any other follows its own JVP rule, in which the tangent carries the sets. What is left
depends on all that its example holds: more than the truth perhaps, and never less.

Sets may be larger than values would have them: a product depends on both factors though one is
zero, `where` on both branches. That keeps a pattern right for other values, as long as Python's
own branches go the same way. The scheme is that of index-set propagation: A. Griewank and
A. Walther, Evaluating Derivatives, 2nd edition (2008), section 7.1.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.aval import aval_of
from ..core.handle import Handle, plain_aval
from ..core.levels import concrete, quietly
from ..core.primitive import Primitive, Rule
from .batching import SHIFTS
from .custom_derived import derived
from .lifted import Lifted

Array = np.ndarray
NOTHING = 0
"""The number of the empty set."""


class Sparsity(Lifted):
    """Carries the sets of inputs that elements depend on.

    Attributes:
        sets: what the numbers in `extra` stand for; `extra` is None where nothing depends on any.
        widest: the most elements that any tensor had which depends on inputs.
        following: the kinds of functions with rules of their own that are being followed.
    """

    __slots__ = ("following", "ruled", "sets", "widest")
    word = "sparse_jacobian"

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.sets, self.widest = Sets(inputs), inputs
        self.following: list[Any] = []
        self.ruled: set[Primitive] = set()  # those whose rules are running

    def input(self, value: Any, start: int) -> Any:
        """A tensor whose elements are the inputs from `start` on."""
        aval = plain_aval(value)
        numbers = self.sets.singles(start, aval.numel).reshape(aval.shape)
        return self.carrying(value, numbers)

    def carrying(self, value: Any, numbers: Array | None) -> Any:
        out = self.wrap(value)
        out.extra = numbers
        return out

    def numbers(self, x: Any) -> Array | None:
        """Which set each element has; None if all are empty."""
        return x.extra if isinstance(x, Handle) and x.aval.level is self else None

    def follow(self, custom: Any, args: Sequence[Any]) -> Any:
        """By the function's rule for tangents: they carry the sets.

        Where that asks for the function itself, of tangents, or can't be followed, each output
        depends on all that any argument does.
        """
        if custom.node_class in self.following:
            return self._wholly(custom, args)
        self.following.append(custom.node_class)
        try:
            return derived(self, custom, args, [self._parts(x) for x in args],
                           lambda out, tangent: self._output(out, self.numbers(tangent)))
        except (RuntimeError, TypeError):  # no such rule; if it is wrong, sweeps will say so
            return self._wholly(custom, args)
        finally:
            self.following.pop()

    def _parts(self, x: Any) -> tuple[Any, Any] | None:
        """An argument as a constant, and a tangent that carries its sets; None if it has none."""
        numbers = self.numbers(x)
        if numbers is None:
            return None
        return x.value, self.carrying(np.ones(numbers.shape, x.aval.numpy), numbers)

    def _wholly(self, custom: Any, args: Sequence[Any]) -> Any:
        """The outputs, each element of which depends on all that the arguments depend on."""
        total: Any = None
        for numbers in map(self.numbers, args):
            if numbers is not None:
                part = self.sets.over(numbers, tuple(range(numbers.ndim)))
                total = self.sets.union(total, part)
        return derived(self, custom, args, [None] * len(args),
                       lambda out, _: self._output(out, total))

    def _output(self, out: Any, numbers: Array | None) -> Any:
        aval = plain_aval(out)
        self.widest = max(self.widest, aval.numel)
        if numbers is None or not aval.dtype.differentiable:
            return self.carrying(out, None)
        return self.carrying(out, np.broadcast_to(numbers, aval.shape))

    def carry(self, primitive: Primitive, operands: Sequence[Any], values: Sequence[Any],
              result: Any, out: Any, params: dict[str, Any]) -> None:
        have = [self.numbers(operand) for operand in operands]
        if all(each is None for each in have):
            return
        outs = out if primitive.multiple else (out,)
        if not any(each.aval.dtype.differentiable for each in outs):
            return
        found = self._passed(primitive, operands, values, have, result, outs, params)
        for each, numbers in zip(outs, found, strict=True):
            each.extra = None if numbers is None or not numbers.any() else numbers
            self.widest = max(self.widest, each.aval.numel)

    def _passed(self, primitive: Primitive, operands: Sequence[Any], values: Sequence[Any],
                have: Sequence[Array | None], result: Any, outs: Sequence[Any],
                params: dict[str, Any]) -> Sequence[Array | None]:
        """What each result carries."""
        shape = outs[0].aval.shape
        if primitive.elementwise:
            return [self._elementwise(primitive, have, shape)]
        letters = (params["terms"], params["result"]) if "terms" in params else primitive.terms
        if primitive.multilinear and letters is not None:
            return [self._contracted(letters[0], letters[1], have, shape)]
        found: Any = None
        if primitive.linear:
            found = self._linear(primitive, values, have, outs, params)
        elif primitive in self.ruled:
            pass  # a rule that applies its own primitive says nothing
        elif primitive.jvp is not None and not primitive.multiple:
            found = [self._by_rule(primitive, values, have, result, shape, params)]
        elif primitive.vjp is None and primitive.decompose is not None:
            found = primitive.decompose(*operands, **params)
            found = [self.numbers(x) for x in (found if primitive.multiple else (found,))]
        return found or self._whole(primitive, values, have, outs, params)

    def _elementwise(self, primitive: Primitive, have: Sequence[Array | None],
                     shape: tuple[int, ...]) -> Array | None:
        total: Array | None = None
        for i, numbers in enumerate(have):
            if numbers is not None and not _constant(primitive, i):
                total = self.sets.union(total, np.broadcast_to(numbers, shape))
        return total

    def _contracted(self, terms: Sequence[str], result: str, have: Sequence[Array | None],
                    shape: tuple[int, ...]) -> Array | None:
        """A product of several: letters that are not in the result are summed over."""
        total: Array | None = None
        for term, numbers in zip(terms, have, strict=True):
            if numbers is None:
                continue
            gone = tuple(i for i, letter in enumerate(term) if letter not in result)
            kept = [letter for letter in term if letter in result]
            order = [kept.index(letter) for letter in result if letter in kept]
            part = self.sets.over(numbers, gone).transpose(order)
            place = tuple(slice(None) if letter in kept else None for letter in result)
            total = self.sets.union(total, np.broadcast_to(part[place], shape))
        return total

    def _by_rule(self, primitive: Primitive, values: Sequence[Any],
                 have: Sequence[Array | None], result: Any, shape: tuple[int, ...],
                 params: dict[str, Any]) -> Array | None:
        """What the tangent carries that the primitive's JVP rule makes of tangents with sets."""
        total: Array | None = None
        for i, numbers in enumerate(have):
            rule = primitive.jvp[i] if isinstance(primitive.jvp, tuple) else primitive.jvp
            if numbers is None or rule is None:
                continue
            tangent = self.carrying(np.ones(numbers.shape, plain_aval(values[i]).numpy), numbers)
            self.ruled.add(primitive)
            try:
                part = self.numbers(rule.fn(tangent, *rule.arguments(values, result, params, i)))
            finally:
                self.ruled.discard(primitive)
            if part is not None:
                total = self.sets.union(total, np.broadcast_to(part, shape))
        return total

    def _linear(self, primitive: Primitive, values: Sequence[Any], have: Sequence[Array | None],
                outs: Sequence[Any], params: dict[str, Any]) -> list[Array | None] | None:
        """By numbering; None if results are no mere choices or sums of elements."""
        probe = _Probe(primitive, values, outs, params)
        places = [i for i, numbers in enumerate(have) if numbers is not None]
        if not set(places) <= set(probe.places):
            return None
        found = self._chosen(probe, places, have)
        if found is None and not primitive.multiple:
            for i in places:
                part = (self._chosen(probe, [i], have) if len(places) > 1 else None)
                part = self._summed(probe, i, have) if part is None else part
                part = self._along(probe, i, have) if part is None else part
                if part is None:
                    return None
                found = self.sets.union(found, part)
        return None if found is None else probe.apart(found)

    def _chosen(self, probe: _Probe, places: Sequence[int],
                have: Sequence[Array | None]) -> Array | None:
        sources = probe.sources(places)
        if sources is None:
            return None
        one = np.zeros(1, np.int64)  # for elements that come from nowhere
        return np.concatenate([one, *(_flat(have[i]) for i in places)])[sources]

    def _summed(self, probe: _Probe, i: int, have: Sequence[Array | None]) -> Array | None:
        sinks = probe.sinks(i)
        if sinks is None:
            return None
        arrive = sinks > 0
        return self.sets.grouped(sinks[arrive] - 1, _flat(have[i])[arrive], probe.size)

    def _along(self, probe: _Probe, i: int, have: Sequence[Array | None]) -> Array | None:
        """Everything along the dimension that the primitive names, if it keeps to that."""
        dim, numbers = probe.params.get("dim"), have[i]
        if numbers is None or dim is None or not probe.stays_along(i, dim):
            return None
        kept = np.expand_dims(self.sets.over(numbers, (dim,)), dim)
        return np.broadcast_to(kept, numbers.shape).ravel()

    def _whole(self, primitive: Primitive, values: Sequence[Any], have: Sequence[Array | None],
               outs: Sequence[Any], params: dict[str, Any]) -> list[Array | None]:
        """Every element depends on all of the operands that belong to its example."""
        shapes = [out.aval.shape for out in outs]
        lead = _examples(primitive, values, [out.value for out in outs], params)
        total: Array | None = None
        for numbers in have:
            if numbers is not None:
                part = self.sets.over(numbers, tuple(range(lead, numbers.ndim)))
                total = self.sets.union(total, part)
        assert total is not None
        return [np.broadcast_to(total.reshape(total.shape + (1,) * (len(shape) - lead)), shape)
                for shape in shapes]


@functools.lru_cache(maxsize=512)
def _is_zero(rule: Rule) -> bool:
    """Whether an elementwise rule gives zero whatever it is given, as that of `sign` does."""
    return not rule.reads and not np.any(quietly(rule.fn, np.ones(1)))


def _constant(primitive: Primitive, i: int) -> bool:
    """Whether an elementwise primitive's derivative by an operand is zero everywhere."""
    if primitive.vjp is None:
        return False  # evaluation will say what is wrong
    rule = primitive.rule(i)
    return rule is None or _is_zero(rule)


def _examples(primitive: Primitive, values: Sequence[Any], results: Sequence[Any],
              params: dict[str, Any]) -> int:
    """How many leading dimensions only count examples.

    That is so where `vmap` would have made this very application of that to one example: its
    generic rule serves, and the first example by itself gives the first result.
    """
    if primitive.batch is not None or not set(params) <= set(SHIFTS):
        return 0
    why = "Its numbers say whether examples are apart."
    values, results = ([concrete(v, why) for v in vs] for vs in (values, results))
    count = 0
    while all(v.ndim and len(v) for v in (*values, *results)):
        params = {name: _unshifted(name, value) for name, value in params.items()}
        if len({len(v) for v in (*values, *results)}) != 1 or any(
                value is None for value in params.values()):
            break
        values, results = [v[0] for v in values], [r[0] for r in results]
        if not _gives(primitive, values, results, params):
            break
        count += 1
    return count


def _gives(primitive: Primitive, values: Sequence[Array], results: Sequence[Array],
           params: dict[str, Any]) -> bool:
    """Whether an application is one, and has these results."""
    try:
        primitive.abstract(*map(aval_of, map(np.asarray, values)), **params)
        found = quietly(primitive.evaluate, *values, **params)
    except (RuntimeError, ValueError, IndexError, TypeError):
        return False
    return all(np.shape(f) == np.shape(r) and np.allclose(f, r, equal_nan=True) for f, r in zip(
        found if primitive.multiple else (found,), results, strict=True))


def _unshifted(name: str, value: Any) -> Any:
    """A parameter as it was before a leading dimension came; None if there was none."""
    if SHIFTS[name] is None:
        return (value,) if value is None else value
    if name in ("dim", "dim1", "dim2"):
        return value - 1 if value > 0 else None
    if name == "dims":
        return tuple(d - 1 for d in value) if 0 not in value else None
    return None


class _Probe:
    """What a linear primitive does, asked by applying it to numbers.

    All is done in double precision, whatever the operands' dtypes, so that numbers stay apart.

    Attributes:
        places: the operands in which it is linear.
        size: how many elements the results have together.
    """

    def __init__(self, primitive: Primitive, values: Sequence[Any], outs: Sequence[Any],
                 params: dict[str, Any]) -> None:
        self.primitive, self.outs = primitive, outs
        linear = primitive.linear
        self.places = linear if isinstance(linear, tuple) else tuple(range(len(values)))
        self.params = params
        if "dtype" in params:
            self.params = {**params, "dtype": dtypes.float64}
        self.blank = [_zeros(v) if i in self.places else concrete(
            v, "Which elements it picks decides what depends on what.")
            for i, v in enumerate(values)]
        self.size = sum(out.aval.numel for out in outs)

    def apart(self, numbers: Array) -> list[Array | None]:
        """What was found for all results, as each of them has it."""
        ends = np.cumsum([out.aval.numel for out in self.outs])[:-1]
        return [part.reshape(out.aval.shape)
                for part, out in zip(np.split(numbers, ends), self.outs, strict=True)]

    def sources(self, places: Sequence[int]) -> Array | None:
        """For each result element the one operand element it is a multiple of, counted from 1
        through all of `places`; None if some element mixes several."""
        return _places(functools.partial(self._forward, places),
                       sum(self.blank[i].size for i in places))

    def sinks(self, i: int) -> Array | None:
        """For each element of operand `i` the one result element that it goes into."""
        rule = self.primitive.rule(i)
        fixed = [j for j in range(len(self.blank)) if j not in self.places]
        if rule is None or -1 in rule.saves or not set(
                rule.saved_places(len(self.blank))) <= set(fixed):
            return None  # it depends on more than the transpose does
        return _places(functools.partial(self._backward, rule, i), self.size)

    def stays_along(self, i: int, dim: int) -> bool:
        """Whether lines along a dimension keep apart: factors of theirs can be taken out."""
        shape = self.blank[i].shape
        if self.outs[0].aval.shape != shape or not shape:
            return False
        rng = np.random.default_rng(1)
        x = rng.random(shape)
        factors = 1 + rng.random((*shape[:dim], 1, *shape[dim + 1:]))
        with_them = self._forward([i], np.ravel(x * factors)).reshape(shape)
        return np.allclose(with_them, factors * self._forward([i], x.ravel()).reshape(shape),
                           rtol=1e-9, atol=1e-9)

    def _forward(self, places: Sequence[int], numbers: Array) -> Array:
        values, start = list(self.blank), 0
        for i in places:
            values[i] = _filled(self.blank[i], numbers[start:start + self.blank[i].size])
            start += self.blank[i].size
        found = quietly(self.primitive.evaluate, *values, **self.params)
        return np.concatenate([_real(f) for f in (found if self.primitive.multiple else (found,))])

    def _backward(self, rule: Rule, i: int, numbers: Array) -> Array:
        g = _filled(_zeros(self.outs[0]), numbers)
        found = quietly(rule.fn, g, *rule.arguments(self.blank, g, self.params, i))
        return np.zeros(self.blank[i].size) if found is None else _real(found)


def _flat(numbers: Any) -> Array:
    return np.ravel(numbers)


def _zeros(x: Any) -> Array:
    aval = plain_aval(x)
    return np.zeros(aval.shape, complex if aval.dtype.is_complex else float)


def _filled(blank: Array, numbers: Array) -> Array:
    """Numbers in the shape of an operand; in both parts of a complex one."""
    numbers = numbers.reshape(blank.shape)
    return numbers * (1 + 1j) if blank.dtype.kind == "c" else numbers


def _real(x: Any) -> Array:
    """Results as one number each; NaN where the parts of a complex one say different things."""
    x = np.asarray(x)
    if x.dtype.kind != "c":
        return np.ravel(x)
    either = np.where(x.real == 0, x.imag, x.real)
    mixed = (x.real != 0) & (x.imag != 0) & (abs(x.real) != abs(x.imag))
    return np.ravel(np.where(mixed, math.nan, either))


def _places(linear: Callable[[Array], Array], size: int) -> Array | None:
    """For each element of a linear function's result, which entry it is a multiple of: 1 to
    size, or 0 for none; None if some element mixes several.

    Ones give the multiple and numbered entries which one; random entries tell a mixture that
    looks like one entry from the entry itself.
    """
    noise = 1 + np.random.default_rng(0).random(size)
    factor, numbered, noisy = (linear(v) for v in (
        np.ones(size), np.arange(1.0, size + 1), noise))
    with np.errstate(all="ignore"):
        found = np.where(factor == 0, 0, numbered / factor)
        nearest = np.rint(found)
        good = (abs(found - nearest) < 1e-3) & (nearest >= 0) & (nearest <= size)
    if not good.all():
        return None
    places = nearest.astype(np.int64)
    expected = factor * np.concatenate([[0.0], noise])[places]
    close = abs(noisy - expected) <= 1e-9 * abs(expected)
    single = abs(numbered - factor * places) <= 1e-9 * abs(numbered)
    return places if close.all() and single.all() else None


class Sets:
    """Sets of the numbers 0 to size - 1, each stored once and known by its own number.

    Equal sets have equal numbers, so unions of equal patterns cost nothing. They are recognised by
    a hash of 64 bits: the sum of a random number per member.
    """

    def __init__(self, size: int) -> None:
        self.size, self.count = size, 1  # the first is the empty set
        self.ends, self.members = _Buffer([0, 0]), _Buffer([])
        self.ones = np.ones(0, np.bool_)
        self.marks = np.random.default_rng(2).integers(0, 1 << 64, size, np.uint64)
        self.hashes, self.numbers = np.zeros(1, np.uint64), np.zeros(1, np.int64)

    def singles(self, start: int, count: int) -> Array:
        """The numbers of the sets {start}, {start + 1}, ..."""
        return self._known(np.arange(count + 1), np.arange(start, start + count))

    def union(self, a: Array | None, b: Array | None) -> Any:
        """The unions of two arrays of sets of one shape, by elements."""
        if a is None or b is None or a is b:
            return b if a is None else a
        low, high = np.minimum(a, b, out=...), np.maximum(a, b, out=...)
        open_ = (low != NOTHING) & (low != high)
        if open_.any():
            pairs, inverse = np.unique(low[open_] * self.count + high[open_], return_inverse=True)
            two = np.stack(np.divmod(pairs, self.count), 1)
            high[open_] = self._united(np.arange(0, 2 * len(two) + 1, 2), two.ravel())[inverse]
        return high

    def over(self, numbers: Array, dims: tuple[int, ...]) -> Array:
        """The unions along dimensions."""
        if not dims:
            return numbers
        kept = [d for d in range(numbers.ndim) if d not in dims]
        shape = tuple(numbers.shape[d] for d in kept)
        lines = numbers.transpose(*kept, *dims).reshape(math.prod(shape), -1) if numbers.size else (
            np.zeros((math.prod(shape), 1), np.int64))
        if (lines == lines[:, :1]).all():
            return lines[:, 0].reshape(shape)
        groups = np.repeat(np.arange(len(lines)), lines.shape[1])
        return self.grouped(groups, lines.ravel(), len(lines)).reshape(shape)

    def grouped(self, groups: Array, numbers: Array, count: int) -> Array:
        """For each group the union of the sets that are in it."""
        pairs = np.sort(groups * self.count + numbers)
        groups, numbers = np.divmod(pairs[np.diff(pairs, prepend=-1) > 0], self.count)
        return self._united(np.searchsorted(groups, np.arange(count + 1)), numbers)

    def rows(self, numbers: Array) -> Any:
        """A sparse bool array with a row per element: its set."""
        return self._table()[np.ravel(numbers)]

    def _united(self, ends: Array, numbers: Array) -> Array:
        """The unions of runs of sets: a product of sparse matrices, as SciPy has it in C++."""
        from scipy import sparse

        narrow = self.ends.array.dtype
        chosen = sparse.csr_array(
            (np.ones(len(numbers), np.bool_), numbers.astype(narrow), ends.astype(narrow)),
            shape=(len(ends) - 1, self.count))
        found = chosen @ self._table()
        return self._known(found.indptr, found.indices)

    def _table(self) -> Any:
        from scipy import sparse

        members = self.members.array
        if len(self.ones) < len(members):
            self.ones = np.ones(2 * len(members), np.bool_)
        return sparse.csr_array((self.ones[:len(members)], members, self.ends.array),
                                shape=(self.count, self.size))

    def _known(self, ends: Array, members: Array) -> Array:
        """The numbers of sets given by their members; new ones are stored."""
        hashes, first, inverse = np.unique(self._hashes(ends, members), return_index=True,
                                           return_inverse=True)
        place = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        known = self.hashes[place] == hashes
        numbers = np.where(known, self.numbers[place], 0)
        new = first[~known]
        numbers[~known] = self.count + np.arange(len(new))
        self._store(ends, members, new)
        order = np.argsort(merged := np.concatenate([self.hashes, hashes[~known]]), kind="stable")
        self.hashes = merged[order]
        self.numbers = np.concatenate([self.numbers, numbers[~known]])[order]
        return numbers[inverse]

    def _store(self, ends: Array, members: Array, rows: Array) -> None:
        lengths = ends[rows + 1] - ends[rows]
        stops = np.cumsum(lengths)
        at = np.arange(stops[-1] if len(rows) else 0) + np.repeat(
            ends[rows] - (stops - lengths), lengths)
        self.ends.extend(int(self.ends.array[-1]) + stops)
        self.members.extend(members[at])
        self.count += len(rows)

    def _hashes(self, ends: Array, members: Array) -> Array:
        found = np.zeros(len(ends) - 1, np.uint64)
        filled = ends[1:] > ends[:-1]
        if filled.any():
            found[filled] = np.add.reduceat(self.marks[members], ends[:-1][filled])
        return found


class _Buffer:
    """An array that grows at its end; doubled when full, so that growing stays cheap.

    It is of int32 while that is wide enough, as SciPy's indices are.
    """

    def __init__(self, start: Sequence[int]) -> None:
        self.room, self.length = np.array(start, np.int32), len(start)

    @property
    def array(self) -> Array:
        return self.room[:self.length]

    def extend(self, more: Array) -> None:
        need = self.length + len(more)
        wide = np.result_type(self.room, np.min_scalar_type(-int(more.max(initial=0)) - 1))
        if need > len(self.room) or wide != self.room.dtype:
            room = np.empty(max(2 * len(self.room), need), wide)
            room[:self.length] = self.array
            self.room = room
        self.room[self.length:need] = more
        self.length = need
