"""What only a new process shows: which modules it imports, and how processes share the folder of machine code."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.calibration.kernels.machine_code.conftest import Load

CALL = """
import sys
import numpy as np
from coldframe.calibration.kernels import fits_words

pixels = np.arange(5000, dtype=np.uint16)
encoded = np.empty_like(pixels)
sums = fits_words.encode_unsigned(pixels, encoded)
assert sums == (int((pixels[::2] ^ 0x8000).astype(int).sum()), int((pixels[1::2] ^ 0x8000).astype(int).sum())), sums
assert np.array_equal(encoded.view(">u2") ^ 0x8000, pixels)
"""


def start(code: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code: str, **environment: str) -> str:
    process = start(code, **environment)
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return output


def test_kept_code_runs_without_numba(store: Path) -> None:
    run(CALL)
    assert list(store.iterdir()) != []
    run(CALL + "assert 'numba' not in sys.modules")


def test_processes_that_compile_at_the_same_time_do_not_disturb_each_other(store: Path) -> None:
    processes = [start(CALL) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
    assert len(list(store.iterdir())) == 1
    run(CALL + "assert 'numba' not in sys.modules")


@pytest.mark.usefixtures("store")
def test_a_kernel_works_before_and_after_numba_is_imported() -> None:
    run(CALL)
    run(
        CALL
        + """
assert 'numba' not in sys.modules
import numba

@numba.njit
def others(size):
    return np.ones(size).sum()

assert others(7) == 7
words = pixels.copy()
fits_words.decode_words(words, 32768)  # is compiled here
assert np.array_equal(words, pixels.byteswap() ^ 0x8000)
assert fits_words.encode_unsigned(pixels, encoded) == sums
assert others(8) == 8
"""
    )


def test_an_exception_is_raised_in_a_process_that_has_not_imported_numba(load: Load, tmp_path: Path) -> None:
    module = load()
    module.checked(np.arange(3.0), 2)
    run(
        f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import numpy as np
import kernels_of_a_test as kernels

assert kernels.checked(np.arange(3.0), 2) == (3, 0.0, None)
assert "numba" not in sys.modules
try:
    kernels.checked(np.arange(3.0), 4)
except ValueError as error:
    assert error.args == ("too few values", 12)
else:
    raise AssertionError
"""
    )


SETTINGS = {"NUMBA_DISABLE_JIT": "3.0", "NUMBA_BOUNDSCHECK": "3.0", "NUMBA_NUM_THREADS": "3.0"}


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_of_numba_have_their_effect(load: Load, tmp_path: Path, store: Path, setting: str) -> None:
    load()
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import numpy as np
import kernels_of_a_test as kernels

assert kernels.third(np.arange(4.0)) == 3.0
try:
    kernels.third(np.zeros((2, 2))[:1, 0])
except IndexError:
    print("checked")
"""
    if setting != "NUMBA_NUM_THREADS":
        assert run(code, **{setting: "1"}) == "checked\n"
        assert not store.exists()
    else:
        run(code.partition("try:")[0], **{setting: "1"})
        assert store.exists()


FRAMES = """
import sys
from pathlib import Path
import numpy as np
import coldframe
from astropy.io import fits

folder = Path({folder!r})
rng = np.random.default_rng(3)
for number in range(6):
    unit = fits.PrimaryHDU(rng.normal(500, 5, (64, 96)).astype(np.uint16))
    unit.header["IMAGETYP"], unit.header["EXPTIME"] = "Dark Frame", 60.0
    unit.writeto(folder / f"{{number}}.fits", overwrite=True)
"""
COMBINE = """
import sys
from pathlib import Path
import coldframe

folder = Path({folder!r})
coldframe.combine(sorted(folder.glob("?.fits")), folder / "master.fits")
"""


def test_combine_does_not_import_numba_once_its_kernels_are_compiled(tmp_path: Path) -> None:
    run(FRAMES.format(folder=str(tmp_path)))
    combine = COMBINE.format(folder=str(tmp_path))
    run(combine)
    (tmp_path / "master.fits").unlink()
    run(combine + "assert 'numba' not in sys.modules and 'llvmlite' in sys.modules")


@pytest.mark.usefixtures("store")
def test_wrong_types_raise_in_a_process_without_numba() -> None:
    run(CALL)
    # In Python's library, the symbols of exceptions are variables; Numba's code expects the exceptions themselves.
    output = run(
        CALL
        + """
from coldframe.calibration.kernels.fits_words import encode_unsigned

(linked,) = vars(encode_unsigned)["_by_signature"].values()
try:
    linked([1, 2], encoded)
except TypeError as error:
    print("refused:", error)
assert "numba" not in sys.modules
"""
    )
    assert output.startswith("refused:")
