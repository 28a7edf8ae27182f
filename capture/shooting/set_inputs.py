"""Define the inputs of a set from earlier steps, and the results of a set for later steps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.camera.study import StudiedSet
from coldframe.calibration.frames.overscan import Overscan
from coldframe.calibration.masters.flat_pedestal import PedestalTest, PedestalVerdict
from coldframe.capture.tuner.tuner import Tuned


@dataclass(frozen=True, slots=True, eq=False)
class SubtractedMaster:
    """A master of frames without light, in the form in which it is subtracted from flats.

    Attributes
    ----------
    name
        Name of the master's file.
    mean, uncertainty
        Level to subtract from a frame before it is stacked, and the standard error of that level, float32, shape
        (height, width), ADU.
    level
        Level of the master's frames as delivered by the camera, ADU.
    overscan
        Overscan that was subtracted from the master's frames and must also be subtracted from the flats; None if no
        overscan was subtracted.
    level_error_adu
        Standard error of the level, ADU.
    """

    name: str
    mean: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    level: float
    overscan: Overscan | None
    level_error_adu: float


@dataclass(frozen=True, slots=True)
class ShotSet:
    """The results of a set.

    Attributes
    ----------
    master
        Master of the set, in the form that later sets need.
    frames
        Number of frames in the master.
    taken_over
        Number of these frames that were shot earlier, by an earlier run of the night or for another set.
    shortfall
        Reason why frames are missing; None if no frame is missing.
    studied
        Levels and noise for measuring the camera; None if the frames are too small.
    verdict
        Comparison of dark flats with the bias; None if they were not compared.
    leak
        Description of the light leak that ended the set; None if no light leaked in.
    has_drifted
        True if the sensor has left the temperature range of the master, so that the missing frames need a second one.
    """

    master: SubtractedMaster
    frames: int
    taken_over: int
    shortfall: str | None
    studied: StudiedSet | None
    verdict: PedestalVerdict | None
    leak: str | None
    has_drifted: bool


@dataclass(frozen=True, slots=True)
class BiasInputs:
    """Inputs of a bias set.

    Attributes
    ----------
    exposure_s
        Exposure of every frame.
    e_per_adu
        Gain in electrons per ADU; None if not yet known.
    """

    exposure_s: float
    e_per_adu: float | None = None


@dataclass(frozen=True, slots=True)
class DarkInputs:
    """Inputs of a set of darks.

    Attributes
    ----------
    exposure_s
        Exposure of every frame.
    ceiling_adu
        Highest level that a frame without light can have; None if unknown.
    filters
        Filter of the first frame, and filter of all other frames (see `filters_for_darks`); None to leave the wheel
        unchanged.
    shot_before
        Number of frames of the set that are already in an earlier master, because the sensor was warmer or colder then.
    e_per_adu
        Gain in electrons per ADU; None if not yet known.
    """

    exposure_s: float
    ceiling_adu: float | None = None
    filters: tuple[str, str] | None = None
    shot_before: int = 0
    e_per_adu: float | None = None


@dataclass(frozen=True, slots=True)
class DarkFlatInputs:
    """Inputs of a set of dark flats.

    Attributes
    ----------
    exposure_s
        Exposure of every frame, exactly equal to the exposure of the flats.
    test
        Comparison with a bias that might replace the dark flats. Only the frames for this comparison are shot at first.
        None to shoot all frames.
    ceiling_adu
        Highest level that a frame without light can have; None if unknown.
    e_per_adu
        Gain in electrons per ADU; None if not yet known.
    """

    exposure_s: float
    test: PedestalTest | None = None
    ceiling_adu: float | None = None
    e_per_adu: float | None = None


@dataclass(frozen=True, slots=True)
class FlatInputs:
    """Inputs of a set of flats.

    Attributes
    ----------
    tuned
        Exposure and brightness that the tuner found.
    subtracted
        Master dark flat, or bias, that is subtracted from every frame.
    verdict
        Comparison that chose between dark flat and bias; None if they were not compared.
    """

    tuned: Tuned
    subtracted: SubtractedMaster
    verdict: PedestalVerdict | None = None

    @property
    def exposure_s(self) -> float:
        """Exposure of every frame."""
        return self.tuned.exposure_s


SetInputs = BiasInputs | DarkInputs | DarkFlatInputs | FlatInputs
