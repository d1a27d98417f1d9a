"""The operators: the hottest path of the system.

`binary`, `comparison` and `unary` make the Python function of an elementwise primitive. Where
the operands are plain tensors of one aval (or a tensor and a number met before) and nothing out
of the ordinary is in force, that function goes straight to NumPy and, if it must, writes the
tape node in place. Everything else (broadcasting, promotion, views, modes, transforms, large
arrays) takes the general path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.aval import Aval, aval_of
from ..core.handle import Handle, Results, wrap
from ..core.levels import here, quietly, shared
from ..core.primitive import Primitive
from ..interpreters.inplace import check_fits, check_kind, write
from ..interpreters.tape import node_class, number, saved_output
from ..primitives.elementwise import copy
from ..primitives.layout import cast
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
    ufunc, evaluate = primitive.ufunc, primitive.evaluate
    left, right = (() if r is None else r.saves for r in primitive.vjp or (None, None))  # type: ignore[union-attr]
    # What each operand's rule reads: x, y, the result.
    left_x, left_y, left_out = 0 in left, 1 in left, -1 in left
    right_x, right_y, right_out = 0 in right, 1 in right, -1 in right
    reads_nothing = not (left or right)

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
            return general(primitive, floats, x, y)
        versions = None
        if alias is not None or alias_y is not None:
            versions = steady_versions(alias, alias_y)
            if versions is None:
                return general(primitive, floats, x, y)
        out = new(Results.cls)
        if ufunc is None:
            out.value = np.asarray(quietly(evaluate, x.value, other), aval.numpy)
        elif aval.ndim:
            out.value = here.run(ufunc, x.value, other)
        else:
            out.value = here.run(ufunc, x.value, other, out=...)
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
        a, b = mine is not None, edge is not None
        node.saved = (x if (a and left_x) or (b and right_x) else None,
                      y if (a and left_y) or (b and right_y) else None,
                      saved_output(out) if (a and left_out) or (b and right_out) else None)
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
        else:
            return general(primitive, False, x, y)
        value = (here.run(ufunc, x.value, other) if aval.ndim
                 else here.run(ufunc, x.value, other, out=...))
        return wrap(value, aval.boolean)

    return function


def question(primitive: Primitive) -> Callable[[Tensor], Tensor]:
    """The function of a primitive of one operand that answers yes or no."""
    evaluate = primitive.evaluate
    plain = primitive.ufunc is not None

    def function(input: Any) -> Any:
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
    rule = primitive.rule(0) if primitive.vjp is not None else None
    save_x, save_out = (0 in rule.saves, -1 in rule.saves) if rule is not None else (False, False)

    def function(input: Any) -> Any:
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
        value = (here.run if plain else quietly)(evaluate, input.value)
        out = wrap(value if type(value) is np.ndarray and value.dtype is aval.numpy
                   else np.asarray(value, aval.numpy), aval)
        if input.node is not None and rule is not None:
            out.node = node = new(cls)
            node.edges, node.order, node.out = (input.node,), number(), aval
            node.ins = node.params = node.extra = None
            node.versions = None if versions is None else versions[::2]
            node.saved = (input if save_x else None, saved_output(out) if save_out else None
                          ) if save_x or save_out else ()
        return out

    return function


def steady_versions(x: Any, y: Any) -> tuple[int, int, int] | None:
    """The versions of two operands' memory and of the result's, given the operands' aliases.

    None if an operand is a view, whose history may have to be derived anew, or was made in
    inference mode.
    """
    versions = [0, 0, 0]
    for i, alias in enumerate((x, y)):
        if alias is not None:
            if alias.base is not None or alias.storage.inference:
                return None
            versions[i] = alias.storage.version
    return tuple(versions)  # type: ignore[return-value]


# --- the general paths ------------------------------------------------------------------------


def general(primitive: Primitive, floats: bool, x: Any, y: Any) -> Any:
    """Promotes two operands and applies the primitive; NotImplemented for a foreign operand."""
    kind = x.aval.dtype
    if kind.differentiable:  # what needs neither promotion nor `CHECKS`, first
        if isinstance(y, Handle) and y.aval.dtype is kind:
            return primitive(x, y)
        if (type(y) is float or type(y) is int) and (
                scalar := x.aval.plain.scalars.get(y)) is not None:
            return primitive(x, scalar)
    if not acceptable(y):
        return NotImplemented
    check = CHECKS.get(primitive.name)
    if check is not None:
        check(x, y)
    pair = promoted((x, y), floats=floats)
    if not isinstance(y, Handle) and primitive.elementwise:
        _remember(x.aval.plain, y, pair[1])
    return primitive(*pair)


CHECKS: dict[str, Callable[[Any, Any], None]] = {}
"""By primitive, what is asked of two operands before they are promoted."""


def general_unary(primitive: Primitive, floats: bool, x: Any) -> Any:
    if x.aval.dtype.differentiable:
        return primitive(x)
    return primitive(*promoted((x,), floats=floats))


def acceptable(value: Any) -> bool:
    """Whether a value can be an operand beside a tensor."""
    return isinstance(value, (Handle, np.ndarray)) or is_number(value)


def _remember(aval: Aval, number: Any, array: Any) -> None:
    """Keeps a number's array for the fast path: its dtype is the tensor's, so the result's is.

    Zeros are left out: 0.0 and -0.0 are equal as keys; so is NaN, which never is.
    """
    if (type(number) in (float, int) and number != 0 and number == number and aval.fast
            and isinstance(array, np.ndarray) and array.dtype == aval.numpy
            and len(aval.scalars) < _MOST_SCALARS):
        aval.scalars[number] = array


def promoted(operands: Sequence[Any], *, floats: bool = False) -> tuple[Any, ...]:
    """The operands with one dtype, by PyTorch's rules: tensors cast, numbers made 0-d arrays.

    Args:
        operands: tensors, arrays or numbers; at least one a tensor or array.
        floats: whether integers and bools become the default float dtype.
    """
    operands = [as_operand(o) for o in operands]
    kind = dtypes.result_type([ranked(o) for o in operands])
    if floats and not kind.differentiable:
        kind = dtypes.get_default_dtype()
    return tuple(to_kind(o, kind) for o in operands)


def as_operand(operand: Any) -> Any:
    """An operand as it is, or an array as a constant tensor."""
    return wrap(operand, aval_of(operand)) if isinstance(operand, np.ndarray) else operand


def ranked(operand: Any) -> tuple[int, dtypes.dtype]:
    """An operand as `dtypes.result_type` takes it."""
    if isinstance(operand, Handle):
        return (2 if operand.aval.ndim else 1), operand.aval.dtype
    return 0, dtypes.of_number(operand)


def to_kind(operand: Any, kind: dtypes.dtype) -> Any:
    """An operand in a dtype.

    Raises:
        RuntimeError: for a number that the dtype can't hold.
    """
    if isinstance(operand, Handle):
        return operand if operand.aval.dtype is kind else cast(operand, dtype=kind)
    return number_array(operand, kind)


def number_array(value: Any, kind: dtypes.dtype) -> np.ndarray:
    """A number as a 0-d array of a dtype; integers wrap around, as PyTorch's do."""
    try:
        if kind.category == dtypes.INTEGER and not isinstance(value, float):
            return here.run(np.asarray(int(value), np.int64).astype, kind.numpy)
        return here.run(np.asarray, value, kind.numpy)
    except (OverflowError, TypeError, ValueError):
        if not is_number(value):
            raise TypeError(f"must be Number, not {type(value).__name__}") from None
        raise RuntimeError(f"value cannot be converted to type {c_name(kind)} without "
                           "overflow") from None


