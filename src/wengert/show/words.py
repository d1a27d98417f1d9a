"""How numbers, derivatives and operations are written in a drawing."""

from __future__ import annotations

from typing import Any

import numpy as np

from .tape_reader import Entry

UNKNOWN = "?"
NOT_FORMED = "…"
MOST_SPELLED = 9
"""Arrays of more elements than this are shown by their shape."""

_FORMS = {
    "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "div": "{} / {}", "pow": "{} ** {}",
    "neg": "-{}", "square": "{} ** 2", "reciprocal": "1 / {}",
}
"""How some operations are written; all others as calls."""
_QUIET_PARAMS = {"keepdim", "chain"}


def number(value: Any, digits: int) -> str:
    """One number, to so many significant digits."""
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return str(value)
    if isinstance(value, (complex, np.complexfloating)):
        return f"{number(value.real, digits)}{value.imag:+.{digits}g}j"
    return f"{float(value):.{digits}g}"


def array(value: np.ndarray, digits: int) -> str:
    """An array: its numbers if they are few, else its dtype and shape."""
    if value.ndim == 0:
        return number(value[()], digits)
    if value.size > MOST_SPELLED:
        return shape_text(str(value.dtype), value.shape)
    return f"[{', '.join(array(part, digits) for part in value)}]"


def shape_text(dtype: str, shape: tuple[int, ...]) -> str:
    """An array too large to be spelled out."""
    return f"{dtype}[{', '.join(map(str, shape))}]"


def derivative_text(value: np.ndarray | None, rows: int, columns: int, digits: int) -> str:
    """A Jacobian of so many rows and columns, given in any shape."""
    if value is None:
        return NOT_FORMED
    if value.size == 1:
        return number(value.reshape(())[()], digits)
    if value.size and not value.any():
        return "0"
    if 1 in (rows, columns):
        return array(value, digits)
    matrix = value.reshape(rows, columns)
    if rows == columns and not matrix[~np.eye(rows, dtype=bool)].any():
        return diagonal_text(np.diagonal(matrix), digits)
    return array(matrix, digits) if matrix.size <= MOST_SPELLED else f"{rows} by {columns} matrix"


def diagonal_text(diagonal: np.ndarray, digits: int) -> str:
    """A diagonal matrix."""
    n = diagonal.size
    if n > MOST_SPELLED:
        return f"{n} by {n} diagonal"
    return f"diag({', '.join(number(v, digits) for v in diagonal.reshape(-1))})"


def operation_text(entry: Entry, digits: int) -> str:
    """The operation that made an entry, in the names of its operands: "log(v1)", "x ** 2"."""
    if entry.leaf:
        return ""
    primitive = getattr(entry.node, "primitive", None)
    if primitive is None:
        return f"{entry.node.name()}({', '.join(_operands(entry, digits))})"
    params = dict(entry.node.params or {})
    names = _operands(entry, digits)
    if primitive.name in _FORMS:
        text = _FORMS[primitive.name].format(*names)
    elif primitive.name == "scalar_pow":
        text = f"{names[0]} ** {number(params['exponent'], digits)}"
    elif primitive.name == "index_view":
        text = f"{names[0]}[{_index_text(params['index'])}]"
    else:
        text = _call_text(primitive.name, names, _shown(params, entry))
    return f"{text}[{entry.key.index}]" if entry.key is not entry.node else text


def _operands(entry: Entry, digits: int) -> list[str]:
    return [source.name if source is not None else
            UNKNOWN if constant is None else array(constant, digits)
            for source, constant in zip(entry.sources, entry.constants, strict=True)]


def _call_text(name: str, operands: list[str], params: dict[str, Any]) -> str:
    if len(operands) > 4:
        operands = [*operands[:2], "...", operands[-1]]
    rest = [f"{key}={value}" for key, value in params.items()]
    return f"{name}({', '.join(operands + rest)})"


def _shown(params: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """The parameters worth showing: short ones that say something."""
    source = entry.sources[0] if entry.sources else None
    shown = {}
    for key, value in params.items():
        everything = (key == "dims" and source is not None
                      and sorted(value) == list(range(source.aval.ndim)))
        text = getattr(value, "name", None) or str(value)
        if key not in _QUIET_PARAMS and value is not None and not everything and len(text) < 16:
            shown[key] = text
    return shown


def _index_text(index: tuple[Any, ...]) -> str:
    parts = [_slice_text(part) if isinstance(part, tuple) else
             "..." if part is Ellipsis else str(part) for part in index]
    if parts[-1:] == ["..."] and len(parts) > 1:
        parts.pop()
    return ", ".join(parts)


def _slice_text(part: tuple[Any, ...]) -> str:
    start, stop, step = ("" if p is None else str(p) for p in part)
    return f"{start}:{stop}" + (f":{step}" if step not in ("", "1") else "")
