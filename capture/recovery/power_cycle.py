"""Power-cycle a camera that has hung, with a command that the user configured. This is the last resort.

Some cameras stop delivering frames until their power is cut; neither an abort nor reconnecting the driver helps
(indi-allsky#2697).
"""

import asyncio
import shlex

from coldframe.capture.events.kinds import HookEnded
from coldframe.capture.events.values import Severity
from coldframe.capture.session.context import NightContext
from coldframe.capture.session.hooks import run_bounded
from coldframe.capture.threads import to_its_end
from coldframe.devices.errors import DeviceError, DeviceTimeoutError

BOOT_S = 20.0
"""Time that a camera is given to boot before its driver searches for it."""


async def power_cycle_if_hung(context: NightContext, error: DeviceError) -> bool:
    """Count a timeout of the camera, and power-cycle the camera if reconnecting did not help.

    Returns
    -------
    bool
        True if the failure costs no retry. The night's limits on power cycles and on free timeouts also limit how often
        this can happen.
    """
    hung_camera = context.retries.hung_camera
    if not isinstance(error, DeviceTimeoutError) or not can_power_cycle(context, error.device):
        return False
    hung_camera.count_timeout()
    if hung_camera.is_hung:
        await power_cycle(context)
        return True
    return not hung_camera.costs_a_retry


def can_power_cycle(context: NightContext, device: str) -> bool:
    """Return True if the device is the camera and the night has a power cycle left."""
    is_left = bool(context.settings.hooks.power_cycle) and context.retries.hung_camera.uses_left > 0
    return is_left and device == context.rig.camera.name


async def power_cycle(context: NightContext) -> None:
    """Run the power-cycle command, then wait for the camera to boot."""
    device = context.rig.camera.name
    context.retries.hung_camera.use()
    command, deadline_s = context.settings.hooks.power_cycle, context.settings.hooks.deadline_s
    context.notice(Severity.ERROR, f"{device} has hung; switching its power off and on: {shlex.join(command)}")
    # If a power cycle were cancelled halfway, the camera would be left without power.
    fault, output = await to_its_end(run_bounded(command, deadline_s), "power cycle")
    context.publish(HookEnded(context.clock.now(), shlex.join(command), fault, output))
    if fault:
        context.notice(Severity.ERROR, f"the power-cycle command for {device} ({shlex.join(command)}) {fault}")
    await asyncio.sleep(BOOT_S)
