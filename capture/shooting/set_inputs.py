"""What a set takes over from the steps before it, and what it gives to those after it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.camera.study import StudiedSet
from coldframe.calibration.frames.overscan import Overscan
from coldframe.calibration.masters.flat_pedestal import PedestalTest, PedestalVerdict
from coldframe.capture.tuner.tuner import Tuned


@dataclass(frozen=True, slots=True, eq=False)
class SubtractedMaster:
    """What is subtracted from flats: a master.

    Attributes
    ----------
    name
        Its file's name.
    mean, uncertainty
        float32, shape (height, width), ADU: what is subtracted from a frame as it is folded, and its standard error.
    level
        Level of the frames from which it was made, as the camera delivers them, ADU.
    overscan
        What was subtracted from them first, and must be from the flats, too.
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
    """What came of a set.

    Attributes
    ----------
    master
        As far as later sets need it.
    frames
        How many it is of.
    taken_over
        Those among them that an earlier run of the night has shot.
    shortfall
        Why frames are missing; None where none are.
    studied
        What they tell of the camera; None of frames too small for that.
    verdict
        Of dark flats that were compared with the bias.
    leak
        The light that ended the set, in words; None where it was dark to the end.
    has_drifted
        True where the sensor has left the set's temperature: the frames that are missing make another master.
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
