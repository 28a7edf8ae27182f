"""Lock a rig against a second run, because two runs on one camera would spoil each other's frames.

The kernel keeps the lock (flock(2)) and releases it when the process ends, even after a crash. The content of the lock
file only names the holder; if no process holds the lock, the content was left by a process that died. The file is named
after the INDI server, because two runs with different configurations can share one server.
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

FOLDERS = (Path("/run/lock"), Path("/var/lock"), Path("/tmp"))  # noqa: S108  all users share these folders and the rig
LONGEST_NOTE_BYTES = 4096

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.-]+")


class RigInUseError(ColdframeError):
    """Another run is using the rig."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds the lock on a rig.

    Attributes
    ----------
    since
        Time at which the process locked the rig, in UTC and in ISO 8601 format.
    """

    process: int
    user: str
    since: str

    @classmethod
    def me(cls) -> "Holder":
        """Return a holder that describes this process."""
        return cls(os.getpid(), _user(), datetime.now(UTC).isoformat(timespec="seconds"))

    def __str__(self) -> str:
        """Return the holder as text for messages."""
        since = datetime.fromisoformat(self.since)
        age_min = max((datetime.now(UTC) - since).total_seconds(), 0.0) / 60
        return f"process {self.process} of user {self.user}, since {clock_text(since)} ({age_min:.0f} min)"


@contextmanager
def rig_locked(server: ServerSettings) -> Iterator[tuple[str, ...]]:
    """Lock the rig while the block runs. Yield notes about a run that died while it held the lock.

    Raises
    ------
    RigInUseError
        If another run holds the lock.
    """
    with _locked(lock_path(server), partial(_in_use, server)) as died:
        yield () if died is None else (f"the last run on this rig died without ending its night: {died}",)


@contextmanager
def listening_locked(server: ServerSettings) -> Iterator[None]:
    """Lock out other listeners for the rig while the block runs, because two listeners would start two nights.

    Raises
    ------
    RigInUseError
        If another listener is running.
    """
    place = f"{server.host}:{server.port}"
    refusal = f"another listener is running for the rig on {place}: {{}}".format
    with _locked(lock_path(server).with_suffix(".listen"), refusal):
        yield


@contextmanager
def _locked(path: Path, refusal: Callable[[Holder | None], str]) -> Iterator[Holder | None]:
    """Hold the lock while the block runs. Yield the former holder if it died while holding the lock, or None."""
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
    """Return the holder named in the rig's lock file, or None. The holder may no longer hold the lock."""
    with _read(server) as descriptor:
        return None if descriptor is None else _holder(descriptor)


def rig_in_use(server: ServerSettings) -> str | None:
    """Return the reason why a run cannot lock the rig now, or None if the rig is free.

    If the lock file names no holder, no attempt is made to acquire the lock, because an attempt would lock out a run
    that starts at that moment.
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
    """Open the rig's lock file while the block runs; yield None if there is no such file."""
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
        f"the rig on {server.host}:{server.port} is in use by {holder or 'an unknown run'}. Wait "
        "until that run ends, or end it with Ctrl-C or kill -TERM, which leaves the rig safe"
    )


def lock_path(server: ServerSettings) -> Path:
    """Return the path of a rig's lock file, in a folder that all users share."""
    usable = (folder for folder in FOLDERS if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK))
    folder = next(usable, Path(tempfile.gettempdir()))
    host = "localhost" if server.is_local else _NOT_IN_NAMES.sub("-", server.host.lower())[:64]
    return folder / f"coldframe-{host}-{server.port}.lock"


def _opened(path: Path) -> int:
    """Open the lock file, which any user may own, without following links."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        # Linux forbids O_CREAT for files of other users in shared folders (fs.protected_regular).
        return os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o666)
        os.fchmod(descriptor, 0o666)
        return descriptor


def _holder(descriptor: int) -> Holder | None:
    """Return the holder named in the lock file, or None if coldframe wrote no holder there."""
    try:
        note = json.loads(os.pread(descriptor, LONGEST_NOTE_BYTES, 0))
        holder = Holder(int(note["process"]), str(note["user"])[:64], str(note["since"]))
        datetime.fromisoformat(holder.since)
    except (ValueError, TypeError, KeyError):
        return None
    return holder if holder.user.isprintable() else None


def _write(descriptor: int, note: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, note, 0)


def _user() -> str:
    import pwd  # noqa: PLC0415  only Unix has this module

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
