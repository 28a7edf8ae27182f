"""The fingerprint of a kernel: a digest of everything in the process from which Numba compiles it.

It is computed from the functions in memory rather than from their sources, because an upgrade can replace the sources
while a process is running.
"""

import hashlib
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType

import numpy as np

_MODULES = frozenset({"numpy", "math"})
"""Modules whose functions kernels may use; Numba has its own versions of these functions."""

_CONSTANTS = (bool, int, float, str, bytes, type(None), type(Ellipsis), np.generic)


class UnknownPartError(Exception):
    """A kernel uses an object whose properties cannot be listed."""


class Compiled:
    """A function that Numba compiles."""

    def __init__(self, function: FunctionType) -> None:
        self.py_func = function


def fingerprint(function: FunctionType) -> str:
    """Return the fingerprint of a kernel, which covers the kernels that it calls and the constants that it reads.

    Raises
    ------
    UnknownPartError
        If the kernel uses an object whose properties cannot be listed.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in _function(function, set()):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def used_globals(function: FunctionType) -> dict[str, object]:
    """Return the global values that a function uses, by name."""
    # Other names are attributes or built-in functions.
    return {name: function.__globals__[name] for name in _names(function.__code__) & function.__globals__.keys()}


def _function(function: FunctionType, seen: set[str]) -> Iterator[str]:
    name = f"{function.__module__}.{function.__qualname__}"
    yield f"function {name}"
    if name in seen:
        return
    seen.add(name)
    if function.__closure__ is not None or function.__defaults__ is not None or function.__kwdefaults__ is not None:
        raise UnknownPartError(f"{name} has a closure or default values")
    yield from _code(function.__code__)
    for used, value in sorted(used_globals(function).items()):
        yield used
        yield from _value(value, seen)


def _code(code: CodeType) -> Iterator[str]:
    yield repr((code.co_code, code.co_exceptiontable, code.co_names, code.co_varnames, code.co_flags))
    yield repr((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_cellvars, code.co_freevars))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code(constant)
        else:
            yield _constant(constant)


def _names(code: CodeType) -> set[str]:
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


def _value(value: object, seen: set[str]) -> Iterator[str]:
    if isinstance(value, Compiled):
        yield from _function(value.py_func, seen)
    elif isinstance(value, ModuleType) and value.__name__ in _MODULES:
        yield f"module {value.__name__}"
    elif isinstance(value, type) and value.__module__ in {*_MODULES, "builtins"}:
        yield f"class {value.__module__}.{value.__qualname__}"
    else:
        yield _constant(value)


def _constant(value: object) -> str:
    """Return a representation that distinguishes 1, 1.0 and True."""
    if isinstance(value, tuple):
        return f"({','.join(map(_constant, value))})"
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(_constant, value)))}}}"
    if not isinstance(value, _CONSTANTS):
        raise UnknownPartError(f"the properties of {type(value).__qualname__} are unknown")
    return f"{type(value).__qualname__} {value!r}"
