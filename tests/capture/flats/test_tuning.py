"""Tuning the flats of one filter on a simulated rig, without the rest of a night."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event, FlatTested, FlatTuned, Notice
from coldframe.capture.events.stream import EventStream
from coldframe.capture.flats.learned import FlatKey, LearnedFlats
from coldframe.capture.flats.tuning import FlatTuning
from coldframe.capture.flats.tuning_frames import TuningFrames
from coldframe.capture.night.assembly import night_context, open_night_files
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.session.context import NightContext, StepFailedError
from coldframe.capture.steps import TuneStep
from coldframe.capture.tuner.panel_curve import PROPORTIONAL
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.simulators.devices import simulated_rig
from tests.nights.nights import START, Inline, tiny

pytestmark = pytest.mark.looptime

BIAS_ADU = 500.0


async def ready(folder: Path, rig: SimulatedRig | None = None) -> tuple[NightContext, list[Event]]:
    """Return the context of a night with a connected small rig, and the events that it will publish."""
    asyncio.get_running_loop().set_default_executor(Inline())
    settings, clock, events = load_settings(example_night("small")), NightClock(START), EventStream()
    seen: list[Event] = []
    events.subscribe(seen.append)
    devices = simulated_rig(rig or tiny(load_rig("small")), clock.now)
    await devices.connect()
    files = open_night_files(folder, None, settings, clock.now())
    return night_context(settings, devices, files, events, clock), seen


def first_tuning(context: NightContext) -> TuneStep:
    return next(step for step in plan_night(context.settings) if isinstance(step, TuneStep))


def key_of(context: NightContext, step: TuneStep) -> FlatKey:
    panel = context.rig.panel
    assert panel is not None
    return FlatKey.of(context.rig.camera.name, step.filter, panel.name, step.readout)


async def test_a_filter_is_tuned_its_light_is_learned_and_the_lamp_is_off(tmp_path: Path) -> None:
    context, seen = await ready(tmp_path)
    learned, step = LearnedFlats(tmp_path / "learned.json"), first_tuning(context)
    tuned, curve = await FlatTuning(context, learned, step, 1, BIAS_ADU, PROPORTIONAL).run()
    (result,) = [event for event in seen if isinstance(event, FlatTuned)]
    assert (result.filter, result.exposure_s, result.tests) == (step.filter, tuned.exposure_s, tuned.tests)
    assert len([event for event in seen if isinstance(event, FlatTested)]) == tuned.tests
    assert 0.3 <= tuned.signal_adu / tuned.target.range_adu <= 0.5
    assert curve.points
    known = LearnedFlats.load(tmp_path / "learned.json").recall(key_of(context, step))
    assert known is not None
    assert (known.exposure_s, known.brightness) == (tuned.exposure_s, tuned.brightness)
    assert context.rig.panel is not None
    assert not context.rig.panel.state().lit


async def test_the_next_tuning_starts_from_the_learned_light(tmp_path: Path) -> None:
    context, _ = await ready(tmp_path)
    learned, step = LearnedFlats(tmp_path / "learned.json"), first_tuning(context)
    await FlatTuning(context, learned, step, 1, BIAS_ADU, PROPORTIONAL).run()
    again, _ = await FlatTuning(context, learned, step, 2, BIAS_ADU, PROPORTIONAL).run()
    assert again.tests == 1


async def test_a_result_that_cannot_be_saved_is_reported_and_used(tmp_path: Path) -> None:
    context, seen = await ready(tmp_path)
    (tmp_path / "file").touch()
    learned = LearnedFlats(tmp_path / "file" / "learned.json")
    step = first_tuning(context)
    tuned, _ = await FlatTuning(context, learned, step, 1, BIAS_ADU, PROPORTIONAL).run()
    assert learned.recall(key_of(context, step)) is not None
    notices = [event.text for event in seen if isinstance(event, Notice)]
    assert any("was not saved for later nights" in text for text in notices)
    assert tuned.tests >= 1


async def test_without_a_panel_the_step_fails(tmp_path: Path) -> None:
    context, _ = await ready(tmp_path)
    dark = replace(context, rig=replace(context.rig, panel=None))
    with pytest.raises(StepFailedError, match="no panel with a light"):
        await FlatTuning(
            dark, LearnedFlats(tmp_path / "learned.json"), first_tuning(dark), 1, BIAS_ADU, PROPORTIONAL
        ).run()


async def test_a_tuning_that_takes_too_long_fails_at_its_deadline(tmp_path: Path) -> None:
    context, _ = await ready(tmp_path)
    flats = context.settings.flats.model_copy(update={"tuning_deadline_s": 0.5})
    hurried = replace(context, settings=context.settings.model_copy(update={"flats": flats}))
    with pytest.raises(StepFailedError, match=r"no exposure was found within 0\.5 s"):
        await FlatTuning(
            hurried, LearnedFlats(tmp_path / "learned.json"), first_tuning(hurried), 1, BIAS_ADU, PROPORTIONAL
        ).run()


async def test_test_frames_and_check_frames_are_saved_apart(tmp_path: Path) -> None:
    context, _ = await ready(tmp_path)
    frames = TuningFrames(context, first_tuning(context), 1)
    statistics = await frames.measure(0.5, None)
    shape = await frames.shape(0.5)
    assert shape.size == (120, 160)
    assert np.isclose(shape.mean_adu, statistics.mean_adu, rtol=0.05)
    saved = {path.parent.name for path in context.folder.path.rglob("*.fits")}
    assert saved == {"tuning", "checks"}
