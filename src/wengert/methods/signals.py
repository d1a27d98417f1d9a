"""Tensor's methods of signals; loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.later import later

if TYPE_CHECKING:
    from ..signal import spectra
else:
    spectra = later("wengert.signal.spectra")


class Signals:
    """Spectra over time."""

    __slots__ = ()

    stft, istft = spectra.stft, spectra.istft
