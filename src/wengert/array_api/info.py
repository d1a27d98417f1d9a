"""What the namespace says of itself."""

from __future__ import annotations

from typing import Any

import wengert as torch

from ..core.device import CPU, check_device, device
from .dtypes import KINDS


class Info:
    """Devices, dtypes and capabilities of tensors."""

    __slots__ = ()

    def capabilities(self) -> dict[str, Any]:
        """What is optional in the standard, and whether tensors do it."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> device:
        """The CPU."""
        return CPU

    def devices(self) -> list[device]:
        """The CPU alone."""
        return [CPU]

    def default_dtypes(self, *, device: Any = None) -> dict[str, torch.dtype]:
        """The dtypes that numbers get, by kind."""
        check_device(device)
        real = torch.get_default_dtype()
        return {"real floating": real, "complex floating": real.to_complex(),
                "integral": torch.int64, "indexing": torch.int64}

    def dtypes(self, *, device: Any = None,
               kind: str | tuple[str, ...] | None = None) -> dict[str, torch.dtype]:
        """The standard's dtypes by name, or those of a kind, or of several.

        Raises:
            ValueError: for a kind that the standard doesn't name.
        """
        check_device(device)
        kinds = ("bool", "numeric") if kind is None else (kind,) if isinstance(kind, str) else kind
        for each in kinds:
            if each not in KINDS:
                raise ValueError(f"unknown kind of dtype: {each!r}; there are {', '.join(KINDS)}")
        return {one.name: one for each in kinds for one in KINDS[each]}


def __array_namespace_info__() -> Info:  # noqa: N807 - the standard's name
    """Devices, dtypes and capabilities of tensors."""
    return Info()
