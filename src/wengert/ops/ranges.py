"""Numbers at equal distances, in PyTorch's words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.device import check_device
from ..core.handle import Handle
from ..core.levels import here
from ..core.provenance import warn
from ..core.remembering import remembered
from ..primitives import layout as p
from ..primitives.elementwise import where
from .creation import new_leaf, number_in
from .operators import is_number, real_of

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["arange", "linspace", "logspace", "range"]


def arange(start: Any = None, end: Any = None, step: Any = 1, *, dtype: Any = None,
           layout: Any = None, device: Any = None, pin_memory: bool = False,
           requires_grad: bool = False) -> Tensor:
    """The numbers from start (0 by default) up to, and without, end.

    Args:
        start: a number; the end, if it is the only one.
        end: a number.
        step: a number, not 0.
        dtype: int64 if all are ints, else the default dtype.
        layout: ignored.
        device: "cpu" or None.
        pin_memory: ignored.
        requires_grad: whether operations on it are recorded.

    Raises:
        RuntimeError: for a step of 0, or of the wrong sign.

    Example:
        >>> import wengert as torch
        >>> torch.arange(4.0)
        tensor([0., 1., 2., 3.])
    """
    if end is None:
        start, end = 0, start
    elif start is None:
        start = 0
    if (type(start) is type(end) is type(step) is int and dtype is None is device
            and step and 0 <= (end - start) * step < 1 << 62 > abs(start)):
        found = np.arange(start, end, step, np.int64)  # type: ignore[call-overload]
        return new_leaf(found, requires_grad)
    start, end, step, kind = _range("arange", start, end, step, dtype, device)
    if kind is dtypes.int64:
        start, end, step = int(start), int(end), int(step)
        count = -(-(end - start) // step) if step else 0
    else:
        count = math.ceil((end - start) / step)
    return new_leaf(_stepped(start, step, count, kind), requires_grad)


def range(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None,
          layout: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The numbers from start to end with both; floats. `arange` is to be preferred."""
    warn("torch.range is deprecated and will be removed in a future release because its "
         "behavior is inconsistent with Python's range builtin. Instead, use "
         "torch.arange, which produces values in [start, end).")
    if end is None:
        start, end = 0, start
    start, end, step, kind = _range("range", start, end, step,
                                    dtypes.get_default_dtype() if dtype is None else dtype, device)
    return new_leaf(_stepped(start, step, math.floor((end - start) / step) + 1, kind),
                    requires_grad)


def _range(name: str, start: Any, end: Any, step: Any, dtype: Any,
           device: Any) -> tuple[Any, Any, Any, dtypes.dtype]:
    """Start, end, step and dtype, checked."""
    if device is not None:
        check_device(device)
    whole = type(start) is type(end) is type(step) is int
    if not whole:
        if not _REAL.issuperset(map(type, (start, end, step))):
            start, end, step = (_real(name, number_in(v)) for v in (start, end, step))
        if not (math.isfinite(start) and math.isfinite(end)):
            raise RuntimeError(f"unsupported range: {start} -> {end}")
        whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if whole and not all(-1 << 63 <= v < 1 << 63 for v in (start, end, step)):
        raise RuntimeError("value cannot be converted to type int64_t without overflow")
    if dtype is not None:
        return start, end, step, dtypes.of(dtype)
    return start, end, step, dtypes.int64 if whole else dtypes.get_default_dtype()


_REAL = frozenset((int, float))
"""The types of most numbers, of which nothing need be asked."""


def _real(name: str, value: Any) -> Any:
    """A real number as it is."""
    if isinstance(value, complex):
        return real_of(value, dtypes.float64)
    if not is_number(value):
        raise TypeError(f"{name}() received an invalid combination of arguments - got a "
                        f"{type(value).__name__} where a number was expected")
    return value


def _stepped(start: Any, step: Any, count: int, kind: dtypes.dtype) -> np.ndarray:
    """start + i step, worked out in float64 (or int64) and rounded once."""
    whole = kind.category <= dtypes.INTEGER
    if whole:
        start, step = int(start), int(step)
    i = np.arange(count, dtype=np.int64 if whole or (
        isinstance(step, int) and isinstance(start, int)) else np.float64)
    if step != 1:
        i = i * step
    if start != 0:
        i = start + i
    return i if i.dtype is kind.numpy else here.run(i.astype, kind.numpy)


# --- between two numbers ----------------------------------------------------------------------


