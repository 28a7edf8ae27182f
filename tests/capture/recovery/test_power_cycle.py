"""A power cycle runs the user's command to its end when it is due."""

import asyncio
import sys
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import Event, HookEnded, Notice
from coldframe.capture.recovery import power_cycle as power_cycle_module
from coldframe.capture.recovery.power_cycle import can_power_cycle, power_cycle, power_cycle_if_hung
from coldframe.capture.session.context import NightContext
from coldframe.devices.errors import DeviceLostError, DeviceTimeoutError
from tests.capture.scene import scene, small_night
from tests.patience import until


@pytest.fixture(autouse=True)
def quick_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_cycle_module, "BOOT_S", 0.0)


async def context_with(folder: Path, *command: str) -> tuple[NightContext, list[Event]]:
    seen = await scene(folder, small_night(hooks={"power_cycle": command}))
    return seen.context, seen.events


async def test_the_command_runs_at_the_fifth_timeout_of_the_camera_and_twice_at_most(tmp_path: Path) -> None:
    context, seen = await context_with(tmp_path, sys.executable, "-c", "print('off and on')")
    camera = context.rig.camera.name
    assert not await power_cycle_if_hung(context, DeviceLostError(camera, "is away"))
    assert not await power_cycle_if_hung(context, DeviceTimeoutError("Wheel", "did not turn"))
    runs = []
    for _ in range(9):
        free = await power_cycle_if_hung(context, DeviceTimeoutError(camera, "sent no frame"))
        runs.append((free, sum(isinstance(event, HookEnded) for event in seen)))
    assert runs == [(True, 0)] * 4 + [(True, 1)] * 3 + [(True, 2), (False, 2)]
    assert not can_power_cycle(context, camera)


async def test_without_a_command_nothing_runs(tmp_path: Path) -> None:
    context, seen = await context_with(tmp_path)
    for _ in range(9):
        assert not await power_cycle_if_hung(context, DeviceTimeoutError(context.rig.camera.name, "sent no frame"))
    assert seen == []


async def test_a_command_that_fails_is_reported_and_counts(tmp_path: Path) -> None:
    context, seen = await context_with(tmp_path, "/nowhere/power")
    await power_cycle(context)
    assert any(isinstance(event, Notice) and "cannot be run" in event.text for event in seen)
    assert context.retries.hung_camera.uses_left == 1


async def test_an_interrupted_night_does_not_leave_the_camera_without_power(tmp_path: Path) -> None:
    is_off, goes_on, done = (tmp_path / name for name in ("off", "goes-on", "done"))
    script = f"touch {is_off}; until [ -e {goes_on} ]; do sleep 0.05; done; touch {done}"
    context, _ = await context_with(tmp_path, "sh", "-c", script)
    cycling = asyncio.create_task(power_cycle(context))
    await until(is_off.exists)
    for _ in range(2):
        cycling.cancel()
        await asyncio.sleep(0.05)
    goes_on.touch()
    with pytest.raises(asyncio.CancelledError):
        await cycling
    assert await asyncio.to_thread(done.exists)
