"""Calls of public functions with wrong arguments, made from calls that work.

    python tests/wrong_arguments.py [NAME...] [--share 1] [--torch]

Each argument of a call that works (see tests/working_calls.py) is replaced by wrong things, one at
a time; arguments are left out and added; and all that happens again inside transforms and in
backward.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import dis
import fnmatch
import os
import re
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

import wengert
from limits import limited
from working_calls import TENSORS, Call, arguments, function, parameters, words, working, works

# --- wrong arguments -------------------------------------------------------------------------

WRONG = """
None
'0'
b'0'
1.5
-7
5
2**70
-2**63
float('nan')
float('inf')
1j
True
[]
()
[1, 2]
(0, 0)
[[0]]
[None]
[X, 0]
{'a': 1}
{1, 2}
object()
int
len
slice(1)
...
np
np.ones(3)
np.int64(-9)
np.array([object()])
np.array(['a'])
torch.float32
torch.Tensor
torch.device('cpu')
torch.tensor(True)
torch.tensor(2)
torch.tensor(1.5)
torch.zeros(0)
torch.ones(2, 0, 3)
torch.ones(5)
torch.ones(7, 2, 1, 4, 3, 2)
torch.ones(3, 3, dtype=torch.int64)
torch.ones(3, 3, dtype=torch.uint8)
torch.ones(3, 3, dtype=torch.bool)
torch.ones(3, 3, dtype=torch.float16)
torch.ones(3, 3, dtype=torch.complex64)
torch.full((3, 3), -4)
torch.full((3, 3), float('nan'))
W
E
[torch.ones(2), torch.ones(3, 3)]
""".split("\n")[1:-1]


def wrong(word: str) -> Iterator[Call]:
    """All the wrong calls of a word, outside of transforms."""
    call = working(word)
    if call is None:
        return
    args, named = call.args, call.named
    if "__" not in word:  # Python counts the arguments of operators
        for given in ((), args[:-1], (*args, *["None"] * 12)):
            yield Call(word, given, named)
        yield Call(word, args, (*named, ("nonsense", "1")))
        extra = (*_names(word)[len(args):], "")[0]
        yield from (Call(word, (*args, thing), named, at=extra) for thing in WRONG)
    for thing in WRONG:
        for i, name in enumerate(_names(word)[:len(args)]):
            if i or not word.startswith("Tensor.") or _is_tensor(thing):
                yield Call(word, (*args[:i], thing, *args[i + 1:]), named, at=name)
        for name in _keywords(word, len(args)):
            if (name, thing) not in UNENDING:
                others = tuple(pair for pair in named if pair[0] != name)
                yield Call(word, args, (*others, (name, thing)), at=name)


UNENDING = {("niter", "2**70")}
"""What PyTorch, too, would be at for ever."""


def _names(word: str) -> list[str]:
    """The names of the parameters that positional arguments are for."""
    given = [p for p in parameters(word) if p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY,
                                                       p.VAR_POSITIONAL)]
    names = [p.name for p in given if p.kind is not p.VAR_POSITIONAL]
    return names + [""] * (0 if len(names) == len(given) else 9)


def _keywords(word: str, after: int) -> list[str]:
    return [p.name for p in parameters(word)[after:]
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def _is_tensor(thing: str) -> bool:
    return thing in TENSORS or bool(re.match(r"torch\.(tensor|zeros|ones|full)\(", thing))


PLACES = ("vmap", "grad", "jvp", "leaf", "backward")


def everywhere(word: str) -> Iterator[Call]:
    """All the wrong calls of a word."""
    for call in wrong(word):
        yield call
        if call.args and call.args[0].isalnum() and call.args[0] in TENSORS:
            yield from (Call(word, call.args, call.named, place, call.at) for place in PLACES)


def chosen(word: str, share: float, places: float | None = None) -> list[Call]:
    """The same share of a word's wrong calls every time; another of those inside transforms."""
    within = share / 8 if places is None else places
    return [call for call in everywhere(word) if zlib.crc32(str(call).encode()) % 10000
            < (within if call.where else share) * 10000]


def twins(word: str) -> Iterator[tuple[Call, Call]]:
    """Calls with a float where an integer belongs, each with the right call that equals it.

    What is remembered by such arguments must not take the one for the other.
    """
    call = working(word)
    if call is None:
        return
    for name in _keywords(word, len(call.args)):
        others = tuple(pair for pair in call.named if pair[0] != name)
        for n in (0, 1, 2):
            for where in ("", "leaf"):
                yield (Call(word, call.args, (*others, (name, f"{n}.0")), where, name),
                       Call(word, call.args, (*others, (name, f"{n}")), where, name))


