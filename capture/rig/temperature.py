"""The sensor's temperature on the rig: watched all night, ramped, judged."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import ceil

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import CoolingProgress, Severity, TemperatureRead
from coldframe.capture.events.stream import EventStream
from coldframe.capture.judging.cooler import CoolingJudge, CoolingState, SetpointRamp
from coldframe.capture.judging.thermometer import FrozenReading, TemperatureWatch, plausible_c
from coldframe.capture.session.context import NightContext, StepFailedError
from coldframe.config.tables.cooling import CoolingSettings
from coldframe.devices.camera import Camera, Thermals
from coldframe.devices.errors import DeviceError

SAMPLE_S = 1.0
RAMP_STEP_S = 5.0
"""Pause between two setpoints of a ramp: coolers regulate within tens of seconds, so finer steps change nothing."""


LEAST_STEPS = 8
"""Of a ramp that takes less time than that: one jump is no ramp."""

SILENCE_S = 60.0
"""A thermometer silent for so long is asked: drivers that tell of changes only say nothing at the setpoint."""


class OutOfReachError(StepFailedError):
    """The sensor does not get to a setpoint, or not in time."""


@asynccontextmanager
async def repeatedly(act: Callable[[], None], name: str) -> AsyncIterator[None]:
    """Call `act` once a second for the length of the block, and once more at its end."""

    async def repeat() -> None:
        while True:
            act()
            await asyncio.sleep(SAMPLE_S)

    task = asyncio.create_task(repeat(), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        act()


def thermometer(
    camera: Camera, events: EventStream, clock: NightClock, readings: FrozenReading | None = None
) -> AbstractAsyncContextManager[None]:
    """Publish the sensor's temperature for the length of the block; `readings` look at that of a cooled one."""

    def tell() -> None:
        tell_temperature(camera, events, clock)
        thermals = camera.thermals()
        if readings is not None:
            power_percent = None if thermals.setpoint_c is None else thermals.power_percent
            readings.observe(clock.elapsed_s(), thermals.sensor_c, power_percent)

    return repeatedly(tell, "thermometer")


def watched(camera: Camera, watch: TemperatureWatch) -> AbstractAsyncContextManager[None]:
    """Feed `watch` with the sensor's temperature from the start to the end of the block."""
    return repeatedly(lambda: watch.observe(camera.thermals().sensor_c), "temperature watch")


def tell_temperature(camera: Camera, events: EventStream, clock: NightClock) -> None:
    """Publish the newest reading."""
    thermals = camera.thermals()
    events.publish(TemperatureRead(clock.now(), thermals.sensor_c, thermals.setpoint_c, thermals.power_percent))


async def cool(context: NightContext, setpoint_c: float) -> None:
    """Bring the sensor to a setpoint and wait until it is truly stable there.

    Raises
    ------
    OutOfReachError
        The setpoint is out of reach.
    DeviceError
        The camera failed.
    """
    camera, cooling = context.rig.camera, context.settings.cooling
    start_c = plausible_c(camera.thermals().sensor_c)
    ramp = SetpointRamp(setpoint_c if start_c is None else start_c, setpoint_c, cooling.ramp_c_per_min)
    # The deadline is for the camera to follow: a slow ramp is no fault of its cooler.
    judge = CoolingJudge(setpoint_c, cooling.tolerance_c, cooling.dwell_s, cooling.deadline_s + ramp.duration_s)
    ramping = asyncio.create_task(_follow(camera, ramp, context.clock), name="setpoint ramp")
    try:
        while True:
            if ramping.done():
                ramping.result()
                await camera.ensure_ready()
            thermals = camera.thermals()
            # Drivers that report changes only fall silent at the setpoint: what they last said still holds.
            verdict = judge.observe(context.clock.elapsed_s(), thermals.sensor_c, thermals.power_percent)
            context.publish(CoolingProgress(context.clock.now(), verdict.message))
            # Near the goal is not there: the last setpoint of the ramp has to be taken, too.
            if verdict.state is CoolingState.STABLE and ramping.done():
                if silence := await thermometer_fault(context, setpoint_c):
                    raise OutOfReachError(f"whether {setpoint_c:g} C was reached nobody knows: {silence}")
                return
            if verdict.state is CoolingState.UNREACHABLE:
                raise OutOfReachError(f"{setpoint_c:g} C was not reached: {verdict.message}")
            await asyncio.sleep(SAMPLE_S)
    finally:
        ramping.cancel()
        await asyncio.wait([ramping])


