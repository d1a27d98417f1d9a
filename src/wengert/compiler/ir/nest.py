"""Plans: a program as loops over memory, the last form before native code.

    plan      = buffer* block
    block     = step* end
    step      = nest | product | call | repeat | unwind | choose
    end       = leave n | branch buffer: (answer -> block)*

    repeat    = for t < count: plan
              | while its first input: plan
    unwind    = repeat, what each turn is given being kept; then back through it: repeat
    choose    = if buffer: plan, else plan
    nest      = for r0 < rows[0], r1 < rows[1], ...:  stage*
    stage     = statement*                                  (once per row)
              | for c < cols: statement*                    (a sweep over the row)
    statement = number | index | load | op | reduce | store

A row is one turn of the outer loops; rows are independent of each other (threads share them),
but for stores that add up (`Store.how`), whose buffers start out as how's neutral element. Values
of a sweep exist per element; values of a plain stage, and `reduce`d ones after the sweep that made
them, exist per row. A sweep may use values of rows, and elements' values of its own sweep
only: what a later sweep needs is loaded or worked out again, which the scheduler decides.

Statements are the values that they compute: operands refer to them. They are immutable.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...core.primitive import Primitive
from .records import equal_record, record


@dataclasses.dataclass(eq=False, slots=True)
class Buffer:
    """A stretch of memory that holds a dense array.

    Attributes:
        dtype: of its elements, a NumPy dtype.
        size: how many elements it has.
        kind: "input" and "output" are the caller's arrays; "constant" holds `array`; "temporary"
            lives in the arena, from its first to its last use; "scratch" is one row's, each
            thread having its own; "kept" is in a record (`Unwind`).
        number: the place among the inputs or outputs.
        array: a constant's numbers.
        offset: where in the arena (or record) it begins, in bytes; planned last.
        shape: that of the array it holds, for `Call` and for people.
    """

    dtype: np.dtype[Any]
    size: int
    kind: str
    number: int = -1
    array: np.ndarray | None = None
    offset: int = -1
    shape: tuple[int, ...] = ()


@equal_record
class Access:
    """Where in a buffer an element lies: offset + sum of strides[d] * loop variable d, in elements.

    Attributes:
        buffer: the memory.
        strides: one per loop: the rows', then (in a sweep) that of the columns.
        offset: of the first element.
    """

    buffer: Buffer
    strides: tuple[int, ...] = ()
    offset: int = 0


@record
class Number:
    """A number that is known."""

    dtype: np.dtype[Any]
    value: Any


@record
class Index:
    """offset + sum of strides[d] * loop variable d, as an int64."""

    dtype: np.dtype[Any]
    strides: tuple[int, ...]
    offset: int = 0


@record
class Load:
    """An element of memory.

    Attributes:
        dtype: of the element.
        at: where it lies.
        indirect: what is added to the address: (index value, bound, stride) triples. An index
            below 0 counts from the bound; one out of bounds makes the plan fail (`OUT_OF_RANGE`)
            and must not be read at.
    """

    dtype: np.dtype[Any]
    at: Access
    indirect: tuple[tuple[Statement, int, int], ...] = ()


@record
class Op:
    """A scalar operation, named and defined as NumPy's ufunc: "add", "exp", "less", "where", ...

    `cast` converts to `dtype` as `astype` does.
    """

    dtype: np.dtype[Any]
    name: str
    operands: tuple[Statement, ...]


@record
class Reduce:
    """Elements of a sweep combined to one value per row: "add", "multiply", "maximum", ...

    Floats add up in several partial sums, whose number doesn't depend on the machine's load.
    "argmax" and "argmin" give the first column where the extreme (or a NaN) stands, an int64.
    """

    dtype: np.dtype[Any]
    how: str
    operand: Statement


@record
class Store:
    """An element written to memory; `how` is "" to replace, else what combines it with what is
    there ("add", "maximum", ...): over rows, or at places that an index picks several times.

    `indirect` is as for `Load`; a nest with such a store runs its rows in order on one thread, or
    those of each turn of its outermost loop, where these can't meet.
    """

    at: Access
    operand: Statement
    how: str = ""
    indirect: tuple[tuple[Statement, int, int], ...] = ()


Statement = Number | Index | Load | Op | Reduce | Store


@equal_record
class Stage:
    """Statements in order; once per row, or for every column if `sweep`."""

    sweep: bool
    statements: tuple[Statement, ...]


@record
class Nest:
    """See the text of the module.

    Attributes:
        rows: sizes of the outer loops; () for one row.
        cols: the size of the sweeps.
        stages: what is done in each row.
    """

    rows: tuple[int, ...]
    cols: int
    stages: tuple[Stage, ...]

    def statements(self) -> Iterator[Statement]:
        """Those of all stages."""
        for stage in self.stages:
            yield from stage.statements


@equal_record
class Matrix:
    """A matrix, or several, in memory: element (i, j) of matrix b lies at offset + b*batch + i*row
    + j*col. One of row and col is 1 (or that dimension has size 1)."""

    buffer: Buffer
    offset: int
    batch: int
    row: int
    col: int


@record
class Product:
    """out = a @ b (+ out, if `accumulate`), `count` times; sizes m x k and k x n."""

    a: Matrix
    b: Matrix
    out: Matrix
    count: int
    m: int
    k: int
    n: int
    accumulate: bool = False


@record
class Contraction:
    """out += a * b in every turn of loops, in any order; out is cleared first, unless it is to
    `accumulate`. A product of windows of an array, say, which are no matrices in memory.

    Attributes:
        sizes: of the loops.
        a, b, out: where their elements lie, by loop. What out doesn't move along is summed over;
            only if it accumulates, different turns of other loops may meet the same element.
    """

    sizes: tuple[int, ...]
    a: Access
    b: Access
    out: Access
    accumulate: bool = False


@record
class Call:
    """A primitive that has no loops, evaluated by Python: operands are dense, so are results.

    `shapes` are those of the operands, if not their buffers': memory may be shared with another
    value, which sees it otherwise.
    """

    primitive: Primitive
    operands: tuple[Buffer, ...]
    params: Mapping[str, Any]
    results: tuple[Buffer, ...]
    shapes: tuple[tuple[int, ...], ...] = ()


@record
class Stretch:
    """Where an input or output of a loop's body lies: in turn t, from element offset + t * step of
    the buffer on."""

    buffer: Buffer
    offset: int = 0
    step: int = 0


@record
class Carry:
    """What a turn hands on to the next: after the first turn, the body's input number `input`
    lies where its output number `output` was put in the turn before.

    Attributes:
        spare: where the output is put in every other turn, the last not being one of them; None
            if it is put in its own place in all turns, which then moves (`Stretch.step`) or may
            be read while it is written (`Plan.donated`).
    """

    input: int
    output: int
    spare: Buffer | None = None


@record
class Repeat:
    """A plan gone through `count` times, turn after turn; one that fails ends the whole.

    Attributes:
        body: a plan without looks.
        count: how many turns there are, at least one; None if there are turns (or none) as long as
            the body's first input, a bool, is true. Of such a loop, all outputs are carried, and
            stand where they belong if there is no turn, too.
        inputs, outputs: where the body's lie; of an input that is carried, in the first turn.
        carried: what turns hand on.
        arena: the memory of the body's temporaries.
    """

    body: Plan
    count: int | None
    inputs: tuple[Stretch, ...]
    outputs: tuple[Stretch, ...]
    carried: tuple[Carry, ...]
    arena: Buffer

    @property
    def steps(self) -> tuple[Step, ...]:
        """What a turn does."""
        return self.body.body.steps


@record
class Unwind:
    """A loop whose end is found out as it runs, and one back through its turns.

    What a turn of the first is given is kept, in records one after the other, in memory that grows
    with them. A turn of the second is given the record of a turn of the first, from the last on.

    Attributes:
        forth: the first loop; its outputs are the records, so that it has none.
        back: the second; it has as many turns as the first (`count` is None), all its outputs are
            carried, and its first inputs lie in the record.
        kept: where in a record each lies: buffers of the kind "kept", by their `offset`.
        record: the bytes of one.
    """

    forth: Repeat
    back: Repeat
    kept: tuple[Buffer, ...]
    record: int

    @property
    def steps(self) -> tuple[Step, ...]:
        """What turns do, forth and back."""
        return self.forth.steps + self.back.steps


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Choose:
    """One of two plans without looks; one that fails ends the whole.

    Attributes:
        which: a bool, by which it is the first one.
        plans: the plans.
        inputs, outputs: where both of them have theirs.
        arena: the memory of their temporaries.
    """

    which: Buffer
    plans: tuple[Plan, Plan]
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    arena: Buffer

    @property
    def steps(self) -> tuple[Step, ...]:
        """What either does."""
        return self.plans[0].body.steps + self.plans[1].body.steps


Step = Nest | Product | Contraction | Call | Repeat | Unwind | Choose


@equal_record
class Leave:
    """The end of the plan.

    Attributes:
        number: which end it is.
        outputs: the places of this end's outputs among the plan's; ends may share some.
    """

    number: int
    outputs: tuple[int, ...] = ()


@equal_record
class Branch:
    """On to the block whose answer equals the buffer's bytes; out with `MISS` if there is none.

    `number` is the look's: what is returned is which look was not answered.
    """

    buffer: Buffer
    cases: Mapping[bytes, PlanBlock]
    number: int


@equal_record
class PlanBlock:
    """Steps one after the other, and what comes then."""

    steps: tuple[Step, ...]
    end: Leave | Branch


@equal_record
class Plan:
    """See the text of the module.

    Attributes:
        inputs, outputs: the caller's arrays, dense.
        body: the block that it begins with.
        arena: the bytes that temporaries take.
        donated: by number of an output, the number of the input whose memory the caller may (but
            need not) give for it as well: nothing reads the input after the output is written,
            but for the same element in the same turn of a loop.
    """

    inputs: Sequence[Buffer]
    outputs: Sequence[Buffer]
    body: PlanBlock
    arena: int
    donated: Mapping[int, int]


Buffers = dict[Buffer, None]
"""A set of buffers in the order in which they were met: plans must not depend on addresses."""


def touched(step: Step) -> tuple[Buffers, Buffers]:
    """The memory that a step reads and writes; what is added to is read, too."""
    if isinstance(step, Call):
        return dict.fromkeys(step.operands), dict.fromkeys(step.results)
    if isinstance(step, (Product, Contraction)):
        out = dict.fromkeys((step.out.buffer,))
        return dict.fromkeys((step.a.buffer, step.b.buffer)) | (out if step.accumulate else {}), out
    if isinstance(step, Repeat):
        spare = [carry.spare for carry in step.carried if carry.spare is not None]
        return (dict.fromkeys(each.buffer for each in step.inputs),
                dict.fromkeys([*(each.buffer for each in step.outputs), *spare, step.arena]))
    if isinstance(step, Unwind):
        first, second = touched(step.forth), touched(step.back)
        return tuple({b: None for b in (*x, *y) if b.kind != "kept"}  # type: ignore[return-value]
                     for x, y in zip(first, second, strict=True))
    if isinstance(step, Choose):
        return (dict.fromkeys((step.which, *step.inputs)),
                dict.fromkeys((*step.outputs, step.arena)))
    reads: Buffers = {}
    writes: Buffers = {}
    for stage in step.stages:
        for statement in stage.statements:
            if isinstance(statement, Load):
                reads[statement.at.buffer] = None
            elif isinstance(statement, Store):
                writes[statement.at.buffer] = None
                if statement.how or statement.indirect:
                    reads[statement.at.buffer] = None
    return reads, writes
