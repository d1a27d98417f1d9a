"""The recorded graph, as users may look at it, and what becomes of the tensors it saves."""

from ..interpreters.tape import AccumulateGrad, Node
from .saved_tensors import disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks

__all__ = ["AccumulateGrad", "Node", "disable_saved_tensors_hooks", "save_on_cpu",
           "saved_tensors_hooks"]
