"""The file of a calibrated light: the bands of its images are written as soon as they are calibrated, the headers last."""

from collections.abc import Mapping, Sequence

import numpy as np

from coldframe.calibration.files.cards import Card, HeaderValue
from coldframe.calibration.files.durable import NewFile
from coldframe.calibration.files.frame_file import ImageWriter
from coldframe.calibration.lights.bands import (
    PEDESTAL_STEP_ADU,
    Counts,
    Method,
    calibrated_bands,
    lowest_signal,
    pedestal_for,
)
from coldframe.calibration.lights.mask_extension import MaskExtension
from coldframe.calibration.lights.pixels import LightPixels

_OF_UNCERTAINTY = (Card("BUNIT", "adu", "unit of the pixels"),)


class ResultFile:
    """The file of a calibrated light, with all its rows, but without the headers.

    Attributes
    ----------
    pedestal_adu
        The level that was added to every pixel.
    counts
        Numbers of pixels.

    Parameters
    ----------
    file
        The new file.
    pixels, method
        The raw light, and how to calibrate it.
    pedestal_adu
        Level to add; None adds nothing to floats; to integers, it adds a level that keeps the pixels above zero.
    cards
        The cards of the first header; values that are not known yet are zero or empty.
    """

    def __init__(
        self,
        file: NewFile,
        pixels: LightPixels,
        method: Method,
        pedestal_adu: float | None,
        cards: Sequence[Card],
    ) -> None:
        self._file, self._cards = file, cards
        chooses = pedestal_adu is None and method.kind is np.uint16
        self.pedestal_adu = PEDESTAL_STEP_ADU if chooses else pedestal_adu or 0
        # Hardly any light needs more than the smallest pedestal, so this one is tried before the lowest signal is known.
        if not self._write(pixels, method, keeps_all=chooses):
            self.pedestal_adu = pedestal_for(lowest_signal(pixels, method))
            self._write(pixels, method, keeps_all=False)

    def _write(self, pixels: LightPixels, method: Method, *, keeps_all: bool) -> bool:
        """Write all rows; if `keeps_all` is True, stop and return False if the pedestal is too small."""
        self.counts = Counts()
        self._images = [ImageWriter(self._file, 0, pixels.shape, method.kind, self._cards)]
        if method.photons is not None:
            end = self._images[0].end
            self._images.append(ImageWriter(self._file, end, pixels.shape, np.float32, _OF_UNCERTAINTY, "UNCERT"))
        for first, planes in calibrated_bands(pixels, method, self.pedestal_adu, self.counts):
            if keeps_all and self.counts.lower:
                return False
            for image, rows in zip(self._images, planes, strict=True):
                image.write(first, rows)
        return True

    def finish(self, values: Mapping[str, HeaderValue], mask: MaskExtension) -> None:
        """Write the headers, with values that were not known before, and the mask if there is an uncertainty."""
        light, *uncertainty = self._images
        light.finish([card._replace(value=values.get(card.keyword, card.value)) for card in self._cards])
        for image in uncertainty:
            image.finish(_OF_UNCERTAINTY)
            start: int | None = image.end
            for piece in mask.pieces():
                self._file.write(piece, start)
                start = None
