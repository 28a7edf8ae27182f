"""Earlier results of `calibrate`: whether a file is already the result of the same light, masters and options."""

import os
from collections.abc import Callable, Iterator
from enum import Enum, auto
from pathlib import Path

import numpy as np

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.lights.content import content_of, digest_of
from coldframe.calibration.lights.files import CALIBRATION, Output
from coldframe.calibration.lights.recipe import LightRecipe


class Earlier(Enum):
    """The relation of an existing file to the calibration of a light."""

    NONE = auto()
    """No file has this name."""
    SAME = auto()
    """The result of the same light, masters and options."""
    DIFFERENT = auto()
    """A result of a light with the same name and time, from different pixels, masters or options."""
    OTHER_FILE = auto()
    """Any other file; such a file is never replaced."""


def group_digest(recipe: LightRecipe, output: Output, *options: object) -> str:
    """Return a digest of the masters and options that lights with the same recipe share.

    Masters are identified by their names and the checksums of their pixels, so that a master that was built again under
    the same name counts as different.

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
    return digest_of(*_masters(recipe), recipe.dark_scale, recipe.overscan, *_output(output), *options)


def light_digest(group: str, light: Path, content: str | None = None) -> str:
    """Return the digest of a light's calibration, for the card `CALIBRATION`.

    Parameters
    ----------
    group
        Digest of the masters and options; see `group_digest`.
    light, content
        File of the light, and the digest of its bytes; None to compute the digest from the file. Size and time would
        not identify a light, because a damaged copy can have the same size and time as the intact copy that replaces
        it.

    Raises
    ------
    OSError
        If the file is not accessible.
    """
    return digest_of(group, light.name, content_of(light) if content is None else content)


def earlier_result(target: Path, light: Path, setup: FrameSetup, digest: Callable[[], str]) -> Earlier:
    """Return the relation of an existing file to the calibration of a light.

    Parameters
    ----------
    target
        The file to which the result would be written.
    light
        The light.
    setup
        Setup of the light.
    digest
        Function that returns the digest of the light's calibration; see `light_digest`. It is called only if there is
        an earlier result.
    """
    if not os.path.lexists(target):
        return Earlier.NONE
    try:
        header = read_image_header(target)
    except FrameFileError:
        return Earlier.OTHER_FILE
    if CALIBRATION in header and header[CALIBRATION] == digest():
        return Earlier.SAME
    # Lights in different folders can have the same name, so only the time shows whether this is the same light.
    same_name = header.get("CFRAW") == light.name and "CALSTAT" in header
    same_time = setup.taken_at is not None and setup_of(header).taken_at == setup.taken_at
    return Earlier.DIFFERENT if same_name and same_time else Earlier.OTHER_FILE


def _masters(recipe: LightRecipe) -> Iterator[object]:
    for master in (recipe.dark, recipe.bias, recipe.flat, recipe.glow_witness):
        if master is None:
            yield None
        else:
            yield from (master.name, read_image_header(master).get("DATASUM") or content_of(master))


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
        yield from (output.defects.path.name, digest_of(np.packbits(output.defects.bad).tobytes()))
