"""Transforms: functions of functions that differentiate and batch, and nest freely."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any

from ..core.pytrees import register_pytree
from .batching import vmap
from .forward import jvp, linearize
from .jet import derivatives, jet
from .reverse import grad, grad_and_value, value_and_grad, vjp

if _TYPE_CHECKING:
    from .control import cond, scan, while_loop
    from .custom import custom_jvp, custom_vjp
    from .jacobians import hessian, hvp, jacfwd, jacobian, jacrev
    from .modules import functional_call
    from .sparse import hessian_sparsity, jacobian_sparsity, sparse_hessian, sparse_jacobian

__all__ = [
    "cond", "custom_jvp", "custom_vjp", "derivatives", "functional_call", "grad",
    "grad_and_value", "hessian", "hessian_sparsity", "hvp", "jacfwd", "jacobian",
    "jacobian_sparsity", "jacrev", "jet", "jvp", "linearize", "register_pytree", "scan",
    "sparse_hessian", "sparse_jacobian", "value_and_grad", "vjp", "vmap", "while_loop",
]

_LATER = {
    ".control": ("cond", "scan", "while_loop"), ".custom": ("custom_jvp", "custom_vjp"),
    ".jacobians": ("hessian", "hvp", "jacfwd", "jacobian", "jacrev"),
    ".modules": ("functional_call",),
    ".sparse": ("hessian_sparsity", "jacobian_sparsity", "sparse_hessian", "sparse_jacobian"),
}
"""Modules that are loaded with the first of their words."""


def __getattr__(name: str) -> _Any:
    for module, words in _LATER.items():
        if name in words or name == module[1:]:
            found = _import_module(module, __name__)
            return globals().setdefault(name, getattr(found, name, found))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
