"""Take one exposure: check its preconditions, expose, and check whether the rig changed during the exposure."""

from dataclasses import replace

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.keywords import ANGLE_OF_SET, ROTATOR_ANGLE
from coldframe.capture.events.kinds import ExposureStarted
from coldframe.capture.events.values import ExposurePurpose, Severity
from coldframe.capture.recovery.clock_jump import clock_checked
from coldframe.capture.recovery.disk_full import wait_for_room
from coldframe.capture.recovery.pausing import until_resumed
from coldframe.capture.recovery.retrying import ensure_ready, with_retries
from coldframe.capture.session.context import NightContext
from coldframe.capture.threads import in_thread
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Frame
from coldframe.devices.errors import DeviceLostError


async def apply_with_retries(context: NightContext, readout: ReadoutSettings) -> ReadoutSettings:
    """Apply readout settings, with as many retries as the night allows, and return them as the camera reports them.

    Raises
    ------
    StepFailedError
        If the camera failed too often.
    SettingRefusedError, NotSupportedError
        If the camera does not support the settings.
    """
    return await with_retries(context, lambda: context.rig.camera.apply(readout))


async def expose_with_retries(
    context: NightContext,
    step: int,
    kind: FrameKind,
    exposure_s: float,
    filter_name: str | None = None,
    *,
    purpose: ExposurePurpose,
) -> Frame:
    """Wait while the night is paused, then expose one frame, with as many retries as the night allows.

    See `expose_once`.

    Raises
    ------
    StepFailedError
        If the exposure failed too often, or the night was paused until the deadline.
    SettingRefusedError, NotSupportedError
        If the rig cannot take this exposure.
    NotDurableError
        If the disk has no room for more frames.
    """

    async def attempt() -> Frame:
        await until_resumed(context, exposure_s)
        return await expose_once(context, step, kind, exposure_s, filter_name, purpose=purpose)

    return await with_retries(context, attempt)


async def expose_once(
    context: NightContext,
    step: int,
    kind: FrameKind,
    exposure_s: float,
    filter_name: str | None = None,
    *,
    purpose: ExposurePurpose = ExposurePurpose.FRAME,
) -> Frame:
    """Expose one frame. The caller must wait for the end of a pause first; see `until_resumed`.

    Parameters
    ----------
    context
        The night.
    step
        Number of the step, for events.
    kind, exposure_s
        Kind and exposure, in seconds, of the frame.
    filter_name
        Name of the filter in the light path; if given, the header will contain the lights' name for this filter.
    purpose
        Purpose of the exposure, for events.

    Returns
    -------
    Frame
        The frame, with the names from the lights added to the driver's header.

    Raises
    ------
    DeviceError
        If the camera failed, or a device was lost or changed during the exposure.
    NotDurableError
        If the disk has no room for more frames.
    StepFailedError
        If the deadline passed during the wait for disk space.
    """
    await wait_for_room(context)
    await ensure_ready(context)
    context.publish(ExposureStarted(context.clock.now(), step, kind, exposure_s, purpose))
    frame = await context.rig.camera.expose(kind, exposure_s)
    for remark in frame.remarks:
        context.notice(Severity.WARNING, f"{frame.camera}: {remark}")
    if unready := [device.name for device in context.devices if not device.is_ready]:
        verb = "was" if len(unready) == 1 else "were"
        reason = f"shot while {' and '.join(unready)} {verb} lost or changed"
        path = await in_thread(context.folder.quarantine, frame, None, reason)
        raise DeviceLostError(unready[0], f"was lost or changed during an exposure ({path.name})")
    context.retries.breakers.worked(frame.camera)
    context.retries.hung_camera.worked()
    header = context.words.added_to(
        frame.header, camera=frame.camera, filter_name=filter_name, shape=frame.pixels.shape
    )
    return clock_checked(context, replace(frame, header={**header, **_rotator_cards(context, kind)}))


def _rotator_cards(context: NightContext, kind: FrameKind) -> dict[str, HeaderValue]:
    """Return cards with the rotator's angle and, for a flat, the angle of its set. Only flats depend on the angle."""
    rotator, cards = context.rig.rotator, dict[str, HeaderValue]()
    if rotator is not None and rotator.angle_deg is not None:
        cards[ROTATOR_ANGLE] = round(rotator.angle_deg, 3)
    if rotator is not None and rotator.commanded_deg is not None and kind is FrameKind.FLAT:
        cards[ANGLE_OF_SET] = rotator.commanded_deg
    return cards
