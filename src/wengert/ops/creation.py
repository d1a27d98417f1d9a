"""Making tensors, in PyTorch's words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.aval import aval_of
from ..core.device import check_device
from ..core.formats import contiguous_format, preserve_format
from ..core.handle import Alias, Handle, Results, Storage, wrap
from ..core.levels import concrete, here, made, numbers, shared
from ..core.provenance import HISTORY_IS_LOST, warn, warn_once
from ..interpreters.tape import leaf_node
from ..primitives import layout
from ..primitives.layout import copied_order, inverse_order
from ..primitives.strides import reach
from .arguments import LOOKS, created, need_tensor, nonnegative, sizes
from .operators import is_number, number_array

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "as_tensor", "asarray", "empty", "empty_like", "empty_permuted", "empty_strided", "eye",
    "frombuffer", "full", "full_like", "ones", "ones_like", "scalar_tensor", "tensor", "zeros",
    "zeros_like",
]


def number_in(value: Any) -> Any:
    """A number, or the one in a tensor, unless its gradient would be lost."""
    return value.item() if isinstance(value, Results.cls) and not value.requires_grad else value


def new_leaf(array: np.ndarray, requires_grad: bool = False) -> Tensor:
    """A tensor round a new array.

    Raises:
        RuntimeError: if it is to require grad and its dtype can't.
    """
    out = wrap(array, aval_of(array))
    if not (shared.special or requires_grad):
        return out
    made(out)
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
    if dtype is None:
        return (default or dtypes.get_default_dtype()).numpy
    return dtypes.of(dtype).numpy


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
    return new_leaf(array_of_its_own("torch.tensor", data, dtype), requires_grad)


def array_of_its_own(word: str, data: Any, dtype: Any) -> np.ndarray:
    """Data as a new array; warns where `detach` and `clone` say that better."""
    if isinstance(data, Handle):
        warn("To copy construct from a tensor, it is recommended to use sourceTensor.detach()."
             "clone() or sourceTensor.detach().clone().requires_grad_(True), rather than "
             f"{word}(sourceTensor).")
    return array_from(data, dtype, copy=True)


def array_from(data: Any, dtype: Any = None, *, copy: bool = False) -> np.ndarray:
    """Data as an array of one of our dtypes."""
    if isinstance(data, Handle):
        data = concrete(data, LOOKS)
    if hasattr(type(data), "__array__"):  # an array, or what can be one, as a column of a table
        return _from_array(np.asarray(data), dtype, copy)
    kind = None if dtype is None else dtypes.of(dtype)
    return _from_sequence(data, kind)


def _from_array(array: np.ndarray, dtype: Any, copy: bool) -> np.ndarray:
    kind = dtypes.of(array.dtype) if dtype is None else dtypes.of(dtype)  # refuses object arrays
    if not copy:
        refuse_negative(array)
    return here.run(np.array, array, kind.numpy, order="K", copy=True if copy else None)


def refuse_negative(array: np.ndarray) -> None:
    """Refuses an array in whose memory a tensor can't lie.

    Raises:
        ValueError: for negative strides.
    """
    if array.ndim and min(array.strides) < 0:
        raise ValueError("At least one stride in the given numpy array is negative, and tensors "
                         "with negative strides are not currently supported. (You can probably "
                         "work around this by making a copy of your array  with array.copy().) ")


def _from_sequence(data: Any, kind: dtypes.dtype | None) -> np.ndarray:
    flat, shape, kinds = _unnested(data) or _flattened(data)
    if kind is None:
        kind = _inferred(kinds)
    array = _filled(flat, kinds, kind)
    return array if len(shape) == 1 else array.reshape(shape)


_Flat = tuple[list[Any], tuple[int, ...], set[type]]
"""Numbers, the shape that they are to have, and their types."""
_NUMBERS = {bool, int, float, complex}
_SEQUENCES = {list, tuple}
_MOST_DIMENSIONS = 64  # NumPy's


def _unnested(data: Any) -> _Flat | None:
    """The Python numbers in lists of equal lengths; None if there is anything else in them."""
    level: list[Any] = [data]
    shape: list[int] = []
    while True:
        kinds = set(map(type, level))
        if kinds <= _NUMBERS:
            return level, tuple(shape), kinds
        lengths = set(map(len, level)) if kinds <= _SEQUENCES else ()
        if len(lengths) != 1 or len(shape) > _MOST_DIMENSIONS:
            return None
        shape += lengths
        level = list(chain.from_iterable(level))


def _flattened(data: Any) -> _Flat:
    """The numbers in whatever can be made a tensor.

    Raises:
        ValueError, TypeError, RuntimeError: for what can't.
    """
    shape = _shape_of(data)
    flat: list[Any] = []
    _flatten(data, shape, 0, flat)
    return flat, shape, set(map(type, flat))


def _shape_of(data: Any) -> tuple[int, ...]:
    """The shape that the first elements tell; whether all agree is seen in flattening."""
    shape: list[int] = []
    while _is_sequence(data) or _is_inner_array(data):
        if _is_inner_array(data):
            return (*shape, *np.shape(numbers(data)))
        shape.append(len(data))
        if len(shape) > _MOST_DIMENSIONS:  # as of a list that holds itself
            raise ValueError("too many dimensions in nested lists")
        if not len(data):
            break
        data = data[0]
    return tuple(shape)


def _is_sequence(data: Any) -> bool:
    """Whether data are a list or the like, as the arrays of the module `array` are."""
    return isinstance(data, (list, tuple)) or (
        isinstance(data, Sequence) and not isinstance(data, (str, bytes)))


def _is_inner_array(data: Any) -> bool:
    return isinstance(data, (Handle, np.ndarray))


def _flatten(data: Any, shape: tuple[int, ...], dim: int, into: list[Any]) -> None:
    if isinstance(data, (Handle, np.ndarray)):
        array = np.asarray(getattr(data, "value", data))
        if array.shape != shape[dim:]:
            if array.ndim and dim == len(shape):
                raise ValueError("only one element tensors can be converted to Python scalars")
            raise _ragged(shape, dim, len(array) if array.ndim else 0)
        if here.grad and isinstance(data, Results.cls) and data.requires_grad:
            warn_once(HISTORY_IS_LOST)
        into.extend(array.reshape(-1))
    elif dim == len(shape):
        into.append(_number(data, dim, into))
    elif not _is_sequence(data):
        raise TypeError(f"not a sequence: {type(data).__name__}" if not is_number(data) else
                        "not a sequence")
    elif len(data) != shape[dim]:
        raise _ragged(shape, dim, len(data))
    else:
        for item in data:
            _flatten(item, shape, dim + 1, into)


def _ragged(shape: tuple[int, ...], dim: int, got: int) -> ValueError:
    return ValueError(f"expected sequence of length {shape[dim]} at dim {dim} (got {got})")


def _number(value: Any, dim: int, before: list[Any]) -> Any:
    if is_number(value):
        return value
    if isinstance(value, (list, tuple)):
        name = type(value).__name__
        raise TypeError(f"'{name}' object cannot be interpreted as an integer" if isinstance(
            before[0], int) else f"must be real number, not {name}")
    if isinstance(value, str) and dim and not before:
        raise ValueError("too many dimensions 'str'")
    if isinstance(value, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(value).__name__}'")
    if value is None:
        raise RuntimeError("Could not infer dtype of NoneType")
    for name in ("__float__", "__index__"):
        if hasattr(value, name):
            return float(value) if name == "__float__" else value.__index__()
    raise RuntimeError(f"Could not infer dtype of {type(value).__name__}")


_EXACT = {bool: dtypes.bool_, int: dtypes.int64}
_COMPLEX = {complex, np.complex64, np.complex128}


def _inferred(kinds: set[type]) -> dtypes.dtype:
    kind: dtypes.dtype | None = None
    for one in kinds:
        this = _EXACT.get(one) or (
            dtypes.of(np.dtype(one)) if issubclass(one, np.generic) else dtypes.of_number(one()))
        kind = this if kind is None else dtypes.promote(kind, this)
    return dtypes.get_default_dtype() if kind is None else kind


def _filled(flat: list[Any], kinds: set[type], kind: dtypes.dtype) -> np.ndarray:
    if not (kind.is_complex or kinds.isdisjoint(_COMPLEX)):
        raise TypeError("must be real number, not complex")
    try:
        if kind.category == dtypes.INTEGER and not (kinds == {int} and kind is dtypes.int64):
            return _integers([int(v) for v in flat], kind)
        return here.run(np.array, flat, kind.numpy)
    except OverflowError:
        raise ValueError("Overflow when unpacking long long") from None
    except ValueError as error:
        raise ValueError(str(error)) from None


def _integers(flat: list[int], kind: dtypes.dtype) -> np.ndarray:
    least, most = np.iinfo(kind.numpy).min, np.iinfo(kind.numpy).max
    if any(not least <= v <= most for v in flat):
        if kind is dtypes.int64:
            raise OverflowError
        raise RuntimeError(f"value cannot be converted to type {kind.numpy} without overflow")
    return np.array(flat, kind.numpy)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Data as a tensor, sharing memory where they are a tensor or array of the dtype already."""
    check_device(device)
    if isinstance(data, Handle):
        kind = data.aval.dtype if dtype is None else dtypes.of(dtype)
        return data if kind is data.aval.dtype else layout.cast(data, dtype=kind)  # type: ignore[return-value]
    out = wrap(array_from(data, dtype))
    return out if isinstance(data, np.ndarray) else made(out)


