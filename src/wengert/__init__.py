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
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any

from . import autograd as autograd, compiler as compiler, func as func, utils as utils
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
)
from .func import cond as cond, vmap as vmap
from .ops.choices import *
from .ops.creation import *
from .ops.index import *
from .ops.pointwise import *
from .ops.products import *
from .ops.random import *
from .ops.reduce import *
from .ops.shapes import *
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
    from . import fft as fft
    from .compiler.api import compile as compile

_LATER = {
    "compile": ".compiler.api", "fft": ".fft", "nn": ".nn", "show": ".show", "solvers": ".solvers",
}
"""What is imported when it is first used: a name, and the module that is it or has it."""


def __getattr__(name: str) -> _Any:
    """What is imported when it is first used."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = _import_module(_LATER[name], __name__)
    return globals().setdefault(name, getattr(found, name, found))


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


def is_tensor(obj: object) -> builtins.bool:
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> builtins.bool:
    """Whether a tensor's elements are floats."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> builtins.bool:
    """Whether a tensor's elements are complex."""
    return input.is_complex()


def conj(input: Tensor) -> Tensor:
    """The complex conjugate; the tensor itself, if it is real."""
    return input.conj()


def real(input: Tensor) -> Tensor:
    """The real part; a view."""
    return input.real


def imag(input: Tensor) -> Tensor:
    """The imaginary part of a complex tensor; a view."""
    return input.imag


def numel(input: Tensor) -> builtins.int:
    """The number of elements of a tensor."""
    return input.numel()
