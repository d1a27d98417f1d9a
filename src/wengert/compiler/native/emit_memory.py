"""Addresses, loads and stores of a nest's elements, of one or of a vector of them.

A function's buffers come as pointers, and so does the table of the numbers that its text leaves
open (`emit_numbers.py`); as arguments, or, where threads share the work, in a context:

    context = status, address of the numbers, addresses of the buffers          (64 bits each)
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.nest import Access, Buffer, Statement
from ..ir.records import equal_record
from .emit_code import BOOL, I64, KINDS, Code, Kind
from .emit_numbers import Numbers
from .emit_scalar import OUT_OF_RANGE, Ops


@equal_record
class Place:
    """Where a statement's elements of one row lie.

    Attributes:
        kind: of the elements.
        start: the address of the first column's.
        stride: from one column to the next, as text; "0" if all are the same.
        varying: (index statement, bound, stride) triples that differ from column to column.
    """

    kind: Kind
    start: str
    stride: str
    varying: Sequence[tuple[Statement, str, str]]


class Memory:
    """What a function is given: buffers and numbers.

    Args:
        code: the function's.
        shared: whether threads share its work; else pointers are its arguments.
        open: whether its text leaves numbers open.

    Attributes:
        buffers: the registers of buffers' addresses, in the order of the arguments.
        numbers: those that it reads.
        size: of a size, a stride or an offset, how it is read.
    """

    def __init__(self, code: Code, shared: bool, open: bool) -> None:
        self.code, self.shared = code, shared
        self.one = Ops(code)
        self.buffers: dict[Buffer, str] = {}
        self.numbers = Numbers(open)
        self.size = self.numbers.size
        self._slices: dict[Buffer, str] = {}

    def pointer(self, buffer: Buffer) -> str:
        found = self.buffers.get(buffer)
        if found is None:
            found = self.buffers[buffer] = f"%b{len(self.buffers)}"
            if self.shared and buffer.kind == "scratch":
                self._slices[buffer] = self.size(slice_bytes(buffer))
        return found

    def parameters(self) -> str:
        """The arguments of a function that threads don't share."""
        names = [*(["%numbers"] if self.numbers.open else []), *self.buffers.values()]
        return ", ".join(f"ptr {name}" for name in names)

    def prologue(self) -> list[str]:
        """The lines that read the numbers, and a shared function's context."""
        if not self.shared:
            return self.numbers.prologue
        lines = [*read("%numbers", 1), *self.numbers.prologue]
        for i, (buffer, name) in enumerate(self.buffers.items(), 2):
            if buffer.kind != "scratch":
                lines += read(name, i)
                continue
            lines += [*read(f"{name}.all", i),  # of which each piece has a part
                      f"{name}.skip = mul i64 %piece, {self._slices[buffer]}",
                      f"{name} = getelementptr i8, ptr {name}.all, i64 {name}.skip"]
        return lines

    # --- addresses ----------------------------------------------------------------------------

    def linear(self, offset: int, strides: Sequence[int], counters: Sequence[str]) -> str:
        """offset + sum of strides * counters."""
        total = self.size(offset)
        for d, (stride, counter) in enumerate(zip(strides, counters, strict=False)):
            if stride and counter != "0":
                part = counter if stride == 1 else self.code.let(
                    f"mul i64 {counter}, {self.size(stride, d)}")
                total = part if total == "0" else self.code.let(f"add i64 {total}, {part}")
        return total

    def place(self, at: Access, indirect: Sequence[tuple[Statement, int, int]],
              counters: Sequence[str], row_values: dict[Statement, str]) -> Place:
        """Where a statement's elements lie in a row, given the row loops' variables and the
        values that are the same in all columns."""
        kind = KINDS[at.buffer.dtype]
        position = self.linear(at.offset, at.strides, counters)
        varying = []
        for index, bound, stride in indirect:
            if index in row_values:
                found = self.index(self.one, row_values[index], kind_of(index), self.size(bound))
                part = self.code.let(f"mul i64 {found}, {self.size(stride)}")
                position = self.code.let(f"add i64 {position}, {part}")
            else:
                varying.append((index, self.size(bound), self.size(stride)))
        start = self.pointer(at.buffer)
        if position != "0":
            start = self.code.let(f"getelementptr {kind.memory}, ptr {start}, i64 {position}")
        across = self.size(column_stride(at.strides, len(counters)), "column")
        return Place(kind, start, across, varying)

    def index(self, o: Ops, value: str, kind: Kind, bound: str) -> str:
        """An index counted from the front, 0 in place of one that is out of bounds."""
        value = o.cast(value, kind, I64)
        bound = o.splat(I64, bound)
        negative = o.compare("slt", I64, value, o.number(I64, 0))
        counted = o.select(I64, negative, o.binary("add", I64, value, bound), value)
        bad = o.compare("uge", I64, counted, bound)
        o.fail(bad, OUT_OF_RANGE)
        return o.select(I64, bad, o.number(I64, 0), counted)

    def _positions(self, o: Ops, place: Place, column: str, indices: Sequence[str]) -> str:
        """Each lane's place counted from the row's start."""
        total = o.number(I64, 0)
        if place.stride != "0":
            columns = o.binary("add", I64, o.splat(I64, column), o.steps())
            total = o.binary("mul", I64, columns, o.splat(I64, place.stride))
        for value, (index, bound, stride) in zip(indices, place.varying, strict=True):
            found = self.index(o, value, kind_of(index), bound)
            part = o.binary("mul", I64, found, o.splat(I64, stride))
            total = o.binary("add", I64, total, part)
        return total

    def _address(self, o: Ops, place: Place, column: str, indices: Sequence[str]) -> str:
        """The address, or a vector of addresses where elements don't lie side by side."""
        if not place.varying and (place.stride == "1" or o.lanes == 1):
            if place.stride == "0" or column == "0":
                return place.start
            position = column if place.stride == "1" else self.code.let(
                f"mul i64 {column}, {place.stride}")
        else:
            position = self._positions(o, place, column, indices)
            if o.lanes > 1:
                return self.code.let(f"getelementptr {place.kind.memory}, ptr {place.start}, "
                                     f"{o.type('i64')} {position}")
        return self.code.let(
            f"getelementptr {place.kind.memory}, ptr {place.start}, i64 {position}")

    # --- loads and stores ---------------------------------------------------------------------

    def load(self, o: Ops, place: Place, column: str = "0", indices: Sequence[str] = ()) -> str:
        """Elements from a column on."""
        kind, type = place.kind, o.type(place.kind.memory)
        if o.lanes > 1 and place.stride == "0" and not place.varying:
            return o.splat(kind, self.load(self.one, place))
        address = self._address(o, place, column, indices)
        side_by_side = _side_by_side(o, place)
        if side_by_side and o.mask is None:
            found = o.let(f"load {type}, ptr {address}, align {kind.size}")
        else:
            name, pointers = _masked("load" if side_by_side else "gather", o, kind)
            found = o.let(f"call {type} @{name}({pointers} {address}, i32 {kind.size}, "
                          f"{_mask(o)}, {type} zeroinitializer)")
        return found if kind is not BOOL else o.let(f"trunc {type} {found} to {o.type('i1')}")

    def store(self, o: Ops, place: Place, value: str, column: str = "0",
              indices: Sequence[str] = ()) -> None:
        """Elements from a column on; where places coincide, the last one's stays."""
        kind, type = place.kind, o.type(place.kind.memory)
        if kind is BOOL:
            value = o.let(f"zext {o.type('i1')} {value} to {type}")
        address = self._address(o, place, column, indices)
        side_by_side = _side_by_side(o, place)
        if side_by_side and o.mask is None:
            self.code.do(f"store {type} {value}, ptr {address}, align {kind.size}")
        else:
            name, pointers = _masked("store" if side_by_side else "scatter", o, kind)
            self.code.do(f"call void @{name}({type} {value}, {pointers} {address}, "
                         f"i32 {kind.size}, {_mask(o)})")


