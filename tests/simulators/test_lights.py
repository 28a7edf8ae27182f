"""Lights of the simulated rigs need the sets of the rig's example night."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.planning.read_lights import read_lights
from coldframe.capture.planning.sets_for_lights import plan_for_lights
from coldframe.config.examples import example_night, example_nights
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import load_rig
from coldframe.config.tables.sets import FrameSet
from coldframe.simulators.lights import write_lights
from tests.nights.nights import tiny

ENDED = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


def shot_like(sets: tuple[FrameSet, ...], night: Settings) -> set[object]:
    return {(each.kind, each.filter, each.exposure_s, each.readout(night.camera), each.setpoint_c) for each in sets}


@pytest.mark.parametrize("name", example_nights())
def test_lights_need_the_sets_of_the_example_night(name: str, tmp_path: Path) -> None:
    night = load_settings(example_night(name))
    write_lights(tmp_path, tiny(load_rig(name)), night, ENDED)
    lights = read_lights(tmp_path, [night.camera.device])
    plan = plan_for_lights(lights, {}, night)
    assert plan.notes == ()
    own = tuple(each.model_copy(update={"setpoint_c": each.setpoint(night.camera)}) for each in night.sets)
    assert shot_like(plan.sets, night) >= shot_like(own, night)


def test_existing_lights_are_kept(tmp_path: Path) -> None:
    rig, night = tiny(load_rig("small")), load_settings(example_night("small"))
    first = write_lights(tmp_path, rig, night, ENDED)
    before = first[0].read_bytes()
    with pytest.raises(NotDurableError):
        write_lights(tmp_path, rig, night, ENDED)
    assert first[0].read_bytes() == before
