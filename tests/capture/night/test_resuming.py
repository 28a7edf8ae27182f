"""The choice of the night that a run resumes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from coldframe.capture.events.kinds import NightEnded, NightStarted
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.night.resuming import unfinished_night
from coldframe.capture.storage.journal import Journal, encode_event
from coldframe.capture.storage.night_folder import NightFolder

NOW = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)


def night(storage: Path, camera: str, outcome: NightOutcome | None = None) -> NightFolder:
    """Return the folder of a night that a run left."""
    folder = NightFolder.create(storage, NOW)
    events = [NightStarted(NOW, str(folder.path), camera, None, None, 100, 100, ())]
    lines = [encode_event(each) for each in events] + ([encode_event(NightEnded(NOW, outcome, ""))] if outcome else [])
    (folder.path / "journal.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def found(storage: Path, camera: str = "mine") -> Path | None:
    folder = unfinished_night(storage, NOW, camera)
    return None if folder is None else folder.path


def test_a_night_of_another_rig_in_the_same_storage_is_passed_over(tmp_path: Path) -> None:
    mine = night(tmp_path, "mine")
    night(tmp_path, "another", NightOutcome.COMPLETE)
    assert found(tmp_path) == mine.path
    assert found(tmp_path, "another") is None


async def test_a_night_that_a_run_is_shooting_is_passed_over(tmp_path: Path) -> None:
    mine = night(tmp_path, "mine")
    later = night(tmp_path, "mine")
    async with Journal(later.path / "journal.jsonl"):
        assert found(tmp_path) == mine.path
    assert found(tmp_path) == later.path


def test_of_several_nights_with_this_camera_the_last_one_counts(tmp_path: Path) -> None:
    night(tmp_path, "mine")
    night(tmp_path, "mine", NightOutcome.COMPLETE)
    assert found(tmp_path) is None
    last = night(tmp_path, "mine", NightOutcome.INCOMPLETE)
    assert found(tmp_path) == last.path
    assert unfinished_night(tmp_path, NOW + timedelta(days=1), "mine") is None
