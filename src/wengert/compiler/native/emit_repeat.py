"""A loop as native code: its body's steps, and where in memory they work in each turn.

    source = the carried input's first value; target, other = the result's memory and the spare
    for turn in 0 ... count - 1:
        in 0 = source;  in 1 = array 1 + turn * step 1;  out 0 = target;  out 1 = ...
        (the steps)
        source = out 0;  target, other = other, target

What is carried and small is made in memory of the function's own, which LLVM makes registers of,
and copied from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from ..ir.nest import Buffer, Carry, Repeat, Stretch
from .emit_code import KINDS

if TYPE_CHECKING:
    from .emit import Emitter

SMALL = 256
"""Bytes up to which something is kept in the function's own memory, perhaps in registers."""


def nbytes(buffer: Buffer) -> int:
    """The size of a buffer in bytes."""
    return buffer.size * buffer.dtype.itemsize


def words_of(buffer: Buffer) -> int:
    """The 64-bit words that something small is given: a power of two, so that few sizes differ."""
    return max(2, 1 << (-(-nbytes(buffer) // 8) - 1).bit_length())


class RepeatCode:
    """Writes one loop.

    Attributes:
        sources: by carried input, the variable with its address; or, if it is small, itself.
        targets: by output with spare memory, the variables with the addresses of where it goes in
            this turn and the next.
        near: by output that is carried and small, where it is made.
    """

    def __init__(self, emitter: Emitter, repeat: Repeat) -> None:
        self.emitter, self.repeat, self.code = emitter, repeat, emitter.code
        self.sources = {carry.input: self._source(carry) for carry in repeat.carried}
        self.targets = {carry.output: self._targets(carry.output, carry.spare)
                        for carry in repeat.carried if carry.spare and not self._small(carry)}
        self.near = {carry.output: self._memory(repeat.body.outputs[carry.output])
                     for carry in repeat.carried if self._small(carry)}
        with self._turns() as turn:
            self._place(turn)
            for step in repeat.steps:
                emitter.step(step)
            for carry in repeat.carried:
                self._hand_on(carry)
            for output, (now, then) in self.targets.items():
                other = self.code.let(f"load ptr, ptr {then}")
                self.code.do(f"store ptr {other}, ptr {now}")
                self.code.do(f"store ptr {self._given(output)}, ptr {then}")
            self._keep(turn, each=True)
        self._finish()

    def _turns(self) -> AbstractContextManager[str]:
        """The loop itself, of which it gives the number of the turn."""
        assert self.repeat.count is not None
        return self.code.loop("0", self.emitter.number(self.repeat.count))

    def _order(self, places: Sequence[str]) -> Sequence[str]:
        """Results' memory and spare memory, so that the last turn's is the results'."""
        assert self.repeat.count is not None
        odd = self.code.let(f"icmp ne i64 {self.emitter.number(self.repeat.count % 2)}, 0")
        return [self.code.let(f"select i1 {odd}, ptr {a}, ptr {b}")
                for a, b in (places, places[::-1])]

    def _finish(self) -> None:
        """What is done after the last turn."""
        self._keep("0", each=False)

    def _small(self, carry: Carry) -> bool:
        return nbytes(self.repeat.body.inputs[carry.input]) <= SMALL

    def _given(self, output: int) -> str:
        """The address that an output of the body has."""
        return self.emitter.pointer(self.repeat.body.outputs[output])

    # --- before the loop ------------------------------------------------------------------------

    def _source(self, carry: Carry) -> str:
        first = self.emitter.pointer(self.repeat.inputs[carry.input].buffer)
        if not self._small(carry):
            return self._variable(first)
        own = self.repeat.body.inputs[carry.input]
        found = self._memory(own)
        self._copy(found, first, own)
        return found

    def _memory(self, buffer: Buffer) -> str:
        """Memory of the function's own for what a buffer holds."""
        return self.code.variable("i64", words_of(buffer))

    def _targets(self, output: int, spare: Buffer) -> tuple[str, str]:
        now, then = self._order([self.emitter.pointer(self.repeat.outputs[output].buffer),
                                 self.emitter.pointer(spare)])
        return self._variable(now), self._variable(then)

    def _variable(self, pointer: str) -> str:
        """A variable that holds an address."""
        variable = self.code.variable("ptr")
        self.code.do(f"store ptr {pointer}, ptr {variable}")
        return variable

    def _copy(self, to: str, source: str, like: Buffer) -> None:
        self.code.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {source}, "
                     f"i64 {nbytes(like)}, i1 false)")

    # --- in the loop ----------------------------------------------------------------------------

    def _place(self, turn: str) -> None:
        """Finds out where inputs and outputs are in a turn."""
        repeat, body, pointers = self.repeat, self.repeat.body, self.emitter.pointers
        small = {carry.input for carry in repeat.carried if self._small(carry)}
        for i, (own, stretch) in enumerate(zip(body.inputs, repeat.inputs, strict=True)):
            source = self.sources.get(i)
            pointers[own] = self._stretch(stretch, turn) if source is None else (
                source if i in small else self.code.let(f"load ptr, ptr {source}"))
        for i, (own, stretch) in enumerate(zip(body.outputs, repeat.outputs, strict=True)):
            target = self.targets.get(i)
            pointers[own] = self.near.get(i) or (
                self._stretch(stretch, turn) if target is None else
                self.code.let(f"load ptr, ptr {target[0]}"))

    def _stretch(self, stretch: Stretch, turn: str) -> str:
        """The address of an input or output in a turn."""
        pointer = self.emitter.pointer(stretch.buffer)
        if not (stretch.step or stretch.offset):
            return pointer
        far = self.code.let(f"mul nsw i64 {turn}, {self.emitter.number(stretch.step)}")
        place = self.code.let(f"add nsw i64 {far}, {self.emitter.number(stretch.offset)}")
        type = KINDS[stretch.buffer.dtype].memory
        return self.code.let(f"getelementptr {type}, ptr {pointer}, i64 {place}")

    def _hand_on(self, carry: Carry) -> None:
        source, given = self.sources[carry.input], self._given(carry.output)
        if self._small(carry):
            self._copy(source, given, self.repeat.body.inputs[carry.input])
        else:
            self.code.do(f"store ptr {given}, ptr {source}")

    def _keep(self, turn: str, *, each: bool) -> None:
        """Copies what is near to where it belongs: what is kept of each turn, or of the last."""
        for output, near in self.near.items():
            stretch = self.repeat.outputs[output]
            if bool(stretch.step) is each:
                self._copy(self._stretch(stretch, turn), near, self.repeat.body.outputs[output])
