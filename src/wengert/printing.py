"""The text of a tensor, character for character as PyTorch prints it.

Everything here works on plain NumPy arrays and strings: a caller with a tensor
type of its own passes the array and the few facts shown after the numbers.
The text is made in three steps: keep the elements that will be shown, write
each of them, then fold the written cells into brackets, axis by axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["format_array", "get_printoptions", "printoptions", "set_printoptions", "tensor_text"]


@dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=math.inf),
}

_current = _Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors are printed from here on.

    An argument left at ``None`` keeps its setting, except ``sci_mode``: every
    call sets it, so leaving it out goes back to choosing by the values.

    Args:
        precision: digits after the decimal point of a floating number.
        threshold: tensors with more elements than this are abbreviated.
        edgeitems: how many items stay at each end of an abbreviated axis.
        linewidth: the column at which lines are wrapped.
        profile: ``"default"``, ``"short"`` or ``"full"``, a set of values on which
            the other arguments are then applied. PyTorch ignores other names, and
            so does this function.
        sci_mode: whether to use scientific notation; ``None`` lets the values decide.

    Example:
        >>> import numpy as np
        >>> set_printoptions(precision=2)
        >>> format_array(np.array([0.125, 1.5]))
        '[0.12, 1.50]'
        >>> set_printoptions(profile="default")
        >>> format_array(np.array([0.125, 1.5]))
        '[0.1250, 1.5000]'
    """
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    base = asdict(_PROFILES.get(profile or "", _current))
    chosen = {name: value for name, value in given.items() if value is not None}
    vars(_current).update(base | chosen | {"sci_mode": sci_mode})


