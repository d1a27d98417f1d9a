"""Differential fuzzing: random programs do the same compiled as they do eagerly.

    python tests/fuzz.py --programs 20000 --seed 1     a long run; prints what differs, shrunk
    python tests/fuzz.py --only 1000042                one program again, by its number

Both sides run a program on the same numbers, several times: with fresh ones, so that a replay is
tested and not the recording, and with another shape in between. After every call they must agree
on what is returned or raised, on what was written to arguments and to the closure, on gradients,
versions, and on which tensors share memory. Programs that a few ulp in their inputs send
elsewhere too, be it to another branch, are counted and left alone. So are those where an index is
out of range that no result depends on: native code need not notice.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

import wengert
from fuzz_programs import COUNT, Program, Statement, program, programs, tensors

Compiler = Callable[[Callable[..., Any]], Callable[..., Any]]
ULPS, NUDGE = 256, 4  # what results may differ by, and what shows that a program is ill-conditioned
NUDGES = 6  # times that we try


@dataclasses.dataclass(frozen=True)
class Difference:
    """How two sides differ: the kind of it, as "raised", in words, and at which call."""

    kind: str
    words: str
    call: int = 0


class World:
    """One side: the program's functions and its closure, living on from call to call."""

    def __init__(self, program: Program, compiler: Compiler, nudge: int = 0) -> None:
        self.program, self.nudge = program, nudge
        self.rng = np.random.default_rng(nudge)
        arrays = self.arrays(0)
        self.state = tensors(program.state, arrays)
        self.names: dict[str, Any] = {"torch": wengert, **self.state}
        exec(compile(program.source, f"<program {program.seed}>", "exec"), self.names)
        self.step = compiler(self.names["step"])

    def arrays(self, call: int) -> dict[str, np.ndarray]:
        """The numbers of a call, moved by a few ulp if this world is for that."""
        arrays = self.program.arrays(call)
        if not self.nudge:
            return arrays
        return {name: self.moved(array) for name, array in arrays.items()}

    def moved(self, array: np.ndarray) -> np.ndarray:
        if array.dtype.kind != "f":
            return array
        steps = NUDGE * np.finfo(array.dtype).eps * self.rng.uniform(-1, 1, array.shape)
        return (array * (1 + steps)).astype(array.dtype)

    def call(self, number: int) -> dict[str, Any]:
        """Calls the program; all that can be seen of it afterwards, by name."""
        arguments = tensors(self.program.arguments, self.arrays(number))
        wengert.manual_seed(number)
        try:
            result = self.step(*arguments.values())
            if self.program.mode == "outer":
                self.names["total"](self.names["flat"](result)).backward()
        except Exception as error:
            result = error
        return self.seen({"result": result, **arguments, **self.state})

    def seen(self, things: dict[str, Any]) -> dict[str, Any]:
        leaves = {path: leaf for name, thing in things.items() for path, leaf in walk(thing, name)}
        met = [leaf for leaf in leaves.values() if isinstance(leaf, wengert.Tensor)]
        facts: dict[str, Any] = {path: fact(leaf) for path, leaf in leaves.items()}
        facts["random numbers"] = wengert.get_rng_state().numpy().tobytes()
        if self.program.mode != "jvp":  # whose tangents may or may not share memory
            facts["shared memory"] = sharing(met)
        for path, leaf in leaves.items():
            if isinstance(leaf, wengert.Tensor) and leaf.is_leaf and "result" not in path:
                facts[f"{path}.grad"] = fact(leaf.grad)
                facts[f"{path}._version"] = leaf._version
        return facts


