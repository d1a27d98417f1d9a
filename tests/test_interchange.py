"""Memory shared with NumPy, PyTorch, JAX and pandas, both ways; and what is refused."""

from __future__ import annotations

import array
import collections
import pickle
import sys
from types import FunctionType
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.core import dtypes
from wengert.utils import dlpack

KINDS = [d for d in dtypes.ALL if d is not torch.bfloat16]


def shares(x: Any, array: np.ndarray) -> bool:
    """Whether a write to either is seen in the other."""
    first = (0,) * array.ndim
    array[first] = 1
    seen = bool(x[first].item() == 1)
    x[first] = 0
    return seen and bool(array[first] == 0)


# --- NumPy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_numpy_both_ways(kind: Any) -> None:
    array = np.zeros((2, 3), kind.numpy)
    x = torch.from_numpy(array)
    assert x.dtype is kind and shares(x, array) and shares(x.T, array)
    assert shares(x, x.numpy()) and shares(x, np.asarray(x)) and shares(x[1:, ::2], array[1:, ::2])
    assert torch.as_tensor(array).data_ptr() == x.data_ptr()
    assert torch.tensor(array).data_ptr() != x.data_ptr()
    assert np.array(x).ctypes.data != x.data_ptr() != np.array(x, copy=True).ctypes.data
    assert np.asarray(x, np.complex128).dtype == np.complex128
    assert np.asarray(x, copy=False).ctypes.data == x.data_ptr()
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, np.longdouble, copy=False)


def test_bfloat16_arrays() -> None:
    """NumPy has them by `ml_dtypes`; PyTorch refuses to give them."""
    import ml_dtypes

    array = np.array([1.5, 2], ml_dtypes.bfloat16)
    x = torch.from_numpy(array)
    assert x.dtype is torch.bfloat16 and shares(x, array)
    assert x.numpy().dtype == array.dtype and torch.tensor(array).dtype is torch.bfloat16


REFUSED = {
    "negative stride": np.ones(3)[::-1], "foreign order": np.ones(3, ">f4"),
    "words": np.array(["a"]), "objects": np.array([None]), "dates": np.ones(2, "M8[s]"),
    "crooked stride": np.zeros(3, "f4,i1")["f0"], "list": [1]}


@pytest.mark.parametrize("what", REFUSED)
def test_from_numpy_refuses(what: str) -> None:
    oracle = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    said = []
    for t in (torch, oracle):
        with pytest.raises((TypeError, ValueError)) as caught:
            t.from_numpy(REFUSED[what])
        said.append((caught.type, str(caught.value)))
    assert said[0] == said[1]


def test_memory_of_other_objects() -> None:
    room = array.array("f", [1, 2])
    assert torch.asarray(room).tolist() == torch.tensor(room).tolist() == [1, 2]
    torch.asarray(room)[0] = 5
    torch.asarray(room, copy=True)[1] = 5
    torch.tensor(room)[1] = 5
    assert room.tolist() == [5, 2]
    assert torch.tensor(bytearray(b"ab")).dtype is torch.int64  # a sequence of numbers, there
    assert torch.tensor([collections.deque([1, 2]), [3, 4]]).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(TypeError, match="invalid data type 'bytes'"):
        torch.tensor(b"ab")


def test_what_copies() -> None:
    """Arrays that can't be shared are copied where a copy is asked for, or allowed."""
    assert torch.tensor(np.arange(3, dtype=">i4")).tolist() == [0, 1, 2]
    assert torch.as_tensor(np.arange(3, dtype=">i4")).dtype is torch.int32
    assert torch.tensor(np.arange(3)[::-1]).tolist() == [2, 1, 0]
    for make in (torch.tensor, torch.as_tensor):
        with pytest.raises(TypeError, match=r"can't convert np.ndarray of type numpy.object_"):
            make(np.array([1, None]))


def test_read_only() -> None:
    """Such an array is shared, with a warning, and writing to the tensor is refused."""
    array = np.ones(2)
    array.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        x = torch.from_numpy(array)
    assert x.data_ptr() == array.ctypes.data
    with pytest.raises(RuntimeError, match="read-only"):
        x.add_(1)


def test_gradients_are_not_lost() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"Use tensor.detach\(\).numpy\(\) instead"):
        x.numpy()
    with pytest.raises(RuntimeError, match="requires grad"):
        np.asarray(x)
    assert x.numpy(force=True).ctypes.data == x.data_ptr() == x.detach().numpy().ctypes.data


# --- DLPack -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_dlpack_with_numpy(kind: Any) -> None:
    array = np.zeros((2, 3), kind.numpy)
    assert shares(torch.from_dlpack(array), array)
    assert shares(torch.from_dlpack(array[:, ::2]), array)
    x = torch.zeros(2, 3, dtype=kind)
    there = np.from_dlpack(x.T)
    assert there.dtype == kind.numpy and there.shape == (3, 2) and shares(x, there)


