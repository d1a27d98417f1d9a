"""Loops whose end is found out as they run, as native code.

    source = the carried input's first value; target, other = the result's memory and the spare
    while input 0:
        in 0 = source;  out 0 = target;  ...
        (the steps)
        source = out 0;  target, other = other, target
    result = source

Back through such a loop it is gone through again first, its inputs being kept in records, and then
its turns are met from the last one on:

    while record[turns] says so:
        in ... = record[turns];  out ... = record[turns + 1]
        (the steps)
        turns = turns + 1
    for turn in turns - 1 ... 0:
        in ... = record[turn];  in n = source;  out 0 = target;  ...
        (the steps)

Nobody knows how long such loops take, so they look up from their work now and then: Python wants to
know whether the user has pressed Ctrl-C.

The records' memory comes from the C library. It is twice as much whenever it is full, and given
back after the loops, or when the entry leaves because something failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..ir.nest import Buffer, Repeat, Unwind
from .emit_repeat import RepeatCode, nbytes
from .emit_work import work

if TYPE_CHECKING:
    from .emit import Emitter

NO_MEMORY = -5
"""What an entry returns if there is no memory for the records."""
_LONG = 1 << 24
"""After about so many simple operations a loop looks up: some milliseconds."""
_FIRST = 1 << 16
"""The bytes of the records' memory at first; for a few records, if that is less."""


class OpenCode(RepeatCode):
    """Writes a loop that goes on as long as its first input is true."""

    @contextmanager
    def _turns(self) -> Iterator[str]:
        with _as_long_as(self.emitter, self.repeat) as goes_on:
            goes_on(self.sources[0])
            yield "0"

    def _order(self, places: Sequence[str]) -> Sequence[str]:
        return places

    def _finish(self) -> None:
        """Has results be where they belong, whichever turn was the last."""
        for carry in self.repeat.carried:
            home = self.emitter.pointer(self.repeat.outputs[carry.output].buffer)
            source, own = self.sources[carry.input], self.repeat.body.inputs[carry.input]
            if self._small(carry):
                self._copy(home, source, own)
                continue
            source = self.code.let(f"load ptr, ptr {source}")
            with self.code.when(self.code.let(f"icmp ne ptr {source}, {home}")):
                _copy(self.emitter, home, source, own)


