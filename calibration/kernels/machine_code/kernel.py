"""A kernel: a function that finds and runs the machine code for the types of its arguments."""

import logging
import os
from collections.abc import Callable
from functools import cache, update_wrapper
from threading import RLock
from types import FunctionType
from typing import Any

import numpy as np

from coldframe.calibration.kernels.machine_code.fingerprint import Compiled

Types = tuple[Any, ...]
"""For each argument, its class; for an array, its element type, number of dimensions and flags; for a tuple, the types
of its members."""

_C_ORDER, _FORTRAN_ORDER, _ALIGNED, _WRITEABLE = 0x1, 0x2, 0x100, 0x400
"""The flags of an array on which machine code depends (NumPy C API, NPY_ARRAY_C_CONTIGUOUS and so on)."""

_NUMBERS = (
    np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, np.float32, np.float64,
)  # fmt: skip
"""The types for which machine code is kept. Numba itself handles all other types, such as those with a different byte
order."""

_ELEMENTS: dict[object, str] = {np.dtype(number): np.dtype(number).name for number in _NUMBERS}
_SCALARS: dict[object, str] = {number: np.dtype(number).name for number in _NUMBERS} | {
    bool: "bool",
    int: "int64",
    float: "float64",
    type(None): "none",
}

_HARMLESS = (
    "NUMBA_CACHE_",
    "NUMBA_COLOR_SCHEME",
    "NUMBA_CUDA_",
    "NUMBA_DISABLE_CUDA",
    "NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING",
    "NUMBA_DISABLE_PERFORMANCE_WARNINGS",
    "NUMBA_NUM_THREADS",
    "NUMBA_THREADING_LAYER",
    "NUMBA_WARNINGS",
)
"""Beginnings of the names of Numba's settings that do not change machine code."""

log = logging.getLogger(__name__)

_lock = RLock()


class Kernel(Compiled):
    """A function that is compiled for the types of its arguments when it is first called with them.

    Arguments must be passed by position. If the environment contains a setting of Numba that changes code, such as
    NUMBA_DISABLE_JIT or NUMBA_BOUNDSCHECK, Numba itself runs the kernel.
    """

    def __init__(self, function: FunctionType) -> None:
        super().__init__(function)
        self._calls: dict[Types, Callable[..., Any]] = {}
        self._by_signature: dict[str, Callable[..., Any]] = {}
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401 - the decorator keeps the types of the function
        """Run the kernel."""
        # A single expression is fast: 0.2 us for each array. The test with `is` excludes subclasses of arrays.
        types = tuple([
            (each.dtype, each.ndim, each.flags.num) if type(each) is np.ndarray
            else type(each) if type(each) is not tuple
            else _types_of(each)
            for each in arguments
        ])  # fmt: skip
        call = self._calls.get(types)
        if call is None:
            call = self._prepare(types, arguments)
        return call(*arguments)

    def __reduce__(self) -> str:
        return self.py_func.__qualname__

    def _prepare(self, types: Types, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        with _lock:
            if types not in self._calls:
                self._calls[types] = self._call_for(types, arguments)
            return self._calls[types]

    def _call_for(self, types: Types, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        text = signature(types)
        if text is None or _settings_change_code():
            from coldframe.calibration.kernels.machine_code.compiler import dispatcher  # noqa: PLC0415 - imports Numba

            by_numba: Callable[..., Any] = dispatcher(self.py_func)
            return by_numba
        if text not in self._by_signature:
            from coldframe.calibration.kernels.machine_code.finding import call_for  # noqa: PLC0415 - imports LLVM

            self._by_signature[text] = call_for(self.py_func, text, arguments)
        return self._by_signature[text]


def _settings_change_code() -> bool:
    """Return True if the environment contains settings of Numba that might change machine code; log these once."""
    names = sorted(name for name in os.environ if name.startswith("NUMBA_") and not name.startswith(_HARMLESS))
    if names:
        _report(", ".join(names))
    return bool(names)


@cache
def _report(names: str) -> None:
    log.warning("kernels are compiled in every process, because the environment contains %s", names)


def _types_of(members: tuple[Any, ...]) -> Types:
    return tuple(
        (each.dtype, each.ndim, each.flags.num) if type(each) is np.ndarray else type(each) for each in members
    )


def signature(types: Types) -> str | None:
    """Return the argument types as text, such as "uint16[2d C] int64"; None if only Numba can handle them."""
    texts = [_text(each) for each in types]
    return None if None in texts else " ".join(map(str, texts))


def _text(kind: Any) -> str | None:  # noqa: ANN401 - see `Types`
    if not isinstance(kind, tuple):
        return _SCALARS.get(kind)
    if kind and isinstance(kind[0], np.dtype):
        return _array_text(*kind)
    members = signature(kind)
    return None if members is None else f"({members})"


def _array_text(dtype: np.dtype[Any], dimensions: int, flags: int) -> str | None:
    element = _ELEMENTS.get(dtype)
    if element is None or not flags & _ALIGNED:
        return None
    order = "C" if flags & _C_ORDER else "F" if flags & _FORTRAN_ORDER else "A"
    return f"{element}[{dimensions}d {order}{'' if flags & _WRITEABLE else ' read-only'}]"
