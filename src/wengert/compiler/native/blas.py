"""Matrix products for native code: the addresses of SciPy's BLAS.

`scipy.linalg.cython_blas` is SciPy's public C interface: Fortran's calling convention, 32-bit
integers, every argument a pointer, matrices column by column. Its module is loaded alone:
importing `scipy.linalg` takes a quarter of a second, and nothing else of it is needed.

The BLAS has threads of its own, which may spin for a while after a product, on the cores that
ours need: native code asks for one thread where the library can be told (`thread_functions`).
"""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import importlib.util
import os
import sys
from typing import Any

ROUTINES = ("gemm", "gemv", "dot", "axpy", "ger", "syrk", "trsm")
"""What is offered, for `s` (float32) and `d` (float64): sgemm, dgemm, ..."""

_THREADS = (("scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"),
            ("openblas_get_num_threads", "openblas_set_num_threads"),
            ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
            ("bli_thread_get_num_threads", "bli_thread_set_num_threads"))
GET_THREADS, SET_THREADS = "blas_get_threads", "blas_set_threads"


@functools.cache
def symbols() -> dict[str, int]:
    """Addresses of the BLAS routines, by name: "sgemm", "dgemm", "sgemv", ...

    Raises:
        ImportError: if SciPy is missing, or its BLAS has other integers than 32-bit ones.
    """
    capsules = _module().__pyx_capi__
    found = {kind + name: _address(capsules[kind + name]) for name in ROUTINES for kind in "sd"}
    return {**found, **thread_functions()}


@functools.cache
def thread_functions() -> dict[str, int]:
    """Addresses of `int get()` and `void set(int)`, by our names: how many threads a single BLAS
    call may use. Nothing, if this BLAS can't be told."""
    library = ctypes.CDLL(_module().__file__)  # finds what the libraries it depends on export
    for names in _THREADS:
        both = [getattr(library, name, None) for name in names]
        if all(both):
            pointers = [ctypes.cast(each, ctypes.c_void_p).value or 0 for each in both if each]
            return dict(zip((GET_THREADS, SET_THREADS), pointers, strict=True))
    return {}


def set_threads(count: int) -> bool:
    """Sets how many threads a single BLAS call may use; False if this BLAS can't be told."""
    address = thread_functions().get(SET_THREADS)
    if address is not None:
        ctypes.CFUNCTYPE(None, ctypes.c_int)(address)(count)
    return address is not None


@functools.cache
def _module() -> Any:
    """SciPy's module of BLAS functions, as imported, or loaded without its package."""
    name = "scipy.linalg.cython_blas"
    if name in sys.modules:
        return sys.modules[name]
    import scipy  # on some systems this makes the libraries findable

    path = [os.path.join(folder, "linalg") for folder in scipy.__path__]
    spec = importlib.machinery.PathFinder.find_spec(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"wengert.compile needs {name}, which this SciPy doesn't have")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop(name, None)  # it enters itself; whoever imports it shall have its package, too
    return module


_capsule_name = ctypes.pythonapi.PyCapsule_GetName
_capsule_name.restype, _capsule_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


def _address(capsule: Any) -> int:
    signature = _capsule_name(capsule)
    if b"int *" not in signature:
        raise ImportError(f"wengert.compile needs a BLAS of 32-bit integers, not {signature!r}")
    return int(_capsule_pointer(capsule, signature))
