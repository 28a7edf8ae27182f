"""The stamp of a file, which shows whether the file has been changed or replaced."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

SETTLED_NS = 2_000_000_000
"""Age of a file's last change, in nanoseconds, above which any further change shows in the file's times: FAT counts
modification times in steps of 2 s."""

COARSE_NS = 10_000_000
"""Resolution of file times on exFAT, in nanoseconds; the resolution is 1 s on sshfs and 2 s on FAT."""


class Stamp(NamedTuple):
    """Properties that the file system records for a file and that differ once the file is changed or replaced."""

    size: int
    modified_ns: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Stamp | None":
        """Return the stamp of a file; None if the path does not lead to a regular file."""
        try:
            status = os.stat(path)  # noqa: PTH116 - twice as fast as Path.stat
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return cls.of_status(status)

    @classmethod
    def of_status(cls, status: os.stat_result) -> "Stamp":
        """Return the stamp of a file from its status."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def is_still(self, later: "Stamp") -> bool:
        """Return True if a later stamp of the same path shows neither a change nor a different file.

        If the times are coarse, as on FAT, exFAT and sshfs, inodes are not compared: these file systems number a file
        anew when it leaves the cache.
        """
        if self.identifies or later.identifies:
            return self == later
        return (self.size, self.modified_ns) == (later.size, later.modified_ns)

    def is_settled(self, now_ns: int) -> bool:
        """Return True if a further change to the file would change the stamp, despite the resolution of file times."""
        return now_ns - max(self.modified_ns, self.changed_ns) > SETTLED_NS

    @property
    def identifies(self) -> bool:
        """True if the file system records times so finely that two files do not have equal stamps by chance.

        FAT, exFAT and sshfs number inodes anew with each mount. Two cards from twin rigs, used one after the other,
        could therefore have files with equal names, sizes, inodes and times.
        """
        return any(time_ns % COARSE_NS for time_ns in (self.modified_ns, self.changed_ns))
