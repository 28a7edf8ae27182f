"""The conditions under which a set has enough frames."""

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.calibration.measuring.amp_glow import AmpGlow
from coldframe.calibration.measuring.noise_growth import Cause, NoiseGrowth
from coldframe.capture.planning.noise_target import estimate_frames
from coldframe.capture.steps import NoiseTarget
from coldframe.config.counts import GOOD_PRACTICE, LightNoise, NoiseGoal
from coldframe.config.frames import FrameKind

DARK, FLAT = FrameKind.DARK, FrameKind.FLAT


def growth(frames: int, excess: float = 1.0, noise_adu: float = 10.0, level_adu: float = 1000.0) -> NoiseGrowth:
    cause = Cause.LEVEL if excess > 1.15 else None
    return NoiseGrowth(frames, noise_adu, excess * noise_adu / sqrt(frames), level_adu, 0.0, cause)


def wide(added: float, light: LightNoise | None = None) -> NoiseTarget:
    return NoiseTarget(NoiseGoal(added, light), 1, 10_000)


@given(st.floats(0.005, 0.2), st.integers(8, 200))
def test_the_estimate_meets_the_percentage(added: float, frames: int) -> None:
    wanted = estimate_frames(wide(added), DARK, growth(frames)).frames
    # Subtract a master of this many darks from a light that is as noisy as one dark.
    assert sqrt(1 + 1 / wanted) - 1 <= added * 1.04
    assert wanted == 1 or sqrt(1 + 1 / (wanted - 1)) - 1 > added * 0.94


@given(st.floats(1.0, 2.0), st.integers(10, 60))
def test_noise_that_does_not_fall_takes_more_frames(excess: float, frames: int) -> None:
    target = wide(0.02)
    plain, worse = (estimate_frames(target, DARK, growth(frames, each)).frames for each in (1.0, excess))
    assert worse == pytest.approx(plain * excess**2, rel=0.06)
    assert ("the level drifts" in estimate_frames(target, DARK, growth(frames, excess)).reason) == (excess > 1.15)


def test_sky_in_the_lights_needs_fewer_frames() -> None:
    light = LightNoise(noise_adu=20.0, signal_adu=500.0)
    assert estimate_frames(wide(0.02, light), DARK, growth(20)).frames == 7
    # A light of 500 ADU, flats of 16,000 ADU with 1 % noise: 5 ADU per flat, a quarter of the light's own noise.
    flats = growth(20, noise_adu=160.0, level_adu=16000.0)
    assert estimate_frames(wide(0.02, light), FLAT, flats).frames == 2
    without_signal = estimate_frames(wide(0.02, LightNoise(20.0)), FLAT, flats)
    assert without_signal.frames == estimate_frames(wide(0.02), FLAT, flats).frames == 25


@given(st.floats(0.001, 0.5), st.floats(1.0, 3.0), st.integers(8, 500))
def test_the_bounds_hold(added: float, excess: float, frames: int) -> None:
    for kind, (least, most) in GOOD_PRACTICE.items():
        view = estimate_frames(NoiseTarget(NoiseGoal(added), least, most), kind, growth(frames, excess))
        assert least <= view.frames <= most
        needed = (excess / NoiseGoal(added).largest_ratio) ** 2
        assert view.is_met == (needed <= 1.03 * frames)


@pytest.mark.parametrize(("amplitude_adu", "least"), [(12.0, 40), (8.0, 20)])
def test_glow_raises_the_default_bounds_of_darks_only(amplitude_adu: float, least: int) -> None:
    glow = AmpGlow(amplitude_adu, 0.1, 100.0, (0, 15), "in the upper right corner")
    goal = NoiseGoal(0.2)
    assert estimate_frames(NoiseTarget(goal, *GOOD_PRACTICE[DARK]), DARK, growth(20), glow).frames == least
    assert estimate_frames(NoiseTarget(goal, 10, 30), DARK, growth(20), glow).frames == 10
