"""The protocol for rotators."""

from typing import Protocol

from coldframe.devices.camera import Limits


class Rotator(Protocol):
    """A rotator between telescope and camera. All methods can raise DeviceError, and every wait has a deadline."""

    @property
    def name(self) -> str:
        """The device's name."""
        ...

    @property
    def angle_deg(self) -> float | None:
        """The current angle; None while the rotator is turning, or if its angle is unknown."""
        ...

    @property
    def limits_deg(self) -> Limits | None:
        """Range of the angles that the rotator accepts; None if it is unknown."""
        ...

    @property
    def commanded_deg(self) -> float | None:
        """The last commanded angle; None if no angle has been commanded, or if the rotator did not reach it."""
        ...

    @property
    def found_deg(self) -> float | None:
        """The angle before the first command; None if it is unknown, or if the rotator has returned to it."""
        ...

    @property
    def is_ready(self) -> bool:
        """True while the rotator is connected and at the last commanded angle."""
        ...

    def found_at(self, angle_deg: float) -> None:
        """Set the angle to which `restore` turns back, for a rotator that an earlier run has already turned."""
        ...

    async def ensure_ready(self) -> None:
        """Reconnect the rotator if necessary, and turn it back to the last commanded angle."""
        ...

    async def connect(self) -> None:
        """Connect to the rotator, and record its current angle."""
        ...

    async def turn_to(self, angle_deg: float) -> None:
        """Turn the rotator to an angle, and wait until the angle is reached."""
        ...

    async def restore(self) -> bool:
        """Turn the rotator back to the angle that it had before the first command.

        Return False if there was nothing to restore.
        """
        ...