def asarray(obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None,
            requires_grad: bool = False) -> Tensor:
    """Data as a tensor, in the same memory where that can be.

    Args:
        obj: a tensor, an array, what has the buffer protocol, a number or sequences of numbers.
        dtype: what the data have, if None.
        device: "cpu" or None.
        copy: whether memory is copied; None for only if it must be, False for never.
        requires_grad: whether operations on it are recorded. A tensor's history is dropped if not.

    Raises:
        ValueError: if memory can't be shared, and is not to be copied.
    """
    check_device(device)
    if isinstance(obj, Handle):
        out = _of_tensor(obj, dtype, copy)
        return out.detach() if not requires_grad and out.requires_grad else _asking(
            out, requires_grad)
    if _is_memory(obj):
        found: Any = frombuffer(obj, dtype=dtypes.get_default_dtype() if dtype is None else dtype)
        return _asking(layout.clone(found) if copy else found, requires_grad)
    if copy is False and not isinstance(obj, np.ndarray):
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    array = array_from(obj, dtype, copy=bool(copy))
    if copy is False and array.dtype != obj.dtype:
        raise ValueError(f"can't alias tensor with dtype '{dtypes.of(obj.dtype).words}' into dtype "
                         f"'{dtypes.of(dtype).words}'.")
    return _asking(wrap(array), requires_grad)


