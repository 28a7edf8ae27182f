"""A link that uses too much memory is restarted between sets. A driver that does is only reported, and only once."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import Notice
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.host.memory import MOST_DRIVER_GROWTH_BYTES, MOST_LINK_BYTES
from coldframe.devices.errors import DeviceLostError
from tests.nights.nights import NightRun, run_night
from tests.nights.test_troubled_nights import SMALL, short

pytestmark = pytest.mark.looptime


class Growing:
    """A link and a driver that grow with every look."""

    def __init__(self, *, comes_back: bool) -> None:
        self.looks, self.recycled, self._comes_back, self._link = 0, 0, comes_back, 1

    def memory_bytes(self) -> int | None:
        self._link += MOST_LINK_BYTES // 4
        return self._link

    def drivers_memory_bytes(self) -> Mapping[str, int]:
        self.looks += 1
        return {"indi_grows_ccd": self.looks * (MOST_DRIVER_GROWTH_BYTES // 2), "indi_stays_wheel": 1 << 20}

    async def recycle(self) -> None:
        self.recycled, self._link = self.recycled + 1, 1
        if not self._comes_back:
            raise DeviceLostError("INDI server", "no answer to a new link within 15 s")


async def night_with(connection: Growing, folder: Path) -> NightRun:
    return await run_night(short(), SMALL, folder, lambda rig: replace(rig, connection=connection))


@pytest.mark.parametrize("comes_back", [True, False])
async def test_growing_memory_is_dealt_with_between_sets(tmp_path: Path, comes_back: bool) -> None:  # noqa: FBT001
    connection = Growing(comes_back=comes_back)
    night = await night_with(connection, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE
    assert connection.recycled == connection.looks // 4 > 1
    drivers = [notice.text for notice in night.of(Notice) if notice.text.startswith("indi_grows_ccd uses")]
    assert len(drivers) == 1
    assert sum("MB of memory; restarting it" in notice.text for notice in night.of(Notice)) == connection.recycled
