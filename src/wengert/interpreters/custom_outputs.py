"""What a function with derivative rules of its own returns: its structure, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .custom_node import CustomNode


def listed(output: Any) -> list[Any]:
    """The outputs; one that is no tuple is alone."""
    return list(output) if isinstance(output, tuple) else [output]


def structured(output: Any, found: Sequence[Any]) -> Any:
    """Outputs as the function returned them."""
    return tuple(found) if isinstance(output, tuple) else found[0]


def ids(tensors: Iterable[Any] | None) -> set[int]:
    return set(map(id, tensors or ()))


def check_marks(node: CustomNode, outs: Sequence[Any]) -> None:
    """Refuses what was marked as dirty and not returned."""
    if any(not any(out is x for out in outs) for x in node.dirty_tensors or ()):
        raise RuntimeError("Some elements marked as dirty during the forward method were not "
                           "returned as output. The inputs that are modified inplace must all "
                           "be outputs of the Function.")


def closed_over(word: str, what: str = "") -> RuntimeError:
    """The error that a derivative would be lost, by what a function closes over."""
    return RuntimeError(
        f"{word}: a function with derivative rules of its own computed with "
        f"{what or f'a Tensor of this {word} that'} is not among its arguments. Make it an "
        "argument.")
