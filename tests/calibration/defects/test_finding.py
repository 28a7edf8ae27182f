"""Finding the defects of a simulated sensor."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coldframe.calibration.defects.finding import (
    OF_LINES,
    Defect,
    Defects,
    NotJudgeableError,
    bias_defects,
    dark_defects,
    flat_defects,
    merged,
)
from coldframe.calibration.defects.limits import Limits
from coldframe.calibration.defects.scatter import largest_variance_ratio
from coldframe.calibration.masters.flat_scaling import FlatScaler, flat_response
from coldframe.calibration.masters.reading import MasterPlanes
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.pixel_state import clipping_trial
from coldframe.calibration.stacking.stack import Stack
from tests.outside.observatory import FLAT_S, SKY_S, Observatory, stacked

FRAMES = 50
LIMITS = Limits()

Mask = NDArray[np.bool_]
Places = tuple[NDArray[np.intp], NDArray[np.intp]]


def planes(stack: Stack, masked: Mask | None = None, **header: float) -> MasterPlanes:
    """Return a master as it is read back from disk."""
    counts = stack.counts.astype(np.float32)
    factors = clipping_trial(stack.frames, Clipping()).scatter_fractions
    cards = {f"CFSCA{number}": factor for number, factor in enumerate(factors, start=1)}
    variance = np.nan_to_num(stack.uncertainty) ** 2 * counts
    return MasterPlanes(
        stack.mean, stack.uncertainty, variance, masked, {"NCOMBINE": stack.frames, **cards, **header}, counts
    )


@dataclass
class Flawed(Observatory):
    """A sensor with its own hot pixels, and defects injected into its frames."""

    width: int = 480
    height: int = 320

    @cached_property
    def hot(self) -> Mask:
        """Pixels whose dark current exceeds the ordinary one by ten times the local noise of a dark frame."""
        sensor = self.sensor
        ordinary_e = np.median(sensor.dark_e_per_s) * sensor.warmth(-10) * SKY_S
        excess_e = sensor.dark_e_per_s * sensor.warmth(-10) * SKY_S - ordinary_e
        down, across = sensor.glow_e_per_s
        noise_e = np.sqrt(down * across * SKY_S + ordinary_e + sensor.read_noise_e(100) ** 2)
        return np.asarray(excess_e > 10 * noise_e)

    @cached_property
    def flickering(self) -> Places:
        """Two levels, ten times the read noise apart, each in 30 to 70 % of the frames; away from the glow."""
        rows, columns = self.scattered(200, 1)
        return rows, columns * 3 // 4

    @cached_property
    def cold(self) -> Places:
        return self.scattered(150, 2)

    @cached_property
    def off(self) -> Places:
        """Bias levels far above or below the neighbours'."""
        return self.scattered(100, 3)

    def scattered(self, count: int, seed: int) -> Places:
        random = np.random.default_rng(seed)
        return random.integers(self.height, size=count), random.integers(self.width, size=count)

    def dark_frame(self, number: int, exposure_s: float) -> NDArray[np.uint16]:
        frame = self.render(number, exposure_s, 0).astype(np.int32)
        duty = np.random.default_rng(4).uniform(0.3, 0.7, self.flickering[0].size)
        step_adu = 10 * self.sensor.read_noise_e(100) / self.e_per_adu
        up = np.random.default_rng(number).random(duty.size) < duty
        np.add.at(frame, self.flickering, np.rint(up * step_adu).astype(np.int32))
        frame[self.off] += np.where(np.arange(self.off[0].size) % 2, 3000, -700)
        return frame.clip(0, 65535).astype(np.uint16)

    def flat_frame(self, number: int) -> NDArray[np.uint16]:
        frame = self.render(number, FLAT_S, self.flat_e_per_s)
        dark = self.dark_flat.mean
        weak = np.ones(frame.shape)
        weak[self.cold] = 0.6
        weak[40:240, 101] = 0.1  # a charge trap: the column above it is dead
        weak[77, 200:260:2] = 0.3  # every other pixel of a stretch that is too short for a row
        return np.asarray(np.rint(dark + (frame - dark) * weak).clip(0), np.uint16)


@pytest.fixture(scope="module")
def sensor() -> Flawed:
    return Flawed()


@pytest.fixture(scope="module")
def bias(sensor: Flawed) -> MasterPlanes:
    return planes(stacked(FRAMES, lambda number: sensor.dark_frame(1000 + number, 0.0)))


@pytest.fixture(scope="module")
def dark(sensor: Flawed) -> MasterPlanes:
    return planes(stacked(FRAMES, lambda number: sensor.dark_frame(10_000 + number, SKY_S)), EXPTIME=SKY_S)


def found(defects: Defects, kind: Defect) -> Mask:
    return np.asarray((defects.bits & kind) != 0)


def completeness(defects: Defects, kind: Defect, truth: Mask | Places) -> float:
    return float(found(defects, kind)[truth].mean())


