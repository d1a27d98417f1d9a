"""What stands beside the system proper, under PyTorch's names."""

from . import checkpoint as checkpoint, dlpack as dlpack
