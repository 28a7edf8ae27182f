"""The simulated rotator as an INDI device."""

import asyncio
from collections.abc import Mapping

from coldframe.config.angles import FULL_TURN_DEG
from coldframe.simulators.cards import ROTATOR_NAME
from coldframe.simulators.indi.device import MAIN_GROUP, IndiDevice, Publish
from coldframe.simulators.indi.properties import Number, RefusedError, Rule, State, Switch, Value, Vector
from coldframe.simulators.rotator import Rotator

INTERFACE_ROTATOR = 1 << 12
"""Bit of DRIVER_INTERFACE, from libindi's basedevice.h."""

ANGLE = "ANGLE"


class IndiRotator(IndiDevice):
    """The rotator, with the properties of libindi's rotator interface."""

    def __init__(self, rotator: Rotator, tasks: asyncio.TaskGroup, publish: Publish) -> None:
        super().__init__(ROTATOR_NAME, INTERFACE_ROTATOR, tasks, publish)
        self._rotator = rotator
        self._turning: asyncio.Task[None] | None = None
        self._offset_deg = 0.0
        angle = Number(ANGLE, rotator.target_deg, 0, FULL_TURN_DEG, 10, "%.2f", "Angle")
        self._angle = self.add(Vector("ABS_ROTATOR_ANGLE", "Goto", MAIN_GROUP, angle), self._turn)
        stop = Switch("ABORT", label="Abort")
        self._abort = self.add(
            Vector("ROTATOR_ABORT_MOTION", "Abort Motion", MAIN_GROUP, stop, rule=Rule.AT_MOST_ONE), self._stop
        )
        here = Number(ANGLE, 0, 0, FULL_TURN_DEG, 10, "%.2f", "Angle")
        self._sync = self.add(Vector("SYNC_ROTATOR_ANGLE", "Sync", MAIN_GROUP, here), self._synchronise)
        directions = Switch("INDI_ENABLED", label="Enabled"), Switch("INDI_DISABLED", "On", "Disabled")
        self._reverse = self.add(Vector("ROTATOR_REVERSE", "Reverse", MAIN_GROUP, *directions), self._keep_direction)

    def _turn(self, values: Mapping[str, Value]) -> None:
        self._rotator.turn_to(float(values[ANGLE]) - self._offset_deg, _time_s())
        self._show(State.BUSY)
        if self._turning:
            self._turning.cancel()
        self._turning = self.start(self._arrive())

    async def _arrive(self) -> None:
        while self._rotator.is_turning(_time_s()):
            self._show(State.BUSY)
            await asyncio.sleep(self.polling_s)
        self._show(State.OK)

    def _stop(self, _: Mapping[str, Value]) -> None:
        if self._turning:
            self._turning.cancel()
        self._rotator.stop(_time_s())
        self.report(self._abort, State.OK)
        self._show(State.OK)

    def _synchronise(self, values: Mapping[str, Value]) -> None:
        self._offset_deg = float(values[ANGLE]) - self._rotator.angle_deg(_time_s())
        self._sync.set({ANGLE: float(values[ANGLE])})
        self.report(self._sync, State.OK)
        self._show(State.OK)

    def _keep_direction(self, values: Mapping[str, Value]) -> None:
        if values.get("INDI_ENABLED") == "On":
            raise RefusedError("ROTATOR_REVERSE: the simulated rotator cannot be reversed")
        self.report(self._reverse, State.OK)

    def _show(self, state: State) -> None:
        self._angle.set({ANGLE: (self._rotator.angle_deg(_time_s()) + self._offset_deg) % FULL_TURN_DEG})
        self.report(self._angle, state)


def _time_s() -> float:
    return asyncio.get_running_loop().time()
