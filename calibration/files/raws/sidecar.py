"""The file next to a camera raw that states how the frame was shot, with a digest of the raw's bytes.

A raw is kept as the camera wrote it, so it states neither the kind of the frame nor the filter. The cards that a FITS
file would have are in a JSON file with the same name and a further suffix: dark_0001.cr2.json describes dark_0001.cr2.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from coldframe.calibration.files.cards import STRUCTURAL, Card, HeaderValue, ascii_text
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.regular import open_regular

SUFFIX = ".json"

_LARGEST_BYTES = 1 << 20
_DIGEST_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The description of a raw.

    Attributes
    ----------
    cards
        Values by keyword, as in the header of a FITS frame that coldframe wrote.
    sha256
        Digest of the raw's bytes, in hexadecimal.
    size
        Number of bytes of the raw.
    """

    cards: dict[str, HeaderValue]
    sha256: str
    size: int


def sidecar_of(raw: Path) -> Path:
    """Return the path of the file that describes a raw, whether or not it exists."""
    return raw.with_name(raw.name + SUFFIX)


def described(cards: Iterable[Card], content: bytes) -> bytes:
    """Return the content of the file that describes a raw.

    Parameters
    ----------
    cards
        Cards of the frame. Their texts are written in ASCII and without trailing blanks, as in a FITS header.
    content
        All bytes of the raw.
    """
    values = {card.keyword: _as_in_fits(card.value) for card in cards}
    whole = {"cards": values, "sha256": sha256(content).hexdigest(), "size": len(content)}
    return json.dumps(whole, indent=1).encode()


def read_sidecar(raw: Path) -> Sidecar | None:
    """Return the description of a raw; None if it has no description, as is usual for raws from other programs.

    Raises
    ------
    FrameFileError
        If the description is damaged, or belongs to a file of a different size.
    """
    path = sidecar_of(raw)
    try:
        with open_regular(path) as file:
            text = file.read(_LARGEST_BYTES)
        size = raw.stat().st_size
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FrameFileError(path, error.strerror or str(error)) from error
    found = _parsed(text)
    if found is None:
        # Other programs also write JSON files next to pictures.
        if b'"sha256"' not in text:
            return None
        raise FrameFileError(path, "damaged: it does not describe a raw")
    if found.size != size:
        raise FrameFileError(raw, f"it has {size} bytes, but {path.name} describes a file of {found.size} bytes")
    return found


def digest_fault(raw: Path) -> str | None:
    """Return the reason why a raw cannot be confirmed to be the saved file; None if its bytes are unchanged."""
    try:
        found = read_sidecar(raw)
        if found is None:
            return f"{sidecar_of(raw).name}, which describes it, is missing"
        digest = sha256()
        with open_regular(raw) as file:
            while piece := file.read(_DIGEST_PIECE):
                digest.update(piece)
    except FrameFileError as error:
        return error.what
    except OSError as error:
        return error.strerror or str(error)
    return None if digest.hexdigest() == found.sha256 else "its bytes are not those that the camera delivered (SHA-256)"


def _as_in_fits(value: HeaderValue) -> HeaderValue:
    return ascii_text(value).rstrip() if isinstance(value, str) else value


def _parsed(text: bytes) -> Sidecar | None:
    try:
        match json.loads(text):
            case {"cards": dict(cards), "sha256": str(digest), "size": int(size)}:
                pass
            case _:
                return None
    except ValueError:
        return None
    if not all(isinstance(value, str | int | float) for value in cards.values()):
        return None
    values = {str(keyword): value for keyword, value in cards.items() if keyword not in STRUCTURAL}
    return Sidecar(values, digest, size)
