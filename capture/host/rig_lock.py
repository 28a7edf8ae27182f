"""One run at a time for each rig: two that drive one camera would spoil each other's frames.

The lock belongs to the kernel (flock(2)), so it ends with its process, however that ends. The file only tells who holds
it; what a dead process wrote there is recognised by the lock that nobody holds. The rig is named by its INDI server,
because that is what two runs with different configurations would share.
"""

import fcntl
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from coldframe.capture.clock import clock_text
from coldframe.config.tables.rig import ServerSettings
from coldframe.errors import ColdframeError

FOLDERS = (Path("/run/lock"), Path("/var/lock"), Path("/tmp"))  # noqa: S108  shared by all users, as the rig is
LONGEST_NOTE_BYTES = 4096

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.-]+")


class RigInUseError(ColdframeError):
    """Another run is using the rig; the text says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a rig.

    Attributes
    ----------
    since
        UTC, ISO 8601.
    """

    process: int
    user: str
    since: str

    @classmethod
    def me(cls) -> "Holder":
        """Return this process."""
        return cls(os.getpid(), _user(), datetime.now(UTC).isoformat(timespec="seconds"))

    def __str__(self) -> str:
        """Say it for people."""
        since = datetime.fromisoformat(self.since)
        age_min = max((datetime.now(UTC) - since).total_seconds(), 0.0) / 60
        return f"process {self.process} of user {self.user}, since {clock_text(since)} ({age_min:.0f} min)"


@contextmanager
def rig_locked(server: ServerSettings) -> Iterator[tuple[str, ...]]:
    """Hold the rig for the length of the block; yield what to tell of a run that died while it held it.

    Raises
    ------
    RigInUseError
        Another run holds it.
    """
    with _locked(lock_path(server), partial(_in_use, server)) as died:
        yield () if died is None else (f"the last run on this rig died without an end: {died}",)


@contextmanager
def listening_locked(server: ServerSettings) -> Iterator[None]:
    """Be the one listener of a rig for the length of the block: two would start two nights.

    Raises
    ------
    RigInUseError
        Another one listens.
    """
    place = f"{server.host}:{server.port}"
    refusal = f"somebody listens for the rig on {place} already: {{}}".format
    with _locked(lock_path(server).with_suffix(".listen"), refusal):
        yield


@contextmanager
def _locked(path: Path, refusal: Callable[[Holder | None], str]) -> Iterator[Holder | None]:
    """Hold a lock for the length of the block; yield who died while holding it."""
    descriptor = _opened(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RigInUseError(refusal(_holder(descriptor))) from None
        died = _holder(descriptor)
        _write(descriptor, json.dumps(asdict(Holder.me())).encode())
        try:
            yield died
        finally:
            _write(descriptor, b"")
    finally:
        os.close(descriptor)


def rig_holder(server: ServerSettings) -> Holder | None:
    """Return who has noted to hold a rig, alive or dead; None where nobody has. The lock itself is left alone."""
    with _read(server) as descriptor:
        return None if descriptor is None else _holder(descriptor)


def rig_in_use(server: ServerSettings) -> str | None:
    """Return what a run would be told that wanted the rig now, None where it is free.

    A lock that nobody has noted to hold is not tried: to try is to hold it for a moment, in which a run that begins
    would be refused.
    """
    with _read(server) as descriptor:
        if descriptor is None or _holder(descriptor) is None:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _in_use(server, _holder(descriptor))
        return None


@contextmanager
def _read(server: ServerSettings) -> Iterator[int | None]:
    """Open the file of a lock for the length of the block; None where there is none."""
    try:
        descriptor = os.open(lock_path(server), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _in_use(server: ServerSettings, holder: Holder | None) -> str:
    return (
        f"the rig on {server.host}:{server.port} is in use by {holder or 'a run that does not tell its name'}. Wait "
        "for its end, or end it with Ctrl-C or kill -TERM: it leaves the rig safe"
    )


def lock_path(server: ServerSettings) -> Path:
    """Return where the lock of a rig is: in a folder that all users share."""
    usable = (folder for folder in FOLDERS if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK))
    folder = next(usable, Path(tempfile.gettempdir()))
    host = "localhost" if server.is_local else _NOT_IN_NAMES.sub("-", server.host.lower())[:64]
    return folder / f"coldframe-{host}-{server.port}.lock"


def _opened(path: Path) -> int:
    """Open the file, of whatever user; a link that somebody has put there is not followed."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        # Without O_CREAT: Linux forbids that for others' files in shared folders (fs.protected_regular).
        return os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o666)
        os.fchmod(descriptor, 0o666)
        return descriptor


def _holder(descriptor: int) -> Holder | None:
    """Return who has written last, None where nobody has, or nobody who can be understood."""
    try:
        told = json.loads(os.pread(descriptor, LONGEST_NOTE_BYTES, 0))
        holder = Holder(int(told["process"]), str(told["user"])[:64], str(told["since"]))
        datetime.fromisoformat(holder.since)
    except (ValueError, TypeError, KeyError):
        return None
    return holder if holder.user.isprintable() else None


def _write(descriptor: int, note: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, note, 0)


def _user() -> str:
    import pwd  # noqa: PLC0415  only Unix has it

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
