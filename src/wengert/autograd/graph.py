"""The recorded graph, as users may look at it."""

from ..interpreters.tape import AccumulateGrad, Node

__all__ = ["AccumulateGrad", "Node"]
