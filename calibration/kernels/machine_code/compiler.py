"""Compilation of kernels with Numba; no other module imports Numba."""

from collections.abc import Sequence
from functools import cache
from types import FunctionType
from typing import Any

import numba

from coldframe.calibration.kernels.machine_code.fingerprint import Compiled, used_globals
from coldframe.calibration.kernels.machine_code.loading import MachineCode


@cache
def dispatcher(function: FunctionType) -> Any:  # noqa: ANN401 - Numba's classes have no types
    """Return Numba's own version of a kernel, which releases the GIL.

    `error_model="numpy"` drops the check for division by zero, which would prevent vectorisation.
    """
    kernels = {
        name: dispatcher(value.py_func) for name, value in used_globals(function).items() if isinstance(value, Compiled)
    }
    names = function.__globals__ | kernels
    own = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    own.__qualname__, own.__kwdefaults__, own.__doc__ = function.__qualname__, function.__kwdefaults__, function.__doc__
    return numba.njit(nogil=True, error_model="numpy")(own)


def compiled(function: FunctionType, arguments: Sequence[object]) -> MachineCode | None:
    """Return the machine code of a kernel for the types of the arguments; None if only Numba can run it."""
    made = dispatcher(function)
    if not hasattr(made, "overloads"):  # Numba is switched off
        return None
    types = tuple(numba.typeof(_ordinary(each)) for each in arguments)
    made.compile(types)
    result = made.overloads[types]
    if result.environment.consts or result.reload_init or result.library.has_dynamic_globals:
        return None
    _, kind, data = result.library.serialize_using_object_code()
    if kind != "object":
        return None
    return MachineCode(result.fndesc.llvm_cpython_wrapper_name, result.fndesc.env_name, bytes(data[0]))


def _ordinary(value: object) -> object:
    """Replace an integer with 0: Numba has a different type for very large integers, but the code must work for all."""
    if type(value) is tuple:
        return tuple(map(_ordinary, value))
    return 0 if type(value) is int else value