# --- what comes of a call --------------------------------------------------------------------

ALLOWED = (TypeError, RuntimeError, ValueError, IndexError, NotImplementedError, ZeroDivisionError,
           AssertionError, BufferError, OverflowError, np.linalg.LinAlgError)
HOME = os.path.dirname(os.path.abspath(wengert.__file__)) + os.sep
RAISE = dis.opmap["RAISE_VARARGS"]
BINDING = re.compile(r"(?:\w+\.)?\w+\(\) (missing|takes|got an unexpected|got multiple|got some)")


@dataclasses.dataclass
class Outcome:
    """What came of a call: the exception (None for a value), and what a failed one changed."""

    error: Exception | None
    changed: list[str]
    value: Any = None


SECONDS = 3.0  # of processor time: a call is interrupted after these


class TooLong(Exception):
    """A call did not end."""


def outcome(library: Any, call: Call) -> Outcome:
    """Makes a call."""
    args, named = arguments(library, call)
    given = [*args, *named.values()]
    before, error, value = _state(library, given), None, None
    try:
        with warnings.catch_warnings(), limited(SECONDS, TooLong):
            warnings.simplefilter("ignore")
            value = PLACE[call.where](library, function(library, call.word), args, named)
    except Exception as raised:
        error = raised
    after = _state(library, given)
    library.set_grad_enabled(True)
    library.set_default_dtype(library.float32)
    return Outcome(error, [] if error is None else [
        f"{what} changed" for what in before if before[what] != after[what]], value)


def _state(library: Any, values: list[Any]) -> dict[str, Any]:
    """All that a failed call must leave as it is."""
    found = {"grad mode": library.is_grad_enabled(), "default dtype": library.get_default_dtype()}
    if library is wengert:
        found["levels"] = list(wengert.core.levels.here.levels)
    for i, x in enumerate(_tensors(library, values)):
        found[f"tensor {i}"] = (x.dtype, tuple(x.shape), x.requires_grad, x._version,
                                x.stride(), x.is_leaf)
        found[f"tensor {i}'s numbers"] = x.detach().numpy().tobytes()
    return found


def _tensors(library: Any, value: Any) -> list[Any]:
    if isinstance(value, library.Tensor):
        return [value]
    return [x for each in value for x in _tensors(library, each)] if isinstance(
        value, (list, tuple)) else []


def _plain(library: Any, function: Any, args: list[Any], named: dict[str, Any]) -> Any:
    return function(*args, **named)


def _vmap(library: Any, function: Any, args: list[Any], named: dict[str, Any]) -> Any:
    many = library.stack([args[0], args[0]])
    library.func.vmap(lambda x: _numbers(library, function(x, *args[1:], **named)))(many)


def _grad(library: Any, function: Any, args: list[Any], named: dict[str, Any]) -> Any:
    library.func.grad(lambda x: sum(
        each.sum() for each in _numbers(library, function(x, *args[1:], **named))))(args[0])


def _jvp(library: Any, function: Any, args: list[Any], named: dict[str, Any]) -> Any:
    library.func.jvp(lambda x: _numbers(library, function(x.clone(), *args[1:], **named)),
                     (args[0],), (args[0],))


def _numbers(library: Any, result: Any) -> tuple[Any, ...]:
    found = tuple(_tensors(library, result))
    if not found:
        raise TypeError("no tensors")
    return found


def _leaf(library: Any, function: Any, args: list[Any], named: dict[str, Any]) -> Any:
    if isinstance(args[0], library.Tensor) and args[0].is_floating_point():
        args[0] = args[0].detach().requires_grad_()
    for each in _tensors(library, function(*args, **named)):
        if each.requires_grad and each.is_floating_point():
            each.sum().backward(retain_graph=True)


def _backward(library: Any, function: Any, args: list[Any], named: dict[str, Any]) -> Any:
    x = library.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: [None, function(*args, **named)][0])
    y.sum().backward()


PLACE = {"": _plain, "vmap": _vmap, "grad": _grad, "jvp": _jvp, "leaf": _leaf,
         "backward": _backward}


