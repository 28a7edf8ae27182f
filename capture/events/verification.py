"""Define the event that reports whether lights, or flats held out from their master, calibrate cleanly."""

from dataclasses import dataclass
from enum import StrEnum

from coldframe.calibration.diagnosis.findings import Kind
from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.capture.events.kinds import Event, on_the_wire


class Verified(StrEnum):
    """The frames that were calibrated and judged."""

    LIGHTS = "lights"
    FLATS = "flats"


class Cleanness(StrEnum):
    """The result of a diagnosis. UNKNOWN means that the frames allow too few tests."""

    CLEAN = "clean"
    FAULTY = "faulty"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact that matters in a stack of the lights; see `coldframe.calibration.diagnosis.findings.Finding`.

    Attributes
    ----------
    kind, cause, size, unit, error, significance, evidence, fix
        Same as in the finding.
    remedy
        Action that removes the artifact.
    frames
        Number of frames that the master needs; None if more frames would not help.
    """

    kind: Kind
    cause: str
    size: float
    unit: str
    error: float
    significance: float
    evidence: str
    fix: str
    remedy: Remedy
    frames: int | None = None


@on_the_wire("lights-verified")
@dataclass(frozen=True, slots=True)
class LightsVerified(Event):
    """Lights, or flats held out from their master, were calibrated with the masters of this night and diagnosed.

    A later event with the same frames, filter, exposure and angle replaces an earlier one. Before the night shoots a
    set again because of an artifact, it publishes the event again, with `reshoots` set.

    Attributes
    ----------
    frames
        The frames that were judged.
    filter, exposure_s
        Filter and exposure of these frames; None if unknown.
    rotator_deg
        Rotator angle of these frames, degrees; None if unknown.
    count
        Number of frames that were read.
    cleanness
        The result.
    artifacts
        The artifacts, the most harmful first.
    masters
        Names of the masters.
    reshoots
        The remedy that the night is carrying out; None if it carries out none.
    hindrance
        Text for display: why the night does not carry out the remedy; empty if it does, or if there is no remedy.
    sky_adu, noise_adu
        Mean level of the calibrated lights, and the noise of a pixel in one of them, ADU; None for flats.
    """

    frames: Verified
    filter: str | None
    exposure_s: float | None
    count: int
    cleanness: Cleanness
    artifacts: tuple[Artifact, ...] = ()
    masters: tuple[str, ...] = ()
    reshoots: Remedy | None = None
    hindrance: str = ""
    sky_adu: float | None = None
    noise_adu: float | None = None
    rotator_deg: float | None = None

    @property
    def key(self) -> tuple[Verified, str | None, float | None, float | None]:
        """Key that identifies the judged frames; a later event with this key replaces an earlier one."""
        return self.frames, self.filter, self.exposure_s, self.rotator_deg