@pytest.mark.parametrize("kind", dtypes.ALL, ids=str)
def test_dlpack_with_pytorch(kind: Any) -> None:
    oracle = pytest.importorskip("torch", reason="PyTorch is the other library here")
    there = oracle.zeros((2, 3), dtype=getattr(oracle, kind.name))
    x = torch.from_dlpack(there)
    assert x.dtype is kind and x.data_ptr() == there.data_ptr()
    x[0, 1] = 1
    assert there[0, 1].item() == 1
    back = oracle.from_dlpack(x.T)
    assert back.dtype is there.dtype and back.stride() == (1, 3)
    back[2, 1] = 1
    assert x[1, 2].item() == 1


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int32", "complex64"])
def test_dlpack_with_jax(kind: str) -> None:
    numpy = pytest.importorskip("jax.numpy", reason="JAX is the other library here")
    x = torch.tensor([1, 2, 3], dtype=getattr(torch, kind))
    there = numpy.from_dlpack(x)
    assert str(there.dtype) == kind and there.tolist() == x.tolist()
    back = torch.from_dlpack(numpy.arange(3, dtype=kind))
    assert back.dtype is x.dtype and back.tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError, match="read-only"):
        back.add_(1)  # JAX's arrays may not be written


def test_capsules() -> None:
    x = torch.ones(2)
    capsule = dlpack.to_dlpack(x)
    assert dlpack.from_dlpack(capsule).data_ptr() == x.data_ptr()
    for used in (capsule, 1, "x"):
        with pytest.raises(RuntimeError, match="received an invalid capsule"):
            torch.from_dlpack(used)
    del capsule
    for version in (None, (0, 8), (1, 0)):
        assert torch.from_dlpack(x.__dlpack__(max_version=version)).data_ptr() == x.data_ptr()
    assert torch.from_dlpack(x.__dlpack__(copy=True)).data_ptr() != x.data_ptr()
    assert torch.from_dlpack(x, copy=True).data_ptr() != x.data_ptr()
    assert torch.from_dlpack(x.__dlpack__(dl_device=x.__dlpack_device__())).tolist() == [1, 1]
    assert x.__dlpack_device__() == (1, 0)


def test_memory_outlives_its_maker() -> None:
    array = np.from_dlpack(torch.arange(100_000.))
    again = torch.from_dlpack(np.arange(100_000.))
    made = [np.ones(100_000) for _ in range(20)]
    assert array[-1] == again[-1].item() == 99_999 and len(made) == 20


def test_dlpack_refused() -> None:
    oracle = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    programs = {
        "requires grad": lambda t: t.ones(1, requires_grad=True).__dlpack__(),
        "stream": lambda t: t.ones(1).__dlpack__(stream=1),
        "word": lambda t: t.ones(1).__dlpack__(stream="a"),
        "number": lambda t: t.from_dlpack(1)}
    for name, program in programs.items():
        kinds = []
        for t in (torch, oracle):
            with pytest.raises(Exception) as caught:
                program(t)
            kinds.append((caught.type, str(caught.value)))
        assert kinds[0] == kinds[1], name
    with pytest.raises(BufferError, match="require gradient"):  # which PyTorch's lets go
        dlpack.to_dlpack(torch.ones(1, requires_grad=True))


def test_dlpack_refused_here() -> None:
    with pytest.raises(BufferError, match="on the CPU"):
        torch.ones(1).__dlpack__(dl_device=(2, 0))
    with pytest.raises(BufferError, match="inside"):
        torch.func.jvp(lambda x: torch.from_dlpack(x.__dlpack__()), (torch.ones(2),),
                       (torch.ones(2),))

    class OnDevice:
        def __dlpack__(self, **asked: Any) -> Any:
            raise AssertionError

        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

    with pytest.raises(BufferError, match="can't read"):
        torch.from_dlpack(OnDevice())


# --- others -----------------------------------------------------------------------------------


@pytest.mark.skipif(sys.version_info < (3, 12), reason="buffers in Python came with 3.12")
def test_buffer() -> None:
    x = torch.arange(3, dtype=torch.int16)
    view = memoryview(x)  # type: ignore[arg-type]
    view[1] = 7
    assert x.tolist() == [0, 7, 2] and bytes(x) == b"\0\0\7\0\2\0"
    with pytest.raises(RuntimeError, match="requires grad"):
        memoryview(torch.ones(1, requires_grad=True))  # type: ignore[arg-type]


class Column:
    """What a column of a table is to us: something that can be an array."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array if dtype is None else self.array.astype(dtype)

    def __len__(self) -> int:
        return len(self.array)


def test_columns() -> None:
    for kind in ("int64", "float32", "bool"):
        column = Column(np.arange(3).astype(kind))
        assert torch.tensor(column).tolist() == column.array.tolist()
        assert str(torch.tensor(column).dtype) == f"torch.{kind}"
        assert torch.as_tensor(column).data_ptr() == column.array.ctypes.data
        assert torch.tensor(column, dtype=torch.float64).dtype is torch.float64
    with pytest.raises(TypeError, match=r"numpy\.object_"):
        torch.tensor(Column(np.array(["a", None], object)))


def test_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.5, 2.5], "b": [1, 2], "c": ["x", "y"]}, index=[7, 9])
    assert torch.tensor(frame["a"]).tolist() == [1.5, 2.5]
    assert torch.as_tensor(frame["b"]).dtype is torch.int64
    assert torch.tensor(frame[["a", "b"]]).shape == (2, 2)
    assert torch.tensor(frame.index).tolist() == [7, 9]
    with pytest.raises(TypeError, match="can't convert"):
        torch.tensor(frame["c"])


@pytest.mark.parametrize("room", [
    torch, torch.Tensor, torch.nn.functional, torch.linalg, torch.fft, torch.special, torch.random])
def test_words_can_be_pickled(room: Any) -> None:
    words = [getattr(room, name) for name in dir(room) if not name.startswith("_")]
    words = [word for word in words if isinstance(word, FunctionType)]
    assert len(words) > 2
    for word in words:
        assert pickle.loads(pickle.dumps(word)) is word
