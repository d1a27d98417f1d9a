"""Has mkdocstrings show `Example:` in docstrings as the Python sessions that they are."""

import re
from typing import Any

import griffe

HEAD = re.compile(r"^Example:$", re.MULTILINE)


class Examples(griffe.Extension):  # type: ignore[misc,unused-ignore]
    """Writes the heading as Griffe knows it, `Examples:`."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Called for each module, class, function and attribute."""
        if not obj.is_alias and obj.docstring is not None:
            obj.docstring.value = HEAD.sub("Examples:", obj.docstring.value)
