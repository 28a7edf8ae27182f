"""Verification of masters: their raw frames are combined again from disk, and all bits of the results are compared.

During a night, masters are computed from the running state, that is, from sums and extreme values that are updated as
the frames arrive. Verification computes the same result independently: with different code (the column sort), in a
different order, and from the saved frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.combining.combine import NotOneSetError, combine_frames
from coldframe.calibration.combining.frame_sets import RawFrame, open_frames, without_overscan
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.frame_file import FrameEncoder, read_header
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import open_image, uint16_pixels
from coldframe.calibration.files.keywords import frame_names
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.masters.dark_ladder import DarkLadder, Rung
from coldframe.calibration.masters.flat_recipe import FlatRecipe, on_pedestal
from coldframe.calibration.masters.flat_scaling import NoSignalError
from coldframe.calibration.masters.reading import MasterPlanes, read_master
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.column_sort import combine_columns
from coldframe.calibration.stacking.stack import Stack


@dataclass(frozen=True, slots=True)
class Recombination:
    """The result of combining a master's frames again and comparing the two masters.

    Attributes
    ----------
    frames
        Number of frames.
    differing
        Number of pixels with at least one different bit, by plane: mean, uncertainty, counts, mask.
    is_of_earlier_version
        True if the master was written by an earlier version of coldframe, which computed the uncertainty differently;
        the uncertainty is then not compared.
    """

    frames: int
    differing: Mapping[str, int]
    is_of_earlier_version: bool = False

    @property
    def equal(self) -> bool:
        """True if all compared bits are equal."""
        return not any(self.differing.values())

    def __str__(self) -> str:
        if self.equal:
            limits = ", except for UNCERT of an earlier version" if self.is_of_earlier_version else ""
            return f"bit for bit equal to the master recombined from its {self.frames} frames{limits}"
        planes = ", ".join(f"{name} in {pixels} pixels" for name, pixels in self.differing.items() if pixels)
        return f"differs from the master recombined from its {self.frames} frames: {planes}"


def recombined(master: Path, raw_frames: Mapping[str, Path]) -> Recombination:
    """Combine a night's master again from its raw frames, and compare the result with the master.

    Parameters
    ----------
    master
        The file of a master made during a night; the master that was subtracted from flats must be in the same folder.
    raw_frames
        Paths of the available raw files, by file name.

    Raises
    ------
    FrameFileError
        If a file is missing or cannot be read, if the header of the master does not state how it was made, or if its
        frames cannot be combined.
    """
    header = read_header(master)
    names = _inputs(header, master)
    missing = [name for name in names if name not in raw_frames]
    if missing:
        raise FrameFileError(master, f"{len(missing)} of its {len(names)} frames are missing; first: {missing[0]}")
    made = read_master(master)
    overscan = setup_of(header).overscan
    with scratch_folder() as folder:
        frames, refused = open_frames((raw_frames[name] for name in names), folder)
        frames, uncorrected = without_overscan(frames, "none" if overscan is None else overscan.method, folder)
        for error in (*refused, *uncorrected):
            raise error
        clipping = _clipping(header, len(names), master)
        masked: NDArray[np.bool_] | None
        try:
            if header.get("CFSKY") is True:
                stack, masked = _combine_twilight_flats(frames, clipping, _ladder(header, master), folder)
            else:
                combined = combine_frames(frames, clipping, _subtracted(header, master))
                stack, masked = combined.stack, combined.masked
        except (NotOneSetError, NoSignalError, ValueError) as error:
            raise FrameFileError(master, f"its frames cannot be combined into one master: {error}") from error
    is_of_earlier_version = len(names) > 1 and "CFSCA1" not in header
    uncertainty = made.uncertainty if is_of_earlier_version else np.nan_to_num(stack.uncertainty)
    return Recombination(
        stack.frames,
        {
            "mean": _differing(made.mean, stack.mean),
            "uncertainty": _differing(made.uncertainty, uncertainty),
            "counts": _differing(made.counts, stack.counts.astype(np.float32)),
            "mask": _differing(made.masked, masked),
        },
        is_of_earlier_version,
    )


def _subtracted(header: Mapping[str, HeaderValue], master: Path) -> MasterPlanes | None:
    name = header.get("CFSUBTR")
    return None if name is None else read_master(_beside(master, name))


def _ladder(header: Mapping[str, HeaderValue], master: Path) -> DarkLadder:
    """Return the masters between which the dark of each flat was interpolated."""
    rungs = []
    for number in count(1):
        name = header.get(f"CFDARK{number}")
        if name is None:
            break
        path = _beside(master, name)
        rungs.append(Rung(_exposure_s(setup_of(read_header(path)), path), path))
    if not rungs:
        raise FrameFileError(master, "its header does not list the masters that were subtracted")
    return DarkLadder(rungs)


def _beside(master: Path, name: HeaderValue) -> Path:
    return master.with_name(Path(str(name)).name)


def _exposure_s(setup: FrameSetup, path: Path) -> float:
    if setup.exposure_s is None:
        raise FrameFileError(path, "its header does not state the exposure")
    return setup.exposure_s


def _combine_twilight_flats(
    frames: Sequence[RawFrame], clipping: Clipping, ladder: DarkLadder, folder: Path
) -> tuple[Stack, NDArray[np.bool_]]:
    """Combine flats of different exposures: scale a copy of each with the dark of its exposure; stack the copies."""
    setup, encoder = frames[0].setup, FrameEncoder()

    def recipe(exposure_s: float) -> FlatRecipe:
        mean, uncertainty = ladder.at(exposure_s)
        return FlatRecipe(on_pedestal(mean, setup.overscan), uncertainty, setup.mosaic)

    scaled, factors, exposures_s = [], [], []
    for number, frame in enumerate(frames):
        exposures_s.append(_exposure_s(frame.setup, frame.image.path))
        flat = recipe(exposures_s[-1]).scaled(uint16_pixels(frame.image))
        factors.append(flat.factors)
        copy = folder / f"scaled-{number}.fits"
        copy.write_bytes(b"".join(encoder.encode(flat.pixels, [])))
        scaled.append(open_image(copy, folder))
    return recipe(fmean(exposures_s)).response(combine_columns(scaled, clipping), factors)


def _inputs(header: Mapping[str, HeaderValue], master: Path) -> list[str]:
    names, frames = frame_names(header), header.get("STACKCNT")
    if not names or not isinstance(frames, int):
        raise FrameFileError(master, "its header does not list its frames, so this is not a night's master")
    if frames != len(names):
        raise FrameFileError(
            master, f"its header lists {len(names)} of its {frames} frames, so not all of them can be combined again"
        )
    return names


def _clipping(header: Mapping[str, HeaderValue], frames: int, master: Path) -> Clipping:
    """Return the clipping rule with which a master was combined."""
    rule = [header.get(keyword) for keyword in ("CFMETHOD", "CFCENTRE", "CFSTART", "CFTRIM")]
    kappa, floor_adu, iterations = (header.get(keyword) for keyword in ("CFKAPPA", "CFFLOOR", "CFITER"))
    if isinstance(kappa, int | float) and isinstance(floor_adu, int | float) and isinstance(iterations, int):
        for start in ("trimmed", "all"):
            clipping = Clipping(kappa=kappa, start=start, sigma_floor_adu=floor_adu, iterations=iterations)
            if rule == ["sigma-clipped mean", "mean", start, clipping.trimmed(frames)]:
                return clipping
    raise FrameFileError(master, "its header does not state how it was made, so this is not a night's master")


def _differing(one: NDArray[np.generic] | None, other: NDArray[np.generic] | None) -> int:
    """Return the number of pixels whose bits differ between two planes; all pixels if shape or type differ."""
    if one is None or other is None:
        return 0 if one is other else max(plane.size for plane in (one, other) if plane is not None)
    if one.shape != other.shape or one.dtype != other.dtype:
        return max(one.size, other.size)
    bits = f"u{one.dtype.itemsize}"
    return int(np.count_nonzero(one.view(bits) != other.view(bits)))
