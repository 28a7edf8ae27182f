"""Keep the identifiers of executed commands in a file, so that the next run does not execute these commands again."""

import json
import logging
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from coldframe.calibration.files.durable import NotDurableError, replace_durably
from coldframe.capture.monitoring.telemetry.commands import MOST_IDS, Command

log = logging.getLogger(__name__)

LONGEST_FILE_BYTES = 1 << 18


class KnownCommands:
    """The commands that were executed on a rig and have not expired yet. Expired commands are always refused.

    Parameters
    ----------
    path
        The file. A missing or damaged file counts as empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def unexpired(self, now: datetime) -> tuple[str, ...]:
        """Return the identifiers of the commands that have not expired at the time `now`, oldest first."""
        return tuple(self._read(now))

    def keep(self, command: Command, now: datetime) -> None:
        """Add a command to the file, and remove expired commands. Errors are logged and never raised."""
        known = {**self._read(now), command.id: command.expires}
        newest = list(known.items())[-MOST_IDS:]
        content = json.dumps({command_id: expires.isoformat() for command_id, expires in newest}, indent=2)
        try:
            replace_durably(self._path, [content.encode()])
        except NotDurableError as error:
            log.warning("%s; after a restart, an MQTT command could be carried out again", error)

    def _read(self, now: datetime) -> dict[str, datetime]:
        found: dict[str, datetime] = {}
        with suppress(OSError, ValueError, TypeError, RecursionError):
            with self._path.open("rb") as file:
                entries = json.loads(file.read(LONGEST_FILE_BYTES))
            for command_id, text in entries.items() if isinstance(entries, dict) else ():
                expires = datetime.fromisoformat(text)
                if expires > now:
                    found[command_id] = expires
        return found
