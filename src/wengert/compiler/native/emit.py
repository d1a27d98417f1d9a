"""A plan as native code: one entry, a tree of blocks, in which nests, products and calls follow
one another.

    entry(arena, input 0, input 1, ..., output 0, ...) -> which end was reached, or what failed

Large nests are modules of their own, which all plans share that have such a nest; they run on
several threads (`emit_kernel.py`). Small ones are functions of the entry's module. The text of
both leaves open the numbers that other shapes have otherwise (`emit_numbers.py`), and so does the
entry's: a plan of the same form has the same machine code. Only of tiny nests does LLVM know all
the numbers, and may merge them with what surrounds them.

The arena begins with a table of what text does not hold: the address of the function that
evaluates calls, then the addresses of constants, temporaries and kernels, and all functions'
numbers, in the order in which they were met. Behind it lie the plan's temporaries, and memory that
nests need for themselves.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from ..ir.nest import (
    Branch,
    Buffer,
    Call,
    Choose,
    Contraction,
    Leave,
    Matrix,
    Nest,
    Plan,
    Product,
    Repeat,
    Step,
    Unwind,
    touched,
)
from ..ir.records import equal_record
from ..tiling import Tiling
from . import blas, engine, entry, pool
from .emit_code import I32, KINDS, Code, literal
from .emit_elementary import Definitions
from .emit_kernel import Kernel, of_contraction, of_nest
from .emit_memory import read
from .emit_nest import NestFunction
from .emit_numbers import Numbers
from .emit_product import PARALLEL, arguments, nest_of, nests_of, parts, routine, tiled
from .emit_repeat import SMALL as ON_STACK, RepeatCode, nbytes, words_of
from .emit_share import Share, Task
from .emit_straight import LEVEL, cut, is_long
from .emit_unbounded import OpenCode, UnwindCode
from .emit_work import LONG, work

CALL_FAILED, MISS = -4, -16
"""What an entry returns if a call raised an exception; and, less the look's number, if a look's
answer has no case. (`emit_scalar` has the codes of what fails in a nest.)"""

RAISED = -6
"""What the code is if Python has raised an exception, which goes on from there."""

SMALL = 4096
"""Elements up to which a nest is part of the entry's module."""

TINY = 64
"""Elements up to which it may be merged with what surrounds it, all its numbers being known; in
plans that take long, what is done once is merged no further than `LEAST`."""

LEAST = 8

_ALIGN = 64  # bytes to which parts of the arena are aligned


@equal_record
class Room:
    """A word of the table: the address so many bytes behind the table."""

    offset: int


Word = int | np.ndarray | Room
"""A word of the table: a number, or the address of an array or of memory in the arena."""


