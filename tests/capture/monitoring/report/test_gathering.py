"""The report of a night from its events, and its verdict."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from coldframe.capture.events.kinds import (
    CameraMeasured,
    FlatTested,
    FlatTuned,
    SetResized,
)
from coldframe.capture.events.values import (
    NightOutcome,
    PlannedStep,
    Severity,
    StepOutcome,
    StepType,
)
from coldframe.capture.monitoring.report.contents import Growth, NightReport, NightState, Reading, SetState
from coldframe.capture.monitoring.report.gathering import READINGS, gather, relative, thinned
from coldframe.capture.planning.night_plan import shoot_step
from coldframe.capture.steps import SkyMasterStep, SkyStep
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from tests.capture.monitoring.report.stories import BEGAN, BIAS, DARK, FLAT, TUNE, Story, whole_night


def report_of(story: Story, *, is_running: bool = False) -> NightReport:
    return gather(story.events, zone=UTC, is_running=is_running)


def troubled_night() -> Story:
    """Return a night on which the panel stays dark and light falls on a dark."""
    story = Story().start().step(1).temperature(15.0).wait(60).temperature(-10.0).done(1)
    story.set_of(2, FrameKind.BIAS, "bias", 0.0).step(3).expose(3, 1.0, FrameKind.FLAT).wait(2)
    story.add(FlatTested, 3, "Ha", 1.0, 120, 510.0, 500.0, 26000.0, 20000.0, 32000.0, 0.0, "too faint")
    story.done(3, StepOutcome.FAILED, "the panel gave no light. Is it lit?")
    story.step(4).done(4, StepOutcome.SKIPPED, "no exposure was found for its flats").step(5)
    for index in range(1, 4):
        story.expose(5, 10.0).wait(11).accept(5, index, f"dark_{index}.fits").grow(5, index, 9.0)
        if index == 1:
            story.expose(5, 10.0).wait(11).reject(5, "dark_bad.fits", "light fell on it")
    return story.master(5, "dark", 3).done(5).step(6).wait(20).done(6)


def test_a_complete_night() -> None:
    report = report_of(whole_night())
    assert report.verdict.sentence == "All 3 masters were made. The rig is safe."
    assert (report.verdict.state, report.verdict.safe) == (NightState.COMPLETE, True)
    assert [(made.title, made.state, made.accepted, made.planned) for made in report.sets] == [
        (title, SetState.MADE, 3, 3) for title in ("bias", "flat Ha", "dark 10 s")
    ]
    assert (report.masters_made, report.masters_planned) == (3, 3)
    assert (report.frames_accepted, report.frames_rejected) == (9, 0)
    assert report.sets[2].masters[0].path == "masters/dark.fits"
    assert report.sets[0].growth[0] == Growth(1, None)


def test_a_missing_set_is_reported_with_its_root_cause() -> None:
    story = troubled_night().end(NightOutcome.INCOMPLETE, "missing: flat Ha (no exposure)")
    report = report_of(story)
    wanted = "2 of 3 masters were made. Missing: flat Ha (the panel gave no light). The rig is safe."
    assert report.verdict.sentence == wanted
    flat = report.sets[1]
    assert (flat.state, flat.reason) == (SetState.MISSING, "the panel gave no light. Is it lit?")
    assert report.tunings[0].reason == "the panel gave no light. Is it lit?"
    assert [test.level_adu for test in report.tunings[0].tests] == [510.0]


def test_a_rejected_frame_keeps_its_place_and_has_a_reason_but_no_figures() -> None:
    dark = report_of(troubled_night()).sets[2]
    assert [bool(frame.rejected) for frame in dark.frames] == [False, True, False, False]
    assert (dark.accepted, dark.rejected) == (3, 1)
    bad = dark.frames[1]
    assert (bad.path, bad.rejected, bad.level_adu) == ("quarantine/dark_bad.fits", "light fell on it", None)
    assert bad.sensor_c == -10.0


def test_a_rig_that_is_not_safe_is_reported_with_the_reason() -> None:
    lamp = "Panel did not put its lamp out: no answer. Look after it by hand."
    story = whole_night()
    story.events.pop()
    story.warn(lamp, Severity.ERROR).end(NightOutcome.INCOMPLETE, "all planned masters were made", lamp)
    report = report_of(story)
    assert report.verdict.sentence == f"All 3 masters were made. The rig is NOT safe: {lamp}"
    assert report.verdict.safe is False
    assert [remark.text for remark in report.remarks] == [f"error: {lamp}"]


def test_a_night_that_broke_off_is_reported_with_time_and_step() -> None:
    story = Story().start().step(1).wait(60).done(1).set_of(2, FrameKind.BIAS, "bias", 0.0).step(5).wait(900)
    report = report_of(story.temperature(-10))
    assert report.verdict.sentence == (
        "The night stopped unexpectedly at 04:16, during dark 10 s; 1 of 3 masters was made. "
        "It is unknown whether the rig is safe: run “coldframe safe”."
    )
    assert {made.reason for made in report.sets[1:]} == {"the night ended before the set was finished"}
    assert (report.verdict.state, report.verdict.safe) == (NightState.BROKEN_OFF, None)


def test_a_running_night_is_reported_as_running() -> None:
    story = Story().start().step(1).wait(60).done(1).set_of(2, FrameKind.BIAS, "bias", 0.0)
    report = report_of(story, is_running=True)
    assert report.verdict.sentence == "The night is still running: 1 of 3 masters were made by 04:01."
    assert (report.sets[1].state, report.sets[1].reason) == (SetState.NOT_YET, "")


@pytest.mark.parametrize(
    ("outcome", "result", "opening"),
    [
        (NightOutcome.INTERRUPTED, "ended by request", "The night was ended by request. "),
        (
            NightOutcome.ABORTED,
            "/nights: no space left",
            "The night was aborted: /nights: no space left. ",
        ),
    ],
)
def test_the_verdict_starts_with_an_early_end(outcome: NightOutcome, result: str, opening: str) -> None:
    report = report_of(Story().start((BIAS,)).step(2).done(2, StepOutcome.SKIPPED, "stopped").end(outcome, result))
    assert report.verdict.sentence == f"{opening}No master was made. Missing: bias (stopped). The rig is safe."


def test_a_master_from_fewer_frames_is_named() -> None:
    story = Story().start((DARK,)).step(5).expose(5, 10).wait(11).accept(5, 1, "a").master(5, "dark", 1)
    story.done(5, StepOutcome.FAILED, "given up").end(NightOutcome.INCOMPLETE, "missing: dark")
    report = report_of(story)
    assert report.sets[0].state is SetState.SHORT
    wanted = "The one planned master was made, with fewer frames than planned for dark 10 s. The rig is safe."
    assert report.verdict.sentence == wanted


def test_a_set_that_was_skipped_for_lack_of_time() -> None:
    story = Story().start((DARK,)).add(SetResized, 5, 0, 0.0, "as the last frame must be in by 06:30").step(5)
    story.done(5, StepOutcome.SKIPPED, "no time").end(NightOutcome.INCOMPLETE, "missing: dark")
    assert report_of(story).sets[0].reason == "skipped, as the last frame must be in by 06:30"


def test_a_resumed_night_is_one_night_and_each_frame_counts_once() -> None:
    story = Story().start().step(1).wait(60).done(1).set_of(2, FrameKind.BIAS, "bias", 0.0)
    story.step(5).expose(5, 10).wait(11).accept(5, 1, "dark_1.fits").grow(5, 1, None).temperature(-10)
    # The second run has other step numbers, and reports the frames on the disk again.
    rest = tuple(replace(step, number=number) for number, step in enumerate((TUNE, FLAT, DARK), start=1))
    story.wait(300).start(rest).step(1).done(1).set_of(2, FrameKind.FLAT, "flat", 2.0).step(3)
    story.accept(3, 1, "dark_1.fits").grow(3, 1, None)
    for index in (2, 3):
        story.expose(3, 10).wait(11).accept(3, index, f"dark_{index}.fits").grow(3, index, 9.0 / index)
    story.master(3, "dark", 3).done(3).end(NightOutcome.COMPLETE, "all planned masters were made")
    report = report_of(story)
    assert report.verdict.sentence == "All 3 masters were made. The rig is safe."
    assert [made.title for made in report.sets] == ["bias", "flat Ha", "dark 10 s"]
    dark = report.sets[2]
    assert [frame.path for frame in dark.frames] == ["dark_1.fits", "dark_2.fits", "dark_3.fits"]
    assert report.frames_accepted == 9
    assert [grown.frames for grown in dark.growth] == [1, 2, 3]
    assert len(report.runs) == 2
    assert report.runs[0].outcome is None
    assert report.time.spent.lost_s == 300


def test_sets_that_are_alike_are_kept_apart() -> None:
    twice = tuple(replace(DARK, number=number) for number in (1, 2))
    story = Story().start(twice).set_of(1, FrameKind.DARK, "warm", 10.0).set_of(2, FrameKind.DARK, "cold", 10.0)
    assert [made.masters[0].path for made in report_of(story).sets] == ["masters/warm.fits", "masters/cold.fits"]


def test_twilight_flats_are_found_by_their_folder() -> None:
    settings = load_settings(example_night("small"))
    flats = tuple(shoot_step(each, settings) for each in settings.sets if each.kind is FrameKind.FLAT)
    sky, combining = SkyStep(flats, 0), SkyMasterStep(flats[1])
    plan = (
        PlannedStep(1, sky.title, FrameKind.FLAT, None, 4, None, 60.0, StepType.SKY_FLATS),
        PlannedStep(2, combining.title, None, combining.flat.filter, 0, None, 5.0, StepType.SKY_MASTER),
    )
    story = Story().start(plan).step(1)
    for index, name in enumerate(("L", "Ha", "Ha"), start=1):
        story.expose(1, 2.0, FrameKind.FLAT).wait(3).accept(1, index, f"flats/G100_{name}/flat_{index}.fits", 2.0)
    report = report_of(story.done(1).step(2).master(2, "flat", 2).done(2))
    (flat,) = report.sets
    assert (flat.title, flat.accepted, flat.state) == ("flat Ha", 2, SetState.MADE)


def test_the_latest_figures_of_each_camera_setting_count() -> None:
    story = whole_night()
    for gain, e_per_adu in ((100.0, 0.2), (100.0, 0.25), (0.0, 1.0)):
        story.add(CameraMeasured, "Camera", "/r.json", gain, e_per_adu, 1.5, 65535.0, None, 0.001, ((100.0, 20.0),), ())
    assert [(each.gain, each.e_per_adu) for each in report_of(story).cameras] == [(100.0, 0.25), (0.0, 1.0)]


def test_a_tuning_is_reported_with_its_tests() -> None:
    story = Story().start().step(3)
    story.add(FlatTested, 3, "Ha", 1.0, 120, 26000.0, 500.0, 26000.0, 20000.0, 32000.0, 0.0, "good")
    story.add(FlatTuned, 3, "Ha", 1.0, 120, 1, 65535.0).done(3)
    (tuning,) = report_of(story).tunings
    assert (tuning.title, tuning.exposure_s, tuning.brightness, len(tuning.tests)) == ("flat Ha", 1.0, 120, 1)


def test_thinned_readings_keep_the_extremes() -> None:
    story = Story()
    readings = []
    for second in range(36_000):
        readings.append(Reading(story.now, -10.0 + (40.0 if second == 20_000 else 0.001 * (second % 7)), -10.0, 50.0))
        story.wait(1)
    kept = list(thinned(readings))
    assert len(kept) <= 2 * READINGS + 2
    assert max(reading.sensor_c or 0 for reading in kept) == 30.0
    assert kept == sorted(kept, key=lambda reading: reading.at)
    assert list(thinned(readings[:1])) == readings[:1]


def test_paths_outside_the_folder_stay_absolute() -> None:
    assert relative("/nights/1/darks/a.fits", "/nights/1") == "darks/a.fits"
    assert relative("/nights/1/../../etc/passwd", "/nights/1") == "/nights/1/../../etc/passwd"
    assert relative("/other/a.fits", "/nights/1") == "/other/a.fits"


def test_times_are_those_of_the_journal() -> None:
    report = report_of(whole_night())
    assert report.began == BEGAN == datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
    assert (report.ended - report.began).total_seconds() == report.time.length_s


def test_an_accepted_frame_that_is_quarantined_later_counts_as_rejected() -> None:
    story = Story().start().step(5)
    for index in (1, 2):
        story.expose(5, 10).wait(11).accept(5, index, f"darks/dark_{index:04d}.fits", level_adu=900.0)
    story.reject(5, "dark_0001.fits", "light").reject(5, "dark_0002-2.fits", "light")
    for index in (1, 2, 3):
        story.expose(5, 10).wait(11).accept(5, index, f"darks/dark_{index:04d}.fits", level_adu=500.0)
    report = gather(story.master(5, "dark", 3).done(5).end(NightOutcome.COMPLETE, "done").events)
    dark = next(made for made in report.sets if made.title == "dark 10 s")
    assert (dark.accepted, dark.rejected) == (report.frames_accepted, report.frames_rejected) == (3, 2)
    assert [each.level_adu for each in dark.frames if not each.rejected] == [500.0] * 3
