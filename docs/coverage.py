"""The coverage table: what each primitive can do, as the table of primitives says.

python docs/coverage.py     print the table as Markdown

A derivative rule is written in primitives, so it can be differentiated again where every
primitive it reaches can. That is worked out here from the rules' code; the generated tests check
it by computing.
"""

import inspect
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

import wengert.fft
import wengert.linalg
import wengert.nn.functional
import wengert.special  # noqa: F401 - they fill the table
from wengert.compiler.ir.views import PLACING, VIEWS
from wengert.compiler.schedule.lines import TAKES
from wengert.core import dtypes
from wengert.core.aval import Aval, aval
from wengert.core.primitive import TABLE, Primitive, Rule
from wengert.interpreters.batching import SHIFTS

HEAD = ("operation", "node", "family", "reverse", "again", "forward", "batching", "compiled")
LEGEND = """\
- *family*: elementwise, linear, or of its own kind; a view may share its operand's memory.
- *reverse*: whether gradients flow; if not to all operands, to which. A comparison, an index or a
  rounded quotient has no derivative by its nature.
- *again*: whether that gradient can be differentiated in turn.
- *forward*: how tangents go through: by a *rule* (an elementwise primitive's serves both
  directions); by the primitive *itself*, where it is linear; or as the *product rule* says, where
  it is linear in each operand.
- *batching*: how `vmap` applies it to all examples at once: by a *rule* of its own; *elementwise*;
  *shifted*, with its parameters counting one dimension more; or in *smaller steps*.
- *compiled*: whether the compiler makes *loops* of it, or calls the *library* that eager evaluation
  calls, too."""


def rules(primitive: Primitive) -> Iterator[Rule]:
    """The derivative rules of a primitive, one per operand that has one."""
    vjp = primitive.vjp
    yield from () if vjp is None else filter(None, vjp if isinstance(vjp, tuple) else (vjp,))


def reached(function: Any, seen: set[Any]) -> Iterator[Primitive]:
    """The primitives that a function of this package names, directly or through others."""
    if isinstance(function, Primitive):
        yield function
    if not isinstance(function, types.FunctionType) or function in seen:
        return
    seen.add(function)
    for code in codes(function.__code__):
        for name in code.co_names:
            yield from reached(function.__globals__.get(name), seen)


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A function's code, and that of the functions within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def flat(primitive: Primitive) -> bool:
    """Whether the results are no floats, so that nothing is lost where no gradient flows."""
    kind = aval((2, 2), dtypes.float64)
    try:
        result: Aval = primitive.abstract(kind, *[kind] * (operands(primitive) - 1))
    except (TypeError, ValueError, IndexError):  # it has parameters
        return primitive.name in {"argmax", "argmin", "argsort", "all", "any"}
    return not result.dtype.differentiable


def operands(primitive: Primitive) -> int:
    """The number of operands of an elementwise primitive."""
    ufunc: Any = primitive.ufunc
    return ufunc.nin if ufunc is not None else max(len(list(rules(primitive))), 1)


def again(primitive: Primitive) -> bool:
    """Whether the gradients of a primitive can be differentiated."""
    return all(used.differentiable or flat(used)
               for rule in rules(primitive) for used in reached(rule.fn, set()))


def gradients(primitive: Primitive) -> str:
    """Which operands gradients flow to."""
    vjp = primitive.vjp
    if vjp is None:
        return "no"
    if not isinstance(vjp, tuple) or all(vjp):
        return "yes"
    return "to " + ", ".join("xyzw"[i] for i, rule in enumerate(vjp) if rule)


def family(primitive: Primitive) -> str:
    """How the primitive is described in the table."""
    kind = "elementwise" if primitive.elementwise else "linear" if primitive.linear else ""
    return ", ".join(filter(None, (kind, "view" if primitive.view else "")))


def forward(primitive: Primitive) -> str:
    """How the primitive takes tangents forward; nothing, if it has no derivative."""
    if primitive.linear:
        return "itself"
    if primitive.multilinear:
        return "product rule"
    return "rule" if primitive.jvp is not None else ""


def batching(primitive: Primitive) -> str:
    """How the primitive is applied to a batch; nothing, if it can't be."""
    if primitive.batch is not None:
        return "rule"
    if primitive.elementwise:
        return "elementwise"
    if all(name in SHIFTS for name in parameters(primitive)):
        return "shifted"
    return "smaller steps" if primitive.decompose is not None else ""


def parameters(primitive: Primitive) -> list[str]:
    """The names of what the primitive is given beside its operands."""
    if isinstance(primitive.evaluate, np.ufunc):
        return []
    names = inspect.signature(primitive.evaluate).parameters
    return [name for name in names if name not in {"x", "y", "z", "xs", "indices"}]


def compiled(primitive: Primitive) -> str:
    """What the compiler makes of the primitive."""
    scalar = primitive.elementwise and (primitive.ufunc is not None or primitive.scalar)
    placing = primitive in VIEWS or primitive in PLACING or primitive.name in TAKES
    apart = primitive.lower is not None or primitive.decompose is not None
    return "loops" if scalar or placing or apart else "library"


def row(primitive: Primitive) -> tuple[str, ...]:
    """One line's cells."""

    def yes(there: object) -> str:
        return "yes" if there else ""

    node = f"`{primitive.node_name}`" if primitive.differentiable else ""
    return (f"`{primitive.name}`", node, family(primitive), gradients(primitive),
            yes(primitive.vjp and again(primitive)), forward(primitive), batching(primitive),
            compiled(primitive))


def table() -> str:
    """The whole table, as Markdown, with its legend and counts."""
    rows = [row(TABLE[name]) for name in sorted(TABLE)]
    lines = [" | ".join(cells) for cells in (HEAD, ["---"] * len(HEAD), *rows)]
    counts = (f"{len(rows)} primitives; gradients flow through "
              f"{sum(r[3] != 'no' for r in rows)}, and again through "
              f"{sum(r[4] == 'yes' for r in rows)}, tangents through "
              f"{sum(r[5] != '' for r in rows)}; batches through {sum(r[6] != '' for r in rows)}; "
              f"loops are made of {sum(r[7] == 'loops' for r in rows)}.")
    return "\n\n".join([counts, LEGEND, "\n".join(f"| {line} |" for line in lines)])


if __name__ == "__main__":
    print(table())
