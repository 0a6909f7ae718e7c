"""How kernels are compiled: by numba, at their first call, and kept on disk for the next process.

They are compiled for the processor at hand, so digits of two kinds of processors differ in the last place, as torch's
do. A division by zero is not looked for: the check would keep a loop from being made of whole vectors. Python's lock is
given up, so that lanes run side by side.

numba compiles a kernel anew when the file changes in which it stands, and does not look at the files of what it calls.
So each file with kernels has the hash of those as `SOURCES_DIGEST`, which a test compares.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Numbers = NDArray[Any]
"""float32, or bfloat16 seen as uint16."""
Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True}


def compiled(function: Kernel) -> Kernel:
    """A kernel whose sums are made in the order in which they are written."""
    return _kept(function)


def compiled_inside(function: Kernel) -> Kernel:
    """A part of kernels that Python never calls: without an entry for it, it is compiled in less time."""
    inside: Kernel = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)
    return inside


def summed_freely(function: Kernel) -> Kernel:
    """A kernel whose sums are made in an order that suits vectors, the same in each run; NaN stays NaN."""
    return _kept(function, fastmath={"contract", "nsz", "reassoc", "arcp"})


def _kept(function: Kernel, **more: Any) -> Kernel:
    try:
        kernel: Kernel = numba.njit(cache=True, **_OPTIONS, **more)(function)
    except RuntimeError:  # no folder to write to: compiled anew in each process
        kernel = numba.njit(**_OPTIONS, **more)(function)
    return kernel
