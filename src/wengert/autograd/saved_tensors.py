"""What becomes of the tensors that are saved for backward: hooks that pack and unpack them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.levels import here
from ..interpreters.packing import Hooks
from .grad_mode import Mode


class _Packing(Mode):
    """A mode of saving; refused where hooks are forbidden."""

    def __enter__(self) -> Any:
        if here.no_hooks:
            raise RuntimeError(here.no_hooks)
        return super().__enter__()


class saved_tensors_hooks(_Packing):  # noqa: N801 - PyTorch's name
    """Inside, tensors that are saved for backward are packed, and unpacked when they are read.

    `pack_hook` is called with each tensor as it is saved, and may return anything. When backward
    comes to the operation, `unpack_hook` is called with that, once in each pass, and returns a
    tensor of the same shape, dtype and content. Of nested pairs the innermost is in force.
    Nothing is recorded while a tensor is packed. In this thread only.

    An operand is given to `pack_hook` as it is, an operation's own result without its history (a
    hook may return it: there is no reference cycle). Python numbers are not packed. Writes to the
    tensor are not noticed any more, so what a hook keeps should be its own.

    Args:
        pack_hook: takes a tensor; must not write to it.
        unpack_hook: takes what `pack_hook` returned, and gives the tensor.

    Raises:
        TypeError: if a hook can't be called; in backward, if `unpack_hook` returns no tensor.
        RuntimeError: if hooks are disabled; if `pack_hook` writes to the tensor; in backward, if
            `unpack_hook` returns another shape or dtype.

    Example:
        On the disk while they wait:

        >>> import pathlib, tempfile, uuid
        >>> import numpy as np
        >>> import wengert as torch
        >>> folder = tempfile.TemporaryDirectory()
        >>> def to_disk(x):
        ...     path = pathlib.Path(folder.name, f"{uuid.uuid4()}.npy")
        ...     np.save(path, x.numpy(force=True))
        ...     return path
        >>> def from_disk(path):
        ...     return torch.from_numpy(np.load(path))
        >>> x = torch.tensor([1., 2.], requires_grad=True)
        >>> with torch.autograd.graph.saved_tensors_hooks(to_disk, from_disk):
        ...     y = (x * x).exp().sum()
        >>> len(list(pathlib.Path(folder.name).iterdir()))  # x twice, and what exp gave
        3
        >>> y.backward(); x.grad
        tensor([  5.4366, 218.3926])
        >>> folder.cleanup()
    """

    def __init__(self, pack_hook: Callable[[Any], Any],
                 unpack_hook: Callable[[Any], Any]) -> None:
        for name, hook in (("pack_hook", pack_hook), ("unpack_hook", unpack_hook)):
            if not callable(hook):
                raise TypeError(f"saved_tensors_hooks(): {name} must be callable, not "
                                f"{type(hook).__name__}")
        super().__init__(hooks=Hooks(pack_hook, unpack_hook))
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook


class save_on_cpu(_Packing):  # noqa: N801 - PyTorch's name
    """Inside, saved tensors are kept on the CPU, where they are anyway: hooks are out of force.

    Args:
        pin_memory: taken for PyTorch's sake, as is `device_type`.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor(3., requires_grad=True)
        >>> with torch.autograd.graph.save_on_cpu(pin_memory=True):
        ...     y = x * x
        >>> torch.autograd.grad(y, x)
        (tensor(6.),)
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(hooks=None)


class disable_saved_tensors_hooks(Mode):  # noqa: N801 - PyTorch's name
    """Inside, `saved_tensors_hooks` raises a RuntimeError with this message.

    Raises:
        RuntimeError: with the message, if hooks are in force already.

    Example:
        >>> import wengert as torch
        >>> graph = torch.autograd.graph
        >>> with graph.disable_saved_tensors_hooks("not in here"):
        ...     with graph.saved_tensors_hooks(lambda x: x, lambda x: x):
        ...         pass
        Traceback (most recent call last):
        RuntimeError: not in here
    """

    def __init__(self, error_message: str) -> None:
        super().__init__(no_hooks=error_message)

    def __enter__(self) -> Any:
        if here.hooks is not None:
            raise RuntimeError(self._modes["no_hooks"])
        return super().__enter__()
