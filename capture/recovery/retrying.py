"""One good exposure, with as many tries as the night allows."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from coldframe.capture.events.kinds import ExposureStarted, Severity
from coldframe.capture.planning.disk_space import wait_for_room
from coldframe.capture.recovery.power_cycle import hangs, power_cycled
from coldframe.capture.recovery.set_clock import clock_checked
from coldframe.capture.session.context import NightContext, StepFailedError
from coldframe.capture.session.pausing import until_resumed
from coldframe.capture.session.retry_budget import OutOfRetriesError
from coldframe.capture.threads import in_thread
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame
from coldframe.devices.errors import DeviceError, DeviceLostError, NotSupportedError, SettingRefusedError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0
AWAY_S = 300.0
"""How long something lost is waited for."""

T = TypeVar("T")


async def expose_once(context: NightContext, step: int, kind: FrameKind, exposure_s: float) -> Frame:
    """Expose one frame, once the night is not paused.

    Raises
    ------
    StepFailedError
        The night was paused until the time was up.
    DeviceError
        The camera failed, or something of the rig was away or moved meanwhile.
    NotDurableError
        There is no room for frames.
    """
    await until_resumed(context, partial(with_retries, context), exposure_s)
    await wait_for_room(context)
    await ensure_ready(context)
    context.publish(ExposureStarted(context.clock.now(), step, kind, exposure_s))
    frame = await context.rig.camera.expose(kind, exposure_s)
    if unready := [device.name for device in context.devices if not device.is_ready]:
        reason = f"shot while {' and '.join(unready)} went away or was changed"
        path = await in_thread(context.folder.quarantine, frame, None, reason)
        raise DeviceLostError(unready[0], f"went away or was changed during an exposure ({path.name})")
    context.retries.breakers.worked(frame.camera)
    context.retries.hung_camera.worked()
    return clock_checked(context, frame)


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
            if await hangs(context, error):
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
            if await power_cycled(context, error.device):
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
