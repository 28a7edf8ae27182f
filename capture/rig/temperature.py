"""Cool the sensor down and warm it up along ramps, hold it at the setpoint, and watch its temperature all night."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import CoolingProgress, TemperatureRead
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import Severity
from coldframe.capture.judging.cooler import CoolingJudge, CoolingState, Obstacle, SetpointRamp, setpoints_within_reach
from coldframe.capture.judging.thermometer import FrozenReading, TemperatureWatch, plausible_c
from coldframe.capture.session.context import NightContext, StepFailedError
from coldframe.config.tables.cooling import CoolingSettings
from coldframe.devices.camera import Camera, Thermals
from coldframe.devices.errors import DeviceError, NotSupportedError

log = logging.getLogger(__name__)

SAMPLE_S = 1.0
RAMP_STEP_S = 5.0
"""Time between two setpoints of a ramp. Coolers settle within tens of seconds, so finer steps have no benefit."""

LEAST_STEPS = 8
"""Minimum number of steps even in a short ramp; a single jump would defeat the purpose of a ramp."""

SILENCE_S = 60.0
"""Time without a reading after which a thermometer is polled.

The thermometer may be dead (indi#837), or its driver may report only changes.
"""

DECIMALS_ADVICE = (
    "the reading may lack its decimals: start the INDI server with LC_NUMERIC=C, because INDI does not support decimal "
    "commas"
)


class OutOfReachError(StepFailedError):
    """The sensor cannot reach the setpoint in time.

    Attributes
    ----------
    limit_c
        Temperature at which the sensor stopped on the way to the setpoint, degrees Celsius; None if unknown.
    obstacle
        Reason why the sensor stopped there; None if it is unknown whether the setpoint was reached.
    """

    def __init__(self, reason: str, limit_c: float | None = None, obstacle: Obstacle | None = None) -> None:
        super().__init__(reason)
        self.limit_c = limit_c
        self.obstacle = obstacle


@asynccontextmanager
async def repeatedly(act: Callable[[], None], name: str) -> AsyncIterator[None]:
    """Call `act` once a second while the block runs, and once more at its end.

    Only the first exception raised by `act` is logged. The calls continue, because a failed reading must not end a
    warm-up.
    """
    has_failed = False

    def act_safely() -> None:
        nonlocal has_failed
        try:
            act()
        except Exception:
            if not has_failed:
                log.exception("%s: a reading failed", name)
            has_failed = True

    async def repeat() -> None:
        while True:
            act_safely()
            await asyncio.sleep(SAMPLE_S)

    task = asyncio.create_task(repeat(), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        act_safely()


def thermometer(
    camera: Camera, events: EventStream, clock: NightClock, readings: FrozenReading | None = None
) -> AbstractAsyncContextManager[None]:
    """Publish the sensor's temperature while the block runs, and pass it to `readings` to detect a frozen value."""

    def read() -> None:
        publish_temperature(camera, events, clock)
        thermals = camera.thermals()
        if readings is not None:
            # Without a setpoint, the power of the cooler does not show whether the temperature must be changing.
            power_percent = None if thermals.setpoint_c is None else thermals.power_percent
            readings.observe(clock.elapsed_s(), thermals.sensor_c, power_percent)

    return repeatedly(read, "thermometer")


def watched(camera: Camera, watch: TemperatureWatch) -> AbstractAsyncContextManager[None]:
    """Pass the sensor's temperature to `watch` from the start to the end of the block."""
    return repeatedly(lambda: watch.observe(camera.thermals().sensor_c), "temperature watch")


def publish_temperature(camera: Camera, events: EventStream, clock: NightClock) -> None:
    """Publish the latest temperature reading."""
    thermals = camera.thermals()
    events.publish(TemperatureRead(clock.now(), thermals.sensor_c, thermals.setpoint_c, thermals.power_percent))


async def cool(context: NightContext, setpoint_c: float) -> None:
    """Bring the sensor to the given setpoint along a ramp, and wait until it is stable there.

    Raises
    ------
    OutOfReachError
        If the setpoint is out of reach.
    DeviceError
        If the camera failed.
    """
    camera, cooling = context.rig.camera, context.settings.cooling
    start_c = plausible_c(camera.thermals().sensor_c)
    ramp = SetpointRamp(setpoint_c if start_c is None else start_c, setpoint_c, cooling.ramp_c_per_min)
    # The deadline includes the ramp, because a slow ramp is not a fault of the cooler.
    judge = CoolingJudge(setpoint_c, cooling.tolerance_c, cooling.dwell_s, cooling.deadline_s + ramp.duration_s)
    ramping = asyncio.create_task(_follow(camera, ramp, context.clock), name="setpoint ramp")
    try:
        while True:
            if ramping.done():
                ramping.result()
                await camera.ensure_ready()
            thermals = camera.thermals()
            # Drivers that report only changes fall silent at the setpoint; their last reading remains valid.
            verdict = judge.observe(context.clock.elapsed_s(), thermals.sensor_c, thermals.power_percent)
            context.publish(CoolingProgress(context.clock.now(), verdict.message))
            # The sensor must be stable, and the driver must also have accepted the last setpoint of the ramp.
            if verdict.state is CoolingState.STABLE and ramping.done():
                if silence := await thermometer_fault(context, setpoint_c):
                    raise OutOfReachError(f"it is unknown whether {setpoint_c:g} C was reached: {silence}")
                return
            if verdict.state is CoolingState.UNREACHABLE:
                failure = f"{setpoint_c:g} C was not reached: {verdict.message}"
                if _lacks_decimals(verdict.sensor_c, setpoint_c):
                    raise OutOfReachError(f"{failure}; {DECIMALS_ADVICE}", None, verdict.obstacle)
                limit_c = None if verdict.obstacle is Obstacle.SILENCE else verdict.sensor_c
                raise OutOfReachError(failure, limit_c, verdict.obstacle)
            await asyncio.sleep(SAMPLE_S)
    finally:
        ramping.cancel()
        await asyncio.wait([ramping])


def _lacks_decimals(sensor_c: float | None, setpoint_c: float) -> bool:
    """Return whether the reading is the setpoint without its decimals.

    A stable sensor rarely shows this value by chance. Under a locale with decimal commas, drivers write "-10,4", and
    INDI clients read this as -10.
    """
    return sensor_c is not None and sensor_c != setpoint_c and sensor_c == math.trunc(setpoint_c)


async def cool_less(context: NightContext, setpoint_c: float, limit_c: float) -> float | None:
    """Bring the sensor to the nearest reachable setpoint. Return this setpoint, or None if no setpoint is reached.

    The configured fallback setpoints are tried first, except those that are colder than the sensor has become. Then the
    setpoints from `setpoints_within_reach` are tried.

    Parameters
    ----------
    context
        The night.
    setpoint_c
        The setpoint that is out of reach.
    limit_c
        Temperature at which the sensor stopped on the way to that setpoint, degrees Celsius.

    Raises
    ------
    DeviceError
        If the camera failed.
    """
    camera, tolerance_c = context.rig.camera, context.settings.cooling.tolerance_c
    coldest_c = max(setpoint_c, limit_c - tolerance_c) if limit_c > setpoint_c else math.inf
    configured = sorted(each for each in context.settings.cooling.fallback_c if each > coldest_c)
    for nearest_c in dict.fromkeys((*configured, *setpoints_within_reach(setpoint_c, limit_c))):
        if _allowed(nearest_c, camera) != nearest_c:
            continue
        context.notice(Severity.WARNING, f"{setpoint_c:g} C is out of reach; trying {nearest_c:g} C")
        try:
            await cool(context, nearest_c)
        except OutOfReachError as error:
            context.notice(Severity.WARNING, str(error))
        else:
            return nearest_c
    return None


async def stop_cooling(context: NightContext) -> None:
    """Warm the sensor up along a ramp and switch the cooler off, so that later frames have no setpoint.

    Raises
    ------
    DeviceError
        If the camera failed.
    """
    await warm_up(context.rig.camera, context.settings.cooling, context.events, context.clock)
    with suppress(NotSupportedError):  # the setpoint no longer applies, even if the cooler stays on
        await context.rig.camera.cooler_off()


async def thermometer_fault(context: NightContext, setpoint_c: float) -> str | None:
    """Return the fault of the thermometer, or None if it works. If it is faulty, reconnect the camera's driver.

    To poll a silent thermometer, send the setpoint again. Every driver answers that command with a temperature, even if
    it otherwise reports only changes. A dead thermometer might not recover until its driver reconnects.
    """
    fault = context.readings.fault(context.clock.elapsed_s()) or await _silence(context, setpoint_c)
    if fault is not None:
        try:
            await context.rig.camera.reconnect()
        except DeviceError as error:
            context.notice(Severity.WARNING, f"{fault}; {error}")
    return fault


async def _silence(context: NightContext, setpoint_c: float) -> str | None:
    camera, loop = context.rig.camera, asyncio.get_running_loop()
    silent_s = loop.time() - camera.thermals().read_at_s
    if silent_s <= SILENCE_S:
        return None
    polled_s = loop.time()
    try:
        await camera.set_setpoint(setpoint_c)
    except DeviceError as error:
        return f"no temperature reading for {silent_s:.0f} s, even after polling the driver ({error})"
    if camera.thermals().read_at_s >= polled_s:
        return None
    return f"no temperature reading for {silent_s:.0f} s, even after polling the driver"


async def hold(context: NightContext, setpoint_c: float) -> None:
    """If the sensor has left the setpoint, so that frames would be rejected, wait until it is stable there again.

    Raises
    ------
    OutOfReachError
        If the sensor does not return to the setpoint.
    DeviceError
        If the camera failed.
    """
    thermals = context.rig.camera.thermals()
    if (found := _astray(thermals, setpoint_c, context.settings.cooling.tolerance_c)) is not None:
        context.notice(Severity.WARNING, f"the sensor's temperature {found}; waiting for {setpoint_c:g} C")
        await cool(context, setpoint_c)


def _astray(thermals: Thermals, setpoint_c: float, tolerance_c: float) -> str | None:
    """Return how the sensor deviates from its setpoint, as text for messages, or None if it does not."""
    sensor_c = plausible_c(thermals.sensor_c)
    if sensor_c is None:
        return "is unknown"
    if abs(sensor_c - setpoint_c) > tolerance_c:
        return f"has drifted to {sensor_c:.1f} C"
    if thermals.setpoint_c != setpoint_c:
        # The sensor is only passing through the setpoint, because a ramp's last command was lost or another program
        # sent a command.
        ordered = "off" if thermals.setpoint_c is None else f"set to {thermals.setpoint_c:g} C"
        return f"is {sensor_c:.1f} C and the cooler is {ordered}"
    return None


async def _follow(camera: Camera, ramp: SetpointRamp, clock: NightClock) -> None:
    """Send the setpoints of a ramp to the camera, ending with the goal."""
    began_s = clock.elapsed_s()
    # Count the steps in advance, because adding up times could leave a last step too short to advance the clock.
    step_s = min(RAMP_STEP_S, ramp.duration_s / LEAST_STEPS)
    for _ in range(math.ceil(ramp.duration_s / step_s) if step_s else 0):
        setpoint_c = ramp.setpoint_c(clock.elapsed_s() - began_s)
        await camera.set_setpoint(_allowed(round(setpoint_c, 1), camera))
        await asyncio.sleep(step_s)
    await camera.set_setpoint(ramp.goal_c)


def _allowed(setpoint_c: float, camera: Camera) -> float:
    """Return the nearest setpoint that the camera accepts. A ramp may start above the highest of these setpoints."""
    limits = camera.features.setpoint_c
    return setpoint_c if limits is None else min(max(setpoint_c, limits.minimum), limits.maximum)


async def warm_up(camera: Camera, cooling: CoolingSettings, events: EventStream, clock: NightClock) -> None:
    """Raise the setpoint along a ramp until the sensor is as warm as configured, or as the camera allows.

    Raises
    ------
    DeviceError
        If the camera failed.
    """
    start_c = plausible_c(camera.thermals().sensor_c)
    if start_c is None or start_c >= cooling.warm_to_c:
        return
    async with thermometer(camera, events, clock):
        goal_c = _allowed(cooling.warm_to_c, camera)
        await _follow(camera, SetpointRamp(start_c, goal_c, cooling.warm_ramp_c_per_min), clock)
