"""Kernels: native functions for the pool, in modules of their own, which all plans share.

    kernel(piece, pieces, context);  context = status, address of the numbers, addresses

A module is known by its text, and that leaves open the numbers of the nest or contraction that it
is made for: whatever has the same form, in this plan or in others, uses the same machine code.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..ir.nest import Buffer, Contraction, Nest
from ..ir.records import equal_record
from ..tiling import Tiling
from . import engine
from .emit_contraction import ContractionFunction
from .emit_elementary import Definitions
from .emit_nest import NestFunction


@equal_record
class Kernel:
    """A kernel, and what this use of it is to be given.

    Attributes:
        library: holds its machine code.
        words: its numbers.
        buffers: whose addresses its context holds.
        fails: whether it may set the status.
        units: the pieces that its work can be cut into, at most; 0 for any number.
    """

    library: engine.Library
    words: list[int]
    buffers: tuple[Buffer, ...]
    fails: bool = False
    units: int = 0

    @property
    def address(self) -> int:
        """Of its machine code."""
        return self.library.address("kernel")


def of_nest(nest: Nest, split: str) -> Kernel:
    """The kernel of a nest whose pieces divide its "rows", "outer" loop, "cols" or nothing."""
    f = NestFunction(nest, Definitions(), engine.vector_bits(), shared=True, split=split)
    library = _compiled([f.text("@kernel"), *f.code.definitions.texts.values()])
    return Kernel(library, f.memory.numbers.words, tuple(f.memory.buffers), f.code.fails)


def of_contraction(c: Contraction, how: Tiling, threads: bool) -> Kernel:
    """The kernel of a contraction, given how it is done and whether threads share its work."""
    f = ContractionFunction(c, how, threads)
    library = _compiled([f.text("@kernel"), *f.definitions.texts.values()])
    buffers = c.a.buffer, c.b.buffer, c.out.buffer
    return Kernel(library, f.numbers.words, buffers, units=f.units)


def _compiled(texts: Iterable[str]) -> engine.Library:
    return engine.compile_module("\n".join(texts))
