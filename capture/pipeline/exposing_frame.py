"""Take one exposure at a step's settings and temperature, and check that the frame was shot as requested."""

from dataclasses import dataclass

from coldframe.capture.judging.thermometer import TemperatureWatch
from coldframe.capture.pipeline.delivered_frames import DeliveredFrames
from coldframe.capture.recovery.exposing import expose_once
from coldframe.capture.recovery.interference import reclaim
from coldframe.capture.recovery.pausing import until_resumed
from coldframe.capture.rig.temperature import hold, thermometer_fault, watched
from coldframe.capture.session.context import NightContext
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Frame


@dataclass(frozen=True, slots=True)
class Shot:
    """A delivered frame.

    Attributes
    ----------
    frame
        The frame as the camera delivered it.
    began_s
        Start of the exposure on the night's clock, seconds.
    fault
        Fault of the temperature, the thermometer or the settings; None if the frame was shot as requested.
    """

    frame: Frame
    began_s: float
    fault: str | None


class FrameExposer:
    """An exposer for the frames of one step.

    Parameters
    ----------
    context
        The night.
    number
        Number of the step, for events.
    kind
        Kind of the frames.
    readout
        Readout settings to request.
    setpoint_c
        Temperature to hold, degrees Celsius; None for a sensor that is not cooled.
    delivered
        Object that receives each frame as soon as the camera delivers it.
    """

    def __init__(
        self,
        context: NightContext,
        number: int,
        kind: FrameKind,
        readout: ReadoutSettings,
        setpoint_c: float | None,
        *,
        delivered: DeliveredFrames,
    ) -> None:
        self._context = context
        self._number = number
        self._kind = kind
        self._readout = readout
        self._setpoint_c = setpoint_c
        self._delivered = delivered
        # The settings as the camera reports them; None if they must be applied, because they have not been applied yet
        # or another program has changed them.
        self._settings: ReadoutSettings | None = None

    async def apply_settings(self) -> ReadoutSettings:
        """Apply the readout settings, and return them as the camera reports them.

        Raises
        ------
        DeviceError
            If the camera failed, or rejected the settings.
        """
        self._settings = await self._context.rig.camera.apply(self._readout)
        return self._settings

    async def prepare(self, exposure_s: float = 0.0) -> ReadoutSettings:
        """Apply the settings, then wait until the sensor is at its setpoint and the night is not paused.

        Raises
        ------
        StepFailedError
            If the sensor does not reach its setpoint, or a pause leaves no time for the exposure.
        DeviceError
            If the camera failed.
        """
        settings = await self.apply_settings() if self._settings is None else self._settings
        await self._hold()
        while await until_resumed(self._context, exposure_s):
            await self._hold()  # the sensor may have drifted during the pause
        return settings

    async def expose(self, exposure_s: float, filter_name: str | None) -> Shot:
        """Expose one frame through the given filter, which must already be in the beam.

        Raises
        ------
        StepFailedError
            If `prepare` raises it, or if no time is left.
        DeviceError
            If the camera failed, or a device was lost or changed during the exposure.
        ContestedError
            If another program keeps changing the settings.
        NotDurableError
            If the disk has no room for more frames.
        """
        context, setpoint_c = self._context, self._setpoint_c
        context.require_time(exposure_s)
        settings = await self.prepare(exposure_s)
        began_s = context.clock.elapsed_s()
        if setpoint_c is None:
            frame = await self._deliver(exposure_s, filter_name)
            return Shot(frame, began_s, self._settings_fault(frame, settings))
        watch = TemperatureWatch(setpoint_c, context.settings.cooling.tolerance_c)
        async with watched(context.rig.camera, watch):
            frame = await self._deliver(exposure_s, filter_name)
            silence = await thermometer_fault(context, setpoint_c)
        verdict = watch.verdict()
        fault = silence if verdict.within else verdict.message
        return Shot(frame, began_s, fault or self._settings_fault(frame, settings))

    async def _hold(self) -> None:
        if self._setpoint_c is not None:
            await hold(self._context, self._setpoint_c)

    async def _deliver(self, exposure_s: float, filter_name: str | None) -> Frame:
        frame = await expose_once(self._context, self._number, self._kind, exposure_s, filter_name)
        self._delivered.add(frame, filter_name)
        return frame

    def _settings_fault(self, frame: Frame, settings: ReadoutSettings) -> str | None:
        """Return a description of how the frame's settings differ from the requested settings, or None if they match.

        If they differ, the settings are applied again before the next exposure. A restart of the camera does not change
        the settings, because the driver receives them again after the restart.
        """
        if frame.settings == settings:
            return None
        self._settings = None
        reclaim(self._context, settings, frame.settings)
        return f"shot with {frame.settings} instead of {settings}"
