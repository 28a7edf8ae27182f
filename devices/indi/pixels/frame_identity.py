"""A check that a frame belongs to the requested exposure, and is not late, repeated or foreign."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np

from coldframe.devices.errors import FrameDamagedError
from coldframe.devices.indi.pixels.blob_channel import Image

CLOCK_TOLERANCE = timedelta(seconds=1)
"""Some drivers truncate dates to whole seconds."""

LEARNED_TOLERANCE = timedelta(seconds=2)
"""Uncertainty of a remote clock. Its dates may be truncated, and the delay of a command varies."""

SAMPLED_PIXELS = 1 << 16
"""Number of pixels to compare, in addition to the first row. Comparing all pixels would take too long."""

ADVICE = "Does another program use the camera?"


class FrameIdentity:
    """A comparison of each frame with its command and with the previous frame.

    The driver dates each frame, possibly with the clock of a different machine. The offset of that clock is estimated
    from the frames. An exposure starts after its command, so the smallest difference so far between the date of a frame
    and the time of its command is an upper bound of the offset. A frame with a clearly smaller difference belongs to an
    earlier command.

    Parameters
    ----------
    device
        The camera.
    has_our_clock
        True if the driver runs on this machine, so that the offset is zero.
    """

    def __init__(self, device: str, *, has_our_clock: bool = False) -> None:
        self.has_our_clock = has_our_clock
        self._device = device
        self._ahead = timedelta(0) if has_our_clock else None
        self._tolerance = CLOCK_TOLERANCE if has_our_clock else LEARNED_TOLERANCE
        self._last: datetime | None = None
        self._last_sample = np.empty(0, np.uint16)

    def check(self, image: Image, ordered_at: datetime) -> None:
        """Check that a frame belongs to the exposure that was commanded at `ordered_at` on our clock.

        Raises
        ------
        FrameDamagedError
            If the frame belongs to a different exposure.
        """
        self._check_date(image, ordered_at)
        self._check_pixels(image)

    def _check_date(self, image: Image, ordered_at: datetime) -> None:
        dated, last = date_of(image), self._last
        # The date of a refused frame also counts. Otherwise a clock that is set back would cost all later frames.
        self._last = dated
        if dated is None:
            return
        ahead, known = dated - ordered_at, self._ahead
        if not self.has_our_clock:
            self._ahead = ahead if known is None else min(known, ahead)
        # Equal dates prove a repetition only if they are not whole seconds.
        repeated = last is not None and (dated < last or (dated == last and dated.microsecond != 0))
        if repeated or (known is not None and ahead < known - self._tolerance):
            what = f"sent the frame of a different exposure, which started at {dated:%H:%M:%S.%f} UTC"
            raise FrameDamagedError(self._device, what, ADVICE)

    def _check_pixels(self, image: Image) -> None:
        """Refuse the pixels of the previous frame. Because of noise, only fully saturated frames can be equal."""
        stride = max(1, math.isqrt(image.pixels.size // SAMPLED_PIXELS))
        sample, last = np.concatenate((image.pixels[0], image.pixels[::stride, ::stride].ravel())), self._last_sample
        self._last_sample = sample
        if sample.min() != sample.max() and np.array_equal(sample, last):
            raise FrameDamagedError(self._device, "sent the same frame again", ADVICE)


def date_of(image: Image) -> datetime | None:
    """Return the start of the exposure in UTC from the driver's header; None if it has no time of day."""
    text = image.header.get("DATE-OBS")
    if not isinstance(text, str) or "T" not in text:
        return None
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
