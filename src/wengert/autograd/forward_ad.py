"""Forward mode as a state: inside `dual_level`, tensors carry tangents along.

Example:
    >>> import wengert as torch
    >>> import wengert.autograd.forward_ad as fwAD
    >>> with fwAD.dual_level():
    ...     x = fwAD.make_dual(torch.tensor(3.), torch.tensor(1.))
    ...     fwAD.unpack_dual(x * x)
    UnpackedDualTensor(primal=tensor(9.), tangent=tensor(6.))
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any, NamedTuple

from ..core.handle import Handle, as_handle
from ..core.levels import deepest, entered, here
from ..func.arguments import lowered
from ..interpreters.forward import Forward
from ..interpreters.pullback import check_tangent
from ..interpreters.views import refresh

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual",
           "unpack_dual"]


class _Here(threading.local):
    """The dual level of this thread, and how to leave it."""

    level: Forward | None = None
    leave: Any = None


_now = _Here()


class UnpackedDualTensor(NamedTuple):
    """A dual tensor's two parts; the tangent is None where there is none."""

    primal: Any
    tangent: Any


def enter_dual_level() -> int:
    """Begins a level at which tensors may carry tangents; returns its number, 0.

    Raises:
        RuntimeError: inside one: levels do not nest (transforms do, see `func.jvp`).
    """
    if _now.level is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    leave = entered(Forward())
    _now.level, _now.leave = leave.__enter__(), leave
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Ends the level: tensors that outlive it have no tangents any more.

    Raises:
        RuntimeError: if there is none, or it is not the innermost.
    """
    if _now.level is None and level is None:
        raise RuntimeError("Dual level must be a positive number.")
    if level not in (None, 0) or _now.level is None or here.levels[-1:] != [_now.level]:
        raise RuntimeError("Trying to exit a forward AD level that was not the last one that was "
                           "created. This is not supported.")
    leave, _now.level, _now.leave = _now.leave, None, None
    leave.__exit__(None, None, None)


class dual_level(contextlib.ContextDecorator):  # noqa: N801 - PyTorch's name
    """Inside, tensors may carry tangents: see `make_dual` and `unpack_dual`.

    Also a decorator. Whatever happens inside, the level ends with the block.
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, error: object, *rest: object) -> None:
        try:
            exit_dual_level()
        except RuntimeError:  # the user has left it already
            if error is None:
                raise


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """A dual tensor: a tensor's value, and a tangent that operations carry along.

    Both keep their history: what is computed can be differentiated by them in reverse mode.

    Args:
        tensor: the primal, of floating point or complex.
        tangent: a tensor of its shape, converted to its dtype.
        level: the level's number, 0.

    Raises:
        RuntimeError: outside `dual_level`; if the tensor carries a tangent already, or the tangent
            does; if their shapes differ.
        ValueError: for integers.

    Example:
        >>> import wengert as torch
        >>> import wengert.autograd.forward_ad as fwAD
        >>> x = torch.tensor([1., 2.], requires_grad=True)
        >>> with fwAD.dual_level():
        ...     y = fwAD.make_dual(x, torch.ones(2)) ** 3
        ...     fwAD.unpack_dual(y).tangent.sum().backward()
        >>> x.grad
        tensor([ 6., 12.])
    """
    forward = _now.level
    if forward is None or (level is not None and level < 0):
        raise RuntimeError("Trying to create a dual Tensor for forward AD but no level exists, "
                           "make sure to enter_dual_level() first.")
    for name, given in (("primal", tensor), ("tangent", tangent)):
        if not (given.is_floating_point() or given.is_complex()):
            raise ValueError(f"Expected {name} to be floating point or complex, but got: "
                             f"{given.dtype}")
    if level not in (None, 0):
        raise RuntimeError("Invalid level given to _make_dual")
    _check_outside(forward, tensor, tangent)
    if forward.tangent(tensor) is not None:
        raise RuntimeError("Making a dual Tensor based on a Tensor that already has a forward "
                           "gradient at the same level 0 is not supported.")
    if forward.tangent(tangent) is not None:
        raise RuntimeError("Setting a forward grad that itself has a forward gradient at the same "
                           "level0 is not supported.")
    return forward.dual(_below(forward, tensor),
                        _below(forward, check_tangent(tensor.aval, tangent)))


def _check_outside(forward: Forward, *tensors: Any) -> None:
    """Refuses tensors of transforms that were begun inside the dual level."""
    level = deepest(tensors)
    if level is not None and level.alive and level.depth > forward.depth:
        raise RuntimeError(f"make_dual: a tensor that lives inside a {level.word} can't be made "
                           "dual at a level outside. Enter the dual level inside, or use func.jvp.")


def _below(forward: Forward, x: Any) -> Any:
    if x.aval.level is forward:
        return x.value
    if x.aval.level is not None and not x.aval.level.alive and isinstance(x.aval.level, Forward):
        return lowered(as_handle(x.value))
    return lowered(x)


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """The primal and the tangent of a tensor.

    Args:
        tensor: any tensor; the tangent is None if it carries none, or its level has ended.
        level: the level's number, 0.

    Raises:
        RuntimeError: for another level.
    """
    if level not in (None, 0) and (_now.level is not None or (level or 0) > 0):
        raise RuntimeError("Invalid level given to _fw_primal")
    if not isinstance(tensor, Handle):
        raise TypeError("unpack_dual(): argument 'tensor' must be Tensor, not "
                        f"{type(tensor).__name__}")
    if tensor.alias is not None:
        refresh(tensor)
    at = tensor.aval.level
    if isinstance(at, Forward) and (at is _now.level or not at.alive):
        tangent = tensor.extra if at is _now.level else None
        return UnpackedDualTensor(as_handle(tensor.value),
                                  None if tangent is None else as_handle(tangent))
    return UnpackedDualTensor(tensor, None)
