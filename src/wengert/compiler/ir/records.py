"""Records: classes of fields that are never changed, made quickly.

To make a class, `dataclasses` writes and compiles a function for each thing that it does, about
a tenth of a millisecond apiece; and an object that guards itself against changes is set up at
three times the cost. The forms that programs take consist of dozens of such classes, which are
made while somebody waits for a first call, and of thousands of such objects. So it is left to
mypy to see that nothing is changed, and to `plan_text` and the like to print them.
"""

from __future__ import annotations

import dataclasses
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False)
def record(cls: type[T]) -> type[T]:
    """Makes a class a record: its annotated fields are set by `__init__`, it has slots, and is
    equal to itself alone."""
    return dataclasses.dataclass(eq=False, repr=False, slots=True)(cls)


@dataclass_transform(frozen_default=True)
def equal_record(cls: type[T]) -> type[T]:
    """The same, but equal to others of the same fields, and hashed by them."""
    return dataclasses.dataclass(unsafe_hash=True, repr=False, slots=True)(cls)
