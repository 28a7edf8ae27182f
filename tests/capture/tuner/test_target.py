"""The target levels of a flat's colour channels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.capture.tuner.target import FlatTarget

TARGET = FlatTarget(bias_adu=500, full_scale_adu=65535)


@given(st.floats(0.36, 1.0))
def test_every_channel_is_between_floor_and_top_if_the_brightest_is_in_the_band(part: float) -> None:
    target = TARGET.for_channels(part)
    low, high = target.band
    assert not TARGET.starves(part)
    assert low * part >= 0.15 - 1e-9
    assert high == 0.5
    assert low < target.fraction < high
    assert target.fraction <= 0.45, "room for drift below the top"


@given(st.floats(0.0, 0.35))
def test_channels_too_far_apart_starve_and_the_brightest_is_as_high_as_is_safe(part: float) -> None:
    assert TARGET.starves(part)
    target = TARGET.for_channels(part)
    assert target.band == TARGET.band
    assert target.fraction == pytest.approx(0.45)


def test_mono_targets_are_unchanged() -> None:
    assert TARGET.for_channels(1.0) == TARGET
    assert TARGET.faintest_level_adu == TARGET.levels_adu[0]


def test_at_the_aim_all_channels_that_fit_are_in_the_band() -> None:
    for part in (0.67, 0.8, 0.95):
        target = TARGET.for_channels(part)
        assert part * target.fraction >= 0.3
        assert target.fraction <= 0.5


def test_a_target_high_in_its_band_is_not_lowered_by_colours() -> None:
    target = FlatTarget(0, 1000, fraction=0.48).for_channels(0.5)
    assert target.fraction == 0.48
