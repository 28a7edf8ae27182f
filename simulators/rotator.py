"""The rotator. It turns the camera behind the telescope, always in the shorter direction."""

from coldframe.config.angles import degrees_apart, within_a_turn
from coldframe.config.simulated_rig import RotatorModel


class Rotator:
    """A rotator that turns at a constant speed."""

    def __init__(self, model: RotatorModel) -> None:
        self.model = model
        self._from_deg = self._target_deg = within_a_turn(model.found_deg)
        self._began_s = 0.0

    @property
    def target_deg(self) -> float:
        """Angle at which the rotator is, or to which it is turning."""
        return self._target_deg

    def turn_to(self, angle_deg: float, now_s: float) -> float:
        """Start turning to an angle, and return the time at which the rotator arrives."""
        self._from_deg, self._target_deg, self._began_s = self.angle_deg(now_s), within_a_turn(angle_deg), now_s
        return self._arrives_s

    def stop(self, now_s: float) -> None:
        """Stop at the current angle."""
        self._from_deg = self._target_deg = self.angle_deg(now_s)

    def is_turning(self, now_s: float) -> bool:
        """Return whether the rotator is turning."""
        return now_s < self._arrives_s

    def angle_deg(self, now_s: float) -> float:
        """Return the angle in degrees, from 0 to less than 360."""
        if not self.is_turning(now_s):
            return self._target_deg
        half_turn_deg = 180.0
        way_deg = (self._target_deg - self._from_deg + half_turn_deg) % (2 * half_turn_deg) - half_turn_deg
        turned_deg = self.model.deg_per_s * (now_s - self._began_s)
        return within_a_turn(self._from_deg + (turned_deg if way_deg > 0 else -turned_deg), digits=4)

    @property
    def _arrives_s(self) -> float:
        return self._began_s + degrees_apart(self._from_deg, self._target_deg) / self.model.deg_per_s
