"""A function with derivative rules of its own at levels that follow rules for tangents.

Taylor mode and sparsity patterns know no rules but those for tangents. What the program in the
function would say is not asked: the derivative of rounding is zero, and that of a function that
rounds may be given as one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.handle import Handle
from ..core.levels import entered
from .custom import bind
from .custom_lifted import lowered
from .custom_outputs import closed_over, listed, structured
from .forward import Forward
from .lifted import Lifted

Raise = Callable[[Any, Any], Any]


def derived(level: Lifted, custom: Any, args: Sequence[Any],
            parts: Sequence[tuple[Any, Any] | None], raised: Raise) -> Any:
    """The outputs at a level, by the function's rule for tangents.

    Args:
        level: the level that the arguments live at.
        custom: the function.
        args: its arguments.
        parts: a primal and a tangent for each argument that varies, values below.
        raised: makes a tensor of the level from an output and its tangent (None for a zero).

    Raises:
        RuntimeError: if the function closes over tensors of the level.
    """
    below = lowered(level, args)
    with entered(Forward()) as forward:
        given = [x if part is None else forward.dual(*part)
                 for x, part in zip(below, parts, strict=True)]
        outs = bind(custom, given)
        found = [raised(from_below(level, forward.value(out)), forward.tangent(out))
                 if isinstance(out, Handle) else out for out in listed(outs)]
    for i, out in enumerate(listed(outs)):
        place = next((k for k, x in enumerate(given) if x is out and isinstance(x, Handle)), None)
        if place is not None:  # written in place
            level.hold(args[place], found[i])
            found[i] = args[place]
    return structured(outs, found)


def from_below(level: Lifted, value: Any) -> Any:
    """A value, in which there must be nothing of a level.

    Raises:
        RuntimeError: if there is: the function closes over a tensor of the level.
    """
    x = value
    while isinstance(x, Handle):
        if x.aval.level is level:
            raise closed_over(level.word)
        x = x.value
    return value