async def cool_less(context: NightContext, setpoint_c: float) -> float | None:
    """Go to the nearest warmer setpoint that the configuration allows and the sensor reaches; None if there is none.

    Raises
    ------
    DeviceError
        The camera failed.
    """
    for warmer_c in sorted(each for each in context.settings.cooling.fallback_c if each > setpoint_c):
        context.notice(Severity.WARNING, f"{setpoint_c:g} C is out of reach; trying {warmer_c:g} C")
        try:
            await cool(context, warmer_c)
        except OutOfReachError as error:
            context.notice(Severity.WARNING, str(error))
        else:
            return warmer_c
    return None


async def thermometer_fault(context: NightContext, setpoint_c: float) -> str | None:
    """Return what is wrong with the thermometer; None where it speaks, or answers.

    One that has been silent is asked by ordering the setpoint once more, to which every driver answers with a
    temperature: one that tells of changes only has nothing new to say, one that is dead says nothing. Where something
    is wrong, the camera's driver is connected anew: that is all that may cure it.
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
    asked_s = loop.time()
    try:
        await camera.set_setpoint(setpoint_c)
    except DeviceError as error:
        return f"no temperature for {silent_s:.0f} s, and none when asked ({error})"
    if camera.thermals().read_at_s >= asked_s:
        return None
    return f"no temperature for {silent_s:.0f} s, and none when asked"


async def hold(context: NightContext, setpoint_c: float) -> None:
    """Wait for the sensor to be stable again if it has left the setpoint: a frame shot meanwhile would be wasted.

    Raises
    ------
    StepFailedError
        It does not come back.
    DeviceError
        The camera failed.
    """
    thermals = context.rig.camera.thermals()
    if (found := _astray(thermals, setpoint_c, context.settings.cooling.tolerance_c)) is not None:
        context.notice(Severity.WARNING, f"the sensor's temperature {found}; waiting for {setpoint_c:g} C")
        await cool(context, setpoint_c)


def _astray(thermals: Thermals, setpoint_c: float, tolerance_c: float) -> str | None:
    """Say how a sensor does not keep its setpoint, None where it does."""
    sensor_c = plausible_c(thermals.sensor_c)
    if sensor_c is None:
        return "is not known"
    if abs(sensor_c - setpoint_c) > tolerance_c:
        return f"has drifted to {sensor_c:.1f} C"
    if thermals.setpoint_c != setpoint_c:
        # It is passing by: the last order of a ramp was not taken, or somebody else gave one.
        ordered = "off" if thermals.setpoint_c is None else f"set to {thermals.setpoint_c:g} C"
        return f"is {sensor_c:.1f} C and the cooler {ordered}"
    return None


async def _follow(camera: Camera, ramp: SetpointRamp, clock: NightClock) -> None:
    """Hand the camera the setpoints of a ramp; the last one is the goal."""
    began_s = clock.elapsed_s()
    # As many steps as it takes, counted: time that is left over may be too short for a clock to notice.
    step_s = min(RAMP_STEP_S, ramp.duration_s / LEAST_STEPS)
    for _ in range(ceil(ramp.duration_s / step_s) if step_s else 0):
        setpoint_c = ramp.setpoint_c(clock.elapsed_s() - began_s)
        await camera.set_setpoint(_allowed(round(setpoint_c, 1), camera))
        await asyncio.sleep(step_s)
    await camera.set_setpoint(ramp.goal_c)


def _allowed(setpoint_c: float, camera: Camera) -> float:
    """Return the nearest setpoint that the camera takes: a ramp may begin at a sensor warmer than any of them."""
    limits = camera.features.setpoint_c
    return setpoint_c if limits is None else min(max(setpoint_c, limits.minimum), limits.maximum)


async def warm_up(camera: Camera, cooling: CoolingSettings, events: EventStream, clock: NightClock) -> None:
    """Raise the setpoint slowly until the sensor is as warm as wanted, or as warm as it gets without the cooler's help.

    Raises
    ------
    DeviceError
        The camera failed.
    """
    start_c = plausible_c(camera.thermals().sensor_c)
    if start_c is None or start_c >= cooling.warm_to_c:
        return
    async with thermometer(camera, events, clock):
        goal_c = _allowed(cooling.warm_to_c, camera)
        await _follow(camera, SetpointRamp(start_c, goal_c, cooling.warm_ramp_c_per_min), clock)
