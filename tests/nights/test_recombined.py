"""Masters of whole nights, compared with the column sort of the saved frames."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.combining.verify import recombined
from coldframe.capture.events.kinds import MasterWritten
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.storage.night_folder import NightFolder, newest_night
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.verify import verify_nights
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.config.simulated_rig import TwilightModel, load_rig
from tests.nights.nights import NightRun, run_night, tiny
from tests.nights.test_sky_flats import DAWN, under
from tests.nights.test_sky_flats import night_of as night_of_sky

pytestmark = pytest.mark.looptime


async def night_of(rig: str, folder: Path, count: int) -> NightRun:
    settings = load_settings(example_night(rig))
    sets = tuple(each.model_copy(update={"count": count}) for each in settings.sets)
    return await run_night(settings.model_copy(update={"sets": sets}), tiny(load_rig(rig)), folder)


@pytest.mark.parametrize(
    "rig",
    [
        "cooled-osc",
        "ccd-overscan",
        pytest.param("small", marks=pytest.mark.deep),
        pytest.param("cooled-mono", marks=pytest.mark.deep),
        pytest.param("uncooled", marks=pytest.mark.deep),
    ],
)
async def test_live_masters_equal_the_column_sort_to_the_bit(rig: str, tmp_path: Path) -> None:
    night = await night_of(rig, tmp_path, 7)
    assert night.outcome is NightOutcome.COMPLETE
    folder = NightFolder(night.folder)
    masters = folder.masters()
    assert [str(path) for path in masters] == [event.path for event in night.of(MasterWritten)]
    kinds = set()
    for master in masters:
        result = recombined(master, folder.raw_frames())
        assert result.equal, f"{master}: {result}"
        assert result.frames >= 5
        kinds.add(str(fits.getheader(master)["CFROLE"]))
    assert {"BIAS", "FLAT"} <= kinds


async def test_twilight_flats_equal_the_column_sort_too(tmp_path: Path) -> None:
    twilight = TwilightModel(e_per_s=20, doubling_min=3.2, slope=0.005, stars_per_mpx=1000)
    night = await run_night(night_of_sky(8, DAWN), under(twilight), tmp_path)
    folder = NightFolder(night.folder)
    twilights = [master for master in folder.masters() if fits.getheader(master).get("CFSKY")]
    assert len(twilights) == 3
    for master in twilights:
        result = recombined(master, folder.raw_frames())
        assert result.equal, f"{master}: {result}"


async def test_the_uncertainty_of_an_earlier_version_is_not_compared(tmp_path: Path) -> None:
    night = await night_of("small", tmp_path, 6)
    folder = NightFolder(night.folder)
    bias = next(master for master in folder.masters() if fits.getheader(master)["CFROLE"] == "BIAS")
    with fits.open(bias, mode="update") as units:
        for keyword in [keyword for keyword in units[0].header if keyword.startswith("CFSCA")]:
            del units[0].header[keyword]
        units["UNCERT"].data *= 1.1
        units[0].add_checksum()
        units["UNCERT"].add_checksum()
    result = recombined(bias, folder.raw_frames())
    assert result.equal
    assert str(result).endswith("except for UNCERT of an earlier version")


async def test_what_is_not_what_its_frames_give_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night = await night_of("small", tmp_path, 6)
    masters = NightFolder(night.folder).masters()
    assert verify_nights([tmp_path]) == ExitCode.DONE
    said = capsys.readouterr()
    assert said.err == ""
    assert len(said.out.splitlines()) == len(masters) + 1
    verdict = f"{len(masters)} of {len(masters)} masters are equal to their recombined raw frames"
    assert said.out.splitlines()[-1] == verdict
    # One last bit of one pixel of one plane, and a frame that has gone.
    with fits.open(masters[0], mode="update") as units:
        units["UNCERT"].data[5, 7] = np.nextafter(units["UNCERT"].data[5, 7], np.float32(9))
    gone = next((night.folder / "darks").glob("*/*.fits"))
    gone.rename(tmp_path / "gone.fits")
    assert verify_nights([night.folder]) == ExitCode.INCOMPLETE
    said = capsys.readouterr()
    assert f"{masters[0].name}: differs" in said.err
    assert "uncertainty in 1 pixels" in said.err
    assert gone.name in said.err
    assert f"{len(masters) - 2} of {len(masters)}" in said.out


@pytest.mark.parametrize(("folder", "said"), [("nowhere", "no such night"), ("empty", "no masters")])
def test_a_folder_without_a_night_is_told(
    folder: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert verify_nights([tmp_path / folder]) == ExitCode.BAD_INPUT
    err = capsys.readouterr().err
    assert said in err
    assert str(tmp_path / folder) in err


def test_the_newest_night_is_found(tmp_path: Path) -> None:
    for name in ("2026-11-21", "2026-11-22", "2026-11-22-2", "2026-11-22-10", "library", "2026-12"):
        (tmp_path / name).mkdir()
    (tmp_path / "2026-11-23").write_text("not a folder")
    assert newest_night(tmp_path) == tmp_path / "2026-11-22-10"
    assert newest_night(tmp_path / "library") is None
