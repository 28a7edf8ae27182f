"""Master flats of twilight: each frame has the dark of its own exposure subtracted, and is scaled by its own level.

So frames of different exposures of a changing sky lie on one scale, and what differs between them, stars above all,
is clipped.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.frame_file import read_pixels
from coldframe.calibration.frames.overscan import Overscan
from coldframe.calibration.masters.dark_ladder import DarkLadder
from coldframe.calibration.masters.flat_recipe import FlatRecipe, on_pedestal
from coldframe.calibration.masters.master_frame import MasterFrame
from coldframe.calibration.stacking.accumulator import Accumulator
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.capture.twilight.shooting import SkySet
from coldframe.config.frames import FrameKind


def sky_master(shot: SkySet, ladder: DarkLadder, overscan: Overscan | None, cfa_pattern: str | None) -> MasterFrame:
    """Combine the flats of one filter.

    Parameters
    ----------
    shot
        At least one flat.
    ladder
        What is subtracted from them.
    overscan
        What was subtracted from the frames of the ladder first.
    cfa_pattern
        Of the camera's pixels; None for mono.

    Raises
    ------
    FrameFileError
        If a file cannot be read.
    NoSignalError
        If a flat shows no light.
    """
    assert shot.first is not None
    order = sorted(range(len(shot.paths)), key=lambda place: shot.exposures_s[place])
    factors: list[NDArray[np.float32]] = []

    def recipe(exposure_s: float) -> FlatRecipe:
        dark, uncertainty = ladder.at(exposure_s)
        return FlatRecipe(on_pedestal(dark, overscan), uncertainty, cfa_pattern, overscan)

    def scaled(place: int) -> NDArray[np.uint16]:
        flat = recipe(shot.exposures_s[place]).scaled(read_pixels(shot.paths[place]))
        factors.append(flat.factors)
        return flat.pixels

    def reread(places: NDArray[np.intp]) -> Iterator[NDArray[np.uint16]]:
        for place in order:
            yield scaled(place).reshape(-1)[places]

    first = scaled(order[0])
    height, width = first.shape
    accumulator = Accumulator((height, width), len(order))
    accumulator.add(first, shot.digests[order[0]])
    for place in order[1:]:
        accumulator.add(scaled(place), shot.digests[place])
    mean_s = fmean(shot.exposures_s)
    clipping = Clipping()
    stack = accumulator.finish(clipping, reread)
    # Frames that were read again have their factors at the end of the list once more.
    stack, masked = recipe(mean_s).response(stack, factors[: len(order)])
    return MasterFrame(
        kind=FrameKind.FLAT,
        stack=stack,
        camera=shot.first.camera,
        settings=shot.first.settings,
        exposure_s=mean_s,
        sensor_c=fmean(shot.sensor_c) if shot.sensor_c else None,
        setpoint_c=shot.first.setpoint_c,
        filter_name=shot.flat.filter,
        method=clipping,
        inputs=tuple(path.name for path in shot.paths),
        first_at=shot.first.started_at,
        last_at=shot.last_at,
        masked=masked,
        subtracted=ladder.rungs[-1].path.name,
        header=shot.first.header,
        overscan=overscan,
        remarks=_remarks(shot, [rung.path for rung in ladder.rungs]),
    )


def _remarks(shot: SkySet, rungs: list[Path]) -> tuple[Card, ...]:
    return (
        Card("CFSATUR", shot.full_scale_adu, "[adu] level at which the flats saturate"),
        Card("CFSKY", value=True, comment="twilight flats of different exposures"),
        Card("CFEXPMIN", min(shot.exposures_s), "[s] shortest of the exposures"),
        Card("CFEXPMAX", max(shot.exposures_s), "[s] longest of the exposures"),
        *(Card(f"CFDARK{number}", path.name, "subtracted, between two") for number, path in enumerate(rungs, start=1)),
    )
