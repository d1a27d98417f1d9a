"""The operators: the hottest path of the system.

`binary`, `comparison` and `unary` make the Python function of an elementwise primitive. Where
the operands are plain tensors of one aval (or a tensor and a number met before) and nothing out
of the ordinary is in force, that function goes straight to NumPy and, if it must, writes the
tape node in place. Everything else (broadcasting, promotion, views, modes, transforms, large
arrays) takes the general path.
"""

from __future__ import annotations

import cmath
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.aval import LARGE, Aval, aval_of
from ..core.formats import joint
from ..core.handle import Handle, Results, current, without_history, wrap
from ..core.levels import here, quietly, shared
from ..core.out import into
from ..core.primitive import Primitive
from ..interpreters.eager import fitting
from ..interpreters.inplace import apart, check_fits, check_kind, unbound, write, written
from ..interpreters.tape import node_class, number, saved_output
from ..primitives.elementwise import copy
from ..primitives.layout import cast, copied_order
from .arguments import need_tensor

if TYPE_CHECKING:
    from .._tensor import Tensor

new = object.__new__
NUMBERS = (bool, int, float, complex, np.bool_, np.number)
_MOST_SCALARS = 256


def is_number(value: Any) -> bool:
    """Whether a value is a Python or NumPy number."""
    return isinstance(value, NUMBERS)


# --- the fast paths ---------------------------------------------------------------------------


def binary(primitive: Primitive, *, floats: bool = False) -> Callable[[Tensor, Any], Tensor]:
    """The function of a primitive of two operands, for operators.

    Args:
        primitive: elementwise, and a result like its operands.
        floats: whether integers are first made floats, as in a division.
    """
    cls = node_class(primitive)
    ufunc: Any = primitive.ufunc
    evaluate = primitive.evaluate
    rules: Any = primitive.vjp or (None, None)
    # Whether each operand's rule reads x, y, the result.
    left, right = [[r is not None and place in r.saves for place in (0, 1, -1)] for r in rules]
    both = [a or b for a, b in zip(left, right, strict=True)]
    reads_nothing = not any(both)
    of_whole = ufunc is evaluate and not floats and primitive.name not in CHECKS

    def function(x: Any, y: Any) -> Any:
        aval = x.aval
        kind = type(y)
        alias, alias_y = x.alias, None
        if kind is Results.cls and y.aval is aval and aval.fast and not shared.special:
            other, edge, alias_y = y.value, y.node, y.alias
        elif ((kind is float or kind is int) and not shared.special
                and (other := aval.scalars.get(y)) is not None):  # kept for fast avals alone
            y, edge = other, None
        else:
            if of_whole and aval.whole and kind is Results.cls and y.aval is aval and steady(x, y):
                return wrap(here.run(ufunc, x.value, y.value, out=...),
                            primitive.abstract(aval, aval))
            return general(primitive, floats, x, y)
        versions = None
        if alias is not None or alias_y is not None:
            versions = steady_versions(alias, alias_y)
            if versions is None:
                return general(primitive, floats, x, y)
        out = new(Results.cls)
        ndim = aval.ndim
        if ufunc is None:
            out.value = np.asarray(quietly(evaluate, x.value, other), aval.numpy)
        elif ndim:
            out.value = here.run(ufunc, x.value, other)
        else:
            out.value = here.run(ufunc, x.value, other, out=...)
        if ndim > 1 and not x.value.flags.c_contiguous:
            out.value = joint(out.value, (x.value, other))
        out.aval = aval
        out.alias = out.extra = None
        mine = x.node
        if mine is None is edge:
            out.node = None
            return out
        out.node = node = new(cls)
        node.edges, node.order, node.out = (mine, edge), number(), aval
        node.ins = node.params = node.extra = None
        node.versions = versions
        if reads_nothing:
            node.saved = ()
            return out
        save_x, save_y, save_out = right if mine is None else left if edge is None else both
        node.saved = (x if save_x else None, y if save_y else None,
                      saved_output(out) if save_out else None)
        return out

    return function


def comparison(primitive: Primitive) -> Callable[[Tensor, Any], Tensor]:
    """The function of a primitive that compares two operands."""
    ufunc: Any = primitive.ufunc

    def function(x: Any, y: Any) -> Any:
        aval = x.aval
        kind = type(y)
        if kind is Results.cls and y.aval is aval and aval.fast and not shared.special:
            other = y.value
        elif ((kind is float or kind is int) and aval.fast and not shared.special
                and (other := aval.scalars.get(y) if y else aval.zero) is not None):
            pass
        elif aval.whole and kind is Results.cls and y.aval is aval and steady(x, y):
            other = y.value
        else:
            return general(primitive, False, x, y)
        value = (here.run(ufunc, x.value, other) if aval.ndim
                 else here.run(ufunc, x.value, other, out=...))
        if aval.ndim > 1 and not x.value.flags.c_contiguous:
            value = joint(value, (x.value, other))
        return wrap(value, aval.boolean)

    return function


