"""Sample applications of Fourier transforms, with what NumPy says of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from samples import S, Sample, c, r

POWERS = {"backward": 0.0, "ortho": -0.5, "forward": -1.0}
INVERSE = {"backward": -1.0, "ortho": -0.5, "forward": 0.0}


def _fourier() -> Iterator[Sample]:
    for norm, power in POWERS.items():
        for dims in ((0,), (1, 0)):
            for x in (c(3, 4), r(3, 4)):
                yield S("fft_c2c", x, dims=dims, power=power, forward=True,
                        ref=lambda x, d=dims, n=norm: np.fft.fftn(x, axes=d, norm=n))
                yield S("fft_c2c", x, dims=dims, power=INVERSE[norm], forward=False,
                        ref=lambda x, d=dims, n=norm: np.fft.ifftn(x, axes=d, norm=n))
            for x in (r(3, 4), r(4, 3)):
                yield S("fft_r2c", x, dims=dims, power=power,
                        ref=lambda x, d=dims, n=norm: np.fft.rfftn(x, axes=d, norm=n))
        for points in (4, 5):
            yield S("fft_c2r", c(2, 3), dims=(0, 1), power=INVERSE[norm], points=points,
                    ref=lambda x, n=norm, points=points: np.fft.irfftn(
                        x, (2, points), axes=(0, 1), norm=n))


SAMPLES = list(_fourier())
