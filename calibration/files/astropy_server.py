"""The process that unpacks images with Astropy; `unpacking` starts it and sends it requests.

Astropy's decompressors are written in C and trust their input: damaged bytes make them write beyond their memory, which
ends the process, or unpack without end. Therefore each image is unpacked by a copy (fork) of this process, with limits
on memory and CPU time. The fork costs milliseconds; loading Astropy costs half a second, but only once.

Requests and answers are JSON objects, one per line; see `Request` and `Answer`.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.calibration.files.damage import damage_reported
from coldframe.calibration.files.extensions import chosen_image
from coldframe.calibration.files.frame_file import BZERO, FrameFileError
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.files.unpacking import Extension

Form = tuple[int, int]
"""BITPIX and BZERO of stored pixels."""

FORMS: dict[str, Form] = {
    "uint8": (8, 0),
    "int16": (16, 0),
    "uint16": (16, BZERO),
    "int32": (32, 0),
    "uint32": (32, 1 << 31),
    "float32": (-32, 0),
    "float64": (-64, 0),
}
"""Forms in which pixels are stored, by their type."""


class Request(TypedDict):
    """The image to unpack.

    Attributes
    ----------
    path, copy
        The file, and the file that receives the pixels as FITS stores them.
    extension
        Which image; None for the image in HDU 1, which is compressed in tiles and read a few rows at a time.
    shape
        Height and width according to the header.
    rows
        Number of rows to read at a time, which consist of whole tiles.
    most_bytes, longest_s
        Limits on additional memory and on CPU time.
    """

    path: str
    copy: str
    extension: Extension | None
    shape: tuple[int, int]
    rows: int
    most_bytes: int
    longest_s: int


class Answer(TypedDict, total=False):
    """The result of unpacking: the form of the pixels; or the fault."""

    form: Form
    fault: str


def main() -> None:
    """Answer requests until the standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program that sends the requests ends this process
    for line in sys.stdin:
        worker = os.fork()
        if worker == 0:
            _answer(json.loads(line))
            os._exit(0)
        _, status = os.waitpid(worker, 0)
        if status != 0:
            _send({"fault": _end_of_worker(status)})


def _end_of_worker(status: int) -> str:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return "damaged: unpacking it takes longer than an image of this size can need"
    return "damaged: the decompressor crashed"


def _send(answer: Answer) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _answer(request: Request) -> None:
    path = Path(request["path"])
    try:
        with damage_reported(path), Path(request["copy"]).open("wb") as copy:
            _limit(request["most_bytes"], request["longest_s"])
            form = None
            for values in _parts(path, request):
                form = _form(values, path)
                copy.write(_stored_form(values, form))
    except FrameFileError as error:
        _send({"fault": error.what})
    else:
        _send({"form": form or (8, 0)})


def _limit(most_bytes: int, longest_s: int) -> None:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    used_s = resource.getrusage(resource.RUSAGE_SELF)
    most = pages * resource.getpagesize() + most_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (int(used_s.ru_utime + used_s.ru_stime) + 1 + longest_s,) * 2)


def _parts(path: Path, request: Request) -> Iterator[NDArray[Any]]:
    """Yield the rows of an image from top to bottom."""
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


def _form(values: NDArray[Any], path: Path) -> Form:
    if values.dtype.name not in FORMS:
        raise FrameFileError(path, f"pixels of type {values.dtype.name} cannot be combined")
    return FORMS[values.dtype.name]


def _stored_form(values: NDArray[Any], form: Form) -> memoryview:
    """Return values as the bytes that FITS stores."""
    bits, zero = form
    signed = (values ^ values.dtype.type(zero)).view(f"i{values.itemsize}") if zero else values
    stored = signed.astype(f">{'f' if bits < 0 else 'u' if bits == 8 else 'i'}{abs(bits) // 8}", copy=False)  # noqa: PLR2004 - BITPIX 8
    return np.ascontiguousarray(stored).view(np.uint8).data


if __name__ == "__main__":
    main()
