"""Tensor's methods that share its memory with other libraries."""

from __future__ import annotations

from typing import Any

from ..ops import interchange


class Interchange:
    """Protocols by which others read a tensor where it lies."""

    __slots__ = ()

    def untyped_storage(self: Any) -> interchange.UntypedStorage:
        """The memory that the tensor shares with its views, as bytes."""
        return interchange.UntypedStorage(self)

    def __dlpack__(self: Any, *, stream: int | None = -1,
                   max_version: tuple[int, int] | None = None,
                   dl_device: tuple[Any, int] | None = None, copy: bool | None = None) -> Any:
        """A capsule by which another library finds the tensor's memory.

        Args:
            stream: None or -1: on the CPU there are no streams.
            max_version: the latest version of DLPack that the other library reads.
            dl_device: where it wants the memory; None or the CPU.
            copy: whether it wants a copy: None if it must be, False never.

        Raises:
            BufferError: if the tensor requires grad, lives inside a transform or can't be written
                (which versions before 1 can't say), or for another device.
        """
        return interchange.dlpack(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self: Any) -> tuple[int, int]:
        """The CPU, as DLPack numbers devices."""
        return interchange.DLPACK_CPU

    def __buffer__(self: Any, flags: int) -> memoryview:
        """The tensor's memory, for `memoryview` and whatever else reads buffers (Python 3.12)."""
        return memoryview(self.numpy())

    def to_device(self: Any, device: Any, /, *, stream: Any = None) -> Any:
        """The tensor itself: the array API standard's word for moving it, to the CPU alone.

        Raises:
            AssertionError: for device "cuda".
            RuntimeError: for any other device.
        """
        return self.to(device=device)

    def __array_namespace__(self: Any, *, api_version: str | None = None) -> Any:
        """`wengert.array_api`: the functions of the array API standard, for tensors.

        Raises:
            ValueError: for a version of the standard that it does not follow.
        """
        from .. import array_api  # which needs tensors

        return array_api.of_version(api_version)
