"""How a tensor lies in memory, in PyTorch's words: layouts and memory formats."""

from __future__ import annotations


class layout:  # noqa: N801 - PyTorch's name
    """How a tensor's elements are stored. There is one layout: `strided`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


class memory_format:  # noqa: N801 - PyTorch's name
    """In which order a tensor's dimensions lie in memory.

    Attributes:
        ndim: how many dimensions a tensor of this format must have; None if any number.
    """

    __slots__ = ("name", "ndim")

    def __init__(self, name: str, ndim: int | None = None) -> None:
        self.name, self.ndim = name, ndim

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name

    def order(self, ndim: int) -> tuple[int, ...]:
        """The dimensions as they lie in memory, the outermost first.

        Raises:
            RuntimeError: if the format is for tensors of another number of dimensions.
        """
        if self.ndim is None:
            return tuple(range(ndim))
        if ndim != self.ndim:
            raise RuntimeError(f"required rank {self.ndim} tensor to use {self.name} format")
        return (0, *range(2, ndim), 1)


strided = layout("strided")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last", 4)
channels_last_3d = memory_format("channels_last_3d", 5)
