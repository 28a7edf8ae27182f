"""Earlier results of `calibrate`: whether a file already is the result of the same light, masters and options."""

import os
from collections.abc import Callable, Iterator
from enum import Enum, auto
from hashlib import blake2b
from pathlib import Path

import numpy as np

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.kernels import lights
from coldframe.calibration.lights.files import CALIBRATION, Output
from coldframe.calibration.lights.recipe import LightRecipe

_DIGEST_BYTES = 16
"""Enough that two different calibrations do not have the same digest by chance, and short enough for a header card."""

_HASHED_AT_ONCE = 1 << 20


class Earlier(Enum):
    """The relation of an existing file to the calibration of a light."""

    NONE = auto()
    """No file has this name."""
    SAME = auto()
    """The result of the same light, masters and options."""
    DIFFERENT = auto()
    """A result of a light with the same name and time, from different pixels, masters or options."""
    OTHER_FILE = auto()
    """Any other file, which is never replaced."""


def group_digest(recipe: LightRecipe, output: Output, *options: object) -> str:
    """Return a digest of the masters and options that lights of one recipe share.

    Masters are identified by name and checksum of their pixels, so that a master which was built again under its name
    counts as different.

    Parameters
    ----------
    recipe
        The recipe of the lights.
    output
        The form of the results.
    *options
        Further options that influence the results.

    Raises
    ------
    FrameFileError
        If a master cannot be read.
    """
    return _digest(*_masters(recipe), recipe.dark_scale, recipe.overscan, *_output(output), *options)


def light_digest(group: str, light: Path) -> str:
    """Return the digest of a light's calibration, for the card `CALIBRATION`.

    Parameters
    ----------
    group
        Digest of the masters and options; see `group_digest`.
    light
        The light, identified by its name and its bytes: a damaged copy that was replaced has the same size and time.

    Raises
    ------
    OSError
        If the file is not accessible.
    """
    return _digest(group, light.name, _content(light))


def earlier_result(target: Path, light: Path, setup: FrameSetup, digest: Callable[[], str]) -> Earlier:
    """Return the relation of an existing file to the calibration of a light.

    Parameters
    ----------
    target
        The file to which the result would be written.
    light
        The light.
    setup
        Its setup.
    digest
        Returns the digest of its calibration; see `light_digest`. Called only if there is an earlier result.
    """
    if not os.path.lexists(target):
        return Earlier.NONE
    try:
        header = read_image_header(target)
    except FrameFileError:
        return Earlier.OTHER_FILE
    if CALIBRATION in header and header[CALIBRATION] == digest():
        return Earlier.SAME
    # Lights of two folders may have the same name, so only the time tells whether this is the same light.
    same_name = header.get("CFRAW") == light.name and "CALSTAT" in header
    same_time = setup.taken_at is not None and setup_of(header).taken_at == setup.taken_at
    return Earlier.DIFFERENT if same_name and same_time else Earlier.OTHER_FILE


def _masters(recipe: LightRecipe) -> Iterator[object]:
    for master in (recipe.dark, recipe.bias, recipe.flat, recipe.glow_witness):
        if master is None:
            yield None
        else:
            yield from (master.name, read_image_header(master).get("DATASUM") or _content(master))


def _output(output: Output) -> Iterator[object]:
    yield from (
        output.floating,
        output.pedestal_adu,
        output.e_per_adu,
        output.blank,
        output.extension,
        output.uncertainty,
    )
    if output.defects is not None:
        yield from (output.defects.path.name, _digest(np.packbits(output.defects.bad).tobytes()))


def _content(file: Path) -> str:
    """Return a digest of the bytes of a file.

    Only equal and unequal files must be told apart, so a cryptographic hash, which takes ten times as long, is not
    needed.
    """
    lanes = np.zeros(4, np.uint64)
    piece = np.zeros(_HASHED_AT_ONCE, np.uint8)
    size = 0
    with open_regular(file) as opened:
        while count := opened.readinto(piece.data):
            whole = -(-count // lanes.nbytes) * lanes.nbytes
            piece[count:whole] = 0
            lights.hash_words(piece[:whole].view(np.uint64), lanes)
            size += count
    return _digest(size, lanes.tolist())


def _digest(*parts: object) -> str:
    return blake2b(repr(parts).encode(), digest_size=_DIGEST_BYTES).hexdigest()
