"""The error for a file that cannot be read, in a module of its own so that reading headers does not need NumPy."""

from pathlib import Path

from coldframe.errors import ColdframeError
from coldframe.visible import visible


class FrameFileError(ColdframeError):
    """A file, or a frame in memory, is not a readable FITS image.

    Attributes
    ----------
    path
        The file, or a name for the bytes.
    what
        The fault.
    """

    def __init__(self, path: Path | str, what: str) -> None:
        super().__init__(visible(f"{path}: {what}"))
        self.path = path
        self.what = visible(what)

    def __reduce__(self) -> tuple[type["FrameFileError"], tuple[Path | str, str]]:
        # By default, pickle rebuilds an exception from its message alone, which fails because __init__ takes two
        # arguments.
        return type(self), (self.path, self.what)
