"""A flat panel with a dimmable lamp and a cover that takes time to move."""

import math

from coldframe.config.simulated_rig import PanelModel
from coldframe.devices.flat_panel import CoverState


class Panel:
    """A panel. If it has a cover, the lamp is in the cover and illuminates the telescope while the cover is closed."""

    def __init__(self, model: PanelModel, *, is_dead: bool = False) -> None:
        self.model = model
        self._is_dead = is_dead
        self.lit = False
        self.brightness = 0
        self._closed = True
        self._settled_s = -math.inf

    def move_cover(self, now_s: float, *, closed: bool) -> float:
        """Start moving the cover if necessary, and return the time at which it arrives."""
        if closed != self._closed and self.model.cover_travel_s is not None:
            # A cover that reverses in mid-travel takes as long to return as it has travelled.
            still_to_go_s = max(self._settled_s - now_s, 0.0)
            self._settled_s = now_s + self.model.cover_travel_s - still_to_go_s
            self._closed = closed
        return max(self._settled_s, now_s)

    def cover(self, now_s: float) -> CoverState | None:
        """Return the position of the cover; None for a panel without a cover."""
        if self.model.cover_travel_s is None:
            return None
        if now_s < self._settled_s:
            return CoverState.MOVING
        return CoverState.CLOSED if self._closed else CoverState.OPEN

    def e_per_s(self) -> float:
        """Return the light of the panel, in electrons per second in a clear pixel on the axis."""
        shines = self.lit and not self._is_dead
        return self.model.full_e_per_s * radiance(self.model, self.brightness) if shines else 0.0


def radiance(model: PanelModel, brightness: int) -> float:
    """Return the light output at the given brightness setting, relative to full brightness."""
    return model.glow + (1 - model.glow) * _risen(model, brightness / model.brightness_maximum)


def _risen(model: PanelModel, setting: float) -> float:
    match model.curve:
        case "linear":
            return setting
        case "gamma":
            return math.pow(setting, model.gamma)
        case "pwm":
            return math.ceil(setting * model.pwm_steps) / model.pwm_steps
        case "saturating":
            return math.expm1(-setting / model.knee) / math.expm1(-1 / model.knee)
