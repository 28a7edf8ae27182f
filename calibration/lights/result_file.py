"""The file of a calibrated light: each band is written as soon as it is calibrated, and the headers last."""

from collections.abc import Mapping, Sequence

import numpy as np

from coldframe.calibration.files.cards import Card, HeaderValue
from coldframe.calibration.files.durable import NewFile
from coldframe.calibration.lights.bands import (
    PEDESTAL_STEP_ADU,
    Counts,
    Method,
    calibrated_bands,
    lowest_signal,
    pedestal_for,
)
from coldframe.calibration.lights.image_writer import ImageWriter
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
        Level to add. If it is None, nothing is added to floating-point results; a level that keeps the pixels above
        zero is added to integers.
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
        # Hardly any light needs more than the smallest pedestal, so this pedestal is tried before the lowest signal is
        # known.
        if not self._write(pixels, method, keeps_all=chooses):
            self.pedestal_adu = pedestal_for(lowest_signal(pixels, method))
            self._write(pixels, method, keeps_all=False)

    def _write(self, pixels: LightPixels, method: Method, *, keeps_all: bool) -> bool:
        """Write all rows; if `keeps_all` is True, stop and return False if the pedestal is too small."""
        self.counts = Counts()
        self._light = ImageWriter(self._file, 0, pixels.shape, method.kind, self._cards)
        self._uncertainty = None
        if method.photons is not None:
            self._uncertainty = ImageWriter(
                self._file, self._light.end, pixels.shape, np.float32, _OF_UNCERTAINTY, name="UNCERT"
            )
        for first, rows in calibrated_bands(pixels, method, self.pedestal_adu, self.counts):
            if keeps_all and self.counts.lower:
                return False
            self._light.write(first, rows.signal)
            if self._uncertainty is not None and rows.uncertainty is not None:
                self._uncertainty.write(first, rows.uncertainty)
        return True

    def finish(self, values: Mapping[str, HeaderValue], mask: MaskExtension) -> None:
        """Write the headers, with values that were not known before, and the mask if there is an uncertainty."""
        self._light.finish([card._replace(value=values.get(card.keyword, card.value)) for card in self._cards])
        if self._uncertainty is not None:
            self._uncertainty.finish(_OF_UNCERTAINTY)
            start = self._uncertainty.end
            for piece in mask.pieces():
                self._file.write(piece, start)
                start += len(piece)
