"""Compare a master with the latest earlier master that has the same settings, to find dust that has moved."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.image_file import ImageFile, open_image
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.capture.monitoring.report.pixels import block_means
from coldframe.config.frames import FrameKind

SAME_NIGHT = timedelta(hours=12)
COLUMNS = 192
"""Width of the compared maps, in blocks. A block is smaller than a dust shadow."""

LEAST_CHANGE = 0.005
CHANGE_SIGMAS = 8.0
"""Limits that a change must exceed to count as moved dust: a relative change, and a multiple of `Change.scatter`."""

_SMOOTH = 9


@dataclass(frozen=True, slots=True)
class Change:
    """The change in a flat's small structures since an earlier flat.

    Attributes
    ----------
    largest, scatter
        The largest relative change in a block, and the typical scatter of the changes in all blocks.
    column, row
        Position of the largest change, in pixels, counted from 1.
    """

    largest: float
    scatter: float
    column: int
    row: int

    @property
    def is_moved_dust(self) -> bool:
        """True if the change is too large to be noise."""
        return abs(self.largest) > max(LEAST_CHANGE, CHANGE_SIGMAS * self.scatter)


def earlier_master(setup: FrameSetup, library: Mapping[Path, FrameSetup]) -> Path | None:
    """Return the latest of the masters that are from earlier nights and have the settings of tonight's master.

    Parameters
    ----------
    setup
        Setup of tonight's master.
    library
        Setups of the masters of all nights, by path.

    Returns
    -------
    Path | None
        The latest of these masters; None if there is no earlier master with the same settings.
    """
    if setup.taken_at is None:
        return None
    alike = [
        (other.taken_at, path)
        for path, other in library.items()
        if other.taken_at is not None
        and other.taken_at < setup.taken_at - SAME_NIGHT
        and _setting(other) == _setting(setup)
    ]
    return max(alike)[1] if alike else None


def _setting(setup: FrameSetup) -> tuple[object, ...]:
    exposure_s = setup.exposure_s if setup.kind is FrameKind.DARK else None
    size = setup.width, setup.height
    return setup.kind, setup.camera, size, setup.readout, setup.setpoint_c, setup.filter_name, exposure_s


def change_text(kind: FrameKind, path: Path, earlier: Path, night: str) -> str:
    """Describe the change in a master since an earlier night; return an empty text if it cannot be compared.

    Parameters
    ----------
    kind, path
        Tonight's master.
    earlier, night
        The earlier master, and its date.

    Raises
    ------
    FrameFileError, OSError
        If a file cannot be read.
    """
    with scratch_folder() as folder, scratch_folder() as other:
        now, before = open_image(path, folder), open_image(earlier, other)
        if now.shape != before.shape:
            return ""
        if kind is not FrameKind.FLAT:
            rise_adu = float(np.median(block_means(now, COLUMNS)) - np.median(block_means(before, COLUMNS)))
            return f"level {rise_adu:+.2f} ADU since {night}"
        change = change_of(now, before)
    if change is None:
        return ""
    if change.is_moved_dust:
        where = f"column {change.column}, row {change.row}"
        return f"changed by up to {change.largest:+.1%} since {night} (at {where}): dust moved, or the focus changed"
    return f"small structures unchanged since {night} to within {max(abs(change.largest), 1e-4):.1%}"


def change_of(now: ImageFile, before: ImageFile) -> Change | None:
    """Return the change in small structures between two flats; None if they are too small or an area lacks signal."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = block_means(now, COLUMNS) / block_means(before, COLUMNS)
    if min(ratio.shape) < 2 * _SMOOTH or not np.isfinite(ratio).all():
        return None
    residual = ratio / _smoothed(ratio) - 1
    scatter = 1.4826 * float(np.median(np.abs(residual)))
    row, column = np.unravel_index(int(np.argmax(np.abs(residual))), residual.shape)
    side = now.shape[1] / ratio.shape[1]
    return Change(float(residual[row, column]), scatter, int((column + 0.5) * side) + 1, int((row + 0.5) * side) + 1)


def _smoothed(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of the `_SMOOTH` x `_SMOOTH` blocks around each block; the edges are reflected."""
    half = _SMOOTH // 2
    wide = np.pad(plane, half, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (_SMOOTH, _SMOOTH))
    return np.asarray(np.median(windows, axis=(2, 3)), np.float64)
