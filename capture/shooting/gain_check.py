"""Asks the pixels whether the camera took its gain, before the first set of each readout setting."""

from dataclasses import replace

import numpy as np

from coldframe.calibration.camera.photon_transfer import TILE_PIXELS, TileSeries, read_noise_adu
from coldframe.calibration.camera.record import CAMERAS, CameraRecord, CameraRecords, by_setting, merged
from coldframe.calibration.stacking.accumulator import pixel_digest
from coldframe.capture.events.kinds import Severity, Topic
from coldframe.capture.recovery.exposing import expose_with_retries
from coldframe.capture.recovery.interference import reclaim
from coldframe.capture.rig.light_path import darken
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError
from coldframe.capture.shooting.fingerprint import Fingerprint, not_applied
from coldframe.capture.threads import in_thread
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Frame, Limits

FRAMES = 2
"""Bias frames for a fingerprint: their difference tells the noise to 1 %."""

MOST_FRAMES = 4
"""With those that a camera delivers again, or that another program had set otherwise."""


class GainCheck:
    """Confirms each readout setting of a night once."""

    def __init__(self, context: NightContext) -> None:
        self._context = context
        self._verdicts: dict[ReadoutSettings, str | None] = {}
        self._digests: set[bytes] = set()

    async def confirm(self, number: int, readout: ReadoutSettings) -> None:
        """Shoot two bias frames and compare them with what earlier nights know of the camera.

        Where they know nothing of this setting, or something else, two frames with a very different gain are compared.

        Parameters
        ----------
        number
            The step's number, for events.
        readout
            The setting that is to be used next.

        Raises
        ------
        StepFailedError
            The camera has another setting than was ordered; StepSkippedError where an earlier step told so.
        DeviceError, NotDurableError
            The rig or the disk failed.
        """
        if readout in self._verdicts:
            if self._verdicts[readout] is not None:
                raise StepSkippedError(f"the camera did not take {_text(readout)}")
            return
        fault = self._verdicts[readout] = await self._fault(number, readout)
        if fault is not None:
            raise StepFailedError(fault)

    async def _fault(self, number: int, readout: ReadoutSettings) -> str | None:
        limits = self._context.rig.camera.features.gain
        if limits is None or readout.gain is None:
            return None
        known = await in_thread(self._known)
        own = known.get(readout)
        for cure in (None, self._write_again, self._reconnect):
            if cure is not None:
                await cure(readout, limits)
            found = await self._fingerprint(number, readout)
            if found is None or (own is not None and found.is_as_ever(own)):
                return None
            instead = not_applied(readout, found, known if own else {})
            if instead is None:
                break
            told = f"the camera did not take {_text(readout)}: its bias has level and noise of {_text(instead)}"
            self._context.notice(Severity.WARNING, told)
        else:
            return f"{told}; switch it off and on again"
        far = limits.maximum if limits.maximum - readout.gain > readout.gain - limits.minimum else limits.minimum
        other = replace(readout, gain=far)
        probe = await self._fingerprint(number, other)
        if probe is not None and not_applied(readout, found, {other: probe}):
            text = f"bias frames of gain {readout.gain:g} and {far:g} are alike: does the camera obey its gain control?"
            self._context.notice(Severity.WARNING, text, topic=Topic.GAIN)
        elif own is not None:
            text = f"the bias of gain {readout.gain:g} has changed: level {found.level_adu:.0f} ADU and noise "
            text += f"{found.noise_adu:.2f} ADU, on earlier nights {own.level_adu:.0f} and {own.noise_adu:.2f} ADU"
            self._context.notice(Severity.WARNING, text, topic=Topic.GAIN)
        return None

    async def _write_again(self, readout: ReadoutSettings, limits: Limits) -> None:
        """Set another gain first: drivers leave out orders that change nothing of what they believe."""
        assert readout.gain is not None
        beside = readout.gain + 1 if limits.contains(readout.gain + 1) else readout.gain - 1
        await self._context.rig.camera.apply(replace(readout, gain=beside))

    async def _reconnect(self, _readout: ReadoutSettings, _limits: Limits) -> None:
        await self._context.rig.camera.reconnect()

    def _known(self) -> dict[ReadoutSettings, Fingerprint]:
        records, _ = CameraRecords(self._context.folder.path.parent / CAMERAS).load()
        mine = [record for record in records if record.camera == self._context.rig.camera.name]
        kept = (merged(alike) for alike in by_setting(mine))
        return {record.readout: found for record in kept if (found := fingerprint_of(record)) is not None}

    async def _fingerprint(self, number: int, readout: ReadoutSettings) -> Fingerprint | None:
        """Return what bias frames of a setting show; None where frames are too small, or spoilt."""
        context, series = self._context, TileSeries()
        await darken(context)
        settings = await context.rig.camera.apply(readout)
        shortest_s = context.rig.camera.features.exposure_s.minimum
        for _ in range(MOST_FRAMES):
            frame = await expose_with_retries(context, number, FrameKind.BIAS, shortest_s)
            if frame.settings != settings:
                await in_thread(context.folder.save_check, frame, None)
                reclaim(context, settings, frame.settings)
                settings = await context.rig.camera.apply(readout)
                continue
            await in_thread(self._look, frame, series)
            if series.frames == FRAMES or min(frame.pixels.shape) < TILE_PIXELS:
                break
        if series.frames < FRAMES:
            return None
        noise = series.noise()
        try:
            read_noise = read_noise_adu(noise)
        except ValueError:
            return None
        return Fingerprint(float(np.median(noise.level_adu)), max(read_noise.value, noise.step_adu / 4))

    def _look(self, frame: Frame, series: TileSeries) -> None:
        self._context.folder.save_check(frame, None)
        digest = pixel_digest(frame.pixels)
        # A frame that comes twice has no noise against itself, or tells of the setting before.
        if min(frame.pixels.shape) >= TILE_PIXELS and digest not in self._digests:
            self._digests.add(digest)
            series.add(frame.pixels)


def _text(readout: ReadoutSettings) -> str:
    offset = "" if readout.offset is None else f", offset {readout.offset:g}"
    return "no gain" if readout.gain is None else f"gain {readout.gain:g}{offset}"


def fingerprint_of(record: CameraRecord) -> Fingerprint | None:
    """Return the fingerprint that an earlier night left, None where it did not measure all of it."""
    if record.bias_adu is None or record.read_noise_e is None or record.e_per_adu is None:
        return None
    return Fingerprint(record.bias_adu, record.read_noise_e.value / record.e_per_adu.value)