def question(primitive: Primitive) -> Callable[[Tensor], Tensor]:
    """The function of a primitive of one operand that answers yes or no."""
    evaluate = primitive.evaluate
    plain = primitive.ufunc is not None

    def function(input: Any, *, out: Any = None) -> Any:
        if out is not None:
            return into(function, (input,), {"out": out})
        aval = need_tensor(primitive.name, input).aval
        if not aval.fast or shared.special:
            return primitive(input)
        value = (here.run if plain else quietly)(evaluate, input.value)
        return wrap(value if type(value) is np.ndarray else np.asarray(value), aval.boolean)

    return function


def unary(primitive: Primitive, *, floats: bool = False) -> Callable[[Tensor], Tensor]:
    """The function of a primitive of one operand; `floats` as for `binary`."""
    cls, evaluate = node_class(primitive), primitive.evaluate
    plain = primitive.ufunc is not None
    loaded = getattr(evaluate, "loaded", None)
    scipy: Any = None  # SciPy's ufunc, once it is loaded: it never warns
    rule = primitive.rule(0) if primitive.vjp is not None else None
    save_x, save_out = (0 in rule.saves, -1 in rule.saves) if rule is not None else (False, False)
    reads = save_x or save_out

    def function(input: Any, *, out: Any = None) -> Any:
        nonlocal scipy
        if out is not None:
            return into(function, (input,), {"out": out})
        try:
            aval = input.aval
            fast = aval.fast
        except AttributeError:
            raise TypeError(f"{primitive.name}(): argument 'input' (position 1) must be Tensor, "
                            f"not {type(input).__name__}") from None
        if not fast or shared.special:
            return general_unary(primitive, floats, input)
        versions = None
        if input.alias is not None:
            versions = steady_versions(input.alias, None)
            if versions is None:
                return general_unary(primitive, floats, input)
        out = new(Results.cls)
        if not plain:
            if scipy is not None and aval.ndim:
                out.value = scipy(input.value)
            else:
                out.value = fitting(quietly(evaluate, input.value), aval)
                if loaded is not None:
                    scipy = loaded()
        elif aval.ndim:
            out.value = here.run(evaluate, input.value)
        else:
            out.value = here.run(evaluate, input.value, out=...)
        out.aval = aval
        out.alias = out.extra = None
        mine = input.node
        if mine is None or rule is None:
            out.node = None
            return out
        out.node = node = new(cls)
        node.edges, node.order, node.out = (mine,), number(), aval
        node.ins = node.params = node.extra = None
        node.versions = None if versions is None else versions[::2]
        node.saved = (input if save_x else None, saved_output(out) if save_out else None
                      ) if reads else ()
        return out

    return function


def steady(x: Any, y: Any) -> bool:
    """Whether two plain tensors are no views and lie in C order, and nothing is in force."""
    return ((x.alias is None or x.alias.base is None) and (y.alias is None or y.alias.base is None)
            and not shared.special and x.value.flags.c_contiguous and y.value.flags.c_contiguous)


def steady_versions(x: Any, y: Any) -> tuple[int, int, int] | None:
    """The versions of two operands' memory and of the result's, given the operands' aliases.

    None if an operand is a view, whose history may have to be derived anew, or was made in
    inference mode.
    """
    version_x = version_y = 0
    if x is not None:
        if x.base is not None or x.storage.inference:
            return None
        version_x = x.storage.version
    if y is not None:
        if y.base is not None or y.storage.inference:
            return None
        version_y = y.storage.version
    return version_x, version_y, 0


# --- the general paths ------------------------------------------------------------------------


def general(primitive: Primitive, floats: bool, x: Any, y: Any) -> Any:
    """Promotes two operands and applies the primitive; NotImplemented for a foreign operand."""
    kind, name = x.aval.dtype, primitive.name
    if kind.differentiable or not floats:  # what needs no promotion, first
        same = met(x.aval.plain, y) if not isinstance(y, Handle) else (
            y if y.aval.dtype is kind else None)
        if same is not None:
            if not kind.differentiable and name in CHECKS:
                CHECKS[name](x, y)
            return applied(primitive, x, same)
    if not acceptable(y):
        return NotImplemented
    if name in CHECKS:
        CHECKS[name](x, y)
    pair = promoted((x, y), floats=floats)
    if not isinstance(y, Handle) and primitive.elementwise:
        remember(x.aval.plain, y, pair[1])
    return applied(primitive, *pair)


