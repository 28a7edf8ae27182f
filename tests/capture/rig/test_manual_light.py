"""Two frames distinguish light from darkness."""

from dataclasses import replace

import pytest

from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.rig.manual_light import shows_light

BIAS = FrameStatistics(
    level_adu=500.0,
    median_adu=500.0,
    mean_adu=500.0,
    noise_adu=6.0,
    minimum_adu=470,
    maximum_adu=9000,
    saturated_fraction=0.0,
)


@pytest.mark.parametrize(
    ("rise_adu", "lit"), [(-3.0, False), (0.0, False), (5.0, False), (30.0, True), (20_000.0, True)]
)
def test_a_longer_exposure_is_brighter_only_in_light(rise_adu: float, lit: bool) -> None:  # noqa: FBT001 - a verdict
    assert shows_light(BIAS, replace(BIAS, level_adu=500 + rise_adu)) is lit


def test_light_that_saturates_both_frames_is_seen() -> None:
    blinded = replace(BIAS, level_adu=65535.0, noise_adu=0.0, saturated_fraction=1.0)
    assert shows_light(blinded, blinded)


def test_noise_is_not_taken_for_light() -> None:
    noisy = replace(BIAS, noise_adu=60.0)
    assert not shows_light(noisy, replace(noisy, level_adu=540.0))
