"""The compiler: lists of primitive applications, passes over them, and native code."""

from collections.abc import Callable
from typing import Any

from ..core.blocks import Kernel, Native


def _later(name: str) -> Callable[..., Kernel | None]:
    """What finds kernels, imported when it is first asked; it then takes this one's place."""

    def find(*given: Any) -> Kernel | None:
        from . import kernels

        found: Kernel | None = getattr(kernels, name)(*given)
        return found

    return find


Native.of_elements, Native.of_arrays = _later("of_elements"), _later("of_arrays")
