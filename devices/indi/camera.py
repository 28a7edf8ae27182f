"""A camera behind INDI: control through the link, pixels through the BLOB channel."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import CameraFeatures, Frame, Limits, StrayFrame, Thermals
from coldframe.devices.errors import (
    DeviceError,
    DeviceTimeoutError,
    FrameDamagedError,
    NotSupportedError,
    SettingRefusedError,
)
from coldframe.devices.indi import dialects
from coldframe.devices.indi.device import DEFINE_DEADLINE_S, IndiDevice
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.mirror import Property, State
from coldframe.devices.indi.pixels.bayer import at_first_pixel
from coldframe.devices.indi.pixels.blob_channel import BlobChannel, Image, ServerAddress
from coldframe.devices.indi.pixels.frame_identity import FrameIdentity

log = logging.getLogger(__name__)

BLOB_VECTOR = "CCD1"
ABORT_DEADLINE_S = 10.0
LATE_FRAMES_S = 1.0
"""Time in which the frame of an exposure that went wrong may still come."""
LARGEST_ROUNDING_PIXELS = 16
"""Binned pixels by which drivers round the size of a frame down (ZWO, SVBony, Player One: to multiples of 8 by 2)."""
TIMEOUTS_UNTIL_STUCK = 2
"""Exposures in a row that did not end."""
POLLING_PERIOD_MS = 50
LARGEST_HEADER_BYTES = 1 << 20
BYTES_PER_PIXEL = 4
EARLIEST = 0.98
"""Fraction of the asked exposure below which a frame has come too early to be true."""
SENSIBLE_C = Limits(-100.0, 100.0)
FRAME_TYPES = {
    FrameKind.BIAS: "FRAME_BIAS",
    FrameKind.DARK: "FRAME_DARK",
    FrameKind.DARK_FLAT: "FRAME_DARK",
    FrameKind.FLAT: "FRAME_FLAT",
    FrameKind.LIGHT: "FRAME_LIGHT",
}


def utc_now() -> datetime:
    """Return the wall clock's time, UTC."""
    return datetime.now(UTC)


def log_stray(stray: StrayFrame) -> None:
    """Say that something was delivered that nobody keeps."""
    log.warning("%s: passed over a frame: %s", stray.camera, stray.reason)