class UnwindCode:
    """Writes a loop that keeps what its turns are given, and the one back through them.

    Attributes:
        memory: the variable with the address of the records.
        room: the variable with how many there may be.
        record, offsets: the bytes of a record, and where in it things lie.
        turns: the variable with the number of turns, as it grows.
    """

    def __init__(self, emitter: Emitter, unwind: Unwind) -> None:
        self.emitter, self.unwind, self.code = emitter, unwind, emitter.code
        self.memory = emitter.heap()
        self.record = emitter.number(unwind.record)
        self.offsets = [emitter.number(each.offset) for each in unwind.kept]
        self.room, self.turns = self.code.variable("i64"), self.code.variable("i64")
        first = emitter.number(max(4, _FIRST // unwind.record))
        self.code.do(f"store i64 {first}, ptr {self.room}")
        self.code.do(f"store i64 0, ptr {self.turns}")
        self._get_memory()
        self._begin()
        self._forth()
        _BackCode(self)
        self.code.do(f"call void {self._library('free', 'void', 'ptr')}(ptr "
                     f"{self.code.let(f'load ptr, ptr {self.memory}')})")
        self.code.do(f"store ptr null, ptr {self.memory}")

    def places(self, turn: str) -> list[str]:
        """Where in a turn's record each of what is kept lies."""
        code = self.code
        far = code.let(f"mul nsw i64 {turn}, {self.record}")
        records = code.let(f"load ptr, ptr {self.memory}")
        record = code.let(f"getelementptr i8, ptr {records}, i64 {far}")
        return [code.let(f"getelementptr i8, ptr {record}, i64 {offset}")
                for offset in self.offsets]

    def _begin(self) -> None:
        """Makes the first record."""
        for place, own, stretch in zip(self.places("0"), self.unwind.kept,
                                       self.unwind.forth.inputs, strict=False):
            _copy(self.emitter, place, self.emitter.pointer(stretch.buffer), own)

    def _forth(self) -> None:
        forth, pointers, code = self.unwind.forth, self.emitter.pointers, self.code
        inputs, outputs, count = forth.body.inputs, forth.body.outputs, len(self.unwind.kept)
        for own, stretch in zip(inputs[count:], forth.inputs[count:], strict=True):
            pointers[own] = self.emitter.pointer(stretch.buffer)
        with _as_long_as(self.emitter, forth) as goes_on:
            turn = code.let(f"load i64, ptr {self.turns}")
            goes_on(self.places(turn)[0])
            following = code.let(f"add nsw i64 {turn}, 1")
            self._make_room(following)
            pointers.update(zip(inputs, self.places(turn), strict=False))
            pointers.update(zip(outputs, self.places(following), strict=True))
            for step in forth.steps:
                self.emitter.step(step)
            code.do(f"store i64 {following}, ptr {self.turns}")

    def _make_room(self, record: str) -> None:
        """Has room for a record."""
        room = self.code.let(f"load i64, ptr {self.room}")
        with self.code.when(self.code.let(f"icmp sge i64 {record}, {room}")):
            self.code.do(f"store i64 {self.code.let(f'shl i64 {room}, 1')}, ptr {self.room}")
            self._get_memory()

    def _get_memory(self) -> None:
        """Has the memory be as large as the room says."""
        code, realloc = self.code, self._library("realloc", "ptr", "ptr, i64")
        room, old = code.let(f"load i64, ptr {self.room}"), code.let(f"load ptr, ptr {self.memory}")
        size = code.let(f"mul i64 {room}, {self.record}")
        new = code.let(f"call ptr {realloc}(ptr {old}, i64 {size})")
        self.emitter.leave_if(code.let(f"icmp eq ptr {new}, null"), str(NO_MEMORY))
        code.do(f"store ptr {new}, ptr {self.memory}")

    def _library(self, name: str, result: str, operands: str) -> str:
        return self.emitter.definitions.declare(name, result, operands)


class _BackCode(OpenCode):
    """Writes the loop back through the turns."""

    def __init__(self, unwind: UnwindCode) -> None:
        self.unwind = unwind
        super().__init__(unwind.emitter, unwind.unwind.back)

    @contextmanager
    def _turns(self) -> Iterator[str]:
        code, unwind = self.code, self.unwind
        count = code.let(f"load i64, ptr {unwind.turns}")
        last = code.let(f"sub nsw i64 {count}, 1")
        with code.loop("0", count) as turn:
            before = code.let(f"sub nsw i64 {last}, {turn}")
            self.emitter.pointers.update(zip(unwind.unwind.kept, unwind.places(before),
                                             strict=True))
            yield turn


def _copy(emitter: Emitter, to: str, source: str, like: Buffer) -> None:
    emitter.code.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {source}, "
                    f"i64 {emitter.number(nbytes(like))}, i1 false)")


@contextmanager
def _as_long_as(emitter: Emitter, repeat: Repeat) -> Iterator[Callable[[str], None]]:
    """A loop; gives a function that goes on only if the bool at an address is true."""
    code = emitter.code
    head, body, after = code.name(), code.name(), code.name()
    counter = code.variable("i64")
    code.do(f"store i64 0, ptr {counter}")
    code.do(f"br label {head}")
    code.label(head)

    def goes_on(address: str) -> None:
        found = code.let(f"icmp ne i8 {code.let(f'load i8, ptr {address}')}, 0")
        code.do(f"br i1 {found}, label {body}, label {after}")
        code.label(body)

    yield goes_on
    count = code.let(f"add i64 {code.let(f'load i64, ptr {counter}')}, 1")
    code.do(f"store i64 {count}, ptr {counter}")
    rest = code.let(f"and i64 {count}, {_between(repeat) - 1}")
    with code.when(code.let(f"icmp eq i64 {rest}, 0")):
        emitter.look_up()
    code.do(f"br label {head}")
    code.label(after)


def _between(repeat: Repeat) -> int:
    """How many turns may go by until somebody looks up, a power of two."""
    turns = _LONG // (1 + sum(map(work, repeat.steps)))
    return 1 << min(turns.bit_length(), 16)
