"""Wait for the end of the night: until no more lights arrive or the sun has risen."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coldframe.capture.clock import NightClock, clock_text
from coldframe.capture.events.kinds import Notice
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import Severity
from coldframe.capture.planning import sun
from coldframe.capture.planning.lights_for_rig import lights_text
from coldframe.capture.planning.read_lights import NoLightsError, light_files
from coldframe.config.tables.night import SiteSettings
from coldframe.config.tables.sets import LightsSettings

CHECK_PERIOD_S = 10.0

REPORT_PERIOD_S = 600.0
"""Time between two notices about the wait."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The lights in a folder.

    Attributes
    ----------
    count
        Number of lights.
    newest
        Name of the newest light; None if there is no light.
    at
        Modification time of the newest light; None if there is no light.
    """

    count: int
    newest: str | None
    at: datetime | None


def arrivals_in(folder: Path) -> Arrivals:
    """Return the number of lights in the folder and the newest light.

    Raises
    ------
    NoLightsError
        If there is no such folder.
    """
    written: list[tuple[float, str]] = []
    for path in light_files(folder):
        try:
            written.append((path.stat().st_mtime, path.name))
        except OSError:  # the file was renamed after it was listed
            continue
    if not written:
        return Arrivals(0, None, None)
    at_s, name = max(written)
    return Arrivals(len(written), name, datetime.fromtimestamp(at_s, UTC))


async def end_of_night(
    folder: Path, settings: LightsSettings, site: SiteSettings | None, events: EventStream, clock: NightClock
) -> str:
    """Wait until the night is over, and return the reason.

    For lights that exist at the start, the modification time counts, so that a run that is started after the night does
    not wait.

    Parameters
    ----------
    folder
        Folder in which the lights arrive.
    settings
        Settings of the lights. They state after how many minutes without a new light, and at which altitude of the sun,
        the night ends.
    site
        Observing site, used to compute sunrise; None to ignore the sun.
    events, clock
        The event stream for notices, and the clock for their times.

    Raises
    ------
    NoLightsError
        If the folder does not exist at the start. A folder that disappears later may come back.
    """
    seen, changed_at = Arrivals(0, None, None), None
    reported_at: datetime | None = None
    while True:
        now = clock.now()
        try:
            found = await asyncio.to_thread(arrivals_in, folder)
        except NoLightsError as error:
            if reported_at is None:
                raise
            # A network share may be unreachable for a moment.
            found = seen
            log.warning("%s; checking again", error)
        if found != seen:
            # For lights that arrive later, the current time counts, because the clock of a network file system may be
            # wrong.
            changed_at = min(now, found.at or now) if reported_at is None else now
            seen = found
        reason = _end(seen, changed_at, now, settings, site)
        if reason is not None:
            events.publish(Notice(now, Severity.INFO, f"the night is over: {reason}"))
            return reason
        if reported_at is None or (now - reported_at).total_seconds() >= REPORT_PERIOD_S:
            events.publish(Notice(now, Severity.INFO, waiting_text(folder, seen, now, settings, site)))
            reported_at = now
        await asyncio.sleep(CHECK_PERIOD_S)


def _end(
    seen: Arrivals, changed_at: datetime | None, now: datetime, settings: LightsSettings, site: SiteSettings | None
) -> str | None:
    """Return why the night is over, or None if it is not."""
    if seen.count and changed_at is not None and now - changed_at >= timedelta(minutes=settings.quiet_min):
        return f"no new light for {settings.quiet_min:g} min"
    if site is not None and sun.is_morning(now, site, settings.dawn_deg):
        return f"the sun has risen to {sun.altitude_deg(now, site):.1f} deg"
    return None


def waiting_text(
    folder: Path, seen: Arrivals, now: datetime, settings: LightsSettings, site: SiteSettings | None
) -> str:
    """Return the text of the notice about the wait, such as "waiting for the end of the night: 45 lights, ..."."""
    lights = "no light yet" if seen.newest is None else f"{lights_text(seen.count)}, the newest {seen.newest}"
    dawn = None if site is None else sun.next_rise(now, site, settings.dawn_deg)
    until = f"{settings.quiet_min:g} min without a new one" + (f", or {clock_text(dawn)}" if dawn else "")
    return f"waiting for the end of the night: {lights} in {folder}; until {until}"
