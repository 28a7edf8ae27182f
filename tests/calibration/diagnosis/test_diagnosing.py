"""The diagnosis of simulated nights: each fault at the strength that must be found, and nights without faults.

`benchmarks/diagnosis.py` counts detections and false alarms over many nights; here, one night stands for each fault.
"""

import re
from dataclasses import replace

import numpy as np
import pytest

from coldframe.calibration.diagnosis.diagnosing import diagnose, with_findings, without_explained
from coldframe.calibration.diagnosis.estimating.estimates import Estimate
from coldframe.calibration.diagnosis.estimating.smoothing import SPECK_SIGMA, without_specks
from coldframe.calibration.diagnosis.findings import Diagnosis, Finding, Kind, Origin
from coldframe.calibration.diagnosis.judging.levels import OTHER_RESPONSE, pedestal_findings
from coldframe.calibration.diagnosis.masters.darks import MOST_LACKING
from tests.calibration.diagnosis import faults
from tests.calibration.diagnosis.examined_nights import diagnosed, examined
from tests.calibration.diagnosis.faults import Fault
from tests.calibration.diagnosis.nights import draw, simulate

NIGHT = draw(110)
COLOUR = draw(302, mosaic="RGGB")
STARRY = draw(31, nebula_fill=0.0)

CAUSES = {
    "offset": "a different offset",
    "flat-pedestal": "subtracted",
    "dark-leak": "light leaked into the darks",
    "dark-temperature": "the dark has a different temperature",
    "dust-shift": r"displaced by [567] px",
    "dust-rotation": "turned by 3 degrees",
    "focus": "the focus moved",
    "new-mote": "a new dust mote",
    "gone-mote": "is missing from the lights",
    "other-filter": "the shadows of the flat differ",
    "fixed-rows": "fixed pattern of rows",
    "fixed-columns": "fixed pattern of columns",
    "row-noise": "noise of rows",
    "few-darks": "too few frames in the dark",
    "few-flats": "too few frames in the flat",
    "colour": "differs between colours",
}


def first(diagnosis: Diagnosis) -> tuple[Kind, str]:
    """Return the kind and the cause of the most harmful finding."""
    found = diagnosis.findings[0]
    assert found.matters
    return found.kind, found.cause


@pytest.mark.parametrize("fault", faults.must_reach(NIGHT.sky_adu, NIGHT.noise_adu), ids=str)
def test_each_fault_is_found_with_its_cause(fault: Fault) -> None:
    diagnosis = diagnosed(NIGHT, fault)
    kind, cause = first(diagnosis)
    assert kind == fault.kind
    assert re.search(CAUSES[fault.name], cause)
    assert not diagnosis.is_clean
    assert cause in diagnosis.verdict


@pytest.mark.parametrize("form", ["plane", "bowl"])
def test_the_shape_of_a_colour_is_found(form: str) -> None:
    assert first(diagnosed(COLOUR, faults.colour(0.01, form=form)))[0] is Kind.COLOUR


@pytest.mark.parametrize("seed", range(120, 123))
@pytest.mark.parametrize("mosaic", [None, "RGGB"])
def test_clean_nights_are_clean(seed: int, mosaic: str | None) -> None:
    diagnosis = diagnosed(draw(seed, mosaic=mosaic), faults.none())
    assert diagnosis.is_clean, diagnosis.findings
    assert diagnosis.verdict == "The lights calibrate cleanly."
    assert set(diagnosis.seen_down_to) | set(diagnosis.untested) == set(Kind) - {Kind.MASTERS}


def test_a_steep_gradient_of_the_sky_is_no_fault() -> None:
    assert diagnosed(replace(NIGHT, gradient=0.3), faults.none()).is_clean


def test_an_uneven_flat_needs_a_meridian_flip() -> None:
    fault = faults.uneven_flat(0.1)
    assert first(diagnosed(replace(STARRY, flip=True), fault))[0] is Kind.GRADIENT
    without = diagnosed(replace(STARRY, flip=False), fault)
    assert "both sides of the meridian" in without.untested[Kind.GRADIENT]


