"""Pictures of programs: the dependency graph of a result, with every value and derivative.

The table needs nothing; the picture needs the extra `show` (`pip install "wengert[show]"`).
"""

from .drawing import Drawing, Partial, Step, graph
from .tracing import trace

__all__ = ["Drawing", "Partial", "Step", "graph", "trace"]
