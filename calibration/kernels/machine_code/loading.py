"""Linking of machine code into the process, with the parts of Numba that are written in C, but without Numba itself."""

import atexit
import builtins
import ctypes
import sys
from collections.abc import Callable
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, cast

import llvmlite.binding as llvm

from coldframe.calibration.kernels.machine_code.host import numba_folder
from coldframe.calibration.kernels.machine_code.object_file import undefined_symbols


class MachineCode(NamedTuple):
    """The machine code of a kernel for one list of argument types.

    Attributes
    ----------
    function
        Symbol of the function that has the interface `PyCFunctionWithKeywords` of Python.
    environment
        Symbol of the pointer to the environment, which the function needs to raise exceptions.
    content
        Object file that contains the kernel and all functions that it calls.
    """

    function: str
    environment: str
    content: bytes


class UnloadableError(Exception):
    """Machine code cannot be linked into this process."""


def link(code: MachineCode, function: FunctionType) -> Callable[..., object]:
    """Return a function that runs machine code, which must be complete and made for this processor.

    The function does not check its arguments; they must have the types for which the code was compiled.

    Raises
    ------
    UnloadableError
        If the code cannot be linked, for example because it needs a symbol that this process does not have.
    """
    try:
        engine = _engine()
        # LLVM aborts the process if it does not find a symbol.
        for symbol in undefined_symbols(code.content):
            _resolve(symbol)
        engine.add_object_file(llvm.ObjectFileRef.from_data(code.content))
        engine.finalize_object()
        address = engine.get_function_address(code.function)
        environment_at = engine.get_global_value_address(code.environment)
        if not address or not environment_at:
            raise UnloadableError(f"{code.function} is missing")
        dynamic = _part("numba._dynfunc")
        environment = dynamic.Environment(function.__globals__)
        ctypes.c_void_p.from_address(environment_at).value = id(environment)
        made = dynamic.make_function(
            sys.modules[function.__module__],
            function.__name__,
            function.__doc__ or "",
            address,
            environment,
            (engine, environment),  # must live as long as the function
        )
    except (OSError, ValueError, ImportError, AttributeError, RuntimeError) as error:
        raise UnloadableError(str(error)) from error
    return cast("Callable[..., object]", made)


def _engine() -> Any:  # noqa: ANN401 - llvmlite has no types
    """Return an engine for one object file, so that functions with the same name in different files do not clash."""
    _start_llvm()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    machine = target.create_target_machine(codemodel="jitdefault", jit=True)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


@cache
def _start_llvm() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _resolve(symbol: str) -> None:
    address = symbol_addresses().get(symbol)
    if address is not None:
        llvm.add_symbol(symbol, address)
    elif llvm.address_of_symbol(symbol) is None:
        raise UnloadableError(f"the symbol {symbol} is unknown")


@cache
def symbol_addresses() -> dict[str, int]:
    """Return the addresses of Numba's C functions for the conversion of arguments, memory and exceptions."""
    symbols = {f"numba_{name}": address for name, address in _part("numba._helperlib").c_helpers.items()}
    memory = _part("numba.core.runtime._nrt_python")
    # Numba itself does the same two things when it is imported.
    memory.memsys_use_cpython_allocator()
    atexit.register(memory.memsys_shutdown)
    symbols |= {f"NRT_{name}": address for name, address in memory.c_helpers.items()}
    # For Numba, these symbols are the objects themselves. In Python's library, they are variables that point to them.
    exceptions = {name: each for name, each in vars(builtins).items() if _is_exception(each)}
    return symbols | {f"PyExc_{name}": id(each) for name, each in exceptions.items()} | {"_Py_NoneStruct": id(None)}


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _part(name: str) -> ModuleType:
    """Import a C module of Numba without its parent packages, and register it, so that Numba uses the same module."""
    if name not in sys.modules:
        inner = name.split(".")[1:-1]
        spec = PathFinder.find_spec(name, [str(numba_folder().joinpath(*inner))])
        if spec is None or spec.loader is None:
            raise ImportError(f"{name} is missing")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules.setdefault(name, module)
    return sys.modules[name]