def _is_memory(obj: Any) -> bool:
    """Whether an object shows its memory as bytes, and is nothing of NumPy's."""
    if isinstance(obj, (np.ndarray, np.generic)):
        return False
    try:
        memoryview(obj)
    except TypeError:
        return False
    return True


def _of_tensor(x: Any, dtype: Any, copy: bool | None) -> Any:
    kind = x.aval.dtype if dtype is None else dtypes.of(dtype)
    if kind is x.aval.dtype:
        return layout.clone(x) if copy else x
    if copy is False:
        raise ValueError(f"can't alias tensor with dtype '{x.aval.dtype.words}' into dtype "
                         f"'{kind.words}'.")
    return layout.cast(x, dtype=kind)


def _asking(x: Any, requires_grad: bool) -> Any:
    return x.requires_grad_() if requires_grad and not x.requires_grad else x


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0,
               requires_grad: bool = False) -> Tensor:
    """The memory of an object with the buffer protocol, as a vector.

    Args:
        buffer: bytes, a bytearray, a memoryview and the like. Tensors of what may not be written
            refuse to be written.
        dtype: how the bytes are read.
        count: how many elements; as many as there are, if negative.
        offset: bytes before the first.
        requires_grad: whether operations on it are recorded.

    Raises:
        ValueError: if the bytes do not suffice, or are no whole number of elements.

    Example:
        >>> import wengert as torch
        >>> torch.frombuffer(bytearray(b"ab"), dtype=torch.uint8)
        tensor([97, 98], dtype=torch.uint8)
    """
    kind = dtypes.of(dtype)
    try:
        given = memoryview(buffer)
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    length, each = given.nbytes, kind.itemsize
    if length == 0 or count == 0:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(f"offset ({offset} bytes) must be non-negative and no greater than buffer "
                         f"length ({length} bytes) minus 1")
    if count > 0 and offset + count * each > length:
        raise ValueError(f"requested buffer length ({count} * {each} bytes) after offset ({offset} "
                         "bytes) must not be greater than actual buffer length "
                         f"({length} bytes)")
    if count < 0 and (length - offset) % each:
        raise ValueError(f"buffer length ({length - offset} bytes) after offset ({offset} bytes) "
                         f"must be a multiple of element size ({each})")
    array = np.frombuffer(buffer, kind.numpy, count, offset)
    if given.readonly:
        warn("The given buffer is not writable: writing to the tensor will be refused.")
    return _asking(wrap(array), requires_grad)


