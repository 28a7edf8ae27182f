"""Expose the frames of a flat tuning with retries, save them in the night folder, and measure them."""

from dataclasses import dataclass

from coldframe.calibration.measuring.frame_shape import FrameShape, frame_shape
from coldframe.calibration.measuring.statistics import FrameStatistics, measure, preview
from coldframe.capture.events.previews import preview_event
from coldframe.capture.events.values import ExposurePurpose
from coldframe.capture.recovery.exposing import expose_with_retries
from coldframe.capture.session.context import NightContext
from coldframe.capture.steps import TuneStep
from coldframe.capture.threads import in_thread
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame


@dataclass(frozen=True, slots=True)
class TuningFrames:
    """Test flats that are exposed and measured. The lamp is left as it is.

    Attributes
    ----------
    context
        The night.
    step
        The tuning to which the frames belong.
    number
        Number of the step in the night, for events.
    """

    context: NightContext
    step: TuneStep
    number: int

    async def measure(self, exposure_s: float, saturation_adu: int | None) -> FrameStatistics:
        """Expose a test frame, show and save it, and return its statistics."""
        frame = await self._exposed(exposure_s)
        # Most cameras sum or average across colours when binning, so a binned frame is not a Bayer mosaic.
        pattern = self.context.cfa_pattern if self.step.readout.binning == 1 else None
        measurement = await in_thread(measure, frame.pixels, saturation_adu, pattern)
        picture = await in_thread(preview, frame.pixels)
        title = f"{self.step.title}, test of {exposure_s:g} s"
        self.context.publish(preview_event(self.context.clock.now(), title, picture, measurement))
        await in_thread(self.context.folder.save_test, frame, self.step.filter)
        return measurement.statistics

    async def shape(self, exposure_s: float) -> FrameShape:
        """Expose a frame for the light checks, save it, and return the mean levels of its regions."""
        frame = await self._exposed(exposure_s)
        await in_thread(self.context.folder.save_check, frame, self.step.filter)
        return await in_thread(frame_shape, frame.pixels)

    async def _exposed(self, exposure_s: float) -> Frame:
        return await expose_with_retries(
            self.context, self.number, FrameKind.FLAT, exposure_s, self.step.filter, purpose=ExposurePurpose.TUNING
        )
