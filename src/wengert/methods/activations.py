"""Tensor's methods that are functions of networks, too; loaded on first use, as those are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.later import later

if TYPE_CHECKING:
    from ..nn.functional import activations
else:
    activations = later("wengert.nn.functional.activations")


class Activations:
    """What neurons do to their input."""

    __slots__ = ()

    hardshrink, prelu = activations.hardshrink, activations.prelu