def scalar_tensor(s: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
                  pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """A number as a tensor without dimensions; of the default dtype, unless another is given."""
    check_device(device)
    default = dtypes.get_default_dtype()
    kind = dtypes.of(dtype) if dtype is not None else (
        default.to_complex() if isinstance(s, complex) and not isinstance(s, float) else default)
    return new_leaf(number_array(number_in(s), kind), requires_grad)


# --- filled -----------------------------------------------------------------------------------


def _maker(name: str, make: Callable[..., np.ndarray], says: str) -> Callable[..., Tensor]:
    def function(*size: Any, dtype: Any = None, layout: Any = None, device: Any = None,
                 pin_memory: bool = False, requires_grad: bool = False, **others: Any) -> Tensor:
        if device is not None:
            check_device(device)
        order = None
        if others:
            order = others.pop("memory_format", None)
            size = named_size(name, size, others)
        array = make(created(size), _kind(dtype))
        return new_leaf(array if order is None else in_order(array, order), requires_grad)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"A tensor {says}.\n\nArgs:\n    size: ints, or one sequence of them.\n    dtype: the "
        "default dtype, if None.\n    layout: ignored.\n    device: \"cpu\" or None.\n    "
        "pin_memory: ignored.\n    requires_grad: whether operations on it are recorded.\n    "
        "others: `memory_format`, the order in memory.\n\nRaises:\n    RuntimeError: for a "
        "negative size.\n")
    return function


def named_size(name: str, size: Any, others: dict[str, Any]) -> Any:
    """The size, which alone may be among the other keywords."""
    if "size" in others:
        size = (others.pop("size"),)
    if others:
        raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(others))}'")
    return size


def in_order(array: np.ndarray, order: Any) -> np.ndarray:
    """An array of the same shape whose dimensions lie in memory in a format's order."""
    if order in (preserve_format, contiguous_format):
        return array
    dims = order.order(array.ndim)
    return np.ascontiguousarray(array.transpose(dims)).transpose(inverse_order(dims))


def _full(shape: tuple[int, ...], kind: np.dtype[Any], number: Any = 1) -> np.ndarray:
    """`numpy.full`, at half the cost for few."""
    found = np.empty(shape, kind)
    found[...] = number
    return found


zeros = _maker("zeros", np.zeros, "of zeros")
ones = _maker("ones", _full, "of ones")
empty = _maker("empty", np.empty, "whose elements are whatever the memory holds")


