"""Making tensors, in PyTorch's words."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.aval import aval_of
from ..core.device import check_device
from ..core.handle import Alias, Handle, Results, Storage, wrap
from ..core.levels import concrete, here, made, numbers
from ..interpreters.tape import leaf_node
from ..primitives import layout
from .arguments import LOOKS, nonnegative, sizes
from .operators import is_number

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "arange", "as_tensor", "asarray", "empty", "empty_like", "eye", "from_numpy", "full",
    "full_like", "linspace", "logspace", "ones", "ones_like", "tensor", "zeros", "zeros_like",
]


def _plain(value: Any) -> Any:
    """A number, or the one in a tensor."""
    return value.item() if isinstance(value, Results.cls) else value


def new_leaf(array: np.ndarray, requires_grad: bool = False) -> Tensor:
    """A tensor round a new array.

    Raises:
        RuntimeError: if it is to require grad and its dtype can't.
    """
    out = made(wrap(array, aval_of(array)))
    if here.inference:
        out.alias = Alias(Storage(inference=True))
    if requires_grad:
        if not out.aval.dtype.differentiable:
            raise RuntimeError("Only Tensors of floating point and complex dtype can require "
                               "gradients")
        require_grad(out)
    return out


def require_grad(x: Any) -> None:
    """Makes a leaf collect gradients."""
    if not x.aval.dtype.differentiable:
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    x.node = leaf_node(x)


def _kind(dtype: Any, default: dtypes.dtype | None = None) -> np.dtype[Any]:
    return (default or dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)).numpy


# --- from data --------------------------------------------------------------------------------


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
           pin_memory: bool = False) -> Tensor:
    """A new tensor with a copy of the data.

    Args:
        data: a number, nested sequences of numbers (or of tensors of one element), an array, or
            a tensor.
        dtype: inferred from the data by default; Python floats get the default dtype.
        device: "cpu" or None.
        requires_grad: whether operations on it are recorded.
        pin_memory: ignored.

    Raises:
        ValueError: for ragged sequences.
        TypeError: for data that are not numbers.
        RuntimeError: if a dtype that has no gradients is to require grad.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([[1., 2.], [3., 4.]])
        tensor([[1., 2.],
                [3., 4.]])
    """
    check_device(device)
    if isinstance(data, Handle):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach()."
            "clone() or sourceTensor.detach().clone().requires_grad_(True), rather than "
            "torch.tensor(sourceTensor).", UserWarning, stacklevel=2)
    return new_leaf(array_from(data, dtype, copy=True), requires_grad)


def array_from(data: Any, dtype: Any = None, *, copy: bool = False) -> np.ndarray:
    """Data as an array of one of our dtypes."""
    if isinstance(data, Handle):
        data = concrete(data, LOOKS)
    if isinstance(data, (np.ndarray, np.generic)):
        return _from_array(np.asarray(data), dtype, copy)
    kind = None if dtype is None else dtypes.of(dtype)
    return _from_sequence(data, kind)


def _from_array(array: np.ndarray, dtype: Any, copy: bool) -> np.ndarray:
    kind = dtypes.of(array.dtype) if dtype is None else dtypes.of(dtype)  # refuses object arrays
    with np.errstate(all="ignore"):
        return np.array(array, kind.numpy, order="K", copy=True if copy else None)


def _from_sequence(data: Any, kind: dtypes.dtype | None) -> np.ndarray:
    shape = _shape_of(data)
    flat: list[Any] = []
    _flatten(data, shape, 0, flat)
    if kind is None:
        kind = _inferred(flat)
    return _filled(flat, kind).reshape(shape)


def _shape_of(data: Any) -> tuple[int, ...]:
    """The shape that the first elements tell; whether all agree is seen in flattening."""
    shape: list[int] = []
    while isinstance(data, (list, tuple, range)) or _is_inner_array(data):
        if _is_inner_array(data):
            return (*shape, *np.shape(numbers(data)))
        shape.append(len(data))
        if not len(data):
            break
        data = data[0]
    return tuple(shape)


def _is_inner_array(data: Any) -> bool:
    return isinstance(data, (Handle, np.ndarray))


def _flatten(data: Any, shape: tuple[int, ...], dim: int, into: list[Any]) -> None:
    if isinstance(data, (Handle, np.ndarray)):
        array = np.asarray(getattr(data, "value", data))
        if array.shape != shape[dim:]:
            if array.ndim and dim == len(shape):
                raise ValueError("only one element tensors can be converted to Python scalars")
            raise _ragged(shape, dim, len(array) if array.ndim else 0)
        into.extend(array.reshape(-1))
    elif dim == len(shape):
        into.append(_number(data, dim))
    elif not isinstance(data, (list, tuple, range)):
        raise TypeError(f"not a sequence: {type(data).__name__}" if not is_number(data) else
                        "not a sequence")
    elif len(data) != shape[dim]:
        raise _ragged(shape, dim, len(data))
    else:
        for item in data:
            _flatten(item, shape, dim + 1, into)


def _ragged(shape: tuple[int, ...], dim: int, got: int) -> ValueError:
    return ValueError(f"expected sequence of length {shape[dim]} at dim {dim} (got {got})")


def _number(value: Any, dim: int = 0) -> Any:
    if is_number(value):
        return value
    if isinstance(value, (list, tuple)):
        raise TypeError(f"must be real number, not {type(value).__name__}")
    if isinstance(value, str) and dim:
        raise ValueError("too many dimensions 'str'")
    if isinstance(value, str):
        raise TypeError("new(): invalid data type 'str'")
    if value is None:
        raise RuntimeError("Could not infer dtype of NoneType")
    for name in ("__float__", "__index__"):
        if hasattr(value, name):
            return float(value) if name == "__float__" else value.__index__()
    raise RuntimeError(f"Could not infer dtype of {type(value).__name__}")


def _inferred(flat: list[Any]) -> dtypes.dtype:
    kinds = {type(v) for v in flat}
    kind: dtypes.dtype | None = None
    for one in kinds:
        this = dtypes.of(np.dtype(one)) if issubclass(one, np.generic) else dtypes.of_number(one())
        kind = this if kind is None else dtypes.promote(kind, this)
    return dtypes.get_default_dtype() if kind is None else kind


def _filled(flat: list[Any], kind: dtypes.dtype) -> np.ndarray:
    if not kind.is_complex and any(isinstance(v, (complex, np.complexfloating)) for v in flat):
        raise TypeError("must be real number, not complex")
    try:
        with np.errstate(all="ignore"):
            if kind.category == dtypes.INTEGER:
                return _integers([int(v) for v in flat], kind)
            return np.array(flat, kind.numpy)
    except OverflowError:
        raise ValueError("Overflow when unpacking long long") from None
    except ValueError as error:
        raise ValueError(str(error)) from None


def _integers(flat: list[int], kind: dtypes.dtype) -> np.ndarray:
    least, most = np.iinfo(kind.numpy).min, np.iinfo(kind.numpy).max
    if any(not least <= v <= most for v in flat):
        if kind is dtypes.int64:
            raise OverflowError
        raise RuntimeError(f"value cannot be converted to type {kind.numpy}_t without overflow")
    return np.array(flat, kind.numpy)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Data as a tensor, sharing memory where they are a tensor or array of the dtype already."""
    check_device(device)
    if isinstance(data, Handle):
        kind = data.aval.dtype if dtype is None else dtypes.of(dtype)
        return data if kind is data.aval.dtype else layout.cast(data, dtype=kind)  # type: ignore[return-value]
    out = wrap(array_from(data, dtype))
    return out if isinstance(data, np.ndarray) else made(out)


