"""Walking the tree of blocks: what passes have in common.

Values are assigned once in the whole tree, and used only in blocks that follow. So what a pass
finds out about values, it may keep in one dictionary for all blocks; only what it finds out about
expressions (`leave`) holds no longer than their block and those that follow it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from .program import Block, Line, Look, Program, Return, Value, verify

EFFECTS = frozenset({"draw"})
"""Primitives that do more than give a result: their lines stay, each once and in order."""

Pass = Callable[[Program], Program]


def has_effects(line: Line) -> bool:
    """Whether a line does more than give a result."""
    return line.primitive.name in EFFECTS or any(
        has_effects(each) for body in line.params.values() if isinstance(body, Program)
        for block in body.body.blocks() for each in block.lines)


def nothing() -> None:
    pass


def downward(program: Program, lines: Callable[[Block], Sequence[Line]],
             values: Mapping[Value, Value], leave: Callable[[], None] = nothing) -> Program:
    """A program with other lines, found out from the first block on.

    Args:
        program: what is rewritten.
        lines: gives a block's new lines; called before it is for the blocks that follow.
        values: what it has found to be replaced by what, for the ends of blocks.
        leave: called when a block and all that follow it are done.
    """
    found: list[tuple[Block, Sequence[Line]]] = []
    todo: list[Block | None] = [program.body]
    while todo:
        block = todo.pop()
        if block is None:
            leave()
            continue
        found.append((block, lines(block)))
        todo.append(None)
        if isinstance(block.end, Look):
            todo.extend(reversed(list(block.end.cases.values())))
    return Program(program.inputs, _built(found, values))


def upward(program: Program, lines: Callable[[Block], Sequence[Line]]) -> Program:
    """A program with other lines, found out from the last blocks on: for each block after those
    that follow it."""
    found = [(block, lines(block)) for block in reversed(list(program.body.blocks()))]
    return Program(program.inputs, _built(found[::-1], {}))


def _built(found: Sequence[tuple[Block, Sequence[Line]]], values: Mapping[Value, Value]) -> Block:
    """The tree of the new blocks; each old one comes before those that follow it."""
    made: dict[int, Block] = {}
    for block, lines in reversed(found):
        end = block.end
        if isinstance(end, Return):
            new: Return | Look = Return(tuple([values.get(v, v) for v in end.outputs]))
        else:
            new = Look(values.get(end.value, end.value),
                       {key: made[id(case)] for key, case in end.cases.items()})
        made[id(block)] = Block(tuple(lines), new)
    return made[id(found[0][0])]


def ends(block: Block) -> tuple[Value, ...]:
    """The values that a block's end uses."""
    return block.end.outputs if isinstance(block.end, Return) else (block.end.value,)


def within_params(line: Line, change: Pass) -> Line:
    """A line whose parameters hold programs (bodies of loops), with those changed."""
    if not any(isinstance(v, Program) for v in line.params.values()):
        return line
    params = {key: change(v) if isinstance(v, Program) else v for key, v in line.params.items()}
    return Line(line.primitive, line.operands, params, line.results)


def rewritten_within(program: Program, change: Pass) -> Program:
    """The program with the programs that parameters hold changed."""
    return downward(program, lambda block: [within_params(line, change) for line in block.lines],
                    {})


def checked(program: Program) -> Program:
    """The program; verified if the environment asks for it."""
    return verify(program) if os.environ.get("WENGERT_VERIFY") else program
