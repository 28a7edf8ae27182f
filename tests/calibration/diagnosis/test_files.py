"""The conclusions that a diagnosis draws from files and headers, apart from its estimates."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.diagnosis.diagnosing import diagnose
from coldframe.calibration.diagnosis.estimating.thinned_masters import Masters, thinned_masters
from coldframe.calibration.diagnosis.examination import Examination, examine
from coldframe.calibration.diagnosis.files import Stage, in_adu, light_source
from coldframe.calibration.diagnosis.findings import Diagnosis, Finding, Kind, Sensitivity
from coldframe.calibration.diagnosis.header_evidence import with_header_evidence
from coldframe.calibration.diagnosis.negative_pixels import expected_fraction, negative_findings
from coldframe.calibration.diagnosis.quick_look import MasterSummary, QuickLook, examined_rows
from coldframe.calibration.diagnosis.untestable import Knowledge, with_readout_noise, with_reasons, without_untestable
from coldframe.calibration.frames.matching import pixel_faults, settings_differences
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.lights.arithmetic import correction, dark_subtraction
from coldframe.config.frames import FrameKind
from tests.calibration.diagnosis import faults, nights
from tests.calibration.diagnosis.faults import Fault

FINDING = Finding(Kind.TEMPERATURE, "warm", 3.0, "C", 0.1, 30.0, matters=True, evidence="hot pixels", fix="new darks")
ALL_KNOWN = Knowledge(flat_divided=True, readout_noise=True, flat_uncertainty=True, hot_replaced=False)
SIZE = (256, 384)


def simulated(fault: Fault | None = None) -> nights.Simulated:
    return nights.simulate(nights.draw(7, size=SIZE, lights=4, program="nina"), fault)


def setup_in(night: nights.Simulated) -> FrameSetup:
    return setup_of(dict(night.headers[0]) | {"NAXIS1": SIZE[1], "NAXIS2": SIZE[0]})


def masters_of(night: nights.Simulated) -> Masters:
    made = night.masters
    planes = correction(dark_subtraction(made.dark), made.flat)
    return thinned_masters(planes, made.dark, made.bias, made.flat, period=1)


@pytest.fixture(scope="module")
def examined() -> Examination:
    night = simulated()
    return examine((each.astype(np.float32) for each in nights.calibrated(night)), setup_in(night), masters_of(night))


# ---- the quick look ----


def looked_at(night: nights.Simulated) -> list[Finding] | None:
    masters = masters_of(night)
    summary = MasterSummary(1)
    summary.add(FrameKind.DARK, night.masters.dark)
    summary.add(FrameKind.FLAT, night.masters.flat)
    look = QuickLook(setup_in(night), summary, masters.planes, night.night.e_per_adu)
    for number, light in enumerate(night.lights):
        look.measure(Path(f"{number}.fits"), light[look.rows(light.shape)])
    return look.findings()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.offset_adu(60), Kind.OFFSET),
        (faults.offset_adu(-900), Kind.OFFSET),
        (faults.dark_temperature_c(-3), Kind.TEMPERATURE),
        (faults.fixed_columns(6), Kind.BANDING),
    ],
    ids=str,
)
def test_a_quick_look_finds(fault: Fault, kind: Kind) -> None:
    found = looked_at(simulated(fault))
    assert found
    assert found[0].kind is kind


def test_a_quick_look_at_a_clean_night_finds_nothing() -> None:
    assert looked_at(simulated()) == []


def test_a_quick_look_at_few_pixels_concludes_nothing() -> None:
    night = simulated()
    look = QuickLook(setup_in(night), MasterSummary(1), masters_of(night).planes, None)
    assert look.findings() is None


@pytest.mark.parametrize(("shape", "parts"), [((256, 384), 1), ((2000, 4000), 4), ((4176, 6248), 8)])
def test_large_sensors_are_examined_in_part(shape: tuple[int, int], parts: int) -> None:
    rows = np.arange(shape[0])[examined_rows(shape)]
    assert rows.size / shape[0] == pytest.approx(1 / parts, rel=0.1)
    assert rows.size % 4 == 0
    assert rows.min() <= shape[0] / 6
    assert rows.max() >= shape[0] * 5 / 6


# ---- what cannot be tested ----


def test_everything_known_changes_nothing(examined: Examination) -> None:
    assert without_untestable(examined, ALL_KNOWN) is examined
    found = diagnose(examined)
    assert with_reasons(found, ALL_KNOWN, {}) == found


@pytest.mark.parametrize("missing", ["readout_noise", "flat_uncertainty"])
def test_uncertainties_are_needed_for_pedestals(examined: Examination, missing: str) -> None:
    known = replace(ALL_KNOWN, **{missing: False})
    found = with_reasons(diagnose(without_untestable(examined, known)), known, {})
    assert {Kind.OFFSET, Kind.OVERCORRECTION} <= set(found.untested)
    assert "UNCERT" in found.untested[Kind.OFFSET]
    assert Kind.OFFSET not in found.seen_down_to


@pytest.mark.parametrize("replaced", [True, None])
def test_replaced_hot_pixels_show_no_temperature(examined: Examination, replaced: bool | None) -> None:  # noqa: FBT001
    known = replace(ALL_KNOWN, hot_replaced=replaced)
    found = with_reasons(diagnose(without_untestable(examined, known)), known, {})
    assert "replaced" in found.untested[Kind.TEMPERATURE]


def test_reasons_for_missing_masters_replace_general_ones(examined: Examination) -> None:
    without_flat = replace(examined, masters=replace(examined.masters, flat=None))
    known = replace(ALL_KNOWN, flat_divided=False)
    found = with_reasons(diagnose(without_untestable(without_flat, known)), known, {Kind.DUST: "no flat fits"})
    assert found.untested[Kind.DUST] == found.untested[Kind.GRADIENT] == "no flat fits"


def test_limits_are_finite() -> None:
    found = Diagnosis(3, (), {Kind.DUST: Sensitivity(float("inf"), "%", "depth")})
    known = with_reasons(found, ALL_KNOWN, {})
    assert not known.seen_down_to
    assert known.untested[Kind.DUST].startswith("too few pixels")


def test_shadows_need_light(examined: Examination) -> None:
    below = without_untestable(replace(examined, sky_adu=-3.0), ALL_KNOWN)
    assert Kind.DUST in with_reasons(diagnose(below), ALL_KNOWN, {}).untested


def test_lights_state_the_readout_noise_that_masters_lack() -> None:
    night = simulated()
    planes = masters_of(night).planes
    unknown = replace(planes, dark_variance=np.zeros_like(planes.dark_variance))
    signal = np.random.default_rng(1).normal(100, 7, SIZE).astype(np.float32)
    assert with_readout_noise(planes, signal, 1) is planes
    assert with_readout_noise(unknown, signal, 2).dark_variance == pytest.approx(np.full(SIZE, 49), rel=0.05)


# ---- evidence, and pixels below zero ----


def test_only_masters_that_matter_are_evidence() -> None:
    differences = {FrameKind.DARK: ("exposure differs by 60 s", "stale"), FrameKind.FLAT: ("filter is R instead of L",)}
    (found,) = with_header_evidence(Diagnosis(1, (FINDING,)), differences).findings
    assert found.evidence == (
        "hot pixels; according to its header, the dark differs from the lights: exposure differs by 60 s, stale"
    )
    assert with_header_evidence(Diagnosis(1, (FINDING,)), {}).findings == (FINDING,)


@pytest.mark.parametrize(
    ("sky_adu", "noise_adu", "negative", "is_found"),
    [
        (100, 10, 0.0, False),
        (0, 10, 0.5, False),
        (10, 10, 0.17, False),
        (-5, 10, 0.69, True),
        (100, 10, 0.1, True),
        (-0.5, 2, 0.6, False),
    ],
)
def test_pixels_below_zero(
    examined: Examination, sky_adu: float, noise_adu: float, negative: float, *, is_found: bool
) -> None:
    seen = replace(examined, sky_adu=float(sky_adu), noise_adu=float(noise_adu), negative=negative)
    assert bool(list(negative_findings(seen, ()))) is is_found
    offset = replace(FINDING, kind=Kind.OFFSET)
    assert list(negative_findings(seen, (offset,))) == []


def test_the_expected_fraction_below_zero() -> None:
    assert expected_fraction(0, 5) == pytest.approx(0.5)
    assert expected_fraction(5, 5) == pytest.approx(0.1587, abs=1e-4)
    assert expected_fraction(1, 0) == 0


# ---- masters and lights ----


def test_masters_are_compared_by_pixels_and_by_settings() -> None:
    night = simulated()
    light, dark = setup_in(night), setup_of(night.masters.dark.header)
    assert pixel_faults(light, dark, FrameKind.DARK) == ()
    assert settings_differences(light, dark, FrameKind.DARK) == ()
    other = replace(dark, exposure_s=999.0, temperature_c=0.0)
    assert pixel_faults(light, other, FrameKind.DARK) == ()
    assert [each.split()[0] for each in settings_differences(light, other, FrameKind.DARK)] == [
        "temperature",
        "exposure",
    ]
    assert pixel_faults(light, replace(dark, width=9), FrameKind.DARK)[0].startswith("size is 9")
    assert pixel_faults(light, dark, FrameKind.FLAT) == ("it is a dark, not a flat",)


def test_fractions_are_scaled_to_adu() -> None:
    assert in_adu(np.array([[0.5, 1]], np.float32)).tolist() == [[32767.5, 65535]]
    assert in_adu(np.full((2, 2), 1.5, np.float32)).tolist() == [[1.5, 1.5], [1.5, 1.5]]
    with_star = np.full((100, 100), 0.5, np.float32)
    with_star[50, 50] = 1.5
    assert in_adu(with_star).max() == pytest.approx(98302.5)
    assert in_adu(np.array([[0, 1]], np.uint16)).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("pp_light_00001.fit", Stage.OTHER),
        ("light_c.fits", Stage.OTHER),
        ("M31-cal.fits", Stage.OTHER),
        ("pp_light.fits.fz", Stage.OTHER),
        ("light_0001.fits", Stage.RAW),
        ("M31_Abc.fits", Stage.RAW),
    ],
)
def test_names_show_the_stage(monkeypatch: pytest.MonkeyPatch, name: str, stage: Stage) -> None:
    header = {"NAXIS1": 960, "NAXIS2": 640, "IMAGETYP": "Light Frame"}
    monkeypatch.setattr("coldframe.calibration.diagnosis.files.read_image_header", lambda *_: header)
    assert light_source(Path(name)).stage is stage
    assert light_source(Path(name), stage=Stage.RAW).stage is Stage.RAW
