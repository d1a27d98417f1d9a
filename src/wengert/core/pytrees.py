"""Pytrees: nested containers whose leaves are what a transform works on.

Tuples, lists, dicts, named tuples and dataclasses are containers; so is any class that is
registered. Everything else, None included, is a leaf.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

Flatten = Callable[[Any], tuple[Sequence[Any], Any]]
Unflatten = Callable[[Any, Sequence[Any]], Any]


class Spec:
    """The structure of a tree: what is left when its leaves are taken out.

    Attributes:
        kind: the container's class; None for a leaf.
        context: what else the container is rebuilt from: a dict's keys.
        children: the structures of what it holds.
        leaves: the number of leaves.
    """

    __slots__ = ("children", "context", "kind", "leaves")

    def __init__(self, kind: type | None, context: Any, children: tuple[Spec, ...]) -> None:
        self.kind, self.context, self.children = kind, context, children
        self.leaves: int = 1 if kind is None else sum(child.leaves for child in children)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and (self.kind, self.context, self.children) == (
            other.kind, other.context, other.children)

    def __hash__(self) -> int:
        return hash((self.kind, self.leaves))

    def __repr__(self) -> str:
        parts = list(map(repr, self.children))
        if self.kind is None:
            return "*"
        if self.kind is tuple:
            return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
        if self.kind is list:
            return f"[{', '.join(parts)}]"
        if issubclass(self.kind, dict):
            pairs = zip(self.context, parts, strict=True)
            return "{" + ", ".join(f"{key!r}: {part}" for key, part in pairs) + "}"
        return f"{self.kind.__name__}({', '.join(parts)})"

    def unflatten(self, leaves: Sequence[Any]) -> Any:
        """The tree of this structure with these leaves."""
        return self._built(iter(leaves))

    def _built(self, leaves: Iterator[Any]) -> Any:
        if self.kind is None:
            return next(leaves)
        _, unflatten = _container(self.kind)
        return unflatten(self.context, [child._built(leaves) for child in self.children])


class _Container(NamedTuple):
    flatten: Flatten
    unflatten: Unflatten


_LEAF = Spec(None, None, ())
_registered: dict[type, _Container] = {}


def register_pytree(cls: type, flatten: Flatten, unflatten: Unflatten) -> None:
    """Makes a class a container.

    Args:
        cls: the class; its subclasses are not included.
        flatten: from an instance to (children, context); the context is compared by ==.
        unflatten: from (context, children) to an instance.

    Raises:
        ValueError: if the class is registered already, or one of Python's own containers.

    Example:
        >>> import wengert as torch
        >>> class Line:
        ...     def __init__(self, slope, offset):
        ...         self.slope, self.offset = slope, offset
        >>> torch.func.register_pytree(
        ...     Line, lambda line: ((line.slope, line.offset), None), lambda _, parts: Line(*parts))
        >>> g = torch.func.grad(lambda line: line.slope * 3 + line.offset)(
        ...     Line(torch.tensor(2.), torch.tensor(1.)))
        >>> g.slope, g.offset
        (tensor(3.), tensor(1.))
    """
    if cls in _registered:
        raise ValueError(f"{cls.__name__} is a container already")
    _registered[cls] = _Container(flatten, unflatten)


def _sequence(cls: type) -> _Container:
    return _Container(lambda tree: (tree, None), lambda _, children: cls(children))


def _mapping(cls: type) -> _Container:
    return _Container(lambda tree: (list(tree.values()), list(tree)),
                      lambda keys, children: cls(zip(keys, children, strict=True)))


def _defaultdict(tree: Any) -> tuple[Sequence[Any], Any]:
    return list(tree.values()), (tree.default_factory, list(tree))


def _named_tuple(cls: Any) -> _Container:
    return _Container(lambda tree: (tree, None), lambda _, children: cls(*children))


def _dataclass(cls: Any) -> _Container:
    names = [f.name for f in dataclasses.fields(cls)]

    def rebuilt(_: Any, children: Sequence[Any]) -> Any:
        out = object.__new__(cls)  # as it was: `__post_init__` must not run on what it made
        for name, child in zip(names, children, strict=True):
            object.__setattr__(out, name, child)
        return out

    return _Container(lambda tree: ([getattr(tree, name) for name in names], None), rebuilt)


_registered.update({
    tuple: _sequence(tuple), list: _sequence(list), dict: _mapping(dict),
    collections.OrderedDict: _mapping(collections.OrderedDict),
    collections.defaultdict: _Container(
        _defaultdict, lambda context, children: collections.defaultdict(
            context[0], zip(context[1], children, strict=True))),
})


def _container(cls: type) -> Any:
    """How a class is taken apart; None if its instances are leaves."""
    found = _registered.get(cls)
    return _derived(cls) if found is None else found


@functools.lru_cache
def _derived(cls: type) -> Any:
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _named_tuple(cls)
    return _dataclass(cls) if dataclasses.is_dataclass(cls) else None


def flatten(tree: Any) -> tuple[list[Any], Spec]:
    """The leaves of a tree, in order, and its structure."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree: Any, leaves: list[Any]) -> Spec:
    container = _container(type(tree))
    if container is None:
        leaves.append(tree)
        return _LEAF
    children, context = container.flatten(tree)
    return Spec(type(tree), context, tuple(_flatten(child, leaves) for child in children))


def tree_map(function: Callable[..., Any], tree: Any) -> Any:
    """A tree of the same structure with each leaf replaced by function(leaf)."""
    leaves, spec = flatten(tree)
    return spec.unflatten([function(leaf) for leaf in leaves])


def spread(prefix: Any, tree: Any) -> list[Any]:
    """The leaves of a prefix of a tree, each repeated for all leaves of the subtree it stands for.

    Raises:
        ValueError: if the prefix is not one.
    """
    container = _container(type(prefix))
    if container is None:
        return [prefix] * flatten(tree)[1].leaves
    if type(prefix) is not type(tree):
        raise ValueError("not a prefix")
    (parts, context), (children, other) = container.flatten(prefix), container.flatten(tree)
    if context != other or len(parts) != len(children):
        raise ValueError("not a prefix")
    return [leaf for part, child in zip(parts, children, strict=True)
            for leaf in spread(part, child)]
