"""Report the diagnoses of the night's lights."""

from collections.abc import Iterable

from coldframe.capture.events.verification import Artifact, LightsVerified
from coldframe.capture.monitoring.progress.quantities import exposure_text, printable
from coldframe.capture.monitoring.progress.verification_words import latest_of, line_of, set_text
from coldframe.capture.monitoring.report.contents import ArtifactReport, LightsReport


def lights_reports(verified: Iterable[LightsVerified]) -> tuple[LightsReport, ...]:
    """Return the reports on the latest diagnosis of each set, with the lights first."""
    return tuple(map(_lights_report, latest_of(verified)))


def _lights_report(event: LightsVerified) -> LightsReport:
    exposure = "" if event.exposure_s is None or event.filter is None else f", {exposure_text(event.exposure_s)}"
    return LightsReport(
        title=printable(f"{set_text(event)}{exposure}"),
        sentence=printable(line_of(event)),
        frames=event.frames.value,
        filter=event.filter,
        exposure_s=event.exposure_s,
        count=event.count,
        cleanness=event.cleanness.value,
        masters=tuple(map(printable, event.masters)),
        sky_adu=event.sky_adu,
        noise_adu=event.noise_adu,
        artifacts=tuple(map(_artifact_report, event.artifacts)),
    )


def _artifact_report(artifact: Artifact) -> ArtifactReport:
    return ArtifactReport(
        kind=artifact.kind.value,
        cause=printable(artifact.cause),
        size=artifact.size,
        unit=artifact.unit,
        error=artifact.error,
        significance=artifact.significance,
        evidence=printable(artifact.evidence),
        fix=printable(artifact.fix),
        remedy=artifact.remedy.value,
    )
