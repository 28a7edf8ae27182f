"""Nights that turn a rotator to the angles of their flats, and back at the end."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldframe.calibration.combining.verify import recombined
from coldframe.calibration.files.frame_file import read_header
from coldframe.calibration.frames.matching import best_master
from coldframe.calibration.frames.setup import FrameSetup, OpticalTrain, setup_of
from coldframe.calibration.masters.reading import read_master
from coldframe.capture.events.kinds import (
    ExposureStarted,
    FrameRejected,
    MasterWritten,
    NightStarted,
    Notice,
    StepEnded,
)
from coldframe.capture.events.rotator import RotatorTurned
from coldframe.capture.events.values import NightOutcome, StepOutcome
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import RotatorModel
from coldframe.config.tables.rig import RotatorSettings
from coldframe.config.tables.sets import FrameSet
from coldframe.devices.camera import Frame
from coldframe.devices.errors import DeviceLostError, DeviceTimeoutError, SettingRefusedError
from coldframe.devices.rig import Rig
from tests.nights.nights import NightRun, files_in, run_night
from tests.nights.test_resuming import ended_run, nth
from tests.nights.test_troubled_nights import SMALL, Rigged, Wrapped, short

pytestmark = pytest.mark.looptime

FOUND_DEG = 30.0
TURNING = SMALL.model_copy(update={"rotator": RotatorModel(found_deg=FOUND_DEG)})


def two_angles(first_deg: float = 100.0, second_deg: float = 200.0) -> Settings:
    """Return a night with flats of one filter at two angles, biases and one dark."""
    settings = short()
    sets = [each for each in settings.sets if each.kind is FrameKind.BIAS]
    sets += [each for each in settings.sets if each.kind is FrameKind.DARK][:1]
    for angle_deg in (first_deg, second_deg):
        for kind in (FrameKind.FLAT, FrameKind.DARK_FLAT):
            sets.append(FrameSet.model_validate({"kind": kind, "count": 6, "filter": "L", "rotator_deg": angle_deg}))
    tables = settings.model_dump() | {"sets": [each.model_dump() for each in sets]}
    return Settings.model_validate(tables | {"rotator": RotatorSettings(device="Coldframe Rotator").model_dump()})


class Meddling:
    """Keeps the rig of a night, with a rotator that `wrap` may replace."""

    rig: Rig

    def __init__(self, wrap: Callable[[Any], Any] = lambda rotator: rotator) -> None:
        self._wrap = wrap

    def __call__(self, rig: Rig) -> Rig:
        self.rig = rig
        return replace(rig, rotator=self._wrap(rig.rotator))

    @property
    def angle_deg(self) -> float | None:
        assert self.rig.rotator is not None
        return self.rig.rotator.angle_deg


class Stuck(Wrapped):
    """A rotator that does not reach some angles."""

    never_deg = (100.0,)
    error: type[Exception] = DeviceTimeoutError
    tries = 0

    async def turn_to(self, angle_deg: float) -> None:
        if angle_deg in self.never_deg:
            self.tries += 1
            raise self.error(self.inner.name, f"did not reach angle {angle_deg:g} deg")
        await self.inner.turn_to(angle_deg)


class Refusing(Stuck):
    """A rotator that refuses some angles."""

    error = SettingRefusedError


class StuckAtEnd(Stuck):
    """A rotator that does not turn back."""

    async def restore(self) -> None:
        raise DeviceTimeoutError(self.inner.name, "did not reach angle 30 deg within 180 s")


class Vanishing(Wrapped):
    """A rotator that vanishes at its second turn."""

    turns = 0

    @property
    def is_ready(self) -> bool:
        return self.turns < 2

    async def ensure_ready(self) -> None:
        if not self.is_ready:
            raise DeviceLostError(self.inner.name, "is away")

    async def turn_to(self, angle_deg: float) -> None:
        self.turns += 1
        await self.ensure_ready()
        await self.inner.turn_to(angle_deg)

    async def restore(self) -> None:
        await self.ensure_ready()


class Moved(Wrapped):
    """A rotator that another client moves away during the third flat at an angle."""

    looks = 0
    is_moved = False
    turns_back = 0

    @property
    def is_ready(self) -> bool:
        # The tuner and each flat look after their exposure; this is one of the flats.
        self.looks += self.inner.commanded_deg is not None
        if self.looks == 12:
            self.is_moved = True
        return not self.is_moved

    async def ensure_ready(self) -> None:
        if self.is_moved:
            self.turns_back += 1
            self.is_moved = False


def flats(night: NightRun, angle: str) -> list[Path]:
    return files_in(night.folder, f"flats/*{angle}*/*.fits")


def master_flats(night: NightRun) -> dict[Path, FrameSetup]:
    return {path: setup_of(read_header(path)) for path in files_in(night.folder, "masters/MasterFlat*.fits")}


def failed(night: NightRun) -> dict[str, str]:
    (started,) = night.of(NightStarted)
    titles = {step.number: step.title for step in started.steps}
    return {titles[end.step]: end.reason for end in night.of(StepEnded) if end.outcome is not StepOutcome.DONE}


async def test_flats_are_shot_at_each_angle_and_the_rotator_turns_back(tmp_path: Path) -> None:
    meddling = Meddling()
    night = await run_night(two_angles(), TURNING, tmp_path, meddling)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    for angle_deg in (100.0, 200.0):
        headers = [read_header(path) for path in flats(night, f"_{angle_deg:g}deg_")]
        assert {(header["ROTATANG"], header["CFROTANG"]) for header in headers} == {(angle_deg, angle_deg)}
        assert len(headers) == 6
    assert [path.name.split("_")[-2:] for path in master_flats(night)] == [["100deg", "L.fits"], ["200deg", "L.fits"]]
    assert len([path for path in (tmp_path / "library").rglob("*.fits") if "deg_L" in path.name]) == 2
    # Darks do not depend on the angle, so their names do not contain it.
    assert not files_in(night.folder, "*darks/*deg*")
    assert not files_in(night.folder, "dark-flats/*deg*")
    turned = [(event.angle_deg, event.found_deg) for event in night.of(RotatorTurned)]
    assert turned == [(None, 30.0), (100.0, 30.0), (None, 30.0), (200.0, 30.0), (30.0, None)]
    assert meddling.angle_deg == FOUND_DEG


def exposures_of(night: NightRun, kind: FrameKind, angle_deg: float) -> list[ExposureStarted]:
    (started,) = night.of(NightStarted)
    (step,) = [each for each in started.steps if each.kind is kind and each.rotator_deg == angle_deg]
    return [event for event in night.of(ExposureStarted) if event.step == step.number]


def with_dark_flats() -> Settings:
    """Return a night at two angles whose dark flats are all shot, although a bias could replace them."""
    settings = two_angles()
    return settings.model_copy(update={"flats": settings.flats.model_copy(update={"pedestal": "dark-flat"})})


@pytest.mark.parametrize(("settings", "frames"), [(with_dark_flats(), 6), (two_angles(), 5)], ids=["all", "compared"])
async def test_dark_flats_are_shot_once_for_all_angles(tmp_path: Path, settings: Settings, frames: int) -> None:
    night = await run_night(settings, TURNING, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    assert len(exposures_of(night, FrameKind.DARK_FLAT, 100.0)) == frames
    assert exposures_of(night, FrameKind.DARK_FLAT, 200.0) == []
    assert len(files_in(night.folder, "dark-flats/*/*.fits")) == frames
    assert any(
        f"dark flat L at 200 deg: reused {frames} dark flats of another rotator angle" in text
        for text in notices(night)
    )
    dark_flats = [read_header(path) for path in files_in(night.folder, "masters/MasterDarkFlat*.fits")]
    flats_of = [read_header(path) for path in master_flats(night)]
    assert (len(dark_flats), len(flats_of)) == (1, 2)
    assert len(night.of(MasterWritten)) == len(settings.sets)
    assert len({header["EXPTIME"] for header in (*dark_flats, *flats_of)}) == 1
    for master in files_in(night.folder, "masters/*.fits"):
        assert recombined(master, night_frames(night)).equal
    assert not night.of(FrameRejected)


def night_frames(night: NightRun) -> dict[str, Path]:
    return {path.name: path for path in files_in(night.folder, "*/*/*.fits")}


async def test_dark_flats_of_another_exposure_are_not_shared(tmp_path: Path) -> None:
    """The lamp becomes four times fainter between the angles, so that the flats need another exposure."""

    class Fading(Wrapped):
        is_faint = False

        async def turn_to(self, angle_deg: float) -> None:
            await self.inner.turn_to(angle_deg)
            if angle_deg == 200.0 and not self.is_faint:
                self.is_faint = True
                panel = meddling.rig.camera.telescope.panel  # type: ignore[attr-defined]  # of the simulated camera
                panel.model = panel.model.model_copy(update={"full_e_per_s": panel.model.full_e_per_s / 4})

    meddling = Meddling(Fading)
    night = await run_night(with_dark_flats(), TURNING, tmp_path, meddling)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    assert len(exposures_of(night, FrameKind.DARK_FLAT, 200.0)) == 6
    for master in master_flats(night):
        header = read_header(master)
        subtracted = read_header(master.with_name(str(header["CFSUBTR"])))
        assert subtracted["EXPTIME"] == header["EXPTIME"]
    assert len({read_header(path)["EXPTIME"] for path in master_flats(night)}) == 2


class LeakingLater(Wrapped):
    """A camera into which light leaks after its third dark flat."""

    dark_flats = 0

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame: Frame = await self.inner.expose(kind, exposure_s)
        self.dark_flats += kind is FrameKind.DARK_FLAT
        if kind is FrameKind.DARK_FLAT and self.dark_flats > 3:
            return replace(frame, pixels=frame.pixels + np.uint16(20_000))
        return frame


async def test_dark_flats_of_another_angle_stay_where_they_are_if_the_set_fails(tmp_path: Path) -> None:
    settings = with_dark_flats()
    few = [
        each.model_copy(update={"count": 3}) if (each.kind, each.rotator_deg) == (FrameKind.DARK_FLAT, 100.0) else each
        for each in settings.sets
    ]
    rigged = Rigged(camera=LeakingLater)
    night = await run_night(settings.model_copy(update={"sets": tuple(few)}), TURNING, tmp_path, rigged)
    assert "dark flat L at 200 deg" in failed(night)
    assert "dark flat L at 100 deg" not in failed(night)
    assert len(files_in(night.folder, "dark-flats/*/*.fits")) == 3
    (master,) = files_in(night.folder, "masters/MasterDarkFlat*.fits")
    assert recombined(master, night_frames(night)).equal


async def test_dark_flats_without_a_setpoint_are_not_shared(tmp_path: Path) -> None:
    settings = with_dark_flats()
    uncooled = settings.model_copy(update={"camera": settings.camera.model_copy(update={"setpoint_c": None})})
    night = await run_night(uncooled, TURNING, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    assert len(exposures_of(night, FrameKind.DARK_FLAT, 200.0)) == 6


async def test_a_resumed_night_shares_the_dark_flats_again(tmp_path: Path) -> None:
    await ended_run(with_dark_flats(), TURNING, tmp_path, nth(FrameKind.FLAT, 8))
    night = await run_night(with_dark_flats(), TURNING, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    assert not [event for event in night.of(ExposureStarted) if event.kind is FrameKind.DARK_FLAT]
    assert len(files_in(night.folder, "dark-flats/*/*.fits")) == 6
    for master in files_in(night.folder, "masters/*.fits"):
        assert recombined(master, night_frames(night)).equal


async def test_each_light_gets_the_flat_of_its_angle_or_none(tmp_path: Path) -> None:
    night = await run_night(two_angles(), TURNING, tmp_path)
    masters = master_flats(night)
    first, second = masters
    light = replace(masters[first], kind=FrameKind.LIGHT)
    for angle_deg, expected in ((100.4, first), (199.6, second), (150.0, None)):
        train = replace(light.train, rotation_deg=angle_deg)
        match = best_master(replace(light, train=train), masters, FrameKind.FLAT)
        assert match.path == expected
        assert (match.refusal == "") is (expected is not None)
    match = best_master(replace(light, train=replace(light.train, rotation_deg=150.0)), masters, FrameKind.FLAT)
    assert "rotator angle differs by 50 deg" in match.refusal
    unknown = best_master(replace(light, train=OpticalTrain(light.train.telescope)), masters, FrameKind.FLAT)
    assert any("rotator angle" in caveat for caveat in unknown.caveats)


async def test_the_shadows_of_the_telescope_turn_with_the_rotator(tmp_path: Path) -> None:
    night = await run_night(two_angles(), TURNING, tmp_path)
    one, other = (read_master(path).mean for path in master_flats(night))
    assert np.std(one / other) > 5 * np.std(one[:, 1:] - one[:, :-1]) / 10
    assert np.abs(one / other - 1).max() > 0.01


async def test_a_rotator_that_never_arrives_costs_its_flats_after_two_retries(tmp_path: Path) -> None:
    meddling = Meddling(Stuck)
    night = await run_night(two_angles(), TURNING, tmp_path, meddling)
    assert night.outcome is NightOutcome.INCOMPLETE
    assert set(failed(night)) == {"tune flat L at 100 deg", "dark flat L at 100 deg", "flat L at 100 deg"}
    assert "did not reach angle 100 deg (3 times in a row)" in failed(night)["tune flat L at 100 deg"]
    assert [path.name.split("_")[-2] for path in master_flats(night)] == ["200deg"]
    assert len(night.of(MasterWritten)) == len(two_angles().sets) - 2
    assert meddling.angle_deg == FOUND_DEG


async def test_a_refused_angle_is_not_tried_again(tmp_path: Path) -> None:
    wrapped: list[Refusing] = []

    def refusing(rotator: Any) -> Refusing:
        wrapped.append(Refusing(rotator))
        return wrapped[0]

    night = await run_night(two_angles(), TURNING, tmp_path, Meddling(refusing))
    assert night.outcome is NightOutcome.INCOMPLETE
    assert wrapped[0].tries == 1
    assert [path.name.split("_")[-2] for path in master_flats(night)] == ["200deg"]


async def test_darks_are_shot_although_the_rotator_vanished(tmp_path: Path) -> None:
    night = await run_night(two_angles(), TURNING, tmp_path, Meddling(Vanishing))
    assert night.outcome is NightOutcome.INCOMPLETE
    made = {Path(event.path).name.split("_")[0] for event in night.of(MasterWritten)}
    assert {"MasterBias", "MasterDark"} <= made
    assert any("was not turned back to 30 deg" in notice for notice in notices(night))


async def test_a_rotator_that_another_client_moves_costs_one_frame_and_is_turned_back(tmp_path: Path) -> None:
    wrapped: list[Moved] = []

    def moved(rotator: Any) -> Moved:
        wrapped.append(Moved(rotator))
        return wrapped[0]

    night = await run_night(two_angles(), TURNING, tmp_path, Meddling(moved))
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    assert wrapped[0].turns_back == 1
    assert any("was lost or changed during an exposure" in notice for notice in notices(night))
    assert len(files_in(night.folder, "quarantine/*.fits")) == 1
    assert not night.of(FrameRejected)
    assert {angle: len(flats(night, angle)) for angle in ("_100deg_", "_200deg_")} == {"_100deg_": 6, "_200deg_": 6}


async def test_a_rotator_that_does_not_turn_back_is_a_warning(tmp_path: Path) -> None:
    night = await run_night(two_angles(200.0, 250.0), TURNING, tmp_path, Meddling(StuckAtEnd))
    assert night.outcome is NightOutcome.COMPLETE
    assert [text for text in notices(night) if "turned back" in text] == [
        (
            "Coldframe Rotator was not turned back to 30 deg, its angle before the night: Coldframe Rotator: did "
            "not reach angle 30 deg within 180 s"
        )
    ]


async def test_a_resumed_night_keeps_the_flats_of_each_angle_and_the_angle_before_the_night(tmp_path: Path) -> None:
    class NotTurnedBack(Wrapped):
        """A rotator that stays where a run that died left it."""

        async def restore(self) -> None:
            raise DeviceTimeoutError(self.inner.name, "died")

    await ended_run(two_angles(), TURNING, tmp_path, nth(FrameKind.FLAT, 8), Meddling(NotTurnedBack))
    left = TURNING.model_copy(update={"rotator": RotatorModel(found_deg=200.0)})
    meddling = Meddling()
    night = await run_night(two_angles(), left, tmp_path, meddling)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    assert len(master_flats(night)) == 2
    assert {angle: len(flats(night, angle)) for angle in ("_100deg_", "_200deg_")} == {"_100deg_": 6, "_200deg_": 6}
    assert meddling.angle_deg == FOUND_DEG


async def test_a_slightly_different_angle_keeps_the_flats_and_the_tuning_of_the_earlier_run(tmp_path: Path) -> None:
    await ended_run(two_angles(), TURNING, tmp_path, nth(FrameKind.FLAT, 8))
    night = await run_night(two_angles(100.1), TURNING, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    assert {angle: len(flats(night, angle)) for angle in ("_100deg_", "_100.1deg_")} == {"_100deg_": 6, "_100.1deg_": 0}
    assert len(master_flats(night)) == 2


async def test_a_night_without_the_table_leaves_the_rotator_alone(tmp_path: Path) -> None:
    settings = short()
    sets = tuple(each for each in settings.sets if each.filter in {None, "L"})
    meddling = Meddling()
    night = await run_night(settings.model_copy(update={"sets": sets}), TURNING, tmp_path, meddling)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    assert not night.of(RotatorTurned)
    assert meddling.angle_deg == FOUND_DEG
    # The camera's driver states the angle nevertheless, but the names of the set and its master do not contain it.
    (path, setup), *others = master_flats(night).items()
    assert (setup.train.rotation_deg, others) == (FOUND_DEG, [])
    assert "deg" not in path.name
    assert not files_in(night.folder, "flats/*deg*")


def notices(night: NightRun) -> list[str]:
    return [notice.text for notice in night.of(Notice)]
