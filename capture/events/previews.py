"""Define the event that carries the preview of a frame. This event is shown, but not journalled."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.measuring.statistics import FrameMeasurement
from coldframe.capture.events.kinds import Event


@dataclass(frozen=True, slots=True, eq=False)
class FrameShown(Event):
    """A preview of the latest frame, for display. Previews are not written to the journal.

    Attributes
    ----------
    picture
        Stretched thumbnail, shape (rows, columns), uint8, at most 64 x 96.
    histogram
        Number of pixels in each of 128 equal bins, int64.
    first_adu, bin_adu
        Lowest level of the first bin, and number of levels in a bin. By default, the bins cover 0 to 65,535 ADU.
    """

    title: str
    picture: NDArray[np.uint8]
    histogram: NDArray[np.int64]
    first_adu: int = 0
    bin_adu: int = 512


def preview_event(at: datetime, title: str, picture: NDArray[np.uint8], measured: FrameMeasurement) -> FrameShown:
    """Return the preview of a measured frame, with its histogram.

    Parameters
    ----------
    at
        Time of the event.
    title
        Title of the frame.
    picture
        Stretched thumbnail: uint8, shape (rows, columns).
    measured
        Measurement of the frame.
    """
    shown = measured.histogram()
    return FrameShown(at, title, picture, shown.counts, shown.first_adu, shown.bin_adu)
