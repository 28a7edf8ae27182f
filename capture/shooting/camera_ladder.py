"""Measure the camera from the night's frames: gather the data of each set, and save a record at the end.

Almost everything is measured from frames that are shot anyway. The saturation level needs additional frames, because
flats are far below it: for each readout setting, coldframe shoots one ladder of flats, from faint to saturated. This
takes about half a minute. The ladder goes up and down again, so that a drift of the illumination is not mistaken for a
nonlinearity of the camera. See docs/decisions/0011-camera-measured-for-free.md.
"""

from dataclasses import dataclass, field
from pathlib import Path

from coldframe.calibration.camera.photon_transfer import Measured, TileSeries
from coldframe.calibration.camera.record import CAMERAS, CameraRecord, CameraRecords, merged
from coldframe.calibration.camera.study import StudiedSet, study
from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.events.kinds import CameraMeasured
from coldframe.capture.events.values import ExposurePurpose, Severity
from coldframe.capture.judging.light_leak import dark_ceiling_adu
from coldframe.capture.recovery.exposing import apply_with_retries, expose_with_retries
from coldframe.capture.rig.light_path import flat_light, select_filter
from coldframe.capture.session.context import NightContext, StepFailedError
from coldframe.capture.session.skipping import skippable
from coldframe.capture.steps import ShootStep
from coldframe.capture.threads import in_thread
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Frame
from coldframe.devices.errors import DeviceError

LADDER = (0.06, 0.2, 0.65, 0.85, 1.3)
"""Signals of the ladder's rungs, as fractions of the presumed range from bias to saturation.

The last signal saturates the sensor, but only slightly, because saturation leaves a residual image in some CCDs for
minutes.
"""

FRAMES_PER_RUNG = 2

CLIMB = (*range(len(LADDER) - 1), *reversed(range(len(LADDER) - 1)), len(LADDER) - 1, len(LADDER) - 1)
"""The rungs in the order in which they are shot: up and down below saturation, and finally the rung that saturates."""

LONGEST_LADDER_S = 120.0
"""Longest allowed total exposure of a ladder. If a filter is so dark that its ladder would take longer, a different
filter is used.
"""


@dataclass(frozen=True, slots=True)
class LadderLight:
    """The illumination under which a ladder is shot.

    Attributes
    ----------
    readout
        Readout settings of the flats.
    filter, brightness
        Filter in the light path, and brightness of the panel.
    rate_adu_per_s
        Signal per second, ADU.
    range_adu
        Range from the bias level to the presumed saturation level, ADU.
    """

    readout: ReadoutSettings
    filter: str | None
    brightness: int | None
    rate_adu_per_s: float
    range_adu: float

    @property
    def exposures_s(self) -> tuple[float, ...]:
        """Exposures of the rungs, seconds."""
        return tuple(part * self.range_adu / self.rate_adu_per_s for part in LADDER)


