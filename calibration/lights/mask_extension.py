"""The extension MASK, which is the same in all lights with the same masters and defects."""

from collections.abc import Iterator, Sequence
from threading import Lock

import numpy as np

from coldframe.calibration.defects.files import BadPixels
from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.durable import Buffer
from coldframe.calibration.files.frame_file import extension_pieces
from coldframe.calibration.lights.arithmetic import Correction


class MaskExtension:
    """The extension MASK of calibrated lights; it is encoded once, for the first light.

    Parameters
    ----------
    planes
        The planes of the lights' recipe, which contain the pixels without signal in the flat.
    defects
        The defects; None for none.
    """

    def __init__(self, planes: Correction, defects: BadPixels | None) -> None:
        self._planes, self._defects = planes, defects
        self._encoded: Sequence[Buffer] | None = None
        self._encoding = Lock()

    def pieces(self) -> Sequence[Buffer]:
        """Return the bytes of the extension; none if neither the flat nor a map marks any pixels."""
        with self._encoding:
            if self._encoded is None:
                self._encoded = list(self._encode())
            return self._encoded

    def _encode(self) -> Iterator[Buffer]:
        masked = self._planes.masked
        if masked is None and self._defects is None:
            return
        mask = np.zeros(self._planes.subtracted.shape, np.uint8)
        if masked is not None:
            mask |= masked
        if self._defects is not None:
            mask |= self._defects.bad.view(np.uint8) << 1
        yield from extension_pieces("MASK", mask, [Card("CFBIT0", "no light in the flat"), Card("CFBIT1", "defect")])
