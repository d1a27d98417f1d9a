"""Which of PyTorch's words wengert has.

python docs/words.py     print the table as Markdown

`pytorch_names.txt` has PyTorch's list; what wengert has is asked of wengert itself.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import wengert

LIST = Path(__file__).with_name("pytorch_names.txt")
TENSOR, TOP = "torch.Tensor", "torch"
LEGEND = """\
A word of PyTorch as a function, as a method of tensors, and as a method that writes in place:
*yes* where wengert has it, **missing** where PyTorch has it and wengert has not, nothing where
PyTorch has none."""


def listed() -> dict[str, list[str]]:
    """PyTorch's names by namespace."""
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in LIST.read_text().splitlines():
        if line.startswith("["):
            names = found.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            names += line.split()
    return found


def ours(namespace: str) -> object:
    """What stands for a namespace of PyTorch's in wengert."""
    if namespace == TENSOR:
        return wengert.Tensor
    return import_module(namespace.replace(TOP, "wengert", 1)) if namespace != TOP else wengert


def missing() -> dict[str, list[str]]:
    """PyTorch's names that wengert lacks, by namespace."""
    return {namespace: [name for name in names if not hasattr(ours(namespace), name)]
            for namespace, names in listed().items()}


def cell(namespace: str, name: str, names: dict[str, set[str]]) -> str:
    """Whether there is a name where PyTorch has it."""
    if name not in names[namespace]:
        return ""
    return "yes" if hasattr(ours(namespace), name) else "**missing**"


def words(names: dict[str, set[str]]) -> Iterator[tuple[str, ...]]:
    """A line per word of the top namespace and of tensors."""
    stems = {name.removesuffix("_") for name in names[TOP] | names[TENSOR]}
    for stem in sorted(stems, key=str.lower):
        yield (f"`{stem}`", cell(TOP, stem, names), cell(TENSOR, stem, names),
               cell(TENSOR, f"{stem}_", names))


def others(names: dict[str, set[str]]) -> Iterator[str]:
    """A paragraph per other namespace."""
    for namespace, each in names.items():
        if namespace in (TOP, TENSOR):
            continue
        lacking = [f"`{name}`" for name in sorted(each) if not hasattr(ours(namespace), name)]
        rest = f"; missing: {', '.join(lacking)}" if lacking else ""
        yield f"- `{namespace}`: {len(each) - len(lacking)} of {len(each)}{rest}."


def table() -> str:
    """The tables, as Markdown."""
    names = {namespace: set(each) for namespace, each in listed().items()}
    total = sum(map(len, names.values()))
    lacking = sum(map(len, missing().values()))
    head = ("word", "function", "method", "in place")
    lines = [" | ".join(cells) for cells in (head, ["---"] * 4, *words(names))]
    return "\n\n".join([f"{total - lacking} of {total} names.", "\n".join(others(names)), LEGEND,
                        "\n".join(f"| {line} |" for line in lines)])


if __name__ == "__main__":
    print(table())
