"""A night that may no longer write to its folder ends in the safe state, names the path, and can be resumed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import Event, FrameAccepted, MasterWritten, NightEnded
from coldframe.capture.events.values import AbortedBy, NightOutcome
from tests.nights.nights import NightRun, run_night
from tests.nights.test_troubled_nights import SMALL, Rigged, short
from tests.permissions import permissions_apply

pytestmark = pytest.mark.looptime


def whole_night(night: Path) -> Path:
    return night


def masters(night: Path) -> Path:
    return night / "masters"


def assert_kept(night: NightRun) -> None:
    """Check that all frames that were reported as saved exist."""
    assert [event.path for event in night.of(FrameAccepted) if not Path(event.path).exists()] == []


@pytest.mark.parametrize("mode", [0o000, 0o500])
@pytest.mark.parametrize(
    ("kind", "number", "place"),
    [(FrameAccepted, 1, whole_night), (FrameAccepted, 20, whole_night), (MasterWritten, 1, masters)],
)
async def test_the_night_ends_safely_and_is_resumed(
    tmp_path: Path, kind: type[Event], number: int, place: Callable[[Path], Path], mode: int
) -> None:
    rigged, seen, closed = Rigged(), list[Event](), list[Path]()

    def hear(event: Event) -> None:
        if isinstance(event, kind):
            seen.append(event)
            if len(seen) == number:
                (night,) = tmp_path.glob("20*")
                closed.append(place(night))
                closed[0].chmod(mode)

    try:
        with permissions_apply():
            night = await run_night(short(), SMALL, tmp_path, rigged, hear=hear)
    finally:
        for folder in closed:
            folder.chmod(0o755)
    (ended,) = night.of(NightEnded)
    assert (night.outcome, ended.aborted_by) == (NightOutcome.ABORTED, AbortedBy.DISK)
    assert str(closed[0]) in ended.result
    assert "the folder is not writable: check its owner and permissions" in ended.result
    assert len(ended.result.splitlines()) == 1
    assert ended.rig_is_safe
    rigged.assert_safe()
    assert_kept(night)
    resumed = await run_night(short(), SMALL, tmp_path)
    assert resumed.outcome is NightOutcome.COMPLETE
    assert_kept(night)
