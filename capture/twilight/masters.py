"""Combine twilight flats: subtract from each frame a dark for its exposure, then scale the frame to a common level.

The frames of a changing sky, with different exposures, are then on one scale. Clipping removes the remaining
differences between the frames, mainly stars.
"""

from pathlib import Path
from statistics import fmean

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.raws.frames import read_night_pixels
from coldframe.calibration.frames.overscan import Overscan
from coldframe.calibration.masters.dark_ladder import DarkLadder
from coldframe.calibration.masters.flat_recipe import FlatRecipe, on_pedestal
from coldframe.calibration.masters.master_frame import MasterFrame
from coldframe.capture.pipeline.frame_stack import FlatStack
from coldframe.capture.pipeline.making_master import master_of
from coldframe.capture.twilight.sky_frames import SkySet
from coldframe.config.frames import FrameKind


def sky_master(sky_set: SkySet, ladder: DarkLadder, overscan: Overscan | None, cfa_pattern: str | None) -> MasterFrame:
    """Combine the flats of one filter. This function blocks, so call it in a thread.

    Parameters
    ----------
    sky_set
        One or more flats.
    ladder
        Darks to subtract from the flats.
    overscan
        Overscan that was subtracted from the frames of the ladder's darks; None if no overscan was subtracted.
    cfa_pattern
        Colour filter array of the frames, such as "RGGB"; None for mono.

    Raises
    ------
    FrameFileError
        If a file cannot be read.
    NoSignalError
        If a flat shows no light.
    """

    def recipe_at(exposure_s: float) -> FlatRecipe:
        dark, uncertainty = ladder.at(exposure_s)
        return FlatRecipe(on_pedestal(dark, overscan), uncertainty, cfa_pattern, overscan)

    accepted = sky_set.accepted
    # Combine the frames in order of exposure, because the ladder keeps only two darks in memory.
    frames = sorted(accepted.frames, key=lambda each: each.exposure_s)
    stack = FlatStack(len(frames), recipe_at)
    for each in frames:
        stack.fold(read_night_pixels(each.path), each.exposure_s, each.digest)
    return master_of(
        accepted,
        stack.finish(frames),
        kind=FrameKind.FLAT,
        filter_name=sky_set.flat.filter,
        exposure_s=fmean(accepted.exposures_s),
        subtracted=ladder.rungs[-1].path.name,
        remarks=_remarks(sky_set, [rung.path for rung in ladder.rungs]),
    )


def _remarks(sky_set: SkySet, darks: list[Path]) -> tuple[Card, ...]:
    exposures_s = sky_set.accepted.exposures_s
    return (
        Card("CFSATUR", sky_set.full_scale_adu, "[adu] level at which the flats saturate"),
        Card("CFSKY", value=True, comment="twilight flats of different exposures"),
        Card("CFEXPMIN", min(exposures_s), "[s] shortest exposure of the flats"),
        Card("CFEXPMAX", max(exposures_s), "[s] longest exposure of the flats"),
        *(Card(f"CFDARK{number}", path.name, "subtracted, between two") for number, path in enumerate(darks, start=1)),
    )
