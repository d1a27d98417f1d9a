"""Functions of neural networks, in PyTorch's words.

    import wengert.nn.functional as F

    F.cross_entropy(F.gelu(F.linear(x, weight, bias)), labels)
"""

from ...ops.pointwise import sigmoid, softplus, tanh
from .activations import gelu, log_softmax, relu, silu, softmax
from .layers import dropout, embedding, layer_norm, linear, one_hot
from .losses import cross_entropy, mse_loss, nll_loss

__all__ = [
    "cross_entropy", "dropout", "embedding", "gelu", "layer_norm", "linear", "log_softmax",
    "mse_loss", "nll_loss", "one_hot", "relu", "sigmoid", "silu", "softmax", "softplus", "tanh",
]
