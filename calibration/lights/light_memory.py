"""Memory that the lights of a group use one after the other."""

from collections.abc import Callable, Iterable, Sequence
from threading import Lock

from coldframe.calibration.files.durable import Buffer
from coldframe.calibration.memory import ThreadMemory


class LightMemory:
    """Memory for lights with the same masters and defects.

    Attributes
    ----------
    pixels, uncertainty
        Memory for the planes of a light; each thread has its own memory.
    """

    def __init__(self) -> None:
        self.pixels = ThreadMemory()
        self.uncertainty = ThreadMemory()
        self._mask: Sequence[Buffer] | None = None
        self._making = Lock()

    def mask_extension(self, make: Callable[[], Iterable[Buffer]]) -> Sequence[Buffer]:
        """Return the extension MASK, which is the same in all lights; `make` is called for the first light."""
        with self._making:
            if self._mask is None:
                self._mask = list(make())
            return self._mask
