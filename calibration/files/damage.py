"""A boundary around libraries that might read damaged files: it turns all their exceptions into one kind of error."""

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.errors import MissingPackageError

_LONGEST_REASON = 200


@contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Turn exceptions of Astropy, NumPy and decompressors in the block into `FrameFileError`, and hide their warnings.

    For damaged files, these libraries raise errors of almost any type, including `AssertionError`, `AttributeError`
    and their own subclasses of `Exception`, and warn about data that they ignore.

    Raises
    ------
    FrameFileError
        If the block raises any other exception; the message is one line.
    MissingPackageError
        If the block raises this error.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (FrameFileError, MissingPackageError):
        raise
    except OSError as error:
        raise FrameFileError(path, error.strerror or _reason(error)) from error
    except MemoryError as error:
        raise FrameFileError(path, "reading it needs more memory than is available") from error
    except Exception as error:
        raise FrameFileError(path, f"truncated or damaged: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return the message of an exception on one line, with the exception's type if the message may be cryptic."""
    is_sentence = isinstance(error, EOFError | ValueError | zlib.error)
    text = " ".join((f"{error}" if is_sentence else f"{type(error).__name__}: {error}").split())
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 3]}..."
