"""Faults of a camera and its frames; row numbers refer to the fault matrix in docs/faults.md."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Camera, Frame, Thermals
from coldframe.devices.errors import DeviceLostError, DeviceTimeoutError, FrameDamagedError
from coldframe.simulators.faults.striking import FaultyCamera, now_s
from coldframe.simulators.optics import Telescope

DRIVER_DEADLINE_S = 30.0
"""Time for which a driver waits for the frame after an exposure, in seconds."""

Pixels = NDArray[np.uint16]


class StuckExposure(FaultyCamera):
    """An exposure never ends (row 9)."""

    rows = (9,)
    times = (1, 3)

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Time out without a frame."""
        if self.strikes.strike():
            await asyncio.sleep(exposure_s + DRIVER_DEADLINE_S)
            raise DeviceTimeoutError(self.name, f"sent no frame within {DRIVER_DEADLINE_S:g} s of its exposure")
        return await self.inner.expose(kind, exposure_s)


class WedgedFirmware(StuckExposure):
    """From one exposure onwards, no exposure ever ends (row 11)."""

    rows = (11,)
    first = (4, 30)
    lasting = 1.0


class HangingAbort(FaultyCamera):
    """The command to abort an exposure never returns (row 10)."""

    rows = (10,)
    first = (1, 1)
    lasting = 1.0

    async def abort(self) -> None:
        """Never return."""
        self.strikes.strike()
        await asyncio.Event().wait()