class IndiCamera(IndiDevice):
    """INDI's CCD interface. Implements `Camera`.

    Parameters
    ----------
    link
        Control of the server.
    name
        The device's name.
    server
        Where the pixels come from.
    now
        The clock that dates frames.
    readout_deadline_s
        Longest time from the end of an exposure to the whole frame.
    set_aside
        Told of every delivery that is not the frame that was asked for.
    """

    awaited: ClassVar[tuple[str, ...]] = ("CCD_EXPOSURE", "CCD_FRAME", "CCD_INFO", BLOB_VECTOR)

    def __init__(
        self,
        link: IndiLink,
        name: str,
        server: ServerAddress,
        now: Callable[[], datetime] = utc_now,
        *,
        readout_deadline_s: float = 60.0,
        set_aside: Callable[[StrayFrame], None] = log_stray,
    ) -> None:
        super().__init__(link, name)
        self._server = server
        self._now = now
        self.readout_deadline_s = readout_deadline_s
        self._set_aside = set_aside
        self._channel: BlobChannel | None = None
        self._settings = ReadoutSettings()
        self._features: CameraFeatures | None = None
        self._region = (0, 0)
        self._exposing = False
        self._went_wrong = False
        self._timeouts = 0
        self._identity = FrameIdentity(name)
        self._setpoint_c: float | None = None

    # ---- set-up ----

    async def set_up(self) -> None:
        """Force what we rely on, open the pixel channel, and apply the settings and setpoint of before."""
        for demand in dialects.CAMERA_DEMANDS:
            await self._demand(demand)
        if self.has(dialects.POLLING_PERIOD):
            # Short exposures take as long as the driver's polling, one second if nothing is done.
            await self.set(dialects.POLLING_PERIOD, POLLING_PERIOD_MS)
        await self._open_channel()
        has_our_clock = self.transport == "unix socket"
        if self._identity.has_our_clock is not has_our_clock:
            self._identity = FrameIdentity(self.name, has_our_clock=has_our_clock)
        await self._apply(self._settings)
        if self._setpoint_c is not None:
            await self._order_setpoint(self._setpoint_c)
        self._features = self._told_features()

    @property
    def is_ready(self) -> bool:
        """True while the last set-up still stands, the cooler is on where it was wanted, and pixels can come."""
        return super().is_ready and not self._lost_cooling and self._channel is not None and self._channel.is_open

    @property
    def _lost_cooling(self) -> bool:
        """True where the cooler was switched off by something else than us."""
        return self._setpoint_c is not None and self.value(dialects.COOLER_ON) is False

    async def _demand(self, demand: dialects.Spelling) -> None:
        prop = self.link.mirror.find(self.name, demand.property)
        if prop is not None and prop.writable and prop.values.get(demand.element) is False:
            await self.link.choose(self.name, demand.property, demand.element)

    async def _open_channel(self) -> None:
        await self.close()
        height, width = self._sensor_shape()
        largest = width * height * BYTES_PER_PIXEL + LARGEST_HEADER_BYTES
        self._channel = await BlobChannel(self._server, self.name, BLOB_VECTOR, largest, self._set_aside).open()

    async def close(self) -> None:
        """Close the pixel channel."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    @property
    def transport(self) -> str:
        """How pixels travel: "unix socket" or "TCP"; empty before the camera is connected."""
        return self._channel.transport if self._channel is not None else ""

    @property
    def features(self) -> CameraFeatures:
        """What the camera can do, as its driver told when it was last set up."""
        return self._features or self._told_features()

    def _told_features(self) -> CameraFeatures:
        height, width = self._sensor_shape()
        binning = self.link.mirror.find(self.name, "CCD_BINNING")
        temperature = dialects.find(self.link.mirror, self.name, dialects.TEMPERATURE)
        return CameraFeatures(
            width=width,
            height=height,
            bit_depth=round(self.number(dialects.ADC_BITS) or 16),
            exposure_s=self.limits(dialects.EXPOSURE) or Limits(0.0, 3600.0),
            gain=self.limits(dialects.GAIN),
            offset=self.limits(dialects.OFFSET),
            maximum_binning=max(1, round(binning.limits["HOR_BIN"].maximum)) if binning is not None else 1,
            readout_modes=self._readout_modes(),
            setpoint_c=(self.limits(dialects.TEMPERATURE) or SENSIBLE_C) if self.has(dialects.TEMPERATURE) else None,
            reports_temperature=temperature is not None,
            cfa_pattern=self._cfa_pattern(),
            serial=self.name,
        )

    def _cfa_pattern(self) -> str | None:
        """Return the colour filter array as the frame's first pixel sees it, None for mono."""
        rows = (dialects.CFA_PATTERN, dialects.CFA_OFFSET_X, dialects.CFA_OFFSET_Y)
        pattern, offset_x, offset_y = (str(self.value(row) or "").strip() for row in rows)
        return at_first_pixel(pattern, offset_x, offset_y) or None

    def _sensor_shape(self) -> tuple[int, int]:
        info = self._property("CCD_INFO")
        return round(info.number("CCD_MAX_Y")), round(info.number("CCD_MAX_X"))

    def _property(self, name: str) -> Property:
        prop = self.link.mirror.find(self.name, name)
        if prop is None:
            raise NotSupportedError(self.name, f"has no property {name}: it is no camera, or it is not connected")
        return prop

    # ---- readout settings ----

    async def apply(self, settings: ReadoutSettings) -> ReadoutSettings:
        """Set gain, offset, binning and readout mode; return them as the driver reads them back.

        Raises
        ------
        SettingRefusedError, NotSupportedError, DeviceError
            The camera cannot be set so.
        """
        self._settings = settings
        if not self.is_ready:
            await self.connect()  # which applies the settings
        else:
            await self._apply(settings)
        return self._read_back(settings)

    async def _apply(self, settings: ReadoutSettings) -> None:
        if settings.readout_mode is not None:
            await self._set_readout_mode(settings.readout_mode)
        if settings.gain is not None:
            await self.set(dialects.GAIN, settings.gain)
        if settings.offset is not None:
            await self.set(dialects.OFFSET, settings.offset)
        binning = self.link.mirror.find(self.name, "CCD_BINNING")
        if binning is not None and binning.writable:
            await self.link.set(self.name, "CCD_BINNING", {"HOR_BIN": settings.binning, "VER_BIN": settings.binning})
        elif settings.binning != 1:
            raise NotSupportedError(self.name, "cannot bin")
        await self._reset_region()

    async def _reset_region(self) -> None:
        """Read out the whole sensor, and learn what its driver makes of that.

        Drivers round the binned size down to what their hardware can. Some tell that first and repeat, with their Ok,
        what was asked for: the smallest size told is the true one, and what is shown already proves nothing.
        """
        frame = self._property("CCD_FRAME")
        if not frame.writable:
            self._region = _shape(frame)
            return
        height, width = self._sensor_shape()
        rounding = LARGEST_ROUNDING_PIXELS * self._settings.binning
        sent = self.link.send(self.name, frame.name, {"X": 0, "Y": 0, "WIDTH": width, "HEIGHT": height})
        self._region = (height, width)

        def taken() -> Property | None:
            prop = self._newer(frame.name, sent)
            if prop is None:
                return None
            if prop.state == "alert":
                message = self.link.mirror.message_since(self.name, sent)
                raise SettingRefusedError(
                    self.name, f"refused to read out all its {width} x {height} pixels" + _in_brackets(message)
                )
            rows, columns = _shape(prop)
            if height - rows > rounding or width - columns > rounding:
                return None
            self._region = (min(rows, self._region[0]), min(columns, self._region[1]))
            return prop if prop.state == "ok" else None

        await self.link.wait(self.name, taken, DEFINE_DEADLINE_S, f"a region of all {width} x {height} pixels")

    def _mode_switches(self) -> list[Property]:
        found = (self.link.mirror.find(self.name, name) for name in dialects.READOUT_MODE_SWITCHES)
        return [prop for prop in found if prop is not None and prop.kind == "switch"]

    def _readout_modes(self) -> tuple[str, ...]:
        for prop in self._mode_switches():
            return tuple(prop.labels.values())
        limits = self.limits(dialects.READOUT_MODE_NUMBER)
        return tuple(str(mode) for mode in range(round(limits.maximum) + 1)) if limits is not None else ()

    async def _set_readout_mode(self, mode: str) -> None:
        for prop in self._mode_switches():
            for element, label in prop.labels.items():
                if mode in (label, element):
                    await self.link.choose(self.name, prop.name, element)
                    return
        if mode.isdecimal() and self.has(dialects.READOUT_MODE_NUMBER):
            await self.set(dialects.READOUT_MODE_NUMBER, float(mode))
            return
        known = ", ".join(self._readout_modes()) or "none"
        raise NotSupportedError(self.name, f"has no readout mode {mode!r} (it has {known})")

    def _shown_mode(self, asked: str | None) -> str | None:
        """Return the mode that the driver shows, where `asked` was found or in the first place where modes are."""
        switches = self._mode_switches()
        asked_for = [prop for prop in switches if asked in prop.labels or asked in prop.labels.values()]
        for prop in asked_for or switches:
            shown = prop.switched_on()
            return None if shown is None else prop.labels[shown]
        number = self.number(dialects.READOUT_MODE_NUMBER) if self._readout_modes() else None
        return None if number is None else str(round(number))

    def _read_back(self, settings: ReadoutSettings) -> ReadoutSettings:
        binning = self.link.mirror.find(self.name, "CCD_BINNING")
        return ReadoutSettings(
            gain=self.number(dialects.GAIN),
            offset=self.number(dialects.OFFSET),
            binning=round(binning.number("HOR_BIN")) if binning is not None else 1,
            readout_mode=self._shown_mode(settings.readout_mode),
        )

    # ---- cooling ----

    def thermals(self) -> Thermals:
        """Return the newest temperature reading; nonsense such as -273.15 counts as none."""
        found = dialects.find(self.link.mirror, self.name, dialects.TEMPERATURE)
        sensor_c = found[0].number(found[1]) if found is not None else None
        cooler_on = self.value(dialects.COOLER_ON)
        return Thermals(
            sensor_c=sensor_c if sensor_c is not None and SENSIBLE_C.contains(sensor_c) else None,
            setpoint_c=self._setpoint_c,
            cooler_on=cooler_on if isinstance(cooler_on, bool) else None,
            power_percent=self.number(dialects.COOLER_POWER),
            read_at_s=found[0].received_at_s if found is not None else 0.0,
        )

    async def set_setpoint(self, setpoint_c: float) -> None:
        """Switch the cooler on and hand it a setpoint; returns when the driver has taken it.

        Raises
        ------
        NotSupportedError
            The camera has no cooler.
        SettingRefusedError
            The driver answered with an alert.
        """
        await self.ensure_driver()
        await self._order_setpoint(setpoint_c)
        self._setpoint_c = setpoint_c

    async def _order_setpoint(self, setpoint_c: float) -> None:
        if not self.has(dialects.TEMPERATURE):
            raise NotSupportedError(self.name, "has no cooler that can be set")
        if self.has(dialects.COOLER_ON) and self.value(dialects.COOLER_ON) is False:
            on = dialects.COOLER_ON[0]
            # Drivers show the cooler as Busy for as long as it cools.
            states: frozenset[State] = frozenset({"ok", "busy", "idle"})
            await self.link.set(self.name, on.property, {on.element: True}, good_states=states)
        spelling = dialects.TEMPERATURE[0]
        sent = self.link.send(self.name, spelling.property, {spelling.element: setpoint_c})

        def taken() -> Property | None:
            prop = self._newer(spelling.property, sent)
            if prop is not None and prop.state == "alert":
                raise SettingRefusedError(self.name, f"refused the setpoint {setpoint_c:g} C")
            return prop

        await self.link.wait(self.name, taken, DEFINE_DEADLINE_S, f"an answer to the setpoint {setpoint_c:g} C")

    async def cooler_off(self) -> None:
        """Switch the cooler off.

        Raises
        ------
        NotSupportedError
            The driver has no such switch.
        """
        self._setpoint_c = None
        await self.ensure_driver()
        await self.set(dialects.COOLER_OFF, value=True)

    # ---- exposing ----

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Expose and read out one frame. Cancelling aborts the exposure first.

        Raises
        ------
        DeviceTimeoutError
            The frame did not come; the exposure was aborted.
        FrameDamagedError
            What came is not the frame that was asked for.
        DeviceLostError, SettingRefusedError
            The camera went away, or refused the exposure.
        """
        await self.ensure_ready()
        await self._end_the_last()
        frame_type = FRAME_TYPES[kind]
        types = self._property("CCD_FRAME_TYPE")
        if types.switched_on() != frame_type:
            await self.link.choose(self.name, types.name, frame_type)
        started_at, started_s = self._now(), asyncio.get_running_loop().time()
        ordered_at = utc_now()
        self._went_wrong = True
        try:
            image = await self._shoot(exposure_s)
        except DeviceTimeoutError:
            await asyncio.shield(self._abort_quietly())
            self._count_timeout()
            raise
        except asyncio.CancelledError:
            await asyncio.shield(self._abort_quietly())
            raise
        finally:
            self._exposing = False
        try:
            self._check(image, kind, exposure_s, image.received_at_s - started_s)
            self._identity.check(image, ordered_at)
        except FrameDamagedError as error:
            self._set_aside(StrayFrame(self.name, error.what, image.pixels, image.header))
            raise
        self._went_wrong = False
        self._timeouts = 0
        return Frame(
            pixels=image.pixels,
            kind=kind,
            exposure_s=exposure_s,
            started_at=started_at,
            settings=self._read_back(self._settings),
            sensor_c=self.thermals().sensor_c,
            setpoint_c=self._setpoint_c,
            camera=self.name,
            header=image.header,
        )

    def _count_timeout(self) -> None:
        """Have the driver connected anew when exposures time out again and again, though it aborts them."""
        self._timeouts += 1
        if self._timeouts >= TIMEOUTS_UNTIL_STUCK:
            self._timeouts = 0
            self.give_up_connection()

    async def _end_the_last(self) -> None:
        """End what still runs, and let late frames come in: they would be taken for those of the next exposure."""
        if self._property(dialects.EXPOSURE[0].property).state == "busy":
            await asyncio.shield(self._abort_quietly())
        elif not self._went_wrong:
            return
        await asyncio.sleep(LATE_FRAMES_S)

    async def _shoot(self, exposure_s: float) -> Image:
        """Order the exposure and wait for its two ends, the Ok and the BLOB, in whichever order they come."""
        assert self._channel is not None
        self._channel.discard_arrivals()
        spelling = dialects.EXPOSURE[0]
        allowed_s = exposure_s + self.readout_deadline_s
        deadline_s = asyncio.get_running_loop().time() + allowed_s
        self._exposing = True
        sent = self.link.send(self.name, spelling.property, {spelling.element: exposure_s})

        def ended() -> Property | None:
            prop = self._newer(spelling.property, sent)
            if prop is None or prop.state == "busy":
                return None
            if prop.state == "ok":
                return prop
            message = self.link.mirror.message_since(self.name, sent)
            what = "refused or lost the exposure" if prop.state == "alert" else "had its exposure aborted by another"
            raise DeviceError(self.name, what + _in_brackets(message))

        await self.link.wait(self.name, ended, allowed_s, f"the end of a {exposure_s:g} s exposure")
        try:
            async with asyncio.timeout_at(deadline_s):
                return await self._channel.next_image()
        except TimeoutError:
            raise DeviceTimeoutError(
                self.name, f"ended its exposure but sent no frame within {allowed_s:g} s of its start"
            ) from None

    def _newer(self, name: str, serial: int) -> Property | None:
        prop = self.link.mirror.find(self.name, name)
        return prop if prop is not None and prop.serial > serial else None

    def _check(self, image: Image, kind: FrameKind, exposure_s: float, elapsed_s: float) -> None:
        expected = tuple(edge // self._settings.binning for edge in self._region)
        if image.pixels.shape != expected:
            height, width = image.pixels.shape
            raise FrameDamagedError(
                self.name, f"sent {width} x {height} pixels where {expected[1]} x {expected[0]} were asked for"
            )
        if kind is not FrameKind.BIAS and elapsed_s < EARLIEST * exposure_s:
            raise FrameDamagedError(
                self.name, f"sent a frame after {elapsed_s:.3f} s where {exposure_s:g} s were to be exposed"
            )

    async def abort(self) -> None:
        """End a running exposure, if any.

        Raises
        ------
        DeviceError
            The camera cannot abort, or did not in time.
        """
        await self.ensure_driver()
        prop = self.link.mirror.find(self.name, "CCD_EXPOSURE")
        # An exposure ordered a moment ago is not shown as Busy yet.
        if prop is None or not (self._exposing or prop.state == "busy"):
            return
        found = dialects.find(self.link.mirror, self.name, dialects.ABORT)
        if found is None:
            raise NotSupportedError(self.name, "cannot abort an exposure")
        name, element = found[0].name, found[1]
        sent = self.link.send(self.name, name, {element: True})

        def idle() -> Property | None:
            prop = self.link.mirror.find(self.name, "CCD_EXPOSURE")
            answered = self._newer("CCD_EXPOSURE", sent) or self._newer(name, sent)
            return prop if answered and prop is not None and prop.state != "busy" else None

        await self.link.wait(self.name, idle, ABORT_DEADLINE_S, "the end of an aborted exposure")

    async def _abort_quietly(self) -> None:
        """Abort under a short deadline; what fails here is told by the error that is under way, or by the next."""
        try:
            async with asyncio.timeout(ABORT_DEADLINE_S):
                await self.abort()
        except (DeviceTimeoutError, TimeoutError):
            self.give_up_connection()
        except DeviceError as error:
            log.warning("%s", error)


def _shape(region: Property) -> tuple[int, int]:
    return round(region.number("HEIGHT")), round(region.number("WIDTH"))


def _in_brackets(message: str) -> str:
    return f" ({message})" if message else ""
