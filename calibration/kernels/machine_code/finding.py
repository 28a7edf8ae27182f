"""Retrieval of a kernel's machine code: from a file or, if there is none, from the compiler."""

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from coldframe.calibration.kernels.machine_code import store
from coldframe.calibration.kernels.machine_code.fingerprint import UnknownPartError, fingerprint
from coldframe.calibration.kernels.machine_code.host import host, present_host
from coldframe.calibration.kernels.machine_code.loading import MachineCode, UnloadableError, link


def call_for(function: FunctionType, signature: str, arguments: Sequence[object]) -> Callable[..., Any]:
    """Return a function that runs a kernel for the types of the arguments, which the signature describes.

    New machine code is run in the same way as code from a file. Only if machine code is unavailable or cannot be linked
    does Numba itself run the kernel, with the same results.
    """
    identity = _identity(function, signature)
    code = None if identity is None else store.find(identity)
    if code is None:
        code = compile_new(function, arguments)
        # An upgrade during the run may have replaced the compiler.
        if code is not None and identity is not None and identity.host == present_host():
            store.keep(identity, code)
    if code is not None:
        try:
            return link(code, function)
        except UnloadableError:
            pass
    from coldframe.calibration.kernels.machine_code.compiler import dispatcher  # noqa: PLC0415 - imports Numba

    by_numba: Callable[..., Any] = dispatcher(function)
    return by_numba


def compile_new(function: FunctionType, arguments: Sequence[object]) -> MachineCode | None:
    """Return new machine code for a kernel; None if Numba cannot provide it."""
    from coldframe.calibration.kernels.machine_code.compiler import compiled  # noqa: PLC0415 - imports Numba

    return compiled(function, arguments)


def _identity(function: FunctionType, signature: str) -> store.Identity | None:
    """Return the identity of the machine code; None if it cannot be established, in which case no file is used."""
    name = f"{function.__module__}.{function.__qualname__}"
    try:
        return store.Identity(name, signature, host(), fingerprint(function))
    except (OSError, UnknownPartError):
        return None
