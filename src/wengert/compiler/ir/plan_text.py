"""Plans as text: every nest as the loops that it is.

    nest 4 rows, 8 columns
      each row:
        a = load x[8 0]
      sweep:
        ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .nest import (
    Access,
    Branch,
    Buffer,
    Choose,
    Contraction,
    Index,
    Load,
    Matrix,
    Nest,
    Number,
    Op,
    Plan,
    PlanBlock,
    Product,
    Reduce,
    Repeat,
    Statement,
    Step,
    Store,
    Stretch,
    Unwind,
)
from .program import SHORT


class _Names:
    """Names for buffers, as `in0`, `t3`, and for statements, as `%5`."""

    def __init__(self) -> None:
        self.buffers: dict[Buffer, str] = {}
        self.counts: dict[str, int] = {}
        self.statements: dict[int, str] = {}
        self.loops = 0

    def buffer(self, buffer: Buffer) -> str:
        found = self.buffers.get(buffer)
        if found is None:
            letter = {"input": "in", "output": "out"}.get(buffer.kind, buffer.kind[0])
            turn = buffer.number
            if turn < 0:
                turn = self.counts[letter] = self.counts.get(letter, -1) + 1
            found = self.buffers[buffer] = f"{letter}{turn}"
        return found

    def statement(self, statement: Statement) -> str:
        if isinstance(statement, Number):
            return repr(statement.value)
        return self.statements.setdefault(id(statement), f"%{len(self.statements)}")


def _dtype(dtype: np.dtype[Any]) -> str:
    return SHORT.get(dtype.name, dtype.name)


def text(plan: Plan) -> str:
    """A plan as text."""
    names = _Names()
    given = ", ".join(_buffer(b, names) for b in plan.inputs)
    made = ", ".join(_buffer(b, names) for b in plan.outputs)
    lines = [f"plan({given}) -> {made or 'nothing'}; arena {plan.arena} bytes"]
    for out, number in plan.donated.items():
        lines.append(f"  out{out} may lie in in{number}")
    lines.extend(_block(plan.body, names, "  "))
    return "\n".join(lines) + "\n"


def _buffer(buffer: Buffer, names: _Names) -> str:
    return f"{names.buffer(buffer)}: {_dtype(buffer.dtype)}[{','.join(map(str, buffer.shape))}]"


def _block(block: PlanBlock, names: _Names, indent: str) -> Iterator[str]:
    for step in block.steps:
        yield from _step(step, names, indent)
    end = block.end
    if not isinstance(end, Branch):
        yield f"{indent}leave {end.number}: {', '.join(f'out{i}' for i in end.outputs)}"
        return
    yield f"{indent}look {end.number} at {names.buffer(end.buffer)}"
    for answer, case in end.cases.items():
        seen = np.frombuffer(answer, end.buffer.dtype)
        yield f"{indent}case {seen.item() if seen.size == 1 else seen.tolist()}:"
        yield from _block(case, names, indent + "  ")


def _step(step: Step, names: _Names, indent: str) -> Iterator[str]:
    if isinstance(step, Nest):
        yield from _nest(step, names, indent)
    elif isinstance(step, Product):
        count = f"{step.count} x " if step.count > 1 else ""
        sign = "+=" if step.accumulate else "="
        yield (f"{indent}product {_matrix(step.out, names)} {sign} {_matrix(step.a, names)} @ "
               f"{_matrix(step.b, names)}, {count}{step.m} x {step.k} x {step.n}")
    elif isinstance(step, Contraction):
        sign = "+=" if step.accumulate else "="
        a, b, out = (_at(each, (), names) for each in (step.a, step.b, step.out))
        yield f"{indent}contraction {out} {sign} {a} * {b}, {' x '.join(map(str, step.sizes))}"
    elif isinstance(step, Repeat):
        yield from _repeat(step, names, indent)
    elif isinstance(step, Choose):
        yield from _choose(step, names, indent)
    elif isinstance(step, Unwind):
        yield f"{indent}unwind; records of {step.record} bytes"
        names.buffers.update((b, f"kept{i}") for i, b in enumerate(step.kept))
        yield from _repeat(step.forth, names, indent + "  ")
        yield from _repeat(step.back, names, indent + "  ", "back, as many")
    else:
        results = ", ".join(map(names.buffer, step.results))
        operands = ", ".join(map(names.buffer, step.operands))
        yield f"{indent}{results} = call {step.primitive.name}({operands})"


def _repeat(repeat: Repeat, names: _Names, indent: str, many: str = "") -> Iterator[str]:
    """A loop, of so many turns; what its body is given and gives is named after the loop."""
    name = f"loop{names.loops}."
    names.loops += 1
    body, carried = repeat.body, {c.input: c for c in repeat.carried}
    for kind, buffers in (("in", body.inputs), ("out", body.outputs)):
        names.buffers.update((b, f"{name}{kind}{i}") for i, b in enumerate(buffers))
    many = many or f"while {name}in0," if repeat.count is None else str(repeat.count)
    yield f"{indent}repeat {many} turns; arena {names.buffer(repeat.arena)}"
    for i, (own, stretch) in enumerate(zip(body.inputs, repeat.inputs, strict=True)):
        then = f", then {names.buffer(body.outputs[carried[i].output])}" if i in carried else ""
        yield f"{indent}  {_buffer(own, names)} is {_stretch(stretch, names)}{then}"
    spare = {c.output: c.spare for c in repeat.carried if c.spare is not None}
    for o, (own, stretch) in enumerate(zip(body.outputs, repeat.outputs, strict=True)):
        other = f" and {names.buffer(spare[o])} in turn" if o in spare else ""
        yield f"{indent}  {_buffer(own, names)} is {_stretch(stretch, names)}{other}"
    for step in repeat.steps:
        yield from _step(step, names, indent + "  ")


def _choose(step: Choose, names: _Names, indent: str) -> Iterator[str]:
    """A choice; what its plans are given and give is called as it is outside."""
    yield f"{indent}choose by {names.buffer(step.which)}; arena {names.buffer(step.arena)}"
    for plan, word in zip(step.plans, ("yes", "no"), strict=True):
        for own, there in zip((*plan.inputs, *plan.outputs), (*step.inputs, *step.outputs),
                              strict=True):
            names.buffers[own] = names.buffer(there)
        yield f"{indent}  {word}:"
        for each in plan.body.steps:
            yield from _step(each, names, indent + "    ")


def _stretch(stretch: Stretch, names: _Names) -> str:
    return f"{names.buffer(stretch.buffer)}[{stretch.offset} + {stretch.step} turn]"


def _matrix(m: Matrix, names: _Names) -> str:
    return f"{names.buffer(m.buffer)}[{m.offset} + {m.batch} {m.row} {m.col}]"


def _nest(nest: Nest, names: _Names, indent: str) -> Iterator[str]:
    rows = " x ".join(map(str, nest.rows)) or "1"
    yield f"{indent}nest of {rows} rows, {nest.cols} columns"
    for stage in nest.stages:
        yield f"{indent}  {'sweep' if stage.sweep else 'row'}:"
        for statement in stage.statements:
            if not isinstance(statement, Number):
                yield f"{indent}    {_statement(statement, names)}"


def _statement(s: Statement, names: _Names) -> str:
    if isinstance(s, Store):
        sign = f"{s.how}=" if s.how else "="
        return f"{_at(s.at, s.indirect, names)} {sign} {names.statement(s.operand)}"
    name = f"{names.statement(s)}: {_dtype(s.dtype)}"
    if isinstance(s, Load):
        return f"{name} = {_at(s.at, s.indirect, names)}"
    if isinstance(s, Index):
        return f"{name} = index {_strides(s.strides, s.offset)}"
    if isinstance(s, Reduce):
        return f"{name} = reduce {s.how} {names.statement(s.operand)}"
    assert isinstance(s, Op)
    return f"{name} = {s.name} {', '.join(map(names.statement, s.operands))}"


def _strides(strides: Sequence[int], offset: int) -> str:
    return (f"{offset} + " if offset else "") + " ".join(map(str, strides))


def _at(at: Access, indirect: Sequence[tuple[Statement, int, int]], names: _Names) -> str:
    more = "".join(f" + {stride}*({names.statement(index)} < {bound})"
                   for index, bound, stride in indirect)
    return f"{names.buffer(at.buffer)}[{_strides(at.strides, at.offset)}{more}]"
