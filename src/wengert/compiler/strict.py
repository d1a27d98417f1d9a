"""`WENGERT_STRICT`: whether what goes wrong in the compiler itself is an error.

Otherwise Python does the work, which gives the right result later than it should: nobody would
notice but by the clock. Tests are strict.
"""

from __future__ import annotations

import os


def strict() -> bool:
    """Whether the compiler's own faults are to be raised."""
    return bool(os.environ.get("WENGERT_STRICT"))
