"""A night as a watcher sees it: the state of the running night, or of the last one if there is no run."""

from dataclasses import dataclass, field
from pathlib import Path

from coldframe.capture.events.kinds import Event
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.watching.source import Attached, Detached, Update
from coldframe.capture.storage.journal_reader import read_journal
from coldframe.capture.storage.night_folder import newest_night
from coldframe.capture.threads import in_thread

READ_ONLY = "read-only: set allow_commands = true in [watch] of the run's configuration"
SEARCHING = "looking for a run"


@dataclass(slots=True)
class WatchedNight:
    """The night to show. Call `take` with each update of a `NightSource`.

    Attributes
    ----------
    storage
        Folder of nights on this machine; the last night in it is shown while there is no run. None if there is no such
        folder.
    note
        A line for the user; empty while a run is attached.
    refusal
        Why the night takes no commands; None if it does.
    """

    storage: Path | None
    state: DashboardState = field(default_factory=DashboardState)
    note: str = SEARCHING
    refusal: str | None = SEARCHING

    async def take(self, update: Update) -> None:
        """Follow an update. Answers to commands change nothing."""
        match update:
            case Attached(events, allows_commands):
                self.state = _state_of(events)
                self.note, self.refusal = "", None if allows_commands else READ_ONLY
            case Detached(reason):
                await self._show_last(reason)
            case Event():
                self.state.apply(update)
            case _:
                pass

    async def _show_last(self, reason: str) -> None:
        """Keep showing the night of a lost run; if there was no run, show the last night."""
        if self.state.night is None and self.storage is not None:
            self.state = await in_thread(_last_night, self.storage)
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


def _last_night(storage: Path) -> DashboardState:
    """Return the state of the last night in a storage folder; an empty state if there is no night or no journal."""
    try:
        night = newest_night(storage)
        return DashboardState() if night is None else _state_of(tuple(read_journal(night / "journal.jsonl")))
    except OSError:
        return DashboardState()
