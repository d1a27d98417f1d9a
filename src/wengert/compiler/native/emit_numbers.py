"""Numbers that text leaves open: sizes, strides, places and constants.

Text is what machine code is known by, in memory and on disk. Where it reads a number from a table
rather than hold it, plans of other shapes that have the same form have the same text, and share
one machine code, each with a table of its own:

    %n0 = load i64, ptr %numbers           (the words of a table are 64 bits each)
    %n1 = load float, ptr %numbers + 8

What LLVM or the code generator makes something of stays in the text: 0 and 1 (nothing, and side
by side), how many lanes and turns are written out.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from .emit_code import BOOL, Kind, literal

_PLAIN = frozenset((0, 1, -1, 2, -2, 0.5, -0.5))


class Numbers:
    """The numbers of one function.

    Args:
        open: whether there is a table; if not, all numbers are part of the text.

    Attributes:
        words: the table.
        prologue: the lines that read it, from `%numbers`.
    """

    def __init__(self, open: bool = True) -> None:
        self.open = open
        self.words: list[int] = []
        self.prologue: list[str] = []
        self._known: dict[tuple[object, int], str] = {}

    def size(self, value: int, role: object = None) -> str:
        """A size, a stride or an offset: an i64. Equal ones of one role are read once: the text is
        another if they are not all equal, so that they should be as a rule."""
        if not self.open or value in (0, 1):
            return str(value)
        if role is None:
            return self._read("i64", value)
        found = self._known.get((role, value))
        if found is None:
            found = self._known[role, value] = self._read("i64", value)
        return found

    def constant(self, kind: Kind, value: Any) -> str:
        """A number that is computed with."""
        if not self.open or kind is BOOL or not math.isfinite(value) or value in _PLAIN:
            return literal(kind, value)
        return self._read(kind.text, word(kind, value))

    def where(self, kind: Kind, value: Any) -> str:
        """The address of a number."""
        name = f"%n{len(self.words)}"
        self.prologue.append(
            f"{name} = getelementptr i64, ptr %numbers, i64 {len(self.words)}")
        self.words.append(word(kind, value))
        return name

    def _read(self, type: str, value: int) -> str:
        name = f"%n{len(self.words)}"
        self.prologue += [f"{name}.at = getelementptr i64, ptr %numbers, i64 {len(self.words)}",
                          f"{name} = load {type}, ptr {name}.at"]
        self.words.append(value)
        return name


def word(kind: Kind, value: Any) -> int:
    """The 64 bits that begin with a number's."""
    raw = np.asarray(value).astype(kind.dtype).tobytes().ljust(8, b"\0")
    return int.from_bytes(raw, sys.byteorder, signed=True)
