"""Nights that calibrate their lights with their masters, and find out whether these calibrate cleanly."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coldframe.calibration.diagnosis.findings import Kind
from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.durable import write_durably
from coldframe.calibration.files.frame_file import FrameEncoder, read_header
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.capture.events.kinds import MasterWritten, Notice
from coldframe.capture.events.values import NightOutcome, Severity
from coldframe.capture.events.verification import Cleanness, LightsVerified, Verified
from coldframe.capture.monitoring.report.gathering import gather
from coldframe.capture.planning.read_lights import read_lights
from coldframe.capture.storage.journal_reader import read_journal
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.simulators.cards import driver_cards
from coldframe.simulators.dust import Mote
from coldframe.simulators.sensor import Exposure, Sensor
from tests.nights.nights import START, NightRun, files_in, run_night

pytestmark = pytest.mark.looptime

LIGHTS = 12
SKY_ADU = 1500.0
EXPOSURE_S = 2.0


def rig() -> SimulatedRig:
    """Return a rig whose sensor is large enough for a diagnosis, with much dust."""
    small = load_rig("small")
    sensor = small.sensor.model_copy(update={"width": 640, "height": 480, "dust_motes": 12})
    return small.model_copy(update={"sensor": sensor})


def night() -> Settings:
    """Return a night with the flats of one filter."""
    settings = load_settings(example_night("small"))
    sets = tuple(each.model_copy(update={"count": 20}) for each in settings.sets if each.filter in {None, "L"})
    return settings.model_copy(update={"sets": sets})


class Refocused(Sensor):
    """A sensor behind a telescope whose dust casts its shadows elsewhere."""

    across_px = 9.0

    def _motes(self, place: str, number: int, diameter_px: tuple[float, float]) -> list[Mote]:
        motes = super()._motes(place, number, diameter_px)
        return [replace(each, column=each.column + self.across_px) for each in motes]


def lights_of(sensor: Sensor, simulated: SimulatedRig, folder: Path, count: int = LIGHTS) -> Mapping[Path, FrameSetup]:
    """Write lights of a uniform sky, and return their setups as the planning reads them."""
    folder.mkdir()
    camera = night().camera
    e_per_s = SKY_ADU * sensor.e_per_adu(camera.gain or 0) / EXPOSURE_S
    for number in range(count):
        shot = Exposure(
            number=1_000_000 + number,
            exposure_s=EXPOSURE_S,
            light_e_per_s=e_per_s,
            filter_slot=0,
            sensor_c=-10.0,
            gain=camera.gain or 0,
            offset=camera.offset or 0,
        )
        at = START - timedelta(hours=1, seconds=-60 * number)
        cards = driver_cards(simulated, FrameKind.LIGHT, shot, at, -10.0)
        cards |= {"OFFSET": camera.offset or 0, "SET-TEMP": -10.0}
        path = folder / f"light_{number:03d}.fits"
        write_durably(path, FrameEncoder().encode(sensor.render(shot), [Card(*card) for card in cards.items()]))
    return read_lights(folder, ("Coldframe Camera",)).setups


async def verified(tmp_path: Path, sensor: type[Sensor] = Sensor, settings: Settings | None = None) -> NightRun:
    """Run a night for lights of a large sensor, which are really diagnosed."""
    simulated = rig()
    lights = lights_of(sensor(simulated.sensor, simulated.seed), simulated, tmp_path / "lights")
    return await run_night(settings or night(), simulated, tmp_path / "nights", lights=lights)


def lights_verdict(run: NightRun) -> LightsVerified:
    """Return the last event about the lights."""
    return [event for event in run.of(LightsVerified) if event.frames is Verified.LIGHTS][-1]


def sentence(run: NightRun) -> str:
    """Return the first sentences of the report, from the journal."""
    return gather(read_journal(run.folder / "journal.jsonl")).verdict.sentence


async def test_the_lights_of_a_clean_night_calibrate_clean(tmp_path: Path) -> None:
    run = await verified(tmp_path)
    assert run.outcome is NightOutcome.COMPLETE
    assert [(event.frames, event.cleanness, event.count) for event in run.of(LightsVerified)] == [
        (Verified.FLATS, Cleanness.CLEAN, 2),
        (Verified.LIGHTS, Cleanness.CLEAN, LIGHTS),
    ]
    assert sentence(run).startswith("Your lights calibrate cleanly. All 4 masters were made")
    assert not [notice for notice in run.of(Notice) if notice.severity is not Severity.INFO]


async def test_displaced_shadows_are_reported_before_the_telescope_is_dismantled(tmp_path: Path) -> None:
    run = await verified(tmp_path, Refocused)
    assert run.outcome is NightOutcome.COMPLETE
    event = lights_verdict(run)
    assert event.cleanness is Cleanness.FAULTY
    worst = event.artifacts[0]
    assert (worst.kind, worst.unit, worst.remedy) == (Kind.DUST, "px", Remedy.NEW_FLATS)
    assert worst.size == pytest.approx(9, rel=0.1)
    assert sentence(run).startswith(
        "L: the donuts are displaced by 9 px (3 o'clock): the optical train shifted. Do not dismantle the rig: restore "
        "the focus and rotation of the lights, then run `coldframe run --only flats:L --redo`. All 4 masters were made"
    )
    assert len(run.of(MasterWritten)) == len(night().sets), "new flats of the same focus would not help"
    assert event in list(read_journal(run.folder / "journal.jsonl"))


async def test_flats_with_a_wrong_pedestal_are_combined_with_dark_flats(tmp_path: Path) -> None:
    simulated = rig()
    sensor = simulated.sensor.model_copy(update={"short_exposure_adu": 3000.0, "short_exposure_s": 0.1})
    simulated = simulated.model_copy(update={"sensor": sensor})
    flats = night().flats.model_copy(update={"pedestal": "bias"})
    settings = night().model_copy(update={"flats": flats})
    lights = lights_of(Sensor(sensor, simulated.seed), simulated, tmp_path / "lights")
    run = await run_night(settings, simulated, tmp_path / "nights", lights=lights)
    assert run.outcome is NightOutcome.COMPLETE
    flats_events = [event for event in run.of(LightsVerified) if event.frames is Verified.FLATS]
    assert [(event.cleanness, event.reshoots) for event in flats_events] == [
        (Cleanness.FAULTY, None),
        (Cleanness.FAULTY, Remedy.DARK_FLATS),
        (Cleanness.CLEAN, None),
    ]
    assert flats_events[0].artifacts[0].kind is Kind.OVERCORRECTION
    kinds = {artifact.kind for artifact in lights_verdict(run).artifacts}
    assert kinds <= {Kind.MASTERS}, "only the bias remains above the dark"
    assert len(files_in(run.folder, "flats/*/*.fits")) == 20, "the flats on the disk are combined again"
    library = files_in(tmp_path / "nights" / "library", "*/flats/*.fits")
    assert [str(read_header(path)["CFSUBTR"]).split("_")[0] for path in library] == ["MasterDarkFlat"]