asarray = as_tensor


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor that shares an array's memory: writes to one are seen in the other.

    Raises:
        TypeError: for what is no array, or has a dtype that tensors lack.

    Example:
        >>> import numpy as np, wengert as torch
        >>> a = np.zeros(2); x = torch.from_numpy(a); a[0] = 1; x
        tensor([1., 0.], dtype=torch.float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    if not ndarray.flags.writeable:
        warnings.warn("The given NumPy array is not writable: writing to the tensor will be "
                      "refused. Copy the array, or make it writable, if you need to.",
                      UserWarning, stacklevel=2)
    if any(s < 0 for s in ndarray.strides):
        raise ValueError("At least one stride in the given numpy array is negative, and tensors "
                         "with negative strides are not currently supported. (You can probably "
                         "work around this by making a copy of your array  with array.copy().) ")
    dtypes.of(ndarray.dtype)
    return wrap(ndarray.view(np.ndarray))


# --- filled -----------------------------------------------------------------------------------


def _maker(name: str, make: Callable[..., np.ndarray], says: str) -> Callable[..., Tensor]:
    def function(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False,
                 **ignored: Any) -> Tensor:
        check_device(device)
        shape = nonnegative(sizes((ignored.pop("size"),) if "size" in ignored else size))
        return new_leaf(make(shape, _kind(dtype)), requires_grad)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"A tensor {says}.\n\nArgs:\n    size: ints, or one sequence of them.\n    dtype: the "
        "default dtype, if None.\n    device: \"cpu\" or None.\n    requires_grad: whether "
        "operations on it are recorded.\n\nRaises:\n    RuntimeError: for a negative size.\n")
    return function


