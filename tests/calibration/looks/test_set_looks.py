"""Which frames of a set on disk are doubtful, and what is odd about the whole set."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.looks.sampling import sample
from coldframe.calibration.looks.set_looks import look_at_set
from coldframe.calibration.looks.set_verdict import SetFrame, SetVerdict
from tests.calibration.looks.frames_on_disk import BIAS_ADU, SHAPE, dark, flat, frame, written

Picture = NDArray[np.float64]

ODD = 3
"""Number of the frame that differs."""


def doubts(verdict: SetVerdict) -> dict[str, str]:
    return {path.name: reason for path, reason in verdict.doubts.items()}


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("shape", [(32, 48), SHAPE])
def test_clean_sets_draw_no_doubt(tmp_path: Path, seed: int, shape: tuple[int, int]) -> None:
    count, first = 3 + seed % 9, 100 * seed
    noise_adu = (0.8, 3.0, 9.0, 30.0)[seed % 4]
    sets = [
        look_at_set(written(tmp_path, (dark(first + n, shape, noise_adu) for n in range(count)), "Bias")),
        look_at_set(written(tmp_path, (dark(first + n, shape, noise_adu) for n in range(count)), "Dark")),
        look_at_set(written(tmp_path, (flat(first + n, shape=shape) for n in range(count)), "Flat"), BIAS_ADU),
        # Twilight flats differ in level; their bias is unknown.
        look_at_set(written(tmp_path, (flat(first + n, 15_000 + 2_000 * n, shape) for n in range(count)), "Flat")),
    ]
    assert [(verdict.doubts, verdict.notices) for verdict in sets] == [({}, [])] * 4


def lines(pixels: Picture) -> Picture:
    pixels[0::2] *= 1.11
    return pixels


def half_covered(pixels: Picture) -> Picture:
    return BIAS_ADU + (pixels - BIAS_ADU) * np.linspace(0.7, 1.3, SHAPE[1])


def banded(pixels: Picture) -> Picture:
    return pixels * (1 + 0.02 * np.sin(np.arange(SHAPE[0]) / 3))[:, None]


def saturated(pixels: Picture) -> Picture:
    pixels[60:180, 80:120] = 65535
    return pixels


FLAT_FAULTS: dict[str, tuple[Callable[[Picture], Picture], str]] = {
    "lines": (lines, "the odd lines are 11.* % brighter"),
    "shadow": (half_covered, "differs by 17.* % from the set; the largest increase is on the right side"),
    "bands": (banded, "bands of 0.99 %"),
    "saturated": (saturated, "25.00 % of the central pixels are saturated, at 65535 ADU"),
    "dark": (lambda _: dark(99), "the level is 0 ADU above the bias"),
    "bright": (lambda pixels: 2.2 * pixels, "2.2 times that of the set"),
    "constant": (lambda pixels: np.full_like(pixels, 20_000), "every pixel is 20000 ADU"),
    "coarse": (lambda pixels: pixels // 16 * 16, "steps of 16 ADU instead of the set's 1 ADU"),
    "repeated": (lambda _: flat(ODD - 1), "Flat-02.fits: the camera repeated"),
}


@pytest.mark.parametrize("fault", FLAT_FAULTS)
def test_a_flat_that_differs_is_named(tmp_path: Path, fault: str) -> None:
    spoil, reason = FLAT_FAULTS[fault]
    verdict = look_at_set(
        written(tmp_path, (spoil(flat(n)) if n == ODD else flat(n) for n in range(8)), "Flat"), BIAS_ADU
    )
    assert verdict.notices == []
    assert not verdict.all_saturated
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(doubts(verdict).pop("Flat-03.fits"))
    assert len(verdict.doubts) == 1


def torn(pixels: Picture) -> Picture:
    pixels[200:] += 100
    return pixels


def faint_light(pixels: Picture) -> Picture:
    return pixels + np.linspace(0, 5, SHAPE[1])


def clipped(pixels: Picture) -> Picture:
    return pixels - BIAS_ADU + 10


DARK_FAULTS: dict[str, tuple[str, Callable[[Picture], Picture], str]] = {
    "light": ("Dark", lambda pixels: pixels + 100, "level of 600 ADU differs by more than 7. ADU from the set's 500"),
    "noise": ("Bias", lambda _: dark(99, noise_adu=14), "the noise is 1.* ADU instead of the set's 9.0 ADU"),
    "faint light": ("Dark", faint_light, "brightest on the right side"),
    "torn": ("Bias", torn, "17 % of the frame differs in level from the set"),
    "zeros": ("Bias", clipped, "15 % of the pixels are 0"),
    "flooded": ("Dark", saturated, "saturated: is there light"),
}


@pytest.mark.parametrize("fault", DARK_FAULTS)
def test_a_dark_that_differs_is_named(tmp_path: Path, fault: str) -> None:
    kind, spoil, reason = DARK_FAULTS[fault]
    verdict = look_at_set(written(tmp_path, (spoil(dark(n)) if n == ODD else dark(n) for n in range(8)), kind))
    assert verdict.notices == []
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(doubts(verdict).pop(f"{kind}-03.fits"))
    assert len(verdict.doubts) == 1


def test_an_odd_first_frame_is_the_odd_one(tmp_path: Path) -> None:
    verdict = look_at_set(written(tmp_path, (dark(n) + (300 if n == 0 else 0) for n in range(6)), "Dark"))
    assert list(doubts(verdict)) == ["Dark-00.fits"]


def interlaced(pixels: Picture) -> Picture:
    pixels[0::2] = BIAS_ADU + 1.11 * (pixels[0::2] - BIAS_ADU)
    return pixels


@pytest.mark.parametrize(
    ("level_adu", "bias_adu", "notice"),
    [
        (50_000.0, 500.0, "the flats are at 74 % of the range (488"),
        (142.0, 500.0, "is only 137 ADU above the bias of 500 ADU"),
        (1_600.0, None, None),  # 40 % of an unscaled 12-bit range
    ],
)
def test_the_level_of_all_flats_is_compared_with_the_range(
    tmp_path: Path, level_adu: float, bias_adu: float | None, notice: str | None
) -> None:
    verdict = look_at_set(written(tmp_path, (flat(n, level_adu) for n in range(5)), "Flat"), bias_adu)
    assert verdict.doubts == {}
    assert [notice in text for text in verdict.notices if notice] == ([True] if notice else [])
    assert len(verdict.notices) == (notice is not None)


def test_lines_that_differ_in_all_flats_are_a_notice(tmp_path: Path) -> None:
    verdict = look_at_set(written(tmp_path, (interlaced(flat(n)) for n in range(5)), "Flat"), BIAS_ADU)
    assert verdict.doubts == {}
    (notice,) = verdict.notices
    assert "the odd lines of the flats are 11.0 % brighter" in notice


def test_flats_that_are_all_saturated_are_useless(tmp_path: Path) -> None:
    verdict = look_at_set(written(tmp_path, (saturated(flat(n)) for n in range(4)), "Flat"))
    assert verdict.all_saturated
    assert verdict.doubts == {}
    assert "all 4 frames, for example" in verdict.notices[0]
    assert "25.00 % of the central pixels are saturated" in verdict.notices[0]


def test_a_pile_up_below_full_scale_is_saturation(tmp_path: Path) -> None:
    verdict = look_at_set(written(tmp_path, (np.minimum(flat(n), 20_000) for n in range(4)), "Flat"))
    assert verdict.all_saturated
    assert "saturated, at 20000 ADU" in verdict.notices[0]


def test_many_odd_frames_are_a_mixture_not_doubts(tmp_path: Path) -> None:
    verdict = look_at_set(written(tmp_path, (dark(n) + 200 * (n % 2) for n in range(8)), "Bias"))
    assert verdict.doubts == {}
    assert "8 frames, for example" in verdict.notices[0]


def test_a_drift_is_a_notice_in_the_order_of_the_dates(tmp_path: Path) -> None:
    began = datetime(2026, 11, 22, 20, tzinfo=UTC)
    order = (5, 2, 7, 0, 3, 6, 1, 4)
    drifting = [
        frame(tmp_path, n, dark(n) + 4 * place, "Bias", **{"DATE-OBS": (began + timedelta(minutes=place)).isoformat()})
        for n, place in enumerate(order)
    ]
    verdict = look_at_set(drifting)
    assert verdict.doubts == {}
    (notice,) = verdict.notices
    assert notice == "the level drifts: 506 ADU in the first half of the frames, 522 ADU in the second"


@pytest.mark.parametrize(
    ("kind", "temperatures_c", "odd", "said"),
    [
        ("Bias", (2.0, 4.0, 6.0, 8.0, 10.0, 11.0), [], "the sensor was at 2.0 to 11.0 C"),
        ("Bias", (2.0, 2.1, 2.0, 2.1, 11.0, 2.0), ["Bias-04.fits"], ""),
        ("Dark", (2.0, 2.1, 2.0, 2.1, 3.3, 2.0), ["Dark-04.fits"], ""),
        ("Bias", (2.0, 2.1, 2.0, 2.1, 3.3, 2.0), [], ""),
    ],
)
def test_temperatures_are_compared(
    tmp_path: Path, kind: str, temperatures_c: tuple[float, ...], odd: list[str], said: str
) -> None:
    frames = [
        frame(tmp_path, n, dark(n), kind, **{"CCD-TEMP": sensor_c, "SET-TEMP": 2.0})
        for n, sensor_c in enumerate(temperatures_c)
    ]
    verdict = look_at_set(frames)
    assert list(doubts(verdict)) == odd
    assert verdict.notices == ([said] if said else [])


def test_bias_frames_with_light_are_a_notice(tmp_path: Path) -> None:
    verdict = look_at_set(written(tmp_path, (dark(n) + 40_200 for n in range(5)), "Bias"))
    (notice,) = verdict.notices
    assert "the level of 40700 ADU is 62 % of the range" in notice


def test_fractions_and_tiny_frames_are_counted_not_judged(tmp_path: Path) -> None:
    tiny = [frame(tmp_path, n, np.full((1, 4), 500.0), "Dark") for n in range(3)]
    (notice,) = look_at_set(tiny).notices
    assert "3 of 3 frames are not judged" in notice
    path = tmp_path / "fractions"
    path.write_bytes(np.full(SHAPE, 0.25, ">f4").tobytes())
    whole = tiny[0]
    fractions = SetFrame(replace(whole.image, path=path, stored=path, shape=SHAPE, bits=-32, zero=0.0), whole.setup)
    assert "not judged" in look_at_set([fractions]).notices[0]


def test_a_file_that_became_shorter_is_a_fault(tmp_path: Path) -> None:
    frames = written(tmp_path, map(dark, range(4)), "Dark")
    stored = frames[2].image.stored
    stored.write_bytes(stored.read_bytes()[:1000])
    (fault,) = look_at_set(frames).faults
    assert fault.path == stored


def test_a_file_system_may_return_a_few_bytes_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = written(tmp_path, map(dark, range(4)), "Dark")
    whole = [sample(each.image, each.setup, 16) for each in frames]
    read = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, offset: read(file, [buffers[0][:101]], offset))
    assert look_at_set(frames).faults == []
    for each, expected in zip(frames, whole, strict=True):
        found = sample(each.image, each.setup, 16)
        assert found is not None
        assert expected is not None
        assert found.measured.digest == expected.measured.digest


def test_saturation_is_read_before_the_overscan_is_subtracted(tmp_path: Path) -> None:
    # Levels of the overscan that differ from row to row spread the saturated values over many levels.
    levels = np.random.default_rng(0).normal(2000, 50, (SHAPE[0], 1))
    frames = [
        frame(tmp_path, n, np.full(SHAPE, 66_000 - levels + n), "Flat")._replace(
            raw=frame(tmp_path, 10 + n, np.full(SHAPE, 65_535.0), "Flat").image
        )
        for n in range(4)
    ]
    assert look_at_set(frames, 1024.0).all_saturated
    assert not look_at_set([each._replace(raw=None) for each in frames], 1024.0).all_saturated