def applied(primitive: Primitive, x: Any, y: Any) -> Any:
    """A primitive of a tensor and an operand of its dtype: at once, if a ufunc computes it and
    nothing is to be recorded."""
    aval, value = x.aval, y
    if isinstance(y, Handle):
        value, beside = y.value, y.aval
        plain = not shared.special and without_history(y)
    else:
        beside, plain = aval_of(y), not shared.special
    if (plain and primitive.evaluate is primitive.ufunc and without_history(x)
            and x.value.flags.c_contiguous and value.flags.c_contiguous):
        result = primitive.abstract(aval, beside)
        if aval.simple and beside.simple and result.simple:
            return wrap(here.run(primitive.evaluate, x.value, value, out=...), result)
    return primitive(x, y)


CHECKS: dict[str, Callable[[Any, Any], None]] = {}
"""By primitive, what is asked of two operands before they are promoted."""


def general_unary(primitive: Primitive, floats: bool, x: Any) -> Any:
    if x.aval.whole and not (floats or shared.special) and current(x):
        result = primitive.abstract(x.aval)
        return wrap(fitting((here.run if primitive.ufunc else quietly)(
            primitive.evaluate, x.value), result), result)
    if x.aval.dtype.differentiable:
        return primitive(x)
    return primitive(*promoted((x,), floats=floats))


def acceptable(value: Any) -> bool:
    """Whether a value can be an operand beside a tensor."""
    return isinstance(value, (Handle, np.ndarray)) or is_number(value)


def remember(aval: Aval, number: Any, array: Any) -> None:
    """Keeps a number's array for the fast path: its dtype is the tensor's, so the result's is.

    Zeros are left out: 0.0 and -0.0 are equal as keys; so is NaN, which never is.
    """
    kind = type(number)
    if ((kind is int and (aval.fast or aval.whole)) or (kind is float and aval.fast)) and (
            number != 0 and number == number and isinstance(array, np.ndarray)
            and array.dtype == aval.numpy and len(aval.integers) < _MOST_SCALARS):
        aval.integers[number] = array


def promoted(operands: Sequence[Any], *, floats: bool = False) -> tuple[Any, ...]:
    """The operands with one dtype, by PyTorch's rules: tensors cast, numbers made 0-d arrays.

    Args:
        operands: tensors, arrays or numbers; at least one a tensor or array.
        floats: whether integers and bools become the default float dtype.
    """
    operands = list(map(as_operand, operands))
    kind = dtypes.result_type(list(map(ranked, operands)))
    if floats and not kind.differentiable:
        kind = dtypes.get_default_dtype()
    return tuple([to_kind(o, kind) for o in operands])


def as_operand(operand: Any) -> Any:
    """An operand as it is, or an array as a constant tensor."""
    return wrap(operand, aval_of(operand)) if isinstance(operand, np.ndarray) else operand


def ranked(operand: Any) -> tuple[int, dtypes.dtype]:
    """An operand as `dtypes.result_type` takes it."""
    if isinstance(operand, Handle):
        return operand.aval.ranked
    return 0, dtypes.of_number(operand)


def to_kind(operand: Any, kind: dtypes.dtype) -> Any:
    """An operand in a dtype.

    Raises:
        RuntimeError: for a number that the dtype can't hold.
    """
    if isinstance(operand, Handle):
        return operand if operand.aval.dtype is kind else converted(operand, kind)
    return number_array(operand, kind)


def converted(x: Any, kind: dtypes.dtype) -> Any:
    """A tensor in another dtype."""
    aval = x.aval
    if aval.numel < LARGE and not (aval.is_complex or shared.special) and without_history(x):
        value = here.run(x.value.astype, kind.numpy, copied_order(x.value))
        return wrap(value, aval.with_dtype(kind))
    return cast(x, dtype=kind)


def real_of(value: complex, kind: dtypes.dtype) -> Any:
    """A complex number for a dtype of real ones."""
    if value.imag:
        raise RuntimeError(f"value cannot be converted to type {dtypes.c_name(kind)} without "
                           "overflow")
    return value.real


_LONGEST = 2**63 - 1


