"""Make a rig safe: end the exposure, switch the lamp off, and set the cover, auxiliaries and cooler as configured.

Each step has a deadline and is independent of the others, so that, for example, the lamp is switched off even if the
camera is lost.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Notice, PanelChanged
from coldframe.capture.events.rotator import RotatorTurned
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import Severity, Topic
from coldframe.capture.judging.thermometer import plausible_c
from coldframe.capture.rig.temperature import warm_up
from coldframe.config.settings import Settings
from coldframe.devices.camera import Thermals
from coldframe.devices.errors import DeviceError, DeviceLostError
from coldframe.devices.flat_panel import FlatPanel
from coldframe.devices.rig import Rig

log = logging.getLogger(__name__)

ABORT_DEADLINE_S = 20.0
"""Deadline for aborting the exposure. Some drivers hang for minutes while they abort (indigo#325)."""

LAMP_DEADLINE_S = 60.0
COOLER_DEADLINE_S = 60.0
COOLER_ANSWER_S = 5.0
"""Time for which a driver may still report that the cooler is on after the command to switch it off."""

PATIENCE_S = 60.0
"""Total time to wait for lost servers and devices."""

PAUSE_S = 2.0
"""Time between two checks, and between two attempts."""

OFF_CHECK_S = 60.0
"""Time for which a cooler is monitored after it is switched off."""

OFF_PERCENT = 5.0
"""Power, in percent, at or below which a cooler is considered off."""

WARMED_C = 0.3
"""Smallest rise in temperature, within `OFF_CHECK_S`, of a sensor that is colder than the air and not being cooled."""

ROTATOR_PATIENCE_S = 240.0
"""Maximum wait for the rotator after all other steps. Without this limit, the service manager might kill the run."""

STILL_COLD_C = 1.0
"""A sensor that is more than this number of degrees below `warm_to_c` after its warm-up counts as still cold. If the
sensor lags behind the ramp although the cooler draws no power, it is warming up by itself; switching the cooler off
does not change that.
"""

WARM_MARGIN_S = 300.0
"""Time allowed beyond the length of the warm-up ramp. Afterwards, the cooler is switched off even if the sensor is
still cold.
"""


class SafeState:
    """The steps that bring a rig to the safe state. One object can be used several times.

    Parameters
    ----------
    settings
        Settings of the rig, including the final state of the cover and the cooler.
    rig
        The hardware. If a device does not answer, `SafeState` reports it and continues with the next step.
    events, clock
        The event stream for notices, and the clock that dates them.
    patience_s
        Total time to wait for lost servers and devices.
    """

    def __init__(
        self, settings: Settings, rig: Rig, events: EventStream, clock: NightClock, *, patience_s: float = PATIENCE_S
    ) -> None:
        self._settings = settings
        self._rig = rig
        self._events = events
        self._clock = clock
        self._failures: list[str] = []
        self._warming: asyncio.Task[None] | None = None
        self._turning: asyncio.Task[None] | None = None
        self._hurried = False
        self._patience_s = patience_s
        self._patient_until_s = 0.0
        self._is_waiting = False
        self.still_cold_c: float | None = None
        """Sensor temperature in degrees Celsius if the cooler is off and the sensor is still cold; otherwise None.
        """

    async def reach(self) -> tuple[str, ...]:
        """Bring the rig to the safe state. Return one sentence for each step that failed."""
        # The cooler is last, because its warm-up takes many minutes and may be cut short.
        answers = await self._reach_but_cooler()
        for auxiliary in self._rig.auxiliaries:
            await self._try(
                auxiliary.name, "return to its earlier state", auxiliary.restore, LAMP_DEADLINE_S, Topic.AUXILIARY
            )
        # No angle is unsafe, so the rotator turns during the warm-up and delays no other step.
        self._turning = asyncio.create_task(self._restore_rotator(), name="rotator")
        try:
            await asyncio.sleep(0)  # a task that is cancelled before it starts could not report the cancellation
            await self._reach_cooler(answers=answers)
            if not self._hurried:
                await asyncio.wait([self._turning], timeout=ROTATOR_PATIENCE_S)
        finally:
            self._turning.cancel()
            await asyncio.wait([self._turning], timeout=PAUSE_S)
        return tuple(self._failures)

    async def _reach_cooler(self, *, answers: bool) -> None:
        camera, thermals = self._rig.camera, self._thermals()
        if answers or thermals is None or thermals.sensor_c is not None:
            await self._cooler(thermals)
        else:
            self._fail(f"{camera.name} does not answer: its cooler was left unchanged. Check it by hand.", Topic.COOLER)

    async def _restore_rotator(self) -> None:
        """Turn the rotator back to its angle before the night.

        A failure is only a warning, because no angle is unsafe.
        """
        rotator, settings = self._rig.rotator, self._settings.rotator
        if rotator is None or settings is None or (found_deg := rotator.found_deg) is None:
            return
        failed = f"{rotator.name} was not turned back to {found_deg:g} deg, its angle before the night"
        try:
            async with asyncio.timeout(settings.turn_deadline_s + LAMP_DEADLINE_S):
                has_turned = await rotator.restore()
        except (DeviceError, TimeoutError) as error:
            self._warn(f"{failed}: {str(error).rstrip('.') or 'it did not answer in time'}")
        except asyncio.CancelledError:
            self._warn(f"{failed}: the wait for it was cut short")
            raise
        except Exception as error:  # an unexpected error must not hide the state of the other devices
            log.exception("safe state: the rotator was not turned back")
            self._warn(f"{failed}: {error!r}")
        else:
            if has_turned:  # the event states the angle to which a resumed run must turn the rotator back
                self._events.publish(RotatorTurned(self._clock.now(), rotator.angle_deg, rotator.found_deg))

    def _warn(self, text: str) -> None:
        self._events.publish(Notice(self._clock.now(), Severity.WARNING, text))

    async def reach_but_cooler(self) -> tuple[str, ...]:
        """Make exposure, lamp and cover safe before a night resumes. Return one sentence for each failed step."""
        await self._reach_but_cooler()
        return tuple(self._failures)

    async def _reach_but_cooler(self) -> bool:
        """End the exposure, switch the lamp off and move the cover. Return True if the camera answers."""
        self._failures.clear()
        self._is_waiting = False
        self._patient_until_s = _now_s() + self._patience_s
        camera, panel = self._rig.camera, self._rig.panel
        answers = await self._try(camera.name, "end its exposure", camera.abort, ABORT_DEADLINE_S, Topic.EXPOSURE)
        is_dark, is_covered = True, True
        if panel is not None and self._settings.panel is not None:
            is_dark = await self._try(panel.name, "switch its lamp off", panel.light_off, LAMP_DEADLINE_S, Topic.LAMP)
            is_covered = self._rig.cover is not None or await self._move_cover(panel)
        if self._rig.cover is not None:
            is_covered = await self._move_cover(self._rig.cover)
        if is_covered and is_dark:
            await self._try("panel", "report its state", self._publish_panel, LAMP_DEADLINE_S, Topic.LAMP)
        return answers

    async def _move_cover(self, device: FlatPanel) -> bool:
        """Move the cover of a device to its final position. Return True if it succeeded."""
        deadline_s = self._settings.cover_deadline_s + LAMP_DEADLINE_S
        return await self._try(device.name, "move its cover", lambda: self._cover(device), deadline_s, Topic.COVER)

    async def _publish_panel(self) -> None:
        if (state := self._rig.panel_state()) is not None:
            self._events.publish(PanelChanged(self._clock.now(), state.lit, state.brightness, state.cover))

    async def _try(
        self, device: str, what: str, step: Callable[[], Awaitable[None]], deadline_s: float, topic: Topic
    ) -> bool:
        """Do one step. Return True if it succeeded; a failure is reported and does not stop the next step."""
        try:
            async with asyncio.timeout(deadline_s + max(0.0, self._patient_until_s - _now_s())):
                await self._persistently(step)
        except TimeoutError:
            self._fail(f"{device} did not {what} within {deadline_s:g} s. Check it by hand.", topic)
        except DeviceError as error:
            self._fail(f"{device} did not {what}: {str(error).rstrip('.?')}. Check it by hand.", topic)
        except Exception as error:  # a bug must not keep a lamp lit or a cooler running
            log.exception("safe state: %s did not %s", device, what)
            self._fail(f"{device} did not {what}: internal error {error!r}. Check it by hand.", Topic.INTERNAL_ERROR)
        else:
            return True
        return False

    async def _persistently(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do the given step. Repeat it while its device is lost, but not beyond the time limit for lost devices.

        Also repeat it once after an unexpected exception, because a temporary state of the driver may have caused it.
        """
        is_first_bug = True
        while True:
            try:
                return await step()
            except DeviceLostError as error:
                if _now_s() + PAUSE_S >= self._patient_until_s or self._hurried:
                    raise
                if not self._is_waiting:
                    self._is_waiting = True
                    text = f"{str(error).rstrip('.?')}; waiting at most {self._patience_s:g} s for it"
                    self._warn(text)
                await asyncio.sleep(PAUSE_S)
            except (DeviceError, TimeoutError):
                raise
            except Exception:
                if not is_first_bug:
                    raise
                is_first_bug = False
                log.exception("safe state: a step failed; it will be retried once")

    def _fail(self, sentence: str, topic: Topic) -> None:
        self._failures.append(sentence)
        self._events.publish(Notice(self._clock.now(), Severity.ERROR, sentence, topic=topic))

    async def _cover(self, device: FlatPanel) -> None:
        if device.has_cover:
            await (device.close_cover() if self._settings.cover_at_end == "closed" else device.open_cover())

    def _thermals(self) -> Thermals | None:
        """Return the camera's latest reading, or None if reading it raises an exception."""
        try:
            return self._rig.camera.thermals()
        except Exception:  # a bug must not keep a cooler running
            log.exception("safe state: the state of the cooler cannot be read")
            return None

    async def _cooler(self, thermals: Thermals | None) -> None:
        """Warm the sensor up and switch the cooler off, as configured. Without a reading, only switch it off."""
        camera, cooling = self._rig.camera, self._settings.cooling
        if cooling.at_end == "hold":
            return
        if thermals is not None and thermals.setpoint_c is None and thermals.cooler_on is not True:
            return
        sensor_c = None if thermals is None else plausible_c(thermals.sensor_c)
        # If the cooler is switched off abruptly, the sensor quickly warms up by tens of degrees (indi#1434).
        if cooling.at_end == "warm" and sensor_c is not None:
            span_s = 60 * abs(cooling.warm_to_c - sensor_c) / cooling.warm_ramp_c_per_min
            await self._try(camera.name, "warm up", self._warm_up, span_s + WARM_MARGIN_S, Topic.COOLER)
        if cooling.at_end == "warm" and self._hurried:
            if sensor_c is None:
                self._fail(
                    f"{camera.name} was not warmed up: its cooler was left unchanged. Check it by hand.", Topic.COOLER
                )
        else:
            deadline_s = COOLER_DEADLINE_S + 2 * OFF_CHECK_S
            if await self._try(camera.name, "switch its cooler off", self._cooler_off, deadline_s, Topic.COOLER):
                self._note_cold_sensor()

    def _note_cold_sensor(self) -> None:
        """Publish a notice if the sensor is still cold; a camera in this state should not be moved into warm air."""
        thermals, warm_to_c = self._thermals(), self._settings.cooling.warm_to_c
        sensor_c = None if thermals is None else plausible_c(thermals.sensor_c)
        self.still_cold_c = sensor_c if sensor_c is not None and sensor_c < warm_to_c - STILL_COLD_C else None
        if self.still_cold_c is not None:
            sensor = f"the sensor is at {self.still_cold_c:.0f} C and is warming up to the air temperature"
            text = f"the cooler is off; {sensor}"
            self._events.publish(Notice(self._clock.now(), Severity.INFO, text))

    async def _cooler_off(self) -> None:
        """Switch the cooler off; repeat the command once if the cooler is still cooling."""
        camera = self._rig.camera
        for _ in range(2):  # some coolers ignore the first command (nina#319)
            await camera.cooler_off()
            if not await self._still_cools():
                return
        thermals = camera.thermals()
        state = (
            "still reports that it is on"
            if thermals.cooler_on
            else f"still draws {thermals.power_percent or 0.0:.0f} %"
        )
        raise DeviceError(camera.name, f"its cooler was switched off but {state}")

    async def _still_cools(self) -> bool:
        """Return whether the driver reports the cooler as on, or reports power while the sensor is not warming up.

        Some drivers stop updating the power once the cooler is off, so that the last value remains. The temperature of
        the sensor is better evidence.
        """
        began_s, off_c = _now_s(), self._rig.camera.thermals().sensor_c
        while True:
            thermals, waited_s = self._rig.camera.thermals(), _now_s() - began_s
            if thermals.cooler_on is not True and not _draws(thermals, off_c):
                return False
            if thermals.cooler_on is True and waited_s >= COOLER_ANSWER_S:
                return True
            if thermals.cooler_on is not True and (waited_s >= OFF_CHECK_S or self._hurried):
                return thermals.read_at_s > began_s and not self._hurried
            await asyncio.sleep(PAUSE_S)

    async def _warm_up(self) -> None:
        self._warming = asyncio.create_task(
            warm_up(self._rig.camera, self._settings.cooling, self._events, self._clock), name="warm-up"
        )
        if self._hurried:
            self._warming.cancel()
        try:
            await asyncio.wait([self._warming])
        finally:
            self._warming.cancel()
        if self._hurried:
            raise DeviceError(self._rig.camera.name, "its warm-up was cut short; the cooler holds the setpoint")
        self._warming.result()

    def cut_warm_up_short(self) -> None:
        """Stop the warm-up, leave the cooler unchanged, and do not wait for the rotator. Other steps continue."""
        self._hurried = True
        for task in (self._warming, self._turning):
            if task is not None:
                task.cancel()


def _draws(thermals: Thermals, off_c: float | None) -> bool:
    """Return whether the cooler is still cooling after it was switched off at the sensor temperature `off_c`."""
    if thermals.power_percent is None or thermals.power_percent <= OFF_PERCENT:
        return False
    return thermals.sensor_c is not None and off_c is not None and thermals.sensor_c < off_c + WARMED_C


def _now_s() -> float:
    return asyncio.get_running_loop().time()
