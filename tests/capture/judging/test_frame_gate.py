"""The frames that may be part of a master."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from coldframe.calibration.looks.frame_looks import MeasuredFrame, level_limit_adu
from coldframe.calibration.measuring.frame_shape import FrameShape, frame_shape
from coldframe.calibration.measuring.statistics import ChannelLevel, FrameStatistics
from coldframe.capture.judging.frame_gate import FlatBand, FrameGate
from coldframe.capture.tuner.target import FlatTarget
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
FLAT = replace(DARK, level_adu=26_500.0, median_adu=26_500.0, noise_adu=460.0)
BAND = FlatBand(low_adu=20_000.0, high_adu=33_000.0, saturated_fraction=0.001, faintest_adu=20_000.0)
SIZE = (240, 320)


def shape(
    level_adu: float = 520.0,
    noise_adu: float = 9.6,
    light_adu: float | np.ndarray = 0.0,
    seed: int = 0,
    step_adu: int = 1,
) -> FrameShape:
    """Return the shape of a frame with uniform light and noise, plus additional light."""
    pixels = np.random.default_rng(seed).normal(level_adu, noise_adu, SIZE) + light_adu
    return frame_shape((np.rint(pixels / step_adu) * step_adu).astype(np.uint16))


def measured(statistics: FrameStatistics, digest: bytes, seen: FrameShape | None = None) -> MeasuredFrame:
    return MeasuredFrame(statistics, digest, seen or shape(statistics.median_adu, statistics.noise_adu, seed=digest[0]))


def reason(gate: FrameGate, statistics: FrameStatistics, digest: bytes, seen: FrameShape | None = None) -> str:
    """Judge a frame, and accept it if it is good."""
    frame = measured(statistics, digest, seen)
    fault = gate.fault(frame)
    if fault is None:
        gate.accept(frame)
        return ""
    return fault.reason


def test_judging_a_frame_records_nothing() -> None:
    gate, frame = FrameGate(FrameKind.DARK), measured(DARK, b"1")
    assert gate.fault(frame) is None
    assert gate.fault(frame) is None, "no accepted frame has these pixels"
    assert gate.fault(measured(FLAT, b"2")) is None, "there is no first frame to compare with"


def test_a_good_dark_passes_and_so_does_the_next() -> None:
    gate = FrameGate(FrameKind.DARK)
    assert reason(gate, DARK, b"1") == ""
    assert reason(gate, replace(DARK, level_adu=523.0), b"2") == ""


def test_repeated_pixels_are_rejected() -> None:
    gate = FrameGate(FrameKind.DARK)
    assert reason(gate, DARK, b"1") == ""
    assert "repeated" in reason(gate, DARK, b"1")


def test_repeated_pixels_of_a_frame_that_was_shot_too_warm_are_rejected() -> None:
    gate = FrameGate(FrameKind.DARK)
    gate.remember_pixels(measured(DARK, b"1"))
    assert "repeated" in reason(gate, DARK, b"1")
    assert reason(gate, DARK, b"2") == ""


@pytest.mark.parametrize("torn", [slice(0, 80), slice(200, 240)])
def test_a_bias_with_an_interrupted_readout_is_rejected(torn: slice) -> None:
    gate = FrameGate(FrameKind.BIAS)
    assert reason(gate, DARK, b"1") == ""
    light_adu = np.zeros(SIZE)
    light_adu[torn] = -500.0
    assert "was the readout interrupted?" in reason(gate, DARK, b"2", shape(light_adu=light_adu, seed=2))
    assert reason(gate, DARK, b"3", shape(level_adu=530.0, seed=3)) == "", "offsets drift"
    one_row = np.zeros(SIZE)
    one_row[7] = 300.0
    assert reason(gate, DARK, b"4", shape(light_adu=one_row, seed=4)) == ""


def test_a_rejected_frame_is_not_a_reference() -> None:
    gate = FrameGate(FrameKind.FLAT, BAND)
    assert reason(gate, replace(FLAT, level_adu=100.0), b"1") != ""
    assert reason(gate, FLAT, b"1") == ""


@pytest.mark.parametrize("level_adu", [19_999.0, 33_001.0, float("nan")])
def test_a_flat_outside_its_band_is_rejected(level_adu: float) -> None:
    assert "outside" in reason(FrameGate(FrameKind.FLAT, BAND), replace(FLAT, level_adu=level_adu), b"1")


def test_a_flat_is_judged_by_its_brightest_and_its_faintest_colour() -> None:
    band = FlatBand.around(FlatTarget(500, 65535).for_channels(0.5), 0.001)
    good = replace(FLAT, channels=(ChannelLevel("R", 15_000.0), ChannelLevel("G", 29_000.0)))
    assert reason(FrameGate(FrameKind.FLAT, band), good, b"1") == ""
    bright = replace(FLAT, channels=(ChannelLevel("R", 17_000.0), ChannelLevel("G", 33_500.0)))
    assert "outside" in reason(FrameGate(FrameKind.FLAT, band), bright, b"1")
    faint = replace(FLAT, channels=(ChannelLevel("R", 9_000.0), ChannelLevel("G", 29_000.0)))
    assert "faintest" in reason(FrameGate(FrameKind.FLAT, band), faint, b"1")


def test_a_clipped_flat_is_rejected() -> None:
    assert "saturated" in reason(FrameGate(FrameKind.FLAT, BAND), replace(FLAT, saturated_fraction=0.01), b"1")


def test_light_on_a_dark_is_detected_by_level_or_saturation() -> None:
    gate = FrameGate(FrameKind.DARK)
    assert "light" in reason(gate, replace(DARK, saturated_fraction=0.2), b"0")
    assert reason(gate, DARK, b"1") == ""
    beyond_adu = DARK.level_adu + 1.01 * level_limit_adu(DARK)
    assert "light" in reason(gate, replace(DARK, level_adu=beyond_adu), b"2")


def test_a_frame_without_any_noise_was_not_read_out() -> None:
    assert "not read out" in reason(FrameGate(FrameKind.BIAS), replace(DARK, minimum_adu=7, maximum_adu=7), b"1")


def test_a_frame_of_another_size_or_depth_is_rejected() -> None:
    gate = FrameGate(FrameKind.BIAS)
    assert reason(gate, DARK, b"1") == ""
    small = frame_shape(np.full((120, 160), 520, np.uint16))
    assert "160 x 120" in reason(gate, DARK, b"2", small)
    assert "depth" in reason(gate, DARK, b"3", shape(step_adu=4))
    assert reason(gate, DARK, b"4") == ""


def test_a_few_levels_suffice_to_detect_eight_bits() -> None:
    """A dark of 8 bits in 16 covers only some ten levels."""
    fine = replace(DARK, level_adu=2_600.0, median_adu=2_600.0, noise_adu=140.0, minimum_adu=1_951, maximum_adu=4_225)
    coarse = replace(fine, minimum_adu=1_792, maximum_adu=4_352)
    shapes = shape(2_600.0, 140.0), shape(2_600.0, 140.0, seed=1, step_adu=256)
    for (first, seen), (second, other) in permutations(zip((fine, coarse), shapes, strict=True)):
        gate = FrameGate(FrameKind.DARK)
        assert reason(gate, first, b"1", seen) == ""
        assert "depth" in reason(gate, second, b"2", other)


def test_a_step_between_few_levels_may_be_an_accident() -> None:
    gate = FrameGate(FrameKind.DARK)
    quiet = replace(DARK, level_adu=520.0, median_adu=520.0, noise_adu=0.2, minimum_adu=519, maximum_adu=521)
    assert reason(gate, quiet, b"1", shape(520.0, 0.3)) == ""
    even = shape(520.0, 0.3, seed=1, step_adu=8)
    assert even.step_adu == 8
    assert "depth" not in reason(gate, replace(quiet, minimum_adu=520, maximum_adu=528), b"2", even)


def test_a_disturbed_readout_shows_in_the_noise() -> None:
    gate = FrameGate(FrameKind.BIAS)
    assert reason(gate, DARK, b"1") == ""
    assert "noise" in reason(gate, replace(DARK, noise_adu=13.0), b"2")
    assert reason(gate, replace(DARK, noise_adu=10.5), b"3") == ""


@pytest.mark.parametrize(
    ("side", "light"), [("left", np.linspace(6, 0, SIZE[1])), ("lower", np.linspace(0, 6, SIZE[0])[:, None])]
)
def test_light_on_one_side_of_a_dark_is_located(side: str, light: np.ndarray) -> None:
    gate = FrameGate(FrameKind.DARK)
    assert [reason(gate, DARK, bytes([n])) for n in range(4)] == [""] * 4
    fault = gate.fault(measured(DARK, b"5", shape(light_adu=light)))
    assert fault is not None
    assert fault.is_light
    assert f"on the {side} side" in fault.reason


def test_a_dark_flat_with_the_lamp_still_on_is_rejected() -> None:
    fault = FrameGate(FrameKind.DARK_FLAT, ceiling_adu=1800.0).fault(measured(replace(DARK, level_adu=2000.0), b"1"))
    assert fault is not None
    assert fault.is_light
    assert FrameGate(FrameKind.DARK_FLAT, ceiling_adu=1800.0).fault(measured(DARK, b"1")) is None


def test_a_flat_whose_light_moved_is_rejected() -> None:
    gate = FrameGate(FrameKind.FLAT, BAND)
    assert reason(gate, FLAT, b"1") == ""
    shadow = np.linspace(-1500, 1500, SIZE[1])
    assert "did something move" in reason(gate, FLAT, b"2", shape(26_500.0, 460.0, shadow))
    assert reason(gate, FLAT, b"3", shape(26_500.0, 460.0, shadow / 10)) == ""


def test_a_flat_with_bands_is_rejected() -> None:
    gate = FrameGate(FrameKind.FLAT, BAND)
    assert reason(gate, FLAT, b"1") == ""
    bands = 200 * np.sin(np.arange(SIZE[0]) / 7)[:, None]
    assert "bands" in reason(gate, FLAT, b"2", shape(26_500.0, 460.0, bands))
    assert reason(gate, FLAT, b"3", shape(26_500.0, 460.0, bands / 10)) == ""
