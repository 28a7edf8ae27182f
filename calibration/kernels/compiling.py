"""The decorator that compiles kernels, and the array types in their signatures."""

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """Compile a function that releases the GIL, and cache the machine code on disk.

    `error_model="numpy"` drops the check for division by zero, which would prevent vectorisation.
    """
    return cast("Function", njit(cache=True, nogil=True, error_model="numpy")(function))
