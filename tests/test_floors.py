"""Imports point down: the floors of docs/design/engine.md, held by reading the sources.

What is imported only for type checkers does not count. An import inside a function does: where a
lower floor needs a higher one, it is told (as `results_are` and `ground` are), and does not ask.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import wengert

ROOT = Path(wengert.__file__).parent
FLOORS = ("core", "primitives", "interpreters", "ops", "top")
"""From the ground up; what is in none of the named folders is the top."""
MODULES = sorted(ROOT.rglob("*.py"))


def dotted(path: Path) -> str:
    """A source file's module name, "wengert.core.aval"."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(path): path for path in MODULES}


def floor(module: str) -> int:
    room = module.split(".")[1] if "." in module else "top"
    return FLOORS.index(room) if room in FLOORS else FLOORS.index("top")


def for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def statements(tree: ast.AST, *, inner: bool) -> Iterator[ast.stmt]:
    """The import statements, those within functions only if `inner`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inner:
            continue
        elif not for_types_only(node):
            yield from statements(node, inner=inner)


def imports(source: str, module: str, *, package: bool, inner: bool) -> set[str]:
    """The modules of this package that a source imports."""
    found: set[str] = set()
    for node in statements(ast.parse(source), inner=inner):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = module.split(".")[:len(module.split(".")) + package - node.level]
            base = ".".join([*up, *([node.module] if node.module else [])]) if node.level else (
                node.module or "")
            found.update(f"{base}.{n.name}" if f"{base}.{n.name}" in NAMES else base
                         for n in node.names)
    return {name for name in found if name in NAMES}


def imported_by(module: str, *, inner: bool) -> set[str]:
    path = NAMES[module]
    return imports(path.read_text(encoding="utf-8"), module,
                   package=path.name == "__init__.py", inner=inner) - {module}


@pytest.mark.parametrize("module", NAMES)
def test_imports_point_down(module: str) -> None:
    higher = [m for m in imported_by(module, inner=True) if floor(m) > floor(module)]
    assert not higher, f"{module} is on the floor {FLOORS[floor(module)]!r}"


def test_no_circles() -> None:
    """At import time no module waits for one that waits for it."""
    graph = {module: imported_by(module, inner=False) for module in NAMES}
    while leaves := [m for m, needs in graph.items() if not needs & graph.keys()]:
        for module in leaves:
            del graph[module]
    assert not graph, f"circles among {sorted(graph)}"


def test_the_reader_reads() -> None:
    """The checks above would notice: relative, absolute, nested and type-only imports."""
    source = ("from ..ops import creation\nfrom .aval import Aval\nimport wengert.printing\n"
              "if TYPE_CHECKING:\n    from .._tensor import Tensor\n"
              "def f():\n    from ..ops import shapes\n")
    direct = {"wengert.ops.creation", "wengert.core.aval", "wengert.printing"}
    read = imports(source, "wengert.core.levels", package=False, inner=False)
    assert read == direct
    read = imports(source, "wengert.core.levels", package=False, inner=True)
    assert read == direct | {"wengert.ops.shapes"}
    assert [floor(m) for m in sorted(direct)] == [0, 3, 4]
    assert "wengert.core.aval" in imported_by("wengert.core.handle", inner=False)
