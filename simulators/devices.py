"""The devices of a simulated rig within this process, on the running loop's clock. That clock may be virtual."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.simulated_rig import SimulatedRig
from coldframe.devices.camera import CameraFeatures, Frame, Limits, Thermals
from coldframe.devices.errors import DeviceError, DeviceLostError, NotSupportedError, SettingRefusedError
from coldframe.devices.flat_panel import PanelState
from coldframe.devices.rig import Rig
from coldframe.simulators.cards import CAMERA_NAME, PANEL_NAME, ROTATOR_NAME, WHEEL_NAME, driver_cards
from coldframe.simulators.optics import Telescope

CLOCK_RESOLUTION_S = 0.001
"""Upper bound on the resolution of a loop's clock, in seconds."""


def simulated_rig(rig: SimulatedRig, now: Callable[[], datetime]) -> Rig:
    """Build the devices of a rig. Call this function within the event loop that will run them.

    Parameters
    ----------
    rig
        Description of the rig.
    now
        Clock for `Frame.started_at`, in UTC.
    """
    return rig_of(Telescope(rig, asyncio.get_running_loop().time()), now)


def rig_of(telescope: Telescope, now: Callable[[], datetime]) -> Rig:
    """Build the devices of a telescope. See `simulated_rig` for `now`."""
    return Rig(
        camera=SimulatedCamera(telescope, now),
        panel=SimulatedFlatPanel(telescope),
        wheel=SimulatedFilterWheel(telescope) if telescope.wheel else None,
        rotator=SimulatedRotator(telescope) if telescope.rotator else None,
    )


def camera_features(rig: SimulatedRig) -> CameraFeatures:
    """Return the capabilities of a rig's camera."""
    sensor, cooler = rig.sensor, rig.cooler
    return CameraFeatures(
        width=sensor.width,
        height=sensor.height,
        bit_depth=sensor.bit_depth,
        exposure_s=Limits(rig.timing.shortest_exposure_s, rig.timing.longest_exposure_s),
        gain=Limits(0, sensor.gain.maximum, 1) if sensor.gain else None,
        offset=Limits(0, sensor.offset.maximum, 1) if sensor.offset else None,
        maximum_binning=sensor.maximum_binning,
        readout_modes=tuple(mode.label for mode in sensor.readout_modes),
        setpoint_c=Limits(cooler.minimum_setpoint_c, 40) if cooler else None,
        reports_temperature=True,
        cfa_pattern=sensor.cfa_pattern,
        serial=f"{sensor.model} {rig.seed}",
    )


