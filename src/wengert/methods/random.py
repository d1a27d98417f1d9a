"""Tensor's methods that draw random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.later import later
from ..ops import random

if TYPE_CHECKING:
    from ..ops import fills
else:
    fills = later("wengert.ops.fills")


class Random:
    """Random numbers: in place, and with a tensor's elements as parameters."""

    __slots__ = ()

    uniform_, normal_, log_normal_ = fills.uniform_, fills.normal_, fills.log_normal_
    exponential_, cauchy_, geometric_ = fills.exponential_, fills.cauchy_, fills.geometric_
    random_, bernoulli_ = fills.random_, fills.bernoulli_
    bernoulli, multinomial = random.bernoulli, random.multinomial
