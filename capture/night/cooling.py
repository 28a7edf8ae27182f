"""Cool the sensor to the setpoint of each step, or to a warmer setpoint if the planned setpoint is out of reach."""

from coldframe.capture.night.plan_progress import PlanProgress
from coldframe.capture.recovery.retrying import with_retries
from coldframe.capture.rig.temperature import OutOfReachError, cool, cool_less
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError


class Cooling:
    """Cools the sensor down for the steps that follow.

    Parameters
    ----------
    context
        The night.
    progress
        The plan, whose later steps a fallback moves to the warmer setpoint.
    """

    def __init__(self, context: NightContext, progress: PlanProgress) -> None:
        self._context = context
        self._progress = progress
        self._reached_c: float | None = None

    def require(self, setpoint_c: float | None) -> None:
        """Check that the sensor has reached the given setpoint; None accepts any temperature.

        Raises
        ------
        StepSkippedError
            If the sensor has not reached the setpoint.
        """
        if setpoint_c is not None and self._reached_c != setpoint_c:
            raise StepSkippedError(f"the sensor did not reach {setpoint_c:g} C")

    async def reach(self, number: int, setpoint_c: float) -> None:
        """Run the given cooling step.

        Raises
        ------
        StepFailedError
            If later steps had to be moved to a warmer setpoint.
        OutOfReachError
            If no setpoint is within reach.
        DeviceError
            If the camera failed.
        """
        self._reached_c = None
        # If all sets are done but a frame is missing, its set waits for the setpoint before it shoots the frame.
        if not self._progress.needs_no_cooling(number, setpoint_c):
            try:
                await with_retries(self._context, lambda: cool(self._context, setpoint_c))
            except OutOfReachError as error:
                reached_c = await self._fall_back(number, setpoint_c, error)
                raise StepFailedError(f"{error}; its sets are shot at {reached_c:g} C") from error
        self._reached_c = setpoint_c

    async def fall_back(self, number: int, error: OutOfReachError) -> float:
        """Move the step that lost its setpoint, and all later steps, to a warmer setpoint. Return that setpoint.

        Raises
        ------
        OutOfReachError
            If no warmer setpoint is within reach.
        DeviceError
            If the camera failed.
        """
        lost_c = self._reached_c
        if lost_c is None:
            raise error
        self._reached_c = None
        return await self._fall_back(number - 1, lost_c, error)

    async def _fall_back(self, number: int, setpoint_c: float, error: OutOfReachError) -> float:
        """Move all steps after the given step to a warmer setpoint. Return that setpoint."""
        reached_c = await cool_less(self._context, setpoint_c)
        if reached_c is None:
            raise error
        self._progress.move(number, setpoint_c, reached_c)
        self._reached_c = reached_c
        return reached_c
