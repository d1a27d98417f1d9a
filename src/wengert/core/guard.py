"""What is said when a word fails over its arguments somewhere inside: PyTorch's kind of error.

Words check what they can cheaply. What slips through ends in an error of Python's or NumPy's own:
an attribute that None lacks, an array that can't be made. `guarded` turns that into an error about
the arguments, which it judges by the types in the word's signature. It costs nothing until then
but a call; words on the fast paths, which check all that they are given, go without.
"""

from __future__ import annotations

import inspect
import opcode
from collections.abc import Callable, Sequence
from types import FunctionType, TracebackType
from typing import Any, TypeVar

import numpy as np

from . import dtypes
from .handle import Handle
from .out import into, lacks_out

F = TypeVar("F")
_LATER = {RuntimeError, ValueError, IndexError, NotImplementedError}
"""What our lines raise about values. PyTorch looks at all types before, except in `nn`."""
_RAISE = opcode.opmap["RAISE_VARARGS"]
_WORDS_IN = ("wengert.ops", "wengert.nn", "wengert.methods", "wengert.signal",
             "wengert.core.dtypes")
_FACES = ("wengert", "wengert._tensor")
_CHECKED = "wengert.ops.pointwise"  # where words on the fast paths say that they belong


def guard(namespace: Any) -> None:
    """Puts guarded words in the places of a namespace's own (a module's, a class's)."""
    for name, value in tuple(vars(namespace).items()):
        if guarded(value) is not value and not name.startswith("_"):
            setattr(namespace, name, guarded(value))


def _needs_guard(function: Any) -> bool:
    home = function.__module__
    return (home in _FACES or home.startswith(_WORDS_IN)) and home != _CHECKED and not hasattr(
        function, "guarded")


def guarded(function: F) -> F:
    """A word whose accidents are told in terms of its arguments; anything else as it is."""
    if type(function) is not FunctionType or not _needs_guard(function):
        return function
    if not hasattr(function, "word"):
        function.word = _guarded(function)  # type: ignore[attr-defined]
    return function.word  # type: ignore[attr-defined]


def _guarded(function: Any) -> Any:
    def called(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except Exception as error:  # noqa: BLE001 - it is raised again, if under another name
            if not lacks_out(error, named):
                raise told(function, args, named, error)  # noqa: B904 - it names its cause
        return into(called, args, named)

    for attribute in ("__name__", "__module__", "__doc__"):
        setattr(called, attribute, getattr(function, attribute))
    called.__qualname__ = f"{function.__qualname__}.word"  # where pickle finds it
    called.word = called  # type: ignore[attr-defined]
    called.__wrapped__ = function  # type: ignore[attr-defined]
    called.guarded = True  # type: ignore[attr-defined]
    return called


def told(function: Any, args: Sequence[Any], named: dict[str, Any], error: Exception) -> Exception:
    """What to raise for an error that came out of a word: itself, if a line of ours raised it."""
    trace = error.__traceback__
    if trace is None or trace.tb_next is None or isinstance(error, (Warning, RecursionError)):
        return error  # Python could not even make the call; or no argument is to blame
    while trace.tb_next is not None:
        trace = trace.tb_next
    home = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
    if home not in {"wengert", "numpy", "scipy"}:
        return error  # a user's function failed
    ours = home == "wengert" and _raised(trace)
    if ours and (type(error) not in _LATER or function.__module__.startswith("wengert.nn")):
        return error
    new = _misfit(function, args, named)
    if new is None:
        if ours:
            return error
        new = _combination(function, args, named, error)
    new.__cause__ = error
    return new


def _raised(trace: TracebackType) -> bool:
    """Whether a `raise` is what a frame came to an end with; of a lacking attribute is none."""
    code = trace.tb_frame.f_code
    return code.co_code[trace.tb_lasti] == _RAISE and code.co_name != "__getattr__"


# --- which argument is to blame -----------------------------------------------------------------


def _misfit(function: Any, args: Sequence[Any], named: dict[str, Any]) -> Exception | None:
    """The error that names the first argument which is not of its parameter's type."""
    parameters = inspect.signature(function).parameters
    try:
        given = inspect.signature(function).bind(*args, **named).arguments
    except TypeError:
        return None
    for position, (name, parameter) in enumerate(parameters.items(), 1):
        wanted = _alternatives(function, parameter.annotation)
        if name in given and parameter.kind not in (parameter.VAR_POSITIONAL,
                                                    parameter.VAR_KEYWORD):
            value = given[name]
            if not any(_fits(kind, value) for kind in wanted):
                return TypeError(
                    f"{function.__name__}(): argument '{name}' (position {position}) must be "
                    f"{_WORDS.get(wanted[0], wanted[0])}, not {type(value).__name__}")
    return None


def _alternatives(function: Any, annotation: Any) -> list[str]:
    """The types of an annotation, by name."""
    text = annotation if isinstance(annotation, str) else getattr(
        annotation, "__name__", str(annotation))
    alias = function.__globals__.get(text)
    if alias is not None and not isinstance(alias, type):
        text = str(alias).replace("collections.abc.", "")
    return [part.strip() for part in text.split("|")]


def _is_int(value: Any) -> bool:
    if isinstance(value, Handle):
        return not (value.aval.ndim or value.aval.dtype.differentiable)
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number, np.bool_)) or (
        isinstance(value, Handle) and value.aval.numel == 1)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "Tensor": lambda x: isinstance(x, Handle), "int": _is_int, "float": _is_number,
    "complex": lambda x: _is_number(x) or isinstance(x, complex),
    "bool": lambda x: isinstance(x, (bool, np.bool_)), "str": lambda x: isinstance(x, str),
    "None": lambda x: x is None, "dtype": lambda x: isinstance(x, dtypes.dtype),
    "Sequence[int]": lambda x: _is_list(x, _is_int),
    "Sequence[float]": lambda x: _is_list(x, _is_number),
    "Sequence[Tensor]": lambda x: _is_list(x, lambda each: isinstance(each, Handle)),
}
_WORDS = {"complex": "Number", "Sequence[int]": "tuple of ints",
          "Sequence[float]": "tuple of floats", "Sequence[Tensor]": "tuple of Tensors"}


def _is_list(value: Any, item: Callable[[Any], bool]) -> bool:
    return isinstance(value, (list, tuple)) and all(map(item, value))


def _fits(kind: str, value: Any) -> bool:
    """Whether a value is of a type; of types that are not listed, each value is."""
    return kind not in _KINDS or _KINDS[kind](value)


def _combination(function: Any, args: Sequence[Any], named: dict[str, Any],
                 error: Exception) -> Exception:
    """The error where each argument alone may be right."""
    got = [_described(each) for each in args]
    got += [f"{name}={_described(each)}" for name, each in named.items()]
    kind = (TypeError if isinstance(error, (TypeError, AttributeError)) else
            IndexError if isinstance(error, IndexError) else RuntimeError)
    return kind(f"{function.__name__}() received an invalid combination of arguments - got "
                f"({', '.join(got)}): {error}")


def _described(value: Any) -> str:
    if isinstance(value, Handle):
        return f"{value.aval.dtype.name} Tensor of shape {list(value.aval.shape)}"
    return f"{value!r}" if isinstance(value, (bool, int, float)) else type(value).__name__
