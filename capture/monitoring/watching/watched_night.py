"""A night as a watcher sees it: the state of the running night or, if no run is attached, of the last night."""

from dataclasses import dataclass, field
from pathlib import Path

from coldframe.capture.events.kinds import Event
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.watching.source import Attached, Detached, Silent, Update
from coldframe.capture.storage.journal_reader import read_journal
from coldframe.capture.storage.night_folder import newest_night
from coldframe.capture.threads import DiskHangsError, read_in_thread

READ_ONLY = "read-only: set allow_commands = true in [watch] of the run's configuration"
SEARCHING = "looking for a run"


@dataclass(slots=True)
class WatchedNight:
    """The night to show. Call `take` with each update of a `NightSource`.

    Attributes
    ----------
    storage
        Folder on this machine that contains the folders of the nights; None if the nights are on another machine. While
        no run is attached, the last night in this folder is shown.
    note
        A line for the user; empty while a run is attached.
    refusal
        Reason why the night accepts no commands; None if it accepts commands.
    """

    storage: Path | None
    state: DashboardState = field(default_factory=DashboardState)
    note: str = SEARCHING
    refusal: str | None = SEARCHING
    _journal: "_Journal | None" = None

    async def take(self, update: Update) -> None:
        """Apply an update. Answers to commands change nothing."""
        match update:
            case Attached(events, allows_commands):
                self.state, self._journal = _state_of(events), None
                self.note, self.refusal = "", None if allows_commands else READ_ONLY
            case Detached(reason):
                await self._show_last(reason)
            case Silent():
                self.state.fall_silent()
            case Event():
                self.state.apply(update)
            case _:
                pass

    async def _show_last(self, reason: str) -> None:
        """Keep showing the night of a lost run. If there was no run, show the last night, as it is now on disk."""
        if self.storage is not None and (self.state.night is None or self._journal is not None):
            try:
                found = await read_in_thread(last_night, self.storage, self._journal)
            except DiskHangsError as error:
                reason = f"{reason}; {error}"
            else:
                if found is not None:
                    self._journal, self.state = found
        self.state.lose()
        night, shown = self.state.night, "no night yet"
        if night is not None:
            name = Path(night.folder).name
            shown = f"showing the last night, {name}" if self.state.ended else f"showing the unfinished night {name}"
        self.note, self.refusal = f"{reason}; {shown}", reason


def _state_of(events: tuple[Event, ...]) -> DashboardState:
    state = DashboardState()
    for event in events:
        state.apply(event)
    return state


@dataclass(frozen=True, slots=True)
class _Journal:
    """A journal, as it was when it was last read."""

    path: Path
    size: int
    written_ns: int


def last_night(storage: Path, known: _Journal | None) -> tuple[_Journal, DashboardState] | None:
    """Return the last night in a storage folder; None if there is no night, or if its journal is already known."""
    try:
        night = newest_night(storage)
        if night is None:
            return None
        path = night / "journal.jsonl"
        found = path.stat()
        journal = _Journal(path, found.st_size, found.st_mtime_ns)
        return None if journal == known else (journal, _state_of(tuple(read_journal(path))))
    except OSError:
        return None
