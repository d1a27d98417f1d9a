"""Plans made runnable."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import halves
from ..core.blocks import get_num_threads
from ..core.levels import quietly
from .ir.nest import Buffer, Call, Plan
from .native.emit import CALL_FAILED, MISS, Room, Word, emit
from .native.emit_scalar import OUT_OF_RANGE, ZERO_DIVISION
from .native.entry import DENSE, WRONG_ARGUMENTS, builtin

__all__ = ["CALL_FAILED", "MISS", "OUT_OF_RANGE", "WRONG_ARGUMENTS", "ZERO_DIVISION", "Executable"]


class Executable:
    """The machine code of a plan, for any thread to run at any time.

    Large loops are cut for as many threads as `wengert.get_num_threads()` says when it is made.

    Args:
        plan: what it does.

    Attributes:
        entry: `entry(arena, *inputs, *outputs)` runs the plan and returns the number of the end
            that was reached, or a negative code: `OUT_OF_RANGE`, `ZERO_DIVISION`, `CALL_FAILED`,
            or `MISS` less the number of the look whose answer has no case. `WRONG_ARGUMENTS` says
            that nothing was done, since an input isn't `dense`. It trusts that outputs are, and
            that arrays are of the buffers' sizes and dtypes.
        arena: the bytes of the first argument, which `new_arena` makes.

    Example:
        executable = Executable(plan)
        out = np.empty(3)
        assert executable([np.arange(3.0)], [out]) == 0
    """

    def __init__(self, plan: Plan) -> None:
        emitted = emit(plan, get_num_threads())
        self._calls = _Calls(emitted.calls)
        self._table = _Table(emitted.table, self._calls.address)
        self.arena = self._table.size + emitted.arena
        self.entry: Callable[..., int] = builtin(
            emitted.address, "entry", (emitted.library, self._calls, self._table))
        self._free: list[np.ndarray] = []

    def __call__(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> int:
        """Runs the plan.

        Raises:
            Exception: what a primitive raised that Python evaluates.
        """
        return self.run([*inputs, *outputs])

    def run(self, arrays: Sequence[np.ndarray]) -> int:
        """The same, given the arrays of inputs and outputs in one list."""
        try:
            arena = self._free.pop()
        except IndexError:
            arena = self.new_arena()
        code = self.entry(arena, *arrays)
        self._free.append(arena)
        if code == CALL_FAILED:
            raise self._calls.error()
        return code

    def new_arena(self) -> np.ndarray:
        """Memory for one run at a time."""
        room = np.empty(self.arena + 64, np.uint8)
        start = -room.ctypes.data % 64
        arena = room[start:start + self.arena]
        self._table.write(arena)
        return arena

    def error(self) -> BaseException:
        """What a call raised when this thread's last run returned `CALL_FAILED`."""
        return self._calls.error()


def dense(array: np.ndarray) -> np.ndarray:
    """An array as native code reads it: itself, or a copy that is laid out densely."""
    return array if array.flags.num & DENSE == DENSE else np.array(array, order="C")


class _Table:
    """What arenas begin with.

    Attributes:
        size: its bytes.
    """

    def __init__(self, table: Sequence[Word], calls: int) -> None:
        self.size = -(-8 * len(table) // 64) * 64
        self._constants = [np.ascontiguousarray(x) for x in table if isinstance(x, np.ndarray)]
        addresses = iter([array.ctypes.data for array in self._constants])
        self._words = np.array([
            next(addresses) if isinstance(x, np.ndarray) else
            x.offset + self.size if isinstance(x, Room) else x for x in table], np.int64)
        self._words[0] = calls
        self._rooms = np.array([isinstance(x, Room) for x in table])

    def write(self, arena: np.ndarray) -> None:
        """Writes it into an arena, whose own address some of its words depend on."""
        words = arena[:8 * len(self._words)].view(np.int64)
        words[...] = self._words + self._rooms * arena.ctypes.data


class _Calls:
    """What native code calls back for: primitives that Python evaluates.

    Attributes:
        address: of the function that native code calls; 0 if there are no calls.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = calls
        self._errors: dict[int, BaseException] = {}
        self.address = 0
        if calls:
            calls, errors = self._calls, self._errors  # and not self: no circle of references
            kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
            self._function = kind(lambda number, addresses: _run(calls[number], addresses, errors))
            self.address = ctypes.cast(self._function, ctypes.c_void_p).value or 0

    def error(self) -> BaseException:
        """What this thread's call raised."""
        return self._errors.pop(threading.get_ident())


def _run(call: Call, addresses: int, errors: dict[int, BaseException]) -> int:
    """Evaluates a primitive on arrays at addresses; 1 if that raised an exception."""
    try:
        buffers = (*call.operands, *call.results)
        places = (ctypes.c_void_p * len(buffers)).from_address(addresses)
        arrays = [_array(*pair) for pair in zip(buffers, places, strict=True)]
        count = len(call.operands)
        for i, shape in enumerate(call.shapes):
            arrays[i] = arrays[i].reshape(shape)
        found: Any = quietly(halves.evaluate, call.primitive, arrays[:count], call.params)
        results = found if call.primitive.multiple else (found,)
        for array, value in zip(arrays[count:], results, strict=True):
            np.copyto(array, np.reshape(value, array.shape), "unsafe")  # it may be seen otherwise
    except BaseException as error:  # noqa: BLE001 - it goes on where the plan was run
        errors[threading.get_ident()] = error
        return 1
    return 0


def _array(buffer: Buffer, address: int | None) -> np.ndarray:
    """The array that a buffer holds."""
    if not buffer.size:
        return np.empty(buffer.shape, buffer.dtype)
    size = buffer.size * buffer.dtype.itemsize
    memory = memoryview((ctypes.c_char * size).from_address(address or 0)).cast("B")
    return np.frombuffer(memory, buffer.dtype).reshape(buffer.shape)