@equal_record
class Emitted:
    """What is needed to run a plan.

    Attributes:
        library: holds the machine code.
        address: of the entry.
        arena: the bytes that it needs behind the table.
        table: what the arena begins with; the first word is for the function that evaluates calls.
        calls: the steps that Python evaluates, by the number that the function is given.
    """

    library: object
    address: int
    arena: int
    table: tuple[Word, ...]
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
        once: in a plan that takes long, the steps that are not in loops.
        table: what the arena begins with.
        end: where the memory behind it ends.
    """

    def __init__(self, plan: Plan, workers: int) -> None:
        self.plan, self.workers, self.bits = plan, workers, engine.vector_bits()
        self.definitions = Definitions()
        self.code = Code(self.definitions)
        self.begin: list[str] = []
        self.functions: dict[str, str] = {}
        self.globals: dict[str, str] = {}
        self.symbols: dict[str, int] = {}
        self.kernels: list[Kernel] = []
        self.calls: list[Call] = []
        self.heaps: list[str] = []
        self.pointers: dict[Buffer, str] = {}
        self.places: dict[Buffer, Buffer] = {}
        self.level = engine.LEVEL
        self.long = sum(map(work, _steps(plan))) > LONG
        self.once = frozenset(_steps(plan)) if self.long else frozenset()
        self.table: list[Word] = [0]
        self.base = self.end = _aligned(plan.arena)

    def emitted(self) -> Emitted:
        """The plan's machine code."""
        self._blocks()
        functions = [text.replace("@(", f"{name}(", 1) for text, name in self.functions.items()]
        text = "\n".join([*self.globals.values(), *self._entry(), *functions,
                          *self.definitions.texts.values()])
        library = engine.compile_module(text, symbols=self.symbols, level=self.level)
        return Emitted((library, *self.kernels), library.address("entry"), self.end,
                       tuple(self.table), tuple(self.calls))

    # --- the entry ----------------------------------------------------------------------------

    def _entry(self) -> list[str]:
        """The text of the entry: reads its arguments' addresses, does the plan, and leaves."""
        begin, end = self._alone()
        if self.long:
            begin.append(f"%state = call ptr {self._external('PyEval_SaveThread', 'ptr', '')}()")
            end.append(f"call void {self._external('PyEval_RestoreThread', 'void', 'ptr')}"
                       "(ptr %state)")
        for number, heap in enumerate(self.heaps):
            free = self.definitions.declare("free", "void", "ptr")
            begin.append(f"store ptr null, ptr {heap}")
            end += [f"%heap{number} = load ptr, ptr {heap}",
                    f"call void {free}(ptr %heap{number})"]
        make = self._external("PyLong_FromLongLong", "ptr", "i64")
        count = 1 + len(self.plan.inputs) + len(self.plan.outputs)
        return [
            "define ptr @entry(ptr %self, ptr %arguments, i64 %count) nounwind {", "entry:",
            "%code = alloca i64", *self.code.top, f"%right = icmp eq i64 %count, {count}",
            f"store i64 {entry.WRONG_ARGUMENTS}, ptr %code",
            "br i1 %right, label %begin, label %end", "begin:", *self._arguments(), *self.begin,
            *begin, "br label %start", "start:", *self.code.lines,
            "leave:", *end, "br label %end",
            "end:", "%found = load i64, ptr %code",
            f"%raised = icmp eq i64 %found, {RAISED}", "br i1 %raised, label %raise, label %give",
            "raise:", "ret ptr null",
            "give:", f"%object = call ptr {make}(i64 %found)", "ret ptr %object", "}"]

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
        """The addresses of the numbers of the arena, the inputs and the outputs; out with
        `WRONG_ARGUMENTS`, which is the code as yet, if an input isn't dense."""
        lines = []
        names = ["%arena", *map(self.pointer, (*self.plan.inputs, *self.plan.outputs))]
        for i, name in enumerate(names):
            lines += [f"{name}.at = getelementptr ptr, ptr %arguments, i64 {i}",
                      f"{name}.object = load ptr, ptr {name}.at",
                      f"{name}.data = getelementptr i8, ptr {name}.object, i64 {entry.DATA}",
                      f"{name} = load ptr, ptr {name}.data"]
        flags = str(entry.DENSE)
        for name in map(self.pointer, self.plan.inputs):
            lines += [f"{name}.place = getelementptr i8, ptr {name}.object, i64 {entry.FLAGS}",
                      f"{name}.flags = load i32, ptr {name}.place",
                      f"{name}.common = and i32 {name}.flags, {flags}"]
            flags = f"{name}.common"
        return [*lines, f"%dense = icmp eq i32 {flags}, {entry.DENSE}",
                "br i1 %dense, label %laid, label %end", "laid:"]

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
        if buffer.array is not None:
            return self._word("ptr", buffer.array)
        if buffer.kind == "temporary" and nbytes(buffer) <= self._on_stack(buffer):
            return self.code.variable("i64", words_of(buffer))
        place, around = buffer.offset, self.places.get(buffer)
        while around is not None:
            place, around = place + around.offset, self.places.get(around)
        return self._word("ptr", Room(place))

    def _on_stack(self, buffer: Buffer) -> int:
        """How large a temporary is at most that is kept in the function's own memory."""
        return ON_STACK if not self.long or buffer in self.places else 8 * LEAST

    def _word(self, type: str, *words: Word) -> str:
        """The first of some new words of the table; of type "", its address."""
        name = self.code.name()
        at = f"{name}.at" if type else name
        self.begin.append(f"{at} = getelementptr i64, ptr %arena, i64 {len(self.table)}")
        if type:
            self.begin.append(f"{name} = load {type}, ptr {at}")
        self.table += words
        return name

    def number(self, value: int) -> str:
        """A number that other plans of this form may have otherwise."""
        return self._word("i64", value)

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

    def leave_if(self, condition: str, code: str) -> None:
        """Ends the entry with a code if a condition holds."""
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
        """Writes what a step does."""
        found = tiled(step, self.bits) if isinstance(step, (Product, Contraction)) else None
        if isinstance(step, Call):
            self._call(step)
        elif isinstance(step, Repeat):
            self._repeat(step)
        elif isinstance(step, Unwind):
            self._unwind(step)
        elif isinstance(step, Choose):
            self._choose(step)
        elif found:
            self._contraction(*found)
        elif isinstance(step, Product) and routine(step):
            self._product(step)
        else:
            nests = [step] if isinstance(step, Nest) else (
                [nest_of(step)] if isinstance(step, Product) else nests_of(step))
            for nest in nests:
                self._nest(nest, LEAST if step in self.once else TINY)

    def _repeat(self, repeat: Repeat) -> None:
        self._settle(repeat.body, repeat.arena)
        (OpenCode if repeat.count is None else RepeatCode)(self, repeat)

    def _unwind(self, unwind: Unwind) -> None:
        for each in (unwind.forth, unwind.back):
            self._settle(each.body, each.arena)
        UnwindCode(self, unwind)

    def _choose(self, step: Choose) -> None:
        labels = [self.code.name() for _ in step.plans]
        after, flag = self.code.name(), self.code.let(f"load i8, ptr {self.pointer(step.which)}")
        holds = self.code.let(f"icmp ne i8 {flag}, 0")
        self.code.do(f"br i1 {holds}, label {labels[0]}, label {labels[1]}")
        for plan, label in zip(step.plans, labels, strict=True):
            self._settle(plan, step.arena)
            self.pointers.update(zip((*plan.inputs, *plan.outputs),
                                     map(self.pointer, (*step.inputs, *step.outputs)),
                                     strict=True))
            self.code.label(label)
            for each in plan.body.steps:
                self.step(each)
            self.code.do(f"br label {after}")
        self.code.label(after)

    def _settle(self, body: Plan, arena: Buffer) -> None:
        """Has the temporaries of a body lie in an arena."""
        for buffer in _temporaries(body):
            self.places[buffer] = arena

    def look_up(self) -> None:
        """Has Python run what signals ask for (Ctrl-C, say), as it does now and then; ends the
        entry if that raises an exception. For where other threads may run Python meanwhile."""
        back, check, save = (self._external(name, *types) for name, types in (
            ("PyEval_RestoreThread", ("void", "ptr")), ("PyErr_CheckSignals", ("i32", "")),
            ("PyEval_SaveThread", ("ptr", ""))))
        self.code.do(f"call void {back}(ptr %state)")
        found = self.code.let(f"call i32 {check}()")
        self.code.do(f"call ptr {save}()")
        self.leave_if(self.code.let(f"icmp ne i32 {found}, 0"), str(RAISED))

    def heap(self) -> str:
        """A variable with an address, null at first, of memory that is freed in the end."""
        self.heaps.append(self.code.variable("ptr"))
        return self.heaps[-1]

    def _nest(self, nest: Nest, tiny: int) -> None:
        """A nest, whose numbers are all known if it has no more elements than are tiny."""
        if is_long(nest):
            parts, end = cut(nest, self.base)
            self.end, self.level = max(self.end, end), LEVEL
            for part in parts:
                self._small(part, "noinline")
            return
        share = Share(nest, self.workers if elements(nest) > SMALL else 1, self.base)
        self.end = max(self.end, share.end)
        for task in share.tasks:
            if elements(task.nest) > SMALL:
                self._large(task)
            elif elements(task.nest) > tiny:
                self._small(task.nest, "noinline", open=True)
            else:
                self._small(task.nest)

    def _small(self, nest: Nest, attributes: str = "", *, open: bool = False) -> None:
        function = NestFunction(nest, self.definitions, self.bits, open=open)
        text = function.text("@", attributes)
        name = self.functions.setdefault(text, f"@nest{len(self.functions)}")
        words = function.memory.numbers.words
        given = [*([self._word("", *words)] if open else []),
                 *map(self.pointer, function.memory.buffers)]
        status = self.code.let(f"call i64 {name}({', '.join(f'ptr {p}' for p in given)})")
        if function.code.fails:
            self.leave_if(self.code.let(f"icmp ne i64 {status}, 0"), status)

    def _large(self, task: Task) -> None:
        """A nest of a module of its own, by way of a context in memory."""
        kernel = of_nest(task.nest, task.split)
        context = self._kernel(kernel, list(map(self.pointer, kernel.buffers)), task.pieces)
        if kernel.fails:
            status = self.code.let(f"load i64, ptr {context}")
            self.leave_if(self.code.let(f"icmp ne i64 {status}, 0"), status)

    def _kernel(self, kernel: Kernel, pointers: Sequence[str], pieces: int) -> str:
        """Has a kernel done in so many pieces; its context."""
        self.kernels.append(kernel)
        return self._turn_over(self._word("ptr", kernel.address), kernel.words, pointers, pieces)

    def _turn_over(self, name: str, words: Sequence[int], pointers: Sequence[str],
                   pieces: int) -> str:
        """Calls a function that can be done in pieces, with its context, which it gives."""
        context = self._context(words, pointers)
        if pieces > 1:
            parallel = self._external("wengert_parallel", "void", "ptr, ptr, i64")
            self.code.do(f"call void {parallel}(ptr {name}, ptr {context}, i64 {pieces})")
        else:
            self.code.do(f"call void {name}(i64 0, i64 1, ptr {context})")
        return context

    def _context(self, words: Sequence[int], pointers: Sequence[str]) -> str:
        """Memory with a status of 0, and addresses."""
        context = self.code.variable("i64", 2 + len(pointers))
        values = ["i64 0", *(f"ptr {p}" for p in (self._word("", *words), *pointers))]
        for i, value in enumerate(values):
            place = self.code.let(f"getelementptr i64, ptr {context}, i64 {i}")
            self.code.do(f"store {value}, ptr {place}")
        return context

    def _contraction(self, c: Contraction, how: Tiling) -> None:
        """A contraction by tiles, on several threads if it is large."""
        threads = self.workers > 1 and math.prod(c.sizes) >= PARALLEL
        kernel = of_contraction(c, how, threads)
        pointers = [self._element(at.buffer, at.offset) for at in (c.a, c.b, c.out)]
        self._kernel(kernel, pointers, min(self.workers, kernel.units) if threads else 1)

    def _element(self, buffer: Buffer, offset: int) -> str:
        """The address of one of a buffer's numbers."""
        pointer = self.pointer(buffer)
        return _place(self.code, buffer, pointer, self.number(offset)) if offset else pointer

    def _product(self, product: Product) -> None:
        """A product by the BLAS: here and now, or in parts on several threads."""
        found = parts(product, self.workers if blas.thread_functions() else 1)
        text, words = self._parts(found)
        name = self.functions.setdefault(text, f"@nest{len(self.functions)}")
        self._turn_over(name, words, [self.pointer(b) for b in _operands(product)], len(found))

    def _parts(self, products: Sequence[Product]) -> tuple[str, list[int]]:
        """A function for the pool that does one of several products, and its numbers."""
        code, numbers = Code(self.definitions), Numbers()
        for piece, product in enumerate(products):
            mine, others = code.name(), code.name()
            chosen = code.let(f"icmp eq i64 %piece, {piece}")
            code.do(f"br i1 {chosen}, label {mine}, label {others}")
            code.label(mine)
            self._blas(code, numbers, product)
            code.do("ret void")
            code.label(others)
        head = "define internal void @(i64 %piece, i64 %pieces, ptr %context) nounwind {"
        given = [line for i, name in enumerate(("%numbers", "%a", "%b", "%out"), 1)
                 for line in read(name, i)]
        text = "\n".join([head, "entry:", *code.top, *given, *numbers.prologue, "br label %start",
                          "start:", *code.lines, "ret void", "}", ""])
        return text, numbers.words

    def _blas(self, code: Code, numbers: Numbers, product: Product) -> None:
        """Calls of the BLAS, whose arguments all are addresses."""
        given, name, kind = arguments(product), routine(product), KINDS[product.out.buffer.dtype]
        flags = [self._global("i8", str(ord(flag))) for flag in given.flags]
        sizes = [numbers.where(I32, size) for size in given.sizes]
        first, second, out = (numbers.where(I32, step) for step in given.steps)
        one, more = (self._global(kind.text, literal(kind, number))
                     for number in (1, int(product.accumulate)))
        own = dict(zip(_operands(product), ("%a", "%b", "%out"), strict=True))
        with code.loop("0", numbers.size(product.count)) as i:
            a, b, c = (_matrix_at(code, numbers, x, own[x.buffer], i)
                       for x in (given.first, given.second, given.out))
            if name.endswith("gemv") and not product.accumulate:
                size = numbers.size(product.m * product.n * kind.size)
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
        self.leave_if(self.code.let(f"icmp ne i64 {found}, 0"), str(CALL_FAILED))


