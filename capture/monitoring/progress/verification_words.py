"""Describe in sentences whether the night's lights calibrate cleanly, and what to do if they do not."""

from collections.abc import Iterable, Sequence

from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.capture.events.verification import Artifact, Cleanness, LightsVerified, Verified
from coldframe.capture.monitoring.progress.quantities import exposure_text

MOST_FAULTS = 2
"""Maximum number of faulty sets that the sentences about a night describe; further sets are only counted."""

CLEAN = "Your lights calibrate cleanly"

_RESHOT = {
    Remedy.DARK_FLATS: "the dark flats are completed and subtracted from the flats",
    Remedy.LONGER_FLATS: "the flats are shot again with longer exposures and a dimmer panel",
    Remedy.MORE_FLATS: "more flats are shot",
    Remedy.MORE_DARKS: "more darks are shot",
}

_OF_FLATS = frozenset({Remedy.DARK_FLATS, Remedy.LONGER_FLATS, Remedy.MORE_FLATS, Remedy.NEW_FLATS})
_OF_DARKS = frozenset({Remedy.MORE_DARKS, Remedy.NEW_DARKS})


def set_text(event: LightsVerified) -> str:
    """Return a name for the frames that were judged, such as "Ha", "60 s" or "Ha flats at 90 deg"."""
    angle = "" if event.rotator_deg is None else f" at {event.rotator_deg:g} deg"
    return _frames_text(event) + angle


def _frames_text(event: LightsVerified) -> str:
    if event.frames is Verified.FLATS:
        return f"{event.filter} flats" if event.filter else "flats"
    if event.filter:
        return event.filter
    return "lights" if event.exposure_s is None else exposure_text(event.exposure_s)


def line_of(event: LightsVerified) -> str:
    """Describe a result in one line."""
    count = f"{event.count} {event.frames if event.count > 1 else event.frames.removesuffix('s')}"
    if event.cleanness is Cleanness.CLEAN:
        verb = "calibrate" if event.count > 1 else "calibrates"
        return f"{set_text(event)}: {count} {verb} cleanly"
    if event.cleanness is Cleanness.UNKNOWN:
        return f"{set_text(event)}: no fault was found in {count}, but these frames allow few tests"
    return fault_of(event)


def fault_of(event: LightsVerified) -> str:
    """Describe the worst artifact in the frames, and what coldframe will do, or the user should do, about it."""
    if not event.artifacts:  # a damaged journal
        return f"{set_text(event)}: artifacts were found"
    worst, *others = event.artifacts
    more = f" (and {len(others)} more {'finding' if len(others) == 1 else 'findings'})" if others else ""
    return f"{set_text(event)}: {worst.cause}{more}. {_action(event, worst)}"


def night_sentences(verified: Iterable[LightsVerified]) -> str:
    """Describe the latest results of a night in sentences; empty if no frames were judged."""
    latest = latest_of(verified)
    faulty = [event for event in latest if event.cleanness is Cleanness.FAULTY]
    if faulty:
        rest = len(faulty) - MOST_FAULTS
        more = f" {rest} more {'set has' if rest == 1 else 'sets have'} artifacts." if rest > 0 else ""
        return " ".join(f"{fault_of(event).rstrip('.')}." for event in faulty[:MOST_FAULTS]) + more
    lights = [event for event in latest if event.frames is Verified.LIGHTS]
    clean = [event for event in lights if event.cleanness is Cleanness.CLEAN]
    if clean and len(clean) == len(lights):
        return f"{CLEAN}."
    unknown = ", ".join(set_text(event) for event in lights if event.cleanness is Cleanness.UNKNOWN)
    if not unknown:
        return ""
    return f"No fault was found in your lights, but some allow few tests ({unknown})."


def latest_of(verified: Iterable[LightsVerified]) -> list[LightsVerified]:
    """Return the latest event about each set, with the lights first."""
    latest = {event.key: event for event in verified}
    return sorted(latest.values(), key=lambda event: event.frames is Verified.FLATS)


def command_for(event: LightsVerified, artifacts: Sequence[Artifact]) -> str:
    """Return the command that reshoots the sets that caused the artifacts; empty if reshooting would not help."""
    remedies = {artifact.remedy for artifact in artifacts}
    choices = [f"flats:{event.filter}" if event.filter else "flats"] if remedies & _OF_FLATS else []
    if remedies & _OF_DARKS:
        choices.append("darks" if event.exposure_s is None else f"darks:{event.exposure_s:g}")
    if not choices:
        return ""
    words = ",".join(f'"{choice}"' if " " in choice else choice for choice in choices)
    return f"coldframe run --only {words} --redo"


def _action(event: LightsVerified, worst: Artifact) -> str:
    if event.reshoots is not None:
        return f"Before the night ends, {_RESHOT.get(event.reshoots, 'the set is shot again')}"
    command = command_for(event, [worst])
    if not command:
        return worst.fix[:1].upper() + worst.fix[1:]
    reason = f" ({event.hindrance})" if event.hindrance else ""
    if worst.remedy is Remedy.NEW_FLATS:
        return f"Do not dismantle the rig: restore the focus and rotation of the lights, then run `{command}`{reason}"
    if worst.remedy in _OF_FLATS:
        return f"Do not dismantle the rig: `{command}`{reason}"
    return f"Shoot the darks again with the settings of the lights: `{command}`{reason}"
