"""A check that a frame belongs to the requested exposure, and is not late, repeated or another client's frame."""

import math
from collections import deque
from datetime import UTC, datetime, timedelta

import numpy as np

from coldframe.devices.errors import FrameDamagedError
from coldframe.devices.indi.pixels.blob_channel import Image
from coldframe.devices.indi.pixels.exposure_check import ADVICE

CLOCK_TOLERANCE = timedelta(seconds=1)
"""Tolerance for dates. The delay between a command and the start of the exposure varies, and clocks drift."""

WHOLE_SECONDS = timedelta(seconds=1)
"""Resolution of a date without a fraction of a second. Some drivers truncate dates to whole seconds."""

REMEMBERED = 20
"""Number of recent frames from which the offset of the driver's clock is estimated. Older frames are not used, because
clocks are sometimes set during the night."""

LEAST_OFFSET = timedelta(seconds=1)
"""Smallest offset of the driver's clock that is reported."""

SAMPLED_PIXELS = 1 << 16
"""Approximate number of pixels to compare, in addition to the first row. Comparing all pixels would take too long."""


class FrameIdentity:
    """A comparison of each frame with its command and with the previous frame.

    The driver timestamps each frame, and its clock may be wrong. This also applies to a local server, which may be
    chained to a remote one. Therefore, the difference between the date of a frame and the time of its command is
    compared only with the differences of other frames. An exposure starts after its command, so the smallest recent
    difference is an upper bound on the offset of the driver's clock. A frame with a clearly smaller difference belongs
    to an earlier command.

    Parameters
    ----------
    device
        The camera.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._ahead = deque[timedelta](maxlen=REMEMBERED)
        self._last: datetime | None = None
        self._last_sample = np.empty(0, np.uint16)
        self._offset = timedelta(0)
        self._is_offset_reported = False

    def check(self, image: Image, ordered_at: datetime, latest_start: datetime) -> None:
        """Check that a frame belongs to the exposure commanded at `ordered_at`.

        Parameters
        ----------
        image
            The frame.
        ordered_at, latest_start
            Times between which the exposure started, on this computer's clock.

        Raises
        ------
        FrameDamagedError
            If the frame belongs to a different exposure.
        """
        self._check_date(image, ordered_at)
        self._check_pixels(image)
        self._measure_offset(image, ordered_at, latest_start)

    def clock_remark(self) -> str:
        """Return a remark if the driver's clock is wrong, but only once; otherwise, return an empty string."""
        if self._is_offset_reported or abs(self._offset) < LEAST_OFFSET:
            return ""
        self._is_offset_reported = True
        offset_s = self._offset.total_seconds()
        return (
            f"the driver's clock is {abs(offset_s):.1f} s {'ahead of' if offset_s > 0 else 'behind'} this computer's. "
            "No frames are lost, and this computer's clock timestamps them; synchronise the two clocks"
        )

    def _check_date(self, image: Image, ordered_at: datetime) -> None:
        dated, last = date_of(image), self._last
        # Rejected frames count as well. Otherwise, all later frames would be rejected after a clock has been set back.
        self._last = dated
        if dated is None:
            return
        ahead = dated - ordered_at
        known = min(self._ahead, default=ahead)
        self._ahead.append(ahead)
        # Equal dates prove a repetition only if they are not whole seconds.
        repeated = last is not None and (dated < last or (dated == last and dated.microsecond != 0))
        if repeated or ahead < known - CLOCK_TOLERANCE - _resolution(dated):
            what = f"sent the frame of a different exposure, which started at {dated:%H:%M:%S.%f} UTC"
            raise FrameDamagedError(self._device, what, ADVICE)

    def _measure_offset(self, image: Image, ordered_at: datetime, latest_start: datetime) -> None:
        """Measure how far the date lies outside the interval in which the exposure must have started."""
        if (dated := date_of(image)) is not None:
            behind = dated + _resolution(dated) - ordered_at
            self._offset = max(dated - latest_start, timedelta(0)) or min(behind, timedelta(0))

    def _check_pixels(self, image: Image) -> None:
        """Reject a repetition of the previous frame. Because of noise, only fully saturated frames can be identical."""
        stride = max(1, math.isqrt(image.pixels.size // SAMPLED_PIXELS))
        sample, last = np.concatenate((image.pixels[0], image.pixels[::stride, ::stride].ravel())), self._last_sample
        self._last_sample = sample
        if sample.min() != sample.max() and np.array_equal(sample, last):
            raise FrameDamagedError(self._device, "sent the same frame again", ADVICE)


def _resolution(date: datetime) -> timedelta:
    return timedelta(0) if date.microsecond else WHOLE_SECONDS


def date_of(image: Image) -> datetime | None:
    """Return the start of the exposure in UTC from the driver's header; None if the time of day is missing."""
    text = image.header.get("DATE-OBS")
    if not isinstance(text, str) or "T" not in text:
        return None
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
