"""The compiler: lists of primitive applications, passes over them, and native code."""

from . import kernels as kernels  # tells eager evaluation of itself
