"""One good exposure, with as many tries as the night allows."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from coldframe.capture.context import NightContext, StepFailedError
from coldframe.capture.events import ExposureStarted, Severity
from coldframe.capture.retries import OutOfRetriesError
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame
from coldframe.devices.errors import DeviceError, NotSupportedError, SettingRefusedError

FIRST_PAUSE_S = 1.0

T = TypeVar("T")


async def expose_once(context: NightContext, step: int, kind: FrameKind, exposure_s: float) -> Frame:
    """Expose one frame.

    Raises
    ------
    DeviceError
        The camera failed.
    """
    context.tell(ExposureStarted(context.clock.now(), step, kind, exposure_s))
    return await context.rig.camera.expose(kind, exposure_s)


async def patiently(context: NightContext, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until it succeeds, as often as the night's budget allows; what a second try can cure gets one.

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
    raise AssertionError("the loop returns or raises")


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