def full(size: Any, fill_value: Any, *, dtype: Any = None, layout: Any = None,
         device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """A tensor with one value throughout; its dtype is the value's, if none is given.

    Example:
        >>> import wengert as torch
        >>> torch.full((2,), 7)
        tensor([7, 7])
    """
    check_device(device)
    if not isinstance(size, (tuple, list)):
        raise TypeError("full(): argument 'size' (position 1) must be tuple of ints, not "
                        f"{type(size).__name__}")
    value = _filling(fill_value, dtype)
    return new_leaf(_full(created(size), value.dtype, value), requires_grad)


def _filling(value: Any, dtype: Any) -> np.ndarray:
    """A number to fill a tensor with, as an array."""
    value = number_in(value)
    if not is_number(value):
        raise TypeError("full(): argument 'fill_value' (position 2) must be Number, not "
                        f"{type(value).__name__}")
    return number_array(value, dtypes.of_number(value) if dtype is None else dtypes.of(dtype))


def _like(name: str, make: Callable[..., np.ndarray], make_like: Callable[..., np.ndarray],
          says: str) -> Callable[..., Tensor]:
    def function(input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
                 requires_grad: bool = False, memory_format: Any = preserve_format,
                 pin_memory: bool = False) -> Tensor:
        check_device(device)
        model, kind, order = _model(name, input, dtype, memory_format)
        if order == "K" and model.flags.c_contiguous:
            return new_leaf(make(model.shape, kind), requires_grad)
        return new_leaf(in_order(make_like(model, kind, order), memory_format), requires_grad)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (f"A tensor {says}, of the shape, dtype and order in memory of `input` "
                        "unless others are given.")
    return function


def _model(name: str, x: Any, dtype: Any, memory_format: Any) -> tuple[Any, Any, Any]:
    """An array for NumPy to make another like, a dtype, and the order to make it in."""
    need_tensor(name, x)
    kind = (x.aval.dtype if dtype is None else dtypes.of(dtype)).numpy
    if x.aval.level is None and memory_format is preserve_format:
        return x.value, kind, copied_order(x.value)
    return np.broadcast_to(x.aval.plain.zero, x.aval.shape), kind, "C"


zeros_like = _like("zeros_like", np.zeros, np.zeros_like, "of zeros")
ones_like = _like("ones_like", _full, np.ones_like, "of ones")
empty_like = _like("empty_like", np.empty, np.empty_like,
                   "that is not initialised")


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, layout: Any = None,
              device: Any = None, requires_grad: bool = False,
              memory_format: Any = preserve_format, pin_memory: bool = False) -> Tensor:
    """A tensor with one value throughout, of the shape, dtype and order in memory of `input`."""
    check_device(device)
    model, kind, order = _model("full_like", input, dtype, memory_format)
    value = _filling(fill_value, kind)
    if order == "K" and model.flags.c_contiguous:
        return new_leaf(_full(model.shape, kind, value), requires_grad)
    found = np.full_like(model, value, kind, order)
    return new_leaf(in_order(found, memory_format), requires_grad)


def empty_strided(size: Any, stride: Any, *, dtype: Any = None, layout: Any = None,
                  device: Any = None, requires_grad: bool = False,
                  pin_memory: bool = False) -> Tensor:
    """A tensor that is not initialised, whose neighbours lie so many elements apart.

    Raises:
        RuntimeError: unless there is a stride for each size, and neither is negative.
    """
    check_device(device)
    shape, steps = sizes((size,)), sizes((stride,))
    if len(shape) != len(steps):
        raise RuntimeError(f"dimensionality of sizes ({len(shape)}) must match dimensionality of "
                           f"strides ({len(steps)})")
    kind = _kind(dtype)
    memory = np.empty(reach(nonnegative(shape), nonnegative(steps), 0), kind)
    return new_leaf(np.ndarray(shape, kind, memory, 0, tuple(n * kind.itemsize for n in steps)),
                    requires_grad)


def empty_permuted(size: Any, physical_layout: Any, *, dtype: Any = None, layout: Any = None,
                   device: Any = None, requires_grad: bool = False,
                   pin_memory: bool = False) -> Tensor:
    """A tensor that is not initialised, whose dimensions lie in memory in a given order.

    Raises:
        RuntimeError: unless the order names each dimension once.
    """
    check_device(device)
    shape, order = created(size), sizes((physical_layout,))
    if len(shape) != len(order):
        raise RuntimeError("Number of dimensions in size does not match the length of the "
                           f"physical_layout; i.e. len(size) = {len(shape)} is not equal to "
                           f"len(physical_layout) = {len(order)}")
    for i, d in enumerate(order):
        if not 0 <= d < len(shape):
            raise RuntimeError("Dimension out of range (expected to be between 0 and "
                               f"{len(shape) - 1}, but got {d} at index {i}).  NB: negative dims "
                               "not currently supported; file an issue if you want it.")
    if len(set(order)) != len(order):
        raise RuntimeError("Duplicate dim not allowed")
    memory = np.empty(tuple(shape[d] for d in order), _kind(dtype))
    return new_leaf(memory.transpose(inverse_order(order)), requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, layout: Any = None,
        device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """A matrix with ones on the diagonal.

    Raises:
        RuntimeError: for a negative size.
    """
    check_device(device)
    for name, size in (("n", n), ("m", n if m is None else m)):
        if size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    columns = n if m is None else m
    found = np.zeros((n, columns), _kind(dtype))
    found.reshape(-1)[:min(n, columns) * (columns + 1):columns + 1] = 1
    return new_leaf(found, requires_grad)
