"""Define the event that reports the angle of the rotator."""

from dataclasses import dataclass

from coldframe.capture.events.kinds import Event, on_the_wire


@on_the_wire("rotator-turned")
@dataclass(frozen=True, slots=True)
class RotatorTurned(Event):
    """The rotator has reached an angle, or is about to turn.

    The event is published before each turn, and again afterwards with the new angle. A run that resumes the night thus
    knows where the rotator was before the night, even if the earlier run ended during the first turn.

    Attributes
    ----------
    angle_deg
        Angle of the rotator; None while it is turning.
    found_deg
        Angle before the night, to which the rotator turns back at the end; None once the rotator has returned to this
        angle, or if the angle is unknown.
    """

    angle_deg: float | None
    found_deg: float | None
