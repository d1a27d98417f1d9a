"""NumPy's ufuncs and their methods.

Most are found by themselves: a primitive says which ufunc computes it. The rest is composed.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core import dtypes
from ...core.handle import Handle
from ...core.primitive import TABLE
from .. import choices, pointwise, products, reduce, shapes
from ..operators import is_number
from . import reductions
from .arguments import Unsupported, floating, one_axis, part, promote, tensor

Apply = Callable[..., Any]


def apply(ufunc: Any, method: str, inputs: Any, kwargs: dict[str, Any]) -> Any:
    """Applies what stands for a ufunc, or for one of its methods.

    Raises:
        Unsupported: if nothing does.
    """
    function = table().get(ufunc) or _special(ufunc)
    if function is None:
        raise Unsupported
    if method == "__call__":
        for name, value in kwargs.items():
            if value is not _DEFAULTS.get(name):
                raise Unsupported(f"with {name}=")
        return function(*inputs)
    if method not in METHODS or (ufunc.nin, ufunc.nout) != (2, 1) or ufunc.signature:
        raise Unsupported
    return METHODS[method](ufunc, function, *inputs, **_without_defaults(kwargs))


_DEFAULTS: dict[str, Any] = {"where": True, "casting": "same_kind", "order": "K", "subok": True}


def _without_defaults(kwargs: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in kwargs.items()
             if value is not np._NoValue and not (name == "where" and value is True)}
    for name in given.keys() - {"axis", "dtype", "keepdims"}:
        raise Unsupported(f"with {name}=")
    return given


# --- the table --------------------------------------------------------------------------------


@functools.cache
def table() -> dict[Any, Apply]:
    """What stands for each ufunc: a function of as many operands."""
    found: dict[Any, Apply] = {}
    for primitive in tuple(TABLE.values()):
        if primitive.elementwise and primitive.ufunc is not None:
            found.setdefault(primitive.ufunc, _applied(
                primitive.ufunc, getattr(pointwise, primitive.name, primitive)))
    for name in _BY_NAME:
        found[getattr(np, name)] = _applied(getattr(np, name), getattr(pointwise, name))
    return found | {getattr(np, name): function for name, function in _COMPOSED.items()}


_BY_NAME = ("copysign", "fmax", "fmin", "gcd", "heaviside", "lcm", "logaddexp", "logaddexp2",
            "nextafter", "sign")
"""Those whose primitives NumPy has under another name, or does otherwise."""
_OF_FLOATS = {np.hypot, np.logaddexp, np.logaddexp2, np.arctan2, np.heaviside, np.copysign,
              np.nextafter}
"""Those whose primitives refuse the integers that NumPy makes floats."""
_OF_NUMBERS = {np.add, np.subtract, np.multiply, np.divide, np.remainder, np.fmod, np.floor_divide,
               np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal}
"""Those that take a number beside a tensor as it is, as the operators do."""


def _applied(ufunc: Any, function: Apply) -> Apply:
    """The function, of whatever NumPy takes as operands."""
    if ufunc.nin == 1:
        return lambda x: function(tensor(x))
    floats, numbers = ufunc in _OF_FLOATS, ufunc in _OF_NUMBERS

    def apply(x: Any, y: Any) -> Any:
        if numbers and is_number(y) and isinstance(x, Handle):
            return function(x, y)
        return function(*promote(x, y, floats=floats))

    return apply


def _power(x: Any, y: Any) -> Any:
    """Numbers stay numbers: a power by a number has a rule of its own."""
    if is_number(y):
        return pointwise.pow(tensor(x), y)
    return pointwise.pow(x if is_number(x) else tensor(x), tensor(y))


def _float_power(x: Any, y: Any) -> Any:
    kind = dtypes.complex128 if any(
        o.aval.is_complex for o in (tensor(x), tensor(y))) else dtypes.float64
    wide = [o if is_number(o) else shapes.astype(tensor(o), kind) for o in (x, y)]
    return _power(wide[0], shapes.astype(tensor(y), kind) if is_number(x) else wide[1])


def _cbrt(x: Any) -> Any:
    x = floating(x)
    return pointwise.sign(x) * pointwise.pow(pointwise.abs(x), 1 / 3)


def _heaviside(x: Any, y: Any) -> Any:
    """NaN stays NaN."""
    x, y = promote(x, y, floats=True)
    return choices.where(pointwise.isnan(x), x, pointwise.heaviside(x, y))


def _scaled(factor: float) -> Apply:
    return lambda x: floating(x) * factor


def _modf(x: Any) -> Any:
    """The parts after and before the point; those of infinity are 0 and itself."""
    x = floating(x)
    whole = pointwise.trunc(x)
    return choices.where(pointwise.isinf(x), 0.0, x - whole), whole


def _divmod(x: Any, y: Any) -> Any:
    x, y = promote(x, y)
    return pointwise.floor_divide(x, y), pointwise.remainder(x, y)


def _conj(x: Any) -> Any:
    return x.conj() if x.aval.is_complex else shapes.clone(x)


def _matmul(x: Any, y: Any) -> Any:
    return products.matmul(*promote(x, y))


def _vecdot(x: Any, y: Any) -> Any:
    x, y = promote(x, y)
    return reduce.sum(x.conj() * y, -1)


def _matvec(x: Any, y: Any) -> Any:
    x, y = promote(x, y)
    return shapes.squeeze(products.matmul(x, shapes.unsqueeze(y, -1)), -1)


def _vecmat(x: Any, y: Any) -> Any:
    x, y = promote(x, y)
    return shapes.squeeze(products.matmul(shapes.unsqueeze(x.conj(), -2), y), -2)


_COMPOSED: dict[str, Apply] = {
    "power": _power, "float_power": _float_power, "cbrt": _cbrt,
    "heaviside": _heaviside,
    "fabs": lambda x: pointwise.abs(floating(x)),
    "conjugate": lambda x: _conj(tensor(x)),
    "positive": lambda x: shapes.clone(pointwise.positive(tensor(x))),  # NumPy's is a copy
    "sign": lambda x: (pointwise.sgn if tensor(x).aval.is_complex else pointwise.sign)(tensor(x)),
    "deg2rad": _scaled(math.pi / 180), "radians": _scaled(math.pi / 180),
    "rad2deg": _scaled(180 / math.pi), "degrees": _scaled(180 / math.pi),
    "modf": _modf, "divmod": _divmod, "matmul": _matmul, "vecdot": _vecdot, "matvec": _matvec,
    "vecmat": _vecmat,
}

_SPECIAL: dict[str, Apply] = {"erf": pointwise.erf, "erfc": pointwise.erfc,
                              "expit": pointwise.sigmoid}


def _special(ufunc: Any) -> Apply | None:
    """What stands for a ufunc of `scipy.special`, which is there already if it is one."""
    function = _SPECIAL.get(ufunc.__name__)
    module = sys.modules.get("scipy.special")
    if function is None or getattr(module, ufunc.__name__, None) is not ufunc:
        return None
    return lambda x: function(tensor(x))


# --- methods ----------------------------------------------------------------------------------

_REDUCED: dict[Any, Apply] = {
    np.add: reductions.sum_, np.multiply: reductions.prod, np.maximum: reductions.amax,
    np.minimum: reductions.amin, np.logical_and: reductions.all_, np.logical_or: reductions.any_,
    np.logaddexp: reductions.logsumexp}


def _reduce(ufunc: Any, function: Apply, array: Any, axis: Any = 0, dtype: Any = None,
            keepdims: bool = False) -> Any:
    """The elements along an axis combined from the left."""
    typed = {} if dtype is None else {"dtype": dtype}
    if ufunc in _REDUCED and (not typed or ufunc in (np.add, np.multiply)):
        return _REDUCED[ufunc](array, axis=axis, keepdims=keepdims, **typed)
    x = tensor(array)
    if typed or isinstance(axis, tuple) or (axis is None and x.aval.ndim != 1):
        raise Unsupported("with dtype=" if typed else "over several axes")
    x, dim = one_axis(x, axis)
    found = functools.reduce(function, _parts(x, dim))
    return shapes.unsqueeze(found, dim) if keepdims else found


def _parts(x: Any, dim: int) -> Any:
    if not x.aval.ndim or not x.aval.shape[dim]:
        raise Unsupported("of nothing")
    return [part(x, dim, i) for i in range(x.aval.shape[dim])]


def _accumulate(ufunc: Any, function: Apply, array: Any, axis: Any = 0, dtype: Any = None) -> Any:
    """The results of `reduce` up to each element along an axis."""
    x = tensor(array)
    if ufunc is np.add:
        return reductions.cumsum(x, axis, dtype)
    if dtype is not None:
        raise Unsupported("with dtype=")
    if ufunc is np.multiply:
        return reductions.cumprod(x, axis)
    return reductions.running(function, x, axis)


def _outer(ufunc: Any, function: Apply, x: Any, y: Any) -> Any:
    """Every element of x combined with every one of y."""
    x, y = tensor(x), tensor(y)
    return function(shapes.reshape(x, (*x.aval.shape, *(1,) * y.aval.ndim)), y)


METHODS: dict[str, Apply] = {"reduce": _reduce, "accumulate": _accumulate, "outer": _outer}
