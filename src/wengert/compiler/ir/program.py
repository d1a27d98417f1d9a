"""Programs: what the compiler works on.

A program is a Wengert list, the applications of primitives that a run of a Python function
consisted of, with a fork wherever Python looked at a number:

    program   = inputs block
    block     = line* end
    line      = value* "=" primitive(operand*; parameters)
    operand   = value | constant
    end       = return operand*
              | look operand: (answer -> block)*

Every value is assigned once, on a line above all its uses or in a block that leads there. Nothing
is ever written over: what wrote into memory is a line with a new value. Programs are immutable; a
pass makes a new one. `verify` checks all this, `print` shows it, `evaluate` runs it with NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...core import halves
from ...core.aval import Aval, aval_of
from ...core.levels import quietly
from ...core.primitive import Primitive
from .records import equal_record


class Value:
    """A result of a line, or an input. Its identity is all there is to it.

    Attributes:
        aval: its shape and dtype.
    """

    __slots__ = ("aval",)

    def __init__(self, aval: Aval) -> None:
        self.aval = aval


class Constant(Value):
    """A value that is known: an array, which nobody writes to."""

    __slots__ = ("array",)

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(aval_of(array))
        self.array = array


class Line:
    """One application of a primitive.

    Attributes:
        primitive: what is applied.
        operands: the values it is applied to.
        params: its parameters.
        results: the values it gives: one, or as many as a primitive with several results has.
    """

    __slots__ = ("operands", "params", "primitive", "results")

    def __init__(self, primitive: Primitive, operands: Sequence[Value],
                 params: Mapping[str, Any], results: Sequence[Value]) -> None:
        self.primitive, self.params = primitive, params
        self.operands, self.results = tuple(operands), tuple(results)

    @property
    def result(self) -> Value:
        """The result of a primitive that has one."""
        (value,) = self.results
        return value

    def on(self, values: Mapping[Value, Value]) -> Line:
        """The line with operands replaced; itself if there is nothing to replace."""
        operands = tuple([values.get(v, v) for v in self.operands])
        if operands == self.operands:
            return self
        return Line(self.primitive, operands, self.params, self.results)


@equal_record
class Return:
    """The end of a block that leaves the program."""

    outputs: tuple[Value, ...]


@equal_record
class Look:
    """The end of a block where Python looked at a number.

    Attributes:
        value: what it looked at.
        cases: how the program goes on, by the answer: `answer(array)` of the value.
    """

    value: Value
    cases: Mapping[Any, Block]


@equal_record
class Block:
    """Lines one after the other, and what comes then."""

    lines: tuple[Line, ...]
    end: Return | Look

    def blocks(self) -> Iterator[Block]:
        """This block and all that follow it."""
        todo = [self]
        while todo:
            block = todo.pop()
            yield block
            if isinstance(block.end, Look):
                todo.extend(reversed(list(block.end.cases.values())))


@equal_record
class Program:
    """See the text of the module.

    Attributes:
        inputs: what the program is given.
        body: the block that it begins with.
    """

    inputs: tuple[Value, ...]
    body: Block

    def __str__(self) -> str:
        return text(self)


def answer(array: np.ndarray) -> Any:
    """What a look at an array saw, to be compared: its number, or the bytes of its numbers."""
    return array.tobytes()


def append(lines: list[Any], primitive: Primitive, operands: Sequence[Value],
           params: Mapping[str, Any], aval: Aval) -> Value:
    """Adds a line with one result, of this aval; that result."""
    result = Value(aval)
    lines.append(Line(primitive, operands, params, (result,)))
    return result


def straight(inputs: Sequence[Value], lines: Iterable[Line],
             outputs: Sequence[Value]) -> Program:
    """A program without looks."""
    return Program(tuple(inputs), Block(tuple(lines), Return(tuple(outputs))))


# --- running ----------------------------------------------------------------------------------


def evaluate(program: Program, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a program, by NumPy: what native code is compared with.

    Raises:
        KeyError: if a look gives an answer that the program has no case for.
    """
    known: dict[Value, np.ndarray] = dict(zip(program.inputs, arrays, strict=True))

    def read(value: Value) -> np.ndarray:
        return value.array if isinstance(value, Constant) else known[value]

    block = program.body
    while True:
        for line in block.lines:
            operands = list(map(read, line.operands))
            found = quietly(halves.evaluate, line.primitive, operands, line.params)
            results = found if line.primitive.multiple else (found,)
            for value, array in zip(line.results, results, strict=True):
                known[value] = np.asarray(array, value.aval.numpy)
        if isinstance(block.end, Return):
            return [read(value) for value in block.end.outputs]
        block = block.end.cases[answer(read(block.end.value))]


# --- checking ---------------------------------------------------------------------------------


