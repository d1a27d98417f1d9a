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
from .ops.choices import (
    clamp as clamp,
    lerp as lerp,
    masked_fill as masked_fill,
    where as where,
)
from .ops.creation import (
    arange as arange,
    as_tensor as as_tensor,
    asarray as asarray,
    empty as empty,
    empty_like as empty_like,
    eye as eye,
    from_numpy as from_numpy,
    full as full,
    full_like as full_like,
    linspace as linspace,
    logspace as logspace,
    ones as ones,
    ones_like as ones_like,
    tensor as tensor,
    zeros as zeros,
    zeros_like as zeros_like,
)
from .ops.index import (
    gather as gather,
    index_select as index_select,
    narrow as narrow,
    nonzero as nonzero,
    scatter_add as scatter_add,
    select as select,
)
from .ops.pointwise import (
    abs as abs,
    acos as acos,
    acosh as acosh,
    add as add,
    allclose as allclose,
    asin as asin,
    asinh as asinh,
    atan as atan,
    atan2 as atan2,
    atanh as atanh,
    bitwise_and as bitwise_and,
    bitwise_left_shift as bitwise_left_shift,
    bitwise_not as bitwise_not,
    bitwise_or as bitwise_or,
    bitwise_right_shift as bitwise_right_shift,
    bitwise_xor as bitwise_xor,
    ceil as ceil,
    cos as cos,
    cosh as cosh,
    div as div,
    eq as eq,
    equal as equal,
    erf as erf,
    erfc as erfc,
    exp as exp,
    exp2 as exp2,
    expm1 as expm1,
    floor as floor,
    floor_divide as floor_divide,
    fmod as fmod,
    ge as ge,
    gt as gt,
    hypot as hypot,
    isclose as isclose,
    isfinite as isfinite,
    isinf as isinf,
    isnan as isnan,
    le as le,
    log as log,
    log1p as log1p,
    log2 as log2,
    log10 as log10,
    logaddexp as logaddexp,
    logical_and as logical_and,
    logical_not as logical_not,
    logical_or as logical_or,
    logical_xor as logical_xor,
    lt as lt,
    maximum as maximum,
    minimum as minimum,
    mul as mul,
    ne as ne,
    neg as neg,
    positive as positive,
    pow as pow,
    reciprocal as reciprocal,
    relu as relu,
    remainder as remainder,
    round as round,
    rsqrt as rsqrt,
    sgn as sgn,
    sigmoid as sigmoid,
    sign as sign,
    sin as sin,
    sinh as sinh,
    softplus as softplus,
    sqrt as sqrt,
    square as square,
    sub as sub,
    tan as tan,
    tanh as tanh,
    trunc as trunc,
)
from .ops.products import (
    addmm as addmm,
    bmm as bmm,
    dot as dot,
    einsum as einsum,
    matmul as matmul,
    mm as mm,
    mv as mv,
    outer as outer,
)
from .ops.random import (
    Generator as Generator,
    bernoulli as bernoulli,
    default_generator as default_generator,
    get_rng_state as get_rng_state,
    initial_seed as initial_seed,
    manual_seed as manual_seed,
    normal as normal,
    rand as rand,
    rand_like as rand_like,
    randint as randint,
    randint_like as randint_like,
    randn as randn,
    randn_like as randn_like,
    randperm as randperm,
    seed as seed,
    set_rng_state as set_rng_state,
)
from .ops.reduce import (
    all as all,
    amax as amax,
    amin as amin,
    any as any,
    argmax as argmax,
    argmin as argmin,
    argsort as argsort,
    cumsum as cumsum,
    log_softmax as log_softmax,
    logsumexp as logsumexp,
    max as max,
    mean as mean,
    min as min,
    norm as norm,
    prod as prod,
    softmax as softmax,
    sort as sort,
    std as std,
    sum as sum,
    var as var,
)
from .ops.shapes import (
    broadcast_tensors as broadcast_tensors,
    broadcast_to as broadcast_to,
    cat as cat,
    chunk as chunk,
    clone as clone,
    diag as diag,
    diagonal as diagonal,
    flatten as flatten,
    flip as flip,
    movedim as movedim,
    permute as permute,
    ravel as ravel,
    reshape as reshape,
    roll as roll,
    split as split,
    squeeze as squeeze,
    stack as stack,
    t as t,
    tile as tile,
    transpose as transpose,
    tril as tril,
    triu as triu,
    unbind as unbind,
    unflatten as unflatten,
    unsqueeze as unsqueeze,
)
from .ops.updates import (
    addcdiv as addcdiv,
    addcmul as addcmul,
)
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
absolute, arccos, arccosh, arcsin, arcsinh = abs, acos, acosh, asin, asinh
arctan, arctan2, arctanh, clip, concat, concatenate = atan, atan2, atanh, clamp, cat, cat
divide, true_divide, multiply, subtract, negative = div, div, mul, sub, neg
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
fix, moveaxis, swapaxes, swapdims, ger = trunc, movedim, transpose, transpose, outer
inf, nan, pi, e, newaxis = _math.inf, _math.nan, _math.pi, _math.e, None


if _TYPE_CHECKING:
    from .compiler.api import compile as compile

_LATER = {"compile": ".compiler.api", "nn": ".nn", "show": ".show", "solvers": ".solvers"}
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
