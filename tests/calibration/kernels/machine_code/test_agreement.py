"""Every kernel in use gives the same bits as in Numba, with the arguments of a night, of lights and of all methods."""

import pkgutil
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

import coldframe
from coldframe.calibration import kernels
from coldframe.calibration.kernels import diagnosis, flats, folding, lights
from coldframe.calibration.kernels.machine_code import finding, kernel
from coldframe.calibration.kernels.machine_code.compiler import dispatcher
from coldframe.calibration.kernels.machine_code.fingerprint import fingerprint
from coldframe.calibration.kernels.machine_code.kernel import Kernel
from tests.kernels import run_commands

METHODS: tuple[dict[str, Any], ...] = (
    {},
    {"center": "median"},
    {"method": "mean"},
    {"method": "median"},
    {"method": "winsorized"},
)


def all_kernels() -> Iterator[Kernel]:
    for module in pkgutil.iter_modules(kernels.__path__, f"{kernels.__name__}."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, Kernel) and value.__module__ == module.name:
                yield value


def test_every_kernel_has_a_fingerprint_of_its_own() -> None:
    """Without one, its machine code would not be kept."""
    fingerprints = [fingerprint(each.py_func) for each in all_kernels()]
    assert len(fingerprints) > 50
    assert len(set(fingerprints)) == len(fingerprints)


def twin(value: Any) -> Any:
    """Return a copy of an argument with the same layout in memory."""
    if isinstance(value, tuple):
        return tuple(map(twin, value))
    if not isinstance(value, np.ndarray):
        return value
    copy = np.empty_like(value, order="K")
    if not (value.flags.c_contiguous or value.flags.f_contiguous):
        copy = np.empty((*value.shape[:-1], 2 * value.shape[-1] + 1), value.dtype)[..., : 2 * value.shape[-1] : 2]
    copy[...] = value
    copy.flags.writeable = value.flags.writeable
    assert [copy.flags.c_contiguous, copy.flags.f_contiguous] == [value.flags.c_contiguous, value.flags.f_contiguous]
    return copy


def bits(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [bits(each) for each in value]
    return (str(value.dtype), value.tobytes()) if isinstance(value, np.ndarray | np.generic) else repr(value)


@pytest.mark.deep
def test_every_kernel_in_use_gives_the_bits_of_numba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in all_kernels():
        monkeypatch.setattr(each, "_calls", {})
        monkeypatch.setattr(each, "_by_signature", {})
    call_for, signature_of = finding.call_for, kernel.signature
    compared = []

    def compare(function: FunctionType, signature: str, arguments: Sequence[Any]) -> Callable[..., Any]:
        call, by_numba = call_for(function, signature, arguments), dispatcher(function)
        assert call is not by_numba, f"{function.__qualname__} cannot be linked"
        mine, numbas = [tuple(map(twin, arguments)) for _ in range(2)]
        assert bits(call(*mine)) == bits(by_numba(*numbas))
        assert bits(mine) == bits(numbas), f"{function.__qualname__} ({signature})"
        compared.append(function.__qualname__)
        return call

    def require_signature(types: Any) -> str | None:
        text = signature_of(types)
        assert text is not None, f"Numba must run a kernel for {types}"
        return text

    monkeypatch.setattr(finding, "call_for", compare)
    monkeypatch.setattr(kernel, "signature", require_signature)
    run_commands()
    for number, values in enumerate((np.uint16, np.float32)):
        files = write_darks(tmp_path / str(number), values)
        for method, options in enumerate(METHODS):
            coldframe.combine(files, tmp_path / f"{number}-{method}.fits", **options)
    for name, call in DRAWN.items():
        call(np.random.default_rng(8))
        assert name in compared
    assert {"fold", "combine_pixels", "clip_about_means", "sum_blocks"} <= set(compared)


def write_darks(folder: Path, values: type) -> list[Path]:
    folder.mkdir()
    rng = np.random.default_rng(5)
    files = [folder / f"{number}.fits" for number in range(12)]
    for file in files:
        unit = fits.PrimaryHDU(rng.normal(500, 5, (60, 90)).astype(values))
        unit.header["IMAGETYP"], unit.header["EXPTIME"] = "Dark Frame", 60.0
        unit.writeto(file)
    return files


def draw(rng: np.random.Generator, *shape: int, values: type = np.float32) -> NDArray[Any]:
    return (rng.random(shape) * 900 + 1).astype(values)


def hash_words(rng: np.random.Generator) -> None:
    lights.hash_words(rng.integers(0, 1 << 63, 400, np.uint64), rng.integers(0, 1 << 63, 4, np.uint64))


def average_locally(rng: np.random.Generator) -> None:
    for period in (1, 2):
        lights.average_locally(draw(rng, 70, 90), draw(rng, 70, 90), period, -300.0, 300.0, draw(rng, 70, 90))


def calibrate_pixels(rng: np.random.Generator) -> None:
    light, local, subtracted, response, dark_variance, response_variance = draw(rng, 6, 999)
    signal, uncertainty = draw(rng, 2, 999)
    lights.calibrate_pixels(
        light, local, subtracted, response, dark_variance, response_variance, 0.7, signal, uncertainty
    )


def calibrate_to_floats(rng: np.random.Generator) -> None:
    bad = rng.random(999) > 0.9
    lights.calibrate_to_floats(draw(rng, 999), draw(rng, 999), draw(rng, 999), bad, 100.0, draw(rng, 999))


def lowest_signal(rng: np.random.Generator) -> None:
    lights.lowest_signal(draw(rng, 999, values=np.uint16), draw(rng, 999), draw(rng, 999), np.empty(0, np.bool_))


def fold_batch(rng: np.random.Generator) -> None:
    low = np.sort(draw(rng, 4, 1500, values=np.uint16), axis=0)
    totals, squares = draw(rng, 1500, values=np.uint32), draw(rng, 1500, values=np.uint64)
    frames = tuple(draw(rng, folding.BATCH, 1500, values=np.uint16))
    folding.fold_batch(frames, totals, squares, np.ascontiguousarray(low[::-1]) + np.uint16(900), low)


def merge_tails(rng: np.random.Generator) -> None:
    folding.merge_tails(*(np.sort(draw(rng, 3, 600, values=np.uint16), axis=0) for _ in range(4)))


def scale_words(rng: np.random.Generator) -> None:
    flats.scale_words(draw(rng, 999, values=np.uint16), draw(rng, 999), draw(rng, 2, 2), 7, 40)


def scale_values(rng: np.random.Generator) -> None:
    flats.scale_values(draw(rng, 999), draw(rng, 999), draw(rng, 2, 2), 7, 40)


def sum_discs(rng: np.random.Generator) -> None:
    diagnosis.sum_discs(draw(rng, 60, 50), 6, draw(rng, 60, 50, values=np.float64))


DRAWN = {
    call.__name__: call
    for call in (
        hash_words,
        average_locally,
        calibrate_pixels,
        calibrate_to_floats,
        lowest_signal,
        fold_batch,
        merge_tails,
        scale_words,
        scale_values,
        sum_discs,
    )
}
"""Kernels that the commands of the test do not call."""
