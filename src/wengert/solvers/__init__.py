"""Solvers with derivatives: SciPy's optimisers fed with ours, and solutions differentiated.

`minimize` and `least_squares` find numbers, with gradients, Hessian products and Jacobians made
here. `root`, `fixed_point`, `argmin` and `odeint` give solutions that can be differentiated with
respect to the parameters of the problem.
"""

from .arguments import ConvergenceError
from .equations import argmin, fixed_point, root
from .minimise import minimize
from .ode import odeint
from .squares import least_squares

__all__ = ["ConvergenceError", "argmin", "fixed_point", "least_squares", "minimize", "odeint",
           "root"]
