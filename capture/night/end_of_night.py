"""Waits for the end of the night: until no more lights come, or the sun does."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coldframe.capture.clock import NightClock, clock_text
from coldframe.capture.events.kinds import Notice, Severity
from coldframe.capture.events.stream import EventStream
from coldframe.capture.planning import sun
from coldframe.capture.planning.lights_for_rig import lights_text
from coldframe.capture.planning.read_lights import NoLightsError, light_files
from coldframe.config.tables.night import SiteSettings
from coldframe.config.tables.sets import LightsSettings

LOOK_S = 10.0
"""Pause between two looks into the folder."""

TELL_S = 600.0
"""A sign of life comes at least so often."""


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The lights that are there.

    Attributes
    ----------
    count
        How many.
    newest
        Name of the newest, None where there is none.
    at
        When it was last written to, as its file system says.
    """

    count: int
    newest: str | None
    at: datetime | None


def look(folder: Path) -> Arrivals:
    """Look which lights are there.

    Raises
    ------
    NoLightsError
        The folder is not there.
    """
    written: list[tuple[float, str]] = []
    for path in light_files(folder):
        try:
            written.append((path.stat().st_mtime, path.name))
        except OSError:  # it was renamed between the two looks
            continue
    if not written:
        return Arrivals(0, None, None)
    at_s, name = max(written)
    return Arrivals(len(written), name, datetime.fromtimestamp(at_s, UTC))


async def end_of_night(
    folder: Path, settings: LightsSettings, site: SiteSettings | None, events: EventStream, clock: NightClock
) -> str:
    """Wait until the night is over and return why it is; cancelling ends the wait at once.

    Lights that are there already count by the time of their files, so that a start after the night does not wait.

    Parameters
    ----------
    folder
        Where the lights come.
    settings
        How long silence must last, and how high the sun must be.
    site
        Where it rises; None leaves the sun out.
    events, clock
        Where and when to tell.

    Raises
    ------
    NoLightsError
        The folder is not there from the start; one that goes away later is looked for again.
    """
    seen, changed_at = Arrivals(0, None, None), None
    told_at: datetime | None = None
    while True:
        now = clock.now()
        try:
            found = await asyncio.to_thread(look, folder)
        except NoLightsError as error:
            if told_at is None:
                raise
            # A share that is away for a moment, or a folder that goes while it is looked into: the night goes on.
            found = seen
            log.warning("%s; looked for again", error)
        if found != seen:
            # A file system whose clock is ahead or behind must not keep us from noticing what has come meanwhile.
            changed_at = min(now, found.at or now) if told_at is None else now
            seen = found
        reason = _end(seen, changed_at, now, settings, site)
        if reason is not None:
            events.publish(Notice(now, Severity.INFO, f"the night is over: {reason}"))
            return reason
        if told_at is None or (now - told_at).total_seconds() >= TELL_S:
            events.publish(Notice(now, Severity.INFO, waiting_text(folder, seen, now, settings, site)))
            told_at = now
        await asyncio.sleep(LOOK_S)


def _end(
    seen: Arrivals, changed_at: datetime | None, now: datetime, settings: LightsSettings, site: SiteSettings | None
) -> str | None:
    """Return why the night is over, None while it is not."""
    if seen.count and changed_at is not None and now - changed_at >= timedelta(minutes=settings.quiet_min):
        return f"no new light for {settings.quiet_min:g} min"
    if site is not None and sun.is_morning(now, site, settings.dawn_deg):
        return f"the sun has risen to {sun.altitude_deg(now, site):.1f} deg"
    return None


def waiting_text(
    folder: Path, seen: Arrivals, now: datetime, settings: LightsSettings, site: SiteSettings | None
) -> str:
    """Say what is waited for: "waiting for the end of the night: 45 lights, ..."."""
    lights = "no light yet" if seen.newest is None else f"{lights_text(seen.count)}, the newest {seen.newest}"
    dawn = None if site is None else sun.next_rise(now, site, settings.dawn_deg)
    until = f"{settings.quiet_min:g} min without a new one" + (f", or {clock_text(dawn)}" if dawn else "")
    return f"waiting for the end of the night: {lights} in {folder}; until {until}"
