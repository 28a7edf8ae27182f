"""Retry an order to the rig, as often as the night allows, and wait for devices that went away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from coldframe.capture.events.kinds import Severity
from coldframe.capture.recovery.power_cycle import can_power_cycle, power_cycle, power_cycle_if_hung
from coldframe.capture.session.context import NightContext, StepFailedError
from coldframe.capture.session.retry_budget import OutOfRetriesError
from coldframe.devices.errors import DeviceError, NotSupportedError, SettingRefusedError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0
AWAY_S = 300.0
"""How long something lost is waited for."""

T = TypeVar("T")


async def ensure_ready(context: NightContext) -> None:
    """Bring back what has been away, as it was last told to be, but for what the set goes on without.

    Raises
    ------
    DeviceError
        A device is not there.
    """
    for device in context.devices:
        await device.ensure_ready()


async def with_retries(context: NightContext, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until it succeeds, as often as the night's budget allows; what a second try can cure gets one.

    What was lost is waited for, however often that takes another look: only its loss counts as one try.

    Raises
    ------
    StepFailedError
        It failed too often.
    SettingRefusedError, NotSupportedError
        The rig cannot do this, however often it is asked.
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
                    text = (
                        f"{error.device} has failed again and again: from now on it gets no second try until it works"
                    )
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
    """Wait for a rig that went away: a server that is started again, a cable, a power supply.

    What the set can do without is waited for once, and then left out.

    Raises
    ------
    StepFailedError
        It stayed away.
    SettingRefusedError, NotSupportedError
        It came back as another.
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
            context.notice(Severity.ERROR, f"{error}; what does not need it goes on without it")
            began_s = loop.time()
        else:
            return


def _dispensable(context: NightContext) -> set[str]:
    """Return the devices that some sets can do without: without the others, nothing is left but to wait."""
    return {device.name for device in context.rig.devices if device is not context.rig.camera}


def spend_retry(context: NightContext) -> None:
    """Use up one try of the set and of the night.

    Raises
    ------
    StepFailedError
        None is left.
    """
    try:
        context.retries.spend()
    except OutOfRetriesError as error:
        raise StepFailedError(f"given up, because {error}") from error