def test_all_hot_pixels_and_no_others_are_found(sensor: Flawed, dark: MasterPlanes, bias: MasterPlanes) -> None:
    defects = dark_defects(dark, bias, LIMITS)
    assert sensor.hot.sum() > 150
    assert completeness(defects, Defect.HOT, sensor.hot) == 1
    ordinary = sensor.sensor.dark_e_per_s < 3 * np.median(sensor.sensor.dark_e_per_s)
    ordinary[sensor.flickering] = ordinary[sensor.off] = False
    assert completeness(defects, Defect.HOT, ordinary) == 0


def test_unstable_pixels_are_found_even_if_they_are_hot(sensor: Flawed, dark: MasterPlanes, bias: MasterPlanes) -> None:
    for defects in (dark_defects(dark, bias, LIMITS), bias_defects(bias, LIMITS)):
        assert completeness(defects, Defect.UNSTABLE, sensor.flickering) > 0.98
        others = np.ones((sensor.height, sensor.width), np.bool_)
        others[sensor.flickering] = False
        assert completeness(defects, Defect.UNSTABLE, others) < 3e-5


def test_deviating_bias_levels_are_found(sensor: Flawed, bias: MasterPlanes) -> None:
    defects = bias_defects(bias, LIMITS)
    assert completeness(defects, Defect.BIAS, sensor.off) == 1
    others = np.ones((sensor.height, sensor.width), np.bool_)
    others[sensor.off] = others[sensor.flickering] = False
    assert completeness(defects, Defect.BIAS, others) == 0


@pytest.mark.parametrize("rig", ["small", "cooled-osc"])
def test_cold_pixels_and_dead_columns_are_found(rig: str) -> None:
    sensor = Flawed(rig)
    scaler = FlatScaler(sensor.dark_flat.mean, sensor.cfa)
    stack, masked = flat_response(
        stacked(20, lambda number: scaler.scale(sensor.flat_frame(30_000 + number))), sensor.cfa
    )
    part = flat_defects(planes(stack, masked), sensor.cfa, LIMITS)
    defects = merged([part], LIMITS)
    column = np.zeros(masked.shape, np.bool_)
    column[40:240, 101] = True
    assert completeness(defects, Defect.COLD, sensor.cold) == 1
    assert completeness(defects, Defect.COLD, column) == 1
    assert found(defects, Defect.COLD).sum() <= sensor.cold[0].size + 200 + 30
    assert not found(defects, Defect.BRIGHT).any()
    assert defects.lines(Defect.COLUMN) == 1
    in_column = found(defects, Defect.COLUMN)
    assert in_column[column].all()
    assert in_column.sum() <= 200 + 2 * 31  # a cold pixel next to the end belongs to the column
    assert not found(defects, Defect.ROW).any()


@pytest.mark.parametrize("rig", ["cooled-mono", "uncooled", "ccd-overscan"])
@pytest.mark.parametrize("frames", [10, 30])
def test_a_good_sensor_has_no_unstable_pixels(rig: str, frames: int) -> None:
    sensor = Flawed(rig)
    sound = planes(stacked(frames, lambda number: sensor.render(number, 0.0, 0)))
    assert sum(bias_defects(sound, LIMITS).counts.values()) <= 2


@pytest.mark.deep
@pytest.mark.parametrize("rig", ["cooled-mono", "uncooled", "ccd-overscan", "small"])
@pytest.mark.parametrize("frames", [10, 15, 20, 25, 50])
def test_false_alarms_are_as_rare_as_requested(rig: str, frames: int) -> None:
    sensor = Flawed(rig, 1600, 1000)
    bias = planes(stacked(frames, lambda number: sensor.render(number, 0.0, 0)))
    dark = planes(stacked(frames, lambda number: sensor.render(1000 + number, SKY_S, 0)))
    in_bias, defects = bias_defects(bias, LIMITS), dark_defects(dark, bias, LIMITS)
    most = 10 if frames >= 20 else 80
    assert in_bias.counts[Defect.BIAS] == 0
    assert in_bias.counts[Defect.UNSTABLE] <= most
    assert defects.counts[Defect.UNSTABLE] <= most
    ordinary = sensor.sensor.dark_e_per_s < 3 * np.median(sensor.sensor.dark_e_per_s)
    assert completeness(defects, Defect.HOT, ordinary) < 1e-6


def test_a_threshold_in_electrons_per_second_is_applied(sensor: Flawed, dark: MasterPlanes, bias: MasterPlanes) -> None:
    rate = sensor.sensor.dark_e_per_s * sensor.sensor.warmth(-10)
    excess = rate - np.median(rate)
    limits = Limits(hot_e_per_s=2.0)
    with_egain = replace(dark, header={**dark.header, "EGAIN": sensor.e_per_adu})
    for defects in (dark_defects(with_egain, bias, limits), dark_defects(dark, bias, limits, sensor.e_per_adu)):
        assert completeness(defects, Defect.HOT, excess > 2.3) == 1
        assert completeness(defects, Defect.HOT, excess < 1.7) < 1e-4  # unstable pixels
    with pytest.raises(NotJudgeableError, match="EGAIN"):
        dark_defects(dark, bias, limits)


