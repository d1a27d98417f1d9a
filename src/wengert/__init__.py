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

from . import autograd
from ._tensor import (
    Tensor,
)
from .autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .core.aval import (
    Size,
)
from .core.blocks import (
    get_num_threads,
    set_num_threads,
)
from .core.device import (
    device,
)
from .core.dtypes import (
    can_cast,
    complex128,
    complex64,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int16,
    int32,
    int64,
    int8,
    set_default_dtype,
    uint8,
)
from .ops.creation import (
    arange,
    as_tensor,
    asarray,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from .ops.index import (
    gather,
    index_select,
    narrow,
    scatter_add,
    select,
)
from .ops.pointwise import (
    abs,
    acos,
    acosh,
    add,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    ceil,
    clamp,
    cos,
    cosh,
    div,
    eq,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    floor,
    floor_divide,
    fmod,
    ge,
    gt,
    hypot,
    isfinite,
    isinf,
    isnan,
    le,
    lerp,
    log,
    log10,
    log1p,
    log2,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    masked_fill,
    maximum,
    minimum,
    mul,
    ne,
    neg,
    positive,
    pow,
    reciprocal,
    relu,
    remainder,
    round,
    rsqrt,
    sgn,
    sigmoid,
    sign,
    sin,
    sinh,
    softplus,
    sqrt,
    square,
    sub,
    tan,
    tanh,
    trunc,
    where,
)
from .ops.products import (
    addmm,
    bmm,
    dot,
    einsum,
    matmul,
    mm,
    mv,
    outer,
)
from .ops.random import (
    Generator,
    bernoulli,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    normal,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
)
from .ops.reduce import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    argsort,
    cumsum,
    log_softmax,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    softmax,
    sort,
    std,
    sum,
    var,
)
from .ops.shapes import (
    broadcast_tensors,
    broadcast_to,
    cat,
    chunk,
    clone,
    diag,
    diagonal,
    flatten,
    flip,
    movedim,
    permute,
    ravel,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    t,
    tile,
    transpose,
    tril,
    triu,
    unbind,
    unflatten,
    unsqueeze,
)
from .printing import (
    get_printoptions,
    set_printoptions,
)
from .core.dtypes import bool_ as bool
from .core.dtypes import promote as promote_types

__version__ = "0.1.0"

# PyTorch's other names for the same things.
float, double, half = float32, float64, float16
cfloat, cdouble = complex64, complex128
int, long, short = int32, int64, int16
absolute, arccos, arccosh, arcsin, arcsinh = abs, acos, acosh, asin, asinh
arctan, arctan2, arctanh, clip, concat, concatenate = atan, atan2, atanh, clamp, cat, cat
divide, true_divide, multiply, subtract, negative = div, div, mul, sub, neg
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
fix, moveaxis, swapaxes, swapdims, ger = trunc, movedim, transpose, transpose, outer
inf, nan, pi, e, newaxis = _math.inf, _math.nan, _math.pi, _math.e, None


def is_tensor(obj: object) -> builtins.bool:
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> builtins.bool:
    """Whether a tensor's elements are floats."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> builtins.bool:
    """Whether a tensor's elements are complex."""
    return input.is_complex()


def numel(input: Tensor) -> builtins.int:
    """The number of elements of a tensor."""
    return input.numel()
