"""The functions that a module of native code defines or declares besides its own.

Elementary functions come from `elementary`, each as a function of the module: one that becomes
part of the loops that use it, or one that straight-line code calls.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import re

from . import cache

_LIBRARY = {"power": "pow", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
            "arctan2": "atan2", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh"}
_IN_LIBRARY = {*_LIBRARY.values(), "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin",
               "cos", "tan", "sinh", "cosh", "tanh", "hypot", "erf", "erfc", "cbrt", "nextafter"}

# How likely branches are, said at the end of a module's text: texts are joined, so each says it.
_NOTE, _NOTE_USED = re.compile(r"^!(\d+) = (.*)$", re.MULTILINE), re.compile(r"!prof !(\d+)")

_INTEGER_POWER = """
define internal {type} @{name}({type} %base, {type} %exponent) {{
start:
  br label %turn
turn:
  %e = phi {type} [%exponent, %start], [%halved, %turn]
  %b = phi {type} [%base, %start], [%squared, %turn]
  %found = phi {type} [1, %start], [%next, %turn]
  %odd = trunc {type} %e to i1
  %more = mul {type} %found, %b
  %next = select i1 %odd, {type} %more, {type} %found
  %squared = mul {type} %b, %b
  %halved = lshr {type} %e, 1
  %done = icmp eq {type} %halved, 0
  br i1 %done, label %end, label %turn
end:
  ret {type} %next
}}
"""


class Definitions:
    """Functions that a module needs, each once.

    Attributes:
        texts: by name, their definitions or declarations.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def elementary(self, name: str, type: str, count: int, inline: bool) -> str | None:
        """A function of our own, by the ufunc's name; None if there is none.

        Args:
            name: the ufunc's.
            type: of the operands and the result, a number's or a vector's.
            count: of operands.
            inline: whether it becomes part of what calls it.
        """
        label, texts = _elementary_texts(name, type, count, inline)
        self.texts.update(texts)
        return label and f'@"{label}"'

    def library(self, name: str, type: str, count: int) -> str:
        """A function of the C library, by the ufunc's name.

        Raises:
            NotImplementedError: if it has none.
        """
        symbol = _LIBRARY.get(name, name)
        if symbol not in _IN_LIBRARY:
            raise NotImplementedError(f"{name} in native code")
        symbol += "f" if type == "float" else ""
        return self.declare(symbol, type, ", ".join([type] * count))

    def integer_power(self, type: str) -> str:
        """The power function of an integer type."""
        name = f"w.power.{type}"
        self.texts[name] = _INTEGER_POWER.format(type=type, name=name)
        return f"@{name}"

    def declare(self, name: str, result: str, operands: str) -> str:
        """A function that the linker finds."""
        self.texts[name] = f"declare {result} @{name}({operands})"
        return f"@{name}"


_Texts = tuple[str | None, dict[str, str]]


@functools.cache
def _elementary_texts(name: str, type: str, count: int, inline: bool) -> _Texts:
    """The name of an elementary function, and the text of all that it takes, by their names.

    They are kept on disk, since to write them takes builders that take long to import.
    """
    key = "\0".join(["elementary", *_sources(), name, type, str(count), str(inline)])
    digest = hashlib.sha256(key.encode()).hexdigest()
    kept = cache.read(digest)
    if kept is None:
        label, texts = _written(name, type, count, inline)
        cache.write(digest, "\0".join([label or "", *itertools.chain(*texts.items())]).encode())
        return label, texts
    label, *parts = kept.decode().split("\0")
    return label or None, dict(zip(parts[::2], parts[1::2], strict=True))


@functools.cache
def _sources() -> list[str]:
    """What tells one state of what writes elementary functions from another."""
    import llvmlite

    from ... import __version__

    found: list[str] = []
    folder = os.path.join(os.path.dirname(__file__), "elementary")
    with contextlib.suppress(OSError), os.scandir(folder) as files:  # we may come out of an archive
        for file in files:
            about = file.stat()
            found.append(f"{file.name} {about.st_size} {about.st_mtime_ns}")
    return [__version__, llvmlite.__version__, *sorted(found)]


def _written(name: str, type: str, count: int, inline: bool) -> _Texts:
    from llvmlite import ir

    from . import elementary

    if name not in elementary.FUNCTIONS:
        return None, {}
    module = ir.Module()
    kind = ir.DoubleType() if "double" in type else ir.FloatType()
    if type.startswith("<"):
        kind = ir.VectorType(kind, int(type[1:].split(maxsplit=1)[0]))
    function = elementary.callee(module, name, kind, count, inline)
    notes = dict(_NOTE.findall(str(module)))
    return function.name, {
        known.name: _NOTE_USED.sub(lambda use: f"!prof {notes[use[1]]}", str(known))
        for known in module.global_values}
