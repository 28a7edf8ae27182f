"""Twilight flats in whole nights with a simulated dawn, a simulated dusk, and three filters."""

from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files.frame_file import read_header
from coldframe.calibration.masters.reading import read_master
from coldframe.capture.events.kinds import (
    FlatTested,
    FrameAccepted,
    FrameRejected,
    StepEnded,
)
from coldframe.capture.events.values import NightOutcome, StepOutcome
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig, TwilightModel, load_rig
from coldframe.config.tables.flats import FlatSettings
from coldframe.config.tables.night import SiteSettings
from coldframe.config.tables.rig import PanelSettings
from coldframe.config.tables.sets import FrameSet
from coldframe.simulators.sensor import Sensor
from tests.nights.nights import NightRun, run_night, tiny

pytestmark = pytest.mark.looptime

# At 03:30 UTC on 22 November 2026, when the nights begin, the sun is at -11.5 deg there, and rises.
DAWN = SiteSettings(latitude_deg=28.3, longitude_deg=31.5)
DUSK = SiteSettings(latitude_deg=28.3, longitude_deg=-157.0)
FILTERS = ("Ha", "L", "R")


def night_of(count: int, site: SiteSettings, dark_flats: int = 3) -> Settings:
    base = load_settings(example_night("small"))
    assert base.panel is not None
    flats = [FrameSet(kind=FrameKind.FLAT, count=count, filter=name) for name in FILTERS]
    darks = [FrameSet(kind=FrameKind.DARK_FLAT, count=count, filter=name) for name in FILTERS[:dark_flats]]
    bias = FrameSet(kind=FrameKind.BIAS, count=20)
    return Settings.model_validate(
        {
            **base.model_dump(),
            "panel": PanelSettings(device=base.panel.device),
            "flats": FlatSettings(source="sky"),
            "site": site,
            "sets": (bias, *flats, *darks),
        }
    )


def under(twilight: TwilightModel, seed: int = 1) -> SimulatedRig:
    rig = tiny(load_rig("small"))
    # Hot pixels of this rig saturate in a minute.
    sensor = rig.sensor.model_copy(update={"dark_e_per_s": 0.004, "hot_e_per_s": 0.8, "glow_e_per_s": 0.2})
    return rig.model_copy(update={"twilight": twilight, "seed": seed, "sensor": sensor})


def wasted(night: NightRun) -> dict[str | None, int]:
    """Return the number of test frames and rejected frames per filter."""
    tests = [event.filter for event in night.of(FlatTested)]
    rejected = [str(read_header(Path(event.path))["FILTER"]) for event in night.of(FrameRejected)]
    return {name: [*tests, *rejected].count(name) for name in FILTERS}


def in_order(night: NightRun) -> list[object]:
    """Return the filters in the order in which their flats were shot."""
    return list(dict.fromkeys(read_header(path)["FILTER"] for path in flats_of(night)))


def flats_of(night: NightRun) -> list[Path]:
    return [Path(event.path) for event in night.of(FrameAccepted) if "/flats/" in event.path]


def require_good(night: NightRun, count: int) -> None:
    """Assert that all planned flats exist and lie in the band, and that at most two frames per filter were wasted."""
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    flats = [event for event in night.of(FrameAccepted) if "/flats/" in event.path]
    assert len(flats) == count * len(FILTERS)
    low, high = FlatSettings().band
    bias_adu = 520
    for event in flats:
        signal_adu = event.statistics.level_adu - bias_adu
        assert low * (65535 - bias_adu) < signal_adu + 10
        assert signal_adu - 10 < high * (65535 - bias_adu)
    assert max(wasted(night).values()) <= 2, wasted(night)


async def test_a_dawn_gives_flats_in_the_band_and_masters_without_stars(tmp_path: Path) -> None:
    twilight = TwilightModel(e_per_s=20, doubling_min=3.2, slope=0.005, stars_per_mpx=1000)
    rig = under(twilight)
    night = await run_night(night_of(20, DAWN), rig, tmp_path)
    require_good(night, 20)
    assert in_order(night) == ["L", "R", "Ha"], "the sky becomes too bright for L first"
    exposures_s = [float(read_header(path)["EXPTIME"]) for path in flats_of(night)]
    darks = sorted({float(read_header(path)["EXPTIME"]) for path in night.folder.glob("dark-flats/*/*.fits")})
    assert len(darks) == 3
    assert (darks[0], darks[-1]) == (min(exposures_s), max(exposures_s))
    sensor = Sensor(rig.sensor, rig.seed)
    for slot, name in ((0, "L"), (4, "Ha")):
        (path,) = night.folder.glob(f"masters/MasterFlat_*_{name}.fits")
        master = read_master(path)
        truth = sensor.flat_response(slot) * np.linspace(1 - 0.005, 1 + 0.005, rig.sensor.width)
        errors = (master.mean / (truth / truth.mean()) - 1) * master.mean / master.uncertainty
        # Where a star was clipped, the uncertainty allows for values that are clipped because of noise alone.
        assert 0.87 < np.percentile(np.abs(errors), 68.27) < 1.15
        assert np.mean(np.abs(errors) > 6) < 1e-3, "stars are clipped"
        assert master.header["CFSKY"] is True


@pytest.mark.deep
@pytest.mark.parametrize(("doubling_min", "levelling_min"), [(2.4, None), (4.0, 60.0), (3.0, 40.0)])
@pytest.mark.parametrize("seed", [2, 3])
async def test_dawns_of_any_pace_give_all_flats(
    seed: int, doubling_min: float, levelling_min: float | None, tmp_path: Path
) -> None:
    twilight = TwilightModel(
        e_per_s=20, doubling_min=doubling_min, levelling_min=levelling_min, slope=0.005, stars_per_mpx=1000
    )
    require_good(await run_night(night_of(20, DAWN), under(twilight, seed), tmp_path), 20)


async def test_at_dusk_the_filter_with_the_lowest_throughput_comes_first(tmp_path: Path) -> None:
    twilight = TwilightModel(e_per_s=4e6, doubling_min=-3.2, stars_per_mpx=100)
    night = await run_night(night_of(6, DUSK, dark_flats=1), under(twilight), tmp_path)
    require_good(night, 6)
    assert in_order(night) == ["Ha", "R", "L"]


async def test_a_sky_that_is_too_bright_from_the_start_ends_the_step_with_a_reason(tmp_path: Path) -> None:
    twilight = TwilightModel(e_per_s=4e6, doubling_min=3.2)
    night = await run_night(night_of(6, DAWN, dark_flats=1), under(twilight), tmp_path)
    assert night.outcome is NightOutcome.INCOMPLETE
    failed = [event.reason for event in night.of(StepEnded) if event.outcome is StepOutcome.FAILED]
    assert failed == [reason for reason in failed if "L: the sky is too bright" in reason]
    assert len(failed) == 1
    assert not flats_of(night)
