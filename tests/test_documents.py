"""Every example in docstrings and documents is run, and must print what it shows.

In a document the blocks marked `python` and `pycon` are one program, from top to bottom. A
`pycon` block is a session, whose output is compared; a `python` block only has to run.
"""

import doctest
import importlib
import pkgutil
import re
import textwrap
from pathlib import Path

import pytest

import wengert
from wengert.core.primitive import TABLE

ROOT = Path(__file__).parents[1]
OPTIONS = doctest.ELLIPSIS
FENCE = re.compile(r"^( *)```(python|pycon)\b[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MODULES = ["wengert", *(found.name for found in pkgutil.walk_packages(wengert.__path__,
                                                                      "wengert."))]


class Finder(doctest.DocTestFinder):
    """Finds functions by the module they say they are of, so that made ones count as well."""

    def _from_module(self, module, object):
        return isinstance(object, property) or (
            getattr(object, "__module__", None) == module.__name__)


@pytest.fixture(autouse=True)
def as_it_was():
    """Leaves the table of primitives, the default dtype and the seed as they were."""
    table, dtype = dict(TABLE), wengert.get_default_dtype()
    state = wengert.get_rng_state()
    wengert.manual_seed(0)
    yield
    TABLE.clear()
    TABLE.update(table)
    wengert.set_default_dtype(dtype)
    wengert.set_rng_state(state)


def run(test, clear_globs=True):
    """Runs one doctest, and fails with its report."""
    report = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append,
                                                   clear_globs=clear_globs)
    if report:
        pytest.fail("".join(report), pytrace=False)


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    """Examples see their module's names, as is usual; users' examples import what they use."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.startswith("wengert"):
            raise
        pytest.skip(f"{name} needs {error.name}")
    for test in Finder(exclude_empty=True).find(module):
        test.globs["__name__"] = "__main__"
        run(test)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents(path):
    """The blocks of a document share their names."""
    text = path.read_text()
    names = {"__name__": "__main__"}
    for block in FENCE.finditer(text):
        line = text[:block.start(3)].count("\n")
        source = textwrap.dedent(block[3])
        if block[2] == "python":
            exec(compile("\n" * line + source, str(path), "exec"), names)
            continue
        test = doctest.DocTestParser().get_doctest(source, names, path.name, str(path), line)
        test.globs = names  # not a copy: the next block goes on with them
        run(test, clear_globs=False)


def test_documents_have_examples():
    """The pattern above finds the blocks there are."""
    assert FENCE.search((ROOT / "README.md").read_text())
    assert any(">>>" in (module.__doc__ or "") for module in [wengert])
