"""wengert: automatic differentiation in PyTorch's words, on NumPy arrays.

`import wengert as torch` runs a PyTorch autograd program:

    >>> import wengert as torch
    >>> x = torch.arange(4.0, requires_grad=True)
    >>> y = 2 * torch.dot(x, x)
    >>> y.backward()
    >>> x.grad
    tensor([ 0.,  4.,  8., 12.])
"""

import builtins
import math as _math
import sys as _sys
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any

from . import autograd as autograd, compiler as compiler
from ._tensor import (
    Tensor as Tensor,
)
from .autograd import (
    enable_grad as enable_grad,
    inference_mode as inference_mode,
    is_anomaly_enabled as is_anomaly_enabled,
    is_grad_enabled as is_grad_enabled,
    is_inference_mode_enabled as is_inference_mode_enabled,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from .core import dtypes as _dtypes
from .core.aval import (
    Size as Size,
)
from .core.blocks import (
    get_num_threads as get_num_threads,
    set_num_threads as set_num_threads,
)
from .core.device import (
    device as device,
)
from .core.dtypes import (
    bfloat16 as bfloat16,
    can_cast as can_cast,
    complex64 as complex64,
    complex128 as complex128,
    dtype as dtype,
    float16 as float16,
    float32 as float32,
    float64 as float64,
    get_default_dtype as get_default_dtype,
    int8 as int8,
    int16 as int16,
    int32 as int32,
    int64 as int64,
    set_default_dtype as set_default_dtype,
    uint8 as uint8,
    uint16 as uint16,
    uint32 as uint32,
    uint64 as uint64,
)
from .core.formats import (
    channels_last as channels_last,
    channels_last_3d as channels_last_3d,
    contiguous_format as contiguous_format,
    layout as layout,
    memory_format as memory_format,
    preserve_format as preserve_format,
    strided as strided,
)
from .core.guard import guard as _guard, guarded as _guarded
from .ops.addmm import *
from .ops.choices import *
from .ops.counting import *
from .ops.creation import *
from .ops.diagonals import *
from .ops.distances import *
from .ops.einsum import *
from .ops.filling import *
from .ops.index import *
from .ops.interchange import *
from .ops.joining import *
from .ops.kinds import *
from .ops.norms import *
from .ops.picking import *
from .ops.pointwise.arithmetic import *
from .ops.pointwise.bits import *
from .ops.pointwise.comparisons import *
from .ops.pointwise.complexes import *
from .ops.pointwise.functions import *
from .ops.products import *
from .ops.random import *
from .ops.ranges import *
from .ops.rearranging import *
from .ops.reduce import *
from .ops.relaid import *
from .ops.scans import *
from .ops.scattering import *
from .ops.shapes import *
from .ops.sorting import *
from .ops.splitting import *
from .ops.statistics import *
from .ops.strides import *
from .ops.updates import *
from .printing import (
    get_printoptions as get_printoptions,
    set_printoptions as set_printoptions,
)

__version__ = "0.1.0"

# PyTorch's other names for the same things.
bool, promote_types = _dtypes.bool_, _dtypes.promote
float, double, half = float32, float64, float16
cfloat, cdouble = complex64, complex128
int, long, short = int32, int64, int16
inf, nan, pi, e, newaxis = _math.inf, _math.nan, _math.pi, _math.e, None


if _TYPE_CHECKING:
    from . import (
        array_api as array_api,
        fft as fft,
        func as func,
        linalg as linalg,
        nn as nn,
        random as random,
        show as show,
        signal as signal,
        solvers as solvers,
        special as special,
        utils as utils,
    )
    from ._in_place import *
    from .compiler.api import compile as compile
    from .func import cond as cond, vmap as vmap, while_loop as while_loop
    from .nn.functional.top import *
    from .ops.copies import *
    from .ops.linalg.lowrank import *
    from .ops.linalg.older import *
    from .ops.segments import *
    from .ops.special import *
    from .signal.periodic import *
    from .signal.spectra import *

_LATER = {
    "array_api": ".array_api", "compile": ".compiler.api", "cond": ".func", "fft": ".fft",
    "func": ".func", "linalg": ".linalg", "nn": ".nn", "random": ".random",
    "return_types": ".ops.results", "show": ".show", "signal": ".signal", "solvers": ".solvers",
    "special": ".special", "utils": ".utils", "vmap": ".func", "while_loop": ".func",
}
"""What is imported when it is first used: a name, and the module that is it or has it."""

_ROOMS = (".ops.linalg.older", ".ops.linalg.lowrank", ".ops.special", ".nn.functional.top",
          ".signal.periodic", ".signal.spectra", ".ops.copies", ".ops.segments")
"""Modules of words that few programs use, which are loaded with the first of them."""
_IN_PLACE = "._in_place"
"""The module of functions that write to their first argument."""


def __getattr__(name: str) -> _Any:
    """What is imported when it is first used."""
    if name in _LATER:
        found = _import_module(_LATER[name], __name__)
        return globals().setdefault(name, _guarded(getattr(found, name, found)))
    for room in (_IN_PLACE, *_ROOMS) if name.endswith("_") else _ROOMS:
        words = _import_module(room, __name__)
        if name in _words(words):
            return globals().setdefault(name, _guarded(getattr(words, name)))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _words(room: _Any) -> list[str]:
    return getattr(room, "__all__", None) or [
        name for name in vars(room) if name.endswith("_") and not name.startswith("_")]


def __dir__() -> list[str]:
    words = [name for room in (_IN_PLACE, *_ROOMS)
             for name in _words(_import_module(room, __name__))]
    return sorted({*globals(), *_LATER, *words})


def is_tensor(obj: object) -> builtins.bool:
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> builtins.bool:
    """Whether a tensor's elements are floats."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> builtins.bool:
    """Whether a tensor's elements are complex."""
    return input.is_complex()


def is_signed(input: Tensor) -> builtins.bool:
    """Whether a tensor's elements have a sign."""
    return input.is_signed()


def is_inference(input: Tensor) -> builtins.bool:
    """Whether a tensor was made in inference mode."""
    return input.is_inference()


def detach(input: Tensor) -> Tensor:
    """A tensor in the same memory, without history."""
    return input.detach()


def numel(input: Tensor) -> builtins.int:
    """The number of elements of a tensor."""
    return input.numel()


_guard(_sys.modules[__name__])
