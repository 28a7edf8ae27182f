"""The filter wheel: it turns the shorter way round, slot by slot."""

import math

from coldframe.config.simulated_rig import WheelModel


class Wheel:
    """A wheel and the slot that is in the beam: the first one for ever where it is stuck, whatever it says."""

    def __init__(self, model: WheelModel, *, is_stuck: bool = False) -> None:
        self.model = model
        self._is_stuck = is_stuck
        self._slot = 0
        self._arrived_s = -math.inf

    @property
    def target(self) -> int:
        """Slot, from 0, that the wheel stands at or turns to."""
        return self._slot

    @property
    def in_beam(self) -> int:
        """Slot, from 0, whose filter the light passes once the wheel has turned."""
        return 0 if self._is_stuck else self._slot

    def turn_to(self, slot: int, now_s: float) -> float:
        """Start turning to a slot; return when it will be there."""
        slots = len(self.model.filters)
        steps = min((slot - self._slot) % slots, (self._slot - slot) % slots)
        self._slot = slot
        self._arrived_s = max(self._arrived_s, now_s) + steps * self.model.slot_s
        return self._arrived_s

    def slot(self, now_s: float) -> int | None:
        """Return the slot in the beam, None while the wheel turns."""
        return self._slot if now_s >= self._arrived_s else None

    def transmission(self, now_s: float) -> float:
        """Return the fraction of light that passes: none while the rim between two filters is in the beam."""
        return 0.0 if self.slot(now_s) is None else self.model.filters[self.in_beam].transmission
