"""Tensor's methods that fill it with random numbers."""

from __future__ import annotations

from ..ops import random


class Random:
    """Random numbers, in place."""

    __slots__ = ()

    uniform_, normal_ = random.uniform_, random.normal_
