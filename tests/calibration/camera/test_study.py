"""The camera record that the sets of a night produce."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from coldframe.calibration.camera.photon_transfer import Measured, TileNoise
from coldframe.calibration.camera.study import StudiedSet, study
from coldframe.config.frames import FrameKind, ReadoutSettings

NOW = datetime(2026, 11, 22, 4, 12, 33, tzinfo=UTC)
E_PER_ADU, READ_NOISE_ADU, BIAS_ADU = 0.5, 8.0, 500.0


def seen(
    kind: FrameKind, exposure_s: float, signal_adu: float, sensor_c: float = -10.0, frames: int = 10
) -> StudiedSet:
    """Return a measured set of an ideal camera."""
    shade = np.broadcast_to(np.linspace(0.8, 1.0, 16), (4, 16, 16))
    signal = signal_adu * (shade if kind is FrameKind.FLAT else np.ones_like(shade))
    level = np.minimum(BIAS_ADU + signal, 65535)
    variance = np.where(level < 65535, READ_NOISE_ADU**2 + signal / E_PER_ADU, 0)
    light = ("L", 20) if kind is FrameKind.FLAT else None
    noise = TileNoise(level, variance, 0.05, frames, 1)
    return StudiedSet("Camera", ReadoutSettings(gain=100), kind, exposure_s, sensor_c, light, noise)


NIGHT = [
    seen(FrameKind.BIAS, 0.001, 0),
    seen(FrameKind.FLAT, 1.0, 26000),
    *(seen(FrameKind.FLAT, exposure_s, 26000 * exposure_s, frames=2) for exposure_s in (0.15, 0.5, 1.6, 2.1, 3.4)),
    seen(FrameKind.DARK, 100.0, 10),
    seen(FrameKind.DARK, 300.0, 30),
    seen(FrameKind.DARK, 300.0, 120, sensor_c=0.0),
]


def test_a_full_night_gives_every_figure() -> None:
    figures = study(NIGHT, NOW)
    assert figures is not None
    assert figures.e_per_adu is not None
    assert figures.e_per_adu.value == pytest.approx(E_PER_ADU, rel=1e-6)
    assert figures.read_noise_e is not None
    assert figures.read_noise_e.value == pytest.approx(np.sqrt(READ_NOISE_ADU**2 - 1 / 12) * E_PER_ADU)
    assert figures.saturation_adu is not None
    assert figures.saturation_adu.value == 65535
    assert figures.bias_adu == BIAS_ADU
    assert figures.largest_deviation == pytest.approx(0, abs=1e-9)
    assert len(figures.linearity) == 4, "all of the ladder except the saturated one"
    # The 300 s dark is measured against the 100 s dark, so offsets of long against short exposures cancel.
    assert [each.e_per_s for each in figures.dark_current] == [pytest.approx(0.05, rel=1e-3)] * 2
    assert all(point.noise_adu > 0 for point in figures.curve)


def test_flats_before_the_ladder_under_a_brighter_light_do_not_bend_the_line() -> None:
    figures = study([seen(FrameKind.FLAT, 1.0, 26300) if each is NIGHT[1] else each for each in NIGHT], NOW)
    assert figures is not None
    assert figures.largest_deviation == pytest.approx(0, abs=1e-9)


def test_the_two_ways_of_the_ladder_give_the_error_of_linearity() -> None:
    def climbed(exposure_s: float, frames_apart: int, beyond: float) -> StudiedSet:
        rung = seen(FrameKind.FLAT, exposure_s, 26000 * exposure_s, frames=2)
        level = float(np.median(rung.noise.level_adu)) - BIAS_ADU
        half = (0.001 * frames_apart + beyond) / 2
        levels = BIAS_ADU + level * (1 - half), BIAS_ADU + level * (1 + half)
        return replace(rung, noise=replace(rung.noise, frame_levels_adu=levels))

    for beyond, error in ((0.0, 0.0), (0.002, 0.0011)):
        rungs = [
            climbed(exposure_s, apart, sign * beyond)
            for exposure_s, apart, sign in ((0.15, 7, 1), (0.5, 5, -1), (1.6, 3, -1), (2.1, 1, 1))
        ]
        figures = study([*NIGHT[:2], *rungs, NIGHT[6]], NOW)
        assert figures is not None
        assert figures.deviation_error == pytest.approx(error, abs=0.0001)


def test_read_noise_below_half_a_step_is_a_limit() -> None:
    bias = seen(FrameKind.BIAS, 0.001, 0)
    coarse = replace(bias, noise=replace(bias.noise, step_adu=16))
    fine = replace(bias, noise=replace(bias.noise, step_adu=8))
    for shortest, limit_e in ((coarse, 8 * E_PER_ADU), (fine, None)):
        figures = study([shortest, *NIGHT[1:]], NOW)
        assert figures is not None
        assert figures.read_noise_below_e == limit_e
        assert (figures.read_noise_e is None) == (limit_e is not None)


def test_a_dark_of_another_temperature_is_no_reference() -> None:
    figures = study([*NIGHT, seen(FrameKind.BIAS, 0.001, 0, sensor_c=0.2)], NOW)
    assert figures is not None
    assert sorted(round(each.e_per_s, 4) for each in figures.dark_current) == [0.05, 0.05, 0.2]


def test_frames_without_light_need_a_gain_from_another_night() -> None:
    darks = [each for each in NIGHT if each.light is None]
    assert study(darks, NOW) is None
    figures = study(darks, NOW, Measured(E_PER_ADU, 0.001))
    assert figures is not None
    assert figures.e_per_adu is None
    assert figures.read_noise_e is not None
    assert figures.dark_current


def test_flats_alone_give_no_record() -> None:
    assert study([each for each in NIGHT if each.light], NOW) is None


def test_flats_far_from_saturation_give_no_saturation() -> None:
    figures = study(NIGHT[:4], NOW)
    assert figures is not None
    assert figures.e_per_adu is not None
    assert figures.saturation_adu is None
    assert figures.linearity == ()