def read(name: str, i: int) -> list[str]:
    """The lines that read an address from a shared function's context."""
    return [f"{name}.at = getelementptr i64, ptr %context, i64 {i}",
            f"{name} = load ptr, ptr {name}.at"]


def _side_by_side(o: Ops, place: Place) -> bool:
    return o.lanes == 1 or (place.stride == "1" and not place.varying)


def _masked(what: str, o: Ops, kind: Kind) -> tuple[str, str]:
    """The name of an intrinsic that reads or writes some lanes, and the type of its addresses."""
    vector = f"v{o.lanes}{f'f{kind.bits}' if kind.sort == 'f' else kind.memory}"
    if what in ("load", "store"):
        return f"llvm.masked.{what}.{vector}.p0", "ptr"
    return f"llvm.masked.{what}.{vector}.v{o.lanes}p0", f"<{o.lanes} x ptr>"


def _mask(o: Ops) -> str:
    return f"{o.type('i1')} {o.mask or o.number(BOOL, True)}"


def column_stride(strides: Sequence[int], rows: int) -> int:
    """The stride along the columns, of strides along that many row loops and then these."""
    return strides[rows] if len(strides) > rows else 0


def kind_of(statement: Statement) -> Kind:
    """The kind of a statement's value."""
    return KINDS[statement.dtype]  # type: ignore[union-attr]


def slice_bytes(buffer: Buffer) -> int:
    """The bytes of one piece's part of a scratch buffer: whole cache lines, and one more, so that
    parts don't begin at the same place of a page."""
    return -(-buffer.size * buffer.dtype.itemsize // 64) * 64 + 64