def walk(thing: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The leaves of nested containers, and the paths to them."""
    if isinstance(thing, dict):
        for key, each in thing.items():
            yield from walk(each, f"{path}[{key!r}]")
    elif isinstance(thing, (list, tuple)):
        yield f"{path} is a", type(thing).__name__
        for n, each in enumerate(thing):
            yield from walk(each, f"{path}[{n}]")
    else:
        yield path, thing


def fact(thing: Any) -> Any:
    """What is compared of a leaf."""
    if isinstance(thing, wengert.Tensor):
        array = thing.detach().numpy()
        return (array.dtype.name, array.shape, thing.requires_grad), array.copy()
    if isinstance(thing, Exception):
        return type(thing).__name__, str(thing)
    return thing


def sharing(met: list[Any]) -> list[tuple[int, int]]:
    arrays = [tensor.detach().numpy() for tensor in met]
    return [(i, j) for j, b in enumerate(arrays) for i, a in enumerate(arrays[:j])
            if np.may_share_memory(a, b) and a.size and b.size]


def close(a: np.ndarray, b: np.ndarray, double: bool) -> bool:
    """Whether numbers agree, to a few ulp for floats."""
    if a.dtype.kind != "f":
        return np.array_equal(a, b)
    finite = np.abs(b[np.isfinite(b)])
    least = ULPS * np.finfo(np.float64 if double else np.float32).eps
    scale = 0.2 * finite.max(initial=0.0) + 0.05  # where numbers nearly cancel
    return np.allclose(a, b, least, least * float(scale), equal_nan=True)


def disagreement(ours: dict[str, Any], theirs: dict[str, Any],
                 double: bool) -> Difference | None:
    """The first thing in which two calls differ."""
    if results(ours).keys() != results(theirs).keys():
        kind = "raised" if raised(ours) or raised(theirs) else "structure"
        return Difference(kind, f"result: {results(ours)} for {results(theirs)}")
    for path, b in theirs.items():
        a = ours[path]
        arrays = [isinstance(each, tuple) and isinstance(each[-1], np.ndarray) for each in (a, b)]
        if all(arrays) and a[0] == b[0]:
            if not close(a[1], b[1], double):
                return Difference("numbers", f"{path}: {a[1].tolist()} for {b[1].tolist()}")
        elif any(arrays) or a != b:
            kind = "raised" if path == "result" else path.rpartition(".")[2]
            return Difference(kind, f"{path}: {a} for {b}")
    return None


def results(facts: dict[str, Any]) -> Any:
    return {path: value for path, value in facts.items() if path.startswith("result")}


def raised(facts: dict[str, Any]) -> bool:
    """Whether a call ended in an exception."""
    found = facts.get("result")
    return isinstance(found, tuple) and isinstance(found[0], str)


def compared(program: Program, compiler: Compiler, nudge: int = 0) -> Difference | None:
    """In what a program differs, compiled (and with its inputs moved), from what it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = World(program, compiler, nudge), World(program, lambda step: step)
        for number in range(len(program.calls)):
            found = disagreement(ours.call(number), theirs.call(number), program.double)
            if found:
                return Difference(found.kind, f"call {number}, {found.words}", number)
    return None


def unstable(program: Program, kind: str) -> bool:
    """Whether eager results differ in the same way when inputs move by a few ulp."""
    found = (compared(program, lambda step: step, nudge) for nudge in range(1, NUDGES + 1))
    return any(each is not None and each.kind == kind for each in found)


def difference(program: Program, compiler: Compiler) -> Difference | None:
    """In what a program differs compiled; one of `EXCUSED` if it isn't the compiler's fault."""
    found = compared(program, compiler)
    if found and unstable(program, found.kind):
        return Difference("unstable", found.words)
    if found and found.kind == "raised" and unused_index(program, compiler, found.call):
        return Difference("unused index", found.words)
    return found


EXCUSED = {"unstable", "unused index"}


# --- indices that nothing depends on ------------------------------------------------------------


def unused_index(program: Program, compiler: Compiler, call: int) -> bool:
    """Whether only the program as it is notices an index out of range, and compiled it does what
    it would do without the statements that fail by that."""
    theirs, ours = (run(program, each, call) for each in (lambda step: step, compiler))
    return (out_of_range(theirs[-1]) and not raised(ours[-1])
            and any(same(ours, run(less, lambda step: step, call), program.double)
                    for less in spared(program, call)))


def run(program: Program, compiler: Compiler, last: int) -> list[dict[str, Any]]:
    """What can be seen after each call up to one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        world = World(program, compiler)
        return [world.call(number) for number in range(last + 1)]


def spared(program: Program, call: int) -> Iterator[Program]:
    """The program less a statement whose index is out of range, and less all that uses it."""
    for body in shorter(program.body):
        less: Program | None = dataclasses.replace(program, body=body)
        while less is not None:
            try:
                found = run(less, lambda step: step, call)[-1]
            except SyntaxError:  # an `else` without its `if`
                break
            if not raised(found):
                yield less
                break
            less = unnamed(less, *found["result"])


def unnamed(program: Program, error: str, words: str) -> Program | None:
    """The program less what mentions the name that an error is about; None if nothing does."""
    if error not in ("NameError", "UnboundLocalError"):
        return None
    name = words.split("'")[1]

    def kept(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        return tuple((line, kept(block)) for line, block in body
                     if name not in re.findall(r"\w+", line))

    outputs = tuple(each for each in program.outputs if each != name)
    less = dataclasses.replace(program, body=kept(program.body), outputs=outputs)
    return None if less == program else less


def out_of_range(facts: dict[str, Any]) -> bool:
    return raised(facts) and "out of" in facts["result"][1]


def same(some: list[dict[str, Any]], others: list[dict[str, Any]], double: bool) -> bool:
    return all(disagreement(a, b, double) is None for a, b in zip(some, others, strict=True))


# --- shrinking --------------------------------------------------------------------------------


def smaller(program: Program) -> Iterator[Program]:
    """The programs that lack one call, statement, output or argument of this one."""
    for n in range(len(program.calls)):
        if len(program.calls) > 1:
            yield dataclasses.replace(program, calls=without(program.calls, n))
    for body in shorter(program.body):
        yield dataclasses.replace(program, body=body)
    for n in range(len(program.outputs)):
        yield dataclasses.replace(program, outputs=without(program.outputs, n))
    for n in range(1, len(program.arguments)):
        yield dataclasses.replace(program, arguments=without(program.arguments, n))


def shorter(body: tuple[Statement, ...]) -> Iterator[tuple[Statement, ...]]:
    """Statements less one of them, at any depth; but loops must end."""
    for n, (line, block) in enumerate(body):
        if body[n] != COUNT:
            yield without(body, n)
        for less in shorter(block):
            yield (*body[:n], (line, less), *body[n + 1:])


def without(items: tuple[Any, ...], n: int) -> tuple[Any, ...]:
    return (*items[:n], *items[n + 1:])


def still(program: Program, compiler: Compiler, kind: str) -> bool:
    try:
        found = compared(program, compiler)
    except SyntaxError:  # an `else` without its `if`
        return False
    return found is not None and found.kind == kind


def shrunk(program: Program, compiler: Compiler, kind: str) -> Program:
    """A program that differs in the same way, and of which nothing can be left out."""
    tried = next((less for less in smaller(program) if still(less, compiler, kind)), None)
    while tried is not None:
        program = tried
        tried = next((less for less in smaller(program) if still(less, compiler, kind)), None)
    return program


def script(program: Program) -> str:
    """The program as Python that can be run by itself: both sides, call by call."""
    def made(given: Any, array: np.ndarray) -> str:
        needs = ", requires_grad=True" if given.needs_grad else ""
        numbers = array.tolist()
        if array.size == 0:
            return f"torch.zeros({array.shape}, dtype=torch.{given.kind}{needs})"
        return f"torch.tensor({numbers}, dtype=torch.{given.kind}{needs})"

    lines = [f"# program {program.seed}: python tests/fuzz.py --only {program.seed}",
             "import wengert as torch", "", "def side(compile):", "    global "
             + ", ".join(each.name for each in program.state)]
    first = program.arrays(0)
    lines += [f"    {each.name} = {made(each, first[each.name])}" for each in program.state]
    lines.append("    run = compile(step)")
    for number in range(len(program.calls)):
        arrays = program.arrays(number)
        args = ", ".join(made(each, arrays[each.name]) for each in program.arguments)
        lines.append(f"    torch.manual_seed({number}); print(run({args}))")
    lines += ["", program.source, "side(lambda step: step)", "side(torch.compile)"]
    return "\n".join(lines)


def complaint(program: Program, found: Difference, compiler: Compiler) -> str:
    """A differing program, shrunk and runnable, and in what it differs."""
    small = shrunk(program, compiler, found.kind)
    less = compared(small, compiler) or found
    return f"{script(small)}\n# {less.kind}: {less.words}"


# --- long runs --------------------------------------------------------------------------------


def complaints(some: Iterable[Program], compiler: Compiler,
               tally: Counter[str] | None = None) -> Iterator[str]:
    """What is to be said of some programs."""
    tally = Counter() if tally is None else tally
    for each in some:
        found = difference(each, compiler)
        tally[found.kind if found else "agreed"] += 1
        if found and found.kind not in EXCUSED:
            yield complaint(each, found, compiler)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this one program")
    parser.add_argument("--most", type=int, default=20, help="stop after so many that differ")
    return parser.parse_args()


def main() -> None:
    """Fuzz the compiler, and say what was found."""
    chosen, tally, seen = options(), Counter[str](), 0
    compiler: Compiler = wengert.compile  # type: ignore[attr-defined]
    some = (programs(chosen.seed, chosen.programs) if chosen.only is None
            else [program(chosen.only)])
    for words in itertools.islice(complaints(some, compiler, tally), chosen.most):
        print(words, end="\n\n", flush=True)
        seen += 1
    print(", ".join(f"{n} {kind}" for kind, n in tally.most_common()))
    sys.exit(seen > 0)


if __name__ == "__main__":
    main()
