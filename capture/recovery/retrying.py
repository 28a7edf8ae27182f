"""Retry a command to the rig, within the night's retry budget, and wait for lost devices."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from coldframe.capture.events.values import Severity
from coldframe.capture.recovery.power_cycle import can_power_cycle, power_cycle, power_cycle_if_hung
from coldframe.capture.session.context import NightContext, StepFailedError
from coldframe.capture.session.retry_budget import OutOfRetriesError
from coldframe.devices.errors import DeviceError, NotSupportedError, SettingRefusedError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0
AWAY_S = 300.0
"""Time to wait for a lost device or server, long enough to plug in a cable or to restart a server."""

T = TypeVar("T")


async def ensure_ready(context: NightContext) -> None:
    """Restore the last requested state of lost devices, except those that the set can do without.

    Raises
    ------
    DeviceError
        If a device is still lost.
    """
    for device in context.devices:
        await device.ensure_ready()


async def with_retries(context: NightContext, attempt: Callable[[], Awaitable[T]]) -> T:
    """Call `attempt` until it succeeds, but no more often than the night's budget allows.

    After each failure, wait for lost devices. A loss costs one retry, however long the wait takes.

    Raises
    ------
    StepFailedError
        If `attempt` failed too often.
    SettingRefusedError, NotSupportedError
        If the rig does not support the request, so no retry would help.
    """
    pause_s, tries, retries = FIRST_PAUSE_S, 1, context.retries
    while True:
        try:
            return await attempt()
        except (SettingRefusedError, NotSupportedError):
            raise
        except DeviceError as error:
            if await power_cycle_if_hung(context, error):
                context.notice(Severity.WARNING, f"{error}; trying again", will_retry=True)
            elif tries > retries.tries_of(error.device):
                if retries.breakers.failed(error.device):
                    text = f"{error.device} has failed repeatedly; commands to it are not retried until it works again"
                    context.notice(Severity.ERROR, text)
                raise StepFailedError(str(error) + (f" ({tries} times in a row)" if tries > 1 else "")) from error
            else:
                spend_retry(context)
                tries += 1
                context.notice(Severity.WARNING, f"{error}; trying again", will_retry=True)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            await come_back(context)


async def come_back(context: NightContext) -> None:
    """Wait until the devices of the rig are back, for example after a server restart.

    If the set can do without a device, wait for that device only once, then continue without it.

    Raises
    ------
    StepFailedError
        If a device did not come back.
    SettingRefusedError, NotSupportedError
        If a device came back without a setting or feature that it had before.
    """
    loop, breakers = asyncio.get_running_loop(), context.retries.breakers
    began_s, pause_s = loop.time(), FIRST_PAUSE_S
    while True:
        try:
            await ensure_ready(context)
        except (SettingRefusedError, NotSupportedError):
            raise
        except DeviceError as error:
            context.require_time(0.0)
            if (is_dispensable := error.device in _dispensable(context)) and breakers.is_open(error.device):
                raise StepFailedError(str(error)) from error
            if loop.time() - began_s <= AWAY_S:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            if can_power_cycle(context, error.device):
                await power_cycle(context)
                began_s, pause_s = loop.time(), FIRST_PAUSE_S
                continue
            if is_dispensable:
                breakers.stayed_away(error.device)
            if not context.can_do_without(error.device):
                raise StepFailedError(f"{error} (for {AWAY_S / 60:.0f} min)") from error
            context.notice(Severity.ERROR, f"{error}; steps that do not need this device continue")
            began_s = loop.time()
        else:
            return


def _dispensable(context: NightContext) -> set[str]:
    """Return the names of the devices that some sets can do without. No set can do without the camera."""
    return {device.name for device in context.rig.devices if device is not context.rig.camera}


def spend_retry(context: NightContext) -> None:
    """Spend one retry of the set and of the night.

    Raises
    ------
    StepFailedError
        If no retry is left.
    """
    try:
        context.retries.spend()
    except OutOfRetriesError as error:
        raise StepFailedError(f"no retry is left: {error}") from error
