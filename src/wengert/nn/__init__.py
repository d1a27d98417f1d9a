"""Neural networks, under PyTorch's names: so far, their functions."""

from . import functional as functional
