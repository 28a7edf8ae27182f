"""The differences between headers as evidence for the causes of findings."""

from collections.abc import Mapping
from dataclasses import replace

from coldframe.calibration.diagnosis.findings import Diagnosis, Finding, Kind
from coldframe.config.frames import FrameKind

_DARK = (FrameKind.DARK, FrameKind.BIAS)

CONCERNED: Mapping[Kind, tuple[FrameKind, ...]] = {
    Kind.DUST: (FrameKind.FLAT,),
    Kind.OVERCORRECTION: (FrameKind.FLAT, *_DARK),
    Kind.BANDING: _DARK,
    Kind.AMP_GLOW: _DARK,
    Kind.COLOUR: (FrameKind.FLAT,),
    Kind.GRADIENT: (FrameKind.FLAT, *_DARK),
    Kind.OFFSET: _DARK,
    Kind.TEMPERATURE: _DARK,
}
"""Masters whose settings may explain each kind of artifact."""


def with_header_evidence(diagnosis: Diagnosis, differences: Mapping[FrameKind, tuple[str, ...]]) -> Diagnosis:
    """Return a diagnosis whose evidence includes the settings in which masters differ from the lights.

    Parameters
    ----------
    diagnosis
        The diagnosis.
    differences
        Differences as text, by kind of master.
    """
    return replace(diagnosis, findings=tuple(_with_evidence(each, differences) for each in diagnosis.findings))


def _with_evidence(finding: Finding, differences: Mapping[FrameKind, tuple[str, ...]]) -> Finding:
    stated = [
        f"by its header, the {kind} differs from the lights: {', '.join(differences[kind])}"
        for kind in CONCERNED.get(finding.kind, ())
        if differences.get(kind)
    ]
    return replace(finding, evidence="; ".join([finding.evidence, *stated])) if stated else finding
