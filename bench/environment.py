"""The conditions of every measurement, set as this module is imported: before numpy and the rest.

The processes that are started from here inherit them.
"""

import os
import sys
from pathlib import Path

CORES = 2
SOURCE = str(Path(__file__).resolve().parents[1] / "src")

# The checkout is what is measured, whatever else may be installed.
sys.path.insert(0, SOURCE)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (SOURCE, os.environ.get("PYTHONPATH"))))
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_ENABLE_X64", "1")  # doubles stay doubles, as everywhere else
# As fast on an idle machine; on a busy one PyTorch's threads else spin for tens of milliseconds.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("OMP_NUM_THREADS", str(CORES))
if hasattr(os, "sched_setaffinity"):  # the same cores for those who count threads otherwise
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
