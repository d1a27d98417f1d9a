"""NumPy's protocols: code that was written for NumPy computes with tensors, and differentiates.

`np.sin(x)`, `array * x` and `np.linalg.norm(x - y, axis=1)` call `array_ufunc` and
`array_function`, which look up what the same is called here and apply that:

    >>> import numpy as np
    >>> import wengert as torch
    >>> x = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    >>> np.linalg.norm(x - np.zeros(2)).backward()
    >>> x.grad
    tensor([0.6000, 0.8000], dtype=torch.float64)

Arguments and their meaning are NumPy's: `axis`, `keepdims`, `ddof=0`. Dtypes are combined as
tensors' are: an array counts as a tensor of its dtype, and integers become the default float.

What tensors do not have is computed by NumPy, and gives what NumPy gives, where no tensor requires
grad or is inside a transform; else it raises TypeError. No gradient is lost in silence.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.handle import Handle
from ...core.levels import here
from ...interpreters.inplace import check_fits
from .. import shapes
from .arguments import FUNCTIONS, Unsupported, tensors_in


def array_ufunc(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """A NumPy ufunc, or a method of one, of operands among which there is a tensor.

    Raises:
        TypeError: if tensors do not have it, and a gradient would be lost.

    Example:
        >>> import numpy as np, wengert as torch
        >>> np.multiply([1.0, 2.0], torch.ones(2)), np.add.reduce(torch.ones(3))
        (tensor([1., 2.]), tensor(3.))
    """
    from . import ufuncs

    outs = kwargs.pop("out", ())
    if not all(map(_understood, (*inputs, *outs))):
        return NotImplemented
    numpy = ufunc if method == "__call__" else getattr(ufunc, method)
    if method == "at" and isinstance(inputs[0], Handle):  # NumPy would, read-only or not
        raise _refusal(numpy, "into a tensor")
    given = {**kwargs, "out": outs} if outs else kwargs
    return _computed(outs, lambda: ufuncs.apply(ufunc, method, inputs, kwargs), numpy, inputs,
                     given)


def array_function(self: Any, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """A NumPy function of arguments among which there is a tensor.

    Raises:
        TypeError: if tensors do not have it, and a gradient would be lost.

    Example:
        >>> import numpy as np, wengert as torch
        >>> np.std(torch.tensor([1., 3.])), np.concatenate([torch.zeros(1), np.ones(1)])
        (tensor(1.), tensor([0., 1.], dtype=torch.float64))
    """
    if not all(issubclass(kind, (Handle, np.ndarray)) for kind in types):
        return NotImplemented
    ours, (given, out) = _functions().get(function), _bound(function, args, kwargs)
    outs = () if out is None else (out,)
    return _computed(outs, lambda: _call(ours, *given), function, args, kwargs, self)


@functools.cache
def _functions() -> dict[Any, Callable[..., Any]]:
    """What NumPy's functions are called here; made when the first one is needed."""
    from . import (  # noqa: F401 - they fill the table
        arrangement,
        elements,
        products,
        reductions,
        transforms,
    )

    return FUNCTIONS


def _name(function: Any) -> str:
    """What a function is called in NumPy; of a ufunc's method, with the ufunc's name."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return f"{_name(owner)}.{function.__name__}"
    module = getattr(function, "__module__", None)
    return f"{module}.{function.__name__}" if module else str(function.__name__)


def _understood(operand: Any) -> bool:
    """Whether an operand is no stranger with a protocol of its own."""
    return isinstance(operand, (Handle, np.ndarray)) or not hasattr(
        type(operand), "__array_ufunc__")


# --- arguments --------------------------------------------------------------------------------


@functools.cache
def _defaults(function: Any) -> dict[str, Any] | None:
    """A function's parameters in order, with defaults; None if it takes any number of them."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:
        return None
    if inspect.Parameter.VAR_POSITIONAL in [p.kind for p in parameters.values()]:
        return None
    return {name: p.default for name, p in parameters.items()}


def _bound(function: Any, args: Any, kwargs: Any) -> tuple[tuple[Any, dict[str, Any]], Any]:
    """The arguments by NumPy's names, without those that only repeat a default, and `out`."""
    defaults = _defaults(function)
    if defaults is None:
        return (args, {k: v for k, v in kwargs.items() if k != "out"}), kwargs.get("out")
    named = dict(zip(defaults, args, strict=False)) | kwargs  # NumPy has checked that they fit
    out = named.pop("out", None)
    return ((), {name: value for name, value in named.items()
                 if not _idle(name, value, defaults.get(name, inspect.Parameter.empty))}), out


_IDLE = {"where": True, "order": "C", "device": "cpu"}


def _idle(name: str, value: Any, default: Any) -> bool:
    """Whether an argument says what holds without it."""
    return value is default or value is np._NoValue or (
        isinstance(value, (bool, str)) and _IDLE.get(name) == value)


def _call(ours: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if ours is None:
        raise Unsupported
    known = _defaults(ours)
    if known is not None:
        for name in kwargs.keys() - known.keys():
            raise Unsupported(f"with {name}=")
    return ours(*args, **kwargs)


# --- results ----------------------------------------------------------------------------------


def _computed(outs: Any, ours: Callable[[], Any], numpy: Any, args: Any, kwargs: Any,
              *more: Any) -> Any:
    """What we compute, stored in the tensors `outs` if there are any, or else what NumPy does."""
    why = ""
    if not any(isinstance(out, np.ndarray) for out in outs):
        try:
            return _stored(ours(), outs)
        except Unsupported as reason:
            why = str(reason)
    else:
        why = "with an array as out="
    tensors = [*tensors_in((args, kwargs)), *tensors_in(more)]
    if any(isinstance(out, Handle) for out in outs) or not all(map(_plain, tensors)):
        raise _refusal(numpy, why)
    return _by_numpy(numpy, args, kwargs)


def _stored(result: Any, outs: Any) -> Any:
    """The result, written into the tensors that are to hold it."""
    if not outs:
        return result
    several = isinstance(result, tuple)
    pairs = list(zip(outs, result if several else (result,), strict=True))
    for out, value in pairs:
        if out is not None:
            check_fits(out.aval, value.aval)
    held = tuple(value if out is None else shapes.copy_(out, value) for out, value in pairs)
    return held if several else held[0]


def _plain(x: Any) -> bool:
    """Whether a tensor is no more than its array: nothing is lost if NumPy takes that."""
    return x.aval.level is None and not (here.grad and x.requires_grad) and isinstance(
        x.value, np.ndarray)


def _refusal(numpy: Any, why: str) -> TypeError:
    called = f"{_name(numpy)} {why}".strip()
    return TypeError(
        f"{called} is not supported on wengert tensors where a gradient or a transform could be "
        "lost. Write it with functions that are supported, or give NumPy a constant: "
        "x.detach().numpy()")


def _by_numpy(numpy: Any, args: Any, kwargs: Any) -> Any:
    """NumPy's result. It may not write into tensors, whose versions would not be counted."""
    try:
        return numpy(*_arrays(args), **_arrays(kwargs))
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise _refusal(numpy, "into a tensor") from None


def _arrays(value: Any) -> Any:
    """The same, with tensors as arrays that can't be written."""
    if isinstance(value, Handle):
        array = value.value.view()
        array.flags.writeable = False
        return array
    if isinstance(value, dict):
        return {key: _arrays(v) for key, v in value.items()}
    return type(value)(map(_arrays, value)) if type(value) in (list, tuple) else value
