"""The state of the random numbers, under the names of `torch.random`."""

import sys as _sys

from .core.guard import guard as _guard
from .ops.random import (
    Generator,
    default_generator,
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)

__all__ = [
    "Generator", "default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed",
    "seed", "set_rng_state",
]

_guard(_sys.modules[__name__])