def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, layout: Any = None,
             device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """`steps` numbers, evenly spaced, from start to end with both.

    Raises:
        RuntimeError: for a negative number of steps.
        TypeError: for one that is no integer.

    Example:
        >>> import wengert as torch
        >>> torch.linspace(0, 1, 5)
        tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    kind, start, end = _line("linspace", start, end, steps, dtype, device)
    found: Any = _in(_spaced(start, end, steps, kind), kind)
    return found if type(found) is not np.ndarray else new_leaf(found, requires_grad)


def logspace(start: Any, end: Any, steps: int, base: Any = 10.0, *, dtype: Any = None,
             layout: Any = None, device: Any = None, pin_memory: bool = False,
             requires_grad: bool = False) -> Tensor:
    """`steps` numbers, evenly spaced on a logarithmic scale, from base**start to base**end."""
    kind, start, end = _line("logspace", start, end, steps, dtype, device)
    precise = kind if kind.category <= dtypes.INTEGER or kind.is_complex else dtypes.float64
    powers: Any = _spaced(start, end, steps, precise)
    base = np.asarray(float(base)) if type(powers) is np.ndarray else float(base)
    found: Any = _in(base ** powers, kind)
    return found if type(found) is not np.ndarray else new_leaf(found, requires_grad)


def _line(name: str, start: Any, end: Any, steps: Any, dtype: Any,
          device: Any) -> tuple[dtypes.dtype, Any, Any]:
    """The dtype, start and end, checked."""
    check_device(device)
    if type(steps) is int and steps >= 0 and _REAL.issuperset((type(start), type(end))):
        return dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype), start, end
    if isinstance(steps, (bool, float)) or not hasattr(steps, "__index__") or not all(
            isinstance(v, Handle) or is_number(v) for v in (start, end)):
        given = ", ".join(type(v).__name__ for v in (start, end, steps))
        raise TypeError(f"{name}() received an invalid combination of arguments - got ({given}), "
                        "but expected two numbers (or Tensors) and an int")
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    for word, value in (("start", start), ("end", end)):
        if isinstance(value, Handle) and value.aval.ndim:
            raise RuntimeError(f"{name} only supports 0-dimensional start and end tensors, but got "
                               f"{word} with {value.aval.ndim} dimension(s).")
    if dtype is not None:
        return dtypes.of(dtype), _end(start), _end(end)
    kind = dtypes.get_default_dtype()
    if any(_is_complex(v) for v in (start, end)):
        kind = kind.to_complex()
    return kind, _end(start), _end(end)


def _is_complex(value: Any) -> bool:
    return value.aval.is_complex if isinstance(value, Handle) else isinstance(value, complex)


def _end(value: Any) -> Any:
    """A number; a tensor only where it stands for several."""
    if isinstance(value, Handle) and value.aval.level is not None:
        return p.reshape(value.aval.level.detach(value), shape=(1,))
    return number_in(value)


def _spaced(start: Any, end: Any, steps: int, kind: dtypes.dtype) -> Any:
    """Counted from the nearer end, in the dtype itself (or float64), as PyTorch does."""
    whole = kind.category <= dtypes.INTEGER
    inside = dtypes.float64 if whole else kind
    low, high = (_in(_in(v, kind) if whole else v, inside) for v in (start, end))
    if steps == 1:
        return low + np.zeros(1, inside.numpy)
    step = (high - low) / inside.numpy.type(max(steps - 1, 1))
    if not (isinstance(low, Handle) or isinstance(high, Handle)):
        return _from_both_ends(low, high, step, steps)
    i = np.arange(steps)
    front = low + step * i.astype(inside.numpy)
    back = high - step * (steps - 1 - i).astype(inside.numpy)
    return where(i < steps // 2, front, back)


def _from_both_ends(low: Any, high: Any, step: Any, steps: int) -> np.ndarray:
    """The same of numbers: low and on, and from the middle on what leads up to high."""
    half = steps // 2
    out: np.ndarray = _from_nearer_end(steps, low.dtype) * step
    front, back = out[:half], out[half:]
    front += low
    np.subtract(high, back, back)
    return out


@remembered
def _from_nearer_end(steps: int, kind: np.dtype[Any]) -> np.ndarray:
    """By place, how many there are to the nearer end."""
    half = steps // 2
    out = np.arange(steps).astype(kind)
    out[half:] = out[:steps - half][::-1]
    return out


def _in(value: Any, kind: dtypes.dtype) -> Any:
    """A number, array or tensor in a dtype."""
    if isinstance(value, Handle):
        return p.cast(value, dtype=kind)
    if type(value) is np.ndarray and value.dtype is kind.numpy:
        return value
    if kind.is_floating_point and type(value) in _REAL:
        return here.run(kind.numpy.type, value)
    return here.run(np.asarray(value).astype, kind.numpy)
