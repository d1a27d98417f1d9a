"""What kind of line a line is: which scalar operation, if it is elementwise."""

from __future__ import annotations

from ..ir.program import Line


def operation(line: Line) -> str | None:
    """The name of the operation that an elementwise line is; None if it is none."""
    primitive = line.primitive
    if primitive.name == "cast":
        return "cast"
    if not primitive.elementwise:
        return None
    if primitive.ufunc is not None:
        return primitive.ufunc.__name__
    return primitive.name if primitive.scalar else None


def is_foreign(line: Line) -> bool:
    """Whether a line has to do with numbers that native code doesn't know."""
    return any(v.aval.foreign for v in (*line.operands, *line.results))
