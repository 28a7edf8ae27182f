"""The process that decodes images with Astropy, LibRaw and decompressors; `unpacking` starts it and sends it requests.

These libraries are written in C and trust their input: damaged bytes can make them write beyond their memory, which
crashes the process, or decompress endlessly. Therefore, each image is decoded by a copy (fork) of this process, with
limits on memory and CPU time. A fork takes milliseconds; loading Astropy takes half a second, but is done only once.

Requests and answers are JSON objects, one per line; see `Request` and `Answer`.
"""

import importlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.damage import damage_reported
from coldframe.calibration.files.extensions import chosen_image
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.raw_file import decode_raw
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.files.unpacking import Extension, Form, Reader, form_of, stored_form
from coldframe.calibration.files.xisf_pixels import decode_xisf
from coldframe.errors import NEEDED_FOR, MissingPackageError

_LIBRARIES = {
    Reader.ASTROPY: ("astropy.io.fits",),
    Reader.XISF: (),  # few files need a package; only the copies of the process that decode these files load it
    Reader.RAW: ("rawpy",),
}
"""Modules that each reader needs; they are imported before the fork, so that they are loaded only once."""


class Request(TypedDict):
    """A request to decode an image. For XISF and camera raws, it has other values; see `decode_xisf` and `decode_raw`.

    Attributes
    ----------
    reader, path
        The reader, and the file that it reads.
    copy
        The file that receives the pixels as FITS stores them.
    extension
        The image to decode; None for the image in HDU 1, which is compressed in tiles and read a few rows at a time.
    shape
        Height and width according to the header.
    rows
        Number of rows to read at a time; they consist of whole tiles.
    most_bytes, longest_s
        Limits on additional memory and on CPU time.
    """

    reader: Reader
    path: str
    copy: str
    extension: Extension | None
    shape: tuple[int, int]
    rows: int
    most_bytes: int
    longest_s: int


class Answer(TypedDict, total=False):
    """The answer: the form of the decoded pixels; or a fault of the file; or the name of a missing package."""

    form: Form
    fault: str
    absent: str


def main() -> None:
    """Answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program that sends the requests ends this process
    for line in sys.stdin:
        request = json.loads(line)
        absent = _import(request["reader"])
        if absent is not None:
            _send({"absent": absent})
            continue
        worker = os.fork()
        if worker == 0:
            _answer(request)
            os._exit(0)
        _, status = os.waitpid(worker, 0)
        if status != 0:
            _send({"fault": _end_of_worker(status)})


def _import(reader: Reader) -> str | None:
    """Import the modules that a reader needs; return the name of a package that is not installed, or None."""
    try:
        for name in _LIBRARIES[reader]:
            importlib.import_module(name)
    except ImportError:
        if name not in NEEDED_FOR:
            raise
        return name
    return None


def _end_of_worker(status: int) -> str:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return "damaged: unpacking it takes too long for an image of this size"
    return "damaged: the decompressor crashed"


def _send(answer: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _answer(request: Request) -> None:
    path = Path(request["path"])
    try:
        with damage_reported(path):
            _limit(request["most_bytes"], request["longest_s"])
            answer = _READERS[request["reader"]](path, request)
    except FrameFileError as error:
        _send({"fault": error.what})
    except MissingPackageError as error:
        _send({"absent": error.package})
    else:
        _send(answer)


def _limit(most_bytes: int, longest_s: int) -> None:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    used_s = resource.getrusage(resource.RUSAGE_SELF)
    most = pages * resource.getpagesize() + most_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (int(used_s.ru_utime + used_s.ru_stime) + 1 + longest_s,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _decode_with_astropy(path: Path, request: Request) -> Answer:
    form = None
    with Path(request["copy"]).open("wb") as copy:
        for values in _parts(path, request):
            form = form_of(values, path)
            copy.write(stored_form(values, form))
    return {"form": form or (8, 0)}


def _parts(path: Path, request: Request) -> Iterator[NDArray[Any]]:
    """Yield the rows of an image from top to bottom."""
    from astropy.io import fits  # noqa: PLC0415 - for the requests that need it, imported before the fork

    if request["extension"] is not None:
        yield chosen_image(path, request["extension"])[1]
        return
    height, width = request["shape"]
    with open_regular(path) as file, fits.open(file, memmap=False) as units:
        section = units[1].section
        plane = (0,) * (section.ndim - 2)
        for top in range(0, height, request["rows"]):
            bottom = min(top + request["rows"], height)
            values = np.asarray(section[(*plane, slice(top, bottom))])
            if values.shape != (bottom - top, width):
                raise FrameFileError(path, f"damaged: its tiles have the shape {values.shape}")
            yield values


_READERS: dict[str, Callable[[Path, Any], Mapping[str, object]]] = {
    Reader.ASTROPY: _decode_with_astropy,
    Reader.XISF: decode_xisf,
    Reader.RAW: decode_raw,
}


if __name__ == "__main__":
    main()