zeros = _maker("zeros", np.zeros, "of zeros")
ones = _maker("ones", np.ones, "of ones")
empty = _maker("empty", np.empty, "whose elements are whatever the memory holds")


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None,
         requires_grad: bool = False) -> Tensor:
    """A tensor with one value throughout; its dtype is the value's, if none is given.

    Example:
        >>> import wengert as torch
        >>> torch.full((2,), 7)
        tensor([7, 7])
    """
    check_device(device)
    fill_value = _plain(fill_value)
    if not is_number(fill_value):
        raise TypeError("full(): argument 'fill_value' (position 2) must be Number, not "
                        f"{type(fill_value).__name__}")
    kind = dtypes.of_number(fill_value) if dtype is None else dtypes.of(dtype)
    array = np.full(nonnegative(sizes((size,))), fill_value, kind.numpy)
    return new_leaf(array, requires_grad)


def _like(name: str, make: Callable[..., Tensor], says: str) -> Callable[..., Tensor]:
    def function(input: Any, *, dtype: Any = None, device: Any = None,
                 requires_grad: bool = False, **ignored: Any) -> Tensor:
        if not isinstance(input, Handle):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not "
                            f"{type(input).__name__}")
        kind = input.aval.dtype if dtype is None else dtype
        return make(*input.aval.shape, dtype=kind, device=device, requires_grad=requires_grad)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"A tensor {says}, of the shape and dtype of `input`."
    return function


zeros_like, ones_like = _like("zeros_like", zeros, "of zeros"), _like("ones_like", ones, "of ones")
empty_like = _like("empty_like", empty, "that is not initialised")


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None,
              requires_grad: bool = False) -> Tensor:
    """A tensor with one value throughout, of the shape and dtype of `input`."""
    kind = input.aval.dtype if dtype is None else dtype
    return full(input.aval.shape, fill_value, dtype=kind, device=device,
                requires_grad=requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None,
        requires_grad: bool = False) -> Tensor:
    """A matrix with ones on the diagonal.

    Raises:
        RuntimeError: for a negative size.
    """
    check_device(device)
    for name, size in (("n", n), ("m", n if m is None else m)):
        if size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    return new_leaf(np.eye(n, m, dtype=_kind(dtype)), requires_grad)


# --- ranges -----------------------------------------------------------------------------------


def arange(start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
           requires_grad: bool = False) -> Tensor:
    """The numbers from start (0 by default) up to, and without, end.

    Args:
        start: a number; the end, if it is the only one.
        end: a number.
        step: a number, not 0.
        dtype: int64 if all are ints, else the default dtype.
        device: "cpu" or None.
        requires_grad: whether operations on it are recorded.

    Raises:
        RuntimeError: for a step of 0, or of the wrong sign.

    Example:
        >>> import wengert as torch
        >>> torch.arange(4.0)
        tensor([0., 1., 2., 3.])
    """
    check_device(device)
    if end is None:
        start, end = 0, start
    start, end, step = (_plain(v) for v in (start, end, step))
    for value in (start, end, step):
        if not is_number(value) or (isinstance(value, complex) and not isinstance(value, float)):
            raise TypeError("arange() received an invalid combination of arguments - got a "
                            f"{type(value).__name__} where a number was expected")
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not all(map(math.isfinite, (start, end))):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    kind = _kind(dtype, dtypes.int64 if whole else None)
    count = -(-(end - start) // step) if whole else math.ceil((end - start) / step)
    return new_leaf(_stepped(start, step, int(count), kind), requires_grad)


def _stepped(start: Any, step: Any, count: int, kind: np.dtype[Any]) -> np.ndarray:
    """start + i step, worked out in float64 (or int64) and rounded once."""
    steps = np.arange(count, dtype=np.int64 if isinstance(step, int) and isinstance(
        start, int) else np.float64)
    return here.run((start + steps * step).astype, kind)


def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:
    """`steps` numbers, evenly spaced, from start to end with both.

    Raises:
        RuntimeError: for a negative number of steps.

    Example:
        >>> import wengert as torch
        >>> torch.linspace(0, 1, 5)
        tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    check_device(device)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    kind = _kind(dtype)
    start, end = (_plain(v) for v in (start, end))
    return new_leaf(_spaced(start, end, int(steps), kind), requires_grad)


def _spaced(start: Any, end: Any, steps: int, kind: np.dtype[Any]) -> np.ndarray:
    """Counted from the nearer end, in the dtype itself, as PyTorch does."""
    if steps == 1:
        return np.asarray([start], kind)
    if kind.kind not in "fc":
        return here.run(np.linspace(start, end, steps).astype, kind)
    low, high = np.asarray(start, kind), np.asarray(end, kind)
    step = (high - low) / np.asarray(max(steps - 1, 1), kind)
    i = np.arange(steps)
    front = low + step * i.astype(kind)
    back = high - step * (steps - 1 - i).astype(kind)
    return np.where(i < steps // 2, front, back).astype(kind)


def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None,
             device: Any = None, requires_grad: bool = False) -> Tensor:
    """`steps` numbers, evenly spaced on a logarithmic scale, from base**start to base**end."""
    check_device(device)
    powers = _spaced(start, end, int(steps), np.dtype(np.float64))
    return new_leaf(np.power(float(base), powers).astype(_kind(dtype)), requires_grad)


