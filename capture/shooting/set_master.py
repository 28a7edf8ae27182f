"""Make the master of the current set by adding its frames one by one. All methods block, so call them in threads."""

from dataclasses import dataclass
from statistics import fmean

import numpy as np

from coldframe.calibration.camera.photon_transfer import TILE_PIXELS, TileSeries
from coldframe.calibration.camera.study import StudiedSet
from coldframe.calibration.files.cards import Card, HeaderValue
from coldframe.calibration.frames.overscan import Overscan, OverscanChoice, OverscanError, sections_of
from coldframe.calibration.masters.flat_pedestal import DarkMaster, PedestalTest, PedestalVerdict
from coldframe.calibration.masters.flat_recipe import FlatRecipe, on_pedestal
from coldframe.calibration.masters.master_frame import MasterFrame
from coldframe.capture.pipeline.accepted_frames import AcceptedFrames
from coldframe.capture.pipeline.frame_stack import DarkStack, FlatStack, FrameStack
from coldframe.capture.pipeline.judged_frame import JudgedFrame
from coldframe.capture.pipeline.making_master import WrittenMaster, master_of, save_master
from coldframe.capture.session.context import StepFailedError
from coldframe.capture.shooting.frame_count import SetSize
from coldframe.capture.shooting.set_inputs import FlatInputs, SetInputs, SubtractedMaster
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.devices.camera import Frame


@dataclass(frozen=True, slots=True)
class FinishedSet:
    """The master of a set, both as written to disk and in the form in which it is subtracted from later frames."""

    written: WrittenMaster
    subtracted: SubtractedMaster


class SetMaster:
    """The master of one set, stacked frame by frame.

    Parameters
    ----------
    step
        The set.
    inputs
        Inputs from earlier steps.
    size
        Size of the set. It receives samples of the stacked frames.
    cfa_pattern
        Colour filter array of the frames, such as "RGGB"; None for mono.
    """

    def __init__(self, step: ShootStep, inputs: SetInputs, size: SetSize, cfa_pattern: str | None) -> None:
        self.accepted = AcceptedFrames()
        self._step = step
        self._inputs = inputs
        self._size = size
        self._stack: FrameStack | None = None
        if isinstance(inputs, FlatInputs):
            dark = inputs.subtracted
            recipe = FlatRecipe(dark.mean, dark.uncertainty, cfa_pattern, dark.overscan)
            self._stack = FlatStack(size.most, lambda _exposure_s: recipe)
        self._series = TileSeries()
        self._failure: Exception | None = None

    def begin(self, frame: Frame, method: OverscanChoice) -> str | None:
        """Prepare to stack frames like the first frame. Return a message if the overscan cannot be subtracted, or None.

        Flats use the overscan of the master that is subtracted from them.
        """
        if self._stack is not None:
            return None
        overscan, problem = None, None
        if method != "none":
            try:
                sections = sections_of(frame.header, frame.pixels.shape)
            except OverscanError as error:
                problem = f"the overscan is not subtracted: {error}"
            else:
                overscan = None if sections is None else Overscan(sections, method)
        self._stack = DarkStack(self._size.most, overscan)
        return problem

    def fold(self, judged: JudgedFrame) -> float | None:
        """Add a good frame. Return the noise of the master so far, in ADU.

        The frame must be on disk and in `accepted` before any other method is called.
        """
        assert self._stack is not None
        frame = judged.frame
        if min(frame.pixels.shape) >= TILE_PIXELS:
            self._series.add(frame.pixels)
        self._size.add(self._stack.fold(frame.pixels, frame.exposure_s, judged.digest))
        return self._stack.noise_adu()

    def refuse(self, failure: Exception) -> None:
        """Make no master from now on, because a frame was not saved or not added completely."""
        self._failure = self._failure or failure

    def compare(self, test: PedestalTest) -> PedestalVerdict:
        """Compare the dark flats so far with the bias.

        Raises
        ------
        StepFailedError
            If the stack does not consist of exactly the accepted frames.
        FrameFileError
            If a frame cannot be read again.
        """
        assert isinstance(self._stack, DarkStack)
        self._require_accepted_frames(self._stack)
        stack, overscan = self._stack.combined(self.accepted.frames)
        return test.verdict(DarkMaster(on_pedestal(stack.mean, overscan), stack.uncertainty, self._level_error_adu()))

    def studied(self) -> StudiedSet | None:
        """Return the levels and noise for measuring the camera, or None if the frames are too small."""
        frame, inputs = self.accepted.first, self._inputs
        if self._series.frames == 0 or frame is None:
            return None
        light = (self._step.filter, inputs.tuned.brightness) if isinstance(inputs, FlatInputs) else None
        sensor_c, noise = self.accepted.mean_sensor_c, self._series.noise()
        return StudiedSet(frame.camera, frame.settings, frame.kind, frame.exposure_s, sensor_c, light, noise)

    def write(self, folder: NightFolder) -> FinishedSet:
        """Combine the frames and save their master.

        Raises
        ------
        StepFailedError
            If the stack does not consist of exactly the accepted frames.
        FrameFileError
            If a frame cannot be read again.
        NotDurableError
            If the master could not be written to disk.
        """
        assert self._stack is not None
        self._require_accepted_frames(self._stack)
        inputs, remarks, extra_cards = self._inputs, tuple[Card, ...](), dict[str, HeaderValue]()
        if isinstance(inputs, FlatInputs):
            remarks = _flat_remarks(inputs)
        elif inputs.e_per_adu is not None:
            extra_cards["EGAIN"] = inputs.e_per_adu
        master = master_of(
            self.accepted,
            self._stack.finish(self.accepted.frames),
            kind=self._step.kind,
            filter_name=self._step.filter,
            exposure_s=inputs.exposure_s,
            subtracted=inputs.subtracted.name if isinstance(inputs, FlatInputs) else None,
            extra_cards=extra_cards,
            remarks=remarks,
        )
        written = save_master(folder, master)
        return FinishedSet(written, self._subtracted(written, master))

    def _require_accepted_frames(self, stack: FrameStack) -> None:
        """Check that the stack consists of exactly the accepted frames, which the header of the master describes."""
        if self._failure is not None:
            raise StepFailedError(f"no master was made, because a frame could not be added to it: {self._failure}")
        if stack.frames != len(self.accepted):
            raise StepFailedError(
                f"no master was made, because {stack.frames} frames were stacked, but {len(self.accepted)} were "
                "accepted; combine the saved frames with coldframe combine"
            )

    def _subtracted(self, written: WrittenMaster, master: MasterFrame) -> SubtractedMaster:
        stack, overscan = master.stack, master.overscan
        # If no overscan was subtracted, the frames have the level of the master.
        level_adu = written.level if overscan is None else fmean(self.accepted.levels_adu)
        mean = on_pedestal(stack.mean, overscan)
        return SubtractedMaster(
            written.path.name, mean, stack.uncertainty, level_adu, overscan, self._level_error_adu()
        )

    def _level_error_adu(self) -> float:
        levels_adu = self.accepted.levels_adu
        return float(np.std(levels_adu) / np.sqrt(max(len(levels_adu) - 1, 1)))


def _flat_remarks(inputs: FlatInputs) -> tuple[Card, ...]:
    """Return header cards with the measurements made for flats."""
    saturation = Card("CFSATUR", float(inputs.tuned.target.full_scale_adu), "[adu] level at which the flats saturate")
    return (saturation, *(() if inputs.verdict is None else inputs.verdict.cards))