def get_printoptions() -> dict[str, Any]:
    """Return the current print options.

    Returns:
        A dictionary that ``set_printoptions`` takes as keyword arguments.

    Example:
        >>> get_printoptions()["edgeitems"]
        3
    """
    return asdict(_current)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Change the print options inside a ``with`` block.

    Args:
        **options: what ``set_printoptions`` accepts.

    Example:
        >>> import numpy as np
        >>> with printoptions(sci_mode=True, precision=1):
        ...     format_array(np.array([1.5]))
        '[1.5e+00]'
    """
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def format_array(array: npt.NDArray[Any], indent: int = 0) -> str:
    """Write the elements of an array in nested brackets.

    Args:
        array: booleans, integers, floating or complex numbers, in any shape.
        indent: the column at which the text will start; later lines align with it.

    Returns:
        The text, of several lines where the rows or the line width ask for it.

    Example:
        >>> import numpy as np
        >>> print(format_array(np.array([[1.0, -2.0], [np.nan, 0.0]])))
        [[ 1., -2.],
         [nan,  0.]]
        >>> print("x =", format_array(np.arange(4).reshape(2, 2), indent=4))
        x = [[0, 1],
             [2, 3]]
    """
    if array.size == 0:
        return "[]"
    abbreviated = array.size > _current.threshold
    if abbreviated and array.ndim and not _current.edgeitems:
        return "[...]"
    shown = _without_middle(array) if abbreviated else array
    cells, width = _write(shown)
    has_gap = [full > kept for full, kept in zip(array.shape, shown.shape, strict=True)]
    return _fold(cells, width, shown.shape, has_gap, indent)


def tensor_text(
    array: npt.NDArray[Any],
    *,
    dtype_name: str,
    default_float: str = "float32",
    requires_grad: bool = False,
    grad_fn: str | None = None,
    prefix: str = "tensor(",
) -> str:
    """Write a whole tensor, with the facts that its numbers do not tell.

    Args:
        array: the values. A type that NumPy lacks, such as ``bfloat16``, may come
            as an array of a wider type.
        dtype_name: the tensor's type without the module, such as ``"float64"``.
        default_float: the floating type that goes without saying.
        requires_grad: whether to mark the tensor as one that gets a gradient.
        grad_fn: the name of the operation that made the tensor; where given, it is
            shown in place of ``requires_grad``.
        prefix: what comes before the values, with the opening parenthesis.

    Returns:
        The text, closing parenthesis included.

    Example:
        >>> import numpy as np
        >>> tensor_text(np.array([1.0, 2.5]), dtype_name="float64", requires_grad=True)
        'tensor([1.0000, 2.5000], dtype=torch.float64, requires_grad=True)'
        >>> tensor_text(np.array(3), dtype_name="int64")
        'tensor(3)'
    """
    facts = []
    if _shape_is_shown(array):
        facts.append(f"size={array.shape}")
    if _dtype_is_shown(dtype_name, default_float, is_empty=array.size == 0):
        facts.append(f"dtype=torch.{dtype_name}")
    if grad_fn is not None:
        facts.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        facts.append("requires_grad=True")
    return _append(prefix + format_array(array, len(prefix)), facts, len(prefix))


def _shape_is_shown(array: npt.NDArray[Any]) -> bool:
    # "[]" alone reads as the shape (0,); with no edge items, no values may show it.
    return array.ndim != 1 if array.size == 0 else not _current.edgeitems


def _dtype_is_shown(name: str, default_float: str, *, is_empty: bool) -> bool:
    if name == default_float:
        return False
    # Without elements there is nothing to tell an integer or a boolean by.
    default_complex = "complex128" if default_float == "float64" else "complex64"
    return is_empty or name not in ("int64", "bool", default_complex)


def _append(text: str, facts: list[str], indent: int) -> str:
    # The two columns more than the line has are how PyTorch counts.
    column = len(text) - text.rfind("\n") + 1
    for fact in facts:
        fits = column + 2 + len(fact) <= _current.linewidth
        text += ", " + fact if fits else ",\n" + " " * indent + fact
        column = len(fact) + (column + 2 if fits else indent)
    return text + ")"


def _without_middle(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    edge = _current.edgeitems
    for axis, size in enumerate(array.shape):
        if size > 2 * edge:
            ends = [*range(edge), *range(size - edge, size)]
            array = array.take(ends, axis)
    return array


def _write(array: npt.NDArray[Any]) -> tuple[list[str], int]:
    """Return the cells, and the width that line wrapping counts for each."""
    if array.dtype.kind == "c":
        return _write_complex(array)
    values = array.ravel().tolist()
    if isinstance(values[0], float):
        texts, width = _write_floats(values)
    else:
        texts = [str(value) for value in values]
        width = max(map(len, texts))
    return [text.rjust(width) for text in texts], width


def _write_complex(array: npt.NDArray[Any]) -> tuple[list[str], int]:
    reals, real_width = _write_floats(array.real.ravel().tolist())
    imags, imag_width = _write_floats(array.imag.ravel().tolist())
    cells = [
        real.rjust(real_width) + ("" if imag[0] == "-" else "+") + imag + "j"
        for real, imag in zip(reals, imags, strict=True)
    ]
    return cells, real_width + imag_width + 1


def _write_floats(values: list[float]) -> tuple[list[str], int]:
    """Return the texts, unpadded, and the width of the column they stand in.

    Zeros, infinities and nan have no say in the notation nor in the width, so
    their texts may be wider than the column.
    """
    tells = [value != 0 and math.isfinite(value) for value in values]
    write = _choose_notation(list(compress(values, tells)))
    texts = [write(value) for value in values]
    return texts, max(map(len, compress(texts, tells)), default=1)


def _choose_notation(values: list[float]) -> Callable[[float], str]:
    if values and _is_scientific(values):
        return f"{{:.{_current.precision}e}}".format
    if all(value.is_integer() for value in values):
        return _write_whole
    return f"{{:.{_current.precision}f}}".format


def _is_scientific(values: list[float]) -> bool:
    if _current.sci_mode is not None:
        return _current.sci_mode
    sizes = [abs(value) for value in values]
    low, high = min(sizes), max(sizes)
    return low < 1e-4 or high > 1e8 or high / low > 1000


def _write_whole(value: float) -> str:
    return f"{value:.0f}." if math.isfinite(value) else str(value)


def _fold(
    cells: list[str], width: int, shape: tuple[int, ...], has_gap: list[bool], indent: int
) -> str:
    """Gather the cells into rows, the rows into matrices, and so on to one text."""
    last = len(shape) - 1
    for axis in range(last, -1, -1):
        count, margin = shape[axis], " " * (indent + axis + 1)
        groups = [cells[start : start + count] for start in range(0, len(cells), count)]
        if has_gap[axis]:
            for group in groups:
                group.insert(count // 2, " ..." if axis == last else "...")
        if axis == last:
            per_line = max(1, (_current.linewidth - indent - last) // (width + 2))
            cells = [_wrap(group, per_line, margin) for group in groups]
        else:
            glue = "," + "\n" * (last - axis) + margin
            cells = ["[" + glue.join(group) + "]" for group in groups]
    return cells[0]


def _wrap(row: list[str], per_line: int, margin: str) -> str:
    lines = [", ".join(row[start : start + per_line]) for start in range(0, len(row), per_line)]
    return "[" + f",\n{margin}".join(lines) + "]"
