"""The last cure for a camera that hangs: a command of the user's that switches its power off and on again."""

import asyncio
import shlex
from collections.abc import Coroutine
from typing import Any

from coldframe.capture.events.kinds import HookEnded, Severity
from coldframe.capture.session.context import NightContext
from coldframe.capture.session.hooks import run_bounded
from coldframe.devices.errors import DeviceError, DeviceTimeoutError

BOOT_S = 20.0
"""Time for a camera to come up again before its driver looks for it."""


async def hangs(context: NightContext, error: DeviceError) -> bool:
    """Tell whether a failure is that of a camera that may hang, and cycle its power where connecting anew was no cure.

    Such a failure takes no try from exposure, set or night: what bounds it is the number of power cycles, and of such
    failures in a night.
    """
    camera, hung_camera = context.rig.camera.name, context.retries.hung_camera
    if not is_possible(context) or error.device != camera or not isinstance(error, DeviceTimeoutError):
        return False
    if hung_camera.timed_out():
        await power_cycled(context, camera)
        return True
    return hung_camera.takes_no_try()


async def power_cycled(context: NightContext, device: str) -> bool:
    """Run the command if the device is the camera and there is one to run; tell whether it was run."""
    if not is_possible(context) or device != context.rig.camera.name:
        return False
    context.retries.hung_camera.use()
    command, deadline_s = context.settings.hooks.power_cycle, context.settings.hooks.deadline_s
    context.notice(Severity.ERROR, f"{device} hangs; its power is switched off and on again: {shlex.join(command)}")
    fault, output = await _to_its_end(run_bounded(command, deadline_s))
    context.publish(HookEnded(context.clock.now(), shlex.join(command), fault, output))
    if fault:
        context.notice(Severity.ERROR, f"power cycle of {device}: {shlex.join(command)}: {fault}")
    await asyncio.sleep(BOOT_S)
    return True


async def _to_its_end(run: Coroutine[Any, Any, tuple[str, str]]) -> tuple[str, str]:
    """Run to the end, whoever cancels meanwhile: half of a power cycle is a camera without power."""
    running, cancelled = asyncio.create_task(run, name="power cycle"), False
    while not running.done():
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    return running.result()


def is_possible(context: NightContext) -> bool:
    """Tell whether a power cycle is left for tonight."""
    return bool(context.settings.hooks.power_cycle) and context.retries.hung_camera.uses_left > 0
