"""Transforms: functions of functions that differentiate and batch, and nest freely."""

from ..core.pytrees import register_pytree
from .batching import vmap
from .control import cond, scan, while_loop
from .custom import custom_jvp, custom_vjp
from .forward import jvp, linearize
from .jacobians import hessian, hvp, jacfwd, jacobian, jacrev
from .jet import derivatives, jet
from .modules import functional_call
from .reverse import grad, grad_and_value, value_and_grad, vjp
from .sparse import hessian_sparsity, jacobian_sparsity, sparse_hessian, sparse_jacobian

__all__ = [
    "cond", "custom_jvp", "custom_vjp", "derivatives", "functional_call", "grad",
    "grad_and_value", "hessian", "hessian_sparsity", "hvp", "jacfwd", "jacobian",
    "jacobian_sparsity", "jacrev", "jet", "jvp", "linearize", "register_pytree", "scan",
    "sparse_hessian", "sparse_jacobian", "value_and_grad", "vjp", "vmap", "while_loop",
]