def exact_array(value: Any, kind: dtypes.dtype) -> np.ndarray:
    """A number as a 0-d array of a dtype that can hold it; fractions are dropped for integers.

    Raises:
        RuntimeError: if it can't.
    """
    if not isinstance(value, complex):
        found = here.run(np.asarray, value, kind.numpy) if kind.category != dtypes.INTEGER else (
            _whole(value, np.iinfo(kind.numpy)))
        if found is not None and (np.isfinite(found) or not np.isfinite(value)):
            return found
    elif kind.is_complex:
        return here.run(np.asarray, value, kind.numpy)
    raise RuntimeError(f"value cannot be converted to type {c_name(kind)} without overflow")


def _whole(value: Any, limits: Any) -> np.ndarray | None:
    """A number as an integer within limits; None beyond them."""
    return np.asarray(int(value), limits.dtype) if limits.min <= value <= limits.max else None


def c_name(kind: dtypes.dtype) -> str:
    """What C++, and so some messages of PyTorch's, calls the numbers of a dtype."""
    return _C_NAMES.get(kind.name, f"{kind.name}_t")


_C_NAMES = {"float32": "float", "float64": "double", "int32": "int", "float16": "c10::Half",
            "bfloat16": "c10::BFloat16", "bool": "bool", "complex64": "c10::complex<float>",
            "complex128": "c10::complex<double>"}


def scalar(number: Any, aval: Aval) -> np.ndarray:
    """A number as a 0-d array of an aval's dtype, remembered for the next time."""
    plain = aval.plain
    found = plain.scalars.get(number) if type(number) is float or type(number) is int else None
    if found is None:
        found = number_array(number, plain.dtype)
        _remember(plain, number, found)
    return found


def inplace_binary(primitive: Primitive, *,
                   floats: bool = False) -> Callable[[Any, Any], Tensor]:
    """The in-place operator of a primitive, as `x += y`."""

    def function(self: Any, other: Any) -> Any:
        if not acceptable(other):
            return NotImplemented
        kind = type(other)
        if (kind is float or kind is int) and (
                scalar := self.aval.scalars.get(other)) is not None:
            return write(primitive, self, scalar)
        check = CHECKS.get(primitive.name)
        if check is not None:
            check(self, other)
        return write_promoted(primitive, self, *promoted((self, other), floats=floats))

    return function


def write_promoted(primitive: Primitive, self: Any, x: Any, *others: Any, **params: Any) -> Any:
    """Stores primitive(x, *others) in self, where x is self or that in another dtype."""
    if x is self:
        return write(primitive, self, *others, **params)
    check_kind(self.aval, x.aval)
    result = primitive(x, *others, **params)
    check_fits(self.aval, result.aval)
    return write(copy, self, result)
