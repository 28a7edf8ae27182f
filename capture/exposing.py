"""One good exposure, with as many tries as the night allows."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from coldframe.capture.context import NightContext, StepFailedError
from coldframe.capture.disk_room import wait_for_room
from coldframe.capture.events import ExposureStarted, Severity
from coldframe.capture.pausing import until_resumed
from coldframe.capture.retries import OutOfRetriesError
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
    await until_resumed(context, partial(patiently, context), exposure_s)
    await wait_for_room(context)
    await context.rig.ensure_ready()
    context.tell(ExposureStarted(context.clock.now(), step, kind, exposure_s))
    frame = await context.rig.camera.expose(kind, exposure_s)
    if context.rig.unready:
        reason = f"shot while {' and '.join(context.rig.unready)} went away or was changed"
        path = await in_thread(context.folder.quarantine, frame, None, reason)
        raise DeviceLostError(context.rig.unready[0], f"went away or was changed during an exposure ({path.name})")
    return frame


async def patiently(context: NightContext, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until it succeeds, as often as the night's budget allows; what a second try can cure gets one.

    What was lost is waited for, however often that takes another look: only its loss counts as one try.

    Raises
    ------
    StepFailedError
        It failed too often.
    SettingRefusedError, NotSupportedError
        The rig cannot do this, however often it is asked.
    """
    pause_s = FIRST_PAUSE_S
    for number in range(context.retries.per_exposure + 1):
        try:
            return await attempt()
        except (SettingRefusedError, NotSupportedError):
            raise
        except DeviceError as error:
            if number == context.retries.per_exposure:
                raise StepFailedError(f"{error} ({number + 1} times in a row)") from error
            spend_retry(context)
            context.notice(Severity.WARNING, f"{error}; trying again")
            await asyncio.sleep(pause_s)
            pause_s *= 2
            await come_back(context)
    raise AssertionError("the loop returns or raises")


async def come_back(context: NightContext) -> None:
    """Wait for a rig that went away: a server that is started again, a cable, a power supply.

    Raises
    ------
    StepFailedError
        It stayed away.
    SettingRefusedError, NotSupportedError
        It came back as another.
    """
    loop = asyncio.get_running_loop()
    began_s, pause_s = loop.time(), FIRST_PAUSE_S
    while True:
        try:
            await context.rig.ensure_ready()
        except (SettingRefusedError, NotSupportedError):
            raise
        except DeviceError as error:
            context.require_time(0.0)
            if loop.time() - began_s > AWAY_S:
                raise StepFailedError(f"{error} (for {AWAY_S / 60:.0f} min)") from error
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        else:
            return


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