class NotAProgramError(AssertionError):
    """A program breaks a rule of the grammar: the pass that made it is at fault."""


def verify(program: Program) -> Program:
    """The program, if it is one.

    Raises:
        NotAProgramError: if a value is used before it is assigned or assigned twice, if a shape
            or dtype is not what the primitive gives, or if a look has no case.
    """
    _verify_block(program.body, set(program.inputs))
    return program


def _verify_block(block: Block, known: set[Value]) -> None:
    todo = [(block, known)]
    while todo:
        block, known = todo.pop()
        for line in block.lines:
            _verify_line(line, known)
        ends = block.end.outputs if isinstance(block.end, Return) else (block.end.value,)
        for value in ends:
            _verify_known(value, known, block.end)
        if isinstance(block.end, Look):
            if not block.end.cases:
                raise NotAProgramError("a look without a case")
            todo.extend((case, set(known)) for case in block.end.cases.values())


def _verify_known(value: Value, known: set[Value], where: Any) -> None:
    if not isinstance(value, Constant) and value not in known:
        raise NotAProgramError(f"{where} uses a value of {value.aval} that nothing has assigned")


def _verify_line(line: Line, known: set[Value]) -> None:
    for value in line.operands:
        _verify_known(value, known, line.primitive)
    for param in line.params.values():
        if isinstance(param, Program):
            verify(param)
    found: Any = line.primitive.abstract(*(v.aval for v in line.operands), **line.params)
    avals = tuple(found) if line.primitive.multiple else (found,)
    if avals != tuple(v.aval for v in line.results):
        raise NotAProgramError(f"{line.primitive} gives {avals}, not "
                               f"{tuple(v.aval for v in line.results)}")
    for value in line.results:
        if value in known:
            raise NotAProgramError(f"{line.primitive} assigns a value a second time")
        known.add(value)


# --- printing ---------------------------------------------------------------------------------

SHORT = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16",
          "int64": "i64", "int32": "i32", "int16": "i16", "int8": "i8", "uint8": "u8",
          "bool": "bool", "complex64": "c64", "complex128": "c128"}
_FEW = 6


class Names:
    """Names for values in the order in which they are met: a, b, ..., z, a1, b1, ..."""

    def __init__(self) -> None:
        self.known: dict[Value, str] = {}

    def __call__(self, value: Value) -> str:
        if isinstance(value, Constant):
            return _constant_text(value.array)
        found = self.known.get(value)
        if found is None:
            turn, letter = divmod(len(self.known), 26)
            found = self.known[value] = chr(ord("a") + letter) + (str(turn) if turn else "")
        return found

    def typed(self, value: Value) -> str:
        return f"{self(value)}: {aval_text(value.aval)}"


def aval_text(aval: Aval) -> str:
    """An aval in few letters, as f32[3,4]."""
    name = aval.dtype.name
    return f"{SHORT.get(name, name)}[{','.join(map(str, aval.shape))}]"


def _constant_text(array: np.ndarray) -> str:
    if array.ndim == 0:
        return repr(array.item())
    if array.size <= _FEW:
        return repr(array.tolist()).replace(" ", "")
    return f"<{aval_text(aval_of(array))}>"


def text(program: Program) -> str:
    """A program as text, one line per line."""
    name = Names()
    given = ", ".join(map(name.typed, program.inputs))
    return "\n".join([f"program({given})", *_block_text(program.body, name, "  ")]) + "\n"


def _block_text(block: Block, name: Names, indent: str) -> Iterator[str]:
    for line in block.lines:
        yield indent + line_text(line, name)
    if isinstance(block.end, Return):
        yield f"{indent}return {', '.join(map(name, block.end.outputs))}"
        return
    yield f"{indent}look {name(block.end.value)}"
    kind = block.end.value.aval.numpy
    for found, case in block.end.cases.items():
        seen = np.frombuffer(found, kind)
        yield f"{indent}case {seen.item() if seen.size == 1 else seen.tolist()}:"
        yield from _block_text(case, name, indent + "  ")


def line_text(line: Line, name: Callable[[Value], str] | None = None) -> str:
    """A line as text: `c: f32[3] = sum(a; dims=(1,), keepdim=False)`."""
    name = name or Names()
    operands = ", ".join(map(name, line.operands))
    params = ", ".join(f"{key}={_param_text(v)}" for key, v in line.params.items())
    results = ", ".join(f"{name(v)}: {aval_text(v.aval)}" for v in line.results)
    return f"{results} = {line.primitive.name}({operands}{'; ' if params else ''}{params})"


def _param_text(value: Any) -> str:
    if isinstance(value, Program):
        return "{\n" + text(value) + "}"
    return value.name if hasattr(value, "name") and hasattr(value, "numpy") else repr(value)
