"""Before the first set with each readout setting, check by means of bias frames that the gain and offset were applied.

Some drivers report the requested gain even if the camera did not apply it (indi-3rdparty #1319, #1361). The level and
noise of the bias depend on the gain, so the camera's records from earlier nights show which setting is in force.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log

import numpy as np

from coldframe.calibration.camera.photon_transfer import LEAST_NOISE_STEPS, TILE_PIXELS, TileSeries, read_noise_adu
from coldframe.calibration.camera.record import CAMERAS, CameraRecord, CameraRecords, by_setting, merged
from coldframe.calibration.stacking.accumulator import pixel_digest
from coldframe.capture.events.values import ExposurePurpose, Severity, Topic
from coldframe.capture.recovery.exposing import apply_with_retries, expose_with_retries
from coldframe.capture.recovery.interference import reclaim
from coldframe.capture.rig.light_path import darken
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError
from coldframe.capture.threads import in_thread
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Frame, Limits

FRAMES = 2
"""Number of bias frames in a fingerprint. Their difference gives the noise to within 1 %."""

MOST_FRAMES = 4
"""Maximum number of bias frames shot for a fingerprint. Some of them might be unusable: repeats of earlier frames, or
frames with other settings.
"""

SAME_NOISE = 0.05
"""Maximum logarithm of the ratio between two noise values that count as equal; each value is accurate to within 1 %."""

SAME_LEVEL = 0.5
"""Maximum difference between two levels that count as equal, in units of one pixel's noise."""

