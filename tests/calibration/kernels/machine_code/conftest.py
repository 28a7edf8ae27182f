"""Kernels in a module of their own, with their own folder of machine code."""

import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = '''
import numpy as np

from coldframe.calibration.kernels.compiling import kernel

FACTOR = 3


@kernel
def scaled(value):
    return FACTOR * value


@kernel
def total(values):
    """Return the sum of the scaled values, which are first copied into scratch memory."""
    scratch = np.empty(values.size, np.float64)
    for i in range(values.size):
        scratch[i] = scaled(values[i])
    result = 0.0
    for i in range(values.size):
        result += scratch[i]
    return result


@kernel
def checked(values, least):
    if values.size < least:
        raise ValueError("too few values", 12)
    return values.size, values[0], None


@kernel
def joined(arrays, pair):
    for values in arrays:
        values[0] += pair[0]
    return len(arrays), arrays[0][0], pair[1]


@kernel
def doubled(values):
    return values + values


@kernel
def allocated(size):
    return np.empty(size, np.float64).size


@kernel
def third(values):
    return values[3]
'''

Load = Callable[..., ModuleType]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of machine code of this test."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "coldframe"


@pytest.fixture
def load(tmp_path: Path, store: Path) -> Iterator[Load]:  # noqa: ARG001 - a folder of machine code for each test
    """Return a function that loads the kernels again, as a new process would; `edit` changes their source."""
    name = "kernels_of_a_test"
    file = tmp_path / f"{name}.py"
    numbers = itertools.count()

    def load(*edit: tuple[str, str]) -> ModuleType:
        source = SOURCE
        for old, new in edit:
            assert old in source
            source = source.replace(old, new)
        file.write_text(source)
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        # The byte code of a file with an equal size and time would be used again.
        exec(compile(source, f"{file}{next(numbers)}", "exec"), module.__dict__)
        return module

    yield load
    sys.modules.pop(name, None)
