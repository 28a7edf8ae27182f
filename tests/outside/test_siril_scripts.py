"""Siril's own script layout runs through an export of raw frames untouched, and calibrates as we do."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from typer.testing import CliRunner

from coldframe.calibration.files.durable import write_durably
from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.calibration.files.keywords import raw_cards
from coldframe.calibration.lights.files import Output
from coldframe.calibration.lights.recipe import Subtract
from coldframe.cli import app
from coldframe.cli.calibrate import calibrate_lights
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.frames import FrameKind
from coldframe.operations.calibrating import Request
from tests.outside.observatory import FLAT_S, NIGHT, SETPOINT_C, SKY_S, Observatory
from tests.outside.test_siril import run

FRAMES = 6
STACKS = "rej none"
"""Without rejection, so that the results can be compared apart from rounding."""

SCRIPT = """\
requires 1.0.0
setext fit
set32bits
cd {pedestals}
convert pedestal -out=../process
cd ../process
stack pedestal {stacks} -nonorm -out=../masters/pedestal_stacked
cd ../flats
convert flat -out=../process
cd ../process
preprocess flat -bias=../masters/pedestal_stacked
stack pp_flat {stacks} -norm=mul -out=../masters/pp_flat_stacked
cd ../darks
convert dark -out=../process
cd ../process
stack dark {stacks} -nonorm -out=../masters/dark_stacked
cd ../lights
convert light -out=../process
cd ../process
preprocess light -dark=../masters/dark_stacked -flat=../masters/pp_flat_stacked {cfa}
"""


def frames(
    observatory: Observatory,
    folder: Path,
    kind: FrameKind,
    exposure_s: float,
    render: Callable[[int], NDArray[np.uint16]],
) -> Iterator[Path]:
    for number in range(FRAMES):
        path = folder / f"{kind}_{number:03d}.fits"
        cards = raw_cards(
            kind=kind,
            exposure_s=exposure_s,
            settings=observatory.settings,
            sensor_c=SETPOINT_C,
            setpoint_c=SETPOINT_C,
            filter_name="L" if kind in {FrameKind.FLAT, FrameKind.DARK_FLAT} else None,
            camera="Coldframe Camera",
            started_at=NIGHT + timedelta(minutes=number),
            header=observatory.header,
        )
        folder.mkdir(parents=True, exist_ok=True)
        write_durably(path, FrameEncoder().encode(render(number), cards))
        yield path


@pytest.fixture(scope="module")
def night(observatory: Observatory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nights") / "2026-11-22"
    render = observatory.render
    sets = (
        ("biases", FrameKind.BIAS, 0.0, lambda number: render(1_000 + number, 0.0, 0)),
        ("darks", FrameKind.DARK, SKY_S, lambda number: render(10_000 + number, SKY_S, 0)),
        ("dark-flats", FrameKind.DARK_FLAT, FLAT_S, lambda number: render(20_000 + number, FLAT_S, 0)),
        ("flats", FrameKind.FLAT, FLAT_S, lambda number: render(30_000 + number, FLAT_S, observatory.flat_e_per_s)),
    )
    for name, kind, exposure_s, rendered in sets:
        assert len(list(frames(observatory, folder / name, kind, exposure_s, rendered))) == FRAMES
    return folder


def coldframe(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == ExitCode.DONE, result.output
    return result.output


@pytest.mark.parametrize("pedestals", ["biases", "darkflats"])
def test_scripts_run_in_an_export(
    siril: str, observatory: Observatory, night: Path, tmp_path: Path, pedestals: str
) -> None:
    """With biases as in Siril's script for colour cameras, and with dark flats for the flats."""
    sets = [
        night / name for name in ("biases", "darks", "flats", "dark-flats") if pedestals != "biases" or "-" not in name
    ]
    (tmp_path / "library").mkdir()
    coldframe("export", tmp_path / "out", "--for", "siril", "--raw", night, "--library", tmp_path / "library")
    (work,) = (tmp_path / "out").glob("*_raw")
    before = {path: path.read_bytes() for path in night.rglob("*.fits")}
    light, _ = (observatory.light(work / "lights" / f"light_{each:05d}.fits", each) for each in (1, 2))
    colour = "-cfa -equalize_cfa" if observatory.cfa else ""
    log = run(siril, work, SCRIPT.format(pedestals=pedestals, stacks=STACKS, cfa=colour))
    assert {path: path.read_bytes() for path in night.rglob("*.fits")} == before

    coldframe("combine", *sets, "--all", "--method", "mean", "-o", tmp_path / "masters")
    request = Request(
        tmp_path / "masters", tmp_path / "ours", Subtract.DARK, with_flat=True, output=Output(floating=True), mend=False
    )
    assert calibrate_lights([str(light)], request) is ExitCode.DONE
    ours = fits.getdata(tmp_path / "ours" / f"{light.stem}_calibrated.fits").astype(np.float64)
    theirs = fits.getdata(work / "process" / "pp_light_00001.fit").astype(np.float64) * 65535
    repaired = int(re.findall(r"(\d+) corrected pixels", log)[0])
    flat = fits.getdata(next((tmp_path / "masters").rglob("MasterFlat*.fits"))).astype(np.float64)
    step = 2 if observatory.cfa else 1
    apart = np.empty_like(ours)
    for row in range(step):
        for column in range(step):
            phase = np.s_[row::step, column::step]
            # Siril normalises flats by the mean of their middle third, coldframe by the mean of each colour.
            scale = float(np.median(theirs[phase] / ours[phase]))
            height, width = flat[phase].shape
            third = flat[phase][height // 3 : 2 * height // 3, width // 3 : 2 * width // 3]
            assert scale == pytest.approx(third.mean(), rel=5e-4)
            apart[phase] = np.abs(theirs[phase] / scale / ours[phase] - 1)
    # The scaled flats of coldframe are rounded to whole ADU before they are combined.
    assert np.sort(apart, axis=None)[: apart.size - repaired].max() < 1e-4
    assert repaired < 0.01 * apart.size
