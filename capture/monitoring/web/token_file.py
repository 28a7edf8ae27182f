"""The file that contains the token required for commands from a browser. Only the user may read the file."""

import base64
import os
import secrets
import stat
from pathlib import Path

from coldframe.errors import ColdframeError

TOKEN_BYTES = 15
"""Number of random bytes in a new token. They yield 24 characters, which a user has to type on a phone only once."""

SHORTEST, LONGEST = 16, 200
"""Limits on the length of a token, in characters."""


class TokenFileError(ColdframeError):
    """The file cannot be used. The error message is one line for the user."""


def read_token(path: Path) -> str:
    """Return the token in a file. If there is no file, first create it with a random token.

    Raises
    ------
    TokenFileError
        If the file cannot be created or read, can be read or changed by other users, or contains no valid token.
    """
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            _create(path)
            return _read(path)
    except OSError as error:
        raise TokenFileError(f"{path}: the token file cannot be read: {error.strerror or error}") from error


def _create(path: Path) -> None:
    try:
        _write(path)
    except OSError as error:
        raise TokenFileError(f"{path}: the token file cannot be created: {error.strerror or error}") from error


def _write(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return  # another process has created the file in the meantime
    letters = base64.b32encode(secrets.token_bytes(TOKEN_BYTES)).decode("ascii").lower()
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{'-'.join(letters[at : at + 4] for at in range(0, len(letters), 4))}\n")


def _read(path: Path) -> str:
    # O_NONBLOCK: opening a FIFO must not wait for its other end.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise TokenFileError(f"{path} is not a regular file; move it away, and coldframe will create a new token")
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o077:
            raise TokenFileError(f"{path}: other users can read or change this token; delete the file to get a new one")
        content = file.read(LONGEST + 2)
    token = content.partition(b"\n")[0].strip()
    if not SHORTEST <= len(token) <= LONGEST or not all(0x21 <= byte <= 0x7E for byte in token):  # noqa: PLR2004 - ASCII
        raise TokenFileError(
            f"{path} contains no token. The first line must have {SHORTEST} to {LONGEST} letters, digits or symbols; "
            "delete the file to get a new one"
        )
    return token.decode("ascii")