class SimulatedCamera:
    """The camera of a telescope. Implements `Camera`."""

    def __init__(self, telescope: Telescope, now: Callable[[], datetime]) -> None:
        self.telescope = telescope
        """The simulated hardware behind the camera."""
        self._now = now
        self._aborted = asyncio.Event()
        self._exposing = False
        self._connected = False
        self._features = camera_features(telescope.rig)
        sensor = telescope.rig.sensor
        self._settings = ReadoutSettings(
            gain=sensor.gain.default if sensor.gain else None,
            offset=sensor.offset.default if sensor.offset else None,
            readout_mode=self._features.readout_modes[0] if self._features.readout_modes else None,
        )

    @property
    def name(self) -> str:
        """The device's name."""
        return CAMERA_NAME

    @property
    def features(self) -> CameraFeatures:
        """Capabilities of the camera."""
        return self._features

    @property
    def is_ready(self) -> bool:
        """True once the camera is connected, because it never loses its settings."""
        return self._connected

    async def ensure_ready(self) -> None:
        """Connect."""
        await self.connect()

    async def reconnect(self) -> None:
        """Connect the camera. There are no settings to restore."""
        await self.connect()

    async def connect(self) -> None:
        """Connect."""
        self._connected = True

    async def apply(self, settings: ReadoutSettings) -> ReadoutSettings:
        """Set gain, offset, binning and readout mode, and return the settings.

        Raises
        ------
        NotSupportedError
            If the camera has no control for one of the settings.
        SettingRefusedError
            If a value is outside the control's range.
        """
        self._require_connection()
        current = self._settings
        self._settings = ReadoutSettings(
            gain=self._checked("gain", settings.gain, self._features.gain, current.gain),
            offset=self._checked("offset", settings.offset, self._features.offset, current.offset),
            binning=self._checked_binning(settings.binning),
            readout_mode=self._checked_mode(settings.readout_mode),
        )
        return self._settings

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Expose and read out one frame.

        Raises
        ------
        SettingRefusedError
            If the exposure is out of range.
        DeviceError
            If an exposure is already running, or if `abort` ends this exposure.
        """
        self._require_connection()
        if not self._features.exposure_s.contains(exposure_s):
            raise self._refused("exposure", exposure_s, self._features.exposure_s)
        if self._exposing:
            raise DeviceError(self.name, "an exposure is already running", "Abort the exposure or wait for its frame.")
        self._exposing = True
        try:
            return await self._expose(kind, exposure_s)
        finally:
            self._exposing = False

    async def abort(self) -> None:
        """Abort the running exposure, if any."""
        self._aborted.set()

    async def set_setpoint(self, setpoint_c: float) -> None:
        """Switch the cooler on and set its setpoint.

        Raises
        ------
        NotSupportedError
            If the camera has no cooler.
        SettingRefusedError
            If the setpoint is out of range.
        """
        self._require_connection()
        if self.telescope.cooler is None or self._features.setpoint_c is None:
            raise NotSupportedError(self.name, "has no cooler", "Leave the setpoint out of its settings.")
        if not self._features.setpoint_c.contains(setpoint_c):
            raise self._refused("setpoint", setpoint_c, self._features.setpoint_c)
        self.telescope.cooler.advance(_time_s())
        self.telescope.cooler.cool_to(setpoint_c)

    async def cooler_off(self) -> None:
        """Switch the cooler off.

        Raises
        ------
        NotSupportedError
            If the camera has no cooler.
        """
        self._require_connection()
        if self.telescope.cooler is None:
            raise NotSupportedError(self.name, "has no cooler")
        self.telescope.cooler.advance(_time_s())
        self.telescope.cooler.switch_off()

    def thermals(self) -> Thermals:
        """Return the current reading of the camera's thermometer."""
        now_s = _time_s()
        true_c, cooler = self.telescope.sensor_c(now_s), self.telescope.cooler
        if cooler is None:
            return Thermals(true_c, None, None, None, now_s)
        return Thermals(cooler.reading_c, cooler.setpoint_c, cooler.setpoint_c is not None, cooler.power_percent, now_s)

    async def _expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        settings, started_at = self._settings, self._now()
        labels = self._features.readout_modes
        mode = labels.index(settings.readout_mode) if settings.readout_mode else 0
        shot = self.telescope.begin(
            kind,
            exposure_s,
            _time_s(),
            gain=settings.gain or 0,
            offset=settings.offset or 0,
            binning=settings.binning,
            readout_mode=mode,
        )
        await self._wait(exposure_s + self.telescope.readout_s(mode))
        thermals = self.thermals()
        return Frame(
            pixels=self.telescope.render(shot),
            kind=kind,
            exposure_s=exposure_s,
            started_at=started_at,
            settings=settings,
            sensor_c=thermals.sensor_c,
            setpoint_c=thermals.setpoint_c,
            camera=self.name,
            header=driver_cards(self.telescope.rig, kind, shot, started_at, thermals.sensor_c or 0),
        )

    async def _wait(self, duration_s: float) -> None:
        self._aborted.clear()
        try:
            async with asyncio.timeout(duration_s):
                await self._aborted.wait()
        except TimeoutError:
            return
        raise DeviceError(self.name, "the exposure was aborted")

    def _checked(
        self, control: str, wanted: float | None, limits: Limits | None, current: float | None
    ) -> float | None:
        if wanted is None:
            return current
        if limits is None:
            raise NotSupportedError(self.name, f"has no {control} control", f"Leave {control} out of its settings.")
        if not limits.contains(wanted):
            raise self._refused(control, wanted, limits)
        return wanted

    def _checked_binning(self, binning: int) -> int:
        limits = Limits(1, self._features.maximum_binning)
        if not limits.contains(binning):
            raise self._refused("binning", binning, limits)
        return binning

    def _checked_mode(self, label: str | None) -> str | None:
        if label is None:
            return self._settings.readout_mode
        if label not in self._features.readout_modes:
            known = ", ".join(self._features.readout_modes) or "none"
            raise SettingRefusedError(self.name, f"has no readout mode {label!r}", f"It has the modes {known}.")
        return label

    def _refused(self, control: str, value: float, limits: Limits) -> SettingRefusedError:
        allowed = f"The range is {limits.minimum:g} to {limits.maximum:g}."
        return SettingRefusedError(self.name, f"refused {control} {value:g}", allowed)

    def _require_connection(self) -> None:
        if not self._connected:
            raise DeviceLostError(self.name, "is not connected", "Connect it first.")