def test_a_longer_dark_is_recognised_by_its_header() -> None:
    kind, cause = first(diagnosed(NIGHT, faults.dark_exposure(1.2)))
    assert kind is Kind.AMP_GLOW
    assert "exposure of the dark is longer" in cause


def test_lines_that_alternate_are_found() -> None:
    kind, cause = first(diagnosed(NIGHT, faults.odd_even(0.02)))
    assert kind is Kind.BANDING
    assert "odd and even rows" in cause


def test_a_pedestal_left_in_the_lights_is_named() -> None:
    kind, cause = first(diagnosed(NIGHT, faults.light_pedestal()))
    assert kind is Kind.OVERCORRECTION
    assert "still contain their pedestal" in cause


def test_photon_noise_counts_only_if_the_responses_agree() -> None:
    seen = examined(simulate(NIGHT))
    measured = seen.pedestals
    assert measured is not None
    sky = measured.sky_adu
    response = Estimate((-0.015 + OTHER_RESPONSE.value) * sky, 0.007 * sky)

    def found(by_noise: Estimate) -> list[Finding]:
        pedestals = replace(measured, by_response_adu=response, by_noise_adu=by_noise)
        return list(pedestal_findings(replace(seen, pedestals=pedestals, hot=None)))

    # The noise of unseen stars in a crowded field looks like a much lower level.
    assert not found(Estimate(-0.07 * sky, 0.004 * sky))
    assert found(Estimate(-0.03 * sky, 0.002 * sky))


def test_an_old_dark_is_not_one_of_another_temperature() -> None:
    kind, cause = first(diagnosed(NIGHT, faults.old_dark(0.2)))
    assert kind is Kind.TEMPERATURE
    assert "the dark is old" in cause


def test_one_light_shows_large_faults() -> None:
    night = replace(NIGHT, lights=1)
    assert first(diagnosed(night, faults.dark_temperature_c(2.0)))[0] is Kind.TEMPERATURE
    assert first(diagnosed(night, faults.flat_pedestal(0.15)))[0] is Kind.OVERCORRECTION
    assert "in a single light" in str(diagnosed(night, faults.none()).untested[Kind.BANDING])


def test_the_gain_follows_from_the_flats_and_shows_their_pedestal() -> None:
    clean = examined(simulate(NIGHT, faults.none()))
    assert clean.gain is not None
    assert clean.gain.from_flat == pytest.approx(NIGHT.e_per_adu, rel=0.01)
    wrong = examined(simulate(NIGHT, faults.flat_pedestal(0.05)))
    assert wrong.gain is not None
    assert wrong.gain.from_flat == pytest.approx(1.05 * NIGHT.e_per_adu, rel=0.015)


def test_the_temperature_follows_from_hot_pixels() -> None:
    hot = examined(simulate(NIGHT, faults.dark_temperature_c(-1.0))).hot
    assert hot is not None
    expected_c = 6.0 / NIGHT.doubling_c  # the dark current of this night doubles in other steps
    assert hot.light_warmer_c == pytest.approx(expected_c, abs=0.1)


@pytest.mark.parametrize("has_mask", [False, True])
def test_a_corner_without_light_in_the_flat_is_no_shadow(*, has_mask: bool) -> None:
    night = replace(NIGHT, nebula_fill=0.0)
    simulated = simulate(night, faults.none())
    flat = simulated.masters.flat
    height, width = flat.mean.shape
    unlit = np.add.outer(np.arange(height), np.arange(width)) < 90
    dark_corner = replace(
        flat, mean=np.where(unlit, 0, flat.mean).astype(np.float32), masked=unlit if has_mask else None
    )
    diagnosis = diagnose(examined(replace(simulated, masters=replace(simulated.masters, flat=dark_corner))))
    assert diagnosis.is_clean, diagnosis.findings


def test_hot_pixels_that_only_the_lights_have_are_counted() -> None:
    lacking = examined(simulate(NIGHT, faults.cold_dark())).lacking
    assert lacking is not None
    assert lacking > MOST_LACKING


