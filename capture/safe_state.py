"""The state in which a rig may be left alone: exposure ended, lamp out, cover as wanted, cooler as wanted.

Each step is bounded in time and independent of the others: a camera that is gone does not keep the lamp burning.
"""

import asyncio
from collections.abc import Awaitable, Callable

from coldframe.capture.clock import NightClock
from coldframe.capture.events import EventStream, Notice, PanelChanged, Severity
from coldframe.capture.thermal import warm_up
from coldframe.config.settings import Settings
from coldframe.devices.errors import DeviceError
from coldframe.devices.rig import Rig

ABORT_DEADLINE_S = 20.0
LAMP_DEADLINE_S = 60.0
COOLER_DEADLINE_S = 60.0
WARM_MARGIN_S = 300.0
"""Allowed beyond the warm-up that its ramp asks for; then the cooler is switched off as it is."""


class SafeState:
    """Brings a rig to the safe state, step by step.

    Parameters
    ----------
    settings
        What becomes of cover and cooler.
    rig
        The hardware; whatever of it does not answer is reported and passed over.
    events, clock
        Where and when to tell.
    """

    def __init__(self, settings: Settings, rig: Rig, events: EventStream, clock: NightClock) -> None:
        self._settings = settings
        self._rig = rig
        self._events = events
        self._clock = clock
        self._failures: list[str] = []
        self._warming: asyncio.Task[None] | None = None
        self._cut_short = False

    async def reach(self) -> tuple[str, ...]:
        """Do all steps; return what could not be done, one sentence each."""
        await self._try(self._rig.camera.name, "end its exposure", self._rig.camera.abort, ABORT_DEADLINE_S)
        await self._panel()
        await self._cooler()
        return tuple(self._failures)

    async def _try(self, device: str, what: str, step: Callable[[], Awaitable[None]], deadline_s: float) -> bool:
        try:
            async with asyncio.timeout(deadline_s):
                await step()
        except TimeoutError:
            self._fail(f"{device} did not {what} within {deadline_s:g} s. Look after it by hand.")
        except DeviceError as error:
            self._fail(f"{device} did not {what}: {error}. Look after it by hand.")
        else:
            return True
        return False

    def _fail(self, sentence: str) -> None:
        self._failures.append(sentence)
        self._events.publish(Notice(self._clock.now(), Severity.ERROR, sentence))

    async def _panel(self) -> None:
        panel, settings = self._rig.panel, self._settings.panel
        if panel is None or settings is None:
            return
        await self._try(panel.name, "put its lamp out", panel.light_off, LAMP_DEADLINE_S)
        if panel.has_cover:
            closed = settings.cover_at_end == "closed"
            move = panel.close_cover if closed else panel.open_cover
            deadline_s = settings.cover_deadline_s + LAMP_DEADLINE_S
            await self._try(panel.name, "close its cover" if closed else "open its cover", move, deadline_s)
        state = panel.state()
        self._events.publish(PanelChanged(self._clock.now(), state.lit, state.brightness, state.cover))

    async def _cooler(self) -> None:
        camera, cooling = self._rig.camera, self._settings.cooling
        thermals = camera.thermals()
        if cooling.at_end == "hold" or (thermals.setpoint_c is None and thermals.cooler_on is not True):
            return
        if cooling.at_end == "warm" and thermals.sensor_c is not None:
            span_s = 60 * abs(cooling.warm_to_c - thermals.sensor_c) / cooling.warm_ramp_c_per_min
            self._warming = asyncio.create_task(warm_up(camera, cooling, self._events, self._clock), name="warm-up")
            if not await self._try(camera.name, "warm up", self._warmed, span_s + WARM_MARGIN_S):
                return
        await self._try(camera.name, "switch its cooler off", camera.cooler_off, COOLER_DEADLINE_S)

    async def _warmed(self) -> None:
        assert self._warming is not None
        try:
            await self._warming
        except asyncio.CancelledError:
            if not self._cut_short:
                raise
            raise DeviceError(self._rig.camera.name, "its warm-up was cut short, the cooler holds") from None

    def cut_warm_up_short(self) -> None:
        """Leave the cooler as it is; nothing else is left out."""
        if self._warming is not None:
            self._cut_short = True
            self._warming.cancel()
