"""Cool the sensor to the setpoint of each step, or to a different setpoint if the planned setpoint is out of reach."""

from enum import Enum

from coldframe.capture.events.values import Severity, Topic
from coldframe.capture.judging.cooler import Obstacle
from coldframe.capture.night.plan_progress import PlanProgress
from coldframe.capture.recovery.retrying import with_retries
from coldframe.capture.rig.temperature import OutOfReachError, cool, cool_less, stop_cooling
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError
from coldframe.capture.steps import ShootStep, SkyStep
from coldframe.config.frames import FrameKind


class MovedKinds(Enum):
    """The sets that are shot although their setpoint is out of reach."""

    ALL = "all"
    ALL_BUT_DARKS = "all but darks"
    NONE = "none"


class Cooling:
    """Cools the sensor for the steps that follow.

    If a setpoint is out of reach, bias frames, flats and dark flats move to a setpoint within reach. If no setpoint is
    within reach, they are shot without cooling. Darks move to a setpoint within reach as well, unless they were planned
    for lights, whose temperature they must match. Darks that do not move are skipped.

    Parameters
    ----------
    context
        The night.
    progress
        The plan, whose later steps move to the setpoint within reach.
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
            If later steps had to be moved to a different setpoint.
        OutOfReachError
            If the sensor temperature is unknown.
        DeviceError
            If the camera failed.
        """
        self._reached_c = None
        # If a frame of a finished set turns out to be missing, it is shot again only once the setpoint is reached.
        if not self._progress.needs_no_cooling(number, setpoint_c):
            try:
                await with_retries(self._context, lambda: cool(self._context, setpoint_c))
            except OutOfReachError as error:
                raise StepFailedError(await self._move(number, setpoint_c, error)) from error
        self._reached_c = setpoint_c

    async def fall_back(self, number: int, error: OutOfReachError) -> str:
        """Move the step that lost its setpoint, and later steps with this setpoint, to a setpoint within reach.

        Return a sentence about the change.

        Raises
        ------
        OutOfReachError
            If the sensor temperature is unknown.
        DeviceError
            If the camera failed.
        """
        lost_c = self._reached_c
        if lost_c is None:
            raise error
        self._reached_c = None
        return await self._move(number - 1, lost_c, error)

    async def _move(self, number: int, setpoint_c: float, error: OutOfReachError) -> str:
        """Move later steps with the given setpoint to a setpoint within reach. Return a sentence about the change.

        If the sensor temperature is unknown, raise the error instead: no setpoint can be chosen, and the headers of
        frames would be wrong.
        """
        if error.limit_c is None or error.obstacle is None:
            raise error
        darks, others = self._sets_after(number, setpoint_c)
        reached_c = None
        if others or not self._context.is_for_lights:
            reached_c = await cool_less(self._context, setpoint_c, error.limit_c)
        if others and reached_c is None:
            await with_retries(self._context, lambda: stop_cooling(self._context))
        moves_darks = reached_c is not None and not self._context.is_for_lights
        self._progress.move(number, setpoint_c, reached_c, moves_darks=moves_darks)
        self._reached_c = reached_c
        kinds = MovedKinds.ALL if moves_darks or not darks else MovedKinds.ALL_BUT_DARKS if others else MovedKinds.NONE
        sentence = moved_text(setpoint_c, error.limit_c, error.obstacle, reached_c, kinds)
        self._context.notice(Severity.WARNING, sentence, topic=Topic.SETPOINT)
        return sentence

    def _sets_after(self, number: int, setpoint_c: float) -> tuple[bool, bool]:
        """Return whether any darks, and whether any other sets, with the given setpoint follow the given step."""
        steps = [
            step
            for step in self._progress.steps[number:]
            if isinstance(step, ShootStep | SkyStep) and step.setpoint_c == setpoint_c
        ]
        darks = [step for step in steps if isinstance(step, ShootStep) and step.kind is FrameKind.DARK]
        return bool(darks), len(darks) < len(steps)


def moved_text(
    setpoint_c: float, limit_c: float, obstacle: Obstacle, reached_c: float | None, moved: MovedKinds
) -> str:
    """Return a sentence about a setpoint that was out of reach, with advice for later nights.

    Parameters
    ----------
    setpoint_c
        The setpoint that was out of reach, degrees Celsius.
    limit_c, obstacle
        Sensor temperature that was reached instead, and the reason why the setpoint was not reached.
    reached_c
        Setpoint of the moved sets; None if they are shot without cooling.
    moved
        The sets that are shot nevertheless.
    """
    place = "without cooling" if reached_c is None else f"at {reached_c:g} C"
    shot = {
        MovedKinds.ALL: f"its sets are shot {place}",
        MovedKinds.ALL_BUT_DARKS: f"bias frames, flats and dark flats are shot {place}, and darks are skipped",
        MovedKinds.NONE: "its darks are skipped",
    }[moved]
    advice = "choose a setpoint that the cooler reaches on nights like this, or check its power supply"
    if reached_c is not None:
        bound = "or warmer" if reached_c > setpoint_c else "or colder"
        advice = f"on nights like this, shoot lights and darks with camera.setpoint_c = {reached_c:g} {bound}"
    return f"{setpoint_c:g} C was not reached ({obstacle} at {limit_c:.1f} C): {shot}; {advice}"