def test_without_scatter_or_with_few_frames_no_pixel_is_unstable(dark: MasterPlanes) -> None:
    foreign = replace(dark, frame_variance=np.zeros_like(dark.mean), counts=None)
    alike = replace(foreign, counts=dark.counts)
    few = replace(dark, header={"NCOMBINE": 5}, counts=np.full_like(dark.mean, 5))
    for master in (foreign, alike, few):
        assert dark_defects(master, None, LIMITS).judged == Defect.HOT
        assert bias_defects(master, LIMITS).judged == Defect.BIAS


def test_masters_of_other_sizes_are_refused(dark: MasterPlanes) -> None:
    small = replace(dark, mean=dark.mean[:50])
    with pytest.raises(NotJudgeableError, match="480 x 320 pixels, but the master bias has 480 x 50"):
        dark_defects(dark, small, LIMITS)
    one, other = Defects(np.zeros((4, 5), np.uint8), Defect.HOT), Defects(np.zeros((5, 4), np.uint8), Defect.COLD)
    with pytest.raises(NotJudgeableError, match="differ in size"):
        merged([one, other], LIMITS)


def test_the_bound_of_a_variance_agrees_with_chi_square() -> None:
    # Tabulated upper quantiles of chi-square: 0.1 % of 9 and of 49 degrees of freedom, 1 % of 99.
    assert largest_variance_ratio(9, 0.001) == pytest.approx(27.877 / 9, rel=0.01)
    assert largest_variance_ratio(49, 0.001) == pytest.approx(85.351 / 49, rel=0.01)
    assert largest_variance_ratio(99, 0.01) == pytest.approx(134.642 / 99, rel=0.01)


def lines_by_hand(bad: Mask, limits: Limits) -> Mask:
    """Mark bad stretches of rows, pixel by pixel."""
    marked = np.zeros_like(bad)
    least = min(limits.line_pixels, max(bad.shape[1] // 4, 2))
    for row, line in enumerate(bad):
        stretch: list[int] = []
        for place in [*np.flatnonzero(line).tolist(), 10**9]:
            if stretch and place - stretch[-1] - 1 > limits.line_gap:
                length = stretch[-1] - stretch[0] + 1
                if len(stretch) >= least and len(stretch) > limits.line_density * bad.mean() * length:
                    marked[row, stretch[0] : stretch[-1] + 1] = True
                stretch = []
            stretch.append(place)
    return marked


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 40), st.integers(1, 80)),
    st.floats(0, 0.3),
    st.integers(2, 20),
    st.integers(0, 12),
)
@settings(deadline=None)
def test_bad_lines_agree_with_a_plain_search(
    seed: int, shape: tuple[int, int], rate: float, least: int, gap: int
) -> None:
    random = np.random.default_rng(seed)
    bad = random.random(shape) < rate
    bad[random.integers(shape[0])] |= random.random(shape[1]) < 0.7
    limits = Limits(line_pixels=least, line_gap=gap)
    defects = merged([Defects(bad * np.uint8(Defect.HOT), Defect.HOT)], limits)
    np.testing.assert_array_equal(found(defects, Defect.ROW), lines_by_hand(bad, limits))
    np.testing.assert_array_equal(found(defects, Defect.COLUMN), lines_by_hand(bad.T, limits).T)
    np.testing.assert_array_equal(found(defects, Defect.HOT), bad)
    assert defects.judged == Defect.HOT | OF_LINES
    assert defects.counts[Defect.HOT] == bad.sum()


def test_dust_and_vignetting_are_not_defects() -> None:
    y, x = np.mgrid[-1:1:400j, -1:1:600j]
    random = np.random.default_rng(5)
    response = (1 - 0.6 * (x**2 + y**2) / 2) * random.normal(1, 0.01, x.shape)
    response *= 1 - 0.15 * np.exp(-(((x - 0.2) ** 2 + y**2) / 0.03**2))
    zeros = np.zeros(x.shape, np.float32)
    assert not flat_defects(MasterPlanes(response.astype(np.float32), zeros, zeros, None, {}), None, LIMITS).bits.any()


@pytest.mark.parametrize("mosaic", ["RGGB", "XTRANS"])
def test_only_pixels_of_the_same_colour_are_compared(mosaic: str) -> None:
    period = 2 if mosaic == "RGGB" else 6
    pattern = np.random.default_rng(6).uniform(0.3, 1.0, (period, period))
    response = np.tile(pattern, (240 // period, 360 // period)).astype(np.float32)
    response[100, 100] *= 0.7
    response[101, 100] *= 1.3
    zeros = np.zeros_like(response)
    defects = flat_defects(MasterPlanes(response, zeros, zeros, None, {}), mosaic, LIMITS)
    assert list(zip(*np.nonzero(defects.bits), strict=True)) == [(100, 100), (101, 100)]
    assert defects.bits[100, 100] == Defect.COLD
    assert defects.bits[101, 100] == Defect.BRIGHT
    with pytest.raises(NotJudgeableError, match="CYGM"):
        flat_defects(MasterPlanes(response, zeros, zeros, None, {}), "CYGM", LIMITS)
