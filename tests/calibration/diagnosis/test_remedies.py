"""Tests for the remedies of findings in simulated nights."""

from dataclasses import replace

import pytest

from coldframe.calibration.diagnosis.diagnosing import diagnose
from coldframe.calibration.diagnosis.examination import examine
from coldframe.calibration.diagnosis.findings import Kind, Origin
from coldframe.calibration.diagnosis.remedies import remedy_for
from coldframe.calibration.diagnosis.remedy import Remedy
from tests.calibration.diagnosis import faults
from tests.calibration.diagnosis.faults import Fault
from tests.calibration.diagnosis.night import Night
from tests.calibration.diagnosis.nights import calibrated, simulate
from tests.calibration.diagnosis.test_files import masters_of, setup_in

NIGHT = Night(7, nebula_fill=0.0)


@pytest.mark.parametrize(
    ("fault", "kind", "remedy"),
    [
        (faults.few_darks(3), Kind.BANDING, Remedy.MORE_DARKS),
        (faults.few_flats(2), Kind.BANDING, Remedy.MORE_FLATS),
        (faults.odd_even(0.05), Kind.BANDING, Remedy.LONGER_FLATS),
        (faults.fixed_rows(3.0), Kind.BANDING, Remedy.NEW_DARKS),
        (faults.row_noise(6.0), Kind.BANDING, Remedy.NONE),
        (faults.flat_pedestal(0.08), Kind.OVERCORRECTION, Remedy.DARK_FLATS),
        (faults.dust_shift_px(9.0), Kind.DUST, Remedy.NEW_FLATS),
        (faults.dark_temperature_c(3.0), Kind.TEMPERATURE, Remedy.NEW_DARKS),
        (faults.offset_adu(60.0), Kind.OFFSET, Remedy.NEW_DARKS),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else str(value),
)
def test_the_remedy_follows_from_the_cause(fault: Fault, kind: Kind, remedy: Remedy) -> None:
    night = simulate(NIGHT, fault)
    examined = examine(calibrated(night), setup_in(night), masters_of(night))
    found = [each for each in diagnose(examined).findings if each.kind is kind]
    remedies = {remedy_for(each, examined) for each in found}
    assert remedy in {each for each, _ in remedies}
    frames = {wanted for each, wanted in remedies if each is remedy}
    if remedy in {Remedy.MORE_DARKS, Remedy.MORE_FLATS}:
        assert all(wanted is not None and wanted > fault.strength for wanted in frames)
    else:
        assert frames == {None}


def test_evidence_from_headers_does_not_hide_the_remedy() -> None:
    night = simulate(NIGHT, faults.few_darks(3))
    examined = examine(calibrated(night), setup_in(night), masters_of(night))
    (finding,) = (each for each in diagnose(examined).findings if each.kind is Kind.BANDING)
    assert remedy_for(replace(finding, evidence="other"), examined)[0] is Remedy.MORE_DARKS
    of_lights = replace(finding, kind=Kind.OVERCORRECTION, origin=Origin.PEDESTAL_OF_LIGHTS)
    assert remedy_for(of_lights, examined)[0] is Remedy.NEW_DARKS, "no flat is to blame"
