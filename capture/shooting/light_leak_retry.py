"""Shoot a set again if frames that should be dark show light, and skip darks while the light leak persists."""

from coldframe.capture.events.values import Severity
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError
from coldframe.capture.shooting.set_frames import LightLeakError
from coldframe.capture.shooting.set_inputs import SetInputs, ShotSet
from coldframe.capture.shooting.set_shooting import SetShooting
from coldframe.capture.steps import ShootStep
from coldframe.config.frames import FrameKind

ADVICE = "cover the telescope, keep lamps and daylight off it, and shoot the darks again"


class LightLeakRetry:
    """Shoots sets. A set with a light leak is shot once more, and darks are skipped while the leak persists."""

    def __init__(self, context: NightContext) -> None:
        self._context = context
        self._leak: str | None = None

    async def shoot(self, number: int, step: ShootStep, inputs: SetInputs) -> ShotSet:
        """Shoot a set. If its first frames show light, darken the rig and shoot the set once more.

        Raises
        ------
        StepSkippedError
            If earlier darks contain light. Further darks would contain light as well, and would spoil the light frames.
        StepFailedError
            If the frames of the second attempt also show light, or if `SetShooting.run` raises it.
        DeviceError, NotDurableError
            If `SetShooting.run` raises it.
        """
        if step.kind is FrameKind.DARK and self._leak is not None:
            raise StepSkippedError(f"light leaks in: {self._leak}")
        try:
            shot = await self._shoot_twice(number, step, inputs)
        except LightLeakError as error:
            if step.kind is FrameKind.DARK:
                self._leak = str(error)
            raise StepFailedError(f"{error}; {ADVICE}") from error
        if step.kind is FrameKind.DARK:
            self._leak = shot.leak
        return shot

    async def _shoot_twice(self, number: int, step: ShootStep, inputs: SetInputs) -> ShotSet:
        try:
            return await SetShooting(self._context, number, step, inputs).run()
        except LightLeakError as error:
            # The second attempt begins by darkening the rig, as does every set that needs darkness.
            text = f"{step.title}: {error}; switching the lamp off, closing the cover and shooting the set again"
            self._context.notice(Severity.WARNING, text)
        return await SetShooting(self._context, number, step, inputs).run()
