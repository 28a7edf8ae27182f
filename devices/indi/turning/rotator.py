"""A rotator on an INDI server."""

from typing import ClassVar

from coldframe.config.angles import degrees_apart, within_limits
from coldframe.devices.camera import Limits
from coldframe.devices.errors import DeviceTimeoutError, SettingRefusedError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.mirror import Property, finite, in_brackets


class IndiRotator(IndiDevice):
    """A rotator with INDI's rotator interface. Implements `Rotator`.

    ABS_ROTATOR_ANGLE is the angle that the camera's driver writes into the headers of frames as ROTATANG. Neither the
    direction (ROTATOR_REVERSE) nor the zero point (SYNC_ROTATOR_ANGLE) is changed, because the angles in the headers of
    the lights would then have a different meaning.

    Parameters
    ----------
    tolerance_deg
        Maximum difference from a commanded angle, in degrees, at which the angle counts as reached.
    turn_deadline_s
        Maximum time that a turn may take, in seconds.
    """

    awaited: ClassVar[tuple[str, ...]] = (dialects.ROTATOR_ANGLE[0].property,)

    def __init__(self, link: IndiLink, name: str, tolerance_deg: float = 0.2, turn_deadline_s: float = 180.0) -> None:
        super().__init__(link, name)
        self._tolerance_deg = tolerance_deg
        self._turn_deadline_s = turn_deadline_s
        self._commanded_deg: float | None = None
        self._found_deg: float | None = None
        self._was_commanded = False

    async def set_up(self) -> None:
        """Record the angle if no turn has been commanded yet; otherwise, turn back to the last commanded angle."""
        if not self._was_commanded and self._found_deg is None:
            self._found_deg = self.angle_deg
        if self._commanded_deg is not None:
            await self._turn_to(self._commanded_deg)

    @property
    def is_ready(self) -> bool:
        """True while the last set-up is valid, and the rotator is at the last commanded angle."""
        return super().is_ready and (self._commanded_deg is None or self._is_at(self._commanded_deg))

    @property
    def angle_deg(self) -> float | None:
        """The current angle; None while the rotator is turning, or if its angle is unknown."""
        found = dialects.find(self.link.mirror, self.name, dialects.ROTATOR_ANGLE)
        if found is None or found[0].state in ("busy", "alert"):
            return None
        return finite(found[0].values[found[1]])

    @property
    def limits_deg(self) -> Limits | None:
        """Range of the angles that the driver accepts; None if it is unknown."""
        return self.limits(dialects.ROTATOR_ANGLE)

    @property
    def commanded_deg(self) -> float | None:
        """The last commanded angle; None if no angle has been commanded, or if the rotator did not reach it."""
        return self._commanded_deg

    @property
    def found_deg(self) -> float | None:
        """The angle before the first command; None if it is unknown, or if the rotator has returned to it."""
        return self._found_deg

    def found_at(self, angle_deg: float) -> None:
        """Set the angle to which `restore` turns back, for a rotator that an earlier run has already turned."""
        self._found_deg, self._was_commanded = angle_deg, True

    async def turn_to(self, angle_deg: float) -> None:
        """Turn the rotator to an angle, and wait until the angle is reached.

        Raises
        ------
        SettingRefusedError
            If the angle is out of range, or the driver answers with an alert.
        DeviceError
            If the rotator does not reach the angle in time.
        """
        self._commanded_deg = None
        await self.ensure_ready()
        await self._turn_to(angle_deg)
        # As with the wheel, only an angle that was reached is restored.
        self._commanded_deg = angle_deg

    async def restore(self) -> bool:
        """Turn the rotator back to the angle that it had before the first command.

        Return False if there was nothing to restore.

        Raises
        ------
        DeviceError
            If the rotator does not reach the angle in time.
        """
        goal_deg = self._found_deg if self._was_commanded else None
        if goal_deg is not None:
            await self.turn_to(goal_deg)
        self._commanded_deg, self._found_deg, self._was_commanded = None, None, False
        return goal_deg is not None

    def _is_at(self, angle_deg: float) -> bool:
        return self.angle_deg is not None and degrees_apart(self.angle_deg, angle_deg) <= self._tolerance_deg

    async def _turn_to(self, angle_deg: float) -> None:
        if self._is_at(angle_deg):
            return
        prop, element = self.control(dialects.ROTATOR_ANGLE)
        if self._found_deg is None:
            self._found_deg = finite(prop.values[element])
        limits = self.limits_deg
        accepted_deg = within_limits(angle_deg, None if limits is None else (limits.minimum, limits.maximum))
        # The link rejects an angle that the driver does not accept.
        wanted_deg = angle_deg if accepted_deg is None else accepted_deg
        sent = self.link.send(self.name, prop.name, {element: wanted_deg})
        self._was_commanded = True

        def arrived() -> Property | None:
            now = self.link.mirror.find(self.name, prop.name)
            if now is None or now.serial <= sent:
                return None
            if now.state == "alert":
                message = self.link.mirror.message_since(self.name, sent)
                raise SettingRefusedError(self.name, f"refused angle {angle_deg:g} deg" + in_brackets(message))
            # Drivers may report Ok before the rotator turns, and after another client has aborted a turn.
            return now if self._is_at(angle_deg) else None

        try:
            await self.link.wait_answer(
                self.name, prop.name, arrived, self._turn_deadline_s, f"angle {angle_deg:g} deg"
            )
        except DeviceTimeoutError as error:
            raise self._late(angle_deg) from error

    def _late(self, angle_deg: float) -> DeviceTimeoutError:
        shown_deg = self.number(dialects.ROTATOR_ANGLE)
        place = "" if shown_deg is None else f": it reports {shown_deg:g} deg"
        return DeviceTimeoutError(
            self.name,
            f"did not reach angle {angle_deg:g} deg within {self._turn_deadline_s:g} s{place}",
            "If it needs longer, raise rotator.turn_deadline_s; check that nothing blocks it, and that its direction "
            "(ROTATOR_REVERSE) is the same as for the lights.",
        )
