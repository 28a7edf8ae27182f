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
class Recipe:
    """What a set takes over from the steps before it.

    Attributes
    ----------
    exposure_s
        Exposure of every frame; of a dark flat the very value of its flats.
    tuned
        For flats: what the tuner found.
    pedestal
        For flats: the master dark flat, or bias, that is subtracted.
    verdict
        For flats: why it is the one or the other, where they were compared.
    test
        For dark flats: the bias that may take their place; then no more are shot than it takes to know.
    e_per_adu
        Electrons for one ADU, where they are known.
    ceiling_adu
        For frames without light: the highest level that can be, where it is known.
    dark_filters
        For darks: the filter for the first frame and that for all others, see `filters_for_darks`.
    shot_before
        Frames of the set that are in a master of their own already, as the sensor was warmer or colder then.
    """

    exposure_s: float
    tuned: Tuned | None = None
    pedestal: SubtractedMaster | None = None
    verdict: PedestalVerdict | None = None
    test: PedestalTest | None = None
    e_per_adu: float | None = None
    ceiling_adu: float | None = None
    dark_filters: tuple[str, str] | None = None
    shot_before: int = 0