@pytest.mark.parametrize("fault", [faults.none(), faults.old_dark(0.3), faults.dark_temperature_c(-8.0)], ids=str)
def test_a_dark_that_has_most_of_the_hot_pixels_lacks_none(fault: Fault) -> None:
    assert examined(simulate(NIGHT, fault)).lacking == 0


def test_a_dark_of_a_different_gain_is_told_from_a_warm_one() -> None:
    gain = first(diagnosed(NIGHT, faults.gain_mismatch(2.0)))
    assert gain[0] is Kind.BANDING
    assert "gain of the dark differs" in gain[1]
    for warmer_c in (6.0, -6.0, -12.0):  # 6 C double the dark current
        assert first(diagnosed(NIGHT, faults.dark_temperature_c(warmer_c, told=False)))[0] is Kind.TEMPERATURE


@pytest.mark.parametrize(
    ("origin", "explained"),
    [
        (Origin.SATURATED_FLAT, Kind.OVERCORRECTION),
        (Origin.HOT_PIXELS_REMOVED, Kind.TEMPERATURE),
        (Origin.PEDESTAL_OF_LIGHTS, Kind.DUST),
    ],
)
def test_a_finding_that_another_explains_is_left_out(origin: Origin, explained: Kind) -> None:
    finding = Finding(explained, "", 1.0, "", 0.1, 10.0, matters=True, evidence="", fix="")
    other = replace(finding, kind=Kind.BANDING)
    reason = replace(finding, kind=Kind.MASTERS, origin=origin)
    assert without_explained([finding, other, reason]) == [other, reason]


@pytest.mark.parametrize("seed", [1, 2])
def test_lights_without_dithering_are_not_taken_for_dithered(seed: int) -> None:
    night = draw(seed, dither_px=0)
    for fault in (faults.none(), faults.cold_dark()):
        seen = examined(simulate(night, fault))
        assert not seen.pattern.is_dithered
        assert seen.lacking is None


def test_what_a_finding_hides_is_not_tested() -> None:
    diagnosis = diagnose(examined(simulate(NIGHT, faults.flat_pedestal(0.06))))
    assert Kind.OVERCORRECTION in {each.kind for each in diagnosis.findings}
    saturated = replace(diagnosis.findings[0], kind=Kind.MASTERS, cause="saturated", origin=Origin.SATURATED_FLAT)
    hidden = with_findings(diagnosis, (saturated,))
    assert Kind.OVERCORRECTION not in {each.kind for each in hidden.findings}
    assert "saturated" in hidden.untested[Kind.OVERCORRECTION]
    assert Kind.OVERCORRECTION not in hidden.seen_down_to


@pytest.mark.parametrize(
    ("seed", "fault", "cause"),
    [
        (202, faults.other_filter_flat(), "a different filter"),
        (207, faults.focus(0.85), "focus"),
        (203, faults.dust_shift_px(12, form="filter"), "displaced"),
        (205, faults.new_mote(0.04), "new dust mote"),
    ],
    ids=str,
)
def test_single_shadows_decide_what_happened_to_dust(seed: int, fault: Fault, cause: str) -> None:
    kind, named = first(diagnosed(draw(seed, size=(700, 1000)), fault))
    assert kind is Kind.DUST
    assert cause in named


def test_lights_below_zero_match_by_their_stars() -> None:
    night = simulate(STARRY)
    dark = np.median(night.masters.dark.mean)
    low = [np.maximum(light - np.median(light) + dark - 50, 0).astype(np.uint16) for light in night.lights]
    seen = examined(replace(night, lights=low))
    assert seen.sky_adu < 0
    assert seen.pattern.is_dithered


def test_a_single_dark_bin_is_no_shadow() -> None:
    plane = np.zeros((20, 20), np.float32)
    plane[5, 5] = -1
    plane[10:13, 10:13] = -1
    cleaned = without_specks(plane, np.full_like(plane, 1e4))
    assert cleaned[5, 5] == pytest.approx(-SPECK_SIGMA / 100)
    assert (cleaned[10:13, 10:13] == -1).all()
