"""A disk that loses unflushed data when its power is cut, and whose calls can be made to fail.

The files are on the real file system below one folder, and the calls of `os` that change them are watched. As in POSIX,
the bytes of a file are safe once the file has been flushed. The name of a file or folder is safe once the folder that
contains it has been flushed.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

PLENTY_BLOCKS = 1 << 30
"""Free blocks on the simulated disk, regardless of the real disk."""

THROWN_AWAY = ("index.sqlite",)
"""Files that coldframe may delete and build again."""

OPERATIONS = ("open", "write", "fsync", "link", "replace", "rename", "unlink", "mkdir", "statvfs")


@dataclass(slots=True)
class DiskFault:
    """A fault of the disk, in which some calls of one kind fail.

    Attributes
    ----------
    operation
        One of "create", "write", "flush-file", "flush-folder", "link", "room".
    error
        Error number. It is ignored for "room", which makes the disk report no free space.
    first, times
        Number of the first call that fails, and number of calls that fail.
    calls, met
        Number of calls so far, and number of calls that have failed.
    """

    operation: str
    error: int
    first: int
    times: int
    calls: int = 0
    met: int = 0

    def strikes(self) -> bool:
        self.calls += 1
        struck = self.first <= self.calls < self.first + self.times
        self.met += struck
        return struck


@dataclass
class SimulatedDisk:
    """The simulated disk, which consists of all files below a folder while it is `watched`.

    Attributes
    ----------
    root
        Folder of the disk. Files that exist when watching starts are safe.
    faults
        Faults of the disk.
    removed
        Names that were safe, and were then deleted or overwritten.
    """

    root: Path
    faults: list[DiskFault] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    _real: dict[str, Callable[..., Any]] = field(default_factory=dict)
    _inodes: dict[int, int] = field(
        default_factory=dict
    )  # inode number on the file system -> our number, which is never reused
    _count: int = 0
    _flushed: dict[int, bytes] = field(default_factory=dict)
    _names: dict[str, dict[str, int]] = field(default_factory=dict)  # names in each folder when it was last flushed
    _safe: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def watched(self) -> Iterator["SimulatedDisk"]:
        """Watch the calls of this process for the duration of the block."""
        self._real = {name: getattr(os, name) for name in OPERATIONS}
        self._note_all()
        for name in OPERATIONS:
            setattr(os, name, getattr(self, f"_{name}"))
        try:
            yield self
        finally:
            for name, call in self._real.items():
                setattr(os, name, call)

    def missing(self) -> list[str]:
        """Return one sentence for each safe file that is missing or has changed."""
        wrong = [f"{path} was deleted" for path in self.removed]
        for path, inode in self._safe.items():
            try:
                now = Path(path).read_bytes()
            except OSError as error:
                wrong.append(f"{path} is gone: {error}")
                continue
            flushed = self._flushed[inode]
            # A journal may grow. No other file may change.
            if now != flushed and not (path.endswith(".jsonl") and now.startswith(flushed)):
                wrong.append(f"{path} has other bytes than were flushed")
        return wrong

    def power_cut(self, random: Random) -> None:
        """Cut the power. Unflushed data below the root is randomly kept, torn or removed."""
        self._cut(str(self.root), random)

    def _cut(self, folder: str, random: Random) -> None:
        kept = self._names.get(folder, {})
        entries = {entry.name: entry for entry in os.scandir(folder)}
        for name, entry in entries.items():
            if kept.get(name) == self._inode(entry.stat(follow_symlinks=False)) or random.random() < 0.5:
                self._tear(entry, random)
            elif entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink()
        for name, inode in kept.items():
            path = Path(folder, name)
            if not path.exists() and inode in self._flushed:
                path.write_bytes(self._flushed[inode])

    def _tear(self, entry: os.DirEntry[str], random: Random) -> None:
        if entry.is_dir(follow_symlinks=False):
            self._cut(entry.path, random)
            return
        now, flushed = Path(entry.path).read_bytes(), self._flushed.get(self._inode(entry.stat()), b"")
        if now == flushed:
            return
        # Data appended since the flush may be kept in part, or its blocks may contain zeros.
        length = random.randint(len(flushed), max(len(now), len(flushed)))
        torn = flushed + now[len(flushed) : length] if now.startswith(flushed) else now[:length]
        Path(entry.path).write_bytes(torn if random.random() < 0.7 else torn + bytes(length % 4096))

    # ---- the flushed state ----

    def _note_all(self) -> None:
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name)
                self._flushed[self._inode(path.stat())] = path.read_bytes()
            self._note_folder(folder)
        self._safe.clear()  # files from before may be replaced

    def _note_folder(self, folder: str) -> None:
        self._names[folder] = {}
        for entry in os.scandir(folder):
            inode = self._inode(entry.stat(follow_symlinks=False))
            self._names[folder][entry.name] = inode
            if inode in self._flushed and not entry.name.startswith((".", *THROWN_AWAY)):
                self._safe[entry.path] = inode

    def _inode(self, status: os.stat_result) -> int:
        return self._inodes.setdefault(status.st_ino, self._new())

    def _new(self) -> int:
        self._count += 1
        return self._count

    def _has(self, path: Any) -> bool:
        return isinstance(path, str | Path) and Path(path).is_relative_to(self.root)

    def _path_of(self, descriptor: int) -> str | None:
        try:
            path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        except OSError:
            return None
        return path if self._has(path) else None

    def _fail(self, operation: str, path: Any) -> None:
        for fault in self.faults:
            if fault.operation == operation and fault.strikes():
                raise OSError(fault.error, os.strerror(fault.error), str(path))

    # ---- the calls ----

    def _open(self, path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        creates = bool(flags & os.O_CREAT) and self._has(path)
        if creates:
            self._fail("create", path)
        descriptor: int = self._real["open"](path, flags, *args, **kwargs)
        if creates and flags & os.O_EXCL:
            self._inodes[os.fstat(descriptor).st_ino] = self._new()
        return descriptor

    def _write(self, descriptor: int, data: Any) -> int:
        if any(fault.operation == "write" for fault in self.faults) and (path := self._path_of(descriptor)):
            self._fail("write", path)
        count: int = self._real["write"](descriptor, data)
        return count

    def _fsync(self, descriptor: int) -> None:
        path = self._path_of(descriptor)
        if path is None:
            self._real["fsync"](descriptor)
        elif stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self._fail("flush-folder", path)
            self._note_folder(path)
        else:
            self._fail("flush-file", path)
            self._flushed[self._inode(os.fstat(descriptor))] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

    def _link(self, source: Any, path: Any, **kwargs: Any) -> None:
        if self._has(path):
            self._fail("link", path)
        self._real["link"](source, path, **kwargs)

    def _replace(self, source: Any, path: Any, **kwargs: Any) -> None:
        self._forget(path)
        self._real["replace"](source, path, **kwargs)
        self._moved(str(source), str(path))

    def _rename(self, source: Any, path: Any, **kwargs: Any) -> None:
        if self._has(path) and str(path) in self._safe:
            self.removed.append(f"{path} (overwritten)")
        self._real["rename"](source, path, **kwargs)
        self._moved(str(source), str(path))

    def _moved(self, source: str, path: str) -> None:
        self._safe.pop(path, None)
        if source in self._safe:
            self._safe[path] = self._safe.pop(source)

    def _forget(self, path: Any) -> None:
        """Forget a file that loses its last name, because the file system may reuse its inode number."""
        if self._has(path) and os.path.lexists(path) and (status := Path(path).lstat()).st_nlink == 1:
            self._inodes.pop(status.st_ino, None)

    def _unlink(self, path: Any, **kwargs: Any) -> None:
        self._forget(path)
        self._real["unlink"](path, **kwargs)
        if self._safe.pop(str(path), None) is not None:
            self.removed.append(str(path))

    def _mkdir(self, path: Any, *args: Any, **kwargs: Any) -> None:
        if self._has(path) and not Path(path).exists():
            self._fail("create", path)
        self._real["mkdir"](path, *args, **kwargs)
        if self._has(path):
            self._inodes[Path(path).stat().st_ino] = self._new()

    def _statvfs(self, path: Any) -> os.statvfs_result:
        fields = list(self._real["statvfs"](path))
        fields[4] = PLENTY_BLOCKS
        try:
            self._fail("room", path)
        except OSError:
            fields[4] = 0
        return os.statvfs_result(fields)
