"""The filter wheel, which turns in the shorter direction, slot by slot."""

import math

from coldframe.config.simulated_rig import WheelModel


class Wheel:
    """A filter wheel. A stuck wheel reports every turn as done but keeps its first slot in the beam."""

    def __init__(self, model: WheelModel, *, is_stuck: bool = False) -> None:
        self.model = model
        self._is_stuck = is_stuck
        self._slot = 0
        self._arrived_s = -math.inf

    @property
    def target(self) -> int:
        """Slot, counted from 0, that is in position or to which the wheel is turning."""
        return self._slot

    @property
    def in_beam(self) -> int:
        """Slot, counted from 0, whose filter is in the beam once the wheel has turned."""
        return 0 if self._is_stuck else self._slot

    def turn_to(self, slot: int, now_s: float) -> float:
        """Start turning to a slot, and return the time at which the wheel arrives."""
        slots = len(self.model.filters)
        steps = min((slot - self._slot) % slots, (self._slot - slot) % slots)
        self._slot = slot
        self._arrived_s = max(self._arrived_s, now_s) + steps * self.model.slot_s
        return self._arrived_s

    def slot(self, now_s: float) -> int | None:
        """Return the slot that the wheel reports; None while the wheel is turning."""
        return self._slot if now_s >= self._arrived_s else None

    def transmission(self, now_s: float) -> float:
        """Return the transmitted fraction of the light; 0 while the wheel is turning."""
        return 0.0 if self.slot(now_s) is None else self.model.filters[self.in_beam].transmission
