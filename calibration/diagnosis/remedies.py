"""The remedy for each finding: which set to shoot again, and how."""

from collections.abc import Iterable
from dataclasses import replace

from coldframe.calibration.diagnosis.examination import Examination, frames_of
from coldframe.calibration.diagnosis.findings import Finding, Kind, Origin
from coldframe.calibration.diagnosis.judging import noise, shapes
from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.calibration.masters.reading import MasterPlanes

_BY_KIND = {
    Kind.DUST: Remedy.NEW_FLATS,
    Kind.OVERCORRECTION: Remedy.DARK_FLATS,
    Kind.COLOUR: Remedy.NEW_FLATS,
    Kind.AMP_GLOW: Remedy.NEW_DARKS,
    Kind.OFFSET: Remedy.NEW_DARKS,
    Kind.TEMPERATURE: Remedy.NEW_DARKS,
}


def remedy_for(finding: Finding, examined: Examination) -> tuple[Remedy, int | None]:
    """Return the remedy for a finding, and the number of frames that the master needs.

    The number is None if it is unknown, or if more frames would not help.

    Parameters
    ----------
    finding
        A finding of the given examination.
    examined
        The examination.
    """
    if finding.origin is Origin.PEDESTAL_OF_LIGHTS:
        return Remedy.NEW_DARKS, None
    if finding.kind is Kind.BANDING:
        return _against_banding(finding, examined)
    if finding.kind is Kind.GRADIENT:
        is_flat = _is_among(finding, shapes.gradient_findings(examined))
        return (Remedy.NEW_FLATS if is_flat else Remedy.NEW_DARKS), None
    return _BY_KIND.get(finding.kind, Remedy.NONE), None


def _against_banding(finding: Finding, examined: Examination) -> tuple[Remedy, int | None]:
    masters = examined.masters
    for remedy, master, alone in (
        (Remedy.MORE_DARKS, masters.dark, replace(examined, flat_fraction=0.0)),
        (Remedy.MORE_FLATS, masters.flat, replace(examined, dark_fraction=0.0)),
    ):
        if master is not None and _is_among(finding, noise.budget_findings(alone)):
            return remedy, _frames_wanted(finding, master)
    if finding.size in {lines.alternating_adu.value for lines in (examined.rows, examined.columns)}:
        return Remedy.LONGER_FLATS, None
    common = {lines.common_adu2.error for lines in (examined.rows, examined.columns)}
    is_common = any(abs(2 * finding.size * finding.error - error) <= 1e-9 * error for error in common)
    return (Remedy.NEW_DARKS if is_common else Remedy.NONE), None


def _frames_wanted(finding: Finding, master: MasterPlanes) -> int | None:
    frames = frames_of(master)
    return None if frames is None else int(frames * finding.significance) + 1


def _is_among(finding: Finding, others: Iterable[Finding]) -> bool:
    """Return whether a finding is among those of a test.

    The evidence is not compared, because evidence from headers might have been added to it.
    """
    return any((each.kind, each.size, each.unit) == (finding.kind, finding.size, finding.unit) for each in others)
