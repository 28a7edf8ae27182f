"""Whether a frame is that of the exposure that was ordered, and not a late, a repeated or a foreign one."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np

from coldframe.devices.errors import FrameDamagedError
from coldframe.devices.indi.pixels.blob_channel import Image

CLOCK_TOLERANCE = timedelta(seconds=1)
"""Dates are cut off to whole seconds by some drivers."""

LEARNED_TOLERANCE = timedelta(seconds=2)
"""Another clock is known that well: its dates are cut off, and an order takes now more, now less."""

SAMPLED_PIXELS = 1 << 16
"""Compared from frame to frame, beside the first row: noise makes any so many different, and all would take long."""

ADVICE = "Does another program use the camera?"


class FrameIdentity:
    """Compares each frame with its order and with the frame before, while its clock is the same.

    A frame's date is written by its driver, whose clock may be another machine's. How far that clock is ahead is
    learned from the frames themselves: orders come first, so no true frame is dated earlier than its order by more
    than any true frame before it was.

    Parameters
    ----------
    device
        The camera.
    has_our_clock
        True where the driver runs on this machine.
    """

    def __init__(self, device: str, *, has_our_clock: bool = False) -> None:
        self.has_our_clock = has_our_clock
        self._device = device
        self._ahead = timedelta(0) if has_our_clock else None
        self._tolerance = CLOCK_TOLERANCE if has_our_clock else LEARNED_TOLERANCE
        self._last: datetime | None = None
        self._last_sample = np.empty(0, np.uint16)

    def check(self, image: Image, ordered_at: datetime) -> None:
        """Do nothing if the frame is that of the exposure which was ordered at that moment of our clock.

        Raises
        ------
        FrameDamagedError
            It is another exposure's.
        """
        self._check_date(image, ordered_at)
        self._check_pixels(image)

    def _check_date(self, image: Image, ordered_at: datetime) -> None:
        dated, last = date_of(image), self._last
        # A refused frame's date is kept, too: so a clock that was set back costs one frame, not every one from then on.
        self._last = dated
        if dated is None:
            return
        ahead, known = dated - ordered_at, self._ahead
        if not self.has_our_clock:
            self._ahead = ahead if known is None else min(known, ahead)
        # Equal dates prove a repetition only where they are finer than whole seconds.
        repeated = last is not None and (dated < last or (dated == last and dated.microsecond != 0))
        if repeated or (known is not None and ahead < known - self._tolerance):
            told = f"sent the frame of another exposure, begun at {dated:%H:%M:%S.%f} UTC"
            raise FrameDamagedError(self._device, told, ADVICE)

    def _check_pixels(self, image: Image) -> None:
        """Refuse the very pixels of the frame before; noise makes every frame another, unless it is saturated whole."""
        stride = max(1, math.isqrt(image.pixels.size // SAMPLED_PIXELS))
        sample, last = np.concatenate((image.pixels[0], image.pixels[::stride, ::stride].ravel())), self._last_sample
        self._last_sample = sample
        if sample.min() != sample.max() and np.array_equal(sample, last):
            raise FrameDamagedError(self._device, "sent the same frame again", ADVICE)


def date_of(image: Image) -> datetime | None:
    """Return when the driver says the exposure began, UTC; None where it does not say the time of day."""
    text = image.header.get("DATE-OBS")
    if not isinstance(text, str) or "T" not in text:
        return None
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return None
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)
