"""The words for moments that the recorded nights do not contain."""

import math

import pytest

from coldframe.capture.events.kinds import NightStarted
from coldframe.capture.events.values import PlannedStep, StepType
from coldframe.capture.monitoring.progress.night_words import ending
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.config.frames import FrameKind
from tests.capture.monitoring.dashboard.test_dashboard import DUSK


@pytest.mark.parametrize("estimate_s", [math.nan, math.inf, 1e300])
def test_an_invalid_estimate_gives_no_end(estimate_s: float) -> None:
    state = DashboardState()
    step = PlannedStep(1, "dark", FrameKind.DARK, None, 5, 1.0, estimate_s, StepType.SHOOT)
    state.apply(NightStarted(DUSK, "/n", "Camera", None, None, 10, 10, (step,)))
    assert ending(state, DUSK) == "done at an unknown time"