def _operands(product: Product) -> tuple[Buffer, Buffer, Buffer]:
    return product.a.buffer, product.b.buffer, product.out.buffer


def _matrix_at(code: Code, numbers: Numbers, matrix: Matrix, pointer: str, number: str) -> str:
    """The address of one of several matrices."""
    skip = code.let(f"mul i64 {number}, {numbers.size(matrix.batch)}")
    place = code.let(f"add i64 {skip}, {numbers.size(matrix.offset)}")
    return _place(code, matrix.buffer, pointer, place)


def _place(code: Code, buffer: Buffer, pointer: str, place: str | int) -> str:
    """The address of one of a buffer's numbers."""
    return code.let(f"getelementptr {KINDS[buffer.dtype].memory}, ptr {pointer}, i64 {place}")


def elements(nest: Nest) -> int:
    """How often the innermost loop turns."""
    return math.prod(nest.rows) * (nest.cols if any(s.sweep for s in nest.stages) else 1)


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
        for body in _bodies(step):
            yield from _all_steps(body)


def _bodies(step: Step) -> tuple[Plan, ...]:
    """The plans within a step."""
    if isinstance(step, Repeat):
        return (step.body,)
    if isinstance(step, Unwind):
        return step.forth.body, step.back.body
    return step.plans if isinstance(step, Choose) else ()


def _temporaries(plan: Plan) -> list[Buffer]:
    """The temporaries of a loop's body, but for those of loops in it."""
    return [b for step in _steps(plan) for each in touched(step) for b in each
            if b.kind == "temporary"]


def _bytes_text(data: bytes) -> str:
    """Bytes as LLVM writes them."""
    return 'c"' + "".join(f"\\{byte:02X}" for byte in data) + '"'


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
