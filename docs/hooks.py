"""What is written into pages when the site is built: the coverage table, and lists of names.

`<!-- coverage -->` stands for the table of primitives, `<!-- words -->` for that of PyTorch's
words; `<!-- api ROOM ... -->` for the reference of the names that `wengert` exports from these
modules; `<!-- api-of MODULE -->` for that of the functions and modes in a module's `__all__`;
`<!-- tensor -->` for that of `Tensor`; `<!-- methods -->` for the
methods that it shares with functions.
"""

import importlib
import inspect
import re
import sys
import types
from pathlib import Path
from typing import Any

import wengert

sys.path.insert(0, str(Path(__file__).parent))
import coverage
import words as pytorch_words

API = re.compile(r"<!-- api ([\w. ]+) -->")
API_OF = re.compile(r"<!-- api-of ([\w.]+) -->")


def room(value: Any) -> str:
    """The module that a public name comes from."""
    return str(getattr(value, "__module__", ""))


def words(module: str) -> list[str]:
    """The names that a module says are its own; else those of the functions that it has."""
    found = importlib.import_module(module)
    listed = getattr(found, "__all__", None) or [
        name for name, value in vars(found).items()
        if not name.startswith("_") and isinstance(value, types.FunctionType)]
    return [name for name in listed if name != "Node"
            and not isinstance(getattr(found, name), types.ModuleType)]


def public(rooms: list[str]) -> list[str]:
    """The names that `wengert` exports from modules, each value once, under its own name."""
    names = dict.fromkeys(
        name for each in rooms if each.startswith("wengert.ops") for name in words(each))
    names.update(dict.fromkeys(name for name, value in vars(wengert).items()
                               if not name.startswith("_") and room(value) in rooms))
    values = {name: getattr(wengert, name) for name in names}
    return [name for name, value in values.items()
            if isinstance(value, (type, types.FunctionType)) and value.__name__ == name]


def reference(found: re.Match[str]) -> str:
    """The directives that have mkdocstrings write the reference of modules' public names."""
    names = public(found[1].split())
    return "\n\n".join(f"::: wengert.{name}" for name in names)


def reference_of(found: re.Match[str]) -> str:
    """The directives for what a module lists as its own."""
    return "\n\n".join(f"::: {found[1]}.{name}" for name in words(found[1]))


def tensor() -> str:
    """The directive for `Tensor`, with what is written out in the class itself."""
    own = [name for name, value in inspect.getmembers(wengert.Tensor)
           if isinstance(value, property)
           or room(value).startswith(("wengert._tensor", "wengert.methods"))]
    shown = ", ".join(name for name in own if not name.startswith("_"))
    return f"::: wengert.Tensor\n    options:\n      members: [{shown}]"


def methods() -> str:
    """A table of the methods that are functions as well, with a link to each."""
    lines = ["| method | does |", "| --- | --- |"]
    for name, value in sorted(inspect.getmembers(wengert.Tensor)):
        if name.startswith("_") or not room(value).startswith("wengert.ops"):
            continue
        own = getattr(value, "__name__", "")
        link = f"[`{name}`][wengert.{own}]" if getattr(wengert, own, None) is value else f"`{name}`"
        says = (value.__doc__ or "").split("\n")[0].replace("|", "\\|")
        lines.append(f"| {link} | {says} |")
    return "\n".join(lines)


MARKS = {"<!-- tensor -->": tensor, "<!-- methods -->": methods,
         "<!-- coverage -->": coverage.table, "<!-- words -->": pytorch_words.table}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs for each page."""
    markdown = API_OF.sub(reference_of, API.sub(reference, markdown))
    for mark, write in MARKS.items():
        if mark in markdown:
            markdown = markdown.replace(mark, write())
    return markdown
