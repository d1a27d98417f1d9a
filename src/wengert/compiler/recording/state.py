"""State: what a function reaches besides its arguments, as a trace depends on it.

Tensors, numbers and containers lie at *places*: in variables of closures, globals, attributes,
items (`reach` finds them). What they hold before a run is what the run's trace holds for, and what
they hold after it, if it is something else, is what a later run has to put there. Tensors count as
inputs there: another one may be there in the next run.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ...core.aval import Aval, Size
from ...core.dtypes import dtype
from ...core.handle import Handle
from ...core.pytrees import Spec

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "missing"})()
"""What a place holds that is empty."""
PLAIN = (type(None), bool, int, float, complex, str, bytes, dtype, Size)
"""Types of which equal values are as good as the same."""
CONTAINERS = (tuple, list, dict, collections.deque)
"""Types whose items are places."""


class _Tensor(NamedTuple):
    """Expected of a place: a tensor of a shape and dtype."""

    aval: Aval


class _Form(NamedTuple):
    """Expected of a place: a container of a type and length (or a set of these elements)."""

    kind: type[Any]
    content: Any


class State:
    """The places that a function reaches, and what is expected there.

    Attributes:
        places: where: (keeper, key), the keeper being a mapping, or the number of the place that
            holds the container.
        expected: by place, what was there.
        ties: pairs of places that held the same tensor.
    """

    def __init__(self, places: list[tuple[Any, Any]], values: Sequence[Any]) -> None:
        self.places = places
        self.expected = [_expected(v) for v in values]
        first: dict[int, int] = {}
        tensors = [i for i, v in enumerate(values) if isinstance(v, Handle)]
        self.ties = [(i, j) for i in tensors if (j := first.setdefault(id(values[i]), i)) != i]
        self._apart = list(first.values())
        self._ways = [
            (*_way(keeper, key, values), expected,
             expected.aval if type(expected) is _Tensor else None)
            for (keeper, key), expected in zip(places, self.expected, strict=True)]

    def read(self) -> list[Any] | None:
        """What is at the places now; None if it is not what is expected."""
        found: list[Any] = []
        try:
            for get, keeper, key, expected, aval in self._ways:
                value = (get() if keeper is None else found[keeper][key] if get is None else
                         get(found[keeper], key, MISSING))
                if aval is not None:
                    if not isinstance(value, Handle) or value.aval is not aval:
                        return None
                elif value is not expected and not _alike(value, expected):
                    return None
                found.append(value)
        except (ValueError, IndexError):  # a variable was deleted; another thread took it away
            return None
        for i, j in self.ties:
            if found[i] is not found[j]:
                return None
        if len(self._apart) > 1 and len({id(found[i]) for i in self._apart}) < len(self._apart):
            return None  # what it leaves in one of two places may be there already
        return found

    def changes(self, before: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """The places that hold something else than before, with what they hold now.

        Raises:
            ChangedError: if that can't be done again: something was taken away, or a container
                has other items.
        """
        now: dict[int, Any] = {}
        for i, (keeper, key) in enumerate(self.places):
            if type(keeper) is int:
                if keeper not in now:
                    continue  # with the container it was in, another is there now
                value = _at(now[keeper], key)
            else:
                value = keeper.get(key, MISSING)
            if value is before[i]:
                if not _alike(value, self.expected[i]) and isinstance(self.expected[i], _Form):
                    raise ChangedError(f"it changes the length of {self.name(i)}, a "
                                       f"{type(value).__name__}, which it reaches from outside")
                now[i] = value
            elif value is MISSING:
                raise ChangedError(f"it deletes {self.name(i)}")
            else:
                yield i, value

    def put(self, number: int, values: Sequence[Any], value: Any) -> None:
        """Puts a value in a place; `values` is what `read` gave."""
        keeper, key = self.places[number]
        (values[keeper] if type(keeper) is int else keeper)[key] = value

    def demands(self) -> Iterator[str]:
        """What is expected of the places, but for tensors and objects, in words."""
        for i, expected in enumerate(self.expected):
            if type(expected) is _Form:
                if type(expected.content) is int:
                    yield f"{self.name(i)} is a {expected.kind.__name__} of {expected.content}"
            elif isinstance(expected, PLAIN):
                yield f"{self.name(i)} is {expected!r}"

    def news(self, others: Iterable[State]) -> list[str]:
        """What is demanded here and of none of the others."""
        known = {demand for other in others for demand in other.demands()}
        return [demand for demand in self.demands() if demand not in known]

    def name(self, number: int) -> str:
        """A place as a user would call it."""
        keeper, key = self.places[number]
        return f"{self.name(keeper)}[{key!r}]" if type(keeper) is int else str(key)


class Keeper:
    """What keeps values that are in no mapping, as if it were one."""

    __slots__ = ()

    def get(self, key: str, default: Any) -> Any:
        raise NotImplementedError

    def __setitem__(self, key: str, value: Any) -> None:
        raise NotImplementedError

    def getter(self, key: str) -> Callable[[], Any]:
        """What reads a place, again and again. Where it can't be read, it gives `MISSING`, or
        raises a ValueError if there was something when it was made."""
        return functools.partial(self.get, key, MISSING)


def _way(keeper: Any, key: Any, values: Sequence[Any]) -> tuple[Any, int | None, Any]:
    """How a place is read: by what; in which value, or None; and the key there."""
    if type(keeper) is int:
        return (dict.get if isinstance(values[keeper], dict) else None), keeper, key
    if isinstance(keeper, Keeper):
        return keeper.getter(key), None, key
    return functools.partial(keeper.get, key, MISSING), None, key


def _at(keeper: Any, key: Any) -> Any:
    """What a container holds; `MISSING` if nothing."""
    try:
        return dict.get(keeper, key, MISSING) if isinstance(keeper, dict) else keeper[key]
    except IndexError:  # another thread took it away
        return MISSING


def where(values: Sequence[Any], handle: Any) -> int | None:
    """The first place that held a tensor; None if none did."""
    return next((i for i, v in enumerate(values) if v is handle), None)


class ChangedError(Exception):
    """A run changed its surroundings in a way that can't be done again."""


