"""What text of LLVM IR is made of: types of numbers, numbers that are known, and functions.

    Kind    a dtype, as LLVM knows it
    Code    the text of one function, as it grows
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .emit_elementary import Definitions


class Kind:
    """What LLVM has to know of a dtype.

    Attributes:
        dtype: the dtype.
        sort: "b" bool, "i" signed, "u" unsigned, "f" float.
        bits: the width of a number in memory.
        text: its type in registers.
        memory: its type in memory.
    """

    __slots__ = ("bits", "dtype", "memory", "sort", "text")

    def __init__(self, dtype: np.dtype[Any], text: str, memory: str) -> None:
        self.dtype, self.text, self.memory = dtype, text, memory
        self.sort, self.bits = dtype.kind, dtype.itemsize * 8

    @property
    def size(self) -> int:
        return self.bits // 8


_FLOATS = {2: "half", 4: "float", 8: "double"}


def _kind(name: str) -> Kind:
    dtype = np.dtype(name)
    integer = f"i{dtype.itemsize * 8}"
    text = {"b": "i1", "f": _FLOATS.get(dtype.itemsize, "")}.get(dtype.kind, integer)
    return Kind(dtype, text, integer if dtype.kind == "b" else text)


KINDS: dict[np.dtype[Any], Kind] = {np.dtype(name): _kind(name) for name in (
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "float32", "float64")}
BOOL, I8, I16, I32, I64, F16, F32, F64 = (KINDS[np.dtype(name)] for name in (
    "bool", "int8", "int16", "int32", "int64", "float16", "float32", "float64"))


def literal(kind: Kind, value: Any) -> str:
    """A number as LLVM writes it."""
    return _literal(kind, np.asarray(value).astype(kind.dtype).tobytes())


@functools.lru_cache(4096)
def _literal(kind: Kind, raw: bytes) -> str:
    """The same from its bytes, which tell 0.0 from -0.0."""
    number = np.frombuffer(raw, kind.dtype)[0]
    if kind.sort == "b":
        return "true" if number else "false"
    if kind.sort != "f":
        return str(int(number))
    if kind is F16:
        return f"0xH{int(number.view(np.uint16)):04X}"
    return f"0x{struct.unpack('<Q', struct.pack('<d', float(number)))[0]:016X}"


class Code:
    """The text of one function, as it grows.

    Attributes:
        lines: of its body.
        top: what stands before them: memory of its own (which LLVM keeps in registers).
        definitions: the functions that it calls.
        fails: whether anything in it may set the status.
    """

    def __init__(self, definitions: Definitions) -> None:
        self.lines: list[str] = []
        self.top: list[str] = []
        self.definitions, self.fails = definitions, False
        self._names = 0

    def name(self) -> str:
        """A name that is not taken, for a register or a label."""
        self._names += 1
        return f"%v{self._names}"

    def let(self, text: str) -> str:
        """The register that an instruction's result is in."""
        self._names += 1
        name = f"%v{self._names}"
        self.lines.append(f"{name} = {text}")
        return name

    def do(self, text: str) -> None:
        """An instruction without a result."""
        self.lines.append(text)

    def label(self, name: str) -> None:
        """A new block of instructions."""
        self.lines.append(f"{name[1:]}:")

    def variable(self, type: str, count: int = 1) -> str:
        """A pointer to memory of the function's own."""
        name = self.name()
        self.top.append(f"{name} = alloca " + (
            f"[{count} x {type}], align 64" if count > 1 else type))
        return name

    @contextmanager
    def loop(self, start: str, stop: str, step: int = 1) -> Iterator[str]:
        """A loop `for i = start; i < stop; i += step`, of which it gives i."""
        counter, body, after = self.variable("i64"), self.name(), self.name()
        self.do(f"store i64 {start}, ptr {counter}")
        some = self.let(f"icmp slt i64 {start}, {stop}")
        self.do(f"br i1 {some}, label {body}, label {after}")
        self.label(body)
        i = self.let(f"load i64, ptr {counter}")
        yield i
        following = self.let(f"add nsw i64 {i}, {step}")
        self.do(f"store i64 {following}, ptr {counter}")
        more = self.let(f"icmp slt i64 {following}, {stop}")
        self.do(f"br i1 {more}, label {body}, label {after}")
        self.label(after)

    @contextmanager
    def leaving(self, condition: str) -> Iterator[None]:
        """What is done if a condition holds; it leaves."""
        body, after = self.name(), self.name()
        self.do(f"br i1 {condition}, label {body}, label {after}")
        self.label(body)
        yield
        self.label(after)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """What is done if a condition holds, before what follows."""
        body, after = self.name(), self.name()
        self.do(f"br i1 {condition}, label {body}, label {after}")
        self.label(body)
        yield
        self.do(f"br label {after}")
        self.label(after)
