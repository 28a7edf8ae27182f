"""Inputs of a set from the steps before it, and its results for the steps after it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.camera.study import StudiedSet
from coldframe.calibration.frames.overscan import Overscan
from coldframe.calibration.masters.flat_pedestal import PedestalTest, PedestalVerdict
from coldframe.capture.tuner.tuner import Tuned


@dataclass(frozen=True, slots=True, eq=False)
class SubtractedMaster:
    """A master without light, in the form in which it is subtracted from flats.

    Attributes
    ----------
    name
        Name of its file.
    mean, uncertainty
        float32, shape (height, width), ADU: the level to subtract from a frame as it is folded, and its standard error.
    level
        Level of its frames as the camera delivers them, ADU.
    overscan
        Overscan that was subtracted from its frames, and must be subtracted from the flats, too; None for whole frames.
    level_error_adu
        Standard error of the level.
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
        Its master, as later sets need it.
    frames
        Number of its frames.
    taken_over
        How many of them an earlier run of the night has shot.
    shortfall
        Why frames are missing; None if none are.
    studied
        Levels and noise for the study of the camera; None if the frames are too small.
    verdict
        Comparison of dark flats with the bias; None if there was none.
    leak
        Description of the light leak that ended the set; None if there was none.
    has_drifted
        True if the sensor has left the set's temperature: the missing frames make another master.
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
        Gain in electrons per ADU, None if it is not known yet.
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
        Highest level that a frame without light can have, None if it is not known.
    filters
        Filter of the first frame and filter of all others, see `filters_for_darks`; None to leave the wheel alone.
    shot_before
        Frames of the set that are in a master of their own already, because the sensor was warmer or colder then.
    e_per_adu
        Gain in electrons per ADU, None if it is not known yet.
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
        Exposure of every frame, equal to the last bit to that of its flats.
    test
        Bias that may replace them: then only as many are shot as the comparison takes. None to shoot them all.
    ceiling_adu
        Highest level that a frame without light can have, None if it is not known.
    e_per_adu
        Gain in electrons per ADU, None if it is not known yet.
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
        Comparison that chose between the two; None if there was none.
    """

    tuned: Tuned
    subtracted: SubtractedMaster
    verdict: PedestalVerdict | None = None

    @property
    def exposure_s(self) -> float:
        """Exposure of every frame."""
        return self.tuned.exposure_s


SetInputs = BiasInputs | DarkInputs | DarkFlatInputs | FlatInputs
