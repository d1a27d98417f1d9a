"""Functions of neural networks, in PyTorch's words.

    import wengert.nn.functional as F

    F.cross_entropy(F.gelu(F.linear(x, weight, bias)), labels)
"""

import sys as _sys

from ...core.guard import guard as _guard
from ...ops.pointwise import sigmoid as sigmoid, softplus as softplus, tanh as tanh
from .activations import *
from .alignment import *
from .attention import *
from .convolution import *
from .distances import *
from .dropping import *
from .embeddings import *
from .folding import *
from .fractional import *
from .linear import *
from .losses import *
from .margins import *
from .normalization import *
from .padding import *
from .pairs import *
from .pooling import *
from .resampling import *
from .sampling import *

_guard(_sys.modules[__name__])
