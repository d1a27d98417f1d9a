"""A plan as native code: one entry, a tree of blocks, in which nests, products and calls follow
one another.

    entry(arena, input 0, input 1, ..., output 0, ...) -> which end was reached, or what failed

Large nests are modules of their own, whose text holds no sizes, so that plans share their machine
code; they run on several threads. Small ones are functions of the entry's module, where LLVM
knows all their numbers and may merge them with what surrounds them.

The arena begins with a table of addresses that text must not hold: of the function that evaluates
calls, and of large constants. Then come the plan's temporaries, and memory that nests need for
themselves.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from ..nest import (
    Branch,
    Buffer,
    Call,
    Contraction,
    Leave,
    Matrix,
    Nest,
    Plan,
    Product,
    Repeat,
    Step,
    touched,
)
from ..tiling import Tiling
from . import blas, engine, entry, pool
from .emit_code import KINDS, Code, literal
from .emit_contraction import ContractionFunction
from .emit_elementary import Definitions
from .emit_nest import NestFunction
from .emit_product import PARALLEL, arguments, nest_of, nests_of, parts, routine, tiled
from .emit_repeat import SMALL as ON_STACK, RepeatCode, nbytes
from .emit_share import Share, Task, work_of
from .emit_straight import LEVEL, cut, is_long

CALL_FAILED, MISS = -4, -16
"""What an entry returns if a call raised an exception; and, less the look's number, if a look's
answer has no case. (`emit_scalar` has the codes of what fails in a nest.)"""

SMALL = 4096
"""Elements up to which a nest is part of the entry's module."""

TINY = 64
"""Elements up to which it may be merged with what surrounds it."""

LONG = 200_000
"""The work from which on other threads may run Python meanwhile."""

_ALIGN = 64  # bytes to which parts of the arena are aligned
_DATA = object.__basicsize__  # where an array has the address of its numbers
_INLINE_CONSTANT = 1024  # bytes up to which a constant is part of the text


@dataclasses.dataclass(frozen=True, slots=True)
class Emitted:
    """What is needed to run a plan.

    Attributes:
        library: holds the machine code.
        address: of the entry.
        arena: the bytes that it needs.
        constants: whose addresses the table holds, after that of the function for calls.
        calls: the steps that Python evaluates, by the number that the function is given.
    """

    library: object
    address: int
    arena: int
    constants: tuple[np.ndarray, ...]
    calls: tuple[Call, ...]


def emit(plan: Plan, workers: int) -> Emitted:
    """Machine code for a plan, whose large nests are cut for so many threads."""
    return Emitter(plan, workers).emitted()


