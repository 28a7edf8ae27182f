"""One good exposure, with as many tries as the night allows."""

import asyncio

from coldframe.capture.context import NightContext, StepFailedError
from coldframe.capture.events import ExposureStarted, Severity
from coldframe.capture.retries import OutOfRetriesError
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame
from coldframe.devices.errors import DeviceError, NotSupportedError, SettingRefusedError

FIRST_PAUSE_S = 1.0


async def expose(context: NightContext, step: int, kind: FrameKind, exposure_s: float) -> Frame:
    """Expose one frame; what a second try can cure gets one.

    Raises
    ------
    StepFailedError
        The camera failed more often than the night's budget allows.
    SettingRefusedError, NotSupportedError
        The camera cannot do this, however often it is asked.
    """
    pause_s = FIRST_PAUSE_S
    for attempt in range(context.retries.per_exposure + 1):
        context.tell(ExposureStarted(context.clock.now(), step, kind, exposure_s))
        try:
            return await context.rig.camera.expose(kind, exposure_s)
        except (SettingRefusedError, NotSupportedError):
            raise
        except DeviceError as error:
            if attempt == context.retries.per_exposure:
                raise StepFailedError(f"{error} ({attempt + 1} times in a row)") from error
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