class UnpluggedCamera(FaultyCamera):
    """The camera, its driver or the server disappears during an exposure, and returns without its settings.

    The cooler is then off (rows 6, 12, 13, 14). Like `IndiCamera`, this camera restores its settings and setpoint
    before it counts as ready.
    """

    rows = (6, 12, 13, 14)
    times = (2, 2)

    def __init__(self, inner: Camera, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._away_s = random.choice([3.0, 20.0, 100.0, 250.0, 400.0])
        self._back_at_s: float | None = None
        self._settings = ReadoutSettings()
        self._setpoint_c: float | None = None

    @property
    def is_ready(self) -> bool:
        """False from the disappearance until the camera has been set up again."""
        return self._back_at_s is None and self.inner.is_ready

    def _require_presence(self) -> None:
        if self._back_at_s is not None and now_s() < self._back_at_s:
            raise DeviceLostError(self.name, "is disconnected", "Check its cable")

    async def ensure_ready(self) -> None:
        """Restore the settings and the setpoint once the camera is back."""
        self._require_presence()
        if self._back_at_s is not None:
            await self.inner.apply(self._settings)
            if self._setpoint_c is not None:
                await self.inner.set_setpoint(self._setpoint_c)
            self._back_at_s = None
        await self.inner.ensure_ready()

    async def apply(self, settings: ReadoutSettings) -> ReadoutSettings:
        """Apply settings, and store them."""
        await self.ensure_ready()
        self._settings = await self.inner.apply(settings)
        return self._settings

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Disappear during the exposure."""
        await self.ensure_ready()
        if not self.strikes.strike():
            return await self.inner.expose(kind, exposure_s)
        await asyncio.sleep(exposure_s / 2)
        self._back_at_s = now_s() + self._away_s
        await self.inner.apply(ReadoutSettings(gain=0, offset=0))
        if self.hardware.cooler is not None:
            await self.inner.cooler_off()
        raise DeviceLostError(self.name, "disappeared during an exposure", "Check its cable")

    async def abort(self) -> None:
        """Abort the exposure, or fail while the camera is disconnected."""
        await self.ensure_ready()
        await self.inner.abort()

    async def set_setpoint(self, setpoint_c: float) -> None:
        """Set the setpoint, and store it."""
        await self.ensure_ready()
        await self.inner.set_setpoint(setpoint_c)
        self._setpoint_c = setpoint_c

    async def cooler_off(self) -> None:
        """Switch the cooler off, and forget the setpoint."""
        self._setpoint_c = None
        await self.ensure_ready()
        await self.inner.cooler_off()

    def thermals(self) -> Thermals:
        """Return no reading while the camera is disconnected."""
        if self._back_at_s is not None and now_s() < self._back_at_s:
            return Thermals(None, self._setpoint_c, None, None, 0.0)
        return replace(self.inner.thermals(), setpoint_c=self._setpoint_c)


class DamagedFrame(FaultyCamera):
    """A frame arrives late, truncated, too early, or with the wrong size (rows 16, 18, 22, 23).

    `IndiCamera` would detect this fault and raise an error, so this class raises the error itself.
    """

    rows = (16, 18, 22, 23)

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Refuse a frame, as `IndiCamera` does."""
        frame = await self.inner.expose(kind, exposure_s)
        if self.strikes.strike():
            raise FrameDamagedError(self.name, "sent a frame that is not the requested frame")
        return frame


class SpoilingCamera(FaultyCamera):
    """A camera that spoils the pixels of some frames.

    Attributes
    ----------
    kinds
        Kinds of frames that this camera spoils.
    spoilt
        Pixels of the spoilt frames, none of which may be accepted.
    """

    kinds: ClassVar[tuple[FrameKind, ...]] = tuple(FrameKind)

    def __init__(self, inner: Camera, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self.spoilt: list[Pixels] = []

    def spoil(self, frame: Frame) -> Frame:
        """Return the frame with wrong pixels."""
        raise NotImplementedError

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Expose a frame, and spoil it if the fault occurs."""
        frame = await self.inner.expose(kind, exposure_s)
        if kind not in self.kinds or not self.strikes.strike():
            return frame
        return self._noted(self.spoil(frame))

    def _noted(self, frame: Frame) -> Frame:
        self.spoilt.append(frame.pixels)
        return frame


class RepeatedFrame(FaultyCamera):
    """A frame of a set is delivered a second time, with a new date (row 17).

    The repetition of the last frame before a set is not simulated, because `IndiCamera` detects it.
    """

    rows = (17,)
    first = (1, 5)
    times = (2, 3)
    alone = 4
    """Number of successive frames that must agree with the frame before them in kind, exposure and settings to be a
    set."""

    def __init__(self, inner: Camera, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._last: Frame | None = None
        self._alike = 0

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Deliver the last frame again."""
        frame, last = await self.inner.expose(kind, exposure_s), self._last
        self._last = frame
        if last is None or (last.kind, last.exposure_s, last.settings) != (kind, exposure_s, frame.settings):
            self._alike = 0
            return frame
        self._alike += 1
        if self._alike < self.alone:
            return frame
        self._last = replace(frame, pixels=last.pixels) if self.strikes.strike() else frame
        return self._last


class FalseHeader(FaultyCamera):
    """The driver's cards contain a wrong exposure, gain, kind and filter (row 20)."""

    rows = (20,)
    lasting = 0.5

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Write wrong cards."""
        frame = await self.inner.expose(kind, exposure_s)
        false: dict[str, HeaderValue] = {"EXPTIME": 0.0, "GAIN": 7, "IMAGETYP": "Light Frame", "FILTER": "Nowhere"}
        return _with_cards(frame, false) if self.strikes.strike() else frame


class SteppedClock(FaultyCamera):
    """The driver's clock jumps forwards or backwards during the night (row 41)."""

    rows = (41,)
    lasting = 0.7

    def __init__(self, inner: Camera, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._step = timedelta(seconds=random.choice([-86400.0, -3600.0, -1.0, 5.0, 7200.0]))

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Date a frame by the changed clock."""
        frame = await self.inner.expose(kind, exposure_s)
        dated = (frame.started_at + self._step).replace(tzinfo=None).isoformat(timespec="milliseconds")
        return _with_cards(frame, {"DATE-OBS": dated}) if self.strikes.strike() else frame


class ShortExposure(SpoilingCamera):
    """A flat is exposed for a third of the requested time, but the driver waits for the whole time (row 18).

    A frame that arrives early is not simulated, because `IndiCamera` detects it.
    """

    rows = (18,)
    kinds = (FrameKind.FLAT,)
    times = (3, 4)
    first = (1, 8)

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Expose for a third of the time."""
        if kind not in self.kinds or not self.strikes.strike():
            return await self.inner.expose(kind, exposure_s)
        short_s = max(exposure_s / 3, self.features.exposure_s.minimum)
        frame = await self.inner.expose(kind, short_s)
        await asyncio.sleep(exposure_s - short_s)
        return self._noted(replace(frame, exposure_s=exposure_s))


class TornFrame(SpoilingCamera):
    """The readout stops early, so that the last third of a frame has a constant value (row 26)."""

    rows = (26,)

    def spoil(self, frame: Frame) -> Frame:
        """Overwrite the last rows."""
        pixels = frame.pixels.copy()
        pixels[-(pixels.shape[0] // 3) :] = self.random.choice([0, 65535])
        return replace(frame, pixels=pixels)


class EightBits(SpoilingCamera):
    """The camera falls back to 8 bits (row 24)."""

    rows = (24,)
    times = (1, 6)

    def spoil(self, frame: Frame) -> Frame:
        """Clear the low byte."""
        return replace(frame, pixels=frame.pixels & np.uint16(0xFF00))


class BladeInFrame(SpoilingCamera):
    """A shutter blade shades one side of a flat (row 32)."""

    rows = (32,)
    kinds = (FrameKind.FLAT,)
    times = (4, 5)
    first = (1, 8)

    def spoil(self, frame: Frame) -> Frame:
        """Shade the left quarter."""
        pixels = frame.pixels.copy()
        shaded = pixels[:, : pixels.shape[1] // 4]
        shaded[:] = (shaded * 0.6).astype(np.uint16)
        return replace(frame, pixels=pixels)


class IgnoredGain(FaultyCamera):
    """The driver shows a gain that the camera does not use (row 25)."""

    rows = (25,)
    first = (1, 1)
    lasting = 1.0

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Expose with the camera's default gain."""
        rig = self.hardware.rig
        self.hardware.rig = rig.model_copy(update={"faults": rig.faults.model_copy(update={"gain_ignored": True})})
        frame = await self.inner.expose(kind, exposure_s)
        if rig.sensor.gain is not None and frame.settings.gain != rig.sensor.gain.default:
            self.strikes.strike()
        return frame


class OtherClient(FaultyCamera):
    """Another client sets gain and offset before an exposure (row 19)."""

    rows = (19,)
    times = (1, 4)

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Change the settings, then expose."""
        if self.strikes.strike():
            await self.inner.apply(ReadoutSettings(gain=10, offset=20))
        return await self.inner.expose(kind, exposure_s)


def _with_cards(frame: Frame, cards: Mapping[str, HeaderValue]) -> Frame:
    return replace(frame, header={**frame.header, **cards})


CAMERA_FAULTS: tuple[type[FaultyCamera], ...] = (
    StuckExposure,
    WedgedFirmware,
    HangingAbort,
    UnpluggedCamera,
    DamagedFrame,
    RepeatedFrame,
    FalseHeader,
    SteppedClock,
    ShortExposure,
    TornFrame,
    EightBits,
    BladeInFrame,
    IgnoredGain,
    OtherClient,
)
