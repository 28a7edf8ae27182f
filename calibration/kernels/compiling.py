"""The decorator that compiles kernels, and the array types in their signatures."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels.machine_code.kernel import Kernel

if TYPE_CHECKING:
    from types import FunctionType

U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """Compile a function with Numba when it is first called, and keep the machine code in a file; see `Kernel`."""
    return cast("Function", Kernel(cast("FunctionType", function)))
