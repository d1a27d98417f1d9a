"""What a function reaches besides its arguments, and where Python keeps it.

A function reads closures, globals, attributes and items of containers; nobody is told when it does.
But its code says which names it may read, and so where to look. Names are found in the code of the
function, of functions that it reaches by these names, of methods whose names occur, and so on, but
not in libraries' code, unless they use us. Where code reads attributes by computed names
(`getattr`, `vars`), all attributes are looked at.
"""

from __future__ import annotations

import collections
import dis
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from ...core.handle import Handle
from .state import CONTAINERS, MISSING, PLAIN, Keeper, State

MOST_ITEMS = 4096
"""How long a container may be whose items are looked at, each of them."""

_LIBRARIES = (sys.stdlib_module_names | {"wengert", "numpy", "scipy"}) - {"builtins"}
"""What code of these reads is not looked at. Code that was executed by hand says it is of
`builtins`."""
_INSTALLED = frozenset(("site-packages", "dist-packages"))
_APART = ("wengert.core.", "numpy")
"""Objects of these are what they are."""
MADE_BY_PYTHON = 1 << 9  # CPython's flag of classes that were made by a class statement
_BY_COMPUTED_NAME = frozenset(("getattr", "setattr", "vars", "__dict__", "__getattr__"))
_BY_NAME = frozenset(("hasattr", "delattr"))
_NOT_READ = frozenset(("__init__", "__new__", "__repr__", "__str__", "__del__", "__reduce__",
                       "__init_subclass__", "__class_getitem__", "__getstate__", "__setstate__"))


def reached(roots: Sequence[Any]) -> tuple[State, list[Any]]:
    """The places that functions and objects reach, and what is there now."""
    places, values = _Walk(roots).found()
    return State(places, values), values


# --- keepers ----------------------------------------------------------------------------------


class _Cell(Keeper):
    """The cell of a closure, as a mapping of one key."""

    __slots__ = ("cell",)

    def __init__(self, cell: CellType) -> None:
        self.cell = cell

    def get(self, _: str, default: Any) -> Any:
        try:
            return self.cell.cell_contents
        except ValueError:  # it is empty
            return default

    def getter(self, key: str) -> Callable[[], Any]:
        if self.get(key, MISSING) is MISSING:
            return super().getter(key)
        return functools.partial(CellType.cell_contents.__get__, self.cell)  # C code

    def __setitem__(self, _: str, value: Any) -> None:
        self.cell.cell_contents = value


class _Attributes(Keeper):
    """Attributes that are in no `__dict__`, as a mapping."""

    __slots__ = ("owner",)

    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def get(self, name: str, default: Any) -> Any:
        return getattr(self.owner, name, default)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self.owner, name, value)


class _OfClass(_Attributes):
    """A class's own attributes, as they are before they are bound, as a mapping."""

    __slots__ = ()

    def get(self, name: str, default: Any) -> Any:
        return vars(self.owner).get(name, default)


# --- finding places ---------------------------------------------------------------------------


class _Names(NamedTuple):
    """What a function's code mentions."""

    globals: frozenset[str]
    attributes: frozenset[str]
    stored: frozenset[str]


@functools.lru_cache(maxsize=4096)
def _mentioned(code: CodeType) -> _Names:
    """The names in a function's code, with those of functions inside it."""
    by: dict[str, set[str]] = collections.defaultdict(set)
    for instruction in dis.get_instructions(code):
        by[instruction.opname].add(instruction.argval)
    globals_, attributes = (
        {name for op in by for name in by[op] if op.endswith(ends) and isinstance(name, str)}
        for ends in (("_GLOBAL", "_NAME"), ("_ATTR", "_METHOD")))
    stored = by["STORE_ATTR"] | by["DELETE_ATTR"]
    if not _BY_NAME.isdisjoint(globals_):
        written = {c for c in code.co_consts if isinstance(c, str) and c.isidentifier()}
        attributes, stored = attributes | written, stored | written
    inner = [_mentioned(c) for c in code.co_consts if isinstance(c, CodeType)]
    return _Names(frozenset(globals_).union(*(n.globals for n in inner)),
                  frozenset(attributes).union(*(n.attributes for n in inner)),
                  frozenset(stored).union(*(n.stored for n in inner)))


