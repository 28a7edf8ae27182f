"""Nights whose run ended early. The next run makes the rig safe, counts the frames on disk, and shoots the rest."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from astropy.io import fits

from coldframe.calibration.combining.verify import recombined
from coldframe.calibration.files.frame_file import read_pixels
from coldframe.calibration.stacking.accumulator import pixel_digest
from coldframe.capture.events.kinds import (
    Event,
    ExposureStarted,
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    NightStarted,
    Notice,
    StepEnded,
)
from coldframe.capture.events.values import NightOutcome, StepOutcome
from coldframe.capture.planning.light_words import LightWords
from coldframe.capture.storage.journal import Journal
from coldframe.capture.storage.night_folder import FOLDERS, NightFolder
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig, TwilightModel, load_rig
from coldframe.devices.camera import Frame
from coldframe.devices.rig import Rig
from tests.capture.scene import Delivering
from tests.nights.nights import START, NightRun, files_in, run_night, tiny
from tests.nights.test_sky_flats import DAWN, under
from tests.nights.test_sky_flats import night_of as night_of_sky
from tests.nights.test_troubled_nights import SMALL, Rigged, short

pytestmark = pytest.mark.looptime

TWILIGHT = TwilightModel(e_per_s=20, doubling_min=3.2)

Stop = Callable[[Event], bool]


async def ended_run(
    settings: Settings,
    rig: SimulatedRig,
    folder: Path,
    stop: Stop,
    meddle: Callable[[Rig], Rig] = lambda rig: rig,
    *,
    words: LightWords | None = None,
) -> list[Event]:
    """Run a night until an event, and leave its files as they are then; return the events."""
    seen: list[Event] = []
    running: asyncio.Task[NightRun]

    def watch(event: Event) -> None:
        if stop(event) and not any(map(stop, seen)):
            running.cancel()
        seen.append(event)

    running = asyncio.create_task(run_night(settings, rig, folder, meddle, hear=watch, words=words))
    with pytest.raises(asyncio.CancelledError):
        await running
    return seen


def nth(kind: FrameKind, number: int) -> Stop:
    """Stop at the n-th accepted frame of a kind."""
    count = 0

    def stop(event: Event) -> bool:
        nonlocal count
        if not isinstance(event, FrameAccepted) or f"/{FOLDERS[kind]}/" not in event.path:
            return False
        count += 1
        return count == number

    return stop


def remove(path: str) -> None:
    Path(path).unlink()


def copy(path: Path, to: Path) -> None:
    to.write_bytes(path.read_bytes())


def accepted(events: list[Event]) -> list[str]:
    return [event.path for event in events if isinstance(event, FrameAccepted)]


def assert_whole(night: NightRun, settings: Settings) -> None:
    """Check that all masters exist, each equal to the column sort over its frames, and that no frame counts twice."""
    assert night.outcome is NightOutcome.COMPLETE
    masters = [Path(event.path) for event in night.of(MasterWritten)]
    assert len(masters) == len(settings.sets)
    raw = NightFolder(night.folder).raw_frames()
    for master in masters:
        assert recombined(master, raw).equal
    paths = accepted(night.events)
    assert len(paths) == len(set(paths)) == sum(event.frames for event in night.of(MasterWritten))


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (FrameKind.BIAS, 1),
        (FrameKind.BIAS, 6),
        (FrameKind.DARK_FLAT, 2),
        (FrameKind.FLAT, 1),
        (FrameKind.FLAT, 6),
        (FrameKind.DARK, 3),
        (FrameKind.DARK, 6),
    ],
)
async def test_accepted_frames_count_and_the_rest_is_shot(tmp_path: Path, kind: FrameKind, number: int) -> None:
    settings = short()
    before = await ended_run(settings, SMALL, tmp_path, nth(kind, number))
    files = {path: path.read_bytes() for path in files_in(tmp_path, "20*/*/*/*.fits")}
    rigged = Rigged()
    night = await run_night(settings, SMALL, tmp_path, rigged)
    assert len(files_in(tmp_path, "20*")) == 1
    assert set(accepted(before)) <= set(accepted(night.events))
    done = {event.step for event in before if isinstance(event, StepEnded) and event.outcome is StepOutcome.DONE}
    told = [step for step in night.of(NightStarted)[0].steps if step.kind is not None]
    assert [step.number for step in told if step.estimate_s == 0] == [
        each.number for each in told if each.number in done
    ]
    assert all(path.read_bytes() == content for path, content in files.items())
    assert_whole(night, settings)
    exposed = len(night.of(FrameAccepted)) - len(files)
    assert exposed == len([*files_in(tmp_path, "20*/*/*/*.fits")]) - len(files)
    rigged.assert_safe()


async def test_a_complete_night_is_not_resumed(tmp_path: Path) -> None:
    await run_night(short(), SMALL, tmp_path)
    second = await run_night(short(), SMALL, tmp_path)
    assert len(files_in(tmp_path, "20*")) == 2
    assert not second.of(NightStarted)[0].is_resumed
    assert_whole(second, short())


async def test_after_the_last_frame_nothing_is_exposed_again_and_no_master_written_twice(tmp_path: Path) -> None:
    settings = short()
    darks = sum(1 for each in settings.sets if each.kind is FrameKind.DARK)
    await ended_run(settings, SMALL, tmp_path, nth(FrameKind.DARK, 6 * darks))
    masters = set(files_in(tmp_path, "20*/masters/*.fits"))
    night = await run_night(settings, SMALL, tmp_path)
    assert_whole(night, settings)
    assert night.of(NightStarted)[0].is_resumed
    kinds = [event.kind for event in night.of(ExposureStarted)]
    assert kinds.count(FrameKind.FLAT) == kinds.count(FrameKind.DARK) == 0
    assert masters <= set(files_in(tmp_path, "20*/masters/*.fits"))
    assert len(files_in(tmp_path, "20*/masters/*.fits")) == len(settings.sets)


async def test_the_rig_is_made_safe_before_anything_else(tmp_path: Path) -> None:
    await ended_run(short(), SMALL, tmp_path, nth(FrameKind.FLAT, 3))

    def left_lit(rig: Rig) -> Rig:
        assert rig.panel is not None
        lamp = rig.panel
        connect = rig.panel.connect

        async def connect_lit() -> None:
            await connect()
            await lamp.light_on(200)

        rig.panel.connect = connect_lit  # type: ignore[method-assign]
        return rig

    night = await run_night(short(), SMALL, tmp_path, left_lit)
    assert_whole(night, short())
    first_exposure = night.events.index(night.of(ExposureStarted)[0])
    told = [event.lit for event in night.events[:first_exposure] if hasattr(event, "lit")]
    assert told[0] is True
    assert told[-1] is False


async def test_damaged_and_torn_files_go_to_quarantine_and_are_shot_again(tmp_path: Path) -> None:
    await ended_run(short(), SMALL, tmp_path, nth(FrameKind.DARK, 4))
    (folder,) = files_in(tmp_path, "20*")
    flipped, cut, *_ = sorted((folder / "biases").glob("*/*.fits"))
    content = bytearray(flipped.read_bytes())
    content[-5000] ^= 0x10
    flipped.write_bytes(content)
    cut.write_bytes(cut.read_bytes()[:-4000])
    torn = cut.with_name(".bias_torn.fits.0a1b2c3d.part")
    torn.write_bytes(b"SIMPLE  =")
    night = await run_night(short(), SMALL, tmp_path)
    assert_whole(night, short())
    quarantine = folder / "quarantine"
    for name, reason in [
        (flipped.name, "CHECKSUM is wrong"),
        (cut.name, "truncated"),
        (torn.name[1:], "while the file was being written"),
    ]:
        (kept,) = quarantine.glob(name)
        assert reason in json.loads(kept.with_name(f"{kept.stem}.json").read_text())["reason"]
    assert (quarantine / torn.name[1:]).read_bytes() == b"SIMPLE  ="
    assert files_in(folder, "**/.*.part") == []
    notices = [notice.text for notice in night.of(Notice)]
    assert any(flipped.name in text and "quarantine" in text for text in notices)


async def test_a_missing_frame_is_reported_and_shot_again(tmp_path: Path) -> None:
    before = await ended_run(short(), SMALL, tmp_path, nth(FrameKind.DARK, 4))
    remove(accepted(before)[2])
    night = await run_night(short(), SMALL, tmp_path)
    assert_whole(night, short())
    assert any("was accepted but no longer exists" in notice.text for notice in night.of(Notice))


async def test_frames_of_another_setting_stay_and_do_not_count(tmp_path: Path) -> None:
    await ended_run(short(), SMALL, tmp_path, nth(FrameKind.BIAS, 5))
    other = short()
    other = other.model_copy(update={"camera": other.camera.model_copy(update={"gain": 0.0})})
    night = await run_night(other, SMALL, tmp_path)
    assert_whole(night, other)
    assert len(files_in(night.folder, "biases/*/*.fits")) == 11


async def test_a_copy_of_a_frame_counts_once(tmp_path: Path) -> None:
    await ended_run(short(), SMALL, tmp_path, nth(FrameKind.BIAS, 4))
    (folder,) = files_in(tmp_path, "20*/biases/*")
    first = min(folder.glob("*.fits"))
    first.with_name("bias_copy.fits").write_bytes(first.read_bytes())
    night = await run_night(short(), SMALL, tmp_path)
    assert_whole(night, short())
    assert any("repeated" in event.reason for event in night.of(FrameRejected))


async def test_a_night_that_is_interrupted_again_and_again_completes(tmp_path: Path) -> None:
    settings = short()
    for kind in (FrameKind.BIAS, FrameKind.DARK_FLAT, FrameKind.FLAT, FrameKind.DARK):
        await ended_run(settings, SMALL, tmp_path, nth(kind, 4))
        await ended_run(settings, SMALL, tmp_path, nth(kind, 6))
    night = await run_night(settings, SMALL, tmp_path)
    assert len(files_in(tmp_path, "20*")) == 1
    assert_whole(night, settings)


async def test_an_uncooled_night_keeps_its_parts(tmp_path: Path) -> None:
    settings = load_settings(example_night("uncooled"))
    rig = tiny(load_rig("uncooled"))
    count = sum(each.planned_frames for each in settings.sets if each.kind is FrameKind.DARK)
    await ended_run(settings, rig, tmp_path, nth(FrameKind.DARK, count - 2))
    night = await run_night(settings, rig, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE
    masters = sorted(files_in(night.folder, "masters/*Dark_*.fits"))
    raw = NightFolder(night.folder).raw_frames()
    inputs = [name for master in masters for name in inputs_of(master)]
    assert len(inputs) == len(set(inputs)) == len(files_in(night.folder, "darks/*/*.fits"))
    assert all(recombined(master, raw).equal for master in masters)


async def test_uncooled_darks_of_another_setting_are_a_set_of_their_own(tmp_path: Path) -> None:
    plan = load_settings(example_night("uncooled")).model_dump(mode="json", exclude_none=True)
    dark = {"kind": "dark", "count": 6, "exposure_s": 2.0}
    plan["sets"] = [dark, dark | {"binning": 2}, dark | {"gain": 0.0}]
    night = await run_night(Settings.model_validate(plan, strict=False), tiny(load_rig("uncooled")), tmp_path)
    assert night.outcome is NightOutcome.COMPLETE
    assert sum(event.frames for event in night.of(MasterWritten)) == 18


@pytest.mark.parametrize("left_s", [5, 30, 100])
async def test_frames_on_disk_count_even_if_there_is_no_time_to_shoot_them(tmp_path: Path, left_s: float) -> None:
    settings = short()
    darks = sum(1 for each in settings.sets if each.kind is FrameKind.DARK)
    before = await ended_run(settings, SMALL, tmp_path, nth(FrameKind.DARK, 6 * darks))
    night = await run_night(settings, SMALL, tmp_path, deadline=START + timedelta(seconds=left_s))
    assert set(accepted(before)) == set(accepted(night.events))
    assert_whole(night, settings)


async def test_frames_on_disk_make_a_master_even_if_there_is_no_time_for_the_rest(tmp_path: Path) -> None:
    settings = short()
    before = await ended_run(settings, SMALL, tmp_path, nth(FrameKind.DARK, 5))
    night = await run_night(settings, SMALL, tmp_path, deadline=START + timedelta(seconds=5))
    assert set(accepted(before)) <= set(accepted(night.events))
    assert [event.frames for event in night.of(MasterWritten)][-1] == 5


async def test_a_step_done_with_other_settings_does_not_count_as_done(tmp_path: Path) -> None:
    await ended_run(short(), SMALL, tmp_path, nth(FrameKind.DARK, 6))
    other = short()
    other = other.model_copy(update={"camera": other.camera.model_copy(update={"gain": 0.0})})
    night = await run_night(other, SMALL, tmp_path)
    assert_whole(night, other)
    bias = next(step for step in night.of(NightStarted)[0].steps if step.kind is FrameKind.BIAS)
    exposed = [event for event in night.of(ExposureStarted) if event.step == bias.number]
    assert len(exposed) > bias.count, "whether the camera takes this gain was not looked at"


async def test_a_copy_of_a_sky_flat_counts_once(tmp_path: Path) -> None:
    settings = night_of_sky(8, DAWN)
    before = await ended_run(settings, under(TWILIGHT), tmp_path, nth(FrameKind.FLAT, 4))
    first = Path(next(path for path in accepted(before) if "/flats/" in path))
    copy(first, first.with_name("flat_copy.fits"))
    night = await run_night(settings, under(TWILIGHT), tmp_path)
    digests = [pixel_digest(read_pixels(Path(path))) for path in accepted(night.events)]
    assert len(digests) == len(set(digests))
    assert any("same pixels" in event.reason for event in night.of(FrameRejected))


async def test_a_sky_flat_of_the_earlier_run_that_the_camera_delivers_again_does_not_count_twice(
    tmp_path: Path,
) -> None:
    settings = night_of_sky(8, DAWN)
    before = await ended_run(settings, under(TWILIGHT), tmp_path, nth(FrameKind.FLAT, 4))
    old = read_pixels(Path(next(path for path in accepted(before) if "/flats/" in path)))
    flats = 0

    def deliver(frame: Frame, _number: int) -> Frame:
        nonlocal flats
        flats += frame.kind is FrameKind.FLAT
        return replace(frame, pixels=old) if frame.kind is FrameKind.FLAT and flats == 3 else frame

    def meddle(rig: Rig) -> Rig:
        return replace(rig, camera=Delivering(rig.camera, deliver))

    night = await run_night(settings, under(TWILIGHT), tmp_path, meddle)
    digests = [pixel_digest(read_pixels(Path(path))) for path in accepted(night.events)]
    assert len(digests) == len(set(digests))
    assert digests.count(pixel_digest(old)) == 1
    assert flats > 3


def take(paths: list[Path]) -> dict[str, list[list[tuple[str, object]]]]:
    """Remove masters and return all cards of all their images. DATASUM stands for the pixels.

    Without the gain, which the first run has measured in the end, and so without CHECKSUM.
    """
    told = {}
    for path in paths:
        with fits.open(path, checksum=True) as file:
            cards = [[(card.keyword, card.value) for card in image.header.cards] for image in file]
        told[path.name] = [[card for card in each if card[0] not in {"EGAIN", "CHECKSUM"}] for each in cards]
        path.unlink()
    return told


async def test_a_master_made_again_from_the_frames_is_equal_to_the_last_bit(tmp_path: Path) -> None:
    await ended_run(short(), SMALL, tmp_path, nth(FrameKind.DARK, 3))
    before = take(files_in(tmp_path, "20*/masters/*.fits"))
    assert len(before) == len(short().sets) - 1
    await run_night(short(), SMALL, tmp_path)
    after = take(files_in(tmp_path, "20*/masters/*.fits"))
    assert {name: after[name] for name in before} == before


def inputs_of(master: Path) -> list[str]:
    header = fits.getheader(master)
    return [header[f"IMCOM{number:03d}"] for number in range(1, header["STACKCNT"] + 1)]


async def test_a_night_that_another_run_is_shooting_is_not_resumed(tmp_path: Path) -> None:
    first = await ended_run(short(), SMALL, tmp_path, nth(FrameKind.BIAS, 3))
    before = files_in(tmp_path, "20*/**/*.fits")
    (journal,) = files_in(tmp_path, "20*/journal.jsonl")
    async with Journal(journal):
        night = await run_night(short(), SMALL, tmp_path)
    assert night.folder != journal.parent
    assert files_in(journal.parent, "**/*.fits") == before
    assert not {event.path for event in first if isinstance(event, FrameAccepted)} & {
        event.path for event in night.of(FrameAccepted)
    }
