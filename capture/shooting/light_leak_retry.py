"""What follows when light falls on frames that should be dark: a second try, and no more darks while it stays."""

from coldframe.capture.events.kinds import Severity
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError
from coldframe.capture.shooting.set_frames import LightLeakError
from coldframe.capture.shooting.set_inputs import SetInputs, ShotSet
from coldframe.capture.shooting.set_shooting import SetShooting
from coldframe.capture.steps import ShootStep
from coldframe.config.frames import FrameKind


class LightLeakRetry:
    """Shoots sets, and remembers whether it is dark enough for darks."""

    def __init__(self, context: NightContext) -> None:
        self._context = context
        self._leak: str | None = None

    async def shoot(self, number: int, step: ShootStep, inputs: SetInputs) -> ShotSet:
        """Shoot a set; one that was lit from the start gets a second try, the panel put out and the cover closed again.

        Raises
        ------
        StepSkippedError
            It is not dark enough for darks: one with light in it would spoil the lights.
        LightLeakError
            The second try was lit, too.
        StepFailedError, DeviceError, NotDurableError
            As `SetShooting.run` does.
        """
        if step.kind is FrameKind.DARK and self._leak is not None:
            raise StepSkippedError(f"it is not dark: {self._leak}")
        try:
            shot = await self._shot(number, step, inputs)
        except LightLeakError as error:
            if step.kind is FrameKind.DARK:
                self._leak = str(error)
            advice = "cover the telescope, keep lamps and daylight off it, and shoot the darks again"
            raise StepFailedError(f"{error}; {advice}") from error
        if step.kind is FrameKind.DARK:
            self._leak = shot.leak
        return shot

    async def _shot(self, number: int, step: ShootStep, inputs: SetInputs) -> ShotSet:
        try:
            return await SetShooting(self._context, number, step, inputs).run()
        except LightLeakError as error:
            text = f"{step.title}: {error}; panel out and cover closed again, a second try"
            self._context.notice(Severity.WARNING, text)
        return await SetShooting(self._context, number, step, inputs).run()