def _expected(value: Any) -> Any:
    if isinstance(value, Handle):
        return _Tensor(value.aval)
    if isinstance(value, CONTAINERS) and type(value) is not Size:
        return _Form(type(value), len(value))
    return _Form(type(value), frozenset(value)) if isinstance(value, (set, frozenset)) else value


def _alike(value: Any, expected: Any) -> bool:
    """Whether a value is what is expected, as far as a trace can depend on it."""
    if type(expected) is _Tensor:
        return isinstance(value, Handle) and value.aval is expected.aval
    if type(expected) is _Form:
        if type(value) is not expected.kind:
            return False
        return bool(expected.content == (
            value if isinstance(expected.content, frozenset) else len(value)))
    return value is expected or equal(value, expected)


def equal(a: Any, b: Any) -> bool:
    """Whether two plain values are the same: of one type, and 0.0 is not -0.0, but NaN is NaN."""
    return type(a) is type(b) and isinstance(a, PLAIN) and bool(a == b or a != a) and (
        repr(a) == repr(b))


class Structure(NamedTuple):
    """A value with tensors in it as a later run makes it: its leaves are numbers of results where
    `tensor` says so, or what they are."""

    spec: Spec
    leaves: list[tuple[bool, Any]]

    @property
    def leaf(self) -> bool:
        """Whether it is one tensor, in no container."""
        return self.spec.kind is None and self.leaves[0][0]

    def of(self, results: Sequence[Any]) -> Any:
        """The value with these results."""
        if self.spec.kind is None:
            tensor, x = self.leaves[0]
            return results[x] if tensor else x
        return self.spec.unflatten([results[x] if tensor else x for tensor, x in self.leaves])
