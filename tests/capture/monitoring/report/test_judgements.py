"""Tests for the verdicts on masters."""

from dataclasses import replace
from datetime import UTC, datetime

from coldframe.capture.monitoring.report.contents import (
    CameraReport,
    LightsReport,
    MasterReport,
    SetReport,
    SetState,
)
from coldframe.capture.monitoring.report.judgements import judgement_of
from coldframe.config.frames import FrameKind

AT = datetime(2026, 11, 22, 5, tzinfo=UTC)
DARK = SetReport("dark 300 s", FrameKind.DARK, None, 300.0, 30, 30, 0, SetState.MADE, "", (), (), ())
FLAT = replace(DARK, title="flat Ha", kind=FrameKind.FLAT, filter="Ha", exposure_s=None)
MASTER = MasterReport("masters/m.fits", AT, 30, 500.0, 1.4, 0.0)
LIGHTS = LightsReport("Ha", "", "lights", "Ha", 300.0, 12, "clean", (), (), sky_adu=400.0, noise_adu=18.0)
CAMERA = CameraReport("Camera", 100.0, 0.8, 3.0, None, None, None, (), ())


def test_a_dark_is_judged_by_the_noise_of_the_lights() -> None:
    assert judgement_of(DARK, MASTER, [LIGHTS], []) == "good: noise 1.4 ADU adds 0.3 % to a 300 s light"
    noisy = replace(MASTER, noise=7.0)
    assert judgement_of(DARK, noisy, [LIGHTS], []) == (
        "weak: noise 7 ADU adds 7.3 % to a 300 s light; more frames would help"
    )
    assert judgement_of(DARK, replace(MASTER, noise=3.5), [LIGHTS], []).startswith("acceptable: noise 3.5 ADU")


def test_without_lights_the_read_noise_is_the_smallest_noise() -> None:
    other = replace(LIGHTS, exposure_s=60.0)
    assert judgement_of(DARK, replace(MASTER, noise=0.5), [other], [CAMERA]) == (
        "good: noise 0.5 ADU adds 0.88 % at most to a light"
    )
    assert judgement_of(DARK, MASTER, [], []) == ""


def test_a_flat_is_judged_by_the_sky() -> None:
    flat = replace(MASTER, level=1.0, noise=0.0012)
    assert judgement_of(FLAT, flat, [LIGHTS], []) == "good: noise 0.12 % adds 0.036 % to a 300 s Ha light"
    assert judgement_of(FLAT, flat, [replace(LIGHTS, filter="L")], []) == ""


def test_masters_that_are_not_applied_to_lights_are_not_judged() -> None:
    assert judgement_of(replace(DARK, kind=FrameKind.BIAS, exposure_s=None), MASTER, [LIGHTS], [CAMERA]) == ""
    assert judgement_of(DARK, replace(MASTER, noise=float("nan")), [LIGHTS], [CAMERA]) == ""
