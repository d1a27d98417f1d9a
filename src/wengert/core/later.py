"""Methods whose modules are loaded when they are first used.

A table of methods names functions of modules, `det = older.det`. Where `older` is a `later` module,
that makes a descriptor, which loads the module on first use and puts the function in its own place.
Type checkers are told that it is the module itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .guard import guarded


class later:  # noqa: N801 - it stands for a module
    """Stands for a module that is not loaded yet.

    Args:
        module: its full name.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Later(self._module, name)


class _Later:
    """A function of a module, as a class attribute."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name
        self.places: list[tuple[type, str]] = []

    def __set_name__(self, owner: type, name: str) -> None:
        self.places.append((owner, name))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        function = guarded(getattr(import_module(self.module), self.name))
        for cls, name in self.places:
            setattr(cls, name, function)
        return function if instance is None else function.__get__(instance, owner)
