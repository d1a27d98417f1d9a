"""Memory shared with other libraries: NumPy's arrays, DLPack's capsules, and plain bytes."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.device import CPU, check_device, device
from ..core.handle import wrap
from ..core.levels import concrete
from ..core.provenance import warn
from .arguments import LOOKS, need_tensor
from .creation import refuse_negative

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["from_dlpack", "from_numpy", "to_dlpack"]

DLPACK_CPU = (1, 0)
"""The CPU, as DLPack numbers devices."""


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor that shares an array's memory: writes to one are seen in the other.

    A read-only array makes a tensor that refuses to be written; PyTorch's would write.

    Raises:
        TypeError: for what is no array, or has a dtype that tensors lack.
        ValueError: for an array with negative strides, or bytes in another order than here.

    Example:
        >>> import numpy as np, wengert as torch
        >>> a = np.zeros(2); x = torch.from_numpy(a); a[0] = 1; x
        tensor([1., 0.], dtype=torch.float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    if not ndarray.flags.writeable:
        warn("The given NumPy array is not writable: writing to the tensor will be "
             "refused. Copy the array, or make it writable, if you need to.")
    dtypes.of(ndarray.dtype)
    refuse_negative(ndarray)
    if math.gcd(*ndarray.strides) % ndarray.itemsize:
        raise ValueError("given numpy array strides not a multiple of the element byte size. Copy "
                         "the numpy array to reallocate the memory.")
    if not ndarray.dtype.isnative:
        raise ValueError("given numpy array has byte order different from the native byte order. "
                         "Conversion between byte orders is currently not supported.")
    return wrap(ndarray.view(np.ndarray))


# --- DLPack -----------------------------------------------------------------------------------
# NumPy reads and writes its capsules. It knows no bfloat16: those travel as unsigned integers of
# the same width, and the byte of the capsule that says what the numbers are is written over.

_UNSIGNED, _BFLOAT = 1, 4
_NAMES = {b"dltensor": 20, b"dltensor_versioned": 52}
"""A capsule's name, and where in its memory that byte lies: after a pointer, a device and a rank,
with a version, two pointers and flags in front since the first numbered version."""


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor in the memory of another library's array (NumPy, PyTorch, JAX ...).

    Args:
        ext_tensor: an array with `__dlpack__`, or a DLPack capsule, which can be used once.
        device: "cpu" or None.
        copy: whether to copy: None if it must be, False never.

    Raises:
        RuntimeError: for what is neither, or a capsule that was used.
        BufferError: for memory that the CPU can't read, or a dtype that tensors lack.

    Example:
        >>> import numpy as np, wengert as torch
        >>> a = np.arange(3.); x = torch.from_dlpack(a); a += 1; x
        tensor([1., 2., 3.], dtype=torch.float64)
    """
    check_device(device)
    capsule = _capsule_of(ext_tensor, copy) if hasattr(ext_tensor, "__dlpack__") else ext_tensor
    if type(capsule).__name__ != "PyCapsule" or _name(capsule) not in _NAMES:
        raise RuntimeError("from_dlpack received an invalid capsule. Note that DLTensor capsules "
                           "can be consumed only once, so you might have already constructed a "
                           "tensor from it once.")
    code = _code(capsule)
    if code.value != _BFLOAT:
        array = np.from_dlpack(_Capsule(capsule))
    else:
        code.value = _UNSIGNED
        array = np.from_dlpack(_Capsule(capsule)).view(dtypes.bfloat16.numpy)
    return wrap(np.array(array) if copy else array)


def to_dlpack(tensor: Tensor) -> Any:
    """A DLPack capsule of a tensor's memory, which can be used once.

    Raises:
        BufferError: as `Tensor.__dlpack__`.
    """
    return dlpack(need_tensor("to_dlpack", tensor, "tensor"))


def dlpack(x: Any, stream: Any = None, max_version: tuple[int, int] | None = None,
           dl_device: tuple[Any, int] | None = None, copy: bool | None = None) -> Any:
    """A DLPack capsule: see `Tensor.__dlpack__`."""
    if x.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if x.aval.level is not None:
        raise BufferError(f"Can't export tensors inside {x.aval.level.word}: what is done with "
                          "them would be lost")
    if stream is not None and type(stream) is not int:
        raise TypeError("stream must be ``int`` or ``none``")
    if stream not in (None, -1):
        raise AssertionError("stream should be None on cpu.")
    if dl_device is not None and tuple(dl_device) != DLPACK_CPU:
        raise BufferError(f"tensors live on the CPU, and can't be exported to device {dl_device}")
    array = concrete(x, LOOKS)
    if x.aval.dtype is not dtypes.bfloat16:
        return array.__dlpack__(max_version=max_version, copy=copy)
    capsule = array.view(np.uint16).__dlpack__(max_version=max_version, copy=copy)
    _code(capsule).value = _BFLOAT
    return capsule


class _Capsule:
    """A capsule as NumPy wants it: behind the methods of an array."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **asked: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return DLPACK_CPU


def _capsule_of(source: Any, copy: bool | None) -> Any:
    """What another library's array gives, which may know an older protocol."""
    kind, _ = source.__dlpack_device__()
    if kind != DLPACK_CPU[0]:
        raise BufferError(f"the array lies on a device (of DLPack's kind {int(kind)}) whose memory "
                          "the CPU can't read")
    wanted = {} if copy is None else {"copy": copy}
    try:
        return source.__dlpack__(max_version=(1, 0), **wanted)
    except TypeError:
        return source.__dlpack__()


def _name(capsule: Any) -> bytes | None:
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    found: bytes | None = name(capsule)
    return found


def _code(capsule: Any) -> ctypes.c_uint8:
    """The byte that says what kind of numbers a capsule has."""
    pointer, name = ctypes.pythonapi.PyCapsule_GetPointer, _name(capsule)
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    assert name is not None
    return ctypes.c_uint8.from_address(pointer(capsule, name) + _NAMES[name])


# --- bytes ------------------------------------------------------------------------------------


def root(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory of another, as far as NumPy knows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class UntypedStorage:
    """The memory that a tensor shares with its views, as bytes: `x.untyped_storage()`.

    Example:
        >>> import wengert as torch
        >>> x = torch.zeros(4)
        >>> x[1:].untyped_storage().data_ptr() == x.data_ptr(), x[1:].untyped_storage().nbytes()
        (True, 16)
    """

    __slots__ = ("_array",)

    def __init__(self, x: Any) -> None:
        self._array = root(concrete(x, LOOKS))

    def nbytes(self) -> int:
        """How many bytes there are."""
        return int(self._array.nbytes)

    size = __len__ = nbytes

    def element_size(self) -> int:
        """Bytes per element: 1."""
        return 1

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return int(self._array.__array_interface__["data"][0])

    @property
    def device(self) -> device:
        """Where the memory is: the CPU."""
        return CPU

    def _bytes(self) -> np.ndarray:
        return self._array.reshape(-1, order="A").view(np.uint8)

    def tolist(self) -> list[int]:
        """The bytes as integers."""
        return self._bytes().tolist()

    def __getitem__(self, index: int) -> int:
        return int(self._bytes()[index])

    def __repr__(self) -> str:
        rows = "".join(f" {byte}\n" for byte in self._bytes())
        return f"{rows}[torch.storage.UntypedStorage(device=cpu) of size {len(self)}]"
