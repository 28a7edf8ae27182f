"""Arguments that the Python API refuses before any work."""

import pickle
from collections.abc import Callable
from datetime import UTC, time
from pathlib import Path

import numpy as np
import pytest

import coldframe
from coldframe.api.arguments import names_of


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coldframe.combine([]), "no files"),
        (lambda: coldframe.combine("x", method="average"), "method = 'average': expected one of 'mean'"),  # type: ignore[arg-type]
        (lambda: coldframe.combine("x", kind="light"), "kind = 'light'"),  # type: ignore[arg-type]
        (lambda: coldframe.combine("x", sigma=0.5), "sigma = 0.5: expected a number from 1 to 100"),
        (lambda: coldframe.combine("x", sigma=float("nan")), "sigma = nan"),
        (lambda: coldframe.combine("x", method="median", sigma=3), "no effect with --method median"),
        (lambda: coldframe.combine("x", extension=-1), "extension = -1"),
        (lambda: coldframe.calibrate("x", subtract="flat"), "subtract = 'flat'"),  # type: ignore[arg-type]
        (lambda: coldframe.calibrate("x", blank=True), "needs floating = True"),
        (lambda: coldframe.calibrate("x", mend=False, defects="map.fits"), "contradicts defects"),
        (lambda: coldframe.calibrate("x", subtract="bias", scale_dark=True), "contradicts subtract"),
        (lambda: coldframe.calibrate("x", pedestal=-1), "pedestal = -1"),
        (lambda: coldframe.diagnose("x", library="l", dark="d.fits"), "library contradicts"),
        (lambda: coldframe.diagnose("x", e_per_adu=0), "e_per_adu = 0"),
        (lambda: coldframe.read_frame("x", extension="all"), "extension = 'all'"),  # type: ignore[arg-type]
        (lambda: coldframe.Library("x").add("y", kind="light"), "kind = 'light'"),  # type: ignore[arg-type]
        (lambda: coldframe.calibrate("x", subtract=None), r"expected one of 'dark', 'scaled-dark', 'bias'$"),  # type: ignore[arg-type]
        (lambda: coldframe.read_frame("~nouser-of-this-name/x.fits"), "no user of this name"),
        (lambda: coldframe.run_night(watch=True), "watch = True needs lights"),
        (lambda: coldframe.run_night(simulate="small", until=time(4, 30, tzinfo=UTC)), "without a time zone"),
    ],
)
def test_a_wrong_argument_is_a_value_error(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coldframe.run_night(simulate="small", only="flats"), "only = 'flats': expected a sequence of strings"),
        (lambda: coldframe.run_night(simulate="small", skip=[3]), r"skip = \[3\]: expected a sequence"),  # type: ignore[list-item]
        (lambda: coldframe.calibrate("x", pedestal="5"), "pedestal = '5': expected a number"),  # type: ignore[arg-type]
        (lambda: coldframe.combine("x", sigma=True), "sigma = True: expected a number"),
    ],
)
def test_a_wrong_type_is_a_type_error(call: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def test_numbers_of_numpy_are_numbers() -> None:
    for number in (np.float32(3), np.int64(3)):
        with pytest.raises(coldframe.ColdframeError, match="nowhere"):
            coldframe.combine("/nowhere/*.fits", sigma=number)  # type: ignore[arg-type]


def test_the_file_of_a_simulated_rig_may_begin_with_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(coldframe.ColdframeError, match=f"{tmp_path}/rig.toml"):
        coldframe.run_night(simulate="~/rig.toml", folder=tmp_path / "night")


def test_names_may_be_paths_and_begin_with_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert names_of("~/darks/*.fits") == [f"{tmp_path}/darks/*.fits"]
    assert names_of(Path("a.fits")) == ["a.fits"]
    assert names_of(["a.fits", Path("b.fits")]) == ["a.fits", "b.fits"]


def test_the_error_survives_a_process_pool() -> None:
    error = coldframe.NothingDoneError(
        [coldframe.LeftOut(Path("a.fits"), "is empty"), coldframe.LeftOut(Path("b"), "")]
    )
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.left_out) == (str(error), error.left_out)
    assert str(error) == "no file could be used: a.fits: is empty (and 1 more file)"