@functools.cache
def _of_library(name: str | None) -> bool:
    """Whether a module's code need not be looked into: it knows nothing of us."""
    if not isinstance(name, str) or name == "__main__":  # a program that is run by another
        return False
    if name.partition(".")[0] in _LIBRARIES:
        return True
    module = sys.modules.get(name)
    parts = Path(getattr(module, "__file__", None) or "").parts
    return not _INSTALLED.isdisjoint(parts) and not any(map(_ours, vars(module).values()))


def _ours(value: Any) -> bool:
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
    return isinstance(name, str) and name.partition(".")[0] == "wengert"


def _slots(kind: type) -> Iterator[str]:
    """The names of a class's own slots, as code has them."""
    slots = vars(kind).get("__slots__", ())
    for name in [slots] if isinstance(slots, str) else slots:
        if name.startswith("__") and not name.endswith("__"):
            yield f"_{kind.__name__.lstrip('_')}{name}"
        elif name not in ("__dict__", "__weakref__"):
            yield name


class _Walk:
    """Walks from a function to all that its code may read.

    Attributes:
        names: attributes that code mentions; None for all.
        stored: attributes that code assigns.
    """

    def __init__(self, roots: Sequence[Any]) -> None:
        self.roots = roots
        self.names: set[str] = set()
        self.stored: set[str] = set()
        self.every = False

    def found(self) -> tuple[list[tuple[Any, Any]], list[Any]]:
        """The places, and what is there. Names make more code reachable, and code more names: it
        walks until there are no more."""
        while True:
            known = len(self.names), len(self.stored), self.every
            self.places: list[tuple[Any, Any]] = []
            self.values: list[Any] = []
            self.seen: dict[Any, Any] = {}  # keeps alive what it knows by its id
            self._todo = [(root, -1) for root in self.roots]
            while self._todo:
                self._visit(*self._todo.pop())
            if known == (len(self.names), len(self.stored), self.every):
                return self.places, self.values

    def _place(self, keeper: Any, key: Any, value: Any) -> None:
        """Notes a place, and that what is there is to be visited; modules stay what they are."""
        if isinstance(value, (ModuleType, BuiltinFunctionType)):
            self._todo.append((value, -1))
            return
        self.places.append((keeper, key))
        self.values.append(value)
        self._todo.append((value, len(self.values) - 1))

    def _visit(self, value: Any, place: int) -> None:
        if isinstance(value, (Handle, *PLAIN)):
            return
        if isinstance(value, CONTAINERS) and place >= 0:
            self._items(value, place)  # each place has its own, which may come to differ
        elif id(value) not in self.seen:
            self.seen[id(value)] = value
            self._object(value)

    def _items(self, container: Any, place: int) -> None:
        if len(container) <= MOST_ITEMS and len(self.values) <= 4 * MOST_ITEMS and (
                not self._inside_itself(container, place)):
            keys: Iterable[Any] = container if isinstance(container, dict) else range(
                len(container))
            for key in keys:
                self._place(place, key, container[key])

    def _inside_itself(self, container: Any, place: int) -> bool:
        keeper, _ = self.places[place]
        while type(keeper) is int:
            if self.values[keeper] is container:
                return True
            keeper, _ = self.places[keeper]
        return False

    def _object(self, value: Any) -> None:
        if isinstance(value, FunctionType):
            if _of_library(value.__globals__.get("__name__")):
                self._wrapper(value)
            elif not _of_library(value.__module__):
                self._function(value)
        elif isinstance(value, MethodType):
            self._todo += [(value.__self__, -1), (value.__func__, -1)]
        elif isinstance(value, functools.partial):
            self._todo.append((value.func, -1))
            self._parts(value, "args", value.args)
            self._parts(value, "keywords", tuple(value.keywords.values()))
        elif isinstance(value, ModuleType):
            if not _of_library(value.__name__):
                self._attributes(vars(value), self.names)
        elif isinstance(value, type):
            self._class(value, "__init__")
        else:
            self._instance(value)

    def _function(self, fn: FunctionType) -> None:
        mentioned = _mentioned(fn.__code__)
        self.names |= mentioned.attributes
        self.stored |= mentioned.stored
        self.every |= not _BY_COMPUTED_NAME.isdisjoint(mentioned.globals | mentioned.attributes)
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            self._cell(name, cell)
        self._attributes(fn.__globals__, mentioned.globals)
        self._attributes(vars(fn), self.names)
        self._parts(fn, "__defaults__", fn.__defaults__ or ())
        self._parts(fn, "__kwdefaults__", tuple((fn.__kwdefaults__ or {}).values()))
        self._todo.append((getattr(fn, "__wrapped__", None), -1))

    def _wrapper(self, fn: FunctionType) -> None:
        """A library's function, such as `grad(f)`: the user's are those that it closes over."""
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            held = _Cell(cell).get(name, MISSING)
            if isinstance(held, (Handle, *CONTAINERS)):
                self._cell(name, cell)
            else:
                self._todo.append((held, -1))

    def _cell(self, name: str, cell: CellType) -> None:
        keeper = _Cell(cell)
        if id(cell) not in self.seen:
            self.seen[id(cell)] = cell
            self._place(keeper, name, keeper.get(name, MISSING))

    def _parts(self, owner: Any, name: str, parts: Sequence[Any]) -> None:
        """What a function was given beforehand: places, where there are containers in it."""
        if any(isinstance(part, CONTAINERS) for part in parts):
            self._place(_Attributes(owner), name, getattr(owner, name))
        else:
            self._todo += [(part, -1) for part in parts]

    def _attributes(self, keeper: Any, names: Iterable[str]) -> None:
        """Notes the places of names in a mapping, once each."""
        for name in sorted(names):
            if name in keeper and (id(keeper), name) not in self.seen:
                self.seen[id(keeper), name] = keeper
                self._place(keeper, name, keeper[name])

    def _instance(self, value: Any) -> None:
        kind = type(value)
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, dict) and "__wrapped__" in attributes:  # a compiled function
            self._todo.append((value.__wrapped__, -1))
            self._attributes(attributes, self.names)
            return
        ours = _ours(kind)
        if any(str(owner.__module__).startswith(_APART) for owner in kind.__mro__):
            return
        if isinstance(attributes, dict):
            self._attributes(attributes, attributes if self.every or ours else self.names)
            of_class = frozenset().union(*map(vars, kind.__mro__))
            for name in sorted((self.names | self.stored) - attributes.keys()):
                if _is_default(kind, name) if name in of_class else name in self.stored:
                    self._place(attributes, name, MISSING)
        for owner in kind.__mro__:
            for name in _slots(owner):
                if self.every or name in self.names:
                    self._place(_Attributes(value), name, getattr(value, name, MISSING))
        if ("methods", id(kind)) not in self.seen:
            self.seen["methods", id(kind)] = kind
            self._class(kind)

    def _class(self, kind: type, *more: str) -> None:
        """The methods that code mentions, and those that Python's syntax calls."""
        owners = [owner for owner in kind.__mro__ if owner.__flags__ & MADE_BY_PYTHON
                  and not _of_library(owner.__module__)]
        for i, owner in enumerate(owners):
            for name, member in list(vars(owner).items()):
                special = name.startswith("__") and name not in _NOT_READ
                if name in self.names or name in more or special:
                    self._member(owners[:i + 1], name, member)

    def _member(self, owners: Sequence[type], name: str, member: Any) -> None:
        """What the last of some classes has, and those before it would come to have first."""
        if isinstance(member, property):
            self._todo += [(member.fget, -1), (member.fset, -1)]
        elif isinstance(member, (staticmethod, classmethod)):
            self._todo.append((member.__func__, -1))
        elif isinstance(member, (FunctionType, functools.cached_property)):
            self._todo.append((getattr(member, "func", member), -1))
        elif not name.startswith("__"):
            for owner in owners:
                if (id(owner), name) not in self.seen:
                    self.seen[id(owner), name] = owner
                    self._place(_OfClass(owner), name, vars(owner).get(name, MISSING))


def _is_default(kind: type, name: str) -> bool:
    """Whether an attribute of a class is what its instances have that have none of their own."""
    member = type(inspect.getattr_static(kind, name))
    return not hasattr(member, "__get__") and not hasattr(member, "__set__")
