"""Kernels return what Numba returns, whatever their arguments are, and whether their code is new or from a file."""

import inspect
import math
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

from coldframe.calibration.kernels.machine_code import finding, host, loading
from coldframe.calibration.kernels.machine_code.compiler import dispatcher
from coldframe.calibration.kernels.machine_code.kernel import signature
from tests.calibration.kernels.machine_code.conftest import Load


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the kernels that are compiled from now on."""
    names = []
    compiled = finding.compile_new

    def compile_and_record(function: Any, arguments: Any) -> Any:
        names.append(function.__name__)
        return compiled(function, arguments)

    monkeypatch.setattr(finding, "compile_new", compile_and_record)
    return names


def test_a_kernel_is_compiled_once_for_each_list_of_types(load: Load, store: Path, compilations: list[str]) -> None:
    values = np.arange(5, dtype=np.uint16)

    assert [load().total(values), load().total(values)] == [30.0, 30.0]
    assert compilations == ["total"]
    assert len(list(store.iterdir())) == 1

    assert load().total(values.astype(np.float32)) == 30.0
    assert compilations == ["total", "total"]
    assert len(list(store.iterdir())) == 2


EDITS = {
    "the kernel": ("result = 0.0", "result = 1.0"),
    "a kernel that it calls": ("return FACTOR * value", "return FACTOR + value"),
    "a constant of a kernel that it calls": ("FACTOR = 3", "FACTOR = 4"),
    "the type of a constant": ("FACTOR = 3", "FACTOR = 3.0"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_changed_kernel_is_compiled_again(
    load: Load, store: Path, compilations: list[str], edit: tuple[str, str]
) -> None:
    values = np.arange(5, dtype=np.uint16)
    load().total(values)

    changed = load(edit)

    assert changed.total(values) == dispatcher(changed.total.py_func)(values)
    assert compilations == ["total", "total"]
    assert len(list(store.iterdir())) == 1, "the code of the former kernel is replaced"


def test_a_changed_comment_or_other_kernel_does_not_matter(load: Load, compilations: list[str]) -> None:
    values = np.arange(5, dtype=np.uint16)
    load().total(values)

    assert load(("FACTOR = 3", "# why\n\nFACTOR = 3"), ("values[3]", "values[2]")).total(values) == 30.0
    assert compilations == ["total"]


@pytest.mark.parametrize("part", ["processor", "version of Numba"])
def test_code_for_another_computer_is_not_used(
    load: Load, compilations: list[str], monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    values = np.arange(5, dtype=np.uint16)
    load().total(values)

    host.host.cache_clear()
    if part == "processor":
        monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: "another")
    else:
        monkeypatch.setattr(host, "EXTENSION_SUFFIXES", [".cpython-399-x86_64-linux-gnu.so"])
    try:
        assert load().total(values) == 30.0
    finally:
        host.host.cache_clear()
    assert compilations == ["total", "total"]


ARGUMENTS: dict[str, Any] = {
    "in the order of Fortran": np.arange(12.0).reshape(3, 4).T[:1].reshape(-1),
    "with steps": np.arange(12.0)[::3],
    "backwards": np.arange(12.0)[::-1],
    "read-only": np.broadcast_to(np.arange(3.0), (3,)),
    "empty": np.empty(0),
    "integers": np.arange(-4, 4, dtype=np.int8),
    "bool": np.array([True, False, True]),
    "a subclass": np.arange(4.0).view(np.memmap),
    "complex": np.arange(4) + 1j,
    "not aligned": np.frombuffer(b"\0" + np.arange(4.0).tobytes(), np.uint8)[1:].view(np.float64),
}


@pytest.mark.parametrize("values", ARGUMENTS.values(), ids=ARGUMENTS)
def test_arrays_of_any_kind_give_the_result_of_numba(load: Load, values: Any) -> None:
    module = load()

    def outcome(call: Any) -> str:
        try:
            return repr(call(values))
        except Exception as error:  # noqa: BLE001 - any error must be the same
            return type(error).__qualname__

    assert outcome(module.total) == outcome(dispatcher(module.total.py_func))


def test_the_other_byte_order_is_refused_as_numba_refuses_it(load: Load) -> None:
    with pytest.raises(Exception, match="Unsupported array dtype: >u2"):
        load().total(np.arange(3, dtype=">u2"))


SCALARS = [3, -1, True, 2.5, math.inf, np.float32(0.1), np.uint16(65535), np.int64(-5), np.bool_(1)]


@pytest.mark.parametrize("value", SCALARS, ids=lambda value: f"{type(value).__name__} {value}")
def test_scalars_give_the_result_of_numba(load: Load, value: Any) -> None:
    module = load()
    mine, numbas = module.scaled(value), dispatcher(module.scaled.py_func)(value)
    assert (type(mine), repr(mine)) == (type(numbas), repr(numbas))


@pytest.mark.parametrize("value", [1 << 63, 1 << 70, -1 - (1 << 63)])
def test_an_integer_beyond_64_bits_is_refused(load: Load, compilations: list[str], value: int) -> None:
    module = load()
    with pytest.raises(OverflowError):
        module.scaled(value)
    assert module.scaled(-2) == -6
    assert compilations == ["scaled"]


def test_a_wrong_number_of_arguments_or_a_name_is_refused(load: Load) -> None:
    module = load()
    values = np.arange(3.0)
    module.checked(values, 2)
    with pytest.raises(TypeError):
        module.checked(values)
    with pytest.raises(TypeError):
        module.checked(values, least=2)


@pytest.mark.parametrize("attempt", ["new", "from a file"])
def test_tuples_of_arrays_are_compiled_for_their_members(load: Load, compilations: list[str], attempt: str) -> None:
    def outcome(call: Any, size: int, values: Any) -> str:
        arrays = tuple(np.arange(number, number + 4, dtype=values) for number in range(size))
        return repr((call(arrays, (2, 0.5)), arrays))

    module = load()
    expected = dispatcher(module.joined.py_func)
    for size, values in ((1, np.uint16), (3, np.uint16), (3, np.float32)):
        assert outcome(module.joined, size, values) == outcome(expected, size, values)
        if attempt == "from a file":
            module = load()
            assert outcome(module.joined, size, values) == outcome(expected, size, values)
    assert compilations == ["joined"] * 3


@pytest.mark.parametrize("attempt", ["new", "from a file"])
def test_exceptions_and_several_results_pass_through(load: Load, attempt: str) -> None:
    values = np.arange(3.0)
    module = load()
    if attempt == "from a file":
        module.checked(values, 2)
        module.allocated(5)
        module = load()

    assert module.checked(values, 2) == (3, 0.0, None)
    with pytest.raises(ValueError, match="too few values") as caught:
        module.checked(values, 4)
    assert caught.value.args == ("too few values", 12)
    assert module.allocated(5) == 5
    with pytest.raises(ValueError, match="negative dimensions not allowed"):
        module.allocated(-1)
    with pytest.raises(MemoryError):
        module.allocated(1 << 58)


def test_calls_keep_no_references_to_their_arguments(load: Load) -> None:
    module = load()
    values = np.arange(3.0)
    module.checked(values, 2)
    before = sys.getrefcount(values)
    for least in (1, 2, 3, 4, 5):
        for _ in range(50):
            try:
                module.checked(values, least)
            except ValueError:
                continue
    assert sys.getrefcount(values) == before


def test_threads_share_one_compilation(load: Load, compilations: list[str]) -> None:
    module = load()
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(lambda size: module.total(np.arange(float(size))), range(200)))
    assert sums == [3.0 * size * (size - 1) / 2 for size in range(200)]
    assert compilations == ["total"]


def test_code_that_cannot_be_linked_is_run_by_numba(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "symbol_addresses", dict)

    assert load().total(np.arange(5.0)) == 30.0


def test_numba_runs_a_kernel_that_returns_an_array(load: Load, store: Path) -> None:
    """Machine code would need the type of the array, which is an object of the process."""
    assert load().doubled(np.arange(3.0)).tolist() == [0.0, 2.0, 4.0]
    assert not store.exists()


def test_a_setting_of_numba_makes_numba_run_the_kernel(load: Load, store: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_BOUNDSCHECK", "1")
        assert load().total(np.arange(5.0)) == 30.0
    assert not store.exists()


def test_a_kernel_keeps_the_properties_of_its_function(load: Load) -> None:
    module = load()
    assert module.total.__name__ == "total"
    assert module.total.__doc__.startswith("Return the sum of the scaled values")
    assert list(inspect.signature(module.total).parameters) == ["values"]
    assert pickle.loads(pickle.dumps(module.total)) is module.total


def test_a_signature_distinguishes_what_code_depends_on() -> None:
    plane = np.zeros((3, 4), np.float32)
    read_only = plane.view()
    read_only.flags.writeable = False
    arrays: list[Any] = [plane, plane.T, plane[:, ::2], read_only, plane.reshape(-1), plane.astype(np.float64)]
    kinds = [(each.dtype, each.ndim, each.flags.num) for each in arrays]
    assert len({signature((kind,)) for kind in kinds}) == len(arrays)
    assert signature((kinds[0], int, type(None), np.float32)) == "float32[2d C] int64 none float32"
    assert signature((kinds[0], str)) is None
    assert signature(((kinds[0], int), ())) == "(float32[2d C] int64) ()"
    assert signature(((str,),)) is None
