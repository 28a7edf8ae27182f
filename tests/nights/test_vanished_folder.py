"""A night whose folder is removed, moved or unmounted ends in the safe state, and its folder is not made anew."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import Event, FrameAccepted, MasterWritten, NightEnded
from coldframe.capture.events.values import AbortedBy, NightOutcome
from tests.nights.nights import files_in, run_night
from tests.nights.test_troubled_nights import SMALL, Rigged, short

pytestmark = pytest.mark.looptime


def move(night: Path) -> None:
    night.rename(night.with_name("moved"))


@pytest.mark.parametrize("vanish", [move, shutil.rmtree])
@pytest.mark.parametrize(("kind", "number"), [(FrameAccepted, 1), (FrameAccepted, 20), (MasterWritten, 6)])
async def test_the_night_ends_safely(
    tmp_path: Path, kind: type[Event], number: int, vanish: Callable[[Path], None]
) -> None:
    rigged, seen = Rigged(), list[Event]()

    def hear(event: Event) -> None:
        if isinstance(event, kind):
            seen.append(event)
            if len(seen) == number:
                (night,) = tmp_path.glob("20*")
                vanish(night)

    night = await run_night(short(), SMALL, tmp_path, rigged, hear=hear)
    (ended,) = night.of(NightEnded)
    assert night.outcome is NightOutcome.ABORTED
    assert ended.aborted_by is AbortedBy.DISK
    assert "the night's folder was removed, moved or unmounted" in ended.result
    assert ended.rig_is_safe
    rigged.assert_safe()
    assert not files_in(tmp_path, "20*")
