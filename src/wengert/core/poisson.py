"""Poisson numbers, drawn one after the other as PyTorch draws them.

How many uniform numbers each takes depends on those before it, so that this is a loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Uniform = Callable[[], float]


def poisson(rate: float, uniform: Uniform) -> int:
    """A Poisson number, given its mean and a source of numbers in [0, 1)."""
    if rate >= 10:
        return _by_rejection(rate, uniform)
    return _by_products(rate, uniform) if rate else 0


def _by_products(rate: float, uniform: Uniform) -> int:
    """How many uniform numbers' product stays above e**-rate (Knuth, TAOCP vol. 2, 3.4.1)."""
    limit, count, product = math.exp(-rate), 0, uniform()
    while product > limit:
        count += 1
        product *= uniform()
    return count


def _by_rejection(rate: float, uniform: Uniform) -> int:
    """W. Hörmann, "The transformed rejection method for generating Poisson random variables",
    Insurance: Mathematics and Economics 12 (1993): algorithm PTRS."""
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    log_inverse = math.log(1.1239 + 1.1328 / (b - 3.4))
    surely, log_rate = 0.9277 - 3.6224 / (b - 2), math.log(rate)
    while True:
        u, v = uniform() - 0.5, uniform()
        edge = 0.5 - abs(u)
        if not edge:
            continue  # the candidate would be -infinity
        k = math.floor((2 * a / edge + b) * u + rate + 0.43)
        if edge >= 0.07 and v <= surely:
            return k
        if k < 0 or (edge < 0.013 and v > edge) or not v:
            continue
        if (math.log(v) + log_inverse - math.log(a / (edge * edge) + b)
                <= -rate + k * log_rate - math.lgamma(k + 1)):
            return k