def fault(call: Call, found: Outcome) -> str:
    """What is wrong with how a call failed; "" if nothing is."""
    if found.changed:
        return f"changes: {', '.join(found.changed)}"
    error = found.error
    if error is None:
        told = found.value is NotImplemented and "__" not in call.word
        return "NotImplemented is what it gives" if told else ""
    where, raised = _origin(error)
    if isinstance(error, ALLOWED) and (raised or _binding(where, error)):
        return ""
    return f"{type(error).__name__} at {where}: {str(error)[:160]}"


def _binding(where: str, error: Exception) -> bool:
    """Whether Python itself says of the function that is called that it takes other arguments."""
    return isinstance(error, TypeError) and bool(BINDING.match(str(error))) and where.startswith(
        ("outside", "core/guard.py", "ops/arguments.py", "func/", "interpreters/backward"))


def _origin(error: Exception) -> tuple[str, bool]:
    """The innermost of our lines that an exception came through; whether that one raised it."""
    where, raised, trace = "outside", False, error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        ours = code.co_filename.startswith(HOME)
        raised = (ours or code.co_filename == __file__) and code.co_code[trace.tb_lasti] == RAISE
        if ours:
            where = f"{code.co_filename[len(HOME):]}:{trace.tb_lineno} {code.co_name}"
        trace = trace.tb_next
    return where, raised


# --- against PyTorch -------------------------------------------------------------------------

COMPARED = {"value", "TypeError", "RuntimeError", "ValueError", "IndexError",
            "NotImplementedError"}
"""What PyTorch means to raise; the rest are accidents in its own Python code."""

IGNORED = {"layout", "pin_memory", "memory_format", "non_blocking", "sparse", "sparse_grad",
           "_stacklevel"}
"""Parameters that say where and how, about which wengert has no choice."""


def kinds(library: Any, call: Call) -> tuple[str, str] | None:
    """What kinds of outcome a call has here and there; None where that says nothing."""
    theirs = kind(outcome(library, call))
    if theirs not in COMPARED:
        return None
    ours = kind(outcome(wengert, call))
    if call.at == "out":  # methods take it, too; tests/test_out.py is about it
        return None
    if ours == "value" != theirs and (call.at in IGNORED or _is_flag(call) or _has_array(call)):
        return None
    return ours, theirs


def kind(found: Outcome) -> str:
    return "value" if found.error is None else type(found.error).__name__


def _is_flag(call: Call) -> bool:
    """Whether it is a parameter for yes or no that is wrong: any truth value is taken there."""
    return any(p.name == call.at and "bool" in str(p.annotation) for p in parameters(call.word))


def _has_array(call: Call) -> bool:
    """Whether a NumPy array stands for a tensor in it: they are operands here."""
    return any(a == "np.ones(3)" for a in (*call.args, *dict(call.named).values()))


def compared(library: Any, word: str, share: float) -> Iterator[tuple[Call, str, str]]:
    """A word's wrong calls and what comes of them, where the working one works there, too."""
    call = working(word)
    for each in chosen(word, share, 0) if call and works(library, call) else ():
        if found := kinds(library, each):
            yield each, *found


# --- the command line ------------------------------------------------------------------------


def main() -> None:
    """Prints what is wrong, or differs, most frequent first."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["*"], metavar="NAME")
    parser.add_argument("--share", type=float, default=0.05, help="of all calls")
    parser.add_argument("--examples", type=int, default=5, help="of a kind, at most")
    parser.add_argument("--torch", action="store_true", help="compare kinds of errors with it")
    options = parser.parse_args()
    found: dict[str, list[str]] = collections.defaultdict(list)
    count = 0
    for word in words():
        if any(fnmatch.fnmatchcase(word, name) for name in options.names):
            for key, text in (_differences if options.torch else _faults)(word, options.share):
                count += 1
                if key:
                    found[key].append(text)
    for key, texts in sorted(found.items(), key=lambda item: -len(item[1])):
        print(len(texts), key, *texts[:options.examples], sep="\n    ")
    print(f"{sum(map(len, found.values()))} of {count} calls")


def _faults(word: str, share: float) -> Iterator[tuple[str, str]]:
    for call in chosen(word, share):
        what = fault(call, outcome(wengert, call))
        yield what and f"{word}: changes" if what.startswith("changes") else (
            what.partition(": ")[0]), f"{call}: {what}"


def _differences(word: str, share: float) -> Iterator[tuple[str, str]]:
    import torch

    for call, ours, theirs in compared(torch, word, share):
        yield "" if ours == theirs else f"{ours} for {theirs}", str(call)


if __name__ == "__main__":
    main()
