"""Linear algebra, under PyTorch's names for it.

All functions work on batches of matrices: the last two dimensions, of any number before them.

    >>> import wengert as torch
    >>> A = torch.tensor([[2., 1.], [1., 3.]], requires_grad=True)
    >>> torch.linalg.solve(A, torch.tensor([3., 5.])).sum().backward()
    >>> A.grad
    tensor([[-0.3200, -0.5600],
            [-0.1600, -0.2800]])
"""

import sys as _sys

from ..core.guard import guard as _guard
from ..ops.linalg import decompositions, norms, products, solving
from ..ops.linalg.decompositions import *
from ..ops.linalg.norms import *
from ..ops.linalg.products import *
from ..ops.linalg.solving import *
from ..primitives.linalg.lapack import LinAlgError

__all__ = [  # noqa: PLE0604 - the others' names are lists of strings
    "LinAlgError", *decompositions.__all__, *norms.__all__, *products.__all__, *solving.__all__,
]

_guard(_sys.modules[__name__])
