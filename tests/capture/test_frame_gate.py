"""Which frames may go into a master."""

from dataclasses import replace

import pytest

from coldframe.calibration.statistics import FrameStatistics
from coldframe.capture.frame_gate import FlatBand, FrameGate, level_limit_adu
from coldframe.config.frames import FrameKind

DARK = FrameStatistics(
    level_adu=520.0,
    median_adu=520.0,
    mean_adu=521.0,
    noise_adu=9.6,
    minimum_adu=470,
    maximum_adu=9000,
    saturated_fraction=0.0,
)
FLAT = replace(DARK, level_adu=26_500.0, noise_adu=460.0)
BAND = FlatBand(low_adu=20_000.0, high_adu=33_000.0, saturated_fraction=0.001)


def test_a_good_dark_passes_and_so_does_the_next() -> None:
    gate = FrameGate(FrameKind.DARK)
    assert gate.fault(DARK, b"1") is None
    assert gate.fault(replace(DARK, level_adu=523.0), b"2") is None


def test_the_same_pixels_again_are_turned_away() -> None:
    gate = FrameGate(FrameKind.DARK)
    assert gate.fault(DARK, b"1") is None
    assert "repeated" in (gate.fault(DARK, b"1") or "")


def test_a_frame_that_was_turned_away_does_not_count_as_seen() -> None:
    gate = FrameGate(FrameKind.FLAT, BAND)
    assert gate.fault(replace(FLAT, level_adu=100.0), b"1") is not None
    assert gate.fault(FLAT, b"1") is None


@pytest.mark.parametrize("level_adu", [19_999.0, 33_001.0, float("nan")])
def test_a_flat_outside_its_band_is_turned_away(level_adu: float) -> None:
    assert "outside" in (FrameGate(FrameKind.FLAT, BAND).fault(replace(FLAT, level_adu=level_adu), b"1") or "")


def test_a_clipped_flat_is_turned_away() -> None:
    assert "saturated" in (FrameGate(FrameKind.FLAT, BAND).fault(replace(FLAT, saturated_fraction=0.01), b"1") or "")


def test_light_on_a_dark_is_seen_by_its_level_or_its_saturation() -> None:
    gate = FrameGate(FrameKind.DARK)
    assert "light" in (gate.fault(replace(DARK, saturated_fraction=0.2), b"0") or "")
    assert gate.fault(DARK, b"1") is None
    beyond_adu = DARK.level_adu + 1.01 * level_limit_adu(DARK)
    assert "light" in (gate.fault(replace(DARK, level_adu=beyond_adu), b"2") or "")


def test_a_frame_without_any_noise_was_not_read_out() -> None:
    assert "not read out" in (FrameGate(FrameKind.BIAS).fault(replace(DARK, minimum_adu=7, maximum_adu=7), b"1") or "")
