"""Files of machine code, in a folder beside the kernels or in the user's cache folder.

The files can be deleted at any time. A file is used only if no other user could have written it, if it is intact, and
if it was made from the same kernel, for the same types, processor and versions.
"""

import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import NamedTuple

from coldframe.calibration.kernels.machine_code.loading import MachineCode
from coldframe.private_files import read_private, user_caches, write_private

FORMAT = 1
"""Version of the format and of the way in which kernels are compiled."""

MOST_BYTES = 16 << 20
"""Maximum size of a file, in bytes; the largest kernel takes 0.1 MB."""

FOLDER_VARIABLE = "NUMBA_CACHE_DIR"
"""Environment variable with which users of Numba choose the folder of its machine code."""

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

log = logging.getLogger(__name__)


class Identity(NamedTuple):
    """Everything on which the validity of machine code depends.

    Attributes
    ----------
    kernel
        Module and name of the kernel.
    signature
        Types of the arguments.
    host
        Digest of the processor and the versions; see `host.host`.
    fingerprint
        Fingerprint of the kernel; see `fingerprint.fingerprint`.
    """

    kernel: str
    signature: str
    host: str
    fingerprint: str

    @property
    def file_name(self) -> str:
        """Name of the file; the code of a changed kernel replaces the former code."""
        name = hashlib.blake2b("\0".join(self[:-1]).encode(), digest_size=16).hexdigest()
        return f"{self.kernel.rpartition('.')[2]}.{name}.{FORMAT}.code"


def find(identity: Identity) -> MachineCode | None:
    """Return the machine code with this identity; None if it is not stored."""
    for folder in folders():
        with suppress(OSError):
            _require_private(folder)
            code = _decoded(read_private(folder / identity.file_name, MOST_BYTES), identity)
            if code is not None:
                return code
    return None


def keep(identity: Identity, code: MachineCode) -> None:
    """Write machine code to the first suitable folder; if no folder is suitable, log a warning.

    Without a file, the kernel still works, but is compiled again at the next start.
    """
    faults = []
    content = _encoded(code, identity)
    for folder in folders():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _require_private(folder)
            write_private(folder / identity.file_name, content)
        except OSError as error:
            faults.append(f"{folder}: {error.strerror or error}")
        else:
            return
    _report("; ".join(faults))


def folders() -> Iterator[Path]:
    """Return the folders for machine code, in order of preference."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        yield Path(chosen) / "coldframe"
        return
    beside = _folder_beside_modules()
    if beside is not None:
        yield beside
    caches = user_caches()
    if caches is not None:
        yield caches / "kernels"


def _folder_beside_modules() -> Path | None:
    """Return the folder within Python's own folder of compiled modules; None if it belongs to another user.

    Root must not leave a folder in the installation of another user, who could then not remove it.
    """
    try:
        folder = Path(cache_from_source(__file__)).parent / "kernels"
        owner = Path(__file__).stat().st_uid
    except (NotImplementedError, OSError):  # a Python that keeps no compiled modules, or modules in an archive
        return None
    return folder if owner == os.geteuid() else None


def _require_private(folder: Path) -> None:
    status = folder.stat()
    if status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS:
        raise PermissionError("other users can write to it")


@cache
def _report(faults: str) -> None:
    log.warning("the compiled kernels cannot be stored, so they must be compiled again at the next start (%s)", faults)


def _encoded(code: MachineCode, identity: Identity) -> bytes:
    about = {"identity": identity, "function": code.function, "environment": code.environment}
    body = json.dumps(about).encode("ascii") + b"\n" + code.content
    return _digest(body) + b"\n" + body


def _decoded(content: bytes, identity: Identity) -> MachineCode | None:
    digest, _, body = content.partition(b"\n")
    if digest != _digest(body):
        return None
    about, _, code = body.partition(b"\n")
    try:
        title = json.loads(about)
        if title["identity"] != list(identity):
            return None
        return MachineCode(title["function"], title["environment"], code)
    except (ValueError, KeyError, TypeError):
        return None


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).hexdigest().encode("ascii")