class SimulatedFlatPanel:
    """The flat panel of a telescope. It is always connected. Implements `FlatPanel`."""

    is_ready = True

    def __init__(self, telescope: Telescope) -> None:
        self.hardware = telescope.panel
        """The simulated panel itself, as opposed to its driver."""

    @property
    def name(self) -> str:
        """The device's name."""
        return PANEL_NAME

    @property
    def brightness_limits(self) -> Limits:
        """Range of the brightness."""
        return Limits(0, self.hardware.model.brightness_maximum, 1)

    @property
    def has_light(self) -> bool:
        """Always True, because the panel is always connected."""
        return True

    @property
    def has_cover(self) -> bool:
        """True if the rig's panel has a cover."""
        return self.hardware.model.cover_travel_s is not None

    def state(self) -> PanelState:
        """Return the current state."""
        return PanelState(self.hardware.lit, self.hardware.brightness, self.hardware.cover(_time_s()))

    async def ensure_ready(self) -> None:
        """Do nothing, because the device is always connected."""

    async def connect(self) -> None:
        """Do nothing, because the device is always connected."""

    async def light_on(self, brightness: int | None = None) -> None:
        """Switch the lamp on, and set the brightness.

        Raises
        ------
        SettingRefusedError
            If the brightness is out of range.
        """
        limits = self.brightness_limits
        if brightness is not None and not limits.contains(brightness):
            allowed = f"The range is {limits.minimum:g} to {limits.maximum:g}."
            raise SettingRefusedError(self.name, f"refused brightness {brightness}", allowed)
        await asyncio.sleep(self.hardware.model.switch_s)
        self.hardware.lit = True
        if brightness is not None:
            self.hardware.brightness = brightness

    async def light_off(self) -> None:
        """Switch the lamp off."""
        await asyncio.sleep(self.hardware.model.switch_s)
        self.hardware.lit = False

    async def open_cover(self) -> None:
        """Open the cover, and wait until it is open."""
        await self._move_cover(closed=False)

    async def close_cover(self) -> None:
        """Close the cover, and wait until it is closed."""
        await self._move_cover(closed=True)

    async def _move_cover(self, *, closed: bool) -> None:
        if not self.has_cover:
            raise NotSupportedError(self.name, "has no cover")
        await _sleep_until(self.hardware.move_cover(_time_s(), closed=closed))


class SimulatedFilterWheel:
    """The filter wheel of a telescope. It is always connected. Implements `FilterWheel`."""

    is_ready = True

    def __init__(self, telescope: Telescope) -> None:
        assert telescope.wheel is not None
        self._wheel = telescope.wheel

    @property
    def name(self) -> str:
        """The device's name."""
        return WHEEL_NAME

    @property
    def filters(self) -> tuple[str, ...]:
        """Filter names in slot order."""
        return tuple(each.name for each in self._wheel.model.filters)

    @property
    def current(self) -> str | None:
        """The filter in the beam; None while the wheel is turning."""
        slot = self._wheel.slot(_time_s())
        return None if slot is None else self.filters[slot]

    async def ensure_ready(self) -> None:
        """Do nothing, because the device is always connected."""

    async def connect(self) -> None:
        """Do nothing, because the device is always connected."""

    async def select(self, name: str) -> None:
        """Turn the wheel to the named filter, and wait until the filter is in the beam.

        Raises
        ------
        NotSupportedError
            If no filter has that name.
        """
        if name not in self.filters:
            raise NotSupportedError(
                self.name, f"has no filter {name!r}", f"It has the filters {', '.join(self.filters)}."
            )
        await _sleep_until(self._wheel.turn_to(self.filters.index(name), _time_s()))


class SimulatedRotator:
    """The rotator of a telescope. It is always connected, and no other client moves it. Implements `Rotator`."""

    is_ready = True
    limits_deg = Limits(0, 360)

    def __init__(self, telescope: Telescope) -> None:
        assert telescope.rotator is not None
        self._rotator = telescope.rotator
        self.commanded_deg: float | None = None
        self.found_deg: float | None = telescope.rotator.target_deg
        self._was_commanded = False

    @property
    def name(self) -> str:
        """The device's name."""
        return ROTATOR_NAME

    @property
    def angle_deg(self) -> float | None:
        """The current angle; None while the rotator is turning."""
        return None if self._rotator.is_turning(_time_s()) else self._rotator.target_deg

    def found_at(self, angle_deg: float) -> None:
        """Replace the angle to which `restore` turns back."""
        self.found_deg, self._was_commanded = angle_deg, True

    async def ensure_ready(self) -> None:
        """Do nothing, because the device is always connected."""

    async def connect(self) -> None:
        """Do nothing, because the device is always connected."""

    async def turn_to(self, angle_deg: float) -> None:
        """Turn the rotator to an angle, and wait until it arrives."""
        self.commanded_deg, self._was_commanded = None, True
        await _sleep_until(self._rotator.turn_to(angle_deg, _time_s()))
        self.commanded_deg = angle_deg

    async def restore(self) -> bool:
        """Turn the rotator back to its angle before the first command. Return False if it received no command."""
        goal_deg = self.found_deg if self._was_commanded else None
        if goal_deg is not None:
            await self.turn_to(goal_deg)
        self.commanded_deg, self.found_deg, self._was_commanded = None, None, False
        return goal_deg is not None


def _time_s() -> float:
    return asyncio.get_running_loop().time()


async def _sleep_until(time_s: float) -> None:
    # A loop may wake up early by the resolution of its clock, but a device must not report its arrival early.
    await asyncio.sleep(max(time_s - _time_s(), 0.0) + CLOCK_RESOLUTION_S)
