"""Turn the rotator to the angle of a set of flats, and back at the end of the night."""

import asyncio

from coldframe.capture.events.rotator import RotatorTurned
from coldframe.capture.recovery.retrying import with_retries
from coldframe.capture.session.context import NightContext
from coldframe.config.angles import degrees_apart


async def turn_rotator(context: NightContext, angle_deg: float | None) -> None:
    """Turn the rotator to an angle and wait for it to settle. Do nothing without a rotator or an angle.

    Raises
    ------
    StepFailedError, DeviceError
        If the rotator refused the angle or did not reach it, or if too little time is left before the deadline.
    """
    rotator, settings = context.rig.rotator, context.settings.rotator
    if rotator is None or settings is None or angle_deg is None:
        return
    before_deg = rotator.angle_deg
    turns = before_deg is None or degrees_apart(before_deg, angle_deg) > settings.tolerance_deg
    if turns:
        context.require_time(settings.settle_s)
        context.publish(RotatorTurned(context.clock.now(), None, rotator.found_deg))
    # Send the command even if the angle is right, so that a later move by another client is noticed and undone.
    await with_retries(context, lambda: rotator.turn_to(angle_deg))
    context.retries.breakers.worked(rotator.name)
    if turns:
        context.publish(RotatorTurned(context.clock.now(), rotator.angle_deg, rotator.found_deg))
        await asyncio.sleep(settings.settle_s)
