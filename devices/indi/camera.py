"""A camera on an INDI server. Commands are sent over the link, and pixels arrive over the BLOB channel."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import CameraFeatures, Frame, StrayFrame, Thermals
from coldframe.devices.errors import DeviceError, DeviceLostError, DeviceTimeoutError, FrameDamagedError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.abilities.demands import FrameDemands
from coldframe.devices.indi.abilities.features import driver_cfa_pattern, exposure_limits, notes_on, serial_number
from coldframe.devices.indi.abilities.file_format import FileFormat
from coldframe.devices.indi.abilities.shutter import ShutterControl, require_pixel_size, shutter_times
from coldframe.devices.indi.cooler import IndiCooler
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.found_settings import FoundSettings
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.mirror import Property, finite, in_brackets
from coldframe.devices.indi.pixels.blob_channel import WITNESS, BlobChannel, Image, ServerAddress
from coldframe.devices.indi.pixels.exposure_check import ExposureCheck
from coldframe.devices.indi.pixels.frame_identity import FrameIdentity
from coldframe.devices.indi.readout import IndiReadout, camera_property

log = logging.getLogger(__name__)

BLOB_VECTOR = "CCD1"
ABORT_DEADLINE_S = 10.0
"""Deadline for an abort. Aborts have been seen to hang for minutes (indigo#325)."""
LEAVE_DEADLINE_S = 10.0
LATE_FRAMES_S = 1.0
"""Time within which a failed exposure's frame may still arrive. Drivers deliver frames even after an abort."""
TIMEOUTS_UNTIL_STUCK = 2
"""Number of consecutive timeouts after which the driver is reconnected."""
POLLING_PERIOD_MS = 50
"""Drivers end an exposure at their next poll: up to 1 s late by default, and about 0.1 s late with this period."""
LARGEST_HEADER_BYTES = 1 << 20
BYTES_PER_PIXEL = 4
LARGEST_SENSOR_PIXELS = 160_000_000
"""Number of pixels in the largest sensors; assumed for the first frame if the driver does not know the sensor size."""


def utc_now() -> datetime:
    """Return the wall-clock time in UTC."""
    return datetime.now(UTC)


def log_stray(stray: StrayFrame) -> None:
    """Log a delivery that is being discarded."""
    log.warning("%s: ignored a frame: %s", stray.camera, stray.reason)


class IndiCamera(IndiDevice):
    """A camera with INDI's CCD interface. Implements `Camera`.

    Parameters
    ----------
    link
        Control connection to the server.
    name
        The device's name.
    server
        Address for the pixel connection.
    now
        Function that returns the current time; it is used to timestamp frames.
    readout_deadline_s
        Maximum time from the end of an exposure to the arrival of the complete frame, in seconds.
    file_format
        Format in which the driver should send frames, if it offers a choice.
    set_aside
        Function to call with every delivery that is not the requested frame.
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
        file_format: FileFormat = "fits",
        set_aside: Callable[[StrayFrame], None] = log_stray,
    ) -> None:
        super().__init__(link, name)
        self._server = server
        self._now = now
        self.readout_deadline_s = readout_deadline_s
        self._set_aside = set_aside
        self._demands = FrameDemands(self, file_format)
        self._shutter = ShutterControl(self)
        self._cfa_pattern: str | None = None  # from the header of the frame that showed the sensor's size
        self._channel: BlobChannel | None = None
        self._readout = IndiReadout(self)
        self._cooler = IndiCooler(self)
        self._found = FoundSettings(self)
        self._features: CameraFeatures | None = None
        self._exposing = False
        self._went_wrong = False  # True if the last exposure failed; its frame may still arrive
        self._is_suspect = False  # True after a failed exposure, until the settings have been applied again
        self._timeouts = 0
        self._identity = FrameIdentity(name)
        self._exposure = ExposureCheck(name)

    # ---- set-up ----

    async def set_up(self) -> None:
        """Configure the driver, open the pixel channel, and restore settings and setpoint."""
        self._found.remember()
        await self._demands.ask()
        if self.has(dialects.POLLING_PERIOD):
            prop, element = self.control(dialects.POLLING_PERIOD)
            await self.link.set(
                self.name, prop.name, {element: POLLING_PERIOD_MS}
            )  # not needed for the camera to be ready
        await self._open_channel()
        await self._readout.apply()
        if self._readout.sensor_shape is None:
            await self._learn_size()
        self._is_suspect = False
        await self._cooler.restore()
        self._features = self._reported_features()

    @property
    def is_ready(self) -> bool:
        """True while the last set-up is valid, the pixel channel is open, and the cooler is on if it should be on."""
        return super().is_ready and not self._cooler.is_lost and self._channel is not None and self._channel.is_open

    async def _open_channel(self) -> None:
        await self.close()
        shape = self._readout.sensor_shape
        pixels = LARGEST_SENSOR_PIXELS if shape is None else shape[0] * shape[1]
        largest = pixels * BYTES_PER_PIXEL + LARGEST_HEADER_BYTES
        channel = BlobChannel(
            self._server,
            self.name,
            BLOB_VECTOR,
            largest,
            set_aside=self._set_aside,
            touch=self._repeat_frame_type,
            on_arrival=self.link.wake,
        )
        self._channel = await channel.open()

    async def _learn_size(self) -> None:
        """Learn the sensor's size from the shortest exposure, and from a second one if the first may be cropped."""
        require_pixel_size(self)
        shortest_s = exposure_limits(self, shutter_times(self)).minimum
        await self.link.choose(self.name, WITNESS, dialects.FRAME_TYPES[FrameKind.BIAS])
        await self._shutter.prepare(shortest_s)
        if not await self._learn_from_frame(shortest_s):
            await self._learn_from_frame(shortest_s)

    async def _learn_from_frame(self, exposure_s: float) -> bool:
        """Learn the size of the sensor from a frame; return False if the frame may have been cropped."""
        image = await self._shoot_or_abort(exposure_s)
        is_whole = self._readout.learn(image.pixels.shape)
        self._cfa_pattern = str(image.header.get("BAYERPAT", "")) or None
        reason = "was taken before the night to learn the size of the sensor, which the driver does not know"
        content = image.raw or image.pixels
        self._set_aside(StrayFrame(self.name, reason, content, image.header, was_requested=True))
        await self._readout.apply()
        return is_whole

    async def _repeat_frame_type(self) -> None:
        """Set the current frame type again, so that the driver sends it to all its clients."""
        types = camera_property(self, WITNESS)
        await self.link.choose(self.name, WITNESS, types.switched_on() or dialects.FRAME_TYPES[FrameKind.LIGHT])

    async def leave(self) -> None:
        """Restore the driver's own settings, such as its polling period, and close the pixel channel."""
        try:
            async with asyncio.timeout(LEAVE_DEADLINE_S):
                await self._found.restore()
        except TimeoutError:
            log.warning("%s did not accept its earlier settings within %g s", self.name, LEAVE_DEADLINE_S)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the pixel channel."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    @property
    def transport(self) -> str:
        """The transport of the pixels: "unix socket" or "TCP"; empty before the camera is connected."""
        return self._channel.transport if self._channel is not None else ""

    @property
    def features(self) -> CameraFeatures:
        """Capabilities that the driver reported at the last set-up; before any set-up, those that it reports now."""
        return self._features or self._reported_features()

    def _reported_features(self) -> CameraFeatures:
        height, width = self._readout.sensor_shape or (0, 0)
        shutter = shutter_times(self)
        return CameraFeatures(
            width=width,
            height=height,
            bit_depth=round(self.number(dialects.ADC_BITS) or 16),
            exposure_s=exposure_limits(self, shutter),
            gain=self._readout.gain_limits,
            offset=self.settable(dialects.OFFSET),
            maximum_binning=self._readout.maximum_binning,
            readout_modes=self._readout.modes(),
            setpoint_c=self._cooler.setpoint_limits_c,
            reports_temperature=self._cooler.reports_temperature,
            cfa_pattern=self._cfa_pattern or driver_cfa_pattern(self),
            serial=serial_number(self),
            shutter=shutter,
            notes=notes_on(self, self._demands.file_format),
        )

    # ---- readout settings ----

    async def apply(self, settings: ReadoutSettings) -> ReadoutSettings:
        """Set gain, offset, binning and readout mode, and return the settings read back from the driver.

        Raises
        ------
        SettingRefusedError, NotSupportedError, DeviceError
            If the camera does not accept the settings.
        """
        self._readout.wanted = settings
        if not self.is_ready:
            await self.connect()  # `connect` also applies the settings
        else:
            await self._readout.apply()
        return self._readout.read_back()

    # ---- cooling ----

    def thermals(self) -> Thermals:
        """Return the latest temperature reading. An implausible value, such as -273.15, counts as unknown."""
        return self._cooler.thermals()

    async def set_setpoint(self, setpoint_c: float) -> None:
        """Switch the cooler on, and set its setpoint. Return once the driver has accepted the setpoint.

        Raises
        ------
        NotSupportedError
            If the camera has no cooler.
        SettingRefusedError
            If the driver answers with an alert.
        """
        await self.ensure_driver()
        await self._cooler.set_setpoint(setpoint_c)

    async def cooler_off(self) -> None:
        """Switch the cooler off. If it has no switch, set a setpoint that requires no cooling.

        Raises
        ------
        NotSupportedError
            If the camera has no cooler.
        """
        self._cooler.setpoint_c = None
        await self.ensure_driver()
        await self._cooler.switch_off()

    # ---- exposing ----

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Expose and read out one frame. On cancellation, abort the exposure before re-raising.

        Raises
        ------
        DeviceTimeoutError
            If the frame does not arrive in time, in which case the exposure is aborted.
        FrameDamagedError
            If the delivery is not the requested frame.
        DeviceLostError, SettingRefusedError
            If the camera disappears or refuses the exposure.
        """
        await self.ensure_ready()
        await self._clear_previous_exposure()
        remarks = await self._restore_changes()
        frame_type = dialects.FRAME_TYPES[kind]
        types = camera_property(self, "CCD_FRAME_TYPE")
        if types.switched_on() != frame_type:
            await self.link.choose(self.name, types.name, frame_type)
        exposure_s = self._shutter.possible_s(exposure_s)
        await self._shutter.prepare(exposure_s)
        started_at, started_s = self._now(), asyncio.get_running_loop().time()
        ordered_at = utc_now()
        self._went_wrong = self._is_suspect = True
        image = await self._shoot_or_abort(exposure_s)
        elapsed_s = image.received_at_s - started_s
        try:
            self._check_shape(image)
            gain, is_raw = self._readout.held_gain, image.raw is not None
            self._exposure.check(image.header, kind, elapsed_s, gain, is_raw=is_raw)
            self._identity.check(image, ordered_at, ordered_at + timedelta(seconds=elapsed_s - exposure_s))
        except FrameDamagedError as error:
            what = error.what + self._changed()
            self._set_aside(StrayFrame(self.name, what, image.raw or image.pixels, image.header))
            raise FrameDamagedError(self.name, what, error.advice) from None
        remarks += tuple(filter(None, (self._identity.clock_remark(), self._exposure.gain_remark())))
        self._went_wrong = self._is_suspect = False
        self._timeouts = 0
        sensor_c = self._cooler.of_frame(image.sensor_c, is_raw=is_raw)
        return Frame(
            pixels=image.pixels,
            kind=kind,
            exposure_s=exposure_s,
            started_at=started_at,
            settings=self._readout.read_back(),
            sensor_c=sensor_c,
            setpoint_c=self._cooler.setpoint_c,
            camera=self.name,
            header=image.named_header(self.name, sensor_c),
            remarks=remarks,
            raw=image.raw,
        )

    async def _restore_changes(self) -> tuple[str, ...]:
        """Restore the settings that affect frames, and return the changes by another client to these settings."""
        changes = self._changes()
        if not changes and not self._is_suspect:
            return ()
        await self._demands.ask()
        await self._readout.apply()
        are_known, self._is_suspect = self._is_suspect, False  # the last frame's error has already named the changes
        new = () if are_known else changes
        return tuple(f"frames would have been {each}; the settings have been restored" for each in new)

    def _changes(self) -> list[str]:
        """Return the changes made by another client, as phrases."""
        return self._demands.changes() + self._readout.changes()

    def _changed(self) -> str:
        """Return the changes made by another client, as text to append to an error message."""
        return "".join(f", {change}" for change in self._changes())

    def _count_timeout(self) -> None:
        """Count a timeout; after several in a row, reconnect the driver, even if it aborts exposures as commanded."""
        self._timeouts += 1
        if self._timeouts >= TIMEOUTS_UNTIL_STUCK:
            self._timeouts = 0
            self.give_up_connection()

    async def _clear_previous_exposure(self) -> None:
        """Abort any running exposure, and wait for late frames, which could be mistaken for the next frame."""
        if camera_property(self, dialects.EXPOSURE[0].property).state == "busy":
            await asyncio.shield(self._abort_quietly())
        elif not self._went_wrong:
            return
        await asyncio.sleep(LATE_FRAMES_S)

    async def _shoot(self, exposure_s: float) -> Image:
        """Start the exposure, and wait for the driver's Ok and for the BLOB.

        They arrive over different connections, so either may arrive first (docs/decisions/0003).
        """
        channel, spelling = self._channel, dialects.EXPOSURE[0]
        assert channel is not None
        channel.discard_arrivals()
        self._exposure.begin(exposure_s)
        sent = self.link.send(self.name, spelling.property, {spelling.element: self._shutter.commanded_s(exposure_s)})
        self._exposing = True

        def complete() -> bool | None:
            prop = self.newer(spelling.property, sent)
            if prop is None:
                return None
            if prop.state == "busy":
                self._exposure.count_down(finite(prop.values.get(spelling.element)) or 0.0)
                return None
            if prop.state == "ok":
                return channel.has_arrival or None
            self._exposing = prop.state == "alert"
            message = self.link.mirror.message_since(self.name, sent)
            what = (
                "refused or lost the exposure"
                if prop.state == "alert"
                else "its exposure was aborted by another client"
            )
            raise DeviceError(self.name, what + in_brackets(message))

        allowed_s = exposure_s + self.readout_deadline_s
        waiting_for = f"the end of a {exposure_s:g} s exposure and for its frame"
        await self.link.wait_answer(self.name, spelling.property, complete, allowed_s, waiting_for)
        return await channel.next_image()

    async def _shoot_or_abort(self, exposure_s: float) -> Image:
        """Take an exposure. Abort it if it fails or is cancelled, and name another client's changes in the error."""
        try:
            return await self._shoot(exposure_s)
        except DeviceTimeoutError as error:
            await asyncio.shield(self._abort_quietly())
            self._count_timeout()
            raise DeviceTimeoutError(self.name, error.what + self._changed(), error.advice) from None
        except FrameDamagedError as error:
            raise FrameDamagedError(self.name, error.what + self._changed(), error.advice) from None
        except DeviceLostError:
            raise
        except (DeviceError, asyncio.CancelledError):
            await asyncio.shield(self._abort_quietly())
            raise
        finally:
            self._exposing = False

    def _check_shape(self, image: Image) -> None:
        expected = self._readout.frame_shape
        if image.pixels.shape != expected:
            height, width = image.pixels.shape
            raise FrameDamagedError(
                self.name, f"sent {width} x {height} pixels instead of {expected[1]} x {expected[0]}"
            )

    async def abort(self) -> None:
        """Abort the running exposure, if any.

        Raises
        ------
        DeviceError
            If the camera cannot abort the exposure, or does not abort it in time.
        """
        await self.ensure_driver()
        prop = self.link.mirror.find(self.name, "CCD_EXPOSURE")
        # The driver might not yet show a newly started exposure as Busy.
        if prop is None or not (self._exposing or prop.state == "busy"):
            return
        control, element = self.control(dialects.ABORT)
        name = control.name
        sent = self.link.send(self.name, name, {element: True})

        def idle() -> Property | None:
            prop = self.link.mirror.find(self.name, "CCD_EXPOSURE")
            answered = self.newer("CCD_EXPOSURE", sent) or self.newer(name, sent)
            return prop if answered and prop is not None and prop.state != "busy" else None

        await self.link.wait(self.name, idle, ABORT_DEADLINE_S, "the end of an aborted exposure")

    async def _abort_quietly(self) -> None:
        """Abort the exposure within a deadline. Failures are only logged, because the caller is raising an error."""
        try:
            async with asyncio.timeout(ABORT_DEADLINE_S):
                await self.abort()
        except (DeviceTimeoutError, TimeoutError):
            self.give_up_connection()
        except DeviceError as error:
            log.warning("%s", error)
