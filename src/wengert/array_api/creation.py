"""Making tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

import wengert as torch

from ..core.dtypes import dtype
from .dtypes import Bool

__all__ = [
    "arange", "asarray", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like",
    "linspace", "meshgrid", "ones", "ones_like", "tril", "triu", "zeros", "zeros_like",
]

Shape = int | tuple[int, ...]


def asarray(obj: Any, /, *, dtype: dtype | None = None, device: Any = None,
            copy: Bool | None = None) -> torch.Tensor:
    """Data as a tensor; arrays and tensors of the dtype share their memory unless `copy`.

    Raises:
        ValueError: if it must not be copied and has to be.
    """
    if not isinstance(obj, (torch.Tensor, np.ndarray, list, tuple)):
        obj = _in_buffer(obj)
    found = torch.as_tensor(obj, dtype=dtype, device=device)
    shares = found is obj or (hasattr(obj, "__array_interface__") and found.data_ptr() == (
        obj.__array_interface__["data"][0]))
    if copy is False and not shares:
        raise ValueError("asarray() has to copy this object, and copy=False forbids it")
    return found.clone() if copy and shares else found


def _in_buffer(obj: Any) -> Any:
    """The array in an object's memory, if it lends that; else the object."""
    try:
        return np.asarray(memoryview(obj))
    except TypeError:
        return obj


def arange(start: float, /, stop: float | None = None, step: float = 1, *,
           dtype: dtype | None = None, device: Any = None) -> torch.Tensor:
    """The numbers from start (0 by default) up to, and without, stop; none if stop lies behind."""
    first, last = (0, start) if stop is None else (start, stop)
    if (last - first) * step <= 0 and step:
        kinds = {type(v) for v in (first, last, step)}
        return torch.empty(0, dtype=dtype or (torch.int64 if kinds <= {int} else None),
                           device=device)
    return torch.arange(first, last, step, dtype=dtype, device=device)


def empty(shape: Shape, *, dtype: dtype | None = None, device: Any = None) -> torch.Tensor:
    """A tensor that is not initialised."""
    return torch.empty(shape, dtype=dtype, device=device)


def empty_like(x: torch.Tensor, /, *, dtype: dtype | None = None, device: Any = None
               ) -> torch.Tensor:
    """A tensor of a tensor's shape that is not initialised."""
    return torch.empty_like(x, dtype=dtype, device=device)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: dtype | None = None,
        device: Any = None) -> torch.Tensor:
    """A matrix with ones on the k-th diagonal."""
    n_cols = n_rows if n_cols is None else n_cols
    rows, columns = torch.arange(n_rows).unsqueeze(1), torch.arange(n_cols)
    return (columns - rows == k).to(dtype or torch.get_default_dtype(), device=device)


def from_dlpack(x: Any, /, *, device: Any = None, copy: Bool | None = None) -> torch.Tensor:
    """A tensor in the memory of another library's array."""
    return torch.from_dlpack(x, device=device, copy=copy)


def full(shape: Shape, fill_value: complex, *, dtype: dtype | None = None, device: Any = None
         ) -> torch.Tensor:
    """A tensor of one number."""
    shape = (shape,) if isinstance(shape, int) else shape
    return torch.full(shape, fill_value, dtype=dtype, device=device)


def full_like(x: torch.Tensor, /, fill_value: complex, *, dtype: dtype | None = None,
              device: Any = None) -> torch.Tensor:
    """A tensor of a tensor's shape, of one number."""
    return torch.full_like(x, fill_value, dtype=dtype, device=device)


def linspace(start: complex, stop: complex, /, num: int, *, dtype: dtype | None = None,
             device: Any = None, endpoint: Bool = True) -> torch.Tensor:
    """Numbers at equal distances, the last one included or not."""
    if dtype is None and isinstance(start + stop, complex):
        dtype = torch.get_default_dtype().to_complex()
    if endpoint:
        return torch.linspace(start, stop, num, dtype=dtype, device=device)
    return torch.linspace(start, stop, num + 1, dtype=dtype, device=device)[:-1]


def meshgrid(*arrays: torch.Tensor, indexing: str = "xy") -> tuple[torch.Tensor, ...]:
    """Coordinates of a grid from those along its axes."""
    return tuple(torch.meshgrid(*arrays, indexing=indexing))


def ones(shape: Shape, *, dtype: dtype | None = None, device: Any = None) -> torch.Tensor:
    """A tensor of ones."""
    return torch.ones(shape, dtype=dtype, device=device)


def ones_like(x: torch.Tensor, /, *, dtype: dtype | None = None, device: Any = None
              ) -> torch.Tensor:
    """A tensor of a tensor's shape, of ones."""
    return torch.ones_like(x, dtype=dtype, device=device)


def tril(x: torch.Tensor, /, *, k: int = 0) -> torch.Tensor:
    """The elements on and below the k-th diagonal of matrices; 0 elsewhere."""
    return torch.tril(x, k)


def triu(x: torch.Tensor, /, *, k: int = 0) -> torch.Tensor:
    """The elements on and above the k-th diagonal of matrices; 0 elsewhere."""
    return torch.triu(x, k)


def zeros(shape: Shape, *, dtype: dtype | None = None, device: Any = None) -> torch.Tensor:
    """A tensor of zeros."""
    return torch.zeros(shape, dtype=dtype, device=device)


def zeros_like(x: torch.Tensor, /, *, dtype: dtype | None = None, device: Any = None
               ) -> torch.Tensor:
    """A tensor of a tensor's shape, of zeros."""
    return torch.zeros_like(x, dtype=dtype, device=device)
