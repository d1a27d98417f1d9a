"""What holds for all tests."""

import os

os.environ.setdefault("WENGERT_STRICT", "1")  # a fault of the compiler's is no slow success
