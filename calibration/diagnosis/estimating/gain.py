"""Electrons per ADU, measured from the scatter of a flat's frames, because headers often state only a nominal value."""

from dataclasses import dataclass

import numpy as np

from coldframe.calibration.lights.caveats import flat_level_adu
from coldframe.calibration.masters.reading import MasterPlanes, kept_scatter, sampled_master
from coldframe.calibration.measuring.statistics import central_region

_STEP = 3
"""Step between sampled rows and columns; an odd step covers every colour of a filter array."""

_TRIMMED = (0.001, 0.999)

STATED_ERROR = 0.02
"""Relative error of a gain stated in a header: drivers state the nominal gain of the camera model."""

OTHER_UNITS = 1.5
"""A stated gain that differs from the gain measured from the flat by at least this factor is assumed to refer to other
units, such as steps of a 12-bit ADC before scaling to 16 bits."""

LARGE_DIFFERENCE = 0.05
"""Relative difference between the stated gain and the gain measured from the flat above which not only the flat but
also the header is doubtful."""

CONFIRMED_ERROR = 0.007
"""Smallest relative error that is assumed for a stated gain, however well it agrees with the scatter of the flat."""

MEASURED_ERROR = 0.015
"""Relative error of a gain measured from a flat: bright pixels share charge with their neighbours, which reduces the
scatter by 1 to 2 %."""

UNCHECKED_ERROR = 0.08
"""Relative error of a gain that is known only from a header or only from a flat; a gain from a flat is wrong in
proportion to the pedestal in the flat."""


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain of the camera, and how well it is known.

    Attributes
    ----------
    e_per_adu
        Electrons per ADU.
    relative_error
        Relative error of the gain.
    from_flat
        Electrons per ADU from the scatter of the flat; None if unknown, or if `e_per_adu` itself comes from the flat.
        A pedestal in the flat makes this value too large: a pedestal of 1 % of the flat's level makes it 1 % too large.
    """

    e_per_adu: float
    relative_error: float
    from_flat: float | None = None


def find_gain(
    flat: MasterPlanes | None, dark: MasterPlanes | None, stated_e_per_adu: float | None, period: int = 1
) -> Gain | None:
    """Return the stated gain or, failing that, the gain measured from the flat; None if both are unknown."""
    measured = None if flat is None else _measured(flat, dark, period)
    if measured is not None and stated_e_per_adu and not 1 / OTHER_UNITS < measured / stated_e_per_adu < OTHER_UNITS:
        stated_e_per_adu = None
    if stated_e_per_adu is not None and stated_e_per_adu > 0:
        return Gain(stated_e_per_adu, _stated_error(stated_e_per_adu, measured), measured)
    return None if measured is None else Gain(measured, UNCHECKED_ERROR)


def _stated_error(stated_e_per_adu: float, measured: float | None) -> float:
    """Return the relative error of a stated gain, given the gain measured from the flat.

    A pedestal in the flat or a wrong header can make the two gains differ.
    """
    if measured is None:
        return UNCHECKED_ERROR
    apart = abs(measured / stated_e_per_adu - 1)
    return max(min(apart, STATED_ERROR), CONFIRMED_ERROR, apart / 2 if apart > LARGE_DIFFERENCE else 0.0)


def _measured(flat: MasterPlanes, dark: MasterPlanes | None, period: int) -> float | None:
    """Return the gain from the colour with the smallest relative scatter; the flat's level refers to this colour."""
    level_adu = flat_level_adu(flat.header)
    sampled = sampled_master(flat, _STEP)
    scatter = kept_scatter(sampled)
    if level_adu is None or level_adu <= 0 or not scatter.any():
        return None
    readout_adu2 = 0.0 if dark is None else float(np.median(kept_scatter(sampled_master(dark, _STEP))))
    centre = central_region(flat.mean.shape)
    found = []
    for phase in ((slice(y, None, period), slice(x, None, period)) for y in range(period) for x in range(period)):
        adu_per_response = level_adu / float(np.median(flat.mean[centre][phase]))
        variance = scatter[phase].ravel().astype(np.float64)
        response = sampled.mean[phase].ravel().astype(np.float64)
        low, high = np.quantile(variance, _TRIMMED)
        kept = (variance >= low) & (variance <= high)
        photon_adu2 = float(variance[kept].mean()) * adu_per_response**2 - readout_adu2
        if photon_adu2 > 0:
            found.append((float(variance[kept].mean()), float(response[kept].mean()) * adu_per_response / photon_adu2))
    return min(found)[1] if found else None


def excess_of_uncertainty(master: MasterPlanes | None) -> float:
    """Return the mean squared error of a master's pixels, relative to the mean of their squared uncertainties.

    The uncertainties allow for the error of the scatter from which they are derived, so their squares are too large on
    average; see `stacking.uncertainty`. The result is 1 if the scatter of the frames is unknown.
    """
    if master is None or master.counts is None:
        return 1.0
    sampled = sampled_master(master, _STEP)
    assert sampled.counts is not None
    squares = np.square(sampled.uncertainty.astype(np.float64))
    scatter = kept_scatter(sampled) / np.maximum(sampled.counts, 1)
    ordinary = squares <= np.quantile(squares, _TRIMMED[1])
    return float(scatter[ordinary].mean() / squares[ordinary].mean()) if squares[ordinary].any() else 1.0
