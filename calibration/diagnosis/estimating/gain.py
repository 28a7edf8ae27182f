"""Electrons per ADU from the scatter of the frames of a flat, which headers often state only nominally."""

from dataclasses import dataclass

import numpy as np

from coldframe.calibration.lights.caveats import flat_level_adu
from coldframe.calibration.masters.reading import MasterPlanes

_STEP = 3
"""Step of the sampled rows and columns; an odd step covers every colour of a filter array."""

_TRIMMED = (0.001, 0.999)

MEASURED_ERROR = 0.01
"""Relative error of a measured gain: bright pixels share charge, which reduces their scatter by 1 to 2 %."""

STATED_ERROR = 0.05
"""Relative error of a gain that only a header states."""


@dataclass(frozen=True, slots=True)
class Gain:
    """A gain.

    Attributes
    ----------
    e_per_adu
        Electrons per ADU.
    relative_error
        Its relative error.
    """

    e_per_adu: float
    relative_error: float


def find_gain(flat: MasterPlanes | None, dark: MasterPlanes | None, stated_e_per_adu: float | None) -> Gain | None:
    """Return the gain from the flat if its frames are known, otherwise the stated one; None if both are unknown."""
    measured = None if flat is None else _measured(flat, dark)
    if measured is not None:
        return Gain(measured, MEASURED_ERROR)
    return None if stated_e_per_adu is None else Gain(stated_e_per_adu, STATED_ERROR)


def _measured(flat: MasterPlanes, dark: MasterPlanes | None) -> float | None:
    level_adu = flat_level_adu(flat.header)
    cut = (slice(None, None, _STEP), slice(None, None, _STEP))
    variance = flat.frame_variance[cut].ravel().astype(np.float64)
    if level_adu is None or level_adu <= 0 or not variance.any():
        return None
    response = flat.mean[cut].ravel().astype(np.float64)
    low, high = np.quantile(variance, _TRIMMED)
    kept = (variance >= low) & (variance <= high)
    readout_adu2 = 0.0 if dark is None else float(np.median(dark.frame_variance[cut]))
    photon_adu2 = float(variance[kept].mean()) * level_adu**2 - readout_adu2
    return float(response[kept].mean()) * level_adu / photon_adu2 if photon_adu2 > 0 else None