def number_array(value: Any, kind: dtypes.dtype) -> np.ndarray:
    """A number as a 0-d array of a dtype; integers wrap around, as PyTorch's do."""
    if isinstance(value, complex) and dtypes.BOOL < kind.category < dtypes.COMPLEX:
        value = real_of(value, kind)
    try:
        if kind.category == dtypes.INTEGER and not isinstance(value, float):
            value = int(value)
            wide = np.uint64 if value > _LONGEST else np.int64
            return here.run(np.asarray(value, wide).astype, kind.numpy)
        return here.run(np.asarray, value, kind.numpy)
    except (OverflowError, TypeError, ValueError) as error:
        if not is_number(value):
            raise TypeError(f"must be Number, not {type(value).__name__}") from None
        if isinstance(error, OverflowError) and isinstance(value, int):
            raise OverflowError("int too big to convert") from None
        raise RuntimeError(f"value cannot be converted to type {dtypes.c_name(kind)} without "
                           "overflow") from None


def exact_array(value: Any, kind: dtypes.dtype) -> np.ndarray:
    """A number as a 0-d array of a dtype that can hold it; fractions are dropped for integers.

    Raises:
        RuntimeError: if it can't.
    """
    if isinstance(value, complex) and dtypes.BOOL < kind.category < dtypes.COMPLEX:
        value = real_of(value, kind)
    if not isinstance(value, complex):
        found = here.run(np.asarray, value, kind.numpy) if kind.category != dtypes.INTEGER else (
            _whole(value, kind.numpy, *integer_limits(kind)))
        if found is not None and (cmath.isfinite(found) or not cmath.isfinite(value)):
            return found
    else:
        return here.run(np.asarray, value, kind.numpy)
    raise RuntimeError(f"value cannot be converted to type {dtypes.c_name(kind)} without overflow")


def stored(value: Any, kind: dtypes.dtype) -> np.ndarray:
    """`exact_array` of a number that is written by index: halves become infinite, as in PyTorch."""
    return (number_array if kind.is_half else exact_array)(value, kind)


@functools.lru_cache
def integer_limits(kind: dtypes.dtype) -> tuple[int, int]:
    """The least and the greatest number that an integer dtype is given; without a sign, negative
    ones wrap around."""
    info = np.iinfo(kind.numpy)
    return int(info.min) or -int(info.max), int(info.max)


def _whole(value: Any, kind: Any, least: int, most: int) -> np.ndarray | None:
    """A number as an integer of a dtype, whose limits are given; None beyond them."""
    if not least <= value <= most:
        return None
    value = int(value)
    return np.asarray(value if value >= 0 or least < -most else value + most + 1, kind)


def scalar(number: Any, aval: Aval) -> np.ndarray:
    """A number as a 0-d array of an aval's dtype, remembered for the next time."""
    plain = aval.plain
    found = met(plain, number)
    if found is None:
        found = number_array(number, plain.dtype)
        remember(plain, number, found)
    return found


def inplace_binary(primitive: Primitive, *,
                   floats: bool = False) -> Callable[[Any, Any], Tensor]:
    """The in-place operator of a primitive, as `x += y`."""

    ufunc: Any = primitive.ufunc
    check = CHECKS.get(primitive.name)
    of_floats = ufunc is not None and "ff->f" in ufunc.types
    of_whole = ufunc is not None and ufunc is primitive.evaluate and not floats

    def function(self: Any, other: Any) -> Any:
        aval, kind, loose = self.aval, type(other), unbound(self)
        if kind is Results.cls:
            value = other.value if (other.aval is aval or (
                loose and other.aval.dtype is aval.dtype
                and primitive.abstract(aval, other.aval) is aval)
            ) and apart(self, other) else None
        else:
            value = met(aval, other)
        if value is not None and loose and ((of_floats and aval.fast) or (
                of_whole and aval.whole and primitive.abstract(aval, aval) is aval)):
            if check is not None and aval.whole:
                check(self, other)
            here.run(ufunc, self.value, value, self.value)
            written(self)
            return self
        if not acceptable(other):
            return NotImplemented
        if value is not None and not aval.whole:
            return write(primitive, self, other if kind is Results.cls else value)
        if check is not None:
            check(self, other)
        pair = promoted((self, other), floats=floats)
        if not isinstance(other, Handle):
            remember(aval.plain, other, pair[1])
        return write_promoted(primitive, self, *pair)

    return function


def met(aval: Aval, number: Any) -> np.ndarray | None:
    """The array of a Python number that operators met beside an aval; None for anything else."""
    kind = type(number)
    return (aval.integers.get(number) if kind is int else
            aval.scalars.get(number) if kind is float else None)


def write_promoted(primitive: Primitive, self: Any, x: Any, *others: Any, **params: Any) -> Any:
    """Stores primitive(x, *others) in self, where x is self or that in another dtype."""
    if x is self:
        return write(primitive, self, *others, **params)
    check_kind(self.aval, x.aval)
    result = primitive(x, *others, **params)
    check_fits(self.aval, result.aval)
    return write(copy, self, result)
