"""All rows of the tables, by name."""

from compiled import COMPILED_WORK
from workloads import WORKLOADS
from yardsticks import YARDSTICKS

ROWS = WORKLOADS | COMPILED_WORK | YARDSTICKS
