"""What masters show by themselves, in simulated nights with one fault and without any."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from coldframe.calibration.diagnosis.estimating.thinned_masters import find_hot
from coldframe.calibration.diagnosis.findings import Finding, Kind
from coldframe.calibration.diagnosis.masters.darks import Expected
from coldframe.calibration.diagnosis.masters.lines import find_lines
from coldframe.calibration.diagnosis.masters.looking import LightsAtHand, look_at_master, look_with_lights
from coldframe.calibration.masters.reading import MasterPlanes
from coldframe.config.frames import FrameKind
from tests.calibration.diagnosis import faults
from tests.calibration.diagnosis.faults import Fault
from tests.calibration.diagnosis.nights import Simulated, draw, simulate

NONE = faults.none()


@cache
def night(seed: int, fault: Fault = NONE, mosaic: str | None = None, lights: int = 1) -> Simulated:
    return simulate(draw(seed, lights=lights, mosaic=mosaic), fault)


def found(findings: list[Finding], words: str) -> list[Finding]:
    return [each for each in findings if words in each.cause]


def harmful(findings: list[Finding]) -> list[str]:
    return [each.cause for each in findings if each.matters]


def of_flat(simulated: Simulated, *, frames: bool = True) -> list[Finding]:
    raws = simulated.raw(FrameKind.FLAT, simulated.night.flats) if frames else None
    return look_at_master(simulated.masters.flat, frames=raws, bias=simulated.masters.dark_flat)


def of_dark(simulated: Simulated) -> list[Finding]:
    masters = simulated.masters
    return look_at_master(masters.dark, bias=masters.bias, flat=masters.flat)


@pytest.mark.parametrize("mosaic", [None, "RGGB"])
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_clean_masters_raise_no_alarm(seed: int, mosaic: str | None) -> None:
    clean = night(seed, mosaic=mosaic)
    assert harmful(of_flat(clean)) == []
    assert harmful(of_flat(clean, frames=False)) == []
    assert harmful(of_dark(clean)) == []
    assert harmful(look_at_master(clean.masters.bias)) == []
    for each in (*of_flat(clean), *of_dark(clean)):
        assert each.kind is Kind.MASTERS
        assert each.cause
        assert each.evidence


@pytest.mark.parametrize("mosaic", [None, "RGGB"])
def test_a_flat_that_was_smoothed_lacks_the_response_of_pixels(mosaic: str | None) -> None:
    smoothed = night(3, faults.smoothed_flat(0.35), mosaic)
    (finding,) = found(of_flat(smoothed), "smoothed")
    assert finding.matters
    assert 0.2 < finding.size < 0.5
    assert found(of_flat(smoothed, frames=False), "smoothed")


def test_frames_of_the_master_share_its_noise() -> None:
    clean = night(3)
    master = clean.masters.flat
    frames = list(clean.raw(FrameKind.FLAT, 8))
    dark = clean.masters.dark_flat
    assert dark is not None
    mean = np.mean([frame - dark.mean for frame in frames], axis=0).astype(np.float32)
    own = replace(master, mean=mean / mean.mean(), header={**master.header, "STACKCNT": len(frames)})
    (finding,) = found(look_at_master(own, frames=frames, are_combined=True, bias=dark), "shows the response")
    assert finding.evidence.startswith("it shows 1.0") or finding.evidence.startswith("it shows 0.99")


def test_flicker_leaves_bands() -> None:
    flat = night(3).masters.flat
    rows = np.arange(flat.mean.shape[0])[:, None]
    banded = replace(flat, mean=(flat.mean * (1 + 3e-4 * np.sin(2 * np.pi * rows / 41))).astype(np.float32))
    (finding,) = found(look_at_master(banded), "bands")
    assert finding.matters
    assert finding.size == pytest.approx(3e-4, rel=0.25)
    assert "41" in finding.cause
    assert "longer exposure" in finding.fix
    assert not found(look_at_master(banded, previous=banded), "flickers")


def test_odd_lines_are_found_before_they_matter() -> None:
    flat = night(3).masters.flat
    rows = np.arange(flat.mean.shape[0])[:, None]
    uneven = (flat.mean * (1 + 5e-5 * np.where(rows % 2 == 0, 1, -1))).astype(np.float32)
    lines = find_lines(uneven, None)
    assert lines is not None
    assert lines.alternation is not None
    assert lines.alternation.value == pytest.approx(1e-4, abs=4e-5)
    assert lines.alternate


def test_dew_that_dries_is_found() -> None:
    (finding,) = found(of_flat(night(3, faults.dew(0.003))), "drying dew")
    assert finding.matters


def test_an_odd_frame_is_named() -> None:
    (finding,) = found(of_flat(night(3, faults.odd_frame(0.05))), "flat 4 of")
    assert finding.size == pytest.approx(0.05, abs=0.005)


def test_a_dark_without_hot_pixels() -> None:
    (finding,) = found(of_dark(night(3, faults.cold_dark())), "no hot pixels")
    assert finding.matters


def test_dithered_lights_decide_whether_a_dark_lacks_hot_pixels() -> None:
    cold, sound = night(3, faults.cold_dark()).masters.dark, night(3).masters.dark
    lacking, complete = (LightsAtHand(300.0, 20.0, 500.0, fraction) for fraction in (1e-3, 0.0))
    assert found(with_lights(cold, lacking), "that the lights have")
    assert not found(with_lights(cold, complete), "hot pixels")
    assert not found(with_lights(sound, complete), "hot pixels")


def with_lights(dark: MasterPlanes, lights: LightsAtHand) -> list[Finding]:
    return look_with_lights(dark, find_hot(dark, 1), dark.mean.size, lights)


def test_light_in_a_dark_follows_the_response_of_pixels() -> None:
    (finding,) = found(of_dark(night(3, faults.lit_dark(10))), "light of")
    assert finding.size == pytest.approx(10, abs=2)
    assert finding.unit == "ADU"


def test_more_signal_than_the_camera_is_known_to_have() -> None:
    masters = night(3).masters
    known = Expected(dark_current_e_per_s=1e-4)
    assert found(look_at_master(masters.dark, bias=masters.bias, expected=known), "electrons per second")


def test_a_dark_below_its_bias_is_impossible() -> None:
    masters = night(3).masters
    low = replace(masters.dark, mean=masters.dark.mean - np.float32(30))
    (finding,) = found(look_at_master(low, bias=masters.bias), "below the bias")
    assert finding.matters


def test_flats_that_are_saturated_faint_or_unsubtracted() -> None:
    assert harmful(of_flat(night(3, faults.saturated_flat(0.2)), frames=False))
    assert found(of_flat(night(3, faults.unsubtracted_flat()), frames=False), "nothing was subtracted")
    flat = night(3).masters.flat
    faint = replace(flat, header={**flat.header, "CFLEVEL": 500.0})
    (finding,) = found(look_at_master(faint), "dark")
    assert finding.matters


def test_a_flat_that_is_not_normalised() -> None:
    flat = night(3).masters.flat
    assert found(look_at_master(replace(flat, mean=flat.mean * np.float32(25_000))), "not normalised")
    colours = night(3, faults.channel_level(0.02), "RGGB").masters.flat
    (finding,) = found(look_at_master(colours), "colours of the flat")
    assert finding.matters


def test_changes_since_the_previous_flat() -> None:
    now = night(3).masters.flat
    moved = replace(now, mean=np.roll(now.mean, 8, axis=1))
    (finding,) = found(look_at_master(moved, previous=now), "moved")
    assert finding.size == pytest.approx(8, abs=1)
    assert harmful(look_at_master(now, previous=now)) == []


def test_changes_since_the_previous_dark() -> None:
    masters = night(3).masters
    old = night(3, faults.old_dark(0.3)).masters.dark
    assert found(look_at_master(masters.dark, previous=old), "hot pixels have changed")
    warmer = night(3, faults.dark_temperature_c(1)).masters.dark
    (finding,) = found(look_at_master(warmer, previous=masters.dark), "times the signal")
    assert finding.size == pytest.approx(2 ** (1 / 6) - 1, abs=0.02)
    higher = replace(masters.bias, mean=masters.bias.mean + np.float32(10))
    (level,) = found(look_at_master(higher, previous=masters.bias), "level of the bias")
    assert level.size == pytest.approx(10, abs=1)


def test_few_frames_add_noise() -> None:
    (good,) = found(of_dark(night(3)), "noise")
    assert not good.matters
    (large,) = found(of_dark(night(3, faults.few_darks(3))), "too large: the noise")
    assert large.matters
    assert "instead of 3" in large.fix


def test_small_and_unknown_images_yield_nothing() -> None:
    plane = np.ones((20, 30), np.float32)
    assert look_at_master(MasterPlanes(plane, plane, plane, None, {"IMAGETYP": "Master Flat"})) == []
    large = np.ones((200, 300), np.float32)
    assert look_at_master(MasterPlanes(large, large, large, None, {})) == []