class Emitter:
    """Writes the entry's module.

    Attributes:
        code: of the plan's blocks.
        begin: of the addresses that they need.
        functions: of small nests: their names by their text, so that equal ones are one.
        places: by temporary of a loop's body, the memory that it lies in.
        end: where the arena ends.
    """

    def __init__(self, plan: Plan, workers: int) -> None:
        self.plan, self.workers, self.bits = plan, workers, engine.vector_bits()
        self.definitions = Definitions()
        self.code = Code(self.definitions)
        self.begin: list[str] = []
        self.functions: dict[str, str] = {}
        self.globals: dict[str, str] = {}
        self.symbols: dict[str, int] = {}
        self.libraries: list[engine.Library] = []
        self.calls: list[Call] = []
        self.pointers: dict[Buffer, str] = {}
        self.places: dict[Buffer, Buffer] = {}
        self.level = engine.LEVEL
        self.table = _large_constants(plan)
        self.header = _aligned(8 * (1 + len(self.table)))
        self.base = self.end = self.header + _aligned(plan.arena)

    def emitted(self) -> Emitted:
        """The plan's machine code."""
        self._blocks()
        functions = [text.replace("@(", f"{name}(", 1) for text, name in self.functions.items()]
        text = "\n".join([*self.globals.values(), *self._entry(), *functions,
                          *self.definitions.texts.values()])
        library = engine.compile_module(text, symbols=self.symbols, level=self.level)
        return Emitted((library, *self.libraries), library.address("entry"), self.end,
                       tuple(b.array for b in self.table if b.array is not None),
                       tuple(self.calls))

    # --- the entry ----------------------------------------------------------------------------

    def _entry(self) -> list[str]:
        """The text of the entry: reads its arguments' addresses, does the plan, and leaves."""
        begin, end = self._alone()
        if sum(map(_work, _steps(self.plan))) > LONG:
            begin.append(f"%state = call ptr {self._external('PyEval_SaveThread', 'ptr', '')}()")
            end.append(f"call void {self._external('PyEval_RestoreThread', 'void', 'ptr')}"
                       "(ptr %state)")
        make = self._external("PyLong_FromLongLong", "ptr", "i64")
        count = 1 + len(self.plan.inputs) + len(self.plan.outputs)
        return [
            "define ptr @entry(ptr %self, ptr %arguments, i64 %count) nounwind {", "entry:",
            "%code = alloca i64", *self.code.top, f"%right = icmp eq i64 %count, {count}",
            f"store i64 {entry.WRONG_ARGUMENTS}, ptr %code",
            "br i1 %right, label %begin, label %end", "begin:", *self._arguments(), *self.begin,
            *begin, "br label %start", "start:", *self.code.lines,
            "leave:", *end, "br label %end",
            "end:", "%found = load i64, ptr %code", f"%object = call ptr {make}(i64 %found)",
            "ret ptr %object", "}"]

    def _alone(self) -> tuple[list[str], list[str]]:
        """What has the BLAS do without threads of its own while the plan runs. Who finds it so
        leaves it so: another thread that runs a plan will give them back."""
        products = any(isinstance(step, Product) and routine(step)
                       for step in _all_steps(self.plan))
        if not products or not blas.thread_functions():
            return [], []
        get, change = (self._external(name, *types) for name, types in (
            (blas.GET_THREADS, ("i32", "")), (blas.SET_THREADS, ("void", "i32"))))
        return ([f"%threads = call i32 {get}()", "%several = icmp ne i32 %threads, 1",
                 "br i1 %several, label %calm, label %calmed", "calm:",
                 f"call void {change}(i32 1)", "br label %calmed", "calmed:"],
                ["br i1 %several, label %rouse, label %roused", "rouse:",
                 f"call void {change}(i32 %threads)", "br label %roused", "roused:"])

    def _arguments(self) -> list[str]:
        """The addresses of the numbers of the arena, the inputs and the outputs."""
        lines = []
        names = ["%arena", *map(self.pointer, (*self.plan.inputs, *self.plan.outputs))]
        for i, name in enumerate(names):
            lines += [f"{name}.at = getelementptr ptr, ptr %arguments, i64 {i}",
                      f"{name}.object = load ptr, ptr {name}.at",
                      f"{name}.data = getelementptr i8, ptr {name}.object, i64 {_DATA}",
                      f"{name} = load ptr, ptr {name}.data"]
        return lines

    def _external(self, name: str, result: str, operands: str) -> str:
        """A function of this process."""
        room = entry if name.startswith("Py") else pool if name.startswith("w") else blas
        self.symbols[name] = room.symbols()[name]
        return self.definitions.declare(name, result, operands)

    def pointer(self, buffer: Buffer) -> str:
        """The address of a buffer's numbers."""
        found = self.pointers.get(buffer)
        if found is None:
            found = self.pointers[buffer] = self._address(buffer)
        return found

    def _address(self, buffer: Buffer) -> str:
        if buffer.kind in ("input", "output"):
            return f"%{buffer.kind}{buffer.number}"
        if buffer.array is not None and buffer not in self.table:
            return self._global(f"[{buffer.array.nbytes} x i8]", _bytes_text(buffer.array))
        if buffer.kind == "temporary" and nbytes(buffer) <= ON_STACK:
            return self.code.variable("i64", max(2, -(-nbytes(buffer) // 8)))
        name = self.code.name()
        if buffer.kind == "constant":
            place = 8 * (1 + self.table.index(buffer))
            self.begin += [f"{name}.at = getelementptr i8, ptr %arena, i64 {place}",
                           f"{name} = load ptr, ptr {name}.at"]
        else:
            place = buffer.offset + self.header
            around = self.places.get(buffer)
            while around is not None:
                place, around = place + around.offset, self.places.get(around)
            self.begin.append(f"{name} = getelementptr i8, ptr %arena, i64 {place}")
        return name

    def _global(self, type: str, value: str) -> str:
        """The address of something that never changes."""
        key = f"{type} {value}"
        if key not in self.globals:
            name = f"@constant{len(self.globals)}"
            self.globals[key] = f"{name} = internal constant {key}, align 64"
        return self.globals[key].partition(" ")[0]

    # --- blocks -------------------------------------------------------------------------------

    def _blocks(self) -> None:
        """All blocks, each with a label of its own."""
        todo = [(self.plan.body, "")]
        while todo:
            block, label = todo.pop()
            if label:
                self.code.label(label)
            for step in block.steps:
                self.step(step)
            if isinstance(block.end, Leave):
                self._leave(str(block.end.number))
            else:
                cases = [(answer, case, self.code.name())
                         for answer, case in block.end.cases.items()]
                self._branch(block.end, [(answer, name) for answer, _, name in cases])
                todo.extend((case, name) for _, case, name in cases)

    def _leave(self, code: str) -> None:
        self.code.do(f"store i64 {code}, ptr %code")
        self.code.do("br label %leave")

    def _leave_if(self, condition: str, code: str) -> None:
        with self.code.leaving(condition):
            self._leave(code)

    def _branch(self, end: Branch, cases: Sequence[tuple[bytes, str]]) -> None:
        """On to the case with a buffer's bytes; out if there is none."""
        buffer, none = self.pointer(end.buffer), self.code.name()
        size = end.buffer.size * end.buffer.dtype.itemsize
        if size in (1, 2, 4, 8):
            type = f"i{8 * size}"
            value = self.code.let(f"load {type}, ptr {buffer}, align 1")
            targets = " ".join(f"{type} {int.from_bytes(answer, sys.byteorder)}, label {label}"
                               for answer, label in cases)
            self.code.do(f"switch {type} {value}, label {none} [{targets}]")
        else:
            self._compare(buffer, size, cases)
            self.code.do(f"br label {none}")
        self.code.label(none)
        self._leave(str(MISS - end.number))

    def _compare(self, buffer: str, size: int, cases: Sequence[tuple[bytes, str]]) -> None:
        compare = self.definitions.declare("memcmp", "i32", "ptr, ptr, i64")
        for answer, label in cases:
            known = self._global(f"[{size} x i8]", _bytes_text(answer))
            found = self.code.let(f"call i32 {compare}(ptr {buffer}, ptr {known}, i64 {size})")
            same, other = self.code.let(f"icmp eq i32 {found}, 0"), self.code.name()
            self.code.do(f"br i1 {same}, label {label}, label {other}")
            self.code.label(other)

    # --- steps --------------------------------------------------------------------------------

    def step(self, step: Step) -> None:
        found = None if isinstance(step, (Nest, Call, Repeat)) else tiled(step, self.bits)
        if isinstance(step, Call):
            self._call(step)
        elif isinstance(step, Repeat):
            self._repeat(step)
        elif found:
            self._contraction(*found)
        elif isinstance(step, Product) and routine(step):
            self._product(step)
        else:
            nests = [step] if isinstance(step, Nest) else (
                [nest_of(step)] if isinstance(step, Product) else nests_of(step))
            for nest in nests:
                self._nest(nest)

    def _repeat(self, repeat: Repeat) -> None:
        for buffer in _temporaries(repeat.body):
            self.places[buffer] = repeat.arena
        RepeatCode(self, repeat)

    def _nest(self, nest: Nest) -> None:
        if is_long(nest):
            parts, end = cut(nest, self.base - self.header)
            self.end, self.level = max(self.end, self.header + end), LEVEL
            for part in parts:
                self._small(part, "noinline")
            return
        share = Share(nest, self.workers, self.base - self.header)
        self.end = max(self.end, self.header + share.end)
        for task in share.tasks:
            if elements(task.nest) <= SMALL:
                self._small(task.nest, "noinline" if elements(task.nest) > TINY else "")
            else:
                self._large(task)

    def _small(self, nest: Nest, attributes: str) -> None:
        function = NestFunction(nest, self.definitions, self.bits)
        text = function.text("@", attributes)
        name = self.functions.setdefault(text, f"@nest{len(self.functions)}")
        given = ", ".join(f"ptr {self.pointer(b)}" for b in function.memory.buffers)
        status = self.code.let(f"call i64 {name}({given})")
        if function.code.fails:
            self._leave_if(self.code.let(f"icmp ne i64 {status}, 0"), status)

    def _large(self, task: Task) -> None:
        """A nest of a module of its own, by way of a context in memory."""
        definitions = Definitions()
        function = NestFunction(task.nest, definitions, self.bits, shared=True, split=task.split)
        name = self._shared(function.text("@nest"), definitions)
        context = self._context([self.pointer(b) for b in function.memory.buffers],
                                function.memory.numbers)
        self._turn_over(name, context, task.pieces)
        if function.code.fails:
            status = self.code.let(f"load i64, ptr {context}")
            self._leave_if(self.code.let(f"icmp ne i64 {status}, 0"), status)

    def _shared(self, text: str, definitions: Definitions) -> str:
        """The name of the function of a module that other plans may have, too."""
        whole = "\n".join([text, *definitions.texts.values()])
        library = engine.compile_module(whole)
        name = f"nest_{hashlib.sha256(whole.encode()).hexdigest()[:24]}"
        self.symbols[name] = library.address("nest")
        self.libraries.append(library)
        return self.definitions.declare(name, "void", "i64, i64, ptr")

    def _context(self, pointers: Sequence[str], numbers: Sequence[int]) -> str:
        """Memory with a status of 0, addresses, and numbers."""
        context = self.code.variable("i64", 1 + len(pointers) + len(numbers))
        values = ["i64 0", *(f"ptr {p}" for p in pointers), *(f"i64 {n}" for n in numbers)]
        for i, value in enumerate(values):
            place = self.code.let(f"getelementptr i64, ptr {context}, i64 {i}")
            self.code.do(f"store {value}, ptr {place}")
        return context

    def _contraction(self, c: Contraction, how: Tiling) -> None:
        """A contraction by tiles, on several threads if it is large."""
        threads = self.workers > 1 and math.prod(c.sizes) >= PARALLEL
        function = ContractionFunction(c, how, threads)
        name = self._shared(function.text("@nest"), function.definitions)
        context = self._context([_place(self.code, at.buffer, self.pointer(at.buffer), at.offset)
                                 for at in (c.a, c.b, c.out)], ())
        self._turn_over(name, context, min(self.workers, function.units) if threads else 1)

    def _turn_over(self, name: str, context: str, pieces: int) -> None:
        """Calls a function that can be done in pieces."""
        if pieces > 1:
            parallel = self._external("wengert_parallel", "void", "ptr, ptr, i64")
            self.code.do(f"call void {parallel}(ptr {name}, ptr {context}, i64 {pieces})")
        else:
            self.code.do(f"call void {name}(i64 0, i64 1, ptr {context})")

    def _product(self, product: Product) -> None:
        """A product by the BLAS: here and now, or in parts on several threads."""
        found = parts(product, self.workers if blas.thread_functions() else 1)
        if len(found) == 1:
            self._blas(self.code, product, [self.pointer(b) for b in _operands(product)])
            return
        text = self._parts(found)
        name = self.functions.setdefault(text, f"@nest{len(self.functions)}")
        context = self._context([self.pointer(b) for b in _operands(product)], ())
        parallel = self._external("wengert_parallel", "void", "ptr, ptr, i64")
        self.code.do(f"call void {parallel}(ptr {name}, ptr {context}, i64 {len(found)})")

    def _parts(self, products: Sequence[Product]) -> str:
        """A function for the pool that does one of several products."""
        code = Code(self.definitions)
        places = [code.let(f"getelementptr i64, ptr %context, i64 {i}") for i in (1, 2, 3)]
        pointers = [code.let(f"load ptr, ptr {place}") for place in places]
        for piece, product in enumerate(products):
            mine, others = code.name(), code.name()
            chosen = code.let(f"icmp eq i64 %piece, {piece}")
            code.do(f"br i1 {chosen}, label {mine}, label {others}")
            code.label(mine)
            self._blas(code, product, pointers)
            code.do("ret void")
            code.label(others)
        head = "define internal void @(i64 %piece, i64 %pieces, ptr %context) nounwind {"
        return "\n".join([head, "entry:", *code.top, "br label %start", "start:", *code.lines,
                          "ret void", "}", ""])

    def _blas(self, code: Code, product: Product, pointers: Sequence[str]) -> None:
        """Calls of the BLAS, whose arguments all are addresses."""
        given, name, kind = arguments(product), routine(product), KINDS[product.out.buffer.dtype]
        flags = [self._global("i8", str(ord(flag))) for flag in given.flags]
        sizes = [self._global("i32", str(size)) for size in given.sizes]
        first, second, out = (self._global("i32", str(step)) for step in given.steps)
        one, more = (self._global(kind.text, literal(kind, number))
                     for number in (1, int(product.accumulate)))
        own = dict(zip(_operands(product), pointers, strict=True))
        with code.loop("0", str(product.count)) as i:
            a, b, c = (_matrix_at(code, x, own[x.buffer], i)
                       for x in (given.first, given.second, given.out))
            if name.endswith("gemv") and not product.accumulate:
                size = product.m * product.n * kind.size
                code.do(f"call void @llvm.memset.p0.i64(ptr {c}, i8 0, i64 {size}, i1 false)")
            each = [*flags, *sizes, one, a, first, b, second, more, c, out]
            function = self._external(name, "void", ", ".join(["ptr"] * len(each)))
            code.do(f"call void {function}({', '.join(f'ptr {x}' for x in each)})")

    def _call(self, call: Call) -> None:
        """Python evaluates a primitive, given the addresses of its operands and results."""
        buffers = (*call.operands, *call.results)
        addresses = self.code.variable("i64", max(2, len(buffers)))
        for i, buffer in enumerate(buffers):
            place = self.code.let(f"getelementptr ptr, ptr {addresses}, i64 {i}")
            self.code.do(f"store ptr {self.pointer(buffer)}, ptr {place}")
        function = self.code.let("load ptr, ptr %arena")
        found = self.code.let(f"call i64 {function}(i64 {len(self.calls)}, ptr {addresses})")
        self.calls.append(call)
        self._leave_if(self.code.let(f"icmp ne i64 {found}, 0"), str(CALL_FAILED))


def _operands(product: Product) -> tuple[Buffer, Buffer, Buffer]:
    return product.a.buffer, product.b.buffer, product.out.buffer


def _matrix_at(code: Code, matrix: Matrix, pointer: str, number: str) -> str:
    """The address of one of several matrices."""
    skip = code.let(f"mul i64 {number}, {matrix.batch}")
    return _place(code, matrix.buffer, pointer, code.let(f"add i64 {skip}, {matrix.offset}"))


def _place(code: Code, buffer: Buffer, pointer: str, place: str | int) -> str:
    """The address of one of a buffer's numbers."""
    return code.let(f"getelementptr {KINDS[buffer.dtype].memory}, ptr {pointer}, i64 {place}")


def elements(nest: Nest) -> int:
    """How often the innermost loop turns."""
    return math.prod(nest.rows) * (nest.cols if any(s.sweep for s in nest.stages) else 1)


def _work(step: Step) -> int:
    if isinstance(step, Nest):
        return work_of(step)
    if isinstance(step, Repeat):
        return step.count * sum(map(_work, step.steps))
    if isinstance(step, Contraction):
        return math.prod(step.sizes) // 4
    return LONG if isinstance(step, Call) else step.count * step.m * step.k * step.n // 4


def _steps(plan: Plan) -> Iterator[Step]:
    """The steps of all blocks."""
    todo = [plan.body]
    while todo:
        block = todo.pop()
        yield from block.steps
        if isinstance(block.end, Branch):
            todo.extend(block.end.cases.values())


def _all_steps(plan: Plan) -> Iterator[Step]:
    """The same, and those of loops' bodies."""
    for step in _steps(plan):
        yield step
        if isinstance(step, Repeat):
            yield from _all_steps(step.body)


def _large_constants(plan: Plan) -> list[Buffer]:
    """Constants that are too large for the text."""
    return list(dict.fromkeys(
        b for step in _all_steps(plan) for b in _buffers(step) if b.kind == "constant"
        and b.array is not None and b.array.nbytes > _INLINE_CONSTANT))


def _temporaries(plan: Plan) -> list[Buffer]:
    """The temporaries of a loop's body, but for those of loops in it."""
    return [b for step in _steps(plan) for each in touched(step) for b in each
            if b.kind == "temporary"]


def _buffers(step: Step) -> Iterator[Buffer]:
    """The memory that a step reads."""
    return iter(touched(step)[0])


def _bytes_text(data: np.ndarray | bytes) -> str:
    """Bytes as LLVM writes them."""
    found = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
    return 'c"' + "".join(f"\\{byte:02X}" for byte in found) + '"'


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