OWN_NOISE, OWN_LEVEL, OWN_LEVEL_ADU = 0.2, 3.0, 20.0
"""Limits for noise and level in comparisons with earlier nights, and the smallest level limit in ADU. They are wider
than the limits within one night, because noise and level change with temperature and age.
"""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Level of bias frames and temporal noise of their pixels, excluding row noise, in ADU."""

    level_adu: float
    noise_adu: float

    def is_same(self, other: "Fingerprint") -> bool:
        """Return whether two fingerprints of one night are equal within their errors."""
        return (
            abs(log(self.noise_adu / other.noise_adu)) <= SAME_NOISE
            and abs(self.level_adu - other.level_adu) <= SAME_LEVEL * other.noise_adu
        )

    def agrees_with(self, earlier: "Fingerprint") -> bool:
        """Return whether the fingerprint agrees with a fingerprint of the same setting from an earlier night."""
        allowed_adu = max(OWN_LEVEL * earlier.noise_adu, OWN_LEVEL_ADU)
        return (
            abs(log(self.noise_adu / earlier.noise_adu)) <= OWN_NOISE
            and abs(self.level_adu - earlier.level_adu) <= allowed_adu
        )


def setting_in_force(
    ordered: ReadoutSettings, found: Fingerprint, known: Mapping[ReadoutSettings, Fingerprint]
) -> ReadoutSettings | None:
    """Return the setting that the camera seems to be using instead of the requested setting.

    Return None if the requested setting is in force, or if no known setting matches.

    Parameters
    ----------
    ordered
        Setting that was requested from the camera.
    found
        Fingerprint of the bias frames that were shot after the request.
    known
        Fingerprints of settings from this night or earlier nights. Settings that differ from `ordered` in gain or
        offset are considered.
    """
    own = known.get(ordered)
    if own is not None and found.agrees_with(own):
        return None
    others = (settings for settings in known if (settings.gain, settings.offset) != (ordered.gain, ordered.offset))
    return next((settings for settings in others if found.is_same(known[settings])), None)


def fingerprint_of(record: CameraRecord) -> Fingerprint | None:
    """Return the fingerprint in the camera record; None if the record lacks the bias level, the noise or the gain."""
    noise_e = record.read_noise_e.value if record.read_noise_e else record.read_noise_below_e
    if record.bias_adu is None or noise_e is None or record.e_per_adu is None:
        return None
    return Fingerprint(record.bias_adu, noise_e / record.e_per_adu.value)


class GainCheck:
    """Checks once for each readout setting of a night that the camera has applied the setting."""

    def __init__(self, context: NightContext) -> None:
        self._context = context
        self._verdicts: dict[ReadoutSettings, str | None] = {}
        self._digests: set[bytes] = set()

    async def confirm(self, number: int, readout: ReadoutSettings) -> None:
        """Shoot two bias frames and compare them with the camera's records from earlier nights.

        If the records contain no fingerprint of this setting, or one that differs from that of the new frames, shoot
        two frames with a very different gain for comparison.

        Parameters
        ----------
        number
            Number of the step, for events.
        readout
            Setting that the next set uses.

        Raises
        ------
        StepFailedError
            If the camera did not apply the setting. StepSkippedError is raised if an earlier step has already failed
            for this reason.
        DeviceError, NotDurableError
            If the rig or the disk failed.
        """
        if readout in self._verdicts:
            if self._verdicts[readout] is not None:
                raise StepSkippedError(f"the camera did not apply {_text(readout)}")
            return
        fault = self._verdicts[readout] = await self._fault(number, readout)
        if fault is not None:
            raise StepFailedError(fault)

    async def _fault(self, number: int, readout: ReadoutSettings) -> str | None:
        """Return a description of the fault if another setting stays in force despite two remedies, otherwise None."""
        limits = self._context.rig.camera.features.gain
        if limits is None or limits.is_fixed or readout.gain is None:
            return None
        known = await in_thread(self._known)
        own = known.get(readout)
        for remedy in (None, self._write_again, self._reconnect):
            if remedy is not None:
                await remedy(readout, limits)
            found = await self._fingerprint(number, readout)
            if found is None or (own is not None and found.agrees_with(own)):
                return None
            instead = setting_in_force(readout, found, known if own else {})
            if instead is None:
                await self._compare_gains(number, readout, limits, found, own)
                return None
            fault = f"the camera did not apply {_text(readout)}: its bias has the level and noise of {_text(instead)}"
            self._context.notice(Severity.WARNING, fault)
        return f"{fault}; switch the camera off and on again"

    async def _compare_gains(
        self, number: int, readout: ReadoutSettings, limits: Limits, found: Fingerprint, own: Fingerprint | None
    ) -> None:
        """Warn if a very different gain gives the same bias, or if the bias has changed since earlier nights."""
        assert readout.gain is not None
        far = limits.maximum if limits.maximum - readout.gain > readout.gain - limits.minimum else limits.minimum
        other = replace(readout, gain=far)
        probe = await self._fingerprint(number, other)
        if probe is not None and setting_in_force(readout, found, {other: probe}):
            text = (
                f"bias frames at gain {readout.gain:g} and {far:g} look alike: the camera may ignore its gain setting"
            )
            self._context.notice(Severity.WARNING, text, topic=Topic.GAIN)
        elif own is not None:
            text = f"the bias at gain {readout.gain:g} has changed: level {found.level_adu:.0f} ADU and noise "
            text += f"{found.noise_adu:.2f} ADU; on earlier nights {own.level_adu:.0f} and {own.noise_adu:.2f} ADU"
            self._context.notice(Severity.WARNING, text, topic=Topic.GAIN)

    async def _write_again(self, readout: ReadoutSettings, limits: Limits) -> None:
        """Set a neighbouring gain, so that the driver sends the wanted gain again afterwards.

        Drivers do not send a value to the camera if it equals the last value that they know.
        """
        assert readout.gain is not None
        beside = readout.gain + 1 if limits.contains(readout.gain + 1) else readout.gain - 1
        await apply_with_retries(self._context, replace(readout, gain=beside))

    async def _reconnect(self, _readout: ReadoutSettings, _limits: Limits) -> None:
        await self._context.rig.camera.reconnect()

    def _known(self) -> dict[ReadoutSettings, Fingerprint]:
        records, _ = CameraRecords(self._context.folder.path.parent / CAMERAS).load()
        mine = [record for record in records if record.camera == self._context.rig.camera.name]
        kept = (merged(alike) for alike in by_setting(mine))
        return {record.readout: found for record in kept if (found := fingerprint_of(record)) is not None}

    async def _fingerprint(self, number: int, readout: ReadoutSettings) -> Fingerprint | None:
        """Shoot bias frames at the given setting. Return their fingerprint, or None if too few of them are usable."""
        context, series = self._context, TileSeries()
        await darken(context)
        settings = await apply_with_retries(context, readout)
        shortest_s = context.rig.camera.features.exposure_s.minimum
        for _ in range(MOST_FRAMES):
            frame = await expose_with_retries(context, number, FrameKind.BIAS, shortest_s, purpose=ExposurePurpose.GAIN)
            if frame.settings != settings:
                await in_thread(context.folder.save_check, frame, None)
                reclaim(context, settings, frame.settings)
                settings = await apply_with_retries(context, readout)
                continue
            await in_thread(self._measure, frame, series)
            if series.frames == FRAMES or min(frame.pixels.shape) < TILE_PIXELS:
                break
        if series.frames < FRAMES:
            return None
        noise = series.noise()
        try:
            read_noise = read_noise_adu(noise)
        except ValueError:
            return None
        # Rounding hides noise below this limit. In that case, the camera's record contains the limit.
        least_adu = LEAST_NOISE_STEPS * noise.step_adu
        return Fingerprint(float(np.median(noise.level_adu)), max(read_noise.value, least_adu))

    def _measure(self, frame: Frame, series: TileSeries) -> None:
        self._context.folder.save_check(frame, None)
        digest = pixel_digest(frame.pixels)
        # The difference between a frame and its repeat contains no noise, and a frame from before `apply` has the
        # previous setting.
        if min(frame.pixels.shape) >= TILE_PIXELS and digest not in self._digests:
            self._digests.add(digest)
            series.add(frame.pixels)


def _text(readout: ReadoutSettings) -> str:
    offset = "" if readout.offset is None else f", offset {readout.offset:g}"
    return "no gain" if readout.gain is None else f"gain {readout.gain:g}{offset}"
