"""The array API standard, version 2024.12, for tensors: what `x.__array_namespace__()` gives.

Code that is written for the standard asks an array for its namespace, and so computes with
tensors, and differentiates:

    >>> import wengert as torch
    >>> def spread(x):
    ...     xp = x.__array_namespace__()
    ...     return xp.max(x, axis=-1) - xp.min(x, axis=-1)
    >>> x = torch.tensor([[1., 4.], [2., 2.5]], requires_grad=True)
    >>> spread(x)
    tensor([3.0000, 0.5000], grad_fn=<SubBackward0>)

Names, signatures and results are the standard's (https://data-apis.org/array-api/2024.12), which
differ from PyTorch's here and there: dtypes alone decide how operands are promoted, a 0-d tensor
counts as any other; unsigned integers are summed as unsigned ones.

Tensors themselves keep to PyTorch where the two disagree: `x.size` is a method, operators let a 0-d
operand give way, and uint64 beside a signed integer is refused.
"""

from math import e as e, inf as inf, nan as nan, pi as pi
from typing import Any

from . import fft as fft, linalg as linalg
from .creation import *
from .dtypes import *
from .elementwise import *
from .info import __array_namespace_info__ as __array_namespace_info__
from .manipulation import *
from .products import *
from .searching import *
from .statistical import *

__array_api_version__ = "2024.12"
newaxis = None

_VERSIONS = ("2021.12", "2022.12", "2023.12", __array_api_version__)


def of_version(api_version: str | None) -> Any:
    """This module, which follows one version of the standard, and so those before it.

    Raises:
        ValueError: for a version that it does not follow.
    """
    import sys

    if api_version is not None and api_version not in _VERSIONS:
        raise ValueError(f"wengert.array_api follows the array API standard up to version "
                         f"{__array_api_version__}, not {api_version!r}")
    return sys.modules[__name__]