@dataclass(slots=True)
class Characterisation:
    """Measures the camera from the sets of a night.

    Attributes
    ----------
    context
        The night.
    """

    context: NightContext
    _sets: dict[ReadoutSettings, list[StudiedSet]] = field(default_factory=dict)
    _climbed: set[ReadoutSettings] = field(default_factory=set)

    def add(self, readout: ReadoutSettings, studied: StudiedSet) -> None:
        """Add the levels and noise of the given set, under the requested readout settings."""
        self._sets.setdefault(readout, []).append(studied)

    def e_per_adu(self, readout: ReadoutSettings) -> float | None:
        """Return the gain in electrons per ADU at the requested readout settings; None if unknown.

        This method reads files.
        """
        sets = self._sets.get(readout)
        if not sets:
            return None
        now = study(sets, self.context.clock.now())
        known = now if now is not None else self._records.known(sets[0].camera, sets[0].readout)
        return known.e_per_adu.value if known is not None and known.e_per_adu is not None else None

    def dark_ceiling_adu(self, step: ShootStep, bias_adu: float | None) -> float | None:
        """Return the highest level that a dark can have, in ADU, or None if unknown. This method reads files."""
        known = self._records.known(self.context.rig.camera.name, step.readout)
        if known is None or bias_adu is None or step.setpoint_c is None or step.exposure_s is None:
            return None
        return dark_ceiling_adu(known, bias_adu, step.setpoint_c, step.exposure_s)

    async def climb(self, number: int, light: LadderLight) -> None:
        """Shoot the ladder if this readout setting has no ladder yet. A failure is announced, not raised.

        Parameters
        ----------
        number
            Number of the step to which the ladder belongs, for events.
        light
            Illumination under which flats have just been shot.
        """
        try:
            if light.readout in self._climbed or not self._is_in_reach(light):
                return
            settings = await apply_with_retries(self.context, light.readout)
            self._climbed.add(light.readout)
            if await in_thread(self._is_wanted, settings):
                async with skippable(self.context, number):
                    await self._climb(number, light)
        except (DeviceError, StepFailedError) as error:
            self.context.notice(Severity.WARNING, f"saturation and linearity of the camera were not measured: {error}")

    def _is_in_reach(self, light: LadderLight) -> bool:
        limits = self.context.rig.camera.features.exposure_s
        exposures_s = light.exposures_s
        in_time = FRAMES_PER_RUNG * sum(exposures_s) <= LONGEST_LADDER_S
        return in_time and all(limits.contains(exposure_s) for exposure_s in exposures_s)

    def _is_wanted(self, settings: ReadoutSettings) -> bool:
        known = self._records.known(self.context.rig.camera.name, settings)
        return known is None or known.saturation_adu is None

    async def _climb(self, number: int, light: LadderLight) -> None:
        context = self.context
        panel = context.rig.panel
        if panel is None:
            return
        await select_filter(context, light.filter)
        async with flat_light(context, panel, light.brightness):
            series = [TileSeries() for _ in LADDER]
            frames: dict[int, Frame] = {}
            for rung in CLIMB:
                exposure_s = light.exposures_s[rung]
                context.require_time(exposure_s)
                frames[rung] = await expose_with_retries(
                    context, number, FrameKind.FLAT, exposure_s, light.filter, purpose=ExposurePurpose.CAMERA
                )
                await in_thread(self._keep_rung, frames[rung], light.filter, series[rung])
        for rung, frame in frames.items():
            studied = StudiedSet(
                frame.camera,
                frame.settings,
                frame.kind,
                frame.exposure_s,
                frame.sensor_c,
                (light.filter, light.brightness),
                series[rung].noise(),
            )
            self.add(light.readout, studied)

    def _keep_rung(self, frame: Frame, filter_name: str | None, series: TileSeries) -> None:
        self.context.folder.save_test(frame, filter_name)
        series.add(frame.pixels)

    async def keep(self) -> None:
        """Save the camera's records from this night and publish them. A failure is announced, not raised."""
        for sets in self._sets.values():
            try:
                kept = await in_thread(self._keep, sets)
            except (NotDurableError, OSError, ValueError) as error:
                self.context.notice(Severity.WARNING, f"the measurements of the camera were not saved: {error}")
                continue
            if kept is not None:
                self.context.publish(kept)
        self._sets.clear()

    def _keep(self, sets: list[StudiedSet]) -> CameraMeasured | None:
        known = self._records.known(sets[0].camera, sets[0].readout)
        gain = None if known is None or known.e_per_adu is None else known.e_per_adu
        now = self.context.clock.now()
        record = study(sets, now, None if gain is None else Measured(gain.value, gain.error))
        if record is None:
            return None
        path = self._records.save(record)
        return _measured(record if known is None else merged([known, record]), path)

    @property
    def _records(self) -> CameraRecords:
        return CameraRecords(self.context.folder.path.parent / CAMERAS)


def _measured(record: CameraRecord, path: Path) -> CameraMeasured:
    """Return the measurements in the record as an event."""
    well = record.full_well_e
    return CameraMeasured(
        at=record.measured_at,
        camera=record.camera,
        path=str(path),
        gain=record.gain,
        e_per_adu=record.e_per_adu.value if record.e_per_adu else None,
        read_noise_e=record.read_noise_e.value if record.read_noise_e else None,
        saturation_adu=record.saturation_adu.value if record.saturation_adu else None,
        full_well_e=well.value if well else None,
        largest_deviation=record.largest_deviation,
        curve=tuple((point.signal_adu, point.noise_adu) for point in record.curve),
        dark_current=tuple((each.sensor_c, each.e_per_s) for each in record.dark_current),
    )
