"""The choice of the night that a run resumes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import Event, NightEnded, NightStarted
from coldframe.capture.events.rotator import RotatorTurned
from coldframe.capture.events.values import UNKNOWN_ORIGIN, NightOutcome, Origin
from coldframe.capture.night.resuming import angle_before_night, later_nights, unfinished_night
from coldframe.capture.storage.journal import Journal, encode_event
from coldframe.capture.storage.night_folder import NightFolder

NOW = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)


HERE, THERE = Origin("pi:7624"), Origin("other-pi:7624")
CHOSEN = Origin(is_partial=True)


def night(
    storage: Path,
    camera: str,
    outcome: NightOutcome | None = None,
    origin: Origin = UNKNOWN_ORIGIN,
    *,
    at: datetime = NOW,
) -> NightFolder:
    """Return the folder of a night that a run left."""
    folder = NightFolder.create(storage, at)
    add_run(folder, camera, outcome, origin)
    return folder


def add_run(folder: NightFolder, camera: str, outcome: NightOutcome | None, origin: Origin = UNKNOWN_ORIGIN) -> None:
    """Append the events of a run to the journal of a night."""
    events: list[Event] = [NightStarted(NOW, str(folder.path), camera, None, None, 100, 100, (), origin=origin)]
    events += [NightEnded(NOW, outcome, "")] if outcome else []
    with (folder.path / "journal.jsonl").open("a") as journal:
        journal.writelines(encode_event(each) + "\n" for each in events)


def found(storage: Path, camera: str = "mine", origin: Origin = UNKNOWN_ORIGIN) -> Path | None:
    folder = unfinished_night(storage, NOW, camera, origin)
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


def test_a_later_date_hides_no_unfinished_night_and_is_reported(tmp_path: Path) -> None:
    mine = night(tmp_path, "mine")
    later = night(tmp_path, "mine", at=NOW + timedelta(days=40))
    night(tmp_path, "mine", NightOutcome.COMPLETE, at=NOW + timedelta(days=50))
    night(tmp_path, "another", at=NOW + timedelta(days=60))
    assert found(tmp_path) == mine.path
    assert [each.path for each in later_nights(tmp_path, NOW, "mine")] == [later.path]
    assert later_nights(tmp_path / "nowhere", NOW, "mine") == ()


def test_two_rigs_with_one_camera_name_resume_their_own_nights(tmp_path: Path) -> None:
    ours, theirs = night(tmp_path, "mine", origin=HERE), night(tmp_path, "mine", origin=THERE)
    assert found(tmp_path, origin=HERE) == ours.path
    assert found(tmp_path, origin=THERE) == theirs.path


def test_a_whole_night_of_another_rig_hides_no_unfinished_night(tmp_path: Path) -> None:
    ours = night(tmp_path, "mine", origin=HERE)
    night(tmp_path, "mine", NightOutcome.COMPLETE, THERE)
    assert found(tmp_path, origin=HERE) == ours.path
    assert found(tmp_path, origin=THERE) is None


@pytest.mark.parametrize(
    ("left_by", "is_resumed"),
    [
        (UNKNOWN_ORIGIN, True),
        (Origin("other-pi:7624", "0a1b"), True),
        (Origin("other-pi:7624"), False),
        (Origin("pi:7624", "ffff"), False),
        (Origin("pi:7624"), True),
    ],
)
def test_a_serial_number_decides_before_the_server(tmp_path: Path, left_by: Origin, *, is_resumed: bool) -> None:
    left = night(tmp_path, "mine", origin=left_by)
    assert found(tmp_path, origin=Origin("pi:7624", "0a1b")) == (left.path if is_resumed else None)


def test_a_run_of_chosen_sets_does_not_complete_the_night(tmp_path: Path) -> None:
    mine = night(tmp_path, "mine", NightOutcome.INCOMPLETE)
    add_run(mine, "mine", NightOutcome.COMPLETE, CHOSEN)
    night(tmp_path, "mine", NightOutcome.COMPLETE, CHOSEN)  # with --redo
    assert found(tmp_path) == mine.path
    add_run(mine, "mine", NightOutcome.COMPLETE)
    assert found(tmp_path) is None


def test_an_unfinished_run_of_chosen_sets_is_resumed(tmp_path: Path) -> None:
    mine = night(tmp_path, "mine", NightOutcome.INTERRUPTED, CHOSEN)
    assert found(tmp_path) == mine.path


@pytest.mark.parametrize(("turns", "found_deg"), [([], None), ([30.0, 30.0], 30.0), ([30.0, None], None)])
def test_the_angle_before_the_night_is_that_of_the_last_turn(
    tmp_path: Path, turns: list[float | None], found_deg: float | None
) -> None:
    folder = night(tmp_path, "mine")
    with (folder.path / "journal.jsonl").open("a") as journal:
        journal.writelines(encode_event(RotatorTurned(NOW, 120.0, each)) + "\n" for each in turns)
    assert angle_before_night(folder) == found_deg
