"""Forwarding: what is read back after it was written is taken from where it came from."""

from __future__ import annotations

from ..ir.program import Block, Constant, Line, Program, Value
from ..ir.regions import Region, composed, dense, disjoint, relative
from ..ir.uniform import is_uniform, spread
from ..ir.views import put_strided, region_of, strided, written_region
from ..ir.walk import downward

REACH = 16
"""How many writes a read looks back over."""


def forwarding(program: Program) -> Program:
    """The program with reads of what was put into a region replaced by what was put there, and
    reads of other regions by reads of what was there before."""
    values: dict[Value, Value] = {}
    writes: dict[Value, Line] = {}
    reads: dict[Value, Line] = {}

    def lines(block: Block) -> list[Line]:
        kept: list[Line] = []
        for line in block.lines:
            line = line.on(values)
            if line.primitive is put_strided:
                writes[line.result] = line
            elif line.primitive is strided:
                line = _traced(line, writes, reads)
                known = _known(line)
                if known is not None:
                    values[line.result] = known
                    continue
                reads[line.result] = line
            kept.append(line)
        return kept

    return downward(program, lines, values)


def _traced(line: Line, writes: dict[Value, Line], reads: dict[Value, Line]) -> Line:
    """A read as one of the earliest value that has what it reads."""
    x, region = line.operands[0], region_of(line.params)
    for _ in range(REACH):
        before = _before(x, region, writes, reads)
        if before is None:
            break
        x, region = before
    if x is line.operands[0]:
        return line
    return Line(strided, (x,), region.params, line.results)


def _known(line: Line) -> Value | None:
    """What a read is without reading: its operand, where it reads all of it, or a constant."""
    x, region = line.operands[0], region_of(line.params)
    if region == dense(tuple(x.aval.shape)):
        return x
    if isinstance(x, Constant) and is_uniform(x.array):
        return spread(x.array, region.shape)
    return None


def _before(x: Value, region: Region, writes: dict[Value, Line], reads: dict[Value, Line]
            ) -> tuple[Value, Region] | None:
    """Where x got a region of it from."""
    read, write = reads.get(x), writes.get(x)
    if read is not None:
        further = composed(region, region_of(read.params))
        return None if further is None else (read.operands[0], further)
    if write is None:
        return None
    base, y = write.operands
    written = written_region(write.params, y.aval)
    inside = relative(region, written)
    if inside is not None:
        return y, inside
    if disjoint(region, written, tuple(x.aval.shape)):
        return base, region
    return None


def dead_writes(program: Program) -> Program:
    """The program without writes that the next write covers: onto what was there before."""
    values: dict[Value, Value] = {}
    writes: dict[Value, Line] = {}

    def lines(block: Block) -> list[Line]:
        kept = []
        for line in block.lines:
            line = line.on(values)
            if line.primitive is put_strided:
                line = _uncovered(line, writes)
            if line.primitive is put_strided:
                writes[line.result] = line
            kept.append(line)
        return kept

    return downward(program, lines, values)


def _uncovered(line: Line, writes: dict[Value, Line]) -> Line:
    base, y = line.operands
    region = written_region(line.params, y.aval)
    if relative(dense(tuple(base.aval.shape)), region) is not None:
        return _read_back(line, region)
    earlier = writes.get(base)
    if earlier is None:
        return line
    below, covered = earlier.operands
    if relative(written_region(earlier.params, covered.aval), region) is None:
        return line
    return Line(put_strided, (below, y), line.params, line.results)


def _read_back(line: Line, region: Region) -> Line:
    """A write to every place as a read of what is written."""
    base, y = line.operands
    found = relative(dense(tuple(base.aval.shape)), region)
    assert found is not None
    return Line(strided, (y,), found.params, line.results)
