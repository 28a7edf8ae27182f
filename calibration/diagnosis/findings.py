"""The result of a diagnosis: findings, each with its size, significance, cause, evidence and remedy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """Kinds of artifacts that calibrated lights or masters show."""

    DUST = "dust"
    OVERCORRECTION = "overcorrection"
    BANDING = "banding"
    AMP_GLOW = "amp-glow"
    COLOUR = "colour"
    GRADIENT = "gradient"
    OFFSET = "offset"
    TEMPERATURE = "temperature"
    MASTERS = "masters"


class Origin(StrEnum):
    """Origins of findings that explain other findings or are explained by them.

    Decisions depend on these values, because causes are texts for people.
    """

    PEDESTAL_OF_LIGHTS = "pedestal of lights"
    OTHER_SHADOWS = "other shadows"
    WEAK_SHADOWS = "weak shadows"
    SATURATED_FLAT = "saturated flat"
    HOT_PIXELS_REMOVED = "hot pixels removed"


@dataclass(frozen=True, slots=True)
class Finding:
    """An artifact, or a fault of a master.

    Attributes
    ----------
    kind
        Kind of the artifact.
    cause
        Most probable cause; the text says so if several causes are possible.
    size, error
        Size of the artifact and its standard error, in `unit`.
    unit
        Unit of the size, such as "ADU" or "px".
    significance
        Size divided by its standard error, or the square root of the improvement in chi-square.
    matters
        True if the artifact is visible in a stack of these lights.
    evidence
        The measurements that point to the cause.
    fix
        The remedy, with a command if there is one.
    harm
        Sort key of findings, derived from the size relative to noise or limits; at least 1 if the finding matters.
    origin
        The origin, if other findings depend on it; otherwise None.
    """

    kind: Kind
    cause: str
    size: float
    unit: str
    error: float
    significance: float
    matters: bool
    evidence: str
    fix: str
    harm: float = 0.0
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The smallest size of an artifact that would have been found.

    Attributes
    ----------
    size
        The size in `unit`.
    unit
        Unit of the size.
    what
        The quantity to which the size refers, such as "depth of a new shadow of 12 px".
    """

    size: float
    unit: str
    what: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The findings for one set of lights.

    Attributes
    ----------
    lights
        Number of lights.
    findings
        All findings, the most harmful first.
    seen_down_to
        For each kind of artifact that could be tested, the smallest size that would have been found.
    untested
        For each kind of artifact that could not be tested, the reason.
    """

    lights: int
    findings: tuple[Finding, ...]
    seen_down_to: Mapping[Kind, Sensitivity] = field(default_factory=dict)
    untested: Mapping[Kind, str] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """True if no finding matters."""
        return not any(finding.matters for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        harmful = [finding for finding in self.findings if finding.matters]
        if not harmful:
            return "The lights calibrate cleanly."
        others = len(harmful) - 1
        more = "" if not others else f" (and {others} more {'finding' if others == 1 else 'findings'})"
        return f"The lights do not calibrate cleanly: {harmful[0].cause}{more}."
