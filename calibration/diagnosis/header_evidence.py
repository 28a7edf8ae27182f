"""Evidence from headers: the gain of the lights, and differences that support the causes of findings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from coldframe.calibration.diagnosis.findings import Diagnosis, Finding, Kind
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.lights.files import egain
from coldframe.config.frames import FrameKind

SAME_GAIN = 0.01
"""Largest relative difference between gains that are regarded as equal; some drivers round the gain."""

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
"""For each kind of artifact, the masters whose settings might explain it."""


def with_header_evidence(diagnosis: Diagnosis, differences: Mapping[FrameKind, tuple[str, ...]]) -> Diagnosis:
    """Return a diagnosis in which the evidence for findings includes settings that differ between lights and masters.

    Parameters
    ----------
    diagnosis
        The diagnosis.
    differences
        Settings in which each kind of master differs from the lights, as text.
    """
    return replace(diagnosis, findings=tuple(_with_evidence(each, differences) for each in diagnosis.findings))


def _with_evidence(finding: Finding, differences: Mapping[FrameKind, tuple[str, ...]]) -> Finding:
    stated = [
        f"according to its header, the {kind} differs from the lights: {', '.join(differences[kind])}"
        for kind in CONCERNED.get(finding.kind, ())
        if differences.get(kind)
    ]
    return replace(finding, evidence="; ".join([finding.evidence, *stated])) if stated else finding


def stated_gain(stated: Sequence[tuple[Path, HeaderValue | None]]) -> tuple[float | None, str | None]:
    """Return the electrons per ADU on which all headers agree and, if stated values are ignored, the reason.

    Parameters
    ----------
    stated
        Each light with the value of its EGAIN card; None if the card is missing.

    Returns
    -------
    e_per_adu
        Electrons per ADU; None if no header states it, or if the headers do not agree.
    reason
        Why values in the headers are ignored; None if no value is ignored.
    """
    given = [(path, value) for path, value in stated if value is not None]
    for path, value in given:
        if egain({"EGAIN": value}) is None:
            return None, f"EGAIN is ignored: {value!r} in {path.name} is not a number above 0"
    gains = [gain for _, value in given if (gain := egain({"EGAIN": value})) is not None]
    if not gains:
        return None, None
    if max(gains) > min(gains) * (1 + SAME_GAIN):
        return None, f"EGAIN is ignored: the lights state values from {min(gains):g} to {max(gains):g}"
    return gains[0], None
